package op

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market/num"
)

// Medians and quantiles against sorted lists of big rationals.
func TestOrder_MatchesSortedList(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		n := rapid.IntRange(1, 200).Draw(rt, "n")
		span := rapid.SampledFrom([]int64{3, 50, 1 << 40}).Draw(rt, "span")
		p := num.Dec{M: rapid.Int64Range(0, 1000).Draw(rt, "p"), S: 3}
		var sc Scratch
		acc := Acc{Fn: Order, Kind: KExact}
		st := make([]uint64, 1)
		var list []*big.Rat
		for range n {
			var v Val
			v.SetDec(g.Int64N(2*span)-span, int8(g.IntN(19)))
			acc.Fold(st, &v, 0, &sc)
			list = append(list, ratOf(&v, KExact))
		}
		slices.SortFunc(list, (*big.Rat).Cmp)
		var got Val
		acc.Load(&got, st, 0, &sc)
		want := new(big.Rat).Add(list[(n-1)/2], list[n/2])
		if want.Mul(want, big.NewRat(1, 2)); ratOf(&got, KExact).Cmp(want) != 0 {
			rt.Fatalf("median %v, want %v", ratOf(&got, KExact), want)
		}
		h := new(big.Rat).Mul(big.NewRat(p.M, 1000), big.NewRat(int64(n-1), 1))
		at := new(big.Int).Quo(h.Num(), h.Denom()).Int64()
		want.Sub(list[min(int(at)+1, n-1)], list[at])
		want.Mul(want, h.Sub(h, big.NewRat(at, 1)))
		want.Add(want, list[at])
		acc.Quantile(&got, st, p, &sc)
		if ratOf(&got, KRatio).Cmp(want) != 0 {
			rt.Fatalf("quantile %s of %v: %v, want %v", p, list, ratOf(&got, KRatio), want)
		}
	})
}

// The weighted median by the rule itself, over a list.
func TestWeighted_MatchesSortedList(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		n := rapid.IntRange(1, 60).Draw(rt, "n")
		var sc Scratch
		acc := Acc{Fn: Weighted, Kind: KExact, With: KExact}
		st := make([]uint64, 1)
		type pair struct{ x, w *big.Rat }
		var list []pair
		total := new(big.Rat)
		for range n {
			var x, w, in Val
			x.SetDec(g.Int64N(20)-10, int8(g.IntN(2)))
			w.SetDec(g.Int64N(4), int8(g.IntN(3)))
			in.NewPair(&x, &w)
			acc.Fold(st, &in, 0, &sc)
			list = append(list, pair{ratOf(&x, KExact), ratOf(&w, KExact)})
			total.Add(total, ratOf(&w, KExact))
		}
		slices.SortFunc(list, func(a, b pair) int { return a.x.Cmp(b.x) })
		var want *big.Rat
		half, sum := new(big.Rat).Mul(total, big.NewRat(1, 2)), new(big.Rat)
		for i := range list {
			if sum.Add(sum, list[i].w); sum.Cmp(half) < 0 || total.Sign() == 0 {
				continue
			}
			want = list[i].x
			if sum.Cmp(half) == 0 {
				for k := i + 1; ; k++ {
					if list[k].w.Sign() > 0 {
						want = new(big.Rat).Add(want, list[k].x)
						want.Mul(want, big.NewRat(1, 2))
						break
					}
				}
			}
			break
		}
		var got Val
		acc.Load(&got, st, 0, &sc)
		if got.Null != (want == nil) || want != nil && ratOf(&got, KExact).Cmp(want) != 0 {
			rt.Fatalf("weighted median of %v: %v, want %v", list, ratOf(&got, KExact), want)
		}
	})
}

// What is no weight, and what is too long, is left out and said.
func TestWeighted_RefusesWhatDoesNotFit(t *testing.T) {
	var sc Scratch
	acc := Acc{Fn: Weighted, Kind: KExact, With: KExact}
	st := make([]uint64, 1)
	for _, w := range []num.Dec{{M: -1}, {M: 1, S: 36}, {M: 1 << 62}} {
		var x, v, in Val
		x.SetInt(1)
		v.SetDec(w.M, w.S)
		in.NewPair(&x, &v)
		if w.M == 1<<62 && !acc.Fold(st, &in, 0, &sc) || w.M != 1<<62 && acc.Fold(st, &in, 0, &sc) {
			t.Errorf("weight %v", w)
		}
	}
	acc = Acc{Fn: Order, Kind: KExact}
	var v Val
	v.W, v.S = num.Int192{1, 0, 1}, 3
	if st[0] = 0; acc.Fold(st, &v, 0, &sc) {
		t.Error("a value of 129 bits was taken")
	}
}
