package sequence

import (
	"testing"

	"github.com/pinova-group/tidemark/market"
)

func TestLate_IffAtOrBelowGreatestMinusDisorder(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	w.push(t, s, out, trade(0, 1), trade(1000, 2))
	wantShow(t, w, "rows", out.Rows.Batches[market.KindTrade], "0/1")
	if m := out.Marks[market.KindTrade]; m != t0+750*ms+1 {
		t.Errorf("mark %d", m-t0)
	}
	at := trade(750, 3)    // = M − disorder: late
	above := trade(750, 4) // one µs later: in time
	above.ts++
	w.push(t, s, out, at, above)
	wantShow(t, w, "late", out.Late.Batches[market.KindTrade], "750/3L")
	s.Close(out)
	wantShow(t, w, "rows", out.Rows.Batches[market.KindTrade], "0/1 750.001/4 1000/2")
	if c := s.Counts(); c != (Counts{In: 4, Applied: 3, Late: 1}) {
		t.Errorf("%+v", c)
	}
}

func TestRelease_IncludesTheWatermarkItself(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	w.push(t, s, out, trade(750, 1), trade(751, 2), trade(1000, 3))
	wantShow(t, w, "rows", out.Rows.Batches[market.KindTrade], "750/1")
	if m := out.Marks[market.KindTrade]; m != t0+750*ms+1 {
		t.Errorf("mark %d, want complete below 750 ms + 1 µs", m-t0)
	}
}

func TestWatermark_SaysNothingComesBeforeIt(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	w.push(t, s, out, trade(1000, 1), trade(1001, 2), ev{kind: market.KindWatermark, feed: "a", ts: t0 + 1001*ms})
	wantShow(t, w, "rows", out.Rows.Batches[market.KindTrade], "1000/1")
	if m := out.Marks[market.KindTrade]; m != t0+1001*ms {
		t.Errorf("mark %d", m-t0)
	}
	before := trade(1001, 3)
	before.ts--
	w.push(t, s, out, before, trade(1001, 4))
	wantShow(t, w, "late", out.Late.Batches[market.KindTrade], "1000.999/3L")
	s.Close(out)
	wantShow(t, w, "rows", out.Rows.Batches[market.KindTrade], "1000/1 1001/2 1001/4")
}

func TestWatermark_AppliesToAllKindsOfItsShardOnly(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	q := ev{kind: market.KindQuote, feed: "a", ts: t0, seq: 1}
	other := trade(0, 9)
	other.shard = 1
	w.push(t, s, out, trade(0, 1), q, other, ev{kind: market.KindWatermark, feed: "a", ts: t0 + 500*ms})
	if got := out.Marks[market.KindQuote]; got != t0+500*ms {
		t.Errorf("quote mark %d", got-t0)
	}
	if got := out.Marks[market.KindTrade]; got != t0-250*ms+1 {
		t.Errorf("trade mark %d: shard 1 must hold it", got-t0)
	}
	if got := out.Marks[market.KindFunding]; got != market.NoTime {
		t.Errorf("funding mark %d: shard 1 has said nothing", got)
	}
	w.push(t, s, out, ev{kind: market.KindWatermark, feed: "a", shard: 1, ts: t0 + 400*ms})
	if got := out.Marks[market.KindFunding]; got != t0+400*ms {
		t.Errorf("funding mark %d: a kind without lines follows the watermark records", got-t0)
	}
	f := ev{kind: market.KindFunding, feed: "a", shard: 1, ts: t0 + 400*ms - 1}
	g := f
	g.ts++
	w.push(t, s, out, f, g)
	wantShow(t, w, "late", out.Late.Batches[market.KindFunding], "399.999/9223372036854775809L")
	s.Close(out)
	wantShow(t, w, "rows", out.Rows.Batches[market.KindFunding], "400/1")
}

func TestLine_StartsAtTheReleasePoint(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	behind, ahead := trade(700, 10), trade(751, 11)
	behind.shard, ahead.shard = 1, 1
	// Verdicts do not depend on whether Advance was called before.
	if err := s.Push(w.chunk(trade(0, 1), trade(1000, 2), behind, ahead)); err != nil {
		t.Fatal(err)
	}
	s.Advance(out)
	wantShow(t, w, "late", out.Late.Batches[market.KindTrade], "700/10L")
	if m := out.Marks[market.KindTrade]; m != t0+750*ms+1 {
		t.Errorf("mark %d", m-t0)
	}
}

func TestOpenLine_HoldsBackBeforeItsFirstRow(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	s.OpenLine(w.id["a"], 1, market.KindTrade)
	early := trade(0, 10)
	early.shard = 1
	w.push(t, s, out, trade(0, 1), trade(1000, 2), early)
	if out.Late.Len() != 0 || out.Rows.Len() != 0 {
		t.Errorf("late %d, rows %d", out.Late.Len(), out.Rows.Len())
	}
	s.EndLine(w.id["a"], 1)
	s.Advance(out)
	wantShow(t, w, "rows", out.Rows.Batches[market.KindTrade], "0/1 0/10")
}

