package file

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// Limits of what a footer may make a reader do.
const (
	tailBytes  = 64 << 10 // read at once from the end
	maxFooter  = 64 << 20
	maxColumns = 10_000
)

// Reader reads one file, by ranges of bytes and only those that it needs. A file that is
// not whole gives an error that names it and the place, never a panic, and no allocation
// beyond the file's size and the limits of a page. Safe for concurrent use when its
// io.ReaderAt is.
type Reader struct {
	name   string
	src    io.ReaderAt
	size   int64
	tail   []byte // the last bytes of the file
	meta   *metadata.FileMetaData
	leaves []leaf
	groups []group
	sort   []string // key columns of the runs
	runs   []Run
}

// leaf is a column of the file.
type leaf struct {
	name   string // of the top-level column
	id     int    // field id, 0 none
	phys   parquet.Type
	logic  schema.LogicalType
	width  int // of FIXED_LEN_BYTE_ARRAY
	maxDef int
	maxRep int
	list   bool // a list of three levels
	elDef  int  // definition level of an element that is there; of an empty list elDef-1 or less
	deep   bool // inside of a struct, map or nested list
}

// group is a row group.
type group struct {
	first int64 // row of the file
	rows  int64
	cols  []columnChunk
}

// columnChunk is one column of a row group.
type columnChunk struct {
	codec     compress.Compression
	values    int64
	start     int64 // of the dictionary page, or of the first data page
	data      int64 // of the first data page
	size      int64
	offIndex  span
	colIndex  span
	least     []byte // bounds, nil unknown
	greatest  []byte
	hasBounds bool
}

type span struct{ off, size int64 }

