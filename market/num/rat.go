package num

import (
	"math"
	"math/big"
	"math/bits"
)

// Rat is an exact ratio in which an output value is worked out before its one rounding.
// The zero value is 0. A Rat reuses its memory: once grown, its methods do not allocate,
// but for a rare reduction by the greatest common divisor. Arguments may be the receiver.
// A Rat must not be copied, nor used by two goroutines, even for reading, but for Set of it.
type Rat struct {
	_       noCopy
	n, d    big.Int // value n/d, d > 0 (0 stands for 1 in the zero value); not reduced
	t, u, v big.Int // scratch
	w       big.Int
}

// noCopy lets go vet find copies: two Rats must not share the memory of their integers.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// reduceBits is the length of a denominator from which on the ratio is reduced.
const reduceBits = 2048

func (z *Rat) den() *big.Int {
	if len(z.d.Bits()) == 0 {
		z.d.SetInt64(1)
	}
	return &z.d
}

// Set sets z to x and returns z, as all Set methods do. It only reads x: tasks of one plan load the same constants at once.
func (z *Rat) Set(x *Rat) *Rat {
	if z != x {
		z.n.Set(&x.n)
		if z.d.Set(&x.d); len(z.d.Bits()) == 0 {
			z.d.SetInt64(1)
		}
	}
	return z
}

// SetInt64 sets z to v.
func (z *Rat) SetInt64(v int64) *Rat {
	z.n.SetInt64(v)
	z.d.SetInt64(1)
	return z
}

// SetDec sets z to d.
func (z *Rat) SetDec(d Dec) *Rat {
	z.n.SetInt64(d.M)
	z.d.SetUint64(Pow10[d.S])
	return z
}

// SetInt192 sets z to v × 10^-scale, 0 ≤ scale ≤ MaxPow10.
func (z *Rat) SetInt192(v *Int192, scale int) *Rat {
	v.Big(&z.n)
	z.d.Set(&bigPow10[scale])
	return z
}

// SetBinary sets z to v × 2^-bits: with bits = QBits a sum of logarithms, with twice
// that a sum of their products.
func (z *Rat) SetBinary(v *Int192, bits uint) *Rat {
	v.Big(&z.n)
	z.d.SetInt64(1)
	z.d.Lsh(&z.d, bits)
	return z
}

// SetFixed sets z to v × 10^-scale × 2^-bits: a logarithm, or a product of them, times a
// decimal.
func (z *Rat) SetFixed(v *Int192, scale int, bits uint) *Rat {
	v.Big(&z.n)
	z.d.Lsh(&bigPow10[scale], bits)
	return z
}

// SetFrac sets z to n/d, d > 0.
func (z *Rat) SetFrac(n, d *big.Int) *Rat {
	z.n.Set(n)
	z.d.Set(d)
	return z.reduce()
}

// SetQ sets z to the fixed-point number v × 2^-QBits of LnRatio.
func (z *Rat) SetQ(v int64) *Rat {
	z.n.SetInt64(v)
	z.d.SetInt64(1 << QBits)
	return z
}

// Add sets z to x + y.
func (z *Rat) Add(x, y *Rat) *Rat { return z.join(x, y, false) }

// Sub sets z to x − y.
func (z *Rat) Sub(x, y *Rat) *Rat { return z.join(x, y, true) }

func (z *Rat) join(x, y *Rat, sub bool) *Rat {
	xd, yd := x.den(), y.den()
	a, b := &x.n, &y.n
	same := xd.Cmp(yd) == 0
	if !same {
		a, b = z.t.Mul(a, yd), z.u.Mul(b, xd)
		z.v.Mul(xd, yd)
	} else {
		z.v.Set(xd)
	}
	if sub {
		z.n.Sub(a, b)
	} else {
		z.n.Add(a, b)
	}
	z.d, z.v = z.v, z.d
	return z.reduce()
}

// Mul sets z to x × y.
func (z *Rat) Mul(x, y *Rat) *Rat {
	z.t.Mul(&x.n, &y.n)
	z.u.Mul(x.den(), y.den())
	return z.take()
}

// Quo sets z to x / y; false, z unchanged, when y is 0.
func (z *Rat) Quo(x, y *Rat) bool {
	if y.n.Sign() == 0 {
		return false
	}
	z.t.Mul(&x.n, y.den())
	z.u.Mul(x.den(), &y.n)
	if z.u.Sign() < 0 {
		z.t.Neg(&z.t)
		z.u.Neg(&z.u)
	}
	z.take()
	return true
}

// take makes t/u the value.
func (z *Rat) take() *Rat {
	z.n, z.t = z.t, z.n
	z.d, z.u = z.u, z.d
	return z.reduce()
}

func (z *Rat) reduce() *Rat {
	if z.n.Sign() == 0 {
		z.d.SetInt64(1)
	}
	if z.d.BitLen() < reduceBits {
		return z
	}
	z.v.Abs(&z.n)
	g := new(big.Int).GCD(nil, nil, &z.v, &z.d)
	z.n.Quo(&z.n, g)
	z.d.Quo(&z.d, g)
	return z
}

// Neg sets z to −x.
func (z *Rat) Neg(x *Rat) *Rat {
	z.Set(x).n.Neg(&z.n)
	return z
}

// Abs sets z to |x|.
func (z *Rat) Abs(x *Rat) *Rat {
	z.Set(x).n.Abs(&z.n)
	return z
}

