package describe

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/specs"
)

// The picture of all shipped views can be read: no box lies on another, every line goes to
// the right, and what reads a box stands beside it and not among those of another.
func TestGraph_BoxesOfAllShippedViews(t *testing.T) {
	t.Parallel()
	c, err := Compile(specs.Names(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ns := c.graph()
	w, h := place(ns)
	for i := range ns {
		a := &ns[i]
		if a.x < margin || a.y < margin || a.x+a.w > w-margin || a.y+a.h > h-margin {
			t.Errorf("%s lies outside", a.id)
		}
		for k := range i {
			b := &ns[k]
			if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
				t.Errorf("%s lies on %s", a.id, b.id)
			}
		}
		for _, f := range append(a.from, a.also...) {
			if ns[f].x+ns[f].w >= a.x {
				t.Errorf("the line from %s to %s goes back", ns[f].id, a.id)
			}
		}
	}
	// Of two boxes of one column that two others read, all readers of the upper one are above.
	for i := range ns {
		for k := range ns {
			a, b := &ns[i], &ns[k]
			if len(a.from) == 0 || len(b.from) == 0 || a.level != b.level || a.from[0] == b.from[0] {
				continue
			}
			pa, pb := &ns[a.from[0]], &ns[b.from[0]]
			if pa.level == pb.level && (pa.y < pb.y) != (a.y < b.y) {
				t.Errorf("lines from %s to %s and from %s to %s cross", pa.id, a.id, pb.id, b.id)
			}
		}
	}
	if svg := c.SVG(); strings.Count(svg, "<rect") != len(ns) {
		t.Error("not every box is drawn")
	}
}

// Past the columns between its ends a line keeps a height at which no box stands.
func TestGraph_LinesPassBoxes(t *testing.T) {
	t.Parallel()
	c, err := Compile(specs.Names(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ns := c.graph()
	place(ns)
	long := 0
	for i := range ns {
		for _, f := range append(ns[i].from, ns[i].also...) {
			if ns[i].level-ns[f].level < 2 {
				continue
			}
			long++
			d := line(ns, &ns[f], &ns[i])
			var x, y, x1, y1, cx, c1, cx2, c2, to int
			if _, err := fmt.Sscanf(d, "M%d %dC%d %d %d %d %d %dH%d", &x, &y, &cx, &c1, &cx2, &c2, &x1, &y1, &to); err != nil {
				t.Fatalf("%s: %v", d, err)
			}
			for k := range ns {
				if n := &ns[k]; n.x < to && n.x+n.w > x1 && y1 >= n.y && y1 <= n.y+n.h {
					t.Errorf("the line from %s to %s goes through %s", ns[f].id, ns[i].id, n.id)
				}
			}
		}
	}
	if long == 0 {
		t.Error("no line passes a column")
	}
}
