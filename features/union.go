package features

import (
	"cmp"
	"math"
	"slices"

	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// unionAlias is where the word of a held row with its epoch has the place of the alias
// that it comes under.
const unionAlias = 32

// initUnion lists, for each alias, the columns that its rows have; others are null.
func (v *viewState) initUnion() {
	for k := range v.p.Union {
		ins := slices.Clone(v.p.Inputs)
		for i := range ins {
			if of := ins[i].Union; of > 0 && of != k+1 {
				ins[i].Ref.Source = plan.Absent
			} else if v.p.Of[k] >= 0 {
				ins[i].Ref = v.p.Bare[k][i]
			}
		}
		v.union = append(v.union, ins)
	}
}

// holdUnion keeps the rows of a kind, each once for each alias that has it.
func (v *viewState) holdUnion(kind market.Kind, c *cols, runs []run) {
	for _, r := range runs {
		for i := r.lo; i < r.hi; i++ {
			for k := range v.p.Union {
				if v.p.Union[k] == kind {
					v.holdAlias(k, c, r.ent, i)
				}
			}
		}
	}
	v.unsorted = true
}

func (v *viewState) holdAlias(k int, c *cols, ent uint32, i int) {
	byInstrument := v.p.Filter.OfInstrument && !v.p.Late && !v.task.plan.plain
	if byInstrument && !v.passes(c.inst[i], v.union[k], k) {
		return
	}
	v.task.loadEvent(v.union[k], v.row.Regs, c, i)
	if !byInstrument && !v.p.Late && !v.wanted() {
		return
	}
	v.survey.row(ent)
	ts := c.ts[i]
	rec := v.heldRec(ent, ts)
	v.task.meta(rec, c, i, i+1)
	rec[plan.HeldStart], rec[plan.HeldEnd] = uint64(ts), uint64(ts)
	rec[plan.HeldSrc] = uint64(market.MakeSrc(c.feed[i], v.p.Union[k]))<<32 | uint64(v.task.numbers[c.inst[i]])
	rec[plan.HeldEpoch], rec[plan.HeldSeq] = uint64(c.epoch[i])|uint64(k)<<unionAlias, c.seq[i]
	v.putCells(rec)
	v.keyRow(rec, c, i)
}

// holdUnionRow keeps a row of a view, once for each alias that has it.
func (v *viewState) holdUnionRow(from *viewState, row *emitted) {
	name := func(column string) string {
		return from.ents.names[row.ent][slices.Index(from.p.EntityColumns(), column)]
	}
	for k, of := range v.p.Of {
		if of != from.index {
			continue
		}
		loadRowOf(v.union[k], v.row.Regs, from, row)
		if !v.p.Late && !v.wanted() {
			continue
		}
		ent := v.ents.resolve(func(r plan.Ref) string { return name(r.Name) })
		v.survey.row(ent)
		rec := v.heldRec(ent, row.rowTS)
		rowMeta(rec, row)
		rec[plan.MetaRows] = 1
		rec[plan.HeldStart], rec[plan.HeldEnd] = uint64(row.start), uint64(row.end)
		rec[plan.HeldSrc], rec[plan.HeldEpoch], rec[plan.HeldSeq] = math.MaxUint64, math.MaxUint32|uint64(k)<<unionAlias, math.MaxUint64
		v.putCells(rec)
		for _, j := range v.joins {
			if j.p.AtRows {
				rec[j.p.KeyWord] = uint64(j.number(func(i int) string { return name(j.p.Left[i].Name) }))
			}
		}
	}
	v.unsorted = true
}

// sortUnion brings the held rows of each entity into the total order, those of one event
// into that of the aliases: kinds are pushed one after the other.
func (v *viewState) sortUnion() {
	if !v.unsorted {
		return
	}
	v.unsorted = false
	for i := range v.slots {
		l := &v.slots[i].held
		v.refs = v.refs[:0]
		for r := l.head; r != 0; r = v.held.next(r) {
			v.refs = append(v.refs, r)
		}
		if slices.IsSortedFunc(v.refs, v.heldOrder) {
			continue
		}
		slices.SortStableFunc(v.refs, v.heldOrder)
		*l = list{}
		for _, r := range v.refs {
			v.held.push(l, r)
		}
	}
}

// heldOrder compares two held rows by their keys and aliases.
func (v *viewState) heldOrder(a, b uint32) int {
	x, y := v.held.node(a), v.held.node(b)
	if c := cmp.Compare(int64(x[nodeAt]), int64(y[nodeAt])); c != 0 {
		return c
	}
	x, y = x[nodeHead:], y[nodeHead:]
	return cmp.Or(
		cmp.Compare(x[plan.HeldSrc], y[plan.HeldSrc]),
		cmp.Compare(uint32(x[plan.HeldEpoch]), uint32(y[plan.HeldEpoch])),
		cmp.Compare(x[plan.HeldSeq], y[plan.HeldSeq]),
		cmp.Compare(x[plan.HeldEpoch]>>unionAlias, y[plan.HeldEpoch]>>unionAlias),
	)
}
