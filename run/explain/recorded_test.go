package explain

import (
	"testing"

	"github.com/pinova-group/tidemark/internal/exdata"
)

// Recorded trades and quotes of Binance: scans, frames, divided bars, joins and clocks over
// them come out the same when they are worked out again.
func TestExplain_Recorded(t *testing.T) {
	spot := exdata.Path(t, "rawstream/binance_spot_btcusdt_20240808.jsonl.gz")
	perp := exdata.Path(t, "rawstream/binance_usdm_btcusdt_20240808.jsonl.gz")
	for _, c := range []Config{
		{View: "decayed", Inputs: []string{spot}}, {View: "imbalance_100", Inputs: []string{spot}}, {View: "trade_flags", Inputs: []string{spot}},
		{View: "ret_z", Inputs: []string{spot}}, {View: "realized_5m", Inputs: []string{spot}}, {View: "indicators_1m", Inputs: []string{spot}},
		{View: "rolling_trades", Inputs: []string{spot}},
		{View: "vpin", Set: []string{"size=20"}, Inputs: []string{spot}}, {View: "volume_imbalance_bars", Set: []string{"size=5"}, Inputs: []string{spot}},
		{View: "alts_per_btc", Set: []string{"n=20", "alts=[BTC]"}, Inputs: []string{spot}},
		{View: "basis_1s", Inputs: []string{spot, perp}}, {View: "beta_btc_1h", Inputs: []string{spot, perp}},
	} {
		t.Run(c.View, func(t *testing.T) {
			t.Parallel()
			v := viewOf(t, c.View)
			all := rowsOfInputs(t, []string{c.View}, "", c.Inputs, c.Set...)
			if len(all) == 0 {
				t.Fatal("no rows")
			}
			for k := range 2 {
				at := len(all) * (2*k + 1) / 4
				c.Time, c.Entity, c.Nth, c.Limit = number(t, all[at]["row_ts"]), entityOf(v.By, all[at]), nth(v.By, all, at), 1
				sameAs(t, c, all[at])
			}
		})
	}
}
