package features

import (
	"math"
	"math/bits"
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market/num"
)

// directRows is how many rows wait at most until their features are worked out together, and directWords how long their
// records may be: they stay in the first cache.
const (
	directRows  = 64
	directWords = 2048
)

// direct is the features of windows that are made of nothing but values that accumulators hold, as those of bars: records
// of rows wait, and features are worked out column by column. Loading registers for the finish program, and reading
// them again, takes longer than the values. What is not a number of a word, or neither a value that is held nor a quotient, is
// still the program's.
type direct struct {
	recs  []uint64 // of the rows that wait
	n     int      // their number
	accs  []*op.Acc
	words []directWord // beside accs
	outs  []directOut  // beside the features
	some  bool         // features are the program's
}

// directWord is what an accumulator holds in the rows that wait: m × 10^-s, or s is op.NoWord or op.NoValue.
type directWord struct {
	m [directRows]int64
	s [directRows]int8
}

// directOut is a feature: a value that is held, a number of rows, or a quotient.
type directOut struct {
	kind directKind
	n, d directTerm // d of a quotient
}

type directKind uint8

const (
	directNone directKind = iota
	directValue
	directCount
	directQuotient
)

// directTerm is a, or a ± b: places in accs.
type directTerm struct {
	a, b int // b is -1 for none
	sub  bool
}

// initDirect settles whether features are worked out so: nothing but the output may ask for them.
func (v *viewState) initDirect() {
	window := v.p.Shape == plan.Tumbling || v.p.Shape == plan.Rolling || v.p.Begins()
	asked := v.alerts.m != nil || v.p.Ticks || len(v.joiners)+len(v.members) > 0 ||
		slices.ContainsFunc(v.children, func(c *viewState) bool { return !c.p.Rollup })
	held := !slices.ContainsFunc(v.p.Loads, func(ld plan.Load) bool { return ld.Kind != plan.LoadAcc || !v.p.Accs[ld.Acc].HasColumn() })
	rows := min(directRows, directWords/v.p.Stride)
	if !window || asked || !held || rows < 8 || len(v.p.Finish.Steps) > 0 || v.task.plan.plain {
		return
	}
	d := &direct{recs: make([]uint64, rows*v.p.Stride)}
	direct := false
	for k := range v.p.Outs {
		o := v.directOf(d, &v.p.Outs[k])
		d.outs = append(d.outs, o)
		direct = direct || o.kind != directNone
		d.some = d.some || o.kind == directNone
	}
	if direct {
		d.words = make([]directWord, len(d.accs))
		v.direct, v.rec = d, d.recs[:v.p.Stride]
	}
}

func (v *viewState) directOf(d *direct, o *plan.Out) (out directOut) {
	in := v.madeBy(o.Reg)
	switch {
	case in == nil:
		a := v.loaded(d, o.Reg)
		switch {
		case a < 0:
			return out
		case o.As == plan.I64 && d.accs[a].Fn == op.Count:
			out.kind = directCount
		case o.As == plan.F64 && o.Kind == op.KExact:
			out.kind = directValue
		}
		out.n.a, out.n.b = a, -1
	case in.Op == op.QuoX && o.As == plan.F64 && o.Kind == op.KRatio:
		var top, bottom bool
		out.n, top = v.termOf(d, int(in.A))
		if out.d, bottom = v.termOf(d, int(in.B)); top && bottom {
			out.kind = directQuotient
		}
	}
	return out
}

func (v *viewState) termOf(d *direct, reg int) (t directTerm, ok bool) {
	in := v.madeBy(reg)
	if in == nil {
		t.a, t.b = v.loaded(d, reg), -1
		return t, t.a >= 0
	}
	if in.Op != op.AddX && in.Op != op.SubX || v.madeBy(int(in.A)) != nil || v.madeBy(int(in.B)) != nil {
		return t, false
	}
	t.a, t.b, t.sub = v.loaded(d, int(in.A)), v.loaded(d, int(in.B)), in.Op == op.SubX
	return t, t.a >= 0 && t.b >= 0
}

// loaded is the place of the accumulator whose value a register of the finish program has, -1 for a constant.
func (v *viewState) loaded(d *direct, reg int) int {
	for i := range v.p.Loads {
		if ld := &v.p.Loads[i]; ld.Reg == reg {
			a := &v.p.Accs[ld.Acc]
			if at := slices.Index(d.accs, a); at >= 0 {
				return at
			}
			d.accs = append(d.accs, a)
			return len(d.accs) - 1
		}
	}
	return -1
}

// madeBy is the instruction that writes a register, nil for none: each register has one at most.
func (v *viewState) madeBy(reg int) *op.Instr {
	for i := range v.p.Finish.Code {
		if in := &v.p.Finish.Code[i]; int(in.Dst) == reg {
			return in
		}
	}
	return nil
}

