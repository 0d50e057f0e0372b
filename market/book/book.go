package book

import (
	"github.com/pinova-group/tidemark/market"
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
	ps, qs int8
	sides  [2]side
	in     sorted // scratch: sorted input of a merge
	inP    []int64
	inQ    []int64
	merged sorted
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

// Laddered reports whether levels of a side are kept in a price ladder: it has room for levels that are
// not there, which many changes have paid for.
func (b *Book) Laddered(s Side) bool { return b.sides[s].near.on() }

// PriceScale is the number of digits after the point of all price mantissas.
func (b *Book) PriceScale() int8 { return b.ps }

// QuantityScale is the number of digits after the point of all quantity mantissas.
func (b *Book) QuantityScale() int8 { return b.qs }

// Quantity is the mantissa of the level of a side at a price, 0 when there is none.
func (b *Book) Quantity(s Side, price int64) int64 { return b.sides[s].quantity(price, s.mask()) }

// Best returns the best prices; ok is false when a side is empty.
func (b *Book) Best() (bid, ask int64, ok bool) {
	if b.Len(Bid) == 0 || b.Len(Ask) == 0 {
		return 0, 0, false
	}
	return b.sides[Bid].best(), b.sides[Ask].best(), true
}

// Crossed reports whether the best bid is at or above the best ask, which no matching
// engine leaves standing.
func (b *Book) Crossed() bool {
	bid, ask, ok := b.Best()
	return ok && bid >= ask
}

// Truncate drops all but the best depth levels of each side. Venues that maintain a
// fixed depth (Kraken) never say that a level fell out of it.
func (b *Book) Truncate(depth int) {
	for i := range b.sides {
		b.sides[i].truncate(max(depth, 0))
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
	if ps != b.ps || qs != b.qs {
		if bad, _, _ := shape(price, quantity); bad {
			return ErrLevel
		}
		in := Levels{price, quantity, ps, qs}
		if err := b.fit(&in); err != nil {
			return err
		}
		price, quantity = in.Price, in.Quantity
	}
	d := &b.sides[s]
	d.changes += len(price)
	n, bad := d.near.apply(price, quantity)
	if !bad && n < len(price) {
		bad = b.applyRest(s, price[n:], quantity[n:])
	}
	if bad {
		return ErrLevel
	}
	if d.len() > MaxLevels {
		return ErrTooDeep
	}
	return nil
}

// applyRest applies changes of which the first is not in the window.
func (b *Book) applyRest(s Side, price, quantity []int64) (bad bool) {
	bad, rising, falling := shape(price, quantity)
	if bad {
		return true
	}
	d, mask := &b.sides[s], s.mask()
	if d.len() == 0 {
		d.changes = 0 // a snapshot is cheap as it is, and many venues send nothing else
	}
	run, reverse := rising || falling, rising == (s == Bid)
	for len(price) > 0 && d.near.on() {
		n := d.outside(price, mask)
		if n == 0 { // a price above the window, or off its tick
			d.flatten()
			break
		}
		d.misses += n
		b.applySorted(&d.far, price[:n], quantity[:n], mask, run, reverse)
		price, quantity = price[n:], quantity[n:]
		n, _ = d.near.apply(price, quantity)
		price, quantity = price[n:], quantity[n:]
	}
	if len(price) > 0 {
		b.applySorted(&d.far, price, quantity, mask, run, reverse)
	}
	d.settle(s)
	return false
}

// From this many changes in one message on, a walk is cheaper than single insertions
// when they are a run, and a merge when they are not.
const (
	runFrom   = 4
	mergeFrom = 128
)

func (b *Book) applySorted(l *sorted, price, quantity []int64, mask int64, run, reverse bool) {
	switch {
	case len(price) >= runFrom && run:
		b.change(l, price, quantity, mask, reverse)
	case len(price) >= mergeFrom:
		b.merge(l, price, quantity, mask)
	default:
		l.setAll(price, quantity, mask)
	}
}

// AppendTo writes the book as the four lists of a KindBook row, best level first; the
// caller writes the row's other columns.
func (b *Book) AppendTo(cols []market.Col) {
	for s, c := range [2]int{market.BookBidPrice, market.BookAskPrice} {
		n := b.Len(Side(s))
		b.inP, b.inQ = grown(b.inP, n), grown(b.inQ, n)
		from := b.From(Side(s))
		from.Next(b.inP, b.inQ)
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
