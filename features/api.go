package features

import (
	"github.com/pinova-group/tidemark/market"
)

// Source is one spec file.
type Source struct {
	Name string // as problems shall name it
	Text []byte
}

// Options are what a compilation takes besides the specs.
type Options struct {
	Params map[string]string                // values that replace the defaults of params
	Feeds  *market.Feeds                    // declares hold and assumed lag of each feed; nil for the release's table
	Find   func(name string) ([]byte, bool) // text of a shipped view that a spec refers to; nil for none
	alone  bool                             // views share nothing: the twin of shared panes
}

// FieldType is how a feature is stored.
type FieldType uint8

// The stored types.
const (
	FieldF64     FieldType = iota + 1 // float64, correctly rounded once; never NaN or -0
	FieldI64                          // counts, times and durations in µs, enum codes
	FieldBool                         // 0 or 1 in I64
	FieldText                         // Bytes, Off
	FieldDecimal                      // 128-bit two's complement mantissa in Hi, Lo with Field.Scale digits after the point
)

// Field is one feature column of a view.
type Field struct {
	Name  string
	Type  FieldType
	Scale int8 // of FieldDecimal
	Doc   string
}

// Output is one view of a plan.
type Output struct {
	Name        string
	Version     int
	Fingerprint [32]byte
	Doc         string
	Entity      []string // entity columns
	Fields      []Field
	Alerts      []AlertDef

	// Rows with row_ts in [a, b) depend on input in [a-Lookback, b); an event at t changes
	// no row later than t+Reach (I2).
	Lookback, Reach int64
	// No row is later than the newest event and After; math.MaxInt64 for a view that gives rows without events.
	After            int64
	StateBytesPerKey int // bound of the records of one entity; Plan.StateBytes adds what goes by its rows, names and the room of slices
}

// Input is one kind of events that a plan reads, and the columns it reads of it:
// payload fields by their name, besides the envelope.
type Input struct {
	Kind     market.Kind
	Name     string // of the kind
	Columns  []string
	EventTS  bool  // times as they were sent are read, too
	Lookback int64 // the longest of the views fed by it
	Seq      bool  // some view reads seq, or the whole key of a row
}

// The flags of a row, one bit each.
const (
	FlagPartial   uint8 = 1 << iota // the window reaches past the end of the input
	FlagWarmup                      // the window reaches back before the warm-up was complete
	FlagGap                         // events are missing right before a contributing one
	FlagStale                       // carried forward
	FlagTruncated                   // cut by a bound (session max)
	FlagOverflow                    // a feature did not fit its type and is null
	FlagAssumed                     // a contributing event had no ingest time; its feed's assumed lag was taken
	FlagEmpty                       // no event in the window
)

var flagNames = [8]string{"partial", "warmup", "gap", "stale", "truncated", "overflow", "assumed", "empty"}

// FlagNames appends the names of the set bits, lowest first.
func FlagNames(dst []string, flags uint8) []string {
	for i, n := range flagNames {
		if flags>>i&1 == 1 {
			dst = append(dst, n)
		}
	}
	return dst
}

// Rows is columnar output, one ViewRows for each Output of the plan, in that order. The
// caller owns it and may reuse it: Reset keeps the memory.
type Rows struct {
	Views []ViewRows
}

// ViewRows are rows of one view, ordered by (RowTS, entity names). Times are µs UTC.
type ViewRows struct {
	Entity   []uint32 // number in the task; names by Task.EntityNames
	Start    []int64  // first instant of the window, of a rolling one the instant before the first
	End      []int64  // end of the window
	RowTS    []int64  // last instant that belongs to the row
	Avail    []int64  // max(End + hold, newest ingest time used): when the row could first be known
	Flags    []uint8
	Features []OutCol
	Alerts   []AlertRow // changes of alerts that these rows made, in the same order
}

// OutCol is one feature column. Which slices are in use follows from Field.Type.
type OutCol struct {
	F64   []float64
	I64   []int64
	Hi    []int64
	Lo    []uint64
	Bytes []byte
	Off   []int32  // N+1 offsets
	Null  []uint64 // bit i set: row i is null; may be shorter than the rows
}

// IsNull reports whether row i is null.
func (c *OutCol) IsNull(i int) bool {
	w := i >> 6
	return w < len(c.Null) && c.Null[w]>>(i&63)&1 == 1
}

// Len is the number of rows.
func (v *ViewRows) Len() int { return len(v.RowTS) }

// Reset empties the rows and keeps the memory.
func (r *Rows) Reset() {
	for i := range r.Views {
		v := &r.Views[i]
		v.Entity, v.Start, v.End, v.RowTS = v.Entity[:0], v.Start[:0], v.End[:0], v.RowTS[:0]
		v.Avail, v.Flags, v.Alerts = v.Avail[:0], v.Flags[:0], v.Alerts[:0]
		for j := range v.Features {
			c := &v.Features[j]
			c.F64, c.I64, c.Hi, c.Lo = c.F64[:0], c.I64[:0], c.Hi[:0], c.Lo[:0]
			c.Bytes, c.Off, c.Null = c.Bytes[:0], c.Off[:0], c.Null[:0]
		}
	}
}

// Len is the number of rows of all views.
func (r *Rows) Len() int {
	n := 0
	for i := range r.Views {
		n += r.Views[i].Len()
	}
	return n
}
