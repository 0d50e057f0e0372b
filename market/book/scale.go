package book

import (
	"math"

	"github.com/pinova-group/tidemark/market/num"
)

var pow10 = [num.MaxScale + 1]int64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
}

// fit brings the message and the book to common scales. The message's lists are
// replaced by scratch copies when they must change.
func (b *Book) fit(in *Levels) error {
	var ok bool
	empty := b.Len(Bid) == 0 && b.Len(Ask) == 0
	if in.Price, ok = b.fitList(in.Price, in.PriceScale, &b.ps, empty, false); !ok {
		return ErrRange
	}
	if in.Quantity, ok = b.fitList(in.Quantity, in.QuantityScale, &b.qs, empty, true); !ok {
		return ErrRange
	}
	in.PriceScale, in.QuantityScale = b.ps, b.qs
	return nil
}

func (b *Book) fitList(m []int64, scale int8, own *int8, empty, quantity bool) ([]int64, bool) {
	if scale < 0 || scale > num.MaxScale {
		return nil, false
	}
	if empty {
		*own = scale
	}
	if scale == *own {
		return m, true
	}
	if scale > *own {
		if b.raise(scale-*own, quantity) {
			*own = scale
			return m, true
		}
		// The finer digits of the message may be zeros.
		scratch := b.scratch(quantity)
		for _, v := range m {
			if v%pow10[scale-*own] != 0 {
				return nil, false
			}
			scratch = append(scratch, v/pow10[scale-*own])
		}
		return b.keep(scratch, quantity), true
	}
	up := pow10[*own-scale]
	scratch := b.scratch(quantity)
	for _, v := range m {
		if v > math.MaxInt64/up {
			return nil, false
		}
		scratch = append(scratch, v*up)
	}
	return b.keep(scratch, quantity), true
}

func (b *Book) scratch(quantity bool) []int64 {
	if quantity {
		return b.inQ[:0]
	}
	return b.inP[:0]
}

func (b *Book) keep(s []int64, quantity bool) []int64 {
	if quantity {
		b.inQ = s
	} else {
		b.inP = s
	}
	return s
}

// raise multiplies all prices or quantities by 10^by, unless one would not fit.
func (b *Book) raise(by int8, quantity bool) bool {
	up := pow10[by]
	var lists [2][]int64
	for i := range b.sides {
		d := &b.sides[i]
		d.flatten()
		lists[i] = d.far.p[d.far.lo:]
		if quantity {
			lists[i] = d.far.q[d.far.lo:]
		}
		for _, v := range lists[i] {
			if v > math.MaxInt64/up {
				return false
			}
		}
	}
	for _, list := range lists {
		for i := range list {
			list[i] *= up
		}
	}
	return true
}