// Cmp compares z with x: -1, 0 or 1.
func (z *Rat) Cmp(x *Rat) int {
	if a, b := z.n.Sign(), x.n.Sign(); a != b || z.den().Cmp(x.den()) == 0 {
		return z.n.Cmp(&x.n)
	}
	z.t.Mul(&z.n, x.den())
	z.u.Mul(&x.n, z.den())
	return z.t.Cmp(&z.u)
}

// Sign is -1, 0 or 1.
func (z *Rat) Sign() int { return z.n.Sign() }

// IsInt reports whether the value is an integer.
func (z *Rat) IsInt() bool {
	z.t.QuoRem(&z.n, z.den(), &z.u)
	return z.u.Sign() == 0
}

// Int64 is the value when it is an integer that fits.
func (z *Rat) Int64() (int64, bool) {
	z.t.QuoRem(&z.n, z.den(), &z.u)
	return z.t.Int64(), z.u.Sign() == 0 && z.t.IsInt64()
}

// BigRat sets dst to the value and returns it.
func (z *Rat) BigRat(dst *big.Rat) *big.Rat { return dst.SetFrac(&z.n, z.den()) }

// Floor sets z to the greatest integer not above x.
func (z *Rat) Floor(x *Rat) *Rat {
	z.t.QuoRem(&x.n, x.den(), &z.u)
	if z.u.Sign() < 0 {
		z.t.Sub(&z.t, &bigPow10[0])
	}
	z.n.Set(&z.t)
	z.d.SetInt64(1)
	return z
}

// Round sets z to x rounded to scale digits after the point, ties to even,
// 0 ≤ scale ≤ MaxPow10.
func (z *Rat) Round(x *Rat, scale int) *Rat {
	z.round(x, scale)
	z.n.Set(&z.t)
	z.d.Set(&bigPow10[scale])
	return z
}

// round sets z.t to x × 10^scale rounded, ties to even.
func (z *Rat) round(x *Rat, scale int) {
	z.v.Mul(&x.n, &bigPow10[scale])
	z.t.QuoRem(&z.v, x.den(), &z.u)
	if z.u.Sign() == 0 {
		return
	}
	neg := z.u.Sign() < 0
	z.u.Abs(&z.u)
	z.u.Lsh(&z.u, 1)
	c := z.u.Cmp(x.den())
	if c < 0 || c == 0 && z.t.Bit(0) == 0 {
		return
	}
	if neg {
		z.t.Sub(&z.t, &bigPow10[0])
	} else {
		z.t.Add(&z.t, &bigPow10[0])
	}
}

// Dec38 is the value as decimal(38, scale): the integer v = value × 10^scale rounded,
// ties to even. ok is false when v has more than 38 digits or the scale is not in
// 0 … 38; v is then 0.
func (z *Rat) Dec38(scale int) (v Int192, ok bool) {
	if uint(scale) > 38 {
		return v, false
	}
	z.round(z, scale)
	if z.t.CmpAbs(&bigPow10[38]) >= 0 {
		return v, false
	}
	return v, v.SetBig(&z.t)
}

// Float64 is the value rounded to the nearest float64, ties to even, subnormals
// included; never -0. ok is false, f 0, when the result is infinite.
func (z *Rat) Float64() (f float64, ok bool) {
	if z.n.Sign() == 0 {
		return 0, true
	}
	d := z.den()
	up := 63 - (z.n.BitLen() - d.BitLen())
	q, sticky := z.quotient(up)
	f, ok = roundFloat(q.Uint64(), sticky, -up)
	if z.n.Sign() < 0 && f != 0 {
		f = -f
	}
	return f, ok
}

// quotient sets z.u to floor(|n| × 2^up / d) and reports whether that is inexact.
func (z *Rat) quotient(up int) (*big.Int, bool) {
	z.t.Abs(&z.n)
	d := &z.d
	if up >= 0 {
		z.t.Lsh(&z.t, uint(up))
	} else {
		d = z.v.Lsh(d, uint(-up))
	}
	z.u.QuoRem(&z.t, d, &z.w)
	return &z.u, z.w.Sign() != 0
}

// Sqrt64 is the square root rounded to the nearest float64, ties to even; ok is false
// for a negative value or an infinite result.
func (z *Rat) Sqrt64() (f float64, ok bool) {
	if s := z.n.Sign(); s <= 0 {
		return 0, s == 0
	}
	up := 125 - (z.n.BitLen() - z.den().BitLen())
	up &^= 1 // 2^up must have a whole root
	q, sticky := z.quotient(up)
	var w Int192
	w.SetBig(q) // 124 to 126 bits
	r, exact := sqrt128(w[1], w[0])
	return roundFloat(r, sticky || !exact, -up/2)
}

// sqrt128 is the floor of the square root of hi·2^64 + lo, 2^58 ≤ hi < 2^62, and whether
// it is exact: one step of Newton's from a float64 estimate, then the last unit.
func sqrt128(hi, lo uint64) (r uint64, exact bool) {
	r = uint64(math.Sqrt(float64(hi)) * (1 << 32))
	q, _ := bits.Div64(hi, lo, r)
	r = (r + q) / 2
	for {
		h, l := bits.Mul64(r, r)
		d, b := bits.Sub64(lo, l, 0)
		e, b := bits.Sub64(hi, h, b)
		switch {
		case b != 0:
			r--
		case e > 0 || d > 2*r:
			r++
		default:
			return r, d == 0
		}
	}
}
