package features

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/zeebo/xxh3"

	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// Errors of Restore.
var (
	ErrCorrupt          = errors.New("snapshot is damaged")
	ErrSnapshotMismatch = errors.New("snapshot is of other views or another format")
)

// A snapshot is, in little-endian words and length-prefixed texts:
//
//	magic, fingerprint of each view, names of the user-defined kinds, from, marks and first times by kind,
//	where views read books the live ones, by instrument and feed,
//	for each view its entities in the order of names: names, then the slot;
//	its alerts and those of them that are not quiet, in the same order,
//	the 128-bit XXH3 of all before.
//
// Numbers of entities, slots and records differ from task to task and are not in it;
// what nothing depends on any more is left out whether or not it has been forgotten yet. So the bytes are a function of the input and the marks alone.
const snapshotMagic = "tmfeat06"

// AppendSnapshot appends the exact state. The same input history and marks give the same
// bytes, however they were cut into calls.
func (t *Task) AppendSnapshot(dst []byte) []byte {
	start := len(dst)
	w := writer{b: append(dst, snapshotMagic...)}
	w.word(uint64(len(t.plan.outputs)))
	for _, o := range t.plan.outputs {
		w.b = append(w.b, o.Fingerprint[:]...)
	}
	w.names(t.plan.kinds)
	w.word(uint64(t.from))
	for k := range t.marks {
		w.word(uint64(t.marks[k]))
		w.word(uint64(t.first[k]))
	}
	if t.books != nil {
		t.books.save(&w)
	}
	for _, v := range t.views {
		v.save(&w)
		v.saveAlerts(&w)
	}
	h := xxh3.Hash128(w.b[start:])
	w.word(h.Lo)
	w.word(h.Hi)
	return w.b
}

type writer struct{ b []byte }

func (w *writer) word(x uint64) { w.b = binary.LittleEndian.AppendUint64(w.b, x) }

func (w *writer) words(x []uint64) {
	for _, v := range x {
		w.word(v)
	}
}

func (w *writer) text(s string) {
	w.word(uint64(len(s)))
	w.b = append(w.b, s...)
}

// save writes the live entities of a view.
func (v *viewState) save(w *writer) {
	if v.latest != nil {
		v.saveLatest(w)
		v.saveJoined(w)
		return
	}
	if v.clock != nil {
		v.saveClock(w)
		v.saveJoined(w)
		return
	}
	mark := v.task.mark(v.p)
	v.sortUnion()
	v.ents.ranks()
	order := make([]int32, len(v.ents.names))
	n := 0
	for i := range order {
		order[i] = -1
	}
	for i := range v.slots {
		if s := &v.slots[i]; s.used && (v.next(int32(i)) != never || s.held.head != 0 || !v.over(int32(i), mark)) {
			order[v.ents.rank[s.ent]] = int32(i)
			n++
		}
	}
	w.word(uint64(n))
	for _, i := range order {
		if i < 0 {
			continue
		}
		for _, name := range v.ents.names[v.slots[i].ent][:len(v.ents.by)] {
			w.text(name)
		}
		v.saveSlot(w, i)
	}
	v.saveJoined(w)
}

func (v *viewState) saveJoined(w *writer) {
	from := v.joinedFrom(v.task.mark(v.p))
	for _, j := range v.joins {
		j.save(w, from)
	}
}

func (v *viewState) saveSlot(w *writer, i int32) {
	s := &v.slots[i]
	carries := v.carries(i, v.task.mark(v.p))
	at, next := int64(0), market.NoTime
	if s.end != noPane {
		at = s.at
	}
	if s.roll.panes.head != 0 || v.p.Empty && carries {
		next = s.next
	}
	w.word(uint64(s.end))
	w.word(uint64(at))
	w.word(uint64(next))
	if s.end != noPane {
		v.saveRec(w, v.openRec(i))
	}
	if v.p.Tail {
		clear(v.rec)
		if carries {
			v.liveTail(i)
		}
		v.saveRec(w, v.rec)
	}
	v.saveScans(w, i)
	v.saveFrames(w, i)
	v.saveList(w, s.closed)
	v.saveList(w, s.roll.panes)
	if v.p.Hold {
		v.saveHeld(w, i)
	}
}

