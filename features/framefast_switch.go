package features

import (
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/market/num"
)

// startFast lets columns take the rows of an entity over from the rings; false when some
// row in reach cannot be held so.
func (f *frames) startFast(e *framesState) bool {
	lv := &e.levels[1]
	rows := &lv.rows
	if rows.base < e.fast.bad {
		return false
	}
	e.fast.bad = rows.end()
	s := f.fast.empty()
	cells := make([][]uint64, len(s.args))
	for at := rows.base; at < rows.end(); at++ {
		for a := range s.args {
			cell, ok := f.ringValue(e, a, at)
			if !ok || !s.fits(f.fast, a, cell, at == rows.base) {
				return false
			}
			cells[a] = cell
		}
		row := rows.at(at)
		if f.fast.windows {
			s.start, s.end = append(s.start, 0), append(s.end, 0) // of a row that is out
		}
		s.pushRow(f.fast, int64(row[ringTS]), int64(row[levelAvail]), int64(row[levelHold]), uint8(row[levelFlags]),
			func(a int) []uint64 { return cells[a] })
		s.flag(int(at - rows.base))
	}
	if !s.bounded(0, 0) {
		return false
	}
	s.on, s.bad, s.done = true, rows.end(), len(s.ts)
	e.fast = s
	for k := range e.rings {
		e.rings[k] = ring{stride: e.rings[k].stride}
	}
	*lv = frameLevel{rows: ring{stride: levelWords}}
	return true
}

// ringValue is the cell of an argument of a row in the rings, false for none.
func (f *frames) ringValue(e *framesState, arg int, row uint64) (cell []uint64, ok bool) {
	for k, of := range f.fast.rings {
		r := &e.rings[k]
		if of.arg != arg || of.square {
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

// stopFast gives the rows that are out back to the rings, from which all else follows. No
// row may be held in columns.
func (f *frames) stopFast(e *framesState) {
	e.levels[1].rows, e.rings = f.ringsOf(e)
	fresh := f.empty()
	e.bests, e.frames = fresh.bests, fresh.frames
	*e.fast = fastState{}
}

// ringsOf are the rings of an entity, made if they are not kept: that of the rows of the first
// level and those of the values.
func (f *frames) ringsOf(e *framesState) (rows ring, rings []ring) {
	if e.fast == nil || !e.fast.on {
		return e.levels[1].rows, e.rings
	}
	s := e.fast
	fresh := f.empty()
	rows, rings = fresh.levels[1].rows, fresh.rings
	first := s.first[f.fast.longest]
	number := e.rows - uint64(s.done-first)
	rows.base = number
	var x op.Val
	for at := first; at < s.done; at++ {
		row := rows.push(s.ts[at], number)
		row[levelAvail], row[levelHold] = uint64(s.best[bestAvail].vals[at]), uint64(s.best[bestHold].vals[at])
		row[levelFlags] = uint64(s.flags[at])
		for k, of := range f.fast.rings {
			entry := rings[k].push(s.ts[at], number)
			if of.arg >= 0 {
				s.load(&x, of.arg, at)
				if of.square {
					x.W, x.S = num.Square(x.W.Int64()).Int192(), 2*x.S
				}
				op.PutInput(entry[ringHead:], &x, op.KExact, op.KNull)
			}
		}
		number++
	}
	return rows, rings
}
