package explain

import "github.com/pinova-group/tidemark/features/lang"

// frameKey is an aggregate over the frame of a row.
type frameKey struct{ agg, k int }

// frame works out an aggregate over the rows around row k, among members over all of them.
func (s *series) frame(a *lang.Agg, k int) result {
	lo, hi := s.frameRows(a.Over, k)
	t := s.end
	if !s.cross {
		t = s.rows[k].ts
	}
	return aggregate(s.v, a, &window{s: s, lo: lo, hi: hi, start: t - a.Over.Span, end: t})
}

// frameRows are those of the last span with all rows of the instant, or the last n up to
// row k that are not too old.
func (s *series) frameRows(f lang.TypedFrame, k int) (lo, hi int) {
	if s.cross {
		return 0, len(s.rows)
	}
	t := s.rows[k].ts
	if f.Rows > 0 {
		return max(s.below(t-f.Span), k+1-f.Rows, 0), k + 1
	}
	return s.below(t - f.Span + 1), s.below(t + 1)
}
