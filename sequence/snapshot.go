package sequence

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/pinova-group/tidemark/market"
)

// Format of a snapshot: magic, version, user-defined kinds, feed names, instruments, then the state in the
// order of the functions below, and at the end xxh3-64 of all before it, big endian.
const (
	snapshotMagic   = "TMSQ"
	snapshotVersion = 5
)

// AppendSnapshot appends the whole state to dst, rows held and verdicts not yet handed
// out included. The same calls before it give the same bytes; a sequencer restored from
// them gives from then on the same output as this one.
func (s *Sequencer) AppendSnapshot(dst []byte) []byte {
	start := len(dst)
	for _, k := range s.sequenced {
		ks := s.kinds[k]
		slices.SortFunc(ks.fks, func(a, b *feedKind) int { return strings.Compare(a.fs.feed.Name, b.fs.feed.Name) })
		if k == market.KindBook {
			s.forceCompactBooks()
		} else {
			ks.compact()
		}
	}
	e := &enc{b: append(append(dst, snapshotMagic...), snapshotVersion)}
	feeds := slices.Clone(s.feeds)
	slices.SortFunc(feeds, func(a, b *feedState) int { return strings.Compare(a.feed.Name, b.feed.Name) })
	e.defined(s.cfg.Kinds)
	e.names(s, feeds)
	e.i(s.statusMark)
	e.i(s.raised)
	e.i(s.books.keyframeAt)
	e.bools(s.closed)
	e.deadLetters(s.dead)
	for _, k := range s.sequenced {
		e.kind(s.kinds[k])
	}
	for _, f := range feeds {
		e.feed(s, f)
	}
	return binary.BigEndian.AppendUint64(e.b, xxh3.Hash(e.b[start:]))
}

// defined writes the user-defined kinds, on whose names and columns the state depends.
func (e *enc) defined(kinds *market.Kinds) {
	list := kinds.Defined()
	e.n(len(list))
	for _, k := range list {
		e.bytes([]byte(kinds.Definition(k).String()))
	}
}

// names writes the tables of feeds and of the instruments that the state refers to.
func (e *enc) names(s *Sequencer, feeds []*feedState) {
	e.feeds = make([]int32, market.MaxFeeds)
	e.n(len(feeds))
	for i, f := range feeds {
		e.feeds[f.id] = int32(i)
		e.bytes([]byte(f.feed.Name))
	}
	used := make([]bool, len(s.nums))
	for i := range s.dead {
		used[s.dead[i].Inst] = true
	}
	for _, k := range s.sequenced {
		for _, b := range []*market.Batch{s.kinds[k].arena, &s.kinds[k].late} {
			for _, inst := range b.Inst {
				used[inst] = true
			}
		}
		for _, fk := range s.kinds[k].fks {
			fk.eachInst(func(inst market.Inst) { used[inst] = true })
		}
	}
	type named struct {
		market.Instrument
		at market.Inst
	}
	var insts []named
	for i, u := range used {
		if u {
			insts = append(insts, named{s.cfg.Insts.Get(market.Inst(i)), market.Inst(i)})
		}
	}
	slices.SortFunc(insts, func(a, b named) int {
		return cmp.Or(strings.Compare(a.Exchange, b.Exchange), cmp.Compare(a.Venue, b.Venue), strings.Compare(a.Symbol, b.Symbol))
	})
	e.insts = make([]int32, len(used))
	e.n(len(insts))
	for i, x := range insts {
		e.insts[x.at] = int32(i)
		e.bytes([]byte(x.Exchange))
		e.u(uint64(x.Venue))
		e.bytes([]byte(x.Symbol))
	}
}

func (fk *feedKind) eachInst(visit func(market.Inst)) {
	for _, list := range [][]uint64{fk.next, fk.last} {
		for i, v := range list {
			if v != 0 {
				visit(market.Inst(i))
			}
		}
	}
	for i, c := range fk.chain {
		if c != nil {
			visit(market.Inst(i))
		}
	}
}

func (e *enc) deadLetters(l []Dead) {
	e.n(len(l))
	for i := range l {
		d := &l[i]
		e.u(uint64(d.Kind))
		e.u(uint64(d.Row))
		e.n(int(e.feeds[d.Feed]))
		e.u(uint64(d.Shard))
		e.n(int(e.insts[d.Inst]))
		e.i(d.EventTS)
		e.i(d.IngestTS)
		e.u(d.Seq)
		e.b = append(e.b, d.ID[:]...)
		e.n(slices.Index(reasons, d.Reason))
	}
}

