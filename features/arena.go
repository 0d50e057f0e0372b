package features

import "slices"

// arena holds records of one stride with a few words of links before each: the panes of
// a view that are closed but still needed. Record 0 stands for none.
type arena struct {
	stride int
	words  []uint64
	free   uint32
	live   int // records in use
}

// Words of a record before its state.
const (
	nodeNext = iota // next record of a list
	nodeAt          // pane index; of a held row its time
	nodeHead
)

func newArena(stride int) arena {
	return arena{stride: nodeHead + stride, words: make([]uint64, nodeHead+stride)}
}

// alloc returns an empty record.
func (a *arena) alloc() uint32 {
	a.live++
	if a.free != 0 {
		r := a.free
		n := a.node(r)
		a.free = uint32(n[nodeNext])
		clear(n)
		return r
	}
	r := len(a.words) / a.stride
	a.words = slices.Grow(a.words, a.stride)[:len(a.words)+a.stride]
	clear(a.node(uint32(r)))
	return uint32(r)
}

func (a *arena) release(r uint32) {
	if a.live--; a.live == 0 { // begin anew at the front: records that come after each other lie so
		a.words, a.free = a.words[:a.stride], 0
		return
	}
	a.node(r)[nodeNext] = uint64(a.free)
	a.free = r
}

func (a *arena) node(r uint32) []uint64 {
	at := int(r) * a.stride
	return a.words[at : at+a.stride : at+a.stride]
}

// rec is the state of a record.
func (a *arena) rec(r uint32) []uint64 { return a.node(r)[nodeHead:] }

func (a *arena) next(r uint32) uint32 { return uint32(a.node(r)[nodeNext]) }

// list is a queue of records, oldest first.
type list struct{ head, tail uint32 }

func (a *arena) push(l *list, r uint32) {
	a.node(r)[nodeNext] = 0
	if l.head == 0 {
		l.head = r
	} else {
		a.node(l.tail)[nodeNext] = uint64(r)
	}
	l.tail = r
}

// pop takes the oldest record off; the list must not be empty.
func (a *arena) pop(l *list) uint32 {
	r := l.head
	l.head = a.next(r)
	if l.head == 0 {
		l.tail = 0
	}
	return r
}
