package adapters

import (
	"fmt"
	"testing"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/book"
)

const (
	bybitCapture = "captures/bybit_v5_20260809_btc_eth.jsonl.zst"
	bybitBook    = "orderbook/bybit_xrpusdt_ob500_20241201.jsonl.gz"
)

func TestBybit_Capture(t *testing.T) {
	r := replayFile(t, Bybit, bybitCapture)
	r.wantBad(t)
	r.wantEvents(t, map[market.Kind]int{
		market.KindTrade: 99, market.KindBook: 4 + 413 + 420 + 299 + 249, market.KindCandle: 61,
		market.KindMarkPrice: 76, market.KindOpenInterest: 10, market.KindFunding: 3, market.KindInstrument: 800 + 557,
	})
	r.wantFiltered(t, map[string]int{
		"ticker without mark price, open interest and funding": 316, "ticker of spot": 81, "service message": 24,
		"header of the capture": 1, "connection opened": 2, "request of the collector": 24,
	})
	r.uniqueIDs(t)
	// Spot and linear send the same topics; the connection's address tells them apart.
	feeds := map[string]int{}
	b := r.chunk.Batches[market.KindBook]
	for i := range b.N {
		x := r.env.Insts.Get(b.Inst[i])
		feeds[fmt.Sprint(r.env.Feeds.Get(b.Feed[i]).Name, " ", x.Venue, " ", x.Symbol)]++
	}
	for name, want := range map[string]int{
		"bybit-linear perp BTC-USDT": 414, "bybit-linear perp ETH-USDT": 421,
		"bybit-spot spot BTC-USDT": 300, "bybit-spot spot ETH-USDT": 250,
	} {
		if feeds[name] != want {
			t.Errorf("%s: %d book messages, want %d", name, feeds[name], want)
		}
	}
}

// checkChain replays books and checks that update ids rise by one and that no book is
// crossed or deeper than its channel.
func checkChain(t *testing.T, name string) (messages int) {
	t.Helper()
	r := newReplay(Bybit)
	kept := books{}
	last := map[market.Inst]uint64{}
	r.each = func(c *market.Chunk) {
		b := c.Batches[market.KindBook]
		for i := 0; b != nil && i < b.N; i++ {
			messages++
			k := kept.apply(t, b, i)
			if k.Crossed() {
				t.Errorf("book of %s is crossed", r.env.Insts.Get(b.Inst[i]).Symbol)
			}
			// The venue deletes what falls out of the channel's depth.
			if n := max(k.Len(book.Bid), k.Len(book.Ask)); int64(n) > b.Cols[market.BookDepth].I64[i] {
				t.Errorf("%d levels in a book of %d", n, b.Cols[market.BookDepth].I64[i])
			}
			if delta := b.Cols[market.BookOrigin].I64[i] == market.OriginDelta; delta && b.Seq[i] != last[b.Inst[i]]+1 {
				t.Errorf("update %d follows %d", b.Seq[i], last[b.Inst[i]])
			}
			last[b.Inst[i]] = b.Seq[i]
		}
	}
	r.file(t, Bybit, name)
	r.wantBad(t)
	return messages
}

func TestBybit_ChainsAreGapFree(t *testing.T) {
	if n := checkChain(t, bybitCapture); n != 1385 {
		t.Errorf("%d messages", n)
	}
	if n := checkChain(t, bybitBook); n != 50 {
		t.Errorf("%d messages", n)
	}
}

// The captured instrument lists name base, quote and delivery of each symbol.
func TestBybit_SymbolsAgreeWithInstruments(t *testing.T) {
	r := replayFile(t, Bybit, bybitCapture)
	b := r.chunk.Batches[market.KindInstrument]
	futures := 0
	for i := range b.N {
		x := r.env.Insts.Get(b.Inst[i])
		want := string(b.Cols[market.InstrBase].Text(i)) + "-" + string(b.Cols[market.InstrQuote].Text(i))
		want = market.CleanSymbol(want)
		if c := &b.Cols[market.InstrDelistedTS]; !c.IsNull(i) {
			day := market.FormatTime(c.I64[i])
			want += "-" + day[2:4] + day[5:7] + day[8:10]
			futures++
		}
		if x.Symbol != want {
			t.Errorf("%v %s, want %s", x.Venue, x.Symbol, want)
		}
	}
	if futures != 40 {
		t.Errorf("%d dated futures", futures)
	}
}

