package features

import (
	"slices"

	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// Verdicts of a filter that reads the instrument alone.
const (
	unknown int8 = iota
	passes
	fails
)

// pick leaves the rows that pass the view's filter: as shorter runs of the same columns
// where whole instruments pass or fail, else as a copy.
func (v *viewState) pick(c *cols, runs []run) (*cols, []run) {
	f := &v.p.Filter
	if f.OfInstrument && !v.task.plan.plain {
		return c, v.pickInstruments(c, runs)
	}
	v.pickPerm, v.pickRuns = v.pickPerm[:0], v.pickRuns[:0]
	byEnum := f.Enum >= 0 && !c.hasNull[f.Enum] && !v.task.plan.plain
	for _, r := range runs {
		lo := len(v.pickPerm)
		if byEnum {
			v.pickWord(c.c[f.Enum].I64[r.lo:r.hi], r.lo, f.Code)
		} else {
			v.pickRows(c, r)
		}
		if n := len(v.pickPerm); n > lo {
			v.pickRuns = append(v.pickRuns, run{r.ent, lo, n})
		}
	}
	v.picked.gather(c, v.task.plan.kinds.Fields(v.p.Kind), v.pickPerm)
	return &v.picked, v.pickRuns
}

// pickRows lists the rows of a run that pass, by the row program.
func (v *viewState) pickRows(c *cols, r run) {
	for i := r.lo; i < r.hi; i++ {
		v.loadRow(c, i)
		if v.wanted() {
			v.pickPerm = append(v.pickPerm, int32(i))
		}
	}
}

// pickWord lists the rows whose enum has the word.
func (v *viewState) pickWord(enum []int64, lo int, code int64) {
	n := len(v.pickPerm)
	v.pickPerm = slices.Grow(v.pickPerm, len(enum))[:n+len(enum)]
	for i, e := range enum {
		v.pickPerm[n] = int32(lo + i)
		n += isWord(e, code)
	}
	v.pickPerm = v.pickPerm[:n]
}

// pickInstruments cuts the runs where an instrument that passes meets one that fails.
func (v *viewState) pickInstruments(c *cols, runs []run) []run {
	v.pickRuns = v.pickRuns[:0]
	for _, r := range runs {
		for lo := r.lo; lo < r.hi; {
			hi, x := lo+1, c.inst[lo]
			for hi < r.hi && c.inst[hi] == x {
				hi++
			}
			if v.passes(x, v.p.Inputs, 0) {
				if n := len(v.pickRuns); n > 0 && v.pickRuns[n-1].ent == r.ent && v.pickRuns[n-1].hi == lo {
					v.pickRuns[n-1].hi = hi
				} else {
					v.pickRuns = append(v.pickRuns, run{r.ent, lo, hi})
				}
			}
			lo = hi
		}
	}
	return v.pickRuns
}

// passes is the verdict on an instrument, found once; of a union on its rows under an alias,
// which have the columns ins.
func (v *viewState) passes(x market.Inst, ins []plan.Input, alias int) bool {
	at := int(x)*max(1, len(v.p.Union)) + alias
	for len(v.verdicts) <= at {
		v.verdicts = append(v.verdicts, unknown)
	}
	if v.verdicts[at] == unknown {
		v.verdicts[at] = fails
		v.loadInstrument(x, ins)
		if v.wanted() {
			v.verdicts[at] = passes
		}
	}
	return v.verdicts[at] == passes
}

// loadInstrument loads the columns of an instrument; all else is null.
func (v *viewState) loadInstrument(x market.Inst, ins []plan.Input) {
	for k := range ins {
		in := &ins[k]
		reg := &v.row.Regs[in.Reg]
		if in.Ref.OfInstrument() {
			setWord(reg, v.task.inst[x][in.Ref.Source-plan.Exchange], in)
		} else {
			reg.SetNull()
		}
	}
}
