package num

import (
	"math"
	"math/bits"
)

// Powers of two and e are computed in integers, so that they are the same on every
// processor. The fraction f of an exponent has 64 bits. A table takes its leading 4, the
// rest z/ln 2 < 1/16 goes through ten terms of the series of e^z, which leave out less
// than 2^-73. Truncation adds less than 4 × 2^-63 to a result in [1, 2), so a normal float64
// that is returned is within 0.502 units in its last place of the true value.

// pow2Tab has 2^(i/16) × 2^63.
var pow2Tab = [16]uint64{
	0x8000000000000000, 0x85aac367cc487b15, 0x8b95c1e3ea8bd6e7, 0x91c3d373ab11c336,
	0x9837f0518db8a96f, 0x9ef5326091a111ae, 0xa5fed6a9b15138ea, 0xad583eea42a14ac6,
	0xb504f333f9de6484, 0xbd08a39f580c36bf, 0xc5672a115506dadd, 0xce248c151f8480e4,
	0xd744fccad69d6af4, 0xe0ccdeec2a94e111, 0xeac0c6e7dd24392f, 0xf5257d152486cc2c,
}

// factorials has 2^64/k! from k = 2 on.
var factorials = [...]uint64{
	0x8000000000000000,
	0x2aaaaaaaaaaaaaab,
	0xaaaaaaaaaaaaaab,
	0x222222222222222,
	0x5b05b05b05b05b,
	0xd00d00d00d00d,
	0x1a01a01a01a02,
	0x2e3bc74aad8e,
	0x49f93edde28,
}

const (
	ln2Q64   = 0xb17217f7d1cf79ac // ln 2 × 2^64
	log2eInt = 1                  // log2 e = 1 + its fraction × 2^-128
	log2eHi  = 0x71547652b82fe177
	log2eLo  = 0x7d0ffda0d23a7d12
)

// pow2 is 2^(f·2^-64) × 2^63.
func pow2(f uint64) uint64 {
	z, _ := bits.Mul64(f<<4>>4, ln2Q64)
	h := uint64(0)
	for i := len(factorials) - 1; i >= 0; i-- {
		h, _ = bits.Mul64(z, h)
		h += factorials[i]
	}
	h, _ = bits.Mul64(z, h)
	h, _ = bits.Mul64(z, h)
	t := pow2Tab[f>>60]
	p, _ := bits.Mul64(t, z+h)
	return t + p
}

// scale2 is m × 2^(k-63), rounded to the nearest float64; m is at least 2^63.
func scale2(m uint64, k int) float64 {
	if uint(k+900) > 1800 { // may be less than a normal number, or too great
		return math.Ldexp(float64(m), k-63)
	}
	return float64(float64(m) * math.Float64frombits(uint64(k-63+1023)<<52)) // exact
}

// Halve is 2^(−dt/half), for dt ≥ 0 and half > 0: what is left of 1 after the time dt.
func Halve(dt, half int64) float64 {
	k, r := int64(0), dt
	if dt >= half {
		k, r = dt/half, dt%half
	}
	if k > 1100 {
		return 0
	}
	if r == 0 {
		return math.Ldexp(1, -int(k))
	}
	f, _ := bits.Div64(uint64(r), 0, uint64(half))
	return scale2(pow2(-f), -int(k)-1)
}

// Exp is e^x of a number that is not NaN; +Inf from 709.79 on, 0 below -745.2.
func Exp(x float64) float64 {
	switch {
	case x > 710:
		return math.Inf(1)
	case x < -746:
		return 0
	}
	frac, e := math.Frexp(math.Abs(x))
	m := uint64(frac * (1 << 53))
	shift := 53 + 64 - e // of the product's upper two words, to 64 fraction bits
	if m == 0 || shift >= 64+128 {
		return 1
	}
	// m·log2 e, with 128 fraction bits; the lowest word is below what counts.
	carry, _ := bits.Mul64(m, log2eLo)
	hi, lo := bits.Mul64(m, log2eHi)
	lo, c := bits.Add64(lo, carry, 0)
	hi += m*log2eInt + c
	if shift -= 64; shift >= 64 {
		hi, lo, shift = 0, hi, shift-64
	}
	k, f := int(hi>>uint(shift)), lo>>uint(shift)|hi<<(64-uint(shift))
	if x < 0 {
		if k = -k; f > 0 {
			k--
			f = -f
		}
	}
	return scale2(pow2(f), k)
}
