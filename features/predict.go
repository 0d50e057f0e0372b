package features

import (
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market/book"
)

// Span is how long rows come, in µs.
type Span struct {
	From int64 // event time of the first row
	Seen int64 // of the sample whose traffic is known
	Age  int64 // of the task whose memory is asked for
	Lag  int64 // the most that the mark is behind the newest row
}

// StateBytes predicts the memory of one entity of each view, in the order of Costs, from the
// traffic of a sample. It knows how state is laid out and how slices grow, and takes from the traffic
// what a plan cannot say: how many rows come and go, to whom, and how often values come again.
func (p *Plan) StateBytes(sample []StateSize, s Span) []int {
	out := make([]int, len(p.views))
	for i, m := range p.predict(sample, s) {
		if n := sample[i].Entities; n > 0 {
			out[i] = (m.total() + n - 1) / n
		}
	}
	return out
}

// predict is the memory of each view, by what it is for.
func (p *Plan) predict(sample []StateSize, s Span) []memory {
	t := newTask(p, nil, 0) // for what is settled when a task begins
	out := make([]memory, len(p.views))
	var w walk
	met := false
	for i, v := range t.views {
		f := &forecast{View: v.p, Traffic: &sample[i].Traffic, state: v,
			seen: float64(max(s.Seen, 1)), age: float64(max(s.Age, 1)), lag: float64(s.Lag)}
		if v.p.Shape == plan.Tumbling || v.p.Shape == plan.Rolling {
			first := v.p.PaneOf(s.From)
			f.borders, f.lead = float64(v.p.PaneOf(s.From+s.Age)-first), float64(v.p.PaneStart(first+1)-s.From)
		}
		f.slots()
		f.windows()
		f.waiting()
		f.frames()
		f.latest()
		if f.Clock != nil {
			f.ticks(&sample[f.Clock.View].Traffic)
		}
		f.joins()
		f.sets()
		for _, e := range []*entities{v.keys, v.ents} {
			if !w.counted(uintptr(unsafe.Pointer(e))) {
				f.names(e)
			}
		}
		for _, st := range t.stages {
			if slices.Contains(st.views, v) && !w.counted(uintptr(unsafe.Pointer(st))) {
				f.memory[memNames] += 2*grown(f.Known, 4, 1) + grown(f.Known, 8, 1)
			}
		}
		if f.Parent < 0 && !met {
			met = true
			f.memory[memNames] += grown(f.Handles, 8, 1) + f.Instruments*(roomOf(int(unsafe.Sizeof(instrument{})))+len(instrument{})*roomOf(textBytes))
		}
		if v.readsBook() && f.Books.Count > 0 {
			f.books(t.books)
		}
		out[i] = f.memory
	}
	return out
}

// textBytes is how long a name of an entity is taken to be, that of "BTC-USDT".
const textBytes = 8

// forecast is the prediction for one view.
type forecast struct {
	*plan.View
	*Traffic
	state          *viewState // of a task that has seen nothing
	seen, age, lag float64    // µs, see Span
	borders        float64    // of panes that are passed,
	lead           float64    // and what lies before the first of them
	memory
}

// flow is the rows that come to one entity.
type flow struct {
	rate, age float64 // rows a µs, µs
	grid      bool    // they come on a grid, as rows of views do, while events come as they like
}

// rows is how many come in a span of time, µs.
func (f flow) rows(span float64) float64 { return f.rate * min(span, f.age) }

// some is how likely one comes in a span of time.
func (f flow) some(span float64) float64 {
	if x := f.rows(span); f.grid {
		return min(x, 1)
	} else {
		return 1 - math.Exp(-x)
	}
}

func (f *forecast) flow(rows float64) flow { return flow{rows / f.seen, f.age, f.Parent >= 0} }

// sum adds something up over all entities that rows came to.
func (f *forecast) sum(of func(x flow) float64) (sum float64) {
	for _, rows := range f.Rows {
		sum += of(f.flow(rows))
	}
	return sum * float64(f.Busy) / float64(max(len(f.Rows), 1))
}

// records is the memory of an arena with so many records.
func records(n float64, stride int) int { return grown(int(n+1.5)*stride, 8, stride) }

