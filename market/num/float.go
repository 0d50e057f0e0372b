package num

import (
	"math"
	"math/bits"
)

// roundFloat is (q + r) × 2^e rounded to the nearest float64, ties to even, where q is
// not 0 and r is 0, or in (0, 1) when sticky. false when the result is infinite. q must
// have 55 bits or more when sticky. Subnormals are right and a tiny value becomes 0.
func roundFloat(q uint64, sticky bool, e int) (float64, bool) {
	lz := bits.LeadingZeros64(q)
	q <<= uint(lz)
	exp := e - lz + 63 // of the leading bit
	drop := uint(11)
	if exp < -1022 {
		if exp < -1075 {
			return 0, true
		}
		drop += uint(-1022 - exp)
	}
	if exp > 1023 {
		return 0, false
	}
	mant := q >> drop // 0 when drop is 64
	rest := q << (64 - drop)
	const half = 1 << 63
	if rest > half || rest == half && (sticky || mant&1 == 1) {
		mant++
	}
	b := mant // the leading bit adds one to the exponent field: that of a subnormal is 0
	if exp >= -1022 {
		b += uint64(exp+1022) << 52
	}
	if b >= 0x7ff<<52 {
		return 0, false
	}
	return math.Float64frombits(b), true
}

// wide is an unsigned number of up to 320 bits, least significant word first: a
// magnitude of 192 bits times a power of ten.
type wide [5]uint64

func (x *wide) words() int {
	n := len(x)
	for n > 0 && x[n-1] == 0 {
		n--
	}
	return n
}

// setScaled sets x to the magnitude m times 10^k, k ≤ MaxPow10.
func (x *wide) setScaled(m *Int192, k int) {
	*x = wide{m[0], m[1], m[2]}
	if k > 19 {
		x.mul64(Pow10[19])
		k -= 19
	}
	if k > 0 {
		x.mul64(Pow10[k])
	}
}

func (x *wide) mul64(p uint64) {
	var carry, c uint64
	for i, v := range x {
		hi, lo := bits.Mul64(v, p)
		x[i], c = bits.Add64(lo, carry, 0)
		carry = hi + c
	}
}

// exact53: whole numbers less than this far from 0 are floats.
const exact53 = 1 << 53

// QuoFloat64 is (a × 10^-sa) / (b × 10^-sb) rounded once to the nearest float64, ties to
// even; false when b is 0, a scale is not in 0 … MaxPow10, or the result is infinite.
func QuoFloat64(a *Int192, sa int, b *Int192, sb int) (float64, bool) {
	if uint(sa) > MaxPow10 || uint(sb) > MaxPow10 || b[0]|b[1]|b[2] == 0 {
		return 0, false
	}
	if a[0]|a[1]|a[2] == 0 {
		return 0, true
	}
	if a.IsInt64() && b.IsInt64() {
		if f, ok := quoExact(int64(a[0]), int64(b[0]), sa-sb); ok {
			return f, true
		}
	}
	n, d := a.mag(), b.mag()
	k := max(sa, sb) - min(sa, sb)
	var f float64
	var ok bool
	if x, y := &n, &d; fitsScaled(x, sb-sa, 190) && fitsScaled(y, sa-sb, 128) {
		if sa < sb {
			x.MulPow10(k)
		} else if sa > sb {
			y.MulPow10(k)
		}
		f, ok = quo192(x, y[1], y[0])
	} else {
		f, ok = quoFar(x, y, sb-sa)
	}
	if int64(a[2]^b[2]) < 0 && f != 0 {
		f = -f
	}
	return f, ok
}

// within53 is how far from 0 a whole number times 10^k surely is a float.
var within53 = makeWithin53()

func makeWithin53() (t [16]int64) {
	for k := range t {
		t[k] = exact53 / int64(Pow10[k])
	}
	return t
}

