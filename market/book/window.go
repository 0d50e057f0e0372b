package book

import (
	"math/bits"
)

// window is a price ladder: it holds the levels of a side near the best price, by price.
// Place i is the price base + i·step, so the best place is the last one; the step is the
// tick, negative for asks. A level that comes, goes or changes is a store and a bit, and
// decides no branch.
type window struct {
	base, step int64
	inv        uint64   // inverse of the odd part of step modulo 2^64
	rot        int      // − the number of twos in step
	qty        []int64  // by place; what is at an empty place means nothing
	bits       []uint64 // the places that have a level
	n          int      // levels
	// No level is in a word of bits above top or below bottom. The best is in top.
	top, bottom int
}

// The sizes of a window, in places, and the widest tick. With these (p − base)/step is
// below the size only when it is exact: see at.
const (
	minPlaces = 1 << 8
	maxPlaces = 1 << 15
	maxTick   = 1 << 46
)

func (w *window) on() bool { return len(w.qty) > 0 }

func (w *window) off() {
	clear(w.bits)
	w.qty, w.bits, w.n, w.top, w.bottom = w.qty[:0], w.bits[:0], 0, 0, 0
}

// open makes an empty window. places is a power of two.
func (w *window) open(base, step int64, places int) {
	w.base, w.step = base, step
	odd := uint64(max(step, -step))
	w.rot = -bits.TrailingZeros64(odd)
	odd >>= -w.rot
	inv := odd // right in 3 bits; each turn doubles them
	for range 5 {
		inv *= 2 - odd*inv
	}
	if step < 0 {
		inv = -inv
	}
	w.inv = inv
	if cap(w.qty) < places {
		w.qty, w.bits = make([]int64, places), make([]uint64, places/64)
	}
	w.qty, w.bits = w.qty[:places], w.bits[:places/64]
	w.n, w.top, w.bottom = 0, 0, len(w.bits)-1
}

// at is the place of a price; not below the size for one that is outside or off the
// tick. Division by a known number is a product: of a multiple of it the quotient, of
// anything else more than (2^64 − 1)/step, which is beyond all places.
func (w *window) at(p int64) uint64 {
	return bits.RotateLeft64((uint64(p)-uint64(w.base))*w.inv, w.rot)
}

func (w *window) price(place int) int64 { return w.base + int64(place)*w.step }

// apply changes levels up to the first one that is not in the window, and returns how
// many that were. bad tells that one of them is no level.
func (w *window) apply(price, quantity []int64) (n int, bad bool) {
	if !w.on() {
		return 0, false
	}
	qty, words := w.qty, w.bits
	base, inv, rot := uint64(w.base), w.inv, w.rot
	count, top, bottom := uint64(w.n), uint64(w.top), uint64(w.bottom)
	quantity = quantity[:len(price)]
	var wrong int64 // negative: there is one that is no level
	for n < len(price) {
		p, q := price[n], quantity[n]
		at := bits.RotateLeft64((uint64(p)-base)*inv, rot)
		if at >= uint64(len(qty)) {
			break
		}
		n++
		wrong |= (p - 1) | q
		qty[at] = q
		k := at >> 6
		word := words[k]
		live, was := uint64(-q)>>63, word>>(at&63)&1
		words[k] = word ^ (live^was)<<(at&63)
		count += live - was
		top, bottom = max(top, k&-live), min(bottom, k|(live-1))
	}
	for top > 0 && words[top] == 0 {
		top--
	}
	w.n, w.top, w.bottom = int(count), int(top), int(bottom)
	return n, wrong < 0
}

// best is the place of the best level; there is one.
func (w *window) best() int { return w.top<<6 | (63 - bits.LeadingZeros64(w.bits[w.top])) }

// drop removes the k worst levels; there are as many.
func (w *window) drop(k int) {
	w.n -= k
	for ; k > 0; w.bottom++ {
		word := w.bits[w.bottom]
		n := bits.OnesCount64(word)
		if n > k {
			for range k {
				word &= word - 1
			}
			w.bits[w.bottom] = word
			return
		}
		w.bits[w.bottom] = 0
		k -= n
	}
	if w.n == 0 {
		w.top, w.bottom = 0, len(w.bits)-1
	}
}

// quantity is that of the level at a price, 0 when there is none.
func (w *window) quantity(p int64) int64 {
	at := w.at(p)
	if at >= uint64(len(w.qty)) || w.bits[at>>6]>>(at&63)&1 == 0 {
		return 0
	}
	return w.qty[at]
}

// spill appends all levels, the worst first.
func (w *window) spill(p, q []int64) ([]int64, []int64) {
	for k := w.bottom; k <= w.top; k++ {
		for word := w.bits[k]; word != 0; word &= word - 1 {
			at := k<<6 | bits.TrailingZeros64(word)
			p, q = append(p, w.price(at)), append(q, w.qty[at])
		}
	}
	return p, q
}
