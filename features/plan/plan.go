// Package plan turns checked views into what the engine runs: row programs,
// accumulators with their place in a state record, finish programs, windows as a grid of
// panes, lookback and reach. It knows nothing of batches or tasks.
package plan

import (
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
	"github.com/pinova-group/tidemark/market/zone"
)

// Words of a state record before its accumulators. All of them merge without regard to
// order but those of the last row, which are the newer's.
const (
	MetaRows      = iota // rows that contributed
	MetaAvail            // newest ingest time, or event time + assumed lag
	MetaHold             // greatest disorder of the feeds that contributed
	MetaFlags            // flags of the row
	MetaLastTS           // event time of the last contributing row
	MetaLastHold         // disorder of its feed
	MetaLastAvail        // its own ingest time, or event time + assumed lag
	MetaWords
)

// View is one view ready to run.
type View struct {
	Lang   *lang.View
	Parent int         // index of the parent view, -1 when the input is a kind
	Kind   market.Kind // input kind, that of the root when the input is a view
	Kinds  Kinds       // all kinds that it depends on: it is complete below the least of their marks
	By     []Ref       // where the entity columns come from
	Rollup bool        // input are the parent's state records
	Hidden bool        // makes panes for other views, no rows

	Shape  Shape
	Window lang.TypedWindow
	Pane   int64      // µs, length of a pane
	Shift  int64      // panes are [i·Pane + Shift, (i+1)·Pane + Shift)
	Zone   *zone.Zone // in whose local time that is so, nil for UTC
	Panes  int64      // rolling: panes in a window
	Flat   bool       // empty windows carry last values
	Empty  bool       // empty windows are emitted (flat or nulls)
	Tail   bool       // the state of what came before the window is kept, for empty windows and time_mean

	Means bool // some accumulator is a time_mean

	Row    *op.Prog          // over the columns of one input row; nil when nothing needs it
	Slow   []op.Instr        // the part of it that accumulators without a kernel need
	Pick   []op.Instr        // the part of it that the row filter needs
	Inputs []Input           // columns that Row reads
	Book   []lang.BookColumn // columns of the book among them
	Where  int               // register of the row filter, -1 for none
	Late   bool              // the filter reads joined columns: it waits until the row is complete
	Joins  []Join
	Union  []market.Kind // by alias; KindNone of a view
	Of     []int         // by alias of a union: the view whose rows it has, -1 for events
	Bare   [][]Ref       // the same: what stands for each of Inputs that has no alias, nil for events
	Filter Filter        // a form of the row filter that needs no program for each row
	Args   []Arg         // of each accumulator
	Accs   []op.Acc
	Order  bool // some accumulator depends on the order of rows
	Stride int  // words of a state record

	Bars   *Bars   // of shape Bar
	Scans  *Scans  // nil when no program has steps or levels
	Frames *Frames // nil when a row view has no aggregates

	Instants bool // a row view that gives one row for all rows of an instant: a rolling window for each event

	Clock *Clock // of shape ClockTicks
	Ticks bool   // its rows are ticks of others
	KeyAt int    // of a bar that ticks: place of the key of its last row in the record, 0 for none

	Finish *op.Prog
	Loads  []Load
	Outs   []Out // one for each feature

	Hold  bool   // rows are held until the mark has passed them
	Keyed bool   // with their whole key
	Held  int    // words of a held row
	Cross *Cross // of a latest window

	Alerts Alerts

	Lookback, Reach int64
	Back            []int64 // lookback by kind, of views that join; nil where it is Lookback
	Listing         int64   // lookback for instrument events, where they say who is listed
}

// grid is the panes of a view.
func (v *View) grid() zone.Grid { return zone.Grid{Width: v.Pane, Origin: v.Shift, Zone: v.Zone} }

// PaneOf is the pane of an event at t, µs.
func (v *View) PaneOf(t int64) int64 {
	if v.Zone != nil {
		return v.grid().Index(t)
	}
	return market.FloorDiv(t-v.Shift, v.Pane)
}

// PaneStart is the first instant of a pane, µs.
func (v *View) PaneStart(i int64) int64 {
	if v.Zone != nil {
		return v.grid().Start(i)
	}
	return i*v.Pane + v.Shift
}

