package features_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
)

// twinSpecs use every form that kernels take, alone and together.
var twinSpecs = []string{barsSpec, `
view: mixed
version: 1
from: trade
by: [symbol]
window: {tumbling: 2s}
features:
  n: count()
  unknown: count(where side == unknown)
  open: first(price where side == sell)
  close: last(price where side == sell)
  big: max(quantity)
  least: min(quantity where side == buy)
  notional: sum(quantity * price where side == buy)
  square: sum(quantity * quantity)
  q: sum(quantity where side == buy)
  sd: std(price)
  m: mean(quantity where side == sell)
  expr: sum(price - 100)
`, `
view: flow
version: 1
from: trade
by: [exchange, symbol]
window: {rolling: 8s, every: 4s}
features:
  high: max(price)
  volume: sum(quantity)
  buys: sum(quantity where side == buy)
  nbuys: count(where side == buy)
`, `
view: newest
version: 1
from: trade
by: [symbol]
window: {tumbling: 8s}
features:
  n: count()
  ratio: last(quantity / price)
  scaled: last(1000000 * (price - 500000) / (price * 0.5 + 3))
  wide: last(price * price * quantity * 1000000000000)
  sides: last(price * 1.5 where side == buy)
  sum: sum(price - 100)
`, `
view: derived
version: 1
from: trade
by: [symbol]
let:
  notional: price * quantity
  signed: if(side == buy, quantity, if(side == sell, -quantity, 0))
window: {tumbling: 2s}
features:
  largest: max(notional)
  smallest: min(notional where side == buy)
  first_big: first(price where notional >= 100000.5)
  big: count(where notional >= 100000.5 and side != unknown or prints > 2)
  net: sum(signed)
  flow: sum(abs(signed) - 0.25)
  cap: sum(min_of(quantity, 1000.125) where not (side == sell))
  last_cap: last(max_of(price, 7, 2 * price - 3.125))
  twap: time_mean(notional)
  kinds: distinct(signed)
  p: quantile(notional, 0.5, approx=0.01)
  late: max(ingest_ts - event_ts)
  at: last(ts)
  sd: std(2.5 * price - 1000)
  was_buy: last(side == buy)
  one: sum(notional - notional)
  less: sum(-price where price < 50000.125)
`, `
view: spread
version: 1
from: quote
by: [exchange, symbol]
let:
  mid: (bid_price + ask_price) / 2
window: {tumbling: 3s, carry: 5s}
features:
  open: first(mid)
  high: max(mid)
  twa: time_mean(ask_price - bid_price)
  value: sum(bid_price * bid_quantity + ask_price * ask_quantity)
  n: count(where ask_price > bid_price)
`, `
view: touch
version: 1
from: quote
by: [exchange, symbol]
window: {tumbling: 5s}
features:
  bid: last(bid_price)
  high: max(bid_price)
  size: sum(bid_quantity)
  value: sum(bid_price * bid_quantity)
  n: count()
`, `
view: bought
version: 1
from: trade
where: side == buy
by: [symbol]
window: {tumbling: 3s}
features:
  last: last(price)
  v: sum(quantity)
  venue: distinct(feed)
`, `
view: usd
version: 1
from: trade
where: quote == 'USD' and exchange != 'alpha'
by: [exchange]
window: {tumbling: 3s}
features:
  n: count()
  v: sum(quantity)
  base: distinct(symbol)
`}

