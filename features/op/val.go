package op

import (
	"math"

	"github.com/pinova-group/tidemark/market/num"
)

// Kind is what a value is to the machine. Types of the language that behave alike share
// a kind: integers, decimals, times, durations and enum codes are exact, W × 10^-S.
type Kind uint8

// The kinds.
const (
	KNull  Kind = iota // the constant null, of any type
	KBool              // I: 0 or 1
	KExact             // W × 10^-S
	KQ60               // W × 10^-S × 2^-60: logarithms, times decimals
	KQ120              // W × 10^-S × 2^-120: products of two logarithms, times decimals
	KRatio             // R, or as long as lazy the quotient of W × 10^-S and den × 10^-denS
	KFloat             // F
	KText              // T
	KPair              // two values, each maybe null: the arguments of an accumulator
)

// Fixed reports whether values of a kind are an integer at a fixed point, W.
func (k Kind) Fixed() bool { return k == KExact || k == KQ60 || k == KQ120 }

// QBits is the number of binary digits after the point of a fixed kind.
func (k Kind) QBits() uint {
	switch k {
	case KQ60:
		return num.QBits
	case KQ120:
		return 2 * num.QBits
	}
	return 0
}

// Val is one value; which fields count follows from its kind, known when the program is
// built. Ovf tells a null that is there because something did not fit.
type Val struct {
	Null, Ovf bool
	S         int8
	I         int64
	F         float64
	W         num.Int192
	T         []byte
	R         num.Rat

	pair *[2]*Val // of the machine that made it
	kept []byte   // memory of a text that came out of a cell

	lazy bool
	denS int8
	den  num.Int192
}

// setQuo makes v the ratio of two exact values, b not 0. Most ratios are stored at once,
// so it is worked out only when an operation asks for it.
func (v *Val) setQuo(a, b *Val) {
	v.Null, v.Ovf, v.lazy = false, false, true
	v.den[0], v.den[1], v.den[2], v.denS = b.W[0], b.W[1], b.W[2], b.S
	v.W[0], v.W[1], v.W[2], v.S = a.W[0], a.W[1], a.W[2], a.S // last: v may be b
}

// rat is the ratio, worked out; r is scratch.
func (v *Val) rat(r *num.Rat) *num.Rat {
	if v.lazy {
		v.lazy = false
		v.R.SetInt192(&v.W, int(v.S))
		r.SetInt192(&v.den, int(v.denS))
		v.R.Quo(&v.R, r)
	}
	return &v.R
}

func (v *Val) setNull(ovf bool) { v.Null, v.Ovf = true, ovf }

// SetNull makes v null.
func (v *Val) SetNull() { v.Null, v.Ovf = true, false }

// setWord makes v the exact decimal m × 10^-s, word by word: whoever reads single words next does not wait for a wider
// store.
func (v *Val) setWord(m int64, s int8) {
	high := uint64(m >> 63)
	v.Null, v.Ovf, v.S = false, false, s
	v.W[0], v.W[1], v.W[2] = uint64(m), high, high
}

// SetInt makes v the exact integer i.
func (v *Val) SetInt(i int64) {
	v.Null, v.Ovf = false, false
	v.setWord(i, 0)
}

// SetDec makes v the exact decimal m × 10^-s.
func (v *Val) SetDec(m int64, s int8) {
	v.Null, v.Ovf = false, false
	v.setWord(m, s)
}

// SetBool makes v a truth value.
func (v *Val) SetBool(b bool) {
	v.Null, v.Ovf, v.I = false, false, 0
	if b {
		v.I = 1
	}
}

// SetText makes v a text, kept by reference.
func (v *Val) SetText(b []byte) { v.Null, v.Ovf, v.T = false, false, b }

// SetFloat makes v the float f, which is a number.
func (v *Val) SetFloat(f float64) { v.Null, v.Ovf, v.F = false, false, f }

// SetOverflow makes v a null that is there because something did not fit.
func (v *Val) SetOverflow() { v.setNull(true) }

