package features

import (
	"math"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

const never = math.MaxInt64

// viewState is the state of one view: for each live entity a slot with its open pane,
// and behind it the panes that are closed but not yet in a row, or still in a window.
type viewState struct {
	p        *plan.View
	index    int
	task     *Task
	ents     *entities // of rows that leave
	keys     *entities // by which rows that come are told apart; those of a latest window are members
	children []*viewState
	joiners  []*joinState // of views that join this one
	joins    []*joinState
	union    [][]plan.Input // the columns that rows of each alias have
	unsorted bool           // rows of a union were held since they were sorted
	matched  [][]uint64     // what each join gives the row at hand, nil for no match

	slotOf []int32 // by entity, -1 for none
	slots  []slot
	idle   []int32  // free slots
	open   []uint64 // slot × stride: the open pane
	tail   []uint64 // slot × stride: merge of all panes that are in no window any more
	scans  []uint64 // slot × scanWords
	frames *frames  // nil without frames
	panes  arena
	held   arena  // rows that the mark has not passed
	kept   []int  // columns that they keep
	texts  []byte // of held rows
	due    int64  // no row can become final below this mark
	latest *latest

	row, fin *op.Machine
	vec      vectors
	lasts    lasts
	slow     []int     // accumulators that go through the row program
	fast     []int     // accumulators that kernels fold
	owners   []*op.Acc // that own sets
	slowNow  []int     // slow, and those fast ones whose columns hold nulls in this batch
	fastNow  []int
	kernels  kernels
	cut      cutter
	alone    bool         // a row depends on nothing but its entity's rows up to its end
	omit     bool         // rows go to other views alone
	family   *family      // of bars that differ in size, nil for none
	clock    *clock       // of a view that goes by ticks
	members  []*viewState // that go by the rows of this one
	tickRec  []uint64     // the tick of the row on its way out, nil for none
	tickVal  op.Val
	picked   cols // rows that pass the filter
	pickPerm []int32
	pickRuns []run
	verdicts []int8 // by instrument, of a filter that reads nothing else

	heap    []dueRow
	rec     []uint64 // the row's state while it is emitted
	refs    []uint32
	closing bool
	last    int64
	now     emitted
	out     *ViewRows // while rows are emitted
	outFrom int
	alerts  alerts
	direct  *direct // nil where features are the finish program's
	survey  *survey // nil unless the task looks at its traffic
}

// slot is the part of an entity's state that is not in a record.
type slot struct {
	used   bool
	loaded bool // by Restore, to tell an entity that comes twice
	ent    uint32
	end    int64 // end of the open pane, math.MinInt64 when none is open
	at     int64 // its index
	closed list  // panes not yet in a row, oldest first
	held   list  // rows not yet passed by the mark, in the total order
	next   int64 // first window not yet emitted: index, of rolling views its end; NoTime before the first
	roll   rolling
}

const noPane = math.MinInt64

func newViewState(t *Task, index int, p *plan.View) *viewState {
	v := &viewState{p: p, index: index, task: t, panes: newArena(p.Stride), due: never, rec: make([]uint64, p.Stride)}
	for k := range p.Joins {
		v.joins = append(v.joins, newJoinState(t, &p.Joins[k]))
	}
	v.initUnion()
	v.matched = make([][]uint64, len(v.joins))
	if p.Hold {
		v.held, v.kept = newArena(p.Held), keptInputs(p)
	}
	if p.Row != nil {
		v.row = op.NewMachine(p.Row)
	}
	for k := range p.Accs {
		if a := &p.Accs[k]; a.Owner() {
			v.owners = append(v.owners, a)
		}
	}
	v.fin = op.NewMachine(p.Finish)
	if len(p.Alerts.List) > 0 {
		v.alerts.m = op.NewMachine(p.Alerts.Prog)
	}
	v.frames = newFrames(p)
	v.kernels.init(v)
	v.cut.init(v)
	v.initParts()
	return v
}

// initParts settles how the accumulators without a kernel are folded: all on lanes, or last(…)
// by the newest row and the others on lanes, as far as they can.
func (v *viewState) initParts() {
	if v.p.Row == nil {
		return
	}
	v.vec.init(v, v.part(v.p.Slow, v.slow))
	if v.vec.m == nil {
		v.lasts.init(v)
	}
	if len(v.lasts.accs) > 0 {
		v.vec.init(v, v.lasts.others[0])
	}
}

// slot returns the slot of an entity, making one when it has none.
func (v *viewState) slot(ent uint32) int32 {
	for int(ent) >= len(v.slotOf) {
		v.slotOf = append(v.slotOf, -1)
	}
	if s := v.slotOf[ent]; s >= 0 {
		return s
	}
	return v.newSlot(ent)
}

func (v *viewState) newSlot(ent uint32) int32 {
	var i int32
	if n := len(v.idle); n > 0 {
		i = v.idle[n-1]
		v.idle = v.idle[:n-1]
	} else {
		i = int32(len(v.slots))
		v.slots = append(v.slots, slot{})
		v.scans = append(v.scans, make([]uint64, scanWords(v.p))...)
		if v.p.Shape != plan.RowView {
			v.open = append(v.open, make([]uint64, v.p.Stride)...)
			if v.p.Tail {
				v.tail = append(v.tail, make([]uint64, v.p.Stride)...)
			}
		}
	}
	v.slots[i] = slot{used: true, ent: ent, end: noPane, next: market.NoTime}
	v.slotOf[ent] = i
	return i
}

func (v *viewState) openRec(i int32) []uint64 {
	n := v.p.Stride
	return v.open[int(i)*n : int(i)*n+n : int(i)*n+n]
}

func (v *viewState) tailRec(i int32) []uint64 {
	n := v.p.Stride
	return v.tail[int(i)*n : int(i)*n+n : int(i)*n+n]
}

// enter makes the pane of ts the open one; the one that was open is closed behind the
// others, or leaves as a row where rows may leave at once.
func (v *viewState) enter(i int32, ts int64) {
	s := &v.slots[i]
	switch {
	case s.end == noPane, v.leave(i):
	default:
		v.closePane(i)
	}
	s.at = v.p.PaneOf(ts)
	s.end = v.p.PaneStart(s.at + 1)
	v.due = min(v.due, v.rowTimeOf(s.at))
}

// leave puts the open pane out as a row, where rows may leave at once.
func (v *viewState) leave(i int32) bool {
	if !v.alone || !v.task.apart {
		return false
	}
	for s := &v.slots[i]; s.end != noPane; {
		v.emit(i, v.next(i)) // empty windows before it first
	}
	return true
}

// rowTimeOf is the row_ts of the first row that a pane can be in.
func (v *viewState) rowTimeOf(pane int64) int64 {
	if v.p.Shape == plan.Rolling {
		return v.firstGrid(pane)
	}
	return v.p.PaneStart(pane+1) - 1
}

// closePane moves the open pane to the closed ones.
func (v *viewState) closePane(i int32) {
	s := &v.slots[i]
	r := v.panes.alloc()
	v.panes.node(r)[nodeAt] = uint64(s.at)
	open := v.openRec(i)
	copy(v.panes.rec(r), open)
	clear(open)
	v.panes.push(&s.closed, r)
	s.end = noPane
}

// freePane gives back a record and the sets that it owns.
func (v *viewState) freePane(r uint32) {
	v.freeSets(v.panes.rec(r))
	v.panes.release(r)
}

func (v *viewState) freeSets(rec []uint64) {
	for _, a := range v.owners {
		a.Free(rec, &v.task.sc)
	}
}

// merge adds the newer record to the older one. Sets are left out: they are merged
// where they are owned.
func (v *viewState) merge(older, newer []uint64) {
	mergeMeta(older, newer)
	for i := range v.p.Accs {
		if a := &v.p.Accs[i]; !a.Owner() {
			if !a.Merge(older, newer, &v.task.sc) {
				older[plan.MetaFlags] |= uint64(FlagOverflow)
			}
		}
	}
}

// mergeMeta adds the newer envelope to the older one.
func mergeMeta(older, newer []uint64) {
	older[plan.MetaRows] += newer[plan.MetaRows]
	older[plan.MetaAvail] = max(older[plan.MetaAvail], newer[plan.MetaAvail])
	older[plan.MetaHold] = max(older[plan.MetaHold], newer[plan.MetaHold])
	older[plan.MetaFlags] |= newer[plan.MetaFlags]
	if newer[plan.MetaLastTS] != 0 {
		lastRow(older, newer)
	}
}

// lastRow copies what a record knows of its last row.
func lastRow(dst, src []uint64) {
	copy(dst[plan.MetaLastTS:plan.MetaWords], src[plan.MetaLastTS:plan.MetaWords])
}

// toTail remembers of a pane that leaves the windows what later ones may carry.
func (v *viewState) toTail(i int32, rec []uint64) {
	if !v.p.Tail || rec[plan.MetaLastTS] == 0 {
		return
	}
	tail := v.tailRec(i)
	lastRow(tail, rec)
	for k := range v.p.Accs {
		switch a := &v.p.Accs[k]; a.Fn {
		case op.Last:
			a.Merge(tail, rec, &v.task.sc)
		case op.Integral, op.LiveIntegral:
			a.Carry(tail, rec)
		}
	}
}

// evict forgets an entity that no later row depends on (F5).
func (v *viewState) evict(i int32) {
	s := &v.slots[i]
	for s.held.head != 0 {
		v.held.release(v.held.pop(&s.held))
	}
	for s.closed.head != 0 {
		v.freePane(v.panes.pop(&s.closed))
	}
	v.clearRolling(s)
	if v.p.Tail {
		clear(v.tailRec(i))
	}
	clear(v.scanRec(i))
	v.freeFrames(i)
	v.slotOf[s.ent] = -1
	*s = slot{}
	v.idle = append(v.idle, i)
}

// newest is the event time of the newest row that is in the state.
func (v *viewState) newest() int64 {
	v.sortUnion()
	t := market.NoTime
	if v.latest != nil {
		return v.newestLatest()
	}
	for i := range v.slots {
		s := &v.slots[i]
		if !s.used {
			continue
		}
		if s.roll.panes.tail != 0 {
			t = max(t, int64(v.panes.rec(s.roll.panes.tail)[plan.MetaLastTS]))
		}
		if c := v.frames.columnsOf(int32(i)); c.held() > 0 {
			t = max(t, c.ts[len(c.ts)-1])
		}
		if s.held.tail != 0 {
			t = max(t, int64(v.held.node(s.held.tail)[nodeAt]))
		}
		if s.closed.tail != 0 {
			t = max(t, int64(v.panes.rec(s.closed.tail)[plan.MetaLastTS]))
		}
		if s.end != noPane {
			t = max(t, int64(v.openRec(int32(i))[plan.MetaLastTS]))
		}
		t = max(t, v.lastEvent(int32(i)))
	}
	return t
}
