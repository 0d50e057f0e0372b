package explain

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
)

// item is one row that a view reads: an event, or a row of its parent.
type item struct {
	ts  int64
	col func(name string) value
	ev  *Event // of an event
}

// result is the value of an aggregate, how many items it took, and the one that it is,
// for first, last, min and max.
type result struct {
	v     value
	used  int
	point *item
}

// window is the stretch that is looked at; before are the entity's items ahead of it.
type window struct {
	rows, before      []item
	start, end, carry int64
}

// take gives the value of an aggregate's argument, false when the item does not count.
func take(v *lang.View, a *lang.Agg, in *item) (value, bool) {
	leaf := func(n *lang.Node) value { return in.col(v.Columns[n.Index].Name) }
	if a.Where != nil {
		if ok, _ := eval(a.Where, leaf).(bool); !ok {
			return nil, false
		}
	}
	if len(a.Args) == 0 {
		return true, true
	}
	x := eval(a.Args[0], leaf)
	if r, ok := x.(*big.Rat); ok && a.Type.Kind == lang.TFloat && a.Fn != "std" && a.Fn != "skew" && (a.Fn != "quantile" || a.Approx.M == 0) {
		return float(r), true
	}
	return x, x != nil
}

// aggregate works one out over a window.
func aggregate(v *lang.View, a *lang.Agg, w *window) result {
	if len(a.Args) > 1 {
		return pairs(v, a, w)
	}
	var xs []value
	var at []*item
	for i := range w.rows {
		if x, ok := take(v, a, &w.rows[i]); ok {
			xs, at = append(xs, x), append(at, &w.rows[i])
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
		if xs, at = withVoids(v, a, w.rows); len(at) == 0 {
			return nil
		}
	}
	for i := len(w.before) - 1; i >= 0 && w.start-w.before[i].ts <= w.carry; i-- {
		x, ok := take(v, a, &w.before[i])
		if ok {
			hold(x, w.start, at[0].ts)
		}
		if ok || ends(v, a, &w.before[i]) {
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

// ends tells that an item without a value ends the one before it: that of a book does.
func ends(v *lang.View, a *lang.Agg, in *item) bool {
	if a.Where != nil {
		if ok, _ := eval(a.Where, func(n *lang.Node) value { return in.col(v.Columns[n.Index].Name) }).(bool); !ok {
			return false
		}
	}
	return v.ReadsBook(a.Args[0])
}

// withVoids lists the values in a window and, as null, the items that end one.
func withVoids(v *lang.View, a *lang.Agg, rows []item) (xs []value, at []*item) {
	for i := range rows {
		x, ok := take(v, a, &rows[i])
		if ok || ends(v, a, &rows[i]) {
			xs, at = append(xs, x), append(at, &rows[i])
		}
	}
	return xs, at
}

// carried gives a flat row's aggregate: first, last, min, max and mean carry the last
// value that is not older than carry.
func carried(v *lang.View, a *lang.Agg, w *window) result {
	switch a.Fn {
	case "first", "last", "min", "max", "mean", "median":
		for i := len(w.before) - 1; i >= 0 && w.start-w.before[i].ts <= w.carry; i-- {
			if x, ok := take(v, a, &w.before[i]); ok {
				return result{v: x, point: &w.before[i]}
			}
		}
		return result{}
	}
	return aggregate(v, a, w)
}
