package features

import (
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/book"
)

// books keeps the order book of each feed and instrument and turns every book row, in
// order of arrival, into the columns that the views read: they stand behind the payload
// and are grouped, filtered and folded like it. No row copies a book.
//
// A book is live from a snapshot until a gap, and for the keyframe interval at most: the
// sequencer writes a keyframe in that time, so the state at t depends on [t − interval, t].
type books struct {
	task  *Task
	list  []lang.BookColumn
	cols  []market.Col
	deep  int       // levels that flow functions compare
	want  int       // levels that functions of the best ones read
	nears []near    // the columns that are depths
	place []int     // of each column among them
	from  [][]int32 // slots by instrument; each of its feeds has one
	slots []liveBook
	named map[bookName]int32
	evict int64 // mark at which books are looked through again

	before top
	pair   pair
	out    []market.Col // columns of the batch and those worked out
}

// bookName is what a book is known by across processes.
type bookName struct {
	feed             market.FeedID
	exchange, symbol string
	venue            market.Venue
}

// pair is the last value of two columns: each writes its half.
type pair struct {
	row       int
	of        lang.BookColumn // without the half
	value     op.Wide
	short, ok bool
}

type liveBook struct {
	bookName
	book     book.Book
	live     bool
	snapshot int64 // time of the last one
	depths   []depth
	top      top
	taken    bool // top is of the book as it is
}

func newBooks(t *Task, list []lang.BookColumn) *books {
	if len(list) == 0 {
		return nil
	}
	b := &books{task: t, list: list, cols: make([]market.Col, len(list)), named: map[bookName]int32{}, evict: market.NoTime}
	for _, c := range list {
		b.place = append(b.place, len(b.nears))
		b.want = max(b.want, c.N, 1)
		switch c.Fn {
		case lang.BookOFI, lang.BookMLOFI:
			b.deep = max(b.deep, c.N)
		case lang.BookDepth:
			b.nears = append(b.nears, near{sideOf(c.Side), c.Arg})
		}
	}
	b.before.alloc(b.want)
	return b
}

// push works the columns out for a batch and returns them behind those of the batch.
func (b *books) push(in *market.Batch) ([]market.Col, error) {
	for i := range b.cols {
		c := &b.cols[i]
		c.I64, c.Scale, c.Null = grow(c.I64, in.N), grow(c.Scale, in.N), c.Null[:0]
	}
	b.pair.row = -1
	for i := range in.N {
		k, err := b.slot(in.Inst[i], in.Feed[i])
		if err != nil {
			return nil, err
		}
		x := &b.slots[k]
		flow := b.apply(x, in, i)
		b.row(x, i, flow)
	}
	b.out = append(append(b.out[:0], in.Cols...), b.cols...)
	return b.out, nil
}

// slot finds the book of an instrument on a feed.
func (b *books) slot(inst market.Inst, feed market.FeedID) (int32, error) {
	for int(inst) >= len(b.from) {
		if err := b.task.meet(int(inst)); err != nil {
			return 0, err
		}
		b.from = append(b.from, nil)
	}
	for _, k := range b.from[inst] {
		if b.slots[k].feed == feed {
			return k, nil
		}
	}
	in := b.task.insts.Get(inst)
	k := b.number(bookName{feed, in.Exchange, in.Symbol, in.Venue})
	b.from[inst] = append(b.from[inst], k)
	return k, nil
}

// number finds or makes the slot of a name.
func (b *books) number(n bookName) int32 {
	k, ok := b.named[n]
	if !ok {
		k = int32(len(b.slots))
		b.named[n] = k
		b.slots = append(b.slots, liveBook{bookName: n})
		b.slots[k].top.alloc(b.want)
	}
	return k
}

// apply changes a book by row i. flow tells that the row is a message of a chain that
// was and is live: then before has the levels that flow functions compare.
func (b *books) apply(x *liveBook, in *market.Batch, i int) (flow bool) {
	was := x.taken
	x.taken = false
	bids, asks := book.LevelsOf(in.Cols, i)
	gap := in.Flags[i]&market.FlagGap != 0
	var err error
	switch {
	case in.Cols[market.BookOrigin].I64[i] != market.OriginDelta:
		x.moved()
		err = x.book.Replace(bids, asks)
		x.live, x.snapshot = err == nil, in.TS[i]
	case !x.live:
		return false
	case gap || in.TS[i]-x.snapshot > market.KeyframeEvery:
		x.void()
		return false
	default:
		if b.deep > 0 {
			if !was {
				x.top.take(&x.book)
			}
			b.before, x.top = x.top, b.before
			flow = b.before.whole()
		}
		b.follow(x, &bids, &asks)
		err = x.book.Apply(bids, asks)
	}
	if err != nil {
		x.void()
		return false
	}
	if d := &in.Cols[market.BookDepth]; !d.IsNull(i) && d.I64[i] > 0 {
		n := int(min(d.I64[i], book.MaxLevels))
		if x.book.Len(book.Bid) > n || x.book.Len(book.Ask) > n {
			x.moved()
		}
		x.book.Truncate(n)
	}
	// A flagged snapshot ends a gap, or is itself not what the venue had.
	if sum := &in.Cols[market.BookChecksum]; gap && !sum.IsNull(i) && !x.book.Agrees(book.ChecksumOf(x.exchange), sum.I64[i]) {
		x.void()
		return false
	}
	return flow
}

