package sequence

import (
	"math"
	"slices"

	"github.com/pinova-group/tidemark/market"
)

// Sequencer is the state machine. One goroutine at a time.
type Sequencer struct {
	cfg   Config
	kinds [market.NumKinds]*kindState
	// sequenced are the kinds that have a state: all but watermark.
	sequenced []market.Kind
	feeds     []*feedState // in order of appearance
	byID      [market.MaxFeeds]*feedState
	nums      []uint32 // permanent numbers by handle
	books     books

	dead       []Dead
	statusMark int64 // status rows at or below it have left
	raised     int64
	closed     bool
	buf, text  []byte
	sink       uint32 // keeps the reads of idSet.touch
}

// feedState is what all kinds of a feed share.
type feedState struct {
	id       market.FeedID
	feed     *market.Feed
	counts   Counts
	kinds    [market.NumKinds]*feedKind
	carriers []*carrier // by shard; nil where none
	shards   []uint16   // those that exist, in order of appearance
}

// carrier is one shard of a feed: what carries a line of each kind.
type carrier struct {
	base int64 // T − 1 of the greatest watermark record
	live bool
}

// New makes a sequencer. Feeds must be declared in cfg.Feeds before their first row.
func New(cfg Config) (*Sequencer, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	s := &Sequencer{cfg: cfg, statusMark: market.NoTime}
	for k := market.KindTrade; k < market.KindWatermark; k++ {
		s.sequenced = append(s.sequenced, k)
	}
	s.sequenced = append(s.sequenced, cfg.Kinds.Defined()...)
	for _, k := range s.sequenced {
		s.kinds[k] = newKindState(cfg.Kinds, k, cfg.MaxPending)
	}
	s.books.keyframeAt = math.MaxInt64
	return s, nil
}

// Push takes a chunk in arrival order and keeps nothing of it. A malformed batch is
// refused whole, with ErrBatch; no row can make it fail.
func (s *Sequencer) Push(c *market.Chunk) error {
	if s.closed {
		return ErrClosed
	}
	n := s.cfg.Insts.Len()
	for k, b := range c.Batches {
		if b == nil || b.N == 0 {
			continue
		}
		if b.Kind != market.Kind(k) || s.kinds[k] == nil && b.Kind != market.KindWatermark {
			return ErrBatch
		}
		if err := checkBatch(b, s.cfg.Kinds.Fields(b.Kind), s.cfg.Feeds, n); err != nil {
			return err
		}
	}
	if len(s.nums) < n {
		s.nums = s.cfg.Insts.Numbers()
	}
	for k, b := range c.Batches {
		if b == nil || b.N == 0 {
			continue
		}
		switch market.Kind(k) {
		case market.KindWatermark, market.KindStatus: // last, see below
		case market.KindBook:
			s.pushBooks(b)
		default:
			s.pushRows(b, 0, b.N)
		}
	}
	if b := c.Batches[market.KindStatus]; b != nil && b.N > 0 {
		s.pushStatus(b)
	}
	if b := c.Batches[market.KindWatermark]; b != nil && b.N > 0 {
		s.pushWatermarks(b)
	}
	return nil
}

// Advance releases what the watermarks allow.
func (s *Sequencer) Advance(out *Out) {
	if s.closed {
		s.setMarks(out)
		return
	}
	s.flushVerdicts(out)
	for _, k := range s.sequenced {
		ks := s.kinds[k]
		switch k {
		case market.KindStatus:
			continue // last, see below
		case market.KindBook:
			ks.done = s.releaseBooks(out, ks.point(), false)
			continue
		}
		s.release(ks, ks.point(), out)
		ks.done = ks.at
	}
	s.advanceStatus()
	s.release(s.kinds[market.KindStatus], s.statusMark, out)
	s.setMarks(out)
}

// Close is the end of all input: all lines end, everything held is released, holes in
// book chains are gaps. Keyframes are written up to the last book event.
func (s *Sequencer) Close(out *Out) {
	if s.closed {
		return
	}
	for _, k := range s.sequenced {
		s.kinds[k].endAll()
	}
	s.flushVerdicts(out)
	for _, k := range s.sequenced {
		switch k {
		case market.KindStatus:
			continue
		case market.KindBook:
			s.releaseBooks(out, s.kinds[k].point(), true)
			continue
		}
		s.release(s.kinds[k], math.MaxInt64, out)
	}
	s.release(s.kinds[market.KindStatus], math.MaxInt64, out)
	s.closed = true
	s.setMarks(out)
}

