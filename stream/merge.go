package stream

import (
	"slices"

	"github.com/pinova-group/tidemark/market"
)

// queue is rows of one kind of one partition, in the total order, that were read and not
// yet handed on: from head on.
type queue struct {
	rows *market.Batch
	head int
}

func (q *queue) len() int {
	if q.rows == nil {
		return 0
	}
	return q.rows.N - q.head
}

func (q *queue) add(b *market.Batch, lo, hi int) {
	if q.rows == nil {
		q.rows = emptyLike(b)
	}
	q.restart()
	q.rows.AppendRows(b, lo, hi)
}

// restart forgets rows that were handed on, when they are all.
func (q *queue) restart() {
	if q.head == q.rows.N {
		q.rows.Reset()
		q.head = 0
	}
}

// below is the end of the rows with ts below t.
func (q *queue) below(t int64) int {
	n, _ := slices.BinarySearch(q.rows.TS[q.head:q.rows.N], t)
	return q.head + n
}

// compact drops the rows that were handed on, when they are most of the memory.
func (q *queue) compact(scratch *market.Batch) *market.Batch {
	if q.head == q.rows.N || q.head < q.rows.N-q.head {
		return scratch
	}
	if scratch == nil {
		scratch = emptyLike(q.rows)
	}
	scratch.Reset()
	scratch.AppendRows(q.rows, q.head, q.rows.N)
	old := q.rows
	q.rows, q.head = scratch, 0
	return old
}

// emptyLike makes a batch with the columns of b.
func emptyLike(b *market.Batch) *market.Batch {
	var c market.Chunk
	return c.BatchOf(b.Kind, b.Fields)
}

// merger puts the runs of several queues into the total order.
type merger struct {
	runs    []mergeRun // heap by key, the least first
	numbers []uint32
	srcs    []*market.Batch // those of the runs
	pieces  []market.Piece
	out     *market.Batch
	whole   []*market.Batch // the runs as batches
	parts   []*market.Batch // copies of those that begin in the middle of theirs
	mixed   bool            // two runs had rows of one entity
}

type mergeRun struct {
	rows   *market.Batch
	at, to int
	src    int // of the merger's
	key    market.Key
}

// batches returns the runs as batches of their own. They are valid until the next call after other runs.
func (m *merger) batches() []*market.Batch {
	if len(m.whole) > 0 {
		return m.whole
	}
	for i := range m.runs {
		switch r := &m.runs[i]; {
		case r.at > 0:
			if i >= len(m.parts) {
				m.parts = append(m.parts, make([]*market.Batch, i+1-len(m.parts))...)
			}
			if m.parts[i] == nil {
				m.parts[i] = emptyLike(r.rows)
			}
			m.parts[i].Reset()
			m.parts[i].AppendRows(r.rows, r.at, r.to)
			m.whole = append(m.whole, m.parts[i])
		case r.to < r.rows.N:
			m.whole = append(m.whole, r.rows.First(r.to))
		default:
			m.whole = append(m.whole, r.rows)
		}
	}
	return m.whole
}

// merge returns the rows of runs, each of which is in the total order, in that order. The
// result is valid until the next call.
func (m *merger) merge(numbers []uint32) *market.Batch {
	m.numbers = numbers
	if m.out == nil {
		m.out = emptyLike(m.runs[0].rows)
	}
	m.out.Reset()
	m.pieces, m.srcs = m.pieces[:0], m.srcs[:0]
	for i := range m.runs {
		r := &m.runs[i]
		r.src, m.srcs = i, append(m.srcs, r.rows)
		r.key = r.rows.Key(r.at, numbers)
	}
	for i := len(m.runs)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
	for len(m.runs) > 0 {
		r := &m.runs[0]
		lo := r.at
		r.at = m.end(r)
		m.pieces = append(m.pieces, market.Piece{Src: r.src, Lo: lo, Hi: r.at})
		if r.at < r.to {
			r.key = r.rows.Key(r.at, numbers)
		} else {
			last := len(m.runs) - 1
			m.runs[0] = m.runs[last]
			m.runs = m.runs[:last]
		}
		m.down(0)
	}
	m.out.AppendPieces(m.srcs, m.pieces)
	return m.out
}

// end is how far the first run goes before another one has to.
func (m *merger) end(r *mergeRun) int {
	if len(m.runs) == 1 {
		return r.to
	}
	next := m.runs[1].key
	if len(m.runs) > 2 && m.runs[2].key.Compare(next) < 0 {
		next = m.runs[2].key
	}
	at := r.at + 1
	for at < r.to && r.rows.Key(at, m.numbers).Compare(next) <= 0 {
		at++
	}
	return at
}

func (m *merger) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(m.runs); c++ {
			if m.runs[c].key.Compare(m.runs[least].key) < 0 {
				least = c
			}
		}
		if least == i {
			return
		}
		m.runs[i], m.runs[least] = m.runs[least], m.runs[i]
		i = least
	}
}
