package features

import (
	"math/bits"
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market/num"
)

// Arguments that are worked out of columns (price * quantity, if(side == buy, …)) are wide: lanes
// of 128 bits give them as rows come, and frames ask for their sums alone.

// fastWide is such an argument of the rows of an entity.
type fastWide struct {
	sums  []num.Nat128 // for each row, and the next one, the sum of all rows before it, modulo 2^128
	scale int8         // the finest that has come
	least int8         // and the coarsest
	own   []int8       // the scale that each row came with, nil while it is the finest
	bits  int          // values have no more, at that scale
}

// wideBits bounds sums of wide arguments, in bits.
const wideBits = 122

// fastWides is what the plan has of them.
type fastWides struct {
	regs   []int // of the finish program, by wide argument
	inputs []int // register of each argument that is a column, -1 for none
	m      *op.Vector

	// Rows on their way in, by wide argument: values as they came, and their scales.
	x      [][]num.Nat128
	scales [][]int8
}

// wideArg finds the wide argument that a register has, or makes it; false when lanes cannot
// work it out.
func (v *viewState) wideArg(p *fastFrames, reg int) (int, bool) {
	w := &p.wide
	if k := slices.Index(w.regs, reg); k >= 0 {
		return k, true
	}
	if w.m == nil {
		kinds := map[int]op.Kind{}
		w.inputs = make([]int, len(p.args))
		for a := range p.args {
			w.inputs[a] = -1
			for _, ld := range v.p.Loads {
				if v.columnArg(ld.Reg) == a {
					w.inputs[a] = ld.Reg
					kinds[ld.Reg] = op.KExact
				}
			}
		}
		var ok bool
		if w.m, ok = op.NewVector(v.p.Scans.Prog, v.p.Scans.Keeps[0], kinds); !ok {
			return 0, false
		}
	}
	if !slices.ContainsFunc(v.p.Scans.Keeps[0], func(in op.Instr) bool { return int(in.Dst) == reg }) {
		return 0, false // a constant
	}
	w.regs, w.x, w.scales = append(w.regs, reg), append(w.x, nil), append(w.scales, nil)
	return len(w.regs) - 1, true
}

// fitWide works the wide arguments of rows out and returns how many fit.
func (s *fastState) fitWide(p *fastFrames, rows int) int {
	w := &p.wide
	w.clear()
	for lo := 0; lo < rows && len(w.regs) > 0; {
		n := min(rows-lo, op.VectorRows)
		for a, in := range p.in {
			if w.inputs[a] >= 0 && in.scales != nil {
				n = scaleRun(in.scales[lo : lo+n])
			}
		}
		for a, in := range p.in {
			if w.inputs[a] < 0 {
				continue
			}
			scale := int8(0)
			if in.scales != nil {
				scale = in.scales[lo]
			}
			w.m.Load(w.inputs[a], in.x[lo:lo+n], scale)
		}
		coming := len(w.x[0])
		if !s.runWide(p, n, len(s.ts)+coming == 0, len(s.ts)+coming+n) {
			return lo
		}
		lo += n
	}
	return rows
}

func (w *fastWides) clear() {
	for d := range w.regs {
		w.x[d], w.scales[d] = w.x[d][:0], w.scales[d][:0]
	}
}

// runWide works out n rows whose columns lanes have, the newest of all; false when they do not fit. fresh
// are the first ones.
func (s *fastState) runWide(p *fastFrames, n int, fresh bool, all int) bool {
	w := &p.wide
	if !w.m.Run(n) {
		return false
	}
	for d, reg := range w.regs {
		l := w.m.Lanes(reg)
		if !s.wideFits(p, d, l.S, l.Bits(), fresh, all) {
			return false
		}
	}
	for d, reg := range w.regs {
		l := w.m.Lanes(reg)
		hi, lo := l.Hi[:n], l.Lo[:n]
		for i, h := range hi {
			w.x[d] = append(w.x[d], num.Nat128{Hi: uint64(h), Lo: lo[i]})
			w.scales[d] = append(w.scales[d], l.S)
		}
	}
	return true
}

