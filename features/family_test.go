package features_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/specs"
)

// familySpecs are bars of several sizes over each of several totals.
func familySpecs() []string {
	var texts []string
	for _, f := range []struct {
		name, by, where, bar, reset string
		sizes                       []string
	}{
		{"count", "symbol", "", "count()", "10m", []string{"1", "2", "7.5", "30", "1000000"}},
		{"volume", "exchange, symbol", "where: side != sell", "sum(quantity)", "1h",
			[]string{"0.000000000000000001", "1000.25", "900000000.5", "30000000000", "9000000000000000000"}},
		{"dollars", "symbol", "", "sum(price * quantity)", "1d",
			[]string{"1", "1000000000000.125", "900000000000000000", "9000000000000000000"}},
		{"prints", "symbol", "where: exchange == 'kraken'", "sum(quantity)", "5s", []string{"1000000", "400000000"}},
	} {
		for i, size := range f.sizes {
			texts = append(texts, fmt.Sprintf(`
view: %s_%d
version: 1
from: trade
by: [%s]
%s
window: {bar: %s, size: %s, reset: %s}
features:
  open: first(price where side != sell)
  high: max(price)
  low: min(price)
  close: last(price)
  volume: sum(quantity)
  vwap: sum(price * quantity) / volume
  trades: count()
  bought: sum(quantity where side == buy)
  sd: std(price)
  held: time_mean(price)
  net: sum(if(side == buy, quantity, -quantity))
  best: argmax(price, quantity)
  took: window_end - window_start
`, f.name, i, f.by, f.where, f.bar, size, f.reset))
		}
	}
	for i, size := range []string{"0.5", "2000000000.125"} {
		texts = append(texts, fmt.Sprintf(`
view: bids_%d
version: 1
from: quote
by: [symbol]
window: {bar: sum(bid_quantity), size: %s, reset: 1h}
features:
  bid: last(bid_price)
  seen: count(bid_price)
`, i, size), fmt.Sprintf(`
view: clocked_%d
version: 1
from: quote
by: [symbol]
window: {clock: count_%d}
features:
  bid: last(bid_price)
`, i, i+2))
	}
	return texts
}

// Bars that differ in size have the rows and the states, word for word, of each view
// alone, and of folds row by row.
func TestFamily_SameAsAlone(t *testing.T) {
	t.Parallel()
	texts := familySpecs()
	r := newRig(t, texts...)
	if got := fmt.Sprint(r.plan.Families()); got != "[3 2 5 4 2 2]" {
		t.Fatalf("families of %s", got)
	}
	alone, plain := *r, *r
	var src []features.Source
	for i, s := range texts {
		src = append(src, features.Source{Name: fmt.Sprint(i), Text: []byte(s)})
	}
	var err error
	if alone.plan, err = features.Alone(src, features.Options{Find: specs.Find, Feeds: r.world.feeds}); err != nil {
		t.Fatal(err)
	}
	if len(alone.plan.Families()) > 0 {
		t.Fatal("views alone are in families")
	}
	plain.plan = r.plan.Plain()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, 600).Draw(rt, "n")
		events := r.twinEvents(seed, n)
		if rapid.Bool().Draw(rt, "mixed") {
			events = r.events(seed, n)
		}
		mark := events[rapid.IntRange(0, n-1).Draw(rt, "mark")].ts
		size := rapid.SampledFrom([]int{1, 20, 50, 5000}).Draw(rt, "batch")
		want := alone.snapshot(events, mark, 50, 1)
		if string(r.snapshot(events, mark, size, 1)) != string(want) {
			rt.Fatal("states of a family and of views alone differ")
		}
		h := how{batch: size, shards: 1, restore: seed%3 == 0, history: seed%4 == 0, seed: seed, last: events[n-1].ts}
		one := h
		one.restore = false
		what := fmt.Sprintf("seed %d n %d %+v", seed, n, h)
		rows := r.drive(events, h)
		r.same(what, rows, alone.drive(events, one))
		if seed%5 == 0 {
			r.same(what, rows, plain.drive(events, one))
		}
	})
}
