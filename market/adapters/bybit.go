package adapters

import (
	"bytes"
	"strings"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// Bybit reads Bybit v5: captures or one message or REST answer a line.
var Bybit = &Adapter{
	Name: "bybit",
	Doc: "Bybit v5: captures, or one WebSocket message or REST answer a line. Topics are named alike on spot and " +
		"contracts: the connection's address or the feed tells the market; without both a symbol in USD is inverse, " +
		"all others are linear",
	Framing:  Lines,
	Payloads: true,
	Detect:   detectBybit,
	New:      newBybit,
	Mapping: []Mapping{
		{"orderbook.N, N > 1", market.KindBook, "seq u, which rises by one; event time cts, the matching time, else ts; depth N. u = 1 is a restart. Subscribe one depth of a symbol: each has numbers of its own"},
		{"orderbook.1", market.KindQuote, "best prices; a delta keeps the side that it does not name"},
		{"publicTrade", market.KindTrade, "id i; no seq, because several trades share the venue's; side is the taker's"},
		{"publicTrade with BT true", market.KindNone, "block trade, agreed off the book"},
		{"tickers of contracts with markPrice or indexPrice", market.KindMarkPrice, "deltas carry what changed, the other price is the last one sent"},
		{"tickers of contracts with openInterest", market.KindOpenInterest, "notional openInterestValue on linear"},
		{"tickers of perpetuals with fundingRate or nextFundingTime", market.KindFunding, "form predicted, interval fundingIntervalHour"},
		{"kline", market.KindCandle, "event time timestamp, closed confirm; on inverse no notional, the turnover is in coin"},
		{"allLiquidation, liquidation", market.KindLiquidation, "the venue names the side of the position: Buy is a long, closed by a sell; price is the bankruptcy price"},
		{"GET instruments-info", market.KindInstrument, "effective when asked for"},
		{"GET funding/history", market.KindFunding, "form settled"},
		{"GET recent-trade", market.KindTrade, "like publicTrade"},
		{"GET orderbook", market.KindNone, "numbered like another stream than the one that is kept"},
		{"GET kline, tickers, time, …", market.KindNone, "no interval in the answer; statistics"},
		{"tickers of spot, other tickers messages", market.KindNone, "statistics"},
		{"orderbook.rpi, kline_lt, tickers_lt, lt, insurance, adlAlert, priceLimit, system.status", market.KindNone, "other quantities, tokens, service messages"},
		{"options", market.KindNone, "not mapped yet"},
		{"answers to subscribe, ping, auth; error answers", market.KindNone, "service messages"},
	},
}

// bybitLine is one of Bybit's markets.
type bybitLine uint8

const (
	bybitUnknown bybitLine = iota
	bybitSpot
	bybitLinear
	bybitInverse
	bybitOption

	numBybitLines
)

var bybitFeeds = [numBybitLines]string{bybitSpot: "bybit-spot", bybitLinear: "bybit-linear", bybitInverse: "bybit-inverse"}

type bybit struct {
	session
	syms    [numBybitLines]symbols
	fixed   bybitLine // of the user's feed
	url     string    // last one and its market
	urlLine bybitLine
	line    bybitLine // of the record, where it is known
	on      bybitLine // of the last lane
	tickers map[*lane]*bybitTicker
	quotes  map[*lane]*quoteRow
}

func newBybit(env Env) Decoder {
	d := &bybit{session: newSession(env), tickers: map[*lane]*bybitTicker{}, quotes: map[*lane]*quoteRow{}}
	for i, f := range bybitFeeds {
		if f != "" && f == env.Feed {
			d.fixed = bybitLine(i)
		}
	}
	return d
}

var bybitTopics = []string{"orderbook.", "publicTrade.", "tickers.", "kline.", "allLiquidation.", "liquidation."}

func detectBybit(head []byte) int {
	switch captureExchange(head) {
	case "BYBIT":
		return 100
	case "":
	default:
		return 0
	}
	line, _, _ := bytes.Cut(trimSpace(head), []byte("\n"))
	if len(line) == 0 || line[0] != '{' {
		return 0
	}
	line = line[:min(len(line), 400)]
	for _, t := range bybitTopics {
		if bytes.Contains(line, []byte(`"topic":"`+t)) {
			return 95
		}
	}
	if bytes.HasPrefix(line, []byte(`{"retCode":`)) {
		return 80
	}
	return 0
}

// Decode implements Decoder.
func (d *bybit) Decode(rec *Record, out *market.Chunk) error {
	if err := d.open(rec, out); err != nil {
		return err
	}
	if d.rec.URL != d.url {
		d.url, d.urlLine = d.rec.URL, bybitURL(d.rec.URL)
	}
	if d.line = d.urlLine; d.line == bybitUnknown {
		d.line = d.fixed
	}
	return d.close(d.message(d.rec.Data))
}

// bybitURL reads the market from a socket's path or a call's category.
func bybitURL(url string) bybitLine {
	for i, name := range [numBybitLines]string{bybitSpot: "spot", bybitLinear: "linear", bybitInverse: "inverse", bybitOption: "option"} {
		if name != "" && (strings.HasSuffix(url, "/public/"+name) || strings.Contains(url, "category="+name)) {
			return bybitLine(i)
		}
	}
	return bybitUnknown
}

// lane returns the lane of a symbol, nil after noting why there is none.
func (d *bybit) lane(symbol []byte) *lane {
	line := d.line
	if line == bybitUnknown {
		line = bybitGuess(symbol)
	}
	if line == bybitOption {
		d.drop("options")
		return nil
	}
	d.on = line
	l := d.syms[line].get(symbol, func(symbol []byte) *lane {
		if len(symbol) == 0 {
			return nil
		}
		v, name := bybitSymbol(line, symbol)
		return d.lanes.get(bybitFeeds[line], "", "bybit", v, name)
	})
	if l == nil {
		d.fail(badSymbol, symbol)
	}
	return l
}

func (d *bybit) message(b []byte) bool {
	var f [10][]byte
	if !pick(b, f[:], "topic", "type", "ts", "data", "cts", "cs", "op", "retCode", "result", "success") {
		return false
	}
	topic, ok := jsonText(f[0])
	switch {
	case f[0] != nil && !ok:
		return false
	case f[0] == nil && f[7] != nil && f[6] == nil:
		return d.answer(f[7], f[8])
	case f[0] == nil && (f[6] != nil || f[9] != nil):
		return d.drop("service message")
	case f[0] == nil:
		return d.fail(badUnknown, b)
	}
	m := bybitMessage{delta: string(f[1]) == `"delta"`, data: f[3], cs: f[5]}
	if m.ts, ok = jsonMilli(f[2]); !ok {
		m.ts = market.NoTime
	}
	if m.cts, ok = jsonMilli(f[4]); !ok {
		m.cts = m.ts
		if f[4] != nil {
			m.ts, m.cts = market.NoTime, market.NoTime
		}
	}
	return d.push(topic, &m)
}

// push decodes the message of a topic.
func (d *bybit) push(topic []byte, m *bybitMessage) bool {
	kind, symbol, _ := bytes.Cut(topic, []byte{'.'})
	switch string(kind) {
	case "orderbook", "publicTrade", "tickers", "kline", "allLiquidation", "liquidation":
		if m.ts == market.NoTime {
			return d.fail(badTime, d.rec.Data)
		}
	case "kline_lt", "tickers_lt", "lt", "insurance", "adlAlert", "priceLimit", "system":
		return d.drop("leveraged tokens and service messages")
	}
	switch string(kind) {
	case "orderbook":
		return d.orderbook(symbol, m)
	case "publicTrade":
		return elements(m.data, d.trade)
	case "tickers":
		return d.ticker(symbol, m)
	case "kline":
		_, symbol, _ = bytes.Cut(symbol, []byte{'.'})
		return d.klines(symbol, m)
	case "allLiquidation":
		return elements(m.data, func(v []byte) bool { return d.liquidation(v, "s", "S", "p", "v", "T") })
	case "liquidation":
		return d.liquidation(m.data, "symbol", "side", "price", "size", "updatedTime")
	}
	return d.fail(badUnknown, topic)
}

// bybitMessage is the envelope of a push.
type bybitMessage struct {
	delta   bool
	ts, cts int64
	data    []byte
	cs      []byte
}

// orderbook decodes a message of the book of depth N: orderbook.N.SYMBOL.
func (d *bybit) orderbook(rest []byte, m *bybitMessage) bool {
	number, symbol, _ := bytes.Cut(rest, []byte{'.'})
	depth, ok := jsonInt(number)
	if !ok {
		if string(number) == "rpi" {
			return d.drop("book of retail orders")
		}
		return d.fail(badUnknown, rest)
	}
	r := &d.book
	r.reset()
	r.depth = depth
	var u, seq int64
	var s scan
	ok = members(m.data, func(name, v []byte) bool {
		ok := true
		switch string(name) {
		case "b":
			s = scan{b: v}
			ok = s.levels(&r.bids, maxLevels)
		case "a":
			s = scan{b: v}
			ok = s.levels(&r.asks, maxLevels)
		case "u":
			u, ok = jsonInt(v)
		case "seq":
			seq, ok = jsonInt(v)
		}
		return ok
	})
	why := s.why
	if ok {
		why = r.check()
	}
	if why != "" {
		return d.fail(why, m.data)
	}
	if !ok || u == 0 {
		return d.fail(badField, m.data)
	}
	l := d.lane(symbol)
	if l == nil {
		return true
	}
	d.when(m.cts)
	if depth == 1 {
		return d.bestPrices(l, m, u, seq)
	}
	mark := "d"
	if !m.delta {
		mark, r.origin = "s", market.OriginVenue
	}
	e := d.event(l, m.cts)
	e.Seq, e.HasSeq = uint64(u), true
	// With seq: after a restart u begins anew at 1.
	e.ID = d.ids.nums(l, market.KindBook, mark, depth, u, seq)
	r.append(d.out.Batch(market.KindBook), e)
	return true
}

// bestPrices makes a quote of a message of depth 1. The venue sends a snapshot again
// after 3 s without a change: the same number, so the same id.
func (d *bybit) bestPrices(l *lane, m *bybitMessage, u, seq int64) bool {
	q := d.quotes[l]
	if q == nil {
		q = &quoteRow{}
		d.quotes[l] = q
	}
	if !m.delta {
		*q = quoteRow{}
	}
	next := *q
	bestOf(&d.book.bids, &next.bid, &next.bidQty, &next.hasBid)
	bestOf(&d.book.asks, &next.ask, &next.askQty, &next.hasAsk)
	if why := next.check(); why != "" {
		return d.fail(why, m.data)
	}
	*q = next
	e := d.event(l, m.cts)
	e.Seq, e.HasSeq = uint64(u), true
	e.ID = d.ids.nums(l, market.KindQuote, "", u, seq)
	q.append(d.out.Batch(market.KindQuote), e)
	return true
}

// bestOf takes the best level of a side into a quote: the first one that is not deleted.
func bestOf(s *bookSide, price, qty *num.Dec, has *bool) {
	for i := range s.len() {
		if p, q := s.level(i); q.M != 0 {
			*price, *qty, *has = p, q, true
			return
		} else if *has && p == *price {
			*has = false
		}
	}
}