// OpenLine says that a line will carry these kinds, so that it holds them back from now
// on, before its first row. A driver that reads several inputs opens their lines first:
// a line that starts behind what others have released finds its rows late.
func (s *Sequencer) OpenLine(feed market.FeedID, shard uint16, kinds ...market.Kind) {
	for _, k := range kinds {
		if s.kinds[k] != nil {
			s.wake(s.kinds[k], s.line(s.kinds[k], feed, shard))
		}
	}
}

// Begun reports whether a line of the kind has begun.
func (s *Sequencer) Begun(feed market.FeedID, shard uint16, kind market.Kind) bool {
	return s.byID[feed] != nil && s.byID[feed].line(kind, shard) != nil
}

// EndLine says that the line has ended: it holds nothing back any more. Rows that come
// all the same start it anew.
func (s *Sequencer) EndLine(feed market.FeedID, shard uint16) {
	s.dropCarrier(feed, shard)
}

// LiftLine says that no row of the kind comes in the line before t any more: a watermark
// record for one kind alone, of a driver that knows what the line still holds. A line
// that has not begun begins.
func (s *Sequencer) LiftLine(feed market.FeedID, shard uint16, kind market.Kind, t int64) {
	k := s.kinds[kind]
	known := s.feed(feed).line(kind, shard) != nil
	l := s.line(k, feed, shard)
	if !known {
		s.wake(k, l)
	}
	k.raise(l, t-1)
}

// LiftKinds says that kinds without a live line do not come before t any more: those that
// have had one, and with absent those that never came.
func (s *Sequencer) LiftKinds(t int64, absent bool) {
	for _, kind := range s.sequenced {
		k := s.kinds[kind]
		if live := func(l *line) bool { return l.live }; len(k.lines) == 0 && !absent || slices.ContainsFunc(k.lines, live) {
			continue
		}
		if kind == market.KindBook && len(k.lines) > 0 {
			continue // books that are there would write keyframes
		}
		k.at = max(k.point(), t-1)
	}
}

// Raised is how often MaxPending made the sequencer overtake its lines.
func (s *Sequencer) Raised() int64 { return s.raised }

// flushVerdicts hands out late rows and dead letters.
func (s *Sequencer) flushVerdicts(out *Out) {
	for _, k := range s.sequenced {
		if ks := s.kinds[k]; ks.late.N > 0 {
			appendRange(out.Late.BatchOf(k, ks.late.Fields), &ks.late, 0, ks.late.N)
			out.Missed[k] = append(out.Missed[k], ks.missed...)
			ks.late.Reset()
			ks.missed = ks.missed[:0]
		}
	}
	out.Dead = append(out.Dead, s.dead...)
	s.dead = s.dead[:0]
}

func (s *Sequencer) setMarks(out *Out) {
	for k := range out.Marks {
		out.Marks[k] = market.NoTime
	}
	for _, k := range s.sequenced {
		at := s.kinds[k].done
		if k == market.KindStatus {
			at = s.statusMark
		}
		switch {
		case s.closed:
			at = math.MaxInt64
		case at != market.NoTime:
			at++
		}
		out.Marks[k] = at
	}
}

// feed returns the state of a feed that the registry knows, made when first met.
func (s *Sequencer) feed(id market.FeedID) *feedState {
	f := s.byID[id]
	if f == nil {
		f = &feedState{id: id, feed: s.cfg.Feeds.Get(id)}
		s.byID[id] = f
		s.feeds = append(s.feeds, f)
	}
	return f
}

func (f *feedState) carrier(shard uint16) *carrier {
	for int(shard) >= len(f.carriers) {
		f.carriers = append(f.carriers, nil)
	}
	c := f.carriers[shard]
	if c == nil {
		c = &carrier{base: market.NoTime, live: true}
		f.carriers[shard] = c
		f.shards = append(f.shards, shard)
	}
	return c
}
