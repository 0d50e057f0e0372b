package adapters

import (
	"bytes"

	"github.com/pinova-group/tidemark/market"
)

// Coinbase reads Coinbase Advanced Trade: captures or one socket message a line.
var Coinbase = &Adapter{
	Name:    "coinbase",
	Doc:     "Coinbase Advanced Trade: captures or one WebSocket message a line; the products answer in captures",
	Framing: Lines,
	Detect:  detectCoinbase,
	New:     newCoinbase,
	Mapping: []Mapping{
		{"market_trades", market.KindTrade, "seq and id trade_id; side is the maker's on the wire and turned round; newest first on the wire, oldest first here"},
		{"l2_data snapshot", market.KindBook, "the whole book, up to 131072 levels; event time is the levels' event_time"},
		{"l2_data update", market.KindBook, "delta; the first one of a product after a hole in the connection's sequence_num has the flag gap"},
		{"candles", market.KindCandle, "5 minutes; event time is the message's; closed when the bucket ended before it"},
		{"GET market/products", market.KindInstrument, "spot products; effective when asked for"},
		{"ticker, ticker_batch", market.KindNone, "best prices only at trades or every 5 s; the book has them at all times"},
		{"heartbeats, subscriptions, status, error", market.KindNone, "service messages"},
		{"user, futures_balance_summary", market.KindNone, "account messages"},
	},
}

// coinbaseLevels is the limit of a message: level2 sends the whole book, which held
// 46,000 levels for BTC-USD where it was recorded.
const coinbaseLevels = 1 << 17

type coinbase struct {
	session
	syms   symbols
	conns  map[string]*coinbaseConn
	conn   *coinbaseConn
	ts     int64 // timestamp of the message
	trades []coinbaseTrade
}

// coinbaseConn follows the numbers of a connection: one count over all its channels.
type coinbaseConn struct {
	next  int64
	holes uint32           // holes seen so far
	seen  map[*lane]uint32 // of those, how many each book has been told of
}

func newCoinbase(env Env) Decoder {
	return &coinbase{session: newSession(env), conns: map[string]*coinbaseConn{}}
}

func detectCoinbase(head []byte) int {
	switch captureExchange(head) {
	case "COINBASE":
		return 100
	case "":
	default:
		return 0
	}
	line, _, _ := bytes.Cut(trimSpace(head), []byte("\n"))
	if bytes.HasPrefix(line, []byte(`{"channel":"`)) && bytes.Contains(line, []byte(`"sequence_num":`)) {
		return 95
	}
	return 0
}

// Decode implements Decoder.
func (d *coinbase) Decode(rec *Record, out *market.Chunk) error {
	if err := d.open(rec, out); err != nil {
		return err
	}
	return d.close(d.message(d.rec.Data))
}

func (d *coinbase) lane(product []byte) *lane {
	return d.syms.get(product, func(p []byte) *lane {
		return d.lanes.get("coinbase-spot", "", "coinbase", market.Spot, canonical(p))
	})
}

func (d *coinbase) message(b []byte) bool {
	var f [6][]byte
	if !pick(b, f[:], "channel", "timestamp", "sequence_num", "events", "products", "type") {
		return false
	}
	channel, number := f[0], f[2]
	switch {
	case channel == nil && f[4] != nil:
		return elements(f[4], d.product)
	case channel == nil && string(f[5]) == `"error"`:
		return d.drop("error answer")
	case channel == nil:
		return d.fail(badUnknown, b)
	}
	seq, ok := jsonInt(number)
	if !ok && number != nil {
		return false
	}
	if number != nil {
		d.follow(seq)
	} else {
		d.conn = nil
	}
	d.ts, ok = isoTime(unquoted(f[1]))
	if !ok {
		return d.fail(badTime, f[1])
	}
	return d.dispatch(string(unquoted(channel)), f[3])
}

