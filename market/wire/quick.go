package wire

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"unicode/utf8"

	"github.com/pinova-group/tidemark/market"
)

// shape is what quick needs to know of a kind, close together.
type shape struct {
	of   []market.Field // that it was made of
	cols []shapeCol
}

type shapeCol struct {
	value, scale field
	limit        uint64 // which numbers lie below
	typ          market.Type
	nullable     bool
}

// field is the tag of a field as it lies in a message: one byte, or two.
type field struct {
	mask, tag uint64
	size      int
}

func fieldOf(num, typ int) field {
	tag := appendTag(nil, num, typ)
	f := field{size: len(tag)}
	for i, b := range tag {
		f.mask, f.tag = f.mask|0xff<<(8*i), f.tag|uint64(b)<<(8*i)
	}
	return f
}

// shapeOf is the shape of a kind with these columns.
func (d *Decoder) shapeOf(k market.Kind, fields []market.Field) *shape {
	s := &d.shapes[k]
	if len(s.of) == len(fields) && len(fields) > 0 && &s.of[0] == &fields[0] {
		return s
	}
	return d.newShape(k, fields)
}

func (d *Decoder) newShape(k market.Kind, fields []market.Field) *shape {
	s := &d.shapes[k]
	s.of, s.cols = fields, make([]shapeCol, len(fields))
	for i, f := range fields {
		c := &s.cols[i]
		*c = shapeCol{value: fieldOf(FieldNumber(i), wireType(f.Type)), scale: fieldOf(FieldNumber(i)+1, typeVarint), typ: f.Type, nullable: f.Nullable, limit: math.MaxUint64}
		switch f.Type {
		case market.TypeEnum:
			c.limit = uint64(len(f.Words)) - 1
		case market.TypeBool:
			c.limit = 1
		}
	}
	return s
}

// quick appends the row of a message that is as an Encoder writes it: the envelope with its names first, then
// columns in the order of their numbers, nothing else. Of any other message, of one that is wrong, and of names that
// were not met yet it says false and leaves b as it was: slow, its twin, reads or refuses it.
func (d *Decoder) quick(p []byte, b *market.Batch) bool {
	if len(p) < 16 || p[0] != numEnvelope<<3|typeBytes {
		return false
	}
	size, i := uvarint(p, 1)
	if i < 0 || size > uint64(len(p)-i) {
		return false
	}
	end := i + int(size)
	s := d.shapeOf(b.Kind, b.Fields)
	d.nulls = 0
	if !d.quickColumns(s, p, end, b) || !d.quickEnvelope(p[:end], i, b) {
		d.undo(b)
		return false
	}
	return true
}

// undo takes values of the row that was begun from the columns that have one.
func (d *Decoder) undo(b *market.Batch) {
	n := b.N
	if n == 0 {
		b.Reset()
		return
	}
	b.N++
	b.Truncate(n)
	for nulls := d.nulls; nulls != 0; nulls &= nulls - 1 {
		col := bits.TrailingZeros32(nulls)
		b.Cols[col].Null = b.Cols[col].Null[:d.nullLen[col]]
	}
}

// word is the eight bytes of p, which has as many, from i on; behind its end are zeros.
func word(p []byte, i int) uint64 {
	if i+8 <= len(p) {
		return binary.LittleEndian.Uint64(p[i:])
	}
	return binary.LittleEndian.Uint64(p[len(p)-8:]) >> (8 * uint(i+8-len(p)))
}

