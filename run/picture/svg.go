package picture

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pinova-group/tidemark/market"
)

// Measures in pixels.
const (
	left, right, top = 96, 32, 56
	width, height    = 860, 132 // of a panel
	gap              = 26
)

// palette tells eight lines apart, also for people who do not see all colours (Okabe and
// Ito 2008).
var palette = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#8a7a48"}

// SVG draws what was gathered.
func (p *Picture) SVG(title string) string {
	names := slices.Sorted(slices.Values(p.order))
	bottom := 36 + 18*((len(names)+2)/3)
	h := top + len(p.cols)*(height+gap) + bottom
	w := left + width + right
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="ui-monospace,Menlo,Consolas,monospace" font-size="12">`+"\n", w, h, w, h)
	fmt.Fprintf(&b, "<title>%s</title>\n<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", escape(title), w, h)
	text(&b, left, 24, "start", "#1b1f24", title)
	from, to := p.span()
	if from > to {
		text(&b, left, top, "start", "#57606a", "no rows")
		b.WriteString("</svg>\n")
		return b.String()
	}
	text(&b, left, 42, "start", "#57606a", market.FormatTime(from)+" to "+market.FormatTime(to))
	for k := range p.cols {
		p.panel(&b, k, top+k*(height+gap)+gap/2, from, to, names)
	}
	y := top + len(p.cols)*(height+gap) + 8
	p.clock(&b, y, from, to)
	for i, n := range names {
		x, yy := left+(i%3)*290, y+30+18*(i/3)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="14" height="4" fill="%s"/>`+"\n", x, yy-6, palette[i])
		text(&b, x+20, yy, "start", "#1b1f24", n)
	}
	if n := len(p.more); n > 0 {
		text(&b, w-right, 42, "end", "#57606a", fmt.Sprintf("%d more entities are not drawn", n))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (p *Picture) span() (from, to int64) {
	from, to = math.MaxInt64, math.MinInt64
	for _, l := range p.lines {
		for _, t := range l.t {
			from, to = min(from, t), max(to, t)
		}
	}
	return from, to
}

// panel draws one feature of all entities.
func (p *Picture) panel(b *strings.Builder, k, y int, from, to int64, names []string) {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, l := range p.lines {
		for _, v := range l.v[k] {
			if !math.IsNaN(v) {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	f := p.schema.Fields[p.cols[k]]
	label := f.Name
	if f.Unit != "" {
		label += " (" + f.Unit + ")"
	}
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="#f6f8fa"/>`+"\n", left, y, width, height)
	text(b, left, y-5, "start", "#57606a", label)
	if lo > hi {
		text(b, left+width/2, y+height/2, "middle", "#57606a", "no value")
		return
	}
	if lo == hi {
		pad := max(math.Abs(lo)/1000, 1e-9)
		lo, hi = lo-pad, hi+pad
	}
	step := round(hi - lo)
	for v := math.Ceil(lo/step) * step; v <= hi; v += step {
		yy := y + int(math.Round(height-(v-lo)/(hi-lo)*height))
		fmt.Fprintf(b, `<path d="M%d %dh%d" stroke="#d0d7de" stroke-width="0.5"/>`+"\n", left, yy, width)
		text(b, left-6, yy+4, "end", "#1b1f24", digits(v, step))
	}
	for i, n := range names {
		l := p.lines[n]
		path := l.path(k, func(t int64) int { return left + int(float64(t-from)/float64(max(to-from, 1))*width) },
			func(v float64) float64 { return float64(y+height) - (v-lo)/(hi-lo)*height })
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.2" stroke-linejoin="round"/>`+"\n", path, palette[i])
	}
}

// path draws at most a few points for each pixel: first, least, greatest, last. A null
// lifts the pen.
func (l *line) path(k int, x func(int64) int, y func(float64) float64) string {
	var b strings.Builder
	pen := false
	v := l.v[k]
	for i := 0; i < len(v); {
		px := x(l.t[i])
		j := i
		for j < len(v) && x(l.t[j]) == px {
			j++
		}
		for _, at := range extremes(v[i:j]) {
			if math.IsNaN(v[i+at]) {
				pen = false
				continue
			}
			c := byte('L')
			if !pen {
				c = 'M'
			}
			fmt.Fprintf(&b, "%c%d %.1f", c, px, y(v[i+at]))
			pen = true
		}
		i = j
	}
	return b.String()
}

// extremes are the places of the first, least, greatest and last value, in order.
func extremes(v []float64) []int {
	if len(v) <= 4 {
		all := make([]int, len(v))
		for i := range all {
			all[i] = i
		}
		return all
	}
	lo, hi := 0, 0
	for i, x := range v {
		if x < v[lo] || math.IsNaN(v[lo]) {
			lo = i
		}
		if x > v[hi] || math.IsNaN(v[hi]) {
			hi = i
		}
	}
	at := []int{0, lo, hi, len(v) - 1}
	slices.Sort(at)
	return slices.Compact(at)
}

// clock labels the axis of time at round instants.
func (p *Picture) clock(b *strings.Builder, y int, from, to int64) {
	step := int64(1)
	for _, s := range []int64{1, 2, 5, 10, 20, 50, 100, 200, 500} {
		if s*market.Millisecond*8 >= to-from {
			step = s * market.Millisecond
			break
		}
	}
	if step == 1 {
		for _, s := range []int64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800, 2592000, 31536000} {
			step = s * market.Second
			if step*8 >= to-from {
				break
			}
		}
	}
	layout := "15:04:05"
	switch {
	case step < market.Second:
		layout = "15:04:05.000"
	case step >= market.Day:
		layout = "2006-01-02"
	case step >= market.Minute:
		layout = "15:04"
	}
	for t := -market.FloorDiv(-from, step) * step; t <= to; t += step {
		x := left + int(float64(t-from)/float64(max(to-from, 1))*width)
		fmt.Fprintf(b, `<path d="M%d %dv5" stroke="#57606a" stroke-width="1"/>`+"\n", x, y-12)
		text(b, x, y+7, "middle", "#1b1f24", time.UnixMicro(t).UTC().Format(layout))
	}
}

// round is the distance of the labels on an axis: 1, 2 or 5 times a power of ten, so that a
// span has three to six of them.
func round(span float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(span/4)))
	for _, k := range []float64{5, 2} {
		if unit*k <= span/2.5 {
			return unit * k
		}
	}
	return unit
}

// digits prints a label with the digits that tell it from the next one.
func digits(v, step float64) string {
	if math.Abs(v) < step/2 {
		return "0"
	}
	d := 0
	for s := step; s < 0.999 && d < 9; s *= 10 {
		d++
	}
	if math.Abs(v) >= 1e9 || d == 9 {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	return strconv.FormatFloat(v, 'f', d, 64)
}

func text(b *strings.Builder, x, y int, anchor, fill, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, fill, escape(s))
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
