package num

import "math/bits"

// SumWords is the length of a sum's state in a slab of words: an Int192, then a word
// with the greatest scale (low byte) and the greatest bound on a term (the bits above).
//
// The state of terms (mᵢ, sᵢ) is Σ mᵢ·10^(S−sᵢ) mod 2^192, S = max sᵢ. A finer term
// multiplies what is there by a power of ten, which is exact modulo 2^192, so neither
// the order of the terms nor the cut into runs and merges can show. What was lost to
// the modulus is known only at the end, and by order-free means too: with
// E = max (bitlen mᵢ − floor(sᵢ·log2 10)), the sum of n terms has a magnitude of at most
// 2^(E + ceil(S·log2 10) + ceil(log2 n)). SumValue refuses when that leaves 190 bits.
// All-zero words are the empty sum. Scales are 0 … 36.
const SumWords = 4

// bias makes the bound of a term positive; a bound of 0 in the state means: no term but zeros.
const bias = 256

// raise returns the meta word with room for terms of scale s and at most bl bits.
func raise(meta uint64, s int8, bl int) uint64 {
	scale, bound := meta&0xff, meta>>8
	if bl > 0 {
		bound = max(bound, uint64(bias+bl)-uint64(log2Pow10[s]))
	}
	return bound<<8 | max(scale, uint64(s))
}

// align brings the state to at least scale s and returns its scale.
func align(w []uint64, s int8) int8 {
	have := int8(w[3])
	if s <= have {
		return have
	}
	if w[3] != 0 {
		(*Int192)(w).MulPow10(int(s - have))
	}
	w[3] = w[3]&^0xff | uint64(s)
	return s
}

// bound64 has a bit length n > 0 with |m| ≤ 2^n, or is 0 for m = 0. It is |m| − 1 with the
// low bit set when m is negative: bounds are joined by or, and every loop below must
// give a term the same bit length, or the verdict would depend on the cut.
func bound64(m int64) uint64 { return uint64(m^m>>63) | uint64(m)>>63 }

// SumAdd adds the decimal m × 10^-s to the state w.
func SumAdd(w []uint64, m int64, s int8) {
	w = w[:SumWords]
	meta := w[3]
	switch up := int8(meta) - s; {
	case up == 0:
		(*Int192)(w).Add64(m)
	case up > 0 && up <= MaxScale:
		(*Int192)(w).AddProd(m, int64(Pow10[up]))
	default:
		t := FromInt64(m)
		if have := align(w, s); have != s {
			t.MulPow10(int(have - s))
		}
		(*Int192)(w).Add(&t)
		meta = w[3]
	}
	bound := uint64(bias+bits.Len64(bound64(m))) - uint64(log2Pow10[s])
	if bound > meta>>8 && m != 0 {
		w[3] = bound<<8 | meta&0xff
	}
}

// SumAddProd adds a·10^-sa × b·10^-sb.
func SumAddProd(w []uint64, a, b int64, sa, sb int8) {
	hi, lo := mulSigned(a, b)
	ext := uint64(int64(hi) >> 63)
	addRun(w, total{hi: hi, lo: lo, ext: ext, maxLo: lo ^ ext | ext&1, maxHi: hi ^ ext}, sa+sb)
}

// total is the exact sum of a run of terms and the union of the bits of their magnitudes.
type total struct {
	lo, hi, ext  uint64
	maxLo, maxHi uint64
}

func addRun(w []uint64, t total, s int8) {
	w = w[:SumWords]
	v := Int192{t.lo, t.hi, t.ext}
	if have := align(w, s); have != s {
		v.MulPow10(int(have - s))
	}
	(*Int192)(w).Add(&v)
	bl := bits.Len64(t.maxLo)
	if t.maxHi != 0 {
		bl = 64 + bits.Len64(t.maxHi)
	}
	w[3] = raise(w[3], s, bl)
}

// block is how many rows are folded before looking whether their sum may have left a word.
const (
	block     = 256
	blockBits = 8
)

// SumAddRun adds the decimals m[i] × 10^-s.
func SumAddRun(w []uint64, m []int64, s int8) {
	if len(m) == 0 {
		return
	}
	var t total
	for len(m) > block {
		t.add(m[:block])
		m = m[block:]
	}
	t.add(m)
	t.ext = uint64(int64(t.hi) >> 63)
	addRun(w, t, s)
}

// add folds at most block rows: in one word when their magnitudes allow, else in two.
func (t *total) add(m []int64) {
	var c, or uint64
	var sum, all int64
	for _, v := range m {
		sum += v
		or |= uint64(v ^ v>>63)
		all |= v
	}
	or |= uint64(all) >> 63
	t.maxLo |= or
	if bits.Len64(or) <= 63-blockBits {
		t.lo, c = bits.Add64(t.lo, uint64(sum), 0)
		t.hi += uint64(sum>>63) + c
		return
	}
	for _, v := range m {
		t.lo, c = bits.Add64(t.lo, uint64(v), 0)
		t.hi += uint64(v>>63) + c
	}
}

