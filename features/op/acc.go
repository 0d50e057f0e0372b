package op

import (
	"github.com/pinova-group/tidemark/market/num"
)

// Func is what an accumulator keeps.
type Func uint8

// The accumulators. Mean, variance and the like are programs over them.
const (
	Count    Func = iota + 1 // number of inputs
	Sum                      // exact sum
	First                    // first input in the total order
	Last                     // last input in the total order, and its event time
	Min                      // least input, of equal ones the first
	Max                      // greatest input, of equal ones the first
	Integral                 // value × time and time, for a time-weighted mean
	Distinct                 // multiset of inputs
	Hist                     // log-linear histogram
)

// Acc is one accumulator: a fixed run of words in a state record, all zero when empty.
type Acc struct {
	Fn   Func
	Kind Kind // of the input as folded
	Off  int  // first word in the record
	Bits int  // Hist: binary digits after the leading one that name a bucket
}

// Words is the length of the state.
func (a *Acc) Words() int {
	switch a.Fn {
	case Count, Distinct, Hist:
		return 1
	case Sum:
		return num.SumWords
	case Integral:
		return integralWords
	case Last:
		return cellWords(a.Kind) + 1
	}
	return cellWords(a.Kind)
}

// Variable reports whether the state owns a set, which has to be freed and can be
// subtracted instead of merged in stacks.
func (a *Acc) Variable() bool { return a.Fn == Distinct || a.Fn == Hist }

// Fold takes one input, not null, at event time ts. It is the definition that the
// kernels must match. It returns false when the input does not fit the state; the
// input is then skipped.
func (a *Acc) Fold(rec []uint64, v *Val, ts int64, sc *Scratch) bool {
	st := rec[a.Off:]
	switch a.Fn {
	case Count:
		st[0]++
	case Sum:
		num.SumAddInt192(st, &v.W, v.S)
	case First:
		if st[0] == 0 {
			putCell(st, v, a.Kind)
		}
	case Last:
		putCell(st, v, a.Kind)
		st[cellWords(a.Kind)] = uint64(ts)
	case Min, Max:
		if st[0] == 0 || beats(cmpCell(st, v, a.Kind), a.Fn) {
			putCell(st, v, a.Kind)
		}
	case Integral:
		return integralFold(st, v, ts)
	case Distinct:
		lo, hi := distinctKey(v, a.Kind)
		st[0] = sc.Sets.Add(st[0], lo, hi, 1)
	case Hist:
		b, ok := bucket(v, a.Bits)
		if !ok {
			return false
		}
		st[0] = sc.Sets.Add(st[0], uint64(b), uint64(b>>63), 1)
	}
	return true
}

// Merge adds the state of newer to that of older: every input of newer came after every
// input of older. It returns false when an integral does not fit.
func (a *Acc) Merge(older, newer []uint64, sc *Scratch) bool {
	st, o := older[a.Off:], newer[a.Off:]
	switch a.Fn {
	case Count:
		st[0] += o[0]
	case Sum:
		num.SumMerge(st, o)
	case First:
		if st[0] == 0 {
			copy(st[:cellWords(a.Kind)], o)
		}
	case Last:
		if o[0] != 0 {
			copy(st[:cellWords(a.Kind)+1], o)
		}
	case Min, Max:
		if o[0] == 0 {
			return true
		}
		if st[0] != 0 {
			getCell(&sc.v, o, a.Kind)
			if !beats(cmpCell(st, &sc.v, a.Kind), a.Fn) {
				return true
			}
		}
		copy(st[:cellWords(a.Kind)], o)
	case Integral:
		return integralMerge(st, o)
	case Distinct, Hist:
		st[0] = sc.Sets.Merge(st[0], o[0])
	}
	return true
}

// CarryLast gives rec, of a window that begins at start, the last value that older
// holds, unless that is older than carry: the rule of windows without events.
func (a *Acc) CarryLast(rec, older []uint64, start, carry int64) {
	o := older[a.Off : a.Off+a.Words()]
	if o[0] != 0 && start-int64(o[len(o)-1]) <= carry {
		copy(rec[a.Off:], o)
	}
}

