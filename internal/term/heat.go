package term

import "math"

var (
	shades      = []rune("░▒▓█")
	shadesASCII = []rune(".:*#")
)

// Heat draws a grid of values, a line for each row, from light for the least to dense for
// the greatest; NaN is a space. Each cell is two characters wide, so that it is square.
func (s Style) Heat(cells [][]float64) []string {
	ramp := shades
	if s.ASCII {
		ramp = shadesASCII
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, row := range cells {
		for _, v := range row {
			if !math.IsNaN(v) {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	lines := make([]string, len(cells))
	for i, row := range cells {
		line := make([]rune, 0, 2*len(row))
		for _, v := range row {
			r := ' '
			if !math.IsNaN(v) {
				k := len(ramp) - 1
				if hi > lo {
					k = min(k, int((v-lo)/(hi-lo)*float64(len(ramp))))
				}
				r = ramp[k]
			}
			line = append(line, r, r)
		}
		lines[i] = string(line)
	}
	return lines
}