// wideFits brings a wide argument to a scale, and tells that no sum of so many rows, the newest with
// values of so many bits, can leave the bounds.
func (s *fastState) wideFits(p *fastFrames, d int, scale int8, size int, fresh bool, rows int) bool {
	w := &s.wide[d]
	if fresh {
		w.scale, w.least, w.own, w.bits = scale, scale, nil, 0
	}
	have, least := w.bits, min(scale, w.least)
	switch {
	case max(scale, w.scale)-least > num.MaxScale, p.oneScale && scale != w.scale:
		return false
	case scale > w.scale:
		have += bits.Len64(num.Pow10[scale-w.scale])
	case scale < w.scale:
		size += bits.Len64(num.Pow10[w.scale-scale])
	}
	most := max(have, size)
	if most+bits.Len64(uint64(rows)) > wideBits {
		return false
	}
	w.bits, w.least = most, least
	if scale > w.scale {
		if w.own == nil {
			w.own = slices.Repeat([]int8{w.scale}, len(s.ts))
		}
		f := num.Pow10[scale-w.scale]
		for i := range w.sums {
			w.sums[i] = w.sums[i].Times(f)
		}
		w.scale = scale
	}
	return true
}

// pushWide takes the wide arguments of n rows, which are the newest.
func (s *fastState) pushWide(p *fastFrames, n int) {
	at := len(s.ts) - n
	for d := range s.wide {
		w := &s.wide[d]
		x, scales := p.wide.x[d][:n], p.wide.scales[d][:n]
		if w.own == nil && slices.ContainsFunc(scales, func(x int8) bool { return x != w.scale }) {
			w.own = slices.Repeat([]int8{w.scale}, at)
		}
		if w.own != nil {
			w.own = append(w.own, scales...)
		}
		w.sums = extend(w.sums, at+1+n)
		sum, sums := w.sums[at], w.sums[at+1:][:n]
		for i, v := range x {
			if k := w.scale - scales[i]; k != 0 {
				v = v.Times(num.Pow10[k])
			}
			sum = sum.Plus(v)
			sums[i] = sum
		}
	}
}

// loadWide sets x to a wide argument of a row as it came.
func (s *fastState) loadWide(x *op.Val, d, at int) {
	w := &s.wide[d]
	v, scale := w.sums[at+1].Minus(w.sums[at]), w.scale
	if w.own != nil && w.own[at] != scale {
		neg := v.Hi>>63 == 1
		if neg {
			v = num.Nat128{}.Minus(v)
		}
		hi, r := bits.Div64(0, v.Hi, num.Pow10[scale-w.own[at]])
		lo, _ := bits.Div64(r, v.Lo, num.Pow10[scale-w.own[at]])
		if v, scale = (num.Nat128{Hi: hi, Lo: lo}), w.own[at]; neg {
			v = num.Nat128{}.Minus(v)
		}
	}
	x.SetDec(0, scale)
	x.W = signed192(v)
}

func signed192(v num.Nat128) num.Int192 {
	return num.Int192{v.Lo, v.Hi, uint64(int64(v.Hi) >> 63)}
}

// ringWide takes the wide arguments of one row from cells.
func (s *fastState) ringWide(p *fastFrames, cell func(d int) []uint64) bool {
	w := &p.wide
	w.clear()
	for d := range w.regs {
		c := cell(d)
		if c == nil || c[0]&0xff != 1 || c[3] != uint64(int64(c[2])>>63) {
			return false
		}
		x := num.Int192{c[1], c[2], c[3]}
		if scale := int8(c[0] >> 8); !s.wideFits(p, d, scale, x.BitLen()+1, len(s.ts) == 0, len(s.ts)+1) {
			return false
		}
		w.x[d], w.scales[d] = append(w.x[d], num.Nat128{Hi: c[2], Lo: c[1]}), append(w.scales[d], int8(c[0]>>8))
	}
	return true
}

