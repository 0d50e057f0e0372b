package sequence

import "github.com/pinova-group/tidemark/market"

// Out takes what Advance and Close give. They append; the caller resets. The holder
// owns all of it.
type Out struct {
	// Rows are the applied rows of each kind in the total order, with TS, Epoch, Seq
	// and Flags set, and among them what the sequencer itself writes: book keyframes
	// and status rows.
	Rows market.Chunk
	// Late are the late rows in arrival order, flagged. A late row without a venue
	// number gets one with the highest bit set.
	Late market.Chunk
	// Missed are the watermarks that the late rows of each kind lie at or behind, row by row.
	Missed [market.NumKinds][]int64
	// Dead are the rows that break a rule, in arrival order.
	Dead []Dead
	// Marks are set, not appended: no further in-time row of the kind has TS below its
	// mark. market.NoTime until something is known, math.MaxInt64 after Close.
	Marks [market.NumKinds]int64
}

// Reset empties the output and keeps its memory; marks stay.
func (o *Out) Reset() {
	o.Rows.Reset()
	o.Late.Reset()
	for k := range o.Missed {
		o.Missed[k] = o.Missed[k][:0]
	}
	o.Dead = o.Dead[:0]
}

// Dead is the dead letter of one row.
type Dead struct {
	Kind     market.Kind
	Row      uint32 // in the batch of its kind as it was pushed
	Feed     market.FeedID
	Shard    uint16
	Inst     market.Inst
	EventTS  int64
	IngestTS int64
	Seq      uint64
	ID       market.ID
	Reason   string // stable words, see the Reason constants
}

// Reasons of dead letters.
const (
	ReasonTime   = "event time out of range"
	ReasonAhead  = "event time too far ahead of ingest time"
	ReasonOrigin = "unknown book origin"
	ReasonSeq    = "book row without update id on a chained feed"
)

// reasons numbers them for snapshots; append only.
var reasons = []string{ReasonTime, ReasonAhead, ReasonOrigin, ReasonSeq}
