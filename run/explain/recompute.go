package explain

import (
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

// computed is a row that was worked out again.
type computed struct {
	entity            []string
	start, end, rowTS int64
	aggs              []result
	vals              []value
	rows              []item // what it was computed from
}

// group is the rows of one entity, by time.
type group struct {
	entity []string
	rows   []item
}

// source is the view whose aggregates a view shows: of a rollup the first that is none.
func source(v *lang.View) *lang.View {
	for v.Rollup {
		v = v.Parent
	}
	return v
}

// recompute works out the rows of a view with from ≤ row_ts ≤ to. The input ends at last.
func (e *explainer) recompute(v *lang.View, from, to int64) []computed {
	var out []computed
	for _, g := range e.groups(v, from, to) {
		out = append(out, windows(v, g, from, to, e.last)...)
	}
	slices.SortStableFunc(out, func(a, b computed) int {
		if a.rowTS != b.rowTS {
			if a.rowTS < b.rowTS {
				return -1
			}
			return 1
		}
		return slices.Compare(a.entity, b.entity)
	})
	return out
}

// groups gives what a view reads for its rows from ≤ row_ts ≤ to, by entity.
func (e *explainer) groups(v *lang.View, from, to int64) []group {
	src := source(v)
	at := map[string]int{}
	var out []group
	add := func(in item) {
		leaf := func(n *lang.Node) value { return in.col(src.Columns[n.Index].Name) }
		if src.Where != nil {
			if ok, _ := eval(src.Where, leaf).(bool); !ok {
				return
			}
		}
		entity := make([]string, len(v.By))
		for i, b := range v.By {
			entity[i], _ = in.col(entityColumn + b).(string)
		}
		key := strings.Join(entity, "\x00")
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			out = append(out, group{entity: entity})
		}
		out[i].rows = append(out[i].rows, in)
	}
	if src.Parent == nil {
		for _, ev := range e.events {
			add(fromEvent(src, ev))
		}
		return out
	}
	first := from - v.Window.Width - v.Window.Carry - src.Window.Width
	parents := e.recompute(src.Parent, first, to)
	for i := range parents {
		add(fromRow(src, &parents[i]))
	}
	return out
}

// entityColumn before a column's name asks for its text, as entities are named.
const entityColumn = "="

func fromEvent(v *lang.View, ev *Event) item {
	return item{ts: ev.ts, ev: ev, col: func(name string) value {
		if plain, ok := strings.CutPrefix(name, entityColumn); ok {
			return ev.names[plain]
		}
		x := ev.cols[name]
		if s, ok := x.(string); ok {
			return code(v, name, s)
		}
		return x
	}}
}

func fromRow(v *lang.View, r *computed) item {
	p := v.Parent
	return item{ts: r.rowTS, col: func(name string) value {
		plain, text := strings.CutPrefix(name, entityColumn)
		if i := slices.Index(p.By, plain); i >= 0 {
			if text {
				return r.entity[i]
			}
			return code(v, name, r.entity[i])
		}
		for i, f := range p.Features {
			if f.Name == name {
				return r.vals[i]
			}
		}
		switch plain {
		case "ts", "row_ts":
			return whole(r.rowTS)
		case "window_start":
			return whole(r.start)
		case "window_end":
			return whole(r.end)
		case "base", "quote":
			if i := slices.Index(p.By, "symbol"); i >= 0 {
				base, quote := market.SplitSymbol(r.entity[i])
				if plain == "base" {
					return base
				}
				return quote
			}
		}
		return unknown{}
	}}
}

// code is the code of a word where the column is an enum.
func code(v *lang.View, name, word string) value {
	for _, c := range v.Columns {
		if c.Name == name && c.Type.Kind == lang.TEnum {
			return whole(int64(slices.Index(c.Type.Words, word)))
		}
	}
	return word
}

// windows works out the rows of one entity with from ≤ row_ts ≤ to.
func windows(v *lang.View, g group, from, to, last int64) []computed {
	if begins(v) {
		return begun(v, g, from, to, last)
	}
	rolling := v.Window.Kind == lang.Rolling
	step, origin := v.Window.Width, v.Window.Origin
	if rolling {
		step, origin = v.Window.Every, 0
	}
	src := source(v)
	keeps := v.Empty == "flat" || v.Empty == "nulls"
	newest := g.rows[len(g.rows)-1].ts
	to = min(to, newest+v.Window.Width+v.Window.Carry+2*step)
	from = max(from, g.rows[0].ts)
	var out []computed
	for t := market.FloorDiv(from-origin, step)*step + origin; t <= to; t += step {
		c := computed{entity: g.entity, start: t, end: t + step, rowTS: t + step - 1}
		lo, hi := c.start, c.end
		if rolling {
			c.start, c.end, c.rowTS = t-v.Window.Width, t, t
			lo, hi = c.start+1, t+1
		}
		if c.rowTS < from || c.rowTS > to {
			continue
		}
		i, j := below(g.rows, lo), below(g.rows, hi)
		if i == j && (!keeps || i == 0 || c.start-g.rows[i-1].ts > v.Window.Carry || late(rolling, c.end, step, last)) {
			continue
		}
		if rolling && late(true, c.end, step, last) {
			continue
		}
		c.rows = g.rows[i:j]
		c.fill(v, src, &window{rows: c.rows, before: g.rows[:i], start: c.start, end: c.end, carry: v.Window.Carry})
		out = append(out, c)
	}
	return out
}

// late reports whether a window lies too far behind the end of the input to be written.
func late(rolling bool, end, step, last int64) bool {
	if rolling {
		return end > -market.FloorDiv(-last, step)*step
	}
	return end > last+1
}

// below is the number of rows before t.
func below(rows []item, t int64) int {
	n, _ := slices.BinarySearchFunc(rows, t, func(it item, t int64) int {
		if it.ts < t {
			return -1
		}
		return 1
	})
	return n
}

// fill works out aggregates and features.
func (c *computed) fill(v, src *lang.View, w *window) {
	for _, a := range src.Aggs {
		if len(w.rows) == 0 && v.Empty == "flat" {
			c.aggs = append(c.aggs, carried(src, a, w))
		} else {
			c.aggs = append(c.aggs, aggregate(src, a, w))
		}
	}
	for _, f := range src.Features {
		c.vals = append(c.vals, eval(f.Node, c.leaf))
	}
}

// leaf gives what a feature is made of.
func (c *computed) leaf(n *lang.Node) value {
	switch n.Op {
	case lang.NAgg:
		return c.aggs[n.Index].v
	case lang.NFeature:
		return c.vals[n.Index]
	case lang.NWindowStart:
		return whole(c.start)
	case lang.NWindowEnd:
		return whole(c.end)
	}
	return unknown{}
}
