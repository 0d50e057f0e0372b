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
	ready := 0
	for _, t := range a.tasks {
		for in := range t.inputs {
			if a.reader.Ready(t.first + in) {
				ready++
			}
		}
	}
	share := max(1, w.MaxPoll/max(1, ready))
	return each(a.tasks, func(t *task) error {
		if err := t.work(ctx, a.reader, share); err != nil {
			return err
		}
		return w.send(ctx, sess, t)
	})
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

// work feeds the task what was read, up to so many records of each input.
func (t *task) work(ctx context.Context, r *fetch.Reader, share int) error {
	for in := range t.inputs {
		if !r.Ready(t.first + in) {
			continue
		}
		if err := t.take(ctx, r, in, share); err != nil {
			return err
		}
	}
	return t.state.step(ctx, &t.out)
}

// takeRecords is how many records are taken at a time: they are in the nearest cache still when they are decoded.
const takeRecords = 512

// take feeds the task up to share records of an input.
func (t *task) take(ctx context.Context, r *fetch.Reader, in, share int) error {
	for share > 0 {
		next := t.state.next(in)
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

// recycle lets go of what was read: nothing refers to it after the commit.
func (t *task) recycle(r *fetch.Reader) {
	for in := range t.inputs {
		r.Release(t.first + in)
	}
	clear(t.count)
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
