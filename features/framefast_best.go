package features

import (
	"math"
	"slices"
)

// fastBest tells of each row the next one whose value is greater: whoever goes from one to the next comes to the
// greatest of a frame, of equal ones the first.
type fastBest struct {
	least bool       // complements of the values are looked at: the least is wanted
	next  []uint32   // how far it is; for none noNext, and how far back the one before of the same value is
	open  []fastOpen // values of rows without one
	at    []int      // by frame that looks: place of its greatest
	// rising tells that no value is less than the one before it: the last is as great as any,
	// and next is not kept.
	rising bool
}

// fastOpen is a value and the last row that has it.
type fastOpen struct {
	place uint32
	val   int64
}

// noNext is more than there are rows.
const noNext = math.MaxInt32

// Places in fastState.best of what is known of the rows themselves.
const (
	bestAvail = iota
	bestHold
	bestArgs
)

// watch takes the values from a place on, and tells whether they still rise.
func (b *fastBest) watch(vals []int64, at int) {
	b.rising = b.rising && slices.IsSorted(vals[max(min(at, len(vals))-1, 0):])
	if !b.rising {
		b.link(vals[len(b.next):])
	}
}

// link finds for each row the next one that is greater, given the values of those that have come.
func (b *fastBest) link(x []int64) {
	at := len(b.next)
	b.next = extend(b.next, at+len(x))
	next, open, mask := b.next, b.open, b.mask()
	for k, v := range x {
		v ^= mask
		i, n := uint32(at+k), len(open)
		for ; n > 0 && open[n-1].val < v; n-- {
			for p := open[n-1].place; ; {
				back := next[p] - noNext
				next[p] = i - p
				if back == 0 || back > p { // that one is forgotten
					break
				}
				p -= back
			}
		}
		next[i], open = noNext, open[:n]
		if n > 0 && open[n-1].val == v {
			next[i] += i - open[n-1].place
			open[n-1].place = i
		} else {
			open = append(open, fastOpen{i, v})
		}
	}
	b.open = open
}

// mask turns a value into what is looked at.
func (x *fastBest) mask() int64 {
	if x.least {
		return -1
	}
	return 0
}

// greatest finds the place of the greatest value of a frame at each instant, given that at
// the instant before, and returns the last. A place never falls: the steps to the next greater value
// are no more than rows, however long the frame is.
func (b *fastBlock) greatest(x *fastBest, at int, frame int) int {
	first, ends, next := b.firstOf(frame), b.ends[:b.n], x.next
	most := b.most[:len(first)]
	if x.rising {
		for j := range most {
			most[j] = ends[j] - 1
		}
		return int(most[len(most)-1])
	}
	for j, lo := range first {
		at = max(at, int(lo))
		for end := int(ends[j]); ; {
			to := at + int(next[at])
			if to >= end {
				break
			}
			at = to
		}
		most[j] = uint32(at)
	}
	return at
}

// firstOf is greatest for one instant, of equal values the first. Values do not rise.
func (x *fastBest) firstOf(at, lo, end int) int {
	at = max(at, lo)
	for to := at + int(x.next[at]); to < end; to = at + int(x.next[at]) {
		at = to
	}
	return at
}
