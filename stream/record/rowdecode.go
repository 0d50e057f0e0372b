package record

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market/num"
	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/parity"
)

var (
	errFieldType = errors.New("wire type does not fit the field")
	errValue     = errors.New("value is none of its type")
	errEntities  = errors.New("too many entities")
	errFull      = errors.New("column of text is full")
)

// maxNames bounds the entities that a decoder remembers: garbage must not fill the memory.
const maxNames = 1 << 20

// RowDecoder reads rows of one view. It is not safe for concurrent use.
type RowDecoder struct {
	schema uint32
	out    *features.Output
	numOf  map[string]uint32
	names  [][]string

	// The row as read so far.
	time  [4]int64 // start, end, row_ts, avail
	flags uint8
	ent   [parity.MaxEntity][]byte
	key   []byte
	vals  []value
}

type value struct {
	have bool
	hi   int64
	num  uint64 // bits of a float, integer, low half of a decimal
	text []byte
}

// NewRowDecoder makes a decoder of the rows of a view whose schema has that number.
func NewRowDecoder(schema uint32, out *features.Output) *RowDecoder {
	return &RowDecoder{schema: schema, out: out, numOf: map[string]uint32{}, vals: make([]value, len(out.Fields))}
}

// Names are the values of the entity columns of an entity that Decode gave a number.
func (d *RowDecoder) Names(entity uint32) []string { return d.names[entity] }

// Decode appends the row of a record to rows, whose entities have numbers of this decoder.
// Once warm it does not allocate. On an error rows is as before.
func (d *RowDecoder) Decode(record []byte, rows *features.ViewRows) error {
	schema, message, err := wire.CutFrame(record)
	if err == nil && schema != d.schema {
		err = fmt.Errorf("schema %d, not %d: %w", schema, d.schema, ErrSchema)
	}
	if err == nil {
		err = d.message(message, rows)
	}
	if err != nil {
		return fmt.Errorf("decode a row of %s: %w", d.out.Name, err)
	}
	return nil
}

func (d *RowDecoder) message(b []byte, rows *features.ViewRows) error {
	d.time, d.flags, d.ent = [4]int64{}, 0, [parity.MaxEntity][]byte{}
	clear(d.vals)
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		size, err := d.field(num, typ, b)
		if err != nil {
			return fmt.Errorf("field %d: %w", num, err)
		}
		b = b[size:]
	}
	if len(rows.Features) == 0 {
		rows.Features = make([]features.OutCol, len(d.out.Fields))
	}
	for k := range d.vals {
		if len(rows.Features[k].Bytes)+len(d.vals[k].text) > math.MaxInt32 {
			return errFull
		}
	}
	ent, err := d.entity()
	if err != nil {
		return err
	}
	rows.Entity = append(rows.Entity, ent)
	rows.Start, rows.End = append(rows.Start, d.time[0]), append(rows.End, d.time[1])
	rows.RowTS, rows.Avail = append(rows.RowTS, d.time[2]), append(rows.Avail, d.time[3])
	rows.Flags = append(rows.Flags, d.flags)
	for k := range d.vals {
		store(&rows.Features[k], d.out.Fields[k].Type, &d.vals[k], len(rows.RowTS)-1)
	}
	return nil
}

// field reads the value of one field at the start of b and returns its size.
func (d *RowDecoder) field(num protowire.Number, typ protowire.Type, b []byte) (int, error) {
	var want protowire.Type
	k := int(num) - parity.NumFeature
	switch {
	case num <= parity.NumAvail:
		want = protowire.Fixed64Type
	case num == parity.NumFlags:
		want = protowire.VarintType
	case num >= parity.NumEntity && int(num) < parity.NumEntity+len(d.out.Entity):
		want = protowire.BytesType
	case k >= 0 && k < len(d.vals):
		want = featureType(d.out.Fields[k].Type)
	default:
		n := protowire.ConsumeFieldValue(num, typ, b)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		return n, nil
	}
	if typ != want {
		return 0, errFieldType
	}
	var u uint64
	var p []byte
	var n int
	switch typ {
	case protowire.Fixed64Type:
		u, n = protowire.ConsumeFixed64(b)
	case protowire.VarintType:
		u, n = protowire.ConsumeVarint(b)
	default:
		p, n = protowire.ConsumeBytes(b)
	}
	switch {
	case n < 0:
		return 0, protowire.ParseError(n)
	case p != nil && !utf8.Valid(p):
		return 0, errValue
	case num <= parity.NumAvail:
		d.time[num-parity.NumStart] = int64(u)
	case num == parity.NumFlags:
		if u > math.MaxUint8 {
			return 0, errValue
		}
		d.flags = uint8(u)
	case k < 0:
		d.ent[num-parity.NumEntity] = p
	default:
		return n, d.vals[k].set(&d.out.Fields[k], u, p)
	}
	return n, nil
}

// set takes a feature's value.
func (v *value) set(f *features.Field, u uint64, p []byte) error {
	*v = value{have: true, num: u, text: p}
	ok := true
	switch f.Type {
	case features.FieldF64:
		x := math.Float64frombits(u)
		ok = x == x && u != 1<<63 // no NaN, no -0
	case features.FieldI64:
		v.num = uint64(protowire.DecodeZigZag(u))
	case features.FieldBool:
		ok = u <= 1
	case features.FieldDecimal:
		v.text = nil
		v.hi, v.num, ok = num.ParseDec128(p, f.Scale)
	}
	if !ok {
		return errValue
	}
	return nil
}

// entity is the number of the names that were read.
func (d *RowDecoder) entity() (uint32, error) {
	d.key = d.key[:0]
	for k := range d.out.Entity {
		d.key = append(protowire.AppendVarint(d.key, uint64(len(d.ent[k]))), d.ent[k]...)
	}
	n, ok := d.numOf[string(d.key)]
	if ok {
		return n, nil
	}
	if len(d.names) >= maxNames {
		return 0, errEntities
	}
	names := make([]string, len(d.out.Entity))
	for k := range names {
		names[k] = string(d.ent[k])
	}
	n = uint32(len(d.names))
	d.names, d.numOf[string(d.key)] = append(d.names, names), n
	return n, nil
}

// store appends a value to a column as its row i, zero when it is null.
func store(c *features.OutCol, t features.FieldType, v *value, i int) {
	if !v.have {
		for len(c.Null) <= i>>6 {
			c.Null = append(c.Null, 0)
		}
		c.Null[i>>6] |= 1 << (i & 63)
	}
	switch t {
	case features.FieldF64:
		c.F64 = append(c.F64, math.Float64frombits(v.num))
	case features.FieldI64, features.FieldBool:
		c.I64 = append(c.I64, int64(v.num))
	case features.FieldDecimal:
		c.Hi, c.Lo = append(c.Hi, v.hi), append(c.Lo, v.num)
	default:
		if len(c.Off) == 0 {
			c.Off = append(c.Off, 0)
		}
		c.Bytes = append(c.Bytes, v.text...)
		c.Off = append(c.Off, int32(len(c.Bytes)))
		v.text = nil // keep nothing of the record
	}
}
