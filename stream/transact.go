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

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// persist transacts until it is committed. A transaction is aborted by a broker that had not
// finished the one before, or by the session, which aborts the first one after a rebalance.
// Its records are there still.
func (w *worker) persist(ctx context.Context, sess *kgo.GroupTransactSession, a *assignment) error {
	for try := range maxTries {
		ok, err := w.transact(ctx, sess, a)
		if err != nil {
			return err
		}
		if ok && !w.lost.CompareAndSwap(true, false) {
			return nil
		}
		// Marks may be lost: of this transaction, and, after a commit, of the ones before it, which were committed too.
		if err := w.endLast(ctx, sess.Client(), ok); err != nil || ok {
			return err
		}
		w.metrics.aborts.Inc()
		if _, generation := sess.Client().GroupMetadata(); generation != a.generation {
			return errMoved
		}
		sleep(ctx, time.Millisecond<<try)
	}
	return errAborted
}

// endLast ends what hangs of the session's last transaction.
func (w *worker) endLast(ctx context.Context, cl *kgo.Client, committed bool) error {
	if err := w.settled(ctx, cl); err != nil {
		return err
	}
	id, epoch, err := cl.ProducerID(ctx)
	if err != nil {
		return err
	}
	return w.endHanging(ctx, cl, txn{id, epoch}, func(int16) (bool, error) { return committed, nil })
}

// transaction is the one under way.
type transaction struct {
	mu    sync.Mutex
	begun bool
	lost  atomic.Pointer[error] // of a record that was not written
}

func (x *transaction) acked(_ *kgo.Record, err error) {
	if err != nil {
		lost := err // the parameter would be on the heap for every record
		x.lost.CompareAndSwap(nil, &lost)
	}
}

// beginTxn begins a transaction unless one is under way.
func (w *worker) beginTxn(ctx context.Context, sess *kgo.GroupTransactSession) error {
	w.txn.mu.Lock()
	defer w.txn.mu.Unlock()
	if w.txn.begun {
		return nil
	}
	w.pace.begin(ctx, w.Now)
	if err := sess.Begin(); err != nil {
		return err
	}
	w.txn.begun = true
	w.txn.lost.Store(nil)
	return nil
}

// giveUp ends a transaction that an error has left open, so that readers do not wait until the next session or its timeout does.
func (w *worker) giveUp(ctx context.Context, sess *kgo.GroupTransactSession) {
	if !w.txn.begun {
		return
	}
	w.txn.begun = false
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUpWait)
	defer cancel()
	if _, err := sess.End(ctx, kgo.TryAbort); err != nil {
		w.Log.Warn("a transaction was left open", slog.Any("error", err))
	}
}

// send gives the client what a task has put out since the last time: it packs and sends it while others work.
func (w *worker) send(ctx context.Context, sess *kgo.GroupTransactSession, t *task) error {
	if t.sent == t.out.n || w.broken == noTransaction {
		return nil
	}
	if err := w.beginTxn(ctx, sess); err != nil {
		return err
	}
	acked := w.txn.acked
	for _, r := range t.out.recs[t.sent:t.out.n] {
		sess.Produce(ctx, r, acked)
	}
	t.sent = t.out.n
	return nil
}

// transact writes the records and offsets of all tasks, and reports whether they are committed.
func (w *worker) transact(ctx context.Context, sess *kgo.GroupTransactSession, a *assignment) (bool, error) {
	if err := w.beginTxn(ctx, sess); err != nil {
		return false, err
	}
	records := 0
	for _, t := range a.tasks {
		if err := w.send(ctx, sess, t); err != nil {
			return false, err
		}
		records += t.out.n
	}
	defer func() { // whether or not it is committed, the next one has all that is put out then
		w.pace.over = w.Now()
		for _, t := range a.tasks {
			t.sent = 0
		}
	}()
	if w.broken == noTransaction {
		if ok, err := w.untransacted(ctx, a); !ok {
			return false, err
		}
	}
	if err := sess.Client().Flush(ctx); err != nil {
		return false, err
	}
	w.pace.wrote(records, w.Now())
	w.txn.begun = false
	if err := w.txn.lost.Load(); err != nil {
		_, aerr := sess.End(ctx, kgo.TryAbort)
		return false, errors.Join(fmt.Errorf("write: %w", *err), aerr)
	}
	return sess.End(kgo.PreTxnCommitFnContext(ctx, func(req *kmsg.TxnOffsetCommitRequest) error {
		// The client may be of a later generation by now: it joins while we work, and of a second rebalance since the last
		// transaction the session does not tell. Then the broker refuses.
		req.MemberID, req.Generation = a.member, a.generation
		req.Topics = a.offsets(txn{req.ProducerID, req.ProducerEpoch})
		return nil
	}), kgo.TryCommit)
}

// untransacted writes the records in no transaction, and the first time it ends like that: as a kill would have it.
func (w *worker) untransacted(ctx context.Context, a *assignment) (bool, error) {
	cl, err := kgo.NewClient(append(slices.Clone(w.Options), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return false, err
	}
	defer cl.Close()
	for _, t := range a.tasks {
		if err := cl.ProduceSync(ctx, t.out.recs[:t.out.n]...).FirstErr(); err != nil {
			return false, fmt.Errorf("write: %w", err)
		}
	}
	if !w.ended {
		w.ended = true
		return false, errAborted
	}
	return true, nil
}

// offsets are how far the tasks read, with the pointers of their snapshots and the transaction that commits them: of inputs
// that were read since the last one. When there are none, of all: a transaction without offsets would not be refused
// to those whose tasks others have.
func (a *assignment) offsets(of txn) []kmsg.TxnOffsetCommitRequestTopic {
	topics := a.offsetsOf(of, func(t *task, in int) bool { return t.moved[in] || t.ready != "" })
	if len(topics) == 0 {
		topics = a.offsetsOf(of, func(*task, int) bool { return true })
	}
	return topics
}

func (a *assignment) offsetsOf(of txn, which func(t *task, in int) bool) (topics []kmsg.TxnOffsetCommitRequestTopic) {
	for _, t := range a.tasks {
		meta := cmp.Or(t.ready, t.inUse).metadata(of)
		for in, at := range t.inputs {
			next := t.at[in]
			if next < 0 || !which(t, in) {
				continue
			}
			i := slices.IndexFunc(topics, func(rt kmsg.TxnOffsetCommitRequestTopic) bool { return rt.Topic == at.Topic })
			if i < 0 {
				rt := kmsg.NewTxnOffsetCommitRequestTopic()
				rt.Topic = at.Topic
				topics, i = append(topics, rt), len(topics)
			}
			rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = at.Partition, next, -1, meta
			topics[i].Partitions = append(topics[i].Partitions, rp)
		}
	}
	return topics
}
