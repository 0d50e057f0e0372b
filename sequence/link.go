package sequence

import (
	"math"
	"slices"

	"github.com/pinova-group/tidemark/market"
)

// emit gives a row of the arena its place in the order: the effective time is at least
// at and never falls along the chain. It returns the row, which is a copy when the row
// before it has the same key and came after it: equal keys leave by place in the arena.
func (s *Sequencer) emit(c *chain, row uint32, seq uint64, at int64) uint32 {
	k := s.kinds[market.KindBook]
	a := k.arena
	ts := max(at, c.ts)
	if c.chained && ts == c.ts && seq == c.emitted {
		appendRange(a, a, int(row), int(row)+1)
		row = uint32(a.N - 1)
	}
	if ts > a.EventTS[row] {
		a.Flags[row] |= market.FlagClamped
	}
	if !c.chained {
		c.run++
		seq = c.run
	}
	if c.cut {
		a.Flags[row] |= market.FlagGap
		c.cut = false
	}
	a.TS[row], a.Epoch[row], a.Seq[row] = ts, c.epoch, seq
	c.fk.ord.add(makeEntry(ts, c.fk.si|uint64(c.num), c.epoch, seq, row))
	c.ts, c.dirty = ts, true
	c.lastRow.shard, c.lastRow.ingest, c.lastRow.id = a.Shard[row], a.IngestTS[row], a.ID[row]
	c.emitted = seq
	s.expectKeyframe(c)
	return row
}

// apply processes a delta; gap says that its predecessor has not come. Rows of feeds
// without update ids come here whatever their origin.
func (s *Sequencer) apply(c *chain, x *link, gap bool) {
	a := s.kinds[market.KindBook].arena
	if !c.chained {
		if a.Cols[market.BookOrigin].I64[x.row] != market.OriginDelta {
			s.replace(c, s.emit(c, x.row, 0, x.ts))
			return
		}
	} else if c.known && x.rule >= byPrev && x.key == c.last {
		if x.seq == x.key && noLevels(a, x.row) {
			s.filter(c) // OKX: nothing has changed
			return
		}
		if x.seq < x.key {
			c.epoch++ // OKX: numbers fall once after maintenance
		}
	}
	last := c.last
	x.row = s.emit(c, x.row, x.seq, x.ts)
	c.last, c.known, c.fresh, c.fed = x.seq, true, false, true
	if gap {
		from, to := last+1, x.key
		if from > to {
			from, to = 0, 0
		}
		s.lose(c, x.row, market.StatusGap, "update ids missing", from, to)
	}
	if !c.live {
		s.keep(c, x)
		return
	}
	s.changed(c, x.row, s.change(c, x.row, false))
}

// change applies a row to the book and reports whether it could.
func (s *Sequencer) change(c *chain, row uint32, replace bool) bool {
	a := s.kinds[market.KindBook].arena
	if replace {
		c.book.Reset()
	}
	if err := c.book.ApplyRow(a.Cols, int(row)); err != nil {
		return false
	}
	if d := &a.Cols[market.BookDepth]; !d.IsNull(int(row)) && d.I64[row] > 0 {
		c.book.Truncate(int(min(d.I64[row], 1<<30)))
	}
	return true
}

// changed verifies the book after a row.
func (s *Sequencer) changed(c *chain, row uint32, ok bool) {
	a := s.kinds[market.KindBook].arena
	if !ok {
		s.lose(c, row, market.StatusGap, "levels do not fit a book", 0, 0)
		return
	}
	if sum := &a.Cols[market.BookChecksum]; !sum.IsNull(int(row)) && !c.book.Agrees(c.sum, sum.I64[row]) {
		s.lose(c, row, market.StatusChecksum, "checksum differs", 0, 0)
		return
	}
	switch {
	case !c.book.Crossed():
		c.crossed = market.NoTime
	case c.crossed == market.NoTime:
		c.crossed = c.ts
	case c.ts-c.crossed > s.cfg.CrossedFor:
		s.lose(c, row, market.StatusCrossed, "bid at or above ask", 0, 0)
	}
}

// lose takes the book from LIVE to WAIT and says why beside a row; from then on the
// row is the break: it is flagged, and what was kept before it is of no use.
func (s *Sequencer) lose(c *chain, row uint32, state int64, why string, from, to uint64) {
	a := s.kinds[market.KindBook].arena
	a.Flags[row] |= market.FlagGap
	s.writeStatus(a, int(row), a.TS[row], state, why, from, to)
	c.live, c.crossed = false, market.NoTime
	c.kept = c.kept[:0]
	c.book.Reset()
}

