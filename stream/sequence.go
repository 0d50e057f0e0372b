package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
	"github.com/pinova-group/tidemark/market/canon"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// SequenceConfig says what a sequence task reads and how. The same log gives the same output
// to tasks whose configs are the same.
type SequenceConfig struct {
	Topic     string // raw.<market>.<kind>.<exchange>
	Partition int32
	// Sequencer has the registries. They must be of this task alone, so that what garbage in
	// other partitions registers has no part in it.
	Sequencer sequence.Config
	Schemas   *record.Schemas
	// Adapters are the formats; nil: all venues and canonical.
	Adapters []*adapters.Adapter
}

// Sequence is a task of the sequence job: it takes the records of one partition of a raw topic,
// in which it is one line, and gives what the sequencer makes of them, each record's verdict
// once. One caller at a time.
//
// What it gives depends on the records read and on nothing else: rows of each kind, late rows
// of each kind and dead letters are sequences of which the records up to an offset decide how
// far they go and what is in them. Where steps fall decides only which part of them a step
// hands out. Marks and Account of a step are functions of the offset that it reached. So after
// RestoreSequence and a second reading up to the offset to which output was written, the
// outputs of all steps so far are those that were written, and what follows goes on from there.
type Sequence struct {
	cfg      SequenceConfig
	name     topic.Name
	kind     market.Kind
	seq      *sequence.Sequencer
	events   *record.EventDecoder
	decoders []*lineDecoder // by format and feed
	last     *lineDecoder   // of the record before
	next     int64
	lost     sequence.Counts // what became no row
	symbols  []symbol        // by market.Inst

	rows    market.Chunk // of records not yet pushed
	origin  [market.NumKinds][]int
	sources []source // that these came from
	bytes   int
	values  [][]byte               // scratch
	left    []int                  // likewise
	begun   market.FeedID          // a line of this feed and the topic's kind has begun
	ahead   int64                  // how far its events may lie after the times of their records, µs
	feeds   map[market.FeedID]bool // that have been in the partition
	feed    market.FeedID          // the last one
	one     market.Chunk           // of the record being taken
	gives   sequence.Out           // since the last step
	letters []Letter

	url, conn string // of the record before
}

// source is a record as dead letters have it.
type source struct {
	offset     int64
	key, value []byte
}

// symbol is what is known of an instrument.
type symbol struct {
	name string
	here bool // of the topic's market and exchange
}

// lineDecoder is the decoder of a format and a feed; of format auto, the adapter that
// recognised the last record.
type lineDecoder struct {
	format, feed string
	adapter      *adapters.Adapter
	dec          adapters.Decoder
}

// Sequenced is what a step gives. Step sets all of it.
type Sequenced struct {
	sequence.Out
	// Letters are the records, or parts of one, that could not be used, by offset. They have
	// Out.Dead among them.
	Letters []Letter
	// Account is of all records of the partition up to here: it balances (I3).
	Account sequence.Counts
	// Next is the offset reached: of the record to be read next.
	Next int64
}

// Letter is a dead letter: a record and what is wrong with it.
type Letter struct {
	record.DeadLetter
	Key, Value []byte // of the record; Value is cut to MaxLetter bytes
}

// Bounds of a sequence task (I11).
const (
	// MaxLetter is how much of a record a dead letter has, so that it fits where the record did.
	MaxLetter = 512 << 10

	maxRecord   = adapters.MaxLine
	maxDecoders = 64
	maxFeeds    = 256  // in one partition
	maxNewFeeds = 1024 // that the release does not know
	pushRows    = 4096 // rows after which they are pushed
	pushBytes   = 4 << 20
)

