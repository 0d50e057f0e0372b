package features_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// barSpecs are windows that begin with a row, and views over them.
var barSpecs = []string{`
view: ticks
version: 1
from: trade
by: [exchange, symbol]
window: {bar: count(), size: 7, reset: 10m}
features:
  open: first(price)
  close: last(price)
  high: max(price)
  volume: sum(quantity)
  trades: count()
  buys: sum(quantity where side == buy)
  twap: time_mean(price)
  span: window_end - window_start
`, `
view: volume_bars
version: 1
from: trade
by: [symbol]
params:
  size: {type: decimal, default: 500000000.25}
window: {bar: sum(quantity), size: $size, reset: 1h}
features:
  open: first(price)
  low: min(price)
  volume: sum(quantity)
  notional: sum(price * quantity)
  vwap: notional / volume
  ids: distinct(id)
  trades: count()
`, `
view: dollars
version: 1
from: trade
where: side != sell
by: [symbol, market]
window: {bar: sum(price * quantity), size: 1000000000000.125, reset: 1d}
features:
  notional: sum(price * quantity)
  p: quantile(quantity, 0.5, approx=0.01)
  last: last(price)
`, `
view: imbalance
version: 1
from: trade
by: [exchange, symbol]
let:
  s: if(side == buy, prints, if(side == sell, -prints, 0))
window: {bar: abs(sum(s)) + 0.5 * count(where side == unknown), size: 4, reset: 5m}
features:
  net: sum(s)
  trades: count()
  close: last(price)
`, `
view: spans
version: 1
from: quote
by: [exchange, symbol]
window: {bar: last(ts) - first(ts), size: 9s, reset: 30m}
features:
  bid: last(bid_price)
  mid: mean(bid_price + ask_price)
  kinds: distinct(bid_price)
  n: count(bid_price)
`, `
view: many
version: 1
from: trade
by: [symbol]
window: {bar: distinct(id) + max(prints) / 7, size: 5, reset: 1d}
features:
  n: count()
`, `
view: bursts
version: 1
from: trade
by: [exchange, symbol]
window: {session: 3s, max: 2m}
features:
  open: first(price)
  close: last(price)
  volume: sum(quantity)
  twap: time_mean(price)
  ids: distinct(id)
  trades: count()
`, `
view: over_bars
version: 1
from: ticks
by: [symbol]
window: {tumbling: 1m}
features:
  bars: count()
  volume: sum(volume)
  high: max(high)
  closed: last(close)
`, `
view: bars_of_bars
version: 1
from: ticks
where: trades == 7
by: [exchange, symbol]
window: {bar: sum(trades), size: 14, reset: 1h}
features:
  volume: sum(volume)
  from: first(window_start)
  bars: count()
`, `
view: rows_of_bars
version: 1
from: volume_bars
by: [symbol]
features:
  ratio: decimal(vwap / low, 6)
  length: window_end - window_start
`, `
view: buckets
version: 1
from: trade
where: quantity < 2000000000
by: [symbol]
window: {bar: sum(quantity), size: 100000000.25, cut: split, reset: 10m}
features:
  first: first(quantity)
  largest: max(quantity)
  volume: sum(quantity)
  buys: sum(quantity where side == buy)
  sells: sum(quantity where side == sell)
  notional: sum(price * quantity)
  high: max(price)
  parts: count()
  sizes: distinct(quantity)
`, `
view: huge
version: 1
from: trade
by: [exchange, symbol]
window: {bar: sum(quantity), size: 1000000000000000000, cut: split, reset: 1d}
features:
  largest: max(quantity)
  volume: sum(quantity)
  notional: sum(price * quantity)
`, `
view: bucket_rows
version: 1
from: buckets
by: [symbol]
features:
  share: abs(buys - sells) / volume
`, `
view: prints
version: 1
from: trade
by: [exchange, symbol]
window: {bar: sum(prints), size: 5, cut: split, reset: 1h}
features:
  prints: sum(prints)
  parts: count()
  last: last(price)
`, `
view: bucket_bars
version: 1
from: buckets
by: [symbol]
window: {bar: sum(buys), size: 150000000.25, cut: split, reset: 1d}
features:
  buys: sum(buys)
  sells: sum(sells)
  parts: count()
`, `
view: sessions_of_bars
version: 1
from: ticks
by: [exchange, symbol]
window: {session: 40s, max: 1h}
features:
  bars: count()
  volume: sum(volume)
`, `
view: scanned_bars
version: 1
from: trade
where: side != unknown
by: [exchange, symbol]
window: {bar: sum(abs(prints - prev(prints))) + count(), size: 5, reset: 30m}
reset: 20m
warmup: 5m
let:
  r: ln(price / prev(price))
features:
  moved: sum(abs(price - prev(price)))
  rv: sum(r * r)
  smooth: last(ema(price, 3))
  total: max(cum(quantity))
  heat: max(decay_sum(1, halflife=5s) where prev(side) == sell)
  trades: count()
  steps: count(r)
`, `
view: scanned_sessions
version: 1
from: trade
by: [symbol]
window: {session: 15s, max: 10m}
reset: never
features:
  from_before: first(price - prev(price, within=30s))
  quiet: max(since(side == buy, within=1m))
  n: last(cum(1))
`, `
view: scanned_bars_of_bars
version: 1
from: ticks
by: [exchange, symbol]
window: {bar: count(), size: 2, reset: 1h}
features:
  up: count(where close > prev(close))
  run: last(since(high > prev(high)))
`}

