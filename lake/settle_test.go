package lake

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake/catalog"
	"github.com/pinova-group/tidemark/lake/file"
)

var errLost = errors.New("connection lost")

// badCatalog is a catalog whose commits and looks go wrong as the test says.
type badCatalog struct {
	catalog.Catalog
	commit func(real func() (table.Metadata, string, error)) (table.Metadata, string, error)
	load   func() error
}

func (b *badCatalog) CommitTable(ctx context.Context, id catalog.Ident, reqs []table.Requirement, ups []table.Update) (table.Metadata, string, error) {
	real := func() (table.Metadata, string, error) {
		return b.Catalog.CommitTable(context.WithoutCancel(ctx), id, reqs, ups)
	}
	if b.commit == nil {
		return real()
	}
	return b.commit(real)
}

func (b *badCatalog) LoadTable(ctx context.Context, id catalog.Ident) (*table.Table, error) {
	if b.load != nil {
		if err := b.load(); err != nil {
			return nil, err
		}
	}
	return b.Catalog.LoadTable(ctx, id)
}

type settled struct {
	dir string
	bad *badCatalog
	tab *Table
}

func newSettled(t *testing.T) *settled {
	t.Helper()
	s := &settled{dir: t.TempDir()}
	l, err := Open(t.Context(), Config{Dir: s.dir, Store: &objstore.Memory{}, Now: time.Now, Build: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s.bad = &badCatalog{Catalog: l.cat}
	l.cat = s.bad
	s.tab, err = l.Create(t.Context(), "ops.n", Definition{Columns: []file.Column{{ID: 1, Name: "s", Type: file.String}, {ID: 2, Name: "n", Type: file.Long}}, Sort: []string{"s"}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// append commits one row with the number n.
func (s *settled) append(ctx context.Context, t *testing.T, n int64) (Commit, error) {
	t.Helper()
	id := NewCommitID()
	r, err := s.tab.NewRows(id, nil, nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	b := &file.Batch{N: 1, Cols: []file.Col{{I32: []int32{0}, Dict: file.NewDict("a")}, {I64: []int64{n}}}}
	if err := r.Append(t.Context(), b, nil); err != nil {
		t.Fatal(err)
	}
	files, err := r.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.tab.Append(ctx, id, Change{Add: files})
}

// rows are the numbers that are there.
func (s *settled) rows(t *testing.T) []int64 {
	t.Helper()
	s.bad.commit, s.bad.load = nil, nil
	tab, err := s.tab.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	files, err := tab.Files(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []int64
	for _, f := range files {
		out = append(out, f.Bounds["n"][0].(int64))
	}
	slices.Sort(out)
	return out
}

func (s *settled) want(t *testing.T, want ...int64) {
	t.Helper()
	if got := s.rows(t); !slices.Equal(got, want) {
		t.Errorf("rows %v, want %v", got, want)
	}
}

func TestSettle_AnswersAreLost(t *testing.T) {
	t.Parallel()
	n := int64(20)
	s := newSettled(t)
	var want []int64
	for i := range n {
		lost := 0
		s.bad.commit = func(real func() (table.Metadata, string, error)) (table.Metadata, string, error) {
			if lost++; lost > int(i%4) {
				return real()
			}
			if i%2 == 0 { // done, and the answer lost
				if _, _, err := real(); err != nil {
					return nil, "", err
				}
			}
			return nil, "", errLost // or the request
		}
		c, err := s.append(t.Context(), t, i)
		if err != nil || c.Snapshot == 0 {
			t.Errorf("append %d: %+v, %v", i, c, err)
		}
		want = append(want, i)
	}
	s.want(t, want...)
}

// TestSettle_AFirstRequestComesLate: the first request arrives after its answer was given
// up and the table looked at. Exactly one of the two lands.
func TestSettle_AFirstRequestComesLate(t *testing.T) {
	for _, late := range []string{"before the second", "after the second"} {
		s := newSettled(t)
		var first func() (table.Metadata, string, error)
		s.bad.commit = func(real func() (table.Metadata, string, error)) (table.Metadata, string, error) {
			if first == nil {
				first = real
				return nil, "", errLost
			}
			if late == "before the second" {
				if _, _, err := first(); err != nil {
					t.Errorf("the first, alone: %v", err)
				}
				return real()
			}
			m, loc, err := real()
			if _, _, err := first(); !errors.Is(err, catalog.ErrRefused) {
				t.Errorf("the first after the second: %v", err)
			}
			return m, loc, err
		}
		if _, err := s.append(t.Context(), t, 1); err != nil {
			t.Errorf("%s: %v", late, err)
		}
		s.want(t, 1)
	}
}

func TestSettle_ADeadCatalogLeavesItUnknown(t *testing.T) {
	s := newSettled(t)
	for _, done := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		s.bad.commit = func(real func() (table.Metadata, string, error)) (table.Metadata, string, error) {
			if done {
				_, _, _ = real()
			}
			s.bad.load = func() error { return errLost }
			cancel() // nobody waits for ever
			return nil, "", errLost
		}
		_, err := s.append(ctx, t, 1)
		var u *UnknownError
		if !errors.As(err, &u) || !errors.Is(err, errLost) {
			t.Fatalf("done %t: %v", done, err)
		}
		s.bad.commit, s.bad.load = nil, nil
		tab, err := s.tab.Reload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if snap, whole := tab.Find("", u.ID); !whole || (snap != 0) != done {
			t.Errorf("done %t: found %d, whole %t", done, snap, whole)
		}
	}
	s.want(t, 1)
}

// TestSettle_GivenUpWhileOpen: the caller's time is up, the catalog answers, and the commit
// is not there, but its request may still be under way.
func TestSettle_GivenUpWhileOpen(t *testing.T) {
	s := newSettled(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.bad.commit = func(func() (table.Metadata, string, error)) (table.Metadata, string, error) {
		cancel()
		return nil, "", errLost
	}
	if _, err := s.append(ctx, t, 1); !errors.As(err, new(*UnknownError)) {
		t.Errorf("given up while open: %v", err)
	}
	s.want(t)
}

func TestSettle_RefusedEachTimeIsAConflict(t *testing.T) {
	t.Parallel()
	s := newSettled(t)
	var n atomic.Int64
	s.bad.commit = func(func() (table.Metadata, string, error)) (table.Metadata, string, error) {
		n.Add(1)
		return nil, "", catalog.ErrRefused
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := s.append(ctx, t, 1)
	if !errors.Is(err, ErrConflict) || errors.As(err, new(*UnknownError)) || n.Load() < maxAttempts || n.Load() > maxAttempts*(1+claimTries) { // claims are tries, too
		t.Errorf("after %d tries: %v", n.Load(), err)
	}
	s.want(t)
}

func TestSettle_ALockedCatalogIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := newSettled(t)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "catalog.db")+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(2500*time.Millisecond, func() { _ = tx.Rollback() }) // longer than one wait of the catalog
	c, err := s.append(t.Context(), t, 1)
	if err != nil || c.Tries < 2 {
		t.Errorf("commit %+v, %v", c, err)
	}
	s.want(t, 1)
}

// TestSettle_ATagSavesItsSnapshot: a tag that is set while a commit that would expire its
// snapshot is put together wins (I7).
func TestSettle_ATagSavesItsSnapshot(t *testing.T) {
	t.Parallel()
	s := newSettled(t)
	ctx := t.Context()
	for range maxSnapshots {
		if _, err := s.tab.Append(ctx, NewCommitID(), Change{}); err != nil {
			t.Fatal(err)
		}
	}
	tab, err := s.tab.Reload(ctx)
	if err != nil {
		t.Fatal(err)
	}
	snaps, err := tab.Snapshots()
	if err != nil || len(snaps) != maxSnapshots {
		t.Fatalf("%d snapshots, %v", len(snaps), err)
	}
	tagged := false
	s.bad.commit = func(real func() (table.Metadata, string, error)) (table.Metadata, string, error) {
		if !tagged {
			tagged = true
			if _, err := s.tab.SetRef(ctx, Ref{Name: "old", Tag: true, Snapshot: snaps[0].ID}); err != nil {
				t.Error(err)
			}
		}
		return real()
	}
	if _, err := s.tab.Append(ctx, NewCommitID(), Change{}); err != nil {
		t.Fatal(err)
	}
	if tab, err = tab.Reload(ctx); err != nil || len(tab.Refs()) != 2 || tab.inner.SnapshotByID(snaps[0].ID) == nil {
		t.Errorf("the tag is gone: %+v, %v", tab.Refs(), err)
	}
}

func TestOffsets_PackedAndBack(t *testing.T) {
	var o Offsets
	for _, topic := range []string{"a", "b"} {
		for p := range int32(64) {
			o = append(o, Position{Cluster: "c", Topic: topic, TopicID: topic + "1", Partition: p * p, Next: int64(p) << 50})
		}
	}
	got, err := ParseOffsets(o.Pack())
	if err != nil || !slices.Equal(got, o) {
		t.Errorf("got %v, %v", got, err)
	}
	packed := o.Pack()
	for i := range packed {
		if got, err := ParseOffsets(packed[:i]); err == nil && i > 0 && len(got) >= len(o) {
			t.Errorf("cut off at %d: %v", i, got)
		}
	}
	if _, err := ParseOffsets("AgA"); err == nil {
		t.Error("a later version was read")
	}
}
