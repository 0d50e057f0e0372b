package lake

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake/file"
)

// publications is the name and the columns of the table that says what was published.
const publications = "ops.publications"

func publicationColumns() []file.Column {
	return []file.Column{
		{ID: 1, Name: "id", Type: file.String, Doc: "publication; one row for each of its tables"},
		{ID: 2, Name: "table_name", Type: file.String},
		{ID: 3, Name: "from_ts", Type: file.Timestamptz, Doc: "rows with row_ts from here"},
		{ID: 4, Name: "to_ts", Type: file.Timestamptz, Doc: "… to here, exclusive, were replaced"},
		{ID: 5, Name: "entities", Type: file.String, Nullable: true, Doc: "JSON list of entities; null is all"},
		{ID: 6, Name: "revision", Type: file.Int, Doc: "of the new rows"},
		{ID: 7, Name: "reason", Type: file.String},
		{ID: 8, Name: "who", Type: file.String},
		{ID: 9, Name: "at", Type: file.Timestamptz, Doc: "when it was published"},
		{ID: 10, Name: "snapshot", Type: file.Long, Doc: "of the table; 0 is unknown"},
		{ID: 11, Name: "superseded_snapshot", Type: file.Long, Doc: "of the table of superseded rows; 0 is none"},
		{ID: 12, Name: "removed", Type: file.Long, Unit: "rows"},
		{ID: 13, Name: "added", Type: file.Long, Unit: "rows"},
		{ID: 14, Name: "undoes", Type: file.String, Nullable: true, Doc: "publication that this one undoes"},
		{ID: 15, Name: "inputs", Type: file.String, Nullable: true, Doc: "what the rows were made of, JSON of who published"},
	}
}

// record notes what a publication did, once.
func (l *Lake) record(ctx context.Context, done []Published) error {
	t, err := l.Load(ctx, publications)
	if errors.Is(err, ErrNoTable) {
		t, err = l.Create(ctx, publications, Definition{Columns: publicationColumns(), Sort: []string{"table_name", "at"},
			Doc: "what replaced rows of feature tables; a publication that is not in here is not finished"})
		if errors.Is(err, ErrExists) {
			t, err = l.Load(ctx, publications)
		}
	}
	if err == nil {
		t, err = t.Evolve(ctx, publicationColumns()) // one made by an earlier release has fewer
	}
	if err != nil {
		return err
	}
	id := NewCommitID()
	rows, err := t.NewRows(id, nil, nil, publishBudget)
	if err != nil {
		return err
	}
	b, err := recordBatch(done)
	if err != nil {
		return err
	}
	if err := rows.Append(ctx, b, nil); err != nil {
		return err
	}
	files, err := rows.Finish(ctx)
	if err != nil {
		return err
	}
	_, err = t.Commit(ctx, Main, id, func(ctx context.Context, b Base) (*Change, error) {
		have, err := readPublications(ctx, b.Table)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(have, func(p Published) bool { return p.ID == done[0].ID }) {
			return nil, nil
		}
		return &Change{Add: files, Publication: string(done[0].ID)}, nil
	})
	return err
}

func recordBatch(done []Published) (*file.Batch, error) {
	b := &file.Batch{N: len(done), Cols: make([]file.Col, len(publicationColumns()))}
	dict := file.NewDict()
	text := func(col, row int, s string, null bool) {
		c := &b.Cols[col]
		c.Dict = dict
		c.I32 = append(c.I32, dict.Code([]byte(s)))
		if null {
			c.SetNull(row)
		}
	}
	long := func(col int, v int64) { b.Cols[col].I64 = append(b.Cols[col].I64, v) }
	for i, d := range done {
		entities, err := json.Marshal(d.Entities)
		if err != nil {
			return nil, err
		}
		text(0, i, string(d.ID), false)
		text(1, i, d.Table, false)
		long(2, d.From)
		long(3, d.To)
		text(4, i, string(entities), d.Entities == nil)
		b.Cols[5].I32 = append(b.Cols[5].I32, d.Revision)
		text(6, i, d.Reason, false)
		text(7, i, d.Who, false)
		long(8, d.At)
		long(9, d.Snapshot)
		long(10, d.Superseded)
		long(11, d.Removed)
		long(12, d.Added)
		text(13, i, string(d.Undoes), d.Undoes == "")
		text(14, i, d.Inputs, d.Inputs == "")
	}
	return b, nil
}

