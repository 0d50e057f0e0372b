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
