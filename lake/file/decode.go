package file

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// Encodings of values, by their number in the format.
const (
	plain         = 0
	plainDict     = 2
	rle           = 3
	deltaBinary   = 5
	deltaLength   = 6
	deltaPrefix   = 7
	rleDict       = 8
	streamSplit   = 9
	maxPageBytes  = 64 << 20 // of a page, packed or not
	maxPageValues = 1 << 24
)

var errShort = errors.New("the page ends too early")

// load64 reads up to 8 bytes at b, little endian.
func load64(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.LittleEndian.Uint64(b)
	}
	var v uint64
	for i, x := range b {
		v |= uint64(x) << (8 * i)
	}
	return v
}

// hybrid decodes len(dst) numbers of width bits in runs and bit-packed groups.
func hybrid[T uint8 | int32](dst []T, b []byte, width int) error {
	if width < 0 || width > 32 {
		return fmt.Errorf("numbers of %d bits", width)
	}
	bytes := (width + 7) / 8
	for len(dst) > 0 {
		head, k := binary.Uvarint(b)
		if k <= 0 {
			return errShort
		}
		b = b[k:]
		if head&1 == 0 {
			n := head >> 1
			if len(b) < bytes || n == 0 {
				return errShort
			}
			v := T(load64(b[:bytes]))
			m := min(n, uint64(len(dst)))
			for i := range dst[:m] {
				dst[i] = v
			}
			dst, b = dst[m:], b[bytes:]
			continue
		}
		groups := head >> 1
		m := len(dst)
		if groups < uint64(m+7)/8 {
			m = int(groups) * 8
		}
		if need := (m*width + 7) / 8; len(b) < need || m == 0 {
			return errShort
		}
		unpack(dst[:m], b, width)
		dst = dst[m:]
		if skip := groups * uint64(width); skip < uint64(len(b)) {
			b = b[skip:]
		} else {
			b = nil
		}
	}
	return nil
}

// hybridRuns gives n numbers of width bits as runs, in dst; false where they are not few, or damaged.
func hybridRuns(dst []pageRun, b []byte, width, n int) ([]pageRun, bool) {
	if width < 0 || width > 32 {
		return dst, false
	}
	bytes, at := (width+7)/8, 0
	add := func(v int64, k int) bool {
		at += k
		if last := len(dst) - 1; last >= 0 && dst[last].v == v {
			dst[last].end = at
			return true
		}
		dst = append(dst, pageRun{at, v})
		return len(dst) <= maxRuns
	}
	for at < n {
		head, k := binary.Uvarint(b)
		if k <= 0 {
			return dst, false
		}
		b = b[k:]
		if head&1 == 0 {
			if len(b) < bytes || head == 0 || !add(int64(int32(load64(b[:bytes]))), int(min(head>>1, uint64(n-at)))) {
				return dst, false
			}
			b = b[bytes:]
			continue
		}
		// Between two runs there are a few numbers that are packed.
		var few [64]int32
		groups := head >> 1
		m := int(min(groups*8, uint64(n-at)))
		if groups > uint64(len(few)/8) || m == 0 || len(b) < (m*width+7)/8 {
			return dst, false
		}
		unpack(few[:m], b, width)
		for _, v := range few[:m] {
			if !add(int64(v), 1) {
				return dst, false
			}
		}
		b = b[min(uint64(len(b)), groups*uint64(width)):]
	}
	return dst, true
}

// unpack reads numbers of up to 32 bits, which b has.
func unpack[T uint8 | int32](dst []T, b []byte, width int) {
	mask := uint64(1)<<width - 1
	pos := 0
	i := 0
	for ; i < len(dst) && pos>>3+8 <= len(b); i++ {
		dst[i] = T(binary.LittleEndian.Uint64(b[pos>>3:]) >> (pos & 7) & mask)
		pos += width
	}
	for ; i < len(dst); i++ {
		dst[i] = T(load64(b[min(pos>>3, len(b)):]) >> (pos & 7) & mask)
		pos += width
	}
}

