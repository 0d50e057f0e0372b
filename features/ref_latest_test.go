package features_test

import (
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

// The reference of latest windows asks anew at each grid point for the newest row of each
// member, and works values out when they are asked for, without passes.

var acrossSpecs = []string{`
view: fair
version: 1
from: quote
where: bid_price is null or bid_price > 10
by: [market]
let:
  mid: (bid_price + ask_price) / 2
window: {latest: exchange, every: 3s, max_age: 7s}
features:
  excluded: count(where abs(mid - guard) > band)
  kept: mean(mid where abs(mid - guard) <= band)
  spread: max(mid) - min(mid)
  band: spread / 4 * shift
  guard: decimal(sum(mid) / count(mid), 3)
  venues: count()
  known: count(mid)
  shift: if(known > 1, 0.5, null)
  oldest: max(now - ts)
  now: window_end
  best: max(bid_price where rank(ask_price) <= 2)
  sizes: distinct(bid_quantity)
  size: sum(bid_quantity where mid >= floor(guard) and market != perp)
  deep: count(where bid_quantity > mean_kept)
  mean_kept: sum(bid_quantity where abs(mid - guard) <= band) / (excluded + 1)
  med: median(mid)
  wm: wmedian(mid, weight=bid_quantity where abs(mid - med) <= band)
  q: quantile(mid, 0.25)
  leader: argmax(mid, exchange)
  least: argmin(abs(mid - med), bid_quantity)
  cor: corr(bid_price, ask_price)
  wide: any(mid - guard > band)
  lead_size: sum(bid_quantity where exchange == leader and ask_price is not null)
  who: last(exchange where mid > med)
  first: first(ask_price)
  last: last(ask_price)
`, `
view: fair_1m
version: 1
from: fair
by: [market]
window: {tumbling: 1m}
features:
  n: count()
  kept: last(kept)
  spread: sum(spread)
`}

var ingestSpecs = []string{`
view: known
version: 1
from: quote
by: [market]
time: ingest
window: {latest: exchange, every: 250ms, max_age: 2s}
features:
  venues: count()
  high: max(bid_price)
  at: max(ts)
  delay: max(ingest_ts - ts)
`, barsSpec, `
view: known_bars
version: 1
from: bars
by: [market]
time: ingest
window: {latest: symbol, every: 1s, max_age: 90s, emit: members, universe: listed}
features:
  n: count()
  place: rank(close)
`}

var membersSpecs = []string{barsSpec, `
view: ranked
version: 1
from: bars
where: trades > 0
by: [market]
window: {latest: symbol, every: 90s, max_age: 3m, emit: members}
features:
  place: rank(notional)
  top: place <= 2
  part: share(volume)
  pct: pct_rank(vwap)
  z: zscore(close)
  n: count()
  price: close
  ratio: vwap
  above: close > mean(close)
  name: symbol
  age: window_end - ts
  far: rank(abs(close - center))
  center: mean(close)
  tops: sum(volume where place <= 2)
  rest: count(where not top)
  half: count(where pct_rank(volume) >= 0.5)
  flow: rank(taker_buy - taker_sell) + rank(imbalance)
`, `
view: leaders
version: 1
from: ranked
where: place == 1
by: [market, symbol]
window: {tumbling: 6m}
features:
  minutes: count()
  z: max(z)
`}

// members is a group at a grid point: its newest rows, in the order of names.
type memberSet struct {
	v     *lang.View
	rows  []input
	start int64
	end   int64
	live  bool // some member has a row
	aggs  map[int]value
	join  func(n *lang.Node) value // what the group joins at the grid point
}

func (w *world) latest(v *lang.View, events []*event, from map[*lang.View][]refRow, s span) []refRow {
	keyed := *v
	if !v.Window.Members {
		keyed.By = append(slices.Clone(v.By), v.Window.Member)
	}
	ins, names := w.inputs(&keyed, events, from)
	keys := make([]string, 0, len(ins))
	low, high := int64(1<<62), int64(0)
	for k, in := range ins {
		keys = append(keys, k)
		low, high = min(low, in[0].ts), max(high, in[len(in)-1].ts)
	}
	listings := w.listings(v, keyed.By, events)
	for k, l := range listings {
		if v.Window.Listed && ins[k] == nil {
			keys, names[k] = append(keys, k), l.ent
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return slices.Compare(names[a], names[b]) })
	every, age := v.Window.Every, v.Window.Width
	stop := high + age
	if s.closed {
		stop = min(stop, -market.FloorDiv(-s.last, every)*every)
	} else {
		stop = min(stop, s.mark-1)
	}
	var rows []refRow
	for t := -market.FloorDiv(-low, every) * every; t <= stop; t += every {
		var groups []string
		sets := map[string]*memberSet{}
		ents := map[string][][]string{}
		for _, k := range keys {
			var newest *input
			for i := range ins[k] {
				counts := ins[k][i].ts
				if v.Ingest {
					counts = max(counts, ins[k][i].avail)
				}
				if counts <= t {
					newest = &ins[k][i]
				}
			}
			if newest != nil && t-newest.ts > age {
				newest = nil
			}
			silent := newest == nil
			if v.Window.Listed {
				at := listings[k].at(t)
				if at == nil {
					continue
				}
				newest = both(v, newest, at, names[k], keyed.By)
			}
			if newest == nil {
				continue
			}
			g := strings.Join(names[k][:len(keyed.By)-1], "\x00")
			if sets[g] == nil {
				groups = append(groups, g)
				sets[g] = &memberSet{v: v, start: t - age, end: t, aggs: map[int]value{}}
			}
			sets[g].rows = append(sets[g].rows, *newest)
			sets[g].live = sets[g].live || !silent
			ents[g] = append(ents[g], names[k])
		}
		for _, g := range groups {
			if sets[g].live {
				rows = append(rows, sets[g].emit(ents[g], s)...)
			}
		}
	}
	return rows
}

// memberListing is what instrument events say of the instruments of a member.
type memberListing struct {
	ent    []string
	events map[int][]input // by instrument
}

func (w *world) listings(v *lang.View, by []string, events []*event) map[string]*memberListing {
	out := map[string]*memberListing{}
	if !v.Window.Listed {
		return out
	}
	for _, e := range events {
		in := w.fromEvent(v, e)
		if e.kind != market.KindInstrument || !admitted(v, in) {
			continue
		}
		var ent []string
		for _, b := range by {
			ent = append(ent, in.col("="+b).(string))
		}
		k := strings.Join(ent, "\x00")
		if out[k] == nil {
			out[k] = &memberListing{ent: ent, events: map[int][]input{}}
		}
		out[k].events[e.inst] = append(out[k].events[e.inst], in)
	}
	return out
}

// admitted applies every where that reads the instrument alone.
func admitted(v *lang.View, in input) bool {
	for ; v != nil; v = v.Parent {
		if v.Where == nil {
			continue
		}
		alone := true
		ok, _ := eval(v.Where, func(n *lang.Node) value {
			name := v.Columns[n.Index].Name
			if !slices.Contains([]string{"exchange", "market", "symbol", "base", "quote"}, name) {
				alone = false
				return nil
			}
			if x := in.col("=" + name); v.Columns[n.Index].Type.Kind != lang.TEnum {
				return x
			} else {
				return word(v, name, x.(string))
			}
		}).(bool)
		if alone && !ok {
			return false
		}
	}
	return true
}

// at is what the events in force at t contribute, nil when none of them lists the member.
func (l *memberListing) at(t int64) *input {
	var sum *input
	if l == nil {
		return nil
	}
	for _, events := range l.events {
		var e *input
		for i := range events {
			if events[i].ts <= t {
				e = &events[i]
			}
		}
		if e == nil {
			continue
		}
		state, _ := ratInt(e.col("state"))
		from, hasFrom := ratInt(e.col("listed_ts"))
		to, hasTo := ratInt(e.col("delisted_ts"))
		if market.ListingWords[state] == "delisted" || hasFrom && from > t || hasTo && to <= t {
			continue
		}
		if sum == nil {
			sum = &input{}
		}
		sum.avail, sum.hold, sum.flags = max(sum.avail, e.avail), max(sum.hold, e.hold), sum.flags|e.flags&features.FlagAssumed
	}
	return sum
}

// both is the row of a listed member, all null but for the key when it is silent.
func both(v *lang.View, row, at *input, ent, by []string) *input {
	in := *at
	if row == nil {
		in.col = func(name string) value {
			i := slices.Index(by, strings.TrimPrefix(name, "="))
			if i < 0 {
				return nil
			}
			return word(v, name, ent[i])
		}
		return &in
	}
	out := *row
	out.avail, out.hold, out.flags = max(out.avail, in.avail), max(out.hold, in.hold), out.flags|in.flags
	return &out
}

func (m *memberSet) emit(ents [][]string, s span) []refRow {
	shared := refRow{start: m.start, end: m.end, rowTS: m.end, ent: ents[0][:len(m.v.By)]}
	for i := range m.rows {
		m.rows[i].group = func(n *lang.Node) value { return m.value(n, i) }
		r := &m.rows[i]
		shared.avail, shared.hold, shared.flags = max(shared.avail, r.avail), max(shared.hold, r.hold), shared.flags|r.flags
	}
	shared.avail = max(shared.avail, m.end+shared.hold)
	if s.closed && m.end > s.last {
		shared.flags |= features.FlagPartial
	}
	for i := range m.rows {
		if m.rows[i].join != nil && m.join == nil && !m.v.Window.Members {
			m.join = m.rows[i].join(&shared, m.end)
		}
	}
	if !m.v.Window.Members {
		shared.vals = m.features(-1)
		return []refRow{shared}
	}
	var rows []refRow
	for i := range m.rows {
		r := shared
		r.ent, r.vals = ents[i], m.features(i)
		rows = append(rows, r)
	}
	return rows
}

func (m *memberSet) features(i int) []value {
	var vals []value
	for _, f := range m.v.Features {
		vals = append(vals, eval(f.Node, func(n *lang.Node) value { return m.value(n, i) }))
	}
	return vals
}

// value is what a leaf means for member i, or for the group when i is -1.
func (m *memberSet) value(n *lang.Node, i int) value {
	switch n.Op {
	case lang.NColumn:
		if i < 0 {
			return m.join(n)
		}
		return m.rows[i].col(m.v.Columns[n.Index].Name)
	case lang.NFeature:
		if !m.v.Window.Members {
			i = -1
		}
		return eval(m.v.Features[n.Index].Node, func(n *lang.Node) value { return m.value(n, i) })
	case lang.NAgg:
		x, known := m.aggs[n.Index]
		if !known {
			x = aggValue(m.v, m.v.Aggs[n.Index], m.rows, nil, m.start, m.end, 0)
			m.aggs[n.Index] = x
		}
		return x
	case lang.NRank:
		return m.rank(n.Args[0], i)
	case lang.NWindowStart:
		return rat(m.start)
	}
	return rat(m.end)
}

func (m *memberSet) rank(x *lang.Node, i int) value {
	vals := make([]value, len(m.rows))
	for k := range m.rows {
		vals[k] = eval(x, func(n *lang.Node) value { return m.value(n, k) })
	}
	before := int64(1)
	for k := range vals {
		c := 0
		switch {
		case vals[k] == nil && vals[i] == nil:
		case vals[k] == nil:
			c = 1
		case vals[i] == nil:
			c = -1
		default:
			c = compareVals(vals[i], vals[k])
		}
		if c < 0 || c == 0 && k < i {
			before++
		}
	}
	return rat(before)
}

var listedSpecs = []string{barsSpec, `
view: listed
version: 1
from: bars
where: trades > 0 and close > 100
by: [market]
window: {latest: symbol, every: 90s, max_age: 4m, emit: members, universe: listed}
features:
  place: rank(notional)
  n: count()
  live: count(close)
  silent: close is null
  part: share(volume)
  price: close
  name: symbol
  up: count(where close > open) / count()
`, `
view: listed_usdt
version: 1
from: quote
where: quote == 'USDT' and exchange != 'alpha'
by: [market]
window: {latest: base, every: 20s, max_age: 1m, universe: listed}
features:
  n: count()
  live: count(bid_price)
  spread: mean(ask_price - bid_price)
  odd: count(where base == 'BTC' and bid_price is null)
`, `
view: listed_10m
version: 1
from: listed
by: [market]
window: {tumbling: 10m}
features:
  rows: count()
  silent: count(where silent)
`}
