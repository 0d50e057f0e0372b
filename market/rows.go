package market

import "slices"

// AppendRows appends rows lo..hi of src, a batch of the same kind, to b.
func (b *Batch) AppendRows(src *Batch, lo, hi int) {
	if lo >= hi {
		return
	}
	at := b.N
	b.N += hi - lo
	b.Feed = append(b.Feed, src.Feed[lo:hi]...)
	b.Shard = append(b.Shard, src.Shard[lo:hi]...)
	b.Inst = append(b.Inst, src.Inst[lo:hi]...)
	b.EventTS = append(b.EventTS, src.EventTS[lo:hi]...)
	b.IngestTS = append(b.IngestTS, src.IngestTS[lo:hi]...)
	b.Seq = append(b.Seq, src.Seq[lo:hi]...)
	b.HasSeq = append(b.HasSeq, src.HasSeq[lo:hi]...)
	b.ID = append(b.ID, src.ID[lo:hi]...)
	b.RawBytes = append(b.RawBytes, src.RawBytes[lo:hi]...)
	b.TS = append(b.TS, src.TS[lo:hi]...)
	b.Epoch = append(b.Epoch, src.Epoch[lo:hi]...)
	b.Flags = append(b.Flags, src.Flags[lo:hi]...)
	for i, f := range b.Fields {
		b.Cols[i].appendRows(&src.Cols[i], f.Type, at, lo, hi)
	}
}

func (c *Col) appendRows(src *Col, t Type, at, lo, hi int) {
	switch t {
	case TypeText, TypeDecs:
		c.appendSized(src, t, lo, hi)
		if t == TypeDecs {
			c.Scale = append(c.Scale, src.Scale[lo:hi]...)
		}
	case TypeDec:
		c.I64 = append(c.I64, src.I64[lo:hi]...)
		c.Scale = append(c.Scale, src.Scale[lo:hi]...)
	case TypeFloat:
		c.F64 = append(c.F64, src.F64[lo:hi]...)
	default:
		c.I64 = append(c.I64, src.I64[lo:hi]...)
	}
	c.appendNulls(src, at, lo, hi)
}

// appendSized appends texts, or lists without their scales.
func (c *Col) appendSized(src *Col, t Type, lo, hi int) {
	if lo >= hi {
		return
	}
	if len(c.Off) == 0 {
		c.Off = append(c.Off, 0)
	}
	from, to := src.Off[lo], src.Off[hi]
	shift := c.Off[len(c.Off)-1] - from
	for _, o := range src.Off[lo+1 : hi+1] {
		c.Off = append(c.Off, o+shift)
	}
	if t == TypeText {
		c.Bytes = append(c.Bytes, src.Bytes[from:to]...)
	} else {
		c.I64 = append(c.I64, src.I64[from:to]...)
	}
}

// appendNulls makes rows from at on null that are null in src.
func (c *Col) appendNulls(src *Col, at, lo, hi int) {
	if len(src.Null) == 0 {
		return
	}
	for i := lo; i < hi; i++ {
		if src.IsNull(i) {
			c.SetNull(at + i - lo)
		}
	}
}

// First is the first n rows of b, in b's memory: good until b changes.
func (b *Batch) First(n int) *Batch {
	out := &Batch{
		Kind: b.Kind, N: n, Feed: b.Feed[:n], Shard: b.Shard[:n], Inst: b.Inst[:n], EventTS: b.EventTS[:n], IngestTS: b.IngestTS[:n], Seq: b.Seq[:n], HasSeq: b.HasSeq[:n],
		ID: b.ID[:n], RawBytes: b.RawBytes[:n], TS: b.TS[:n], Epoch: b.Epoch[:n], Flags: b.Flags[:n], Fields: b.Fields, Cols: make([]Col, len(b.Cols)),
	}
	for i, f := range b.Fields {
		c := b.Cols[i]
		if w := n >> 6; w < len(c.Null) {
			c.Null = slices.Clone(c.Null[:w+1]) // of which the last word changes
		}
		c.truncate(f.Type, n)
		out.Cols[i] = c
	}
	return out
}

// Truncate drops the rows from n on.
func (b *Batch) Truncate(n int) {
	if n >= b.N {
		return
	}
	b.N = n
	b.Feed, b.Shard, b.Inst = b.Feed[:n], b.Shard[:n], b.Inst[:n]
	b.EventTS, b.IngestTS = b.EventTS[:n], b.IngestTS[:n]
	b.Seq, b.HasSeq, b.ID, b.RawBytes = b.Seq[:n], b.HasSeq[:n], b.ID[:n], b.RawBytes[:n]
	b.TS, b.Epoch, b.Flags = b.TS[:n], b.Epoch[:n], b.Flags[:n]
	for i, f := range b.Fields {
		b.Cols[i].truncate(f.Type, n)
	}
}

func (c *Col) truncate(t Type, n int) {
	switch t {
	case TypeText, TypeDecs:
		if len(c.Off) == 0 {
			return
		}
		if t == TypeText {
			c.Bytes = c.Bytes[:c.Off[n]]
		} else {
			c.I64, c.Scale = c.I64[:c.Off[n]], c.Scale[:n]
		}
		c.Off = c.Off[:n+1]
	case TypeDec:
		c.I64, c.Scale = c.I64[:n], c.Scale[:n]
	case TypeFloat:
		c.F64 = c.F64[:n]
	default:
		c.I64 = c.I64[:n]
	}
	if w := n >> 6; w < len(c.Null) {
		c.Null[w] &= 1<<(n&63) - 1
		c.Null = c.Null[:w+1]
	}
}
