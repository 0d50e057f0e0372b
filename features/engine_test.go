package features_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

const barsSpec = `
view: bars
version: 1
from: trade
by: [exchange, market, symbol]
window: {tumbling: 1m}
features:
  open: first(price)
  high: max(price)
  low: min(price)
  close: last(price)
  volume: sum(quantity)
  notional: sum(price * quantity)
  vwap: notional / volume
  trades: count()
  taker_buy: sum(quantity where side == buy)
  taker_sell: sum(quantity where side == sell)
  imbalance: (taker_buy - taker_sell) / (taker_buy + taker_sell)
  exact: decimal(vwap, 6)
`

var engineSpecs = map[string][]string{
	"across":  acrossSpecs,
	"members": membersSpecs,
	"ingest":  ingestSpecs,
	"listed":  listedSpecs,
	"bars": {barsSpec, `
view: bars_1h
version: 1
from: bars
by: [exchange, market, symbol]
window: {tumbling: 1h}
rollup: all
`},
	"direct": {`
view: direct
version: 1
from: trade
by: [exchange, market, symbol]
window: {tumbling: 1h}
features:
  trades: count()
`},
	"flat": {`
view: flat
version: 1
from: trade
where: side != unknown or quantity > 1000
by: [exchange, market, symbol]
window: {tumbling: 10s, carry: 45s, origin: 2000-01-01T00:00:03Z}
empty: flat
features:
  open: first(price)
  close: last(price where side == buy)
  range: max(price) - min(price)
  mean: mean(price)
  n: count()
  buys: count(where side == buy)
  vol: sum(quantity)
  vwap: sum(price * quantity) / vol
  spread: std(price)
  twap: time_mean(price)
  kinds: distinct(side)
  ids: distinct(id)
  known: count(id)
  age: window_end - last(ts)
  word: last(side)
`, `
view: flat_1m
version: 1
from: flat
by: [exchange, market, symbol]
window: {tumbling: 1m, carry: 2m, origin: 2000-01-01T00:00:03Z}
empty: nulls
rollup: all
`},
	"quotes": {`
view: quotes
version: 1
from: quote
by: [market, symbol]
window: {tumbling: 5s, carry: 20s}
empty: nulls
let:
  mid: (bid_price + ask_price) / 2
features:
  last_mid: last(mid)
  hi: max(mid)
  lo: min(ask_price - bid_price)
  ratio: max(bid_price / ask_price)
  twm: time_mean(mid)
  lone: count(where bid_price is null or ask_price is null)
  both: count(mid)
  v: var(bid_price)
  sd: std(mid, ddof=0)
  lnr: ln(last(bid_price) / first(bid_price))
  odd: if(both > 3, coalesce(last_mid, 0), null)
  delay: mean(ingest_ts - event_ts)
  r3: round(hi, 1)
  fl: floor(twm / 7)
  cl: clamp(lo, -5, 100.5)
  up: hi > lo and not lone > 2
  sq: sqrt(abs(lo))
  dd: decimal(twm, 4)
`},
	"rolling": {`
view: roll
version: 1
from: trade
by: [symbol]
window: {rolling: 30s, every: 4s}
features:
  open: first(price)
  close: last(price)
  high: max(price)
  low: min(price)
  vol: sum(quantity)
  n: count()
  twap: time_mean(price)
  ids: distinct(id)
  m: mean(quantity)
  sd: std(price)
  p50: quantile(price, 0.5, approx=0.01)
  p99: quantile(quantity, 0.99, approx=0.001)
`, `
view: roll_flat
version: 1
from: trade
where: base == 'BTC' or exchange in ('alpha', 'kraken')
by: [exchange, symbol]
window: {rolling: 10m, every: 5m}
empty: flat
features:
  close: last(price)
  low: min(price)
  n: count()
  vol: sum(quantity)
  mean: mean(price)
  twap: time_mean(price)
`},
	"chain": {barsSpec, `
view: trend
version: 1
from: bars
where: trades > 1 and close is not null
by: [market, symbol]
window: {rolling: 5m, every: 1m}
empty: nulls
let:
  r: ln(close / open)
features:
  ret: last(close) / first(open) - 1
  vw: sum(notional) / sum(volume)
  vwap_hi: max(vwap)
  vwap_last: last(vwap)
  rv: sum(r)
  rm: mean(r)
  rs: std(r)
  bars: count()
  flow: sum(taker_buy - taker_sell)
  when: last(window_end)
  sd: std(close)
`, `
view: signal
version: 1
from: trend
where: bars >= 2
by: [symbol]
features:
  x: ret * 10000
  y: if(ret > 0, vw, -vw)
  hot: ret > 0.5 or rs > 1
  z: rs / (rs + 1)
  w: min_of(vwap_hi, vw)
  since: window_end - when
`, `
view: last_signal
version: 1
from: signal
by: [symbol]
window: {tumbling: 10m}
features:
  x: last(x)
  y: max(y)
  n: count()
  hots: count(where hot)
`, `
view: bars_1h
version: 1
from: bars
by: [exchange, market, symbol]
window: {tumbling: 1h}
rollup: all
`},
	"rows": {`
view: flags
version: 1
from: trade
where: market == spot or prints > 1
by: [exchange, market, symbol]
features:
  signed: if(side == buy, quantity, if(side == sell, -quantity, 0))
  value: price * quantity
  big: price * quantity >= 100000
  id2: id
  which: side
  number: seq
  delay: ingest_ts - event_ts
  from_feed: feed
  m: prints % 2
`, `
view: flow
version: 1
from: flags
by: [symbol]
window: {tumbling: 1m}
features:
  net: sum(signed)
  top: max(value)
  bigs: count(where big)
  ids: distinct(id2)
`},
	"scans": {`
view: returns
version: 1
from: trade
where: side != unknown or prints > 1
by: [exchange, symbol]
reset: 10m
warmup: 3m
let:
  r: price / prev(price) - 1
features:
  back: prev(price, 3, within=2m)
  change: price - prev(price)
  up: prev(price > 50000)
  taker: prev(side)
  ret: r
  old_ret: prev(r, within=90s)
  volume: cum(quantity)
  volume_before: prev(volume, 2)
  quiet: since(side == buy, within=5m)
  mean: ema(price, 3)
  twice: ema(mean, 2)
  smooth: wilder(abs(r), 4)
  level: ewm(price, halflife=20s)
  heat: decay_sum(1, 7s)
  grown: exp(ln(price / prev(price)))
  strength: rsi(price, 3)
  trend: macd(price, 2, 4)
`, `
view: returns_1m
version: 1
from: returns
where: ret is not null
by: [symbol]
window: {tumbling: 1m}
let:
  d: change - prev(change)
features:
  n: count()
  hi: max(d where prev(up))
  first: first(d)
  mean: last(mean)
`},
	"let": {`
view: realized
version: 1
from: trade
by: [exchange, symbol]
window: {rolling: 2m, every: 30s}
reset: 1h
let:
  r: ln(price / prev(price))
  gap: ts - prev(ts, within=1m)
features:
  rv: sum(r * r)
  n: count(r where side == buy)
  slow: max(gap)
  bv: sum(abs(r) * abs(prev(r)))
  vol: last(cum(quantity))
  heat: max(decay_sum(1, halflife=5s) where side == sell)
  quiet: min(since(side == sell))
  trades: count()
`, barsSpec, `
view: indicators
version: 1
from: bars
by: [exchange, symbol]
reset: 20m
warmup: 10 rows
features:
  atr_2: atr(2)
  ema_3: ema(vwap, 3)
  before: prev(vwap, 2)
  run: since(high > prev(high))
`},
	"frames": {`
view: frames
version: 1
from: trade
where: side != unknown or prints > 1
by: [exchange, symbol]
reset: 1h
let:
  s: if(side == buy, quantity, if(side == sell, -quantity, 0))
  r: ln(price / prev(price))
features:
  n_1m: count() over 1m
  n_5: count() over 5 rows within 2m
  buys: count(where side == buy) over 5 rows within 2m
  known: count(id) over 30s
  vol: sum(quantity) over 1m
  vol_3: sum(quantity where side == buy) over 3 rows within 10m
  imb: sum(s) over 4 rows within 1h / sum(abs(s)) over 4 rows within 1h
  high: max(price) over 1m
  low: min(price) over 90s
  low_7: min(price) over 7 rows within 5m
  top: max(price / quantity) over 3 rows within 5m
  first: first(price) over 2m
  last_buy: last(price where side == buy) over 2m
  kinds: distinct(side) over 1m
  m: mean(r) over 3m
  sd: std(r) over 3m
  v5: var(price, ddof=0) over 5 rows within 1h
  mid: median(price) over 1m
  p9: quantile(price, 0.9) over 4 rows within 1h
  p50: quantile(price, 0.5, approx=0.01) over 1m
  wm: wmedian(price, weight=prints) over 1m
  twap: time_mean(price) over 2m
  ret: sum(r) over 1m
  mret: mean(ret) over 2m
  zret: (ret - mret) / std(ret) over 5 rows within 10m
  deep: max(mret) over 30s
  smooth: ema(ret, 3)
  band: bollinger(price, 3, -2, 1h)
  before: prev(vol)
  squares: sum(r * r) over 2m
  tilt: skew(price) over 2m
  slope: slope(price, prints) over 6 rows within 1h
  rho: corr(price, prints) over 3m
  when: argmax(price) over 2m
  some: any(side == buy) over 30s
`, `
view: frames_1m
version: 1
from: frames
by: [symbol]
window: {tumbling: 1m}
features:
  n: sum(n_1m)
  top: max(zret)
`},
	"by_event": {`
view: by_event
version: 1
from: trade
where: side != unknown
by: [exchange, symbol]
window: {rolling: 1m, every: event}
reset: 30m
let:
  r: ln(price / prev(price))
features:
  n: count()
  volume: sum(quantity where side == buy)
  vwap: sum(price * quantity) / sum(quantity)
  range: max(price) - min(price)
  rv: sum(r * r)
  smooth: last(ema(price, 3))
  age: window_end - first(ts)
  twap: time_mean(price)
  from: window_start
  p50: median(price)
`, `
view: by_event_of_rows
version: 1
from: by_event
by: [symbol]
window: {rolling: 5m, every: event}
features:
  rows: count()
  vwap: last(vwap)
  top: max(range)
`},
	"frames_of_bars": {barsSpec, `
view: momentum
version: 1
from: bars
by: [symbol]
let:
  r: ln(close / prev(close, within=10m))
features:
  ret: sum(r) over 3m
  flow: sum(taker_buy - taker_sell) over 3m / sum(volume) over 3m
  score: (ret - mean(ret) over 10m) / std(ret) over 10m
  hi: max(vwap) over 5 rows within 1h
  at: last(window_end) over 3m
`},
	"carried": {`
view: carried
version: 1
from: trade
by: [symbol]
window: {tumbling: 10s, carry: 40s}
empty: flat
features:
  step: last(price - prev(price, within=30s))
  twap: time_mean(prev(price))
  n: count()
`},
	"never": {`
view: endless
version: 1
from: quote
by: [symbol]
reset: never
features:
  mean: wilder(bid_price, 5)
  n: cum(1)
`},
	"feeds": {`
view: health
version: 1
from: trade
by: [feed, exchange, symbol]
window: {tumbling: 30s}
features:
  n: count()
  silence: window_end - last(ts)
  p: quantile(quantity, 0.1, approx=0.05)
`},
}

