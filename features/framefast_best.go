package features

import (
	"math"
	"slices"
)

// fastBest is the values that beat all that came after them, up to a row: the greatest of any frame that ends there is the first
// of them in the frame.
type fastBest struct {
	least bool       // complements of the values are looked at: the least is wanted
	open  []fastOpen // values fall
	next  int        // the first row that has not been looked at: rows are when a frame that ends behind them is asked for
	at    []int      // by frame that looks: where its greatest was in open
	// rising tells that no value is less than the one before it: the last is as great as any, and no row is looked at.
	rising bool
}

// fastOpen is a value and the last of the rows that have it side by side, as far as those between are less.
type fastOpen struct {
	place uint32
	val   int64
}

// noPlace is more than there are rows.
const noPlace = math.MaxInt32

// Places in fastState.best of what is known of the rows themselves.
const (
	bestAvail = iota
	bestHold
	bestArgs
)

// watch tells whether the values, new ones from a place on, still rise.
func (x *fastBest) watch(vals []int64, at int) {
	x.rising = x.rising && slices.IsSorted(vals[max(min(at, len(vals))-1, 0):])
}

// take looks at the next rows, given their values. Of equal values of one scale the last row stands for all: own has the scales of
// all rows, nil when they have one.
func (x *fastBest) take(vals []int64, own []int8) {
	open, mask, top := x.open, x.mask(), int64(math.MaxInt64)
	if n := len(open); n > 0 {
		top = open[n-1].val
	}
	for k, v := range vals {
		i := uint32(x.next + k)
		v ^= mask
		if v > top {
			n := len(open) - 1
			for n > 0 && open[n-1].val < v {
				n--
			}
			if open, top = open[:n], math.MaxInt64; n > 0 {
				top = open[n-1].val
			}
		}
		if v == top && (own == nil || own[i] == own[open[len(open)-1].place]) {
			open[len(open)-1].place = i
			continue
		}
		open, top = append(open, fastOpen{i, v}), v
	}
	x.open, x.next = open, x.next+len(vals)
}

// takeSums looks at the values of an argument up to a place.
func (x *fastBest) takeSums(a *fastArg, end int, room *[blockRows]int64) {
	for x.next < end {
		before := a.before[x.next : min(end, x.next+blockRows)+1]
		vals := room[:len(before)-1]
		sum := before[0]
		for k, to := range before[1:] {
			vals[k], sum = to-sum, to
		}
		x.take(vals, a.own)
	}
}

// mask turns a value into what is looked at.
func (x *fastBest) mask() int64 {
	if x.least {
		return -1
	}
	return 0
}

// find is the place of the greatest value, of equal ones the first by scale, from a row on to the last that was looked at, and the
// value. Frames that look move on together with the rows, as a rule.
func (x *fastBest) find(use int, lo uint32) (place uint32, val int64) {
	open := x.open
	i := min(x.at[use], len(open)-1)
	for i > 0 && open[i-1].place >= lo {
		i--
	}
	for open[i].place < lo {
		i++
	}
	x.at[use] = i
	return open[i].place, open[i].val ^ x.mask()
}

// forget drops the first k rows.
func (x *fastBest) forget(k int) {
	n := 0
	for n < len(x.open) && int(x.open[n].place) < k {
		n++
	}
	x.open = x.open[:copy(x.open, x.open[n:])]
	for i := range x.open {
		x.open[i].place -= uint32(k)
	}
	for u := range x.at {
		x.at[u] = max(x.at[u]-n, 0)
	}
	x.next = max(x.next-k, 0)
}

// bestOf finds the least or greatest values of all frames that look for them in a queue, at each instant of a block, unless that
// has been done: what is taken up of rows cannot be given back.
func (s *fastState) bestOf(p *fastFrames, b *fastBlock, queue int) {
	if b.found[queue] {
		return
	}
	b.found[queue] = true
	q, x := &p.queues[queue], &s.best[bestArgs+queue]
	for j, end := range b.ends[:b.n] {
		x.takeSums(&s.args[q.arg], int(end), &b.vals)
		for u, frame := range q.frames {
			at := (q.use+u)*blockRows + j
			b.most[at], b.mostVal[at] = x.find(u, b.first[frame*blockRows+j])
		}
	}
}

// firstMost is where the block has what a feature finds.
func (p *fastFrames) firstMost(f *fastOut) int { return (p.queues[f.queue].use + f.use) * blockRows }

// greatest finds the greatest value of some of the longest frame at each instant of a block.
func (s *fastState) greatest(p *fastFrames, b *fastBlock, x *fastBest, vals, dst []int64) {
	first := b.firstOf(p.longest)
	for j, end := range b.ends[:b.n] {
		if x.rising {
			dst[j] = vals[end-1]
			continue
		}
		x.take(vals[x.next:end], nil)
		_, dst[j] = x.find(0, first[j])
	}
}
