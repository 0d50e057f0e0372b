package file

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	pq "github.com/apache/arrow-go/v18/parquet/file"

	"github.com/pinova-group/tidemark/market"
)

// smallFiles are files of a few rows: ours of two kinds, and one as other programs write
// them (dictionaries of everything, pages of version 2, snappy, no page index).
func smallFiles(t testing.TB) (files [][]byte, tables [][]Column) {
	t.Helper()
	for _, kind := range []market.Kind{market.KindTrade, market.KindBook} {
		insts, feeds := market.NewInstruments(), market.NewFeeds()
		p := NewPacker(nil, kind, true, insts, feeds)
		w, err := NewWriter(p.Columns(), EventKeys())
		if err != nil {
			t.Fatal(err)
		}
		cols, err := p.Pack(randomEvents(rand.New(rand.NewPCG(5, uint64(kind))), kind, 60, insts, feeds))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Append(cols, nil); err != nil {
			t.Fatal(err)
		}
		var buf bytes.Buffer
		if _, err := w.Finish(&buf); err != nil {
			t.Fatal(err)
		}
		files, tables = append(files, buf.Bytes()), append(tables, p.Columns())
	}
	cols := []Column{
		{ID: 1, Name: "symbol", Type: String}, {ID: 2, Name: "ts", Type: Timestamptz},
		{ID: 3, Name: "v", Type: Double, Nullable: true}, {ID: 4, Name: "d", Type: Decimal, Scale: 3, Nullable: true},
		{ID: 5, Name: "l", Type: LongList, Element: 6, Nullable: true}, {ID: 7, Name: "b", Type: Boolean},
	}
	return append(files, otherFile(t, cols)), append(tables, cols)
}

