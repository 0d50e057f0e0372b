package sequence

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/pinova-group/tidemark/market"
)

// checkBatch reports whether all columns of a batch have N well-formed rows, so that
// the loops below need no checks.
func checkBatch(b *market.Batch, schema []market.Field, feeds *market.Feeds, insts int) error {
	n := b.N
	fail := func(what string) error { return fmt.Errorf("%w: %s, kind %v", ErrBatch, what, b.Kind) }
	if len(b.Feed) != n || len(b.Shard) != n || len(b.Inst) != n || len(b.EventTS) != n || len(b.IngestTS) != n ||
		len(b.Seq) != n || len(b.HasSeq) != n || len(b.ID) != n || len(b.RawBytes) != n || len(b.TS) != n ||
		len(b.Epoch) != n || len(b.Flags) != n {
		return fail("envelope columns differ in length")
	}
	if len(b.Cols) != len(schema) {
		return fail("wrong number of payload columns")
	}
	for i := range b.Cols {
		if !checkCol(&b.Cols[i], schema[i].Type, n) {
			return fail("column " + schema[i].Name)
		}
	}
	var last market.FeedID
	for i := range n {
		if f := b.Feed[i]; f != last {
			if f >= market.MaxFeeds || feeds.Get(f) == nil {
				return fail("unknown feed")
			}
			last = f
		}
		if int(b.Inst[i]) >= insts {
			return fail("unknown instrument")
		}
	}
	return nil
}

func checkCol(c *market.Col, t market.Type, n int) bool {
	lists := func(size int) bool {
		if n == 0 {
			return true
		}
		if len(c.Off) != n+1 || c.Off[0] != 0 || int(c.Off[n]) > size {
			return false
		}
		var last, falls int64
		for _, at := range c.Off {
			falls |= int64(at) - last
			last = int64(at)
		}
		return falls >= 0
	}
	switch t {
	case market.TypeDec:
		return len(c.I64) == n && len(c.Scale) == n
	case market.TypeText:
		return lists(len(c.Bytes))
	case market.TypeDecs:
		return len(c.Scale) == n && lists(len(c.I64))
	case market.TypeFloat:
		return len(c.F64) == n
	default:
		return len(c.I64) == n
	}
}

// appendRange appends rows [i, j) of src to dst, both of one kind.
func appendRange(dst, src *market.Batch, i, j int) {
	base := dst.N
	dst.N += j - i
	dst.Feed = append(dst.Feed, src.Feed[i:j]...)
	dst.Shard = append(dst.Shard, src.Shard[i:j]...)
	dst.Inst = append(dst.Inst, src.Inst[i:j]...)
	dst.EventTS = append(dst.EventTS, src.EventTS[i:j]...)
	dst.IngestTS = append(dst.IngestTS, src.IngestTS[i:j]...)
	dst.Seq = append(dst.Seq, src.Seq[i:j]...)
	dst.HasSeq = append(dst.HasSeq, src.HasSeq[i:j]...)
	dst.ID = append(dst.ID, src.ID[i:j]...)
	dst.RawBytes = append(dst.RawBytes, src.RawBytes[i:j]...)
	dst.TS = append(dst.TS, src.TS[i:j]...)
	dst.Epoch = append(dst.Epoch, src.Epoch[i:j]...)
	dst.Flags = append(dst.Flags, src.Flags[i:j]...)
	for k := range dst.Fields {
		s, d := &src.Cols[k], &dst.Cols[k]
		switch dst.Fields[k].Type {
		case market.TypeDec:
			d.I64 = append(d.I64, s.I64[i:j]...)
			d.Scale = append(d.Scale, s.Scale[i:j]...)
		case market.TypeText:
			d.Off = appendOffsets(d.Off, s.Off[i:j+1], int32(len(d.Bytes)))
			d.Bytes = append(d.Bytes, s.Bytes[s.Off[i]:s.Off[j]]...)
		case market.TypeDecs:
			d.Off = appendOffsets(d.Off, s.Off[i:j+1], int32(len(d.I64)))
			d.I64 = append(d.I64, s.I64[s.Off[i]:s.Off[j]]...)
			d.Scale = append(d.Scale, s.Scale[i:j]...)
		case market.TypeFloat:
			d.F64 = append(d.F64, s.F64[i:j]...)
		default:
			d.I64 = append(d.I64, s.I64[i:j]...)
		}
		if len(s.Null) > 0 {
			appendNulls(d, base, s.Null, i, j)
		}
	}
}

