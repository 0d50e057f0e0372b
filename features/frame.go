package features

import (
	"math"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
)

// framesState is what the frames of one entity hold: a ring of rows for each level, which
// says which rows are in a frame and where they come from, a ring of values for each
// argument, and for each frame its place in them with the accumulators' states. All but
// the rings follows from the rings.
type framesState struct {
	rows   uint64 // of the entity so far: the number of the next one
	last   int64  // time of the newest
	levels []frameLevel
	rings  []ring
	bests  []best
	frames []frameState
	fast   *fastState // nil before the first row that could go so
}

// frameLevel is the rows that frames of one level can reach.
type frameLevel struct {
	rows        ring
	avail, hold best
	lo, hi      uint64 // rows that are in some frame
	flags       [8]uint32
}

// Words of a row of a level after its head.
const (
	levelAvail = ringHead + iota
	levelHold
	levelFlags
	levelWords
)

type frameState struct {
	start  uint64   // number of the first row
	lo, hi []uint64 // places in the ring of each accumulator
	rec    []uint64
	replay []bool // the state cannot be kept up to date: it is folded anew
}

// frameBest names a queue of best values: those of a ring by Min or Max. Frames of rows
// look at each row of an instant on its own, frames of time at all of them.
type frameBest struct {
	ring   int
	fn     op.Func
	byRows bool
}

// frames is what a view with frames shares among its entities.
type frames struct {
	*plan.Frames
	bests    []frameBest
	bestOf   [][]int // by frame and accumulator, -1 for none
	byTime   []bool  // by level: some frame takes all rows of an instant
	keep     []int64 // by level: how long a row can be in a frame
	ringKeep []int64
	state    []*framesState // by slot
	x, y     op.Val
	now      instant
	fast     *fastFrames // nil when the view needs its programs
	judged   bool        // fast is settled

	// Of rows that go without programs, on their way out.
	due          []fastDue
	order        []int32
	times, spare []uint64
	to           []uint32
}

// instant is the rows of one entity and time on their way through the levels, each with a
// machine of its own.
type instant struct {
	slot int32
	n    int
	rows []instantRow
}

type instantRow struct {
	m     *op.Machine
	row   emitted
	from  op.Origin
	young bool
	short bool // a frame has fewer rows than it asks for
}

func newFrames(p *plan.View) *frames {
	if p.Frames == nil {
		return nil
	}
	f := &frames{Frames: p.Frames}
	f.byTime, f.keep = make([]bool, f.Levels), make([]int64, f.Levels)
	f.ringKeep = make([]int64, len(f.Rings))
	for i := range f.Frames.Frames {
		fr := &f.Frames.Frames[i]
		keep := fr.Span
		if fr.Rows == 0 {
			keep--
		}
		f.byTime[fr.Level] = f.byTime[fr.Level] || fr.Rows == 0
		f.keep[fr.Level] = max(f.keep[fr.Level], keep)
		of := make([]int, len(fr.Accs))
		for k := range fr.Accs {
			f.ringKeep[fr.Of[k]] = max(f.ringKeep[fr.Of[k]], keep)
			of[k] = -1
			if fn := fr.Accs[k].Fn; fn == op.Min || fn == op.Max {
				of[k] = f.best(frameBest{fr.Of[k], fn, fr.Rows > 0})
			}
		}
		f.bestOf = append(f.bestOf, of)
	}
	return f
}

func (f *frames) best(b frameBest) int {
	for i, o := range f.bests {
		if o == b {
			return i
		}
	}
	f.bests = append(f.bests, b)
	return len(f.bests) - 1
}

// of is the state of a slot, made when it has none.
func (f *frames) of(i int32) *framesState {
	for int(i) >= len(f.state) {
		f.state = append(f.state, nil)
	}
	if f.state[i] == nil {
		f.state[i] = f.empty()
	}
	return f.state[i]
}

func (f *frames) empty() *framesState {
	e := &framesState{levels: make([]frameLevel, f.Levels), rings: make([]ring, len(f.Rings)), bests: make([]best, len(f.bests))}
	for l := range e.levels {
		e.levels[l].rows.stride = levelWords
	}
	for k := range f.Rings {
		e.rings[k].stride = ringHead + f.Rings[k].Words
	}
	for i := range f.Frames.Frames {
		fr := &f.Frames.Frames[i]
		e.frames = append(e.frames, frameState{
			lo: make([]uint64, len(fr.Accs)), hi: make([]uint64, len(fr.Accs)),
			rec: make([]uint64, fr.Stride), replay: make([]bool, len(fr.Accs)),
		})
	}
	return e
}