func TestBybit_Symbols(t *testing.T) {
	for _, c := range []struct {
		line   bybitLine
		in     string
		venue  market.Venue
		symbol string
	}{
		{bybitSpot, "BTCUSDT", market.Spot, "BTC-USDT"},
		{bybitLinear, "BTCUSDT", market.Perp, "BTC-USDT"},
		{bybitLinear, "BTCPERP", market.Perp, "BTC-USDC"},
		{bybitLinear, "1000PEPEUSDT", market.Perp, "1000PEPE-USDT"},
		{bybitLinear, "BTC-26SEP25", market.Future, "BTC-USDC-250926"},
		{bybitLinear, "BTC-6JAN23", market.Future, "BTC-USDC-230106"},
		{bybitLinear, "BTCUSDT-26SEP25", market.Future, "BTC-USDT-250926"},
		{bybitInverse, "BTCUSD", market.Perp, "BTC-USD"},
		{bybitInverse, "AVAXUSD", market.Perp, "AVAX-USD"},
		{bybitInverse, "DOTUSD", market.Perp, "DOT-USD"},
		{bybitInverse, "BTCUSDU25", market.Future, "BTC-USD-250926"},
		{bybitInverse, "BTCUSDH24", market.Future, "BTC-USD-240329"},
		{bybitSpot, "币USDT", market.Spot, "X-e5b8812d55534454"},
	} {
		if v, s := bybitSymbol(c.line, []byte(c.in)); v != c.venue || s != c.symbol {
			t.Errorf("%d %s: got %v %s, want %v %s", c.line, c.in, v, s, c.venue, c.symbol)
		}
	}
}

func TestBybit_TickerKeepsWhatDeltasDoNotRepeat(t *testing.T) {
	r := newReplay(Bybit)
	for _, m := range []string{
		`{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","markPrice":"17217.33","indexPrice":"17227.36","openInterest":"68744.761","openInterestValue":"1183601235.91","nextFundingTime":"1673280000000","fundingRate":"-0.000212","fundingIntervalHour":"8","bid1Price":"17215.50"},"cs":24987956059,"ts":1673272861686}`,
		`{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","indexPrice":"17227.00"},"cs":24987956060,"ts":1673272861786}`,
		`{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","fundingRate":"0.0001"},"cs":24987956061,"ts":1673272861886}`,
		`{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","bid1Price":"17215.00"},"cs":24987956062,"ts":1673272861986}`,
	} {
		r.push(t, Record{Data: []byte(m), Ingest: market.NoTime, URL: "wss://stream.bybit.com/v5/public/linear"})
	}
	r.count()
	r.wantBad(t)
	r.wantEvents(t, map[market.Kind]int{market.KindMarkPrice: 2, market.KindOpenInterest: 1, market.KindFunding: 2})
	m, f := r.chunk.Batches[market.KindMarkPrice], r.chunk.Batches[market.KindFunding]
	if m.Cols[market.MarkPrice].I64[1] != 1721733 || m.Cols[market.MarkIndexPrice].I64[1] != 1722700 {
		t.Error("mark price after an index change")
	}
	if f.Cols[market.FundingRate].I64[0] != -212 || f.Cols[market.FundingNextTS].I64[1] != 1673280000000000 ||
		f.Cols[market.FundingInterval].I64[1] != 8*market.Hour || f.Cols[market.FundingForm].I64[1] != fundingPredicted {
		t.Error("funding")
	}
}

