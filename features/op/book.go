package op

import (
	"math"
	"math/bits"

	"github.com/pinova-group/tidemark/market/book"
	"github.com/pinova-group/tidemark/market/num"
)

// What views read of an order book. Levels are slices of mantissas with the best level
// first. ok is false when the result does not fit.

// Total adds a list.
func Total(m []int64) (sum int64, ok bool) {
	var all int64
	for _, v := range m {
		all |= v
		sum += v
	}
	if uint64(all) < 1<<48 && len(m) < 1<<15 {
		return sum, true
	}
	var lo, hi, c uint64
	for _, v := range m {
		lo, c = bits.Add64(lo, uint64(v), 0)
		hi += c
	}
	return int64(lo), hi == 0 && lo <= math.MaxInt64
}

// Border is the price furthest from mid that is still within dist of it: the least p with
// 2·p·10^s ≥ (bid + ask)·(10^s − m) for bids, the greatest with 2·p·10^s ≤ (bid +
// ask)·(10^s + m) for asks, for dist = m·10^-s between 0 and 1.
func Border(bid, ask int64, s book.Side, dist num.Dec) int64 {
	twice := uint64(bid) + uint64(ask)
	one := num.Pow10[dist.S]
	if s == book.Bid {
		hi, lo := bits.Mul64(twice, one-uint64(dist.M))
		border, rest := bits.Div64(hi, lo, 2*one)
		if rest > 0 {
			border++
		}
		return int64(border)
	}
	hi, lo := bits.Mul64(twice, one+uint64(dist.M))
	border, _ := bits.Div64(hi, lo, 2*one)
	return int64(min(border, math.MaxInt64))
}

// Wide is an exact value of 125 bits in two columns: high · 2^62 + low.
type Wide struct {
	High, Low int64
	Scale     int8
}

const lowBits = 62

// wide splits hi·2^64 + lo; ok is false when it does not fit.
func wide(w *num.Int192, scale int8) (Wide, bool) {
	if ext := uint64(int64(w[1]) >> 63); w[2] != ext || int64(w[1])>>60 != int64(ext) {
		return Wide{}, false
	}
	return Wide{High: int64(w[1]<<2 | w[0]>>lowBits), Low: int64(w[0] & (1<<lowBits - 1)), Scale: scale}, true
}

// Cost is what a quantity takes from a side, level by level: Σ price · quantity. p and q
// are the best levels, at least one; what they do not have is read from the book. short
// tells that the side has less.
func Cost(b *book.Book, s book.Side, want num.Dec, p, q []int64) (cost Wide, short, ok bool) {
	qs, up := b.QuantityScale(), uint64(1)
	rest := uint64(want.M)
	if want.S > qs {
		up = num.Pow10[want.S-qs]
		qs = want.S
	} else if hi, lo := bits.Mul64(rest, num.Pow10[qs-want.S]); hi == 0 {
		rest = lo
	} else {
		return Wide{}, false, false
	}
	var lo, hi uint64
	var ps, ms [16]int64
	var from book.Cursor
	for first := true; len(p) > 0; first = false {
		for i, price := range p {
			over, have := bits.Mul64(uint64(q[i]), up)
			if over != 0 || have > rest {
				have = rest
			}
			h, l := bits.Mul64(uint64(price), have)
			var c uint64
			lo, c = bits.Add64(lo, l, 0)
			if hi, c = bits.Add64(hi, h, c); c != 0 {
				return Wide{}, false, false
			}
			if rest -= have; rest == 0 {
				cost, ok = wide(&num.Int192{lo, hi, 0}, b.PriceScale()+qs)
				return cost, false, ok
			}
		}
		if first {
			from = b.After(s, p[len(p)-1])
		}
		n := from.Next(ps[:], ms[:])
		p, q = ps[:n], ms[:n]
	}
	return Wide{}, true, true
}

// Notional is Σ price · quantity of levels; scale is that of a price and of a quantity together.
func Notional(p, q []int64, scale int8) (Wide, bool) {
	var lo, hi, c uint64
	for i, price := range p {
		h, l := bits.Mul64(uint64(price), uint64(q[i]))
		lo, c = bits.Add64(lo, l, 0)
		if hi, c = bits.Add64(hi, h, c); c != 0 {
			return Wide{}, false
		}
	}
	return wide(&num.Int192{lo, hi, 0}, scale)
}

// Regression is the parts of the least-squares slope of y, the cumulative quantity, on
// x = |2·price − bid − ask| over levels of a side: rise = n·Σxy − Σx·Σy with the scales of
// price and quantity, run = n·Σx² − (Σx)² with that of price twice. twice is bid + ask.
func Regression(p, q []int64, s book.Side, twice uint64, ps, qs int8) (rise, run Wide, ok bool) {
	var x, y, sx, sy, sxx, sxy num.Int192
	for i, price := range p {
		d := twice - 2*uint64(price)
		if s == book.Ask {
			d = -d
		}
		x = num.Int192{d}
		level := num.FromInt64(q[i])
		y.Add(&level)
		sx.Add(&x)
		sy.Add(&y)
		xx, okx := mul192(&x, &x)
		xy, oky := mul192(&x, &y)
		if !okx || !oky {
			return rise, run, false
		}
		sxx.Add(&xx)
		sxy.Add(&xy)
	}
	up, okUp := lessProduct(&sxy, &sx, &sy, len(p))
	down, okDown := lessProduct(&sxx, &sx, &sx, len(p))
	if !okUp || !okDown {
		return rise, run, false
	}
	rise, okUp = wide(&up, ps+qs)
	run, okDown = wide(&down, 2*ps)
	return rise, run, okUp && okDown
}

// lessProduct is n·s − a·b.
func lessProduct(s, a, b *num.Int192, n int) (w num.Int192, ok bool) {
	count := num.FromInt64(int64(n))
	w, ok = mul192(&count, s)
	if !ok {
		return w, false
	}
	ab, ok := mul192(a, b)
	w.Sub(&ab)
	return w, ok
}
