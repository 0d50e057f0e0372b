package adapters

import (
	"bytes"
	"math"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// OKX reads OKX v5: captures or one message or REST answer a line.
var OKX = &Adapter{
	Name:     "okx",
	Doc:      "OKX v5: captures, or one WebSocket message or REST answer a line; the market is told by the instrument id",
	Framing:  Lines,
	Payloads: true,
	Detect:   detectOKX,
	New:      newOKX,
	Mapping: []Mapping{
		{"trades, trades-all", market.KindTrade, "seq and id tradeId (of the last fill when count > 1); prints is count; side is the taker's"},
		{"books, books-l2-tbt, books50-l2-tbt", market.KindBook, "seq seqId and prev_seq prevSeqId, absent before 2022-12; checksum, 0 is absent; a message without levels is a heartbeat and dropped"},
		{"books5", market.KindBook, "feed okx-top: the five best levels each time, numbered on their own"},
		{"bbo-tbt", market.KindQuote, "seq is seqId where sent"},
		{"funding-rate", market.KindFunding, "form predicted: fundingRate paid at fundingTime; event time ts, before 2023 the receive time, assumed"},
		{"mark-price", market.KindMarkPrice, ""},
		{"open-interest", market.KindOpenInterest, "quantity is oi, in contracts like the trades"},
		{"liquidation-orders", market.KindLiquidation, "side is that of the order, price the bankruptcy price; not numbered: id of the details and their ordinal"},
		{"candle*", market.KindCandle, "no time of its own: the close of a confirmed candle or the receive time, whichever is later, assumed; months are dropped"},
		{"instruments, GET public/instruments", market.KindInstrument, "effective when asked for; contract size is ctVal × ctMult"},
		{"GET funding-rate-history", market.KindFunding, "form settled"},
		{"GET trades, mark-price, open-interest", market.KindTrade, "as on the socket, by their fields"},
		{"tickers", market.KindNone, "best prices sampled; quotes come from bbo-tbt"},
		{"index-tickers, price-limit, opt-summary, estimated-price, index and mark candles, option-trades, sprd-*, status, adl-warning", market.KindNone, "not an event of a tradable instrument, or spreads"},
		{"GET books, candles, index-tickers, tickers", market.KindNone, "no instrument in the answer, or no place in a chain"},
		{"event …, pong, error answers", market.KindNone, "service messages"},
	},
}

type okx struct {
	session
	syms, tops symbols
}

func newOKX(env Env) Decoder { return &okx{session: newSession(env)} }

func detectOKX(head []byte) int {
	switch captureExchange(head) {
	case "OKX", "OKEX":
		return 100
	case "":
	default:
		return 0
	}
	line, _, _ := bytes.Cut(trimSpace(head), []byte("\n"))
	switch {
	case bytes.HasPrefix(line, []byte(`{"arg":{"channel":"`)):
		return 95
	case bytes.HasPrefix(line, []byte(`{"event":"`)) && bytes.Contains(line, []byte(`"arg":{"channel":"`)):
		return 90
	case bytes.HasPrefix(line, []byte(`{"code":"0"`)) && bytes.Contains(line, []byte(`"data":[`)):
		return 70
	}
	return 0
}

// Decode implements Decoder.
func (d *okx) Decode(rec *Record, out *market.Chunk) error {
	if err := d.open(rec, out); err != nil {
		return err
	}
	if string(d.rec.Data) == "pong" {
		return Filtered("service message")
	}
	return d.close(d.message(d.rec.Data))
}

// okxSymbol gives market and canonical symbol of an instrument id: BTC-USDT,
// BTC-USDT-SWAP, BTC-USD-220527, BTC-USD-220514-22000-C.
func okxSymbol(inst []byte) (market.Venue, string) {
	if pair, ok := bytes.CutSuffix(inst, []byte("-SWAP")); ok {
		return market.Perp, canonical(pair)
	}
	switch bytes.Count(inst, []byte("-")) {
	case 0, 1:
		return market.Spot, canonical(inst)
	case 2:
		return market.Future, canonical(inst)
	}
	return market.Option, canonical(inst)
}

func (d *okx) lane(inst []byte) *lane {
	return d.syms.get(inst, func(inst []byte) *lane { return d.find(inst, "") })
}

func (d *okx) top(inst []byte) *lane {
	return d.tops.get(inst, func(inst []byte) *lane { return d.find(inst, topSuffix) })
}

func (d *okx) find(inst []byte, suffix string) *lane {
	if len(inst) == 0 {
		return nil
	}
	v, symbol := okxSymbol(inst)
	return d.lanes.get("okx", suffix, "okx", v, symbol)
}

// message decodes {arg, data} of a channel, {event}, or {code, data} of a REST answer.
func (d *okx) message(b []byte) bool {
	var arg, data, event, action, code []byte
	if !members(b, func(name, v []byte) bool {
		switch string(name) {
		case "arg":
			arg = v
		case "data":
			data = v
		case "event":
			event = v
		case "action":
			action = unquoted(v)
		case "code":
			code = v
		}
		return true
	}) {
		return false
	}
	switch {
	case event != nil:
		return d.drop("service message")
	case arg != nil && data != nil:
		return d.push(arg, data, action)
	case code != nil && string(unquoted(code)) != "0":
		return d.drop("error answer")
	case code != nil && data != nil:
		return elements(data, d.answer)
	}
	return d.fail(badUnknown, b)
}

// push decodes the data of a channel.
func (d *okx) push(arg, data, action []byte) bool {
	var channel, inst []byte
	ok := true
	if !members(arg, func(name, v []byte) bool {
		switch string(name) {
		case "channel":
			channel, ok = jsonText(v)
		case "instId":
			inst, ok = jsonText(v)
		}
		return ok
	}) {
		return false
	}
	if name, ok := bytes.CutPrefix(channel, []byte("candle")); ok {
		return d.candles(inst, name, data)
	}
	n := 0
	each := func(f func(inst, v []byte) bool) bool {
		return elements(data, func(v []byte) bool {
			if n++; n > maxRows {
				return d.fail(badManyRows, channel)
			}
			return f(inst, v)
		})
	}
	switch string(channel) {
	case "books", "books-l2-tbt":
		return each(func(inst, v []byte) bool { return d.books(inst, v, action, 400) })
	case "books50-l2-tbt":
		return each(func(inst, v []byte) bool { return d.books(inst, v, action, 50) })
	case "books5":
		return each(d.books5)
	case "bbo-tbt":
		return each(d.bestPrices)
	case "trades", "trades-all":
		return each(d.trade)
	case "funding-rate":
		return each(d.funding)
	case "mark-price":
		return each(d.markPrice)
	case "open-interest":
		return each(d.openInterest)
	case "liquidation-orders":
		return each(d.liquidation)
	case "instruments":
		return each(func(_, v []byte) bool { return d.instrument(v) })
	case "tickers":
		return d.drop("tickers")
	}
	if why := okxDropped(channel); why != "" {
		return d.drop(why)
	}
	return d.fail(badUnknown, channel)
}

// okxDropped says why a channel is dropped on purpose, "" when it is not known.
func okxDropped(channel []byte) string {
	switch string(channel) {
	case "index-tickers", "price-limit", "opt-summary", "estimated-price", "option-trades", "status", "adl-warning":
		return "channel without events of an instrument"
	}
	for _, p := range []string{"sprd-", "index-candle", "mark-price-candle"} {
		if bytes.HasPrefix(channel, []byte(p)) {
			return "spreads, index and mark candles"
		}
	}
	return ""
}

// okxBook is one element of a book channel's data.
type okxBook struct {
	ts, seq, prev int64 // seq and prev are nullInt where not sent
}

// readBook fills the book row; it returns what is wrong, or "".
func (d *okx) readBook(v []byte) (h okxBook, why string) {
	h = okxBook{market.NoTime, nullInt, nullInt}
	r := &d.book
	r.reset()
	s := scan{}
	ok := members(v, func(name, v []byte) bool {
		switch string(name) {
		case "asks":
			s = scan{b: v}
			return s.levels(&r.asks, maxLevels)
		case "bids":
			s = scan{b: v}
			return s.levels(&r.bids, maxLevels)
		case "ts":
			var ok bool
			if h.ts, ok = jsonMilli(v); !ok {
				s.why = badTime
			}
			return ok
		case "checksum":
			sum, ok := jsonDec(v)
			if sum.M != 0 {
				r.checksum = int64(uint32(sum.M))
			}
			return ok && sum.S == 0 && sum.M >= math.MinInt32 && sum.M <= math.MaxUint32
		case "seqId":
			n, ok := jsonDec(v)
			if n.M >= 0 {
				h.seq = n.M
			}
			return ok && n.S == 0
		case "prevSeqId":
			n, ok := jsonDec(v)
			if n.M >= 0 {
				h.prev = n.M
			}
			return ok && n.S == 0
		}
		return true
	})
	switch {
	case !ok && s.why != "":
		return h, s.why
	case !ok:
		return h, badField
	case h.ts == market.NoTime:
		return h, badNoTime
	}
	return h, r.check()
}

// books decodes a snapshot or an update of a chain.
func (d *okx) books(inst, v, action []byte, depth int64) bool {
	h, why := d.readBook(v)
	if why != "" {
		return d.fail(why, v)
	}
	l := d.lane(inst)
	if l == nil {
		return d.fail(badSymbol, inst)
	}
	r := &d.book
	r.depth, r.prev = depth, h.prev
	switch string(action) {
	case "snapshot":
		r.origin = market.OriginVenue
	case "update":
		if r.bids.len()+r.asks.len() == 0 && h.seq == h.prev {
			return d.drop("heartbeat of the book")
		}
	default:
		return d.fail(badUnknown, d.rec.Data)
	}
	d.appendBook(l, &h, v)
	return true
}

// books5 decodes the five best levels, a snapshot each time.
func (d *okx) books5(inst, v []byte) bool {
	h, why := d.readBook(v)
	if why != "" {
		return d.fail(why, v)
	}
	l := d.top(inst)
	if l == nil {
		return d.fail(badSymbol, inst)
	}
	d.book.origin, d.book.depth = market.OriginVenue, 5
	d.appendBook(l, &h, v)
	return true
}

func (d *okx) appendBook(l *lane, h *okxBook, v []byte) {
	d.when(h.ts)
	e := d.event(l, h.ts)
	if h.seq != nullInt {
		// With the time: after maintenance the numbers may begin anew.
		e.Seq, e.HasSeq = uint64(h.seq), true
		e.ID = d.ids.nums(l, market.KindBook, market.OriginWords[d.book.origin], h.seq, h.prev, h.ts)
	} else {
		e.ID = d.payloadID(l, market.KindBook, v)
	}
	d.book.append(d.out.Batch(market.KindBook), e)
}

// bestPrices decodes bbo-tbt: one level a side, or none.
func (d *okx) bestPrices(inst, v []byte) bool {
	h, why := d.readBook(v)
	if why != "" {
		return d.fail(why, v)
	}
	var q quoteRow
	q.hasBid, q.hasAsk = d.book.bids.len() > 0, d.book.asks.len() > 0
	if q.hasBid {
		q.bid, q.bidQty = d.book.bids.level(0)
	}
	if q.hasAsk {
		q.ask, q.askQty = d.book.asks.level(0)
	}
	if why := q.check(); why != "" {
		return d.fail(why, v)
	}
	l := d.lane(inst)
	if l == nil {
		return d.fail(badSymbol, inst)
	}
	d.when(h.ts)
	e := d.event(l, h.ts)
	if h.seq != nullInt {
		e.Seq, e.HasSeq = uint64(h.seq), true
		e.ID = d.ids.nums(l, market.KindQuote, "", h.seq, h.ts)
	} else {
		e.ID = d.payloadID(l, market.KindQuote, v)
	}
	q.append(d.out.Batch(market.KindQuote), e)
	return true
}

// level returns level i of a side that has been checked.
func (s *bookSide) level(i int) (price, qty num.Dec) {
	return num.Dec{M: s.price.m[i], S: s.price.s[i]}, num.Dec{M: s.qty.m[i], S: s.qty.s[i]}
}

// State implements Decoder.
func (d *okx) State(s *State) { d.state(s) }
