package features

import (
	"slices"
	"sort"

	"github.com/pinova-group/tidemark/features/plan"
)

// fastDue is an entity with rows that columns hold and the mark has passed.
type fastDue struct {
	slot int32
	lim  int // place after the last of them
	rows int // that they put out
}

// emitFrames puts out all rows before a time of a view whose frames can go without
// programs. Nothing depends on the order in which entities are worked out: each writes its
// rows where they belong among the others.
func (v *viewState) emitFrames(until int64) {
	f, o := v.frames, v.out
	v.ents.ranks()
	begin, rows := o.Len(), 0
	f.due = f.due[:0]
	for _, i := range v.byName() {
		if i < 0 || v.nextHeld(i) >= until {
			continue
		}
		if f.columnsOf(i).held() == 0 {
			v.toColumns(i)
		}
		d := fastDue{slot: i}
		if s := f.columnsOf(i); s.held() > 0 {
			d.lim, d.rows = v.fastUntil(s, until)
			rows += d.rows
		}
		f.due = append(f.due, d)
	}
	v.growRows(rows)
	to := v.placeRows(begin, rows)
	at := begin
	for _, d := range f.due {
		var places []uint32
		if to != nil {
			places, to = to[:d.rows], to[d.rows:]
		}
		v.emitColumns(d.slot, d.lim, at, places)
		at += d.rows
		v.emitRest(d.slot, until)
	}
	if o.Len() > at {
		v.sortOut(begin)
	}
}

// byName lists the slots of the entities in the order of their names, -1 for those that have
// none.
func (v *viewState) byName() []int32 {
	order := grow(v.frames.order, len(v.ents.names))
	for k := range order {
		order[k] = -1
	}
	for i := range v.slots {
		if s := &v.slots[i]; s.used {
			order[v.ents.rank[s.ent]] = int32(i)
		}
	}
	v.frames.order = order
	return order
}

// emitRest puts out what is left of an entity before a time, behind the rows of all: records,
// and what columns could take of them.
func (v *viewState) emitRest(i int32, until int64) {
	for t := v.nextHeld(i); t < until; t = v.nextHeld(i) {
		if v.frames.columnsOf(i).held() > 0 || v.toColumns(i) {
			v.emitPassed(i, until)
			continue
		}
		if e := v.frames.of(i); e.fast.on {
			v.frames.stopFast(e)
			e.fast.bad = v.frames.fast.badUntil(e.rows + 1)
		}
		for v.nextHeld(i) == t {
			v.emit(i, t)
		}
	}
}

// emitPassed puts out the rows of an entity that columns hold before a time.
func (v *viewState) emitPassed(i int32, until int64) {
	if v.fastFrames() == nil {
		return
	}
	if s := v.frames.columnsOf(i); s.held() > 0 {
		lim, rows := v.fastUntil(s, until)
		at := v.out.Len()
		v.growRows(rows)
		v.emitColumns(i, lim, at, nil)
	}
}

// fastUntil is the place after the last held row before a time, and how many rows are put
// out until then.
func (v *viewState) fastUntil(s *fastState, until int64) (lim, rows int) {
	held := s.ts[s.done:]
	n := sort.Search(len(held), func(k int) bool { return held[k] >= until })
	held = held[:n]
	if n > 0 && held[0] < v.task.from {
		held = held[sort.Search(n, func(k int) bool { return held[k] >= v.task.from }):]
	}
	rows = len(held)
	if v.omit {
		rows = 0
	}
	if v.p.Instants && rows > 0 {
		for k := 1; k < len(held); k++ {
			if held[k] == held[k-1] {
				rows--
			}
		}
	}
	return s.done + n, rows
}

// growRows makes room for n more rows in the output.
func (v *viewState) growRows(n int) {
	o := v.out
	n += o.Len()
	o.Entity, o.Start, o.End, o.RowTS = extend(o.Entity, n), extend(o.Start, n), extend(o.End, n), extend(o.RowTS, n)
	o.Avail, o.Flags = extend(o.Avail, n), extend(o.Flags, n)
	for k := range o.Features {
		switch c := &o.Features[k]; v.p.Outs[k].As {
		case plan.F64:
			c.F64 = extend(c.F64, n)
		case plan.Decimal:
			c.Hi, c.Lo = extend(c.Hi, n), extend(c.Lo, n)
		default:
			c.I64 = extend(c.I64, n)
		}
	}
}

