package wire

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"unicode/utf8"

	"github.com/pinova-group/tidemark/market"
)

// quick appends the row of a message that is as an Encoder writes it: the envelope with its names first, then
// columns in the order of their numbers, nothing else. Of any other message, of one that is wrong, and of names that
// were not met yet it says false and leaves b as it was: slow, its twin, reads or refuses it.
func (d *Decoder) quick(p []byte, b *market.Batch) bool {
	if len(p) < 2 || p[0] != numEnvelope<<3|typeBytes {
		return false
	}
	size, i := uvarint(p, 1)
	if i < 0 || size > uint64(len(p)-i) {
		return false
	}
	env, rest := p[i:i+int(size)], p[i+int(size):]
	if !d.quickEnvelope(env) {
		return false
	}
	n := b.N
	b.AppendEnvelope(&d.env)
	b.TS[n], b.Epoch[n] = d.ts, d.epoch
	d.nulls = 0
	if d.quickColumns(rest, b) {
		return true
	}
	if n == 0 {
		b.Reset()
		return false
	}
	b.Truncate(n)
	for nulls := d.nulls; nulls != 0; nulls &= nulls - 1 {
		col := bits.TrailingZeros32(nulls)
		b.Cols[col].Null = b.Cols[col].Null[:d.nullLen[col]]
	}
	return false
}

// quickEnvelope reads an envelope, whose fields come in the order of their numbers, into d.env, d.ts and d.epoch.
func (d *Decoder) quickEnvelope(p []byte) bool {
	ref, i, ok := d.names.met(p)
	if !ok {
		return false
	}
	e := &d.env
	*e = market.Envelope{Feed: ref.feed, Inst: ref.inst, IngestTS: market.NoTime}
	d.epoch = 0
	if len(p)-i >= 9 && p[i] == envEventTS<<3|typeFixed64 {
		e.EventTS = int64(binary.LittleEndian.Uint64(p[i+1:]))
		i += 9
	}
	if len(p)-i >= 9 && p[i] == envIngestTS<<3|typeFixed64 {
		e.IngestTS = int64(binary.LittleEndian.Uint64(p[i+1:]))
		i += 9
	}
	d.ts = e.EventTS
	if len(p)-i >= 9 && p[i] == envTS<<3|typeFixed64 {
		d.ts = int64(binary.LittleEndian.Uint64(p[i+1:]))
		i += 9
	}
	if len(p)-i >= 2+len(e.ID) && p[i] == envEventID<<3|typeBytes && int(p[i+1]) == len(e.ID) {
		e.ID = market.ID(p[i+2:])
		i += 2 + len(e.ID)
	}
	if i < len(p) && p[i] == envSeq<<3|typeVarint {
		if e.Seq, i = longUvarint(p, i+1); i < 0 {
			return false
		}
	}
	for i < len(p) {
		tag, u := p[i], uint64(0)
		if u, i = uvarint(p, i+1); i < 0 {
			return false
		}
		switch {
		case tag == envHasSeq<<3|typeVarint && u <= 1:
			e.HasSeq = u == 1
		case tag == envEpoch<<3|typeVarint && u <= math.MaxUint32:
			d.epoch = uint32(u)
		case tag == envShard<<3|typeVarint && u <= math.MaxUint16:
			e.Shard = uint16(u)
		case tag == envFlags<<3|typeVarint && u <= math.MaxUint8:
			e.Flags = uint8(u)
		case tag == envRawBytes<<3|typeVarint && u <= math.MaxUint32:
			e.RawBytes = uint32(u)
		default:
			return false
		}
	}
	return true
}

// met reads the four names at the start of an envelope, when they were met before, and says where they end.
func (s *names) met(p []byte) (ref nameRef, end int, ok bool) {
	for k := envFeed; k <= envSymbol; k++ {
		if end+1 >= len(p) || p[end] != byte(k<<3|typeBytes) || p[end+1] >= 0x80 {
			return ref, 0, false
		}
		end += 2 + int(p[end+1])
	}
	if end > len(p) {
		return ref, 0, false
	}
	raw := p[:end]
	hot := &s.hot[place(raw)]
	if hot.raw != string(raw) {
		n, ok := s.byRaw[string(raw)]
		if !ok {
			return ref, 0, false
		}
		*hot = n
	}
	return hot.ref, end, true
}

// place is where names are in the small table: by most of their bytes, the last ones first.
func place(raw []byte) uint8 {
	h := uint64(0)
	for n := len(raw); n >= 8; n -= 8 {
		h = (h ^ binary.LittleEndian.Uint64(raw[n-8:])) * 0x9e3779b97f4a7c15
	}
	return uint8(h >> 56)
}

// quickColumns appends a value to each column.
func (d *Decoder) quickColumns(p []byte, b *market.Batch) bool {
	tag, i := quickTag(p, 0)
	for col := range b.Fields {
		f, c := &b.Fields[col], &b.Cols[col]
		if f.Type == market.TypeDec || f.Type == market.TypeDecs {
			if tag, i = d.quickDec(p, tag, i, f, c, col); i < 0 {
				return false
			}
			continue
		}
		switch num := FieldNumber(col); {
		case tag == num<<3|wireType(f.Type):
			if i = quickValue(p, i, f, c); i < 0 {
				return false
			}
			tag, i = quickTag(p, i)
		case f.Nullable:
			d.null(f, c, col)
		case f.Type == market.TypeText:
			c.AppendText(nil)
		case f.Type == market.TypeFloat:
			c.AppendFloat(0)
		default:
			c.AppendInt(0)
		}
	}
	return tag == noTag && booksBalance(b)
}

