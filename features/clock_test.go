package features_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
)

const btcFeatures = "features:\n  btc_volume: sum(quantity)\n  btc_trades: count()\n  ratio: sum(quantity) / btc_trades\n  calm: btc_trades < 3\n"

// clockSpecs are clocks of all kinds and views by their ticks.
var clockSpecs = []string{
	clockBase("btc_whole", "{bar: sum(quantity), size: $n, reset: 1h}", "params:\n  n: {type: decimal, default: 500000000}", btcFeatures),
	clockBase("btc_split", "{bar: sum(prints), size: 3, cut: split, reset: 10m}", btcFeatures),
	clockBase("btc_minutes", "{tumbling: 1m}", btcFeatures),
	clockBase("btc_rolling", "{rolling: 1m, every: 30s}", btcFeatures),
	clockBase("btc_large", "{session: 20s, max: 30m}", btcFeatures),
	`
view: btc_trades
version: 1
from: trade
where: base == 'BTC' and side == buy
by: [exchange]
features:
  paid: price * quantity
`, `
view: alts
version: 1
from: trade
where: base != 'BTC'
by: [exchange, market, base]
window: {clock: btc_whole}
empty: nulls
features:
  trades: count()
  volume: sum(quantity)
  notional: sum(price * quantity)
  btc_volume: clock.btc_volume
  per_btc: trades / btc_volume
  twap: time_mean(price)
  ids: distinct(id)
  length: window_end - window_start
`, `
view: alts_small
version: 1
from: trade
by: [exchange, symbol]
window: {clock: btc_whole, with: {n: 100000000}}
features:
  trades: count()
  last: last(price)
  clocked: clock.btc_trades
  ratio: clock.ratio
`, `
view: by_split
version: 1
from: trade
by: [symbol, exchange]
window: {clock: btc_split}
empty: nulls
features:
  trades: count()
  first: first(price)
  ratio: clock.ratio * 2
  calm: clock.calm
`, `
view: by_minutes
version: 1
from: quote
by: [exchange, symbol]
window: {clock: btc_minutes, reset: 2h}
empty: nulls
features:
  quotes: count()
  bid: last(bid_price)
  ratio: clock.ratio
`, `
view: by_rolling
version: 1
from: trade
by: [exchange, symbol]
window: {clock: btc_rolling}
features:
  trades: count()
`, `
view: by_sessions
version: 1
from: trade
by: [exchange, symbol]
window: {clock: btc_large}
empty: nulls
features:
  trades: count()
`, `
view: by_trades
version: 1
from: quote
by: [exchange, symbol]
window: {clock: btc_trades, reset: 10m}
features:
  quotes: count()
  paid: clock.paid
`, `
view: bars_by_clock
version: 1
from: alts
by: [exchange, base]
window: {clock: btc_split}
features:
  rows: count()
  volume: sum(volume)
  per: max(per_btc)
`, `
view: scanned_by_clock
version: 1
from: trade
by: [exchange, symbol]
window: {clock: btc_minutes}
reset: 30m
let:
  r: ln(price / prev(price, within=3m))
features:
  rv: sum(r * r)
  n: last(cum(1))
  before: first(prev(price))
  quick: count(where ts - prev(ts) < 1s)
`, `
view: joined_by_clock
version: 1
from: trade
where: side == buy or q.bid_price is not null
by: [exchange, symbol]
window: {clock: btc_split}
empty: nulls
join:
  q: {view: quote, on: [exchange, symbol], match: asof, max_age: 40s}
  m: {view: btc_minutes, on: [exchange], match: asof, max_age: 3m, where: calm}
let:
  above: price - (q.bid_price + q.ask_price) / 2
features:
  paid: sum(above * quantity)
  n: count(above)
  slow: max(ts - q.ts)
  step: last(q.bid_price - prev(q.bid_price, within=2m))
  bid: q.bid_price
  rel: last(price) / q.ask_price
  per_minute: m.btc_volume
  ratio: m.ratio
  ticked: clock.btc_trades
`, `
view: bars_joined_by_clock
version: 1
from: alts
by: [exchange, base]
window: {clock: btc_minutes}
join:
  m: {view: btc_minutes, on: [exchange], match: exact}
  s: {view: btc_split, on: [exchange], match: asof, max_age: 5m, strict: true}
features:
  volume: sum(volume * m.btc_trades)
  rows: count(s.ratio)
  last: s.ratio
`, `
view: union_by_clock
version: 1
from: {a: trade, b: quote, c: trade}
where: a.side == buy or b.bid_price is not null or c.price > 200
by: [exchange, base]
window: {clock: btc_whole}
empty: nulls
join:
  q: {view: quote, on: [exchange, symbol], match: asof, max_age: 20s}
features:
  n: count()
  bought: sum(a.quantity)
  again: count(c.ts)
  quotes: count(b.ts)
  last: last(coalesce(c.price, b.ask_price))
  lag: max(ts - q.ts)
  step: max(a.price - prev(a.price, within=1m))
  ticked: clock.btc_trades
`, `
view: union_by_trades
version: 1
from: {mine: trade, again: trade}
by: [exchange, symbol]
window: {clock: btc_split}
features:
  n: count()
  mine: sum(mine.prints)
  twice: sum(again.prints)
`, `
view: over_clocked
version: 1
from: alts
by: [exchange]
window: {tumbling: 10m}
features:
  rows: count()
  trades: sum(trades)
`}

