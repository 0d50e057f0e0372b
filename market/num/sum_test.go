package num_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market/num"
)

// run is a piece of input: terms m (or products m × b) with one scale.
type run struct {
	m, b   []int64
	sm, sb int8
}

func genRun(t *rapid.T) run {
	n := rapid.OneOf(rapid.IntRange(1, 5), rapid.IntRange(1, 600)).Draw(t, "n")
	r := run{m: make([]int64, n), sm: int8(rapid.IntRange(0, 18).Draw(t, "sm")), sb: -1}
	rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	fill := func(x []int64, name string) {
		shift := rapid.IntRange(0, 63).Draw(t, name+"shift")
		sign := rapid.Bool().Draw(t, name+"sign")
		for i := range x {
			x[i] = int64(rnd.Uint64()) >> shift
			if x[i] < 0 && !sign {
				x[i] = ^x[i]
			}
		}
		if rapid.IntRange(0, 9).Draw(t, name+"edge") == 0 {
			x[rnd.IntN(n)] = rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, -1, 0}).Draw(t, name+"value")
		}
	}
	fill(r.m, "m")
	if rapid.Bool().Draw(t, "prod") {
		r.b, r.sb = make([]int64, n), int8(rapid.IntRange(0, 18).Draw(t, "sb"))
		fill(r.b, "b")
	}
	return r
}

func (r run) scale() int {
	if r.b == nil {
		return int(r.sm)
	}
	return int(r.sm + r.sb)
}

// addTo adds the run whole, or row by row.
func (r run) addTo(w []uint64, whole bool) {
	switch {
	case whole && r.b == nil:
		num.SumAddRun(w, r.m, r.sm)
	case whole:
		num.SumAddProdRun(w, r.m, r.b, r.sm, r.sb)
	case r.b == nil:
		for _, m := range r.m {
			num.SumAdd(w, m, r.sm)
		}
	default:
		for i, m := range r.m {
			num.SumAddProd(w, m, r.b[i], r.sm, r.sb)
		}
	}
}

// exact is the sum of runs as a big integer at the greatest scale.
func exact(runs []run) (*big.Int, int) {
	sum, scale := new(big.Int), 0
	for _, r := range runs {
		scale = max(scale, r.scale())
	}
	for _, r := range runs {
		part := new(big.Int)
		for i, m := range r.m {
			v := big.NewInt(m)
			if r.b != nil {
				v.Mul(v, big.NewInt(r.b[i]))
			}
			part.Add(part, v)
		}
		part.Mul(part, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale-r.scale())), nil))
		sum.Add(sum, part)
	}
	return sum, scale
}

func count(runs []run) (n int64) {
	for _, r := range runs {
		n += int64(len(r.m))
	}
	return n
}

func TestSum_ExactAndFreeOfOrderAndCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		runs := rapid.SliceOfN(rapid.Custom(genRun), 0, 6).Draw(t, "runs")
		want, scale := exact(runs)
		n := count(runs)
		a := make([]uint64, num.SumWords)
		for _, r := range runs {
			r.addTo(a, true)
		}
		v, s, ok := num.SumValue(a, n)
		if s != scale {
			t.Fatalf("scale %d, want %d", s, scale)
		}
		if ok && v.Big(new(big.Int)).Cmp(want) != 0 {
			t.Fatalf("sum %v, want %v", v.Big(new(big.Int)), want)
		}
		if !ok && want.BitLen() < 100 && want.Sign() != 0 && len(runs) == 1 && runs[0].scale() < 10 && n < 10 {
			t.Fatalf("refused a sum of %d bits", want.BitLen())
		}
		// Other order, other cut, partial states merged: the same words.
		perm := rapid.Permutation(runs).Draw(t, "perm")
		parts := [3][]uint64{make([]uint64, 4), make([]uint64, 4), make([]uint64, 4)}
		for i, r := range perm {
			half := run{m: r.m[len(r.m)/2:], sm: r.sm, sb: r.sb}
			rest := run{m: r.m[:len(r.m)/2], sm: r.sm, sb: r.sb}
			if r.b != nil {
				half.b, rest.b = r.b[len(r.m)/2:], r.b[:len(r.m)/2]
			}
			half.addTo(parts[i%3], rapid.Bool().Draw(t, "whole"))
			rest.addTo(parts[(i+1)%3], rapid.Bool().Draw(t, "whole"))
		}
		b := make([]uint64, num.SumWords)
		for _, p := range parts {
			num.SumMerge(b, p)
		}
		if !slices.Equal(a, b) {
			t.Fatalf("state %x by runs, %x by parts", a, b)
		}
		// A prefix taken out again leaves the value of the rest.
		num.SumSub(b, parts[0])
		num.SumMerge(parts[1], parts[2])
		x, xs, _ := num.SumValue(b, n)
		y, ys, _ := num.SumValue(parts[1], n)
		y.MulPow10(xs - ys)
		if x != y {
			t.Fatalf("difference of prefixes %x, want %x", x, y)
		}
	})
}

