package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/stream/fetch"
)

// Errors that end a worker: trying again would not help.
var (
	// ErrTaken says that another worker has this one's slot.
	ErrTaken = errors.New("another worker has this slot")
	// ErrForeign says that the group's offsets or state were not written by this job.
	ErrForeign = errors.New("state of the group is not of this job")
)

// TopicPartition is a place that a task reads.
type TopicPartition struct {
	Topic     string
	Partition int32
}

func (p TopicPartition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Partition) }

// machine is the state of a task. Its state and what it puts out are functions of the offsets
// that its inputs were read to, at every step; so what is lost is computed again.
type machine interface {
	// start says where an input begins, before anything is read.
	start(in int, offset int64)
	// add takes records of an input, in the order of their offsets. What they refer to is good until
	// the transaction of what the next step puts out is committed; then its memory is used again.
	add(ctx context.Context, in int, recs []fetch.Record) error
	// step appends what became final since the last step.
	step(ctx context.Context, out *outbox) error
	// next is the offset at which an input is to be read on; -1 when nothing needs it.
	next(in int) int64
	// ahead reports whether an input should not be read for now: more than enough of it waits
	// for other inputs, or nothing needs it.
	ahead(in int) bool
	// snapshot appends the state. Restored from it, next is where to read on from.
	snapshot(dst []byte) []byte
}

// Job is a streaming job: tasks that read topics and write topics, each record once. Workers
// of the same name share its tasks; how they do it is in docs/design/0005-stream.md.
type Job struct {
	Name   string   // of the consumer group; in transactional ids and keys of snapshots
	Slot   string   // of this worker among those of the job; of two with one slot the newer goes on
	Topics []string // inputs, all with the same number of partitions
	Single bool     // one task reads all partitions; else each partition of all topics has one

	Options []kgo.Opt      // brokers, how to log in
	Store   objstore.Store // of snapshots
	Dir     string         // URI under which they are, and nothing else

	SnapshotEvery time.Duration // of a task that reads; 0: DefaultSnapshotEvery
	MaxPoll       int           // records of one transaction's input at most; 0: DefaultMaxPoll
	FetchBytes    int32         // asked of a broker at a time, compressed, until twice that waits; 0: DefaultFetchBytes
	Log           *slog.Logger  // nil: nobody is told

	Metrics *Metrics // nil: nobody counts

	// Handover gives what a sequence job of this process writes to one job that reads it; nil: it is fetched.
	Handover *Handover

	// Now is the clock that says when a snapshot is due, when an old one may be deleted and when a transaction
	// begins; it has no part in what is written.
	Now func() time.Time

	// open makes the state of a task: with nothing read, or as a snapshot says.
	open func(inputs []TopicPartition, snapshot []byte) (machine, error)

	writes   []string        // topics that are written; made with open
	metrics  *jobMetrics     // made with open
	features *FeaturesConfig // of a features job, made with open

	// broken is a guarantee that a test has taken away, to see that it finds what comes of it.
	broken broken
}

type broken uint8

const (
	noTransaction broken = iota + 1 // rows are not of the transaction of their offsets
	noReplay                        // a restored state is taken for that of the committed offsets
	noDrop                          // rows of the replay are written again
)

const (
	sessionTimeout     = 6 * time.Second
	giveUpWait         = time.Second     // for the end of a transaction that a session leaves open
	transactionTimeout = 5 * time.Second // below the session's, so that an open transaction ends before its tasks move
	pollWait           = 200 * time.Millisecond
	maxTries           = 10 // of a transaction that is aborted, in a second
	askEvery           = time.Second
	heartbeat          = 500 * time.Millisecond // so soon a member hears that tasks move
	drain              = 10 * time.Second       // for what is under way when a job is told to end
	minRetry, maxRetry = 100 * time.Millisecond, 5 * time.Second
)

// DefaultSnapshotEvery is how often a task writes its state.
const DefaultSnapshotEvery = 10 * time.Second

// Defaults of what is in memory at a time.
const (
	DefaultMaxPoll    = 30_000
	DefaultMaxWaiting = 100_000
	DefaultFetchBytes = 2 << 20 // about what a cycle takes, so that the next is fetched while it works
)

// readAhead is how inputs are read.
func (j *Job) readAhead() fetch.Config {
	return fetch.Config{MaxWait: pollWait, MaxBytes: cmp.Or(j.FetchBytes, DefaultFetchBytes), MaxHanded: 2 * cmp.Or(j.MaxPoll, DefaultMaxPoll)}
}

// Run works until ctx ends, which is no error, or until there is no point in going on. What
// may pass (brokers that are down, transactions that were aborted) is tried again. When ctx
// ends, the cycle under way and the state of the tasks are committed first, if that takes no
// longer than some seconds.
func (j *Job) Run(ctx context.Context) error {
	w := &worker{Job: *j}
	w.SnapshotEvery = cmp.Or(w.SnapshotEvery, DefaultSnapshotEvery)
	w.MaxPoll = cmp.Or(w.MaxPoll, DefaultMaxPoll)
	if w.Log == nil {
		w.Log = slog.New(slog.DiscardHandler)
	}
	w.Log = w.Log.With(slog.String("job", j.Name), slog.String("slot", j.Slot))
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		sleep(work, drain)
		cancel()
	})()
	if w.features != nil && w.features.Stream != "" {
		var err error
		if w.control, err = newControlReader(w.features.Stream, w.Options); err != nil {
			return err
		}
		var following sync.WaitGroup
		defer following.Wait()
		defer cancel()
		following.Go(func() { w.control.follow(work, w.Log) })
	}
	wait := minRetry
	for {
		began := w.Now()
		err := w.session(ctx, work)
		if ctx.Err() != nil {
			if err != nil && !errors.Is(err, context.Canceled) {
				w.Log.Warn("the last cycle was not committed; the next worker does it again", slog.Any("error", err))
			}
			return nil
		}
		switch {
		case errors.Is(err, errRejoin):
			continue
		case final(err):
			return fmt.Errorf("job %s: %w", j.Name, err)
		case w.Now().Sub(began) > maxRetry:
			wait = minRetry
		}
		w.Log.Warn("session ended, the next one begins", slog.Any("error", err), slog.Duration("in", wait))
		sleep(ctx, wait)
		wait = min(2*wait, maxRetry)
	}
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// final reports whether the next session would end as this one did.
func final(err error) bool {
	for _, e := range []error{
		ErrTaken, ErrForeign, ErrUnequal, ErrNoTopic, errGone, errHangs, errLongAgo, features.ErrSnapshotMismatch, features.ErrCorrupt, ErrBehind, ErrCorrupt, ErrPartitions,
		kerr.FencedInstanceID, kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
		kerr.SaslAuthenticationFailed, kerr.InconsistentGroupProtocol,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func comparePlaces(a, b TopicPartition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

func outOfRange(err error) error {
	if errors.Is(err, kerr.OffsetOutOfRange) {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return err
}