// emitColumns works out the rows of an entity up to a place and writes them from at on, or
// to the places that to gives.
func (v *viewState) emitColumns(i int32, lim, at int, to []uint32) {
	e := v.frames.of(i)
	s, p := e.fast, v.frames.fast
	if s.held() == 0 || lim == s.done {
		return
	}
	if v.survey != nil {
		v.survey.out.Rows += int64(lim - s.done)
	}
	b := &p.block
	for s.done < lim {
		thin := v.thin(s)
		switch {
		case thin:
			v.nextPanes(s, b, lim)
			s.movePanes(p, b)
		case p.rows[0] > 0:
			v.nextBlock(s, b, lim)
			s.moveRows(p, b)
		default:
			v.nextBlock(s, b, lim)
			s.moveFrames(p, b)
		}
		hi := int(b.ends[b.n-1])
		e.rows += uint64(hi - s.done)
		out := !v.omit && s.ts[s.done] >= v.task.from
		switch {
		case thin:
			s.paneEnvelope(p, b)
		case out || len(p.children) > 0:
			s.envelope(p, b)
		default:
			s.flagRows(b)
		}
		for k := range p.children {
			v.foldColumns(i, s, b, &p.children[k])
		}
		if out {
			b.at, b.to = at, nil
			if to != nil {
				b.to, to = to[:b.rows], to[b.rows:]
			}
			at += b.rows
			v.fastEnvelope(i, s, b)
			for k := range p.outs {
				v.fastOut(s, b, k)
			}
		}
		s.done = hi
	}
	e.last = s.ts[s.done-1]
}

// nextBlock takes up the next instants, or rows where frames are of rows, all before the first that is put out or all from it on.
func (v *viewState) nextBlock(s *fastState, b *fastBlock, lim int) {
	ts, i, n := s.ts[:lim], s.done, 0
	out := ts[i] >= v.task.from
	b.lo = i
	for i < lim && n < blockRows {
		t := ts[i]
		if !out && t >= v.task.from {
			break
		}
		i++
		for i < lim && ts[i] == t && v.frames.fast.rows[0] == 0 {
			i++
		}
		b.ends[n], b.limit[n] = uint32(i), t
		n++
	}
	b.n, b.rows, b.panes = n, n, false
	b.renew(v.frames.fast)
	b.single = v.p.Instants || i-b.lo == n
	if !b.single {
		b.rows = i - b.lo
	}
}

// envelope finds what the rows of instants come from.
func (s *fastState) envelope(p *fastFrames, b *fastBlock) {
	first := b.firstOf(p.longest)
	s.greatest(p, b, &s.best[bestAvail], s.avail, b.avail[:])
	if s.holds != nil {
		s.greatest(p, b, &s.best[bestHold], s.holds, b.hold[:])
	}
	at := b.lo
	for j, end := range b.ends[:b.n] {
		if s.holds == nil {
			b.hold[j] = s.hold
		}
		for ; at < int(end); at++ {
			s.flag(at)
		}
		b.flags[j] = s.flagsFrom(int(first[j]))
		if p.rows[0] > 0 && p.short(b, j) {
			b.flags[j] |= FlagPartial
		}
	}
}

// fastEnvelope writes all but the features.
func (v *viewState) fastEnvelope(i int32, s *fastState, b *fastBlock) {
	p, o, ent := v.frames.fast, v.out, v.slots[i].ent
	r, place := 0, b.lo
	for j, end := range b.ends[:b.n] {
		if v.p.Instants {
			place = int(end) - 1
		}
		for ; place < int(end); place++ {
			at := b.at + r
			if b.to != nil {
				at = int(b.to[r])
			}
			r++
			t := s.ts[place]
			start, stop := t, t
			switch {
			case v.p.Instants:
				start -= v.p.Window.Width
			case p.windows:
				start, stop = s.start[place], s.end[place]
			}
			o.Entity[at], o.Start[at], o.End[at], o.RowTS[at] = ent, start, stop, t
			o.Avail[at], o.Flags[at] = max(stop+b.hold[j], b.avail[j]), b.flags[j]
		}
	}
}

// fastOut writes a feature.
func (v *viewState) fastOut(s *fastState, b *fastBlock, k int) {
	p, c := v.frames.fast, &v.out.Features[k]
	f := &p.outs[k]
	if v.p.Outs[k].As != plan.F64 {
		v.storeOut(s, b, k)
		return
	}
	dst := b.f64[:b.n]
	direct := b.single && b.to == nil
	if direct {
		dst = c.F64[b.at:][:b.n]
	}
	if s.floats(p, b, f, dst) {
		b.eachRow(func(j, at int) {
			if b.lost[j] {
				c.setNull(at)
			}
		})
	}
	if !direct {
		spread(c.F64, dst, b)
	}
}

// storeOut writes a feature that is no float.
func (v *viewState) storeOut(s *fastState, b *fastBlock, k int) {
	p, d, c := v.frames.fast, &v.p.Outs[k], &v.out.Features[k]
	f := &p.outs[k]
	s.nums(p, b, f)
	scale := int8(0)
	if f.fn != fastCount {
		scale = s.args[f.arg].scale
	}
	t, x := &b.col, &v.frames.x
	t.I64, t.Hi, t.Lo = t.I64[:0], t.Hi[:0], t.Lo[:0]
	for j, n := range b.sums[:b.n] {
		x.SetDec(n, scale)
		b.lost[j] = !v.store(t, d, x, j)
	}
	spread(c.I64, t.I64, b)
	spread(c.Hi, t.Hi, b)
	spread(c.Lo, t.Lo, b)
	if slices.Contains(b.lost[:b.n], true) {
		b.eachRow(func(j, at int) {
			if b.lost[j] {
				c.setNull(at)
				v.out.Flags[at] |= FlagOverflow
			}
		})
	}
}
