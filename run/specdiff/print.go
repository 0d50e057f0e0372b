package specdiff

import (
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
)

// Print words the comparison for people.
func (d *Diff) Print(st term.Style) string {
	var b strings.Builder
	for i, v := range []*View{&d.A, &d.B} {
		fmt.Fprintf(&b, "%s  %s version %d  %s", []string{st.Red("-"), st.Green("+")}[i], st.Bold(v.View), v.Version, v.Fingerprint[:16])
		if v.Arg != v.View {
			fmt.Fprintf(&b, "  %s", v.Arg)
		}
		b.WriteByte('\n')
	}
	if d.Same {
		b.WriteString("\none fingerprint: the same events give the same bits\n")
	}
	section := func(head string, cs []Change) {
		if len(cs) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n%s\n", st.Bold(head))
		for _, c := range cs {
			if c.A != "" {
				fmt.Fprintf(&b, "  %s %s: %s\n", st.Red("-"), c.Key, c.A)
			}
			if c.B != "" {
				fmt.Fprintf(&b, "  %s %s: %s\n", st.Green("+"), c.Key, c.B)
			}
		}
	}
	section("text", d.Text)
	section("features", d.Features)
	if len(d.Why) > 0 {
		fmt.Fprintf(&b, "\n%s\n", st.Bold("why the fingerprints differ"))
		for _, w := range d.Why {
			fmt.Fprintf(&b, "  %s\n", w)
		}
	}
	section("cost", d.Cost)
	if len(d.Outside) > 0 {
		fmt.Fprintf(&b, "\nalso %s, which change no row\n", strings.Join(d.Outside, ", "))
	}
	if d.Rows != nil {
		d.Rows.print(&b, st)
	}
	return b.String()
}

func (r *Rows) print(b *strings.Builder, st term.Style) {
	fmt.Fprintf(b, "\n%s\n", st.Bold("rows"))
	if r.Unequal != "" {
		fmt.Fprintf(b, "  cannot be compared: %s\n", r.Unequal)
		return
	}
	fmt.Fprintf(b, "  %s and %s; %s equal, %s differ, %s only in the first, %s only in the second\n",
		term.Int(r.A), term.Int(r.B), term.Int(r.Equal), term.Int(r.Differ), term.Int(r.OnlyA), term.Int(r.OnlyB))
	if len(r.Columns) > 0 {
		b.WriteByte('\n')
		var rows [][]string
		for _, c := range r.Columns {
			line := []string{c.Name, term.Int(c.Differ), "", "", "", "", ""}
			if l := c.Largest; l != nil {
				line = []string{c.Name, term.Int(c.Differ), fmt.Sprintf("%.3g", c.MaxAbs), fmt.Sprintf("%.3g", c.MaxRel),
					l.Cells[0].A, l.Cells[0].B, l.Entity + " " + market.FormatTime(l.RowTS)}
			}
			rows = append(rows, line)
		}
		b.WriteString(st.Table([]term.Column{{Head: "column"}, {Head: "rows", Right: true}, {Head: "most", Right: true}, {Head: "relative", Right: true},
			{Head: "first", Right: true}, {Head: "second", Right: true}, {Head: "where"}}, rows))
	}
	for i, at := range r.First {
		if i == 0 {
			b.WriteString("\n  the first of them:\n")
		}
		fmt.Fprintf(b, "  %s %s", at.Entity, market.FormatTime(at.RowTS))
		switch at.Only {
		case "a":
			b.WriteString("  only in the first")
		case "b":
			b.WriteString("  only in the second")
		}
		b.WriteByte('\n')
		for _, c := range at.Cells {
			fmt.Fprintf(b, "    %s: %s %s %s\n", c.Column, st.Red(orNull(c.A)), "→", st.Green(orNull(c.B)))
		}
	}
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return s
}
