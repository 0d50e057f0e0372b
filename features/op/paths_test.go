package op

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market/num"
)

// tick is a point of a series as plain numbers.
type tick struct{ ts, v int64 }

// plainContrast looks at every pair of returns.
func plainContrast(x, y []tick, lag int64) int64 {
	sum := int64(0)
	for i := 1; i < len(x); i++ {
		for j := 1; j < len(y); j++ {
			if x[i-1].ts < y[j].ts-lag && y[j-1].ts-lag < x[i].ts {
				sum += (x[i].v - x[i-1].v) * (y[j].v - y[j-1].v)
			}
		}
	}
	return sum
}

// lastOfInstant keeps the last value at each instant.
func lastOfInstant(p []tick) (out []tick) {
	for i, t := range p {
		if i+1 == len(p) || p[i+1].ts > t.ts {
			out = append(out, t)
		}
	}
	return out
}

// Hayashi-Yoshida and the lead against all pairs of returns in plain integers, over inputs
// of one or both series, many at one instant, some taken off at the old end; now and then
// of values that are longer than a word.
func TestPaths_MatchAllPairs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		n := rapid.IntRange(1, 60).Draw(rt, "n")
		gone := rapid.IntRange(0, n).Draw(rt, "gone")
		var sc Scratch
		acc := Acc{Fn: Paths, Kind: KExact, With: KExact}
		st, part := make([]uint64, 1), make([]uint64, 1)
		var x, y []tick
		ts := int64(1000)
		ins, at := make([]*Val, n), make([]int64, n)
		unfold := rapid.Bool().Draw(rt, "unfold")
		digits := rapid.SampledFrom([]int{0, 18, 20}).Draw(rt, "digits") // at the end of each value
		for i := range n {
			var u, w, in Val
			u.SetDec(g.Int64N(100), int8(g.IntN(3)))
			w.SetDec(g.Int64N(100), int8(g.IntN(3)))
			plain := [2]int64{u.W.Int64() * int64(num.Pow10[2-u.S]), w.W.Int64() * int64(num.Pow10[2-w.S])}
			u.W.MulPow10(digits)
			w.W.MulPow10(digits)
			switch g.IntN(5) {
			case 0, 1:
				u.SetNull()
			case 2, 3:
				w.SetNull()
			}
			in.NewPair(&u, &w)
			ins[i], at[i] = &in, ts
			acc.Fold(part, &in, ts, &sc)
			if next := ts + g.Int64N(4)*g.Int64N(3); next > ts && g.IntN(3) == 0 || i == n-1 {
				acc.Merge(st, part, &sc)
				acc.Free(part, &sc)
				ts = next
			} else {
				ts = next
			}
			if i < gone && unfold {
				continue
			}
			if !u.Null {
				x = append(x, tick{at[i], plain[0]})
			}
			if !w.Null {
				y = append(y, tick{at[i], plain[1]})
			}
		}
		for i := 0; i < gone && unfold; i++ {
			acc.Unfold(st, ins[i], at[i], &sc)
		}
		x, y = lastOfInstant(x), lastOfInstant(y)
		var got Val
		acc.Statistic(&got, st, Statistic{Stat: StatHY}, &sc)
		if got.Null != (len(x) < 2 || len(y) < 2) {
			rt.Fatalf("null of %v %v", x, y)
		}
		if got.Null {
			return
		}
		want := big.NewRat(plainContrast(x, y, 0), 10_000)
		want.Mul(want, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(2*digits)), nil)))
		if ratOf(&got, KRatio).Cmp(want) != 0 {
			rt.Fatalf("hy of %v %v: %v, want %v", x, y, ratOf(&got, KRatio), want)
		}
		best, lead := int64(0), int64(0)
		for _, lag := range []int64{0, 2, -2, 4, -4, 6, -6} {
			if c := plainContrast(x, y, lag); max(c, -c) > best {
				best, lead = max(c, -c), lag
			}
		}
		acc.Statistic(&got, st, Statistic{Stat: StatLead, Max: 6, Step: 2}, &sc)
		if got.Null != (best == 0) || best != 0 && got.W.Int64() != lead {
			rt.Fatalf("lead of %v %v: %v, want %d", x, y, got.W, lead)
		}
	})
}

// Two series that move together, one later: the lead is by how much, positive when x leads.
func TestPaths_LeadIsPositiveWhenXLeads(t *testing.T) {
	g := rand.New(rand.NewPCG(3, 4))
	var sc Scratch
	acc := Acc{Fn: Paths, Kind: KExact, With: KExact}
	st := make([]uint64, 1)
	walk := []int64{100}
	for range 400 {
		walk = append(walk, walk[len(walk)-1]+g.Int64N(11)-5)
	}
	for i := int64(30); i < 400; i++ {
		var x, y, in Val
		if x.SetNull(); g.IntN(2) == 0 {
			x.SetInt(walk[i])
		}
		if y.SetNull(); g.IntN(3) == 0 {
			y.SetInt(walk[i-30])
		}
		in.NewPair(&x, &y)
		acc.Fold(st, &in, i, &sc)
	}
	var got Val
	if acc.Statistic(&got, st, Statistic{Stat: StatLead, Max: 100, Step: 5}, &sc); got.Null || got.W.Int64() != 30 {
		t.Errorf("lead %v, want 30", got.W)
	}
}
