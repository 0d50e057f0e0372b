package file

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"pgregory.net/rapid"
)

func TestPackDelta_ComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(0, 62).Draw(t, "width")
		some := rapid.Int64Range(-1<<width, 1<<width)
		long := rapid.SliceOfN(rapid.OneOf(some, rapid.Int64()), 0, 400).Draw(t, "long")
		got := make([]int64, len(long))
		if _, err := delta(got, packDelta(nil, long)); err != nil || !slices.Equal(got, long) {
			t.Fatalf("%d, not %d: %v", got, long, err)
		}
		short := make([]int32, len(long))
		for i, v := range long {
			short[i] = int32(v)
		}
		back := make([]int32, len(short))
		if _, err := delta(back, packDelta(nil, short)); err != nil || !slices.Equal(back, short) {
			t.Fatalf("%d, not %d: %v", back, short, err)
		}
	})
}

func TestPackRuns_ComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, 31).Draw(t, "width")
		var codes []int32
		for range rapid.IntRange(1, 6).Draw(t, "stretches") {
			n := rapid.IntRange(1, 200).Draw(t, "rows")
			if v := rapid.Int32Range(0, 1<<width-1).Draw(t, "code"); rapid.Bool().Draw(t, "equal") {
				codes = append(codes, slices.Repeat([]int32{v}, n)...)
			} else {
				codes = append(codes, rapid.SliceOfN(rapid.Int32Range(0, 1<<width-1), n, n).Draw(t, "codes")...)
			}
		}
		got := make([]int32, len(codes))
		if err := hybrid(got, packRuns(nil, codes, width), width); err != nil || !slices.Equal(got, codes) {
			t.Fatalf("%d, not %d: %v", got, codes, err)
		}
	})
}

// TestWriter_Doubles: those that come again are in a dictionary, the others are not; both keep their bits, zeros their
// signs, and bounds hold.
func TestWriter_Doubles(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	zeros := []float64{0, math.Copysign(0, -1)}
	cases := []struct {
		name        string
		value       func(i int) float64
		coded       bool
		least, most float64
	}{
		{"one", func(int) float64 { return 7.5 }, true, 7.5, 7.5},
		{"few", func(int) float64 { return 100 + float64(r.IntN(40))/4 }, true, 100, 109.75},
		{"many", func(int) float64 { return float64(r.IntN(9000)) / 8 }, true, 0, 8999. / 8},
		{"zeros", func(int) float64 { return zeros[r.IntN(2)] }, true, zeros[1], 0},
		{"below", func(i int) float64 { return -float64(i % 5) }, true, -4, 0},
		{"other", func(i int) float64 { return -float64(i+1) / 3 }, false, -100_000. / 3, -1. / 3},
		{"ends", func(i int) float64 { return []float64{math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64}[i%3] }, true, math.Inf(-1), math.MaxFloat64},
	}
	for _, null := range []bool{false, true} {
		cols := []Column{{ID: 1, Name: "n", Type: Long}}
		b := &Batch{N: 100_000, Cols: make([]Col, 1+len(cases))}
		for i := range b.N {
			b.Cols[0].I64 = append(b.Cols[0].I64, int64(i))
		}
		for k, c := range cases {
			cols = append(cols, Column{ID: 2 + k, Name: c.name, Type: Double, Nullable: null})
			for i := range b.N {
				b.Cols[1+k].F64 = append(b.Cols[1+k].F64, c.value(i))
				if null && (i > 2*pageRows && i < 4*pageRows || i > 5*pageRows && i < b.N-100 && i%3 == 0) {
					b.Cols[1+k].SetNull(i)
				}
			}
		}
		w, err := NewWriter(cols, []Key{{Column: "n"}})
		if err != nil {
			t.Fatal(err)
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
			t.Errorf("null %t: other rows", null)
		}
		for k, c := range cases {
			m := info.Meta.RowGroups[0].Columns[1+k].MetaData
			if got := parquet.Encoding(m.Encodings[0]) == parquet.Encodings.RLEDict; got != c.coded {
				t.Errorf("%s: in a dictionary: %t", c.name, got)
			}
			bound := func(b []byte) string { return fmt.Sprint(math.Float64frombits(binary.LittleEndian.Uint64(b))) }
			if got, want := bound(m.Statistics.MinValue)+" "+bound(m.Statistics.MaxValue), fmt.Sprint(c.least, " ", c.most); got != want && (c.least != 0 || got != "-0 "+fmt.Sprint(c.most)) {
				t.Errorf("%s: bounds %s, not %s", c.name, got, want)
			}
		}
	}
}
