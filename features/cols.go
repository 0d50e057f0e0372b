package features

import (
	"fmt"
	"slices"

	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// cols are columns of one kind, grouped so that rows of an entity stand together: those
// of a batch itself, or gathered from it.
type cols struct {
	n       int
	ts, raw []int64
	ingest  []int64
	feed    []market.FeedID
	flags   []uint8
	seq     []uint64
	epoch   []uint32
	inst    []market.Inst
	c       []market.Col
	hasNull []bool // by payload column

	// What holds for all rows, so that it need not be looked at row by row.
	oneFeed  bool  // feed[0] is that of every row
	anyFlags uint8 // union of the flags
	bulk     bool  // no row has an ingest time
	gaps     bool  // some row has none

	// Of gathered columns: what is gathered, and memory.
	want     want
	sameFeed []market.FeedID
	noFlags  []uint8
	feedBuf  []market.FeedID
	flagsBuf []uint8
}

// want is what a set of views reads of rows, besides what every row needs.
type want struct {
	payload               []int
	raw, seq, inst, epoch bool
}

// add enters the inputs of a view.
func (w *want) add(v *plan.View, kind market.Kind) {
	if v.Keyed {
		w.seq, w.inst, w.epoch = true, true, true
	}
	w.inst = w.inst || slices.ContainsFunc(v.Joins, func(j plan.Join) bool { return j.AtRows })
	w.inputs(columnsOf(v, kind))
}

// columnsOf are the columns that a view reads of a kind: in a union each input has its own.
func columnsOf(v *plan.View, kind market.Kind) []plan.Input {
	if v.Union == nil {
		return v.Inputs
	}
	return slices.DeleteFunc(slices.Clone(v.Inputs), func(in plan.Input) bool { return in.Union > 0 && v.Union[in.Union-1] != kind })
}

func (w *want) inputs(ins []plan.Input) {
	for _, in := range ins {
		switch r := in.Ref; {
		case r.Source == plan.Payload:
			if !slices.Contains(w.payload, r.Index) {
				w.payload = append(w.payload, r.Index)
			}
		case r.Source == plan.RawTime:
			w.raw = true
		case r.Source == plan.SeqNumber:
			w.seq = true
		case r.OfInstrument():
			w.inst = true
		}
	}
}

// run is consecutive rows of one entity.
type run struct {
	ent    uint32
	lo, hi int
}

// view makes c show the rows of a batch without copying.
func (c *cols) view(b *market.Batch, payload []market.Col) {
	c.n, c.ts, c.raw, c.ingest, c.feed = b.N, b.TS, b.EventTS, b.IngestTS, b.Feed
	c.flags, c.seq, c.inst, c.epoch, c.c = b.Flags, b.Seq, b.Inst, b.Epoch, payload
	least := c.ingest[0]
	for _, t := range c.ingest {
		least = min(least, t)
	}
	c.oneFeed, c.anyFlags = b.OneFeed(), b.AnyFlags()
	c.gaps = least == market.NoTime
	c.bulk = c.gaps && !slices.ContainsFunc(c.ingest, func(t int64) bool { return t != market.NoTime })
	c.hasNull = c.hasNull[:0]
	for i := range payload {
		c.hasNull = append(c.hasNull, slices.ContainsFunc(payload[i].Null, func(w uint64) bool { return w != 0 }))
	}
}

// sameFeed tells whether all rows have the feed of the first.
func sameFeed(feed []market.FeedID) bool {
	first, diff := feed[0], market.FeedID(0)
	for _, f := range feed {
		diff |= f ^ first
	}
	return diff == 0
}

// check reports the first column whose length is not that of the batch, or whose
// offsets would reach outside it.
func checkBatch(b *market.Batch, fields []market.Field) error {
	n := b.N
	if n < 0 || len(b.TS) != n || len(b.EventTS) != n || len(b.IngestTS) != n || len(b.Feed) != n ||
		len(b.Flags) != n || len(b.Seq) != n || len(b.Epoch) != n || len(b.Inst) != n || len(b.Cols) != len(fields) {
		return fmt.Errorf("push %s: envelope columns differ in length", b.Kind)
	}
	for i, f := range fields {
		c := &b.Cols[i]
		var ok bool
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

// gather fills c with the rows of src in the order of perm, as far as they are wanted.
func (c *cols) gather(src *cols, fields []market.Field, perm []int32) {
	n := len(perm)
	c.n, c.oneFeed, c.anyFlags, c.bulk, c.gaps = n, src.oneFeed, src.anyFlags, src.bulk, src.gaps
	c.ts = take(c.ts, src.ts, perm)
	c.ingest = take(c.ingest, src.ingest, perm)
	if c.oneFeed {
		c.sameFeed = same(c.sameFeed, src.feed[0], n)
		c.feed = c.sameFeed[:n]
	} else {
		c.feedBuf = take(c.feedBuf, src.feed, perm)
		c.feed = c.feedBuf
	}
	if c.anyFlags == 0 {
		c.noFlags = same(c.noFlags, 0, n)
		c.flags = c.noFlags[:n]
	} else {
		c.flagsBuf = take(c.flagsBuf, src.flags, perm)
		c.flags = c.flagsBuf
	}
	if c.want.raw {
		c.raw = take(c.raw, src.raw, perm)
	}
	if c.want.seq {
		c.seq = take(c.seq, src.seq, perm)
	}
	if c.want.epoch {
		c.epoch = take(c.epoch, src.epoch, perm)
	}
	if c.want.inst {
		c.inst = take(c.inst, src.inst, perm)
	}
	for len(c.c) < len(src.c) {
		c.c = append(c.c, market.Col{})
	}
	for _, k := range c.want.payload {
		t := market.TypeDec // of the book
		if k < len(fields) {
			t = fields[k].Type
		}
		gatherCol(&c.c[k], &src.c[k], t, perm, src.hasNull[k])
	}
	c.hasNull = append(c.hasNull[:0], src.hasNull...)
}

// take puts the elements of src at perm into dst.
func take[T any](dst, src []T, perm []int32) []T {
	dst = grow(dst, len(perm))
	for i, p := range perm {
		dst[i] = src[p]
	}
	return dst
}

// same makes dst at least n times x; all of it is one value already.
func same[T comparable](dst []T, x T, n int) []T {
	if len(dst) >= n && (n == 0 || dst[0] == x) {
		return dst
	}
	dst = grow(dst, n)
	for i := range dst {
		dst[i] = x
	}
	return dst
}

func gatherCol(d, s *market.Col, t market.Type, perm []int32, hasNull bool) {
	switch t {
	case market.TypeDec:
		d.I64, d.Scale = take(d.I64, s.I64, perm), take(d.Scale, s.Scale, perm)
	case market.TypeText:
		d.Bytes, d.Off = d.Bytes[:0], append(d.Off[:0], 0)
		for _, p := range perm {
			d.Bytes = append(d.Bytes, s.Text(int(p))...)
			d.Off = append(d.Off, int32(len(d.Bytes)))
		}
	case market.TypeDecs: // books are read by their own operators
	case market.TypeFloat:
		d.F64 = take(d.F64, s.F64, perm)
	default:
		d.I64 = take(d.I64, s.I64, perm)
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

// grow gives s the length n, keeping its memory, not its content, when that suffices.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/2)
	}
	return s[:n]
}
