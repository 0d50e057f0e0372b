package stream

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/market"
)

// controlTopic has the activations of all streams and what their tasks say to them, in the one
// order that decides: who reads it up to a record knows what it knew. Its records are JSON,
// keyed by the stream's name.
const controlTopic = "control"

// Activation changes the views of a stream from an instant of event time on.
type Activation struct {
	ID     string         `json:"id"`
	From   int64          `json:"effective_from"` // rows with row_ts from here on are of these views, those before of the ones before, µs
	Views  []ViewID       `json:"views"`          // all that have topics from then on
	Set    ViewSet        `json:"set"`
	Tasks  map[string]int `json:"tasks"` // of each job: that many have to agree
	Who    string         `json:"who,omitempty"`
	Reason string         `json:"reason,omitempty"`
	At     int64          `json:"at"` // when it was asked for, µs
}

// NewActivationID makes an id that sorts by time.
func NewActivationID(now time.Time) string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(b[:])
}

// controlRecord is a record of the control topic. One of the fields says of what type.
type controlRecord struct {
	Begin      *beginning  `json:"begin,omitempty"`
	Activation *Activation `json:"activation,omitempty"`
	Vote       *vote       `json:"vote,omitempty"`
	Withdraw   *withdrawal `json:"withdraw,omitempty"`
	Done       *TaskID     `json:"done,omitempty"` // the task acts by the decision
	ID         string      `json:"id,omitempty"`   // of the activation that it is about
}

// beginning says which views a job computes that has never committed before.
type beginning struct {
	Job   string   `json:"job"`
	Views []ViewID `json:"views"`
}

// TaskID is a task of a job.
type TaskID struct {
	Job  string `json:"job"`
	Task int64  `json:"task"`
}

func (t TaskID) String() string { return fmt.Sprintf("%s/%d", t.Job, t.Task) }

// vote is what a task says to an activation. One that accepts gives no row of the
// activation's time before it knows the decision.
type vote struct {
	TaskID
	Accept   bool   `json:"accept"`
	Reason   string `json:"reason,omitempty"`
	Complete int64  `json:"complete,omitempty"` // rows up to here may be written, µs
}

