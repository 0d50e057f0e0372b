package op

import (
	"math"
	"math/bits"
)

// SetRoom is the words of the block in which the set or queue of an owner lies.
func (a *Acc) SetRoom(rec []uint64, sc *Scratch) int {
	h := a.state(rec)[0]
	switch {
	case h == 0:
		return 0
	case a.Fn == Paths:
		return queueHead + queueEntry<<sc.queues.words[h-1]
	}
	s := sc.sets(a)
	return headerLen + s.entryLen()<<(s.words[h-1]>>32)
}

// SetLen is how many different values the set of an owner has, or entries its queue.
func (a *Acc) SetLen(rec []uint64, sc *Scratch) int {
	if a.Fn == Paths {
		return sc.queues.Len(a.state(rec)[0])
	}
	return sc.sets(a).Len(a.state(rec)[0])
}

// SetRows is how many inputs an owner has taken and not let go again.
func (a *Acc) SetRows(rec []uint64, sc *Scratch) (n uint64) {
	h := a.state(rec)[0]
	if h == 0 {
		return 0
	}
	if a.Fn == Paths {
		for i := range sc.queues.Len(h) {
			n += pointOf(sc.queues.At(h, i)).n
		}
		return n
	}
	s := sc.sets(a)
	t := s.table(h)
	for i := 2; i < len(t); i += s.entryLen() {
		n += t[i]
	}
	return n
}

// Room is the memory of all sets and queues in bytes, with that of blocks that are free.
func (sc *Scratch) Room() int {
	n := cap(sc.Sets.words) + cap(sc.bags.words) + cap(sc.queues.words)
	for class := range sc.Sets.free {
		n += cap(sc.Sets.free[class]) + cap(sc.bags.free[class]) + cap(sc.queues.free[class])
	}
	return 8 * n
}

// Block predicts the block of a set of so many different values, or of a queue of so many entries:
// its class, and its words. Tables are up to 3/4 full, queues all.
func (a *Acc) Block(n float64) (class, words int) {
	entry, head, full := 3, headerLen, 0.75
	switch a.Fn {
	case Paths:
		entry, head, full = queueEntry, queueHead, 1
	case Weighted:
		entry = 6
	}
	class = max(minClass, bits.Len64(uint64(math.Ceil(n/full))-1))
	return class, head + entry<<class
}
