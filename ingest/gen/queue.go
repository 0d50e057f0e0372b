package gen

import (
	"github.com/pinova-group/tidemark/market"
)

// record is an event on its way from the venue to the reader.
type record struct {
	arrival int64  // receive time; a receive clock that is right
	ord     uint64 // breaks ties of arrival
	ts      int64  // event time by the venue's clock
	seq     uint64
	first   uint64 // of a delta: its first update
	prev    uint64 // of a delta: last update of the message before
	inst    int32
	kind    market.Kind
	shard   uint16
	intent  intent
	fault   uint8    // which corruption
	origin  uint8    // of a book row
	state   uint8    // of a status row
	side    uint8    // of a trade
	v       [4]int64 // trade: price, quantity; quote: bid, size, ask, size; funding: rate; instrument: tick
	scale   int8     // of prices: the tick may change while a record is under way
	ahead   int64    // event time of a corrupt copy
	bids    levels
	asks    levels
}

// intent is what a record was made for; its verdict must be the one that follows.
type intent uint8

const (
	intentApply intent = iota
	intentLate
	intentDuplicate
	intentCorrupt
)

// levels is one side of a book message, mantissas.
type levels struct{ price, qty []int64 }

func (l *levels) add(price, qty int64) {
	l.price = append(l.price, price)
	l.qty = append(l.qty, qty)
}

func (l *levels) set(o *levels) {
	l.price = append(l.price[:0], o.price...)
	l.qty = append(l.qty[:0], o.qty...)
}

// queue holds records until they arrive: a binary heap by (arrival, ord) of slots in a
// pool. Its size is the rate times the longest delay.
type queue struct {
	slots []record
	free  []int32
	heap  []entry
	ord   uint64
}

type entry struct {
	arrival int64
	ord     uint64
	slot    int32
}

func (e entry) before(o entry) bool {
	return e.arrival < o.arrival || e.arrival == o.arrival && e.ord < o.ord
}

// slot returns a record to fill; its level slices keep their memory. The pointer is
// good until the next call.
func (q *queue) slot() (*record, int32) {
	var s int32
	if n := len(q.free); n > 0 {
		s = q.free[n-1]
		q.free = q.free[:n-1]
	} else {
		s = int32(len(q.slots))
		q.slots = append(q.slots, record{})
	}
	r := &q.slots[s]
	b, a := r.bids, r.asks
	*r = record{bids: levels{b.price[:0], b.qty[:0]}, asks: levels{a.price[:0], a.qty[:0]}}
	return r, s
}

// push enters a filled slot.
func (q *queue) push(s int32) {
	r := &q.slots[s]
	r.ord = q.ord
	q.ord++
	q.enter(entry{r.arrival, r.ord, s})
}

func (q *queue) enter(e entry) {
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(q.heap[up]) {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = e
}

// pop takes out the first record. The slot must be given back with release.
func (q *queue) pop() int32 {
	top := q.heap[0].slot
	n := len(q.heap) - 1
	e := q.heap[n]
	q.heap = q.heap[:n]
	if n == 0 {
		return top
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= n {
			break
		}
		if down+1 < n && q.heap[down+1].before(q.heap[down]) {
			down++
		}
		if !q.heap[down].before(e) {
			break
		}
		q.heap[i] = q.heap[down]
		i = down
	}
	q.heap[i] = e
	return top
}

func (q *queue) release(s int32) { q.free = append(q.free, s) }

// delay puts a popped slot back, to arrive later.
func (q *queue) delay(s int32, by int64) {
	r := &q.slots[s]
	r.arrival += by
	q.enter(entry{r.arrival, r.ord, s})
}
