package op

import (
	"math/big"

	"github.com/pinova-group/tidemark/market/num"
)

// Func is what an accumulator keeps: an index into Table.
type Func uint8

// The accumulators. Mean, variance and the like are programs over them.
const (
	Count    Func = iota + 1 // number of inputs
	Sum                      // exact sum
	First                    // first input in the total order
	Last                     // last input in the total order, and its event time
	Min                      // least input, of equal ones the first
	Max                      // greatest input, of equal ones the first
	Integral                 // value × time, for a time-weighted mean
	Distinct                 // multiset of inputs
	Hist                     // log-linear histogram
	Order                    // multiset of inputs that can be ranked: median, exact quantiles
	Weighted                 // sum of weights by value: weighted median

	LiveIntegral // value × time of a value that can end, and the time covered

	Moments   // sums of powers: skew, kurt
	Comoments // sums of products of a pair: cov, corr, slope
	ArgMin    // second value of the pair whose first is least
	ArgMax    // second value of the pair whose first is greatest
	Paths     // two irregular series: hy, lead
)

// Operator is the behaviour of one accumulator. Its state is a run of words, all zero
// when empty; the functions get exactly these words.
type Operator struct {
	Name  string
	Words func(a *Acc) int // length of the state

	// Fold takes one input, not null, at event time ts: the definition that kernels must
	// match. False when the input does not fit; it is then skipped. An accumulator of two
	// arguments takes a pair (KPair).
	Fold func(a *Acc, st []uint64, v *Val, ts int64, sc *Scratch) bool

	// Unfold takes an input that Fold took out of the state again, the oldest one first.
	// Nil for states that cannot. The bounds by which a sum tells an overflow stay those of
	// all inputs since the state was empty.
	Unfold func(a *Acc, st []uint64, v *Val, ts int64, sc *Scratch)

	// Void takes an input that is null, where that shows; nil where nulls do not count.
	Void func(a *Acc, st []uint64, ts int64) bool

	// Merge adds the state of newer inputs; false when something did not fit.
	Merge func(a *Acc, st, newer []uint64, sc *Scratch) bool

	// Sub takes part, a state whose inputs are all in st, out again. Nil for states that
	// cannot; those go through stacks of merges.
	Sub func(a *Acc, st, part []uint64, sc *Scratch)

	// Load sets v to what is held; rows bounds the number of inputs. Nil for states with
	// a method of their own.
	Load func(a *Acc, st []uint64, v *Val, rows int64, sc *Scratch)

	// Valid reports whether words read from outside can be a state: of one that owns a set,
	// whether they can be an entry of it.
	Valid func(a *Acc, st []uint64) bool

	Pair    bool // inputs are pairs
	Ordered bool // the order of inputs shows
	Owner   bool // the state owns a set, which must be freed
}

