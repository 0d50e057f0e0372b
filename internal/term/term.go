// Package term draws in a terminal: tables that fit its width, sparklines and candle
// strips in Unicode with an ASCII fall-back. It prints nothing itself.
package term

import (
	"math"
	"strings"

	"github.com/dustin/go-humanize"
)

// Style says what a terminal can show.
type Style struct {
	Width int  // columns; 0 when the output is no terminal: nothing is cut
	Color bool // escape sequences for colours
	ASCII bool // no Unicode
}

// The colours, only ever together with a word or a shape that says the same.
const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	bold   = "\x1b[1m"
	faint  = "\x1b[2m"
	reset  = "\x1b[0m"
)

func (s Style) paint(code, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return code + text + reset
}

// Red colours a text where the terminal has colours; so do its siblings.
func (s Style) Red(text string) string { return s.paint(red, text) }

// Green colours a text.
func (s Style) Green(text string) string { return s.paint(green, text) }

// Yellow colours a text.
func (s Style) Yellow(text string) string { return s.paint(yellow, text) }

// Bold makes a text bold.
func (s Style) Bold(text string) string { return s.paint(bold, text) }

// Faint makes a text faint.
func (s Style) Faint(text string) string { return s.paint(faint, text) }

// Int prints a number with thousands separators.
func Int(n int64) string { return humanize.Comma(n) }

// Bytes prints a size in powers of 1024, such as 1.5 MiB.
func Bytes(n int64) string {
	if n < 0 {
		return "?"
	}
	return humanize.IBytes(uint64(n))
}

// Rate prints a count per second, such as 1.2 M/s.
func Rate(n int64, seconds float64) string {
	if seconds <= 0 || n == 0 {
		return "0/s"
	}
	v, unit := humanize.ComputeSI(float64(n) / seconds)
	return humanize.FtoaWithDigits(v, 1) + " " + unit + "/s"
}

var (
	sparks      = []rune("▁▂▃▄▅▆▇█")
	sparksASCII = []rune("_.-:=+*#")
)

// Sparkline draws values as a line of blocks from the smallest to the largest; NaN is a
// gap. With more values than width, neighbours share a block by their maximum.
func (s Style) Sparkline(values []float64, width int) string {
	if width > 0 && len(values) > width {
		short := make([]float64, width)
		for i := range short {
			m := math.NaN()
			for _, v := range values[i*len(values)/width : (i+1)*len(values)/width] {
				if math.IsNaN(m) || v > m {
					m = v
				}
			}
			short[i] = m
		}
		values = short
	}
	lo, hi := bounds(values)
	blocks := sparks
	if s.ASCII {
		blocks = sparksASCII
	}
	var b strings.Builder
	for _, v := range values {
		switch {
		case math.IsNaN(v):
			b.WriteByte(' ')
		case hi == lo:
			b.WriteRune(blocks[len(blocks)/2])
		default:
			b.WriteRune(blocks[min(len(blocks)-1, int((v-lo)/(hi-lo)*float64(len(blocks))))])
		}
	}
	return b.String()
}

func bounds(values []float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if !math.IsNaN(v) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	return lo, hi
}
