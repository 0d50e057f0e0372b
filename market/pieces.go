package market

// Piece is rows Lo..Hi of a batch.
type Piece struct {
	Src    *Batch
	Lo, Hi int
}

// AppendPieces appends rows of batches of b's kind, one piece after the other. It goes column
// by column, so that many short pieces cost little more than their values.
func (b *Batch) AppendPieces(ps []Piece) {
	b.Feed = appendPieces(b.Feed, ps, func(s *Batch) []FeedID { return s.Feed })
	b.Shard = appendPieces(b.Shard, ps, func(s *Batch) []uint16 { return s.Shard })
	b.Inst = appendPieces(b.Inst, ps, func(s *Batch) []Inst { return s.Inst })
	b.EventTS = appendPieces(b.EventTS, ps, func(s *Batch) []int64 { return s.EventTS })
	b.IngestTS = appendPieces(b.IngestTS, ps, func(s *Batch) []int64 { return s.IngestTS })
	b.Seq = appendPieces(b.Seq, ps, func(s *Batch) []uint64 { return s.Seq })
	b.HasSeq = appendPieces(b.HasSeq, ps, func(s *Batch) []bool { return s.HasSeq })
	b.ID = appendPieces(b.ID, ps, func(s *Batch) []ID { return s.ID })
	b.RawBytes = appendPieces(b.RawBytes, ps, func(s *Batch) []uint32 { return s.RawBytes })
	b.TS = appendPieces(b.TS, ps, func(s *Batch) []int64 { return s.TS })
	b.Epoch = appendPieces(b.Epoch, ps, func(s *Batch) []uint32 { return s.Epoch })
	b.Flags = appendPieces(b.Flags, ps, func(s *Batch) []uint8 { return s.Flags })
	for i, f := range b.Fields {
		at := b.N
		c := &b.Cols[i]
		for _, p := range ps {
			c.appendRows(&p.Src.Cols[i], f.Type, at, p.Lo, p.Hi)
			at += p.Hi - p.Lo
		}
	}
	for _, p := range ps {
		b.N += p.Hi - p.Lo
	}
}

func appendPieces[T any](dst []T, ps []Piece, of func(*Batch) []T) []T {
	for _, p := range ps {
		src := of(p.Src)
		if p.Hi == p.Lo+1 {
			dst = append(dst, src[p.Lo])
		} else {
			dst = append(dst, src[p.Lo:p.Hi]...)
		}
	}
	return dst
}
