package describe

import (
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/market"
)

// node is a box of the picture: a kind of event or a view.
type node struct {
	id    string
	lines []string // the first one is the name
	input bool
	level int
	from  []int // indexes of nodes
	x, y  int
	w, h  int
}

// graph lists the boxes, inputs first, then views with parents before children.
func (c *Compiled) graph() []node {
	var ns []node
	at := map[string]int{}
	for _, in := range c.Inputs {
		n := node{id: "kind:" + in.Kind.String(), lines: []string{in.Kind.String()}, input: true}
		for lo := 0; lo < len(in.Columns); lo += 3 {
			n.lines = append(n.lines, strings.Join(in.Columns[lo:min(len(in.Columns), lo+3)], ", "))
		}
		at[n.id] = len(ns)
		ns = append(ns, n)
	}
	for i := range c.Views {
		v := &c.Views[i]
		n := node{id: "view:" + v.Name, lines: []string{v.Name, v.window(), "by " + strings.Join(v.Entity, ", "), fmt.Sprintf("%d features", len(v.Fields))}}
		src := "view:" + v.from()
		if v.Lang.Parent == nil {
			src = "kind:" + v.from()
		}
		if p, ok := at[src]; ok {
			n.from = append(n.from, p)
			n.level = ns[p].level + 1
		} else if v.Lang.Kind != market.KindNone {
			n.level = 1
		}
		at[n.id] = len(ns)
		ns = append(ns, n)
	}
	return ns
}

// DOT is the plan as Graphviz reads it.
func (c *Compiled) DOT() string {
	var b strings.Builder
	b.WriteString("digraph plan {\n  rankdir=LR;\n  node [shape=box, fontname=\"monospace\"];\n")
	ns := c.graph()
	for _, n := range ns {
		style := ""
		if n.input {
			style = ", style=rounded"
		}
		fmt.Fprintf(&b, "  %q [label=%q%s];\n", n.id, strings.Join(n.lines, "\n"), style)
	}
	for _, n := range ns {
		for _, f := range n.from {
			fmt.Fprintf(&b, "  %q -> %q;\n", ns[f].id, n.id)
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// Measures of the picture in pixels. A monospace character is taken as 7.3 px wide at
// 12 px; all results are integers, so the bytes are the same everywhere.
const (
	charWidth10 = 73 // tenths
	lineHeight  = 17
	boxPad      = 12
	levelGap    = 64
	boxGap      = 22
	margin      = 16
)

// place gives every box its column by level and its row in the order of its parents.
func place(ns []node) (width, height int) {
	levels := 0
	for i := range ns {
		n := &ns[i]
		longest := 0
		for _, l := range n.lines {
			longest = max(longest, len([]rune(l)))
		}
		n.w = (longest*charWidth10+9)/10 + 2*boxPad
		n.h = len(n.lines)*lineHeight + 2*boxPad - 4
		levels = max(levels, n.level+1)
	}
	x := margin
	for level := range levels {
		wide, y := 0, margin
		for i := range ns {
			n := &ns[i]
			if n.level != level {
				continue
			}
			n.x = x
			if len(n.from) > 0 { // beside its parent where there is room
				p := &ns[n.from[0]]
				y = max(y, p.y)
			}
			n.y = y
			y += n.h + boxGap
			wide = max(wide, n.w)
			height = max(height, n.y+n.h+margin)
		}
		for i := range ns {
			if ns[i].level == level {
				ns[i].w = wide
			}
		}
		x += wide + levelGap
	}
	return x - levelGap + margin, height
}

// SVG draws the plan: inputs left, views to the right of what they read. Boxes have
// their own light ground and dark text and lines are of a middle grey, so the picture is
// legible on paper and on a dark page.
func (c *Compiled) SVG() string {
	ns := c.graph()
	w, h := place(ns)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="ui-monospace,Menlo,Consolas,monospace" font-size="12">`+"\n", w, h, w, h)
	var names []string
	for _, v := range c.Views {
		names = append(names, v.Name)
	}
	fmt.Fprintf(&b, "<title>Plan of %s</title>\n", escape(strings.Join(names, ", ")))
	b.WriteString(`<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#7d8590"/></marker></defs>` + "\n")
	for _, n := range ns {
		for _, f := range n.from {
			p := &ns[f]
			x1, y1, x2, y2 := p.x+p.w, p.y+p.h/2, n.x, n.y+n.h/2
			mid := (x1 + x2) / 2
			fmt.Fprintf(&b, `<path d="M%d %dC%d %d %d %d %d %d" fill="none" stroke="#7d8590" stroke-width="1.5" marker-end="url(#a)"/>`+"\n", x1, y1, mid, y1, mid, y2, x2, y2)
		}
	}
	for _, n := range ns {
		fill, stroke, round := "#eaf2fb", "#2f6fb5", 4
		if n.input {
			fill, stroke, round = "#f3f1ea", "#8a7a48", 14
		}
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" rx="%d" fill="%s" stroke="%s" stroke-width="1.5"/>`+"\n", n.x, n.y, n.w, n.h, round, fill, stroke)
		for i, l := range n.lines {
			weight := ""
			if i == 0 {
				weight = ` font-weight="700"`
			}
			fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#1b1f24"%s>%s</text>`+"\n", n.x+boxPad, n.y+boxPad+9+i*lineHeight, weight, escape(l))
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
