package sequence

import (
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
)

// A book of which nothing but a snapshot came still has its keyframe in time.
func TestKeyframe_AfterASnapshotAlone(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, func(c *Config) { c.KeyframeEvery = market.Second }), new(Out)
	w.push(t, s, out, snap(100, 12, market.OriginVenue), tick(900), tick(2000))
	wantShow(t, w, "rows", only(out.Rows.Batches[market.KindBook], w.inst[0]), "100:v12 1000:k12")
	if m := out.Marks[market.KindBook]; m != t0+1750*ms+1 {
		t.Errorf("mark %d", m-t0)
	}
}

// After a silence over grid points a keyframe stands right before the delta that ends it,
// however the log is cut, also where the log ends; a second one of the same row has an id
// of its own.
func TestKeyframe_BeforeTheDeltaThatEndsASilence(t *testing.T) {
	for _, advance := range []bool{true, false} {
		w := newWorld()
		s, out := w.new(t, func(c *Config) { c.KeyframeEvery = market.Second }), new(Out)
		for _, e := range []ev{snap(100, 12, market.OriginVenue), tick(2000), tick(3400), stepDelta(3400, 13), stepDelta(3500, 14), tick(4900), stepDelta(5050, 15)} {
			e.id = strconv.FormatUint(e.seq, 10)
			must(t, s.Push(w.chunk(e)))
			if advance {
				s.Advance(out)
			}
		}
		s.Close(out)
		b := only(out.Rows.Batches[market.KindBook], w.inst[0])
		wantShow(t, w, "rows", b, "100:v12 1000:k12 3400:k12 3400:d13 3500:d14 4000:k14 5050:k14 5050:d15")
		ids := map[market.ID]bool{}
		for _, id := range b.ID {
			ids[id] = true
		}
		if len(ids) != b.N {
			t.Errorf("%d ids of %d rows", len(ids), b.N)
		}
	}
}

// While Close ends the lines, none may release what another one, ended before it, held.
func TestClose_EndsAllLinesAtOnce(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, func(c *Config) { c.KeyframeEvery = market.Second }), new(Out)
	s.OpenLine(w.id["book"], 1, market.KindBook)
	w.push(t, s, out, snap(0, 12, market.OriginVenue), ev{kind: market.KindWatermark, feed: "book", ts: t0 + 5000*ms})
	s.Close(out)
	wantShow(t, w, "rows", out.Rows.Batches[market.KindBook], "0:v12")
}

func TestBook_LateSnapshotOfAWaitingBookIsPlacedNow(t *testing.T) {
	// A subscription's backlog: the snapshot and its deltas come two seconds behind the
	// other instruments of the line.
	bookCase(t, "1750.001:v12C 1750.001:d13C 1750.001:d14C 2001:d15", "", Counts{In: 6, Applied: 6},
		tick(2000), snap(0, 12, market.OriginVenue), stepDelta(10, 13), stepDelta(20, 14), tick(2001), stepDelta(2001, 15))
	// A book that is live needs none.
	bookCase(t, "0:v12 1:d13", "", Counts{In: 4, Applied: 3, Late: 1},
		snap(0, 12, market.OriginVenue), stepDelta(1, 13), tick(2000), snap(2, 13, market.OriginVenue))
}

func TestBook_LateSnapshotWithoutUpdateIDs(t *testing.T) {
	w := newWorld()
	row := func(ts, origin int64, inst int) ev {
		e := snap(ts, 0, origin)
		e.feed, e.inst = "tape", inst
		return e
	}
	s, out := w.new(t, nil), new(Out)
	w.push(t, s, out, row(2000, 1, 1), row(0, 1, 0), row(5, 0, 0), row(2500, 0, 1), row(2400, 0, 0))
	s.Close(out)
	wantShow(t, w, "rows", only(out.Rows.Batches[market.KindBook], w.inst[0]), "1750.001:v1C 1750.001:d2C 2400:d3")
	wantShow(t, w, "status", out.Rows.Batches[market.KindStatus], "")
	if c := s.Counts(); c.Late != 0 {
		t.Errorf("%+v", c)
	}
}

func TestBook_LateRowWithoutUpdateIDsVoidsTheBook(t *testing.T) {
	w := newWorld()
	row := func(ts, origin int64) ev {
		e := snap(ts, 0, origin)
		e.feed, e.inst = "tape", 3
		return e
	}
	s, out := w.new(t, nil), new(Out)
	w.push(t, s, out, row(0, 1), row(1000, 0), row(2000, 0), row(1200, 0), row(2001, 0), row(2002, 1))
	s.Close(out)
	wantShow(t, w, "rows", out.Rows.Batches[market.KindBook], "0:v1 1000:d2 2000:d3G 2001:d4 2002:v5")
	wantShow(t, w, "status", out.Rows.Batches[market.KindStatus], "1750.001:gap 2002:resync")
	wantShow(t, w, "late", out.Late.Batches[market.KindBook], "1200:d9223372036854775809L")
}

func TestBook_KeepsBoundedRowsForRebasing(t *testing.T) {
	w := newWorld()
	for _, c := range []struct{ at, filtered int64 }{{90, 0}, {80, 1}} {
		s, out := w.new(t, func(c *Config) { c.KeepRows = 10 }), new(Out)
		for i := range int64(100) {
			w.push(t, s, out, spotDelta(i, i+1, i+1))
		}
		w.push(t, s, out, tick(3000), snap(0, c.at, market.OriginREST), tick(6000))
		if got := s.Counts(); got.Filtered != c.filtered {
			t.Errorf("snapshot at %d: %+v", c.at, got)
		}
	}
	s, out := w.new(t, nil), new(Out)
	w.push(t, s, out, spotDelta(0, 1, 1), spotDelta(31_000, 2, 2), tick(40_000), snap(0, 0, market.OriginREST))
	w.push(t, s, out, snap(0, 1, market.OriginREST), tick(50_000))
	if got := s.Counts(); got.Filtered != 0 {
		t.Errorf("%+v", got)
	}
}

