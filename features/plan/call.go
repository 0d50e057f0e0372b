package plan

import (
	"fmt"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
)

// codes is one operation on exact values, ratios and floats.
type codes struct{ x, r, f op.Code }

var (
	addCodes  = codes{op.AddX, op.AddR, op.AddF}
	subCodes  = codes{op.SubX, op.SubR, op.SubF}
	mulCodes  = codes{op.MulX, op.MulR, op.MulF}
	divCodes  = codes{op.QuoX, op.QuoR, op.QuoF}
	negCodes  = codes{op.NegX, op.NegR, op.NegF}
	absCodes  = codes{op.AbsX, op.AbsR, op.AbsF}
	signCodes = codes{op.SignX, op.SignR, op.SignF}
	minCodes  = codes{op.MinX, op.MinR, op.MinF}
	maxCodes  = codes{op.MaxX, op.MaxR, op.MaxF}
)

// of is the operation for a kind; logarithms are integers to it.
func (s codes) of(k op.Kind) op.Code {
	switch k {
	case op.KRatio:
		return s.r
	case op.KFloat:
		return s.f
	}
	return s.x
}

func (c *coder) arith(o lang.NodeOp, t lang.Type, a, b value) (value, error) {
	if a.kind == op.KNull || b.kind == op.KNull {
		return value{c.null(op.KNull).reg, op.KNull}, nil
	}
	k := join(a.kind, b.kind)
	if o == lang.NMul && a.kind.Fixed() && b.kind.Fixed() {
		if p, ok := product(a.kind, b.kind); ok {
			return c.op2(op.MulX, p, a, b), nil
		}
		k = op.KRatio // of three logarithms or more
	}
	if o == lang.NDiv && k.QBits() > 0 {
		k = op.KRatio
	}
	var err error
	if a, err = c.convert(a, k); err == nil {
		b, err = c.convert(b, k)
	}
	if err != nil {
		return a, err
	}
	switch o {
	case lang.NAdd:
		return c.op2(addCodes.of(k), k, a, b), nil
	case lang.NSub:
		return c.op2(subCodes.of(k), k, a, b), nil
	case lang.NMul:
		return c.op2(mulCodes.of(k), k, a, b), nil
	case lang.NMod:
		if k != op.KExact {
			return a, fmt.Errorf("%% takes whole numbers and decimals, not %v", t.Kind)
		}
		return c.op2(op.ModX, k, a, b), nil
	}
	if k == op.KExact {
		return c.op2(op.QuoX, op.KRatio, a, b), nil
	}
	return c.op2(divCodes.of(k), k, a, b), nil
}

// product is the kind of a product of fixed-point values that is one itself.
func product(a, b op.Kind) (op.Kind, bool) {
	switch a.QBits() + b.QBits() {
	case 0:
		return op.KExact, true
	case op.KQ60.QBits():
		return op.KQ60, true
	case op.KQ120.QBits():
		return op.KQ120, true
	}
	return op.KRatio, false
}

func (c *coder) negate(a value) (value, error) {
	if a.kind == op.KNull {
		return a, nil
	}
	return c.op1(negCodes.of(a.kind), a.kind, a), nil
}

func (c *coder) call(n *lang.Node, args []value) (value, error) {
	if n.Fn == "coalesce" {
		return c.coalesce(args)
	}
	for _, a := range args {
		if a.kind == op.KNull {
			return a, nil
		}
	}
	a := args[0]
	switch n.Fn {
	case "abs":
		return c.op1(absCodes.of(a.kind), a.kind, a), nil
	case "sign":
		return c.op1(signCodes.of(a.kind), op.KExact, a), nil
	case "min_of", "max_of":
		s := minCodes
		if n.Fn == "max_of" {
			s = maxCodes
		}
		return c.fold2(s, args)
	case "clamp": // clamp(x, lo, hi) = min_of(max_of(x, lo), hi)
		v, err := c.fold2(maxCodes, args[:2])
		if err != nil {
			return v, err
		}
		return c.fold2(minCodes, []value{v, args[2]})
	case "round":
		return c.round(n, a)
	case "floor":
		k := a.kind
		if k.QBits() > 0 {
			a, _ = c.convert(a, op.KRatio)
			k = op.KRatio
		}
		return c.exact(c.op1(codes{op.FloorX, op.FloorR, op.FloorF}.of(k), k, a)), nil
	case "sqrt":
		if a.kind == op.KFloat {
			return c.op1(op.SqrtF, op.KFloat, a), nil
		}
		r, err := c.convert(a, op.KRatio)
		return c.op1(op.SqrtR, op.KFloat, r), err
	case "ln":
		return c.ln(n, a)
	case "exp":
		x, err := c.convert(a, op.KFloat)
		return c.op1(op.ExpF, op.KFloat, x), err
	}
	return a, fmt.Errorf("function %q is not known to the engine", n.Fn)
}

func (c *coder) fold2(s codes, args []value) (value, error) {
	k, vs, err := c.joinAll(args...)
	if err != nil {
		return args[0], err
	}
	v := vs[0]
	for _, b := range vs[1:] {
		v = c.op2(s.of(k), k, v, b)
	}
	return v, nil
}

func (c *coder) coalesce(args []value) (value, error) {
	k, vs, err := c.joinAll(args...)
	if err != nil || k == op.KNull {
		return args[0], err
	}
	v := vs[0]
	for _, b := range vs[1:] {
		v = c.emit(k, op.Instr{Op: op.Coalesce, K: k, A: uint16(v.reg), B: uint16(b.reg)})
	}
	return v, nil
}

// round takes a value to a number of digits after the point, ties to even.
func (c *coder) round(n *lang.Node, a value) (value, error) {
	d := int32(0)
	if len(n.Args) > 1 {
		var err error
		if d, err = digits(n.Args[1]); err != nil {
			return a, err
		}
	}
	if a.kind.QBits() > 0 {
		a, _ = c.convert(a, op.KRatio)
	}
	if a.kind == op.KFloat {
		return c.emit(op.KExact, op.Instr{Op: op.RoundF, A: uint16(a.reg), N: d}), nil
	}
	code := codes{op.RoundX, op.RoundR, 0}.of(a.kind)
	return c.exact(c.emit(a.kind, op.Instr{Op: code, A: uint16(a.reg), N: d})), nil
}

// exact is a rounded ratio as the decimal that it is.
func (c *coder) exact(v value) value {
	if v.kind == op.KRatio {
		return c.op1(op.RToX, op.KExact, v)
	}
	return v
}

// ln of a quotient takes both sides as they are, so that the table of logarithms of two
// decimals is used; ln of an exact value is ln(x / 1).
func (c *coder) ln(n *lang.Node, a value) (value, error) {
	if arg := n.Args[0]; arg.Op == lang.NDiv {
		x, err := c.expr(arg.Args[0])
		if err != nil {
			return x, err
		}
		y, err := c.expr(arg.Args[1])
		if err == nil && x.kind == op.KExact && y.kind == op.KExact {
			return c.op2(op.LnX, op.KQ60, x, y), nil
		}
	}
	switch a.kind {
	case op.KExact:
		return c.op2(op.LnX, op.KQ60, a, c.integer(1)), nil
	case op.KFloat:
		return a, fmt.Errorf("ln takes a decimal or a ratio, not a float")
	}
	r, err := c.convert(a, op.KRatio)
	return c.op1(op.LnR, op.KQ60, r), err
}
