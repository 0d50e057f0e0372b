package causal

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// compare holds the rows of a view that were known at the cut to those of another run.
// Both are ordered by row_ts and entity; several of one instant pair up in their order.
func (c *checker) compare(v int, got *result, cut int64) (*Leak, int64) {
	a, b := &c.base.rows.Views[v], &got.rows.Views[v]
	rows, j := int64(0), 0
	order := func(i, j int) int {
		switch {
		case a.RowTS[i] < b.RowTS[j]:
			return -1
		case a.RowTS[i] > b.RowTS[j]:
			return 1
		}
		return slices.Compare(c.base.task.EntityNames(v, a.Entity[i]), got.task.EntityNames(v, b.Entity[j]))
	}
	for i := range a.Len() {
		for j < b.Len() && order(i, j) > 0 {
			j++
		}
		found := j < b.Len() && order(i, j) == 0
		if a.Avail[i]-c.early <= cut {
			rows++
			if !found {
				return c.leak(v, i, "", "a row", "no row"), rows
			}
			if column, x, y := c.differ(v, a, b, i, j); column != "" {
				return c.leak(v, i, column, x, y), rows
			}
		}
		if found {
			j++
		}
	}
	return nil, rows
}

// differ finds the first column in which two rows differ, and its values.
func (c *checker) differ(v int, a, b *features.ViewRows, i, j int) (column, x, y string) {
	o := &c.plan.Outputs()[v]
	fields := run.Schema(o, "").Fields[len(o.Entity):]
	for k, pair := range [][2]int64{{a.Start[i], b.Start[j]}, {a.End[i], b.End[j]}, {a.RowTS[i], b.RowTS[j]}, {a.Avail[i], b.Avail[j]},
		{int64(a.Flags[i]), int64(b.Flags[j])}} {
		if pair[0] != pair[1] {
			return fields[k].Name, word(&fields[k], pair[0]), word(&fields[k], pair[1])
		}
	}
	for k := range o.Fields {
		f := &fields[5+k]
		x, y := cell(f, &a.Features[k], i), cell(f, &b.Features[k], j)
		if x != y {
			return f.Name, x, y
		}
	}
	return "", "", ""
}

// word is a time or the flags of a row as text.
func word(f *rowfile.Field, x int64) string {
	return rowfile.Text(f, &rowfile.Col{I64: []int64{x}}, 0)
}

func cell(f *rowfile.Field, c *features.OutCol, i int) string {
	return rowfile.Text(f, &rowfile.Col{F64: c.F64, I64: c.I64, Hi: c.Hi, Lo: c.Lo, Bytes: c.Bytes, Off: c.Off, Null: c.Null}, i)
}

func (c *checker) leak(v, i int, column, whole, changed string) *Leak {
	a := &c.base.rows.Views[v]
	return &Leak{
		View: c.plan.Outputs()[v].Name, Entity: strings.Join(c.base.task.EntityNames(v, a.Entity[i]), " "), WindowStart: a.Start[i],
		RowTS: a.RowTS[i], AvailableAt: a.Avail[i] - c.early, Column: column, Whole: whole, Changed: changed,
	}
}

// Print words the result for people.
func (r *Result) Print(st term.Style) string {
	if r.Leak == nil {
		return fmt.Sprintf("%s: %s at %s, %s compared while %s changed: none moved\n", strings.Join(r.Views, ", "),
			counted(int64(r.Runs), "run"), counted(int64(r.Cuts), "cut"), counted(r.Rows, "row"), counted(r.Changed, "event"))
	}
	l := r.Leak
	orNull := func(s string) string {
		if s == "" {
			return "null"
		}
		return s
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s looks ahead\n\n", st.Bold(l.View))
	line := func(head, text string) { fmt.Fprintf(&b, "  %-13s %s\n", head, text) }
	line("row", fmt.Sprintf("%s, window_start %s, row_ts %s", l.Entity, market.FormatTime(l.WindowStart), market.FormatTime(l.RowTS)))
	line("available_at", market.FormatTime(l.AvailableAt))
	line("cut", fmt.Sprintf("%s; the events after it %s", market.FormatTime(l.Cut), l.How))
	if l.Column == "" {
		line("moved", "the row is gone")
	} else {
		line("moved", fmt.Sprintf("%s: %s → %s", l.Column, st.Green(orNull(l.Whole)), st.Red(orNull(l.Changed))))
	}
	line("by", l.Event)
	return b.String()
}

func counted(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return term.Int(n) + " " + thing + "s"
}
