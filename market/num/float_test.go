package num_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market/num"
)

// nearest is big.Rat's own rounding, and whether it is finite.
func nearest(r *big.Rat) (float64, bool) {
	f, _ := r.Float64()
	return f, !math.IsInf(f, 0)
}

func sameFloat(t rapid.TB, what string, got float64, ok bool, want *big.Rat) {
	t.Helper()
	w, finite := nearest(want)
	if w == 0 {
		w = 0 // never -0
	}
	if ok != finite || finite && math.Float64bits(got) != math.Float64bits(w) {
		t.Fatalf("%s = %v (%x), %v; want %v (%x)", what, got, math.Float64bits(got), ok, w, math.Float64bits(w))
	}
}

func scaled(v *big.Int, s int) *big.Rat {
	return new(big.Rat).SetFrac(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(s)), nil))
}

func TestQuoFloat64_RoundsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, ba := genInt192(t, "a")
		b, bb := genInt192(t, "b")
		sa, sb := rapid.IntRange(0, num.MaxPow10).Draw(t, "sa"), rapid.IntRange(0, num.MaxPow10).Draw(t, "sb")
		sameFloat(t, "Float64Of", first(num.Float64Of(&a, sa)), second(num.Float64Of(&a, sa)), scaled(ba, sa))
		f, ok := num.QuoFloat64(&a, sa, &b, sb)
		if bb.Sign() == 0 {
			if ok {
				t.Fatal("divided by 0")
			}
			return
		}
		sameFloat(t, "QuoFloat64", f, ok, new(big.Rat).Quo(scaled(ba, sa), scaled(bb, sb)))
	})
}

func first(f float64, _ bool) float64 { return f }
func second(_ float64, ok bool) bool  { return ok }

// Quotients of whole numbers that are floats are one division, up to the last of them and no further.
func TestQuoFloat64_OfFloats(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	edges := []int64{1 << 53, 1<<53 - 1, 1<<53 + 1, 1<<54 + 1, 1, 3, math.MaxInt64, math.MinInt64}
	draw := func() int64 {
		x := int64(rnd.Uint64() >> rnd.UintN(64))
		if rnd.IntN(2) == 0 {
			x = edges[rnd.IntN(len(edges))]
		}
		if rnd.IntN(2) == 0 {
			x = -x
		}
		return x
	}
	for range 20000 {
		x, y, s := draw(), draw(), rnd.IntN(20)
		if y == 0 {
			continue
		}
		a, b := num.FromInt64(x), num.FromInt64(y)
		f, ok := num.QuoFloat64(&a, s, &b, s)
		sameFloat(t, "QuoFloat64", f, ok, new(big.Rat).SetFrac(big.NewInt(x), big.NewInt(y)))
		z := rnd.IntN(num.MaxPow10 + 1)
		want := new(big.Rat).Quo(scaled(big.NewInt(x), s), scaled(big.NewInt(y), z))
		f, ok = num.QuoFloat64(&a, s, &b, z)
		sameFloat(t, "QuoFloat64", f, ok, want)
		f, ok = num.QuoWords(x, y, s, z)
		sameFloat(t, "QuoWords", f, ok, want)
		f, ok = num.WordFloat64(x, z)
		sameFloat(t, "WordFloat64", f, ok, scaled(big.NewInt(x), z))
	}
	for _, zero := range [][2]int64{{0, 3}, {0, -3}, {3, 0}, {0, 0}} {
		f, ok := num.QuoWords(zero[0], zero[1], 2, 5)
		if ok != (zero[1] != 0) || math.Float64bits(f) != 0 {
			t.Fatalf("%d / %d = %v, %v", zero[0], zero[1], f, ok)
		}
	}
}

// Ties and their neighbours are where a rounding goes wrong: n/d = (2k+1)/2^54 exactly,
// or off by the least that the integers can hold.
func TestQuoFloat64_Ties(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		k := int64(rnd.Uint64N(1<<54)|1<<53) | 1 // 54 bits, odd: half way
		d := new(big.Int).Lsh(big.NewInt(int64(rnd.Uint64()>>rnd.UintN(60)|1)), rnd.UintN(60))
		n := new(big.Int).Mul(big.NewInt(k), d)
		n.Add(n, big.NewInt(int64(rnd.IntN(3)-1)))
		if n.BitLen() > 190 {
			continue
		}
		var a, b num.Int192
		a.SetBig(n)
		b.SetBig(d)
		f, ok := num.QuoFloat64(&a, 3, &b, 3)
		sameFloat(t, "QuoFloat64", f, ok, new(big.Rat).SetFrac(n, d))
	}
}

