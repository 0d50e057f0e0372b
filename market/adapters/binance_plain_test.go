package adapters

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// plain decodes the hot messages of rawstream files the way one would without a scanner
// of its own: encoding/json into a struct, num.ParseDec, and rows by hand. It is the
// second implementation that the adapter is held against, and the baseline of the
// benchmark.
type plain struct {
	env  Env
	feed string
	v    market.Venue
	sym  string
}

type plainMessage struct {
	Stream string `json:"stream"`
	Data   struct {
		Type   string          `json:"e"`
		Event  int64           `json:"E"`
		Time   *int64          `json:"T"`
		Symbol string          `json:"s"`
		ID     uint64          `json:"t"`
		Price  string          `json:"p"`
		Qty    string          `json:"q"`
		Maker  bool            `json:"m"`
		Ignore *bool           `json:"M"`
		X      string          `json:"X"`
		First  int64           `json:"U"`
		Last   uint64          `json:"u"`
		Prev   *int64          `json:"pu"`
		Pair   string          `json:"ps"`
		Bids   json.RawMessage `json:"b"`
		BidQty string          `json:"B"`
		Asks   json.RawMessage `json:"a"`
		AskQty string          `json:"A"`
	} `json:"data"`
	LastUpdateID uint64      `json:"lastUpdateId"`
	T            *int64      `json:"T"`
	E            *int64      `json:"E"`
	Bids         [][2]string `json:"bids"`
	Asks         [][2]string `json:"asks"`
}

func (p *plain) decode(line []byte, out *market.Chunk) error {
	prefix, body, _ := strings.Cut(string(line), " ")
	var ns int64
	if err := json.Unmarshal([]byte(prefix), &ns); err != nil {
		return err
	}
	var m plainMessage
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		return err
	}
	d := &m.Data
	e := market.Envelope{
		Feed: p.env.Feeds.Intern(p.feed), Inst: p.env.Insts.Intern("binance", p.v, p.sym),
		IngestTS: ns / 1000, RawBytes: uint32(len(body)), HasSeq: true,
	}
	id := func(k market.Kind, s string) market.ID {
		id, _ := market.EventID(nil, market.IDPrefix(p.feed, "binance", p.v, p.sym, k.String()), []byte(s))
		return id
	}
	switch {
	case d.Type == "trade":
		e.EventTS, e.Seq = *d.Time*1000, d.ID
		n := jsonString(d.ID)
		e.ID = id(market.KindTrade, n)
		b := out.Batch(market.KindTrade)
		b.AppendEnvelope(&e)
		b.Cols[market.TradeVenueID].AppendText([]byte(n))
		side := int64(market.SideBuy)
		if d.Maker {
			side = market.SideSell
		}
		b.Cols[market.TradeSide].AppendInt(side)
		b.Cols[market.TradePrints].AppendInt(1)
		return errors.Join(plainDec(&b.Cols[market.TradePrice], d.Price), plainDec(&b.Cols[market.TradeQuantity], d.Qty))
	case d.Type == "depthUpdate":
		e.Seq, e.EventTS = d.Last, d.Event*1000
		if d.Time != nil {
			e.EventTS = *d.Time * 1000
		}
		e.ID = id(market.KindBook, jsonString(d.Last))
		var bids, asks [][2]string
		if err := errors.Join(json.Unmarshal(d.Bids, &bids), json.Unmarshal(d.Asks, &asks)); err != nil {
			return err
		}
		b := out.Batch(market.KindBook)
		b.AppendEnvelope(&e)
		b.Cols[market.BookOrigin].AppendInt(market.OriginDelta)
		b.Cols[market.BookFirstSeq].AppendInt(d.First)
		if d.Prev == nil {
			b.Cols[market.BookPrevSeq].AppendNull(false)
		} else {
			b.Cols[market.BookPrevSeq].AppendInt(*d.Prev)
		}
		return plainLevels(b, bids, asks)
	case m.LastUpdateID != 0:
		e.Seq, e.Flags = m.LastUpdateID, market.FlagAssumed
		e.EventTS = e.IngestTS + p.env.Feeds.Get(e.Feed).ClockOffset
		if m.T != nil {
			e.EventTS, e.Flags = *m.T*1000, 0
		}
		e.ID = id(market.KindBook, "s"+jsonString(m.LastUpdateID))
		b := out.Batch(market.KindBook)
		b.AppendEnvelope(&e)
		b.Cols[market.BookOrigin].AppendInt(market.OriginREST)
		b.Cols[market.BookFirstSeq].AppendNull(false)
		b.Cols[market.BookPrevSeq].AppendNull(false)
		return plainLevels(b, m.Bids, m.Asks)
	default:
		var bid, ask string
		if err := errors.Join(json.Unmarshal(d.Bids, &bid), json.Unmarshal(d.Asks, &ask)); err != nil {
			return err
		}
		e.Seq, e.Flags = d.Last, market.FlagAssumed
		e.EventTS = e.IngestTS + p.env.Feeds.Get(e.Feed).ClockOffset
		if d.Time != nil {
			e.EventTS, e.Flags = *d.Time*1000, 0
		}
		e.ID = id(market.KindQuote, jsonString(d.Last))
		b := out.Batch(market.KindQuote)
		b.AppendEnvelope(&e)
		return errors.Join(plainDec(&b.Cols[0], bid), plainDec(&b.Cols[1], d.BidQty), plainDec(&b.Cols[2], ask), plainDec(&b.Cols[3], d.AskQty))
	}
}

func jsonString(n uint64) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func plainDec(c *market.Col, s string) error {
	v, err := num.ParseDec([]byte(s))
	c.AppendDec(v.M, v.S)
	return err
}

func plainLevels(b *market.Batch, bids, asks [][2]string) error {
	b.Cols[market.BookChecksum].AppendNull(false)
	b.Cols[market.BookDepth].AppendNull(false)
	var err error
	for i, c := range [...]int{market.BookBidPrice, market.BookBidQuantity, market.BookAskPrice, market.BookAskQuantity} {
		side := bids
		if i >= 2 {
			side = asks
		}
		var all []num.Dec
		var top int8
		for _, l := range side {
			v, e := num.ParseDec([]byte(l[i&1]))
			err = errors.Join(err, e)
			all = append(all, v)
			top = max(top, v.S)
		}
		var ms []int64
		for _, v := range all {
			for ; v.S < top; v.S++ {
				v.M *= 10
			}
			ms = append(ms, v.M)
		}
		b.Cols[c].AppendDecs(ms, top)
	}
	return err
}
