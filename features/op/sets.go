package op

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/pinova-group/tidemark/market/num"
)

// Sets is an arena of multisets, the variable part of accumulators: a set maps a key of
// 128 bits to a count above 0. Blocks are open-addressed tables of a power of two
// entries in one slice of words, reused by size; a handle is a place in it and 0 the
// empty set. What a set holds, not how it came to be, decides its snapshot.
type Sets struct {
	words []uint64
	free  [33][]uint64 // by log2 of the capacity
	ents  []Entry      // of Sorted
	line  []uint64     // of Line
	first int64        // number that line begins with
	kept  uint64       // set that line is of, 0 when it may have changed
	sums  bool         // an entry has a sum beside its count
}

// Entry is one key of a set with its count and, where sets have sums, its sum.
type Entry struct {
	Lo, Hi, N uint64
	Sum       num.Int192
}

// A block is a header (log2 of the capacity << 32 | entries) and the entries: two words
// of key, the count, three words of sum where sets have sums. A count of 0 marks a free
// one.
const (
	minClass  = 2
	headerLen = 1
)

// entryLen is the words of an entry.
func (s *Sets) entryLen() int {
	if s.sums {
		return 6
	}
	return 3
}

func (s *Sets) alloc(class int) uint64 {
	if f := s.free[class]; len(f) > 0 {
		h := f[len(f)-1]
		s.free[class] = f[:len(f)-1]
		s.words[h-1] = uint64(class) << 32
		return h
	}
	n, size := len(s.words), headerLen+s.entryLen()<<class
	s.words = slices.Grow(s.words, size)[:n+size]
	clear(s.words[n:])
	s.words[n] = uint64(class) << 32
	return uint64(n) + 1
}

// Free gives the memory of a set back.
func (s *Sets) Free(h uint64) {
	if h == 0 {
		return
	}
	s.kept = 0
	class := s.words[h-1] >> 32
	clear(s.table(h))
	s.free[class] = append(s.free[class], h)
}

func (s *Sets) table(h uint64) []uint64 {
	class := s.words[h-1] >> 32
	return s.words[h : h+uint64(s.entryLen())<<class]
}

// Len is the number of different keys.
func (s *Sets) Len(h uint64) int {
	if h == 0 {
		return 0
	}
	return int(uint32(s.words[h-1]))
}

func slot(lo, hi uint64, mask uint64) uint64 {
	h, l := bits.Mul64(lo^0x9e3779b97f4a7c15, hi^0xd6e8feb86659fd93|1)
	return (h ^ l ^ lo*0x9e3779b97f4a7c15>>32) & mask
}

// Add adds n to the count of a key and returns the set's handle, which may have changed.
func (s *Sets) Add(h, lo, hi, n uint64) uint64 {
	h, e := s.place(h, lo, hi)
	e[2] += n
	return h
}

// AddSum adds n to the count of a key and w to its sum.
func (s *Sets) AddSum(h, lo, hi, n uint64, w *num.Int192) uint64 {
	h, e := s.place(h, lo, hi)
	e[2] += n
	(*num.Int192)(e[3:6]).Add(w)
	return h
}

// place finds the entry of a key or makes one, whose count the caller must raise.
func (s *Sets) place(h, lo, hi uint64) (uint64, []uint64) {
	s.kept = 0
	if h == 0 {
		h = s.alloc(minClass)
	}
	class := int(s.words[h-1] >> 32)
	if used := s.Len(h); (used+1)*4 > 3<<class {
		h = s.grow(h, class+1)
		class++
	}
	t, mask, size := s.table(h), uint64(1)<<class-1, uint64(s.entryLen())
	for i := slot(lo, hi, mask); ; i = (i + 1) & mask {
		e := t[i*size : i*size+size]
		if e[2] == 0 {
			e[0], e[1] = lo, hi
			s.words[h-1]++
			return h, e
		}
		if e[0] == lo && e[1] == hi {
			return h, e
		}
	}
}

func (s *Sets) grow(h uint64, class int) uint64 {
	g := s.alloc(class)
	old, size := s.table(h), s.entryLen()
	for i := 0; i < len(old); i += size {
		if old[i+2] != 0 {
			_, e := s.place(g, old[i], old[i+1])
			copy(e[2:], old[i+2:i+size])
		}
	}
	s.Free(h)
	return g
}

// Remove takes n from the count of a key, which must hold that many, and w from its sum.
// It returns the set's handle, 0 when nothing is left.
func (s *Sets) Remove(h, lo, hi, n uint64, w *num.Int192) uint64 {
	s.remove(h, lo, hi, n, w)
	return s.orNone(h)
}

