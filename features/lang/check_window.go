package lang

import (
	"fmt"
	"strings"
	"time"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/zone"
)

const (
	maxSpan  = 3660 * market.Day // longest window, carry, age
	maxPanes = 1_000_000         // grid points in a rolling window, windows in a carry
)

// duration is a duration above 0 known here, in µs.
func (v *viewChecker) duration(e *Expr, what string) (int64, bool) {
	n := v.expr(e, scope{consts: true, what: what})
	if isBadType(n) {
		return 0, false
	}
	switch {
	case n.Op != NConst || n.Type.Kind != TDur:
		v.problem(e.Pos, "want a duration such as 5m", "%s is %s", what, typeName(n.Type))
	case n.Const.Dec.M <= 0:
		v.problem(e.Pos, "want more than 0", "%s is %s", what, shortDuration(n.Const.Dec.M))
	case n.Const.Dec.M > maxSpan:
		v.problem(e.Pos, "want at most "+shortDuration(maxSpan), "%s is %s", what, shortDuration(n.Const.Dec.M))
	default:
		return n.Const.Dec.M, true
	}
	return 0, false
}

// option is a duration among the options of the window, 0 when absent.
func (v *viewChecker) option(key string) int64 {
	e := v.spec.Window.Opts[key]
	if e == nil || e.Op == OpName {
		return 0
	}
	us, _ := v.duration(e, key)
	return us
}

// need reports a bound that a window must have (F5).
func (v *viewChecker) need(key, want, why string) {
	if v.spec.Window.Opts[key] == nil && !v.spec.broken {
		v.problem(v.spec.Window.Pos, "want "+want, "%s window without %s %s", v.spec.Window.Kind, key, why)
	}
}

func (v *viewChecker) window() {
	w := v.spec.Window
	v.view.Window.Kind = w.Kind
	switch w.Kind {
	case NoWindow:
		return
	case Tumbling:
		v.tumbling()
		return
	case Rolling:
		v.rolling()
		return
	case Session:
		v.session()
		return
	case Bar:
		v.bar()
		return
	case Clock:
		v.clock()
	case Latest:
		v.latest()
	}
}

// tumbling windows are [start, end) on a grid from origin.
func (v *viewChecker) tumbling() {
	w, t := v.spec.Window, &v.view.Window
	t.Width, _ = v.duration(w.Main, "tumbling")
	t.Carry = v.carry()
	v.zone()
	if e := w.Opts["origin"]; e != nil && e.Op == OpString {
		parse, want := parseTime, "want 2024-01-01 or 2024-01-01T00:00:00Z, after 2000"
		if t.Zone != nil {
			parse, want = parseLocal, "want 2024-01-01 or 2024-01-01T17:00:00, the local time of the zone, after 2000"
		}
		origin, ok := parse(e.Text)
		if !ok {
			v.problem(e.Pos, want, "origin is %q", e.Text)
		}
		t.Origin = origin
	}
	if t.Width > 0 && v.view.Empty != "omit" && t.Carry/t.Width > maxPanes {
		v.problem(w.Pos, "want a shorter carry", "%d empty windows of %s in a carry of %s", t.Carry/t.Width, shortDuration(t.Width), shortDuration(t.Carry))
	}
}

// minZoned is the least width of windows of a zone: where clocks are set forth by an hour, one of an hour would have no
// instant, and the one before they are set back would be twice as long.
const minZoned = 2 * market.Hour

// zone is whose local time the grid is laid on.
func (v *viewChecker) zone() {
	e, t := v.spec.Window.Opts["zone"], &v.view.Window
	if e == nil || e.Op != OpString || e.Text == "UTC" {
		return
	}
	z, ok := zone.Load(e.Text)
	if !ok {
		remedy := "want a name of the IANA time zone database such as America/New_York, or UTC"
		if near := nearest(e.Text, zone.Names()); near != "" {
			remedy = "want " + near
		}
		v.problem(e.Pos, remedy, "unknown zone %q", e.Text)
		return
	}
	if t.Width > 0 && t.Width < minZoned {
		v.problem(v.spec.Window.Main.Pos, "want "+shortDuration(minZoned)+" or more, or zone: UTC, whose minutes are those of "+e.Text,
			"windows of %s by the clocks of %s, which are set", shortDuration(t.Width), e.Text)
	}
	t.Zone = z
}

// carry is how far the last event is felt: a day for filled windows unless written.
func (v *viewChecker) carry() int64 {
	if c := v.option("carry"); c > 0 {
		return c
	}
	if v.view.Empty != "omit" {
		return market.Day
	}
	return 0
}

// parseTime reads a date or an RFC 3339 time as µs UTC.
func parseTime(text string) (int64, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			us := t.UnixMicro()
			return us, us == 0 || market.ValidTime(us)
		}
	}
	return 0, false
}

// parseLocal reads a date, or a time that names no zone, as µs of local time.
func parseLocal(text string) (int64, bool) {
	for _, layout := range []string{"2006-01-02T15:04:05.999999", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			us := t.UnixMicro()
			return us, us == 0 || market.ValidTime(us)
		}
	}
	return 0, false
}

