package sequence

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/zeebo/xxh3"

	"github.com/pinova-group/tidemark/market"
)

// Restore makes the sequencer that wrote a snapshot. Feeds and instruments are found by
// name in cfg's registries and added where they are new. Any damage gives ErrCorrupt, another
// version ErrVersion, another set of user-defined kinds ErrKinds.
func Restore(cfg Config, src []byte) (*Sequencer, error) {
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	n := len(src) - 8
	if n < len(snapshotMagic)+1 || string(src[:len(snapshotMagic)]) != snapshotMagic || binary.BigEndian.Uint64(src[n:]) != xxh3.Hash(src[:n]) {
		return nil, ErrCorrupt
	}
	if v := src[len(snapshotMagic)]; v != snapshotVersion {
		return nil, fmt.Errorf("%w: %d, not %d", ErrVersion, v, snapshotVersion)
	}
	d := &dec{b: src[len(snapshotMagic)+1 : n]}
	if !d.defined(cfg.Kinds) {
		return nil, ErrKinds
	}
	d.names(&s.cfg)
	if d.bad {
		return nil, ErrCorrupt
	}
	s.nums = s.cfg.Insts.Numbers()
	s.statusMark = d.i()
	s.raised = d.i()
	s.books.keyframeAt = d.i()
	d.bools(&s.closed)
	s.dead = d.deadLetters()
	for _, k := range s.sequenced {
		if d.bad {
			break
		}
		d.kind(s, s.kinds[k])
	}
	for _, id := range d.feeds {
		if d.bad {
			break
		}
		d.feedState(s, s.feed(id))
	}
	if d.bad || len(d.b) != 0 || !s.known() {
		return nil, ErrCorrupt
	}
	return s, nil
}

// known reports whether every row held is of a feed and kind that has a state.
func (s *Sequencer) known() bool {
	for _, k := range s.sequenced {
		for _, id := range s.kinds[k].arena.Feed {
			if s.byID[id] == nil || s.byID[id].kinds[k] == nil {
				return false
			}
		}
	}
	return true
}

// maxNameLen bounds names of feeds, exchanges and symbols.
const maxNameLen = 1024

func (d *dec) text() string {
	n := d.n(1)
	if n > maxNameLen {
		d.fail()
		return ""
	}
	return string(d.raw(n))
}

// defined reports whether the snapshot is of these user-defined kinds.
func (d *dec) defined(kinds *market.Kinds) bool {
	list := kinds.Defined()
	if d.n(1) != len(list) {
		return false
	}
	for _, k := range list {
		if string(d.raw(d.n(1))) != kinds.Definition(k).String() {
			return false
		}
	}
	return true
}

func (d *dec) names(cfg *Config) {
	seen := map[market.FeedID]bool{}
	for range d.n(2) {
		name := d.text()
		if d.bad || name == "" || len(seen) >= market.MaxFeeds/4 {
			d.fail()
			return
		}
		id := cfg.Feeds.Intern(name)
		if seen[id] {
			d.fail()
			return
		}
		seen[id] = true
		d.feeds = append(d.feeds, id)
	}
	for range d.n(3) {
		exchange := d.text()
		venue := market.Venue(d.upTo(math.MaxUint8))
		symbol := d.text()
		if d.bad {
			return
		}
		d.insts = append(d.insts, cfg.Insts.Intern(exchange, venue, symbol))
	}
}

func (d *dec) deadLetters() []Dead {
	n := d.n(26)
	out := make([]Dead, 0, n)
	for range n {
		x := Dead{
			Kind: market.Kind(d.upTo(market.NumKinds - 1)), Row: uint32(d.upTo(math.MaxUint32)), Feed: d.feed(), Shard: uint16(d.upTo(math.MaxUint16)),
			Inst: d.inst(), EventTS: d.i(), IngestTS: d.i(), Seq: d.u(),
		}
		copy(x.ID[:], d.raw(len(x.ID)))
		x.Reason = reasons[d.upTo(uint64(len(reasons)-1))]
		out = append(out, x)
	}
	return out
}

func (d *dec) kind(s *Sequencer, k *kindState) {
	k.max, k.at, k.done = d.i(), d.i(), d.i()
	k.held, k.checkAt = int(d.i()), int(d.i())
	k.lateSeq = d.u()
	k.stale = true
	d.batch(&k.late)
	for range k.late.N {
		k.missed = append(k.missed, d.i())
	}
	d.batch(k.arena)
	k.compactAt = 3*k.arena.N + compactFrom
	for range d.n(4) {
		ts, seq, epoch, row := d.i(), d.u(), d.upTo(math.MaxUint32), d.upTo(math.MaxUint32)
		if d.bad || int(row) >= k.arena.N {
			d.fail()
			return
		}
		fk := s.feedKind(k, k.arena.Feed[row])
		fk.ord.add(makeEntry(ts, fk.si|uint64(s.nums[k.arena.Inst[row]]), uint32(epoch), seq, uint32(row)))
	}
}

