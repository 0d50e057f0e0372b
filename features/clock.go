package features

import (
	"math"
	"strings"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// A member of a clock holds its rows, with their whole keys, and the ticks of the clock
// until the marks of both have passed them. Then, for each entity, rows and ticks are
// gone through in the order of keys: rows are folded into the open interval, a tick gives
// its row. At a multiple of the reset an interval with rows ends though nothing ticked.
// The slot of an entity has the period of the open interval in at and end, as bars have;
// it is open only while it has rows.
type clock struct {
	of      *viewState // the clock
	ticks   arena
	keys    []clockKey
	index   map[string]uint32
	ofTick  []int32 // key by entity of the clock, -1 when not met
	ofMine  []int32 // key by entity of the member
	members []memberSlot
}

// clockKey is an entity of the clock.
type clockKey struct {
	names []string
	ticks list  // not yet passed by the mark of the member
	last  int64 // time of the last one that was, NoTime before
}

// memberSlot is what a slot has besides.
type memberSlot struct {
	next   uint32 // next tick
	before int64  // time of the last boundary
	seen   int64  // time of its last row that left, NoTime for none
	hold   int64  // disorder of that row's feed
	came   int64  // when that row could be known
}

func (v *viewState) initClock(of *viewState) {
	v.clock = &clock{of: of, ticks: newArena(v.p.Clock.Tick), index: map[string]uint32{}}
	of.members = append(of.members, v)
}

// key finds or registers an entity of the clock by its names.
func (k *clock) key(names []string) int32 {
	text := strings.Join(names, "\x00")
	if i, ok := k.index[text]; ok {
		return int32(i)
	}
	i := uint32(len(k.keys))
	k.index[text] = i
	k.keys = append(k.keys, clockKey{names: names, last: market.NoTime})
	return int32(i)
}

// keyOfTick is the key of an entity of the clock.
func (v *viewState) keyOfTick(ent uint32) int32 {
	k := v.clock
	for int(ent) >= len(k.ofTick) {
		k.ofTick = append(k.ofTick, -1)
	}
	if k.ofTick[ent] < 0 {
		k.ofTick[ent] = k.key(k.of.ents.names[ent][:len(v.p.Clock.By)])
	}
	return k.ofTick[ent]
}

// keyOfMine is the key whose ticks an entity of the member goes by.
func (v *viewState) keyOfMine(ent uint32) *clockKey {
	k := v.clock
	for int(ent) >= len(k.ofMine) {
		k.ofMine = append(k.ofMine, -1)
	}
	if k.ofMine[ent] < 0 {
		names := make([]string, 0, len(v.p.Clock.By))
		for _, at := range v.p.Clock.By {
			names = append(names, v.ents.names[ent][at])
		}
		k.ofMine[ent] = k.key(names)
	}
	return &k.keys[k.ofMine[ent]]
}

// tick keeps a row of the clock, whose values are in its finish program.
func (v *viewState) tick(row *emitted) {
	if row.open { // it is not known yet when it will tick
		return
	}
	k := v.clock
	r := k.ticks.alloc()
	k.ticks.node(r)[nodeAt] = uint64(row.rowTS)
	rec := k.ticks.rec(r)
	rec[plan.TickSrc], rec[plan.TickEpoch], rec[plan.TickSeq] = math.MaxUint64, math.MaxUint64, math.MaxUint64
	if row.keyed {
		rec[plan.TickSrc], rec[plan.TickEpoch], rec[plan.TickSeq] = row.key[0], row.key[1], row.key[2]
	}
	rec[plan.TickAvail], rec[plan.TickHold] = uint64(row.avail), uint64(row.hold)
	rec[plan.TickFlags] = uint64(row.flags & (inherited | FlagTruncated))
	for i := range v.p.Clock.Cols {
		c := &v.p.Clock.Cols[i]
		x, y := &k.of.fin.Regs[c.Reg], &v.tickVal
		if c.Round {
			roundRatio(y, x)
			x = y
		}
		v.putCell(rec[c.Cell:], x, c.Kind)
	}
	key := v.keyOfTick(row.ent)
	k.ticks.push(&k.keys[key].ticks, r)
	v.due = min(v.due, row.rowTS)
}

// advanceClock emits the rows of all ticks and boundaries below mark, in order.
func (v *viewState) advanceClock(mark int64) {
	if mark <= v.due {
		return
	}
	v.sortUnion()
	v.startTicks()
	v.mergeRows(func(i int32) int64 { return v.nextClock(i, mark) })
	v.passTicks(mark)
	v.settleClock(mark)
	v.dropTexts()
}

// closeClock does so at the end of the input.
func (v *viewState) closeClock() {
	v.startTicks()
	v.mergeRows(func(i int32) int64 {
		t := v.nextClock(i, never)
		if t != never || !v.task.peek || v.slots[i].end == noPane {
			return t
		}
		return int64(v.openRec(i)[plan.MetaLastTS])
	})
}

// startTicks lets every slot begin at the oldest tick.
func (v *viewState) startTicks() {
	k := v.clock
	for len(k.members) < len(v.slots) {
		k.members = append(k.members, memberSlot{seen: market.NoTime})
	}
	for i := range v.slots {
		if v.slots[i].used {
			key, m := v.keyOfMine(v.slots[i].ent), &k.members[i]
			m.next, m.before = key.ticks.head, key.last
		}
	}
}

// passTicks forgets the ticks below mark: every slot has gone by them.
func (v *viewState) passTicks(mark int64) {
	k := v.clock
	for i := range k.keys {
		key := &k.keys[i]
		for key.ticks.head != 0 && int64(k.ticks.node(key.ticks.head)[nodeAt]) < mark {
			key.last = int64(k.ticks.node(key.ticks.head)[nodeAt])
			k.ticks.release(k.ticks.pop(&key.ticks))
		}
	}
}

// settleClock finds when something is due next and forgets entities that are done.
func (v *viewState) settleClock(mark int64) {
	k := v.clock
	v.due = never
	for i := range v.slots {
		s := &v.slots[i]
		if !s.used {
			continue
		}
		v.due = min(v.due, v.nextHeld(int32(i)))
		if s.end != noPane {
			v.due = min(v.due, s.end-1)
		} else if t := v.scansUntil(int32(i)); t >= mark {
			v.due = min(v.due, t)
		} else if s.held.head == 0 && !v.lives(int32(i), mark) {
			k.members[i] = memberSlot{seen: market.NoTime}
			v.evict(int32(i))
		}
	}
	for i := range k.keys {
		if h := k.keys[i].ticks.head; h != 0 {
			v.due = min(v.due, int64(k.ticks.node(h)[nodeAt]))
		}
	}
}

// lives reports whether a member without rows gives a row at a tick at or after t.
func (v *viewState) lives(i int32, t int64) bool {
	if !v.p.Empty || int(i) >= len(v.clock.members) {
		return false
	}
	seen := v.clock.members[i].seen
	return seen != market.NoTime && t-seen <= v.p.Window.Reset
}

// nextClock goes on below mark until the entity has a row, and returns its row_ts.
func (v *viewState) nextClock(i int32, mark int64) int64 {
	s, m, k := &v.slots[i], &v.clock.members[i], v.clock
	for {
		held, tick := v.nextHeld(i), int64(never)
		if m.next != 0 {
			tick = int64(k.ticks.node(m.next)[nodeAt])
		}
		first := held
		if held > tick || held == tick && held != never && !v.upTo(s.held.head, m.next) {
			first = tick
		}
		if s.end != noPane && min(first, mark) >= s.end {
			if v.closing && s.end-1 > v.last {
				return never // at the end of the input it is open
			}
			return s.end - 1
		}
		switch {
		case first == never || first >= mark:
			return never
		case first == held && (held != tick || v.upTo(s.held.head, m.next)):
			r := v.held.pop(&s.held)
			v.foldMember(i, held, v.held.rec(r))
			v.held.release(r)
		case s.end != noPane || v.lives(i, tick):
			return tick
		default:
			v.passTick(m)
		}
	}
}

// upTo reports whether a held row at the instant of a tick is not after it.
func (v *viewState) upTo(held, tick uint32) bool {
	a, b := v.held.rec(held)[plan.HeldSrc:], v.clock.ticks.rec(tick)[plan.TickSrc:]
	epoch := a[1]
	if v.p.Union != nil {
		epoch &= 1<<unionAlias - 1 // an event is at one place, whatever it comes under
	}
	switch {
	case a[0] != b[0]:
		return a[0] < b[0]
	case epoch != b[1]:
		return epoch < b[1]
	}
	return a[2] <= b[2]
}

func (v *viewState) passTick(m *memberSlot) {
	m.before = int64(v.clock.ticks.node(m.next)[nodeAt])
	m.next = v.clock.ticks.next(m.next)
}

// foldMember folds a held row into the open interval.
func (v *viewState) foldMember(i int32, ts int64, rec []uint64) {
	first := v.heldFirst(rec) // before the flags of what it joins
	if !v.completeHeld(rec, ts) {
		return
	}
	o := v.runRow(i, ts, first, heldOrigin(rec))
	s := &v.slots[i]
	s.at = market.FloorDiv(ts, v.p.Pane)
	s.end = (s.at + 1) * v.p.Pane
	open := v.openRec(i)
	mergeMeta(open, rec)
	scanMeta(open, o)
	lastScanned(open, o)
	v.foldArgs(open, v.slow, ts)
}

// emitClock takes the entity's next row out: that of a tick, of a boundary or, in a look
// at open windows, of the open interval.
func (v *viewState) emitClock(i int32, row *emitted) {
	s, m, k := &v.slots[i], &v.clock.members[i], v.clock
	copy(v.rec, v.openRec(i))
	row.empty = s.end == noPane
	row.end, row.start = row.rowTS, m.before
	// An interval begins at the reset before it when nothing has ticked since.
	row.start = max(row.start, market.FloorDiv(row.rowTS, v.p.Pane)*v.p.Pane-1)
	row.hold, row.flags = int64(v.rec[plan.MetaHold]), uint8(v.rec[plan.MetaFlags])
	row.avail = int64(v.rec[plan.MetaAvail])
	v.tickRec = nil
	switch {
	case m.next != 0 && int64(k.ticks.node(m.next)[nodeAt]) == row.rowTS && !row.open:
		v.tickRec = k.ticks.rec(m.next)
		row.hold, row.flags = max(row.hold, int64(v.tickRec[plan.TickHold])), row.flags|uint8(v.tickRec[plan.TickFlags])
		row.avail = max(row.avail, int64(v.tickRec[plan.TickAvail]))
	case v.closing && row.rowTS != s.end-1:
		row.flags |= FlagPartial
		row.open = true
	default:
		row.flags |= FlagTruncated
	}
	if row.empty {
		row.flags |= FlagEmpty
		row.hold, row.avail = max(row.hold, m.hold), max(row.avail, m.came)
	} else {
		m.seen, m.hold, m.came = int64(v.rec[plan.MetaLastTS]), int64(v.rec[plan.MetaLastHold]), int64(v.rec[plan.MetaLastAvail])
	}
	if v.closing && row.rowTS > v.last {
		row.flags |= FlagPartial
	}
	row.avail = max(row.avail, row.end+row.hold)
	v.matchFeatures(row)
	v.finish(i, row)
	v.handOn(row)
	if v.tickRec != nil {
		v.passTick(m)
	} else {
		m.before = row.rowTS
	}
	v.freeSets(v.openRec(i))
	clear(v.openRec(i))
	s.end = noPane
}

// loadTick sets x to a feature of the tick, null when nothing ticked.
func (v *viewState) loadTick(x *op.Val, n int) {
	if v.tickRec == nil {
		x.SetNull()
		return
	}
	c := &v.p.Clock.Cols[n]
	v.getCell(x, v.tickRec[c.Cell:], c.Kind)
}
