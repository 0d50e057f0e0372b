package features

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// Task is the state of a plan for one shard: slabs of words with a fixed stride for each
// entity. It has no clock, goroutine, lock or I/O; one caller at a time.
type Task struct {
	plan  *Plan
	insts *market.Instruments
	from  int64
	marks [market.NumKinds]int64
	first [market.NumKinds]int64 // least event time pushed, NoTime for none
	done  bool
	apart bool  // rows leave as soon as their entity's input allows: PushApart
	peek  bool  // Close gives windows that have not ended, too
	err   error // the first error; it ends the task

	direct cols         // the batch that is pushed, as it stands; behind its columns those of the book
	stages []*stage     // of kinds
	joins  []*joinState // of kinds
	books  *books       // nil when no view reads one
	views  []*viewState
	order  []*viewState // of evaluation: parents first
	ents   []*entities
	feeds  feedTable
	sc     op.Scratch
	inst   []*instrument // by handle, nil for one that has not been met

	numbers []uint32 // of them
	owners  owners   // scratch
}

func newTask(p *Plan, insts *market.Instruments, from int64) *Task {
	t := &Task{plan: p, insts: insts, from: from, feeds: feedTable{feeds: p.feeds}}
	for k := range t.marks {
		t.marks[k], t.first[k] = market.NoTime, market.NoTime
	}
	t.views = make([]*viewState, len(p.views))
	for _, i := range p.order {
		t.addView(i, p.views[i])
		t.order = append(t.order, t.views[i])
	}
	t.addFamilies()
	for _, v := range t.views {
		v.alone = v.isAlone()
		v.initDirect()
	}
	t.books = newBooks(t, p.book)
	return t
}

func (t *Task) addView(i int, v *plan.View) {
	s := newViewState(t, i, v)
	t.views[i] = s
	for _, j := range s.joins {
		if j.p.Source >= 0 {
			t.views[j.p.Source].joiners = append(t.views[j.p.Source].joiners, j)
		} else {
			t.joins = append(t.joins, j)
		}
	}
	input := int(v.Kind)
	if v.Parent >= 0 {
		input = -1 - v.Parent
		t.views[v.Parent].children = append(t.views[v.Parent].children, s)
	}
	s.ents = t.entities(input, v.By, v.EntityColumns())
	s.keys = s.ents
	if v.Shape == plan.Latest {
		s.keys = t.entities(input, v.Cross.Keys, v.Cross.Columns())
		s.initLatest()
	}
	if v.Clock != nil {
		s.initClock(t.views[v.Clock.View])
	}
	if v.Parent >= 0 {
		return
	}
	if v.Union == nil {
		t.addStage(s, v.Kind)
		return
	}
	for k := range market.Kind(market.NumKinds) {
		if k != market.KindNone && slices.Contains(v.Union, k) {
			t.addStage(s, k)
		}
	}
	for of, parent := range t.views {
		if slices.Contains(v.Of, of) {
			parent.children = append(parent.children, s)
		}
	}
}

// isAlone tells that a row of a view depends on nothing but its entity's rows up to its end, and no other view on more than that.
func (v *viewState) isAlone() bool {
	if v.p.Union != nil || v.alerts.m != nil || len(v.joins)+len(v.joiners)+len(v.members) > 0 {
		return false
	}
	window, frames := v.p.Shape == plan.Tumbling && !v.p.Hold, v.p.Shape == plan.RowView && v.frames != nil && v.p.Parent < 0
	for _, c := range v.children {
		if !frames || c.p.Shape != plan.Tumbling || !v.ownRows(c) || !c.isAlone() {
			return false
		}
	}
	return window || frames
}

// addStage lets a view read a kind, beside those that read it under the same key.
func (t *Task) addStage(s *viewState, kind market.Kind) {
	for _, st := range t.stages {
		if st.ents == s.keys && st.kind == kind {
			st.add(s)
			return
		}
	}
	st := &stage{task: t, kind: kind, ents: s.keys}
	st.add(s)
	t.stages = append(t.stages, st)
}

// entities is the numbering of an input by a key, one for all views.
func (t *Task) entities(input int, by []plan.Ref, columns []string) *entities {
	for _, e := range t.ents {
		if e.same(input, by) {
			return e
		}
	}
	e := newEntities(input, by, columns)
	t.ents = append(t.ents, e)
	return e
}

