package features

import (
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// A latest window is saved as its members in the order of names: names, then the rows that
// a grid point at or after the mark can use.

// firstPoint is the first grid point that has not been emitted.
func (v *viewState) firstPoint() int64 {
	mark := v.task.mark(v.p)
	if mark == market.NoTime {
		return market.NoTime
	}
	return v.gridAfter(mark)
}

// useful calls f for the rows of a member that points from first on can use.
func (v *viewState) useful(m *member, first int64, f func(node []uint64)) {
	l := v.latest
	for r := m.rows.head; r != 0; r = l.rows.next(r) {
		node := l.rows.node(r)
		after := l.rows.next(r)
		switch {
		case int64(node[nodeAt]) > first:
		case after != 0 && int64(l.rows.node(after)[nodeAt]) <= first: // a newer one counts
			continue
		case first-int64(node[nodeHead+latestTS]) > v.p.Window.Width:
			continue
		}
		f(node)
	}
}

func (v *viewState) saveLatest(w *writer) {
	l, first := v.latest, v.firstPoint()
	v.keys.ranks()
	order := make([]*member, len(v.keys.names))
	names := make([][]string, len(order))
	count, rows := 0, make([]int, len(order))
	for ent := range l.members {
		m, at := &l.members[ent], v.keys.rank[ent]
		v.useful(m, first, func([]uint64) { rows[at]++ })
		if rows[at] > 0 {
			count++
			order[at], names[at] = m, v.keys.names[ent][:len(v.keys.by)]
		}
	}
	w.word(uint64(count))
	for at, m := range order {
		if m == nil {
			continue
		}
		for _, name := range names[at] {
			w.text(name)
		}
		w.word(uint64(rows[at]))
		v.useful(m, first, func(node []uint64) {
			row := node[nodeHead:]
			w.word(node[nodeAt])
			w.words(row[:latestHead+l.Held])
			for _, j := range v.joins {
				if j.p.AtRows {
					w.text(j.names[row[latestHead+j.p.KeyWord]])
				}
			}
		})
	}
	if l.universe != nil {
		v.saveUniverse(w, first)
	}
}

func (v *viewState) loadLatest(r *reader) {
	l := v.latest
	for range r.count(40) {
		ns := make([]string, 0, len(v.keys.by)+len(v.keys.more))
		for range v.keys.by {
			ns = append(ns, string(r.text()))
		}
		if r.bad {
			return
		}
		ent := v.keys.number(v.keys.complete(ns))
		if int(ent) < len(l.members) && l.members[ent].rows.head != 0 {
			r.bad = true // the same member twice
			return
		}
		last := market.NoTime
		for range r.count(8 * (1 + latestHead)) {
			v.loadRowOf(r, ent, &last)
			if r.bad {
				return
			}
		}
	}
	if l.universe != nil {
		v.loadUniverse(r)
	}
	v.due = max(v.due, v.firstPoint())
}

// loadRowOf reads one row of a member, which counts from a later point than the one before.
func (v *viewState) loadRowOf(r *reader, ent uint32, last *int64) {
	grid, ts := int64(r.word()), int64(r.word())
	if r.bad || grid%v.p.Window.Every != 0 || grid <= *last || ts > grid || ts < market.MinEventTime || grid-ts > v.p.Window.Width {
		r.bad = true
		return
	}
	*last = grid
	row := v.latestRow(ent, grid, ts)
	for k := latestTS + 1; k < latestHead; k++ {
		row[k] = r.word()
	}
	if row[latestFlags] > 0xff {
		r.bad = true
	}
	for k := range v.p.Inputs {
		if v.latest.Key[k] == plan.Held {
			v.readCell(r, row[latestHead+v.latest.Cell[k]:], v.p.Inputs[k].Kind)
		}
	}
	for _, j := range v.joins {
		if j.p.AtRows {
			row[latestHead+j.p.KeyWord] = uint64(j.numberOf(string(r.text())))
		}
	}
}

// newestLatest is the time of the newest row that is in the state.
func (v *viewState) newestLatest() int64 {
	t, l := market.NoTime, v.latest
	for i := range l.members {
		if tail := l.members[i].rows.tail; tail != 0 {
			t = max(t, int64(l.rows.rec(tail)[latestTS]))
		}
	}
	return t
}
