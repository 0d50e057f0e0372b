package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
)

// report puts the explanation together.
func (e *explainer) report() (*Explanation, error) {
	var c *computed
	for _, r := range e.recompute(e.view, e.rowTS, e.rowTS) {
		if e.same(&r) && (c == nil || !begins(e.view)) {
			c = &r
		}
	}
	if c == nil {
		return nil, &fault.Error{Code: "explain_difference", Message: "the engine has the row, working it out again gives none", Exit: fault.ExitDifference}
	}
	x := &Explanation{View: e.view.Name, Version: e.view.Version, Entity: strings.Join(e.entity, "/"),
		Start: market.FormatTime(e.row.start), End: market.FormatTime(e.row.end), RowTS: market.FormatTime(e.rowTS), Avail: market.FormatTime(e.row.avail),
		Flags: features.FlagNames([]string{}, e.row.flags), Events: []Event{}, Out: []LeftOut{}, Rejected: e.badCount}
	e.features(x, c)
	low, high := e.low, e.high
	if e.view.Parent != nil {
		low, high = e.parents(x, c)
	}
	src, used := e.base, e.used(c)
	for _, ev := range e.events {
		if !e.mine(ev) {
			continue
		}
		if ev.ts < low {
			x.Before = ev
			continue
		}
		if ev.ts >= high {
			continue
		}
		in := fromEvent(src, ev)
		if used != nil && !used[ev] && (ev.ts == e.low || ev.ts == e.high-1) && passes(src, in) {
			continue // of another bar that meets this one at this instant
		}
		if src.Where != nil {
			if !passes(src, in) {
				e.leaveOut(ev, "filtered", "where "+src.Spec.Where.String())
				continue
			}
		}
		x.Count++
		if (e.view.Parent == nil || e.view.Rollup || e.cfg.Deep) && (e.cfg.Limit == 0 || len(x.Events) < e.cfg.Limit) {
			x.Events = append(x.Events, *ev)
		}
	}
	e.rejectedNearby()
	slices.SortStableFunc(e.out, func(a, b LeftOut) int {
		if a.ts != b.ts {
			return int(max(min(a.ts-b.ts, 1), -1))
		}
		return cmp.Or(strings.Compare(a.Place, b.Place), strings.Compare(a.ID, b.ID), strings.Compare(a.Verdict, b.Verdict))
	})
	x.OutCount = len(e.out)
	x.Out = append(x.Out, e.out[:cut(len(e.out), e.cfg.Limit)]...)
	return x, nil
}

// passes reports whether a row is not filtered.
func passes(v *lang.View, in item) bool {
	if v.Where == nil {
		return true
	}
	ok, _ := eval(v.Where, func(n *lang.Node) value { return in.col(v.Columns[n.Index].Name) }).(bool)
	return ok
}

func cut(n, limit int) int {
	if limit > 0 {
		return min(n, limit)
	}
	return n
}

// mine reports whether an event belongs to the entity.
func (e *explainer) mine(ev *Event) bool {
	for i, c := range e.view.By {
		if name, ok := ev.names[c]; ok && name != e.entity[i] {
			return false
		}
	}
	return true
}