// setFloat makes v the float f: not a number becomes null, an infinity an overflow, -0 0.
func (v *Val) setFloat(f float64) {
	switch {
	case math.IsNaN(f):
		v.setNull(false)
	case math.IsInf(f, 0):
		v.setNull(true)
	default:
		v.Null, v.Ovf, v.F = false, false, f+0
		if f == 0 {
			v.F = 0
		}
	}
}

// Copy makes v equal to o, sharing no memory but text.
func (v *Val) Copy(o *Val, k Kind) {
	v.Null, v.Ovf = o.Null, o.Ovf
	if o.Null {
		return
	}
	switch k {
	case KBool:
		v.I = o.I
	case KExact, KQ60, KQ120:
		v.W[0], v.W[1], v.W[2], v.S = o.W[0], o.W[1], o.W[2], o.S
	case KRatio:
		if v.lazy = o.lazy; v.lazy {
			v.W[0], v.W[1], v.W[2], v.S = o.W[0], o.W[1], o.W[2], o.S
			v.den[0], v.den[1], v.den[2], v.denS = o.den[0], o.den[1], o.den[2], o.denS
		} else {
			v.R.Set(&o.R)
		}
	case KFloat:
		v.F = o.F
	case KText:
		v.T = o.T
	case KPair:
		v.pair = o.pair
	}
}

// Float64 is the value rounded once to the nearest float64; ok is false when it is null
// or does not fit. Texts and truth values have none.
func (v *Val) Float64(k Kind) (f float64, ok bool) {
	if v.Null {
		return 0, false
	}
	switch k {
	case KExact:
		return num.Float64Of(&v.W, int(v.S))
	case KQ60, KQ120:
		f, ok = num.Float64Of(&v.W, int(v.S))
		if k == KQ120 {
			return f * 0x1p-120, ok // far from the least float: exact
		}
		return f * 0x1p-60, ok
	case KRatio:
		if v.lazy {
			return num.QuoFloat64(&v.W, int(v.S), &v.den, int(v.denS))
		}
		return v.R.Float64()
	case KFloat:
		return v.F, true
	}
	return 0, false
}

// toRat sets r to the value of v, which is exact, a logarithm or a float, not null.
func (v *Val) toRat(r *num.Rat, k Kind) {
	switch k {
	case KExact:
		r.SetInt192(&v.W, int(v.S))
	case KQ60, KQ120:
		r.SetFixed(&v.W, int(v.S), k.QBits())
	case KRatio:
		r.Set(v.rat(r))
	}
}

// toExact sets v to the ratio r, which was rounded to at most 18 digits after the point.
func (v *Val) toExact(r *num.Rat) {
	n, d, ok := r.Round(r, num.MaxScale).Words()
	v.Null, v.Ovf, v.W, v.S = false, false, n, num.MaxScale
	if !ok || d != pow18 {
		v.setNull(true)
	}
}

var pow18 = num.FromInt64(1e18)

// ratOfFloat sets r to f exactly, rounded below 2^-90; false when f is 2^150 or more.
func ratOfFloat(r *num.Rat, f float64) bool {
	frac, exp := math.Frexp(f)
	m := int64(frac * (1 << 53))
	exp -= 53
	for exp < -90 && m != 0 {
		m /= 2
		exp++
	}
	w := num.FromInt64(m)
	if exp <= 0 {
		r.SetBinary(&w, uint(-exp))
		return true
	}
	if exp > 100 {
		return false
	}
	for ; exp > 0; exp-- {
		w.Add(&w)
	}
	r.SetBinary(&w, 0)
	return true
}

// Int64 is an exact value that is whole and fits.
func (v *Val) Int64() (int64, bool) {
	w := v.W
	if _, ok := trim(&w, int(v.S), 0); !ok || !w.IsInt64() {
		return 0, false
	}
	return w.Int64(), true
}

// Decimal is the value, not null, rounded half to even to decimal(38, scale): 128 bits.
func (v *Val) Decimal(k Kind, scale int8, sc *Scratch) (hi int64, lo uint64, ok bool) {
	r := &sc.r
	if k == KFloat {
		if !ratOfFloat(r, v.F) {
			return 0, 0, false
		}
	} else {
		v.toRat(r, k)
	}
	w, ok := r.Dec38(int(scale))
	return int64(w[1]), w[0], ok
}
