package explain

import (
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

// intervals works out the rows of one entity between the ticks of its clock and the resets.
func (x *evaluator) intervals(v *lang.View, s *series, from int64) []*computed {
	type bound struct {
		key  market.Key
		tick *computed
	}
	period := v.Window.Reset
	slices.SortStableFunc(s.rows, func(a, b item) int { return a.key.Compare(b.key) })
	var bounds []bound
	for _, t := range x.rows(v.Window.Clock) {
		if ticksFor(v, s.entity, t) {
			bounds = append(bounds, bound{t.key, t})
		}
	}
	first, last := s.rows[0].ts, s.rows[len(s.rows)-1].ts
	for b := (market.FloorDiv(first, period) + 1) * period; b-1 <= last+period; b += period {
		bounds = append(bounds, bound{key: afterAll(b - 1)})
	}
	slices.SortStableFunc(bounds, func(a, b bound) int { return a.key.Compare(b.key) })
	var out []*computed
	lo, before := 0, market.NoTime
	var tick *computed
	for _, b := range bounds {
		ts := b.key.TS
		if ts > x.to || b.tick == nil && ts > x.last {
			break
		}
		hi := lo
		for hi < len(s.rows) && s.rows[hi].key.Compare(b.key) <= 0 {
			hi++
		}
		start := market.FloorDiv(ts, period)*period - 1
		if before != market.NoTime {
			start = max(start, before)
		}
		before = ts
		alive := v.Empty == "nulls" && lo > 0 && ts-s.rows[lo-1].ts <= period
		if ts >= from && (lo < hi || b.tick != nil && alive) {
			c := &computed{v: v, entity: s.entity, start: start, end: ts, rowTS: ts, s: s, lo: lo, hi: hi, tick: b.tick}
			if tick != nil && tick.rowTS == start {
				c.before = tick
			}
			x.fill(c)
			out = append(out, c)
		}
		lo, tick = hi, b.tick
	}
	return out
}

// ticksFor reports whether a tick is of an entity's clock.
func ticksFor(v *lang.View, entity []string, tick *computed) bool {
	for i, c := range v.Window.Clock.By {
		var own string
		if k := slices.Index(v.By, c); k >= 0 {
			own = entity[k]
		} else if k := slices.Index(v.By, "symbol"); k >= 0 {
			base, quote := market.SplitSymbol(entity[k])
			own = map[string]string{"base": base, "quote": quote}[c]
		}
		if own != tick.entity[i] {
			return false
		}
	}
	return true
}
