package backfill

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

// Env is what a backfill needs of its process.
type Env struct {
	Lake     *lake.Lake
	Now      func() time.Time
	Who      string // who publishes
	Parallel int    // tasks at once, 0 for one a CPU
	Memory   int64  // bytes of events and rows in all tasks at once, 0 for DefaultMemory; the views' own state comes on top
	Meter    *run.Meter
	Tell     []string // feature tables whose consumers have to be told of what is published (lake.Replacement.Tell)

	// BySymbol is how a new table is partitioned by symbol, beside row_ts: what lake.BySymbol
	// gives. It takes views with a symbol.
	BySymbol []lake.Partition
}

// share is the memory of all tasks at once, and how many these are.
func (e *Env) share() (memory int64, workers int) {
	memory, workers = e.Memory, e.Parallel
	if memory <= 0 {
		memory = DefaultMemory
	}
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return memory, max(1, min(workers, int(memory/leastMemory)))
}

// DefaultMemory is what the events and rows of all tasks at once may take, in bytes.
const DefaultMemory = 512 << 20

// leastMemory is what a task makes do with.
const leastMemory = 32 << 20

// tableGrain is the partition of the tables that a backfill makes.
const tableGrain = "day"

// Report is what a backfill did.
type Report struct {
	Plan      *Plan            `json:"plan"`
	Computed  int              `json:"tasks_computed"`
	Reused    int              `json:"tasks_reused"` // finished by an earlier run
	Events    int64            `json:"events"`       // read, those of the lookback included
	Views     []ViewReport     `json:"views"`
	Resumed   bool             `json:"resumed,omitempty"` // an earlier run was stopped while it published
	Published []lake.Published `json:"-"`
}

// ViewReport counts the new rows of a view.
type ViewReport struct {
	Table   string `json:"table"`
	Rows    int64  `json:"rows"`
	Warmup  int64  `json:"warmup"`  // flagged so: history was missing
	Partial int64  `json:"partial"` // flagged so: the input ended in their window
}

// Backfill is a request and what is in the lake for it.
type Backfill struct {
	Plan *Plan

	env    Env
	in     *Inputs
	req    Request
	mu     []sync.Mutex // of the views' tables: one commit at a time
	tables []*lake.Table
	states []tableState
	all    []lake.Published
	meter  Meter
	done   atomic.Int64 // bytes of finished tasks
	times  []atomic.Int64
}

// Make pins the input and plans. It changes nothing.
func Make(ctx context.Context, env Env, v *Views, req Request) (*Backfill, error) {
	if len(req.Views) == 0 {
		return nil, fault.Usage("view_missing", "no view given", "name them: --view trade_bars_1m,vwap_5m")
	}
	in, err := Pin(ctx, env.Lake, v)
	if err != nil {
		return nil, err
	}
	if req.Symbols, err = in.symbols(ctx, req.Symbols); err != nil {
		return nil, err
	}
	_, req.workers = env.share()
	b := &Backfill{env: env, in: in, req: req, mu: make([]sync.Mutex, len(req.Views)), tables: make([]*lake.Table, len(req.Views))}
	if b.all, err = env.Lake.Publications(ctx); err != nil {
		return nil, err
	}
	b.states = make([]tableState, len(req.Views))
	for i, name := range req.Views {
		if b.states[i], err = b.state(ctx, i, name); err != nil {
			return nil, err
		}
	}
	// What is staged is found by the name of the stage, which the first plan gives.
	p, err := in.plan(req, b.states)
	if err != nil {
		return nil, err
	}
	for i, t := range b.tables {
		if t != nil {
			if b.states[i].staged, err = readStaged(t, p.stage); err != nil {
				return nil, err
			}
		}
	}
	b.Plan, err = in.plan(req, b.states)
	return b, err
}

// state looks at the table of a view.
func (b *Backfill) state(ctx context.Context, i int, view string) (tableState, error) {
	at, err := b.in.Views.Output(view)
	if err != nil {
		return tableState{}, err
	}
	o := &b.in.Views.Plan.Outputs()[at]
	s := tableState{published: b.all}
	t, err := run.LoadFeatureTable(ctx, b.env.Lake, o)
	if errors.Is(err, lake.ErrNoTable) {
		return s, run.CheckBySymbol(o, b.env.BySymbol)
	}
	if err != nil {
		return s, err
	}
	base, err := t.Base()
	if err != nil {
		return s, err
	}
	s.uuid = t.UUID()
	if s.exists = true; len(base.Offsets) > 0 {
		s.through = max(base.ValidThrough, market.MinEventTime)
	}
	b.tables[i] = t
	return s, nil
}

// Run does what the plan says. Stopped at any moment, the same backfill made anew goes on
// where this one was. When it ends well nothing of it is left but the rows and the record.
func (b *Backfill) Run(ctx context.Context) (*Report, error) {
	rep, err := b.run(ctx)
	return rep, run.DiskFull(err, strings.Join(b.req.Views, ", "), "make room and run the command again: finished tasks are kept")
}

func (b *Backfill) run(ctx context.Context) (*Report, error) {
	rep := &Report{Plan: b.Plan}
	if err := b.open(ctx); err != nil {
		return rep, err
	}
	switch id, err := b.resume(ctx, rep); {
	case err != nil:
		return rep, err
	case id != "" && id != b.Plan.Publication:
		// What the earlier run had staged was of other events.
		again, err := Make(ctx, b.env, b.in.Views, b.req)
		if err != nil {
			return rep, err
		}
		return again.Run(ctx)
	case id != "":
		return rep, nil
	}
	if b.Plan.Nothing != "" {
		return rep, b.clean(ctx)
	}
	if err := b.compute(ctx, rep); err != nil {
		return rep, err
	}
	states, err := b.check(ctx)
	if err != nil {
		return rep, err
	}
	if err := b.announce(ctx, states); err != nil {
		return rep, err
	}
	return rep, b.publish(ctx, rep, states, lake.CommitID(b.Plan.Publication))
}

