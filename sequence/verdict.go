package sequence

import (
	"slices"

	"github.com/pinova-group/tidemark/market"
)

// flagOwn marks rows that the sequencer wrote itself, while they are held; they are in
// no account.
const flagOwn uint8 = 1 << 7

// flagsIn are the flags that rows may bring along; the others are verdicts.
const flagsIn = market.FlagAssumed | market.FlagGap

// ownSeq is the bit that keeps numbers given by the sequencer to late rows apart from
// those of venues and of rows in time.
const ownSeq uint64 = 1 << 63

type verdict uint8

const (
	inTime verdict = iota
	late
	duplicate
	dead
)

// judge wakes the line of a row that is not dead, gives its verdict, and remembers its id.
func (s *Sequencer) judge(k *kindState, l *line, b *market.Batch, i int) verdict {
	ts := b.EventTS[i]
	if !l.live {
		s.wake(k, l)
	}
	if l.fk.ids != nil && b.ID[i] != (market.ID{}) && l.fk.ids.known(&b.ID[i], ts, l.fk.forget()) {
		return duplicate
	}
	if ts <= l.w && k.kind != market.KindStatus {
		return late
	}
	return inTime
}

// deadTime is the reason why an event time cannot be believed, or "".
func (s *Sequencer) deadTime(f *market.Feed, ts, ingest int64) string {
	if !market.ValidTime(ts) {
		return ReasonTime
	}
	if market.ValidTime(ingest) && f.Ahead(ts, ingest) {
		return ReasonAhead
	}
	return ""
}

func (s *Sequencer) bury(fs *feedState, b *market.Batch, i int, why string) {
	fs.counts.DLQ++
	s.dead = append(s.dead, Dead{
		Kind: b.Kind, Row: uint32(i), Feed: b.Feed[i], Shard: b.Shard[i], Inst: b.Inst[i], EventTS: b.EventTS[i],
		IngestTS: b.IngestTS[i], Seq: b.Seq[i], ID: b.ID[i], Reason: why,
	})
}

func (s *Sequencer) keepLate(k *kindState, l *line, b *market.Batch, i int) {
	l.fk.fs.counts.Late++
	appendRange(&k.late, b, i, i+1)
	k.missed = append(k.missed, l.w)
	n := k.late.N - 1
	k.late.TS[n], k.late.Epoch[n] = b.EventTS[i], 0
	k.late.Flags[n] = b.Flags[i]&flagsIn | market.FlagLate
	if !b.HasSeq[i] {
		k.lateSeq++
		k.late.Seq[n] = ownSeq | k.lateSeq
	}
}

// pushRows takes rows [from, to) of a kind whose rows are ordered by event time. Runs
// of rows in time are copied whole.
func (s *Sequencer) pushRows(b *market.Batch, from, to int) {
	k := s.kinds[b.Kind]
	var fs *feedState
	var l *line
	start := from // first row of the run in time
	for i := from; i < to; i++ {
		if fs == nil || fs.id != b.Feed[i] {
			fs, l = s.feed(b.Feed[i]), nil
		}
		fs.counts.In++
		why := s.deadTime(fs.feed, b.EventTS[i], b.IngestTS[i])
		v := dead
		if why == "" {
			if l == nil || l.shard != b.Shard[i] {
				l = s.line(k, b.Feed[i], b.Shard[i])
			}
			if (i-from)%touchRows == 0 && l.fk.ids != nil {
				s.sink += l.fk.ids.touch(b.ID[i:min(i+touchRows, to)])
			}
			v = s.judge(k, l, b, i)
		}
		if v == inTime {
			ts := b.EventTS[i]
			fs.counts.Pending++
			k.held++
			l.fk.ord.add(makeEntry(ts, l.fk.si|uint64(s.nums[b.Inst[i]]), rankOf(b, i), seqOf(b, i), uint32(k.arena.N+i-start)))
			k.seen(l, ts)
			if k.held > k.checkAt {
				appendRange(k.arena, b, start, i+1)
				start = i + 1
				s.relieve(k)
			}
			continue
		}
		if i > start {
			appendRange(k.arena, b, start, i)
		}
		start = i + 1
		switch v {
		case dead:
			s.bury(fs, b, i, why)
			continue
		case duplicate:
			fs.counts.Duplicate++
		case late:
			s.keepLate(k, l, b, i)
		}
		k.seen(l, b.EventTS[i])
	}
	if to > start {
		appendRange(k.arena, b, start, to)
	}
}

func seqOf(b *market.Batch, i int) uint64 {
	if b.HasSeq[i] {
		return b.Seq[i]
	}
	return 0
}

// Rank of rows of kinds without epochs: numbered ones, those of the input without
// number, those that the sequencer wrote. All leave with epoch 0.
const (
	rankNumbered = iota
	rankArrival
	rankOwn
)

func rankOf(b *market.Batch, i int) uint32 {
	if b.HasSeq[i] {
		return rankNumbered
	}
	return rankArrival
}

// relieve overtakes the lines of a kind when more than MaxPending rows are held: their
// watermarks rise to the event time of the row that a quarter of them lie behind.
func (s *Sequencer) relieve(k *kindState) {
	limit := s.cfg.MaxPending
	over := s.heldTimes(k)
	if len(over) > limit {
		slices.Sort(over)
		to := over[len(over)-1-limit*3/4]
		for _, l := range k.lines {
			k.raise(l, to)
		}
		k.point()
		k.at = max(k.at, to)
		s.raised++
		if k.kind == market.KindBook {
			s.catchUpBooks(to, true)
		}
		over = s.heldTimes(k)
	}
	// Not before this many rows more can the limit be exceeded again.
	k.checkAt = k.held + limit - min(limit, len(over))
}

// heldTimes lists the event times of the rows that the release point holds back.
func (s *Sequencer) heldTimes(k *kindState) []int64 {
	at := k.point()
	if k.kind == market.KindBook {
		s.catchUpBooks(at, false)
		at = s.bookPoint(at)
	}
	var out []int64
	for _, fk := range k.fks {
		for _, held := range [2][]entry{fk.ord.run[fk.ord.head:], fk.ord.tail} {
			for i := range held {
				if ts := held[i].ts; ts > at {
					out = append(out, ts)
				}
			}
		}
	}
	if k.kind == market.KindBook {
		out = s.books.heldTimes(out)
	}
	return out
}
