package adapters

import (
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// markRow is a mark price and the funding rate that comes with it.
type markRow struct {
	mark, index, settle, rate    num.Dec
	hasIndex, hasSettle, hasRate bool
	next                         int64 // next funding, as sent; 0 where there is none
}

// markPrice: mark price p, index price i, estimated settlement price P, and the funding
// rate r that will be paid at T if nothing changes. Dated futures send T = 0: no funding.
func (d *binance) markPrice(c *binCtx) (err error, ok bool) {
	f := &d.msg
	x, err := d.symbol(c, binUSDM)
	if err != nil {
		return err, true
	}
	var r markRow
	if r.mark, ok = f.dec('p'); !ok {
		return nil, false
	}
	if r.index, r.hasIndex, ok = f.decOr('i'); !ok {
		return nil, false
	}
	if r.settle, r.hasSettle, ok = f.decOr('P'); !ok {
		return nil, false
	}
	if r.rate, r.hasRate, ok = f.decOr('r'); !ok {
		return nil, false
	}
	ms, ok := f.int('E')
	if !ok {
		return nil, false
	}
	if f.has('T') {
		if r.next, ok = f.int('T'); !ok {
			return nil, false
		}
	}
	if why := d.appendMark(c, x, &r, ms); why != "" {
		return Bad(why, f.b), true
	}
	return nil, true
}

// appendMark appends a mark price and, for perpetuals, the predicted funding; it returns
// what is wrong, or "".
func (d *binance) appendMark(c *binCtx, x *binInst, r *markRow, ms int64) string {
	if r.mark.M <= 0 {
		return badPrice
	}
	ts, ok := d.when(x.line, ms)
	if !ok {
		return badTime
	}
	funded := r.hasRate && r.next != 0
	var next int64
	if funded {
		if next, ok = venueTime(r.next); !ok {
			return badTime
		}
	}
	e := d.row(c, x.main, ts)
	e.ID = d.ids.nums(x.main, market.KindMarkPrice, "", ts)
	b := c.out.Batch(market.KindMarkPrice)
	b.AppendEnvelope(e)
	b.Cols[market.MarkPrice].AppendDec(r.mark.M, r.mark.S)
	appendDecOr(&b.Cols[market.MarkIndexPrice], r.index, r.hasIndex && r.index.M > 0)
	appendDecOr(&b.Cols[market.MarkSettle], r.settle, r.hasSettle && r.settle.M > 0)
	if funded {
		d.appendFunding(c, x, fundingRow{rate: r.rate, form: fundingPredicted, next: next}, ts)
	}
	return ""
}

type fundingRow struct {
	rate num.Dec
	form int64
	next int64 // nullInt: unknown
}

// appendFunding appends a funding event. A settled rate is named by its settlement, a
// predicted one by the settlement and the time of the prediction.
func (d *binance) appendFunding(c *binCtx, x *binInst, r fundingRow, ts int64) {
	e := d.row(c, x.main, ts)
	if r.form == fundingSettled {
		e.ID = d.ids.nums(x.main, market.KindFunding, "", ts)
	} else {
		e.ID = d.ids.nums(x.main, market.KindFunding, "p", r.next, ts)
	}
	b := c.out.Batch(market.KindFunding)
	b.AppendEnvelope(e)
	b.Cols[market.FundingRate].AppendDec(r.rate.M, r.rate.S)
	b.Cols[market.FundingForm].AppendInt(r.form)
	appendIntOr(&b.Cols[market.FundingNextTS], r.next)
	b.Cols[market.FundingInterval].AppendNull(false)
}

// forceOrder: a liquidation order o. Price is the average price ap of what was filled
// and quantity the filled z, because that is what the market saw; before any fill, the
// order's own price p and quantity q. At most one order a second is pushed for a symbol,
// so time, side, price and quantity name it.
func (d *binance) forceOrder(c *binCtx) (err error, ok bool) {
	if order := d.msg.raw('o'); order == nil || !d.msg.read(order) {
		return nil, false
	}
	f := &d.msg
	x, err := d.symbol(c, binUSDM)
	if err != nil {
		return err, true
	}
	side, ok := f.str('S')
	if !ok {
		return nil, false
	}
	price, ok := f.dec('p')
	if !ok {
		return nil, false
	}
	qty, ok := f.dec('q')
	if !ok {
		return nil, false
	}
	ap, hasAP, ok := f.decOr(keyAP)
	if !ok {
		return nil, false
	}
	z, hasZ, ok := f.decOr('z')
	if !ok {
		return nil, false
	}
	ms, ok := f.int('T')
	if !ok {
		return nil, false
	}
	if hasAP && ap.M > 0 {
		price = ap
	}
	if hasZ && z.M > 0 {
		qty = z
	}
	row := liquidationRow{price: price, qty: qty, side: market.SideBuy}
	switch string(side) {
	case "BUY":
	case "SELL":
		row.side = market.SideSell
	default:
		return Bad(badField, f.b), true
	}
	return d.appendLiquidation(c, x, &row, ms), true
}

type liquidationRow struct {
	price, qty num.Dec
	side       int64
}

func (d *binance) appendLiquidation(c *binCtx, x *binInst, r *liquidationRow, ms int64) error {
	t := tradeRow{price: r.price, qty: r.qty}
	if why := t.check(); why != "" {
		return Bad(why, d.msg.b)
	}
	ts, ok := d.when(x.line, ms)
	if !ok {
		return Bad(badTime, d.msg.b)
	}
	e := d.row(c, x.main, ts)
	e.ID = d.ids.nums(x.main, market.KindLiquidation, "", ts, r.side, r.price.M, int64(r.price.S), r.qty.M, int64(r.qty.S))
	b := c.out.Batch(market.KindLiquidation)
	b.AppendEnvelope(e)
	b.Cols[market.LiqVenueID].AppendNullText()
	b.Cols[market.LiqSide].AppendInt(r.side)
	b.Cols[market.LiqPrice].AppendDec(r.price.M, r.price.S)
	b.Cols[market.LiqQuantity].AppendDec(r.qty.M, r.qty.S)
	return nil
}

// candleRow is one candle as Binance sends it: times in the venue's unit, close time
// being the last instant in it.
type candleRow struct {
	open, last              int64
	o, h, l, c, v, notional num.Dec
	takerBuy                num.Dec
	trades                  int64
	closed                  bool
}

// kline: candle k, sent while it grows and once more when it is closed (x).
func (d *binance) kline(c *binCtx) (err error, ok bool) {
	f := &d.msg
	ms, ok := f.int('E')
	if !ok {
		return nil, false
	}
	guess := binUnknown
	if s, ok := f.str('s'); ok {
		guess = d.market.neighbour(s)
	}
	x, err := d.symbol(c, guess)
	if err != nil {
		return err, true
	}
	if body := f.raw('k'); body == nil || !f.read(body) {
		return nil, false
	}
	var r candleRow
	for _, m := range [...]struct {
		k byte
		d *num.Dec
	}{{'o', &r.o}, {'h', &r.h}, {'l', &r.l}, {'c', &r.c}, {'v', &r.v}, {'q', &r.notional}, {'V', &r.takerBuy}} {
		if *m.d, ok = f.dec(m.k); !ok {
			return nil, false
		}
	}
	var ok1, ok2, ok3, ok4 bool
	r.open, ok1 = f.int('t')
	r.last, ok2 = f.int('T')
	r.trades, ok3 = f.int('n')
	r.closed, ok4 = f.flag('x')
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return nil, false
	}
	ts, ok := d.when(x.line, ms)
	if !ok {
		return Bad(badTime, f.b), true
	}
	if why := d.appendCandle(c, x, &r, ts); why != "" {
		return Bad(why, f.b), true
	}
	return nil, true
}

