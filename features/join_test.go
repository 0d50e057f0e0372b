package features_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
)

var joinSpecs = map[string][]string{
	// Rows of events joined with events of another kind, on coarser keys, with a filter.
	"rows of events": {`
view: slippage
version: 1
from: trade
where: side != unknown or q.ask_price > 40000
by: [exchange, market, symbol]
join:
  q: {view: quote, on: [exchange, symbol], match: asof, max_age: 20s, where: bid_price is not null}
  any: {view: quote, on: [base], match: asof, max_age: 7s, strict: true}
  now: {view: quote, on: [exchange, market, symbol], match: exact}
features:
  slip: if(side == buy, price - q.ask_price, q.bid_price - price)
  age: ts - q.ts
  far: any.bid_price
  far_age: ts - any.ts
  at_once: now.ask_price
  id2: id
`, `
view: slip_1m
version: 1
from: slippage
by: [symbol]
window: {tumbling: 1m}
features:
  worst: max(slip)
  n: count(slip)
`},
	// Windows with joins among their rows and at the time of their row.
	"windows": {`
view: against
version: 1
from: trade
by: [exchange, market, symbol]
window: {tumbling: 10s, carry: 20s}
empty: nulls
join:
  q: {view: quote, on: [exchange, market, symbol], match: asof, max_age: 1m}
  bar: {view: quote_10s, on: [symbol], match: asof, max_age: 30s}
let:
  mid: (q.bid_price + q.ask_price) / 2
features:
  close: last(price)
  above: count(where price > mid)
  gap: sum(price - mid)
  lag: max(ts - q.ts)
  was: bar.mid
  n: bar.quotes
  rel: close / bar.mid - 1
`, `
view: quote_10s
version: 1
from: quote
by: [exchange, market, symbol]
window: {rolling: 10s, every: 5s}
features:
  mid: (last(bid_price) + last(ask_price)) / 2
  skew: last(bid_price) / last(ask_price)
  quotes: count()
`},
	// Several kinds, one of them twice, in the total order.
	"unions": {`
view: both
version: 1
from: {a: trade, b: quote, c: trade}
where: a.price > 200 or b.bid_price is not null or c.side == buy and exchange != 'alpha'
by: [market, base]
window: {rolling: 20s, every: 5s}
join:
  q: {view: quote, on: [exchange, symbol], match: asof, max_age: 9s, strict: true}
features:
  n: count()
  trades: count(a.price)
  again: count(c.ts)
  quotes: count(b.ts)
  last_price: last(a.price)
  last_any: last(coalesce(a.price, b.bid_price))
  bought: sum(c.quantity where c.side == buy)
  ids: distinct(a.id)
  places: distinct(a.market)
  lag: max(ts - q.ts)
`, `
view: each_row
version: 1
from: {a: trade, b: quote}
by: [exchange, market, symbol]
let:
  mark: coalesce(a.price, b.bid_price)
features:
  is_trade: a.ts is not null
  price: mark
  step: mark - prev(mark, within=1m)
  word: a.side
  base_of: b.base
`},
	// Views among the inputs of a union, one of them twice, beside events.
	"unions of views": {barsSpec, `
view: spreads
version: 1
from: quote
by: [exchange, market, symbol]
window: {rolling: 10s, every: 5s}
features:
  spread: last(ask_price) / last(bid_price)
  top: max(ask_price)
  wide: top > 100
  leader: last(exchange)
`, `
view: all_of
version: 1
from: {b: bars, s: spreads, t: trade, again: bars}
where: b.close > 10 or s.spread is not null or t.price > 100 or again.trades > 1
by: [market, base]
window: {tumbling: 1m}
join:
  q: {view: quote, on: [exchange, symbol], match: asof, max_age: 9s, strict: true}
features:
  n: count()
  bars: count(b.close)
  twice: count(again.close)
  trades: count(t.price)
  last: last(coalesce(b.close, t.price))
  spread: max(s.spread)
  wide: count(where s.wide)
  first_at: first(ts)
  places: distinct(s.market)
  vwap: max(b.vwap)
  lag: max(ts - q.ts)
`, `
view: each_row
version: 1
from: {s: spreads, b: bars}
by: [exchange, market, symbol]
let:
  mark: coalesce(s.top, b.close)
features:
  is_bar: b.ts is not null
  step: mark - prev(mark, within=10m)
  who: s.leader
  start: b.window_start
`},
	// Scans over what rows join: they step when the rows are complete.
	"scans": {barsSpec, `
view: beside
version: 1
from: bars
by: [exchange, market, symbol]
reset: 1h
join:
  m: {view: bars, on: [base], match: asof, max_age: 2m}
let:
  r: ln(close / prev(close, within=1h))
  rm: ln(m.close / prev(m.close, within=1h))
features:
  excess: r - rm
  smooth: ema(m.close, 3)
  total: cum(m.volume)
`, `
view: beside_5m
version: 1
from: trade
by: [exchange, market, symbol]
window: {tumbling: 5m}
join:
  q: {view: quote, on: [exchange, market, symbol], match: asof, max_age: 1m}
let:
  step: q.bid_price - prev(q.bid_price, within=10m)
features:
  up: count(where step > 0)
  moved: sum(step)
`},
	// Members joined as of their own rows, groups as of the points of the grid.
	"latest": {barsSpec, `
view: fair
version: 1
from: quote
where: bid_price is null or bid_price > 10
by: [market, base]
window: {latest: exchange, every: 3s, max_age: 9s}
join:
  t: {view: trade, on: [exchange, market, base], match: asof, max_age: 20s}
  now: {view: trade, on: [market, base], match: asof, max_age: 12s, strict: true, where: quantity > 0}
  bar: {view: bars, on: [market, base], match: asof, max_age: 5m}
let:
  off: bid_price - t.price
features:
  n: count()
  known: count(off)
  wide: max(off)
  lag: max(ts - t.ts)
  last: now.price
  age: window_end - now.ts
  above: count(where bid_price > last)
  far: count(where abs(off) > spread)
  spread: max(ask_price - bid_price)
  close: bar.close
  below: count(where t.price < bar.close)
`, `
view: beside
version: 1
from: bars
by: [market]
window: {latest: base, every: 90s, max_age: 4m, emit: members, universe: listed}
join:
  q: {view: quote, on: [market, base], match: asof, max_age: 1m}
  f: {view: fair, on: [market, base], match: asof, max_age: 30s}
features:
  rel: close - q.bid_price
  place: rank(close - q.bid_price)
  venues: f.n
  known: count(q.bid_price)
  mean: mean(f.wide)
`, `
view: beside_5m
version: 1
from: beside
by: [market, base]
window: {tumbling: 5m}
features:
  n: count(rel)
  best: min(place)
`},
	// A view with itself, and a row view of rows with two joins.
	"views": {barsSpec, `
view: pairs
version: 1
from: bars
where: b.vwap > 0
by: [exchange, base, quote]
join:
  b: {view: bars, on: [base], match: asof, max_age: 3m, strict: true}
  same: {view: bars, on: [exchange, market, symbol], match: exact}
  f: {view: quote, on: [exchange, symbol], match: asof, max_age: 9h, where: ask_price > bid_price}
features:
  rel: vwap / b.vwap
  same_vwap: same.vwap - vwap
  known: same.trades == trades
  age: ts - b.ts
  quote_age: ts - f.ts
  bid: f.bid_price
`, `
view: rel_5m
version: 1
from: pairs
by: [base]
window: {rolling: 5m, every: 1m}
join:
  p: {view: pairs, on: [exchange, base, quote], match: asof, max_age: 4m, strict: true}
features:
  n: count(where rel > p.rel)
  ages: sum(age)
  both: count(p.age)
`},
}

