package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"

	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/parity"
)

// Rows takes rows of a table in any order and makes files of them, one or more for each
// partition. It holds rows up to its budget; then the largest partition becomes a file.
// Not for concurrent use.
type Rows struct {
	t      *Table
	id     CommitID
	cols   []file.Column
	keys   []file.Key
	budget int64

	fields []field
	parts  map[partKey]*openFile
	n      int // files
	files  []File

	enc     *RowEncoder // nil: without sums
	message []byte
}

// maxPartition is the number of fields of a partition, at most.
const maxPartition = 4

// partKey tells partitions apart: for each field the transformed number, or the number
// of the text.
type partKey [maxPartition]int64

type openFile struct {
	w      *file.Writer
	values []any
	pick   []int32      // rows of a batch, while it is appended
	sums   parity.Cells // of its rows, where they are wanted
}

// field is one field of the table's partition.
type field struct {
	col   int
	unit  int64             // of hour and day: µs
	at    int64             // of the hour or day of the row before: its number
	tr    iceberg.Transform // of texts, and of month: applied value by value
	typ   iceberg.Type
	words map[string]int64 // transformed texts
	vals  []any            // by their number
	last  *file.Dict       // codes of the dictionary at hand
	codes []int64
}

// NewRows makes one for the files of a commit. cols are the table's columns, with the
// encodings that are wanted, keys the order of the rows: nil for the table's own of both.
// budget is the bytes of rows held in memory.
func (t *Table) NewRows(id CommitID, cols []file.Column, keys []file.Key, budget int64) (*Rows, error) {
	var err error
	if cols == nil {
		if cols, err = t.Columns(); err != nil {
			return nil, err
		}
	}
	if keys == nil {
		keys = t.Keys()
	}
	r := &Rows{t: t, id: id, cols: cols, keys: keys, budget: budget, parts: map[partKey]*openFile{}}
	spec := t.inner.Spec()
	if spec.NumFields() > maxPartition {
		return nil, fmt.Errorf("table %s: partition of %d fields", t.Name(), spec.NumFields())
	}
	for i := range spec.NumFields() {
		f := spec.Field(i)
		at := slices.IndexFunc(cols, func(c file.Column) bool { return c.ID == f.SourceID() })
		if at < 0 {
			return nil, fmt.Errorf("table %s: partition by %s, which is no column", t.Name(), f.Name)
		}
		src, ok := t.inner.Schema().FindFieldByID(f.SourceID())
		if !ok || cols[at].Nullable {
			return nil, fmt.Errorf("table %s: partition by column %s, which has nulls", t.Name(), cols[at].Name)
		}
		p := field{col: at, tr: f.Transform, typ: src.Type, words: map[string]int64{}}
		switch f.Transform.(type) {
		case iceberg.HourTransform:
			p.unit = 3600e6
		case iceberg.DayTransform:
			p.unit = 86400e6
		}
		if p.unit != 0 && cols[at].Type != file.Timestamptz {
			return nil, fmt.Errorf("table %s: partition by %s of a %s", t.Name(), f.Transform, cols[at].Type)
		}
		r.fields = append(r.fields, p)
	}
	return r, nil
}

// Append takes rows of a batch, all of them when rows is nil.
func (r *Rows) Append(ctx context.Context, b *file.Batch, rows []int32) error {
	for i := range r.fields {
		if err := r.fields[i].enter(&b.Cols[r.fields[i].col]); err != nil {
			return fmt.Errorf("table %s: %w", r.t.Name(), err)
		}
	}
	n := b.N
	if rows != nil {
		n = len(rows)
	}
	var last *openFile
	var lastKey partKey
	for i := range n {
		row := int32(i)
		if rows != nil {
			row = rows[i]
		}
		var k partKey
		for j := range r.fields {
			v, err := r.fields[j].value(&b.Cols[r.fields[j].col], int(row))
			if err != nil {
				return fmt.Errorf("table %s: %w", r.t.Name(), err)
			}
			k[j] = v
		}
		if last == nil || k != lastKey {
			p, err := r.part(k)
			if err != nil {
				return err
			}
			last, lastKey = p, k
		}
		last.pick = append(last.pick, row)
		if r.enc != nil {
			r.sum(last, b, int(row))
		}
	}
	for _, p := range r.parts {
		if len(p.pick) == 0 {
			continue
		}
		if err := p.w.Append(b, p.pick); err != nil {
			return fmt.Errorf("table %s: %w", r.t.Name(), err)
		}
		p.pick = p.pick[:0]
	}
	return r.spill(ctx)
}

func (r *Rows) part(k partKey) (*openFile, error) {
	if p := r.parts[k]; p != nil {
		return p, nil
	}
	w, err := file.NewWriter(r.cols, r.keys)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", r.t.Name(), err)
	}
	p := &openFile{w: w, values: make([]any, len(r.fields))}
	for i := range r.fields {
		// Bounds tell the rest; those of long texts are cut.
		if f := &r.fields[i]; f.unit == 0 && (!f.tr.PreservesOrder() || f.typ.Equals(iceberg.PrimitiveTypes.String)) {
			p.values[i] = f.vals[k[i]]
		}
	}
	r.parts[k] = p
	return p, nil
}

// Size is the memory that the rows take.
func (r *Rows) Size() (n int64) {
	for _, p := range r.parts {
		n += p.w.Size()
	}
	return n
}

func (r *Rows) spill(ctx context.Context) error {
	for r.Size() > r.budget {
		var most partKey
		var size int64 = -1
		for k, p := range r.parts {
			if n := p.w.Size(); n > size || n == size && slices.Compare(k[:], most[:]) < 0 {
				most, size = k, n
			}
		}
		if err := r.finish(ctx, r.parts[most]); err != nil {
			return err
		}
		r.drop(most)
	}
	return nil
}

