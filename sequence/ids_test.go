package sequence

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
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
