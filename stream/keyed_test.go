package stream_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/specs"
	"github.com/pinova-group/tidemark/stream"
)

// The shipped views that one task has to compute. A view that joins this list unasked can
// not be spread over partitions any more.
func TestKeyed_OfTheShippedViews(t *testing.T) {
	_, part := stream.Split(shippedSet(t))
	global := slices.Sorted(slices.Values(part.Writes))
	want := []string{"alts_per_btc", "beta_btc_1h", "breadth_1m", "btc_bars_1s", "btc_clock", "btc_clock(n=0.002)", "lead_lag_5m", "notional_rank"}
	if diff := cmp.Diff(want, global); diff != "" {
		t.Errorf("views that are not keyed (-want +got)\n%s", diff)
	}
	// They are made of keyed views, too, which the part has with them.
	if _, err := features.CompileSet(part.Set, features.Options{Feeds: market.NewFeeds(), Find: specs.Find}); err != nil {
		t.Error(err)
	}
}

// Rows of keyed views are the same from a task for each partition as from one for all.
func TestKeyed_TasksOfPartitionsGiveTheSameRows(t *testing.T) {
	feeds := market.NewFeeds()
	keyed, _ := stream.Split(shippedSet(t))
	plan, err := features.CompileSet(keyed.Set, features.Options{Feeds: feeds, Find: specs.Find})
	if err != nil {
		t.Fatal(err)
	}
	eachLog(t, 30, feeds, plan, func(r *rand.Rand, l *sequencedLog, want []string) {
		var got []string
		for _, end := range []string{"/0", "/1"} {
			task := &sequencedLog{insts: l.insts, final: l.final}
			for _, p := range l.parts {
				if strings.HasSuffix(p.Name, end) {
					task.parts = append(task.parts, p)
				}
			}
			task.addRest(plan)
			got = append(got, (&driver{t: t, r: r, log: task, plan: plan}).run()...)
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rows (-one task +one for each partition)\n%s", diff)
		}
	})
}
