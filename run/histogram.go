package run

import (
	"math/bits"

	"github.com/pinova-group/tidemark/market"
)

// histogram counts non-negative values in buckets: exact below 64, above with 64 buckets
// for each power of two, so a quantile is at most 1.6 % too small.
type histogram struct {
	n       int64
	max     int64
	buckets [64 * 58]int64
}

func bucketOf(v int64) int {
	if v < 64 {
		return int(v)
	}
	e := bits.Len64(uint64(v)) - 7
	return (e+1)*64 + int(v>>e) - 64
}

func bucketLow(b int) int64 {
	if b < 64 {
		return int64(b)
	}
	return int64(b%64+64) << (b/64 - 1)
}

func (h *histogram) add(v int64) {
	h.n++
	h.max = max(h.max, v)
	h.buckets[bucketOf(v)]++
}

// quantile is the value below or at which the fraction q of all values lies.
func (h *histogram) quantile(q float64) int64 {
	if h.n == 0 {
		return 0
	}
	rank := min(h.n, int64(q*float64(h.n))+1)
	var sum int64
	for b, c := range h.buckets {
		if sum += c; sum >= rank {
			return min(h.max, bucketLow(b))
		}
	}
	return h.max
}

// idSet remembers the ids seen last, in two generations of bounded size.
type idSet struct{ now, before map[market.ID]struct{} }

const idGeneration = 1 << 20

// has reports whether the id is known and remembers it.
func (s *idSet) has(id market.ID) bool {
	if _, ok := s.now[id]; ok {
		return true
	}
	_, known := s.before[id]
	if s.now == nil || len(s.now) >= idGeneration {
		s.now, s.before = map[market.ID]struct{}{}, s.now
	}
	s.now[id] = struct{}{}
	return known
}