// Expire empties what CarryLast and Mean would not take from rec into a window that
// begins at start.
func (a *Acc) Expire(rec []uint64, start, carry int64) {
	st := rec[a.Off : a.Off+a.Words()]
	switch a.Fn {
	case Last:
		if start-int64(st[len(st)-1]) > carry {
			clear(st)
		}
	case Integral:
		if start-int64(st[integralLast]) > carry {
			clear(st)
		}
	}
}

// Sub takes the inputs of o, a part of rec's, out of rec; for Variable accumulators.
func (a *Acc) Sub(rec, o []uint64, sc *Scratch) {
	rec[a.Off] = sc.Sets.Sub(rec[a.Off], o[a.Off])
}

// Free gives back what the state owns and empties it.
func (a *Acc) Free(rec []uint64, sc *Scratch) {
	if a.Variable() {
		sc.Sets.Free(rec[a.Off])
	}
	clear(rec[a.Off : a.Off+a.Words()])
}

// Scratch is memory that accumulators of one task share.
type Scratch struct {
	Sets Sets
	v    Val
	r    num.Rat
}

// A cell holds one value: a word with 1 in bit 0 when there is one and the scale above
// it, then the value: three words exact, one a float or truth value.
func cellWords(k Kind) int {
	switch k {
	case KExact, KQ60:
		return 4
	}
	return 2
}

func putCell(st []uint64, v *Val, k Kind) {
	switch k {
	case KExact, KQ60:
		st = st[:4]
		st[0] = 1 | uint64(v.S)<<8
		st[1], st[2], st[3] = v.W[0], v.W[1], v.W[2]
	case KFloat:
		st[0], st[1] = 1, floatBits(v.F)
	default:
		st[0], st[1] = 1, uint64(v.I)
	}
}

// getCell reads a cell into v, null when it is empty.
func getCell(v *Val, st []uint64, k Kind) {
	if st[0] == 0 {
		v.setNull(false)
		return
	}
	v.Null, v.Ovf = false, false
	switch k {
	case KExact, KQ60:
		v.S = int8(st[0] >> 8)
		v.W = num.Int192(st[1:4])
	case KFloat:
		v.F = floatOf(st[1])
	default:
		v.I = int64(st[1])
	}
}

// beats tells from the comparison of what is kept with a newcomer who stays.
func beats(c int, f Func) bool { return f == Min && c > 0 || f == Max && c < 0 }

// cmpCell compares a cell that holds a value with v.
func cmpCell(st []uint64, v *Val, k Kind) int {
	switch k {
	case KExact, KQ60:
		w := num.Int192(st[1:4])
		return cmpExact(&w, &v.W, int8(st[0]>>8), v.S)
	case KFloat:
		f := floatOf(st[1])
		switch {
		case f < v.F:
			return -1
		case f > v.F:
			return 1
		}
		return 0
	}
	return int(int64(st[1]) - v.I)
}

// Valid reports whether words read from outside can be a state: scales and bounds are in
// range, so that no later operation reads beyond a table.
func (a *Acc) Valid(rec []uint64) bool {
	st := rec[a.Off : a.Off+a.Words()]
	switch a.Fn {
	case Count, Distinct, Hist:
		return true
	case Sum:
		return validSum(st)
	case Integral:
		return validSum(st) && validCell(st[integralCell:], KExact)
	}
	return validCell(st, a.Kind)
}

func validSum(st []uint64) bool {
	return st[num.SumWords-1]&0xff <= maxScale && st[num.SumWords-1]>>8 < 1024
}

func validCell(st []uint64, k Kind) bool {
	switch k {
	case KExact, KQ60:
		w := num.Int192(st[1:4])
		return st[0] == 0 || st[0]&0xff == 1 && st[0]>>8 <= maxScale && w.BitLen() <= maxBits
	case KFloat:
		f := floatOf(st[1])
		return st[0] == 0 || st[0] == 1 && f-f == 0
	}
	return st[0] == 0 || st[0] == 1 && st[1] <= 1
}
