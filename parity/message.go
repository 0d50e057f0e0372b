package parity

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pinova-group/tidemark/market/num"
)

// Numbers of the fields in the message of a row (docs/design/0005-stream.md). They never change.
const (
	NumStart   = 1 // sfixed64, µs
	NumEnd     = 2
	NumRowTS   = 3
	NumAvail   = 4
	NumFlags   = 5  // uint32
	NumEntity  = 8  // string; entity column k has NumEntity+k
	NumFeature = 16 // feature k has NumFeature+k
	MaxEntity  = NumFeature - NumEntity

	// MaxFeatures: Protobuf keeps the numbers 19000 to 19999 for itself.
	MaxFeatures = 19000 - NumFeature
)

// The message of a row is canonical: fields in the order of their numbers, times and flags
// of zero and entity names of "" left out, features that are null left out. So the engine,
// a record of a topic and a row of a table give the same bytes.

// AppendTime appends one of the four times.
func AppendTime(dst []byte, num int, v int64) []byte {
	if v == 0 {
		return dst
	}
	return binary.LittleEndian.AppendUint64(append(dst, byte(num<<3)|byte(protowire.Fixed64Type)), uint64(v))
}

// AppendFlags appends the flags.
func AppendFlags(dst []byte, flags uint8) []byte {
	if flags == 0 {
		return dst
	}
	return protowire.AppendVarint(append(dst, NumFlags<<3), uint64(flags))
}

// AppendEntity appends the name in entity column k.
func AppendEntity[T string | []byte](dst []byte, k int, name T) []byte {
	if len(name) == 0 {
		return dst
	}
	dst = append(dst, byte(NumEntity+k)<<3|byte(protowire.BytesType), byte(len(name)))
	if len(name) >= 1<<7 { // of more than a byte
		dst = protowire.AppendVarint(dst[:len(dst)-1], uint64(len(name)))
	}
	return append(dst, name...)
}

// AppendFloat appends feature k, bit for bit.
func AppendFloat(dst []byte, k int, v float64) []byte {
	return binary.LittleEndian.AppendUint64(tag(dst, k, protowire.Fixed64Type), math.Float64bits(v))
}

// FloatTag is what AppendFloat puts before the bits of feature k, for who appends many of them; 0 when that is not of two bytes.
func FloatTag(k int) uint16 {
	if t := tag(nil, k, protowire.Fixed64Type); len(t) == 2 {
		return binary.LittleEndian.Uint16(t)
	}
	return 0
}

// AppendInt appends feature k.
func AppendInt(dst []byte, k int, v int64) []byte {
	return protowire.AppendVarint(tag(dst, k, protowire.VarintType), protowire.EncodeZigZag(v))
}

// AppendBool appends feature k, 0 or 1.
func AppendBool(dst []byte, k int, v int64) []byte {
	return protowire.AppendVarint(tag(dst, k, protowire.VarintType), uint64(v))
}

// AppendDecimal appends feature k: (hi·2⁶⁴ + lo)·10^-scale, with all digits of the scale.
func AppendDecimal(dst []byte, k int, hi int64, lo uint64, scale int8) []byte {
	var text [num.MaxText128]byte
	return protowire.AppendBytes(tag(dst, k, protowire.BytesType), num.AppendDec128(text[:0], hi, lo, scale))
}

// AppendText appends feature k.
func AppendText(dst []byte, k int, text []byte) []byte {
	return protowire.AppendBytes(tag(dst, k, protowire.BytesType), text)
}

func tag(dst []byte, k int, t protowire.Type) []byte {
	if v := (NumFeature+k)<<3 | int(t); v < 1<<14 { // of two bytes: NumFeature is not of one
		return append(dst, byte(v)|0x80, byte(v>>7))
	}
	return protowire.AppendTag(dst, protowire.Number(NumFeature+k), t)
}
