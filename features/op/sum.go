package op

import (
	"math"

	"github.com/pinova-group/tidemark/market/num"
)

// The sum of exact values is exact and free of order: see num.SumWords. Logarithms are
// added as integers.

func sumWords(*Acc) int { return num.SumWords }

func sumFold(_ *Acc, st []uint64, v *Val, _ int64, _ *Scratch) bool {
	if v.W.IsInt64() {
		num.SumAdd(st, int64(v.W[0]), v.S)
	} else {
		num.SumAddInt192(st, &v.W, v.S)
	}
	return true
}

func sumUnfold(_ *Acc, st []uint64, v *Val, _ int64, _ *Scratch) {
	if m := int64(v.W[0]); v.W.IsInt64() && m != math.MinInt64 {
		num.SumAdd(st, -m, v.S)
		return
	}
	w := v.W
	w.Neg()
	num.SumAddInt192(st, &w, v.S)
}

func sumMerge(_ *Acc, st, newer []uint64, _ *Scratch) bool {
	num.SumMerge(st, newer)
	return true
}

func sumLoad(_ *Acc, st []uint64, v *Val, rows int64, _ *Scratch) {
	scale, ok := num.SumFits(st, rows)
	v.Null, v.Ovf, v.S = !ok, !ok, int8(scale)
	v.W[0], v.W[1], v.W[2] = st[0], st[1], st[2]
}

func sumValid(_ *Acc, st []uint64) bool {
	return st[num.SumWords-1]&0xff <= maxScale && st[num.SumWords-1]>>8 < 1024
}