// Bars and sessions give the rows of the reference, however the input is driven.
func TestBars_MatchReference(t *testing.T) {
	r := newRig(t, barSpecs...)
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, 110).Draw(rt, "n")
		events := r.events(seed, n)
		last := events[n-1].ts + rapid.SampledFrom([]int64{0, 1, 30_000_000, 5_000_000_000}).Draw(rt, "silence")
		want := r.want(r.world.run(r.views, exact(events), span{closed: true, last: last}), 0)
		for _, h := range []how{
			{batch: 1, shards: 1, restore: true}, {batch: 20, shards: 1, restore: true}, {batch: 1000, shards: 2}, {batch: 7, shards: 3, restore: true},
		} {
			h.seed, h.last = seed, last
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

// Bars and sessions of held rows are those of rows folded at once.
func TestBars_HeldRows(t *testing.T) {
	r := newRig(t, barSpecs...)
	other := *r
	other.plan = holdAll(t, r.world.feeds, barSpecs...)
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, 100).Draw(rt, "n")
		events := r.events(seed, n)
		h := how{batch: 7, shards: 1, restore: rapid.Bool().Draw(rt, "restore"), seed: seed, last: events[n-1].ts}
		r.same(fmt.Sprintf("%+v", h), other.drive(events, h), r.drive(events, h))
	})
}

// The ends of bars found on columns are those found row by row.
func TestBars_MatchPlainFolds(t *testing.T) {
	r := newRig(t, barSpecs...)
	wild := newRig(t, `
view: q
version: 1
from: trade
by: [symbol]
window: {bar: sum(quantity), size: 900000000.5, reset: 1d}
features:
  volume: sum(quantity)
  n: count()
`, `
view: pq
version: 1
from: trade
by: [exchange, symbol]
window: {bar: sum(quantity * price), size: 9000000000000000000, reset: 1m}
features:
  notional: sum(price * quantity)
  n: count()
`, `
view: small
version: 1
from: trade
by: [symbol]
window: {bar: sum(price * quantity), size: 0.000000000000000001, reset: 1m}
features:
  n: count()
`, `
view: odd
version: 1
from: trade
by: [symbol]
window: {bar: count(), size: 9.5, reset: 1m}
features:
  last: last(price)
`)
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, 600).Draw(rt, "n")
		for _, r := range []*rig{r, wild} {
			plain := *r
			plain.plan = r.plan.Plain()
			events := r.twinEvents(seed, n)
			mark := events[rapid.IntRange(0, n-1).Draw(rt, "mark")].ts
			size := rapid.SampledFrom([]int{1, 50, 5000}).Draw(rt, "batch")
			if a, b := r.snapshot(events, mark, size, 1), plain.snapshot(events, mark, size, 1); string(a) != string(b) {
				rt.Fatal("states differ")
			}
			h := how{batch: size, shards: 1, seed: seed, last: events[n-1].ts}
			r.same(fmt.Sprintf("seed %d n %d %+v", seed, n, h), r.drive(events, h), plain.drive(events, h))
		}
	})
}
