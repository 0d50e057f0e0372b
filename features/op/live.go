package op

import "github.com/pinova-group/tidemark/market/num"

// The integral over time of a value that can end: of a book, which is void after a gap.
// A value holds from its event until the next one, a null ends it, and what is covered
// is counted. Words 0–3 Σ value·dt, 4 the time covered, 5 time of the first event, 0
// before it, 6 of the last, 7–10 cell of the last value, empty while there is none.
const (
	liveCovered = num.SumWords
	liveFirst   = liveCovered + 1
	liveLast    = liveFirst + 1
	liveCell    = liveLast + 1
	liveWords   = liveCell + 4
)

func liveLen(*Acc) int { return liveWords }

// until adds what the last value adds up to a time.
func until(st, cell []uint64, from, to int64) bool {
	if cell[0] == 0 {
		return true
	}
	st[liveCovered] += uint64(to - from)
	return hold(st, cell, from, to)
}

// mark adds what the last value adds up to ts, which becomes the last event.
func mark(st []uint64, ts int64) bool {
	ok := true
	if st[liveFirst] == 0 {
		st[liveFirst] = uint64(ts)
	} else {
		ok = until(st, st[liveCell:], int64(st[liveLast]), ts)
	}
	st[liveLast] = uint64(ts)
	return ok
}

func liveFold(_ *Acc, st []uint64, v *Val, ts int64, _ *Scratch) bool {
	ok := mark(st, ts)
	putCell(st[liveCell:], v, KExact)
	return ok
}

func liveVoid(_ *Acc, st []uint64, ts int64) bool {
	ok := mark(st, ts)
	clear(st[liveCell:liveWords])
	return ok
}

func liveMerge(_ *Acc, st, newer []uint64, _ *Scratch) bool {
	if newer[liveFirst] == 0 {
		return true
	}
	if st[liveFirst] == 0 {
		copy(st, newer)
		return true
	}
	ok := until(st, st[liveCell:], int64(st[liveLast]), int64(newer[liveFirst]))
	num.SumMerge(st, newer)
	st[liveCovered] += newer[liveCovered]
	copy(st[liveLast:], newer[liveLast:])
	return ok
}

func liveValid(a *Acc, st []uint64) bool {
	return sumValid(a, st) && validCell(st[liveCell:], KExact) && int64(st[liveCovered]) >= 0 &&
		(st[liveFirst] != 0 || st[liveLast] == 0 && st[liveCell] == 0 && st[liveCovered] == 0)
}

// liveCarry makes st hold only the newest event of newer.
func liveCarry(st, newer []uint64) {
	if newer[liveFirst] != 0 {
		clear(st)
		copy(st[liveLast:], newer[liveLast:])
		st[liveFirst] = st[liveLast]
	}
}

// liveMean is Mean over the time covered.
func liveMean(v *Val, st, tail []uint64, start, end, carry, rows int64) {
	v.setNull(false)
	if st[liveFirst] == 0 {
		return
	}
	var area [liveWords]uint64
	copy(area[:], st)
	ok := true
	if tail != nil && tail[liveFirst] != 0 && start-int64(tail[liveLast]) <= carry {
		ok = until(area[:], tail[liveCell:], start, int64(st[liveFirst]))
	}
	ok = until(area[:], st[liveCell:], int64(st[liveLast]), end) && ok
	sum, scale, fits := num.SumValue(area[:], rows+2)
	switch {
	case !ok || !fits:
		v.setNull(true)
	case area[liveCovered] != 0:
		v.Null, v.Ovf, v.lazy = false, false, true
		v.W, v.S, v.den, v.denS = sum, int8(scale), num.FromInt64(int64(area[liveCovered])), 0
	}
}
