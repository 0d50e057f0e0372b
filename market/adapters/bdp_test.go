package adapters

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/market"
)

func TestBinanceCSV_Golden(t *testing.T) { golden(t, BinanceCSV, "binance-csv.golden") }

func TestBinanceCSV_Tapes(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		name, feed, symbol string
		venue              market.Venue
		kind               market.Kind
		n                  int // updates: counted by distinct FinalUpdateId
	}{
		{"tapes/binance_spot_trxusdt_trades_20250304_positive.csv.gz", "binance-spot", "TRX-USDT", market.Spot, market.KindTrade, 10000},
		{"tapes/binance_cm_trxusd_perp_trades_20250304_positive.csv.gz", "binance-coinm", "TRX-USD", market.Perp, market.KindTrade, 10000},
		{"orderbook/binance_spot_trxusdt_depth_20250304_positive.csv.gz", "binance-spot", "TRX-USDT", market.Spot, market.KindBook, 2833},
		{"orderbook/binance_cm_trxusd_perp_depth_20250304_positive.csv.gz", "binance-coinm", "TRX-USD", market.Perp, market.KindBook, 1150},
		{"orderbook/binance_spot_btcusdt_depthsnapshot5000_20250414_positive.csv.gz", "binance-spot", "BTC-USDT", market.Spot, market.KindBook, 2},
	} {
		d := decodeLines(t, BinanceCSV, Env{}, splitLines(readFile(t, f.name)))
		if diff := cmp.Diff(map[string]int{f.kind.String(): f.n}, d.counts()); diff != "" {
			t.Errorf("%s: counts differ (-want +got):\n%s", f.name, diff)
		}
		if len(d.bad) > 0 {
			t.Errorf("%s: bad %v", f.name, d.badAt)
		}
		b := d.chunk.Batches[f.kind]
		if x := d.env.Insts.Get(0); x.Symbol != f.symbol || x.Venue != f.venue || d.env.Feeds.Get(b.Feed[0]).Name != f.feed {
			t.Errorf("%s: %+v on feed %v", f.name, x, d.env.Feeds.Get(b.Feed[0]))
		}
		for i := 1; i < b.N; i++ {
			if f.kind == market.KindTrade && b.Seq[i] != b.Seq[i-1]+1 {
				t.Errorf("%s: trade %d follows %d", f.name, b.Seq[i], b.Seq[i-1])
			}
		}
		rows := 0
		if f.kind == market.KindBook {
			for i := range b.N {
				rows += len(b.Cols[market.BookBidPrice].Decs(i)) + len(b.Cols[market.BookAskPrice].Decs(i))
			}
			if f.n == 1150 { // the row that its author moved to the end of the day is a part of the update before it
				if b.Seq[f.n-1] != b.Seq[f.n-2] || b.ID[f.n-1] != b.ID[f.n-2] {
					t.Errorf("%s: last update is %d, want %d again", f.name, b.Seq[f.n-1], b.Seq[f.n-2])
				}
				b.Seq = b.Seq[:f.n-1]
			}
			checkBookChains(t, f.name, d)
		}
		if want := map[int]int{2: 20000, 2833: 10000, 1150: 10000, 10000: 0}[f.n]; rows != want {
			t.Errorf("%s: %d levels, want %d", f.name, rows, want)
		}
	}
}

