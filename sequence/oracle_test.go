package sequence

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
)

// slow is the rule of the package comment, written down a second time: everything is
// recomputed from scratch after each event, rows are sorted at the end.
type slow struct {
	w     *world
	lines map[slowLine]*slowState
	kinds map[market.Kind][]slowLine
	base  map[slowShard]int64
	shard map[slowShard]bool // live
	at    map[market.Kind]int64
	ids   map[string]int64
	low   map[string]int64 // slowest line by feed and kind
	rows  map[market.Kind][]ev
	late  map[market.Kind][]string
	count map[string]*Counts
}

type slowShard struct {
	feed  string
	shard uint16
}

type slowLine struct {
	kind market.Kind
	slowShard
}

type slowState struct {
	live bool
	m, w int64
}

func newSlow(w *world) *slow {
	s := &slow{
		w: w, lines: map[slowLine]*slowState{}, kinds: map[market.Kind][]slowLine{}, base: map[slowShard]int64{},
		shard: map[slowShard]bool{}, at: map[market.Kind]int64{}, ids: map[string]int64{}, low: map[string]int64{},
		rows: map[market.Kind][]ev{}, late: map[market.Kind][]string{}, count: map[string]*Counts{},
	}
	for k := market.KindTrade; k < market.KindWatermark; k++ {
		s.at[k] = market.NoTime
	}
	return s
}

// settle recomputes release points of all kinds and slowest lines of all feeds.
func (s *slow) settle() {
	for k, lines := range s.kinds {
		least, greatest, any := int64(0), market.NoTime, false
		byFeed := map[string][]int64{}
		maxFeed := map[string]int64{}
		for _, l := range lines {
			x := s.lines[l]
			greatest = max(greatest, x.m)
			if m, ok := maxFeed[l.feed]; !ok || x.m > m {
				maxFeed[l.feed] = x.m
			}
			if x.live {
				byFeed[l.feed] = append(byFeed[l.feed], x.w)
				if !any || x.w < least {
					least, any = x.w, true
				}
			}
		}
		if !any {
			least = greatest
		}
		s.at[k] = max(s.at[k], least)
		for f, m := range maxFeed {
			v := m
			if ws := byFeed[f]; len(ws) > 0 {
				v = slices.Min(ws)
			}
			key := fmt.Sprint(f, k)
			if old, ok := s.low[key]; !ok || v > old {
				s.low[key] = v
			}
		}
	}
}

func (s *slow) wake(l slowLine) *slowState {
	s.settle()
	if _, ok := s.base[l.slowShard]; !ok {
		s.base[l.slowShard], s.shard[l.slowShard] = market.NoTime, true
	}
	x := s.lines[l]
	if x == nil {
		x = &slowState{m: market.NoTime, w: s.base[l.slowShard]}
		s.lines[l] = x
		s.kinds[l.kind] = append(s.kinds[l.kind], l)
	}
	if !x.live {
		x.live, x.w = true, max(x.w, s.at[l.kind])
		s.shard[l.slowShard] = true
	}
	s.settle()
	return x
}

func (s *slow) control(at slowShard, state int64, ts int64) {
	s.settle()
	if _, ok := s.base[at]; !ok {
		s.base[at], s.shard[at] = market.NoTime, true
	}
	for l, x := range s.lines {
		if l.slowShard != at {
			continue
		}
		switch state {
		case market.StatusDown:
			x.live = false
		case market.StatusUp:
			if !x.live {
				x.live, x.w = true, max(x.w, s.at[l.kind])
			}
		case market.StatusIdle:
			x.w = max(x.w, ts-1)
		}
	}
	switch state {
	case market.StatusDown:
		s.shard[at] = false
	case market.StatusUp:
		s.shard[at] = true
		s.settle()
		return
	case market.StatusIdle:
		s.base[at] = max(s.base[at], ts-1)
	default:
		return
	}
	s.settle()
	least, any := market.NoTime, false
	for sh, live := range s.shard {
		if live && (!any || s.base[sh] < least) {
			least, any = s.base[sh], true
		}
	}
	for k := range s.at {
		if len(s.kinds[k]) == 0 {
			s.at[k] = max(s.at[k], least)
		}
	}
}

