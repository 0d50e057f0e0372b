package plan

import (
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/market"
)

// Words of a held row after those of a state record and before the cells of its columns.
const (
	HeldStart = MetaWords + iota // window start of a parent's row, else the time
	HeldEnd                      // window end
	HeldSrc                      // of a keyed row of events: Src << 32 | permanent number of the instrument
	HeldEpoch
	HeldSeq
	HeldCells
)

// Kinds is a set of kinds of events.
type Kinds uint32

// Has reports whether a kind is in the set.
func (s Kinds) Has(k market.Kind) bool { return s>>k&1 == 1 }

func kindSet(k market.Kind) Kinds { return 1 << k }

// hold settles whether rows are held. The row of a row view of events is one: nothing says
// that it is final before the mark has passed it. Rows of a parent come when they are.
func (v *View) hold(lv *lang.View) {
	v.Hold = !v.Rollup && (lv.Holds || v.Shape == RowView && v.Parent < 0)
}

// layHeld gives each column its cell.
func (v *View) layHeld() {
	v.Held = HeldCells
	for i := range v.Inputs {
		if v.Inputs[i].Ref.Source != Joined { // those are found when the row is complete
			v.Inputs[i].Cell = v.Held
			v.Held += op.CellWords(v.Inputs[i].Kind)
		}
	}
	for i := range v.Joins {
		v.Joins[i].KeyWord = v.Held
		v.Held++
	}
}