// rejectedNearby adds the records that could not be read and stand among the events of
// the window in their file: their own time and entity are not known.
func (e *explainer) rejectedNearby() {
	type stretch struct{ first, last int64 }
	files := map[string]stretch{}
	for _, ev := range e.events {
		i := strings.LastIndexByte(ev.Place, ':')
		if ev.ts < e.low || ev.ts >= e.high || i < 0 {
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
	for _, b := range e.bad {
		if s, ok := files[b.file]; ok && b.line >= s.first-1 && b.line <= s.last+1 {
			e.out = append(e.out, LeftOut{Event: Event{Place: fmt.Sprintf("%s:%d", b.file, b.line), ts: e.high}, Verdict: "rejected", Why: b.why})
		}
	}
}

// features explains the values.
func (e *explainer) features(x *Explanation, c *computed) {
	src := source(e.view)
	out := e.plan.Outputs()[e.at]
	for i, f := range src.Features {
		if e.cfg.Feature != "" && f.Name != e.cfg.Feature {
			continue
		}
		have := e.row.vals[i]
		y := Feature{Name: f.Name, Value: have.text, Formula: src.Spec.Features[i].Expr.String(), Aggregates: []Aggregate{},
			Recomputed: agree(&out.Fields[i], have, c.vals[i], e.row.flags)}
		y.Numbers = formula(f.Node, func(n *lang.Node) string {
			if n.Op == lang.NConst {
				return n.String()
			}
			return show(c.leaf(n), n.Type)
		}, true)
		used := map[int]bool{}
		aggregates(f.Node, src, used)
		for k, a := range src.Aggs {
			if !used[k] {
				continue
			}
			r := c.aggs[k]
			z := Aggregate{Text: aggregateText(src, a), Value: show(r.v, a.Type), Used: r.used}
			if r.point != nil && r.point.ev != nil {
				z.Place = r.point.ev.Place
			}
			y.Aggregates = append(y.Aggregates, z)
		}
		x.Features = append(x.Features, y)
	}
}

// aggregates finds those that a feature needs, through other features too.
func aggregates(n *lang.Node, v *lang.View, used map[int]bool) {
	switch n.Op {
	case lang.NAgg:
		used[n.Index] = true
	case lang.NFeature:
		aggregates(v.Features[n.Index].Node, v, used)
	}
	for _, a := range n.Args {
		aggregates(a, v, used)
	}
}

func aggregateText(v *lang.View, a *lang.Agg) string {
	text := func(n *lang.Node) string {
		return formula(n, func(n *lang.Node) string { return n.String() }, true)
	}
	var args []string
	for _, x := range a.Args {
		args = append(args, text(x))
	}
	if a.Fn == "quantile" {
		args = append(args, a.P.String())
	}
	s := strings.Join(args, ", ")
	if a.Where != nil {
		s = strings.TrimSpace(s + " where " + text(a.Where))
	}
	return a.Fn + "(" + s + ")"
}

// parents lists the rows of the parent that went in and tells the stretch of events that
// they were computed from.
func (e *explainer) parents(x *Explanation, c *computed) (low, high int64) {
	p := e.view.Parent
	low, high = e.low, e.high
	for _, r := range e.recompute(p, e.low, e.high-1) {
		same := true
		for i, b := range e.view.By {
			if k := slices.Index(p.By, b); k >= 0 && r.entity[k] != e.entity[i] {
				same = false
			}
		}
		if !same {
			continue
		}
		low = min(low, r.start)
		x.RowCount++
		if e.cfg.Limit > 0 && len(x.Rows) >= e.cfg.Limit {
			continue
		}
		y := Parent{Entity: strings.Join(r.entity, "/"), Start: market.FormatTime(r.start), End: market.FormatTime(r.end)}
		for i, f := range p.Features {
			y.Values = append(y.Values, Column{f.Name, show(r.vals[i], f.Type)})
		}
		x.Rows = append(x.Rows, y)
	}
	return low, high
}

// Text draws the explanation as a tree.
func (x *Explanation) Text(st term.Style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", st.Bold(fmt.Sprintf("%s v%d", x.View, x.Version)), x.Entity)
	fmt.Fprintf(&b, "  window        %s to %s\n  available_at  %s\n", x.Start, x.End, x.Avail)
	if len(x.Flags) > 0 {
		fmt.Fprintf(&b, "  flags         %s\n", strings.Join(x.Flags, ", "))
	}
	for _, f := range x.Features {
		v := f.Value
		if v == "" {
			v = "null"
		}
		fmt.Fprintf(&b, "%s = %s  (recomputed: %s)\n  = %s\n", st.Bold(f.Name), v, f.Recomputed, f.Formula)
		if f.Numbers != v {
			fmt.Fprintf(&b, "  = %s\n", f.Numbers)
		}
		for _, a := range f.Aggregates {
			at := fmt.Sprintf("over %d", a.Used)
			if a.Place != "" {
				at += ", at " + a.Place
			}
			fmt.Fprintf(&b, "    %s = %s  %s\n", a.Text, a.Value, st.Faint(at))
		}
	}
	if x.RowCount > 0 {
		fmt.Fprintf(&b, "%s\n", st.Bold(fmt.Sprintf("computed from %d rows", x.RowCount)))
		for _, r := range x.Rows {
			fmt.Fprintf(&b, "  %s  %s%s\n", r.Start, r.Entity, columns(r.Values))
		}
		more(&b, x.RowCount-len(x.Rows))
	}
	fmt.Fprintf(&b, "%s\n", st.Bold(fmt.Sprintf("computed from %d events", x.Count)))
	for i := range x.Events {
		writeEvent(&b, &x.Events[i])
	}
	if x.RowCount > 0 && len(x.Events) == 0 {
		b.WriteString("  behind these rows (--deep lists them)\n")
	} else {
		more(&b, x.Count-len(x.Events))
	}
	fmt.Fprintf(&b, "%s\n", st.Bold(fmt.Sprintf("left out %d", x.OutCount)))
	for i := range x.Out {
		o := &x.Out[i]
		fmt.Fprintf(&b, "  %s  %s %s  %s\n", o.Place, o.Verdict, o.Why, o.Time)
	}
	more(&b, x.OutCount-len(x.Out))
	if x.Before != nil {
		b.WriteString("before the window\n")
		writeEvent(&b, x.Before)
	}
	return b.String()
}

func writeEvent(b *strings.Builder, ev *Event) {
	fmt.Fprintf(b, "  %s  %s  %s%s\n", ev.Place, ev.Time, ev.ID, columns(ev.Columns))
}

func columns(cs []Column) string {
	var b strings.Builder
	for _, c := range cs {
		fmt.Fprintf(&b, "  %s=%s", c.Name, c.Value)
	}
	return b.String()
}

func more(b *strings.Builder, n int) {
	if n > 0 {
		fmt.Fprintf(b, "  … %d more (--limit 0 lists all)\n", n)
	}
}
