package features_test

import (
	"github.com/pinova-group/tidemark/features/lang"
)

// levelOf counts how many frames a value is made of, one on the other.
func levelOf(v *lang.View, n *lang.Node) (level int) {
	if n == nil {
		return 0
	}
	switch n.Op {
	case lang.NFeature:
		return levelOf(v, v.Features[n.Index].Node)
	case lang.NAgg:
		a := v.Aggs[n.Index]
		if a.Over.Span == 0 {
			return 0
		}
		level = levelOf(v, a.Where)
		for _, x := range a.Args {
			level = max(level, levelOf(v, x))
		}
		return level + 1
	}
	for _, a := range n.Args {
		level = max(level, levelOf(v, a))
	}
	return level
}

// depth is the highest level of the view.
func (s *scans) depth() (level int) {
	for _, f := range s.v.Features {
		level = max(level, levelOf(s.v, f.Node))
	}
	return level
}

// frameRows are the rows of a frame at row k: those of the last span with all rows of the
// instant, or the last n up to k that are not too old.
func (s *scans) frameRows(f lang.TypedFrame, k int) (lo, hi int) {
	t := s.in[k].ts
	lo, hi = k, k+1
	if f.Rows > 0 {
		for lo > 0 && k-(lo-1) < f.Rows && s.in[lo-1].ts >= t-f.Span {
			lo--
		}
		return lo, hi
	}
	for lo > 0 && s.in[lo-1].ts > t-f.Span {
		lo--
	}
	for hi < len(s.in) && s.in[hi].ts == t {
		hi++
	}
	return lo, hi
}

// frames gives rows the values of their frames, each worked out anew, and says which have
// fewer rows than they ask for.
func (s *scans) frames(framed bool) (short map[int]bool) {
	short = map[int]bool{}
	if !framed {
		return short
	}
	type key struct{ agg, k int }
	memo := map[key]value{}
	for k := range s.in {
		for _, a := range s.v.Aggs {
			if lo, hi := s.frameRows(a.Over, k); hi-lo < a.Over.Rows {
				short[k] = true
			}
		}
		s.in[k].group = func(n *lang.Node) value {
			if n.Op == lang.NFeature {
				return eval(s.v.Features[n.Index].Node, func(n *lang.Node) value {
					switch n.Op {
					case lang.NColumn:
						return s.in[k].col(s.v.Columns[n.Index].Name)
					case lang.NScan:
						return s.in[k].scan(n)
					}
					return s.in[k].group(n)
				})
			}
			x, known := memo[key{n.Index, k}]
			if !known {
				a := s.v.Aggs[n.Index]
				lo, hi := s.frameRows(a.Over, k)
				t := s.in[k].ts
				x = aggValue(s.v, a, s.in[lo:hi], nil, t-a.Over.Span, t, 0)
				memo[key{n.Index, k}] = x
			}
			return x
		}
	}
	return short
}

// fromFrames adds to each row what the frames of a level take.
func (s *scans) fromFrames(level int, below []origin) []origin {
	out := make([]origin, len(below))
	for k := range s.in {
		lo, hi := k, k+1
		for i, a := range s.v.Aggs {
			if levelOf(s.v, &lang.Node{Op: lang.NAgg, Index: i}) == level {
				l, h := s.frameRows(a.Over, k)
				lo, hi = min(lo, l), max(hi, h)
			}
		}
		out[k] = below[k]
		for _, o := range below[lo:hi] {
			out[k].add(o)
		}
	}
	return out
}
