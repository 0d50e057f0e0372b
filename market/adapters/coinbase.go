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
	var channel, kind, stamp, number, events, products []byte
	ok := members(b, func(name, v []byte) bool {
		switch string(name) {
		case "channel":
			channel = v
		case "type":
			kind = v
		case "timestamp":
			stamp = v
		case "sequence_num":
			number = v
		case "events":
			events = v
		case "products":
			products = v
		}
		return true
	})
	switch {
	case !ok:
		return false
	case channel == nil && products != nil:
		return elements(products, d.product)
	case channel == nil && string(kind) == `"error"`:
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
	d.ts, ok = isoTime(unquoted(stamp))
	if !ok {
		return d.fail(badTime, stamp)
	}
	return d.dispatch(string(unquoted(channel)), events)
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
		if len(d.conns) >= maxConns {
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

// level2 decodes {type, product_id, updates: [{side, event_time, price_level,
// new_quantity}]}: a snapshot, or what changed.
func (d *coinbase) level2(event []byte) bool {
	r := &d.book
	r.reset()
	var kind, product, updates []byte
	if !members(event, func(name, v []byte) bool {
		switch string(name) {
		case "type":
			kind = unquoted(v)
		case "product_id":
			product = v
		case "updates":
			updates = v
		}
		return true
	}) {
		return false
	}
	newest, why := market.NoTime, ""
	n := 0
	if !elements(updates, func(v []byte) bool {
		if n++; n > coinbaseLevels {
			why = "more than 131072 levels"
			return false
		}
		ts, problem := d.level(v)
		newest = max(newest, ts)
		if problem != "" && why == "" {
			why = problem
		}
		return true
	}) {
		return why != "" && d.fail(why, event)
	}
	if why == "" {
		why = r.checkLevels()
	}
	if why != "" {
		return d.fail(why, event)
	}
	name, ok := jsonText(product)
	if !ok {
		return false
	}
	l := d.lane(name)
	if l == nil {
		return d.fail(badManyInst, name)
	}
	if newest == market.NoTime {
		newest = d.ts
	}
	flags := uint8(0)
	gap := d.missed(l)
	switch string(kind) {
	case "snapshot":
		r.origin = market.OriginVenue
	case "update":
		if gap {
			flags = market.FlagGap
		}
	default:
		return d.fail(badUnknown, kind)
	}
	if !d.when(newest) {
		return d.fail(badTime, event)
	}
	e := d.event(l, newest)
	e.Flags |= flags
	e.ID = d.payloadID(l, market.KindBook, event)
	r.append(d.out.Batch(market.KindBook), e)
	return true
}

// level reads one changed level into the book row and returns its time, or what is wrong.
func (d *coinbase) level(v []byte) (ts int64, why string) {
	var side, stamp, price, qty []byte
	if !members(v, func(name, v []byte) bool {
		switch string(name) {
		case "side":
			side = unquoted(v)
		case "event_time":
			stamp = unquoted(v)
		case "price_level":
			price = v
		case "new_quantity":
			qty = v
		}
		return true
	}) {
		return market.NoTime, badField
	}
	p, ok1 := jsonDec(price)
	q, ok2 := jsonDec(qty)
	if !ok1 || !ok2 {
		return market.NoTime, badNumber
	}
	switch string(side) {
	case "bid":
		d.book.bids.add(p, q)
	case "offer", "ask":
		d.book.asks.add(p, q)
	default:
		return market.NoTime, badField
	}
	ts, ok := isoTime(stamp)
	if !ok {
		return market.NoTime, badTime
	}
	return ts, ""
}
