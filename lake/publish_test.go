package lake_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
)

const bars = "feature.bars_1m_v1"

func barsDefinition() lake.Definition {
	return lake.Definition{
		Columns: []file.Column{
			{ID: 1, Name: "exchange", Type: file.String},
			{ID: 2, Name: "symbol", Type: file.String},
			{ID: 3, Name: "row_ts", Type: file.Timestamptz},
			{ID: 4, Name: "available_at", Type: file.Timestamptz},
			{ID: 5, Name: "revision", Type: file.Int},
			{ID: 6, Name: "close", Type: file.Double, Nullable: true},
		},
		Partition: []lake.Partition{{Column: "row_ts", Transform: "day"}, {Column: "symbol", Transform: "bucket[4]"}},
		Sort:      []string{"exchange", "symbol", "row_ts"},
	}
}

// bar is one row: minute i of a symbol.
type bar struct {
	symbol string
	minute int64
	close  float64
}

const minute = int64(60e6)

func batch(rows []bar) *file.Batch {
	b := &file.Batch{N: len(rows), Cols: make([]file.Col, 6)}
	d := file.NewDict("binance")
	b.Cols[0].Dict, b.Cols[1].Dict = d, d
	for _, r := range rows {
		ts := hour.UnixMicro() + r.minute*minute
		b.Cols[0].I32 = append(b.Cols[0].I32, 0)
		b.Cols[1].I32 = append(b.Cols[1].I32, d.Code([]byte(r.symbol)))
		b.Cols[2].I64 = append(b.Cols[2].I64, ts)
		b.Cols[3].I64 = append(b.Cols[3].I64, ts+5)
		b.Cols[4].I32 = append(b.Cols[4].I32, 0)
		b.Cols[5].F64 = append(b.Cols[5].F64, r.close)
	}
	return b
}

func bulk(symbols []string, from, to int64, f float64) (rows []bar) {
	for _, s := range symbols {
		for m := from; m < to; m++ {
			rows = append(rows, bar{s, m, f * float64(m+1)})
		}
	}
	return rows
}

func appendBars(t testing.TB, tab *lake.Table, rows []bar) {
	t.Helper()
	id := lake.NewCommitID()
	r, err := tab.NewRows(id, nil, nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Append(t.Context(), batch(rows), nil); err != nil {
		t.Fatal(err)
	}
	files, err := r.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tab.Append(t.Context(), id, lake.Change{Add: files}); err != nil {
		t.Fatal(err)
	}
}

// dump reads all rows of a table as text, sorted.
func dump(t testing.TB, l *lake.Lake, name string) []string {
	t.Helper()
	tab, err := l.Load(t.Context(), name)
	if errors.Is(err, lake.ErrNoTable) {
		return nil
	}
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
	var out []string
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
				var s []string
				for c := range cols {
					col := &b.Cols[c]
					switch {
					case col.IsNull(i):
						s = append(s, "null")
					case cols[c].Type == file.String:
						s = append(s, string(col.Text(i)))
					case cols[c].Type == file.Int:
						s = append(s, fmt.Sprint(col.I32[i]))
					case cols[c].Type == file.Double:
						s = append(s, fmt.Sprint(col.F64[i]))
					default:
						v := col.I64[i]
						if strings.HasSuffix(cols[c].Name, "_ts") {
							v = (v - hour.UnixMicro()) / minute
						}
						s = append(s, fmt.Sprint(v))
					}
				}
				out = append(out, strings.Join(s, " "))
			}
		}
	}
	slices.Sort(out)
	return out
}

// closes is the state of the bars as a map, for comparing with a plain model.
func closes(t testing.TB, l *lake.Lake) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, row := range dump(t, l, bars) {
		f := strings.Fields(row)
		k := f[1] + " " + f[2]
		if m[k] != "" {
			t.Errorf("bar %s is there twice", k)
		}
		m[k] = f[5] + " r" + f[4]
	}
	return m
}