// The verdict of overflow must be free of order although the running sum leaves 191
// bits on the way, and must never let a wrapped value through.
func TestSumValue_RefusesWhatMayHaveWrapped(t *testing.T) {
	up, down := make([]uint64, 4), make([]uint64, 4)
	big1 := []int64{math.MaxInt64}
	num.SumAddProdRun(up, big1, big1, 0, 0)
	num.SumAdd(up, 1, 36) // 2^126 × 10^36 does not fit
	num.SumAdd(up, 0, 0)
	num.SumAdd(down, 1, 36)
	num.SumAdd(down, 0, 0)
	num.SumAddProdRun(down, big1, big1, 0, 0)
	_, _, ok1 := num.SumValue(up, 3)
	_, _, ok2 := num.SumValue(down, 3)
	if ok1 || ok2 || !slices.Equal(up, down) {
		t.Errorf("verdicts %v, %v; states %x, %x", ok1, ok2, up, down)
	}
	// A day of large notional is far from the border: 1e13 × 1e11 at scale 16, 2^33 rows.
	w := make([]uint64, 4)
	num.SumAddProd(w, 1e13, 1e11, 8, 8)
	if _, _, ok := num.SumValue(w, 1<<33); !ok {
		t.Error("refused an ordinary notional")
	}
	if v, s, ok := num.SumValue(make([]uint64, 4), 0); !ok || s != 0 || v.Sign() != 0 {
		t.Error("the empty sum is not 0")
	}
	w = make([]uint64, 4)
	for range 5 {
		num.SumAdd(w, -1, 2)
	}
	if v, s, ok := num.SumValue(w, 5); !ok || s != 2 || v.Int64() != -5 {
		t.Errorf("sum of -0.01 × 5 = %v, %d, %v", v, s, ok)
	}
}

func TestScaleRun(t *testing.T) {
	for _, c := range []struct {
		s    []int8
		want int
	}{{nil, 0}, {[]int8{3}, 1}, {[]int8{3, 3, 2, 3}, 2}, {slices.Repeat([]int8{5}, 100), 100}, {append(slices.Repeat([]int8{5}, 77), 4, 5), 77}} {
		if got := num.ScaleRun(c.s); got != c.want {
			t.Errorf("ScaleRun(%v) = %d, want %d", c.s, got, c.want)
		}
	}
}

func TestSum_RowsAndSelectionsAreTheLoop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRun(t)
		n := len(r.m)
		scales := make([]int8, n)
		sel := make([]uint8, n)
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		spread, share := rapid.IntRange(0, 3).Draw(t, "spread"), rapid.IntRange(0, 4).Draw(t, "share")
		for i := range scales {
			scales[i] = int8(8 + rnd.IntN(spread*8+1)/8)
			if rnd.IntN(4) < share {
				sel[i] = 1
			}
		}
		one := func(f func(w []uint64)) []uint64 {
			w := []uint64{7, 0, 0, 3 | 260<<8}
			f(w)
			return w
		}
		got := one(func(w []uint64) { num.SumAddRows(w, r.m, scales) })
		want := one(func(w []uint64) {
			for i, m := range r.m {
				num.SumAdd(w, m, scales[i])
			}
		})
		if !slices.Equal(got, want) {
			t.Fatalf("SumAddRows %x, want %x", got, want)
		}
		b, taken, ones := r.b, 0, 0
		if b == nil {
			b = r.m
		}
		for _, v := range sel {
			ones += int(v)
		}
		got = one(func(w []uint64) {
			taken = num.SumAddRunSel(w, r.m, 9, sel) + num.SumAddProdRunSel(w, r.m, b, 3, 9, sel)
		})
		want = one(func(w []uint64) {
			for i, m := range r.m {
				if sel[i] == 1 {
					num.SumAdd(w, m, 9)
					num.SumAddProd(w, m, b[i], 3, 9)
				}
			}
		})
		if !slices.Equal(got, want) || taken != 2*ones {
			t.Fatalf("selected %x (%d), want %x (%d)", got, taken, want, 2*ones)
		}
	})
}