// nextRec lets the next row be made behind those that wait.
func (v *viewState) nextRec() {
	if v.direct != nil {
		v.rec = v.directRec(v.direct.n)
	}
}

func (v *viewState) directRec(r int) []uint64 {
	n := v.p.Stride
	return v.direct.recs[r*n : r*n+n : r*n+n]
}

// wait leaves the features of the row in v.rec, of which all else is in the output, until there are enough of them.
func (v *viewState) wait() {
	d := v.direct
	if d.n++; (d.n+1)*v.p.Stride > len(d.recs) {
		v.flush()
	}
}

// flush works out the features of the rows that wait.
func (v *viewState) flush() {
	d := v.direct
	if d == nil || d.n == 0 {
		return
	}
	for k, a := range d.accs {
		w := &d.words[k]
		a.Column(d.recs, v.p.Stride, plan.MetaRows, w.m[:d.n], w.s[:d.n])
	}
	rec, from := v.rec, v.out.Len()-d.n
	for k := range d.outs {
		o, c := &d.outs[k], &v.out.Features[k]
		switch o.kind {
		case directCount:
			c.I64 = append(c.I64, d.words[o.n.a].m[:d.n]...)
		case directValue:
			v.flushValues(k, from)
		case directQuotient:
			v.flushQuotients(k, from)
		}
	}
	for r := 0; d.some && r < d.n; r++ {
		v.finishRow(r)
		for k := range d.outs {
			if d.outs[k].kind == directNone {
				v.storeRow(k, from+r)
			}
		}
	}
	v.rec, d.n = rec, 0
}

// flushValues appends feature k of the rows from on.
func (v *viewState) flushValues(k, from int) {
	d, c := v.direct, &v.out.Features[k]
	w := &d.words[d.outs[k].n.a]
	for r, m := range w.m[:d.n] {
		s := w.s[r]
		if f, ok := num.WordFloat64(m, int(s)); ok { // none of a negative scale
			c.F64 = append(c.F64, f)
		} else {
			v.odd(k, from, r, s == op.NoValue)
		}
	}
}

// odd appends feature k of a row that is null, or one for the finish program.
func (v *viewState) odd(k, from, r int, null bool) {
	if c := &v.out.Features[k]; null {
		c.setNull(from + r)
		c.F64 = append(c.F64, 0)
		return
	}
	v.finishRow(r)
	v.storeRow(k, from+r)
}

func (v *viewState) flushQuotients(k, from int) {
	d, c := v.direct, &v.out.Features[k]
	o := &d.outs[k]
	for r := range d.n {
		x, sx := d.term(&o.n, r)
		y, sy := d.term(&o.d, r)
		if f, ok := num.QuoWords(x, y, int(sx), int(sy)); ok {
			c.F64 = append(c.F64, f)
		} else {
			v.odd(k, from, r, sx != op.NoWord && sy != op.NoWord && (sx == op.NoValue || sy == op.NoValue || y == 0))
		}
	}
}

// term is m × 10^-s, or s is op.NoWord or op.NoValue.
func (d *direct) term(t *directTerm, r int) (m int64, s int8) {
	w := &d.words[t.a]
	m, s = w.m[r], w.s[r]
	if t.b < 0 {
		return m, s
	}
	w = &d.words[t.b]
	y, sy := w.m[r], w.s[r]
	switch {
	case s == op.NoWord || sy == op.NoWord:
		return 0, op.NoWord
	case s == op.NoValue || sy == op.NoValue:
		return 0, op.NoValue
	case s != sy:
		if m, s, y, sy = aligned(m, s, y, sy); s != sy {
			return 0, op.NoWord
		}
	}
	z := m + y
	over := (m^z)&(y^z) < 0
	if t.sub {
		z = m - y
		over = (m^y)&(m^z) < 0
	}
	if over {
		return 0, op.NoWord
	}
	return z, s
}

// aligned brings the coarser of two numbers to the scale of the other if it is one of a word then.
func aligned(m int64, s int8, y int64, sy int8) (int64, int8, int64, int8) {
	if s > sy {
		y, sy, m, s = aligned(y, sy, m, s)
		return m, s, y, sy
	}
	k := int(sy) - int(s)
	if k >= len(num.Pow10) {
		return m, s, y, sy
	}
	if hi, lo := bits.Mul64(uint64(max(m, -m)), num.Pow10[k]); m != math.MinInt64 && hi == 0 && lo <= math.MaxInt64 {
		return m * int64(num.Pow10[k]), sy, y, sy
	}
	return m, s, y, sy
}

// finishRow runs the finish program for a row that waits.
func (v *viewState) finishRow(r int) {
	v.rec = v.directRec(r)
	v.finish(0, &v.now) // which loads from the record alone
}
