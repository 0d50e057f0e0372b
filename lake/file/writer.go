package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// Sizes of a file's parts; docs/design/0003-lake.md has the measurements.
const (
	groupRows = 1 << 18 // rows of a row group
	pageRows  = 1 << 14 // rows of a data page
	pageElems = 1 << 16 // elements after which a page of lists ends

	chunkBits = 15
	chunkRows = 1 << chunkBits // rows of a block of the writer's memory
	maxRows   = 1 << 31        // rows of a file
)

// Key is a column by which a file is sorted, ascending. Strings come first and need
// EncodingDictionary; what follows is int, long or timestamptz. None may be nullable.
type Key struct {
	Column   string
	Unsigned bool // the bits are those of an unsigned number
}

// Info says what registers a finished file without reading it again.
type Info struct {
	Rows int64
	Size int64
	Runs []Run
	Meta *metadata.FileMetaData // the footer as written
}

// Writer holds the rows of one file, handed in in any order, until Finish sorts and
// writes them. Size says how much memory that takes: for a trade about 150 bytes a row.
// Finish needs 12 bytes a row besides (28 where rows came out of order), and buffers of
// one row group of a column. Memory of files before stays for the next ones, see Left.
// Not for concurrent use.
type Writer struct {
	cols   []Column
	root   *schema.GroupNode
	order  order
	chunks []*chunk
	dicts  []dictColumn // beside cols; in use for columns of codes
	rows   int
	full   int64 // bytes of all chunks but the last
	notes  [][2]string
	*reserve
}

// reserve is the memory that a writer keeps from file to file.
type reserve struct {
	spare []*chunk // as large as a full one
	page  pageBuffers
}

// chunk is a block of rows; all but the last of a writer have chunkRows.
type chunk struct {
	n    int
	cols []Col
}

// dictColumn is the words of one column of codes, and how the codes of the dictionary
// that was handed in last map to them.
type dictColumn struct {
	used bool
	dict *Dict
	from *Dict
	to   []int32
}

// NewWriter makes a writer of files of a table.
func NewWriter(cols []Column, keys []Key) (*Writer, error) {
	if err := check(cols); err != nil {
		return nil, err
	}
	root, err := parquetSchema(cols)
	if err != nil {
		return nil, err
	}
	o, err := newOrder(cols, keys)
	if err != nil {
		return nil, err
	}
	w := &Writer{cols: cols, root: root, order: o, dicts: newDicts(cols), reserve: &reserve{}}
	return w, nil
}

// Another makes a writer of the same table that shares the memory which either has left over
// from its files; only one of them at a time may be in use.
func (w *Writer) Another() *Writer {
	return &Writer{cols: w.cols, root: w.root, order: w.order, dicts: newDicts(w.cols), reserve: w.reserve}
}

// Left is the memory in bytes that files before have left over, for this writer and Another.
func (w *Writer) Left() int64 {
	n := int64(0)
	for _, c := range w.spare {
		n += c.size()
	}
	return n
}

// Drop gives up memory that is left over, n bytes or more if there is as much, and returns how much.
func (w *Writer) Drop(n int64) int64 {
	gone := int64(0)
	for k := len(w.spare); gone < n && k > 0; k-- {
		gone += w.spare[k-1].size()
		w.spare[k-1], w.spare = nil, w.spare[:k-1]
	}
	return gone
}

func newDicts(cols []Column) []dictColumn {
	dicts := make([]dictColumn, len(cols))
	for i := range cols {
		if coded(&cols[i]) {
			dicts[i] = dictColumn{used: true, dict: NewDict()}
		}
	}
	return dicts
}

// coded reports whether a column is kept as codes of a dictionary.
func coded(c *Column) bool {
	return (c.Type == String || c.Type == Binary) && c.encoding() == EncodingDictionary
}

// Note puts an entry into the footer of the file that Finish writes next, in place of one of that key.
func (w *Writer) Note(key, text string) {
	w.notes = append(slices.DeleteFunc(w.notes, func(n [2]string) bool { return n[0] == key }), [2]string{key, text})
}

// Rows is the number of rows that wait for Finish.
func (w *Writer) Rows() int { return w.rows }

// Size is the memory that the rows take, in bytes.
func (w *Writer) Size() int64 {
	if len(w.chunks) == 0 {
		return 0
	}
	return w.full + w.chunks[len(w.chunks)-1].size()
}

// Append copies rows of a batch, all of them when rows is nil. On an error nothing of
// the batch has been taken; the error names column and row.
func (w *Writer) Append(b *Batch, rows []int32) error {
	if err := w.accept(b, rows); err != nil {
		return err
	}
	lo, end := 0, b.N
	if rows != nil {
		end = len(rows)
	}
	if together(rows) {
		lo, end, rows = int(rows[0]), int(rows[0])+len(rows), nil
	}
	for lo < end {
		c := w.last()
		hi := min(end, lo+chunkRows-c.n)
		for i := range w.cols {
			w.copy(&c.cols[i], &b.Cols[i], i, c.n, rows, lo, hi)
		}
		c.n += hi - lo
		w.rows += hi - lo
		lo = hi
	}
	return nil
}

