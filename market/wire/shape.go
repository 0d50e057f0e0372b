package wire

import (
	"math"

	"github.com/pinova-group/tidemark/market"
)

// shape is what a block needs to know of a kind, close together.
type shape struct {
	of   []market.Field // that it was made of
	cols []shapeCol
}

type shapeCol struct {
	value, scale field
	limit        uint64 // the greatest number that there may be
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
		case market.TypeDec:
			c.limit-- // the least integer is no mantissa
		}
	}
	return s
}
