package explain

import (
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
)

// joinsRead tells which joins are matched for each row, and which at the time of the row
// of a window.
func joinsRead(v *lang.View) (among, after map[int]bool) {
	among, after = map[int]bool{}, map[int]bool{}
	if len(v.Joins) == 0 {
		return among, after
	}
	joinsOf(v, v.Where, among)
	for _, a := range v.Aggs {
		joinsOf(v, a.Where, among)
		for _, x := range a.Args {
			joinsOf(v, x, among)
		}
	}
	to := after
	if v.Window.Kind == lang.NoWindow || v.Window.Members {
		to = among
	}
	for _, f := range v.Features {
		joinsOf(v, f.Node, to)
	}
	return among, after
}

func joinsOf(v *lang.View, n *lang.Node, out map[int]bool) {
	if n == nil {
		return
	}
	if n.Op == lang.NColumn && v.Columns[n.Index].Join > 0 {
		out[v.Columns[n.Index].Join-1] = true
	}
	for _, a := range n.Args {
		joinsOf(v, a, out)
	}
}

// match finds what a row joins at an instant.
func (x *evaluator) match(v *lang.View, which map[int]bool, in *item, t int64) []*item {
	if len(which) == 0 {
		return nil
	}
	out := make([]*item, len(v.Joins))
	for i, j := range v.Joins {
		if !which[i] {
			continue
		}
		side := x.side(j)[keyOf(j, in)]
		n, _ := slices.BinarySearchFunc(side, t, func(m *item, t int64) int {
			if m.ts < t || m.ts == t && !j.Strict {
				return -1
			}
			return 1
		})
		if n == 0 {
			continue
		}
		if age := t - side[n-1].ts; age <= j.MaxAge && (!j.Exact || age == 0) {
			out[i] = side[n-1]
		}
	}
	return out
}

func keyOf(j *lang.TypedJoin, in *item) string {
	parts := make([]string, len(j.On))
	for i, c := range j.On {
		parts[i] = in.text(c)
	}
	return strings.Join(parts, "\x00")
}

// side lists the rows that a join looks among, by key in the total order.
func (x *evaluator) side(j *lang.TypedJoin) map[string][]*item {
	if out, ok := x.sides[j]; ok {
		return out
	}
	out := map[string][]*item{}
	for _, in := range x.items(&lang.View{Kind: j.Kind, Parent: j.View}) {
		if j.Where != nil {
			ok, _ := eval(j.Where, func(n *lang.Node) value { return in.column(&j.Columns[n.Index]) }).(bool)
			if !ok {
				continue
			}
		}
		if in.ev != nil {
			x.passed[in.ev] = true
		}
		key := keyOf(j, &in)
		out[key] = append(out[key], &in)
	}
	x.sides[j] = out
	return out
}
