package topic_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream/topic"
)

func TestName_OfEachClass(t *testing.T) {
	for want, n := range map[string]topic.Name{
		"raw.spot.trade.kraken":            {Class: topic.Raw, Market: market.Spot, Kind: "trade", Exchange: "kraken"},
		"processed.perp.orderbook.binance": {Class: topic.Processed, Market: market.Perp, Kind: "orderbook", Exchange: "binance"},
		"late.spot.mark_price.binance-us":  {Class: topic.Late, Market: market.Spot, Kind: "mark_price", Exchange: "binance-us"},
		"dlq.option.weather.met":           {Class: topic.DLQ, Market: market.Option, Kind: "weather", Exchange: "met"},
		"feature.trade_bars_1m.v3":         {Class: topic.Feature, View: "trade_bars_1m", Version: 3},
		"ledger.features-global":           {Class: topic.Ledger, Job: "features-global"},
		"control":                          {Class: topic.Control},
		"alert.trade_bars_1m.v2":           {Class: topic.Alert, View: "trade_bars_1m", Version: 2},
		"correction.trade_bars_1m.v2":      {Class: topic.Correction, View: "trade_bars_1m", Version: 2},
	} {
		got, err := n.Topic()
		if err != nil || got != want {
			t.Errorf("got %q, want %q: %v", got, want, err)
		}
		if back, err := topic.Parse(want); err != nil || back != n {
			t.Errorf("%s is %+v: %v", want, back, err)
		}
	}
	n := topic.Name{Class: topic.Raw, Market: market.Spot, Kind: "trade", Exchange: "kraken"}
	if got, _ := n.In(topic.Late).Topic(); got != "late.spot.trade.kraken" {
		t.Error(got)
	}
}

func TestName_RefusesWhatIsNoIdentifier(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, n := range []topic.Name{
		{},
		{Class: topic.Raw, Market: market.Spot, Kind: "trade"},
		{Class: topic.Raw, Kind: "trade", Exchange: "kraken"},
		{Class: topic.Raw, Market: market.Spot, Kind: "Trade", Exchange: "kraken"},
		{Class: topic.Raw, Market: market.Spot, Kind: "../x", Exchange: "kraken"},
		{Class: topic.Raw, Market: market.Spot, Kind: long, Exchange: "kraken"},
		{Class: topic.Raw, Market: market.Spot, Kind: "trade", Exchange: "a.b"},
		{Class: topic.Raw, Market: market.Spot, Kind: "trade", Exchange: "a_b"},
		{Class: topic.Raw, Market: market.Spot, Kind: "trade", Exchange: "-a"},
		{Class: topic.Raw, Market: market.Spot, Kind: "trade", Exchange: long},
		{Class: topic.Feature, View: "bars"},
		{Class: topic.Feature, View: "b.ars", Version: 1},
		{Class: topic.Feature, View: "bars", Version: -1},
		{Class: topic.Ledger},
		{Class: topic.Ledger, Job: "a.b"},
		{Class: 77, Job: "a"},
	} {
		if got, err := n.Topic(); err == nil {
			t.Errorf("%+v is %q", n, got)
		}
	}
	for _, s := range []string{
		"", "raw", "raw.spot.trade", "raw.spot.trade.kraken.x", "raw.moon.trade.kraken", "raw.market(3).trade.kraken", "RAW.spot.trade.kraken", "feature.bars.v0",
		"feature.bars.v01", "feature.bars.1", "feature.bars.v+1", "feature.bars.v1.x", "ledger.", "ledger.a.b", "__consumer_offsets", "control.a", "correction.bars", "correction.bars.2",
	} {
		if n, err := topic.Parse(s); err == nil {
			t.Errorf("%q is %+v", s, n)
		}
	}
}

// Kafka refuses a topic whose name differs from another's in . and _ alone, and takes no
// more than 249 bytes.
func TestName_NoTwoDifferInDotsAlone(t *testing.T) {
	ident := rapid.StringMatching(`[a-c][a-c_1]{0,5}(_v1)?`)
	names := map[string]string{}
	rapid.Check(t, func(t *rapid.T) {
		n := topic.Name{Class: topic.Class(rapid.IntRange(1, 6).Draw(t, "class"))}
		switch n.Class {
		case topic.Feature:
			n.View, n.Version = ident.Draw(t, "view"), rapid.IntRange(1, 12).Draw(t, "version")
		case topic.Ledger:
			n.Job = ident.Draw(t, "job")
		default:
			n.Market, n.Kind = market.Venue(rapid.IntRange(1, 5).Draw(t, "market")), ident.Draw(t, "kind")
			n.Exchange = rapid.StringMatching(`[a-c1][a-c1-]{0,4}`).Draw(t, "exchange")
		}
		s, err := n.Topic()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := topic.Parse(s); err != nil || back != n {
			t.Fatalf("%s is %+v: %v", s, back, err)
		}
		flat := strings.ReplaceAll(s, ".", "_")
		if other, ok := names[flat]; ok && other != s {
			t.Fatalf("%s and %s", other, s)
		}
		names[flat] = s
	})
	longest, err := topic.Name{Class: topic.Processed, Market: market.Future, Kind: strings.Repeat("k", 63), Exchange: strings.Repeat("e", 63)}.Topic()
	if err != nil || len(longest) > 249 {
		t.Error(len(longest), err)
	}
}

func TestKindWord(t *testing.T) {
	kinds, err := market.NewKinds([]market.Definition{{Name: "weather", ID: -1, Fields: []market.Field{{Name: "c", Type: market.TypeInt}}}, {Name: "orderbook", ID: -1, Fields: []market.Field{{Name: "c", Type: market.TypeInt}}}})
	if err != nil {
		t.Fatal(err)
	}
	weather, _ := kinds.Parse("weather")
	for k, want := range map[market.Kind]string{market.KindBook: "orderbook", market.KindTrade: "trade", market.KindMarkPrice: "mark_price", market.KindInstrument: "instrument", weather: "weather"} {
		w, err := topic.KindWord(kinds, k)
		if err != nil || w != want {
			t.Errorf("%s: %q %v", kinds.Name(k), w, err)
		}
		if back, ok := topic.ParseKindWord(kinds, w); !ok || back != k {
			t.Errorf("%s is %s", w, kinds.Name(back))
		}
	}
	taken, _ := kinds.Parse("orderbook")
	for _, k := range []market.Kind{market.KindNone, market.KindWatermark, market.KindStatus, taken, 19} {
		if w, err := topic.KindWord(kinds, k); err == nil {
			t.Errorf("%s has %q", kinds.Name(k), w)
		}
	}
	for _, w := range []string{"", "book", "orderbook.delta", "watermark", "status", "rain"} {
		if k, ok := topic.ParseKindWord(kinds, w); ok {
			t.Errorf("%q is %s", w, kinds.Name(k))
		}
	}
}

// The numbers are part of the format. XXH3-64 of "", "a" and "abc" is 2d06800538d394c2,
// e6c632b61e964e1f, 78af5f94892f3950 by its own test vectors.
func TestPartition_IsXXH3(t *testing.T) {
	for base, hash := range map[string]uint64{"": 0x2d06800538d394c2, "a": 0xe6c632b61e964e1f, "abc": 0x78af5f94892f3950} {
		for _, n := range []int{1, 3, 16, 4096} {
			if got := topic.Partition(base, n); got != int32(hash%uint64(n)) {
				t.Errorf("%q of %d: %d", base, n, got)
			}
		}
	}
}
