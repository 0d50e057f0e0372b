package book

import "slices"

// A message is nearly always a run: its prices rise or fall strictly. Then one walk
// from the best level finds all places, each search starting where the last one ended,
// and the levels between two places are moved at most once, however many levels come
// and go. (*sorted).set, change by change, is the plain twin.

// op is a level that comes in before place at, or the level there that goes.
type op struct {
	at   int32
	from int32 // place in the message of the level that comes, gone of one that goes
}

const gone = -1

// mask turns the order of prices of asks round: x^mask is greater for a better price.
// Prices are positive, so differences of two of them cannot overflow.
func (s Side) mask() int64 { return -int64(s) }

// place is the first place of p[lo:hi] whose price is not worse than the one of key,
// or hi. It gallops down from hi and then counts; neither guesses a branch for each
// level it looks at.
func place(p []int64, lo, hi int, key, mask int64) int {
	const window = 8
	step := window
	for hi-step >= lo && p[hi-step]^mask >= key {
		hi -= step
		step += step
	}
	at := max(lo, hi-step)
	n := hi - at
	for n > window {
		half := n >> 1
		at += half & int((p[at+half-1]^mask-key)>>63)
		n -= half
	}
	if n == window {
		w := (*[window]int64)(p[at:])
		a := uint64(w[0]^mask-key)>>63 + uint64(w[1]^mask-key)>>63 + uint64(w[2]^mask-key)>>63 + uint64(w[3]^mask-key)>>63
		b := uint64(w[4]^mask-key)>>63 + uint64(w[5]^mask-key)>>63 + uint64(w[6]^mask-key)>>63 + uint64(w[7]^mask-key)>>63
		return at + int(a+b)
	}
	for _, v := range p[at : at+n] {
		at += int(uint64(v^mask-key) >> 63)
	}
	return at
}

// shape looks at all levels of a message: whether one is no level, and whether the
// prices rise or fall strictly. Bits instead of branches.
func shape(price, quantity []int64) (bad, rising, falling bool) {
	var wrong, up, down int64 // negative: there is one that is no level, that does not rise, that does not fall
	last := price[0]
	quantity = quantity[:len(price)]
	for i, p := range price {
		wrong |= p | (p - 1) | quantity[i]
		if i > 0 {
			up |= p - last - 1
			down |= last - p - 1
		}
		last = p
	}
	return wrong < 0, up >= 0, down >= 0
}

// change applies a run. reverse says that its last level is the best one. What is found
// decides no branch: whether a level comes, goes or changes is hard to guess.
func (b *Book) change(l *sorted, price, quantity []int64, mask int64, reverse bool) {
	n := len(price)
	l.room(n + 1)
	if l.len() == 0 {
		l.fill(price, quantity, !reverse)
		return
	}
	if cap(b.ops) < n+1 {
		b.ops = make([]op, 2*n+8)
	}
	end := len(l.p)
	ps, qs := l.p[:end+1], l.q[:end+1]
	ps[end] = 0 // where no price of the message is found
	j, by := 0, 1
	if reverse {
		j, by = n-1, -1
	}
	ops, k, i := b.ops[:n+1], 0, end
	for range n {
		p, q := price[j], quantity[j]
		i = place(ps, l.lo, i, p^mask, mask)
		keep, what, step := end, j, 0
		if ps[i] == p {
			keep, what = i, gone
		}
		if (ps[i] == p) == (q == 0) {
			step = 1
		}
		qs[keep] = q
		ops[k] = op{int32(i), int32(what)}
		k += step
		j += by
	}
	if k > 0 {
		l.restructure(ops[:k], price, quantity)
	}
}

// fill takes the levels of a run into an empty list, for which there is room. reverse
// says that the last level of the run is the worst one.
func (l *sorted) fill(price, quantity []int64, reverse bool) {
	n := len(price)
	l.lo = 0
	ps, qs := l.p[:n+1], l.q[:n+1]
	j, by := 0, 1
	if reverse {
		j, by = n-1, -1
	}
	k := 0
	for range n {
		ps[k], qs[k] = price[j], quantity[j]
		if quantity[j] != 0 {
			k++
		}
		j += by
	}
	l.p, l.q = l.p[:k], l.q[:k]
}

// room makes place for n levels behind the best one.
func (l *sorted) room(n int) {
	if len(l.p)+n <= cap(l.p) && len(l.q)+n <= cap(l.q) {
		return
	}
	if l.lo >= n && l.lo >= l.len() { // so that a move is paid for by as many levels dropped
		l.p = l.p[:copy(l.p, l.p[l.lo:])]
		l.q = l.q[:copy(l.q, l.q[l.lo:])]
		l.lo = 0
		return
	}
	l.p, l.q = slices.Grow(l.p, n), slices.Grow(l.q, n)
}

// restructure lets levels come and go; ops go from the best place to the worst, and
// there is room for all that come. The ops part the levels into segments; each moves as
// a whole, by what comes and goes between it and the end that stays. Between one that
// moves up and one that moves down there is one that stays, so those that move up can go
// first, from above, and then those that move down, from below.
func (l *sorted) restructure(ops []op, price, quantity []int64) {
	net := 0
	for _, o := range ops {
		net += o.step()
	}
	end, worst := len(l.p), l.lo
	shift := net // of the segment at the best levels; the worst levels stay
	mid := int(ops[len(ops)/2].at)
	if mid-worst < end-mid && worst >= net {
		shift = 0 // the best levels stay
		l.lo -= net
	} else if net > 0 {
		l.p, l.q = l.p[:end+net], l.q[:end+net]
	}
	size := end + shift
	for _, o := range ops {
		start := o.start()
		if shift > 0 {
			copy(l.p[start+shift:], l.p[start:end])
			copy(l.q[start+shift:], l.q[start:end])
		}
		end = int(o.at)
		shift -= o.step()
	}
	if shift > 0 {
		copy(l.p[worst+shift:], l.p[worst:end])
		copy(l.q[worst+shift:], l.q[worst:end])
	}
	start := worst
	for _, o := range slices.Backward(ops) {
		if shift < 0 {
			copy(l.p[start+shift:], l.p[start:o.at])
			copy(l.q[start+shift:], l.q[start:o.at])
		}
		start = o.start()
		shift += o.step()
		if o.from != gone {
			at := start + shift - 1
			l.p[at], l.q[at] = price[o.from], quantity[o.from]
		}
	}
	if shift < 0 {
		copy(l.p[start+shift:], l.p[start:])
		copy(l.q[start+shift:], l.q[start:])
	}
	l.p, l.q = l.p[:size], l.q[:size]
}

// step is by how much an op changes the number of levels.
func (o op) step() int {
	if o.from == gone {
		return -1
	}
	return 1
}

// start is where the segment behind an op begins.
func (o op) start() int {
	if o.from == gone {
		return int(o.at) + 1
	}
	return int(o.at)
}
