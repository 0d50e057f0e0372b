package plan

import (
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/market"
)

// FastKind is a form of accumulator input that a kernel folds column by column.
type FastKind uint8

// The forms.
const (
	Slow    FastKind = iota // through the row program
	NoArg                   // count()
	Column                  // one decimal column
	Product                 // the product of two decimal columns
)

// Fast describes the input of an accumulator to the kernels: payload columns A and B,
// and a filter Enum == Code when Enum is not negative.
type Fast struct {
	Kind FastKind
	A, B int
	Enum int
	Code int64
}

// fast recognises inputs that kernels take.
func (l *lowering) fast(fn op.Func, a arg) Fast {
	f := Fast{Enum: -1}
	if l.v.Parent >= 0 || l.v.Hold || l.v.Shape == Latest {
		return f
	}
	if a.cond != nil {
		e, code, ok := l.enumEqual(a.cond)
		if !ok {
			return f
		}
		f.Enum, f.Code = e, code
	}
	switch fn {
	case op.Count:
		if a.val.reg < 0 {
			f.Kind = NoArg
		}
	case op.First, op.Last, op.Min, op.Max:
		if c, ok := l.decColumn(a.node); ok {
			f.Kind, f.A = Column, c
		}
	case op.Sum:
		if c, ok := l.decColumn(a.node); ok {
			f.Kind, f.A = Column, c
		} else if a.node != nil && a.node.Op == lang.NMul {
			x, okx := l.decColumn(a.node.Args[0])
			y, oky := l.decColumn(a.node.Args[1])
			if okx && oky {
				f.Kind, f.A, f.B = Product, x, y
			}
		}
	}
	return f
}

// filter recognises row filters that need no program. It is called when only the filter
// has been written.
func (l *lowering) filter() Filter {
	f := Filter{Enum: -1}
	if l.v.Parent >= 0 {
		return f
	}
	if col, code, ok := l.enumEqual(l.v.Lang.Where); ok {
		f.Enum, f.Code = col, code
		return f
	}
	f.OfInstrument = len(l.v.Inputs) > 0
	for _, in := range l.v.Inputs {
		f.OfInstrument = f.OfInstrument && in.Ref.OfInstrument()
	}
	return f
}

// decColumn reports which payload column of decimals a node is.
func (l *lowering) decColumn(n *lang.Node) (int, bool) {
	return l.payload(n, market.TypeDec)
}

func (l *lowering) payload(n *lang.Node, t market.Type) (int, bool) {
	if n == nil || n.Op != lang.NColumn {
		return 0, false
	}
	if c := l.v.Lang.Columns[n.Index].Book; c != nil {
		return l.bookColumn(*c), t == market.TypeDec
	}
	for i, f := range l.v.Lang.Kinds.Fields(l.v.Kind) {
		if f.Name == l.v.Lang.Columns[n.Index].Name && f.Type == t {
			return i, true
		}
	}
	return 0, false
}

// enumEqual recognises column == word.
func (l *lowering) enumEqual(n *lang.Node) (col int, code int64, ok bool) {
	if n.Op != lang.NEq {
		return 0, 0, false
	}
	x, y := n.Args[0], n.Args[1]
	if x.Op == lang.NConst {
		x, y = y, x
	}
	col, ok = l.payload(x, market.TypeEnum)
	if !ok || y.Op != lang.NConst || y.Const.Null || y.Const.Dec.S != 0 || y.Const.Dec.M < 0 {
		return 0, 0, false
	}
	return col, y.Const.Dec.M, true
}
