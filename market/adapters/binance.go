package adapters

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/pinova-group/tidemark/market"
)

// binance decodes Binance spot, USD-M, COIN-M and Binance.US: socket messages, combined
// or raw, and REST answers, as lines "<receive time> <json>", bare JSON or captures.
type binance struct {
	market  *binMarkets
	capture capture
	msg     flat
	book    bookRow
	ids     ids
	text    []byte
	norm    []byte
	env     market.Envelope
	latest  [numBinLines]int64 // greatest event time by market
	held    []heldRecord
	heldLen int
}

// heldRecord waits until its neighbours tell which market or symbol it belongs to.
type heldRecord struct {
	data   []byte
	url    string
	conn   string
	ingest int64
	offset int64
	shard  uint16
}

const (
	maxHeld      = 64
	maxHeldBytes = 8 << 20
)

// binCtx is what is known of the message being decoded.
type binCtx struct {
	out    *market.Chunk
	place  binPlace
	stream []byte // of a combined stream, "" when raw
	ingest int64
	offset int64
	shard  uint16
	size   uint32 // payload bytes not yet counted to an event
	rows   int
	nested int
	normal bool // the text has been normalised
}

// errHold asks to keep the record until the market is known.
var errHold = errors.New("market is not known yet")

func newBinance(env Env) Decoder {
	d := &binance{market: newBinMarkets(env)}
	d.msg.book = &d.book
	for i := range d.latest {
		d.latest[i] = market.NoTime
	}
	return d
}

// Decode implements Decoder.
func (d *binance) Decode(rec *Record, out *market.Chunk) error {
	if len(rec.Data) > MaxLine {
		return Bad(badLong, rec.Data)
	}
	r := *rec
	if len(r.Data) > 0 && r.Data[0] == '{' && isCapture(r.Data) {
		var err error
		if r, err = d.capture.unwrap(rec); err != nil {
			return err
		}
	}
	if r.Data = trimSpace(r.Data); len(r.Data) == 0 {
		return Filtered("empty line")
	}
	if bad := cutPrefix(&r); bad != nil {
		return bad
	}
	known := len(d.market.lanes.byName)
	err := d.record(&r, out)
	if errors.Is(err, errHold) {
		return d.hold(&r)
	}
	if len(d.held) > 0 && len(d.market.lanes.byName) > known {
		return joinBad(err, d.release(out, false))
	}
	return err
}

// Flush decodes what was held back; records whose market is still unknown are bad.
func (d *binance) Flush(out *market.Chunk) error { return d.release(out, true) }

// cutPrefix takes the receive time off a line "<nanoseconds> <json>", which is not empty.
func cutPrefix(r *Record) *BadRecord {
	b := r.Data
	if b[0]-'0' > 9 {
		return nil
	}
	s := scan{b: b}
	v, ok := s.uint()
	if !ok || s.i >= len(b) || b[s.i] != ' ' {
		return Bad(badJSON, b)
	}
	ts, ok := receiveTime(v)
	if !ok {
		return Bad(badReceive, b[:s.i])
	}
	r.Ingest, r.Data = ts, trimSpace(b[s.i:])
	return nil
}

// record decodes one payload: as it is, or, when the scanner does not take it, after
// normalising.
func (d *binance) record(r *Record, out *market.Chunk) error {
	d.msg.why = "" // of the record before
	c := binCtx{
		out: out, place: d.market.locate(r.URL, r.Conn), ingest: r.Ingest, offset: r.Offset, shard: r.Shard,
		size: uint32(len(r.Data)),
	}
	if c.place.line == binOptions {
		return Filtered("options")
	}
	if err, ok := d.payload(r.Data, &c); ok {
		return err
	}
	norm, err := normalise(d.norm, r.Data)
	if err != nil {
		return Bad(badJSON, r.Data)
	}
	d.norm = norm
	c.normal, c.stream, c.nested, c.place = true, nil, 0, d.market.locate(r.URL, r.Conn)
	if err, ok := d.payload(norm, &c); ok {
		return err
	}
	if d.msg.why != "" {
		return Bad(d.msg.why, r.Data)
	}
	return Bad(badField, r.Data)
}

// payload decodes a message; ok is false when the scanner cannot take it, and then
// nothing has been appended.
func (d *binance) payload(b []byte, c *binCtx) (err error, ok bool) {
	if stream, data, ok := splitStream(b); ok {
		c.stream = stream
		if err, ok := d.message(data, c); ok {
			return err, true
		}
		c.stream = nil
	}
	return d.message(b, c)
}

// splitStream opens {"stream":…,"data":…}, the two in this order and nothing else.
func splitStream(b []byte) (stream, data []byte, ok bool) {
	s := scan{b: b}
	if !s.take('{') {
		return nil, nil, false
	}
	if k, ok := s.key(); !ok || string(k) != "stream" {
		return nil, nil, false
	}
	if stream, ok = s.str(); !ok || !s.take(',') {
		return nil, nil, false
	}
	if k, ok := s.key(); !ok || string(k) != "data" || b[len(b)-1] != '}' {
		return nil, nil, false
	}
	return stream, b[s.i : len(b)-1], true
}

// message decodes what a stream carries, or a REST answer.
func (d *binance) message(b []byte, c *binCtx) (err error, ok bool) {
	s := scan{b: b}
	if s.peek() == '[' {
		return d.list(b, c)
	}
	if !d.msg.read(b) {
		return nil, false
	}
	if d.msg.has('e') {
		return d.event(c)
	}
	if !d.msg.long && d.msg.has('u') && d.msg.has('s') && d.msg.has('B') && d.msg.has('A') {
		return d.bookTicker(c)
	}
	return d.object(b, c)
}

