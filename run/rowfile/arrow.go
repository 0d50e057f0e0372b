package rowfile

import (
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/pinova-group/tidemark/market"
)

// groupRows is the length of a Parquet row group and arrowRows that of an Arrow record
// batch: what is held in memory before it is written. Rows are cut at these lengths
// whatever the batches were, so that the bytes do not depend on batching.
const (
	groupRows = 256 << 10
	arrowRows = 64 << 10
)

// columnar gathers rows in Arrow builders and hands them on in records of a fixed length.
type columnar struct {
	fields []Field
	b      *array.RecordBuilder
	n, max int
	emit   func(rec arrow.RecordBatch) error
	finish func() error
	err    error
}

func newParquet(w io.Writer, s *Schema) (Writer, error) {
	opts := []parquet.WriterProperty{
		parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(3),
		parquet.WithMaxRowGroupLength(groupRows), parquet.WithDictionaryDefault(false),
		parquet.WithDataPageVersion(parquet.DataPageV2), parquet.WithVersion(parquet.V2_LATEST),
		parquet.WithCreatedBy("tidemark"), parquet.WithPageIndexEnabled(true),
	}
	for _, f := range s.Fields {
		if f.Type == market.TypeText || f.Bits != nil {
			opts = append(opts, parquet.WithDictionaryFor(f.Name, true))
		}
	}
	sc := arrowSchema(s)
	// The file writer closes its sink; the sink belongs to the caller.
	fw, err := pqarrow.NewFileWriter(sc, struct{ io.Writer }{w}, parquet.NewWriterProperties(opts...),
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return nil, fmt.Errorf("start parquet: %w", err)
	}
	return newColumnar(s, sc, groupRows, fw.Write, fw.Close), nil
}

func newArrow(w io.Writer, s *Schema) (Writer, error) {
	sc := arrowSchema(s)
	fw, err := ipc.NewFileWriter(w, ipc.WithSchema(sc), ipc.WithZstd(), ipc.WithCompressConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("start arrow file: %w", err)
	}
	return newColumnar(s, sc, arrowRows, fw.Write, fw.Close), nil
}

func newColumnar(s *Schema, sc *arrow.Schema, rows int, emit func(arrow.RecordBatch) error, finish func() error) *columnar {
	return &columnar{fields: s.Fields, b: array.NewRecordBuilder(memory.DefaultAllocator, sc), max: rows, emit: emit, finish: finish}
}

func arrowSchema(s *Schema) *arrow.Schema {
	fields := make([]arrow.Field, len(s.Fields))
	for i, f := range s.Fields {
		var k, v []string
		add := func(key, val string) {
			if val != "" {
				k, v = append(k, key), append(v, val)
			}
		}
		add("unit", f.Unit)
		add("doc", f.Doc)
		if f.Type == market.TypeDur {
			add("unit", "us")
		}
		fields[i] = arrow.Field{Name: f.Name, Type: arrowType(&f), Nullable: f.Nullable, Metadata: arrow.NewMetadata(k, v)}
	}
	var k, v []string
	for _, m := range s.Meta {
		k, v = append(k, m.Key), append(v, m.Value)
	}
	meta := arrow.NewMetadata(k, v)
	return arrow.NewSchema(fields, &meta)
}

func arrowType(f *Field) arrow.DataType {
	switch f.Type {
	case market.TypeText:
		return arrow.BinaryTypes.String
	case market.TypeFloat:
		return arrow.PrimitiveTypes.Float64
	case market.TypeBool:
		return arrow.FixedWidthTypes.Boolean
	case market.TypeTime:
		return &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	case market.TypeDec:
		return &arrow.Decimal128Type{Precision: 38, Scale: int32(f.Scale)}
	}
	if f.Bits != nil {
		return arrow.BinaryTypes.String
	}
	return arrow.PrimitiveTypes.Int64
}

func (w *columnar) Write(b *Batch) error {
	if w.err != nil {
		return w.err
	}
	for lo := 0; lo < b.N; {
		hi := min(b.N, lo+w.max-w.n)
		for j := range w.fields {
			if err := appendArrow(w.b.Field(j), &w.fields[j], &b.Cols[j], lo, hi); err != nil {
				w.err = err
				return err
			}
		}
		w.n += hi - lo
		lo = hi
		if w.n == w.max {
			if err := w.cut(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *columnar) cut() error {
	if w.n == 0 {
		return nil
	}
	rec := w.b.NewRecordBatch()
	w.err = w.emit(rec)
	rec.Release()
	w.n = 0
	return w.err
}

// Close writes what is left and the footer; after an error it only frees memory.
func (w *columnar) Close() error {
	defer w.b.Release()
	if w.err != nil {
		return w.err
	}
	if err := w.cut(); err != nil {
		return err
	}
	return w.finish()
}

func appendArrow(b array.Builder, f *Field, c *Col, lo, hi int) error {
	b.Reserve(hi - lo)
	for i := lo; i < hi; i++ {
		if c.IsNull(i) {
			if !f.Nullable {
				return fmt.Errorf("BUG: null in column %q, which has none by its schema", f.Name)
			}
			b.AppendNull()
			continue
		}
		switch b := b.(type) {
		case *array.StringBuilder:
			if f.Bits != nil {
				b.Append(bitWords(f.Bits, c.I64[i]))
			} else {
				b.BinaryBuilder.Append(c.Text(i))
			}
		case *array.Float64Builder:
			b.UnsafeAppend(c.F64[i])
		case *array.BooleanBuilder:
			b.UnsafeAppend(c.I64[i] != 0)
		case *array.TimestampBuilder:
			b.UnsafeAppend(arrow.Timestamp(c.I64[i]))
		case *array.Int64Builder:
			b.UnsafeAppend(c.I64[i])
		case *array.Decimal128Builder:
			b.UnsafeAppend(decimal128.New(c.Hi[i], c.Lo[i]))
		}
	}
	return nil
}
