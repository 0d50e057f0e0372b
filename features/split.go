package features

import (
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market/num"
)

// maxParts bounds the bars that one row can make: the last of them takes all that is left
// of the row and is flagged truncated (I11).
const maxParts = 10_000

// foldSplit cuts a run into bars that hold the size exactly: the row that fills a bar is
// divided, and every part counts as a row.
func (v *viewState) foldSplit(c *cols, r run) {
	i := v.slot(r.ent)
	fast := v.p.Bars.Fast.Kind != plan.Slow && !v.task.plan.plain
	for lo := r.lo; lo < r.hi; {
		v.begin(i, c.ts[lo])
		hi, end := r.hi, v.slots[i].end
		if c.ts[hi-1] >= end {
			hi = border(c.ts, lo, hi, end)
		}
		rec, at, fills := v.openRec(i), lo, false
		if fast {
			if at, fills = v.fastEnd(rec, c, lo, hi); fills {
				at, hi = at-1, at
			}
			if at > lo {
				v.foldSegment(i, rec, c, lo, at)
			}
		}
		for ; at < hi; at++ {
			v.loadRow(c, at)
			v.pour(i, c.ts[at], rowSource{c: c, at: at})
		}
		lo = hi
	}
}

// pour adds the row that is in the row program to the open bar and those after it.
func (v *viewState) pour(i int32, ts int64, from rowSource) {
	b := v.p.Bars
	reg := &v.row.Regs[v.p.Inputs[b.Part].Reg]
	if reg.Null {
		v.begin(i, ts)
		v.foldPart(i, ts, from)
		return
	}
	rest, scale := reg.W, int(reg.S)
	for parts := 1; ; parts++ {
		v.begin(i, ts)
		need, to, ok := v.missing(v.openRec(i), scale)
		rest.MulPow10(to - scale)
		scale = to
		cmp := rest.Cmp(&need)
		switch { // a row that is not cut stays as it was sent
		case cmp > 0 && ok && parts < maxParts:
			reg.W, reg.S = need, int8(scale)
		case parts > 1:
			reg.W, reg.S = rest, int8(scale)
		}
		v.foldPart(i, ts, from)
		if cmp < 0 || !ok {
			return
		}
		if cmp > 0 && parts == maxParts {
			v.openRec(i)[plan.MetaFlags] |= uint64(FlagTruncated)
		}
		v.keepKey(v.openRec(i), from)
		v.shut(i, ts)
		if cmp == 0 || parts == maxParts {
			return
		}
		rest.Sub(&need)
	}
}

// missing is what the open bar lacks to its size, above 0, at least at a scale.
func (v *viewState) missing(rec []uint64, scale int) (need num.Int192, to int, ok bool) {
	b := v.p.Bars
	sum, s, ok := num.SumValue(rec[v.p.Accs[b.From].Off:], int64(rec[plan.MetaRows]))
	to = max(scale, s, int(b.Size.S))
	need = num.FromInt64(b.Size.M)
	need.MulPow10(to - int(b.Size.S))
	sum.MulPow10(to - s)
	need.Sub(&sum)
	return need, to, ok
}

// foldPart folds the row that is in the row program, or the part of it that is now there.
func (v *viewState) foldPart(i int32, ts int64, from rowSource) {
	rec := v.openRec(i)
	v.foldMeta(rec, from)
	v.row.Run()
	v.foldArgs(rec, v.cut.all, ts)
}
