package sequence

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
)

// op is one step of a test log: an event, or the opening or end of a line.
type op struct {
	ev
	open, end bool
}

// drawLog makes a log of several feeds, lines and instruments with disorder, repeated
// and late events, times that cannot be, watermarks, lines that go down and end, and
// book chains with holes, resets and snapshots.
func drawLog(t *rapid.T, n int) []op {
	feeds := []string{"a", "b", "step", "none", "book", "book", "tape"}
	pick := func(label string, n int) int { return rapid.IntRange(0, n-1).Draw(t, label) }
	var log []op
	now := t0 + int64(pick("start", 5*60*1000))*ms
	seq := map[string]uint64{}
	last := map[string]uint64{}
	for range n {
		now += int64(rapid.SampledFrom([]int{0, 0, 1, 5, 40, 130, 300, 2000}).Draw(t, "gap")) * ms
		e := ev{feed: rapid.SampledFrom(feeds).Draw(t, "feed"), shard: uint16(pick("shard", 2)), inst: pick("inst", 3)}
		e.ts = now - int64(rapid.SampledFrom([]int{0, 0, 0, 1, 30, 99, 100, 240, 249, 250, 251, 900}).Draw(t, "lag"))*ms
		if pick("ingested", 2) == 0 {
			e.ingest = now
		}
		key := fmt.Sprint(e.feed, e.inst)
		switch what := pick("what", 40); {
		case what == 0:
			log = append(log, op{ev: ev{kind: market.KindWatermark, feed: e.feed, shard: e.shard, ts: now - 50*ms}})
			continue
		case what == 1:
			e.kind, e.state = market.KindStatus, int64(rapid.SampledFrom([]int{0, 1, 1, 2, 7}).Draw(t, "state"))
			e.id = fmt.Sprint("s", len(log))
		case what == 2:
			log = append(log, op{ev: e, open: true})
			continue
		case what == 3:
			log = append(log, op{ev: e, end: true})
			continue
		case what == 4 && len(log) > 0:
			if x := log[pick("again", len(log))]; x.kind != market.KindWatermark && !x.open && !x.end {
				x.shard = e.shard
				log = append(log, x)
			}
			continue
		case what == 5:
			e.kind, e.ts = market.KindTrade, rapid.SampledFrom([]int64{0, now + 2*market.Hour}).Draw(t, "bad")
			e.ingest = now
		case e.feed == "book" || e.feed == "tape":
			e.kind = market.KindBook
			drawBook(t, &e, seq, last, key)
		case what < 20:
			e.kind = market.KindTrade
			seq[key] += uint64(rapid.SampledFrom([]int{1, 1, 1, 1, 2}).Draw(t, "step"))
			e.seq, e.id = seq[key], fmt.Sprint(e.inst, "-", seq[key])
		case what < 32:
			e.kind, e.noSeq = market.KindQuote, true
		default:
			e.kind = market.KindFunding
			seq["f"]++
			e.id = fmt.Sprint("f", seq["f"])
		}
		log = append(log, op{ev: e})
	}
	return log
}

// drawBook makes a row of a chain: instrument 0 like Binance spot, 1 like its futures, 2
// like Bybit; tape rows have no numbers.
func drawBook(t *rapid.T, e *ev, seq, last map[string]uint64, key string) {
	level := func() []int64 {
		return []int64{int64(rapid.IntRange(90, 101).Draw(t, "price")), int64(rapid.IntRange(0, 3).Draw(t, "qty"))}
	}
	e.bids, e.asks = level(), []int64{level()[0] + 10, 1}
	e.origin = int64(rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3}).Draw(t, "origin"))
	if e.feed == "tape" {
		if e.inst == 0 {
			e.inst = 3
			e.sum = int64(rapid.IntRange(0, 1).Draw(t, "sum"))
		}
		return
	}
	from := seq[key] + 1
	if rapid.IntRange(0, 30).Draw(t, "hole") == 0 {
		from += 3
	}
	to := from
	if e.inst < 2 {
		to += uint64(rapid.IntRange(0, 4).Draw(t, "width"))
	}
	if e.origin == market.OriginREST {
		e.seq = uint64(max(1, int64(seq[key])+int64(rapid.IntRange(-9, 9).Draw(t, "off"))))
		return
	}
	if e.inst == 2 && rapid.IntRange(0, 40).Draw(t, "restart") == 0 {
		from, to, last[key] = 1, 1, 0
	}
	e.seq = to
	if e.origin == market.OriginDelta && e.inst < 2 {
		e.first = int64(from)
		if e.inst == 1 {
			e.prev = int64(last[key])
		}
	}
	seq[key], last[key] = to, to
}

