package adapters

import (
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

var binSymbolNames = []string{
	"symbol", "status", "contractStatus", "baseAsset", "quoteAsset", "contractSize", "filters",
	"onboardDate", "deliveryDate",
}

// exchangeInfo: the instruments of a market. Its serverTime is the venue's clock on
// spot; futures send a stale one (their documentation says to ignore it), so there the
// receive time goes before it.
func (d *binance) exchangeInfo(b []byte, c *binCtx) (err error, ok bool) {
	var vals [3][]byte
	s := scan{b: b}
	if !s.object([]string{"serverTime", "symbols", "futuresType"}, vals[:]) || vals[1] == nil {
		return nil, false
	}
	line := c.place.line
	if line == binUnknown && vals[2] == nil {
		line = binSpot
	}
	ts, flags, why := d.infoTime(c, line, vals[0], vals[2] != nil)
	if why != "" {
		return Bad(why, vals[0]), true
	}
	list := scan{b: vals[1]}
	if !list.take('[') {
		return nil, false
	}
	if list.take(']') {
		return Filtered("empty list"), true
	}
	var bad problems
	for range maxRows {
		el, _ := list.raw()
		if err := d.instrument(el, c, line, ts, flags); err != nil {
			bad.add(err.Reason, []byte(err.Detail))
		}
		if again, _ := list.more(']'); !again {
			break
		}
	}
	return bad.err(), true
}

// infoTime gives the event time of reference data; it returns what is wrong, or "".
func (d *binance) infoTime(c *binCtx, line binLine, server []byte, stale bool) (ts int64, flags uint8, why string) {
	stale = stale || line == binUSDM || line == binCOINM
	if stale && c.ingest != market.NoTime {
		return c.ingest, market.FlagAssumed, ""
	}
	v, ok := rawInt(server)
	if !ok {
		return 0, 0, badNoTime
	}
	if ts, ok = venueTime(v); !ok {
		return 0, 0, badTime
	}
	if stale {
		flags = market.FlagAssumed
	}
	return ts, flags, ""
}

// instrument appends the reference data of one symbol.
func (d *binance) instrument(el []byte, c *binCtx, line binLine, ts int64, flags uint8) *BadRecord {
	var vals [9][]byte
	s := scan{b: el}
	if !s.object(binSymbolNames, vals[:]) {
		return Bad(badField, el)
	}
	symbol, base, quote := rawText(vals[0]), rawText(vals[3]), rawText(vals[4])
	if len(symbol) == 0 || len(base) == 0 || len(quote) == 0 {
		return Bad(badField, el)
	}
	if line == binUnknown {
		line = binUSDM
		if vals[2] != nil {
			line = binCOINM
		}
	}
	x := d.market.inst(line, symbol)
	if x == nil {
		return Bad(refusal(symbol), symbol)
	}
	tick, lot := symbolSteps(vals[6])
	status := rawText(vals[1])
	if len(status) == 0 {
		status = rawText(vals[2])
	}
	size, hasSize := rawDec(vals[5])
	r := listing{
		base: string(base), quote: string(quote), tick: tick, lot: lot, size: size,
		hasTick: tick.M > 0, hasLot: lot.M > 0, hasSize: hasSize && size.M > 0,
		inverse: line == binCOINM, state: listingState(string(status)),
		listed: dateOr(vals[7]), delisted: dateOr(vals[8]),
	}
	e := d.row(c, x.main, ts)
	e.Flags = flags
	e.ID = d.ids.nums(x.main, market.KindInstrument, "", ts)
	r.append(c.out.Batch(market.KindInstrument), e)
	return nil
}

// symbolSteps reads price and quantity step from a symbol's filters, 0 where absent.
func symbolSteps(filters []byte) (tick, lot num.Dec) {
	list := scan{b: filters}
	if !list.take('[') || list.take(']') {
		return tick, lot
	}
	for {
		var vals [3][]byte
		if !list.object([]string{"filterType", "tickSize", "stepSize"}, vals[:]) {
			return tick, lot
		}
		switch string(rawText(vals[0])) {
		case "PRICE_FILTER":
			tick, _ = rawDec(vals[1])
		case "LOT_SIZE":
			lot, _ = rawDec(vals[2])
		}
		if again, _ := list.more(']'); !again {
			return tick, lot
		}
	}
}

func listingState(status string) int64 {
	switch status {
	case "TRADING":
		return listingTrading
	case "CLOSE", "SETTLED", "DELIVERED", "DELISTED":
		return listingDelisted
	}
	return listingHalted
}

// dateOr reads a time, null when absent, 0, or as far away as the delivery date that
// perpetual contracts carry (2100-12-25).
func dateOr(v []byte) int64 {
	if n, ok := rawInt(v); ok {
		if ts, ok := venueTime(n); ok {
			return ts
		}
	}
	return nullInt
}
