package adapters

import (
	"bytes"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// named returns the lane that an element names with instId, else that of the channel.
func (d *okx) named(inst, own, v []byte) *lane {
	if own != nil {
		inst, _ = jsonText(own)
	}
	l := d.lane(inst)
	if l == nil {
		d.fail(badSymbol, v)
	}
	return l
}

// answer decodes one element of a REST answer by its fields.
func (d *okx) answer(v []byte) bool {
	if d.rows >= maxRows {
		return d.fail(badManyRows, nil)
	}
	if v[0] == '[' {
		return d.drop("candles over REST: no instrument in the answer")
	}
	var f [9][]byte
	if !pick(v, f[:], "tickSz", "markPx", "oi", "tradeId", "realizedRate", "idxPx", "asks", "last", "instId") {
		return false
	}
	switch {
	case f[6] != nil:
		return d.drop("depth over REST: no instrument in the answer")
	case f[5] != nil || f[7] != nil:
		return d.drop("tickers")
	case f[8] == nil:
		return d.fail(badUnknown, v)
	case f[0] != nil:
		return d.instrument(v)
	case f[1] != nil:
		return d.markPrice(nil, v)
	case f[2] != nil:
		return d.openInterest(nil, v)
	case f[3] != nil:
		return d.trade(nil, v)
	case f[4] != nil:
		return d.settled(v)
	}
	return d.fail(badUnknown, v)
}

func (d *okx) trade(inst, v []byte) bool {
	var f [7][]byte
	if !pick(v, f[:], "instId", "tradeId", "px", "sz", "side", "ts", "count") {
		return false
	}
	l := d.named(inst, f[0], v)
	if l == nil {
		return true
	}
	t := tradeRow{id: unquoted(f[1]), prints: 1}
	var ok1, ok2 bool
	t.price, ok1 = jsonDec(f[2])
	t.qty, ok2 = jsonDec(f[3])
	if !ok1 || !ok2 {
		return d.fail(badNumber, v)
	}
	if why := t.check(); why != "" {
		return d.fail(why, v)
	}
	switch string(unquoted(f[4])) {
	case "buy":
		t.side = market.SideBuy
	case "sell":
		t.side = market.SideSell
	default:
		return d.fail(badField, v)
	}
	if !absent(f[6]) {
		if t.prints, ok1 = jsonInt(f[6]); !ok1 || t.prints < 1 {
			return d.fail(badField, v)
		}
	}
	ts, ok1 := jsonMilli(f[5])
	if !ok1 || !d.when(ts) {
		return d.fail(badTime, v)
	}
	id, ok1 := jsonInt(f[1])
	if !ok1 {
		return d.fail(badField, v)
	}
	e := d.event(l, ts)
	d.number(e, l, market.KindTrade, id)
	d.appendTrade(&t, e)
	return true
}

// funding decodes the rate that will be paid at fundingTime if nothing changes.
func (d *okx) funding(inst, v []byte) bool {
	var f [5][]byte
	if !pick(v, f[:], "instId", "fundingRate", "fundingTime", "nextFundingTime", "ts") {
		return false
	}
	l := d.named(inst, f[0], v)
	if l == nil {
		return true
	}
	rate, has, ok := jsonDecOr(f[1])
	if !ok {
		return d.fail(badNumber, v)
	}
	if !has {
		return d.drop("funding rate is not set")
	}
	next, interval := nullInt, nullInt
	if t, ok := jsonMilli(f[2]); ok {
		next = t
		if after, ok := jsonMilli(f[3]); ok && after > t {
			interval = after - t
		}
	}
	ts, ok := jsonMilli(f[4])
	flags := uint8(0)
	if absent(f[4]) {
		ts, ok = d.assumed(l)
		flags = market.FlagAssumed
	}
	if !ok || !d.when(ts) {
		return d.fail(badTime, v)
	}
	e := d.event(l, ts)
	e.Flags |= flags
	e.ID = d.ids.nums(l, market.KindFunding, "p", next, ts)
	d.appendPredicted(e, rate, next, interval)
	return true
}

// settled decodes a rate that has been paid.
func (d *okx) settled(v []byte) bool {
	var f [3][]byte
	if !pick(v, f[:], "instId", "realizedRate", "fundingTime") {
		return false
	}
	l := d.named(nil, f[0], v)
	if l == nil {
		return true
	}
	rate, ok := jsonDec(f[1])
	if !ok {
		return d.fail(badNumber, v)
	}
	ts, ok := jsonMilli(f[2])
	if !ok || !d.when(ts) {
		return d.fail(badTime, v)
	}
	d.appendSettled(l, rate, ts)
	return true
}

func (d *okx) markPrice(inst, v []byte) bool {
	var f [3][]byte
	if !pick(v, f[:], "instId", "markPx", "ts") {
		return false
	}
	l := d.named(inst, f[0], v)
	if l == nil {
		return true
	}
	p, ok := jsonDec(f[1])
	switch {
	case !ok:
		return d.fail(badNumber, v)
	case p.M <= 0:
		return d.fail(badPrice, v)
	}
	ts, ok := jsonMilli(f[2])
	if !ok || !d.when(ts) {
		return d.fail(badTime, v)
	}
	e := d.event(l, ts)
	e.ID = d.ids.nums(l, market.KindMarkPrice, "", ts)
	d.appendMarkPrice(e, p, num.Dec{}, false)
	return true
}

func (d *okx) openInterest(inst, v []byte) bool {
	var f [3][]byte
	if !pick(v, f[:], "instId", "oi", "ts") {
		return false
	}
	l := d.named(inst, f[0], v)
	if l == nil {
		return true
	}
	q, ok := jsonDec(f[1])
	switch {
	case !ok:
		return d.fail(badNumber, v)
	case q.M < 0:
		return d.fail(badNegative, v)
	}
	ts, ok := jsonMilli(f[2])
	if !ok || !d.when(ts) {
		return d.fail(badTime, v)
	}
	e := d.event(l, ts)
	e.ID = d.ids.nums(l, market.KindOpenInterest, "", ts)
	d.appendOpenInterest(e, q, num.Dec{}, false)
	return true
}

// liquidation decodes {instId, details: [{side, bkPx, sz, ts}]}.
func (d *okx) liquidation(inst, v []byte) bool {
	var f [2][]byte
	if !pick(v, f[:], "instId", "details") {
		return false
	}
	l := d.named(inst, f[0], v)
	if l == nil {
		return true
	}
	return elements(f[1], func(v []byte) bool {
		var f [4][]byte
		if !pick(v, f[:], "side", "bkPx", "sz", "ts") {
			return false
		}
		p, ok1 := jsonDec(f[1])
		q, ok2 := jsonDec(f[2])
		if !ok1 || !ok2 {
			return d.fail(badNumber, v)
		}
		t := tradeRow{price: p, qty: q, side: market.SideBuy}
		if why := t.check(); why != "" {
			return d.fail(why, v)
		}
		switch string(unquoted(f[0])) {
		case "buy":
		case "sell":
			t.side = market.SideSell
		default:
			return d.fail(badField, v)
		}
		ts, ok := jsonMilli(f[3])
		if !ok || !d.when(ts) {
			return d.fail(badTime, v)
		}
		e := d.event(l, ts)
		e.ID = d.payloadID(l, market.KindLiquidation, v)
		d.appendForced(e, t.side, p, q)
		return true
	})
}

// candles decodes [[open time, o, h, l, c, volume, volume in coin(, in quote, confirm)]].
func (d *okx) candles(inst, name, data []byte) bool {
	interval, ok := okxInterval(name)
	if !ok {
		return d.fail(badUnknown, name)
	}
	if interval == 0 {
		return d.drop("candles of calendar months")
	}
	l := d.lane(inst)
	if l == nil {
		return d.fail(badSymbol, inst)
	}
	return elements(data, func(row []byte) bool {
		if d.rows >= maxRows {
			return d.fail(badManyRows, nil)
		}
		return d.candle(l, interval, row)
	})
}

func (d *okx) candle(l *lane, interval int64, row []byte) bool {
	var f [9][]byte
	n := tuple(row, f[:])
	if n != 7 && n != 9 {
		return n >= 0 && d.fail(badField, row)
	}
	r := bar{interval: interval, trades: nullInt, closed: n == 9 && string(unquoted(f[8])) == "1"}
	var ok [6]bool
	for i, p := range []*num.Dec{&r.o, &r.h, &r.l, &r.c, &r.v} {
		*p, ok[i] = jsonDec(f[1+i])
	}
	ok[5] = true
	if l.name.venue == market.Spot { // volume in coin is the quote's there
		r.notional, ok[5] = jsonDec(f[6])
		r.hasNotional = true
	} else if n == 9 {
		r.notional, ok[5] = jsonDec(f[7])
		r.hasNotional = true
	}
	if ok != [6]bool{true, true, true, true, true, true} {
		return d.fail(badNumber, row)
	}
	var isTime bool
	if r.open, isTime = jsonMilli(f[0]); !isTime {
		return d.fail(badTime, row)
	}
	if why := r.check(); why != "" {
		return d.fail(why, row)
	}
	ts := r.open
	if r.closed {
		ts += interval - 1
	}
	if now, ok := d.assumed(l); ok {
		ts = max(ts, now)
	}
	if !d.when(ts) {
		return d.fail(badTime, row)
	}
	e := d.event(l, ts)
	e.Flags |= market.FlagAssumed
	e.ID = d.ids.bytes(l, market.KindCandle, row)
	r.append(d.out.Batch(market.KindCandle), e)
	return true
}

// okxInterval reads 1m, 4H, 1Dutc …; months give 0.
func okxInterval(name []byte) (int64, bool) {
	name = bytes.TrimSuffix(name, []byte("utc"))
	if len(name) < 2 || len(name) > 4 {
		return 0, false
	}
	n, ok := jsonInt(name[:len(name)-1])
	if !ok || n == 0 {
		return 0, false
	}
	switch name[len(name)-1] {
	case 's':
		return n * market.Second, true
	case 'm':
		return n * market.Minute, true
	case 'H':
		return n * market.Hour, true
	case 'D':
		return n * market.Day, true
	case 'W':
		return n * market.Week, true
	case 'M':
		return 0, true
	}
	return 0, false
}

// instrument decodes what OKX says of an instrument.
func (d *okx) instrument(v []byte) bool {
	var f [10][]byte
	if !pick(v, f[:], "instId", "uly", "tickSz", "lotSz", "ctVal", "ctMult", "ctType", "state", "listTime", "expTime") {
		return false
	}
	inst, ok := jsonText(f[0])
	if !ok {
		return d.fail(badField, v)
	}
	l := d.named(inst, nil, v)
	if l == nil {
		return true
	}
	base, quote := market.SplitSymbol(l.name.symbol)
	r := listing{base: base, quote: quote, listed: nullInt, delisted: nullInt}
	var ok1, ok2, ok3, ok4, has bool
	r.tick, r.hasTick, ok1 = jsonDecOr(f[2])
	r.lot, r.hasLot, ok2 = jsonDecOr(f[3])
	r.size, r.hasSize, ok3 = jsonDecOr(f[4])
	mult, has, ok4 := jsonDecOr(f[5])
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return d.fail(badNumber, v)
	}
	if r.hasSize && has {
		if r.size, ok = mulDec(r.size, mult); !ok {
			return d.fail(badNumber, v)
		}
	}
	r.inverse = string(f[6]) == `"inverse"`
	switch string(unquoted(f[7])) {
	case "live", "test":
		r.state = listingTrading
	case "expired":
		r.state = listingDelisted
	default:
		r.state = listingHalted
	}
	if t, ok := jsonMilli(f[8]); ok {
		r.listed = t
	}
	if t, ok := jsonMilli(f[9]); ok {
		r.delisted = t
	}
	d.appendListing(l, &r)
	return true
}
