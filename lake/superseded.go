package lake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/lake/file"
)

// supersede copies the rows that give way to the table of superseded rows and commits
// them there; the other rows of their files go to kept. It returns the paths of the files
// that leave.
func (x *replacing) supersede(ctx context.Context, files []DataFile, kept *Rows) ([]string, error) {
	sup, err := x.superseded(ctx)
	if err != nil {
		return nil, err
	}
	id := NewCommitID()
	cols, err := sup.Columns()
	if err != nil {
		return nil, err
	}
	gone, err := sup.NewRows(id, cols, nil, publishBudget)
	if err != nil {
		return nil, err
	}
	at, err := x.places(cols)
	if err != nil {
		return nil, err
	}
	var removed []string
	highest := int32(-1)
	for _, f := range files {
		n, err := x.count(ctx, f)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			continue
		}
		removed = append(removed, f.Path)
		x.d.Removed += n
		var in, out []int32
		err = x.t.read(ctx, f.Path, f.Bytes, x.cols, func(b *file.Batch) error {
			in, out = x.pick(b, x.rowTS, x.entities, in, out)
			for _, i := range in {
				highest = max(highest, b.Cols[x.revision].I32[i])
				x.cells.At(x.enc.RowTS(b, int(i))).Remove(x.hash(b, int(i)))
			}
			if len(out) > 0 {
				if err := kept.Append(ctx, b, out); err != nil {
					return err
				}
			}
			if len(in) == 0 {
				return nil
			}
			return gone.Append(ctx, x.marked(b, at), in)
		})
		if err != nil {
			return nil, err
		}
	}
	x.d.Revision = highest + 1
	added, err := gone.Finish(ctx)
	if err != nil {
		return nil, err
	}
	x.d.Superseded, err = sup.commitOnly(ctx, id, added, colBy, string(x.p.ID), x.p.ID)
	return removed, err
}

// count is the number of rows of a file that give way.
func (x *replacing) count(ctx context.Context, f DataFile) (n int64, err error) {
	cols := []file.Column{x.cols[x.rowTS]}
	var entities []int
	if x.wanted != nil {
		for _, c := range x.entities {
			entities = append(entities, len(cols))
			cols = append(cols, x.cols[c])
		}
	}
	var in, out []int32
	err = x.t.read(ctx, f.Path, f.Bytes, cols, func(b *file.Batch) error {
		in, out = x.pick(b, 0, entities, in, out)
		n += int64(len(in))
		return nil
	})
	return n, err
}

// superseded finds or makes the table of superseded rows, with the feature table's columns.
func (x *replacing) superseded(ctx context.Context) (*Table, error) {
	_, name, _ := strings.Cut(x.v.Table, ".")
	name = "superseded." + name
	t, err := x.l.Load(ctx, name)
	if errors.Is(err, ErrNoTable) {
		var sort []string
		for _, k := range x.t.Keys() {
			sort = append(sort, k.Column)
		}
		t, err = x.l.Create(ctx, name, Definition{Columns: append(slices.Clone(x.cols), SupersededColumns()...), Partition: x.t.PartitionBy(), Sort: sort,
			Doc: "rows of " + x.v.Table + " that publications replaced"})
		if errors.Is(err, ErrExists) {
			t, err = x.l.Load(ctx, name)
		}
	}
	if err != nil {
		return nil, err
	}
	have, err := t.Columns()
	if err != nil {
		return nil, err
	}
	// The feature table may have got columns since; they go before ours or after, by name.
	want := slices.Clone(have)
	for _, c := range x.cols {
		i := slices.IndexFunc(want, func(h file.Column) bool { return h.Name == c.Name })
		switch {
		case i < 0:
			want = append(want, c)
		default:
			c.ID, c.Element = want[i].ID, want[i].Element
			want[i] = c
		}
	}
	return t.Evolve(ctx, want)
}

// places says for each column of the superseded table where its values come from: a
// column of the feature table, or -1 by, -2 at, -3 visible, -4 nothing.
func (x *replacing) places(cols []file.Column) ([]int, error) {
	at := make([]int, len(cols))
	for i, c := range cols {
		switch c.Name {
		case colBy:
			at[i] = -1
		case colAt:
			at[i] = -2
		case colVisible:
			at[i] = -3
		default:
			at[i] = slices.IndexFunc(x.cols, func(f file.Column) bool { return f.Name == c.Name })
			if at[i] < 0 {
				if !c.Nullable {
					return nil, fmt.Errorf("superseded rows of %s have a column %s that the table lacks", x.t.Name(), c.Name)
				}
				at[i] = -4
			}
		}
	}
	return at, nil
}

