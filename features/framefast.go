package features

import (
	"math/bits"
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
)

// fastState is the rows of an entity column by column: those that some frame can still
// reach, and behind them those that the mark has not passed. It stands for the held
// records, for the rings and for all that follows from them as long as the values are
// integers of 64 bits at the finest scale of each argument, none null, and no sum of a frame
// can leave 62 bits. A row that does not fit is held as a record, and so are all after it
// until a state without programs can take them over.
//
// The place of a row is its index in the columns; it moves when rows are forgotten.
type fastState struct {
	on   bool
	bad  uint64 // rows before this number cannot be held so
	done int    // rows in front that are out
	ts   []int64
	// start and end are the windows of rows of a parent.
	start, end []int64
	flags      []uint8
	avail      []int64
	hold       int64   // of all rows
	holds      []int64 // or of each, nil while they have one
	args       []fastArg
	wide       []fastWide
	best       []fastBest // avail, holds and those of the plan
	first      []int      // by frame: place of its first row, as of the last instant that is out
	seen       uint8      // flags of rows that are out
	flagged    [8]int     // place after the last of them that has a flag
}

// fastArg is an argument of the rows.
type fastArg struct {
	// before is for each row, and the next one, the sum of all rows before it, in
	// arithmetic that wraps around: differences are exact.
	before  []int64
	squares squareSums // the same of their squares
	scale   int8       // the finest that has come
	own     []int8     // the scale that each row came with, nil while it is that one
	size    uint64     // bits of the magnitudes seen
}

func (p *fastFrames) empty() *fastState {
	s := &fastState{args: make([]fastArg, len(p.args)), best: make([]fastBest, bestArgs+len(p.queues)), first: make([]int, len(p.spans))}
	for a := range s.args {
		s.args[a].before = []int64{0}
		if p.squared[a] {
			s.args[a].squares.near = make([]int64, 1)
		}
	}
	s.best[bestAvail] = fastBest{at: make([]int, 2), rising: true}
	s.best[bestHold] = fastBest{at: []int{0}, rising: true}
	s.wide = make([]fastWide, len(p.wide.regs))
	for d := range s.wide {
		s.wide[d].sums = make([]num.Nat128, 1)
	}
	for k, q := range p.queues {
		s.best[bestArgs+k] = fastBest{least: q.least, at: make([]int, len(q.frames))}
	}
	return s
}

// fastFrames is the plan to work the view out without programs, nil when it needs them.
func (v *viewState) fastFrames() *fastFrames {
	f := v.frames
	if f == nil {
		return nil
	}
	if !f.judged { // not before all views are there
		f.judged, f.fast = true, v.fastPlan()
	}
	return f.fast
}

// columns is the state that takes rows without programs; nil when the entity has none at
// the moment.
func (v *viewState) columns(i int32) *fastState {
	if v.fastFrames() == nil {
		return nil
	}
	e := v.frames.of(i)
	if e.fast == nil {
		e.fast = &fastState{}
	}
	if !e.fast.on && !v.frames.startFast(e) {
		return nil
	}
	return e.fast
}

// holdColumns keeps rows of a run as far as they can go without programs, and returns the
// first that cannot.
func (v *viewState) holdColumns(c *cols, r run) int {
	if v.fastFrames() == nil {
		return r.lo
	}
	i := v.slot(r.ent)
	if v.slots[i].held.head != 0 { // behind others
		return r.lo
	}
	s := v.columns(i)
	if s == nil {
		return r.lo
	}
	hi := s.fitRows(v.frames.fast, c, r)
	if hi > r.lo {
		v.due = min(v.due, c.ts[r.lo])
		s.pushRows(v.frames.fast, &v.task.feeds, c, r.lo, hi)
	}
	if hi < r.hi {
		v.leaveInstant(i, s, c.ts[hi])
	}
	return hi
}

// fitRows is the first row of a run that does not fit.
func (s *fastState) fitRows(p *fastFrames, c *cols, r run) int {
	hi := r.hi
	for a, in := range p.args {
		col := &c.c[in.Ref.Index]
		if c.hasNull[in.Ref.Index] {
			for i := r.lo; i < hi; i++ {
				if col.IsNull(i) {
					hi = i
				}
			}
		}
		p.in[a] = fastIn{x: col.I64[r.lo:hi]}
		if in.Type == market.TypeDec {
			p.in[a].scales = col.Scale[r.lo:hi]
		}
	}
	return r.lo + s.fit(p, hi-r.lo)
}