// together reports whether rows follow each other in a batch: they are copied as one piece.
func together(rows []int32) bool {
	for i, r := range rows {
		if r != rows[0]+int32(i) {
			return false
		}
	}
	return len(rows) > 0
}

func (w *Writer) accept(b *Batch, rows []int32) error {
	if len(b.Cols) != len(w.cols) {
		return fmt.Errorf("a batch of %d columns for a table of %d", len(b.Cols), len(w.cols))
	}
	if w.rows+b.N > maxRows || w.rows+len(rows) > maxRows {
		return fmt.Errorf("more than %d rows for one file", maxRows)
	}
	for _, r := range rows {
		if uint32(r) >= uint32(b.N) {
			return fmt.Errorf("row %d of a batch of %d", r, b.N)
		}
	}
	for i := range w.cols {
		col, c := &w.cols[i], &b.Cols[i]
		if err := c.check(col, b.N); err != nil {
			return err
		}
		if err := c.checkValues(col, b.N); err != nil {
			return err
		}
		if d := &w.dicts[i]; d.used && c.Dict != nil {
			if err := d.follow(c.Dict, col); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkValues refuses what readers cannot take: NaN, text that is not UTF-8, decimals
// of more than 38 digits.
func (c *Col) checkValues(col *Column, n int) error {
	switch col.Type {
	case Double:
		for i, v := range c.F64[:n] {
			if math.IsNaN(v) && !c.IsNull(i) {
				return fmt.Errorf("column %s: row %d is not a number", col.Name, i)
			}
		}
	case Boolean:
		for i, v := range c.I32[:n] {
			if uint32(v) > 1 && !c.IsNull(i) {
				return fmt.Errorf("column %s: row %d is %d, neither 0 nor 1", col.Name, i, v)
			}
		}
	case Decimal:
		for i, hi := range c.Hi[:n] {
			if !decimalOK(hi, c.Lo[i]) && !c.IsNull(i) {
				return fmt.Errorf("column %s: row %d has more than %d digits", col.Name, i, Precision)
			}
		}
	case String:
		if c.Dict != nil || n == 0 || ascii(c.Bytes[c.Off[0]:c.Off[n]]) {
			return nil
		}
		for i := range n {
			if !utf8.Valid(c.Text(i)) && !c.IsNull(i) {
				return fmt.Errorf("column %s: row %d is not UTF-8", col.Name, i)
			}
		}
	}
	return nil
}

func ascii(b []byte) bool {
	var or byte
	for _, x := range b {
		or |= x
	}
	return or < utf8.RuneSelf
}

// decimalOK reports whether |hi·2⁶⁴ + lo| < 10³⁸.
func decimalOK(hi int64, lo uint64) bool {
	const tenHi, tenLo = 0x4B3B4CA85A86C47A, 0x098A224000000000 // 10³⁸
	if hi < 0 {
		lo = -lo
		hi = ^hi
		if lo == 0 {
			hi++
		}
		if hi < 0 {
			return false
		}
	}
	return hi < tenHi || hi == tenHi && lo < tenLo
}

// follow maps the codes of a dictionary that is handed in.
func (d *dictColumn) follow(from *Dict, col *Column) error {
	if d.from != from {
		d.from, d.to = from, d.to[:0]
	}
	for len(d.to) < len(from.words) {
		word := from.words[len(d.to)]
		if col.Type == String && !utf8.Valid(word) {
			return fmt.Errorf("column %s: %q is not UTF-8", col.Name, word)
		}
		d.to = append(d.to, d.dict.Code(word))
	}
	return nil
}

// last is the chunk to fill.
func (w *Writer) last() *chunk {
	if k := len(w.chunks); k > 0 {
		c := w.chunks[k-1]
		if c.n < chunkRows {
			return c
		}
		w.full += c.size()
	}
	c := &chunk{cols: make([]Col, len(w.cols))}
	if k := len(w.spare); len(w.chunks) > 0 && k > 0 { // the first one grows: a file of few rows takes little
		c, w.spare = w.spare[k-1], w.spare[:k-1]
	} else if len(w.chunks) > 0 {
		for i := range c.cols {
			c.cols[i].grow(&w.chunks[0].cols[i])
		}
	}
	w.chunks = append(w.chunks, c)
	return c
}

func (c *chunk) reset() {
	c.n = 0
	for i := range c.cols {
		c.cols[i].reset()
	}
}

// grow makes room for as much as a full chunk has.
func (c *Col) grow(like *Col) {
	c.I64 = make([]int64, 0, len(like.I64))
	c.I32 = make([]int32, 0, len(like.I32))
	c.F64 = make([]float64, 0, len(like.F64))
	c.Hi, c.Lo = make([]int64, 0, len(like.Hi)), make([]uint64, 0, len(like.Lo))
	c.Bytes = make([]byte, 0, len(like.Bytes))
	c.Off = make([]int32, 0, len(like.Off))
}

func (c *chunk) size() int64 {
	n := 0
	for i := range c.cols {
		k := &c.cols[i]
		n += 8*(cap(k.I64)+cap(k.F64)+cap(k.Hi)+cap(k.Lo)+cap(k.Null)) + 4*(cap(k.I32)+cap(k.Off)) + cap(k.Bytes)
	}
	return int64(n)
}

// copy appends rows of src to dst, which has at rows.
func (w *Writer) copy(dst, src *Col, col, at int, rows []int32, lo, hi int) {
	switch w.cols[col].Type {
	case Long, Timestamptz:
		dst.I64 = appendRows(dst.I64, src.I64, rows, lo, hi)
	case Int, Boolean:
		dst.I32 = appendRows(dst.I32, src.I32, rows, lo, hi)
	case Double:
		dst.F64 = appendRows(dst.F64, src.F64, rows, lo, hi)
	case Decimal:
		dst.Hi = appendRows(dst.Hi, src.Hi, rows, lo, hi)
		dst.Lo = appendRows(dst.Lo, src.Lo, rows, lo, hi)
	case LongList:
		dst.I64, dst.Off = appendSpans(dst.I64, dst.Off, src.I64, src.Off, rows, lo, hi)
	case String, Binary:
		w.copyText(dst, src, col, rows, lo, hi)
	}
	if len(src.Null) == 0 {
		return
	}
	for i := lo; i < hi; i++ {
		r := i
		if rows != nil {
			r = int(rows[i])
		}
		if src.IsNull(r) {
			dst.SetNull(at + i - lo)
		}
	}
}

func (w *Writer) copyText(dst, src *Col, col int, rows []int32, lo, hi int) {
	d := &w.dicts[col]
	if !d.used && src.Dict == nil {
		dst.Bytes, dst.Off = appendSpans(dst.Bytes, dst.Off, src.Bytes, src.Off, rows, lo, hi)
		return
	}
	if d.used && src.Dict != nil && len(src.Null) == 0 {
		at := len(dst.I32)
		dst.I32 = appendRows(dst.I32, src.I32, rows, lo, hi)
		for i, code := range dst.I32[at:] {
			dst.I32[at+i] = d.to[code]
		}
		return
	}
	last, code := -1, int32(0) // row before with a text, and its code: names of entities come many times in a row
	for i := lo; i < hi; i++ {
		r := i
		if rows != nil {
			r = int(rows[i])
		}
		null := src.IsNull(r)
		switch {
		case !d.used:
			if len(dst.Off) == 0 {
				dst.Off = append(dst.Off, 0)
			}
			if !null {
				dst.Bytes = append(dst.Bytes, src.Text(r)...)
			}
			dst.Off = append(dst.Off, int32(len(dst.Bytes)))
		case null:
			dst.I32 = append(dst.I32, 0)
		case src.Dict != nil:
			dst.I32 = append(dst.I32, d.to[src.I32[r]])
		default:
			if last < 0 || !bytes.Equal(src.Text(r), src.Text(last)) {
				code = d.dict.Code(src.Text(r))
			}
			last = r
			dst.I32 = append(dst.I32, code)
		}
	}
}

func appendRows[T any](dst, src []T, rows []int32, lo, hi int) []T {
	if rows == nil {
		return append(dst, src[lo:hi]...)
	}
	for _, r := range rows[lo:hi] {
		dst = append(dst, src[r])
	}
	return dst
}

func appendSpans[T any](dst []T, off []int32, src []T, srcOff []int32, rows []int32, lo, hi int) ([]T, []int32) {
	if len(off) == 0 {
		off = append(off, 0)
	}
	if rows == nil {
		shift := int32(len(dst)) - srcOff[lo]
		for _, end := range srcOff[lo+1 : hi+1] {
			off = append(off, end+shift)
		}
		return append(dst, src[srcOff[lo]:srcOff[hi]]...), off
	}
	for _, r := range rows[lo:hi] {
		dst = append(dst, src[srcOff[r]:srcOff[r+1]]...)
		off = append(off, int32(len(dst)))
	}
	return dst, off
}

// Finish sorts the rows and writes them to dst as one file. The writer is empty then and
// keeps its memory for the next file. After an error, of dst or else, the rows are still
// there: what was written is waste, and Finish may be called again.
func (w *Writer) Finish(dst io.Writer) (*Info, error) {
	if w.rows == 0 {
		return nil, errors.New("a file without rows")
	}
	perm, runs := w.order.sort(w)
	info, err := w.write(dst, perm, runs)
	if err != nil {
		return nil, err
	}
	w.Reset()
	return info, nil
}

// Reset drops the rows and keeps the memory, but for that of the first chunkRows of them.
func (w *Writer) Reset() {
	for i, c := range w.chunks {
		if i > 0 {
			c.reset()
			w.spare = append(w.spare, c)
		}
		w.chunks[i] = nil
	}
	w.chunks, w.rows, w.full, w.notes = w.chunks[:0], 0, 0, nil
	for i := range w.dicts {
		if d := &w.dicts[i]; d.used {
			*d = dictColumn{used: true, dict: NewDict(), to: d.to[:0]}
		}
	}
}
