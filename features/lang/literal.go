package lang

import (
	"fmt"
	"math"
	"strings"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// durationUnits are the units of a duration in µs.
var durationUnits = map[string]int64{
	"us": market.Microsecond, "ms": market.Millisecond, "s": market.Second,
	"m": market.Minute, "h": market.Hour, "d": market.Day, "w": market.Week,
}

// parseDuration reads 5m as µs.
func parseDuration(text string) (int64, bool) {
	digits := strings.TrimRight(text, "usmhdw")
	unit := durationUnits[text[len(digits):]]
	if digits == "" || unit == 0 {
		return 0, false
	}
	v, ok := parseInt(digits)
	if !ok || v > math.MaxInt64/unit {
		return 0, false
	}
	return v * unit, true
}

// parseInt reads decimal digits.
func parseInt(digits string) (int64, bool) {
	var v int64
	for i := range len(digits) {
		d := int64(digits[i]) - '0'
		if d < 0 || d > 9 || v > (math.MaxInt64-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	return v, digits != ""
}

// parseNumber reads a literal, 1.50 or 10bps, without losing a digit: 10bps is 0.0010.
func parseNumber(text string) (num.Dec, error) {
	digits, bps := strings.CutSuffix(text, "bps")
	whole, frac, _ := strings.Cut(digits, ".")
	scale := len(frac)
	if bps {
		scale += 4
	}
	if scale > num.MaxScale {
		return num.Dec{}, fmt.Errorf("number %q has more than %d digits after the point", text, num.MaxScale)
	}
	m, ok := parseInt(whole + frac)
	if !ok {
		return num.Dec{}, fmt.Errorf("number %q does not fit 63 bits", text)
	}
	return num.Dec{M: m, S: int8(scale)}, nil
}

// shortDuration prints µs in the largest unit that divides it.
func shortDuration(us int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"d", market.Day}, {"h", market.Hour}, {"m", market.Minute}, {"s", market.Second}, {"ms", market.Millisecond}} {
		if us != 0 && us%u.size == 0 {
			return fmt.Sprintf("%d%s", us/u.size, u.name)
		}
	}
	return fmt.Sprintf("%dus", us)
}

// nearest returns the known name closest to name, "" when none is close enough to be a slip.
func nearest(name string, known []string) string {
	best, bestCost := "", max(1, (len(name)+1)/3)
	name = strings.ToLower(name)
	for _, k := range known {
		if c := distance(name, k, bestCost); c < bestCost || c == bestCost && best == "" {
			best, bestCost = k, c
		}
	}
	return best
}

// distance is the number of insertions, deletions, replacements and swaps of neighbours
// that turn a into b (optimal string alignment), or more than limit when it is larger.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit || len(a) > 64 || len(b) > 64 {
		return limit + 1
	}
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

// wantName is the remedy for an unknown name: the nearest one, and the first few that there are.
func wantName(name string, known []string) string {
	const show = 9
	list := strings.Join(known, " ")
	if len(known) > show {
		list = strings.Join(known[:show], " ") + " …"
	}
	switch near := nearest(name, known); {
	case near != "" && len(known) > 1:
		return fmt.Sprintf("want %s; known are %s", near, list)
	case near != "":
		return "want " + near
	case len(known) == 0:
		return "want a known name"
	}
	return "want " + list
}
