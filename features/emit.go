package features

import (
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// emitted is the fixed part of a row on its way out.
type emitted struct {
	ent               uint32
	start, end, rowTS int64
	avail, hold       int64
	flags             uint8
	empty             bool
	key               [plan.KeyWords]uint64 // of the row that closed a bar
	keyed             bool
	open              bool // its window has not ended: a look at open windows alone gives it
}

// dueRow is an entity's next row in the merge over entities.
type dueRow struct {
	at   int64 // row_ts
	rank uint32
	slot int32
}

func (a dueRow) before(b dueRow) bool { return a.at < b.at || a.at == b.at && a.rank < b.rank }

// advance emits all rows below mark, ordered by (row_ts, entity): a merge over the
// entities, each of which knows its next row.
func (v *viewState) advance(mark int64) {
	if v.p.Shape == plan.Latest {
		v.advanceLatest(mark)
		v.dropJoined(mark)
		return
	}
	if v.clock != nil {
		v.advanceClock(mark)
		v.dropJoined(mark)
		return
	}
	v.sortUnion()
	if mark > v.due {
		v.drain(mark)
		v.emitUntil(mark)
		v.settle(mark)
		v.dropTexts()
	}
	v.dropJoined(mark)
	v.sortPassed()
}

// dropJoined forgets joined rows that no row at or after mark can match.
func (v *viewState) dropJoined(mark int64) {
	from := v.joinedFrom(mark)
	for _, j := range v.joins {
		j.drop(from)
	}
}

// emitUntil emits the rows before a time.
func (v *viewState) emitUntil(t int64) {
	if v.fastFrames() != nil {
		v.emitFrames(t)
		return
	}
	v.mergeRows(func(i int32) int64 {
		if at := v.next(i); at < t {
			return at
		}
		return never
	})
}

// mergeRows emits rows as long as next names one; never ends an entity.
func (v *viewState) mergeRows(next func(i int32) int64) {
	v.ents.ranks()
	v.heap = v.heap[:0]
	for i := range v.slots {
		if s := &v.slots[i]; s.used {
			if t := next(int32(i)); t != never {
				v.up(dueRow{t, v.ents.rank[s.ent], int32(i)})
			}
		}
	}
	for len(v.heap) > 0 {
		d := v.heap[0]
		v.emit(d.slot, d.at)
		if t := next(d.slot); t != never {
			d.at = t
			if len(v.heap) > 1 {
				v.down(d)
			} else {
				v.heap[0] = d
			}
			continue
		}
		last := v.heap[len(v.heap)-1]
		v.heap = v.heap[:len(v.heap)-1]
		if len(v.heap) > 0 {
			v.down(last)
		}
	}
}

// up adds d to the heap.
func (v *viewState) up(d dueRow) {
	v.heap = append(v.heap, d)
	h := v.heap
	i := len(h) - 1
	for i > 0 && d.before(h[(i-1)/2]) {
		h[i] = h[(i-1)/2]
		i = (i - 1) / 2
	}
	h[i] = d
}

// down puts d in place of the least.
func (v *viewState) down(d dueRow) {
	h := v.heap
	i := 0
	for {
		k := 2*i + 1
		if k >= len(h) {
			break
		}
		if k+1 < len(h) && h[k+1].before(h[k]) {
			k++
		}
		if !h[k].before(d) {
			break
		}
		h[i] = h[k]
		i = k
	}
	h[i] = d
}

// settle finds when the next row is due and forgets entities that are done.
func (v *viewState) settle(mark int64) {
	v.due = never
	for i := range v.slots {
		if !v.slots[i].used {
			continue
		}
		if t := min(v.next(int32(i)), v.nextHeld(int32(i))); t != never {
			v.due = min(v.due, t)
		} else if v.over(int32(i), mark) {
			v.evict(int32(i))
		} else if t := v.stateUntil(int32(i)); t >= mark {
			v.due = min(v.due, t)
		}
	}
}

// over reports whether nothing that may still come can see what the slot holds; it has
// no row due.
func (v *viewState) over(i int32, mark int64) bool {
	return !v.carries(i, mark) && v.stateUntil(i) < mark
}

// lastEvent is the event time of the last row that left the windows, NoTime for none.
func (v *viewState) lastEvent(i int32) int64 {
	if v.p.Tail {
		if t := v.tailRec(i)[plan.MetaLastTS]; t != 0 {
			return int64(t)
		}
	}
	return market.NoTime
}

// carries reports whether a window that has no row yet begins near enough to the last
// event before it to take something of it.
func (v *viewState) carries(i int32, mark int64) bool {
	last := v.lastEvent(i)
	return last != market.NoTime && v.horizon(i, mark)-last <= v.p.Window.Carry
}

// horizon is the start of the first window that has no row yet.
func (v *viewState) horizon(i int32, mark int64) int64 {
	s, pane := &v.slots[i], int64(never)
	switch {
	case s.closed.head != 0:
		pane = int64(v.panes.node(s.closed.head)[nodeAt])
	case s.end != noPane:
		pane = s.at
	}
	start := v.p.PaneStart(v.p.PaneOf(mark))
	if v.p.Shape == plan.Rolling {
		start = v.gridAfter(mark)
		switch {
		case s.roll.panes.head != 0:
			start = s.next
		case pane != never:
			start = min(start, v.firstGrid(pane))
		}
		start -= v.p.Window.Width
	} else if pane != never {
		start = min(start, v.p.PaneStart(pane))
	}
	return start
}

// next is the row_ts of the entity's next row if no more input comes, never for none.
func (v *viewState) next(i int32) int64 {
	switch v.p.Shape {
	case plan.RowView:
		return v.nextHeld(i)
	case plan.Rolling:
		return v.nextRolling(i)
	case plan.Bar, plan.Session:
		return v.nextBegun(i)
	}
	at, _ := v.nextTumbling(i)
	if at == never {
		return never
	}
	return v.rowTimeOf(at)
}

// nextTumbling is the index of the next window with a row, and whether it is empty.
func (v *viewState) nextTumbling(i int32) (at int64, empty bool) {
	s := &v.slots[i]
	at = never
	if s.closed.head != 0 {
		at = int64(v.panes.node(s.closed.head)[nodeAt])
	} else if s.end != noPane {
		at = s.at
	}
	if v.p.Empty && s.next != market.NoTime && s.next < at {
		start := v.p.PaneStart(s.next)
		if start-v.lastEvent(i) <= v.p.Window.Carry && (!v.closing || v.p.PaneStart(s.next+1)-1 <= v.last) {
			return s.next, true
		}
	}
	return at, false
}

// emit takes the entity's next row, at row_ts t, out of its state.
func (v *viewState) emit(i int32, t int64) {
	s := &v.slots[i]
	row := &v.now
	*row = emitted{ent: s.ent, rowTS: t}
	v.nextRec()
	switch v.p.Shape {
	case plan.RowView:
		v.emitHeld(i, row)
		return
	case plan.Rolling:
		row.empty = v.emitRolling(i, t)
		row.start, row.end = t-v.p.Window.Width, t
		v.finishWindow(i, row)
		v.step(i, t)
		return
	case plan.Bar, plan.Session:
		v.emitBegun(i, row)
		return
	case plan.ClockTicks:
		v.emitClock(i, row)
		return
	}
	at, empty := v.nextTumbling(i)
	row.empty = empty
	row.start, row.end = v.p.PaneStart(at), v.p.PaneStart(at+1)
	held := uint32(0)
	switch {
	case empty:
		clear(v.rec)
	case s.closed.head != 0:
		held = v.panes.pop(&s.closed)
		copy(v.rec, v.panes.rec(held))
	default:
		copy(v.rec, v.openRec(i))
	}
	v.finishWindow(i, row)
	if !empty {
		v.toTail(i, v.rec)
		if held != 0 {
			v.freePane(held)
		} else {
			v.freeSets(v.openRec(i))
			clear(v.openRec(i))
			s.end = noPane
		}
	}
	s.next = v.p.PaneAfter(at)
}

// finishWindow works the row out of v.rec, hands it on and appends it.
func (v *viewState) finishWindow(i int32, row *emitted) {
	v.inherit(row)
	if row.empty {
		v.carryInto(i, row)
	}
	row.avail = max(row.end+row.hold, int64(v.rec[plan.MetaAvail]), v.carriedAvail(i, row))
	wanted := v.shows(row) || len(v.joiners) > 0
	for _, c := range v.children {
		wanted = wanted || !c.p.Rollup
	}
	wanted = wanted || v.p.Ticks
	if wanted {
		v.matchFeatures(row)
		if v.direct == nil {
			v.finish(i, row)
		}
	}
	v.handOn(row)
}

// inherit takes hold and flags of the row from v.rec.
func (v *viewState) inherit(row *emitted) {
	row.hold = int64(v.rec[plan.MetaHold])
	row.flags = uint8(v.rec[plan.MetaFlags])
	if row.empty {
		row.flags |= FlagEmpty
	}
	if v.closing && row.rowTS > v.last {
		row.flags |= FlagPartial
	}
}

// shows tells that a row is one of those that the task gives.
func (v *viewState) shows(row *emitted) bool {
	return row.rowTS >= v.task.from && !v.p.Hidden && !v.omit
}

// handOn gives the row to the views that read this one, and to the output.
func (v *viewState) handOn(row *emitted) {
	if v.survey != nil {
		v.survey.out.Rows++
	}
	if v.shows(row) {
		v.append(row)
	}
	for _, j := range v.joiners {
		j.takeRow(v, row)
	}
	for _, m := range v.members {
		m.tick(row)
	}
	for _, c := range v.children {
		switch {
		case !c.p.Rollup:
			c.pushRow(v, row)
		case !row.empty:
			c.pushState(v, row, v.rec)
		}
	}
}

// carriedAvail is when what a window takes from before it could be known: an empty one is
// there at all because of the last event, a time_mean begins with its value.
func (v *viewState) carriedAvail(i int32, row *emitted) int64 {
	if !row.empty && !v.p.Means {
		return 0
	}
	tail := v.tailRec(i)
	if tail[plan.MetaLastTS] == 0 || row.start-int64(tail[plan.MetaLastTS]) > v.p.Window.Carry {
		return 0
	}
	return int64(tail[plan.MetaLastAvail])
}

// carryInto prepares the state of a window without events: last values of what came
// before, when the view shows them.
func (v *viewState) carryInto(i int32, row *emitted) {
	tail := v.tailRec(i)
	row.hold = int64(tail[plan.MetaLastHold])
	if !v.p.Flat {
		return
	}
	for k := range v.p.Accs {
		if a := &v.p.Accs[k]; a.Fn == op.Last {
			a.CarryLast(v.rec, tail, row.start, v.p.Window.Carry)
		}
	}
}

// finish loads the finish program from v.rec and runs it.
func (v *viewState) finish(i int32, row *emitted) {
	for k := range v.p.Loads {
		v.load(&v.p.Loads[k], i, row)
	}
	v.fin.Run()
}

// load sets a register of the finish program from v.rec.
func (v *viewState) load(ld *plan.Load, i int32, row *emitted) {
	x, rows := &v.fin.Regs[ld.Reg], int64(v.rec[plan.MetaRows])
	switch ld.Kind {
	case plan.LoadAcc:
		v.p.Accs[ld.Acc].Load(x, v.rec, rows, &v.task.sc)
	case plan.LoadMean:
		var tail []uint64
		if v.p.Tail && !row.empty {
			tail = v.tailRec(i)
		}
		v.p.Accs[ld.Acc].Mean(x, v.rec, tail, row.start, row.end, v.p.Window.Carry, rows)
	case plan.LoadStatistic:
		v.p.Accs[ld.Acc].Statistic(x, v.rec, ld.Stat, &v.task.sc)
	case plan.LoadQuantile:
		v.p.Accs[ld.Acc].Quantile(x, v.rec, ld.P, &v.task.sc)
	case plan.LoadTick:
		v.loadTick(x, ld.Acc)
	case plan.LoadStart:
		x.SetInt(row.start)
	case plan.LoadEnd:
		x.SetInt(row.end)
	case plan.LoadJoined:
		v.loadMatched(x, &v.p.Inputs[ld.Acc])
	case plan.LoadEmpty:
		x.SetBool(row.empty)
	}
}

// close emits what is left at the end of input at event time last.
func (v *viewState) close(last int64) {
	v.closing, v.last = true, last
	v.sortUnion()
	if v.p.Shape == plan.Latest {
		v.advanceLatest(v.gridAfter(last) + 1)
		return
	}
	if v.clock != nil {
		v.closeClock()
		return
	}
	v.drain(never)
	limit := int64(never)
	if v.p.Shape == plan.Rolling {
		limit = v.gridAfter(last)
	}
	if limit != never {
		limit++
	}
	v.emitUntil(limit)
	v.sortPassed()
}
