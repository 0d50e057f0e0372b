package op

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

var (
	momentStats   = []Stat{StatVar, StatSkew, StatKurt}
	comomentStats = []Stat{StatCov, StatCorr, StatSlope}
)

func statsOf(f Func) []Stat {
	if f == Comoments {
		return comomentStats
	}
	return momentStats
}

func sameStatistics(rt *rapid.T, acc *Acc, a, b []uint64, sc *Scratch) {
	for _, s := range statsOf(acc.Fn) {
		var x, y Val
		acc.Statistic(&x, a, Statistic{Stat: s, DDof: 1}, sc)
		acc.Statistic(&y, b, Statistic{Stat: s, DDof: 1}, sc)
		k := KRatio
		if s == StatSkew || s == StatCorr {
			k = KFloat
		}
		if x.Null != y.Null || !x.Null && ratOf(&x, k).Cmp(ratOf(&y, k)) != 0 {
			rt.Fatalf("%s statistic %d: %v, want %v", acc.Fn, s, &x, &y)
		}
	}
}

// rootOf is √x to the nearest float64, by big floats.
func rootOf(x *big.Rat) float64 {
	f := new(big.Float).SetPrec(2000).SetRat(x)
	r, _ := f.Sqrt(f).Float64()
	return r
}

func sumOf(xs []*big.Rat, f func(i int) *big.Rat) *big.Rat {
	s := new(big.Rat)
	for i := range xs {
		s.Add(s, f(i))
	}
	return s
}

func mulRat(xs ...*big.Rat) *big.Rat {
	p := big.NewRat(1, 1)
	for _, x := range xs {
		p.Mul(p, x)
	}
	return p
}

// centered is each value less the mean.
func centered(xs []*big.Rat) []*big.Rat {
	m := sumOf(xs, func(i int) *big.Rat { return xs[i] })
	m.Quo(m, big.NewRat(int64(len(xs)), 1))
	out := make([]*big.Rat, len(xs))
	for i, x := range xs {
		out[i] = new(big.Rat).Sub(x, m)
	}
	return out
}

// Moments by their definition: from deviations, over big rationals. Every kind of value, of
// all scales, cut and merged.
func TestMoments_MatchDeviations(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		n := int64(rapid.IntRange(1, 40).Draw(rt, "n"))
		span := int64(1) << rapid.IntRange(1, 62).Draw(rt, "span")
		scales := rapid.IntRange(1, 12).Draw(rt, "scales")
		if span > 1<<40 { // so that fourth powers at the finest scale fit
			scales = 1
		}
		kind := rapid.SampledFrom([]Kind{KExact, KQ60}).Draw(rt, "kind")
		var sc Scratch
		acc := Acc{Fn: Moments, Kind: kind, Bits: 4}
		pair := Acc{Fn: Comoments, Kind: kind, With: KExact}
		whole, part := make([]uint64, acc.Words()), make([]uint64, acc.Words())
		both, some := make([]uint64, pair.Words()), make([]uint64, pair.Words())
		var xs, ys []*big.Rat
		for i := range n {
			var x, y, in Val
			x.SetDec(g.Int64N(span)-span/2, int8(g.IntN(scales)))
			y.SetDec(g.Int64N(1000), int8(g.IntN(3)))
			in.NewPair(&x, &y)
			if !acc.Fold(part, &x, i, &sc) || !pair.Fold(some, &in, i, &sc) {
				rt.Fatal("a value of one word did not fit")
			}
			if g.IntN(4) == 0 || i == n-1 {
				acc.Merge(whole, part, &sc)
				pair.Merge(both, some, &sc)
				clear(part)
				clear(some)
			}
			u := ratOf(&x, KExact)
			if kind == KQ60 {
				u.Quo(u, new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), 60)))
			}
			xs, ys = append(xs, u), append(ys, ratOf(&y, KExact))
		}
		dx, dy := centered(xs), centered(ys)
		m := func(k int) *big.Rat {
			s := sumOf(dx, func(i int) *big.Rat {
				p := big.NewRat(1, 1)
				for range k {
					p.Mul(p, dx[i])
				}
				return p
			})
			return s.Quo(s, big.NewRat(n, 1))
		}
		c := sumOf(dx, func(i int) *big.Rat { return mulRat(dx[i], dy[i]) })
		vx, vy := sumOf(dx, func(i int) *big.Rat { return mulRat(dx[i], dx[i]) }), sumOf(dy, func(i int) *big.Rat { return mulRat(dy[i], dy[i]) })
		checkRat := func(name string, got *Val, want *big.Rat) {
			if got.Null != (want == nil) || want != nil && ratOf(got, KRatio).Cmp(want) != 0 {
				rt.Fatalf("%s of %v: %v, want %v", name, xs, got, want)
			}
		}
		checkRoot := func(name string, got *Val, square *big.Rat, sign int) {
			if got.Null != (square == nil) || square != nil && math.Abs(got.F-float64(sign)*rootOf(square)) > 0 {
				rt.Fatalf("%s of %v: %v", name, xs, got)
			}
		}
		stat := func(s Stat, ddof int64) *Val {
			var v Val
			if s >= StatCov {
				pair.Statistic(&v, both, Statistic{Stat: s, DDof: ddof}, &sc)
			} else {
				acc.Statistic(&v, whole, Statistic{Stat: s, DDof: ddof}, &sc)
			}
			return &v
		}
		var variance, cov, kurt, slope, skew, corr *big.Rat
		sign := 1
		if n > 1 {
			variance = new(big.Rat).Quo(vx, big.NewRat(n-1, 1))
			cov = new(big.Rat).Quo(c, big.NewRat(n-1, 1))
		}
		if vx.Sign() > 0 && n > 2 { // n(n−1)/(n−2)² · m3²/m2³
			sign = m(3).Sign()
			skew = mulRat(big.NewRat(n*(n-1), (n-2)*(n-2)), m(3), m(3))
			skew.Quo(skew, mulRat(m(2), m(2), m(2)))
		}
		checkRoot("skew", stat(StatSkew, 0), skew, sign)
		if vx.Sign() > 0 && n > 3 {
			kurt = new(big.Rat).Quo(m(4), mulRat(m(2), m(2)))
			kurt.Mul(kurt, big.NewRat(n+1, 1)).Sub(kurt, big.NewRat(3*(n-1), 1))
			kurt.Mul(kurt, big.NewRat(n-1, (n-2)*(n-3)))
		}
		if vy.Sign() > 0 {
			slope = new(big.Rat).Quo(c, vy)
		}
		if vx.Sign() > 0 && vy.Sign() > 0 {
			corr = mulRat(c, c)
			corr.Quo(corr, mulRat(vx, vy))
		}
		checkRat("var", stat(StatVar, 1), variance)
		checkRat("kurt", stat(StatKurt, 0), kurt)
		checkRat("cov", stat(StatCov, 1), cov)
		checkRat("slope", stat(StatSlope, 0), slope)
		checkRoot("corr", stat(StatCorr, 0), corr, c.Sign())
	})
}