func TestBybit_DepthOne(t *testing.T) {
	r := newReplay(Bybit)
	for _, m := range []string{
		`{"topic":"orderbook.1.BTCUSDT","type":"snapshot","ts":1680673820717,"data":{"s":"BTCUSDT","b":[["28552.00","0.047"]],"a":[["28552.10","25.433"]],"u":7003305,"seq":50193540681}}`,
		`{"topic":"orderbook.1.BTCUSDT","type":"delta","ts":1680673821137,"data":{"s":"BTCUSDT","b":[["28552.00","0.012"]],"a":[],"u":7003306,"seq":50193543147}}`,
		`{"topic":"orderbook.1.BTCUSDT","type":"delta","ts":1680673821237,"data":{"s":"BTCUSDT","b":[["28552.00","0"],["28551.50","1"]],"a":[],"u":7003307,"seq":50193543148}}`,
		`{"topic":"orderbook.1.BTCUSDT","type":"snapshot","ts":1680673824237,"data":{"s":"BTCUSDT","b":[["28551.50","1"]],"a":[["28552.10","25.433"]],"u":7003307,"seq":50193543148}}`,
	} {
		r.push(t, Record{Data: []byte(m), Ingest: market.NoTime})
	}
	r.wantBad(t)
	b := r.chunk.Batches[market.KindQuote]
	bid, ask := b.Cols[market.QuoteBidPrice], b.Cols[market.QuoteAskPrice]
	if b.N != 4 || bid.I64[1] != 2855200 || bid.I64[2] != 2855150 || ask.I64[2] != 2855210 || b.Cols[market.QuoteBidQuantity].I64[1] != 12 {
		t.Errorf("bids %v, asks %v", bid.I64, ask.I64)
	}
	if b.ID[2] != b.ID[3] || b.ID[0] == b.ID[1] {
		t.Error("a snapshot sent again must have the id of what it repeats")
	}
}

