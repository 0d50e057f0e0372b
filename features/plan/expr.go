package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/market/num"
)

// value is a register and the kind of what is in it.
type value struct {
	reg  int
	kind op.Kind
}

// coder writes one program. Equal subexpressions share a register.
type coder struct {
	consts  []op.Val
	names   []string // key of each constant
	code    []op.Instr
	regs    int // besides constants; numbered from constBase until finished
	memo    map[string]value
	steps   []op.Step
	resolve func(n *lang.Node) (value, error) // columns, aggregates, features
}

// constBase separates registers from constants while a program grows; done renumbers.
const constBase = 1 << 14

func newCoder() *coder { return &coder{memo: map[string]value{}} }

func (c *coder) reg() int { c.regs++; return constBase + c.regs - 1 }

func (c *coder) constant(key string, kind op.Kind, set func(v *op.Val)) value {
	key = fmt.Sprint(kind, key)
	for i, k := range c.names {
		if k == key {
			return value{i, kind}
		}
	}
	var v op.Val
	set(&v)
	c.consts, c.names = append(c.consts, op.Val{}), append(c.names, key)
	at := &c.consts[len(c.consts)-1]
	at.Null, at.S, at.I, at.F, at.W, at.T = v.Null, v.S, v.I, v.F, v.W, v.T
	if kind == op.KRatio {
		at.R.Set(&v.R)
	}
	return value{len(c.consts) - 1, kind}
}

func (c *coder) null(k op.Kind) value {
	return c.constant("null", k, func(v *op.Val) { v.SetNull() })
}

func (c *coder) integer(i int64) value {
	return c.constant(fmt.Sprint(i), op.KExact, func(v *op.Val) { v.SetInt(i) })
}

// emit adds an instruction, or finds the register of an equal one.
func (c *coder) emit(kind op.Kind, in op.Instr) value {
	key := fmt.Sprint(kind, in.Op, in.K, in.A, in.B, in.C, in.N)
	if v, ok := c.memo[key]; ok {
		return v
	}
	v := value{c.reg(), kind}
	in.Dst = uint16(v.reg)
	c.code = append(c.code, in)
	c.memo[key] = v
	return v
}

func (c *coder) op2(code op.Code, kind op.Kind, a, b value) value {
	return c.emit(kind, op.Instr{Op: code, A: uint16(a.reg), B: uint16(b.reg)})
}

func (c *coder) op1(code op.Code, kind op.Kind, a value) value {
	return c.emit(kind, op.Instr{Op: code, K: a.kind, A: uint16(a.reg)})
}

// done returns the program that the kept registers need. Registers that the caller keeps
// must be passed through at.
func (c *coder) done(keep []int) *op.Prog {
	code := c.live(keep)
	if len(c.consts) == 0 { // register 0 stands in for operands not in use
		return &op.Prog{Regs: c.regs + 1, Code: code}
	}
	return &op.Prog{Consts: c.consts, Regs: len(c.consts) + c.regs, Code: code}
}

// live is the code that some registers need, renumbered to follow the constants.
func (c *coder) live(keep []int) []op.Instr {
	live := map[uint16]bool{}
	for _, r := range keep {
		live[uint16(r)] = true
	}
	code := c.code[:0:0]
	for _, in := range slices.Backward(c.code) {
		if live[in.Dst] {
			live[in.A], live[in.B], live[in.C] = true, true, true
			code = append(code, in)
		}
	}
	slices.Reverse(code)
	for i := range code {
		in := &code[i]
		for _, r := range []*uint16{&in.Dst, &in.A, &in.B, &in.C} {
			*r = uint16(c.at(int(*r)))
		}
	}
	return code
}

func (c *coder) at(reg int) int {
	if reg < constBase {
		return reg
	}
	return reg - constBase + len(c.consts)
}

