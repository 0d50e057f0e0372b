package backfill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	lakefile "github.com/pinova-group/tidemark/lake/file"
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
		return s, nil
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
		if b.tables[i], err = run.OpenFeatureTable(ctx, b.env.Lake, &b.in.Views.Plan.Outputs()[v.out], tableGrain); err != nil {
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
			var text string
			if text, err = states[i].text(); err == nil {
				b.tables[i], err = t.UpdateProperty(ctx, propertyOf(b.Plan.stage), func(*lake.Table, string) (string, error) { return text, nil })
			}
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
	memory := b.env.Memory
	if memory <= 0 {
		memory = DefaultMemory
	}
	workers := b.env.Parallel
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	workers = max(1, min(workers, len(todo), int(memory/leastMemory)))
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

// output takes the rows of one view in one task.
type output struct {
	view int // place in Plan.Views
	id   lake.CommitID
	rows *lake.Rows
	pack *run.FeatureRows
	task stagedTask
}

// task computes one task and commits its rows to the branches of the views' tables.
func (b *Backfill) task(ctx context.Context, i int, memory int64, workers int) error {
	t := &b.Plan.Tasks[i]
	var outs []*output
	for v := range b.Plan.Views {
		s, err := readStaged(b.tables[v], b.Plan.stage)
		if err != nil {
			return err
		}
		if s.finished(t.key) != nil {
			continue
		}
		o, err := b.output(v, t, memory/int64(4*len(b.Plan.Views)))
		if err != nil {
			return err
		}
		outs = append(outs, o)
	}
	opt := Options{As: b.req.As, Symbols: b.req.Symbols, Memory: memory / 2 / int64(max(1, len(b.in.Tables))), Workers: workers, Meter: &b.meter}
	err := b.in.Compute(ctx, Range{t.From, t.To}, opt, func(rows *features.Rows, names func(int, uint32) []string) error {
		for _, o := range outs {
			if err := o.take(ctx, &rows.Views[b.Plan.Views[o.view].out], func(e uint32) []string { return names(b.Plan.Views[o.view].out, e) }); err != nil {
				return err
			}
		}
		b.note(i, rows)
		return nil
	})
	if err != nil {
		return err
	}
	for _, o := range outs {
		if err := b.stage(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// note tells the meter where a task is.
func (b *Backfill) note(i int, rows *features.Rows) {
	for v := range rows.Views {
		if n := rows.Views[v].Len(); n > 0 {
			b.times[i].Store(max(b.times[i].Load(), rows.Views[v].RowTS[n-1]))
		}
	}
	if m := b.env.Meter; m != nil {
		m.Events.Store(b.meter.Events.Load())
		m.Rows.Store(b.meter.Rows.Load())
		m.Time.Store(max(m.Time.Load(), b.times[i].Load()))
	}
}

func (b *Backfill) output(v int, t *Task, memory int64) (*output, error) {
	o := &output{view: v, id: lake.NewCommitID(), pack: run.NewFeatureRows(&b.in.Views.Plan.Outputs()[b.Plan.Views[v].out])}
	o.task = stagedTask{From: t.From, To: t.To, Key: t.key, Commit: o.id}
	cols, err := b.tables[v].Columns()
	if err != nil {
		return nil, err
	}
	if !slices.EqualFunc(cols, o.pack.Columns(), func(a, b lakefile.Column) bool { return a.Name == b.Name && a.Type == b.Type && a.Scale == b.Scale }) {
		return nil, &fault.Error{Code: "schema", Message: "the table has other columns than the view", Where: b.tables[v].Name(), Exit: fault.ExitFailed,
			Remedy: "raise version: in the spec; the new version has a table of its own"}
	}
	o.rows, err = b.tables[v].NewRows(o.id, cols, nil, memory)
	return o, err
}

func (o *output) take(ctx context.Context, v *features.ViewRows, names func(uint32) []string) error {
	if v.Len() == 0 {
		return nil
	}
	o.task.Rows += int64(v.Len())
	for _, f := range v.Flags {
		if f&features.FlagWarmup != 0 {
			o.task.Warmup++
		}
		if f&features.FlagPartial != 0 {
			o.task.Partial++
		}
	}
	return o.rows.Append(ctx, o.pack.Pack(v, names), nil)
}

// stage commits the rows of a task to the branch of its table, and notes there that it is
// finished.
func (b *Backfill) stage(ctx context.Context, o *output) error {
	files, err := o.rows.Finish(ctx)
	if err != nil {
		return err
	}
	b.mu[o.view].Lock()
	defer b.mu[o.view].Unlock()
	stage := b.Plan.stage
	_, err = b.tables[o.view].Commit(ctx, branchOf(stage), o.id, func(ctx context.Context, base lake.Base) (*lake.Change, error) {
		s, err := readStaged(base.Table, stage)
		switch {
		case err != nil:
			return nil, err
		case s == nil:
			s = &staged{At: b.env.Now().UnixMicro(), Step: b.Plan.Step}
		case s.Publish != "":
			return nil, b.held("it publishes already")
		case s.finished(o.task.Key) != nil:
			return nil, nil // by another process
		}
		old, err := stagedFiles(ctx, base.Table, stage, s)
		if err != nil {
			return nil, err
		}
		ch := &lake.Change{Add: files}
		for _, id := range s.put(o.task) {
			for _, f := range old[id] {
				ch.Remove = append(ch.Remove, f.Path)
			}
		}
		text, err := s.text()
		ch.Properties = map[string]string{propertyOf(stage): text}
		return ch, err
	})
	return err
}

func (b *Backfill) held(why string) error {
	return &fault.Error{Code: "backfill_held", Message: "another process is at work on the same backfill", Why: why, Exit: fault.ExitHeld,
		Remedy: "let it end, and run the command again: it says whether something is left to do"}
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
		if len(s.Tasks) != len(b.Plan.Tasks) {
			return nil, b.held("it cuts the range otherwise")
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

// announce notes in each table that the publication begins. From then on nothing staged
// changes, so that whoever goes on publishes the same rows by the same name.
func (b *Backfill) announce(ctx context.Context, states []*staged) error {
	for i, t := range b.tables {
		states[i].At = states[0].At
		states[i].Publish = b.Plan.Publication
		text, err := states[i].text()
		if err != nil {
			return err
		}
		key := propertyOf(b.Plan.stage)
		if b.tables[i], err = t.UpdateProperty(ctx, key, func(_ *lake.Table, was string) (string, error) {
			if was == "" {
				return "", b.held("it has published")
			}
			return text, nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// publish replaces the rows of the range by those that are staged, and takes the stage away.
func (b *Backfill) publish(ctx context.Context, rep *Report, states []*staged, id lake.CommitID) error {
	pub := lake.Publication{ID: id, At: states[0].At, Who: b.env.Who, Known: []lake.CommitID{}}
	pub.Reason = "tidemark backfill --as " + b.Plan.As
	for _, d := range b.all {
		pub.Known = append(pub.Known, d.ID)
	}
	note, err := json.Marshal(map[string]any{"from": b.Plan.From, "to": b.Plan.To, "as": b.Plan.As, "symbols": b.Plan.Symbols, "inputs": b.Plan.Inputs, "tasks": len(states[0].Tasks)})
	if err != nil {
		return err
	}
	pub.Inputs = string(note)
	rep.Views = nil
	for i, t := range b.tables {
		files, err := stagedFiles(ctx, t, b.Plan.stage, states[i])
		if err != nil {
			return err
		}
		vr := ViewReport{Table: t.Name()}
		var list []lake.DataFile
		for _, k := range states[i].Tasks {
			vr.Rows, vr.Warmup, vr.Partial = vr.Rows+k.Rows, vr.Warmup+k.Warmup, vr.Partial+k.Partial
			list = append(list, files[k.Commit]...)
		}
		rep.Views = append(rep.Views, vr)
		r := lake.Replacement{Table: t.Name(), From: b.Plan.From, To: b.Plan.To, Rows: func(yield func(*lakefile.Batch) error) error {
			for _, f := range list {
				if err := t.ReadFile(ctx, f, yield); err != nil {
					return err
				}
			}
			return nil
		}}
		if b.req.Symbols != nil {
			if r.Entities, err = b.entities(ctx, t, list); err != nil {
				return err
			}
		}
		pub.Views = append(pub.Views, r)
	}
	done, err := b.env.Lake.Publish(ctx, pub)
	if errors.Is(err, lake.ErrRaced) {
		return &fault.Error{Code: "backfill_raced", Message: "another publication has replaced rows of the range meanwhile", Where: strings.Join(b.req.Views, ", "), Exit: fault.ExitHeld,
			Remedy: "look at it with tidemark lake publications, then run the command again: what was computed is kept", Cause: err}
	}
	if err != nil {
		return err
	}
	rep.Published = done
	return b.clean(ctx)
}

// clean takes away the branches and what was noted with them.
func (b *Backfill) clean(ctx context.Context) error {
	for _, t := range b.tables {
		if t == nil {
			continue
		}
		if _, err := t.DropBranch(ctx, branchOf(b.Plan.stage), propertyOf(b.Plan.stage)); err != nil {
			return err
		}
	}
	return nil
}

// Discard takes away what an earlier run of the same backfill left, finished tasks included;
// not what it has begun to publish.
func (b *Backfill) Discard(ctx context.Context) error {
	for _, t := range b.tables {
		if t == nil {
			continue
		}
		if s, err := readStaged(t, b.Plan.stage); err != nil || s != nil && s.Publish != "" {
			return err
		}
	}
	return b.clean(ctx)
}

// entities lists those of the wanted symbols that have rows in the range, new or old.
func (b *Backfill) entities(ctx context.Context, t *lake.Table, files []lake.DataFile) ([][]string, error) {
	cols, err := t.Columns()
	if err != nil {
		return nil, err
	}
	n := slices.IndexFunc(cols, func(c lakefile.Column) bool { return c.Type != lakefile.String })
	seen := map[string]bool{}
	out := [][]string{}
	collect := func(batch *lakefile.Batch) error {
		for i := range batch.N {
			var e []string
			for c := range n {
				e = append(e, string(batch.Cols[c].Text(i)))
			}
			if k := strings.Join(e, "\x00"); !seen[k] {
				seen[k] = true
				out = append(out, e)
			}
		}
		return nil
	}
	for _, f := range files {
		if err := t.ReadFile(ctx, f, collect); err != nil {
			return nil, err
		}
	}
	var names []string
	for _, c := range cols[:n] {
		names = append(names, c.Name)
	}
	sc, err := t.Scan(ctx, lake.Query{From: b.Plan.From, To: b.Plan.To, Where: map[string][]string{"symbol": b.req.Symbols}, Columns: names})
	if err != nil {
		return nil, err
	}
	defer sc.Close()
	for {
		batch, err := sc.Next()
		if err != nil {
			return nil, err
		}
		if batch == nil {
			break
		}
		if err := collect(batch); err != nil {
			return nil, err
		}
	}
	sort.Slice(out, func(i, j int) bool { return slices.Compare(out[i], out[j]) < 0 })
	return out, nil
}
