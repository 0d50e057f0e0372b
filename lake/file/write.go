package file

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	pq "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// pageBuffers is the values of one row group of one column, in the order of the file.
type pageBuffers struct {
	i64   []int64
	i32   []int32
	f64   []float64
	bools []bool
	bytes []parquet.ByteArray // of a page
	fixed []parquet.FixedLenByteArray
	raw   []byte // of bytes and fixed
	ends  []int  // of bytes in raw

	// The rows of the row group as they came, and their places in it. Rows that came by
	// time leave for a few symbols in turn, so writing them to their places keeps to few
	// cache lines; fetching the rows of one symbol after the other takes a line for each value.
	came  []uint32
	place []int32
	def   []int16
	rep   []int16
	valid []byte
	local []int32 // code → its number in the row group's dictionary, or -1
	used  []int32 // numbers that a page has
	seen  []int32 // page in which a number was last met
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
	for _, n := range w.notes {
		if err := kv.Append(n[0], n[1]); err != nil {
			return nil, err
		}
	}
	fw, err := pq.NewParquetWriterWithError(dst, w.root, pq.WithWriterProps(w.properties(perm)), pq.WithWriteMetadata(kv))
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

// Zstd levels: of columns in general, and of those doubles of which it hardly makes less, in half of the time.
const (
	level     = 3
	quick     = 1
	quickLoss = 0.05 // more bytes that quick may take
)

// sampleRows is how many rows of a file tell which level its doubles get.
const sampleRows = 4096

// quickEnough reports whether a column of doubles gets level quick, by a sample from the middle of the file.
func (w *Writer) quickEnough(col int, perm []uint32) bool {
	z, err := compress.GetCodec(compress.Codecs.Zstd)
	if err != nil {
		return false
	}
	n := min(sampleRows, len(perm))
	at := (len(perm) - n) / 2
	raw := make([]byte, 0, 8*n)
	for _, row := range perm[at : at+n] {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(w.chunks[row>>chunkBits].cols[col].F64[row&(chunkRows-1)]))
	}
	full := len(z.EncodeLevel(nil, raw, level))
	return float64(len(z.EncodeLevel(nil, raw, quick))) <= float64(full)*(1+quickLoss)
}

