// Package rowfile writes result rows to files and streams: CSV, JSON lines, Parquet and
// Arrow IPC. Writers take column batches, hold a bounded part of the result in memory,
// and give the same bytes for the same rows however they were batched.
package rowfile

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/pinova-group/tidemark/market"
)

// ErrFormat is wrapped by errors about a file name whose extension names no format.
var ErrFormat = errors.New("unknown result format")

// Format is a file format of result rows.
type Format uint8

// The formats.
const (
	CSV Format = iota
	JSONL
	Parquet
	Arrow
)

func (f Format) String() string { return [...]string{"csv", "jsonl", "parquet", "arrow"}[f] }

// Field is one column of a result.
type Field struct {
	Name     string
	Type     market.Type
	Scale    int8     // TypeDec: digits after the point of the column
	Bits     []string // TypeInt only: a set of flags, printed as words joined by "|"
	Nullable bool
	Unit     string
	Doc      string
}

// Meta is one entry of a file's metadata.
type Meta struct{ Key, Value string }

// Schema is the columns of a result and what is known about it as a whole.
type Schema struct {
	Fields []Field
	Meta   []Meta
}

// Col holds the values of one column: TypeText in Bytes and Off (N+1 offsets), TypeFloat
// in F64, TypeDec as 128-bit two's complement mantissas in Hi and Lo with the field's
// Scale, everything else in I64: TypeInt, TypeTime (µs UTC), TypeDur (µs), TypeBool.
type Col struct {
	F64   []float64
	I64   []int64
	Hi    []int64
	Lo    []uint64
	Bytes []byte
	Off   []int32
	Null  []uint64 // bit i set: row i is null; may be shorter than the rows
}

// IsNull reports whether row i is null.
func (c *Col) IsNull(i int) bool {
	w := i >> 6
	return w < len(c.Null) && c.Null[w]>>(i&63)&1 == 1
}

// Text of row i.
func (c *Col) Text(i int) []byte { return c.Bytes[c.Off[i]:c.Off[i+1]] }

// Batch is N rows, one Col for each field of the schema. The writer keeps nothing of it.
type Batch struct {
	N    int
	Cols []Col
}

// Writer takes rows. Close finishes the stream; it does not close what is below.
type Writer interface {
	Write(b *Batch) error
	Close() error
}

// New returns a writer of a format on w.
func New(w io.Writer, f Format, s *Schema) (Writer, error) {
	for _, fd := range s.Fields {
		if !writable(fd.Type) {
			return nil, fmt.Errorf("column %q: type %d cannot be written to a result file", fd.Name, fd.Type)
		}
	}
	switch f {
	case CSV:
		return newCSV(w, s)
	case JSONL:
		return newJSONL(w, s), nil
	case Parquet:
		return newParquet(w, s)
	case Arrow:
		return newArrow(w, s)
	}
	return nil, fmt.Errorf("%w: %d", ErrFormat, f)
}

func writable(t market.Type) bool {
	switch t {
	case market.TypeText, market.TypeFloat, market.TypeInt, market.TypeTime, market.TypeDur, market.TypeBool, market.TypeDec:
		return true
	}
	return false
}

// ByName finds format and compression ("", "gz" or "zst") of a file by its extension.
// Only text formats are compressed as a whole; the others compress inside.
func ByName(path string) (f Format, compression string, err error) {
	base := strings.ToLower(filepath.Base(path))
	for _, c := range []string{"gz", "zst"} {
		if s, ok := strings.CutSuffix(base, "."+c); ok {
			base, compression = s, c
		}
	}
	switch filepath.Ext(base) {
	case ".csv":
		f = CSV
	case ".jsonl", ".ndjson":
		f = JSONL
	case ".parquet":
		f = Parquet
	case ".arrow", ".feather":
		f = Arrow
	default:
		return 0, "", fmt.Errorf("%w of %q", ErrFormat, path)
	}
	if compression != "" && f != CSV && f != JSONL {
		return 0, "", fmt.Errorf("%w of %q: %s files compress inside", ErrFormat, path, f)
	}
	return f, compression, nil
}

// Select sets dst to rows of b, in that order, and returns it. The memory of dst is used again.
func (b *Batch) Select(dst *Batch, s *Schema, rows []int) *Batch {
	dst.N = len(rows)
	if len(dst.Cols) != len(b.Cols) {
		dst.Cols = make([]Col, len(b.Cols))
	}
	for k := range b.Cols {
		from, to := &b.Cols[k], &dst.Cols[k]
		*to = Col{F64: to.F64[:0], I64: to.I64[:0], Hi: to.Hi[:0], Lo: to.Lo[:0], Bytes: to.Bytes[:0], Off: to.Off[:0], Null: to.Null[:0]}
		for n, i := range rows {
			if from.IsNull(i) {
				for len(to.Null) <= n>>6 {
					to.Null = append(to.Null, 0)
				}
				to.Null[n>>6] |= 1 << (n & 63)
			}
			switch s.Fields[k].Type {
			case market.TypeFloat:
				to.F64 = append(to.F64, from.F64[i])
			case market.TypeDec:
				to.Hi, to.Lo = append(to.Hi, from.Hi[i]), append(to.Lo, from.Lo[i])
			case market.TypeText:
				if n == 0 {
					to.Off = append(to.Off, 0)
				}
				to.Bytes = append(to.Bytes, from.Text(i)...)
				to.Off = append(to.Off, int32(len(to.Bytes)))
			default:
				to.I64 = append(to.I64, from.I64[i])
			}
		}
	}
	return dst
}
