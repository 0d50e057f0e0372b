package features_test

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
)

// fastSpecs have frames that go without programs, over spans that a few rows fill and
// over such that hold all rows.
var fastSpecs = []string{`
view: frames
version: 1
from: trade
by: [exchange, symbol]
features:
  n: count() over 200ms
  sum: sum(quantity) over 200ms
  mean: mean(price) over 200ms
  high: max(price) over 200ms
  low: min(price) over 200ms
  open: first(price) over 200ms
  close: last(price) over 200ms
  sum_2: sum(quantity) over 3s
  mean_2: mean(quantity) over 3s
  high_2: max(price) over 3s
  high_q: max(quantity) over 1s
  low_2: min(price) over 1s
  open_2: first(quantity) over 1s
`, `
view: frames_spread
version: 1
from: trade
by: [exchange, symbol]
features:
  mean: mean(price) over 200ms
  var: var(price) over 200ms
  std: std(price) over 200ms
  std_2: std(price) over 3s
  std_q: std(quantity) over 1s
  whole: std(quantity, 0) over 1s
`, `
view: frames_rows
version: 1
from: trade
by: [exchange, symbol]
let:
  s: if(side == buy, quantity, if(side == sell, -quantity, 0))
features:
  imbalance: sum(s) over 5 rows within 1s / sum(abs(s)) over 5 rows within 1s
  volume: sum(quantity) over 5 rows within 1s
  vwap: sum(price * quantity) over 5 rows within 1s / sum(quantity) over 5 rows within 1s
  notional: sum(price * quantity) over 2 rows within 300ms
  middle: mean(price * quantity) over 2 rows within 300ms
  sd: std(price) over 5 rows within 1s
  high: max(price) over 2 rows within 300ms
  first: first(price) over 5 rows within 1s
  n: count() over 5 rows within 1s
`, `
view: frames_made
version: 1
from: trade
by: [symbol]
features:
  vwap: sum(price * quantity) over 1s / sum(quantity) over 200ms
  share: count() over 200ms / count() over 1s
  spread: var(quantity) over 1s
  moved: sum(price - price * 2) over 1s
`, `
view: frames_rows_crossed
version: 1
from: trade
by: [symbol]
features:
  a: sum(quantity) over 5 rows within 100ms
  b: sum(quantity) over 2 rows within 1s
`, `
view: frames_rows_parent
version: 1
from: ticks
by: [symbol]
features:
  sum: sum(abs(volume - 2 * volume)) over 4 rows within 1s / sum(volume) over 4 rows within 1s
`, `
view: frames_typed
version: 1
from: trade
by: [symbol]
where: side == buy
features:
  sum: decimal(sum(quantity) over 500ms, 12)
  wide: decimal(sum(quantity) over 500ms, 30)
  printed: sum(prints) over 1s
  high: decimal(max(price) over 1s, 2)
  n: count() over 1s
`, `
view: frames_count
version: 1
from: quote
by: [exchange]
features:
  n: count() over 1s
  m: count() over 300ms
`, `
view: frames_nulls
version: 1
from: quote
by: [exchange]
features:
  v: sum(bid_price) over 1s
  m: mean(bid_quantity) over 300ms
  h: max(bid_price) over 300ms
`, `
view: frames_parent
version: 1
from: ticks
by: [symbol]
features:
  n: count() over 1s
  v: sum(volume) over 700ms
  h: max(close) over 1s
  m: mean(close) over 300ms
`, `
view: ticks
version: 1
from: trade
by: [exchange, symbol]
window: {tumbling: 100ms}
features:
  close: last(price)
  volume: sum(quantity)
`, `
view: frames_instants
version: 1
from: trade
by: [exchange, symbol]
window: {rolling: 400ms, every: event}
features:
  n: count()
  v: sum(quantity)
  m: mean(price)
  h: max(price)
`}

// Frames without programs give the states and rows of those with them, bit for bit, and
// go on from each other's snapshots.
func TestFrames_FastMatchPlain(t *testing.T) { fastMatchPlain(t, fastSpecs...) }

