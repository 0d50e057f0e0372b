package num_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market/num"
)

// rootOf is √(n/d) × 10^-scale by the root of a ratio of big integers.
func rootOf(n, d num.Nat128, scale int) float64 {
	var x, y num.Rat
	a, b := n.Int192(), d.Int192()
	x.SetInt192(&a, 2*scale)
	y.SetInt192(&b, 0)
	x.Quo(&x, &y)
	f, _ := x.Sqrt64()
	return f
}

func bigNat(n num.Nat128) *big.Int {
	x := new(big.Int).SetUint64(n.Hi)
	return x.Add(x.Lsh(x, 64), new(big.Int).SetUint64(n.Lo))
}

func natOf(x *big.Int) num.Nat128 {
	lo := new(big.Int).And(x, new(big.Int).SetUint64(math.MaxUint64))
	return num.Nat128{Hi: new(big.Int).Rsh(x, 64).Uint64(), Lo: lo.Uint64()}
}

func sameRoot(t rapid.TB, n, d num.Nat128, scale int) {
	t.Helper()
	if got, want := num.RootQuo64(n, d, scale), rootOf(n, d, scale); math.Float64bits(got) != math.Float64bits(want) {
		t.Fatalf("√(%v / %v) × 10^-%d = %v, want %v", bigNat(n), bigNat(d), scale, got, want)
	}
}

func TestRootQuo64_RoundsOnce(t *testing.T) {
	nat := rapid.Custom(func(t *rapid.T) num.Nat128 {
		k := rapid.IntRange(0, 127).Draw(t, "bits")
		x := num.Nat128{Hi: rapid.Uint64().Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")}
		if k >= 64 {
			return num.Nat128{Lo: x.Hi >> (k - 64)}
		}
		return num.Nat128{Hi: x.Hi >> k, Lo: x.Lo}
	})
	rapid.Check(t, func(t *rapid.T) {
		d := nat.Draw(t, "d")
		if d == (num.Nat128{}) {
			d.Lo = 1
		}
		sameRoot(t, nat.Draw(t, "n"), d, rapid.IntRange(0, num.MaxScale).Draw(t, "scale"))
	})
}

// Squares, what is next to them, and next to the middle between two floats: where the last digit is decided.
func TestRootQuo64_NearTies(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		m := new(big.Int).SetUint64(1<<53 | rnd.Uint64()>>11) // 54 bits: odd is halfway
		n := m.Mul(m, m)
		n.Mul(n, big.NewInt(1<<rnd.IntN(10)))
		n.Add(n, big.NewInt(int64(rnd.IntN(5))-2))
		d := num.Nat128{Lo: 1 << rnd.IntN(30)}
		sameRoot(t, natOf(n), d, 0)
		sameRoot(t, natOf(n), num.Nat128{Lo: rnd.Uint64()>>rnd.IntN(64) | 1}, rnd.IntN(num.MaxScale+1))
		s := num.Nat128{Lo: uint64(rnd.IntN(1000))}
		sameRoot(t, s.Times(s.Lo), num.Nat128{Lo: 1}, rnd.IntN(num.MaxScale+1))
	}
}

func TestNat128_IsModular(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := num.Nat128{Hi: rapid.Uint64().Draw(t, "xh"), Lo: rapid.Uint64().Draw(t, "xl")}
		y := num.Nat128{Hi: rapid.Uint64().Draw(t, "yh"), Lo: rapid.Uint64().Draw(t, "yl")}
		all := new(big.Int).Lsh(big.NewInt(1), 128)
		same := func(what string, got num.Nat128, want *big.Int) {
			if w := natOf(want.Mod(want, all)); got != w {
				t.Fatalf("%s of %v and %v is %v, want %v", what, x, y, got, w)
			}
		}
		v := int64(y.Lo)
		same("sum", x.Plus(y), new(big.Int).Add(bigNat(x), bigNat(y)))
		same("difference", x.Minus(y), new(big.Int).Sub(bigNat(x), bigNat(y)))
		same("product", x.Times(y.Lo), new(big.Int).Mul(bigNat(x), new(big.Int).SetUint64(y.Lo)))
		same("square", num.Square(v), new(big.Int).Mul(big.NewInt(v), big.NewInt(v)))
	})
}

func BenchmarkRootQuo64(b *testing.B) {
	n, d := num.Nat128{Lo: 7_654_321_987_654}, num.Nat128{Lo: 4_321 * 4_320}
	sum := 0.0
	for b.Loop() {
		sum += num.RootQuo64(n, d, 2)
		n.Lo += 12345
	}
	if sum == 0 {
		b.Fatal()
	}
}
