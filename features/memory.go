package features

import (
	"reflect"
	"slices"
	"unsafe"

	"github.com/pinova-group/tidemark/market"
)

// The memory of a task by what it is for. Each part is measured as it lies (memory.go) and
// predicted from what comes and goes (predict.go).
const (
	memSlots   = iota // what every entity has: its slot, open window, tail, scans, alerts
	memPanes          // windows that are closed, or in a rolling one
	memHeld           // rows that wait for the mark
	memFrames         // rows that frames reach
	memMembers        // of latest windows, with their rows
	memTicks          // of a clock, and what its members remember
	memJoins          // rows that are joined
	memNames          // of entities and instruments, and how they are found
	memBooks          // order books
	memSets           // multisets and queues of windows and frames
	memParts
)

var memNamed = [memParts]string{"slots", "panes", "held", "frames", "members", "ticks", "joins", "names", "books", "sets"}

type memory [memParts]int

func (m *memory) total() (n int) {
	for _, x := range m {
		n += x
	}
	return n
}

// StateSize is what a task holds of one view.
type StateSize struct {
	Traffic
	Bytes int // memory with the room of all slices; what views share counts for the first that needs it
}

// StateSizes measures the memory of each view, in the order of Costs, and tells what it goes by. What does not
// grow with entities, as scratch for a batch, is left out.
func (t *Task) StateSizes() []StateSize {
	sizes, traffic := make([]StateSize, len(t.views)), t.traffic()
	for i, m := range t.memories() {
		sizes[i] = StateSize{Traffic: traffic[i], Bytes: m.total()}
	}
	return sizes
}

// memories is the memory of each view.
func (t *Task) memories() []memory {
	ms := make([]memory, len(t.views))
	var w walk
	live, all := make([]int, len(t.views)), 0
	for i, v := range t.views {
		m := &ms[i]
		m[memSlots] = w.reach(&v.slotOf, &v.slots, &v.idle, &v.open, &v.tail, &v.scans, &v.heap, &v.alerts.of)
		m[memPanes] = w.reach(&v.panes)
		m[memHeld] = w.reach(&v.held, &v.texts)
		if f := v.frames; f != nil {
			m[memFrames] = w.reach(&f.state, &f.due, &f.order)
		}
		if l := v.latest; l != nil {
			m[memMembers] = w.reach(&l.members, &l.groups, &l.order, &l.rows, &l.alive)
			if u := l.universe; u != nil {
				m[memMembers] += w.reach(&u.list, &u.byInst, &u.of)
			}
		}
		if c := v.clock; c != nil {
			m[memTicks] = w.reach(&c.ticks, &c.keys, &c.index, &c.ofTick, &c.ofMine, &c.members)
		}
		for _, j := range v.joins {
			m[memJoins] += w.reach(&j.names, &j.index, &j.keys, &j.left, &j.right, &j.own)
		}
		m[memNames] = t.namesOf(&w, v)
		if v.readsBook() {
			m[memBooks] = w.reach(&t.books.slots, &t.books.from, &t.books.named)
		}
		live[i] = v.setWords()
		all += live[i]
	}
	// Free room of the multisets is shared by all that have some.
	room := t.sc.Room()
	for i := range ms {
		if all > 0 {
			ms[i][memSets] = int(float64(room) * float64(live[i]) / float64(all))
		} else if len(t.views[i].owners) > 0 {
			ms[i][memSets], room = room, 0
		}
	}
	return ms
}

// namesOf is the memory of the names that a view goes by.
func (t *Task) namesOf(w *walk, v *viewState) int {
	n := 0
	for _, e := range []*entities{v.keys, v.ents} {
		n += w.reach(&e.names, &e.texts, &e.index, &e.from, &e.feeds, &e.rank)
	}
	for _, st := range t.stages {
		if slices.Contains(st.views, v) {
			n += w.reach(&st.count, &st.touched, &st.last)
		}
	}
	if v.p.Parent < 0 {
		n += w.reach(&t.inst, &v.verdicts)
	}
	return n
}

// readsBook tells that a view depends on order books.
func (v *viewState) readsBook() bool { return v.task.books != nil && v.p.Kinds.Has(market.KindBook) }

