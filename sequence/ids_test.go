package sequence

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
)

// plainIDs is the rule of idSet with a map, over all that ever came.
type plainIDs struct {
	limit, puts int
	put         map[market.ID]plainID
}

type plainID struct {
	ts  int64
	put int
}

func (p *plainIDs) known(id market.ID, ts, forget int64) bool {
	x, ok := p.put[id]
	oldest := p.puts/p.limit*p.limit - p.limit
	if ok && x.put >= oldest && x.ts>>timeShift >= forget>>timeShift {
		return true
	}
	if ts >= forget {
		p.put[id] = plainID{ts, p.puts}
		p.puts++
	}
	return false
}

// What is known depends on the ids and times alone, also when the set is written down and
// restored in between.
func TestIDSet_EqualsPlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int{16, 100, 1 << 20}).Draw(t, "limit")
		ids := rapid.SampledFrom([]uint64{10, 300, 5000, 1 << 40}).Draw(t, "ids")
		horizon := rapid.SampledFrom([]int64{market.Millisecond, market.Second, market.Minute, 60 * market.Day}).Draw(t, "horizon")
		restarts := rapid.SampledFrom([]uint64{1, 7, 300, 1 << 40}).Draw(t, "steps from one restart to the next")
		s, plain := newIDSet(limit), plainIDs{limit: limit, put: map[market.ID]plainID{}}
		seed := rapid.Uint64().Draw(t, "seed")
		next := func(n uint64) uint64 {
			seed = seed*6364136223846793005 + 1442695040888963407
			return (seed >> 20) % n
		}
		now, forget := t0, market.NoTime
		for i := range rapid.IntRange(0, 3000).Draw(t, "n") {
			now += int64(next(uint64(horizon / 100)))
			ts := now - int64(next(uint64(horizon+horizon/10)))
			n := next(ids)
			id := market.ID{1: byte(n >> 16), 3: byte(n), 8: byte(n >> 8), 11: 1}
			if i > 20 {
				forget = now - horizon
			}
			if got, want := s.known(&id, ts, forget), plain.known(id, ts, forget); got != want {
				t.Fatalf("id %d of %d: known %v, want %v", n, i, got, want)
			}
			if len(s.list) > 2*limit || len(s.list) >= s.room() {
				t.Fatalf("%d ids, limit %d, table of %d", len(s.list), limit, len(s.table))
			}
			if next(restarts) == 0 {
				s = rewritten(t, s, forget)
			}
		}
	})
}

func rewritten(t *rapid.T, s *idSet, forget int64) *idSet {
	var e enc
	e.ids(s, forget)
	d, got := dec{b: e.b}, newIDSet(s.limit)
	if d.ids(got); d.bad || len(d.b) != 0 {
		t.Fatalf("%d ids not restored", len(s.list))
	}
	var again enc
	if again.ids(got, forget); string(again.b) != string(e.b) {
		t.Fatal("restored ids are written otherwise")
	}
	return got
}
