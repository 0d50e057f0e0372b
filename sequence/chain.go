package sequence

import (
	"math"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/book"
)

// chain is the book of one feed and instrument and what is known of its links.
//
// Its state is WAIT (no book: from the start, and after a gap, a checksum that fails,
// a book that stays crossed, a line that went down) or LIVE. Deltas leave in both; a
// snapshot makes it LIVE. A delta that breaks the chain carries FlagGap: whoever keeps
// a book from the rows drops it there and waits for the next snapshot.
//
// What is held is processed step by step, always the step with the least threshold,
// as soon as the release point has reached it. Which step that is does not depend on
// the point, so it makes no difference whether the point moves often or seldom.
//
//	step         threshold               what happens
//	keyframe     grid point, or the      the book as of just before it is written
//	             link that ends a silence
//	link         its time                applied: it continues the chain
//	snapshot     its time                replaces the book; a falling number starts an epoch
//	REST         see rest                connects, is re-based, or is filtered
//	stale        its time                behind the chain: filtered after a snapshot, else duplicate
//	hole         its time + disorder     its predecessor has not come: a gap
//
// A feed without update ids (not Chained) has no holes: rows go by time, then arrival.
type chain struct {
	fk   *feedKind
	inst market.Inst
	num  uint32

	chained bool // by update ids; decided by the first row
	sum     book.Checksum

	live  bool // LIVE
	was   bool // has been LIVE
	known bool // last is a number of this chain
	fresh bool // last is that of a snapshot: the next delta may overlap it
	fed   bool // deltas have come since the last snapshot over REST, or the venue pushes snapshots
	dirty bool // rows since the last keyframe
	cut   bool // the next row starts after a break that left no hole in numbers

	active bool // in books.active

	last    uint64 // update id of the last link
	covered uint64 // update id of the last snapshot: stale links up to it are filtered
	epoch   uint32
	ts      int64  // effective time of the last row, market.NoTime before it
	emitted uint64 // number of the last row
	crossed int64  // since when the book is crossed, market.NoTime when not
	run     uint64

	at           links  // deltas by the number that must come before them; all rows by time when not chained
	snaps, rests []link // pushed by the venue, by time; asked for over REST, by arrival

	shard   uint16 // that brought the last row held
	lastRow keyframeOf
	book    book.Book
	kept    []link // rows that have left but are kept to re-base a REST snapshot on
}

// keyframeOf is what a keyframe takes from the row it follows.
type keyframeOf struct {
	shard  uint16
	ingest int64
	id     market.ID
}

// link is one row of a chain, held in the arena.
type link struct {
	key   uint64 // update id that must be the last one before this row; sort key
	first uint64 // first update id in the row
	seq   uint64
	tie   uint64 // among equal keys: the time, and where the key is the time the venue's number
	ts    int64
	row   uint32
	rule  linkRule
}

// noRow stands where a link has no row.
const noRow = math.MaxUint32

// linkRule says how a delta names its predecessor.
type linkRule uint8

const (
	byStep     linkRule = iota // seq = last + 1 (Bybit)
	byFirst                    // first ≤ last + 1 ≤ seq (Binance spot)
	byPrev                     // prev = last (OKX)
	byPrevOver                 // prev = last; after a snapshot first ≤ last ≤ seq (Binance futures)
	byTime                     // not chained
	breakMark                  // not chained: the line went down here; no row
)

// links are sorted by (key, tie), equal ones in order of arrival.
type links struct {
	l    []link
	head int
	// Behind the first rough ones each link names the number of the one before it.
	rough int
}

func (q *links) len() int        { return len(q.l) - q.head }
func (q *links) get(i int) *link { return &q.l[q.head+i] }

