package stream

import (
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
)

// Keyed reports whether each row of a view depends on events of one base asset alone, so
// that a task for each partition of the log computes it. Of other views (clocks, ranks,
// breadth, pairs) one task reads all partitions. What cannot be told is not keyed.
func Keyed(v *lang.View) bool {
	by := v.By
	if v.Window.Members {
		by = by[:len(by)-1] // rows of all members of a group depend on each other
	}
	if !ofOneBase(by) || v.Window.Clock != nil {
		return false // a clock's ticks cut the rows of other entities
	}
	if v.Parent != nil && !Keyed(v.Parent) {
		return false
	}
	for _, u := range v.Union {
		if u.View != nil && !Keyed(u.View) {
			return false
		}
	}
	for _, j := range v.Joins {
		if !ofOneBase(j.On) || j.View != nil && !Keyed(j.View) {
			return false
		}
	}
	return true
}

// ofOneBase reports whether entities with these columns have one base asset.
func ofOneBase(columns []string) bool {
	return slices.Contains(columns, "symbol") || slices.Contains(columns, "base")
}

// Part is the part of a set of views that one job computes.
type Part struct {
	Set    *lang.Set // the job's own views and what they are made of
	Writes []string  // the job's own
}

// Split gives keyed views to one job and all others to another. What a view is made of is
// computed where the view is, too.
func Split(set *lang.Set) (keyed, global Part) {
	keyed, global = Part{Set: &lang.Set{Kinds: set.Kinds}}, Part{Set: &lang.Set{Kinds: set.Kinds}}
	for p, wants := range map[*Part]bool{&keyed: true, &global: false} {
		needs := map[*lang.View]bool{}
		for _, v := range set.Views {
			if Keyed(v) == wants {
				p.Writes = append(p.Writes, v.Name)
				need(needs, v)
			}
		}
		for _, v := range set.Views {
			if needs[v] {
				p.Set.Views = append(p.Set.Views, v)
			}
		}
	}
	return keyed, global
}

// need adds a view and those that it is made of.
func need(needs map[*lang.View]bool, v *lang.View) {
	if v == nil || needs[v] {
		return
	}
	needs[v] = true
	need(needs, v.Parent)
	need(needs, v.Window.Clock)
	for _, u := range v.Union {
		need(needs, u.View)
	}
	for _, j := range v.Joins {
		need(needs, j.View)
	}
}
