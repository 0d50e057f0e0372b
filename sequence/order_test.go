package sequence

import (
	"fmt"
	"testing"

	"github.com/pinova-group/tidemark/market"
)

func TestDuplicate_KnownIsNotLate(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	again := trade(0, 1)
	again.ts++ // time is no part of identity
	w.push(t, s, out, trade(0, 1), trade(0, 1), trade(1000, 2), again, trade(-5, 3), trade(-5, 3))
	if c := s.Counts(); c.Duplicate != 3 || c.Late != 1 {
		t.Errorf("%+v: late and known is duplicate, and a late row is remembered too", c)
	}
}

func TestDuplicate_MovesTheLinesClock(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	second := func(ts int64, seq uint64) ev {
		e := trade(ts, seq)
		e.shard = 1
		return e
	}
	// Two lines carry the same trades: the second one, all duplicates, holds nothing back.
	w.push(t, s, out, trade(0, 1), second(0, 1), trade(1000, 2), second(1000, 2))
	wantShow(t, w, "rows", out.Rows.Batches[market.KindTrade], "0/1")
}

func TestDuplicate_HorizonByEventTime(t *testing.T) {
	w := newWorld() // horizon of feed a: one minute behind the watermark
	for _, c := range []struct {
		lastMS int64
		want   int64
	}{{60_000, 1}, {60_250, 1}, {60_252, 0}} {
		s, out := w.new(t, nil), new(Out)
		w.push(t, s, out, trade(0, 1), trade(c.lastMS, 2), trade(0, 1))
		if got := s.Counts(); got.Duplicate != c.want || got.Late != 1-c.want {
			t.Errorf("last %d ms: %+v, want %d duplicates", c.lastMS, got, c.want)
		}
	}
}

func TestDuplicate_FeedWithoutDedupKeepsThem(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	e := trade(0, 1)
	e.feed = "none"
	w.push(t, s, out, e, e)
	if c := s.Counts(); c.Pending != 2 {
		t.Errorf("%+v", c)
	}
	e.feed, e.id = "a", ""
	w.push(t, s, out, e, e)
	if c := s.Counts(); c.Pending != 4 {
		t.Errorf("%+v: rows without an id have no identity to repeat", c)
	}
}

func TestIDSet_RemembersAtLeastTheHorizonAndIsBounded(t *testing.T) {
	s := newIDSet(1 << 20)
	id := func(n int64) *market.ID {
		x, _ := market.EventID(nil, nil, fmt.Append(nil, n))
		return &x
	}
	const horizon = market.Minute
	for n := range int64(200_000) {
		ts := t0 + n*ms
		forget := ts - horizon
		if s.known(id(n), ts, forget) {
			t.Fatalf("new id %d is known", n)
		}
		if back := n - 59_999; back >= 0 && n%97 == 0 && !s.known(id(back), t0+back*ms, forget) {
			t.Fatalf("id %d forgotten within the horizon", back)
		}
		if n := s.room(); n > 200_000 {
			t.Fatalf("room for %d ids, 60000 of them within the horizon", n)
		}
	}
}

func TestIDSet_LimitForgetsTheOldest(t *testing.T) {
	s := newIDSet(100)
	for n := range int64(1000) {
		id, _ := market.EventID(nil, nil, fmt.Append(nil, n))
		s.known(&id, t0+n, market.NoTime)
		if !s.known(&id, t0+n, market.NoTime) {
			t.Fatal("just put and not known")
		}
	}
	if len(s.list) > 200 || len(s.table) > 512 {
		t.Errorf("%d ids with a limit of 100", len(s.list))
	}
}

