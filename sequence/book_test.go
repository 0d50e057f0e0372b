package sequence

import (
	"testing"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/book"
)

// Rows of three kinds of chains. Each delta sets the bid at 100 to its number.

func spotDelta(ts int64, first, seq int64) ev {
	return ev{kind: market.KindBook, feed: "book", ts: t0 + ts*ms, seq: uint64(seq), first: first, bids: []int64{100, seq}}
}

func futDelta(ts int64, prev, first, seq int64) ev {
	e := spotDelta(ts, first, seq)
	e.prev = prev
	return e
}

func stepDelta(ts int64, seq int64) ev { return spotDelta(ts, 0, seq) }

func okxDelta(ts int64, prev, seq int64) ev { return futDelta(ts, prev, 0, seq) }

func snap(ts int64, seq int64, origin int64) ev {
	return ev{kind: market.KindBook, feed: "book", ts: t0 + ts*ms, seq: uint64(seq), origin: origin, bids: []int64{99, 5, 98, 6}, asks: []int64{200, 7}}
}

// tick moves the book kind's release point without a chain of its own in the way.
func tick(ts int64) ev {
	e := snap(ts, ts+1, market.OriginVenue)
	e.inst = 2
	return e
}

func bookCase(t *testing.T, want, wantStatus string, wantCounts Counts, evs ...ev) *Out {
	t.Helper()
	w := newWorld()
	var last string
	for _, advance := range []bool{true, false} {
		s, out := w.new(t, nil), new(Out)
		if advance {
			w.push(t, s, out, evs...)
		} else {
			for i := range evs {
				must(t, s.Push(w.chunk(evs[i])))
			}
		}
		s.Close(out)
		balanced(t, s)
		b := new(market.Batch)
		if x := out.Rows.Batches[market.KindBook]; x != nil {
			b = only(x, w.inst[0])
		}
		wantShow(t, w, "rows", b, want)
		wantShow(t, w, "status", out.Rows.Batches[market.KindStatus], wantStatus)
		if got := s.Counts(); wantCounts != (Counts{}) && got != wantCounts {
			t.Errorf("%+v, want %+v", got, wantCounts)
		}
		if last = w.show(b); advance && t.Failed() {
			return out
		}
		if !advance {
			return out
		}
	}
	_ = last
	return nil
}

func only(b *market.Batch, inst market.Inst) *market.Batch {
	out := market.NewBatch(b.Kind)
	for i := range b.N {
		if b.Inst[i] == inst {
			appendRange(out, b, i, i+1)
		}
	}
	return out
}

func top(b *market.Batch, i int) []int64 { return b.Cols[market.BookBidPrice].Decs(i) }

func TestBook_SpotChainIsPutBackInOrder(t *testing.T) {
	bookCase(t, "0:d10 1:d12 2:d15 3:d16", "", Counts{In: 4, Applied: 4},
		spotDelta(0, 8, 10), spotDelta(2, 13, 15), spotDelta(1, 11, 12), spotDelta(3, 16, 16))
}

func TestBook_HoleIsAGapOnceItsTimeIsDisorderBehindTheWatermark(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	// 11..12 never comes; the next link has time 1000.
	w.push(t, s, out, spotDelta(0, 8, 10), spotDelta(1000, 13, 15), tick(1499))
	wantShow(t, w, "before", only(out.Rows.Batch(market.KindBook), w.inst[0]), "0:d10")
	if m := out.Marks[market.KindBook]; m != t0+1000*ms {
		t.Errorf("mark %d: rows behind a hole hold the kind back", m-t0)
	}
	w.push(t, s, out, tick(1500))
	wantShow(t, w, "after", only(out.Rows.Batch(market.KindBook), w.inst[0]), "0:d10 1000:d15G")
	wantShow(t, w, "status", out.Rows.Batches[market.KindStatus], "1000:gap[11-12]")
	if m := out.Marks[market.KindBook]; m != t0+1250*ms+1 {
		t.Errorf("mark %d", m-t0)
	}
}