// free gives back what the frames of a slot own.
func (v *viewState) freeFrames(i int32) {
	f := v.frames
	if f == nil || int(i) >= len(f.state) || f.state[i] == nil {
		return
	}
	for k := range f.Frames.Frames {
		for a := range f.Frames.Frames[k].Accs {
			f.Frames.Frames[k].Accs[a].Free(f.state[i].frames[k].rec, &v.task.sc)
		}
	}
	f.state[i] = nil
}

// framesUntil is the last instant whose frames can hold a row of the slot.
func (v *viewState) framesUntil(i int32) int64 {
	f := v.frames
	if f == nil || int(i) >= len(f.state) || f.state[i] == nil {
		return math.MinInt64
	}
	keep := int64(0)
	for _, k := range f.keep {
		keep = max(keep, k)
	}
	return f.state[i].last + keep
}

// toInstant is the machine for the next row of the instant.
func (v *viewState) toInstant(i int32) *op.Machine {
	now := &v.frames.now
	now.slot = i
	if now.n == len(now.rows) {
		now.rows = append(now.rows, instantRow{m: op.NewMachine(v.p.Finish)})
	}
	now.n++
	return now.rows[now.n-1].m
}

// finishInstant runs the first level of the row that was loaded last, and the others when
// no more rows of its instant are held.
func (v *viewState) finishInstant(i int32, row *emitted, first bool, own op.Origin) {
	now := &v.frames.now
	r := &now.rows[now.n-1]
	r.row, r.short = *row, false
	v.scanBegin(r.m, i, row.rowTS, first, own)
	v.scanLevel(r.m, i, 0)
	r.from, r.young = r.m.Rows.Total(), r.m.Rows.Young
	if v.p.Instants && r.young { // as in any window, for all rows of the window
		r.from.Flags |= FlagWarmup
	}
	if v.nextHeld(i) != row.rowTS {
		v.runInstant()
	}
}

// runInstant works out the rows of an instant level by level and hands them on.
func (v *viewState) runInstant() {
	f := v.frames
	now := &f.now
	if now.n == 0 {
		return
	}
	e := f.of(now.slot)
	first := e.rows
	for l := 1; l < f.Levels; l++ {
		for k := range now.n {
			v.enterLevel(e, l, &now.rows[k], first+uint64(k))
		}
		for k := range now.n {
			v.runLevel(e, l, &now.rows[k], first+uint64(k), first+uint64(now.n-1))
		}
	}
	e.rows, e.last = first+uint64(now.n), now.rows[0].row.rowTS
	v.trimFrames(e)
	fin := v.fin
	for k := range now.n {
		r := &now.rows[k]
		if v.p.Instants && k+1 < now.n {
			continue // the last row stands for all
		}
		v.fin = r.m
		if r.young {
			r.from.Flags |= FlagWarmup
		}
		if r.short {
			r.from.Flags |= FlagPartial
		}
		r.row.scanOut(r.from)
		v.handOn(&r.row)
	}
	v.fin = fin
	if now.n > 64 { // an instant with very many rows shall not hold memory for ever
		now.rows = now.rows[:64:64]
	}
	now.n = 0
}

// enterLevel makes a row known to the frames of a level.
func (v *viewState) enterLevel(e *framesState, l int, r *instantRow, number uint64) {
	ts, flags := r.row.rowTS, r.from.Flags
	for k := range v.frames.Rings {
		g := &v.frames.Rings[k]
		if g.Level != l {
			continue
		}
		if g.Where >= 0 {
			if w := &r.m.Regs[g.Where]; w.Null || w.I == 0 {
				if w.Null && w.Ovf {
					flags |= FlagOverflow
				}
				continue
			}
		}
		if g.Reg < 0 {
			e.rings[k].push(ts, number)
			continue
		}
		x := &r.m.Regs[g.Reg]
		if x.Null {
			if x.Ovf {
				flags |= FlagOverflow
			}
			continue
		}
		entry := e.rings[k].push(ts, number)
		if g.Words > 0 {
			op.PutInput(entry[ringHead:], x, g.Kind, g.With)
		}
	}
	row := e.levels[l].rows.push(ts, number)
	row[levelAvail], row[levelHold], row[levelFlags] = uint64(r.from.Avail), uint64(r.from.Hold), uint64(flags)
}