var errDone = errors.New("task has been closed")

// Push takes rows of one kind, in total order for each entity: live by time, history
// entity after entity. It keeps nothing of b. A row below the last mark of its kind, or
// before one of its entity that came earlier, is an error and ends the task.
func (t *Task) Push(b *market.Batch) error {
	if t.done || t.err != nil {
		return t.fail(t.err)
	}
	if b.Kind == market.KindNone || b.Kind >= market.NumKinds {
		return t.fail(fmt.Errorf("push: %s is no kind of events", b.Kind))
	}
	if b.N == 0 {
		return nil
	}
	if err := checkBatch(b, t.plan.kinds.Fields(b.Kind)); err != nil {
		return t.fail(err)
	}
	payload := b.Cols
	if b.Kind == market.KindBook && t.books != nil {
		var err error
		if payload, err = t.books.push(b); err != nil {
			return t.fail(err)
		}
	}
	if !slices.ContainsFunc(t.plan.inputs, func(in Input) bool { return in.Kind == b.Kind }) {
		return nil
	}
	t.direct.view(b, payload)
	for _, st := range t.stages {
		if st.kind == b.Kind {
			if err := st.push(b, &t.direct); err != nil {
				return t.fail(err)
			}
		}
	}
	if b.Kind == market.KindInstrument {
		if err := t.pushListings(); err != nil {
			return t.fail(err)
		}
	}
	for _, j := range t.joins {
		if j.p.Kind == b.Kind {
			if err := j.push(b, &t.direct); err != nil {
				return t.fail(err)
			}
		}
	}
	return t.err
}

// PushApart is Push for input that comes entity after entity: windows that its rows end, and instants that they leave
// behind, are rows at once, and need not be kept until the others' have come. Rows of a view come by row_ts for each entity, not over all. Views
// whose rows depend on more than their entity's give theirs with Advance.
func (t *Task) PushApart(b *market.Batch, out *Rows) error {
	t.begin(out)
	t.apart = true
	err := t.Push(b)
	t.apart = false
	t.end()
	return err
}

// Omit leaves the rows of a view, by its place in Plan.Outputs, out of what the task gives: only views that read it
// need them, and features that those do not ask for are not worked out. Alerts of a view need its rows: with such, nothing changes.
func (t *Task) Omit(view int) { t.views[view].omit = t.views[view].alerts.m == nil }

func (t *Task) fail(err error) error {
	if err == nil {
		return errDone
	}
	t.err = err
	return err
}

// meet looks an instrument up, once: the registry has a lock.
func (t *Task) meet(x int) error {
	if x < len(t.inst) && t.inst[x] != nil {
		return nil
	}
	if x >= len(t.numbers) {
		t.numbers = t.insts.Numbers()
	}
	if x >= len(t.numbers) {
		return fmt.Errorf("instrument handle %d is not registered", x)
	}
	for len(t.inst) <= x {
		t.inst = append(t.inst, nil)
	}
	t.inst[x] = newInstrument(t.insts.Get(market.Inst(x)))
	return nil
}

// Advance declares each input kind complete below its mark and appends the rows that
// this makes final, ordered by (row_ts, entity) within each view. Marks never fall;
// market.NoTime is a mark that says nothing.
func (t *Task) Advance(marks *[market.NumKinds]int64, out *Rows) error {
	if t.done || t.err != nil {
		return t.fail(t.err)
	}
	for k, m := range marks {
		if m != market.NoTime && m < t.marks[k] {
			return t.fail(fmt.Errorf("advance %s: mark falls from %s to %s", market.Kind(k),
				market.FormatTime(t.marks[k]), market.FormatTime(m)))
		}
		t.marks[k] = max(t.marks[k], m)
	}
	if t.books != nil {
		t.books.forget()
	}
	t.begin(out)
	for _, v := range t.order {
		v.advance(t.mark(v.p))
	}
	t.end()
	return t.err
}

// Close declares the end of all input at event time last. Tumbling windows that hold
// events are emitted, flagged partial when they reach past last; rolling windows up to
// the first grid point at or after last. The task takes nothing more.
func (t *Task) Close(last int64, out *Rows) error {
	if t.done || t.err != nil {
		return t.fail(t.err)
	}
	t.done = true
	t.begin(out)
	for _, v := range t.order {
		v.close(last)
	}
	t.end()
	return t.err
}