func publication(id byte, at int64, from, to int64, entities [][]string, rows []bar) lake.Publication {
	return lake.Publication{ID: pubID(id), Reason: "test", Who: "me", At: at, Views: []lake.Replacement{{
		Table: bars, From: hour.UnixMicro() + from*minute, To: hour.UnixMicro() + to*minute, Entities: entities,
		Rows: func(yield func(*file.Batch) error) error {
			if len(rows) == 0 {
				return nil
			}
			return yield(batch(rows))
		},
	}}}
}

func pubID(id byte) lake.CommitID { return lake.CommitID(strings.Repeat(fmt.Sprintf("%02x", id), 16)) }

func model(m map[string]string, rows []bar, revision int) {
	for _, r := range rows {
		m[fmt.Sprintf("%s %d", r.symbol, r.minute)] = fmt.Sprintf("%v r%d", r.close, revision)
	}
}

func TestPublish_ReplacesExactlyRangeAndEntities(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	tab, err := l.Create(t.Context(), bars, barsDefinition())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	all := []string{"btc", "eth", "sol"}
	for h := range int64(3) {
		rows := bulk(all, h*10, h*10+10, 1)
		appendBars(t, tab, rows)
		model(want, rows, 0)
	}
	before := maps.Clone(want)

	first := bulk([]string{"btc", "eth"}, 5, 15, 100)
	done, err := l.Publish(t.Context(), publication(1, 1000, 5, 15, [][]string{{"binance", "btc"}, {"binance", "eth"}}, first))
	if err != nil {
		t.Fatal(err)
	}
	model(want, first, 1)
	if got := closes(t, l); !maps.Equal(got, want) {
		t.Errorf("after the first publication:\n got %v\nwant %v", got, want)
	}
	if d := done[0]; d.Removed != 20 || d.Added != 20 || d.Revision != 1 || d.Snapshot == 0 || d.Superseded == 0 {
		t.Errorf("published %+v", d)
	}
	afterFirst := maps.Clone(want)

	// Rows that vanish are replaced by nothing.
	if _, err := l.Publish(t.Context(), publication(2, 2000, 8, 12, nil, bulk([]string{"eth"}, 8, 12, 7))); err != nil {
		t.Fatal(err)
	}
	for m := int64(8); m < 12; m++ {
		delete(want, fmt.Sprintf("btc %d", m))
		delete(want, fmt.Sprintf("sol %d", m))
	}
	model(want, bulk([]string{"eth"}, 8, 12, 7), 2)
	if got := closes(t, l); !maps.Equal(got, want) {
		t.Errorf("after the second:\n got %v\nwant %v", got, want)
	}
	sup := dump(t, l, "superseded.bars_1m_v1")
	if len(sup) != 20+12 {
		t.Errorf("%d superseded rows, want 32", len(sup))
	}
	for _, s := range sup {
		f := strings.Fields(s)
		visible := "1000" // what the first publication brought
		if f[4] == "0" {
			visible = f[3]
		}
		if f[8] != visible && f[4] == "0" || f[6] == string(pubID(2)) && f[7] != "2000" {
			t.Errorf("superseded %s", s)
		}
	}

	// Undo goes back one after the other.
	if _, err := l.Undo(t.Context(), pubID(1), lake.Publication{ID: pubID(3), At: 3000, Who: "me", Reason: "no"}); err == nil || !strings.Contains(err.Error(), string(pubID(2))) {
		t.Errorf("undo of the first before the second: %v", err)
	}
	if _, err := l.Undo(t.Context(), pubID(2), lake.Publication{ID: pubID(3), At: 3000, Who: "me", Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	same := func(step string, want map[string]string) {
		t.Helper()
		got := closes(t, l)
		for k, v := range want {
			if g, _, _ := strings.Cut(got[k], " "); g != strings.Fields(v)[0] {
				t.Errorf("%s: %s is %q, want %q", step, k, got[k], v)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d rows, want %d", step, len(got), len(want))
		}
	}
	same("undone the second", afterFirst)
	if got := closes(t, l)["btc 9"]; !strings.HasSuffix(got, " r3") {
		t.Errorf("revision went on to %q, want r3", got)
	}
	if _, err := l.Undo(t.Context(), pubID(1), lake.Publication{ID: pubID(4), At: 4000, Who: "me", Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	same("undone both", before)

	// Once more with a known id changes nothing.
	was := dump(t, l, bars)
	again, err := l.Publish(t.Context(), publication(1, 1000, 5, 15, nil, first))
	if err != nil || len(again) != 1 || again[0].Removed != 20 || !slices.Equal(dump(t, l, bars), was) {
		t.Errorf("published again: %+v, %v", again, err)
	}
	ps, err := l.Publications(t.Context())
	if err != nil || len(ps) != 4 || ps[2].Undoes != pubID(2) || ps[0].Entities[1][1] != "eth" || ps[1].Entities != nil {
		t.Errorf("publications %+v, %v", ps, err)
	}
}

func TestPublish_WrongOnesAreRefused(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	if _, err := l.Create(t.Context(), bars, barsDefinition()); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(p *lake.Publication){
		"id":      func(p *lake.Publication) { p.ID = "../x" },
		"table":   func(p *lake.Publication) { p.Views[0].Table = "processed.trade" },
		"missing": func(p *lake.Publication) { p.Views[0].Table = "feature.none_v1" },
		"range":   func(p *lake.Publication) { p.Views[0].To = p.Views[0].From },
		"twice":   func(p *lake.Publication) { p.Views = append(p.Views, p.Views[0]) },
		"entity":  func(p *lake.Publication) { p.Views[0].Entities = [][]string{{"btc"}} },
		"outside": func(p *lake.Publication) { p.Views[0].Entities = [][]string{{"binance", "eth"}} },
		"early":   func(p *lake.Publication) { p.Views[0].From += minute },
	} {
		p := publication(9, 1, 0, 5, nil, bulk([]string{"btc"}, 0, 5, 1))
		f(&p)
		if _, err := l.Publish(t.Context(), p); err == nil {
			t.Errorf("%s: published", name)
		}
	}
	if rows := dump(t, l, bars); len(rows) != 0 {
		t.Errorf("%d rows are there", len(rows))
	}
}

// TestPublish_AnyCallFailsAndTheSameIDGoesOn breaks a publication off at each call of the
// store. Readers see the old rows or the new ones, and the same publication run again
// ends in the same state, with every superseded row there once.
func TestPublish_AnyCallFailsAndTheSameIDGoesOn(t *testing.T) {
	t.Parallel()
	rows := bulk([]string{"btc"}, 3, 8, 100)
	step := int64(13)
	if full {
		step = 1
	}
	for _, kind := range []objstore.Fault{objstore.Before, objstore.After} {
		cut := 0
		for k := int64(1); ; k += step {
			store := &objstore.Faulty{Store: &objstore.Memory{}}
			dir := t.TempDir()
			l := open(t, dir, store)
			tab, err := l.Create(t.Context(), bars, barsDefinition())
			if err != nil {
				t.Fatal(err)
			}
			old := bulk([]string{"btc", "eth"}, 0, 10, 1)
			appendBars(t, tab, old)
			base := held(t, l, bars)
			before, after := map[string]string{}, map[string]string{}
			model(before, old, 0)
			model(after, old, 0)
			model(after, rows, 1)
			p := publication(1, 1000, 3, 8, [][]string{{"binance", "btc"}}, rows)

			// From call k on everything fails: the process is as good as dead.
			var dead atomic.Bool
			start := store.Calls()
			store.Plan = func(n int64, _ objstore.Op, _ string) objstore.Fault {
				if n-start >= k {
					f := objstore.Before
					if !dead.Swap(true) {
						f = kind
					}
					return f
				}
				return objstore.None
			}
			ctx, cancel := context.WithCancel(t.Context())
			store.OnFault = cancel
			_, err = l.Publish(ctx, p)
			cancel()
			hit := dead.Load()
			store.Plan, store.OnFault = nil, nil
			if err == nil && hit && k < store.Calls()-start-3 {
				t.Logf("call %d: done in spite of it", k)
			}
			if hit {
				cut++
			}
			l2 := open(t, dir, store)
			got := closes(t, l2)
			if !maps.Equal(got, before) && !maps.Equal(got, after) {
				t.Errorf("fault %d at call %d: readers see %v", kind, k, got)
			}
			if diff := ledgerDiff(t, l2, base); diff != "" {
				t.Errorf("fault %d at call %d (-table +ledger)\n%s", kind, k, diff)
			}
			if _, err := l2.Publish(t.Context(), p); err != nil {
				t.Errorf("fault %d at call %d: again: %v", kind, k, err)
			}
			if got := closes(t, l2); !maps.Equal(got, after) {
				t.Errorf("fault %d at call %d: after going on %v", kind, k, got)
			}
			if diff := ledgerDiff(t, l2, base); diff != "" {
				t.Errorf("fault %d at call %d: after going on (-table +ledger)\n%s", kind, k, diff)
			}
			if sup := dump(t, l2, "superseded.bars_1m_v1"); len(sup) != 5 {
				t.Errorf("fault %d at call %d: %d superseded rows, want 5", kind, k, len(sup))
			}
			if ps, err := l2.Publications(t.Context()); err != nil || len(ps) != 1 || ps[0].Removed != 5 || ps[0].Added != 5 || ps[0].Revision != 1 {
				t.Errorf("fault %d at call %d: %+v, %v", kind, k, ps, err)
			}
			if !hit {
				break
			}
		}
		t.Logf("fault %d: broken off at %d calls", kind, cut)
	}
}

// A lake whose ops.publications is of an earlier release, without the column inputs, keeps what
// is in it, and says of new publications what their rows were made of.
func TestPublish_RecordsOfAnEarlierRelease(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	tab, err := l.Create(t.Context(), bars, barsDefinition())
	if err != nil {
		t.Fatal(err)
	}
	appendBars(t, tab, bulk([]string{"btc"}, 0, 10, 1))
	text := func(id int, name string, null bool) file.Column {
		return file.Column{ID: id, Name: name, Type: file.String, Nullable: null}
	}
	long := func(id int, name string) file.Column { return file.Column{ID: id, Name: name, Type: file.Long} }
	time := func(id int, name string) file.Column { return file.Column{ID: id, Name: name, Type: file.Timestamptz} }
	old, err := l.Create(t.Context(), "ops.publications", lake.Definition{Sort: []string{"table_name", "at"}, Columns: []file.Column{
		text(1, "id", false), text(2, "table_name", false), time(3, "from_ts"), time(4, "to_ts"), text(5, "entities", true), {ID: 6, Name: "revision", Type: file.Int},
		text(7, "reason", false), text(8, "who", false), time(9, "at"), long(10, "snapshot"), long(11, "superseded_snapshot"), long(12, "removed"), long(13, "added"), text(14, "undoes", true),
	}})
	if err != nil {
		t.Fatal(err)
	}
	b := &file.Batch{N: 1, Cols: make([]file.Col, 14)}
	d := file.NewDict(string(pubID(9)), bars, "", "before")
	for c, code := range map[int]int32{0: 0, 1: 1, 4: 2, 6: 3, 7: 3, 13: 2} {
		b.Cols[c].Dict, b.Cols[c].I32 = d, []int32{code}
	}
	b.Cols[4].SetNull(0)
	b.Cols[13].SetNull(0)
	b.Cols[5].I32 = []int32{1}
	for _, c := range []int{2, 3, 8, 9, 10, 11, 12} {
		b.Cols[c].I64 = []int64{int64(c)}
	}
	id := lake.NewCommitID()
	rows, err := old.NewRows(id, nil, nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := rows.Append(t.Context(), b, nil); err != nil {
		t.Fatal(err)
	}
	files, err := rows.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Append(t.Context(), id, lake.Change{Add: files}); err != nil {
		t.Fatal(err)
	}
	p := publication(1, 1000, 0, 5, nil, bulk([]string{"btc"}, 0, 5, 7))
	p.Inputs = `{"as":"corrected"}`
	if _, err := l.Publish(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	all, err := l.Publications(t.Context())
	if err != nil || len(all) != 2 || all[0].ID != pubID(9) || all[0].Inputs != "" || all[0].Reason != "before" || all[1].ID != pubID(1) || all[1].Inputs != p.Inputs {
		t.Fatalf("%v, %+v", err, all)
	}
}
