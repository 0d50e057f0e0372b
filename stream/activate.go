package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream/topic"
)

// How a task takes part in an activation. It makes an engine for the views that are new, has
// it read what they look back on, and gives it what it reads itself from then on. Then it
// accepts, in the transaction of its offsets, and holds: nothing of the activation's time is
// handed on before the log has decided. When it has, the task goes on with the views as
// decided, and says so in the same transaction. So the log has what a task that comes back needs:
// accepted and not done is held, whatever was decided meanwhile.

const (
	patience = 10 * time.Second // that a task is held with input waiting before it withdraws an activation that is not decided
	lapTime  = time.Second      // a warm-up that took longer is not near yet
)

// preparation is an engine that gets warm.
type preparation struct {
	id     string
	change *change
	warm   *task // with one engine, reads by itself
	done   chan error
	began  time.Time
	cancel context.CancelFunc
	lap    func(to []int64) // reads on
}

func (t *task) abandon() {
	if t.prep != nil {
		t.prep.cancel()
	}
	t.prep = nil
}

// activate takes part in activations.
func (w *worker) activate(ctx context.Context, a *assignment) error {
	if w.control == nil {
		return nil
	}
	for _, t := range a.tasks {
		if err := w.activateTask(ctx, t); err != nil {
			return fmt.Errorf("task %d: %w", t.number, err)
		}
	}
	return nil
}

func (w *worker) activateTask(ctx context.Context, t *task) error {
	m, ok := t.state.(*featuresMachine)
	if !ok {
		return nil
	}
	m.forget()
	me := TaskID{w.Name, t.number}
	var act *Activation
	var state State
	voted := false
	w.control.look(func(c *Control) {
		for _, p := range c.Proposals {
			accepts, has := p.Voted[me]
			if p.Done[me] || has && !accepts || !has && p.State != Proposed {
				continue
			}
			act, state, voted = &p.Activation, p.State, has
			return
		}
	})
	if t.prep != nil && (act == nil || act.ID != t.prep.id || voted) {
		t.abandon()
	}
	switch {
	case act == nil:
		return nil
	case !voted:
		return w.consider(ctx, t, m, act, me)
	case state == Proposed:
		return w.wait(t, m, act, me)
	case t.said == "done "+act.ID:
		return nil // not read back yet
	}
	c, err := m.prepareAgain(act)
	if err != nil {
		return err
	}
	m.settle(act, c, state == Accepted)
	t.said = "done " + act.ID
	t.heldSince = time.Time{}
	t.touch()
	t.taken = time.Time{} // a snapshot with the new views saves a warm-up
	t.read = true
	w.Log.Info("activation is decided", slog.String("id", act.ID), slog.String("state", string(state)), slog.Int64("task", t.number), slog.String("from", market.FormatTime(act.From)))
	if err := addControl(&t.out, w.features.Stream, &controlRecord{ID: act.ID, Done: &me}); err != nil {
		return err
	}
	return m.step(ctx, &t.out) // what was held is of the transaction that says that it is not any more
}

// prepareAgain works out once more what an activation changes that was accepted before.
func (m *featuresMachine) prepareAgain(a *Activation) (*change, error) {
	with := *m
	with.engines = slices.DeleteFunc(slices.Clone(m.engines), func(e *engine) bool { return e.def.Activation == a.ID })
	return with.prepare(a)
}

// touch has the next commit write the offsets of all inputs.
func (t *task) touch() {
	for in := range t.dirty {
		t.dirty[in] = t.state.next(in) >= 0
	}
}

// wait is for the decision. With input waiting a task does not wait for ever for tasks that
// do not run.
func (w *worker) wait(t *task, m *featuresMachine, act *Activation, me TaskID) error {
	if !m.held(act.From) {
		t.heldSince = time.Time{}
		return nil
	}
	now := w.Now()
	if t.heldSince.IsZero() {
		t.heldSince = now
	}
	if now.Sub(t.heldSince) < patience || t.said == "withdraw "+act.ID {
		return nil
	}
	t.said = "withdraw " + act.ID
	return addControl(&t.out, w.features.Stream, &controlRecord{ID: act.ID, Withdraw: &withdrawal{me.String(), "its time has come and not all tasks have answered"}})
}