// SumAddProdRun adds the products a[i]·10^-sa × b[i]·10^-sb; b is as long as a.
func SumAddProdRun(w []uint64, a, b []int64, sa, sb int8) {
	if len(a) == 0 {
		return
	}
	b = b[:len(a)]
	var t total
	wide := false // a block was not of short positive numbers: try that no more
	for len(a) > block {
		wide = t.addProd(a[:block], b[:block], wide)
		a, b = a[block:], b[block:]
	}
	t.addProd(a, b, wide)
	addRun(w, t, sa+sb)
}

// addProd folds at most block rows of products by the cheapest loop that cannot wrap.
func (t *total) addProd(a, b []int64, wide bool) bool {
	b = b[:len(a)]
	if !wide && t.addProd128(a, b) {
		return false
	}
	var oa, ob uint64
	for i, v := range a {
		u := b[i]
		oa |= uint64(v ^ v>>63)
		ob |= uint64(u ^ u>>63)
	}
	if bits.Len64(oa)+bits.Len64(ob) <= 62-blockBits {
		t.addProd64(a, b)
	} else {
		t.addProd192(a, b)
	}
	return true
}

// addProd128 folds rows that are not negative and whose sum fits two words, as most
// prices and quantities do; else it leaves t alone and returns false.
func (t *total) addProd128(a, b []int64) bool {
	b = b[:len(a)]
	var lo, hi, orLo, orHi, c uint64
	var all int64
	for i, v := range a {
		u := b[i]
		all |= v | u
		h, l := bits.Mul64(uint64(v), uint64(u))
		lo, c = bits.Add64(lo, l, 0)
		hi += h + c
		orLo |= l
		orHi |= h
	}
	if all < 0 || orHi >= 1<<(63-blockBits) {
		return false
	}
	t.lo, c = bits.Add64(t.lo, lo, 0)
	t.hi, c = bits.Add64(t.hi, hi, c)
	t.ext += c
	t.maxLo |= orLo
	t.maxHi |= orHi
	return true
}

func (t *total) addProd64(a, b []int64) {
	b = b[:len(a)]
	var sum, all int64
	var or, c uint64
	for i, v := range a {
		p := v * b[i]
		sum += p
		or |= uint64(p ^ p>>63)
		all |= p
	}
	or |= uint64(all) >> 63
	s := uint64(sum >> 63)
	t.lo, c = bits.Add64(t.lo, uint64(sum), 0)
	t.hi, c = bits.Add64(t.hi, s, c)
	t.ext += s + c
	t.maxLo |= or
}

func (t *total) addProd192(a, b []int64) {
	b = b[:len(a)]
	var c uint64
	for i, v := range a {
		h, l := mulSigned(v, b[i])
		s := uint64(int64(h) >> 63)
		t.lo, c = bits.Add64(t.lo, l, 0)
		t.hi, c = bits.Add64(t.hi, h, c)
		t.ext += s + c
		t.maxLo |= l ^ s | s&1
		t.maxHi |= h ^ s
	}
}

// SumMerge adds the terms of the state o to those of w.
func SumMerge(w, o []uint64) { sumJoin(w, o, false) }

// SumSub takes the terms of o, which must be terms of w, out of w again: the difference
// of two prefixes. Scale and bound stay those of all the terms of w; they decide no
// value, only how early SumValue gives up.
func SumSub(w, o []uint64) { sumJoin(w, o, true) }

func sumJoin(w, o []uint64, sub bool) {
	w, o = w[:SumWords], o[:SumWords]
	have, s := align(w, int8(o[3])), int8(o[3])
	v := Int192(o)
	if have != s {
		v.MulPow10(int(have - s))
	}
	if sub {
		(*Int192)(w).Sub(&v)
	} else {
		(*Int192)(w).Add(&v)
	}
	w[3] = max(w[3]>>8, o[3]>>8)<<8 | uint64(have)
}

// SumValue is the sum of the n terms in w: the integer v × 10^-scale. ok is false when n
// terms of the greatest size seen could leave 190 bits: a verdict that depends on the
// terms alone, never on their order or on how they were cut.
func SumValue(w []uint64, n int64) (v Int192, scale int, ok bool) {
	scale, ok = SumFits(w, n)
	return Int192(w[:3]), scale, ok
}

// SumFits is what SumValue says of the sum besides its value, the first three words of w.
func SumFits(w []uint64, n int64) (scale int, ok bool) {
	w = w[:SumWords]
	scale = int(w[3] & 0xff)
	if w[3]>>8 == 0 {
		return scale, true // zeros only
	}
	need := int(w[3]>>8) - bias + int(log2Pow10[scale])
	if scale > 0 {
		need++
	}
	if n > 1 {
		need += bits.Len64(uint64(n - 1))
	}
	return scale, need <= 190
}
