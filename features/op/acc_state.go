package op

import (
	"encoding/binary"
	"math"

	"github.com/zeebo/xxh3"

	"github.com/pinova-group/tidemark/market/num"
)

func floatBits(f float64) uint64 { return math.Float64bits(f) }
func floatOf(b uint64) float64   { return math.Float64frombits(b) }

// The integral of a value over time. A value holds from its event until the next event
// with a value; the state covers the time from the first event to the last one:
// words 0–3 Σ value·dt, 4 time of the first event, 5 of the last, 6–9 cell of the last value.
const (
	integralFirst = num.SumWords
	integralLast  = integralFirst + 1
	integralCell  = integralLast + 1
	integralWords = integralCell + 4
)

// hold adds value × (to − from) for the value of the cell; false when it does not fit.
func hold(area, cell []uint64, from, to int64) bool {
	dt, v := num.FromInt64(to-from), num.Int192(cell[1:4])
	w, ok := mul192(&v, &dt)
	if ok {
		num.SumAddInt192(area, &w, int8(cell[0]>>8))
	}
	return ok
}

func integralFold(st []uint64, v *Val, ts int64) bool {
	st = st[:integralWords]
	if st[integralCell] == 0 {
		st[integralFirst] = uint64(ts)
	} else if !hold(st, st[integralCell:], int64(st[integralLast]), ts) {
		return false
	}
	st[integralLast] = uint64(ts)
	putCell(st[integralCell:], v, KExact)
	return true
}

func integralMerge(st, o []uint64) bool {
	st, o = st[:integralWords], o[:integralWords]
	if o[integralCell] == 0 {
		return true
	}
	if st[integralCell] == 0 {
		copy(st, o)
		return true
	}
	ok := hold(st, st[integralCell:], int64(st[integralLast]), int64(o[integralFirst]))
	num.SumMerge(st, o)
	copy(st[integralLast:], o[integralLast:])
	return ok
}

// Mean sets v to the time-weighted mean over [start, end): the integral of the state,
// what the value of the tail (the state of all before the window) adds until the first
// event when it is not older than carry at the start, and the last value until the end,
// divided by the time covered. rows bounds the number of terms. tail may be nil.
func (a *Acc) Mean(v *Val, rec, tail []uint64, start, end, carry, rows int64) {
	st := rec[a.Off : a.Off+integralWords]
	if st[integralCell] == 0 {
		v.setNull(false)
		return
	}
	var area [num.SumWords]uint64
	copy(area[:], st)
	first, last := int64(st[integralFirst]), int64(st[integralLast])
	from, ok := first, true
	if tail != nil {
		t := tail[a.Off : a.Off+integralWords]
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

// distinctKey is the identity of a value: equal values have equal keys, whatever their
// scale. Values of more than a word are known by a hash of 128 bits.
func distinctKey(v *Val, k Kind) (lo, hi uint64) {
	switch k {
	case KExact, KQ60:
		w, s := v.W, v.S
		for s > 0 {
			t := w
			if quoSmall(&t, 10) != 0 {
				break
			}
			w, s = t, s-1
		}
		if w.IsInt64() {
			return w[0], uint64(s)
		}
		return hashWords(w[:], uint64(s))
	case KFloat:
		return floatBits(v.F), 0
	case KText:
		h := xxh3.Hash128(v.T)
		return h.Lo, h.Hi
	}
	return uint64(v.I), 0
}

func hashWords(w []uint64, extra uint64) (lo, hi uint64) {
	var b [32]byte
	for i, x := range w {
		binary.LittleEndian.PutUint64(b[8*i:], x)
	}
	binary.LittleEndian.PutUint64(b[24:], extra)
	h := xxh3.Hash128(b[:])
	return h.Lo, h.Hi
}

// Carry makes older hold only the newest value and its time: all that a later window
// takes from what came before it.
func (a *Acc) Carry(older, newer []uint64) {
	st, o := older[a.Off:a.Off+integralWords], newer[a.Off:a.Off+integralWords]
	if o[integralCell] != 0 {
		clear(st)
		copy(st[integralLast:], o[integralLast:])
	}
}
