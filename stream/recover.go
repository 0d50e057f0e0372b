package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/stream/fetch"
)

// keepMetadata remembers the metadata of the offsets that recover is called with next.
func (w *worker) keepMetadata(_ context.Context, _ *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	w.metadata = map[TopicPartition]string{}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if p.Metadata != nil {
					w.metadata[TopicPartition{t.Topic, p.Partition}] = *p.Metadata
				}
			}
		}
	}
	return nil
}

// recover makes the tasks of an assignment as they were at the committed offsets, and
// returns where the client is to read on from.
func (w *worker) recover(ctx context.Context, committed map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	cl, err := kgo.NewClient(w.Options...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	first, err := adm.ListStartOffsets(ctx, w.Topics...)
	if err == nil {
		err = first.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	topics := map[string]int32{}
	for topic, ps := range first {
		topics[topic] = int32(len(ps))
	}
	if _, err := tasksOf(topics); err != nil {
		return nil, err
	}
	a := &assignment{}
	a.member, a.generation = w.client.GroupMetadata()
	for _, inputs := range w.tasksOf(committed) {
		t := newTask(inputs)
		if w.Single {
			t.number = 0
		}
		a.tasks = append(a.tasks, t)
	}
	began := w.Now()
	if err := each(a.tasks, func(t *task) error { return w.recoverTask(ctx, t, committed, first) }); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w.metrics.tasks.set(int64(len(a.tasks)))
	if len(a.tasks) > 0 {
		w.metrics.recovery.Observe(w.Now().Sub(began).Seconds())
		w.Log.Info("tasks recovered", slog.Int("tasks", len(a.tasks)), slog.Duration("in", w.Now().Sub(began)))
	}
	at := map[string]map[int32]kgo.Offset{}
	var inputs []fetch.Input
	for _, t := range a.tasks {
		t.first = len(inputs)
		for in, p := range t.inputs {
			if at[p.Topic] == nil {
				at[p.Topic] = map[int32]kgo.Offset{}
			}
			next := t.state.next(in)
			if next < 0 { // not read, see pause
				first, _ := first.Lookup(p.Topic, p.Partition)
				next = first.Offset
			}
			inputs = append(inputs, fetch.Input{Topic: p.Topic, Partition: p.Partition, Offset: next})
			at[p.Topic][p.Partition] = kgo.NewOffset().At(next)
		}
	}
	a.reader = fetch.New(w.client, w.readAhead(), inputs)
	if w.features != nil && w.Handover != nil {
		w.Handover.open(a)
	}
	a.pause()
	w.current.Store(a)
	select {
	case w.assigned <- struct{}{}:
	default:
	}
	return at, nil
}

// tasksOf groups partitions into the inputs of tasks: of each, its topics in order.
func (w *worker) tasksOf(committed map[string]map[int32]kgo.Offset) [][]TopicPartition {
	by := map[int32][]TopicPartition{}
	for topic, ps := range committed {
		for p := range ps {
			n := p
			if w.Single {
				n = 0
			}
			by[n] = append(by[n], TopicPartition{topic, p})
		}
	}
	var tasks [][]TopicPartition
	for _, inputs := range by {
		slices.SortFunc(inputs, comparePlaces)
		tasks = append(tasks, inputs)
	}
	slices.SortFunc(tasks, func(a, b []TopicPartition) int { return int(a[0].Partition) - int(b[0].Partition) })
	return tasks
}

func (w *worker) recoverTask(ctx context.Context, t *task, committed map[string]map[int32]kgo.Offset, first kadm.ListedOffsets) error {
	var newest pointer
	for _, at := range t.inputs {
		offset := committed[at.Topic][at.Partition].EpochOffset().Offset
		p, _, ok := readPointer(w.metadata[at])
		switch {
		case offset < 0:
		case !ok:
			return fmt.Errorf("%w: group %s has an offset of %s that something else committed; give the job another name, or delete the group and its state", ErrForeign, w.Name, at)
		case newest == "" || p.number() > newest.number():
			newest = p
		}
	}
	to := make([]int64, len(t.inputs))
	for in, at := range t.inputs {
		to[in] = max(-1, committed[at.Topic][at.Partition].EpochOffset().Offset)
	}
	there, err := w.snaps.newest(ctx, t.number)
	switch {
	case err != nil:
		return err
	case there > newest.number()+1: // a snapshot is made when the one before has been committed
		return w.longAgo(ctx, t, newest, there)
	case newest == "":
		if err := w.begin(ctx, t, first); err != nil {
			return err
		}
		return w.resume(ctx, t, to)
	}
	state, err := w.snaps.get(ctx, newest)
	if err != nil {
		return err
	}
	if t.state, err = w.open(t.inputs, state); err != nil {
		return fmt.Errorf("task %d: %w", t.number, err)
	}
	t.inUse, t.last, t.taken, t.read = newest, newest.number(), w.Now(), true
	if err := w.resume(ctx, t, to); err != nil {
		return fmt.Errorf("task %d: %w", t.number, err)
	}
	if err := w.replay(ctx, t, to); err != nil {
		return fmt.Errorf("task %d: replay from the snapshot: %w", t.number, err)
	}
	if m, ok := t.state.(*featuresMachine); ok && m.ledger != nil {
		m.ledger.again()
	}
	if err := w.snaps.sweep(ctx, t.number, newest, w.Now()); err != nil {
		w.Log.Warn("old state was not deleted", slog.Int64("task", t.number), slog.Any("error", err))
	}
	return nil
}

// errLongAgo says that the group's offsets are older than those that were committed last.
var errLongAgo = errors.New("offsets of the group are those of long ago")

// longAgo is the error for a task whose offsets point to p, and whose newest snapshot has the number there.
func (w *worker) longAgo(ctx context.Context, t *task, p pointer, there int64) error {
	offsets, err := kadm.NewClient(w.client).FetchOffsets(ctx, w.Name)
	if err != nil {
		return fmt.Errorf("read the group's offsets: %w", err)
	}
	for _, at := range t.inputs {
		if o, ok := offsets.Lookup(at.Topic, at.Partition); ok {
			if now, _, ok := readPointer(o.Metadata); ok && there <= now.number()+1 {
				return fmt.Errorf("task %d: others have it, and have gone on", t.number)
			}
		}
	}
	what := fmt.Sprintf("they point to snapshot %d", p.number())
	if p == "" {
		what = "there are none"
	}
	return &fault.Error{
		Code: "offsets_lost", Message: "Kafka has lost offsets that were committed", Where: "group " + w.Name, Exit: fault.ExitFailed, Cause: errLongAgo,
		Why: fmt.Sprintf("%s, and snapshot %d of task %d is there, which is made when the one before has been committed; going on would write events and rows again", what, there, t.number),
		Remedy: "restart the node that coordinates the group (kafka-consumer-groups.sh --describe --state names it), whose log may have them; to begin anew, with topics that are empty, " +
			"take another --name or delete " + w.Dir,
	}
}

// begin makes the state of a task that has never committed, and writes it down: where it
// began is then known to whoever recovers it, whatever happens to the topics' beginnings.
func (w *worker) begin(ctx context.Context, t *task, first kadm.ListedOffsets) error {
	var err error
	if t.state, err = w.open(t.inputs, nil); err != nil {
		return fmt.Errorf("task %d: %w", t.number, err)
	}
	if err := w.beginViews(ctx, t); err != nil {
		return err
	}
	for in, at := range t.inputs {
		o, ok := first.Lookup(at.Topic, at.Partition)
		if !ok {
			return fmt.Errorf("%s has no first offset", at)
		}
		t.state.start(in, o.Offset)
	}
	p := newPointer(t.number, 0)
	if err := w.snaps.put(ctx, p, t.state.snapshot(nil)); err != nil {
		return err
	}
	t.ready, t.taken = p, w.Now()
	return nil
}

// errGone says that input which the state needs is not there any more.
var errGone = errors.New("the topic does not reach back to the snapshot any more; its retention is too short")

// replay reads each input from where the snapshot has it to where output is committed. What
// comes out is there already and is dropped.
func (w *worker) replay(ctx context.Context, t *task, committed []int64) error {
	if w.broken == noReplay {
		return nil
	}
	to := slices.Clone(committed)
	for in := range to {
		to[in] = max(to[in], 0)
	}
	return w.read(ctx, t, to)
}

// read has a task read its inputs up to some offsets, or, where they are -1, to their ends. What
// comes out is dropped.
func (w *worker) read(ctx context.Context, t *task, to []int64) error {
	var drop outbox
	out := &drop
	if w.broken == noDrop {
		out = &t.out
	}
	var inputs []fetch.Input
	var left []int // inputs of the task, as the reader has them
	ends := map[int]int64{}
	for in, at := range t.inputs {
		next := t.state.next(in)
		if next < 0 {
			continue
		}
		end := to[in]
		if end < 0 {
			var err error
			if end, err = w.end(ctx, at); err != nil {
				return err
			}
		}
		if end <= next {
			continue
		}
		inputs, left = append(inputs, fetch.Input{Topic: at.Topic, Partition: at.Partition, Offset: next}), append(left, in)
		ends[len(left)-1] = end
	}
	step := func() error {
		err := t.state.step(ctx, out)
		if w.broken != noDrop {
			out.reset()
		}
		return err
	}
	if len(ends) == 0 {
		return step()
	}
	return w.ask(func(cl *kgo.Client) error {
		r := fetch.New(cl, w.readAhead(), inputs)
		defer r.Close()
		var recs []fetch.Record
		for len(ends) > 0 {
			if err := r.Wait(ctx); err != nil {
				return outOfRange(err)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			for i, end := range ends {
				var err error
				if recs, err = r.Take(i, recs[:0], w.MaxPoll); err != nil {
					return err
				}
				n, _ := slices.BinarySearchFunc(recs, end, func(r fetch.Record, end int64) int { return cmp.Compare(r.Offset, end) })
				if n > 0 {
					if err := t.state.add(ctx, left[i], recs[:n]); err != nil {
						return err
					}
				}
				if r.Next(i) >= end {
					r.Hold(i, true)
					delete(ends, i)
				}
			}
			if err := step(); err != nil {
				return err
			}
			for i := range inputs {
				r.Spend(i)
				r.Release(i)
			}
		}
		return nil
	})
}

// end is the offset at which a partition ends now.
func (w *worker) end(ctx context.Context, at TopicPartition) (end int64, err error) {
	err = w.ask(func(cl *kgo.Client) error {
		ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, at.Topic)
		if err == nil {
			err = ends.Error()
		}
		o, _ := ends.Lookup(at.Topic, at.Partition)
		end = o.Offset
		return err
	})
	return end, err
}