// The same through divisors of all lengths, in three words and in more, with words of all
// zeros and all ones, where the digit of the long division is guessed wrong.
func TestQuoFloat64_TiesOfLongNumbers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	words := []uint64{0, 1, ^uint64(0), ^uint64(0) - 1, 1 << 63, 1<<63 - 1, 1<<63 + 1}
	word := func() uint64 {
		if rnd.IntN(3) == 0 {
			return rnd.Uint64()
		}
		return words[rnd.IntN(len(words))]
	}
	for range 40000 {
		d := num.Int192{word(), word(), word() >> 1}
		for cut := rnd.IntN(3); cut > 0; cut-- {
			d[2], d[1], d[0] = 0, d[2], d[1]
		}
		bd := d.Big(new(big.Int))
		if bd.Sign() == 0 {
			continue
		}
		k := new(big.Int).SetUint64(rnd.Uint64N(1<<53) | 1<<53 | 1)
		n := new(big.Int).Mul(bd, k)
		if rnd.IntN(2) == 0 && n.BitLen() < 191 {
			n.Lsh(n, uint(191-n.BitLen()))
		}
		n.Add(n, big.NewInt(int64(rnd.IntN(3)-1)))
		j := min(rnd.IntN(39), max(0, 190-bd.BitLen())*3/10)
		bd.Mul(bd, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(j)), nil))
		var a, b num.Int192
		if !a.SetBig(n) || !b.SetBig(bd) {
			a, b = num.Int192{word(), word(), word()}, d
		}
		f, ok := num.QuoFloat64(&a, 0, &b, j)
		if b.Sign() == 0 {
			continue
		}
		sameFloat(t, "QuoFloat64", f, ok, new(big.Rat).Quo(scaled(a.Big(new(big.Int)), 0), scaled(b.Big(new(big.Int)), j)))
		s := rnd.IntN(num.MaxPow10 + 1)
		f, ok = num.Float64Of(&a, s)
		sameFloat(t, "Float64Of", f, ok, scaled(a.Big(new(big.Int)), s))
	}
}

// Integers of 54 bits and a little more are where a quick path must not be taken.
func TestFloat64Of_JustAboveExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 9))
	for range 20000 {
		v := int64(1)<<53 + rnd.Int64N(1<<53) - 1<<10
		s := rnd.IntN(num.MaxScale + 1)
		x := num.FromInt64(v)
		f, ok := num.Float64Of(&x, s)
		sameFloat(t, "Float64Of", f, ok, scaled(big.NewInt(v), s))
		sameFloat(t, "Dec.Float64", num.Dec{M: v, S: int8(s)}.Float64(), true, scaled(big.NewInt(v), s))
	}
}

func TestRatDec38_HalfToEven(t *testing.T) {
	for _, c := range []struct {
		m    int64
		s    int8
		want int64
	}{{5, 1, 0}, {15, 1, 2}, {25, 1, 2}, {35, 1, 4}, {-5, 1, 0}, {-15, 1, -2}, {-25, 1, -2}, {251, 2, 3}, {249, 2, 2}, {-251, 2, -3}} {
		var x num.Rat
		if v, ok := x.SetDec(num.Dec{M: c.m, S: c.s}).Dec38(0); !ok || v.Int64() != c.want || !v.IsInt64() {
			t.Errorf("%v rounds to %d, want %d", num.Dec{M: c.m, S: c.s}, v.Int64(), c.want)
		}
		x.Round(&x, 0)
		if v, ok := x.Int64(); !ok || v != c.want {
			t.Errorf("Round(%v) = %d, want %d", num.Dec{M: c.m, S: c.s}, v, c.want)
		}
	}
	var x num.Rat
	most := num.FromInt64(1)
	most.MulPow10(38)
	if _, ok := x.SetInt192(&most, 0).Dec38(0); ok {
		t.Error("10^38 has 39 digits")
	}
	most.Add64(-1)
	if v, ok := x.SetInt192(&most, 0).Dec38(0); !ok || v != most {
		t.Error("10^38 - 1 has 38 digits")
	}
	if _, ok := x.SetInt64(1).Dec38(39); ok {
		t.Error("took scale 39")
	}
}

