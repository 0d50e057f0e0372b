package features_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

// holdAll compiles views all of which hold their rows, though they need not.
func holdAll(t *testing.T, feeds *market.Feeds, texts ...string) *features.Plan {
	var specs []*lang.Spec
	for _, s := range texts {
		spec, ps := lang.Parse("a.yaml", []byte(s))
		if len(ps) > 0 {
			t.Fatal(ps)
		}
		specs = append(specs, spec)
	}
	set, ps := lang.Check(specs, lang.CheckOptions{})
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	for _, v := range set.Views {
		v.Holds = true
	}
	p, err := features.CompileSet(set, features.Options{Feeds: feeds})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A view that holds its rows until the mark gives what it gives when it folds them at once,
// however it is driven. Ratios of a parent are the exception: they are rounded when held.
func TestHold_SameRowsAsAtOnce(t *testing.T) {
	for _, name := range []string{"bars", "flat", "quotes", "rolling", "rows", "feeds"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, engineSpecs[name]...)
			held := holdAll(t, r.world.feeds, engineSpecs[name]...)
			rapid.Check(t, func(rt *rapid.T) {
				seed := rapid.Uint64().Draw(rt, "seed")
				n := rapid.IntRange(1, 200).Draw(rt, "n")
				events := r.events(seed, n)
				h := how{batch: rapid.SampledFrom([]int{1, 7, 40}).Draw(rt, "batch"), shards: 1, seed: seed, last: events[n-1].ts}
				h.history, h.restore = rapid.Bool().Draw(rt, "history"), rapid.Bool().Draw(rt, "restore")
				want := r.drive(events, h)
				other := *r
				other.plan = held
				r.same(fmt.Sprintf("%+v", h), other.drive(events, h), want)
			})
		})
	}
}

// Base and quote follow from the symbol of a parent's rows.
func TestBy_BaseOfRowsBySymbol(t *testing.T) {
	specs := []string{barsSpec, `
view: asset
version: 1
from: bars
by: [base]
window: {tumbling: 5m}
let:
  dollars: if(quote == 'USDT', volume, 0)
features:
  volume: sum(volume)
  usd: sum(dollars)
  bars: count()
`, `
view: asset_rows
version: 1
from: bars
by: [quote, base]
features:
  traded: volume
`}
	r := newRig(t, specs...)
	events := r.events(5, 400)
	last := events[len(events)-1].ts
	want := r.want(r.world.run(r.views, exact(events), span{closed: true, last: last}), 0)
	got := r.drive(events, how{batch: 37, shards: 1, restore: true, seed: 1, last: last})
	if len(want[1]) == 0 || len(want[2]) == 0 {
		t.Fatal("no rows")
	}
	r.same("base of rows", got, want)
}
