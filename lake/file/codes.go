package file

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/apache/arrow-go/v18/parquet"
)

// writeCodedText writes a column of codes through the row group's own dictionary: the words
// in use, in the order in which they are met, so that equal rows give equal bytes.
func (p *pageBuffers) writeCodedText(out *chunkOut, dict *Dict, src []*Col) error {
	codes := p.number(src, len(dict.words))
	p.out = p.out[:0]
	for _, code := range codes {
		p.out = binary.LittleEndian.AppendUint32(p.out, uint32(len(dict.words[code])))
		p.out = append(p.out, dict.words[code]...)
	}
	return p.writeCodes(out, len(codes), func(used []int32) (least, most []byte) {
		least, most = dict.words[codes[used[0]]], dict.words[codes[used[0]]]
		for _, k := range used {
			if w := dict.words[codes[k]]; bytes.Compare(w, least) < 0 {
				least = w
			} else if bytes.Compare(w, most) > 0 {
				most = w
			}
		}
		return least, most
	})
}

// writeCodedInts does so for a column of numbers.
func (p *pageBuffers) writeCodedInts(out *chunkOut, src []*Col) error {
	const likely = 256 // numbers for which a table is quicker than a map
	values := p.number(src, likely)
	p.out = p.out[:0]
	for _, v := range values {
		p.out = binary.LittleEndian.AppendUint32(p.out, uint32(v))
	}
	return p.writeCodes(out, len(values), func(used []int32) ([]byte, []byte) { return bounds(extremes(values, used)) })
}

// writeDoubles does so for a column of doubles where they come again, and writes others as they are.
func (p *pageBuffers) writeDoubles(out *chunkOut, src []*Col) error {
	p.f64 = placed(p, src, p.f64, func(s *Col) []float64 { return s.F64 })
	if !p.numberDoubles() {
		return writePages(out, p, p.f64, parquet.Encodings.Plain, packDoubles)
	}
	p.out = packDoubles(p.out[:0], p.words)
	return p.writeCodes(out, len(p.words), func(used []int32) ([]byte, []byte) { return bounds(extremes(p.words, used)) })
}

// extremes are the least and the greatest of the words in use.
func extremes[T int32 | float64](words []T, used []int32) (least, most T) {
	least, most = words[used[0]], words[used[0]]
	for _, k := range used {
		if v := words[k]; v < least {
			least = v
		} else if v > most {
			most = v
		}
	}
	return least, most
}

// number puts into i32 the row group's values as numbers of a dictionary, 0 for a null, and
// returns the dictionary: values in the order in which they are met. Those below small are found quickly.
func (p *pageBuffers) number(src []*Col, small int) []int32 {
	p.local = grown(p.local, small)
	for i := range p.local {
		p.local[i] = -1
	}
	var others map[int32]int32
	var dict []int32
	p.i32 = placed(p, src, p.i32, func(s *Col) []int32 { return s.I32 })
	nulls := len(p.null) > 0
	for i, v := range p.i32 {
		if nulls && p.null[i] {
			p.i32[i] = 0
			continue
		}
		if uint32(v) < uint32(len(p.local)) {
			k := p.local[v]
			if k < 0 {
				k = int32(len(dict))
				p.local[v] = k
				dict = append(dict, v)
			}
			p.i32[i] = k
			continue
		}
		k, ok := others[v]
		if !ok {
			if others == nil {
				others = map[int32]int32{}
			}
			k = int32(len(dict))
			others[v] = k
			dict = append(dict, v)
		}
		p.i32[i] = k
	}
	return dict
}

// numberDoubles puts into i32 the values of f64 as numbers of the dictionary words; bits tell them apart. False where too few
// come again: the dictionary may grow to a quarter of the rows. What will not keep to that is mostly known early, by a limit
// that grows with the rows.
func (p *pageBuffers) numberDoubles() bool {
	const few = 64
	shift := 64 - 8
	p.words = p.words[:0]
	p.widen(shift)
	p.i32 = grown(p.i32, len(p.f64))
	nulls := len(p.null) > 0
	for i, v := range p.f64 {
		if nulls && p.null[i] {
			p.i32[i] = 0
			continue
		}
		h := slot(v, shift)
		k := p.slots[h]
		for k != 0 && math.Float64bits(p.words[k-1]) != math.Float64bits(v) {
			h = (h + 1) & (len(p.slots) - 1)
			k = p.slots[h]
		}
		if k == 0 {
			if n := len(p.words); n > few && n > (len(p.f64)+i)/8 {
				return false
			}
			p.words = append(p.words, v)
			k = int32(len(p.words))
			if p.slots[h] = k; 2*len(p.words) > len(p.slots) {
				shift -= 2
				p.widen(shift)
			}
		}
		p.i32[i] = k - 1
	}
	return true
}

// widen makes slots anew for the words.
func (p *pageBuffers) widen(shift int) {
	p.slots = zeros(p.slots, 1<<(64-shift))
	for i, v := range p.words {
		h := slot(v, shift)
		for p.slots[h] != 0 {
			h = (h + 1) & (len(p.slots) - 1)
		}
		p.slots[h] = int32(i + 1)
	}
}

func slot(v float64, shift int) int {
	const golden = 0x9E3779B97F4A7C15 // of the golden ratio: neighbours are spread evenly
	return int(math.Float64bits(v) * golden >> shift)
}

// writeCodes writes the dictionary of n words that out has, and the numbers of i32; bounds of words in use, each of them once.
func (p *pageBuffers) writeCodes(out *chunkOut, n int, bounds func(used []int32) (least, most []byte)) error {
	if err := out.dictionary(p.out, n); err != nil {
		return err
	}
	width := bits.Len(uint(max(1, n-1)))
	p.seen = zeros(p.seen, n)
	for lo, page := 0, int32(1); lo < len(p.i32); lo, page = lo+pageRows, page+1 {
		hi := min(lo+pageRows, len(p.i32))
		var nulls int
		p.out, nulls = p.levels(p.out[:0], lo, hi)
		codes := p.i32[lo:]
		codes = codes[:p.present(lo, hi, nulls, func(to, from int) { p.i32[to] = p.i32[from] })]
		p.out = packRuns(append(p.out, byte(width)), codes, width)
		var least, most []byte
		if p.use(codes, page); len(p.used) > 0 {
			least, most = bounds(p.used)
		}
		if err := out.page(p.out, hi-lo, nulls, parquet.Encodings.RLEDict, least, most); err != nil {
			return err
		}
	}
	if n == 0 {
		return out.close(nil, nil)
	}
	p.used = p.used[:0]
	for k := range n {
		p.used = append(p.used, int32(k))
	}
	return out.close(bounds(p.used))
}

// use puts into used the numbers that a page has.
func (p *pageBuffers) use(codes []int32, page int32) {
	p.used = p.used[:0]
	if len(p.seen) <= 64 {
		var mask uint64
		for _, k := range codes {
			mask |= 1 << k
		}
		for ; mask != 0; mask &= mask - 1 {
			p.used = append(p.used, int32(bits.TrailingZeros64(mask)))
		}
		return
	}
	for _, k := range codes {
		if p.seen[k] != page {
			p.seen[k] = page
			p.used = append(p.used, k)
		}
	}
}
