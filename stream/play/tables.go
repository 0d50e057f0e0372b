package play

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	lakesink "github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/sequence"
)

// tables reads event tables of a lake, merged by time.
type tables []*table

// table is one of them.
type table struct {
	r    *run.TableReader
	out  sequence.Out
	rows *market.Batch // of out, nil at the end
	kind market.Kind
	next int
}

func openTables(ctx context.Context, p *player, names []string) (ts tables, err error) {
	if f := p.cfg.Input.Format; f != "" && f != input.Auto || p.cfg.Input.Feed != "" {
		return nil, fault.Usage("flag_useless", "rows of a lake have their feeds, and no format", "leave out --input-format and --feed")
	}
	defer func() {
		if err != nil {
			ts.close()
		}
	}()
	all := slices.Contains(names, "")
	for k := range market.Kind(market.NumKinds) {
		name := lakesink.TableName(p.cfg.Kinds, k)
		if p.cfg.Kinds.Fields(k) == nil || k == market.KindWatermark || !all && !slices.Contains(names, name) {
			continue
		}
		q := run.TableQuery{Names: []string{name}, Kinds: p.cfg.Kinds, Insts: p.insts, Feeds: p.feeds, To: p.cfg.To, IDs: true}
		for i := range q.From {
			q.From[i] = p.cfg.From
		}
		r, err := run.OpenTables(ctx, p.env.Lake, q)
		if all && errors.Is(err, lake.ErrNoTable) {
			continue
		}
		if err != nil {
			return ts, err
		}
		ts = append(ts, &table{r: r, kind: k})
		names = slices.DeleteFunc(names, func(s string) bool { return s == name })
	}
	if !all && len(names) > 0 || len(ts) == 0 {
		// The reader says which there are.
		_, err := run.OpenTables(ctx, p.env.Lake, run.TableQuery{Names: names, Kinds: p.cfg.Kinds, Insts: p.insts, Feeds: p.feeds, To: market.NoTime})
		return ts, err
	}
	return ts, nil
}

func (ts tables) close() {
	for _, t := range ts {
		if t.r != nil {
			t.r.Close()
		}
	}
}

// play plays all rows, each kind in its order.
func (ts tables) play(ctx context.Context, p *player) error {
	for {
		var first *table
		for _, t := range ts {
			if err := t.fill(ctx, p); err != nil {
				return err
			}
			if t.rows != nil && (first == nil || t.rows.TS[t.next] < first.rows.TS[first.next]) {
				first = t
			}
		}
		if first == nil {
			return p.finish(ctx)
		}
		b, i := first.rows, first.next
		first.next++
		if run.MadeBySequencer(b, i) {
			continue // it will be made again
		}
		b.Flags[i] &^= market.FlagLate | market.FlagClamped
		var err error
		if control(first.kind) {
			err = p.control(ctx, b, i)
		} else {
			err = p.event(ctx, nil, b, i, nil)
		}
		if err != nil {
			return err
		}
	}
}

// fill reads on until there are rows, or the end.
func (t *table) fill(ctx context.Context, p *player) error {
	for t.rows == nil || t.next == t.rows.N {
		if t.r == nil {
			return nil
		}
		n, err := t.r.Next(ctx, &t.out)
		if errors.Is(err, io.EOF) {
			t.rows = nil
			t.r.Close()
			t.r = nil
			return nil
		}
		if err != nil {
			return err
		}
		p.env.Meter.Events.Add(int64(n))
		if late := t.out.Late.Batches[t.kind]; late != nil {
			p.rep.Late += int64(late.N)
		}
		t.rows, t.next = t.out.Rows.Batches[t.kind], 0
	}
	return nil
}
