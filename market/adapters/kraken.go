package adapters

import (
	"bytes"
	"strings"

	"github.com/pinova-group/tidemark/market"
)

// Kraken reads Kraken's spot WebSocket v1 as lines: captures or bare messages.
var Kraken = &Adapter{
	Name:     "kraken",
	Doc:      "Kraken spot, WebSocket v1: captures or one message a line; REST answers in captures",
	Framing:  Lines,
	Payloads: true,
	Detect:   detectKraken,
	New:      newKraken,
	Mapping: append([]Mapping{
		{"trade", market.KindTrade, "no trade id on this channel: the id is made of the row and its ordinal; side is the taker's"},
		{"book-N as, bs", market.KindBook, "snapshot of depth N; it has no time of its own: that of the newest level, or shortly before the newest book event of the connection, assumed"},
		{"book-N a, b", market.KindBook, "delta with checksum c; event time is the newest level's; cut to N levels after each message"},
		{"spread", market.KindQuote, ""},
		{"ohlc-N", market.KindCandle, "open time is end − N minutes; never marked closed, the last update of a minute stands"},
		{"ticker", market.KindNone, "has no time; best prices come from spread and book"},
		{"heartbeat, systemStatus, subscriptionStatus, pong", market.KindNone, "service messages"},
	}, krakenRESTMapping...),
}

// KrakenREST reads one REST answer of Kraken, which may span many lines.
var KrakenREST = &Adapter{
	Name:     "kraken-rest",
	Doc:      "Kraken spot, one REST answer: /0/public/Trades, OHLC, AssetPairs",
	Framing:  Whole,
	Payloads: true,
	Detect:   detectKrakenREST,
	New:      newKraken,
	Mapping:  krakenRESTMapping,
}

var krakenRESTMapping = []Mapping{
	{"GET Trades", market.KindTrade, "seq and id are the trade id; times are decimal seconds, cut to the microsecond"},
	{"GET OHLC", market.KindCandle, "event time is the candle's last microsecond; the last row is still open"},
	{"GET AssetPairs", market.KindInstrument, "effective when asked for; pairs without wsname (dark pools) are left out"},
	{"GET Depth", market.KindNone, "has no update id: it cannot be placed in the chain of updates"},
	{"GET Ticker, Spread, Assets, Time, SystemStatus, error answers", market.KindNone, "statistics, quotes without sizes, service answers"},
}

type kraken struct {
	session
	syms  symbols
	books map[string]int64 // greatest event time of book messages by connection
}

func newKraken(env Env) Decoder {
	return &kraken{session: newSession(env), books: map[string]int64{}}
}

func detectKraken(head []byte) int {
	switch captureExchange(head) {
	case "KRAKEN":
		return 100
	case "":
	default:
		return 0
	}
	line, _, _ := bytes.Cut(trimSpace(head), []byte("\n"))
	var part [6][]byte
	if n := tuple(trimSpace(line), part[:]); n != 4 && n != 5 {
		return 0
	} else if _, ok := jsonInt(part[0]); !ok || !bytes.ContainsRune(part[n-1], '/') {
		return 0
	} else if name, _, _ := strings.Cut(string(unquoted(part[n-2])), "-"); !strings.Contains(" trade book spread ohlc ticker ", " "+name+" ") {
		return 0
	}
	return 90
}

func detectKrakenREST(head []byte) int {
	s := scan{b: trimSpace(head)}
	if !s.take('{') {
		return 0
	}
	if k, ok := s.key(); !ok || string(k) != "error" || !s.take('[') {
		return 0
	}
	for s.peek() == '"' && s.skipString() && s.take(',') {
	}
	if !s.take(']') || !s.take(',') {
		return 0
	}
	if k, ok := s.key(); !ok || string(k) != "result" {
		return 0
	}
	return 95
}

