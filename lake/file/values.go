package file

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/parquet"
)

// indices decodes a page of numbers into the row group's dictionary.
func (c *column) indices(n int, b []byte) error {
	if !c.hasD {
		return errors.New("a dictionary is missing")
	}
	if n == 0 {
		return nil
	}
	if len(b) == 0 {
		return errShort
	}
	if ok, err := c.fewRuns(n, b[1:], int(b[0])); ok || err != nil {
		return err
	}
	c.index = grown(c.index, n)
	if err := hybrid(c.index, b[1:], int(b[0])); err != nil {
		return err
	}
	words := c.dict.len(c.b.form)
	for _, k := range c.index {
		if uint32(k) >= uint32(words) {
			return fmt.Errorf("word %d of %d", k, words)
		}
	}
	switch c.b.form {
	case formLong:
		c.v.i64 = gather(c.v.i64, c.dict.i64, c.index)
	case formInt, formBool:
		c.v.i32 = gather(c.v.i32, c.dict.i32, c.index)
	case formDouble:
		c.v.f64 = gather(c.v.f64, c.dict.f64, c.index)
	case formDecimal:
		c.v.hi, c.v.lo = gather(c.v.hi, c.dict.hi, c.index), gather(c.v.lo, c.dict.lo, c.index)
	case formCodes:
		c.v.i32 = gather(c.v.i32, c.codes, c.index)
	case formText:
		c.v.text.start()
		for _, k := range c.index {
			if err := c.v.text.add(c.dict.text.bytes[c.dict.text.off[k]:c.dict.text.off[k+1]]); err != nil {
				return err
			}
		}
	}
	return nil
}

// constant reports whether n numbers of width bits are one and the same, and in one run.
func constant(b []byte, width, n int) (int32, bool) {
	head, k := binary.Uvarint(b)
	bytes := (width + 7) / 8
	if k <= 0 || head&1 == 1 || head>>1 < uint64(n) || width < 0 || width > 32 || len(b)-k < bytes {
		return 0, false
	}
	return int32(load64(b[k : k+bytes])), true
}

// fewRuns keeps a page of numbers into the dictionary as runs, if it is that.
func (c *column) fewRuns(n int, b []byte, width int) (bool, error) {
	if !c.inRuns(n) {
		return false, nil
	}
	var ok bool
	if c.runs, ok = hybridRuns(c.runs[:0], b, width, n); !ok {
		c.runs = c.runs[:0]
		return false, nil
	}
	words := c.dict.len(c.b.form)
	for i, r := range c.runs {
		switch {
		case uint64(r.v) >= uint64(words):
			return false, fmt.Errorf("word %d of %d", r.v, words)
		case c.b.form == formLong:
			c.runs[i].v = c.dict.i64[r.v]
		case c.b.form == formCodes:
			c.runs[i].v = int64(c.codes[r.v])
		default:
			c.runs[i].v = int64(c.dict.i32[r.v])
		}
	}
	return true, nil
}

// inRuns tells whether a page with n values may be kept in runs: one without nulls, of numbers or codes.
func (c *column) inRuns(n int) bool {
	switch c.b.form {
	case formLong, formInt, formBool, formCodes:
		return !c.leaf.list && n > 0 && int64(n) == c.n
	}
	return false
}

// repeat makes the page one of n times v, if it may be.
func (c *column) repeat(n int, v int64) bool {
	if !c.inRuns(n) {
		return false
	}
	c.runs = append(c.runs[:0], pageRun{n, v})
	return true
}