func TestOrder_TimeThenSourceInstrumentNumber(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	var evs []ev
	for i, inst := range []int{2, 0, 1} {
		evs = append(evs, ev{kind: market.KindTrade, feed: "b", inst: inst, ts: t0, seq: uint64(10 + i)},
			ev{kind: market.KindTrade, feed: "a", inst: inst, ts: t0, seq: uint64(20 + i)},
			ev{kind: market.KindTrade, feed: "a", inst: inst, ts: t0, seq: uint64(5 + i)})
	}
	if err := s.Push(w.chunk(evs...)); err != nil {
		t.Fatal(err)
	}
	s.Close(out)
	b := out.Rows.Batches[market.KindTrade]
	if b.N != 9 {
		t.Fatalf("%d rows", b.N)
	}
	nums := w.insts.Numbers()
	for i := 1; i < b.N; i++ {
		if b.Key(i-1, nums).Compare(b.Key(i, nums)) >= 0 {
			t.Errorf("row %d is out of order: %v, %v", i, b.Key(i-1, nums), b.Key(i, nums))
		}
	}
}

func TestOrder_RowsWithoutNumberAreNumberedAsTheyLeave(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	q := func(ts int64, inst int) ev {
		return ev{kind: market.KindQuote, feed: "a", inst: inst, ts: t0 + ts*ms, noSeq: true}
	}
	w.push(t, s, out, q(10, 0), q(5, 0), q(10, 1), q(10, 0), q(7, 0))
	s.Close(out)
	wantShow(t, w, "rows", out.Rows.Batches[market.KindQuote], map[bool]string{
		true:  "5/1 7/2 10/3 10/4 10/1",
		false: "5/1 7/2 10/1 10/3 10/4",
	}[w.insts.Number(w.inst[0]) < w.insts.Number(w.inst[1])])
}

func TestStep_HoleInTradeNumbersIsAGap(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	e := func(ts int64, seq uint64) ev {
		x := trade(ts, seq)
		x.feed = "step"
		return x
	}
	w.push(t, s, out, e(0, 10), e(1, 12), e(2, 11), e(3, 13), e(4, 17), e(2000, 18))
	wantShow(t, w, "rows", out.Rows.Batches[market.KindTrade], "0/10 1/12G 2/11 3/13 4/17G")
	wantShow(t, w, "status", out.Rows.Batches[market.KindStatus], "4:gap[14-16]")
	if m := out.Marks[market.KindStatus]; m != t0+1500*ms+1 { // a disorder behind the trades
		t.Errorf("status mark %d", m-t0)
	}
	balanced(t, s)
}

func TestStatus_BehindTheReleasePointIsRaised(t *testing.T) {
	w := newWorld()
	for _, advance := range []bool{false, true} {
		s, out := w.new(t, nil), new(Out)
		must(t, s.Push(w.chunk(trade(0, 1), trade(2000, 2))))
		if advance {
			s.Advance(out)
		}
		w.push(t, s, out, ev{kind: market.KindStatus, feed: "b", ts: t0 + 500*ms, state: market.StatusMaintenance})
		s.Close(out)
		wantShow(t, w, "status", out.Rows.Batches[market.KindStatus], "1750.001:maintenanceC")
	}
}

func TestMaxPending_OvertakesTheLinesThatHold(t *testing.T) {
	w := newWorld()
	for _, advance := range []bool{false, true} {
		s, out := w.new(t, func(c *Config) { c.MaxPending = 100 }), new(Out)
		slow := trade(0, 999_999)
		slow.shard = 1
		must(t, s.Push(w.chunk(slow)))
		for i := range int64(1000) {
			must(t, s.Push(w.chunk(trade(i*10, uint64(i+1)))))
			if advance {
				s.Advance(out)
				if p := s.Counts().Pending; p > 100 {
					t.Fatalf("%d rows pending", p)
				}
			}
			balanced(t, s)
		}
		if s.Raised() == 0 {
			t.Error("nothing was overtaken")
		}
		slow.ts, slow.id = slow.ts+ms, "x"
		must(t, s.Push(w.chunk(slow)))
		s.Close(out)
		if c := s.Counts(); c.Late != 1 || c.Applied != 1001 || out.Rows.Batches[market.KindTrade].N != 1001 {
			t.Errorf("%+v", c)
		}
	}
}

