package features

import (
	"fmt"

	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// stage is the views that read one kind under one entity key: rows are grouped by
// entity once for all of them.
type stage struct {
	task  *Task
	kind  market.Kind
	ents  *entities
	views []*viewState

	direct   cols // the batch as it stands
	gathered cols // the batch by entity
	runs     []run
	perm     []int32
	count    []int32
	touched  []uint32
	ent      []uint32
}

func (st *stage) add(v *viewState) {
	st.views = append(st.views, v)
	for _, k := range payloadColumns(v.p) {
		seen := false
		for _, g := range st.gathered.gatherable {
			seen = seen || g == k
		}
		if !seen {
			st.gathered.gatherable = append(st.gathered.gatherable, k)
		}
	}
}

// payloadColumns are the payload columns that a view of a kind reads.
func payloadColumns(v *plan.View) []int {
	var ks []int
	for _, in := range v.Inputs {
		if in.Ref.Source == plan.Payload {
			ks = append(ks, in.Ref.Index)
		}
	}
	return ks
}

// sortBelow is the mean length of runs below which rows are grouped by entity before
// they are folded: gathering a row costs less than starting a segment for it.
const sortBelow = 16

func (st *stage) push(b *market.Batch) error {
	st.direct.view(b)
	st.direct.nulls(b.Cols)
	c := &st.direct
	if !st.findRuns(b) {
		st.group(b)
		c = &st.gathered
	}
	if err := st.order(c); err != nil {
		return err
	}
	for _, v := range st.views {
		v.push(c, st.runs)
	}
	return nil
}

// findRuns lists the runs of rows of one entity as they stand; false when they are so
// short that sorting pays.
func (st *stage) findRuns(b *market.Batch) bool {
	st.runs = st.runs[:0]
	inst := b.Inst
	limit := len(inst)/sortBelow + 1
	for lo := 0; lo < len(inst); {
		x := inst[lo]
		hi := lo + 1
		for hi < len(inst) && inst[hi] == x {
			hi++
		}
		if st.ents.byFeed {
			for f := lo + 1; f < hi; f++ {
				if b.Feed[f] != b.Feed[lo] {
					hi = f
				}
			}
		}
		e := st.entity(b, lo)
		if n := len(st.runs); n > 0 && st.runs[n-1].ent == e {
			st.runs[n-1].hi = hi
		} else {
			if len(st.runs) == limit {
				return false
			}
			st.runs = append(st.runs, run{e, lo, hi})
		}
		lo = hi
	}
	return true
}

// entity is the entity of row i.
func (st *stage) entity(b *market.Batch, i int) uint32 {
	x := int(b.Inst[i])
	if !st.ents.byFeed {
		if from := st.ents.from; x < len(from) && from[x] >= 0 {
			return uint32(from[x])
		}
		return st.ents.of(x, func(r plan.Ref) string { return string(st.task.inst[x][r.Source-plan.Exchange]) })
	}
	feed := b.Feed[i]
	return st.ents.ofFeed(x, feed, func(r plan.Ref) string {
		if r.Source == plan.FeedName {
			return string(st.task.feeds.name(feed))
		}
		return string(st.task.inst[x][r.Source-plan.Exchange])
	})
}

// group is a stable counting sort of the rows by entity and a gather of the columns.
func (st *stage) group(b *market.Batch) {
	n := b.N
	st.ent, st.perm = grow(st.ent, n), grow(st.perm, n)
	st.touched = st.touched[:0]
	for i := range n {
		e := st.entity(b, i)
		st.ent[i] = e
		if int(e) >= len(st.count) {
			st.count = append(st.count, make([]int32, int(e)+1-len(st.count))...)
		}
		if st.count[e] == 0 {
			st.touched = append(st.touched, e)
		}
		st.count[e]++
	}
	st.runs = st.runs[:0]
	at := int32(0)
	for _, e := range st.touched {
		k := st.count[e]
		st.runs = append(st.runs, run{e, int(at), int(at + k)})
		st.count[e] = at
		at += k
	}
	for i, e := range st.ent {
		st.perm[st.count[e]] = int32(i)
		st.count[e]++
	}
	for _, e := range st.touched {
		st.count[e] = 0
	}
	st.gathered.gather(&st.direct, st.kind, st.perm)
}

// order checks that rows of an entity do not go back in time.
func (st *stage) order(c *cols) error {
	for _, r := range st.runs {
		ts := c.ts[r.lo:r.hi]
		prev, sorted := st.ents.last[r.ent], true
		for _, t := range ts {
			sorted = sorted && t >= prev
			prev = t
		}
		if !sorted {
			return fmt.Errorf("push %s: rows of %v go back in time", st.kind, st.ents.names[r.ent])
		}
		st.ents.last[r.ent] = prev
	}
	return nil
}
