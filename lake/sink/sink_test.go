package sink_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
)

// start is the first instant of the tests' events.
var start = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC).UnixMicro()

type world struct {
	insts *market.Instruments
	feeds *market.Feeds
	lake  *lake.Lake
}

func newWorld(t testing.TB) *world {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: t.TempDir(), Now: time.Now, Build: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &world{insts: market.NewInstruments(), feeds: market.NewFeeds(), lake: l}
}

// trades makes n trades of random instruments in the total order, step apart on average.
func (w *world) trades(r *rand.Rand, n int, step int64) *market.Batch {
	b := market.NewBatch(market.KindTrade)
	ts := start
	seq := map[market.Inst]uint64{}
	for range n {
		if r.IntN(4) > 0 {
			ts += r.Int64N(2*step + 1)
		}
		i := w.insts.Intern([]string{"binance", "kraken"}[r.IntN(2)], market.Spot, fmt.Sprintf("S%d-USDT", r.IntN(7)))
		seq[i]++
		e := market.Envelope{Feed: 1, Inst: i, EventTS: ts, IngestTS: market.NoTime, Seq: seq[i], HasSeq: true, RawBytes: 100}
		if r.IntN(2) == 0 {
			e.IngestTS = ts + r.Int64N(1000)
		}
		for k := range e.ID {
			e.ID[k] = byte(r.Uint32())
		}
		b.AppendEnvelope(&e)
		if r.IntN(3) == 0 {
			b.Cols[market.TradeVenueID].AppendNullText()
		} else {
			b.Cols[market.TradeVenueID].AppendText(fmt.Appendf(nil, "%d", r.IntN(1e6)))
		}
		b.Cols[market.TradeSide].AppendInt(r.Int64N(3))
		b.Cols[market.TradePrice].AppendDec(r.Int64N(1e9), int8(r.IntN(8)))
		b.Cols[market.TradeQuantity].AppendDec(r.Int64N(1e9), 8)
		b.Cols[market.TradePrints].AppendInt(1)
	}
	return w.ordered(b)
}

// ordered sorts a batch by the total order.
func (w *world) ordered(b *market.Batch) *market.Batch {
	numbers := w.insts.Numbers()
	rows := make([]int, b.N)
	for i := range rows {
		rows[i] = i
	}
	slices.SortStableFunc(rows, func(x, y int) int { return b.Key(x, numbers).Compare(b.Key(y, numbers)) })
	out := market.NewBatch(b.Kind)
	for _, r := range rows {
		out.AppendRows(b, r, r+1)
	}
	return out
}

// where keeps the rows that f wants.
func where(b *market.Batch, f func(i int) bool) *market.Batch {
	out := market.NewBatch(b.Kind)
	for i := range b.N {
		if f(i) {
			out.AppendRows(b, i, i+1)
		}
	}
	return out
}

// add hands a batch to a sink in pieces.
func add(t testing.TB, s *sink.Events, r *rand.Rand, b *market.Batch) {
	t.Helper()
	piece := market.NewBatch(b.Kind)
	for lo := 0; lo < b.N; {
		hi := min(b.N, lo+1+r.IntN(3000))
		piece.Reset()
		piece.AppendRows(b, lo, hi)
		if err := s.Add(t.Context(), piece); err != nil {
			t.Fatal(err)
		}
		lo = hi
	}
}

// read scans a table back into one batch.
func (w *world) read(t testing.TB, q lake.Query) (*market.Batch, lake.ScanPlan) {
	t.Helper()
	tab, err := w.lake.Load(t.Context(), "processed.trade")
	if err != nil {
		t.Fatal(err)
	}
	sc, err := tab.Scan(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Close()
	u, err := file.NewUnpacker(nil, market.KindTrade, sc.Columns(), w.insts, w.feeds)
	if err != nil {
		t.Fatal(err)
	}
	all := market.NewBatch(market.KindTrade)
	for {
		b, err := sc.Next()
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return all, sc.Plan()
		}
		part, err := u.Unpack(b)
		if err != nil {
			t.Fatal(err)
		}
		all.AppendRows(part, 0, part.N)
	}
}

// same compares batches as the lake keeps them: no shard, every row numbered, no null bits beyond.
func same(t testing.TB, what string, got, want *market.Batch) {
	t.Helper()
	a, b := plain(got), plain(want)
	if d := cmp.Diff(b, a); d != "" {
		if len(d) > 2000 {
			d = d[:2000]
		}
		t.Fatalf("%s: %d rows, want %d\n%s", what, got.N, want.N, d)
	}
}

