package adapters

import (
	"bytes"
	"errors"
	"strings"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// Members by which an object without event type is told.
var binObject = []string{
	"stream", "data", "path", "query", "exchange", "lastUpdateId", "symbols", "openInterest", "sumOpenInterest",
	"markPrice", "fundingRate", "result", "code", "msg", "bidPrice", "price", "priceChange", "serverTime",
}

const (
	objStream = iota
	objData
	objPath
	objQuery
	objExchange
	objLastUpdateID
	objSymbols
	objOpenInterest
	objSumOpenInterest
	objMarkPrice
	objFundingRate
	objResult
	objCode
	objMsg
	objBidPrice
	objPrice
	objPriceChange
	objServerTime
)

const maxNested = 4 // wrappers around a message

// object decodes an object that names no event type: a wrapper, a REST answer, an
// acknowledgement.
func (d *binance) object(b []byte, c *binCtx) (err error, ok bool) {
	vals := make([][]byte, len(binObject))
	s := scan{b: b}
	if !s.object(binObject, vals) || !s.end() {
		return nil, false
	}
	has := func(i int) bool { return vals[i] != nil }
	if c.nested++; c.nested > maxNested {
		return Bad(badUnknown, b), true
	}
	switch {
	case has(objStream) && has(objData):
		c.stream = rawText(vals[objStream])
		return d.message(vals[objData], c)
	case has(objPath) && has(objData):
		if x := rawText(vals[objExchange]); len(x) > 0 && string(x) != "binance" {
			return Bad(badUnknown, b), true
		}
		c.place = d.market.locate(string(rawText(vals[objPath]))+"?"+string(rawText(vals[objQuery])), "")
		return d.message(vals[objData], c)
	case has(objCode) && has(objMsg):
		return Filtered("error answer of the venue"), true
	case c.place.rest() != "":
		return d.rest(c.place.rest(), b, c)
	case has(objLastUpdateID):
		return d.restDepth(b, c)
	case has(objSymbols):
		return d.exchangeInfo(b, c)
	case has(objOpenInterest), has(objSumOpenInterest):
		return d.openInterest(b, c)
	case has(objMarkPrice):
		return d.premiumIndex(b, c)
	case has(objFundingRate):
		return d.fundingRate(b, c)
	case has(objResult):
		return Filtered("acknowledgement"), true
	case has(objBidPrice), has(objPrice), has(objPriceChange):
		return Filtered("polled ticker"), true
	case has(objServerTime):
		return Filtered("server time"), true
	}
	return Bad(badUnknown, b), true
}

// rest is the name of the REST route, "" for a socket.
func (p binPlace) rest() string {
	for _, root := range [...]string{"/api/v", "/fapi/v", "/dapi/v"} {
		if rest, ok := strings.CutPrefix(p.path, root); ok {
			_, name, _ := strings.Cut(rest, "/")
			return name
		}
	}
	name, _ := strings.CutPrefix(p.path, "/futures/data/")
	if name == p.path {
		return ""
	}
	return name
}

// rest decodes the answer of a named route: one object, or an element of its list.
func (d *binance) rest(name string, b []byte, c *binCtx) (err error, ok bool) {
	switch name {
	case "depth":
		return d.restDepth(b, c)
	case "trades", "historicalTrades":
		return d.restTrade(b, c)
	case "aggTrades":
		return d.restAggTrade(b, c)
	case "klines":
		return d.restKline(b, c)
	case "fundingRate":
		return d.fundingRate(b, c)
	case "premiumIndex":
		return d.premiumIndex(b, c)
	case "openInterest", "openInterestHist":
		return d.openInterest(b, c)
	case "exchangeInfo":
		return d.exchangeInfo(b, c)
	case "ping", "time", "avgPrice", "fundingInfo", "uiKlines", "indexInfo", "constituents", "assetIndex", "basis",
		"insuranceBalance", "markPriceKlines", "indexPriceKlines", "premiumIndexKlines", "continuousKlines":
		return Filtered("REST answer that is not mapped: " + name), true
	}
	if strings.HasPrefix(name, "ticker") || strings.HasSuffix(strings.ToLower(name), "ratio") {
		return Filtered("REST answer that is not mapped: " + name), true
	}
	return Bad(badUnknown, []byte(name)), true
}

// list decodes a list of messages or the list that a REST route answers with. What is
// wrong with one element does not touch the others.
func (d *binance) list(b []byte, c *binCtx) (err error, ok bool) {
	s := scan{b: b}
	if bytes.IndexByte(b, '\\') >= 0 && !c.normal {
		return nil, false
	}
	if !s.skip(64) || !s.end() {
		return nil, false
	}
	s = scan{b: b}
	s.take('[')
	if s.take(']') {
		return Filtered("empty list"), true
	}
	if c.nested++; c.nested > maxNested {
		return Bad(badUnknown, b), true
	}
	var bad problems
	var dropped error
	for n := 0; ; n++ {
		el, _ := s.raw()
		if n >= maxRows {
			bad.add(badManyRows, el)
			break
		}
		before := c.rows
		switch err, ok := d.element(el, c); {
		case !ok:
			bad.add(d.whyNot(), el)
		case errors.Is(err, errHold): // the first element tells for all: they come from one request
			if n == 0 {
				return err, true
			}
			bad.add(badMarket, el)
		default:
			if x, ok := errors.AsType[*BadRecord](err); ok {
				bad.add(x.Reason, []byte(x.Detail))
			} else if err != nil && c.rows == before {
				dropped = err
			}
		}
		if again, _ := s.more(']'); !again {
			break
		}
	}
	if err := bad.err(); err != nil || c.rows > 0 {
		return err, true
	}
	return dropped, true
}

// element decodes one element of a list.
func (d *binance) element(el []byte, c *binCtx) (err error, ok bool) {
	if name := c.place.rest(); name != "" {
		return d.rest(name, el, c)
	}
	if el[0] == '[' {
		return d.restKline(el, c)
	}
	if !d.msg.read(el) {
		return nil, false
	}
	f := &d.msg
	switch {
	case f.has('e'):
		return d.event(c)
	case f.has('a') && f.has('p') && f.has('f'):
		return d.restAggTrade(el, c)
	case f.long:
		vals := make([][]byte, 2)
		if s := (scan{b: el}); s.object([]string{"isBuyerMaker", "qty"}, vals) && vals[0] != nil && vals[1] != nil {
			return d.restTrade(el, c)
		}
		return d.object(el, c)
	}
	return Bad(badUnknown, el), true
}

// whyNot is the reason for an element that could not be read.
func (d *binance) whyNot() string {
	if d.msg.why != "" {
		return d.msg.why
	}
	return badField
}

// target gives the instrument of a REST answer: by the symbol in it, in the query, in
// the stream's name, or as the only one that the input has shown in its market.
func (d *binance) target(c *binCtx, symbol []byte, guess func(symbol []byte) binLine) (*binInst, error) {
	if len(symbol) == 0 {
		symbol = []byte(queryValue(c.place.query, "symbol"))
	}
	if name, _, ok := bytes.Cut(c.stream, []byte("@")); len(symbol) == 0 && ok {
		symbol = bytes.ToUpper(name)
	}
	if len(symbol) > 0 {
		return d.resolve(c, symbol, guess(symbol))
	}
	line := c.place.line
	if line == binUnknown {
		line = guess(nil)
	}
	if line == binUnknown || len(d.market.by[line]) == 0 {
		return nil, errHold
	}
	return d.resolve(&binCtx{place: binPlace{line: line}}, d.market.sole(line), line)
}

// restDepth: a whole book at update lastUpdateId. Futures send the time of the last
// transaction T; spot sends none. Streams @depth5, 10 and 20 of spot look the same.
func (d *binance) restDepth(b []byte, c *binCtx) (err error, ok bool) {
	var vals [6][]byte
	s := scan{b: b}
	if !s.object([]string{"lastUpdateId", "T", "E", "symbol", "bids", "asks"}, vals[:]) || !s.end() {
		return nil, false
	}
	guess := d.market.neighbour
	switch {
	case vals[1] != nil || vals[2] != nil:
		guess = usdm
	case partialDepth(c.stream) > 0: // futures send partial books as depthUpdate
		guess = spot
	}
	x, err := d.target(c, rawText(vals[3]), guess)
	if err != nil {
		return err, true
	}
	id, ok := rawInt(vals[0])
	if !ok || vals[4] == nil || vals[5] == nil {
		return nil, false
	}
	r := &d.book
	r.reset()
	r.origin = market.OriginREST
	bids, asks := scan{b: vals[4]}, scan{b: vals[5]}
	if !bids.levels(&r.bids, maxLevels) || !asks.levels(&r.asks, maxLevels) {
		d.msg.why = bids.why + asks.why
		return nil, false
	}
	l := x.main
	if n := partialDepth(c.stream); n > 0 {
		l, r.origin, r.depth = d.market.tops(x), market.OriginVenue, n
	}
	why := r.check()
	if why == "" && r.crossed() {
		why = "book is crossed"
	}
	if why != "" {
		return Bad(why, b), true
	}
	e, why := d.timed(c, x, l, vals[1], vals[2])
	if why != "" {
		return Bad(why, b), true
	}
	e.Seq, e.HasSeq = uint64(id), true
	e.ID = d.ids.num(l, market.KindBook, "s", e.Seq)
	r.append(c.out.Batch(market.KindBook), e)
	return nil, true
}

func usdm([]byte) binLine { return binUSDM }
func spot([]byte) binLine { return binSpot }

// timed readies an envelope at the first of the times that was sent, else at an assumed
// time; it returns what is wrong, or "".
func (d *binance) timed(c *binCtx, x *binInst, l *lane, times ...[]byte) (*market.Envelope, string) {
	for _, t := range times {
		if t == nil {
			continue
		}
		v, ok := rawInt(t)
		if !ok {
			return nil, badTime
		}
		ts, ok := d.when(x.line, v)
		if !ok {
			return nil, badTime
		}
		return d.row(c, l, ts), ""
	}
	ts, ok := d.assume(c, x)
	if !ok {
		return nil, badNoTime
	}
	e := d.row(c, l, ts)
	e.Flags = market.FlagAssumed
	return e, ""
}

// restTrade: an element of /trades: id, price, qty, time, isBuyerMaker.
func (d *binance) restTrade(b []byte, c *binCtx) (err error, ok bool) {
	var vals [6][]byte
	s := scan{b: b}
	if !s.object([]string{"id", "price", "qty", "time", "isBuyerMaker", "isBestMatch"}, vals[:]) {
		return nil, false
	}
	guess := usdm
	if vals[5] != nil {
		guess = spot
	}
	x, err := d.target(c, nil, guess)
	if err != nil {
		return err, true
	}
	var row tradeRow
	var ok1, ok2, ok3, ok4 bool
	row.price, ok1 = rawDec(vals[1])
	row.qty, ok2 = rawDec(vals[2])
	id, ok3 := rawInt(vals[0])
	t, ok4 := rawInt(vals[3])
	m := scan{b: vals[4]}
	maker, ok5 := m.bool()
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return nil, false
	}
	row.side = takerSide(maker)
	if why := d.appendTrade(c, x, x.main, tradeID{id, true, 1}, t, &row); why != "" {
		return Bad(why, b), true
	}
	return nil, true
}

