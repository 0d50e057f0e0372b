package sequence

import (
	"github.com/pinova-group/tidemark/market"
)

// line is (feed, kind, shard): lateness is judged within it.
type line struct {
	fk    *feedKind
	shard uint16
	live  bool
	m     int64 // greatest event time, market.NoTime before the first
	w     int64 // watermark: rows at or below it are late
}

// kindState is the state of one kind.
type kindState struct {
	kind  market.Kind
	fks   []*feedKind // in order of appearance
	lines []*line

	least int64 // least w of live lines, as of the last refresh
	stale bool  // least must be refreshed
	max   int64 // greatest event time of all lines
	at    int64 // release point, never falling
	done  int64 // release point that Advance has served

	arena, spare *market.Batch // rows held
	rows         []uint32      // scratch: rows in order
	due          [][]entry     // scratch of upTo
	held         int           // in-time rows not yet handed out
	checkAt      int           // held rows at which MaxPending is looked at next
	compactAt    int           // rows of the arena at which it is compacted
	late         market.Batch
	missed       []int64 // watermark of each late row
	lateSeq      uint64  // number of the last late row that came without one
}

// feedKind is what the lines of one feed and kind share.
type feedKind struct {
	fs    *feedState
	kind  market.Kind
	si    uint64 // src<<32
	lines []*line
	shard []*line // by shard, nil where none
	max   int64
	slow  int64 // least w of live lines, never falling
	least int64 // the same as of the last look
	stale bool  // slow must be looked at again
	ids   *idSet
	next  []uint64 // running number by instrument
	last  []uint64 // greatest venue number by instrument, for SeqStep
	ord   ordered  // rows held
	holes []hole   // by time of the row behind
	chain []*chain // by instrument
}

func newKindState(kinds *market.Kinds, k market.Kind, limit int) *kindState {
	return &kindState{
		kind: k, least: market.NoTime, max: market.NoTime, at: market.NoTime, done: market.NoTime,
		checkAt: limit, compactAt: compactFrom, arena: kinds.NewBatch(k), spare: kinds.NewBatch(k), late: *kinds.NewBatch(k),
	}
}

// point is the release point: a function of the log's prefix, because between two
// changes of the set of live lines the least watermark never falls.
func (k *kindState) point() int64 {
	if len(k.lines) == 0 {
		return k.at
	}
	if k.stale {
		k.stale = false
		k.least = k.max
		first := true
		for _, l := range k.lines {
			if l.live && (first || l.w < k.least) {
				k.least, first = l.w, false
			}
		}
	}
	k.at = max(k.at, k.least)
	return k.at
}

// line finds or makes a line; a new one is not live yet.
func (s *Sequencer) line(k *kindState, feed market.FeedID, shard uint16) *line {
	fk := s.feedKind(k, feed)
	if int(shard) < len(fk.shard) && fk.shard[shard] != nil {
		return fk.shard[shard]
	}
	return k.addLine(fk, line{fk: fk, shard: shard, m: market.NoTime, w: fk.fs.carrier(shard).base})
}

func (k *kindState) addLine(fk *feedKind, x line) *line {
	for int(x.shard) >= len(fk.shard) {
		fk.shard = append(fk.shard, nil)
	}
	l := &x
	fk.shard[x.shard] = l
	fk.lines = append(fk.lines, l)
	k.lines = append(k.lines, l)
	return l
}

// feedKind finds or makes the state of a feed and kind.
func (s *Sequencer) feedKind(k *kindState, feed market.FeedID) *feedKind {
	fs := s.feed(feed)
	if fk := fs.kinds[k.kind]; fk != nil {
		return fk
	}
	fk := &feedKind{fs: fs, kind: k.kind, si: uint64(market.MakeSrc(feed, k.kind)) << 32, max: market.NoTime, slow: market.NoTime, least: market.NoTime}
	if fs.feed.Dedup != market.DedupNone {
		fk.ids = newIDSet(s.cfg.MaxIDs)
	}
	fs.kinds[k.kind] = fk
	k.fks = append(k.fks, fk)
	return fk
}

