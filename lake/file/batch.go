package file

import "fmt"

// Batch is rows of a table, column by column. Cols stands beside the table's list of
// columns. The holder owns the slices; who is handed a batch reads it until the call returns.
type Batch struct {
	N    int
	Cols []Col
}

// Col is one column of a batch, N rows long. Which slices are in use follows from the
// type; the others are nil. A value under a null is anything.
type Col struct {
	I64   []int64 // long, timestamptz; list<long>: the elements of all rows in a row
	I32   []int32 // int; boolean 0 or 1; codes of a string or binary with Dict
	F64   []float64
	Hi    []int64 // decimal: value = Hi·2⁶⁴ + Lo, in units of 10^-scale
	Lo    []uint64
	Bytes []byte   // string, binary without Dict: the bytes of all rows
	Off   []int32  // string, binary without Dict: N+1 offsets into Bytes; list<long>: N+1 into I64
	Dict  *Dict    // words of the codes
	Null  []uint64 // bit i set: row i is null; short or nil when no later row is
	Same  bool     // a hint of readers: I64 or I32 has one value in all rows, and no row is null
}

// IsNull reports whether row i is null.
func (c *Col) IsNull(i int) bool {
	w := i >> 6
	return w < len(c.Null) && c.Null[w]>>(i&63)&1 == 1
}

// SetNull marks row i null.
func (c *Col) SetNull(i int) {
	for len(c.Null) <= i>>6 {
		c.Null = append(c.Null, 0)
	}
	c.Null[i>>6] |= 1 << (i & 63)
}

// AppendNulls appends the nulls of rows lo..lo+n-1 to dst, as Null has them; nothing when none of them is null.
func (c *Col) AppendNulls(dst []uint64, lo, n int) []uint64 {
	any, from := uint64(0), len(dst)
	for w := lo >> 6; w < len(c.Null) && w<<6 < lo+n; w++ {
		v := c.Null[w] >> (lo & 63)
		if lo&63 != 0 && w+1 < len(c.Null) {
			v |= c.Null[w+1] << (64 - lo&63)
		}
		if left := n - (w-lo>>6)<<6; left <= 0 {
			break
		} else if left < 64 {
			v &= 1<<left - 1
		}
		dst = append(dst, v)
		any |= v
	}
	if any == 0 {
		return dst[:from]
	}
	return dst
}

// Text of row i of a string or binary column; valid until the batch is filled anew.
func (c *Col) Text(i int) []byte {
	if c.Dict != nil {
		return c.Dict.words[c.I32[i]]
	}
	return c.Bytes[c.Off[i]:c.Off[i+1]]
}

// Longs of row i of a list; valid until the batch is filled anew.
func (c *Col) Longs(i int) []int64 { return c.I64[c.Off[i]:c.Off[i+1]] }

func (c *Col) reset() {
	c.I64, c.I32, c.F64, c.Hi, c.Lo = c.I64[:0], c.I32[:0], c.F64[:0], c.Hi[:0], c.Lo[:0]
	c.Bytes, c.Off, c.Null, c.Dict, c.Same = c.Bytes[:0], c.Off[:0], c.Null[:0], nil, false
}

// Dict is the words of a column of codes. Words are only ever added, so a code stays
// what it is. Not for concurrent use.
type Dict struct {
	words [][]byte
	codes map[string]int32
}

// NewDict makes a dictionary of words; equal words share a code.
func NewDict(words ...string) *Dict {
	d := &Dict{codes: make(map[string]int32, len(words))}
	for _, w := range words {
		d.Code([]byte(w))
	}
	return d
}

// Code of a word, added when new.
func (d *Dict) Code(word []byte) int32 {
	if c, ok := d.codes[string(word)]; ok {
		return c
	}
	c := int32(len(d.words))
	s := string(word)
	d.words = append(d.words, []byte(s))
	d.codes[s] = c
	return c
}

// Word of a code. The caller must not change it.
func (d *Dict) Word(code int32) []byte { return d.words[code] }

// Len is the number of words.
func (d *Dict) Len() int { return len(d.words) }

// check tells whether a column of a batch has the slices that its type asks for, so that
// nothing after it can read outside of them.
func (c *Col) check(col *Column, n int) error {
	ok := true
	switch col.Type {
	case Long, Timestamptz:
		ok = len(c.I64) >= n
	case Int, Boolean:
		ok = len(c.I32) >= n
	case Double:
		ok = len(c.F64) >= n
	case Decimal:
		ok = len(c.Hi) >= n && len(c.Lo) >= n
	case LongList:
		ok = offsetsOK(c.Off, n, len(c.I64))
	case String, Binary:
		if c.Dict == nil {
			ok = offsetsOK(c.Off, n, len(c.Bytes))
			break
		}
		ok = len(c.I32) >= n
		if ok {
			for i, code := range c.I32[:n] {
				if uint32(code) >= uint32(len(c.Dict.words)) && !c.IsNull(i) {
					return fmt.Errorf("column %s: row %d has code %d of %d words", col.Name, i, code, len(c.Dict.words))
				}
			}
		}
	}
	if !ok {
		return fmt.Errorf("column %s: a batch of %d rows lacks values of type %s", col.Name, n, col.Type)
	}
	if !col.Nullable {
		for w, bits := range c.Null {
			if bits != 0 && w<<6 < n {
				return fmt.Errorf("column %s: a null in or after row %d, and the column has none", col.Name, w<<6)
			}
		}
	}
	return nil
}

func offsetsOK(off []int32, n, size int) bool {
	if n == 0 {
		return true
	}
	if len(off) <= n || off[0] < 0 || int(off[n]) > size {
		return false
	}
	for i := range n {
		if off[i] > off[i+1] {
			return false
		}
	}
	return true
}
