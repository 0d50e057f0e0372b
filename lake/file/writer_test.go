package file

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/market"
)

// packed writes rows of event batches as one file.
func packed(t *testing.T, w *Writer, p *Packer, batches ...*market.Batch) ([]byte, *Info) {
	t.Helper()
	for _, b := range batches {
		cols, err := p.Pack(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Append(cols, nil); err != nil {
			t.Fatal(err)
		}
	}
	var buf bytes.Buffer
	info, err := w.Finish(&buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), info
}

// TestWriter_SameRowsSameBytes hands the same rows in in batches of other sizes and
// another order: the file is the same, bit by bit.
func TestWriter_SameRowsSameBytes(t *testing.T) {
	for kind := market.Kind(1); kind <= market.KindWatermark; kind++ {
		insts, feeds := market.NewInstruments(), market.NewFeeds()
		r := rand.New(rand.NewPCG(1, uint64(kind)))
		all := randomEvents(r, kind, 20_000, insts, feeds)
		p := NewPacker(nil, kind, true, insts, feeds)
		w, err := NewWriter(p.Columns(), EventKeys())
		if err != nil {
			t.Fatal(err)
		}
		want, info := packed(t, w, p, all)
		if info.Rows != int64(all.N) || info.Size != int64(len(want)) || info.Meta.GetNumRows() != info.Rows {
			t.Fatalf("%s: %d rows in %d bytes, want %d in %d", kind, info.Rows, info.Size, all.N, len(want))
		}
		var parts []*market.Batch
		for lo := 0; lo < all.N; {
			hi := min(all.N, lo+1+r.IntN(10_000))
			b := market.NewBatch(kind)
			b.AppendRows(all, lo, hi)
			parts = append(parts, b)
			lo = hi
		}
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		again, _ := packed(t, w, p, parts...)
		fresh, err := NewWriter(p.Columns(), EventKeys())
		if err != nil {
			t.Fatal(err)
		}
		other, _ := packed(t, fresh, NewPacker(nil, kind, true, insts, feeds), parts...)
		if !bytes.Equal(want, again) || !bytes.Equal(want, other) {
			t.Errorf("%s: another order of %d batches gives another file", kind, len(parts))
		}
	}
}

// TestWriter_PagesWithoutValues: pages in which every value is null, and every list
// empty, first, last and between others.
func TestWriter_PagesWithoutValues(t *testing.T) {
	cols := []Column{
		{ID: 1, Name: "n", Type: Long}, {ID: 2, Name: "long", Type: Long, Nullable: true},
		{ID: 3, Name: "text", Type: String, Nullable: true, Encoding: EncodingLengths}, {ID: 4, Name: "code", Type: String, Nullable: true},
		{ID: 5, Name: "list", Type: LongList, Element: 6}, {ID: 7, Name: "dec", Type: Decimal, Scale: 2, Nullable: true},
		{ID: 8, Name: "bool", Type: Boolean, Nullable: true}, {ID: 9, Name: "double", Type: Double, Nullable: true},
	}
	for _, full := range [][]bool{{true, false, false, true}, {false, true, false}, {false, false}, {true, false}} {
		w, err := NewWriter(cols, []Key{{Column: "n"}})
		if err != nil {
			t.Fatal(err)
		}
		b := &Batch{Cols: make([]Col, len(cols))}
		for _, has := range full {
			for range pageRows {
				i := b.N
				c := b.Cols
				b.N++
				for k := range c {
					if k > 0 && k != 4 && !has {
						c[k].SetNull(i)
					}
				}
				c[0].I64, c[1].I64 = append(c[0].I64, int64(i)), append(c[1].I64, int64(i*i))
				for _, k := range []int{2, 3} {
					if i == 0 {
						c[k].Off = append(c[k].Off, 0)
					}
					c[k].Bytes = append(c[k].Bytes, 'a'+byte(i%7))
					c[k].Off = append(c[k].Off, int32(len(c[k].Bytes)))
				}
				if i == 0 {
					c[4].Off = append(c[4].Off, 0)
				}
				if has {
					c[4].I64 = append(c[4].I64, int64(i), 5)
				}
				c[4].Off = append(c[4].Off, int32(len(c[4].I64)))
				c[5].Hi, c[5].Lo = append(c[5].Hi, -int64(i)), append(c[5].Lo, uint64(i))
				c[6].I32, c[7].F64 = append(c[6].I32, int32(i&1)), append(c[7].F64, float64(i)/3)
			}
		}
		if err := w.Append(b, nil); err != nil {
			t.Fatal(err)
		}
		var buf bytes.Buffer
		info, err := w.Finish(&buf)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := allRows(t, buf.Bytes(), cols, 0, info.Rows), rowText(cols, b); !slices.Equal(got, want) {
			t.Errorf("%v: other rows", full)
		}
	}
}

// TestWriter_RowsKeepTheirValuesAcrossRowGroups writes three row groups of rows that came in
// no order: every value of a row, and its null, is still beside the others.
func TestWriter_RowsKeepTheirValuesAcrossRowGroups(t *testing.T) {
	cols := []Column{
		{ID: 1, Name: "symbol", Type: String}, {ID: 2, Name: "ts", Type: Timestamptz}, {ID: 3, Name: "n", Type: Long}, {ID: 4, Name: "i", Type: Int},
		{ID: 5, Name: "d", Type: Double}, {ID: 6, Name: "word", Type: String, Nullable: true}, {ID: 7, Name: "maybe", Type: Long, Nullable: true},
		{ID: 8, Name: "id", Type: Binary, Encoding: EncodingRandom},
	}
	w, err := NewWriter(cols, []Key{{Column: "symbol"}, {Column: "ts"}})
	if err != nil {
		t.Fatal(err)
	}
	const rows, part = 2*groupRows + 12_345, 10_000
	r := rand.New(rand.NewPCG(7, 9))
	symbols, words := NewDict("c", "a", "b"), NewDict("x", "y", "z", "v")
	row := func(n int64) string {
		word, maybe := fmt.Sprintf("%q", words.Word(int32(n%4))), fmt.Sprint(n*5)
		if n%7 == 0 {
			word = "null"
		}
		if n%3 == 0 {
			maybe = "null"
		}
		return fmt.Sprintf("%d|%d|%x|%s|%s|%q|", n, n%1000, float64(n)/2, word, maybe, fmt.Sprintf("%06d", n))
	}
	order := r.Perm(rows)
	for lo := 0; lo < rows; lo += part {
		b := &Batch{Cols: make([]Col, len(cols))}
		c := b.Cols
		c[0].Dict, c[5].Dict, c[7].Off = symbols, words, []int32{0}
		for i, k := range order[lo:min(lo+part, rows)] {
			n := int64(k)
			c[0].I32, c[1].I64 = append(c[0].I32, int32(r.IntN(3))), append(c[1].I64, int64(r.IntN(rows/2)))
			c[2].I64, c[3].I32, c[4].F64 = append(c[2].I64, n), append(c[3].I32, int32(n%1000)), append(c[4].F64, float64(n)/2)
			c[5].I32, c[6].I64 = append(c[5].I32, int32(n%4)), append(c[6].I64, n*5)
			if n%7 == 0 {
				c[5].SetNull(i)
			}
			if n%3 == 0 {
				c[6].SetNull(i)
			}
			c[7].Bytes = fmt.Appendf(c[7].Bytes, "%06d", n)
			c[7].Off = append(c[7].Off, int32(len(c[7].Bytes)))
			b.N++
		}
		if err := w.Append(b, nil); err != nil {
			t.Fatal(err)
		}
	}
	var buf bytes.Buffer
	if _, err := w.Finish(&buf); err != nil {
		t.Fatal(err)
	}
	got := allRows(t, buf.Bytes(), cols, 0, rows)
	if len(got) != rows {
		t.Fatalf("%d rows of %d", len(got), rows)
	}
	seen := make([]bool, rows)
	var lastSymbol string
	var lastTS int64
	for _, text := range got {
		part := strings.SplitN(text, "|", 4)
		ts, err1 := strconv.ParseInt(part[1], 10, 64)
		n, err2 := strconv.ParseInt(part[2], 10, 64)
		if err1 != nil || err2 != nil || seen[n] || part[2]+"|"+part[3] != row(n) {
			t.Fatalf("row %s; number %d is %s (seen: %v)", text, n, row(n), seen[n])
		}
		if part[0] < lastSymbol || part[0] == lastSymbol && ts < lastTS {
			t.Fatalf("row %s comes after %s %d", text, lastSymbol, lastTS)
		}
		seen[n], lastSymbol, lastTS = true, part[0], ts
	}
}
