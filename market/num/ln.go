package num

import (
	"math"
	"math/big"
	"math/bits"
)

// QBits is the number of fraction bits of a fixed-point logarithm: an int64 holds ±8.
const QBits = 60

// LnRatio is ln(a/b) × 2^QBits rounded to the nearest integer, computed in integers.
// ok is false, q 0, when a or b is not positive or |ln(a/b)| is 8 or more.
//
// The result is correctly rounded: it is within half a unit of 2^-60 of the true value,
// never falls when a/b grows, and LnRatio(b, a) = -LnRatio(a, b). A tie cannot be: the
// logarithm of a rational other than 1 is irrational.
func LnRatio(a, b Dec) (q int64, ok bool) {
	if a.M <= 0 || b.M <= 0 {
		return 0, false
	}
	c := Cmp(a, b)
	if c == 0 {
		return 0, true
	}
	if c < 0 {
		a, b = b, a
	}
	q, sure := lnFast(a, b)
	if !sure {
		q = lnSlow(a, b)
	}
	return lnSigned(q, c < 0)
}

func lnSigned(q int64, neg bool) (int64, bool) {
	if q < 0 {
		return 0, false
	}
	if neg {
		q = -q
	}
	return q, true
}

// Ln is LnRatio(a, 1): a between 0.00034 and 2980.
func Ln(a Dec) (int64, bool) { return LnRatio(a, Dec{M: 1}) }

// QFloat64 is the fixed-point number q × 2^-QBits rounded to the nearest float64.
func QFloat64(q int64) float64 { return float64(q) * 0x1p-60 }

// Ln is LnRatio of numerator and denominator, correctly rounded too.
func (z *Rat) Ln() (q int64, ok bool) {
	n, d := &z.n, z.den()
	c := n.Cmp(d)
	if n.Sign() <= 0 || c == 0 {
		return 0, c == 0
	}
	if c < 0 {
		n, d = d, n
	}
	k := n.BitLen() - d.BitLen()
	if k > 13 { // above 2^12 > e^8
		return 0, false
	}
	// m = n/(d·2^k) is in (1/2, 2): 129 bits of it, or one more of 2m.
	z.t.Lsh(n, uint(128))
	z.v.Lsh(d, uint(k))
	if n.Cmp(&z.v) < 0 {
		z.t.Lsh(n, 129)
		k--
	}
	z.u.QuoRem(&z.t, &z.v, &z.w)
	var m Int192
	m.SetBig(&z.u) // 2^128 + fraction
	q, sure := lnSum(k, m[1], m[0], 0)
	if !sure {
		q = lnSeries(n, d)
	}
	return lnSigned(q, c < 0)
}

// lnTab has, for a factor c = C × 2^-24, −ln c × 2^128.
type lnTab struct {
	c      uint32
	hi, lo uint64
}

// lnFast is the logarithm of a/b > 1, -1 when that is 8 or more; sure is false when the
// error could decide the rounding.
//
// With a/b = 2^k·m·10^-d and 1 ≤ m < 2, ln(a/b) = k·ln 2 + ln m − d·ln 10. Two factors
// c₁, c₂ from tables bring m to m·c₁·c₂ = 1 + z, 0 ≤ z < 2^-13, and ln(1+z) is six terms
// of its series. Errors: quotient, products and constants below 200 × 2^-128, the seventh
// term below 2^-93, the arithmetic of the series 6 × 2^-90; in all below 2^-87. A result
// that is 2^-84 or nearer to a tie is left to lnSlow, which is once in 2^23.
func lnFast(a, b Dec) (q int64, sure bool) {
	la, lb := bits.LeadingZeros64(uint64(a.M)), bits.LeadingZeros64(uint64(b.M))
	ma, mb := uint64(a.M)<<uint(la), uint64(b.M)<<uint(lb)
	k := lb - la
	// m − 1 as a fraction of 128 bits, and the numerator of the first digit: ma − mb, or
	// 2·ma − mb when ma < mb.
	num := ma - mb
	if ma < mb {
		num = ma<<1 - mb // below mb, and right modulo 2^64
		k--
	}
	hi, r := bits.Div64(num, 0, mb)
	lo, _ := bits.Div64(r, 0, mb)
	return lnSum(k, hi, lo, int64(b.S)-int64(a.S))
}

