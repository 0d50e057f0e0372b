package canon

import (
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
	"github.com/pinova-group/tidemark/market/num"
)

// check applies the rules of a kind to the values of the row, and brings the lists of
// a book row to one scale.
func (d *decoder) check(k market.Kind, w wire) *adapters.BadRecord {
	why := ""
	v := &d.vals
	switch k {
	case market.KindTrade:
		why = d.positive(v[market.TradePrice], v[market.TradeQuantity])
		if why == "" && v[market.TradePrints].m < 1 {
			why = "prints is not positive"
		}
	case market.KindLiquidation:
		why = d.positive(v[market.LiqPrice], v[market.LiqQuantity])
	case market.KindQuote:
		why = d.checkQuote()
	case market.KindBook:
		why = d.checkBook(w)
	case market.KindCandle:
		why = d.checkCandle()
	case market.KindMarkPrice:
		for _, p := range v[:3] {
			if !p.null && p.m <= 0 {
				why = badPrice
			}
		}
	case market.KindOpenInterest:
		if v[market.OIQuantity].m < 0 || v[market.OINotional].m < 0 {
			why = badNegative
		}
	case market.KindInstrument:
		for _, i := range []int{market.InstrTick, market.InstrLot, market.InstrContractSize} {
			if !v[i].null && v[i].m <= 0 {
				why = "size is not positive"
			}
		}
	}
	if why != "" {
		return adapters.Bad(why, d.offending(k))
	}
	return nil
}

func (d *decoder) positive(price, qty value) string {
	switch {
	case price.m <= 0:
		return badPrice
	case qty.m <= 0:
		return badQuantity
	}
	return ""
}

// offending is the text shown with a broken rule: the first price of the row.
func (d *decoder) offending(k market.Kind) []byte {
	for _, f := range d.columns.kinds[k] {
		if c := d.cells[f.col]; f.Unit == "quote" && !c.null() {
			return c.b
		}
	}
	return nil
}

// checkQuote refuses crossed quotes; locked ones (bid = ask) occur and are good.
func (d *decoder) checkQuote() string {
	bid, bidQty := &d.vals[market.QuoteBidPrice], &d.vals[market.QuoteBidQuantity]
	ask, askQty := &d.vals[market.QuoteAskPrice], &d.vals[market.QuoteAskQuantity]
	switch {
	case bid.null && ask.null:
		return "quote has neither bid nor ask"
	case !bid.null && bid.m <= 0 || !ask.null && ask.m <= 0:
		return badPrice
	case bidQty.m < 0 || askQty.m < 0:
		return badNegative
	case !bid.null && !ask.null && ask.below(bid):
		return badCrossed
	}
	return ""
}

func (d *decoder) checkBook(w wire) string {
	origin := &d.vals[0]
	switch {
	case origin.m == -1 && w == wireAny:
		return "origin is missing"
	case origin.m == -1 && w == wireDelta:
		origin.m = market.OriginDelta
	case origin.m == -1:
		origin.m = market.OriginVenue
	case w == wireDelta && origin.m != market.OriginDelta, w == wireSnapshot && origin.m == market.OriginDelta:
		return "origin does not agree with the kind"
	}
	for _, s := range []*side{&d.bids, &d.asks} {
		var ok, ok2 bool
		s.priceScale, ok = fit(s.price, s.priceS)
		s.qtyScale, ok2 = fit(s.qty, s.qtyS)
		if !ok || !ok2 {
			return badScale
		}
	}
	if origin.m != market.OriginDelta && d.crossed() {
		return badBook
	}
	return ""
}

// crossed reports whether the best bid of a snapshot lies above its best ask.
func (d *decoder) crossed() bool {
	if len(d.bids.price) == 0 || len(d.asks.price) == 0 {
		return false
	}
	bid, ask := d.bids.price[0], d.asks.price[0]
	for _, p := range d.bids.price {
		bid = max(bid, p)
	}
	for _, p := range d.asks.price {
		ask = min(ask, p)
	}
	return num.Cmp(num.Dec{M: ask, S: d.asks.priceScale}, num.Dec{M: bid, S: d.bids.priceScale}) < 0
}

func (d *decoder) checkCandle() string {
	v := &d.vals
	high, low := &v[market.CandleHigh], &v[market.CandleLow]
	for _, i := range []int{market.CandleOpen, market.CandleHigh, market.CandleLow, market.CandleClose} {
		p := &v[i]
		switch {
		case p.m <= 0:
			return badPrice
		case high.below(p) || p.below(low):
			return "candle has a price outside of low and high"
		}
	}
	for _, i := range []int{market.CandleVolume, market.CandleNotional, market.CandleTakerBuy} {
		if v[i].m < 0 {
			return badNegative
		}
	}
	if v[market.CandleInterval].m <= 0 {
		return "interval is not positive"
	}
	return ""
}