// liveTail sets v.rec to what of the tail a later window can still take.
func (v *viewState) liveTail(i int32) {
	copy(v.rec, v.tailRec(i))
	start := v.horizon(i, v.task.mark(v.p))
	for k := range v.p.Accs {
		v.p.Accs[k].Expire(v.rec, start, v.p.Window.Carry)
	}
}

func (v *viewState) saveList(w *writer, l list) {
	n := 0
	for r := l.head; r != 0; r = v.panes.next(r) {
		n++
	}
	w.word(uint64(n))
	for r := l.head; r != 0; r = v.panes.next(r) {
		w.word(v.panes.node(r)[nodeAt])
		v.saveRec(w, v.panes.rec(r))
	}
}

// saveRec writes a record: fixed words as they are, sets by what they hold.
func (v *viewState) saveRec(w *writer, rec []uint64) {
	w.words(rec[:plan.MetaWords])
	if v.p.Begins() {
		w.word(rec[beginAt])
	}
	if at := v.p.KeyAt; at > 0 {
		w.words(rec[at : at+plan.KeyWords])
	}
	for k := range v.p.Accs {
		a := &v.p.Accs[k]
		if !a.Owner() {
			w.words(rec[a.Off : a.Off+a.Words()])
			continue
		}
		a.SaveSet(rec, &v.task.sc, w.word)
	}
}

// Restore rebuilds a task from AppendSnapshot. A snapshot of other fingerprints or
// another format is refused with ErrSnapshotMismatch, a damaged one with ErrCorrupt.
func (p *Plan) Restore(insts *market.Instruments, snap []byte) (*Task, error) {
	const sum = 16
	if len(snap) < len(snapshotMagic) || string(snap[:len(snapshotMagic)]) != snapshotMagic {
		return nil, ErrSnapshotMismatch
	}
	if len(snap) < len(snapshotMagic)+sum {
		return nil, ErrCorrupt
	}
	body := snap[:len(snap)-sum]
	h := xxh3.Hash128(body)
	if binary.LittleEndian.Uint64(snap[len(body):]) != h.Lo || binary.LittleEndian.Uint64(snap[len(body)+8:]) != h.Hi {
		return nil, ErrCorrupt
	}
	return p.decode(insts, body[len(snapshotMagic):])
}

// decode reads the body of a snapshot; it trusts no length and no number in it.
func (p *Plan) decode(insts *market.Instruments, body []byte) (*Task, error) {
	r := &reader{b: body}
	if r.word() != uint64(len(p.outputs)) {
		return nil, ErrSnapshotMismatch
	}
	for _, o := range p.outputs {
		if string(r.bytes(len(o.Fingerprint))) != string(o.Fingerprint[:]) {
			return nil, ErrSnapshotMismatch
		}
	}
	if !r.names(p.kinds) {
		return nil, ErrSnapshotMismatch
	}
	t := newTask(p, insts, int64(r.word()))
	for k := range t.marks {
		t.marks[k], t.first[k] = int64(r.word()), int64(r.word())
	}
	if t.books != nil {
		t.books.load(r)
	}
	for _, v := range t.views {
		v.restore(r)
		v.restoreAlerts(r)
	}
	if r.bad || len(r.b) > 0 {
		return nil, ErrCorrupt
	}
	return t, nil
}

// names writes the user-defined kinds: their numbers, which keys of held rows have, follow
// from all names together.
func (w *writer) names(kinds *market.Kinds) {
	list := kinds.Defined()
	w.word(uint64(len(list)))
	for _, k := range list {
		w.text(kinds.Name(k))
	}
}

