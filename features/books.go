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
	cols  []market.Col
	vals  []bookValue
	deep  int       // levels that flow functions compare
	want  int       // levels that functions of the best ones read
	nears []near    // the values that are depths
	from  [][]int32 // slots by instrument; each of its feeds has one
	slots []liveBook
	named map[bookName]int32
	evict int64 // mark at which books are looked through again

	before *top
	out    []market.Col // columns of the batch and those worked out
}

// bookValue is a value that views read of a book, and the columns that it goes to: one, or
// the halves of one that is wide.
type bookValue struct {
	lang.BookColumn
	side book.Side
	at   [2]int // by half, of which one may be missing: -1
	near int    // of a depth
}

const (
	highHalf = iota
	lowHalf
)

// bookName is what a book is known by across processes.
type bookName struct {
	feed             market.FeedID
	exchange, symbol string
	venue            market.Venue
}

type liveBook struct {
	bookName
	book     book.Book
	live     bool
	snapshot int64 // time of the last one
	depths   []depth
	top      *top
	taken    bool // top is of the book as it is
}

func newBooks(t *Task, list []lang.BookColumn) *books {
	if len(list) == 0 {
		return nil
	}
	b := &books{task: t, cols: make([]market.Col, len(list)), named: map[bookName]int32{}, evict: market.NoTime}
	for at, c := range list {
		b.want = max(b.want, c.N, 1)
		if c.Fn == lang.BookOFI || c.Fn == lang.BookMLOFI {
			b.deep = max(b.deep, c.N)
		}
		half := highHalf
		if c.Half == lang.Low {
			half = lowHalf
		}
		b.value(c).at[half] = at
	}
	b.before = newTop(b.want)
	return b
}

// value finds or makes the value that a column has, or a half of it.
func (b *books) value(c lang.BookColumn) *bookValue {
	c.Half = lang.Whole
	for k := range b.vals {
		if b.vals[k].BookColumn == c {
			return &b.vals[k]
		}
	}
	v := bookValue{BookColumn: c, side: sideOf(c.Side), at: [2]int{-1, -1}, near: len(b.nears)}
	if c.Fn == lang.BookDepth {
		b.nears = append(b.nears, near{v.side, c.Arg})
	}
	b.vals = append(b.vals, v)
	return &b.vals[len(b.vals)-1]
}

// push works the columns out for a batch and returns them behind those of the batch.
func (b *books) push(in *market.Batch) ([]market.Col, error) {
	for i := range b.cols {
		c := &b.cols[i]
		c.I64, c.Scale, c.Null = grow(c.I64, in.N), grow(c.Scale, in.N), c.Null[:0]
	}
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
		b.slots = append(b.slots, liveBook{bookName: n, top: newTop(b.want)})
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
	if !known {
		for k := range b.cols {
			setNull(&b.cols[k], i, false)
		}
		return
	}
	for k := range b.vals {
		if c := &b.vals[k]; c.Fn >= lang.BookCost {
			b.wide(c, x, i)
		} else {
			b.narrow(c, x, &b.cols[c.at[highHalf]], i, flow)
		}
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

// narrow writes a value of one column of a book with two sides.
func (b *books) narrow(c *bookValue, x *liveBook, col *market.Col, i int, flow bool) {
	t := x.top
	m, s, ok := int64(0), t.ps, true
	switch c.Fn {
	case lang.BookMid:
		m, s, ok = middle(t.p[book.Bid][0], t.p[book.Ask][0], s)
	case lang.BookSpread:
		m = t.p[book.Ask][0] - t.p[book.Bid][0]
	case lang.BookPrice, lang.BookSize:
		if c.N > t.n[c.side] {
			setNull(col, i, false)
			return
		}
		if m = t.p[c.side][c.N-1]; c.Fn == lang.BookSize {
			m, s = t.q[c.side][c.N-1], t.qs
		}
	case lang.BookTotal:
		s = t.qs
		m, ok = op.Total(t.q[c.side][:min(c.N, t.n[c.side])])
	case lang.BookDepth:
		s = t.qs
		m, ok = b.depth(x, c.near)
	default: // flow
		first := c.N
		if c.Fn == lang.BookMLOFI {
			first = 1
		}
		if !flow || c.N > b.before.both() || c.N > t.both() {
			setNull(col, i, false)
			return
		}
		m, s, ok = imbalance(b.before, t, first, c.N)
	}
	setDec(col, i, m, s, ok)
}

func sideOf(s lang.BookSide) book.Side {
	if s == lang.AskSide {
		return book.Ask
	}
	return book.Bid
}

// wide writes a value of two columns.
func (b *books) wide(c *bookValue, x *liveBook, i int) {
	var w op.Wide
	var short, ok bool
	t := x.top
	p, q := t.best(c.side, c.N)
	switch c.Fn {
	case lang.BookCost:
		p, q = t.best(c.side, b.want)
		w, short, ok = op.Cost(&x.book, c.side, c.Arg, p, q)
	case lang.BookNotional:
		w, ok = op.Notional(p, q, t.ps+t.qs)
	default:
		twice := uint64(t.p[book.Bid][0]) + uint64(t.p[book.Ask][0])
		rise, run, fits := op.Regression(p, q, c.side, twice, t.ps, t.qs)
		if w, ok = run, fits; c.Fn == lang.BookRise {
			w = rise
		}
	}
	for half, m := range [2]int64{highHalf: w.High, lowHalf: w.Low} {
		switch at := c.at[half]; {
		case at < 0:
		case short:
			setNull(&b.cols[at], i, false)
		default:
			setDec(&b.cols[at], i, m, w.Scale, ok)
		}
	}
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
