package plan

import (
	"fmt"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/market/num"
)

// OpenWords are what the record of a window that begins with a row has before its
// accumulators: the time of that row.
const OpenWords = 1

// Bars says when a bar closes: after the row that makes Cut true. The accumulators that
// it reads, Accs[From:], are its own, so that they can be folded row by row while the
// others are folded segment by segment.
type Bars struct {
	From  int
	Code  []op.Instr // the part of the row program that they need
	Cut   *op.Prog
	Loads []Load
	Reg   int // the condition

	Fast  Fast    // Cut is count() ≥ Size, or sum of a column or product ≥ Size; else Slow
	Size  num.Dec // of Fast and Split
	Split bool
	Part  int // split: place in Inputs of the column that is cut
}

// Folded is the number of accumulators that features read; those after them decide where
// a bar ends.
func (v *View) Folded() int {
	if v.Bars != nil {
		return v.Bars.From
	}
	return len(v.Accs)
}

// Begins reports whether windows begin with a row instead of on a grid.
func (v *View) Begins() bool { return v.Shape == Bar || v.Shape == Session }

// barWindow lays out the windows that begin with a row. Their grid of panes is the one of
// their resets.
func (l *lowering) barWindow(w lang.TypedWindow) error {
	v := l.v
	switch w.Kind {
	case lang.Bar:
		v.Shape = Bar
	case lang.Session:
		v.Shape = Session
	default:
		return fmt.Errorf("window %s is not yet in the engine", w.Kind)
	}
	if w.Reset <= 0 {
		return fmt.Errorf("window has no bound")
	}
	v.Pane, v.Stride = w.Reset, v.Stride+OpenWords
	return nil
}

// bars writes the program that tells the end of a bar.
func (l *lowering) bars() error {
	v := l.v
	if v.Shape != Bar {
		return nil
	}
	v.Bars = &Bars{From: len(v.Accs), Split: v.Lang.Window.Split}
	b, cut := v.Bars, v.Lang.Window.Cut
	own := *l
	own.fin, own.accs, own.loads, own.aggs, own.carry = newCoder(), map[string]int{}, map[string]value{}, map[int]value{}, false
	finish := v.Loads
	v.Loads = nil
	own.fin.resolve = func(n *lang.Node) (value, error) {
		if n.Op != lang.NAgg {
			return value{}, fmt.Errorf("bar of something else than aggregates")
		}
		return own.agg(n.Index)
	}
	x, err := own.fin.expr(cut)
	if err != nil {
		return fmt.Errorf("bar: %w", err)
	}
	b.Cut = own.fin.done([]int{x.reg})
	b.Reg = own.fin.at(x.reg)
	b.Loads, v.Loads = v.Loads, finish
	for i := range b.Loads {
		b.Loads[i].Reg = own.fin.at(b.Loads[i].Reg)
	}
	l.fastBar(cut)
	return nil
}

// fastBar recognises the bars that end where a running total of one accumulator does.
func (l *lowering) fastBar(cut *lang.Node) {
	v, b := l.v, l.v.Bars
	b.Fast = Fast{Enum: -1}
	x, size := cut.Args[0], cut.Args[1]
	if x.Op != lang.NAgg || size.Op != lang.NConst || len(v.Accs) != b.From+1 {
		return
	}
	b.Size = size.Const.Dec
	fn := v.Accs[b.From].Fn
	if fn == op.Count || fn == op.Sum {
		b.Fast = v.Args[b.From].Fast
	}
	if b.Split {
		col := l.inputs[v.Lang.Aggs[x.Index].Args[0].Index]
		for i := range v.Inputs {
			if v.Inputs[i].Reg == col.reg {
				b.Part = i
			}
		}
	}
}

// barCode finds what of the row program the end of a bar needs.
func (l *lowering) barCode() {
	var keep []int
	for _, a := range l.v.Args[l.v.Bars.From:] {
		keep = append(keep, a.Reg, a.Where)
	}
	l.v.Bars.Code = l.row.live(keep)
}
