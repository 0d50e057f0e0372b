package explain

import (
	"math/big"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

// Bars and sessions begin with a row: where they lie is only known from the rows before
// them, back to the last multiple of their reset.

// begun works out the bars or sessions of one entity from an instant on that end before
// the input does.
func (x *evaluator) begun(v *lang.View, in *series, from int64) []*computed {
	var out []*computed
	s := newSeries(v, in.entity) // the rows, those divided as their parts
	first := 0                   // of the open window
	done := func(end, rowTS int64, key market.Key) {
		if rowTS >= from && rowTS <= x.to && rowTS <= x.last {
			c := &computed{v: v, entity: s.entity, start: s.rows[first].ts, end: end, rowTS: rowTS, key: key, s: s, lo: first, hi: len(s.rows)}
			x.fill(c)
			out = append(out, c)
		}
		first = len(s.rows)
	}
	sums := running{v: v, s: s, have: map[int]value{}}
	for _, row := range in.rows {
		if n := len(s.rows); n > first {
			if end, rowTS := closes(v, s.rows[first].ts, s.rows[n-1].ts); row.ts > rowTS {
				done(end, rowTS, afterAll(rowTS))
				sums.have = map[int]value{}
			}
		}
		for more := true; more; {
			var rest item
			row, rest, more = sums.divide(row)
			s.rows = append(s.rows, row)
			if v.Window.Kind == lang.Bar && sums.full(first) {
				key := row.key
				if v.Parent != nil {
					key = afterAll(row.ts)
				}
				done(row.ts, row.ts, key)
				sums.have = map[int]value{}
			}
			row = rest
		}
	}
	if n := len(s.rows); n > first {
		end, rowTS := closes(v, s.rows[first].ts, s.rows[n-1].ts)
		done(end, rowTS, afterAll(rowTS))
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
	s    *series
	have map[int]value
}

// full reports whether the newest of the rows of a bar closes it.
func (r *running) full(first int) bool {
	n := len(r.s.rows)
	seen := map[int]bool{}
	ok, _ := eval(r.v.Window.Cut, func(leaf *lang.Node) value {
		if leaf.Op != lang.NAgg {
			return unknown{}
		}
		a := r.v.Aggs[leaf.Index]
		if a.Fn != "sum" && a.Fn != "count" {
			return aggregate(r.v, a, &window{s: r.s, lo: first, hi: n, start: r.s.rows[first].ts, end: r.s.rows[n-1].ts}).v
		}
		if !seen[leaf.Index] {
			seen[leaf.Index] = true
			r.have[leaf.Index] = plus(r.have[leaf.Index], aggregate(r.v, a, &window{s: r.s, lo: n - 1, hi: n}).v)
		}
		return r.have[leaf.Index]
	}).(bool)
	return ok
}

// divide cuts a row at the size of the bar, where the view asks for it: the part that fills
// the bar and what is left; false when the row is whole.
func (r *running) divide(in item) (part, rest item, divided bool) {
	if !r.v.Window.Split {
		return in, in, false
	}
	of := r.v.Window.Cut.Args[0].Index
	column := &r.v.Columns[r.v.Aggs[of].Args[0].Index]
	got, ok := in.column(column).(*big.Rat)
	if !ok {
		return in, in, false
	}
	need := exact(r.v.Window.Cut.Args[1].Const.Dec)
	if have, ok := r.have[of].(*big.Rat); ok {
		need.Sub(need, have)
	}
	if got.Cmp(need) <= 0 {
		return in, in, false
	}
	part, rest = in, in
	part.divided, rest.divided = column.Name, column.Name
	part.part, rest.part = need, new(big.Rat).Sub(got, need)
	return part, rest, true
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
