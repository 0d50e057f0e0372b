package run

import (
	"context"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/rowfile"
	"github.com/pinova-group/tidemark/sequence"
)

// SampleResult is what a plan made of a sample: rows and their size as Parquet for each
// view, in the order of the plan's outputs.
type SampleResult struct {
	Events      int64
	First, Last int64 // event times
	Rows, Bytes []int64
	ByKind      [market.NumKinds]int64
	State       []features.StateSize // in the order of Costs: the most memory seen of each view, and its traffic in all
	Lag         int64                // µs, the most that the marks of what is read were behind the newest event
}

// lag measures how far the marks are behind when a step's events are in.
func (r *SampleResult) lag(inputs []features.Input, marks *[market.NumKinds]int64, newest int64) {
	mark := newest
	for _, in := range inputs {
		mark = min(mark, marks[in.Kind])
	}
	r.Lag = max(r.Lag, newest-max(mark, r.First))
}

// peakState measures the memory after 1, 2, 4, 8 … steps and at the end, and keeps the
// most of each view.
func (r *SampleResult) peakState(t *features.Task, step int, last bool) {
	if step&(step-1) != 0 && !last {
		return
	}
	sizes := t.StateSizes()
	for i := range r.State {
		sizes[i].Bytes = max(sizes[i].Bytes, r.State[i].Bytes)
	}
	r.State = sizes
}

// Sample runs all views over the input and keeps nothing but sizes.
func Sample(ctx context.Context, cfg Config, env Env) (*SampleResult, error) {
	cfg.Output, cfg.Stats, cfg.DLQ, cfg.Corrected = "-", "", "", false
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if env.Meter == nil {
		env.Meter = &Meter{}
	}
	env.Table = func(*rowfile.Schema) rowfile.Writer { return discard{} }
	j := &job{cfg: cfg, env: env, feeds: market.NewFeeds(), insts: market.NewInstruments()}
	if err := j.prepare(ctx); err != nil {
		return nil, err
	}
	j.task.Survey()
	outs := j.plan.Outputs()
	res := &SampleResult{First: market.NoTime, Rows: make([]int64, len(outs)), Bytes: make([]int64, len(outs))}
	sinks := make([]*sink, len(outs))
	for i := range outs {
		w, err := rowfile.New(counting{&res.Bytes[i]}, rowfile.Parquet, Schema(&outs[i], ""))
		if err != nil {
			return nil, err
		}
		sinks[i] = newSink(w, i, &outs[i])
	}
	j.each = func(rows *features.Rows) error {
		for i := range rows.Views {
			if err := sinks[i].write(&rows.Views[i], j.task.EntityNames); err != nil {
				return err
			}
		}
		return nil
	}
	p, err := newPass(j.input, false, nil, env.Meter)
	if err != nil {
		return nil, err
	}
	steps, newest, marks := 0, market.NoTime, noMarks()
	err = p.run(ctx, func(out *sequence.Out, closed bool) error {
		for k, b := range out.Rows.Batches {
			if b != nil {
				res.ByKind[k] += int64(b.N)
			}
			if b != nil && b.N > 0 && (res.First == market.NoTime || b.TS[0] < res.First) {
				res.First = b.TS[0]
			}
			if b != nil && b.N > 0 {
				newest = max(newest, b.TS[b.N-1])
			}
		}
		if newest != market.NoTime {
			res.lag(j.plan.Inputs(), &marks, newest)
		}
		marks = out.Marks
		if err := j.step(out, closed); err != nil {
			return err
		}
		steps++
		res.peakState(j.task, steps, closed)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if p.last == market.NoTime {
		return nil, fault.Usage("sample_empty", "the sample holds no events", "tidemark data inspect shows what is in it")
	}
	if err := j.finish(p.last); err != nil {
		return nil, err
	}
	for i, s := range sinks {
		if err := s.w.Close(); err != nil {
			return nil, err
		}
		res.Rows[i] = s.written
		if res.Bytes[i], err = withoutFooter(&outs[i], res.Bytes[i]); err != nil {
			return nil, err
		}
	}
	res.Events, res.Last = p.seq.Counts().In, p.last
	return res, nil
}

// withoutFooter takes off what a file without rows has, so that a short sample does not
// count it for every day.
func withoutFooter(o *features.Output, size int64) (int64, error) {
	var empty int64
	w, err := rowfile.New(counting{&empty}, rowfile.Parquet, Schema(o, ""))
	if err != nil {
		return 0, err
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	return max(0, size-empty), nil
}

// noMarks are marks that say nothing.
func noMarks() (marks [market.NumKinds]int64) {
	for k := range marks {
		marks[k] = market.NoTime
	}
	return marks
}

type discard struct{}

func (discard) Write(*rowfile.Batch) error { return nil }
func (discard) Close() error               { return nil }

type counting struct{ n *int64 }

func (c counting) Write(p []byte) (int, error) {
	*c.n += int64(len(p))
	return len(p), nil
}
