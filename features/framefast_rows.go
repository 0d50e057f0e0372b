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

// passPane puts out pane j of a block as a row of a child, whose slot has no open window.
func (v *viewState) passPane(s *fastState, b *fastBlock, fc *fastChild, at int32, j int) {
	c := fc.v
	pane, rows := c.p.PaneOf(b.limit[j]), int(b.ends[j])-b.begin(j)
	c.nextRec()
	clear(c.rec[:plan.MetaWords])
	s.meta(b, c.rec, j, j+1, rows)
	row := &c.now
	*row = emitted{ent: c.slots[at].ent, start: c.p.PaneStart(pane), end: c.p.PaneStart(pane + 1), rowTS: c.rowTimeOf(pane)}
	c.inherit(row)
	row.avail = max(row.end+row.hold, int64(c.rec[plan.MetaAvail]))
	c.slots[at].next = c.p.PaneAfter(pane)
	if c.survey != nil {
		c.survey.add(row.ent, rows)
		c.survey.out.Rows++
	}
	if !c.shows(row) {
		return
	}
	c.flush()
	n, x := c.out.Len(), &v.frames.x
	c.appendEnvelope(row)
	for k := range fc.rows {
		r := &fc.rows[k]
		if r.count {
			x.SetDec(int64(rows), 0)
		} else if s.value(x, b, r.of, j); x.Null {
			s.older(x, v.frames.fast, b, r.of, j)
		}
		c.storeValue(k, n, x)
	}
}
