package features_test

import (
	"fmt"
	"strings"
	"testing"
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
