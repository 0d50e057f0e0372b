package stale

import (
	"slices"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

// windows says how far changed input rows are felt in one view: through its scans and
// frames, and then through its window.
type windows struct {
	v      *lang.View
	levels []level
	scans  []scan
	at     map[*lang.Node]place
	carry  int64 // after the last event, -1 when nothing of it is taken along
}

// level is a layer of scans and, before all but the first, of frames over the one below.
// What a row comes from (available_at, flags) is kept for a layer as a whole, so that a frame
// takes all of the layer below along, whatever its argument is.
type level struct {
	frame int64 // the longest, how far a row is felt after its instant
	scans []int
}

// scan is a function of the rows so far: felt for keep µs, or until its reset. Rows of the
// warm-up before a reset are felt until the one after it.
type scan struct {
	keep          int64
	reset, warmup int64 // 0 for none
	args          []int // scans of the same level behind its argument
}

// place is the level of a value and the scans behind it on that level.
type place struct {
	level int
	scans []int
}

func newWindows(v *lang.View) *windows {
	w := &windows{v: v, at: map[*lang.Node]place{}, levels: []level{{}}, carry: -1}
	if v.Window.Kind == lang.Tumbling || v.Window.Kind == lang.Rolling {
		means := slices.ContainsFunc(v.Aggs, func(a *lang.Agg) bool { return a.Fn == "time_mean" })
		if v.Empty != "omit" || means {
			w.carry = v.Window.Carry
		}
	}
	if v.Rollup { // scans are the parent's
		return w
	}
	for _, a := range v.Aggs {
		w.agg(a)
	}
	for _, f := range v.Features {
		w.node(f.Node)
	}
	return w
}

// node enters the scans and frames of an expression.
func (w *windows) node(n *lang.Node) place {
	if n == nil {
		return place{}
	}
	if p, ok := w.at[n]; ok {
		return p
	}
	var p place
	switch n.Op {
	case lang.NFeature:
		p = w.node(w.v.Features[n.Index].Node)
	case lang.NAgg:
		p = w.agg(w.v.Aggs[n.Index])
	default:
		p = w.over(n.Args...)
	}
	if n.Op == lang.NScan {
		s := scan{args: p.scans}
		switch n.Fn {
		case "prev", "since":
			s.keep = n.Args[len(n.Args)-1].Const.Dec.M
		default:
			s.reset, s.warmup = w.v.Reset, w.v.Warmup
		}
		w.levels[p.level].scans = append(w.levels[p.level].scans, len(w.scans))
		p.scans = []int{len(w.scans)}
		w.scans = append(w.scans, s)
	}
	w.at[n] = p
	return p
}

// over is the place of what is made of some values: the highest of theirs.
func (w *windows) over(args ...*lang.Node) place {
	var p place
	for _, a := range args {
		x := w.node(a)
		if x.level > p.level {
			p = place{level: x.level}
		}
		if x.level < p.level {
			continue
		}
		for _, s := range x.scans {
			if !slices.Contains(p.scans, s) {
				p.scans = append(slices.Clip(p.scans), s)
			}
		}
	}
	return p
}

func (w *windows) agg(a *lang.Agg) place {
	p := w.over(append([]*lang.Node{a.Where}, a.Args...)...)
	if a.Over.Span == 0 {
		return p
	}
	p = place{level: p.level + 1}
	for len(w.levels) <= p.level {
		w.levels = append(w.levels, level{})
	}
	felt := a.Over.Span - 1 // (t − span, t]
	if a.Over.Rows > 0 {
		felt++ // none more than span older
	}
	w.levels[p.level].frame = max(w.levels[p.level].frame, felt)
	return p
}

// rows is the rows whose values change when those of r change: scans and frames look back.
func (w *windows) rows(r Range) Range {
	if len(w.scans) == 0 && len(w.levels) == 1 {
		return r
	}
	base := r
	ends := make([]int64, len(w.scans))
	for _, l := range w.levels {
		base = base.longer(l.frame)
		all := base
		for _, i := range l.scans { // those behind a scan come before it
			s, x := &w.scans[i], base
			for _, k := range s.args {
				x.To = max(x.To, ends[k])
			}
			if s.reset == 0 {
				x = x.longer(s.keep)
			} else {
				x.To = periodEnd(x.To, s.reset, s.warmup)
			}
			ends[i] = x.To
			all.To = max(all.To, x.To)
		}
		base = all
	}
	return base
}

// periodEnd is the end of the last period that feels the instant before end: its own, or
// the next one when it is in the warm-up of that.
func periodEnd(end, reset, warmup int64) int64 {
	if reset == lang.Never || end > forever-2*reset {
		return max(end, forever)
	}
	next := (market.FloorDiv(end-1, reset) + 1) * reset
	if end-1 >= next-warmup && warmup > 0 {
		next += reset
	}
	return next
}

// boundary is the reset of the window at or after end: bars, sessions and intervals of
// clocks depend on what was before only since the reset before.
func (w *windows) boundary(end int64) int64 { return periodEnd(end, w.v.Window.Reset, 0) }

// own is the row_ts of the windows that have input rows of r; false for none.
func (w *windows) own(r Range) (Range, bool) { return w.until(r, 0) }

// all is the same with the windows after them that carry something of these rows.
func (w *windows) all(r Range) (Range, bool) { return w.until(r, max(w.carry, 0)) }

func (w *windows) until(r Range, carry int64) (Range, bool) {
	t := &w.v.Window
	switch t.Kind {
	case lang.NoWindow:
		return r, true
	case lang.Tumbling:
		g := t.Grid()
		lo, hi := g.Index(r.From), g.Index(r.longer(carry).To-1) // one that begins at most carry after
		return Range{g.Start(lo), g.Start(hi + 1)}, true
	case lang.Rolling:
		if t.Event {
			return r.longer(t.Width - 1), true
		}
		if w.carry >= 0 {
			return w.snap(r.longer(t.Width + carry))
		}
		return w.snap(r.longer(t.Width - 1)) // (t − width, t]
	case lang.Latest:
		return w.snap(r.longer(t.Width))
	}
	to := w.boundary(r.To)
	if t.Kind == lang.Clock && w.v.Empty != "omit" { // ticks without events, while it was seen not longer ago than that
		to = max(to, r.longer(t.Reset).To)
	}
	return Range{r.From, to}, true
}

// snap is the part of r that rows of windows on a grid can have for row_ts; false for none.
func (w *windows) snap(r Range) (Range, bool) {
	t := &w.v.Window
	switch {
	case t.Kind == lang.Tumbling: // row_ts is the last instant of the window
		g := t.Grid()
		r.From, r.To = g.Start(g.Index(r.From)), g.Start(g.Index(r.To))
	case t.Kind == lang.Latest, t.Kind == lang.Rolling && !t.Event:
		r.From = -market.FloorDiv(-r.From, t.Every) * t.Every
		r.To = market.FloorDiv(r.To-1, t.Every)*t.Every + 1
	}
	return r, r.From < r.To
}
