package op

// A pair is the two arguments of an accumulator as one value. It is null when one of
// them is, or, for accumulators that take what is there, when both are.

// NewPair makes v a pair of values that stay the caller's; they may change until the
// pair is folded.
func (v *Val) NewPair(x, y *Val) { v.pair = &[2]*Val{x, y} }

// Pair sets the null of a pair from its two values.
func (v *Val) setPair(x, y *Val, either bool) {
	if v.pair == nil {
		v.NewPair(x, y)
	}
	switch {
	case either && (!x.Null || !y.Null), !x.Null && !y.Null:
		v.Null, v.Ovf = false, false
	default:
		v.setNull(x.Null && x.Ovf || y.Null && y.Ovf)
	}
}
