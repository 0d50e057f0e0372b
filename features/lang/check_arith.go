package lang

import (
	"fmt"

	"github.com/pinova-group/tidemark/market/num"
)

func isNumber(k TypeKind) bool {
	return k == TInt || k == TDec || k == TRatio || k == TQ60 || k == TQ120 || k == TFloat
}

// joinKinds is the kind that holds both numbers: exact ones stay exact, with a float the
// result is a float; decimals and logarithms together have the digits of the logarithms.
func joinKinds(a, b TypeKind) TypeKind {
	switch {
	case a == b:
		return a
	case a == TFloat || b == TFloat:
		return TFloat
	case a == TRatio || b == TRatio:
		return TRatio
	case a == TQ120 || b == TQ120:
		return TQ120
	case a == TQ60 || b == TQ60:
		return TQ60
	}
	return TDec
}

// isConst tells that a node depends on literals and parameters alone. Their unit is not
// known, so they go with any.
func isConst(n *Node) bool {
	switch n.Op {
	case NConst:
		return true
	case NColumn, NAgg, NFeature, NScan, NWindowStart, NWindowEnd, NClock:
		return false
	}
	for _, a := range n.Args {
		if !isConst(a) {
			return false
		}
	}
	return true
}

// sameUnit returns the unit of two numbers that are added, compared or chosen between.
func sameUnit(l, r *Node) (string, bool) {
	switch {
	case l.Type.Unit == r.Type.Unit, isConst(r) && r.Type.Unit == "", r.Type.Kind == TNull:
		return l.Type.Unit, true
	case isConst(l) && l.Type.Unit == "", l.Type.Kind == TNull:
		return r.Type.Unit, true
	}
	return "", false
}

func unitName(u string) string {
	if u == "" {
		return "a plain number"
	}
	return u
}

var arithOps = map[string]NodeOp{"+": NAdd, "-": NSub, "*": NMul, "/": NDiv, "%": NMod}

// arith types + - * / %.
func (v *viewChecker) arith(e *Expr, l, r *Node) *Node {
	n := &Node{Op: arithOps[e.Text], Pos: e.Pos, Args: []*Node{l, r}}
	n.Type.Nullable = l.Type.Nullable || r.Type.Nullable || e.Text == "/" || e.Text == "%"
	if l.Type.Kind == TNull || r.Type.Kind == TNull {
		n.Type.Kind = TNull
		return v.mk(&Node{Op: NConst, Pos: e.Pos, Type: Type{Kind: TNull, Nullable: true}, Const: Value{Null: true}})
	}
	var ok bool
	switch e.Text {
	case "+", "-":
		ok = v.sum(e, n, l, r)
	case "*":
		ok = v.product(n, l, r)
	case "/":
		if r.Op == NConst && r.Const.Dec.M == 0 && (isNumber(r.Type.Kind) || r.Type.Kind == TDur) {
			v.problem(e.Args[1].Pos, "want a divisor other than 0", "division by zero")
			return v.badNode(e.Pos)
		}
		ok = v.quotient(n, l, r)
	case "%":
		ok = v.remainder(n, l, r)
	}
	if !ok {
		return v.badNode(e.Pos)
	}
	if n.Type.Kind == tBad {
		v.problem(e.Pos, "want numbers, or times and durations that go together", "%s %s %s", typeName(l.Type), e.Text, typeName(r.Type))
		return v.badNode(e.Pos)
	}
	if n.Op == NDiv {
		v.invert(n)
	}
	return v.fold(v.mk(n))
}

// sum types + and -. It reports a clash of units itself.
func (v *viewChecker) sum(e *Expr, n, l, r *Node) bool {
	lk, rk := l.Type.Kind, r.Type.Kind
	switch {
	case isNumber(lk) && isNumber(rk):
		u, same := sameUnit(l, r)
		if !same {
			v.problem(e.Pos, "want the same unit on both sides",
				"%s %s %s", unitName(l.Type.Unit), map[string]string{"+": "plus", "-": "minus"}[e.Text], unitName(r.Type.Unit))
			return false
		}
		n.Type.Kind, n.Type.Unit = joinKinds(lk, rk), u
	case lk == TDur && rk == TDur:
		n.Type.Kind = TDur
	case lk == TTime && rk == TDur, e.Text == "+" && lk == TDur && rk == TTime:
		n.Type.Kind = TTime
	case e.Text == "-" && lk == TTime && rk == TTime:
		n.Type.Kind = TDur
	default:
		n.Type.Kind = tBad
	}
	return true
}

// product types *. A duration counts in µs: times a whole number it stays a duration.
func (v *viewChecker) product(n, l, r *Node) bool {
	lk, rk := l.Type.Kind, r.Type.Kind
	switch {
	case isNumber(lk) && isNumber(rk):
		n.Type.Kind = joinKinds(lk, rk)
		switch logs := logarithms(lk) + logarithms(rk); {
		case logs > 2:
			n.Type.Kind = TRatio
		case logs == 2 && n.Type.Kind == TQ60:
			n.Type.Kind = TQ120
		}
	case lk == TDur && rk == TInt && r.Type.Unit == "", lk == TInt && rk == TDur && l.Type.Unit == "":
		n.Type.Kind = TDur
		return true
	case lk == TDur && isNumber(rk):
		n.Type.Kind = joinKinds(TInt, rk)
	case isNumber(lk) && rk == TDur:
		n.Type.Kind = joinKinds(lk, TInt)
	default:
		n.Type.Kind = tBad
		return true
	}
	n.Type.Unit = numUnit(l).times(numUnit(r), 1).String()
	if n.Type.Unit != "" && n.Type.Kind == TInt {
		n.Type.Kind = TDec
	}
	return true
}