// Decode implements Decoder.
func (d *kraken) Decode(rec *Record, out *market.Chunk) error {
	if err := d.open(rec, out); err != nil {
		return err
	}
	if d.rec.Data[0] == '[' {
		return d.close(d.channel(d.rec.Data))
	}
	return d.close(d.object(d.rec.Data))
}

func (d *kraken) lane(pair []byte) *lane {
	return d.syms.get(pair, func(pair []byte) *lane {
		return d.lanes.get("kraken-spot", "", "kraken", market.Spot, krakenSymbol(pair))
	})
}

// krakenQuotes are the assets that end an undivided pair, longer ones first. The
// general list does not serve: BATUSD is not BA-TUSD here.
var krakenQuotes = []string{"USDT", "USDC", "USD", "EUR", "GBP", "JPY", "CAD", "AUD", "CHF", "DAI", "XBT", "ETH", "DOT"}

// krakenSymbol makes the canonical symbol of a pair: XBT/USD on sockets, XBTUSD or
// XXBTZUSD (assets with the prefix X or Z) over REST.
func krakenSymbol(pair []byte) string {
	if len(pair) > 64 || bytes.IndexByte(pair, '/') >= 0 {
		return canonical(pair)
	}
	if len(pair) == 8 && krakenPrefixed(pair[5:], pair[4]) {
		if base := pair[:4]; base[0] == 'X' || base[0] == 'Z' {
			return canonical([]byte(string(base[1:]) + "/" + string(pair[5:])))
		} else if string(base) == "USDT" {
			return canonical([]byte("USDT/" + string(pair[5:])))
		}
	}
	for _, q := range krakenQuotes {
		if base, ok := bytes.CutSuffix(pair, []byte(q)); ok && len(base) > 0 {
			return canonical([]byte(string(base) + "/" + q))
		}
	}
	return canonical(pair)
}

// krakenPrefixed reports whether asset is a quote that Kraken writes with a prefix.
func krakenPrefixed(asset []byte, prefix byte) bool {
	switch string(asset) {
	case "XBT", "ETH":
		return prefix == 'X'
	case "USD", "EUR", "GBP", "JPY", "CAD", "AUD":
		return prefix == 'Z'
	}
	return false
}

// channel decodes [id, payload, (payload,) channel, pair].
func (d *kraken) channel(b []byte) bool {
	var part [6][]byte
	n := tuple(b, part[:])
	if n != 4 && n != 5 {
		return n >= 0 && d.fail(badUnknown, b)
	}
	name, ok1 := jsonText(part[n-2])
	pair, ok2 := jsonText(part[n-1])
	if !ok1 || !ok2 {
		return false
	}
	kind, arg, _ := bytes.Cut(name, []byte("-"))
	if string(kind) == "ticker" {
		return d.drop("ticker: has no time")
	}
	l := d.lane(pair)
	if l == nil {
		return d.fail(badManyInst, pair)
	}
	number, isNum := jsonInt(arg)
	switch string(kind) {
	case "trade":
		return elements(part[1], func(row []byte) bool { return d.trade(l, row) })
	case "book":
		return isNum && d.bookMessage(l, part[1:n-2], number)
	case "spread":
		return d.spread(l, part[1])
	case "ohlc":
		return isNum && d.ohlc(l, part[1], number)
	}
	return d.fail(badUnknown, name)
}

