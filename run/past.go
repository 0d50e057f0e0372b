package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/lake"
	lakesink "github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream"
)

// Past reads from a lake what topics do not keep any more.
type Past struct {
	Lake  *lake.Lake
	Feeds *market.Feeds
}

// Reach implements stream.Past: it is the least time up to which the tables of a plan's kinds are complete. Tables reach
// back to a time when they have a row of it or of before: nothing says that there was none in between.
func (p Past) Reach(ctx context.Context, plan *features.Plan, from *[market.NumKinds]int64) (int64, error) {
	to := int64(math.MaxInt64)
	for _, in := range plan.Inputs() {
		if in.Kind == market.KindNone || in.Kind == market.KindStatus {
			continue // statuses are as complete as what they are of
		}
		name := lakesink.TableName(plan.Kinds(), in.Kind)
		tab, err := p.Lake.Load(ctx, name)
		if err != nil {
			return 0, err
		}
		base, err := tab.Base()
		if err != nil {
			return 0, err
		}
		if !market.ValidTime(base.ValidThrough) {
			return 0, fmt.Errorf("table %s does not say how far it is complete: a sink has to fill it", name)
		}
		to = min(to, base.ValidThrough)
		files, err := tab.Files(ctx, 0)
		if err != nil {
			return 0, err
		}
		oldest := int64(math.MaxInt64)
		for _, f := range files {
			if b, ok := f.Bounds["ts"]; ok {
				if ts, ok := b[0].(int64); ok {
					oldest = min(oldest, ts)
				}
			}
		}
		if oldest > from[in.Kind] {
			return 0, fmt.Errorf("table %s begins at %s", name, market.FormatTime(oldest))
		}
	}
	return to, nil
}

// Read implements stream.Past.
func (p Past) Read(ctx context.Context, q *stream.PastQuery, take func(rows *market.Chunk, marks *[market.NumKinds]int64) error) error {
	r, err := OpenTables(ctx, p.Lake, TableQuery{Names: []string{""}, Plan: q.Plan, Insts: q.Insts, Feeds: p.Feeds, From: q.From, To: q.To})
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		var out sequence.Out
		if _, err := r.Next(ctx, &out); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := take(&out.Rows, &out.Marks); err != nil {
			return err
		}
	}
}
