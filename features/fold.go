package features

import (
	"sort"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// passRows is how many rows are held before those are put out that they leave behind: few enough to be in a near cache still.
const passRows = 4 << 10

// push folds grouped rows into the view.
func (v *viewState) push(c *cols, runs []run) {
	if v.family != nil && v != v.family.views[0] {
		return // the first folds for all
	}
	if v.p.Where >= 0 && !v.p.Late {
		c, runs = v.pick(c, runs)
	}
	if v.survey != nil {
		v.survey.runs(runs)
	}
	if v.p.Shape == plan.Latest {
		v.holdLatest(c, runs)
		return
	}
	if v.p.Hold {
		for _, r := range runs {
			if !v.alone || !v.task.apart {
				v.holdRun(c, r)
				continue
			}
			for lo := r.lo; lo < r.hi; lo += passRows { // few are held at once
				hi := min(lo+passRows, r.hi)
				v.holdRun(c, run{r.ent, lo, hi})
				v.emitPassed(v.slotOf[r.ent], c.ts[hi-1])
			}
		}
		return
	}
	if v.family != nil {
		v.family.push(c, runs)
		return
	}
	v.choose(c)
	for _, r := range runs {
		switch v.p.Shape {
		case plan.Bar:
			switch {
			case v.p.Scans != nil:
				v.foldScannedBegun(c, r)
			case v.p.Bars.Split:
				v.foldSplit(c, r)
			default:
				v.foldBars(c, r)
			}
		case plan.Session:
			if v.p.Scans != nil {
				v.foldScannedBegun(c, r)
			} else {
				v.foldSessions(c, r)
			}
		default:
			v.foldRun(c, r)
		}
	}
}

// foldRun cuts a run at the borders of panes and folds each segment.
func (v *viewState) foldRun(c *cols, r run) {
	i := v.slot(r.ent)
	for lo := r.lo; lo < r.hi; {
		if ts := c.ts[lo]; ts >= v.slots[i].end {
			v.enter(i, ts)
		}
		hi, end := r.hi, v.slots[i].end
		if c.ts[hi-1] >= end {
			hi = border(c.ts, lo, hi, end)
		}
		v.foldSegment(i, v.openRec(i), c, lo, hi)
		lo = hi
	}
}

// foldSegment folds rows of one entity and window.
func (v *viewState) foldSegment(i int32, rec []uint64, c *cols, lo, hi int) {
	v.task.meta(rec, c, lo, hi)
	v.kernels.fold(rec, c, lo, hi)
	switch {
	case v.p.Scans != nil:
		v.foldScanned(i, rec, c, lo, hi)
	case len(v.slowNow) == 0:
	case v.vec.on && len(v.lasts.accs) == 0:
		v.vec.fold(rec, c, lo, hi)
	case !v.lasts.fold(rec, c, lo, hi):
		v.foldRows(rec, c, lo, hi)
	}
}

// border is the first row at or after end; row lo is before it and row hi-1 is not. It
// gallops, since segments are short against what is left of a run.
func border(ts []int64, lo, hi int, end int64) int {
	step := 1
	for lo+step < hi && ts[lo+step] < end {
		lo += step
		step *= 2
	}
	top := min(lo+step, hi-1)
	return lo + 1 + sort.Search(top-lo-1, func(k int) bool { return ts[lo+1+k] >= end })
}

// meta folds what every row contributes besides its values.
func (t *Task) meta(rec []uint64, c *cols, lo, hi int) {
	feed := c.feed[lo:hi]
	hold, lag := t.feeds.of(feed[0])
	last := hold
	oneFeed := c.oneFeed || sameFeed(feed) // of many feeds an entity most often has one
	var avail int64
	switch {
	case c.bulk && oneFeed:
		avail = c.ts[hi-1] + lag
		rec[plan.MetaFlags] |= uint64(FlagAssumed)
	case c.gaps || !oneFeed:
		avail, hold = t.availability(rec, c, lo, hi)
		last, _ = t.feeds.of(feed[len(feed)-1])
	default:
		for _, at := range c.ingest[lo:hi] {
			avail = max(avail, at)
		}
	}
	if c.anyFlags&market.FlagGap != 0 {
		for _, f := range c.flags[lo:hi] {
			if f&market.FlagGap != 0 {
				rec[plan.MetaFlags] |= uint64(FlagGap)
			}
		}
	}
	rec[plan.MetaRows] += uint64(hi - lo)
	rec[plan.MetaAvail] = max(rec[plan.MetaAvail], uint64(avail))
	rec[plan.MetaHold] = max(rec[plan.MetaHold], uint64(hold))
	rec[plan.MetaLastTS], rec[plan.MetaLastHold] = uint64(c.ts[hi-1]), uint64(last)
	rec[plan.MetaLastAvail] = uint64(t.known(c, hi-1))
}

// known is when a row could be known.
func (t *Task) known(c *cols, i int) int64 {
	if at := c.ingest[i]; at != market.NoTime {
		return at
	}
	_, lag := t.feeds.of(c.feed[i])
	return c.ts[i] + lag
}

// availability is the newest ingest time and greatest disorder of rows of several feeds
// or without ingest times, which count as event time + the feed's assumed lag.
func (t *Task) availability(rec []uint64, c *cols, lo, hi int) (avail, hold int64) {
	for i := lo; i < hi; i++ {
		h, lag := t.feeds.of(c.feed[i])
		hold = max(hold, h)
		if at := c.ingest[i]; at != market.NoTime {
			avail = max(avail, at)
		} else {
			avail = max(avail, c.ts[i]+lag)
			rec[plan.MetaFlags] |= uint64(FlagAssumed)
		}
	}
	return avail, hold
}

// choose settles which accumulators kernels can fold for these columns.
func (v *viewState) choose(c *cols) {
	v.slowNow, v.fastNow = append(v.slowNow[:0], v.slow...), v.fastNow[:0]
	for _, k := range v.fast {
		f := v.p.Args[k].Fast
		null := f.Kind != plan.NoArg && c.hasNull[f.A] || f.Kind == plan.Product && c.hasNull[f.B] || f.Enum >= 0 && c.hasNull[f.Enum]
		if null {
			v.slowNow = append(v.slowNow, k)
		} else {
			v.fastNow = append(v.fastNow, k)
		}
	}
	v.kernels.choose(v.fastNow)
	v.vec.choose(c)
	v.lasts.choose()
}

// foldRows folds row by row through the row program: the definition of every fold.
func (v *viewState) foldRows(rec []uint64, c *cols, lo, hi int) {
	code := v.p.Row.Code
	if len(v.slowNow) == len(v.slow) && !v.task.plan.plain {
		code = v.p.Slow
	}
	for i := lo; i < hi; i++ {
		v.loadRow(c, i)
		v.row.RunCode(code)
		v.foldArgs(rec, v.slowNow, c.ts[i])
	}
}

// foldRowsOf is foldRows for some accumulators of a part.
func (v *viewState) foldRowsOf(rec []uint64, c *cols, lo, hi int, p *part, accs []int) {
	for i := lo; i < hi; i++ {
		v.task.loadEvent(p.inputs, v.row.Regs, c, i)
		v.row.RunCode(p.code)
		v.foldArgs(rec, accs, c.ts[i])
	}
}

// foldArgs folds the values that the row program computed.
func (v *viewState) foldArgs(rec []uint64, accs []int, ts int64) {
	regs := v.row.Regs
	for _, k := range accs {
		a := &v.p.Args[k]
		if a.Where >= 0 {
			if w := &regs[a.Where]; w.Null || w.I == 0 {
				if w.Null && w.Ovf {
					rec[plan.MetaFlags] |= uint64(FlagOverflow)
				}
				continue
			}
		}
		var x *op.Val
		if a.Reg >= 0 {
			x = &regs[a.Reg]
			if x.Null {
				if x.Ovf || !v.p.Accs[k].Void(rec, ts) {
					rec[plan.MetaFlags] |= uint64(FlagOverflow)
				}
				continue
			}
		}
		if !v.p.Accs[k].Fold(rec, x, ts, &v.task.sc) {
			rec[plan.MetaFlags] |= uint64(FlagOverflow)
		}
	}
}

// loadRow loads the columns of row i into the row program.
func (v *viewState) loadRow(c *cols, i int) { v.task.loadEvent(v.p.Inputs, v.row.Regs, c, i) }

// loadEvent loads columns of row i of events.
func (t *Task) loadEvent(ins []plan.Input, regs []op.Val, c *cols, i int) {
	for k := range ins {
		in := &ins[k]
		x := &regs[in.Reg]
		switch in.Ref.Source {
		case plan.Payload:
			loadPayload(x, in, c, i)
		case plan.EventTime:
			x.SetInt(c.ts[i])
		case plan.RawTime:
			x.SetInt(c.raw[i])
		case plan.IngestTime:
			if at := c.ingest[i]; at == market.NoTime {
				x.SetNull()
			} else {
				x.SetInt(at)
			}
		case plan.SeqNumber:
			x.SetInt(0)
			x.W[0] = c.seq[i]
		case plan.FeedName:
			x.SetText(t.feeds.name(c.feed[i]))
		case plan.Joined, plan.Absent: // known when the row is complete, or never
			x.SetNull()
		default:
			setWord(x, t.inst[c.inst[i]][in.Ref.Source-plan.Exchange], in)
		}
	}
}

func loadPayload(x *op.Val, in *plan.Input, c *cols, i int) {
	col := &c.c[in.Ref.Index]
	if c.hasNull[in.Ref.Index] && col.IsNull(i) {
		x.SetNull()
		x.Ovf = in.Book && col.I64[i] != 0
		return
	}
	switch in.Kind {
	case op.KExact:
		s := int8(0)
		if in.Type == market.TypeDec {
			s = col.Scale[i]
		}
		x.SetDec(col.I64[i], s)
	case op.KBool:
		x.SetBool(col.I64[i] != 0)
	case op.KText:
		x.SetText(col.Text(i))
	case op.KFloat:
		x.SetFloat(col.F64[i])
	}
}

// setWord makes x a text or, for a column read as an enum, the code of its word.
func setWord(x *op.Val, s []byte, in *plan.Input) {
	if in.Kind == op.KText {
		x.SetText(s)
		return
	}
	for code, w := range in.Ref.Words {
		if w == string(s) {
			x.SetInt(int64(code))
			return
		}
	}
	x.SetNull()
}

// pushRow folds one row of the parent view, whose values are in the parent's finish
// machine and whose times are in row.
func (v *viewState) pushRow(from *viewState, row *emitted) {
	if v.p.Union != nil {
		v.holdUnionRow(from, row)
		return
	}
	ent := v.child(from, row)
	loadRowOf(v.p.Inputs, v.row.Regs, from, row)
	if !v.p.Late && !v.wanted() {
		return
	}
	v.survey.row(ent)
	if v.p.Hold {
		v.holdParent(from, ent, row)
		return
	}
	if v.p.Shape == plan.RowView {
		v.passRow(ent, row)
		return
	}
	if v.p.Shape == plan.Latest {
		v.holdLatestOf(ent, from, row)
		return
	}
	i := v.slot(ent)
	own := op.Origin{Avail: row.avail, Hold: row.hold, Flags: row.flags & inherited}
	if v.p.Begins() {
		o := v.runRow(i, row.rowTS, false, own)
		v.foldBegun(i, row.rowTS, rowSource{row: row}, o)
		return
	}
	if row.rowTS >= v.slots[i].end {
		v.enter(i, row.rowTS)
	}
	rec := v.openRec(i)
	rowMeta(rec, row)
	rec[plan.MetaRows]++
	o := v.runRow(i, row.rowTS, false, own)
	scanMeta(rec, o)
	lastScanned(rec, o)
	v.foldArgs(rec, v.slow, row.rowTS)
}

// rowMeta folds the envelope of a row of the parent.
func rowMeta(rec []uint64, row *emitted) {
	rec[plan.MetaAvail] = max(rec[plan.MetaAvail], uint64(row.avail))
	rec[plan.MetaHold] = max(rec[plan.MetaHold], uint64(row.hold))
	rec[plan.MetaFlags] |= uint64(row.flags & inherited)
	rec[plan.MetaLastTS], rec[plan.MetaLastHold] = uint64(row.rowTS), uint64(row.hold)
	rec[plan.MetaLastAvail] = uint64(row.avail)
}

// inherited are the flags that a row passes on to what is computed from it.
const inherited = FlagPartial | FlagWarmup | FlagGap | FlagAssumed

// pushState merges a state of the parent into a rollup.
func (v *viewState) pushState(from *viewState, row *emitted, rec []uint64) {
	ent := v.child(from, row)
	v.survey.row(ent)
	i := v.slot(ent)
	if row.rowTS >= v.slots[i].end {
		v.enter(i, row.rowTS)
	}
	open := v.openRec(i)
	v.merge(open, rec)
	open[plan.MetaFlags] |= uint64(row.flags & inherited)
	for _, a := range v.owners {
		a.Merge(open, rec, &v.task.sc)
	}
}

// child is the entity that a row of the parent belongs to.
func (v *viewState) child(from *viewState, row *emitted) uint32 {
	if e := v.keys.from; int(row.ent) < len(e) && e[row.ent] >= 0 {
		return uint32(e[row.ent])
	}
	return v.keys.of(int(row.ent), func(r plan.Ref) string { return from.ents.names[row.ent][r.Index] })
}

// loadRowOf loads columns of a row of a view.
func loadRowOf(ins []plan.Input, regs []op.Val, from *viewState, row *emitted) {
	for k := range ins {
		in := &ins[k]
		x := &regs[in.Reg]
		switch in.Ref.Source {
		case plan.Feature:
			y := &from.fin.Regs[from.p.Outs[in.Ref.Index].Reg]
			if in.Round {
				roundRatio(x, y)
			} else {
				x.Copy(y, in.Kind)
			}
		case plan.OfEntity:
			setWord(x, from.ents.texts[row.ent][in.Ref.Index], in)
		case plan.WindowStart:
			x.SetInt(row.start)
		case plan.WindowEnd:
			x.SetInt(row.end)
		case plan.RowTime:
			x.SetInt(row.rowTS)
		case plan.AvailTime:
			x.SetInt(row.avail)
		case plan.Joined, plan.Absent: // known when the row is complete, or never
			x.SetNull()
		}
	}
}

// roundRatio makes x the float64 nearest to a ratio.
func roundRatio(x, y *op.Val) {
	switch f, ok := y.Float64(op.KRatio); {
	case ok:
		x.SetFloat(f)
	case y.Null && !y.Ovf:
		x.SetNull()
	default:
		x.SetOverflow()
	}
}
