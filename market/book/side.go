package book

import "math"

// side is one side of a book: the levels near the best price in a window, those beyond
// its worst end sorted. There is a window when the levels lie densely enough and many
// have changed since it was last moved; what it holds is no business of the book's users.
type side struct {
	near window
	far  sorted
	// Levels changed, and those of them that were not in the window, since the window was
	// last opened or given up: moving levels is paid for by them.
	changes, misses int
}

// A window has at most mostPlaces places for each level of the side, a quarter of them
// above the best price, and is opened when it takes at least fewest levels. As wide as
// that it holds nearly all levels of a recorded book, and what lies far from the best
// price is looked at so seldom that it costs no cache.
const (
	mostPlaces = 32
	fewest     = 32
)

func (d *side) len() int { return d.near.n + d.far.len() }

func (d *side) reset() {
	d.near.off()
	d.far.reset()
	d.changes, d.misses = 0, 0
}

// best is the best price; there is one.
func (d *side) best() int64 {
	if d.near.n > 0 {
		return d.near.price(d.near.best())
	}
	return d.far.p[len(d.far.p)-1]
}

func (d *side) quantity(p, mask int64) int64 {
	if q := d.near.quantity(p); q != 0 {
		return q
	}
	if i := place(d.far.p, d.far.lo, len(d.far.p), p^mask, mask); i < len(d.far.p) && d.far.p[i] == p {
		return d.far.q[i]
	}
	return 0
}

// truncate drops all but the best depth levels.
func (d *side) truncate(depth int) {
	drop := d.len() - depth
	if drop <= 0 {
		return
	}
	far := min(drop, d.far.len())
	d.far.lo += far
	if drop > far {
		d.near.drop(drop - far)
	}
}

// flatten gives the window up: all levels are in far.
func (d *side) flatten() {
	if d.near.on() {
		d.far.p, d.far.q = d.near.spill(d.far.p, d.far.q)
		d.near.off()
	}
}

// outside is how many of the prices, from the first one on, are worse than the window.
func (d *side) outside(price []int64, mask int64) int {
	n, end := 0, d.near.base^mask
	for n < len(price) && price[n]^mask < end {
		n++
	}
	return n
}

// settle opens the window, or moves it, when changes have paid for that.
func (d *side) settle(s Side) {
	n := d.len()
	switch {
	case !d.near.on():
		if d.changes < 16+n>>3 {
			return
		}
	case d.misses < 64+n>>1:
		return
	case d.misses < d.changes>>3: // it serves well
		d.changes, d.misses = 0, 0
		return
	default:
		d.flatten()
	}
	d.changes, d.misses = 0, 0
	d.open(s)
}

// open moves the levels near the best price into a window, whose tick is the greatest
// that divides their distances, unless it would take too few. All are in far.
func (d *side) open(s Side) {
	l, sign := &d.far, s.sign()
	n := l.len()
	if n < fewest {
		return
	}
	places := minPlaces
	for places < maxPlaces && 2*places <= mostPlaces*n {
		places *= 2
	}
	end := len(l.p) - 1
	best := l.p[end]
	below := uint64(places / 4 * 3)
	tick, k := uint64((best-l.p[end-1])*sign), 2 // the best k levels are looked at
	for ; k < n; k++ {
		dist := uint64((best - l.p[end-k]) * sign)
		if dist/tick > below {
			break
		}
		if dist%tick != 0 {
			tick = gcd(tick, dist%tick)
		}
	}
	for uint64((best-l.p[end-k+1])*sign)/tick > below {
		k--
	}
	if k < fewest || tick > maxTick {
		return
	}
	if s == Ask {
		below = min(below, uint64(math.MaxInt64-best)/tick)
	}
	step := int64(tick) * sign
	d.near.open(best-int64(below)*step, step, places)
	first := len(l.p) - k
	d.near.apply(l.p[first:], l.q[first:])
	l.p, l.q = l.p[:first], l.q[:first]
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
