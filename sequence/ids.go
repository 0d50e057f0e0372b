package sequence

import (
	"encoding/binary"

	"github.com/pinova-group/tidemark/market"
)

// idSet remembers the ids of one feed and kind for the dedup horizon, with the event
// time of the first event of each. They lie in the order in which they came, so that a
// new one, as nearly every one is, costs one place in memory: its place in the table.
// What is forgotten goes when the list is full; the table is then made anew.
//
// 86 bits of the id are kept. With n ids remembered, a new id is taken for a known one
// with probability n/2^86: at 2^26 of them, once in 10^18 events.
type idSet struct {
	list []idTime
	// table has the places in list, from 1 on, by hash, under bits of the hash that its own
	// places do not tell; 0 is empty. Its length is a power of two.
	table []uint32
	limit int
	since int // ids put since their number was a multiple of limit
	older int // ids of the list that were put before that
}

// idTime is the upper 64 bits of an id, then 22 bits more and the time in units of
// 1,024 µs, of which 42 bits last for all event times.
type idTime struct{ a, bt uint64 }

const (
	timeShift = 10
	timeBits  = 42
	minTable  = 1 << 6
)

// before reports whether the event lies before t, as far as its time is kept.
func (x *idTime) before(t int64) bool { return int64(x.bt&(1<<timeBits-1)) < t>>timeShift }

func newIDSet(limit int) *idSet { return &idSet{limit: limit, table: make([]uint32, minTable)} }

// room is how many ids fit the table.
func (s *idSet) room() int { return len(s.table) / 4 * 3 }

func idParts(id *market.ID) (a, b uint64) {
	return binary.BigEndian.Uint64(id[:8]), uint64(binary.BigEndian.Uint32(id[8:12])) >> 10 << timeBits
}

func mix(a, b uint64) uint64 {
	h := (a ^ b>>17) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// find returns the place in the table of an id, or the empty one where it belongs.
func (s *idSet) find(h, a, b uint64) uint64 {
	table := s.table
	low := uint32(len(table) - 1)
	i := h & uint64(low)
	for {
		e := table[i]
		if e == 0 {
			return i
		}
		if (e^uint32(h>>32))&^low == 0 {
			if x := &s.list[e&low-1]; x.a == a && (x.bt^b)>>timeBits == 0 {
				return i
			}
		}
		i = (i + 1) & uint64(low)
	}
}

// enter makes a place of the table that of the id at a place of the list.
func (s *idSet) enter(at, h uint64, place int) {
	low := uint32(len(s.table) - 1)
	s.table[at] = uint32(h>>32)&^low | uint32(place+1)
}

// known reports whether the id was put with an event time at or after forget; if not,
// the id is put. forget never falls; market.NoTime is when nothing is forgotten yet.
func (s *idSet) known(id *market.ID, ts, forget int64) bool {
	a, b := idParts(id)
	h := mix(a, b)
	at := s.find(h, a, b)
	if e := s.table[at]; e != 0 && !s.list[e&uint32(len(s.table)-1)-1].before(forget) {
		return true
	}
	if ts < forget {
		return false // would be forgotten at once
	}
	s.enter(at, h, len(s.list))
	s.list = append(s.list, idTime{a, b | uint64(ts>>timeShift)})
	s.since++
	if s.since == s.limit || len(s.list) == s.room() {
		s.renew(forget)
	}
	return false
}

// renew drops what is forgotten, and at the limit what came before the last one.
func (s *idSet) renew(forget int64) {
	full := s.since == s.limit
	n, older := 0, 0
	for i := range s.list {
		if full && i < s.older || s.list[i].before(forget) {
			continue
		}
		s.list[n] = s.list[i]
		n++
		if full || i < s.older {
			older = n
		}
	}
	s.list, s.older = s.list[:n], older
	if full {
		s.since = 0
	}
	s.fill()
}

// live counts the ids that are not forgotten, and those of them that are older.
func (s *idSet) live(forget int64) (n, older int) {
	for i := range s.list {
		if !s.list[i].before(forget) {
			n++
			if i < s.older {
				older = n
			}
		}
	}
	return n, older
}

// fill makes the table of the list, in which half as many ids more find room.
func (s *idSet) fill() {
	size := len(s.table)
	if len(s.list) < size/16 { // little by little: what came may come again
		size = max(minTable, size/2)
	}
	for size/4*3 < len(s.list)*3/2+1 {
		size *= 2
	}
	if size == len(s.table) {
		clear(s.table)
	} else {
		s.table = make([]uint32, size)
		s.list = append(make([]idTime, 0, s.room()), s.list...)
	}
	mask := uint64(size - 1)
	for i := range s.list {
		x := &s.list[i]
		h := mix(x.a, x.bt>>timeBits<<timeBits)
		at := h & mask
		for s.table[at] != 0 {
			at = (at + 1) & mask
		}
		s.enter(at, h, i)
	}
}

// touchFrom is the size of a table that no longer stays in the nearest cache;
// touchRows how many rows are touched at once.
const (
	touchFrom = 1 << 13
	touchRows = 64
)

// touch reads the places of ids that will be looked up soon: the reads do not wait for
// each other, as those of one lookup after the other would.
func (s *idSet) touch(ids []market.ID) (sink uint32) {
	table := s.table
	if len(table) < touchFrom {
		return 0
	}
	mask := uint64(len(table) - 1)
	for i := range ids {
		sink += table[mix(idParts(&ids[i]))&mask]
	}
	return sink
}