// Reasons of dead letters that the task itself gives; those of formats and of the sequencer
// have their own words.
const (
	ReasonTombstone = "record has no value"
	ReasonLong      = "record is longer than 16 MiB"
	ReasonFormat    = "format is not known"
	ReasonGuess     = "format is not recognised"
	ReasonFeed      = "feed is no name"
	ReasonFormats   = "more than 64 formats and feeds of payloads in one partition"
	ReasonFeeds     = "more than 256 feeds in one partition"
	ReasonIngest    = "ingest time is no number of microseconds"
	ReasonSchema    = "schema is not known"
	ReasonEvent     = "event cannot be read"
	ReasonKind      = "event is of another topic's kind"
	ReasonPlace     = "event is of another topic's market or exchange"
	ReasonKey       = "key is not the symbol"
	ReasonFuture    = "time in the future"
)

// Formats that are no adapters.
const (
	FormatAuto  = "auto"
	FormatEvent = "event"
)

// NewSequence makes a task that has read nothing.
func NewSequence(cfg SequenceConfig) (*Sequence, error) {
	s, err := newSequence(cfg)
	if err != nil {
		return nil, err
	}
	if s.seq, err = sequence.New(s.cfg.Sequencer); err != nil {
		return nil, err
	}
	return s, nil
}

func newSequence(cfg SequenceConfig) (*Sequence, error) {
	name, err := topic.Parse(cfg.Topic)
	if err != nil {
		return nil, err
	}
	kind, ok := topic.ParseKindWord(cfg.Sequencer.Kinds, name.Kind)
	if name.Class != topic.Raw || !ok {
		return nil, fmt.Errorf("%s is no topic of raw events", cfg.Topic)
	}
	if cfg.Partition < 0 || cfg.Partition > math.MaxUint16 {
		return nil, fmt.Errorf("partition %d of %s: lines are numbered to %d", cfg.Partition, cfg.Topic, math.MaxUint16)
	}
	if cfg.Adapters == nil {
		cfg.Adapters = append(slices.Clone(adapters.Venues), canon.Adapter)
	}
	s := &Sequence{cfg: cfg, name: name, kind: kind, feeds: map[market.FeedID]bool{}}
	s.events = record.NewEventDecoder(cfg.Schemas, cfg.Sequencer.Feeds, cfg.Sequencer.Insts)
	return s, nil
}

// Next is the offset at which the partition is to be read on.
func (s *Sequence) Next() int64 { return s.next }

// Kinds are the kinds that a step can have rows and marks of.
func (s *Sequence) Kinds() []market.Kind { return []market.Kind{s.kind, market.KindStatus} }

// Feeds are the names of the feeds that have been in the partition, sorted.
func (s *Sequence) Feeds() []string {
	var out []string
	for _, f := range s.seq.CountsByFeed() {
		out = append(out, f.Feed)
	}
	return out
}

// decode makes rows of a record in s.one. single says that its format has one event in a
// record.
func (s *Sequence) decode(ctx context.Context, r *record.Raw) (single bool, err error) {
	switch {
	case r.Value == nil:
		s.reject(r, ReasonTombstone, "", 1)
		return false, nil
	case len(r.Value) > maxRecord:
		s.reject(r, ReasonLong, strconv.Itoa(len(r.Value)), 1)
		return false, nil
	case string(r.Format) == FormatEvent:
		return true, s.event(ctx, r)
	}
	rec := adapters.Record{Data: r.Value, Ingest: market.NoTime, Offset: r.Offset, Shard: uint16(s.cfg.Partition)}
	if r.Ingest != nil {
		ok := false
		if rec.Ingest, ok = ingestTime(r.Ingest); !ok {
			s.reject(r, ReasonIngest, string(r.Ingest[:min(len(r.Ingest), 80)]), 1)
			return false, nil
		}
	}
	d, why := s.decoder(r)
	if why != "" {
		s.reject(r, why, string(r.Format[:min(len(r.Format), 80)]), 1)
		return false, nil
	}
	if string(r.URL) != s.url || string(r.Conn) != s.conn {
		s.url, s.conn = string(r.URL), string(r.Conn)
	}
	rec.URL, rec.Conn = s.url, s.conn
	s.judge(r, d.dec.Decode(&rec, &s.one))
	return d.adapter == canon.Adapter, nil
}

