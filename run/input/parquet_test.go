package input

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// parquetFile writes two rows of every type: values, then nulls; and 9000 rows of them with
// many set.
func parquetFile(t *testing.T, codec compress.Compression, copies int) string {
	t.Helper()
	sc := arrow.NewSchema([]arrow.Field{
		{Name: "i8", Type: arrow.PrimitiveTypes.Int8, Nullable: true}, {Name: "u64", Type: arrow.PrimitiveTypes.Uint64, Nullable: true},
		{Name: "f64", Type: arrow.PrimitiveTypes.Float64, Nullable: true}, {Name: "f32", Type: arrow.PrimitiveTypes.Float32, Nullable: true},
		{Name: "dec", Type: &arrow.Decimal128Type{Precision: 38, Scale: 20}, Nullable: true}, {Name: "flag", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "a,text", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "word", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}, Nullable: true},
		{Name: "day", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
		{Name: "ms", Type: arrow.FixedWidthTypes.Timestamp_ms, Nullable: true}, {Name: "ns", Type: arrow.FixedWidthTypes.Timestamp_ns, Nullable: true},
		{Name: "list", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64), Nullable: true},
		{Name: "bin", Type: arrow.BinaryTypes.Binary, Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, sc)
	for range copies {
		b.Field(0).(*array.Int8Builder).Append(-8)
		b.Field(1).(*array.Uint64Builder).Append(math.MaxUint64)
		b.Field(2).(*array.Float64Builder).Append(93251.1)
		b.Field(3).(*array.Float32Builder).Append(0.1)
		d, err := decimal128.FromString("93251.1", 38, 20)
		if err != nil {
			t.Fatal(err)
		}
		b.Field(4).(*array.Decimal128Builder).Append(d)
		b.Field(5).(*array.BooleanBuilder).Append(true)
		b.Field(6).(*array.StringBuilder).Append("say \"a,\nb\"")
		if err := b.Field(7).(*array.BinaryDictionaryBuilder).AppendString("buy"); err != nil {
			t.Fatal(err)
		}
		b.Field(8).(*array.Date32Builder).Append(20458)
		b.Field(9).(*array.TimestampBuilder).Append(1767571200104)
		b.Field(10).(*array.TimestampBuilder).Append(1767571200104567999)
		l := b.Field(11).(*array.ListBuilder)
		l.Append(true)
		l.ValueBuilder().(*array.Int64Builder).Append(1)
		b.Field(12).(*array.BinaryBuilder).Append([]byte{0xca, 0xfe})
		for _, f := range b.Fields() {
			f.AppendNull()
		}
	}
	path := filepath.Join(t.TempDir(), "any.name")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pqarrow.NewFileWriter(sc, f, parquet.NewWriterProperties(parquet.WithCompression(codec), parquet.WithMaxRowGroupLength(5000)),
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(b.NewRecordBatch()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func readText(t *testing.T, path string) (string, error) {
	t.Helper()
	var n atomic.Int64
	s, err := openStream(path, nil, &n)
	if err != nil {
		return "", err
	}
	defer s.close()
	if s.comp != "parquet" {
		t.Errorf("compression %q", s.comp)
	}
	text, err := io.ReadAll(s.r)
	return string(text), err
}

func TestParquet_IsReadAsTheCSVOfItsRows(t *testing.T) {
	head := `i8,u64,f64,f32,dec,flag,"a,text",word,day,ms,ns,bin` + "\n"
	rows := "-8,18446744073709551615,93251.1,0.1,93251.100000000000000000,true,\"say \"\"a,\vb\"\"\",buy,2026-01-05,1767571200104000,1767571200104567,cafe\n,,,,,,,,,,,\n"
	for _, codec := range []compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Zstd, compress.Codecs.Gzip, compress.Codecs.Brotli, compress.Codecs.Lz4Raw} {
		text, err := readText(t, parquetFile(t, codec, 4500))
		if err != nil {
			t.Fatal(err)
		}
		if want := head + strings.Repeat(rows, 4500); text != want {
			at := 0
			for at < min(len(text), len(want)) && text[at] == want[at] {
				at++
			}
			t.Errorf("%v: differs at byte %d: %q", codec, at, text[max(0, at-100):min(len(text), at+100)])
		}
	}
}

// A damaged file gives an error, at the start or on the way, and no panic.
func TestParquet_DamagedFiles(t *testing.T) {
	path := parquetFile(t, compress.Codecs.Zstd, 300)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := readText(t, path)
	if err != nil {
		t.Fatal(err)
	}
	broken := 0
	for at := 4; at < len(whole); at += 7 {
		bad := bytes.Clone(whole)
		bad[at] ^= 0xff
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readText(t, path); err != nil || got != want {
			broken++
		}
	}
	if broken == 0 {
		t.Error("no damage was noticed")
	}
	for _, n := range []int{4, 5, 12, len(whole) / 2, len(whole) - 1} {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readText(t, path); err == nil {
			t.Errorf("cut to %d bytes: no error", n)
		}
	}
}
