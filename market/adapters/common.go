package adapters

import (
	"encoding/hex"
	"math"
	"strconv"

	"github.com/zeebo/xxh3"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// Limits of one record and one decoder; what goes beyond is a bad record (I11).
const (
	MaxLine   = 16 << 20 // bytes of a line
	maxLevels = 20_000   // book levels of a message, both sides
	maxLanes  = 1 << 17  // instruments that one decoder meets
	maxRows   = 100_000  // elements of a REST answer
)

// Reasons of bad records, the same words for every venue.
const (
	badJSON      = "not valid JSON"
	badUnknown   = "unknown message"
	badField     = "field is missing or has the wrong type"
	badNumber    = "number is not an exact decimal"
	badTime      = "event time out of range"
	badNoTime    = "event time is missing"
	badPrice     = "price is not positive"
	badQuantity  = "quantity is not positive"
	badNegative  = "quantity is negative"
	badCrossed   = "quote is crossed"
	badScale     = "numbers of one list do not fit one scale"
	badManyLevel = "more than 20000 levels"
	badManyRows  = "more than 100000 rows"
	badManyInst  = "more than 131072 instruments"
	badLong      = "line is longer than 16 MiB"
	badOrder     = "last id is before the first"
	badMarket    = "market or symbol is not known"
	badSymbol    = "symbol is not known"
)

// nullInt stands for null where a row struct has a nullable integer.
const nullInt int64 = math.MinInt64

// Codes of market.ListingWords.
const (
	listingTrading  = 0
	listingHalted   = 1
	listingDelisted = 2
)

// Codes of market.FundingWords.
const (
	fundingSettled   = 0
	fundingPredicted = 1
)

// lane is one instrument on one feed: what all its events share.
type lane struct {
	feed   market.FeedID
	inst   market.Inst
	offset int64 // Feed.ClockOffset, µs
	name   laneName
	prefix [market.NumKinds][]byte
}

type laneName struct {
	feed, exchange, symbol string
	venue                  market.Venue
}

// idPrefix is market.IDPrefix of the lane and a kind, made once.
func (l *lane) idPrefix(k market.Kind) []byte {
	if l.prefix[k] == nil {
		l.prefix[k] = market.IDPrefix(l.name.feed, l.name.exchange, l.name.venue, l.name.symbol, k.String())
	}
	return l.prefix[k]
}

// lanes finds lanes by name. Adapters keep the last one they used beside it, so that a
// message costs at most one lookup.
type lanes struct {
	env    Env
	byName map[laneName]*lane
}

func newLanes(env Env) *lanes { return &lanes{env: env, byName: map[laneName]*lane{}} }

// get returns the lane of a canonical symbol (see canonical). feed is the adapter's own
// choice: Env.Feed goes before it, and suffix ("-agg") is added to either. It returns
// nil when the decoder has met maxLanes of them; a lane with a suffix is always had by
// an instrument that has one without.
func (l *lanes) get(feed, suffix, exchange string, v market.Venue, symbol string) *lane {
	if l.env.Feed != "" {
		feed = l.env.Feed
	}
	n := laneName{feed: feed + suffix, exchange: exchange, symbol: symbol, venue: v}
	if x := l.byName[n]; x != nil {
		return x
	}
	if len(l.byName) >= maxLanes && suffix == "" {
		return nil
	}
	return l.add(n)
}

func (l *lanes) add(n laneName) *lane {
	id := l.env.Feeds.Intern(n.feed)
	x := &lane{feed: id, inst: l.env.Insts.Intern(n.exchange, n.venue, n.symbol), offset: l.env.Feeds.Get(id).ClockOffset, name: n}
	l.byName[n] = x
	return x
}

// canonical makes the canonical symbol of a venue symbol. One that could not stand in
// a path becomes X-<hex> of its bytes, or of their hash when long (I9).
func canonical(venue []byte) string {
	s := string(venue)
	if len(venue) <= 64 {
		if c := market.CleanSymbol(s); market.ValidSymbol(c) {
			return c
		}
	}
	if len(venue) <= 31 {
		return "X-" + hex.EncodeToString(venue)
	}
	h := xxh3.Hash128(venue).Bytes()
	return "X-" + hex.EncodeToString(h[:])
}

// ids makes event ids in one reused buffer. The hash input must already lie on the
// heap, hence the buffers here and not on the stack of the caller.
type ids struct{ buf, text []byte }

// bytes is the id of an event whose venue id is a text.
func (d *ids) bytes(l *lane, k market.Kind, venueID []byte) (id market.ID) {
	id, d.buf = market.EventID(d.buf, l.idPrefix(k), venueID)
	return id
}

// num is the id of an event whose venue id is mark followed by the decimal n; mark
// keeps apart numbers that mean different things ("" update id, "s" snapshot).
func (d *ids) num(l *lane, k market.Kind, mark string, n uint64) market.ID {
	d.text = strconv.AppendUint(append(d.text[:0], mark...), n, 10)
	return d.bytes(l, k, d.text)
}

// nums is the id of an event that several numbers name together, e.g. a candle by
// open time, interval, trade count and closed flag.
func (d *ids) nums(l *lane, k market.Kind, mark string, n ...int64) market.ID {
	d.text = append(d.text[:0], mark...)
	for _, v := range n {
		d.text = append(strconv.AppendInt(d.text, v, 10), ':')
	}
	return d.bytes(l, k, d.text)
}

// venueTime reads a venue's time in milliseconds or microseconds, told apart by
// magnitude (Binance spot changed from one to the other), and gives microseconds.
func venueTime(v int64) (int64, bool) {
	if v >= market.MinEventTime/1000 && v < market.MaxEventTime/1000 {
		return v * 1000, true
	}
	return v, market.ValidTime(v)
}

// receiveTime is venueTime for collectors' clocks, which also use nanoseconds.
func receiveTime(v int64) (int64, bool) {
	if us := v / 1000; market.ValidTime(us) {
		return us, true
	}
	return venueTime(v)
}

// assumeTime gives the event time of a message that was sent without one: its receive
// time moved to the venue's clock, or, when that was not recorded either, latest, the
// greatest event time seen so far (market.NoTime when there is none).
func assumeTime(l *lane, ingest, latest int64) int64 {
	if ingest != market.NoTime {
		return ingest + l.offset
	}
	return latest
}

// problems collects the bad parts of one record: the first one's reason, the count of all.
type problems struct{ bad *BadRecord }

func (p *problems) add(reason string, detail []byte) {
	if p.bad == nil {
		p.bad = Bad(reason, detail)
		return
	}
	p.bad.Count++
}

func (p *problems) err() error {
	if p.bad == nil {
		return nil
	}
	return p.bad
}

// tradeRow is one trade ready to be appended.
type tradeRow struct {
	id         []byte // nil: null
	side       int64
	price, qty num.Dec
	prints     int64
}

// check returns the reason why the trade is bad, or "".
func (t *tradeRow) check() string {
	switch {
	case t.price.M <= 0:
		return badPrice
	case t.qty.M <= 0:
		return badQuantity
	}
	return ""
}

func (t *tradeRow) append(b *market.Batch, e *market.Envelope) {
	b.AppendEnvelope(e)
	if t.id == nil {
		b.Cols[market.TradeVenueID].AppendNullText()
	} else {
		b.Cols[market.TradeVenueID].AppendText(t.id)
	}
	b.Cols[market.TradeSide].AppendInt(t.side)
	b.Cols[market.TradePrice].AppendDec(t.price.M, t.price.S)
	b.Cols[market.TradeQuantity].AppendDec(t.qty.M, t.qty.S)
	b.Cols[market.TradePrints].AppendInt(t.prints)
}

// quoteRow is one best bid and ask; a side that is absent has its flag unset.
type quoteRow struct {
	bid, bidQty, ask, askQty num.Dec
	hasBid, hasAsk           bool
}

// check returns the reason why the quote is bad, or "". A locked quote (bid = ask) is good.
func (q *quoteRow) check() string {
	switch {
	case q.hasBid && q.bid.M <= 0 || q.hasAsk && q.ask.M <= 0:
		return badPrice
	case q.hasBid && q.bidQty.M < 0 || q.hasAsk && q.askQty.M < 0:
		return badNegative
	case q.hasBid && q.hasAsk && decLess(q.ask, q.bid):
		return badCrossed
	}
	return ""
}

func (q *quoteRow) append(b *market.Batch, e *market.Envelope) {
	b.AppendEnvelope(e)
	appendDecOr(&b.Cols[market.QuoteBidPrice], q.bid, q.hasBid)
	appendDecOr(&b.Cols[market.QuoteBidQuantity], q.bidQty, q.hasBid)
	appendDecOr(&b.Cols[market.QuoteAskPrice], q.ask, q.hasAsk)
	appendDecOr(&b.Cols[market.QuoteAskQuantity], q.askQty, q.hasAsk)
}

func appendDecOr(c *market.Col, v num.Dec, ok bool) {
	if !ok {
		c.AppendNull(true)
		return
	}
	c.AppendDec(v.M, v.S)
}

func appendIntOr(c *market.Col, v int64) {
	if v == nullInt {
		c.AppendNull(false)
		return
	}
	c.AppendInt(v)
}
