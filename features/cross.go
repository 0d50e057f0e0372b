package features

import (
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// emitGroup works out the rows of a group at grid point t from the members alive.
func (v *viewState) emitGroup(g *memberGroup, t int64) {
	l, row := v.latest, &v.now
	*row = emitted{ent: g.ent, rowTS: t, start: t - v.p.Window.Width, end: t}
	if l.universe != nil {
		if v.list(g, t, row); len(l.alive) == 0 {
			return
		}
	}
	clear(v.rec)
	for _, a := range l.alive {
		if a.row == nil {
			continue
		}
		row.hold = max(row.hold, int64(a.row[latestHold]))
		row.avail = max(row.avail, int64(a.row[latestAvail]))
		row.flags |= uint8(a.row[latestFlags])
		v.matchMember(a.row, row)
	}
	row.avail = max(row.avail, t+row.hold)
	if v.closing && t > v.last {
		row.flags |= FlagPartial
	}
	if t < v.task.from && len(v.children)+len(v.joiners) == 0 && !v.p.Ticks {
		return
	}
	v.matchFeatures(row)
	v.rec[plan.MetaRows] = uint64(len(l.alive))
	for k := range l.Passes {
		v.pass(&l.Passes[k], row)
	}
	v.fin.RunCode(l.Group)
	row.flags |= uint8(v.rec[plan.MetaFlags])
	if l.Each {
		v.emitMembers(row)
	} else {
		v.handOn(row)
	}
	v.freeSets(v.rec)
}

// matchMember finds what the joins of a view give the row of a member, as of its own time,
// and adds what that says of the envelope to the row of the group, nil for none.
func (v *viewState) matchMember(from []uint64, row *emitted) {
	for k, j := range v.joins {
		if !j.p.AtRows {
			continue
		}
		m := j.match(uint32(from[latestHead+j.p.KeyWord]), int64(from[latestTS]))
		v.matched[k] = m
		switch {
		case row == nil:
		case m == nil:
			row.flags |= FlagStale
		default:
			row.hold = max(row.hold, int64(m[plan.JoinHold]))
			row.avail = max(row.avail, int64(m[plan.JoinAvail]))
			row.flags |= uint8(m[plan.JoinFlags])
		}
	}
}

// joinedFrom is the oldest time as of which a row that may still come joins.
func (v *viewState) joinedFrom(mark int64) int64 {
	if v.latest != nil && mark != market.NoTime {
		return mark - v.p.Window.Width // rows of members are matched when a grid point reads them
	}
	return mark
}

// pass takes the members alive through the row program once.
func (v *viewState) pass(p *plan.Pass, row *emitted) {
	l := v.latest
	if len(p.Accs)+len(p.Ranks) > 0 {
		for _, r := range p.Ranks {
			l.values[r] = grow(l.values[r], len(l.alive))
		}
		for i := range l.alive {
			v.loadMember(i)
			v.row.RunCode(p.Row)
			v.foldArgs(v.rec, p.Accs, row.rowTS)
			for _, r := range p.Ranks {
				x := &v.row.Regs[l.Ranks[r].Arg]
				l.values[r][i].Copy(x, l.Ranks[r].Kind)
				if x.Null && x.Ovf {
					v.rec[plan.MetaFlags] |= uint64(FlagOverflow)
				}
			}
		}
		for _, r := range p.Ranks {
			v.place(r)
		}
	}
	for _, k := range p.Loads {
		v.load(&v.p.Loads[k], 0, row)
	}
	v.fin.RunCode(p.Fin)
	for _, g := range p.Given {
		v.row.Regs[g.To].Copy(&v.fin.Regs[g.From], g.Kind)
	}
}

// place ranks the members by their values: 1 is the greatest, equal ones go by name, and
// nulls come last.
func (v *viewState) place(r int) {
	l := v.latest
	vals, kind := l.values[r], l.Ranks[r].Kind
	l.sorts = grow(l.sorts, len(vals))
	for i := range l.sorts {
		l.sorts[i] = int32(i)
	}
	slices.SortFunc(l.sorts, func(a, b int32) int {
		x, y := &vals[a], &vals[b]
		switch {
		case x.Null && y.Null:
		case x.Null:
			return 1
		case y.Null:
			return -1
		default:
			if c := op.Compare(y, x, kind); c != 0 {
				return c
			}
		}
		return int(a) - int(b)
	})
	l.places[r] = grow(l.places[r], len(vals))
	for at, i := range l.sorts {
		l.places[r][i] = int64(at) + 1
	}
}

// loadMember loads the columns of a member, and its ranks as far as they are known, into
// the row program.
func (v *viewState) loadMember(i int) {
	l := v.latest
	texts, row := v.keys.texts[l.alive[i].ent], l.alive[i].row
	if row != nil {
		v.matchMember(row, nil)
	}
	for k := range v.p.Inputs {
		in := &v.p.Inputs[k]
		x := &v.row.Regs[in.Reg]
		switch key := l.Key[k]; {
		case key >= 0:
			setWord(x, texts[key], in)
		case key == plan.Unread:
		case row == nil:
			x.SetNull()
		case key == plan.Match:
			v.loadMatched(x, in)
		default:
			v.getCell(x, row[latestHead+l.Cell[k]:], in.Kind)
		}
	}
	for r := range l.Ranks {
		if places := l.places[r]; len(places) > i {
			v.row.Regs[l.Ranks[r].To].SetInt(places[i])
		}
	}
}

// emitMembers hands on a row for each member alive.
func (v *viewState) emitMembers(shared *emitted) {
	l := v.latest
	for i := range l.alive {
		v.loadMember(i)
		row := *shared
		row.ent = l.alive[i].ent
		for k := range v.p.Loads {
			switch ld := &v.p.Loads[k]; ld.Kind {
			case plan.LoadColumn:
				in := &v.p.Inputs[ld.Acc]
				v.fin.Regs[ld.Reg].Copy(&v.row.Regs[in.Reg], in.Kind)
			case plan.LoadRank:
				v.fin.Regs[ld.Reg].SetInt(l.places[ld.Acc][i])
			}
		}
		v.fin.RunCode(l.Member)
		v.handOn(&row)
	}
}
