package describe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
)

// shelves are the parts of the catalogue, by what a view does to its input.
var shelves = []struct {
	title, about string
	holds        func(v *lang.View) bool
}{
	{"Rows", "One row for each row of the input.", func(v *lang.View) bool { return v.Window.Kind == lang.NoWindow }},
	{"Bars on the clock", "Windows [start, end) on a grid of time.", func(v *lang.View) bool { return v.Window.Kind == lang.Tumbling }},
	{"Rolling windows", "Windows (t − width, t] for each t of a grid, or each event.", func(v *lang.View) bool { return v.Window.Kind == lang.Rolling }},
	{"Bars and sessions by activity", "Windows that end when enough has happened, or nothing for a while.", func(v *lang.View) bool {
		return v.Window.Kind == lang.Bar || v.Window.Kind == lang.Session
	}},
	{"Event clocks", "Windows that end at the rows of another view.", func(v *lang.View) bool { return v.Window.Kind == lang.Clock }},
	{"Across venues and instruments", "The latest of each member at each t of a grid.", func(v *lang.View) bool { return v.Window.Kind == lang.Latest }},
}

// Catalogue is the page of all shipped views.
func Catalogue() (string, error) {
	c, err := Compile(specs.Names(), nil)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("# The catalogue\n\nGenerated from the specs in `specs/`; `tidemark spec show NAME` prints one, `tidemark spec list` all.\n")
	fmt.Fprintf(&b, "%d views. A view runs as it is: `tidemark run --spec NAME --input FILE`. What each was compared with is in\n[oracles.md](oracles.md).\n", len(c.Views))
	for _, s := range shelves {
		var on []*View
		for i := range c.Views {
			if s.holds(c.Views[i].Lang) {
				on = append(on, &c.Views[i])
			}
		}
		if len(on) == 0 {
			continue
		}
		slices.SortFunc(on, func(a, b *View) int { return strings.Compare(a.Name, b.Name) })
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", s.title, s.about)
		for _, v := range on {
			v.entry(&b)
		}
	}
	return b.String(), nil
}

// entry is one view of the catalogue.
func (v *View) entry(b *strings.Builder) {
	fmt.Fprintf(b, "\n### `%s`\n\n", v.Name)
	for line := range strings.SplitSeq(strings.TrimSpace(v.Doc), "\n") {
		b.WriteString(strings.TrimSpace(line) + "\n")
		if strings.HasSuffix(line, ".") {
			b.WriteString("\n")
		}
	}
	if !strings.HasSuffix(b.String(), "\n\n") {
		b.WriteString("\n")
	}
	fmt.Fprintf(b, "From `%s` by %s; window: %s; looks back %s.\n\n", v.from(), strings.Join(v.Entity, ", "), v.window(), run.FormatDuration(v.Lookback))
	spec := v.Lang.Spec
	for _, p := range spec.Params {
		fmt.Fprintf(b, "`$%s` is %s unless set.\n\n", p.Name, v.Lang.Params[p.Name])
	}
	for _, d := range spec.Let {
		fmt.Fprintf(b, "- let `%s` = `%s`\n", d.Name, d.Expr)
	}
	if len(spec.Let) > 0 {
		b.WriteString("\n")
	}
	if spec.Rollup {
		fmt.Fprintf(b, "The features of [`%s`](#%s), their states merged.\n", v.from(), v.from())
		return
	}
	b.WriteString("| feature | formula | unit |\n|---|---|---|\n")
	for i, d := range spec.Features {
		fmt.Fprintf(b, "| `%s` | `%s` | %s |\n", d.Name, strings.ReplaceAll(d.Expr.String(), "|", "\\|"), v.Lang.Features[i].Type.Unit)
	}
	for _, a := range spec.Alerts {
		fmt.Fprintf(b, "\nAlert `%s` when `%s`", a.Name, a.When)
		if a.For != nil {
			fmt.Fprintf(b, " for %s", a.For)
		}
		if a.Clear != nil {
			fmt.Fprintf(b, ", until `%s`", a.Clear)
		}
		b.WriteString(".\n")
	}
}