func plain(b *market.Batch) *market.Batch {
	out := market.NewBatch(b.Kind)
	for i := range b.N {
		out.AppendRows(b, i, i+1)
		out.Shard[i] = 0
	}
	for c, f := range market.Schema(b.Kind) {
		if f.Type == market.TypeDec {
			for i := range out.N {
				if out.Cols[c].IsNull(i) {
					out.Cols[c].I64[i], out.Cols[c].Scale[i] = 0, 0
				}
			}
		}
	}
	return out
}

// Any files, any memory, any number of workers: the same rows in the total order.
func TestScan_DeliversTheTotalOrderWhateverTheFiles(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t)
		want := w.trades(r, 6_000, 4_000_000)
		// Rows reach the table in several commits, each with rows of all times, and files of
		// different sizes.
		commits := 1 + r.IntN(4)
		by, least := bySymbol(t, []string{"", "", "each", "3"}[seed]), int64(1)
		if by != nil {
			least = 200_000 // else each row is a file
		}
		for k := range commits {
			s := sink.NewEvents(w.lake, w.insts, w.feeds, sink.Config{Memory: max(least, []int64{1, 400_000, 1 << 30}[r.IntN(3)]), BySymbol: by})
			add(t, s, r, where(want, func(i int) bool { return int(want.ID[i][0])%commits == k }))
			if err := s.Commit(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		for range 4 {
			q := lake.Query{Memory: []int64{1, 100_000, 1 << 30}[r.IntN(3)], Workers: 1 + r.IntN(4)}
			all, plan := w.read(t, q)
			same(t, fmt.Sprintf("seed %d, %+v", seed, plan), all, want)

			q.From = start + r.Int64N(4*market.Hour)
			q.To = q.From + 1 + r.Int64N(3*market.Hour)
			q.Where = map[string][]string{"symbol": {"S1-USDT", "S4-USDT"}, "exchange": {"kraken"}}
			some, plan := w.read(t, q)
			same(t, fmt.Sprintf("seed %d, %+v", seed, plan), some, where(want, func(i int) bool {
				inst := w.insts.Get(want.Inst[i])
				return want.TS[i] >= q.From && want.TS[i] < q.To && inst.Exchange == "kraken" && (inst.Symbol == "S1-USDT" || inst.Symbol == "S4-USDT")
			}))
		}
	}
}

