package run

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// tableRows is how many rows a terminal shows of the beginning and of the end each.
const tableRows = 20

// table is a rowfile.Writer for people: it keeps the first and the last rows and prints
// them as a table that fits the terminal.
type table struct {
	w      io.Writer
	style  term.Style
	fields []rowfile.Field
	shown  []int // fields in the order of the table
	hidden []string
	head   [][]string
	tail   [][]string // ring of the last rows
	n      int64
}

// NewTable shows rows as a table on a terminal.
func NewTable(w io.Writer, style term.Style) func(s *rowfile.Schema) rowfile.Writer {
	return func(s *rowfile.Schema) rowfile.Writer {
		t := &table{w: w, style: style, fields: s.Fields}
		flags := -1
		for i, f := range s.Fields {
			switch {
			case f.Bits != nil:
				flags = i
			case f.Type == market.TypeTime && f.Name != "window_start":
				t.hidden = append(t.hidden, f.Name) // follow from the start, and would fill the screen
			default:
				t.shown = append(t.shown, i)
			}
		}
		if flags >= 0 {
			t.shown = append(t.shown, flags)
		}
		return t
	}
}

func (t *table) Write(b *rowfile.Batch) error {
	for i := range b.N {
		if t.n >= tableRows && i < b.N-tableRows {
			t.n++
			continue // others of this batch will be the last ones
		}
		row := make([]string, len(t.shown))
		for n, j := range t.shown {
			row[n] = cell(&t.fields[j], &b.Cols[j], i)
		}
		if t.n < tableRows {
			t.head = append(t.head, row)
		} else {
			if len(t.tail) == tableRows {
				t.tail = t.tail[1:]
			}
			t.tail = append(t.tail, row)
		}
		t.n++
	}
	return nil
}

// cell prints a value for people: times as times, floats to eight digits.
func cell(f *rowfile.Field, c *rowfile.Col, i int) string {
	switch {
	case c.IsNull(i):
		return "-"
	case f.Type == market.TypeTime:
		return market.FormatTime(c.I64[i])
	case f.Type == market.TypeFloat:
		short := strconv.FormatFloat(c.F64[i], 'g', 8, 64)
		if exact := string(rowfile.AppendFloat(nil, c.F64[i])); len(exact) <= 12 {
			return exact
		}
		return short
	}
	return rowfile.Text(f, c, i)
}

func (t *table) Close() error {
	var cols []term.Column
	for _, j := range t.shown {
		f := &t.fields[j]
		right := f.Bits == nil && f.Type != market.TypeText && f.Type != market.TypeTime
		cols = append(cols, term.Column{Head: f.Name, Right: right})
	}
	rows := t.head
	if hidden := t.n - int64(len(t.head)+len(t.tail)); hidden > 0 {
		dots := make([]string, len(cols))
		for i := range dots {
			dots[i] = "…"
		}
		rows = append(rows, dots)
	}
	rows = append(rows, t.tail...)
	if t.n == 0 {
		return nil
	}
	if _, err := io.WriteString(t.w, t.style.Table(cols, rows)); err != nil {
		return err
	}
	line := "not shown: " + strings.Join(t.hidden, ", ")
	if shown := int64(len(t.head) + len(t.tail)); shown < t.n {
		line = fmt.Sprintf("%s rows, %d of them here; ", term.Int(t.n), shown) + line
	}
	_, err := fmt.Fprintf(t.w, "%s; -o FILE.csv writes all\n", line)
	return err
}
