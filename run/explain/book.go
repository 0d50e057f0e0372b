package explain

import (
	"math/big"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// books are the order books that a view reads, kept a second time over rationals.
type books map[chain]*plainBook

// chain is what has one book.
type chain struct {
	feed market.FeedID
	inst market.Inst
}

// plainBook is one book: levels by price, the best first.
type plainBook struct {
	live     bool
	snapshot int64
	sides    [2][]level
	was      [2][]level // before the last event, nil when flow has no meaning
}

type level struct{ p, q *big.Rat }

// take applies row i of a batch and returns the book.
func (bs books) take(b *market.Batch, i int) *plainBook {
	k := chain{b.Feed[i], b.Inst[i]}
	if bs[k] == nil {
		bs[k] = &plainBook{}
	}
	x := bs[k]
	before := x.best()
	x.was = [2][]level{}
	delta := b.Cols[market.BookOrigin].I64[i] == market.OriginDelta
	switch {
	case !delta:
		*x = plainBook{live: true, snapshot: b.TS[i]}
	case b.Flags[i]&market.FlagGap != 0 || x.live && b.TS[i]-x.snapshot > market.KeyframeEvery:
		*x = plainBook{}
	}
	if !x.live {
		return x
	}
	if delta && before {
		x.was = [2][]level{slices.Clone(x.sides[0]), slices.Clone(x.sides[1])}
	}
	for s, col := range [2]int{market.BookBidPrice, market.BookAskPrice} {
		p, q := &b.Cols[col], &b.Cols[col+1]
		for j, m := range p.Decs(i) {
			x.set(s, exact(num.Dec{M: m, S: p.Scale[i]}), exact(num.Dec{M: q.Decs(i)[j], S: q.Scale[i]}))
		}
	}
	if d := &b.Cols[market.BookDepth]; !d.IsNull(i) && d.I64[i] > 0 {
		for s := range x.sides {
			x.sides[s] = x.sides[s][:min(int64(len(x.sides[s])), d.I64[i])]
		}
	}
	return x
}

// set gives a level its quantity; 0 takes it away.
func (x *plainBook) set(side int, p, q *big.Rat) {
	l := x.sides[side]
	i, found := slices.BinarySearchFunc(l, p, func(a level, p *big.Rat) int {
		if side == 0 {
			return p.Cmp(a.p)
		}
		return a.p.Cmp(p)
	})
	switch {
	case found && q.Sign() == 0:
		x.sides[side] = slices.Delete(l, i, i+1)
	case found:
		l[i] = level{p, q}
	case q.Sign() != 0:
		x.sides[side] = slices.Insert(l, i, level{p, q})
	}
}

// best tells whether the book has values: live, both sides there, not crossed.
func (x *plainBook) best() bool {
	return x.live && len(x.sides[0]) > 0 && len(x.sides[1]) > 0 && x.sides[0][0].p.Cmp(x.sides[1][0].p) < 0
}

// value works out a column of the book by its definition. Of a value of two columns the
// low one is all of it.
func (x *plainBook) value(c *lang.BookColumn) value {
	if !x.best() {
		return nil
	}
	bid, ask := x.sides[0][0].p, x.sides[1][0].p
	mid := new(big.Rat).Add(bid, ask)
	mid.Quo(mid, whole(2))
	l := x.sides[0]
	if c.Side == lang.AskSide {
		l = x.sides[1]
	}
	if c.Half == lang.High {
		return whole(0)
	}
	top := l[:min(c.N, len(l))]
	switch c.Fn {
	case lang.BookMid:
		return mid
	case lang.BookSpread:
		return new(big.Rat).Sub(ask, bid)
	case lang.BookPrice, lang.BookSize:
		if c.N > len(l) {
			return nil
		}
		if c.Fn == lang.BookPrice {
			return l[c.N-1].p
		}
		return l[c.N-1].q
	case lang.BookTotal:
		return sumOf(top, func(l level) *big.Rat { return l.q })
	case lang.BookNotional:
		return sumOf(top, func(l level) *big.Rat { return new(big.Rat).Mul(l.p, l.q) })
	case lang.BookDepth:
		reach := new(big.Rat).Mul(mid, exact(c.Arg))
		return sumOf(l, func(l level) *big.Rat {
			if distance(l, mid).Cmp(reach) > 0 {
				return whole(0)
			}
			return l.q
		})
	case lang.BookCost:
		return cost(l, exact(c.Arg))
	case lang.BookOFI:
		return x.flow(c.N, c.N)
	case lang.BookMLOFI:
		return x.flow(1, c.N)
	}
	return regression(top, mid, c.Fn)
}

func sumOf(l []level, f func(level) *big.Rat) value {
	s := whole(0)
	for _, x := range l {
		s.Add(s, f(x))
	}
	return s
}

func distance(l level, mid *big.Rat) *big.Rat {
	d := new(big.Rat).Sub(l.p, mid)
	return d.Abs(d)
}

// cost walks the levels for a quantity; null when there is less.
func cost(l []level, rest *big.Rat) value {
	sum := whole(0)
	for _, x := range l {
		q := x.q
		if q.Cmp(rest) > 0 {
			q = rest
		}
		sum.Add(sum, new(big.Rat).Mul(x.p, q))
		if rest = new(big.Rat).Sub(rest, q); rest.Sign() == 0 {
			return sum
		}
	}
	return nil
}

// flow is the order-flow imbalance of levels first to last; null when one is missing.
func (x *plainBook) flow(first, last int) value {
	if x.was[0] == nil {
		return nil
	}
	e := whole(0)
	for s, sign := range [2]int64{1, -1} {
		was, is := x.was[s], x.sides[s]
		if last > len(was) || last > len(is) {
			return nil
		}
		for k := first - 1; k < last; k++ {
			better := is[k].p.Cmp(was[k].p) * int(sign)
			if better >= 0 {
				e.Add(e, new(big.Rat).Mul(is[k].q, whole(sign)))
			}
			if better <= 0 {
				e.Sub(e, new(big.Rat).Mul(was[k].q, whole(sign)))
			}
		}
	}
	return e
}

// regression is one part of the slope of cumulative quantity on twice the distance:
// n·Σxy − Σx·Σy, or n·Σx² − (Σx)².
func regression(l []level, mid *big.Rat, fn lang.BookFunc) value {
	var sx, sy, sxy, y big.Rat
	for _, v := range l {
		d := distance(v, mid)
		x := d.Add(d, d)
		y.Add(&y, v.q)
		other := &y
		if fn == lang.BookRun {
			other = x
		}
		sx.Add(&sx, x)
		sy.Add(&sy, other)
		sxy.Add(&sxy, new(big.Rat).Mul(x, other))
	}
	r := new(big.Rat).Mul(whole(int64(len(l))), &sxy)
	return r.Sub(r, sx.Mul(&sx, &sy))
}

// decimalText prints a value of a book.
func decimalText(v value) string {
	r, ok := v.(*big.Rat)
	if !ok {
		return ""
	}
	s := r.FloatString(num.MaxScale)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}
