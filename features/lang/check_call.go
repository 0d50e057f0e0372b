package lang

import (
	"fmt"
	"strings"
)

// bind orders the arguments of a call and reports what is wrong with them.
func (v *viewChecker) bind(e *Expr) ([]*Expr, bool) {
	f := functions[e.Text]
	args, what := f.bind(e)
	if what != "" {
		v.problem(e.Pos, "want "+v.meantCall(e, f), "%s", what)
		return nil, false
	}
	return args, true
}

// meantCall is how a call should have been written: conditions that stand among the
// arguments of an aggregate belong after where.
func (v *viewChecker) meantCall(e *Expr, f signature) string {
	want := f.usage(e.Text)
	if f.class != aggregate {
		return want
	}
	for _, key := range sortedKeys(e.Keys) {
		if v.known(key, scope{rows: true}) && indexOf(f.names, key) < 0 {
			return fmt.Sprintf("%s, with a condition as in %s(… where %s == %s)", want, e.Text, key, e.Keys[key])
		}
	}
	for _, a := range e.Args[min(1, len(e.Args)):] {
		if a.Op == OpIn || a.Op == OpIsNull || a.Op == OpBinary && compareOps[a.Text] != 0 {
			return fmt.Sprintf("%s, with a condition as in %s(%s where %s)", want, e.Text, e.Args[0], a)
		}
	}
	return want
}

// call types name(…) by its class.
func (v *viewChecker) call(e *Expr, s scope) *Node {
	f, ok := functions[e.Text]
	if !ok {
		remedy := wantName(e.Text, functionNames(0, true))
		if our, known := elsewhere[strings.ToLower(e.Text)]; known {
			remedy = "want " + our
			if s, is := functions[our]; is && !s.built {
				remedy = our + " is not supported by this version"
			}
		}
		v.problem(e.Pos, remedy, "unknown function %q", e.Text)
		v.walkArgs(e, s)
		return v.badNode(e.Pos)
	}
	if f.class != aggregate {
		if e.Where != nil {
			v.problem(e.Where.Pos, "want where inside an aggregate", "where inside %q", e.Text)
		}
		if e.Over != nil {
			v.problem(e.Over.Pos, "want over after an aggregate", "over after %q", e.Text)
		}
	}
	if s.alert && (f.class == aggregate || f.class == scan || f.class == cross) {
		return v.notInAlert(e)
	}
	args, ok := v.bind(e)
	if !ok {
		return v.badNode(e.Pos)
	}
	switch f.class {
	case aggregate:
		return v.aggregate(e, args, s)
	case scan:
		if macros[e.Text] != nil {
			return v.macro(e, s)
		}
		return v.scan(e, args, s)
	case cross:
		return v.cross(e, args[0], s)
	}
	if s.consts && !f.built {
		v.problem(e.Pos, "want parameters and literals only", "function %q in %s", e.Text, s.what)
		return v.badNode(e.Pos)
	}
	return v.rowCall(e, args, s)
}

// walkArgs checks the arguments of a call that cannot be typed, for their own problems.
func (v *viewChecker) walkArgs(e *Expr, s scope) {
	if !s.consts {
		s.rows = true
	}
	for _, a := range e.Args {
		v.expr(a, s)
	}
	for _, k := range sortedKeys(e.Keys) {
		v.expr(e.Keys[k], s)
	}
	if e.Where != nil {
		v.condition(e.Where, s)
	}
}

// rowCall types the functions of values.
func (v *viewChecker) rowCall(e *Expr, args []*Expr, s scope) *Node {
	if e.Text == "decimal" {
		v.problem(e.Pos, "want decimal(x, digits) around a whole feature", "decimal inside an expression")
		return v.badNode(e.Pos)
	}
	if e.Text == "if" {
		return v.ifCall(e, args, s)
	}
	nodes := make([]*Node, 0, len(args))
	bad := false
	for i, a := range args {
		if a == nil || e.Text == "round" && i == 1 {
			continue
		}
		n := v.expr(a, s)
		bad = bad || isBadType(n)
		nodes = append(nodes, n)
	}
	if bad {
		return v.badNode(e.Pos)
	}
	v.ops[e.Text] = true
	n := &Node{Op: NCall, Fn: e.Text, Pos: e.Pos, Args: nodes}
	x := nodes[0].Type
	switch e.Text {
	case "min_of", "max_of", "clamp", "coalesce":
		return v.unified(e, n)
	case "abs":
		n.Type = x
		if x.Kind == TDur {
			return v.mk(n)
		}
	case "sign":
		n.Type = Type{Kind: TInt, Nullable: x.Nullable}
		if x.Kind == TDur {
			return v.mk(n)
		}
	case "round":
		return v.round(e, n, args[1])
	case "floor":
		n.Type = Type{Kind: TDec, Unit: x.Unit, Nullable: x.Nullable}
		if x.Unit == "" {
			n.Type.Kind = TInt
		}
		if x.Kind == TFloat {
			n.Type.Kind = TFloat
		}
	case "sqrt":
		n.Type = Type{Kind: TFloat, Nullable: true, Unit: rootUnit(x.Unit)}
	case "ln":
		return v.ln(e, n)
	case "exp":
		n.Type = Type{Kind: TFloat, Nullable: true}
		if x.Unit != "" {
			v.problem(e.Pos, "want a plain number", "exp of %s", typeName(x))
			return v.badNode(e.Pos)
		}
	}
	if !isNumber(x.Kind) {
		v.problem(e.Pos, "want a number", "%s of %s", e.Text, typeName(x))
		return v.badNode(e.Pos)
	}
	return v.mk(n)
}