// lnSum is k·ln 2 + ln m + e·ln 10 as lnFast gives it, m − 1 being a fraction of 128 bits.
// The sum is 0 or more than its error: no ratio of decimals is nearer to 1 than 2^-63, and
// ratios of longer numbers come with e = 0.
func lnSum(k int, hi, lo uint64, e int64) (q int64, sure bool) {
	t := &lnTab1[hi>>57]
	hi, lo = lnReduce(hi, lo, t.c)
	u := &lnTab2[hi>>50]
	hi, lo = lnReduce(hi, lo, u.c)

	// Sum of constants and the logarithms of the factors, with 128 fraction bits.
	var s Int192
	s.addMul(&ln2, int64(k))
	s.addMul(&ln10, e)
	var c uint64
	s[0], c = bits.Add64(s[0], t.lo, 0)
	s[1], c = bits.Add64(s[1], t.hi, c)
	s[2] += c
	s[0], c = bits.Add64(s[0], u.lo, 0)
	s[1], c = bits.Add64(s[1], u.hi, c)
	s[2] += c

	// z − z²/2 + z³/3 − …: y = z × 2^13 with 64 bits, p = y²·(1/2 − y·2^-13·(1/3 − …)).
	y := hi<<13 | lo>>51
	p := recip(6)
	p = recip(5) - mulHi(y, p)>>13
	p = recip(4) - mulHi(y, p)>>13
	p = recip(3) - mulHi(y, p)>>13
	p = recip(2) - mulHi(y, p)>>13
	p = mulHi(mulHi(y, y), p)
	// z − p·2^-26
	lo, c = bits.Sub64(lo, p<<38, 0)
	hi, _ = bits.Sub64(hi, p>>26, c)
	s[0], c = bits.Add64(s[0], lo, 0)
	s[1], c = bits.Add64(s[1], hi, c)
	s[2] += c

	if s[2] >= 8 {
		return -1, true
	}
	// Round to 60 fraction bits; d is the distance from a tie in units of 2^-124.
	low := s[1] & 0xf
	q = int64(s[2]<<60 | s[1]>>4)
	if low >= 8 {
		q++
	}
	d := (low<<60 | s[0]>>4) ^ 1<<63
	if int64(d) < 0 {
		d = ^d
	}
	return max(q, -1), d > 1<<40 // q wraps when rounded up to 8
}

// recip is 2^64/n: the coefficient 1/n as a fraction.
func recip(n uint64) uint64 { return math.MaxUint64 / n }

func mulHi(a, b uint64) uint64 {
	hi, _ := bits.Mul64(a, b)
	return hi
}

// lnReduce multiplies 1 + z, z a fraction of 128 bits, by c × 2^-24 and returns the new
// fraction; the product is in [1, 2).
func lnReduce(hi, lo uint64, c uint32) (uint64, uint64) {
	h0, l0 := bits.Mul64(lo, uint64(c))
	h1, l1 := bits.Mul64(hi, uint64(c))
	mid, k := bits.Add64(l1, h0, 0)
	top := uint64(c) + h1 + k // 1·c + carries: 2^24 + fraction of 24 bits
	return top<<40 | mid>>24, mid<<40 | l0>>24
}

// addMul adds k × v, v a positive number.
func (x *Int192) addMul(v *Int192, k int64) {
	t := *v
	t.mul64(mag64(k))
	if k < 0 {
		x.Sub(&t)
	} else {
		x.Add(&t)
	}
}

// lnSlow is lnFast for any input.
func lnSlow(a, b Dec) int64 {
	n := new(big.Int).Mul(big.NewInt(a.M), &bigPow10[b.S])
	d := new(big.Int).Mul(big.NewInt(b.M), &bigPow10[a.S])
	return lnSeries(n, d)
}

// lnSeries is ln(n/d) × 2^QBits, n > d, rounded to the nearest integer, with as many bits
// as it takes; -1 when 8 or more.
func lnSeries(n, d *big.Int) int64 {
	for prec := uint(256); ; prec *= 2 {
		v := bigLn(n, d, prec)
		// Not sure when all that stands between v + ½ and an integer may be error.
		half := new(big.Int).Lsh(big.NewInt(1), prec-QBits-1)
		v.Add(v, half)
		rest := new(big.Int).And(v, new(big.Int).Sub(new(big.Int).Lsh(half, 1), big.NewInt(1)))
		up := new(big.Int).Sub(new(big.Int).Lsh(half, 1), rest)
		if rest.BitLen() <= 24 || up.BitLen() <= 24 {
			continue
		}
		v.Rsh(v, prec-QBits)
		if !v.IsInt64() {
			return -1
		}
		return v.Int64()
	}
}

// bigLn is ln(n/d) × 2^prec, n > d, with an error below 2^20 units while k and the
// number of terms are below 2^8 and 2^10: ln x = k·ln 2 + 2·atanh((m − 1)/(m + 1)), x = 2^k·m.
func bigLn(n, d *big.Int, prec uint) *big.Int {
	k := n.BitLen() - d.BitLen()
	d = new(big.Int).Lsh(d, uint(k))
	if n.Cmp(d) < 0 {
		d.Rsh(d, 1)
		k--
	}
	s := bigAtanh(new(big.Int).Sub(n, d), new(big.Int).Add(n, d), prec)
	ln2 := bigAtanh(big.NewInt(1), big.NewInt(3), prec)
	s.Add(s, ln2.Mul(ln2, big.NewInt(int64(k))))
	return s.Lsh(s, 1)
}

// bigAtanh is atanh(n/d) × 2^prec, 0 ≤ n/d ≤ 1/3: Σ (n/d)^(2i+1)/(2i+1).
func bigAtanh(n, d *big.Int, prec uint) *big.Int {
	x := new(big.Int).Lsh(n, prec)
	x.Quo(x, d)
	sq := new(big.Int).Mul(x, x)
	sq.Rsh(sq, prec)
	sum, term := new(big.Int), new(big.Int)
	for i := int64(1); x.Sign() != 0; i += 2 {
		sum.Add(sum, term.Quo(x, big.NewInt(i)))
		x.Mul(x, sq)
		x.Rsh(x, prec)
	}
	return sum
}