// otherFile writes rows of these columns through arrow-go as others do.
func otherFile(t testing.TB, cols []Column) []byte {
	t.Helper()
	root, err := parquetSchema(cols)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	fw, err := pq.NewParquetWriterWithError(&buf, root, pq.WithWriterProps(parquet.NewWriterProperties(
		parquet.WithDictionaryDefault(true), parquet.WithDataPageVersion(parquet.DataPageV2),
		parquet.WithCompression(compress.Codecs.Snappy), parquet.WithDataPageSize(200), parquet.WithBatchSize(16))))
	if err != nil {
		t.Fatal(err)
	}
	const n = 100
	g, err := fw.AppendRowGroupChecked()
	if err != nil {
		t.Fatal(err)
	}
	def, rep := make([]int16, n), make([]int16, n)
	text, longs, doubles, fixed, bools := make([]parquet.ByteArray, n), make([]int64, n), make([]float64, n), make([]parquet.FixedLenByteArray, n), make([]bool, n)
	for i := range n {
		text[i], longs[i], doubles[i] = parquet.ByteArray(fmt.Sprintf("S%d", i*7%5)), int64(i*i%17), float64(i%3)
		fixed[i], bools[i] = make([]byte, 16), i%2 == 0
		fixed[i][15], def[i] = byte(i%4), 1
	}
	lists := bytes.Repeat([]byte{1}, n)
	for i := range cols {
		cw, err := g.NextColumn()
		if err != nil {
			t.Fatal(err)
		}
		switch cw := cw.(type) {
		case *pq.ByteArrayColumnChunkWriter:
			_, err = cw.WriteBatch(text, nil, nil)
		case *pq.Int64ColumnChunkWriter:
			if cols[i].Type == LongList {
				full := make([]int16, n)
				for k := range full {
					full[k], rep[k] = 2, int16(k%2)
				}
				_, err = cw.WriteBatch(longs, full, rep)
				for range n / 2 { // half as many rows so far
					if err == nil {
						_, err = cw.WriteBatch(nil, []int16{int16(len(lists) % 2)}, []int16{0})
					}
				}
			} else {
				_, err = cw.WriteBatch(longs, nil, nil)
			}
		case *pq.Float64ColumnChunkWriter:
			_, err = cw.WriteBatch(doubles, def, nil)
		case *pq.FixedLenByteArrayColumnChunkWriter:
			_, err = cw.WriteBatch(fixed, def, nil)
		case *pq.BooleanColumnChunkWriter:
			_, err = cw.WriteBatch(bools, nil, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := fw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// readAll does all that a reader does with a file.
func readAll(data []byte, table []Column) (int64, error) {
	r, err := Open(bytes.NewReader(data), int64(len(data)), "x.parquet")
	if err != nil {
		return 0, err
	}
	const room = 5000
	keys := EventKeys()
	if table[0].Name != "ts" {
		keys = []Key{{Column: "symbol"}, {Column: "ts"}}
	}
	s, err := r.Scan(Query{Table: table, Keys: keys, From: 1, To: 1_700_000_000_005_000, Limit: 1 << 22})
	if err != nil {
		return 0, err
	}
	dst := make([]Col, len(table))
	for i := range dst {
		dst[i] = Col{I64: make([]int64, room), I32: make([]int32, room), F64: make([]float64, room), Hi: make([]int64, room), Lo: make([]uint64, room)}
	}
	for i := range s.Runs() {
		c, err := s.Open(i)
		if err != nil {
			return 0, err
		}
		for {
			b, err := c.NextTo(dst, 0, room, pageRows)
			if err != nil {
				return 0, err
			}
			if b == nil {
				break
			}
			rowText(table, b)
		}
	}
	rows, err := r.Read(table, 0, r.Rows())
	if err != nil {
		return 0, err
	}
	n := int64(0)
	for {
		b, err := rows.Next()
		if err != nil || b == nil {
			return n, err
		}
		n += int64(b.N)
		rowText(table, b)
	}
}

// TestDamage_EveryByte changes the bytes of small files, one at a time, and cuts them off
// at every length: an error with the file's name or rows, never a panic, and little memory.
func TestDamage_EveryByte(t *testing.T) {
	files, tables := smallFiles(t)
	r := rand.New(rand.NewPCG(6, 6))
	for f, data := range files {
		if n, err := readAll(data, tables[f]); err != nil || n == 0 {
			t.Fatal(f, n, err)
		}
		var before, after runtime.MemStats
		check := func(what string, damaged []byte) {
			runtime.ReadMemStats(&before)
			_, err := readAll(damaged, tables[f])
			runtime.ReadMemStats(&after)
			if err != nil && !strings.Contains(err.Error(), "x.parquet") {
				t.Errorf("file %d, %s: %v names no file", f, what, err)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 4*maxPageBytes {
				t.Errorf("file %d, %s: took %d MB", f, what, took>>20)
			}
		}
		for i := 0; i < len(data); i += 1 + r.IntN(5) {
			bad := bytes.Clone(data)
			bad[i] ^= byte(1 + r.IntN(255))
			check(fmt.Sprintf("byte %d", i), bad)
		}
		for i := 0; i < len(data); i += 1 + r.IntN(200) {
			check(fmt.Sprintf("%d bytes", i), data[:i])
		}
	}
}

// FuzzDamage makes several changes at once.
func FuzzDamage(f *testing.F) {
	files, tables := smallFiles(f)
	f.Add(uint8(0), []byte{0, 0, 0})
	f.Add(uint8(1), []byte{1, 200, 7, 9, 30, 255})
	f.Add(uint8(2), []byte{0, 17, 128, 3, 3, 3})
	f.Fuzz(func(t *testing.T, which uint8, edits []byte) {
		k := int(which) % len(files)
		data := bytes.Clone(files[k])
		for ; len(edits) >= 3; edits = edits[3:] {
			at := len(data) - 1 - (int(edits[0])<<8|int(edits[1]))%len(data)
			data[at] = edits[2]
		}
		if _, err := readAll(data, tables[k]); err != nil && !strings.Contains(err.Error(), "x.parquet") {
			t.Errorf("%v names no file", err)
		}
	})
}
