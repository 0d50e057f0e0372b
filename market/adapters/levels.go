package adapters

import (
	"math/bits"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// pow10 holds the powers of ten that fit an int64.
var pow10 = func() (p [19]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// rescale gives m × 10^-from as a mantissa of scale to ≥ from; false when it does not fit.
func rescale(m int64, from, to int8) (int64, bool) {
	p := pow10[to-from]
	hi, lo := bits.Mul64(uint64(m), uint64(p))
	if m < 0 {
		hi -= uint64(p)
	}
	return int64(lo), int64(hi) == int64(lo)>>63
}

// decLess reports a < b, exactly.
func decLess(a, b num.Dec) bool {
	s := max(a.S, b.S)
	x, okx := rescale(a.M, a.S, s)
	y, oky := rescale(b.M, b.S, s)
	switch {
	case okx && oky:
		return x < y
	case okx: // b is beyond 63 bits at a's scale: its sign decides
		return b.M > 0
	default:
		return a.M < 0
	}
}

// decs is a list of decimals on its way to one scale.
type decs struct {
	m     []int64
	s     []int8
	top   int8 // greatest scale
	mixed bool // scales differ
}

func (d *decs) reset() { d.m, d.s, d.top, d.mixed = d.m[:0], d.s[:0], 0, false }

func (d *decs) add(m int64, s int8) {
	if len(d.m) == 0 {
		d.top = s
	} else if s != d.top {
		d.mixed = true
		d.top = max(d.top, s)
	}
	d.m = append(d.m, m)
	d.s = append(d.s, s)
}

// fit brings all mantissas to the greatest scale; false when one does not fit.
func (d *decs) fit() bool {
	if !d.mixed {
		return true
	}
	for i, m := range d.m {
		v, ok := rescale(m, d.s[i], d.top)
		if !ok {
			return false
		}
		d.m[i], d.s[i] = v, d.top
	}
	d.mixed = false
	return true
}

// bookSide is one side of a book message.
type bookSide struct{ price, qty decs }

func (s *bookSide) reset()   { s.price.reset(); s.qty.reset() }
func (s *bookSide) len() int { return len(s.price.m) }
func (s *bookSide) add(p, q num.Dec) {
	s.price.add(p.M, p.S)
	s.qty.add(q.M, q.S)
}

// check returns the reason why a level is bad, or "".
func (s *bookSide) check() string {
	for i, p := range s.price.m {
		if p <= 0 {
			return badPrice
		}
		if s.qty.m[i] < 0 {
			return badNegative
		}
	}
	return ""
}

// bookRow is one book message: a delta, or a snapshot by its origin. The nullable
// integers are nullInt when absent.
type bookRow struct {
	origin                       int64
	first, prev, checksum, depth int64
	bids, asks                   bookSide
}

// reset empties both sides and makes the integers null.
func (r *bookRow) reset() {
	r.origin, r.first, r.prev, r.checksum, r.depth = market.OriginDelta, nullInt, nullInt, nullInt, nullInt
	r.bids.reset()
	r.asks.reset()
}

// check returns the reason why the message is bad, or "", and brings each list to one
// scale. append must follow a check that found nothing.
func (r *bookRow) check() string {
	if r.bids.len()+r.asks.len() > maxLevels {
		return badManyLevel
	}
	return r.checkLevels()
}

// checkLevels is check without the limit on their number.
func (r *bookRow) checkLevels() string {
	if why := r.bids.check(); why != "" {
		return why
	}
	if why := r.asks.check(); why != "" {
		return why
	}
	if !r.bids.price.fit() || !r.bids.qty.fit() || !r.asks.price.fit() || !r.asks.qty.fit() {
		return badScale
	}
	return ""
}

func (r *bookRow) append(b *market.Batch, e *market.Envelope) {
	b.AppendEnvelope(e)
	b.Cols[market.BookOrigin].AppendInt(r.origin)
	appendIntOr(&b.Cols[market.BookFirstSeq], r.first)
	appendIntOr(&b.Cols[market.BookPrevSeq], r.prev)
	appendIntOr(&b.Cols[market.BookChecksum], r.checksum)
	b.Cols[market.BookBidPrice].AppendDecs(r.bids.price.m, r.bids.price.top)
	b.Cols[market.BookBidQuantity].AppendDecs(r.bids.qty.m, r.bids.qty.top)
	b.Cols[market.BookAskPrice].AppendDecs(r.asks.price.m, r.asks.price.top)
	b.Cols[market.BookAskQuantity].AppendDecs(r.asks.qty.m, r.asks.qty.top)
	appendIntOr(&b.Cols[market.BookDepth], r.depth)
}