func TestBybit_MarketWithoutAddress(t *testing.T) {
	const trade = `{"topic":"publicTrade.%[1]s","type":"snapshot","ts":1680673823566,"data":[{"T":1680673823564,"s":"%[1]s","S":"Buy","v":"5823","p":"28560.50","L":"PlusTick","i":"0cbf2330-952d-5d03-a462-4bf826c867af","BT":false}]}`
	for _, c := range []struct{ feed, url, symbol, want string }{
		{"", "", "BTCUSDT", "bybit-linear perp BTC-USDT"},
		{"", "", "BTCUSD", "bybit-inverse perp BTC-USD"},
		{"", "", "BTCUSDZ25", "bybit-inverse future BTC-USD-251226"},
		{"bybit-spot", "", "BTCUSDT", "bybit-spot spot BTC-USDT"},
		{"", "wss://stream.bybit.com/v5/public/spot", "BTCUSDT", "bybit-spot spot BTC-USDT"},
		{"my-line", "wss://stream.bybit.com/v5/public/inverse", "BTCUSD", "my-line perp BTC-USD"},
	} {
		env := Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments(), Feed: c.feed}
		var chunk market.Chunk
		if err := newBybit(env).Decode(&Record{Data: fmt.Appendf(nil, trade, c.symbol), Ingest: market.NoTime, URL: c.url}, &chunk); err != nil {
			t.Fatal(err)
		}
		b := chunk.Batches[market.KindTrade]
		x := env.Insts.Get(b.Inst[0])
		if got := fmt.Sprint(env.Feeds.Get(b.Feed[0]).Name, " ", x.Venue, " ", x.Symbol); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

func TestBybit_Liquidations(t *testing.T) {
	r := one(t, Bybit, Record{Ingest: market.NoTime, Data: []byte(`{"topic":"allLiquidation.ROSEUSDT","type":"snapshot","ts":1739502303204,"data":[{"T":1739502302929,"s":"ROSEUSDT","S":"Buy","v":"20000","p":"0.04499"},{"T":1739502302930,"s":"ROSEUSDT","S":"Sell","v":"1","p":"0.045"}]}`)})
	b := r.chunk.Batches[market.KindLiquidation]
	if b.N != 2 || b.Cols[market.LiqSide].I64[0] != market.SideSell || b.Cols[market.LiqSide].I64[1] != market.SideBuy {
		t.Error("a long is closed by a sell, a short by a buy")
	}
	r = one(t, Bybit, Record{Ingest: market.NoTime, Data: []byte(`{"data":{"price":"0.03803","side":"Buy","size":"1637","symbol":"GALAUSDT","updatedTime":1673251091822},"topic":"liquidation.GALAUSDT","ts":1673251091822,"type":"snapshot"}`)})
	if b = r.chunk.Batches[market.KindLiquidation]; b.N != 1 || b.EventTS[0] != 1673251091822000 || b.Cols[market.LiqSide].I64[0] != market.SideSell {
		t.Error("liquidation of the older channel")
	}
}

func TestBybit_REST(t *testing.T) {
	for msg, want := range map[string]map[market.Kind]int{
		`{"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[{"symbol":"BTCUSDT","fundingRate":"0.0001","fundingRateTimestamp":"1709884800000"},{"symbol":"BTCUSDT","fundingRate":"0.00015","fundingRateTimestamp":"1709856000000"}]},"time":1709891679050}`:                                                                 {market.KindFunding: 2},
		`{"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[{"execId":"a905d5c3","symbol":"BTCUSDT","price":"27450.50","size":"0.005","side":"Buy","time":"1709891679000","isBlockTrade":false},{"execId":"b905d5c3","symbol":"BTCUSDT","price":"1","size":"5","side":"Buy","time":"1709891679000","isBlockTrade":true}]}}`: {market.KindTrade: 1},
		`{"retCode":0,"result":{"category":"linear","symbol":"BTCUSDT","list":[["1709891679000","27450","27460","27440","27455","123.45","3390000"]]}}`:                                                                                                                                                                                   {},
		`{"retCode":0,"result":{"s":"BTCUSDT","b":[["27450.50","1.500"]],"a":[],"ts":1709891679000,"u":1234567,"seq":9876543}}`:                                                                                                                                                                                                           {},
		`{"retCode":10001,"retMsg":"params error","result":{}}`:       {},
		`{"success":true,"ret_msg":"pong","conn_id":"x","op":"ping"}`: {},
	} {
		r := one(t, Bybit, Record{Data: []byte(msg), Ingest: market.NoTime})
		r.wantBad(t)
		r.wantEvents(t, want)
	}
}

func TestBybit_BadMessages(t *testing.T) {
	for msg, want := range map[string]string{
		`{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1680673823566,"data":[{"T":1680673823564,"s":"BTCUSDT","S":"Buy","v":"1","p":"-1","i":"a","BT":false}]}`: badPrice,
		`{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1680673823566,"data":[{"T":1680673823564,"s":"BTCUSDT","S":"Buy","v":"0","p":"1","i":"a","BT":false}]}`:  badQuantity,
		`{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1680673823566,"data":[{"T":1,"s":"BTCUSDT","S":"Buy","v":"1","p":"1","i":"a","BT":false}]}`:              badTime,
		`{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1680673823566,"data":[{"T":1680673823564,"s":"BTCUSDT","S":"Long","v":"1","p":"1","i":"a"}]}`:            badField,
		`{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":168067382356600000,"data":[]}`:                                                                           badTime,
		`{"topic":"orderbook.1.BTCUSDT","type":"snapshot","ts":1680673820717,"data":{"s":"BTCUSDT","b":[["2","1"]],"a":[["1","1"]],"u":7,"seq":5}}`:                     badCrossed,
		`{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1680673820717,"data":{"s":"BTCUSDT","b":[["2","x"]],"a":[],"u":7,"seq":5}}`:                                badNumber,
		`{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1680673820717,"data":{"s":"BTCUSDT","b":[["2","1"]],"a":[],"seq":5}}`:                                      badField,
		`{"topic":"unheard.BTCUSDT","type":"delta","ts":1680673820717,"data":{}}`:                                                                                       badUnknown,
		`{"topic":"publicTrade.BTCUSDT"`: badJSON,
		`{}`:                             badUnknown,
		`7`:                              badField,
	} {
		if r := one(t, Bybit, Record{Data: []byte(msg), Ingest: market.NoTime}); len(r.bad) != 1 || r.bad[want] != 1 {
			t.Errorf("%s: got %v, want %q", msg, r.bad, want)
		}
	}
}
