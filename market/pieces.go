package market

import "slices"

// Piece is rows Lo..Hi of a batch of a list, by its place there.
type Piece struct {
	Src, Lo, Hi int
}

// AppendPieces appends rows of batches of b's kind, one piece after the other. It goes column
// by column, so that many short pieces cost little more than their values.
func (b *Batch) AppendPieces(srcs []*Batch, ps []Piece) {
	n := 0
	for _, p := range ps {
		n += p.Hi - p.Lo
	}
	b.Feed = appendPieces(b.Feed, n, ps, srcs, func(s *Batch) []FeedID { return s.Feed })
	b.Shard = appendPieces(b.Shard, n, ps, srcs, func(s *Batch) []uint16 { return s.Shard })
	b.Inst = appendPieces(b.Inst, n, ps, srcs, func(s *Batch) []Inst { return s.Inst })
	b.EventTS = appendPieces(b.EventTS, n, ps, srcs, func(s *Batch) []int64 { return s.EventTS })
	b.IngestTS = appendPieces(b.IngestTS, n, ps, srcs, func(s *Batch) []int64 { return s.IngestTS })
	b.Seq = appendPieces(b.Seq, n, ps, srcs, func(s *Batch) []uint64 { return s.Seq })
	b.HasSeq = appendPieces(b.HasSeq, n, ps, srcs, func(s *Batch) []bool { return s.HasSeq })
	b.ID = appendPieces(b.ID, n, ps, srcs, func(s *Batch) []ID { return s.ID })
	b.RawBytes = appendPieces(b.RawBytes, n, ps, srcs, func(s *Batch) []uint32 { return s.RawBytes })
	b.TS = appendPieces(b.TS, n, ps, srcs, func(s *Batch) []int64 { return s.TS })
	b.Epoch = appendPieces(b.Epoch, n, ps, srcs, func(s *Batch) []uint32 { return s.Epoch })
	b.Flags = appendPieces(b.Flags, n, ps, srcs, func(s *Batch) []uint8 { return s.Flags })
	for i, f := range b.Fields {
		c := &b.Cols[i]
		switch f.Type {
		case TypeText, TypeDecs:
			for _, p := range ps {
				c.appendSized(&srcs[p.Src].Cols[i], f.Type, p.Lo, p.Hi)
			}
			if f.Type == TypeDecs {
				c.Scale = appendPieces(c.Scale, n, ps, srcs, func(s *Batch) []int8 { return s.Cols[i].Scale })
			}
		case TypeFloat:
			c.F64 = appendPieces(c.F64, n, ps, srcs, func(s *Batch) []float64 { return s.Cols[i].F64 })
		case TypeDec:
			c.Scale = appendPieces(c.Scale, n, ps, srcs, func(s *Batch) []int8 { return s.Cols[i].Scale })
			fallthrough
		default:
			c.I64 = appendPieces(c.I64, n, ps, srcs, func(s *Batch) []int64 { return s.Cols[i].I64 })
		}
		if slices.ContainsFunc(srcs, func(s *Batch) bool { return len(s.Cols[i].Null) > 0 }) {
			at := b.N
			for _, p := range ps {
				c.appendNulls(&srcs[p.Src].Cols[i], at, p.Lo, p.Hi)
				at += p.Hi - p.Lo
			}
		}
	}
	b.N += n
}

// appendPieces appends the n values of pieces of a column.
func appendPieces[T any](dst []T, n int, ps []Piece, srcs []*Batch, of func(*Batch) []T) []T {
	cols := make([][]T, len(srcs))
	for k, s := range srcs {
		cols[k] = of(s)
	}
	at := len(dst)
	dst = slices.Grow(dst, n)[:at+n]
	for _, p := range ps {
		src := cols[p.Src]
		if p.Hi == p.Lo+1 {
			dst[at] = src[p.Lo]
			at++
		} else {
			at += copy(dst[at:], src[p.Lo:p.Hi])
		}
	}
	return dst
}
