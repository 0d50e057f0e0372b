package features

import (
	"math/bits"

	"github.com/pinova-group/tidemark/market/num"
)

// squareSums is for each row, and the next one, the sum of the squares of all rows before it; differences are exact. Spreads are the
// same wherever values are counted from, so as long as they lie close together squares are those of distances from the first value.
type squareSums struct {
	near  []int64 // of distances, modulo 2^64; nil when they lie too far apart for that
	first int64   // the value that they are counted from
	far   uint64  // bits of the distances seen

	wide []num.Nat128 // of values, modulo 2^128; nil with near, and when no frame asks for squares
}

// close tells that no sum of the squares of so many distances, with bits like these, has more than 64 bits.
func (q *squareSums) close(far uint64, rows int) bool {
	return 2*bits.Len64(far)+bits.Len64(uint64(rows)) <= 64
}

// push takes the squares of values, given the sums of those that there are.
func (q *squareSums) push(before, x []int64) {
	at := len(before) - 1
	if q.near != nil {
		if at == 0 {
			q.first, q.far = x[0], 0
		}
		for _, v := range x {
			d := v - q.first
			q.far |= uint64(d ^ d>>63)
		}
		if !q.close(q.far, at+len(x)) {
			q.widen(before)
		}
	}
	switch {
	case q.near != nil:
		q.near = extend(q.near, at+1+len(x))
		sum, to := q.near[at], q.near[at+1:][:len(x)]
		for i, v := range x {
			d := v - q.first
			sum += d * d
			to[i] = sum
		}
	case q.wide != nil:
		q.wide = extend(q.wide, at+1+len(x))
		sum, to := q.wide[at], q.wide[at+1:][:len(x)]
		for i, v := range x {
			sum = sum.Plus(num.Square(v))
			to[i] = sum
		}
	}
}

// widen turns to squares of values, given their sums.
func (q *squareSums) widen(before []int64) {
	q.near, q.wide = nil, make([]num.Nat128, len(before), 2*len(before))
	for i, sum := range before[1:] {
		q.wide[i+1] = q.wide[i].Plus(num.Square(sum - before[i]))
	}
}

// refine makes values f times as great, given their sums so far; n more will come.
func (q *squareSums) refine(before []int64, f uint64, n int) {
	if q.near != nil {
		hi, far := bits.Mul64(q.far+1, f)
		if hi == 0 && q.close(far, len(before)+n) {
			q.first, q.far = q.first*int64(f), far
			for i := range q.near {
				q.near[i] *= int64(f * f)
			}
			return
		}
		q.widen(before)
	}
	for i := range q.wide {
		q.wide[i] = q.wide[i].Times(f).Times(f)
	}
}

// spread is n·S2 − S1² of rows lo to hi. Sums have at most 62 bits and so has n times the greatest value: no product has more than 124.
func (a *fastArg) spread(lo, hi int) num.Nat128 {
	n, sum := uint64(hi-lo), a.before[hi]-a.before[lo]
	if q := &a.squares; q.near != nil {
		h, l := bits.Mul64(n, uint64(q.near[hi]-q.near[lo]))
		return num.Nat128{Hi: h, Lo: l}.Minus(num.Square(sum - int64(n)*q.first))
	}
	return a.squares.wide[hi].Minus(a.squares.wide[lo]).Times(n).Minus(num.Square(sum))
}

// forget drops the first k rows.
func (q *squareSums) forget(k int) {
	switch {
	case q.near != nil:
		q.near = cutFront(q.near, k)
	case q.wide != nil:
		q.wide = cutFront(q.wide, k)
	}
}

// cut forgets the rows from a place on.
func (q *squareSums) cut(n int) {
	switch {
	case q.near != nil:
		q.near = q.near[:n+1]
	case q.wide != nil:
		q.wide = q.wide[:n+1]
	}
}
