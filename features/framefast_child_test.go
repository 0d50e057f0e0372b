package features_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
)

// childSpecs are windows over rows of frames: the newest of each feature, what needs every row, both, grids that
// overlap, rows by number and by instant, and one that mixes entities.
var childSpecs = []string{`
view: rows
version: 1
from: trade
by: [exchange, symbol]
features:
  n: count() over 200ms
  mean: mean(price) over 200ms
  std: std(price) over 300ms
  var: var(quantity) over 100ms
  high: max(price) over 1s
  low: min(quantity) over 200ms
  open: first(price) over 200ms
  close: last(price) over 200ms
  share: count() over 200ms / count() over 1s
  jump: std(price) over 6ms
`, `
view: rows_sampled
version: 1
from: rows
by: [exchange, symbol]
window: {tumbling: 100ms}
features:
  n: last(n)
  mean: last(mean)
  std: last(std)
  var: last(var)
  high: last(high)
  low: last(low)
  open: last(open)
  close: last(close)
  share: last(share)
  jump: last(jump)
  rows: count()
`, `
view: rows_bars
version: 1
from: rows
by: [exchange, symbol]
window: {tumbling: 1s, carry: 3s}
empty: flat
features:
  open: first(mean)
  high: max(mean)
  low: min(std)
  last: last(std)
  highest: max(high)
  first_low: first(low)
  rows: count()
  known: count(var)
  trades: sum(n)
  middle: median(close)
`, `
view: rows_rolling
version: 1
from: rows
by: [symbol, exchange]
window: {rolling: 600ms, every: 200ms}
features:
  last: last(high)
  share: max(share)
`, `
view: rows_by_number
version: 1
from: trade
by: [symbol]
features:
  sd: std(price) over 4 rows within 1s
  high: max(price) over 4 rows within 1s
`, `
view: rows_by_number_sampled
version: 1
from: rows_by_number
by: [symbol]
window: {tumbling: 300ms}
empty: omit
features:
  sd: last(sd)
  high: last(high)
`, `
view: instants
version: 1
from: trade
by: [exchange, symbol]
window: {rolling: 400ms, every: event}
features:
  m: mean(price)
  h: max(price)
`, `
view: instants_sampled
version: 1
from: instants
by: [exchange, symbol]
window: {tumbling: 250ms}
features:
  m: last(m)
  h: last(h)
  lowest: min(m)
  rows: count()
`, `
view: mixed
version: 1
from: trade
by: [exchange, symbol]
features:
  m: mean(price) over 200ms
`, `
view: mixed_bars
version: 1
from: mixed
by: [symbol]
window: {tumbling: 500ms}
features:
  m: last(m)
  rows: count()
`}

// sumSpecs keep exact sums in windows over rows of frames.
var sumSpecs = []string{`
view: sums
version: 1
from: trade
by: [exchange, symbol]
features:
  volume: sum(quantity) over 300ms
  notional: sum(price * quantity) over 1s
  vwap: sum(price * quantity) over 1s / sum(quantity) over 1s
`, `
view: sums_sampled
version: 1
from: sums
by: [exchange, symbol]
window: {tumbling: 200ms}
features:
  volume: last(volume)
  notional: last(notional)
  vwap: last(vwap)
  most: max(notional)
  total: sum(volume)
`}

// newestSpecs keep the newest row of each of two panes that cross, of features some of which are null at times.
var newestSpecs = []string{childSpecs[0], childSpecs[1], `
view: rows_last
version: 1
from: rows
by: [exchange, symbol]
window: {rolling: 900ms, every: 300ms}
features:
  mean: last(mean)
  std: last(std)
  jump: last(jump)
  high: last(high)
  low: last(low)
  share: last(share)
`, `
view: ratio
version: 1
from: trade
by: [exchange, symbol]
let:
  s: if(side == buy, quantity, if(side == sell, -quantity, 0))
features:
  moved: sum(price * quantity) over 40ms / sum(s) over 20ms
  high: max(price) over 150ms
`, `
view: ratio_sampled
version: 1
from: ratio
by: [exchange, symbol]
window: {tumbling: 150ms}
empty: omit
features:
  moved: last(moved)
  high: last(high)
`}

// Where children want the newest rows alone, and those before them are not put out, only these are worked out.
func TestFrames_NewestOfPanesMatchPlain(t *testing.T) { fastMatchPlain(t, newestSpecs...) }
func TestFrames_NewestOfPanesMatchPlainStepByStep(t *testing.T) {
	fastMatchPlainStepByStep(t, newestSpecs...)
}

