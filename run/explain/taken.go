package explain

import (
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// part is a row that went into another one.
type part struct {
	in     *item
	k      int             // its place in the series, of what is joined that of the row
	role   string          // "" for a row of the view's input
	age    string          // at the time of the row
	reads  map[string]bool // of a joined row and a tick: the columns that are read
	expand bool            // to be shown with its formulas
}

// columns are those of an event as a view took it.
func (p *part) columns(s *series) (out []Column) {
	ev := p.in.ev
	if s.cross && p.role == "" {
		out = append(out, Column{member(s.v), ev.names[member(s.v)]})
	}
	if p.role != "" && !strings.HasPrefix(p.role, "held") {
		out = append(out, Column{"instrument", ev.names["exchange"] + "/" + ev.names["market"] + "/" + ev.names["symbol"]})
	}
	for _, c := range ev.Columns {
		switch {
		case p.in.part != nil && c.Name == p.in.divided:
			out = append(out, Column{c.Name, decimalText(p.in.part)}, Column{"of", c.Value})
		case p.in.input > 0 && p.role == "":
			out = append(out, Column{s.v.Union[p.in.input-1].Alias + "." + c.Name, c.Value})
		case !s.cross || c.Name != member(s.v):
			out = append(out, c)
		}
	}
	return append(out, p.joined(s.v)...)
}

func member(v *lang.View) string { return v.Window.Member }

// joined are the columns that a row joins.
func (p *part) joined(v *lang.View) (out []Column) {
	for i := range v.Columns {
		if c := &v.Columns[i]; c.Join > 0 && p.role == "" && len(p.in.joined) >= c.Join {
			out = append(out, Column{c.Name, show(p.in.column(c), c.Type)})
		}
	}
	return out
}

// taken lists what went into a row: the row before the window whose value went in, the rows
// of the window or those that its scans and frames took, in order; then what they and it
// joined, and its ticks.
func (c *computed) taken() (out []part) {
	s := c.s
	rows := c.window()
	for _, k := range c.heldBefore() {
		out = append(out, part{in: &s.rows[k], k: k, role: "held from before the window", age: age(c.start, s.rows[k].ts, &s.rows[k]), reads: read(c.v)})
	}
	for _, k := range rows {
		p := part{in: &s.rows[k], k: k}
		if s.cross {
			p.age = age(c.rowTS, p.in.ts, p.in)
		}
		out = append(out, p)
	}
	seen := map[*item]bool{}
	for _, k := range rows {
		out = joinedParts(out, s.v, s.rows[k].joined, k, s.rows[k].ts, c.v.Window.Kind == lang.NoWindow && k == c.lo, seen)
		for _, ev := range s.rows[k].listing {
			in := fromEvent(ev)
			out = append(out, part{in: &in, k: k, role: "lists the member", age: age(c.rowTS, ev.ts, &in)})
		}
	}
	out = joinedParts(out, s.v, c.joined, len(s.rows), c.rowTS, true, seen)
	reads := map[string]bool{}
	for _, f := range s.v.Features {
		clockReads(f.Node, reads)
	}
	if c.before != nil {
		out = append(out, part{in: &item{row: c.before}, k: len(s.rows), role: "tick before", reads: reads})
	}
	if c.tick != nil {
		out = append(out, part{in: &item{row: c.tick}, k: len(s.rows), role: "tick", reads: reads, expand: true})
	}
	return out
}

// window are the places of the rows that a row was made of: those of its window, and those
// that its scans and frames took.
func (c *computed) window() (out []int) {
	s := c.s
	rowView := c.v.Window.Kind == lang.NoWindow
	if frames := rowView && len(s.v.Aggs) > 0; s.cross || !s.v.HasScans() && !frames {
		for k := c.lo; k < c.hi; k++ {
			out = append(out, k)
		}
		return out
	}
	m := marks{s: s, rows: make([]bool, len(s.rows)), seen: map[markKey]bool{}}
	for k := c.lo; k < c.hi; k++ {
		m.rows[k] = true
		for _, a := range s.v.Aggs {
			if !rowView {
				m.agg(a, k)
			}
		}
		for _, f := range s.v.Features {
			if rowView {
				m.node(f.Node, k, s.served(k))
			}
		}
	}
	for k, used := range m.rows {
		if used {
			out = append(out, k)
		}
	}
	return out
}

func age(t, ts int64, in *item) string {
	if in.ev == nil && in.row == nil {
		return ""
	}
	return ago(t - ts)
}

func joinedParts(out []part, v *lang.View, joined []*item, k int, t int64, expand bool, seen map[*item]bool) []part {
	for i, m := range joined {
		if m == nil || seen[m] {
			continue
		}
		seen[m] = true
		j := v.Joins[i]
		reads := map[string]bool{}
		for _, c := range j.Kept {
			reads[c.Name] = true
		}
		out = append(out, part{in: m, k: k, role: "joined as " + j.Alias, age: age(t, m.ts, m), reads: reads, expand: expand})
	}
	return out
}

func clockReads(n *lang.Node, out map[string]bool) {
	if n.Op == lang.NClock {
		out[n.Fn] = true
	}
	for _, a := range n.Args {
		clockReads(a, out)
	}
}

// heldBefore are the rows ahead of the window whose values went in, by carry.
func (c *computed) heldBefore() []int {
	if c.lo == 0 || c.v.Window.Carry == 0 || c.start-c.s.rows[c.lo-1].ts > c.v.Window.Carry {
		return nil
	}
	w := &window{s: c.s, lo: c.lo, hi: c.hi, start: c.start, end: c.end, carry: c.v.Window.Carry}
	used := map[int]bool{}
	for _, a := range c.s.v.Aggs {
		flat := c.lo == c.hi && c.v.Empty == "flat" && a.Fn != "count" && a.Fn != "sum"
		if a.Fn != "time_mean" && !flat {
			continue
		}
		for k := c.lo - 1; k >= 0 && c.start-c.s.rows[k].ts <= w.carry; k-- {
			_, ok := w.take(a, k)
			if ok || a.Fn == "time_mean" && ends(c.s.v, a, w, k) {
				used[k] = true
				break
			}
		}
	}
	if c.lo == c.hi {
		used[c.lo-1] = true // without it there were no row
	}
	var out []int
	for k := range used {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

type markKey struct {
	n      *lang.Node
	k      int
	period int64
}

// marks tells which rows of a series a value is made of, through scans and frames.
type marks struct {
	s    *series
	rows []bool
	seen map[markKey]bool
}

func (m *marks) agg(a *lang.Agg, k int) {
	if a.Where != nil {
		m.node(a.Where, k, m.s.served(k))
	}
	for _, x := range a.Args {
		m.node(x, k, m.s.served(k))
	}
}

func (m *marks) node(n *lang.Node, k int, period int64) {
	switch n.Op {
	case lang.NConst:
		return
	case lang.NColumn:
		m.rows[k] = true
		return
	case lang.NFeature:
		m.node(m.s.v.Features[n.Index].Node, k, period)
		return
	case lang.NScan:
		m.scan(n, k, period)
		return
	case lang.NAgg:
		if m.s.cross || m.done(n, k, 0) {
			return
		}
		a := m.s.v.Aggs[n.Index]
		lo, hi := m.s.frameRows(a.Over, k)
		for j := lo; j < hi; j++ {
			m.rows[j] = true
			m.agg(a, j)
		}
		return
	}
	for _, a := range n.Args {
		m.node(a, k, period)
	}
}

func (m *marks) done(n *lang.Node, k int, period int64) bool {
	key := markKey{n, k, period}
	was := m.seen[key]
	m.seen[key] = true
	return was
}

func (m *marks) scan(n *lang.Node, k int, period int64) {
	t := m.s.trace(n, period)
	if n.Fn == "prev" || n.Fn == "since" {
		if j := t.at[k]; j >= 0 && !m.done(n, k, period) {
			m.rows[j] = true
			m.node(n.Args[0], j, period)
		}
		return
	}
	for j := k; j >= t.first && !m.done(n, j, period); j-- {
		m.rows[j] = true
		m.node(n.Args[0], j, period)
	}
}

// behind collects the events that a row was made of, through all rows below.
func (c *computed) behind(out map[*Event]bool, seen map[*computed]bool) {
	if seen[c] {
		return
	}
	seen[c] = true
	for _, p := range c.taken() {
		if p.in.ev != nil {
			out[p.in.ev] = true
		}
		if p.in.row != nil {
			p.in.row.behind(out, seen)
		}
	}
}

// carried are the states of the scans of some features as of an earlier row.
func (c *computed) carried(k int, which func(name string) bool) (out []Carried) {
	seen := map[string]bool{}
	var walk func(n *lang.Node)
	walk = func(n *lang.Node) {
		if n.Op == lang.NFeature {
			walk(c.s.v.Features[n.Index].Node)
		}
		for _, a := range n.Args {
			walk(a)
		}
		if n.Op != lang.NScan || n.Fn == "prev" || n.Fn == "since" {
			return
		}
		t := c.s.trace(n, c.s.served(c.lo))
		y := Carried{Scan: text(c.s.v, n), Value: show(t.vals[k], n.Type), RowTS: market.FormatTime(c.s.rows[k].ts), Inputs: t.at[k]}
		weight := string(rowfile.AppendFloat(nil, t.weight[k]))
		switch {
		case n.Fn == "ewm":
			y.Weight = weight
		case t.vals[k] == nil && t.at[k] > 0:
			y.Sum = weight
		}
		if !seen[y.Scan] {
			seen[y.Scan] = true
			out = append(out, y)
		}
	}
	for _, f := range c.s.v.Features {
		if which(f.Name) {
			walk(f.Node)
		}
	}
	return out
}