// specsOf are the specs of a test by name.
func specsOf(name string) []string {
	if s, ok := joinSpecs[name]; ok {
		return s
	}
	return engineSpecs[name]
}

func joinNames() []string {
	return []string{"latest", "rows of events", "scans", "unions", "unions of views", "views", "windows"}
}

// The engine gives what a search through all joined rows gives.
func TestJoin_MatchesReference(t *testing.T) {
	for _, name := range joinNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, joinSpecs[name]...)
			rapid.Check(t, func(rt *rapid.T) {
				seed := rapid.Uint64().Draw(rt, "seed")
				n := rapid.IntRange(1, 200).Draw(rt, "n")
				events := r.events(seed, n)
				h := how{batch: rapid.SampledFrom([]int{1, 5, 300}).Draw(rt, "batch"), shards: 1, seed: seed, last: events[n-1].ts}
				h.restore = rapid.Bool().Draw(rt, "restore")
				if rapid.Bool().Draw(rt, "late start") {
					h.from = events[n/2].ts
				}
				if rapid.Bool().Draw(rt, "by mark") {
					h.mark = events[n-1].ts + 1 + int64(seed%uint64(200e6))
				}
				ref := r.world.run(r.views, exact(events), span{mark: h.mark, closed: h.mark == 0, last: h.last})
				r.same(fmt.Sprintf("%+v", h), r.drive(events, h), r.want(ref, h.from))
			})
		})
	}
}

