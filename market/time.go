package market

import (
	"math"
	"time"
)

// NoTime marks an absent time in an int64 column of microseconds.
const NoTime int64 = math.MinInt64

// Durations in microseconds, the unit of every time in the pipeline.
const (
	Microsecond int64 = 1
	Millisecond       = 1000 * Microsecond
	Second            = 1000 * Millisecond
	Minute            = 60 * Second
	Hour              = 60 * Minute
	Day               = 24 * Hour
	Week              = 7 * Day
)

// KeyframeEvery is the grid of the books' keyframes: a book is known from the last
// snapshot in that span, so what reads one looks back no further.
const KeyframeEvery = 5 * Minute

// MinEventTime and MaxEventTime bound what an event time may be: 2000-01-01 to
// 2100-01-01. A time outside is a time in the wrong unit or garbage.
const (
	MinEventTime int64 = 946684800 * Second
	MaxEventTime int64 = 4102444800 * Second
)

// ValidTime reports whether t is a plausible event time in microseconds.
func ValidTime(t int64) bool { return t >= MinEventTime && t < MaxEventTime }

// FloorDiv divides rounding toward minus infinity; b must be positive.
func FloorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// FormatTime prints t as RFC 3339 in UTC with as many fraction digits as needed.
func FormatTime(t int64) string {
	if t == NoTime {
		return ""
	}
	return time.UnixMicro(t).UTC().Format("2006-01-02T15:04:05.999999Z07:00")
}
