package run_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
	"github.com/pinova-group/tidemark/sequence"
)

// The views of the property tests: every window and every family of aggregates.
var propertySpecs = []features.Source{
	{Name: "bars.yaml", Text: []byte(`view: p_bars
version: 1
from: trade
by: [exchange, market, symbol]
window: {tumbling: 1s}
features:
  open: first(price)
  high: max(price)
  low: min(price)
  close: last(price)
  volume: sum(quantity)
  notional: sum(price * quantity)
  vwap: notional / volume
  trades: count()
  taker_buy: sum(quantity where side == buy)
  mean_price: mean(price)
  sd: std(price)
  variance: var(quantity)
  prices: distinct(price)
  median_size: quantile(quantity, 0.5, approx=0.01)
  held: time_mean(price)
`)},
	{Name: "hourly.yaml", Text: []byte(`view: p_rollup
version: 1
from: p_bars
by: [exchange, market, symbol]
window: {tumbling: 5s}
rollup: all
`)},
	{Name: "direct.yaml", Text: []byte(`view: p_direct
version: 1
from: trade
by: [exchange, market, symbol]
window: {tumbling: 5s}
features:
  open: first(price)
  high: max(price)
  low: min(price)
  close: last(price)
  volume: sum(quantity)
  notional: sum(price * quantity)
  vwap: notional / volume
  trades: count()
  taker_buy: sum(quantity where side == buy)
  mean_price: mean(price)
  sd: std(price)
  variance: var(quantity)
  prices: distinct(price)
  median_size: quantile(quantity, 0.5, approx=0.01)
  held: time_mean(price)
`)},
	{Name: "rolling.yaml", Text: []byte(`view: p_rolling
version: 1
from: trade
by: [exchange, market, symbol]
window: {rolling: 3s, every: 500ms}
where: quantity > 0.02
features:
  volume: sum(quantity)
  high: max(price)
  first: first(price)
  vwap: sum(price * quantity) / sum(quantity)
  p99: quantile(quantity, 0.99, approx=0.02)
`)},
	{Name: "over.yaml", Text: []byte(`view: p_over
version: 1
from: p_bars
by: [exchange, market, symbol]
window: {rolling: 4s, every: 1s}
features:
  volume: sum(volume)
  top: max(high)
  bars: count()
`)},
	{Name: "flat.yaml", Text: []byte(`view: p_flat
version: 1
from: trade
by: [exchange, market, symbol]
window: {tumbling: 250ms, carry: 2s}
empty: flat
features:
  open: first(price)
  close: last(price)
  volume: sum(quantity)
  trades: count()
`)},
}

// event is one trade of a random log.
type event struct {
	ts, ingest int64
	inst, seq  int
	side       int64
	price, qty num.Dec
}

// randomLog makes trades of several instruments on one feed, in event order, and an
// arrival of them that is out of order by less than the disorder and has duplicates.
func randomLog(r *rand.Rand, disorder int64) (arrival []event, insts int, dups int) {
	insts = 1 + r.IntN(5)
	n := 1 + r.IntN(200)
	ts := int64(1_700_000_000_000_000) + r.Int64N(10_000_000)
	seqs := make([]int, insts)
	type due struct {
		at int64
		e  event
	}
	var ds []due
	for range n {
		switch r.IntN(12) {
		case 0:
			ts += r.Int64N(9_000_000) // a quiet stretch
		case 1, 2: // several at one instant
		default:
			ts += r.Int64N(200_000)
		}
		i := r.IntN(insts)
		seqs[i]++
		e := event{
			ts: ts, inst: i, seq: seqs[i], side: int64(r.IntN(3)), ingest: market.NoTime,
			price: num.Dec{M: 1 + r.Int64N(1_000_000), S: int8(r.IntN(4))},
			qty:   num.Dec{M: 1 + r.Int64N(100_000), S: int8(2 + r.IntN(5))},
		}
		if r.IntN(3) > 0 {
			e.ingest = ts + r.Int64N(400_000)
		}
		at := ts + r.Int64N(disorder)
		ds = append(ds, due{at, e})
		for r.IntN(20) == 0 {
			dups++
			ds = append(ds, due{at + r.Int64N(disorder-(at-ts)), e})
		}
	}
	sort.SliceStable(ds, func(i, j int) bool { return ds[i].at < ds[j].at })
	for _, d := range ds {
		arrival = append(arrival, d.e)
	}
	return arrival, insts, dups
}