// Windows over rows of frames without programs have the states and rows that they have over those with them.
func TestFrames_ChildrenMatchPlain(t *testing.T) { fastMatchPlain(t, childSpecs...) }
func TestFrames_ChildrenMatchPlainStepByStep(t *testing.T) {
	fastMatchPlainStepByStep(t, childSpecs...)
}
func TestFrames_ChildrenOfSumsMatchPlain(t *testing.T) { fastMatchPlain(t, sumSpecs...) }

// A view over rows of frames does not keep them from going without programs, unless it mixes their entities.
func TestFrames_ChildrenGoFast(t *testing.T) {
	for _, c := range []struct {
		specs []string
		fast  bool
	}{{childSpecs[:4], true}, {childSpecs[4:6], true}, {childSpecs[6:8], true}, {newestSpecs, true}, {sumSpecs, true}, {childSpecs[8:], false}} {
		r := newRig(t, c.specs...)
		events := r.tameEvents(300)
		fast, slow := 0, 0
		r.also = func(task *features.Task, _ *features.Rows) { fast, slow = task.FastFrames() }
		r.drive(events, how{batch: 100, shards: 1, seed: 1, last: events[len(events)-1].ts})
		if (fast > 0) != c.fast || (slow > 0) == c.fast {
			t.Errorf("%d entities go without programs, %d with them:%s", fast, slow, c.specs[0])
		}
	}
}

// tameEvents are trades of two instruments, all of which fit.
func (r *rig) tameEvents(n int) []*event {
	events := r.twinEvents(3, n)
	for i, e := range events {
		e.kind, e.feed, e.inst = market.KindTrade, 7, i%2
		e.cols = map[string]value{"price": decCell{int64(4000 + i*i%97), 2}, "quantity": decCell{int64(i%31 + 1), 3}, "side": intCell(int64(1 + i%2)), "prints": intCell(1), "id": "x"}
	}
	return events
}

// Taken entity after entity, with rows put out as they are known and those of the views in between left out, windows
// over rows of frames are the same.
func TestFrames_ChildrenApart(t *testing.T) {
	specs := slices.Concat(childSpecs[:2], childSpecs[4:8])
	r := newRig(t, specs...)
	if r.plan.ApartNow() == nil {
		t.Fatal("the views need their input in order")
	}
	plain := *r
	plain.plan = r.plan.Plain()
	sampled := []int{1, 3, 5}
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		events := r.twinEvents(seed, rapid.IntRange(1, 400).Draw(rt, "n"))
		events = slices.DeleteFunc(events, func(e *event) bool { return e.kind != market.KindTrade })
		if len(events) == 0 {
			return
		}
		last := events[len(events)-1].ts
		want := plain.drive(events, how{batch: 50, shards: 1, seed: seed, last: last})
		slices.SortStableFunc(events, func(a, b *event) int { return r.bySymbol(a.inst, b.inst) })
		task := r.plan.NewTask(r.insts, 0)
		for v := range r.plan.Outputs() {
			if !slices.Contains(sampled, v) {
				task.Omit(v)
				want[v] = nil
			}
		}
		got := make([][]outRow, len(want))
		var out features.Rows
		for at := 0; at < len(events); {
			n := min(rapid.IntRange(1, 100).Draw(rt, "size"), len(events)-at)
			out.Reset()
			if err := task.PushApart(r.batch(events[at:at+n]...), &out); err != nil {
				rt.Fatal(err)
			}
			r.collect(task, &out, got)
			at += n
		}
		out.Reset()
		if err := task.Close(last, &out); err != nil {
			rt.Fatal(err)
		}
		r.collect(task, &out, got)
		for v := range got {
			slices.SortStableFunc(got[v], func(a, b outRow) int {
				if a.ts != b.ts {
					return int(a.ts - b.ts)
				}
				return slices.Compare(a.ent, b.ent)
			})
		}
		r.same(fmt.Sprintf("seed %d", seed), got, want)
	})
}

// bySymbol compares instruments by symbol: the entities of views by symbol have their events in order.
func (r *rig) bySymbol(a, b int) int {
	return slices.Compare([]string{r.world.insts[a].Symbol}, []string{r.world.insts[b].Symbol})
}
