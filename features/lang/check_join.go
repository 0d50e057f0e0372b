package lang

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/market"
)

// TypedJoin matches a row of a view with one of another kind or view: of the rows with the
// same key the newest at or before the time t of the row (Strict: before) that is at most
// MaxAge old, or, when Exact, the one at t.
type TypedJoin struct {
	Alias  string
	Kind   market.Kind // KindNone when the joined rows are those of a view
	Events string      // the name of Kind
	View   *View       // nil when they are events
	On     []string    // entity columns of both sides
	Exact  bool
	Strict bool
	MaxAge int64 // µs; 0 of an exact match

	// Where is a filter of the joined rows. Columns are those of the joined side that Where
	// reads (NColumn.Index counts in them), and Kept are those that the view reads. A
	// joined column of View.Columns is Kept by the name behind the alias.
	Where   *Node
	Columns []Column
	Kept    []Column
}

// Name is what is joined.
func (j *TypedJoin) Name() string {
	if j.View != nil {
		return j.View.Name
	}
	return j.Events
}

// joinColumns is a join while its view is checked.
type joinColumns struct {
	spec  Join
	typed *TypedJoin // nil when it has problems
	cols  []Column   // of the joined side
	used  bool
}

// holds tells whether rows are held: those of a row view that joins, and those of a window
// that joins among its rows. Features that join at the time of their row hold nothing.
func (v *viewChecker) holds() bool {
	switch {
	case len(v.spec.Joins) == 0 || v.spec.Rollup || v.spec.Window.Kind == Latest: // that keeps what it needs
		return false
	case v.rowView() || v.namesAlias(v.spec.Where, true):
		return true
	case v.spec.Window.Kind == Bar && v.namesAlias(v.spec.Window.Main, true):
		return true
	}
	for _, d := range v.spec.Let {
		if v.namesAlias(d.Expr, true) {
			return true
		}
	}
	for _, d := range v.spec.Features {
		if v.namesAlias(d.Expr, false) {
			return true
		}
	}
	return false
}

// namesAlias looks for alias.column in an expression: anywhere, or inside an aggregate.
func (v *viewChecker) namesAlias(e *Expr, among bool) bool {
	if e == nil {
		return false
	}
	if e.Op == OpMethod && among && len(e.Args) > 0 && e.Args[0].Op == OpName && v.joinSpec(e.Args[0].Text) {
		return true
	}
	if e.Op == OpCall && functions[e.Text].class == aggregate {
		among = true
	}
	for _, a := range e.Args {
		if v.namesAlias(a, among) {
			return true
		}
	}
	return v.namesAlias(e.Where, among)
}

func (v *viewChecker) joinSpec(alias string) bool {
	for _, j := range v.spec.Joins {
		if j.Alias == alias {
			return true
		}
	}
	return false
}

// joins checks what a join must say (F5) and finds its columns.
func (v *viewChecker) joins() {
	for _, j := range v.spec.Joins {
		jc := &joinColumns{spec: j}
		v.joined[j.Alias] = jc
		sound := v.joinShape(j)
		if j.View.Name == "" {
			continue
		}
		if t, cols := v.join(j); sound && t != nil {
			jc.typed, jc.cols = t, cols
			v.view.Joins = append(v.view.Joins, t)
		}
	}
	if v.spec.Window.Kind == Latest && v.spec.Time == "ingest" && len(v.spec.Joins) > 0 {
		v.problem(v.spec.Places["time"], "want time: event, or a row view below that joins: a row of it counts when all that it joins is known",
			"time: ingest in a latest window with joins, which match by the times of events")
	}
	if v.spec.Window.Kind == Latest && v.namesAlias(v.spec.Where, true) {
		v.problem(v.spec.Places["where"], "want the condition inside the aggregates, or a row view below that joins",
			"joined column in the where of a latest window: which row of a member is the newest is settled before it is joined")
	}
	if v.spec.Rollup && len(v.spec.Joins) > 0 {
		v.problem(v.spec.Places["join"], "want only from, by, window and rollup: the parent has the rest", "join in a rollup")
	}
}

