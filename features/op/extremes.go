package op

// Min and max compare values exactly, whatever their scales. Of equal ones the first
// stays, so that 1.5 and 1.50 do not depend on how inputs were cut.

func extremeFold(a *Acc, st []uint64, v *Val, _ int64, _ *Scratch) bool {
	if st[0] == 0 || beats(cmpCell(st, v, a.Kind), a.Fn) {
		putCell(st, v, a.Kind)
	}
	return true
}

func extremeMerge(a *Acc, st, newer []uint64, sc *Scratch) bool {
	if newer[0] == 0 {
		return true
	}
	if st[0] != 0 {
		getCell(&sc.v, newer, a.Kind)
		if !beats(cmpCell(st, &sc.v, a.Kind), a.Fn) {
			return true
		}
	}
	copy(st, newer)
	return true
}

// beats tells from the comparison of what is kept with a newcomer who stays.
func beats(c int, f Func) bool { return f == Min && c > 0 || f == Max && c < 0 }