// drop gives the memory of a partition back.
func (r *Rows) drop(k partKey) { delete(r.parts, k) }

func (r *Rows) finish(ctx context.Context, p *openFile) error {
	if r.enc != nil {
		text, err := encodeSums(&p.sums)
		if err != nil {
			return err
		}
		p.w.Note(sumsKey, text)
	}
	f, err := r.t.WriteFile(ctx, r.id, r.n, p.w)
	r.n++ // a name is used once, also when the file failed
	if err != nil {
		return err
	}
	f.Partition = p.values
	r.files = append(r.files, f)
	return nil
}

// Finish makes files of the rest and returns all of them. After an error it may be called
// again.
func (r *Rows) Finish(ctx context.Context) ([]File, error) {
	keys := slices.SortedFunc(maps.Keys(r.parts), func(a, b partKey) int { return slices.Compare(a[:], b[:]) })
	for _, k := range keys {
		if p := r.parts[k]; p.w.Rows() > 0 {
			if err := r.finish(ctx, p); err != nil {
				return nil, err
			}
		}
		r.drop(k)
	}
	return r.files, nil
}

// enter prepares a batch's column: each word of a dictionary is transformed once.
func (f *field) enter(c *file.Col) error {
	if c.Dict == nil || f.unit != 0 {
		return nil
	}
	if c.Dict != f.last {
		f.last, f.codes = c.Dict, f.codes[:0]
	}
	for len(f.codes) < c.Dict.Len() {
		n, err := f.word(string(c.Dict.Word(int32(len(f.codes)))))
		if err != nil {
			return err
		}
		f.codes = append(f.codes, n)
	}
	return nil
}

// word is the number of a transformed text.
func (f *field) word(s string) (int64, error) {
	v := f.tr.Apply(iceberg.Optional[iceberg.Literal]{Valid: true, Val: iceberg.NewLiteral(s)})
	if !v.Valid {
		return 0, fmt.Errorf("partition by %s of %q", f.tr, s)
	}
	return f.number(v.Val), nil
}

func (f *field) number(l iceberg.Literal) int64 {
	s := l.String()
	n, ok := f.words[s]
	if !ok {
		n = int64(len(f.vals))
		f.words[s] = n
		f.vals = append(f.vals, l.Any())
	}
	return n
}

// value of a row: equal for rows of one partition, different for others.
func (f *field) value(c *file.Col, row int) (int64, error) {
	switch {
	case f.unit != 0:
		v := c.I64[row]
		if d := v - f.at*f.unit; d >= 0 && d < f.unit { // mostly, and a division takes long
			return f.at, nil
		}
		f.at = v / f.unit
		if v%f.unit < 0 {
			f.at--
		}
		return f.at, nil
	case c.Dict != nil:
		return f.codes[c.I32[row]], nil
	}
	var l iceberg.Literal
	switch f.typ.(type) {
	case iceberg.StringType:
		return f.word(string(c.Text(row)))
	case iceberg.TimestampTzType:
		l = iceberg.NewLiteral(iceberg.Timestamp(c.I64[row]))
	case iceberg.Int64Type:
		l = iceberg.NewLiteral(c.I64[row])
	case iceberg.Int32Type:
		l = iceberg.NewLiteral(c.I32[row])
	default:
		return 0, fmt.Errorf("partition by a %s", f.typ)
	}
	v := f.tr.Apply(iceberg.Optional[iceberg.Literal]{Valid: true, Val: l})
	if !v.Valid {
		return 0, fmt.Errorf("partition by %s of %s", f.tr, l)
	}
	return f.number(v.Val), nil
}

// read yields the rows of a file, batch by batch. A batch is valid until the next.
func (t *Table) read(ctx context.Context, path string, size int64, cols []file.Column, yield func(*file.Batch) error) error {
	r, err := file.Open(&ranges{ctx, t.lake.store, path}, size, path)
	if err != nil {
		return err
	}
	return readAll(r, cols, yield)
}

func readAll(r *file.Reader, cols []file.Column, yield func(*file.Batch) error) error {
	rows, err := r.Read(cols, 0, r.Rows())
	if err != nil {
		return err
	}
	for {
		b, err := rows.Next()
		if err != nil {
			return err
		}
		if b == nil {
			rows.Close()
			return nil
		}
		if err := yield(b); err != nil {
			return err
		}
	}
}

// ReaderAt reads a file of the lake by ranges.
func (l *Lake) ReaderAt(ctx context.Context, path string) io.ReaderAt {
	return &ranges{ctx, l.store, path}
}

type ranges struct {
	ctx  context.Context //nolint:containedctx // io.ReaderAt takes none
	s    objstore.Store
	path string
}

func (r *ranges) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.s.ReadAt(r.ctx, r.path, p, off)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return n, io.EOF
	}
	return n, err
}

// encodings of a table's columns stand in a property, as name=number.
const propEncodings = "tidemark.encodings"

func packEncodings(cols []file.Column) string {
	var b strings.Builder
	for i := range cols {
		if e := cols[i].Encoding; e != file.EncodingAuto {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			fmt.Fprintf(&b, "%s=%d", cols[i].Name, e)
		}
	}
	return b.String()
}

func unpackEncodings(s string) map[string]file.Encoding {
	m := map[string]file.Encoding{}
	for word := range strings.FieldsSeq(s) {
		name, num, _ := strings.Cut(word, "=")
		if len(num) == 1 && num[0] >= '1' && num[0] <= '5' {
			m[name] = file.Encoding(num[0] - '0')
		}
	}
	return m
}
