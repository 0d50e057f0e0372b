package explain

import (
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

// latest works out a latest window: at each grid point it asks anew for the newest row of
// each member. The series are those of the members.
func (x *evaluator) latest(v *lang.View, members []*series, from int64) []*computed {
	by := v.By
	if !v.Window.Members {
		by = append(slices.Clone(by), v.Window.Member)
	}
	listings := x.listings(v, by)
	for _, l := range listings {
		if !slices.ContainsFunc(members, func(s *series) bool { return slices.Equal(s.entity, l.entity) }) {
			members = append(members, newSeries(v, l.entity))
		}
	}
	slices.SortFunc(members, func(a, b *series) int { return slices.Compare(a.entity, b.entity) })
	low, high := int64(1<<62), int64(0)
	for _, s := range members {
		if n := len(s.rows); n > 0 {
			low, high = min(low, s.rows[0].ts), max(high, s.rows[n-1].ts)
		}
	}
	every, age := v.Window.Every, v.Window.Width
	stop := min(x.to, high+age, -market.FloorDiv(-x.last, every)*every)
	var out []*computed
	for t := -market.FloorDiv(-max(low, from), every) * every; t <= stop; t += every {
		out = append(out, x.groups(v, members, listings, by, t)...)
	}
	return out
}

// groups are the rows of a latest window at one grid point.
func (x *evaluator) groups(v *lang.View, members []*series, listings map[string]*listing, by []string, t int64) []*computed {
	var order []*series
	sets := map[string]*series{}
	names := map[*series][][]string{}
	live := map[*series]bool{}
	for _, m := range members {
		in := m.newest(v, t)
		if v.Window.Listed {
			if in = listings[strings.Join(m.entity, "\x00")].member(in, by, m.entity, t); in == nil {
				continue
			}
		}
		if in == nil {
			continue
		}
		group := m.entity[:len(by)-1]
		key := strings.Join(group, "\x00")
		g := sets[key]
		if g == nil {
			g = newSeries(v, group)
			g.cross, g.start, g.end = true, t-v.Window.Width, t
			sets[key] = g
			order = append(order, g)
		}
		g.rows = append(g.rows, *in)
		names[g] = append(names[g], m.entity)
		live[g] = live[g] || in.ev != nil || in.row != nil
	}
	var out []*computed
	_, after := joinsRead(v)
	for _, g := range order {
		if !live[g] {
			continue
		}
		rows := []int{-1}
		if v.Window.Members {
			rows = rows[:0]
			for i := range g.rows {
				rows = append(rows, i)
			}
		}
		for _, i := range rows {
			c := &computed{v: v, entity: g.entity, start: g.start, end: t, rowTS: t, s: g, hi: len(g.rows), member: i}
			if i >= 0 {
				c.entity = names[g][i]
			}
			if i < 0 {
				g.joined = x.match(v, after, &g.rows[0], t) // any row has the group's names
				c.joined = g.joined
			}
			for k := range v.Aggs {
				c.aggs = append(c.aggs, g.frame(v.Aggs[k], 0))
			}
			for _, f := range v.Features {
				c.vals = append(c.vals, g.value(f.Node, i, 0))
			}
			c.known(false)
			out = append(out, c)
		}
	}
	return out
}

// newest is a member's last row at a time, nil when it is too old.
func (s *series) newest(v *lang.View, t int64) *item {
	for k := s.below(t+1) - 1; k >= 0 && t-s.rows[k].ts <= v.Window.Width; k-- {
		if !v.Ingest || max(s.rows[k].ts, s.rows[k].avail) <= t {
			in := s.rows[k]
			return &in
		}
	}
	return nil
}

// rank is the place of row k by a value: 1 for the greatest, ties by name, nulls last.
func (s *series) rank(n *lang.Node, k int) value {
	mine, place := s.value(n, k, 0), int64(1)
	for i := range s.rows {
		x := s.value(n, i, 0)
		c := 0
		switch {
		case x == nil && mine == nil:
		case x == nil:
			c = -1
		case mine == nil:
			c = 1
		default:
			c = compare(x, mine)
		}
		if c > 0 || c == 0 && i < k {
			place++
		}
	}
	return whole(place)
}

// listing is what instrument events say of the instruments of a member.
type listing struct {
	entity []string
	events map[market.Inst][]*Event // oldest first
}

func (x *evaluator) listings(v *lang.View, by []string) map[string]*listing {
	out := map[string]*listing{}
	if !v.Window.Listed {
		return out
	}
	for _, ev := range x.events[market.KindInstrument] {
		if !admitted(v, ev) {
			continue
		}
		entity := make([]string, len(by))
		for i, b := range by {
			entity[i] = ev.names[b]
		}
		key := strings.Join(entity, "\x00")
		if out[key] == nil {
			out[key] = &listing{entity, map[market.Inst][]*Event{}}
		}
		out[key].events[ev.inst] = append(out[key].events[ev.inst], ev)
		x.passed[ev] = true
	}
	return out
}

// admitted applies every where along the input that reads the instrument alone.
func admitted(v *lang.View, ev *Event) bool {
	facets := []string{"exchange", "market", "symbol", "base", "quote"}
	for ; v != nil; v = v.Parent {
		if v.Where == nil {
			continue
		}
		alone := true
		ok, _ := eval(v.Where, func(n *lang.Node) value {
			c := &v.Columns[n.Index]
			if !slices.Contains(facets, c.Name) {
				alone = false
				return nil
			}
			return typed(ev.names[c.Name], c.Type)
		}).(bool)
		if alone && !ok {
			return false
		}
	}
	return true
}

// member gives a listed member its row, all null but for the key when it is silent; nil
// when no event in force at t lists it.
func (l *listing) member(in *item, by, entity []string, t int64) *item {
	if l == nil {
		return nil
	}
	var by1 []*Event
	for _, events := range l.events {
		n, _ := slices.BinarySearchFunc(events, t, func(e *Event, t int64) int {
			if e.ts <= t {
				return -1
			}
			return 1
		})
		if n > 0 && lists(events[n-1], t) {
			by1 = append(by1, events[n-1])
		}
	}
	if len(by1) == 0 {
		return nil
	}
	slices.SortFunc(by1, func(a, b *Event) int { return a.key.Compare(b.key) })
	if in == nil {
		in = &item{names: map[string]string{}}
		for i, b := range by {
			in.names[b] = entity[i]
		}
	}
	for _, e := range by1 {
		in.avail, in.hold = max(in.avail, e.avail), max(in.hold, e.hold)
	}
	in.listing = by1
	return in
}

// lists reports whether an instrument event says that the instrument is listed at t.
func lists(e *Event, t int64) bool {
	at := whole(t)
	state, from, to := e.value("state"), e.value("listed_ts"), e.value("delisted_ts")
	switch {
	case t-e.ts > lang.ListingAge:
		return false
	case state != nil && market.ListingWords[int(float(state))] == "delisted":
		return false
	}
	return (from == nil || compare(from, at) <= 0) && (to == nil || compare(to, at) > 0)
}
