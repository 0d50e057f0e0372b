package adapters

import (
	"testing"
)

func TestScratch(t *testing.T) {
	for _, f := range []string{"tapes/binance_cm_trxusd_perp_trades_20250304_positive.csv.gz","tapes/binance_spot_trxusdt_trades_20250304_negative.csv.gz","tapes/binance_spot_trxusdt_trades_20250304_positive.csv.gz","tapes/binance_usdm_btcusdt_quotes_20200222_tardis.csv.gz","tapes/binance_usdm_btcusdt_trades_20200222_tardis.csv.gz","orderbook/binance_cm_trxusd_perp_depth_20250304_positive.csv.gz","orderbook/binance_spot_btcusdt_depthsnapshot5000_20250414_positive.csv.gz","orderbook/binance_spot_trxusdt_depth_20250304_negative.csv.gz","orderbook/binance_spot_trxusdt_depth_20250304_positive.csv.gz"} {
		b := readFile(t, f)
		a := Detect(b[:min(len(b), 65536)])
		if a==nil {t.Error(f); continue}
		d := decodeLines(t, a, Env{}, splitLines(b))
		t.Log(f, a.Name, a.Detect(b[:min(len(b), 65536)]), d.counts(), d.filtered, d.bad, d.badAt, d.env.Feeds.Unknown())
		for i := range d.env.Insts.Len() {
			t.Log(d.env.Insts.Get(0), i)
		}
	}
}
