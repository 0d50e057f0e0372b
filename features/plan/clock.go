package plan

import (
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
)

// Words of a tick that a member keeps, before the cells of the clock's features.
const (
	TickSrc   = iota // as HeldSrc of the row that closed a bar
	TickEpoch        // with TickSeq all ones when the tick stands after all rows of its instant
	TickSeq
	TickAvail
	TickHold
	TickFlags
	TickCells
)

// KeyWords are what the record of a bar that ticks has besides OpenWords: the key of the
// row that closed it.
const KeyWords = 3

// Clock is how a view takes its intervals from the rows of another one.
type Clock struct {
	View int   // the clock
	By   []int // places of its entity columns among those of this view
	Cols []TickCol
	Tick int // words of a tick
}

// TickCol is a feature of the clock that is kept with its ticks.
type TickCol struct {
	Reg   int // in the finish program of the clock
	Kind  op.Kind
	Round bool // a ratio, kept as the float64 nearest to it
	Cell  int  // offset in the tick
}

// clock lays out the window of a member and makes the clock's rows tick.
func (l *lowering) clock(at map[*lang.View]int) error {
	v, w := l.v, l.v.Lang.Window
	i, ok := at[w.Clock]
	if !ok {
		return fmt.Errorf("its clock has problems")
	}
	c := l.views[i]
	v.Shape, v.Pane, v.Keyed = ClockTicks, w.Reset, true
	v.Clock = &Clock{View: i, Tick: TickCells}
	v.Kinds |= c.Kinds
	for _, name := range w.Clock.By {
		k := slices.Index(v.EntityColumns(), name)
		if k < 0 {
			return fmt.Errorf("entity column %s of its clock is not one of it", name)
		}
		v.Clock.By = append(v.Clock.By, k)
	}
	c.tick()
	return nil
}

// tick makes bars of events keep the key of the row that closes them.
func (v *View) tick() {
	if v.Ticks {
		return
	}
	v.Ticks = true
	if v.Shape == Bar && v.Parent < 0 {
		v.Keyed, v.KeyAt = true, v.Stride
		v.Stride += KeyWords
	}
}

// clockColumn loads feature i of the tick.
func (l *lowering) clockColumn(i int) value {
	k := l.v.Clock
	out := l.views[k.View].Outs[i]
	col := TickCol{Reg: out.Reg, Kind: out.Kind, Cell: k.Tick}
	if col.Kind == op.KRatio {
		col.Kind, col.Round = op.KFloat, true
	}
	for n, c := range k.Cols {
		if c.Reg == col.Reg {
			return l.load(Load{Kind: LoadTick, Acc: n}, c.Kind)
		}
	}
	k.Cols = append(k.Cols, col)
	k.Tick += op.CellWords(col.Kind)
	return l.load(Load{Kind: LoadTick, Acc: len(k.Cols) - 1}, col.Kind)
}