// Publications lists what was published, oldest first.
func (l *Lake) Publications(ctx context.Context) ([]Published, error) {
	return recordsOf(ctx, l, publications, readPublications)
}

// recordsOf reads a small table of the lake's own; one that is not there has no records.
func recordsOf[T any](ctx context.Context, l *Lake, name string, read func(context.Context, *Table) ([]T, error)) ([]T, error) {
	t, err := l.Load(ctx, name)
	if errors.Is(err, ErrNoTable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return read(ctx, t)
}

// eachRow hands over every row of a small table, file by file.
func (t *Table) eachRow(ctx context.Context, cols []file.Column, row func(b *file.Batch, i int) error) error {
	files, err := t.Files(ctx, 0)
	if err != nil {
		return err
	}
	for _, f := range files {
		err := t.read(ctx, f.Path, f.Bytes, cols, func(b *file.Batch) error {
			for i := range b.N {
				if err := row(b, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func readPublications(ctx context.Context, t *Table) ([]Published, error) {
	var out []Published
	err := t.eachRow(ctx, publicationColumns(), func(b *file.Batch, i int) error {
		text := func(c int) string {
			if b.Cols[c].IsNull(i) {
				return ""
			}
			return string(b.Cols[c].Text(i))
		}
		long := func(c int) int64 { return b.Cols[c].I64[i] }
		p := Published{ID: CommitID(text(0)), Table: text(1), From: long(2), To: long(3), Revision: b.Cols[5].I32[i], Reason: text(6), Who: text(7),
			At: long(8), Snapshot: long(9), Superseded: long(10), Removed: long(11), Added: long(12), Undoes: CommitID(text(13)), Inputs: text(14)}
		if e := text(4); e != "" {
			if err := json.Unmarshal([]byte(e), &p.Entities); err != nil {
				return fmt.Errorf("publication %s: entities: %w", p.ID, err)
			}
		}
		out = append(out, p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(out, func(a, b Published) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Revision, b.Revision), strings.Compare(string(a.ID), string(b.ID)), strings.Compare(a.Table, b.Table))
	})
	return out, nil
}

// Undo publishes the rows that a publication superseded, in its ranges: what readers saw
// before it. Later publications of the same rows have to be undone first. tell are tables whose consumers have
// to be told (Replacement.Tell).
func (l *Lake) Undo(ctx context.Context, what CommitID, p Publication, tell ...string) ([]Published, error) {
	all, err := l.Publications(ctx)
	if err != nil {
		return nil, err
	}
	p.Undoes, p.Views = what, nil
	standing := Standing(all)
	for i, d := range all {
		if d.ID != what {
			continue
		}
		for _, later := range all[i+1:] {
			if later.ID != p.ID && later.ID != what && standing[later.ID] && later.Overlaps(d) {
				return nil, &fault.Error{Code: "undo", Message: fmt.Sprintf("publication %s cannot be undone", what), Where: d.Table,
					Why: fmt.Sprintf("publication %s replaced some of its rows later", later.ID), Remedy: "undo " + string(later.ID) + " first", Exit: fault.ExitFailed}
			}
		}
		p.Views = append(p.Views, Replacement{Table: d.Table, From: d.From, To: d.To, Entities: d.Entities, Rows: l.supersededRows(ctx, d), Tell: slices.Contains(tell, d.Table)})
	}
	if p.Views == nil {
		return nil, &fault.Error{Code: "undo", Message: fmt.Sprintf("publication %s is not known", what), Where: publications, Remedy: "tidemark lake publications lists them", Exit: fault.ExitFailed}
	}
	return l.Publish(ctx, p)
}

// Standing tells which publications count: undoing takes one away together with the one
// that undoes it, and undoing that brings it back.
func Standing(all []Published) map[CommitID]bool {
	on := map[CommitID]bool{}
	undoes := map[CommitID]CommitID{}
	for _, p := range all {
		on[p.ID] = p.Undoes == ""
		if p.Undoes != "" {
			undoes[p.ID] = p.Undoes
		}
	}
	seen := map[CommitID]bool{}
	for _, p := range all {
		if p.Undoes == "" || seen[p.ID] {
			continue
		}
		seen[p.ID] = true
		// An undo of an undo turns the first one again, and so on down to a publication.
		at := p.Undoes
		for undoes[at] != "" {
			at = undoes[at]
		}
		on[at] = !on[at]
	}
	return on
}

// Overlaps reports whether both are about rows that can be the same.
func (d *Published) Overlaps(o Published) bool {
	if d.Table != o.Table || d.From >= o.To || o.From >= d.To {
		return false
	}
	return d.Entities == nil || o.Entities == nil || slices.ContainsFunc(d.Entities, func(e []string) bool {
		return slices.ContainsFunc(o.Entities, func(f []string) bool { return slices.Equal(e, f) })
	})
}

// supersededRows hands over the rows that a publication superseded, as rows of the
// feature table.
func (l *Lake) supersededRows(ctx context.Context, d Published) func(func(*file.Batch) error) error {
	return func(yield func(*file.Batch) error) error {
		t, err := l.Load(ctx, d.Table)
		if err != nil {
			return err
		}
		cols, err := t.Columns()
		if err != nil {
			return err
		}
		_, name, _ := strings.Cut(d.Table, ".")
		sup, err := l.Load(ctx, "superseded."+name)
		if err != nil {
			return err
		}
		have, err := sup.Columns()
		if err != nil {
			return err
		}
		// The ids of the superseded table's file, in the order of the feature table's columns.
		read := make([]file.Column, 0, len(cols)+1)
		for _, c := range append(slices.Clone(cols), file.Column{Name: colBy}) {
			i := slices.IndexFunc(have, func(h file.Column) bool { return h.Name == c.Name })
			if i < 0 {
				return fmt.Errorf("table %s: no column %s", sup.Name(), c.Name)
			}
			read = append(read, have[i])
		}
		files, err := sup.Files(ctx, 0)
		if err != nil {
			return err
		}
		for _, f := range files {
			if b, ok := f.Bounds[colRowTS]; ok {
				lo, ok1 := b[0].(int64)
				hi, ok2 := b[1].(int64)
				if ok1 && ok2 && (hi < d.From || lo >= d.To) {
					continue
				}
			}
			err := sup.read(ctx, f.Path, f.Bytes, read, func(b *file.Batch) error {
				by := &b.Cols[len(cols)]
				for lo := 0; lo < b.N; { // runs of rows that it superseded
					hi := lo
					for hi < b.N && string(by.Text(hi)) == string(d.ID) {
						hi++
					}
					if hi > lo {
						if err := yield(window(b, len(cols), lo, hi)); err != nil {
							return err
						}
					}
					lo = hi + 1
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// window is rows lo..hi-1 of the first columns of a batch.
func window(b *file.Batch, cols, lo, hi int) *file.Batch {
	s := &file.Batch{N: hi - lo, Cols: make([]file.Col, cols)}
	for i := range s.Cols {
		src, dst := &b.Cols[i], &s.Cols[i]
		dst.Dict, dst.Bytes = src.Dict, src.Bytes
		if src.Off != nil {
			dst.Off, dst.I64 = src.Off[lo:hi+1], src.I64
		} else if src.I64 != nil {
			dst.I64 = src.I64[lo:hi]
		}
		dst.I32 = cut(src.I32, lo, hi)
		dst.F64 = cut(src.F64, lo, hi)
		dst.Hi, dst.Lo = cut(src.Hi, lo, hi), cut(src.Lo, lo, hi)
		for r := lo; r < hi; r++ {
			if src.IsNull(r) {
				dst.SetNull(r - lo)
			}
		}
	}
	return s
}

func cut[T any](s []T, lo, hi int) []T {
	if len(s) < hi {
		return nil
	}
	return s[lo:hi]
}