func (w *Writer) properties(perm []uint32) *parquet.WriterProperties {
	opts := []parquet.WriterProperty{
		parquet.WithVersion(parquet.V2_LATEST),
		parquet.WithDataPageVersion(parquet.DataPageV1),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(level),
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
		c := &w.cols[i]
		if c.Type == Double && w.quickEnough(i, perm) {
			opts = append(opts, parquet.WithCompressionLevelFor(c.leaf(), quick))
		}
		if c.Encoding == EncodingRandom {
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
	nulls := false
	for i, ch := range w.chunks {
		src[i] = &ch.cols[col]
		nulls = nulls || len(src[i].Null) > 0
	}
	p := &w.page
	p.def = p.def[:0]
	if c.Nullable && !nulls {
		p.def = grown(p.def, pageRows)
		for i := range p.def {
			p.def[i] = 1
		}
	}
	ints := func(s *Col) []int32 { return s.I32 }
	switch cw := cw.(type) {
	case *pq.Int64ColumnChunkWriter:
		if c.Type == LongList {
			return p.writeLists(cw, src, perm, c.Nullable)
		}
		return writeNumbers(cw, p, src, perm, nulls, &p.i64, func(s *Col) []int64 { return s.I64 })
	case *pq.Int32ColumnChunkWriter:
		if c.encoding() == EncodingDictionary {
			return p.writeCodedInts(cw, src, perm, c.Nullable, nulls)
		}
		return writeNumbers(cw, p, src, perm, nulls, &p.i32, ints)
	case *pq.Float64ColumnChunkWriter:
		return writeNumbers(cw, p, src, perm, nulls, &p.f64, func(s *Col) []float64 { return s.F64 })
	case *pq.BooleanColumnChunkWriter:
		if nulls {
			return eachPage(cw, p, src, perm, c.Nullable, &p.bools, func(s *Col, r uint32) bool { return s.I32[r] != 0 })
		}
		p.i32 = placed(p, src, p.i32, ints)
		return writePages(cw, p, len(perm), func(lo, hi int) []bool {
			p.bools = grown(p.bools, hi-lo)
			for i, v := range p.i32[lo:hi] {
				p.bools[i] = v != 0
			}
			return p.bools
		})
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
			return p.writeCodedText(cw, d.dict, src, perm, c.Nullable, nulls)
		}
		if nulls {
			return eachPage(cw, p, src, perm, c.Nullable, &p.bytes, func(s *Col, r uint32) parquet.ByteArray { return s.Bytes[s.Off[r]:s.Off[r+1]] })
		}
		p.placeText(src)
		return writePages(cw, p, len(perm), func(lo, hi int) []parquet.ByteArray {
			p.bytes = grown(p.bytes, hi-lo)
			at := 0
			if lo > 0 {
				at = p.ends[lo-1]
			}
			for i, end := range p.ends[lo:hi] {
				p.bytes[i] = p.raw[at:end]
				at = end
			}
			return p.bytes
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

// writePages writes a column without nulls; page gives the values of rows lo..hi-1.
func writePages[T any](cw pageWriter[T], p *pageBuffers, rows int, page func(lo, hi int) []T) error {
	for lo := 0; lo < rows; lo += pageRows {
		hi := min(lo+pageRows, rows)
		var def []int16
		if len(p.def) > 0 {
			def = p.def[:hi-lo]
		}
		if _, err := cw.WriteBatch(page(lo, hi), def, nil); err != nil {
			return err
		}
		if err := cw.FlushCurrentPage(); err != nil {
			return err
		}
	}
	return nil
}

// writeNumbers writes a column of numbers.
func writeNumbers[T comparable](cw pageWriter[T], p *pageBuffers, src []*Col, perm []uint32, nulls bool, buf *[]T, values func(*Col) []T) error {
	if nulls {
		return eachPage(cw, p, src, perm, true, buf, func(s *Col, r uint32) T { return values(s)[r] })
	}
	if v, ok := only(src, values); ok {
		*buf = grown(*buf, min(pageRows, len(perm)))
		for i := range *buf {
			(*buf)[i] = v
		}
		return writePages(cw, p, len(perm), func(lo, hi int) []T { return (*buf)[:hi-lo] })
	}
	*buf = placed(p, src, *buf, values)
	return writePages(cw, p, len(perm), func(lo, hi int) []T { return (*buf)[lo:hi] })
}

// only is the one value that a column of a file has in all its rows: most have it in many
// columns, such as those of the feed.
func only[T comparable](src []*Col, values func(*Col) []T) (T, bool) {
	v := values(src[0])[0]
	for _, s := range src {
		for _, x := range values(s) {
			if x != v {
				return v, false
			}
		}
	}
	return v, true
}

// placed gives the values of the row group's rows in the order of the file, in the memory of out.
func placed[T any](p *pageBuffers, src []*Col, out []T, values func(*Col) []T) []T {
	at := p.place[:len(p.came)]
	out = grown(out, len(at))
	for i := 0; i < len(at); {
		c := p.came[i] >> chunkBits
		vals := values(src[c])
		for ; i < len(at) && p.came[i]>>chunkBits == c; i++ {
			out[at[i]] = vals[p.came[i]&(chunkRows-1)]
		}
	}
	return out
}

// placeText puts the texts of the row group's rows one after the other in raw, in the order of the file.
func (p *pageBuffers) placeText(src []*Col) {
	p.ends = grown(p.ends, len(p.came))
	for i, row := range p.came {
		s, r := src[row>>chunkBits], row&(chunkRows-1)
		p.ends[p.place[i]] = int(s.Off[r+1] - s.Off[r])
	}
	end := 0
	for i, n := range p.ends {
		p.ends[i] = end // where it begins, until it is there
		end += n
	}
	p.raw = grown(p.raw, end)
	for i, row := range p.came {
		s, r := src[row>>chunkBits], row&(chunkRows-1)
		begin := &p.ends[p.place[i]]
		*begin += copy(p.raw[*begin:], s.Bytes[s.Off[r]:s.Off[r+1]])
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

// codeWriter is a column writer of arrow-go, given codes and their dictionary.
type codeWriter interface {
	pq.ColumnChunkWriter
	FlushCurrentPage() error
}

// writeCodedText writes a column of codes through the row group's own dictionary: the words
// in use, in the order in which they are met, so that equal rows give equal bytes.
func (p *pageBuffers) writeCodedText(cw codeWriter, dict *Dict, src []*Col, perm []uint32, nullable, nulls bool) error {
	stats, ok := cw.PageStatistics().(*metadata.ByteArrayStatistics)
	if !ok {
		return fmt.Errorf("no statistics in %T", cw)
	}
	codes := p.number(src, perm, nulls, len(dict.words))
	b := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
	for _, code := range codes {
		b.Append(dict.words[code])
	}
	return p.writeCodes(cw, b.NewArray(), nullable, nulls, func(used []int32, nulls int64) {
		p.bytes = p.bytes[:0]
		for _, k := range used {
			p.bytes = append(p.bytes, dict.words[codes[k]])
		}
		stats.Update(p.bytes, nulls)
	})
}

// writeCodedInts does so for a column of numbers.
func (p *pageBuffers) writeCodedInts(cw codeWriter, src []*Col, perm []uint32, nullable, nulls bool) error {
	stats, ok := cw.PageStatistics().(*metadata.Int32Statistics)
	if !ok {
		return fmt.Errorf("no statistics in %T", cw)
	}
	const likely = 256 // numbers for which a table is quicker than a map
	values := p.number(src, perm, nulls, likely)
	b := array.NewInt32Builder(memory.DefaultAllocator)
	b.AppendValues(values, nil)
	var used32 []int32
	return p.writeCodes(cw, b.NewArray(), nullable, nulls, func(used []int32, nulls int64) {
		used32 = used32[:0]
		for _, k := range used {
			used32 = append(used32, values[k])
		}
		stats.Update(used32, nulls)
	})
}

// number puts into i32 the row group's values as numbers of a dictionary, -1 for a null, and
// returns the dictionary: values in the order in which they are met. Those below small are found quickly.
func (p *pageBuffers) number(src []*Col, perm []uint32, nulls bool, small int) []int32 {
	p.local = grown(p.local, small)
	for i := range p.local {
		p.local[i] = -1
	}
	var others map[int32]int32
	var dict []int32
	p.i32 = placed(p, src, p.i32, func(s *Col) []int32 { return s.I32 })
	for i, v := range p.i32 {
		if nulls && src[perm[i]>>chunkBits].IsNull(int(perm[i]&(chunkRows-1))) {
			p.i32[i] = -1
			continue
		}
		if uint32(v) < uint32(len(p.local)) {
			k := p.local[v]
			if k < 0 {
				k = int32(len(dict))
				p.local[v] = k
				dict = append(dict, v)
			}
			p.i32[i] = k
			continue
		}
		k, ok := others[v]
		if !ok {
			if others == nil {
				others = map[int32]int32{}
			}
			k = int32(len(dict))
			others[v] = k
			dict = append(dict, v)
		}
		p.i32[i] = k
	}
	return dict
}

// writeCodes writes the numbers of i32; count is told the numbers in use in a page, each once, and its nulls.
func (p *pageBuffers) writeCodes(cw codeWriter, dict arrow.Array, nullable, nulls bool, count func(used []int32, nulls int64)) error {
	enc, ok := cw.CurrentEncoder().(interface{ PutDictionary(arrow.Array) error })
	if !ok {
		return fmt.Errorf("no dictionary in %T", cw.CurrentEncoder())
	}
	if dict.Len() > 0 {
		if err := enc.PutDictionary(dict); err != nil {
			return err
		}
	}
	p.seen = zeros(p.seen, dict.Len())
	codes := p.i32
	for page := int32(1); len(codes) > 0; page++ {
		n := min(pageRows, len(codes))
		if err := p.writeCodePage(cw, codes[:n], nullable, nulls, page, count); err != nil {
			return err
		}
		codes = codes[n:]
	}
	return nil
}

func (p *pageBuffers) writeCodePage(cw codeWriter, codes []int32, nullable, nulls bool, page int32, count func([]int32, int64)) error {
	n, missing := len(codes), 0
	var def []int16
	var valid *memory.Buffer
	if nullable {
		p.def = grown(p.def, n)
		def = p.def
	}
	if nulls {
		p.valid = zeros(p.valid, (n+7)/8)
		valid = memory.NewBufferBytes(p.valid)
		for i, k := range codes {
			def[i] = 1
			if k < 0 {
				codes[i], def[i] = 0, 0
				missing++
				continue
			}
			p.valid[i>>3] |= 1 << (i & 7)
		}
	}
	p.used = p.used[:0]
	if len(p.seen) <= 64 {
		var mask uint64
		for i, k := range codes {
			if nulls && def[i] == 0 {
				continue
			}
			mask |= 1 << k
		}
		for ; mask != 0; mask &= mask - 1 {
			p.used = append(p.used, int32(bits.TrailingZeros64(mask)))
		}
	} else {
		for i, k := range codes {
			if p.seen[k] != page && (!nulls || def[i] != 0) {
				p.seen[k] = page
				p.used = append(p.used, k)
			}
		}
	}
	count(p.used, int64(missing))
	raw := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(codes))), 4*n)
	data := array.NewData(arrow.PrimitiveTypes.Int32, n, []*memory.Buffer{valid, memory.NewBufferBytes(raw)}, nil, missing, 0)
	if err := cw.WriteDictIndices(array.NewInt32Data(data), def, nil); err != nil {
		return err
	}
	return cw.FlushCurrentPage()
}