// Peek appends provisional rows of the open windows and changes nothing: the rows that
// Close would give at the newest event pushed. It works on a copy of the state.
func (t *Task) Peek(out *Rows) {
	if t.done || t.err != nil {
		return
	}
	c, err := t.plan.Restore(t.insts, t.AppendSnapshot(nil))
	if err != nil {
		panic("BUG: own snapshot is not readable: " + err.Error())
	}
	last := market.NoTime
	for _, v := range c.views {
		last = max(last, v.newest())
	}
	c.peek = true
	var from []int
	for v := range out.Views {
		from = append(from, out.Views[v].Len(), len(out.Views[v].Alerts))
	}
	_ = c.Close(last, out) // a fresh task has no error
	for v := range out.Views {
		rows, alerts := 0, 0
		if len(from) > 0 {
			rows, alerts = from[2*v], from[2*v+1]
		}
		t.renumber(c, v, &out.Views[v], rows, alerts)
	}
}

// renumber gives rows of another task the numbers that their entities have in this one.
func (t *Task) renumber(other *Task, view int, rows *ViewRows, from, alerts int) {
	here, there := t.views[view].ents, other.views[view].ents
	for i := from; i < rows.Len(); i++ {
		rows.Entity[i] = here.number(there.names[rows.Entity[i]])
	}
	for i := alerts; i < len(rows.Alerts); i++ {
		rows.Alerts[i].Entity = here.number(there.names[rows.Alerts[i].Entity])
	}
}

// OldestNeeded is the event time from which input of a kind is needed to rebuild this
// task as it stands, market.NoTime when none has come.
func (t *Task) OldestNeeded(kind market.Kind) int64 {
	if kind >= market.NumKinds {
		return market.NoTime
	}
	first, oldest := t.first[kind], t.marks[kind]
	for _, v := range t.views {
		if !v.p.Kinds.Has(kind) {
			continue
		}
		mark := t.mark(v.p)
		if mark == market.NoTime {
			return first
		}
		oldest = min(oldest, mark-v.p.LookbackOf(kind))
	}
	return max(oldest, first)
}

// mark is the time below which a view is complete: the least mark of what it depends on.
func (t *Task) mark(v *plan.View) int64 {
	m := int64(never)
	for k := range t.marks {
		if v.Kinds.Has(market.Kind(k)) {
			m = min(m, t.marks[k])
		}
	}
	return m
}

// EntityNames returns the values of the view's entity columns; the caller must not
// change them. A number stands for the same entity as long as the task lives.
func (t *Task) EntityNames(view int, entity uint32) []string {
	e := t.views[view].ents
	return e.names[entity][:len(e.by)]
}

// begin makes out fit the plan and lets the views write to it.
func (t *Task) begin(out *Rows) {
	if len(out.Views) != len(t.plan.outputs) {
		out.Views = make([]ViewRows, len(t.plan.outputs))
		for i := range out.Views {
			out.Views[i].Features = make([]OutCol, len(t.plan.outputs[i].Fields))
		}
	}
	for i, v := range t.views[:len(out.Views)] {
		v.out, v.outFrom = &out.Views[i], out.Views[i].Len()
		v.alerts.from = len(v.out.Alerts)
	}
	for _, v := range t.views {
		v.beginStep()
	}
}

func (t *Task) end() {
	for _, v := range t.views {
		v.flush()
		v.sortAlerts()
		v.out = nil
		v.endStep()
	}
}

// feedTable has what feeds declare, by number.
type feedTable struct {
	feeds *market.Feeds
	known [4096]bool
	hold  [4096]int64
	lag   [4096]int64
	names [4096][]byte
}

func (f *feedTable) of(id market.FeedID) (hold, lag int64) {
	id &= 4095
	if !f.known[id] {
		f.known[id] = true
		f.hold[id], f.lag[id] = market.DefaultDisorder, market.DefaultAssumedLag
		if d := f.feeds.Get(id); d != nil {
			f.hold[id], f.lag[id], f.names[id] = d.Disorder, d.AssumedLag, []byte(d.Name)
		}
	}
	return f.hold[id], f.lag[id]
}

// name is the feed's name, empty for one that no registry knows.
func (f *feedTable) name(id market.FeedID) []byte {
	f.of(id)
	return f.names[id&4095]
}
