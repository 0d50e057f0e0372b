package sink

import (
	"context"
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/lake"
	lakesink "github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream/record"
)

// partKey is a part of a table: an hour, of event tables of an exchange's market.
type partKey struct {
	hour             int64 // since the epoch
	exchange, market string
}

// known leaves out rows that a table has already, by their ids. A topic has each event and row once; so only those
// are looked for that may have come otherwise, by an import or a publication, and statuses, which are told to
// every partition that they are about.
type known struct {
	always bool
	read   func(ctx context.Context, base lake.Base, key partKey) (map[market.ID]struct{}, error)
	sets   map[partKey]*knownSet
	round  int64 // commits
}

type knownSet struct {
	ids  map[market.ID]struct{}
	used int64 // round
}

// keepRounds is how many commits a set of ids outlives its last use.
const keepRounds = 3

func knownEvents(always bool) *known {
	return &known{always: always, sets: map[partKey]*knownSet{}, read: func(ctx context.Context, base lake.Base, key partKey) (map[market.ID]struct{}, error) {
		return lakesink.KnownIDs(ctx, base.Table, base.Snapshot, key.hour, key.exchange, key.market)
	}}
}

func knownRows(o *features.Output) *known {
	return &known{sets: map[partKey]*knownSet{}, read: func(ctx context.Context, base lake.Base, key partKey) (map[market.ID]struct{}, error) {
		return rowIDs(ctx, base, o, key.hour)
	}}
}

// rowIDs are the ids of the rows of an hour.
func rowIDs(ctx context.Context, base lake.Base, o *features.Output, hour int64) (map[market.ID]struct{}, error) {
	if base.Snapshot == 0 {
		return nil, nil
	}
	sc, err := base.Table.Scan(ctx, lake.Query{
		Snapshot: base.Snapshot, Columns: append(slices.Clone(o.Entity), "row_ts"), From: hour * market.Hour, To: (hour + 1) * market.Hour,
	})
	if err != nil {
		return nil, err
	}
	defer sc.Close()
	ids, names, buf := map[market.ID]struct{}{}, make([]string, len(o.Entity)), []byte(nil)
	for {
		b, err := sc.Next()
		if err != nil {
			return nil, fmt.Errorf("table %s: known rows: %w", base.Table.Name(), err)
		}
		if b == nil {
			return ids, nil
		}
		for i := range b.N {
			for k := range names {
				names[k] = string(b.Cols[k].Text(i))
			}
			var id market.ID
			id, buf = record.RowID(buf, o.Fingerprint, names, b.Cols[len(names)].I64[i])
			ids[id] = struct{}{}
		}
	}
}

// commit forgets what is not in use, and everything when somebody else has committed.
func (k *known) commit(foreign bool) {
	k.round++
	for key, set := range k.sets {
		if foreign || set.used+keepRounds < k.round {
			delete(k.sets, key)
		}
	}
}

// filter gives those of the rows that are not in the table and not on their way there. ts are the times of all
// rows; of tells the part and the id of one.
func (k *known) filter(ctx context.Context, t *table, rows []int32, ts []int64, of func(row int32) (partKey, market.ID)) ([]int32, error) {
	out := rows[:0]
	for _, r := range rows {
		if !k.always && ts[r] > t.imported {
			out = append(out, r)
			continue
		}
		key, id := of(r)
		set, err := k.set(ctx, t, key)
		if err != nil {
			return nil, err
		}
		if _, ok := set.ids[id]; ok {
			t.metrics.known.add(1)
			continue
		}
		set.ids[id] = struct{}{}
		t.filling.checked[key] = append(t.filling.checked[key], id)
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

// set is the ids of a part: of the table as it is, and of rows on their way there.
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
		if set.ids, err = k.read(ctx, base, key); err != nil {
			return nil, err
		}
		if set.ids == nil {
			set.ids = map[market.ID]struct{}{}
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
