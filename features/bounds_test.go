package features_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
)

// I2: rows from a on do not depend on input before a - lookback.
func TestLookback_OlderInputIsNotFelt(t *testing.T) {
	for _, name := range append(sortedNames(), joinNames()...) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, specsOf(name)...)
			rapid.Check(t, func(rt *rapid.T) {
				seed := rapid.Uint64().Draw(rt, "seed")
				n := rapid.IntRange(2, 300).Draw(rt, "n")
				events := r.events(seed, n)
				from := events[rapid.IntRange(0, n-1).Draw(rt, "from")].ts + rapid.Int64Range(0, 2*market.Minute).Draw(rt, "shift")
				h := how{batch: 50, shards: 1, seed: seed, last: events[n-1].ts, from: from}
				want := r.drive(events, h)
				v := rapid.IntRange(0, len(want)-1).Draw(rt, "view")
				edge := from - r.plan.Outputs()[v].Lookback
				var other []*event
				for _, e := range r.events(seed+1, n) {
					e.ts -= events[n-1].ts - events[0].ts + market.Hour
					if e.ts < edge && e.ts < events[0].ts && e.kind != market.KindInstrument {
						other = append(other, e)
					}
				}
				for _, e := range events {
					if e.ts >= edge || e.kind == market.KindInstrument { // whose lookback is its own
						other = append(other, e)
					}
				}
				if len(other) == 0 {
					return
				}
				got := r.drive(other, h)
				r.same(fmt.Sprintf("view %d from %d: %+v", v, from, h), got[v:v+1:v+1], want[v:v+1:v+1])
			})
		})
	}
}

// I2: an event at t changes no row before t, and none after t + reach.
func TestReach_LaterRowsAreNotFelt(t *testing.T) {
	for _, name := range append(sortedNames(), joinNames()...) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, specsOf(name)...)
			rapid.Check(t, func(rt *rapid.T) {
				seed := rapid.Uint64().Draw(rt, "seed")
				n := rapid.IntRange(2, 300).Draw(rt, "n")
				events := r.events(seed, n)
				h := how{batch: 50, shards: 1, seed: seed, mark: events[n-1].ts + market.Hour}
				want := r.drive(events, h)
				gone := rapid.IntRange(0, n-1).Draw(rt, "gone")
				if events[gone].kind == market.KindInstrument {
					return // felt until the next one
				}
				var less []*event
				less = append(append(less, events[:gone]...), events[gone+1:]...)
				got := r.drive(less, h)
				for v := range want {
					t := events[gone].ts
					far := func(rows []outRow) (out []outRow) {
						for _, x := range rows {
							if x.ts < t || x.ts > t+r.plan.Outputs()[v].Reach {
								out = append(out, x)
							}
						}
						return out
					}
					got[v], want[v] = far(got[v]), far(want[v])
				}
				r.same("without one event", got, want)
			})
		})
	}
}

// No row is later than the newest event and what the view says.
func TestAfter_RowsEndAfterEvents(t *testing.T) {
	bounded := 0
	for _, name := range append(sortedNames(), joinNames()...) {
		r := newRig(t, specsOf(name)...)
		for seed := range uint64(20) {
			events := r.events(seed, 200)
			last := events[len(events)-1].ts
			for v, rows := range r.drive(events, how{batch: 50, shards: 1, seed: seed, mark: last + market.Day}) {
				after := r.plan.Outputs()[v].After
				if after == math.MaxInt64 {
					continue
				}
				bounded++
				for _, x := range rows {
					if x.ts > last+after {
						t.Fatalf("%s: a row %d µs after the newest event, not %d", name, x.ts-last, after)
					}
				}
			}
		}
	}
	if bounded == 0 {
		t.Error("no view is bounded")
	}
}

// The snapshot is a function of the input and the marks.
func TestSnapshot_BytesDoNotDependOnBatches(t *testing.T) {
	for _, name := range append(sortedNames(), joinNames()...) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, specsOf(name)...)
			rapid.Check(t, func(rt *rapid.T) {
				seed := rapid.Uint64().Draw(rt, "seed")
				n := rapid.IntRange(1, 400).Draw(rt, "n")
				events := r.events(seed, n)
				mark := events[rapid.IntRange(0, n-1).Draw(rt, "mark")].ts
				a := r.snapshot(events, mark, 1, 11)
				b := r.snapshot(events, mark, 4096, 12)
				if string(a) != string(b) {
					rt.Fatalf("snapshots differ: %d and %d bytes", len(a), len(b))
				}
			})
		})
	}
}

// snapshot drives a task to a mark in batches and steps of its own.
func (r *rig) snapshot(events []*event, mark int64, batch int, seed uint64) []byte {
	g := rand.New(rand.NewPCG(seed, 3))
	task := r.plan.NewTask(r.insts, 0)
	var out features.Rows
	var marks [market.NumKinds]int64
	b := newBatches()
	push := func() {
		for _, k := range rigKinds {
			if err := task.Push(b[k]); err != nil {
				r.t.Fatal(err)
			}
			b[k].Reset()
		}
	}
	for _, e := range events {
		appendEvent(b[e.kind], e)
		if g.IntN(batch) == 0 {
			push()
			if e.ts <= mark {
				setMarks(&marks, e.ts)
				if err := task.Advance(&marks, &out); err != nil {
					r.t.Fatal(err)
				}
			}
		}
	}
	push()
	setMarks(&marks, mark)
	if err := task.Advance(&marks, &out); err != nil {
		r.t.Fatal(err)
	}
	return task.AppendSnapshot(nil)
}
