package backfill

import (
	"context"
	"testing"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
)

// A backfill that is about to publish notices that another process has changed what is staged since it was looked at,
// and does not write over it: rows of a task that is not noted any more would be left out in silence.
func TestAnnounce_NoticesAnotherTask(t *testing.T) {
	t.Parallel()
	v := someViews(t)
	b := newLab(t, market25(2_500))
	ctx := t.Context()
	j := mustMake(t, env(b.lake), v, Request{Views: []string{"trade_bars_1m"}, Range: Range{b.cfg.Start, b.cfg.Start + 20*market.Minute}, Step: 5 * market.Minute})
	if err := j.open(ctx); err != nil {
		t.Fatal(err)
	}
	if err := j.compute(ctx, &Report{}); err != nil {
		t.Fatal(err)
	}
	states, err := j.check(ctx)
	if err != nil {
		t.Fatal(err)
	}
	key, stage := propertyOf(j.Plan.stage), branchOf(j.Plan.stage)
	changed := ""
	if _, err := j.tables[0].Commit(ctx, stage, lake.NewCommitID(), func(_ context.Context, base lake.Base) (*lake.Change, error) {
		s, err := readStaged(base.Table, j.Plan.stage)
		if err != nil {
			return nil, err
		}
		s.Tasks[1].Key, s.Tasks[1].Commit = "another", lake.NewCommitID()
		changed, err = s.text()
		return &lake.Change{Properties: map[string]string{key: changed}}, err
	}); err != nil {
		t.Fatal(err)
	}
	if err := j.announce(ctx, states); fault.From(err).Code != "backfill_held" {
		t.Errorf("it is not noticed: %v", err)
	}
	now, err := b.lake.Load(ctx, j.tables[0].Name())
	if err != nil || now.Property(key) != changed {
		t.Errorf("what the other has noted is gone: %s, %v", now.Property(key), err)
	}
}
