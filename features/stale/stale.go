// Package stale tells which rows of views change when events come late, go, or change: the
// closure of [t, t + reach] through windows, clocks, joins, unions and views over views. It is
// a function of checked views alone; what the events are worth plays no part. So a range is
// a bound that data can reach, not what a recomputation will find.
package stale

import (
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

// Change is events of one kind that are new, gone or other than they were: those of
// [From, To) in event time, µs. A single one at ts has From ts and To ts + 1.
type Change struct {
	Kind     market.Kind
	Key      Key
	From, To int64
}

// Key says which entities are meant by the columns that entities are made of; "" is any. A
// symbol tells base and quote.
type Key struct {
	Feed     string `json:"feed,omitempty"`
	Exchange string `json:"exchange,omitempty"`
	Market   string `json:"market,omitempty"`
	Symbol   string `json:"symbol,omitempty"`
	Base     string `json:"base,omitempty"`
	Quote    string `json:"quote,omitempty"`
}

// KeyOf is the key of an instrument's events on a feed.
func KeyOf(feed string, in market.Instrument) Key {
	return Key{feed, in.Exchange, in.Venue.String(), in.Symbol, in.Base, in.Quote}
}

// Columns are those of a Key in the order of its fields.
var Columns = []string{"feed", "exchange", "market", "symbol", "base", "quote"}

func (k *Key) field(column string) *string {
	switch column {
	case "feed":
		return &k.Feed
	case "exchange":
		return &k.Exchange
	case "market":
		return &k.Market
	case "symbol":
		return &k.Symbol
	case "base":
		return &k.Base
	case "quote":
		return &k.Quote
	}
	return nil
}

// Get is the value of a column, "" for any.
func (k Key) Get(column string) string {
	if p := k.field(column); p != nil {
		return *p
	}
	return ""
}

// only is the key with some columns, and what a symbol among them tells.
func (k Key) only(names []string) Key {
	var out Key
	for _, c := range names {
		if p := out.field(c); p != nil {
			*p = k.Get(c)
		}
	}
	if slices.Contains(names, "symbol") && k.Symbol != "" {
		base, quote := market.SplitSymbol(k.Symbol)
		if out.Base == "" {
			out.Base = base
		}
		if out.Quote == "" {
			out.Quote = quote
		}
	} else if slices.Contains(names, "symbol") {
		out.Base, out.Quote = k.Base, k.Quote
	}
	return out
}

// Covers reports whether all entities of o are among those of k.
func (k Key) Covers(o Key) bool {
	for _, c := range Columns {
		if x := k.Get(c); x != "" && x != o.Get(c) {
			return false
		}
	}
	return true
}

// EntityKey is the key of one entity, given by the values of its columns.
func EntityKey(by, entity []string) Key {
	var k Key
	for i, c := range by {
		if p := k.field(c); p != nil {
			*p = entity[i]
		}
	}
	return k.only(by)
}

// Has reports whether an entity, given by the values of its columns, is among those of k.
func (k Key) Has(by, entity []string) bool { return k.Covers(EntityKey(by, entity)) }

// common is the key of the entities that two have in common, false when there are none.
func (k Key) common(o Key) (Key, bool) {
	for _, c := range Columns {
		switch x, p := o.Get(c), k.field(c); {
		case *p == "":
			*p = x
		case x != "" && x != *p:
			return Key{}, false
		}
	}
	return k, true
}

// Compare orders keys by their columns, those that stand for any entity first.
func (k Key) Compare(o Key) int {
	for _, c := range Columns {
		if x := strings.Compare(k.Get(c), o.Get(c)); x != 0 {
			return x
		}
	}
	return 0
}

// String names what is known of the entities: "exchange=binance symbol=BTC-USDT", or "all".
func (k Key) String() string {
	var parts []string
	for _, c := range Columns {
		if x := k.Get(c); x != "" && (k.Symbol == "" || c != "base" && c != "quote") {
			parts = append(parts, c+"="+x)
		}
	}
	if len(parts) == 0 {
		return "all"
	}
	return strings.Join(parts, " ")
}

// Rows are stale rows of some entities of a view: those with row_ts in one of the ranges,
// which are in order and do not touch.
type Rows struct {
	Key    Key
	Ranges []Range
}

// View is what is stale of one view. No row is in two of Rows.
type View struct {
	View *lang.View
	Rows []Rows // by key
}

// Of finds the rows of views that changes can touch, for each view in the order given; a
// view that they cannot touch has no Rows. All rows outside of these are bit for bit what
// they were.
func Of(views []*lang.View, changes []Change) []View {
	c := &closure{events: map[market.Kind]set{}, done: map[*lang.View]*state{}}
	for _, ch := range changes {
		if ch.From < ch.To {
			c.kind(ch.Kind).add(ch.Key, Range{ch.From, ch.To})
		}
	}
	for _, s := range c.events {
		s.tidy()
	}
	var out []View
	for _, v := range views {
		out = append(out, View{v, c.view(v).rows.disjoint()})
	}
	return out
}

// set is ranges of time by entities.
type set map[Key][]Range

func (s set) add(k Key, r ...Range) { s[k] = append(s[k], r...) }

// tidy merges the ranges of each key.
func (s set) tidy() {
	for k, r := range s {
		s[k] = merge(r)
	}
}

// disjoint is the set as a list in which each row is once: what entities have in common with
// fewer of their columns given is taken from those with more.
func (s set) disjoint() []Rows {
	keys := make([]Key, 0, len(s))
	var wide []Key // those that may cover others
	for k := range s {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, Key.Compare)
	known := func(k Key) (n int) {
		for _, c := range Columns {
			if k.Get(c) != "" {
				n++
			}
		}
		return n
	}
	most := 0
	for _, k := range keys {
		most = max(most, known(k))
	}
	for _, k := range keys {
		if known(k) < most {
			wide = append(wide, k)
		}
	}
	var out []Rows
	for _, k := range keys {
		r := s[k]
		for _, w := range wide {
			if w != k && w.Covers(k) {
				r = subtract(r, s[w])
			}
		}
		if len(r) > 0 {
			out = append(out, Rows{k, r})
		}
	}
	return out
}

// state is what is stale of one view.
type state struct {
	rows   set
	folded set // windows whose own events changed: what a rollup merges. Others carry values on
}

// closure goes from events to views.
type closure struct {
	events map[market.Kind]set
	done   map[*lang.View]*state
}

func (c *closure) kind(k market.Kind) set {
	if c.events[k] == nil {
		c.events[k] = set{}
	}
	return c.events[k]
}

// view finds what is stale of a view, once.
func (c *closure) view(v *lang.View) *state {
	if st := c.done[v]; st != nil {
		return st
	}
	st := &state{rows: set{}, folded: set{}}
	c.done[v] = st
	w := newWindows(v)
	for k, rs := range c.input(v) {
		for _, r := range rs {
			r = w.rows(r)
			if own, ok := w.own(r); ok {
				st.folded.add(k, own)
			}
			if all, ok := w.all(r); ok {
				st.rows.add(k, all)
			}
		}
	}
	c.listings(v, w, st)
	c.ticks(v, w, st)
	c.matched(v, w, st)
	st.folded.tidy()
	st.rows.tidy()
	return st
}

// times is the row_ts that stale rows of a view can have: of a tumbling window it is the last
// instant.
func (c *closure) times(v *lang.View) set {
	rows := c.view(v).rows
	if v.Window.Kind != lang.Tumbling {
		return rows
	}
	out := set{}
	for k, rs := range rows {
		for _, r := range rs {
			g := v.Window.Grid()
			out.add(k, Range{g.Start(g.Index(r.From)+1) - 1, r.To})
		}
	}
	return out
}

// input is the input rows of a view that changed, or that found other rows to join, by
// entities of the view.
func (c *closure) input(v *lang.View) set {
	in := set{}
	keys := entityKey(v)
	take := func(from set, alias int, keep int64) {
		for k, rs := range from {
			if !v.Rollup && !may(v, v.Where, k, alias) {
				continue
			}
			for _, r := range rs {
				in.add(k.only(keys), r.longer(keep))
			}
		}
	}
	switch {
	case v.Union != nil:
		for i, u := range v.Union {
			if u.View != nil {
				take(c.times(u.View), i, 0)
			} else {
				take(c.events[u.Kind], i, 0)
			}
		}
	case v.Rollup:
		take(c.view(v.Parent).folded, 0, 0)
	case v.Parent != nil:
		take(c.times(v.Parent), 0, 0)
	default:
		keep := int64(0)
		if readsBook(v) {
			keep = market.KeyframeEvery
		}
		take(c.events[v.Kind], 0, keep)
	}
	for i, j := range v.Joins {
		if atRows, _ := joined(v, i+1); atRows {
			take(c.matches(j), -1, 0)
		}
	}
	in.tidy()
	return in
}

// matches is the times at which a join may find another row than before, by what it
// matches on.
func (c *closure) matches(j *lang.TypedJoin) set {
	from := c.events[j.Kind]
	if j.View != nil {
		from = c.times(j.View)
	}
	out := set{}
	for k, rs := range from {
		if !mayJoin(j, k) {
			continue
		}
		for _, r := range rs {
			out.add(k.only(j.On), r.longer(j.MaxAge))
		}
	}
	out.tidy()
	return out
}

// matched adds the rows of windows that join as of their row_ts.
func (c *closure) matched(v *lang.View, w *windows, st *state) {
	for i, j := range v.Joins {
		if _, atFeatures := joined(v, i+1); !atFeatures {
			continue
		}
		for k, rs := range c.matches(j) {
			for _, r := range rs {
				if r, ok := w.snap(r); ok {
					st.rows.add(k.only(v.By), r)
				}
			}
		}
	}
}

// ticks adds the intervals that other ticks of the clock begin or end.
func (c *closure) ticks(v *lang.View, w *windows, st *state) {
	if v.Window.Clock == nil {
		return
	}
	for k, rs := range c.times(v.Window.Clock) {
		for _, r := range rs {
			r.To = w.boundary(r.To)
			st.rows.add(k.only(v.By), r)
		}
	}
}

// listings adds the groups whose members instrument events list.
func (c *closure) listings(v *lang.View, w *windows, st *state) {
	if !v.Window.Listed {
		return
	}
	for k, rs := range c.events[market.KindInstrument] {
		listed := true
		for p := v; p != nil; p = p.Parent {
			listed = listed && may(p, p.Where, k, 0)
		}
		for _, r := range rs {
			if r, ok := w.snap(r.longer(lang.ListingAge)); ok && listed {
				st.rows.add(k.only(entityKey(v)), r)
			}
		}
	}
}

// entityKey are the columns by which the rows of a view go together: those of its entities,
// without the member of a latest window where the row of one depends on the others.
func entityKey(v *lang.View) []string {
	if v.Window.Kind == lang.Latest && v.Window.Members && amongMembers(v) {
		return v.By[:len(v.By)-1]
	}
	return v.By
}

// amongMembers reports whether the row of a member depends on those of others.
func amongMembers(v *lang.View) bool {
	return len(v.Aggs) > 0 || slices.ContainsFunc(v.Features, func(f *lang.Feature) bool {
		return has(f.Node, func(n *lang.Node) bool { return n.Op == lang.NRank })
	})
}

func readsBook(v *lang.View) bool {
	return slices.ContainsFunc(v.Columns, func(c lang.Column) bool { return c.Book != nil })
}

// joined tells where columns of a join, counted from 1, are matched: at the time of each
// input row, and at the row_ts of a window's row.
func joined(v *lang.View, join int) (atRows, atFeatures bool) {
	is := func(n *lang.Node) bool { return n.Op == lang.NColumn && v.Columns[n.Index].Join == join }
	atRows = has(v.Where, is)
	for _, a := range v.Aggs {
		atRows = atRows || has(a.Where, is) || slices.ContainsFunc(a.Args, func(n *lang.Node) bool { return has(n, is) })
	}
	for _, f := range v.Features {
		if !has(f.Node, is) {
			continue
		}
		if v.Window.Kind == lang.NoWindow || v.Window.Members { // of each row, of each member
			atRows = true
		} else {
			atFeatures = true
		}
	}
	return atRows, atFeatures
}

// has looks for a node in an expression, whose nodes may be shared.
func has(n *lang.Node, is func(*lang.Node) bool) bool {
	seen := map[*lang.Node]bool{}
	var walk func(n *lang.Node) bool
	walk = func(n *lang.Node) bool {
		if n == nil || seen[n] {
			return false
		}
		seen[n] = true
		return is(n) || slices.ContainsFunc(n.Args, walk)
	}
	return walk(n)
}
