package adapters

import (
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/book"
)

const (
	krakenCapture = "captures/kraken_v1_20210417.jsonl.zst"
	krakenTrades  = "candles/kraken_xbtusdt_rest_trades_20251110.json.gz"
	krakenCandles = "candles/kraken_xbtusdt_rest_ohlc_1m_20251110.json.gz"
)

// The capture holds 8 trade messages, 10 snapshots, 4269 updates and 18 tickers on 10
// pairs, and one AssetPairs answer.
func TestKraken_Capture(t *testing.T) {
	r := replayFile(t, Kraken, krakenCapture)
	r.wantBad(t)
	r.wantEvents(t, map[market.Kind]int{market.KindTrade: 10, market.KindBook: 10 + 4269, market.KindInstrument: 293})
	r.wantFiltered(t, map[string]int{
		"ticker: has no time": 18, "service message": 3 + 30 + 92,
		"header of the capture": 1, "connection opened": 3, "request of the collector": 3,
	})
	r.uniqueIDs(t)
}

func TestKraken_EveryChecksum(t *testing.T) {
	r := newReplay(Kraken)
	kept := books{}
	checked, last, pair := 0, int64(0), map[market.Inst]int64{}
	r.each = func(c *market.Chunk) {
		b := c.Batches[market.KindBook]
		for i := 0; b != nil && i < b.N; i++ {
			k := kept.apply(t, b, i)
			k.Truncate(int(b.Cols[market.BookDepth].I64[i]))
			if k.Crossed() {
				t.Errorf("book of %s is crossed", r.env.Insts.Get(b.Inst[i]).Symbol)
			}
			// Nothing is late, and no update comes to lie before the snapshot it follows.
			if b.EventTS[i] <= last-market.DefaultDisorder {
				t.Errorf("event time %d falls behind %d", b.EventTS[i], last)
			}
			last = max(last, b.EventTS[i])
			if b.EventTS[i] < pair[b.Inst[i]] {
				t.Errorf("update at %d before the one at %d", b.EventTS[i], pair[b.Inst[i]])
			}
			pair[b.Inst[i]] = b.EventTS[i]
			sum := &b.Cols[market.BookChecksum]
			if sum.IsNull(i) {
				continue
			}
			checked++
			if got := book.ChecksumKraken(k); int64(got) != sum.I64[i] {
				t.Fatalf("update %d of %s: checksum %d, sent %d", checked, r.env.Insts.Get(b.Inst[i]).Symbol, got, sum.I64[i])
			}
		}
	}
	r.file(t, Kraken, krakenCapture)
	if checked != 4269 || len(kept) != 10 {
		t.Errorf("%d checksums of %d books, want 4269 of 10", checked, len(kept))
	}
}

func TestKrakenREST_Trades(t *testing.T) {
	r := replayFile(t, KrakenREST, krakenTrades)
	r.wantBad(t)
	r.wantEvents(t, map[market.Kind]int{market.KindTrade: 1000})
	r.uniqueIDs(t)
	b := r.chunk.Batches[market.KindTrade]
	for i := range b.N {
		if want := uint64(10218208 + i); b.Seq[i] != want || !b.HasSeq[i] {
			t.Fatalf("trade %d has number %d, want %d", i, b.Seq[i], want)
		}
	}
	// 1762795433.9717445 and, the last one, 1762820035.9822779.
	if b.EventTS[0] != 1762795433971744 || b.EventTS[999] != 1762820035982277 {
		t.Errorf("times %d … %d", b.EventTS[0], b.EventTS[999])
	}
	if p := &b.Cols[market.TradePrice]; p.I64[0] != 10543360000 || p.Scale[0] != 5 {
		t.Errorf("price %d scale %d, want the digits as sent", p.I64[0], p.Scale[0])
	}
	if got := strings.Join(r.symbols(), ","); got != "kraken spot BTC-USDT" {
		t.Errorf("instruments %s", got)
	}
	if b.RawBytes[0] == 0 || b.RawBytes[1] != 0 {
		t.Error("the payload's size is not counted at its first event alone")
	}
}