// setWords is the room of the multisets that the state of a view owns, in words.
func (v *viewState) setWords() (n int) {
	sc := &v.task.sc
	rec := func(rec []uint64) {
		for _, a := range v.owners {
			n += a.SetRoom(rec, sc)
		}
	}
	each := func(l list) {
		for r := l.head; r != 0; r = v.panes.next(r) {
			rec(v.panes.rec(r))
		}
	}
	for i := range v.slots {
		s := &v.slots[i]
		if len(v.owners) == 0 || !s.used {
			continue
		}
		rec(v.openRec(int32(i)))
		each(s.closed)
		each(s.roll.panes)
		if s.roll.sets != 0 {
			rec(v.panes.rec(s.roll.sets))
		}
	}
	if v.frames == nil {
		return n
	}
	for _, e := range v.frames.state {
		for k := range v.frames.Frames.Frames {
			fr := &v.frames.Frames.Frames[k]
			for a := range fr.Accs {
				if e != nil && fr.Accs[a].Owner() {
					n += fr.Accs[a].SetRoom(e.frames[k].rec, sc)
				}
			}
		}
	}
	return n
}

// walk adds up memory that is reached, each piece once.
type walk struct{ seen map[uintptr]bool }

// reach is the memory behind the variables that pointers point to, without the variables.
func (w *walk) reach(vars ...any) (n int) {
	for _, p := range vars {
		n += w.behind(reflect.ValueOf(p).Elem())
	}
	return n
}

// counted tells that a piece of memory has been counted, and enters it.
func (w *walk) counted(at uintptr) bool {
	if w.seen[at] {
		return true
	}
	if w.seen == nil {
		w.seen = map[uintptr]bool{}
	}
	w.seen[at] = true
	return false
}

func (w *walk) behind(x reflect.Value) (n int) {
	switch x.Kind() {
	case reflect.Pointer:
		if !x.IsNil() && !w.counted(x.Pointer()) {
			n = roomOf(int(x.Type().Elem().Size())) + w.behind(x.Elem())
		}
	case reflect.String:
		if s := x.String(); s != "" && !w.counted(uintptr(unsafe.Pointer(unsafe.StringData(s)))) {
			n = roomOf(len(s))
		}
	case reflect.Slice:
		size := x.Cap() * int(x.Type().Elem().Size())
		if size == 0 || w.counted(x.Pointer()) {
			return 0
		}
		n = roomOf(size)
		for i := 0; i < x.Len() && points(x.Type().Elem()); i++ {
			n += w.behind(x.Index(i))
		}
	case reflect.Array:
		for i := 0; i < x.Len() && points(x.Type().Elem()); i++ {
			n += w.behind(x.Index(i))
		}
	case reflect.Struct:
		for _, f := range x.Fields() {
			n += w.behind(f)
		}
	case reflect.Map:
		if x.IsNil() || w.counted(x.Pointer()) {
			return 0
		}
		n = mapRoom(x.Len(), int(x.Type().Key().Size()+x.Type().Elem().Size()))
		for it := x.MapRange(); it.Next(); {
			n += w.behind(it.Key())
		}
	}
	return n
}

// points tells that values of a type can have memory of their own.
func points(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.String, reflect.Slice, reflect.Map:
		return true
	case reflect.Array:
		return points(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if points(f.Type) {
				return true
			}
		}
	}
	return false
}

// roomOf is the memory that an allocation of n bytes takes: sizes are in classes.
func roomOf(n int) int {
	const page, large = 8 << 10, 32 << 10
	if n > large {
		return (n + page - 1) &^ (page - 1)
	}
	return cap(append([]byte(nil), make([]byte, n)...))
}

// mapRoom is the memory of a map of n entries whose key and value have so many bytes: tables of a
// power of two in groups of eight, up to 7/8 full.
func mapRoom(n, entry int) int {
	const group = 8
	slots := group
	for n > slots || slots > group && n*8 > slots*7 {
		slots *= 2
	}
	return slots/group*roomOf(8+group*((entry+7)&^7)) + 48
}

// grown is the memory of a slice of n elements of a size that was appended to, step elements
// at a time.
func grown(n, size, step int) int {
	c := 0
	for c < n {
		need := c - c%step + step
		switch {
		case c == 0 || need > 2*c:
			c = need
		case c < 256:
			c *= 2
		default:
			for c < need {
				c += (c + 3*256) >> 2
			}
		}
		c = max(roomOf(c*size)/size, need)
	}
	return roomOf(c * size)
}