// result is all that a sequencer gave, as text.
type result struct {
	rows, late, dead [market.NumKinds][]string
	counts           []FeedCounts
	raised           int64
}

func (r *result) take(t tb, w *world, s *Sequencer, out *Out) {
	t.Helper()
	balanced(t, s)
	for k := range out.Rows.Batches {
		if b := out.Rows.Batches[k]; b != nil {
			for i := range b.N {
				r.rows[k] = append(r.rows[k], w.showRow(b, i)+dumpRow(w, b, i))
			}
		}
		if b := out.Late.Batches[k]; b != nil {
			if market.Kind(k) == market.KindStatus && b.N > 0 {
				t.Fatalf("late status row: %s", w.showRow(b, 0))
			}
			for i := range b.N {
				r.late[k] = append(r.late[k], fmt.Sprint(w.showRow(b, i), dumpRow(w, b, i), " missed ", out.Missed[k][i]))
				if out.Missed[k][i] < b.EventTS[i] {
					t.Fatalf("late row missed no watermark: %s, %d", w.showRow(b, i), out.Missed[k][i])
				}
			}
		}
	}
	for _, d := range out.Dead {
		r.dead[d.Kind] = append(r.dead[d.Kind], fmt.Sprint(d.Feed, d.Shard, d.Inst, d.EventTS, d.Reason))
	}
	out.Reset()
}

// dumpRow prints every column of a row.
func dumpRow(w *world, b *market.Batch, i int) string {
	var o strings.Builder
	fmt.Fprint(&o, " f", b.Feed[i], " s", b.Shard[i], " i", b.Inst[i], " e", b.EventTS[i]-t0, " g", b.IngestTS[i], " ",
		b.HasSeq[i], " ", string(b.ID[i][:3]), " ", b.RawBytes[i], " t", b.TS[i]-t0, " ", b.Epoch[i], " ", b.Flags[i], " |")
	for k, f := range market.Schema(b.Kind) {
		c := &b.Cols[k]
		switch {
		case c.IsNull(i):
			o.WriteString(" null")
		case f.Type == market.TypeText:
			fmt.Fprintf(&o, " %q", c.Text(i))
		case f.Type == market.TypeDecs:
			fmt.Fprint(&o, " ", c.Decs(i), "e", c.Scale[i])
		case f.Type == market.TypeDec:
			fmt.Fprint(&o, " ", c.I64[i], "e", c.Scale[i])
		default:
			fmt.Fprint(&o, " ", c.I64[i])
		}
	}
	return o.String()
}

func (r *result) same(t *rapid.T, o *result, what string) {
	t.Helper()
	for k := range r.rows {
		for _, x := range []struct {
			name string
			a, b []string
		}{{"rows", r.rows[k], o.rows[k]}, {"late", r.late[k], o.late[k]}, {"dead", r.dead[k], o.dead[k]}} {
			if !slices.Equal(x.a, x.b) {
				i := 0
				for i < len(x.a) && i < len(x.b) && x.a[i] == x.b[i] {
					i++
				}
				t.Fatalf("%s: %v %s differ at %d of %d, %d:\n%s\n%s", what, market.Kind(k), x.name, i, len(x.a), len(x.b),
					strings.Join(x.a[i:min(i+3, len(x.a))], "\n"), strings.Join(x.b[i:min(i+3, len(x.b))], "\n"))
			}
		}
	}
	if !slices.Equal(r.counts, o.counts) || r.raised != o.raised {
		t.Fatalf("%s: counts differ:\n%+v\n%+v", what, r.counts, o.counts)
	}
}

