package sweep

import (
	"fmt"
	"math"
	"strings"
)

// Measures of bars in pixels.
const (
	barHeight = 160
	barGap    = 4
)

// bars draws a metric over one parameter: a bar from zero for each value with its number at
// its end, where there is room for it. The colours are those of the heat map.
func (g *Grid) bars(title string) string {
	row := g.Cells[0]
	lo, hi := g.bounds()
	widestNumber := 0
	for _, v := range row {
		widestNumber = max(widestNumber, len(number(v)))
	}
	cw := clampInt(widest/len(row), 3, max(64, (widestNumber+1)*charWidth))
	w, h := left+len(row)*cw+right, top+barHeight+bottom
	var b strings.Builder
	text := g.head(&b, title, w, h)
	from, to := math.Min(lo, 0), math.Max(hi, 0)
	if lo > hi || from == to {
		from, to = 0, 1
	}
	y := func(v float64) int { // room for a number above and below
		return top + 16 + int(math.Round((to-v)/(to-from)*(barHeight-32)))
	}
	for i, v := range row {
		if math.IsNaN(v) {
			continue
		}
		x, above, below := left+i*cw, min(y(v), y(0)), max(y(v), y(0))
		space := min(barGap, cw/3)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", x+space/2, above, cw-space, max(below-above, 1), colour(v, lo, hi))
		if i == g.BestX {
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#d1242f" stroke-width="2"/>`+"\n", x+space/2, above, cw-space, max(below-above, 1))
		}
		if cw >= (len(number(v))+1)*charWidth {
			at := above - 4
			if v < 0 {
				at = below + 12
			}
			text(x+cw/2, at, "middle", "#1b1f24", number(v))
		}
	}
	fmt.Fprintf(&b, `<path d="M%d %dh%d" stroke="#57606a" stroke-width="1"/>`+"\n", left, y(0), len(row)*cw)
	text(left-8, y(0)+4, "end", "#1b1f24", "0")
	if to > 0 && len(row) > 0 {
		text(left-8, y(to)+4, "end", "#1b1f24", number(to))
	}
	if from < 0 {
		text(left-8, y(from)+4, "end", "#1b1f24", number(from))
	}
	g.axes(text, cw, barHeight)
	b.WriteString("</svg>\n")
	return b.String()
}