// appendCandle appends a candle; it returns what is wrong with it, or "". Open time,
// interval, number of trades and the closed flag name it, so that every update of an
// open candle is an event of its own.
func (d *binance) appendCandle(c *binCtx, x *binInst, r *candleRow, ts int64) string {
	if r.o.M <= 0 || r.h.M <= 0 || r.l.M <= 0 || r.c.M <= 0 {
		return badPrice
	}
	if r.v.M < 0 || r.notional.M < 0 || r.takerBuy.M < 0 {
		return badNegative
	}
	open, ok1 := venueTime(r.open)
	end, ok2 := venueTime(r.last + 1)
	if !ok1 || !ok2 || end <= open {
		return badTime
	}
	closed := int64(0)
	if r.closed {
		closed = 1
	}
	e := d.row(c, x.main, ts)
	e.ID = d.ids.nums(x.main, market.KindCandle, "", open, end-open, r.trades, closed)
	b := c.out.Batch(market.KindCandle)
	b.AppendEnvelope(e)
	b.Cols[market.CandleInterval].AppendInt(end - open)
	b.Cols[market.CandleOpenTS].AppendInt(open)
	for i, v := range [...]num.Dec{r.o, r.h, r.l, r.c, r.v} {
		b.Cols[market.CandleOpen+i].AppendDec(v.M, v.S)
	}
	// COIN-M counts contracts and sends their worth in the base asset: no notional in quote.
	appendDecOr(&b.Cols[market.CandleNotional], r.notional, x.line != binCOINM)
	b.Cols[market.CandleTrades].AppendInt(r.trades)
	b.Cols[market.CandleTakerBuy].AppendDec(r.takerBuy.M, r.takerBuy.S)
	b.Cols[market.CandleClosed].AppendInt(closed)
	return ""
}