func (s *Sequence) event(ctx context.Context, r *record.Raw) error {
	_, err := s.events.Decode(ctx, r.Value, &s.one)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, errors.Is(err, record.ErrRegistry):
		return err
	case errors.Is(err, record.ErrSchema):
		s.reject(r, ReasonSchema, err.Error(), 1)
	default:
		s.reject(r, ReasonEvent, err.Error(), 1)
	}
	return nil
}

// judge books what a decoder said of a record.
func (s *Sequence) judge(r *record.Raw, err error) {
	var bad *adapters.BadRecord
	switch {
	case err == nil, adapters.IsLayout(err):
	case errors.As(err, &bad):
		s.reject(r, bad.Reason, bad.Detail, max(1, bad.Count))
	case errors.Is(err, adapters.ErrFiltered):
		s.filter(1)
	default:
		s.reject(r, err.Error(), "", 1)
	}
}

func (s *Sequence) filter(n int) {
	s.lost.In += int64(n)
	s.lost.Filtered += int64(n)
}

// reject makes a dead letter of n events that became no rows.
func (s *Sequence) reject(r *record.Raw, reason, detail string, n int) {
	s.lost.In += int64(n)
	s.lost.DLQ += int64(n)
	s.letter(&source{r.Offset, r.Key, r.Value}, reason, detail, n)
}

// letter appends a dead letter, or counts it with the one before if that says the same of the
// same record.
func (s *Sequence) letter(r *source, reason, detail string, n int) {
	if at := len(s.letters) - 1; at >= 0 && s.letters[at].Offset == r.offset && s.letters[at].Reason == reason {
		s.letters[at].Count += n
		return
	}
	s.letters = append(s.letters, Letter{
		DeadLetter: record.DeadLetter{
			Reason: reason, Detail: detail, Topic: s.cfg.Topic, Partition: s.cfg.Partition, Offset: r.offset, Count: n,
		},
		Key: r.key, Value: r.value[:min(len(r.value), MaxLetter)],
	})
}

// decoder finds the decoder of a record, or says why there is none.
func (s *Sequence) decoder(r *record.Raw) (d *lineDecoder, why string) {
	d, why = s.decoderOf(string(r.Format), string(r.Feed))
	if why != "" || d.format != FormatAuto {
		return d, why
	}
	if d.adapter == nil || d.adapter.Detect(head(r.Value)) == 0 {
		sure := 0
		for _, a := range s.cfg.Adapters {
			if n := a.Detect(head(r.Value)); n > sure {
				d.adapter, sure = a, n
			}
		}
	}
	if d.adapter == nil {
		return nil, ReasonGuess
	}
	return s.decoderOf(d.adapter.Name, d.feed)
}

// ingestTime reads the header: µs, decimal.
func ingestTime(text []byte) (int64, bool) {
	t, err := strconv.ParseInt(string(text), 10, 64)
	return t, err == nil && market.ValidTime(t)
}

// head is what a format is recognised by.
func head(value []byte) []byte { return value[:min(len(value), 64<<10)] }

func (s *Sequence) decoderOf(format, feed string) (*lineDecoder, string) {
	if d := s.last; d != nil && d.format == format && d.feed == feed {
		return d, ""
	}
	at, ok := slices.BinarySearchFunc(s.decoders, lineDecoder{format: format, feed: feed}, func(a *lineDecoder, b lineDecoder) int {
		return cmp.Or(cmp.Compare(a.format, b.format), cmp.Compare(a.feed, b.feed))
	})
	if !ok {
		d, why := s.newDecoder(format, feed)
		if why != "" {
			return nil, why
		}
		s.decoders = slices.Insert(s.decoders, at, d)
	}
	s.last = s.decoders[at]
	return s.last, ""
}