// convert brings v to a kind; only upward conversions occur.
func (c *coder) convert(v value, k op.Kind) (value, error) {
	if v.kind == k {
		return v, nil
	}
	switch {
	case v.kind == op.KNull:
		return c.null(k), nil
	case v.kind == op.KExact && k == op.KRatio:
		return c.op1(op.XToR, k, v), nil
	case v.kind.Fixed() && k.QBits() > v.kind.QBits():
		return c.emit(k, op.Instr{Op: op.XToQ, A: uint16(v.reg), N: int32(k.QBits() - v.kind.QBits())}), nil
	case v.kind.QBits() > 0 && k == op.KRatio:
		return c.op1(op.QToR, k, v), nil
	case v.kind == op.KExact && k == op.KFloat:
		return c.op1(op.XToF, k, v), nil
	case v.kind.QBits() > 0 && k == op.KFloat:
		return c.op1(op.QToF, k, v), nil
	case v.kind == op.KRatio && k == op.KFloat:
		return c.op1(op.RToF, k, v), nil
	}
	return v, fmt.Errorf("cannot use a value of kind %d as kind %d", v.kind, k)
}

// rank orders the numeric kinds by what they can hold.
func rank(k op.Kind) int {
	switch k {
	case op.KExact, op.KQ60, op.KQ120:
		return 1 + int(k.QBits())
	case op.KRatio:
		return 1000
	case op.KFloat:
		return 1001
	}
	return 0
}

