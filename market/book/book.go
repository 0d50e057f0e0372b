package book

import (
	"slices"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// Levels is one side of a message or of the book: price and quantity mantissas, each
// list with one scale (digits after the point).
type Levels struct {
	Price, Quantity           []int64
	PriceScale, QuantityScale int8
}

// Book is an L2 order book. All prices share one scale and all quantities another;
// both are the finest met since the book was last empty, so mantissas show the digits as
// the venue sent them. The zero Book is empty and ready. One goroutine
// at a time.
type Book struct {
	sides  [2]ladder
	ps, qs int8
	in     ladder // scratch: sorted input of a merge
	inP    []int64
	inQ    []int64
	merged ladder
	ops    []op   // scratch of a run
	text   []byte // scratch of the checksums
}

// Reset empties the book and keeps its memory.
func (b *Book) Reset() {
	b.sides[Bid].reset()
	b.sides[Ask].reset()
	b.ps, b.qs = 0, 0
}

// Release empties the book and gives its memory back.
func (b *Book) Release() { *b = Book{} }

// Len is the number of levels of a side.
func (b *Book) Len(s Side) int { return b.sides[s].len() }

// PriceScale is the number of digits after the point of all price mantissas.
func (b *Book) PriceScale() int8 { return b.ps }

// QuantityScale is the number of digits after the point of all quantity mantissas.
func (b *Book) QuantityScale() int8 { return b.qs }

// Levels returns the mantissas of a side, the best level LAST: most changes come at
// the best prices, and there the slices are cheap to change. Valid until the book is
// changed; not to be written to.
func (b *Book) Levels(s Side) (prices, quantities []int64) {
	l := &b.sides[s]
	return l.p[l.lo:], l.q[l.lo:]
}

// Level returns price and quantity of level k of a side, 0 the best; k must be below Len.
func (b *Book) Level(s Side, k int) (price, quantity num.Dec) {
	l := &b.sides[s]
	i := len(l.p) - 1 - k
	return num.Dec{M: l.p[i], S: b.ps}, num.Dec{M: l.q[i], S: b.qs}
}

// Best returns the best level of both sides; ok is false when a side is empty.
func (b *Book) Best() (bidPrice, bidQuantity, askPrice, askQuantity num.Dec, ok bool) {
	if b.Len(Bid) == 0 || b.Len(Ask) == 0 {
		return bidPrice, bidQuantity, askPrice, askQuantity, false
	}
	bidPrice, bidQuantity = b.Level(Bid, 0)
	askPrice, askQuantity = b.Level(Ask, 0)
	return bidPrice, bidQuantity, askPrice, askQuantity, true
}

// Crossed reports whether the best bid is at or above the best ask, which no matching
// engine leaves standing.
func (b *Book) Crossed() bool {
	bp, ap := b.sides[Bid].p, b.sides[Ask].p
	return b.Len(Bid) > 0 && b.Len(Ask) > 0 && bp[len(bp)-1] >= ap[len(ap)-1]
}

// Truncate drops all but the best depth levels of each side. Venues that maintain a
// fixed depth (Kraken) never say that a level fell out of it.
func (b *Book) Truncate(depth int) {
	for i := range b.sides {
		l := &b.sides[i]
		if drop := l.len() - max(depth, 0); drop > 0 {
			l.lo += drop
		}
	}
}

// Replace makes the book what the message says: a snapshot. Levels of quantity 0 are
// left out; of two levels with one price the later one counts.
func (b *Book) Replace(bids, asks Levels) error {
	b.Reset()
	return b.Apply(bids, asks)
}

// Apply changes levels: each quantity is the new absolute size, 0 deletes the level,
// and deleting an absent level is normal. Of two changes of one price the later counts.
// Prices and quantities of a finer scale than the book's rescale the book, exactly.
func (b *Book) Apply(bids, asks Levels) error {
	err := b.apply(Bid, bids.Price, bids.Quantity, bids.PriceScale, bids.QuantityScale)
	if err == nil {
		err = b.apply(Ask, asks.Price, asks.Quantity, asks.PriceScale, asks.QuantityScale)
	}
	if err != nil {
		b.Reset()
	}
	return err
}

// ApplyRow changes levels as row i of a KindBook batch says.
func (b *Book) ApplyRow(cols []market.Col, i int) error {
	for s, c := range [2]int{market.BookBidPrice, market.BookAskPrice} {
		p, q := &cols[c], &cols[c+1]
		if err := b.apply(Side(s), p.Decs(i), q.Decs(i), p.Scale[i], q.Scale[i]); err != nil {
			b.Reset()
			return err
		}
	}
	return nil
}

// From this many changes in one message on, a walk is cheaper than single insertions
// when they are a run, and a merge when they are not.
const (
	runFrom   = 4
	mergeFrom = 128
)

func (b *Book) apply(s Side, price, quantity []int64, ps, qs int8) error {
	if len(price) != len(quantity) {
		return ErrShape
	}
	if len(price) > MaxLevels {
		return ErrTooDeep
	}
	if len(price) == 0 {
		return nil
	}
	bad, rising, falling := shape(price, quantity)
	if bad {
		return ErrLevel
	}
	if ps != b.ps || qs != b.qs {
		in := Levels{price, quantity, ps, qs}
		if err := b.fit(&in); err != nil {
			return err
		}
		price, quantity = in.Price, in.Quantity
	}
	l := &b.sides[s]
	switch {
	case len(price) >= runFrom && (rising || falling):
		b.change(l, price, quantity, s.mask(), rising == (s == Bid))
	case len(price) >= mergeFrom:
		b.merge(l, &Levels{Price: price, Quantity: quantity}, s.sign())
	default:
		l.setAll(price, quantity, s.mask())
	}
	if l.len() > MaxLevels {
		return ErrTooDeep
	}
	return nil
}

// AppendTo writes the book as the four lists of a KindBook row, best level first; the
// caller writes the row's other columns.
func (b *Book) AppendTo(cols []market.Col) {
	for s, c := range [2]int{market.BookBidPrice, market.BookAskPrice} {
		p, q := b.Levels(Side(s))
		b.inP = append(b.inP[:0], p...)
		b.inQ = append(b.inQ[:0], q...)
		slices.Reverse(b.inP)
		slices.Reverse(b.inQ)
		cols[c].AppendDecs(b.inP, b.ps)
		cols[c+1].AppendDecs(b.inQ, b.qs)
	}
}

// LevelsOf returns the four lists of row i of a KindBook batch as bids and asks.
func LevelsOf(cols []market.Col, i int) (bids, asks Levels) {
	side := func(c int) Levels {
		p, q := &cols[c], &cols[c+1]
		return Levels{Price: p.Decs(i), Quantity: q.Decs(i), PriceScale: p.Scale[i], QuantityScale: q.Scale[i]}
	}
	return side(market.BookBidPrice), side(market.BookAskPrice)
}
