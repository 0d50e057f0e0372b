package lang

import (
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
	"github.com/pinova-group/tidemark/market/zone"
)

// TypeKind is the kind of a value in a checked expression.
type TypeKind uint8

// The types. Dec covers integers (scale 0) and decimals; Ratio is an exact quotient that
// is rounded once when stored; Q60 a logarithm as an integer with 60 fraction bits, Q120 a
// product of two with 120. Q60 and Q120 stay what they are when a decimal multiplies them.
const (
	TNull TypeKind = iota
	TBool
	TInt
	TDec
	TRatio
	TFloat
	TQ60
	TQ120
	TTime
	TDur
	TEnum
	TText
	TID
	TBook
	TList
	tBad // its problem has been reported; never in a Set
)

// Type is a type with what rides on it.
type Type struct {
	Kind     TypeKind
	Unit     string   // of numbers: "quote/base" (a price), "base", "quote", "us" (a time that is not whole), "" for a plain number
	Words    []string // of TEnum, by code
	Nullable bool

	// Fixed: a feature written as decimal(x, s), stored as decimal(38, Scale), rounded half
	// to even once. Other features read the exact value. Kind and Unit are those of x.
	Fixed bool
	Scale int8
}

// View is a checked view: every name resolved, every type known, parameters replaced by
// their values, let definitions put in place, macros expanded.
type View struct {
	Spec     *Spec
	Name     string
	Version  int
	Doc      string
	Kind     market.Kind   // input kind, KindNone when the input is a view
	Kinds    *market.Kinds // the table that Kind and those of Union and Joins are of
	Parent   *View         // input view, nil when the input is a kind
	By       []string      // entity columns
	Window   TypedWindow
	Where    *Node // row filter, nil for none
	Aggs     []*Agg
	Features []*Feature
	Rollup   bool              // states of the parent's aggregates are merged; Aggs and Features are the parent's
	Holds    bool              // rows are held until all inputs are complete: columns that are ratios are floats
	Empty    string            // omit, flat, nulls
	OnLate   string            // recompute, record
	Ingest   bool              // latest: a row counts when it is known, not when it happened
	Params   map[string]string // values in force, canonical text
	Alerts   []*TypedAlert

	Union    []UnionInput // the inputs of a union; Kind is that of the first
	Joins    []*TypedJoin
	Columns  []Column // input columns that Where and Aggs read, each once
	Reset    int64    // µs: scans that remember begin anew at its multiples; Never; 0 for none
	Warmup   int64    // µs before, from which those are fed
	Lookback int64    // µs: rows for [a, b) depend on input in [a - Lookback, b)
	Reach    int64    // µs: an event at t changes no row later than t + Reach

	Canonical   []byte   // canonical text, parameters at their values
	Operators   []string // those used, each with its semantics number
	Fingerprint [32]byte // Merkle hash over canonical text, parent, input schema and operator semantics
}

// TypedWindow is a window with its lengths in µs.
type TypedWindow struct {
	Kind    WindowKind
	Width   int64      // tumbling, rolling; session: the gap that ends it
	Every   int64      // rolling, latest: grid step
	Event   bool       // rolling: a window for each instant that has rows, no grid
	Origin  int64      // tumbling: start of a window, in local time of the zone
	Zone    *zone.Zone // tumbling: whose local time the grid is laid on, nil for UTC
	Member  string     // latest: the column that tells members apart; Width is the greatest age
	Listed  bool       // latest: members are those that instrument events list
	Members bool       // latest: a row for each member, whose column is the last of View.By
	Carry   int64      // see below

	Cut   *Node // bar: true after the row that closes it; over NAgg and constants
	Split bool  // bar: Cut is sum(column) ≥ size, and the column of that row is cut
	Reset int64 // bar, session, clock: at its multiples the open window is closed
	Clock *View // clock: its rows are the ticks

	// Carry bounds how far the last event of an entity is felt beyond its window: empty
	// windows that begin at most Carry after it are emitted (Empty flat or nulls), and
	// time_mean takes its value into a window that begins at most Carry after it. It is as
	// written, else a day when Empty is flat or nulls, else 0: then time_mean begins with
	// the first event of the window.
}

// Grid is the windows of a tumbling window.
func (w *TypedWindow) Grid() zone.Grid {
	return zone.Grid{Width: w.Width, Origin: w.Origin, Zone: w.Zone}
}

// Of a view whose parent is a view, ts is the parent's row_ts, and columns that are ratios
// or logarithms keep their exact type.

// Column is an input column by name: a payload field of the kind, an envelope column
// (ts, ingest_ts, event_ts, seq, feed, exchange, market, symbol, base, quote), or a
// column of the parent view (its entity columns, window_start, window_end, row_ts,
// available_at, or a feature).
type Column struct {
	Name  string
	Type  Type
	Book  *BookColumn // of the order book; nil for the others
	Join  int         // of alias.column: the place in View.Joins, counted from 1
	Input int         // of alias.column in a union: the place in View.Union, counted from 1
}