// Histories apart: the rows of each in the total order, and none below what the scan said was through.
func TestScan_HistoriesApartAreEachInOrder(t *testing.T) {
	merged := 0
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(t)
		want := w.trades(r, 6_000, 4_000_000)
		commits := 1 + r.IntN(3)
		for k := range commits {
			s := sink.NewEvents(w.lake, w.insts, w.feeds, sink.Config{Memory: []int64{1, 400_000, 1 << 30}[r.IntN(3)]})
			add(t, s, r, where(want, func(i int) bool { return int(want.ID[i][0])%commits == k }))
			if err := s.Commit(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			apart []string
			of    func(market.Instrument) string
		}{
			{[]string{"symbol"}, func(x market.Instrument) string { return x.Symbol }},
			{[]string{"exchange", "symbol"}, func(x market.Instrument) string { return x.Exchange + x.Symbol }},
			{[]string{"exchange", "market", "symbol"}, func(x market.Instrument) string { return fmt.Sprint(x.Exchange, x.Venue, x.Symbol) }},
		} {
			q := lake.Query{Memory: []int64{1, 100_000, 1 << 30}[r.IntN(3)], Workers: 1 + r.IntN(4), Apart: c.apart}
			wanted := want
			if r.IntN(2) == 0 {
				q.From = start + r.Int64N(4*market.Hour)
				q.To = q.From + 1 + r.Int64N(3*market.Hour)
				wanted = where(want, func(i int) bool { return want.TS[i] >= q.From && want.TS[i] < q.To })
			}
			tab, err := w.lake.Load(t.Context(), "processed.trade")
			if err != nil {
				t.Fatal(err)
			}
			sc, err := tab.Scan(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			u, err := file.NewUnpacker(nil, market.KindTrade, sc.Columns(), w.insts, w.feeds)
			if err != nil {
				t.Fatal(err)
			}
			got, through, behind := map[string]*market.Batch{}, market.NoTime, market.NoTime
			for {
				b, err := sc.Next()
				if err != nil {
					t.Fatal(err)
				}
				if b == nil {
					break
				}
				part, err := u.Unpack(b)
				if err != nil {
					t.Fatal(err)
				}
				for i := range part.N {
					name := c.of(w.insts.Get(part.Inst[i]))
					if got[name] == nil {
						got[name] = market.NewBatch(market.KindTrade)
					}
					got[name].AppendRows(part, i, i+1)
					if part.TS[i] < through {
						t.Fatalf("seed %d: a row of %d after all below %d were through", seed, part.TS[i], through)
					}
					if part.TS[i] < behind {
						merged++
					}
					behind = part.TS[i]
				}
				if sc.Through() < through {
					t.Fatalf("seed %d: through falls from %d to %d", seed, through, sc.Through())
				}
				through = sc.Through()
			}
			sc.Close()
			rows := 0
			for name, b := range got {
				same(t, fmt.Sprintf("seed %d, %s of %v", seed, name, c.apart), b, where(wanted, func(i int) bool { return c.of(w.insts.Get(wanted.Inst[i])) == name }))
				rows += b.N
			}
			if rows != wanted.N || rows > 0 && through <= wanted.TS[wanted.N-1] {
				t.Fatalf("seed %d: %d rows of %d through %d, the last is of %d", seed, rows, wanted.N, through, wanted.TS[wanted.N-1])
			}
		}
	}
	if merged == 0 {
		t.Error("no scan gave histories apart")
	}
}

func bySymbol(t testing.TB, text string) []lake.Partition {
	t.Helper()
	by, err := lake.BySymbol(text)
	if err != nil {
		t.Fatal(err)
	}
	return by
}

// Files of a table that is partitioned by symbol, too, have rows of their symbol or bucket
// alone; a scan of one symbol plans no others, however long the symbol is.
func TestEvents_PartitionsBySymbol(t *testing.T) {
	for _, text := range []string{"each", "3"} {
		r := rand.New(rand.NewPCG(11, 11))
		w := newWorld(t)
		want := w.trades(r, 4_000, 2_000_000)
		long := w.insts.Intern("kraken", market.Spot, "S1-USDT-WITH-A-LONG-NAME-1")
		other := w.insts.Intern("kraken", market.Spot, "S1-USDT-WITH-A-LONG-NAME-2")
		for i := range want.N {
			if i%50 == 0 {
				want.Inst[i] = []market.Inst{long, other}[i/50%2]
			}
		}
		want = w.ordered(want)
		s := sink.NewEvents(w.lake, w.insts, w.feeds, sink.Config{BySymbol: bySymbol(t, text)})
		add(t, s, r, want)
		if err := s.Commit(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		tab, err := w.lake.Load(t.Context(), "processed.trade")
		if err != nil {
			t.Fatal(err)
		}
		files, err := tab.Files(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			switch v := f.Partition[3].(type) {
			case string: // bounds are cut after 16 characters
				if b := f.Bounds["symbol"]; text != "each" || v[:min(16, len(v))] != b[0] || len(v) <= 16 && v != b[1] {
					t.Errorf("%s: partition %v, symbols %v", text, f.Partition, b)
				}
			case int32:
				if text == "each" || v < 0 || v > 2 {
					t.Errorf("%s: partition %v", text, f.Partition)
				}
			}
		}
		all, plan := w.read(t, lake.Query{})
		same(t, text, all, want)
		for _, inst := range []market.Inst{long, want.Inst[1]} {
			one := w.insts.Get(inst)
			some, splan := w.read(t, lake.Query{Where: map[string][]string{"symbol": {one.Symbol}, "exchange": {one.Exchange}}})
			same(t, text+" of "+one.Symbol, some, where(want, func(i int) bool { return want.Inst[i] == inst }))
			if splan.Files*2 > plan.Files {
				t.Errorf("%s: %d of %d files for one symbol", text, splan.Files, plan.Files)
			}
		}
		if found, err := w.lake.Examine(t.Context(), lake.Examination{Deep: true}); err != nil || slices.ContainsFunc(found, func(f lake.Finding) bool { return f.Level != lake.Note }) {
			t.Errorf("%s: doctor: %+v, %v", text, found, err)
		}
		again := sink.NewEvents(w.lake, w.insts, w.feeds, sink.Config{}) // the table tells
		add(t, again, r, want)
		if c := again.Counts()[market.KindTrade]; c.Added != 0 || c.Known != int64(want.N) {
			t.Errorf("%s: again %+v", text, c)
		}
	}
	for _, text := range []string{"symbol", "0", "-1", "1e3", "5000"} {
		if by, err := lake.BySymbol(text); err == nil {
			t.Errorf("%q is %v", text, by)
		}
	}
}

// The same events a second time, in part and in other company, add only what is new.
func TestEvents_AreAddedOnce(t *testing.T) {
	for _, by := range []string{"", "each", "3"} {
		t.Run("by "+by, func(t *testing.T) { addedOnce(t, bySymbol(t, by)) })
	}
}

func addedOnce(t *testing.T, by []lake.Partition) {
	r := rand.New(rand.NewPCG(7, 7))
	w := newWorld(t)
	want := w.trades(r, 9_000, 2_000_000)
	put := func(b *market.Batch) map[market.Kind]sink.Counts {
		s := sink.NewEvents(w.lake, w.insts, w.feeds, sink.Config{Memory: 300_000, BySymbol: by})
		add(t, s, r, b)
		if err := s.Commit(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		return s.Counts()
	}
	put(where(want, func(i int) bool { return i < 3000 }))
	if c := put(where(want, func(i int) bool { return i < 6000 }))[market.KindTrade]; c.Known != 3000 || c.Added != 3000 {
		t.Errorf("the second time %+v", c)
	}
	put(want)
	if c := put(want)[market.KindTrade]; c.Known != 9000 || c.Added != 0 || c.Files != 0 {
		t.Errorf("all known: %+v", c)
	}
	all, _ := w.read(t, lake.Query{})
	same(t, "after four imports", all, want)
	tab, err := w.lake.Load(t.Context(), "processed.trade")
	if err != nil {
		t.Fatal(err)
	}
	snaps, err := tab.Snapshots()
	if err != nil || len(snaps) != 3 {
		t.Errorf("%d snapshots, %v", len(snaps), err)
	}
	if b, err := tab.Base(); err != nil || b.ValidThrough != want.TS[want.N-1] {
		t.Errorf("valid through %v, %v", b.ValidThrough, err)
	}
	before, _ := w.read(t, lake.Query{Snapshot: snaps[0].ID})
	same(t, "the first snapshot", before, where(want, func(i int) bool { return i < 3000 }))
}

// Two processes that add overlapping events at once: the slower one is refused and adds
// nothing twice when it tries again.
func TestEvents_RaceIsRefusedAndComesRight(t *testing.T) {
	for _, by := range []string{"", "3"} {
		t.Run("by "+by, func(t *testing.T) { raced(t, bySymbol(t, by)) })
	}
}

func raced(t *testing.T, by []lake.Partition) {
	r := rand.New(rand.NewPCG(9, 9))
	w := newWorld(t)
	want := w.trades(r, 3_000, 2_000_000)
	put := func(s *sink.Events, f func(i int) bool) { add(t, s, r, where(want, f)) }
	first := sink.NewEvents(w.lake, w.insts, w.feeds, sink.Config{BySymbol: by})
	put(first, func(i int) bool { return i < 10 })
	if err := first.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	a, b, c := sink.NewEvents(w.lake, w.insts, w.feeds, sink.Config{}), sink.NewEvents(w.lake, w.insts, w.feeds, sink.Config{}), sink.NewEvents(w.lake, w.insts, w.feeds, sink.Config{})
	put(a, func(i int) bool { return i < 1500 })
	put(b, func(i int) bool { return i >= 1500 && i < 2000 })
	put(c, func(i int) bool { return i >= 1000 })
	for _, s := range []*sink.Events{a, b} { // apart: both land
		if err := s.Commit(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Commit(t.Context(), nil); !errors.Is(err, sink.ErrRaced) {
		t.Fatalf("overlapping: %v", err)
	}
	again := sink.NewEvents(w.lake, w.insts, w.feeds, sink.Config{})
	put(again, func(i int) bool { return i >= 1000 })
	if err := again.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	all, _ := w.read(t, lake.Query{})
	same(t, "after the race", all, want)
}

func TestScan_WrongQueriesAreRefused(t *testing.T) {
	w := newWorld(t)
	s := sink.NewEvents(w.lake, w.insts, w.feeds, sink.Config{})
	r := rand.New(rand.NewPCG(1, 1))
	add(t, s, r, w.trades(r, 100, 1000))
	if err := s.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	tab, err := w.lake.Load(t.Context(), "processed.trade")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []lake.Query{
		{Columns: []string{"prize_mantissa"}}, {Where: map[string][]string{"side": {"buy"}}}, {Snapshot: 5}, {Ref: "nothing"},
		{AsOf: time.Unix(1, 0)}, {Ref: "main", Snapshot: 5},
	} {
		if sc, err := tab.Scan(t.Context(), q); err == nil {
			sc.Close()
			t.Errorf("%+v was planned", q)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	sc, err := tab.Scan(ctx, lake.Query{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for b, err := sc.Next(); err == nil && b != nil; b, err = sc.Next() {
	}
	sc.Close()
}
