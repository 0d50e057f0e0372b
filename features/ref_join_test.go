package features_test

import (
	"cmp"
	"math/big"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
)

// match is what a join of the reference finds, nil for nothing.
type match *input

// joinedRows lists the rows of a joined side in the total order, with those that fail its
// filter left out.
func (w *world) joinedRows(j *lang.TypedJoin, events []*event, from map[*lang.View][]refRow) []input {
	side := &lang.View{Kind: j.Kind, Parent: j.View, Columns: append(slices.Clone(j.Columns), j.Kept...)}
	var out []input
	add := func(in input) {
		col := in.col
		in.col = func(name string) value { return rounded(side, name, col(name)) }
		if j.Where != nil {
			ok, _ := eval(j.Where, func(n *lang.Node) value { return in.col(j.Columns[n.Index].Name) }).(bool)
			if !ok {
				return
			}
		}
		out = append(out, in)
	}
	if j.View == nil {
		for _, e := range events {
			if e.kind == j.Kind {
				add(w.fromEvent(side, e))
			}
		}
		return out
	}
	for i := range from[j.View] {
		add(fromRow(side, &from[j.View][i]))
	}
	return out
}

// rounded is a value as a column of type float holds it.
func rounded(v *lang.View, name string, x value) value {
	r, ok := x.(*big.Rat)
	if !ok {
		return x
	}
	for _, c := range v.Columns {
		if c.Name == name && c.Type.Kind == lang.TFloat {
			f, _ := r.Float64()
			return f
		}
	}
	return x
}

// find searches all joined rows for the one that row in matches at time t.
func find(j *lang.TypedJoin, rows []input, in input, t int64) match {
	var best match
	for i := range rows {
		x := &rows[i]
		same := true
		for _, k := range j.On {
			same = same && x.col("="+k) == in.col("="+k)
		}
		in := x.ts <= t && !j.Strict && !j.Exact || x.ts < t && !j.Exact || x.ts == t && j.Exact
		if same && in && t-x.ts <= j.MaxAge {
			best = x
		}
	}
	return best
}

// uses tells which joins of a view some nodes read.
func uses(v *lang.View, nodes ...*lang.Node) map[int]bool {
	out := map[int]bool{}
	var walk func(n *lang.Node)
	walk = func(n *lang.Node) {
		if n == nil {
			return
		}
		if n.Op == lang.NColumn && v.Columns[n.Index].Join > 0 {
			out[v.Columns[n.Index].Join-1] = true
		}
		for _, a := range n.Args {
			walk(a)
		}
	}
	for _, n := range nodes {
		walk(n)
	}
	return out
}

// withJoins gives rows of a view's input their joined columns, and windows a way to join
// at the time of their row.
func (w *world) withJoins(v *lang.View, events []*event, from map[*lang.View][]refRow) func(in input) input {
	rows := make([][]input, len(v.Joins))
	for k, j := range v.Joins {
		rows[k] = w.joinedRows(j, events, from)
	}
	var feats, among []*lang.Node
	for _, f := range v.Features {
		feats = append(feats, f.Node)
	}
	among = append(among, v.Where)
	for _, a := range v.Aggs {
		among = append(append(among, a.Args...), a.Where)
	}
	if v.Window.Kind == lang.NoWindow || v.Window.Members {
		feats, among = nil, append(among, feats...)
	}
	return func(in input) input {
		in.ownFlags = in.flags
		plain := in.col
		col := plain
		if v.Holds {
			col = func(name string) value { return rounded(v, name, plain(name)) }
		}
		own := input{ts: in.ts, avail: in.avail, hold: in.hold, flags: in.flags, col: in.col}
		at := func(x *input, t int64, used map[int]bool) []match {
			ms := make([]match, len(v.Joins))
			for k, j := range v.Joins {
				if !used[k] {
					continue
				}
				if ms[k] = find(j, rows[k], own, t); ms[k] == nil {
					x.flags |= features.FlagStale
					continue
				}
				x.hold, x.avail = max(x.hold, ms[k].hold), max(x.avail, ms[k].avail)
				x.flags |= ms[k].flags
			}
			return ms
		}
		ms := at(&in, in.ts, uses(v, among...))
		in.col = func(name string) value {
			if alias, c, ok := strings.Cut(name, "."); ok && isJoin(v, alias) {
				return joinedValue(v, ms, alias, c)
			}
			return col(name)
		}
		in.join = func(r *refRow, t int64) func(n *lang.Node) value {
			x := input{avail: r.avail, hold: r.hold, flags: r.flags}
			ms := at(&x, t, uses(v, feats...))
			r.hold, r.flags = x.hold, x.flags
			r.avail = max(x.avail, r.end+x.hold)
			return func(n *lang.Node) value {
				alias, c, _ := strings.Cut(v.Columns[n.Index].Name, ".")
				return joinedValue(v, ms, alias, c)
			}
		}
		return in
	}
}

func isJoin(v *lang.View, alias string) bool {
	return slices.ContainsFunc(v.Joins, func(j *lang.TypedJoin) bool { return j.Alias == alias })
}

// unionRows gives every event of a union once for each alias of its kind, in the total
// order, then in that of the aliases.
// Rows of views stand behind the events of their instant, by alias.
func (w *world) unionRows(v *lang.View, events []*event, from map[*lang.View][]refRow, add func(in input)) {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b *event) int { return w.order(a).compare(w.order(b)) })
	under := func(u lang.UnionInput, in input, venue func() string) input {
		plain := in.col
		in.col = func(name string) value {
			alias, own, ok := strings.Cut(name, ".")
			switch {
			case !ok:
				return plain(name)
			case alias != u.Alias:
				return nil
			case own == "market":
				return word(v, name, venue())
			}
			return plain(own)
		}
		return in
	}
	var all []input
	for _, e := range events {
		for _, u := range v.Union {
			if u.View == nil && e.kind == u.Kind {
				all = append(all, under(u, w.fromEvent(v, e), func() string { return w.insts[e.inst].Venue.String() }))
			}
		}
	}
	for _, u := range v.Union {
		if u.View == nil {
			continue
		}
		side := &lang.View{Parent: u.View, Columns: v.Columns}
		for i := range from[u.View] {
			in := fromRow(side, &from[u.View][i])
			all = append(all, under(u, in, func() string { return in.col("=market").(string) }))
		}
	}
	slices.SortStableFunc(all, func(a, b input) int { return cmp.Compare(a.ts, b.ts) }) // events come first, then the aliases in turn
	for _, in := range all {
		add(in)
	}
}

func joinedValue(v *lang.View, ms []match, alias, col string) value {
	k := slices.IndexFunc(v.Joins, func(j *lang.TypedJoin) bool { return j.Alias == alias })
	if ms[k] == nil {
		return nil
	}
	return ms[k].col(col)
}
