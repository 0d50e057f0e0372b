package lake

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/iceberg-go/table"

	"github.com/pinova-group/tidemark/lake/file"
)

// propTell marks, in the very commit that replaces rows, a publication that consumers of the view's rows have not
// been told of; the id follows.
const propTell = "tidemark.correction-untold."

// ErrRowsGone says that the rows of a publication cannot be read as they were published.
var ErrRowsGone = errors.New("the snapshot of the publication is not kept any more")

// Untold lists the publications of a table that consumers have not been told of, oldest first. One that is
// not finished is not among them.
func (l *Lake) Untold(ctx context.Context, t *Table) ([]Published, error) {
	open := map[CommitID]bool{}
	for key := range t.inner.Properties() {
		if id, ok := strings.CutPrefix(key, propTell); ok {
			open[CommitID(id)] = true
		}
	}
	if len(open) == 0 {
		return nil, nil
	}
	all, err := l.Publications(ctx)
	if err != nil {
		return nil, err
	}
	var out []Published
	for _, p := range all {
		if p.Table == t.Name() && open[p.ID] {
			out = append(out, p)
		}
	}
	return out, nil
}

// Told takes the mark of a publication off, once consumers have been told.
func (t *Table) Told(ctx context.Context, id CommitID) error {
	key := propTell + string(id)
	_, err := t.change(ctx, "told "+string(id), func(cur *Table) ([]table.Requirement, []table.Update, error) {
		if cur.Property(key) == "" {
			return nil, nil, nil
		}
		return nil, []table.Update{table.NewRemovePropertiesUpdate([]string{key})}, nil
	})
	return err
}

// RowsOf hands over the rows that a publication put into the table, with its columns: ErrRowsGone when the
// snapshot that has them is not kept. rows are those of the batch that are.
func (t *Table) RowsOf(ctx context.Context, d Published, yield func(b *file.Batch, rows []int32) error) error {
	if d.Added == 0 {
		return nil
	}
	if d.Snapshot == 0 || t.inner.SnapshotByID(d.Snapshot) == nil {
		return ErrRowsGone
	}
	files, err := t.Files(ctx, d.Snapshot)
	if err != nil {
		return err
	}
	x := replacing{l: t.lake, t: t, v: &Replacement{Table: d.Table, From: d.From, To: d.To, Entities: d.Entities}}
	if err := x.columns(); err != nil {
		return err
	}
	var in, out []int32
	n := int64(0)
	for _, f := range files {
		lo, ok1 := f.Bounds[colRowTS][0].(int64)
		hi, ok2 := f.Bounds[colRowTS][1].(int64)
		if ok1 && ok2 && (hi < d.From || lo >= d.To) {
			continue
		}
		if err := t.read(ctx, f.Path, f.Bytes, x.cols, func(b *file.Batch) error {
			in, out = x.pick(b, x.rowTS, x.entities, in, out)
			if len(in) == 0 {
				return nil
			}
			n += int64(len(in))
			return yield(b, in)
		}); err != nil {
			return err
		}
	}
	if n != d.Added {
		return fmt.Errorf("table %s: publication %s put %d rows there, its snapshot has %d", t.Name(), d.ID, d.Added, n)
	}
	return nil
}