// The tapes that their author corrupted. The decoder finds what is wrong in itself: an
// impossible time or price, and rows of one update that contradict each other. What is
// wrong only beside other events is for the sequencer, and must come through: a trade
// id twice, a hole in the update ids, a receive time far behind the event.
func TestBinanceCSV_NegativeTapes(t *testing.T) {
	t.Parallel()
	depth := decodeLines(t, BinanceCSV, Env{}, splitLines(readFile(t, "orderbook/binance_spot_trxusdt_depth_20250304_negative.csv.gz")))
	want := map[int64]string{
		2:  badTime,                                // EventTime 0 and price -1
		10: "event time differs within one update", // lines 9 and 10 are one update; the future EventTime of line 9
	}
	if diff := cmp.Diff(want, depth.badAt); diff != "" {
		t.Errorf("depth: bad records differ (-want +got):\n%s", diff)
	}
	b := depth.chunk.Batches[market.KindBook]
	if b.N != 2833-2 {
		t.Errorf("depth: %d updates, want all but two of 2833", b.N)
	}
	// The sequencer will see one hole in the chain, where lines 9 and 10 stood …
	var holes []uint64
	for i := 1; i < b.N; i++ {
		if uint64(b.Cols[market.BookFirstSeq].I64[i]) != b.Seq[i-1]+1 {
			holes = append(holes, b.Seq[i-1])
		}
	}
	if diff := cmp.Diff([]uint64{5434434569}, holes); diff != "" {
		t.Errorf("depth: holes differ (-want +got):\n%s", diff)
	}
	// … and the last update on the next day.
	if ts := b.EventTS[b.N-1]; ts != 1741132800000000 {
		t.Errorf("depth: last update at %s", market.FormatTime(ts))
	}

	trades := decodeLines(t, BinanceCSV, Env{}, splitLines(readFile(t, "tapes/binance_spot_trxusdt_trades_20250304_negative.csv.gz")))
	if len(trades.bad) > 0 || trades.rows(market.KindTrade) != 10000 {
		t.Errorf("trades: bad %v, %d rows", trades.badAt, trades.rows(market.KindTrade))
	}
	b = trades.chunk.Batches[market.KindTrade]
	if b.Seq[2] != b.Seq[1] || b.ID[2] != b.ID[1] {
		t.Errorf("trades: lines 3 and 4 have ids %x and %x, want the same", b.ID[1], b.ID[2])
	}
	if last := b.N - 1; b.IngestTS[last] != 1741132734000000 || b.EventTS[last] != 1741049279150375 {
		t.Errorf("trades: last row at %d received at %d", b.EventTS[last], b.IngestTS[last])
	}
}

// One trade has one id, whether it came over the socket or from a recorded file.
func TestBinanceCSV_SameIDsAsSocket(t *testing.T) {
	t.Parallel()
	env := Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments()}
	csv := decodeLines(t, BinanceCSV, env, [][]byte{
		[]byte("TimestampOfReceive,Stream,EventType,EventTime,TransactionTime,Symbol,TradeId,Price,Quantity,IsBuyerMarketMaker,MUnknownParameter"),
		[]byte("1741046401272286,trxusdt@trade,trade,1741046401271969,1741046401271497,TRXUSDT,348656870,0.2312,2619.4,1,True"),
	})
	ws := decodeLines(t, Binance, env, [][]byte{
		[]byte(`{"e":"trade","E":1741046401271,"s":"TRXUSDT","t":348656870,"p":"0.23120000","q":"2619.40000000","T":1741046401271,"m":true,"M":true}`),
	})
	a, b := csv.chunk.Batches[market.KindTrade], ws.chunk.Batches[market.KindTrade]
	if a.ID[0] != b.ID[0] || a.Feed[0] != b.Feed[0] || a.Inst[0] != b.Inst[0] || a.Seq[0] != b.Seq[0] {
		t.Errorf("csv %+v\nsocket %+v", a, b)
	}
}

func TestBinanceCSV_OptionsAreRefused(t *testing.T) {
	head := "TimestampOfReceive,Stream,EventType,EventTime,TransactionTime,Symbol,TradeId,Price,Quantity,IsBuyerMarketMaker"
	d := decodeLines(t, BinanceCSV, Env{}, [][]byte{
		[]byte(head), []byte("1741046405095,s,trade,1741046405095,1741046405095,BTC-240927-25000-P,1,2,3,1"),
	})
	if d.chunk.Len() != 0 || d.bad[badSymbol] != 1 {
		t.Errorf("%d events, bad %v", d.chunk.Len(), d.bad)
	}
}
