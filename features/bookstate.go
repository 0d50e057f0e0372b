package features

import (
	"cmp"
	"slices"

	"github.com/pinova-group/tidemark/market"
)

// bookNames are the columns of a book event that the state of a book is made of.
var bookNames = []string{"origin", "checksum", "bid_price", "bid_quantity", "ask_price", "ask_quantity", "depth"}

// counts reports whether a later row can still see the book: none is below the mark.
func (b *books) counts(x *liveBook) bool {
	mark := b.task.marks[market.KindBook]
	return x.live && (mark == market.NoTime || mark-x.snapshot <= market.KeyframeEvery)
}

// forgetEvery is how far the mark moves between two looks for books to forget.
const forgetEvery = market.Minute

// forget gives back the memory of books that no later row can see.
func (b *books) forget() {
	mark := b.task.marks[market.KindBook]
	if mark < b.evict || mark == market.NoTime {
		return
	}
	b.evict = mark + forgetEvery
	for i := range b.slots {
		if x := &b.slots[i]; !b.counts(x) {
			x.live = false
			x.book.Release()
		}
	}
}

// save writes the books that count, in the order of their names.
func (b *books) save(w *writer) {
	var order []int
	for i := range b.slots {
		if b.counts(&b.slots[i]) {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(i, j int) int { return b.slots[i].compare(b.slots[j].bookName) })
	w.word(uint64(len(order)))
	for _, i := range order {
		x := &b.slots[i]
		w.text(x.exchange)
		w.word(uint64(x.venue))
		w.text(x.symbol)
		w.word(uint64(x.feed))
		w.word(uint64(x.snapshot))
		w.b = x.book.AppendSnapshot(w.b)
	}
}

func (n bookName) compare(o bookName) int {
	return cmp.Or(cmp.Compare(n.exchange, o.exchange), cmp.Compare(n.venue, o.venue),
		cmp.Compare(n.symbol, o.symbol), cmp.Compare(n.feed, o.feed))
}

func (b *books) load(r *reader) {
	last := bookName{}
	for i := range r.count(40) {
		var n bookName
		n.exchange = string(r.text())
		venue := r.word()
		n.symbol = string(r.text())
		feed := r.word()
		snapshot := int64(r.word())
		n.venue, n.feed = market.Venue(venue), market.FeedID(feed)
		if r.bad || uint64(n.venue) != venue || uint64(n.feed) != feed || i > 0 && last.compare(n) >= 0 || !market.ValidTime(snapshot) {
			r.bad = true
			return
		}
		last = n
		x := &b.slots[b.number(n)]
		rest, err := x.book.Restore(r.b)
		if err != nil {
			r.bad = true
			return
		}
		r.b, x.live, x.snapshot = rest, true, snapshot
	}
}
