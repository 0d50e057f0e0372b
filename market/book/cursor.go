package book

import "math/bits"

// Cursor walks a side from better levels to worse ones. It is valid until the book is
// changed.
type Cursor struct {
	w    *window
	at   int    // word of the window
	bits uint64 // its levels that are left
	far  sorted // levels left after those of the window
}

// From is a cursor at the best level of a side.
func (b *Book) From(s Side) Cursor {
	d := &b.sides[s]
	c := Cursor{w: &d.near, at: d.near.top, far: d.far}
	if d.near.n > 0 {
		c.bits = d.near.bits[c.at]
	}
	return c
}

// After is a cursor at the best level that is worse than a price.
func (b *Book) After(s Side, price int64) Cursor {
	d, mask := &b.sides[s], s.mask()
	c := Cursor{w: &d.near, far: d.far}
	end := place(d.far.p, d.far.lo, len(d.far.p), price^mask, mask)
	c.far.p, c.far.q = c.far.p[:end], c.far.q[:end]
	if w := c.w; w.n > 0 && price^mask > w.base^mask {
		last := uint64((price-w.base)*s.sign()-1) / uint64(max(w.step, -w.step))
		c.at = int(min(last>>6, uint64(w.top)))
		c.bits = w.bits[c.at]
		if last>>6 == uint64(c.at) {
			c.bits &= 2<<(last&63) - 1
		}
	}
	return c
}

// Next takes the next levels, as many as both slices are long, and returns their number,
// which is less only at the end of the side.
func (c *Cursor) Next(p, q []int64) int {
	n := 0
	q = q[:len(p)]
	for n < len(p) {
		for c.bits == 0 {
			if c.at <= c.w.bottom {
				return n + c.rest(p[n:], q[n:])
			}
			c.at--
			c.bits = c.w.bits[c.at]
		}
		k := 63 - bits.LeadingZeros64(c.bits)
		c.bits &^= 1 << k
		at := c.at<<6 | k
		p[n], q[n] = c.w.price(at), c.w.qty[at]
		n++
	}
	return n
}

// rest takes levels that are not in the window.
func (c *Cursor) rest(p, q []int64) int {
	n := min(len(p), c.far.len())
	end := len(c.far.p) - n
	ps, qs := c.far.p[end:], c.far.q[end:][:n]
	p, q = p[:n], q[:n]
	for k, v := range ps {
		p[n-1-k], q[n-1-k] = v, qs[k]
	}
	c.far.p, c.far.q = c.far.p[:end], c.far.q[:end]
	return n
}