// quickDec appends a decimal or a list of them, whose next field has a tag, and returns the tag after it; next is -1 when it is wrong.
func (d *Decoder) quickDec(p []byte, tag, i int, f *market.Field, c *market.Col, col int) (after, next int) {
	num := FieldNumber(col)
	list, there, u, scale := f.Type == market.TypeDecs, false, uint64(0), int8(0)
	switch {
	case list && tag == num<<3|typeBytes:
		if i = quickList(p, i, c); i < 0 {
			return badTag, -1
		}
		tag, i = quickTag(p, i)
	case !list && tag == num<<3|typeVarint:
		there = true
		if u, i = longUvarint(p, i); i < 0 || u == math.MaxUint64 { // the least integer
			return badTag, -1
		}
		tag, i = quickTag(p, i)
	}
	if tag == (num+1)<<3|typeVarint {
		if i >= len(p) || p[i] > maxScale {
			return badTag, -1
		}
		scale = int8(p[i])
		tag, i = quickTag(p, i+1)
	}
	switch {
	case list:
		c.EndDecs(scale)
	case there || !f.Nullable:
		c.AppendDec(unzigzag(u), scale)
	default:
		d.null(f, c, col)
	}
	return tag, i
}

// null appends a null, and remembers how many words the column had for nulls.
func (d *Decoder) null(f *market.Field, c *market.Col, col int) {
	d.nulls |= 1 << col
	d.nullLen[col] = len(c.Null)
	switch f.Type {
	case market.TypeText:
		c.AppendNullText()
	case market.TypeFloat:
		c.AppendNullFloat()
	default:
		c.AppendNull(f.Type == market.TypeDec)
	}
}

// quickValue appends a value that is no decimal and says where it ends, -1 when it is wrong.
func quickValue(p []byte, i int, f *market.Field, c *market.Col) int {
	switch f.Type {
	case market.TypeText:
		n, i := uvarint(p, i)
		if i < 0 || n > uint64(len(p)-i) || n > MaxText || len(c.Bytes)+int(n) > math.MaxInt32 {
			return -1
		}
		text := p[i : i+int(n)]
		if !utf8.Valid(text) {
			return -1
		}
		c.AppendText(text)
		return i + int(n)
	case market.TypeTime, market.TypeFloat:
		if len(p)-i < 8 {
			return -1
		}
		u := binary.LittleEndian.Uint64(p[i:])
		if f.Type == market.TypeTime {
			c.AppendInt(int64(u))
			return i + 8
		}
		x := math.Float64frombits(u)
		if x-x != 0 || x == 0 { // zeros have a sign
			return -1
		}
		c.AppendFloat(x)
		return i + 8
	}
	u, i := uvarint(p, i)
	if i < 0 || f.Type == market.TypeEnum && u >= uint64(len(f.Words)) || f.Type == market.TypeBool && u > 1 {
		return -1
	}
	c.AppendInt(int64(u))
	return i
}

// quickList appends the elements of a packed list and says where it ends, -1 when it is wrong.
func quickList(p []byte, i int, c *market.Col) int {
	size, i := uvarint(p, i)
	if i < 0 || size > uint64(len(p)-i) {
		return -1
	}
	p = p[i : i+int(size)]
	at, n := len(c.I64), countVarints(p)
	if at+n > math.MaxInt32 {
		return -1
	}
	c.I64 = slices.Grow(c.I64, n)[:at+n]
	if readPacked(c.I64[at:], p) != nil {
		return -1
	}
	return i + int(size)
}

// booksBalance reports whether the last row has a quantity for each price, where it is of a book.
func booksBalance(b *market.Batch) bool {
	if b.Kind != market.KindBook {
		return true
	}
	length := func(col int) int { return len(b.Cols[col].Decs(b.N - 1)) }
	return length(market.BookBidPrice) == length(market.BookBidQuantity) && length(market.BookAskPrice) == length(market.BookAskQuantity)
}

// Tags that no field has.
const (
	noTag  = -1 // the message ends
	badTag = -2
)

// quickTag reads the tag of the next field.
func quickTag(p []byte, i int) (tag, next int) {
	switch {
	case i >= len(p):
		return noTag, i
	case p[i] < 0x80:
		return int(p[i]), i + 1
	case i+1 < len(p) && p[i+1] < 0x80:
		return int(p[i]&0x7f) | int(p[i+1])<<7, i + 2
	}
	return badTag, i
}

// uvarint reads a varint and says where it ends, -1 when it is cut or too long.
func uvarint(p []byte, i int) (u uint64, next int) {
	if i < len(p) && p[i] < 0x80 {
		return uint64(p[i]), i + 1
	}
	return longUvarint(p, i)
}

func longUvarint(p []byte, i int) (u uint64, next int) {
	if i+8 <= len(p) {
		if w := binary.LittleEndian.Uint64(p[i:]); ^w&stopBits != 0 {
			u, n := packed(w)
			return u, i + n
		}
	}
	u, n := binary.Uvarint(p[min(i, len(p)):])
	if n <= 0 {
		return 0, -1
	}
	return u, i + n
}