// quickEnvelope reads an envelope, whose fields come in the order of their numbers, from i to the end of p, and appends it to b: the
// row is there then.
func (d *Decoder) quickEnvelope(p []byte, i int, b *market.Batch) bool {
	ref, i, ok := d.names.met(p, i)
	if !ok {
		return false
	}
	event, ingest := int64(0), market.NoTime
	if len(p)-i >= 9 && p[i] == envEventTS<<3|typeFixed64 {
		event = int64(binary.LittleEndian.Uint64(p[i+1:]))
		i += 9
	}
	if len(p)-i >= 9 && p[i] == envIngestTS<<3|typeFixed64 {
		ingest = int64(binary.LittleEndian.Uint64(p[i+1:]))
		i += 9
	}
	ts := event
	if len(p)-i >= 9 && p[i] == envTS<<3|typeFixed64 {
		ts = int64(binary.LittleEndian.Uint64(p[i+1:]))
		i += 9
	}
	id := 0
	if len(p)-i >= 2+len(market.ID{}) && p[i] == envEventID<<3|typeBytes && int(p[i+1]) == len(market.ID{}) {
		id = i + 2
		i += 2 + len(market.ID{})
	}
	var seq uint64
	var hasSeq bool
	var epoch, rawBytes uint32
	var shard uint16
	var flags uint8
	for i < len(p) {
		w := word(p, i)
		tag, u, n := byte(w), w>>8&0x7f, 2
		if w&0x8000 != 0 {
			if u, n = packed(w >> 8); n > 7 {
				if u, n = longUvarint(p, i+1); n < 0 {
					return false
				}
				n -= i + 1
			}
			n++
		}
		i += n
		switch {
		case tag == envSeq<<3|typeVarint:
			seq = u
		case tag == envHasSeq<<3|typeVarint && u <= 1:
			hasSeq = u == 1
		case tag == envRawBytes<<3|typeVarint && u <= math.MaxUint32:
			rawBytes = uint32(u)
		case tag == envShard<<3|typeVarint && u <= math.MaxUint16:
			shard = uint16(u)
		case tag == envEpoch<<3|typeVarint && u <= math.MaxUint32:
			epoch = uint32(u)
		case tag == envFlags<<3|typeVarint && u <= math.MaxUint8:
			flags = uint8(u)
		default:
			return false
		}
	}
	if i != len(p) {
		return false
	}
	b.N++
	b.Feed, b.Inst = append(b.Feed, ref.feed), append(b.Inst, ref.inst)
	b.EventTS, b.IngestTS = append(b.EventTS, event), append(b.IngestTS, ingest)
	b.Seq, b.Flags = append(b.Seq, seq), append(b.Flags, flags)
	b.TS, b.Epoch = append(b.TS, ts), append(b.Epoch, epoch)
	b.Shard, b.HasSeq, b.RawBytes = append(b.Shard, shard), append(b.HasSeq, hasSeq), append(b.RawBytes, rawBytes)
	if id == 0 {
		b.ID = append(b.ID, market.ID{})
	} else {
		b.ID = append(b.ID, market.ID(p[id:]))
	}
	return true
}

// met reads the four names that an envelope begins with, when they were met before, and says where they end. Those before the
// symbol are mostly as long as in the message before.
func (s *names) met(p []byte, i int) (ref nameRef, end int, ok bool) {
	if at := i + s.symbol; at < len(p) {
		if end = at + 1 + int(p[at]); end <= len(p) {
			if hot := &s.hot[place(p[i:end])]; hot.raw == string(p[i:end]) {
				return hot.ref, end, true
			}
		}
	}
	end = i
	for k := byte(envFeed); k <= envSymbol; k++ {
		if end+1 >= len(p) || p[end] != k<<3|typeBytes || p[end+1] >= 0x80 {
			return ref, 0, false
		}
		s.symbol = end + 1 - i
		end += 2 + int(p[end+1])
	}
	if end > len(p) {
		return ref, 0, false
	}
	n, ok := s.byRaw[string(p[i:end])]
	if ok {
		s.hot[place(p[i:end])] = n
	}
	return n.ref, end, ok
}

// place is where names are in the small table: by the symbol and what is before it, and by the feed.
func place(raw []byte) uint8 {
	n := len(raw)
	if n < 16 {
		return 0
	}
	symbol, before, feed := binary.LittleEndian.Uint64(raw[n-8:]), binary.LittleEndian.Uint64(raw[n-16:]), binary.LittleEndian.Uint64(raw[2:])
	return uint8((symbol*0x9e3779b97f4a7c15 ^ before*0xc2b2ae3d27d4eb4f ^ feed*0x165667b19e3779f9) >> 56)
}

