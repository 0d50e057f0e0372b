package lake_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
)

// stage appends rows to a branch.
func stage(t *testing.T, tab *lake.Table, branch string, rows []bar, props map[string]string) {
	t.Helper()
	stageRows(t, tab, branch, rows, props, false)
}

// stageRows is stage with or without sums in the footers.
func stageRows(t *testing.T, tab *lake.Table, branch string, rows []bar, props map[string]string, sums bool) {
	t.Helper()
	id := lake.NewCommitID()
	out, err := tab.NewRows(id, nil, nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if sums {
		if err := out.Sum(); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Append(t.Context(), batch(rows), nil); err != nil {
		t.Fatal(err)
	}
	files, err := out.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tab.Commit(t.Context(), branch, id, func(context.Context, lake.Base) (*lake.Change, error) {
		return &lake.Change{Add: files, Properties: props}, nil
	}); err != nil {
		t.Fatal(err)
	}
}

// A branch that is dropped takes its snapshots and its properties with it; main and what
// else leads to a snapshot stay.
func TestDropBranch_LeavesNothingButFiles(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	tab, err := l.Create(t.Context(), bars, barsDefinition())
	if err != nil {
		t.Fatal(err)
	}
	stage(t, tab, "first", bulk([]string{"A"}, 0, 5, 1), map[string]string{"tidemark.note": "x"}) // before main has a row
	stage(t, tab, lake.Main, bulk([]string{"A"}, 0, 10, 1), nil)
	stage(t, tab, "second", bulk([]string{"B"}, 0, 5, 1), nil)
	stage(t, tab, "second", bulk([]string{"B"}, 5, 9, 1), map[string]string{"tidemark.other": "y"})
	stage(t, tab, lake.Main, bulk([]string{"A"}, 10, 20, 1), nil)
	now := reload(t, tab)
	if now.Property("tidemark.note") != "x" || now.Property("tidemark.other") != "y" {
		t.Fatalf("properties %v", now.Properties())
	}
	head, ok := now.Head("second")
	if !ok {
		t.Fatal("no branch")
	}
	rows := map[string]int{}
	files, err := now.Files(t.Context(), head)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := now.ReadFile(t.Context(), f, func(b *file.Batch) error {
			for i := range b.N {
				rows[string(b.Cols[1].Text(i))]++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if rows["A"] != 10 || rows["B"] != 9 {
		t.Errorf("rows of the branch: %v", rows)
	}
	for range 2 { // a second time there is nothing to do
		for branch, key := range map[string]string{"first": "tidemark.note", "second": "tidemark.other"} {
			if _, err := now.DropBranch(t.Context(), branch, key, "tidemark.nobody"); err != nil {
				t.Fatal(err)
			}
		}
	}
	now = reload(t, tab)
	snaps, err := now.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	if len(snaps) != 2 || len(now.Refs()) != 1 || now.Property("tidemark.note")+now.Property("tidemark.other") != "" {
		t.Errorf("%d snapshots, refs %v, properties %v", len(snaps), now.Refs(), now.Properties())
	}
	if got := dump(t, l, bars); len(got) != 20 {
		t.Errorf("main has %d rows", len(got))
	}
	if _, err := now.DropBranch(t.Context(), lake.Main); err == nil {
		t.Error("main was dropped")
	}
}

// A publication that says which others it knows ends when another one has replaced rows of its
// range, and not for one of other rows.
func TestPublish_KnowsTheOthers(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	tab, err := l.Create(t.Context(), bars, barsDefinition())
	if err != nil {
		t.Fatal(err)
	}
	stage(t, tab, lake.Main, bulk([]string{"A"}, 0, 100, 1), nil)
	publish := func(from, to int64, known []lake.CommitID) (lake.CommitID, error) {
		p := lake.Publication{ID: lake.NewCommitID(), At: 1, Known: known, Inputs: "made of it", Views: []lake.Replacement{{
			Table: bars, From: hour.UnixMicro() + from*minute, To: hour.UnixMicro() + to*minute,
			Rows: func(yield func(*file.Batch) error) error { return yield(batch(bulk([]string{"A"}, from, to, 2))) },
		}}}
		_, err := l.Publish(t.Context(), p)
		return p.ID, err
	}
	one, err := publish(10, 20, []lake.CommitID{})
	if err != nil {
		t.Fatal(err)
	}
	snaps, err := reload(t, tab).Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(snaps, func(s lake.Snapshot) bool { return s.Summary["tidemark.inputs"] == "made of it" }) {
		t.Error("what the rows were made of is not noted")
	}
	if _, err := publish(20, 30, []lake.CommitID{}); err != nil {
		t.Errorf("beside another one: %v", err)
	}
	if _, err := publish(15, 18, []lake.CommitID{}); !errors.Is(err, lake.ErrRaced) || !strings.Contains(err.Error(), string(one)) {
		t.Errorf("over another one: %v", err)
	}
	if _, err := publish(15, 18, []lake.CommitID{one}); err != nil {
		t.Errorf("over one that is known: %v", err)
	}
	if _, err := publish(15, 18, nil); err != nil {
		t.Errorf("over all: %v", err)
	}
}

// A staged file that has the right revision is taken over as it is, unless it is one of many small ones; either way readers,
// the ledger and the record of the publication see the same.
func TestPublish_TakesStagedFilesOver(t *testing.T) {
	for _, c := range []struct {
		name       string
		merge      int64
		again      bool // rows are there already, so that the new ones are of revision 1
		sums       bool
		more       int64 // files of a row
		takenOver  int
		wantMerged int
	}{
		{"as they are", 1, false, false, 0, 2, 0}, {"with sums", 1, false, true, 0, 2, 0}, {"few small ones", 1 << 30, false, true, 8, 10, 0},
		{"many small ones of a partition", 1 << 30, false, true, 9, 2, 1}, {"of another revision", 1, true, true, 0, 0, 1},
	} {
		l := open(t, t.TempDir(), nil)
		tab, err := l.Create(t.Context(), bars, barsDefinition())
		if err != nil {
			t.Fatal(err)
		}
		stageRows(t, tab, "work", bulk([]string{"A"}, 0, 30, 1), nil, c.sums)
		stageRows(t, tab, "work", bulk([]string{"B"}, 10, 50, 1), nil, c.sums)
		for i := range c.more {
			stageRows(t, tab, "work", bulk([]string{"C"}, i, i+1, 1), nil, c.sums)
		}
		if c.again {
			stage(t, tab, lake.Main, bulk([]string{"A"}, 0, 50, 1), nil)
		}
		now := reload(t, tab)
		head, _ := now.Head("work")
		staged, err := now.Files(t.Context(), head)
		if err != nil {
			t.Fatal(err)
		}
		p := lake.Publication{ID: lake.NewCommitID(), At: 1, Views: []lake.Replacement{{
			Table: bars, From: hour.UnixMicro(), To: hour.UnixMicro() + 50*minute, Staged: staged, Merge: c.merge,
		}}}
		done, err := l.Publish(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if done[0].Added != 70+c.more || done[0].Revision != map[bool]int32{true: 1}[c.again] {
			t.Errorf("%s: %+v", c.name, done[0])
		}
		if _, err := reload(t, tab).DropBranch(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
		now = reload(t, tab)
		files, err := now.Files(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		taken := 0
		for _, f := range files {
			if i := slices.IndexFunc(staged, func(s lake.DataFile) bool { return s.Path == f.Path }); i >= 0 {
				taken++
				if !reflect.DeepEqual(staged[i], f) {
					t.Errorf("%s: registered as %+v, staged as %+v", c.name, f, staged[i])
				}
			}
		}
		if taken != c.takenOver || len(files)-taken != c.wantMerged {
			t.Errorf("%s: %d of %d files taken over", c.name, taken, len(files))
		}
		rows := dump(t, l, bars)
		if int64(len(rows)) != 70+c.more {
			t.Errorf("%s: %d rows", c.name, len(rows))
		}
		found, err := l.Examine(t.Context(), lake.Examination{Deep: true})
		if err != nil || len(found) > 0 {
			t.Errorf("%s: %v, %+v", c.name, err, found)
		}
	}
}

// Snapshots are numbered over all branches: one of a branch is made again when main or another
// branch has moved since it was decided on, though its own branch has not.
func TestCommit_BranchBesideOthers(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	tab, err := l.Create(t.Context(), bars, barsDefinition())
	if err != nil {
		t.Fatal(err)
	}
	for n, other := range []string{lake.Main, "other"} {
		id := lake.NewCommitID()
		out, err := tab.NewRows(id, nil, nil, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Append(t.Context(), batch(bulk([]string{"B"}, int64(n), int64(n)+1, 1)), nil); err != nil {
			t.Fatal(err)
		}
		files, err := out.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		moved := false
		if _, err := tab.Commit(t.Context(), "branch", id, func(context.Context, lake.Base) (*lake.Change, error) {
			if !moved {
				moved = true
				stage(t, tab, other, bulk([]string{"A"}, int64(n), int64(n)+1, 1), nil)
			}
			return &lake.Change{Add: files}, nil
		}); err != nil {
			t.Errorf("%s moved in between: %v", other, err)
		}
	}
	now := reload(t, tab)
	head, _ := now.Head("branch")
	files, err := now.Files(t.Context(), head)
	if err != nil || len(files) != 3 { // it begins at main, which had a file by then
		t.Errorf("%v, the branch has %d files", err, len(files))
	}
}