// Views by ticks give the rows of the reference, however the input is driven.
func TestClock_MatchesReference(t *testing.T) {
	r := newRig(t, clockSpecs...)
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, 150).Draw(rt, "n")
		events := r.events(seed, n)
		r.inOrder(events)
		last := events[n-1].ts + rapid.SampledFrom([]int64{0, 1, 30_000_000, 5_000_000_000}).Draw(rt, "silence")
		want := r.want(r.world.run(r.views, exact(events), span{closed: true, last: last}), 0)
		for _, h := range []how{{batch: 1, restore: true}, {batch: 20, restore: true}, {batch: 1000}} {
			h.seed, h.last, h.shards = seed, last, 1
			r.same(fmt.Sprintf("seed %d n %d %+v", seed, n, h), r.drive(events, h), want)
		}
		mark := events[rapid.IntRange(0, n-1).Draw(rt, "mark")].ts
		var before []*event
		for _, e := range events {
			if e.ts < mark {
				before = append(before, e)
			}
		}
		if len(before) > 0 {
			want := r.want(r.world.run(r.views, exact(before), span{mark: mark}), 0)
			h := how{batch: 5, shards: 1, restore: true, seed: seed, mark: mark}
			r.same(fmt.Sprintf("seed %d n %d %+v", seed, n, h), r.drive(before, h), want)
		}
	})
}

// The snapshot is a function of input and marks, not of the calls in between.
func TestClock_SnapshotIsOfInputAlone(t *testing.T) {
	r := newRig(t, clockSpecs...)
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(2, 150).Draw(rt, "n")
		events := r.events(seed, n)
		r.inOrder(events)
		mark := events[rapid.IntRange(0, n-1).Draw(rt, "mark")].ts
		if string(r.snapshot(events, mark, 1, 1)) != string(r.snapshot(events, mark, 50, 2)) {
			rt.Fatal("states differ")
		}
	})
}

const clockPair = `
view: clock
version: 1
from: trade
where: base == 'BTC'
by: [exchange]
params:
  n: {type: decimal, default: 10}
window: {bar: sum(quantity), size: $n, cut: %s, reset: 1d}
features:
  volume: sum(quantity)
`

const memberOf = `
view: member
version: 1
from: trade
by: [exchange, symbol]
window: {clock: clock}
empty: nulls
features:
  trades: count()
  ids: decimal(sum(quantity), 3)
  clocked: clock.volume
`

func lines(rows []outRow, base int64) (s string) {
	for _, row := range rows {
		s += fmt.Sprintln(row.ent[1], row.ts-base, row.vals)
	}
	return s
}

