package lang

import (
	"fmt"
	"strings"
)

// latest checks a latest window: the column that tells the members of a group apart, the
// grid, and how long a member counts after its newest row.
func (v *viewChecker) latest() {
	w, t := v.spec.Window, &v.view.Window
	v.need("every", "every: 1s", "has no grid")
	v.need("max_age", "max_age: 5s", "would keep dead members for ever")
	if e := w.Opts["every"]; e != nil && e.Op == OpName {
		v.unsupported(e.Pos, "every: event in a latest window is", "a grid such as every: 1s")
	}
	t.Every, t.Width = v.option("every"), v.option("max_age")
	if t.Every > 0 && t.Width/t.Every > maxPanes {
		v.problem(w.Opts["every"].Pos, "want a larger every",
			"%d grid points of %s in a max_age of %s", t.Width/t.Every, shortDuration(t.Every), shortDuration(t.Width))
	}
	if v.view.Empty != "omit" {
		v.problem(v.spec.Places["empty"], "want no empty: a group without a live member has no row", "empty: %s in a latest window", v.view.Empty)
	}
	if e := w.Opts["universe"]; e != nil && e.Text == "listed" {
		v.listed(e.Pos)
	}
	// Rows are held: what is kept of a ratio is the float64 nearest to it.
	for name, c := range v.cols {
		if c.Type.Kind == TRatio {
			c.Type.Kind = TFloat
			v.cols[name] = c
		}
	}
}

// ListingAge is how long an instrument event counts, µs: who is listed does not depend on
// what is older.
const ListingAge = maxSpan

// listed makes instrument events say who the members are: one that is silent has a row
// whose columns are null.
func (v *viewChecker) listed(pos Pos) {
	v.view.Window.Listed = true
	keys := v.memberColumns()
	if contains(keys, "feed") {
		v.problem(pos, "want universe: seen, or a key without feed", "universe: listed by feed: instrument events say nothing of feeds")
	}
	for name, c := range v.cols {
		if !contains(keys, name) {
			c.Type.Nullable = true
			v.cols[name] = c
		}
	}
}

// memberColumns are the entity columns of members and those that follow from them.
func (v *viewChecker) memberColumns() []string {
	keys := append([]string(nil), v.view.By...)
	if m := v.view.Window.Member; m != "" && !contains(keys, m) {
		keys = append(keys, m)
	}
	return append(keys, derivedColumns(keys)...)
}

// member checks the column of a latest window and enters it: with emit: members it is
// among the entity columns.
func (v *viewChecker) member(allowed []string) {
	w := v.spec.Window
	if w.Kind != Latest || w.Main == nil || w.Main.Op != OpName {
		return
	}
	name, what := w.Main.Text, "events"
	if v.view.Parent != nil {
		what = v.view.Parent.Name
	}
	switch {
	case contains(v.view.By, name):
		v.problem(w.Main.Pos, "want by without "+name+", or the members of another column", "latest: %s, and %s is in by: each group would have one member", name, name)
		return
	case !v.open && !contains(allowed, name):
		v.problem(w.Main.Pos, wantName(name, allowed), "%q is not an entity column of %s", name, what)
		return
	}
	v.view.Window.Member = name
	v.view.Window.Members = v.ofMembers()
	if v.ofMembers() {
		v.view.By = append(v.view.By, name)
	}
}

// ofMembers tells a latest window that gives a row for each member.
func (v *viewChecker) ofMembers() bool {
	w := v.spec.Window
	return w.Kind == Latest && w.Opts["emit"] != nil && w.Opts["emit"].Text == "members"
}

// bareColumns tells views in whose features a column may stand outside an aggregate.
func (v *viewChecker) bareColumns() bool { return v.rowView() || v.ofMembers() }

// windowName is the node of window_start and window_end among the features: those of this
// view's window, whatever columns the rows have.
func (v *viewChecker) windowName(e *Expr, s scope) *Node {
	if !s.features || v.rowView() || s.rows && (s.agg != "" || !v.ofMembers()) {
		return nil
	}
	switch e.Text {
	case "window_start":
		return v.mk(&Node{Op: NWindowStart, Type: Type{Kind: TTime}, Pos: e.Pos})
	case "window_end":
		return v.mk(&Node{Op: NWindowEnd, Type: Type{Kind: TTime}, Pos: e.Pos})
	}
	return nil
}