// quoExact is x / (y × 10^k), neither 0, where dividend and divisor are floats: there is one rounding. Else false.
func quoExact(x, y int64, k int) (float64, bool) {
	switch {
	case k == 0:
	case k > 0 && k < len(within53) && y <= within53[k] && y >= -within53[k]:
		y *= int64(Pow10[k])
	case k < 0 && -k < len(within53) && x <= within53[-k] && x >= -within53[-k]:
		x *= int64(Pow10[-k])
	default:
		return 0, false
	}
	if uint64(x+exact53)|uint64(y+exact53) >= 2*exact53 {
		return 0, false
	}
	return float64(x) / float64(y), true
}

// QuoWords is QuoFloat64 of numbers of one word.
func QuoWords(x, y int64, sx, sy int) (float64, bool) {
	if x != 0 && y != 0 && uint(sx) <= MaxPow10 && uint(sy) <= MaxPow10 {
		if f, ok := quoExact(x, y, sx-sy); ok {
			return f, true
		}
	}
	a, b := FromInt64(x), FromInt64(y)
	return QuoFloat64(&a, sx, &b, sy)
}

// fitsScaled reports whether the magnitude x, times 10^k if k is positive, surely has at
// most n bits.
func fitsScaled(x *Int192, k, n int) bool {
	if k > 0 {
		n -= int(log2Pow10[k]) + 1
	}
	return x.ubits() <= n
}

// quo192 is n/(hi·2^64 + lo) rounded once; n has at most 191 bits, neither is 0. The divisor is
// shifted until it has 128 bits, the dividend until it has 191; the quotient then is
// one digit of 63 or 64 bits (Knuth, The Art of Computer Programming 2, 4.3.1, D).
func quo192(n *Int192, hi, lo uint64) (float64, bool) {
	ds := uint(bits.LeadingZeros64(hi))
	if hi == 0 {
		hi, lo = lo, 0
		ds = 64 + uint(bits.LeadingZeros64(hi))
	}
	hi = hi<<(ds&63) | lo>>1>>(63-ds&63)
	lo <<= ds & 63
	up := uint(191 - n.ubits())
	u2, u1, u0 := n[2], n[1], n[0]
	switch up >> 6 {
	case 1:
		u2, u1, u0 = u1, u0, 0
	case 2:
		u2, u1, u0 = u0, 0, 0
	}
	s := up & 63
	u2 = u2<<s | u1>>1>>(63-s)
	u1 = u1<<s | u0>>1>>(63-s)
	u0 <<= s
	q, r := bits.Div64(u2, u1, hi)
	ph, pl := bits.Mul64(q, lo)
	for ph > r || ph == r && pl > u0 { // at most twice
		var c uint64
		q--
		pl, c = bits.Sub64(pl, lo, 0)
		ph -= c
		if r += hi; r < hi {
			break // r passed 2^64, above any ph; what is left of it differs from ph
		}
	}
	return roundFloat(q, ph != r || pl != u0, int(ds)-int(up))
}

// quoFar is n/d × 10^k for the sizes that quo192 has no room for.
func quoFar(n, d *Int192, k int) (float64, bool) {
	var u, v wide
	u.setScaled(n, max(k, 0))
	v.setScaled(d, max(-k, 0))
	return quoWide(&u, &v)
}

// Float64Of is a × 10^-scale rounded once to the nearest float64, ties to even; false
// when the scale is not in 0 … MaxPow10.
func Float64Of(a *Int192, scale int) (float64, bool) {
	if a.IsInt64() && uint(scale) < uint(len(floatPow10)) {
		// Both operands exact: the division rounds once.
		if v := a.Int64(); v < 1<<53 && v > -1<<53 {
			return float64(v) / floatPow10[scale], true
		}
	}
	if uint(scale) > MaxPow10 {
		return 0, false
	}
	m := a.mag()
	if m[0]|m[1]|m[2] == 0 {
		return 0, true
	}
	var f float64
	var ok bool
	if int64(m[2]) >= 0 {
		hi, lo := pow10Words(scale)
		f, ok = quo192(&m, hi, lo)
	} else {
		f, ok = quoFar(&m, &Int192{1}, -scale)
	}
	if int64(a[2]) < 0 {
		f = -f
	}
	return f, ok
}