// runLevel brings the frames of a level to a row and runs what depends on them. last is
// the newest row of the instant.
func (v *viewState) runLevel(e *framesState, l int, r *instantRow, number, last uint64) {
	f := v.frames
	lo, hi := number, number
	if f.byTime[l] {
		hi = last
	}
	for k := range f.Frames.Frames {
		fr, fs := &f.Frames.Frames[k], &e.frames[k]
		if fr.Level != l {
			continue
		}
		to := number
		if fr.Rows == 0 {
			to = last
		}
		v.moveFrame(e, k, r.row.rowTS, number, to)
		lo = min(lo, fs.start)
		r.short = r.short || fr.Rows > 0 && fs.rec[plan.MetaRows] < uint64(fr.Rows)
		for a := range fr.Loads {
			v.loadFrame(e, k, &fr.Loads[a], r)
		}
	}
	r.from.Add(e.levels[l].origin(lo, hi))
	r.m.Rows.Own = r.from
	v.scanLevel(r.m, f.now.slot, l)
	r.young = r.young || r.m.Rows.Young
	r.from = r.m.Rows.Total()
}

// moveFrame takes rows up to a number into a frame and those that are too old out of it.
func (v *viewState) moveFrame(e *framesState, k int, ts int64, number, to uint64) {
	fr, fs := &v.frames.Frames.Frames[k], &e.frames[k]
	rows := &e.levels[fr.Level].rows
	fs.start = max(fs.start, rows.base)
	for fs.start < number {
		old := rows.at(fs.start)
		if fr.Rows == 0 && int64(old[ringTS]) > ts-fr.Span {
			break
		}
		if fr.Rows > 0 && number-fs.start < uint64(fr.Rows) && int64(old[ringTS]) >= ts-fr.Span {
			break
		}
		fs.start++
	}
	fs.rec[plan.MetaRows] = to - fs.start + 1
	for a := range fr.Accs {
		v.moveAcc(e, k, a, to)
	}
}

// moveAcc brings one accumulator of a frame to the rows from fs.start to a number.
func (v *viewState) moveAcc(e *framesState, k, a int, to uint64) {
	f := v.frames
	fr, fs := &f.Frames.Frames[k], &e.frames[k]
	acc, r := &fr.Accs[a], &e.rings[fr.Of[a]]
	fs.lo[a], fs.hi[a] = max(fs.lo[a], r.base), max(fs.hi[a], r.base)
	running := acc.CanUnfold() && !fs.replay[a]
	for ; fs.hi[a] < r.end() && r.at(fs.hi[a])[ringRow] <= to; fs.hi[a]++ {
		if running && !v.foldEntry(fr, fs, a, r.at(fs.hi[a])) {
			fs.replay[a], running = true, false
		}
	}
	for ; fs.lo[a] < fs.hi[a] && r.at(fs.lo[a])[ringRow] < fs.start; fs.lo[a]++ {
		if running {
			entry := r.at(fs.lo[a])
			acc.Unfold(fs.rec, v.entryInput(fr, a, entry), int64(entry[ringTS]), &v.task.sc)
		}
	}
	if fs.lo[a] == fs.hi[a] && running {
		acc.Free(fs.rec, &v.task.sc)
	}
	if b := f.bestOf[k][a]; b >= 0 {
		q := &e.bests[b]
		for q.next = max(q.next, r.base); q.next < r.end() && r.at(q.next)[ringRow] <= to; {
			entry := r.at(q.next)[ringHead:]
			q.take(func(place uint64) bool { return acc.Fn.Beats(entry, r.at(place)[ringHead:], acc.Kind, &f.y) })
		}
	}
}

// entryInput is the value of an entry as an accumulator takes it.
func (v *viewState) entryInput(fr *plan.Frame, a int, entry []uint64) *op.Val {
	x := &v.frames.x
	if g := &v.frames.Rings[fr.Of[a]]; g.Words > 0 {
		op.GetInput(x, entry[ringHead:], g.Kind, g.With)
	}
	return x
}

func (v *viewState) foldEntry(fr *plan.Frame, fs *frameState, a int, entry []uint64) bool {
	return fr.Accs[a].Fold(fs.rec, v.entryInput(fr, a, entry), int64(entry[ringTS]), &v.task.sc)
}

// foldAnew makes the state of an accumulator from the entries of its frame.
func (v *viewState) foldAnew(e *framesState, k, a int) (ok bool) {
	fr, fs := &v.frames.Frames.Frames[k], &e.frames[k]
	r := &e.rings[fr.Of[a]]
	fr.Accs[a].Free(fs.rec, &v.task.sc)
	ok = true
	for p := fs.lo[a]; p < fs.hi[a]; p++ {
		ok = v.foldEntry(fr, fs, a, r.at(p)) && ok
	}
	return ok
}

