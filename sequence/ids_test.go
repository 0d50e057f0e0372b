package sequence

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
)

// plainGen puts ids one by one, also when it grows.
type plainGen struct{ idGen }

func (g *plainGen) put(h uint64, x idSlot) {
	if g.full() {
		tags, slots := g.tags, g.slots
		size := max(minSlots, 2*len(slots))
		g.tags, g.slots, g.n = make([]uint8, size), make([]idSlot, size), 0
		for i, y := range slots {
			if tags[i] != 0 {
				g.put(mix(y.a, y.b), y)
			}
		}
	}
	mask := uint64(len(g.tags) - 1)
	i := h & mask
	for g.tags[i] != 0 && (g.slots[i].a != x.a || g.slots[i].b != x.b) {
		i = (i + 1) & mask
	}
	if g.tags[i] == 0 {
		g.n++
	}
	g.tags[i], g.slots[i] = tagOf(h), x
}

// A table has the same slots as when every id is put by itself: snapshots show them.
func TestIDGen_SlotsEqualPlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var fast idGen
		var plain plainGen
		ids := rapid.SampledFrom([]uint64{40, 2000}).Draw(t, "ids")
		seed := rapid.Uint64().Draw(t, "seed")
		for i := range uint32(rapid.IntRange(0, 1500).Draw(t, "n")) {
			seed = seed*6364136223846793005 + 1442695040888963407
			a, b := (seed>>33)%ids*0x9e3779b9, uint32(seed>>60)
			h := mix(a, b)
			fast.put(h, a, b, i)
			plain.put(h, idSlot{a, b, i})
		}
		if fast.n != plain.n || !slices.Equal(fast.tags, plain.tags) || !slices.Equal(fast.slots, plain.slots) {
			t.Fatalf("%d ids, want %d", fast.n, plain.n)
		}
	})
}

// A generation that was large and has few ids now is restored as it was: its table goes on as it is.
func TestIDs_AnyNumberInAnyTableIsRestored(t *testing.T) {
	for _, before := range []int{0, 1, 100, 161, 321, 700, 1300} {
		for now := range 400 {
			s := newIDSet(1 << 20)
			id := func(i int) *market.ID {
				x := market.ID{0: byte(i), 1: byte(i >> 8), 2: byte(i >> 16), 9: 1}
				return &x
			}
			for i := range before {
				s.known(id(i), market.MinEventTime, market.NoTime)
			}
			s.swap(market.MinEventTime)
			s.swap(market.MinEventTime) // the table of before, empty
			for i := range now {
				s.known(id(i+1<<16), market.MinEventTime, market.NoTime)
			}
			var e enc
			e.gen(&s.cur)
			e.gen(&s.old)
			d, got := dec{b: e.b}, newIDSet(1<<20)
			d.gen(&got.cur)
			d.gen(&got.old)
			if d.bad || len(d.b) != 0 {
				t.Fatalf("%d ids in a table that had %d: not restored", now, before)
			}
			if got.cur.n != now || len(got.cur.slots) != len(s.cur.slots) {
				t.Fatalf("%d ids in %d slots, not %d in %d", got.cur.n, len(got.cur.slots), now, len(s.cur.slots))
			}
		}
	}
}
