package features_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
)

// zoneSpecs are views by the clocks of zones, and views over them.
var zoneSpecs = []string{`
view: hours
version: 1
from: trade
by: [exchange, market, symbol]
window: {tumbling: 30m}
empty: nulls
features:
  close: last(price)
  high: max(price)
  n: count()
  vol: sum(quantity)
  twap: time_mean(price)
`, `
view: york
version: 1
from: hours
by: [exchange, market, symbol]
window: {tumbling: 1d, zone: America/New_York, carry: 3d}
empty: nulls
rollup: all
`, `
view: weeks
version: 1
from: york
by: [exchange, market, symbol]
window: {tumbling: 3d, zone: America/New_York, origin: 2020-01-01}
rollup: all
`, `
view: evening
version: 1
from: trade
by: [exchange, symbol]
window: {tumbling: 1d, zone: America/New_York, origin: '2020-01-01T17:00:00', carry: 2d}
empty: flat
features:
  open: first(price)
  close: last(price)
  n: count()
  twap: time_mean(price)
  length: window_end - window_start
`, `
view: island
version: 1
from: trade
where: side != unknown
by: [symbol]
window: {tumbling: 2h, zone: Australia/Lord_Howe, carry: 5h}
empty: flat
features:
  close: last(price)
  n: count()
`, `
view: samoa
version: 1
from: quote
by: [market, symbol]
window: {tumbling: 1d, zone: Pacific/Apia, carry: 5d}
empty: nulls
features:
  hi: max(bid_price)
  n: count()
`, `
view: change
version: 1
from: evening
by: [exchange, symbol]
features:
  r: close / prev(close, within=3d) - 1
  m: max(close) over 3d
`, `
view: around
version: 1
from: island
by: [symbol]
window: {rolling: 1d, every: 6h}
features:
  n: sum(n)
  rows: count()
`}

// atClocks moves events to days on which clocks are set.
func atClocks(events []*event, seed uint64) []*event {
	days := []string{"2026-03-08", "2026-11-01", "2026-04-05", "2026-10-04", "2011-12-30", "2026-07-01"}
	at, _ := time.Parse(time.DateOnly, days[seed%uint64(len(days))])
	first, last := events[0].ts, events[len(events)-1].ts
	stretch := max(12*market.Day/(last-first+1), 1)
	out := make([]*event, len(events))
	for i, e := range events {
		c := *e
		c.ts = at.UnixMicro() + (e.ts-first-(last-first)/2)*stretch
		if i%5 == 0 { // onto a border
			c.ts = -market.FloorDiv(-c.ts, 30*market.Minute) * 30 * market.Minute
		}
		if i > 0 {
			c.ts = max(c.ts, out[i-1].ts)
		}
		if e.ingest != market.NoTime {
			c.ingest = c.ts + e.ingest - e.ts
		}
		out[i] = &c
	}
	return out
}

// Windows of zones are those of a walk through local time, and the same however the engine is driven.
func TestEngine_Zones(t *testing.T) {
	t.Parallel()
	r := newRig(t, zoneSpecs...)
	seen := map[string]map[int64]bool{}
	check := func(events []*event, h how) {
		ref := r.world.run(r.views, exact(events), span{mark: h.mark, closed: h.mark == 0, last: h.last})
		r.same(fmt.Sprintf("%+v", h), r.drive(events, h), r.want(ref, h.from))
		for v, rows := range ref {
			for _, x := range rows {
				if seen[v.Name] == nil {
					seen[v.Name] = map[int64]bool{}
				}
				seen[v.Name][(x.end-x.start)/(market.Hour/2)] = true
			}
		}
	}
	for seed := range uint64(12) { // each of the days twice
		events := atClocks(r.events(seed, 250), seed)
		check(events, how{batch: 20, shards: 1, seed: seed, last: events[249].ts})
	}
	for view, halves := range map[string][]int64{"york": {46, 48, 50}, "evening": {46, 48, 50}, "weeks": {142, 144, 146}} {
		for _, l := range halves {
			if !seen[view][l] {
				t.Errorf("no window of %s was %d half hours long", view, l)
			}
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, 250).Draw(rt, "n")
		events := atClocks(r.events(seed, n), seed)
		h := how{batch: rapid.SampledFrom([]int{1, 20, 1000}).Draw(rt, "batch"), shards: 1, seed: seed, last: events[n-1].ts}
		h.history, h.restore = rapid.Bool().Draw(rt, "history"), rapid.Bool().Draw(rt, "restore")
		if rapid.Bool().Draw(rt, "late start") {
			h.from = events[n/2].ts
		}
		if rapid.Bool().Draw(rt, "by mark") {
			h.mark = events[n-1].ts + 1 + int64(seed%uint64(3*market.Day))
		}
		check(events, h)
	})
}