// joinShape checks the keys of a join by themselves.
func (v *viewChecker) joinShape(j Join) bool {
	before := len(v.problems)
	if _, clash := v.cols[j.Alias]; clash {
		v.problem(j.Pos, "want another alias", "join %q has the name of an input column", j.Alias)
	}
	if j.Alias == "book" || j.Alias == "clock" {
		v.problem(j.Pos, "want another alias", "%q means something else before a point", j.Alias)
	}
	for _, s := range v.spec.From {
		if s.Alias == j.Alias {
			v.problem(j.Pos, "want another alias", "join %q has the name of an input", j.Alias)
		}
	}
	if v.spec.broken {
		return len(j.On) > 0 && j.Match != "" && len(v.problems) == before
	}
	if j.View.Name == "" {
		v.problem(j.Pos, "want view: name", "join %q has no view", j.Alias)
	}
	if len(j.On) == 0 {
		v.problem(j.Pos, "want on: [exchange, symbol] or other columns of both", "join %q has no columns to match on", j.Alias)
	}
	switch {
	case j.Match == "":
		v.problem(j.Pos, "want match: asof or match: exact", "join %q does not say how to match", j.Alias)
	case j.Match == "asof" && j.MaxAge == nil:
		v.problem(j.Pos, "want max_age: 5s", "as-of join %q without max_age would look back without bound", j.Alias)
	case j.Match == "exact" && j.MaxAge != nil:
		v.problem(j.MaxAge.Pos, "want no max_age, or match: asof", "max_age of an exact match")
	case j.Match == "exact" && j.Strict:
		v.problem(j.Pos, "want no strict, or match: asof", "strict in an exact match")
	}
	return len(v.problems) == before
}

// join resolves the joined side; nil when something is wrong with it.
func (v *viewChecker) join(j Join) (*TypedJoin, []Column) {
	t := &TypedJoin{Alias: j.Alias, Exact: j.Match == "exact", Strict: j.Strict}
	var cols []Column
	var keys []string
	if kind, ok := v.kinds.Parse(j.View.Name); ok {
		if kind == market.KindWatermark || j.View.Version != 0 {
			v.problem(j.View.Pos, "want a kind such as funding, or a view", "cannot join %s", refText(j.View))
			return nil, nil
		}
		t.Kind, t.Events, keys = kind, v.kinds.Name(kind), entityColumns
		cols = v.kindColumns(kind)
	} else {
		s := v.find(j.View)
		if s == nil {
			v.problem(j.View.Pos, wantName(j.View.Name, v.sourceNames()), "unknown kind or view %q", refText(j.View))
			return nil, nil
		}
		st := v.checker.view(s)
		if st == nil || s.broken {
			return nil, nil
		}
		t.View, keys = st.view, v.entityOf(st.view)
		cols = slices.Clone(st.cols)
	}
	for i := range cols {
		cols[i] = joinedColumn(cols[i])
	}
	ok := v.joinKeys(j, t, keys)
	if j.MaxAge != nil {
		age, known := v.duration(j.MaxAge, "max_age")
		t.MaxAge, ok = age, ok && known
	}
	if j.Where != nil {
		ok = v.joinWhere(j, t, cols) && ok
	}
	if !ok {
		return nil, nil
	}
	return t, cols
}

// joinedColumn is a column as a match gives it: null without one, a ratio rounded to a
// float, because it outlives its row.
func joinedColumn(c Column) Column {
	c.Type.Nullable = true
	if c.Type.Kind == TRatio {
		c.Type.Kind = TFloat
	}
	return c
}

// joinKeys checks that the key columns belong to the entities of both sides.
func (v *viewChecker) joinKeys(j Join, t *TypedJoin, keys []string) bool {
	ours := entityColumns
	if v.view.Parent != nil {
		ours = v.entityOf(v.view.Parent)
	}
	if v.view.Union != nil {
		ours = v.unionKeys()
	}
	ok := true
	for _, n := range j.On {
		switch {
		case !contains(keys, n.Text):
			v.problem(n.Pos, wantName(n.Text, keys), "%q is not an entity column of %s", n.Text, t.Name())
			ok = false
		case !v.open && !contains(ours, n.Text):
			v.problem(n.Pos, wantName(n.Text, ours), "%q is not an entity column of the input", n.Text)
			ok = false
		}
		t.On = append(t.On, n.Text)
	}
	return ok
}

// joinWhere checks the filter of a join, whose names are columns of the joined side alone.
func (v *viewChecker) joinWhere(j Join, t *TypedJoin, cols []Column) bool {
	ours, names := v.cols, v.colNames
	v.cols, v.colNames = map[string]Column{}, nil
	v.setColumns(cols)
	t.Where = v.condition(j.Where, scope{rows: true, what: "where of join " + j.Alias})
	index := map[string]int{}
	eachColumn(t.Where, func(n *Node) {
		if _, plain := v.cols[n.Fn]; !plain { // of the book
			v.problem(n.Pos, "want plain columns, or a view over the book to join", "%s in the where of a join", n.Fn)
			t.Where = v.badNode(n.Pos)
			return
		}
		i, known := index[n.Fn]
		if !known {
			i = len(t.Columns)
			index[n.Fn] = i
			t.Columns = append(t.Columns, v.cols[n.Fn])
		}
		n.Index = i
	})
	v.cols, v.colNames = ours, names
	return !isBadType(t.Where)
}