// col is the page from row x on; values that are kept in runs are written out. Where the reader wants the page, he may have
// those of rows before x already.
func (c *column) col(x int) *Col {
	if len(c.runs) == 0 {
		return &c.out
	}
	if c.placed && x > 0 {
		c.v, c.placed = c.own, false
		c.v.reset()
	}
	at := 0
	if c.b.form == formLong {
		c.v.i64 = slices.Grow(c.v.i64, int(c.n))
		for _, r := range c.runs {
			c.v.i64 = fill(c.v.i64, r.v, r.end-at)
			at = r.end
		}
	} else {
		c.v.i32 = slices.Grow(c.v.i32, int(c.n))
		for _, r := range c.runs {
			c.v.i32 = fill(c.v.i32, int32(r.v), r.end-at)
			at = r.end
		}
	}
	if c.runs, c.out.I64, c.out.I32 = c.runs[:0], c.v.i64, c.v.i32; !c.placed {
		c.own = c.v
	}
	return &c.out
}

// fill appends v n times; there is room.
func fill[T any](dst []T, v T, n int) []T {
	at := len(dst)
	dst = dst[:at+n]
	for i := range dst[at:] {
		dst[at+i] = v
	}
	return dst
}

// run is the value that rows x..x+n-1 of the page have, if it is kept in runs and they are of one.
func (c *column) run(x, n int) (int64, bool) {
	for _, r := range c.runs {
		if x < r.end {
			return r.v, x+n <= r.end
		}
	}
	return 0, false
}

// Repeated is one value many times, kept for the next time that it is wanted.
type Repeated[T comparable] struct{ all []T }

// Of is n times v, good until another value is asked for. The caller must not change it.
func (r *Repeated[T]) Of(v T, n int) []T {
	from := len(r.all)
	if from > 0 && r.all[0] != v {
		from = 0
		r.all = r.all[:0]
	}
	if from < n {
		r.all = slices.Grow(r.all, n-from)[:n]
		for i := from; i < n; i++ {
			r.all[i] = v
		}
	}
	return r.all[:n]
}

func gather[T any](dst, src []T, index []int32) []T {
	at := len(dst)
	dst = slices.Grow(dst, len(index))[:at+len(index)]
	for i, k := range index {
		dst[at+i] = src[k]
	}
	return dst
}

// decode appends n values that are not in a dictionary; a dictionary of codes is text.
func (c *column) decode(v *values, n int, enc int64, b []byte) error {
	if enc == deltaBinary && v == &c.v && c.b.times == 1 {
		if x, ok := constantDelta(b, n); ok && (c.leaf.phys == parquet.Types.Int64 || x == int64(int32(x))) && c.repeat(n, x) {
			return nil
		}
	}
	switch c.b.form {
	case formLong:
		return c.decodeLongs(v, n, enc, b)
	case formInt:
		at := len(v.i32)
		v.i32 = slices.Grow(v.i32, n)[:at+n]
		return c.decodeInts(v.i32[at:], enc, b)
	case formDouble:
		at := len(v.f64)
		v.f64 = slices.Grow(v.f64, n)[:at+n]
		return c.decodeDoubles(v.f64[at:], enc, b)
	case formBool:
		at := len(v.i32)
		v.i32 = slices.Grow(v.i32, n)[:at+n]
		if enc == rle {
			if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
				return errShort
			}
			return hybrid(v.i32[at:], b[4:], 1)
		}
		if enc != plain {
			return badEncoding(enc)
		}
		if x, ok := constantBools(b, n); ok && c.repeat(n, x) {
			return nil
		}
		return plainBools(v.i32[at:], b)
	case formDecimal:
		return c.decodeDecimals(v, n, enc, b)
	}
	if err := c.decodeTexts(&v.text, n, enc, b); err != nil {
		return err
	}
	if c.b.form == formCodes && v == &c.v {
		for i := range n {
			c.v.i32 = append(c.v.i32, c.words.Code(v.text.bytes[v.text.off[i]:v.text.off[i+1]]))
		}
	}
	return nil
}

func badEncoding(enc int64) error { return fmt.Errorf("encoding %d is not read", enc) }

