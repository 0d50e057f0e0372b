package features

import (
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// Bars and sessions begin with a row instead of on a grid. The open one of an entity is
// in its slot: at and end are the period of its reset, the record begins with the time of
// its first row. A closed one waits in the list of the slot under its row_ts. Their rows
// leave in the order in which they were closed.

// beginAt is the place of the time of the first row in a record.
const beginAt = plan.MetaWords

// begin makes sure that a window is open that takes a row at ts, closing one that ended
// before.
func (v *viewState) begin(i int32, ts int64) {
	s := &v.slots[i]
	if s.end != noPane {
		last, truncated := v.openEnd(i)
		if ts <= last {
			return
		}
		if truncated {
			v.openRec(i)[plan.MetaFlags] |= uint64(FlagTruncated)
		}
		v.shut(i, last)
	}
	s.at = market.FloorDiv(ts, v.p.Pane)
	s.end = (s.at + 1) * v.p.Pane
	rec := v.openRec(i)
	rec[beginAt], rec[plan.MetaLastTS] = uint64(ts), uint64(ts)
	last, _ := v.openEnd(i)
	v.due = min(v.due, last)
}

// openEnd is the last instant of the open window if no more rows come, and whether its
// bound cuts it.
func (v *viewState) openEnd(i int32) (last int64, truncated bool) {
	end := v.slots[i].end
	if v.p.Shape == plan.Session {
		if quiet := int64(v.openRec(i)[plan.MetaLastTS]) + v.p.Window.Width; quiet <= end {
			return quiet - 1, false
		}
	}
	return end - 1, true
}

// shut closes the open window; its row is at rowTS.
func (v *viewState) shut(i int32, rowTS int64) {
	s := &v.slots[i]
	r := v.panes.alloc()
	v.panes.node(r)[nodeAt] = uint64(rowTS)
	open := v.openRec(i)
	for _, k := range v.cut.accs { // they have done their work
		v.p.Accs[k].Free(open, &v.task.sc)
	}
	copy(v.panes.rec(r), open)
	clear(open)
	v.panes.push(&s.closed, r)
	s.end = noPane
	v.due = min(v.due, rowTS)
}

// nextBegun is the row_ts of the entity's next row, never for none. At the end of input
// a window that has not ended has none, but in a look at the open ones.
func (v *viewState) nextBegun(i int32) int64 {
	s := &v.slots[i]
	if r := s.closed.head; r != 0 {
		return int64(v.panes.node(r)[nodeAt])
	}
	if s.end == noPane {
		return never
	}
	last, _ := v.openEnd(i)
	if !v.closing || last <= v.last {
		return last
	}
	switch {
	case !v.task.peek:
		return never
	case v.p.Shape == plan.Bar:
		return int64(v.openRec(i)[plan.MetaLastTS])
	}
	return last
}

// emitBegun takes the entity's next row out.
func (v *viewState) emitBegun(i int32, row *emitted) {
	s := &v.slots[i]
	held := uint32(0)
	if s.closed.head != 0 {
		held = v.panes.pop(&s.closed)
		copy(v.rec, v.panes.rec(held))
	} else {
		copy(v.rec, v.openRec(i))
		switch last, truncated := v.openEnd(i); {
		case row.rowTS < last, v.closing && last > v.last:
			row.open = true
			v.rec[plan.MetaFlags] |= uint64(FlagPartial)
		case truncated:
			v.rec[plan.MetaFlags] |= uint64(FlagTruncated)
		}
	}
	row.start, row.end = int64(v.rec[beginAt]), row.rowTS
	byBound := v.rec[plan.MetaFlags]&uint64(FlagTruncated) != 0 && market.FloorDiv(row.end+1, v.p.Pane)*v.p.Pane == row.end+1
	if v.p.Shape == plan.Session || byBound {
		row.end++ // [first, end); a bar ends with its last row
	}
	if at := v.p.KeyAt; at > 0 {
		row.keyed = v.rec[at] != 0 // a reset has no key
		copy(row.key[:], v.rec[at:])
	}
	v.finishWindow(i, row)
	if held != 0 {
		v.freePane(held)
		return
	}
	v.freeSets(v.openRec(i))
	clear(v.openRec(i))
	s.end = noPane
}

// validOpen reports whether an open window read from outside can be one.
func (v *viewState) validOpen(i int32) bool {
	if !v.p.Begins() {
		return true
	}
	s, rec := &v.slots[i], v.openRec(i)
	first, last := int64(rec[beginAt]), int64(rec[plan.MetaLastTS])
	return first >= s.end-v.p.Pane && first <= last && last < s.end
}

// foldSessions cuts a run where no row has come for the gap, and folds each session.
func (v *viewState) foldSessions(c *cols, r run) {
	i := v.slot(r.ent)
	gap := v.p.Window.Width
	for lo := r.lo; lo < r.hi; {
		v.begin(i, c.ts[lo])
		hi, end := lo+1, v.slots[i].end
		for hi < r.hi && c.ts[hi] < end && c.ts[hi]-c.ts[hi-1] < gap {
			hi++
		}
		v.foldSegment(i, v.openRec(i), c, lo, hi)
		lo = hi
	}
}

// rowSource is where the row that is in the row program comes from: row at of c, a row of
// the parent, or a held one.
type rowSource struct {
	c    *cols
	at   int
	row  *emitted
	held []uint64
}

// foldMeta folds what the row contributes besides its values.
func (v *viewState) foldMeta(rec []uint64, from rowSource) {
	switch {
	case from.c != nil:
		v.task.meta(rec, from.c, from.at, from.at+1)
	case from.held != nil:
		mergeMeta(rec, from.held)
	default:
		rowMeta(rec, from.row)
		rec[plan.MetaRows]++
	}
}

// keepKey remembers the key of the row that closes a bar, if others go by it.
func (v *viewState) keepKey(rec []uint64, from rowSource) {
	switch at := v.p.KeyAt; {
	case at == 0:
	case from.held != nil:
		copy(rec[at:at+plan.KeyWords], from.held[plan.HeldSrc:])
	default:
		v.putKey(rec[at:], from.c, from.at)
	}
}

// foldBegun folds the row that is in the row program, whose scans come from o.
func (v *viewState) foldBegun(i int32, ts int64, from rowSource, o op.Origin) {
	if v.p.Bars != nil && v.p.Bars.Split {
		v.pour(i, ts, from)
		return
	}
	v.begin(i, ts)
	rec := v.openRec(i)
	v.foldMeta(rec, from)
	scanMeta(rec, o)
	if v.p.Bars == nil {
		v.foldArgs(rec, v.slow, ts)
		return
	}
	v.foldArgs(rec, v.cut.all, ts)
	if v.closes(rec, ts, 0) {
		v.keepKey(rec, from)
		v.shut(i, ts)
	}
}
