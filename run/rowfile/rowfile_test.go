package rowfile

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
)

func testSchema() *Schema {
	return &Schema{
		Fields: []Field{
			{Name: "symbol", Type: market.TypeText},
			{Name: "window_start", Type: market.TypeTime},
			{Name: "flags", Type: market.TypeInt, Bits: []string{"gap", "stale", "partial"}},
			{Name: "vwap", Type: market.TypeFloat, Nullable: true, Unit: "quote"},
			{Name: "trades", Type: market.TypeInt, Nullable: true},
			{Name: "sum", Type: market.TypeDec, Scale: 4, Nullable: true},
			{Name: "up", Type: market.TypeBool, Nullable: true},
			{Name: "note", Type: market.TypeText, Nullable: true},
			{Name: "age", Type: market.TypeDur, Nullable: true},
		},
		Meta: []Meta{{"tidemark.view", "bars"}, {"tidemark.version", "1"}},
	}
}

// row is one row in plain values; nil is null.
type row struct {
	symbol      string
	start, bits int64
	vwap        *float64
	trades      *int64
	sum         *int64
	up          *bool
	note        *string
	age         *int64
}

func batchOf(rows []row) *Batch {
	b := &Batch{N: len(rows), Cols: make([]Col, 9)}
	for i, r := range rows {
		b.Cols[0].text(i, &r.symbol)
		b.Cols[1].int(i, &r.start)
		b.Cols[2].int(i, &r.bits)
		if r.vwap == nil {
			b.Cols[3].null(i)
			r.vwap = new(float64)
		}
		b.Cols[3].F64 = append(b.Cols[3].F64, *r.vwap)
		b.Cols[4].int(i, r.trades)
		if r.sum == nil {
			b.Cols[5].null(i)
			r.sum = new(int64)
		}
		b.Cols[5].Hi = append(b.Cols[5].Hi, *r.sum>>63)
		b.Cols[5].Lo = append(b.Cols[5].Lo, uint64(*r.sum))
		var up *int64
		if r.up != nil {
			up = new(int64(0))
			if *r.up {
				*up = 1
			}
		}
		b.Cols[6].int(i, up)
		b.Cols[7].text(i, r.note)
		b.Cols[8].int(i, r.age)
	}
	return b
}

func (c *Col) null(i int) {
	for len(c.Null) <= i>>6 {
		c.Null = append(c.Null, 0)
	}
	c.Null[i>>6] |= 1 << (i & 63)
}

func (c *Col) int(i int, v *int64) {
	if v == nil {
		c.null(i)
		v = new(int64)
	}
	c.I64 = append(c.I64, *v)
}

func (c *Col) text(i int, v *string) {
	if len(c.Off) == 0 {
		c.Off = append(c.Off, 0)
	}
	if v == nil {
		c.null(i)
		v = new(string)
	}
	c.Bytes = append(c.Bytes, *v...)
	c.Off = append(c.Off, int32(len(c.Bytes)))
}

func sample() []row {
	return []row{
		{"BTC-USDT", 1762795380000000, 0, new(105413.25), new(int64(3)), new(int64(123456)), new(true), new("a,b \"c\"\nd"), new(int64(250))},
		{"ETH-USDT", 1762795440000000, 0b101, nil, nil, nil, nil, nil, nil},
		{"", 0, 1 << 4, new(1e-9), new(int64(-7)), new(int64(-50)), new(false), new(""), new(int64(0))},
		{"ünï\xff", -1, 2, new(1e21), new(int64(math.MaxInt64)), new(int64(120000)), new(true), new(" x"), nil},
	}
}