func (c *column) decodeInts(dst []int32, enc int64, b []byte) error {
	switch enc {
	case plain:
		return plainI32(dst, b)
	case deltaBinary:
		_, err := delta(dst, b)
		return err
	case streamSplit:
		raw := make([]byte, 4*len(dst))
		if err := unsplit(raw, b, len(dst), 4); err != nil {
			return err
		}
		return plainI32(dst, raw)
	}
	return badEncoding(enc)
}

func (c *column) decodeLongs(v *values, n int, enc int64, b []byte) error {
	at := len(v.i64)
	v.i64 = slices.Grow(v.i64, n)[:at+n]
	dst := v.i64[at:]
	if c.leaf.phys == parquet.Types.Int32 {
		c.scratch = grown(c.scratch, n)
		if err := c.decodeInts(c.scratch, enc, b); err != nil {
			return err
		}
		for i, x := range c.scratch {
			dst[i] = int64(x)
		}
		return nil
	}
	var err error
	switch enc {
	case plain:
		err = plainI64(dst, b)
	case deltaBinary:
		_, err = delta(dst, b)
	case streamSplit:
		raw := make([]byte, 8*n)
		if err = unsplit(raw, b, n, 8); err == nil {
			err = plainI64(dst, raw)
		}
	default:
		err = badEncoding(enc)
	}
	if err != nil || c.b.times == 1 {
		return err
	}
	for i, x := range dst {
		if x > math.MaxInt64/c.b.times || x < math.MinInt64/c.b.times {
			return fmt.Errorf("time %d is out of range in microseconds", x)
		}
		dst[i] = x * c.b.times
	}
	return nil
}

func (c *column) decodeDoubles(dst []float64, enc int64, b []byte) error {
	n := len(dst)
	width, read := 8, plainF64
	if c.leaf.phys == parquet.Types.Float {
		width, read = 4, plainF32
	}
	switch enc {
	case plain:
		return read(dst, b)
	case streamSplit:
		raw := make([]byte, width*n)
		if err := unsplit(raw, b, n, width); err != nil {
			return err
		}
		return read(dst, raw)
	}
	return badEncoding(enc)
}

func (c *column) decodeTexts(t *texts, n int, enc int64, b []byte) error {
	if c.leaf.phys == parquet.Types.FixedLenByteArray && enc == plain {
		return t.fixed(n, c.leaf.width, b)
	}
	switch enc {
	case plain:
		return t.plain(n, b)
	case deltaLength:
		return t.lengths(n, b, &c.scratch)
	case deltaPrefix:
		return t.prefixes(n, b)
	}
	return badEncoding(enc)
}

func (c *column) decodeDecimals(v *values, n int, enc int64, b []byte) error {
	if c.leaf.phys == parquet.Types.Int32 || c.leaf.phys == parquet.Types.Int64 {
		w := values{}
		if err := c.decodeLongs(&w, n, enc, b); err != nil {
			return err
		}
		for _, x := range w.i64 {
			v.hi, v.lo = append(v.hi, x>>63), append(v.lo, uint64(x))
		}
		return nil
	}
	var t texts
	if enc == streamSplit && c.leaf.phys == parquet.Types.FixedLenByteArray && c.leaf.width > 0 && c.leaf.width <= 64 {
		raw := make([]byte, n*c.leaf.width)
		if err := unsplit(raw, b, n, c.leaf.width); err != nil {
			return err
		}
		b, enc = raw, plain
	}
	if err := c.decodeTexts(&t, n, enc, b); err != nil {
		return err
	}
	for i := range n {
		hi, lo, ok := decimalOf(t.bytes[t.off[i]:t.off[i+1]])
		if !ok || !decimalOK(hi, lo) {
			return fmt.Errorf("value %d has more than %d digits", i, Precision)
		}
		v.hi, v.lo = append(v.hi, hi), append(v.lo, lo)
	}
	return nil
}

