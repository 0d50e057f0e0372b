package sequence

import (
	"math"
	"slices"
	"sort"
)

// entry is the place in the total order of one row of an arena. Equal keys keep the
// order of rows, which is that of arrival. Four words: so many stay in registers.
type entry struct {
	ts  int64
	si  uint64 // src<<32 | instrument number
	seq uint64
	er  uint64 // epoch<<32 | row
}

func makeEntry(ts int64, si uint64, epoch uint32, seq uint64, row uint32) entry {
	return entry{ts, si, seq, uint64(epoch)<<32 | uint64(row)}
}

func (e *entry) epoch() uint32 { return uint32(e.er >> 32) }
func (e *entry) row() uint32   { return uint32(e.er) }

func (e *entry) setRow(row uint32) { e.er = e.er>>32<<32 | uint64(row) }

func (e *entry) less(o *entry) bool {
	switch {
	case e.ts != o.ts:
		return e.ts < o.ts
	case e.si != o.si:
		return e.si < o.si
	case e.epoch() != o.epoch():
		return e.epoch() < o.epoch()
	case e.seq != o.seq:
		return e.seq < o.seq
	}
	return e.row() < o.row()
}

// ordered holds rows of one feed of an arena in the total order; kindState.upTo merges the
// feeds, of which each is behind the others by some time of its own. Input is nearly sorted,
// so rows go to a sorted run when they can and else to a tail. The tail is merged into the
// run, from behind, when the first of its rows may leave and not before: a line that is
// behind the others would make each merge as long as it is behind.
type ordered struct {
	run  []entry // run[head:] is sorted
	head int     // entries before it have left
	tail []entry // as they came
	from int64   // least time in the tail
	// scratch of settle
	out   []entry
	radix []radixKey
}

func (o *ordered) len() int { return len(o.run) - o.head + len(o.tail) }

func (o *ordered) add(x entry) {
	if n := len(o.run); o.head == n || !x.less(&o.run[n-1]) {
		o.run = append(o.run, x)
		return
	}
	if len(o.tail) == 0 {
		o.from = x.ts
	}
	o.from = min(o.from, x.ts)
	o.tail = append(o.tail, x)
}

// settle makes the run all there is.
func (o *ordered) settle() {
	if len(o.tail) == 0 {
		return
	}
	tail := o.sortTail(o.tail)
	i, k := len(o.run)-1, len(o.run)+len(tail)-1
	o.run = append(o.run, tail...)
	for j := len(tail) - 1; j >= 0; k-- {
		if i >= o.head && tail[j].less(&o.run[i]) {
			o.run[k] = o.run[i]
			i--
		} else {
			o.run[k] = tail[j]
			j--
		}
	}
	o.tail = o.tail[:0]
}

// sortTail sorts a tail: by insertion when short, else by radix of the time, which is
// linear, and equal times by comparison.
func (o *ordered) sortTail(t []entry) []entry {
	if len(t) <= insertionMax {
		insertion(t)
		return t
	}
	if slices.IsSortedFunc(t, compare) { // rows of one line behind another
		return t
	}
	lo, hi := t[0].ts, t[0].ts
	for i := range t {
		lo, hi = min(lo, t[i].ts), max(hi, t[i].ts)
	}
	if uint64(hi-lo) >= 1<<(4*radixBits) || len(t) > math.MaxInt32 {
		slices.SortFunc(t, compare)
		return t
	}
	a := slices.Grow(o.radix[:0], 2*len(t))[:2*len(t)]
	o.radix = a
	a, b := a[:len(t)], a[len(t):]
	for i := range t {
		a[i] = radixKey{uint64(t[i].ts - lo), uint32(i)}
	}
	for shift := uint(0); uint64(hi-lo)>>shift != 0; shift += radixBits {
		radixPass(b, a, shift)
		a, b = b, a
	}
	out := slices.Grow(o.out[:0], len(t))[:len(t)]
	o.out = out
	for i := range a {
		out[i] = t[a[i].at]
	}
	for i := 0; i < len(out); {
		j := i + 1
		for j < len(out) && out[j].ts == out[i].ts {
			j++
		}
		if j-i <= insertionMax {
			insertion(out[i:j])
		} else {
			slices.SortFunc(out[i:j], compare)
		}
		i = j
	}
	return out
}