func (s *Sets) remove(h, lo, hi, n uint64, w *num.Int192) {
	s.kept = 0
	class := s.words[h-1] >> 32
	t, mask, size := s.table(h), uint64(1)<<class-1, uint64(s.entryLen())
	at := func(i uint64) []uint64 { return t[i*size : i*size+size] }
	i := slot(lo, hi, mask)
	for e := at(i); e[0] != lo || e[1] != hi || e[2] == 0; e = at(i) {
		i = (i + 1) & mask
	}
	e := at(i)
	if s.sums {
		(*num.Int192)(e[3:6]).Sub(w)
	}
	if e[2] -= n; e[2] > 0 {
		return
	}
	// Close the gap: move back each follower whose place is not between gap and itself.
	for j := (i + 1) & mask; at(j)[2] != 0; j = (j + 1) & mask {
		home := slot(at(j)[0], at(j)[1], mask)
		if (j-home)&mask >= (j-i)&mask {
			copy(at(i), at(j))
			i = j
		}
	}
	clear(at(i))
	s.words[h-1]--
}

// orNone frees a set that has become empty.
func (s *Sets) orNone(h uint64) uint64 {
	if s.Len(h) == 0 {
		s.Free(h)
		return 0
	}
	return h
}

// Merge adds the entries of src to dst and returns the handle of dst.
func (s *Sets) Merge(dst, src uint64) uint64 {
	if src == 0 {
		return dst
	}
	size := s.entryLen()
	for i := 0; i < len(s.table(src)); i += size {
		// The table is looked up anew: place may move the arena.
		e := s.table(src)[i : i+size]
		switch {
		case e[2] == 0:
		case s.sums:
			w := num.Int192(e[3:6])
			dst = s.AddSum(dst, e[0], e[1], e[2], &w)
		default:
			dst = s.Add(dst, e[0], e[1], e[2])
		}
	}
	return dst
}

// Sub takes the entries of src, all of which dst must hold, out of dst.
func (s *Sets) Sub(dst, src uint64) uint64 {
	if src == 0 {
		return dst
	}
	t, size := s.table(src), s.entryLen()
	var w num.Int192
	for i := 0; i < len(t); i += size {
		if e := t[i : i+size]; e[2] != 0 {
			if s.sums {
				w = num.Int192(e[3:6])
			}
			s.remove(dst, e[0], e[1], e[2], &w)
		}
	}
	return s.orNone(dst)
}

// Sorted returns the entries ordered by (Hi, Lo) as signed numbers; the slice is good
// until the next call.
func (s *Sets) Sorted(h uint64) []Entry {
	s.ents = s.ents[:0]
	if h == 0 {
		return s.ents
	}
	t, size := s.table(h), s.entryLen()
	for i := 0; i < len(t); i += size {
		if e := t[i : i+size]; e[2] != 0 {
			ent := Entry{Lo: e[0], Hi: e[1], N: e[2]}
			if s.sums {
				ent.Sum = num.Int192(e[3:6])
			}
			s.ents = append(s.ents, ent)
		}
	}
	slices.SortFunc(s.ents, func(a, b Entry) int {
		if c := cmp.Compare(int64(a.Hi), int64(b.Hi)); c != 0 {
			return c
		}
		return cmp.Compare(int64(a.Lo), int64(b.Lo))
	})
	return s.ents
}

// Line returns how often each number occurs in a set of numbers of 64 bits, not empty, from
// the least one on, as running totals: counts[i] inputs are at most first + i. It is good
// until the next call; asked again for a set, as by several quantiles of one row, it counts
// once. False for numbers too far apart.
func (s *Sets) Line(h uint64) (first int64, counts []uint64, ok bool) {
	if h == s.kept {
		return s.first, s.line, true
	}
	t, size := s.table(h), s.entryLen()
	least, most := int64(math.MaxInt64), int64(math.MinInt64)
	for i := 0; i < len(t); i += size {
		if t[i+2] != 0 {
			x := int64(t[i])
			least, most = min(least, x), max(most, x)
		}
	}
	span := uint64(most) - uint64(least)
	if span > uint64(len(t))*lineWords {
		return 0, nil, false
	}
	s.line = slices.Grow(s.line[:0], int(span)+1)[:span+1]
	clear(s.line)
	for i := 0; i < len(t); i += size {
		if t[i+2] != 0 {
			s.line[int64(t[i])-least] += t[i+2]
		}
	}
	n := uint64(0)
	for i, k := range s.line {
		n += k
		s.line[i] = n
	}
	s.first, s.kept = least, h
	return least, s.line, true
}

// lineWords is how long a line may be for a word of the set: longer ones are sorted.
const lineWords = 4
