package sequence

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
)

// The short way of catchUp does what plan says: the same rows, verdicts and accounts,
// and after each event the same bytes of state.
func TestCatchUp_ShortWayEqualsPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		log := drawLog(t, rapid.IntRange(1, 150).Draw(t, "n"))
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
				s.Advance(&out[i])
				got[i].take(t, w, s, &out[i])
				if j%16 == 0 {
					got[i].dead[0] = append(got[i].dead[0], string(s.AppendSnapshot(nil)))
				}
			}
			s.Close(&out[i])
			got[i].take(t, w, s, &out[i])
			got[i].counts, got[i].raised = s.CountsByFeed(), s.Raised()
		}
		got[1].same(t, &got[0], "short way")
		if !bytes.Equal(fast.AppendSnapshot(nil), plain.AppendSnapshot(nil)) {
			t.Fatal("snapshots differ")
		}
	})
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
