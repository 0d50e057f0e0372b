package num

import (
	"math/big"
	"math/bits"
)

// FromInt64 is v as a 192-bit integer.
func FromInt64(v int64) Int192 {
	s := uint64(v >> 63)
	return Int192{uint64(v), s, s}
}

// Add64 adds v.
func (x *Int192) Add64(v int64) {
	var c uint64
	s := uint64(v >> 63)
	x[0], c = bits.Add64(x[0], uint64(v), 0)
	x[1], c = bits.Add64(x[1], s, c)
	x[2] += s + c
}

// AddProd adds a × b.
func (x *Int192) AddProd(a, b int64) {
	var c uint64
	hi, lo := mulSigned(a, b)
	x[0], c = bits.Add64(x[0], lo, 0)
	x[1], c = bits.Add64(x[1], hi, c)
	x[2] += uint64(int64(hi)>>63) + c
}

// mulSigned is the 128-bit two's complement product.
func mulSigned(a, b int64) (hi, lo uint64) {
	hi, lo = bits.Mul64(uint64(a), uint64(b))
	hi -= uint64(a>>63)&uint64(b) + uint64(b>>63)&uint64(a)
	return hi, lo
}

// Add adds o.
func (x *Int192) Add(o *Int192) {
	var c uint64
	x[0], c = bits.Add64(x[0], o[0], 0)
	x[1], c = bits.Add64(x[1], o[1], c)
	x[2] += o[2] + c
}

// Sub subtracts o.
func (x *Int192) Sub(o *Int192) {
	var c uint64
	x[0], c = bits.Sub64(x[0], o[0], 0)
	x[1], c = bits.Sub64(x[1], o[1], c)
	x[2] -= o[2] + c
}

// Neg changes the sign.
func (x *Int192) Neg() {
	var c uint64
	x[0], c = bits.Sub64(0, x[0], 0)
	x[1], c = bits.Sub64(0, x[1], c)
	x[2] = -x[2] - c
}

// MulPow10 multiplies by 10^k, 0 ≤ k ≤ MaxPow10, modulo 2^192.
func (x *Int192) MulPow10(k int) {
	if k > 19 {
		x.mul64(Pow10[19])
		k -= 19
	}
	x.mul64(Pow10[k])
}

// mul64 multiplies by p modulo 2^192; for two's complement too, since p is not negative.
func (x *Int192) mul64(p uint64) {
	var c uint64
	h0, l0 := bits.Mul64(x[0], p)
	h1, l1 := bits.Mul64(x[1], p)
	x[0] = l0
	x[1], c = bits.Add64(h0, l1, 0)
	x[2] = x[2]*p + h1 + c
}

// Cmp compares: -1, 0 or 1.
func (x *Int192) Cmp(o *Int192) int {
	switch {
	case x[2] != o[2]:
		return less(int64(x[2]) < int64(o[2]))
	case x[1] != o[1]:
		return less(x[1] < o[1])
	case x[0] != o[0]:
		return less(x[0] < o[0])
	}
	return 0
}

func less(b bool) int {
	if b {
		return -1
	}
	return 1
}

// Sign is -1, 0 or 1.
func (x *Int192) Sign() int {
	if int64(x[2]) < 0 {
		return -1
	}
	if x[0]|x[1]|x[2] == 0 {
		return 0
	}
	return 1
}

// mag is the magnitude as an unsigned number; that of -2^191 is 2^191.
func (x *Int192) mag() Int192 {
	m := *x
	if int64(m[2]) < 0 {
		m.Neg()
	}
	return m
}

// BitLen is the number of bits of the magnitude, 0 for 0.
func (x *Int192) BitLen() int {
	m := x.mag()
	return m.ubits()
}

func (x *Int192) ubits() int {
	switch {
	case x[2] != 0:
		return 128 + bits.Len64(x[2])
	case x[1] != 0:
		return 64 + bits.Len64(x[1])
	}
	return bits.Len64(x[0])
}

// IsInt64 reports whether the value fits an int64, which is then Int64.
func (x *Int192) IsInt64() bool {
	s := uint64(int64(x[0]) >> 63)
	return x[1] == s && x[2] == s
}

// Int64 is the value modulo 2^64.
func (x *Int192) Int64() int64 { return int64(x[0]) }

// Big sets dst to the value and returns it. It allocates only while dst grows.
func (x *Int192) Big(dst *big.Int) *big.Int {
	m := x.mag()
	w := dst.Bits()[:0]
	if bits.UintSize == 64 {
		w = append(w, big.Word(m[0]), big.Word(m[1]), big.Word(m[2]))
	} else {
		for _, v := range m {
			w = append(w, big.Word(uint32(v)), big.Word(uint32(v>>32)))
		}
	}
	dst.SetBits(w)
	if int64(x[2]) < 0 {
		dst.Neg(dst)
	}
	return dst
}

// SetBig sets x to v; false, x unchanged, when v does not fit.
func (x *Int192) SetBig(v *big.Int) bool {
	if v.BitLen() > 191 {
		return false // -2^191 too: its negation would not fit
	}
	var m Int192
	for i, w := range v.Bits() {
		if bits.UintSize == 64 {
			m[i] = uint64(w)
		} else {
			m[i/2] |= uint64(w) << (32 * (i & 1))
		}
	}
	if v.Sign() < 0 {
		m.Neg()
	}
	*x = m
	return true
}
