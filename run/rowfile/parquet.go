package rowfile

import (
	"context"
	hexa "encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/pinova-group/tidemark/market/num"
)

// A Parquet file is read as the CSV file of its rows: a header with the names of its columns,
// then a line a row. So it is mapped, checked, counted and rejected like any other, and row n
// is line n + 1. Numbers keep their digits; times are whole microseconds, whatever their unit
// in the file; lists and structures are left out.

// ParquetMagic begins and ends a Parquet file.
const ParquetMagic = "PAR1"

// parquetRows is how many rows are turned into text at once.
const parquetRows = 4096

// ParquetText is the text of a Parquet file.
type ParquetText struct {
	rows pqarrow.RecordReader
	buf  []byte
	at   int
}

// countedAt counts bytes as they are read, for progress.
type countedAt struct {
	*os.File
	n *atomic.Int64
}

func (c countedAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.File.ReadAt(p, off)
	c.n.Add(int64(n))
	return n, err
}

// OpenParquetText begins a text; the file stays the caller's. read counts the bytes that are read.
func OpenParquetText(f *os.File, read *atomic.Int64) (t *ParquetText, err error) {
	defer func() {
		if r := recover(); r != nil { // the library gives up on some damages that way
			t, err = nil, fmt.Errorf("the file is damaged: %v", r)
		}
	}()
	pf, err := file.NewParquetReader(countedAt{f, read})
	if err != nil {
		return nil, err
	}
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: parquetRows}, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	sc, err := fr.Schema()
	if err != nil {
		return nil, err
	}
	t = &ParquetText{}
	var leaves []int
	leaf := 0
	for i, field := range sc.Fields() {
		n := fr.Manifest.Fields[i]
		if n.IsLeaf() {
			leaves = append(leaves, n.ColIndex)
			if leaf > 0 {
				t.buf = append(t.buf, ',')
			}
			t.buf = appendField(t.buf, field.Name)
			leaf++
		}
	}
	if leaf == 0 {
		return nil, errors.New("no column of the file holds plain values")
	}
	t.buf = append(t.buf, '\n')
	if t.rows, err = fr.GetRecordReader(context.Background(), leaves, nil); err != nil {
		return nil, err
	}
	return t, nil
}

// Close lets go of what was read.
func (t *ParquetText) Close() { t.rows.Release() }

// Read gives the next part of the text; an error other than io.EOF says that the file is damaged.
func (t *ParquetText) Read(p []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			n, err = 0, fmt.Errorf("%v", r)
		}
	}()
	for t.at == len(t.buf) {
		if !t.rows.Next() {
			if err := t.rows.Err(); err != nil && !errors.Is(err, io.EOF) {
				return 0, err
			}
			return 0, io.EOF
		}
		t.at = 0
		if t.buf, err = appendRows(t.buf[:0], t.rows.RecordBatch()); err != nil {
			return 0, err
		}
	}
	n = copy(p, t.buf[t.at:])
	t.at += n
	return n, nil
}

func appendRows(dst []byte, rec arrow.RecordBatch) ([]byte, error) {
	cols := rec.Columns()
	for r := range int(rec.NumRows()) {
		for i, c := range cols {
			if i > 0 {
				dst = append(dst, ',')
			}
			if c.IsNull(r) {
				continue
			}
			var err error
			if dst, err = appendValue(dst, c, r); err != nil {
				return nil, fmt.Errorf("column %s: %w", rec.ColumnName(i), err)
			}
		}
		dst = append(dst, '\n')
	}
	return dst, nil
}