// world is a registry in which the events of a log live.
type world struct {
	feeds *market.Feeds
	insts *market.Instruments
	feed  market.FeedID
	hs    []market.Inst
}

func newWorld(insts int) *world {
	w := &world{feeds: market.NewFeeds(), insts: market.NewInstruments()}
	w.feed = w.feeds.Intern("property-feed")
	for i := range insts {
		w.hs = append(w.hs, w.insts.Intern("x", market.Spot, fmt.Sprintf("S%d-USD", i)))
	}
	return w
}

func (w *world) add(c *market.Chunk, e event) {
	b := c.Batch(market.KindTrade)
	id := fmt.Sprint(e.inst, "/", e.seq)
	env := market.Envelope{Feed: w.feed, Inst: w.hs[e.inst], EventTS: e.ts, IngestTS: e.ingest, Seq: uint64(e.seq), HasSeq: true}
	env.ID, _ = market.EventID(nil, nil, []byte(id))
	b.AppendEnvelope(&env)
	b.Cols[market.TradeVenueID].AppendText([]byte(id))
	b.Cols[market.TradeSide].AppendInt(e.side)
	b.Cols[market.TradePrice].AppendDec(e.price.M, e.price.S)
	b.Cols[market.TradeQuantity].AppendDec(e.qty.M, e.qty.S)
	b.Cols[market.TradePrints].AppendInt(1)
}

// how says how a log is driven through sequencer and engine.
type how struct {
	batch    int // rows of a chunk
	shards   int
	restarts bool
	lazy     bool // Advance only now and then
}

type result struct {
	counts sequence.Counts
	rows   []string
}

func drive(t testing.TB, plan *features.Plan, w *world, arrival []event, h how, r *rand.Rand) result {
	t.Helper()
	last := int64(math.MinInt64)
	for _, e := range arrival {
		last = max(last, e.ts)
	}
	var res result
	for shard := range h.shards {
		var mine []event
		for _, e := range arrival {
			if e.inst%h.shards == shard {
				mine = append(mine, e)
			}
		}
		c, rows := driveShard(t, plan, w, mine, last, h, r)
		res.counts.In += c.In
		res.counts.Applied += c.Applied
		res.counts.Late += c.Late
		res.counts.Duplicate += c.Duplicate
		res.counts.DLQ += c.DLQ
		res.counts.Filtered += c.Filtered
		res.counts.Pending += c.Pending
		res.rows = append(res.rows, rows...)
	}
	sort.Strings(res.rows)
	return res
}

func driveShard(t testing.TB, plan *features.Plan, w *world, mine []event, last int64, h how, r *rand.Rand) (sequence.Counts, []string) {
	t.Helper()
	cfg := sequence.DefaultConfig(w.feeds, w.insts)
	seq, err := sequence.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	task := plan.NewTask(w.insts, 0)
	var out sequence.Out
	var rows features.Rows
	var printed []string
	step := func(advance func(*sequence.Out)) {
		out.Reset()
		advance(&out)
		for _, b := range out.Rows.Batches {
			if b != nil && b.N > 0 {
				if err := task.Push(b); err != nil {
					t.Fatal(err)
				}
			}
		}
		rows.Reset()
		if err := task.Advance(&out.Marks, &rows); err != nil {
			t.Fatal(err)
		}
		printed = appendRows(printed, plan, task, &rows)
		c := seq.Counts()
		if c.In != c.Applied+c.Late+c.Duplicate+c.DLQ+c.Filtered+c.Pending {
			t.Fatalf("accounting does not add up: %+v", c)
		}
	}
	var chunk market.Chunk
	for len(mine) > 0 {
		chunk.Reset()
		n := min(h.batch, len(mine))
		for _, e := range mine[:n] {
			w.add(&chunk, e)
		}
		mine = mine[n:]
		if err := seq.Push(&chunk); err != nil {
			t.Fatal(err)
		}
		if !h.lazy || r.IntN(4) == 0 {
			step(seq.Advance)
		}
		if h.restarts && r.IntN(5) == 0 {
			if seq, err = sequence.Restore(cfg, seq.AppendSnapshot(nil)); err != nil {
				t.Fatal(err)
			}
			if task, err = plan.Restore(w.insts, task.AppendSnapshot(nil)); err != nil {
				t.Fatal(err)
			}
		}
	}
	step(seq.Close)
	rows.Reset()
	if err := task.Close(last, &rows); err != nil {
		t.Fatal(err)
	}
	return seq.Counts(), appendRows(printed, plan, task, &rows)
}

