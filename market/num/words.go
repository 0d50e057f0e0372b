package num

import "math/bits"

// SumAddInt192 adds the term v × 10^-s, 0 ≤ s ≤ 36, of up to 190 bits: what SumAdd does
// for values of one word.
func SumAddInt192(w []uint64, v *Int192, s int8) {
	w = w[:SumWords]
	t := *v
	if have := align(w, s); have != s {
		t.MulPow10(int(have - s))
	}
	(*Int192)(w).Add(&t)
	w[3] = raise(w[3], s, v.magBits())
}

// magBits is the least b with |x| ≤ 2^b when x is negative, |x| < 2^b else, by the same
// rule as for one word.
func (x *Int192) magBits() int {
	s := uint64(int64(x[2]) >> 63)
	switch {
	case x[2]^s != 0:
		return 128 + bits.Len64(x[2]^s)
	case x[1]^s != 0:
		return 64 + bits.Len64(x[1]^s)
	}
	return magBits192(x[0]^s, s)
}

func magBits192(lo, s uint64) int {
	if lo == 0 && s != 0 {
		return 1 // -1
	}
	return bits.Len64(lo)
}

// Words gives numerator and denominator (positive) of the ratio, not reduced unless they
// would not fit otherwise; ok is false when they do not fit 190 bits even then.
func (z *Rat) Words() (n, d Int192, ok bool) {
	if z.n.BitLen() > 190 || z.den().BitLen() > 190 {
		z.t.Abs(&z.n)
		z.t.GCD(nil, nil, &z.t, z.den())
		z.n.Quo(&z.n, &z.t)
		z.d.Quo(&z.d, &z.t)
		if z.n.BitLen() > 190 || z.d.BitLen() > 190 {
			return n, d, false
		}
	}
	n.SetBig(&z.n)
	d.SetBig(z.den())
	return n, d, true
}

// SumAddTotal adds terms of scale s that were added up elsewhere: none is negative, their
// sum is hi·2^64 + lo, and orHi, orLo are the union of their bits.
func SumAddTotal(w []uint64, hi, lo, orHi, orLo uint64, s int8) {
	w = w[:SumWords]
	if int8(w[3]) != s || orHi|orLo == 0 {
		addRun(w, total{hi: hi, lo: lo, maxHi: orHi, maxLo: orLo}, s)
		return
	}
	var c uint64
	w[0], c = bits.Add64(w[0], lo, 0)
	w[1], c = bits.Add64(w[1], hi, c)
	w[2] += c
	bl := bits.Len64(orLo)
	if orHi != 0 {
		bl = 64 + bits.Len64(orHi)
	}
	if bound := uint64(bias+bl) - uint64(log2Pow10[s]); bound > w[3]>>8 {
		w[3] = bound<<8 | uint64(s)
	}
}

// SumAddSigned adds terms of scale s that were added up elsewhere to v, modulo 2^192;
// orHi, orLo are the union of the bits of x ^ x>>63, and 1 for a negative x.
func SumAddSigned(w []uint64, v *Int192, orHi, orLo uint64, s int8) {
	addRun(w, total{lo: v[0], hi: v[1], ext: v[2], maxHi: orHi, maxLo: orLo}, s)
}