// delta decodes DELTA_BINARY_PACKED values and returns what follows them. There must be
// as many as dst has.
func delta[T int32 | int64](dst []T, b []byte) ([]byte, error) {
	var head [3]uint64
	for i := range head {
		v, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, errShort
		}
		head[i], b = v, b[k:]
	}
	block, minis, total := head[0], head[1], head[2]
	if block == 0 || block > 1<<20 || minis == 0 || minis > block || block%minis != 0 || block/minis%8 != 0 {
		return nil, fmt.Errorf("blocks of %d values in %d parts", block, minis)
	}
	if total != uint64(len(dst)) {
		return nil, fmt.Errorf("%d values, not %d", total, len(dst))
	}
	first, k := varint(b)
	if k <= 0 {
		return nil, errShort
	}
	b = b[k:]
	if len(dst) == 0 {
		return b, nil
	}
	per := int(block / minis)
	last := uint64(first)
	dst[0] = T(first)
	dst = dst[1:]
	for len(dst) > 0 {
		least, k := varint(b)
		if k <= 0 || len(b)-k < int(minis) {
			return nil, errShort
		}
		widths := b[k : k+int(minis)]
		b = b[k+int(minis):]
		for _, w := range widths {
			if len(dst) == 0 {
				break
			}
			n := min(per, len(dst))
			width := int(w)
			if width > 64 || len(b) < (n*width+7)/8 {
				return nil, errShort
			}
			last = deltaPart(dst[:n], b, width, last, uint64(least))
			dst = dst[n:]
			b = b[min(per*width/8, len(b)):]
		}
	}
	return b, nil
}

// constantDelta reports whether n DELTA_BINARY_PACKED values are one and the same.
func constantDelta(b []byte, n int) (int64, bool) {
	block, k := binary.Uvarint(b)
	minis, k2 := binary.Uvarint(b[max(0, k):])
	at := k + k2
	total, k3 := binary.Uvarint(b[max(0, at):])
	at += k3
	first, k4 := varint(b[max(0, at):])
	at += k4
	if k <= 0 || k2 <= 0 || k3 <= 0 || k4 <= 0 || block == 0 || block > 1<<20 ||
		minis == 0 || minis > block || block%minis != 0 || block/minis%8 != 0 || total != uint64(n) || n == 0 {
		return 0, false
	}
	for left := n - 1; left > 0; left -= int(block) {
		end := at + 1 + int(minis)
		if end > len(b) || b[at] != 0 { // the least difference is 0
			return 0, false
		}
		for i, w := range b[at+1 : end] {
			if w != 0 && i*int(block/minis) < left {
				return 0, false
			}
		}
		at = end
	}
	return first, true
}

// constantBools reports whether n bits are one and the same.
func constantBools(b []byte, n int) (int64, bool) {
	if n == 0 || len(b) < (n+7)/8 {
		return 0, false
	}
	v := b[0] & 1
	whole := -v
	for ; n >= 64; n -= 64 {
		if binary.LittleEndian.Uint64(b) != -uint64(v) {
			return 0, false
		}
		b = b[8:]
	}
	for ; n >= 8; n -= 8 {
		if b[0] != whole {
			return 0, false
		}
		b = b[1:]
	}
	return int64(v), n == 0 || (b[0]^whole)&(1<<n-1) == 0
}

// deltaPart decodes one part of a block: numbers of width bits, which b has.
func deltaPart[T int32 | int64](dst []T, b []byte, width int, last, least uint64) uint64 {
	if width == 0 {
		for i := range dst {
			last += least
			dst[i] = T(last)
		}
		return last
	}
	pos, i := 0, 0
	if width <= 57 {
		mask, s := uint64(1)<<width-1, uint(width)
		for ; width <= 14 && i+4 <= len(dst) && pos>>3+8 <= len(b); i += 4 { // four of one word
			w, d := binary.LittleEndian.Uint64(b[pos>>3:])>>(pos&7), dst[i:i+4]
			v0 := last + least + w&mask
			v1 := v0 + least + w>>(s&63)&mask
			v2 := v1 + least + w>>(2*s&63)&mask
			last = v2 + least + w>>(3*s&63)&mask
			d[0], d[1], d[2], d[3] = T(v0), T(v1), T(v2), T(last)
			pos += 4 * width
		}
		for ; width <= 28 && i+2 <= len(dst) && pos>>3+8 <= len(b); i += 2 {
			w, d := binary.LittleEndian.Uint64(b[pos>>3:])>>(pos&7), dst[i:i+2]
			v0 := last + least + w&mask
			last = v0 + least + w>>(s&63)&mask
			d[0], d[1] = T(v0), T(last)
			pos += 2 * width
		}
		for ; i < len(dst) && pos>>3+8 <= len(b); i++ {
			last += least + binary.LittleEndian.Uint64(b[pos>>3:])>>(pos&7)&mask
			dst[i] = T(last)
			pos += width
		}
	}
	for ; i < len(dst); i++ {
		at := pos >> 3
		v := load64(b[min(at, len(b)):]) >> (pos & 7)
		if pos&7 != 0 && at+8 < len(b) {
			v |= uint64(b[at+8]) << (64 - pos&7)
		}
		if width < 64 {
			v &= uint64(1)<<width - 1
		}
		last += least + v
		dst[i] = T(last)
		pos += width
	}
	return last
}

func varint(b []byte) (int64, int) { return binary.Varint(b) }

