package adapters

import (
	"net/url"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// object decodes a message that is an object: a service message or a REST answer.
func (d *kraken) object(b []byte) bool {
	var f [3][]byte
	if !pick(b, f[:], "event", "error", "result") {
		return false
	}
	event, errs, result := f[0], f[1], f[2]
	switch {
	case event != nil:
		return d.service(event)
	case errs == nil:
		return d.fail(badUnknown, b)
	case tuple(errs, nil) > 0:
		return d.drop("error answer")
	}
	if len(result) == 0 || result[0] != '{' {
		return d.fail(badUnknown, b)
	}
	return members(result, func(name, v []byte) bool { return d.result(name, v, b) })
}

func (d *kraken) service(event []byte) bool {
	switch string(unquoted(event)) {
	case "heartbeat", "systemStatus", "subscriptionStatus", "pong":
		return d.drop("service message")
	}
	return d.fail(badUnknown, event)
}

// result decodes one member of a REST answer's result: what is known of one pair. The
// answers do not say which call they answer; the shapes differ.
func (d *kraken) result(pair, v, answer []byte) bool {
	switch v[0] {
	case '{':
		return d.pair(pair, v)
	case '[':
		return d.list(pair, v)
	}
	switch string(pair) {
	case "last", "status", "timestamp", "unixtime", "rfc1123":
		return d.drop("service answer")
	}
	return d.fail(badUnknown, answer)
}

// list decodes the rows of Trades (6 or 7 elements), OHLC (8) or Spread (3).
func (d *kraken) list(pair, v []byte) bool {
	width, n := 0, 0
	opens := [2]int64{}
	ok := elements(v, func(row []byte) bool {
		var f [1][]byte
		w := tuple(row, f[:])
		if n == 0 {
			width = w
		}
		if n < 2 && w > 0 {
			opens[n], _ = jsonInt(f[0])
		}
		n++
		return w > 0 && n <= maxRows
	})
	switch {
	case n > maxRows:
		return d.fail(badManyRows, pair)
	case !ok:
		return false
	case n == 0:
		return d.drop("empty answer")
	case width == 3:
		return d.drop("quotes without sizes")
	}
	l := d.lane(pair)
	if l == nil {
		return d.fail(badManyInst, pair)
	}
	switch width {
	case 6, 7:
		return elements(v, func(row []byte) bool { return d.trade(l, row) })
	case 8:
		interval := krakenInterval(d.rec.URL, opens)
		i := 0
		return elements(v, func(row []byte) bool {
			i++
			return d.ohlcRow(l, row, interval, i < n)
		})
	}
	return d.fail(badUnknown, pair)
}

// krakenInterval is the interval of an OHLC answer: that of the question, else the step
// from the first candle to the second, else Kraken's default of a minute.
func krakenInterval(address string, opens [2]int64) int64 {
	if u, err := url.Parse(address); err == nil && address != "" {
		if n, ok := jsonInt([]byte(u.Query().Get("interval"))); ok && n > 0 && n < 1<<20 {
			return n * market.Minute
		}
	}
	if step := opens[1] - opens[0]; opens[1] != 0 && step > 0 && step < 1<<30 {
		return step * market.Second
	}
	return market.Minute
}

// ohlcRow decodes [time, open, high, low, close, vwap, volume, count]. The last row of
// an answer is the candle that is still growing.
func (d *kraken) ohlcRow(l *lane, row []byte, interval int64, closed bool) bool {
	var f [8][]byte
	if tuple(row, f[:]) != 8 {
		return false
	}
	open, ok := secondsText(unquoted(f[0]))
	if !ok {
		return d.fail(badTime, row)
	}
	r := bar{interval: interval, open: open, closed: closed}
	ts, flags := open+interval-1, uint8(0)
	if !closed {
		flags = market.FlagAssumed
		ts, _ = d.assumed(l)
		ts = max(ts, open)
	}
	if !d.when(ts) {
		return d.fail(badTime, row)
	}
	return d.candle(l, &r, [6][]byte{f[1], f[2], f[3], f[4], f[6], f[7]}, ts, flags, row)
}

// pair decodes what AssetPairs, Depth, Ticker and Assets say of one pair or asset.
func (d *kraken) pair(pair, v []byte) bool {
	var f [6][]byte
	if !pick(v, f[:], "wsname", "tick_size", "pair_decimals", "lot_decimals", "status", "asks") {
		return false
	}
	switch {
	case f[5] != nil:
		return d.drop("depth without an update id")
	case f[2] == nil || f[0] == nil:
		return d.drop("statistics, assets and dark pools")
	}
	name, ok := jsonText(f[0])
	if !ok {
		return d.fail(badField, v)
	}
	l := d.lane(name)
	if l == nil {
		return d.fail(badManyInst, pair)
	}
	base, quote := market.SplitSymbol(l.name.symbol)
	r := listing{base: base, quote: quote, listed: nullInt, delisted: nullInt}
	var ok1, ok2 bool
	r.lot, ok1 = krakenStep(f[3])
	if r.tick, r.hasTick, ok2 = jsonDecOr(f[1]); !r.hasTick && ok2 {
		r.tick, ok2 = krakenStep(f[2])
	}
	r.hasTick, r.hasLot = true, true
	if !ok1 || !ok2 {
		return d.fail(badField, v)
	}
	switch string(unquoted(f[4])) {
	case "", "online", "limit_only", "post_only":
		r.state = listingTrading
	case "cancel_only", "reduce_only", "maintenance", "suspended", "work_in_progress", "delisted":
		r.state = listingHalted
	}
	d.appendListing(l, &r)
	return true
}

// krakenStep is 10^-n of a number of decimals.
func krakenStep(v []byte) (num.Dec, bool) {
	n, ok := jsonInt(v)
	return num.Dec{M: 1, S: int8(n & 31)}, ok && n <= num.MaxScale
}
