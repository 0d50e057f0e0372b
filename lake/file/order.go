package file

import (
	"bytes"
	"fmt"
	"slices"
)

// order is the sort order of a table: leading strings make the runs, numbers order
// the rows of a run.
type order struct {
	text []int // columns
	nums []numKey
	*orderBuffers
}

type orderBuffers struct {
	perm  []uint32
	ids   []int32
	came  []uint32
	keyed []keyed
}

type numKey struct {
	col      int
	wide     bool // 64 bits
	unsigned bool
}

type keyed struct {
	first int64
	row   uint32
}

func newOrder(cols []Column, keys []Key) (order, error) {
	o := order{orderBuffers: &orderBuffers{}}
	for _, k := range keys {
		i := slices.IndexFunc(cols, func(c Column) bool { return c.Name == k.Column })
		if i < 0 {
			return o, fmt.Errorf("sort key %s is not a column", k.Column)
		}
		c := &cols[i]
		if c.Nullable {
			return o, fmt.Errorf("sort key %s is nullable", k.Column)
		}
		switch {
		case c.Type == String && coded(c) && len(o.nums) == 0:
			o.text = append(o.text, i)
		case c.Type == Int || c.Type == Long || c.Type == Timestamptz:
			o.nums = append(o.nums, numKey{col: i, wide: c.Type != Int, unsigned: k.Unsigned})
		default:
			return o, fmt.Errorf("sort key %s: a file is sorted by strings in a dictionary first, then by int, long or timestamptz", k.Column)
		}
	}
	return o, nil
}

// declared is the columns by which a reader that knows only signed numbers finds the
// file sorted.
func (o *order) declared() []int {
	out := slices.Clone(o.text)
	for _, k := range o.nums {
		if k.unsigned {
			break
		}
		out = append(out, k.col)
	}
	return out
}

// sort gives the rows of w in order, equal rows as they came, and the runs.
func (o *order) sort(w *Writer) ([]uint32, []Run) {
	tuples := o.group(w)
	rank := make([]int32, len(tuples))
	sorted := make([]int32, len(tuples))
	for i := range sorted {
		sorted[i] = int32(i)
	}
	words := make([][][]byte, len(tuples))
	for i, t := range tuples {
		for j, code := range t {
			words[i] = append(words[i], w.dicts[o.text[j]].dict.words[code])
		}
	}
	slices.SortFunc(sorted, func(a, b int32) int { return slices.CompareFunc(words[a], words[b], bytes.Compare) })
	for r, id := range sorted {
		rank[id] = int32(r)
	}
	start := make([]int, len(tuples)+1)
	for _, id := range o.ids {
		start[rank[id]+1]++
	}
	runs := make([]Run, len(tuples))
	for r := range tuples {
		n := start[r+1]
		start[r+1] += start[r]
		runs[r] = Run{First: int64(start[r]), Rows: int64(n), Key: make([]string, len(o.text))}
		for j, word := range words[sorted[r]] {
			runs[r].Key[j] = string(word)
		}
	}
	o.perm = slices.Grow(o.perm[:0], w.rows)[:w.rows]
	at := slices.Clone(start)
	for i, id := range o.ids {
		r := rank[id]
		o.perm[at[r]] = uint32(i)
		at[r]++
	}
	if len(o.nums) > 0 {
		k := newKeyReader(w, o.nums)
		for r := range tuples {
			o.sortRun(k, o.perm[start[r]:start[r+1]])
		}
	}
	return o.perm, runs
}

// scatter gives, after sort, the place of each row in the file, and the rows of each row
// group in the order in which they came. It takes the memory of the tuples' numbers.
func (o *order) scatter() (place []int32, came []uint32) {
	place = o.ids
	for i, row := range o.perm {
		place[row] = int32(i)
	}
	o.came = slices.Grow(o.came[:0], len(o.perm))[:len(o.perm)]
	next := make([]int, (len(o.perm)+groupRows-1)/groupRows)
	for g := range next {
		next[g] = g * groupRows
	}
	for row, at := range place {
		g := at / groupRows
		o.came[next[g]] = uint32(row)
		next[g]++
	}
	return place, o.came
}