func (d *dec) feedState(s *Sequencer, f *feedState) {
	c := &f.counts
	for _, v := range []*int64{&c.In, &c.Applied, &c.Late, &c.Duplicate, &c.DLQ, &c.Filtered, &c.Pending} {
		*v = d.i()
	}
	for range d.n(3) {
		x := f.carrier(uint16(d.upTo(math.MaxUint16)))
		x.base = d.i()
		d.bools(&x.live)
		if d.bad {
			return
		}
	}
	for _, k := range s.sequenced {
		if d.bad {
			return
		}
		var has bool
		if d.bools(&has); has {
			d.feedKind(s, s.kinds[k], s.feedKind(s.kinds[k], f.id))
		}
	}
}

func (d *dec) feedKind(s *Sequencer, k *kindState, fk *feedKind) {
	fk.max, fk.slow, fk.stale = d.i(), d.i(), true
	for range d.n(4) {
		shard := uint16(d.upTo(math.MaxUint16))
		var live bool
		d.bools(&live)
		m, w := d.i(), d.i()
		if d.bad || int(shard) < len(fk.shard) && fk.shard[shard] != nil {
			d.fail()
			return
		}
		k.addLine(fk, line{fk: fk, shard: shard, live: live, m: m, w: w})
	}
	fk.next = d.numbers()
	fk.last = d.numbers()
	fk.holes = d.holes()
	var has bool
	if d.bools(&has); has {
		ids := newIDSet(s.cfg.MaxIDs)
		d.ids(ids)
		if fk.ids != nil { // the feed may have been declared without dedup since
			fk.ids = ids
		}
	}
	for range d.n(20) {
		d.chain(s, fk)
		if d.bad {
			return
		}
	}
}

func (d *dec) numbers() (v []uint64) {
	for range d.n(2) {
		inst, n := d.inst(), d.u()
		if d.bad {
			return nil
		}
		v = reach(v, inst)
		v[inst] = n
	}
	return v
}

func (d *dec) holes() (l []hole) {
	for range d.n(22) {
		h := hole{
			from: d.u(), to: d.u(), ts: d.i(), inst: d.inst(), shard: uint16(d.upTo(math.MaxUint16)), ingest: d.i(),
		}
		copy(h.id[:], d.raw(len(h.id)))
		if d.bad || h.from > h.to {
			d.fail()
			return nil
		}
		l = append(l, h)
	}
	return l
}

func (d *dec) ids(s *idSet) {
	since, older := d.u(), d.u()
	n := d.n(16)
	if d.bad || older > uint64(n) {
		d.fail()
		return
	}
	s.since, s.older = int(min(since, uint64(s.limit-1))), int(older)
	for range n {
		x := d.raw(16)
		s.list = append(s.list, idTime{binary.BigEndian.Uint64(x), binary.BigEndian.Uint64(x[8:])})
	}
	s.fill()
}

func (d *dec) chain(s *Sequencer, fk *feedKind) {
	inst := d.inst()
	if d.bad || int(inst) < len(fk.chain) && fk.chain[inst] != nil || fk.kind != market.KindBook {
		d.fail()
		return
	}
	for int(inst) >= len(fk.chain) {
		fk.chain = append(fk.chain, nil)
	}
	c := s.newChain(fk, inst)
	rows := s.kinds[market.KindBook].arena.N
	d.bools(&c.chained, &c.live, &c.was, &c.known, &c.fresh, &c.fed, &c.dirty, &c.cut)
	c.last, c.covered = d.u(), d.u()
	c.epoch = uint32(d.upTo(math.MaxUint32))
	c.ts, c.emitted, c.crossed, c.run = d.i(), d.u(), d.i(), d.u()
	for _, x := range d.linkList(rows, !c.chained) {
		c.at.insert(&x)
	}
	c.snaps, c.rests, c.kept = d.linkList(rows, false), d.linkList(rows, false), d.linkList(rows, false)
	c.shard = uint16(d.upTo(math.MaxUint16))
	c.lastRow.shard = uint16(d.upTo(math.MaxUint16))
	c.lastRow.ingest = d.i()
	copy(c.lastRow.id[:], d.raw(len(c.lastRow.id)))
	if d.bad {
		return
	}
	rest, err := c.book.Restore(d.b)
	if err != nil {
		d.fail()
		return
	}
	d.b = rest
	if c.at.len() > 0 || len(c.snaps) > 0 || len(c.rests) > 0 {
		s.activate(c)
	}
}