// eager runs a log one event at a time, advancing after each.
func eager(t tb, w *world, change func(*Config), log []op) *result {
	s, out, r := w.new(t, change), new(Out), new(result)
	var last [market.NumKinds]market.Key
	for i := range log {
		feedOp(t, w, s, &log[i], new(market.Chunk))
		s.Advance(out)
		checkOrder(t, w, out, &last)
		r.take(t, w, s, out)
	}
	s.Close(out)
	checkOrder(t, w, out, &last)
	r.take(t, w, s, out)
	r.counts, r.raised = s.CountsByFeed(), s.Raised()
	return r
}

func feedOp(t tb, w *world, s *Sequencer, o *op, c *market.Chunk) {
	t.Helper()
	switch {
	case o.open:
		s.OpenLine(w.id[o.feed], o.shard, market.KindTrade, market.KindQuote)
	case o.end:
		s.EndLine(w.id[o.feed], o.shard)
	default:
		w.append(c, &o.ev)
		must(t, s.Push(c))
		c.Reset()
	}
}

// checkOrder checks that rows leave by their keys and that no mark was broken.
func checkOrder(t tb, w *world, out *Out, last *[market.NumKinds]market.Key) {
	t.Helper()
	nums := w.insts.Numbers()
	for _, b := range out.Rows.Batches {
		if b == nil {
			continue
		}
		for i := range b.N {
			x := b.Key(i, nums)
			if last[b.Kind].Compare(x) > 0 {
				t.Fatalf("%v leaves out of order: %s after %+v", b.Kind, w.showRow(b, i), last[b.Kind])
			}
			last[b.Kind] = x
		}
	}
}

func TestSequencer_CutAdvanceAndRestartChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		log := drawLog(t, rapid.IntRange(1, 150).Draw(t, "n"))
		change := func(c *Config) {
			c.MaxPending = rapid.SampledFrom([]int{0, 20}).Draw(t, "max")
			c.MaxIDs = rapid.SampledFrom([]int{0, 16}).Draw(t, "ids")
		}
		var cfg Config
		change(&cfg)
		fixed := func(c *Config) {
			c.MaxPending, c.MaxIDs, c.KeepRows, c.CrossedFor, c.KeyframeEvery = cfg.MaxPending, cfg.MaxIDs, 8, 300*ms, market.Second
		}
		want := eager(t, w, fixed, log)

		s, out, got := w.new(t, fixed), new(Out), new(result)
		var held []op
		begun := func(o *op) bool {
			if o.kind != market.KindTrade && o.kind != market.KindBook && o.kind != market.KindStatus {
				return true
			}
			return s.Begun(w.id[o.feed], o.shard, o.kind)
		}
		var marks [market.NumKinds]int64
		flush := func() {
			c := new(market.Chunk)
			for i := range held {
				w.append(c, &held[i].ev)
			}
			must(t, s.Push(c))
			held = held[:0]
		}
		for i := range log {
			o := log[i]
			if o.open || o.end || !begun(&o) {
				flush()
				s.Advance(out)
				got.take(t, w, s, out)
			}
			if o.open || o.end {
				feedOp(t, w, s, &o, nil)
				continue
			}
			if slices.ContainsFunc(held, func(h op) bool {
				return min(h.kind, o.kind) == market.KindTrade && max(h.kind, o.kind) == market.KindBook
			}) {
				flush()
			}
			held = append(held, o)
			if o.kind == market.KindStatus || o.kind == market.KindWatermark || rapid.IntRange(0, 3).Draw(t, "cut") == 0 {
				flush()
			}
			if rapid.IntRange(0, 5).Draw(t, "advance") == 0 {
				flush()
				s.Advance(out)
				for k := range marks {
					if b := out.Rows.Batches[k]; b != nil && b.N > 0 && b.TS[0] < marks[k] && marks[k] != 0 {
						t.Fatalf("row below the mark of %v: %s, mark %d", market.Kind(k), w.showRow(b, 0), (marks[k]-t0)/ms)
					}
					if out.Marks[k] < marks[k] && marks[k] != 0 {
						t.Fatalf("mark of %v fell", market.Kind(k))
					}
					marks[k] = out.Marks[k]
				}
				got.take(t, w, s, out)
			}
			if rapid.IntRange(0, 19).Draw(t, "restart") == 0 {
				flush()
				s = reborn(t, w, s, fixed)
			}
		}
		flush()
		s.Close(out)
		got.take(t, w, s, out)
		got.counts, got.raised = s.CountsByFeed(), s.Raised()
		want.same(t, got, "cut and restarted")
	})
}

