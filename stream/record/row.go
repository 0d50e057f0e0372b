package record

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/zeebo/xxh3"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
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
			var text [num.MaxText128]byte
			dst = protowire.AppendBytes(dst, num.AppendDec128(text[:0], c.Hi[i], c.Lo[i], f.Scale))
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