// fit is how many of the first n rows on their way in fit.
func (s *fastState) fit(p *fastFrames, n int) int {
	for a, in := range p.in {
		p.x[a], p.scales[a] = in.x[:n], nil
		if in.scales != nil {
			p.scales[a] = in.scales[:n]
			n = s.rescale(p, a)
		}
		or := uint64(0)
		for _, x := range p.x[a] {
			or |= uint64(x ^ x>>63)
		}
		if !s.bounded(or, n) {
			return 0
		}
		s.args[a].size |= or
	}
	return s.fitWide(p, n)
}

// rescale brings the values of an argument to one scale, that of the state, which it refines
// when it has to. It returns how many fit.
func (s *fastState) rescale(p *fastFrames, a int) int {
	arg, x, scales := &s.args[a], p.x[a], p.scales[a]
	if len(x) == 0 {
		return 0
	}
	if len(s.ts) == 0 {
		arg.scale, arg.own = scales[0], nil
	}
	i := 0
	for i < len(x) && scales[i] == arg.scale {
		i++
	}
	if i == len(x) {
		return i
	}
	if p.oneScale {
		return i
	}
	if finest := slices.Max(scales); finest > arg.scale {
		s.refine(p, a, finest, len(x))
	}
	to := grow(p.scaled[a], len(x))
	p.scaled[a], p.x[a] = to, to
	for i := range x {
		v, ok := times10(x[i], arg.scale-scales[i])
		if !ok {
			p.x[a] = to[:i]
			return i
		}
		to[i] = v
	}
	return len(x)
}

// times10 is x × 10^by, false when by is negative or that has more than 61 bits.
func times10(x int64, by int8) (int64, bool) {
	if by <= 0 {
		return x, by == 0
	}
	hi, lo := bits.Mul64(uint64(x^x>>63)+1, num.Pow10[by])
	return x * int64(num.Pow10[by]), hi == 0 && lo < 1<<61
}

// refine takes an argument to a finer scale if its sums over the rows there are and n more
// stay within bounds.
func (s *fastState) refine(p *fastFrames, a int, scale int8, n int) {
	arg := &s.args[a]
	f := num.Pow10[scale-arg.scale]
	hi, size := bits.Mul64(arg.size+1, f)
	if hi != 0 || bits.Len64(size)+bits.Len64(uint64(len(s.ts)+n)) > 61 {
		return
	}
	if arg.own == nil {
		arg.own = slices.Repeat([]int8{arg.scale}, len(s.ts))
	}
	arg.scale, arg.size = scale, size
	arg.squares.refine(arg.before, f, n)
	for i := range arg.before {
		arg.before[i] *= int64(f)
	}
	for k, q := range p.queues {
		if b := &s.best[bestArgs+k]; q.arg == a {
			for i, o := range b.open {
				b.open[i].val = (o.val^b.mask())*int64(f) ^ b.mask()
			}
		}
	}
}

// bounded tells that no sum of n more values, one of them of some size, and of those in
// reach can leave 62 bits.
func (s *fastState) bounded(size uint64, n int) bool {
	rows := len(s.ts) + n
	for a := range s.args {
		size = max(size, s.args[a].size)
	}
	return bits.Len64(size)+bits.Len64(uint64(rows)) <= 61 && rows < noPlace
}

// pushRows takes rows of a batch, which fit.
func (s *fastState) pushRows(p *fastFrames, feeds *feedTable, c *cols, lo, hi int) {
	s.room(p, hi-lo)
	at := len(s.ts)
	n := at + hi - lo
	s.ts, s.flags, s.avail = extend(s.ts, n+padding)[:n], extend(s.flags, n), extend(s.avail, n)
	copy(s.ts[at:], c.ts[lo:hi])
	copy(s.avail[at:], c.ingest[lo:hi])
	flags, avails := s.flags[at:], s.avail[at:]
	h, lag := feeds.of(c.feed[lo])
	if c.oneFeed {
		s.pushHold(at, h, n-at)
	}
	for k := range flags {
		if !c.oneFeed {
			h, lag = feeds.of(c.feed[lo+k])
			s.pushHold(at+k, h, 1)
		}
		flags[k] = 0
		if avails[k] == market.NoTime {
			avails[k], flags[k] = c.ts[lo+k]+lag, FlagAssumed
		}
	}
	if c.anyFlags&market.FlagGap != 0 {
		for k, f := range c.flags[lo:hi] {
			if f&market.FlagGap != 0 {
				flags[k] |= FlagGap
			}
		}
	}
	s.pushArgs(p, hi-lo)
}

// pushArgs takes the arguments of n rows, which the plan has at one scale, once all else is
// known of the rows.
func (s *fastState) pushArgs(p *fastFrames, n int) {
	at := len(s.ts) - n
	for a := range s.args {
		s.args[a].push(p.x[a][:n])
		if p.scales[a] != nil {
			s.args[a].came(at, p.scales[a][:n])
		}
	}
	s.pushWide(p, n)
	s.best[bestAvail].watch(s.avail, at)
	s.best[bestHold].watch(s.holds, at)
}

