package wire

import (
	"encoding/binary"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/pinova-group/tidemark/market"
)

// BlockRows is how many messages are read together at most.
const BlockRows = 64

// block is messages that are read together: one field of all of them, then the next field. Within a message each field begins
// where the one before ends; those of different messages need not wait for one another.
type block struct {
	n    int
	msg  [BlockRows][]byte // each with some bytes behind it
	size [BlockRows]int    // without these
	end  [BlockRows]int    // of the envelope
	at   [BlockRows]int    // of the field that is read next
	pad  []byte            // memory of messages that had nothing behind them
}

// behind is how many bytes are behind each message of a block, so that eight can be looked at wherever a field begins.
const behind = 8

// DecodeBlock is Decode of up to BlockRows messages that are as an Encoder writes them: the envelope with its names first, then
// columns in the order of their numbers, nothing else. If one is not, is wrong, or has names that were not met yet, it says
// false and leaves b as it was: Decode reads or refuses them one by one. What lies behind a message, up to its capacity, may
// be looked at.
func (d *Decoder) DecodeBlock(msgs [][]byte, b *market.Batch) bool {
	x, n := &d.block, b.N
	if len(msgs) == 0 || len(msgs) > BlockRows || !x.set(msgs) {
		return false
	}
	s := d.shapeOf(b.Kind, b.Fields)
	for i := range b.Cols {
		d.nulls[i] = len(b.Cols[i].Null)
	}
	b.N += x.n
	ok := x.names(&d.names, b) && x.times(b) && x.ids(b) && x.counts(b) && x.columns(s, b)
	if !ok {
		d.undo(b, n)
	}
	clear(x.msg[:x.n])
	return ok
}

// undo takes the rows from n on away, of which some columns have no values yet.
func (d *Decoder) undo(b *market.Batch, n int) {
	if n == 0 {
		b.Reset()
		return
	}
	b.Truncate(n)
	for i := range b.Cols {
		if c := &b.Cols[i]; len(c.Null) > d.nulls[i] {
			c.Null = c.Null[:d.nulls[i]]
		}
	}
}

// set takes the messages. It says false when one is too short or too long.
func (x *block) set(msgs [][]byte) bool {
	x.n, x.pad = len(msgs), x.pad[:0]
	for k, p := range msgs {
		n := len(p)
		if n < 16 || n > MaxPayload {
			return false
		}
		if cap(p)-n < behind {
			at := len(x.pad)
			x.pad = append(append(x.pad, p...), make([]byte, behind)...)
			p = x.pad[at:]
		}
		x.msg[k], x.size[k] = p[:n+behind], n
	}
	return true
}

// more appends n elements, which are to be set.
func more[T any](s *[]T, n int) []T {
	at := len(*s)
	*s = slices.Grow(*s, n)[:at+n]
	return (*s)[at:]
}

// names reads which names envelopes have, and where they end.
func (x *block) names(names *names, b *market.Batch) bool {
	feed, inst := more(&b.Feed, x.n), more(&b.Inst, x.n)
	for k := range feed {
		p := x.msg[k]
		if p[0] != numEnvelope<<3|typeBytes {
			return false
		}
		size, i := int(p[1]), 2
		if size >= 0x80 {
			size, i = size&0x7f|int(p[2])<<7, 3
			if p[2] >= 0x80 {
				return false
			}
		}
		end := i + size
		if end > x.size[k] {
			return false
		}
		ref, i, ok := names.met(p[:end], i)
		if !ok {
			return false
		}
		feed[k], inst[k], x.at[k], x.end[k] = ref.feed, ref.inst, i, end
	}
	return true
}

func (x *block) times(b *market.Batch) bool {
	event, ingest, ts := more(&b.EventTS, x.n), more(&b.IngestTS, x.n), more(&b.TS, x.n)
	for k := range event {
		p, i := x.msg[k][:x.end[k]], x.at[k]
		t, came := int64(0), market.NoTime
		if i+9 <= len(p) && p[i] == envEventTS<<3|typeFixed64 {
			t = int64(binary.LittleEndian.Uint64(p[i+1 : i+9]))
			i += 9
		}
		if i+9 <= len(p) && p[i] == envIngestTS<<3|typeFixed64 {
			came = int64(binary.LittleEndian.Uint64(p[i+1 : i+9]))
			i += 9
		}
		event[k], ingest[k] = t, came
		if i+9 <= len(p) && p[i] == envTS<<3|typeFixed64 {
			t = int64(binary.LittleEndian.Uint64(p[i+1 : i+9]))
			i += 9
		}
		ts[k], x.at[k] = t, i
	}
	return true
}

