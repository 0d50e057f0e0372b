package record

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/zeebo/xxh3"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
)

// RowEncoder writes rows of one view as values of records. It is not safe for concurrent use.
type RowEncoder struct {
	schema uint32
	out    *features.Output
	tags   [][]byte // of features
	buf    []byte
}

// NewRowEncoder makes an encoder of the rows of a view whose schema has that number (Schemas.View).
func NewRowEncoder(schema uint32, out *features.Output) (*RowEncoder, error) {
	if len(out.Entity) > maxEntity || len(out.Fields) > maxFeatures {
		return nil, fmt.Errorf("view %s: %d entity columns, %d features; messages have at most %d and %d",
			out.Name, len(out.Entity), len(out.Fields), maxEntity, maxFeatures)
	}
	e := &RowEncoder{schema: schema, out: out}
	for i := range out.Fields {
		e.tags = append(e.tags, protowire.AppendTag(nil, protowire.Number(numFeature+i), featureType(out.Fields[i].Type)))
	}
	return e, nil
}

func featureType(t features.FieldType) protowire.Type {
	switch t {
	case features.FieldF64:
		return protowire.Fixed64Type
	case features.FieldI64, features.FieldBool:
		return protowire.VarintType
	}
	return protowire.BytesType
}

// Append appends row i, framed; names are the values of the entity columns (Task.EntityNames).
// It allocates only to grow dst.
func (e *RowEncoder) Append(dst []byte, rows *features.ViewRows, i int, names []string) []byte {
	return e.AppendMessage(wire.AppendFrame(dst, e.schema), rows, i, names)
}

// AppendMessage appends row i without a frame: what RowHash takes.
func (e *RowEncoder) AppendMessage(dst []byte, rows *features.ViewRows, i int, names []string) []byte {
	dst = appendTime(dst, numStart, rows.Start[i])
	dst = appendTime(dst, numEnd, rows.End[i])
	dst = appendTime(dst, numRowTS, rows.RowTS[i])
	dst = appendTime(dst, numAvail, rows.Avail[i])
	if f := rows.Flags[i]; f != 0 {
		dst = protowire.AppendVarint(append(dst, numFlags<<3), uint64(f))
	}
	for k, name := range names {
		if name != "" {
			dst = protowire.AppendString(append(dst, byte(numEntity+k)<<3|byte(protowire.BytesType)), name)
		}
	}
	for k := range e.tags {
		c := &rows.Features[k]
		if c.IsNull(i) {
			continue
		}
		dst = append(dst, e.tags[k]...)
		switch f := &e.out.Fields[k]; f.Type {
		case features.FieldF64:
			dst = protowire.AppendFixed64(dst, math.Float64bits(c.F64[i]))
		case features.FieldI64:
			dst = protowire.AppendVarint(dst, protowire.EncodeZigZag(c.I64[i]))
		case features.FieldBool:
			dst = protowire.AppendVarint(dst, uint64(c.I64[i]))
		case features.FieldDecimal:
			var text [maxDecimal]byte
			dst = protowire.AppendBytes(dst, appendDecimal(text[:0], c.Hi[i], c.Lo[i], f.Scale))
		default:
			dst = protowire.AppendBytes(dst, c.Bytes[c.Off[i]:c.Off[i+1]])
		}
	}
	return dst
}

func appendTime(dst []byte, num int, v int64) []byte {
	if v == 0 {
		return dst
	}
	return protowire.AppendFixed64(append(dst, byte(num<<3)|byte(protowire.Fixed64Type)), uint64(v))
}

// ID is the identity of a row, the same whenever and wherever it is computed: see RowID.
func (e *RowEncoder) ID(rows *features.ViewRows, i int, names []string) market.ID {
	var id market.ID
	id, e.buf = RowID(e.buf, e.out.Fingerprint, names, rows.RowTS[i])
	return id
}

// RowID is the 128-bit XXH3 of the view's fingerprint, the entity's names (each after its
// length, 4 bytes) and row_ts (8 bytes), numbers big-endian. buf is scratch, returned grown.
func RowID(buf []byte, fingerprint [32]byte, names []string, rowTS int64) (market.ID, []byte) {
	buf = append(buf[:0], fingerprint[:]...)
	for _, name := range names {
		buf = append(binary.BigEndian.AppendUint32(buf, uint32(len(name))), name...)
	}
	buf = binary.BigEndian.AppendUint64(buf, uint64(rowTS))
	return xxh3.Hash128(buf).Bytes(), buf
}

// RowHash is the hash of all that a consumer sees of a row: the 128-bit XXH3 of its canonical
// message, which has times, available_at, flags, entity and features, and neither revision
// nor publication nor build.
func RowHash(message []byte) market.ID { return xxh3.Hash128(message).Bytes() }

// maxDecimal is the length of the longest decimal: sign, 39 digits, point, and zeros before it.
const maxDecimal = 176

// appendDecimal appends a two's complement mantissa with scale digits after the point.
func appendDecimal(dst []byte, hi int64, lo uint64, scale int8) []byte {
	h, l := uint64(hi), lo
	if hi < 0 {
		dst = append(dst, '-')
		var borrow uint64
		l, borrow = bits.Sub64(0, l, 0)
		h, _ = bits.Sub64(0, h, borrow)
	}
	var digits [maxDecimal]byte
	n := len(digits)
	for at := 0; h != 0 || l != 0 || at <= int(scale); at++ {
		if at == int(scale) && at > 0 {
			n--
			digits[n] = '.'
		}
		var r uint64
		h, r = h/10, h%10
		l, r = bits.Div64(r, l, 10)
		n--
		digits[n] = byte('0' + r)
	}
	return append(dst, digits[n:]...)
}

// parseDecimal reads what appendDecimal writes and nothing else.
func parseDecimal(s []byte, scale int8) (hi int64, lo uint64, ok bool) {
	text := s
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	point := len(text)
	if scale > 0 {
		point -= int(scale) + 1
	}
	if point < 1 || len(text) > maxDecimal || point > 1 && text[0] == '0' {
		return 0, 0, false
	}
	var h, l uint64
	for i, c := range text {
		if i == point {
			if c != '.' {
				return 0, 0, false
			}
			continue
		}
		if c < '0' || c > '9' {
			return 0, 0, false
		}
		carry, low := bits.Mul64(l, 10)
		over, high := bits.Mul64(h, 10)
		var c1, c2, c3 uint64
		high, c1 = bits.Add64(high, carry, 0)
		low, c2 = bits.Add64(low, uint64(c-'0'), 0)
		high, c3 = bits.Add64(high, 0, c2)
		if over != 0 || c1 != 0 || c3 != 0 {
			return 0, 0, false
		}
		h, l = high, low
	}
	if negative {
		if h == 0 && l == 0 || h > 1<<63 || h == 1<<63 && l != 0 {
			return 0, 0, false
		}
		var borrow uint64
		l, borrow = bits.Sub64(0, l, 0)
		h, _ = bits.Sub64(0, h, borrow)
		return int64(h), l, true
	}
	return int64(h), l, h < 1<<63
}