// slots is what every entity has.
func (f *forecast) slots() {
	n, m := f.Entities, &f.memory[memSlots]
	if k := len(f.Alerts.List); k > 0 {
		*m += grown(n*k, int(unsafe.Sizeof(alertPhase{})), 1)
	}
	if f.Shape == plan.Latest {
		return
	}
	*m += grown(n, 4, 1) + grown(n, int(unsafe.Sizeof(slot{})), 1)
	words := func(k int) {
		if k > 0 {
			*m += grown(n*k, 8, k)
		}
	}
	words(scanWords(f.View))
	if f.Shape != plan.RowView {
		words(f.Stride)
		if f.Tail {
			words(f.Stride)
		}
	}
	if f.state.fastFrames() == nil && (f.Shape != plan.RowView || f.Hold) {
		*m += grown(n, int(unsafe.Sizeof(dueRow{})), 1)
	}
}

// closed is the windows of an entity on a grid that have ended while the mark has not passed
// them, when they are most: at the borders within the lag.
func (f *forecast) closed(x flow) (n float64) {
	pane := float64(f.Pane)
	for k := 0.0; k < min(math.Floor(f.lag/pane)+1, f.borders); k++ {
		before := pane
		if k == f.borders-1 {
			before = f.lead
		}
		n += x.some(before) * x.some(f.lag-k*pane)
	}
	return n
}

// panes is those of a rolling window of an entity, and those on their way into it.
func (f *forecast) panes(x flow) float64 {
	if f.borders == 0 {
		return 0
	}
	pane := float64(f.Pane)
	return min(float64(f.Window.Width)/pane*x.some(pane)+f.closed(x), x.some(f.lead)+(f.borders-1)*x.some(pane))
}

// windows is the records of windows besides the open ones.
func (f *forecast) windows() {
	n := 0.0
	switch f.Shape {
	case plan.Tumbling: // the most of all borders
		spread := f.sum(func(x flow) float64 { return max(f.closed(x)*(1-f.closed(x)), 0) })
		n = f.sum(f.closed) + math.Sqrt(2*math.Log1p(f.borders)*spread)
		if f.Out.Rows > 0 { // each gives one
			n = min(n, max(float64(f.Out.Most), float64(f.Out.Rows)*f.lag/f.seen))
		}
	case plan.Rolling:
		n = f.sum(func(x flow) float64 {
			in := f.panes(x)
			merges := min(in, 1) // of the back
			if f.age > float64(f.Window.Width) {
				merges += in // of the front, when it has just been made
			}
			if len(f.state.owners) > 0 {
				merges += min(in, 1)
			}
			return in + merges
		})
	case plan.Bar, plan.Session:
		n = float64(f.Out.Most)
	}
	f.memory[memPanes] = records(n, nodeHead+f.Stride)
}

// waiting is the rows that are held until the mark has passed them.
func (f *forecast) waiting() {
	if !f.Hold || f.Parent < 0 && f.state.fastFrames() != nil { // those are in columns
		return
	}
	f.memory[memHeld] = records(max(float64(f.In.Most), float64(f.In.Rows)*f.lag/f.seen), nodeHead+f.Held)
}

// reach is how many rows are in the longest of some frames.
func (f *forecast) reach(x flow, which func(k int) bool) (n float64) {
	for k := range f.Frames.Frames {
		if fr := &f.Frames.Frames[k]; which(k) {
			rows := x.rows(float64(fr.Span))
			if fr.Rows > 0 {
				rows = min(rows, float64(fr.Rows))
			}
			n = max(n, rows)
		}
	}
	return n
}

// frames is the rows that frames reach.
func (f *forecast) frames() {
	v := f.state
	if v.frames == nil {
		return
	}
	var w walk
	empty := v.frames.empty()
	m := grown(f.Entities, 8, 1) + f.Entities*w.reach(&empty)
	plain := 0.0
	if fast := v.fastFrames(); fast != nil {
		columns := fast.empty()
		plain = f.Plain
		m += grown(f.Entities, int(unsafe.Sizeof(fastDue{})), 1) + 4*f.Entities + f.Entities*w.reach(&columns)
		m += int(plain * f.sum(func(x flow) float64 { return f.columns(x, fast) }))
	}
	m += int((1 - plain) * f.sum(f.rings))
	f.memory[memFrames] = m
}

// columns is the rows of an entity without programs, squares of distances. Columns grow until a quarter of the rows can be forgotten
// when they are full.
func (f *forecast) columns(x flow, p *fastFrames) float64 {
	step := x.rows(f.lag)
	room := columnSize(padding + int(min(4*f.reach(x, func(int) bool { return true })/3+step, x.rows(f.age))))
	n := 0
	column := func(size int) { n += roomOf(room * size) }
	column(8) // ts
	column(1) // flags
	column(8) // avail
	if p.windows {
		column(8)
		column(8)
	}
	for a := range p.args {
		column(8)
		if p.squared[a] {
			column(8)
		}
	}
	for range p.wide.regs {
		column(16)
	}
	return float64(n)
}