func (d *coinbase) dispatch(channel string, events []byte) bool {
	switch channel {
	case "l2_data":
		return elements(events, d.level2)
	case "market_trades":
		return elements(events, d.marketTrades)
	case "candles":
		return elements(events, d.candles)
	case "heartbeats", "subscriptions", "status":
		return d.drop("service message")
	case "ticker", "ticker_batch":
		return d.drop("ticker")
	case "user", "futures_balance_summary":
		return d.drop("account message")
	}
	return d.fail(badUnknown, []byte(channel))
}

// follow checks the number of the message against the one before it on the connection.
// 0 begins a connection anew.
func (d *coinbase) follow(seq int64) {
	c := d.conns[d.rec.Conn]
	if c == nil {
		if len(d.conns) >= maxConns || len(d.rec.Conn) > maxConnName {
			d.conn = nil
			return
		}
		c = &coinbaseConn{next: seq, seen: map[*lane]uint32{}}
		d.conns[d.rec.Conn] = c
	}
	if seq != c.next && seq != 0 {
		c.holes++
	}
	c.next, d.conn = seq+1, c
}

// missed reports whether messages are missing before this one since the last of l.
func (d *coinbase) missed(l *lane) bool {
	if d.conn == nil {
		return false
	}
	told := d.conn.seen[l]
	d.conn.seen[l] = d.conn.holes
	return told != d.conn.holes
}

// level2 decodes {type, product_id, updates}: a snapshot, or what changed.
func (d *coinbase) level2(event []byte) bool {
	var f [3][]byte
	if !pick(event, f[:], "type", "product_id", "updates") {
		return false
	}
	d.book.reset()
	newest, why := d.levels(f[2])
	if why == "" {
		why = d.book.checkLevels()
	}
	if why != "" {
		return d.fail(why, event)
	}
	product, ok := jsonText(f[1])
	if !ok {
		return false
	}
	l := d.lane(product)
	if l == nil {
		return d.fail(badManyInst, product)
	}
	if newest == market.NoTime {
		newest = d.ts
	}
	flags := uint8(0)
	gap := d.missed(l)
	switch string(unquoted(f[0])) {
	case "snapshot":
		d.book.origin = market.OriginVenue
	case "update":
		if gap {
			flags = market.FlagGap
		}
	default:
		return d.fail(badUnknown, f[0])
	}
	if !d.when(newest) {
		return d.fail(badTime, event)
	}
	e := d.event(l, newest)
	e.Flags |= flags
	e.ID = d.payloadID(l, market.KindBook, event)
	d.book.append(d.out.Batch(market.KindBook), e)
	return true
}

// levels reads the changed levels into the book row and returns the newest of their
// times, or what is wrong.
func (d *coinbase) levels(updates []byte) (newest int64, why string) {
	newest = market.NoTime
	n := 0
	ok := elements(updates, func(v []byte) bool {
		if n++; n > coinbaseLevels {
			why = "more than 131072 levels"
			return false
		}
		var ts int64
		if ts, why = d.level(v); why != "" {
			return false
		}
		newest = max(newest, ts)
		return true
	})
	if !ok && why == "" {
		why = badField
	}
	return newest, why
}

// level reads one changed level and returns its time, or what is wrong.
func (d *coinbase) level(v []byte) (ts int64, why string) {
	var f [4][]byte
	if !pick(v, f[:], "side", "event_time", "price_level", "new_quantity") {
		return 0, badField
	}
	p, ok1 := jsonDec(f[2])
	q, ok2 := jsonDec(f[3])
	if !ok1 || !ok2 {
		return 0, badNumber
	}
	switch string(unquoted(f[0])) {
	case "bid":
		d.book.bids.add(p, q)
	case "offer", "ask":
		d.book.asks.add(p, q)
	default:
		return 0, badField
	}
	ts, ok := isoTime(unquoted(f[1]))
	if !ok {
		return 0, badTime
	}
	return ts, ""
}

// State implements Decoder.
func (d *coinbase) State(s *State) {
	d.state(s)
	connEntries(s, &d.conns, func(c **coinbaseConn) {
		if s.reading {
			*c = &coinbaseConn{seen: map[*lane]uint32{}}
		}
		s.Int(&(*c).next)
		small(s, &(*c).holes)
		laneEntries(s, &(*c).seen, func(n *uint32) { small(s, n) })
	})
}
