package market

import (
	"encoding/hex"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestKey_OrderIsTotalAndByItsParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := func() Key {
			return Key{
				TS: rapid.Int64Range(-2, 2).Draw(t, "ts"), Src: Src(rapid.Uint16Range(0, 2).Draw(t, "src")),
				Inst:  rapid.Uint32Range(0, 2).Draw(t, "inst"),
				Epoch: rapid.Uint32Range(0, 2).Draw(t, "epoch"), Seq: rapid.Uint64Range(0, 2).Draw(t, "seq"),
			}
		}
		a, b, c := k(), k(), k()
		if a.Compare(b) != -b.Compare(a) || (a.Compare(b) == 0) != (a == b) {
			t.Fatalf("%v %v", a, b)
		}
		if a.Compare(b) <= 0 && b.Compare(c) <= 0 && a.Compare(c) > 0 {
			t.Fatalf("not transitive: %v %v %v", a, b, c)
		}
		// fixed width text in the documented order of parts sorts like the key
		s := func(k Key) string {
			return fmt.Sprintf("%d.%d.%d.%d.%d", k.TS+5, k.Src, k.Inst, k.Epoch, k.Seq)
		}
		if (s(a) < s(b)) != (a.Compare(b) < 0) {
			t.Fatalf("%v %v", a, b)
		}
	})
}

func TestFeeds_NumbersAreUniqueAndPermanent(t *testing.T) {
	seen := map[FeedID]string{}
	names := map[string]bool{}
	for _, f := range feedTable {
		if seen[f.ID] != "" || names[f.Name] || f.ID == 0 || f.ID >= 2048 {
			t.Errorf("feed %v repeats a number or a name", f)
		}
		seen[f.ID], names[f.Name] = f.Name, true
	}
	// A released number never changes its meaning: it is part of the total order.
	for id, name := range map[FeedID]string{1: "binance-spot", 2: "binance-usdm", 3: "binance-coinm", 7: "kraken-spot", 8: "coinbase-spot", 12: "okx", 16: "sim-alpha"} {
		if seen[id] != name {
			t.Errorf("feed %d is %q, was released as %q", id, seen[id], name)
		}
	}
}

func TestFeeds_UnknownNamesGetTheirHashNumberAndDefaults(t *testing.T) {
	a, b := NewFeeds(), NewFeeds()
	x := a.Intern("my-feed")
	b.Intern("other")
	if y := b.Intern("my-feed"); x != y {
		t.Errorf("number depends on the process: %d, %d", x, y)
	}
	if x < 2048 || a.Intern("my-feed") != x || a.Get(x).Disorder != DefaultDisorder || a.Get(x).MaxSkew > a.Get(x).Disorder {
		t.Errorf("feed %v", a.Get(x))
	}
	if got := a.Unknown(); len(got) != 1 || got[0] != "my-feed" {
		t.Errorf("unknown = %v", got)
	}
	if MakeSrc(x, KindCandle).Feed() != x || MakeSrc(x, KindCandle).Kind() != KindCandle {
		t.Error("src does not keep its parts")
	}
}

func TestInstruments_NumbersDoNotDependOnTheProcess(t *testing.T) {
	a, b := NewInstruments(), NewInstruments()
	b.Intern("kraken", Spot, "ETH-USD")
	i, j := a.Intern("kraken", Spot, "BTC-USD"), b.Intern("kraken", Spot, "BTC-USD")
	if i == j {
		t.Fatal("test needs different handles")
	}
	if a.Number(i) != b.Number(j) {
		t.Errorf("numbers differ: %d, %d", a.Number(i), b.Number(j))
	}
	if a.Number(i) != 0x1285dee0 { // low half of xxh3_64 of Python's xxhash over the same bytes
		t.Errorf("number changed: %#x; it is part of the total order and must never", a.Number(i))
	}
	if got := a.Get(i); got.Base != "BTC" || got.Quote != "USD" {
		t.Errorf("instrument %+v", got)
	}
	if a.Intern("kraken", Perp, "BTC-USD") == i {
		t.Error("market is part of the identity")
	}
}

