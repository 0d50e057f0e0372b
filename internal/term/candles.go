package term

import (
	"math"
	"strconv"
	"strings"
)

// Candle is one bar of a picture; a bar without a finite close is a gap.
type Candle struct{ Open, High, Low, Close float64 }

func (c Candle) gap() bool { return math.IsNaN(c.Close) || math.IsInf(c.Close, 0) }

// Candles draws bars as a strip of the given height in lines, newest right, with a price
// axis at the right. Each bar is one column: the body thick, the wicks thin. A falling
// bar is hollow, so colour is not needed to tell it. The last bars that fit are drawn.
func (s Style) Candles(bars []Candle, height int) []string {
	const axis = 12
	if n := s.Width - axis; s.Width > 0 && len(bars) > n && n > 0 {
		bars = bars[len(bars)-n:]
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, b := range bars {
		if !b.gap() {
			lo, hi = min(lo, b.Low), max(hi, b.High)
		}
	}
	if height < 1 || hi < lo {
		return nil
	}
	if hi == lo {
		lo, hi = lo-math.Abs(lo)/1000-1e-9, hi+math.Abs(hi)/1000+1e-9
	}
	// Each line has two halves, so that a body may begin and end in the middle of one.
	halves := 2 * height
	at := func(p float64) int {
		return min(halves-1, max(0, int((p-lo)/(hi-lo)*float64(halves))))
	}
	digits := axisDigits(lo, hi)
	lines := make([]string, height)
	for row := range height {
		var b strings.Builder
		for _, c := range bars {
			b.WriteString(s.cell(c, at, height-1-row))
		}
		price := lo + (hi-lo)*(float64(height-row)-0.5)/float64(height)
		b.WriteString(s.Faint(" " + strconv.FormatFloat(price, 'f', digits, 64)))
		lines[row] = b.String()
	}
	return lines
}

// cell draws one bar in the line that covers the halves 2*line and 2*line+1.
func (s Style) cell(c Candle, at func(float64) int, line int) string {
	if c.gap() {
		return " "
	}
	down, up := 2*line, 2*line+1
	body := func(h int) bool { return h >= at(min(c.Open, c.Close)) && h <= at(max(c.Open, c.Close)) }
	wick := func(h int) bool { return h >= at(c.Low) && h <= at(c.High) }
	falling := c.Close < c.Open
	shape := " "
	switch {
	case body(down) && body(up):
		shape = pick(s.ASCII, falling, "█", "░", "#", ":")
	case body(up):
		shape = pick(s.ASCII, falling, "▀", "▀", "#", ":")
	case body(down):
		shape = pick(s.ASCII, falling, "▄", "▄", "#", ":")
	case wick(down) && wick(up):
		shape = pick(s.ASCII, false, "│", "│", "|", "|")
	case wick(up):
		shape = pick(s.ASCII, false, "╵", "╵", "'", "'")
	case wick(down):
		shape = pick(s.ASCII, false, "╷", "╷", ",", ",")
	}
	if falling {
		return s.Red(shape)
	}
	return s.Green(shape)
}

func pick(ascii, falling bool, rise, fall, riseASCII, fallASCII string) string {
	switch {
	case ascii && falling:
		return fallASCII
	case ascii:
		return riseASCII
	case falling:
		return fall
	}
	return rise
}

// axisDigits is how many digits tell the lines of an axis apart.
func axisDigits(lo, hi float64) int {
	d := 0
	for step := (hi - lo) / 8; step < 1 && d < 8; step *= 10 {
		d++
	}
	return d
}
