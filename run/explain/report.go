package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
)

// Explanation is what is known about one row.
type Explanation struct {
	View     string    `json:"view"`
	Version  int       `json:"version"`
	Entity   string    `json:"entity"`
	Start    string    `json:"window_start"`
	End      string    `json:"window_end"`
	RowTS    string    `json:"row_ts"`
	Nth      int       `json:"nth,omitempty"`    // of several rows at one instant: which this is, from 1
	Of       int       `json:"nth_of,omitempty"` // and how many there are
	Avail    string    `json:"available_at"`
	AvailBy  string    `json:"available_by,omitempty"` // what it waited for
	Flags    []string  `json:"flags"`
	Features []Feature `json:"features"`
	Inputs
	Out      []LeftOut `json:"left_out"`
	OutCount int       `json:"left_out_total"`
	Others   int       `json:"other_entities_total"` // events of the row's time that are of other entities
	Before   *Event    `json:"before,omitempty"`     // the entity's last event in reach before the window
	Rejected int64     `json:"rejected_in_input"`
}

// Inputs are what a row was computed from. Events of a view over views are those behind its
// rows: they stand with these, and only their number here.
type Inputs struct {
	Rows     []Row     `json:"rows,omitempty"` // rows of other views
	RowCount int       `json:"rows_total"`
	Events   []Event   `json:"events"`
	Count    int       `json:"events_total"`
	Carried  []Carried `json:"carried,omitempty"` // what scans remembered before the first row that is listed

	own, other, direct int // rows of the view's input, other rows, events that are no row's
}

// Row is a row of another view.
type Row struct {
	Role     string    `json:"role,omitempty"` // how it went in when it is no row of the view's input: joined as f, tick
	View     string    `json:"view"`
	Entity   string    `json:"entity"`
	Start    string    `json:"window_start"`
	End      string    `json:"window_end"`
	RowTS    string    `json:"row_ts"`
	Age      string    `json:"age,omitempty"` // of what is joined and of members, at the time of the row
	Values   []Column  `json:"values"`        // those that are read
	Features []Feature `json:"features,omitempty"`
	*Inputs

	when string // the instant or stretch that people know the row by
}

// Carried is the state of a scan before the rows that are listed: from it they lead to the
// value of the row.
type Carried struct {
	Scan   string `json:"scan"`
	Value  string `json:"value"`
	Weight string `json:"weight,omitempty"` // ewm: the value is a sum over it
	Sum    string `json:"sum,omitempty"`    // ema, wilder: of the first values, before there are n
	RowTS  string `json:"row_ts"`           // of the last row in it
	Inputs int    `json:"inputs"`           // how many values are in it
}

// Feature is one value and how it was worked out.
type Feature struct {
	Name       string      `json:"name"`
	Formula    string      `json:"formula"`
	Numbers    string      `json:"numbers"`
	Value      string      `json:"value"`                // as the row has it; null is empty
	Recomputed string      `json:"recomputed,omitempty"` // of the row that is explained
	Aggregates []Aggregate `json:"aggregates"`
}

// Aggregate is one accumulator or scan of a feature.
type Aggregate struct {
	Text  string `json:"aggregate"`
	Value string `json:"value"`
	Used  int    `json:"used"`
	Place string `json:"place,omitempty"` // of the very event or row that first, last, min, max or prev is
}

// LeftOut is an event or record that was not used.
type LeftOut struct {
	Event
	Verdict string `json:"verdict"` // late, duplicate, filtered, rejected
	Why     string `json:"why"`
}

