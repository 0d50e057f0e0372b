package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream/record"
)

// Config says what a sink reads and writes.
type Config struct {
	Lake    *lake.Lake
	Options []kgo.Opt // brokers, how to log in
	Topics  []string  // of the classes processed, late, feature, alert and ledger
	Tables  []string  // of those that the topics have rows of; nil: all

	Schemas *record.Schemas
	Kinds   *market.Kinds // nil: the release's
	Feeds   *market.Feeds
	Outputs []features.Output // views whose rows may be met
	Jobs    map[string]string // by view: the job that writes its rows, as the ledger names it; nil: up to when rows are complete is not known

	CommitEvery time.Duration // of each table; default a minute
	CommitRows  int64         // that are committed before it is time; default a million
	Memory      int64         // bytes of rows that are not committed yet; more is not read meanwhile; default 256 MiB
	MaxPoll     int           // records that are taken at a time; default 20,000
	Plain       bool          // new tables get a double beside each decimal

	// BySymbol is how new tables of rows with a symbol are partitioned by it, too: what
	// lake.BySymbol gives. A table that is there keeps its partition.
	BySymbol []lake.Partition

	UntilCaughtUp bool     // end where the topics ended when the sink began
	SkipLost      bool     // go on although records were deleted before they were read
	Accept        []string // topics that were made anew, or are of another cluster, to be read from their beginning

	Log     *slog.Logger // nil: nobody is told
	Metrics *Metrics     // nil: nobody counts
	Now     func() time.Time
}

// Defaults of a Config.
const (
	DefaultCommitEvery = time.Minute
	DefaultCommitRows  = 1 << 20
	DefaultMemory      = 256 << 20
)

const (
	pollWait           = 200 * time.Millisecond
	fetchBytes         = 16 << 20 // of a broker, before they are unpacked
	graceTime          = time.Minute
	watchEvery         = 10 * time.Second
	quietCommits       = 10 // times CommitEvery until offsets alone are worth a commit
	minRetry, maxRetry = 100 * time.Millisecond, 5 * time.Second
	maxTries           = 5 // of the files of a commit
	contestTime        = time.Minute
	maxContests        = 3 // with another sink, each within contestTime
	maxFailures        = 5 // sessions in a row, of a sink that ends by itself
)

// ErrTaken says that a newer sink has one of the tables.
var ErrTaken = errors.New("another sink has the table")

// errContest says that another sink has a table, and that it is not the newer one of the two.
var errContest = errors.New("another sink that is older took the table")

// errMoved says that rows of a commit have come into the table otherwise since they were looked for.
var errMoved = errors.New("somebody else has added some of the same events meanwhile")

// Sink reads topics and commits their rows to tables. Of two that write one table the newer goes on.
type Sink struct {
	Config
	owner lake.CommitID // says which sink a table has

	mu     sync.Mutex
	status Status
	once   sync.Once
	ends   map[place]int64 // where topics ended when the sink began

	// ignoreOffsets is what a test takes away, to see that it finds what comes of it.
	ignoreOffsets bool
}

// place is a partition of a topic.
type place struct {
	topic string
	n     int32
}

// New makes a sink.
func New(c Config) *Sink {
	c.CommitEvery = cmp.Or(c.CommitEvery, DefaultCommitEvery)
	c.CommitRows = cmp.Or(c.CommitRows, DefaultCommitRows)
	c.Memory = cmp.Or(c.Memory, DefaultMemory)
	c.MaxPoll = cmp.Or(c.MaxPoll, 20_000)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = newMetrics()
	}
	return &Sink{Config: c, owner: lake.NewCommitID(), status: Status{State: Starting}}
}

