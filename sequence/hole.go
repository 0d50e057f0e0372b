package sequence

import (
	"slices"

	"github.com/pinova-group/tidemark/market"
)

// hole is a range of trade numbers that had not left when a higher one did. A venue's
// clock that steps back turns trades round in time, so it is a gap only when they do
// not leave within the feed's disorder of that row either.
type hole struct {
	from, to uint64
	ts       int64 // of the row behind it
	inst     market.Inst
	shard    uint16
	ingest   int64
	id       market.ID
}

// maxHoles bounds the holes of a feed that are waited for; beyond it the oldest counts
// as a gap at once.
const maxHoles = 256

// step follows trade numbers that rise by one. Number 0 is no number. The row behind a
// hole is flagged as it leaves, before it is known whether the numbers come; the status
// row is written when they have not.
func (s *Sequencer) step(fk *feedKind, b *market.Batch, i int) {
	inst, seq, ts := b.Inst[i], b.Seq[i], b.TS[i]
	fk.last = reach(fk.last, inst)
	last := fk.last[inst]
	if seq <= last {
		fk.fill(inst, seq, ts)
		return
	}
	fk.last[inst] = seq
	if last == 0 || seq == last+1 {
		return
	}
	b.Flags[i] |= market.FlagGap
	s.decide(fk, ts-1) // so that the number of holes depends on the order alone
	if len(fk.holes) >= maxHoles {
		s.gap(fk, &fk.holes[0])
		fk.holes = slices.Delete(fk.holes, 0, 1)
	}
	fk.holes = append(fk.holes, hole{
		from: last + 1, to: seq - 1, ts: ts, inst: inst, shard: b.Shard[i], ingest: b.IngestTS[i], id: b.ID[i],
	})
}

// fill takes a number that left at ts out of the hole that it closes or parts.
func (fk *feedKind) fill(inst market.Inst, seq uint64, ts int64) {
	for j := range fk.holes {
		h := &fk.holes[j]
		if h.inst != inst || seq < h.from || seq > h.to {
			continue
		}
		switch {
		case ts > h.ts+fk.fs.feed.Disorder: // decided
		case h.from == h.to:
			fk.holes = slices.Delete(fk.holes, j, j+1)
		case seq == h.from:
			h.from++
		case seq == h.to:
			h.to--
		default:
			right := *h
			h.to, right.from = seq-1, seq+1
			fk.holes = slices.Insert(fk.holes, j+1, right)
		}
		return
	}
}

// decide makes gaps of the holes that lie the disorder behind what has left.
func (s *Sequencer) decide(fk *feedKind, left int64) {
	n := 0
	for n < len(fk.holes) && fk.holes[n].ts+fk.fs.feed.Disorder <= left {
		n++
	}
	for j := range n {
		s.gap(fk, &fk.holes[j])
	}
	fk.holes = slices.Delete(fk.holes, 0, n)
}

// gap writes the status row of a hole beside the row behind it.
func (s *Sequencer) gap(fk *feedKind, h *hole) {
	s.writeStatusOf(market.KindTrade, market.Envelope{
		Feed: fk.fs.id, Shard: h.shard, Inst: h.inst, EventTS: h.ts, IngestTS: h.ingest, ID: h.id,
	}, h.ts, market.StatusGap, "trade ids missing", h.from, h.to)
}

// patience is how far status rows stay behind the trades, so that the row of a gap can
// still take its place: the greatest disorder of feeds whose trades are counted.
func (k *kindState) patience() int64 {
	wait := int64(0)
	for _, fk := range k.fks {
		if fk.fs.feed.SeqStep {
			wait = max(wait, fk.fs.feed.Disorder)
		}
	}
	return wait
}