// PaneAfter is the pane that begins where a pane ends: not the next one when that has no instant.
func (v *View) PaneAfter(i int64) int64 {
	if v.Zone != nil {
		return v.PaneOf(v.PaneStart(i + 1))
	}
	return i + 1
}

// Filter is a row filter that reads the instrument alone (OfInstrument), or is Enum ==
// Code for a payload column (Enum ≥ 0).
type Filter struct {
	OfInstrument bool
	Enum         int
	Code         int64
}

// Shape is how a view turns rows into rows.
type Shape uint8

// The shapes.
const (
	RowView    Shape = iota // one row out for each row in
	Tumbling                // [start, end)
	Rolling                 // (t − width, t] for t on a grid
	Latest                  // the newest row of each member, for t on a grid
	Bar                     // until a row makes Cut true
	Session                 // until no row has come for Window.Width
	ClockTicks              // from one row of another view to the next
)

// Source is where a column comes from.
type Source uint8

// The sources. Index counts within them.
const (
	Payload    Source = iota // column Index of the batch
	EventTime                // ts
	RawTime                  // event_ts
	IngestTime               // ingest_ts, null when absent
	SeqNumber                // seq
	FeedName                 // feed
	Exchange                 // of the instrument
	VenueType                // market
	Symbol
	Base
	Quote
	OfEntity    // EntityColumns()[Index] of the parent view
	WindowStart // of the parent's row
	WindowEnd
	RowTime
	AvailTime
	Feature // feature Index of the parent's row
	Joined  // column Index of what Input.Join keeps
	Absent  // null: of another input of a union
)

// Ref is a column of the input.
type Ref struct {
	Source Source
	Index  int
	Name   string
	Words  []string // a text read as an enum: its words by code
}

// OfInstrument reports whether the column is the same for all rows of an instrument.
func (r Ref) OfInstrument() bool { return r.Source >= Exchange && r.Source <= Quote }

// Input loads a column into a register.
type Input struct {
	Ref   Ref
	Reg   int
	Kind  op.Kind
	Type  market.Type // of Payload
	Round bool        // a ratio of the parent, as the float64 nearest to it
	Cell  int         // its cell in a held row
	Book  bool        // worked out from the book: Index counts on behind the payload
	Join  int         // of Joined: which of View.Joins
	Union int         // of one input of a union: which, counted from 1
}

// Arg is what an accumulator folds: registers of the row program, -1 for none.
type Arg struct {
	Reg, Where int
	Fast       Fast
}

// LoadKind is what a register of the finish program is loaded with.
type LoadKind uint8

// The loads.
const (
	LoadAcc       LoadKind = iota // Acc.Load
	LoadMean                      // Acc.Mean
	LoadQuantile                  // Acc.Quantile of P
	LoadStart                     // window start
	LoadEnd                       // window end
	LoadEmpty                     // whether the row is of a window without events
	LoadTick                      // feature Acc of the tick
	LoadColumn                    // row views, members: column Acc of Inputs
	LoadRank                      // members: rank Acc of Ranks
	LoadStatistic                 // Acc.Statistic of Stat
	LoadJoined                    // windows: column Acc of Inputs, as of the row_ts of the row
)

// Load is one load of the finish program.
type Load struct {
	Kind LoadKind
	Reg  int
	Acc  int
	P    num.Dec
	Stat op.Statistic
}

// Stored is how a feature is stored.
type Stored uint8

// The stored types, numbered as the engine's field types are.
const (
	F64 Stored = iota + 1
	I64
	Bool
	Text
	Decimal
)

// Out is one feature: its register and how it is stored.
type Out struct {
	Reg   int
	Kind  op.Kind
	As    Stored
	Scale int8     // of Decimal
	Words []string // of an enum, stored as text
}

// Plan is a set of views, parents first.
type Plan struct {
	Views []*View // hidden ones behind the others
	Order []int   // of evaluation: a view after those that it reads

	Book []lang.BookColumn // columns of the book that the views read, each once

	Families [][]int // bar views that differ in size alone

	groups []*paneGroup // while panes are shared
}
