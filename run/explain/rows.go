package explain

import (
	"cmp"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

// The evaluator is a second, slow implementation of the language: views over plain lists of
// events, worked out by the text of docs/language.md, without anything of the engine.

// item is one row that a view reads: an event, a row of another view, or a listed member
// of a latest window that has none.
type item struct {
	ts          int64
	key         market.Key
	avail, hold int64 // when it was known, disorder of its feed
	ev          *Event
	row         *computed
	names       map[string]string // of a member without a row
	input       int               // of a union: the place of the alias, from 1
	divided     string            // of an event that a bar divides: the column that is part
	part        *big.Rat
	joined      []*item  // by join of the view, nil where none matched
	listing     []*Event // that list the member
}

// raw is a column as it is, an enum of the envelope as its word.
func (in *item) raw(name string) value {
	switch {
	case in.part != nil && name == in.divided:
		return in.part
	case in.ev != nil:
		return in.ev.value(name)
	case in.row != nil:
		return in.row.column(name)
	}
	if s, ok := in.names[name]; ok {
		return s
	}
	return nil
}

// column is a column of a view at this row.
func (in *item) column(c *lang.Column) value {
	_, plain, _ := strings.Cut(c.Name, ".")
	switch {
	case c.Join > 0:
		if c.Join > len(in.joined) || in.joined[c.Join-1] == nil {
			return nil
		}
		return typed(in.joined[c.Join-1].raw(plain), c.Type)
	case c.Input > 0 && c.Input != in.input:
		return nil
	case c.Input > 0:
		return typed(in.raw(plain), c.Type)
	}
	return typed(in.raw(c.Name), c.Type)
}

// typed is a value as a column of a type has it: a word by its code, a ratio that is kept
// as a float rounded.
func typed(x value, t lang.Type) value {
	switch s := x.(type) {
	case string:
		if t.Kind == lang.TEnum {
			return whole(int64(slices.Index(t.Words, s)))
		}
	case *big.Rat:
		if t.Kind == lang.TFloat {
			return float(s)
		}
	}
	return x
}

// text is the name that a column of the envelope has for an entity.
func (in *item) text(name string) string {
	s, _ := in.raw(name).(string)
	return s
}

// afterAll is the key of a row that stands after every event of its instant.
func afterAll(ts int64) market.Key {
	return market.Key{TS: ts, Src: math.MaxUint16, Inst: math.MaxUint32, Epoch: math.MaxUint32, Seq: math.MaxUint64}
}

// computed is a row that was worked out again.
type computed struct {
	v                 *lang.View
	entity            []string
	start, end, rowTS int64
	key               market.Key
	avail, hold       int64
	aggs              []result
	vals              []value
	s                 *series // its rows lo to hi are the window
	lo, hi            int
	member            int       // of a latest window: the member, -1 for the group
	joined            []*item   // at the time of the row
	tick, before      *computed // of a clock: those that bound the interval, nil for the reset
}

func (c *computed) column(name string) value {
	if i := slices.Index(c.v.By, name); i >= 0 {
		return c.entity[i]
	}
	for i, f := range c.v.Features {
		if f.Name == name {
			return c.vals[i]
		}
	}
	switch name {
	case "ts", "row_ts":
		return whole(c.rowTS)
	case "window_start":
		return whole(c.start)
	case "window_end":
		return whole(c.end)
	case "available_at":
		if sees(c.v) {
			return unknown{} // as late as all that its scans remember
		}
		return whole(c.avail)
	case "base", "quote":
		if i := slices.Index(c.v.By, "symbol"); i >= 0 {
			base, quote := market.SplitSymbol(c.entity[i])
			if name == "base" {
				return base
			}
			return quote
		}
	}
	return unknown{}
}

// sees reports whether a view, or one below it, has scans or frames.
func sees(v *lang.View) bool {
	return v.HasScans() || v.Window.Kind == lang.NoWindow && len(v.Aggs) > 0 || v.Parent != nil && sees(v.Parent)
}

// series is the rows of one entity that a view reads, in their order.
type series struct {
	v      *lang.View // whose columns, aggregates and features these are
	entity []string
	rows   []item
	scans  map[scanKey]*trace
	known  map[frameKey]value // frames, and aggregates among members
	cross  bool               // members of a latest window
	joined []*item            // what a group joins at the grid point
	start  int64              // of it
	end    int64
}

// value works an expression out at row k. period tells which of the resets is served.
func (s *series) value(n *lang.Node, k int, period int64) value {
	return eval(n, func(n *lang.Node) value { return s.leaf(n, k, period) })
}

func (s *series) leaf(n *lang.Node, k int, period int64) value {
	switch n.Op {
	case lang.NColumn:
		if k < 0 {
			return (&item{joined: s.joined}).column(&s.v.Columns[n.Index])
		}
		return s.rows[k].column(&s.v.Columns[n.Index])
	case lang.NFeature:
		if s.cross && !s.v.Window.Members {
			k = -1 // a constant of the group
		}
		return s.value(s.v.Features[n.Index].Node, k, period)
	case lang.NScan:
		return s.scan(n, k, period)
	case lang.NRank:
		return s.rank(n.Args[0], k)
	case lang.NWindowStart:
		return whole(s.start)
	case lang.NWindowEnd:
		return whole(s.end)
	case lang.NAgg:
		if s.cross {
			k = 0
		}
		key := frameKey{n.Index, k}
		x, ok := s.known[key]
		if !ok {
			x = s.frame(s.v.Aggs[n.Index], k).v
			s.known[key] = x
		}
		return x
	}
	return unknown{}
}

// window is a stretch of a series.
type window struct {
	s                 *series
	lo, hi            int
	start, end, carry int64
}

// source is the view whose aggregates a view shows: of a rollup the first that is none.
func source(v *lang.View) *lang.View {
	for v.Rollup {
		v = v.Parent
	}
	return v
}

// evaluator works views out.
type evaluator struct {
	events   map[market.Kind][]*Event
	last     int64 // of the input
	to       int64 // rows later than this are not asked for
	need     map[*lang.View]int64
	done     map[*lang.View][]*computed
	sides    map[*lang.TypedJoin]map[string][]*item
	filtered map[*lang.View][]item
	passed   map[*Event]bool // some view took it
}

// want notes that rows of a view from an instant on are needed, and what they need.
func (x *evaluator) want(v *lang.View, from int64) {
	if have, ok := x.need[v]; ok && have <= from {
		return
	}
	x.need[v] = from
	below := func(p *lang.View) {
		if p != nil {
			x.want(p, from-(v.Lookback-p.Lookback))
		}
	}
	src := source(v)
	below(src.Parent)
	below(v.Window.Clock)
	for _, u := range src.Union {
		below(u.View)
	}
	for _, j := range src.Joins {
		below(j.View)
	}
}

// rows are those of a view that are needed, by time and entity.
func (x *evaluator) rows(v *lang.View) []*computed {
	if out, ok := x.done[v]; ok {
		return out
	}
	from, ok := x.need[v]
	if !ok {
		from = market.NoTime
	}
	var out []*computed
	list := x.read(v)
	if v.Window.Kind == lang.Latest {
		out = x.latest(v, list, from)
	} else {
		for _, s := range list {
			out = append(out, x.windows(v, s, from)...)
		}
	}
	for _, c := range out {
		if c.key == (market.Key{}) {
			c.key = afterAll(c.rowTS)
		}
	}
	slices.SortStableFunc(out, func(a, b *computed) int {
		return cmp.Or(cmp.Compare(a.rowTS, b.rowTS), slices.Compare(a.entity, b.entity))
	})
	x.done[v] = out
	return out
}

// items are the rows of a view's input in the total order.
func (x *evaluator) items(src *lang.View) []item {
	var out []item
	switch {
	case len(src.Union) > 0:
		for i, u := range src.Union {
			for _, in := range x.items(&lang.View{Kind: u.Kind, Parent: u.View}) {
				in.input = i + 1
				out = append(out, in)
			}
		}
		slices.SortStableFunc(out, func(a, b item) int { return cmp.Or(a.key.Compare(b.key), cmp.Compare(a.input, b.input)) })
	case src.Parent == nil:
		for _, ev := range x.events[src.Kind] {
			out = append(out, fromEvent(ev))
		}
	default:
		for _, r := range x.rows(src.Parent) {
			out = append(out, fromRow(r))
		}
	}
	return out
}

func fromEvent(ev *Event) item {
	return item{ts: ev.ts, key: ev.key, avail: ev.avail, hold: ev.hold, ev: ev}
}

func fromRow(r *computed) item {
	return item{ts: r.rowTS, key: afterAll(r.rowTS), avail: r.avail, hold: r.hold, row: r}
}

// read gives what a view reads, by entity.
func (x *evaluator) read(v *lang.View) []*series {
	src, by := source(v), v.By
	if v.Window.Kind == lang.Latest && !v.Window.Members {
		by = append(slices.Clone(by), v.Window.Member)
	}
	at := map[string]*series{}
	var out []*series
	among, _ := joinsRead(src)
	for _, in := range x.items(src) {
		in.joined = x.match(src, among, &in, in.ts)
		if src.Where != nil {
			ok, _ := eval(src.Where, func(n *lang.Node) value { return in.column(&src.Columns[n.Index]) }).(bool)
			if !ok {
				x.filtered[src] = append(x.filtered[src], in)
				continue
			}
		}
		if in.ev != nil {
			x.passed[in.ev] = true
		}
		entity := make([]string, len(by))
		for i, b := range by {
			entity[i] = in.text(b)
		}
		key := strings.Join(entity, "\x00")
		if at[key] == nil {
			at[key] = newSeries(src, entity)
			out = append(out, at[key])
		}
		at[key].rows = append(at[key].rows, in)
	}
	return out
}

func newSeries(v *lang.View, entity []string) *series {
	return &series{v: v, entity: entity, scans: map[scanKey]*trace{}, known: map[frameKey]value{}}
}

// windows works out the rows of one entity from an instant on.
func (x *evaluator) windows(v *lang.View, s *series, from int64) []*computed {
	switch {
	case v.Window.Kind == lang.NoWindow:
		return x.rowView(v, s, from)
	case v.Window.Kind == lang.Bar || v.Window.Kind == lang.Session:
		return x.begun(v, s, from)
	case v.Window.Kind == lang.Clock:
		return x.intervals(v, s, from)
	case v.Window.Event:
		return x.instants(v, s, from)
	}
	return x.grid(v, s, from)
}

// rowView has a row for each row of the input.
func (x *evaluator) rowView(v *lang.View, s *series, from int64) []*computed {
	var out []*computed
	for k := range s.rows {
		in := &s.rows[k]
		if in.ts < from || in.ts > x.to {
			continue
		}
		c := &computed{v: v, entity: s.entity, start: in.ts, end: in.ts, rowTS: in.ts, s: s, lo: k, hi: k + 1, member: -1}
		if in.row != nil {
			c.start, c.end = in.row.start, in.row.end
		}
		for _, f := range v.Features {
			c.vals = append(c.vals, s.value(f.Node, k, s.served(k)))
		}
		c.known(false)
		out = append(out, c)
	}
	return out
}

// instants has a window that ends with each instant that has rows.
func (x *evaluator) instants(v *lang.View, s *series, from int64) []*computed {
	var out []*computed
	for k := range s.rows {
		t := s.rows[k].ts
		if t < from || t > x.to || k+1 < len(s.rows) && s.rows[k+1].ts == t {
			continue
		}
		c := &computed{v: v, entity: s.entity, start: t - v.Window.Width, end: t, rowTS: t, s: s, lo: s.below(t - v.Window.Width + 1), hi: k + 1}
		x.fill(c)
		out = append(out, c)
	}
	return out
}

// shown is the first instant at which clocks show a local time or a later one: they are set at whole minutes.
func shown(offset func(t int64) int64, local int64) int64 {
	t := market.FloorDiv(local, market.Minute)*market.Minute - 26*market.Hour
	for t+offset(t) < local {
		t += market.Minute
	}
	return t
}

// grid has the windows of a grid of time.
func (x *evaluator) grid(v *lang.View, s *series, from int64) []*computed {
	rolling := v.Window.Kind == lang.Rolling
	step, origin := v.Window.Width, v.Window.Origin
	if rolling {
		step, origin = v.Window.Every, 0
	}
	keeps := v.Empty == "flat" || v.Empty == "nulls"
	to := min(x.to, s.rows[len(s.rows)-1].ts+v.Window.Width+v.Window.Carry+2*step)
	from = max(from, s.rows[0].ts)
	var out []*computed
	begin, k := func(k int64) int64 { return k*step + origin }, market.FloorDiv(from-origin, step)
	if z := v.Window.Zone; z != nil {
		begin, k = func(k int64) int64 { return shown(z.Offset, k*step+origin) }, k-market.Day/step-1
		to = min(x.to, to+market.Day)
	}
	for ; begin(k) <= to; k++ {
		t, next := begin(k), begin(k+1)
		if t == next { // a day without an instant
			continue
		}
		c := &computed{v: v, entity: s.entity, start: t, end: next, rowTS: next - 1, s: s}
		lo, hi := c.start, c.end
		if rolling {
			c.start, c.end, c.rowTS = t-v.Window.Width, t, t
			lo, hi = c.start+1, t+1
		}
		if c.rowTS < from || c.rowTS > to {
			continue
		}
		c.lo, c.hi = s.below(lo), s.below(hi)
		late := c.end > x.last+1
		if rolling {
			late = c.end > -market.FloorDiv(-x.last, step)*step
		}
		if c.lo == c.hi && (!keeps || c.lo == 0 || c.start-s.rows[c.lo-1].ts > v.Window.Carry || late) || rolling && late {
			continue
		}
		x.fill(c)
		out = append(out, c)
	}
	return out
}

// below is the number of rows before t.
func (s *series) below(t int64) int {
	n, _ := slices.BinarySearchFunc(s.rows, t, func(it item, t int64) int {
		if it.ts < t {
			return -1
		}
		return 1
	})
	return n
}

// fill works out the aggregates and features of a window.
func (x *evaluator) fill(c *computed) {
	c.member = -1
	src := c.s.v
	w := &window{s: c.s, lo: c.lo, hi: c.hi, start: c.start, end: c.end, carry: c.v.Window.Carry}
	for _, a := range src.Aggs {
		if c.lo == c.hi && c.v.Empty == "flat" {
			c.aggs = append(c.aggs, carried(src, a, w))
		} else {
			c.aggs = append(c.aggs, aggregate(src, a, w))
		}
	}
	if _, after := joinsRead(src); len(after) > 0 {
		c.joined = x.match(src, after, &c.s.rows[max(c.lo, c.hi)-1], c.rowTS) // any row has the entity's names
	}
	c.known(c.lo == c.hi || slices.ContainsFunc(src.Aggs, func(a *lang.Agg) bool { return a.Fn == "time_mean" }))
	for _, f := range src.Features {
		c.vals = append(c.vals, eval(f.Node, c.leaf))
	}
}

// known works out when the row could be known first; before tells that the row ahead of
// the window counts as well.
func (c *computed) known(before bool) {
	take := func(in *item) {
		if in != nil {
			c.avail, c.hold = max(c.avail, in.avail), max(c.hold, in.hold)
		}
	}
	for k := c.lo; k < c.hi; k++ {
		take(&c.s.rows[k])
		for _, m := range c.s.rows[k].joined {
			take(m)
		}
	}
	for _, m := range c.joined {
		take(m)
	}
	if c.tick != nil {
		c.avail, c.hold = max(c.avail, c.tick.avail), max(c.hold, c.tick.hold)
	}
	if c.lo == c.hi && c.lo > 0 {
		c.hold = max(c.hold, c.s.rows[c.lo-1].hold)
	}
	if before && c.lo > 0 && (c.v.Window.Kind == lang.Clock || c.start-c.s.rows[c.lo-1].ts <= c.v.Window.Carry) {
		c.avail = max(c.avail, c.s.rows[c.lo-1].avail)
	}
	c.avail = max(c.avail, c.end+c.hold)
}

// leaf gives what a feature is made of.
func (c *computed) leaf(n *lang.Node) value {
	if c.s.cross {
		return c.s.leaf(n, c.member, 0)
	}
	if c.v.Window.Kind == lang.NoWindow || c.member >= 0 {
		return c.s.leaf(n, max(c.lo, c.member), c.s.served(max(c.lo, c.member)))
	}
	switch n.Op {
	case lang.NColumn:
		return (&item{joined: c.joined}).column(&c.s.v.Columns[n.Index])
	case lang.NAgg:
		return c.aggs[n.Index].v
	case lang.NFeature:
		return c.vals[n.Index]
	case lang.NWindowStart:
		return whole(c.start)
	case lang.NWindowEnd:
		return whole(c.end)
	case lang.NClock:
		if c.tick == nil {
			return nil
		}
		return typed(c.tick.vals[n.Index], n.Type)
	}
	return unknown{}
}
