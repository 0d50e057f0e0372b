package lang

import (
	"strings"
)

// paramValue is a parameter with the value in force.
type paramValue struct {
	kind string
	expr *Expr // number, duration, string, list
}

// checkParams puts the value of each parameter in force: the default, or what Set gives.
func (v *viewChecker) checkParams() {
	for _, p := range v.spec.Params {
		val := &paramValue{kind: p.Type, expr: p.Default}
		v.params[p.Name] = val
		v.checker.params = append(v.checker.params, p.Name)
		fixed := v.spec.fixed[p.Name]
		if fixed != nil {
			val.expr = fixed
		}
		for _, key := range []string{p.Name, v.spec.View.Text + "." + p.Name} {
			text, given := v.opt.Set[key]
			if !given || fixed != nil {
				continue
			}
			v.used[key] = true
			pos := Pos{File: "--set " + key + "=" + text}
			if e, want := setValue(text, p.Type, pos); want != "" {
				v.problem(pos, want, "%q is no %s", text, p.Type)
			} else {
				val.expr = e
			}
		}
		if val.expr.Op != OpBad {
			v.view.Params[p.Name] = val.text()
		}
		v.checkRange(p)
	}
	if v.spec.Require != nil {
		v.require()
	}
}

// setValue reads a value from outside a file; lists are words with commas between.
func setValue(text, kind string, pos Pos) (*Expr, string) {
	if kind != "list" {
		return paramLiteral(text, kind, func(int) Pos { return pos })
	}
	e := &Expr{Pos: pos, Op: OpList}
	body := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	for w := range strings.SplitSeq(body, ",") {
		w = strings.TrimSpace(w)
		if w == "" {
			return e, "want values with commas between"
		}
		e.Args = append(e.Args, &Expr{Pos: pos, Op: OpString, Text: w})
	}
	return e, ""
}

// text is the value as canonical text writes it.
func (p *paramValue) text() string { return paramText(p.expr) }

func paramText(e *Expr) string {
	switch e.Op {
	case OpString:
		return e.Text
	case OpList:
		words := make([]string, len(e.Args))
		for i, a := range e.Args {
			words[i] = a.Text
		}
		return "[" + strings.Join(words, ", ") + "]"
	}
	return e.String()
}

// checkRange looks at a sweep from, to, step: it must end.
func (v *viewChecker) checkRange(p Param) {
	if p.Range == nil {
		return
	}
	if p.Type != "int" && p.Type != "decimal" && p.Type != "duration" {
		v.problem(p.Pos, "want [a, b]", "sweep of a %s by step", p.Type)
		return
	}
	var n [3]*Node
	for i, key := range rangeKeys {
		if p.Range[key] == nil {
			return
		}
		n[i] = v.expr(p.Range[key], scope{consts: true, what: "sweep"})
		if n[i].Op != NConst || n[i].Const.Null {
			return
		}
	}
	if n[2].Const.Dec.M <= 0 || compareDec(n[0].Const.Dec, n[1].Const.Dec) > 0 {
		v.problem(p.Pos, "want from ≤ to and a step above 0", "sweep of %q does not end", p.Name)
	}
}

// require evaluates the condition over parameters.
func (v *viewChecker) require() {
	e := v.spec.Require
	n := v.condition(e, scope{consts: true, what: "require"})
	if n.Op != NConst || n.Type.Kind == tBad {
		return
	}
	if n.Const.Null || n.Const.Dec.M == 0 {
		var values []string
		for _, p := range v.spec.Params {
			values = append(values, p.Name+"="+v.params[p.Name].text())
		}
		v.problem(e.Pos, "want other values; these are "+strings.Join(values, " "), "require %s is false", e)
	}
}

// param is a parameter in an expression.
func (v *viewChecker) param(e *Expr) *Node {
	p := v.params[e.Text]
	if p == nil {
		names := make([]string, len(v.spec.Params))
		for i, d := range v.spec.Params {
			names[i] = d.Name
		}
		remedy := wantName(e.Text, names)
		if len(names) == 0 {
			remedy = "want params: with " + e.Text + ": {type: …, default: …}"
		}
		v.problem(e.Pos, remedy, "unknown parameter $%s", e.Text)
		return v.badNode(e.Pos)
	}
	switch p.expr.Op {
	case OpBad:
		return v.badNode(e.Pos)
	case OpList:
		v.problem(e.Pos, "want x in $"+e.Text, "parameter $%s is a list", e.Text)
		return v.badNode(e.Pos)
	}
	at := *p.expr
	at.Pos = e.Pos
	if at.Op == OpUnary {
		arg := *at.Args[0]
		arg.Pos = e.Pos
		at.Args = []*Expr{&arg}
	}
	return v.expr(&at, scope{consts: true, what: "parameter"})
}
