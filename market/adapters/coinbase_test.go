package adapters

import (
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

const (
	coinbaseCapture = "captures/coinbase_advanced_20260809_btc_eth.jsonl.zst"
	coinbaseTape    = "tapes/coinbase_btcusd_trades_20230905T16Z.csv.gz"
)

func TestCoinbase_Capture(t *testing.T) {
	r := replayFile(t, Coinbase, coinbaseCapture)
	r.wantBad(t)
	r.wantEvents(t, map[market.Kind]int{
		market.KindTrade: 279, market.KindBook: 2 + 773, market.KindCandle: 204, market.KindInstrument: 920,
	})
	r.wantFiltered(t, map[string]int{
		"ticker": 160, "service message": 25 + 5,
		"header of the capture": 1, "connection opened": 1, "request of the collector": 5,
	})
	r.uniqueIDs(t)
	if b := r.chunk.Batches[market.KindBook]; anyFlag(b, market.FlagGap) {
		t.Error("a gap is flagged, though the numbers of the connection have no hole")
	}
}

func anyFlag(b *market.Batch, flag uint8) bool {
	for _, f := range b.Flags {
		if f&flag != 0 {
			return true
		}
	}
	return false
}

// Each update leads from an uncrossed book to an uncrossed book; a taker that sells
// prints at the bid, one that buys at the ask, or beyond.
func TestCoinbase_BooksAndTakers(t *testing.T) {
	r := newReplay(Coinbase)
	kept := books{}
	depth, atBid, atAsk, against := 0, 0, 0, 0
	r.each = func(c *market.Chunk) {
		if b := c.Batches[market.KindBook]; b != nil {
			for i := range b.N {
				k := kept.apply(t, b, i)
				if k.Crossed() {
					t.Errorf("book of %s is crossed", r.env.Insts.Get(b.Inst[i]).Symbol)
				}
				depth = max(depth, k.Len(1))
			}
		}
		b := c.Batches[market.KindTrade]
		for i := 0; b != nil && i < b.N; i++ {
			k := kept[b.Inst[i]]
			if k == nil {
				continue
			}
			bids, asks, _ := k.Best()
			bid, ask := num.Dec{M: bids, S: k.PriceScale()}, num.Dec{M: asks, S: k.PriceScale()}
			p := num.Dec{M: b.Cols[market.TradePrice].I64[i], S: b.Cols[market.TradePrice].Scale[i]}
			sells := b.Cols[market.TradeSide].I64[i] == market.SideSell
			switch {
			case sells && !decLess(bid, p):
				atBid++
			case !sells && !decLess(p, ask):
				atAsk++
			default:
				against++
			}
		}
	}
	r.file(t, Coinbase, coinbaseCapture)
	if len(kept) != 2 || depth < 27_000 {
		t.Errorf("%d books, %d asks at most", len(kept), depth)
	}
	// Trades are up to 250 ms older than the book here, so a few lie between.
	if against*10 > atBid+atAsk {
		t.Errorf("taker sides do not fit the book: %d at the bid, %d at the ask, %d not", atBid, atAsk, against)
	}
}

func TestCoinbase_TradesOldestFirst(t *testing.T) {
	r := newReplay(Coinbase)
	r.push(t, Record{Data: []byte(`{"channel":"market_trades","timestamp":"2026-01-02T03:04:06.5Z","sequence_num":0,"events":[{"type":"update","trades":[` +
		`{"product_id":"BTC-USD","trade_id":"8","price":"65083.67","size":"0.0200","time":"2026-01-02T03:04:05.123456789Z","side":"SELL"},` +
		`{"product_id":"BTC-USD","trade_id":"7","price":"65083.66","size":"0.1","time":"2026-01-02T03:04:05.123456Z","side":"BUY"}]}]}`),
		Ingest: 1767323046600000})
	r.wantBad(t)
	b := r.chunk.Batches[market.KindTrade]
	if b.N != 2 || b.Seq[0] != 7 || b.Seq[1] != 8 || b.EventTS[0] != 1767323045123456 || b.EventTS[1] != 1767323045123456 {
		t.Fatalf("numbers %v, times %v", b.Seq, b.EventTS)
	}
	side, price, qty := b.Cols[market.TradeSide], b.Cols[market.TradePrice], b.Cols[market.TradeQuantity]
	if side.I64[0] != market.SideSell || side.I64[1] != market.SideBuy {
		t.Errorf("sides %v, want those of the takers", side.I64)
	}
	if price.I64[1] != 6508367 || price.Scale[1] != 2 || qty.I64[1] != 200 || qty.Scale[1] != 4 {
		t.Error("digits are not as sent")
	}
	if string(b.Cols[market.TradeVenueID].Text(0)) != "7" || b.RawBytes[0] == 0 || b.RawBytes[1] != 0 {
		t.Error("venue id or payload size")
	}
}

func TestCoinbase_HoleIsFlaggedOnceForEachBook(t *testing.T) {
	r := newReplay(Coinbase)
	msg := func(seq, kind, product string) {
		r.push(t, Record{Data: []byte(`{"channel":"l2_data","timestamp":"2026-01-02T03:04:06Z","sequence_num":` + seq +
			`,"events":[{"type":"` + kind + `","product_id":"` + product + `","updates":[{"side":"bid","event_time":"2026-01-02T03:04:05.5Z","price_level":"10.5","new_quantity":"` + seq + `"}]}]}`),
			Ingest: market.NoTime})
	}
	msg("0", "snapshot", "BTC-USD")
	msg("1", "snapshot", "ETH-USD")
	msg("2", "update", "BTC-USD")
	msg("5", "update", "BTC-USD") // 3 and 4 are missing
	msg("6", "update", "BTC-USD")
	msg("7", "update", "ETH-USD")
	msg("8", "update", "ETH-USD")
	msg("10", "snapshot", "BTC-USD") // a snapshot mends the hole before it
	msg("11", "update", "BTC-USD")
	r.wantBad(t)
	var got []string
	for _, f := range r.chunk.Batches[market.KindBook].Flags {
		got = append(got, map[bool]string{true: "gap", false: "-"}[f&market.FlagGap != 0])
	}
	if s := strings.Join(got, " "); s != "- - - gap - gap - - -" {
		t.Errorf("flags %s", s)
	}
}

func TestCoinbaseCSV_Tape(t *testing.T) {
	r := replayFile(t, CoinbaseCSV, coinbaseTape)
	r.wantBad(t)
	r.wantEvents(t, map[market.Kind]int{market.KindTrade: 5882})
	r.wantFiltered(t, map[string]int{"header": 1})
	r.uniqueIDs(t)
	b := r.chunk.Batches[market.KindTrade]
	if b.EventTS[0] != 1693929601281719 {
		t.Errorf("first time %d", b.EventTS[0])
	}
	// Takers that sell push the price down: the tape has the taker's side.
	p, side := b.Cols[market.TradePrice], b.Cols[market.TradeSide]
	down, up := 0, 0
	for i := 1; i < b.N; i++ {
		if side.I64[i] != market.SideSell {
			continue
		}
		last, now := num.Dec{M: p.I64[i-1], S: p.Scale[i-1]}, num.Dec{M: p.I64[i], S: p.Scale[i]}
		if decLess(now, last) {
			down++
		} else if decLess(last, now) {
			up++
		}
	}
	if down < 3*up {
		t.Errorf("sells: %d down, %d up", down, up)
	}
}

func TestCoinbaseCSV_ExponentsAndEqualRows(t *testing.T) {
	r := newReplay(CoinbaseCSV)
	rows := []string{
		`"symbol","side","price","amount","timestamp"`,
		`"BTC-USD","buy",25741.03,3.844E-5,"2023-09-05T16:00:02.722748Z"`,
		`"BTC-USD","buy",25741.03,3.844E-5,"2023-09-05T16:00:02.722748Z"`,
		`BTC-USD,sell,25741.02,1E-8,2023-09-05T16:00:03Z`,
	}
	for i, row := range rows {
		r.push(t, Record{Data: []byte(row), Ingest: market.NoTime, Offset: int64(i + 1)})
	}
	r.wantBad(t)
	r.uniqueIDs(t)
	q := r.chunk.Batches[market.KindTrade].Cols[market.TradeQuantity]
	if q.I64[0] != 3844 || q.Scale[0] != 8 || q.I64[2] != 1 || q.Scale[2] != 8 {
		t.Errorf("quantities %v, scales %v", q.I64, q.Scale)
	}
}

func TestCoinbaseCSV_BadRows(t *testing.T) {
	for row, want := range map[string]string{
		`"BTC-USD","buy",0,1,"2023-09-05T16:00:02Z"`:    badPrice,
		`"BTC-USD","buy",-1,1,"2023-09-05T16:00:02Z"`:   badPrice,
		`"BTC-USD","buy",1,0,"2023-09-05T16:00:02Z"`:    badQuantity,
		`"BTC-USD","hold",1,1,"2023-09-05T16:00:02Z"`:   badField,
		`"BTC-USD","buy",1,1,"1693929601"`:              badTime,
		`"BTC-USD","buy",1,1,"2023-02-30T16:00:02Z"`:    badTime,
		`"BTC-USD","buy",1,1,"1970-01-01T00:00:00Z"`:    badTime,
		`"BTC-USD","buy",1e40,1,"2023-09-05T16:00:02Z"`: badNumber,
		`"BTC-USD","buy",NaN,1,"2023-09-05T16:00:02Z"`:  badNumber,
		`"BTC-USD","buy",1,1`:                           badField,
		`"BTC-USD","buy",1,1,"2023-09-05T16:00:02Z",7`:  badField,
		`,buy,1,1,2023-09-05T16:00:02Z`:                 badSymbol,
		"\x00\x01\x02":                                  badField,
	} {
		r := newReplay(CoinbaseCSV)
		r.push(t, Record{Data: []byte(row), Ingest: market.NoTime, Offset: 1})
		if r.bad[want] != 1 {
			t.Errorf("%s: got %v, want %q", row, r.bad, want)
		}
	}
}

func TestCoinbase_BadMessages(t *testing.T) {
	const head = `{"channel":"market_trades","timestamp":"2026-01-02T03:04:06Z","sequence_num":0,"events":[{"type":"update","trades":[`
	const book = `{"channel":"l2_data","timestamp":"2026-01-02T03:04:06Z","sequence_num":0,"events":[{"type":"update","product_id":"BTC-USD","updates":[`
	for msg, want := range map[string]string{
		head + `{"product_id":"BTC-USD","trade_id":"8","price":"0","size":"1","time":"2026-01-02T03:04:05Z","side":"SELL"}]}]}`:     badPrice,
		head + `{"product_id":"BTC-USD","trade_id":"8","price":"1","size":"-1","time":"2026-01-02T03:04:05Z","side":"SELL"}]}]}`:    badQuantity,
		head + `{"product_id":"BTC-USD","trade_id":"8","price":"1","size":"1","time":"1767323045","side":"SELL"}]}]}`:               badTime,
		head + `{"product_id":"BTC-USD","trade_id":"x","price":"1","size":"1","time":"2026-01-02T03:04:05Z","side":"SELL"}]}]}`:     badField,
		head + `{"product_id":"BTC-USD","trade_id":"8","price":"1","size":"1","time":"2026-01-02T03:04:05Z","side":"SIDEWAYS"}]}]}`: badField,
		head + `{"product_id":"BTC-USD","trade_id":"8","price":"1,5","size":"1","time":"2026-01-02T03:04:05Z","side":"BUY"}]}]}`:    badNumber,
		book + `{"side":"bid","event_time":"2026-01-02T03:04:05Z","price_level":"-1","new_quantity":"1"}]}]}`:                       badPrice,
		book + `{"side":"bid","event_time":"2026-01-02T03:04:05Z","price_level":"1","new_quantity":"-1"}]}]}`:                       badNegative,
		book + `{"side":"left","event_time":"2026-01-02T03:04:05Z","price_level":"1","new_quantity":"1"}]}]}`:                       badField,
		book + `{"side":"bid","event_time":"yesterday","price_level":"1","new_quantity":"1"}]}]}`:                                   badTime,
		`{"channel":"l3_data","timestamp":"2026-01-02T03:04:06Z","sequence_num":0,"events":[]}`:                                     badUnknown,
		`{"channel":"l2_data","timestamp":"now","sequence_num":0,"events":[]}`:                                                      badTime,
		`{"channel":"l2_data","timestamp":"2026-01-02T03:04:06Z","sequence_num":"x","events":[]}`:                                   badField,
		`{"type":"match"}`:        badUnknown,
		`{"channel":"l2_data"`:    badJSON,
		`{"channel":"l2_data"}\n`: badJSON,
		`null`:                    badField,
	} {
		if r := one(t, Coinbase, Record{Data: []byte(msg), Ingest: market.NoTime}); len(r.bad) != 1 || r.bad[want] != 1 {
			t.Errorf("%s: got %v, want %q", msg, r.bad, want)
		}
	}
}