// replace makes the book what a snapshot row says.
func (s *Sequencer) replace(c *chain, row uint32) {
	back := c.was && !c.live
	c.live, c.was, c.crossed = true, true, market.NoTime
	c.kept = c.kept[:0]
	s.changed(c, row, s.change(c, row, true))
	s.expectKeyframe(c)
	if c.live && back {
		a := s.kinds[market.KindBook].arena
		s.writeStatus(a, int(row), a.TS[row], market.StatusResync, "book is whole again", 0, c.last)
	}
}

// snapshot processes a snapshot that the venue pushed, or its sign of a restart: number
// 1 on a feed that counts by one, without levels when the book is void.
func (s *Sequencer) snapshot(c *chain, x link) {
	a := s.kinds[market.KindBook].arena
	if c.known && x.seq < c.last || x.seq == 1 && x.rule == byStep && c.known {
		c.epoch++
		s.dropBefore(c, x)
	}
	_, _, hole := c.find()
	lost := hole >= 0 && c.at.get(hole).ts <= x.ts
	from := c.last + 1
	if lost {
		c.cut = true
	}
	x.row = s.emit(c, x.row, x.seq, x.ts)
	if lost {
		s.lose(c, x.row, market.StatusGap, "update ids missing before a snapshot", from, max(x.seq, 1)-1)
	}
	c.last, c.covered, c.known, c.fresh, c.fed = x.seq, x.seq, true, true, true
	if noLevels(a, x.row) && a.Cols[market.BookOrigin].I64[x.row] == market.OriginDelta {
		s.lose(c, x.row, market.StatusGap, "venue restarted the book", 0, 0)
		return
	}
	s.replace(c, x.row)
}

// dropBefore discards the links of the epoch that a snapshot ends.
func (s *Sequencer) dropBefore(c *chain, x link) {
	for i := c.at.len() - 1; i >= 0; i-- {
		if y := c.at.get(i); y.ts < x.ts || y.ts == x.ts && y.row < x.row {
			c.at.remove(i)
			s.filter(c)
		}
	}
}

// rest processes a REST snapshot at the point in time at. When the chain has passed
// its number it is re-based: the rows kept since are replayed on it.
func (s *Sequencer) rest(c *chain, x link, at int64) {
	k := s.kinds[market.KindBook]
	behind := c.known && x.seq < c.last
	if c.live && (c.fed || behind || c.known && x.seq == c.last) {
		s.filter(c) // the book needs none
		return
	}
	if !behind {
		if !c.known || x.seq > c.last {
			c.fresh, c.fed = true, false
		}
		row := s.emit(c, x.row, x.seq, at)
		c.last, c.covered, c.known = x.seq, x.seq, true
		s.replace(c, row)
		return
	}
	kept := s.recent(c)
	first := slices.IndexFunc(kept, func(y link) bool { return y.seq > x.seq })
	if first < 0 || !kept[first].continues(x.seq, true) {
		s.filter(c)
		s.writeStatus(k.arena, int(x.row), max(at, c.ts), market.StatusGap, "REST snapshot does not connect", x.seq, c.last)
		return
	}
	ok := s.change(c, x.row, true)
	for _, y := range kept[first:] {
		ok = ok && s.change(c, y.row, false)
	}
	if !ok {
		c.book.Reset()
		s.filter(c)
		s.writeStatus(k.arena, int(x.row), max(at, c.ts), market.StatusGap, "levels do not fit a book", 0, 0)
		return
	}
	row := s.bookRow(c, market.OriginREST, market.Envelope{
		Feed: c.fk.fs.id, Shard: k.arena.Shard[x.row], Inst: c.inst, EventTS: k.arena.EventTS[x.row],
		IngestTS: k.arena.IngestTS[x.row], Seq: c.last, HasSeq: true, ID: k.arena.ID[x.row],
		RawBytes: k.arena.RawBytes[x.row], Flags: k.arena.Flags[x.row],
	})
	row = s.emit(c, row, c.last, at)
	back := c.was
	c.live, c.was, c.crossed, c.covered = true, true, market.NoTime, x.seq
	c.kept = c.kept[:0]
	s.expectKeyframe(c)
	if back {
		s.writeStatus(k.arena, int(row), k.arena.TS[row], market.StatusResync, "book is whole again", 0, c.last)
	}
}

// bookRow writes a snapshot of the chain's book into the arena.
func (s *Sequencer) bookRow(c *chain, origin int64, e market.Envelope) uint32 {
	a := s.kinds[market.KindBook].arena
	a.AppendEnvelope(&e)
	a.Cols[market.BookOrigin].AppendInt(origin)
	a.Cols[market.BookFirstSeq].AppendNull(false)
	a.Cols[market.BookPrevSeq].AppendNull(false)
	a.Cols[market.BookChecksum].AppendNull(false)
	a.Cols[market.BookDepth].AppendNull(false)
	c.book.AppendTo(a.Cols)
	return uint32(a.N - 1)
}