// consider makes ready for an activation and accepts it, or refuses it.
func (w *worker) consider(ctx context.Context, t *task, m *featuresMachine, act *Activation, me TaskID) error {
	if t.said == "vote "+act.ID {
		return nil // not read back yet
	}
	say := func(refusal error) error {
		t.abandon()
		t.said = "vote " + act.ID
		t.touch()
		v := &vote{TaskID: me, Accept: refusal == nil, Complete: m.complete()}
		if refusal != nil {
			v.Reason = refusal.Error()
			w.Log.Warn("activation is refused", slog.String("id", act.ID), slog.Int64("task", t.number), slog.Any("reason", refusal))
		} else {
			m.hold(act.From)
			w.Log.Info("activation is accepted by the task", slog.String("id", act.ID), slog.Int64("task", t.number))
		}
		return addControl(&t.out, w.features.Stream, &controlRecord{ID: act.ID, Vote: v})
	}
	if t.prep == nil {
		c, err := m.prepare(act)
		if err == nil {
			err = m.check(act, c, me)
		}
		if err == nil && c.plan != nil {
			err = w.topicsOf(ctx, c)
		}
		if err != nil || c.plan == nil {
			return say(err)
		}
		t.prep = w.prepare(t, m, c)
		return nil
	}
	p := t.prep
	select {
	case err := <-p.done:
		if err != nil {
			return say(err)
		}
	default:
		return nil
	}
	if w.Now().Sub(p.began) > lapTime {
		p.lap(positions(m, len(t.inputs)))
		return nil
	}
	if err := m.inTime(act.From); err != nil {
		return say(err)
	}
	if err := w.adopt(ctx, t, m, p); err != nil {
		return err
	}
	return say(nil)
}

// topicsOf reports whether the topics of new views are there.
func (w *worker) topicsOf(ctx context.Context, c *change) error {
	topics, err := topicsOfViews(c.plan, c.brings.Writes)
	if err != nil {
		return err
	}
	names := names(topics)
	return w.ask(func(cl *kgo.Client) error {
		list, err := kadm.NewClient(cl).ListTopics(ctx, names...)
		if err != nil {
			return err
		}
		for _, name := range names {
			if t, ok := list[name]; !ok || t.Err != nil || len(t.Partitions) != w.features.Partitions {
				return fmt.Errorf("topic %s is not there as it must be: tidemark topics plan", name)
			}
		}
		return nil
	})
}

// positions are where a machine is in its inputs.
func positions(m machine, inputs int) []int64 {
	at := make([]int64, inputs)
	for in := range at {
		at[in] = m.next(in)
	}
	return at
}

// prepare begins to make an engine for an activation's new views warm, beside the task's work.
func (w *worker) prepare(t *task, m *featuresMachine, c *change) *preparation {
	ctx, cancel := context.WithCancel(w.background)
	p := &preparation{id: c.brings.Activation, change: c, cancel: cancel, done: make(chan error, 1)}
	to := positions(m, len(t.inputs))
	p.began = w.Now()
	w.uploads.Go(func() {
		var err error
		p.warm, err = w.warm(ctx, t.inputs, c, to)
		p.done <- err
	})
	p.lap = func(to []int64) {
		p.began = w.Now()
		w.uploads.Go(func() { p.done <- w.read(ctx, p.warm, to) })
	}
	return p
}

// warm makes an engine that has read what its views look back on, up to some offsets; where
// they are -1, to the end of the input.
func (w *worker) warm(ctx context.Context, inputs []TopicPartition, c *change, to []int64) (*task, error) {
	m := newFeaturesMachine(w.features, inputs)
	t := &task{inputs: inputs, state: m}
	if err := m.addEngine(c.brings, c.plan, nil); err != nil {
		return nil, err
	}
	m.hold(c.brings.From)
	var past *PastQuery
	err := w.ask(func(cl *kgo.Client) error {
		err := w.startAt(ctx, kadm.NewClient(cl), m, to, func(topic string) int64 { return w.back(c, topic) })
		if !errors.Is(err, errShort) || w.features.Past == nil {
			return err
		}
		var perr error
		if past, perr = w.pastOf(ctx, m, c); perr != nil {
			return fmt.Errorf("%w, nor does the lake: %w", err, perr)
		}
		if err := w.startAt(ctx, kadm.NewClient(cl), m, to, func(string) int64 { return past.To }); err != nil {
			return fmt.Errorf("the lake has what is before %s: %w", market.FormatTime(past.To), err)
		}
		return nil
	})
	if err == nil && past != nil {
		c.brings.Since = past.To
		m.engines[0].task.since = past.To
		err = w.recall(ctx, m, past)
	}
	if err != nil {
		return nil, err
	}
	return t, w.read(ctx, t, to)
}

// startAt has a machine that has read nothing begin where its topics have what came at some times, no later than some offsets.
func (w *worker) startAt(ctx context.Context, adm *kadm.Client, m *featuresMachine, to []int64, since func(topic string) int64) error {
	for in, at := range m.inputs {
		if m.next(in) < 0 {
			continue
		}
		from, err := w.reach(ctx, adm, at, since(at.Topic))
		if err != nil {
			return err
		}
		if to[in] >= 0 {
			from = min(from, to[in])
		}
		m.start(in, from)
	}
	return nil
}

// back is the event time from which the new views need what a topic carries.
func (w *worker) back(c *change, topic string) int64 {
	back := int64(0)
	for _, in := range c.plan.Inputs() {
		if slices.Contains(w.features.Kinds[topic], in.Kind) {
			back = max(back, in.Lookback)
		}
	}
	return c.from(back)
}

