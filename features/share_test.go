package features_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/specs"
)

const sharedSpec = `view: shared_%[1]s
version: 1
from: %[3]s
by: [exchange, symbol]
window: {rolling: %[1]s, every: %[2]s}
features:
  open: first(price where side != sell)
  close: last(price)
  high: max(price)
  n: count()
  volume: sum(quantity)
  net: sum(if(side == buy, quantity, -quantity))
  sd: std(price)
  prices: distinct(price)
  p90: quantile(quantity, 0.9, approx=0.01)
  held: time_mean(price)
`

// sharedParent is a view with columns of the names of a trade's.
const sharedParent = `view: shared_parent
version: 1
from: trade
by: [exchange, market, symbol]
window: {tumbling: 1s}
features:
  side: last(side)
  open_price: first(price)
  volume: sum(quantity)
`

// Views that differ in width alone, and in the grid as far as panes nest.
func sharedSpecs(from string) []string {
	var texts []string
	for _, w := range [][2]string{{"6s", "2s"}, {"20s", "2s"}, {"60s", "4s"}, {"61s", "1s"}, {"4s", "2s"}} {
		text := fmt.Sprintf(sharedSpec, w[0], w[1], from)
		if from == "shared_parent" {
			text = strings.NewReplacer("price)", "open_price)", "price ", "open_price ", "quantity", "volume").Replace(text)
		}
		texts = append(texts, text)
	}
	return texts
}

// Panes of a family are made once, and the rows are those of each view alone.
func TestShare_SameAsAlone(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"trade", "shared_parent"} {
		texts := sharedSpecs(from)
		if from != "trade" {
			texts = append(texts, sharedParent)
		}
		r := newRig(t, texts...)
		if n := r.plan.Hidden(); n != 2 && n != 1 {
			t.Fatalf("%d hidden views", n)
		}
		alone := *r
		var src []features.Source
		for i, s := range texts {
			src = append(src, features.Source{Name: fmt.Sprint(i), Text: []byte(s)})
		}
		var err error
		if alone.plan, err = features.Alone(src, features.Options{Find: specs.Find, Feeds: r.world.feeds}); err != nil {
			t.Fatal(err)
		}
		if alone.plan.Hidden() != 0 {
			t.Fatal("views alone share panes")
		}
		for seed := range uint64(24) {
			events := r.events(seed, 200)
			last := events[len(events)-1].ts
			h := how{batch: 1 + int(seed)%9, shards: 1 + int(seed)%2, restore: seed%3 == 0, seed: seed, last: last}
			if seed%4 == 1 {
				h.from = events[len(events)/2].ts
			}
			if seed%5 == 2 {
				h.mark = last - 3*market.Second
			}
			want := alone.drive(events, how{batch: 7, shards: 1, seed: seed, last: last, from: h.from, mark: h.mark})
			r.same(fmt.Sprintf("seed %d", seed), r.drive(events, h), want)
		}
	}
}

// A family of rolling widths costs little more than one of them.
func BenchmarkShare_Rolling(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var src []features.Source
			for i := range n {
				text := fmt.Sprintf(`view: w%d
version: 1
from: trade
by: [exchange, market, symbol]
window: {rolling: %dm, every: 1m}
features:
  move: last(price) / first(price) - 1
  high: max(price)
  low: min(price)
  volume: sum(quantity)
  flow: sum(quantity where side == buy) - sum(quantity where side == sell)
`, i, i+1)
				src = append(src, features.Source{Name: fmt.Sprint(i), Text: []byte(text)})
			}
			benchViews(b, src, 1, false)
		})
	}
}