func (q *links) insert(x *link) {
	i := len(q.l)
	q.l = append(q.l, link{})
	y := &q.l[i] // field by field, as read
	y.key, y.first, y.seq, y.tie, y.ts, y.row, y.rule = x.key, x.first, x.seq, x.tie, x.ts, x.row, x.rule
	for ; i > q.head && (x.key < q.l[i-1].key || x.key == q.l[i-1].key && x.tie < q.l[i-1].tie); i-- {
		q.l[i] = q.l[i-1]
	}
	if i < len(q.l)-1 {
		q.l[i] = *x
		q.rough = q.len()
	} else if i > q.head && x.key != q.l[i-1].seq {
		q.rough = q.len()
	}
}

// next lets the first link go.
func (q *links) next() {
	q.head++
	q.rough = max(q.rough-1, 0)
	q.trim()
}

func (q *links) remove(i int) link {
	i += q.head
	x := q.l[i]
	if i > q.head {
		copy(q.l[q.head+1:i+1], q.l[q.head:i])
		q.rough = q.len()
	}
	q.next()
	return x
}

// trim gives back the room before the first link.
func (q *links) trim() {
	switch {
	case q.head == len(q.l):
		q.l, q.head = q.l[:0], 0
	case q.head > 64 && q.head > len(q.l)/2:
		q.l = append(q.l[:0], q.l[q.head:]...)
		q.head = 0
	}
}