// Agg is one accumulator, shared by all features that use it: the function, its row
// expressions and its filter. Canonical is its key for sharing: two of one input and one
// entity key with the same text have the same state.
//
// Types of arguments: sum, mean, var, std and time_mean take TInt, TDec, TDur, TQ60 and
// TQ120 only, so that they are exact; first, last, min and max of a TRatio store it as a float64
// rounded once (Type TFloat). Types of results: count and distinct TInt; sum, first, last,
// min, max that of the argument; mean, time_mean and var TRatio; std and quantile TFloat.
type Agg struct {
	Fn        string // first last min max sum count mean var std time_mean distinct quantile …
	Args      []*Node
	Where     *Node   // nil for none
	P         num.Dec // quantile: which
	Approx    num.Dec // quantile: relative error, 0 when it is exact
	DDof      int     // var, std, cov: 1 unless given
	Max, Step int64   // lead: greatest lag and grid of lags, µs
	Over      TypedFrame
	Type      Type // of the result
	Canonical string
}

// Feature is one output column.
type Feature struct {
	Name string
	Node *Node // over NAgg, NFeature and constants
	Type Type  // as computed
}

// NodeOp is the operation of a typed node.
type NodeOp uint8

// The operations.
const (
	NConst   NodeOp = iota
	NColumn         // Index into View.Columns; Fn is its name
	NAgg            // Index into View.Aggs
	NFeature        // Index into View.Features, always less than that of the feature it stands in: a reference forward is put in place
	NWindowStart
	NWindowEnd
	NNeg
	NNot
	NAnd
	NOr
	NEq
	NNe
	NLt
	NLe
	NGt
	NGe
	NAdd
	NSub
	NMul
	NDiv
	NMod
	NIn     // Args[0] in Args[1:], all constants
	NIsNull // Not for is not null
	NIf     // Args cond, then, else
	NClock  // feature Index of the tick that ends the interval; Fn is its name
	NRank   // place of Args[0] among the members of a latest window: 1 the greatest, ties by name, nulls last
	NScan   // Fn: prev cum ema wilder ewm decay_sum since: Args[0] of the rows so far; the other Args are constants, defaults written out
	NCall   // Fn: abs sign min_of max_of clamp round floor sqrt ln exp coalesce; round has its digits as a constant Args[1] always
)

// Node is a typed expression. Nodes may be shared within a view and are never changed
// after Check.
//
// What the checker has done: constants are folded; x / c with a constant c whose inverse
// is a finite decimal is x * (1/c) when x is TInt, TDec or TDur (mid = (a + b) * 0.5 is a
// decimal); every other division is NDiv with type TRatio (TFloat when an operand is).
// Operands of one operator may differ in kind among TInt, TDec, TRatio, TQ60, TFloat:
// values count, and the type of the node says how the result is held. TDur * TInt and
// TTime ± TDur are integers of µs. A TNull constant takes the place of any type.
type Node struct {
	Op    NodeOp
	Type  Type
	Pos   Pos
	Index int
	Fn    string
	Not   bool
	Const Value
	Args  []*Node
}

// Value is a constant.
type Value struct {
	Null bool
	Dec  num.Dec // TDec; TInt, TDur, TTime, TEnum and TBool use Dec.M with scale 0
	Text string  // TText, TID
}

// Set is what Check returns: the views in evaluation order, parents first.
type Set struct {
	Views []*View
	Kinds *market.Kinds // those of the release and those that the specs define
}

// Semantics numbers what operators compute. A change of what one of them returns raises
// its number and with it the fingerprint of every view that uses it.
var Semantics = map[string]int{
	"number": 1, // decimals, ratios, nulls, comparisons, rounding to what is stored
	"div":    1,

	"count": 1, "sum": 1, "min": 1, "max": 1, "first": 1, "last": 1, "mean": 1, "var": 1, "std": 1,
	"time_mean": 1, "distinct": 1, "quantile": 1,
	"median": 1, "wmedian": 1, "skew": 1, "kurt": 1, "cov": 1, "corr": 1, "slope": 1,
	"hy": 1, "lead": 1, "argmin": 1, "argmax": 1, "any": 1, "all": 1,

	"abs": 1, "sign": 1, "min_of": 1, "max_of": 1, "clamp": 1, "round": 2, "floor": 1, "sqrt": 1, "ln": 2, "exp": 1, "coalesce": 1,

	"prev": 1, "cum": 1, "ema": 1, "wilder": 1, "ewm": 1, "decay_sum": 1, "since": 1,

	"rank": 1, "pct_rank": 1, "zscore": 1, "share": 1,

	"window.tumbling": 1, "window.rolling": 1, "window.latest": 1, "window.bar": 1, "window.session": 1, "window.clock": 1,

	"book.mid": 1, "book.spread": 1, "book.wmid": 1, "book.level": 1, "book.size": 1, "book.imbalance": 1, "book.depth": 1,
	"book.fill": 1, "book.slippage": 1, "book.vwap": 1, "book.slope": 1, "book.ofi": 1, "book.mlofi": 1,

	"join.asof": 1, "join.exact": 1, "union": 1,
}
