package op

import (
	"github.com/pinova-group/tidemark/market/num"
)

// The integral of a value over time. A value holds from its event until the next event
// that has one; nulls and rows that a filter drops do not end it. The state covers the
// time from the first event to the last one: words 0–3 Σ value·dt, 4 time of the first
// event, 5 of the last, 6–9 cell of the last value.
const (
	integralFirst = num.SumWords
	integralLast  = integralFirst + 1
	integralCell  = integralLast + 1
	integralWords = integralCell + 4
)

func integralLen(*Acc) int { return integralWords }

// hold adds value × (to − from) for the value of the cell; false when it does not fit.
func hold(area, cell []uint64, from, to int64) bool {
	dt, v := num.FromInt64(to-from), num.Int192(cell[1:4])
	w, ok := mul192(&v, &dt)
	if ok {
		num.SumAddInt192(area, &w, int8(cell[0]>>8))
	}
	return ok
}

func integralFold(_ *Acc, st []uint64, v *Val, ts int64, _ *Scratch) bool {
	if st[integralCell] == 0 {
		st[integralFirst] = uint64(ts)
	} else if !hold(st, st[integralCell:], int64(st[integralLast]), ts) {
		return false
	}
	st[integralLast] = uint64(ts)
	putCell(st[integralCell:], v, KExact)
	return true
}

func integralMerge(_ *Acc, st, newer []uint64, _ *Scratch) bool {
	if newer[integralCell] == 0 {
		return true
	}
	if st[integralCell] == 0 {
		copy(st, newer)
		return true
	}
	ok := hold(st, st[integralCell:], int64(st[integralLast]), int64(newer[integralFirst]))
	num.SumMerge(st, newer)
	copy(st[integralLast:], newer[integralLast:])
	return ok
}

func integralValid(a *Acc, st []uint64) bool {
	return sumValid(a, st) && validCell(st[integralCell:], KExact)
}

// Carry makes older hold only the newest value and its time: all that a later window
// takes from what came before it.
func (a *Acc) Carry(older, newer []uint64) {
	st, o := a.state(older), a.state(newer)
	if a.Fn == LiveIntegral {
		liveCarry(st, o)
		return
	}
	if o[integralCell] != 0 {
		clear(st)
		copy(st[integralLast:], o[integralLast:])
	}
}

// Mean sets v to the time-weighted mean over [start, end): the integral of the state,
// what the value of the tail (the state of all before the window) adds until the first
// event when it is not older than carry at the start, and the last value until the end,
// divided by the time covered. Null when no value is in the window. rows bounds the
// number of terms. tail may be nil.
func (a *Acc) Mean(v *Val, rec, tail []uint64, start, end, carry, rows int64) {
	st := a.state(rec)
	if a.Fn == LiveIntegral {
		var before []uint64
		if tail != nil {
			before = a.state(tail)
		}
		liveMean(v, st, before, start, end, carry, rows)
		return
	}
	if st[integralCell] == 0 {
		v.setNull(false)
		return
	}
	var area [num.SumWords]uint64
	copy(area[:], st)
	first, last := int64(st[integralFirst]), int64(st[integralLast])
	from, ok := first, true
	if tail != nil {
		t := a.state(tail)
		if t[integralCell] != 0 && start-int64(t[integralLast]) <= carry {
			ok = hold(area[:], t[integralCell:], start, first)
			from = start
		}
	}
	ok = hold(area[:], st[integralCell:], last, end) && ok
	sum, scale, fits := num.SumValue(area[:], rows+2)
	if !ok || !fits {
		v.setNull(true)
		return
	}
	if end == from {
		v.setNull(false)
		return
	}
	v.Null, v.Ovf, v.lazy = false, false, true
	v.W, v.S, v.den, v.denS = sum, int8(scale), num.FromInt64(end-from), 0
}
