package lake

import (
	"context"
	"maps"
	"slices"

	"github.com/apache/iceberg-go/table"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake/file"
)

// ReadFile yields the rows of one file of the table with all of its columns, batch by batch. A
// batch is valid until the next.
func (t *Table) ReadFile(ctx context.Context, f DataFile, yield func(*file.Batch) error) error {
	cols, err := t.Columns()
	if err != nil {
		return err
	}
	return t.read(ctx, f.Path, f.Bytes, cols, yield)
}

// UUID names the table for as long as it lives; one that is made anew by its name has another.
func (t *Table) UUID() string { return t.inner.Metadata().TableUUID().String() }

// Properties are all properties of the table.
func (t *Table) Properties() map[string]string { return maps.Clone(t.inner.Properties()) }

// Head is the snapshot that a branch points at; ok is false when there is no such branch.
func (t *Table) Head(branch string) (snapshot int64, ok bool) {
	for name, r := range t.inner.Metadata().Refs() {
		if name == branch {
			return r.SnapshotID, true
		}
	}
	return 0, false
}

// DropBranch removes a branch, never main, the snapshots that nothing else leads to, and
// properties of the table that were kept for it. Its files stay for upkeep.
func (t *Table) DropBranch(ctx context.Context, name string, properties ...string) (*Table, error) {
	if name == Main {
		return nil, fault.Usage("ref-name", "main is not dropped", "")
	}
	var own []int64
	cur, err := t.change(ctx, "drop "+name, func(cur *Table) ([]table.Requirement, []table.Update, error) {
		var reqs []table.Requirement
		var ups []table.Update
		if head, ok := cur.Head(name); ok {
			own = cur.own(name, head)
			reqs = append(reqs, table.AssertRefSnapshotID(name, &head))
			ups = append(ups, table.NewRemoveSnapshotRefUpdate(name))
		}
		var keys []string
		for _, k := range properties {
			if cur.Property(k) != "" {
				keys = append(keys, k)
			}
		}
		if len(keys) > 0 {
			ups = append(ups, table.NewRemovePropertiesUpdate(keys))
		}
		return reqs, ups, nil
	})
	if err != nil || len(own) == 0 {
		return cur, err
	}
	// In a commit of its own: a catalog removes no snapshot that it still knows a branch for.
	return cur.change(ctx, "forget "+name, func(cur *Table) ([]table.Requirement, []table.Update, error) {
		m := cur.inner.Metadata()
		var ids []int64
		for _, id := range own {
			if m.SnapshotByID(id) != nil && !slices.ContainsFunc(cur.Refs(), func(r Ref) bool { return r.Snapshot == id }) {
				ids = append(ids, id)
			}
		}
		if len(ids) == 0 {
			return nil, nil, nil
		}
		return nil, []table.Update{table.NewRemoveSnapshotsUpdate(ids, false)}, nil
	})
}

// own lists the snapshots of a branch that no other branch or tag leads to.
func (t *Table) own(branch string, head int64) []int64 {
	m := t.inner.Metadata()
	shared := map[int64]bool{}
	back := func(at int64, f func(id int64) bool) {
		for at != 0 {
			s := m.SnapshotByID(at)
			if s == nil || !f(at) {
				return
			}
			at = 0
			if s.ParentSnapshotID != nil {
				at = *s.ParentSnapshotID
			}
		}
	}
	for name, r := range m.Refs() {
		if name != branch {
			back(r.SnapshotID, func(id int64) bool {
				seen := shared[id]
				shared[id] = true
				return !seen
			})
		}
	}
	var own []int64
	back(head, func(id int64) bool {
		if shared[id] {
			return false
		}
		own = append(own, id)
		return true
	})
	return own
}