// Table lists the accumulators by Func. A change of what one of them returns raises the
// semantics number of the aggregates over it (lang.Semantics); a change of its words
// needs another magic of snapshots.
var Table = [...]Operator{
	Count: {Name: "count", Words: one, Fold: countFold, Unfold: countUnfold, Merge: countMerge, Load: countLoad, Valid: always},
	Sum:   {Name: "sum", Words: sumWords, Fold: sumFold, Unfold: sumUnfold, Merge: sumMerge, Load: sumLoad, Valid: sumValid},
	First: {Name: "first", Words: cellWords, Fold: firstFold, Merge: firstMerge, Load: cellLoad, Valid: cellValid, Ordered: true},
	Last:  {Name: "last", Words: lastWords, Fold: lastFold, Merge: lastMerge, Load: cellLoad, Valid: cellValid, Ordered: true},
	Min:   {Name: "min", Words: cellWords, Fold: extremeFold, Merge: extremeMerge, Load: cellLoad, Valid: cellValid},
	Max:   {Name: "max", Words: cellWords, Fold: extremeFold, Merge: extremeMerge, Load: cellLoad, Valid: cellValid},

	Integral: {Name: "integral", Words: integralLen, Fold: integralFold, Merge: integralMerge, Valid: integralValid, Ordered: true},
	Distinct: {Name: "distinct", Words: one, Fold: distinctFold, Unfold: distinctUnfold, Merge: setMerge, Sub: setSub, Load: distinctLoad, Valid: always, Owner: true},
	Hist:     {Name: "hist", Words: one, Fold: histFold, Unfold: histUnfold, Merge: setMerge, Sub: setSub, Valid: always, Owner: true},
	Order:    {Name: "order", Words: one, Fold: orderFold, Unfold: orderUnfold, Merge: setMerge, Sub: setSub, Load: orderLoad, Valid: orderValid, Owner: true},
	Weighted: {Name: "weighted", Words: one, Fold: weightedFold, Unfold: weightedUnfold, Merge: setMerge, Sub: setSub, Load: weightedLoad, Valid: orderValid, Pair: true, Owner: true},

	LiveIntegral: {Name: "live integral", Words: liveLen, Fold: liveFold, Void: liveVoid, Merge: liveMerge, Valid: liveValid, Ordered: true},

	Moments:   {Name: "moments", Words: momentsWords, Fold: momentsFold, Unfold: momentsUnfold, Merge: momentsMerge, Valid: momentsValid},
	Comoments: {Name: "comoments", Words: comomentsWords, Fold: comomentsFold, Unfold: comomentsUnfold, Merge: comomentsMerge, Valid: comomentsValid, Pair: true},
	ArgMin:    {Name: "argmin", Words: argWords, Fold: argFold, Merge: argMerge, Load: argLoad, Valid: argValid, Pair: true, Ordered: true},
	Paths:     {Name: "paths", Words: one, Fold: pathsFold, Unfold: pathsUnfold, Merge: pathsMerge, Sub: pathsSub, Valid: pathsValid, Pair: true, Ordered: true, Owner: true},
	ArgMax:    {Name: "argmax", Words: argWords, Fold: argFold, Merge: argMerge, Load: argLoad, Valid: argValid, Pair: true, Ordered: true},
}

func (f Func) String() string { return Table[f].Name }

func one(*Acc) int               { return 1 }
func always(*Acc, []uint64) bool { return true }

// Acc is one accumulator of a view: its operator and its place in the state record.
type Acc struct {
	Fn   Func
	Kind Kind // of the input as folded, of a pair its first value
	With Kind // second value of a pair, KNull for none
	Off  int  // first word in the record
	Bits int  // Hist: binary digits after the leading one that name a bucket; Moments: greatest power
}

// Scratch is memory that the accumulators of one task share.
type Scratch struct {
	Sets Sets
	bags Sets // with sums
	v    Val
	r    num.Rat
	rank []ranked
	big  [9]big.Int

	queues    Queues
	path      [2][]point
	pathScale [2]int8

	held, stood [VectorRows]int64 // values of lanes, and how long each held
}

// sets is where an accumulator that owns a set has it.
func (sc *Scratch) sets(a *Acc) *Sets {
	if a.Fn == Weighted {
		sc.bags.sums = true
		return &sc.bags
	}
	return &sc.Sets
}

// Words is the length of the state.
func (a *Acc) Words() int { return Table[a.Fn].Words(a) }

func (a *Acc) state(rec []uint64) []uint64 {
	n := a.Off + a.Words()
	return rec[a.Off:n:n]
}

// Owner reports whether the state owns a set: it is freed, and subtracted instead of
// merged in stacks.
func (a *Acc) Owner() bool { return Table[a.Fn].Owner }

// Fold takes one input, see Operator.
func (a *Acc) Fold(rec []uint64, v *Val, ts int64, sc *Scratch) bool {
	switch a.Fn { // the most frequent ones without a call through the table, here and below
	case Count:
		return countFold(a, rec[a.Off:], v, ts, sc)
	case Sum:
		return sumFold(a, rec[a.Off:], v, ts, sc)
	case Last:
		return lastFold(a, rec[a.Off:a.Off+lastWords(a)], v, ts, sc)
	}
	return Table[a.Fn].Fold(a, a.state(rec), v, ts, sc)
}

// CanUnfold reports whether inputs can be taken out one by one.
func (a *Acc) CanUnfold() bool { return Table[a.Fn].Unfold != nil }

