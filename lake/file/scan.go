package file

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/parquet"
)

// DefaultLimit is the memory that a file which is not sorted may take.
const DefaultLimit = 512 << 20

// Query says which rows of a file are wanted, and of them which columns.
type Query struct {
	Table   []Column            // columns of the table
	Columns []string            // names of the wanted ones; nil: all
	Keys    []Key               // sort order of the table
	Where   map[string][]string // words of strings of the sort order; a name that is missing: all
	From    int64               // the first number of the sort order (a time) is in [From, To); both 0: all
	To      int64
	Limit   int64 // bytes that the rows of a file may take that is not sorted; 0: DefaultLimit
}

// Cursor gives rows batch by batch, nil after the last one. A batch is valid until the next call.
// Close lets the next read have its memory.
type Cursor interface {
	Next() (*Batch, error)
	NextTo(dst []Col, at, room, most int) (*Batch, error) // see Rows.NextTo
	Close()
}

// Scan is the rows of one file that a query wants, in runs.
type Scan struct {
	r     *Reader
	cols  []Column
	binds []binding
	runs  []Run
	seek  *seeker
	held  *Writer // rows of a file that is not sorted
	perm  []uint32
}

// Columns of the scan's batches.
func (s *Scan) Columns() []Column { return s.cols }

// Runs lists the runs that have wanted rows, in the order of their keys, cut to those rows.
func (s *Scan) Runs() []Run { return s.runs }

// InMemory reports whether the file was not sorted, so that its rows had to be held in memory.
func (s *Scan) InMemory() bool { return s.held != nil }

// Open reads the rows of run i, sorted by the numbers of the sort order.
func (s *Scan) Open(i int) (Cursor, error) { return s.OpenRuns(i, i+1) }

// OpenRuns reads the rows from the first of run i to the last of run j-1, with those that
// lie between the runs.
func (s *Scan) OpenRuns(i, j int) (Cursor, error) {
	lo, hi := s.runs[i].First, s.runs[j-1].First+s.runs[j-1].Rows
	if s.held == nil {
		return s.r.read(s.binds, lo, hi)
	}
	return &heldRows{w: s.held, perm: s.perm[lo:hi], batch: Batch{Cols: make([]Col, len(s.cols))}}, nil
}

// Cut cuts a scan into some of about n rows each, which end where pages of the file do: no page is decoded twice.
func (s *Scan) Cut(n int64) []*Scan {
	n = max(1, n/pageRows) * pageRows
	var out []*Scan
	end := int64(0) // row of the file after the last part
	for _, run := range s.runs {
		for run.Rows > 0 {
			if len(out) == 0 || run.First >= end {
				part := *s
				part.runs = nil
				out = append(out, &part)
				end = run.First/pageRows*pageRows + n
			}
			head := Run{Key: run.Key, First: run.First, Rows: min(run.Rows, end-run.First)}
			last := out[len(out)-1]
			last.runs = append(last.runs, head)
			run.First, run.Rows = run.First+head.Rows, run.Rows-head.Rows
		}
	}
	return out
}

// CutAt cuts a scan of a file that is sorted at times, which rise: its first number is below the first of them in the first part,
// from the last one on in the last part.
func (s *Scan) CutAt(times []int64) ([]*Scan, error) {
	out := make([]*Scan, len(times)+1)
	for i := range out {
		part := *s
		part.runs = nil
		out[i] = &part
	}
	for _, run := range s.runs {
		for i, part := range out {
			head := run
			if i < len(times) && s.seek.bind != nil { // else there is nothing to cut by
				end, err := s.seek.first(run, times[i])
				if err != nil {
					return nil, err
				}
				head.Rows = end - run.First
			}
			if head.Rows > 0 {
				part.runs = append(part.runs, head)
			}
			run.First, run.Rows = run.First+head.Rows, run.Rows-head.Rows
		}
	}
	return out, nil
}

