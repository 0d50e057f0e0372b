package plan

import (
	"fmt"
	"reflect"
)

// families finds the bar views that fold the same rows into the same accumulators and
// differ in size alone, or in what they make of the accumulators. Their rows are folded
// once for all of them. Views are listed by index, families of two or more.
func (p *Plan) families() [][]int {
	var all [][]int
	groups := map[string][]int{} // places in all
	for i, v := range p.Views {
		if !v.inFamily() {
			continue
		}
		key := fmt.Sprint(v.Kind, v.Where, v.Pane, v.Stride, v.KeyAt, len(v.Row.Code))
		at := -1
		for _, g := range groups[key] {
			if sameBars(p.Views[all[g][0]], v) {
				at = g
				break
			}
		}
		if at < 0 {
			at = len(all)
			all = append(all, nil)
			groups[key] = append(groups[key], at)
		}
		all[at] = append(all[at], i)
	}
	families := all[:0]
	for _, g := range all {
		if len(g) > 1 {
			families = append(families, g)
		}
	}
	return families
}

// inFamily reports whether the bars end where the running total of rows, a column or a
// product does, and whether states of parts of a bar can be merged without its sets.
func (v *View) inFamily() bool {
	if v.Shape != Bar || v.Parent >= 0 || v.Union != nil || v.Hold || v.Row == nil || v.Scans != nil || len(v.Joins) > 0 {
		return false
	}
	if b := v.Bars; b.Split || b.Fast.Kind == Slow || b.Fast.Enum >= 0 {
		return false
	}
	for i := range v.Accs {
		if v.Accs[i].Owner() {
			return false
		}
	}
	return true
}

func sameBars(o, v *View) bool {
	return o.Late == v.Late && reflect.DeepEqual(o.Bars.Fast, v.Bars.Fast) && reflect.DeepEqual(o.By, v.By) &&
		reflect.DeepEqual(o.Filter, v.Filter) && reflect.DeepEqual(o.Args, v.Args) && reflect.DeepEqual(o.Accs, v.Accs) &&
		reflect.DeepEqual(o.Inputs, v.Inputs) && sameProgram(o.Row, v.Row)
}