// names reports whether the snapshot is of a plan with these user-defined kinds.
func (r *reader) names(kinds *market.Kinds) bool {
	list := kinds.Defined()
	if r.word() != uint64(len(list)) {
		return false
	}
	for _, k := range list {
		if string(r.text()) != kinds.Name(k) {
			return false
		}
	}
	return true
}

// reader takes words and texts off; after the first that is not there all are zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) bytes(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) word() uint64 {
	b := r.bytes(8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

func (r *reader) text() []byte { return r.bytes(r.count(1)) }

// count reads a number of things of at least some bytes each.
func (r *reader) count(bytes int) int {
	n := r.word()
	if n > uint64(len(r.b)/bytes) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (v *viewState) restore(r *reader) {
	switch {
	case v.latest != nil:
		v.loadLatest(r)
	case v.clock != nil:
		v.loadClock(r)
	default:
		v.restoreSlots(r)
	}
	for _, j := range v.joins {
		j.load(r)
	}
}

func (v *viewState) restoreSlots(r *reader) {
	n := r.count(40)
	for range n {
		ns := make([]string, 0, len(v.ents.by)+len(v.ents.more))
		for range v.ents.by {
			ns = append(ns, string(r.text()))
		}
		if r.bad {
			return
		}
		i := v.slot(v.ents.number(v.ents.complete(ns)))
		if v.slots[i].loaded {
			r.bad = true // the same entity twice
			return
		}
		v.slots[i].loaded = true
		v.loadSlot(r, i)
	}
}

func (v *viewState) loadSlot(r *reader, i int32) {
	end, at, next := int64(r.word()), int64(r.word()), int64(r.word())
	s := &v.slots[i]
	s.end, s.at, s.next = end, at, next
	if v.p.Shape != plan.RowView && end != noPane && end != v.p.PaneStart(at+1) {
		r.bad = true
	}
	if end != noPane {
		if v.p.Shape == plan.RowView {
			r.bad = true
			return
		}
		v.loadRec(r, v.openRec(i))
		r.bad = r.bad || !v.validOpen(i)
	}
	if v.p.Tail {
		v.loadRec(r, v.tailRec(i))
	}
	v.loadScans(r, i)
	v.loadFrames(r, i)
	v.loadList(r, &s.closed)
	var window list
	v.loadList(r, &window)
	if r.bad || v.p.Shape != plan.Rolling && window.head != 0 {
		r.bad = true
		return
	}
	if v.p.Hold {
		v.loadHeld(r, s.ent)
		s = &v.slots[i]
	}
	for window.head != 0 {
		v.enterWindow(s, v.panes.pop(&window))
	}
	if t := v.next(i); t != never {
		v.due = min(v.due, t)
	} else if t := v.stateUntil(i); t > math.MinInt64 {
		v.due = min(v.due, t)
	}
}

func (v *viewState) loadList(r *reader, l *list) {
	n := r.count(8 * (1 + plan.MetaWords))
	for range n {
		if r.bad {
			return
		}
		rec := v.panes.alloc()
		v.panes.node(rec)[nodeAt] = r.word()
		v.loadRec(r, v.panes.rec(rec))
		v.panes.push(l, rec)
	}
}

func (v *viewState) loadRec(r *reader, rec []uint64) {
	for k := range plan.MetaWords {
		rec[k] = r.word()
	}
	if v.p.Begins() {
		rec[beginAt] = r.word()
	}
	if at := v.p.KeyAt; at > 0 {
		for k := range plan.KeyWords {
			rec[at+k] = r.word()
		}
	}
	for k := range v.p.Accs {
		a := &v.p.Accs[k]
		if !a.Owner() {
			for j := range a.Words() {
				rec[a.Off+j] = r.word()
			}
			if !a.Valid(rec) {
				r.bad = true
				return
			}
			continue
		}
		for range r.count(24) {
			if !a.LoadEntry(rec, &v.task.sc, r.word) {
				r.bad = true
				return
			}
		}
	}
}
