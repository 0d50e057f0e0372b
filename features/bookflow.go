package features

import (
	"math"
	"math/bits"

	"github.com/pinova-group/tidemark/market/book"
	"github.com/pinova-group/tidemark/market/num"
)

// top is the best levels of a book, best first.
type top struct {
	n      [2]int // levels of each side, at most those asked for
	ps, qs int8
	p, q   [2][]int64
}

func newTop(deep int) *top {
	t := &top{}
	for s := range t.p {
		t.p[s], t.q[s] = make([]int64, deep), make([]int64, deep)
	}
	return t
}

// take copies the best levels of a book.
func (t *top) take(b *book.Book) {
	t.ps, t.qs = b.PriceScale(), b.QuantityScale()
	for s := range t.n {
		from := b.From(book.Side(s))
		t.n[s] = from.Next(t.p[s], t.q[s])
	}
}

// both is how many levels both sides have.
func (t *top) both() int { return min(t.n[0], t.n[1]) }

// whole reports whether there are two sides and they do not cross.
func (t *top) whole() bool { return t.both() > 0 && t.p[book.Bid][0] < t.p[book.Ask][0] }

// best is the best n levels of a side, or all that were taken.
func (t *top) best(s book.Side, n int) (p, q []int64) {
	n = min(n, t.n[s])
	return t.p[s][:n], t.q[s][:n]
}

// imbalance is Σ over levels first to last of Cont, Kukanov and Stoikov's
// e = 1{pb' ≥ pb}·qb' − 1{pb' ≤ pb}·qb − 1{pa' ≤ pa}·qa' + 1{pa' ≥ pa}·qa.
func imbalance(was, is *top, first, last int) (m int64, s int8, ok bool) {
	if was.ps != is.ps || was.qs != is.qs {
		if !was.raise(max(was.ps, is.ps), max(was.qs, is.qs)) || !is.raise(was.ps, was.qs) {
			return 0, 0, false
		}
	}
	if m, ok := plainImbalance(was, is, first, last); ok {
		return m, is.qs, true
	}
	var hi int64 // of the sum, 128 bits
	var lo uint64
	add := func(v int64, sign int64) {
		var c uint64
		v *= sign
		lo, c = bits.Add64(lo, uint64(v), 0)
		hi += v>>63 + int64(c)
	}
	for k := first - 1; k < last; k++ {
		if p, p1 := was.p[book.Bid][k], is.p[book.Bid][k]; true {
			if p1 >= p {
				add(is.q[book.Bid][k], 1)
			}
			if p1 <= p {
				add(was.q[book.Bid][k], -1)
			}
		}
		if p, p1 := was.p[book.Ask][k], is.p[book.Ask][k]; true {
			if p1 <= p {
				add(is.q[book.Ask][k], -1)
			}
			if p1 >= p {
				add(was.q[book.Ask][k], 1)
			}
		}
	}
	m = int64(lo)
	return m, is.qs, hi == m>>63
}

// plainImbalance is imbalance of levels of one scale whose quantities are far from 63 bits. What
// prices do is hard to guess, so they decide no branch.
func plainImbalance(was, is *top, first, last int) (sum int64, ok bool) {
	var all int64
	bp, bq, ap, aq := was.p[book.Bid][first-1:last], was.q[book.Bid][first-1:last], was.p[book.Ask][first-1:last], was.q[book.Ask][first-1:last]
	bp1, bq1, ap1, aq1 := is.p[book.Bid][first-1:last], is.q[book.Bid][first-1:last], is.p[book.Ask][first-1:last], is.q[book.Ask][first-1:last]
	for k, p := range bp {
		up, q, q1 := bp1[k]-p, bq[k], bq1[k] // of the bid
		sum += q1&^(up>>63) - q&^(-up>>63)
		all |= q | q1
		up, q, q1 = ap1[k]-ap[k], aq[k], aq1[k] // of the ask
		sum += q&^(up>>63) - q1&^(-up>>63)
		all |= q | q1
	}
	return sum, uint64(all) < 1<<48 && len(bp) < 1<<12
}

// raise brings all levels to finer scales.
func (t *top) raise(ps, qs int8) bool {
	ok := true
	for s := range t.p {
		ok = scaled(t.p[s][:t.n[s]], ps-t.ps) && scaled(t.q[s][:t.n[s]], qs-t.qs) && ok
	}
	t.ps, t.qs = ps, qs
	return ok
}

func scaled(m []int64, by int8) bool {
	f, ok := int64(num.Pow10[by]), true
	for i := range m {
		ok = ok && m[i] <= math.MaxInt64/f
		m[i] *= f
	}
	return ok
}
