// Package picture draws result rows as lines over time: a panel for each feature, a line
// for each entity. It is a look at a run, not a chart that models learn from.
package picture

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// Bounds of a picture.
const (
	MaxPanels = 6
	maxLines  = 8     // entities drawn; more are counted
	maxPoints = 20000 // of a line before neighbours are merged, twice the pixels many times over
)

// Picture gathers rows. Memory is bounded: of a long line neighbours are merged into their
// extremes, which is all that a pixel shows.
type Picture struct {
	schema *rowfile.Schema
	at     int   // column of row_ts
	cols   []int // features drawn
	lines  map[string]*line
	order  []string
	more   map[string]bool // entities beyond maxLines
}

// line is one entity: times, and the values of each feature, NaN for null.
type line struct {
	t []int64
	v [][]float64
}

// New makes a picture of some features; without names of the first numeric ones.
func New(s *rowfile.Schema, names []string) (*Picture, error) {
	p := &Picture{schema: s, at: -1, lines: map[string]*line{}, more: map[string]bool{}}
	var known []string
	for i, f := range s.Fields {
		switch {
		case f.Name == "row_ts":
			p.at = i
		case p.at < 0 || f.Name == "available_at" || f.Name == "flags":
		case f.Type == market.TypeFloat || f.Type == market.TypeInt || f.Type == market.TypeDec || f.Type == market.TypeDur || f.Type == market.TypeBool:
			known = append(known, f.Name)
			if len(names) == 0 && len(p.cols) < MaxPanels {
				p.cols = append(p.cols, i)
			}
			if slices.Contains(names, f.Name) {
				p.cols = append(p.cols, i)
			}
		}
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, fmt.Errorf("no numeric feature is called %q; there are %s", n, strings.Join(known, " "))
		}
	}
	if len(p.cols) == 0 || len(p.cols) > MaxPanels {
		return nil, fmt.Errorf("a picture has 1 to %d numeric features; there are %s", MaxPanels, strings.Join(known, " "))
	}
	return p, nil
}

// Add takes rows.
func (p *Picture) Add(b *rowfile.Batch) {
	for i := range b.N {
		name := p.entity(b, i)
		l := p.lines[name]
		if l == nil {
			if len(p.lines) == maxLines {
				p.more[name] = true
				continue
			}
			l = &line{v: make([][]float64, len(p.cols))}
			p.lines[name], p.order = l, append(p.order, name)
		}
		l.t = append(l.t, b.Cols[p.at].I64[i])
		for k, c := range p.cols {
			l.v[k] = append(l.v[k], number(&p.schema.Fields[c], &b.Cols[c], i))
		}
		if len(l.t) >= maxPoints {
			l.halve()
		}
	}
}

// entity is the text columns before the times.
func (p *Picture) entity(b *rowfile.Batch, i int) string {
	var parts []string
	for k, f := range p.schema.Fields {
		if f.Type != market.TypeText {
			break
		}
		parts = append(parts, string(b.Cols[k].Text(i)))
	}
	return strings.Join(parts, "/")
}

func number(f *rowfile.Field, c *rowfile.Col, i int) float64 {
	switch {
	case c.IsNull(i):
		return math.NaN()
	case f.Type == market.TypeFloat:
		return c.F64[i]
	case f.Type == market.TypeDec:
		return (float64(c.Hi[i])*(1<<64) + float64(c.Lo[i])) / math.Pow10(int(f.Scale))
	}
	return float64(c.I64[i])
}

// halve merges each four rows into two that hold the least and the greatest of each value.
func (l *line) halve() {
	n := len(l.t) / 4 * 2
	for i := range n / 2 {
		l.t[2*i], l.t[2*i+1] = l.t[4*i], l.t[4*i+3]
	}
	for k, v := range l.v {
		for i := range n / 2 {
			four := v[4*i : 4*i+4]
			lo, hi := math.NaN(), math.NaN()
			for _, x := range four {
				if !math.IsNaN(x) {
					if math.IsNaN(lo) {
						lo, hi = x, x
					}
					lo, hi = min(lo, x), max(hi, x)
				}
			}
			if four[0] > four[3] {
				lo, hi = hi, lo
			}
			v[2*i], v[2*i+1] = lo, hi
		}
		l.v[k] = v[:n]
	}
	l.t = l.t[:n]
}
