package features

import (
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
	border int64 // the worst price that counts
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
	p, q := k.Levels(s)
	sign := 1 - 2*int64(s)
	for i, v := range in.Price {
		if i > 1 && (v > in.Price[i-1]) != (in.Price[1] > in.Price[0]) || i > 0 && v == in.Price[i-1] {
			return false // a price may come twice
		}
		if v*sign < d.border*sign {
			continue
		}
		was := int64(0)
		if at := op.Place(p, s, v); at < len(p) && p[at] == v {
			was = q[at]
		}
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
	border := op.Border(k, n.side, n.dist)
	p, q := k.Levels(n.side)
	at := op.Place(p, n.side, border)
	if !d.known || d.ps != k.PriceScale() || d.qs != k.QuantityScale() {
		sum, ok := op.SumLast(q, len(q)-at)
		*d = depth{known: ok && sum < plainQuantity, border: border, sum: sum, ps: k.PriceScale(), qs: k.QuantityScale()}
		return sum, ok
	}
	if border != d.border {
		was := op.Place(p, n.side, d.border)
		for _, v := range q[min(at, was):max(at, was)] {
			if v > plainQuantity || d.sum > plainQuantity {
				d.known = false
				return b.depth(x, i)
			}
			if at > was {
				v = -v
			}
			d.sum += v
		}
		d.border = border
	}
	d.known = d.sum < plainQuantity
	return d.sum, true
}
