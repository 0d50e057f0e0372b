package market

// Src is feed and kind in one number: feed<<8 | kind. It does not name the
// transport: socket, REST and bulk file of one feed share it, so that a gap filled
// over REST sorts into its place.
type Src uint32

// MakeSrc joins a feed and a kind.
func MakeSrc(f FeedID, k Kind) Src { return Src(uint32(f)<<8 | uint32(k)) }

// Feed is the feed part.
func (s Src) Feed() FeedID { return FeedID(s >> 8) }

// Kind is the kind part.
func (s Src) Kind() Kind { return Kind(s & 255) }

// Key is the total order of events, compared in this order: TS, Src, Inst, Epoch, Seq.
// No part of it is a wall clock or a rank. Inst is the permanent number of the
// instrument (Instruments.Number), not its handle.
//
// A keyframe has Epoch and Seq of the book row that it follows and TS of its grid
// point; a snapshot over REST may share its key with the delta that it follows.
type Key struct {
	TS    int64
	Seq   uint64
	Inst  uint32
	Epoch uint32
	Src   Src
}

// Compare orders keys: -1, 0 or 1.
func (k Key) Compare(o Key) int {
	switch {
	case k.TS != o.TS:
		return cmp(k.TS < o.TS)
	case k.Src != o.Src:
		return cmp(k.Src < o.Src)
	case k.Inst != o.Inst:
		return cmp(k.Inst < o.Inst)
	case k.Epoch != o.Epoch:
		return cmp(k.Epoch < o.Epoch)
	case k.Seq != o.Seq:
		return cmp(k.Seq < o.Seq)
	}
	return 0
}

func cmp(less bool) int {
	if less {
		return -1
	}
	return 1
}