func (e *enc) kind(k *kindState) {
	e.i(k.max)
	e.i(k.at)
	e.i(k.done)
	e.i(int64(k.held))
	e.i(int64(k.checkAt))
	e.u(k.lateSeq)
	e.batch(&k.late)
	for _, w := range k.missed {
		e.i(w)
	}
	e.batch(k.arena)
	n := 0
	for _, fk := range k.fks {
		n += fk.ord.len()
	}
	e.n(n)
	for _, fk := range k.fks {
		run := fk.ord.run[fk.ord.head:]
		for i := range run {
			x := &run[i]
			e.i(x.ts)
			e.u(x.seq)
			e.u(uint64(x.epoch()))
			e.u(uint64(x.row()))
		}
	}
}

func (e *enc) feed(s *Sequencer, f *feedState) {
	c := &f.counts
	for _, v := range []int64{c.In, c.Applied, c.Late, c.Duplicate, c.DLQ, c.Filtered, c.Pending} {
		e.i(v)
	}
	shards := slices.Sorted(slices.Values(f.shards))
	e.n(len(shards))
	for _, shard := range shards {
		e.u(uint64(shard))
		e.i(f.carriers[shard].base)
		e.bools(f.carriers[shard].live)
	}
	for _, k := range s.sequenced {
		fk := f.kinds[k]
		e.bools(fk != nil)
		if fk != nil {
			e.feedKind(fk)
		}
	}
}

func (e *enc) feedKind(fk *feedKind) {
	e.i(fk.max)
	e.i(fk.slow)
	e.n(len(fk.lines))
	for _, l := range fk.shard {
		if l != nil {
			e.u(uint64(l.shard))
			e.bools(l.live)
			e.i(l.m)
			e.i(l.w)
		}
	}
	e.numbers(fk.next)
	e.numbers(fk.last)
	e.holes(fk.holes)
	e.bools(fk.ids != nil)
	if fk.ids != nil {
		e.ids(fk.ids, fk.forget())
	}
	n := 0
	for _, c := range fk.chain {
		if c != nil {
			n++
		}
	}
	e.n(n)
	for _, inst := range e.byTable(len(fk.chain)) {
		if c := fk.chain[inst]; c != nil {
			e.chain(c)
		}
	}
}

// byTable lists the handles below n in the order of the snapshot's table, so that the
// bytes do not depend on the handles of this process.
func (e *enc) byTable(n int) []market.Inst {
	out := make([]market.Inst, n)
	for i := range out {
		out[i] = market.Inst(i)
	}
	slices.SortStableFunc(out, func(a, b market.Inst) int { return cmp.Compare(e.insts[a], e.insts[b]) })
	return out
}

func (e *enc) numbers(v []uint64) {
	n := 0
	for _, x := range v {
		if x != 0 {
			n++
		}
	}
	e.n(n)
	for _, inst := range e.byTable(len(v)) {
		if v[inst] != 0 {
			e.n(int(e.insts[inst]))
			e.u(v[inst])
		}
	}
}

func (e *enc) holes(l []hole) {
	e.n(len(l))
	for i := range l {
		h := &l[i]
		e.u(h.from)
		e.u(h.to)
		e.i(h.ts)
		e.n(int(e.insts[h.inst]))
		e.u(uint64(h.shard))
		e.i(h.ingest)
		e.b = append(e.b, h.id[:]...)
	}
}

// ids writes the ids that are not forgotten: they do not depend on when the list was last full.
func (e *enc) ids(s *idSet, forget int64) {
	n, older := s.live(forget)
	e.n(s.since)
	e.n(older)
	e.n(n)
	for i := range s.list {
		if x := &s.list[i]; !x.before(forget) {
			e.b = binary.BigEndian.AppendUint64(e.b, x.a)
			e.b = binary.BigEndian.AppendUint64(e.b, x.bt)
		}
	}
}

// idSize is how many bytes of a snapshot an id takes.
const idSize = 16

// SnapshotSize is how many bytes AppendSnapshot appends for ids, which are most of it; of those that are forgotten too.
func (s *Sequencer) SnapshotSize() int {
	n := 0
	for _, f := range s.feeds {
		for _, fk := range f.kinds {
			if fk != nil && fk.ids != nil {
				n += idSize * len(fk.ids.list)
			}
		}
	}
	return n
}

func (e *enc) chain(c *chain) {
	e.n(int(e.insts[c.inst]))
	e.bools(c.chained, c.live, c.was, c.known, c.fresh, c.fed, c.dirty, c.cut)
	e.u(c.last)
	e.u(c.covered)
	e.u(uint64(c.epoch))
	e.i(c.ts)
	e.u(c.emitted)
	e.i(c.crossed)
	e.u(c.run)
	e.linkList(c.at.l[c.at.head:])
	e.linkList(c.snaps)
	e.linkList(c.rests)
	e.linkList(c.kept)
	e.u(uint64(c.shard))
	e.u(uint64(c.lastRow.shard))
	e.i(c.lastRow.ingest)
	e.b = append(e.b, c.lastRow.id[:]...)
	e.b = c.book.AppendSnapshot(e.b)
}