func TestBook_ClockThatStepsBackBreaksNothing(t *testing.T) {
	bookCase(t, "0:d10 1000:d11 1000:d12C 1000:d13C 1001:d14", "", Counts{In: 5, Applied: 5},
		spotDelta(0, 8, 10), spotDelta(1000, 11, 11), spotDelta(400, 12, 12), spotDelta(900, 13, 13), spotDelta(1001, 14, 14))
}

func TestBook_LateDeltaIsLateAndLeavesAHole(t *testing.T) {
	out := bookCase(t, "0:d10 1000:d12G", "1000:gap[11-11]", Counts{In: 5, Applied: 4, Late: 1},
		spotDelta(0, 8, 10), spotDelta(1000, 12, 12), tick(2000), tick(5000), spotDelta(500, 11, 11))
	if out.Late.Batches[market.KindBook].N != 1 {
		t.Error("no late row")
	}
}

func TestBook_RESTSnapshotAheadOfTheChain(t *testing.T) {
	// The snapshot is not placed before the deltas up to its number have left.
	bookCase(t, "0:d10 1:d12 1:r12C 2:d15", "", Counts{In: 4, Applied: 4},
		spotDelta(0, 8, 10), snap(-900, 12, market.OriginREST), spotDelta(1, 11, 12), spotDelta(2, 13, 15))
}

func TestBook_RESTSnapshotBehindIsRebased(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	w.push(t, s, out, spotDelta(0, 8, 10), spotDelta(1, 11, 12), spotDelta(2, 13, 15), tick(1000),
		snap(-500, 11, market.OriginREST), spotDelta(1000, 16, 16), tick(2000))
	b := only(out.Rows.Batches[market.KindBook], w.inst[0])
	wantShow(t, w, "rows", b, "0:d10 1:d12 2:d15 750.001:r15C 1000:d16")
	if got := top(b, 3); len(got) != 3 || got[0] != 100 || b.Cols[market.BookBidQuantity].Decs(3)[0] != 15 {
		t.Errorf("bids %v: the deltas since 11 must be in the snapshot", got)
	}
	balanced(t, s)
	if c := s.Counts(); c.Filtered != 0 {
		t.Errorf("%+v", c)
	}
}

func TestBook_RESTSnapshotThatDoesNotConnectIsFiltered(t *testing.T) {
	bookCase(t, "0:d10 1:d12", "750.001:gap[6-12]", Counts{In: 5, Applied: 4, Filtered: 1},
		spotDelta(0, 8, 10), spotDelta(1, 11, 12), tick(1000), snap(0, 6, market.OriginREST), tick(5000))
	// 7 = U − 1 does connect.
	bookCase(t, "0:d10 1:d12 750.001:r12C", "", Counts{In: 5, Applied: 5},
		spotDelta(0, 8, 10), spotDelta(1, 11, 12), tick(1000), snap(0, 7, market.OriginREST), tick(5000))
}

func TestBook_FuturesRules(t *testing.T) {
	// First after a snapshot at 11: U ≤ 11 ≤ u, and then pu = previous u; ids have holes.
	bookCase(t, "5:r11 6:d12 7:d30", "", Counts{In: 3, Applied: 3},
		snap(5, 11, market.OriginREST), futDelta(6, 9, 10, 12), futDelta(7, 12, 25, 30))
	// u = 11 is harmless and superseded, the next one has pu = 11.
	bookCase(t, "5:r11 301:d30", "", Counts{In: 4, Applied: 3, Filtered: 1},
		snap(5, 11, market.OriginREST), tick(255), futDelta(300, 9, 10, 11), futDelta(301, 11, 25, 30))
	// Deltas that are there already go before it.
	bookCase(t, "4:d9 6:d11 6:r11C 7:d30", "", Counts{In: 4, Applied: 4},
		snap(5, 11, market.OriginREST), futDelta(4, 3, 5, 9), futDelta(6, 9, 10, 11), futDelta(7, 11, 25, 30))
	// pu differs: a gap.
	bookCase(t, "5:r11 6:d12 7:d30G", "7:gap[13-20]", Counts{In: 3, Applied: 3},
		snap(5, 11, market.OriginREST), futDelta(6, 9, 10, 12), futDelta(7, 20, 25, 30))
	// U beyond the snapshot although pu is before it: does not connect.
	bookCase(t, "5:r11 6:d14G", "6:gap", Counts{In: 2, Applied: 2},
		snap(5, 11, market.OriginREST), futDelta(6, 9, 12, 14))
}