// What would leave 384 bits is not taken or not told: never a wrong number.
func TestMoments_RefuseWhatDoesNotFit(t *testing.T) {
	var sc Scratch
	acc := Acc{Fn: Moments, Kind: KExact, Bits: 4}
	st := make([]uint64, acc.Words())
	var v Val
	v.W[1] = 1 << 40 // 105 bits: a fourth power of 420
	if acc.Fold(st, &v, 0, &sc) || st[0] != 0 {
		t.Error("a value of 105 bits was taken")
	}
	v.W = [3]uint64{1 << 60}
	for range 5 {
		acc.Fold(st, &v, 0, &sc)
		v.W[0]--
	}
	v.SetDec(1, 36) // now the first ones are 2^60·10^36: 180 bits, fourth powers of 720
	acc.Fold(st, &v, 0, &sc)
	var got Val
	if acc.Statistic(&got, st, Statistic{Stat: StatKurt}, &sc); !got.Null || !got.Ovf {
		t.Errorf("kurt is %v", &got)
	}
}

// States that no inputs make, as a snapshot from elsewhere could hold, give numbers or null,
// never a panic.
func TestStatistics_OfHostileStates(t *testing.T) {
	g := rand.New(rand.NewPCG(5, 6))
	word := func() uint64 {
		switch g.IntN(4) {
		case 0:
			return uint64(g.IntN(5))
		case 1:
			return -uint64(g.IntN(3))
		case 2:
			return uint64(g.IntN(40)) | uint64(g.IntN(1024))<<8
		}
		return g.Uint64() >> g.IntN(64)
	}
	valid := 0
	for range 200_000 {
		a := Acc{Fn: []Func{Moments, Comoments, Order, Weighted, Paths}[g.IntN(5)], Kind: KExact, With: KExact, Bits: 4}
		var sc Scratch
		st := make([]uint64, a.Words())
		if a.Owner() {
			for range 1 + g.IntN(4) {
				if a.LoadEntry(st, &sc, word) {
					valid++
				}
			}
		} else {
			for i := range st {
				st[i] = word()
			}
			if !a.Valid(st) {
				continue
			}
			valid++
		}
		var v Val
		switch a.Fn {
		case Order, Weighted:
			a.Load(&v, st, 0, &sc)
		case Paths:
			a.Statistic(&v, st, Statistic{Stat: StatHY}, &sc)
			a.Statistic(&v, st, Statistic{Stat: StatLead, Max: 4, Step: 2}, &sc)
		default:
			for _, s := range statsOf(a.Fn) {
				if a.Statistic(&v, st, Statistic{Stat: s, DDof: 1}, &sc); s == StatVar || s == StatKurt || s == StatCov || s == StatSlope {
					v.Float64(KRatio)
				}
			}
		}
	}
	if valid < 20_000 {
		t.Errorf("only %d states were valid", valid)
	}
}
