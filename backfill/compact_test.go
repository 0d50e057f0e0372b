package backfill

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/pinova-group/tidemark/lake"
	lakefile "github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/market"
)

// compact writes the rows of all files of a table anew in one commit, as tools that look after tables do, and returns how many
// files there were and are.
func compact(t *testing.T, l *lake.Lake, name string) (before, after int) {
	t.Helper()
	ctx := context.Background()
	tab, err := l.Load(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	files, err := tab.Files(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	id := lake.NewCommitID()
	rows, err := tab.NewRows(id, nil, nil, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var old []string
	for _, f := range files {
		old = append(old, f.Path)
		if err := tab.ReadFile(ctx, f, func(b *lakefile.Batch) error { return rows.Append(ctx, b, nil) }); err != nil {
			t.Fatal(err)
		}
	}
	add, err := rows.Finish(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tab.Append(ctx, id, lake.Change{Add: add, Remove: old}); err != nil {
		t.Fatal(err)
	}
	return len(old), len(add)
}

// Hours are computed one after the other, by any number of workers on one processor or two, and in between all tables, of events and
// of rows, are compacted, or not: the rows are the same to the last bit.
func TestRun_TablesCompactedBetweenHours(t *testing.T) { // not parallel: it sets GOMAXPROCS
	views := []string{"trade_bars_1m", "rolling_trades", "breadth_1m"}
	v, err := Load(views, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := newLab(t, market25(3_000))
	want := map[As]*printed{Served: b.raw(t, v, Served), Corrected: b.raw(t, v, Corrected)}
	r := rand.New(rand.NewPCG(4, 1))
	first := b.cfg.Start
	hour := market.FloorDiv(first, market.Hour)*market.Hour + market.Hour
	end := hour + 8*market.Minute
	merged := false
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for workers := 1; workers <= 8; workers++ {
		runtime.GOMAXPROCS(1 + workers/2%2)
		compacts := workers > 2
		as := []As{Served, Corrected}[workers%2]
		hours := []Range{{first, hour}, {hour, end}}
		if r.IntN(2) == 0 {
			hours[0], hours[1] = hours[1], hours[0]
		}
		for i, h := range hours {
			e := env(b.lake)
			e.Parallel = workers
			req := Request{Views: views, As: as, Range: h, Step: []int64{0, 5 * market.Minute, 3*market.Minute + 7, market.Hour}[r.IntN(4)]}
			if rep := mustRun(t, e, v, req); rep.Computed != len(rep.Plan.Tasks) {
				t.Errorf("%d of %d tasks", rep.Computed, len(rep.Plan.Tasks))
			}
			if !compacts || i == 1 {
				continue
			}
			names, err := b.lake.Tables(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				before, after := compact(t, b.lake, name)
				merged = merged || after < before
			}
		}
		sameTables(t, fmt.Sprintf("%d workers, compacted %v, %s", workers, compacts, as), b.lake, want[as], Range{first, end}, views...)
		nothingLeft(t, b.lake)
		if workers%3 == 0 { // the others write over what is there
			drop(t, b.lake, v, views...)
		}
	}
	if !merged {
		t.Error("no compaction has made one file of several")
	}
}
