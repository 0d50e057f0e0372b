package op

import (
	"math/big"
	"math/bits"

	"github.com/pinova-group/tidemark/market/num"
)

// int384 is a 384-bit integer in two's complement: sums of fourth powers. Its arithmetic is
// modulo 2^384, so sums that pass through more than fits come out right when they fit.
type int384 [wideWords]uint64

const (
	wideWords = 6
	wideBits  = 380 // longest term
)

// widen is x with its sign.
func widen(x *num.Int192) (w int384) {
	s := uint64(int64(x[2]) >> 63)
	return int384{x[0], x[1], x[2], s, s, s}
}

func (w *int384) add(o *int384) {
	var c uint64
	for i := range w {
		w[i], c = bits.Add64(w[i], o[i], c)
	}
}

func (w *int384) sub(o *int384) {
	var c uint64
	for i := range w {
		w[i], c = bits.Sub64(w[i], o[i], c)
	}
}

// mul multiplies by x: modulo 2^384 signs take care of themselves.
func (w *int384) mul(x *int384) {
	var r int384
	for i, a := range w {
		if a == 0 {
			continue
		}
		var carry uint64
		for j := 0; i+j < wideWords; j++ {
			hi, lo := bits.Mul64(a, x[j])
			var c uint64
			lo, c = bits.Add64(lo, carry, 0)
			hi += c
			r[i+j], c = bits.Add64(r[i+j], lo, 0)
			carry = hi + c
		}
	}
	*w = r
}

// mulPow10 multiplies by 10^k.
func (w *int384) mulPow10(k int) {
	for k > 0 {
		n := min(k, num.MaxPow10/2)
		p := num.Pow10[n]
		var carry uint64
		for i := range w {
			hi, lo := bits.Mul64(w[i], p)
			var c uint64
			w[i], c = bits.Add64(lo, carry, 0)
			carry = hi + c
		}
		k -= n
	}
}

// big sets dst to the value.
func (w *int384) big(dst *big.Int) *big.Int {
	t := *w
	neg := int64(t[wideWords-1]) < 0
	if neg {
		var zero int384
		zero.sub(w)
		t = zero
	}
	dst.SetInt64(0)
	var part big.Int
	for i := wideWords - 1; i >= 0; i-- {
		dst.Lsh(dst, 64)
		dst.Or(dst, part.SetUint64(t[i]))
	}
	if neg {
		dst.Neg(dst)
	}
	return dst
}

// extent is the scale and the size of the terms that a state of powers has seen, in one
// word: the greatest scale S in the low byte, above it the greatest of bitlen m − ⌊log2 10^s⌋,
// biased; 0 for no term but zeros. A term m·10^-s has at most that + ⌈log2 10^S⌉ bits at
// scale S. Greatest ones do not depend on the order of terms nor on how they were cut.
type extent uint64

const extentBias = 512

func (e extent) scale() int8 { return int8(e & 0xff) }

// with is the extent of more terms.
func (e extent) with(o extent) extent {
	return max(e>>8, o>>8)<<8 | max(e&0xff, o&0xff)
}

func extentOf(x *num.Int192, s int8) extent {
	e := extent(s)
	if n := x.BitLen(); n > 0 {
		e |= extent(extentBias+n-log2Pow10(s)) << 8
	}
	return e
}

// bits is a bound on the length of a term at the scale of the state.
func (e extent) bits() int {
	if e>>8 == 0 {
		return 0
	}
	return int(e>>8) - extentBias + log2Pow10(e.scale()) + 1
}

func (e extent) valid() bool { return e.scale() >= 0 && e.scale() <= maxScale && e>>8 < 2*extentBias }

// log2Pow10 is ⌊s·log2 10⌋ for the scales of exact values.
func log2Pow10(s int8) int { return int(s) * 217706 >> 16 }
