package describe

import (
	"fmt"
	"slices"
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
	also  []int // what is looked up besides
	x, y  int
	w, h  int
}

// graph lists the boxes, inputs first, then views with parents before children.
func (c *Compiled) graph() []node {
	var ns []node
	at := map[string]int{}
	for _, in := range c.Inputs {
		n := node{id: "kind:" + in.Name, lines: []string{in.Name}, input: true}
		for lo := 0; lo < len(in.Columns); lo += 3 {
			n.lines = append(n.lines, strings.Join(in.Columns[lo:min(len(in.Columns), lo+3)], ", "))
		}
		at[n.id] = len(ns)
		ns = append(ns, n)
	}
	for i := range c.Views {
		v := &c.Views[i]
		n := node{id: "view:" + v.Name, lines: []string{v.Name, v.window(), "by " + strings.Join(v.Entity, ", "), counted(len(v.Fields), "feature")}}
		if k := len(v.Alerts); k > 0 {
			n.lines[3] += ", " + counted(k, "alert")
		}
		if p, ok := at[v.inputs()[0].id()]; ok {
			n.from = append(n.from, p)
			n.level = ns[p].level + 1
		} else if v.Lang.Kind != market.KindNone {
			n.level = 1
		}
		for _, id := range v.also() {
			if p, ok := at[id]; ok && !slices.Contains(n.from, p) {
				n.also = append(n.also, p)
				n.level = max(n.level, ns[p].level+1)
			}
		}
		at[n.id] = len(ns)
		ns = append(ns, n)
	}
	return ns
}

func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprint(n, " ", thing)
}

// also names what a view looks things up in besides its input.
func (v *View) also() []string {
	var ids []string
	for _, in := range v.inputs()[1:] {
		ids = append(ids, in.id())
	}
	if c := v.Lang.Window.Clock; c != nil {
		ids = append(ids, "view:"+c.Name)
	}
	if u := v.Lang.Spec.Window.Opts["universe"]; u != nil && u.Text == "listed" {
		ids = append(ids, "kind:"+market.KindInstrument.String())
	}
	return ids
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
		for _, f := range n.also {
			fmt.Fprintf(&b, "  %q -> %q [style=dashed];\n", ns[f].id, n.id)
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
	boxGap      = 14
	treeGap     = 16
	margin      = 16
)

// place gives every box its column by level, and rows so that what reads a box stands
// beside it: each box is the root of a tree of those that read it first, and the trees lie
// below each other, so lines of different inputs do not cross.
func place(ns []node) (width, height int) {
	levels := 0
	readers := make([][]int, len(ns))
	for i := range ns {
		n := &ns[i]
		longest := 0
		for _, l := range n.lines {
			longest = max(longest, len([]rune(l)))
		}
		n.w = (longest*charWidth10+9)/10 + 2*boxPad
		n.h = len(n.lines)*lineHeight + 2*boxPad - 4
		levels = max(levels, n.level+1)
		if len(n.from) > 0 {
			readers[n.from[0]] = append(readers[n.from[0]], i)
		}
	}
	x := margin
	for level := range levels {
		wide := 0
		for i := range ns {
			if ns[i].level == level {
				wide = max(wide, ns[i].w)
			}
		}
		for i := range ns {
			if ns[i].level == level {
				ns[i].x, ns[i].w = x, wide
			}
		}
		x += wide + levelGap
	}
	y := margin
	for i := range ns {
		if len(ns[i].from) == 0 {
			y = placeTree(ns, readers, i, y) + treeGap
		}
	}
	for i := range ns {
		height = max(height, ns[i].y+ns[i].h+margin)
	}
	return x - levelGap + margin, height
}

// placeTree places a box and what reads it from y on, the box in the middle of those, and
// returns where the next may begin.
func placeTree(ns []node, readers [][]int, i, y int) int {
	n := &ns[i]
	below := y
	for _, r := range readers[i] {
		below = placeTree(ns, readers, r, below)
	}
	n.y = y
	if rs := readers[i]; len(rs) > 0 {
		first, last := &ns[rs[0]], &ns[rs[len(rs)-1]]
		n.y = max(y, (first.y+last.y+last.h-n.h)/2)
	}
	return max(below, n.y+n.h+boxGap)
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
		for k, f := range append(slices.Clone(n.from), n.also...) {
			p, dash := &ns[f], ""
			if k >= len(n.from) {
				dash = ` stroke-dasharray="5 4"`
			}
			fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="#7d8590" stroke-width="1.5"%s marker-end="url(#a)"/>`+"\n", line(ns, p, &n), dash)
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

// line goes from the right side of a box to the left side of one that reads it. Past the
// columns between them it keeps a height at which no box stands: that of one of its ends,
// else below all.
func line(ns []node, from, to *node) string {
	x1, y1, x2, y2 := from.x+from.w, from.y+from.h/2, to.x, to.y+to.h/2
	if to.level-from.level < 2 {
		return fmt.Sprintf("M%d %d", x1, y1) + bend(x1, y1, x2, y2)
	}
	free := func(y int) bool {
		return !slices.ContainsFunc(ns, func(n node) bool {
			return n.level > from.level && n.level < to.level && y > n.y-boxGap/3 && y < n.y+n.h+boxGap/3
		})
	}
	y := y1
	for _, other := range []int{y2, from.y + from.h - boxPad, to.y + to.h - boxPad} {
		if !free(y) {
			y = other
		}
	}
	if !free(y) {
		for _, n := range ns {
			y = max(y, n.y+n.h+boxGap/2)
		}
	}
	return fmt.Sprintf("M%d %d", x1, y1) + bend(x1, y1, x1+levelGap, y) + fmt.Sprintf("H%d", x2-levelGap) + bend(x2-levelGap, y, x2, y2)
}

// bend is a curve that begins and ends level.
func bend(x1, y1, x2, y2 int) string {
	mid := (x1 + x2) / 2
	return fmt.Sprintf("C%d %d %d %d %d %d", mid, y1, mid, y2, x2, y2)
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
