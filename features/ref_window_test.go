package features_test

import (
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

// span is the end of what the reference evaluates: rows below mark, or all when closed
// at last.
type span struct {
	mark   int64
	closed bool
	last   int64
}

// run evaluates all views over the events.
func (w *world) run(views []*lang.View, events []*event, s span) map[*lang.View][]refRow {
	out := map[*lang.View][]refRow{}
	for _, v := range views {
		out[v] = w.view(v, events, out, s)
	}
	return out
}

func (w *world) view(v *lang.View, events []*event, from map[*lang.View][]refRow, s span) []refRow {
	root := v
	for root.Rollup {
		root = root.Parent
	}
	if v.Window.Kind == lang.Latest {
		return w.latest(v, events, from, s)
	}
	ins, names := w.inputs(root, events, from)
	if v.Window.Kind == lang.Clock {
		return w.clock(v, ins, names, from[v.Window.Clock], s)
	}
	if v.Rollup && len(v.By) != len(root.By) {
		ins, names = regroup(v, root, ins, names)
	}
	var rows []refRow
	for k, in := range ins {
		var rs []refRow
		switch v.Window.Kind {
		case lang.NoWindow:
			rs = rowView(v, in, s)
		case lang.Tumbling:
			rs = tumbling(v, root, in, s)
		case lang.Rolling:
			rs = rollingRows(v, root, in, s)
		case lang.Bar:
			rs = barRows(v, in, s)
		case lang.Session:
			rs = sessionRows(v, in, s)
		}
		for i := range rs {
			rs[i].ent = names[k]
			if rs[i].key == (refKey{}) {
				rs[i].key = afterAll(rs[i].rowTS)
			}
		}
		rows = append(rows, rs...)
	}
	slices.SortStableFunc(rows, func(a, b refRow) int {
		if a.rowTS != b.rowTS {
			return int(min(max(a.rowTS-b.rowTS, -1), 1))
		}
		return slices.Compare(a.ent, b.ent)
	})
	return rows
}

// regroup joins entities of the root into those of a rollup with fewer columns.
func regroup(v, root *lang.View, ins map[string][]input, names map[string][]string) (map[string][]input, map[string][]string) {
	rows, ents := map[string][]input{}, map[string][]string{}
	for k, in := range ins {
		var ent []string
		for _, b := range v.By {
			ent = append(ent, names[k][slices.Index(root.By, b)])
		}
		key := ""
		for _, e := range ent {
			key += e + "\x00"
		}
		rows[key], ents[key] = append(rows[key], in...), ent
	}
	for k := range rows {
		slices.SortStableFunc(rows[k], func(a, b input) int { return int(min(max(a.ts-b.ts, -1), 1)) })
	}
	return rows, ents
}

func rowView(v *lang.View, in []input, s span) []refRow {
	var rows []refRow
	for _, x := range in {
		if !s.closed && x.ts >= s.mark {
			continue
		}
		r := refRow{start: x.ts, end: x.ts, rowTS: x.ts, hold: x.hold, flags: x.flags}
		if x.ofView {
			r.start, _ = ratInt(x.col("window_start"))
			r.end, _ = ratInt(x.col("window_end"))
		}
		r.avail = max(r.end+x.hold, x.avail)
		r.vals = finish(v, func(n *lang.Node) value {
			switch n.Op {
			case lang.NScan:
				return x.scan(n)
			case lang.NAgg:
				return x.group(n)
			}
			return x.col(v.Columns[n.Index].Name)
		})
		rows = append(rows, r)
	}
	return rows
}

func ratInt(v value) (int64, bool) {
	r, ok := v.(*big.Rat)
	if !ok || !r.IsInt() || !r.Num().IsInt64() {
		return 0, false
	}
	return r.Num().Int64(), true
}

func finish(v *lang.View, leaf func(*lang.Node) value) []value {
	var vals []value
	for _, f := range v.Features {
		vals = append(vals, eval(f.Node, func(n *lang.Node) value {
			if n.Op == lang.NFeature {
				return vals[n.Index]
			}
			return leaf(n)
		}))
	}
	return vals
}

// windowRow evaluates one window; before are the entity's rows ahead of it.
func windowRow(v, root *lang.View, in, before []input, start, end, rowTS int64) refRow {
	r := refRow{start: start, end: end, rowTS: rowTS}
	for _, x := range in {
		r.avail, r.hold = max(r.avail, x.avail), max(r.hold, x.hold)
		r.flags |= x.flags
	}
	if len(in) == 0 {
		r.flags, r.hold = features.FlagEmpty, before[len(before)-1].hold
	}
	r.avail = max(r.avail, end+r.hold)
	means := slices.ContainsFunc(root.Aggs, func(a *lang.Agg) bool { return a.Fn == "time_mean" })
	if n := len(before); n > 0 && (len(in) == 0 || means) && start-before[n-1].ts <= v.Window.Carry {
		r.avail = max(r.avail, before[n-1].avail)
	}
	aggs := make([]value, len(root.Aggs))
	for i, a := range root.Aggs {
		aggs[i] = aggValue(root, a, in, before, start, end, v.Window.Carry)
		if len(in) == 0 && v.Empty == "flat" {
			switch a.Fn {
			case "first", "last", "min", "max", "mean", "median":
				last := *a
				last.Fn = "last"
				aggs[i] = aggValue(root, &last, slices.DeleteFunc(slices.Clone(before), func(x input) bool { return start-x.ts > v.Window.Carry }), nil, 0, 0, 0)
			}
		}
	}
	of := append(slices.Clone(before), in...)
	joined := of[len(of)-1].join(&r, rowTS)
	r.vals = finish(root, func(n *lang.Node) value {
		switch n.Op {
		case lang.NColumn:
			return joined(n)
		case lang.NAgg:
			return aggs[n.Index]
		case lang.NWindowStart:
			return rat(start)
		}
		return rat(end)
	})
	return r
}

func tumbling(v, root *lang.View, in []input, s span) []refRow {
	w, o := v.Window.Width, v.Window.Origin
	starts := func(k int64) int64 { return k*w + o }
	var rows []refRow
	first := market.FloorDiv(in[0].ts-o, w)
	stop := market.FloorDiv(in[len(in)-1].ts-o, w)
	if z := v.Window.Zone; z != nil {
		starts = func(k int64) int64 { return clockStart(z.Name, k*w+o) }
		first, stop = first-market.Day/w-1, stop+market.Day/w+1
	}
	if v.Empty == "flat" || v.Empty == "nulls" {
		stop += v.Window.Carry/w + 2
	}
	for k := first; k <= stop; k++ {
		start, end := starts(k), starts(k+1)
		lo, hi := cut(in, start, end)
		if hi == 0 || start == end {
			continue
		}
		if lo == hi && ((v.Empty != "flat" && v.Empty != "nulls") || start-in[lo-1].ts > v.Window.Carry) {
			if hi < len(in) && v.Window.Zone == nil { // jump over the silence
				k = max(k, market.FloorDiv(in[hi].ts-o, w)-1)
			}
			continue
		}
		partial := false
		switch {
		case !s.closed && end > s.mark, s.closed && end > s.last+1 && lo == hi:
			continue
		case s.closed && end > s.last+1:
			partial = true
		}
		r := windowRow(v, root, in[lo:hi], in[:lo], start, end, end-1)
		if partial {
			r.flags |= features.FlagPartial
		}
		rows = append(rows, r)
	}
	return rows
}

var clocks sync.Map // what clockStart has found

// clockStart is the first instant at which clocks of a zone show a local time or a later one, by a walk through the
// minutes around it.
func clockStart(zone string, local int64) int64 {
	key := fmt.Sprint(zone, local)
	if t, ok := clocks.Load(key); ok {
		return t.(int64)
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		panic(err)
	}
	t := market.FloorDiv(local, market.Minute)*market.Minute - 26*market.Hour
	for ; ; t += market.Minute {
		if _, off := time.UnixMicro(t).In(loc).Zone(); t+int64(off)*market.Second >= local {
			break
		}
	}
	clocks.Store(key, t)
	return t
}

// cut finds the rows in [start, end).
func cut(in []input, start, end int64) (lo, hi int) {
	for lo < len(in) && in[lo].ts < start {
		lo++
	}
	hi = lo
	for hi < len(in) && in[hi].ts < end {
		hi++
	}
	return lo, hi
}

func rollingRows(v, root *lang.View, in []input, s span) []refRow {
	w, e := v.Window.Width, v.Window.Every
	var rows []refRow
	if v.Window.Event {
		for i, x := range in {
			if i+1 < len(in) && in[i+1].ts == x.ts || !s.closed && x.ts >= s.mark {
				continue
			}
			lo, hi := cut(in, x.ts-w+1, x.ts+1)
			rows = append(rows, windowRow(v, root, in[lo:hi], nil, x.ts-w, x.ts, x.ts))
		}
		return rows
	}
	stop := in[len(in)-1].ts + w + v.Window.Carry + 2*e
	limit := int64(1<<62 - 1)
	if s.closed {
		limit = -market.FloorDiv(-s.last, e) * e
	}
	for t := -market.FloorDiv(-in[0].ts, e) * e; t <= stop; t += e {
		if !s.closed && t >= s.mark || t > limit {
			break
		}
		lo, hi := cut(in, t-w+1, t+1)
		if lo == hi && ((v.Empty != "flat" && v.Empty != "nulls") || t-w-in[lo-1].ts > v.Window.Carry) {
			if hi < len(in) {
				t = max(t, -market.FloorDiv(-in[hi].ts, e)*e-e)
			}
			continue
		}
		r := windowRow(v, root, in[lo:hi], in[:lo], t-w, t, t)
		if s.closed && t > s.last {
			r.flags |= features.FlagPartial
		}
		rows = append(rows, r)
	}
	return rows
}