// logarithms is how many of them a number is a product of; of one that is not exact, 0.
func logarithms(k TypeKind) int {
	switch k {
	case TQ60:
		return 1
	case TQ120:
		return 2
	}
	return 0
}

// numUnit is the unit of a number or duration.
func numUnit(n *Node) unit {
	if n.Type.Kind == TDur {
		return unit{time: 1}
	}
	return parseUnit(n.Type.Unit)
}

func (v *viewChecker) quotient(n, l, r *Node) bool {
	lk, rk := l.Type.Kind, r.Type.Kind
	if !isNumber(lk) && lk != TDur || !isNumber(rk) && rk != TDur {
		n.Type.Kind = tBad
		return true
	}
	n.Type.Kind = TRatio
	if lk == TFloat || rk == TFloat {
		n.Type.Kind = TFloat
	}
	n.Type.Unit = numUnit(l).times(numUnit(r), -1).String()
	return true
}

func (v *viewChecker) remainder(n, l, r *Node) bool {
	lk, rk := l.Type.Kind, r.Type.Kind
	u, same := sameUnit(l, r)
	switch {
	case lk == TDur && rk == TDur:
		n.Type.Kind = TDur
	case (lk == TInt || lk == TDec) && (rk == TInt || rk == TDec) && same:
		n.Type.Kind, n.Type.Unit = joinKinds(lk, rk), u
	default:
		n.Type.Kind = tBad
	}
	return true
}

// invert turns x / c into x * (1/c) where the inverse is a finite decimal and x is exact,
// so that (bid + ask) / 2 stays a decimal and half a logarithm one.
func (v *viewChecker) invert(n *Node) {
	l, r := n.Args[0], n.Args[1]
	if !isSummable(l.Type.Kind) || r.Op != NConst || r.Type.Kind != TInt && r.Type.Kind != TDec {
		return
	}
	inv, ok := inverse(r.Const.Dec)
	if !ok {
		return
	}
	n.Op = NMul
	n.Args = []*Node{l, v.constNode(r.Pos, Type{Kind: TDec}, inv)}
	n.Type.Kind = TDec
	if logarithms(l.Type.Kind) > 0 {
		n.Type.Kind = l.Type.Kind
	}
	n.Type.Nullable = l.Type.Nullable
}

// inverse is 1/d where that is a decimal of at most 18 digits.
func inverse(d num.Dec) (num.Dec, bool) {
	m, s, sign := d.M, int(d.S), int64(1)
	if m < 0 {
		m, sign = -m, -1
	}
	if m <= 0 {
		return num.Dec{}, false
	}
	// 1/(m·10^-s) = 10^s/m; with m = 2^a·5^b·10^c it has max(a, b) + c - s digits.
	digits := -s
	for m%10 == 0 {
		m, digits = m/10, digits+1
	}
	factor := int64(1)
	for ; m%2 == 0; m /= 2 {
		factor *= 5
		digits++
	}
	for ; m%5 == 0; m /= 5 {
		factor *= 2
		digits++
	}
	if m != 1 || digits > num.MaxScale {
		return num.Dec{}, false
	}
	for ; digits < 0; digits++ {
		if factor > (1<<62)/10 {
			return num.Dec{}, false
		}
		factor *= 10
	}
	return num.Dec{M: sign * factor, S: int8(digits)}, true
}

var compareOps = map[string]NodeOp{"==": NEq, "!=": NNe, "<": NLt, "<=": NLe, ">": NGt, ">=": NGe}

func (v *viewChecker) compare(e *Expr, s scope) *Node {
	for i, a := range e.Args {
		if a.Op == OpNull {
			other := e.Args[1-i]
			want := other.String() + " is null"
			if e.Text == "!=" {
				want = other.String() + " is not null"
			}
			v.problem(e.Pos, "want "+want, "a comparison with null is null")
			return v.badNode(e.Pos)
		}
	}
	l, r := v.sides(e.Args[0], e.Args[1], s)
	if isBadType(l, r) {
		return v.badNode(e.Pos)
	}
	if !v.comparable(l, r) {
		if isNumber(l.Type.Kind) && isNumber(r.Type.Kind) {
			v.problem(e.Pos, "want the same unit on both sides", "%s compared with %s", unitName(l.Type.Unit), unitName(r.Type.Unit))
		} else {
			v.problem(e.Pos, "want values of one type", "%s compared with %s", typeName(l.Type), typeName(r.Type))
		}
		return v.badNode(e.Pos)
	}
	op := compareOps[e.Text]
	if k := l.Type.Kind; op != NEq && op != NNe && (k == TBool || k == TEnum || k == TText || k == TID) {
		v.problem(e.Pos, "want == or !=", "%s has no order", typeName(l.Type))
		return v.badNode(e.Pos)
	}
	return v.fold(v.mk(&Node{Op: op, Pos: e.Pos, Type: Type{Kind: TBool, Nullable: l.Type.Nullable || r.Type.Nullable}, Args: []*Node{l, r}}))
}

// comparable tells that two values are of one type and unit.
func (v *viewChecker) comparable(l, r *Node) bool {
	a, b := l.Type.Kind, r.Type.Kind
	switch {
	case isNumber(a) && isNumber(b):
		_, same := sameUnit(l, r)
		return same
	case a == TEnum && b == TEnum:
		return fmt.Sprint(l.Type.Words) == fmt.Sprint(r.Type.Words)
	case a == TID && b == TText, a == TText && b == TID:
		return true
	case a == TNull || b == TNull:
		return true
	case a == TList || a == TBook:
		return false
	}
	return a == b
}
