package lake

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/pinova-group/tidemark/internal/fault"
)

// Snapshot is one state of a table's rows.
type Snapshot struct {
	ID           int64
	Parent       int64 // 0 for none
	At           time.Time
	Operation    string // append, overwrite, replace, delete
	Commit       CommitID
	Offsets      Offsets
	ValidThrough int64
	Publication  string
	Rows         int64 // in all files of the snapshot
	Files        int64
	Bytes        int64
	Summary      map[string]string
}

// Ref is a branch or a tag.
type Ref struct {
	Name     string
	Tag      bool
	Snapshot int64
	MaxAge   time.Duration // after which upkeep may drop it, 0 is never
}

// refHead is the snapshot that a branch points at; 0 is none. A branch that is not there
// begins at main.
func refHead(m table.Metadata, branch string) int64 {
	var main int64
	for name, ref := range m.Refs() {
		if name == branch {
			return ref.SnapshotID
		}
		if name == Main {
			main = ref.SnapshotID
		}
	}
	return main
}

func (t *Table) head(branch string) int64 { return refHead(t.inner.Metadata(), branch) }

// find looks for a commit id from a snapshot back to origin, exclusive. ok is false when
// the way back is cut off by expired snapshots.
func find(m table.Metadata, head int64, id CommitID, origin int64) (snapshot int64, ok bool) {
	for at := head; at != origin; {
		s := m.SnapshotByID(at)
		if s == nil {
			return 0, false
		}
		if s.Summary != nil && s.Summary.Properties[propCommit] == string(id) {
			return at, true
		}
		if s.ParentSnapshotID == nil {
			return 0, origin == 0
		}
		at = *s.ParentSnapshotID
	}
	return 0, true
}

func (t *Table) find(head int64, id CommitID, origin int64) (int64, bool) {
	return find(t.inner.Metadata(), head, id, origin)
}

// Find looks for the commit on a branch, back to the oldest snapshot that is kept: what
// became of a commit whose outcome was unknown. 0 is not there; if whole is false, older
// snapshots are expired and it may have been among them.
func (t *Table) Find(branch string, id CommitID) (snapshot int64, whole bool) {
	if branch == "" {
		branch = Main
	}
	return t.find(t.head(branch), id, 0)
}

