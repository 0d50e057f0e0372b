package features

import (
	"math/bits"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// cutter finds the rows that close bars.
type cutter struct {
	m    *op.Machine
	accs []int // that the end of a bar reads
	all  []int
}

func (k *cutter) init(v *viewState) {
	b := v.p.Bars
	if b == nil {
		return
	}
	k.m = op.NewMachine(b.Cut)
	for i := range v.p.Accs {
		k.all = append(k.all, i)
	}
	k.accs = k.all[b.From:]
}

// foldBars cuts a run into bars and folds each.
func (v *viewState) foldBars(c *cols, r run) {
	i := v.slot(r.ent)
	for lo := r.lo; lo < r.hi; {
		v.begin(i, c.ts[lo])
		hi, end := r.hi, v.slots[i].end
		if c.ts[hi-1] >= end {
			hi = border(c.ts, lo, hi, end)
		}
		rec := v.openRec(i)
		hi, closed := v.barEnd(rec, c, lo, hi)
		v.foldSegment(i, rec, c, lo, hi)
		if closed {
			v.keepKey(rec, rowSource{c: c, at: hi - 1})
			v.shut(i, c.ts[hi-1])
		}
		lo = hi
	}
}

// barEnd returns the end of the rows from lo on that belong to the open bar, and whether
// the last of them closes it. What the end depends on has been folded then.
func (v *viewState) barEnd(rec []uint64, c *cols, lo, hi int) (end int, closed bool) {
	at := lo
	if f := &v.p.Bars.Fast; f.Kind != plan.Slow && f.Enum < 0 && !v.task.plan.plain {
		if at, closed = v.fastEnd(rec, c, lo, hi); closed {
			return at, true
		}
	}
	for ; at < hi; at++ {
		v.loadRow(c, at)
		v.row.RunCode(v.p.Bars.Code)
		v.foldArgs(rec, v.cut.accs, c.ts[at])
		if v.closes(rec, c.ts[at], at+1-lo) {
			return at + 1, true
		}
	}
	return hi, false
}

// closes tells whether the open bar ends with the row at ts; more is the number of rows
// that are not yet counted in rec.
func (v *viewState) closes(rec []uint64, ts int64, more int) bool {
	b, m := v.p.Bars, v.cut.m
	rows := int64(rec[plan.MetaRows]) + int64(more)
	for k := range b.Loads {
		ld := &b.Loads[k]
		x, a := &m.Regs[ld.Reg], &v.p.Accs[ld.Acc]
		switch ld.Kind {
		case plan.LoadAcc:
			a.Load(x, rec, rows, &v.task.sc)
		case plan.LoadMean:
			a.Mean(x, rec, nil, int64(rec[beginAt]), ts, 0, rows)
		case plan.LoadQuantile:
			a.Quantile(x, rec, ld.P, &v.task.sc)
		case plan.LoadStatistic:
			a.Statistic(x, rec, ld.Stat, &v.task.sc)
		}
	}
	m.Run()
	x := &m.Regs[b.Reg]
	return !x.Null && x.I == 1
}

// fastEnd is barEnd for running totals of columns, without the row program: up to end,
// where the bar closes or rows come that this does not take. What the row that closes it
// adds is not folded.
func (v *viewState) fastEnd(rec []uint64, c *cols, lo, hi int) (end int, closed bool) {
	b := v.p.Bars
	st := rec[v.p.Accs[b.From].Off:]
	if b.Fast.Kind == plan.NoArg {
		if n := ceilDec(b.Size) - int64(st[0]); n <= int64(hi-lo) {
			return lo + int(n), true
		}
		st[0] += uint64(hi - lo)
		return hi, false
	}
	x, y := &c.c[b.Fast.A], (*market.Col)(nil)
	if b.Fast.Kind == plan.Product {
		y = &c.c[b.Fast.B]
	}
	if c.hasNull[b.Fast.A] || y != nil && c.hasNull[b.Fast.B] {
		return lo, false
	}
	for rows := int64(rec[plan.MetaRows]); lo < hi; {
		t := totalRun{x: x.I64[lo:hi], scale: x.Scale[lo]}
		n := scaleRun(x.Scale[lo:hi])
		if y != nil {
			n = scaleRun(y.Scale[lo : lo+n])
			t.y, t.scale = y.I64[lo:lo+n], t.scale+y.Scale[lo]
		}
		t.x = t.x[:n]
		if !t.needs(st, b.Size, rows) {
			return lo, false
		}
		switch k := t.end(); {
		case k < 0:
			return lo, false
		case k < n:
			if b.Split {
				num.SumAddRun(st, t.x[:k], x.Scale[lo])
			}
			return lo + k + 1, true
		case y == nil:
			num.SumAddRun(st, t.x, x.Scale[lo])
		default:
			num.SumAddProdRun(st, t.x, t.y, x.Scale[lo], y.Scale[lo])
		}
		lo, rows = lo+n, rows+int64(n)
	}
	return lo, false
}

// ceilDec is the least whole number that is not less than d.
func ceilDec(d num.Dec) int64 {
	p := int64(num.Pow10[d.S])
	return d.M/p + min(d.M%p, 1)
}

// totalRun is rows whose columns have one scale each, and what is missing to the size.
type totalRun struct {
	x, y   []int64 // y is nil for the total of one column
	scale  int8    // of the terms
	factor uint64  // a term × factor counts as need does
	hi, lo uint64  // need, at least 1
}

// needs finds what the sum st of some terms lacks to the size; false when that does not
// fit. A bar is open as long as something is missing.
func (t *totalRun) needs(st []uint64, size num.Dec, rows int64) bool {
	sum, scale, ok := num.SumValue(st, rows)
	s := max(int(t.scale), scale, int(size.S))
	if !ok || s-int(t.scale) > num.MaxScale {
		return false
	}
	need := num.FromInt64(size.M)
	need.MulPow10(s - int(size.S))
	sum.MulPow10(s - scale)
	need.Sub(&sum)
	t.factor = num.Pow10[s-int(t.scale)]
	t.lo, t.hi = need[0], need[1]
	return need[2] == 0 && need[1]>>63 == 0
}

// end is the row that brings the total to the size, the number of rows when none does,
// -1 when a row is not for this loop.
func (t *totalRun) end() int {
	if t.y == nil && t.factor == 1 && t.hi == 0 && t.lo>>63 == 0 {
		return t.end64()
	}
	hi, lo := t.hi, t.lo
	for k, x := range t.x {
		y, borrow := int64(1), uint64(0)
		if t.y != nil {
			y = t.y[k]
		}
		h, l := bits.Mul64(uint64(x), uint64(y))
		if x|y < 0 || h != 0 && t.factor != 1 {
			return -1
		}
		if t.factor != 1 {
			h, l = bits.Mul64(l, t.factor)
		}
		lo, borrow = bits.Sub64(lo, l, 0)
		hi, borrow = bits.Sub64(hi, h, borrow)
		if borrow != 0 || hi|lo == 0 {
			return k
		}
	}
	return len(t.x)
}

// end64 is end where one word is enough.
func (t *totalRun) end64() int {
	need := int64(t.lo)
	for k, x := range t.x {
		rest := need - x
		switch {
		case x < 0 && rest < need:
			return -1
		case rest <= 0:
			return k
		}
		need = rest
	}
	return len(t.x)
}
