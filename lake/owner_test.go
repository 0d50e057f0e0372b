package lake_test

import (
	"context"
	"errors"
	"testing"

	"github.com/pinova-group/tidemark/lake"
)

// Owner and imported-through are the table's, with the commit that sets them; topics that are given up may begin anew.
func TestCommit_OwnerImportedForget(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	tab := newTable(t, l)
	base := func() lake.Base {
		b, err := reload(t, tab).Base()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	commit := func(ch lake.Change) error {
		_, err := tab.Commit(context.Background(), "", lake.NewCommitID(), func(context.Context, lake.Base) (*lake.Change, error) { return &ch, nil })
		return err
	}
	at := func(id string, next int64) lake.Offsets {
		return lake.Offsets{{Cluster: "c", Topic: "a", TopicID: id, Next: next}, {Cluster: "c", Topic: "b", TopicID: "b1", Next: 7}}
	}
	if err := commit(lake.Change{Owner: "first", Imported: 20, Offsets: at("a1", 5)}); err != nil {
		t.Fatal(err)
	}
	if err := commit(lake.Change{Imported: 10}); err != nil {
		t.Fatal(err)
	}
	if b := base(); b.Owner != "first" || b.Imported != 20 {
		t.Errorf("owner %q, imported through %d", b.Owner, b.Imported)
	}
	if err := commit(lake.Change{Owner: "second", Offsets: at("a2", 0)}); !errors.Is(err, lake.ErrTopicReplaced) {
		t.Errorf("a topic of another id: %v", err)
	}
	if err := commit(lake.Change{Owner: "second", Offsets: at("a2", 0)[:1], Forget: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	if b := base(); b.Owner != "second" || len(b.Offsets) != 2 || b.Offsets.Next("c", "a2", 0) != 0 || b.Offsets.Next("c", "b1", 0) != 7 {
		t.Errorf("owner %q, offsets %+v", b.Owner, b.Offsets)
	}
}
