package file

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// column reads one column of a file, a data page at a time.
type column struct {
	r    *Reader
	b    binding
	leaf *leaf

	// The row group at hand.
	chunk *columnChunk
	rows  int64
	pages []pageLoc // nil: the whole column is one page (lists of files without page index)
	whole bool
	data  [2]loaded // the dictionary page; data pages
	dict  values
	hasD  bool
	codes []int32 // of formCodes: code in the row group → code in words

	// The page at hand.
	page  int
	first int64 // its rows, of the group
	n     int64
	out   Col
	words *Dict // of formCodes; of the whole read

	v       values // of the page: in own, or where the reader wants them
	own     values
	runs    []pageRun // of a page of few values, each many times; v has them when they are asked for (col)
	longs   Repeated[int64]
	ints    Repeated[int32]
	placed  bool   // v is where the reader wants it
	full    bool   // the page has no nulls, and def is not filled
	buf     []byte // a page unpacked
	def     []uint8
	rep     []uint8
	scratch []int32
	index   []int32
}

// pageRun is rows of a page with one value, up to end.
type pageRun struct {
	end int
	v   int64
}

// maxRuns is how many runs a page is kept in.
const maxRuns = 32

// loaded is bytes of the file.
type loaded struct {
	off int64
	b   []byte
}

func (l *loaded) has(off, size int64) bool {
	return off >= l.off && size >= 0 && off-l.off <= int64(len(l.b)) && size <= int64(len(l.b))-(off-l.off)
}

// values is decoded values without nulls, in the slices of their form.
type values struct {
	i64  []int64
	i32  []int32
	f64  []float64
	hi   []int64
	lo   []uint64
	text texts
}

func (v *values) len(f form) int {
	switch f {
	case formLong:
		return len(v.i64)
	case formInt, formBool:
		return len(v.i32)
	case formDouble:
		return len(v.f64)
	case formDecimal:
		return len(v.hi)
	}
	return max(0, len(v.text.off)-1)
}

func (c *column) fail(err error) error {
	return fmt.Errorf("%s: column %s: %w", c.r.name, c.b.col.Name, err)
}

// enter takes up a row group: it learns where the pages are, by the page index if there
// is one.
func (c *column) enter(g *group) error {
	c.chunk, c.rows, c.page = &g.cols[c.b.leaf], g.rows, -1
	c.pages, c.whole, c.hasD, c.codes = c.pages[:0], false, false, c.codes[:0]
	c.first, c.n = 0, 0
	c.data = [2]loaded{}
	if s := c.chunk.offIndex; s.size > 0 {
		b, err := c.r.bytes(s.off, s.size, nil)
		if err != nil {
			return c.fail(fmt.Errorf("page index: %w", err))
		}
		p := compact{b: b}
		c.pages = p.offsetIndex()
		if p.err != nil || !c.chunk.fits(c.pages, g.rows) {
			return c.fail(fmt.Errorf("page index of rows %d+%d: damaged", g.first, g.rows))
		}
		return nil
	}
	c.whole = c.leaf.list
	return nil
}

// fits tells whether a page index is one of a column of n rows.
func (k *columnChunk) fits(pages []pageLoc, n int64) bool {
	if len(pages) == 0 || pages[0].first != 0 {
		return false
	}
	for i, p := range pages {
		if p.off < k.start || p.size <= 0 || p.size > k.size || p.off > k.start+k.size-p.size || p.first >= n ||
			i > 0 && (p.first <= pages[i-1].first || p.off < pages[i-1].off+pages[i-1].size) {
			return false
		}
	}
	return true
}

// need is the bytes that reading rows lo..hi of the group takes: the dictionary page and
// the data pages, or everything.
func (c *column) need(lo, hi int64) []span {
	if len(c.pages) == 0 {
		return []span{{c.chunk.start, c.chunk.size}}
	}
	a, b := c.pageOf(lo), c.pageOf(hi-1)
	from, to := c.pages[a].off, c.pages[b].off+c.pages[b].size
	if d := c.pages[0].off - c.chunk.start; d > 0 {
		return []span{{c.chunk.start, d}, {from, to - from}}
	}
	return []span{{from, to - from}}
}

// pageOf is the page that has a row.
func (c *column) pageOf(row int64) int {
	i, ok := slices.BinarySearchFunc(c.pages, row, func(p pageLoc, row int64) int {
		switch {
		case p.first < row:
			return -1
		case p.first > row:
			return 1
		}
		return 0
	})
	if ok {
		return i
	}
	return i - 1
}

// ready takes the bytes that need asked for, and reads what stands before the data: the
// dictionary and, without a page index, the headers of all pages.
func (c *column) ready(data []loaded) error {
	copy(c.data[:], data)
	if len(c.pages) > 0 {
		if len(data) < 2 {
			return nil
		}
		h, body, err := c.header(data[0].b)
		if err != nil {
			return c.fail(fmt.Errorf("dictionary at %d: %w", data[0].off, err))
		}
		if h.kind != pageDict { // bytes before the first page that mean nothing
			return nil
		}
		return c.dictionary(h, body)
	}
	return c.walk()
}

