package features

import (
	"math"
	"math/bits"
	"slices"
	"sort"

	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market/num"
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
			lim, rows := v.fastUntil(v.frames.columnsOf(i), until)
			at := v.out.Len()
			v.growRows(rows)
			v.emitColumns(i, lim, at, nil)
			continue
		}
		if e := v.frames.of(i); e.fast.on {
			v.frames.stopFast(e)
			e.fast.bad = e.rows + 1
		}
		for v.nextHeld(i) == t {
			v.emit(i, t)
		}
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
	if v.p.Instants {
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

// fastBlock is instants of an entity on their way out.
type fastBlock struct {
	n, rows int               // instants, and rows that they put out
	lo      int               // place of the first row
	single  bool              // each instant puts out one row
	at      int               // place in the output of the first row
	to      []uint32          // or of each row
	ends    [blockRows]uint32 // place after the last row of each instant
	limit   [blockRows]int64
	first   []uint32 // by frame, blockRows each: place of its first row
	sums    [blockRows]int64
	avail   [blockRows]int64
	hold    [blockRows]int64
	flags   [blockRows]uint8
	f64     [blockRows]float64
	lost    [blockRows]bool
	col     OutCol
}

// blockRows is the most instants of a block: few enough for the nearest cache.
const blockRows = 256

// emitColumns works out the rows of an entity up to a place and writes them from at on, or
// to the places that to gives.
func (v *viewState) emitColumns(i int32, lim, at int, to []uint32) {
	e := v.frames.of(i)
	s, p := e.fast, v.frames.fast
	if s.held() == 0 {
		return
	}
	for k := range s.best {
		s.best[k].link()
	}
	b := &p.block
	for s.done < lim {
		v.nextBlock(s, b, lim)
		s.moveFrames(p, b)
		hi := int(b.ends[b.n-1])
		e.rows += uint64(hi - s.done)
		if s.ts[s.done] >= v.task.from {
			b.at, b.to = at, nil
			if to != nil {
				b.to, to = to[:b.rows], to[b.rows:]
			}
			at += b.rows
			v.fastEnvelope(i, s, b)
			for k := range p.outs {
				v.fastOut(s, b, k)
			}
		} else {
			s.moveBest(p, b)
		}
		s.done = hi
	}
	e.last = s.ts[s.done-1]
	s.forget(p)
}

// nextBlock takes up the next instants, all before the first that is put out or all from it on.
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
		for i < lim && ts[i] == t {
			i++
		}
		b.ends[n], b.limit[n] = uint32(i), t
		n++
	}
	b.n, b.rows = n, n
	b.single = v.p.Instants || i-b.lo == n
	if !b.single {
		b.rows = i - b.lo
	}
}

// firstOf is the first row of a frame, by instant.
func (b *fastBlock) firstOf(frame int) []uint32 { return b.first[frame*blockRows:][:b.n] }

// moveFrames finds the first row of each frame at each instant. Four rows are looked at
// at once, without a branch: how many leave nobody can tell in advance. Frames go side by
// side, since each waits for its own last step.
func (s *fastState) moveFrames(p *fastFrames, b *fastBlock) {
	b.first = grow(b.first, len(p.spans)*blockRows)
	ts := append(s.ts, math.MaxInt64, math.MaxInt64, math.MaxInt64)
	s.ts = ts[:len(ts)-3]
	at := s.first[:len(p.spans)]
	for j, t := range b.limit[:b.n] {
		for k, span := range p.spans {
			limit, i := t-span+1, at[k]
			for {
				w := ts[i : i+4 : i+4]
				n := -int((w[0]-limit)>>63 + (w[1]-limit)>>63 + (w[2]-limit)>>63 + (w[3]-limit)>>63)
				i += n
				if n < 4 {
					break
				}
			}
			at[k], b.first[k*blockRows+j] = i, uint32(i)
		}
	}
}

// greatest finds the place of the greatest value of a frame at each instant and returns the
// last.
func (b *fastBlock) greatest(x *fastBest, at int, first []uint32, vals []int64) int {
	ends, next := b.ends[:len(first)], x.next
	vals = vals[:len(first)]
	if x.rising {
		for j, end := range ends {
			vals[j] = x.vals[end-1]
		}
		return int(ends[len(ends)-1]) - 1
	}
	for j, lo := range first {
		at = max(at, int(lo))
		for end := int(ends[j]); ; {
			to := at + int(next[at])
			if to >= end {
				break
			}
			at = to
		}
		vals[j] = x.vals[at]
	}
	return at
}

// moveBest brings what looks for best values past instants that put nothing out.
func (s *fastState) moveBest(p *fastFrames, b *fastBlock) {
	for at := b.lo; at < int(b.ends[b.n-1]); at++ {
		s.flag(at)
	}
	for k := range s.best {
		x := &s.best[k]
		for u := range x.at {
			x.at[u] = b.greatest(x, x.at[u], b.firstOf(p.looking(k, u)), b.sums[:])
		}
	}
}

// looking is the frame of use u of best values k.
func (p *fastFrames) looking(k, u int) int {
	if k < bestArgs {
		return p.longest
	}
	return p.queues[k-bestArgs].frames[u]
}

// flag notes the flags of a row.
func (s *fastState) flag(at int) {
	s.seen |= s.flags[at]
	for f := s.flags[at]; f != 0; f &= f - 1 {
		s.flagged[bits.TrailingZeros8(f)] = at + 1
	}
}

