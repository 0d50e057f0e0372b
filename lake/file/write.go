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
	def   []int16
	rep   []int16
	valid []byte
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
	for lo := 0; lo < len(perm); lo += groupRows {
		if err := w.writeGroup(fw, perm[lo:min(lo+groupRows, len(perm))]); err != nil {
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
		case EncodingLengths:
			opts = append(opts, parquet.WithEncodingFor(c.leaf(), parquet.Encodings.DeltaLengthByteArray))
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
		p.raw = grown(p.raw, 16*pageRows)
		n := 0
		return eachPage(cw, p, src, perm, c.Nullable, &p.fixed, func(s *Col, r uint32) parquet.FixedLenByteArray {
			b := p.raw[16*(n%pageRows):][:16]
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
	vals := make([][]T, len(src))
	for i, s := range src {
		vals[i] = values(s)
	}
	for len(perm) > 0 {
		n := min(pageRows, len(perm))
		out := grown(*buf, n)
		*buf = out
		for i, row := range perm[:n] {
			out[i] = vals[row>>chunkBits][row&(chunkRows-1)]
		}
		if _, err := cw.WriteBatch(out, nil, nil); err != nil {
			return err
		}
		if err := cw.FlushCurrentPage(); err != nil {
			return err
		}
		perm = perm[n:]
	}
	return nil
}

// eachPage writes a column value by value.
func eachPage[T any](cw pageWriter[T], p *pageBuffers, src []*Col, perm []uint32, nullable bool, buf *[]T, value func(*Col, uint32) T) error {
	for len(perm) > 0 {
		n := min(pageRows, len(perm))
		out := grown(*buf, pageRows)[:0]
		p.def = p.def[:0]
		for _, row := range perm[:n] {
			s, r := src[row>>chunkBits], row&(chunkRows-1)
			if nullable {
				if s.IsNull(int(r)) {
					p.def = append(p.def, 0)
					continue
				}
				p.def = append(p.def, 1)
			}
			out = append(out, value(s, r))
		}
		*buf = out
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
		perm = perm[n:]
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
		if rows < pageRows && len(p.def) < pageElems && i+1 < len(perm) {
			continue
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
	var words [][]byte
	for _, row := range perm {
		s, r := src[row>>chunkBits], row&(chunkRows-1)
		if s.IsNull(int(r)) {
			continue
		}
		if code := s.I32[r]; p.local[code] < 0 {
			p.local[code] = int32(len(words))
			words = append(words, dict.words[code])
		}
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
	p.seen = grown(p.seen, len(words))
	clear(p.seen)
	for page := int32(1); len(perm) > 0; page++ {
		n := min(pageRows, len(perm))
		if err := p.writeCodePage(cw, stats, c, src, perm[:n], words, page); err != nil {
			return err
		}
		perm = perm[n:]
	}
	return nil
}

func (p *pageBuffers) writeCodePage(cw *pq.ByteArrayColumnChunkWriter, stats *metadata.ByteArrayStatistics, c *Column,
	src []*Col, perm []uint32, words [][]byte, page int32) error {
	n := len(perm)
	p.i32 = grown(p.i32, n)
	p.def = grown(p.def, n)
	p.bytes = p.bytes[:0]
	p.valid = grown(p.valid, (n+7)/8)
	clear(p.valid)
	nulls := 0
	for i, row := range perm {
		s, r := src[row>>chunkBits], row&(chunkRows-1)
		if c.Nullable && s.IsNull(int(r)) {
			p.i32[i], p.def[i] = 0, 0
			nulls++
			continue
		}
		k := p.local[s.I32[r]]
		p.i32[i], p.def[i] = k, 1
		p.valid[i>>3] |= 1 << (i & 7)
		if p.seen[k] != page {
			p.seen[k] = page
			p.bytes = append(p.bytes, words[k])
		}
	}
	stats.Update(p.bytes, int64(nulls))
	var def []int16
	if c.Nullable {
		def = p.def
	}
	data := array.NewData(arrow.PrimitiveTypes.Int32, n, []*memory.Buffer{
		memory.NewBufferBytes(p.valid), memory.NewBufferBytes(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(p.i32))), 4*n)),
	}, nil, nulls, 0)
	if err := cw.WriteDictIndices(array.NewInt32Data(data), def, nil); err != nil {
		return err
	}
	return cw.FlushCurrentPage()
}
