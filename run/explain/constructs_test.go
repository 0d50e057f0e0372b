package explain

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/run"
)

// constructs are what no shipped view has, or not together. The last view of each is
// explained.
var constructs = map[string]string{
	"scans that remember": `
view: v
version: 1
from: trade
by: [exchange, market, symbol]
let:
  up: price > prev(price, 2)
reset: 4m
warmup: 90s
features:
  total: cum(quantity)
  trend: ema(price - ema(price, 3), 4)
  smooth: wilder(price, 5)
  quiet: since(up, within=20s)
  top: max(ewm(price, halflife=5s)) over 30s
  third: prev(price, 3, within=1m)
`, "scans for ever": `
view: v
version: 1
from: trade
by: [symbol, market]
reset: never
features:
  total: cum(if(side == buy, quantity, -quantity))
  level: decay_sum(quantity, halflife=1m)
  n: cum(1)
`, "scans in windows": `
view: v
version: 1
from: quote
by: [exchange, market, symbol]
let:
  mid: (bid_price + ask_price) / 2
  move: mid - prev(mid, within=10s)
window: {rolling: 40s, every: 10s}
empty: flat
features:
  rises: count(where move > 0)
  up: sum(move where move > 0)
  last: last(mid)
  stood: time_mean(mid)
`, "frames on frames": `
view: v
version: 1
from: quote
by: [exchange, market, symbol]
features:
  low: min(bid_price) over 30s
  span: max(ask_price) over 12 rows within 1m - low
  mean_span: mean(span) over 5 rows within 1m
  middle: median(bid_price where bid_quantity > 0.01) over 45s
  n: count() over 1s
`, "a window for each event": `
view: v
version: 1
from: trade
by: [market, symbol]
window: {rolling: 20s, every: event}
features:
  n: count()
  high: max(price)
  volume: sum(quantity)
`, "joins of rows": `
view: v
version: 1
from: trade
by: [exchange, market, symbol]
join:
  q: {view: quote, on: [exchange, market, symbol], match: asof, max_age: 5s, strict: true}
  s: {view: trade_bars_1s, on: [exchange, market, symbol], where: trades > 1, match: asof, max_age: 30s}
where: q.bid_price is not null
window: {tumbling: 20s}
features:
  above: count(where price > q.ask_price)
  cost: sum(quantity * (price - (q.bid_price + q.ask_price) * 0.5))
  busy: last(s.trades)
  at: max(q.ts)
`, "an exact join of windows": `
view: a
version: 1
from: quote_bars_1s
by: [exchange, market, symbol]
window: {tumbling: 10s}
features:
  high: max(high)
  spread: last(ask_price) - last(bid_price)
  ratio: last(close) / first(open)
---
view: v
version: 1
from: trade_bars_1s
by: [exchange, market, symbol]
join:
  a: {view: a, on: [exchange, market, symbol], match: exact}
window: {tumbling: 10s}
empty: nulls
features:
  close: last(close)
  above: close - a.high
  ratio: a.ratio * sum(volume)
  spread: a.spread
`, "a union of kinds": `
view: v
version: 1
from: {t: trade, q: quote, u: trade}
where: t.side == buy or q.bid_price > 0 or u.price > 0
by: [exchange, market, symbol]
window: {tumbling: 15s}
features:
  n: count()
  trades: count(t.price)
  twice: count(u.price)
  touch: last(q.bid_price)
  hy: hy(t.price, q.ask_price)
`, "a union of views": `
view: a
version: 1
from: quote_bars_1s
by: [exchange, market, symbol]
window: {tumbling: 10s}
features:
  high: max(high)
  ratio: last(close) / first(open)
---
view: v
version: 1
from: {b: trade_bars_1s, a: a, t: trade}
where: b.trades > 0 or a.high > 0 or t.side == buy
by: [exchange, market, symbol]
window: {tumbling: 20s}
features:
  n: count()
  bars: count(b.close)
  bought: sum(t.quantity)
  ratio: max(a.ratio)
  last: last(coalesce(b.close, t.price))
`, "sessions of bars, divided bars of them": `
view: s
version: 1
from: trade_bars_1s
by: [exchange, market, symbol]
window: {session: 5s, max: 1m}
features:
  volume: sum(volume)
  length: window_end - window_start
  close: last(close)
---
view: v
version: 1
from: s
by: [exchange, market, symbol]
window: {bar: sum(volume), size: 0.05, cut: split, reset: 10m}
features:
  volume: sum(volume)
  parts: count()
  length: mean(length)
  close: last(close)
`, "a clock of divided bars": `
view: c
version: 1
from: trade
where: base == 'BTC'
by: [exchange]
window: {bar: sum(quantity), size: 0.02, cut: split, reset: 5m}
features:
  ticked: sum(quantity)
  sides: count(where side == buy) / count()
---
view: v
version: 1
from: quote
by: [exchange, symbol]
window: {clock: c}
empty: nulls
features:
  n: count()
  high: max(ask_price)
  ticked: clock.ticked
  sides: clock.sides * 2
  length: window_end - window_start
`, "a clock of a grid, over rows": `
view: v
version: 1
from: trade_bars_1s
by: [exchange, market, symbol]
window: {clock: btc_bars_1s, reset: 1m}
features:
  n: count()
  close: last(close)
  btc: clock.close
`, "a union by a clock": `
view: v
version: 1
from: {t: trade, q: quote}
by: [exchange, market, symbol]
window: {clock: btc_bars_1s, reset: 1m}
features:
  trades: count(t.price)
  quotes: count(q.bid_price)
  last: last(t.price)
  btc: clock.close
`, "members as they were known": `
view: v
version: 1
from: quote
by: [market, symbol]
time: ingest
window: {latest: exchange, every: 250ms, max_age: 3s, emit: members}
features:
  place: rank(bid_price)
  part: share(bid_quantity)
  z: zscore(bid_price)
  pct: pct_rank(ask_price)
  best: max(bid_price where rank(ask_price) <= 2)
  late: count(where ingest_ts - ts > 10ms)
`, "members that bars give, as they were known": `
view: v
version: 1
from: quote_bars_1s
by: [market, symbol]
time: ingest
window: {latest: exchange, every: 1s, max_age: 5s}
features:
  n: count()
  mean: mean(close)
  newest: max(available_at)
  spread: max(close) - min(close)
`, "a latest window of joined rows": `
view: v
version: 1
from: basis_1s
by: [base, quote]
window: {latest: exchange, every: 2s, max_age: 10s}
features:
  n: count(basis_bps)
  mean: median(basis_bps)
  oldest: max(window_end - ts)
`, "a latest window that joins": `
view: v
version: 1
from: quote
by: [market, symbol]
window: {latest: exchange, every: 2s, max_age: 10s}
join:
  t: {view: trade, on: [exchange, market, symbol], match: asof, max_age: 30s}
  b: {view: trade_bars_1s, on: [market, symbol], match: asof, max_age: 20s}
features:
  n: count(t.price)
  off: max(bid_price - t.price)
  close: b.close
  above: count(where bid_price > close)
`, "members that join": `
view: v
version: 1
from: quote
by: [market, symbol]
window: {latest: exchange, every: 2s, max_age: 10s, emit: members}
join:
  t: {view: trade, on: [exchange, market, symbol], match: asof, max_age: 30s}
features:
  off: bid_price - t.price
  place: rank(bid_price - t.price)
`, "windows over members": `
view: v
version: 1
from: venue_deviation_1s
where: place == 1
by: [market, symbol, exchange]
window: {tumbling: 30s}
features:
  seconds: count()
  worst: max(deviation_bps)
`,
	"days of a zone": `
view: b
version: 1
from: trade
by: [exchange, market, symbol]
window: {tumbling: 15s}
features:
  close: last(price)
  n: count()
---
view: v
version: 1
from: b
by: [exchange, market, symbol]
window: {tumbling: 1d, zone: Asia/Kolkata, carry: 3d}
empty: nulls
features:
  bars: count()
  close: last(close)
  n: sum(n)
`,
}

