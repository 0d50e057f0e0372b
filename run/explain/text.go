package explain

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/internal/term"
)

// Text draws the explanation as a tree.
func (x *Explanation) Text(st term.Style) string {
	p := printer{st: st}
	p.line(0, "%s %s", st.Bold(fmt.Sprintf("%s v%d", x.View, x.Version)), x.Entity)
	if x.Of > 1 {
		p.line(1, "row           %d of %d at this instant (--nth)", x.Nth, x.Of)
	}
	if x.Start == x.End && x.End == x.RowTS {
		p.line(1, "time          %s", x.RowTS)
	} else {
		p.line(1, "window        %s to %s", x.Start, x.End)
	}
	by := ""
	if x.AvailBy != "" {
		by = "  " + st.Faint(x.AvailBy)
	}
	p.line(1, "available_at  %s%s", x.Avail, by)
	if len(x.Flags) > 0 {
		p.line(1, "flags         %s", strings.Join(x.Flags, ", "))
	}
	p.features(0, x.Features)
	p.inputs(0, &x.Inputs)
	others := ""
	if x.Others > 0 {
		others = "  " + st.Faint(fmt.Sprintf("and %s of other entities", plural(x.Others, "event")))
	}
	p.line(0, "%s%s", st.Bold(fmt.Sprintf("left out %d", x.OutCount)), others)
	for i := range x.Out {
		o := &x.Out[i]
		p.line(1, "%s  %s %s  %s", o.Place, o.Verdict, o.Why, o.Time)
	}
	p.more(1, x.OutCount-len(x.Out))
	if x.Before != nil {
		p.line(0, "before the window")
		p.event(1, x.Before)
	}
	return p.b.String()
}

type printer struct {
	b  strings.Builder
	st term.Style
}

func (p *printer) line(depth int, format string, args ...any) {
	p.b.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(&p.b, format, args...)
	p.b.WriteByte('\n')
}

func (p *printer) features(depth int, list []Feature) {
	for _, f := range list {
		v := f.Value
		if v == "" {
			v = "null"
		}
		checked := ""
		if f.Recomputed != "" {
			checked = "  (recomputed: " + f.Recomputed + ")"
		}
		p.line(depth, "%s = %s%s", p.st.Bold(f.Name), v, checked)
		p.line(depth+1, "= %s", f.Formula)
		if f.Numbers != v && f.Numbers != f.Formula {
			p.line(depth+1, "= %s", f.Numbers)
		}
		for _, a := range f.Aggregates {
			at := fmt.Sprintf("over %d", a.Used)
			if a.Place != "" {
				at += ", at " + a.Place
			}
			p.line(depth+2, "%s = %s  %s", a.Text, a.Value, p.st.Faint(at))
		}
	}
}

// inputs lists what a row was computed from.
func (p *printer) inputs(depth int, in *Inputs) {
	listed, others, deep := 0, 0, false
	for i := range in.Rows {
		listed += one(in.Rows[i].Role == "")
		deep = deep || in.Rows[i].Inputs != nil
	}
	if listed > 0 {
		p.line(depth, "%s", p.st.Bold(fmt.Sprintf("computed from %s of %s", plural(in.own, "row"), in.Rows[0].View)))
		p.carried(depth+1, in)
		for i := range in.Rows {
			if in.Rows[i].Role == "" {
				p.row(depth+1, &in.Rows[i])
			}
		}
		p.more(depth+1, in.own-listed)
	}
	for i := range in.Rows {
		if in.Rows[i].Role != "" {
			others++
			p.row(depth, &in.Rows[i])
		}
	}
	if n := in.other - others; n > 0 {
		p.line(depth, "and %s joined before (--deep --limit 0 lists them)", plural(n, "row"))
	}
	p.line(depth, "%s", p.st.Bold("computed from "+plural(in.Count, "event")))
	if listed == 0 {
		p.carried(depth+1, in)
	}
	for i := range in.Events {
		p.event(depth+1, &in.Events[i])
	}
	p.more(depth+1, in.direct-len(in.Events))
	if in.RowCount > 0 && in.direct == 0 && !deep {
		p.line(depth+1, "behind these rows (--deep lists them)")
	}
}

func (p *printer) carried(depth int, in *Inputs) {
	for _, c := range in.Carried {
		more := ""
		switch {
		case c.Weight != "":
			more = " with weight " + c.Weight
		case c.Sum != "":
			more = ", sum so far " + c.Sum
		}
		p.line(depth, "before these: %s = %s%s  %s", c.Scan, c.Value, more, p.st.Faint(fmt.Sprintf("over %d, at %s", c.Inputs, c.RowTS)))
	}
}

func (p *printer) row(depth int, r *Row) {
	role, ago := "", ""
	if r.Role != "" {
		role = r.Role + "  " + r.View + "  "
	}
	if r.Age != "" {
		ago = "  age " + r.Age
	}
	p.line(depth, "%s%s  %s%s%s", role, r.when, r.Entity, columns(r.Values), ago)
	if r.Inputs != nil {
		p.features(depth+1, r.Features)
		p.inputs(depth+1, r.Inputs)
	}
}

func (p *printer) event(depth int, ev *Event) {
	role, ago := "", ""
	if ev.Role != "" {
		role = ev.Role + "  "
	}
	if ev.Age != "" {
		ago = "  age " + ev.Age
	}
	id := "  " + ev.ID
	if strings.HasSuffix(ev.Place, ":"+ev.ID) { // of a lake
		id = ""
	}
	p.line(depth, "%s%s  %s%s%s%s", role, ev.Place, ev.Time, id, columns(ev.Columns), ago)
}

func columns(cs []Column) string {
	var b strings.Builder
	for _, c := range cs {
		fmt.Fprintf(&b, "  %s=%s", c.Name, c.Value)
	}
	return b.String()
}

func (p *printer) more(depth, n int) {
	if n > 0 {
		p.line(depth, "… %d more (--limit 0 lists all)", n)
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
