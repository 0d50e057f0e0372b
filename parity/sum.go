package parity

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// Hash is that of a row: see HashOf.
type Hash [16]byte

// HashOf is the hash of all that a consumer sees of a row: the 128-bit XXH3 of its canonical
// message (AppendTime and the others), which has times, available_at, flags, entity and
// features, and neither revision nor publication nor build.
func HashOf(message []byte) Hash { return xxh3.Hash128(message).Bytes() }

// Sum is a number of rows and the sum of their hashes modulo 2^128. As a difference it may
// have fewer than no rows. The zero Sum is that of no rows.
type Sum struct {
	Rows   int64
	Hi, Lo uint64
}

func (h *Hash) words() (hi, lo uint64) {
	return binary.BigEndian.Uint64(h[:8]), binary.BigEndian.Uint64(h[8:])
}

// Add adds a row.
func (s *Sum) Add(h Hash) {
	hi, lo := h.words()
	*s = s.Plus(Sum{1, hi, lo})
}

// Remove takes a row away.
func (s *Sum) Remove(h Hash) {
	hi, lo := h.words()
	*s = s.Minus(Sum{1, hi, lo})
}

// Plus is the sum of both.
func (s Sum) Plus(o Sum) Sum {
	lo, carry := bits.Add64(s.Lo, o.Lo, 0)
	hi, _ := bits.Add64(s.Hi, o.Hi, carry)
	return Sum{s.Rows + o.Rows, hi, lo}
}

// Minus is what is left without o.
func (s Sum) Minus(o Sum) Sum {
	lo, borrow := bits.Sub64(s.Lo, o.Lo, 0)
	hi, _ := bits.Sub64(s.Hi, o.Hi, borrow)
	return Sum{s.Rows - o.Rows, hi, lo}
}

// Checksum is the sum of hashes, 32 hexadecimal digits.
func (s Sum) Checksum() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], s.Hi)
	binary.BigEndian.PutUint64(b[8:], s.Lo)
	return hex.EncodeToString(b[:])
}

// ParseSum is the sum of a number of rows with a checksum.
func ParseSum(rows int64, checksum string) (Sum, error) {
	b, err := hex.DecodeString(checksum)
	if err != nil || len(b) != 16 {
		return Sum{}, fmt.Errorf("%.64q is no checksum: want 32 hexadecimal digits", checksum)
	}
	hi, lo := (*Hash)(b).words()
	return Sum{rows, hi, lo}, nil
}
