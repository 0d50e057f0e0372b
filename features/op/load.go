package op

import (
	"github.com/pinova-group/tidemark/market/num"
)

// Load sets v to what the accumulator holds; rows bounds the number of its inputs.
// Integral and Hist have methods of their own.
func (a *Acc) Load(v *Val, rec []uint64, rows int64, sc *Scratch) {
	st := rec[a.Off:]
	switch a.Fn {
	case Count:
		v.SetInt(int64(st[0]))
	case Distinct:
		v.SetInt(int64(sc.Sets.Len(st[0])))
	case Sum:
		w, scale, ok := num.SumValue(st, rows)
		v.Null, v.Ovf, v.W, v.S = !ok, !ok, w, int8(scale)
	default:
		getCell(v, st, a.Kind)
	}
}
