package sequence

import (
	"encoding/binary"
	"math/bits"

	"github.com/pinova-group/tidemark/market"
)

// idSet remembers the ids of one feed and kind for the dedup horizon, with the event
// time of the first event of each. Two generations: the current one takes ids; when
// the older one has nothing left within the horizon it is cleared and they swap.
//
// 96 bits of the id are kept. With n ids remembered, a new id is taken for a known one
// with probability n/2^96: at 2^26 of them, once in 10^21 events.
type idSet struct {
	cur, old idGen
	limit    int
}

// idGen is an open-addressing table. A byte of each id's hash lies apart: a new id,
// which is nearly every one, is told from a known one without reading the slots.
type idGen struct {
	tags  []uint8  // 0: empty
	slots []idSlot // length 0 or a power of two, as tags
	n     int
	max   int64 // greatest event time in it; market.NoTime when empty
	from  int64 // forget point when it became current
}

type idSlot struct {
	a     uint64
	b     uint32
	stamp uint32
}

// A stamp counts 1,024 µs and wraps after 50 days; ids that far apart are never held at
// the same time, because the horizon is at most maxHorizon.
const (
	stampShift = 10
	maxHorizon = 7 * market.Day
	minSlots   = 1 << 8
)

func stampOf(ts int64) uint32 { return uint32(ts >> stampShift) }

func newIDSet(limit int) *idSet {
	s := &idSet{limit: limit}
	s.cur.max, s.old.max = market.NoTime, market.NoTime
	s.cur.from, s.old.from = market.NoTime, market.NoTime
	return s
}

// find returns the slot of an id, or the empty one where it belongs; none has a table
// without slots.
func (g *idGen) find(h, a uint64, b uint32) (at uint64, ok bool) {
	if len(g.tags) == 0 {
		return 0, false
	}
	tag := tagOf(h)
	mask := uint64(len(g.tags) - 1)
	i := h & mask
	for ; i+8 <= uint64(len(g.tags)); i += 8 { // 8 tags at once, without a branch for each
		word := binary.LittleEndian.Uint64(g.tags[i:])
		empty := zeroBytes(word)
		same := zeroBytes(word^uint64(tag)*eachByte) & (empty&-empty - 1)
		for ; same != 0; same &= same - 1 {
			at := i + uint64(bits.TrailingZeros64(same)>>3)
			if x := &g.slots[at]; x.a == a && x.b == b {
				return at, true
			}
		}
		if empty != 0 {
			return i + uint64(bits.TrailingZeros64(empty)>>3), false
		}
	}
	for i &= mask; ; i = (i + 1) & mask {
		switch g.tags[i] {
		case tag:
			if x := &g.slots[i]; x.a == a && x.b == b {
				return i, true
			}
		case 0:
			return i, false
		}
	}
}

const eachByte = 0x0101010101010101

// zeroBytes sets the high bit of each byte that is 0, the lowest one exactly; above it,
// a byte of 1 may pass for one.
func zeroBytes(w uint64) uint64 { return (w - eachByte) &^ w & (eachByte << 7) }

// full reports whether the table must grow before an id is put.
func (g *idGen) full() bool { return g.n*8 >= len(g.slots)*5 }

// put adds an id or gives it a new stamp.
func (g *idGen) put(h, a uint64, b, stamp uint32) {
	if g.full() {
		g.rehash(max(minSlots, 2*len(g.slots)))
	}
	at, ok := g.find(h, a, b)
	g.set(at, ok, tagOf(h), a, b, stamp)
}

// set fills the slot that find gave.
func (g *idGen) set(at uint64, ok bool, tag uint8, a uint64, b, stamp uint32) {
	g.tags[at] = tag
	x := &g.slots[at]
	x.a, x.b, x.stamp = a, b, stamp
	if !ok {
		g.n++
	}
}

