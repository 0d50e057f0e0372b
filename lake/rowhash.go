package lake

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/parity"
)

// RowEncoder gives the canonical message of rows of a feature table: what parity.HashOf
// takes. It is the message of the same row in a topic, byte for byte.
type RowEncoder struct {
	cols     []file.Column
	times    [4]int // columns of the fields from parity.NumStart on, -1: none
	flags    int    // -1: none
	entities []int
	features []int
	floats   []uint16 // beside features: parity.FloatTag of doubles, 0 for others
}

// NewRowEncoder makes one for batches with a feature table's columns, in their order.
func (t *Table) NewRowEncoder(cols []file.Column) (*RowEncoder, error) {
	find := func(name string) int {
		return slices.IndexFunc(cols, func(c file.Column) bool { return c.Name == name })
	}
	e := &RowEncoder{cols: cols, times: [4]int{find("window_start"), find("window_end"), find(colRowTS), find(colAvailableAt)}, flags: find("flags")}
	for _, k := range t.Keys() {
		if k.Column == colRowTS {
			break
		}
		i := find(k.Column)
		if i < 0 || cols[i].Type != file.String {
			return nil, fmt.Errorf("table %s: no entity column %s", t.Name(), k.Column)
		}
		e.entities = append(e.entities, i)
	}
	slices.Sort(e.entities)
	for i := range cols {
		if i != e.flags && cols[i].Name != colRevision && !slices.Contains(e.times[:], i) && !slices.Contains(e.entities, i) {
			tag := uint16(0)
			if cols[i].Type == file.Double {
				tag = parity.FloatTag(len(e.features))
			}
			e.features, e.floats = append(e.features, i), append(e.floats, tag)
		}
	}
	return e, nil
}

// AppendMessage appends the message of row i. It allocates only to grow dst.
func (e *RowEncoder) AppendMessage(dst []byte, b *file.Batch, i int) []byte {
	for n, col := range e.times {
		if col >= 0 {
			dst = parity.AppendTime(dst, parity.NumStart+n, b.Cols[col].I64[i])
		}
	}
	if e.flags >= 0 {
		dst = parity.AppendFlags(dst, uint8(b.Cols[e.flags].I32[i]))
	}
	for k, col := range e.entities {
		dst = parity.AppendEntity(dst, k, b.Cols[col].Text(i))
	}
	for k, col := range e.features {
		c := &b.Cols[col]
		if len(c.Null) > 0 && c.IsNull(i) {
			continue
		}
		if t := e.floats[k]; t != 0 { // what most of them are, without a call
			n := len(dst)
			dst = slices.Grow(dst, 10)[:n+10]
			binary.LittleEndian.PutUint16(dst[n:], t)
			binary.LittleEndian.PutUint64(dst[n+2:], math.Float64bits(c.F64[i]))
			continue
		}
		switch e.cols[col].Type {
		case file.Double:
			dst = parity.AppendFloat(dst, k, c.F64[i])
		case file.Long, file.Timestamptz:
			dst = parity.AppendInt(dst, k, c.I64[i])
		case file.Int:
			dst = parity.AppendInt(dst, k, int64(c.I32[i]))
		case file.Boolean:
			dst = parity.AppendBool(dst, k, int64(c.I32[i]))
		case file.Decimal:
			dst = parity.AppendDecimal(dst, k, c.Hi[i], c.Lo[i], e.cols[col].Scale)
		case file.LongList: // no feature is one
		default:
			dst = parity.AppendText(dst, k, c.Text(i))
		}
	}
	return dst
}

// RowTS is that of row i.
func (e *RowEncoder) RowTS(b *file.Batch, i int) int64 { return b.Cols[e.times[2]].I64[i] }
