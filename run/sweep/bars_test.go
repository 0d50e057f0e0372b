package sweep

import (
	"math"
	"strings"
	"testing"
)

// Over one parameter there is a bar for each value that has a metric, from zero up or down,
// the best one framed, and the numbers stand where there is room.
func TestGrid_Bars(t *testing.T) {
	t.Parallel()
	g := &Grid{X: Dim{Name: "n", Values: []string{"1", "2", "3"}}, Metric: "mean(x)", Cells: [][]float64{{2, math.NaN(), -1}}, BestX: 0}
	svg := g.SVG("one & only")
	if n := strings.Count(svg, "<rect"); n != 1+2+1 {
		t.Errorf("%d rectangles, want the ground, two bars and a frame", n)
	}
	for _, want := range []string{"one &amp; only", "best: 2", ">-1</text>", ">n</text>", `y="64" width="60" height="85"`, `y="149" width="60" height="43"`} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %q in\n%s", want, svg)
		}
	}
	many := &Grid{X: Dim{Name: "n"}, Cells: [][]float64{nil}}
	for i := range 200 {
		many.X.Values = append(many.X.Values, strings.Repeat("9", 1+i%3))
		many.Cells[0] = append(many.Cells[0], float64(i)+0.125)
	}
	many.BestX = 199
	if svg := many.SVG("many"); strings.Contains(svg, ">17.125<") {
		t.Error("numbers without room are written")
	}
	none := &Grid{X: Dim{Name: "n", Values: []string{"1"}}, Cells: [][]float64{{math.NaN()}}}
	if svg := none.SVG("none"); !strings.Contains(svg, "no variant has a value") || strings.Count(svg, "<rect") != 1 {
		t.Errorf("a sweep without a value gives\n%s", svg)
	}
}
