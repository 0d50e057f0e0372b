package sweep

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
)

// metric is a number that says how a variant did: a function of one feature over all
// rows, or of two, the second of them a number of rows later of the same entity.
type metric struct {
	text  string
	fn    string
	x, y  int // features
	ahead int
}

// functions of metrics, by how many features they take.
var functions = map[string]int{
	"count": 1, "nulls": 1, "mean": 1, "std": 1, "min": 1, "max": 1, "sum": 1, "last": 1, "sharpe": 1,
	"corr": 2, "hit": 2,
}

// maxAhead bounds what is kept of each entity.
const maxAhead = 10_000

// parseMetric reads mean(move), or corr(move, ret, ahead=5).
func parseMetric(text string, fields []features.Field) (metric, error) {
	m := metric{text: text, y: -1}
	bad := func(why, remedy string) (metric, error) {
		return m, fault.Usage("metric_invalid", fmt.Sprintf("metric %q: %s", text, why), remedy)
	}
	name, rest, ok := strings.Cut(text, "(")
	body, closed := strings.CutSuffix(rest, ")")
	m.fn = strings.TrimSpace(name)
	if !ok || !closed {
		return bad("no parentheses", "write mean(feature) or corr(feature, other, ahead=5)")
	}
	n := functions[m.fn]
	if n == 0 {
		return bad(fmt.Sprintf("no function is called %q", m.fn), fault.DidYouMean(m.fn, sortedNames(functions)))
	}
	var names []string
	for _, f := range fields {
		if f.Type != features.FieldText {
			names = append(names, f.Name)
		}
	}
	var at []int
	for arg := range strings.SplitSeq(body, ",") {
		arg = strings.TrimSpace(arg)
		if k, isAhead := strings.CutPrefix(arg, "ahead="); isAhead && n == 2 {
			v, err := strconv.Atoi(k)
			if err != nil || v < 0 || v > maxAhead {
				return bad("ahead is "+k, fmt.Sprintf("want a number of rows from 0 to %d", maxAhead))
			}
			m.ahead = v
			continue
		}
		i := slices.IndexFunc(fields, func(f features.Field) bool { return f.Name == arg })
		if i < 0 || fields[i].Type == features.FieldText {
			return bad(fmt.Sprintf("no numeric feature is called %q", arg), fault.DidYouMean(arg, names))
		}
		at = append(at, i)
	}
	if len(at) != n {
		return bad(fmt.Sprintf("%s takes %d features, not %d", m.fn, n, len(at)), "write "+usage(m.fn, n))
	}
	m.x = at[0]
	if n == 2 {
		m.y = at[1]
	}
	return m, nil
}

func usage(fn string, n int) string {
	if n == 2 {
		return fn + "(feature, other, ahead=5)"
	}
	return fn + "(feature)"
}

func sortedNames(m map[string]int) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// state is a metric over the rows of one variant so far: means and central moments by
// Welford's updates in the order of the rows, which is the same in every run.
type state struct {
	m          *metric
	n, nulls   int64
	mean, m2   float64
	meanY, m2Y float64
	cov        float64
	min, max   float64
	sum, last  float64
	hits       int64
	wait       map[uint32][]float64 // by entity: features that wait for the row ahead
}

func (s *state) add(ent uint32, v *features.ViewRows, fields []features.Field, i int) {
	x := value(&v.Features[s.m.x], fields[s.m.x], i)
	if s.m.y < 0 {
		s.one(x)
		return
	}
	y := value(&v.Features[s.m.y], fields[s.m.y], i)
	if s.m.ahead == 0 {
		s.two(x, y)
		return
	}
	w := s.wait[ent]
	if len(w) == s.m.ahead {
		s.two(w[0], y)
		w = slices.Delete(w, 0, 1)
	}
	s.wait[ent] = append(w, x)
}

func (s *state) one(x float64) {
	if math.IsNaN(x) {
		s.nulls++
		return
	}
	if s.n == 0 {
		s.min, s.max = x, x
	}
	s.n++
	d := x - s.mean
	s.mean += d / float64(s.n)
	s.m2 += d * (x - s.mean)
	s.min, s.max = min(s.min, x), max(s.max, x)
	s.sum += x
	s.last = x
}

func (s *state) two(x, y float64) {
	if math.IsNaN(x) || math.IsNaN(y) {
		s.nulls++
		return
	}
	s.n++
	n := float64(s.n)
	dx, dy := x-s.mean, y-s.meanY
	s.mean += dx / n
	s.meanY += dy / n
	s.m2 += dx * (x - s.mean)
	s.m2Y += dy * (y - s.meanY)
	s.cov += dx * (y - s.meanY)
	if x > 0 && y > 0 || x < 0 && y < 0 {
		s.hits++
	}
}

// value is the metric, NaN when it has none.
func (s *state) value() float64 {
	n := float64(s.n)
	switch s.m.fn {
	case "count":
		return n
	case "nulls":
		return float64(s.nulls)
	}
	if s.n == 0 {
		return math.NaN()
	}
	switch s.m.fn {
	case "mean":
		return s.mean
	case "std":
		return s.std()
	case "min":
		return s.min
	case "max":
		return s.max
	case "sum":
		return s.sum
	case "last":
		return s.last
	case "sharpe":
		return quo(s.mean, s.std())
	case "corr":
		return quo(s.cov, math.Sqrt(s.m2)*math.Sqrt(s.m2Y))
	}
	return float64(s.hits) / n
}

func (s *state) std() float64 {
	if s.n < 2 {
		return math.NaN()
	}
	return math.Sqrt(s.m2 / float64(s.n-1))
}

func quo(a, b float64) float64 {
	if b == 0 {
		return math.NaN()
	}
	return a / b
}

// value is a feature as a float, NaN for null.
func value(c *features.OutCol, f features.Field, i int) float64 {
	switch {
	case c.IsNull(i):
		return math.NaN()
	case f.Type == features.FieldF64:
		return c.F64[i]
	case f.Type == features.FieldDecimal:
		return (float64(c.Hi[i])*(1<<64) + float64(c.Lo[i])) / math.Pow10(int(f.Scale))
	}
	return float64(c.I64[i])
}