// loadFrame loads a result of a frame into the finish program of a row.
func (v *viewState) loadFrame(e *framesState, k int, ld *plan.Load, r *instantRow) {
	fr, fs := &v.frames.Frames.Frames[k], &e.frames[k]
	acc, x := &fr.Accs[ld.Acc], &r.m.Regs[ld.Reg]
	if v.loadKept(e, k, ld.Acc, x) {
		return
	}
	if fs.replay[ld.Acc] || !acc.CanUnfold() {
		if !v.foldAnew(e, k, ld.Acc) {
			r.from.Flags |= FlagOverflow
		}
	}
	v.loadOf(x, fr, fs, ld, r.row.rowTS)
	if x.Null && x.Ovf && acc.CanUnfold() && !fs.replay[ld.Acc] {
		// The bounds of a sum are those of all that was ever in it: look again with its own.
		v.foldAnew(e, k, ld.Acc)
		v.loadOf(x, fr, fs, ld, r.row.rowTS)
	}
}

func (v *viewState) loadOf(x *op.Val, fr *plan.Frame, fs *frameState, ld *plan.Load, ts int64) {
	acc, rows := &fr.Accs[ld.Acc], int64(fs.rec[plan.MetaRows])
	switch ld.Kind {
	case plan.LoadMean:
		acc.Mean(x, fs.rec, nil, ts-fr.Span, ts, 0, rows)
	case plan.LoadQuantile:
		acc.Quantile(x, fs.rec, ld.P, &v.task.sc)
	case plan.LoadStatistic:
		acc.Statistic(x, fs.rec, ld.Stat, &v.task.sc)
	default:
		acc.Load(x, fs.rec, rows, &v.task.sc)
	}
}

// loadKept loads a result that is one of the values of the ring.
func (v *viewState) loadKept(e *framesState, k, a int, x *op.Val) bool {
	f := v.frames
	fr, fs := &f.Frames.Frames[k], &e.frames[k]
	acc, r := &fr.Accs[a], &e.rings[fr.Of[a]]
	place, ok := fs.lo[a], fs.lo[a] < fs.hi[a]
	switch acc.Fn {
	case op.First:
	case op.Last:
		place = fs.hi[a] - 1
	case op.Min, op.Max:
		if ok {
			place, ok = e.bests[f.bestOf[k][a]].from(fs.lo[a])
		}
	default:
		return false
	}
	if !ok {
		x.SetNull()
		return true
	}
	op.GetCell(x, r.at(place)[ringHead:], acc.Kind)
	return true
}

// origin is where the rows from lo to hi come from; neither ever falls.
func (l *frameLevel) origin(lo, hi uint64) (o op.Origin) {
	l.lo, l.hi = max(l.lo, l.rows.base), max(l.hi, l.rows.base)
	for ; l.hi <= hi; l.hi++ {
		e := l.rows.at(l.hi)
		l.avail.next, l.hold.next = l.hi, l.hi
		l.rows.takeMost(&l.avail, levelAvail)
		l.rows.takeMost(&l.hold, levelHold)
		if e[levelFlags] != 0 {
			for b := range l.flags {
				l.flags[b] += uint32(e[levelFlags] >> b & 1)
			}
		}
	}
	for ; l.lo < lo; l.lo++ {
		if flags := l.rows.at(l.lo)[levelFlags]; flags != 0 {
			for b := range l.flags {
				l.flags[b] -= uint32(flags >> b & 1)
			}
		}
	}
	if p, ok := l.avail.from(lo); ok {
		o.Avail = int64(l.rows.at(p)[levelAvail])
	}
	if p, ok := l.hold.from(lo); ok {
		o.Hold = int64(l.rows.at(p)[levelHold])
	}
	for b, n := range l.flags {
		if n > 0 {
			o.Flags |= 1 << b
		}
	}
	return o
}

// trimFrames forgets what no frame can reach any more.
func (v *viewState) trimFrames(e *framesState) {
	f := v.frames
	for l := 1; l < f.Levels; l++ {
		lo := uint64(math.MaxUint64)
		for k := range f.Frames.Frames {
			if f.Frames.Frames[k].Level == l {
				lo = min(lo, e.frames[k].start)
			}
		}
		lv := &e.levels[l]
		lv.rows.drop(lo)
		lv.avail.drop(lo)
		lv.hold.drop(lo)
	}
	for k := range e.rings {
		r := &e.rings[k]
		lo := r.end()
		for i := range f.Frames.Frames {
			for a, of := range f.Frames.Frames[i].Of {
				if of == k {
					lo = min(lo, e.frames[i].lo[a])
				}
			}
		}
		r.drop(lo)
	}
	for b := range f.bests {
		e.bests[b].drop(e.rings[f.bests[b].ring].base)
	}
}
