package explain

import (
	"math/big"
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
)

// pairs works out an aggregate of two arguments over the items where neither is null, or
// for series, where one is not.
func pairs(a *lang.Agg, w *window) result {
	var xs, ys []value
	var at []*item
	var x, y []point
	for k := w.lo; k < w.hi; k++ {
		in := &w.s.rows[k]
		if !w.admits(a, k) {
			continue
		}
		p, q := w.at(a.Args[0], k), w.at(a.Args[1], k)
		if p != nil && q != nil {
			xs, ys, at = append(xs, p), append(ys, q), append(at, in)
		}
		x, y = addPoint(x, in.ts, p), addPoint(y, in.ts, q)
	}
	res := result{used: len(xs)}
	switch a.Fn {
	case "argmin", "argmax":
		extremePair(a, xs, ys, at, &res)
	case "wmedian":
		res.v = weightedMedian(xs, ys)
	case "cov", "corr", "slope":
		res.v = comoments(a, xs, ys)
	case "hy", "lead":
		res.used, res.v = len(x)+len(y), paths(a, x, y)
	default:
		res.v = unknown{}
	}
	return res
}

// extremePair finds the first pair with the least or greatest x.
func extremePair(a *lang.Agg, xs, ys []value, at []*item, res *result) {
	pick := -1
	for i, x := range xs {
		if r, ok := x.(*big.Rat); ok && a.Args[0].Type.Kind == lang.TRatio {
			xs[i] = float(r)
			x = xs[i]
		}
		if c := 0; pick >= 0 {
			if c = compare(x, xs[pick]); a.Fn == "argmin" && c >= 0 || a.Fn == "argmax" && c <= 0 {
				continue
			}
		}
		pick = i
	}
	if pick < 0 {
		return
	}
	res.v, res.point = ys[pick], at[pick]
	if r, ok := res.v.(*big.Rat); ok && a.Type.Kind == lang.TFloat {
		res.v = float(r)
	}
}

// weightedMedian is the least x with more than half of the weight up to it, the mean of two
// at exactly half.
func weightedMedian(xs, ws []value) value {
	order := make([]int, 0, len(xs))
	sum := whole(0)
	for i, w := range ws {
		r, ok := w.(*big.Rat)
		if _, is := xs[i].(*big.Rat); !ok || !is {
			return unknown{}
		}
		if r.Sign() > 0 {
			order = append(order, i)
			sum.Add(sum, r)
		}
	}
	slices.SortStableFunc(order, func(i, k int) int { return compare(xs[i], xs[k]) })
	twice := whole(0)
	for n, i := range order {
		twice.Add(twice, ws[i].(*big.Rat)).Add(twice, ws[i].(*big.Rat))
		switch c := twice.Cmp(sum); {
		case c > 0:
			return xs[i]
		case c == 0:
			return between(xs[i].(*big.Rat), xs[order[n+1]].(*big.Rat), big.NewRat(1, 2))
		}
	}
	return nil
}

// between is x + share·(y − x).
func between(x, y, share *big.Rat) *big.Rat {
	d := new(big.Rat).Sub(y, x)
	return d.Add(d.Mul(d, share), x)
}

// interpolated is the exact quantile, between order statistics.
func interpolated(xs []value, p *big.Rat) value {
	sorted := slices.Clone(xs)
	slices.SortStableFunc(sorted, compare)
	h := new(big.Rat).Mul(p, whole(int64(len(xs)-1)))
	k := new(big.Int).Quo(h.Num(), h.Denom()).Int64()
	next := sorted[min(int(k)+1, len(sorted)-1)]
	if f, ok := sorted[k].(float64); ok {
		return f + float64((float(next)-f)*float(h.Sub(h, whole(k))))
	}
	x, ok := sorted[k].(*big.Rat)
	y, is := next.(*big.Rat)
	if !ok || !is {
		return unknown{}
	}
	return between(x, y, h.Sub(h, whole(k)))
}

// deviations are exact values less their mean.
func deviations(xs []value) ([]*big.Rat, bool) {
	mean, ok := total(xs).(*big.Rat)
	if !ok || len(xs) == 0 {
		return nil, false
	}
	mean.Quo(mean, whole(int64(len(xs))))
	out := make([]*big.Rat, len(xs))
	for i, x := range xs {
		out[i] = new(big.Rat).Sub(x.(*big.Rat), mean)
	}
	return out, true
}

