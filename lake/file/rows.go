package file

import (
	"fmt"
	"slices"
	"sync"
)

// Sizes of reads: ranges with gaps of less than gapBytes between them are read as one,
// up to readBytes.
const (
	gapBytes  = 64 << 10
	readBytes = 16 << 20
)

// Rows reads rows of a file in the order of the file. It holds the bytes of one row
// group's columns and one decoded page of each column.
type Rows struct {
	r       *Reader
	binds   []binding
	cols    []*column // by binding; without a leaf where the file lacks the column
	at, end int64     // rows of the file
	group   int       // at hand, -1 none
	batch   Batch
	bufs    [][]byte
	masks   [][]uint64
	void    Col // zeros and nulls, of columns that the file lacks
	noWords *Dict
}

// Read reads rows lo..hi-1 of the file: columns by field id, or by name in a file without
// ids. A nullable column that the file lacks is null in every row.
func (r *Reader) Read(cols []Column, lo, hi int64) (*Rows, error) {
	binds, err := r.bind(cols)
	if err != nil {
		return nil, err
	}
	return r.read(binds, lo, hi)
}

func (r *Reader) read(binds []binding, lo, hi int64) (*Rows, error) {
	if lo < 0 || hi > r.Rows() || lo > hi {
		return nil, fmt.Errorf("%s: rows %d to %d of %d", r.name, lo, hi, r.Rows())
	}
	s := rowsPool.Get().(*Rows)
	s.r, s.binds, s.at, s.end, s.group = r, binds, lo, hi, -1
	s.cols, s.masks, s.batch.Cols = resized(s.cols, len(binds)), resized(s.masks, len(binds)), resized(s.batch.Cols, len(binds))
	for i, b := range binds {
		c := s.cols[i]
		if c == nil {
			c = &column{}
			s.cols[i] = c
		}
		c.r, c.b, c.words = r, b, NewDict()
		if c.leaf = nil; b.leaf >= 0 {
			c.leaf = &r.leaves[b.leaf]
		}
	}
	return s, nil
}

// rowsPool has the memory of reads that have been closed.
var rowsPool = sync.Pool{New: func() any { return &Rows{noWords: NewDict()} }}

// resized has n elements, the old ones as they were.
func resized[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	return append(s[:cap(s)], make([]T, n-cap(s))...)
}

// Close gives back the memory of the read; no batch of it is valid any more.
func (s *Rows) Close() {
	for _, c := range s.cols {
		c.r, c.leaf, c.chunk, c.words = nil, nil, nil, nil
		c.data = [2]loaded{}
		c.v, c.out.I64, c.out.I32, c.out.F64, c.out.Hi, c.out.Lo, c.out.Bytes = values{}, nil, nil, nil, nil, nil, nil // they may be another's
	}
	s.r, s.binds = nil, nil
	rowsPool.Put(s)
}

// Next gives the next rows, at most a data page of them, or nil after the last one. The
// batch is valid until the next call; values under nulls are 0. Columns of codes keep
// their dictionary from batch to batch.
func (s *Rows) Next() (*Batch, error) { return s.NextTo(nil, 0, 0, 4*pageRows) }

// NextTo is Next for at most so many rows, and for a reader who keeps the values of the next room rows in dst, from row at
// on: there they are decoded at once where a page has no other rows and its values are of one size. The batch shows which
// are: its slices are those of dst then. A column that is the same in all rows is not among them.
func (s *Rows) NextTo(dst []Col, at, room, most int) (*Batch, error) {
	if s.at >= s.end {
		return nil, nil
	}
	g, err := s.enter()
	if err != nil {
		return nil, err
	}
	row := s.at - g.first // of the group
	rows := min(s.end, g.first+g.rows) - s.at
	for i, c := range s.cols {
		if c.leaf == nil {
			continue
		}
		var to *Col
		if room > 0 {
			to = &dst[i]
		}
		if err := c.load(row, to, at, int64(room)); err != nil {
			return nil, err
		}
		rows = min(rows, c.first+c.n-row)
	}
	rows = min(rows, int64(most))
	for i, c := range s.cols {
		if c.leaf == nil {
			s.missing(i, int(rows))
			continue
		}
		s.view(i, int(row-c.first), int(rows))
	}
	s.batch.N = int(rows)
	s.at += rows
	return &s.batch, nil
}

