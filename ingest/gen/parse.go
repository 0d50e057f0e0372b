package gen

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// ParseShare reads a share such as 1%, 0.05% or 0.001 into parts per million.
func ParseShare(s string) (int, error) {
	text, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	d, err := num.ParseDecString(text)
	if err != nil {
		return 0, fmt.Errorf("read share %q: want 1%% or 0.01", s)
	}
	scale := int8(6)
	if percent {
		scale = 4
	}
	d, ok := d.Normalize().Rescale(scale)
	if !ok || d.M < 0 || d.M > 1_000_000 {
		return 0, fmt.Errorf("read share %q: want 0 to 100%%, not finer than 0.0001%%", s)
	}
	return int(d.M), nil
}

// FormatShare prints parts per million as ParseShare reads them.
func FormatShare(ppm int) string {
	return num.Dec{M: int64(ppm), S: 4}.Normalize().String() + "%"
}

// ParseDuration reads a duration with its unit, such as 250ms, 10m, 8h or 2d, into
// microseconds.
func ParseDuration(s string) (int64, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 32)
		if err != nil {
			return 0, fmt.Errorf("read duration %q: want whole days", s)
		}
		return n * market.Day, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("read duration %q: want a number with unit, such as 250ms, 10m or 2d", s)
	}
	return d.Microseconds(), nil
}

// ParseOutage reads VENUE:AT+FOR, such as beta:10m+30s.
func ParseOutage(s string) (o Outage, err error) {
	venue, when, ok := strings.Cut(s, ":")
	at, length, ok2 := strings.Cut(when, "+")
	if !ok || !ok2 {
		return o, fmt.Errorf("read outage %q: want VENUE:AT+FOR, such as beta:10m+30s", s)
	}
	o.Venue = venue
	if o.At, err = ParseDuration(at); err != nil {
		return o, err
	}
	o.For, err = ParseDuration(length)
	return o, err
}

// ParseSkew reads VENUE:OFFSET or VENUE:OFFSET@AT, such as gamma:20ms or gamma:-15ms@5m.
func ParseSkew(s string) (k Skew, err error) {
	venue, offset, ok := strings.Cut(s, ":")
	if !ok {
		return k, fmt.Errorf("read skew %q: want VENUE:OFFSET[@AT], such as gamma:-15ms@5m", s)
	}
	offset, at, later := strings.Cut(offset, "@")
	k.Venue = venue
	if k.Offset, err = ParseDuration(offset); err != nil || !later {
		return k, err
	}
	k.At, err = ParseDuration(at)
	return k, err
}

// ParseTickChange reads SYMBOL@AT, such as BTC-USDT@5m.
func ParseTickChange(s string) (x TickChange, err error) {
	symbol, at, ok := strings.Cut(s, "@")
	if !ok {
		return x, fmt.Errorf("read tick change %q: want SYMBOL@AT, such as BTC-USDT@5m", s)
	}
	x.Symbol = symbol
	x.At, err = ParseDuration(at)
	return x, err
}

// ParseSymbols reads a list of symbols, or a number of the usual ones.
func ParseSymbols(s string) ([]string, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > 20_000 {
			return nil, fmt.Errorf("%d symbols, 1 to 20,000 wanted", n)
		}
		return Symbols(n), nil
	}
	return strings.Split(s, ","), nil
}

// ParseFormat reads the name of a format.
func ParseFormat(s string) (Format, bool) {
	for i, n := range FormatNames {
		if n == s {
			return Format(i), true
		}
	}
	return 0, false
}

// FormatNames are the names of the formats.
var FormatNames = []string{"canonical-csv", "canonical-jsonl", "raw"}
