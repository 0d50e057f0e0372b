package sink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// Topics of rows have no watermarks. How far a job's rows are complete stands in its ledger, in
// the transaction of the rows. The sink reads how far, then where the topics of rows end, in this
// order: when it has read up to there, it has all rows below what the ledger said.

// tail is how many offsets before its end a ledger is read from, and a partition of events before where it is read on:
// the last record, and the last marks, are among them.
const tail = 100

// barrierEvery is how often it is looked where topics end.
const barrierEvery = time.Second

// barrier says that rows are complete once their topics are read up to the ends.
type barrier struct {
	complete map[string]int64 // by job
	ends     map[place]int64
}

// marks reads the ends of ledgers.
type marks struct {
	client *kgo.Client
	adm    *kadm.Client
	now    func() time.Time
	pos    map[place]int64
	tasks  map[string]map[int32]int64 // complete, by job and task
	of     map[string]int32           // tasks of a job
	rows   []string                   // topics of rows
	next   chan barrier               // the newest that was not taken
}

// openMarks reads the ledgers of the jobs up to their ends; nil when there is none.
func (r *reading) openMarks(ctx context.Context, cl *kgo.Client) (*marks, error) {
	m := &marks{now: r.Now, pos: map[place]int64{}, tasks: map[string]map[int32]int64{}, of: map[string]int32{}, next: make(chan barrier, 1)}
	jobs := map[string]bool{}
	for full, t := range r.topics {
		if t.view != nil {
			m.rows = append(m.rows, full)
			if j := r.Jobs[t.view.out.Name]; j != "" {
				jobs[j] = true
			}
		}
	}
	var names []string
	for j := range jobs {
		name, err := (topic.Name{Class: topic.Ledger, Job: j}).Topic()
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, nil
	}
	adm := kadm.NewClient(cl)
	first, err := adm.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	last, err := adm.ListCommittedOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	from, ends := map[string]map[int32]kgo.Offset{}, map[place]int64{}
	last.Each(func(o kadm.ListedOffset) {
		start, ok := first.Lookup(o.Topic, o.Partition)
		if o.Err != nil || !ok || start.Err != nil { // a ledger that is not there says nothing
			return
		}
		at := place{o.Topic, o.Partition}
		m.pos[at], ends[at] = max(start.Offset, o.Offset-tail), o.Offset
		if from[o.Topic] == nil {
			from[o.Topic] = map[int32]kgo.Offset{}
		}
		from[o.Topic][o.Partition] = kgo.NewOffset().At(m.pos[at])
	})
	if len(from) == 0 {
		return nil, nil
	}
	m.client, err = kgo.NewClient(append(slices.Clone(r.Options), kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.FetchMaxWait(pollWait))...)
	if err != nil {
		return nil, err
	}
	m.adm = kadm.NewClient(m.client)
	for at, end := range ends {
		for m.pos[at] < end {
			if err := m.poll(ctx); err != nil {
				m.client.Close()
				return nil, err
			}
		}
	}
	return m, nil
}

// poll reads some records, or none in a while.
func (m *marks) poll(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, barrierEvery)
	defer cancel()
	fs := m.client.PollFetches(wait)
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, e := range fs.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) {
			return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	fs.EachRecord(func(rec *kgo.Record) {
		m.pos[place{rec.Topic, rec.Partition}] = rec.Offset + 1
		if rec.Attrs.IsControl() {
			return
		}
		d, err := record.ReadLedger(rec.Value)
		if err != nil || d.Complete == 0 || d.Tasks == 0 { // who writes the ledger's table says so
			return
		}
		if m.tasks[d.Job] == nil {
			m.tasks[d.Job] = map[int32]int64{}
		}
		m.tasks[d.Job][d.Task] = max(m.tasks[d.Job][d.Task], d.Complete)
		m.of[d.Job] = d.Tasks
	})
	return nil
}

// complete is up to where the rows of each job are complete; a job of which a task has said nothing has none.
func (m *marks) complete() map[string]int64 {
	out := map[string]int64{}
	for job, tasks := range m.tasks {
		if len(tasks) == int(m.of[job]) {
			out[job] = slices.Min(slices.Collect(maps.Values(tasks)))
		}
	}
	return out
}

// run sends barriers until ctx ends. What fails is tried again: it delays no rows.
func (m *marks) run(ctx context.Context) {
	defer m.client.Close()
	var said map[string]int64
	looked := m.now()
	for ctx.Err() == nil {
		if err := m.poll(ctx); err != nil {
			sleep(ctx, barrierEvery)
			continue
		}
		complete := m.complete()
		if maps.Equal(complete, said) || m.now().Sub(looked) < barrierEvery {
			continue
		}
		looked = m.now()
		last, err := m.adm.ListCommittedOffsets(ctx, m.rows...)
		if err != nil || last.Error() != nil {
			continue
		}
		b := barrier{complete: complete, ends: map[place]int64{}}
		last.Each(func(o kadm.ListedOffset) { b.ends[place{o.Topic, o.Partition}] = o.Offset })
		select {
		case <-m.next: // it was not taken; the new one says more
		default:
		}
		m.next <- b
		said = complete
	}
}

// passBarrier notes how far tables of rows are complete.
func (r *reading) passBarrier() {
	if r.marks == nil {
		return
	}
	if r.barrier == nil {
		select {
		case b := <-r.marks.next:
			r.barrier = &b
		default:
			return
		}
	}
	for at, end := range r.barrier.ends {
		if in := r.inputs[at]; in != nil && in.next < end {
			return
		}
	}
	for _, t := range r.topics {
		if t.view != nil {
			tab := t.tables[0]
			tab.rowsUpTo = max(tab.rowsUpTo, r.barrier.complete[r.Jobs[t.view.out.Name]])
		}
	}
	r.barrier = nil
}
