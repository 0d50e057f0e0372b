package adapters

import (
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// bybitTicker keeps what deltas do not repeat.
type bybitTicker struct {
	mark, index, interest, value, rate                num.Dec
	hasMark, hasIndex, hasInterest, hasValue, hasRate bool
	next, interval                                    int64
}

// trade decodes {T, s, S, v, p, i, BT}.
func (d *bybit) trade(v []byte) bool {
	var f [7][]byte
	if !pick(v, f[:], "T", "s", "S", "v", "p", "i", "BT") {
		return false
	}
	return d.print(f, v)
}

// recent decodes one trade of GET recent-trade.
func (d *bybit) recent(v []byte) bool {
	var f [7][]byte
	if !pick(v, f[:], "time", "symbol", "side", "size", "price", "execId", "isBlockTrade") {
		return false
	}
	return d.print(f, v)
}

// print appends a trade of time, symbol, side, size, price, id, block flag.
func (d *bybit) print(f [7][]byte, v []byte) bool {
	if d.rows >= maxRows {
		return d.fail(badManyRows, nil)
	}
	if string(f[6]) == "true" {
		return d.drop("block trade")
	}
	symbol, ok := jsonText(f[1])
	if !ok {
		return d.fail(badField, v)
	}
	l := d.lane(symbol)
	if l == nil {
		return true
	}
	t := tradeRow{prints: 1}
	if why := readPrint(&t, f[2], f[4], f[3]); why != "" {
		return d.fail(why, v)
	}
	if t.id, ok = jsonText(f[5]); !ok || len(t.id) == 0 || len(t.id) > 64 {
		return d.fail(badField, v)
	}
	ts, ok := jsonMilli(f[0])
	if !ok || !d.when(ts) {
		return d.fail(badTime, v)
	}
	e := d.event(l, ts)
	e.ID = d.ids.bytes(l, market.KindTrade, t.id)
	d.appendTrade(&t, e)
	return true
}

// readPrint reads side, price and quantity and returns what is wrong with them, or "".
func readPrint(t *tradeRow, side, price, qty []byte) string {
	var ok1, ok2 bool
	t.price, ok1 = jsonDec(price)
	t.qty, ok2 = jsonDec(qty)
	if !ok1 || !ok2 {
		return badNumber
	}
	switch string(unquoted(side)) {
	case "Buy":
		t.side = market.SideBuy
	case "Sell":
		t.side = market.SideSell
	default:
		return badField
	}
	return t.check()
}

// liquidation decodes one liquidation, its members named by the caller. The venue's
// side is that of the position: what closes it is the opposite order.
func (d *bybit) liquidation(v []byte, names ...string) bool {
	var f [5][]byte
	if !pick(v, f[:], names...) {
		return false
	}
	symbol, ok := jsonText(f[0])
	if !ok {
		return d.fail(badField, v)
	}
	l := d.lane(symbol)
	if l == nil {
		return true
	}
	var t tradeRow
	if why := readPrint(&t, f[1], f[2], f[3]); why != "" {
		return d.fail(why, v)
	}
	ts, ok := jsonMilli(f[4])
	if !ok || !d.when(ts) {
		return d.fail(badTime, v)
	}
	side := int64(market.SideSell)
	if t.side == market.SideSell {
		side = market.SideBuy
	}
	e := d.event(l, ts)
	e.ID = d.payloadID(l, market.KindLiquidation, v)
	d.appendForced(e, side, t.price, t.qty)
	return true
}

// klines decodes the candles of a push.
func (d *bybit) klines(symbol []byte, m *bybitMessage) bool {
	l := d.lane(symbol)
	if l == nil {
		return true
	}
	return elements(m.data, func(v []byte) bool {
		var f [10][]byte
		if !pick(v, f[:], "start", "end", "open", "high", "low", "close", "volume", "turnover", "confirm", "timestamp") {
			return false
		}
		open, ok1 := jsonMilli(f[0])
		last, ok2 := jsonMilli(f[1])
		ts, ok3 := jsonMilli(f[9])
		if !ok1 || !ok2 || !ok3 || !d.when(ts) {
			return d.fail(badTime, v)
		}
		r := bar{open: open, interval: last + market.Millisecond - open, trades: nullInt, hasNotional: d.on != bybitInverse}
		for i, p := range []*num.Dec{&r.o, &r.h, &r.l, &r.c, &r.v, &r.notional} {
			if *p, ok1 = jsonDec(f[2+i]); !ok1 {
				return d.fail(badNumber, v)
			}
		}
		if r.closed, ok1 = jsonBool(f[8]); !ok1 {
			return d.fail(badField, v)
		}
		if why := r.check(); why != "" {
			return d.fail(why, v)
		}
		e := d.event(l, ts)
		e.ID = d.ids.nums(l, market.KindCandle, "", r.open, r.interval, ts, boolInt(r.closed))
		r.append(d.out.Batch(market.KindCandle), e)
		return true
	})
}

// ticker decodes what a ticker says of mark price, open interest and funding. A delta
// carries what changed; events are made of what this message carries.
func (d *bybit) ticker(symbol []byte, m *bybitMessage) bool {
	l := d.lane(symbol)
	if l == nil {
		return true
	}
	if l.name.venue == market.Spot {
		return d.drop("ticker of spot")
	}
	k := d.tickers[l]
	if k == nil || !m.delta {
		k = &bybitTicker{next: nullInt, interval: nullInt}
		d.tickers[l] = k
	}
	var f [7][]byte
	if !pick(m.data, f[:], "markPrice", "indexPrice", "openInterest", "openInterestValue", "fundingRate",
		"nextFundingTime", "fundingIntervalHour") {
		return false
	}
	for i, p := range []struct {
		v   *num.Dec
		has *bool
	}{{&k.mark, &k.hasMark}, {&k.index, &k.hasIndex}, {&k.interest, &k.hasInterest}, {&k.value, &k.hasValue}, {&k.rate, &k.hasRate}} {
		v, has, ok := jsonDecOr(f[i])
		if !ok {
			return d.fail(badNumber, m.data)
		}
		if has {
			*p.v, *p.has = v, true
		}
	}
	if n, ok := jsonMilli(f[5]); ok {
		k.next = n
	}
	if n, ok := jsonInt(f[6]); ok && n > 0 && n <= 24*7 {
		k.interval = n * market.Hour
	}
	cs, _ := jsonInt(m.cs)
	d.when(m.ts)
	if (!absent(f[0]) || !absent(f[1])) && k.hasMark {
		if k.mark.M <= 0 {
			d.fail(badPrice, m.data)
		} else {
			e := d.event(l, m.ts)
			e.ID = d.ids.nums(l, market.KindMarkPrice, "", m.ts, cs)
			d.appendMarkPrice(e, k.mark, k.index, k.hasIndex)
		}
	}
	if !absent(f[2]) {
		if k.interest.M < 0 {
			d.fail(badNegative, m.data)
		} else {
			e := d.event(l, m.ts)
			e.ID = d.ids.nums(l, market.KindOpenInterest, "", m.ts, cs)
			d.appendOpenInterest(e, k.interest, k.value, !absent(f[3]) && d.on != bybitInverse)
		}
	}
	if (!absent(f[4]) || !absent(f[5])) && k.hasRate && l.name.venue == market.Perp {
		e := d.event(l, m.ts)
		e.ID = d.ids.nums(l, market.KindFunding, "p", k.next, m.ts, cs)
		d.appendPredicted(e, k.rate, k.next, k.interval)
	}
	d.skip = "ticker without mark price, open interest and funding"
	return true
}

// State implements Decoder.
func (d *bybit) State(s *State) {
	d.state(s)
	laneEntries(s, &d.tickers, func(k **bybitTicker) {
		if s.reading {
			*k = &bybitTicker{}
		}
		(*k).state(s)
	})
	laneEntries(s, &d.quotes, func(q **quoteRow) {
		if s.reading {
			*q = &quoteRow{}
		}
		(*q).state(s)
	})
}

func (k *bybitTicker) state(s *State) {
	for _, v := range []*num.Dec{&k.mark, &k.index, &k.interest, &k.value, &k.rate} {
		s.dec(v)
	}
	for _, v := range []*bool{&k.hasMark, &k.hasIndex, &k.hasInterest, &k.hasValue, &k.hasRate} {
		s.Bool(v)
	}
	s.Int(&k.next)
	s.Int(&k.interval)
}
