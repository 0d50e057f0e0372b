package play

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// Config says what is played and how.
type Config struct {
	Input run.EventsConfig
	Kinds *market.Kinds // those that may be in the input, nil for the release's

	From, To int64    // event times, half open; market.NoTime where open
	Symbols  []string // canonical; nil for all

	Speed     float64 // seconds of the input in a second; 0: as fast as it goes
	Clock     bool    // the input's time is the clock's: a record is written at its time, not as long after the first one
	Shuffle   int64   // µs, events are delayed by less than this
	Duplicate int     // ppm of events that come twice
	Late      int     // ppm of events that come too late
	Seed      uint64

	Processed bool // sequence what is played, and write into the processed topics

	Partitions int   // of every topic
	Open       bool  // without watermarks at the end
	Skip       int64 // so many records were written before: they are left out
}

// Env is what playing needs of its process.
type Env struct {
	run.Env
	Schemas *record.Schemas
	Now     func() time.Time
	// Topic is told of each topic before its first record goes there, and of that one's time,
	// µs. An error ends the play.
	Topic func(ctx context.Context, name string, at int64) error
	// Client writes the records; nil: they are counted only.
	Client *kgo.Client
}

// Report is what was played.
type Report struct {
	Records    int64   `json:"records"` // written, watermarks among them
	Skipped    int64   `json:"skipped"`
	Duplicated int64   `json:"duplicated"`
	Delayed    int64   `json:"made_late"`
	Bad        int64   `json:"rejected"` // records of the input that could not be used
	Late       int64   `json:"late"`     // rows of tables that are not played, because they came too late
	Topics     []Count `json:"topics"`   // by name
	First      string  `json:"first"`    // event times, "" without events
	Last       string  `json:"last"`
	Whole      bool    `json:"whole"` // all of the input was played

	// Sequenced is the account of what was sequenced, with Config.Processed: late events and dead letters
	// are in no topic.
	Sequenced *sequence.Counts `json:"sequenced,omitempty"`
}

// Count is what went into a topic.
type Count struct {
	Topic    string `json:"topic"`
	Events   int64  `json:"events"`
	Payloads int64  `json:"payloads"` // as they were collected
	Control  int64  `json:"control"`  // watermarks and statuses
}

// player is a play under way.
type player struct {
	cfg     *Config
	env     *Env
	feeds   *market.Feeds
	insts   *market.Instruments
	enc     *record.EventEncoder
	encoded bool            // an event was: the registry answers
	wanted  map[string]bool // symbols; nil: all

	topics []*target
	byName map[string]*target
	routes [market.NumKinds][]*route // by instrument
	feedOf map[market.FeedID]*source

	first, last int64 // event times
	front       int64 // greatest event time that can be believed
	queue       delayed
	n           int64 // events so far, for the faults
	began       time.Time
	start       int64 // front at began
	alloc       arena
	delays      []int64
	failed      chan error
	refill      *refill // nil: into raw topics
	rep         Report
}

// target is a topic.
type target struct {
	name  string // raw
	out   string // that is written
	count Count
	feeds []market.FeedID // that came into it
}

// route is where the events of a kind and instrument go.
type route struct {
	to        *target
	partition int32
	key       []byte
	last      map[uint16]*input.Payload // that went there, by file
}

// source is what is known of a feed.
type source struct {
	topics []*target
	inst   market.Inst // the first that it had, for watermarks
	name   []byte
	main   []byte // feed for decoders of its payloads
}

// Play plays an input to its end, or until ctx ends: what was taken by then is written, and
// the report says how much it was. That is no error.
func Play(ctx context.Context, cfg Config, env Env) (*Report, error) {
	p := &player{
		cfg: &cfg, env: &env, feeds: market.NewFeeds(), insts: market.NewInstruments(), byName: map[string]*target{}, feedOf: map[market.FeedID]*source{},
		first: market.NoTime, last: market.NoTime, front: market.NoTime, failed: make(chan error, 1),
	}
	p.enc = record.NewEventEncoder(env.Schemas, p.feeds, p.insts)
	if len(cfg.Symbols) > 0 {
		p.wanted = map[string]bool{}
		for _, s := range cfg.Symbols {
			p.wanted[market.CleanSymbol(s)] = true
		}
	}
	if env.Meter == nil {
		env.Meter = &run.Meter{}
	}
	if cfg.Processed {
		p.refill = newRefill()
	}
	read, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	err = read()
	stopped := ctx.Err() != nil && errors.Is(err, ctx.Err())
	if err == nil {
		p.rep.Whole = true
	} else if !stopped {
		return nil, err
	}
	if env.Client != nil {
		flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		if err := env.Client.Flush(flush); err != nil {
			return nil, p.unwritten(err)
		}
		if err := p.broken(); err != nil {
			return nil, err
		}
	}
	return p.report(), nil
}