// Run works until ctx ends, commits what it has then, and ends without an error; or until there is no
// point in going on. What may pass is tried again, from where the tables stand.
func (s *Sink) Run(ctx context.Context) error {
	defer s.note(func(st *Status) { st.State = Ended })
	wait, failures, contests := minRetry, 0, 0
	for {
		began, commits := s.Now(), s.commits()
		err := s.session(ctx)
		switch {
		case err == nil:
			return nil
		case final(err):
			return err
		case errors.Is(err, errContest) && contests >= maxContests:
			return err
		case ctx.Err() != nil:
			return fmt.Errorf("asked to end, the sink could not commit what it had; it is read again: %w", err)
		case s.commits() > commits, s.Now().Sub(began) > maxRetry:
			wait, failures = minRetry, 0
		}
		if contests++; !errors.Is(err, errContest) || s.Now().Sub(began) > contestTime {
			contests = 0
		}
		if failures++; s.UntilCaughtUp && failures >= maxFailures {
			return err
		}
		s.Log.Warn("session ended, the next one begins", slog.Any("error", err), slog.Duration("in", wait))
		s.note(func(st *Status) { st.State, st.Error = Retrying, err.Error() })
		sleep(ctx, wait)
		if ctx.Err() != nil {
			return nil
		}
		wait = min(2*wait, maxRetry)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// final reports whether the next session would end as this one did.
func final(err error) bool {
	if errors.Is(err, errContest) {
		return false
	}
	for _, e := range []error{
		ErrTaken, lake.ErrBackwards, kerr.TopicAuthorizationFailed, kerr.SaslAuthenticationFailed, kerr.ClusterAuthorizationFailed,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	_, told := errors.AsType[*fault.Error](err)
	return told
}

// session opens the tables, reads on from where they stand, and works until something ends it:
// nil when ctx did or everything is read.
func (s *Sink) session(ctx context.Context) error {
	s.Metrics.sessions.Inc()
	r, err := s.open(ctx)
	if ctx.Err() != nil && err != nil {
		return nil // nothing has been read
	}
	if err != nil {
		return err
	}
	defer r.close()
	s.note(func(st *Status) { st.State, st.Error = Running, "" })
	watch, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go r.watch(watch, stop)
	for {
		if err := context.Cause(watch); err != nil && ctx.Err() == nil {
			return err
		}
		if ctx.Err() != nil || s.UntilCaughtUp && r.caughtUp() {
			return r.finish()
		}
		if err := r.cycle(watch); err != nil {
			return r.contested(err)
		}
	}
}

// contested looks who is the newer one of two sinks that want a table. One that was stopped while it took
// its tables, and goes on when another has some of them, is not: it finds that out by itself and ends.
func (r *reading) contested(err error) error {
	if !errors.Is(err, ErrTaken) {
		return err
	}
	if mine, lerr := r.newest(r.work); lerr == nil && !mine {
		return err
	}
	return fmt.Errorf("%w: %w", errContest, err)
}

// reading is a session: inputs, and the tables that they fill.
type reading struct {
	*Sink
	client  *kgo.Client
	cluster string
	inputs  map[place]*input
	topics  map[string]*topicOf
	tables  []*table
	dec     *events
	marks   *marks         // nil: no ledger tells up to when rows are complete
	barrier *barrier       // not passed yet
	others  sync.WaitGroup // goroutines of the session

	work context.Context //nolint:containedctx // of commits: they go on when the sink is told to end
	stop context.CancelFunc
	done chan *batch // commits that have ended
	busy int
	most chan struct{} // as many commits at a time as there are cores
}

func (r *reading) close() {
	r.stop()
	r.others.Wait()
	for r.busy > 0 {
		r.take(<-r.done)
	}
	if r.client != nil {
		r.client.Close()
	}
}

// cycle polls, adds rows to tables, and begins the commits that are due.
func (r *reading) cycle(ctx context.Context) error {
	poll, cancel := context.WithTimeout(ctx, pollWait)
	fetches := r.client.PollRecords(poll, r.MaxPoll)
	cancel()
	for _, e := range fetches.Errors() {
		switch {
		case errors.Is(e.Err, context.DeadlineExceeded), errors.Is(e.Err, context.Canceled):
		case errors.Is(e.Err, kerr.OffsetOutOfRange):
			return r.outOfRange(ctx, e.Topic, e.Partition, e.Err)
		default:
			return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	var failed error
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if failed == nil && len(p.Records) > 0 {
			failed = r.add(p)
		}
	})
	if failed != nil {
		return failed
	}
	if err := r.settle(false); err != nil {
		return err
	}
	r.passBarrier()
	now := r.Now()
	for _, t := range r.tables {
		if t.due(now, r.CommitEvery, r.CommitRows) {
			r.begin(t, now)
		}
	}
	// From half of the memory on the largest table commits, and reading goes on; when it is full
	// nothing is read until there is room.
	if r.size() > r.Memory/2 {
		r.beginLargest(now)
	}
	for r.size() > r.Memory {
		r.beginLargest(now)
		if r.busy == 0 {
			break
		}
		r.report()
		if err := r.settle(true); err != nil {
			return err
		}
	}
	r.report()
	return nil
}

// add takes the records that were polled of a partition.
func (r *reading) add(p kgo.FetchTopicPartition) error {
	in := r.inputs[place{p.Topic, p.Partition}]
	if in == nil {
		return fmt.Errorf("%s/%d was read, which was not asked for", p.Topic, p.Partition)
	}
	if err := r.topics[p.Topic].read(r.work, in, p.Records); err != nil {
		return err
	}
	in.next = p.Records[len(p.Records)-1].Offset + 1
	in.behind = max(0, p.HighWatermark-in.next)
	for _, sl := range in.slots {
		sl.next = max(sl.next, in.next)
	}
	return nil
}

// caughtUp reports whether all that was there when the sink began is read.
func (r *reading) caughtUp() bool {
	for at, in := range r.inputs {
		if in.next < r.ends[at] {
			return false
		}
	}
	return true
}

// finish commits what there is.
func (r *reading) finish() error {
	grace, cancel := context.WithTimeout(context.Background(), graceTime)
	defer cancel()
	defer context.AfterFunc(grace, r.stop)()
	for r.busy > 0 {
		if err := r.settle(true); err != nil {
			return err
		}
	}
	r.passBarrier()
	for _, t := range r.tables {
		if t.moved() {
			r.begin(t, r.Now())
		}
	}
	for r.busy > 0 {
		if err := r.settle(true); err != nil {
			return err
		}
	}
	r.report()
	return nil
}

// size is the memory of all rows that are not committed.
func (r *reading) size() (n int64) {
	for _, t := range r.tables {
		n += t.filling.rows.Size()
		if t.committing != nil {
			n += t.committing.size
		}
	}
	return n
}

func (r *reading) beginLargest(now time.Time) {
	var most *table
	for _, t := range r.tables {
		if t.committing == nil && t.filling.n > 0 && (most == nil || t.filling.rows.Size() > most.filling.rows.Size()) {
			most = t
		}
	}
	if most != nil {
		r.begin(most, now)
	}
}

// begin commits the rows of a table in the background; it fills the next ones meanwhile.
func (r *reading) begin(t *table, now time.Time) {
	b := t.filling
	b.began, b.size = now, b.rows.Size()
	b.position(t, r.cluster)
	t.committing, t.begun = b, now
	r.busy++
	next, err := t.newBatch()
	if err != nil { // the table was made for it before
		b.err = err
		r.done <- b
		return
	}
	t.filling = next
	go func() {
		r.most <- struct{}{}
		b.err = b.commit(r.work, r.Sink)
		<-r.most
		r.done <- b
	}()
}

// settle takes the commits that have ended; with wait, one more at least.
func (r *reading) settle(wait bool) error {
	for r.busy > 0 {
		var b *batch
		if wait {
			b, wait = <-r.done, false
		} else {
			select {
			case b = <-r.done:
			default:
				return nil
			}
		}
		r.take(b)
		if b.err != nil {
			return b.err
		}
	}
	return nil
}

func (r *reading) take(b *batch) {
	r.busy--
	b.t.committing = nil
	if b.err == nil {
		b.t.committed(b, r.Now())
		r.Log.Debug("committed", slog.String("table", b.t.name), slog.Int64("rows", b.n), slog.Int("files", len(b.files)))
	}
}

// open opens the tables of all topics and takes them.
func (s *Sink) open(ctx context.Context) (_ *reading, err error) {
	r := &reading{Sink: s, inputs: map[place]*input{}, topics: map[string]*topicOf{}, most: make(chan struct{}, commitsAtOnce)}
	r.work, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if err := r.plan(); err != nil {
		return nil, err
	}
	r.done = make(chan *batch, len(r.tables))
	if err := r.locate(ctx); err != nil {
		return nil, err
	}
	from := map[string]map[int32]kgo.Offset{}
	for at, in := range r.inputs {
		if from[at.topic] == nil {
			from[at.topic] = map[int32]kgo.Offset{}
		}
		from[at.topic][at.n] = kgo.NewOffset().At(in.next)
	}
	r.client, err = kgo.NewClient(append(slices.Clone(s.Options), kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(pollWait), kgo.FetchMaxBytes(fetchBytes))...)
	return r, err
}
