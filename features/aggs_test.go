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
