package num

import (
	"math/big"
	"math/bits"
)

// MaxPow10 is the largest power of ten by which a sum is scaled or a value divided: the
// scale of a product of two decimals is at most 2 × MaxScale, and decimal(38, s) adds two.
const MaxPow10 = 38

// Pow10 has 10^0 … 10^19, all powers of ten that a word holds.
var Pow10 = [20]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
	1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// log2Pow10 is floor(log2 10^k); but for k = 0 the ceiling is one more.
var log2Pow10 = [MaxPow10 + 1]uint8{
	0, 3, 6, 9, 13, 16, 19, 23, 26, 29, 33, 36, 39, 43, 46, 49, 53, 56, 59, 63,
	66, 69, 73, 76, 79, 83, 86, 89, 93, 96, 99, 102, 106, 109, 112, 116, 119, 122, 126,
}

// floatPow10 has the powers of ten that a float64 holds exactly.
var floatPow10 = [23]float64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// bigPow10 has 10^0 … 10^MaxPow10 for Rat. Read only.
var bigPow10 = makeBigPow10()

func makeBigPow10() (t [MaxPow10 + 1]big.Int) {
	t[0].SetInt64(1)
	ten := big.NewInt(10)
	for k := 1; k < len(t); k++ {
		t[k].Mul(&t[k-1], ten)
	}
	return t
}

// pow10Words is 10^k as two words, 0 ≤ k ≤ MaxPow10.
func pow10Words(k int) (hi, lo uint64) {
	if k < len(Pow10) {
		return 0, Pow10[k]
	}
	return bits.Mul64(Pow10[19], Pow10[k-19])
}
