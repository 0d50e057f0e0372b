package fetch

import (
	"math/bits"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// pool has the memory that batches were decompressed into, by the power of two that their capacity
// reaches, so that the next ones need none.
type pool struct {
	mu     sync.Mutex
	spaces [48][][]byte
}

// maxSpaces bounds how many of about one capacity are kept.
const maxSpaces = 64

func (p *pool) GetDecompressBytes(compressed []byte, _ kgo.CompressionCodecType) []byte {
	return p.get(4 * len(compressed)) // events take a third to a quarter
}

// PutDecompressBytes takes memory back.
func (p *pool) PutDecompressBytes(b []byte) {
	if cap(b) < minSpace {
		return
	}
	class := bits.Len(uint(cap(b))) - 1 // has at least 1 << class
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.spaces[class]) < maxSpaces {
		p.spaces[class] = append(p.spaces[class], b[:0])
	}
}

const minSpace = 64

func (p *pool) get(n int) []byte {
	class := bits.Len(uint(max(n, minSpace) - 1))
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := class; c <= class+1 && c < len(p.spaces); c++ {
		if at := len(p.spaces[c]) - 1; at >= 0 {
			b := p.spaces[c][at]
			p.spaces[c] = p.spaces[c][:at]
			return b[:0]
		}
	}
	return make([]byte, 0, 1<<class)
}
