package sequence

import (
	"encoding/binary"

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

type idGen struct {
	slots []idSlot // length 0 or a power of two
	n     int
	max   int64 // greatest event time in it; market.NoTime when empty
	from  int64 // forget point when it became current
}

// idSlot is empty when stamp is 0.
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

func stampOf(ts int64) uint32 {
	if s := uint32(ts >> stampShift); s != 0 {
		return s
	}
	return 1
}

func newIDSet(limit int) *idSet {
	s := &idSet{limit: limit}
	s.cur.max, s.old.max = market.NoTime, market.NoTime
	s.cur.from, s.old.from = market.NoTime, market.NoTime
	return s
}

func (g *idGen) find(a uint64, b uint32) (stamp uint32, ok bool) {
	if g.n == 0 {
		return 0, false
	}
	mask := uint64(len(g.slots) - 1)
	for i := mix(a, b) & mask; ; i = (i + 1) & mask {
		x := &g.slots[i]
		if x.a == a && x.b == b && x.stamp != 0 {
			return x.stamp, true
		}
		if x.stamp == 0 {
			return 0, false
		}
	}
}

func mix(a uint64, b uint32) uint64 {
	h := (a ^ uint64(b)<<17) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

func (g *idGen) put(x idSlot) {
	if g.n*8 >= len(g.slots)*5 {
		g.grow()
	}
	mask := uint64(len(g.slots) - 1)
	i := mix(x.a, x.b) & mask
	for g.slots[i].stamp != 0 {
		if g.slots[i].a == x.a && g.slots[i].b == x.b {
			g.slots[i].stamp = x.stamp
			return
		}
		i = (i + 1) & mask
	}
	g.slots[i] = x
	g.n++
}

func (g *idGen) grow() {
	old := g.slots
	g.slots = make([]idSlot, max(minSlots, 2*len(old)))
	g.n = 0
	for _, x := range old {
		if x.stamp != 0 {
			g.put(x)
		}
	}
}

func (g *idGen) clear(from int64) {
	clear(g.slots)
	g.n, g.max, g.from = 0, market.NoTime, from
}

// known reports whether the id was put with an event time at or after forget; if not,
// the id is put. forget is market.NoTime when nothing is forgotten yet.
func (s *idSet) known(id *market.ID, ts, forget int64) bool {
	a, b := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint32(id[8:12])
	stamp, ok := s.cur.find(a, b)
	if !ok {
		stamp, ok = s.old.find(a, b)
	}
	if ok && (forget == market.NoTime || int32(stamp-stampOf(forget)) >= 0) {
		return true
	}
	if forget != market.NoTime && ts < forget {
		return false // would be forgotten at once
	}
	if s.cur.n >= s.limit {
		s.swap(forget)
	}
	s.cur.put(idSlot{a, b, stampOf(ts)})
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