// rings is the rows of an entity for its frames.
func (f *forecast) rings(x flow) (n float64) {
	ring := func(level, words int, which func(k int) bool) {
		rows := f.reach(x, func(k int) bool { return f.Frames.Frames[k].Level == level && which(k) })
		n += float64(roomOf(8 * words * max(4, 1<<bits.Len(uint(rows)))))
	}
	for l := 1; l < f.Frames.Levels; l++ {
		ring(l, levelWords, func(int) bool { return true })
	}
	for r := range f.Frames.Rings {
		g := &f.Frames.Rings[r]
		ring(g.Level, ringHead+g.Words, func(k int) bool { return slices.Contains(f.Frames.Frames[k].Of, r) })
	}
	return n
}

// latest is the members of latest windows: the row in force of each, and later ones for grid points
// that the mark has not passed.
func (f *forecast) latest() {
	if f.Shape != plan.Latest {
		return
	}
	n := f.Entities
	every := float64(f.Window.Every)
	later := f.sum(func(x flow) float64 {
		if x.grid { // all at once
			return 1 + math.Floor(f.lag/every)
		}
		return (1 + f.lag/every) * x.some(min(f.lag, every))
	})
	later = min(later, float64(f.In.Most))
	groups := max(f.Groups, 1)
	each := (n + groups - 1) / groups
	m := grown(n, int(unsafe.Sizeof(member{})), 1) + records(float64(n)+later, nodeHead+latestHead+f.Cross.Words) +
		groups*grown(each, 4, 1) + grown(groups, int(unsafe.Sizeof(memberGroup{})), 1) + grown(groups, 4, 1) +
		grown(each, int(unsafe.Sizeof(alive{})), 1)
	if f.Cross.Universe != nil {
		m += grown(n, int(unsafe.Sizeof(listed{})), 1) + grown(n, 24, 1) + n*int(unsafe.Sizeof(listing{})+8) + 4*f.Handles
	}
	f.memory[memMembers] = m
}

// ticks is those of the clock, and what its members remember.
func (f *forecast) ticks(clock *Traffic) {
	n := clock.Entities
	ticks := max(float64(clock.Out.Most), float64(clock.Out.Rows)*f.lag/f.seen)
	f.memory[memTicks] = records(ticks, nodeHead+f.Clock.Tick) + grown(f.Entities, int(unsafe.Sizeof(memberSlot{})), 1) +
		grown(n, int(unsafe.Sizeof(clockKey{})), 1) + 4*(n+f.Known) + mapRoom(n, 24) + n*roomOf(len(f.Clock.By)*(textBytes+1))
}

// joins is the rows that are joined: those before the mark are dropped when they are as many as the others.
func (f *forecast) joins() {
	for k := range f.Traffic.Joins {
		j, words := &f.Traffic.Joins[k], f.View.Joins[k].Words
		if j.Keys == 0 {
			continue
		}
		span := f.lag
		if f.Shape == plan.Latest {
			span += float64(f.Window.Width)
		}
		came := float64(j.Rows) * f.age / f.seen
		kept := float64(j.Keys) + came*min(span/f.age, 1)
		rows := min(came, 2*kept+64+float64(j.Most)) / float64(j.Keys)
		f.memory[memJoins] += j.Keys*grown(int(math.Ceil(rows))*words, 8, words) + grown(j.Keys, int(unsafe.Sizeof(joinKey{})), 1) +
			grown(j.Keys, 16, 1) + mapRoom(j.Keys, 24) + j.Keys*roomOf(len(f.View.Joins[k].Left)*(textBytes+1)) + 4*(j.Keys+f.Known)
	}
}

// names is the names of entities and how they are found.
func (f *forecast) names(e *entities) {
	n := f.Known
	if e != f.state.keys {
		n = f.Groups
	}
	columns := len(e.by) + len(e.more)
	each := roomOf(16*columns) + roomOf(24*columns) + 2*columns*roomOf(textBytes) + roomOf(len(e.by)*(textBytes+1)) + 4
	by, sources := 4, f.Handles
	if e.input < 0 {
		sources = n
	}
	if e.byFeed {
		by, each = int(unsafe.Sizeof([]feedEntity(nil))), each+roomOf(int(unsafe.Sizeof(feedEntity{})))
	}
	f.memory[memNames] += n*each + 2*grown(n, 24, 1) + mapRoom(n, 24) + grown(max(n, sources), by, 1)
}