// Scan finds the rows that a query wants. Runs come from the footer, or where the file
// has none, from its key columns; rows of a file that is not sorted are read and sorted
// in memory, if they fit in the limit. Only what the page index leaves in doubt is read.
func (r *Reader) Scan(q Query) (*Scan, error) {
	s := &Scan{r: r}
	for _, name := range q.Columns {
		i := slices.IndexFunc(q.Table, func(c Column) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%s: the table has no column %s", r.name, name)
		}
		s.cols = append(s.cols, q.Table[i])
	}
	if q.Columns == nil {
		s.cols = q.Table
	}
	o, err := newOrder(q.Table, q.Keys)
	if err != nil {
		return nil, err
	}
	for name := range q.Where {
		if !slices.ContainsFunc(o.text, func(i int) bool { return q.Table[i].Name == name }) {
			return nil, fmt.Errorf("%s is not a string of the sort order", name)
		}
	}
	if s.binds, err = r.bind(s.cols); err != nil {
		return nil, err
	}
	runs := r.runs
	if !r.sorted(q.Keys) {
		f, err := r.foreign(&q, &o)
		if err != nil {
			return nil, err
		}
		if f.held != nil {
			s.held, s.perm, s.runs = f.held, f.perm, f.runs
			return s, nil
		}
		runs = f.runs
	}
	s.seek = &seeker{r: r, pages: make([][]pageBounds, len(r.groups))}
	if len(o.nums) > 0 {
		if s.seek.bind, err = r.bind([]Column{q.Table[o.nums[0].col]}); err != nil {
			return nil, err
		}
	}
	for _, run := range runs {
		if !q.wants(&o, run.Key) {
			continue
		}
		if q.bounded() && s.seek.bind != nil {
			if run, err = s.seek.cut(run, q.From, q.To); err != nil {
				return nil, err
			}
		}
		if run.Rows > 0 {
			s.runs = append(s.runs, run)
		}
	}
	return s, nil
}

func (q *Query) bounded() bool { return q.From != 0 || q.To != 0 }

// wants reports whether a run with these words may have wanted rows.
func (q *Query) wants(o *order, key []string) bool {
	for i, col := range o.text {
		if words, ok := q.Where[q.Table[col].Name]; ok && !slices.Contains(words, key[i]) {
			return false
		}
	}
	return true
}

// seeker finds rows of a run by the first number of the sort order.
type seeker struct {
	r     *Reader
	bind  []binding
	pages [][]pageBounds // of each group, as far as they were asked for
	at    int64          // rows that the last batch has
	got   []int64
}

// pageBounds is what the page index says of rows first to end.
type pageBounds struct {
	first, end      int64
	least, greatest []byte
}

// cut narrows a run to the rows with from ≤ number < to.
func (k *seeker) cut(run Run, from, to int64) (Run, error) {
	lo, err := k.first(run, from)
	if err != nil {
		return run, err
	}
	hi, err := k.first(run, to)
	if err != nil {
		return run, err
	}
	return Run{Key: run.Key, First: lo, Rows: max(0, hi-lo)}, nil
}

