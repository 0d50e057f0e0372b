package adapters

import (
	"bytes"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// BinanceCSV is the adapter of recorded Binance tapes as CSV.
var BinanceCSV = &Adapter{
	Name: "binance-csv",
	Doc: "Recorded Binance streams as CSV with the columns of Binance-Data-Processor: trades, depth updates (a row a " +
		"level) and depth snapshots; times in milliseconds or microseconds by magnitude.",
	Framing: Lines,
	Detect:  detectBDP,
	New:     newBDP,
	Mapping: []Mapping{
		{"row with TradeId", market.KindTrade, "like trade of binance, same feed and id"},
		{"row with X other than MARKET", market.KindNone, "book-keeping print, no market trade"},
		{"rows with the same FirstUpdateId, FinalUpdateId and receive time", market.KindBook, "one delta like depthUpdate of binance, same feed and id; one bad row makes the whole update bad"},
		{"rows with the same LastUpdateId and receive time", market.KindBook, "one snapshot, origin rest; no time is recorded: receive time + clock offset, flag assumed; market and symbol from the comment lines"},
		{"comment lines (#), header", market.KindNone, "no data"},
	},
}

// bdp columns, by name.
const (
	bdpReceive = iota
	bdpStream
	bdpEventType
	bdpEventTime
	bdpTransactionTime
	bdpSymbol
	bdpTradeID
	bdpPrice
	bdpQuantity
	bdpMaker
	bdpFirst
	bdpFinal
	bdpPrev
	bdpIsAsk
	bdpRequest
	bdpLastUpdate
	bdpX
	bdpM

	numBDP
)

var bdpNames = [numBDP]string{
	"TimestampOfReceive", "Stream", "EventType", "EventTime", "TransactionTime", "Symbol", "TradeId", "Price", "Quantity",
	"IsBuyerMarketMaker", "FirstUpdateId", "FinalUpdateId", "FinalUpdateIdInLastStream", "IsAsk", "TimestampOfRequest",
	"LastUpdateId", "XUnknownParameter", "MUnknownParameter",
}

// bdpDecoder decodes such a file. Rows of one book update are joined.
type bdpDecoder struct {
	market  *binMarkets
	ids     ids
	text    []byte
	env     market.Envelope
	cols    csvHeader
	comment bdpComment
	rec     *Record
	row     [maxColumns][]byte
	group   bdpGroup
}

// bdpComment is what the comment lines say about the file.
type bdpComment struct {
	line   binLine
	symbol []byte
}

// bdpGroup is the book update being joined.
type bdpGroup struct {
	open, poisoned bool
	key            bdpKey
	inst           *binInst
	ts             int64
	flags          uint8
	book           bookRow
	shard          uint16
	offset         int64 // first line
	size           int
}

// bdpKey names a book update.
type bdpKey struct {
	receive           int64
	first, last, prev int64
	inst              *binInst
}

func newBDP(env Env) Decoder {
	return &bdpDecoder{market: newBinMarkets(env)}
}

// Decode implements Decoder.
func (d *bdpDecoder) Decode(rec *Record, out *market.Chunk) error {
	if len(rec.Data) > MaxLine {
		return Bad(badLong, rec.Data)
	}
	d.rec = rec
	line := trimSpace(rec.Data)
	switch {
	case len(line) == 0:
		return Filtered("empty line")
	case line[0] == '#':
		d.comment.read(line)
		return Filtered("comment")
	case bytes.HasPrefix(line, []byte(bdpNames[bdpReceive])):
		err := d.Flush(out)
		if !d.cols.read(line, bdpNames[:]) {
			return joinBad(Bad(badHeader, line), err)
		}
		return joinBad(Filtered("header"), err)
	}
	if !d.cols.ok() {
		return Bad(badNoHeader, line)
	}
	if n := cutCSV(line, d.row[:]); n != d.cols.n {
		return d.unreadable(badColumns, line)
	}
	switch {
	case d.cols.has(bdpTradeID):
		return d.trade(line, out)
	case d.cols.has(bdpFirst), d.cols.has(bdpLastUpdate):
		return d.level(line, out)
	}
	return Bad(badUnknown, line)
}

// Flush appends the update being joined.
func (d *bdpDecoder) Flush(out *market.Chunk) error {
	g := &d.group
	if !g.open {
		return nil
	}
	g.open = false
	if g.poisoned {
		return nil
	}
	why := g.book.check()
	if why == "" && g.book.origin == market.OriginREST && g.book.crossed() {
		why = "book is crossed"
	}
	if why != "" {
		return Bad(why, d.where(g.offset))
	}
	d.env = market.Envelope{
		Feed: g.inst.main.feed, Shard: g.shard, Inst: g.inst.main.inst, EventTS: g.ts, IngestTS: g.key.receive,
		Seq: uint64(g.key.last), HasSeq: true, Flags: g.flags, RawBytes: uint32(g.size),
	}
	mark := ""
	if g.book.origin == market.OriginREST {
		mark = "s"
	}
	d.env.ID = d.ids.num(g.inst.main, market.KindBook, mark, d.env.Seq)
	g.book.append(out.Batch(market.KindBook), &d.env)
	return nil
}

func (d *bdpDecoder) where(line int64) []byte {
	d.text = append(d.text[:0], "update that begins at line "...)
	return appendInt(d.text, line)
}

// col is the text of a column, nil when the file has none.
func (d *bdpDecoder) col(i int) []byte {
	if !d.cols.has(i) {
		return nil
	}
	return d.row[d.cols.at[i]]
}

// inst is the instrument of the row: COIN-M and dated contracts by the symbol, else USD-M
// when the file has columns that only futures have. Snapshots name it in the comments.
func (d *bdpDecoder) inst() *binInst {
	symbol, line := d.col(bdpSymbol), d.comment.line
	if symbol == nil {
		symbol = d.comment.symbol
	}
	if len(symbol) == 0 {
		return nil
	}
	if shape := binShape(symbol); shape != binUnknown {
		line = shape
	}
	if line == binUnknown {
		line = binSpot
		if d.cols.has(bdpPrev) || d.cols.has(bdpX) || d.cols.has(bdpTransactionTime) && d.cols.has(bdpFirst) {
			line = binUSDM
		}
	}
	if line == binOptions {
		return nil
	}
	return d.market.inst(line, symbol)
}

func (d *bdpDecoder) trade(line []byte, out *market.Chunk) error {
	x := d.inst()
	if x == nil {
		return Bad(badSymbol, line)
	}
	if kind := d.col(bdpX); kind != nil && string(kind) != "MARKET" {
		return Filtered("print that is not a market trade")
	}
	receive, ok := csvTime(d.col(bdpReceive), receiveTime)
	if !ok {
		return Bad(badReceive, line)
	}
	ts, ok1 := csvTime(d.col(bdpTransactionTime), venueTime)
	_, ok2 := csvTime(d.col(bdpEventTime), venueTime)
	if !ok1 || !ok2 {
		return Bad(badTime, line)
	}
	id, ok := csvInt(d.col(bdpTradeID))
	if !ok {
		return Bad(badField, line)
	}
	t := tradeRow{id: d.col(bdpTradeID), prints: 1}
	var err1, err2 error
	t.price, err1 = num.ParseDec(d.col(bdpPrice))
	t.qty, err2 = num.ParseDec(d.col(bdpQuantity))
	if err1 != nil || err2 != nil {
		return Bad(badNumber, line)
	}
	maker, ok := csvFlag(d.col(bdpMaker))
	if !ok {
		return Bad(badField, line)
	}
	t.side = takerSide(maker)
	if why := t.check(); why != "" {
		return Bad(why, line)
	}
	d.env = market.Envelope{
		Feed: x.main.feed, Shard: d.rec.Shard, Inst: x.main.inst, EventTS: ts, IngestTS: receive,
		Seq: uint64(id), HasSeq: true, RawBytes: uint32(len(line)),
	}
	d.env.ID = d.ids.num(x.main, market.KindTrade, "", d.env.Seq)
	t.append(out.Batch(market.KindTrade), &d.env)
	return nil
}

// level adds a row to the update that it belongs to, and appends the one before when it
// begins another. A bad row makes its whole update bad, once: half an update would leave
// a book that never was.
func (d *bdpDecoder) level(line []byte, out *market.Chunk) error {
	k, why := d.key()
	if why != "" {
		return d.unreadable(why, line)
	}
	g := &d.group
	var before error
	if !g.open || g.key != k {
		before = d.Flush(out)
		g.open, g.poisoned, g.key, g.inst, g.ts = true, false, k, k.inst, market.NoTime
		g.shard, g.offset, g.size, g.flags = d.rec.Shard, d.rec.Offset, 0, 0
		g.book.reset()
		if d.cols.has(bdpLastUpdate) {
			g.book.origin = market.OriginREST
		} else {
			g.book.first = k.first
			if d.cols.has(bdpPrev) {
				g.book.prev = k.prev
			}
		}
	}
	g.size += len(line)
	if g.poisoned {
		return before
	}
	if why := d.addLevel(g); why != "" {
		g.poisoned = true
		return joinBad(Bad(why, line), before)
	}
	return before
}

// unreadable makes a bad record of a row that does not say which update it belongs to.
// It may be a part of the open one, which is bad with it.
func (d *bdpDecoder) unreadable(why string, line []byte) error {
	bad := Bad(why, line)
	if g := &d.group; g.open && !g.poisoned {
		g.poisoned = true
		bad.Count++
	}
	return bad
}

// key reads what names the update that a row belongs to; it returns what is wrong, or "".
func (d *bdpDecoder) key() (k bdpKey, why string) {
	if k.inst = d.inst(); k.inst == nil {
		return k, badSymbol
	}
	var ok bool
	if k.receive, ok = csvTime(d.col(bdpReceive), receiveTime); !ok {
		return k, badReceive
	}
	if d.cols.has(bdpLastUpdate) {
		if k.last, ok = csvInt(d.col(bdpLastUpdate)); !ok {
			return k, badField
		}
		return k, ""
	}
	var ok1, ok2 bool
	k.first, ok1 = csvInt(d.col(bdpFirst))
	k.last, ok2 = csvInt(d.col(bdpFinal))
	if !ok1 || !ok2 {
		return k, badField
	}
	if k.last < k.first {
		return k, badOrder
	}
	if d.cols.has(bdpPrev) {
		if k.prev, ok = csvInt(d.col(bdpPrev)); !ok {
			return k, badField
		}
	}
	return k, ""
}

// addLevel reads time, side, price and quantity of a row into its update; it returns
// what is wrong, or "".
func (d *bdpDecoder) addLevel(g *bdpGroup) string {
	ts, flags, why := d.levelTime(g)
	if why != "" {
		return why
	}
	if g.ts == market.NoTime {
		g.ts, g.flags = ts, flags
	} else if g.ts != ts {
		return "event time differs within one update"
	}
	ask, ok := csvFlag(d.col(bdpIsAsk))
	if !ok {
		return badField
	}
	p, err1 := num.ParseDec(d.col(bdpPrice))
	q, err2 := num.ParseDec(d.col(bdpQuantity))
	switch {
	case err1 != nil || err2 != nil:
		return badNumber
	case p.M <= 0:
		return badPrice
	case q.M < 0:
		return badNegative
	case g.book.bids.len()+g.book.asks.len() >= maxLevels:
		return badManyLevel
	}
	if ask {
		g.book.asks.add(p, q)
	} else {
		g.book.bids.add(p, q)
	}
	return ""
}

// levelTime is the event time of a row: the transaction's where recorded, else the
// message's, else assumed.
func (d *bdpDecoder) levelTime(g *bdpGroup) (ts int64, flags uint8, why string) {
	if !d.cols.has(bdpEventTime) {
		return g.key.receive + g.inst.main.offset, market.FlagAssumed, ""
	}
	ts, ok := csvTime(d.col(bdpEventTime), venueTime)
	if ok && d.cols.has(bdpTransactionTime) {
		ts, ok = csvTime(d.col(bdpTransactionTime), venueTime)
	}
	if !ok {
		return 0, 0, badTime
	}
	return ts, 0, ""
}

// read takes market and symbol from a line like "# DEPTH_SNAPSHOT SPOT BTCUSDT 14-04-2025".
func (c *bdpComment) read(line []byte) {
	w := bytes.Fields(line)
	if len(w) < 5 {
		return
	}
	switch string(w[2]) {
	case "SPOT":
		c.line = binSpot
	case "USD_M_FUTURES":
		c.line = binUSDM
	case "COIN_M_FUTURES":
		c.line = binCOINM
	default:
		return
	}
	c.symbol = bytes.Clone(w[3][:min(len(w[3]), maxSymbol+1)]) // a longer one is refused anyway
}

// detectBDP looks for the header, behind comment lines.
func detectBDP(head []byte) int {
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	for len(head) > 0 {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte("\n"))
		if len(line) > 0 && line[0] == '#' {
			continue
		}
		if bytes.HasPrefix(line, []byte(bdpNames[bdpReceive]+",")) {
			return 99
		}
		return 0
	}
	return 0
}

// State implements Decoder.
func (d *bdpDecoder) State(s *State) {
	d.market.state(s)
	d.cols.state(s)
	small(s, &d.comment.line)
	s.Check(d.comment.line < numBinLines)
	s.Bytes(&d.comment.symbol)
	g := &d.group
	if s.Bool(&g.open); !g.open {
		return
	}
	s.Bool(&g.poisoned)
	for _, v := range []*int64{&g.key.receive, &g.key.first, &g.key.last, &g.key.prev, &g.ts, &g.offset} {
		s.Int(v)
	}
	d.market.instState(s, &g.key.inst)
	g.inst = g.key.inst
	small(s, &g.flags)
	small(s, &g.shard)
	g.size = s.Count(g.size, 0)
	g.book.state(s)
}
