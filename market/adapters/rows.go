package adapters

import (
	"math/bits"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// bar is one candle; has flags say which of the nullable values were sent.
type bar struct {
	interval, open          int64 // µs
	o, h, l, c, v, notional num.Dec
	hasNotional             bool
	trades                  int64 // nullInt: not sent
	closed                  bool
}

// check returns the reason why the candle is bad, or "".
func (r *bar) check() string {
	switch {
	case !market.ValidTime(r.open) || r.interval <= 0:
		return badTime
	case r.o.M <= 0 || r.h.M <= 0 || r.l.M <= 0 || r.c.M <= 0:
		return badPrice
	case r.v.M < 0 || r.notional.M < 0:
		return badNegative
	}
	return ""
}

func (r *bar) append(b *market.Batch, e *market.Envelope) {
	b.AppendEnvelope(e)
	b.Cols[market.CandleInterval].AppendInt(r.interval)
	b.Cols[market.CandleOpenTS].AppendInt(r.open)
	for i, v := range [...]num.Dec{r.o, r.h, r.l, r.c, r.v} {
		b.Cols[market.CandleOpen+i].AppendDec(v.M, v.S)
	}
	appendDecOr(&b.Cols[market.CandleNotional], r.notional, r.hasNotional)
	appendIntOr(&b.Cols[market.CandleTrades], r.trades)
	b.Cols[market.CandleTakerBuy].AppendNull(true)
	b.Cols[market.CandleClosed].AppendInt(boolInt(r.closed))
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// listing is one instrument as the venue describes it.
type listing struct {
	base, quote              string
	tick, lot, size          num.Dec
	hasTick, hasLot, hasSize bool
	inverse                  bool
	state                    int64 // index into market.ListingWords
	listed, delisted         int64 // nullInt: not sent
}

func (r *listing) append(b *market.Batch, e *market.Envelope) {
	b.AppendEnvelope(e)
	b.Cols[market.InstrBase].AppendText([]byte(r.base))
	b.Cols[market.InstrQuote].AppendText([]byte(r.quote))
	appendDecOr(&b.Cols[market.InstrTick], r.tick, r.hasTick)
	appendDecOr(&b.Cols[market.InstrLot], r.lot, r.hasLot)
	appendDecOr(&b.Cols[market.InstrContractSize], r.size, r.hasSize)
	b.Cols[market.InstrInverse].AppendInt(boolInt(r.inverse))
	b.Cols[market.InstrState].AppendInt(r.state)
	appendIntOr(&b.Cols[market.InstrListedTS], r.listed)
	appendIntOr(&b.Cols[market.InstrDelistedTS], r.delisted)
}

// appendListing appends an instrument event. Venues describe instruments without a
// time: it is that of the answer, and the id is made of it, so that the same answer
// asked for later is a later statement.
func (d *session) appendListing(l *lane, r *listing) {
	ts, ok := d.assumed(l)
	if !ok {
		d.fail(badNoTime, d.rec.Data)
		return
	}
	e := d.event(l, ts)
	e.Flags |= market.FlagAssumed
	e.ID = d.ids.nums(l, market.KindInstrument, "", ts)
	r.append(d.out.Batch(market.KindInstrument), e)
}

// appendMarkPrice appends a mark price; index may be unknown.
func (d *session) appendMarkPrice(e *market.Envelope, mark, index num.Dec, hasIndex bool) {
	b := d.out.Batch(market.KindMarkPrice)
	b.AppendEnvelope(e)
	b.Cols[market.MarkPrice].AppendDec(mark.M, mark.S)
	appendDecOr(&b.Cols[market.MarkIndexPrice], index, hasIndex && index.M > 0)
	b.Cols[market.MarkSettle].AppendNull(true)
}

// appendOpenInterest appends an open interest; notional may be unknown.
func (d *session) appendOpenInterest(e *market.Envelope, qty, notional num.Dec, hasNotional bool) {
	b := d.out.Batch(market.KindOpenInterest)
	b.AppendEnvelope(e)
	b.Cols[market.OIQuantity].AppendDec(qty.M, qty.S)
	appendDecOr(&b.Cols[market.OINotional], notional, hasNotional)
}

// appendPredicted appends the funding rate that will be paid at next (nullInt: unknown)
// if nothing changes; interval is nullInt where it is not known.
func (d *session) appendPredicted(e *market.Envelope, rate num.Dec, next, interval int64) {
	b := d.out.Batch(market.KindFunding)
	b.AppendEnvelope(e)
	b.Cols[market.FundingRate].AppendDec(rate.M, rate.S)
	b.Cols[market.FundingForm].AppendInt(fundingPredicted)
	appendIntOr(&b.Cols[market.FundingNextTS], next)
	appendIntOr(&b.Cols[market.FundingInterval], interval)
}

// appendForced appends a liquidation that its venue does not number; side is that of
// the forced order.
func (d *session) appendForced(e *market.Envelope, side int64, price, qty num.Dec) {
	b := d.out.Batch(market.KindLiquidation)
	b.AppendEnvelope(e)
	b.Cols[market.LiqVenueID].AppendNullText()
	b.Cols[market.LiqSide].AppendInt(side)
	b.Cols[market.LiqPrice].AppendDec(price.M, price.S)
	b.Cols[market.LiqQuantity].AppendDec(qty.M, qty.S)
}

// appendSettled appends a funding rate that was paid at ts.
func (d *session) appendSettled(l *lane, rate num.Dec, ts int64) {
	e := d.event(l, ts)
	e.ID = d.ids.nums(l, market.KindFunding, "", ts)
	b := d.out.Batch(market.KindFunding)
	b.AppendEnvelope(e)
	b.Cols[market.FundingRate].AppendDec(rate.M, rate.S)
	b.Cols[market.FundingForm].AppendInt(fundingSettled)
	b.Cols[market.FundingNextTS].AppendNull(false)
	b.Cols[market.FundingInterval].AppendNull(false)
}

// mulDec is a × b, exactly; false when that does not fit.
func mulDec(a, b num.Dec) (num.Dec, bool) {
	if a.M < 0 || b.M < 0 || int(a.S)+int(b.S) > num.MaxScale {
		return num.Dec{}, false
	}
	hi, lo := bits.Mul64(uint64(a.M), uint64(b.M))
	return num.Dec{M: int64(lo), S: a.S + b.S}, hi == 0 && lo < 1<<63
}
