package op

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkFold_Statistics is the cost of an input of the accumulators that keep more than
// a few words.
func BenchmarkFold_Statistics(b *testing.B) {
	for _, f := range []Func{Order, Weighted, Moments, Comoments, ArgMax, Paths} {
		b.Run(f.String(), func(b *testing.B) {
			g := rand.New(rand.NewPCG(1, 2))
			var sc Scratch
			a := Acc{Fn: f, Kind: KExact, With: KExact, Bits: 4}
			var ins [1024]*Val
			for i := range ins {
				var x, y Val
				x.SetDec(5_000_000+g.Int64N(2000), 2)
				y.SetDec(g.Int64N(1e9), 8)
				if ins[i] = &x; Table[f].Pair {
					ins[i] = new(Val)
					ins[i].NewPair(&x, &y)
				}
			}
			st := make([]uint64, a.Words())
			for i := 0; b.Loop(); i++ {
				if i%10_000 == 0 {
					a.Free(st, &sc)
				}
				a.Fold(st, ins[i%1024], int64(i), &sc)
			}
		})
	}
}

// BenchmarkMedian is the cost of a row's median of a thousand different values.
func BenchmarkMedian(b *testing.B) {
	g := rand.New(rand.NewPCG(1, 2))
	var sc Scratch
	a := Acc{Fn: Order, Kind: KExact}
	st := make([]uint64, 1)
	var v Val
	for range 20_000 {
		v.SetDec(5_000_000+g.Int64N(1000), 2)
		a.Fold(st, &v, 0, &sc)
	}
	for b.Loop() {
		a.Load(&v, st, 0, &sc)
	}
}
