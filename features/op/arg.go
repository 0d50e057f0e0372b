package op

// Argmin and argmax keep two cells: the least or greatest x so far, and the value beside
// it. Of equal x the first stays.

func argWords(a *Acc) int { return cellLen(a.Kind) + keptLen(a.With) }

func argFold(a *Acc, st []uint64, v *Val, _ int64, _ *Scratch) bool {
	x, y := v.pair[0], v.pair[1]
	if !keeps(y, a.With) {
		return false
	}
	if st[0] == 0 || beats(cmpCell(st, x, a.Kind), a.extreme()) {
		putCell(st, x, a.Kind)
		putCell(st[cellLen(a.Kind):], y, a.With)
	}
	return true
}

func (a *Acc) extreme() Func {
	if a.Fn == ArgMin {
		return Min
	}
	return Max
}

func argMerge(a *Acc, st, newer []uint64, sc *Scratch) bool {
	if newer[0] == 0 {
		return true
	}
	if st[0] != 0 {
		getCell(&sc.v, newer, a.Kind)
		if !beats(cmpCell(st, &sc.v, a.Kind), a.extreme()) {
			return true
		}
	}
	copy(st, newer)
	return true
}

func argLoad(a *Acc, st []uint64, v *Val, _ int64, _ *Scratch) {
	getCell(v, st[cellLen(a.Kind):], a.With)
}

func argValid(a *Acc, st []uint64) bool {
	value := st[cellLen(a.Kind):]
	return validCell(st, a.Kind) && validCell(value, a.With) && (st[0] == 0) == (value[0] == 0)
}
