package sequence

import (
	"math"

	"github.com/pinova-group/tidemark/market"
)

// pushStatus takes status rows. Each takes effect where it stands: down takes the
// lines of its feed's shard out of the minima, up puts them back, idle says like a
// watermark record that nothing comes before its time. None is late: what has happened to
// a line must not be lost, whoever speaks first. Its time is raised above what the status
// rows have left up to, the sequencer's own included, so that all leave in one order.
func (s *Sequencer) pushStatus(b *market.Batch) {
	k := s.kinds[market.KindStatus]
	for i := range b.N {
		floor := s.statusPoint()
		before := k.arena.N
		fs := s.feed(b.Feed[i])
		buried := fs.counts.DLQ + fs.counts.Duplicate
		s.pushRows(b, i, i+1)
		if fs.counts.DLQ+fs.counts.Duplicate > buried {
			continue
		}
		if k.arena.N > before {
			k.arena.TS[before] = b.EventTS[i]
			k.arena.Flags[before] &= flagsIn
			if b.EventTS[i] <= floor {
				s.clampStatus(k, before, floor+1)
			}
		}
		switch b.Cols[market.StatusState].I64[i] {
		case market.StatusDown:
			s.breakBooks(b.Feed[i], b.Shard[i])
			s.dropCarrier(b.Feed[i], b.Shard[i])
		case market.StatusUp:
			s.wakeCarrier(b.Feed[i], b.Shard[i])
		case market.StatusIdle:
			s.liftCarrier(b.Feed[i], b.Shard[i], b.EventTS[i])
		}
	}
}

// clampStatus raises the time of the row that was added last.
func (s *Sequencer) clampStatus(k *kindState, row int, ts int64) {
	k.arena.TS[row] = ts
	k.arena.Flags[row] |= market.FlagClamped
	ord := &s.byID[k.arena.Feed[row]].kinds[k.kind].ord
	held := &ord.run
	if n := len(ord.tail); n > 0 && int(ord.tail[n-1].row()) == row {
		held = &ord.tail
	}
	e := (*held)[len(*held)-1]
	e.ts = ts
	*held = (*held)[:len(*held)-1]
	ord.add(e)
}

// pushWatermarks applies watermark records: "nothing of this feed's shard comes before
// my event time any more".
func (s *Sequencer) pushWatermarks(b *market.Batch) {
	for i := range b.N {
		fs := s.feed(b.Feed[i])
		fs.counts.In++
		if why := s.deadTime(fs.feed, b.EventTS[i], b.IngestTS[i]); why != "" {
			s.bury(fs, b, i, why)
			continue
		}
		fs.counts.Applied++
		s.liftCarrier(b.Feed[i], b.Shard[i], b.EventTS[i])
	}
}

// writeStatus writes a status row of the sequencer beside row i of b, at ts.
func (s *Sequencer) writeStatus(b *market.Batch, i int, ts int64, state int64, reason string, from, to uint64) {
	s.writeStatusOf(b.Kind, market.Envelope{
		Feed: b.Feed[i], Shard: b.Shard[i], Inst: b.Inst[i], EventTS: ts, IngestTS: b.IngestTS[i], ID: b.ID[i],
	}, ts, state, reason, from, to)
}

// writeStatusOf writes a status row beside an event of a kind; e is of the event.
func (s *Sequencer) writeStatusOf(of market.Kind, e market.Envelope, ts int64, state int64, reason string, from, to uint64) {
	k := s.kinds[market.KindStatus]
	fk := s.feedKind(k, e.Feed)
	e.Flags = flagOwn
	e.ID = s.ownID(&e.ID, byte(state), reason)
	if ts <= s.statusMark {
		// A line that started behind what the status rows had been released to.
		ts = s.statusMark + 1
		e.Flags |= market.FlagClamped
	}
	a := k.arena
	a.AppendEnvelope(&e)
	a.TS[a.N-1] = ts
	a.Cols[market.StatusState].AppendInt(state)
	a.Cols[market.StatusReason].AppendText([]byte(reason))
	appendSeq(&a.Cols[market.StatusFromSeq], from)
	appendSeq(&a.Cols[market.StatusToSeq], to)
	fk.ord.add(makeEntry(ts, fk.si|uint64(s.nums[e.Inst]), rankOwn, uint64(of), uint32(a.N-1)))
}

// appendSeq appends a venue number; 0 and what no column can hold are null.
func appendSeq(c *market.Col, v uint64) {
	if v == 0 || v > math.MaxInt64 {
		c.AppendNull(false)
		return
	}
	c.AppendInt(int64(v))
}

// ownID is the id of a row that the sequencer writes beside an event.
func (s *Sequencer) ownID(of *market.ID, what byte, reason string) (id market.ID) {
	s.text = append(append(append(s.text[:0], of[:]...), what), reason...)
	id, s.buf = market.EventID(s.buf, s.text, nil)
	return id
}

// statusPoint is the release point of status rows: those of the input, and of the
// kinds beside which the sequencer writes some.
func (s *Sequencer) statusPoint() int64 {
	at, any := int64(math.MaxInt64), false
	for _, k := range []market.Kind{market.KindTrade, market.KindBook, market.KindStatus} {
		ks := s.kinds[k]
		if len(ks.lines) == 0 {
			continue
		}
		p := ks.point()
		if k == market.KindBook {
			s.catchUpBooks(p, false)
			p = s.bookPoint(p)
		}
		if k == market.KindTrade && p != market.NoTime {
			p -= ks.patience()
		}
		at, any = min(at, p), true
	}
	if !any {
		at = s.kinds[market.KindStatus].point()
	}
	return max(at, s.statusMark)
}

func (s *Sequencer) advanceStatus() { s.statusMark = s.statusPoint() }
