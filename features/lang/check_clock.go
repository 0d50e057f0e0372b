package lang

import (
	"strings"

	"github.com/pinova-group/tidemark/market"
)

// clock finds the view whose rows are the ticks; with: makes it a view of its own.
func (v *viewChecker) clock() {
	t := &v.view.Window
	v.view.Holds = true
	if v.view.Empty == "flat" {
		v.problem(v.spec.Places["empty"], "want empty: nulls or omit", "intervals of a clock carry nothing over")
		v.view.Empty = "omit"
	}
	if e := v.spec.Window.Opts["reset"]; e != nil && e.Op == OpName {
		v.problem(e.Pos, "want reset: 1d, at most "+shortDuration(maxSpan), "intervals that are never cut may begin any time ago")
	} else {
		t.Reset = v.option("reset")
	}
	s := v.clockSpec()
	if s == nil {
		return
	}
	st := v.checker.view(v.instance(s))
	if st == nil || s.broken {
		return
	}
	c := st.view
	t.Clock = c
	for _, name := range c.By {
		if !v.open && !contains(v.view.By, name) && (name != "base" && name != "quote" || !contains(v.view.By, "symbol")) {
			v.problem(v.spec.Places["by"], "want by: with "+strings.Join(c.By, ", ")+" among others", "%s ticks by %s, which is no entity column of this view", c.Name, name)
		}
	}
	v.clockReset(c)
}

// clockReset settles where intervals end though nothing ticks (F5).
func (v *viewChecker) clockReset(c *View) {
	t := &v.view.Window
	if t.Reset > 0 {
		return
	}
	if t.Reset = c.Window.Reset; t.Reset == 0 {
		t.Reset = market.Day
	}
	if c.Window.Width > t.Reset {
		v.problem(v.spec.Window.Pos, "want reset: "+shortDuration(c.Window.Width)+" or more in the window", "intervals of %s are longer than a day, where they would be cut", c.Name)
	}
}

// clockSpec is the view that the window names.
func (v *viewChecker) clockSpec() *Spec {
	w := v.spec.Window
	if w.Main.Op != OpName {
		return nil
	}
	name, version, _ := strings.Cut(w.Main.Text, "@")
	ref := Source{Name: name}
	if n, ok := parseInt(version); ok {
		ref.Version = int(n)
	}
	s := v.find(ref)
	if s == nil {
		v.problem(w.Main.Pos, wantName(name, append(sortedKeys(v.given), v.opt.Names...)), "unknown view %q", w.Main.Text)
	}
	return s
}

// instance is the clock with the parameters that with gives, the view itself when they are
// the ones in force. Equal values, equal view.
func (v *viewChecker) instance(s *Spec) *Spec {
	w := v.spec.Window
	params, names := map[string]Param{}, []string{}
	for _, p := range s.Params {
		params[p.Name], names = p, append(names, p.Name)
	}
	with, other := map[string]*Expr{}, false
	var key strings.Builder
	key.WriteString(s.View.Text + "@" + s.File)
	for _, k := range sortedKeys(w.With) {
		p, ok := params[k]
		if !ok {
			remedy := "want no with: it has no parameters"
			if len(names) > 0 {
				remedy = wantName(k, names)
			}
			v.problem(w.With[k].Pos, remedy, "%s has no parameter %q", s.View.Text, k)
			continue
		}
		e := v.withValue(k, w.With[k], p)
		if e == nil {
			continue
		}
		with[k] = e
		other = other || paramText(e) != v.inForce(s, p)
		key.WriteString("\x00" + k + "=" + paramText(e))
	}
	if !other {
		return s
	}
	if v.instances[key.String()] == nil {
		c := *s
		c.fixed = with
		v.instances[key.String()] = &c
	}
	return v.instances[key.String()]
}

// inForce is the value of a parameter of a view that nobody instantiates, as text.
func (c *checker) inForce(s *Spec, p Param) string {
	e := p.Default
	for _, key := range []string{p.Name, s.View.Text + "." + p.Name} {
		if text, given := c.opt.Set[key]; given {
			if x, want := setValue(text, p.Type, Pos{}); want == "" {
				e = x
			}
		}
	}
	if e == nil || e.Op == OpBad {
		return ""
	}
	return paramText(e)
}

// withValue is a value for parameter p of the clock, nil when it is none.
func (v *viewChecker) withValue(k string, e *Expr, p Param) *Expr {
	own := v.params[e.Text]
	switch {
	case e.Op == OpBad:
		return nil
	case e.Op == OpParam && own != nil && (own.kind == p.Type || own.kind == "int" && p.Type == "decimal"):
		if own.expr.Op == OpBad {
			return nil
		}
		return own.expr
	case p.Type == "string" && e.Op == OpString:
		return e
	case p.Type == "string" || p.Type == "list":
		if e.Op != OpParam || v.param(e).Type.Kind != tBad || own != nil {
			v.problem(e.Pos, "want a parameter of type "+p.Type, "%s of the clock is %s %s, not %s", k, article(p.Type), p.Type, e)
		}
		return nil
	}
	n := v.expr(e, scope{consts: true, what: "with"})
	if isBadType(n) {
		return nil
	}
	var text string
	switch kind := n.Type.Kind; {
	case n.Op == NConst && kind == TDur && p.Type == "duration":
		text = shortDuration(n.Const.Dec.M)
	case n.Op == NConst && (kind == TInt && p.Type == "int" || (kind == TInt || kind == TDec) && p.Type == "decimal"):
		text = decText(n.Const.Dec)
	default:
		v.problem(e.Pos, "want "+article(p.Type)+" "+p.Type, "%s is %s", k, typeName(n.Type))
		return nil
	}
	x, _ := paramLiteral(text, p.Type, func(int) Pos { return e.Pos })
	return x
}

// instanceName tells a clock with other parameters from the view itself.
func instanceName(s *Spec) string {
	if len(s.fixed) == 0 {
		return s.View.Text
	}
	var f []string
	for _, k := range sortedKeys(s.fixed) {
		f = append(f, k+"="+paramText(s.fixed[k]))
	}
	return s.View.Text + "(" + strings.Join(f, ",") + ")"
}

// clockColumn is a feature of the tick that ends the interval.
func (v *viewChecker) clockColumn(e *Expr, s scope) *Node {
	c := v.view.Window.Clock
	if c == nil { // its problem has been reported
		return v.badNode(e.Pos)
	}
	if e.HasArgs || s.consts || !s.features || s.agg != "" {
		v.problem(e.Pos, "want it among the features, outside aggregates", "clock.%s belongs to the tick that ends the interval", e.Text)
		return v.badNode(e.Pos)
	}
	var names []string
	for i, f := range c.Features {
		names = append(names, f.Name)
		if f.Name != e.Text {
			continue
		}
		t := f.Type
		t.Fixed, t.Scale, t.Nullable = false, 0, true
		switch t.Kind {
		case tBad:
			return v.badNode(e.Pos)
		case TText, TID:
			v.unsupported(e.Pos, "clock."+e.Text+", a text, is", "numbers, times, conditions, enums")
			return v.badNode(e.Pos)
		case TRatio:
			t.Kind = TFloat // ticks are kept, a ratio rounded once
		}
		return v.mk(&Node{Op: NClock, Index: i, Fn: e.Text, Type: t, Pos: e.Pos})
	}
	v.problem(e.Pos, wantName(e.Text, names), "%s has no feature %q", c.Name, e.Text)
	return v.badNode(e.Pos)
}
