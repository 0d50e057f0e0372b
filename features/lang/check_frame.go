package lang

import (
	"fmt"
	"strconv"
)

// maxFrameRows bounds over n rows.
const maxFrameRows = 1_000_000

// TypedFrame is the frame of an aggregate in a row view: (t − Span, t] with all rows of the
// instant t, or the last Rows rows up to the row, none more than Span older than it.
type TypedFrame struct {
	Span int64 // µs
	Rows int   // 0 for a frame of time
}

// frame reads what follows over; false when it has problems.
func (v *viewChecker) frame(e *Expr) (TypedFrame, bool) {
	var t TypedFrame
	f := e.Over
	if f == nil {
		return t, true
	}
	ok := true
	if f.Rows != nil && f.Within == nil && f.Rows.Op != OpBad {
		v.problem(f.Pos, fmt.Sprintf("want over %s within 1h", f), "over rows without within would look back without bound")
		ok = false
	}
	if f.Span != nil {
		us, good := v.duration(f.Span, "over")
		t.Span, ok = us, ok && good
	}
	if f.Within != nil {
		us, good := v.duration(f.Within, "within")
		t.Span, ok = us, ok && good
	}
	if f.Rows != nil {
		if f.Rows.Op == OpBad {
			return t, false
		}
		n, good := v.constInt(f.Rows, "rows", 1, maxFrameRows)
		t.Rows, ok = int(n), ok && good
	}
	return t, ok
}

// text prints a frame as it is part of an accumulator's key.
func (f TypedFrame) text() string {
	switch {
	case f.Rows > 0:
		return " over " + strconv.Itoa(f.Rows) + " rows within " + shortDuration(f.Span)
	case f.Span > 0:
		return " over " + shortDuration(f.Span)
	}
	return ""
}

// hasFrames tells whether a feature has an aggregate with over, so that rows are held.
func (s *Spec) hasFrames() bool {
	var found bool
	var walk func(e *Expr)
	walk = func(e *Expr) {
		if e == nil || found {
			return
		}
		found = e.Over != nil
		for _, a := range e.Args {
			walk(a)
		}
		for _, a := range e.Keys {
			walk(a)
		}
		walk(e.Where)
	}
	for _, d := range s.Features {
		walk(expand(d.Expr))
	}
	return found
}

// byEvent tells a rolling window for each instant that has rows.
func (v *viewChecker) byEvent() bool {
	e := v.spec.Window.Opts["every"]
	return v.spec.Window.Kind == Rolling && e != nil && e.Op == OpName
}

// holdColumns makes columns of the parent that are ratios floats, where rows are held.
func (v *viewChecker) holdColumns() {
	if !v.byEvent() && (v.spec.Window.Kind != NoWindow || !v.spec.hasFrames()) {
		return
	}
	v.view.Holds = true
	for name, c := range v.cols {
		if c.Type.Kind == TRatio {
			c.Type.Kind = TFloat
			v.cols[name] = c
		}
	}
}
