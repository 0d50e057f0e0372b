package adapters

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/market"
)

func TestTardisCSV_Golden(t *testing.T) { golden(t, TardisCSV, "tardis-csv.golden") }

func TestTardisCSV_Tapes(t *testing.T) {
	t.Parallel()
	d := decodeLines(t, TardisCSV, Env{}, splitLines(readFile(t, "tapes/binance_usdm_btcusdt_trades_20200222_tardis.csv.gz")))
	if diff := cmp.Diff(map[string]int{"trade": 9999}, d.counts()); diff != "" || len(d.bad) > 0 {
		t.Errorf("trades: bad %v, counts differ (-want +got):\n%s", d.badAt, diff)
	}
	b := d.chunk.Batches[market.KindTrade]
	for i := 1; i < b.N; i++ {
		if b.Seq[i] != b.Seq[i-1]+1 {
			t.Errorf("trade %d follows %d", b.Seq[i], b.Seq[i-1])
		}
	}
	x := market.Instrument{Exchange: "binance", Venue: market.Perp, Symbol: "BTC-USDT", Base: "BTC", Quote: "USDT"}
	if d.env.Insts.Get(0) != x || d.env.Feeds.Get(b.Feed[0]).Name != "tardis-binance-usdm" {
		t.Errorf("instrument %+v on feed %v", d.env.Insts.Get(0), d.env.Feeds.Get(b.Feed[0]))
	}

	d = decodeLines(t, TardisCSV, Env{}, splitLines(readFile(t, "tapes/binance_usdm_btcusdt_quotes_20200222_tardis.csv.gz")))
	if diff := cmp.Diff(map[string]int{"quote": 9999}, d.counts()); diff != "" || len(d.bad) > 0 {
		t.Errorf("quotes: bad %v, counts differ (-want +got):\n%s", d.badAt, diff)
	}
	b = d.chunk.Batches[market.KindQuote]
	ids := map[market.ID]bool{}
	for _, id := range b.ID {
		ids[id] = true
	}
	if len(ids) != b.N {
		t.Errorf("quotes: %d ids for %d rows", len(ids), b.N)
	}
}

func TestTardisExchange(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]tardisPlace{
		"binance":          {"tardis", "binance", market.Spot, binSpot},
		"binance-futures":  {"tardis-binance-usdm", "binance", market.Perp, binUSDM},
		"binance-delivery": {"tardis", "binance", market.Perp, binCOINM},
		"okex-swap":        {"tardis", "okex-swap", market.Perp, binUnknown},
		"okex-futures":     {"tardis", "okex-futures", market.Future, binUnknown},
		"okex-options":     {"tardis", "okex-options", market.Option, binUnknown},
		"okex":             {"tardis", "okex", market.Spot, binUnknown},
		"bybit-spot":       {"tardis", "bybit-spot", market.Spot, binUnknown},
		"bybit":            {"tardis", "bybit", market.Perp, binUnknown},
		"deribit":          {"tardis", "deribit", 0, binUnknown},
	} {
		if got := tardisExchange(name); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}
