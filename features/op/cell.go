package op

import (
	"math"

	"github.com/pinova-group/tidemark/market/num"
)

// CellWords is the length of a cell for values of a kind. A cell holds one value: a word with
// 1 in bit 0 when there is one and the scale above it, then the value: three words exact,
// one a float or truth value; the second word of a text is its holder's.
func CellWords(k Kind) int { return cellLen(k) }

// PutCell keeps v, which is not null and neither a ratio nor a text.
func PutCell(st []uint64, v *Val, k Kind) { putCell(st, v, k) }

// GetCell sets v to what a cell holds, null when it is empty.
func GetCell(v *Val, st []uint64, k Kind) { getCell(v, st, k) }

// ValidCell reports whether words read from outside can be a cell.
func ValidCell(st []uint64, k Kind) bool { return validCell(st, k) }

// Scales of what Column does not give.
const (
	NoWord  int8 = -1 // a number of more than one word, or a sum that does not fit
	NoValue int8 = -2 // null: nothing was folded
)

// HasColumn tells that Column may give what the accumulator holds.
func (a *Acc) HasColumn() bool {
	switch a.Fn {
	case Count:
		return true
	case Sum, First, Last, Min, Max:
		return a.Kind == KExact
	}
	return false
}

// Column is what the accumulator holds in records that lie one after the other, m × 10^-s, where that is a number of one
// word: what Load gives without a register. Word rows of a record is its number of rows. HasColumn must hold.
func (a *Acc) Column(recs []uint64, stride, rows int, m []int64, s []int8) {
	s = s[:len(m)]
	switch a.Fn {
	case Count:
		for i := range m {
			m[i], s[i] = int64(recs[i*stride+a.Off]), 0
		}
	case Sum:
		for i := range m {
			st := recs[i*stride+a.Off:][:num.SumWords]
			scale, ok := num.SumFits(st, int64(recs[i*stride+rows]))
			m[i], s[i] = int64(st[0]), int8(scale)
			if ext := uint64(m[i] >> 63); !ok || st[1] != ext || st[2] != ext {
				s[i] = NoWord
			}
		}
	default:
		for i := range m {
			st := recs[i*stride+a.Off:][:4]
			m[i], s[i] = int64(st[1]), int8(st[0]>>8)
			if ext := uint64(m[i] >> 63); st[0] == 0 {
				s[i] = NoValue
			} else if st[2] != ext || st[3] != ext {
				s[i] = NoWord
			}
		}
	}
}

func cellLen(k Kind) int {
	if k.Fixed() {
		return 4
	}
	return 2
}

func cellWords(a *Acc) int { return keptLen(a.Kind) }

func putCell(st []uint64, v *Val, k Kind) {
	switch k {
	case KExact, KQ60, KQ120:
		st = st[:4]
		st[0] = 1 | uint64(v.S)<<8
		st[1], st[2], st[3] = v.W[0], v.W[1], v.W[2]
	case KFloat:
		st[0], st[1] = 1, math.Float64bits(v.F)
	case KText:
		putText(st, v.T)
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
	case KExact, KQ60, KQ120:
		st = st[:4]
		v.S = int8(st[0] >> 8)
		v.W[0], v.W[1], v.W[2] = st[1], st[2], st[3]
	case KFloat:
		v.F = math.Float64frombits(st[1])
	case KText:
		getText(v, st)
	default:
		v.I = int64(st[1])
	}
}

func cellLoad(a *Acc, st []uint64, v *Val, _ int64, _ *Scratch) { getCell(v, st, a.Kind) }

func cellValid(a *Acc, st []uint64) bool { return validCell(st, a.Kind) }

func validCell(st []uint64, k Kind) bool {
	switch k {
	case KExact, KQ60, KQ120:
		w := num.Int192(st[1:4])
		return st[0] == 0 || st[0]&0xff == 1 && st[0]>>8 <= maxScale && w.BitLen() <= maxBits
	case KFloat:
		f := math.Float64frombits(st[1])
		return st[0] == 0 || st[0] == 1 && f-f == 0
	case KText:
		return st[0] == 0 || validText(st)
	}
	return st[0] == 0 || st[0] == 1 && st[1] <= 1
}

// cmpCell compares a cell that holds a value with v.
func cmpCell(st []uint64, v *Val, k Kind) int {
	switch k {
	case KExact, KQ60, KQ120:
		w := num.Int192(st[1:4])
		return cmpExact(&w, &v.W, int8(st[0]>>8), v.S)
	case KFloat:
		f := math.Float64frombits(st[1])
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
