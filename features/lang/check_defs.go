package lang

import (
	"fmt"
	"strings"
)

// rowNames are what a row of every view carries besides its features.
var rowNames = []string{"ts", "window_start", "window_end", "row_ts", "available_at", "revision", "flags", "variant", "entity", "kind"}

// define enters the names of let and features.
func (v *viewChecker) define() {
	for i, d := range v.spec.Let {
		switch _, isColumn := v.cols[d.Name]; {
		case isColumn:
			v.problem(d.Pos, "want another name", "let %q has the name of an input column", d.Name)
		case functions[d.Name].class != 0 && d.Name == "if":
			v.problem(d.Pos, "want another name", "let %q has the name of a function", d.Name)
		}
		v.lets[d.Name] = &definition{def: d, index: i}
	}
	for i, d := range v.spec.Features {
		_, isColumn := v.cols[d.Name]
		_, isLet := v.lets[d.Name]
		switch {
		case contains(rowNames, d.Name):
			v.problem(d.Pos, "want another name; every row has "+strings.Join(rowNames, " "), "feature %q has the name of a row column", d.Name)
		case contains(v.view.By, d.Name):
			v.problem(d.Pos, "want another name", "feature %q has the name of an entity column", d.Name)
		case isLet:
			v.problem(d.Pos, "want another name", "feature %q has the name of a let", d.Name)
		case v.bareColumns() && isColumn:
			v.problem(d.Pos, "want another name", "feature %q has the name of an input column", d.Name)
		}
		v.feats[d.Name] = &definition{def: d, index: i}
	}
}

// enter begins a definition; false when it is done or stands in a cycle, which is printed.
func (v *viewChecker) enter(d *definition, ref Pos) bool {
	switch d.state {
	case 2:
		return false
	case 1:
		names := append([]string(nil), v.trail[indexOf(v.trail, d.def.Name):]...)
		v.problem(ref, "want no cycle", "definitions need each other: %s", strings.Join(append(names, d.def.Name), " → "))
		if d.node == nil {
			d.node = v.badNode(ref)
		}
		return false
	}
	d.state = 1
	v.trail = append(v.trail, d.def.Name)
	return true
}

func (v *viewChecker) leave(d *definition, n *Node) *Node {
	v.trail = v.trail[:len(v.trail)-1]
	d.node, d.state = n, 2
	return n
}

// letNode is the typed form of a let, checked once and put in place wherever it is named.
func (v *viewChecker) letNode(d *definition) *Node {
	if !v.enter(d, d.def.Pos) {
		return d.node
	}
	return v.leave(d, v.expr(d.def.Expr, scope{rows: true, what: "let"}))
}

// featureNode is the typed form of a feature.
func (v *viewChecker) featureNode(d *definition, ref Pos) *Node {
	if !v.enter(d, ref) {
		return d.node
	}
	s := scope{features: true, rows: v.bareColumns(), what: "feature", feature: d.index}
	return v.leave(d, v.featureRoot(d.def.Expr, s))
}

// featureRoot checks the expression of a feature; decimal(x, s) may stand here and
// nowhere else, because only a stored column has a scale.
func (v *viewChecker) featureRoot(e *Expr, s scope) *Node {
	if e.Op != OpCall || e.Text != "decimal" {
		return v.expr(e, s)
	}
	args, ok := v.bind(e)
	if !ok {
		return v.badNode(e.Pos)
	}
	x := v.expr(args[0], s)
	digits, ok := v.constInt(args[1], "digits", 0, 38)
	switch k := x.Type.Kind; {
	case k == tBad || !ok:
		return v.badNode(e.Pos)
	case !isNumber(k):
		v.problem(args[0].Pos, "want a number", "decimal of %s", typeName(x.Type))
		return v.badNode(e.Pos)
	}
	v.decimals[s.feature] = int8(digits)
	return x
}

// features checks all features and lists them in written order.
func (v *viewChecker) features() {
	for _, def := range v.spec.Features {
		d := v.feats[def.Name]
		n := v.featureNode(d, def.Pos)
		f := &Feature{Name: def.Name, Type: n.Type}
		if s, asked := v.decimals[d.index]; asked && n.Type.Kind != tBad {
			f.Type.Fixed, f.Type.Scale = true, s
		}
		if n.Type.Kind == TNull {
			v.problem(def.Expr.Pos, "want a value of some type", "feature %q is always null", def.Name)
		}
		if n.Type.Kind == TList || n.Type.Kind == TBook {
			v.problem(def.Expr.Pos, "want a single value", "feature %q is %s", def.Name, typeName(n.Type))
		}
		v.view.Features = append(v.view.Features, f)
	}
	for i, f := range v.view.Features {
		if v.once["size"] {
			break
		}
		f.Node = v.place(v.feats[f.Name].node, i, map[*Node]*Node{})
	}
}

// featureRef is a feature named by another one.
func (v *viewChecker) featureRef(d *definition, ref Pos) *Node {
	n := v.featureNode(d, ref)
	if n.Type.Kind == tBad {
		return n
	}
	return v.mk(&Node{Op: NFeature, Index: d.index, Type: n.Type, Pos: ref})
}

// place makes every reference in n point to a feature before i: what is written later is
// put in place. done keeps what has been placed, so that shared parts cost once.
func (v *viewChecker) place(n *Node, i int, done map[*Node]*Node) *Node {
	if v.once["size"] {
		return n
	}
	if out, ok := done[n]; ok {
		return out
	}
	out := n
	if n.Op == NFeature && n.Index >= i {
		out = v.place(v.feats[v.spec.Features[n.Index].Name].node, i, done)
	} else {
		for k, a := range n.Args {
			b := v.place(a, i, done)
			if b == a {
				continue
			}
			if out == n {
				c := *n
				c.Args = append([]*Node(nil), n.Args...)
				out = &c
			}
			out.Args[k] = b
		}
		if out != n {
			out = v.mk(out)
		}
	}
	done[n] = out
	return out
}

// constInt is an argument that must be a whole number known here.
func (v *viewChecker) constInt(e *Expr, what string, low, high int64) (int64, bool) {
	n := v.expr(e, scope{consts: true, what: what})
	if n.Type.Kind == tBad {
		return 0, false
	}
	if n.Op != NConst || n.Type.Kind != TInt || n.Const.Null || n.Const.Dec.M < low || n.Const.Dec.M > high {
		v.problem(e.Pos, fmt.Sprintf("want a whole number from %d to %d", low, high), "%s is %s", what, e)
		return 0, false
	}
	return n.Const.Dec.M, true
}
