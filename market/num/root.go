package num

import (
	"math"
	"math/bits"
)

// Nat128 is the number Hi·2^64 + Lo.
type Nat128 struct{ Hi, Lo uint64 }

// Plus is x + y mod 2^128.
func (x Nat128) Plus(y Nat128) Nat128 {
	lo, c := bits.Add64(x.Lo, y.Lo, 0)
	return Nat128{x.Hi + y.Hi + c, lo}
}

// Minus is x − y mod 2^128.
func (x Nat128) Minus(y Nat128) Nat128 {
	lo, b := bits.Sub64(x.Lo, y.Lo, 0)
	return Nat128{x.Hi - y.Hi - b, lo}
}

// Times is x × m mod 2^128.
func (x Nat128) Times(m uint64) Nat128 {
	hi, lo := bits.Mul64(x.Lo, m)
	return Nat128{hi + x.Hi*m, lo}
}

// Square is v².
func Square(v int64) Nat128 {
	u := mag64(v)
	hi, lo := bits.Mul64(u, u)
	return Nat128{hi, lo}
}

// Int192 is the same number.
func (x Nat128) Int192() Int192 { return Int192{x.Lo, x.Hi, 0} }

// float is near x.
func (x Nat128) float() float64 { return float64(float64(x.Hi)*(1<<64)) + float64(x.Lo) }

// pow25 are powers of 25.
var pow25 = [...]uint64{1, 25, 625, 15625, 390625, 9765625, 244140625, 6103515625, 152587890625, 3814697265625, 95367431640625,
	2384185791015625, 59604644775390625, 1490116119384765625}

// RootQuo64 is √(n/d) × 10^-scale rounded once to the nearest float64, ties to even; d is not 0,
// 0 ≤ scale ≤ MaxScale.
func RootQuo64(n, d Nat128, scale int) float64 {
	if n.Hi|n.Lo == 0 {
		return 0
	}
	if scale < len(pow25) { // 10^scale = √(25^scale) × 2^scale
		if e, ok := d.scaled(pow25[scale]); ok {
			if m, exp, ok := rootQuo(n, e); ok {
				return math.Float64frombits(m&(1<<52-1) | uint64(exp+1075-scale)<<52)
			}
		}
	}
	var x, y Rat
	a, b := n.Int192(), d.Int192()
	x.SetInt192(&a, 2*scale)
	y.SetInt192(&b, 0)
	x.Quo(&x, &y)
	f, _ := x.Sqrt64()
	return f
}

// scaled is x × p, false when that has more than 128 bits.
func (x Nat128) scaled(p uint64) (Nat128, bool) {
	h, l := bits.Mul64(x.Lo, p)
	over, hi := bits.Mul64(x.Hi, p)
	hi, c := bits.Add64(hi, h, 0)
	return Nat128{hi, l}, over|c == 0
}

// rootQuo is √(n/d) as m × 2^e rounded once, m of 53 bits: an estimate whose error is a few
// units of m, moved until (m − ½)²d < n × 2^-2e < (m + ½)²d is proven. n × 2^-2e and m²d are so
// near that their difference is right modulo 2^192. False for what this does not decide: ties,
// and m that is a power of two.
func rootQuo(n, d Nat128) (m uint64, e int, ok bool) {
	b := math.Float64bits(math.Sqrt(n.float() / d.float()))
	m, e = b&(1<<52-1)|1<<52, int(b>>52)-1075
	if e > 0 {
		return 0, 0, false
	}
	left := n.shifted(uint(-2 * e))
	for range 8 {
		if m <= 1<<52 || m >= 1<<53-1 {
			return 0, 0, false
		}
		t, w := left.minus(Square(int64(m)).times(d)), Nat128{0, 4 * m}.times(d)
		t = nat192{t.Hi<<2 | t.Mid>>62, t.Mid<<2 | t.Lo>>62, t.Lo << 2}
		t = t.minus(nat192{0, d.Hi, d.Lo}) // 4(n × 2^-2e − m²d) − d: between −4md and 4md if m is right
		above, below := t.minus(w), t.plus(w)
		switch {
		case above == nat192{} || below == nat192{}:
			return 0, 0, false
		case above.negative() && !below.negative():
			return m, e, true
		case !above.negative():
			m++
		default:
			m--
		}
	}
	return 0, 0, false
}

// nat192 is a number modulo 2^192. It stays in registers, which an array does not.
type nat192 struct{ Hi, Mid, Lo uint64 }

func (x nat192) negative() bool { return int64(x.Hi) < 0 }

func (x nat192) plus(y nat192) (z nat192) {
	var c uint64
	z.Lo, c = bits.Add64(x.Lo, y.Lo, 0)
	z.Mid, c = bits.Add64(x.Mid, y.Mid, c)
	z.Hi = x.Hi + y.Hi + c
	return z
}

func (x nat192) minus(y nat192) (z nat192) {
	var b uint64
	z.Lo, b = bits.Sub64(x.Lo, y.Lo, 0)
	z.Mid, b = bits.Sub64(x.Mid, y.Mid, b)
	z.Hi = x.Hi - y.Hi - b
	return z
}

// shifted is x × 2^k mod 2^192.
func (x Nat128) shifted(k uint) nat192 {
	switch {
	case k < 64:
		return nat192{x.Hi >> (64 - k), x.Hi<<k | x.Lo>>(64-k), x.Lo << k}
	case k < 128:
		k -= 64
		return nat192{x.Hi<<k | x.Lo>>(64-k), x.Lo << k, 0}
	}
	return nat192{x.Lo << (k - 128), 0, 0}
}

// times is x × y mod 2^192.
func (x Nat128) times(y Nat128) (z nat192) {
	var h, l, c uint64
	z.Mid, z.Lo = bits.Mul64(x.Lo, y.Lo)
	h, l = bits.Mul64(x.Hi, y.Lo)
	z.Mid, c = bits.Add64(z.Mid, l, 0)
	z.Hi = h + c + x.Hi*y.Hi
	h, l = bits.Mul64(x.Lo, y.Hi)
	z.Mid, c = bits.Add64(z.Mid, l, 0)
	z.Hi += h + c
	return z
}
