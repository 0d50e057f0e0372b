package features_test

import "testing"

// aggSpecs use the aggregates that keep more than a number or two, in every window and
// through rollups.
var aggSpecs = map[string][]string{
	"ranks": {`
view: ranks
version: 1
from: trade
by: [symbol]
window: {tumbling: 10s, carry: 45s}
empty: flat
features:
  med: median(price)
  buys: median(quantity where side == buy)
  q1: quantile(price, 0.25)
  q9: quantile(price * quantity, 0.987)
  slow: median(ingest_ts - event_ts)
  per: median(price / 3 where side == sell)
  per9: quantile(price / 3, 0.9)
  wm: wmedian(price, quantity)
  wms: wmedian(price, weight=quantity where side == sell)
  wmr: wmedian(price / 7, prints)
  half: decimal(med * 2, 4)
`, `
view: ranks_1m
version: 1
from: ranks
by: [symbol]
window: {tumbling: 1m}
rollup: all
`, `
view: ranks_rolling
version: 1
from: trade
by: [exchange, symbol]
window: {rolling: 30s, every: 4s}
features:
  med: median(price)
  mid: median(price / prints)
  p90: quantile(price, 0.9)
  wm: wmedian(price, quantity)
  lnm: median(ln(prints / 7))
  lnq: quantile(ln(prints), 0.3)
`, `
view: ranks_up
version: 1
from: ranks_rolling
by: [symbol]
window: {tumbling: 1m}
features:
  med: median(med)
  p: quantile(p90, 0.5)
  w: wmedian(wm, 2)
  r: median(ln(med / p90))
`},
	"picks": {`
view: picks
version: 1
from: trade
by: [symbol]
window: {tumbling: 10s, carry: 40s}
empty: flat
features:
  high_at: argmax(price)
  low_id: argmin(price, id)
  low_side: argmin(price, value=side where side != unknown)
  big: argmax(quantity, price / 3)
  rel: argmin(price / prints, prints)
  some: any(price > 50000)
  each: all(price > 20000 where side == buy)
  id: first(id)
  last_id: last(id where side == sell)
  venue: last(exchange)
`, `
view: picks_1m
version: 1
from: picks
by: [symbol]
window: {tumbling: 1m}
rollup: all
`, `
view: picks_rolling
version: 1
from: picks
by: [symbol]
window: {rolling: 1m, every: 20s}
features:
  at: argmax(big, last_id)
  busy: any(some or each)
  open: first(id)
  close: last(venue where each)
`},
	"paths": {`
view: paths
version: 1
from: quote
by: [symbol]
where: bid_quantity is null or bid_quantity < 1000000000
window: {tumbling: 30s}
features:
  hy: hy(bid_price, ask_price)
  half: hy(bid_price, ask_price where ask_price > 500 or ask_price is null)
  flow: hy(bid_quantity, ask_price)
  lead: lead(bid_price, ask_price, max=2s, step=500ms)
  n: count(bid_price)
`, `
view: paths_2m
version: 1
from: paths
by: [symbol]
window: {tumbling: 2m}
rollup: all
`, `
view: paths_rolling
version: 1
from: quote
by: [exchange, symbol]
window: {rolling: 40s, every: 10s}
features:
  hy: hy(bid_price, ask_price)
  lead: lead(bid_price, ask_price, 1s, 1s)
`},
	"frames": {`
view: frames
version: 1
from: quote
by: [exchange, symbol]
where: bid_quantity is null or bid_quantity < 1000000000
features:
  sk: skew(bid_price) over 1m
  ku: kurt(bid_price) over 9 rows within 1h
  co: corr(bid_price, ask_price) over 1m
  cv: cov(bid_price, bid_quantity, ddof=0) over 6 rows within 10m
  wm: wmedian(bid_price, bid_quantity) over 1m
  med: median(bid_price / ask_price) over 1m
  hy: hy(bid_price, ask_price) over 1m
  hyn: hy(bid_price, ask_price) over 7 rows within 10m
  lead: lead(bid_price, ask_price, max=2s, step=1s) over 1m
  lo: argmin(bid_price, ask_price) over 1m
  at: argmax(bid_price) over 5 rows within 10m
  some: any(bid_price > 500) over 1m
  each: all(bid_price > 500 where ask_price > 100) over 4 rows within 10m
`},
	"members": {`
view: members
version: 1
from: quote
by: [symbol]
let:
  mid: (bid_price + ask_price) / 2
window: {latest: exchange, every: 2s, max_age: 30s}
features:
  sk: skew(mid)
  ku: kurt(bid_price)
  co: corr(bid_price, ask_price)
  be: slope(mid, ask_price where bid_price > 200)
  cheap: argmin(mid, exchange)
  at: argmax(mid)
  some: any(mid > 500)
  each: all(mid > guard)
  guard: median(mid)
  p: quantile(mid / ask_price, 0.25)
  wm: wmedian(mid, 1 where mid <= guard)
`},
	"moments": {`
view: moments
version: 1
from: trade
by: [symbol]
where: quantity < 1000000000
window: {tumbling: 10s}
features:
  sk: skew(price)
  ku: kurt(price where side != unknown)
  cv: cov(price, quantity)
  cv0: cov(price, quantity, ddof=0)
  co: corr(price, quantity)
  be: slope(price, quantity)
  lambda: slope(price, if(side == buy, quantity, -quantity) where side != unknown)
  delay: slope(ingest_ts - event_ts, prints)
  rel: 0.5 * ku + sk
  first: first(price)
  last: last(price)
`, `
view: moments_1m
version: 1
from: moments
by: [symbol]
window: {tumbling: 1m}
rollup: all
`, `
view: returns
version: 1
from: moments
by: [symbol]
window: {rolling: 2m, every: 1m}
let:
  r: ln(last / first)
  rv: r * r
features:
  rsum: sum(r * r)
  mean2: mean(rv)
  vol2: std(rv)
  var2: var(rv, ddof=0)
  absum: sum(abs(r) * abs(0.37 * r))
  down: sum(r * r where r < 0)
  gk: sum(0.5 * r * r - 0.386294361 * r * abs(r))
  med: max(min_of(abs(r), 0.01) * max_of(abs(r), 0.001))
  both: sum(if(r > 0, r * r, r))
  shift: sum(r - 0.0001)
  half: sum(r / 2)
  q: median(rv where abs(r) < 1)
  sk: skew(r)
  ku: kurt(r)
  co: corr(r, rv)
  be: slope(r, rv)
  cv: cov(r, first)
  root: sqrt(sum(r * r))
  twa: time_mean(rv)
  l: last(rv)
  d: distinct(rv)
`},
}

func TestAggregates_MatchReference(t *testing.T) {
	for name, texts := range aggSpecs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			matchesReference(t, texts...)
		})
	}
}

// I1 holds for the aggregates that own sets and pairs of values.
func TestAggregates_SameRowsHoweverDriven(t *testing.T) {
	for name, texts := range aggSpecs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sameHoweverDriven(t, texts...)
		})
	}
}