func write(t testing.TB, f Format, s *Schema, batches ...[]row) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := New(&buf, f, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if err := w.Write(batchOf(b)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestCSV_Text(t *testing.T) {
	want := `symbol,window_start,flags,vwap,trades,sum,up,note,age
BTC-USDT,1762795380000000,,105413.25,3,12.3456,true,"a,b ""c""
d",250
ETH-USDT,1762795440000000,gap|partial,,,,,,
"",0,bit4,1e-09,-7,-0.0050,false,"",0
` + "ünï\xff,-1,stale,1e+21,9223372036854775807,12.0000,true,\" x\",\n"
	if got := string(write(t, CSV, testSchema(), sample())); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCSV_ReadsBackWithStandardReader(t *testing.T) {
	rs, err := csv.NewReader(bytes.NewReader(write(t, CSV, testSchema(), sample()))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rs) != 5 || rs[1][7] != "a,b \"c\"\nd" || rs[4][7] != " x" || rs[4][0] != "ünï\xff" {
		t.Errorf("read back %q", rs)
	}
}

func TestJSONL_ReadsBackWithStandardDecoder(t *testing.T) {
	dec := json.NewDecoder(bytes.NewReader(write(t, JSONL, testSchema(), sample())))
	dec.UseNumber()
	var got []map[string]any
	for {
		var m map[string]any
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, m)
	}
	if len(got) != 4 {
		t.Fatalf("%d rows", len(got))
	}
	if got[0]["note"] != "a,b \"c\"\nd" || got[0]["sum"] != "12.3456" || got[0]["vwap"] != json.Number("105413.25") || got[0]["up"] != true {
		t.Errorf("row 0: %v", got[0])
	}
	if got[1]["vwap"] != nil || got[1]["flags"] != "gap|partial" {
		t.Errorf("row 1: %v", got[1])
	}
	if got[3]["symbol"] != "ünï�" {
		t.Errorf("bytes that are no text: %q", got[3]["symbol"])
	}
}

func TestAppendFloat_RoundTripsShortest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64().Filter(func(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }).Draw(t, "x")
		s := string(AppendFloat(nil, x))
		y, err := strconv.ParseFloat(s, 64)
		if err != nil || math.Float64bits(y) != math.Float64bits(x) {
			t.Fatalf("%v printed %q read %v", x, s, y)
		}
		var viaJSON float64
		if err := json.Unmarshal([]byte(s), &viaJSON); err != nil || viaJSON != x {
			t.Fatalf("%q is no JSON number: %v", s, err)
		}
	})
}

func readArrow(t testing.TB, data []byte) []arrow.RecordBatch {
	t.Helper()
	r, err := ipc.NewFileReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var out []arrow.RecordBatch
	for i := range r.NumRecords() {
		rec, err := r.RecordBatch(i)
		if err != nil {
			t.Fatal(err)
		}
		rec.Retain()
		out = append(out, rec)
	}
	return out
}

