package run

import (
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
)

// maxLate bounds the late rows that a corrected run keeps in memory.
const maxLate = 4 << 20

// lateRows are the late rows of the whole input, found by a first reading, put into
// their places by a second one.
type lateRows struct {
	rows    market.Chunk
	n       int
	wanted  func(b *market.Batch, i int) bool
	numbers []uint32
	order   [market.NumKinds][]int32 // rows by Key
	next    [market.NumKinds]int     // first of order that was not merged
	merged  market.Chunk
}

// add keeps late rows of a chunk.
func (l *lateRows) add(late *market.Chunk) error {
	for _, b := range late.Batches {
		if b == nil || b.N == 0 {
			continue
		}
		for i := range b.N {
			if l.wanted(b, i) {
				l.rows.BatchOf(b.Kind, b.Fields).AppendRows(b, i, i+1)
				l.n++
			}
		}
		if l.n > maxLate {
			return &fault.Error{
				Code: "late_too_many", Message: fmt.Sprintf("more than %d late events", maxLate), Exit: fault.ExitFailed,
				Why:    "a corrected run keeps late events in memory to put them into their places",
				Remedy: "cut the run with --from and --to, or sort the input by time",
			}
		}
	}
	return nil
}

// sort puts the rows of each kind into the total order.
func (l *lateRows) sort(insts *market.Instruments) {
	l.numbers = insts.Numbers()
	for k, b := range l.rows.Batches {
		if b == nil {
			continue
		}
		order := make([]int32, b.N)
		for i := range order {
			order[i] = int32(i)
		}
		slices.SortStableFunc(order, func(x, y int32) int {
			return b.Key(int(x), l.numbers).Compare(b.Key(int(y), l.numbers))
		})
		l.order[k] = order
	}
}

// merge returns the rows of b, which are in the total order, with the late rows below
// the mark in their places. The result is valid until the next call for the kind.
func (l *lateRows) merge(k market.Kind, b *market.Batch, mark int64) *market.Batch {
	late := l.rows.Batches[k]
	from := l.next[k]
	to := from
	for to < len(l.order[k]) && late.TS[l.order[k][to]] < mark {
		to++
	}
	if to == from {
		return b
	}
	l.next[k] = to
	out := l.merged.BatchOf(k, b.Fields)
	out.Reset()
	at := 0
	for _, row := range l.order[k][from:to] {
		key := late.Key(int(row), l.numbers)
		lo := at
		for b != nil && at < b.N && b.Key(at, l.numbers).Compare(key) <= 0 {
			at++
		}
		if b != nil {
			out.AppendRows(b, lo, at)
		}
		out.AppendRows(late, int(row), int(row)+1)
	}
	if b != nil {
		out.AppendRows(b, at, b.N)
	}
	return out
}