// A tick stands right after the row that made it: of rows at its very instant those with
// a smaller key are before it, the others after, and the trigger is in what it ends.
func TestClock_EqualTimes(t *testing.T) {
	r := newRig(t, fmt.Sprintf(clockPair, "whole"), memberOf)
	ts := int64(1_700_000_000) * market.Second
	// Instruments 0 (BTC-USD) and 2 (ETH-USD) of kraken have rising permanent numbers or
	// not; the order says which trade is first.
	events := []*event{
		simpleTrade(2, ts, 5, 1_000, 1),
		simpleTrade(0, ts+7, 5, 25_000, 1), // twice the size: one tick
		simpleTrade(2, ts+7, 5, 2_000, 1),
		simpleTrade(2, ts+8, 5, 4_000, 1),
		simpleTrade(0, ts+9, 5, 10_000, 1),
	}
	for i, e := range events {
		e.seq = uint64(i)
	}
	r.inOrder(events)
	closed, _ := r.rowsOf(events, ts+9)
	before := r.world.order(events[1]).compare(r.world.order(events[2])) < 0 && events[1].inst == 2
	want := "BTC-USD 7 [1 25000 25]\nETH-USD 7 [1 1000 25]\nBTC-USD 9 [1 10000 10]\nETH-USD 9 [2 6000 10]\n"
	if before {
		want = "BTC-USD 7 [1 25000 25]\nETH-USD 7 [2 3000 25]\nBTC-USD 9 [1 10000 10]\nETH-USD 9 [1 4000 10]\n"
	}
	if got := lines(closed[1], ts); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A trigger that fills two bars ticks twice at one key: a full interval and an empty one.
// A member that is silent gives rows of nulls until the reset has passed since its last row.
func TestClock_TwoTicksAndSilence(t *testing.T) {
	r := newRig(t, fmt.Sprintf(clockPair, "split"), memberOf)
	ts := int64(1_700_006_400) * market.Second
	closed, peeked := r.rowsOf([]*event{
		simpleTrade(2, ts, 5, 1_000, 1),
		simpleTrade(0, ts+7, 5, 25_000, 1),
		simpleTrade(0, ts+market.Day-1, 5, 5_000, 1),
		simpleTrade(0, ts+market.Day+8, 5, 10_000, 1),
		simpleTrade(2, ts+market.Day+9, 5, 500, 1),
	}, ts+market.Day+9)
	got := ""
	for _, row := range closed[1] {
		if row.ent[1] == "ETH-USD" {
			got += fmt.Sprintln(row.ts-ts, row.vals)
		}
	}
	day := market.Day
	want := fmt.Sprintf("7 [1 1000 10]\n7 [0 0 10]\n%d [0 0 10]\n", day-1)
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if a, b := len(closed[1]), len(peeked[1]); b != a+1 {
		t.Errorf("%d rows, %d with the open intervals", a, b)
	}
}

// Every row of a member is in one interval, the open one included.
func TestClock_IntervalsPartition(t *testing.T) {
	r := newRig(t, fmt.Sprintf(clockPair, "whole"), memberOf, `
view: other
version: 1
from: trade
by: [exchange, symbol]
window: {clock: clock, with: {n: 3.5}}
features:
  trades: count()
  ids: decimal(sum(quantity), 3)
`)
	if n := len(r.plan.Outputs()); n != 4 || r.plan.Outputs()[2].Name != "clock(n=3.5)" {
		t.Fatalf("%d views, %v", n, r.plan.Outputs())
	}
	var events []*event
	ts := int64(1_700_000_000) * market.Second
	total := map[string]int64{}
	for i := range int64(3000) {
		ts += (i * 7919 % 97) * market.Second
		inst := int(i * i % 7 / 3 * 2 % 4) // 0 and 2
		q := 1 + i*i*31%5000
		events = append(events, simpleTrade(inst, ts, 100, q, 1))
		total[r.world.insts[inst].Symbol] += q
	}
	_, peeked := r.rowsOf(events, ts)
	for _, v := range []int{1, 3} {
		sum, ticked := map[string]int64{}, 0
		for _, row := range peeked[v] {
			var x int64
			if _, err := fmt.Sscan(row.vals[1].(string), &x); err != nil {
				t.Fatal(err)
			}
			sum[row.ent[1]] += x
			if v == 1 && row.vals[2] != nil {
				ticked++
			}
		}
		if fmt.Sprint(sum) != fmt.Sprint(total) {
			t.Errorf("view %d holds %v, the events %v", v, sum, total)
		}
		if v == 1 && ticked < 500 {
			t.Errorf("%d rows of ticks", ticked)
		}
	}
}
