package features_test

import (
	"math/big"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

// barRows cuts the rows of an entity into bars: after each row the whole bar so far is
// evaluated anew.
func barRows(v *lang.View, in []input, s span) []refRow {
	var rows []refRow
	var bar []input
	give := func(end, rowTS int64, flags uint8) {
		if s.closed && rowTS <= s.last || !s.closed && rowTS < s.mark {
			r := windowRow(v, v, bar, nil, bar[0].ts, end, rowTS)
			r.flags |= flags
			if v.Parent == nil && flags == 0 {
				r.key = bar[len(bar)-1].key
			}
			rows = append(rows, r)
		}
		bar = nil
	}
	boundary := func(ts int64) int64 { return (market.FloorDiv(ts, v.Window.Reset) + 1) * v.Window.Reset }
	for _, x := range in {
		if len(bar) > 0 {
			if b := boundary(bar[0].ts); x.ts >= b {
				give(b, b-1, features.FlagTruncated)
			}
		}
		for rest := x; ; {
			part, left, cut := rest, rest, false
			if v.Window.Split {
				part, left, cut = splitRow(v, bar, rest)
			}
			bar = append(bar, part)
			if ended, _ := cutValue(v, bar, x.ts).(bool); ended {
				give(x.ts, x.ts, 0)
			}
			if !cut {
				break
			}
			rest = left
		}
	}
	if len(bar) > 0 {
		b := boundary(bar[0].ts)
		give(b, b-1, features.FlagTruncated)
	}
	return rows
}

// cutValue is the condition of the end over the rows of a bar.
func cutValue(v *lang.View, bar []input, ts int64) value {
	return eval(v.Window.Cut, func(n *lang.Node) value {
		return aggValue(v, v.Aggs[n.Index], bar, nil, bar[0].ts, ts, 0)
	})
}

// sessionRows cuts where no row has come for the gap and at multiples of max.
func sessionRows(v *lang.View, in []input, s span) []refRow {
	var rows []refRow
	for lo := 0; lo < len(in); {
		bound := (market.FloorDiv(in[lo].ts, v.Window.Reset) + 1) * v.Window.Reset
		hi := lo + 1
		for hi < len(in) && in[hi].ts-in[hi-1].ts < v.Window.Width && in[hi].ts < bound {
			hi++
		}
		end, flags := in[hi-1].ts+v.Window.Width, uint8(0)
		if end > bound {
			end, flags = bound, features.FlagTruncated
		}
		if s.closed && end-1 <= s.last || !s.closed && end-1 < s.mark {
			r := windowRow(v, v, in[lo:hi], nil, in[lo].ts, end, end-1)
			r.flags |= flags
			rows = append(rows, r)
		}
		lo = hi
	}
	return rows
}

// splitRow cuts a row at the size of the bar so far: the part that fills it, what is
// left, and whether it was cut at all.
func splitRow(v *lang.View, bar []input, x input) (part, left input, cut bool) {
	agg := v.Aggs[v.Window.Cut.Args[0].Index]
	column := v.Columns[agg.Args[0].Index].Name
	got, ok := x.col(column).(*big.Rat)
	if !ok {
		return x, x, false
	}
	size := dec(v.Window.Cut.Args[1].Const.Dec)
	need := new(big.Rat).Sub(size, aggValue(v, agg, bar, nil, 0, 0, 0).(*big.Rat))
	if got.Cmp(need) <= 0 {
		return x, x, false
	}
	with := func(r *big.Rat) input {
		y := x
		y.col = func(name string) value {
			if name == column {
				return r
			}
			return x.col(name)
		}
		return y
	}
	return with(need), with(new(big.Rat).Sub(got, need)), true
}
