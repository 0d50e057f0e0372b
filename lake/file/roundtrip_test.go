package file

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/market"
)

// rowText prints the rows of a batch, one text for each, all columns.
func rowText(cols []Column, b *Batch) []string {
	out := make([]string, b.N)
	for i := range out {
		var w bytes.Buffer
		for k := range cols {
			c := &b.Cols[k]
			if c.IsNull(i) {
				w.WriteString("null|")
				continue
			}
			switch cols[k].Type {
			case Long, Timestamptz:
				fmt.Fprintf(&w, "%d|", c.I64[i])
			case Int, Boolean:
				fmt.Fprintf(&w, "%d|", c.I32[i])
			case Double:
				fmt.Fprintf(&w, "%x|", c.F64[i])
			case Decimal:
				fmt.Fprintf(&w, "%d,%d|", c.Hi[i], c.Lo[i])
			case LongList:
				fmt.Fprintf(&w, "%v|", c.Longs(i))
			default:
				fmt.Fprintf(&w, "%q|", c.Text(i))
			}
		}
		out[i] = w.String()
	}
	return out
}

// allRows reads rows lo..hi of a file as text.
func allRows(t *testing.T, data []byte, cols []Column, lo, hi int64) []string {
	t.Helper()
	r, err := Open(bytes.NewReader(data), int64(len(data)), "x.parquet")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := r.Read(cols, lo, hi)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for {
		b, err := rows.Next()
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return out
		}
		out = append(out, rowText(cols, b)...)
	}
}

// TestRoundTrip_EveryKind writes random events of every kind and reads the same values
// back: all columns, some of them, and ranges of rows.
func TestRoundTrip_EveryKind(t *testing.T) {
	for kind := market.Kind(1); kind <= market.KindWatermark; kind++ {
		insts, feeds := market.NewInstruments(), market.NewFeeds()
		r := rand.New(rand.NewPCG(2, uint64(kind)))
		all := randomEvents(r, kind, 18_000, insts, feeds)
		p := NewPacker(nil, kind, true, insts, feeds)
		cols := p.Columns()
		w, err := NewWriter(cols, EventKeys())
		if err != nil {
			t.Fatal(err)
		}
		data, info := packed(t, w, p, all)
		b, err := p.Pack(all)
		if err != nil {
			t.Fatal(err)
		}
		want := rowText(cols, b)
		got := allRows(t, data, cols, 0, info.Rows)
		if len(got) != len(want) {
			t.Fatalf("%s: %d rows of %d", kind, len(got), len(want))
		}
		for range 6 {
			lo := r.Int64N(info.Rows)
			hi := min(info.Rows, lo+1+r.Int64N(6_000))
			if some := allRows(t, data, cols, lo, hi); !slices.Equal(some, got[lo:hi]) {
				t.Fatalf("%s: rows %d to %d differ from those of the whole file", kind, lo, hi)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%s: other rows:\n%s", kind, d)
		}
	}
}
