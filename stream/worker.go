package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream/fetch"
)

// errAborted says that a transaction was aborted: what its tasks are ahead of is computed again.
var errAborted = errors.New("transaction was aborted")

// errMoved says that the group has gone on since it gave the tasks: whoever has them now goes on from what was committed.
var errMoved = errors.New("tasks were given to others")

// errRejoin ends a session whose tasks need other topics; the next one reads them.
var errRejoin = errors.New("tasks need topics that they have not read so far")

// worker works on the tasks that its group assigns to it.
type worker struct {
	Job
	snaps      snapshots
	member     string                    // who we were in the last session
	metadata   map[TopicPartition]string // of the offsets fetched last
	current    atomic.Pointer[assignment]
	uploads    sync.WaitGroup
	asked      time.Time // for the ends of idle inputs
	partitions int       // of every topic when the job began; 0: not known yet
	ended      bool      // by a test

	client     *kgo.Client   // of the session
	assigned   chan struct{} // tasks came
	lost       lostBroker
	pace       pace
	txn        *transaction
	control    *controlReader  // nil: views do not change
	background context.Context // of the session: for what goes on beside its cycles
}

// assignment is what the group gave to this worker, recovered.
type assignment struct {
	tasks      []*task
	reader     *fetch.Reader // of their inputs
	member     string        // who we were when we got it,
	generation int32         // and of which generation it is
}

// task is one task at work.
type task struct {
	number int64
	inputs []TopicPartition
	first  int // of them, as the reader has it
	state  machine
	dirty  []bool  // inputs that were read since the last commit
	moved  []bool  // inputs that were read until the commit under way
	at     []int64 // and where they are read on from, by it; -1: nowhere
	out    outbox
	sent   int            // records of it that the client has
	count  []int          // records of each input, in this cycle
	recs   []fetch.Record // scratch

	inUse, before pointer      // committed last, and the one before it
	ready         pointer      // written, to be committed
	last          int64        // greatest number given
	taken         time.Time    // when the last one was made
	upload        chan pointer // of the one under way; nil: none
	read          bool         // records came since the last one

	prep      *preparation // for an activation; nil: none
	said      string       // to the control topic last, and about which activation
	heldSince time.Time    // by an activation that is not decided, with input waiting; zero: not
	rejoin    bool         // topics are needed that the session does not read
}

func newTask(inputs []TopicPartition) *task {
	n := len(inputs)
	return &task{number: int64(inputs[0].Partition), inputs: inputs, count: make([]int, n), dirty: make([]bool, n), moved: make([]bool, n), at: make([]int64, n)}
}