// flushTimeout bounds the wait for what is on its way when the play ends.
const flushTimeout = 30 * time.Second

func (p *player) report() *Report {
	for _, t := range p.topics {
		p.rep.Topics = append(p.rep.Topics, t.count)
	}
	slices.SortFunc(p.rep.Topics, func(a, b Count) int { return strings.Compare(a.Topic, b.Topic) })
	if p.first != market.NoTime {
		p.rep.First, p.rep.Last = market.FormatTime(p.first), market.FormatTime(p.last)
	}
	if p.refill != nil {
		p.rep.Sequenced = p.refill.account()
	}
	return &p.rep
}

// open opens the input, files or tables, and returns what plays all of it.
func (p *player) open(ctx context.Context) (read func() error, err error) {
	tables, err := run.LakeInputs(p.cfg.Input.Inputs, p.env.Lake)
	if err != nil {
		return nil, err
	}
	if tables != nil {
		r, err := openTables(ctx, p, tables)
		if err != nil {
			return nil, err
		}
		return func() error {
			defer r.close()
			return r.play(ctx, p)
		}, nil
	}
	r, err := run.OpenEvents(p.cfg.Input, p.feeds, p.insts, p.cfg.Kinds, p.env.Env)
	if err != nil {
		return nil, err
	}
	return func() error {
		defer r.Close()
		return p.read(ctx, r)
	}, nil
}

func (p *player) read(ctx context.Context, r *input.Reader) error {
	var ch input.Chunk
	for {
		err := r.Next(ctx, &ch)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		for i := range ch.Bad {
			p.rep.Bad += int64(ch.Bad[i].Count)
			p.env.Meter.Bad.Add(int64(ch.Bad[i].Count))
		}
		p.env.Meter.Events.Add(int64(ch.Len()))
		if err := p.take(ctx, &ch); err != nil {
			return err
		}
	}
	return p.finish(ctx)
}

// finish plays what waits and says that this is the end.
func (p *player) finish(ctx context.Context) error {
	if err := p.release(ctx, math.MaxInt64); err != nil {
		return err
	}
	if !p.cfg.Open && p.last != market.NoTime {
		if err := p.end(ctx); err != nil {
			return err
		}
	}
	if p.refill != nil {
		return p.refill.step(ctx, p)
	}
	return nil
}

