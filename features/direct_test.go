package features_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// Features taken from the record are those that the finish program gives, whatever the others of the row are.
func TestDirect_IsWhatTheFinishProgramGives(t *testing.T) {
	const some = `
  open: first(price)
  close: last(price)
  low: min(price)
  high: max(price)
  volume: sum(quantity)
  notional: sum(price * quantity)
  most: max(quantity)
  vwap: notional / volume
  buy: sum(quantity where side == buy)
  sell: sum(quantity where side == sell)
  imbalance: (buy - sell) / (buy + sell)
  mixed: (volume + most) / (most - sell)
  spread: (high - low) / (close + open)
  size: volume / n
  move: close / open
  ret: close / open - 1
  n: count()
  buys: count(where side == buy)
  way: last(side)
  mid: median(price)
  kinds: distinct(side)
`
	r := newRig(t,
		"view: tumbling\nversion: 1\nfrom: trade\nby: [symbol]\nwindow: {tumbling: 1s}\nfeatures:"+some,
		"view: carried\nversion: 1\nfrom: trade\nby: [exchange, symbol]\nwindow: {tumbling: 1s, carry: 10s}\nempty: flat\nfeatures:"+some,
		"view: rolling\nversion: 1\nfrom: trade\nby: [symbol]\nwindow: {rolling: 5s, every: 1s}\nfeatures:"+some,
		"view: bars\nversion: 1\nfrom: trade\nby: [symbol]\nwindow: {bar: count(), size: 3, reset: 1d}\nfeatures:"+some,
		"view: sessions\nversion: 1\nfrom: trade\nby: [symbol]\nwindow: {session: 2s, max: 1m}\nfeatures:"+some,
	)
	rapid.Check(t, func(rt *rapid.T) {
		seed, n := rapid.Uint64().Draw(rt, "seed"), rapid.IntRange(1, 300).Draw(rt, "n")
		h := how{batch: rapid.SampledFrom([]int{1, 50, 5000}).Draw(rt, "batch"), shards: 1, seed: seed}
		plain := *r
		plain.plan = r.plan.Plain()
		for _, events := range [][]*event{r.events(seed, n), r.twinEvents(seed, n)} {
			h.last = events[n-1].ts
			r.same(fmt.Sprintf("seed %d n %d %+v", seed, n, h), r.drive(events, h), plain.drive(events, h))
		}
	})
}
