package run

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// TestTable_FirstAndLastRows: whatever the batches, the first and the last rows are shown.
func TestTable_FirstAndLastRows(t *testing.T) {
	for _, c := range []struct{ rows, batch int }{{0, 1}, {5, 2}, {40, 7}, {41, 41}, {1000, 1000}, {1000, 1}, {1000, 333}} {
		var out bytes.Buffer
		w := NewTable(&out, term.Style{})(&rowfile.Schema{Fields: []rowfile.Field{{Name: "n", Type: market.TypeInt}}})
		for lo := 0; lo < c.rows; lo += c.batch {
			b := &rowfile.Batch{Cols: make([]rowfile.Col, 1)}
			for i := lo; i < min(c.rows, lo+c.batch); i++ {
				b.Cols[0].I64 = append(b.Cols[0].I64, int64(i))
				b.N++
			}
			if err := w.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range c.rows {
			switch {
			case i < tableRows || i >= c.rows-tableRows:
				want = append(want, string(rowfile.AppendFloat(nil, float64(i))))
			case i == tableRows:
				want = append(want, "…")
			}
		}
		var got []string
		for i, l := range strings.Split(out.String(), "\n") {
			if l = strings.TrimSpace(l); i > 1 && l != "" && !strings.Contains(l, "FILE") {
				got = append(got, l)
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%d rows in batches of %d: %v", c.rows, c.batch, got)
		}
	}
}