// forget drops the first k rows.
func (w *fastWide) forget(k int) {
	w.sums = cutFront(w.sums, k)
	if w.own != nil {
		w.own = cutFront(w.own, k)
	}
}

// cut forgets the rows from a place on.
func (w *fastWide) cut(n int) {
	w.sums = w.sums[:n+1]
	if w.own != nil {
		w.own = w.own[:n]
	}
}

// fastTerm is a sum over a frame, or a count of its rows.
type fastTerm struct {
	count bool
	wide  bool
	frame int
	arg   int
}

func (f *fastOut) term() fastTerm {
	return fastTerm{count: f.fn == fastCount, wide: f.wide, frame: f.frame, arg: f.arg}
}

// sum is a term at an instant of a block.
func (s *fastState) sum(b *fastBlock, t *fastTerm, j int) (num.Int192, int) {
	lo, hi := b.first[t.frame*blockRows+j], b.ends[j]
	switch {
	case t.count:
		return num.FromInt64(int64(hi) - int64(lo)), 0
	case t.wide:
		w := &s.wide[t.arg]
		return signed192(w.sums[hi].Minus(w.sums[lo])), int(w.scale)
	}
	a := &s.args[t.arg]
	return num.FromInt64(a.before[hi] - a.before[lo]), int(a.scale)
}

// fastRatio works out sums of wide arguments, and quotients of two sums; true when some are
// null, where the divisor is 0.
func (s *fastState) fastRatio(b *fastBlock, f *fastOut, dst []float64) (nulls bool) {
	t := f.term()
	for j := range dst {
		if f.fn != fastQuo {
			x, scale := s.sum(b, &t, j)
			dst[j], _ = num.Float64Of(&x, scale)
			continue
		}
		x, ok := s.ratioOf(b, f, j)
		dst[j], b.lost[j] = x, !ok
		nulls = nulls || !ok
	}
	return nulls
}

// ratioOf is the quotient of two sums at an instant of a block, false where the divisor is 0.
func (s *fastState) ratioOf(b *fastBlock, f *fastOut, j int) (float64, bool) {
	y, of := s.sum(b, &f.den, j)
	if y.Sign() == 0 {
		return 0, false
	}
	x, scale := s.sum(b, &f.num, j)
	q, _ := num.QuoFloat64(&x, scale, &y, of)
	return q, true
}

// byRows settles whether frames are of numbers of rows: all, and one of them the longest by rows
// and by time.
func (p *fastFrames) byRows(f *plan.Frames) bool {
	for k := range f.Frames {
		fr := &f.Frames[k]
		p.rows = append(p.rows, fr.Rows)
		if fr.Rows > 0 != (f.Frames[0].Rows > 0) {
			return false
		}
		if l := &f.Frames[p.longest]; fr.Rows >= l.Rows && fr.Span >= l.Span {
			p.longest = k
		}
	}
	l := &f.Frames[p.longest]
	return l.Rows == 0 || !slices.ContainsFunc(f.Frames, func(fr plan.Frame) bool { return fr.Rows > l.Rows || fr.Span > l.Span })
}

// moveRows finds the first row of each frame of rows at each row.
func (s *fastState) moveRows(p *fastFrames, b *fastBlock) {
	b.first = grow(b.first, len(p.spans)*blockRows)
	at := s.first[:len(p.spans)]
	for j, t := range b.limit[:b.n] {
		for k, span := range p.spans {
			i := max(at[k], int(b.ends[j])-p.rows[k])
			for s.ts[i] < t-span {
				i++
			}
			at[k], b.first[k*blockRows+j] = i, uint32(i)
		}
	}
}

// short tells that a frame of rows has fewer than it asks for.
func (p *fastFrames) short(b *fastBlock, j int) bool {
	for k, n := range p.rows {
		if n > 0 && int(b.ends[j])-int(b.first[k*blockRows+j]) < n {
			return true
		}
	}
	return false
}
