package explain

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
)

// result is the value of an aggregate, how many items it took, and the one that it is,
// for first, last, min and max.
type result struct {
	v     value
	used  int
	point *item
}

// at evaluates an expression at row k of the series.
func (w *window) at(n *lang.Node, k int) value { return w.s.value(n, k, w.s.served(k)) }

// admits reports whether the filter of an aggregate takes row k.
func (w *window) admits(a *lang.Agg, k int) bool {
	if a.Where == nil {
		return true
	}
	ok, _ := w.at(a.Where, k).(bool)
	return ok
}

// take gives the value of an aggregate's argument, false when row k does not count.
func (w *window) take(a *lang.Agg, k int) (value, bool) {
	if !w.admits(a, k) {
		return nil, false
	}
	if len(a.Args) == 0 {
		return true, true
	}
	x := w.at(a.Args[0], k)
	if r, ok := x.(*big.Rat); ok && a.Type.Kind == lang.TFloat && a.Fn != "std" && a.Fn != "skew" && (a.Fn != "quantile" || a.Approx.M == 0) {
		return float(r), true
	}
	return x, x != nil
}

// aggregate works one out over a window.
func aggregate(v *lang.View, a *lang.Agg, w *window) result {
	if len(a.Args) > 1 {
		return pairs(a, w)
	}
	var xs []value
	var at []*item
	for k := w.lo; k < w.hi; k++ {
		if x, ok := w.take(a, k); ok {
			xs, at = append(xs, x), append(at, &w.s.rows[k])
		}
	}
	res := result{used: len(xs)}
	switch a.Fn {
	case "count":
		res.v = whole(int64(len(xs)))
	case "distinct":
		seen := map[string]bool{}
		for _, x := range xs {
			seen[fmt.Sprint(x)] = true
		}
		res.v = whole(int64(len(seen)))
	case "sum":
		res.v = total(xs)
	default:
		if len(xs) > 0 || a.Fn == "time_mean" && v.ReadsBook(a.Args[0]) {
			some(a, w, xs, at, v, &res)
		}
	}
	return res
}

// some works out what is null over no values.
func some(a *lang.Agg, w *window, xs []value, at []*item, v *lang.View, res *result) {
	pick := -1
	switch a.Fn {
	case "first":
		pick = 0
	case "last":
		pick = len(xs) - 1
	case "min", "max":
		pick = 0
		for i, x := range xs {
			if c := compare(x, xs[pick]); a.Fn == "min" && c < 0 || a.Fn == "max" && c > 0 {
				pick = i
			}
		}
	case "mean", "var", "std":
		res.v = moments(a, xs)
	case "quantile":
		if res.v = interpolated(xs, exact(a.P)); a.Approx.M != 0 {
			res.v = quantile(a, xs)
		}
	case "skew", "kurt":
		res.v = shape(a, xs)
	case "any", "all":
		res.v = slices.Contains(xs, value(a.Fn == "any")) == (a.Fn == "any")
	case "median":
		res.v = interpolated(xs, big.NewRat(1, 2))
	case "time_mean":
		res.v = timeMean(v, a, w, xs, at)
	default:
		res.v = unknown{}
	}
	if pick >= 0 {
		res.v, res.point = xs[pick], at[pick]
	}
}

func total(xs []value) value {
	s := whole(0)
	for _, x := range xs {
		r, ok := x.(*big.Rat)
		if !ok {
			return unknown{}
		}
		s.Add(s, r)
	}
	return s
}

func moments(a *lang.Agg, xs []value) value {
	s, ok := total(xs).(*big.Rat)
	if !ok {
		return unknown{}
	}
	n := int64(len(xs))
	mean := s.Quo(s, whole(n))
	if a.Fn == "mean" {
		return mean
	}
	if n <= int64(a.DDof) {
		return nil
	}
	squares := whole(0)
	for _, x := range xs {
		d := new(big.Rat).Sub(x.(*big.Rat), mean)
		squares.Add(squares, d.Mul(d, d))
	}
	squares.Quo(squares, whole(n-int64(a.DDof)))
	if a.Fn == "var" {
		return squares
	}
	return root(squares)
}

// quantile is the exact order statistic; the engine's differs from it by at most the
// declared relative error.
func quantile(a *lang.Agg, xs []value) value {
	sorted := slices.Clone(xs)
	slices.SortStableFunc(sorted, compare)
	k := exact(a.P)
	k.Mul(k, whole(int64(len(xs))))
	up := new(big.Int).Neg(new(big.Int).Div(new(big.Int).Neg(k.Num()), k.Denom())).Int64()
	return near{float(sorted[max(up-1, 0)]), a.Approx.Float64()}
}

// timeMean weighs each value by the time until the next one or the window's end.
func timeMean(v *lang.View, a *lang.Agg, w *window, xs []value, at []*item) value {
	area, time := whole(0), int64(0)
	hold := func(x value, from, to int64) {
		r, ok := x.(*big.Rat)
		if !ok {
			return
		}
		area.Add(area, new(big.Rat).Mul(r, whole(to-from)))
		time += to - from
	}
	if v.ReadsBook(a.Args[0]) {
		if xs, at = withVoids(v, a, w); len(at) == 0 {
			return nil
		}
	}
	for k := w.lo - 1; k >= 0 && w.start-w.s.rows[k].ts <= w.carry; k-- {
		x, ok := w.take(a, k)
		if ok {
			hold(x, w.start, at[0].ts)
		}
		if ok || ends(v, a, w, k) {
			break
		}
	}
	for i, x := range xs {
		to := w.end
		if i+1 < len(xs) {
			to = at[i+1].ts
		}
		hold(x, at[i].ts, to)
	}
	if time == 0 {
		return nil
	}
	return area.Quo(area, whole(time))
}

// ends tells that a row without a value ends the one before it: that of a book does.
func ends(v *lang.View, a *lang.Agg, w *window, k int) bool {
	return w.admits(a, k) && v.ReadsBook(a.Args[0])
}

// withVoids lists the values in a window and, as null, the rows that end one.
func withVoids(v *lang.View, a *lang.Agg, w *window) (xs []value, at []*item) {
	for k := w.lo; k < w.hi; k++ {
		x, ok := w.take(a, k)
		if ok || ends(v, a, w, k) {
			xs, at = append(xs, x), append(at, &w.s.rows[k])
		}
	}
	return xs, at
}

// carried gives a flat row's aggregate: first, last, min, max and mean carry the last
// value that is not older than carry.
func carried(v *lang.View, a *lang.Agg, w *window) result {
	switch a.Fn {
	case "first", "last", "min", "max", "mean", "median":
		for k := w.lo - 1; k >= 0 && w.start-w.s.rows[k].ts <= w.carry; k-- {
			if x, ok := w.take(a, k); ok {
				return result{v: x, point: &w.s.rows[k]}
			}
		}
		return result{}
	}
	return aggregate(v, a, w)
}
