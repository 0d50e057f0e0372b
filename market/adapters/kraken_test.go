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
	checked, last := 0, int64(0)
	r.each = func(c *market.Chunk) {
		b := c.Batches[market.KindBook]
		for i := 0; b != nil && i < b.N; i++ {
			k := kept.apply(t, b, i)
			k.Truncate(int(b.Cols[market.BookDepth].I64[i]))
			if k.Crossed() {
				t.Errorf("book of %s is crossed", r.env.Insts.Get(b.Inst[i]).Symbol)
			}
			if b.EventTS[i] < last-100*market.Millisecond {
				t.Errorf("event time %d falls behind %d", b.EventTS[i], last)
			}
			last = max(last, b.EventTS[i])
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
