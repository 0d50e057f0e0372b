package op

import "slices"

// Queues is an arena of queues of entries of a few words, the variable part of the
// accumulators that need their inputs in order. A block is a ring of a power of two entries
// behind two words: log2 of its capacity, and the place of the oldest entry with the number
// of entries. A handle is a place in the arena and 0 the empty queue.
type Queues struct {
	words []uint64
	free  [33][]uint64 // by log2 of the capacity
}

const (
	queueEntry = 5
	queueHead  = 2
)

func (q *Queues) alloc(class int) uint64 {
	if f := q.free[class]; len(f) > 0 {
		h := f[len(f)-1]
		q.free[class] = f[:len(f)-1]
		q.words[h] = 0
		return h
	}
	n, size := len(q.words), queueHead+queueEntry<<class
	q.words = slices.Grow(q.words, size)[:n+size]
	q.words[n], q.words[n+1] = uint64(class), 0
	return uint64(n) + 1
}

// Free gives the memory of a queue back.
func (q *Queues) Free(h uint64) {
	if h != 0 {
		class := q.words[h-1]
		q.free[class] = append(q.free[class], h)
	}
}

// Len is the number of entries.
func (q *Queues) Len(h uint64) int {
	if h == 0 {
		return 0
	}
	return int(uint32(q.words[h]))
}

// At is entry i, from the oldest on; good until the next push.
func (q *Queues) At(h uint64, i int) []uint64 {
	mask := uint64(1)<<q.words[h-1] - 1
	at := h + 1 + queueEntry*((q.words[h]>>32+uint64(i))&mask)
	return q.words[at : at+queueEntry]
}

// Push appends an entry and returns the handle, which may have changed.
func (q *Queues) Push(h uint64, e [queueEntry]uint64) uint64 {
	if h == 0 {
		h = q.alloc(2)
	}
	if n := q.Len(h); n == 1<<q.words[h-1] {
		g := q.alloc(int(q.words[h-1]) + 1)
		for i := range n {
			q.words[g]++
			copy(q.At(g, i), q.At(h, i))
		}
		q.Free(h)
		h = g
	}
	q.words[h]++
	copy(q.At(h, q.Len(h)-1), e[:])
	return h
}

// Drop takes the n oldest entries off and returns the handle, 0 when none is left.
func (q *Queues) Drop(h uint64, n int) uint64 {
	if left := q.Len(h) - n; left > 0 {
		mask := uint64(1)<<q.words[h-1] - 1
		q.words[h] = (q.words[h]>>32+uint64(n))&mask<<32 | uint64(left)
		return h
	}
	q.Free(h)
	return 0
}