func (s *Sequence) newDecoder(format, feed string) (*lineDecoder, string) {
	d := &lineDecoder{format: format, feed: feed}
	if format != FormatAuto {
		at := slices.IndexFunc(s.cfg.Adapters, func(a *adapters.Adapter) bool { return a.Name == format })
		if at < 0 {
			return nil, ReasonFormat
		}
		d.adapter = s.cfg.Adapters[at]
	}
	feeds := s.cfg.Sequencer.Feeds
	_, known := feeds.Lookup(feed)
	switch {
	case feed != "" && !market.ValidSymbol(feed):
		return nil, ReasonFeed
	case len(s.decoders) >= maxDecoders:
		return nil, ReasonFormats
	case feed != "" && !known && len(feeds.Unknown()) >= maxNewFeeds && s.seq != nil: // a decoder that is restored was made in time
		return nil, ReasonFeeds
	}
	if d.adapter != nil {
		d.dec = d.adapter.New(adapters.Env{Feeds: feeds, Insts: s.cfg.Sequencer.Insts, Kinds: s.cfg.Sequencer.Kinds, Feed: feed})
	}
	return d, ""
}

// take puts the rows of a record with those that wait to be pushed.
func (s *Sequence) take(r *record.Raw, single bool) error {
	if s.one.Len() == 0 {
		return nil
	}
	control := s.count(market.KindStatus)+s.count(market.KindWatermark) > 0
	starts := control || s.starts(s.one.Batches[s.kind])
	if starts { // see package sequence: such rows have a place among all others
		if err := s.push(); err != nil {
			return err
		}
	}
	from := len(s.sources)
	s.sources = append(s.sources, source{r.Offset, r.Key, r.Value})
	s.bytes += len(r.Value)
	ours := s.count(s.kind)
	for k, b := range s.one.Batches {
		if b == nil || b.N == 0 {
			continue
		}
		for i := range b.Shard {
			b.Shard[i] = uint16(s.cfg.Partition)
		}
		switch kind := market.Kind(k); {
		case kind == market.KindStatus, kind == market.KindWatermark, kind == s.kind:
			s.takeRows(r, b, from)
		case single || ours == 0:
			s.reject(r, ReasonKind, s.cfg.Sequencer.Kinds.Name(kind), b.N)
		default: // a venue's message of several kinds stands in the topic of each
			s.filter(b.N)
		}
	}
	if control || s.rows.Len() >= pushRows || s.bytes >= pushBytes {
		return s.push()
	}
	return nil
}

func (s *Sequence) count(k market.Kind) int {
	if b := s.one.Batches[k]; b != nil {
		return b.N
	}
	return 0
}

// starts reports whether a row is the first of its line.
func (s *Sequence) starts(b *market.Batch) bool {
	if b == nil {
		return false
	}
	for _, f := range b.Feed {
		if f == s.begun {
			continue
		}
		if !s.seq.Begun(f, uint16(s.cfg.Partition), b.Kind) {
			return true
		}
		s.begun, s.ahead = f, s.cfg.Sequencer.Feeds.Get(f).MaxAhead
	}
	return false
}

// takeRows takes the rows that belong into the topic.
func (s *Sequence) takeRows(r *record.Raw, b *market.Batch, from int) {
	lo := 0
	for i, inst := range b.Inst {
		x := s.symbol(inst)
		why, detail := "", x.name
		switch {
		case b.Kind == s.kind && !x.here: // what is said of a feed or line may bear any instrument
			why = ReasonPlace
		case b.Kind == s.kind && x.name != string(r.Key):
			why = ReasonKey
		case market.ValidTime(r.Time) && b.EventTS[i]-r.Time > s.cfg.Sequencer.Feeds.Get(b.Feed[i]).MaxAhead && market.ValidTime(b.EventTS[i]):
			// It would make all that follows late, and ingest times can be as wrong.
			why, detail = ReasonFuture, market.FormatTime(b.EventTS[i])
		case !s.meet(b.Feed[i]):
			why, detail = ReasonFeeds, s.cfg.Sequencer.Feeds.Get(b.Feed[i]).Name
		default:
			continue
		}
		s.append(b, lo, i, from)
		lo = i + 1
		s.reject(r, why, detail, 1)
	}
	s.append(b, lo, b.N, from)
}

