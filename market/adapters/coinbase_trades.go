package adapters

import (
	"cmp"
	"slices"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
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
	var f [1][]byte
	if !pick(event, f[:], "trades") || !elements(f[0], d.trade) {
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
	if len(d.trades) >= maxRows {
		return d.fail(badManyRows, v)
	}
	var f [6][]byte
	if !pick(v, f[:], "product_id", "trade_id", "price", "size", "time", "side") {
		return false
	}
	t := coinbaseTrade{tradeRow: tradeRow{id: unquoted(f[1]), prints: 1}}
	var ok, ok1, ok2 bool
	t.price, ok1 = jsonDec(f[2])
	t.qty, ok2 = jsonDec(f[3])
	if !ok1 || !ok2 {
		return d.fail(badNumber, v)
	}
	if why := t.check(); why != "" {
		return d.fail(why, v)
	}
	if t.ts, ok = isoTime(unquoted(f[4])); !ok || !d.when(t.ts) {
		return d.fail(badTime, v)
	}
	if t.id, ok = jsonInt(f[1]); !ok {
		return d.fail(badField, v)
	}
	switch string(unquoted(f[5])) {
	case "BUY":
		t.side = market.SideSell
	case "SELL":
		t.side = market.SideBuy
	case "UNKNOWN_ORDER_SIDE", "":
		t.side = market.SideUnknown
	default:
		return d.fail(badField, v)
	}
	product, ok := jsonText(f[0])
	if !ok {
		return d.fail(badField, v)
	}
	if t.lane = d.lane(product); t.lane == nil {
		return d.fail(badManyInst, product)
	}
	d.trades = append(d.trades, t)
	return true
}

// candles decodes {type, candles: [{start, high, low, open, close, volume, product_id}]}
// of five minutes each.
func (d *coinbase) candles(event []byte) bool {
	var f [1][]byte
	if !pick(event, f[:], "candles") {
		return false
	}
	if !d.when(d.ts) {
		return d.fail(badTime, event)
	}
	return elements(f[0], d.candle)
}

func (d *coinbase) candle(v []byte) bool {
	if d.rows >= maxRows {
		return d.fail(badManyRows, nil)
	}
	var f [7][]byte
	if !pick(v, f[:], "product_id", "start", "open", "high", "low", "close", "volume") {
		return false
	}
	r := bar{interval: 5 * market.Minute, trades: nullInt}
	for i, p := range []*num.Dec{&r.o, &r.h, &r.l, &r.c, &r.v} {
		var ok bool
		if *p, ok = jsonDec(f[2+i]); !ok {
			return d.fail(badNumber, v)
		}
	}
	var isTime bool
	if r.open, isTime = secondsText(unquoted(f[1])); !isTime {
		return d.fail(badTime, v)
	}
	r.closed = r.open+r.interval <= d.ts
	if why := r.check(); why != "" {
		return d.fail(why, v)
	}
	name, isText := jsonText(f[0])
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
	if d.rows >= maxRows {
		return d.fail(badManyRows, nil)
	}
	var f [10][]byte
	if !pick(v, f[:], "product_id", "base_currency_id", "quote_currency_id", "product_type", "status", "price_increment",
		"base_increment", "is_disabled", "trading_disabled", "cancel_only") {
		return false
	}
	if string(f[3]) != `"SPOT"` {
		return d.drop("product that is not spot")
	}
	name, ok := jsonText(f[0])
	base, ok1 := jsonText(f[1])
	quote, ok2 := jsonText(f[2])
	if !ok || !ok1 || !ok2 {
		return d.fail(badField, v)
	}
	r := listing{base: string(base), quote: string(quote), listed: nullInt, delisted: nullInt}
	r.tick, r.hasTick, ok1 = jsonDecOr(f[5])
	r.lot, r.hasLot, ok2 = jsonDecOr(f[6])
	if !ok1 || !ok2 {
		return d.fail(badNumber, v)
	}
	status := string(unquoted(f[4]))
	off := string(f[7]) == "true" || string(f[8]) == "true" || string(f[9]) == "true"
	switch {
	case status == "delisted":
		r.state = listingDelisted
	case off || status != "online":
		r.state = listingHalted
	}
	l := d.lane(name)
	if l == nil {
		return d.fail(badManyInst, name)
	}
	d.appendListing(l, &r)
	return true
}
