package op

import "github.com/pinova-group/tidemark/market/num"

// Cells are the first, last, min and max of one decimal column, folded together: the
// offsets of their cells in the record, -1 for those not wanted.
type Cells struct{ First, Last, Min, Max int }

// Fold folds mantissas of one scale, at least one; lastTS is the event time of the last.
// It is what Acc.Fold does row by row.
func (c *Cells) Fold(rec []uint64, m []int64, s int8, lastTS int64) {
	c.Ends(rec, m[0], m[len(m)-1], s, lastTS)
	if c.Min < 0 && c.Max < 0 {
		return
	}
	least, most := m[0], m[0]
	for _, v := range m[1:] {
		least, most = min(least, v), max(most, v)
	}
	c.Extremes(rec, least, most, s)
}

// Ends folds the first and the last mantissa of a run of one scale.
func (c *Cells) Ends(rec []uint64, first, last int64, s int8, lastTS int64) {
	if c.First >= 0 && rec[c.First] == 0 {
		setCell(rec[c.First:], first, s)
	}
	if c.Last >= 0 {
		setCell(rec[c.Last:], last, s)
		rec[c.Last+4] = uint64(lastTS)
	}
}

// Extremes folds the least and the greatest mantissa of a run of one scale.
func (c *Cells) Extremes(rec []uint64, least, most int64, s int8) {
	if c.Min >= 0 {
		if st := rec[c.Min : c.Min+4]; st[0] == 0 || Min.beats(st, least, s) {
			setCell(st, least, s)
		}
	}
	if c.Max >= 0 {
		if st := rec[c.Max : c.Max+4]; st[0] == 0 || Max.beats(st, most, s) {
			setCell(st, most, s)
		}
	}
}

// setCell puts a decimal of one word into a cell.
func setCell(st []uint64, m int64, s int8) {
	st = st[:4]
	ext := uint64(m >> 63)
	st[0], st[1], st[2], st[3] = 1|uint64(s)<<8, uint64(m), ext, ext
}

// beats tells whether m takes the place of what the cell holds.
func (f Func) beats(st []uint64, m int64, s int8) bool {
	if ext := uint64(int64(st[1]) >> 63); st[0] == 1|uint64(s)<<8 && st[2] == ext && st[3] == ext {
		// One scale and both of one word, as all that a column holds; a part of a row
		// may be wider.
		return f == Min && m < int64(st[1]) || f == Max && m > int64(st[1])
	}
	w, x := num.Int192(st[1:4]), num.FromInt64(m)
	return beats(cmpExact(&w, &x, int8(st[0]>>8), s), f)
}
