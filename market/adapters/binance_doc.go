package adapters

import (
	"bytes"

	"github.com/pinova-group/tidemark/market"
)

// Binance is the adapter of Binance's socket messages and REST answers.
var Binance = &Adapter{
	Name: "binance",
	Doc: "Binance spot, USD-M, COIN-M and Binance.US: socket messages (combined streams or raw) and REST answers, " +
		"as lines \"<receive time ns> <json>\", bare JSON lines, {\"path\",\"query\",\"data\"} or raw captures. " +
		"The market is told by URL or path, else by the message's fields and symbol, else by its neighbours.",
	Framing:  Lines,
	Payloads: true,
	Detect:   detectBinance,
	New:      newBinance,
	Mapping:  binanceMapping,
}

var binanceMapping = []Mapping{
	{"trade", market.KindTrade, "id and seq t, price p, quantity q, time T; m (buyer is maker) true: taker sells"},
	{"trade with X other than MARKET", market.KindNone, "insurance fund, auto-deleveraging and other book-keeping prints are no market trades"},
	{"aggTrade", market.KindTrade, "feed <feed>-agg; id and seq a, prints l-f+1; where a is missing the id is l<l> and there is no seq"},
	{"depthUpdate", market.KindBook, "delta: first_seq U, seq u, prev_seq pu (futures); time T, spot E"},
	{"depthUpdate of a stream @depth5, @depth10, @depth20", market.KindBook, "feed <feed>-top, origin venue, depth from the stream's name: the whole top of the book each time"},
	{"bookTicker", market.KindQuote, "seq u; spot sends no time: receive time + clock offset, flag assumed; a side sent as price 0 and quantity 0 is empty (null)"},
	{"markPriceUpdate", market.KindMarkPrice, "price p, index_price i, settle_price P, time E"},
	{"markPriceUpdate with r and T", market.KindFunding, "form predicted, rate r, next_ts T; none for dated futures (T = 0)"},
	{"forceOrder", market.KindLiquidation, "side S of the forced order, time T; price is ap (average of the fills) and quantity z (filled so far) when positive, else the order's p and q"},
	{"kline", market.KindCandle, "time E, closed x, interval from open to close time; COIN-M volume is in contracts and notional null"},
	{"REST /depth and stream @depthSnapshot", market.KindBook, "origin rest, seq lastUpdateId, time T; spot sends no time: flag assumed; without symbol it belongs to the only symbol of the input"},
	{"stream @depth5, @depth10, @depth20 of spot (lastUpdateId, bids, asks)", market.KindBook, "feed <feed>-top, origin venue, flag assumed"},
	{"REST /trades, /historicalTrades", market.KindTrade, "id and seq id, time time, isBuyerMaker true: taker sells"},
	{"REST /aggTrades", market.KindTrade, "like aggTrade; symbol from the query"},
	{"REST /klines", market.KindCandle, "closed when the close time lies before the receive time or that is unknown; symbol from the query"},
	{"REST /fundingRate", market.KindFunding, "form settled, time fundingTime"},
	{"REST /premiumIndex", market.KindMarkPrice, "like markPriceUpdate"},
	{"REST /premiumIndex with lastFundingRate and nextFundingTime", market.KindFunding, "form predicted"},
	{"REST /openInterest, /openInterestHist and stream @openInterest", market.KindOpenInterest, "quantity openInterest or sumOpenInterest, notional sumOpenInterestValue (not COIN-M)"},
	{"REST /exchangeInfo", market.KindInstrument, "tick and lot from the filters, contract size, listing dates; time serverTime, on futures (stale) the receive time, flag assumed"},
	{"openInterestHist of a pair", market.KindNone, "a total over contracts, of no instrument"},
	{"24hrTicker, 24hrMiniTicker, 1hTicker, 4hTicker, 1dTicker, 7dTicker, avgPrice; REST /ticker/…, /avgPrice", market.KindNone, "rolling statistics: computed here from trades; polled best bid and ask have no update id"},
	{"continuous_kline, indexPrice_kline, markPrice_kline, compositeIndex, assetIndexUpdate, index; REST /indexPriceKlines, …", market.KindNone, "index and continuous-contract series: of no tradable instrument"},
	{"REST /futures/data/…Ratio, /basis, /fundingInfo, /time, /ping, …", market.KindNone, "no event of the catalogue"},
	{"options (symbols BASE-DATE-STRIKE-C|P; trade_all, depth, markPrice, openInterest)", market.KindNone, "option markets are not mapped yet"},
	{"contractInfo, tradingSession, serverShutdown", market.KindNone, "service notices"},
	{"{\"result\":…}", market.KindNone, "acknowledgement of a request"},
	{"{\"code\":…,\"msg\":…}", market.KindNone, "error answer of the venue"},
	{"capture lines header, connect, send", market.KindNone, "the collector's own"},
}

