package features

import (
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// latest is the state of a latest window: of each member its newest row at or before the
// next grid point, and behind it one row for each later point that has a newer one. So
// the number of rows is bounded by the members and by how far the mark is behind.
type latest struct {
	*plan.Cross
	members []member // by number in v.keys
	groups  []memberGroup
	order   []int32 // groups in the order of names
	rows    arena

	universe *universe // nil unless members are listed
	alive    []alive
	sorts    []int32
	places   [][]int64  // by rank, then member
	values   [][]op.Val // the same, what is compared
}

type member struct {
	known bool
	rows  list // by grid point, oldest first
}

type memberGroup struct {
	ent     uint32   // in the view's entities, when rows are of groups
	names   []string // of the group
	members []uint32 // in the order of names
}

// alive is a member at the grid point; row is nil when it is listed and silent.
type alive struct {
	ent uint32
	row []uint64
}

// Words of a held row before its cells. The node's word is the grid point from which it counts.
const (
	latestTS = iota
	latestAvail
	latestHold
	latestFlags
	latestHead
)

func (v *viewState) initLatest() {
	c := v.p.Cross
	v.latest = &latest{Cross: c, rows: newArena(latestHead + c.Words), places: make([][]int64, len(c.Ranks)), values: make([][]op.Val, len(c.Ranks))}
	if c.Universe != nil {
		v.latest.universe = &universe{filter: op.NewMachine(c.Universe.Prog)}
	}
	for _, p := range c.Passes { // no pass has run: what it will give is null
		for _, g := range p.Given {
			v.row.Regs[g.To].SetNull()
		}
	}
	for _, r := range c.Ranks {
		v.row.Regs[r.To].SetNull()
	}
}

// holdLatest keeps of each run the last row for each grid point.
func (v *viewState) holdLatest(c *cols, runs []run) {
	for _, r := range runs {
		for lo := r.lo; lo < r.hi; {
			grid, hi := v.gridAfter(v.counts(c, lo)), r.hi
			if v.p.Lang.Ingest {
				hi = lo + 1
			} else if c.ts[hi-1] > grid {
				hi = border(c.ts, lo, hi, grid+1)
			}
			if row := v.latestRow(r.ent, grid, c.ts[hi-1]); row != nil {
				v.loadRow(c, hi-1)
				v.keep(row)
				v.keyRow(row[latestHead:], c, hi-1)
				v.envelope(row, c, hi-1)
			}
			lo = hi
		}
	}
}

// counts is the time from which row i counts: its own, or with time: ingest that at which
// it was known too.
func (v *viewState) counts(c *cols, i int) int64 {
	if !v.p.Lang.Ingest {
		return c.ts[i]
	}
	known := c.ingest[i]
	if known == market.NoTime {
		_, lag := v.task.feeds.of(c.feed[i])
		known = c.ts[i] + lag
	}
	return max(c.ts[i], known)
}

// latestRow is where a row of a member is put that counts from a grid point on; nil when
// it is too old then. Rows that count from the same point or a later one are replaced: they
// are older.
func (v *viewState) latestRow(ent uint32, grid, ts int64) []uint64 {
	l := v.latest
	if grid-ts > v.p.Window.Width {
		return nil
	}
	v.meetMember(ent)
	m := &l.members[ent]
	if v.p.Lang.Ingest {
		l.cut(&m.rows, grid)
	}
	r := m.rows.tail
	if r == 0 || int64(l.rows.node(r)[nodeAt]) != grid {
		r = l.rows.alloc()
		l.rows.node(r)[nodeAt] = uint64(grid)
		l.rows.push(&m.rows, r)
	}
	v.due = min(v.due, grid)
	row := l.rows.rec(r)
	row[latestTS] = uint64(ts)
	return row
}

// cut drops the rows that count from a grid point or later.
func (l *latest) cut(rows *list, grid int64) {
	var kept list
	for rows.head != 0 {
		r := l.rows.pop(rows)
		if int64(l.rows.node(r)[nodeAt]) < grid {
			l.rows.push(&kept, r)
		} else {
			l.rows.release(r)
		}
	}
	*rows = kept
}

// keep puts the columns that the row program has loaded into the cells of a row.
func (v *viewState) keep(row []uint64) {
	l := v.latest
	clear(row[latestHead:])
	for k := range v.p.Inputs {
		if in := &v.p.Inputs[k]; l.Key[k] == plan.Held {
			v.putCell(row[latestHead+l.Cell[k]:], &v.row.Regs[in.Reg], in.Kind)
		}
	}
}

// envelope puts what every row contributes besides its values.
func (v *viewState) envelope(row []uint64, c *cols, i int) {
	hold, lag := v.task.feeds.of(c.feed[i])
	avail, flags := c.ingest[i], uint64(0)
	if avail == market.NoTime {
		avail, flags = c.ts[i]+lag, uint64(FlagAssumed)
	}
	if c.flags[i]&market.FlagGap != 0 {
		flags |= uint64(FlagGap)
	}
	row[latestAvail], row[latestHold], row[latestFlags] = uint64(avail), uint64(hold), flags
}

// holdLatestOf keeps a row of the parent, whose columns the row program has loaded.
func (v *viewState) holdLatestOf(ent uint32, parent *viewState, from *emitted) {
	counts := from.rowTS
	if v.p.Lang.Ingest {
		counts = max(counts, from.avail)
	}
	if row := v.latestRow(ent, v.gridAfter(counts), from.rowTS); row != nil {
		v.keep(row)
		v.keyParent(row[latestHead:], parent, from)
		row[latestAvail], row[latestHold], row[latestFlags] = uint64(from.avail), uint64(from.hold), uint64(from.flags&inherited)
	}
}

// meetMember enters a member into its group.
func (v *viewState) meetMember(ent uint32) {
	l := v.latest
	if int(ent) < len(l.members) && l.members[ent].known {
		return
	}
	for int(ent) >= len(l.members) {
		l.members = append(l.members, member{})
	}
	l.members[ent].known = true
	names := v.keys.names[ent]
	i, found := slices.BinarySearchFunc(l.order, names[:l.Groups], func(g int32, ns []string) int { return slices.Compare(l.groups[g].names, ns) })
	if !found {
		g := memberGroup{names: names[:l.Groups:l.Groups]}
		if !l.Each {
			g.ent = v.ents.number(v.ents.complete(slices.Clone(g.names)))
		}
		l.order = slices.Insert(l.order, i, int32(len(l.groups)))
		l.groups = append(l.groups, g)
	}
	g := &l.groups[l.order[i]]
	at, _ := slices.BinarySearchFunc(g.members, names, func(m uint32, ns []string) int { return slices.Compare(v.keys.names[m], ns) })
	g.members = slices.Insert(g.members, at, ent)
}

// advanceLatest emits the rows of all grid points below limit.
func (v *viewState) advanceLatest(limit int64) {
	for v.due < limit {
		t := v.due
		next := int64(never)
		for _, g := range v.latest.order {
			next = min(next, v.gather(&v.latest.groups[g], t))
			if len(v.latest.alive) > 0 {
				v.emitGroup(&v.latest.groups[g], t)
			}
		}
		v.due = next
	}
}

// gather finds the members of a group that are alive at t, forgets what no later point
// needs, and returns the next grid point at which the group can have a row.
func (v *viewState) gather(g *memberGroup, t int64) int64 {
	l, next := v.latest, int64(never)
	l.alive = l.alive[:0]
	every, age := v.p.Window.Every, v.p.Window.Width
	for _, m := range g.members {
		rows := &l.members[m].rows
		for rows.head != 0 {
			after := l.rows.next(rows.head)
			if after == 0 || int64(l.rows.node(after)[nodeAt]) > t {
				break
			}
			l.rows.release(l.rows.pop(rows))
		}
		if rows.head == 0 {
			continue
		}
		node := l.rows.node(rows.head)
		if at := int64(node[nodeAt]); at > t {
			next = min(next, at)
			continue
		}
		ts := int64(node[nodeHead+latestTS])
		if t-ts <= age {
			l.alive = append(l.alive, alive{m, node[nodeHead:]})
		}
		if t+every-ts > age {
			l.rows.release(l.rows.pop(rows))
			if rows.head != 0 {
				next = min(next, int64(l.rows.node(rows.head)[nodeAt]))
			}
			continue
		}
		next = min(next, t+every)
	}
	return next
}