// appendValue prints a value as a CSV field.
func appendValue(dst []byte, c arrow.Array, r int) ([]byte, error) {
	switch c := c.(type) {
	case *array.Int8:
		return strconv.AppendInt(dst, int64(c.Value(r)), 10), nil
	case *array.Int16:
		return strconv.AppendInt(dst, int64(c.Value(r)), 10), nil
	case *array.Int32:
		return strconv.AppendInt(dst, int64(c.Value(r)), 10), nil
	case *array.Int64:
		return strconv.AppendInt(dst, c.Value(r), 10), nil
	case *array.Uint8:
		return strconv.AppendUint(dst, uint64(c.Value(r)), 10), nil
	case *array.Uint16:
		return strconv.AppendUint(dst, uint64(c.Value(r)), 10), nil
	case *array.Uint32:
		return strconv.AppendUint(dst, uint64(c.Value(r)), 10), nil
	case *array.Uint64:
		return strconv.AppendUint(dst, c.Value(r), 10), nil
	case *array.Float32:
		return appendFloat(dst, float64(c.Value(r)), 32), nil
	case *array.Float64:
		return appendFloat(dst, c.Value(r), 64), nil
	case *array.Boolean:
		return strconv.AppendBool(dst, c.Value(r)), nil
	case *array.String:
		return appendField(dst, c.Value(r)), nil
	case *array.LargeString:
		return appendField(dst, c.Value(r)), nil
	case *array.Binary:
		return hexa.AppendEncode(dst, c.Value(r)), nil
	case *array.LargeBinary:
		return hexa.AppendEncode(dst, c.Value(r)), nil
	case *array.FixedSizeBinary:
		return hexa.AppendEncode(dst, c.Value(r)), nil
	case *array.Decimal32:
		return append(dst, c.Value(r).ToString(c.DataType().(*arrow.Decimal32Type).Scale)...), nil
	case *array.Decimal64:
		return append(dst, c.Value(r).ToString(c.DataType().(*arrow.Decimal64Type).Scale)...), nil
	case *array.Decimal128:
		return appendDecimal(dst, c.Value(r).ToString(c.DataType().(*arrow.Decimal128Type).Scale)), nil
	case *array.Decimal256:
		return appendDecimal(dst, c.Value(r).ToString(c.DataType().(*arrow.Decimal256Type).Scale)), nil
	case *array.Date32:
		return c.Value(r).ToTime().AppendFormat(dst, "2006-01-02"), nil
	case *array.Timestamp:
		return strconv.AppendInt(dst, micros(int64(c.Value(r)), c.DataType().(*arrow.TimestampType).Unit), 10), nil
	case *array.Duration:
		return strconv.AppendInt(dst, micros(int64(c.Value(r)), c.DataType().(*arrow.DurationType).Unit), 10), nil
	case *array.Dictionary:
		return appendValue(dst, c.Dictionary(), c.GetValueIndex(r))
	case *array.Null:
		return dst, nil
	}
	return appendField(dst, c.ValueStr(r)), nil
}

// appendFloat prints the shortest number that is this double and no other.
func appendFloat(dst []byte, v float64, bits int) []byte {
	form := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-18 || a >= 1e18) {
		form = 'g'
	}
	return strconv.AppendFloat(dst, v, form, -1, bits)
}

// appendDecimal leaves out zeros at the end that exact decimals here have no place for: a
// column may have more digits after the point than any of its values uses.
func appendDecimal(dst []byte, text string) []byte {
	point := -1
	for i := range text {
		if text[i] == '.' {
			point = i
		}
	}
	for point >= 0 && len(text)-point-1 > num.MaxScale && text[len(text)-1] == '0' {
		text = text[:len(text)-1]
	}
	return append(dst, text...)
}

// micros makes whole microseconds; what is finer is cut off.
func micros(v int64, u arrow.TimeUnit) int64 {
	switch u {
	case arrow.Second:
		return v * 1_000_000
	case arrow.Millisecond:
		return v * 1000
	case arrow.Nanosecond:
		us := v / 1000
		if v%1000 < 0 {
			us--
		}
		return us
	}
	return v
}

// appendField prints a text as a CSV field. A line break in it cannot be printed: it becomes a
// control character, so that a row that needs the text is refused and others stay as they are.
func appendField(dst []byte, s string) []byte {
	plain := len(s) > 0 && s[0] != ' ' && s[len(s)-1] != ' '
	for i := range len(s) {
		plain = plain && s[i] != ',' && s[i] != '"' && s[i] != '\n' && s[i] != '\r'
	}
	if plain {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for i := range len(s) {
		switch s[i] {
		case '"':
			dst = append(dst, '"', '"')
		case '\n', '\r':
			dst = append(dst, '\v')
		default:
			dst = append(dst, s[i])
		}
	}
	return append(dst, '"')
}