func TestEndLine_OfTheLastLineReleasesAll(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	w.push(t, s, out, trade(0, 1), trade(100, 2))
	s.EndLine(w.id["a"], 0)
	s.Advance(out)
	wantShow(t, w, "rows", out.Rows.Batches[market.KindTrade], "0/1 100/2")
	w.push(t, s, out, trade(100, 3), trade(101, 4), trade(400, 5))
	wantShow(t, w, "late", out.Late.Batches[market.KindTrade], "100/3L")
	wantShow(t, w, "rows", out.Rows.Batches[market.KindTrade], "0/1 100/2 101/4")
}

func TestDown_LineHoldsNobodyUntilItsNextRow(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	dead := trade(0, 1)
	dead.feed = "b"
	w.push(t, s, out, dead, trade(0, 2), trade(1000, 3))
	wantShow(t, w, "rows", out.Rows.Batches[market.KindTrade], "")
	w.push(t, s, out, ev{kind: market.KindStatus, feed: "b", ts: t0 + 900*ms, state: market.StatusDown})
	if got, want := w.show(out.Rows.Batches[market.KindTrade]), "0/2 0/1"; got != want && got != "0/1 0/2" {
		t.Errorf("rows %s", got)
	}
	// The status row itself waits: trades stand at 750 and could still write one beside them.
	wantShow(t, w, "status", out.Rows.Batches[market.KindStatus], "")
	back := dead
	back.ts, back.seq, back.id = t0+750*ms, 5, "5"
	next := back
	next.ts, next.seq, next.id = t0+751*ms, 6, "6"
	w.push(t, s, out, back, next, trade(5000, 7))
	wantShow(t, w, "late", out.Late.Batches[market.KindTrade], "750/5L")
	if m := out.Marks[market.KindTrade]; m != t0+750*ms+1 {
		t.Errorf("mark %d: the line that is back holds again", m-t0)
	}
}

func TestIdle_IsAWatermark(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	w.push(t, s, out, trade(0, 1), ev{kind: market.KindStatus, feed: "a", ts: t0 + 900*ms, state: market.StatusIdle})
	if m := out.Marks[market.KindTrade]; m != t0+900*ms {
		t.Errorf("mark %d", m-t0)
	}
	s.Close(out)
	wantShow(t, w, "status", out.Rows.Batches[market.KindStatus], "900:idle")
}

func TestDead_TimesThatCannotBe(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	add := func(feed string, ts, ingest int64) ev {
		return ev{kind: market.KindTrade, feed: feed, ts: ts, ingest: ingest}
	}
	w.push(t, s, out,
		add("a", 0, 0), add("a", market.NoTime, t0), add("a", market.MaxEventTime, 0),
		add("clock", t0+1010*ms+1, t0),   // measured offset 1 s, skew 10 ms
		add("clock", t0+1010*ms, t0),     // on the bound
		add("a", t0+market.Minute+1, t0), // beyond the lenient bound
		add("a", t0+market.Minute, t0),   // on it
	)
	var got []string
	for _, d := range out.Dead {
		got = append(got, d.Reason)
	}
	want := []string{ReasonTime, ReasonTime, ReasonTime, ReasonAhead, ReasonAhead}
	if len(got) != len(want) {
		t.Fatalf("dead: %q", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("dead %d: %q, want %q", i, got[i], want[i])
		}
	}
	// Dead letters do not move M: a row 250 ms before the one on the bound is late, one
	// µs later it is not.
	w.push(t, s, out, add("a", t0+market.Minute-250*ms+1, t0))
	if c := s.Counts(); c.Late != 0 || c.DLQ != 5 || c.Pending != 3 {
		t.Errorf("%+v", c)
	}
}

// All shards of a venue go down at the same instant: the first one's row moves the
// release point of status rows to itself, the second one's is in time all the same.
func TestStatus_IsNeverLate(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	down := func(shard uint16, at int64, id string) ev {
		return ev{kind: market.KindStatus, feed: "b", shard: shard, ts: t0 + at*ms, state: market.StatusDown, id: id}
	}
	w.push(t, s, out, down(0, 900, "1"), down(1, 900, "2"), down(2, 100, "3"), down(2, 100, "3"))
	s.Close(out)
	if out.Late.Len() != 0 {
		t.Errorf("late: %s", w.show(out.Late.Batches[market.KindStatus]))
	}
	wantShow(t, w, "status", out.Rows.Batches[market.KindStatus], "900:down 900.001:downC 900.001:downC")
	if c := s.Counts(); c != (Counts{In: 4, Applied: 3, Duplicate: 1}) {
		t.Errorf("%+v", c)
	}
	// Nothing was released in between: the second row keeps its place.
	s, out = w.new(t, nil), new(Out)
	w.push(t, s, out, trade(0, 1), down(0, 900, "1"), down(1, 800, "2"))
	s.Close(out)
	wantShow(t, w, "status", out.Rows.Batches[market.KindStatus], "800:down 900:down")
}
