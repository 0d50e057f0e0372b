package sequence

import (
	"github.com/pinova-group/tidemark/market"
)

// compactFrom is the number of dead rows in an arena from which it is compacted, once
// they are also twice as many as were live at the last time: few, so that the rows held
// and the room they move through stay in a near cache.
const compactFrom = 256

// release hands out the rows of a kind with ts at or below bound.
func (s *Sequencer) release(k *kindState, bound int64, out *Out) {
	rows := k.upTo(bound)
	if len(rows) > 0 {
		dst := out.Rows.BatchOf(k.kind, k.arena.Fields)
		base := dst.N
		gather(dst, k.arena, rows)
		s.number(k, dst, base)
	}
	if k.kind == market.KindTrade {
		for _, fk := range k.fks {
			s.decide(fk, bound)
		}
	}
	switch {
	case !k.waiting():
		k.arena.Reset()
	case k.arena.N > k.compactAt:
		k.compact()
	}
}

// number sets what only the order can tell on the rows from base on: running numbers,
// effective time, holes in the venue's numbers; and books them as applied.
func (s *Sequencer) number(k *kindState, b *market.Batch, base int) {
	var fk *feedKind
	for i := base; i < b.N; i++ {
		if fk == nil || fk.fs.id != b.Feed[i] {
			fk = s.byID[b.Feed[i]].kinds[k.kind]
		}
		if k.kind == market.KindStatus {
			if b.Flags[i]&flagOwn != 0 {
				b.Flags[i] &^= flagOwn
				fk.running(b, base, i)
				continue
			}
		} else {
			b.TS[i], b.Flags[i] = b.EventTS[i], b.Flags[i]&flagsIn
		}
		b.Epoch[i] = 0
		fk.fs.counts.Applied++
		fk.fs.counts.Pending--
		k.held--
		k.checkAt--
		switch {
		case !b.HasSeq[i]:
			fk.running(b, base, i)
		case fk.fs.feed.SeqStep && k.kind == market.KindTrade:
			s.step(fk, b, i)
		}
	}
}

// running gives row i the next running number of its instrument, above the venue's
// numbers at the same time.
func (fk *feedKind) running(b *market.Batch, base, i int) {
	inst := b.Inst[i]
	fk.next = reach(fk.next, inst)
	n := fk.next[inst] + 1
	if j := i - 1; j >= base && b.TS[j] == b.TS[i] && b.Inst[j] == inst && b.Feed[j] == b.Feed[i] && b.Seq[j] >= n {
		n = max(b.Seq[j]+1, b.Seq[j])
	}
	fk.next[inst], b.Seq[i] = n, n
}

func reach(v []uint64, inst market.Inst) []uint64 {
	for int(inst) >= len(v) {
		v = append(v, 0)
	}
	return v
}
