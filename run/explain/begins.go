package explain

import (
	"math/big"
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

// Bars and sessions begin with a row: where they lie is only known from the rows before
// them, back to the last multiple of their reset.

// begins reports whether windows of a view begin with a row.
func begins(v *lang.View) bool {
	return v.Window.Kind == lang.Bar || v.Window.Kind == lang.Session
}

// explains reports whether a view's rows can be worked out again: windows of time, and of
// events also sessions and whole bars.
func (e *explainer) explains(v *lang.View) bool {
	switch v.Window.Kind {
	case lang.Tumbling, lang.Rolling:
		return !v.Window.Event
	case lang.Session, lang.Bar:
		return v == e.view && v.Parent == nil && !v.Window.Split
	}
	return false
}

// placeBegun takes the whole period of the reset: the row is found when the engine has it.
func (e *explainer) placeBegun() {
	p := e.view.Window.Reset
	e.low = market.FloorDiv(e.cfg.Time, p) * p
	e.high = e.low + p
	e.rowTS, e.from = e.high-1, e.low
}

// asked reports whether a row of the engine is of the time that was asked for.
func (e *explainer) asked(start, rowTS int64) bool {
	if begins(e.view) {
		return start <= e.cfg.Time && e.cfg.Time <= rowTS
	}
	return rowTS == e.rowTS
}

// settle narrows the window to that of the row that was found.
func (e *explainer) settle() {
	if begins(e.view) {
		e.rowTS, e.low, e.high = e.row.rowTS, e.row.start, e.row.rowTS+1
		e.out = slices.DeleteFunc(e.out, func(o LeftOut) bool { return o.ts < e.low || o.ts >= e.high })
	}
}

// begun works out the bars or sessions of one entity that end before the input does.
func begun(v *lang.View, g group, from, to, last int64) []computed {
	var out []computed
	first := 0 // of the open window
	done := func(next int, end, rowTS int64) {
		if next > first && rowTS >= from && rowTS <= to && rowTS <= last {
			c := computed{entity: g.entity, start: g.rows[first].ts, end: end, rowTS: rowTS, rows: g.rows[first:next]}
			c.fill(v, v, &window{rows: c.rows, before: g.rows[:first], start: c.start, end: end})
			out = append(out, c)
		}
		first = next
	}
	sums := running{v: v}
	for i := range g.rows {
		if i > first {
			if end, rowTS := closes(v, g.rows[first].ts, g.rows[i-1].ts); g.rows[i].ts > rowTS {
				done(i, end, rowTS)
				sums.reset()
			}
		}
		if v.Window.Kind == lang.Bar && sums.full(g.rows[first:i+1]) {
			done(i+1, g.rows[i].ts, g.rows[i].ts)
			sums.reset()
		}
	}
	if n := len(g.rows); n > first {
		end, rowTS := closes(v, g.rows[first].ts, g.rows[n-1].ts)
		done(n, end, rowTS)
	}
	return out
}

// closes is where a window ends if no more rows come: a session a gap after its last row,
// both at the next multiple of the reset.
func closes(v *lang.View, start, newest int64) (end, rowTS int64) {
	end = (market.FloorDiv(start, v.Window.Reset) + 1) * v.Window.Reset
	if v.Window.Kind == lang.Session {
		end = min(end, newest+v.Window.Width)
	}
	return end, end - 1
}

// running keeps what the expression that cuts a bar is made of, so that it can be looked
// at after each row; what is no sum or count is worked out over the bar again.
type running struct {
	v    *lang.View
	have map[int]value
}

func (r *running) reset() { r.have = map[int]value{} }

// full reports whether the last of the rows of a bar closes it.
func (r *running) full(rows []item) bool {
	if r.have == nil {
		r.reset()
	}
	one := &window{rows: rows[len(rows)-1:]}
	seen := map[int]bool{}
	ok, _ := eval(r.v.Window.Cut, func(n *lang.Node) value {
		if n.Op != lang.NAgg {
			return unknown{}
		}
		a := r.v.Aggs[n.Index]
		if a.Fn != "sum" && a.Fn != "count" {
			return aggregate(r.v, a, &window{rows: rows, start: rows[0].ts, end: rows[len(rows)-1].ts}).v
		}
		if !seen[n.Index] {
			seen[n.Index] = true
			r.have[n.Index] = plus(r.have[n.Index], aggregate(r.v, a, one).v)
		}
		return r.have[n.Index]
	}).(bool)
	return ok
}

// plus adds exact values; null adds nothing.
func plus(a, b value) value {
	x, okx := a.(*big.Rat)
	y, oky := b.(*big.Rat)
	switch {
	case okx && oky:
		return new(big.Rat).Add(x, y)
	case okx:
		return x
	}
	return b
}

// same reports whether a row that was worked out again is the one that the engine has.
func (e *explainer) same(c *computed) bool {
	return slices.Equal(c.entity, e.entity) && (!begins(e.view) || c.start == e.row.start && c.rowTS == e.row.rowTS)
}

// used are the events of a row, where its window does not say which they are.
func (e *explainer) used(c *computed) map[*Event]bool {
	if !begins(e.view) {
		return nil
	}
	m := map[*Event]bool{}
	for i := range c.rows {
		m[c.rows[i].ev] = true
	}
	return m
}