// from is the event time from which the new views need what they look back on so far.
func (c *change) from(back int64) int64 {
	if back > c.brings.From {
		return market.NoTime // for ever
	}
	return c.brings.From - back
}

// errShort says that topics do not reach back to what new views look back on.
var errShort = errors.New("the topic does not reach back so far")

// reach is the offset from which a partition has to be read for events from some time on.
func (w *worker) reach(ctx context.Context, adm *kadm.Client, at TopicPartition, from int64) (int64, error) {
	starts, err := adm.ListStartOffsets(ctx, at.Topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return 0, err
	}
	start, ok := starts.Lookup(at.Topic, at.Partition)
	if !ok {
		return 0, fmt.Errorf("%s has no first offset", at)
	}
	if start.Offset == 0 && from == market.NoTime {
		return 0, nil
	}
	offset := start.Offset
	if from != market.NoTime {
		after, err := topic.After(ctx, adm, at.Topic, from)
		if err != nil {
			return 0, err
		}
		if o, ok := after.Lookup(at.Topic, at.Partition); ok {
			offset = o.Offset
		}
	}
	if offset == start.Offset && start.Offset > 0 {
		return 0, fmt.Errorf("new views look back to %s: %s: %w", market.FormatTime(from), at, errShort)
	}
	return offset, nil
}

// adopt gives the task the engine that is warm, read on to where the task is. What it gives is of
// times that are not yet. Topics that the task has not read so far need a new session.
func (w *worker) adopt(ctx context.Context, t *task, m *featuresMachine, p *preparation) error {
	to := positions(m, len(t.inputs))
	for in := range to {
		if next := p.warm.state.next(in); to[in] < 0 && next >= 0 {
			to[in], t.rejoin = next, true
		}
	}
	if err := m.take(p.warm.state.(*featuresMachine), p.change); err != nil {
		return err
	}
	return w.read(ctx, &task{inputs: t.inputs, state: m}, to)
}

// beginViews makes a task that has never committed compute what its stream does, and notes
// in the control topic what that is when the stream begins.
func (w *worker) beginViews(ctx context.Context, t *task) error {
	m, ok := t.state.(*featuresMachine)
	if w.control == nil || !ok {
		return nil
	}
	if err := w.control.catchUp(ctx); err != nil {
		return err
	}
	changed := false
	w.control.look(func(c *Control) { changed = c.accepted() })
	if changed { // what the task has then comes with the activations
		m.engines = nil
		return nil
	}
	if t.number > 0 {
		return nil
	}
	return addControl(&t.out, w.features.Stream, &controlRecord{Begin: &beginning{w.Name, m.configured()}})
}

// resume brings a restored task to where the control topic says that it was: with the engines
// of what it accepted, and held if it had not acted by the decision.
func (w *worker) resume(ctx context.Context, t *task, committed []int64) error {
	m, ok := t.state.(*featuresMachine)
	if w.control == nil || !ok {
		return nil
	}
	if err := w.control.catchUp(ctx); err != nil {
		return err
	}
	me := TaskID{w.Name, t.number}
	type had struct {
		act            *Activation
		accepted, done bool
	}
	var list []had
	any := false
	w.control.look(func(c *Control) {
		any = c.accepted()
		settled := m.settled == ""
		for _, p := range c.Proposals {
			if settled && p.Voted[me] {
				list = append(list, had{&p.Activation, p.State == Accepted, p.Done[me]})
			}
			settled = settled || p.ID == m.settled
		}
	})
	base := *m // without what is not decided
	base.engines = slices.DeleteFunc(slices.Clone(m.engines), func(e *engine) bool { return e.def.Activation != "" })
	if active := base.activeViews(); !any && !sameViews(active, m.configured()) {
		return fmt.Errorf("%w: %s", features.ErrSnapshotMismatch, differing(active, m.configured()))
	}
	if any && t.number == 0 && len(list) == 0 && !sameViews(m.activeViews(), m.configured()) {
		w.Log.Warn("the config has other views than were applied; what was applied counts", slog.String("differing", differing(m.activeViews(), m.configured())))
	}
	for _, h := range list {
		c, err := m.prepareAgain(h.act)
		if err != nil {
			return fmt.Errorf("activation %s: %w", h.act.ID, err)
		}
		if (!h.done || h.accepted) && c.plan != nil && !m.has(h.act.ID) {
			warm, err := w.warm(ctx, t.inputs, c, committed)
			if err != nil {
				return fmt.Errorf("activation %s: %w", h.act.ID, err)
			}
			if err := m.take(warm.state.(*featuresMachine), c); err != nil {
				return err
			}
		}
		if h.done {
			m.settle(h.act, c, h.accepted)
		} else {
			m.hold(h.act.From)
		}
	}
	return nil
}
