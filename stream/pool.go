package stream

import (
	"math/bits"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// pool has the memory of batches that were read, so that the next ones need none: what records
// are decompressed into, and the records. Memory comes back with the last record of a batch
// that is recycled; what never is goes to the collector of garbage.
type pool struct {
	bytes   shelf[byte]
	records shelf[kgo.Record]
}

func (p *pool) GetDecompressBytes(compressed []byte, _ kgo.CompressionCodecType) []byte {
	return p.bytes.get(4 * len(compressed)) // events take a third to a quarter
}
func (p *pool) PutDecompressBytes(b []byte) { p.bytes.put(b) }

func (p *pool) GetRecords(n int) []kgo.Record { return p.records.get(n) }
func (p *pool) PutRecords(rs []kgo.Record)    { p.records.put(rs) }

// shelf keeps slices by the power of two that their capacity reaches.
type shelf[T any] struct {
	mu     sync.Mutex
	spaces [48][][]T
}

// maxShelf bounds how many slices of about one capacity are kept.
const maxShelf = 64

func (s *shelf[T]) get(n int) []T {
	class := bits.Len(uint(max(n, 64) - 1))
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := class; c <= class+1 && c < len(s.spaces); c++ {
		if at := len(s.spaces[c]) - 1; at >= 0 {
			x := s.spaces[c][at]
			s.spaces[c] = s.spaces[c][:at]
			return x[:0]
		}
	}
	return make([]T, 0, 1<<class)
}

func (s *shelf[T]) put(x []T) {
	if cap(x) < 64 {
		return
	}
	class := bits.Len(uint(cap(x))) - 1 // has at least 1 << class
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.spaces[class]) < maxShelf {
		s.spaces[class] = append(s.spaces[class], x[:0])
	}
}