// meet reports whether a feed may be in the partition.
func (s *Sequence) meet(feed market.FeedID) bool {
	if feed != s.feed {
		if !s.feeds[feed] && len(s.feeds) >= maxFeeds {
			return false
		}
		s.feeds[feed], s.feed = true, feed
	}
	return true
}

func (s *Sequence) symbol(inst market.Inst) *symbol {
	for int(inst) >= len(s.symbols) {
		x := s.cfg.Sequencer.Insts.Get(market.Inst(len(s.symbols)))
		s.symbols = append(s.symbols, symbol{x.Symbol, x.Exchange == s.name.Exchange && x.Venue == s.name.Market})
	}
	return &s.symbols[inst]
}

func (s *Sequence) append(b *market.Batch, lo, hi, from int) {
	if lo >= hi {
		return
	}
	s.rows.BatchOf(b.Kind, b.Fields).AppendRows(b, lo, hi)
	for range hi - lo {
		s.origin[b.Kind] = append(s.origin[b.Kind], from)
	}
}

// push hands the rows that wait to the sequencer and takes what it gives.
func (s *Sequence) push() error {
	if len(s.sources) == 0 {
		return nil
	}
	if err := s.seq.Push(&s.rows); err != nil {
		return fmt.Errorf("BUG: sequencer refused rows: %w", err)
	}
	dead := len(s.gives.Dead)
	s.seq.Advance(&s.gives)
	for i := range s.gives.Dead[dead:] {
		d := &s.gives.Dead[dead+i]
		s.letter(&s.sources[s.origin[d.Kind][d.Row]], d.Reason, market.FormatTime(d.EventTS), 1)
	}
	s.rows.Reset()
	for k := range s.origin {
		s.origin[k] = s.origin[k][:0]
	}
	clear(s.sources) // let go of the values
	s.sources, s.bytes = s.sources[:0], 0
	return nil
}

// Step gives what the records since the last step have decided.
func (s *Sequence) Step(out *Sequenced) error {
	if err := s.push(); err != nil {
		return err
	}
	s.seq.Advance(&s.gives) // for the marks of a task that was given nothing
	slices.SortStableFunc(s.letters, func(a, b Letter) int { return cmp.Compare(a.Offset, b.Offset) })
	out.Reset()
	out.Out, s.gives = s.gives, out.Out
	clear(out.Letters)
	out.Letters, s.letters = s.letters, out.Letters[:0]
	out.Account = s.seq.Counts()
	out.Account.Add(&s.lost)
	out.Next = s.next
	return nil
}

// markFeed is the feed of watermark records that Tidemark writes where no other is known, and
// markSymbol the symbol of their instrument: they are about a partition.
const (
	markFeed   = "tidemark"
	markSymbol = "ALL"
)

// AppendMark appends the value of the record that says how far a kind is complete after a
// step, framed; AddMark of package record gives its headers. There is nothing to say while the
// mark is market.NoTime.
func (s *Sequence) AppendMark(ctx context.Context, dst []byte, enc *record.EventEncoder, out *Sequenced, k market.Kind) ([]byte, error) {
	return s.AppendHeartbeat(ctx, dst, enc, markFeed, out.Marks[k])
}

// AppendHeartbeat appends the value of a watermark record of a feed, framed: into the raw
// partition, of format event, it says that nothing of the feed comes there before t. With ""
// the feed is one of Tidemark's own, for partitions that no feed has written to.
func (s *Sequence) AppendHeartbeat(ctx context.Context, dst []byte, enc *record.EventEncoder, feed string, t int64) ([]byte, error) {
	if feed == "" {
		feed = markFeed
	}
	feeds, insts := s.cfg.Sequencer.Feeds, s.cfg.Sequencer.Insts
	return enc.AppendWatermark(ctx, dst, feeds.Intern(feed), insts.Intern(s.name.Exchange, s.name.Market, markSymbol), t)
}
