package describe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/run"
)

// Share is what a view costs within a set of views, in operations over the sample.
type Share struct {
	View  string `json:"view"`
	Alone int64  `json:"alone"` // with what it reads, and nothing else
	Adds  int64  `json:"adds"`  // what the set would cost less without it
}

// Costs is what a set of views costs over the sample. Operations are counted, not timed:
// the same sample gives the same numbers everywhere.
type Costs struct {
	Total int64   `json:"total"`        // of the set
	Sum   int64   `json:"sum_of_alone"` // of its views, each alone
	Views []Share `json:"views"`
}

// Group is one way in which the events of a kind are grouped, once for all its views.
type Group struct {
	Kind  string   `json:"kind"`
	By    []string `json:"by"`
	Views []string `json:"views"`
}

// groups lists how events are grouped, in the order of the views.
func (c *Compiled) groups() []Group {
	var gs []Group
	for i := range c.Views {
		v := &c.Views[i]
		if v.Lang.Parent != nil {
			continue
		}
		kind := v.from()
		k := slices.IndexFunc(gs, func(g Group) bool { return g.Kind == kind && slices.Equal(g.By, v.Entity) })
		if k < 0 {
			k = len(gs)
			gs = append(gs, Group{Kind: kind, By: v.Entity})
		}
		gs[k].Views = append(gs[k].Views, v.Name)
	}
	return gs
}

// costs compares the set with each of its views alone and with the set without it.
func (c *Compiled) costs(s *run.SampleResult) (*Costs, error) {
	rows := map[string]int64{}
	for i := range c.Views {
		rows[viewKey(c.Views[i].Name, c.Views[i].Version)] = s.Rows[i]
	}
	of := func(want func(v *View) bool) (int64, error) {
		set := c.closure(want)
		if len(set.Views) == 0 {
			return 0, nil
		}
		p, err := features.CompileSet(set, features.Options{})
		if err != nil {
			return 0, fmt.Errorf("plan a part of the views: %w", err)
		}
		return operations(p, rows, s), nil
	}
	given := func(v *View) bool { return slices.Contains(c.Given, v.Name) }
	out := &Costs{}
	var err error
	if out.Total, err = of(given); err != nil {
		return nil, err
	}
	for i := range c.Views {
		v := &c.Views[i]
		if !given(v) {
			continue
		}
		share := Share{View: v.Name}
		if share.Alone, err = of(func(o *View) bool { return o == v }); err != nil {
			return nil, err
		}
		rest, err := of(func(o *View) bool { return o != v && given(o) })
		if err != nil {
			return nil, err
		}
		share.Adds = out.Total - rest
		out.Sum += share.Alone
		out.Views = append(out.Views, share)
	}
	return out, nil
}

func viewKey(name string, version int) string { return fmt.Sprint(name, "@", version) }

// closure is the wanted views and what they read, in the order of evaluation.
func (c *Compiled) closure(want func(v *View) bool) *lang.Set {
	need := map[*lang.View]bool{}
	var add func(v *lang.View)
	add = func(v *lang.View) {
		if v == nil || need[v] {
			return
		}
		need[v] = true
		add(v.Parent)
		add(v.Window.Clock)
		for _, u := range v.Union {
			add(u.View)
		}
		for _, j := range v.Joins {
			add(j.View)
		}
	}
	for i := range c.Views {
		if want(&c.Views[i]) {
			add(c.Views[i].Lang)
		}
	}
	set := &lang.Set{Kinds: c.Kinds}
	for i := range c.Views {
		if need[c.Views[i].Lang] {
			set.Views = append(set.Views, c.Views[i].Lang)
		}
	}
	return set
}

// operations counts what a plan does with the sample: each event is grouped once for each
// way of grouping, and every view does its operations for the rows in and out of it.
func operations(p *features.Plan, rows map[string]int64, s *run.SampleResult) int64 {
	costs := p.Costs()
	grouped := map[string]bool{}
	total := int64(0)
	made := func(c features.Cost) int64 {
		if c.Output < 0 {
			return 0
		}
		o := p.Outputs()[c.Output]
		return rows[viewKey(o.Name, o.Version)]
	}
	for i, c := range costs {
		if c.Parent < 0 && !grouped[c.Group] {
			grouped[c.Group] = true
			total += s.ByKind[c.Kind]
		}
		total += rowsIn(costs, i, made, s)*int64(c.In) + made(c)*int64(c.Out)
	}
	return total
}

// rowsIn is how many rows of the sample a view takes; made gives how many one makes.
func rowsIn(costs []features.Cost, i int, made func(c features.Cost) int64, s *run.SampleResult) int64 {
	switch c := costs[i]; {
	case c.Parent < 0:
		return s.ByKind[c.Kind]
	case costs[c.Parent].Output < 0: // panes of a hidden view: about one for each row
		return made(c)
	default:
		return made(costs[c.Parent])
	}
}

// text prints the costs for people.
func (c *Costs) text(b *strings.Builder, st term.Style) {
	var rows [][]string
	for _, v := range c.Views {
		rows = append(rows, []string{v.View, term.Int(v.Alone), term.Int(v.Adds)})
	}
	if len(rows) > 1 {
		rows = append(rows, []string{"together", term.Int(c.Sum), term.Int(c.Total)})
	}
	b.WriteByte('\n')
	b.WriteString(st.Table([]term.Column{{Head: "operations"}, {Head: "alone", Right: true}, {Head: "adds to the others", Right: true}}, rows))
}

func groupsText(gs []Group, st term.Style) string {
	var rows [][]string
	for _, g := range gs {
		rows = append(rows, []string{g.Kind, strings.Join(g.By, ", "), strings.Join(g.Views, ", ")})
	}
	return st.Table([]term.Column{{Head: "groups"}, {Head: "by"}, {Head: "once for"}}, rows)
}

// state is the memory of the views over the sample, measured and predicted, and what the plan
// predicts for a task that has run as long as the views look back.
func (p *Plan) state(plan *features.Plan, s *run.SampleResult) {
	seen := max(s.Last-s.First, 1)
	until := seen
	for _, o := range plan.Outputs() {
		until = max(until, o.Lookback)
	}
	predicted := plan.StateBytes(s.State, features.Span{From: s.First, Seen: seen, Age: seen, Lag: s.Lag})
	full := plan.StateBytes(s.State, features.Span{From: s.First, Seen: seen, Age: until, Lag: s.Lag})
	for i := range p.Stages {
		st, n := &p.Stages[i], s.State[i].Entities
		if n == 0 {
			continue
		}
		st.Entities, st.Measured = n, (s.State[i].Bytes+n-1)/n
		st.Predicted, st.Full = predicted[i], full[i]
	}
}
