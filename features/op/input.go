package op

// An input of an accumulator is kept as a cell, a pair as two, either of which may be empty.

// InputWords is the length of an input that is kept.
func InputWords(k, with Kind) int {
	if with == KNull {
		return cellLen(k)
	}
	return cellLen(k) + cellLen(with)
}

// PutInput keeps an input, which is not null, in words that are zero.
func PutInput(st []uint64, v *Val, k, with Kind) {
	if with == KNull {
		putCell(st, v, k)
		return
	}
	if x := v.pair[0]; !x.Null {
		putCell(st, x, k)
	}
	if y := v.pair[1]; !y.Null {
		putCell(st[cellLen(k):], y, with)
	}
}

// GetInput sets v to an input that was kept.
func GetInput(v *Val, st []uint64, k, with Kind) {
	if with == KNull {
		getCell(v, st, k)
		return
	}
	if v.pair == nil {
		v.NewPair(&Val{}, &Val{})
	}
	getCell(v.pair[0], st, k)
	getCell(v.pair[1], st[cellLen(k):], with)
	v.Null, v.Ovf = false, false
}

// ValidInput reports whether words read from outside can be an input.
func ValidInput(st []uint64, k, with Kind) bool {
	if with == KNull {
		return st[0] != 0 && validCell(st, k)
	}
	return validCell(st[:cellLen(k)], k) && validCell(st[cellLen(k):], with)
}

// Beats reports whether a kept value takes the place of an older one as the least (Min) or
// greatest (Max); v is scratch.
func (f Func) Beats(newer, older []uint64, k Kind, v *Val) bool {
	getCell(v, newer, k)
	return beats(cmpCell(older, v, k), f)
}
