package explain

import (
	"math"
	"math/big"
	"strings"
	"sync"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market/num"
)

// The values of a row are worked out a second time, apart from the engine, by the text
// of the language over rationals: slowly, and plainly enough to be read.

// value is nil (null), bool, *big.Rat (exact numbers, ratios, logarithms, times, codes of
// enums), float64, string, or near.
type value any

// near is a value that may differ from the engine's by a relative error: a quantile.
type near struct{ f, tol float64 }

func whole(i int64) *big.Rat { return new(big.Rat).SetInt64(i) }

func exact(d num.Dec) *big.Rat {
	return new(big.Rat).SetFrac(big.NewInt(d.M), pow10(int(d.S)))
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// eval evaluates a node; leaf gives columns, aggregates, features and window bounds.
func eval(n *lang.Node, leaf func(*lang.Node) value) value {
	switch n.Op {
	case lang.NConst:
		return constant(n)
	case lang.NColumn, lang.NAgg, lang.NFeature, lang.NWindowStart, lang.NWindowEnd, lang.NRank, lang.NScan, lang.NClock:
		return leaf(n)
	}
	args := make([]value, len(n.Args))
	for i, a := range n.Args {
		args[i] = eval(a, leaf)
	}
	if v, done := logic(n, args); done {
		return v
	}
	for _, a := range args {
		if a == nil {
			return nil
		}
	}
	switch n.Op {
	case lang.NNot:
		return !args[0].(bool)
	case lang.NEq:
		return compare(args[0], args[1]) == 0
	case lang.NNe:
		return compare(args[0], args[1]) != 0
	case lang.NLt:
		return compare(args[0], args[1]) < 0
	case lang.NLe:
		return compare(args[0], args[1]) <= 0
	case lang.NGt:
		return compare(args[0], args[1]) > 0
	case lang.NGe:
		return compare(args[0], args[1]) >= 0
	case lang.NNeg:
		return arith(lang.NSub, whole(0), args[0])
	case lang.NCall:
		return call(n, args)
	}
	return arith(n.Op, args[0], args[1])
}

func constant(n *lang.Node) value {
	switch {
	case n.Const.Null || n.Type.Kind == lang.TNull:
		return nil
	case n.Type.Kind == lang.TBool:
		return n.Const.Dec.M != 0
	case n.Type.Kind == lang.TText || n.Type.Kind == lang.TID:
		return n.Const.Text
	}
	return exact(n.Const.Dec)
}

// logic evaluates what does not simply pass a null on.
func logic(n *lang.Node, args []value) (v value, done bool) {
	switch {
	case n.Op == lang.NAnd || n.Op == lang.NOr:
		decides, null := n.Op == lang.NOr, false
		for _, a := range args {
			if a == nil {
				null = true
			} else if a.(bool) == decides {
				return decides, true
			}
		}
		if null {
			return nil, true
		}
		return !decides, true
	case n.Op == lang.NIsNull:
		return (args[0] == nil) != n.Not, true
	case n.Op == lang.NIf:
		if c, _ := args[0].(bool); c {
			return args[1], true
		}
		return args[2], true
	case n.Op == lang.NIn:
		if args[0] == nil {
			return nil, true
		}
		for _, a := range args[1:] {
			if compare(args[0], a) == 0 {
				return true, true
			}
		}
		return false, true
	case n.Op == lang.NCall && n.Fn == "coalesce":
		for _, a := range args {
			if a != nil {
				return a, true
			}
		}
		return nil, true
	}
	return nil, false
}

func float(x value) float64 {
	switch x := x.(type) {
	case float64:
		return x
	case near:
		return x.f
	case *big.Rat:
		f, _ := x.Float64()
		return f
	}
	return math.NaN()
}

func compare(a, b value) int {
	switch x := a.(type) {
	case string:
		y, _ := b.(string)
		return strings.Compare(x, y)
	case bool:
		if x == b {
			return 0
		}
		return 1
	case *big.Rat:
		if y, ok := b.(*big.Rat); ok {
			return x.Cmp(y)
		}
	}
	switch x, y := float(a), float(b); {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func arith(o lang.NodeOp, a, b value) value {
	x, okx := a.(*big.Rat)
	y, oky := b.(*big.Rat)
	if !okx || !oky {
		return arithFloat(o, a, b)
	}
	z := new(big.Rat)
	switch o {
	case lang.NAdd:
		return z.Add(x, y)
	case lang.NSub:
		return z.Sub(x, y)
	case lang.NMul:
		return z.Mul(x, y)
	}
	if y.Sign() == 0 {
		return nil
	}
	q := new(big.Rat).Quo(x, y)
	if o == lang.NDiv {
		return q
	}
	cut := new(big.Rat).SetInt(new(big.Int).Quo(q.Num(), q.Denom()))
	return z.Sub(x, cut.Mul(cut, y))
}

func arithFloat(o lang.NodeOp, a, b value) value {
	f, g, r := float(a), float(b), 0.0
	switch o {
	case lang.NAdd:
		r = f + g
	case lang.NSub:
		r = f - g
	case lang.NMul:
		r = f * g
	case lang.NDiv:
		r = f / g
	}
	if math.IsInf(r, 0) || math.IsNaN(r) {
		return nil
	}
	return r + 0
}

func call(n *lang.Node, args []value) value {
	switch n.Fn {
	case "abs":
		if compare(args[0], whole(0)) < 0 {
			return arith(lang.NSub, whole(0), args[0])
		}
		return args[0]
	case "sign":
		return whole(int64(compare(args[0], whole(0))))
	case "min_of", "max_of":
		r := args[0]
		for _, a := range args[1:] {
			if c := compare(a, r); n.Fn == "min_of" && c < 0 || n.Fn == "max_of" && c > 0 {
				r = a
			}
		}
		return r
	case "clamp":
		r := args[0]
		if compare(r, args[1]) < 0 {
			r = args[1]
		}
		if compare(r, args[2]) > 0 {
			r = args[2]
		}
		return r
	case "sqrt":
		return root(args[0])
	case "exp":
		return num.Exp(float(args[0]))
	}
	x, ok := args[0].(*big.Rat)
	if !ok {
		return unknown{}
	}
	switch n.Fn {
	case "round":
		return roundEven(x, int(float(args[1])))
	case "floor":
		return new(big.Rat).SetInt(new(big.Int).Div(x.Num(), x.Denom()))
	case "ln":
		return ln(x)
	}
	return unknown{}
}

// unknown is the value of an expression that only the engine works out.
type unknown struct{}

// roundEven rounds to digits after the point, ties to even.
func roundEven(x *big.Rat, digits int) *big.Rat {
	p := pow10(digits)
	y := new(big.Rat).Mul(x, new(big.Rat).SetInt(p))
	f := new(big.Int).Div(y.Num(), y.Denom())
	rest := new(big.Rat).Sub(y, new(big.Rat).SetInt(f))
	if c := rest.Cmp(big.NewRat(1, 2)); c > 0 || c == 0 && f.Bit(0) == 1 {
		f.Add(f, big.NewInt(1))
	}
	return new(big.Rat).SetFrac(f, p)
}

const precision = 400 // bits of what is irrational before it is rounded

func root(a value) value {
	if f, ok := a.(float64); ok {
		if f < 0 {
			return nil
		}
		return math.Sqrt(f)
	}
	x, ok := a.(*big.Rat)
	if !ok {
		return unknown{}
	}
	if x.Sign() < 0 {
		return nil
	}
	f := new(big.Float).SetPrec(precision).SetRat(x)
	r, _ := f.Sqrt(f).Float64()
	return r
}

// lnPrecision are the bits that a logarithm is worked out to before it is rounded to 60
// after the point.
const lnPrecision = 200

// ln is the natural logarithm rounded to 60 bits after the point, by the series of the
// inverse hyperbolic tangent: ln m = 2 Σ z^k/k over odd k, z = (m−1)/(m+1), m near 1.
func ln(x *big.Rat) value {
	if x.Sign() <= 0 {
		return nil
	}
	mant := new(big.Float)
	exp := new(big.Float).SetPrec(lnPrecision).SetRat(x).MantExp(mant)
	if mant.Cmp(big.NewFloat(0.75)) < 0 { // from [0.5, 1) to [0.75, 1.5)
		mant.SetMantExp(mant, 1)
		exp--
	}
	sum := lnSeries(mant)
	if exp != 0 {
		sum.Add(sum, new(big.Float).Mul(ln2(), new(big.Float).SetInt64(int64(exp))))
	}
	sum.SetMantExp(sum, num.QBits)
	r, _ := sum.Rat(nil)
	return new(big.Rat).SetFrac(roundEven(r, 0).Num(), new(big.Int).Lsh(big.NewInt(1), num.QBits))
}

var ln2 = sync.OnceValue(func() *big.Float { return lnSeries(new(big.Float).SetPrec(lnPrecision).SetInt64(2)) })

func lnSeries(m *big.Float) *big.Float {
	one := new(big.Float).SetPrec(lnPrecision).SetInt64(1)
	z := new(big.Float).SetPrec(lnPrecision).Sub(m, one)
	z.Quo(z, new(big.Float).SetPrec(lnPrecision).Add(m, one))
	square := new(big.Float).SetPrec(lnPrecision).Mul(z, z)
	sum := new(big.Float).SetPrec(lnPrecision)
	for k := int64(1); z.Sign() != 0 && z.MantExp(nil) > -lnPrecision; k += 2 {
		sum.Add(sum, new(big.Float).SetPrec(lnPrecision).Quo(z, new(big.Float).SetInt64(k)))
		z.Mul(z, square)
	}
	return sum.Mul(sum, big.NewFloat(2))
}