// trade decodes [price, volume, time, side, order type, misc(, id)].
func (d *kraken) trade(l *lane, row []byte) bool {
	var f [7][]byte
	n := tuple(row, f[:])
	if n != 6 && n != 7 {
		return false
	}
	var t tradeRow
	var ok bool
	if t.price, ok = jsonDec(f[0]); !ok {
		return d.fail(badNumber, row)
	}
	if t.qty, ok = jsonDec(f[1]); !ok {
		return d.fail(badNumber, row)
	}
	if why := t.check(); why != "" {
		return d.fail(why, row)
	}
	ts, ok := secondsText(unquoted(f[2]))
	if !ok || !d.when(ts) {
		return d.fail(badTime, row)
	}
	switch string(unquoted(f[3])) {
	case "b":
		t.side = market.SideBuy
	case "s":
		t.side = market.SideSell
	default:
		return d.fail(badField, row)
	}
	t.prints = 1
	id := int64(0)
	if n == 7 {
		if id, ok = jsonInt(f[6]); !ok {
			return d.fail(badField, row)
		}
	}
	e := d.event(l, ts)
	if id > 0 {
		d.number(e, l, market.KindTrade, id)
		t.id = unquoted(f[6])
	} else {
		e.ID = d.payloadID(l, market.KindTrade, row)
	}
	d.appendTrade(&t, e)
	return true
}

// spread decodes [bid, ask, time, bid volume, ask volume].
func (d *kraken) spread(l *lane, b []byte) bool {
	var f [5][]byte
	if tuple(b, f[:]) != 5 {
		return false
	}
	q := quoteRow{hasBid: true, hasAsk: true}
	var ok [4]bool
	q.bid, ok[0] = jsonDec(f[0])
	q.ask, ok[1] = jsonDec(f[1])
	q.bidQty, ok[2] = jsonDec(f[3])
	q.askQty, ok[3] = jsonDec(f[4])
	if ok != [4]bool{true, true, true, true} {
		return d.fail(badNumber, b)
	}
	// An empty side is sent as zeros.
	q.hasBid = q.bid.M != 0 || q.bidQty.M != 0
	q.hasAsk = q.ask.M != 0 || q.askQty.M != 0
	if why := q.check(); why != "" {
		return d.fail(why, b)
	}
	ts, isTime := secondsText(unquoted(f[2]))
	if !isTime || !d.when(ts) {
		return d.fail(badTime, b)
	}
	e := d.event(l, ts)
	e.ID = d.payloadID(l, market.KindQuote, b)
	q.append(d.out.Batch(market.KindQuote), e)
	return true
}

// ohlc decodes [time, end, open, high, low, close, vwap, volume, count].
func (d *kraken) ohlc(l *lane, b []byte, minutes int64) bool {
	var f [9][]byte
	if tuple(b, f[:]) != 9 || minutes > 1<<20 {
		return false
	}
	ts, ok1 := secondsText(unquoted(f[0]))
	end, ok2 := secondsText(unquoted(f[1]))
	if !ok1 || !ok2 || !d.when(ts) {
		return d.fail(badTime, b)
	}
	r := bar{interval: minutes * market.Minute, open: end - minutes*market.Minute}
	return d.candle(l, &r, [6][]byte{f[2], f[3], f[4], f[5], f[7], f[8]}, ts, 0, b)
}

// candle reads open, high, low, close, volume, count into r and appends it.
func (d *kraken) candle(l *lane, r *bar, f [6][]byte, ts int64, flags uint8, row []byte) bool {
	var ok [6]bool
	r.o, ok[0] = jsonDec(f[0])
	r.h, ok[1] = jsonDec(f[1])
	r.l, ok[2] = jsonDec(f[2])
	r.c, ok[3] = jsonDec(f[3])
	r.v, ok[4] = jsonDec(f[4])
	r.trades, ok[5] = jsonInt(f[5])
	if ok != [6]bool{true, true, true, true, true, true} {
		return d.fail(badNumber, row)
	}
	if why := r.check(); why != "" {
		return d.fail(why, row)
	}
	e := d.event(l, ts)
	e.Flags |= flags
	e.ID = d.ids.nums(l, market.KindCandle, "", r.open, r.interval, r.trades, boolInt(r.closed))
	r.append(d.out.Batch(market.KindCandle), e)
	return true
}

// State implements Decoder.
func (d *kraken) State(s *State) {
	d.state(s)
	connEntries(s, &d.books, s.Int)
}
