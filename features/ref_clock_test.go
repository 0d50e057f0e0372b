package features_test

import (
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

// refKey is a whole order key: time, source, instrument, epoch, number.
type refKey [5]uint64

// afterAll stands after every row of an instant.
func afterAll(ts int64) refKey {
	return refKey{uint64(ts), math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64}
}

func (k refKey) compare(o refKey) int { return slices.Compare(k[:], o[:]) }

// inOrder sorts events into the total order.
func (r *rig) inOrder(events []*event) {
	slices.SortStableFunc(events, func(a, b *event) int { return r.world.order(a).compare(r.world.order(b)) })
}

// clock gives the rows of a view by ticks: for each entity it looks at every tick and every
// reset by itself and takes the rows between the boundary before and it.
func (w *world) clock(v *lang.View, ins map[string][]input, names map[string][]string, ticks []refRow, s span) []refRow {
	var rows []refRow
	c, p := v.Window.Clock, v.Window.Reset
	for k, in := range ins {
		var mine []refRow
		for _, t := range ticks {
			ok := true
			for i, col := range c.By {
				var own string
				if j := slices.Index(v.By, col); j >= 0 {
					own = names[k][j]
				} else {
					base, quote := market.SplitSymbol(names[k][slices.Index(v.By, "symbol")])
					own = map[string]string{"base": base, "quote": quote}[col]
				}
				ok = ok && own == t.ent[i]
			}
			if ok {
				mine = append(mine, t)
			}
		}
		slices.SortStableFunc(in, func(a, b input) int { return a.key.compare(b.key) })
		for _, r := range w.intervals(v, in, mine, p, s) {
			r.ent = names[k]
			rows = append(rows, r)
		}
	}
	slices.SortStableFunc(rows, func(a, b refRow) int {
		if a.rowTS != b.rowTS {
			return int(min(max(a.rowTS-b.rowTS, -1), 1))
		}
		return slices.Compare(a.ent, b.ent)
	})
	return rows
}

// intervals are the rows of one entity.
func (w *world) intervals(v *lang.View, in []input, ticks []refRow, p int64, s span) []refRow {
	type bound struct {
		key  refKey
		tick *refRow
	}
	var bounds []bound
	for i := range ticks {
		bounds = append(bounds, bound{ticks[i].key, &ticks[i]})
	}
	last := in[len(in)-1].ts
	for b := (market.FloorDiv(in[0].ts, p) + 1) * p; b-1 <= last+p; b += p { // after a tick at its instant
		bounds = append(bounds, bound{key: afterAll(b - 1)})
	}
	slices.SortStableFunc(bounds, func(a, b bound) int { return a.key.compare(b.key) })
	var rows []refRow
	from, seen := refKey{}, int64(math.MinInt64)
	var before input
	for _, b := range bounds {
		ts := int64(b.key[0])
		if !s.closed && ts >= s.mark || s.closed && b.tick == nil && ts > s.last {
			break
		}
		var mine []input
		for _, x := range in {
			if x.key.compare(from) > 0 && x.key.compare(b.key) <= 0 {
				mine = append(mine, x)
			}
		}
		start := max(int64(from[0]), market.FloorDiv(ts, p)*p-1)
		if from == (refKey{}) {
			start = market.FloorDiv(ts, p)*p - 1
		}
		from = b.key
		alive := v.Empty == "nulls" && seen != math.MinInt64 && ts-seen <= p
		if len(mine) == 0 && (b.tick == nil || !alive) {
			continue
		}
		rows = append(rows, clockRow(v, mine, start, ts, b.tick, before, s))
		if len(mine) > 0 {
			before = mine[len(mine)-1]
			seen = before.ts
		}
	}
	return rows
}

func clockRow(v *lang.View, in []input, start, ts int64, tick *refRow, before input, s span) refRow {
	r := refRow{start: start, end: ts, rowTS: ts}
	for _, x := range in {
		r.avail, r.hold, r.flags = max(r.avail, x.avail), max(r.hold, x.hold), r.flags|x.flags
	}
	if len(in) == 0 {
		r.flags, r.hold, r.avail = features.FlagEmpty, before.hold, before.avail
	}
	if tick == nil {
		r.flags |= features.FlagTruncated
	} else {
		r.flags |= tick.flags &^ (features.FlagEmpty | features.FlagStale | features.FlagOverflow)
		r.avail, r.hold = max(r.avail, tick.avail), max(r.hold, tick.hold)
	}
	if s.closed && ts > s.last {
		r.flags |= features.FlagPartial
	}
	r.avail = max(r.avail, r.end+r.hold)
	if len(in) > 0 {
		before = in[len(in)-1]
	}
	joined := before.join(&r, ts)
	aggs := make([]value, len(v.Aggs))
	for i, a := range v.Aggs {
		aggs[i] = aggValue(v, a, in, nil, start, ts, 0)
	}
	r.vals = finish(v, func(n *lang.Node) value {
		switch n.Op {
		case lang.NAgg:
			return aggs[n.Index]
		case lang.NColumn:
			return joined(n)
		case lang.NClock:
			if tick == nil {
				return nil
			}
			x := tick.vals[n.Index]
			if q, ok := x.(*big.Rat); ok && n.Type.Kind == lang.TFloat {
				f, _ := q.Float64()
				return f
			}
			return x
		case lang.NWindowStart:
			return rat(start)
		}
		return rat(ts)
	})
	return r
}

// clockBase is the text of a clock of BTC trades, whole or split.
func clockBase(name, window string, more ...string) string {
	return strings.Join(append([]string{"view: " + name, "version: 1", "from: trade", "where: base == 'BTC'", "by: [exchange]", "window: " + window}, more...), "\n") + "\n"
}