func (x *block) ids(b *market.Batch) bool {
	id, seq := more(&b.ID, x.n), more(&b.Seq, x.n)
	for k := range id {
		i, end := x.at[k], x.end[k]
		p := x.msg[k][:end+behind]
		id[k] = market.ID{}
		if i+2+len(market.ID{}) <= end && p[i] == envEventID<<3|typeBytes && int(p[i+1]) == len(market.ID{}) {
			id[k] = market.ID(p[i+2:])
			i += 2 + len(market.ID{})
		}
		seq[k] = 0
		if i < end && p[i] == envSeq<<3|typeVarint {
			u, n := packed(binary.LittleEndian.Uint64(p[i+1 : i+9]))
			if i += 1 + n; n > 8 {
				if u, i = longUvarint(p, i-n); i < 0 {
					return false
				}
			}
			seq[k] = u
		}
		x.at[k] = i
	}
	return true
}

// counts reads the small numbers at the end of envelopes.
func (x *block) counts(b *market.Batch) bool {
	hasSeq, epoch, shard := more(&b.HasSeq, x.n), more(&b.Epoch, x.n), more(&b.Shard, x.n)
	flags, rawBytes := more(&b.Flags, x.n), more(&b.RawBytes, x.n)
	for k := range hasSeq {
		i, end := x.at[k], x.end[k]
		if i > end {
			return false
		}
		p := x.msg[k][:end+behind]
		w := binary.LittleEndian.Uint64(p[i : i+8])
		if w&0x80ff == envHasSeq<<3 && w&0x7e00 == 0 { // what most have: these, each small
			hasSeq[k] = w&0x100 != 0
			w, i = w>>16, i+2
			shard[k] = 0
			if w&0x80ff == envShard<<3 {
				shard[k] = uint16(w >> 8 & 0x7f)
				w, i = w>>16, i+2
			}
			u, n := packed(w >> 8)
			if w&0xff == envRawBytes<<3 && n <= 3 && i+1+n == end {
				epoch[k], flags[k], rawBytes[k], x.at[k] = 0, 0, uint32(u), end
				continue
			}
			i = x.at[k]
		}
		var of [envRawBytes - envHasSeq + 1]uint64
		for num := envHasSeq; i < end; num++ {
			for num <= envRawBytes && p[i] != byte(num<<3|typeVarint) {
				num++
			}
			if num > envRawBytes {
				return false
			}
			if of[num-envHasSeq], i = uvarint(p, i+1); i < 0 {
				return false
			}
		}
		u, e, s, f, r := of[0], of[envEpoch-envHasSeq], of[envShard-envHasSeq], of[envFlags-envHasSeq], of[envRawBytes-envHasSeq]
		if i != end || u > 1 || e > math.MaxUint32 || s > math.MaxUint16 || f > math.MaxUint8 || r > math.MaxUint32 {
			return false
		}
		hasSeq[k], epoch[k], shard[k], flags[k], rawBytes[k] = u == 1, uint32(e), uint16(s), uint8(f), uint32(r)
		x.at[k] = end
	}
	return true
}

// columns appends the values. They take the rest of the messages.
func (x *block) columns(s *shape, b *market.Batch) bool {
	row := b.N - x.n
	for col := range s.cols {
		f, c, ok := &s.cols[col], &b.Cols[col], false
		switch f.typ {
		case market.TypeText:
			ok = x.texts(f, c, row)
		case market.TypeTime:
			ok = x.fixed(f, c, row, more(&c.I64, x.n), nil)
		case market.TypeFloat:
			ok = x.fixed(f, c, row, nil, more(&c.F64, x.n))
		case market.TypeDec:
			ok = x.numbers(f, c, row) && x.scales(f, c, row)
		case market.TypeDecs:
			ok = x.lists(f, c)
		default:
			ok = x.numbers(f, c, row)
		}
		if !ok {
			return false
		}
	}
	for k := range x.n {
		if x.at[k] != x.size[k] {
			return false
		}
	}
	return b.Kind != market.KindBook || booksBalance(b, row)
}

// look is the eight bytes with which the field that is read next of message k begins, and whether it is f. Past the end of the
// message, where a field before was wrong, ok is false.
func (x *block) look(k int, f field) (w uint64, there, ok bool) {
	p, i := x.msg[k], x.at[k]
	if i+8 > len(p) {
		return 0, false, false
	}
	w = binary.LittleEndian.Uint64(p[i : i+8])
	return w >> (8 * uint(f.size) & 63), w&f.mask == f.tag && i < x.size[k], true
}

// numbers appends whole numbers, mantissas of decimals as they are packed.
func (x *block) numbers(f *shapeCol, c *market.Col, row int) bool {
	dst, field := more(&c.I64, x.n), f.value
	for k := range dst {
		w, there, ok := x.look(k, field)
		if !ok {
			return false
		}
		dst[k] = 0
		if !there {
			if f.nullable {
				c.SetNull(row + k)
			}
			continue
		}
		u, n := w&0x7f, 1
		if w&0x80 != 0 {
			if u, n = packed(w); n > 8-field.size {
				end := 0
				if u, end = longUvarint(x.msg[k], x.at[k]+field.size); end < 0 {
					return false
				}
				n = end - x.at[k] - field.size
			}
		}
		if u > f.limit {
			return false
		}
		dst[k] = int64(u)
		x.at[k] += field.size + n
	}
	return true
}