// Values of constructs beyond the shipped views are those that run writes, and come out of
// the listed events alone.
func TestExplain_Constructs(t *testing.T) {
	dir := t.TempDir()
	cfg := gen.DefaultConfig()
	cfg.Seed, cfg.Events, cfg.Rate, cfg.Symbols, cfg.Venues = 31, 4_000, 8, gen.Symbols(2), cfg.Venues[:2]
	cfg.Late, cfg.Duplicates, cfg.Gaps = 4000, 10_000, 2000
	if _, err := gen.Write(t.Context(), cfg, gen.Output{Path: dir}); err != nil {
		t.Fatal(err)
	}
	for name, text := range constructs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var specs []string
			for part := range strings.SplitSeq(text, "---\n") {
				specs = append(specs, write(t, "spec.yaml", part))
			}
			set, _, err := run.Check(specs, nil)
			if err != nil {
				t.Fatal(err, fault.From(err).Parts)
			}
			i := slices.IndexFunc(set.Views, func(v *lang.View) bool { return v.Name == "v" })
			v := set.Views[i]
			all := rowsOf(t, specs, "v", dir)
			if len(all) < 8 {
				t.Fatalf("%d rows", len(all))
			}
			rnd := rand.New(rand.NewPCG(uint64(len(name)), 3)) //nolint:gosec // a test's choice of rows
			for k := range 4 {
				at := rnd.IntN(len(all) * 3 / 4) // of the last ones the end of the input is a part
				c := Config{View: "v", Specs: specs, Time: number(t, all[at]["row_ts"]), Entity: entityOf(v.By, all[at]), Nth: nth(v.By, all, at), Inputs: []string{dir}, Limit: 1}
				if k == 0 {
					c.Deep, c.Limit = true, 0
				}
				x := sameAs(t, c, all[at])
				if k == 0 && !strings.Contains(text, "split") && !strings.Contains(text, "where: place") { // rows that are left out decide, too
					listedAlone(t, c, v, x, all[at])
				}
			}
		})
	}
}