func TestBook_DepthIsKeptByTheVenue(t *testing.T) {
	w := newWorld()
	e := snap(0, 12, market.OriginVenue)
	e.depth = 1
	d := stepDelta(10, 13)
	d.bids, d.depth = []int64{97, 1, 101, 4}, 2
	s, out := w.new(t, func(c *Config) { c.KeyframeEvery = market.Second }), new(Out)
	w.push(t, s, out, e, d, tick(2000))
	b := only(out.Rows.Batches[market.KindBook], w.inst[0])
	if b.N != 3 || b.Cols[0].I64[2] != market.OriginKeyframe {
		t.Fatal(w.show(b))
	}
	if got := top(b, 2); len(got) != 2 || got[0] != 101 || got[1] != 99 {
		t.Errorf("bids %v", got)
	}
}

func TestBook_LevelsThatFitNoBook(t *testing.T) {
	bad := stepDelta(1, 13)
	bad.bids = []int64{-5, 1}
	bookCase(t, "0:v12 1:d13G 2:d14 3:v20", "1:gap 3:resync", Counts{In: 4, Applied: 4},
		snap(0, 12, market.OriginVenue), bad, stepDelta(2, 14), snap(3, 20, market.OriginVenue))
}

func TestBook_DeadRows(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	origin := spotDelta(0, 1, 1)
	origin.origin = 9
	number := spotDelta(2, 0, 0)
	w.push(t, s, out, origin, spotDelta(1, 1, 1), number)
	if len(out.Dead) != 2 || out.Dead[0].Reason != ReasonOrigin || out.Dead[1].Reason != ReasonSeq {
		t.Errorf("%+v", out.Dead)
	}
}

func TestSequencer_AllocatesNothingInSteadyState(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	log := benchLog(w, 1<<15, 50, 100*ms, true)
	shift := func() {
		for _, c := range log {
			b := c.Batches[market.KindTrade]
			for i := range b.N {
				b.EventTS[i] += 4 * market.Second
				b.IngestTS[i] += 4 * market.Second
				b.Seq[i] += 1 << 15
				b.ID[i][0]++
				b.ID[i][5] += 7
			}
		}
	}
	run := func() {
		shift()
		for _, c := range log {
			must(t, s.Push(c))
			out.Reset()
			s.Advance(out)
		}
	}
	for range 40 { // two horizons and more
		run()
	}
	if n := testing.AllocsPerRun(5, run); n > 2 {
		t.Errorf("%.1f allocations for %d events", n, 1<<15)
	}
}

// Numbers and times at the ends of their ranges: no panic, the account balances, order
// holds, and a restored sequencer goes on alike.
func TestSequencer_ExtremeNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		s, out := w.new(t, func(c *Config) { c.MaxPending, c.MaxIDs, c.KeepRows = 8, 16, 2 }), new(Out)
		var last [market.NumKinds]market.Key
		num := rapid.SampledFrom([]int64{0, 1, 2, 3, math.MaxInt64 - 1, math.MaxInt64, math.MinInt64, -1})
		at := rapid.SampledFrom([]int64{market.MinEventTime, market.MinEventTime + 1, t0, t0 + ms, t0 + market.Hour, market.MaxEventTime - 1, market.MaxEventTime, 0, market.NoTime, math.MaxInt64})
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			e := ev{
				kind: rapid.SampledFrom([]market.Kind{market.KindBook, market.KindBook, market.KindBook, market.KindTrade, market.KindStatus, market.KindWatermark}).Draw(t, "kind"),
				feed: rapid.SampledFrom([]string{"book", "step", "tape"}).Draw(t, "feed"), inst: rapid.IntRange(0, 1).Draw(t, "inst"),
				shard: rapid.SampledFrom([]uint16{0, 1, math.MaxUint16}).Draw(t, "shard"),
				ts:    at.Draw(t, "ts"), ingest: at.Draw(t, "ingest"), seq: uint64(num.Draw(t, "seq")),
				first: num.Draw(t, "first"), prev: num.Draw(t, "prev"), sum: num.Draw(t, "sum"), depth: num.Draw(t, "depth"),
				origin: rapid.Int64Range(-1, 4).Draw(t, "origin"), state: num.Draw(t, "state"),
				bids: []int64{num.Draw(t, "price"), num.Draw(t, "qty")}, asks: []int64{num.Draw(t, "price"), num.Draw(t, "qty")},
			}
			must(t, s.Push(w.chunk(e)))
			balanced(t, s)
			if rapid.Bool().Draw(t, "advance") {
				s.Advance(out)
				balanced(t, s)
				checkOrder(t, w, out, &last)
				out.Reset()
			}
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				s = reborn(t, w, s, func(c *Config) { c.MaxPending, c.MaxIDs, c.KeepRows = 8, 16, 2 })
			}
		}
		s.Close(out)
		balanced(t, s)
		checkOrder(t, w, out, &last)
		if s.Counts().Pending != 0 {
			t.Fatalf("%+v", s.Counts())
		}
	})
}
