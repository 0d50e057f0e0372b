package canon

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
	"github.com/pinova-group/tidemark/market/num"
)

// Reasons of bad rows; the same words as the venue adapters use.
const (
	badNumber   = "number is not an exact decimal"
	badTime     = "event time out of range"
	badIngest   = "ingest time out of range"
	badPrice    = "price is not positive"
	badQuantity = "quantity is not positive"
	badNegative = "quantity is negative"
	badCrossed  = "quote is crossed"
	badBook     = "snapshot is crossed"
	badSymbol   = "symbol may not stand in a path"
	badName     = "feed or exchange is missing or may not stand in a path"
)

// value is a payload value of one row: what its column will hold.
type value struct {
	m    int64
	text []byte
	s    int8
	null bool
}

// dec is the value of a decimal.
func (v *value) dec() num.Dec { return num.Dec{M: v.m, S: v.s} }

// below reports v < o, exactly.
func (v *value) below(o *value) bool { return num.Cmp(v.dec(), o.dec()) < 0 }

// row turns the cells into an event and appends it, or says why it cannot.
func (d *decoder) row(rec *adapters.Record, out *market.Chunk, json bool) *adapters.BadRecord {
	k, w, bad := d.kind(json)
	if bad != nil {
		return bad
	}
	l, bad := d.lane(k)
	if bad != nil {
		return bad
	}
	e := &d.envelope
	*e = market.Envelope{Feed: l.feed, Inst: l.inst, Shard: rec.Shard, IngestTS: rec.Ingest, RawBytes: uint32(len(rec.Data))}
	if bad = d.times(e); bad != nil {
		return bad
	}
	if c := &d.cells[colSeq]; !c.null() {
		if e.Seq, e.HasSeq = parseUint(c.b); !e.HasSeq {
			return adapters.Bad("seq is not a whole number", c.b)
		}
	}
	if c := &d.cells[colShard]; !c.null() {
		n, ok := parseUint(c.b)
		if !ok || n > 0xffff {
			return adapters.Bad("shard is not in 0..65535", c.b)
		}
		e.Shard = uint16(n)
	}
	fields := d.columns.kinds[k]
	for i := range fields {
		if bad = d.value(&fields[i], &d.vals[i], l); bad != nil {
			return bad
		}
	}
	if bad = d.check(k, w); bad != nil {
		return bad
	}
	d.identify(e, l, k)
	d.append(out.BatchOf(k, d.env.Kinds.Fields(k)), e, fields)
	return nil
}

// times reads event and ingest time.
func (d *decoder) times(e *market.Envelope) *adapters.BadRecord {
	c := &d.cells[colEventTS]
	if c.null() {
		return adapters.Bad("event time is missing", nil)
	}
	ok := false
	if e.EventTS, ok = parseInt(c.b); !ok {
		return wrongTime(badTime, c.b)
	}
	if !market.ValidTime(e.EventTS) {
		return wrongTime(badTime, c.b)
	}
	if c = &d.cells[colIngestTS]; !c.null() {
		if e.IngestTS, ok = parseInt(c.b); !ok || !market.ValidTime(e.IngestTS) {
			return wrongTime(badIngest, c.b)
		}
	}
	return nil
}

// wrongTime says which unit a time seems to be in.
func wrongTime(reason string, text []byte) *adapters.BadRecord {
	bad := adapters.Bad(reason, text)
	hint := "whole microseconds UTC wanted"
	if v, ok := parseInt(text); ok {
		switch {
		case market.ValidTime(v / 1000):
			hint = "looks like nanoseconds, microseconds wanted"
		case v < market.MaxEventTime/1000 && market.ValidTime(v*1000):
			hint = "looks like milliseconds, microseconds wanted"
		case v < market.MaxEventTime/1_000_000 && market.ValidTime(v*1_000_000):
			hint = "looks like seconds, microseconds wanted"
		}
	}
	bad.Detail = fmt.Sprintf("%s (%s)", bad.Detail, hint)
	return bad
}