// appendNulls marks the rows from base on null that are so in [i, j) of another column,
// 64 at a time.
func appendNulls(d *market.Col, base int, null []uint64, i, j int) {
	for ; i < j; i, base = i+64, base+64 {
		at, shift := i>>6, i&63
		if at >= len(null) {
			return
		}
		w := null[at] >> shift
		if at+1 < len(null) {
			w |= null[at+1] << (64 - shift) // nothing when shift is 0
		}
		if j-i < 64 {
			w &= 1<<(j-i) - 1
		}
		if w == 0 {
			continue
		}
		at, shift = base>>6, base&63
		d.SetNull(base + bits.Len64(w) - 1) // makes the words
		d.Null[at] |= w << shift
		if high := w >> (64 - shift); high != 0 {
			d.Null[at+1] |= high
		}
	}
}

// appendOffsets appends the ends of lists whose data goes to dst's data at place at.
func appendOffsets(dst, off []int32, at int32) []int32 {
	if len(dst) == 0 {
		dst = append(dst, 0)
	}
	shift := at - off[0]
	n := len(dst)
	dst = slices.Grow(dst, len(off)-1)[:n+len(off)-1]
	for i, o := range off[1:] {
		dst[n+i] = o + shift
	}
	return dst
}

// gather appends the given rows of src to dst in that order.
func gather(dst, src *market.Batch, rows []uint32) {
	if len(rows) == 0 {
		return
	}
	runs := 1
	for i := 1; i < len(rows); i++ {
		if rows[i] != rows[i-1]+1 {
			runs++
		}
	}
	if runs*16 <= len(rows) || len(rows) < 4 {
		for i := 0; i < len(rows); {
			j := i + 1
			for j < len(rows) && rows[j] == rows[j-1]+1 {
				j++
			}
			appendRange(dst, src, int(rows[i]), int(rows[j-1])+1)
			i = j
		}
		return
	}
	base := dst.N
	dst.N += len(rows)
	dst.Feed = take(dst.Feed, src.Feed, rows)
	dst.Shard = take(dst.Shard, src.Shard, rows)
	dst.Inst = take(dst.Inst, src.Inst, rows)
	dst.EventTS = take(dst.EventTS, src.EventTS, rows)
	dst.IngestTS = take(dst.IngestTS, src.IngestTS, rows)
	dst.Seq = take(dst.Seq, src.Seq, rows)
	dst.HasSeq = take(dst.HasSeq, src.HasSeq, rows)
	dst.ID = take(dst.ID, src.ID, rows)
	dst.RawBytes = take(dst.RawBytes, src.RawBytes, rows)
	dst.TS = take(dst.TS, src.TS, rows)
	dst.Epoch = take(dst.Epoch, src.Epoch, rows)
	dst.Flags = take(dst.Flags, src.Flags, rows)
	for k, f := range dst.Fields {
		gatherCol(&dst.Cols[k], &src.Cols[k], f.Type, base, rows)
	}
}

func gatherCol(d, s *market.Col, t market.Type, base int, rows []uint32) {
	switch t {
	case market.TypeDec:
		d.I64 = take(d.I64, s.I64, rows)
		d.Scale = take(d.Scale, s.Scale, rows)
	case market.TypeText:
		if len(d.Off) == 0 {
			d.Off = append(d.Off, 0)
		}
		for _, r := range rows {
			d.Bytes = append(d.Bytes, s.Bytes[s.Off[r]:s.Off[r+1]]...)
			d.Off = append(d.Off, int32(len(d.Bytes)))
		}
	case market.TypeDecs:
		if len(d.Off) == 0 {
			d.Off = append(d.Off, 0)
		}
		for _, r := range rows {
			d.I64 = append(d.I64, s.I64[s.Off[r]:s.Off[r+1]]...)
			d.Off = append(d.Off, int32(len(d.I64)))
		}
		d.Scale = take(d.Scale, s.Scale, rows)
	case market.TypeFloat:
		d.F64 = take(d.F64, s.F64, rows)
	default:
		d.I64 = take(d.I64, s.I64, rows)
	}
	if len(s.Null) > 0 {
		for i, r := range rows {
			if s.IsNull(int(r)) {
				d.SetNull(base + i)
			}
		}
	}
}

func take[T any](dst, src []T, rows []uint32) []T {
	n := len(dst)
	dst = slices.Grow(dst, len(rows))[:n+len(rows)]
	out := dst[n:]
	for i, r := range rows {
		out[i] = src[r]
	}
	return dst
}