// session joins the group and works until something ends it. told ends when the job is told to
// end, ctx when what is under way then has had its time.
func (w *worker) session(told, ctx context.Context) error {
	w.snaps = snapshots{w.Store, w.Dir}
	w.metrics.joined.Inc()
	defer w.metrics.tasks.set(0)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := w.mayJoin(told); err != nil {
		return err
	}
	if err := w.mayWork(told); err != nil {
		return err
	}
	var stop context.CancelFunc
	w.background, stop = context.WithCancel(ctx)
	defer stop()
	w.assigned, w.txn = make(chan struct{}, 1), new(transaction)
	drop := func(context.Context, *kgo.Client, map[string][]int32) { w.drop() }
	id, began := w.instance(), false
	sess, err := kgo.NewGroupTransactSession(append(slices.Clone(w.Options),
		kgo.ConsumerGroup(w.Name), kgo.InstanceID(id), kgo.TransactionalID(id),
		kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(heartbeat), kgo.TransactionTimeout(transactionTimeout),
		kgo.ConsumeTopics(w.Topics...), kgo.Balancers(balancer{w.Single}),
		kgo.BlockRebalanceOnPoll(), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.WithHooks(&w.lost),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.OnPartitionsAssigned(func(ctx context.Context, cl *kgo.Client, _ map[string][]int32) {
			w.drop()
			w.client = cl
			cl.PauseFetchTopics(w.Topics...) // the assignment's reader reads them
			// In the group we are the slot's owner now. This fences whoever was it as a producer
			// too, and ends what it left open, before offsets are asked for.
			id, epoch, err := cl.ProducerID(ctx)
			if err == nil && !began {
				began = true
				err = w.endHanging(ctx, cl, txn{id, epoch}, w.saidBy(ctx, cl, id))
			}
			if err != nil {
				cancel(err)
			}
		}), kgo.OnPartitionsRevoked(drop),
		kgo.OnPartitionsLost(drop),
		kgo.OnOffsetsFetched(w.keepMetadata),
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			at, err := w.recover(ctx, offsets)
			if err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("recover: %w", err))
			}
			return at, err
		}))...)
	if err != nil {
		return err
	}
	defer func() {
		w.giveUp(ctx, sess)
		if member, _ := sess.Client().GroupMetadata(); member != "" {
			w.member = member
		}
		stop()
		w.uploads.Wait()
		w.drop()
		sess.CloseAllowingRebalance() // a static member leaves its tasks to itself
		if told.Err() != nil {
			w.leave(ctx)
		}
	}()
	go w.watch(ctx, sess.Client(), cancel)
	for {
		err := w.cycle(told, ctx, sess)
		if errors.Is(err, errMoved) {
			w.drop()
			err = nil
		}
		if a := w.current.Load(); err == nil && told.Err() != nil && (a == nil || !a.begun()) {
			return w.finish(ctx, sess)
		}
		sess.AllowRebalance()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// drop ends the work on an assignment.
func (w *worker) drop() {
	if a := w.current.Swap(nil); a != nil {
		if w.features != nil && w.Handover != nil {
			w.Handover.close(a)
		}
		a.reader.Close()
	}
}

// poll waits for input of the tasks, and keeps them from being taken away until rebalances are
// allowed. It returns nil when there are none.
func (w *worker) poll(told context.Context, sess *kgo.GroupTransactSession) (*assignment, error) {
	wait, cancel := context.WithTimeout(told, pollWait)
	defer cancel()
	a := w.current.Load()
	var err error
	if a != nil {
		if !a.begun() {
			err = a.reader.Wait(wait)
		}
	} else {
		select {
		case <-wait.Done():
		case <-w.assigned:
		}
	}
	for _, e := range sess.PollFetches(nil).Errors() { //nolint:staticcheck // nil: what there is, without waiting
		return nil, fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
	}
	cancel()
	sess.PollFetches(wait) // ended: it does nothing but keep rebalances from happening
	if a == nil || w.current.Load() != a {
		return nil, nil
	}
	if err != nil {
		err = fmt.Errorf("read: %w", outOfRange(err))
	}
	return a, err
}

// cycle is one transaction: poll, work, commit.
func (w *worker) cycle(told, ctx context.Context, sess *kgo.GroupTransactSession) error {
	a, err := w.poll(told, sess)
	if a == nil || err != nil {
		return err
	}
	if err := w.work(ctx, sess, a); err != nil {
		return err
	}
	if w.features != nil && a.others() {
		sleep(ctx, gather)
		if err := w.work(ctx, sess, a); err != nil {
			return err
		}
	}
	w.count(a)
	if err := w.activate(ctx, a); err != nil {
		return err
	}
	a.pause()
	if err := w.beat(ctx, sess.Client(), a); err != nil {
		return err
	}
	var ahead func() error
	if w.features == nil && told.Err() == nil {
		ahead = func() error { return w.ahead(ctx, a) }
	}
	if err := w.commit(ctx, sess, a, ahead); err != nil {
		return err
	}
	for _, t := range a.tasks {
		t.recycle(a.reader)
	}
	if slices.ContainsFunc(a.tasks, func(t *task) bool { return t.rejoin }) {
		return cmp.Or(w.finish(ctx, sess), errRejoin)
	}
	return nil
}

// idler is a machine whose inputs may be idle: nobody writes to them, and others wait for what
// they would say.
type idler interface {
	// newest is the time up to which some input is complete, market.NoTime if none is.
	newest() int64
	// idle reports whether nothing came from an input for so long that others should not wait
	// for it.
	idle(in int, now time.Time) bool
	// beat writes to an input that nothing comes before t any more.
	beat(ctx context.Context, in int, t int64, out *outbox) error
}

// beat tells idle inputs how far the others are. That they are read to their ends is asked of
// the broker: what was not fetched for a while is not idle.
func (w *worker) beat(ctx context.Context, cl *kgo.Client, a *assignment) error {
	now, newest := w.Now(), market.NoTime
	type place struct {
		task *task
		in   int
	}
	idle := map[TopicPartition]place{}
	for _, t := range a.tasks {
		m, ok := t.state.(idler)
		if !ok {
			return nil
		}
		newest = max(newest, m.newest())
		for in, at := range t.inputs {
			if m.idle(in, now) {
				idle[at] = place{t, in}
			}
		}
	}
	if len(idle) == 0 || newest == market.NoTime || now.Sub(w.asked) < askEvery {
		return nil
	}
	w.asked = now
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, w.Topics...)
	if err != nil {
		return err
	}
	for at, p := range idle {
		if end, ok := ends.Lookup(at.Topic, at.Partition); ok && end.Err == nil && a.reader.Next(p.task.first+p.in) >= end.Offset {
			if err := p.task.state.(idler).beat(ctx, p.in, newest, &p.task.out); err != nil {
				return err
			}
		}
	}
	return nil
}