// base is what a commit on the branch is decided on.
func (t *Table) base(branch string) (Base, error) {
	b := Base{Table: t, Snapshot: t.head(branch), Owner: t.Property(propOwner)}
	offsets, valid := "", ""
	if branch != Main {
		// A branch has its own line; the properties are main's.
		for at := b.Snapshot; at != 0 && (offsets == "" || valid == ""); {
			s := t.inner.SnapshotByID(at)
			if s == nil {
				break
			}
			if s.Summary != nil {
				offsets = first(offsets, s.Summary.Properties[propOffsets])
				valid = first(valid, s.Summary.Properties[propValidThrough])
			}
			at = 0
			if s.ParentSnapshotID != nil {
				at = *s.ParentSnapshotID
			}
		}
	}
	props := t.inner.Properties()
	var err error
	if b.Offsets, err = ParseOffsets(first(offsets, props[propOffsets])); err != nil {
		return b, fmt.Errorf("table %s: %w", t.Name(), err)
	}
	if v := first(valid, props[propValidThrough]); v != "" {
		if b.ValidThrough, err = strconv.ParseInt(v, 10, 64); err != nil {
			return b, fmt.Errorf("table %s: property %s: %w", t.Name(), propValidThrough, err)
		}
	}
	if v := props[propImported]; v != "" {
		if b.Imported, err = strconv.ParseInt(v, 10, 64); err != nil {
			return b, fmt.Errorf("table %s: property %s: %w", t.Name(), propImported, err)
		}
	}
	return b, nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Base is what this state of the table stands at, on main.
func (t *Table) Base() (Base, error) { return t.base(Main) }

// expired lists the snapshots that fall out when one more comes: the oldest beyond
// maxSnapshots that no branch or tag points at. Their files stay; upkeep knows when they
// may go.
func (t *Table) expired(branch string) []int64 {
	m := t.inner.Metadata()
	all := slices.Clone(m.Snapshots())
	over := len(all) + 1 - maxSnapshots
	if over <= 0 {
		return nil
	}
	kept := map[int64]bool{t.head(branch): true}
	for _, ref := range m.Refs() {
		kept[ref.SnapshotID] = true
	}
	slices.SortStableFunc(all, func(a, b table.Snapshot) int { return int(a.SequenceNumber - b.SequenceNumber) })
	var old []int64
	for i := range all {
		if len(old) < over && !kept[all[i].SnapshotID] {
			old = append(old, all[i].SnapshotID)
		}
	}
	return old
}

// dataFiles yields the living files of a snapshot.
func (t *Table) dataFiles(ctx context.Context, snapshot int64) iter.Seq2[iceberg.DataFile, error] {
	return func(yield func(iceberg.DataFile, error) bool) {
		if snapshot == 0 {
			return
		}
		s := t.inner.SnapshotByID(snapshot)
		if s == nil {
			yield(nil, fmt.Errorf("table %s: snapshot %d is not kept", t.Name(), snapshot))
			return
		}
		fio, err := t.inner.FS(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		manifests, err := s.Manifests(fio)
		if err != nil {
			yield(nil, fmt.Errorf("table %s: snapshot %d: %w", t.Name(), snapshot, err))
			return
		}
		for _, m := range manifests {
			for e, err := range m.Entries(fio, true) {
				if err != nil {
					yield(nil, fmt.Errorf("table %s: manifest %s: %w", t.Name(), m.FilePath(), err))
					return
				}
				if !yield(e.DataFile(), nil) {
					return
				}
			}
		}
	}
}

// Snapshots lists the snapshots that are kept, oldest first.
func (t *Table) Snapshots() ([]Snapshot, error) {
	var out []Snapshot
	for _, s := range t.inner.Metadata().Snapshots() {
		n := Snapshot{ID: s.SnapshotID, At: time.UnixMilli(s.TimestampMs).UTC(), Summary: map[string]string{}}
		if s.ParentSnapshotID != nil {
			n.Parent = *s.ParentSnapshotID
		}
		if s.Summary != nil {
			p := s.Summary.Properties
			maps.Copy(n.Summary, p)
			n.Operation, n.Commit, n.Publication = string(s.Summary.Operation), CommitID(p[propCommit]), p[propPublication]
			n.ValidThrough = p.GetInt64(propValidThrough, 0)
			n.Rows, n.Files, n.Bytes = p.GetInt64("total-records", 0), p.GetInt64("total-data-files", 0), p.GetInt64("total-files-size", 0)
			var err error
			if n.Offsets, err = ParseOffsets(p[propOffsets]); err != nil {
				return nil, fmt.Errorf("table %s: snapshot %d: %w", t.Name(), n.ID, err)
			}
		}
		out = append(out, n)
	}
	return out, nil
}

// Refs lists branches and tags by name.
func (t *Table) Refs() []Ref {
	var out []Ref
	for name, r := range t.inner.Metadata().Refs() {
		ref := Ref{Name: name, Tag: r.SnapshotRefType == table.TagRef, Snapshot: r.SnapshotID}
		if r.MaxRefAgeMs != nil {
			ref.MaxAge = time.Duration(*r.MaxRefAgeMs) * time.Millisecond
		}
		out = append(out, ref)
	}
	slices.SortFunc(out, func(a, b Ref) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// SetRef makes a branch or tag, or moves a branch forward: the new snapshot must descend
// from the old one. A tag stays where it is.
func (t *Table) SetRef(ctx context.Context, ref Ref) (*Table, error) {
	if !word(strings.ReplaceAll(ref.Name, "-", "_")) {
		return nil, fault.Usage("ref-name", fmt.Sprintf("%q cannot name a branch or tag", ref.Name), "names are a-z, 0-9, _ and -, and begin with a letter")
	}
	kind := table.BranchRef
	if ref.Tag {
		kind = table.TagRef
	}
	return t.change(ctx, "set "+ref.Name, func(cur *Table) ([]table.Requirement, []table.Update, error) {
		m := cur.inner.Metadata()
		if m.SnapshotByID(ref.Snapshot) == nil {
			return nil, nil, fmt.Errorf("table %s: snapshot %d is not kept", t.Name(), ref.Snapshot)
		}
		n := 0
		var was *int64
		for name, r := range m.Refs() {
			n++
			if name != ref.Name {
				continue
			}
			if r.SnapshotRefType != kind {
				return nil, nil, fmt.Errorf("table %s: %s is a %s", t.Name(), name, r.SnapshotRefType)
			}
			was = &r.SnapshotID
		}
		switch {
		case was != nil && *was == ref.Snapshot:
			return nil, nil, nil
		case was != nil && ref.Tag:
			return nil, nil, fmt.Errorf("table %s: tag %s is at snapshot %d; tags do not move", t.Name(), ref.Name, *was)
		case was != nil && !table.IsAncestorOf(ref.Snapshot, *was, m.SnapshotByID):
			return nil, nil, fmt.Errorf("table %s: branch %s moves forward only, and snapshot %d does not descend from %d: %w", t.Name(), ref.Name, ref.Snapshot, *was, ErrBackwards)
		case was == nil && n >= maxRefs:
			return nil, nil, &fault.Error{Code: "refs", Message: fmt.Sprintf("%d branches and tags are there", n), Where: t.Name(),
				Why: "each one is in the file that every commit writes anew", Remedy: "drop old tags", Exit: fault.ExitFailed}
		}
		return []table.Requirement{table.AssertRefSnapshotID(ref.Name, was)},
			[]table.Update{table.NewSetSnapshotRefUpdate(ref.Name, ref.Snapshot, kind, ref.MaxAge.Milliseconds(), 0, 0)}, nil
	})
}

// DropRef removes a branch or tag, never main.
func (t *Table) DropRef(ctx context.Context, name string) (*Table, error) {
	if name == Main {
		return nil, fault.Usage("ref-name", "main is not dropped", "")
	}
	return t.change(ctx, "drop "+name, func(cur *Table) ([]table.Requirement, []table.Update, error) {
		for n, r := range cur.inner.Metadata().Refs() {
			if n == name {
				return []table.Requirement{table.AssertRefSnapshotID(name, &r.SnapshotID)}, []table.Update{table.NewRemoveSnapshotRefUpdate(name)}, nil
			}
		}
		return nil, nil, nil
	})
}

// DataFile is one file of a snapshot.
type DataFile struct {
	Path      string
	Rows      int64
	Bytes     int64
	Partition []any             // values of the partition fields, as files were committed with
	Bounds    map[string][2]any // lowest and highest value by column: int64, int32, float64, bool, string or []byte; texts may be cut off
	Nulls     map[string]int64
}

// Files lists the files of a snapshot, by path; 0 is main's head.
func (t *Table) Files(ctx context.Context, snapshot int64) ([]DataFile, error) {
	if snapshot == 0 {
		snapshot = t.head(Main)
	}
	var out []DataFile
	for df, err := range t.dataFiles(ctx, snapshot) {
		if err != nil {
			return nil, err
		}
		if df.ContentType() != iceberg.EntryContentData {
			return nil, fmt.Errorf("table %s: file %s holds deletes of another tool, which this lake does not apply", t.Name(), df.FilePath())
		}
		f, err := t.describe(df)
		if err != nil {
			return nil, fmt.Errorf("table %s: file %s: %w", t.Name(), df.FilePath(), err)
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b DataFile) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

func (t *Table) describe(df iceberg.DataFile) (DataFile, error) {
	f := DataFile{Path: df.FilePath(), Rows: df.Count(), Bytes: df.FileSizeBytes(), Bounds: map[string][2]any{}, Nulls: map[string]int64{}}
	spec := t.inner.Metadata().PartitionSpecByID(int(df.SpecID()))
	if spec == nil {
		return f, fmt.Errorf("partition spec %d is not in the table", df.SpecID())
	}
	for p := range spec.NumFields() {
		f.Partition = append(f.Partition, df.Partition()[spec.Field(p).FieldID])
	}
	lower, upper, nulls := df.LowerBoundValues(), df.UpperBoundValues(), df.NullValueCounts()
	for _, c := range t.inner.Schema().Fields() {
		if n, ok := nulls[c.ID]; ok {
			f.Nulls[c.Name] = n
		}
		lo, hi := lower[c.ID], upper[c.ID]
		if lo == nil || hi == nil {
			continue
		}
		var b [2]any
		for i, raw := range [2][]byte{lo, hi} {
			lit, err := iceberg.LiteralFromBytes(c.Type, raw)
			if err != nil {
				return f, fmt.Errorf("bounds of %s: %w", c.Name, err)
			}
			b[i] = plain(lit.Any())
		}
		f.Bounds[c.Name] = b
	}
	return f, nil
}

// plain turns Iceberg's named types into Go's own.
func plain(v any) any {
	switch v := v.(type) {
	case iceberg.Timestamp:
		return int64(v)
	case iceberg.Date:
		return int32(v)
	case iceberg.Time:
		return int64(v)
	}
	return v
}