// restAggTrade: an element of /aggTrades, which has the members of the socket message
// but for the symbol.
func (d *binance) restAggTrade(b []byte, c *binCtx) (err error, ok bool) {
	f := &d.msg
	if !f.read(b) {
		return nil, false
	}
	line := f.tradeLine()
	x, err := d.target(c, nil, func([]byte) binLine { return line })
	if err != nil {
		return err, true
	}
	id, ok1 := f.int('a')
	first, ok2 := f.int('f')
	last, ok3 := f.int('l')
	if !ok1 || !ok2 || !ok3 {
		return nil, false
	}
	if last < first {
		return Bad(badOrder, b), true
	}
	return d.print(c, x, d.market.aggregates(x), tradeID{id, true, last - first + 1})
}

// crossed reports whether the best bid of a whole book is above its best ask. All lists
// must be at one scale each, as check leaves them.
func (r *bookRow) crossed() bool {
	if r.bids.len() == 0 || r.asks.len() == 0 {
		return false
	}
	bid, ask := r.bids.price.m[0], r.asks.price.m[0]
	for _, m := range r.bids.price.m {
		bid = max(bid, m)
	}
	for _, m := range r.asks.price.m {
		ask = min(ask, m)
	}
	return decLess(num.Dec{M: ask, S: r.asks.price.top}, num.Dec{M: bid, S: r.bids.price.top})
}
