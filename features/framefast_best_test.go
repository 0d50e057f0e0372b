package features

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/pinova-group/tidemark/market/num"
)

// Frames that move over rows find their greatest value, of equal ones the scale of the first, however often rows are forgotten and
// whenever rows are looked at.
func TestBest_FindsTheGreatestOfEachFrame(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 7))
	for try := range 400 {
		x := fastBest{least: try%2 == 1, at: make([]int, 3)}
		vals, own := []int64{}, []int8(nil)
		if try%3 > 0 {
			own = []int8{}
		}
		lo := []int{0, 0, 0}
		for range 60 {
			for range r.IntN(2 + try%80) {
				vals = append(vals, r.Int64N(int64(2+try%9))-3)
				if own != nil {
					own = append(own, int8(r.IntN(2)))
				}
			}
			if len(vals) == 0 || r.IntN(3) == 0 {
				continue // not asked for
			}
			v := fastVals{vals: vals, own: own}
			if own != nil || try%5 == 0 { // as of an argument
				v.sums, v.vals = []int64{7}, nil
				for i, y := range vals {
					v.sums = append(v.sums, v.sums[i]+y)
				}
			}
			x.take(v, len(vals))
			for u := range lo {
				lo[u] += r.IntN(len(vals) - lo[u])
				want := lo[u]
				for i := want; i < len(vals); i++ {
					if x.least && vals[i] < vals[want] || !x.least && vals[i] > vals[want] {
						want = i
					}
				}
				place, val := x.find(v, u, lo[u])
				if val != vals[want] || own != nil && (place < lo[u] || vals[place] != val || own[place] != own[want]) {
					t.Fatalf("try %d: from row %d of %v, scales %v: row %d, want row %d", try, lo[u], vals, own, place, want)
				}
			}
			if k := min(lo[0], lo[1], lo[2]); r.IntN(2) == 0 {
				x.forget(k)
				vals = vals[k:]
				if own != nil {
					own = own[k:]
				}
				for u := range lo {
					lo[u] -= k
				}
			}
		}
	}
}

// Spreads are the same whether squares are of distances or of values: at every size of them, and when one turns into the other.
func TestSquares_NearAndWideGiveTheSameSpreads(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 7))
	turned := 0
	for try := range 600 {
		size := 1 + try%40 // bits of the distances
		a := fastArg{before: []int64{0}}
		a.squares.near = make([]int64, 1)
		base := r.Int64N(1<<40) - 1<<39
		var vals []int64
		refined := false
		for range 1 + r.IntN(6) {
			x := make([]int64, 1+r.IntN(30))
			for i := range x {
				x[i] = base + r.Int64N(1<<size) - 1<<(size-1)
			}
			a.push(x)
			vals = append(vals, x...)
			switch op := r.IntN(4); {
			case op == 0 && !refined: // sums have 62 bits
				refined = true
				f := num.Pow10[1+r.IntN(3)]
				a.squares.refine(a.before, f, 30)
				for i := range a.before {
					a.before[i] *= int64(f)
				}
				for i := range vals {
					vals[i] *= int64(f)
				}
				base *= int64(f)
			case op == 1:
				k := r.IntN(len(vals))
				a.squares.forget(k)
				a.before, vals = cutFront(a.before, k), vals[k:]
			case op == 2:
				n := 1 + r.IntN(len(vals))
				a.squares.cut(n)
				a.before, vals = a.before[:n+1], vals[:n]
			}
			if a.squares.near == nil {
				turned++
			}
			for range 5 {
				lo := r.IntN(len(vals))
				hi := lo + 1 + r.IntN(len(vals)-lo)
				sum, squares := new(big.Int), new(big.Int)
				for _, v := range vals[lo:hi] {
					b := big.NewInt(v)
					sum.Add(sum, b)
					squares.Add(squares, b.Mul(b, b))
				}
				want := squares.Mul(squares, big.NewInt(int64(hi-lo)))
				want.Sub(want, sum.Mul(sum, sum))
				x := a.spread(lo, hi)
				got := new(big.Int).Or(new(big.Int).Lsh(new(big.Int).SetUint64(x.Hi), 64), new(big.Int).SetUint64(x.Lo))
				if got.Cmp(want) != 0 {
					t.Fatalf("try %d: rows %d to %d of %v: %v, want %v", try, lo, hi, vals, got, want)
				}
			}
		}
	}
	if turned == 0 {
		t.Error("squares were never of values")
	}
}

// Distances are kept up to the last one whose squares fit.
func TestSquares_TurnWhereTheyDoNotFit(t *testing.T) {
	for _, c := range []struct {
		far  int64
		rows int
		near bool
	}{{1<<31 - 1, 3, true}, {1<<31 - 1, 4, false}, {1 << 31, 1, false}, {1<<30 - 1, 15, true}, {1<<30 - 1, 16, false}, {-1 << 30, 15, true}} {
		a := fastArg{before: []int64{0}}
		a.squares.near = make([]int64, 1)
		x := make([]int64, c.rows)
		for i := range x[1:] {
			x[i+1] = c.far
		}
		if c.rows == 1 {
			a.push(x)
			x[0] = c.far
		}
		if a.push(x); (a.squares.near != nil) != c.near {
			t.Errorf("%d rows, %d away: near is %v", c.rows, c.far, !c.near)
		}
	}
}