func (s *slow) event(e *ev) {
	at := slowShard{e.feed, e.shard}
	c := s.count[e.feed]
	if c == nil {
		c = &Counts{}
		s.count[e.feed] = c
	}
	c.In++
	if !market.ValidTime(e.ts) || e.ingest != 0 && e.ts > e.ingest+market.Minute {
		c.DLQ++
		return
	}
	if e.kind == market.KindWatermark {
		c.Applied++
		s.control(at, market.StatusIdle, e.ts)
		return
	}
	x := s.wake(slowLine{e.kind, at})
	f := s.w.feeds.Get(s.w.id[e.feed])
	forget := s.low[fmt.Sprint(e.feed, e.kind)]
	if forget != market.NoTime {
		forget -= f.DedupHorizon
	}
	key := fmt.Sprint(e.feed, e.kind, e.id)
	first, known := s.ids[key]
	known = known && e.id != "" && f.Dedup != market.DedupNone && first>>10 >= forget>>10
	switch {
	case known:
		c.Duplicate++
	case e.ts <= x.w && e.kind != market.KindStatus:
		c.Late++
		s.late[e.kind] = append(s.late[e.kind], fmt.Sprint(e.feed, e.shard, e.inst, e.ts, e.id, " missed ", x.w))
	default:
		c.Applied++
		s.rows[e.kind] = append(s.rows[e.kind], *e)
	}
	if !known && (forget == market.NoTime || e.ts >= forget) {
		s.ids[key] = e.ts
	}
	if e.ts > x.m {
		x.m, x.w = e.ts, max(x.w, e.ts-f.Disorder)
	}
	s.settle()
	if e.kind == market.KindStatus && !known {
		s.control(at, e.state, e.ts)
	}
}

// sorted gives the rows of a kind in the total order, numbered.
func (s *slow) sorted(k market.Kind) []string {
	rows := s.rows[k]
	nums := s.w.insts.Numbers()
	slices.SortStableFunc(rows, func(a, b ev) int {
		return cmp.Or(cmp.Compare(a.ts, b.ts), cmp.Compare(s.w.id[a.feed], s.w.id[b.feed]),
			cmp.Compare(nums[s.w.inst[a.inst]], nums[s.w.inst[b.inst]]), cmp.Compare(a.seq, b.seq))
	})
	run := map[string]uint64{}
	var out []string
	for _, e := range rows {
		seq := e.seq
		if seq == 0 {
			run[fmt.Sprint(e.feed, e.inst)]++
			seq = run[fmt.Sprint(e.feed, e.inst)]
		}
		out = append(out, fmt.Sprint(e.feed, e.shard, e.inst, e.ts, seq))
	}
	return out
}