func TestKrakenREST_Candles(t *testing.T) {
	r := replayFile(t, KrakenREST, krakenCandles)
	r.wantBad(t)
	r.wantEvents(t, map[market.Kind]int{market.KindCandle: 721})
	r.uniqueIDs(t)
	b := r.chunk.Batches[market.KindCandle]
	closed, empty := 0, 0
	for i := range b.N {
		open := b.Cols[market.CandleOpenTS].I64[i]
		if want := int64(1762777020+60*i) * market.Second; open != want {
			t.Fatalf("candle %d opens at %d, want %d", i, open, want)
		}
		closed += int(b.Cols[market.CandleClosed].I64[i])
		if b.Cols[market.CandleTrades].I64[i] == 0 {
			empty++
		}
		if b.Cols[market.CandleInterval].I64[i] != market.Minute {
			t.Fatalf("interval %d", b.Cols[market.CandleInterval].I64[i])
		}
		if i > 0 && b.EventTS[i] < b.EventTS[i-1] {
			t.Fatalf("event time falls at candle %d", i)
		}
	}
	if closed != 720 {
		t.Errorf("%d candles closed, want all but the last", closed)
	}
}

// The pairs of the captured AssetPairs answer carry both names: krakenSymbol must make
// the same canonical symbol of the REST key and of the socket's name.
func TestKraken_SymbolsOfBothNamesAgree(t *testing.T) {
	in := openData(t, krakenCapture)
	defer in.Close()
	var c capture
	buf := make([]byte, 4<<20)
	n := 0
	for n < len(buf) {
		k, err := in.Read(buf[n:])
		n += k
		if err != nil {
			break
		}
	}
	lines := strings.SplitN(string(buf[:n]), "\n", 3)
	rec, err := c.unwrap(&Record{Data: []byte(lines[1])})
	if err != nil {
		t.Fatal(err)
	}
	pairs := 0
	var result []byte
	members(rec.Data, func(name, v []byte) bool {
		if string(name) == "result" {
			result = v
		}
		return true
	})
	members(result, func(key, v []byte) bool {
		var ws, alt string
		members(v, func(name, v []byte) bool {
			text, _ := jsonText(v)
			switch string(name) {
			case "wsname":
				ws = string(text)
			case "altname":
				alt = string(text)
			}
			return true
		})
		if ws == "" {
			return true
		}
		pairs++
		want := krakenSymbol([]byte(ws))
		if got := krakenSymbol(key); got != want {
			t.Errorf("key %s: %s, socket name %s: %s", key, got, ws, want)
		}
		if got := krakenSymbol([]byte(alt)); got != want {
			t.Errorf("altname %s: %s, socket name %s: %s", alt, got, ws, want)
		}
		return true
	})
	if pairs < 290 {
		t.Errorf("only %d pairs seen", pairs)
	}
}

func TestKraken_Messages(t *testing.T) {
	r := one(t, Kraken, Record{Ingest: market.NoTime, Data: []byte(`[341,["31760.00000","31760.10000","1654031976.197239","0.02167307","6.46761464"],"spread","XBT/USD"]`)})
	b := r.chunk.Batches[market.KindQuote]
	if b.N != 1 || b.EventTS[0] != 1654031976197239 || b.Cols[market.QuoteBidPrice].I64[0] != 3176000000 || b.Cols[market.QuoteAskQuantity].I64[0] != 646761464 {
		t.Errorf("spread %+v", b)
	}
	r = one(t, Kraken, Record{Ingest: market.NoTime, Data: []byte(`[343,["1675209613.118218","1675209660.000000","23135.00000","23135.40000","23134.00000","23135.10000","23135.13297","0.39012812",7],"ohlc-5","XBT/USD"]`)})
	b = r.chunk.Batches[market.KindCandle]
	if b.N != 1 || b.Cols[market.CandleOpenTS].I64[0] != 1675209360000000 || b.Cols[market.CandleInterval].I64[0] != 5*market.Minute ||
		b.Cols[market.CandleClosed].I64[0] != 0 || b.Cols[market.CandleTrades].I64[0] != 7 || b.Cols[market.CandleVolume].I64[0] != 39012812 {
		t.Errorf("candle %+v", b)
	}
	// Two objects in one update, and a republished level.
	r = one(t, Kraken, Record{Ingest: market.NoTime, Data: []byte(`[320,{"a":[["38800.00000","0.02203518","1622766170.577187"]]},{"b":[["38800.00000","0.00000000","1622766170.577304"],["38799.9","1","1622766170.1","r"]],"c":"2479000840"},"book-25","XBT/USD"]`)})
	b = r.chunk.Batches[market.KindBook]
	if b.N != 1 || b.EventTS[0] != 1622766170577304 || b.Cols[market.BookChecksum].I64[0] != 2479000840 || b.Cols[market.BookDepth].I64[0] != 25 ||
		b.Cols[market.BookOrigin].I64[0] != market.OriginDelta || len(b.Cols[market.BookBidPrice].Decs(0)) != 2 || b.Cols[market.BookBidPrice].Decs(0)[1] != 3879990000 {
		t.Errorf("book %+v", b)
	}
	// Two equal prints in one message are two trades.
	r = one(t, Kraken, Record{Ingest: market.NoTime, Data: []byte(`[1,[["1.5","2","1618678142.557535","s","l",""],["1.5","2","1618678142.557535","s","l",""]],"trade","XDG/XBT"]`)})
	b = r.chunk.Batches[market.KindTrade]
	if b.N != 2 || b.ID[0] == b.ID[1] || !b.Cols[market.TradeVenueID].IsNull(0) || b.HasSeq[0] {
		t.Errorf("trades %+v", b)
	}
	if s := r.symbols(); s[0] != "kraken spot DOGE-BTC" {
		t.Errorf("instruments %v", s)
	}
}

