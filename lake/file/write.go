package file

import (
	"encoding/binary"
	"fmt"
	"io"

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
	came     []uint32
	place    []int32
	def      []int16
	rep      []int16
	nullable bool
	null     []bool  // by row in the order of the file; none where the column has none
	out      []byte  // a page or a dictionary
	local    []int32 // code → its number in the row group's dictionary, or -1
	slots    []int32 // where doubles are in the dictionary, by hash
	words    []float64
	used     []int32 // numbers that a page has
	seen     []int32 // page in which a number was last met
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
	out, err := newFileOut(dst, w.root, w.properties(), kv)
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
		if err := w.writeGroup(out, perm[lo:hi]); err != nil {
			return nil, err
		}
	}
	meta, err := out.finish()
	if err != nil {
		return nil, err
	}
	meta.SetSourceFileSize(out.at)
	return &Info{Rows: int64(len(perm)), Size: out.at, Runs: runs, Meta: meta}, nil
}

// Zstd levels: of columns in general, and of doubles.
const (
	level = 3
	quick = 1
)

func (w *Writer) properties() *parquet.WriterProperties {
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
		if c.Type == Double {
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

func (w *Writer) writeGroup(out *fileOut, perm []uint32) error {
	if err := out.begin(); err != nil {
		return err
	}
	for i := range w.cols {
		c, err := out.next()
		if err == nil {
			err = w.writeColumn(c, i, perm)
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", w.cols[i].Name, err)
		}
	}
	return out.end(len(perm))
}

// writeColumn writes a column of a row group: what most of them are with encoders of ours, others with those of arrow-go, which
// take several times as long.
func (w *Writer) writeColumn(out *chunkOut, col int, perm []uint32) error {
	c, p := &w.cols[col], &w.page
	src := make([]*Col, len(w.chunks))
	nulls := false
	for i, ch := range w.chunks {
		src[i] = &ch.cols[col]
		nulls = nulls || len(src[i].Null) > 0
	}
	p.nullable, p.null = c.Nullable, p.null[:0]
	if nulls {
		p.null = grown(p.null, len(perm))
		for i, row := range perm {
			p.null[i] = src[row>>chunkBits].IsNull(int(row & (chunkRows - 1)))
		}
	}
	ints := func(s *Col) []int32 { return s.I32 }
	switch e := c.encoding(); {
	case w.dicts[col].used:
		return p.writeCodedText(out, w.dicts[col].dict, src)
	case c.Type == Int && e == EncodingDictionary:
		return p.writeCodedInts(out, src)
	case c.Type == Int && e == EncodingDelta:
		return writeNumbers(out, p, src, &p.i32, ints, parquet.Encodings.DeltaBinaryPacked, packDelta)
	case (c.Type == Long || c.Type == Timestamptz) && e == EncodingDelta:
		return writeNumbers(out, p, src, &p.i64, func(s *Col) []int64 { return s.I64 }, parquet.Encodings.DeltaBinaryPacked, packDelta)
	case c.Type == Double && e == EncodingDictionary:
		return p.writeDoubles(out, src)
	case c.Type == Double && e == EncodingPlain:
		p.f64 = placed(p, src, p.f64, func(s *Col) []float64 { return s.F64 })
		return writePages(out, p, p.f64, parquet.Encodings.Plain, packDoubles)
	}
	cw := out.column()
	if err := w.writeOther(cw, c, src, perm); err != nil {
		return err
	}
	return cw.Close()
}

// pageWriter is what a column writer of arrow-go gives for values of type T.
type pageWriter[T any] interface {
	WriteBatch(values []T, defLevels, repLevels []int16) (int64, error)
	FlushCurrentPage() error
}

func (w *Writer) writeOther(cw pq.ColumnChunkWriter, c *Column, src []*Col, perm []uint32) error {
	p := &w.page
	switch cw := cw.(type) {
	case *pq.Int64ColumnChunkWriter:
		if c.Type == LongList {
			return p.writeLists(cw, src, perm, c.Nullable)
		}
		return eachPage(cw, p, src, perm, c.Nullable, &p.i64, func(s *Col, r uint32) int64 { return s.I64[r] })
	case *pq.Int32ColumnChunkWriter:
		return eachPage(cw, p, src, perm, c.Nullable, &p.i32, func(s *Col, r uint32) int32 { return s.I32[r] })
	case *pq.Float64ColumnChunkWriter:
		return eachPage(cw, p, src, perm, c.Nullable, &p.f64, func(s *Col, r uint32) float64 { return s.F64[r] })
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
		if len(p.null) > 0 {
			return eachPage(cw, p, src, perm, c.Nullable, &p.bytes, func(s *Col, r uint32) parquet.ByteArray { return s.Bytes[s.Off[r]:s.Off[r+1]] })
		}
		return p.writeTexts(cw, src)
	}
	return fmt.Errorf("no writer for %T", cw)
}

func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// writeNumbers writes a column of numbers.
func writeNumbers[T int32 | int64](out *chunkOut, p *pageBuffers, src []*Col, buf *[]T, values func(*Col) []T, e parquet.Encoding, pack func([]byte, []T) []byte) error {
	if v, ok := only(src, values); ok && len(p.null) == 0 {
		*buf = fill(grown(*buf, len(p.came))[:0], v, len(p.came))
	} else {
		*buf = placed(p, src, *buf, values)
	}
	return writePages(out, p, *buf, e, pack)
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

// writeTexts writes a column of texts without nulls.
func (p *pageBuffers) writeTexts(cw *pq.ByteArrayColumnChunkWriter, src []*Col) error {
	p.placeText(src)
	at := 0
	for lo := 0; lo < len(p.ends); lo += pageRows {
		hi := min(lo+pageRows, len(p.ends))
		p.bytes = grown(p.bytes, hi-lo)
		for i, end := range p.ends[lo:hi] {
			p.bytes[i] = p.raw[at:end]
			at = end
		}
		var def []int16
		if p.nullable {
			p.def = fill(grown(p.def, hi-lo)[:0], 1, hi-lo)
			def = p.def
		}
		if _, err := cw.WriteBatch(p.bytes, def, nil); err != nil {
			return err
		}
		if err := cw.FlushCurrentPage(); err != nil {
			return err
		}
	}
	return nil
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