func readParquet(t testing.TB, data []byte) (arrow.Table, *file.Reader) {
	t.Helper()
	pf, err := file.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	tbl, err := fr.ReadTable(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return tbl, pf
}

// checkSample compares records with sample(), column by column, as their printed values.
func checkSample(t *testing.T, rec arrow.RecordBatch) {
	t.Helper()
	want := [][]string{
		{"BTC-USDT", "2025-11-10T17:23:00Z", "", "105413.25", "3", "12.3456", "true", "a,b \"c\"\nd", "250"},
		{"ETH-USDT", "2025-11-10T17:24:00Z", "gap|partial", "(null)", "(null)", "(null)", "(null)", "(null)", "(null)"},
		{"", "1970-01-01T00:00:00Z", "bit4", "1e-09", "-7", "-0.0050", "false", "", "0"},
		{"ünï\xff", "1969-12-31T23:59:59.999999Z", "stale", "1e+21", "9223372036854775807", "12.0000", "true", " x", "(null)"},
	}
	if rec.NumRows() != int64(len(want)) {
		t.Fatalf("%d rows", rec.NumRows())
	}
	for i, row := range want {
		for j, w := range row {
			got := rec.Column(j).ValueStr(i)
			if d, ok := rec.Column(j).(*array.Decimal128); ok && !d.IsNull(i) {
				got = d.Value(i).ToString(d.DataType().(*arrow.Decimal128Type).Scale)
			}
			if got != w {
				t.Errorf("row %d column %s: %q, want %q", i, rec.ColumnName(j), got, w)
			}
		}
	}
}

func TestArrow_ReadsBack(t *testing.T) {
	recs := readArrow(t, write(t, Arrow, testSchema(), sample()[:1], sample()[1:]))
	if len(recs) != 1 {
		t.Fatalf("%d records", len(recs))
	}
	checkSample(t, recs[0])
	sc := recs[0].Schema()
	if v, _ := sc.Metadata().GetValue("tidemark.view"); v != "bars" {
		t.Errorf("metadata: %v", sc.Metadata())
	}
	if u, _ := sc.Field(3).Metadata.GetValue("unit"); u != "quote" {
		t.Errorf("unit of vwap: %q", u)
	}
	if sc.Field(0).Nullable || !sc.Field(3).Nullable {
		t.Error("nullability is lost")
	}
}

func TestParquet_ReadsBack(t *testing.T) {
	tbl, pf := readParquet(t, write(t, Parquet, testSchema(), sample()[:1], sample()[1:]))
	defer tbl.Release()
	r := array.NewTableReader(tbl, -1)
	defer r.Release()
	if !r.Next() {
		t.Fatal("no rows")
	}
	checkSample(t, r.RecordBatch())
	if v := pf.MetaData().KeyValueMetadata().FindValue("tidemark.version"); v == nil || *v != "1" {
		t.Error("file metadata lacks tidemark.version")
	}
	cc, err := pf.MetaData().RowGroup(0).ColumnChunk(3)
	if err != nil {
		t.Fatal(err)
	}
	if cc.Compression().String() != "ZSTD" {
		t.Errorf("compression %s", cc.Compression())
	}
}

func many(n int) []row {
	rs := make([]row, n)
	for i := range rs {
		rs[i] = row{symbol: "S" + strconv.Itoa(i%7), start: int64(i), vwap: new(float64(i) / 3), trades: new(int64(i))}
	}
	return rs
}

func TestColumnar_CutsGroupsWhateverTheBatches(t *testing.T) {
	rows := many(groupRows + 1000)
	whole := write(t, Parquet, testSchema(), rows)
	var parts [][]row
	for lo := 0; lo < len(rows); lo += 4097 {
		parts = append(parts, rows[lo:min(len(rows), lo+4097)])
	}
	if !bytes.Equal(whole, write(t, Parquet, testSchema(), parts...)) {
		t.Error("bytes of the Parquet file depend on batching")
	}
	tbl, pf := readParquet(t, whole)
	defer tbl.Release()
	if pf.NumRowGroups() != 2 || tbl.NumRows() != int64(len(rows)) {
		t.Errorf("%d groups, %d rows", pf.NumRowGroups(), tbl.NumRows())
	}
	a := write(t, Arrow, testSchema(), rows)
	if !bytes.Equal(a, write(t, Arrow, testSchema(), parts...)) {
		t.Error("bytes of the Arrow file depend on batching")
	}
	if recs := readArrow(t, a); len(recs) != (len(rows)+arrowRows-1)/arrowRows {
		t.Errorf("%d Arrow records", len(recs))
	}
}

func TestColumnar_RefusesWhatDoesNotFit(t *testing.T) {
	s := &Schema{Fields: []Field{{Name: "x", Type: market.TypeInt}}}
	w, err := New(io.Discard, Parquet, s)
	if err != nil {
		t.Fatal(err)
	}
	b := &Batch{N: 1, Cols: make([]Col, 1)}
	b.Cols[0].int(0, nil)
	if err := w.Write(b); err == nil {
		t.Error("a null got into a column without nulls")
	}
	if err := w.Close(); err == nil {
		t.Error("Close after an error reports success")
	}
	if _, err := New(io.Discard, CSV, &Schema{Fields: []Field{{Name: "l", Type: market.TypeDecs}}}); err == nil {
		t.Error("list column accepted")
	}
}

func TestByName(t *testing.T) {
	ok := map[string]struct {
		f Format
		c string
	}{
		"a.csv": {CSV, ""}, "A.CSV.GZ": {CSV, "gz"}, "x/y.jsonl.zst": {JSONL, "zst"},
		"a.parquet": {Parquet, ""}, "a.arrow": {Arrow, ""}, "a.feather": {Arrow, ""},
	}
	for name, w := range ok {
		if f, c, err := ByName(name); err != nil || f != w.f || c != w.c {
			t.Errorf("%s: %v %q %v", name, f, c, err)
		}
	}
	for _, name := range []string{"a", "a.txt", "a.parquet.gz", "csv", ".gz"} {
		if _, _, err := ByName(name); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range es {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

func TestCreate_AppearsWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	p := filepath.Join(dir, "out.csv.gz")
	r, err := Create(p, testSchema())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Write(batchOf(sample())); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p); !errors.Is(err, os.ErrNotExist) {
		t.Error("file is there before it is whole")
	}
	r.Abort()
	if n := names(t, dir); n != "" {
		t.Errorf("left after abort: %s", n)
	}

	if err := os.WriteFile(p, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err = Create(p, testSchema()); err != nil {
		t.Fatal(err)
	}
	if err := r.Write(batchOf(sample())); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.Abort() // no effect after Close
	if n := names(t, dir); n != "out.csv.gz" {
		t.Errorf("files: %s", n)
	}
	if st, err := os.Stat(p); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode of a replaced file: %v %v", st.Mode(), err)
	}
	f, err := os.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(got, write(t, CSV, testSchema(), sample())) {
		t.Errorf("content differs: %v", err)
	}
}

func TestCreateFile_KeepsLinksAndDevices(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(real, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	put := func(path string) {
		f, err := CreateFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if err := f.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	put(link)
	if st, _ := os.Lstat(link); st.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	if b, _ := os.ReadFile(real); string(b) != "hello" {
		t.Errorf("behind the link: %q", b)
	}
	put(os.DevNull)
	if st, _ := os.Stat(os.DevNull); st.Mode().IsRegular() {
		t.Error("the null device was replaced")
	}
	if _, err := CreateFile(dir); err == nil {
		t.Error("a directory was accepted")
	}
	if _, err := CreateFile(filepath.Join(dir, "no", "such")); err == nil {
		t.Error("a file in a missing folder was accepted")
	}
}