// withdrawal ends an activation that is not decided yet.
type withdrawal struct {
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// State is how far an activation is.
type State string

// The states. An activation is accepted when all its tasks have accepted it before anyone refused or
// withdrew it, in the order of the topic. So the log decides, and nobody has to be asked.
const (
	Proposed State = "proposed"
	Accepted State = "accepted"
	Refused  State = "refused"
)

// Proposal is an activation with what became of it.
type Proposal struct {
	Activation
	State  State
	Why    []string // it was refused
	Voted  map[TaskID]bool
	Done   map[TaskID]bool // tasks that act by the decision
	Number int             // tasks that have to agree
}

// Finished reports whether all tasks that had a say act by the decision.
func (p *Proposal) Finished() bool {
	if p.State == Accepted {
		return len(p.Done) == p.Number
	}
	return p.State == Refused
}

func (p *Proposal) refuse(why string) {
	p.State = Refused
	p.Why = append(p.Why, why)
}

// Control is what the control topic says about a stream.
type Control struct {
	begun     map[string][]ViewID // by job
	Proposals []*Proposal         // oldest first
}

// Views are the views that are live, or become so at the time of the last activation that was accepted.
func (c *Control) Views() []ViewID {
	for _, p := range slices.Backward(c.Proposals) {
		if p.State == Accepted {
			return p.Views
		}
	}
	return c.Base()
}

// Base are the views that the stream began with.
func (c *Control) Base() []ViewID {
	var all []ViewID
	for _, ids := range c.begun {
		all = append(all, ids...)
	}
	slices.SortFunc(all, func(a, b ViewID) int { return strings.Compare(a.View, b.View) })
	return all
}

// Jobs are the jobs of the stream that compute views.
func (c *Control) Jobs() []string { return slices.Sorted(maps.Keys(c.begun)) }

// accepted reports whether any activation was.
func (c *Control) accepted() bool {
	return slices.ContainsFunc(c.Proposals, func(p *Proposal) bool { return p.State == Accepted })
}

// Find is the proposal with an id; nil when there is none.
func (c *Control) Find(id string) *Proposal {
	for _, p := range c.Proposals {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// take is the next record.
func (c *Control) take(r *controlRecord) {
	switch p := c.Find(r.ID); {
	case r.Begin != nil:
		if _, again := c.begun[r.Begin.Job]; !again {
			c.begun[r.Begin.Job] = r.Begin.Views
		}
	case r.Activation != nil:
		if c.Find(r.Activation.ID) != nil {
			return
		}
		n := &Proposal{Activation: *r.Activation, State: Proposed, Voted: map[TaskID]bool{}, Done: map[TaskID]bool{}}
		for _, tasks := range n.Tasks {
			n.Number += tasks
		}
		for _, o := range c.Proposals {
			if o.State == Proposed {
				n.refuse("activation " + o.ID + " is not decided yet")
			}
		}
		c.Proposals = append(c.Proposals, n)
	case p == nil:
	case r.Done != nil:
		p.Done[*r.Done] = true
	case r.Vote != nil:
		if _, again := p.Voted[r.Vote.TaskID]; again {
			return
		}
		p.Voted[r.Vote.TaskID] = r.Vote.Accept
		switch {
		case !r.Vote.Accept && p.State != Accepted:
			p.refuse(r.Vote.String() + ": " + r.Vote.Reason)
		case p.State == Proposed && len(p.Voted) == p.Number:
			p.State = Accepted
		}
	case r.Withdraw != nil && p.State == Proposed:
		p.refuse(r.Withdraw.By + ": " + r.Withdraw.Reason)
	}
}

// controlReader follows the control topic.
type controlReader struct {
	cl     *kgo.Client
	stream string
	mu     sync.Mutex
	state  Control
	next   int64         // offset
	news   chan struct{} // closed when next grows
}

func newControlReader(stream string, opts []kgo.Opt) (*controlReader, error) {
	cl, err := kgo.NewClient(append(slices.Clone(opts), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{controlTopic: {0: kgo.NewOffset().At(0)}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(pollWait))...)
	if err != nil {
		return nil, err
	}
	return &controlReader{cl: cl, stream: stream, state: Control{begun: map[string][]ViewID{}}, news: make(chan struct{})}, nil
}

// follow reads until ctx ends.
func (c *controlReader) follow(ctx context.Context, log *slog.Logger) {
	defer c.cl.Close()
	for ctx.Err() == nil {
		fetches := c.cl.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if ctx.Err() == nil {
				log.Warn("control topic was not read", slog.Any("error", e.Err))
				sleep(ctx, maxRetry)
			}
		}
		c.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			c.next = r.Offset + 1
			if r.Attrs.IsControl() || string(r.Key) != c.stream {
				return
			}
			var rec controlRecord
			if err := json.Unmarshal(r.Value, &rec); err != nil {
				log.Warn("record of the control topic cannot be read", slog.Int64("offset", r.Offset), slog.Any("error", err))
				return
			}
			c.state.take(&rec)
		})
		close(c.news)
		c.news = make(chan struct{})
		c.mu.Unlock()
	}
}

// catchUp returns when everything is read that is in the topic now. Transactions that are
// open are waited for.
func (c *controlReader) catchUp(ctx context.Context) error {
	ends, err := kadm.NewClient(c.cl).ListEndOffsets(ctx, controlTopic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("control topic: %w", err)
	}
	end, ok := ends.Lookup(controlTopic, 0)
	if !ok {
		return errors.New("there is no control topic")
	}
	for {
		c.mu.Lock()
		next, news := c.next, c.news
		c.mu.Unlock()
		if next >= end.Offset {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("control topic: %w", ctx.Err())
		}
	}
}

// look calls fn with what is known; it must not keep it.
func (c *controlReader) look(fn func(*Control)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn(&c.state)
}

// addControl adds a record for the control topic to a transaction.
func addControl(out *outbox, stream string, rec *controlRecord) error {
	text, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	r := out.add(controlTopic, 0, 0)
	r.Timestamp = time.Time{} // of writing
	r.Key, r.Value = []byte(stream), text
	return nil
}

// WithControl calls fn with what the control topic says about a stream, now and after every
// change, until fn says that it is enough.
func WithControl(ctx context.Context, stream string, opts []kgo.Opt, fn func(*Control) (enough bool, err error)) error {
	c, err := newControlReader(stream, opts)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { c.follow(ctx, slog.New(slog.DiscardHandler)) })
	if err := c.catchUp(ctx); err != nil {
		return err
	}
	for {
		c.mu.Lock()
		enough, err := fn(&c.state)
		news := c.news
		c.mu.Unlock()
		if err != nil || enough {
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Propose writes an activation for a stream.
func Propose(ctx context.Context, stream string, opts []kgo.Opt, a *Activation) error {
	return tell(ctx, stream, opts, &controlRecord{Activation: a})
}

// Withdraw ends an activation if it is not decided yet.
func Withdraw(ctx context.Context, stream string, opts []kgo.Opt, id, by, reason string) error {
	return tell(ctx, stream, opts, &controlRecord{ID: id, Withdraw: &withdrawal{by, reason}})
}

func tell(ctx context.Context, stream string, opts []kgo.Opt, rec *controlRecord) error {
	var out outbox
	if err := addControl(&out, stream, rec); err != nil {
		return err
	}
	cl, err := kgo.NewClient(append(slices.Clone(opts), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	return cl.ProduceSync(ctx, out.recs[0]).FirstErr()
}

// Newest is the time of the newest record in some topics whose record time is event time,
// market.NoTime when there is none: nothing that a task has written is beyond it.
func Newest(ctx context.Context, opts []kgo.Opt, topics []string) (int64, error) {
	const tail = 64 // offsets, half of which may be marks of transactions
	cl, err := kgo.NewClient(append(slices.Clone(opts), kgo.KeepControlRecords(), kgo.FetchMaxWait(pollWait))...)
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ends, err := adm.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, err
	}
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return 0, err
	}
	from, left := map[string]map[int32]kgo.Offset{}, map[TopicPartition]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(o.Topic, o.Partition)
		if o.Offset <= start.Offset {
			return
		}
		if from[o.Topic] == nil {
			from[o.Topic] = map[int32]kgo.Offset{}
		}
		from[o.Topic][o.Partition] = kgo.NewOffset().At(max(start.Offset, o.Offset-tail))
		left[TopicPartition{o.Topic, o.Partition}] = o.Offset
	})
	cl.AddConsumePartitions(from)
	newest := market.NoTime
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		for _, e := range fetches.Errors() {
			return 0, fmt.Errorf("%s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at := TopicPartition{r.Topic, r.Partition}
			if end, ok := left[at]; ok && r.Offset+1 >= end {
				delete(left, at)
			}
			if t := r.Timestamp.UnixMicro(); !r.Attrs.IsControl() && market.ValidTime(t) {
				newest = max(newest, t)
			}
		})
	}
	return newest, nil
}
