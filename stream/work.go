package stream

import (
	"context"
	"runtime"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/pinova-group/tidemark/stream/fetch"
)

// work feeds the tasks what was read, and sends what they put out.
func (w *worker) work(ctx context.Context, sess *kgo.GroupTransactSession, a *assignment) error {
	share := a.share(w.MaxPoll)
	return each(a.tasks, func(t *task) error {
		if err := t.takeAll(ctx, a.reader, share); err != nil {
			return err
		}
		if err := t.state.step(ctx, &t.out); err != nil {
			return err
		}
		return w.send(ctx, sess, t)
	})
}

// ahead feeds the tasks what is there for the next cycle, while the last one is committed.
func (w *worker) ahead(ctx context.Context, a *assignment) error {
	share := a.share(w.MaxPoll)
	return each(a.tasks, func(t *task) error { return t.takeAll(ctx, a.reader, share) })
}

// begun reports whether records of the next cycle have been taken.
func (a *assignment) begun() bool { return a.records() > 0 }

// records is how many were taken in this cycle.
func (a *assignment) records() int {
	n := 0
	for _, t := range a.tasks {
		for _, c := range t.count {
			n += c
		}
	}
	return n
}

// share is how many records of each input that has some may be taken, if a cycle takes so many of all.
func (a *assignment) share(most int) int {
	ready := 0
	for _, t := range a.tasks {
		for in := range t.inputs {
			if a.reader.Ready(t.first + in) {
				ready++
			}
		}
	}
	if left := most - a.records(); ready > 0 && left > 0 {
		return max(1, left/ready)
	}
	return 0
}

// gather is how long few rows wait for those of other tasks: windows of one length end in all partitions at once, and what
// is not in one transaction waits for all of it to end.
const gather = 3 * time.Millisecond

// others reports whether some tasks have put out rows, few, and others none.
func (a *assignment) others() bool {
	rows, tasks := 0, 0
	for _, t := range a.tasks {
		rows += t.out.n
		if t.out.n > 0 {
			tasks++
		}
	}
	return rows > 0 && rows <= fewRecords && tasks < len(a.tasks)
}

// takeAll feeds the task what was read, up to so many records of each input.
func (t *task) takeAll(ctx context.Context, r *fetch.Reader, share int) error {
	for in := range t.inputs {
		if !r.Ready(t.first + in) {
			continue
		}
		if err := t.take(ctx, r, in, share); err != nil {
			return err
		}
	}
	return nil
}

// takeRecords is how many records are taken at a time: they are in the nearest cache still when they are decoded.
const takeRecords = 512

// take feeds the task up to share records of an input.
func (t *task) take(ctx context.Context, r *fetch.Reader, in, share int) error {
	for share > 0 {
		next := t.state.next(in)
		if x := r.TakeHanded(t.first + in); x != nil {
			t.count[in] += x.Records
			share -= x.Records
			if next < 0 {
				continue
			}
			ok, err := t.state.(*featuresMachine).addHanded(ctx, in, x)
			if err != nil {
				return err
			}
			if !ok {
				r.Again(t.first+in, next)
				return nil
			}
			t.dirty[in], t.read = true, true
			continue
		}
		recs, err := r.Take(t.first+in, t.recs[:0], min(share, takeRecords))
		t.recs = recs
		t.count[in] += len(recs)
		if err != nil || len(recs) == 0 {
			return err
		}
		share -= len(recs)
		if next < 0 {
			continue
		}
		if err := t.state.add(ctx, in, recs); err != nil {
			return err
		}
		t.dirty[in], t.read = true, true
	}
	return nil
}

// settle says that what was read until now is what the commit to come is about: it may be read on meanwhile.
func (t *task) settle() {
	for in := range t.inputs {
		t.at[in] = t.state.next(in)
		t.moved[in] = t.moved[in] || t.dirty[in]
	}
	clear(t.dirty)
}

// recycle lets go of what was read until then: nothing refers to it after the commit.
func (t *task) recycle(r *fetch.Reader) {
	for in := range t.inputs {
		r.Release(t.first + in)
	}
}

// each calls fn for all tasks, as many at a time as there are cores.
func each(tasks []*task, fn func(*task) error) error {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, t := range tasks {
		g.Go(func() error { return fn(t) })
	}
	return g.Wait()
}