// binanceMarks are texts that only this venue's messages begin with, and how sure they make.
var binanceMarks = []struct {
	text string
	sure int
}{
	{`"e":"depthUpdate"`, 95}, {`"e":"bookTicker"`, 95}, {`"e":"aggTrade"`, 95}, {`"e":"trade"`, 95},
	{`"e":"kline"`, 90}, {`"e":"markPriceUpdate"`, 95}, {`"e":"forceOrder"`, 95}, {`"e":"24hr`, 90},
	{`"lastUpdateId":`, 85}, {`"fundingRate":`, 40}, {`"openInterest":`, 40}, {`"isBuyerMaker":`, 60},
	{`"estimatedSettlePrice":`, 80},
}

// detectBinance looks at the first lines: a mark at the front of any of them decides.
func detectBinance(head []byte) int {
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	if isCapture(head) {
		if x := captureExchange(head); x == "BINANCE" || x == "BINANCE_FUTURES" || x == "BINANCE_DELIVERY" || x == "BINANCE_US" {
			return 98
		}
		return 0
	}
	sure := 0
	for n := 0; n < 20 && len(head) > 0; n++ {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte("\n"))
		sure = max(sure, detectBinanceLine(line))
	}
	return sure
}

func detectBinanceLine(line []byte) int {
	line = trimSpace(line)
	i := digits(line, 0)
	if i > 0 && i < len(line) && line[i] == ' ' {
		line = line[i+1:]
	}
	if len(line) == 0 || line[0] != '{' && line[0] != '[' {
		return 0
	}
	line = line[:min(len(line), 400)]
	start := bytes.ReplaceAll(line, []byte(`": `), []byte(`":`))
	if bytes.HasPrefix(start, []byte(`{"exchange":`)) {
		if bytes.HasPrefix(start, []byte(`{"exchange":"binance"`)) && bytes.Contains(start, []byte(`"path":"`)) {
			return 98
		}
		return 0
	}
	if !binanceStarts(start) {
		return 0
	}
	sure := 0
	if bytes.HasPrefix(start, []byte(`{"stream":"`)) && bytes.Contains(start, []byte(`"data":`)) {
		sure = 80
	}
	if bytes.Contains(start, []byte(`"u":`)) && bytes.Contains(start, []byte(`"B":"`)) && bytes.Contains(start, []byte(`"A":"`)) {
		sure = 80
	}
	for _, m := range binanceMarks {
		if m.sure > sure && bytes.Contains(start, []byte(m.text)) {
			sure = m.sure
		}
	}
	return sure
}

// binanceStarts reports whether the first member of a line, or of its first element, is
// one that the venue's messages begin with.
func binanceStarts(line []byte) bool {
	k := scan{b: bytes.TrimLeft(line, "[{ ")}
	name, ok := k.str()
	if !ok || len(name) <= 2 {
		return ok
	}
	switch string(name) {
	case "stream", "data", "lastUpdateId", "symbol", "id", "path", "method", "query", "timezone", "fundingRate", "fundingTime",
		"result", "markPrice", "indexPrice", "estimatedSettlePrice", "openInterest", "sumOpenInterest", "asks", "bids":
		return true
	}
	return false
}
