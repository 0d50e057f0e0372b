package op

import (
	"slices"

	"github.com/pinova-group/tidemark/market/num"
)

// The weighted median: for each value the sum of its weights, as an integer of 24 digits
// after the point.
const (
	weightScale = 24
	weightBits  = 150 // longest weight, so that 2^40 of them add up
)

// weight is a weight as it is added up; false when it is less than 0, or has too many
// digits.
func weight(v *Val) (num.Int192, bool) {
	w, s := v.W, v.S
	ok := w.Sign() >= 0
	if s > weightScale {
		s = trimZeros(&w, s)
	}
	ok = ok && s <= weightScale && scaleUp(&w, int(weightScale-s))
	return w, ok && w.BitLen() <= weightBits
}

func weightedFold(a *Acc, st []uint64, v *Val, _ int64, sc *Scratch) bool {
	lo, hi, ok := orderKey(v.pair[0], a.Kind)
	w, fits := weight(v.pair[1])
	if ok && fits {
		st[0] = sc.sets(a).AddSum(st[0], lo, hi, 1, &w)
	}
	return ok && fits
}

func weightedUnfold(a *Acc, st []uint64, v *Val, _ int64, sc *Scratch) {
	lo, hi, _ := orderKey(v.pair[0], a.Kind)
	w, _ := weight(v.pair[1])
	st[0] = sc.sets(a).Remove(st[0], lo, hi, 1, &w)
}

// weightedLoad is the least value up to which more than half of the weight lies; where
// exactly half lies up to a value, the mean of it and the next that has weight. Null when
// all weights are 0.
func weightedLoad(a *Acc, st []uint64, v *Val, _ int64, sc *Scratch) {
	a.entries(st, sc)
	sc.rank = slices.DeleteFunc(sc.rank, func(r ranked) bool { return r.sum.Sign() == 0 })
	if len(sc.rank) == 0 {
		v.setNull(false)
		return
	}
	slices.SortFunc(sc.rank, compareRanked(a.Kind))
	var all num.Int192
	for i := range sc.rank {
		all.Add(&sc.rank[i].sum)
	}
	var twice num.Int192
	for i := range sc.rank {
		r := &sc.rank[i]
		twice.Add(&r.sum)
		twice.Add(&r.sum)
		switch c := twice.Cmp(&all); {
		case c > 0:
			setMean(v, r, r, a.Kind)
			return
		case c == 0:
			setMean(v, r, &sc.rank[i+1], a.Kind)
			return
		}
	}
}
