package run

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pinova-group/tidemark/market"
)

// ParseTime reads a time as users write it: RFC 3339, a date, a date and time without
// zone (UTC), now or now-2h, or integer microseconds since 1970 UTC. now is the present
// time in µs.
func ParseTime(s string, now int64) (int64, error) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return microseconds(n)
	}
	if rest, ok := strings.CutPrefix(s, "now"); ok {
		if rest == "" {
			return now, nil
		}
		d, err := ParseDuration(rest[1:])
		switch {
		case err != nil:
			return 0, fmt.Errorf("%q is no time: %w", s, err)
		case rest[0] == '-':
			return now - d, nil
		case rest[0] == '+':
			return now + d, nil
		}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02", "2006-01-02T15:04:05.999999", "2006-01-02 15:04:05.999999", "2006-01-02T15:04", "2006-01-02 15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			us := t.UnixMicro()
			if !market.ValidTime(us) {
				return 0, fmt.Errorf("%q lies outside the years 2000 to 2099", s)
			}
			return us, nil
		}
	}
	return 0, fmt.Errorf("%q is no time; write 2025-11-10T17:24:00Z, 2025-11-10, now-2h or integer microseconds (all UTC)", s)
}

func microseconds(n int64) (int64, error) {
	if market.ValidTime(n) {
		return n, nil
	}
	for _, u := range []struct {
		name   string
		factor int64
	}{{"seconds", market.Second}, {"milliseconds", market.Millisecond}} {
		if n > 0 && n < math.MaxInt64/u.factor && market.ValidTime(n*u.factor) {
			return 0, fmt.Errorf("%d looks like %s; integer times are microseconds: %d", n, u.name, n*u.factor)
		}
	}
	if market.ValidTime(n / 1000) {
		return 0, fmt.Errorf("%d looks like nanoseconds; integer times are microseconds: %d", n, n/1000)
	}
	return 0, fmt.Errorf("%d microseconds lies outside the years 2000 to 2099", n)
}

// ParseDuration reads a number with its unit: us, ms, s, m, h, d or w.
func ParseDuration(s string) (int64, error) {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	unit, ok := map[string]int64{
		"us": market.Microsecond, "ms": market.Millisecond, "s": market.Second, "m": market.Minute,
		"h": market.Hour, "d": market.Day, "w": market.Week,
	}[s[digits:]]
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	if err != nil || !ok || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is no duration; write a number and its unit, such as 15m (us ms s m h d w)", s)
	}
	return n * unit, nil
}

// FormatDuration prints µs with the largest unit that divides it.
func FormatDuration(us int64) string {
	if us == 0 {
		return "0s"
	}
	for _, u := range []struct {
		name string
		n    int64
	}{{"w", market.Week}, {"d", market.Day}, {"h", market.Hour}, {"m", market.Minute}, {"s", market.Second}, {"ms", market.Millisecond}} {
		if us%u.n == 0 {
			return strconv.FormatInt(us/u.n, 10) + u.name
		}
	}
	return strconv.FormatInt(us, 10) + "us"
}
