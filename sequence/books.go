package sequence

import (
	"math"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/book"
)

// books are all chains.
type books struct {
	chains []*chain
	active []*chain // those that hold rows
	// keyframeAt is at or before the next keyframe of any chain.
	keyframeAt int64
	grid       grid
	plain      bool // without the short ways of catchUp and hold, for tests
	remap      []uint32
	base       int    // place in the arena of the first row of the batch being pushed
	last       *chain // of the row held last
}

// maxRests bounds the REST snapshots that one chain holds; the oldest gives way.
const maxRests = 256

// pushBooks takes book rows.
func (s *Sequencer) pushBooks(b *market.Batch) {
	k := s.kinds[market.KindBook]
	s.books.base = k.arena.N
	appendRange(k.arena, b, 0, b.N) // nearly all are held; the others are dead rows of the arena
	var fk *feedKind
	var l *line
	for i := range b.N {
		if fk == nil || fk.fs.id != b.Feed[i] {
			fk, l = s.feedKind(k, b.Feed[i]), nil
		}
		fk.fs.counts.In++
		if why := s.deadBook(fk, b, i); why != "" {
			s.bury(fk.fs, b, i, why)
			continue
		}
		if b.Cols[market.BookOrigin].I64[i] == market.OriginREST {
			s.pushREST(k, fk, b, i)
		} else {
			if l == nil || l.shard != b.Shard[i] {
				l = s.line(k, b.Feed[i], b.Shard[i])
			}
			if i%touchRows == 0 && fk.ids != nil {
				s.sink += fk.ids.touch(b.ID[i:min(i+touchRows, b.N)])
			}
			s.pushBook(k, l, b, i)
		}
		if k.held > k.checkAt {
			s.relieve(k)
		}
	}
}

func (s *Sequencer) deadBook(fk *feedKind, b *market.Batch, i int) string {
	origin := b.Cols[market.BookOrigin].I64[i]
	switch {
	case origin < market.OriginDelta || origin > market.OriginKeyframe:
		return ReasonOrigin
	case !b.HasSeq[i] && fk.chainedAt(b.Inst[i]):
		return ReasonSeq
	}
	return s.deadTime(fk.fs.feed, b.EventTS[i], b.IngestTS[i])
}

// pushBook takes a row of the venue's stream.
func (s *Sequencer) pushBook(k *kindState, l *line, b *market.Batch, i int) {
	fk, ts := l.fk, b.EventTS[i]
	switch s.judge(k, l, b, i) {
	case duplicate:
		fk.fs.counts.Duplicate++
	case late:
		s.lateBook(k, l, b, i)
	default:
		s.hold(s.chainOf(fk, b, i), b, i, ts, false)
	}
	k.seen(l, ts)
}

// lateBook takes a row whose event time is behind the watermark. Two kinds of rows are
// in time all the same, because they have their place by number and not by time: a
// snapshot for a book that waits for one, which is placed like one asked for over REST,
// and a delta that continues the chain, when the chain's own time is above the
// watermark: then it is the venue's clock that stepped back.
func (s *Sequencer) lateBook(k *kindState, l *line, b *market.Batch, i int) {
	c, point := s.chainOf(l.fk, b, i), k.point()
	s.catchUp(c, point, math.MaxInt64, false)
	snapshot := b.Cols[market.BookOrigin].I64[i] != market.OriginDelta
	if snapshot && !c.live {
		s.hold(c, b, i, max(point, l.w)+1, true)
		return
	}
	if !snapshot {
		if tail, ok := c.admits(s.kinds[market.KindBook].arena, b, i); ok && tail > l.w {
			s.hold(c, b, i, max(b.EventTS[i], tail), false)
			return
		}
	}
	s.keepLate(k, l, b, i)
	if !c.chained && c.live {
		// No hole in numbers will show that the book misses it.
		s.breakChain(c)
		s.writeStatus(b, i, point+1, market.StatusGap, "late row of a book without update ids", 0, 0)
	}
}

// pushREST takes a snapshot asked for over REST. It belongs to no line: it is placed by
// its update id, is never late, and holds nothing back; what has left stays before it. Its time is by the collector's
// clock; while no line exists, as in a file of nothing else, the release point follows
// it at the distance by which such a clock may be wrong.
func (s *Sequencer) pushREST(k *kindState, fk *feedKind, b *market.Batch, i int) {
	ts := b.EventTS[i]
	if fk.ids != nil && b.ID[i] != (market.ID{}) && fk.ids.known(&b.ID[i], ts, fk.forget()) {
		fk.fs.counts.Duplicate++
		return
	}
	s.hold(s.chainOf(fk, b, i), b, i, max(ts, k.point()+1), true)
	if len(k.lines) == 0 {
		k.at = max(k.at, ts-fk.fs.feed.MaxAhead-fk.fs.feed.Disorder)
	}
}

// chainedAt reports whether the chain of an instrument goes by update ids.
func (fk *feedKind) chainedAt(inst market.Inst) bool {
	return int(inst) < len(fk.chain) && fk.chain[inst] != nil && fk.chain[inst].chained
}

