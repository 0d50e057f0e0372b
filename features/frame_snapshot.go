package features

import (
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
)

// saveFrames writes the rings of a slot as far as a row from the mark on can see them:
// everything else of its frames follows from them. Numbers of rows are written as their
// distance from the next one, so that what has been forgotten does not show.
func (v *viewState) saveFrames(w *writer, i int32) {
	f := v.frames
	if f == nil {
		return
	}
	e := f.empty()
	if int(i) < len(f.state) && f.state[i] != nil {
		e = f.state[i]
	}
	mark := v.task.mark(v.p)
	first, rings := f.ringsOf(e)
	for l := 1; l < f.Levels; l++ {
		r := &e.levels[l].rows
		if l == 1 {
			r = &first
		}
		from := live(r, mark, f.keep[l])
		w.word(r.end() - from)
		for p := from; p < r.end(); p++ {
			w.word(r.at(p)[ringTS])
			w.words(r.at(p)[ringHead:])
		}
	}
	for k := range rings {
		r := &rings[k]
		from := live(r, mark, f.ringKeep[k])
		w.word(r.end() - from)
		for p := from; p < r.end(); p++ {
			w.word(r.at(p)[ringTS])
			w.word(e.rows - r.at(p)[ringRow])
			w.words(r.at(p)[ringHead:])
		}
	}
}

// live is the place of the first entry that a row at the mark can still see.
func live(r *ring, mark, keep int64) uint64 {
	p := r.base
	for p < r.end() && int64(r.at(p)[ringTS])+keep < mark {
		p++
	}
	return p
}

// loadFrames reads the rings of a slot and judges them.
func (v *viewState) loadFrames(r *reader, i int32) {
	f := v.frames
	if f == nil {
		return
	}
	e := f.of(i)
	for l := 1; l < f.Levels; l++ {
		rows := &e.levels[l].rows
		last := int64(0)
		for range r.count(8 * (levelWords - 1)) {
			ts := int64(r.word())
			row := rows.push(ts, 0)
			for k := ringHead; k < levelWords; k++ {
				row[k] = r.word()
			}
			r.bad = r.bad || ts < last || int64(row[levelHold]) < 0 || row[levelFlags] > 0xff
			last = ts
		}
		e.rows, e.last = max(e.rows, rows.n), max(e.last, last)
	}
	for l := 1; l < f.Levels; l++ {
		rows := &e.levels[l].rows
		v.renumber(rows, e.rows-rows.n)
	}
	for k := range e.rings {
		v.loadRing(r, e, k)
	}
	if e.rows == 0 {
		f.state[i] = nil
	}
}

// renumber gives the rows of a level their numbers, which are their places too.
func (v *viewState) renumber(rows *ring, first uint64) {
	old := *rows
	*rows = ring{stride: levelWords, base: first}
	for p := old.base; p < old.end(); p++ {
		copy(rows.push(0, 0), old.at(p))
		rows.at(rows.end() - 1)[ringRow] = rows.end() - 1
	}
}

func (v *viewState) loadRing(r *reader, e *framesState, k int) {
	g := &v.frames.Rings[k]
	rows := &e.levels[g.Level].rows
	next := rows.base
	for range r.count(8 * (ringHead + g.Words)) {
		ts, number := int64(r.word()), e.rows-r.word()
		if r.bad || number < next || number >= rows.end() || ts != int64(rows.at(number)[ringTS]) {
			r.bad = true
			return
		}
		next = number + 1
		entry := e.rings[k].push(ts, number)
		for j := range g.Words {
			entry[ringHead+j] = r.word()
		}
		r.bad = r.bad || g.Words > 0 && !op.ValidInput(entry[ringHead:], g.Kind, g.With)
	}
}

// framesBytes bounds what the frames of an entity hold besides their rings, whose length
// goes by the rows in the longest frame.
func framesBytes(p *plan.View) int {
	words := 0
	if f := p.Frames; f != nil {
		for i := range f.Frames {
			words += f.Frames[i].Stride + 2*len(f.Frames[i].Accs)
		}
		words += 8 * (len(f.Rings) + f.Levels)
	}
	return 8 * words
}
