package features

import (
	"math"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/market/book"
	"github.com/pinova-group/tidemark/market/num"
)

// near is a depth that views read: the quantity of a side within a distance of mid.
type near struct {
	side book.Side
	dist num.Dec
}

// depth is the sum of a side down to a price. It follows the changes of the book: hundreds
// of levels lie within ten basis points, a message changes a few.
type depth struct {
	known  bool
	twice  uint64 // bid + ask, from which the border is
	border int64  // the worst price that counts
	sum    int64
	ps, qs int8
}

// moved forgets the sums.
func (x *liveBook) moved() {
	for i := range x.depths {
		x.depths[i].known = false
	}
}

// plainQuantity bounds the quantities with which sums are followed, so that none leaves 63
// bits on the way.
const plainQuantity = 1 << 56

// follow adds to the sums what a message, which has not been applied yet, will change.
func (b *books) follow(x *liveBook, bids, asks *book.Levels) {
	for i := range x.depths {
		d := &x.depths[i]
		if !d.known {
			continue
		}
		in := bids
		if b.nears[i].side == book.Ask {
			in = asks
		}
		d.known = d.change(&x.book, b.nears[i].side, in)
	}
}

// change is follow for one sum; false when it must be worked out again.
func (d *depth) change(k *book.Book, s book.Side, in *book.Levels) bool {
	if len(in.Price) == 0 {
		return true
	}
	if in.PriceScale != d.ps || in.QuantityScale != d.qs || len(in.Price) != len(in.Quantity) {
		return false
	}
	sign := 1 - 2*int64(s)
	for i, v := range in.Price {
		if i > 1 && (v > in.Price[i-1]) != (in.Price[1] > in.Price[0]) || i > 0 && v == in.Price[i-1] {
			return false // a price may come twice
		}
		if v*sign < d.border*sign {
			continue
		}
		was := k.Quantity(s, v)
		if was > plainQuantity || in.Quantity[i] > plainQuantity || d.sum > plainQuantity {
			return false
		}
		d.sum += in.Quantity[i] - was
	}
	return true
}

// depth is the sum of depth i of a book with two sides.
func (b *books) depth(x *liveBook, i int) (int64, bool) {
	if len(x.depths) == 0 {
		x.depths = make([]depth, len(b.nears))
	}
	d, n, k := &x.depths[i], &b.nears[i], &x.book
	bid, ask := x.top.p[book.Bid][0], x.top.p[book.Ask][0]
	twice, fresh := uint64(bid)+uint64(ask), d.known && d.ps == x.top.ps && d.qs == x.top.qs
	if fresh && d.twice == twice {
		d.known = d.sum < plainQuantity
		return d.sum, true
	}
	border := op.Border(bid, ask, n.side, n.dist)
	if !fresh {
		sum, _, ok := total(k.From(n.side), n.side, border)
		*d = depth{known: ok && sum < plainQuantity, twice: twice, border: border, sum: sum, ps: x.top.ps, qs: x.top.qs}
		return sum, ok
	}
	d.twice = twice
	if border != d.border {
		better, worse, sign := d.border, border, int64(1)
		if (border > d.border) == (n.side == book.Bid) {
			better, worse, sign = border, d.border, -1
		}
		sum, great, _ := total(k.After(n.side, better), n.side, worse)
		if great || d.sum > plainQuantity {
			d.known = false
			return b.depth(x, i)
		}
		d.sum += sign * sum
		d.border = border
	}
	d.known = d.sum < plainQuantity
	return d.sum, true
}

// total adds the levels from a place on down to a price. great tells that sums cannot be
// followed with it.
func total(from book.Cursor, s book.Side, worst int64) (sum int64, great, ok bool) {
	var p, q [16]int64
	sign, ok := 1-2*int64(s), true
	for n := from.Next(p[:], q[:]); n > 0; n = from.Next(p[:], q[:]) {
		for i, v := range p[:n] {
			if v*sign < worst*sign {
				return sum, sum > plainQuantity, ok
			}
			ok = ok && q[i] <= math.MaxInt64-sum
			sum += q[i]
		}
	}
	return sum, sum > plainQuantity || !ok, ok
}
