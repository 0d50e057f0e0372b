package stale

import (
	"cmp"
	"slices"

	"github.com/pinova-group/tidemark/market"
)

// Range is the instants of [From, To), µs.
type Range struct{ From, To int64 }

// forever is the end of what has none: no row is later.
const forever = market.MaxEventTime

// longer is the range in which what happened in r is felt for keep µs more, the last
// instant included.
func (r Range) longer(keep int64) Range {
	if r.To > forever-keep {
		return Range{r.From, max(r.To, forever)}
	}
	return Range{r.From, r.To + keep}
}

// merge puts ranges in order and joins those that overlap or touch. It works in place.
func merge(rs []Range) []Range {
	slices.SortFunc(rs, func(a, b Range) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	out := rs[:0]
	for _, r := range rs {
		if n := len(out); n > 0 && r.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, r.To)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// subtract is a without b; both are merged.
func subtract(a, b []Range) []Range {
	var out []Range
	for _, r := range a {
		i, _ := slices.BinarySearchFunc(b, r.From, func(x Range, t int64) int { return cmp.Compare(x.To, t+1) })
		for ; i < len(b) && b[i].From < r.To; i++ {
			if r.From < b[i].From {
				out = append(out, Range{r.From, b[i].From})
			}
			r.From = b[i].To
		}
		if r.From < r.To {
			out = append(out, r)
		}
	}
	return out
}

// intersect is what two merged lists have in common.
func intersect(a, b []Range) []Range {
	var out []Range
	for i, k := 0, 0; i < len(a) && k < len(b); {
		if r := (Range{max(a[i].From, b[k].From), min(a[i].To, b[k].To)}); r.From < r.To {
			out = append(out, r)
		}
		if a[i].To < b[k].To {
			i++
		} else {
			k++
		}
	}
	return out
}

// Union is the rows of several lists, each once.
func Union(lists ...[]Rows) []Rows {
	s := set{}
	for _, l := range lists {
		for _, r := range l {
			s.add(r.Key, r.Ranges...)
		}
	}
	s.tidy()
	return s.disjoint()
}

// Intersect is the rows that are in both lists.
func Intersect(a, b []Rows) []Rows {
	s := set{}
	for _, x := range a {
		for _, y := range b {
			if k, ok := x.Key.common(y.Key); ok {
				s.add(k, intersect(x.Ranges, y.Ranges)...)
			}
		}
	}
	s.tidy()
	return s.disjoint()
}

// Subtract is a without the rows of b. Where b has only some of the entities that one of a
// stands for, they stay: a list has no words for all but some.
func Subtract(a, b []Rows) []Rows {
	var out []Rows
	for _, x := range a {
		for _, y := range b {
			if y.Key.Covers(x.Key) {
				x.Ranges = subtract(x.Ranges, y.Ranges)
			}
		}
		if len(x.Ranges) > 0 {
			out = append(out, x)
		}
	}
	return out
}