// quickColumns appends a value to each column. They begin at i and take the rest of p.
func (d *Decoder) quickColumns(s *shape, p []byte, i int, b *market.Batch) bool {
	for col := range s.cols {
		f, c := &s.cols[col], &b.Cols[col]
		w := word(p, i)
		there, u := w&f.value.mask == f.value.tag && i < len(p), uint64(0)
		if there {
			i += f.value.size
			w >>= 8 * uint(f.value.size)
		}
		switch f.typ {
		case market.TypeText:
			if there {
				n := int(w & 0xff)
				if i++; n >= 0x80 || n > len(p)-i || !short(p, i, n) {
					if n, i = longText(p, i-1); i < 0 {
						return false
					}
				}
				i += n
				if len(c.Bytes)+n > math.MaxInt32 {
					return false
				}
				c.AppendText(p[i-n : i])
				continue
			}
		case market.TypeTime, market.TypeFloat:
			if there {
				if len(p)-i < 8 {
					return false
				}
				u = binary.LittleEndian.Uint64(p[i:])
				i += 8
				if f.typ == market.TypeTime {
					c.AppendInt(int64(u))
					continue
				}
				x := math.Float64frombits(u)
				if x-x != 0 || x == 0 { // zeros have a sign
					return false
				}
				c.AppendFloat(x)
				continue
			}
		case market.TypeDecs:
			if there {
				if i = quickList(p, i, c); i < 0 {
					return false
				}
			}
		default:
			if there {
				n := 1
				if u = w & 0x7f; w&0x80 != 0 {
					if u, n = packed(w); n > 8-f.value.size {
						if u, n = longUvarint(p, i); n < 0 {
							return false
						}
						n -= i
					}
				}
				i += n
			}
			if there && f.typ != market.TypeDec {
				if u > f.limit {
					return false
				}
				c.AppendInt(int64(u))
				continue
			}
		}
		if f.typ == market.TypeDec || f.typ == market.TypeDecs {
			scale := int8(0)
			if w := word(p, i); w&f.scale.mask == f.scale.tag && i < len(p) {
				x := w >> (8 * uint(f.scale.size)) & 0xff
				if i += f.scale.size + 1; x > maxScale {
					return false
				}
				scale = int8(x)
			}
			switch {
			case u == math.MaxUint64: // the least integer
				return false
			case f.typ == market.TypeDecs:
				c.EndDecs(scale)
			case there || !f.nullable:
				c.AppendDec(unzigzag(u), scale)
			default:
				d.null(f.typ, c, col)
			}
			continue
		}
		switch {
		case f.nullable:
			d.null(f.typ, c, col)
		case f.typ == market.TypeText:
			c.AppendText(nil)
		case f.typ == market.TypeFloat:
			c.AppendFloat(0)
		default:
			c.AppendInt(0)
		}
	}
	return i == len(p) && (b.Kind != market.KindBook || booksBalance(b))
}

// short reports whether a text of n bytes at i is ASCII and of eight bytes at most, and p does not end soon behind.
func short(p []byte, i, n int) bool {
	return n <= 8 && i+8 <= len(p) && binary.LittleEndian.Uint64(p[i:])&stopBits&(1<<(8*uint(n))-1) == 0
}

// longText says how many bytes a text with its length at i has and where they begin, -1 when it is wrong.
func longText(p []byte, i int) (n, at int) {
	size, at := uvarint(p, i)
	if at < 0 || size > uint64(len(p)-at) || size > MaxText || !utf8.Valid(p[at:at+int(size)]) {
		return 0, -1
	}
	return int(size), at
}

// null appends a null, and remembers how many words the column had for nulls.
func (d *Decoder) null(typ market.Type, c *market.Col, col int) {
	d.nulls |= 1 << col
	d.nullLen[col] = len(c.Null)
	switch typ {
	case market.TypeText:
		c.AppendNullText()
	case market.TypeFloat:
		c.AppendNullFloat()
	default:
		c.AppendNull(typ == market.TypeDec)
	}
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

// booksBalance reports whether the row of a book that is being read has a quantity for each price.
func booksBalance(b *market.Batch) bool {
	length := func(col int) int { return len(b.Cols[col].Decs(b.N)) }
	return length(market.BookBidPrice) == length(market.BookBidQuantity) && length(market.BookAskPrice) == length(market.BookAskQuantity)
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
