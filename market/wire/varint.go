package wire

import (
	"encoding/binary"
	"math/bits"
)

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// sizeVarint is the length of u as a varint: one byte for each 7 bits.
func sizeVarint(u uint64) int { return (9*bits.Len64(u|1) + 64) / 64 }

func appendVarint(dst []byte, u uint64) []byte {
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

func appendTag(dst []byte, num, typ int) []byte { return appendVarint(dst, uint64(num<<3|typ)) }

func appendUint(dst []byte, num int, u uint64) []byte {
	return appendVarint(appendTag(dst, num, typeVarint), u)
}

func appendFixed64(dst []byte, num int, u uint64) []byte {
	return binary.LittleEndian.AppendUint64(appendTag(dst, num, typeFixed64), u)
}

func appendBytes(dst []byte, num int, b []byte) []byte {
	dst = appendVarint(appendTag(dst, num, typeBytes), uint64(len(b)))
	return append(dst, b...)
}

// reader walks over a message.
type reader struct {
	b []byte
	i int
}

func (r *reader) more() bool { return r.i < len(r.b) }

func (r *reader) varint() (uint64, error) {
	if r.i < len(r.b) && r.b[r.i] < 0x80 {
		r.i++
		return uint64(r.b[r.i-1]), nil
	}
	return r.longVarint()
}

func (r *reader) longVarint() (uint64, error) {
	u, n := binary.Uvarint(r.b[r.i:])
	if n <= 0 {
		return 0, varintError(n)
	}
	r.i += n
	return u, nil
}

// varintError is what binary.Uvarint means by n ≤ 0.
func varintError(n int) error {
	if n == 0 {
		return errCut
	}
	return errVarint
}

// tag reads the number and wire type of the next field.
func (r *reader) tag() (num, typ int, err error) {
	u, err := r.varint()
	if err != nil {
		return 0, 0, err
	}
	if u>>3 == 0 || u>>3 > 1<<29-1 {
		return 0, 0, errTag
	}
	return int(u >> 3), int(u & 7), nil
}

func (r *reader) fixed64() (uint64, error) {
	if len(r.b)-r.i < 8 {
		return 0, errCut
	}
	r.i += 8
	return binary.LittleEndian.Uint64(r.b[r.i-8:]), nil
}

// bytes reads a length and as many bytes, which stay part of the message.
func (r *reader) bytes() ([]byte, error) {
	n, err := r.varint()
	if err != nil {
		return nil, err
	}
	if n > uint64(len(r.b)-r.i) {
		return nil, errCut
	}
	r.i += int(n)
	return r.b[r.i-int(n) : r.i], nil
}

// skip passes over a field that is not known.
func (r *reader) skip(typ int) error {
	n := 0
	switch typ {
	case typeVarint:
		_, err := r.varint()
		return err
	case typeBytes:
		_, err := r.bytes()
		return err
	case typeFixed64:
		n = 8
	case typeFixed32:
		n = 4
	default:
		return errTag
	}
	if len(r.b)-r.i < n {
		return errCut
	}
	r.i += n
	return nil
}

// countVarints is the number of varints in p: of bytes without the high bit.
func countVarints(p []byte) int {
	n, i := 0, 0
	for ; i+8 <= len(p); i += 8 {
		n += bits.OnesCount64(^binary.LittleEndian.Uint64(p[i:]) & stopBits)
	}
	for ; i < len(p); i++ {
		n += int(^p[i] >> 7)
	}
	return n
}

// stopBits are those that the last byte of a varint has not.
const stopBits = 0x8080808080808080

// packed is the varint that w begins with, which has a last byte, and its length. All bytes are looked at
// together: no branch depends on the length.
func packed(w uint64) (u uint64, n int) {
	stop := ^w & stopBits
	w &= stop ^ (stop - 1)
	w &= 0x7f7f7f7f7f7f7f7f
	w = w&0x007f007f007f007f | w&0x7f007f007f007f00>>1
	w = w&0x00003fff00003fff | w&0x3fff00003fff0000>>2
	w = w&0x000000000fffffff | w&0x0fffffff00000000>>4
	return w, bits.TrailingZeros64(stop)>>3 + 1
}

// readPacked fills dst with the zigzag varints of p, which has exactly len(dst) of them.
func readPacked(dst []int64, p []byte) error {
	i := 0
	for k := range dst {
		if i+8 <= len(p) {
			if w := binary.LittleEndian.Uint64(p[i:]); ^w&stopBits != 0 {
				u, n := packed(w)
				dst[k] = unzigzag(u)
				i += n
				continue
			}
		}
		u, n := binary.Uvarint(p[i:])
		if n <= 0 {
			return varintError(n)
		}
		dst[k] = unzigzag(u)
		if dst[k] == -1<<63 {
			return errMantissa
		}
		i += n
	}
	if i != len(p) {
		return errCut
	}
	return nil
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
