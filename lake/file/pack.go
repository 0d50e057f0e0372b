package file

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/apache/arrow-go/v18/parquet"
)

// Of a page in DELTA_BINARY_PACKED: numbers of a block and of a part of it that has a width of its own.
const (
	deltaBlock = 128
	deltaMini  = 32
)

// packDelta appends numbers in DELTA_BINARY_PACKED. Differences wrap around.
func packDelta[T int32 | int64](dst []byte, v []T) []byte {
	dst = binary.AppendUvarint(dst, deltaBlock)
	dst = binary.AppendUvarint(dst, deltaBlock/deltaMini)
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	if len(v) == 0 {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(dst, int64(v[0]))
	var d [deltaBlock]T
	var u [deltaBlock]uint64
	mask := ^uint64(0)
	if T(math.MaxInt32)+1 < 0 {
		mask = math.MaxUint32
	}
	for at := 1; at < len(v); at += deltaBlock {
		n := min(deltaBlock, len(v)-at)
		before := v[at-1]
		least := v[at] - before
		for i, x := range v[at : at+n] {
			d[i] = x - before
			before = x
			least = min(least, d[i])
		}
		dst = binary.AppendVarint(dst, int64(least))
		widths := len(dst)
		dst = append(dst, make([]byte, deltaBlock/deltaMini)...)
		for i, x := range d[:n] {
			u[i] = uint64(x-least) & mask
		}
		clear(u[n:])
		for m := 0; m < n; m += deltaMini {
			or := uint64(0)
			for _, x := range u[m : m+deltaMini] {
				or |= x
			}
			w := bits.Len64(or)
			dst[widths+m/deltaMini] = byte(w)
			dst = packBits(dst, u[m:m+deltaMini], w)
		}
	}
	return dst
}

// packBits appends numbers of w bits each, all of them whole bytes.
func packBits[T int32 | uint64](dst []byte, v []T, w int) []byte {
	if w == 0 {
		return dst
	}
	acc, n := uint64(0), 0
	for _, x := range v {
		acc |= uint64(x) << n
		if n += w; n >= 64 {
			dst = binary.LittleEndian.AppendUint64(dst, acc)
			n -= 64
			acc = uint64(x) >> (w - n) // of a shift by 64 nothing is left
		}
	}
	for ; n > 0; n -= 8 {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	return dst
}

// runBlock is the numbers that are one run, or part of it, if they are equal. It is what a reader takes between two runs.
const runBlock = 64

// packRuns appends numbers of w bits as runs of equal ones and packed others.
func packRuns(dst []byte, v []int32, w int) []byte {
	for at := 0; at < len(v); {
		end := at
		for end < len(v) && same64(v[at], v[end:min(end+runBlock, len(v))]) {
			end = min(end+runBlock, len(v))
		}
		if end > at {
			dst = binary.AppendUvarint(dst, uint64(end-at)<<1)
			for k := 0; k < w; k += 8 {
				dst = append(dst, byte(v[at]>>k))
			}
			at = end
			continue
		}
		for end < len(v) && !same64(v[end], v[end:min(end+runBlock, len(v))]) {
			end = min(end+runBlock, len(v))
		}
		groups := (end - at + 7) / 8
		dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
		whole := at + (end-at)&^7
		dst = packBits(dst, v[at:whole], w)
		if whole < end {
			var rest [8]int32
			copy(rest[:], v[whole:end])
			dst = packBits(dst, rest[:], w)
		}
		at = end
	}
	return dst
}

func same64(v int32, all []int32) bool {
	or := int32(0)
	for _, x := range all {
		or |= x ^ v
	}
	return or == 0
}

func packDoubles(dst []byte, v []float64) []byte {
	for _, x := range v {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(x))
	}
	return dst
}

// levels appends the definition levels of rows lo..hi-1 and tells how many of them are null.
func (p *pageBuffers) levels(dst []byte, lo, hi int) ([]byte, int) {
	if !p.nullable {
		return dst, 0
	}
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	nulls := 0
	if len(p.null) > 0 {
		for _, null := range p.null[lo:hi] {
			if null {
				nulls++
			}
		}
	}
	if nulls == 0 || nulls == hi-lo {
		dst = binary.AppendUvarint(dst, uint64(hi-lo)<<1)
		dst = append(dst, byte(min(1, hi-lo-nulls)))
	} else {
		dst = binary.AppendUvarint(dst, uint64(hi-lo+7)/8<<1|1)
		for ; lo < hi; lo += 8 {
			var b byte
			for k, null := range p.null[lo:min(lo+8, hi)] {
				if !null {
					b |= 1 << k
				}
			}
			dst = append(dst, b)
		}
	}
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst, nulls
}

// writePages writes the values of a row group, in the order of the file. Those under nulls are lost.
func writePages[T int32 | int64 | float64](out *chunkOut, p *pageBuffers, v []T, e parquet.Encoding, pack func([]byte, []T) []byte) error {
	var least, most T
	some := false
	for lo := 0; lo < len(v); lo += pageRows {
		hi := min(lo+pageRows, len(v))
		var nulls int
		p.out, nulls = p.levels(p.out[:0], lo, hi)
		vals := p.present(lo, hi, nulls, func(to, from int) { v[to] = v[from] })
		page := v[lo : lo+vals]
		p.out = pack(p.out, page)
		var a, b []byte
		if vals > 0 {
			x, y := page[0], page[0]
			for _, z := range page {
				if z < x {
					x = z
				}
				if z > y {
					y = z
				}
			}
			a, b = bounds(x, y)
			if !some {
				least, most, some = x, y, true
			}
			least, most = min(least, x), max(most, y)
		}
		if err := out.page(p.out, hi-lo, nulls, e, a, b); err != nil {
			return err
		}
	}
	if !some {
		return out.close(nil, nil)
	}
	return out.close(bounds(least, most))
}

// present moves the values of a page's rows together and returns how many there are.
func (p *pageBuffers) present(lo, hi, nulls int, move func(to, from int)) int {
	if nulls == 0 {
		return hi - lo
	}
	n := lo
	for i, null := range p.null[lo:hi] {
		if !null {
			move(n, lo+i)
			n++
		}
	}
	return n - lo
}

// bounds are least and most as statistics have them: of doubles, zeros are such that they bound both of them.
func bounds[T int32 | int64 | float64](least, most T) (a, b []byte) {
	switch x := any(least).(type) {
	case float64:
		y := float64(most)
		if x == 0 {
			x = math.Copysign(0, -1)
		}
		if y == 0 {
			y = 0
		}
		return packDoubles(nil, []float64{x}), packDoubles(nil, []float64{y})
	case int64:
		return binary.LittleEndian.AppendUint64(nil, uint64(x)), binary.LittleEndian.AppendUint64(nil, uint64(most))
	}
	return binary.LittleEndian.AppendUint32(nil, uint32(least)), binary.LittleEndian.AppendUint32(nil, uint32(most))
}