// books is all order books.
func (f *forecast) books(b *books) {
	var w walk
	empty := liveBook{top: newTop(b.want), depths: make([]depth, len(b.nears))}
	n := f.Books.Count
	m := grown(n, int(unsafe.Sizeof(empty)), 1) + n*w.reach(&empty) + grown(f.Handles, 24, 1) + n*8 +
		mapRoom(n, int(unsafe.Sizeof(bookName{}))+4)
	for ladder, s := range f.Books.Sides {
		for _, levels := range s.Levels {
			m += int(float64(s.Count) / float64(len(s.Levels)) * float64(sideRoom(int(levels), ladder == 1)))
		}
	}
	f.memory[memBooks] = m
}

// sideRoom is the memory of a side of a book, in a ladder after as many changes as that takes.
func sideRoom(levels int, ladder bool) int {
	var b book.Book
	var side book.Levels
	for i := range levels {
		side.Price, side.Quantity = append(side.Price, int64(2*levels-i)), append(side.Quantity, 1)
	}
	_ = b.Replace(side, book.Levels{}) // prices fall from the best one
	best := book.Levels{Price: side.Price[:1], Quantity: side.Quantity[:1]}
	for n := 0; ladder && !b.Laddered(book.Bid) && n < 16+levels; n++ {
		_ = b.Apply(best, book.Levels{})
	}
	var w walk
	return w.reach(&b)
}

// sets is the multisets of windows and frames.
func (f *forecast) sets() {
	if f.Shape == plan.Latest { // they live while a row is worked out
		return
	}
	words := 0.0
	for k, a := range f.state.owners {
		words += f.blocks(a, k, func(x flow, full float64, add func(n, rows float64)) {
			pane := float64(f.Pane)
			switch f.Shape {
			case plan.Rolling:
				if n := f.panes(x); n > 0 {
					all := full * x.rows(min(float64(f.Window.Width), f.lead+(f.borders-1)*pane))
					add(1, all)
					add(n*full, all/n)
				}
				add(1, full*x.rows(pane))
			case plan.Tumbling:
				add(max(f.closed(x), 1), full*x.rows(pane))
				if f.borders > 0 { // the next one has begun
					add(1, full*x.rows(min(f.lag, pane)))
				}
			default:
				bars := float64(f.Out.Rows) / float64(max(f.Busy, 1))
				rows := x.rate * f.seen / (bars + 1)
				add(1, full*rows)
				add(full*float64(f.Out.Most)/float64(max(f.Busy, 1)), rows)
			}
		})
	}
	if f.Frames != nil {
		k := len(f.state.owners)
		for i := range f.Frames.Frames {
			fr := &f.Frames.Frames[i]
			for a := range fr.Accs {
				if !fr.Accs[a].Owner() {
					continue
				}
				words += f.blocks(&fr.Accs[a], k, func(x flow, full float64, add func(n, rows float64)) {
					add(1, full*f.reach(x, func(k int) bool { return k == i }))
				})
				k++
			}
		}
	}
	f.memory[memSets] = int(8 * words * (1 + growth/2))
}

// growth is by how much a long slice grows: half of that is free, in the mean.
const growth = 0.25

// blocks is the words of the sets of an accumulator that owns them, the k-th. Sets grow together, from block to
// block of twice the size, and what one leaves another can take: of each size there are as many as were in use
// at once. of tells what an entity has when its windows are partly full: add takes sets and the rows in each.
func (f *forecast) blocks(a *op.Acc, k int, of func(x flow, full float64, add func(n, rows float64))) (words float64) {
	var values Values
	if k < len(f.Values) {
		values = f.Values[k]
	}
	var most [64]float64
	var size [64]int
	for full := 1.0; full > 1.0/(1<<20); full *= 0.8 {
		var now [64]float64
		part := float64(f.Busy) / float64(max(len(f.Rows), 1))
		for _, rows := range f.Rows {
			of(f.flow(rows), full, func(n, rows float64) {
				if n > 0 && rows > 0 {
					class, words := a.Block(max(values.different(a, rows), 1))
					now[class] += n * min(rows, 1) * part
					size[class] = words
				}
			})
		}
		for class, n := range now {
			most[class] = max(most[class], n)
		}
	}
	for class, n := range most {
		words += n * float64(size[class])
	}
	return words
}

// different is how many different values so many rows have when values come again as often
// as in the sample; without one each is its own.
func (v Values) different(a *op.Acc, rows float64) float64 {
	switch {
	case rows <= 1 || v.Rows <= 1:
		return rows
	case a.Fn == op.Paths: // entries are of instants
		return rows * v.Different / v.Rows
	}
	return math.Pow(rows, min(math.Log(max(v.Different, 1))/math.Log(v.Rows), 1))
}