func sortedNames() []string {
	return slices.Sorted(maps.Keys(engineSpecs))
}

func TestEngine_MatchesReference(t *testing.T) {
	for _, name := range sortedNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			matchesReference(t, engineSpecs[name]...)
		})
	}
}

func matchesReference(t *testing.T, texts ...string) {
	r := newRig(t, texts...)
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, 300).Draw(rt, "n")
		events := r.events(seed, n)
		h := how{
			batch: rapid.SampledFrom([]int{1, 3, 20, 1000}).Draw(rt, "batch"), shards: 1, seed: seed,
			last: events[n-1].ts, from: 0,
		}
		h.history = rapid.Bool().Draw(rt, "history")
		if rapid.Bool().Draw(rt, "late start") {
			h.from = events[n/2].ts
		}
		if rapid.Bool().Draw(rt, "by mark") {
			h.mark = events[n-1].ts + 1 + int64(seed%uint64(200e6))
		}
		ref := r.world.run(r.views, exact(events), span{mark: h.mark, closed: h.mark == 0, last: h.last})
		r.same(fmt.Sprintf("%+v", h), r.drive(events, h), r.want(ref, h.from))
	})
}

// I1: shards, batches, marks and restarts never show.
func TestEngine_SameRowsHoweverDriven(t *testing.T) {
	for _, name := range sortedNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sameHoweverDriven(t, engineSpecs[name]...)
		})
	}
}

func sameHoweverDriven(t *testing.T, texts ...string) {
	r := newRig(t, texts...)
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, 600).Draw(rt, "n")
		events := r.events(seed, n)
		base := how{batch: 4096, shards: 1, seed: seed, last: events[n-1].ts}
		if rapid.Bool().Draw(rt, "by mark") {
			base.mark = events[n-1].ts + 1 + int64(seed%uint64(200e6))
		}
		want := r.drive(events, base)
		h := base
		h.batch = rapid.SampledFrom([]int{1, 7, 40, 4096}).Draw(rt, "batch")
		h.restore = rapid.Bool().Draw(rt, "restore")
		h.history = rapid.Bool().Draw(rt, "history")
		h.shards = rapid.SampledFrom([]int{1, 2, 7}).Draw(rt, "shards")
		r.same(fmt.Sprintf("%+v", h), r.drive(events, h), want)
	})
}