// lower is the first place whose key is at least key.
func (q *links) lower(key uint64) int {
	lo, hi := q.head, len(q.l)
	if lo < hi && q.l[lo].key >= key {
		return 0
	}
	for lo < hi {
		if m := (lo + hi) / 2; q.l[m].key < key {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo - q.head
}

// step is what a chain can do next.
type step uint8

const (
	stepNone step = iota
	stepKeyframe
	stepLink
	stepSnap
	stepRest
	stepStale
	stepHole
)

// stale reports whether a link lies behind the chain.
func (c *chain) stale(x *link) bool { return c.known && x.key < c.last && x.seq <= c.last }

// continues reports whether a delta continues a chain whose last number is last.
func (x *link) continues(last uint64, fresh bool) bool {
	if x.key == last {
		return true
	}
	switch x.rule {
	case byFirst:
		return x.key < last && x.seq > last
	case byPrev:
		return fresh && x.key < last && x.seq > last
	case byPrevOver:
		return fresh && x.first <= last && x.seq > last
	default:
		return false
	}
}

// find returns the places of the link that continues the chain, of the first stale
// one, and of the first that does neither; -1 for none.
func (c *chain) find() (next, stale, hole int) {
	n := c.at.len()
	switch {
	case n == 0:
		return -1, -1, -1
	case !c.chained || !c.known:
		return 0, -1, -1
	}
	next, stale, hole = -1, -1, -1
	i := c.at.lower(c.last)
	if i < n && c.at.get(i).key == c.last {
		next = i
	}
	for j := range i {
		x := c.at.get(j)
		switch {
		case c.stale(x):
			if stale < 0 {
				stale = j
			}
		case next < 0 && x.continues(c.last, c.fresh):
			next = j
		case hole < 0:
			hole = j
		}
	}
	if hole < 0 && i < n {
		hole = i
	}
	if next >= 0 {
		hole = -1
	}
	return next, stale, hole
}

// plan returns the step with the least threshold and the place of its link. patience
// is the time that a hole is waited for; keyframes are planned up to the grid point last.
func (c *chain) plan(patience, grid, last int64) (do step, place int, at int64) {
	do, at = stepNone, math.MaxInt64
	offer := func(d step, p int, t int64) {
		if t < at {
			do, place, at = d, p, t
		}
	}
	next, stale, hole := c.find()
	if c.live && c.dirty && (hole < 0 || c.at.get(hole).ts >= nextGrid(c.ts, grid)) {
		if g := nextGrid(c.ts, grid); g <= last {
			offer(stepKeyframe, 0, g)
		}
	}
	if c.wakes(next, grid, last) {
		offer(stepKeyframe, 0, c.at.get(next).ts)
	}
	// A snapshot waits for a hole to be decided, because after a gap it is what brings the
	// book back, but not for one that lies behind its own place.
	rest := len(c.rests) > 0 &&
		(hole < 0 || !c.live && c.restAt(&c.rests[0], next, patience) <= c.at.get(hole).ts)
	if rest && next >= 0 && c.at.get(next).seq > c.rests[0].seq {
		offer(stepRest, 0, c.restAt(&c.rests[0], next, patience)) // before the delta at the same time
	}
	if next >= 0 {
		offer(stepLink, next, c.at.get(next).ts)
	}
	if len(c.snaps) > 0 {
		offer(stepSnap, 0, c.snaps[0].ts)
	}
	if rest {
		offer(stepRest, 0, c.restAt(&c.rests[0], next, patience))
	}
	if stale >= 0 {
		offer(stepStale, stale, c.at.get(stale).ts)
	}
	if hole >= 0 {
		offer(stepHole, hole, c.at.get(hole).ts+patience)
	}
	return do, place, at
}

// wakes reports whether the link that continues the chain comes after a keyframe time at
// which none was written, because nothing had happened since the one before: then one
// stands right before the link, so that no delta is further from a snapshot than the grid.
func (c *chain) wakes(next int, grid, last int64) bool {
	if !c.live || next < 0 {
		return false
	}
	x, g := c.at.get(next), nextGrid(c.ts, grid)
	return x.rule != breakMark && x.ts >= g && (!c.dirty || g > last)
}

// restAt is the threshold of a REST snapshot. It lets the deltas up to its number go
// first, those that are there and for a while those that are not, because it is placed
// by its number and its time is by another clock. next is the place of the link that
// continues the chain, -1 for none. One that waits takes its place with the delta
// that comes: its own time may have been released by then.
func (c *chain) restAt(r *link, next int, patience int64) int64 {
	switch {
	case c.live && c.fed, c.known && c.last >= r.seq:
		return r.ts
	case next >= 0:
		if x := c.at.get(next); x.seq <= r.seq || c.known && !x.continues(r.seq, true) {
			return max(r.ts, x.ts)
		} else if c.known && c.fed {
			return min(max(r.ts, x.ts), r.ts+2*patience)
		}
		return r.ts
	case c.known && c.fed:
		return r.ts + 2*patience
	default:
		return r.ts
	}
}

// blocked is the least effective time that rows behind a hole can get; math.MaxInt64
// when there is no hole.
func (c *chain) blocked() int64 {
	if _, _, hole := c.find(); hole >= 0 {
		return max(c.ts, c.at.get(hole).ts)
	}
	return math.MaxInt64
}

// continued is the first link held when it continues the chain and nothing but a
// keyframe can come before it: what plan finds for nearly every row, found at once.
func (c *chain) continued() *link {
	if !c.chained || !c.known || c.at.len() == 0 || len(c.snaps)+len(c.rests) > 0 {
		return nil
	}
	if x := c.at.get(0); x.key == c.last {
		return x
	}
	return nil
}

// settled reports whether no row that may still come bears on what the chain does before
// the row's time: no hole is waited for, nor a snapshot's place. Then it makes no difference
// whether the chain catches up before the row is held or after.
func (c *chain) settled() bool {
	switch {
	case len(c.snaps)+len(c.rests) > 0:
		return false
	case c.at.len() == 0:
		return true
	}
	return c.chained && c.known && c.at.rough == 0 && c.at.get(0).key == c.last
}

// nextGrid is the first keyframe time after ts: the grid, and each full hour.
func nextGrid(ts, every int64) int64 {
	return min(market.FloorDiv(ts, every)*every+every, market.FloorDiv(ts, market.Hour)*market.Hour+market.Hour)
}

// grid remembers the keyframe times around the time asked for last.
type grid struct{ from, to int64 }

func (g *grid) next(ts, every int64) int64 {
	if ts < g.from || ts >= g.to {
		g.from = max(market.FloorDiv(ts, every)*every, market.FloorDiv(ts, market.Hour)*market.Hour)
		g.to = nextGrid(ts, every)
	}
	return g.to
}