// Full blocks of the longest terms of every length: where a loop of too few words would wrap.
func TestSum_FullBlocksOfEveryLength(t *testing.T) {
	const n = 256 + 77
	a, b := make([]int64, n), make([]int64, n)
	fill := func(x []int64, v int64) {
		for i := range x {
			x[i] = v
		}
	}
	check := func(what string, w []uint64, term *big.Int) {
		t.Helper()
		v, _, ok := num.SumValue(w, n)
		if want := new(big.Int).Mul(term, big.NewInt(n)); !ok || v.Big(new(big.Int)).Cmp(want) != 0 {
			t.Fatalf("%s: %v, %v; want %v", what, v.Big(new(big.Int)), ok, want)
		}
	}
	for la := range 64 {
		for _, x := range []int64{1<<la - 1, -(1<<la - 1), -1 << la} {
			fill(a, x)
			w := make([]uint64, num.SumWords)
			num.SumAddRun(w, a, 0)
			check("SumAddRun", w, big.NewInt(x))
			for lb := range 64 {
				for _, y := range []int64{1<<lb - 1, -1 << lb} {
					fill(b, y)
					clear(w)
					num.SumAddProdRun(w, a, b, 0, 0)
					check("SumAddProdRun", w, new(big.Int).Mul(big.NewInt(x), big.NewInt(y)))
				}
			}
		}
	}
}

// All ways to add a term leave the same words, at the borders of every length too: else
// the verdict would depend on which way was taken.
func TestSum_AllWaysLeaveTheSameWords(t *testing.T) {
	for k := range 64 {
		for _, m := range []int64{1<<k - 1, 1 << k, -1 << k, 1 - 1<<k, -1 - 1<<k} {
			want := make([]uint64, num.SumWords)
			num.SumAdd(want, m, 7)
			v := num.FromInt64(m)
			for what, f := range map[string]func(w []uint64){
				"SumAddRun":          func(w []uint64) { num.SumAddRun(w, []int64{m}, 7) },
				"SumAddRun, zeros":   func(w []uint64) { num.SumAddRun(w, []int64{0, m, 0}, 7) },
				"SumAddProd":         func(w []uint64) { num.SumAddProd(w, m, 1, 3, 4) },
				"SumAddProdRun":      func(w []uint64) { num.SumAddProdRun(w, []int64{1}, []int64{m}, 3, 4) },
				"SumAddProdRun -":    func(w []uint64) { num.SumAddProdRun(w, []int64{0, m}, []int64{math.MinInt64, 1}, 3, 4) },
				"SumAddInt192":       func(w []uint64) { num.SumAddInt192(w, &v, 7) },
				"SumMerge":           func(w []uint64) { num.SumMerge(w, want) },
				"SumAdd after scale": func(w []uint64) { num.SumAdd(w, 0, 7); num.SumAdd(w, m, 7) },
			} {
				w := make([]uint64, num.SumWords)
				f(w)
				if !slices.Equal(w, want) {
					t.Fatalf("%s of %d leaves %x, SumAdd %x", what, m, w, want)
				}
			}
		}
	}
}

// Near the border of 191 bits a sum is either exact or refused, and refused only within
// six bits of it.
func TestSumValue_Border(t *testing.T) {
	for scale := range int8(37) {
		for shift := 0; shift < 64; shift += 3 {
			w := make([]uint64, num.SumWords)
			num.SumAdd(w, 0, scale)
			num.SumAddProd(w, -1<<shift, math.MinInt64, 0, 0)
			want := new(big.Int).Lsh(big.NewInt(1), uint(63+shift))
			want.Mul(want, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
			for n := int64(1); n < 1<<40; n *= 2 {
				v, _, ok := num.SumValue(w, n)
				if ok && v.Big(new(big.Int)).Cmp(want) != 0 {
					t.Fatalf("scale %d, %d terms: %v, want %v", scale, n, v.Big(new(big.Int)), want)
				}
				if !ok && want.BitLen() <= 185 {
					t.Fatalf("scale %d, %d terms: refused a sum of %d bits", scale, n, want.BitLen())
				}
				num.SumMerge(w, w) // twice the terms
				want.Lsh(want, 1)
			}
		}
	}
}