// wake makes a line live; it starts at the release point.
func (s *Sequencer) wake(k *kindState, l *line) {
	if l.live {
		return
	}
	l.w = max(l.w, k.point()) // settled before the set of live lines changes
	l.fk.slowest()
	l.live = true
	l.fk.fs.carrier(l.shard).live = true
	k.stale, l.fk.stale = true, true
}

// drop takes a line out of the minimum until its next row.
func (k *kindState) drop(l *line) {
	if !l.live {
		return
	}
	k.point()
	l.fk.slowest()
	l.live = false
	k.stale, l.fk.stale = true, true
}

// endAll ends all lines at once: none holds the others back while they end.
func (k *kindState) endAll() {
	k.point()
	for _, l := range k.lines {
		l.live = false
	}
	k.stale = true
}

// raise lifts a line's watermark.
func (k *kindState) raise(l *line, w int64) {
	if w <= l.w {
		return
	}
	if l.w <= k.least {
		k.stale = true
	}
	if l.w <= l.fk.least {
		l.fk.stale = true
	}
	l.w = w
}

// slowest is the least watermark of the feed's live lines of the kind, or the greatest
// event time when none is live; it never falls. The dedup horizon ends there.
func (fk *feedKind) slowest() int64 {
	if !fk.stale {
		return fk.slow
	}
	fk.stale = false
	least, any := fk.max, false
	for _, l := range fk.lines {
		if l.live && (!any || l.w < least) {
			least, any = l.w, true
		}
	}
	fk.least = least
	fk.slow = max(fk.slow, least)
	return fk.slow
}

// forget is the event time below which ids of the feed and kind are forgotten.
func (fk *feedKind) forget() int64 {
	slow := fk.slowest()
	if slow == market.NoTime {
		return market.NoTime
	}
	return slow - fk.fs.feed.DedupHorizon
}

// seen moves the line's clock to the event time of a row.
func (k *kindState) seen(l *line, ts int64) {
	if ts <= l.m {
		return
	}
	l.m = ts
	l.fk.max = max(l.fk.max, ts)
	k.max = max(k.max, ts)
	k.raise(l, ts-l.fk.fs.feed.Disorder)
}

// line finds the line of a kind and shard, or nil.
func (f *feedState) line(k market.Kind, shard uint16) *line {
	if fk := f.kinds[k]; fk != nil && int(shard) < len(fk.shard) {
		return fk.shard[shard]
	}
	return nil
}

// dropCarrier takes all lines of a shard out of their minima.
func (s *Sequencer) dropCarrier(feed market.FeedID, shard uint16) {
	s.feed(feed).carrier(shard).live = false
	for _, k := range s.sequenced {
		if l := s.feed(feed).line(k, shard); l != nil {
			s.kinds[k].drop(l)
		}
	}
	s.moveIdle()
}

// wakeCarrier puts the lines of a shard back.
func (s *Sequencer) wakeCarrier(feed market.FeedID, shard uint16) {
	s.feed(feed).carrier(shard).live = true
	for _, k := range s.sequenced {
		if l := s.feed(feed).line(k, shard); l != nil {
			s.wake(s.kinds[k], l)
		}
	}
}

// liftCarrier applies a watermark record: nothing of the shard comes before t any more.
func (s *Sequencer) liftCarrier(feed market.FeedID, shard uint16, t int64) {
	c := s.feed(feed).carrier(shard)
	c.base = max(c.base, t-1)
	for _, k := range s.sequenced {
		if l := s.feed(feed).line(k, shard); l != nil {
			s.kinds[k].raise(l, c.base)
		}
	}
	s.moveIdle()
}

// moveIdle moves the release points of kinds without lines: they follow the watermark
// records of the live shards. Only control records move them, because only these have
// a place among the rows of all kinds.
func (s *Sequencer) moveIdle() {
	least, any := market.NoTime, false
	for _, f := range s.feeds {
		for _, shard := range f.shards {
			if c := f.carriers[shard]; c.live && (!any || c.base < least) {
				least, any = c.base, true
			}
		}
	}
	for _, k := range s.sequenced {
		if ks := s.kinds[k]; len(ks.lines) == 0 {
			ks.at = max(ks.at, least)
		}
	}
}