func fastMatchPlain(t *testing.T, specs ...string) {
	r := newRig(t, specs...)
	plain := *r
	plain.plan = r.plan.Plain()
	fast, slow := 0, 0
	counted := *r
	counted.also = func(task *features.Task, _ *features.Rows) {
		f, s := task.FastFrames()
		fast, slow = fast+f, slow+s
	}
	defer func() {
		if fast == 0 || slow == 0 {
			t.Errorf("%d states went without programs, %d with them: both ways must be tried", fast, slow)
		}
	}()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, 500).Draw(rt, "n")
		events := r.twinEvents(seed, n)
		if rapid.Bool().Draw(rt, "ties") {
			for _, e := range events {
				step := 10 * market.Millisecond
				e.ts = e.ts / step * step
			}
		}
		mark := events[rapid.IntRange(0, n-1).Draw(rt, "mark")].ts
		size := rapid.SampledFrom([]int{1, 50, 5000}).Draw(rt, "batch")
		if a, b := r.snapshot(events, mark, size, 1), plain.snapshot(events, mark, size, 1); string(a) != string(b) {
			rt.Fatal("states differ")
		}
		h := how{batch: size, shards: 1, seed: seed, last: events[n-1].ts}
		if rapid.Bool().Draw(rt, "warm") {
			h.from = events[rapid.IntRange(0, n-1).Draw(rt, "from")].ts
		}
		want := plain.drive(events, h)
		h.restore = rapid.Bool().Draw(rt, "restore")
		r.same(fmt.Sprintf("seed %d n %d %+v", seed, n, h), counted.drive(events, h), want)
	})
}

// Pushed in the same pieces, with marks behind the newest rows so that some are held, tasks
// with and without programs give the same rows and snapshots at each step, and either goes
// on from the other's.
func TestFrames_FastMatchPlainStepByStep(t *testing.T) { fastMatchPlainStepByStep(t, fastSpecs...) }

func fastMatchPlainStepByStep(t *testing.T, specs ...string) {
	r := newRig(t, specs...)
	plain := *r
	plain.plan = r.plan.Plain()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		events := r.twinEvents(seed, rapid.IntRange(1, 400).Draw(rt, "n"))
		if rapid.Bool().Draw(rt, "tame") { // few things that do not fit
			for _, e := range events {
				if e.kind == market.KindTrade {
					e.cols["price"], e.cols["quantity"] = decCell{e.ts / 7919 % 1009, 2}, decCell{e.ts / 104729 % 997, 3}
				}
			}
		}
		twins := [2]*features.Task{r.plan.NewTask(r.insts, 0), plain.plan.NewTask(r.insts, 0)}
		var omitted []int
		for v := range r.plan.Outputs() {
			if rapid.IntRange(0, 3).Draw(rt, "omit") == 0 {
				omitted = append(omitted, v)
			}
		}
		omit := func(task *features.Task) {
			for _, v := range omitted {
				task.Omit(v)
			}
		}
		omit(twins[0])
		omit(twins[1])
		var rows [2][][]outRow
		for k := range rows {
			rows[k] = make([][]outRow, len(r.plan.Outputs()))
		}
		step := func(batches map[market.Kind]*market.Batch, mark int64, last bool) {
			var marks [market.NumKinds]int64
			setMarks(&marks, mark)
			for k, task := range twins {
				var out features.Rows
				for _, b := range batches {
					if err := task.Push(b); err != nil {
						rt.Fatal(err)
					}
				}
				advance := func() error { return task.Advance(&marks, &out) }
				if last {
					advance = func() error { return task.Close(mark, &out) }
				}
				if err := advance(); err != nil {
					rt.Fatal(err)
				}
				r.collect(task, &out, rows[k])
			}
			r.same(fmt.Sprintf("seed %d mark %d", seed, mark), rows[0], rows[1])
		}
		mark := int64(0)
		for at := 0; at < len(events); {
			n := min(rapid.IntRange(1, 60).Draw(rt, "size"), len(events)-at)
			batches := newBatches()
			for _, e := range events[at : at+n] {
				appendEvent(batches[e.kind], e)
			}
			at += n
			lag := rapid.Int64Range(0, 400).Draw(rt, "lag") * market.Millisecond
			mark = max(mark, events[at-1].ts-lag)
			step(batches, mark, false)
			a, b := twins[0].AppendSnapshot(nil), twins[1].AppendSnapshot(nil)
			if string(a) != string(b) {
				rt.Fatalf("seed %d: snapshots differ after %d events at mark %d", seed, at, mark)
			}
			if rapid.IntRange(0, 5).Draw(rt, "restore") == 0 {
				var err error
				if twins[0], err = r.plan.Restore(r.insts, b); err != nil {
					rt.Fatal(err)
				}
				omit(twins[0])
			}
		}
		step(nil, events[len(events)-1].ts, true)
	})
}