// enter takes up the row group of the next row.
func (s *Rows) enter() (*group, error) {
	if s.group >= 0 {
		if g := &s.r.groups[s.group]; s.at < g.first+g.rows {
			return g, nil
		}
	}
	s.group, _ = slices.BinarySearchFunc(s.r.groups, s.at, func(g group, row int64) int {
		switch {
		case g.first+g.rows <= row:
			return -1
		case g.first > row:
			return 1
		}
		return 0
	})
	g := &s.r.groups[s.group]
	lo, hi := s.at-g.first, min(s.end-g.first, g.rows)
	var wants []want
	for i, c := range s.cols {
		if c.leaf == nil {
			continue
		}
		if err := c.enter(g); err != nil {
			return nil, err
		}
		for k, sp := range c.need(lo, hi) {
			wants = append(wants, want{span: sp, col: i, part: k})
		}
	}
	if err := s.fetch(wants); err != nil {
		return nil, err
	}
	for i, c := range s.cols {
		if c.leaf == nil {
			continue
		}
		var data []loaded
		for _, w := range wants {
			if w.col == i {
				data = append(data, w.got) // in the order of parts
			}
		}
		if err := c.ready(data); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// want is bytes that a column needs.
type want struct {
	span
	col, part int
	got       loaded
}

// fetch reads the wanted bytes, near ones at once.
func (s *Rows) fetch(wants []want) error {
	order := make([]int, len(wants))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return int(min(1, max(-1, wants[a].off-wants[b].off))) })
	buf := 0
	for i := 0; i < len(order); {
		from := wants[order[i]].off
		to := from + wants[order[i]].size
		j := i + 1
		for ; j < len(order); j++ {
			w := &wants[order[j]]
			end := max(to, w.off+w.size)
			if w.off > to+gapBytes || end-from > readBytes {
				break
			}
			to = end
		}
		if buf == len(s.bufs) {
			s.bufs = append(s.bufs, nil)
		}
		b, err := s.r.bytes(from, to-from, s.bufs[buf])
		if err != nil {
			return fmt.Errorf("%s: column %s: %w", s.r.name, s.binds[wants[order[i]].col].col.Name, err)
		}
		if !s.r.inTail(from) {
			s.bufs[buf] = b
			buf++
		}
		for ; i < j; i++ {
			w := &wants[order[i]]
			w.got = loaded{off: w.off, b: b[w.off-from : w.off-from+w.size]}
		}
	}
	return nil
}

func (r *Reader) inTail(off int64) bool { return off >= r.size-int64(len(r.tail)) }

// view makes column i of the batch of n rows from x on of a page.
func (s *Rows) view(i, x, n int) {
	c, src := &s.batch.Cols[i], s.cols[i]
	if v, ok := src.run(x, n); ok {
		if *c = (Col{Dict: src.out.Dict, Same: true}); src.b.form == formLong {
			c.I64 = src.longs.Of(v, n)
		} else {
			c.I32 = src.ints.Of(int32(v), n)
		}
		return
	}
	page := src.col(x)
	*c = Col{Dict: page.Dict}
	switch s.binds[i].form {
	case formLong:
		if s.binds[i].col.Type == LongList {
			c.I64, c.Off = page.I64, page.Off[x:x+n+1]
			break
		}
		c.I64 = page.I64[x : x+n]
	case formInt, formBool, formCodes:
		c.I32 = page.I32[x : x+n]
	case formDouble:
		c.F64 = page.F64[x : x+n]
	case formDecimal:
		c.Hi, c.Lo = page.Hi[x:x+n], page.Lo[x:x+n]
	case formText:
		c.Bytes, c.Off = page.Bytes, page.Off[x:x+n+1]
	}
	s.masks[i] = page.AppendNulls(s.masks[i][:0], x, n)
	c.Null = s.masks[i]
}

// missing makes column i of the batch null.
func (s *Rows) missing(i, n int) {
	v := &s.void
	if len(v.I64) < n {
		v.I64, v.I32, v.F64, v.Lo, v.Off = make([]int64, n), make([]int32, n), make([]float64, n), make([]uint64, n), make([]int32, n+1)
	}
	c := &s.batch.Cols[i]
	switch s.binds[i].form {
	case formLong:
		*c = Col{I64: v.I64[:n]}
		if s.binds[i].col.Type == LongList {
			*c = Col{Off: v.Off[:n+1]}
		}
	case formInt, formBool:
		*c = Col{I32: v.I32[:n]}
	case formCodes:
		*c = Col{I32: v.I32[:n], Dict: s.noWords}
	case formDouble:
		*c = Col{F64: v.F64[:n]}
	case formDecimal:
		*c = Col{Hi: v.I64[:n], Lo: v.Lo[:n]}
	case formText:
		*c = Col{Off: v.Off[:n+1]}
	}
	m := grown(s.masks[i], (n+63)/64)
	for w := range m {
		m[w] = ^uint64(0)
		if left := n - w<<6; left < 64 {
			m[w] = 1<<left - 1
		}
	}
	s.masks[i], c.Null = m, m
}
