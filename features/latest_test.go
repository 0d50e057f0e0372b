package features_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
)

// Features of members that stand in an aggregate are written once, however often they
// name each other.
func TestLatest_ChainOfFeaturesIsNotUnfolded(t *testing.T) {
	var b strings.Builder
	b.WriteString("view: chain\nversion: 1\nfrom: quote\nby: [market]\nwindow: {latest: exchange, every: 1s, max_age: 5s, emit: members}\nfeatures:\n  f0: bid_quantity\n  g0: max(bid_quantity)\n")
	for i := 1; i < 60; i++ {
		fmt.Fprintf(&b, "  f%d: min_of(f%d, f%d + g%d)\n  g%d: max(f%d where f%d <= g%d)\n", i, i-1, i-1, i-1, i, i, i, i-1)
	}
	r := newRig(t, b.String())
	events := r.events(5, 40)
	h := how{batch: 7, shards: 1, seed: 1, last: events[len(events)-1].ts}
	rows := r.drive(events, h)
	if len(rows[0]) == 0 {
		t.Fatal("no rows")
	}
	for _, row := range rows[0] {
		if row.vals[0] != row.vals[118] {
			t.Fatalf("the least of sums of sizes is %v, want %v", row.vals[118], row.vals[0])
		}
	}
}

// Whatever stands in the body of a snapshot of latest windows, reading it ends in an error
// or in a task that can go on.
func TestLatest_HostileSnapshots(t *testing.T) {
	r := newRig(t, acrossSpecs[0], listedSpecs[2])
	events := r.events(11, 60)
	body := features.SnapshotBody(r.snapshot(events, events[40].ts, 5, 5))
	g := rand.New(rand.NewPCG(3, 3))
	read := 0
	for range 3000 {
		b := slices.Clone(body)
		for range 1 + g.IntN(3) {
			at := g.IntN(len(b))
			switch g.IntN(3) {
			case 0:
				b[at] ^= 1 << g.IntN(8)
			case 1:
				copy(b[at:], []byte{255, 255, 255, 255, 255, 255, 255, 127})
			default:
				b = slices.Delete(b, at, min(len(b), at+8))
			}
		}
		task, err := r.plan.DecodeWith(r.insts, b)
		if err != nil {
			continue
		}
		read++
		task.AppendSnapshot(nil)
		var out features.Rows
		var marks [market.NumKinds]int64
		setMarks(&marks, events[len(events)-1].ts)
		_ = task.Advance(&marks, &out) // a mark may fall
	}
	if read == 0 {
		t.Error("no body was read")
	}
}