// Nine bits: 250 ms of µs in two passes, and a table that a tail of some tens of rows pays for.
const (
	insertionMax = 32
	radixBits    = 9
)

// radixKey is a time, counted from the least one, and the place of its entry.
type radixKey struct {
	key uint64
	at  uint32
}

// radixPass sorts src stably into dst by radixBits bits of the key.
func radixPass(dst, src []radixKey, shift uint) {
	var count [1 << radixBits]uint32
	for i := range src {
		count[src[i].key>>shift&(1<<radixBits-1)]++
	}
	at := uint32(0)
	for i, n := range count {
		count[i] = at
		at += n
	}
	for i := range src {
		d := src[i].key >> shift & (1<<radixBits - 1)
		dst[count[d]] = src[i]
		count[d]++
	}
}

func insertion(t []entry) {
	for i := 1; i < len(t); i++ {
		x := t[i]
		j := i - 1
		for ; j >= 0 && x.less(&t[j]); j-- {
			t[j+1] = t[j]
		}
		t[j+1] = x
	}
}

func compare(a, b entry) int {
	if a.less(&b) {
		return -1
	}
	return 1
}

// upTo returns the entries with ts at or below bound, in order, and lets them go. The
// slice is valid until the next call of a method.
func (o *ordered) upTo(bound int64) []entry {
	switch {
	case o.head == len(o.run):
		o.run, o.head = o.run[:0], 0
	case o.head > len(o.run)/2:
		o.run = append(o.run[:0], o.run[o.head:]...)
		o.head = 0
	}
	if len(o.tail) > 0 && o.from <= bound {
		o.settle()
	}
	run := o.run[o.head:]
	n := sort.Search(len(run), func(i int) bool { return run[i].ts > bound })
	o.head += n
	return run[:n]
}

// upTo returns the rows of all feeds with ts at or below bound, in order, and lets them
// go. The slice is valid until the next call.
func (k *kindState) upTo(bound int64) []uint32 {
	due := k.due[:0]
	for _, fk := range k.fks {
		if d := fk.ord.upTo(bound); len(d) > 0 {
			due = append(due, d)
		}
	}
	k.due = due
	rows := k.rows[:0]
	for i := len(due)/2 - 1; i >= 0; i-- {
		sift(due, i)
	}
	for len(due) > 1 {
		next := &due[1][0]
		if len(due) > 2 && due[2][0].less(next) {
			next = &due[2][0]
		}
		first, n := due[0], 0
		for n < len(first) && first[n].less(next) {
			rows = append(rows, first[n].row())
			n++
		}
		if n < len(first) {
			due[0] = first[n:]
		} else {
			due[0] = due[len(due)-1]
			due = due[:len(due)-1]
		}
		sift(due, 0)
	}
	for _, d := range due {
		for i := range d {
			rows = append(rows, d[i].row())
		}
	}
	k.rows = rows
	return rows
}

// sift brings list i of a heap of lists, the least first entry on top, to its place.
func sift(h [][]entry, i int) {
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && h[c+1][0].less(&h[c][0]) {
			c++
		}
		if !h[c][0].less(&h[i][0]) {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}

// compact moves the rows that are still held into the spare arena, feed by feed in order.
func (k *kindState) compact() {
	k.rows = k.rows[:0]
	for _, fk := range k.fks {
		fk.ord.settle()
		run := fk.ord.run[fk.ord.head:]
		for i := range run {
			k.rows = append(k.rows, run[i].row())
			run[i].setRow(uint32(len(k.rows) - 1))
		}
	}
	k.spare.Reset()
	gather(k.spare, k.arena, k.rows)
	k.arena, k.spare = k.spare, k.arena
	k.compactAt = 3*k.arena.N + compactFrom
}

// waiting reports whether rows are held that have their place in the order.
func (k *kindState) waiting() bool {
	for _, fk := range k.fks {
		if fk.ord.len() > 0 {
			return true
		}
	}
	return false
}
