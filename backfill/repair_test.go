package backfill

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
)

// repair makes stale rows anew and returns what was published.
func (b *lab) repair(t *testing.T, v *Views, views []string, r Range) (done []lake.Published) {
	t.Helper()
	in := pinned(t, b.lake, v)
	found, err := in.Dirty(t.Context(), views, r)
	if err != nil {
		t.Fatal(err)
	}
	reqs, open := in.Repairs(found)
	if open {
		t.Error("rows are said to be open, and nothing is")
	}
	for _, req := range reqs {
		views, err := v.Only(req.Views)
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, mustRun(t, env(b.lake), views, req).Published...)
	}
	return done
}

// onlyDirty are the views that are made stale, and what they read.
func onlyDirty(t *testing.T) *Views {
	t.Helper()
	v, err := allViews(t).Only(dirtyViews)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Recomputing just what is stale gives the rows of recomputing everything, bit for bit; rows of
// entities that late events do not touch stay as they were; and then nothing is stale.
func TestRepair_EqualsRecomputingEverything(t *testing.T) {
	t.Parallel()
	v := onlyDirty(t)
	b := newLab(t, market25(4_000))
	mustRun(t, env(b.lake), v, Request{Views: dirtyViews, Range: Range{market.NoTime, market.NoTime}, As: Served})
	all := Range{market.MinEventTime, market.MaxEventTime}
	in := pinned(t, b.lake, v)
	corrected := newPrinted(v)
	if err := in.Compute(t.Context(), all, Options{As: Corrected}, corrected.emit); err != nil {
		t.Fatal(err)
	}
	// First a part of the time, then the rest.
	half := Range{b.cfg.Start, b.cfg.Start + 9*market.Minute}
	before, err := in.Dirty(t.Context(), dirtyViews, all)
	if err != nil {
		t.Fatal(err)
	}
	first := b.repair(t, v, dirtyViews, half)
	if len(first) == 0 {
		t.Fatal("nothing was repaired")
	}
	left, err := pinned(t, b.lake, v).Dirty(t.Context(), dirtyViews, all)
	if err != nil || len(left) == 0 || len(left) > len(before) {
		t.Fatalf("%v: %d views are stale, %d were before", err, len(left), len(before))
	}
	for _, l := range left {
		for _, r := range l.Rows {
			if r.To <= half.To { // of a longer window the row is at its end
				t.Errorf("%s: [%d, %d) of %s is stale after it was repaired", l.View, r.From, r.To, r.Key)
			}
		}
	}
	second := b.repair(t, v, dirtyViews, all)
	if len(second) == 0 {
		t.Fatal("nothing was left to repair")
	}
	for _, name := range dirtyViews {
		rows, revisions := stored(t, b.lake, v, name)
		sorted := func(rows []printedRow) (out []string) {
			for _, r := range rows {
				out = append(out, r.text)
			}
			slices.Sort(out)
			return out
		}
		last := lastRow(rows)
		want := slices.DeleteFunc(slices.Clone(corrected.rows[name]), func(r printedRow) bool { return r.ts > last })
		compare(t, name, sorted(rows), sorted(want))
		kept := 0
		for _, n := range revisions {
			if n == 0 {
				kept++
			}
		}
		if kept == 0 && strings.HasPrefix(name, "trade_bars_1m") {
			t.Errorf("%s: all %d rows were replaced", name, len(rows))
		}
		t.Logf("%s: %d of %d rows were left alone", name, kept, len(rows))
	}
	if again := b.repair(t, v, dirtyViews, all); len(again) != 0 {
		t.Errorf("a second run published %+v", again)
	}
	// Views that read one another are published together.
	tables := map[lake.CommitID][]string{}
	for _, d := range second {
		tables[d.ID] = append(tables[d.ID], d.Table)
	}
	together := false
	for _, names := range tables {
		slices.Sort(names)
		together = together || strings.Contains(fmt.Sprint(names), "feature.breadth_1m_v1 feature.trade_bars_1h_v1 feature.trade_bars_1m_v1")
	}
	if !together {
		t.Errorf("published together: %v", tables)
	}
	// An undone repair leaves the rows stale again, and nobody finds them repaired.
	id := second[len(second)-1]
	if _, err := b.lake.Undo(t.Context(), id.ID, lake.Publication{ID: lake.NewCommitID(), At: id.At + 1}); err != nil {
		t.Fatal(err)
	}
	if found, err := pinned(t, b.lake, v).Dirty(t.Context(), dirtyViews, all); err != nil || len(found) == 0 {
		t.Errorf("%v: nothing is stale after a repair was undone", err)
	}
}