// I1: batches, shards that keep keys together, restarts and marks of the two kinds that lie
// apart never show.
func TestJoin_SameRowsHoweverDriven(t *testing.T) {
	for _, name := range joinNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, joinSpecs[name]...)
			rapid.Check(t, func(rt *rapid.T) {
				seed := rapid.Uint64().Draw(rt, "seed")
				n := rapid.IntRange(1, 500).Draw(rt, "n")
				events := r.events(seed, n)
				base := how{batch: 4096, shards: 1, seed: seed, last: events[n-1].ts}
				if rapid.Bool().Draw(rt, "by mark") {
					base.mark = events[n-1].ts + 1 + int64(seed%uint64(200e6))
				}
				want := r.drive(events, base)
				h := base
				h.batch = rapid.SampledFrom([]int{1, 7, 40}).Draw(rt, "batch")
				h.restore = rapid.Bool().Draw(rt, "restore")
				h.uneven = rapid.Bool().Draw(rt, "uneven")
				h.shards = rapid.SampledFrom([]int{1, 2, 7}).Draw(rt, "shards")
				r.same(fmt.Sprintf("%+v", h), r.drive(events, h), want)
			})
		})
	}
}

// A view waits for the slowest of its inputs, and the task can be rebuilt from there.
func TestJoin_WaitsForTheSlowestInput(t *testing.T) {
	r := newRig(t, joinSpecs["rows of events"]...)
	at := int64(1_700_000_000) * market.Second
	task := r.plan.NewTask(r.insts, 0)
	var out features.Rows
	marks := noMarks()
	for i := range int64(5) {
		if err := task.Push(r.batch(trade(at+i*market.Second, 100))); err != nil {
			t.Fatal(err)
		}
	}
	advance := func(trades, quotes int64) int {
		t.Helper()
		marks[market.KindTrade], marks[market.KindQuote] = trades, quotes
		out.Reset()
		if err := task.Advance(&marks, &out); err != nil {
			t.Fatal(err)
		}
		return out.Views[0].Len()
	}
	if n := advance(at+5*market.Second, market.NoTime); n != 0 {
		t.Errorf("%d rows before quotes are complete to anywhere", n)
	}
	if n := advance(at+5*market.Second, at+3*market.Second); n != 3 {
		t.Errorf("%d rows with quotes complete below 3 s, want 3", n)
	}
	if old := task.OldestNeeded(market.KindTrade); old != at { // the view looks back 20 s
		t.Errorf("trades are needed from %d s", (old-at)/market.Second)
	}
	if n := advance(at+5*market.Second, at+9*market.Second); n != 2 {
		t.Errorf("%d rows with all complete, want 2", n)
	}
}

// What no row can match any more is dropped: the state does not grow with the input.
func TestJoin_KeepsWhatMayBeMatched(t *testing.T) {
	r := newRig(t, joinSpecs["rows of events"]...)
	task := r.plan.NewTask(r.insts, 0)
	var out features.Rows
	size := 0
	for i := range int64(3000) {
		at := (1_700_000_000 + i) * market.Second
		q := &event{kind: market.KindQuote, ts: at, ingest: at, feed: 7, cols: map[string]value{
			"bid_price": decCell{100, 1}, "ask_price": decCell{101, 1}, "bid_quantity": decCell{1, 0}, "ask_quantity": decCell{1, 0}}}
		if err := task.Push(r.batch(q)); err != nil {
			t.Fatal(err)
		}
		marks := noMarks()
		marks[market.KindTrade], marks[market.KindQuote] = at, at
		if err := task.Advance(&marks, &out); err != nil {
			t.Fatal(err)
		}
		if i == 100 {
			size = len(task.AppendSnapshot(nil))
		}
	}
	if n := len(task.AppendSnapshot(nil)); n != size {
		t.Errorf("snapshot has %d bytes after 3000 quotes, %d after 100", n, size)
	}
	if n := task.JoinWords(); n > 20_000 {
		t.Errorf("%d words are kept", n)
	}
}

func noMarks() (m [market.NumKinds]int64) {
	for k := range m {
		m[k] = market.NoTime
	}
	return m
}

// Each kind is read as far back as it is felt: older events of it change nothing, though
// another kind is read further back.
func TestJoin_LookbackByKind(t *testing.T) {
	for _, name := range joinNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, joinSpecs[name]...)
			back := map[market.Kind]int64{}
			for _, in := range r.plan.Inputs() {
				back[in.Kind] = in.Lookback
			}
			rapid.Check(t, func(rt *rapid.T) {
				seed := rapid.Uint64().Draw(rt, "seed")
				n := rapid.IntRange(2, 300).Draw(rt, "n")
				events := r.events(seed, n)
				from := events[rapid.IntRange(0, n-1).Draw(rt, "from")].ts
				h := how{batch: 50, shards: 1, seed: seed, last: events[n-1].ts, from: from}
				var near []*event
				for _, e := range events {
					if e.ts >= from-back[e.kind] {
						near = append(near, e)
					}
				}
				if len(near) > 0 {
					r.same(fmt.Sprintf("%+v", h), r.drive(near, h), r.drive(events, h))
				}
			})
		})
	}
}