// Open reads the footer of a file. name is how errors call it.
func Open(src io.ReaderAt, size int64, name string) (r *Reader, err error) {
	defer func() {
		if p := recover(); p != nil { // arrow-go on a damaged footer
			r, err = nil, fmt.Errorf("%s: damaged footer: %v", name, p)
		}
	}()
	r = &Reader{name: name, src: src, size: size}
	if err := r.open(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

func (r *Reader) open() error {
	if r.size < 12 {
		return fmt.Errorf("%d bytes are no Parquet file", r.size)
	}
	r.tail = make([]byte, min(r.size, tailBytes))
	if err := readFull(r.src, r.tail, r.size-int64(len(r.tail))); err != nil {
		return fmt.Errorf("footer: %w", err)
	}
	end := r.tail[len(r.tail)-8:]
	if !bytes.Equal(end[4:], []byte("PAR1")) {
		return errors.New("no Parquet file, or cut off: the last bytes are not PAR1")
	}
	n := int64(binary.LittleEndian.Uint32(end))
	if n > r.size-12 || n > maxFooter {
		return fmt.Errorf("footer of %d bytes in a file of %d", n, r.size)
	}
	foot, err := r.bytes(r.size-8-n, n, nil)
	if err != nil {
		return fmt.Errorf("footer: %w", err)
	}
	// What claims to have more elements than it has bytes is refused before it is parsed.
	c := compact{b: foot}
	c.skip(thriftStruct, false, 0)
	if c.err != nil {
		return fmt.Errorf("footer: %w", c.err)
	}
	if r.meta, err = metadata.NewFileMetaData(foot, nil); err != nil {
		return fmt.Errorf("footer: %w", err)
	}
	r.meta.SetSourceFileSize(r.size)
	if r.meta.IsSetEncryptionAlgorithm() {
		return errors.New("encrypted files are not read")
	}
	if err := r.columns(); err != nil {
		return err
	}
	if err := r.rowGroups(); err != nil {
		return err
	}
	if text := r.meta.KeyValueMetadata().FindValue(runsKey); text != nil && r.Rows() > 0 {
		if r.sort, r.runs, err = decodeRuns(*text, r.Rows()); err != nil {
			return err
		}
	}
	return nil
}

func readFull(src io.ReaderAt, b []byte, off int64) error {
	n, err := src.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// bytes reads a range of the file, which must lie inside of it, into buf if it has room.
func (r *Reader) bytes(off, n int64, buf []byte) ([]byte, error) {
	if off < 0 || n < 0 || off > r.size || n > r.size-off {
		return nil, fmt.Errorf("bytes %d+%d of a file of %d", off, n, r.size)
	}
	if at := off - (r.size - int64(len(r.tail))); at >= 0 {
		return r.tail[at : at+n], nil
	}
	buf = grown(buf, int(n))
	if err := readFull(r.src, buf, off); err != nil {
		return nil, fmt.Errorf("bytes %d+%d: %w", off, n, err)
	}
	return buf, nil
}

// columns lists the leaves of the schema.
func (r *Reader) columns() error {
	sc := r.meta.Schema
	if sc.NumColumns() > maxColumns {
		return fmt.Errorf("%d columns", sc.NumColumns())
	}
	r.leaves = make([]leaf, sc.NumColumns())
	for i := range r.leaves {
		c := sc.Column(i)
		l := leaf{
			phys: c.PhysicalType(), logic: c.LogicalType(), width: c.TypeLength(),
			maxDef: int(c.MaxDefinitionLevel()), maxRep: int(c.MaxRepetitionLevel()),
		}
		top, depth := c.SchemaNode(), 1
		for n := top; n.Parent() != nil && n.Parent().Parent() != nil; n = n.Parent() {
			top, depth = n.Parent(), depth+1
		}
		l.name, l.id = top.Name(), max(0, int(top.FieldID()))
		_, isList := top.LogicalType().(schema.ListLogicalType)
		l.list = depth == 3 && l.maxRep == 1 && isList
		l.elDef = l.maxDef
		if l.list && c.SchemaNode().RepetitionType() == parquet.Repetitions.Optional {
			l.elDef--
		}
		l.deep = depth > 1 && !l.list || depth == 1 && l.maxRep > 0
		r.leaves[i] = l
	}
	return nil
}

func (r *Reader) rowGroups() error {
	at := int64(0)
	for g, rg := range r.meta.RowGroups {
		if rg == nil || len(rg.Columns) != len(r.leaves) || rg.NumRows < 0 || rg.NumRows > maxRows {
			return fmt.Errorf("row group %d: damaged", g)
		}
		if rg.NumRows == 0 {
			continue
		}
		gr := group{first: at, rows: rg.NumRows, cols: make([]columnChunk, len(rg.Columns))}
		at += rg.NumRows
		for i, cc := range rg.Columns {
			m := cc.MetaData
			if m == nil || cc.GetFilePath() != "" {
				return fmt.Errorf("row group %d, column %s: not in this file", g, r.leaves[i].name)
			}
			c := columnChunk{
				codec: compress.Compression(m.Codec), values: m.NumValues, size: m.TotalCompressedSize,
				data: m.DataPageOffset, start: m.DataPageOffset,
				offIndex: span{cc.GetOffsetIndexOffset(), int64(cc.GetOffsetIndexLength())},
				colIndex: span{cc.GetColumnIndexOffset(), int64(cc.GetColumnIndexLength())},
			}
			if d := m.GetDictionaryPageOffset(); d > 0 && d < c.start {
				c.start = d
			}
			if s := m.Statistics; s != nil && s.MinValue != nil && s.MaxValue != nil {
				c.least, c.greatest, c.hasBounds = s.MinValue, s.MaxValue, true
			}
			if parquet.Type(m.Type) != r.leaves[i].phys || c.start < 0 || c.size < 0 || c.size > r.size || c.start > r.size-c.size ||
				c.values < 0 || r.leaves[i].maxRep == 0 && c.values != gr.rows {
				return fmt.Errorf("row group %d, column %s: %d values in bytes %d+%d of %d", g, r.leaves[i].name, c.values, c.start, c.size, r.size)
			}
			gr.cols[i] = c
		}
		r.groups = append(r.groups, gr)
	}
	if at != r.meta.NumRows {
		return fmt.Errorf("%d rows in the row groups, %d in the file", at, r.meta.NumRows)
	}
	return nil
}

// Rows is the number of rows in the file.
func (r *Reader) Rows() int64 { return r.meta.NumRows }

// Meta is the footer.
func (r *Reader) Meta() *metadata.FileMetaData { return r.meta }

// sorted reports whether the footer names runs of a sort order.
func (r *Reader) sorted(keys []Key) bool {
	return len(r.runs) > 0 && slices.EqualFunc(r.sort, keys, func(name string, k Key) bool { return name == k.Column })
}

// Ordered reports whether the file says that its rows are sorted by these keys, with runs.
func (r *Reader) Ordered(keys []Key) bool { return r.sorted(keys) }

// Range is the least and the greatest value of an int, long or timestamptz column in the footer's
// statistics; ok is false when it has none.
func (r *Reader) Range(c *Column) (least, greatest int64, ok bool) {
	if c.Type != Int && c.Type != Long && c.Type != Timestamptz {
		return 0, 0, false
	}
	b, err := r.bind([]Column{*c})
	if err != nil || b[0].leaf < 0 || b[0].times > 1 {
		return 0, 0, false
	}
	value := func(raw []byte) int64 {
		if len(raw) == 4 {
			return int64(int32(binary.LittleEndian.Uint32(raw)))
		}
		return int64(binary.LittleEndian.Uint64(raw))
	}
	least, greatest = math.MaxInt64, math.MinInt64
	for _, g := range r.groups {
		cc := &g.cols[b[0].leaf]
		if !cc.hasBounds || len(cc.least) != len(cc.greatest) || len(cc.least) != 4 && len(cc.least) != 8 {
			return 0, 0, false
		}
		least, greatest, ok = min(least, value(cc.least)), max(greatest, value(cc.greatest)), true
	}
	return least, greatest, ok
}

// form is how values of a column come out of a page.
type form uint8

const (
	formLong form = iota + 1
	formInt
	formDouble
	formBool
	formText
	formCodes
	formDecimal
)

// binding is a wanted column and where the file has it.
type binding struct {
	col   *Column
	leaf  int // -1: not in the file, null in every row
	form  form
	times int64 // factor of a time to microseconds
}

// bind finds the columns in the file, by field id or, where the file has none, by name.
func (r *Reader) bind(cols []Column) ([]binding, error) {
	ids := slices.ContainsFunc(r.leaves, func(l leaf) bool { return l.id > 0 })
	out := make([]binding, len(cols))
	for i := range cols {
		c := &cols[i]
		b := binding{col: c, times: 1}
		b.leaf = slices.IndexFunc(r.leaves, func(l leaf) bool { return ids && l.id == c.ID || !ids && l.name == c.Name })
		var err error
		if b.leaf < 0 {
			if !c.Nullable {
				err = errors.New("is missing")
			}
			b.form = c.form()
		} else {
			err = b.match(&r.leaves[b.leaf])
		}
		if err != nil {
			return nil, fmt.Errorf("%s: column %s %w", r.name, c.Name, err)
		}
		out[i] = b
	}
	return out, nil
}

func (c *Column) form() form {
	switch c.Type {
	case Int:
		return formInt
	case Double:
		return formDouble
	case Boolean:
		return formBool
	case String, Binary:
		if coded(c) {
			return formCodes
		}
		return formText
	case Decimal:
		return formDecimal
	default:
		return formLong
	}
}

// match tells whether values of a leaf can be read as the wanted column.
func (b *binding) match(l *leaf) error {
	b.form = b.col.form()
	no := func() error {
		return fmt.Errorf("is %s (%s) in the file, which is not read as %s", l.phys, l.logic, b.col.Type)
	}
	if l.deep || l.list != (b.col.Type == LongList) {
		return no()
	}
	ok := false
	switch b.col.Type {
	case Int:
		ok = l.phys == parquet.Types.Int32 && isNumber(l.logic)
	case Long, LongList:
		ok = (l.phys == parquet.Types.Int64 || l.phys == parquet.Types.Int32) && isNumber(l.logic)
	case Double:
		ok = l.phys == parquet.Types.Double || l.phys == parquet.Types.Float
	case Boolean:
		ok = l.phys == parquet.Types.Boolean
	case String:
		ok = l.phys == parquet.Types.ByteArray
	case Binary:
		ok = l.phys == parquet.Types.ByteArray || l.phys == parquet.Types.FixedLenByteArray
	case Timestamptz:
		t, is := l.logic.(schema.TimestampLogicalType)
		ok = is && t.IsAdjustedToUTC() && l.phys == parquet.Types.Int64 && t.TimeUnit() != schema.TimeUnitNanos
		if ok && t.TimeUnit() == schema.TimeUnitMillis {
			b.times = 1000
		}
	case Decimal:
		d, is := l.logic.(schema.DecimalLogicalType)
		ok = is && d.Scale() == int32(b.col.Scale) && d.Precision() <= Precision && l.phys != parquet.Types.Boolean
	}
	if !ok {
		return no()
	}
	return nil
}

func isNumber(t schema.LogicalType) bool {
	switch t := t.(type) {
	case schema.IntLogicalType:
		return t.IsSigned()
	case schema.NoLogicalType, schema.UnknownLogicalType, nil:
		return true
	}
	return false
}
