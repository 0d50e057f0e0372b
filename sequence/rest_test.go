package sequence

import (
	"testing"

	"github.com/pinova-group/tidemark/market"
)

// A snapshot over REST that connects brings the book back from its own time on. A hole
// that opens behind it, seconds later, does not hold it until it is of no use.
func TestREST_ConnectsBeforeAYoungerHole(t *testing.T) {
	w := newWorld()
	for _, c := range []struct {
		what string
		rest int64
		want string
	}{
		{"at the last number", 10, "0:d8 100:d10 500:r10 3000:d15G"},
		{"re-based", 9, "0:d8 100:d10 500:r10 3000:d15G"},
		{"ahead of it", 11, "0:d8 100:d10 1000:r11C 3000:d15G"},
	} {
		for _, eager := range []bool{false, true} {
			s, out := w.new(t, nil), new(Out)
			for _, e := range []ev{
				spotDelta(0, 7, 8), spotDelta(100, 9, 10), snap(500, c.rest, market.OriginREST),
				spotDelta(3000, 14, 15), tick(9000),
			} {
				must(t, s.Push(w.chunk(e)))
				if eager {
					s.Advance(out)
				}
			}
			s.Advance(out)
			wantShow(t, w, c.what, out.Rows.Batches[market.KindBook], c.want)
		}
	}
}

// What has been said to be complete stays so: a snapshot that waits for its deltas takes
// its place with the one that comes, not at its own time.
func TestREST_ThatWaitedLeavesAboveTheMark(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	w.push(t, s, out, spotDelta(0, 7, 8), spotDelta(100, 9, 10), snap(500, 11, market.OriginREST), tick(1000))
	mark := out.Marks[market.KindBook]
	if mark != t0+750*ms+1 {
		t.Fatalf("mark %d", mark-t0)
	}
	out.Reset()
	w.push(t, s, out, spotDelta(800, 11, 12), tick(3000))
	wantShow(t, w, "rows", out.Rows.Batches[market.KindBook], "800:r11C 800:d12 1000:v1001")
	if b := out.Rows.Batches[market.KindBook]; b.TS[0] < mark {
		t.Errorf("row below the mark: %s", w.showRow(b, 0))
	}
}