// keyframe writes the book as of just before at, with the number of the row that it
// follows.
func (s *Sequencer) keyframe(c *chain, at int64) {
	name := "keyframe"
	if !c.dirty {
		name = "keyframe after silence" // another follows the same row
	}
	seq := c.last
	if !c.chained {
		seq = c.run
	}
	row := s.bookRow(c, market.OriginKeyframe, market.Envelope{
		Feed: c.fk.fs.id, Shard: c.lastRow.shard, Inst: c.inst, EventTS: at, IngestTS: c.lastRow.ingest,
		Seq: seq, HasSeq: c.chained, ID: s.ownID(&c.lastRow.id, market.OriginKeyframe, name), Flags: flagOwn,
	})
	k := s.kinds[market.KindBook]
	k.arena.Epoch[row] = c.epoch
	c.fk.ord.add(makeEntry(at, c.fk.si|uint64(c.num), c.epoch, seq, row))
	c.ts, c.emitted, c.dirty = at, seq, false
}

// keep remembers a row that left while the book waits for a snapshot. What is past the
// bounds goes in blocks; recent says what counts.
func (s *Sequencer) keep(c *chain, x *link) {
	c.kept = append(c.kept, *x)
	if len(c.kept) >= 2*s.cfg.KeepRows+64 {
		s.trim(c)
	}
}

// recent are the kept rows within KeepRows and KeepFor.
func (s *Sequencer) recent(c *chain) []link {
	kept := c.kept[max(0, len(c.kept)-s.cfg.KeepRows):]
	for len(kept) > 0 && kept[0].ts < c.ts-s.cfg.KeepFor {
		kept = kept[1:]
	}
	return kept
}

func (s *Sequencer) trim(c *chain) { c.kept = append(c.kept[:0], s.recent(c)...) }

func noLevels(b *market.Batch, row uint32) bool {
	i := int(row)
	return len(b.Cols[market.BookBidPrice].Decs(i)) == 0 && len(b.Cols[market.BookAskPrice].Decs(i)) == 0
}

// breakBooks invalidates, after what they hold, the books without update ids that a
// line feeds: what is missed while it is down leaves no hole in numbers.
func (s *Sequencer) breakBooks(feed market.FeedID, shard uint16) {
	fk := s.feed(feed).kinds[market.KindBook]
	if fk == nil {
		return
	}
	for _, c := range fk.chain {
		if c == nil || c.chained || c.shard != shard || c.ts == market.NoTime && c.at.len() == 0 {
			continue
		}
		x := link{key: uint64(max(c.ts, 0)), tie: math.MaxUint64, row: noRow, rule: breakMark}
		if n := c.at.len(); n > 0 {
			x.key = max(x.key, c.at.get(n-1).key)
		}
		x.ts = int64(x.key)
		c.at.insert(&x)
		s.activate(c)
	}
}

func (s *Sequencer) breakChain(c *chain) {
	c.live, c.cut, c.crossed = false, true, market.NoTime
	c.kept = c.kept[:0]
	c.book.Reset()
}

// forceCompactBooks moves the rows that are still referred to into the spare arena,
// in order of arrival.
func (s *Sequencer) forceCompactBooks() {
	k, bs := s.kinds[market.KindBook], &s.books
	for _, fk := range k.fks {
		fk.ord.settle()
	}
	for _, c := range bs.chains {
		if len(c.kept) > 0 {
			s.trim(c)
		}
	}
	bs.remap = slices.Grow(bs.remap[:0], k.arena.N)[:k.arena.N]
	clear(bs.remap)
	s.eachBookRow(func(row *uint32) { bs.remap[*row] = 1 })
	rows := k.rows[:0]
	for old, used := range bs.remap {
		if used != 0 {
			bs.remap[old] = uint32(len(rows))
			rows = append(rows, uint32(old))
		}
	}
	k.rows = rows
	s.eachBookRow(func(row *uint32) { *row = bs.remap[*row] })
	k.spare.Reset()
	gather(k.spare, k.arena, rows)
	k.arena, k.spare = k.spare, k.arena
	k.compactAt = 3*k.arena.N + compactFrom
}

// eachBookRow visits every reference to a row of the book arena.
func (s *Sequencer) eachBookRow(visit func(*uint32)) {
	for _, fk := range s.kinds[market.KindBook].fks {
		run := fk.ord.run[fk.ord.head:]
		for i := range run {
			row := run[i].row()
			visit(&row)
			run[i].setRow(row)
		}
	}
	for _, c := range s.books.chains {
		for i := range c.at.len() {
			if x := c.at.get(i); x.rule != breakMark {
				visit(&x.row)
			}
		}
		for _, list := range [][]link{c.snaps, c.rests, c.kept} {
			for i := range list {
				visit(&list[i].row)
			}
		}
	}
}