func TestRat_AgreesWithBigRat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, wx := genRat(t, "x")
		y, wy := genRat(t, "y")
		want := new(big.Rat)
		z := x
		switch op := rapid.SampledFrom([]string{"+", "-", "*", "/", "neg", "abs", "floor", "round"}).Draw(t, "op"); op {
		case "+":
			z.Add(x, y)
			want.Add(wx, wy)
		case "-":
			z.Sub(x, y)
			want.Sub(wx, wy)
		case "*":
			z.Mul(x, y)
			want.Mul(wx, wy)
		case "/":
			if wy.Sign() == 0 {
				if x.Quo(x, y) {
					t.Fatal("divided by 0")
				}
				want.Set(wx)
				break
			}
			z.Quo(x, y)
			want.Quo(wx, wy)
		case "neg":
			z.Neg(x)
			want.Neg(wx)
		case "abs":
			z.Abs(x)
			want.Abs(wx)
		case "floor":
			z.Floor(x)
			q := new(big.Int).Div(wx.Num(), wx.Denom())
			want.SetInt(q)
		case "round":
			s := rapid.IntRange(0, 6).Draw(t, "s")
			z.Round(x, s)
			want.SetString(halfEven(wx, s))
		}
		if got := z.BigRat(new(big.Rat)); got.Cmp(want) != 0 {
			t.Fatalf("got %v, want %v", got, want)
		}
		if z.Cmp(y) != want.Cmp(wy) || z.Sign() != want.Sign() || z.IsInt() != want.IsInt() {
			t.Fatal("Cmp, Sign or IsInt")
		}
		f, ok := z.Float64()
		sameFloat(t, "Rat.Float64", f, ok, want)
		s := rapid.IntRange(0, 38).Draw(t, "scale")
		v, ok := z.Dec38(s)
		str := halfEven(want, s)
		w, _ := new(big.Rat).SetString(str)
		w.Mul(w, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(s)), nil)))
		if can := len(w.Num().Text(10)) <= 38+boolInt(w.Sign() < 0); ok != can || ok && v.Big(new(big.Int)).Cmp(w.Num()) != 0 {
			t.Fatalf("Dec38(%v, %d) = %v, %v; want %v", want, s, v.Big(new(big.Int)), ok, w)
		}
		if n, ok := z.Int64(); ok != (want.IsInt() && want.Num().IsInt64()) || ok && n != want.Num().Int64() {
			t.Fatal("Int64")
		}
	})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// halfEven rounds by comparing with the two neighbours, unlike the code under test.
func halfEven(x *big.Rat, s int) string {
	p := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(s)), nil))
	y := new(big.Rat).Mul(x, p)
	lo := new(big.Int).Div(y.Num(), y.Denom())
	frac := new(big.Rat).Sub(y, new(big.Rat).SetInt(lo))
	if c := frac.Cmp(big.NewRat(1, 2)); c > 0 || c == 0 && lo.Bit(0) == 1 {
		lo.Add(lo, big.NewInt(1))
	}
	return new(big.Rat).Quo(new(big.Rat).SetInt(lo), p).RatString()
}

func genRat(t *rapid.T, name string) (*num.Rat, *big.Rat) {
	z := new(num.Rat)
	switch rapid.IntRange(0, 5).Draw(t, name+"kind") {
	case 0:
		d := genDec(t, name)
		return z.SetDec(d), decRat(d)
	case 1:
		v, b := genInt192(t, name)
		s := rapid.IntRange(0, num.MaxPow10).Draw(t, name+"scale")
		return z.SetInt192(&v, s), scaled(b, s)
	case 2:
		v := genInt64(t, name)
		return z.SetInt64(v), new(big.Rat).SetInt64(v)
	case 3:
		v := genInt64(t, name)
		return z.SetQ(v), new(big.Rat).SetFrac(big.NewInt(v), big.NewInt(1<<num.QBits))
	case 4:
		v, b := genInt192(t, name)
		return z.SetBinary(&v, 120), new(big.Rat).SetFrac(b, new(big.Int).Lsh(big.NewInt(1), 120))
	}
	return z, new(big.Rat) // the zero value
}

