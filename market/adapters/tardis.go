package adapters

import (
	"bytes"
	"strings"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// TardisCSV is the adapter of tardis.dev's downloadable trades and quotes.
var TardisCSV = &Adapter{
	Name: "tardis-csv",
	Doc: "tardis.dev CSV files trades and quotes. timestamp is the event time, local_timestamp the receive time, both " +
		"microseconds. Exchange binance-futures is Binance USD-M (feed tardis-binance-usdm); all others go to feed tardis.",
	Framing: Lines,
	Detect:  detectTardis,
	New:     newTardis,
	Mapping: []Mapping{
		{"row of trades", market.KindTrade, "id; seq when the id is a number; side is the taker's"},
		{"row of quotes", market.KindQuote, "an empty side is null; no venue id: the payload names the event"},
		{"exchange", market.KindNone, "binance, binance-futures, binance-delivery: exchange binance, market spot, perp, perp (future when the symbol has a date); others keep their name and have their market by suffix: -swap perp, -futures future, -options option, -spot spot; bitmex, bybit, hyperliquid, dydx: perp; deribit by symbol; else spot"},
		{"header", market.KindNone, "no data"},
	},
}

// Columns of tardis files, by name.
const (
	tarExchange = iota
	tarSymbol
	tarTime
	tarLocal
	tarID
	tarSide
	tarPrice
	tarAmount
	tarAskAmount
	tarAskPrice
	tarBidPrice
	tarBidAmount
)

var tardisNames = []string{
	"exchange", "symbol", "timestamp", "local_timestamp", "id", "side", "price", "amount",
	"ask_amount", "ask_price", "bid_price", "bid_amount",
}

var (
	tardisTrades = []int{tarExchange, tarSymbol, tarTime, tarLocal, tarID, tarSide, tarPrice, tarAmount}
	tardisQuotes = []int{tarExchange, tarSymbol, tarTime, tarLocal, tarAskAmount, tarAskPrice, tarBidPrice, tarBidAmount}
)

// tardis decodes such files.
type tardis struct {
	lanes *lanes
	ids   ids
	seen  ordinals
	cols  csvHeader
	kind  market.Kind
	row   [maxColumns][]byte
	env   market.Envelope
	text  []byte

	exchange string // of the last row, as sent
	place    tardisPlace
	cache    symbols
}

// tardisPlace is what an exchange name means.
type tardisPlace struct {
	feed, exchange string
	venue          market.Venue // 0: told by the symbol
	line           binLine      // of Binance's own
}

func newTardis(env Env) Decoder { return &tardis{lanes: newLanes(env)} }

// Decode implements Decoder.
func (d *tardis) Decode(rec *Record, out *market.Chunk) error {
	if len(rec.Data) > MaxLine {
		return Bad(badLong, rec.Data)
	}
	line := trimSpace(rec.Data)
	if len(line) == 0 {
		return Filtered("empty line")
	}
	if bytes.HasPrefix(line, []byte("exchange,symbol,")) {
		return d.header(line)
	}
	if !d.cols.ok() {
		return Bad(badNoHeader, line)
	}
	if n := cutCSV(line, d.row[:]); n != d.cols.n {
		return Bad(badColumns, line)
	}
	l := d.lane()
	if l == nil {
		return Bad(badSymbol, line)
	}
	ts, ok := csvTime(d.col(tarTime), venueTime)
	if !ok {
		return Bad(badTime, line)
	}
	local, ok := csvTime(d.col(tarLocal), receiveTime)
	if !ok {
		return Bad(badReceive, line)
	}
	d.env = market.Envelope{
		Feed: l.feed, Shard: rec.Shard, Inst: l.inst, EventTS: ts, IngestTS: local, RawBytes: uint32(len(line)),
	}
	if d.kind == market.KindTrade {
		return d.trade(line, l, out)
	}
	return d.quote(line, l, out)
}

func (d *tardis) header(line []byte) error {
	d.kind = market.KindNone
	if !d.cols.read(line, tardisNames) || !d.known() {
		d.cols = csvHeader{}
		return Bad(badHeader, line)
	}
	return Filtered("header")
}

// known takes the kind from the columns and reports whether they are those of one.
func (d *tardis) known() bool {
	switch {
	case d.hasAll(tardisTrades):
		d.kind = market.KindTrade
	case d.hasAll(tardisQuotes):
		d.kind = market.KindQuote
	default:
		d.kind = market.KindNone
	}
	return d.kind != market.KindNone
}

func (d *tardis) hasAll(cols []int) bool {
	for _, c := range cols {
		if !d.cols.has(c) {
			return false
		}
	}
	return true
}

func (d *tardis) col(i int) []byte { return d.row[d.cols.at[i]] }

// lane finds instrument and feed of the row.
func (d *tardis) lane() *lane {
	ex := d.col(tarExchange)
	if string(ex) != d.exchange || d.place.feed == "" {
		if len(ex) == 0 || len(ex) > 64 || !market.ValidSymbol(string(ex)) {
			return nil
		}
		d.exchange = string(ex)
		d.place = tardisExchange(d.exchange)
		d.cache = symbols{}
	}
	symbol := d.col(tarSymbol)
	if len(symbol) == 0 {
		return nil
	}
	return d.cache.get(symbol, d.find)
}

func (d *tardis) find(symbol []byte) *lane {
	p := d.place
	v, name := p.venue, ""
	switch {
	case p.line != binUnknown:
		v, name = binSymbol(p.line, symbol)
	case v == 0:
		v, name = deribitVenue(symbol), canonical(symbol)
	default:
		name = canonical(symbol)
	}
	return d.lanes.get(p.feed, "", p.exchange, v, name)
}

// tardisExchange says what tardis.dev's name of an exchange means.
func tardisExchange(name string) tardisPlace {
	switch name {
	case "binance":
		return tardisPlace{"tardis", "binance", market.Spot, binSpot}
	case "binance-futures":
		return tardisPlace{"tardis-binance-usdm", "binance", market.Perp, binUSDM}
	case "binance-delivery":
		return tardisPlace{"tardis", "binance", market.Perp, binCOINM}
	case "bitmex", "bybit", "hyperliquid", "dydx", "dydx-v4":
		return tardisPlace{"tardis", name, market.Perp, binUnknown}
	case "deribit":
		return tardisPlace{"tardis", name, 0, binUnknown}
	}
	p := tardisPlace{"tardis", name, market.Spot, binUnknown}
	for _, s := range [...]struct {
		suffix string
		venue  market.Venue
	}{{"-swap", market.Perp}, {"-futures", market.Future}, {"-options", market.Option}} {
		if strings.HasSuffix(name, s.suffix) {
			p.venue = s.venue
		}
	}
	return p
}

// deribitVenue reads the type of market from a symbol: BTC-PERPETUAL, BTC-27SEP24,
// BTC-27SEP24-60000-C.
func deribitVenue(symbol []byte) market.Venue {
	switch {
	case bytes.HasSuffix(symbol, []byte("PERPETUAL")):
		return market.Perp
	case bytes.HasSuffix(symbol, []byte("-C")), bytes.HasSuffix(symbol, []byte("-P")):
		return market.Option
	case bytes.IndexByte(symbol, '_') >= 0 && bytes.IndexByte(symbol, '-') < 0:
		return market.Spot
	}
	return market.Future
}

func (d *tardis) trade(line []byte, l *lane, out *market.Chunk) error {
	t := tradeRow{id: d.col(tarID), prints: 1}
	var err1, err2 error
	t.price, err1 = num.ParseDec(d.col(tarPrice))
	t.qty, err2 = num.ParseDec(d.col(tarAmount))
	if err1 != nil || err2 != nil {
		return Bad(badNumber, line)
	}
	switch string(d.col(tarSide)) {
	case "buy":
		t.side = market.SideBuy
	case "sell":
		t.side = market.SideSell
	case "unknown", "":
		t.side = market.SideUnknown
	default:
		return Bad(badField, line)
	}
	if why := t.check(); why != "" {
		return Bad(why, line)
	}
	if len(t.id) == 0 {
		t.id = nil
		d.env.ID = d.payloadID(l, market.KindTrade, tardisTrades)
	} else {
		d.env.ID = d.ids.bytes(l, market.KindTrade, t.id)
		if id, ok := csvInt(t.id); ok {
			d.env.Seq, d.env.HasSeq = uint64(id), true
		}
	}
	t.append(out.Batch(market.KindTrade), &d.env)
	return nil
}

func (d *tardis) quote(line []byte, l *lane, out *market.Chunk) error {
	var q quoteRow
	var ok1, ok2 bool
	q.bid, q.bidQty, q.hasBid, ok1 = csvSide(d.col(tarBidPrice), d.col(tarBidAmount))
	q.ask, q.askQty, q.hasAsk, ok2 = csvSide(d.col(tarAskPrice), d.col(tarAskAmount))
	if !ok1 || !ok2 {
		return Bad(badNumber, line)
	}
	if why := q.check(); why != "" {
		return Bad(why, line)
	}
	d.env.ID = d.payloadID(l, market.KindQuote, tardisQuotes)
	q.append(out.Batch(market.KindQuote), &d.env)
	return nil
}

// csvSide reads price and amount of one side; both empty: no such side.
func csvSide(price, amount []byte) (p, q num.Dec, has, ok bool) {
	if len(price) == 0 && len(amount) == 0 {
		return p, q, false, true
	}
	p, err1 := num.ParseDec(price)
	q, err2 := num.ParseDec(amount)
	return p, q, true, err1 == nil && err2 == nil
}

// payloadID is the id of a row that the venue does not number: that of its columns but
// for the receive time, and of its ordinal among equal ones (F9).
func (d *tardis) payloadID(l *lane, k market.Kind, cols []int) (id market.ID) {
	d.text = d.text[:0]
	for _, c := range cols {
		if c != tarLocal {
			d.text = append(append(d.text, d.col(c)...), ',')
		}
	}
	id, d.ids.buf = market.PayloadID(d.ids.buf, l.idPrefix(k), d.text, 0)
	if n := d.seen.next(id); n > 0 {
		id, d.ids.buf = market.PayloadID(d.ids.buf, l.idPrefix(k), d.text, n)
	}
	return id
}

// detectTardis looks for the header of a trades or quotes file.
func detectTardis(head []byte) int {
	line, _, _ := bytes.Cut(trimSpace(head), []byte("\n"))
	if bytes.HasPrefix(line, []byte("exchange,symbol,timestamp,local_timestamp,")) {
		return 99
	}
	return 0
}

// State implements Decoder.
func (d *tardis) State(s *State) {
	d.lanes.state(s)
	d.seen.state(s)
	if d.cols.state(s); s.reading && d.cols.ok() {
		s.Check(d.known())
	}
}
