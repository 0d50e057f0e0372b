package record

import (
	"encoding/binary"
	"fmt"

	"github.com/zeebo/xxh3"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/parity"
)

// RowEncoder writes rows of one view as values of records. It is not safe for concurrent use.
type RowEncoder struct {
	schema uint32
	out    *features.Output
	buf    []byte
}

// NewRowEncoder makes an encoder of the rows of a view whose schema has that number (Schemas.View).
func NewRowEncoder(schema uint32, out *features.Output) (*RowEncoder, error) {
	if len(out.Entity) > parity.MaxEntity || len(out.Fields) > parity.MaxFeatures {
		return nil, fmt.Errorf("view %s: %d entity columns, %d features; messages have at most %d and %d",
			out.Name, len(out.Entity), len(out.Fields), parity.MaxEntity, parity.MaxFeatures)
	}
	return &RowEncoder{schema: schema, out: out}, nil
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

// AppendMessage appends row i without a frame: what parity.HashOf takes.
func (e *RowEncoder) AppendMessage(dst []byte, rows *features.ViewRows, i int, names []string) []byte {
	dst = parity.AppendTime(dst, parity.NumStart, rows.Start[i])
	dst = parity.AppendTime(dst, parity.NumEnd, rows.End[i])
	dst = parity.AppendTime(dst, parity.NumRowTS, rows.RowTS[i])
	dst = parity.AppendTime(dst, parity.NumAvail, rows.Avail[i])
	dst = parity.AppendFlags(dst, rows.Flags[i])
	for k, name := range names {
		dst = parity.AppendEntity(dst, k, name)
	}
	for k := range e.out.Fields {
		c := &rows.Features[k]
		if c.IsNull(i) {
			continue
		}
		switch f := &e.out.Fields[k]; f.Type {
		case features.FieldF64:
			dst = parity.AppendFloat(dst, k, c.F64[i])
		case features.FieldI64:
			dst = parity.AppendInt(dst, k, c.I64[i])
		case features.FieldBool:
			dst = parity.AppendBool(dst, k, c.I64[i])
		case features.FieldDecimal:
			dst = parity.AppendDecimal(dst, k, c.Hi[i], c.Lo[i], f.Scale)
		default:
			dst = parity.AppendText(dst, k, c.Bytes[c.Off[i]:c.Off[i+1]])
		}
	}
	return dst
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
