package op

import (
	"cmp"
	"math/bits"
	"slices"
)

// Sets is an arena of multisets, the variable part of accumulators: a set maps a key of
// 128 bits to a count above 0. Blocks are open-addressed tables of a power of two
// entries in one slice of words, reused by size; a handle is a place in it and 0 the
// empty set. What a set holds, not how it came to be, decides its snapshot.
type Sets struct {
	words []uint64
	free  [33][]uint64 // by log2 of the capacity
	ents  []Entry      // scratch
}

// Entry is one key of a set with its count.
type Entry struct{ Lo, Hi, N uint64 }

// A block is a header (log2 of the capacity << 32 | entries) and the entries, three
// words each; a count of 0 marks a free one.
const (
	minClass  = 2
	entryLen  = 3
	headerLen = 1
)

func (s *Sets) alloc(class int) uint64 {
	if f := s.free[class]; len(f) > 0 {
		h := f[len(f)-1]
		s.free[class] = f[:len(f)-1]
		s.words[h-1] = uint64(class) << 32
		return h
	}
	n := len(s.words)
	s.words = slices.Grow(s.words, headerLen+entryLen<<class)[:n+headerLen+entryLen<<class]
	clear(s.words[n:])
	s.words[n] = uint64(class) << 32
	return uint64(n) + 1
}

// Free gives the memory of a set back.
func (s *Sets) Free(h uint64) {
	if h == 0 {
		return
	}
	class := s.words[h-1] >> 32
	clear(s.table(h))
	s.free[class] = append(s.free[class], h)
}

func (s *Sets) table(h uint64) []uint64 {
	class := s.words[h-1] >> 32
	return s.words[h : h+entryLen<<class]
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
	if h == 0 {
		h = s.alloc(minClass)
	}
	class := int(s.words[h-1] >> 32)
	if used := s.Len(h); (used+1)*4 > 3<<class {
		h = s.grow(h, class+1)
		class++
	}
	t, mask := s.table(h), uint64(1)<<class-1
	for i := slot(lo, hi, mask); ; i = (i + 1) & mask {
		e := t[i*entryLen : i*entryLen+entryLen]
		if e[2] == 0 {
			e[0], e[1], e[2] = lo, hi, n
			s.words[h-1]++
			return h
		}
		if e[0] == lo && e[1] == hi {
			e[2] += n
			return h
		}
	}
}

func (s *Sets) grow(h uint64, class int) uint64 {
	g := s.alloc(class)
	old := s.table(h)
	for i := 0; i < len(old); i += entryLen {
		if old[i+2] != 0 {
			g = s.Add(g, old[i], old[i+1], old[i+2])
		}
	}
	s.Free(h)
	return g
}

// remove takes n from the count of a key, which must hold that many.
func (s *Sets) remove(h, lo, hi, n uint64) {
	class := s.words[h-1] >> 32
	t, mask := s.table(h), uint64(1)<<class-1
	i := slot(lo, hi, mask)
	for t[i*entryLen] != lo || t[i*entryLen+1] != hi || t[i*entryLen+2] == 0 {
		i = (i + 1) & mask
	}
	if t[i*entryLen+2] -= n; t[i*entryLen+2] > 0 {
		return
	}
	// Close the gap: move back each follower whose place is not between gap and itself.
	for j := (i + 1) & mask; t[j*entryLen+2] != 0; j = (j + 1) & mask {
		home := slot(t[j*entryLen], t[j*entryLen+1], mask)
		if (j-home)&mask >= (j-i)&mask {
			copy(t[i*entryLen:i*entryLen+entryLen], t[j*entryLen:j*entryLen+entryLen])
			i = j
		}
	}
	clear(t[i*entryLen : i*entryLen+entryLen])
	s.words[h-1]--
}

// Merge adds the entries of src to dst and returns the handle of dst.
func (s *Sets) Merge(dst, src uint64) uint64 {
	if src == 0 {
		return dst
	}
	for i := range len(s.table(src)) / entryLen {
		// The table is looked up anew: Add may move the arena.
		if e := s.table(src)[i*entryLen:]; e[2] != 0 {
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
	t := s.table(src)
	for i := 0; i < len(t); i += entryLen {
		if t[i+2] != 0 {
			s.remove(dst, t[i], t[i+1], t[i+2])
		}
	}
	if s.Len(dst) == 0 {
		s.Free(dst)
		return 0
	}
	return dst
}

// Sorted returns the entries ordered by (Hi, Lo) as signed numbers; the slice is good
// until the next call.
func (s *Sets) Sorted(h uint64) []Entry {
	s.ents = s.ents[:0]
	if h == 0 {
		return s.ents
	}
	t := s.table(h)
	for i := 0; i < len(t); i += entryLen {
		if t[i+2] != 0 {
			s.ents = append(s.ents, Entry{t[i], t[i+1], t[i+2]})
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
