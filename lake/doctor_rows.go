package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake/file"
)

// rows looks into files of the head: footers against what the table says of them, order, ids.
func (d *doctor) rows(ctx context.Context, t *Table) error {
	all, err := t.Files(ctx, 0)
	if err != nil {
		return ctx.Err() // told by manifests
	}
	cols, err := t.Columns()
	if err != nil {
		d.add(Finding{Level: Wrong, Code: "schema", What: err.Error(), Remedy: "another tool changed the columns: take back what it added"})
		return ctx.Err()
	}
	parts := map[string][]DataFile{}
	for _, f := range all {
		p := fmt.Sprint(f.Partition)
		parts[p] = append(parts[p], f)
	}
	for _, p := range slices.Sorted(maps.Keys(parts)) {
		small := 0
		for _, f := range parts[p] {
			if f.Bytes < smallFile {
				small++
			}
		}
		if small > manySmall {
			d.add(Finding{Level: Note, Code: "small_files", Where: p, Count: int64(small), What: fmt.Sprintf("many files below %d bytes in a partition; scans of it open each", smallFile), Remedy: "compaction joins them; write less often, or with more memory"})
		}
	}
	keys := t.Keys()
	sample := d.sample(all, sampleFooters)
	step := max(1, len(sample)/sampleFiles)
	for i, f := range sample {
		if err := d.footer(ctx, t, cols, keys, f, d.deep || i%step == 0); err != nil {
			return err
		}
	}
	return d.ids(ctx, t, cols, parts)
}

// sample picks files spread over a list.
func (d *doctor) sample(all []DataFile, n int) []DataFile {
	if d.deep || len(all) <= n {
		return all
	}
	var out []DataFile
	for i := range n {
		out = append(out, all[i*len(all)/n])
	}
	return out
}

// footer compares a file with what the table says of it, and with rows set reads them for their order.
func (d *doctor) footer(ctx context.Context, t *Table, cols []file.Column, keys []file.Key, f DataFile, rows bool) error {
	damaged := func(err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, objstore.ErrNotExist) { // told by files
			d.add(Finding{Level: Wrong, Code: "file_damaged", Where: f.Path, What: err.Error(), Remedy: "restore it from a copy of the storage"})
		}
		return nil
	}
	r, err := file.Open(&ranges{ctx, d.l.store, f.Path}, f.Bytes, f.Path)
	if err != nil {
		return damaged(err)
	}
	differs := func(what string) {
		d.add(Finding{Level: Wrong, Code: "statistics_differ", Where: f.Path, What: what, Remedy: "scans leave out rows by what the table says: have the file written anew"})
	}
	if r.Rows() != f.Rows {
		differs(fmt.Sprintf("the file has %d rows, the table says %d", r.Rows(), f.Rows))
	}
	for i := range cols {
		b, said := f.Bounds[cols[i].Name]
		least, greatest, ok := r.Range(&cols[i])
		if !said || !ok {
			continue
		}
		if lo, hi := whole64(b[0]), whole64(b[1]); lo > least || hi < greatest {
			differs(fmt.Sprintf("column %s goes from %d to %d in the file, from %d to %d by the table", cols[i].Name, least, greatest, lo, hi))
		}
	}
	if !rows || len(keys) == 0 {
		return nil
	}
	if !r.Ordered(keys) {
		d.add(Finding{Level: Note, Code: "foreign_files", Where: f.Path, What: "files without the runs of this program: another tool wrote them", Remedy: "they are sorted in memory when they are read"})
		return nil
	}
	if at, err := unordered(r, cols, keys); err != nil {
		return damaged(err)
	} else if at >= 0 {
		d.add(Finding{Level: Wrong, Code: "order", Where: f.Path, What: fmt.Sprintf("row %d comes before its predecessor by the sort order", at), Remedy: "scans merge by this order: have the file written anew"})
	}
	return nil
}

func whole64(v any) int64 {
	if n, ok := v.(int32); ok {
		return int64(n)
	}
	n, _ := v.(int64)
	return n
}

// unordered is the first row of a file that is less than the one before it, -1 if none is.
func unordered(r *file.Reader, cols []file.Column, keys []file.Key) (int64, error) {
	var by []file.Column
	for _, k := range keys {
		by = append(by, cols[slices.IndexFunc(cols, func(c file.Column) bool { return c.Name == k.Column })])
	}
	rows, err := r.Read(by, 0, r.Rows())
	if err != nil {
		return -1, err
	}
	last, now := make([]keyValue, len(by)), make([]keyValue, len(by))
	for at := int64(0); ; {
		b, err := rows.Next()
		if err != nil || b == nil {
			return -1, err
		}
		for i := range b.N {
			order := 0
			for c := range by {
				now[c] = valueOf(&b.Cols[c], by[c].Type, i, keys[c].Unsigned)
				if order == 0 && at > 0 {
					order = now[c].compare(last[c])
				}
			}
			if order < 0 {
				return at, nil
			}
			last, now = now, last
			at++
		}
	}
}

// keyValue is a value of a sort key.
type keyValue struct {
	n    int64
	text string
}

func (v keyValue) compare(o keyValue) int {
	return cmp.Or(strings.Compare(v.text, o.text), cmp.Compare(v.n, o.n))
}

func valueOf(c *file.Col, t file.Type, i int, unsigned bool) keyValue {
	switch t {
	case file.String:
		return keyValue{text: string(c.Text(i))}
	case file.Int:
		if unsigned {
			return keyValue{n: int64(uint32(c.I32[i]))}
		}
		return keyValue{n: int64(c.I32[i])}
	}
	if unsigned {
		return keyValue{n: c.I64[i] ^ -1<<63} // the sign bit turned: signed order is unsigned order
	}
	return keyValue{n: c.I64[i]}
}

// ids looks for events that a partition has twice, in the largest partitions of the sample.
func (d *doctor) ids(ctx context.Context, t *Table, cols []file.Column, parts map[string][]DataFile) error {
	at := slices.IndexFunc(cols, func(c file.Column) bool { return c.Name == propIDColumn })
	if at < 0 {
		return nil
	}
	rows := func(p string) (n int64) {
		for _, f := range parts[p] {
			n += f.Rows
		}
		return n
	}
	names := slices.Sorted(maps.Keys(parts))
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(parts[b]), len(parts[a])), cmp.Compare(rows(b), rows(a)))
	})
	if !d.deep {
		names = names[:min(len(names), samplePartitions)]
	}
	for _, p := range names {
		if rows(p) > maxDoctorIDs {
			d.add(Finding{Level: Note, Code: "ids_unchecked", Where: p, What: fmt.Sprintf("a partition of %d rows is too large to compare its ids in memory", rows(p))})
			continue
		}
		seen := make(map[[16]byte]struct{}, rows(p))
		twice := int64(0)
		var where string
		for _, f := range parts[p] {
			err := t.read(ctx, f.Path, f.Bytes, cols[at:at+1], func(b *file.Batch) error {
				for i := range b.N {
					id := b.Cols[0].Text(i)
					if len(id) != 16 {
						continue
					}
					if _, ok := seen[[16]byte(id)]; ok {
						twice++
						where = f.Path
					}
					seen[[16]byte(id)] = struct{}{}
				}
				return nil
			})
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				break // told by footer or files
			}
		}
		if twice > 0 {
			d.add(Finding{Level: Wrong, Code: "events_twice", Where: where, Count: twice, What: "events are in a partition of the table more than once, by their id: partition " + p,
				Remedy: "another tool appended them, or files were registered twice: rewrite the partition with each event_id once"})
		}
	}
	return nil
}
