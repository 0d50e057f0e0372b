package features

import (
	"math/bits"
	"slices"
)

// placeRows finds where the rows of the due entities go in the output, which has them from
// begin on, ordered by time and then by entity; nil when they stand one after the other.
func (v *viewState) placeRows(begin, rows int) []uint32 {
	f := v.frames
	if len(f.due) < 2 || rows == 0 {
		return nil
	}
	least, most := int64(never), int64(0)
	for _, d := range f.due {
		if s := f.columnsOf(d.slot); d.rows > 0 {
			least, most = min(least, max(s.ts[s.done], v.task.from)), max(most, s.ts[d.lim-1])
		}
	}
	f.times = grow(f.times, rows)[:0]
	for _, d := range f.due {
		s := f.columnsOf(d.slot)
		for at := s.done; d.rows > 0 && at < d.lim; at++ {
			t := s.ts[at]
			if t < v.task.from || v.p.Instants && at+1 < d.lim && s.ts[at+1] == t {
				continue
			}
			f.times = append(f.times, uint64(t-least))
		}
	}
	f.to = grow(f.to, rows)
	f.place(bits.Len64(uint64(most-least)), uint32(begin))
	return f.to
}

// place sets f.to to begin and the place of each of f.times in their order, equal ones as
// they stand; times have so many bits.
func (f *frames) place(width int, begin uint32) {
	rows := bits.Len(uint(len(f.times)))
	if width+rows > 64 {
		order := make([]uint32, len(f.times))
		for k := range order {
			order[k] = uint32(k)
		}
		slices.SortStableFunc(order, func(a, b uint32) int { return int(int64(f.times[a]) - int64(f.times[b])) })
		for k, row := range order {
			f.to[row] = begin + uint32(k)
		}
		return
	}
	keys := f.times
	for k, t := range keys {
		keys[k] = t<<rows | uint64(k)
	}
	if len(keys) < 256 {
		slices.Sort(keys)
	} else {
		keys = f.sortKeys(keys, rows, width)
	}
	for k, key := range keys {
		f.to[key&(1<<rows-1)] = begin + uint32(k)
	}
}

// sortKeys sorts by width bits from a bit on, digit by digit; equal ones stay as they stand.
func (f *frames) sortKeys(keys []uint64, from, width int) []uint64 {
	const digit = 9
	f.spare = grow(f.spare, len(keys))
	spare := f.spare
	for shift := from; shift < from+width; shift += digit {
		var at [1 << digit]uint32
		for _, k := range keys {
			at[k>>shift&(1<<digit-1)]++
		}
		sum := uint32(0)
		for d, n := range at {
			at[d] = sum
			sum += n
		}
		for _, k := range keys {
			d := k >> shift & (1<<digit - 1)
			spare[at[d]] = k
			at[d]++
		}
		keys, spare = spare, keys
	}
	return keys
}