// Unfold takes the oldest input out again, see Operator. Inputs that Fold did not take
// must not be given.
func (a *Acc) Unfold(rec []uint64, v *Val, ts int64, sc *Scratch) {
	if a.Fn == Sum {
		sumUnfold(a, rec[a.Off:], v, ts, sc)
		return
	}
	Table[a.Fn].Unfold(a, a.state(rec), v, ts, sc)
}

// Void takes a null, see Operator.
func (a *Acc) Void(rec []uint64, ts int64) bool {
	f := Table[a.Fn].Void
	return f == nil || f(a, a.state(rec), ts)
}

// Merge adds the state of newer to that of older, see Operator.
func (a *Acc) Merge(older, newer []uint64, sc *Scratch) bool {
	switch a.Fn {
	case Count:
		older[a.Off] += newer[a.Off]
		return true
	case Sum:
		num.SumMerge(older[a.Off:], newer[a.Off:])
		return true
	}
	return Table[a.Fn].Merge(a, a.state(older), a.state(newer), sc)
}

// Sub takes the inputs of part out of rec, see Operator.
func (a *Acc) Sub(rec, part []uint64, sc *Scratch) {
	Table[a.Fn].Sub(a, a.state(rec), a.state(part), sc)
}

// Load sets v to the value held, see Operator.
func (a *Acc) Load(v *Val, rec []uint64, rows int64, sc *Scratch) {
	switch a.Fn {
	case Count:
		countLoad(a, rec[a.Off:], v, rows, sc)
	case Sum:
		sumLoad(a, rec[a.Off:], v, rows, sc)
	case First, Last, Min, Max:
		cellLoad(a, rec[a.Off:], v, rows, sc)
	default:
		Table[a.Fn].Load(a, a.state(rec), v, rows, sc)
	}
}

// Valid checks words read from outside, see Operator.
func (a *Acc) Valid(rec []uint64) bool { return Table[a.Fn].Valid(a, a.state(rec)) }

// Free gives back what the state owns and empties it.
func (a *Acc) Free(rec []uint64, sc *Scratch) {
	st := a.state(rec)
	if a.Owner() {
		if a.Fn == Paths {
			sc.queues.Free(st[0])
		} else {
			sc.sets(a).Free(st[0])
		}
	}
	clear(st)
}

// SaveSet calls put with the words of each entry of the set that the state owns, in the
// order of keys, after the number of entries.
func (a *Acc) SaveSet(rec []uint64, sc *Scratch, put func(uint64)) {
	if a.Fn == Paths {
		h := a.state(rec)[0]
		put(uint64(sc.queues.Len(h)))
		for i := range sc.queues.Len(h) {
			for k := range queueEntry {
				put(sc.queues.At(h, i)[k])
			}
		}
		return
	}
	s := sc.sets(a)
	ents := s.Sorted(a.state(rec)[0])
	put(uint64(len(ents)))
	for i := range ents {
		e := &ents[i]
		put(e.Lo)
		put(e.Hi)
		put(e.N)
		for k := 0; s.sums && k < len(e.Sum); k++ {
			put(e.Sum[k])
		}
	}
}

// LoadEntry adds an entry read from outside to the set; false when it can be none.
func (a *Acc) LoadEntry(rec []uint64, sc *Scratch, get func() uint64) bool {
	st := a.state(rec)
	if a.Fn == Paths {
		e := [queueEntry]uint64{get(), get(), get(), get(), get()}
		if !pathsValid(a, e[:]) || st[0] != 0 && sc.queues.At(st[0], sc.queues.Len(st[0])-1)[0] > e[0] {
			return false
		}
		st[0] = sc.queues.Push(st[0], e)
		return true
	}
	s := sc.sets(a)
	e := Entry{Lo: get(), Hi: get(), N: get()}
	if s.sums {
		e.Sum = num.Int192{get(), get(), get()}
	}
	if e.N == 0 || !Table[a.Fn].Valid(a, []uint64{e.Lo, e.Hi, e.N, e.Sum[0], e.Sum[1], e.Sum[2]}) {
		return false
	}
	if s.sums {
		st[0] = s.AddSum(st[0], e.Lo, e.Hi, e.N, &e.Sum)
	} else {
		st[0] = s.Add(st[0], e.Lo, e.Hi, e.N)
	}
	return true
}