// event decodes a message that names its type.
func (d *binance) event(c *binCtx) (err error, ok bool) {
	e, ok := d.msg.str('e')
	if !ok {
		return nil, false
	}
	switch string(e) {
	case "depthUpdate":
		return d.depthUpdate(c)
	case "bookTicker":
		return d.bookTicker(c)
	case "trade":
		return d.trade(c)
	case "aggTrade":
		return d.aggTrade(c)
	case "kline":
		return d.kline(c)
	case "markPriceUpdate":
		return d.markPrice(c)
	case "forceOrder":
		return d.forceOrder(c)
	}
	if why := binDropped(string(e)); why != "" {
		return Filtered(why), true
	}
	return Bad(badUnknown, e), true
}

// binDropped says why an event type is dropped on purpose, "" when it is not known.
func binDropped(e string) string {
	switch e {
	case "24hrTicker", "24hrMiniTicker", "1hTicker", "4hTicker", "1dTicker", "7dTicker", "avgPrice":
		return "rolling statistics"
	case "continuous_kline", "indexPrice_kline", "markPrice_kline", "indexPriceUpdate", "compositeIndex",
		"assetIndexUpdate", "index":
		return "index and continuous-contract series"
	case "contractInfo", "tradingSession", "serverShutdown", "EVENT_STREAM_TERMINATED":
		return "service notice"
	case "trade_all", "ticker_all", "depth", "markPrice", "openInterest", "option_pair":
		return "options"
	}
	return ""
}

// resolve gives the instrument of symbol in the market of the URL, else of the symbol's
// shape, else guess. A nil instrument comes with the error to return.
func (d *binance) resolve(c *binCtx, symbol []byte, guess binLine) (*binInst, error) {
	line := c.place.line
	if line == binUnknown {
		line = binShape(symbol)
	}
	if line == binUnknown {
		line = guess
	}
	switch {
	case line == binOptions:
		return nil, Filtered("options")
	case line == binUnknown:
		return nil, errHold
	case len(symbol) == 0:
		return nil, Bad(badSymbol, nil)
	}
	x := d.market.inst(line, symbol)
	if x == nil {
		return nil, Bad(refusal(symbol), symbol)
	}
	return x, nil
}

// row readies the envelope of an event on lane l.
func (d *binance) row(c *binCtx, l *lane, ts int64) *market.Envelope {
	d.env = market.Envelope{Feed: l.feed, Shard: c.shard, Inst: l.inst, EventTS: ts, IngestTS: c.ingest, RawBytes: c.size}
	c.size = 0
	c.rows++
	return &d.env
}

// when gives the event time in microseconds and remembers the greatest one.
func (d *binance) when(line binLine, v int64) (int64, bool) {
	ts, ok := venueTime(v)
	if ok && ts > d.latest[line] {
		d.latest[line] = ts
	}
	return ts, ok
}

// assume gives the event time of a message sent without one.
func (d *binance) assume(c *binCtx, x *binInst) (int64, bool) {
	ts := assumeTime(x.main, c.ingest, d.latest[x.line])
	return ts, ts != market.NoTime
}

// Held implements Holder.
func (d *binance) Held() int { return len(d.held) }

// hold keeps a record whose market or symbol is not known yet.
func (d *binance) hold(r *Record) error {
	if len(d.held) >= maxHeld || d.heldLen+len(r.Data) > maxHeldBytes {
		return Bad(badMarket, r.Data)
	}
	d.heldLen += len(r.Data)
	d.held = append(d.held, heldRecord{bytes.Clone(r.Data), r.URL, r.Conn, r.Ingest, r.Offset, r.Shard})
	return nil
}

// release decodes the records held back that have become clear; last gives up on the others.
func (d *binance) release(out *market.Chunk, last bool) error {
	var all error
	kept := d.held[:0]
	d.heldLen = 0
	for _, h := range d.held {
		r := Record{Data: h.data, URL: h.url, Conn: h.conn, Ingest: h.ingest, Offset: h.offset, Shard: h.shard}
		err := d.record(&r, out)
		if errors.Is(err, errHold) {
			if !last {
				kept = append(kept, h)
				d.heldLen += len(h.data)
				continue
			}
			err = Bad(badMarket, h.data)
		}
		if bad, ok := errors.AsType[*BadRecord](err); ok {
			bad.Detail = fmt.Sprintf("line %d: %s", h.offset, bad.Detail)
			all = joinBad(all, bad)
		}
	}
	clear(d.held[len(kept):])
	d.held = kept
	return all
}

// joinBad adds the bad events of two results; a bad one goes before a filtered one.
func joinBad(a, b error) error {
	var x, y *BadRecord
	switch okx, oky := errors.As(a, &x), errors.As(b, &y); {
	case okx && oky:
		x.Count += y.Count
		return a
	case oky:
		return b
	}
	return a
}

// State implements Decoder.
func (d *binance) State(s *State) {
	d.market.state(s)
	d.capture.state(s)
	for i := range d.latest {
		s.Int(&d.latest[i])
	}
	n := s.Count(len(d.held), 6)
	if s.reading {
		s.Check(n <= maxHeld)
		d.held, d.heldLen = make([]heldRecord, min(n, maxHeld)), 0
	}
	for i := range d.held {
		h := &d.held[i]
		s.Bytes(&h.data)
		s.Text(&h.url)
		s.Text(&h.conn)
		s.Int(&h.ingest)
		s.Int(&h.offset)
		small(s, &h.shard)
		if s.reading {
			d.heldLen += len(h.data)
		}
	}
	s.Check(d.heldLen <= maxHeldBytes)
}
