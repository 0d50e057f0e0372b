package num_test

import (
	"hash/fnv"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/pinova-group/tidemark/market/num"
)

// bigExp is e^x to 200 bits, by its series on x/2^k.
func bigExp(x *big.Float) *big.Float {
	const prec, k = 260, 24
	y := new(big.Float).SetPrec(prec).SetMantExp(x, -k)
	sum, term := big.NewFloat(1).SetPrec(prec), big.NewFloat(1).SetPrec(prec)
	for n := int64(1); n < 40; n++ {
		term.Mul(term, y)
		term.Quo(term, new(big.Float).SetInt64(n))
		sum.Add(sum, term)
	}
	for range k {
		sum.Mul(sum, sum)
	}
	return sum
}

// ulps is |got − want| in units of the last place of got.
func ulps(got float64, want *big.Float) float64 {
	d := new(big.Float).SetPrec(260).SetFloat64(got)
	d.Sub(d, want)
	_, e := math.Frexp(got)
	d.SetMantExp(d, 53-e)
	f, _ := d.Float64()
	return math.Abs(f)
}

func TestExp_IsWithinItsBound(t *testing.T) {
	g := rand.New(rand.NewPCG(1, 2))
	worst := 0.0
	for range 4000 {
		x := (g.Float64()*2 - 1) * math.Pow(2, float64(g.IntN(40)-31))
		if math.Abs(x) > 700 {
			continue
		}
		worst = max(worst, ulps(num.Exp(x), bigExp(new(big.Float).SetPrec(260).SetFloat64(x))))
	}
	if worst > 0.502 {
		t.Fatalf("error of %.5f units in the last place", worst)
	}
	for x, want := range map[float64]float64{0: 1, math.Copysign(0, -1): 1, 1e-300: 1, -1e-300: 1, 710: math.Inf(1), -746: 0, -1000: 0, 1e300: math.Inf(1), 1: math.E} {
		if got := num.Exp(x); got != want {
			t.Errorf("exp(%g) = %g, want %g", x, got, want)
		}
	}
	if f := num.Exp(-745); f != math.SmallestNonzeroFloat64 {
		t.Errorf("exp(-745) = %g", f)
	}
}

func TestHalve_IsWithinItsBound(t *testing.T) {
	ln2 := new(big.Float).SetPrec(260)
	ln2.SetString("0.69314718055994530941723212145817656807550013436025525412068000949339362196969471560586332699641868754200148102057")
	g := rand.New(rand.NewPCG(3, 4))
	worst := 0.0
	for range 4000 {
		half := 1 + g.Int64N(1<<(1+g.IntN(48)))
		dt := g.Int64N(half*20 + 1)
		x := new(big.Float).SetPrec(260).SetInt64(-dt)
		x.Quo(x.Mul(x, ln2), new(big.Float).SetInt64(half))
		worst = max(worst, ulps(num.Halve(dt, half), bigExp(x)))
	}
	if worst > 0.502 {
		t.Fatalf("error of %.5f units in the last place", worst)
	}
	for _, c := range []struct {
		dt, half int64
		want     float64
	}{{0, 5, 1}, {5, 5, 0.5}, {50, 5, 1.0 / 1024}, {1 << 60, 1, 0}, {1, 2, math.Sqrt(0.5)}} {
		if got := num.Halve(c.dt, c.half); got != c.want {
			t.Errorf("2^-(%d/%d) = %g, want %g", c.dt, c.half, got, c.want)
		}
	}
}

// The bits are the same on every processor; a change of them is a change of what ewm,
// decay_sum and exp return.
func TestExp_GoldenBits(t *testing.T) {
	g := rand.New(rand.NewPCG(5, 6))
	h := fnv.New64a()
	put := func(f float64) {
		b := math.Float64bits(f)
		for range 8 {
			_, _ = h.Write([]byte{byte(b)})
			b >>= 8
		}
	}
	for range 100_000 {
		put(num.Exp(g.NormFloat64() * 100))
		put(num.Exp(g.NormFloat64() / 1000))
		half := 1 + g.Int64N(1<<40)
		put(num.Halve(g.Int64N(4*half), half))
	}
	if got := h.Sum64(); got != golden {
		t.Fatalf("bits are %#x, not %#x", got, uint64(golden))
	}
}

const golden = 0xe4c6a991bfd8ce0d

func BenchmarkHalve(b *testing.B) {
	s := 0.0
	for i := range b.N {
		s += num.Halve(int64(i)*1000, 300_000_000)
	}
	sink = s
}

var sink float64
