package gen

import (
	"fmt"

	"github.com/pinova-group/tidemark/market"
)

// Verdict is what must become of a record.
type Verdict uint8

// The verdicts.
const (
	Applied Verdict = iota
	Late
	Duplicate
	DeadLetter

	numVerdicts
)

var verdictNames = [numVerdicts]string{"applied", "late", "duplicate", "dlq"}

func (v Verdict) String() string {
	if v < numVerdicts {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// Truth is the verdict on one record.
type Truth struct {
	Verdict Verdict
	Reason  string // why, when not applied
	Kind    market.Kind
	Row     int32 // in the chunk's batch of the kind
	Feed    market.FeedID
	Inst    market.Inst
	Shard   uint16
	EventTS int64
	Seq     uint64 // trade id, update id, …
}

// Notice is a hole in the numbers of a trade tape or book chain: From to To are not
// among the rows in time before the row that follows it.
type Notice struct {
	Kind     market.Kind
	Feed     market.FeedID
	Inst     market.Inst
	From, To uint64
	Late     bool // some of them arrive, late
}

// Stats counts what was handed out, by verdict, and what was not.
type Stats struct {
	Records    int64
	ByVerdict  [numVerdicts]int64
	Missing    int64 // events that never arrive
	Gaps       int64 // notices
	Mismatch   int64 // records whose verdict by the rule is not what they were made for: always 0
	FirstEvent int64 // event time, market.NoTime before the first record
	LastEvent  int64
}

// watermark of a line: what lies at or below it is late.
func (m *Market) watermark(v *venue, k market.Kind, line uint16) int64 {
	w := market.NoTime
	if t := v.latest[k][line]; t != market.NoTime {
		w = t - v.f.Disorder
	}
	return max(w, v.mark[line]-1)
}

// verdict judges a record at its arrival by the rule of docs/design/0001-contracts.md,
// moves the line's clock, and checks that the verdict is the intended one.
func (m *Market) verdict(r *record) (Verdict, string) {
	v := m.venueOf(r)
	if r.kind == market.KindWatermark {
		v.mark[r.shard] = max(v.mark[r.shard], r.ts)
		return Applied, ""
	}
	if r.intent == intentCorrupt {
		return DeadLetter, faultNames[r.fault]
	}
	late := r.kind != market.KindStatus && r.ts <= m.watermark(v, r.kind, r.shard)
	v.latest[r.kind][r.shard] = max(v.latest[r.kind][r.shard], r.ts)
	switch {
	case r.intent == intentDuplicate:
		return Duplicate, "same id again"
	case late != (r.intent == intentLate):
		m.stats.Mismatch++
	}
	if late {
		return Late, "behind the watermark of its line"
	}
	return Applied, ""
}

var faultNames = [numFaults]string{
	"garbage", "cut short", "negative price", "time in seconds", "zero quantity", "event time one hour ahead",
}

// certain reports whether a late record's verdict is beyond doubt by now.
func (m *Market) certain(r *record) bool {
	return r.ts <= m.watermark(m.venueOf(r), r.kind, r.shard)-lateEdge
}

func (m *Market) venueOf(r *record) *venue {
	if r.inst < 0 {
		return &m.venues[-1-r.inst]
	}
	return &m.venues[m.insta[r.inst].venue]
}
