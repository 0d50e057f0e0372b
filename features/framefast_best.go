package features

import (
	"math"
	"slices"
)

// fastBest is the runs of rows that have a greater value than all that came after them, up to a row: the greatest of any frame that ends
// there is in the first of them that the frame reaches, or in the next.
type fastBest struct {
	least bool      // complements of the values are looked at: the least is wanted
	open  []fastRun // values fall
	next  int       // the first row that has not been looked at: rows are when a frame that ends behind them is asked for
	at    []int     // by frame that looks: where its greatest was in open
	// rising tells that no value is less than the one before it: the last is as great as any, and no row is looked at.
	rising bool
}

// fastRun is rows side by side, all between two instants that are put out or some of them, and the greatest value of them.
type fastRun struct {
	from, last int32 // from is below 0 where rows are forgotten
	place      int32 // of the first row that has it, or any row of its scale
	val        int64
}

// runRows is the most rows of a run: a frame that begins within one goes through them.
const runRows = 32

// fastVals is the values of rows: differences of sums, nil where they are vals; and their scales, nil when they have one.
type fastVals struct {
	sums, vals []int64
	own        []int8
}

func (a *fastArg) vals() fastVals { return fastVals{sums: a.before, own: a.own} }

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

// take looks at the rows before a place.
func (x *fastBest) take(v fastVals, end int) {
	most := runRows
	if v.own != nil {
		most = 1 // equal values of other scales stand for themselves
	}
	for x.next < end {
		hi := min(x.next+most, end)
		place, val := x.greatest(&v, x.next, hi)
		n := len(x.open)
		for n > 0 && (x.open[n-1].val < val || x.open[n-1].val == val && x.open[n-1].sameScale(v.own, place)) {
			n-- // who reaches the one reaches the other
		}
		x.open = append(x.open[:n], fastRun{int32(x.next), int32(hi - 1), int32(place), val})
		x.next = hi
	}
}

// sameScale tells that the greatest value of a run has the scale of a row.
func (r *fastRun) sameScale(own []int8, place int) bool {
	return own == nil || r.place >= 0 && own[r.place] == own[place]
}

// greatest is the greatest value of rows lo to hi, and the first row that has it, or any where all have one scale.
func (x *fastBest) greatest(v *fastVals, lo, hi int) (place int, val int64) {
	mask := x.mask()
	val = math.MinInt64
	if v.sums == nil {
		for _, y := range v.vals[lo:hi] {
			val = max(val, y^mask)
		}
		return lo, val
	}
	sum := v.sums[lo]
	for _, to := range v.sums[lo+1 : hi+1] {
		val, sum = max(val, (to-sum)^mask), to
	}
	if place = lo; v.own != nil {
		for (v.sums[place+1]-v.sums[place])^mask != val {
			place++
		}
	}
	return place, val
}

// mask turns a value into what is looked at.
func (x *fastBest) mask() int64 {
	if x.least {
		return -1
	}
	return 0
}

// find is the greatest value from a row on to the last that was looked at and the first row that has it, or any of its scale. Frames that look move on together with the rows, as a rule.
func (x *fastBest) find(v fastVals, use, lo int) (place int, val int64) {
	open := x.open
	i := min(x.at[use], len(open)-1)
	for i > 0 && int(open[i-1].last) >= lo {
		i--
	}
	for int(open[i].last) < lo {
		i++
	}
	x.at[use] = i
	r := &open[i]
	place, val = int(r.place), r.val
	if int(r.from) < lo {
		place, val = x.greatest(&v, lo, int(r.last)+1)
		if i+1 < len(open) && open[i+1].val > val {
			place, val = int(open[i+1].place), open[i+1].val
		}
	}
	return place, val ^ x.mask()
}

// forget drops the first k rows.
func (x *fastBest) forget(k int) {
	n := 0
	for n < len(x.open) && int(x.open[n].last) < k {
		n++
	}
	x.open = x.open[:copy(x.open, x.open[n:])]
	for i := range x.open {
		r := &x.open[i]
		r.from, r.last, r.place = r.from-int32(k), r.last-int32(k), r.place-int32(k)
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
	vals := s.args[q.arg].vals()
	for j, end := range b.ends[:b.n] {
		x.take(vals, int(end))
		for u, frame := range q.frames {
			at := (q.use+u)*blockRows + j
			place, val := x.find(vals, u, int(b.first[frame*blockRows+j]))
			b.most[at], b.mostVal[at] = int32(place), val
		}
	}
}

// firstMost is where the block has what a feature finds.
func (p *fastFrames) firstMost(f *fastOut) int { return (p.queues[f.queue].use + f.use) * blockRows }

// greatest finds the greatest of some values in the longest frame at each instant of a block.
func (s *fastState) greatest(p *fastFrames, b *fastBlock, x *fastBest, vals, dst []int64) {
	first, v := b.firstOf(p.longest), fastVals{vals: vals}
	for j, end := range b.ends[:b.n] {
		if x.rising {
			dst[j] = vals[end-1]
			continue
		}
		x.take(v, int(end))
		_, dst[j] = x.find(v, 0, int(first[j]))
	}
}
