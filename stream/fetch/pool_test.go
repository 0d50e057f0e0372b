package fetch

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What comes from a pool has room for what was asked for, is used again, and is in one hand only.
func TestPool_GivesRoomOnce(t *testing.T) {
	var p pool
	get := p.get
	for n := range 3000 {
		a, b := get(n), get(n)
		if cap(a) < n || cap(b) < n || len(a) != 0 {
			t.Fatalf("asked for %d, given %d of %d", n, len(a), cap(a))
		}
		a, b = append(a, 1), append(b, 2)
		if a[0] != 1 || b[0] != 2 {
			t.Fatalf("asked for %d twice, given the same", n)
		}
		p.PutDecompressBytes(a)
		if c := get(n); &c[:1][0] != &a[0] {
			t.Fatalf("asked for %d, given new memory with some at hand", n)
		}
		p.PutDecompressBytes(a)
		p.PutDecompressBytes(b)
	}
	for _, odd := range []int{1, 63, 64, 65, 100, 127, 128} {
		p.PutDecompressBytes(make([]byte, 0, odd)) // as a decompressor may have grown it
		if got := cap(get(odd)); got < odd {
			t.Errorf("put %d, asked for it, given %d", odd, got)
		}
	}
	for range 2 * maxSpaces {
		p.PutDecompressBytes(make([]byte, 0, 4096))
	}
	for class, kept := range p.spaces {
		if len(kept) > maxSpaces {
			t.Errorf("class %d keeps %d", class, len(kept))
		}
	}
	if got := cap(p.GetDecompressBytes(make([]byte, 1000), kgo.CodecSnappy)); got < 4000 {
		t.Errorf("%d for 1000 compressed bytes", got)
	}
}
