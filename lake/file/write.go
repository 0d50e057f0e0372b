package file

import (
	"encoding/binary"
	"fmt"
	"io"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	pq "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// pageBuffers is the values of one data page, in the order of the file.
type pageBuffers struct {
	i64   []int64
	i32   []int32
	f64   []float64
	bools []bool
	bytes []parquet.ByteArray
	fixed []parquet.FixedLenByteArray
	raw   []byte // of fixed

	// The rows of the row group as they came, and their places in it. Rows that came by
	// time leave for a few symbols in turn, so writing them to their places keeps to few
	// cache lines; fetching the rows of one symbol after the other takes a line for each value.
	came  []uint32
	place []int32
	def   []int16
	rep   []int16
	valid []byte
	codes []int32 // of a row group
	local []int32 // of a row group: code → its number in the group's dictionary, or -1
	seen  []int32 // page in which that number was last met
}

// write writes the rows in the order of perm as one Parquet file.
func (w *Writer) write(dst io.Writer, perm []uint32, runs []Run) (*Info, error) {
	names := make([]string, 0, len(w.order.text)+len(w.order.nums))
	for _, c := range w.order.text {
		names = append(names, w.cols[c].Name)
	}
	for _, k := range w.order.nums {
		names = append(names, w.cols[k.col].Name)
	}
	text, err := encodeRuns(names, runs)
	if err != nil {
		return nil, err
	}
	kv := metadata.NewKeyValueMetadata()
	if err := kv.Append(runsKey, text); err != nil {
		return nil, err
	}
	fw, err := pq.NewParquetWriterWithError(dst, w.root, pq.WithWriterProps(w.properties()), pq.WithWriteMetadata(kv))
	if err != nil {
		return nil, err
	}
	place, came := w.order.scatter()
	for lo := 0; lo < len(perm); lo += groupRows {
		hi := min(lo+groupRows, len(perm))
		w.page.came, w.page.place = came[lo:hi], grown(w.page.place, hi-lo)
		for i, row := range came[lo:hi] {
			w.page.place[i] = place[row] - int32(lo)
		}
		if err := w.writeGroup(fw, perm[lo:hi]); err != nil {
			return nil, err
		}
	}
	if err := fw.Close(); err != nil {
		return nil, err
	}
	meta, err := fw.FileMetadata()
	if err != nil {
		return nil, err
	}
	size := fw.TotalBytesWritten()
	meta.SetSourceFileSize(size)
	return &Info{Rows: int64(len(perm)), Size: size, Runs: runs, Meta: meta}, nil
}

func (w *Writer) properties() *parquet.WriterProperties {
	opts := []parquet.WriterProperty{
		parquet.WithVersion(parquet.V2_LATEST),
		parquet.WithDataPageVersion(parquet.DataPageV1),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(3),
		parquet.WithDictionaryDefault(false),
		parquet.WithPageIndexEnabled(true),
		parquet.WithStats(true),
		parquet.WithBatchSize(1 << 30),    // pages end where we say
		parquet.WithDataPageSize(1 << 30), //
	}
	for i := range w.cols {
		c := &w.cols[i]
		switch c.encoding() {
		case EncodingDictionary:
			opts = append(opts, parquet.WithDictionaryFor(c.leaf(), true))
		case EncodingDelta:
			opts = append(opts, parquet.WithEncodingFor(c.leaf(), parquet.Encodings.DeltaBinaryPacked))
		case EncodingSplit:
			opts = append(opts, parquet.WithEncodingFor(c.leaf(), parquet.Encodings.ByteStreamSplit))
		case EncodingPrefix:
			opts = append(opts, parquet.WithEncodingFor(c.leaf(), parquet.Encodings.DeltaByteArray))
		case EncodingLengths, EncodingRandom:
			opts = append(opts, parquet.WithEncodingFor(c.leaf(), parquet.Encodings.DeltaLengthByteArray))
		}
	}
	for i := range w.cols {
		if c := &w.cols[i]; c.Encoding == EncodingRandom {
			opts = append(opts, parquet.WithCompressionFor(c.leaf(), compress.Codecs.Uncompressed), parquet.WithStatsFor(c.leaf(), false))
		}
	}
	var sorted []parquet.SortingColumn
	for _, col := range w.order.declared() {
		sorted = append(sorted, parquet.SortingColumn{ColumnIdx: int32(col)})
	}
	opts = append(opts, parquet.WithSortingColumns(sorted))
	return parquet.NewWriterProperties(opts...)
}

func (w *Writer) writeGroup(fw *pq.Writer, perm []uint32) error {
	g, err := fw.AppendRowGroupChecked()
	if err != nil {
		return err
	}
	for i := range w.cols {
		cw, err := g.NextColumn()
		if err != nil {
			return err
		}
		if err := w.writeColumn(cw, i, perm); err != nil {
			return fmt.Errorf("column %s: %w", w.cols[i].Name, err)
		}
	}
	return g.Close()
}

// pageWriter is what a column writer of arrow-go gives for values of type T.
type pageWriter[T any] interface {
	WriteBatch(values []T, defLevels, repLevels []int16) (int64, error)
	FlushCurrentPage() error
}

func (w *Writer) writeColumn(cw pq.ColumnChunkWriter, col int, perm []uint32) error {
	c := &w.cols[col]
	src := make([]*Col, len(w.chunks))
	for i, ch := range w.chunks {
		src[i] = &ch.cols[col]
	}
	p := &w.page
	switch cw := cw.(type) {
	case *pq.Int64ColumnChunkWriter:
		if c.Type == LongList {
			return p.writeLists(cw, src, perm, c.Nullable)
		}
		return writePages(cw, p, src, perm, c.Nullable, &p.i64, func(s *Col) []int64 { return s.I64 })
	case *pq.Int32ColumnChunkWriter:
		return writePages(cw, p, src, perm, c.Nullable, &p.i32, func(s *Col) []int32 { return s.I32 })
	case *pq.Float64ColumnChunkWriter:
		return writePages(cw, p, src, perm, c.Nullable, &p.f64, func(s *Col) []float64 { return s.F64 })
	case *pq.BooleanColumnChunkWriter:
		return eachPage(cw, p, src, perm, c.Nullable, &p.bools, func(s *Col, r uint32) bool { return s.I32[r] != 0 })
	case *pq.FixedLenByteArrayColumnChunkWriter:
		p.raw = grown(p.raw, 16*len(perm))
		n := 0
		return eachPage(cw, p, src, perm, c.Nullable, &p.fixed, func(s *Col, r uint32) parquet.FixedLenByteArray {
			b := p.raw[16*n:][:16]
			n++
			binary.BigEndian.PutUint64(b, uint64(s.Hi[r]))
			binary.BigEndian.PutUint64(b[8:], s.Lo[r])
			return b
		})
	case *pq.ByteArrayColumnChunkWriter:
		if d := &w.dicts[col]; d.used {
			return p.writeCodes(cw, d.dict, c, src, perm)
		}
		return eachPage(cw, p, src, perm, c.Nullable, &p.bytes, func(s *Col, r uint32) parquet.ByteArray {
			return s.Bytes[s.Off[r]:s.Off[r+1]]
		})
	}
	return fmt.Errorf("no writer for %T", cw)
}

func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// writePages writes a column of numbers.
func writePages[T any](cw pageWriter[T], p *pageBuffers, src []*Col, perm []uint32, nullable bool, buf *[]T, values func(*Col) []T) error {
	if nullable {
		return eachPage(cw, p, src, perm, true, buf, func(s *Col, r uint32) T { return values(s)[r] })
	}
	out := grown(*buf, len(perm))
	*buf = out
	place(p, src, out, values)
	for len(out) > 0 {
		n := min(pageRows, len(out))
		if _, err := cw.WriteBatch(out[:n], nil, nil); err != nil {
			return err
		}
		if err := cw.FlushCurrentPage(); err != nil {
			return err
		}
		out = out[n:]
	}
	return nil
}

// place puts the values of the row group's rows where they belong.
func place[T any](p *pageBuffers, src []*Col, out []T, values func(*Col) []T) {
	at := p.place[:len(p.came)]
	for i := 0; i < len(at); {
		c := p.came[i] >> chunkBits
		vals := values(src[c])
		for ; i < len(at) && p.came[i]>>chunkBits == c; i++ {
			out[at[i]] = vals[p.came[i]&(chunkRows-1)]
		}
	}
}

// eachPage writes a column value by value. A page without values is none of its own but
// part of the one before or after it: arrow-go's delta encoder would write what it wrote
// before.
func eachPage[T any](cw pageWriter[T], p *pageBuffers, src []*Col, perm []uint32, nullable bool, buf *[]T, value func(*Col, uint32) T) error {
	last := len(perm) - 1 // row with a value
	for nullable && last >= 0 && src[perm[last]>>chunkBits].IsNull(int(perm[last]&(chunkRows-1))) {
		last--
	}
	out := grown(*buf, pageRows)[:0]
	p.def = p.def[:0]
	for i, row := range perm {
		s, r := src[row>>chunkBits], row&(chunkRows-1)
		switch {
		case !nullable:
			out = append(out, value(s, r))
		case s.IsNull(int(r)):
			p.def = append(p.def, 0)
		default:
			p.def = append(p.def, 1)
			out = append(out, value(s, r))
		}
		if i+1 < len(perm) && ((i+1)%pageRows != 0 || len(out) == 0 || i >= last) {
			continue
		}
		var def []int16
		if nullable {
			def = p.def
		}
		if _, err := cw.WriteBatch(out, def, nil); err != nil {
			return err
		}
		if err := cw.FlushCurrentPage(); err != nil {
			return err
		}
		*buf = out
		out, p.def = out[:0], p.def[:0]
	}
	return nil
}

// writeLists writes a column of lists; a page ends after pageRows rows or with the row
// that reaches pageElems elements.
func (p *pageBuffers) writeLists(cw *pq.Int64ColumnChunkWriter, src []*Col, perm []uint32, nullable bool) error {
	var base int16
	if nullable {
		base = 1
	}
	p.i64, p.def, p.rep = p.i64[:0], p.def[:0], p.rep[:0]
	last := len(perm) - 1 // row with elements
	for ; last >= 0; last-- {
		if s, r := src[perm[last]>>chunkBits], int(perm[last]&(chunkRows-1)); !s.IsNull(r) && len(s.Longs(r)) > 0 {
			break
		}
	}
	rows := 0
	for i, row := range perm {
		s, r := src[row>>chunkBits], int(row&(chunkRows-1))
		vals := s.Longs(r)
		switch {
		case nullable && s.IsNull(r):
			p.def, p.rep = append(p.def, 0), append(p.rep, 0)
		case len(vals) == 0:
			p.def, p.rep = append(p.def, base), append(p.rep, 0)
		default:
			for range vals {
				p.def, p.rep = append(p.def, base+1), append(p.rep, 1)
			}
			p.rep[len(p.rep)-len(vals)] = 0
			p.i64 = append(p.i64, vals...)
		}
		rows++
		if i+1 < len(perm) && (rows < pageRows && len(p.def) < pageElems || len(p.i64) == 0 || i >= last) {
			continue // as in eachPage, no page is without values
		}
		if _, err := cw.WriteBatch(p.i64, p.def, p.rep); err != nil {
			return err
		}
		if err := cw.FlushCurrentPage(); err != nil {
			return err
		}
		p.i64, p.def, p.rep, rows = p.i64[:0], p.def[:0], p.rep[:0], 0
	}
	return nil
}

// writeCodes writes a column of codes through the row group's own dictionary: the words
// in use, in the order in which they are met, so that equal rows give equal bytes.
func (p *pageBuffers) writeCodes(cw *pq.ByteArrayColumnChunkWriter, dict *Dict, c *Column, src []*Col, perm []uint32) error {
	p.local = grown(p.local, len(dict.words))
	for i := range p.local {
		p.local[i] = -1
	}
	// The group's codes, -1 for a null.
	var words [][]byte
	codes := grown(p.codes, len(perm))
	p.codes = codes
	place(p, src, codes, func(s *Col) []int32 { return s.I32 })
	for i, code := range codes {
		if c.Nullable {
			if s, r := src[perm[i]>>chunkBits], perm[i]&(chunkRows-1); s.IsNull(int(r)) {
				codes[i] = -1
				continue
			}
		}
		k := p.local[code]
		if k < 0 {
			k = int32(len(words))
			p.local[code] = k
			words = append(words, dict.words[code])
		}
		codes[i] = k
	}
	b := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
	b.AppendValues(words, nil)
	enc, ok := cw.CurrentEncoder().(interface{ PutDictionary(arrow.Array) error })
	if !ok {
		return fmt.Errorf("no dictionary in %T", cw.CurrentEncoder())
	}
	if len(words) > 0 {
		if err := enc.PutDictionary(b.NewArray()); err != nil {
			return err
		}
	}
	stats, _ := cw.PageStatistics().(*metadata.ByteArrayStatistics)
	if stats == nil {
		return fmt.Errorf("no statistics in %T", cw)
	}
	p.seen = zeros(p.seen, len(words))
	for page := int32(1); len(codes) > 0; page++ {
		n := min(pageRows, len(codes))
		if err := p.writeCodePage(cw, stats, c.Nullable, codes[:n], words, page); err != nil {
			return err
		}
		codes = codes[n:]
	}
	return nil
}

func (p *pageBuffers) writeCodePage(cw *pq.ByteArrayColumnChunkWriter, stats *metadata.ByteArrayStatistics, nullable bool,
	codes []int32, words [][]byte, page int32) error {
	n, nulls, last := len(codes), 0, int32(-1)
	p.bytes = p.bytes[:0]
	var def []int16
	var valid *memory.Buffer
	if nullable {
		p.def, p.valid = grown(p.def, n), zeros(p.valid, (n+7)/8)
		def, valid = p.def, memory.NewBufferBytes(p.valid)
	}
	for i, k := range codes {
		if nullable {
			if k < 0 {
				codes[i], def[i] = 0, 0
				nulls++
				continue
			}
			def[i] = 1
			p.valid[i>>3] |= 1 << (i & 7)
		}
		if k != last && p.seen[k] != page {
			p.seen[k] = page
			p.bytes = append(p.bytes, words[k])
		}
		last = k
	}
	stats.Update(p.bytes, int64(nulls))
	raw := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(codes))), 4*n)
	data := array.NewData(arrow.PrimitiveTypes.Int32, n, []*memory.Buffer{valid, memory.NewBufferBytes(raw)}, nil, nulls, 0)
	if err := cw.WriteDictIndices(array.NewInt32Data(data), def, nil); err != nil {
		return err
	}
	return cw.FlushCurrentPage()
}