// eachColumn calls f for each column node below n, once.
func eachColumn(n *Node, f func(*Node)) {
	seen := map[*Node]bool{}
	var walk func(n *Node)
	walk = func(n *Node) {
		if n == nil || seen[n] {
			return
		}
		seen[n] = true
		if n.Op == NColumn {
			f(n)
		}
		for _, a := range n.Args {
			walk(a)
		}
	}
	walk(n)
}

// joinedName is alias.column of a join.
func (v *viewChecker) joinedName(e *Expr, s scope, jc *joinColumns) *Node {
	jc.used = true
	switch {
	case s.consts:
		v.problem(e.Pos, "want parameters and literals only", "joined column %s in %s", e, s.what)
		return v.badNode(e.Pos)
	case jc.typed == nil:
		return v.badNode(e.Pos)
	case len(e.Args) > 1:
		v.problem(e.Pos, "want "+jc.spec.Alias+"."+e.Text, "%s is a column, not a function", e)
		return v.badNode(e.Pos)
	}
	var names []string
	for _, c := range jc.cols {
		if c.Name == e.Text && c.Type.Kind != TList {
			return v.joinedNode(e, s, jc.typed, c)
		}
		if c.Type.Kind != TList {
			names = append(names, c.Name)
		}
	}
	v.problem(e.Pos, wantName(e.Text, names), "%s has no column %q", jc.typed.Name(), e.Text)
	return v.badNode(e.Pos)
}

func (v *viewChecker) joinedNode(e *Expr, s scope, t *TypedJoin, c Column) *Node {
	if c.Type.Kind == TText || c.Type.Kind == TID {
		v.unsupported(e.Pos, "text of joined rows is", "numbers, times, conditions, enums")
		return v.badNode(e.Pos)
	}
	if !s.rows {
		own := append(append([]string(nil), v.view.By...), derivedColumns(v.view.By)...)
		for _, k := range t.On {
			if !contains(own, k) && !v.open {
				v.problem(e.Pos, "want last("+t.Alias+"."+c.Name+"), or "+k+" in by", "%s joins on %s, which the rows of this view do not have", t.Alias, k)
				return v.badNode(e.Pos)
			}
		}
	}
	name := t.Alias + "." + c.Name
	if _, known := v.cols[name]; !known {
		for i, j := range v.view.Joins {
			if j == t {
				v.cols[name] = Column{Name: name, Type: c.Type, Join: i + 1}
			}
		}
		t.Kept = append(t.Kept, c)
	}
	return v.mk(&Node{Op: NColumn, Fn: name, Type: c.Type, Pos: e.Pos})
}

// unusedJoins reports joins none of whose columns is read: they would cost and give nothing.
func (v *viewChecker) unusedJoins() {
	for _, j := range v.spec.Joins {
		if jc := v.joined[j.Alias]; jc.typed != nil && !jc.used && !v.spec.broken {
			v.problem(j.Pos, "want "+j.Alias+".column somewhere, or no join", "join %q is not used", j.Alias)
		}
	}
}

// joinsInFeatures reports whether features join at the time of their row.
func (v *View) joinsInFeatures() bool {
	found := false
	for _, f := range v.Features {
		eachColumn(f.Node, func(*Node) { found = true })
	}
	return found && v.Window.Kind != NoWindow
}

// joinBounds are the lookback and reach of the joined rows.
func (v *viewChecker) joinBounds() (lookback, reach int64) {
	for _, j := range v.view.Joins {
		l, r := j.MaxAge, j.MaxAge
		if j.View != nil {
			l, r = l+j.View.Lookback, r+j.View.Reach
		}
		lookback, reach = max(lookback, l), max(reach, r)
	}
	return lookback, reach
}

// joinedKind is what a fingerprint says of a joined kind.
func (v *viewChecker) joinedKind(k market.Kind) string {
	if v.kinds.Definition(k) != nil {
		return v.kindText(k)
	}
	return k.String()
}

// joinLines are the lines of a fingerprint about the joined sides.
func (v *viewChecker) joinLines() []string {
	var lines []string
	for _, j := range v.view.Joins {
		if j.View != nil {
			lines = append(lines, "join "+j.Alias+" parent "+hex.EncodeToString(j.View.Fingerprint[:]))
			continue
		}
		cols := append(append([]Column(nil), j.Columns...), j.Kept...)
		lines = append(lines, "join "+j.Alias+" kind "+v.joinedKind(j.Kind)+" "+strings.Join(v.columnLines(j.Kind, cols), " "))
	}
	return lines
}
