package lang

import (
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/market"
)

// viewChecker checks one view.
type viewChecker struct {
	*checker
	spec     *Spec
	view     *View
	cols     map[string]Column // input columns
	colNames []string
	open     bool // the input could not be resolved: its columns are unknown, say nothing of them
	params   map[string]*paramValue
	lets     map[string]*definition
	feats    map[string]*definition
	joined   map[string]*joinColumns // by alias
	trail    []string                // definitions being checked, for cycles
	aggs     map[string]int
	ops      map[string]bool // operators used, for the fingerprint
	once     map[string]bool // constructs reported as not supported
	decimals map[int]int8    // digits asked for by decimal(x, s), by feature
	sizes    map[*Node]int
	reset    resets
	book     bool // order-book functions are used
}

// definition is a let or a feature while it is checked.
type definition struct {
	def   Def
	index int
	node  *Node
	state uint8 // 0 new, 1 being checked, 2 done
}

func newViewChecker(c *checker, s *Spec) *viewChecker {
	return &viewChecker{
		checker: c, spec: s,
		view:   &View{Spec: s, Kinds: c.kinds, Name: instanceName(s), Version: s.Version, Doc: strings.TrimSpace(s.Doc), Params: map[string]string{}},
		cols:   map[string]Column{},
		params: map[string]*paramValue{}, lets: map[string]*definition{}, feats: map[string]*definition{},
		joined: map[string]*joinColumns{},
		aggs:   map[string]int{}, ops: map[string]bool{}, once: map[string]bool{}, sizes: map[*Node]int{}, decimals: map[int]int8{},
	}
}

func (v *viewChecker) run() {
	v.checkParams()
	v.from()
	v.by()
	v.joins()
	v.settings()
	v.define()
	v.window()
	v.where()
	for _, d := range v.spec.Let {
		v.letNode(v.lets[d.Name])
	}
	if v.spec.Rollup && len(v.spec.Features) == 0 {
		v.rollup()
	} else {
		v.features()
	}
	v.heldColumns()
	v.unusedJoins()
	v.resetKeys()
	v.alerts()
	v.tests()
	v.bounds()
	if v.spec.broken {
		return
	}
	v.numberColumns()
	v.view.Canonical = v.spec.Canonical(v.view.Params)
	v.view.Fingerprint = v.fingerprint()
}

// unsupported reports a construct that this version reads and cannot run, once for each view.
func (v *viewChecker) unsupported(pos Pos, construct, supported string) {
	if v.once[construct] {
		return
	}
	v.once[construct] = true
	remedy := ""
	if supported != "" {
		remedy = "supported: " + supported
	}
	v.problem(pos, remedy, "%s not supported by this version", construct)
}

func (v *viewChecker) rowView() bool { return v.spec.Window.Kind == NoWindow && !v.spec.Rollup }

// from finds the input and its columns.
func (v *viewChecker) from() {
	if len(v.spec.From) != 1 || v.spec.From[0].Alias != "" {
		v.open = len(v.spec.From) == 0
		v.union()
		return
	}
	v.view.Holds = v.holds()
	src := v.spec.From[0]
	if src.Name == "" {
		v.open = true
		return
	}
	if kind, ok := v.kinds.Parse(src.Name); ok {
		if kind == market.KindWatermark {
			v.problem(src.Pos, "want status for outages", "watermark events have no columns to compute with")
		}
		if src.Version != 0 {
			v.problem(src.Pos, "want "+src.Name, "a kind has no version")
		}
		v.view.Kind = kind
		v.setColumns(v.kindColumns(kind))
		return
	}
	parent := v.find(src)
	if parent == nil {
		v.open = true
		remedy := wantName(src.Name, v.sourceNames())
		if src.Version != 0 && v.find(Source{Name: src.Name}) != nil {
			remedy = fmt.Sprintf("want %s@%d", src.Name, v.find(Source{Name: src.Name}).Version)
		}
		v.problem(src.Pos, remedy, "unknown kind or view %q", refText(src))
		return
	}
	st := v.checker.view(parent)
	if st == nil || parent.broken {
		v.open = true
	}
	if st != nil {
		v.view.Parent = st.view
		v.setColumns(st.cols)
		v.holdColumns()
	}
}

func refText(s Source) string {
	if s.Version == 0 {
		return s.Name
	}
	return fmt.Sprintf("%s@%d", s.Name, s.Version)
}

func (v *viewChecker) setColumns(cols []Column) {
	for _, c := range cols {
		if v.view.Holds && c.Type.Kind == TRatio {
			c.Type.Kind = TFloat // what is held is rounded once
		}
		if _, dup := v.cols[c.Name]; !dup {
			v.colNames = append(v.colNames, c.Name)
		}
		v.cols[c.Name] = c
	}
}

