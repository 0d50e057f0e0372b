package features

import (
	"math"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
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
	e.fast.bad = f.fast.badUntil(rows.end())
	s := f.fast.empty()
	cells, wide := make([][]uint64, len(s.args)), make([][]uint64, len(s.wide))
	for at := rows.base; at < rows.end(); at++ {
		for a := range s.args {
			cell, ok := f.ringValue(e, fastRing{arg: a}, at)
			if !ok || !s.fits(f.fast, a, cell, at == rows.base) {
				return false
			}
			cells[a] = cell
		}
		for d := range wide {
			wide[d], _ = f.ringValue(e, fastRing{arg: d, wide: true}, at)
		}
		if !s.ringWide(f.fast, func(d int) []uint64 { return wide[d] }) {
			return false
		}
		row := rows.at(at)
		if f.fast.windows {
			s.window(0, 0) // of a row that is out
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

// badUntil is how long an entity whose rows before one need programs cannot go without.
func (p *fastFrames) badUntil(row uint64) uint64 {
	if p.oneScale {
		return math.MaxUint64
	}
	return row
}

// noCell stands for a value of a row that is out and that no frame asks for.
var noCell = []uint64{1, 0, 0, 0}

// ringValue is the cell of an argument of a row in the rings, false for none.
func (f *frames) ringValue(e *framesState, want fastRing, row uint64) (cell []uint64, ok bool) {
	for k, of := range f.fast.rings {
		r := &e.rings[k]
		if of != want {
			continue
		}
		after := e.levels[1].rows.end() - row
		if r.n < after || r.at(r.end() - after)[ringRow] != row {
			return nil, false // a null is among the rows
		}
		return r.at(r.end() - after)[ringHead:], true
	}
	return noCell, !want.wide
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
		row[levelAvail], row[levelHold] = uint64(s.avail[at]), uint64(s.holdOf(at))
		row[levelFlags] = uint64(s.flags[at])
		for k, of := range f.fast.rings {
			entry := rings[k].push(s.ts[at], number)
			switch {
			case of.arg < 0:
				continue
			case of.wide:
				s.loadWide(&x, of.arg, at)
			default:
				s.load(&x, of.arg, at)
			}
			if of.square {
				x.W, x.S = num.Square(x.W.Int64()).Int192(), 2*x.S
			}
			op.PutInput(entry[ringHead:], &x, op.KExact, op.KNull)
		}
		number++
	}
	return rows, rings
}

// toColumns takes the entity's records over as far as they fit, whole instants; false when
// the oldest does not.
func (v *viewState) toColumns(i int32) bool {
	s := v.columns(i)
	if s == nil {
		return false
	}
	p, l := v.frames.fast, &v.slots[i].held
	n := v.fitRecords(s, l.head)
	if n == 0 {
		return s.done < len(s.ts)
	}
	s.room(p, n)
	for range n {
		r := v.held.pop(l)
		rec := v.held.rec(r)
		if p.windows {
			s.window(int64(rec[plan.HeldStart]), int64(rec[plan.HeldEnd]))
		}
		s.row(int64(v.held.node(r)[nodeAt]), int64(rec[plan.MetaAvail]), int64(rec[plan.MetaHold]), uint8(rec[plan.MetaFlags]))
		v.held.release(r)
	}
	s.pushArgs(p, n)
	return true
}

// fitRecords is how many records of a list fit, whole instants; the plan has their columns.
func (v *viewState) fitRecords(s *fastState, r uint32) int {
	p := v.frames.fast
	p.times = p.times[:0]
	for a := range p.kept {
		p.kept[a].x, p.kept[a].scales = p.kept[a].x[:0], p.kept[a].scales[:0]
	}
	n := 0
	for ; r != 0; r = v.held.next(r) {
		p.times = append(p.times, int64(v.held.node(r)[nodeAt]))
		if !p.keep(v.held.rec(r)) {
			break
		}
		n++
	}
	copy(p.in, p.kept)
	if n = s.fit(p, n); n == len(p.times) {
		return n
	}
	for n > 0 && p.times[n-1] == p.times[n] {
		n--
	}
	return n
}

// keep adds the values of a record to the columns on their way in; false when one has no column.
func (p *fastFrames) keep(rec []uint64) bool {
	for a, in := range p.args {
		cell := rec[in.Cell:][:4]
		x, scale := int64(cell[1]), int8(cell[0]>>8)
		if cell[0]&0xff != 1 || cell[2] != uint64(x>>63) || cell[3] != cell[2] || scale > num.MaxScale {
			return false
		}
		k := &p.kept[a]
		k.x, k.scales = append(k.x, x), append(k.scales, scale)
	}
	return true
}
