package features_test

import (
	"math/big"
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
)

// pairValue evaluates the aggregates of two arguments from the rows themselves.
func pairValue(v *lang.View, a *lang.Agg, rows []input) value {
	var xs, ys []value
	for _, in := range rows {
		if a.Where != nil {
			if ok, _ := evalRow(v, a.Where, in).(bool); !ok {
				continue
			}
		}
		x, y := evalRow(v, a.Args[0], in), evalRow(v, a.Args[1], in)
		if x != nil && y != nil {
			xs, ys = append(xs, x), append(ys, y)
		}
	}
	switch a.Fn {
	case "wmedian":
		return weightedMedian(a, xs, ys)
	}
	panic("agg " + a.Fn)
}

// asRanked gives a ratio as the float that is ranked.
func asRanked(a *lang.Agg, xs []value) []value {
	out := slices.Clone(xs)
	for i, x := range out {
		if r, ok := x.(*big.Rat); ok && a.Type.Kind == lang.TFloat {
			out[i], _ = r.Float64()
		}
	}
	return out
}

// between is x + share·(y − x).
func between(x, y value, share *big.Rat) value {
	if f, ok := x.(float64); ok {
		g, _ := y.(float64)
		s, _ := share.Float64()
		return f + float64((g-f)*s)
	}
	d := new(big.Rat).Sub(y.(*big.Rat), x.(*big.Rat))
	return d.Add(d.Mul(d, share), x.(*big.Rat))
}

// exactQuantile interpolates between order statistics, type 7.
func exactQuantile(a *lang.Agg, xs []value, p *big.Rat) value {
	xs = asRanked(a, xs)
	slices.SortStableFunc(xs, compareVals)
	h := new(big.Rat).Mul(p, rat(int64(len(xs)-1)))
	k := new(big.Int).Quo(h.Num(), h.Denom()).Int64()
	return between(xs[k], xs[min(int(k)+1, len(xs)-1)], h.Sub(h, rat(k)))
}

// weightedMedian is the least x with more than half of the weight up to it, or the mean of
// two at exactly half.
func weightedMedian(a *lang.Agg, xs, ws []value) value {
	xs = asRanked(a, xs)
	type pair struct{ x, w value }
	var all []pair
	total := rat(0)
	for i := range xs {
		if w := ws[i].(*big.Rat); w.Sign() > 0 {
			all = append(all, pair{xs[i], w})
			total.Add(total, w)
		}
	}
	slices.SortStableFunc(all, func(a, b pair) int { return compareVals(a.x, b.x) })
	sum := rat(0)
	for i, p := range all {
		sum.Add(sum, p.w.(*big.Rat))
		switch c := new(big.Rat).Add(sum, sum).Cmp(total); {
		case c > 0:
			return p.x
		case c == 0:
			return between(p.x, all[i+1].x, big.NewRat(1, 2))
		}
	}
	return nil
}