// pushHold takes the holds of n rows, of which there are at before.
func (s *fastState) pushHold(at int, h int64, n int) {
	switch {
	case at == 0:
		s.oneHold(h)
	case s.holds == nil && h != s.hold:
		s.holds = slices.Repeat([]int64{s.hold}, at)
	}
	if s.holds != nil {
		for range n {
			s.holds = append(s.holds, h)
		}
	}
}

// oneHold says that all rows have one hold.
func (s *fastState) oneHold(h int64) {
	s.hold, s.holds, s.best[bestHold] = h, nil, fastBest{at: []int{0}, rising: true}
}

// holdOf is the hold of a row.
func (s *fastState) holdOf(at int) int64 {
	if s.holds == nil {
		return s.hold
	}
	return s.holds[at]
}

// extend makes s n long; what it gains has any values.
func extend[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	return append(make([]T, 0, columnSize(max(n, cap(s)+1))), s...)[:n]
}

// columnSize is the room that columns have for n values: powers of two, and what is halfway between.
func columnSize(n int) int {
	b := bits.Len(uint(max(n, 4) - 1))
	if half := 3 << b >> 2; half >= n {
		return half
	}
	return 1 << b
}

func (a *fastArg) push(x []int64) {
	at := len(a.before) - 1
	a.before = extend(a.before, at+1+len(x))
	sum, to := a.before[at], a.before[at+1:]
	to = to[:len(x)]
	for i, v := range x {
		sum += v
		to[i] = sum
	}
	a.squares.push(a.before[:at+1], x)
}

// came notes the scales with which rows from a place on came.
func (a *fastArg) came(at int, scales []int8) {
	if a.own == nil && slices.ContainsFunc(scales, func(x int8) bool { return x != a.scale }) {
		a.own = slices.Repeat([]int8{a.scale}, at)
	}
	if a.own != nil {
		a.own = append(a.own, scales...)
	}
}

// row takes what is known of a row besides its values.
func (s *fastState) row(ts, avail, hold int64, flags uint8) {
	at := len(s.ts)
	s.pushHold(at, hold, 1)
	s.ts, s.flags, s.avail = extend(s.ts, at+1+padding)[:at+1], append(s.flags, flags), extend(s.avail, at+1)
	s.ts[at], s.avail[at] = ts, avail
}

// window takes the window of a row of a parent.
func (s *fastState) window(start, end int64) {
	at := len(s.start)
	s.start, s.end = extend(s.start, at+1), extend(s.end, at+1)
	s.start[at], s.end[at] = start, end
}

// pushRow takes one row whose values fit: cells are those of its arguments. The plan has its wide ones.
func (s *fastState) pushRow(p *fastFrames, ts, avail, hold int64, flags uint8, cell func(a int) []uint64) {
	s.row(ts, avail, hold, flags)
	for a := range s.args {
		c := cell(a)
		scale := int8(c[0] >> 8)
		x, _ := times10(int64(c[1]), s.args[a].scale-scale)
		p.scaled[a], p.one[a] = append(p.scaled[a][:0], x), [1]int8{scale}
		p.x[a], p.scales[a] = p.scaled[a], p.one[a][:]
	}
	s.pushArgs(p, 1)
}

// fits judges the cell of an argument and enters its size. The first one gives the scale.
func (s *fastState) fits(p *fastFrames, a int, cell []uint64, first bool) bool {
	_ = cell[3]
	arg, x, scale := &s.args[a], int64(cell[1]), int8(cell[0]>>8)
	if cell[0]&0xff != 1 || cell[2] != uint64(x>>63) || cell[3] != cell[2] || scale > num.MaxScale {
		return false
	}
	if first {
		arg.scale, arg.own, arg.size = scale, nil, 0
	}
	if p.oneScale && scale != arg.scale {
		return false
	}
	if scale > arg.scale {
		s.refine(p, a, scale, 1)
	}
	x, ok := times10(x, arg.scale-scale)
	if ok {
		arg.size |= uint64(x ^ x>>63)
	}
	return ok
}

// room drops rows that no frame reaches when n more would not fit otherwise, or when they are nearly all. A few of many are not worth
// moving the others.
func (s *fastState) room(p *fastFrames, n int) {
	k, all := s.first[p.longest], len(s.ts)
	if k > all/8*7 || k > all/4 && all+n+padding > cap(s.ts) {
		s.forget(p, k)
	}
}