// WordFloat64 is Float64Of a number of one word.
func WordFloat64(m int64, scale int) (float64, bool) {
	if uint64(m+exact53) < 2*exact53 && uint(scale) < uint(len(floatPow10)) {
		return float64(m) / floatPow10[scale], true // both exact: one rounding
	}
	return longFloat64(m, scale)
}

func longFloat64(m int64, scale int) (float64, bool) {
	a := FromInt64(m)
	return Float64Of(&a, scale)
}

// Float64 is d rounded once to the nearest float64, ties to even.
func (d Dec) Float64() float64 {
	if d.M < 1<<53 && d.M > -1<<53 {
		return float64(d.M) / floatPow10[d.S]
	}
	u := mag64(d.M)
	p := Pow10[d.S]
	// A quotient of 63 or 64 bits: u has 54 bits or more, p at most 60.
	ls, lp := uint(bits.LeadingZeros64(u)), uint(bits.LeadingZeros64(p))
	u, p = u<<ls, p<<lp
	q, r := bits.Div64(u>>1, u<<63, p)
	f, _ := roundFloat(q, r != 0, int(lp)-int(ls)-63)
	if d.M < 0 {
		return -f
	}
	return f
}

// quoWide is n/d rounded once, neither 0: the long division of quo192 for any length. d is
// shifted until its top bit is set, n until it is one word longer.
func quoWide(n, d *wide) (float64, bool) {
	nw, dw := n.words(), d.words()
	ds := uint(bits.LeadingZeros64(d[dw-1]))
	nbits := 64*nw - bits.LeadingZeros64(n[nw-1])
	v := shifted(d, int(ds))
	up := 64*dw + 63 - nbits // shift of n: its length becomes 64·dw + 63
	u, lost := shiftedSticky(n, up)
	e := int(ds) - up
	top := v[dw-1]
	q, _ := bits.Div64(u[dw], u[dw-1], top)
	if dw == 1 {
		r := u[0] - q*top
		return roundFloat(q, lost || r != 0, e)
	}
	// q may be up to two too large; subtract and give back.
	var borrow, carry, c uint64
	for i := range dw {
		hi, lo := bits.Mul64(q, v[i])
		lo, c = bits.Add64(lo, carry, 0)
		carry = hi + c
		u[i], borrow = bits.Sub64(u[i], lo, borrow)
	}
	u[dw], borrow = bits.Sub64(u[dw], carry, borrow)
	for borrow != 0 {
		q--
		c = 0
		for i := range dw {
			u[i], c = bits.Add64(u[i], v[i], c)
		}
		u[dw], c = bits.Add64(u[dw], 0, c)
		borrow -= c
	}
	var rem uint64
	for i := range dw {
		rem |= u[i]
	}
	return roundFloat(q, lost || rem != 0, e)
}

// shifted is x << s, 0 ≤ s < 64, none of it lost.
func shifted(x *wide, s int) (y wide) {
	var low uint64
	for i, v := range x {
		y[i] = v<<uint(s) | low
		low = v >> 1 >> uint(63-s)
	}
	return y
}

// shiftedSticky is x shifted up by s bits, or down when s is negative, and whether bits
// fell out.
func shiftedSticky(x *wide, s int) (y [6]uint64, lost bool) {
	if s >= 0 {
		w, k := s>>6, uint(s&63)
		var low uint64
		for i, v := range x {
			if i+w < len(y) {
				y[i+w] = v<<k | low
			}
			low = v >> 1 >> (63 - k)
		}
		if w == 0 {
			y[5] = low
		}
		return y, false
	}
	w, k := -s>>6, uint(-s&63)
	for i, v := range x {
		switch {
		case i < w:
			lost = lost || v != 0
			continue
		case i == w:
			lost = lost || v&(1<<k-1) != 0
		default:
			y[i-w-1] |= v << 1 << (63 - k)
		}
		y[i-w] = v >> k
	}
	return y, lost
}