// group gives every row the number of its tuple of strings, in o.ids, and the tuples as codes.
func (o *order) group(w *Writer) [][]int32 {
	o.ids = slices.Grow(o.ids[:0], w.rows)[:w.rows]
	clear(o.ids)
	tuples := [][]int32{nil}
	for _, col := range o.text {
		// The tuples grow by one code: the new number is that of (old number, code).
		known := map[uint64]int32{}
		var grown [][]int32
		last, lastID := ^uint64(0), int32(0)
		i := 0
		for _, c := range w.chunks {
			for _, code := range c.cols[col].I32[:c.n] {
				pair := uint64(o.ids[i])<<32 | uint64(uint32(code))
				if pair != last {
					id, ok := known[pair]
					if !ok {
						id = int32(len(grown))
						known[pair] = id
						grown = append(grown, append(slices.Clone(tuples[o.ids[i]]), code))
					}
					last, lastID = pair, id
				}
				o.ids[i] = lastID
				i++
			}
		}
		tuples = grown
	}
	return tuples
}

// sortRun sorts the rows of one run by the numbers, equal ones by where they stand.
func (o *order) sortRun(k *keyReader, rows []uint32) {
	ordered := true
	for i := 1; i < len(rows); i++ {
		if k.compare(rows[i-1], rows[i]) > 0 {
			ordered = false
			break
		}
	}
	if ordered {
		return
	}
	o.keyed = o.keyed[:0]
	for _, r := range rows {
		o.keyed = append(o.keyed, keyed{k.first(r), r})
	}
	slices.SortFunc(o.keyed, func(a, b keyed) int {
		if a.first != b.first {
			if a.first < b.first {
				return -1
			}
			return 1
		}
		if c := k.rest(a.row, b.row); c != 0 {
			return c
		}
		return int(int64(a.row) - int64(b.row))
	})
	for i, x := range o.keyed {
		rows[i] = x.row
	}
}

// keyReader reads the numbers by which rows are ordered.
type keyReader struct {
	keys []numKey
	i64  [][][]int64 // by key, by chunk
	i32  [][][]int32
}

func newKeyReader(w *Writer, keys []numKey) *keyReader {
	k := &keyReader{keys: keys, i64: make([][][]int64, len(keys)), i32: make([][][]int32, len(keys))}
	for i, key := range keys {
		for _, c := range w.chunks {
			k.i64[i] = append(k.i64[i], c.cols[key.col].I64)
			k.i32[i] = append(k.i32[i], c.cols[key.col].I32)
		}
	}
	return k
}

// at is key i of a row, such that signed comparison gives its order.
func (k *keyReader) at(i int, row uint32) int64 {
	c, r := row>>chunkBits, row&(chunkRows-1)
	var v int64
	switch key := &k.keys[i]; {
	case !key.wide && key.unsigned:
		return int64(uint32(k.i32[i][c][r]))
	case !key.wide:
		return int64(k.i32[i][c][r])
	default:
		v = k.i64[i][c][r]
		if key.unsigned {
			v ^= -1 << 63
		}
	}
	return v
}

func (k *keyReader) first(row uint32) int64 { return k.at(0, row) }

func (k *keyReader) compare(a, b uint32) int {
	if x, y := k.at(0, a), k.at(0, b); x != y {
		if x < y {
			return -1
		}
		return 1
	}
	return k.rest(a, b)
}

// rest compares rows whose first key is equal.
func (k *keyReader) rest(a, b uint32) int {
	for i := 1; i < len(k.keys); i++ {
		if x, y := k.at(i, a), k.at(i, b); x != y {
			if x < y {
				return -1
			}
			return 1
		}
	}
	return 0
}
