package features

import (
	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
)

// fastRow is where a feature of a child comes from when a pane of this view is a row of the child: what an accumulator
// would take of the newest row, or how many rows there are.
type fastRow struct {
	of    *fastOut
	count bool
}

// whole finds out whether a pane is a row of a child, which nobody but the output asks for: it is written without the
// state of an open window.
func (fc *fastChild) whole() {
	c := fc.v
	asked := c.alerts.m != nil || c.p.Ticks || len(c.children)+len(c.joiners)+len(c.members)+len(c.joins)+len(c.owners) > 0
	if asked || c.p.Shape != plan.Tumbling || c.p.Empty || c.p.Tail || c.p.Means || len(fc.each) > 0 || len(c.p.Finish.Steps) > 0 || c.family != nil || c.clock != nil || c.task.plan.plain {
		return
	}
	var rows []fastRow
	for k := range c.p.Outs {
		r, ok := fc.rowOf(c.p.Outs[k].Reg)
		if !ok {
			return
		}
		rows = append(rows, r)
	}
	fc.rows = rows
}

func (fc *fastChild) rowOf(reg int) (r fastRow, ok bool) {
	c := fc.v
	if c.madeBy(reg) != nil {
		return r, false
	}
	for i := range c.p.Loads {
		ld := &c.p.Loads[i]
		if ld.Reg != reg || ld.Kind != plan.LoadAcc {
			continue
		}
		for k := range fc.newest {
			if t := &fc.newest[k]; t.acc == ld.Acc {
				return fastRow{of: &t.of}, true
			}
		}
		return fastRow{count: true}, c.p.Accs[ld.Acc].Fn == op.Count && c.p.Args[ld.Acc].Reg < 0
	}
	return r, false
}

// passPanes puts out panes lo to hi of a block, each as a row of a child, whose slot has no open window.
func (v *viewState) passPanes(s *fastState, b *fastBlock, fc *fastChild, at int32, lo, hi int) {
	c := fc.v
	c.flush()
	c.nextRec()
	slot, row, from := &c.slots[at], &c.now, c.out.Len()
	shown := hi // the first that is
	for j := lo; j < hi; j++ {
		pane, rows := c.p.PaneOf(b.limit[j]), int(b.ends[j])-b.begin(j)
		*row = emitted{ent: slot.ent, start: c.p.PaneStart(pane), end: c.p.PaneStart(pane + 1), rowTS: c.rowTimeOf(pane)}
		clear(c.rec[:plan.MetaWords])
		s.meta(b, c.rec, j, j+1, rows)
		c.inherit(row)
		row.avail = max(row.end+row.hold, int64(c.rec[plan.MetaAvail]))
		slot.next = c.p.PaneAfter(pane)
		if c.survey != nil {
			c.survey.add(row.ent, rows)
			c.survey.out.Rows++
		}
		if c.shows(row) {
			shown = min(shown, j)
			c.appendEnvelope(row)
		}
	}
	if shown == hi {
		return
	}
	for k := range fc.rows {
		switch r := &fc.rows[k]; {
		case r.count:
			for j := shown; j < hi; j++ {
				v.frames.x.SetDec(int64(b.ends[j])-int64(b.begin(j)), 0)
				c.storeValue(k, from+j-shown, &v.frames.x)
			}
		case c.p.Outs[k].As == plan.F64:
			v.passFloats(s, b, fc, k, shown, hi)
		default:
			for j := shown; j < hi; j++ {
				v.newestOf(s, b, r.of, j)
				c.storeValue(k, from+j-shown, &v.frames.x)
			}
		}
	}
}

// passFloats appends feature k of a child, a float, of panes lo to hi, whose envelopes are the last ones of the output.
func (v *viewState) passFloats(s *fastState, b *fastBlock, fc *fastChild, k, lo, hi int) {
	c, o := fc.v, fc.rows[k].of
	col, from := &c.out.Features[k], c.out.Len()-(hi-lo)
	nulls := s.floats(v.frames.fast, b, o, b.f64[:b.n])
	if !nulls {
		col.F64 = append(col.F64, b.f64[lo:hi]...)
		return
	}
	for j := lo; j < hi; j++ {
		if !b.lost[j] {
			col.F64 = append(col.F64, b.f64[j])
			continue
		}
		v.newestOf(s, b, o, j)
		c.storeValue(k, from+j-lo, &v.frames.x)
	}
}

// newestOf sets the scratch value to a feature at the newest instant of a pane where it has one, and returns its time.
func (v *viewState) newestOf(s *fastState, b *fastBlock, f *fastOut, j int) int64 {
	if s.value(&v.frames.x, v.frames.fast, b, f, j); v.frames.x.Null && b.panes {
		return s.older(&v.frames.x, v.frames.fast, b, f, j)
	}
	return b.limit[j]
}