// report puts the explanation together.
func (e *explainer) report() (*Explanation, error) {
	x := e.eval
	x.to, x.last = e.rowTS, e.last
	x.want(e.view, e.rowTS)
	var c *computed
	twin := 0
	for _, r := range x.rows(e.view) {
		if r.rowTS == e.rowTS && r.start == e.row.start && slices.Equal(r.entity, e.entity) {
			if twin == e.row.twins {
				c = r
			}
			twin++
		}
	}
	if c == nil {
		return nil, &fault.Error{Code: "explain_difference", Message: "the engine has the row, working it out again gives none", Exit: fault.ExitDifference}
	}
	out := &Explanation{View: e.view.Name, Version: e.view.Version, Entity: strings.Join(e.entity, "/"),
		Start: market.FormatTime(e.row.start), End: market.FormatTime(e.row.end), RowTS: market.FormatTime(e.rowTS), Avail: market.FormatTime(e.row.avail),
		Flags: features.FlagNames([]string{}, e.row.flags), Out: []LeftOut{}, Rejected: e.badCount}
	if e.row.of > 1 {
		out.Nth, out.Of = max(e.cfg.Nth, 1), e.row.of
	}
	names := map[string]bool{}
	if e.cfg.Feature != "" {
		names[e.cfg.Feature] = true
	}
	fields := e.plan.Outputs()[e.at].Fields
	for i, f := range e.view.Features {
		if len(names) > 0 && !names[f.Name] {
			continue
		}
		y := feature(c, i)
		y.Value, y.Recomputed = e.row.vals[i].text, agree(&fields[i], e.row.vals[i], c.vals[i], e.row.flags)
		out.Features = append(out.Features, y)
	}
	out.Inputs = *e.inputs(c, e.cfg.Deep)
	e.leftOut(out, c)
	return out, nil
}

func cut(n, limit int) int {
	if limit > 0 {
		return min(n, limit)
	}
	return n
}

// feature explains a value as it was worked out.
func feature(c *computed, i int) Feature {
	src := c.s.v
	f := src.Features[i]
	y := Feature{Name: f.Name, Value: show(c.vals[i], f.Type), Formula: src.Spec.Features[i].Expr.String(), Aggregates: []Aggregate{}}
	y.Numbers = formula(f.Node, func(n *lang.Node) (string, bool) {
		switch n.Op {
		case lang.NConst:
			return n.String(), true
		case lang.NColumn, lang.NAgg, lang.NFeature, lang.NScan, lang.NRank, lang.NClock, lang.NWindowStart, lang.NWindowEnd:
			return show(c.leaf(n), n.Type), true
		}
		return "", false
	}, true)
	seen := map[string]bool{}
	var walk func(n *lang.Node)
	walk = func(n *lang.Node) {
		switch n.Op {
		case lang.NFeature:
			walk(src.Features[n.Index].Node)
		case lang.NAgg, lang.NScan, lang.NRank:
			z := c.accumulator(n)
			if !seen[z.Text] {
				seen[z.Text] = true
				y.Aggregates = append(y.Aggregates, z)
			}
		}
		for _, a := range n.Args {
			walk(a)
		}
	}
	walk(f.Node)
	return y
}

// accumulator explains an aggregate or a scan.
func (c *computed) accumulator(n *lang.Node) Aggregate {
	if n.Op == lang.NScan {
		k := c.lo
		t := c.s.trace(n, c.s.served(k))
		z := Aggregate{Text: text(c.s.v, n), Value: show(t.vals[k], n.Type), Used: t.at[k]}
		if n.Fn == "prev" || n.Fn == "since" {
			if z.Used = 0; t.at[k] >= 0 {
				z.Used, z.Place = 1, place(&c.s.rows[t.at[k]])
			}
		}
		return z
	}
	if n.Op == lang.NRank {
		return Aggregate{Text: text(c.s.v, n), Value: show(c.leaf(n), n.Type), Used: len(c.s.rows)}
	}
	a := c.s.v.Aggs[n.Index]
	var r result
	if len(c.aggs) > 0 {
		r = c.aggs[n.Index]
	} else {
		r = c.s.frame(a, c.lo)
	}
	z := Aggregate{Text: aggregateText(c.s.v, a), Value: show(r.v, a.Type), Used: r.used}
	if r.point != nil {
		z.Place = place(r.point)
	}
	return z
}

