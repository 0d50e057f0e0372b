package num_test

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/pinova-group/tidemark/market/num"
)

func BenchmarkParseDec(b *testing.B) {
	for _, s := range []string{"61837.63000000", "0.00120000", "61837.63", "1234567", "3.844E-5"} {
		in := []byte(s)
		b.Run(s, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				if _, err := num.ParseDec(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("strconv.ParseFloat", func(b *testing.B) {
		for b.Loop() {
			if _, err := strconv.ParseFloat("61837.63000000", 64); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSum reports the time of one row.
func BenchmarkSum(b *testing.B) {
	const n = 4096
	rnd := rand.New(rand.NewPCG(1, 1))
	price, qty, wide := make([]int64, n), make([]int64, n), make([]int64, n)
	for i := range price {
		price[i] = 6183763000000 + rnd.Int64N(1e10) // scale 8 as Binance sends it
		qty[i] = rnd.Int64N(1e9)
		wide[i] = int64(rnd.Uint64())
	}
	short := make([]int64, n) // scale 2
	for i := range short {
		short[i] = price[i] / 1e6
	}
	w := make([]uint64, num.SumWords)
	per := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			clear(w)
			for b.Loop() {
				f()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
		})
	}
	per("run", func() { num.SumAddRun(w, price, 8) })
	per("run-wide", func() { num.SumAddRun(w, wide, 8) })
	per("prod-short", func() { num.SumAddProdRun(w, short, qty, 2, 8) })
	per("prod", func() { num.SumAddProdRun(w, price, qty, 8, 8) })
	per("prod-wide", func() { num.SumAddProdRun(w, wide, wide, 8, 8) })
	scales, sel := make([]int8, n), make([]uint8, n)
	for i := range scales {
		scales[i], sel[i] = 8, uint8(rnd.IntN(2))
	}
	per("rows", func() { num.SumAddRows(w, price, scales) })
	per("run-half", func() { num.SumAddRunSel(w, price, 8, sel) })
	per("prod-half", func() { num.SumAddProdRunSel(w, price, qty, 8, 8, sel) })
	mixed := slices.Clone(scales)
	for i := range mixed {
		mixed[i] -= int8(sel[i])
	}
	per("rows-mixed", func() { num.SumAddRows(w, price, mixed) })
	per("one-by-one", func() {
		for _, m := range price {
			num.SumAdd(w, m, 8)
		}
	})
	per("runs-of-4", func() {
		for i := 0; i < n; i += 4 {
			num.SumAddRun(w, price[i:i+4], 8)
		}
	})
	per("prod-runs-of-4", func() {
		for i := 0; i < n; i += 4 {
			num.SumAddProdRun(w, price[i:i+4], qty[i:i+4], 8, 8)
		}
	})
}

func BenchmarkFinish(b *testing.B) {
	var notional, volume num.Int192
	for range 1000 {
		notional.AddProd(6183763000001, 123456789)
		volume.Add64(123456789)
	}
	wide := notional
	wide.MulPow10(20)
	b.Run("QuoFloat64/vwap", func(b *testing.B) {
		for b.Loop() {
			num.QuoFloat64(&notional, 16, &volume, 8)
		}
	})
	b.Run("QuoFloat64/wide", func(b *testing.B) {
		for b.Loop() {
			num.QuoFloat64(&wide, 36, &volume, 8)
		}
	})
	b.Run("Float64Of", func(b *testing.B) {
		for b.Loop() {
			num.Float64Of(&notional, 16)
		}
	})
	b.Run("Float64Of/wide", func(b *testing.B) {
		for b.Loop() {
			num.Float64Of(&wide, 36)
		}
	})
	b.Run("Dec.Float64", func(b *testing.B) {
		d := num.Dec{M: 6183763000000, S: 8}
		for b.Loop() {
			d.Float64()
		}
	})
	b.Run("Dec.Float64/wide", func(b *testing.B) {
		d := num.Dec{M: 6183763000000123456, S: 14}
		for b.Loop() {
			d.Float64()
		}
	})
	var x, y, z num.Rat
	b.Run("Rat/variance", func(b *testing.B) {
		for b.Loop() { // (n·Σx² − (Σx)²) / n(n−1), then its root
			x.SetInt192(&notional, 16)
			x.Mul(&x, y.SetInt64(1000))
			y.SetInt192(&volume, 8)
			x.Sub(&x, y.Mul(&y, &y))
			x.Quo(&x, z.SetInt64(1000*999))
			x.Abs(&x)
			x.Sqrt64()
		}
	})
	b.Run("Rat/Float64", func(b *testing.B) {
		for b.Loop() {
			x.Float64()
		}
	})
	b.Run("Rat/Dec38", func(b *testing.B) {
		for b.Loop() {
			x.Dec38(10)
		}
	})
	b.Run("big.Rat/vwap", func(b *testing.B) {
		n, v := notional.Big(new(big.Int)), volume.Big(new(big.Int))
		for b.Loop() {
			new(big.Rat).Quo(scaled(n, 16), scaled(v, 8)).Float64()
		}
	})
}

func BenchmarkLnRatio(b *testing.B) {
	x, y := num.Dec{M: 6183763000000, S: 8}, num.Dec{M: 6183710000000, S: 8}
	b.Run("tables", func(b *testing.B) {
		for b.Loop() {
			num.LnRatio(x, y)
		}
	})
	b.Run("scales", func(b *testing.B) {
		z := num.Dec{M: 618371, S: 1}
		for b.Loop() {
			num.LnRatio(x, z)
		}
	})
	b.Run("series", func(b *testing.B) {
		for b.Loop() {
			num.LnBySeries(x, y)
		}
	})
}