// assemble makes the c.n rows of out of levels and values.
func (c *column) assemble(def, rep []uint8) error {
	c.out.reset()
	if c.leaf.list {
		return c.assembleLists(def, rep)
	}
	if int64(len(def)) != c.n {
		return fmt.Errorf("%d rows, not %d", len(def), c.n)
	}
	n := len(def)
	nulls := 0
	if c.leaf.maxDef > 0 && !c.full {
		for i, d := range def {
			if int(d) < c.leaf.maxDef {
				c.out.SetNull(i)
				nulls++
			}
		}
	}
	if nulls > 0 && !c.b.col.Nullable {
		return fmt.Errorf("%d nulls, and the column has none", nulls)
	}
	o, v := &c.out, &c.v
	if len(c.runs) > 0 {
		if c.b.form == formCodes {
			o.Dict = c.words
		}
		return nil
	}
	switch c.b.form {
	case formLong:
		v.i64 = spread(v.i64, n, o)
		o.I64 = v.i64
	case formInt, formBool:
		v.i32 = spread(v.i32, n, o)
		o.I32 = v.i32
	case formDouble:
		v.f64 = spread(v.f64, n, o)
		o.F64 = v.f64
	case formDecimal:
		v.hi, v.lo = spread(v.hi, n, o), spread(v.lo, n, o)
		o.Hi, o.Lo = v.hi, v.lo
	case formCodes:
		v.i32 = spread(v.i32, n, o)
		o.I32, o.Dict = v.i32, c.words
	case formText:
		off := append(o.Off[:0], 0)
		k := 0
		for i := range n {
			if nulls == 0 || !o.IsNull(i) {
				k++
			}
			off = append(off, v.text.off[k])
		}
		o.Bytes, o.Off = v.text.bytes, off
	}
	return nil
}

// spread moves the values apart to where the rows are; a null is 0.
func spread[T any](v []T, n int, o *Col) []T {
	k := len(v)
	if k == n {
		return v
	}
	var zero T
	v = slices.Grow(v, n-k)[:n]
	for i := n - 1; i >= 0; i-- {
		if o.IsNull(i) {
			v[i] = zero
		} else {
			k--
			v[i] = v[k]
		}
	}
	return v
}

func (c *column) assembleLists(def, rep []uint8) error {
	elements, rows := int32(0), 0
	off := append(c.out.Off[:0], 0)
	for i, d := range def {
		switch {
		case rep[i] == 0:
			if rows > 0 {
				off = append(off, elements)
			}
			rows++
			if int(d) < c.leaf.elDef-1 {
				if !c.b.col.Nullable {
					return errors.New("a null, and the column has none")
				}
				c.out.SetNull(rows - 1)
			}
		case rows == 0:
			return errors.New("it begins within a row")
		}
		if int(d) >= c.leaf.elDef {
			if int(d) < c.leaf.maxDef {
				return fmt.Errorf("row %d: a null in a list", rows-1)
			}
			elements++
		}
	}
	if rows > 0 {
		off = append(off, elements)
	}
	if int64(rows) != c.n || int(elements) != len(c.v.i64) {
		return fmt.Errorf("%d rows and %d elements, not %d and %d", rows, elements, c.n, len(c.v.i64))
	}
	c.out.I64, c.out.Off = c.v.i64, off
	return nil
}

// place has n values of a form decoded to the rows of dst from at on; false where they are not of one size.
func (v *values) place(f form, dst *Col, at, n int) bool {
	switch f {
	case formLong:
		v.i64 = dst.I64[at : at : at+n]
	case formInt, formBool, formCodes:
		v.i32 = dst.I32[at : at : at+n]
	case formDouble:
		v.f64 = dst.F64[at : at : at+n]
	case formDecimal:
		v.hi, v.lo = dst.Hi[at:at:at+n], dst.Lo[at:at:at+n]
	default:
		return false
	}
	return true
}

func (v *values) reset() {
	v.i64, v.i32, v.f64, v.hi, v.lo = v.i64[:0], v.i32[:0], v.f64[:0], v.hi[:0], v.lo[:0]
	v.text.bytes, v.text.off = v.text.bytes[:0], v.text.off[:0]
}
