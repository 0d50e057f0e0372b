package stream

import "testing"

// What comes from a shelf has room for what was asked for, is used again, and is in one hand only.
func TestPool_GivesRoomOnce(t *testing.T) {
	var s shelf[int64]
	for n := range 3000 {
		a, b := s.get(n), s.get(n)
		if cap(a) < n || cap(b) < n || len(a) != 0 {
			t.Fatalf("asked for %d, given %d of %d", n, len(a), cap(a))
		}
		a, b = append(a, 1), append(b, 2)
		if a[0] != 1 || b[0] != 2 {
			t.Fatalf("asked for %d twice, given the same", n)
		}
		s.put(a)
		if c := s.get(n); &c[:1][0] != &a[0] {
			t.Fatalf("asked for %d, given new memory with some at hand", n)
		}
		s.put(a)
		s.put(b)
	}
	for _, odd := range []int{1, 63, 64, 65, 100, 127, 128} {
		s.put(make([]int64, 0, odd)) // as a decompressor may have grown it
		if got := cap(s.get(odd)); got < odd {
			t.Errorf("put %d, asked for it, given %d", odd, got)
		}
	}
	for range 2 * maxShelf {
		s.put(make([]int64, 0, 4096))
	}
	for class, kept := range s.spaces {
		if len(kept) > maxShelf {
			t.Errorf("class %d keeps %d", class, len(kept))
		}
	}
}
