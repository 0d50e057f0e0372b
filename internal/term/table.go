package term

import (
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Column is a column of a table: its head, with the unit in it, and its alignment.
type Column struct {
	Head  string
	Right bool // numbers
	Keep  bool // never cut: names that are needed whole
}

// Table prints rows in aligned columns. On a terminal that is too narrow, columns at the
// right are left out and counted; when the output is no terminal nothing is cut.
func (s Style) Table(cols []Column, rows [][]string) string {
	shown := len(cols)
	if s.Width > 0 {
		shown = s.fit(cols, rows)
	}
	t := table.NewWriter()
	style := table.StyleLight
	if s.ASCII {
		style = table.StyleDefault
	}
	style.Options = table.OptionsNoBordersAndSeparators
	style.Options.SeparateHeader = true
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Format.Header = text.FormatDefault
	t.SetStyle(style)
	head := table.Row{}
	var cfg []table.ColumnConfig
	for i, c := range cols[:shown] {
		head = append(head, c.Head)
		align := text.AlignLeft
		if c.Right {
			align = text.AlignRight
		}
		cfg = append(cfg, table.ColumnConfig{Number: i + 1, Align: align, AlignHeader: align})
	}
	t.AppendHeader(head)
	t.SetColumnConfigs(cfg)
	for _, r := range rows {
		row := table.Row{}
		for _, v := range r[:shown] {
			row = append(row, v)
		}
		t.AppendRow(row)
	}
	var b strings.Builder
	for i, line := range strings.Split(t.Render(), "\n") {
		if rule := []rune(line); i == 1 && len(rule) > 2 {
			line = string(rule[:len(rule)-2]) // as wide as the columns, without the last one's padding
		}
		b.WriteString(strings.TrimRight(line, " "))
		b.WriteByte('\n')
	}
	if n := len(cols) - shown; n > 0 {
		var names []string
		for _, c := range cols[shown:] {
			names = append(names, c.Head)
		}
		b.WriteString(s.Faint("… " + Int(int64(n)) + " more columns: " + strings.Join(names, ", ")))
		b.WriteByte('\n')
	}
	return b.String()
}

// fit counts the columns that fit into the width, at least one.
func (s Style) fit(cols []Column, rows [][]string) int {
	width := 0
	for i, c := range cols {
		w := text.StringWidth(c.Head)
		for _, r := range rows {
			w = max(w, text.StringWidth(r[i]))
		}
		width += w + 2
		if width > s.Width+2 && i > 0 {
			return i
		}
	}
	return len(cols)
}