// walk finds the pages of a column without page index.
func (c *column) walk() error {
	b, at, first := c.data[0].b, c.data[0].off, int64(0)
	c.pages = c.pages[:0]
	for len(b) > 0 && (c.whole || first < c.rows) {
		h, body, err := c.header(b)
		if err != nil {
			return c.fail(fmt.Errorf("page at %d: %w", at, err))
		}
		size := int64(len(b) - len(body) + h.compressed)
		switch h.kind {
		case pageDict:
			if err := c.dictionary(h, body); err != nil {
				return err
			}
		case pageData, pageDataV2:
			c.pages = append(c.pages, pageLoc{off: at, size: size, first: first})
			first += int64(h.values)
		}
		b, at = b[size:], at+size
	}
	if !c.whole && first != c.rows || c.whole && first != c.chunk.values {
		return c.fail(fmt.Errorf("%d values in the pages at %d, not %d", first, c.data[0].off, c.chunk.values))
	}
	return nil
}

// header reads a page's header; body is what follows it, at least the page.
func (c *column) header(b []byte) (h pageHeader, body []byte, err error) {
	p := compact{b: b}
	h = p.pageHeader()
	if p.err != nil {
		return h, nil, p.err
	}
	body = b[p.pos:]
	if h.compressed > len(body) || h.uncompressed > maxPageBytes || h.values > maxPageValues {
		return h, nil, fmt.Errorf("a page of %d values in %d bytes, %d unpacked, of %d", h.values, h.compressed, h.uncompressed, len(body))
	}
	if h.hasCRC && crc32.ChecksumIEEE(body[:h.compressed]) != h.crc {
		return h, nil, errors.New("the page's checksum is wrong")
	}
	return h, body, nil
}

var zstdDecoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPageBytes))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return d
}}

// unpackPage undoes the compression of b into n bytes, in mem or, without compression, b itself.
func unpackPage(codec compress.Compression, mem *[]byte, b []byte, n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	if codec != compress.Codecs.Uncompressed {
		*mem = grown(*mem, n)
	}
	var out []byte
	buf := *mem
	var err error
	switch codec {
	case compress.Codecs.Uncompressed:
		out = b
	case compress.Codecs.Zstd:
		d := zstdDecoders.Get().(*zstd.Decoder)
		defer zstdDecoders.Put(d)
		out, err = d.DecodeAll(b, buf[:0])
	case compress.Codecs.Snappy:
		var size int
		if size, err = s2.DecodedLen(b); err == nil && size != n {
			err = fmt.Errorf("%d bytes unpacked, not %d", size, n)
		}
		if err == nil {
			out, err = s2.Decode(buf, b)
		}
	case compress.Codecs.Gzip:
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(b)); err == nil {
			out = buf
			_, err = io.ReadFull(z, out)
		}
	default:
		return nil, fmt.Errorf("compression %s is not read (zstd, snappy, gzip and none are)", codec)
	}
	if err != nil {
		return nil, err
	}
	if len(out) != n {
		return nil, fmt.Errorf("%d bytes unpacked, not %d", len(out), n)
	}
	return out, nil
}

// dictionary decodes the dictionary page of the row group.
func (c *column) dictionary(h pageHeader, body []byte) error {
	err := func() error {
		if h.encoding != plain && h.encoding != plainDict {
			return fmt.Errorf("encoding %d of a dictionary", h.encoding)
		}
		if h.values > h.uncompressed { // a word takes a byte or more
			return fmt.Errorf("%d words in %d bytes", h.values, h.uncompressed)
		}
		data, err := unpackPage(c.chunk.codec, &c.buf, body[:h.compressed], h.uncompressed)
		if err != nil {
			return err
		}
		c.dict.reset()
		return c.decode(&c.dict, h.values, plain, data)
	}()
	if err != nil {
		return c.fail(fmt.Errorf("dictionary: %w", err))
	}
	c.hasD = true
	if c.b.form == formCodes {
		c.codes = c.codes[:0]
		for i := range h.values {
			c.codes = append(c.codes, c.words.Code(c.dict.text.bytes[c.dict.text.off[i]:c.dict.text.off[i+1]]))
		}
	}
	return nil
}