// take plays a chunk: its kinds merged by time, each in its own order, control rows behind all
// others, because they are about what came before.
func (p *player) take(ctx context.Context, ch *input.Chunk) error {
	var next [market.NumKinds]int
	for {
		kind, at := market.KindNone, int64(math.MaxInt64)
		for k, b := range ch.Batches {
			if b != nil && next[k] < b.N && !control(market.Kind(k)) && (kind == market.KindNone || b.EventTS[next[k]] < at) {
				kind, at = market.Kind(k), b.EventTS[next[k]]
			}
		}
		if kind == market.KindNone {
			break
		}
		var payload *input.Payload
		if p.cfg.Input.Payloads {
			payload = ch.Payload(kind, next[kind])
		}
		if err := p.event(ctx, ch, ch.Batches[kind], next[kind], payload); err != nil {
			return err
		}
		next[kind]++
	}
	for _, k := range []market.Kind{market.KindStatus, market.KindWatermark} {
		if b := ch.Batches[k]; b != nil {
			for i := range b.N {
				if err := p.control(ctx, b, i); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func control(k market.Kind) bool { return k == market.KindStatus || k == market.KindWatermark }

// time is the record time of a row: that of its event if it can be believed, else when it was
// received.
func (p *player) time(b *market.Batch, i int) int64 {
	t, ingest := b.EventTS[i], b.IngestTS[i]
	received := market.ValidTime(ingest)
	switch ahead := received && p.feeds.Get(b.Feed[i]).Ahead(t, ingest); {
	case market.ValidTime(t) && !ahead:
		return t
	case received:
		return ingest
	}
	return max(p.front, market.MinEventTime)
}

// newest is the record time of a payload whose first row of a kind is i: no row of it lies ahead. An
// answer to a question has rows of hours.
func (p *player) newest(ch *input.Chunk, b *market.Batch, i int, payload *input.Payload) int64 {
	at := p.time(b, i)
	for i++; payload != nil && i < b.N && ch.Payload(b.Kind, i) == payload; i++ {
		at = max(at, p.time(b, i))
	}
	return at
}

func (p *player) selects(b *market.Batch, i int) bool {
	t := b.EventTS[i]
	return (p.cfg.From == market.NoTime || t >= p.cfg.From) && (p.cfg.To == market.NoTime || t < p.cfg.To)
}

// maxPayload is how long a payload may be, so that its record fits into a batch.
const maxPayload = topic.MaxRecord - 64<<10

// event plays a row: the payload that it came in, once, or else the event itself.
func (p *player) event(ctx context.Context, ch *input.Chunk, b *market.Batch, i int, payload *input.Payload) error {
	if !p.selects(b, i) {
		return nil
	}
	rt, err := p.route(ctx, b, i)
	if err != nil || rt == nil {
		return err
	}
	if payload != nil && len(payload.Data) > maxPayload {
		payload = nil
	}
	at := p.time(b, i)
	if p.first == market.NoTime {
		p.first = at
	}
	p.last, p.front = max(p.last, at), max(p.front, at)
	p.env.Meter.Time.Store(p.front)
	if payload != nil {
		if rt.last[b.Shard[i]] == payload {
			return nil // other rows of it came before
		}
		if rt.last == nil {
			rt.last = map[uint16]*input.Payload{}
		}
		rt.last[b.Shard[i]] = payload
	}
	src := p.met(b.Feed[i], b.Inst[i])
	if !slices.Contains(rt.to.feeds, b.Feed[i]) {
		rt.to.feeds = append(rt.to.feeds, b.Feed[i])
		src.topics = append(src.topics, rt.to)
	}
	var rec *item
	if payload != nil {
		rec = p.payload(payload, b.Kind, src, rt)
	} else if rec, err = p.record(ctx, b, i, src, rt); err != nil {
		return err
	}
	rec.at, rec.front = p.newest(ch, b, i, payload), p.front
	for n, delay := range p.fault(b.Feed[i]) {
		copied := *rec
		copied.front += delay
		if n > 0 {
			p.rep.Duplicated++
		}
		p.queue.push(&copied)
	}
	return p.release(ctx, p.front)
}

// control plays a watermark or status into all partitions of the topics of its feed.
func (p *player) control(ctx context.Context, b *market.Batch, i int) error {
	src := p.feedOf[b.Feed[i]]
	if src == nil || !p.selects(b, i) {
		return nil // nothing of the feed came
	}
	if err := p.release(ctx, p.front); err != nil {
		return err
	}
	rec, err := p.record(ctx, b, i, src, nil)
	if err != nil {
		return err
	}
	// What says more than anybody can know may be a word for the end; brokers take no record of the future.
	if rec.at = p.time(b, i); rec.at > p.front && rec.at > p.env.Now().UnixMicro() {
		rec.at = max(p.front, market.MinEventTime)
	}
	p.front = max(p.front, rec.at)                // what comes behind it in the input stays behind it, however old it is
	rec.front = p.front + max(p.cfg.Shuffle-1, 0) // behind all that came before it
	for _, to := range src.topics {
		for part := range p.cfg.Partitions {
			one := *rec
			one.to, one.partition = to, int32(part)
			p.queue.push(&one)
		}
	}
	return p.release(ctx, p.front)
}

// end says of every feed, in every partition of its topics, that nothing comes before the end.
func (p *player) end(ctx context.Context) error {
	b := market.NewBatch(market.KindWatermark)
	feeds := make([]market.FeedID, 0, len(p.feedOf))
	for id := range p.feedOf {
		feeds = append(feeds, id)
	}
	slices.Sort(feeds)
	for _, id := range feeds {
		b.Reset()
		b.AppendEnvelope(&market.Envelope{Feed: id, Inst: p.feedOf[id].inst, EventTS: p.last + 1, IngestTS: market.NoTime})
		rec, err := p.record(ctx, b, 0, p.feedOf[id], nil)
		if err != nil {
			return err
		}
		rec.at, rec.front = p.last, p.front
		for _, to := range p.feedOf[id].topics {
			for part := range p.cfg.Partitions {
				one := *rec
				one.to, one.partition = to, int32(part)
				p.queue.push(&one)
			}
		}
	}
	return p.release(ctx, math.MaxInt64)
}

// release writes what is due when the input is at a time.
func (p *player) release(ctx context.Context, now int64) error {
	for len(p.queue.items) > 0 && p.queue.items[0].front <= now {
		it := p.queue.items[0]
		if err := p.write(ctx, it); err != nil {
			return err
		}
		p.queue.pop()
	}
	return nil
}

// write writes a record when its time has come.
func (p *player) write(ctx context.Context, it *item) error {
	if p.refill == nil && p.cfg.Skip > p.rep.Skipped {
		p.rep.Skipped++
		return nil
	}
	if err := p.pace(ctx, it.front); err != nil {
		return err
	}
	rec := &kgo.Record{Topic: it.to.name, Partition: it.partition, Key: it.key, Value: it.value, Headers: it.headers, Timestamp: time.UnixMicro(it.at)}
	if p.refill != nil {
		return p.refill.add(ctx, p, rec, it.to, it.front)
	}
	return p.send(ctx, rec, it.to, control(it.kind), it.payload)
}

// send hands a record to the client and counts it.
func (p *player) send(ctx context.Context, rec *kgo.Record, to *target, control, payload bool) error {
	if p.cfg.Skip > p.rep.Skipped {
		p.rep.Skipped++
		return nil
	}
	if p.env.Client != nil {
		if err := p.broken(); err != nil {
			return err
		}
		p.env.Client.Produce(context.WithoutCancel(ctx), rec, p.wrote)
	}
	switch {
	case payload:
		to.count.Payloads++
	case control:
		to.count.Control++
	default:
		to.count.Events++
	}
	p.rep.Records++
	return nil
}

// wrote keeps the first error of a record.
func (p *player) wrote(_ *kgo.Record, err error) {
	if err != nil {
		select {
		case p.failed <- err:
		default:
		}
	}
}

func (p *player) broken() error {
	select {
	case err := <-p.failed:
		return p.unwritten(err)
	default:
		return nil
	}
}

func (p *player) unwritten(err error) error {
	return &fault.Error{Code: "play_failed", Message: "records could not be written", Why: err.Error(), Exit: fault.ExitFailed, Cause: err,
		Remedy: "see that the brokers can be reached; the same command again writes everything anew, and what was written before is known as duplicate"}
}

// pace waits until the time of a record has come.
func (p *player) pace(ctx context.Context, at int64) error {
	if p.cfg.Speed <= 0 || p.env.Client == nil {
		return ctx.Err()
	}
	now := p.env.Now()
	if p.began.IsZero() {
		p.began, p.start = now, at
		if p.cfg.Clock {
			p.began = time.UnixMicro(at)
		}
	}
	return wait(ctx, time.Duration(float64(at-p.start)*1e3/p.cfg.Speed)-now.Sub(p.began))
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// retries bound how often a record is tried to be written: some minutes while nobody answers, half a minute while a
// broker does not know yet that a partition is its own. A time for it would be counted from the record time, which is
// that of the event.
const (
	retries      = 120
	topicRetries = 30
)

// A registry that does not answer any more is waited for half a minute.
const (
	registryRetries = 60
	registryPause   = 500 * time.Millisecond
)

// paced is how long a record waits for others to be written with when the speed is given: as a
// collector has it. Without, the client's own 10 ms make larger batches.
const paced = time.Millisecond

// NewClient makes a client that writes what is played with a speed, as Config has it; the options say
// where the cluster is.
func NewClient(speed float64, opts ...kgo.Opt) (*kgo.Client, error) {
	if speed > 0 {
		opts = append(slices.Clip(opts), kgo.ProducerLinger(paced))
	}
	return kgo.NewClient(append(slices.Clip(opts), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(topic.MaxRecord),
		kgo.RecordRetries(retries), kgo.UnknownTopicRetries(topicRetries), kgo.MaxBufferedRecords(50_000))...)
}