// place names a row: an event by its file and line.
func place(in *item) string {
	switch {
	case in.ev != nil:
		return in.ev.Place
	case in.row != nil:
		return strings.Join(in.row.entity, "/") + " " + market.FormatTime(in.row.start)
	}
	return ""
}

// text prints an expression of a view.
func text(v *lang.View, n *lang.Node) string {
	return formula(n, func(n *lang.Node) (string, bool) {
		switch n.Op {
		case lang.NAgg:
			return aggregateText(v, v.Aggs[n.Index]), true
		case lang.NFeature:
			return v.Features[n.Index].Name, true
		}
		return n.String(), len(n.Args) == 0
	}, true)
}

func aggregateText(v *lang.View, a *lang.Agg) string {
	var args []string
	for _, x := range a.Args {
		args = append(args, text(v, x))
	}
	if a.Fn == "quantile" {
		args = append(args, a.P.String())
	}
	if a.Fn == "lead" {
		args = append(args, "max="+span(a.Max), "step="+span(a.Step))
	}
	s := strings.Join(args, ", ")
	if a.Where != nil {
		s = strings.TrimSpace(s + " where " + text(v, a.Where))
	}
	s = a.Fn + "(" + s + ")"
	switch f := a.Over; {
	case f.Rows > 0:
		s += fmt.Sprintf(" over %d rows within %s", f.Rows, span(f.Span))
	case f.Span > 0:
		s += " over " + span(f.Span)
	}
	return s
}

// read tells which columns of its input a view reads.
func read(v *lang.View) map[string]bool {
	out := map[string]bool{}
	for _, c := range source(v).Columns {
		switch {
		case c.Input > 0:
			out[c.Name[strings.IndexByte(c.Name, '.')+1:]] = true
		case c.Join == 0:
			out[c.Name] = true
		}
	}
	return out
}

