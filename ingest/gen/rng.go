package gen

import (
	"math/big"
	"math/bits"
)

// rng is SplitMix64 (Steele, Lea, Flood 2014): one multiply-xor chain on a counter. The
// simulator has its own because its bytes must be the same in every release of Go.
type rng struct{ s uint64 }

func newRNG(seed uint64, stream uint64) rng {
	r := rng{seed ^ stream*0xd1342543de82ef95}
	r.next()
	return r
}

func (r *rng) next() uint64 {
	r.s += 0x9e3779b97f4a7c15
	z := r.s
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number in [0, n), n > 0. The bias is below 2^-32 for every n used.
func (r *rng) below(n int64) int64 {
	hi, _ := bits.Mul64(r.next(), uint64(n))
	return int64(hi)
}

// hit reports true in ppm of a million cases, and draws nothing when that is 0.
func (r *rng) hit(ppm int) bool { return ppm > 0 && r.below(1_000_000) < int64(ppm) }

// expoSize is the number of steps of the exponential distribution's quantile function.
const expoSize = 1024

// expoTable holds expected order statistics of expoSize exponential variables of mean
// 2^20: q[i] = Σ_{j≤i} 1/(n−j). Their mean is exactly that of the distribution, and
// they are integers, so no processor's logarithm is involved.
func expoTable() []int64 {
	q := make([]int64, expoSize)
	sum := int64(0)
	for i := range q {
		sum += (1 << 40) / int64(expoSize-i)
		q[i] = sum >> 20
	}
	return q
}

// zipf draws ranks 0…n−1 with weight (rank+1)^−s.
type zipf struct{ sum []uint64 }

// newZipf takes the exponent in thousandths. Weights are 32-bit fixed point.
func newZipf(n int, s int) zipf {
	z := zipf{make([]uint64, n)}
	total := uint64(0)
	for i := range n {
		total += max(powInverse(uint64(i+1), s), 1)
		z.sum[i] = total
	}
	return z
}

func (z *zipf) draw(r *rng) int {
	hi, _ := bits.Mul64(r.next(), z.sum[len(z.sum)-1])
	lo, top := 0, len(z.sum)-1
	for lo < top {
		mid := int(uint(lo+top) >> 1)
		if z.sum[mid] <= hi {
			lo = mid + 1
		} else {
			top = mid
		}
	}
	return lo
}

// powInverse is n^(−s/1000) × 2^32, rounded down, by the binary logarithm in fixed
// point: exact integer steps only.
func powInverse(n uint64, s int) uint64 {
	x := log2(n) * uint64(s) / 1000 // 32 fraction bits
	whole, frac := x>>32, uint32(x)
	v := new(big.Int).Lsh(big.NewInt(1), 62)
	root := new(big.Int).Lsh(big.NewInt(1), 63) // 2^(2^−k) × 2^62, from k = 0
	for k := 31; k >= 0; k-- {
		root.Sqrt(root.Lsh(root, 62))
		if frac>>k&1 == 1 {
			v.Lsh(v, 62).Div(v, root)
		}
	}
	return v.Rsh(v, uint(30+min(whole, 128))).Uint64()
}

// log2 is the binary logarithm of n ≥ 1 with 32 fraction bits, bit by bit by squaring.
func log2(n uint64) uint64 {
	e := uint64(bits.Len64(n) - 1)
	y := n << (63 - e) // [1, 2) with 63 fraction bits
	out := e << 32
	for b := 31; b >= 0; b-- {
		hi, lo := bits.Mul64(y, y) // [1, 4) with 126 fraction bits
		if hi>>63 == 1 {
			out |= 1 << b
			y = hi
		} else {
			y = hi<<1 | lo>>63
		}
	}
	return out
}