func (s *Sequencer) chainOf(fk *feedKind, b *market.Batch, i int) *chain {
	inst := b.Inst[i]
	for int(inst) >= len(fk.chain) {
		fk.chain = append(fk.chain, nil)
	}
	c := fk.chain[inst]
	if c == nil {
		c = s.newChain(fk, inst)
		c.chained = fk.fs.feed.Chained && b.HasSeq[i]
	}
	return c
}

func (s *Sequencer) newChain(fk *feedKind, inst market.Inst) *chain {
	c := &chain{
		fk: fk, inst: inst, num: s.nums[inst], ts: market.NoTime, crossed: market.NoTime,
		sum: book.ChecksumOf(s.cfg.Insts.Get(inst).Exchange),
	}
	fk.chain[inst] = c
	s.books.chains = append(s.books.chains, c)
	return c
}

// admits reports whether a delta continues what the chain holds, and the effective time
// that it gets there. Without update ids, that is what follows on the same line a row
// which was itself raised above its time.
func (c *chain) admits(arena, b *market.Batch, i int) (at int64, ok bool) {
	n := c.at.len()
	if !c.chained {
		if n == 0 {
			return 0, false
		}
		tail := c.at.get(n - 1)
		return tail.ts, tail.rule == byTime && arena.EventTS[tail.row] < tail.ts && arena.Shard[tail.row] == b.Shard[i]
	}
	var x link
	x.read(b, i)
	switch {
	case n > 0:
		at = market.NoTime
		for j := range n {
			at = max(at, c.at.get(j).ts)
		}
		return at, x.key == c.at.get(n-1).seq
	case len(c.rests) > 0:
		r := &c.rests[len(c.rests)-1]
		return r.ts, x.continues(r.seq, true)
	case len(c.snaps) > 0:
		r := &c.snaps[len(c.snaps)-1]
		return r.ts, x.continues(r.seq, true)
	}
	return 0, false
}

// read makes an empty link that of row i of a batch: how the row names its predecessor. It
// sets field by field, because a copy of the whole would wait for the fields just written.
func (x *link) read(b *market.Batch, i int) {
	ts := b.EventTS[i]
	x.seq, x.ts, x.tie = b.Seq[i], ts, uint64(ts)
	first, prev := &b.Cols[market.BookFirstSeq], &b.Cols[market.BookPrevSeq]
	if !first.IsNull(i) && first.I64[i] >= 0 {
		x.first, x.rule = uint64(first.I64[i]), byFirst
	}
	switch {
	case !prev.IsNull(i) && prev.I64[i] >= 0:
		x.key = uint64(prev.I64[i])
		if x.rule == byFirst {
			x.rule = byPrevOver
		} else {
			x.rule = byPrev
		}
	case x.rule == byFirst:
		x.key = max(x.first, 1) - 1
	default:
		x.key = max(x.seq, 1) - 1
	}
}

// hold puts row i of the batch being pushed into its chain, at or after at, which is above
// the release point. rest says that it is a snapshot without a place in the stream.
func (s *Sequencer) hold(c *chain, b *market.Batch, i int, at int64, rest bool) {
	k := s.kinds[market.KindBook]
	// With chains in turn, rows leave them nearly in order when each catches up at its rows.
	if s.books.plain || c != s.books.last || !c.settled() {
		s.catchUp(c, k.point(), math.MaxInt64, false)
	}
	s.books.last = c
	c.fk.fs.counts.Pending++
	c.shard = b.Shard[i]
	k.held++
	row := uint32(s.books.base + i)
	k.arena.Flags[row] &= flagsIn
	var x link
	x.read(b, i)
	x.row, x.ts, x.tie = row, at, uint64(at)
	switch {
	case !c.chained:
		x.key, x.tie, x.rule = uint64(at), seqOf(b, i), byTime
		if at != b.EventTS[i] {
			x.tie = math.MaxUint64 - 1 // after what is there, by arrival
		}
		c.at.insert(&x)
	case rest:
		if len(c.rests) == maxRests {
			s.filter(c)
			c.rests = append(c.rests[:0], c.rests[1:]...)
		}
		c.rests = append(c.rests, x)
	case b.Cols[market.BookOrigin].I64[i] != market.OriginDelta || x.rule == byStep && x.seq == 1:
		c.snaps = append(c.snaps, x)
		for j := len(c.snaps) - 1; j > 0 && c.snaps[j].ts < c.snaps[j-1].ts; j-- {
			c.snaps[j], c.snaps[j-1] = c.snaps[j-1], c.snaps[j]
		}
	default:
		c.at.insert(&x)
	}
	s.activate(c)
}

func (s *Sequencer) activate(c *chain) {
	if !c.active {
		c.active = true
		s.books.active = append(s.books.active, c)
	}
}

