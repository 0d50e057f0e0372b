package features

import (
	"math/bits"
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// lasts folds last(…) of expressions without working them out for every row: only the
// newest row with a value shows. It goes from the end of a run of rows backwards, where
// bounds tell that no row on the way has a value that does not fit; that flag is all that
// a row left out could have shown.
type lasts struct {
	v      *viewState
	accs   []int   // that need no row but the newest with a value
	own    []part  // of each of them
	newest part    // of all of them
	others [2]part // of the other accumulators: those without a kernel, and all
	rest   []int   // the others that are folded row by row for the columns at hand
	bounds []op.Bound
}

// part is what some accumulators need of the row program, and the inputs that they read.
type part struct {
	accs   []int
	code   []op.Instr
	inputs []plan.Input
}

// worthwhile is the length of a run from which finding bounds pays.
const worthwhile = 3

func (l *lasts) init(v *viewState) {
	l.v = v
	if v.p.Parent >= 0 || v.p.Shape == plan.RowView || v.p.Row == nil || v.task.plan.plain {
		return
	}
	first := len(v.p.Row.Consts)
	for _, k := range v.slow {
		a := &v.p.Args[k]
		if v.p.Accs[k].Fn != op.Last || a.Where >= 0 || a.Reg < first {
			continue
		}
		if code := needed(v.p.Slow, []int{a.Reg}); len(code) > 0 && op.Boundable(code) && exactInputs(inputsOf(v, code, nil)) {
			l.accs = append(l.accs, k)
			l.own = append(l.own, v.part(v.p.Slow, []int{k}))
		}
	}
	if len(l.accs) == 0 {
		return
	}
	l.newest = v.part(v.p.Slow, l.accs)
	l.others[0] = v.part(v.p.Slow, l.without(v.slow))
	all := make([]int, len(v.p.Accs))
	for k := range all {
		all[k] = k
	}
	l.others[1] = v.part(v.p.Row.Code, l.without(all))
	l.bounds = make([]op.Bound, v.p.Row.Regs)
	for i := range v.p.Row.Consts {
		c := &v.p.Row.Consts[i]
		l.bounds[i] = op.Bound{Bits: c.W.BitLen(), Scale: c.S}
	}
}

// exactInputs reports whether all inputs are decimals of the payload.
func exactInputs(inputs []plan.Input) bool {
	return !slices.ContainsFunc(inputs, func(in plan.Input) bool {
		return in.Ref.Source != plan.Payload || in.Type != market.TypeDec
	})
}

func (l *lasts) without(accs []int) []int {
	return slices.DeleteFunc(slices.Clone(accs), func(k int) bool { return slices.Contains(l.accs, k) })
}

// part is the part of some code that some accumulators need.
func (v *viewState) part(code []op.Instr, accs []int) part {
	var regs []int
	for _, k := range accs {
		regs = append(regs, v.p.Args[k].Reg, v.p.Args[k].Where)
	}
	code = needed(code, regs)
	return part{accs, code, inputsOf(v, code, regs)}
}

// needed is the instructions that some registers need.
func needed(code []op.Instr, regs []int) []op.Instr {
	live := map[uint16]bool{}
	for _, r := range regs {
		if r >= 0 {
			live[uint16(r)] = true
		}
	}
	var out []op.Instr
	for _, in := range slices.Backward(code) {
		if live[in.Dst] {
			out = append(out, in)
			for _, r := range in.Operands() {
				live[r] = true
			}
		}
	}
	slices.Reverse(out)
	return out
}

// inputsOf lists the inputs that code reads, and those among some registers.
func inputsOf(v *viewState, code []op.Instr, regs []int) (inputs []plan.Input) {
	read := map[int]bool{}
	for _, r := range regs {
		read[r] = true
	}
	for i := range code {
		for _, r := range code[i].Operands() {
			read[int(r)] = true
		}
	}
	for i := range v.p.Inputs {
		if read[v.p.Inputs[i].Reg] {
			inputs = append(inputs, v.p.Inputs[i])
		}
	}
	return inputs
}

// choose settles which accumulators are folded row by row.
func (l *lasts) choose() {
	if len(l.accs) > 0 {
		l.rest = l.rest[:0]
		for _, k := range l.v.slowNow {
			if !slices.Contains(l.accs, k) {
				l.rest = append(l.rest, k)
			}
		}
	}
}

// fold folds rows lo to hi; false when they must go row by row.
func (l *lasts) fold(rec []uint64, c *cols, lo, hi int) bool {
	if len(l.accs) == 0 || hi-lo < worthwhile || !l.fits(c, lo, hi) {
		return false
	}
	v := l.v
	switch {
	case len(l.rest) == 0:
	case v.vec.on:
		v.vec.fold(rec, c, lo, hi)
	case len(v.slowNow) == len(v.slow):
		v.foldRowsOf(rec, c, lo, hi, &l.others[0], l.rest)
	default:
		v.foldRowsOf(rec, c, lo, hi, &l.others[1], l.rest)
	}
	for n, k := range l.accs {
		p, x := &l.own[n], &v.row.Regs[v.p.Args[k].Reg]
		for i := lastKnown(p.inputs, c, lo, hi-1); i >= lo; i = lastKnown(p.inputs, c, lo, i-1) {
			v.task.loadEvent(p.inputs, v.row.Regs, c, i)
			if v.row.RunCode(p.code); !x.Null {
				v.p.Accs[k].Fold(rec, x, c.ts[i], &v.task.sc)
				break
			}
		}
	}
	return true
}

// lastKnown is the last row from lo to i in which no input is null, less than lo when there
// is none: an expression whose bounds are known is null where one of its inputs is.
func lastKnown(inputs []plan.Input, c *cols, lo, i int) int {
	for k := 0; k < len(inputs) && i >= lo; k++ {
		at := inputs[k].Ref.Index
		if !c.hasNull[at] {
			continue
		}
		from := i
		for i >= lo && c.c[at].IsNull(i) {
			i--
		}
		if i < from {
			k = -1 // the inputs before this one may be null here
		}
	}
	return i
}

// fits finds the bounds of the inputs over rows lo to hi and asks whether they suffice.
func (l *lasts) fits(c *cols, lo, hi int) bool {
	for k := range l.newest.inputs {
		in := &l.newest.inputs[k]
		col := &c.c[in.Ref.Index]
		m, s := col.I64[lo:hi], col.Scale[lo:hi]
		hasNull := c.hasNull[in.Ref.Index]
		or, scale, seen := uint64(0), int8(0), false
		if !hasNull {
			if scale = s[0]; scaleRun(s) < len(s) {
				return false
			}
			for _, x := range m {
				or |= uint64(x ^ x>>63)
			}
			l.bounds[in.Reg] = op.Bound{Bits: bits.Len64(or) + 1, Scale: scale}
			continue
		}
		for i, x := range m {
			if col.IsNull(lo + i) {
				if in.Book && x != 0 {
					return false // one that did not fit
				}
				continue
			}
			if seen && s[i] != scale {
				return false
			}
			scale, seen = s[i], true
			or |= uint64(x ^ x>>63)
		}
		l.bounds[in.Reg] = op.Bound{Bits: bits.Len64(or) + 1, Scale: scale}
	}
	return op.Fits(l.newest.code, l.bounds)
}