// Far from 1: overflow, subnormals, the border to 0, and the growth that is reduced.
func TestRatFloat64_Extremes(t *testing.T) {
	for _, start := range []int64{3, 7, 1<<53 + 1, 1<<62 - 1} {
		for _, down := range []bool{false, true} {
			var x, f num.Rat
			x.SetInt64(start)
			f.SetDec(num.Dec{M: 1000003, S: 1})
			for range 140 {
				if down {
					x.Quo(&x, &f)
				} else {
					x.Mul(&x, &f)
				}
				want := x.BigRat(new(big.Rat))
				g, ok := x.Float64()
				sameFloat(t, "Float64", g, ok, want)
				x.Neg(&x)
			}
		}
	}
	for _, e := range []uint{1022, 1023, 1073, 1074, 1075, 1076} {
		for n := int64(-9); n <= 9; n++ {
			var x, h num.Rat
			x.SetInt64(n)
			h.SetDec(num.Dec{M: 5, S: 1})
			for range e {
				x.Mul(&x, &h)
			}
			g, ok := x.Float64()
			sameFloat(t, "Float64", g, ok, x.BigRat(new(big.Rat)))
			if math.Signbit(g) && g == 0 {
				t.Fatal("-0")
			}
		}
	}
}

func TestRatSqrt64_RoundsOnce(t *testing.T) {
	half := new(big.Float).SetPrec(600)
	rapid.Check(t, func(t *rapid.T) {
		x, want := genRat(t, "x")
		if rapid.Bool().Draw(t, "square") {
			x.Mul(x, x)
			want.Mul(want, want)
		}
		f, ok := x.Sqrt64()
		if want.Sign() < 0 {
			if ok {
				t.Fatal("root of a negative number")
			}
			return
		}
		w, _ := half.Sqrt(new(big.Float).SetPrec(600).SetRat(want)).Float64()
		if !ok || f != w {
			t.Fatalf("Sqrt64(%v) = %v, %v; want %v", want, f, ok, w)
		}
	})
	// Halfway cases are squares of 54-bit odd numbers; the neighbours must go their way.
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		k := new(big.Int).SetUint64(rnd.Uint64N(1<<53) | 1<<53 | 1)
		sq := new(big.Int).Mul(k, k)
		sq.Lsh(sq, 2*rnd.UintN(30))
		sq.Add(sq, big.NewInt(int64(rnd.IntN(3)-1)))
		var v num.Int192
		v.SetBig(sq)
		var x num.Rat
		f, ok := x.SetInt192(&v, 0).Sqrt64()
		w, _ := half.Sqrt(new(big.Float).SetPrec(600).SetInt(sq)).Float64()
		if !ok || f != w {
			t.Fatalf("Sqrt64(%v) = %v, want %v", sq, f, w)
		}
	}
}

func FuzzRatFloat64(f *testing.F) {
	f.Add(int64(1), int64(3), int8(4), int8(2), uint64(0), uint64(0))
	f.Add(int64(1<<53+1), int64(2), int8(0), int8(0), uint64(1), uint64(1<<63))
	f.Fuzz(func(t *testing.T, n, d int64, sn, sd int8, n1, n2 uint64) {
		sn, sd = sn&31, sd&31
		a, b := num.Int192{uint64(n), n1, n2}, num.FromInt64(d)
		if d == 0 {
			return
		}
		want := new(big.Rat).Quo(scaled(a.Big(new(big.Int)), int(sn)), scaled(big.NewInt(d), int(sd)))
		var x, y num.Rat
		x.SetInt192(&a, int(sn))
		x.Quo(&x, y.SetInt192(&b, int(sd)))
		g, ok := x.Float64()
		sameFloat(t, "Rat.Float64", g, ok, want)
		g, ok = num.QuoFloat64(&a, int(sn), &b, int(sd))
		sameFloat(t, "QuoFloat64", g, ok, want)
		g, ok = num.Float64Of(&a, int(sn))
		sameFloat(t, "Float64Of", g, ok, scaled(a.Big(new(big.Int)), int(sn)))
	})
}
