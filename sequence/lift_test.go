package sequence

import (
	"testing"

	"github.com/pinova-group/tidemark/market"
)

// What a driver knows of a line's kind moves its mark, its verdicts and nothing else, and
// outlives a snapshot.
func TestLift(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	rate := func(ts int64, id string) ev { return ev{kind: market.KindFunding, feed: "a", ts: t0 + ts*ms, id: id} }
	mark := func(what string, k market.Kind, want int64) {
		t.Helper()
		s.Advance(out)
		got := out.Marks[k]
		if got != market.NoTime {
			got = (got - t0) / ms
		}
		if got != want {
			t.Errorf("%s: the mark of %s is %d, want %d", what, k, got, want)
		}
	}
	w.push(t, s, out, trade(10_000, 1), rate(1000, "f1"))
	mark("before", market.KindFunding, 750)
	s.LiftLine(w.id["a"], 0, market.KindFunding, t0+5000*ms)
	mark("lifted", market.KindFunding, 5000)
	mark("lifted", market.KindTrade, 9750)
	s.LiftLine(w.id["a"], 0, market.KindFunding, t0+4000*ms)
	mark("lifted to before", market.KindFunding, 5000)
	s.LiftKinds(t0+9000*ms, false)
	mark("with a live line", market.KindFunding, 5000)
	mark("that never came", market.KindQuote, market.NoTime)
	s.LiftLine(w.id["b"], 0, market.KindQuote, t0+3000*ms)
	mark("of a line that begins so", market.KindQuote, 3000)
	s.EndLine(w.id["a"], 0)
	s.LiftKinds(t0+9000*ms, true)
	mark("without a line", market.KindFunding, 9000)
	mark("that never came and will not", market.KindLiquidation, 9000)
	mark("of another line", market.KindQuote, 3000)

	s, err := Restore(s.cfg, s.AppendSnapshot(nil))
	if err != nil {
		t.Fatal(err)
	}
	mark("restored", market.KindFunding, 9000)
	mark("restored", market.KindLiquidation, 9000)
	w.push(t, s, out, rate(8999, "f2"), rate(9000, "f3"), rate(12_000, "f4"))
	s.Close(out)
	wantShow(t, w, "funding", out.Rows.Batches[market.KindFunding], "1000/1 9000/2 12000/3")
	if n := s.Counts().Late; n != 1 {
		t.Errorf("%d late, want the one behind the lift", n)
	}
}