func TestKraken_BadMessages(t *testing.T) {
	for msg, want := range map[string]string{
		`[1,[["0","2","1618678142.557535","s","l",""]],"trade","XBT/USD"]`:                                         badPrice,
		`[1,[["1","0","1618678142.557535","s","l",""]],"trade","XBT/USD"]`:                                         badQuantity,
		`[1,[["1","1","1618678142557","s","l",""]],"trade","XBT/USD"]`:                                             badTime,
		`[1,[["1","1","0.5","s","l",""]],"trade","XBT/USD"]`:                                                       badTime,
		`[1,[["1","1","1618678142.5","x","l",""]],"trade","XBT/USD"]`:                                              badField,
		`[1,[["one","1","1618678142.5","s","l",""]],"trade","XBT/USD"]`:                                            badNumber,
		`[1,["2","1","1654031976.197239","1","1"],"spread","XBT/USD"]`:                                             badCrossed,
		`[1,{"a":[["-1","1","1618678142.5"]],"c":"1"},"book-10","XBT/USD"]`:                                        badPrice,
		`[1,{"a":[["1","1"]],"c":"1"},"book-10","XBT/USD"]`:                                                        badField,
		`[1,{"a":[["1","1","1618678142.5"]],"c":"99999999999"},"book-10","XBT/USD"]`:                               badField,
		`[1,{"a":[["1e-30","1","1618678142.5"]],"c":"1"},"book-10","XBT/USD"]`:                                     badNumber,
		`[1,{"a":[["0.000000000000000001","1","1618678142.5"],["99999","1","1618678142.5"]]},"book-10","XBT/USD"]`: badScale,
		`[1,[],"own-trades","XBT/USD"]`:                                                                            badUnknown,
		`{"event":"surprise"}`:                                                                                     badUnknown,
		`{"error":[],"result":7}`:                                                                                  badUnknown,
		`[1,[`:                                                                                                     badJSON,
		`nonsense`:                                                                                                 badJSON,
	} {
		if r := one(t, Kraken, Record{Data: []byte(msg), Ingest: market.NoTime}); len(r.bad) != 1 || r.bad[want] != 1 {
			t.Errorf("%s: got %v, want %q", msg, r.bad, want)
		}
	}
	// The good trades of a message stay when one is bad.
	r := one(t, Kraken, Record{Ingest: market.NoTime, Data: []byte(`[1,[["1","1","1618678142.5","s","l",""],["-1","1","1618678142.6","s","l",""],["2","1","1618678142.7","b","l",""]],"trade","XBT/USD"]`)})
	if r.events[market.KindTrade] != 2 || r.bad[badPrice] != 1 {
		t.Errorf("events %v, bad %v", r.events, r.bad)
	}
}

func TestKrakenREST_Interval(t *testing.T) {
	for _, c := range []struct {
		url   string
		opens [2]int64
		want  int64
	}{
		{"https://api.kraken.com/0/public/OHLC?pair=XBTUSD&interval=60", [2]int64{0, 0}, market.Hour},
		{"", [2]int64{1762776000, 1762776900}, 15 * market.Minute},
		{"", [2]int64{1762776000, 0}, market.Minute},
	} {
		if got := krakenInterval(c.url, c.opens); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
}
