package adapters

import (
	"cmp"
	"slices"

	"github.com/pinova-group/tidemark/market"
)

// coinbaseTrade is a trade of a message, before the trades are put in order.
type coinbaseTrade struct {
	tradeRow
	lane   *lane
	ts, id int64
}

// marketTrades decodes {type, trades: […]}. The list is newest first, which would make
// the older trades look late: they are appended in order of time and number.
func (d *coinbase) marketTrades(event []byte) bool {
	d.trades = d.trades[:0]
	var list []byte
	if !members(event, func(name, v []byte) bool {
		if string(name) == "trades" {
			list = v
		}
		return true
	}) || list == nil || !elements(list, d.trade) {
		return false
	}
	slices.SortStableFunc(d.trades, func(a, b coinbaseTrade) int {
		if c := cmp.Compare(a.ts, b.ts); c != 0 {
			return c
		}
		return cmp.Compare(a.id, b.id)
	})
	for i := range d.trades {
		t := &d.trades[i]
		e := d.event(t.lane, t.ts)
		d.number(e, t.lane, market.KindTrade, t.id)
		d.appendTrade(&t.tradeRow, e)
	}
	return true
}

// trade reads {product_id, trade_id, price, size, time, side}. The side is that of the
// maker, which the venue's pages leave open: in the recorded stream SELL prints at the
// best ask and BUY at the best bid (a test holds it to that).
func (d *coinbase) trade(v []byte) bool {
	var t coinbaseTrade
	var product, price, size, stamp, side []byte
	if len(d.trades) >= maxRows {
		return d.fail(badManyRows, v)
	}
	if !members(v, func(name, v []byte) bool {
		switch string(name) {
		case "product_id":
			product = v
		case "trade_id":
			t.tradeRow.id = unquoted(v)
		case "price":
			price = v
		case "size":
			size = v
		case "time":
			stamp = unquoted(v)
		case "side":
			side = unquoted(v)
		}
		return true
	}) {
		return false
	}
	var ok, ok1, ok2 bool
	t.price, ok1 = jsonDec(price)
	t.qty, ok2 = jsonDec(size)
	if !ok1 || !ok2 {
		return d.fail(badNumber, v)
	}
	if why := t.check(); why != "" {
		return d.fail(why, v)
	}
	if t.ts, ok = isoTime(stamp); !ok || !d.when(t.ts) {
		return d.fail(badTime, v)
	}
	if t.id, ok = jsonInt(t.tradeRow.id); !ok {
		return d.fail(badField, v)
	}
	switch string(side) {
	case "BUY":
		t.side = market.SideSell
	case "SELL":
		t.side = market.SideBuy
	case "UNKNOWN_ORDER_SIDE", "":
		t.side = market.SideUnknown
	default:
		return d.fail(badField, v)
	}
	name, ok := jsonText(product)
	if !ok {
		return d.fail(badField, v)
	}
	if t.lane = d.lane(name); t.lane == nil {
		return d.fail(badManyInst, name)
	}
	t.prints = 1
	d.trades = append(d.trades, t)
	return true
}

// candles decodes {type, candles: [{start, high, low, open, close, volume, product_id}]}
// of five minutes each.
func (d *coinbase) candles(event []byte) bool {
	var list []byte
	if !members(event, func(name, v []byte) bool {
		if string(name) == "candles" {
			list = v
		}
		return true
	}) || list == nil {
		return false
	}
	if !d.when(d.ts) {
		return d.fail(badTime, event)
	}
	return elements(list, d.candle)
}

func (d *coinbase) candle(v []byte) bool {
	r := bar{interval: 5 * market.Minute, trades: nullInt}
	var product, start []byte
	var ok [5]bool
	if !members(v, func(name, v []byte) bool {
		switch string(name) {
		case "product_id":
			product = v
		case "start":
			start = unquoted(v)
		case "open":
			r.o, ok[0] = jsonDec(v)
		case "high":
			r.h, ok[1] = jsonDec(v)
		case "low":
			r.l, ok[2] = jsonDec(v)
		case "close":
			r.c, ok[3] = jsonDec(v)
		case "volume":
			r.v, ok[4] = jsonDec(v)
		}
		return true
	}) {
		return false
	}
	if ok != [5]bool{true, true, true, true, true} {
		return d.fail(badNumber, v)
	}
	var isTime bool
	if r.open, isTime = secondsText(start); !isTime {
		return d.fail(badTime, v)
	}
	r.closed = r.open+r.interval <= d.ts
	if why := r.check(); why != "" {
		return d.fail(why, v)
	}
	name, isText := jsonText(product)
	if !isText {
		return d.fail(badField, v)
	}
	l := d.lane(name)
	if l == nil {
		return d.fail(badManyInst, name)
	}
	e := d.event(l, d.ts)
	e.ID = d.ids.nums(l, market.KindCandle, "", r.open, r.interval, d.ts, boolInt(r.closed))
	r.append(d.out.Batch(market.KindCandle), e)
	return true
}

// product decodes one product of the REST answer.
func (d *coinbase) product(v []byte) bool {
	var product, base, quote, kind, status, tick, lot []byte
	off := false
	if !members(v, func(name, v []byte) bool {
		switch string(name) {
		case "product_id":
			product = v
		case "base_currency_id":
			base = v
		case "quote_currency_id":
			quote = v
		case "product_type":
			kind = unquoted(v)
		case "status":
			status = unquoted(v)
		case "price_increment":
			tick = v
		case "base_increment":
			lot = v
		case "is_disabled", "trading_disabled", "cancel_only":
			off = off || string(v) == "true"
		}
		return true
	}) {
		return false
	}
	if string(kind) != "SPOT" {
		return d.drop("product that is not spot")
	}
	name, ok := jsonText(product)
	b, ok1 := jsonText(base)
	q, ok2 := jsonText(quote)
	if !ok || !ok1 || !ok2 {
		return d.fail(badField, v)
	}
	r := listing{base: string(b), quote: string(q), listed: nullInt, delisted: nullInt}
	r.tick, r.hasTick, ok1 = jsonDecOr(tick)
	r.lot, r.hasLot, ok2 = jsonDecOr(lot)
	if !ok1 || !ok2 {
		return d.fail(badNumber, v)
	}
	switch {
	case string(status) == "delisted":
		r.state = listingDelisted
	case off || string(status) != "online":
		r.state = listingHalted
	}
	l := d.lane(name)
	if l == nil {
		return d.fail(badManyInst, name)
	}
	d.appendListing(l, &r)
	return true
}