// products is Σ aᵢ·bᵢ.
func products(a, b []*big.Rat) *big.Rat {
	s := whole(0)
	for i := range a {
		s.Add(s, new(big.Rat).Mul(a[i], b[i]))
	}
	return s
}

// signedRoot is √x with a sign.
func signedRoot(x *big.Rat, sign int) value {
	f, ok := root(x).(float64)
	if !ok {
		return unknown{}
	}
	return f*float64(sign) + 0
}

// shape is skew (G1) or kurt (G2).
func shape(a *lang.Agg, xs []value) value {
	d, ok := deviations(xs)
	n := int64(len(xs))
	switch {
	case !ok:
		return unknown{}
	case n < 3 || a.Fn == "kurt" && n < 4:
		return nil
	}
	square := make([]*big.Rat, len(d))
	for i := range d {
		square[i] = new(big.Rat).Mul(d[i], d[i])
	}
	m2 := products(d, d)
	if m2.Sign() == 0 {
		return nil
	}
	m2.Quo(m2, whole(n))
	if a.Fn == "skew" {
		m3 := products(square, d)
		m3.Quo(m3, whole(n))
		x := new(big.Rat).Mul(m3, m3)
		x.Mul(x, big.NewRat(n*(n-1), (n-2)*(n-2))).Quo(x, new(big.Rat).Mul(m2, new(big.Rat).Mul(m2, m2)))
		return signedRoot(x, m3.Sign())
	}
	m4 := products(square, square)
	m4.Quo(m4, whole(n)).Quo(m4, m2.Mul(m2, m2))
	m4.Mul(m4, whole(n+1)).Sub(m4, whole(3*(n-1)))
	return m4.Mul(m4, big.NewRat(n-1, (n-2)*(n-3)))
}

func comoments(a *lang.Agg, xs, ys []value) value {
	n := int64(len(xs))
	if n == 0 || a.Fn == "cov" && n <= int64(a.DDof) {
		return nil
	}
	x, ok := deviations(xs)
	y, is := deviations(ys)
	if !ok || !is {
		return unknown{}
	}
	c, xx, yy := products(x, y), products(x, x), products(y, y)
	switch {
	case a.Fn == "cov":
		return c.Quo(c, whole(n-int64(a.DDof)))
	case yy.Sign() == 0 || a.Fn == "corr" && xx.Sign() == 0:
		return nil
	case a.Fn == "slope":
		return c.Quo(c, yy)
	}
	sign := c.Sign()
	return signedRoot(c.Mul(c, c).Quo(c, xx.Mul(xx, yy)), sign)
}

// point is a value of a series at its time.
type point struct {
	ts int64
	v  *big.Rat
}

// addPoint appends a value; of several at one instant the last one counts.
func addPoint(p []point, ts int64, v value) []point {
	r, ok := v.(*big.Rat)
	switch {
	case !ok:
	case len(p) > 0 && p[len(p)-1].ts == ts:
		p[len(p)-1].v = r
	default:
		p = append(p, point{ts, r})
	}
	return p
}

// maxPairs bounds the pairs of changes that are looked at; more are not worked out again.
const maxPairs = 4_000_000

// paths is the sum over all pairs of changes whose intervals overlap, or the lag at which it
// is greatest.
func paths(a *lang.Agg, x, y []point) value {
	if len(x) < 2 || len(y) < 2 {
		return nil
	}
	lags := int64(1)
	if a.Fn == "lead" {
		lags += 2 * (a.Max / a.Step)
	}
	if int64(len(x))*int64(len(y))*lags > maxPairs {
		return unknown{}
	}
	contrast := func(lag int64) *big.Rat {
		s := whole(0)
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
	best, lead := whole(0), value(nil)
	for k := int64(0); k <= a.Max/a.Step; k++ {
		for _, lag := range []int64{k * a.Step, -k * a.Step} {
			if c := contrast(lag); c.Abs(c).Cmp(best) > 0 {
				best, lead = c, whole(lag)
			}
		}
	}
	return lead
}