// catchUp processes what the release point allows. force counts holes as gaps at once.
func (s *Sequencer) catchUp(c *chain, point, lastKeyframe int64, force bool) {
	patience := c.fk.fs.feed.Disorder
	if force {
		patience = 0
	}
	for {
		if x := c.continued(); x != nil && !s.books.plain && (!c.live || !s.keyframeDue(c, x.ts)) {
			if x.ts > point {
				return
			}
			next := *x
			c.at.next()
			s.apply(c, &next, false)
			continue
		}
		do, place, at := c.plan(patience, s.cfg.KeyframeEvery, lastKeyframe)
		if do == stepNone || at > point {
			return
		}
		switch do {
		case stepKeyframe:
			s.keyframe(c, at)
		case stepLink:
			if x := c.at.remove(place); x.rule == breakMark {
				s.breakChain(c)
			} else {
				s.apply(c, &x, false)
			}
		case stepHole:
			x := c.at.remove(place)
			s.apply(c, &x, true)
		case stepSnap:
			x := c.snaps[0]
			c.snaps = append(c.snaps[:0], c.snaps[1:]...)
			s.snapshot(c, x)
		case stepRest:
			x := c.rests[0]
			c.rests = append(c.rests[:0], c.rests[1:]...)
			s.rest(c, x, at)
		case stepStale:
			s.discard(c, c.at.remove(place))
		}
	}
}

// keyframeDue reports whether a keyframe time of a chain comes before a row at ts.
func (s *Sequencer) keyframeDue(c *chain, ts int64) bool {
	return s.books.grid.next(c.ts, s.cfg.KeyframeEvery) <= ts
}

// catchUpBooks brings all chains to the release point.
func (s *Sequencer) catchUpBooks(point int64, force bool) {
	keep := s.books.active[:0]
	for _, c := range s.books.active {
		s.catchUp(c, point, math.MaxInt64, force)
		c.active = c.at.len() > 0 || len(c.snaps) > 0 || len(c.rests) > 0
		if c.active {
			keep = append(keep, c)
		}
	}
	clear(s.books.active[len(keep):])
	s.books.active = keep
	if point >= s.books.keyframeAt {
		s.books.keyframeAt = math.MaxInt64
		for _, c := range s.books.chains {
			s.catchUp(c, point, math.MaxInt64, force)
			s.expectKeyframe(c)
		}
	}
}

func (s *Sequencer) expectKeyframe(c *chain) {
	if c.live && c.dirty {
		s.books.keyframeAt = min(s.books.keyframeAt, s.books.grid.next(c.ts, s.cfg.KeyframeEvery))
	}
}

// bookPoint is the release point of book rows: rows at or after the first one behind a
// hole wait until the hole is decided, so that they leave in order.
func (s *Sequencer) bookPoint(point int64) int64 {
	for _, c := range s.books.active {
		if b := c.blocked(); b <= point {
			point = b - 1
		}
	}
	return point
}

// releaseBooks hands out book rows and returns the release point that it served.
func (s *Sequencer) releaseBooks(out *Out, point int64, end bool) int64 {
	k := s.kinds[market.KindBook]
	s.catchUpBooks(point, false)
	if end {
		for _, c := range s.books.chains {
			s.catchUp(c, math.MaxInt64, point, false)
		}
		point = math.MaxInt64
	} else {
		point = s.bookPoint(point)
	}
	rows := k.upTo(point)
	if len(rows) > 0 {
		dst := out.Rows.Batch(market.KindBook)
		base := dst.N
		gather(dst, k.arena, rows)
		for i := base; i < dst.N; i++ {
			if dst.Flags[i]&flagOwn != 0 {
				dst.Flags[i] &^= flagOwn
				continue
			}
			fs := s.byID[dst.Feed[i]]
			fs.counts.Applied++
			fs.counts.Pending--
			k.held--
			k.checkAt--
		}
	}
	s.compactBooks()
	return point
}

// filter books a held row as filtered, discard one that lies behind its chain.
func (s *Sequencer) filter(c *chain) {
	c.fk.fs.counts.Filtered++
	s.unhold(c)
}

func (s *Sequencer) discard(c *chain, x link) {
	if x.seq <= c.covered {
		s.filter(c)
		return
	}
	c.fk.fs.counts.Duplicate++
	s.unhold(c)
}

func (s *Sequencer) unhold(c *chain) {
	k := s.kinds[market.KindBook]
	c.fk.fs.counts.Pending--
	k.held--
	k.checkAt--
}

// heldTimes appends the event times of all rows that chains hold.
func (bs *books) heldTimes(out []int64) []int64 {
	for _, c := range bs.active {
		for i := range c.at.len() {
			out = append(out, c.at.get(i).ts)
		}
		for i := range c.snaps {
			out = append(out, c.snaps[i].ts)
		}
		for i := range c.rests {
			out = append(out, c.rests[i].ts)
		}
	}
	return out
}

// compactBooks drops the arena's dead rows when they are more than the live ones were.
func (s *Sequencer) compactBooks() {
	if k := s.kinds[market.KindBook]; k.arena.N > k.compactAt {
		s.forceCompactBooks()
	}
}
