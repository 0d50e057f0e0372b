package features

// ring is a queue of rows in the total order, each a run of words that begins with its
// event time and its number among the rows of the entity. Entries keep their place number
// while they move in memory.
type ring struct {
	stride  int
	words   []uint64
	mask    uint64 // room for entries less one, a power of two
	base, n uint64 // place of the oldest, number of entries
}

const (
	ringTS = iota
	ringRow
	ringHead
)

func (r *ring) end() uint64 { return r.base + r.n }

// at is the entry in a place from base to end.
func (r *ring) at(place uint64) []uint64 {
	k := int(place&r.mask) * r.stride
	return r.words[k : k+r.stride : k+r.stride]
}

// push appends an entry with zero words after its head.
func (r *ring) push(ts int64, row uint64) []uint64 {
	if int(r.n)*r.stride == len(r.words) {
		r.resize(max(4, 2*r.n))
	}
	e := r.at(r.end())
	r.n++
	clear(e)
	e[ringTS], e[ringRow] = uint64(ts), row
	return e
}

func (r *ring) resize(size uint64) {
	old := *r
	r.words, r.mask = make([]uint64, int(size)*r.stride), size-1
	for p := old.base; p < old.end(); p++ {
		copy(r.at(p), old.at(p))
	}
}

// drop forgets the entries before a place, and memory that is not needed.
func (r *ring) drop(before uint64) {
	if before > r.base {
		k := min(before-r.base, r.n)
		r.base, r.n = r.base+k, r.n-k
	}
	if r.mask >= 64 && r.n*8 < r.mask {
		r.resize((r.mask + 1) / 4)
	}
}

// best is the places of a ring that are the best from somewhere to the end: a queue whose entries
// each beat all that come after them.
type best struct {
	places []uint64
	head   int
	next   uint64 // place that has not been looked at yet
}

// take looks at the place next; worse tells whether an earlier entry is beaten by it.
func (b *best) take(worse func(place uint64) bool) {
	for len(b.places) > b.head && worse(b.places[len(b.places)-1]) {
		b.places = b.places[:len(b.places)-1]
	}
	b.places = append(b.places, b.next)
	b.next++
}

// takeMost lets a queue look at its next place of the ring for the greatest of a word. Of equal
// ones it keeps the newest, so that a word that never falls makes a queue of one.
func (r *ring) takeMost(b *best, word int) {
	x := r.at(b.next)[word]
	n := len(b.places)
	for n > b.head && r.at(b.places[n-1])[word] <= x {
		n--
	}
	b.places = append(b.places[:n], b.next)
	b.next++
}

// from is the best place of those from lo on; false when there is none.
func (b *best) from(lo uint64) (uint64, bool) {
	i, n := b.head, len(b.places)
	for i < n { // the first that is not before lo
		if h := int(uint(i+n) >> 1); b.places[h] < lo {
			i = h + 1
		} else {
			n = h
		}
	}
	if i == len(b.places) {
		return 0, false
	}
	return b.places[i], true
}

// drop forgets places before a place.
func (b *best) drop(before uint64) {
	for b.head < len(b.places) && b.places[b.head] < before {
		b.head++
	}
	if b.head*2 > len(b.places) {
		b.places = append(b.places[:0], b.places[b.head:]...)
		b.head = 0
	}
	b.next = max(b.next, before)
}
