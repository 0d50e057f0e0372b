package num

import (
	"math"
	"math/bits"
	"strconv"
)

// Append prints d with exactly S digits after the point, the form ParseDec read.
func (d Dec) Append(dst []byte) []byte {
	if d.S <= 0 {
		return strconv.AppendInt(dst, d.M, 10)
	}
	u := uint64(d.M)
	if d.M < 0 {
		u = -u
		dst = append(dst, '-')
	}
	p := Pow10[d.S]
	dst = strconv.AppendUint(dst, u/p, 10)
	dst = append(dst, '.')
	frac := u % p
	for s := int(d.S) - 1; s > 0 && frac < Pow10[s]; s-- {
		dst = append(dst, '0')
	}
	return strconv.AppendUint(dst, frac, 10)
}

// String prints d with exactly S digits after the point.
func (d Dec) String() string {
	var buf [24]byte
	return string(d.Append(buf[:0]))
}

// Rescale gives d with s digits after the point; false when that would round or not fit.
func (d Dec) Rescale(s int8) (Dec, bool) {
	switch {
	case s == d.S:
		return d, true
	case s < 0 || s > MaxScale:
		return Dec{}, false
	case s < d.S:
		p := int64(Pow10[d.S-s])
		return Dec{M: d.M / p, S: s}, d.M%p == 0
	}
	hi, lo := bits.Mul64(mag64(d.M), Pow10[s-d.S])
	d, ok := signed(hi, lo, d.M < 0, s)
	return d, ok && d.S == s
}

// Normalize drops the zeros at the end of the fraction: equal numbers become equal values.
func (d Dec) Normalize() Dec {
	for d.S >= 8 && d.M%1e8 == 0 {
		d.M /= 1e8
		d.S -= 8
	}
	for d.S > 0 && d.M%10 == 0 {
		d.M /= 10
		d.S--
	}
	return d
}

// Sign is -1, 0 or 1.
func (d Dec) Sign() int {
	switch {
	case d.M < 0:
		return -1
	case d.M > 0:
		return 1
	}
	return 0
}

// Neg is -d. d.M must not be the least int64, which no parsed decimal has.
func (d Dec) Neg() Dec { return Dec{M: -d.M, S: d.S} }

// Cmp compares the numbers, whatever their scales: -1, 0 or 1.
func Cmp(a, b Dec) int {
	if a.S == b.S || a.M < 0 != (b.M < 0) {
		switch {
		case a.M < b.M:
			return -1
		case a.M > b.M:
			return 1
		}
		return 0
	}
	ah, al, bh, bl := aligned(a, b)
	c := 0
	switch {
	case ah != bh:
		c = less(ah < bh)
	case al != bl:
		c = less(al < bl)
	}
	if a.M < 0 {
		return -c
	}
	return c
}

// aligned gives the magnitudes of both at the greater scale, below 2^124.
func aligned(a, b Dec) (ah, al, bh, bl uint64) {
	al, bl = mag64(a.M), mag64(b.M)
	if a.S < b.S {
		ah, al = bits.Mul64(al, Pow10[b.S-a.S])
	} else {
		bh, bl = bits.Mul64(bl, Pow10[a.S-b.S])
	}
	return ah, al, bh, bl
}

// mag64 is |m|, for the least int64 too.
func mag64(m int64) uint64 { return uint64((m ^ m>>63) - m>>63) }

// Add is a + b with the greater scale, with less when only that fits without rounding;
// false when nothing does.
func Add(a, b Dec) (Dec, bool) {
	if a.S == b.S {
		m := a.M + b.M
		if (a.M^m)&(b.M^m) >= 0 && m != math.MinInt64 {
			return Dec{M: m, S: a.S}, true
		}
	}
	ah, al, bh, bl := aligned(a, b)
	s, neg := max(a.S, b.S), a.M < 0
	if neg == (b.M < 0) {
		lo, c := bits.Add64(al, bl, 0)
		return signed(ah+bh+c, lo, neg, s)
	}
	if ah < bh || ah == bh && al < bl {
		ah, al, bh, bl, neg = bh, bl, ah, al, !neg
	}
	lo, c := bits.Sub64(al, bl, 0)
	return signed(ah-bh-c, lo, neg, s)
}

// Sub is a − b, like Add.
func Sub(a, b Dec) (Dec, bool) {
	if b.M == math.MinInt64 {
		return Dec{}, false
	}
	return Add(a, b.Neg())
}

// Mul is a × b with the sum of the scales, with less when only that fits without
// rounding; false when nothing does.
func Mul(a, b Dec) (Dec, bool) {
	hi, lo := bits.Mul64(mag64(a.M), mag64(b.M))
	return signed(hi, lo, a.M < 0 != (b.M < 0), a.S+b.S)
}

// signed makes a decimal of a magnitude of two words, dropping zeros at the end of the
// fraction while it does not fit.
func signed(hi, lo uint64, neg bool, s int8) (Dec, bool) {
	if hi|lo == 0 {
		s = min(s, MaxScale)
	}
	for hi != 0 || lo > math.MaxInt64 || s > MaxScale {
		if s == 0 {
			return Dec{}, false
		}
		qh := hi / 10
		ql, r := bits.Div64(hi%10, lo, 10)
		if r != 0 {
			return Dec{}, false
		}
		hi, lo = qh, ql
		s--
	}
	d := Dec{M: int64(lo), S: s}
	if neg {
		d.M = -d.M
	}
	return d, true
}
