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

	gathered cols // the batch by entity
	runs     []run
	perm     []int32
	count    []int32
	touched  []uint32
	ent      []uint32
	last     []int64 // event time of the last row of each entity: order is checked, not assumed
}

func (st *stage) add(v *viewState) {
	st.views = append(st.views, v)
	st.gathered.want.add(v.p, st.kind)
	v.picked.want.add(v.p, st.kind)
}

// sortBelow is the mean length of runs below which rows are grouped by entity before
// they are folded: gathering a row costs less than starting a segment for it.
const sortBelow = 16

// push groups a batch, which c shows as it stands, and folds it into the views.
func (st *stage) push(b *market.Batch, c *cols) error {
	sorted, err := st.findRuns(b)
	if err == nil && !sorted {
		c, err = &st.gathered, st.group(b, c)
	}
	if err == nil {
		err = st.order(c)
	}
	if err != nil {
		return err
	}
	for _, v := range st.views {
		if v.p.Union != nil {
			v.holdUnion(st.kind, c, st.runs)
		} else {
			v.push(c, st.runs)
		}
	}
	return nil
}

// findRuns lists the runs of rows of one entity as they stand; false when they are so
// short that sorting pays.
func (st *stage) findRuns(b *market.Batch) (bool, error) {
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
		e, err := st.entity(b, lo)
		if err != nil {
			return false, err
		}
		if n := len(st.runs); n > 0 && st.runs[n-1].ent == e {
			st.runs[n-1].hi = hi
		} else {
			if len(st.runs) == limit {
				return false, nil
			}
			st.runs = append(st.runs, run{e, lo, hi})
		}
		lo = hi
	}
	return true, nil
}

// entity is the entity of row i.
func (st *stage) entity(b *market.Batch, i int) (uint32, error) {
	x := int(b.Inst[i])
	if from := st.ents.from; x < len(from) && from[x] >= 0 {
		return uint32(from[x]), nil
	}
	return st.newEntity(x, b.Feed[i])
}

func (st *stage) newEntity(x int, feed market.FeedID) (uint32, error) {
	if err := st.task.meet(x); err != nil {
		return 0, fmt.Errorf("push %s: %w", st.kind, err)
	}
	name := func(r plan.Ref) string {
		if r.Source == plan.FeedName {
			return string(st.task.feeds.name(feed))
		}
		return string(st.task.inst[x][r.Source-plan.Exchange])
	}
	if st.ents.byFeed {
		return st.ents.ofFeed(x, feed, name), nil
	}
	return st.ents.of(x, name), nil
}

// group is a stable counting sort of the rows by entity and a gather of the columns.
func (st *stage) group(b *market.Batch, c *cols) error {
	n := b.N
	st.ent, st.perm = grow(st.ent, n), grow(st.perm, n)
	st.touched = st.touched[:0]
	for i := range n {
		e, err := st.entity(b, i)
		if err != nil {
			return err
		}
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
	st.gathered.gather(c, st.task.plan.kinds.Fields(st.kind), st.perm)
	return nil
}

// order checks that rows of an entity do not go back in time, nor behind the mark.
func (st *stage) order(c *cols) error {
	mark, first := st.task.marks[st.kind], &st.task.first[st.kind]
	for _, r := range st.runs {
		ts := c.ts[r.lo:r.hi]
		if ts[0] < mark || ts[0] < market.MinEventTime {
			return fmt.Errorf("push %s: row at %s below the mark %s", st.kind, market.FormatTime(ts[0]), market.FormatTime(mark))
		}
		if *first == market.NoTime || ts[0] < *first {
			*first = ts[0]
		}
		for int(r.ent) >= len(st.last) {
			st.last = append(st.last, 0)
		}
		prev, falls := st.last[r.ent], int64(0)
		for _, t := range ts {
			falls |= t - prev // its sign, both being far from the ends of the range
			prev = t
		}
		if falls < 0 {
			return fmt.Errorf("push %s: rows of %v go back in time", st.kind, st.ents.names[r.ent])
		}
		st.last[r.ent] = prev
	}
	return nil
}