// untimed are the aggregates that follow values through time, which members do not.
var untimed = map[string]string{
	"time_mean": "want mean(x), or a window over time", "hy": "want corr(x, y), or a window over time", "lead": "want corr(x, y), or a window over time",
}

// overMembers tells whether an aggregate means something over members.
func (v *viewChecker) overMembers(e *Expr) bool {
	remedy, bad := untimed[e.Text]
	if v.spec.Window.Kind != Latest || !bad {
		return true
	}
	v.problem(e.Pos, remedy, "%s over the members of a latest window, which have no order in time", e.Text)
	return false
}

// crossMacros are the functions among members that are made of rank and aggregates. The
// zscore is a root of a ratio, so that it is rounded once.
var crossMacros = map[string]string{
	"pct_rank": "if(x is null, null, (count(x) - rank(x)) / (count(x) - 1))",
	"zscore":   "sign(x - mean(x)) * sqrt((x - mean(x)) * (x - mean(x)) / var(x, ddof=1))",
	"share":    "x / sum(x)",
}

// cross types a function of a member among the members of its group.
func (v *viewChecker) cross(e *Expr, arg *Expr, s scope) *Node {
	bad := true
	switch {
	case s.consts:
		v.problem(e.Pos, "want parameters and literals only", "function %q in %s", e.Text, s.what)
		return v.badNode(e.Pos)
	case v.spec.Window.Kind != Latest:
		v.problem(e.Pos, "want window: {latest: symbol, every: 1m, max_age: 10m, emit: members}", "%s outside a latest window", e.Text)
	case s.what == "let" || s.what == "where":
		v.problem(e.Pos, "want it in a feature: members are compared at the times of the grid", "%s in %s", e.Text, s.what)
	case s.agg == "" && !v.ofMembers():
		v.problem(e.Pos, fmt.Sprintf("want emit: members, or %s inside an aggregate", e.Text), "%s of a member in a row of the group", e.Text)
	default:
		bad = false
	}
	s.rows, s.features, s.members = true, true, true
	x := v.expr(arg, s)
	if bad || isBadType(x) {
		return v.badNode(e.Pos)
	}
	if k := x.Type.Kind; !isNumber(k) && k != TDur && (e.Text == "share" || e.Text == "zscore" || k != TTime) {
		v.problem(arg.Pos, "want a number", "%s of %s", e.Text, typeName(x.Type))
		return v.badNode(e.Pos)
	}
	v.ops[e.Text] = true
	if text, ok := crossMacros[e.Text]; ok {
		return v.expr(inPlace(text, arg, e.Pos), s)
	}
	return v.mk(&Node{Op: NRank, Type: Type{Kind: TInt}, Pos: e.Pos, Args: []*Node{x}})
}

// inPlace is the text of a macro with arg in the place of x, all at one position.
func inPlace(text string, arg *Expr, pos Pos) *Expr {
	e := parseExpr(text, func(int) Pos { return pos }, func(p Problem) { panic("BUG: macro " + text + ": " + p.What) })
	var put func(e *Expr) *Expr
	put = func(e *Expr) *Expr {
		if e.Op == OpName && e.Text == "x" {
			return arg
		}
		for i, a := range e.Args {
			e.Args[i] = put(a)
		}
		for k, a := range e.Keys {
			e.Keys[k] = put(a)
		}
		return e
	}
	return put(e)
}

// heldColumns reports columns that a latest window does not keep: texts that are no part
// of the entity.
func (v *viewChecker) heldColumns() {
	if v.spec.Window.Kind != Latest {
		return
	}
	keys := v.memberColumns()
	seen := map[*Node]bool{}
	var walk func(n *Node)
	walk = func(n *Node) {
		if n == nil || seen[n] {
			return
		}
		seen[n] = true
		if k := n.Type.Kind; n.Op == NColumn && (k == TText || k == TID) && !contains(keys, n.Fn) {
			v.problem(n.Pos, "want a number, time or enum, or an entity column: "+strings.Join(keys, " "), "column %q is text, which a latest window does not keep", n.Fn)
		}
		for _, a := range n.Args {
			walk(a)
		}
	}
	for _, a := range v.view.Aggs {
		for _, n := range a.Args {
			walk(n)
		}
		walk(a.Where)
	}
	for _, f := range v.view.Features {
		walk(f.Node)
	}
}
