package features_test

import (
	"math/big"
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
)

// pairValue evaluates the aggregates of two arguments from the rows themselves.
func pairValue(v *lang.View, a *lang.Agg, rows []input) value {
	var xs, ys []value
	var x, y []refPoint
	for _, in := range rows {
		if a.Where != nil {
			if ok, _ := evalRow(v, a.Where, in).(bool); !ok {
				continue
			}
		}
		p, q := evalRow(v, a.Args[0], in), evalRow(v, a.Args[1], in)
		if p != nil && q != nil {
			xs, ys = append(xs, p), append(ys, q)
		}
		x, y = addRefPoint(x, in.ts, p), addRefPoint(y, in.ts, q)
	}
	switch a.Fn {
	case "hy", "lead":
		return pathValue(a, x, y)
	case "argmin", "argmax":
		var best value
		for i, x := range xs {
			if f, ok := x.(*big.Rat); ok && a.Args[0].Type.Kind == lang.TRatio {
				x, _ = f.Float64()
				xs[i] = x
			}
			if c := 0; i > 0 {
				if c = compareVals(x, best); a.Fn == "argmin" && c >= 0 || a.Fn == "argmax" && c <= 0 {
					continue
				}
			}
			best, xs[0] = x, ys[i]
		}
		if len(xs) == 0 {
			return nil
		}
		return asRanked(a, xs[:1])[0]
	case "wmedian":
		return weightedMedian(a, xs, ys)
	case "cov", "corr", "slope":
		return comoments(a, xs, ys)
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

// deviations are the values less their mean.
func deviations(xs []value) []*big.Rat {
	mean := rat(0)
	for _, x := range xs {
		mean.Add(mean, x.(*big.Rat))
	}
	mean.Quo(mean, rat(int64(len(xs))))
	out := make([]*big.Rat, len(xs))
	for i, x := range xs {
		out[i] = new(big.Rat).Sub(x.(*big.Rat), mean)
	}
	return out
}

// products is Σ aᵢ·bᵢ.
func products(a, b []*big.Rat) *big.Rat {
	s := rat(0)
	for i := range a {
		s.Add(s, new(big.Rat).Mul(a[i], b[i]))
	}
	return s
}

func squares(a []*big.Rat) []*big.Rat {
	out := make([]*big.Rat, len(a))
	for i := range a {
		out[i] = new(big.Rat).Mul(a[i], a[i])
	}
	return out
}

// signedRoot is ±√x for x = a/b.
func signedRoot(a, b *big.Rat, sign int) value {
	r := sqrtVal(new(big.Rat).Quo(a, b)).(float64)
	return r*float64(sign) + 0
}

func comoments(a *lang.Agg, xs, ys []value) value {
	n := int64(len(xs))
	if n == 0 || a.Fn == "cov" && n <= int64(a.DDof) {
		return nil
	}
	x, y := deviations(xs), deviations(ys)
	c, xx, yy := products(x, y), products(x, x), products(y, y)
	switch {
	case a.Fn == "cov":
		return c.Quo(c, rat(n-int64(a.DDof)))
	case yy.Sign() == 0 || a.Fn == "corr" && xx.Sign() == 0:
		return nil
	case a.Fn == "slope":
		return c.Quo(c, yy)
	}
	return signedRoot(new(big.Rat).Mul(c, c), xx.Mul(xx, yy), c.Sign())
}

// shape is skew (G1) or kurt (G2) from deviations.
func shape(a *lang.Agg, xs []value) value {
	n := int64(len(xs))
	d := deviations(xs)
	sq := squares(d)
	m2 := products(d, d)
	if m2.Sign() == 0 || n < 3 || a.Fn == "kurt" && n < 4 {
		return nil
	}
	m2.Quo(m2, rat(n))
	if a.Fn == "skew" {
		m3 := products(sq, d)
		m3.Quo(m3, rat(n))
		sign := m3.Sign()
		m3.Mul(m3, m3).Mul(m3, big.NewRat(n*(n-1), (n-2)*(n-2)))
		return signedRoot(m3, new(big.Rat).Mul(m2, new(big.Rat).Mul(m2, m2)), sign)
	}
	m4 := products(sq, sq)
	m4.Quo(m4, rat(n)).Quo(m4, m2.Mul(m2, m2))
	m4.Mul(m4, rat(n+1)).Sub(m4, rat(3*(n-1)))
	return m4.Mul(m4, big.NewRat(n-1, (n-2)*(n-3)))
}

// refPoint is a value of a series and its time.
type refPoint struct {
	ts int64
	v  *big.Rat
}

// addRefPoint appends a value that is not null; the last one of an instant counts.
func addRefPoint(p []refPoint, ts int64, v value) []refPoint {
	r, ok := v.(*big.Rat)
	switch {
	case !ok:
	case len(p) > 0 && p[len(p)-1].ts == ts:
		p[len(p)-1].v = r
	default:
		p = append(p, refPoint{ts, r})
	}
	return p
}

// pathValue is the Hayashi-Yoshida covariance, over all pairs of returns, or the lag at which
// it is greatest.
func pathValue(a *lang.Agg, x, y []refPoint) value {
	if len(x) < 2 || len(y) < 2 {
		return nil
	}
	contrast := func(lag int64) *big.Rat {
		s := rat(0)
		for i := 1; i < len(x); i++ {
			for j := 1; j < len(y); j++ {
				if x[i-1].ts < y[j].ts-lag && y[j-1].ts-lag < x[i].ts {
					dx, dy := new(big.Rat).Sub(x[i].v, x[i-1].v), new(big.Rat).Sub(y[j].v, y[j-1].v)
					s.Add(s, dx.Mul(dx, dy))
				}
			}
		}
		return s
	}
	if a.Fn == "hy" {
		return contrast(0)
	}
	best, lead := rat(0), value(nil)
	for k := int64(0); k <= a.Max/a.Step; k++ {
		for _, lag := range []int64{k * a.Step, -k * a.Step} {
			if c := contrast(lag); c.Abs(c).Cmp(best) > 0 {
				best, lead = c, rat(lag)
			}
		}
	}
	return lead
}
