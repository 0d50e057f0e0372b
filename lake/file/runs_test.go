package file

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/pinova-group/tidemark/market"
)

// TestNextTo_RunsAndPlaces: values that come in runs, decoded where the reader wants them, in pieces of any size, beside a
// column whose pages end elsewhere, are those that were written; what the reader has changed of earlier rows stays.
func TestNextTo_RunsAndPlaces(t *testing.T) {
	cols := []Column{
		{ID: 1, Name: "word", Type: String},
		{ID: 2, Name: "int", Type: Int, Encoding: EncodingDictionary},
		{ID: 3, Name: "one", Type: Long},
		{ID: 4, Name: "flag", Type: Boolean},
		{ID: 5, Name: "long", Type: Long, Nullable: true, Encoding: EncodingDictionary},
		{ID: 6, Name: "double", Type: Double},
		{ID: 7, Name: "list", Type: LongList, Element: 8},
	}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 7))
		n := 3*pageRows + r.IntN(pageRows)
		dict := NewDict()
		b := &Batch{N: n, Cols: make([]Col, len(cols))}
		b.Cols[0].Dict, b.Cols[6].Off = dict, []int32{0}
		var x [5]int64
		for i := range n {
			for k := range x {
				if often := [...]int{9000, 3000, 100_000, 20_000, 9000}[k]; r.IntN(often) == 0 {
					x[k] = int64(r.IntN(5))
				}
			}
			b.Cols[0].I32 = append(b.Cols[0].I32, dict.Code([]byte(strconv.FormatInt(x[0], 10))))
			b.Cols[1].I32 = append(b.Cols[1].I32, int32(x[1]))
			b.Cols[2].I64 = append(b.Cols[2].I64, x[2])
			b.Cols[3].I32 = append(b.Cols[3].I32, int32(x[3]&1))
			b.Cols[4].I64 = append(b.Cols[4].I64, x[4])
			if seed&1 == 1 && x[4] == 3 {
				b.Cols[4].SetNull(i)
			}
			b.Cols[5].F64 = append(b.Cols[5].F64, r.Float64())
			for range r.IntN(20) {
				b.Cols[6].I64 = append(b.Cols[6].I64, int64(i))
			}
			b.Cols[6].Off = append(b.Cols[6].Off, int32(len(b.Cols[6].I64)))
		}
		w, err := NewWriter(cols, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Append(b, nil); err != nil {
			t.Fatal(err)
		}
		var data bytes.Buffer
		if _, err := w.Finish(&data); err != nil {
			t.Fatal(err)
		}
		f, err := Open(bytes.NewReader(data.Bytes()), int64(data.Len()), "x.parquet")
		if err != nil {
			t.Fatal(err)
		}
		rows, err := f.Read(cols, 0, f.Rows())
		if err != nil {
			t.Fatal(err)
		}
		const added = 100 // to what has been taken
		dst := make([]Col, len(cols))
		for i := range dst {
			dst[i] = Col{I64: make([]int64, n), I32: make([]int32, n), F64: make([]float64, n)}
		}
		same := 0
		for at := 0; at < n; {
			room := n - at
			if r.IntN(3) == 0 {
				room = r.IntN(room + 1)
			}
			got, err := rows.NextTo(dst, at, room, 1+r.IntN(2*pageRows))
			if err != nil {
				t.Fatal(err)
			}
			for k := range cols {
				c := &got.Cols[k]
				if c.Same {
					same++
				}
				for i := range got.N {
					switch {
					case c.IsNull(i):
					case c.I32 != nil:
						if c.Same && c.I32[i] != c.I32[0] {
							t.Fatalf("seed %d: row %d of %s differs", seed, at+i, cols[k].Name)
						}
						v := c.I32[i]
						if c.Dict != nil {
							v = dict.Code(c.Text(i))
						}
						dst[k].I32[at+i] = v + added
					case c.F64 != nil:
						dst[k].F64[at+i] = c.F64[i]
					case c.Off == nil:
						dst[k].I64[at+i] = c.I64[i] + added
					}
				}
			}
			at += got.N
		}
		if same == 0 {
			t.Error("no column was the same")
		}
		for i := range n {
			for k := range cols[:6] {
				ok := b.Cols[k].IsNull(i)
				switch cols[k].Type {
				case Double:
					ok = dst[k].F64[i] == b.Cols[k].F64[i]
				case Long:
					ok = ok || dst[k].I64[i] == b.Cols[k].I64[i]+added
				default:
					ok = dst[k].I32[i] == b.Cols[k].I32[i]+added
				}
				if !ok {
					t.Fatalf("seed %d: row %d of %s differs", seed, i, cols[k].Name)
				}
			}
		}
		if got := allRows(t, data.Bytes(), cols, 0, int64(n)); !slices.Equal(got, rowText(cols, b)) {
			t.Fatalf("seed %d: rows differ", seed)
		}
	}
}

// A scale that is out of bounds is found below a null too, when all rows have it.
func TestUnpacker_ScaleOfAllRows(t *testing.T) {
	u := &Unpacker{pay: []int{0}, scale: []int{1}, scales: make([]lane[int8], 1), batch: &market.Batch{Cols: make([]market.Col, 1)}}
	for scale, bad := range map[int32]bool{2: false, 99: true, -1: true} {
		b := &Batch{N: 2, Cols: []Col{{I64: []int64{0, 5}, Null: []uint64{1}}, {I32: []int32{scale, scale}, Same: true}}}
		if err := u.scaled(0, b); (err != nil) != bad {
			t.Errorf("scale %d: %v", scale, err)
		}
	}
}
