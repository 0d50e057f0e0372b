package sink

import (
	"context"

	"github.com/pinova-group/tidemark/lake"
	lakesink "github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
)

// partKey is a partition of an event table.
type partKey struct {
	hour             int64 // since the epoch
	exchange, market string
}

// known leaves out events that a table has already, by their ids. The topics of a kind have each event once;
// so only statuses are looked for, which are told to every partition that they are about, and events of
// hours in which rows have come otherwise.
type known struct {
	always bool
	sets   map[partKey]*knownSet
	round  int64 // commits
}

type knownSet struct {
	ids  map[market.ID]struct{}
	used int64 // round
}

// keepRounds is how many commits a set of ids outlives its last use.
const keepRounds = 3

// commit forgets what is not in use, and everything when somebody else has committed.
func (k *known) commit(foreign bool) {
	k.round++
	for key, set := range k.sets {
		if foreign || set.used+keepRounds < k.round {
			delete(k.sets, key)
		}
	}
}

// filter gives those of the rows whose events are not in the table and not on their way there.
func (k *known) filter(ctx context.Context, t *table, insts *market.Instruments, b *market.Batch, rows []int32) ([]int32, error) {
	out := rows[:0]
	for _, r := range rows {
		if !k.always && b.TS[r] > t.imported {
			out = append(out, r)
			continue
		}
		inst := insts.Get(b.Inst[r])
		key := partKey{floorHour(b.TS[r]), inst.Exchange, inst.Venue.String()}
		set, err := k.set(ctx, t, key)
		if err != nil {
			return nil, err
		}
		if _, ok := set.ids[b.ID[r]]; ok {
			t.metrics.known.add(1)
			continue
		}
		set.ids[b.ID[r]] = struct{}{}
		t.filling.checked[key] = append(t.filling.checked[key], b.ID[r])
		out = append(out, r)
	}
	return out, nil
}

func floorHour(ts int64) int64 {
	h := ts / market.Hour
	if ts%market.Hour < 0 {
		h--
	}
	return h
}

// set is the ids of a partition: of the table as it is, and of rows on their way there.
func (k *known) set(ctx context.Context, t *table, key partKey) (*knownSet, error) {
	set := k.sets[key]
	if set == nil {
		now, err := t.lake.Reload(ctx)
		if err != nil {
			return nil, err
		}
		base, err := now.Base()
		if err != nil {
			return nil, err
		}
		set = &knownSet{}
		if set.ids, err = knownIDs(ctx, base, key); err != nil {
			return nil, err
		}
		for _, b := range []*batch{t.filling, t.committing} {
			if b == nil {
				continue
			}
			for _, id := range b.checked[key] {
				set.ids[id] = struct{}{}
			}
		}
		k.sets[key] = set
	}
	set.used = k.round
	return set, nil
}

func knownIDs(ctx context.Context, base lake.Base, key partKey) (map[market.ID]struct{}, error) {
	ids, err := lakesink.KnownIDs(ctx, base.Table, base.Snapshot, key.hour, key.exchange, key.market)
	if ids == nil {
		ids = map[market.ID]struct{}{}
	}
	return ids, err
}
