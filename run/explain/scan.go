package explain

import (
	"math/big"
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// scanKey is a scan as one period of the reset has it.
type scanKey struct {
	n      *lang.Node
	period int64
}

// trace is a scan at each row of a series.
type trace struct {
	vals   []value
	at     []int     // prev, since: the row that was taken, -1 for none; else the inputs so far
	weight []float64 // ewm: what the sum is divided by; ema, wilder: the sum before there are n
	first  int       // the first row that it saw
}

// served is the period of the reset that a row lies in.
func (s *series) served(k int) int64 {
	if s.v.Reset == 0 || s.v.Reset == lang.Never || k >= len(s.rows) {
		return 0
	}
	return market.FloorDiv(s.rows[k].ts, s.v.Reset) * s.v.Reset
}

// remembers reports whether a scan depends on every row since the reset.
func (s *series) remembers(n *lang.Node) bool {
	switch n.Op {
	case lang.NScan:
		if n.Fn != "prev" && n.Fn != "since" {
			return true
		}
	case lang.NFeature:
		return s.remembers(s.v.Features[n.Index].Node)
	}
	return slices.ContainsFunc(n.Args, s.remembers)
}

// scan is the value of one at row k.
func (s *series) scan(n *lang.Node, k int, period int64) value { return s.trace(n, period).vals[k] }

// trace steps a scan over the rows of a period and those of its warm-up.
func (s *series) trace(n *lang.Node, period int64) *trace {
	if !s.remembers(n) {
		period = 0
	}
	key := scanKey{n, period}
	if t := s.scans[key]; t != nil {
		return t
	}
	t := &trace{vals: make([]value, len(s.rows)), at: make([]int, len(s.rows)), weight: make([]float64, len(s.rows))}
	s.scans[key] = t
	stop := len(s.rows)
	if period != 0 {
		t.first, stop = s.below(period-s.v.Warmup), s.below(period+s.v.Reset)
	}
	switch n.Fn {
	case "prev", "since":
		s.back(t, n, period, stop)
	case "cum":
		sum, count := whole(0), 0
		for k := t.first; k < stop; k++ {
			if r, ok := s.value(n.Args[0], k, period).(*big.Rat); ok {
				sum, count = new(big.Rat).Add(sum, r), count+1
				t.vals[k] = sum
			}
			t.at[k] = count
		}
	default:
		s.means(t, n, period, stop)
	}
	return t
}

// back is prev and since, which look at one row that is not too old.
func (s *series) back(t *trace, n *lang.Node, period int64, stop int) {
	within := n.Args[len(n.Args)-1].Const.Dec.M
	gap, held := -1, -1
	for k := t.first; k < stop; k++ {
		in := &s.rows[k]
		if in.ev != nil && in.ev.gap {
			gap = k
		}
		x := value(true)
		j := 0
		if n.Fn == "since" {
			if x = s.value(n.Args[0], k, period); x == true {
				held = k
			}
			j = held
		} else if j = k - int(n.Args[1].Const.Dec.M); gap > j {
			j = -1
		}
		if x == nil || j < t.first || in.ts-s.rows[j].ts > within {
			t.at[k] = -1
			continue
		}
		t.at[k] = j
		if n.Fn == "since" {
			t.vals[k] = whole(in.ts - s.rows[j].ts)
		} else {
			t.vals[k] = typed(s.value(n.Args[0], j, period), n.Type)
		}
	}
}

// means are the scans over floats; a null passes them by.
func (s *series) means(t *trace, n *lang.Node, period int64, stop int) {
	c := n.Args[1].Const.Dec.M
	v, weight, count, newest := 0.0, 0.0, 0, int64(0)
	for k := t.first; k < stop; k++ {
		x := s.value(n.Args[0], k, period)
		t.at[k] = count
		if x == nil {
			continue
		}
		f := float(x)
		count++
		switch {
		case n.Fn == "ewm" || n.Fn == "decay_sum":
			u := 1.0
			if count > 1 {
				u = num.Halve(s.rows[k].ts-newest, c)
			}
			v, weight = float64(u*v)+f, float64(u*weight)+1
		case count < int(c):
			v += f
		case count == int(c):
			v = (v + f) / float64(c)
		case n.Fn == "ema":
			v += float64(2 / (float64(c) + 1) * (f - v))
		default:
			v = (float64(v*(float64(c)-1)) + f) / float64(c)
		}
		newest = s.rows[k].ts
		if t.at[k] = count; n.Fn == "ema" || n.Fn == "wilder" {
			weight = v
		}
		t.weight[k] = weight
		switch {
		case n.Fn == "ewm":
			t.vals[k] = v/weight + 0
		case n.Fn == "decay_sum" || count >= int(c):
			t.vals[k] = v + 0
		}
	}
}