func TestBook_SpotFirstDeltaAfterSnapshot(t *testing.T) {
	for _, c := range []struct {
		first, seq int64
		want       string
	}{{5, 12, "5:r11 6:d12"}, {12, 12, "5:r11 6:d12"}, {11, 11, "6:d11 6:r11C"}, {13, 13, "5:r11 6:d13G"}} {
		w := newWorld()
		s, out := w.new(t, nil), new(Out)
		w.push(t, s, out, snap(5, 11, market.OriginREST), spotDelta(6, c.first, c.seq))
		s.Close(out)
		wantShow(t, w, "rows", out.Rows.Batches[market.KindBook], c.want)
	}
}

func TestBook_StepChainAndRestart(t *testing.T) {
	// Bybit: u = 1 is a snapshot after a restart of the service: a new epoch.
	bookCase(t, "0:v100 1:d101 2:v1e1 3:d2e1 4:d3e1", "", Counts{In: 5, Applied: 5},
		snap(0, 100, market.OriginVenue), stepDelta(1, 101), snap(2, 1, market.OriginVenue), stepDelta(3, 2), stepDelta(4, 3))
	// The same snapshot again with the same number is no restart.
	bookCase(t, "0:v100 3:v100 4:d101", "", Counts{In: 3, Applied: 3},
		snap(0, 100, market.OriginVenue), snap(3, 100, market.OriginVenue), stepDelta(4, 101))
	// A delta with u = 1 and no levels: the book is void until a snapshot.
	empty := stepDelta(2, 1)
	empty.bids = nil
	bookCase(t, "0:v100 1:d101 2:d1e1G 3:d2e1 4:v3e1", "2:gap 4:resync", Counts{In: 5, Applied: 5},
		snap(0, 100, market.OriginVenue), stepDelta(1, 101), empty, stepDelta(3, 2), snap(4, 3, market.OriginVenue))
	// A hole, and the snapshot that brings the book back.
	bookCase(t, "0:v100 1:d102G 500:v110 501:d111", "1:gap[101-101] 500:resync", Counts{In: 4, Applied: 4},
		snap(0, 100, market.OriginVenue), stepDelta(1, 102), snap(500, 110, market.OriginVenue), stepDelta(501, 111))
}

func TestBook_SnapshotHealsAHoleButSaysSo(t *testing.T) {
	bookCase(t, "0:v100 2:v110G 3:d111", "2:gap[101-109] 2:resync", Counts{In: 4, Applied: 3, Filtered: 1},
		snap(0, 100, market.OriginVenue), stepDelta(1, 102), snap(2, 110, market.OriginVenue), stepDelta(3, 111))
}

func TestBook_OKXHeartbeatAndMaintenance(t *testing.T) {
	beat := okxDelta(2, 12, 12)
	beat.bids = nil
	bookCase(t, "0:v10 1:d12 3:d5e1 4:d8e1", "", Counts{In: 5, Applied: 4, Filtered: 1},
		snap(0, 10, market.OriginVenue), okxDelta(1, 10, 12), beat, okxDelta(3, 12, 5), okxDelta(4, 5, 8))
	bookCase(t, "0:v10 1:d12 3:d20G", "3:gap[13-15]", Counts{In: 3, Applied: 3},
		snap(0, 10, market.OriginVenue), okxDelta(1, 10, 12), okxDelta(3, 15, 20))
}