// inputs lists what went into a row; deep goes on down to the events. Of what scans and
// frames took the last rows are listed, with what scans remembered before.
func (e *explainer) inputs(c *computed, deep bool) *Inputs {
	out := &Inputs{Events: []Event{}}
	list := c.taken()
	behind := map[*Event]bool{}
	c.behind(behind, map[*computed]bool{})
	out.Count = len(behind)
	limit := func(n int) bool { return e.cfg.Limit == 0 || n <= e.cfg.Limit }
	skip := 0
	if c.v.Window.Kind == lang.NoWindow && e.cfg.Limit > 0 {
		for _, p := range list {
			skip += one(p.role == "")
		}
		if skip = max(skip-e.cfg.Limit, 0); skip > 0 {
			out.Carried = c.carried(list[skip-1].k, func(name string) bool { return c.v != e.view || e.cfg.Feature == "" || name == e.cfg.Feature })
		}
	}
	columns, from := read(c.v), 0
	if skip > 0 {
		from = list[skip].k
	}
	listed := map[string]int{} // by role
	for i, p := range list {
		shown := i >= skip && p.k >= from && limit(listed[p.role]+1)
		switch {
		case p.in.ev != nil:
			if out.direct++; shown || p.expand {
				listed[p.role]++
				ev := *p.in.ev
				ev.Role, ev.Age = p.role, p.age
				ev.Columns = p.columns(c.s)
				out.Events = append(out.Events, ev)
			}
		case p.in.row != nil && p.role == "":
			if out.own++; shown {
				listed[p.role]++
				y := e.child(p, columns, deep)
				y.Values = append(y.Values, p.joined(c.s.v)...)
				out.Rows = append(out.Rows, y)
			}
		case p.in.row != nil:
			if out.other++; p.expand || shown && (deep || p.role == "tick before") {
				listed[p.role]++
				out.Rows = append(out.Rows, e.child(p, p.reads, deep))
			}
		}
	}
	if c.v.Rollup { // the events are merged, its rows are those of the parent
		for _, r := range e.eval.between(c.v.Parent, c.start, c.end-1) {
			if !under(c, r) {
				continue
			}
			if out.own++; limit(len(out.Rows) + 1) {
				out.Rows = append(out.Rows, e.child(part{in: &item{row: r}}, nil, false))
			}
		}
	}
	out.RowCount = out.own + out.other
	return out
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// child is a row of another view that went in.
func (e *explainer) child(p part, columns map[string]bool, deep bool) Row {
	r := p.in.row
	y := Row{Role: p.role, View: r.v.Name, Entity: strings.Join(r.entity, "/"), Start: market.FormatTime(r.start), End: market.FormatTime(r.end),
		RowTS: market.FormatTime(r.rowTS), Age: p.age, Values: []Column{}}
	switch r.v.Window.Kind {
	case lang.Rolling, lang.Latest:
		y.when = y.End
	case lang.Bar, lang.Session, lang.Clock:
		y.when = y.Start + " to " + y.End
	default:
		y.when = y.Start
	}
	for i, f := range r.v.Features {
		if columns != nil && !columns[f.Name] {
			continue
		}
		y.Values = append(y.Values, Column{f.Name, show(r.vals[i], f.Type)})
		if p.expand || deep {
			y.Features = append(y.Features, feature(r, i))
		}
	}
	if p.expand || deep {
		y.Inputs = e.inputs(r, deep)
	}
	return y
}

// between works out the rows of a view in a stretch of time.
func (x *evaluator) between(v *lang.View, from, to int64) []*computed {
	y := *x
	y.to, y.need, y.done = to, map[*lang.View]int64{}, map[*lang.View][]*computed{}
	y.filtered, y.passed = map[*lang.View][]item{}, map[*Event]bool{}
	y.want(v, from)
	return y.rows(v)
}

// under reports whether a row of a rollup's parent is merged into its row.
func under(c, r *computed) bool {
	for i, b := range c.v.By {
		if r.entity[slices.Index(r.v.By, b)] != c.entity[i] {
			return false
		}
	}
	return true
}

// leftOut finds what of the stretch of the row did not count.
func (e *explainer) leftOut(out *Explanation, c *computed) {
	low := map[market.Kind]int64{}
	own := kindsOf(e.view)
	start, high := c.start, e.rowTS
	if c.rowTS == c.end && c.start < c.end && !begins(c.v) {
		start++ // (start, end]
	}
	for k := range e.reads {
		low[k] = start
	}
	behind, rows := map[*Event]bool{}, map[*computed]bool{}
	alone := *c
	alone.tick, alone.before = nil, nil
	alone.behind(behind, rows)
	for ev := range behind {
		low[ev.kind] = min(low[ev.kind], ev.ts)
	}
	c.behind(behind, rows)
	out.AvailBy = e.waited(behind)
	var all []LeftOut
	for i := range e.out {
		if o := &e.out[i]; o.ts >= low[o.kind] && o.ts <= high {
			all = append(all, *o)
		}
	}
	all = append(all, e.filtered(rows, low, start, high)...)
	for _, k := range own {
		if len(c.heldBefore()) > 0 {
			break // it is listed
		}
		for _, ev := range e.eval.events[k] {
			if e.mineEvent(ev) && ev.ts < start && !behind[ev] && (out.Before == nil || ev.key.Compare(out.Before.key) > 0) {
				out.Before = ev
			}
		}
	}
	all = append(all, e.rejectedNearby(low, high)...)
	slices.SortStableFunc(all, func(a, b LeftOut) int {
		return cmp.Or(cmp.Compare(a.ts, b.ts), strings.Compare(a.Place, b.Place), strings.Compare(a.ID, b.ID), strings.Compare(a.Verdict, b.Verdict))
	})
	out.OutCount = len(all)
	for _, t := range e.others {
		out.Others += one(t >= start && t <= high)
	}
	out.Out = append(out.Out, all[:cut(len(all), e.cfg.Limit)]...)
}

// waited tells why the row could not be known before: the disorder of its feeds after the
// end of its window, or an event that came later than that.
func (e *explainer) waited(behind map[*Event]bool) string {
	hold := int64(-1)
	var last *Event
	for ev := range behind {
		hold = max(hold, ev.hold)
		if ev.avail == e.row.avail && (last == nil || ev.key.Compare(last.key) < 0) {
			last = ev
		}
	}
	switch {
	case hold >= 0 && e.row.avail == e.row.end+hold:
		return fmt.Sprintf("%s after the window, the disorder of its feeds", ago(hold))
	case last != nil && last.assumed:
		return "the assumed lag of " + last.Place
	case last != nil:
		return "when " + last.Place + " came"
	}
	return ""
}

// filtered are the rows of the view and of those below it that a where did not take.
func (e *explainer) filtered(used map[*computed]bool, low map[market.Kind]int64, start, high int64) (out []LeftOut) {
	for v := e.view; v != nil; v = v.Parent {
		for _, in := range e.eval.filtered[v] {
			if !e.mine(&in) || in.ts > high {
				continue
			}
			o := LeftOut{Verdict: "filtered", Why: "where " + v.Spec.Where.String()}
			switch {
			case in.ev != nil && in.ts >= low[in.ev.kind] && !e.eval.passed[in.ev] && in.input <= firstInput(v, in.ev.kind):
				o.Event = *in.ev
			case in.row != nil && in.ts >= start && !used[in.row]:
				o.Event = Event{Place: in.row.v.Name + " " + strings.Join(in.row.entity, "/"), ts: in.ts, Time: market.FormatTime(in.ts)}
			default:
				continue
			}
			out = append(out, o)
		}
	}
	return out
}

// begins reports whether windows of a view begin with a row.
func begins(v *lang.View) bool { return v.Window.Kind == lang.Bar || v.Window.Kind == lang.Session }

// firstInput is the first alias of a union that takes a kind, 0 where there is no union.
func firstInput(v *lang.View, k market.Kind) int {
	return slices.IndexFunc(v.Union, func(u lang.UnionInput) bool { return u.Kind == k }) + 1
}

// kindsOf are the kinds of events that a view is made of, without what it joins.
func kindsOf(v *lang.View) []market.Kind {
	for v.Parent != nil {
		v = v.Parent
	}
	if len(v.Union) == 0 {
		return []market.Kind{v.Kind}
	}
	var out []market.Kind
	for _, u := range v.Union {
		of := []market.Kind{u.Kind}
		if u.View != nil {
			of = kindsOf(u.View)
		}
		for _, k := range of {
			if !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	return out
}

// mine reports whether a row that a view reads belongs to the entity.
func (e *explainer) mine(in *item) bool {
	for i, c := range e.view.By {
		if name := in.text(c); name != "" && name != e.entity[i] {
			return false
		}
	}
	return true
}

func (e *explainer) mineEvent(ev *Event) bool { return e.mine(&item{ev: ev}) }

// rejectedNearby are the records that could not be read and stand among the events of the
// row in their file: their own time and entity are not known.
func (e *explainer) rejectedNearby(low map[market.Kind]int64, high int64) (out []LeftOut) {
	type stretch struct{ first, last int64 }
	files := map[string]stretch{}
	for k, events := range e.eval.events {
		for _, ev := range events {
			i := strings.LastIndexByte(ev.Place, ':')
			if ev.ts < low[k] || ev.ts > high || i < 0 {
				continue
			}
			var n int64
			if _, err := fmt.Sscan(ev.Place[i+1:], &n); err != nil {
				continue
			}
			s, ok := files[ev.Place[:i]]
			if !ok {
				s = stretch{n, n}
			}
			files[ev.Place[:i]] = stretch{min(s.first, n), max(s.last, n)}
		}
	}
	for _, b := range e.bad {
		if s, ok := files[b.file]; ok && b.line >= s.first-1 && b.line <= s.last+1 {
			out = append(out, LeftOut{Event: Event{Place: fmt.Sprintf("%s:%d", b.file, b.line), ts: high + 1}, Verdict: "rejected", Why: b.why})
		}
	}
	return out
}