// reborn snapshots and restores.
func reborn(t tb, w *world, s *Sequencer, change func(*Config)) *Sequencer {
	t.Helper()
	snap := s.AppendSnapshot([]byte("xy"))[2:]
	cfg := DefaultConfig(w.feeds, w.insts)
	change(&cfg)
	n, err := Restore(cfg, snap)
	must(t, err)
	if again := n.AppendSnapshot(nil); !bytes.Equal(again, snap) {
		t.Fatalf("a restored sequencer has another snapshot: %d bytes, %d", len(again), len(snap))
	}
	return n
}

func TestSequencer_ArrivalWithinDisorderChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		n := rapid.IntRange(1, 120).Draw(t, "n")
		now := t0
		var log []op
		seq := map[string]int64{}
		for range n {
			now += int64(rapid.SampledFrom([]int{0, 1, 20, 100, 400}).Draw(t, "gap")) * ms
			feed := rapid.SampledFrom([]string{"a", "step", "book"}).Draw(t, "feed")
			e := trade(0, 0)
			e.feed, e.inst, e.ts = feed, rapid.IntRange(0, 2).Draw(t, "inst"), now
			k := fmt.Sprint(feed, e.inst)
			seq[k]++
			if rapid.IntRange(0, 20).Draw(t, "hole") == 0 {
				seq[k]++
			}
			if feed == "book" {
				e = spotDelta(0, seq[k], seq[k])
				e.inst, e.ts = rapid.IntRange(0, 1).Draw(t, "i"), now
				k = fmt.Sprint(feed, e.inst)
				seq[k]++
				e.seq, e.first = uint64(seq[k]), seq[k]
			}
			e.seq = uint64(seq[k])
			e.id = fmt.Sprint(k, e.seq)
			log = append(log, op{ev: e})
		}
		run := func(label string) *result {
			type arrival struct {
				op
				at int64
			}
			var as []arrival
			for _, o := range log {
				as = append(as, arrival{o, o.ts + rapid.Int64Range(0, 250*ms-1).Draw(t, label)})
				if rapid.IntRange(0, 5).Draw(t, label+"dup") == 0 {
					// At least one copy is in time; the other may come seconds later.
					as = append(as, arrival{o, o.ts + rapid.Int64Range(250*ms, 9000*ms).Draw(t, label+"later")})
				}
			}
			slices.SortStableFunc(as, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
			shuffled := make([]op, len(as))
			for i := range as {
				shuffled[i] = as[i].op
			}
			return eager(t, w, nil, shuffled)
		}
		a, b := run("a"), run("b")
		for k := range a.rows {
			if !slices.Equal(a.rows[k], b.rows[k]) {
				t.Fatalf("%v rows differ:\n%s\n\n%s", market.Kind(k), strings.Join(a.rows[k], "\n"), strings.Join(b.rows[k], "\n"))
			}
			if len(a.late[k])+len(b.late[k]) > 0 {
				t.Fatalf("late: %q %q", a.late[k], b.late[k])
			}
		}
	})
}
