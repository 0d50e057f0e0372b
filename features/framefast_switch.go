package features

import "github.com/pinova-group/tidemark/features/op"

// startFast takes the rows of an entity over from the rings; false when some row in reach
// cannot be held so.
func (f *frames) startFast(e *framesState) bool {
	rows, s := &e.levels[1].rows, e.fast
	if rows.base < s.bad {
		return false
	}
	*s = *f.fast.empty()
	s.bad = rows.end()
	s.cells.base = rows.base
	for k := range s.start {
		s.start[k] = rows.base
	}
	for p := rows.base; p < rows.end(); p++ {
		ts := int64(rows.at(p)[ringTS])
		if len(f.fast.cells) == 0 {
			s.cells.push(ts, p)
		}
		for a := range f.fast.cells {
			x, ok := f.ringValue(e, a, p)
			if !ok || !s.fitsCell(a, x, p == rows.base) {
				return false
			}
			s.push(f.fast, a, p, int64(x[1]), ts)
		}
	}
	if !s.bounded(0) {
		return false
	}
	for k := range e.rings {
		e.rings[k] = ring{stride: e.rings[k].stride}
	}
	s.on = true
	return true
}

// ringValue is the cell of an argument of a row in the rings, false for none.
func (f *frames) ringValue(e *framesState, arg int, row uint64) (cell []uint64, ok bool) {
	for k, a := range f.fast.ringArg {
		r := &e.rings[k]
		if a != arg {
			continue
		}
		after := e.levels[1].rows.end() - row
		if r.n < after || r.at(r.end() - after)[ringRow] != row {
			return nil, false // a null is among the rows
		}
		return r.at(r.end() - after)[ringHead:], true
	}
	return nil, false
}

// stopFast gives the rows back to the rings, from which all else follows.
func (f *frames) stopFast(e *framesState) {
	e.rings = f.ringsOf(e)
	*e.fast = fastState{}
	fresh := f.empty()
	e.bests, e.frames = fresh.bests, fresh.frames
}

// ringsOf are the rings of an entity, made if they are not kept.
func (f *frames) ringsOf(e *framesState) []ring {
	if e.fast == nil || !e.fast.on {
		return e.rings
	}
	s := e.fast
	rings := f.empty().rings
	var x op.Val
	for p := s.cells.base; p < s.cells.end(); p++ {
		ts := int64(s.cells.at(p)[ringTS])
		for k, a := range f.fast.ringArg {
			entry := rings[k].push(ts, p)
			if a >= 0 {
				x.SetDec(s.before(e, p+1, a)-s.before(e, p, a), s.scale[a])
				op.PutInput(entry[ringHead:], &x, op.KExact, op.KNull)
			}
		}
	}
	return rings
}
