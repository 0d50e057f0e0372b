package run

import (
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/market"
)

func TestParseTime(t *testing.T) {
	const now = 1762795440000000 // 2025-11-10T17:24:00Z
	for in, want := range map[string]int64{
		"2025-11-10T17:24:00Z": now, "2025-11-10T18:24:00+01:00": now, "2025-11-10 17:24": now, "2025-11-10T17:24:00.5": now + 500000,
		"2025-11-10": 1762732800000000, "1762795440000000": now, "now": now, "now-2h": now - 2*market.Hour, "now+1d": now + market.Day,
	} {
		if got, err := ParseTime(in, now); err != nil || got != want {
			t.Errorf("%s: %d %v, want %d", in, got, err, want)
		}
	}
	for in, hint := range map[string]string{
		"1762795440": "looks like seconds; integer times are microseconds: 1762795440000000", "1762795440000": "milliseconds",
		"1762795440000000000": "nanoseconds", "0": "outside", "-5": "outside", "yesterday": "no time", "now-2": "no duration", "now-2y": "no duration",
		"1999-01-01": "outside", "": "no time", "2025-13-01": "no time", "9223372036854775807": "outside", "nowish": "no time",
	} {
		if _, err := ParseTime(in, now); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%s: %v, want %q", in, err, hint)
		}
	}
}

func TestDuration(t *testing.T) {
	for in, want := range map[string]int64{"250ms": 250000, "15m": 15 * market.Minute, "2d": 2 * market.Day, "1w": market.Week, "7us": 7} {
		got, err := ParseDuration(in)
		if err != nil || got != want {
			t.Errorf("%s: %d %v", in, got, err)
		}
		if back := FormatDuration(got); back != in {
			t.Errorf("%s printed %s", in, back)
		}
	}
	for _, in := range []string{"", "5", "m", "5 m", "-5m", "99999999999999999w", "1.5h"} {
		if _, err := ParseDuration(in); err == nil {
			t.Errorf("%q accepted", in)
		}
	}
}
