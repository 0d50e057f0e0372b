package features

import (
	"math"
	"math/bits"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market/num"
)

// fastState is what the frames of an entity hold as long as its values are integers of 64
// bits at one scale for each argument, none null, and no sum of a frame can leave 62
// bits. It stands for the rings of values and for all that follows from them; the ring of
// rows of the level is kept beside it.
type fastState struct {
	on    bool
	bad   uint64 // rows before this number cannot be held so
	cells ring   // of each row in reach: for each argument the sum of all rows before it
	scale []int8
	size  []uint64  // greatest magnitude seen
	unit  []float64 // powers of ten of the scales
	total []int64   // sum of all rows, in arithmetic that wraps around: differences are exact
	start []uint64  // number of the first row of each frame
	best  []fastQueue
}

// fastQueue is values each of which beats all after it, with their rows, and the place of
// each frame in it.
type fastQueue struct {
	rows []uint64
	vals []int64
	at   []int
	low  int // least place that was written since the frames were moved
}

func (p *fastFrames) empty() *fastState {
	n := len(p.cells)
	s := &fastState{cells: ring{stride: ringHead + n}, scale: make([]int8, n), size: make([]uint64, n), unit: make([]float64, n),
		total: make([]int64, n), start: make([]uint64, len(p.spans)), best: make([]fastQueue, len(p.queues))}
	for k := range s.best {
		s.best[k].at = make([]int, len(p.queues[k].frames))
	}
	return s
}

// emitFast takes the rows of the entity's oldest instant out, all at once; false when
// they have to go the general way.
func (v *viewState) emitFast(i int32, row *emitted) bool {
	f := v.frames
	if !f.judged {
		f.judged, f.fast = true, v.fastPlan()
	}
	if f.fast == nil || f.now.n > 0 {
		return false
	}
	e := f.of(i)
	if e.fast == nil {
		e.fast = f.fast.empty()
	}
	s := e.fast
	if !s.on && !f.startFast(e) {
		return false
	}
	n, ok := v.fits(i, e, row.rowTS)
	if !ok {
		f.stopFast(e)
		s.bad = e.rows + uint64(n)
		return false
	}
	lv := &e.levels[1]
	slots := &v.slots[i]
	h := slots.held.head
	for k := range n {
		rec := v.held.rec(h)
		number := e.rows + uint64(k)
		for a, at := range f.fast.cells {
			s.push(f.fast, a, number, int64(rec[at+1]), row.rowTS)
		}
		if len(f.fast.cells) == 0 {
			s.cells.push(row.rowTS, number)
		}
		entry := lv.rows.push(row.rowTS, number)
		entry[levelAvail], entry[levelHold], entry[levelFlags] = rec[plan.MetaAvail], rec[plan.MetaHold], rec[plan.MetaFlags]&0xff
		h = v.held.next(h)
	}
	e.rows, e.last = e.rows+uint64(n), row.rowTS
	s.move(f.fast, row.rowTS)
	first := s.start[f.fast.longest]
	from := lv.origin(first, e.rows-1)
	lv.rows.drop(first)
	lv.avail.drop(first)
	lv.hold.drop(first)
	s.cells.drop(first)
	for k := range n {
		r := v.held.pop(&slots.held)
		if !v.p.Instants || k+1 == n {
			v.fastRow(e, row, v.held.rec(r), from)
		}
		v.held.release(r)
	}
	return true
}

// fits judges the rows of the oldest instant, n of them.
func (v *viewState) fits(i int32, e *framesState, ts int64) (n int, ok bool) {
	s, p := e.fast, v.frames.fast
	ok = true
	for r := v.slots[i].held.head; r != 0 && int64(v.held.node(r)[nodeAt]) == ts; r = v.held.next(r) {
		rec := v.held.rec(r)
		for a, at := range p.cells {
			ok = s.fitsCell(a, rec[at:at+4], s.cells.n == 0 && n == 0) && ok
		}
		n++
	}
	return n, ok && s.bounded(n)
}

// fitsCell judges one value; the first that there is gives the scale.
func (s *fastState) fitsCell(a int, cell []uint64, first bool) bool {
	_ = cell[3]
	if first {
		s.scale[a], s.size[a] = int8(cell[0]>>8), 0
	}
	x := int64(cell[1])
	if cell[0] != 1|uint64(s.scale[a])<<8 || cell[2] != uint64(x>>63) || cell[3] != cell[2] {
		return false
	}
	s.size[a] = max(s.size[a], uint64(x^x>>63))
	return true
}

// bounded tells that no sum over the rows in reach and n more can leave 62 bits.
func (s *fastState) bounded(n int) bool {
	rows := bits.Len64(s.cells.n + uint64(n))
	for _, m := range s.size {
		if bits.Len64(m)+rows > 61 {
			return false
		}
	}
	return true
}

// push enters one argument of a row, arguments in their order.
func (s *fastState) push(p *fastFrames, a int, number uint64, x, ts int64) {
	if a == 0 {
		s.cells.push(ts, number)
	}
	s.cells.at(number)[ringHead+a] = uint64(s.total[a])
	s.total[a] += x
	for k := range p.queues {
		if q := &p.queues[k]; q.arg == a {
			s.best[k].push(number, x, q.least)
		}
	}
}

