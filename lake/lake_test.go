package lake_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/catalog"
	"github.com/pinova-group/tidemark/lake/file"
)

// The table of the tests: rows are numbered, so that each one can be told from the others.
var columns = []file.Column{
	{ID: 1, Name: "ts", Type: file.Timestamptz, Doc: "time of the row"},
	{ID: 2, Name: "exchange", Type: file.String},
	{ID: 3, Name: "symbol", Type: file.String},
	{ID: 4, Name: "n", Type: file.Long, Unit: "rows", Doc: "number of the row"},
	{ID: 5, Name: "px", Type: file.Double, Nullable: true},
}

func definition() lake.Definition {
	return lake.Definition{
		Columns:   columns,
		Partition: []lake.Partition{{Column: "ts", Transform: "hour"}, {Column: "exchange", Transform: "identity"}},
		Sort:      []string{"symbol", "ts"},
	}
}

var hour = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

func open(t testing.TB, dir string, store objstore.Store) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: dir, Store: store, Now: time.Now, Build: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func newTable(t testing.TB, l *lake.Lake) *lake.Table {
	t.Helper()
	tab, err := l.Create(t.Context(), "processed.trade", definition())
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// write makes one file with rows from..to-1, all in the hour of their exchange.
func write(ctx context.Context, tab *lake.Table, id lake.CommitID, n int, exchange string, from, to int64) (lake.File, error) {
	cols, err := tab.Columns()
	if err != nil {
		return lake.File{}, err
	}
	w, err := file.NewWriter(cols, []file.Key{{Column: "symbol"}, {Column: "ts"}})
	if err != nil {
		return lake.File{}, err
	}
	rows := int(to - from)
	b := &file.Batch{N: rows, Cols: make([]file.Col, len(cols))}
	d := file.NewDict(exchange, "btcusdt", "ethusdt")
	for i := range rows {
		k := from + int64(i)
		b.Cols[0].I64 = append(b.Cols[0].I64, hour.UnixMicro()+k%1000)
		b.Cols[1].I32 = append(b.Cols[1].I32, 0)
		b.Cols[2].I32 = append(b.Cols[2].I32, 1+int32(k%2))
		b.Cols[3].I64 = append(b.Cols[3].I64, k)
		b.Cols[4].F64 = append(b.Cols[4].F64, float64(k)/2)
	}
	b.Cols[1].Dict, b.Cols[2].Dict = d, d
	if err := w.Append(b, nil); err != nil {
		return lake.File{}, err
	}
	return tab.WriteFile(ctx, id, n, w)
}

func appendRows(t testing.TB, tab *lake.Table, from, to int64, ch lake.Change) lake.Commit {
	t.Helper()
	id := lake.NewCommitID()
	f, err := write(t.Context(), tab, id, 0, "binance", from, to)
	if err != nil {
		t.Fatal(err)
	}
	ch.Add = []lake.File{f}
	c, err := tab.Append(t.Context(), id, ch)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func reload(t testing.TB, tab *lake.Table) *lake.Table {
	t.Helper()
	tab, err := tab.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func head(t testing.TB, tab *lake.Table) lake.Snapshot {
	t.Helper()
	s, err := tab.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	return s[len(s)-1]
}

func TestLake_TablesComeBackAsMade(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	newTable(t, l)
	if _, err := l.Create(t.Context(), "processed.trade", definition()); !errors.Is(err, lake.ErrExists) {
		t.Errorf("a second table of the name: %v", err)
	}
	tab, err := l.Load(t.Context(), "processed.trade")
	if err != nil {
		t.Fatal(err)
	}
	got, err := tab.Columns()
	if err != nil || !slices.Equal(got, columns) {
		t.Errorf("columns %+v, %v", got, err)
	}
	if p := tab.PartitionBy(); !slices.Equal(p, definition().Partition) {
		t.Errorf("partition %+v", p)
	}
	names, err := l.Tables(t.Context())
	if err != nil || !slices.Equal(names, []string{"processed.trade"}) {
		t.Errorf("tables %v, %v", names, err)
	}
	if _, err := l.Load(t.Context(), "processed.quote"); !errors.Is(err, lake.ErrNoTable) {
		t.Errorf("a table that is not there: %v", err)
	}
}

// Buckets are Iceberg's: the values are PyIceberg 0.12's, BucketTransform(n) of a string. The
// specification gives the hash of "iceberg" as 1210000089.
func TestBucket_IsIcebergs(t *testing.T) {
	for text, want := range map[string][3]int32{ // of 16, 100, 4096
		"iceberg": {1210000089 % 16, 1210000089 % 100, 1210000089 % 4096}, "BTC-USDT": {8, 84, 1512}, "ETH-USDT": {10, 94, 1674}, "BTC-USDT-260327": {10, 58, 3402},
		"1000PEPE-USDT": {14, 90, 2430}, "币安-USDT": {1, 89, 1569}, strings.Repeat("x", 40): {15, 51, 2207},
	} {
		if got := [3]int32{lake.Bucket(16, text), lake.Bucket(100, text), lake.Bucket(4096, text)}; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestLake_NamesThatLeadElsewhereAreRefused(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	for _, n := range []string{"", "trade", "processed.", "processed.../x", "processed.a/b", "processed.A", "other.trade", "processed.a.b", "processed.\x00", "ops.%2e%2e", "feature.ä"} {
		if _, err := l.Create(t.Context(), n, definition()); err == nil {
			t.Errorf("table %q was made", n)
		}
		if _, err := l.Load(t.Context(), n); err == nil || errors.Is(err, lake.ErrNoTable) {
			t.Errorf("table %q was looked for: %v", n, err)
		}
	}
	for _, u := range []string{"file:///a/../b", "s3://b/../x", "file:///a/%2e%2e/b", "s3:///x", "file://host/x", "http://x/y", "file:///a//b", "file:///a/\x00"} {
		if _, err := (objstore.Folder{}).Stat(t.Context(), u); err == nil || errors.Is(err, objstore.ErrNotExist) {
			t.Errorf("%s: %v", u, err)
		}
	}
}

func TestCommit_RowsOffsetsAndMarksArrive(t *testing.T) {
	tab := newTable(t, open(t, t.TempDir(), nil))
	pos := func(next int64) lake.Offsets {
		return lake.Offsets{{Cluster: "c", Topic: "processed.binance.spot.trade", TopicID: "t1", Partition: 3, Next: next}}
	}
	appendRows(t, tab, 0, 100, lake.Change{From: pos(0), Offsets: pos(100), ValidThrough: 5000, Inputs: "x"})
	appendRows(t, tab, 100, 150, lake.Change{From: pos(100), Offsets: pos(150), ValidThrough: 4000})
	tab = reload(t, tab)
	b, err := tab.Base()
	if err != nil || !slices.Equal(b.Offsets, pos(150)) || b.ValidThrough != 5000 {
		t.Errorf("stands at %+v, %v", b, err)
	}
	s := head(t, tab)
	if s.Rows != 150 || s.Files != 2 || s.ValidThrough != 5000 || !slices.Equal(s.Offsets, pos(150)) || s.Operation != "append" {
		t.Errorf("head %+v", s)
	}
	for _, c := range []struct {
		ch   lake.Change
		want error
	}{
		{lake.Change{From: pos(100), Offsets: pos(200)}, lake.ErrFenced},
		{lake.Change{Offsets: pos(149)}, lake.ErrBackwards},
		{lake.Change{Offsets: lake.Offsets{{Cluster: "c", Topic: "processed.binance.spot.trade", TopicID: "t2", Partition: 3, Next: 900}}}, lake.ErrTopicReplaced},
	} {
		if _, err := tab.Append(t.Context(), lake.NewCommitID(), c.ch); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.ch, err, c.want)
		}
	}
	// Progress without rows is a commit, too.
	if _, err := tab.Append(t.Context(), lake.NewCommitID(), lake.Change{Offsets: pos(160)}); err != nil {
		t.Fatal(err)
	}
	if s := head(t, reload(t, tab)); s.Rows != 150 || !slices.Equal(s.Offsets, pos(160)) {
		t.Errorf("after a commit without rows: %+v", s)
	}
}

func TestCommit_BranchesAndTags(t *testing.T) {
	tab := newTable(t, open(t, t.TempDir(), nil))
	first := appendRows(t, tab, 0, 10, lake.Change{})
	if _, err := tab.SetRef(t.Context(), lake.Ref{Name: "training-1", Tag: true, Snapshot: first.Snapshot}); err != nil {
		t.Fatal(err)
	}
	id := lake.NewCommitID()
	f, err := write(t.Context(), tab, id, 0, "kraken", 10, 20)
	if err != nil {
		t.Fatal(err)
	}
	audit, err := tab.Commit(t.Context(), "audit", id, func(context.Context, lake.Base) (*lake.Change, error) {
		return &lake.Change{Add: []lake.File{f}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := reload(t, tab).Base(); err != nil || b.Snapshot != first.Snapshot {
		t.Errorf("main moved: %+v, %v", b, err)
	}
	if _, err := tab.SetRef(t.Context(), lake.Ref{Name: lake.Main, Snapshot: audit.Snapshot}); err != nil {
		t.Errorf("fast forward: %v", err)
	}
	if _, err := tab.SetRef(t.Context(), lake.Ref{Name: lake.Main, Snapshot: first.Snapshot}); !errors.Is(err, lake.ErrBackwards) {
		t.Errorf("main went back: %v", err)
	}
	if _, err := tab.SetRef(t.Context(), lake.Ref{Name: "training-1", Tag: true, Snapshot: audit.Snapshot}); err == nil {
		t.Error("a tag moved")
	}
	if _, err := tab.Commit(t.Context(), "training-1", lake.NewCommitID(), func(context.Context, lake.Base) (*lake.Change, error) {
		return &lake.Change{}, nil
	}); err == nil {
		t.Error("a commit on a tag")
	}
	tab, err = tab.DropRef(t.Context(), "audit")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range tab.Refs() {
		names = append(names, fmt.Sprintf("%s %t %t", r.Name, r.Tag, r.Snapshot == audit.Snapshot))
	}
	if want := []string{"main false true", "training-1 true false"}; !slices.Equal(names, want) {
		t.Errorf("refs %q, want %q", names, want)
	}
}

func TestEvolve_AddsWidensRenamesAndRefusesTheRest(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	d := definition()
	d.Columns = append(slices.Clone(columns), file.Column{ID: 6, Name: "k", Type: file.Int})
	tab, err := l.Create(t.Context(), "processed.trade", d)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(d.Columns)
	want[4].Name, want[5].Type = "price", file.Long
	want = append(want, file.Column{ID: 9, Name: "extra", Type: file.String, Nullable: true, Doc: "later"})
	tab, err = tab.Evolve(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tab.Columns(); err != nil || !slices.Equal(got, want) {
		t.Errorf("columns %+v, %v", got, err)
	}
	at := tab.MetadataLocation()
	if again, err := tab.Evolve(t.Context(), want); err != nil || again.MetadataLocation() != at {
		t.Errorf("the same once more: %v", err)
	}
	for name, f := range map[string]func(c []file.Column) []file.Column{
		"drop":            func(c []file.Column) []file.Column { return c[1:] },
		"narrow":          func(c []file.Column) []file.Column { c[5].Type = file.Int; return c },
		"other type":      func(c []file.Column) []file.Column { c[3].Type = file.String; return c },
		"required":        func(c []file.Column) []file.Column { c[4].Nullable = false; return c },
		"new required":    func(c []file.Column) []file.Column { return append(c, file.Column{ID: 20, Name: "r", Type: file.Long}) },
		"name taken":      func(c []file.Column) []file.Column { c[4].Name = "n"; return c },
		"id used":         func(c []file.Column) []file.Column { c[5].ID = 30; return c },
		"no name at all ": func(c []file.Column) []file.Column { c[4].Name = "a b"; return c },
	} {
		if _, err := tab.Evolve(t.Context(), f(slices.Clone(want))); err == nil {
			t.Errorf("%s: allowed", name)
		}
	}
}

func TestCommit_DroppedAndMadeAnewIsNotTheSameTable(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	tab := newTable(t, l)
	if err := l.Drop(t.Context(), "processed.trade"); err != nil {
		t.Fatal(err)
	}
	if _, err := tab.Append(t.Context(), lake.NewCommitID(), lake.Change{}); !errors.Is(err, lake.ErrNoTable) {
		t.Errorf("append to a dropped table: %v", err)
	}
	newTable(t, l)
	if _, err := tab.Append(t.Context(), lake.NewCommitID(), lake.Change{}); !errors.Is(err, lake.ErrReplaced) {
		t.Errorf("append to a table made anew: %v", err)
	}
}

func TestCommit_StaleBaseIsDecidedAnew(t *testing.T) {
	dir := t.TempDir()
	tab, other := newTable(t, open(t, dir, nil)), (*lake.Table)(nil)
	other, err := open(t, dir, nil).Load(t.Context(), "processed.trade")
	if err != nil {
		t.Fatal(err)
	}
	id := lake.NewCommitID()
	f, err := write(t.Context(), tab, id, 0, "binance", 0, 5)
	if err != nil {
		t.Fatal(err)
	}
	var seen []int64
	c, err := tab.Commit(t.Context(), "", id, func(_ context.Context, b lake.Base) (*lake.Change, error) {
		seen = append(seen, b.Snapshot)
		if len(seen) == 1 {
			appendRows(t, other, 5, 10, lake.Change{})
		}
		return &lake.Change{Add: []lake.File{f}}, nil
	})
	if err != nil || len(seen) != 2 || seen[0] != 0 || seen[1] == 0 || c.Tries != 2 {
		t.Errorf("commit %+v, %v; decided on %v", c, err, seen)
	}
	if s := head(t, reload(t, tab)); s.Rows != 10 {
		t.Errorf("%d rows, want 10", s.Rows)
	}
}

func TestCommit_AZombieIsFencedByItsOffsets(t *testing.T) {
	dir := t.TempDir()
	old := newTable(t, open(t, dir, nil))
	at := func(n int64) lake.Offsets { return lake.Offsets{{Cluster: "c", Topic: "t", TopicID: "i", Next: n}} }
	appendRows(t, old, 0, 10, lake.Change{From: at(0), Offsets: at(10)})
	taken, err := open(t, dir, nil).Load(t.Context(), "processed.trade")
	if err != nil {
		t.Fatal(err)
	}
	appendRows(t, taken, 10, 20, lake.Change{From: at(10), Offsets: at(20)})
	id := lake.NewCommitID()
	f, err := write(t.Context(), old, id, 0, "binance", 10, 20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Append(t.Context(), id, lake.Change{Add: []lake.File{f}, From: at(10), Offsets: at(20)}); !errors.Is(err, lake.ErrFenced) {
		t.Errorf("a zombie's commit: %v", err)
	}
	if s := head(t, reload(t, old)); s.Rows != 20 {
		t.Errorf("%d rows, want 20", s.Rows)
	}
}

func TestMetadata_StaysSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("260 commits; not with -short")
	}
	store := &objstore.Memory{}
	tab := newTable(t, open(t, t.TempDir(), store))
	// Ten topics of 64 partitions are a large deployment.
	var at lake.Offsets
	for topic := range 10 {
		for p := range int32(64) {
			at = append(at, lake.Position{Cluster: "MkU3OEVBNTcwNTJENDM2Qk", Topic: fmt.Sprintf("processed.exchange%d.spot.trade", topic), TopicID: fmt.Sprintf("hfZfDIZJQuGPrGwlCqNt%02d", topic), Partition: p, Next: 7e9})
		}
	}
	appendRows(t, tab, 0, 1, lake.Change{})
	tab = reload(t, tab)
	if _, err := tab.SetRef(t.Context(), lake.Ref{Name: "first", Tag: true, Snapshot: head(t, tab).ID}); err != nil {
		t.Fatal(err)
	}
	size := func() int64 {
		tab = reload(t, tab)
		info, err := store.Stat(t.Context(), tab.MetadataLocation())
		if err != nil {
			t.Fatal(err)
		}
		return info.Size
	}
	for range 220 {
		if _, err := tab.Append(t.Context(), lake.NewCommitID(), lake.Change{}); err != nil {
			t.Fatal(err)
		}
	}
	bare := size()
	const full = 10
	for i := range full {
		for j := range at {
			at[j].Next += int64(100000 + 7919*i*j%50000)
		}
		if _, err := tab.Append(t.Context(), lake.NewCommitID(), lake.Change{Offsets: at}); err != nil {
			t.Fatal(err)
		}
	}
	all := bare + (size()-bare)/full*200
	s, err := tab.Snapshots()
	if err != nil || len(s) != 200 {
		t.Errorf("%d snapshots, %v", len(s), err)
	}
	if !slices.ContainsFunc(tab.Refs(), func(r lake.Ref) bool { return r.Name == "first" }) {
		t.Error("the tag's snapshot was expired")
	}
	if all > 2<<20 {
		t.Errorf("metadata of 200 snapshots with offsets: %d bytes", all)
	}
	n := 0
	for f := range store.List(t.Context(), tab.Location()) {
		if strings.HasSuffix(f.URI, ".metadata.json") {
			n++
		}
	}
	if n > 52 {
		t.Errorf("%d metadata files are kept", n)
	}
	t.Logf("metadata.json with 200 snapshots: %d bytes, with offsets %d; %d bytes a vector of %d partitions", bare, all, len(at.Pack()), len(at))
}

func TestOpen_ReadsConfigs(t *testing.T) {
	for _, c := range []lake.Config{
		{Now: time.Now, Catalog: catalog.Config{Kind: "sqlite", Name: "x", URI: "x.db", Warehouse: "/tmp/x"}},
		{Now: time.Now, Catalog: catalog.Config{Kind: "hive", Name: "x", Warehouse: "file:///tmp/x"}},
		{Dir: t.TempDir()},
	} {
		if _, err := lake.Open(t.Context(), c); err == nil {
			t.Errorf("%+v: opened", c)
		}
	}
}
