package op

import (
	"math/bits"
	"sort"

	"github.com/pinova-group/tidemark/market/num"
)

// The histogram of quantile(x, p, approx=a) is log-linear over integers.
//
// A value is brought to 18 digits after the point (finer digits are cut off): an integer
// M. With B the least number for which 2^-(B+1) ≤ a, values of M below 2^(B+1) have a
// bucket each; above, a bucket holds the integers that agree in their leading B+1 bits:
//
//	shift = bitlen(M) − (B+1), bucket = shift·2^B + (M >> shift)
//
// which rises with M. Negative values mirror that, bucket(−M) = −bucket(M). The value
// returned for a bucket is its middle, (M >> shift << shift) + 2^(shift−1) for shift > 0,
// M itself else: at most 2^-(B+1) away from any value in it, relatively. The quantile is
// that of rank ceil(p·n), at least 1, of the n inputs in order.
const histDigits = 18

func histFold(a *Acc, st []uint64, v *Val, _ int64, sc *Scratch) bool {
	b, ok := bucket(v, a.Bits)
	if ok {
		st[0] = sc.Sets.Add(st[0], uint64(b), uint64(b>>63), 1)
	}
	return ok
}

func histUnfold(a *Acc, st []uint64, v *Val, _ int64, sc *Scratch) {
	b, _ := bucket(v, a.Bits)
	st[0] = sc.Sets.Remove(st[0], uint64(b), uint64(b>>63), 1, nil)
}

// HistBits is B for a relative error approx in (0, 1), at most 20.
func HistBits(approx num.Dec) (int, bool) {
	if approx.M <= 0 {
		return 0, false
	}
	one := num.FromInt64(1)
	for b := range 21 {
		w := num.FromInt64(approx.M)
		two := num.FromInt64(2 << b)
		w, _ = mul192(&w, &two) // approx · 2^(b+1) ≥ 1
		if cmpExact(&w, &one, approx.S, 0) >= 0 {
			return b, true
		}
	}
	return 0, false
}

// bucket is the number of the bucket of v; false when the value has too many digits.
func bucket(v *Val, b int) (int64, bool) {
	w := v.W
	neg := w.Sign() < 0
	if neg {
		w.Neg()
	}
	for s := v.S; s > histDigits; s-- {
		quoSmall(&w, 10)
	}
	if v.S < histDigits && !scaleUp(&w, int(histDigits-v.S)) {
		return 0, false
	}
	k := int64(0)
	if shift := w.BitLen() - (b + 1); shift > 0 {
		k = int64(shift) << b
		w = shiftRight(w, uint(shift))
	}
	k += int64(w[0])
	if neg {
		k = -k
	}
	return k, true
}

// bucketOfWord is bucket of m·10^-s with at most 18 digits after the point.
func bucketOfWord(m int64, s int8, b int) int64 {
	sign := m >> 63
	hi, lo := bits.Mul64(uint64((m^sign)-sign), num.Pow10[histDigits-s])
	n := bits.Len64(lo)
	if hi != 0 {
		n = 64 + bits.Len64(hi)
	}
	k := int64(lo)
	if shift := n - (b + 1); shift > 0 {
		k = int64(shift)<<b + int64(hi<<uint(64-shift)|lo>>shift|hi>>uint(shift-64))
	}
	return (k ^ sign) - sign
}

func shiftRight(w num.Int192, n uint) num.Int192 {
	for ; n >= 64; n -= 64 {
		w[0], w[1], w[2] = w[1], w[2], 0
	}
	if n > 0 {
		w[0] = w[0]>>n | w[1]<<(64-n)
		w[1] = w[1]>>n | w[2]<<(64-n)
		w[2] >>= n
	}
	return w
}

// middle is the value that stands for a bucket.
func middle(k int64, b int) num.Int192 {
	neg := k < 0
	if neg {
		k = -k
	}
	var w num.Int192
	if k < 2<<b {
		w = num.FromInt64(k)
	} else {
		shift := k>>b - 1
		w = num.FromInt64((k-shift<<b)<<1 | 1)
		for range shift - 1 {
			w.Add(&w)
		}
	}
	if neg {
		w.Neg()
	}
	return w
}

// Quantile sets v to the p-quantile of a histogram or multiset; null when it is empty.
func (a *Acc) Quantile(v *Val, rec []uint64, p num.Dec, sc *Scratch) {
	if a.Fn == Order {
		a.orderQuantile(v, rec, p, sc)
		return
	}
	h := a.state(rec)[0]
	if h == 0 {
		v.setNull(false)
		return
	}
	v.Null, v.Ovf = false, false
	v.W, v.S = middle(sc.Sets.rank(h, p), a.Bits), histDigits
}

// rank is the number of rank ceil(p·n) in a set of n numbers of 64 bits, which is not empty.
func (s *Sets) rank(h uint64, p num.Dec) int64 {
	if first, counts, ok := s.Line(h); ok {
		rank := ceilMul(p, counts[len(counts)-1])
		return first + int64(sort.Search(len(counts), func(i int) bool { return counts[i] >= rank }))
	}
	ents, n := s.Sorted(h), uint64(0)
	for i := range ents {
		n += ents[i].N
	}
	rank, i := ceilMul(p, n), 0
	for ; ents[i].N < rank; i++ {
		rank -= ents[i].N
	}
	return int64(ents[i].Lo)
}

// ceilMul is ceil(p·n) in 1 … n.
func ceilMul(p num.Dec, n uint64) uint64 {
	var w num.Int192
	w.AddProd(p.M, int64(n))
	r := quoSmall(&w, num.Pow10[p.S])
	if r > 0 {
		w.Add(&one192)
	}
	return min(max(w[0], 1), n)
}
