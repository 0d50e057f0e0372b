package sweep

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Grid is one metric over two parameters, or one: with more, a cell is the best over the
// others.
type Grid struct {
	X, Y   Dim // Y has no values when one parameter is swept
	Metric string
	Cells  [][]float64 // by y, then x; NaN for none
	BestX  int
	BestY  int
	Least  bool
}

// Grid lays the metric that variants are ordered by over the two parameters with the most
// values.
func (r *Result) Grid(least bool) Grid {
	order := make([]int, len(r.Dims))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(r.Dims[b].Values) - len(r.Dims[a].Values) })
	x, y := order[0], -1
	g := Grid{X: r.Dims[x], Metric: r.Metrics[r.By], Least: least}
	rows := 1
	if len(order) > 1 {
		y = order[1]
		g.Y = r.Dims[y]
		rows = len(g.Y.Values)
	}
	for range rows {
		row := make([]float64, len(g.X.Values))
		for i := range row {
			row[i] = math.NaN()
		}
		g.Cells = append(g.Cells, row)
	}
	for i := range r.Variants { // the best first
		v := &r.Variants[i]
		cx, cy := slices.Index(g.X.Values, v.Values[x]), 0
		if y >= 0 {
			cy = slices.Index(g.Y.Values, v.Values[y])
		}
		if i == 0 {
			g.BestX, g.BestY = cx, cy
		}
		if math.IsNaN(g.Cells[cy][cx]) {
			g.Cells[cy][cx] = v.Metrics[r.By]
		}
	}
	return g
}

// Measures of the picture in pixels.
const (
	left, top, right, bottom = 110, 48, 120, 74
	widest                   = 900
	highest                  = 560
	charWidth                = 7
)

// SVG draws the grid as a heat map, the best cell framed; over one parameter as bars.
func (g *Grid) SVG(title string) string {
	nx, ny := len(g.X.Values), len(g.Cells)
	if len(g.Y.Values) == 0 {
		return g.bars(title)
	}
	cw, ch := clampInt(widest/nx, 3, 64), clampInt(highest/ny, 3, 40)
	lo, hi := g.bounds()
	var b strings.Builder
	text := g.head(&b, title, left+nx*cw+right, top+ny*ch+bottom)
	for y, row := range g.Cells {
		for x, v := range row {
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", left+x*cw, top+y*ch, cw, ch, colour(v, lo, hi))
		}
	}
	g.axes(text, cw, ny*ch)
	for _, i := range ticks(ny, (14+ch-1)/ch) {
		text(left-8, top+i*ch+ch/2+4, "end", "#1b1f24", g.Y.Values[i])
	}
	text(left-8, top-8, "end", "#57606a", g.Y.Name)
	if lo <= hi {
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#d1242f" stroke-width="2"/>`+"\n",
			left+g.BestX*cw, top+g.BestY*ch, cw, ch)
		g.legend(&b, text, left+nx*cw+24, lo, hi)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// head begins a picture and returns what writes text into it.
func (g *Grid) head(b *strings.Builder, title string, w, h int) func(x, y int, anchor, fill, s string) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="ui-monospace,Menlo,Consolas,monospace" font-size="12">`+"\n", w, h, w, h)
	fmt.Fprintf(b, "<title>%s</title>\n<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", escape(title), w, h)
	text := func(x, y int, anchor, fill, s string) {
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, fill, escape(s))
	}
	text(left, 20, "start", "#1b1f24", title)
	best := number(g.Cells[g.BestY][g.BestX])
	if best == "" {
		best = "no variant has a value"
	}
	text(left, 38, "start", "#57606a", "best: "+best)
	return text
}

// axes labels the values of the first parameter below cells or bars of some height.
func (g *Grid) axes(text func(x, y int, anchor, fill, s string), cw, high int) {
	longest := 0
	for _, v := range g.X.Values {
		longest = max(longest, len(v))
	}
	for _, i := range ticks(len(g.X.Values), ((longest+1)*charWidth+cw-1)/cw) {
		text(left+i*cw+cw/2, top+high+18, "middle", "#1b1f24", g.X.Values[i])
	}
	text(left+len(g.X.Values)*cw/2, top+high+42, "middle", "#57606a", g.X.Name)
}

// ticks are the indexes that are labelled, at least apart apart.
func ticks(n, apart int) []int {
	var at []int
	for i := 0; i < n; i += max(1, apart) {
		at = append(at, i)
	}
	return at
}

func (g *Grid) legend(b *strings.Builder, text func(x, y int, anchor, fill, s string), x int, lo, hi float64) {
	const steps, step = 20, 6
	for i := range steps {
		v := hi - (hi-lo)*float64(i)/(steps-1)
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="14" height="%d" fill="%s"/>`+"\n", x, top+i*step, step, colour(v, lo, hi))
	}
	text(x+20, top+9, "start", "#1b1f24", number(hi))
	text(x+20, top+steps*step, "start", "#1b1f24", number(lo))
}

func (g *Grid) bounds() (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, row := range g.Cells {
		for _, v := range row {
			if !math.IsNaN(v) {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	return lo, hi
}

// ramp goes from dark blue over green to yellow, each step lighter than the one before, so
// that it is legible without colours (after viridis, Smith and van der Walt 2015).
var ramp = [][3]float64{{68, 1, 84}, {59, 82, 139}, {33, 145, 140}, {94, 201, 98}, {253, 231, 37}}

func colour(v, lo, hi float64) string {
	if math.IsNaN(v) {
		return "#e6e8eb"
	}
	t := 0.5
	if hi > lo {
		t = (v - lo) / (hi - lo)
	}
	f := t * float64(len(ramp)-1)
	i := clampInt(int(f), 0, len(ramp)-2)
	f -= float64(i)
	var c [3]int
	for k := range c {
		c[k] = int(math.Round(ramp[i][k]*(1-f) + ramp[i+1][k]*f))
	}
	return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2])
}

func clampInt(x, lo, hi int) int { return min(max(x, lo), hi) }

// number prints a metric for people.
func number(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