// fastEnvelope writes all but the features.
func (v *viewState) fastEnvelope(i int32, s *fastState, b *fastBlock) {
	p, o, ent := v.frames.fast, v.out, v.slots[i].ent
	first := b.firstOf(p.longest)
	for k, vals := range []*[blockRows]int64{&b.avail, &b.hold} {
		x := &s.best[k]
		x.at[0] = b.greatest(x, x.at[0], first, vals[:])
	}
	at := b.lo
	for j, end := range b.ends[:b.n] {
		for ; at < int(end); at++ {
			s.flag(at)
		}
		b.flags[j] = 0
		for f := s.seen; f != 0; f &= f - 1 {
			if s.flagged[bits.TrailingZeros8(f)] > int(first[j]) {
				b.flags[j] |= f & -f
			}
		}
	}
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
	s.fastF64(p, b, f, dst)
	if !direct {
		spread(c.F64, dst, b)
	}
}

// fastF64 works a feature out as floats.
func (s *fastState) fastF64(p *fastFrames, b *fastBlock, f *fastOut, dst []float64) {
	first, ends := b.firstOf(f.frame)[:len(dst)], b.ends[:len(dst)]
	den := 1.0
	if f.fn != fastCount {
		a := &s.args[f.arg]
		den = pow10[a.scale] // a float, since 5^18 is below 2^53
		rows := uint64(ends[len(ends)-1] - first[0])
		if bits.Len64(a.size)+bits.Len64(rows) > 53 || f.fn == fastMean && float64(rows)*den > 1<<53 {
			s.nums(p, b, f)
			for j := range dst {
				n := int64(1)
				if f.fn == fastMean {
					n = int64(ends[j]) - int64(first[j])
				}
				dst[j] = quotient(b.sums[j], n, a.scale)
			}
			return
		}
	}
	switch f.fn {
	case fastSum:
		before := s.args[f.arg].before
		for j := range dst {
			dst[j] = float64(before[ends[j]]-before[first[j]]) / den
		}
	case fastMean:
		before := s.args[f.arg].before
		for j := range dst {
			dst[j] = float64(before[ends[j]]-before[first[j]]) / (float64(int64(ends[j])-int64(first[j])) * den)
		}
	case fastMost:
		x, at := &s.best[bestArgs+f.queue], 0
		at = x.at[f.use]
		next, mask := x.next, x.mask()
		last, q := -1, 0.0
		for j := range dst {
			at = max(at, int(first[j]))
			for end := int(ends[j]); ; {
				to := at + int(next[at])
				if to >= end {
					break
				}
				at = to
			}
			if at != last {
				last, q = at, float64(x.vals[at]^mask)/den
			}
			dst[j] = q
		}
		x.at[f.use] = at
	default:
		s.nums(p, b, f)
		for j := range dst {
			dst[j] = float64(b.sums[j]) / den
		}
	}
}

// mask turns what is kept into the value.
func (x *fastBest) mask() int64 {
	if x.least {
		return -1
	}
	return 0
}

// nums works a feature out as integers: sums stand for means.
func (s *fastState) nums(p *fastFrames, b *fastBlock, f *fastOut) {
	first, ends := b.firstOf(f.frame), b.ends[:b.n]
	sums := b.sums[:b.n]
	if f.fn == fastCount {
		for j := range sums {
			sums[j] = int64(ends[j]) - int64(first[j])
		}
		return
	}
	before := s.args[f.arg].before
	switch f.fn {
	case fastFirst:
		for j, at := range first {
			sums[j] = before[at+1] - before[at]
		}
	case fastLast:
		for j, at := range ends {
			sums[j] = before[at] - before[at-1]
		}
	case fastMost:
		x := &s.best[bestArgs+f.queue]
		x.at[f.use] = b.greatest(x, x.at[f.use], first, sums)
		mask := x.mask()
		for j := range sums {
			sums[j] ^= mask
		}
	default:
		for j := range sums {
			sums[j] = before[ends[j]] - before[first[j]]
		}
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

// spread writes what each instant has into its rows.
func spread[T any](dst, x []T, b *fastBlock) {
	switch {
	case len(x) == 0:
	case b.single && b.to != nil:
		for j, at := range b.to {
			dst[at] = x[j]
		}
	default:
		b.eachRow(func(j, at int) { dst[at] = x[j] })
	}
}

// eachRow calls f for each row that is put out: its instant and its place in the output.
func (b *fastBlock) eachRow(f func(j, at int)) {
	r, place := 0, b.lo
	for j, end := range b.ends[:b.n] {
		n := int(end) - place
		place = int(end)
		if b.single {
			n = 1
		}
		for range n {
			if b.to != nil {
				f(j, int(b.to[r]))
			} else {
				f(j, b.at+r)
			}
			r++
		}
	}
}

// quotient is n × 10^-scale / den rounded once. A division of floats does so when both
// are exact: below 2^53.
func quotient(n, den int64, scale int8) float64 {
	const exact = 1 << 53
	d := float64(den) * pow10[scale]
	if uint64(n+exact) <= 2*exact && d <= exact {
		return float64(n) / d
	}
	a, b := num.FromInt64(n), num.FromInt64(den)
	f, _ := num.QuoFloat64(&a, int(scale), &b, 0)
	return f
}

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}
