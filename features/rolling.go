package features

import (
	"slices"

	"github.com/pinova-group/tidemark/market"
)

// rolling is a window over panes by the method of two stacks: panes enter at the back,
// whose merge is kept, and leave at the front, where each record is the merge of its
// pane and all after it in the front. A row is the merge of the front's head and the
// back; when the front runs out the back is turned over, so a pane is merged at most
// three times. Sets are neither merged nor turned: they are added when a pane enters
// and subtracted when it leaves.
type rolling struct {
	panes list   // in the window of the next row, raw
	front list   // merges for the first len(front) of them
	back  uint32 // merge of the others
	sets  uint32 // record that owns the window's sets
}

// firstGrid is the first end of a window that pane p is in.
func (v *viewState) firstGrid(p int64) int64 {
	return v.gridAfter((p + 1) * v.p.Pane)
}

// gridAfter is the first grid point at or after t.
func (v *viewState) gridAfter(t int64) int64 {
	every := v.p.Window.Every
	return -market.FloorDiv(-t, every) * every
}

// oldestPane is the index of the first pane of the window that ends at t.
func (v *viewState) oldestPane(t int64) int64 { return t/v.p.Pane - v.p.Panes }

// nextRolling is the end of the next window that has a row, if no more input comes.
func (v *viewState) nextRolling(i int32) int64 {
	s := &v.slots[i]
	switch {
	case s.roll.panes.head != 0:
		return s.next
	case v.p.Empty && s.next != market.NoTime && s.next-v.p.Window.Width-v.lastEvent(i) <= v.p.Window.Carry:
		return s.next
	case s.closed.head != 0:
		return v.firstGrid(int64(v.panes.node(s.closed.head)[nodeAt]))
	case s.end != noPane:
		return v.firstGrid(s.at)
	}
	return never
}

// emitRolling brings the window to end t and leaves its state in v.rec.
func (v *viewState) emitRolling(i int32, t int64) (empty bool) {
	s := &v.slots[i]
	for {
		if s.closed.head == 0 && s.end != noPane && v.firstGrid(s.at) <= t {
			v.closePane(i)
		}
		if s.closed.head == 0 || v.firstGrid(int64(v.panes.node(s.closed.head)[nodeAt])) > t {
			break
		}
		v.enterWindow(s, v.panes.pop(&s.closed))
	}
	clear(v.rec)
	if s.roll.panes.head == 0 {
		return true
	}
	if f := s.roll.front.head; f != 0 {
		copy(v.rec, v.panes.rec(f))
	}
	if s.roll.back != 0 {
		v.merge(v.rec, v.panes.rec(s.roll.back))
	}
	if s.roll.sets != 0 {
		sets := v.panes.rec(s.roll.sets)
		for _, a := range v.owners {
			v.rec[a.Off] = sets[a.Off]
		}
	}
	return false
}

// step goes on from the row at t: panes that no later window has leave.
func (v *viewState) step(i int32, t int64) {
	s := &v.slots[i]
	s.next = t + v.p.Window.Every
	for oldest := v.oldestPane(s.next); s.roll.panes.head != 0 && int64(v.panes.node(s.roll.panes.head)[nodeAt]) < oldest; {
		v.leaveWindow(i, s)
	}
}

func (v *viewState) enterWindow(s *slot, r uint32) {
	w := &s.roll
	v.panes.push(&w.panes, r)
	if w.back == 0 {
		w.back = v.panes.alloc()
		v.copyFixed(v.panes.rec(w.back), v.panes.rec(r))
	} else {
		v.merge(v.panes.rec(w.back), v.panes.rec(r))
	}
	for _, a := range v.owners {
		if w.sets == 0 {
			w.sets = v.panes.alloc()
		}
		a.Merge(v.panes.rec(w.sets), v.panes.rec(r), &v.task.sc)
	}
}

// copyFixed copies a record without the sets it owns.
func (v *viewState) copyFixed(dst, src []uint64) {
	copy(dst, src)
	for _, a := range v.owners {
		dst[a.Off] = 0
	}
}

func (v *viewState) leaveWindow(i int32, s *slot) {
	w := &s.roll
	if w.front.head == 0 {
		v.turn(w)
	}
	v.panes.release(v.panes.pop(&w.front))
	r := v.panes.pop(&w.panes)
	for _, a := range v.owners {
		a.Sub(v.panes.rec(w.sets), v.panes.rec(r), &v.task.sc)
	}
	v.toTail(i, v.panes.rec(r))
	v.freePane(r)
}

// turn makes the front out of all panes; the back is empty after it.
func (v *viewState) turn(w *rolling) {
	v.refs = v.refs[:0]
	for r := w.panes.head; r != 0; r = v.panes.next(r) {
		v.refs = append(v.refs, r)
	}
	head := uint32(0)
	for _, r := range slices.Backward(v.refs) {
		f := v.panes.alloc()
		rec := v.panes.rec(f)
		v.copyFixed(rec, v.panes.rec(r))
		if head != 0 {
			v.merge(rec, v.panes.rec(head))
		} else {
			w.front.tail = f
		}
		v.panes.node(f)[nodeNext] = uint64(head)
		head = f
	}
	w.front.head = head
	v.panes.release(w.back)
	w.back = 0
}

// clearRolling gives back what a window holds.
func (v *viewState) clearRolling(s *slot) {
	w := &s.roll
	for w.front.head != 0 {
		v.panes.release(v.panes.pop(&w.front))
	}
	for w.panes.head != 0 {
		v.freePane(v.panes.pop(&w.panes))
	}
	if w.back != 0 {
		v.panes.release(w.back)
	}
	if w.sets != 0 {
		v.freePane(w.sets)
	}
	*w = rolling{}
}
