package features

import (
	"slices"

	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// Apart reports whether batches of one kind, each in the total order, may be pushed one after the other whatever the times of
// their rows: no two of them have rows of one entity. It says no where that takes more than a look at their instruments.
func (t *Task) Apart(batches []*market.Batch) bool {
	kind := batches[0].Kind
	if kind == market.KindInstrument || slices.ContainsFunc(t.joins, func(j *joinState) bool { return j.p.Kind == kind }) {
		return false
	}
	s := &t.owners
	s.clear()
	for k, b := range batches {
		if !s.instruments(b, int32(k+1)) {
			return false
		}
	}
	for _, st := range t.stages {
		if st.kind == kind && !st.ents.ofInstruments() && !s.entities(st, batches) {
			return false
		}
	}
	return true
}

// owners tells which of some batches has the rows of an instrument.
type owners struct {
	first []owned
	of    []int32 // batch, from 1 on, by instrument
}

// owned is the first row of an instrument.
type owned struct {
	inst  market.Inst
	batch int32
	row   int
}

func (s *owners) clear() {
	for i := range s.first {
		s.of[s.first[i].inst] = 0
	}
	s.first = s.first[:0]
}

// instruments notes those of a batch; false when an earlier one has rows of one of them.
func (s *owners) instruments(b *market.Batch, k int32) bool {
	for i, x := range b.Inst {
		if int(x) >= len(s.of) {
			s.of = append(s.of, make([]int32, int(x)+1-len(s.of))...)
		}
		if at := s.of[x]; at == 0 {
			s.of[x] = k
			s.first = append(s.first, owned{x, k, i})
		} else if at != k {
			return false
		}
	}
	return true
}

// entities reports whether no entity of a stage is in two batches. Of a key with the feed, that is not told by one row of each
// instrument.
func (s *owners) entities(st *stage, batches []*market.Batch) bool {
	if st.ents.byFeed {
		return false
	}
	of := map[uint32]int32{}
	for _, o := range s.first {
		e, err := st.entity(batches[o.batch-1], o.row)
		if err != nil || of[e] != 0 && of[e] != o.batch {
			return false
		}
		of[e] = o.batch
	}
	return true
}

// ofInstruments reports whether no entity has rows of two instruments.
func (e *entities) ofInstruments() bool {
	has := func(s plan.Source) bool {
		return slices.ContainsFunc(e.by, func(r plan.Ref) bool { return r.Source == s })
	}
	return has(plan.Exchange) && has(plan.VenueType) && has(plan.Symbol)
}