// forget drops the first k rows.
func (s *fastState) forget(p *fastFrames, k int) {
	s.done -= k
	s.ts, s.flags, s.avail = cutFront(s.ts, k), cutFront(s.flags, k), cutFront(s.avail, k)
	if p.windows {
		s.start, s.end = cutFront(s.start, k), cutFront(s.end, k)
	}
	for a := range s.args {
		s.args[a].before = cutFront(s.args[a].before, k)
		s.args[a].squares.forget(k)
		if s.args[a].own != nil {
			s.args[a].own = cutFront(s.args[a].own, k)
		}
	}
	for d := range s.wide {
		s.wide[d].forget(k)
	}
	for i := range s.first {
		s.first[i] -= k
	}
	for i := range s.flagged {
		s.flagged[i] = max(s.flagged[i]-k, 0)
	}
	for i := range s.best {
		s.best[i].forget(k)
	}
	if s.holds != nil {
		s.holds = cutFront(s.holds, k)
		if h := s.holds[0]; !slices.ContainsFunc(s.holds, func(x int64) bool { return x != h }) {
			s.oneHold(h)
		}
	}
}

// cutFront takes the first k elements off, and gives memory back when much is left over.
func cutFront[T any](s []T, k int) []T {
	n := len(s) - k
	if cap(s) >= 64 && cap(s) > 8*n {
		return append(make([]T, 0, 2*n), s[k:]...)
	}
	copy(s, s[k:])
	return s[:n]
}

// columnsOf is the columns of a slot, nil for none.
func (f *frames) columnsOf(i int32) *fastState {
	if f == nil || f.fast == nil || int(i) >= len(f.state) || f.state[i] == nil {
		return nil
	}
	return f.state[i].fast
}

// held is the number of rows that the mark has not passed.
func (s *fastState) held() int {
	if s == nil {
		return 0
	}
	return len(s.ts) - s.done
}

// nextColumn is the time of the oldest row that a slot holds in columns, never for none.
func (f *frames) nextColumn(i int32) int64 {
	if s := f.columnsOf(i); s.held() > 0 {
		return s.ts[s.done]
	}
	return never
}

// leaveInstant makes records of the held rows of an instant, of which one does not fit:
// all rows of an instant go one way.
func (v *viewState) leaveInstant(i int32, s *fastState, ts int64) {
	lo := len(s.ts)
	for lo > s.done && s.ts[lo-1] == ts {
		lo--
	}
	for at := lo; at < len(s.ts); at++ {
		rec := v.heldRec(v.slots[i].ent, ts)
		v.putColumns(rec, s, at)
	}
	s.cut(v.frames.fast, lo)
}

// cut forgets the rows from a place on, none of which is out.
func (s *fastState) cut(p *fastFrames, n int) {
	if n == len(s.ts) {
		return
	}
	s.ts, s.flags, s.avail = s.ts[:n], s.flags[:n], s.avail[:n]
	if s.holds != nil {
		s.holds = s.holds[:n]
	}
	if s.start != nil {
		s.start, s.end = s.start[:n], s.end[:n]
	}
	for a := range s.args {
		s.args[a].before = s.args[a].before[:n+1]
		s.args[a].squares.cut(n)
		if s.args[a].own != nil {
			s.args[a].own = s.args[a].own[:n]
		}
	}
	for d := range s.wide {
		s.wide[d].cut(n)
	}
}

// putColumns writes the record of a row.
func (v *viewState) putColumns(rec []uint64, s *fastState, at int) {
	ts, avail, hold := uint64(s.ts[at]), uint64(s.avail[at]), uint64(s.holdOf(at))
	rec[plan.MetaRows], rec[plan.MetaAvail], rec[plan.MetaHold], rec[plan.MetaFlags] = 1, avail, hold, uint64(s.flags[at])
	rec[plan.MetaLastTS], rec[plan.MetaLastHold], rec[plan.MetaLastAvail] = ts, hold, avail
	rec[plan.HeldStart], rec[plan.HeldEnd] = ts, ts
	if v.frames.fast.windows {
		rec[plan.HeldStart], rec[plan.HeldEnd] = uint64(s.start[at]), uint64(s.end[at])
	}
	for a := range s.args {
		x := &v.frames.x
		s.load(x, a, at)
		putCell(rec[v.frames.fast.args[a].Cell:], x, op.KExact)
	}
}

// load sets x to an argument of a row as it came.
func (s *fastState) load(x *op.Val, a, at int) {
	before := s.args[a].before
	s.args[a].set(x, before[at+1]-before[at], at)
}

// set sets x to a value, with the scale that a row came with.
func (a *fastArg) set(x *op.Val, v int64, at int) {
	scale := a.scale
	if a.own != nil {
		v, scale = v/int64(num.Pow10[scale-a.own[at]]), a.own[at]
	}
	x.SetDec(v, scale)
}
