package features

import (
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
)

// fastChild is a window over the rows of a view whose frames go without programs: blocks of rows are folded into it
// accumulator by accumulator. Where it wants the newest row of a window alone, the features of the others are not worked out.
type fastChild struct {
	v      *viewState
	counts []int      // accumulators that count rows
	newest []fastTake // that need the newest row with a value
	each   []fastTake // that need each row
	rows   []fastRow  // the features, where a pane is a row; nil where it is not
}

// fastTake is an accumulator and the feature that it folds.
type fastTake struct {
	acc int
	of  fastOut
}

// ownRows tells that each entity of a child has the rows of one entity of this view: it may take
// them entity after entity.
func (v *viewState) ownRows(c *viewState) bool {
	for k := range v.p.By {
		if !slices.ContainsFunc(c.p.By, func(r plan.Ref) bool { return r.Source == plan.OfEntity && r.Index == k }) {
			return false
		}
	}
	return true
}

// fastChild finds out whether a child can take blocks of rows.
func (v *viewState) fastChild(p *fastFrames, c *viewState) bool {
	window := c.p.Shape == plan.Tumbling || c.p.Shape == plan.Rolling
	if !window || c.p.Union != nil || c.p.Hold || c.p.Scans != nil || c.p.Where >= 0 || v.p.Parent >= 0 || !v.ownRows(c) {
		return false
	}
	fc := fastChild{v: c}
	for k := range c.p.Accs {
		acc, arg := &c.p.Accs[k], &c.p.Args[k]
		if arg.Where >= 0 {
			return false
		}
		if arg.Reg < 0 {
			fc.counts = append(fc.counts, acc.Off)
			continue
		}
		at := c.featureOf(arg.Reg)
		if at < 0 {
			return false
		}
		t := fastTake{acc: k, of: p.outs[at]}
		if o := &t.of; !o.isFloat() {
			p.oneScale = p.oneScale || o.fn == fastSum
			if o.fn == fastMost {
				_, o.use = p.queue(o.arg, p.queues[o.queue].least, o.frame)
			}
		}
		if acc.Fn == op.Last {
			fc.newest = append(fc.newest, t)
		} else {
			fc.each = append(fc.each, t)
		}
	}
	fc.whole()
	p.children = append(p.children, fc)
	return true
}

// featureOf is the feature of the parent that a register of the row program has as it is, a ratio as a float;
// -1 for none.
func (v *viewState) featureOf(reg int) int {
	for i := range v.p.Row.Code {
		if in := &v.p.Row.Code[i]; int(in.Dst) == reg && in.Op == op.RToF {
			reg = int(in.A)
			break
		}
	}
	for i := range v.p.Inputs {
		if in := &v.p.Inputs[i]; in.Reg == reg && in.Ref.Source == plan.Feature {
			return in.Ref.Index
		}
	}
	return -1
}

// isFloat tells that a feature is a ratio or its root, not an exact value.
func (f *fastOut) isFloat() bool {
	return slices.Contains([]fastFn{fastMean, fastVar, fastStd, fastQuo}, f.fn)
}

// foldColumns folds a block of rows of an entity into a child.
func (v *viewState) foldColumns(i int32, s *fastState, b *fastBlock, fc *fastChild) {
	c := fc.v
	ent := c.child(v, &emitted{ent: v.slots[i].ent})
	at := c.slot(ent)
	for lo := 0; lo < b.n; {
		if t := b.limit[lo]; t >= c.slots[at].end {
			if last := b.n - 1; b.panes && lo < last && fc.rows != nil && c.leave(at) {
				v.passPanes(s, b, fc, at, lo, last)
				lo = last
				continue
			}
			c.enter(at, t)
		}
		hi, end := lo+1, c.slots[at].end
		for hi < b.n && b.limit[hi] < end {
			hi++
		}
		rows := hi - lo
		if !b.single {
			rows = int(b.ends[hi-1]) - b.begin(lo)
		}
		if c.survey != nil {
			c.survey.add(ent, rows)
		}
		rec := c.openRec(at)
		for _, off := range fc.counts {
			rec[off] += uint64(rows)
		}
		s.meta(b, rec, lo, hi, rows)
		v.foldPane(s, b, fc, rec, lo, hi)
		lo = hi
	}
}

