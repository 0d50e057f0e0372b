package features

import (
	"fmt"

	"github.com/pinova-group/tidemark/market"
)

// cols are columns of one kind, grouped so that rows of an entity stand together: those
// of a batch itself, or gathered from it.
type cols struct {
	n          int
	ts, raw    []int64
	ingest     []int64
	feed       []market.FeedID
	flags      []uint8
	seq        []uint64
	inst       []market.Inst
	c          []market.Col
	hasNull    []bool // by payload column
	gatherable []int  // payload columns that the plan reads
}

// run is consecutive rows of one entity.
type run struct {
	ent    uint32
	lo, hi int
}

// view makes c show the rows of a batch without copying.
func (c *cols) view(b *market.Batch) {
	c.n, c.ts, c.raw, c.ingest, c.feed = b.N, b.TS, b.EventTS, b.IngestTS, b.Feed
	c.flags, c.seq, c.inst, c.c = b.Flags, b.Seq, b.Inst, b.Cols
}

// check reports the first column whose length is not that of the batch, or whose
// offsets would reach outside it.
func checkBatch(b *market.Batch) error {
	n := b.N
	if n < 0 || len(b.TS) != n || len(b.EventTS) != n || len(b.IngestTS) != n || len(b.Feed) != n ||
		len(b.Flags) != n || len(b.Seq) != n || len(b.Inst) != n || len(b.Cols) != len(market.Schema(b.Kind)) {
		return fmt.Errorf("push %s: envelope columns differ in length", b.Kind)
	}
	for i, f := range market.Schema(b.Kind) {
		c := &b.Cols[i]
		ok := true
		switch f.Type {
		case market.TypeDec:
			ok = len(c.I64) == n && len(c.Scale) == n
		case market.TypeText:
			ok = n == 0 || len(c.Off) == n+1 && int(c.Off[n]) <= len(c.Bytes)
		case market.TypeDecs:
			ok = n == 0 || len(c.Off) == n+1 && int(c.Off[n]) <= len(c.I64)
		case market.TypeFloat:
			ok = len(c.F64) == n
		default:
			ok = len(c.I64) == n
		}
		if !ok {
			return fmt.Errorf("push %s: column %s is not %d rows long", b.Kind, f.Name, n)
		}
	}
	return nil
}

// nulls notes which columns hold a null at all.
func (c *cols) nulls(src []market.Col) {
	c.hasNull = c.hasNull[:0]
	for i := range src {
		any := false
		for _, w := range src[i].Null {
			any = any || w != 0
		}
		c.hasNull = append(c.hasNull, any)
	}
}

// gather fills c with the rows of src in the order of perm. Payload columns not in
// c.gatherable stay empty.
func (c *cols) gather(src *cols, kind market.Kind, perm []int32) {
	n := len(perm)
	c.n = n
	c.ts, c.raw, c.ingest = grow(c.ts, n), grow(c.raw, n), grow(c.ingest, n)
	c.feed, c.flags, c.seq, c.inst = grow(c.feed, n), grow(c.flags, n), grow(c.seq, n), grow(c.inst, n)
	for i, p := range perm {
		c.ts[i], c.ingest[i] = src.ts[p], src.ingest[p]
		c.feed[i], c.flags[i], c.inst[i] = src.feed[p], src.flags[p], src.inst[p]
	}
	for i, p := range perm {
		c.raw[i], c.seq[i] = src.raw[p], src.seq[p]
	}
	for len(c.c) < len(src.c) {
		c.c = append(c.c, market.Col{})
	}
	schema := market.Schema(kind)
	for _, k := range c.gatherable {
		gatherCol(&c.c[k], &src.c[k], schema[k].Type, perm, src.hasNull[k])
	}
	c.hasNull = append(c.hasNull[:0], src.hasNull...)
}

func gatherCol(d, s *market.Col, t market.Type, perm []int32, hasNull bool) {
	n := len(perm)
	switch t {
	case market.TypeDec:
		d.I64, d.Scale = grow(d.I64, n), grow(d.Scale, n)
		for i, p := range perm {
			d.I64[i], d.Scale[i] = s.I64[p], s.Scale[p]
		}
	case market.TypeText:
		d.Bytes, d.Off = d.Bytes[:0], append(d.Off[:0], 0)
		for _, p := range perm {
			d.Bytes = append(d.Bytes, s.Text(int(p))...)
			d.Off = append(d.Off, int32(len(d.Bytes)))
		}
	case market.TypeDecs: // books are read by their own operators
	case market.TypeFloat:
		d.F64 = grow(d.F64, n)
		for i, p := range perm {
			d.F64[i] = s.F64[p]
		}
	default:
		d.I64 = grow(d.I64, n)
		for i, p := range perm {
			d.I64[i] = s.I64[p]
		}
	}
	d.Null = d.Null[:0]
	if hasNull {
		for i, p := range perm {
			if s.IsNull(int(p)) {
				d.SetNull(i)
			}
		}
	}
}

// grow gives s the length n, keeping its memory when that suffices.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/2)
	}
	return s[:n]
}
