package features

import (
	"math/bits"

	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// family is bar views that differ in size alone. The rows of a batch are cut where a bar
// of any of them ends; each piece is folded once, and an open bar gets the merge of the
// pieces that it spans. Between batches each view has its own state, as if it were alone:
// a merge of states gives the bits of a fold of the rows.
type family struct {
	views  []*viewState // the first folds for all
	chosen bool         // the others can fold this batch

	sums   []running // running total before each row of the block, and behind the last
	ends   []int32   // where bars end in the block, view by view
	until  []int     // by view: the end of its part of ends
	piece  []int32   // by row of the block: pieces that end there or before
	bounds []int32   // where pieces end
	levels []pieces  // states of 1, 2, 4, … pieces
	whole  []uint64  // state of all pieces
	size   []running // by view, at the scale of the block
}

// running is a total of numbers that are not negative, below 2^126.
type running struct{ hi, lo uint64 }

func (a running) plus(b running) running {
	lo, c := bits.Add64(a.lo, b.lo, 0)
	return running{a.hi + b.hi + c, lo}
}

func (a running) less(b running) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

// unreachable is more than any running total, and twice it fits.
const unreachable = 1 << 62

// toRunning is a number above 0; false for others.
func toRunning(x *num.Int192) (running, bool) {
	switch {
	case x[2]>>63 != 0 || x[2]|x[1]|x[0] == 0:
		return running{}, false
	case x[2] != 0 || x[1] >= unreachable:
		return running{hi: unreachable}, true
	}
	return running{x[1], x[0]}, true
}

// A block of rows is cut at once; fewer rows than familyMin are not worth it.
const familyMax, familyMin = 4096, 8

func (t *Task) addFamilies() {
	if t.plan.plain {
		return
	}
	for _, at := range t.plan.families {
		f := &family{}
		for _, i := range at {
			f.views = append(f.views, t.views[i])
			t.views[i].family = f
		}
		f.until, f.size = make([]int, len(at)), make([]running, len(at))
	}
}

// push folds grouped rows into all views of the family.
func (f *family) push(c *cols, runs []run) {
	v := f.views[0]
	v.choose(c)
	f.chosen = false
	for _, r := range runs {
		for lo := r.lo; lo < r.hi; {
			hi := min(r.hi, lo+familyMax)
			if end := (market.FloorDiv(c.ts[lo], v.p.Pane) + 1) * v.p.Pane; c.ts[hi-1] >= end {
				hi = border(c.ts, lo, hi, end)
			}
			if block := (run{r.ent, lo, hi}); hi-lo < familyMin || !f.cut(c, block) {
				f.foldAlone(c, block)
			} else {
				f.fold(c, block)
			}
			lo = hi
		}
	}
}

// foldAlone lets each view fold rows as if it were alone.
func (f *family) foldAlone(c *cols, r run) {
	for _, v := range f.views {
		if !f.chosen {
			v.choose(c)
		}
		v.foldBars(c, r)
	}
	f.chosen = true
}

// cut finds where bars end in a block of rows of one period; false when the running total
// is not for this.
func (f *family) cut(c *cols, r run) bool {
	scale, ok := f.scale(c, r)
	if !ok || !f.total(c, r, scale) {
		return false
	}
	f.ends = f.ends[:0]
	for k, v := range f.views {
		need, ok := v.lacks(v.openRec(v.slotOf[r.ent]), scale)
		if !ok {
			return false
		}
		for at := 0; ; need = f.size[k] {
			if at = f.reach(at, need); at == len(f.sums) {
				break
			}
			f.ends = append(f.ends, int32(at))
		}
		f.until[k] = len(f.ends)
	}
	return true
}

// scale is the most digits after the point that the rows, the sizes and the totals of
// the open bars have. It closes the bars that ended before, and finds the sizes.
func (f *family) scale(c *cols, r run) (int, bool) {
	b, scale := f.views[0].p.Bars, 0
	counts := b.Fast.Kind == plan.NoArg
	if !counts {
		if c.hasNull[b.Fast.A] || b.Fast.Kind == plan.Product && c.hasNull[b.Fast.B] {
			return 0, false
		}
		scale = maxScale(c.c[b.Fast.A].Scale[r.lo:r.hi])
		if b.Fast.Kind == plan.Product {
			scale += maxScale(c.c[b.Fast.B].Scale[r.lo:r.hi])
		}
	}
	for _, v := range f.views {
		i := v.slot(r.ent)
		v.begin(i, c.ts[r.lo])
		if counts {
			continue
		}
		scale = max(scale, int(v.p.Bars.Size.S))
		if _, s, ok := num.SumValue(v.openRec(i)[v.p.Accs[b.From].Off:], 0); ok {
			scale = max(scale, s)
		}
	}
	for k, v := range f.views {
		d := v.p.Bars.Size
		if counts {
			d = num.Dec{M: ceilDec(d)}
		}
		size := num.FromInt64(d.M)
		size.MulPow10(scale - int(d.S))
		var ok bool
		if f.size[k], ok = toRunning(&size); !ok {
			return 0, false
		}
	}
	return scale, true
}

func maxScale(s []int8) int {
	most := int8(0)
	for len(s) > 0 {
		most = max(most, s[0])
		s = s[scaleRun(s):]
	}
	return int(most)
}

// lacks is what the open bar lacks to its size.
func (v *viewState) lacks(rec []uint64, scale int) (running, bool) {
	b := v.p.Bars
	if b.Fast.Kind == plan.NoArg {
		need := num.FromInt64(ceilDec(b.Size) - int64(rec[v.p.Accs[b.From].Off]))
		return toRunning(&need)
	}
	sum, s, ok := num.SumValue(rec[v.p.Accs[b.From].Off:], int64(rec[plan.MetaRows]))
	if up := scale - s; !ok || up > num.MaxScale || up > 0 && (sum[2] != 0 || sum[1] >= unreachable) {
		return running{}, false
	}
	sum.MulPow10(scale - s)
	need := num.FromInt64(b.Size.M)
	need.MulPow10(scale - int(b.Size.S))
	need.Sub(&sum)
	return toRunning(&need)
}

// total adds the rows up at a scale; false when one is negative or the total too large.
func (f *family) total(c *cols, r run, scale int) bool {
	b := f.views[0].p.Bars
	f.sums = grow(f.sums, r.hi-r.lo+1)
	f.sums[0] = running{}
	if b.Fast.Kind == plan.NoArg {
		for k := range f.sums {
			f.sums[k].lo = uint64(k)
			f.sums[k].hi = 0
		}
		return true
	}
	x, y := &c.c[b.Fast.A], (*market.Col)(nil)
	if b.Fast.Kind == plan.Product {
		y = &c.c[b.Fast.B]
	}
	var t running
	for k := range f.sums[1:] {
		m, s := x.I64[r.lo+k], int(x.Scale[r.lo+k])
		term, sign := running{lo: uint64(m)}, m
		if y != nil {
			n := y.I64[r.lo+k]
			term.hi, term.lo = bits.Mul64(uint64(m), uint64(n))
			sign |= n
			s += int(y.Scale[r.lo+k])
		}
		if up := scale - s; up > 0 {
			if term.hi != 0 || up > num.MaxScale {
				return false
			}
			term.hi, term.lo = bits.Mul64(term.lo, num.Pow10[up])
		}
		if sign < 0 || term.hi >= unreachable {
			return false
		}
		if t = t.plus(term); t.hi >= unreachable {
			return false
		}
		f.sums[k+1] = t
	}
	return true
}

// reach is the first row behind which the total since row at has come to need, the number
// of sums when it does not. It gallops, since bars are short or longer than the block.
func (f *family) reach(at int, need running) int {
	need = f.sums[at].plus(need)
	n := len(f.sums)
	if f.sums[n-1].less(need) {
		return n
	}
	lo, step := at, 1 // the total at lo is less
	for lo+step < n && f.sums[lo+step].less(need) {
		lo += step
		step *= 2
	}
	for hi := min(lo+step, n-1); ; {
		if hi-lo <= 1 {
			return hi
		}
		if mid := int(uint(lo+hi) / 2); f.sums[mid].less(need) {
			lo = mid
		} else {
			hi = mid
		}
	}
}

// fold folds the pieces of the block and gives each view its bars.
func (f *family) fold(c *cols, r run) {
	f.foldPieces(c, r)
	f.foldWhole()
	from := 0
	for k, v := range f.views {
		i, at, p := v.slotOf[r.ent], r.lo, 0
		for _, end := range f.ends[from:f.until[k]] {
			v.begin(i, c.ts[at])
			to := int(f.piece[end])
			rec := v.openRec(i)
			f.merge(v, rec, p, to)
			at, p = r.lo+int(end), to
			v.keepKey(rec, rowSource{c: c, at: at - 1})
			v.shut(i, c.ts[at-1])
		}
		if from = f.until[k]; at < r.hi {
			v.begin(i, c.ts[at])
			f.merge(v, v.openRec(i), p, len(f.bounds))
		}
	}
}