func TestBook_StaleDeltaIsADuplicate(t *testing.T) {
	bookCase(t, "0:v100 1:d101 2:d102", "", Counts{In: 4, Applied: 3, Duplicate: 1},
		snap(0, 100, market.OriginVenue), stepDelta(1, 101), stepDelta(1, 101), stepDelta(2, 102))
}

func TestBook_RESTSnapshotOfALiveBookIsFiltered(t *testing.T) {
	bookCase(t, "0:v100 1:d101 2:d102", "", Counts{In: 4, Applied: 3, Filtered: 1},
		snap(0, 100, market.OriginVenue), stepDelta(1, 101), snap(1, 101, market.OriginREST), stepDelta(2, 102))
	// Without deltas they are all there is.
	bookCase(t, "0:r100 5:r200", "", Counts{In: 3, Applied: 2, Filtered: 1},
		snap(0, 100, market.OriginREST), snap(5, 200, market.OriginREST), snap(6, 200, market.OriginREST))
}

func TestBook_RESTSnapshotWaitsForAHoleToBeDecided(t *testing.T) {
	// The collector fetches one as soon as it sees the hole, before the sequencer gives up.
	bookCase(t, "0:v100 1000:d105G 1001:d106 1050:r106", "1000:gap[101-104] 1050:resync", Counts{},
		snap(0, 100, market.OriginVenue), stepDelta(1000, 105), snap(1050, 105, market.OriginREST), stepDelta(1001, 106), tick(3000))
}

func TestBook_CrossedPastTheTolerance(t *testing.T) {
	cross := stepDelta(1, 101)
	cross.bids = []int64{300, 1}
	bookCase(t, "0:v100 1:d101 1001:d102 1002:d103G 1003:d104", "1002:crossed", Counts{In: 5, Applied: 5},
		snap(0, 100, market.OriginVenue), cross, stepDelta(1001, 102), stepDelta(1002, 103), stepDelta(1003, 104))
	heal := stepDelta(900, 102)
	heal.bids = []int64{300, 0}
	bookCase(t, "0:v100 1:d101 900:d102 1500:d103", "", Counts{In: 4, Applied: 4},
		snap(0, 100, market.OriginVenue), cross, heal, stepDelta(1500, 103))
}

func TestBook_UnchainedGoesByTimeAndArrival(t *testing.T) {
	w := newWorld()
	row := func(ts, origin int64) ev {
		e := snap(ts, 0, origin)
		e.feed, e.inst = "tape", 3
		return e
	}
	s, out := w.new(t, nil), new(Out)
	w.push(t, s, out, row(0, 1), row(5, 0), row(3, 0), row(5, 0), row(2000, 0))
	s.Close(out)
	wantShow(t, w, "rows", out.Rows.Batches[market.KindBook], "0:v1 3:d2 5:d3 5:d4 2000:d5")
}

func TestBook_ChecksumThatFailsInvalidates(t *testing.T) {
	w := newWorld()
	row := func(ts, origin, sum int64) ev {
		return ev{kind: market.KindBook, feed: "tape", inst: 3, ts: t0 + ts*ms, origin: origin, sum: sum, bids: []int64{99, 5}, asks: []int64{101, 5}}
	}
	var probe book.Book
	c := w.chunk(row(0, 1, 1))
	must(t, probe.ApplyRow(c.Batches[market.KindBook].Cols, 0))
	good := int64(book.ChecksumKraken(&probe)) // the rule itself is tested in market/book
	s, out := w.new(t, nil), new(Out)
	w.push(t, s, out, row(0, 1, good), row(1, 0, good), row(2, 0, good+1), row(3, 0, good), row(4, 1, good))
	s.Close(out)
	wantShow(t, w, "rows", out.Rows.Batches[market.KindBook], "0:v1 1:d2 2:d3G 3:d4 4:v5")
	wantShow(t, w, "status", out.Rows.Batches[market.KindStatus], "2:checksum 4:resync[0-0]"[:len("2:checksum 4:resync")])
}