// load decodes the page that has a row of the group: to rows at, at+1, … of dst, if it begins with the row and has no
// more rows than room.
func (c *column) load(row int64, dst *Col, at int, room int64) error {
	if c.n > 0 && row >= c.first && row < c.first+c.n {
		return nil
	}
	if c.whole {
		return c.loadAll()
	}
	i := c.pageOf(row)
	if i < 0 {
		return c.fail(fmt.Errorf("no page for row %d", row))
	}
	p := c.pages[i]
	c.first, c.n = p.first, c.rows-p.first
	if i+1 < len(c.pages) {
		c.n = c.pages[i+1].first - p.first
	}
	c.v = c.own
	c.v.reset()
	placed := dst != nil && c.first == row && c.n <= room && !c.leaf.list && c.v.place(c.b.form, dst, at, int(c.n))
	err := c.read(p)
	if err == nil {
		err = c.assemble(c.def, c.rep)
	}
	if c.placed = placed; !placed {
		c.own = c.v
	}
	if err != nil {
		c.n = 0
		return c.fail(fmt.Errorf("page at %d: %w", p.off, err))
	}
	return nil
}

// loadAll decodes a column of lists whose pages may end within a row.
func (c *column) loadAll() error {
	if c.chunk.values > maxPageValues {
		return c.fail(fmt.Errorf("a list column of %d values without page index", c.chunk.values))
	}
	c.first, c.n = 0, c.rows
	c.v = c.own
	c.v.reset()
	defer func() { c.own = c.v }()
	var def, rep []uint8
	for _, p := range c.pages {
		if err := c.read(p); err != nil {
			c.n = 0
			return c.fail(fmt.Errorf("page at %d: %w", p.off, err))
		}
		def, rep = append(def, c.def...), append(rep, c.rep...)
	}
	if err := c.assemble(def, rep); err != nil {
		c.n = 0
		return c.fail(err)
	}
	return nil
}

// read decodes levels and values of a page.
func (c *column) read(p pageLoc) error {
	d := &c.data[0]
	if !d.has(p.off, p.size) {
		if d = &c.data[1]; !d.has(p.off, p.size) {
			return fmt.Errorf("its %d bytes were not read", p.size)
		}
	}
	h, body, err := c.header(d.b[p.off-d.off:][:p.size])
	if err != nil {
		return err
	}
	body = body[:h.compressed]
	c.runs, c.full = c.runs[:0], false
	c.def, c.rep = grown(c.def, h.values), grown(c.rep, h.values)
	var vals []byte
	switch h.kind {
	case pageData:
		if vals, err = unpackPage(c.chunk.codec, &c.buf, body, h.uncompressed); err != nil {
			return err
		}
		var part []byte
		if part, vals, err = levelsV1(vals, c.leaf.maxRep); err == nil {
			err = levels(c.rep, part, c.leaf.maxRep)
		}
		if err != nil {
			return fmt.Errorf("repetition: %w", err)
		}
		if part, vals, err = levelsV1(vals, c.leaf.maxDef); err == nil {
			err = c.nulls(part)
		}
		if err != nil {
			return fmt.Errorf("nulls: %w", err)
		}
	case pageDataV2:
		least := h.repLen + h.defLen
		if least > len(body) || least > h.uncompressed {
			return errShort
		}
		if err := levels(c.rep, body[:h.repLen], c.leaf.maxRep); err != nil {
			return fmt.Errorf("repetition: %w", err)
		}
		if err := c.nulls(body[h.repLen:least]); err != nil {
			return fmt.Errorf("nulls: %w", err)
		}
		codec := c.chunk.codec
		if !h.packed {
			codec = compress.Codecs.Uncompressed
		}
		if vals, err = unpackPage(codec, &c.buf, body[least:], h.uncompressed-least); err != nil {
			return err
		}
	default:
		return fmt.Errorf("a page of kind %d among data", h.kind)
	}
	n := h.values
	if c.leaf.maxDef > 0 && !c.full {
		n = 0
		for _, d := range c.def {
			if int(d) == c.leaf.maxDef {
				n++
			}
		}
	}
	if h.encoding == rleDict || h.encoding == plainDict {
		return c.indices(n, vals)
	}
	return c.decode(&c.v, n, h.encoding, vals)
}

// levelsV1 cuts off the levels that a page of version 1 begins with.
func levelsV1(b []byte, most int) (part, rest []byte, err error) {
	if most == 0 {
		return nil, b, nil
	}
	if len(b) < 4 {
		return nil, nil, errShort
	}
	n := binary.LittleEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, errShort
	}
	return b[4 : 4+n], b[4+n:], nil
}

func levels(dst []uint8, b []byte, most int) error {
	if most == 0 {
		return nil
	}
	if err := hybrid(dst, b, levelWidth(most)); err != nil {
		return err
	}
	for _, l := range dst {
		if int(l) > most {
			return fmt.Errorf("level %d of %d", l, most)
		}
	}
	return nil
}

// nulls decodes the definition levels, unless they say in one run that no row is null.
func (c *column) nulls(b []byte) error {
	if c.leaf.maxDef > 0 && !c.leaf.list {
		if l, ok := constant(b, levelWidth(c.leaf.maxDef), len(c.def)); ok && int(l) == c.leaf.maxDef {
			c.full = true
			return nil
		}
	}
	return levels(c.def, b, c.leaf.maxDef)
}
