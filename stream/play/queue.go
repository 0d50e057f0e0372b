package play

import (
	"container/heap"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/market"
)

// item is a record that waits for its time.
type item struct {
	front     int64 // where the input must be for it to leave
	n         int64 // its place among those of one time
	at        int64 // record time
	to        *target
	partition int32
	kind      market.Kind
	payload   bool
	key       []byte
	value     []byte
	headers   []kgo.RecordHeader
}

// delayed is a queue of records by the time at which they leave, then by arrival.
type delayed struct {
	items itemHeap
	n     int64
}

func (d *delayed) push(it *item) {
	it.n = d.n
	d.n++
	heap.Push(&d.items, it)
}

func (d *delayed) pop() { heap.Pop(&d.items) }

type itemHeap []*item

func (h itemHeap) Len() int { return len(h) }
func (h itemHeap) Less(i, j int) bool {
	return h[i].front < h[j].front || h[i].front == h[j].front && h[i].n < h[j].n
}
func (h itemHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *itemHeap) Push(x any)   { *h = append(*h, x.(*item)) }
func (h *itemHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return it
}

// arena gives out bytes that stay until all of their block are let go.
type arena struct{ block []byte }

const arenaBlock = 256 << 10

// room is empty, with place for a usual record.
func (a *arena) room() []byte {
	if cap(a.block)-len(a.block) < 1024 {
		a.block = make([]byte, 0, arenaBlock)
	}
	return a.block[len(a.block):]
}

// keep is what was appended to room, never to be written again.
func (a *arena) keep(b []byte) []byte {
	if n := len(a.block); len(b) > 0 && n+len(b) <= cap(a.block) && &a.block[:n+1][n] == &b[0] {
		a.block = a.block[:n+len(b)]
	}
	return slices.Clip(b)
}