func TestBook_DownBreaksBooksWithoutUpdateIDs(t *testing.T) {
	w := newWorld()
	row := func(ts, origin int64) ev {
		e := snap(ts, 0, origin)
		e.feed, e.inst = "tape", 3
		return e
	}
	for _, advance := range []bool{false, true} {
		s, out := w.new(t, nil), new(Out)
		evs := []ev{row(0, 1), row(5, 0), {kind: market.KindStatus, feed: "tape", inst: 3, ts: t0 + 6*ms, state: market.StatusDown}, row(900, 0), row(901, 1)}
		for _, e := range evs {
			must(t, s.Push(w.chunk(e)))
			if advance {
				s.Advance(out)
			}
		}
		s.Close(out)
		wantShow(t, w, "rows", out.Rows.Batches[market.KindBook], "0:v1 5:d2 900:d3G 901:v4")
		wantShow(t, w, "status", out.Rows.Batches[market.KindStatus], "6:down 901:resync")
	}
}

func TestKeyframe_OnTheGridAndOnlyAfterEvents(t *testing.T) {
	const five = 5 * market.Minute
	grid := (t0/five + 1) * five // first grid point after t0
	at := func(ts int64) int64 { return (ts - t0) / ms }
	w := newWorld()
	for _, advance := range []bool{true, false} {
		s, out := w.new(t, nil), new(Out)
		last := spotDelta(at(grid)-1, 13, 15)
		last.ingest = grid + 5
		on := spotDelta(at(grid), 16, 16)
		evs := []ev{snap(0, 12, market.OriginVenue), last, on, tick(at(grid) + 10_000), tick(at(grid+five) + 10_000), tick(at(grid+2*five) + 10_000)}
		for _, e := range evs {
			must(t, s.Push(w.chunk(e)))
			if advance {
				s.Advance(out)
			}
		}
		s.Close(out)
		b := only(out.Rows.Batches[market.KindBook], w.inst[0])
		g := at(grid)
		want := w.show(b)
		if b.N != 5 {
			t.Fatalf("rows %s", want)
		}
		for i, x := range []struct {
			ts     int64
			origin int64
			seq    uint64
		}{{t0, 1, 12}, {grid - ms, 0, 15}, {grid, 3, 15}, {grid, 0, 16}, {grid + five, 3, 16}} {
			if b.TS[i] != x.ts || b.Cols[0].I64[i] != x.origin || b.Seq[i] != x.seq {
				t.Errorf("row %d: %s, want ts %d origin %d seq %d", i, w.showRow(b, i), at(x.ts), x.origin, x.seq)
			}
		}
		if got := b.Cols[market.BookBidQuantity].Decs(2); len(got) != 3 || got[0] != 15 || b.IngestTS[2] != grid+5 {
			t.Errorf("keyframe holds %v, ingest %d", got, b.IngestTS[2]-grid)
		}
		if c := s.Counts(); c.In != 6 || c.Applied != 6 {
			t.Errorf("%+v: keyframes are in no account", c)
		}
		_ = g
	}
}

func TestKeyframe_HourIsAlwaysOnTheGrid(t *testing.T) {
	for _, every := range []int64{5 * market.Minute, 7 * market.Minute, 25 * market.Hour} {
		h := (t0/market.Hour + 1) * market.Hour
		if g := nextGrid(h-1, every); g != h {
			t.Errorf("every %d: %d after the hour", every, g-h)
		}
		if g := nextGrid(h, every); g <= h || g > h+market.Hour || g > h+every {
			t.Errorf("every %d: next after the hour is %d", every, g-h)
		}
	}
}