func TestSymbols(t *testing.T) {
	for in, want := range map[string]string{
		"BTCUSDT": "BTC-USDT", "btcusdt": "BTC-USDT", "XBT/USD": "BTC-USD", "XBTUSDT": "BTC-USDT", "XDG/EUR": "DOGE-EUR",
		"BTC-USD-220527": "BTC-USD-220527", "ETHBTC": "ETH-BTC", "TRXUSD": "TRX-USD", "WEIRD": "WEIRD", "BNBFDUSD": "BNB-FDUSD",
		"1000SHIBUSDC": "1000SHIB-USDC", "BTC_USD_240927": "BTC-USD-240927",
		"XBTUSD": "BTC-USD", "BATUSD": "BAT-USD", "BNBUSD": "BNB-USD", "USDTUSD": "USDT-USD", "SHIBUSD": "SHIB-USD", "DOTUSD": "DOT-USD",
		"BTCBUSD": "BTC-BUSD", "BTCTUSD": "BTC-TUSD", "BTC-TUSD": "BTC-TUSD",
	} {
		if got := CleanSymbol(in); got != want {
			t.Errorf("CleanSymbol(%q) = %q, want %q", in, got, want)
		}
	}
	for s, want := range map[string]bool{"BTC-USDT": true, "kPEPE": true, "": false, "../x": false, "a..b": false, "a/b": false, ".a": false, "BTC USDT": false, "@107": false} {
		if ValidSymbol(s) != want {
			t.Errorf("ValidSymbol(%q) = %v", s, !want)
		}
	}
}

func TestEventID_IgnoresTimeAndSeparatesFields(t *testing.T) {
	p := IDPrefix("kraken-spot", "kraken", Spot, "BTC-USDT", "trade")
	id, buf := EventID(nil, p, []byte("10218208"))
	if got := hex.EncodeToString(id[:]); got != goldenID {
		t.Errorf("event id changed: %s; it is stored in tables and must never", got)
	}
	other, buf := EventID(buf, IDPrefix("kraken-spot", "krake", Spot, "nBTC-USDT", "trade"), []byte("10218208"))
	if other == id {
		t.Error("fields run into each other")
	}
	a, buf := PayloadID(buf, p, []byte("x"), 0)
	b, _ := PayloadID(buf, p, []byte("x"), 1)
	if a == b {
		t.Error("ordinal is not part of a payload id")
	}
}

const goldenID = "14af8958182df12fff6cbdcca2a76b02" // xxh3_128 of Python's xxhash over the same bytes

func TestBatch_ColumnsKeepRowsApart(t *testing.T) {
	b := NewBatch(KindBook)
	for round := range 2 {
		for i := range 3 {
			b.AppendEnvelope(&Envelope{EventTS: int64(i)})
			b.Cols[BookOrigin].AppendInt(OriginDelta)
			b.Cols[BookFirstSeq].AppendInt(int64(i))
			b.Cols[BookPrevSeq].AppendNull(false)
			b.Cols[BookChecksum].AppendNull(false)
			b.Cols[BookBidPrice].AppendDecs([]int64{1, 2, 3}[:i], 2)
			b.Cols[BookBidQuantity].AppendDecs([]int64{1, 2, 3}[:i], 1)
			b.Cols[BookAskPrice].AppendDecs(nil, 0)
			b.Cols[BookAskQuantity].AppendDecs(nil, 0)
			b.Cols[BookDepth].AppendNull(false)
		}
		if b.N != 3 || len(b.Cols[BookBidPrice].Decs(2)) != 2 || len(b.Cols[BookBidPrice].Decs(0)) != 0 {
			t.Fatalf("round %d: rows mixed", round)
		}
		if !b.Cols[BookPrevSeq].IsNull(2) || b.Cols[BookFirstSeq].IsNull(2) || b.Cols[BookPrevSeq].IsNull(64) {
			t.Fatal("nulls")
		}
		b.Reset()
		if b.N != 0 || len(b.Cols[BookBidPrice].Off) != 0 || b.Cols[BookPrevSeq].IsNull(2) {
			t.Fatal("reset keeps rows")
		}
	}
	tr := NewBatch(KindTrade)
	tr.Cols[TradeVenueID].AppendText([]byte("a"))
	tr.Cols[TradeVenueID].AppendNullText()
	tr.Cols[TradeVenueID].AppendText([]byte("bc"))
	c := &tr.Cols[TradeVenueID]
	if string(c.Text(0)) != "a" || !c.IsNull(1) || string(c.Text(2)) != "bc" || c.IsNull(0) || c.IsNull(2) {
		t.Fatalf("texts %+v", c)
	}
}

func TestKinds_NamesRoundTripAndSchemasAreFrozen(t *testing.T) {
	for k := KindTrade; k <= KindWatermark; k++ {
		if got, ok := ParseKind(k.String()); !ok || got != k {
			t.Errorf("ParseKind(%q) = %v", k, got)
		}
	}
	for _, n := range []string{"orderbook.snapshot", "orderbook.delta"} {
		if k, ok := ParseKind(n); !ok || k != KindBook {
			t.Errorf("ParseKind(%q) = %v", n, k)
		}
	}
	if Schema(KindTrade)[TradePrice].Name != "price" || Schema(KindBook)[BookAskQuantity].Name != "ask_quantity" ||
		Schema(KindCandle)[CandleClosed].Name != "closed" || Schema(KindInstrument)[InstrDelistedTS].Name != "delisted_ts" {
		t.Error("column constants and schemas disagree")
	}
}
