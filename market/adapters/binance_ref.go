package adapters

import (
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// restKline: an element of /klines, a list of open time, open, high, low, close, volume,
// close time, notional, trades, taker buy volume, taker buy notional. It does not say
// whether the candle is closed: it is when its close time lies before the receive time,
// or when that was not recorded.
func (d *binance) restKline(b []byte, c *binCtx) (err error, ok bool) {
	x, err := d.target(c, nil, d.market.neighbour)
	if err != nil {
		return err, true
	}
	var v [10][]byte
	s := scan{b: b}
	if !s.take('[') {
		return nil, false
	}
	for i := 0; ; i++ {
		el, ok := s.raw()
		if !ok {
			return nil, false
		}
		if i < len(v) {
			v[i] = el
		}
		if again, ok := s.more(']'); !again {
			if !ok || i < len(v)-1 {
				return nil, false
			}
			break
		}
	}
	var r candleRow
	for i, p := range [...]*num.Dec{1: &r.o, 2: &r.h, 3: &r.l, 4: &r.c, 5: &r.v, 7: &r.notional, 9: &r.takerBuy} {
		if p == nil {
			continue
		}
		if *p, ok = rawDec(v[i]); !ok {
			return nil, false
		}
	}
	var ok1, ok2, ok3 bool
	r.open, ok1 = rawInt(v[0])
	r.last, ok2 = rawInt(v[6])
	r.trades, ok3 = rawInt(v[8])
	if !ok1 || !ok2 || !ok3 {
		return nil, false
	}
	ts, ok := d.when(x.line, r.last)
	if !ok {
		return Bad(badTime, b), true
	}
	r.closed = true
	if c.ingest != market.NoTime && ts >= c.ingest+x.main.offset {
		r.closed, ts = false, c.ingest+x.main.offset
	}
	if why := d.appendCandle(c, x, &r, ts); why != "" {
		return Bad(why, b), true
	}
	return nil, true
}

// fundingRate: an element of /fundingRate: a rate that has been paid.
func (d *binance) fundingRate(b []byte, c *binCtx) (err error, ok bool) {
	var vals [3][]byte
	s := scan{b: b}
	if !s.object([]string{"symbol", "fundingRate", "fundingTime"}, vals[:]) {
		return nil, false
	}
	x, err := d.target(c, rawText(vals[0]), usdm)
	if err != nil {
		return err, true
	}
	rate, ok1 := rawDec(vals[1])
	t, ok2 := rawInt(vals[2])
	if !ok1 || !ok2 {
		return nil, false
	}
	ts, ok := d.when(x.line, t)
	if !ok {
		return Bad(badTime, b), true
	}
	d.appendFunding(c, x, fundingRow{rate: rate, form: fundingSettled, next: nullInt}, ts)
	return nil, true
}

// premiumIndex: what markPriceUpdate pushes, polled.
func (d *binance) premiumIndex(b []byte, c *binCtx) (err error, ok bool) {
	var vals [7][]byte
	names := []string{"symbol", "markPrice", "indexPrice", "estimatedSettlePrice", "lastFundingRate", "nextFundingTime", "time"}
	s := scan{b: b}
	if !s.object(names, vals[:]) {
		return nil, false
	}
	x, err := d.target(c, rawText(vals[0]), usdm)
	if err != nil {
		return err, true
	}
	var r markRow
	if r.mark, ok = rawDec(vals[1]); !ok {
		return nil, false
	}
	r.index, r.hasIndex = rawDec(vals[2])
	r.settle, r.hasSettle = rawDec(vals[3])
	r.rate, r.hasRate = rawDec(vals[4])
	if vals[5] != nil {
		if r.next, ok = rawInt(vals[5]); !ok {
			return nil, false
		}
	}
	t, ok := rawInt(vals[6])
	if !ok {
		return nil, false
	}
	if why := d.appendMark(c, x, &r, t); why != "" {
		return Bad(why, b), true
	}
	return nil, true
}

// openInterest: open contracts or base units of one symbol, now or (openInterestHist) at
// the end of a period with their worth. Totals over all contracts of a pair are dropped.
func (d *binance) openInterest(b []byte, c *binCtx) (err error, ok bool) {
	var vals [7][]byte
	names := []string{"symbol", "openInterest", "time", "sumOpenInterest", "sumOpenInterestValue", "timestamp", "contractType"}
	s := scan{b: b}
	if !s.object(names, vals[:]) {
		return nil, false
	}
	if vals[0] == nil && vals[6] != nil {
		return Filtered("open interest of a pair"), true
	}
	x, err := d.target(c, rawText(vals[0]), usdm)
	if err != nil {
		return err, true
	}
	if vals[1] == nil {
		vals[1], vals[2] = vals[3], vals[5]
	}
	qty, ok := rawDec(vals[1])
	if !ok {
		return nil, false
	}
	if qty.M < 0 {
		return Bad(badNegative, b), true
	}
	worth, hasWorth := rawDec(vals[4])
	e, why := d.timed(c, x, x.main, vals[2])
	if why != "" {
		return Bad(why, b), true
	}
	e.ID = d.ids.nums(x.main, market.KindOpenInterest, "", e.EventTS)
	out := c.out.Batch(market.KindOpenInterest)
	out.AppendEnvelope(e)
	out.Cols[market.OIQuantity].AppendDec(qty.M, qty.S)
	appendDecOr(&out.Cols[market.OINotional], worth, hasWorth && x.line != binCOINM)
	return nil, true
}