// Views of trades with one scale go without programs, each by itself.
func TestFrames_FastFromTheFirstRow(t *testing.T) {
	for _, spec := range fastSpecs {
		if !strings.Contains(spec, "from: trade") || strings.Contains(spec, "ticks") || strings.Contains(spec, "crossed") {
			continue
		}
		r := newRig(t, spec)
		events := r.twinEvents(3, 300)
		for i, e := range events {
			e.kind, e.feed, e.inst = market.KindTrade, 7, i%2
			e.cols = map[string]value{"price": decCell{int64(4000 + i*i%97), 2}, "quantity": decCell{int64(i%31 + 1), 3}, "side": intCell(int64(1 + i%2)), "prints": intCell(1), "id": "x"}
		}
		fast, slow := 0, 0
		r.also = func(task *features.Task, _ *features.Rows) { fast, slow = task.FastFrames() }
		r.drive(events, how{batch: 100, shards: 1, seed: 1, last: events[len(events)-1].ts})
		if fast == 0 || slow > 0 {
			t.Errorf("%d entities go without programs, %d with them:%s", fast, slow, spec)
		}
	}
}

// Rows that entities put out are placed by time, those of one time as they stand, whatever the
// distance between times.
func TestFrames_RowsArePlacedByTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		width := rapid.IntRange(0, 63).Draw(rt, "width")
		times := rapid.SliceOfN(rapid.Uint64Max(1<<width-1), 0, 2000).Draw(rt, "times")
		if n := rapid.IntRange(1, 300).Draw(rt, "repeat"); len(times)*n < 5000 {
			times = slices.Repeat(times, n)
		}
		order := make([]int, len(times))
		for k := range order {
			order[k] = k
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(times[a], times[b]) })
		places := features.PlaceTimes(slices.Clone(times), width, 7)
		for k, row := range order {
			if places[row] != uint32(7+k) {
				rt.Fatalf("row %d is at %d, want %d", row, places[row], 7+k)
			}
		}
	})
}

// A price that falls leaves each value without a greater one behind it, at scale 18 the divisor
// of a mean of some thousand rows is no float, and sums of great values are none.
func TestFrames_FastMatchPlainInLongFrames(t *testing.T) {
	r := newRig(t, fastSpecs[0])
	plain := *r
	plain.plan = r.plan.Plain()
	for _, shift := range []int{0, 38} {
		events := r.twinEvents(7, 9000)
		ts := events[0].ts
		for i, e := range events {
			e.kind, e.inst, e.feed, e.ts, e.ingest = market.KindTrade, 0, 7, ts+int64(i)*market.Millisecond, ts+int64(i)*market.Millisecond
			if i > 6000 {
				e.ts += int64(i-6000) * 9 * market.Millisecond
			}
			quantity := int64(i*i%1009)<<shift + int64(i)
			e.cols = map[string]value{"price": decCell{int64(900_000 - 7*i), 18}, "quantity": decCell{quantity, 18}, "side": intCell(1), "prints": intCell(1), "id": "x"}
		}
		h := how{batch: 700, shards: 1, seed: 3, last: events[len(events)-1].ts}
		r.same("long frames", r.drive(events, h), plain.drive(events, h))
	}
}

// A division of floats is taken only where it rounds once.
func TestFrames_QuotientRoundsOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1<<54, 1<<54), rapid.SampledFrom([]int64{0, 1 << 53, 1<<53 + 1, -1<<53 - 1, math.MaxInt64, math.MinInt64})).Draw(rt, "n")
		den := rapid.OneOf(rapid.Int64Range(1, 1<<40), rapid.Int64Range(1, 1000)).Draw(rt, "den")
		scale := rapid.Int8Range(0, 18).Draw(rt, "scale")
		if got, want := features.Quotient(n, den, scale), exactQuotient(n, den, scale); got != want {
			rt.Fatalf("%d × 10^-%d / %d = %v, want %v", n, scale, den, got, want)
		}
	})
}

// exactQuotient rounds the ratio of big integers.
func exactQuotient(n, den int64, scale int8) float64 {
	d := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
	f, _ := new(big.Rat).SetFrac(big.NewInt(n), d.Mul(d, big.NewInt(den))).Float64()
	return f
}