func TestPush_RefusesMalformedBatches(t *testing.T) {
	w := newWorld()
	s := w.new(t, nil)
	for name, spoil := range map[string]func(*market.Batch){
		"feed":              func(b *market.Batch) { b.Feed[0] = 2047 },
		"number":            func(b *market.Batch) { b.Feed[0] = 60000 },
		"inst":              func(b *market.Batch) { b.Inst[0] = 1 << 30 },
		"short":             func(b *market.Batch) { b.Seq = b.Seq[:0] },
		"cols":              func(b *market.Batch) { b.Cols = b.Cols[:2] },
		"offsets":           func(b *market.Batch) { b.Cols[0].Off[1] = 1 << 20 },
		"offsets that fall": func(b *market.Batch) { b.Cols[0].Off = []int32{0, 1<<31 - 1, -1 << 31, -1<<31 + 1} },
		"scale":             func(b *market.Batch) { b.Cols[2].Scale = nil },
		"kind":              func(b *market.Batch) { b.Kind = market.KindQuote },
	} {
		c := w.chunk(trade(0, 1), trade(1, 2), trade(2, 3))
		spoil(c.Batches[market.KindTrade])
		if err := s.Push(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if c := s.Counts(); c.In != 0 {
		t.Errorf("%+v", c)
	}
	s.Close(new(Out))
	if err := s.Push(new(market.Chunk)); err == nil {
		t.Error("Push after Close is accepted")
	}
}

func must(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A venue clock that steps back by less than the disorder turns trades round in time,
// not in number: no id is missing.
func TestSeqStep_ClockThatStepsBackIsNoGap(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	for _, x := range [][2]int64{{900, 10}, {1000, 11}, {1010, 12}, {920, 13}, {930, 14}, {1020, 15}, {2000, 16}, {2001, 17}} {
		e := trade(x[0], uint64(x[1]))
		e.feed = "step"
		w.push(t, s, out, e)
	}
	s.Close(out)
	wantShow(t, w, "status", out.Rows.Batches[market.KindStatus], "")
	// The row behind the numbers that had not left is flagged all the same: what is
	// computed up to it lacks them.
	wantShow(t, w, "rows", out.Rows.Batches[market.KindTrade], "900/10 920/13G 930/14 1000/11 1010/12 1020/15 2000/16 2001/17")
}

// What comes is parted from what does not: by number, and by the disorder.
func TestSeqStep_HoleIsClosedWithinTheDisorder(t *testing.T) {
	w := newWorld()
	for _, eager := range []bool{false, true} {
		s, out := w.new(t, nil), new(Out)
		for _, x := range [][2]int64{{0, 10}, {1, 20}, {2, 15}, {3, 11}, {4, 19}, {251, 13}, {252, 17}, {600, 21}, {2000, 22}} {
			e := trade(x[0], uint64(x[1]))
			e.feed = "step"
			must(t, s.Push(w.chunk(e)))
			if eager {
				s.Advance(out)
				s = reborn(t, w, s, func(*Config) {})
			}
		}
		s.Close(out)
		wantShow(t, w, "status", out.Rows.Batches[market.KindStatus], "1:gap[12-12] 1:gap[14-14] 1:gap[16-18]")
	}
}

// However many holes there are, what is held of them is bounded.
func TestSeqStep_HolesAreBounded(t *testing.T) {
	w := newWorld()
	s, out := w.new(t, nil), new(Out)
	for i := range int64(3 * maxHoles) {
		e := trade(i/64, uint64(1+2*i))
		e.feed = "step"
		must(t, s.Push(w.chunk(e)))
	}
	e := trade(1000, 1+6*maxHoles)
	e.feed = "step"
	w.push(t, s, out, e)
	s.Close(out)
	if n := out.Rows.Batches[market.KindStatus].N; n != 3*maxHoles {
		t.Errorf("%d gaps of %d", n, 3*maxHoles)
	}
	if fk := s.byID[w.id["step"]].kinds[market.KindTrade]; cap(fk.holes) > 2*maxHoles {
		t.Errorf("%d holes held", cap(fk.holes))
	}
}
