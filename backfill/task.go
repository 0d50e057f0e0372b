package backfill

import (
	"context"
	"errors"
	"slices"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	lakefile "github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/run"
)

// output takes the rows of one view in one task.
type output struct {
	view int // place in Plan.Views
	id   lake.CommitID
	rows *lake.Rows
	pack *run.FeatureRows
	task stagedTask
	part *Part // nil for all rows
	by   []string
	kept features.ViewRows
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
		o, err := b.output(v, t, memory/int64(2*len(b.Plan.Views))) // the other half is for events
		if err != nil {
			return err
		}
		outs = append(outs, o)
	}
	opt := Options{As: b.req.As, Symbols: b.req.Symbols, Memory: memory / 2 / int64(max(1, len(b.in.Tables))), Workers: workers, Meter: &b.meter, Apart: true}
	for _, o := range outs {
		opt.Views = append(opt.Views, b.Plan.Views[o.view].out)
	}
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
	if b.req.Parts != nil {
		o.part, o.by = &b.req.Parts[v], b.in.Views.Plan.Outputs()[b.Plan.Views[v].out].Entity
	}
	cols, err := b.tables[v].Columns()
	if err != nil {
		return nil, err
	}
	if !slices.EqualFunc(cols, o.pack.Columns(), func(a, b lakefile.Column) bool { return a.Name == b.Name && a.Type == b.Type && a.Scale == b.Scale }) {
		return nil, &fault.Error{Code: "schema", Message: "the table has other columns than the view", Where: b.tables[v].Name(), Exit: fault.ExitFailed,
			Remedy: "raise version: in the spec; the new version has a table of its own"}
	}
	if o.rows, err = b.tables[v].NewRows(o.id, cols, nil, memory); err != nil {
		return nil, err
	}
	return o, o.rows.Sum()
}

func (o *output) take(ctx context.Context, v *features.ViewRows, names func(uint32) []string) error {
	if o.part != nil {
		v = o.choose(v, names)
	}
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

// choose copies the rows of the part.
func (o *output) choose(v *features.ViewRows, names func(uint32) []string) *features.ViewRows {
	all := features.Rows{Views: []features.ViewRows{o.kept}}
	all.Reset()
	o.kept = all.Views[0]
	wanted := map[uint32]bool{} // entities; times are compared below
	for i := range v.Len() {
		e := v.Entity[i]
		in, known := wanted[e]
		if !known {
			in = o.part.Keys == nil || o.part.has(o.by, names(e), o.part.From)
			wanted[e] = in
		}
		if in && v.RowTS[i] >= o.part.From && v.RowTS[i] < o.part.To {
			appendRow(&o.kept, v, i)
		}
	}
	return &o.kept
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
	return patient(ctx, func() error { return b.commit(ctx, o, files, stage) })
}

// patience is how often a commit is tried anew, each time as often as the lake does, on a table
// that others commit to all the time.
const patience = 10

// patient does what conflicts with others until they leave room for it.
func patient(ctx context.Context, f func() error) (err error) {
	for range patience {
		if err = f(); !errors.Is(err, lake.ErrConflict) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// commit makes the commit of a task.
func (b *Backfill) commit(ctx context.Context, o *output, files []lake.File, stage string) error {
	_, err := b.tables[o.view].Commit(ctx, branchOf(stage), o.id, func(ctx context.Context, base lake.Base) (*lake.Change, error) {
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
