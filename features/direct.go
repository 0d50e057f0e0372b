package features

import (
	"math"
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market/num"
)

// direct is a feature of a window that is worked out from the record as it stands: a value that an accumulator holds, or
// the quotient of two such values, of their sums or differences. Most features of bars are one of these, and the registers
// of the finish program take as long again as the values.
type direct struct {
	n, d  term // d of a quotient
	quo   bool
	count bool
	on    bool // else it is one for the finish program
}

// term is a, or a ± b.
type term struct {
	a, b *op.Acc
	sub  bool
}

// initDirect finds the features that need no finish program, where nothing but the row that leaves asks for it.
func (v *viewState) initDirect() {
	window := v.p.Shape == plan.Tumbling || v.p.Shape == plan.Rolling || v.p.Begins()
	asked := v.alerts.m != nil || v.p.Ticks || len(v.joiners)+len(v.members) > 0 ||
		slices.ContainsFunc(v.children, func(c *viewState) bool { return !c.p.Rollup })
	if !window || asked || v.task.plan.plain {
		return
	}
	outs := make([]direct, len(v.p.Outs))
	any := false
	for k := range outs {
		outs[k] = v.directOf(&v.p.Outs[k])
		any = any || outs[k].on
	}
	if any {
		v.direct = outs
	}
}

func (v *viewState) directOf(o *plan.Out) (d direct) {
	if a := v.loaded(o.Reg); a != nil {
		d.n.a = a
		d.count = o.As == plan.I64 && a.Fn == op.Count
		d.on = d.count || o.As == plan.F64 && o.Kind == op.KExact
		return d
	}
	if in := v.madeBy(o.Reg); in != nil && in.Op == op.QuoX && o.As == plan.F64 && o.Kind == op.KRatio {
		var top, bottom bool
		d.n, top = v.termOf(int(in.A))
		d.d, bottom = v.termOf(int(in.B))
		d.quo, d.on = true, top && bottom
	}
	return d
}

func (v *viewState) termOf(reg int) (t term, ok bool) {
	if t.a = v.loaded(reg); t.a != nil {
		return t, true
	}
	in := v.madeBy(reg)
	if in == nil || in.Op != op.AddX && in.Op != op.SubX {
		return t, false
	}
	t.a, t.b, t.sub = v.loaded(int(in.A)), v.loaded(int(in.B)), in.Op == op.SubX
	return t, t.a != nil && t.b != nil
}

// loaded is the accumulator whose value a register of the finish program has all the time, nil when there is none.
func (v *viewState) loaded(reg int) *op.Acc {
	if v.madeBy(reg) != nil {
		return nil
	}
	for i := range v.p.Loads {
		if ld := &v.p.Loads[i]; ld.Reg == reg && ld.Kind == plan.LoadAcc && v.p.Accs[ld.Acc].HasWord() {
			return &v.p.Accs[ld.Acc]
		}
	}
	return nil
}

// madeBy is the instruction that writes a register, nil for none. Each is written once at most.
func (v *viewState) madeBy(reg int) *op.Instr {
	for i := range v.p.Finish.Code {
		if in := &v.p.Finish.Code[i]; int(in.Dst) == reg {
			return in
		}
	}
	return nil
}

// store appends the feature of the record; false, and nothing is appended, when it is one for the finish program: a value
// that is missing or is wider than a word.
func (d *direct) store(rec []uint64, c *OutCol, n int) bool {
	rows := int64(rec[plan.MetaRows])
	x, s, ok := d.n.a.Word(rec, rows)
	if !ok {
		return false
	}
	if d.count {
		c.I64 = append(c.I64, x)
		return true
	}
	var f float64
	if d.quo {
		f, ok = d.quotient(x, s, rec, rows, c, n)
	} else {
		f, ok = num.WordFloat64(x, int(s))
	}
	if ok {
		c.F64 = append(c.F64, f)
	}
	return ok
}

// quotient is that of a feature whose dividend is x × 10^-s, or begins with it.
func (d *direct) quotient(x int64, sx int8, rec []uint64, rows int64, c *OutCol, n int) (f float64, ok bool) {
	y, sy, ok := d.d.a.Word(rec, rows)
	if !ok || !d.n.join(&x, &sx, rec, rows) || !d.d.join(&y, &sy, rec, rows) {
		return 0, false
	}
	if y == 0 {
		c.setNull(n)
		return 0, true
	}
	return num.QuoWords(x, y, int(sx), int(sy))
}

// join makes m × 10^-s, which is a, the value of the term; false when that is not of a word or of two scales.
func (t *term) join(m *int64, s *int8, rec []uint64, rows int64) bool {
	if t.b == nil {
		return true
	}
	x := *m
	y, sy, ok := t.b.Word(rec, rows)
	if t.sub {
		y = -y
	}
	z := x + y
	switch {
	case !ok || (x^z)&(y^z) < 0 || t.sub && y == math.MinInt64:
		return false
	case *s == sy:
	case y == 0:
	case x == 0:
		*s = sy
	default:
		return false
	}
	*m = z
	return true
}
