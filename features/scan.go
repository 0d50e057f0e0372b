package features

import (
	"math"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// Scans step once for each row of an entity, in the total order: of a view with a window
// when its rows are pushed, of a row view when they leave. The state of an entity is a
// record of fixed length:
//
//	event time of the last row, 0 for none
//	the steps that do not reset
//	two instances of those that do: begin of the period that each serves, 0 for none,
//	and its steps
//
// With reset P and warmup W the instance that serves [b, b + P) takes the rows from b − W
// on. W is at most P, so that two instances are enough: the one that serves and the one
// that warms up for the next period.
const (
	scanLast = iota
	scanKeeps
)

// scanWords is the length of the record, 0 without scans.
func scanWords(p *plan.View) int {
	if p.Scans == nil {
		return 0
	}
	return scanKeeps + p.Scans.KeepWords + 2*instanceWords(p.Scans)
}

func instanceWords(s *plan.Scans) int {
	if s.ResetWords == 0 {
		return 0
	}
	return 1 + s.ResetWords
}

func (v *viewState) scanRec(i int32) []uint64 {
	n := scanWords(v.p)
	return v.scans[int(i)*n : int(i)*n+n : int(i)*n+n]
}

// instances are the one that serves and the one that warms up.
func instances(rec []uint64, s *plan.Scans) (serve, warm []uint64) {
	n := instanceWords(s)
	rec = rec[scanKeeps+s.KeepWords:]
	return rec[:n], rec[n : 2*n]
}

// scanRow runs the program on a row whose columns are loaded, and returns what its values
// come from, with FlagWarmup when a scan has not seen enough rows.
func (v *viewState) scanRow(m *op.Machine, i int32, ts int64, first bool, own op.Origin) op.Origin {
	v.scanBegin(m, i, ts, first, own)
	v.scanLevel(m, i, 0)
	o := m.Rows.Total()
	if m.Rows.Young {
		o.Flags |= FlagWarmup
	}
	return o
}

// scanBegin makes the steps see a row, and the instances those of its period.
func (v *viewState) scanBegin(m *op.Machine, i int32, ts int64, first bool, own op.Origin) {
	s, rec := v.p.Scans, v.scanRec(i)
	rec[scanLast] = uint64(ts)
	keeps := rec[scanKeeps : scanKeeps+s.KeepWords]
	if s.ResetWords == 0 {
		m.Rows.Begin(ts, first, own, keeps, nil)
		return
	}
	serve, warm := instances(rec, s)
	at := market.FloorDiv(ts, s.Reset) * s.Reset
	if s.Reset == never {
		at = 1
	}
	if serve[0] != uint64(at) {
		if warm[0] == uint64(at) {
			copy(serve, warm)
		} else {
			clear(serve)
			serve[0] = uint64(at)
		}
		clear(warm)
	}
	if next := at + s.Reset; s.Reset != never && ts >= next-s.Warmup && warm[0] != uint64(next) {
		clear(warm)
		warm[0] = uint64(next)
	}
	m.Rows.Begin(ts, first, own, keeps, serve[1:])
}

// scanLevel runs the code of one level, where steps reset also for the instance that
// warms up.
func (v *viewState) scanLevel(m *op.Machine, i int32, level int) {
	s := v.p.Scans
	m.RunCode(s.Keeps[level])
	if s.ResetWords == 0 {
		return
	}
	serve, warm := instances(v.scanRec(i), s)
	if warm[0] != 0 && m.Rows.TS >= int64(warm[0])-s.Warmup {
		m.Rows.Instance(warm[1:])
		m.RunCode(s.Resets[level])
		m.Rows.Instance(serve[1:])
	}
	m.RunCode(s.Resets[level])
}

// wanted tells whether a row whose columns are loaded passes the filter.
func (v *viewState) wanted() bool {
	if v.p.Where < 0 {
		return true
	}
	v.row.RunCode(v.p.Pick)
	w := &v.row.Regs[v.p.Where]
	return !w.Null && w.I == 1
}

// runRow runs the row program on a row of a window whose columns are loaded, and returns
// what its scans come from.
func (v *viewState) runRow(i int32, ts int64, first bool, own op.Origin) op.Origin {
	if v.p.Scans == nil {
		v.row.Run()
		return op.Origin{}
	}
	return v.scanRow(v.row, i, ts, first, own)
}

// foldScanned folds rows of a view with scans: every row steps, whatever of it is folded.
func (v *viewState) foldScanned(i int32, rec []uint64, c *cols, lo, hi int) {
	var o op.Origin
	for k := lo; k < hi; k++ {
		v.loadRow(c, k)
		o = v.scanRow(v.row, i, c.ts[k], c.flags[k]&market.FlagGap != 0, v.origin(c, k))
		scanMeta(rec, o)
		v.foldArgs(rec, v.slowNow, c.ts[k])
	}
	lastScanned(rec, o)
}

// foldScannedBegun folds rows of a view with scans into windows that begin with a row. Every
// row steps before it is known in which window it lies.
func (v *viewState) foldScannedBegun(c *cols, r run) {
	i := v.slot(r.ent)
	for k := r.lo; k < r.hi; k++ {
		v.loadRow(c, k)
		o := v.scanRow(v.row, i, c.ts[k], c.flags[k]&market.FlagGap != 0, v.origin(c, k))
		v.foldBegun(i, c.ts[k], rowSource{c: c, at: k}, o)
	}
}

// scanMeta folds where a row's values come from into the record of its window.
func scanMeta(rec []uint64, o op.Origin) {
	rec[plan.MetaAvail] = max(rec[plan.MetaAvail], uint64(o.Avail))
	rec[plan.MetaHold] = max(rec[plan.MetaHold], uint64(o.Hold))
	rec[plan.MetaFlags] |= uint64(o.Flags)
}

// lastScanned does so for the last row of the record: what an empty window carries of it is
// known no sooner than what its scans took.
func lastScanned(rec []uint64, o op.Origin) {
	rec[plan.MetaLastAvail] = max(rec[plan.MetaLastAvail], uint64(o.Avail))
	rec[plan.MetaLastHold] = max(rec[plan.MetaLastHold], uint64(o.Hold))
}

// finishHeld works out a row of a row view whose columns are loaded.
func (v *viewState) finishHeld(i int32, row *emitted, first bool, own op.Origin) {
	if v.p.Scans == nil {
		v.fin.Run()
		return
	}
	row.scanOut(v.scanRow(v.fin, i, row.rowTS, first, own))
}

// heldOrigin is what a held row contributes by itself.
func heldOrigin(rec []uint64) op.Origin {
	return op.Origin{Avail: int64(rec[plan.MetaAvail]), Hold: int64(rec[plan.MetaHold]), Flags: uint8(rec[plan.MetaFlags])}
}

// heldFirst reports whether events are missing right before a held row.
func (v *viewState) heldFirst(rec []uint64) bool {
	if v.p.Parent >= 0 || v.p.Union != nil && rec[plan.HeldSrc] == math.MaxUint64 { // a row of a view
		return false
	}
	return rec[plan.MetaFlags]&uint64(FlagGap) != 0
}

// scanOut gives a row view's row what its values come from.
func (e *emitted) scanOut(o op.Origin) {
	e.hold, e.flags = max(e.hold, o.Hold), e.flags|o.Flags
	e.avail = max(e.avail, o.Avail, e.end+e.hold)
}

// origin is what a row contributes by itself.
func (v *viewState) origin(c *cols, i int) op.Origin {
	hold, lag := v.task.feeds.of(c.feed[i])
	o := op.Origin{Avail: c.ingest[i], Hold: hold}
	if o.Avail == market.NoTime {
		o.Avail, o.Flags = c.ts[i]+lag, FlagAssumed
	}
	if c.flags[i]&market.FlagGap != 0 {
		o.Flags |= FlagGap
	}
	return o
}

// scansUntil is the last instant at which a row could still see the state.
func (v *viewState) scansUntil(i int32) int64 {
	s := v.p.Scans
	if s == nil {
		return math.MinInt64
	}
	rec := v.scanRec(i)
	if rec[scanLast] == 0 {
		return math.MinInt64
	}
	until := int64(rec[scanLast]) + s.Span
	if s.KeepWords == 0 {
		until = math.MinInt64
	}
	if s.ResetWords > 0 {
		serve, warm := instances(rec, s)
		for _, in := range [][]uint64{serve, warm} {
			switch {
			case in[0] == 0:
			case s.Reset == never:
				until = never - 1
			default:
				until = max(until, int64(in[0])+s.Reset-1)
			}
		}
	}
	return until
}

// stateUntil is the last instant at which a row could still see what scans or frames hold.
func (v *viewState) stateUntil(i int32) int64 { return max(v.scansUntil(i), v.framesUntil(i)) }

// settleScans leaves in a record what a row from the mark on can see.
func settleScans(rec []uint64, p *plan.View, mark int64) {
	s := p.Scans
	keeps := rec[scanKeeps : scanKeeps+s.KeepWords]
	serve, warm := []uint64(nil), []uint64(nil)
	if s.ResetWords > 0 {
		serve, warm = instances(rec, s)
		for _, in := range [][]uint64{serve, warm} {
			if s.Reset != never && in[0] != 0 && int64(in[0])+s.Reset <= mark {
				clear(in)
			}
		}
	}
	eachStep(p, keeps, serve, warm, func(st *op.Step, block []uint64) bool {
		st.Settle(block, mark)
		return true
	})
}

// eachStep calls f for each step and each block of words that has a state of it.
func eachStep(p *plan.View, keeps, serve, warm []uint64, f func(st *op.Step, block []uint64) bool) bool {
	steps := p.Scans.Prog.Steps
	for k := range steps {
		st := &steps[k]
		switch {
		case !st.Resets:
			if !f(st, keeps) {
				return false
			}
		case !f(st, serve[1:]) || !f(st, warm[1:]):
			return false
		}
	}
	return true
}

// saveScans writes the record of a slot.
func (v *viewState) saveScans(w *writer, i int32) {
	if v.p.Scans == nil {
		return
	}
	rec := append([]uint64(nil), v.scanRec(i)...)
	mark := v.task.mark(v.p)
	if v.scansUntil(i) < mark {
		clear(rec)
	}
	settleScans(rec, v.p, mark)
	w.words(rec)
}

// loadScans reads the record of a slot and judges it.
func (v *viewState) loadScans(r *reader, i int32) {
	if v.p.Scans == nil {
		return
	}
	rec := v.scanRec(i)
	for k := range rec {
		rec[k] = r.word()
	}
	s := v.p.Scans
	serve, warm := []uint64(nil), []uint64(nil)
	if s.ResetWords > 0 {
		serve, warm = instances(rec, s)
		r.bad = r.bad || int64(serve[0]) < 0 || int64(warm[0]) < 0
	}
	valid := eachStep(v.p, rec[scanKeeps:scanKeeps+s.KeepWords], serve, warm, func(st *op.Step, block []uint64) bool { return st.Valid(block) })
	r.bad = r.bad || !valid || int64(rec[scanLast]) < 0
}