// begin is the place of the first row of an instant.
func (b *fastBlock) begin(j int) int {
	if j == 0 {
		return b.lo
	}
	return int(b.ends[j-1])
}

// meta folds the envelopes of the rows of instants lo to hi.
func (s *fastState) meta(b *fastBlock, rec []uint64, lo, hi, rows int) {
	var avail, hold, last int64
	var flags uint8
	for j := lo; j < hi; j++ {
		hold, flags = max(hold, b.hold[j]), flags|b.flags[j]
		last = max(b.limit[j]+b.hold[j], b.avail[j])
		avail = max(avail, last)
		if b.panes {
			avail = max(avail, b.known[j])
		}
	}
	rec[plan.MetaRows] += uint64(rows)
	rec[plan.MetaAvail] = max(rec[plan.MetaAvail], uint64(avail))
	rec[plan.MetaHold] = max(rec[plan.MetaHold], uint64(hold))
	rec[plan.MetaFlags] |= uint64(flags & inherited)
	rec[plan.MetaLastTS], rec[plan.MetaLastHold] = uint64(b.limit[hi-1]), uint64(b.hold[hi-1])
	rec[plan.MetaLastAvail] = uint64(last)
}

// foldPane folds the features of instants lo to hi, which are in one pane of the child.
func (v *viewState) foldPane(s *fastState, b *fastBlock, fc *fastChild, rec []uint64, lo, hi int) {
	c, x := fc.v, &v.frames.x
	fold := func(t *fastTake, ts int64) {
		if !c.p.Accs[t.acc].Fold(rec, x, ts, &v.task.sc) {
			rec[plan.MetaFlags] |= uint64(FlagOverflow)
		}
	}
	for k := range fc.newest {
		t := &fc.newest[k]
		for j := hi - 1; j >= lo; j-- {
			if at := v.newestOf(s, b, &t.of, j); !x.Null {
				fold(t, at)
				break
			}
		}
	}
	for k := range fc.each {
		t := &fc.each[k]
		for j := lo; j < hi; j++ {
			s.value(x, v.frames.fast, b, &t.of, j)
			rows := 1
			if !b.single {
				rows = int(b.ends[j]) - b.begin(j)
			}
			for range rows {
				if !x.Null {
					fold(t, b.limit[j])
				} else if !c.p.Accs[t.acc].Void(rec, b.limit[j]) {
					rec[plan.MetaFlags] |= uint64(FlagOverflow)
				}
			}
		}
	}
}

// value sets x to a feature at an instant of a block, one that is a ratio to the float nearest to it.
func (s *fastState) value(x *op.Val, p *fastFrames, b *fastBlock, f *fastOut, j int) {
	lo, hi := int(b.firstOf(f.frame)[j]), int(b.ends[j])
	switch f.fn {
	case fastVar, fastStd:
		a := &s.args[f.arg]
		if y, ok := f.spreadOf(a, a.spread(lo, hi), int64(hi-lo)); ok {
			x.SetFloat(y)
		} else {
			x.SetNull()
		}
	case fastQuo:
		if y, ok := s.ratioOf(b, f, j); ok {
			x.SetFloat(y)
		} else {
			x.SetNull()
		}
	case fastMean:
		a := &s.args[f.arg]
		x.SetFloat(quotient(a.before[hi]-a.before[lo], int64(hi-lo), a.scale))
	case fastSum:
		t := f.term()
		n, scale := s.sum(b, &t, j)
		x.SetDec(0, int8(scale))
		x.W = n
	case fastCount:
		x.SetDec(int64(hi-lo), 0)
	case fastFirst:
		s.load(x, f.arg, lo)
	case fastLast:
		s.load(x, f.arg, hi-1)
	case fastMost:
		s.bestOf(p, b, f.queue)
		at := p.firstMost(f) + j
		s.args[f.arg].set(x, b.mostVal[at], int(b.most[at]))
	}
}