// open finds the views' tables, and makes those that are not there.
func (b *Backfill) open(ctx context.Context) error {
	for i, v := range b.Plan.Views {
		if b.tables[i] != nil || b.Plan.Nothing != "" {
			continue
		}
		var err error
		if b.tables[i], err = run.OpenFeatureTable(ctx, b.env.Lake, &b.in.Views.Plan.Outputs()[v.out], tableGrain, b.env.BySymbol...); err != nil {
			return err
		}
		b.states[i].uuid = b.tables[i].UUID()
	}
	req := b.req
	req.Range = Range{b.Plan.From, b.Plan.To}
	b.in.publication(b.Plan, req, b.states)
	return nil
}

// resume finishes a publication that an earlier run has begun with what it had staged: all
// tables have its mark; it returns its id. Marks of one that had not begun, or has ended, are taken away.
func (b *Backfill) resume(ctx context.Context, rep *Report) (string, error) {
	states := make([]*staged, len(b.tables))
	id, all := "", true
	for i, t := range b.tables {
		if t == nil {
			all = false
			continue
		}
		var err error
		if states[i], err = readStaged(t, b.Plan.stage); err != nil {
			return "", err
		}
		mark := first(states[i]).Publish
		if id == "" {
			id = mark
		}
		all = all && mark != "" && mark == id
	}
	if all {
		rep.Resumed, rep.Reused = true, len(states[0].Tasks)
		return id, b.publish(ctx, rep, states, lake.CommitID(id))
	}
	for i, t := range b.tables {
		if first(states[i]).Publish == "" {
			continue
		}
		var err error
		if slices.ContainsFunc(b.all, func(d lake.Published) bool { return string(d.ID) == states[i].Publish }) {
			b.tables[i], err = t.DropBranch(ctx, branchOf(b.Plan.stage), propertyOf(b.Plan.stage))
		} else {
			states[i].Publish = ""
			err = b.set(ctx, i, states[i])
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

// compute works off the tasks that are not finished.
func (b *Backfill) compute(ctx context.Context, rep *Report) error {
	todo := []int{}
	for i := range b.Plan.Tasks {
		if b.Plan.Tasks[i].Done {
			rep.Reused++
		} else {
			todo = append(todo, i)
		}
	}
	memory, workers := b.env.share()
	workers = max(1, min(workers, len(todo)))
	b.times = make([]atomic.Int64, len(b.Plan.Tasks))
	if m := b.env.Meter; m != nil {
		m.SetBytes(b.progress)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, i := range todo {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if err := b.task(ctx, i, memory/int64(workers), max(1, runtime.GOMAXPROCS(0)/workers)); err != nil {
				return fmt.Errorf("rows from %s: %w", market.FormatTime(b.Plan.Tasks[i].From), err)
			}
			b.done.Add(b.Plan.Tasks[i].Bytes)
			b.times[i].Store(0)
			return nil
		})
	}
	err := g.Wait()
	rep.Computed, rep.Events = len(todo), b.meter.Events.Load()
	return err
}

// progress is how many bytes of the input are worked off, by the time that tasks have come to.
func (b *Backfill) progress() (done, total int64) {
	done = b.done.Load()
	for i := range b.times {
		if at := b.times[i].Load(); at != 0 {
			t := &b.Plan.Tasks[i]
			from := t.From - b.Plan.Lookback
			done += int64(float64(t.Bytes) * float64(min(max(at, from), t.To)-from) / float64(t.To-from))
		}
	}
	return done, b.Plan.Bytes
}

// check looks at what is staged: every task of the plan is there, with the rows that were
// counted, of its own time.
func (b *Backfill) check(ctx context.Context) ([]*staged, error) {
	states := make([]*staged, len(b.tables))
	for i := range b.tables {
		t, err := run.LoadFeatureTable(ctx, b.env.Lake, &b.in.Views.Plan.Outputs()[b.Plan.Views[i].out])
		if err != nil {
			return nil, err
		}
		b.tables[i] = t
		s, err := readStaged(t, b.Plan.stage)
		if err != nil {
			return nil, err
		}
		files, err := stagedFiles(ctx, t, b.Plan.stage, first(s))
		if err != nil {
			return nil, err
		}
		for _, want := range b.Plan.Tasks {
			k := s.finished(want.key)
			if k == nil {
				return nil, b.held("what it was to publish is not there any more")
			}
			var rows int64
			for _, f := range files[k.Commit] {
				rows += f.Rows
				lo, ok1 := f.Bounds["row_ts"][0].(int64)
				hi, ok2 := f.Bounds["row_ts"][1].(int64)
				if !ok1 || !ok2 || lo < k.From || hi >= k.To {
					return nil, fmt.Errorf("BUG: staged file %s has rows of other times than [%d, %d)", f.Path, k.From, k.To)
				}
			}
			if rows != k.Rows {
				return nil, fmt.Errorf("table %s: %d rows are staged of the task from %s, %d were computed", t.Name(), rows, market.FormatTime(k.From), k.Rows)
			}
		}
		for _, k := range s.Tasks { // earlier releases noted tasks without events, too
			if k.Rows > 0 && !slices.ContainsFunc(b.Plan.Tasks, func(t Task) bool { return t.key == k.Key }) {
				return nil, b.held("it cuts the range otherwise")
			}
		}
		states[i] = s
	}
	return states, nil
}

func first(s *staged) *staged {
	if s == nil {
		return &staged{}
	}
	return s
}