// pause stops reading inputs that are ahead of others, and goes on with those that are not
// any more, so that what waits is bounded.
func (a *assignment) pause() {
	for _, t := range a.tasks {
		for in := range t.inputs {
			a.reader.Hold(t.first+in, t.state.ahead(in))
		}
	}
}

// count tells the metrics what was read.
func (w *worker) count(a *assignment) {
	behind := int64(0)
	for _, t := range a.tasks {
		for in, n := range t.count {
			w.metrics.records.add(int64(n))
			t.count[in] = 0
			if t.state.next(in) >= 0 {
				behind += a.reader.Behind(t.first + in)
			}
		}
	}
	w.metrics.behind.set(behind)
}

// commit writes what the tasks put out and how far they read, as one. While it waits for brokers it calls ahead, unless nil.
func (w *worker) commit(ctx context.Context, sess *kgo.GroupTransactSession, a *assignment, ahead func() error) error {
	now := w.Now()
	due := false
	for _, t := range a.tasks {
		t.settle()
		for in := range t.inputs {
			a.reader.Spend(t.first + in)
		}
		w.snapshot(ctx, t, now)
		due = due || t.out.n > 0 || t.ready != "" && t.placed()
	}
	if !due {
		return nil
	}
	var beside errgroup.Group
	if ahead != nil {
		beside.Go(ahead)
	}
	err := w.persist(ctx, sess, a)
	if err == nil {
		w.committed(ctx, a)
	}
	return errors.Join(err, beside.Wait())
}

// committed notes that all is committed that was put out.
func (w *worker) committed(ctx context.Context, a *assignment) {
	now := w.Now()
	w.metrics.commits.add(1)
	w.metrics.committed.Store(now.UnixMicro())
	for _, t := range a.tasks {
		if m, ok := t.state.(*sequenceMachine); ok && w.Handover != nil {
			w.metrics.handed.Add(float64(m.hand(w.Handover, &t.out)))
		}
		w.metrics.commit(&t.out, now)
		t.out.reset()
		clear(t.moved)
		if t.ready != "" && t.placed() {
			w.retire(ctx, t.before)
			t.before, t.inUse, t.ready = t.inUse, t.ready, ""
		}
	}
}

// placed reports whether there is an input that the task reads: else it has no offsets, and nothing says which snapshot is its.
func (t *task) placed() bool {
	return slices.ContainsFunc(t.at, func(next int64) bool { return next >= 0 })
}

// snapshot begins to write the task's state when it is time, and notes what is written.
func (w *worker) snapshot(ctx context.Context, t *task, now time.Time) {
	if t.upload != nil {
		select {
		case p := <-t.upload:
			t.upload, t.ready = nil, p
			if p == "" {
				t.last-- // so that of those there only the newest may be uncommitted
			}
		default:
		}
		return
	}
	if !t.read || t.ready != "" || now.Sub(t.taken) < w.SnapshotEvery {
		return
	}
	t.taken, t.read = now, false
	t.last++
	p, state, done := newPointer(t.number, t.last), t.state.snapshot(nil), make(chan pointer, 1)
	t.upload = done
	w.uploads.Go(func() {
		if err := w.snaps.put(ctx, p, state); err != nil {
			w.Log.Warn("state was not written; the next try is in a while", slog.Int64("task", t.number), slog.Any("error", err))
			w.metrics.lost.Inc()
			p = ""
		} else {
			w.metrics.snapshots.Inc()
		}
		done <- p
	})
}

// retire deletes a snapshot that nothing can need any more.
func (w *worker) retire(ctx context.Context, p pointer) {
	if p == "" {
		return
	}
	w.uploads.Go(func() {
		if err := w.Store.Delete(ctx, w.snaps.uri(p)); err != nil {
			w.Log.Warn("old state was not deleted", slog.String("uri", w.snaps.uri(p)), slog.Any("error", err))
		}
	})
}

// finish commits the state that tasks have, so that whoever has them next has nothing to read
// again.
func (w *worker) finish(ctx context.Context, sess *kgo.GroupTransactSession) error {
	a := w.current.Load()
	if a == nil {
		return nil
	}
	for _, t := range a.tasks {
		t.abandon()
	}
	for range 3 { // snapshots under way, those that are begun now, and their commit
		w.uploads.Wait()
		for _, t := range a.tasks {
			t.taken = time.Time{}
		}
		if err := w.commit(ctx, sess, a, nil); err != nil {
			return err
		}
	}
	return nil
}