// value reads one payload column.
func (d *decoder) value(f *field, v *value, l *lane) *adapters.BadRecord {
	c := &d.cells[f.col]
	*v = value{}
	if f.Type == typeLevels {
		return d.levels(f, c)
	}
	if c.null() {
		switch {
		case f.Nullable:
			v.null = true
		case f.optional && f.Type == market.TypeText:
			if v.text = l.asset(f.Name); v.text == nil {
				return adapters.Bad("column is empty and the symbol does not tell it", []byte(f.Name))
			}
		case f.optional:
			v.m = f.def
		default:
			return adapters.Bad("value is missing", []byte(f.Name))
		}
		return nil
	}
	ok := false
	switch f.Type {
	case market.TypeDec:
		n, err := num.ParseDec(c.b)
		if err != nil || !c.text() {
			return adapters.Bad(badNumber, c.b)
		}
		v.m, v.s = n.M, n.S
	case market.TypeInt, market.TypeDur:
		if v.m, ok = parseInt(c.b); !ok || v.m < 0 && !f.signed {
			return adapters.Bad(f.Name+" is not a whole number", c.b)
		}
	case market.TypeTime:
		if v.m, ok = parseInt(c.b); !ok || !market.ValidTime(v.m) {
			return wrongTime(f.Name+" out of range", c.b)
		}
	case market.TypeEnum:
		return d.enum(f, c, v)
	case market.TypeBool:
		switch string(c.b) {
		case "true", "1":
			v.m = 1
		case "false", "0":
		default:
			return adapters.Bad(f.Name+" is not true or false", c.b)
		}
	case market.TypeText:
		return d.text(f, c, v)
	case market.TypeFloat:
		x, err := strconv.ParseFloat(string(c.b), 64)
		if err != nil || x-x != 0 || !c.text() || !plainFloat(c.b) {
			return adapters.Bad(f.Name+" is not a number", c.b)
		}
		v.m = int64(math.Float64bits(x + 0)) // -0 is 0
	}
	return nil
}

// plainFloat refuses what ParseFloat takes and no other reader of the file does: hexadecimal
// digits, a sign +, underscores, a point without digits.
func plainFloat(b []byte) bool {
	end, ok := scanNumber(b, 0)
	return ok && end == len(b)
}

func (d *decoder) enum(f *field, c *cell, v *value) *adapters.BadRecord {
	for i, w := range f.Words {
		if string(c.b) == w {
			v.m = int64(i)
			return nil
		}
	}
	return adapters.Bad(f.Name+" is not one of its words", c.b)
}

// text takes a text that both formats can hold: UTF-8 without control characters.
func (d *decoder) text(f *field, c *cell, v *value) *adapters.BadRecord {
	if !c.text() {
		return adapters.Bad(f.Name+" is not a text", c.b)
	}
	ascii := true
	for _, b := range c.b {
		if b < ' ' || b == 0x7f {
			return adapters.Bad(f.Name+" has control characters", c.b)
		}
		ascii = ascii && b < utf8.RuneSelf
	}
	if !ascii && !utf8.Valid(c.b) {
		return adapters.Bad(f.Name+" is not UTF-8", c.b)
	}
	v.text = c.b
	return nil
}

func (d *decoder) levels(f *field, c *cell) *adapters.BadRecord {
	s := &d.bids
	if f.index == market.BookAskPrice {
		s = &d.asks
	}
	why := ""
	switch {
	case c.null():
		s.reset()
	case c.f == formArray:
		why = s.parseJSONLevels(c.b)
	case c.f == formRaw || c.f == formString:
		why = s.parseLevels(c.b)
	default:
		why = badLevels
	}
	if why != "" {
		return adapters.Bad(why, c.b)
	}
	return nil
}

