package lake_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/parity"
)

// held adds up the rows that are in a table, by hour.
func held(t testing.TB, l *lake.Lake, name string) map[int64]parity.Sum {
	t.Helper()
	tab, err := l.Load(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	cols, err := tab.Columns()
	if err != nil {
		t.Fatal(err)
	}
	enc, err := tab.NewRowEncoder(cols)
	if err != nil {
		t.Fatal(err)
	}
	files, err := tab.Files(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var cells parity.Cells
	for _, f := range files {
		r, err := file.Open(l.ReaderAt(t.Context(), f.Path), f.Bytes, f.Path)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := r.Read(cols, 0, r.Rows())
		if err != nil {
			t.Fatal(err)
		}
		for {
			b, err := rows.Next()
			if err != nil {
				t.Fatal(err)
			}
			if b == nil {
				break
			}
			for i := range b.N {
				cells.At(enc.RowTS(b, i)).Add(parity.HashOf(enc.AppendMessage(nil, b, i)))
			}
		}
	}
	return byHour(cells.List)
}

func byHour(cells []parity.Cell) map[int64]parity.Sum {
	m := map[int64]parity.Sum{}
	for _, c := range cells {
		if s := m[c.Hour].Plus(c.Sum); s != (parity.Sum{}) {
			m[c.Hour] = s
		} else {
			delete(m, c.Hour)
		}
	}
	return m
}

func ledgerOf(t testing.TB, l *lake.Lake, name string) map[int64]parity.Sum {
	t.Helper()
	rows, err := l.Ledger(t.Context(), name, 0, 1<<62)
	if err != nil {
		t.Fatal(err)
	}
	var cells []parity.Cell
	for _, r := range rows {
		cells = append(cells, parity.Cell{Hour: r.Hour, Sum: r.Sum})
	}
	return byHour(cells)
}

// What publications add to the ledger adds up to what is in the table, through any of them
// and their undo.
func TestLedger_AddsUpToTheTable(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	if _, err := l.Create(t.Context(), bars, barsDefinition()); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	symbols := []string{"BTC-USDT", "ETH-USDT", "SOL-USDT"}
	var ids []lake.CommitID
	for i := range 8 {
		from := r.Int64N(300)
		to := from + 1 + r.Int64N(200)
		some := symbols[:1+r.IntN(3)]
		v := lake.Replacement{Table: bars, From: hour.UnixMicro() + from*minute, To: hour.UnixMicro() + to*minute,
			Rows: func(yield func(*file.Batch) error) error { return yield(batch(bulk(some, from, to, float64(i)))) }}
		for _, s := range some {
			v.Entities = append(v.Entities, []string{"binance", s})
		}
		p := lake.Publication{ID: lake.NewCommitID(), Views: []lake.Replacement{v}, Reason: "test", Who: "test", At: int64(i + 1), History: "corrected", Inputs: "files"}
		if _, err := l.Publish(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Publish(t.Context(), p); err != nil { // again: nothing
			t.Fatal(err)
		}
		ids = append(ids, p.ID)
		if diff := cmp.Diff(held(t, l, bars), ledgerOf(t, l, bars)); diff != "" {
			t.Fatalf("publication %d (-table +ledger)\n%s", i, diff)
		}
	}
	if _, err := l.Undo(t.Context(), ids[len(ids)-1], lake.Publication{ID: lake.NewCommitID(), Reason: "undo", Who: "test", At: 100}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(held(t, l, bars), ledgerOf(t, l, bars)); diff != "" {
		t.Fatalf("undo (-table +ledger)\n%s", diff)
	}
	rows, err := l.Ledger(t.Context(), bars, 0, 1<<62)
	if err != nil {
		t.Fatal(err)
	}
	histories := map[string]bool{}
	for _, row := range rows {
		histories[row.History+" "+row.Inputs] = true
		if !strings.HasPrefix(row.Tx, "publication/") || len(row.Publication()) != 32 {
			t.Fatalf("row %+v", row)
		}
	}
	if diff := cmp.Diff(map[string]bool{"corrected files": true, " ": true}, histories); diff != "" {
		t.Error(diff)
	}
}

// ledgerDiff compares a table with what was in it and what the ledger has added since.
func ledgerDiff(t testing.TB, l *lake.Lake, base map[int64]parity.Sum) string {
	t.Helper()
	var cells []parity.Cell
	for _, m := range []map[int64]parity.Sum{base, ledgerOf(t, l, bars)} {
		for hour, sum := range m {
			cells = append(cells, parity.Cell{Hour: hour, Sum: sum})
		}
	}
	return cmp.Diff(held(t, l, bars), byHour(cells))
}
