package plan

import (
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
)

// Scans is what a view needs to run a program with steps: the row program of a view with
// a window, the finish program of a row view.
type Scans struct {
	Prog          *op.Prog
	Keeps         [][]op.Instr // by level (see Frames): what does not depend on steps that reset
	Resets        [][]op.Instr // the rest
	KeepWords     int          // state of the steps in Keeps
	ResetWords    int          // of those in Resets, once for each instance
	Span          int64        // how long the state in Keeps matters after a row
	Reset, Warmup int64
}

// scanFns are the scans by name.
var scanFns = map[string]op.Scan{
	"prev": op.Prev, "cum": op.Cum, "ema": op.EMA, "wilder": op.Wilder,
	"ewm": op.EWM, "decay_sum": op.DecaySum, "since": op.Since,
}

// scan adds a step, or finds an equal one.
func (c *coder) scan(n *lang.Node, x value) (value, error) {
	s := op.Step{Fn: scanFns[n.Fn]}
	for _, a := range n.Args[1:] {
		if a.Type.Kind == lang.TDur {
			s.Span = a.Const.Dec.M
		} else {
			s.N = int(a.Const.Dec.M)
		}
	}
	var err error
	out := op.KFloat
	switch s.Fn {
	case op.Prev:
		if x.kind == op.KRatio {
			x, err = c.convert(x, op.KFloat)
		}
		out = x.kind
	case op.Cum:
		out = x.kind
	case op.Since:
		x, err = c.convert(x, op.KBool)
		out = op.KExact
	default:
		x, err = c.convert(x, op.KFloat)
	}
	if err != nil || x.kind == op.KNull || x.kind == op.KText || s.Fn == op.Cum && !x.kind.Fixed() {
		return x, fmt.Errorf("%s: its argument cannot be kept", n.Fn)
	}
	s.Kind, s.Arg = x.kind, x.reg
	at := slices.IndexFunc(c.steps, func(o op.Step) bool {
		return o.Fn == s.Fn && o.Kind == s.Kind && o.Arg == s.Arg && o.N == s.N && o.Span == s.Span
	})
	if at < 0 {
		at = len(c.steps)
		c.steps = append(c.steps, s)
	}
	return c.emit(out, op.Instr{Op: op.Advance, A: uint16(x.reg), N: int32(at)}), nil
}

// scans finishes a program with steps; nil when it has none that are needed.
func (l *lowering) scans(c *coder, p *op.Prog) *Scans {
	s := &Scans{Prog: p, Reset: l.v.Lang.Reset, Warmup: l.v.Lang.Warmup}
	from := map[uint16][]int{} // steps that a register's value comes from, by the shortest way
	resets, levels := map[uint16]bool{}, map[uint16]int{}
	n := 1
	if f := l.v.Frames; f != nil && c == l.fin {
		n = f.Levels
		for i := range f.Frames {
			for _, ld := range f.Frames[i].Loads {
				levels[uint16(ld.Reg)] = f.Frames[i].Level
			}
		}
	}
	s.Keeps, s.Resets = make([][]op.Instr, n), make([][]op.Instr, n)
	for i := range p.Code {
		in := &p.Code[i]
		var reads []int
		again, level := false, 0
		for _, r := range in.Operands() {
			reads = append(reads, from[r]...)
			again = again || resets[r]
			level = max(level, levels[r])
		}
		slices.Sort(reads)
		reads = slices.Compact(reads)
		if in.Op == op.Advance {
			st := c.steps[in.N]
			st.Arg, st.Reads = int(in.A), reads
			st.Resets = again || st.Fn.Remembers()
			if again = st.Resets; again {
				st.Off = s.ResetWords
				s.ResetWords += st.Words()
			} else {
				st.Off = s.KeepWords
				s.KeepWords += st.Words()
				s.Span = max(s.Span, st.Span)
			}
			in.N, reads = int32(len(p.Steps)), []int{len(p.Steps)}
			p.Steps = append(p.Steps, st)
		}
		from[in.Dst], resets[in.Dst], levels[in.Dst] = reads, again, level
		if again {
			s.Resets[level] = append(s.Resets[level], *in)
		} else {
			s.Keeps[level] = append(s.Keeps[level], *in)
		}
	}
	if len(p.Steps) == 0 && n == 1 {
		return nil
	}
	return s
}
