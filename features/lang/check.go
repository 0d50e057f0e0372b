package lang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/market"
)

// CheckOptions are what a check takes besides the specs.
type CheckOptions struct {
	Set   map[string]string                            // parameter values by "name" or "view.name"
	Known func(name string, version int) (*Spec, bool) // shipped specs that from may name; version 0 is any
	Names []string                                     // names that Known answers to, for remedies
}

// checker holds what the views of one Check share.
type checker struct {
	opt       CheckOptions
	kinds     *market.Kinds
	specs     []*Spec
	broken    bool
	given     map[string][]*Spec
	known     map[string]*Spec
	states    map[*Spec]*viewState
	stack     []*Spec
	instances map[string]*Spec // clocks with parameters of their own
	order     []*View
	used      map[string]bool // keys of opt.Set that named a parameter
	params    []string        // names of all parameters seen
	problems  Problems
}

type viewState struct {
	view *View
	done bool
	cols []Column // what a child sees
}

// Check resolves names and types of the specs and of those that they refer to. With
// problems there is no Set. Specs that Parse had problems with are checked as far as they
// go; then too there is no Set, even when Check itself finds nothing more.
func Check(specs []*Spec, opt CheckOptions) (*Set, Problems) {
	c := newChecker(specs, opt)
	if !c.checkAll() {
		return nil, c.problems
	}
	return &Set{Views: c.order, Kinds: c.kinds}, nil
}

func newChecker(specs []*Spec, opt CheckOptions) *checker {
	c := &checker{
		opt: opt, given: map[string][]*Spec{}, known: map[string]*Spec{}, states: map[*Spec]*viewState{}, instances: map[string]*Spec{}, used: map[string]bool{},
	}
	var kinds []*Spec
	for _, s := range specs {
		if s == nil {
			c.broken = true
			continue
		}
		if s.Kind != nil {
			kinds = append(kinds, s)
			continue
		}
		c.specs = append(c.specs, s)
		c.given[s.View.Text] = append(c.given[s.View.Text], s)
	}
	c.kindTable(kinds)
	return c
}

// checkAll checks the specs given; false with problems.
func (c *checker) checkAll() bool {
	for _, s := range c.specs {
		c.header(s)
	}
	for _, s := range c.specs {
		c.view(s)
	}
	c.unusedValues()
	for s := range c.states {
		c.broken = c.broken || s.broken
	}
	c.problems.Sort()
	c.problems = slices.Compact(c.problems)
	return !c.broken && len(c.problems) == 0
}

func (c *checker) problem(pos Pos, remedy, format string, args ...any) {
	c.problems = addProblem(c.problems, Problem{Pos: pos, What: fmt.Sprintf(format, args...), Remedy: remedy})
}

// header looks at a view among the others.
func (c *checker) header(s *Spec) {
	if _, isKind := c.kinds.Parse(s.View.Text); isKind {
		c.problem(s.View.Pos, "want another name", "view %q has the name of a kind", s.View.Text)
	}
	for _, o := range c.given[s.View.Text] {
		if o == s {
			break
		}
		if o.Version == s.Version && s.View.Text != "" {
			c.problem(s.View.Pos, fmt.Sprintf("want another name or version; the other is at %s", o.View.Pos), "view %s@%d given twice", s.View.Text, s.Version)
			break
		}
	}
}

// find returns the spec that a reference names: among those given, else the shipped ones.
func (c *checker) find(ref Source) *Spec {
	var best *Spec
	for _, s := range c.given[ref.Name] {
		if ref.Version == s.Version || ref.Version == 0 && (best == nil || s.Version > best.Version) {
			best = s
		}
	}
	if best != nil || c.opt.Known == nil {
		return best
	}
	key := fmt.Sprintf("%s@%d", ref.Name, ref.Version)
	if s, ok := c.known[key]; ok {
		return s
	}
	s, ok := c.opt.Known(ref.Name, ref.Version)
	if !ok || s == nil || ref.Version != 0 && s.Version != ref.Version {
		s = nil
	}
	for _, o := range c.known { // the same view by another reference
		if s != nil && o != nil && o.View.Text == s.View.Text && o.Version == s.Version {
			s = o
			break
		}
	}
	c.known[key] = s
	return s
}

// sourceNames are what from may name, for remedies.
func (c *checker) sourceNames() []string {
	var names []string
	for k := market.KindTrade; k < market.KindWatermark; k++ {
		names = append(names, k.String())
	}
	for _, k := range c.kinds.Defined() {
		names = append(names, c.kinds.Name(k))
	}
	names = append(names, sortedKeys(c.given)...)
	return append(names, c.opt.Names...)
}

// view checks one spec after those it refers to. nil stands for a view in a cycle.
func (c *checker) view(s *Spec) *viewState {
	if st, seen := c.states[s]; seen {
		if st.done {
			return st
		}
		c.cycle(s)
		return nil
	}
	st := &viewState{}
	c.states[s] = st
	c.stack = append(c.stack, s)
	v := newViewChecker(c, s)
	v.run()
	c.stack = c.stack[:len(c.stack)-1]
	st.view, st.cols, st.done = v.view, v.outputColumns(), true
	c.order = append(c.order, v.view)
	return st
}

func (c *checker) cycle(s *Spec) {
	var names []string
	for _, v := range slices.Backward(c.stack) {
		names = append([]string{v.View.Text}, names...)
		if v == s {
			break
		}
	}
	names = append(names, s.View.Text)
	last := c.stack[len(c.stack)-1]
	pos := last.Places["from"]
	for _, j := range last.Joins {
		if c.find(j.View) == s {
			pos = j.View.Pos
		}
	}
	for _, f := range last.From {
		if c.find(f) == s {
			pos = last.Places["from"]
		}
	}
	c.problem(pos, "want views that end at a kind", "views read each other: %s", strings.Join(names, " → "))
}

// unusedValues reports parameter values that no view has a parameter for.
func (c *checker) unusedValues() {
	for _, key := range sortedKeys(c.opt.Set) {
		if !c.used[key] {
			c.problem(Pos{File: "--set " + key + "=" + c.opt.Set[key]}, wantName(key, c.params), "unknown parameter %q", key)
		}
	}
}
