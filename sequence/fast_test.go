package sequence

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
)

// The short ways of catchUp and hold do what plan says, row by row: the same rows, verdicts
// and accounts, and when each row is followed by Advance the same bytes of state. With more
// rows between, the state has what keyframes hold at other places.
func TestCatchUp_ShortWaysEqualPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shortWaysEqualPlan(t, drawLog(t, rapid.IntRange(1, 150).Draw(t, "n")))
	})
}

// The same with the dense rows of few chains, nearly all of which continue each other.
func TestCatchUp_ShortWaysEqualPlanOnChains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { shortWaysEqualPlan(t, drawChains(t)) })
}

func drawChains(t *rapid.T) []op {
	var log []op
	now := t0 + int64(rapid.IntRange(0, 2000).Draw(t, "start"))*ms
	seq, last := map[string]uint64{}, map[string]uint64{}
	insts := rapid.IntRange(0, 1).Draw(t, "instruments")
	for range rapid.IntRange(1, 200).Draw(t, "n") {
		now += int64(rapid.SampledFrom([]int{0, 1, 10, 10, 60, 60, 300}).Draw(t, "gap")) * ms
		e := ev{kind: market.KindBook, feed: "book", inst: rapid.IntRange(0, insts).Draw(t, "inst")}
		e.ts = now - int64(rapid.SampledFrom([]int{0, 0, 0, 0, 1, 30, 240, 260}).Draw(t, "lag"))*ms
		drawBook(t, &e, seq, last, fmt.Sprint(e.inst))
		if e.origin != market.OriginDelta && rapid.IntRange(0, 3).Draw(t, "rare") > 0 {
			e.origin = market.OriginDelta
		}
		log = append(log, op{ev: e})
		if i := len(log) - 1 - rapid.SampledFrom([]int{0, 0, 0, 0, 1, 3, 7}).Draw(t, "before"); i >= 0 {
			x, y := &log[i].ev, &log[len(log)-1].ev
			*x, *y = *y, *x
			if rapid.Bool().Draw(t, "times stay") {
				x.ts, y.ts = y.ts, x.ts
			}
		}
	}
	return log
}

func shortWaysEqualPlan(t *rapid.T, log []op) {
	w := newWorld()
	every := rapid.IntRange(1, 20).Draw(t, "events between calls of Advance")
	change := func(c *Config) {
		c.MaxPending, c.KeepRows, c.CrossedFor, c.KeyframeEvery = 60, 8, 300*ms, market.Second
	}
	fast, plain := w.new(t, change), w.new(t, change)
	plain.books.plain = true
	var out [2]Out
	var got [2]result
	for i, s := range []*Sequencer{fast, plain} {
		for j := range log {
			feedOp(t, w, s, &log[j], new(market.Chunk))
			if j%every != 0 {
				continue
			}
			s.Advance(&out[i])
			got[i].take(t, w, s, &out[i])
			if every == 1 && j%16 == 0 {
				got[i].dead[0] = append(got[i].dead[0], string(s.AppendSnapshot(nil)))
			}
		}
		s.Close(&out[i])
		got[i].take(t, w, s, &out[i])
		got[i].counts, got[i].raised = s.CountsByFeed(), s.Raised()
	}
	got[1].same(t, &got[0], "short ways")
	if every == 1 && !bytes.Equal(fast.AppendSnapshot(nil), plain.AppendSnapshot(nil)) {
		t.Fatal("snapshots differ")
	}
}

func TestAppendNulls_EqualsPlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var src, fast, plain market.Col
		n := rapid.IntRange(0, 300).Draw(t, "n")
		for i := range n {
			if rapid.IntRange(0, 3).Draw(t, "null") == 0 {
				src.SetNull(i)
			}
		}
		base := 0
		for range rapid.IntRange(1, 4).Draw(t, "copies") {
			i := rapid.IntRange(0, n).Draw(t, "from")
			j := rapid.IntRange(i, n).Draw(t, "to")
			appendNulls(&fast, base, src.Null, i, j)
			for r := i; r < j; r++ {
				if src.IsNull(r) {
					plain.SetNull(base + r - i)
				}
			}
			base += j - i
		}
		if !slices.Equal(fast.Null, plain.Null) {
			t.Fatalf("%x, want %x", fast.Null, plain.Null)
		}
	})
}