// rolling windows are (t - w, t] for each t of a grid.
func (v *viewChecker) rolling() {
	w, t := v.spec.Window, &v.view.Window
	t.Width, _ = v.duration(w.Main, "rolling")
	t.Carry = v.carry()
	v.need("every", "every: 1s", "has no grid")
	if v.byEvent() {
		t.Event = true
		if v.view.Empty != "omit" {
			v.problem(v.spec.Places["empty"], "want empty: omit, or a grid such as every: 1s", "empty: %s in a window for each event: none is empty", v.view.Empty)
		}
		return
	}
	t.Every = v.option("every")
	if t.Width > 0 && t.Every > t.Width {
		v.problem(w.Opts["every"].Pos, "want every: "+shortDuration(t.Width)+" or less", "events between windows of %s every %s would be in no row", shortDuration(t.Width), shortDuration(t.Every))
	}
	if t.Every > 0 && t.Width/t.Every > maxPanes {
		v.problem(w.Opts["every"].Pos, "want a larger every",
			"%d grid points of %s in a window of %s", t.Width/t.Every, shortDuration(t.Every), shortDuration(t.Width))
	}
}

// rollup takes the aggregates and features of the parent and merges their states.
func (v *viewChecker) rollup() {
	pos := v.spec.Places["rollup"]
	v.view.Rollup = true
	for _, key := range []string{"where", "let", "params", "require"} {
		if p, ok := v.spec.Places[key]; ok {
			v.problem(p, "want only from, by, window and rollup: the parent has the rest", "%s in a rollup", key)
		}
	}
	if v.open || v.view.Parent == nil && v.view.Kind == market.KindNone {
		return
	}
	p, w := v.view.Parent, &v.view.Window
	switch {
	case p == nil:
		v.problem(pos, "want from: a view with a tumbling window", "rollup of events")
		return
	case v.spec.Window.Kind != Tumbling:
		v.problem(pos, "want window: {tumbling: 1h}", "rollup without a tumbling window")
		return
	case p.Window.Kind != Tumbling:
		v.problem(pos, "want a view with a tumbling window", "rollup of %s, which has %s window", p.Name, article(p.Window.Kind.String())+" "+p.Window.Kind.String())
		return
	}
	if w.Width > 0 && p.Window.Width > 0 {
		switch {
		case w.Width%p.Window.Width != 0 || w.Width == p.Window.Width:
			v.problem(v.spec.Window.Main.Pos, "want a multiple of "+shortDuration(p.Window.Width),
				"windows of %s are not made of windows of %s", shortDuration(w.Width), shortDuration(p.Window.Width))
		case w.Grid().Nests(p.Window.Grid()):
		case w.Zone != nil || p.Window.Zone != nil:
			v.problem(v.spec.Window.Pos, "want the zone and an origin of "+p.Name+", or windows of UTC as short as the shifts of the zone, such as 15m",
				"windows do not always begin where those of %s do", p.Name)
		default:
			v.problem(v.spec.Window.Pos, "want an origin at a window start of "+p.Name, "windows do not begin where those of %s do", p.Name)
		}
	}
	if p.joinsInFeatures() {
		v.problem(pos, "want the join inside aggregates of "+p.Name+", as in last(f.rate)", "rollup of %s, whose features join at the time of their row", p.Name)
	}
	for _, a := range p.Aggs {
		if ordered(a.Fn) && !SameColumns(v.view.By, p.By) {
			v.problem(v.spec.Places["by"], "want by: ["+strings.Join(p.By, ", ")+"]", "%s of several entities cannot be merged", a.Fn)
		}
		v.ops[a.Fn] = true
	}
	v.view.Aggs, v.view.Features, v.view.Columns = p.Aggs, p.Features, p.Columns
}

// bounds derives lookback and reach (I2) and what happens on a late event.
func (v *viewChecker) bounds() {
	w := v.view.Window
	own := w.Width + w.Carry
	if w.Kind == Tumbling {
		own = w.Grid().Longest() + w.Carry
	}
	if w.Reset > 0 {
		own = w.Reset
	}
	own += v.scansBack()
	own += v.bookLookback()
	v.view.Lookback, v.view.Reach = own, own
	if c := w.Clock; c != nil { // a row needs the ticks since the reset
		v.view.Lookback, v.view.Reach = own+c.Lookback, own+c.Reach
	}
	if p := v.view.Parent; p != nil {
		if v.view.Rollup { // windows nest: an event of the parent's window lies in this one
			own = w.Grid().Longest() + max(w.Carry, p.Lookback-p.Window.Width)
			v.view.Lookback, v.view.Reach = own, own
		} else {
			v.view.Lookback += p.Lookback
			v.view.Reach += p.Reach
		}
	}
	for _, u := range v.view.Union {
		if u.View != nil {
			v.view.Lookback, v.view.Reach = max(v.view.Lookback, own+u.View.Lookback), max(v.view.Reach, own+u.View.Reach)
		}
	}
	l, r := v.joinBounds()
	v.view.Lookback, v.view.Reach = max(v.view.Lookback, own+l), max(v.view.Reach, own+r)
	v.view.OnLate = v.spec.OnLate
	if v.view.OnLate == "" {
		v.view.OnLate = "record"
		if v.view.Reach <= market.Hour {
			v.view.OnLate = "recompute"
		}
	}
	if v.byEvent() && len(v.view.Aggs) == 0 && len(v.problems) == 0 && !v.spec.broken {
		v.problem(v.spec.Window.Pos, "want a feature such as count()", "a window for each event without an aggregate")
	}
	if w.Kind != NoWindow {
		v.ops[fmt.Sprintf("window.%s", w.Kind)] = true
	}
}