// appendRows prints rows with every bit of every column.
func appendRows(dst []string, plan *features.Plan, task *features.Task, rows *features.Rows) []string {
	var text []byte
	for v := range rows.Views {
		vr := &rows.Views[v]
		o := plan.Outputs()[v]
		for i := range vr.Len() {
			b := append(text[:0], o.Name...)
			b = strconv.AppendInt(append(b, ' '), vr.RowTS[i], 10)
			b = append(append(b, ' '), strings.Join(task.EntityNames(v, vr.Entity[i]), "/")...)
			for _, t := range []int64{vr.Start[i], vr.End[i], vr.Avail[i], int64(vr.Flags[i])} {
				b = strconv.AppendInt(append(b, ' '), t, 10)
			}
			for f := range vr.Features {
				c := &vr.Features[f]
				b = append(append(append(b, ' '), o.Fields[f].Name...), '=')
				switch {
				case c.IsNull(i):
					b = append(b, "null"...)
				case o.Fields[f].Type == features.FieldF64:
					b = strconv.AppendFloat(b, c.F64[i], 'g', -1, 64)
					b = strconv.AppendUint(append(b, '/'), math.Float64bits(c.F64[i]), 16)
				default:
					b = strconv.AppendInt(b, c.I64[i], 10)
				}
			}
			text = b
			dst = append(dst, string(b))
		}
	}
	return dst
}

// TestProperty_SameLogSameBits drives random logs through sequencer and engine in many
// ways: rows and verdicts must not tell them apart (I1, I3).
func TestProperty_SameLogSameBits(t *testing.T) {
	plan, err := features.Compile(propertySpecs, features.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cases := 1000
	if testing.Short() {
		cases = 100
	}
	ways := []how{
		{batch: 4096, shards: 1, lazy: true}, {batch: 1, shards: 1}, {batch: 7, shards: 2}, {batch: 7, shards: 7, restarts: true},
		{batch: 1, shards: 1, restarts: true, lazy: true}, {batch: 33, shards: 1, restarts: true},
	}
	for seed := range cases {
		r := rand.New(rand.NewPCG(uint64(seed), 42))
		arrival, insts, dups := randomLog(r, market.DefaultDisorder)
		w := newWorld(insts)
		sorted := append([]event(nil), arrival...)
		sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].ts < sorted[j].ts })
		want := drive(t, plan, w, sorted, how{batch: 4096, shards: 1}, r)
		if want.counts.Duplicate != int64(dups) || want.counts.Late != 0 || want.counts.Applied != int64(len(arrival)-dups) {
			t.Fatalf("seed %d: %+v, want %d duplicates of %d", seed, want.counts, dups, len(arrival))
		}
		for _, h := range ways {
			got := drive(t, plan, w, arrival, h, r)
			if got.counts != want.counts {
				t.Fatalf("seed %d, %+v: verdicts %+v, want %+v", seed, h, got.counts, want.counts)
			}
			compareRows(t, fmt.Sprintf("seed %d, %+v", seed, h), got.rows, want.rows)
		}
		rollupEqualsDirect(t, seed, want.rows)
	}
}

// rollupEqualsDirect compares bars merged from finer bars with bars built from trades.
func rollupEqualsDirect(t *testing.T, seed int, rows []string) {
	t.Helper()
	var a, b []string
	for _, row := range rows {
		if s, ok := strings.CutPrefix(row, "p_rollup "); ok {
			a = append(a, s)
		}
		if s, ok := strings.CutPrefix(row, "p_direct "); ok {
			b = append(b, s)
		}
	}
	compareRows(t, fmt.Sprintf("seed %d: rollup against direct", seed), a, b)
}

func compareRows(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			at := func(s []string) string {
				if i < len(s) {
					return s[i]
				}
				return "(none)"
			}
			t.Fatalf("%s: row %d of %d/%d differs\n got %s\nwant %s", what, i, len(got), len(want), at(got), at(want))
		}
	}
}
