package backfill

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

// dirtyViews are views of different kinds: windows, bars and a clock, a join, a rollup, a
// comparison of venues.
var dirtyViews = []string{"trade_bars_1m", "trade_bars_1h", "vwap_5m", "alts_per_btc", "beta_btc_1h", "fair_price_1s", "breadth_1m"}

// serve publishes rows of views as run writes them.
func (b *lab) serve(t *testing.T, as As, views ...string) {
	t.Helper()
	for _, name := range views {
		cfg := run.DefaultConfig()
		cfg.Specs, cfg.Inputs, cfg.Output, cfg.Corrected = []string{name}, []string{run.LakePrefix}, run.LakePrefix, as == Corrected
		for k, v := range smallBars {
			if view, _, _ := strings.Cut(k, "."); view == name {
				cfg.Set = append(cfg.Set, k+"="+v)
			}
		}
		if _, err := run.Run(context.Background(), cfg, run.Env{Lake: b.lake, Stdout: io.Discard, Now: time.Now, Warn: func(string) {}}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// The rows that differ between what was served and what is right now are stale, and all that
// is stale comes from late events.
func TestDirty_HoldsAllThatLateEventsChange(t *testing.T) {
	t.Parallel()
	v := onlyDirty(t)
	b := newLab(t, market25(4_000))
	b.serve(t, Served, dirtyViews...)
	in := pinned(t, b.lake, v)
	served, corrected := newPrinted(v), newPrinted(v)
	all := Range{market.MinEventTime, market.MaxEventTime}
	for as, p := range map[As]*printed{Served: served, Corrected: corrected} {
		if err := in.Compute(t.Context(), all, Options{As: as}, p.emit); err != nil {
			t.Fatal(err)
		}
	}
	found, err := in.Dirty(t.Context(), append([]string{"btc_bars_1s"}, dirtyViews...), all)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != len(dirtyViews) {
		t.Fatalf("%d views are stale, want %d", len(found), len(dirtyViews))
	}
	for _, s := range found {
		moved, inside, beyond := 0, 0, map[string]bool{}
		for _, text := range differences(served.rows[s.View], corrected.rows[s.View]) {
			moved++
			at := slices.IndexFunc(s.Rows, func(r StaleRange) bool { return has(v, s.View, r, text) })
			if at >= 0 {
				inside++
			} else if last := lastRow(served.rows[s.View]); text.ts <= last {
				t.Errorf("%s: not stale: %s", s.View, text.text)
			} else {
				beyond[text.text] = true
			}
		}
		if inside == 0 && s.View != "breadth_1m" || s.Events == 0 || s.Read == 0 || s.Bytes == 0 || s.Hours == 0 || s.OnLate == "" {
			t.Errorf("%s: %d rows moved, %d of them stale: %+v", s.View, moved, inside, s)
		}
		t.Logf("%s: %d ranges of %d late events, %d rows moved", s.View, len(s.Rows), s.Events, moved)
	}
	// Rows that a run published as corrected have these events.
	b.serve(t, Corrected, "vwap_5m")
	if again, err := pinned(t, b.lake, v).Dirty(t.Context(), []string{"vwap_5m"}, all); err != nil || len(again) != 0 {
		t.Errorf("%v: stale after it was corrected: %v", err, again)
	}
	// A part of the time has its part of the ranges.
	part := Range{b.cfg.Start + 5*market.Minute, b.cfg.Start + 9*market.Minute}
	some, err := in.Dirty(t.Context(), []string{"trade_bars_1m"}, part)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(found, func(s Stale) bool { return s.View == "trade_bars_1m" })
	want := clipped(found[at].Rows, part)
	if got := fmt.Sprint(clipped(some[0].Rows, part)); got != fmt.Sprint(want) || len(want) == 0 || len(want) == len(found[at].Rows) {
		t.Errorf("in a part %v, want %v", got, want)
	}
}

func clipped(rows []StaleRange, r Range) (out []string) {
	for _, s := range rows {
		if from, to := max(s.From, r.From), min(s.To, r.To); from < to {
			out = append(out, fmt.Sprint(s.Key, from, to))
		}
	}
	return out
}

func has(v *Views, view string, r StaleRange, row printedRow) bool {
	at, _ := v.Output(view)
	entity, _, _ := strings.Cut(row.text, " ")
	return r.From <= row.ts && row.ts < r.To && r.Key.Has(v.Plan.Outputs()[at].Entity, strings.Split(entity, "/"))
}

func lastRow(rows []printedRow) int64 { return rows[len(rows)-1].ts }

// differences are the rows that one of two lists has and the other has not.
func differences(a, b []printedRow) []printedRow {
	count := map[printedRow]int{}
	for _, r := range a {
		count[r]++
	}
	for _, r := range b {
		count[r]--
	}
	var out []printedRow
	for r, n := range count {
		if n != 0 {
			out = append(out, r)
		}
	}
	return out
}

// Without late events nothing is stale, and no file is read to see that.
func TestDirty_NothingLate(t *testing.T) {
	t.Parallel()
	cfg := market25(2_000)
	cfg.Late = 0
	b := newLab(t, cfg)
	b.serve(t, Served, "trade_bars_1m", "fair_price_1s")
	v, names, others, err := Tabled(t.Context(), b.lake, nil)
	if err != nil || fmt.Sprint(names, others) != "[fair_price_1s trade_bars_1m] []" {
		t.Fatalf("views %v, others %v, %v", names, others, err)
	}
	in := pinned(t, b.lake, v)
	found, err := in.Dirty(t.Context(), names, Range{market.MinEventTime, market.MaxEventTime})
	if err != nil || len(found) > 0 {
		t.Errorf("%v, stale %v", err, found)
	}
	tab, err := b.lake.Load(t.Context(), "processed.trade")
	if err != nil {
		t.Fatal(err)
	}
	sc, err := tab.Scan(t.Context(), lake.Query{Late: true, Columns: []string{"late"}})
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Close()
	if p := sc.Plan(); p.Files != 0 || p.Of == 0 {
		t.Errorf("%d of %d files would be read", p.Files, p.Of)
	}
	// A table of the view with other parameters is not looked at unless they are given.
	b.serve(t, Served, "tick_bars")
	if _, names, others, err = Tabled(t.Context(), b.lake, nil); err != nil || len(names) != 2 || fmt.Sprint(others) != "[feature.tick_bars_v1]" {
		t.Errorf("views %v, others %v, %v", names, others, err)
	}
	if _, names, others, err = Tabled(t.Context(), b.lake, map[string]string{"tick_bars.size": "7"}); err != nil || len(names) != 3 || others != nil {
		t.Errorf("views %v, others %v, %v", names, others, err)
	}
}