// outputColumns are what a child of this view sees: times, entity, features.
func (v *viewChecker) outputColumns() []Column {
	cols := []Column{{Name: "ts", Type: Type{Kind: TTime}}}
	for _, name := range v.view.By {
		if c, ok := v.cols[name]; ok {
			cols = append(cols, c)
		}
	}
	for _, name := range derivedColumns(v.view.By) {
		if !hasFeature(v.view, name) {
			cols = append(cols, Column{Name: name, Type: Type{Kind: TText}})
		}
	}
	for _, f := range v.view.Features {
		t := f.Type
		t.Fixed, t.Scale = false, 0
		cols = append(cols, Column{Name: f.Name, Type: t})
	}
	for _, name := range []string{"window_start", "window_end", "row_ts", "available_at"} {
		cols = append(cols, Column{Name: name, Type: Type{Kind: TTime}})
	}
	return cols
}

// by checks the entity columns: of events the facets of the instrument, of rows the
// entity columns of the parent.
func (v *viewChecker) by() {
	allowed := entityColumns
	if v.view.Parent != nil {
		allowed = v.entityOf(v.view.Parent)
	}
	if v.view.Union != nil {
		allowed = v.unionKeys()
	}
	for _, name := range v.spec.By {
		v.view.By = append(v.view.By, name.Text)
		if v.open || contains(allowed, name.Text) {
			continue
		}
		what := "an entity column of events"
		if v.view.Parent != nil {
			what = "an entity column of " + v.view.Parent.Name
		} else if v.view.Union != nil {
			what = "an entity column of all inputs"
		}
		v.problem(name.Pos, wantName(name.Text, allowed), "%q is not %s", name.Text, what)
	}
	v.member(allowed)
}

// derivedColumns are the entity columns that follow from others: a symbol tells base and quote.
func derivedColumns(by []string) []string {
	var names []string
	for _, name := range []string{"base", "quote"} {
		if contains(by, "symbol") && !contains(by, name) {
			names = append(names, name)
		}
	}
	return names
}

// entityOf lists the entity columns of a view and those that follow from them.
func (v *viewChecker) entityOf(p *View) []string {
	names := append([]string(nil), p.By...)
	for _, name := range derivedColumns(p.By) {
		if !hasFeature(p, name) {
			names = append(names, name)
		}
	}
	return names
}

func hasFeature(p *View, name string) bool {
	for _, f := range p.Features {
		if f.Name == name {
			return true
		}
	}
	return false
}

// SameColumns reports whether two lists name the same columns, in whatever order.
func SameColumns(a, b []string) bool {
	for _, x := range a {
		if !contains(b, x) {
			return false
		}
	}
	return len(a) == len(b)
}

// settings checks the words that are not expressions and writes out their defaults.
func (v *viewChecker) settings() {
	v.view.Empty = v.spec.Empty
	if v.view.Empty == "" {
		v.view.Empty = "omit"
	}
	if v.rowView() && v.spec.Empty != "" {
		v.problem(v.spec.Places["empty"], "want a window, or no empty", "empty in a row view")
	}
	v.view.Ingest = v.spec.Time == "ingest"
	if v.view.Ingest && v.spec.Window.Kind != Latest {
		v.unsupported(v.spec.Places["time"], "time: ingest is", "event; ingest in latest windows")
	}
}

func (v *viewChecker) where() {
	if v.spec.Where == nil {
		return
	}
	v.view.Where = v.condition(v.spec.Where, scope{rows: true, what: "where"})
	if n := firstScan(v.view.Where); n != nil && v.spec.Where.Op != OpBad {
		v.problem(v.spec.Where.Pos, "want it in the where of an aggregate", "%s in the filter of the view: rows that it leaves out do not exist for scans", n.Fn)
	}
}

// condition checks an expression that must be true or false.
func (v *viewChecker) condition(e *Expr, s scope) *Node {
	n := v.expr(e, s)
	if n.Type.Kind != TBool && n.Type.Kind != TNull && n.Type.Kind != tBad {
		v.problem(e.Pos, "want a comparison", "%s is %s, not a condition", e, typeName(n.Type))
		return v.badNode(e.Pos)
	}
	return n
}

// numberColumns gives the input columns that are read their places, in order of first use.
func (v *viewChecker) numberColumns() {
	if v.view.Rollup {
		return
	}
	index := map[string]int{}
	seen := map[*Node]bool{}
	var walk func(n *Node)
	walk = func(n *Node) {
		if n == nil || seen[n] {
			return
		}
		seen[n] = true
		if n.Op == NColumn {
			i, ok := index[n.Fn]
			if !ok {
				i = len(v.view.Columns)
				index[n.Fn] = i
				v.view.Columns = append(v.view.Columns, v.cols[n.Fn])
			}
			n.Index = i
		}
		for _, a := range n.Args {
			walk(a)
		}
	}
	walk(v.view.Where)
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