// rootUnit halves the powers of a unit; a unit without a root is dropped.
func rootUnit(s string) string {
	u, even := parseUnit(s).root()
	if !even {
		return ""
	}
	return u.String()
}

// ln is exact to 60 fraction bits, and is defined for what has no unit: ln(close / open).
func (v *viewChecker) ln(e *Expr, n *Node) *Node {
	x := n.Args[0].Type
	switch {
	case x.Unit != "":
		v.problem(e.Pos, "want a ratio, such as ln(close / open)", "ln of %s", typeName(x))
	case !isNumber(x.Kind) || x.Kind == TFloat:
		v.problem(e.Pos, "want an exact ratio, such as ln(close / open)", "ln of %s", typeName(x))
	default:
		n.Type = Type{Kind: TQ60, Nullable: true}
		return v.mk(n)
	}
	return v.badNode(e.Pos)
}

// round makes the digits explicit: round(x) is round(x, 0).
func (v *viewChecker) round(e *Expr, n *Node, digits *Expr) *Node {
	d := int64(0)
	if digits != nil {
		var ok bool
		if d, ok = v.constInt(digits, "digits", 0, 18); !ok {
			return v.badNode(e.Pos)
		}
	}
	x := n.Args[0].Type
	if !isNumber(x.Kind) {
		v.problem(e.Pos, "want a number", "round of %s", typeName(x))
		return v.badNode(e.Pos)
	}
	n.Type = Type{Kind: TDec, Unit: x.Unit, Nullable: x.Nullable || x.Kind == TFloat} // a large float is no decimal
	n.Args = append(n.Args, v.intNode(e.Pos, d))
	return v.mk(n)
}

// unified types functions whose arguments are of one type, which is that of the result.
func (v *viewChecker) unified(e *Expr, n *Node) *Node {
	t, ok := v.unify(e, n.Args)
	if !ok {
		return v.badNode(e.Pos)
	}
	n.Type = t
	ordered := isNumber(t.Kind) || t.Kind == TTime || t.Kind == TDur
	if e.Text != "coalesce" && !ordered && t.Kind != TNull {
		v.problem(e.Pos, "want numbers, times or durations", "%s of %s", e.Text, typeName(t))
		return v.badNode(e.Pos)
	}
	if e.Text == "coalesce" {
		n.Type.Nullable = true
		for _, a := range n.Args {
			n.Type.Nullable = n.Type.Nullable && a.Type.Nullable
		}
	}
	return v.mk(n)
}

// unify finds the type of several values of which one is taken.
func (v *viewChecker) unify(e *Expr, nodes []*Node) (Type, bool) {
	first := nodes[0]
	t := first.Type
	for _, n := range nodes[1:] {
		if !v.comparable(&Node{Op: first.Op, Type: t, Args: first.Args}, n) {
			v.problem(e.Pos, "want values of one type and unit", "%s of %s and %s", e.Text, typeName(t), typeName(n.Type))
			return Type{}, false
		}
		nullable := t.Nullable || n.Type.Nullable
		switch {
		case t.Kind == TNull:
			t, first = n.Type, n
		case n.Type.Kind == TNull:
		case isNumber(t.Kind):
			u, _ := sameUnit(&Node{Op: first.Op, Type: t, Args: first.Args}, n)
			if u == n.Type.Unit && !isConst(n) {
				first = n
			}
			t.Kind, t.Unit = joinKinds(t.Kind, n.Type.Kind), u
		}
		t.Nullable = nullable
	}
	return t, true
}

func (v *viewChecker) ifCall(e *Expr, args []*Expr, s scope) *Node {
	if len(e.Keys) > 0 {
		v.problem(e.Pos, "want if(condition, then, else)", "named arguments of if")
		return v.badNode(e.Pos)
	}
	cond := v.condition(args[0], s)
	then, other := v.expr(args[1], s), v.expr(args[2], s)
	if isBadType(cond, then, other) {
		return v.badNode(e.Pos)
	}
	t, ok := v.unify(e, []*Node{then, other})
	if !ok {
		return v.badNode(e.Pos)
	}
	return v.mk(&Node{Op: NIf, Pos: e.Pos, Type: t, Args: []*Node{cond, then, other}})
}

// supportedList names the aggregates that this version runs.
func supportedList(c class) string { return strings.Join(functionNames(c, true), " ") }