// identify sets the id: by the venue's id, else by seq, else by the row itself.
func (d *decoder) identify(e *market.Envelope, l *lane, k market.Kind) {
	prefix := l.prefix(d.env.Kinds, k)
	if k == market.KindTrade || k == market.KindLiquidation {
		if v := &d.vals[market.TradeVenueID]; len(v.text) > 0 { // column 0 of both
			e.ID, d.idBuf = market.EventID(d.idBuf, prefix, v.text)
			return
		}
	}
	if def := d.env.Kinds.Definition(k); def != nil && def.ID >= 0 && !d.vals[def.ID].null {
		e.ID, d.idBuf = market.EventID(d.idBuf, prefix, d.vals[def.ID].text)
		return
	}
	if e.HasSeq {
		d.payload = d.payload[:0]
		if k == market.KindBook && d.vals[0].m != market.OriginDelta {
			d.payload = append(d.payload, 's') // a snapshot at the number of a delta is another event
		}
		d.payload = strconv.AppendUint(append(d.payload, '#'), e.Seq, 10)
		e.ID, d.idBuf = market.EventID(d.idBuf, prefix, d.payload)
		return
	}
	d.payload = binary.BigEndian.AppendUint64(d.payload[:0], uint64(e.EventTS))
	full := len(d.payload)
	for i := range d.columns.kinds[k] {
		v := &d.vals[i]
		if d.columns.kinds[k][i].Type == typeLevels {
			continue
		}
		d.payload = binary.BigEndian.AppendUint64(d.payload, uint64(v.m))
		d.payload = append(d.payload, byte(v.s), boolByte(v.null))
		d.payload = binary.BigEndian.AppendUint32(d.payload, uint32(len(v.text)))
		d.payload = append(d.payload, v.text...)
		if !v.null {
			full = len(d.payload)
		}
	}
	if d.env.Kinds.Definition(k) != nil {
		d.payload = d.payload[:full] // a column that the kind gets later changes no row without it
	}
	if k == market.KindBook {
		d.payload = d.asks.appendHashed(d.bids.appendHashed(d.payload))
	}
	e.ID, d.idBuf = market.PayloadID(d.idBuf, prefix, d.payload, 0)
	if l.dedup == market.DedupPayload {
		return
	}
	if n := d.rows.next(e.ID); n > 0 {
		e.ID, d.idBuf = market.PayloadID(d.idBuf, prefix, d.payload, n)
	}
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// appendHashed appends the side in a form that tells different sides apart.
func (s *side) appendHashed(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.price)))
	for i := range s.price {
		b = binary.BigEndian.AppendUint64(b, uint64(s.price[i]))
		b = binary.BigEndian.AppendUint64(b, uint64(s.qty[i]))
		b = append(b, byte(s.priceS[i]), byte(s.qtyS[i]))
	}
	return b
}

// append writes the row; nothing can fail any more.
func (d *decoder) append(b *market.Batch, e *market.Envelope, fields []field) {
	b.AppendEnvelope(e)
	for i := range fields {
		f, v := &fields[i], &d.vals[i]
		c := &b.Cols[f.index]
		switch {
		case f.Type == market.TypeDec && v.null:
			c.AppendNull(true)
		case f.Type == market.TypeDec:
			c.AppendDec(v.m, v.s)
		case f.Type == market.TypeText && v.null:
			c.AppendNullText()
		case f.Type == market.TypeText:
			c.AppendText(v.text)
		case f.Type == market.TypeFloat && v.null:
			c.AppendNullFloat()
		case f.Type == market.TypeFloat:
			c.AppendFloat(math.Float64frombits(uint64(v.m)))
		case f.Type == typeLevels:
			s := &d.bids
			if f.index == market.BookAskPrice {
				s = &d.asks
			}
			c.AppendDecs(s.price, s.priceScale)
			b.Cols[f.index+1].AppendDecs(s.qty, s.qtyScale)
		case v.null:
			c.AppendNull(false)
		default:
			c.AppendInt(v.m)
		}
	}
}
