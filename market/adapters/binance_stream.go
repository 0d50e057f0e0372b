package adapters

import (
	"bytes"
	"strconv"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// symbol gives the instrument of member "s". guess is the market to take when neither
// URL nor symbol tells.
func (d *binance) symbol(c *binCtx, guess binLine) (*binInst, error) {
	s, ok := d.msg.str('s')
	if !ok {
		return nil, Bad(badField, d.msg.b)
	}
	return d.resolve(c, s, guess)
}

// tradeLine guesses the market of a trade or aggregate trade: only spot sends M.
func (f *flat) tradeLine() binLine {
	if f.has('M') {
		return binSpot
	}
	return binUSDM
}

func takerSide(buyerIsMaker bool) int64 {
	if buyerIsMaker {
		return market.SideSell
	}
	return market.SideBuy
}

// trade: id t, price p, quantity q, time T, m = buyer is the maker. Futures name the
// kind of print in X; all but MARKET are book-keeping of the venue (insurance fund,
// auto-deleveraging, …) and no part of the public tape.
func (d *binance) trade(c *binCtx) (err error, ok bool) {
	f := &d.msg
	x, err := d.symbol(c, f.tradeLine())
	if err != nil {
		return err, true
	}
	if f.has('X') {
		if kind, ok := f.str('X'); ok && string(kind) != "MARKET" {
			return Filtered("print that is not a market trade"), true
		}
	}
	id, ok := f.int('t')
	if !ok {
		return nil, false
	}
	return d.print(c, x, x.main, tradeID{id, true, 1})
}

// aggTrade: one taker order's fills at one price, f..l being the first and last trade.
// Old futures messages have no number a; the last trade then names the event.
func (d *binance) aggTrade(c *binCtx) (err error, ok bool) {
	f := &d.msg
	x, err := d.symbol(c, f.tradeLine())
	if err != nil {
		return err, true
	}
	first, ok1 := f.int('f')
	last, ok2 := f.int('l')
	if !ok1 || !ok2 {
		return nil, false
	}
	if last < first {
		return Bad(badOrder, f.b), true
	}
	id := tradeID{last, false, last - first + 1}
	if f.has('a') {
		if id.n, id.numbered = f.int('a'); !id.numbered {
			return nil, false
		}
	}
	return d.print(c, x, d.market.aggregates(x), id)
}

// tradeID is what a venue calls a trade. Where the events themselves are not numbered,
// n is the last trade in one.
type tradeID struct {
	n        int64
	numbered bool
	prints   int64
}

// print appends a trade from members p, q, T and m.
func (d *binance) print(c *binCtx, x *binInst, l *lane, id tradeID) (err error, ok bool) {
	f := &d.msg
	var row tradeRow
	if row.price, ok = f.dec('p'); !ok {
		return nil, false
	}
	if row.qty, ok = f.dec('q'); !ok {
		return nil, false
	}
	ts, ok1 := f.int('T')
	maker, ok2 := f.flag('m')
	if !ok1 || !ok2 {
		return nil, false
	}
	row.side = takerSide(maker)
	if why := d.appendTrade(c, x, l, id, ts, &row); why != "" {
		return Bad(why, f.b), true
	}
	return nil, true
}

// appendTrade checks and appends a trade at the venue's time t; it returns what is wrong
// with it, or "".
func (d *binance) appendTrade(c *binCtx, x *binInst, l *lane, id tradeID, t int64, row *tradeRow) string {
	if why := row.check(); why != "" {
		return why
	}
	ts, ok := d.when(x.line, t)
	if !ok {
		return badTime
	}
	d.text = strconv.AppendInt(d.text[:0], id.n, 10)
	row.id, row.prints = d.text, id.prints
	e := d.row(c, l, ts)
	if id.numbered {
		e.Seq, e.HasSeq = uint64(id.n), true
		e.ID = d.ids.bytes(l, market.KindTrade, d.text)
	} else {
		e.ID = d.ids.num(l, market.KindTrade, "l", uint64(id.n))
	}
	row.append(c.out.Batch(market.KindTrade), e)
	return ""
}

// bookTicker: the best level of each side after update u. Spot sends neither type nor
// time. A side without orders is sent as price 0, quantity 0.
func (d *binance) bookTicker(c *binCtx) (err error, ok bool) {
	f := &d.msg
	guess := binSpot
	if f.has('T') || f.has('E') {
		guess = binUSDM
	}
	x, err := d.symbol(c, guess)
	if err != nil {
		return err, true
	}
	u, ok := f.int('u')
	if !ok {
		return nil, false
	}
	var q quoteRow
	if ok := f.quoteSide('b', 'B', &q.bid, &q.bidQty, &q.hasBid) && f.quoteSide('a', 'A', &q.ask, &q.askQty, &q.hasAsk); !ok {
		return nil, false
	}
	if why := q.check(); why != "" {
		return Bad(why, f.b), true
	}
	ts, flags, why := d.eventTime(c, x)
	if why != "" {
		return Bad(why, f.b), true
	}
	e := d.row(c, x.main, ts)
	e.Seq, e.HasSeq, e.Flags = uint64(u), true, flags
	e.ID = d.ids.num(x.main, market.KindQuote, "", e.Seq)
	q.append(c.out.Batch(market.KindQuote), e)
	return nil, true
}

// depthUpdate: levels that changed in updates U..u; quantity 0 deletes. Streams named
// @depth5, 10 or 20 send the whole top of the book instead.
func (d *binance) depthUpdate(c *binCtx) (err error, ok bool) {
	f := &d.msg
	guess := binSpot
	if f.has(keyPU) || f.has('T') {
		guess = binUSDM
	}
	x, err := d.symbol(c, guess)
	if err != nil {
		return err, true
	}
	first, ok1 := f.int('U')
	last, ok2 := f.int('u')
	if !ok1 || !ok2 || !f.isList('b') || !f.isList('a') {
		return nil, false
	}
	if last < first {
		return Bad(badOrder, f.b), true
	}
	r := &d.book
	r.origin, r.first, r.prev, r.checksum, r.depth = market.OriginDelta, first, nullInt, nullInt, nullInt
	if f.has(keyPU) && f.raw(keyPU)[0] != '-' { // -1: nothing before it
		if r.prev, ok = f.int(keyPU); !ok {
			return nil, false
		}
	}
	l := x.main
	if n := partialDepth(c.stream); n > 0 {
		l, r.origin, r.depth = d.market.tops(x), market.OriginVenue, n
	}
	if why := r.check(); why != "" {
		return Bad(why, f.b), true
	}
	ts, flags, why := d.eventTime(c, x)
	if why != "" {
		return Bad(why, f.b), true
	}
	e := d.row(c, l, ts)
	e.Seq, e.HasSeq, e.Flags = uint64(last), true, flags
	e.ID = d.ids.num(l, market.KindBook, "", e.Seq)
	r.append(c.out.Batch(market.KindBook), e)
	return nil, true
}

// eventTime is T (time of the transaction) where sent, else E (time of the message),
// else assumed; it returns what is wrong with it, or "".
func (d *binance) eventTime(c *binCtx, x *binInst) (ts int64, flags uint8, why string) {
	k := byte('T')
	if !d.msg.has('T') {
		k = 'E'
	}
	if !d.msg.has(k) {
		if ts, ok := d.assume(c, x); ok {
			return ts, market.FlagAssumed, ""
		}
		return 0, 0, badNoTime
	}
	v, ok := d.msg.int(k)
	if !ok {
		return 0, 0, badTime
	}
	if ts, ok = d.when(x.line, v); !ok {
		return 0, 0, badTime
	}
	return ts, 0, ""
}

// quoteSide reads price and quantity of one side; both 0 means that it is empty.
func (f *flat) quoteSide(price, qty byte, p, q *num.Dec, has *bool) bool {
	var ok bool
	if *p, ok = f.dec(price); !ok {
		return false
	}
	if *q, ok = f.dec(qty); !ok {
		return false
	}
	*has = p.M != 0 || q.M != 0
	return true
}

// partialDepth is the number of levels that a stream of book tops is named after, 0 for
// a stream of changes: 20 for btcusdt@depth20@100ms, 0 for btcusdt@depth@100ms.
func partialDepth(stream []byte) int64 {
	i := bytes.Index(stream, []byte("@depth"))
	if i < 0 {
		return 0
	}
	s := scan{b: stream, i: i + len("@depth")}
	n, _ := s.uint()
	return n
}
