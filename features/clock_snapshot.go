package features

import (
	"math"
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// A view that goes by ticks is saved as the entities of its clock in the order of names,
// each with the time of its last tick, where an interval can still begin there, and the
// ticks to come; then its own entities: the open interval, when the member was last seen,
// and the held rows.

// recent is the time of the key's last tick when an interval at or after mark can begin
// there.
func (v *viewState) recent(key *clockKey, mark int64) int64 {
	if key.last == market.NoTime || key.last < market.FloorDiv(mark, v.p.Pane)*v.p.Pane-1 {
		return market.NoTime
	}
	return key.last
}

func (v *viewState) saveClock(w *writer) {
	mark := v.task.mark(v.p)
	v.sortUnion()
	v.saveTicks(w, mark)
	v.ents.ranks()
	order := make([]int32, len(v.ents.names))
	n := 0
	for i := range order {
		order[i] = -1
	}
	for i := range v.slots {
		if s := &v.slots[i]; s.used && (s.end != noPane || s.held.head != 0 || v.lives(int32(i), mark) || v.scansUntil(int32(i)) >= mark) {
			order[v.ents.rank[s.ent]] = int32(i)
			n++
		}
	}
	w.word(uint64(n))
	for _, i := range order {
		if i < 0 {
			continue
		}
		s := &v.slots[i]
		for _, name := range v.ents.names[s.ent][:len(v.ents.by)] {
			w.text(name)
		}
		w.word(uint64(s.end))
		if s.end != noPane {
			v.saveRec(w, v.openRec(i))
		}
		m := memberSlot{seen: market.NoTime}
		if s.end == noPane && v.lives(i, mark) {
			m = v.clock.members[i]
		}
		w.word(uint64(m.seen))
		w.word(uint64(m.hold))
		w.word(uint64(m.came))
		v.saveScans(w, i)
		v.saveHeld(w, i)
	}
}

func (v *viewState) saveTicks(w *writer, mark int64) {
	k := v.clock
	var keys []*clockKey
	for i := range k.keys {
		if key := &k.keys[i]; key.ticks.head != 0 || v.recent(key, mark) != market.NoTime {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b *clockKey) int { return slices.Compare(a.names, b.names) })
	w.word(uint64(len(keys)))
	for _, key := range keys {
		for _, name := range key.names {
			w.text(name)
		}
		w.word(uint64(v.recent(key, mark)))
		n := 0
		for r := key.ticks.head; r != 0; r = k.ticks.next(r) {
			n++
		}
		w.word(uint64(n))
		for r := key.ticks.head; r != 0; r = k.ticks.next(r) {
			w.words(k.ticks.node(r)[nodeAt:])
		}
	}
}

func (v *viewState) loadClock(r *reader) {
	k := v.clock
	for range r.count(16) {
		names := make([]string, len(v.p.Clock.By))
		for i := range names {
			names[i] = string(r.text())
		}
		key := k.key(names)
		k.keys[key].last = int64(r.word())
		for range r.count(8 * v.p.Clock.Tick) {
			v.loadTickRec(r, &k.keys[key].ticks)
		}
		if r.bad {
			return
		}
	}
	for range r.count(32) {
		ns := make([]string, 0, len(v.ents.by)+len(v.ents.more))
		for range v.ents.by {
			ns = append(ns, string(r.text()))
		}
		if r.bad {
			return
		}
		v.loadMemberSlot(r, v.slot(v.ents.number(v.ents.complete(ns))))
	}
}

func (v *viewState) loadTickRec(r *reader, l *list) {
	k := v.clock
	t := k.ticks.alloc()
	node := k.ticks.node(t)
	for i := nodeAt; i < len(node); i++ {
		node[i] = r.word()
	}
	rec := k.ticks.rec(t)
	for i := range v.p.Clock.Cols {
		c := &v.p.Clock.Cols[i]
		cell := rec[c.Cell : c.Cell+op.CellWords(c.Kind)]
		r.bad = r.bad || cell[0] != cellNull && cell[0] != cellOverflow && !op.ValidCell(cell, c.Kind)
	}
	r.bad = r.bad || rec[plan.TickFlags] > math.MaxUint8
	k.ticks.push(l, t)
	v.due = min(v.due, int64(node[nodeAt]))
}

func (v *viewState) loadMemberSlot(r *reader, i int32) {
	s, k := &v.slots[i], v.clock
	for len(k.members) < len(v.slots) {
		k.members = append(k.members, memberSlot{seen: market.NoTime})
	}
	if s.end != noPane || s.held.head != 0 || k.members[i].seen != market.NoTime || v.p.Scans != nil && v.scanRec(i)[scanLast] != 0 {
		r.bad = true // the same entity twice
		return
	}
	end := int64(r.word())
	if end != noPane {
		s.at = market.FloorDiv(end, v.p.Pane) - 1
		if r.bad = r.bad || (s.at+1)*v.p.Pane != end; r.bad {
			return
		}
		s.end = end
		v.loadRec(r, v.openRec(i))
		v.due = min(v.due, end-1)
	}
	m := &k.members[i]
	m.seen, m.hold, m.came = int64(r.word()), int64(r.word()), int64(r.word())
	v.loadScans(r, i)
	if t := v.scansUntil(i); t > math.MinInt64 {
		v.due = min(v.due, t)
	}
	v.loadHeld(r, s.ent)
}
