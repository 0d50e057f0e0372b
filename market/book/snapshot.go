package book

import (
	"encoding/binary"
	"math"

	"github.com/pinova-group/tidemark/market/num"
)

// snapshotVersion is the first byte of a snapshot.
const snapshotVersion = 1

// AppendSnapshot appends the book's state; equal books give equal bytes. Layout:
// version, price scale, quantity scale, then for bids and asks the number of levels
// and, best first, the step of the price and the quantity; numbers are uvarints.
func (b *Book) AppendSnapshot(dst []byte) []byte {
	ps, qs := b.ps, b.qs
	if b.Len(Bid) == 0 && b.Len(Ask) == 0 {
		ps, qs = 0, 0
	}
	dst = append(dst, snapshotVersion, byte(ps), byte(qs))
	var p, q [64]int64
	for i := range b.sides {
		dst = binary.AppendUvarint(dst, uint64(b.Len(Side(i))))
		last := int64(0)
		from := b.From(Side(i))
		for n := from.Next(p[:], q[:]); n > 0; n = from.Next(p[:], q[:]) {
			for k, v := range p[:n] {
				dst = binary.AppendUvarint(dst, uint64(max(v-last, last-v)))
				dst = binary.AppendUvarint(dst, uint64(q[k]))
				last = v
			}
		}
	}
	return dst
}

// Restore reads what AppendSnapshot wrote and returns the bytes after it. On
// ErrCorrupt the book is empty.
func (b *Book) Restore(src []byte) (rest []byte, err error) {
	b.Reset()
	if len(src) < 3 || src[0] != snapshotVersion || src[1] > num.MaxScale || src[2] > num.MaxScale {
		return nil, ErrCorrupt
	}
	ps, qs := int8(src[1]), int8(src[2])
	src = src[3:]
	for i := range b.sides {
		var ok bool
		if src, ok = b.sides[i].far.restore(src, Side(i).sign()); !ok {
			b.Reset()
			return nil, ErrCorrupt
		}
	}
	if b.Len(Bid) == 0 && b.Len(Ask) == 0 && (ps != 0 || qs != 0) {
		return nil, ErrCorrupt
	}
	b.ps, b.qs = ps, qs
	return src, nil
}

func (l *sorted) restore(src []byte, sign int64) ([]byte, bool) {
	n, src, ok := uvarint(src)
	if !ok || n > MaxLevels || n > int64(len(src)/2) {
		return nil, false
	}
	l.p, l.q = grown(l.p, int(n)), grown(l.q, int(n))
	last := int64(0)
	for k := len(l.p) - 1; k >= 0; k-- {
		var step, q int64
		if step, src, ok = uvarint(src); !ok || step == 0 {
			return nil, false
		}
		if q, src, ok = uvarint(src); !ok || q == 0 {
			return nil, false
		}
		switch {
		case k == len(l.p)-1:
			last = step
		case sign > 0:
			last -= step
		case step > math.MaxInt64-last:
			return nil, false
		default:
			last += step
		}
		if last <= 0 {
			return nil, false
		}
		l.p[k], l.q[k] = last, q
	}
	return src, true
}

func grown(s []int64, n int) []int64 {
	if cap(s) < n {
		return make([]int64, n)
	}
	return s[:n]
}

// uvarint reads a shortest-form varint that fits 63 bits.
func uvarint(src []byte) (int64, []byte, bool) {
	v, n := binary.Uvarint(src)
	if n <= 0 || v > math.MaxInt64 || n > 1 && src[n-1] == 0 {
		return 0, nil, false
	}
	return int64(v), src[n:], true
}