// rehash moves the ids to a table of another size.
func (g *idGen) rehash(size int) {
	tags, slots := g.tags, g.slots
	g.tags, g.slots = make([]uint8, size), make([]idSlot, size)
	mask := uint64(size - 1)
	for i, tag := range tags {
		if tag == 0 {
			continue
		}
		x := &slots[i]
		at := mix(x.a, x.b) & mask
		for g.tags[at] != 0 {
			at = (at + 1) & mask
		}
		g.tags[at], g.slots[at] = tag, *x
	}
}

// tagOf takes other bits of the hash than its place.
func tagOf(h uint64) uint8 { return max(uint8(h>>56), 1) }

// touch reads the slots of ids that will be looked up soon: the reads do not wait for
// each other, as those of one lookup after the other would.
func (s *idSet) touch(ids []market.ID) (sink uint8) {
	cur, old := s.cur.tags, s.old.tags
	if len(cur) < touchFrom && len(old) < touchFrom {
		return 0
	}
	mc, mo := uint64(len(cur)-1), uint64(len(old)-1)
	for i := range ids {
		h := mix(idParts(&ids[i]))
		if len(cur) > 0 {
			sink += cur[h&mc] + uint8(s.cur.slots[h&mc].b)
		}
		if len(old) > 0 {
			sink += old[h&mo]
		}
	}
	return sink
}

func idParts(id *market.ID) (a uint64, b uint32) {
	return binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint32(id[8:12])
}

// touchFrom is the size of a table that no longer stays in the nearest cache;
// touchRows how many rows are touched at once.
const (
	touchFrom = 1 << 13
	touchRows = 64
)

func mix(a uint64, b uint32) uint64 {
	h := (a ^ uint64(b)<<17) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// fit gives back slots when few are in use, so that a snapshot needs no trust in sizes.
func (g *idGen) fit() {
	switch {
	case g.n == 0:
		g.tags, g.slots = nil, nil
	case uint64(len(g.slots)) > mostSlots(g.n):
		g.rehash(slotsFor(g.n))
	}
}

// slotsFor is the size of a table that has room for one id more than n, mostSlots the largest one that is
// written down.
func slotsFor(n int) int {
	size := minSlots
	for n*8 >= size*5 {
		size *= 2
	}
	return size
}

func mostSlots(n int) uint64 { return 4 * uint64(slotsFor(n)) }

func (g *idGen) clear(from int64) {
	clear(g.tags)
	g.n, g.max, g.from = 0, market.NoTime, from
}

// known reports whether the id was put with an event time at or after forget; if not,
// the id is put. forget is market.NoTime when nothing is forgotten yet.
func (s *idSet) known(id *market.ID, ts, forget int64) bool {
	a, b := idParts(id)
	h := mix(a, b)
	at, here := s.cur.find(h, a, b)
	stamp, ok := uint32(0), here
	if here {
		stamp = s.cur.slots[at].stamp
	} else if s.old.n > 0 {
		if i, found := s.old.find(h, a, b); found {
			stamp, ok = s.old.slots[i].stamp, true
		}
	}
	if ok && (forget == market.NoTime || int32(stamp-stampOf(forget)) >= 0) {
		return true
	}
	if forget != market.NoTime && ts < forget {
		return false // would be forgotten at once
	}
	switch {
	case s.cur.n >= s.limit:
		s.swap(forget)
		s.cur.put(h, a, b, stampOf(ts))
	case s.cur.full():
		s.cur.put(h, a, b, stampOf(ts))
	default:
		s.cur.set(at, here, tagOf(h), a, b, stampOf(ts))
	}
	s.cur.max = max(s.cur.max, ts)
	return false
}

// expire lets the older generation go when nothing in it is within the horizon and the
// current one spans a horizon.
func (s *idSet) expire(forget, horizon int64) {
	if forget == market.NoTime || s.old.max >= forget || s.cur.n == 0 {
		return
	}
	if s.cur.from == market.NoTime {
		s.cur.from = forget
	}
	if forget-s.cur.from >= horizon {
		s.swap(forget)
	} else if s.old.n > 0 {
		s.old.clear(forget)
	}
}

func (s *idSet) swap(forget int64) {
	s.old.clear(forget)
	s.cur, s.old = s.old, s.cur
}