// scales appends those of decimals, and unpacks their mantissas.
func (x *block) scales(f *shapeCol, c *market.Col, row int) bool {
	dst, field := more(&c.Scale, x.n), f.scale
	mantissas := c.I64[row:]
	for k, u := range mantissas {
		mantissas[k] = unzigzag(uint64(u))
	}
	for k := range dst {
		w, there, ok := x.look(k, field)
		if !ok {
			return false
		}
		dst[k] = 0
		if !there {
			continue
		}
		scale := w & 0xff
		if scale > maxScale {
			return false
		}
		if !f.nullable || !c.IsNull(row+k) {
			dst[k] = int8(scale)
		}
		x.at[k] += field.size + 1
	}
	return true
}

// fixed appends values of eight bytes, to one of the two.
func (x *block) fixed(f *shapeCol, c *market.Col, row int, ints []int64, floats []float64) bool {
	for k := range x.n {
		_, there, ok := x.look(k, f.value)
		if !ok {
			return false
		}
		u := uint64(0)
		switch {
		case there:
			i := x.at[k] + f.value.size
			if i+8 > x.size[k] {
				return false
			}
			u = binary.LittleEndian.Uint64(x.msg[k][i : i+8])
			x.at[k] = i + 8
		case f.nullable:
			c.SetNull(row + k)
		}
		if ints != nil {
			ints[k] = int64(u)
			continue
		}
		v := math.Float64frombits(u)
		if v-v != 0 || v == 0 && there { // zeros have a sign
			return false
		}
		floats[k] = v
	}
	return true
}

func (x *block) texts(f *shapeCol, c *market.Col, row int) bool {
	if len(c.Off) == 0 {
		c.Off = append(c.Off, 0)
	}
	off := more(&c.Off, x.n)
	for k := range off {
		w, there, ok := x.look(k, f.value)
		if !ok {
			return false
		}
		if !there {
			if f.nullable {
				c.SetNull(row + k)
			}
			off[k] = int32(len(c.Bytes))
			continue
		}
		p, at := x.msg[k][:x.size[k]], x.at[k]+f.value.size
		n, i := int(w&0xff), at+1
		if n > 16 || i+n > len(p) || !x.short(k, i, n, c) {
			long, i := uvarint(p, at)
			if i < 0 || long > uint64(len(p)-i) || long > MaxText || !utf8.Valid(p[i:i+int(long)]) || len(c.Bytes)+int(long) > math.MaxInt32 {
				return false
			}
			n, at = int(long), i-1
			c.Bytes = append(c.Bytes, p[i:i+n]...)
		}
		off[k], x.at[k] = int32(len(c.Bytes)), at+1+n
	}
	return true
}

// short appends the text of n bytes at i, 16 at most, if it is ASCII and message k goes on for so long.
func (x *block) short(k, i, n int, c *market.Col) bool {
	p := x.msg[k]
	if i+16 > len(p) || len(c.Bytes) > math.MaxInt32-16 {
		return false
	}
	a, z := binary.LittleEndian.Uint64(p[i:i+8]), binary.LittleEndian.Uint64(p[i+8:i+16])
	if n <= 8 {
		a, z = a&(1<<(8*uint(n))-1), 0
	} else {
		z &= 1<<(8*uint(n-8)) - 1
	}
	if (a|z)&stopBits != 0 {
		return false
	}
	at := len(c.Bytes)
	c.Bytes = slices.Grow(c.Bytes, 16)[:at+16]
	binary.LittleEndian.PutUint64(c.Bytes[at:], a)
	binary.LittleEndian.PutUint64(c.Bytes[at+8:], z)
	c.Bytes = c.Bytes[:at+n]
	return true
}

// lists appends lists of decimals.
func (x *block) lists(f *shapeCol, c *market.Col) bool {
	for k := range x.n {
		_, there, ok := x.look(k, f.value)
		if !ok {
			return false
		}
		if there {
			if x.at[k] = list(x.msg[k][:x.size[k]], x.at[k]+f.value.size, c); x.at[k] < 0 {
				return false
			}
		}
		w, there, ok := x.look(k, f.scale)
		if !ok {
			return false
		}
		scale := int8(0)
		if there {
			if w&0xff > maxScale {
				return false
			}
			scale = int8(w & 0xff)
			x.at[k] += f.scale.size + 1
		}
		c.EndDecs(scale)
	}
	return true
}

// list appends the elements of a packed list and says where it ends, -1 when it is wrong.
func list(p []byte, i int, c *market.Col) int {
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

// booksBalance reports whether rows of books from row on have a quantity for each price.
func booksBalance(b *market.Batch, row int) bool {
	for ; row < b.N; row++ {
		length := func(col int) int { return len(b.Cols[col].Decs(row)) }
		if length(market.BookBidPrice) != length(market.BookBidQuantity) || length(market.BookAskPrice) != length(market.BookAskQuantity) {
			return false
		}
	}
	return true
}