// marked is a batch of the feature table with the columns of the superseded one.
func (x *replacing) marked(b *file.Batch, at []int) *file.Batch {
	m := &file.Batch{N: b.N, Cols: make([]file.Col, len(at))}
	for i, src := range at {
		c := &m.Cols[i]
		switch src {
		case -1:
			c.Dict, c.I32 = file.NewDict(string(x.p.ID)), make([]int32, b.N)
		case -2:
			c.I64 = make([]int64, b.N)
			for r := range c.I64 {
				c.I64[r] = x.p.At
			}
		case -3:
			c.I64 = make([]int64, b.N)
			for r := range c.I64 {
				c.I64[r] = x.visibleFrom(b, r)
			}
		case -4:
			panic("lake: a column that the feature table lost") // columns are never dropped
		default:
			*c = b.Cols[src]
		}
	}
	return m
}

// visibleFrom is when a row became visible: a live one when it was available, one of a
// publication when that was made.
func (x *replacing) visibleFrom(b *file.Batch, row int) int64 {
	if b.Cols[x.revision].I32[row] == 0 {
		return b.Cols[x.avail].I64[row]
	}
	ts := b.Cols[x.rowTS].I64[row]
	at := b.Cols[x.avail].I64[row]
	for _, p := range x.all {
		if p.Table == x.v.Table && p.Revision == b.Cols[x.revision].I32[row] && ts >= p.From && ts < p.To && x.covers(p, b, row) {
			at = max(at, p.At)
		}
	}
	return at
}

func (x *replacing) covers(p Published, b *file.Batch, row int) bool {
	return p.Entities == nil || slices.ContainsFunc(p.Entities, func(e []string) bool {
		for j, c := range x.entities {
			if j >= len(e) || e[j] != string(b.Cols[c].Text(row)) {
				return false
			}
		}
		return true
	})
}

// commitOnly commits files with all rows that have a value in a column, whatever an earlier
// try of the publication left there.
func (t *Table) commitOnly(ctx context.Context, id CommitID, added []File, column, value string, publication CommitID) (int64, error) {
	c, err := t.Commit(ctx, Main, id, func(ctx context.Context, b Base) (*Change, error) {
		ch := &Change{Add: slices.Clone(added), Publication: string(publication)}
		files, err := b.Table.Files(ctx, 0)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			keep, err := b.Table.without(ctx, f, column, value)
			if err != nil {
				return nil, err
			}
			if keep == nil {
				continue
			}
			ch.Remove = append(ch.Remove, f.Path)
			more, err := keep.Finish(ctx)
			if err != nil {
				return nil, err
			}
			ch.Add = append(ch.Add, more...)
		}
		if len(ch.Add) == 0 && len(ch.Remove) == 0 {
			return nil, nil
		}
		return ch, nil
	})
	return c.Snapshot, err
}

// without is the rows of a file that do not have the value in a column, or nil when none has it.
func (t *Table) without(ctx context.Context, f DataFile, column, value string) (*Rows, error) {
	if b, ok := f.Bounds[column]; ok {
		lo, ok1 := b[0].(string)
		hi, ok2 := b[1].(string)
		cut := func(s string) string { return value[:min(len(s), len(value))] }
		if ok1 && ok2 && (cut(lo) < lo || cut(hi) > hi) {
			return nil, nil
		}
	}
	cols, err := t.Columns()
	if err != nil {
		return nil, err
	}
	by := slices.IndexFunc(cols, func(c file.Column) bool { return c.Name == column })
	if by < 0 {
		return nil, fmt.Errorf("table %s: no column %s", t.Name(), column)
	}
	found := false
	err = t.read(ctx, f.Path, f.Bytes, cols[by:by+1], func(b *file.Batch) error {
		for i := range b.N {
			found = found || string(b.Cols[0].Text(i)) == value
		}
		return nil
	})
	if err != nil || !found {
		return nil, err
	}
	keep, err := t.NewRows(NewCommitID(), cols, nil, publishBudget)
	if err != nil {
		return nil, err
	}
	var rows []int32
	return keep, t.read(ctx, f.Path, f.Bytes, cols, func(b *file.Batch) error {
		rows = rows[:0]
		for i := range b.N {
			if string(b.Cols[by].Text(i)) != value {
				rows = append(rows, int32(i))
			}
		}
		if len(rows) == 0 {
			return nil
		}
		return keep.Append(ctx, b, rows)
	})
}
