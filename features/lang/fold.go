package lang

import (
	"math/big"

	"github.com/pinova-group/tidemark/market/num"
)

// fold computes a node whose operands are constants. What does not fit a decimal of 63
// bits and 18 digits, and every quotient that is not finite, stays as it is written.
func (v *viewChecker) fold(n *Node) *Node {
	if n.Type.Kind == tBad || len(n.Args) == 0 {
		return n
	}
	for _, a := range n.Args {
		if a.Op != NConst {
			return n
		}
	}
	switch n.Op {
	case NNeg, NAdd, NSub, NMul, NMod:
		return v.foldArith(n)
	case NEq, NNe, NLt, NLe, NGt, NGe:
		return v.foldCompare(n)
	case NNot, NAnd, NOr:
		return v.foldLogic(n)
	case NIsNull:
		return v.boolNode(n.Pos, n.Args[0].Const.Null != n.Not)
	case NIn:
		if n.Args[0].Const.Null {
			return n
		}
		for _, a := range n.Args[1:] {
			if c, ok := compareConst(n.Args[0], a); ok && c == 0 {
				return v.boolNode(n.Pos, true)
			}
		}
		return v.boolNode(n.Pos, false)
	}
	return n
}

func (v *viewChecker) foldArith(n *Node) *Node {
	x := n.Args[0].Const
	if x.Null || len(n.Args) == 2 && n.Args[1].Const.Null {
		return n
	}
	a := new(big.Int).SetInt64(x.Dec.M)
	scale := int(x.Dec.S)
	if n.Op == NNeg {
		a.Neg(a)
		return v.foldedDec(n, a, scale)
	}
	y := n.Args[1].Const
	b := new(big.Int).SetInt64(y.Dec.M)
	if n.Op == NMul {
		return v.foldedDec(n, a.Mul(a, b), scale+int(y.Dec.S))
	}
	for ; scale < int(y.Dec.S); scale++ {
		a.Mul(a, big.NewInt(10))
	}
	for s := int(y.Dec.S); s < scale; s++ {
		b.Mul(b, big.NewInt(10))
	}
	switch n.Op {
	case NAdd:
		a.Add(a, b)
	case NSub:
		a.Sub(a, b)
	default:
		if b.Sign() == 0 {
			return n
		}
		a.Rem(a, b)
	}
	return v.foldedDec(n, a, scale)
}

func (v *viewChecker) foldedDec(n *Node, m *big.Int, scale int) *Node {
	if !m.IsInt64() || scale > num.MaxScale {
		return n
	}
	t := n.Type
	t.Nullable = false
	return v.constNode(n.Pos, t, num.Dec{M: m.Int64(), S: int8(scale)})
}

func (v *viewChecker) foldCompare(n *Node) *Node {
	c, ok := compareConst(n.Args[0], n.Args[1])
	if !ok {
		return n
	}
	return v.boolNode(n.Pos, map[NodeOp]bool{
		NEq: c == 0, NNe: c != 0, NLt: c < 0, NLe: c <= 0, NGt: c > 0, NGe: c >= 0,
	}[n.Op])
}

// compareConst orders two constants of one type; false when one is null or they differ.
func compareConst(a, b *Node) (int, bool) {
	if a.Const.Null || b.Const.Null {
		return 0, false
	}
	aText, bText := a.Type.Kind == TText || a.Type.Kind == TID, b.Type.Kind == TText || b.Type.Kind == TID
	switch {
	case aText && bText && a.Const.Text == b.Const.Text:
		return 0, true
	case aText && bText && a.Const.Text < b.Const.Text:
		return -1, true
	case aText || bText:
		return 1, aText && bText
	}
	return compareDec(a.Const.Dec, b.Const.Dec), true
}

// compareDec orders two decimals by value.
func compareDec(a, b num.Dec) int {
	x, y := big.NewInt(a.M), big.NewInt(b.M)
	for s := a.S; s < b.S; s++ {
		x.Mul(x, big.NewInt(10))
	}
	for s := b.S; s < a.S; s++ {
		y.Mul(y, big.NewInt(10))
	}
	return x.Cmp(y)
}

// foldLogic is Kleene's logic on constants.
func (v *viewChecker) foldLogic(n *Node) *Node {
	truth := func(k int) int { // -1 false, 0 unknown, 1 true
		c := n.Args[k].Const
		switch {
		case c.Null:
			return 0
		case c.Dec.M != 0:
			return 1
		}
		return -1
	}
	t := truth(0)
	switch n.Op {
	case NNot:
		t = -t
	case NAnd:
		t = min(t, truth(1))
	case NOr:
		t = max(t, truth(1))
	}
	if t == 0 {
		return v.mk(&Node{Op: NConst, Pos: n.Pos, Type: Type{Kind: TBool, Nullable: true}, Const: Value{Null: true}})
	}
	return v.boolNode(n.Pos, t > 0)
}