// twinEvents has what kernels could get wrong: long stretches of one instrument, scales
// that change now and then, negative, zero and extreme numbers, nulls.
func (r *rig) twinEvents(seed uint64, n int) []*event {
	g := rand.New(rand.NewPCG(seed, 9))
	ts := int64(1_700_000_000) * market.Second
	inst, scale := 0, int8(2)
	signed, wild := g.IntN(3) == 0, g.IntN(3) == 0
	amount := func() int64 {
		switch {
		case wild && g.IntN(20) == 0:
			return math.MaxInt64 - g.Int64N(3)
		case wild && signed && g.IntN(20) == 0:
			return math.MinInt64 + g.Int64N(3)
		case signed && g.IntN(4) == 0:
			return -g.Int64N(1 << 40)
		case g.IntN(9) == 0:
			return 0
		}
		return g.Int64N(1 << uint(10+g.IntN(40)))
	}
	var out []*event
	for range n {
		ts += g.Int64N(20 * market.Millisecond)
		if g.IntN(50) == 0 {
			inst = g.IntN(len(r.world.insts))
		}
		if g.IntN(60) == 0 {
			scale = int8(g.IntN(19))
		}
		e := &event{kind: market.KindTrade, inst: inst, ts: ts, ingest: ts + g.Int64N(1000), feed: 7, seq: uint64(len(out))}
		if g.IntN(30) == 0 {
			e.ingest += g.Int64N(2 * market.Second)
		}
		if g.IntN(60) == 0 {
			e.flags = market.FlagGap
		}
		if wild && g.IntN(30) == 0 {
			e.ingest, e.feed = market.NoTime, 8
		}
		s2 := scale
		if g.IntN(100) == 0 {
			s2 = 18 - scale
		}
		e.cols = map[string]value{"price": decCell{amount(), scale}, "quantity": decCell{amount(), s2}, "side": intCell(g.IntN(3)), "prints": intCell(1), "id": "x"}
		if g.IntN(5) == 0 {
			e.kind = market.KindQuote
			e.cols = map[string]value{"bid_price": decCell{amount(), scale}, "bid_quantity": decCell{amount(), s2}, "ask_price": decCell{1, 0}, "ask_quantity": decCell{1, 0}}
			if signed && g.IntN(9) == 0 {
				e.cols["bid_price"] = nil
			}
		}
		out = append(out, e)
	}
	return out
}

// Kernels give the states and rows of the plain folds, bit for bit.
func TestKernels_MatchPlainFolds(t *testing.T) {
	r := newRig(t, twinSpecs...)
	plain := *r
	plain.plan = r.plan.Plain()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, 3000).Draw(rt, "n")
		events := r.twinEvents(seed, n)
		mark := events[rapid.IntRange(0, n-1).Draw(rt, "mark")].ts
		size := rapid.SampledFrom([]int{1, 50, 5000}).Draw(rt, "batch")
		if a, b := r.snapshot(events, mark, size, 1), plain.snapshot(events, mark, size, 1); string(a) != string(b) {
			rt.Fatal("states differ")
		}
		h := how{batch: size, shards: 1, seed: seed, last: events[n-1].ts}
		r.same(fmt.Sprintf("seed %d n %d %+v", seed, n, h), r.drive(events, h), plain.drive(events, h))
	})
}

// A task in steady state allocates nothing, for events or for rows.
func TestTask_SteadyStateAllocatesNothing(t *testing.T) {
	for _, mixed := range []bool{false, true} {
		r := newRig(t, barsSpec, `
view: roll
version: 1
from: trade
by: [exchange, symbol]
window: {rolling: 8s, every: 2s}
features:
  high: max(price)
  vwap: sum(price * quantity) / sum(quantity)
  p50: quantile(price, 0.5, approx=0.01)
  sd: std(price)
`, `
view: up
version: 1
from: bars
by: [symbol]
window: {tumbling: 5m}
features:
  hi: max(vwap)
  v: sum(volume)
`)
		const size, step = 512, 20 * market.Second
		ring := benchTrades(r.insts, 16*size, size, 5, mixed)
		span := ring[15].TS[size-1] - ring[0].TS[0] + step
		task := r.plan.NewTask(r.insts, 0)
		var out features.Rows
		var marks [market.NumKinds]int64
		i := 0
		round := func() {
			for _, b := range ring {
				if i >= len(ring) {
					for k := range b.TS {
						b.TS[k] += span
						b.IngestTS[k] += span
					}
				}
				i++
				if err := task.Push(b); err != nil {
					t.Fatal(err)
				}
				if mixed {
					marks[market.KindTrade] = b.TS[size-1]
				}
				if err := task.Advance(&marks, &out); err != nil {
					t.Fatal(err)
				}
				out.Reset()
			}
			marks[market.KindTrade] = ring[15].TS[size-1]
			if !mixed {
				marks[market.KindTrade] = ring[0].TS[0] + span
			}
			if err := task.Advance(&marks, &out); err != nil {
				t.Fatal(err)
			}
			out.Reset()
		}
		for range 60 {
			round()
		}
		if n := testing.AllocsPerRun(20, round); n > 1 { // a set may double once more
			t.Errorf("mixed %t: %v allocations for %d events", mixed, n, 16*size)
		}
	}
}
