package spectest

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// table keeps the rows of a run as text, each value as CSV has it; null is empty.
type table struct {
	schema *rowfile.Schema
	rows   [][]string
}

func (t *table) Write(b *rowfile.Batch) error {
	for i := range b.N {
		row := make([]string, len(b.Cols))
		for j := range b.Cols {
			row[j] = rowfile.Text(&t.schema.Fields[j], &b.Cols[j], i)
		}
		t.rows = append(t.rows, row)
	}
	return nil
}

func (t *table) Close() error { return nil }

// compare lists the differences, by row and column; of is the place of the test.
func (t *table) compare(of lang.Pos, names []lang.Name, rows []lang.TestRow) []Diff {
	var diffs []Diff
	cols := make([]int, len(names))
	for i, c := range names {
		cols[i] = t.column(c.Text)
	}
	for i, want := range rows {
		if i >= len(t.rows) {
			diffs = append(diffs, Diff{Where: want.Pos.String(), Row: i + 1, Want: line(want.Cells)})
			continue
		}
		for k, c := range cols {
			if got := t.rows[i][c]; !same(&t.schema.Fields[c], got, want.Cells[k]) {
				diffs = append(diffs, Diff{Where: want.Pos.String(), Row: i + 1, Column: names[k].Text, Got: got, Want: want.Cells[k]})
			}
		}
	}
	for i := len(rows); i < len(t.rows); i++ {
		got := make([]string, len(cols))
		for k, c := range cols {
			got[k] = t.rows[i][c]
		}
		diffs = append(diffs, Diff{Where: of.String(), Row: i + 1, Got: line(got)})
	}
	return diffs
}

// column finds a column that the check of the spec knows to be there.
func (t *table) column(name string) int {
	for i, f := range t.schema.Fields {
		if f.Name == name {
			return i
		}
	}
	return 0
}

// same compares numbers by value, exactly: a float is the shortest text that reads back as
// it. All else is equal as text.
func same(f *rowfile.Field, got, want string) bool {
	if got == want {
		return true
	}
	switch {
	case got == "" || want == "" || f.Bits != nil:
		return false
	case f.Type == market.TypeFloat, f.Type == market.TypeDec, f.Type == market.TypeInt, f.Type == market.TypeTime, f.Type == market.TypeDur:
		a, ok := number(got)
		b, ok2 := number(want)
		return ok && ok2 && a.Cmp(b) == 0
	}
	return false
}

// number reads a decimal. The exponent is bounded before big numbers are made of it.
func number(s string) (*big.Rat, bool) {
	const most = 400 // digits beyond what a float64 can have
	if len(s) > 2*most || strings.ContainsAny(s, "/_xXpPbBoO") {
		return nil, false
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		if e, err := strconv.Atoi(s[i+1:]); err != nil || e > most || e < -most {
			return nil, false
		}
	}
	return new(big.Rat).SetString(s)
}

func line(cells []string) string {
	if s := strings.Join(cells, ","); s != "" {
		return s
	}
	return "null"
}
