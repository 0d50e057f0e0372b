package op

import (
	"cmp"
	"math/big"
	"math/bits"

	"github.com/pinova-group/tidemark/market/num"
)

// maxBits is the largest magnitude, in bits, of an exact value between operations.
const maxBits = 190

// maxScale is the largest scale of an exact value between operations: that of a
// product of two decimals, and what a sum takes.
const maxScale = 36

var one192 = num.FromInt64(1)

// scaleUp multiplies w by 10^k; false when the result would not fit.
func scaleUp(w *num.Int192, k int) bool {
	if k == 0 || w.Sign() == 0 {
		return true
	}
	if k <= num.MaxScale && w.IsInt64() {
		v := w.Int64()
		*w = num.Int192{}
		w.AddProd(v, int64(num.Pow10[k]))
		return true
	}
	if k > num.MaxPow10 || w.BitLen()+k*10/3+1 > maxBits {
		// The quick bound counts 10/3 bits a digit, log2(10) being 3.3219…; look closer.
		t := *w
		for ; k > 0; k-- {
			if t.BitLen() > maxBits-4 {
				return false
			}
			t.MulPow10(1)
		}
		*w = t
		return true
	}
	w.MulPow10(k)
	return true
}

// align brings two exact values to their greater scale.
func align(a, b *num.Int192, sa, sb int8) (int8, bool) {
	switch {
	case sa < sb:
		return sb, scaleUp(a, int(sb-sa))
	case sb < sa:
		return sa, scaleUp(b, int(sa-sb))
	}
	return sa, true
}

// fits reports whether w has at most maxBits bits.
func fits(w *num.Int192) bool {
	return w[2] == uint64(int64(w[1])>>63) || w.BitLen() <= maxBits
}

// cmpExact compares a·10^-sa with b·10^-sb: -1, 0 or 1.
func cmpExact(a, b *num.Int192, sa, sb int8) int {
	if sa == sb {
		if a.IsInt64() && b.IsInt64() {
			return cmp.Compare(a.Int64(), b.Int64())
		}
		return a.Cmp(b)
	}
	x, y := *a, *b
	if _, ok := align(&x, &y, sa, sb); ok {
		return x.Cmp(&y)
	}
	// The one that had to grow past 190 bits is the greater magnitude.
	if sa < sb {
		return a.Sign()
	}
	return -b.Sign()
}

// mul192 multiplies; false when the product would not fit.
func mul192(a, b *num.Int192) (num.Int192, bool) {
	var r num.Int192
	if a.IsInt64() && b.IsInt64() {
		r.AddProd(a.Int64(), b.Int64())
		return r, true
	}
	x, y := *a, *b
	neg := false
	if x.Sign() < 0 {
		x.Neg()
		neg = true
	}
	if y.Sign() < 0 {
		y.Neg()
		neg = !neg
	}
	switch bits := x.BitLen() + y.BitLen(); {
	case bits > maxBits+1:
		return num.Int192{}, false
	case x[1]|x[2] == 0:
		r = mulWord(&y, x[0])
	case y[1]|y[2] == 0:
		r = mulWord(&x, y[0])
	default:
		r = mulWide(&x, &y)
	}
	if int64(r[2]) < 0 || r.BitLen() > maxBits {
		return num.Int192{}, false
	}
	if neg {
		r.Neg()
	}
	return r, true
}

// mulWord multiplies by one word.
func mulWord(x *num.Int192, w uint64) num.Int192 {
	h0, l0 := bits.Mul64(x[0], w)
	h1, l1 := bits.Mul64(x[1], w)
	r1, c := bits.Add64(h0, l1, 0)
	return num.Int192{l0, r1, h1 + x[2]*w + c}
}

// mulWide is the product modulo 2^192.
func mulWide(x, y *num.Int192) (r num.Int192) {
	for i := range 3 {
		var carry uint64
		for j := 0; i+j < 3; j++ {
			hi, lo := bits.Mul64(x[i], y[j])
			var c uint64
			lo, c = bits.Add64(lo, carry, 0)
			hi += c
			r[i+j], c = bits.Add64(r[i+j], lo, 0)
			carry = hi + c
		}
	}
	return r
}

// shiftLeft multiplies by 2^n; false when the result would not fit.
func shiftLeft(w *num.Int192, n uint) bool {
	if w.BitLen()+int(n) > maxBits {
		return w.Sign() == 0
	}
	for ; n >= 64; n -= 64 {
		w[0], w[1], w[2] = 0, w[0], w[1]
	}
	if n > 0 {
		w[0], w[1], w[2] = w[0]<<n, w[1]<<n|w[0]>>(64-n), w[2]<<n|w[1]>>(64-n)
	}
	return true
}

// quoSmall divides the magnitude of w by d and returns the remainder of the magnitude.
func quoSmall(w *num.Int192, d uint64) (rem uint64) {
	neg := w.Sign() < 0
	if neg {
		w.Neg()
	}
	for i := 2; i >= 0; i-- {
		w[i], rem = bits.Div64(rem, w[i], d)
	}
	if neg {
		w.Neg()
	}
	return rem
}

// trim takes trailing zeros off until the scale is at most limit; false when the value
// has more digits.
func trim(w *num.Int192, s int, limit int) (int8, bool) {
	if w.Sign() == 0 {
		return int8(min(s, limit)), true
	}
	for s > limit {
		t := *w
		if quoSmall(&t, 10) != 0 {
			return 0, false
		}
		*w = t
		s--
	}
	return int8(s), true
}

// roundTo rounds w·10^-s half to even to a scale of at most digits.
func roundTo(w num.Int192, s int8, digits int8) (num.Int192, int8) {
	if s <= digits {
		return w, s
	}
	k := int(s - digits)
	neg := w.Sign() < 0
	if neg {
		w.Neg()
	}
	sticky := false
	for ; k > 1; k-- {
		sticky = quoSmall(&w, 10) != 0 || sticky
	}
	last := quoSmall(&w, 10)
	if last > 5 || last == 5 && (sticky || w[0]&1 == 1) {
		w.Add(&one192)
	}
	if neg {
		w.Neg()
	}
	return w, digits
}

// floorTo0 is the greatest integer not above w·10^-s.
func floorTo0(w num.Int192, s int8) num.Int192 {
	neg := w.Sign() < 0
	sticky := false
	for ; s > 0; s-- {
		sticky = quoSmall(&w, 10) != 0 || sticky
	}
	if neg && sticky {
		w.Sub(&one192)
	}
	return w
}

// modExact is the remainder of a by b with the sign of a; ok is false when aligning the
// scales overflows. b is not 0.
func modExact(a, b num.Int192, sa, sb int8, x, y *big.Int) (num.Int192, int8, bool) {
	s, ok := align(&a, &b, sa, sb)
	if !ok {
		return num.Int192{}, 0, false
	}
	a.Big(x)
	b.Big(y)
	x.Rem(x, y)
	var r num.Int192
	r.SetBig(x)
	return r, s, true
}