// void forgets a book until its next snapshot.
func (x *liveBook) void() {
	x.live = false
	x.moved()
	x.book.Reset()
}

// row writes the columns of row i.
func (b *books) row(x *liveBook, i int, flow bool) {
	known := false
	if x.live {
		x.top.take(&x.book)
		x.taken = true
		known = x.top.whole()
	}
	for k := range b.list {
		col := &b.cols[k]
		if !known {
			setNull(col, i, false)
			continue
		}
		if b.list[k].Fn == lang.BookDepth {
			m, ok := b.depth(x, b.place[k])
			setDec(col, i, m, x.book.QuantityScale(), ok)
			continue
		}
		b.value(&b.list[k], x, col, i, flow)
	}
}

// setNull makes row i of a column null; its mantissa tells whether because a value did
// not fit.
func setNull(c *market.Col, i int, overflow bool) {
	c.SetNull(i)
	c.I64[i], c.Scale[i] = 0, 0
	if overflow {
		c.I64[i] = 1
	}
}

func (b *books) value(c *lang.BookColumn, x *liveBook, col *market.Col, i int, flow bool) {
	side := sideOf(c.Side)
	ps, qs := x.top.ps, x.top.qs
	p, q := x.top.best(side, c.N)
	switch c.Fn {
	case lang.BookMid, lang.BookSpread:
		bid, ask := x.top.p[book.Bid][0], x.top.p[book.Ask][0]
		if c.Fn == lang.BookSpread {
			col.I64[i], col.Scale[i] = ask-bid, ps
			return
		}
		m, s, ok := middle(bid, ask, ps)
		setDec(col, i, m, s, ok)
	case lang.BookPrice, lang.BookSize:
		if c.N > len(p) {
			setNull(col, i, false)
			return
		}
		if c.Fn == lang.BookPrice {
			col.I64[i], col.Scale[i] = p[c.N-1], ps
		} else {
			col.I64[i], col.Scale[i] = q[c.N-1], qs
		}
	case lang.BookTotal:
		m, ok := op.Total(q)
		setDec(col, i, m, qs, ok)
	case lang.BookOFI, lang.BookMLOFI:
		first := c.N
		if c.Fn == lang.BookMLOFI {
			first = 1
		}
		if !flow || c.N > b.before.both() || c.N > x.top.both() {
			setNull(col, i, false)
			return
		}
		m, s, ok := imbalance(&b.before, &x.top, first, c.N)
		setDec(col, i, m, s, ok)
	default:
		b.wide(c, x, side, col, i)
	}
}

func sideOf(s lang.BookSide) book.Side {
	if s == lang.AskSide {
		return book.Ask
	}
	return book.Bid
}

// wide writes one half of a value of two columns.
func (b *books) wide(c *lang.BookColumn, x *liveBook, side book.Side, col *market.Col, i int) {
	w, of := &b.pair, *c
	of.Half = lang.Whole
	if w.row != i || w.of != of {
		w.row, w.of, w.short = i, of, false
		p, q := x.top.best(side, c.N)
		ps, qs, twice := x.top.ps, x.top.qs, uint64(x.top.p[book.Bid][0])+uint64(x.top.p[book.Ask][0])
		switch c.Fn {
		case lang.BookCost:
			p, q = x.top.best(side, b.want)
			w.value, w.short, w.ok = op.Cost(&x.book, side, c.Arg, p, q)
		case lang.BookNotional:
			w.value, w.ok = op.Notional(p, q, ps+qs)
		case lang.BookRise:
			w.value, _, w.ok = op.Regression(p, q, side, twice, ps, qs)
		default:
			_, w.value, w.ok = op.Regression(p, q, side, twice, ps, qs)
		}
	}
	if w.short {
		setNull(col, i, false)
		return
	}
	m := w.value.High
	if c.Half == lang.Low {
		m = w.value.Low
	}
	setDec(col, i, m, w.value.Scale, w.ok)
}

func setDec(c *market.Col, i int, m int64, s int8, ok bool) {
	if !ok {
		setNull(c, i, true)
		return
	}
	c.I64[i], c.Scale[i] = m, s
}

// middle is (bid + ask)/2 with one digit more than prices have, so that it has the same
// scale from row to row.
func middle(bid, ask int64, ps int8) (m int64, s int8, ok bool) {
	sum := uint64(bid) + uint64(ask)
	if sum <= maxMiddle && ps < 18 {
		return int64(sum) * 5, ps + 1, true
	}
	return int64(sum / 2), ps, sum%2 == 0
}

const maxMiddle = (1<<63 - 1) / 5