func plainI64(dst []int64, b []byte) error {
	if len(b) < 8*len(dst) {
		return errShort
	}
	for i := range dst {
		dst[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return nil
}

func plainI32(dst []int32, b []byte) error {
	if len(b) < 4*len(dst) {
		return errShort
	}
	for i := range dst {
		dst[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return nil
}

func plainF64(dst []float64, b []byte) error {
	if len(b) < 8*len(dst) {
		return errShort
	}
	for i := range dst {
		dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return nil
}

func plainF32(dst []float64, b []byte) error {
	if len(b) < 4*len(dst) {
		return errShort
	}
	for i := range dst {
		dst[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
	}
	return nil
}

func plainBools(dst []int32, b []byte) error {
	if len(b) < (len(dst)+7)/8 {
		return errShort
	}
	for i := range dst {
		dst[i] = int32(b[i>>3] >> (i & 7) & 1)
	}
	return nil
}

// unsplit undoes BYTE_STREAM_SPLIT of n values of width bytes into out.
func unsplit(out, b []byte, n, width int) error {
	if len(b) < n*width {
		return errShort
	}
	for k := range width {
		stream := b[k*n : (k+1)*n]
		for i, x := range stream {
			out[i*width+k] = x
		}
	}
	return nil
}

// texts is values of varying length, one after the other.
type texts struct {
	bytes []byte
	off   []int32
}

func (t *texts) start() { t.bytes, t.off = t.bytes[:0], append(t.off[:0], 0) }

func (t *texts) add(b []byte) error {
	if len(t.bytes)+len(b) > maxPageBytes {
		return fmt.Errorf("more than %d bytes of text in one page", maxPageBytes)
	}
	t.bytes = append(t.bytes, b...)
	t.off = append(t.off, int32(len(t.bytes)))
	return nil
}

func (t *texts) plain(n int, b []byte) error {
	t.start()
	for range n {
		if len(b) < 4 {
			return errShort
		}
		k := binary.LittleEndian.Uint32(b)
		if uint64(k) > uint64(len(b)-4) {
			return errShort
		}
		if err := t.add(b[4 : 4+k]); err != nil {
			return err
		}
		b = b[4+k:]
	}
	return nil
}

func (t *texts) fixed(n, width int, b []byte) error {
	if width <= 0 || len(b) < n*width {
		return errShort
	}
	t.start()
	for i := range n {
		if err := t.add(b[i*width : (i+1)*width]); err != nil {
			return err
		}
	}
	return nil
}

func (t *texts) lengths(n int, b []byte, scratch *[]int32) error {
	t.start()
	*scratch = grown(*scratch, n)
	b, err := delta(*scratch, b)
	if err != nil {
		return err
	}
	end := int32(0)
	for _, k := range *scratch {
		if k < 0 || int(k) > len(b)-int(end) {
			return errShort
		}
		end += k
		t.off = append(t.off, end)
	}
	t.bytes = append(t.bytes, b[:end]...)
	return nil
}

// prefixes undoes DELTA_BYTE_ARRAY: each value begins as the one before.
func (t *texts) prefixes(n int, b []byte) error {
	t.start()
	pre, suf := make([]int32, n), make([]int32, n)
	b, err := delta(pre, b)
	if err != nil {
		return err
	}
	if b, err = delta(suf, b); err != nil {
		return err
	}
	var last []byte
	for i := range n {
		if pre[i] < 0 || int(pre[i]) > len(last) || suf[i] < 0 || int(suf[i]) > len(b) {
			return errShort
		}
		if len(t.bytes)+int(pre[i])+int(suf[i]) > maxPageBytes {
			return fmt.Errorf("more than %d bytes of text in one page", maxPageBytes)
		}
		at := len(t.bytes)
		t.bytes = append(t.bytes, last[:pre[i]]...)
		t.bytes = append(t.bytes, b[:suf[i]]...)
		b = b[suf[i]:]
		last = t.bytes[at:]
		t.off = append(t.off, int32(len(t.bytes)))
	}
	return nil
}

// decimalOf reads a big-endian two's complement number of up to 16 bytes.
func decimalOf(b []byte) (hi int64, lo uint64, ok bool) {
	for len(b) > 16 { // sign bytes
		if b[0] != 0 && b[0] != 0xff || b[0]>>7 != b[1]>>7 {
			return 0, 0, false
		}
		b = b[1:]
	}
	if len(b) > 0 && b[0]>>7 == 1 {
		hi, lo = -1, math.MaxUint64
	}
	for _, x := range b {
		hi = hi<<8 | int64(lo>>56)
		lo = lo<<8 | uint64(x)
	}
	return hi, lo, true
}

// levelWidth is the bits of a level of at most m.
func levelWidth(m int) int { return bits.Len(uint(m)) }
