package book

import (
	"cmp"
	"slices"
)

// sorted is levels of a side in parallel slices, worst level first, best last; the live
// part begins at lo, so that both ends are cheap to change.
type sorted struct {
	p, q []int64
	lo   int
}

func (s Side) sign() int64 { return 1 - 2*int64(s) }

func (l *sorted) len() int { return len(l.p) - l.lo }

func (l *sorted) reset() { l.p, l.q, l.lo = l.p[:0], l.q[:0], 0 }

// setAll applies changes one after the other.
func (l *sorted) setAll(price, quantity []int64, mask int64) {
	for i, p := range price {
		l.set(p, quantity[i], mask)
	}
}

// set gives level p the quantity q; 0 deletes it.
func (l *sorted) set(p, q, mask int64) {
	i := place(l.p, l.lo, len(l.p), p^mask, mask)
	found := i < len(l.p) && l.p[i] == p
	switch {
	case found && q != 0:
		l.q[i] = q
	case found:
		l.remove(i)
	case q != 0:
		l.insert(i, p, q)
	}
}

func (l *sorted) remove(i int) {
	if i-l.lo < len(l.p)-1-i {
		copy(l.p[l.lo+1:i+1], l.p[l.lo:i])
		copy(l.q[l.lo+1:i+1], l.q[l.lo:i])
		l.lo++
		return
	}
	l.p = append(l.p[:i], l.p[i+1:]...)
	l.q = append(l.q[:i], l.q[i+1:]...)
}

func (l *sorted) insert(i int, p, q int64) {
	if l.lo > 0 && (i-l.lo < len(l.p)-i || len(l.p) == cap(l.p)) {
		l.lo--
		copy(l.p[l.lo:i-1], l.p[l.lo+1:i])
		copy(l.q[l.lo:i-1], l.q[l.lo+1:i])
		l.p[i-1], l.q[i-1] = p, q
		return
	}
	l.p = append(l.p, 0)
	l.q = append(l.q, 0)
	copy(l.p[i+1:], l.p[i:])
	copy(l.q[i+1:], l.q[i:])
	l.p[i], l.q[i] = p, q
}

// merge applies many changes at once: sorts them and merges both sorted runs.
func (b *Book) merge(l *sorted, price, quantity []int64, mask int64) {
	b.sortInput(price, quantity, mask)
	a, c, out := l, &b.in, &b.merged
	out.reset()
	i, j := a.lo, 0
	for i < len(a.p) || j < len(c.p) {
		if j == len(c.p) || i < len(a.p) && a.p[i]^mask < c.p[j]^mask {
			out.p, out.q = append(out.p, a.p[i]), append(out.q, a.q[i])
			i++
			continue
		}
		if i < len(a.p) && a.p[i] == c.p[j] {
			i++
		}
		if c.q[j] != 0 {
			out.p, out.q = append(out.p, c.p[j]), append(out.q, c.q[j])
		}
		j++
	}
	*l, b.merged = *out, *l
}

// sortInput fills b.in with the changes, worst price first, the last one of each price.
func (b *Book) sortInput(price, quantity []int64, mask int64) {
	o := &b.in
	o.reset()
	order := make([]int, len(price))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int {
		if c := cmp.Compare(price[x]^mask, price[y]^mask); c != 0 {
			return c
		}
		return cmp.Compare(x, y)
	})
	for _, i := range order {
		if n := len(o.p); n > 0 && o.p[n-1] == price[i] {
			o.q[n-1] = quantity[i]
			continue
		}
		o.p, o.q = append(o.p, price[i]), append(o.q, quantity[i])
	}
}
