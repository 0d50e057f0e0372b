package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/parity"
)

// plant changes the rows of a table's first file, behind the back of the ledger.
func plant(t *testing.T, lk, table string, change func(b *file.Batch, cols []file.Column) []int32) {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: lk, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	tab, err := l.Load(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	cols, err := tab.Columns()
	if err != nil {
		t.Fatal(err)
	}
	files, err := tab.Files(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	id := lake.NewCommitID()
	rows, err := tab.NewRows(id, nil, nil, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	first := true
	if err := tab.ReadFile(t.Context(), files[0], func(b *file.Batch) error {
		var keep []int32
		if first {
			keep = change(b, cols)
		}
		first = false
		return rows.Append(t.Context(), b, keep)
	}); err != nil {
		t.Fatal(err)
	}
	add, err := rows.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tab.Append(t.Context(), id, lake.Change{Add: add, Remove: []string{files[0].Path}}); err != nil {
		t.Fatal(err)
	}
}

func column(cols []file.Column, name string) int {
	return slices.IndexFunc(cols, func(c file.Column) bool { return c.Name == name })
}

func allRows(n int) (rows []int32) {
	for i := range n {
		rows = append(rows, int32(i))
	}
	return rows
}

// A lake in order is equal, as served and as corrected; a fault that is planted is found and
// named, whatever it is.
func TestVerify_FindsWhatIsPlanted(t *testing.T) {
	dir := t.TempDir()
	events := filepath.Join(dir, "events.jsonl")
	cli(t, fault.ExitDone, "simulate", "-o", events, "--events", "8000", "--venues", "alpha", "--disorder", "100ms", "--duplicates", "1%", "--late", "1%")
	fresh := func(t *testing.T) string {
		lk := filepath.Join(t.TempDir(), "lake")
		cli(t, fault.ExitDone, "lake", "import", "--lake", lk, "--input", events, "--progress", "none")
		cli(t, fault.ExitDone, "run", "--spec", "trade_bars_1s", "--input", "lake:", "--lake", lk, "-o", "lake:", "--progress", "none")
		return lk
	}
	check := func(t *testing.T, lk string, exit int, words ...string) {
		t.Helper()
		out := cli(t, exit, "verify", "trade_bars_1s", "--lake", lk)
		for _, w := range words {
			if !strings.Contains(out, w) {
				t.Errorf("no %q in %s", w, out)
			}
		}
	}
	t.Run("in order", func(t *testing.T) {
		lk := fresh(t)
		check(t, lk, fault.ExitDone, "corrected differs by", "late: processed.trade", "0 missing, 0 different")
		cli(t, fault.ExitDone, "verify", "trade_bars_1s", "--lake", lk, "--deep", "--json")
		cli(t, fault.ExitDone, "run", "--spec", "trade_bars_1s", "--input", "lake:", "--lake", lk, "-o", "lake:", "--as", "corrected", "--progress", "none")
		check(t, lk, fault.ExitDone, "equal", "1 hours: 1 equal")
	})
	feature := "feature.trade_bars_1s_v1"
	for name, x := range map[string]struct {
		change func(b *file.Batch, cols []file.Column) []int32
		words  []string
	}{
		"changed row": {func(b *file.Batch, cols []file.Column) []int32 {
			b.Cols[column(cols, "close")].F64[3]++
			return nil
		}, []string{"1 rows of the table", "changed: ", "close: table ", "tidemark explain trade_bars_1s"}},
		"lost row":    {func(b *file.Batch, _ []file.Column) []int32 { return allRows(b.N)[1:] }, []string{"1 rows of the table", "lost: "}},
		"doubled row": {func(b *file.Batch, _ []file.Column) []int32 { return append(allRows(b.N), 2) }, []string{"1 rows of the table", "doubled: "}},
		"no rows":     {func(*file.Batch, []file.Column) []int32 { return []int32{} }, []string{"missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			lk := fresh(t)
			plant(t, lk, feature, x.change)
			check(t, lk, fault.ExitDifference, x.words...)
		})
	}
	t.Run("wrong late event", func(t *testing.T) {
		lk := fresh(t)
		plant(t, lk, "processed.trade", func(b *file.Batch, cols []file.Column) []int32 {
			late := b.Cols[column(cols, "late")].I32
			late[slices.Index(late, 0)] = 1
			return nil
		})
		check(t, lk, fault.ExitDifference, "different", "changed: ", "tidemark explain")
	})
	t.Run("stream that wrote another row", func(t *testing.T) {
		lk := fresh(t)
		l, err := lake.Open(t.Context(), lake.Config{Dir: lk, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := l.Ledger(t.Context(), feature, 0, 1<<62)
		if err != nil || len(rows) == 0 {
			t.Fatal(rows, err)
		}
		add := func(sum parity.Sum) {
			tab, err := l.OpenLedger(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			id := lake.NewCommitID()
			w, err := tab.NewRows(id, nil, nil, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			row := rows[0]
			row.Tx, row.Job, row.Sum = "topic/ledger.features/0/1", "features", sum
			if err := w.Append(t.Context(), lake.LedgerBatch([]lake.LedgerRow{row}), nil); err != nil {
				t.Fatal(err)
			}
			files, err := w.Finish(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tab.Append(t.Context(), id, lake.Change{Add: files}); err != nil {
				t.Fatal(err)
			}
		}
		add(rows[0].Sum)
		check(t, lk, fault.ExitDone, "the stream wrote")
		add(parity.Sum{Lo: 1})
		check(t, lk, fault.ExitDifference, "different", "the stream wrote", "with checksum")
		_ = l.Close()
	})
}