// join is the kind in which values of two kinds meet.
func join(a, b op.Kind) op.Kind {
	if a == b || b == op.KNull {
		return a
	}
	if a == op.KNull {
		return b
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

func (c *coder) joinAll(vs ...value) (op.Kind, []value, error) {
	k := op.KNull
	for _, v := range vs {
		k = join(k, v.kind)
	}
	out := make([]value, len(vs))
	for i, v := range vs {
		var err error
		if out[i], err = c.convert(v, k); err != nil {
			return k, nil, err
		}
	}
	return k, out, nil
}

func (c *coder) constNode(n *lang.Node) (value, error) {
	if n.Const.Null || n.Type.Kind == lang.TNull {
		return value{c.null(op.KNull).reg, op.KNull}, nil
	}
	d := n.Const.Dec
	switch n.Type.Kind {
	case lang.TBool:
		return c.constant(fmt.Sprint(d.M), op.KBool, func(v *op.Val) { v.SetBool(d.M != 0) }), nil
	case lang.TText, lang.TID:
		t := n.Const.Text
		return c.constant(t, op.KText, func(v *op.Val) { v.SetText([]byte(t)) }), nil
	case lang.TInt, lang.TDec, lang.TTime, lang.TDur, lang.TEnum, lang.TRatio:
		return c.constant(d.String(), op.KExact, func(v *op.Val) { v.SetDec(d.M, d.S) }), nil
	case lang.TFloat:
		return c.constant(d.String(), op.KFloat, func(v *op.Val) { v.F = d.Float64() }), nil
	}
	return value{}, fmt.Errorf("constant of a type without values")
}

// expr writes the code of a node and returns where its value will be.
func (c *coder) expr(n *lang.Node) (value, error) {
	switch n.Op {
	case lang.NConst:
		return c.constNode(n)
	case lang.NColumn, lang.NAgg, lang.NFeature, lang.NWindowStart, lang.NWindowEnd, lang.NRank, lang.NClock:
		return c.resolve(n)
	case lang.NIn:
		return c.in(n)
	}
	args := make([]value, len(n.Args))
	for i, a := range n.Args {
		v, err := c.expr(a)
		if err != nil {
			return v, err
		}
		args[i] = v
	}
	switch n.Op {
	case lang.NNot:
		return c.op1(op.Not, op.KBool, args[0]), nil
	case lang.NAnd, lang.NOr:
		return c.logic(n.Op == lang.NAnd, args)
	case lang.NIsNull:
		in := op.Instr{Op: op.IsNull, A: uint16(args[0].reg)}
		if n.Not {
			in.N = 1
		}
		return c.emit(op.KBool, in), nil
	case lang.NIf:
		return c.choose(args)
	case lang.NEq, lang.NNe, lang.NLt, lang.NLe, lang.NGt, lang.NGe:
		return c.compare(int32(n.Op-lang.NEq), args[0], args[1])
	case lang.NNeg:
		return c.negate(args[0])
	case lang.NAdd, lang.NSub, lang.NMul, lang.NDiv, lang.NMod:
		return c.arith(n.Op, n.Type, args[0], args[1])
	case lang.NCall:
		return c.call(n, args)
	case lang.NScan:
		return c.scan(n, args[0])
	}
	return value{}, fmt.Errorf("operation %d is not known to the engine", n.Op)
}

func (c *coder) logic(and bool, args []value) (value, error) {
	code := op.Or
	if and {
		code = op.And
	}
	v, err := c.convert(args[0], op.KBool)
	for _, a := range args[1:] {
		if err != nil {
			return v, err
		}
		if a, err = c.convert(a, op.KBool); err == nil {
			v = c.op2(code, op.KBool, v, a)
		}
	}
	return v, err
}

func (c *coder) choose(args []value) (value, error) {
	cond, err := c.convert(args[0], op.KBool)
	if err != nil {
		return cond, err
	}
	k, vs, err := c.joinAll(args[1], args[2])
	if err != nil || k == op.KNull {
		return args[1], err
	}
	return c.emit(k, op.Instr{Op: op.If, K: k, A: uint16(cond.reg), B: uint16(vs[0].reg), C: uint16(vs[1].reg)}), nil
}

// in is a chain of comparisons: null when the value is null.
func (c *coder) in(n *lang.Node) (value, error) {
	x, err := c.expr(n.Args[0])
	if err != nil {
		return x, err
	}
	out := c.constant("0", op.KBool, func(v *op.Val) { v.SetBool(false) })
	for i, a := range n.Args[1:] {
		v, err := c.expr(a)
		if err != nil {
			return v, err
		}
		eq, err := c.compare(op.Eq, x, v)
		if err != nil {
			return eq, err
		}
		if i == 0 {
			out = eq
		} else {
			out = c.op2(op.Or, op.KBool, out, eq)
		}
	}
	return out, nil
}

func (c *coder) compare(how int32, a, b value) (value, error) {
	k, vs, err := c.joinAll(a, b)
	if err != nil {
		return a, err
	}
	code := op.CmpX
	switch k {
	case op.KNull:
		return c.null(op.KBool), nil
	case op.KRatio:
		code = op.CmpR
	case op.KFloat:
		code = op.CmpF
	case op.KText:
		code = op.CmpT
	case op.KBool:
		code = op.CmpB
	}
	return c.emit(op.KBool, op.Instr{Op: code, A: uint16(vs[0].reg), B: uint16(vs[1].reg), N: how}), nil
}

// digits reads a constant argument that must be a small whole number.
func digits(n *lang.Node) (int32, error) {
	d := n.Const.Dec.Normalize()
	if n.Op != lang.NConst || d.S != 0 || d.M < 0 || d.M > num.MaxScale {
		return 0, fmt.Errorf("digits must be a constant between 0 and %d", num.MaxScale)
	}
	return int32(d.M), nil
}

// nodeKey is a text by which equal expressions are known.
func nodeKey(n *lang.Node) string {
	var b strings.Builder
	writeKey(&b, n)
	return b.String()
}

func writeKey(b *strings.Builder, n *lang.Node) {
	if n == nil {
		b.WriteByte('-')
		return
	}
	fmt.Fprintf(b, "(%d %d %q %t", n.Op, n.Index, n.Fn, n.Not)
	if n.Op == lang.NConst {
		fmt.Fprintf(b, " %d %t %s %q", n.Type.Kind, n.Const.Null, n.Const.Dec, n.Const.Text)
	}
	for _, a := range n.Args {
		writeKey(b, a)
	}
	b.WriteByte(')')
}