func (q *fastQueue) push(number uint64, x int64, least bool) {
	n := len(q.vals)
	if least {
		for n > 0 && q.vals[n-1] > x {
			n--
		}
	} else {
		for n > 0 && q.vals[n-1] < x {
			n--
		}
	}
	q.low = min(q.low, n)
	if n == cap(q.vals) { // forget what no frame looks at any more before it grows
		gone := q.low
		for _, at := range q.at {
			gone = min(gone, at)
		}
		if gone > n/2 {
			q.rows, q.vals = q.rows[:copy(q.rows, q.rows[gone:n])], q.vals[:copy(q.vals, q.vals[gone:n])]
			for k := range q.at {
				q.at[k] -= gone
			}
			n, q.low = n-gone, q.low-gone
		}
	}
	q.rows, q.vals = append(q.rows[:n], number), append(q.vals[:n], x)
}

// move brings the frames to an instant whose rows are entered.
func (s *fastState) move(p *fastFrames, ts int64) {
	words, mask, stride := s.cells.words, s.cells.mask, s.cells.stride
	for k, span := range p.spans {
		at, limit := s.start[k], ts-span
		for int64(words[int(at&mask)*stride]) <= limit {
			at++
		}
		s.start[k] = at
	}
	for k := range s.best {
		q := &s.best[k]
		for u, frame := range p.queues[k].frames {
			at, first := min(q.at[u], q.low), s.start[frame]
			for q.rows[at] < first {
				at++
			}
			q.at[u] = at
		}
		q.low = math.MaxInt
	}
}

// fastRow puts out one row of the instant that the frames are at.
func (v *viewState) fastRow(e *framesState, row *emitted, rec []uint64, from op.Origin) {
	if row.rowTS < v.task.from {
		return
	}
	row.start, row.end = int64(rec[plan.HeldStart]), int64(rec[plan.HeldEnd])
	if v.p.Instants {
		row.start, row.end = row.rowTS-v.p.Window.Width, row.rowTS
	}
	row.hold, row.flags = int64(rec[plan.MetaHold]), uint8(rec[plan.MetaFlags])
	row.avail = max(row.end+row.hold, int64(rec[plan.MetaAvail]))
	row.scanOut(from)
	o := v.out
	flags := row.flags | v.fastOuts(e, o)
	o.Entity = append(o.Entity, row.ent)
	o.Start, o.End, o.RowTS = append(o.Start, row.start), append(o.End, row.end), append(o.RowTS, row.rowTS)
	o.Avail, o.Flags = append(o.Avail, row.avail), append(o.Flags, flags)
}

// fastOuts appends the features. It returns FlagOverflow if one does not fit its type.
func (v *viewState) fastOuts(e *framesState, o *ViewRows) (flags uint8) {
	s, p := e.fast, v.frames.fast
	exact := s.exact(e)
	words, mask, stride := s.cells.words, s.cells.mask, s.cells.stride
	for k := range p.outs {
		f, c := &p.outs[k], &o.Features[k]
		if !exact || f.as != plan.F64 || f.fn == fastCount {
			flags |= v.fastOut(e, o, k)
			continue
		}
		start := s.start[f.frame]
		var n int64
		d := s.unit[f.arg]
		switch f.fn {
		case fastMost:
			q := &s.best[f.queue]
			n = q.vals[q.at[f.use]]
		case fastMean:
			d *= float64(e.rows - start)
			fallthrough
		case fastSum:
			n = s.total[f.arg] - int64(words[int(start&mask)*stride+ringHead+f.arg])
		default:
			n, _, _ = s.value(e, f)
		}
		c.F64 = append(c.F64, float64(n)/d)
	}
	return flags
}

// exact tells that every sum and every divisor of the instant is below 2^53, so that one
// division of floats rounds once; it sets the units of the arguments.
func (s *fastState) exact(e *framesState) bool {
	rows := e.rows - s.cells.base
	for a, m := range s.size {
		s.unit[a] = pow10[s.scale[a]]
		if bits.Len64(m)+bits.Len64(rows) > 53 || float64(rows)*s.unit[a] > 1<<53 {
			return false
		}
	}
	return true
}

// fastOut appends feature k whatever its type and size.
func (v *viewState) fastOut(e *framesState, o *ViewRows, k int) (flags uint8) {
	s, f, c, d := e.fast, &v.frames.fast.outs[k], &o.Features[k], &v.p.Outs[k]
	n, den, scale := s.value(e, f)
	if d.As == plan.F64 {
		c.F64 = append(c.F64, quotient(n, den, scale))
		return 0
	}
	x := &v.frames.x
	x.SetDec(n, scale)
	if !v.store(c, d, x, o.Len()) {
		c.setNull(o.Len())
		flags = FlagOverflow
	}
	return flags
}

// value is a feature: num × 10^-scale / den.
func (s *fastState) value(e *framesState, f *fastOut) (num, den int64, scale int8) {
	start := s.start[f.frame]
	switch f.fn {
	case fastCount:
		return int64(e.rows - start), 1, 0
	case fastMost:
		q := &s.best[f.queue]
		return q.vals[q.at[f.use]], 1, s.scale[f.arg]
	case fastFirst:
		num = s.before(e, start+1, f.arg) - s.before(e, start, f.arg)
	case fastLast:
		num = s.total[f.arg] - s.before(e, e.rows-1, f.arg)
	default:
		num = s.total[f.arg] - s.before(e, start, f.arg)
	}
	if f.fn == fastMean {
		return num, int64(e.rows - start), s.scale[f.arg]
	}
	return num, 1, s.scale[f.arg]
}

// before is the sum of an argument over all rows before one.
func (s *fastState) before(e *framesState, number uint64, arg int) int64 {
	if number == e.rows {
		return s.total[arg]
	}
	return int64(s.cells.words[int(number&s.cells.mask)*s.cells.stride+ringHead+arg])
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
