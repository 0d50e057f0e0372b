// Package file is one table file: columns in, sorted Parquet out, and back. It knows
// nothing of tables, catalogs and storage; arrow-go's Parquet stays inside, except for
// the footer that registers a file.
package file

import (
	"fmt"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// Type is the type of a table's column.
type Type uint8

// The types, each with its Parquet form (Iceberg specification, appendix A).
const (
	Int         Type = iota + 1 // int32: INT32
	Long                        // int64: INT64
	Double                      // float64, never NaN: DOUBLE
	Boolean                     // BOOLEAN
	String                      // UTF-8: BYTE_ARRAY, STRING
	Binary                      // BYTE_ARRAY
	Timestamptz                 // microseconds UTC: INT64, TIMESTAMP(UTC, MICROS)
	Decimal                     // decimal(38,s): FIXED_LEN_BYTE_ARRAY(16), big endian, DECIMAL(38,s)
	LongList                    // list of int64, none of them null: three levels, INT64
)

var typeNames = [...]string{"", "int", "long", "double", "boolean", "string", "binary", "timestamptz", "decimal", "list<long>"}

func (t Type) String() string {
	if int(t) < len(typeNames) && t != 0 {
		return typeNames[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// Precision of every decimal.
const Precision = 38

// Column is one column of a table.
type Column struct {
	ID       int    // permanent field id, 1 …
	Name     string // as readers see it
	Type     Type
	Nullable bool
	Scale    int8   // of a decimal: digits after the point, 0..38
	Element  int    // of a list: field id of its elements
	Unit     string // "quote", "base", "" …
	Doc      string
	Encoding Encoding
}

// Encoding says how the values of a column are packed.
type Encoding uint8

// The encodings. EncodingAuto takes the one that DefaultEncoding names.
const (
	EncodingAuto       Encoding = iota
	EncodingPlain               // as they are
	EncodingDelta               // DELTA_BINARY_PACKED: int, long, timestamptz, list<long>
	EncodingSplit               // BYTE_STREAM_SPLIT: int, long, timestamptz, double, decimal
	EncodingDictionary          // a dictionary for each row group: all but boolean, decimal and list<long>; of doubles where they come again
	EncodingLengths             // DELTA_LENGTH_BYTE_ARRAY: string, binary
	EncodingPrefix              // DELTA_BYTE_ARRAY, beginnings shared with the value before: string, binary
	EncodingRandom              // EncodingLengths without compression and without bounds: binary that is hashes
)

// encoding is the encoding that is used: the asked one, or the type's.
func (c *Column) encoding() Encoding {
	if c.Encoding != EncodingAuto {
		return c.Encoding
	}
	switch c.Type {
	case Int, Long, Timestamptz, LongList:
		return EncodingDelta
	case String, Double:
		return EncodingDictionary
	default:
		return EncodingPlain
	}
}

// Coded reports whether values of a column come as codes of a dictionary.
func (c *Column) Coded() bool { return c.form() == formCodes }

func (e Encoding) allowed(t Type) bool {
	switch e {
	case EncodingDelta:
		return t == Int || t == Long || t == Timestamptz || t == LongList
	case EncodingSplit:
		return t == Int || t == Long || t == Timestamptz || t == LongList || t == Double || t == Decimal
	case EncodingDictionary:
		return t != Boolean && t != Decimal && t != LongList
	case EncodingLengths, EncodingPrefix:
		return t == String || t == Binary
	case EncodingRandom:
		return t == Binary
	}
	return true
}

// check refuses lists of columns that cannot be a table.
func check(cols []Column) error {
	ids, names := map[int]bool{}, map[string]bool{}
	for i := range cols {
		c := &cols[i]
		switch {
		case c.Name == "" || names[c.Name]:
			return fmt.Errorf("column %d: name %q is empty or taken", i, c.Name)
		case c.ID <= 0 || ids[c.ID]:
			return fmt.Errorf("column %s: id %d is not positive or taken", c.Name, c.ID)
		case c.Type == 0 || int(c.Type) >= len(typeNames):
			return fmt.Errorf("column %s: unknown type %d", c.Name, c.Type)
		case !c.Encoding.allowed(c.Type):
			return fmt.Errorf("column %s: encoding %d does not fit type %s", c.Name, c.Encoding, c.Type)
		case c.Type == Decimal && (c.Scale < 0 || c.Scale > Precision):
			return fmt.Errorf("column %s: scale %d is outside 0..%d", c.Name, c.Scale, Precision)
		}
		if c.Type == LongList {
			if c.Element <= 0 || ids[c.Element] || c.Element == c.ID {
				return fmt.Errorf("column %s: element id %d is not positive or taken", c.Name, c.Element)
			}
			ids[c.Element] = true
		}
		ids[c.ID], names[c.Name] = true, true
	}
	return nil
}

// parquetSchema is the Parquet schema of a table. It has one leaf for each column, in order.
func parquetSchema(cols []Column) (*schema.GroupNode, error) {
	fields := make(schema.FieldList, len(cols))
	for i := range cols {
		n, err := cols[i].node()
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", cols[i].Name, err)
		}
		fields[i] = n
	}
	return schema.NewGroupNode("table", parquet.Repetitions.Required, fields, -1)
}

func (c *Column) node() (schema.Node, error) {
	rep := parquet.Repetitions.Required
	if c.Nullable {
		rep = parquet.Repetitions.Optional
	}
	id := int32(c.ID)
	none := schema.NoLogicalType{}
	switch c.Type {
	case Int:
		return schema.NewPrimitiveNodeLogical(c.Name, rep, none, parquet.Types.Int32, 0, id)
	case Long:
		return schema.NewPrimitiveNodeLogical(c.Name, rep, none, parquet.Types.Int64, 0, id)
	case Double:
		return schema.NewPrimitiveNodeLogical(c.Name, rep, none, parquet.Types.Double, 0, id)
	case Boolean:
		return schema.NewPrimitiveNodeLogical(c.Name, rep, none, parquet.Types.Boolean, 0, id)
	case String:
		return schema.NewPrimitiveNodeLogical(c.Name, rep, schema.StringLogicalType{}, parquet.Types.ByteArray, 0, id)
	case Binary:
		return schema.NewPrimitiveNodeLogical(c.Name, rep, none, parquet.Types.ByteArray, 0, id)
	case Timestamptz:
		return schema.NewPrimitiveNodeLogical(c.Name, rep, schema.NewTimestampLogicalType(true, schema.TimeUnitMicros), parquet.Types.Int64, 0, id)
	case Decimal:
		return schema.NewPrimitiveNodeLogical(c.Name, rep, schema.NewDecimalLogicalType(Precision, int32(c.Scale)), parquet.Types.FixedLenByteArray, 16, id)
	case LongList:
		el, err := schema.NewPrimitiveNodeLogical("element", parquet.Repetitions.Required, none, parquet.Types.Int64, 0, int32(c.Element))
		if err != nil {
			return nil, err
		}
		list, err := schema.NewGroupNode("list", parquet.Repetitions.Repeated, schema.FieldList{el}, -1)
		if err != nil {
			return nil, err
		}
		return schema.NewGroupNodeLogical(c.Name, rep, schema.FieldList{list}, schema.NewListLogicalType(), id)
	}
	return nil, fmt.Errorf("unknown type %d", c.Type)
}

// leaf is the path of the column's values.
func (c *Column) leaf() string {
	if c.Type == LongList {
		return c.Name + ".list.element"
	}
	return c.Name
}