// first is the first row of a run with a number of at least t, or the row after the run.
func (k *seeker) first(run Run, t int64) (int64, error) {
	lo, hi := run.First, run.First+run.Rows
	b := k.bind[0]
	// Parts of the file that lie inside of the run tell by their bounds on which side they are.
	part := func(first, end int64, least, greatest []byte) {
		if first < run.First || end > run.First+run.Rows {
			return
		}
		if g, ok := boundOf(greatest, &b, k.r); ok && g < t {
			lo = max(lo, end)
		}
		if l, ok := boundOf(least, &b, k.r); ok && l >= t {
			hi = min(hi, first)
		}
	}
	for g := range k.r.groups {
		gr := &k.r.groups[g]
		if gr.cols[b.leaf].hasBounds {
			part(gr.first, gr.first+gr.rows, gr.cols[b.leaf].least, gr.cols[b.leaf].greatest)
		}
	}
	for g := range k.r.groups {
		gr := &k.r.groups[g]
		if lo >= hi || gr.first+gr.rows <= lo || gr.first >= hi {
			continue
		}
		if k.pages[g] == nil {
			var err error
			if k.pages[g], err = k.index(gr, b.leaf); err != nil {
				return 0, err
			}
		}
		for _, p := range k.pages[g] {
			part(p.first, p.end, p.least, p.greatest)
		}
	}
	for lo < hi {
		mid := lo + (hi-lo)/2
		v, err := k.value(mid)
		if err != nil {
			return 0, err
		}
		if v < t {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, nil
}

// index reads the bounds of a column's pages, none where the file does not have them.
func (k *seeker) index(g *group, leaf int) ([]pageBounds, error) {
	c, pages := &g.cols[leaf], []pageBounds{}
	if c.offIndex.size == 0 || c.colIndex.size == 0 {
		return pages, nil
	}
	ob, err := k.r.bytes(c.offIndex.off, c.offIndex.size, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: page index: %w", k.r.name, err)
	}
	cb, err := k.r.bytes(c.colIndex.off, c.colIndex.size, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: page index: %w", k.r.name, err)
	}
	op, cp := compact{b: ob}, compact{b: cb}
	locs := op.offsetIndex()
	least, greatest := cp.columnIndex()
	if op.err != nil || cp.err != nil || !c.fits(locs, g.rows) || len(least) != len(locs) || len(greatest) != len(locs) {
		return nil, fmt.Errorf("%s: page index of rows %d+%d: damaged", k.r.name, g.first, g.rows)
	}
	for i, p := range locs {
		end := g.rows
		if i+1 < len(locs) {
			end = locs[i+1].first
		}
		pages = append(pages, pageBounds{g.first + p.first, g.first + end, least[i], greatest[i]})
	}
	return pages, nil
}

// boundOf reads a bound of a long or int column.
func boundOf(b []byte, k *binding, r *Reader) (int64, bool) {
	switch {
	case r.leaves[k.leaf].phys == parquet.Types.Int64 && len(b) == 8 && k.times == 1:
		return int64(binary.LittleEndian.Uint64(b)), true
	case r.leaves[k.leaf].phys == parquet.Types.Int32 && len(b) == 4:
		return int64(int32(binary.LittleEndian.Uint32(b))), true
	}
	return 0, false
}

// value is the number in a row; the page that has it is kept for the next call.
func (k *seeker) value(row int64) (int64, error) {
	if row < k.at || row >= k.at+int64(len(k.got)) {
		rows, err := k.r.read(k.bind, row, row+1)
		if err != nil {
			return 0, err
		}
		defer rows.Close()
		if _, err := rows.Next(); err != nil {
			return 0, err
		}
		c := rows.cols[0]
		g := &k.r.groups[rows.group]
		k.at, k.got = g.first+c.first, k.got[:0]
		page := c.col(0)
		if k.bind[0].form != formInt {
			k.got = append(k.got, page.I64...)
		} else {
			for _, v := range page.I32 {
				k.got = append(k.got, int64(v))
			}
		}
	}
	return k.got[row-k.at], nil
}

// heldRows reads sorted rows from memory.
type heldRows struct {
	w     *Writer
	perm  []uint32
	batch Batch
}

func (h *heldRows) Next() (*Batch, error) { return h.NextTo(nil, 0, 0, pageRows) }

func (h *heldRows) NextTo(_ []Col, _, _, most int) (*Batch, error) {
	if len(h.perm) == 0 {
		return nil, nil
	}
	n := min(len(h.perm), most, pageRows)
	h.batch.N = n
	for i := range h.batch.Cols {
		h.w.take(&h.batch.Cols[i], i, h.perm[:n])
	}
	h.perm = h.perm[n:]
	return &h.batch, nil
}

func (h *heldRows) Close() {}

// take copies rows of a column, in the order of perm.
func (w *Writer) take(dst *Col, col int, perm []uint32) {
	dst.reset()
	dst.Dict = nil
	if w.dicts[col].used {
		dst.Dict = w.dicts[col].dict
	}
	for i, row := range perm {
		c, r := &w.chunks[row>>chunkBits].cols[col], int(row&(chunkRows-1))
		if c.IsNull(r) {
			dst.SetNull(i)
		}
		switch w.cols[col].form() {
		case formLong:
			if w.cols[col].Type == LongList {
				dst.I64, dst.Off = appendSpans(dst.I64, dst.Off, c.I64, c.Off, nil, r, r+1)
				break
			}
			dst.I64 = append(dst.I64, c.I64[r])
		case formInt, formBool, formCodes:
			dst.I32 = append(dst.I32, c.I32[r])
		case formDouble:
			dst.F64 = append(dst.F64, c.F64[r])
		case formDecimal:
			dst.Hi, dst.Lo = append(dst.Hi, c.Hi[r]), append(dst.Lo, c.Lo[r])
		case formText:
			dst.Bytes, dst.Off = appendSpans(dst.Bytes, dst.Off, c.Bytes, c.Off, nil, r, r+1)
		}
	}
}

// foreignFile is what is known of a file without runs.
type foreignFile struct {
	runs []Run
	held *Writer
	perm []uint32
}

// foreign reads the key columns of a file that another program wrote. If its rows are in
// order the runs are all it takes; else the wanted rows are read and sorted.
func (r *Reader) foreign(q *Query, o *order) (*foreignFile, error) {
	keys := make([]Column, 0, len(q.Keys))
	for _, i := range append(slices.Clone(o.text), columnsOf(o.nums)...) {
		keys = append(keys, q.Table[i])
	}
	rows, err := r.Read(keys, 0, r.Rows())
	if err != nil {
		return nil, err
	}
	c := orderCheck{o: o, last: make([]int64, len(o.nums))}
	for ordered := true; ordered; {
		b, err := rows.Next()
		if err != nil {
			return nil, err
		}
		if b == nil {
			return &foreignFile{runs: c.runs}, nil
		}
		ordered = c.add(b)
	}
	return r.hold(q, o)
}

func columnsOf(keys []numKey) []int {
	out := make([]int, len(keys))
	for i, k := range keys {
		out[i] = k.col
	}
	return out
}

// orderCheck follows the key columns of a file's rows.
type orderCheck struct {
	o    *order
	runs []Run
	key  [][]byte
	last []int64
}

// add takes the next rows and reports whether they are in order.
func (c *orderCheck) add(b *Batch) bool {
	texts, nums := b.Cols[:len(c.o.text)], b.Cols[len(c.o.text):]
	for i := range b.N {
		diff := 0 // of the strings to those of the row before
		for t := range texts {
			if c.runs == nil {
				diff = 1
				break
			}
			if diff = bytes.Compare(texts[t].Text(i), c.key[t]); diff != 0 {
				break
			}
		}
		if diff < 0 {
			return false
		}
		if diff > 0 || c.runs == nil {
			c.key = c.key[:0]
			run := Run{Key: make([]string, len(texts)), Rows: 0}
			if k := len(c.runs); k > 0 {
				run.First = c.runs[k-1].First + c.runs[k-1].Rows
			}
			for t := range texts {
				c.key = append(c.key, bytes.Clone(texts[t].Text(i)))
				run.Key[t] = string(c.key[t])
			}
			c.runs = append(c.runs, run)
		}
		run := &c.runs[len(c.runs)-1]
		fell := run.Rows > 0
		for k := range nums {
			v := c.o.nums[k].value(&nums[k], i)
			if fell && v < c.last[k] {
				return false
			}
			if v > c.last[k] {
				fell = false
			}
			c.last[k] = v
		}
		run.Rows++
	}
	return true
}

// value is the key in row i, such that signed comparison gives its order.
func (k *numKey) value(c *Col, i int) int64 {
	switch {
	case k.wide && k.unsigned:
		return c.I64[i] ^ -1<<63
	case k.wide:
		return c.I64[i]
	case k.unsigned:
		return int64(uint32(c.I32[i]))
	}
	return int64(c.I32[i])
}

// hold reads the wanted rows of a file into memory and sorts them.
func (r *Reader) hold(q *Query, o *order) (*foreignFile, error) {
	cols := q.Table
	if q.Columns != nil {
		cols = nil
		for _, name := range q.Columns {
			cols = append(cols, q.Table[slices.IndexFunc(q.Table, func(c Column) bool { return c.Name == name })])
		}
	}
	for _, k := range q.Keys {
		if !slices.ContainsFunc(cols, func(c Column) bool { return c.Name == k.Column }) {
			cols = append(slices.Clip(cols), q.Table[slices.IndexFunc(q.Table, func(c Column) bool { return c.Name == k.Column })])
		}
	}
	w, err := NewWriter(cols, q.Keys)
	if err != nil {
		return nil, err
	}
	rows, err := r.Read(cols, 0, r.Rows())
	if err != nil {
		return nil, err
	}
	limit := q.Limit
	if limit == 0 {
		limit = DefaultLimit
	}
	var pick []int32
	for {
		b, err := rows.Next()
		if err != nil {
			return nil, err
		}
		if b == nil {
			break
		}
		pick = q.pick(&w.order, cols, b, pick[:0])
		if err := w.Append(b, pick); err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		if w.Size() > limit {
			names := make([]string, len(q.Keys))
			for i, k := range q.Keys {
				names[i] = k.Column
			}
			return nil, fmt.Errorf("%s: the file is not sorted by %s, and its rows take more than %d MB of memory; compact the table",
				r.name, strings.Join(names, ", "), limit>>20)
		}
	}
	f := &foreignFile{held: w}
	if w.rows > 0 {
		f.perm, f.runs = w.order.sort(w)
	}
	return f, nil
}

// pick lists the rows of a batch that the query wants. o is the order over cols.
func (q *Query) pick(o *order, cols []Column, b *Batch, out []int32) []int32 {
	if out == nil {
		out = []int32{}
	}
rows:
	for i := range b.N {
		if q.bounded() && len(o.nums) > 0 {
			k := numKey{col: o.nums[0].col, wide: o.nums[0].wide}
			if t := k.value(&b.Cols[k.col], i); t < q.From || t >= q.To {
				continue
			}
		}
		for _, col := range o.text {
			if words, ok := q.Where[cols[col].Name]; ok && !slices.Contains(words, string(b.Cols[col].Text(i))) {
				continue rows
			}
		}
		out = append(out, int32(i))
	}
	return out
}
