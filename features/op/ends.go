package op

// First and last follow the total order in which inputs are folded and states merged.
// Last has the event time of its input in one more word, for CarryLast.

func firstFold(a *Acc, st []uint64, v *Val, _ int64, _ *Scratch) bool {
	ok := keeps(v, a.Kind)
	if st[0] == 0 && ok {
		putCell(st, v, a.Kind)
	}
	return ok
}

func firstMerge(_ *Acc, st, newer []uint64, _ *Scratch) bool {
	if st[0] == 0 {
		copy(st, newer)
	}
	return true
}

func lastWords(a *Acc) int { return keptLen(a.Kind) + 1 }

func lastFold(a *Acc, st []uint64, v *Val, ts int64, _ *Scratch) bool {
	if !keeps(v, a.Kind) {
		return false
	}
	putCell(st, v, a.Kind)
	st[len(st)-1] = uint64(ts)
	return true
}

func lastMerge(_ *Acc, st, newer []uint64, _ *Scratch) bool {
	if newer[0] != 0 {
		copy(st, newer)
	}
	return true
}

// CarryLast gives rec, of a window that begins at start, the last value that older
// holds, unless that is older than carry: the rule of windows without events.
func (a *Acc) CarryLast(rec, older []uint64, start, carry int64) {
	o := a.state(older)
	if o[0] != 0 && start-int64(o[len(o)-1]) <= carry {
		copy(a.state(rec), o)
	}
}

// Expire empties what CarryLast and Mean would not take from rec into a window that
// begins at start.
func (a *Acc) Expire(rec []uint64, start, carry int64) {
	st := a.state(rec)
	switch a.Fn {
	case Last:
		if start-int64(st[len(st)-1]) > carry {
			clear(st)
		}
	case LiveIntegral:
		if start-int64(st[liveLast]) > carry {
			clear(st)
		}
	case Integral:
		if start-int64(st[integralLast]) > carry {
			clear(st)
		}
	}
}