func TestSequencer_AgreesWithASlowOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		log := drawLog(t, rapid.IntRange(1, 150).Draw(t, "n"))
		log = slices.DeleteFunc(log, func(o op) bool { return o.kind == market.KindBook })
		names := map[market.FeedID]string{}
		for n, id := range w.id {
			names[id] = n
		}
		insts := map[market.Inst]int{}
		for i, inst := range w.inst {
			insts[inst] = i
		}
		ref := newSlow(w)
		s, out := w.new(t, nil), new(Out)
		for i := range log {
			o := &log[i]
			switch {
			case o.open:
				ref.wake(slowLine{market.KindTrade, slowShard{o.feed, o.shard}})
				ref.wake(slowLine{market.KindQuote, slowShard{o.feed, o.shard}})
			case o.end:
				ref.control(slowShard{o.feed, o.shard}, market.StatusDown, 0)
			default:
				ref.event(&o.ev)
			}
			feedOp(t, w, s, o, new(market.Chunk))
			s.Advance(out)
			for k := market.KindTrade; k < market.KindStatus; k++ {
				if want := ref.at[k]; k != market.KindBook && (out.Marks[k] != want+1 && want != market.NoTime || want == market.NoTime && out.Marks[k] != want) {
					t.Fatalf("event %d: mark of %v is %d, want %d", i, k, out.Marks[k]-t0, want+1-t0)
				}
			}
		}
		s.Close(out)
		for _, k := range []market.Kind{market.KindTrade, market.KindQuote, market.KindFunding} {
			var rows, late []string
			if b := out.Rows.Batches[k]; b != nil {
				for i := range b.N {
					rows = append(rows, fmt.Sprint(names[b.Feed[i]], b.Shard[i], insts[b.Inst[i]], b.TS[i], b.Seq[i]))
				}
			}
			if want := ref.sorted(k); !slices.Equal(rows, want) {
				t.Fatalf("%v:\n got %v\nwant %v", k, rows, want)
			}
			if b := out.Late.Batches[k]; b != nil {
				for i := range b.N {
					id := ""
					if k == market.KindTrade {
						id = string(b.Cols[0].Text(i))
					}
					late = append(late, fmt.Sprint(names[b.Feed[i]], b.Shard[i], insts[b.Inst[i]], b.EventTS[i], id, " missed ", out.Missed[k][i]))
				}
			}
			if k == market.KindTrade && !slices.Equal(late, ref.late[k]) || len(late) != len(ref.late[k]) {
				t.Fatalf("%v late:\n got %v\nwant %v", k, late, ref.late[k])
			}
		}
		for _, f := range s.CountsByFeed() {
			want := ref.count[f.Feed]
			if want == nil {
				want = &Counts{}
			}
			if f.Counts != *want {
				t.Fatalf("%s: %+v, want %+v", f.Feed, f.Counts, *want)
			}
		}
	})
}

// A chain of Binance spot rows of one line: what is in time leaves by its number, a
// number that is missing among these is a gap, times never fall.
func TestBook_AgreesWithASort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		type arrival struct {
			ev
			at int64
		}
		var log []arrival
		now, seq := int64(0), int64(0)
		for range rapid.IntRange(1, 120).Draw(t, "n") {
			now += rapid.SampledFrom([]int64{0, 1, 10, 100, 400}).Draw(t, "gap")
			first := seq + 1
			seq += rapid.Int64Range(1, 3).Draw(t, "width")
			if rapid.IntRange(0, 12).Draw(t, "lost") == 0 {
				continue
			}
			delay := rapid.SampledFrom([]int64{0, 0, 0, 1, 50, 200, 249, 250, 600}).Draw(t, "delay")
			log = append(log, arrival{spotDelta(now, first, seq), now + delay})
		}
		slices.SortStableFunc(log, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
		var in []ev
		lateN, m := 0, market.NoTime
		for _, a := range log {
			if m != market.NoTime && a.ts <= m-250*ms {
				lateN++
			} else {
				in = append(in, a.ev)
			}
			m = max(m, a.ts)
		}
		slices.SortStableFunc(in, func(a, b ev) int { return cmp.Compare(a.seq, b.seq) })
		var want []string
		last, ts := uint64(0), int64(0)
		for i, e := range in {
			ts = max(ts, e.ts)
			x := fmt.Sprint((ts-t0)/ms, ":d", e.seq)
			if ts > e.ts {
				x += "C"
			}
			if i > 0 && uint64(e.first) != last+1 {
				x += "G"
			}
			want, last = append(want, x), e.seq
		}
		s, out := w.new(t, nil), new(Out)
		for _, a := range log {
			must(t, s.Push(w.chunk(a.ev)))
			if rapid.Bool().Draw(t, "advance") {
				s.Advance(out)
			}
		}
		s.Close(out)
		var got []string
		if b := out.Rows.Batches[market.KindBook]; b != nil {
			for i := range b.N {
				got = append(got, w.showRow(b, i))
			}
		}
		if !slices.Equal(got, want) || s.Counts().Late != int64(lateN) {
			t.Fatalf("late %d, want %d\n got %v\nwant %v", s.Counts().Late, lateN, got, want)
		}
	})
}
