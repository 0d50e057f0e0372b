package op

import (
	"math"

	"github.com/pinova-group/tidemark/market/num"
)

// Scan is a function of the rows of one entity so far, in the total order.
type Scan uint8

// The scans.
const (
	Prev     Scan = iota + 1 // the value N rows before, at most Span old
	Cum                      // exact sum so far
	EMA                      // v + k·(x − v), k = 2/(N + 1), from the mean of the first N
	Wilder                   // (v·(N − 1) + x)/N, from the mean of the first N
	EWM                      // N/D with N = u·N + x, D = u·D + 1, u = 2^(−Δt/Span)
	DecaySum                 // u·S + x
	Since                    // time since the condition was true, at most Span
)

// Remembers tells the scans in whose state every row is for ever, until they are reset.
func (s Scan) Remembers() bool { return s != Prev && s != Since }

// Step is one scan of a program: an instruction with state.
//
// Its state is a run of words that is all zero when no row has been seen. It begins with
// the origin of what it holds, two words.
type Step struct {
	Fn    Scan
	Kind  Kind  // of the argument as it is kept
	Off   int   // first word in the block of steps that remember, or of those that do not
	N     int   // rows of Prev, length of EMA and Wilder
	Span  int64 // µs: bound of Prev and Since, half-life of EWM and DecaySum
	Arg   int   // register of the argument
	Reads []int // steps that the argument comes from

	// Resets: the step begins anew with the view's reset, because it remembers or takes
	// what a step that does has given.
	Resets bool
}

// Origin says where a value comes from: how late, with what disorder and with which
// flags its rows came.
type Origin struct {
	Avail, Hold int64
	Flags       uint8
}

// Add joins what two values come from.
func (o *Origin) Add(p Origin) {
	o.Avail, o.Hold, o.Flags = max(o.Avail, p.Avail), max(o.Hold, p.Hold), o.Flags|p.Flags
}

const originWords = 2

func (o *Origin) put(st []uint64) {
	st[0], st[1] = uint64(o.Avail), uint64(o.Hold)<<8|uint64(o.Flags)
}

func (o *Origin) addFrom(st []uint64) {
	o.Add(Origin{int64(st[0]), int64(st[1] >> 8), uint8(st[1])})
}

// Words of each state after the origin.
const (
	cumCount = originWords + num.SumWords // inputs
	cumWords = cumCount + 1

	emaCount = originWords // inputs, N at most
	emaValue = emaCount + 1
	emaWords = emaValue + 1

	ewmTime  = originWords // event time of the last input
	ewmValue = ewmTime + 1 // N or S
	ewmCount = ewmValue + 1
	ewmWords = ewmCount + 1

	sinceTime  = originWords
	sinceWords = sinceTime + 1

	prevHead = 0 // entry to be written next: the oldest
	prevRing = 1
)

// prevEntry is the length of an entry of Prev: event time, origin, cell.
func (s *Step) prevEntry() int { return 1 + originWords + cellLen(s.Kind) }

// Words is the length of the state.
func (s *Step) Words() int {
	switch s.Fn {
	case Prev:
		return prevRing + s.N*s.prevEntry()
	case Cum:
		return cumWords
	case EMA, Wilder:
		return emaWords
	case EWM, DecaySum:
		return ewmWords
	}
	return sinceWords
}

// Rows is what the steps of a program know of the row at hand besides its values.
type Rows struct {
	TS    int64
	First bool     // events are missing before the row: it has no predecessor
	Own   Origin   // of the row itself
	Of    []Origin // of what each step gave for this row
	Young bool     // a step gave null because it has not seen enough rows yet

	keeps, resets []uint64 // the entity's state of steps that do not reset, and of those that do
}

// Begin sets the row that the steps see next, and the state of its entity.
func (r *Rows) Begin(ts int64, first bool, own Origin, keeps, resets []uint64) {
	r.TS, r.First, r.Own, r.Young, r.keeps, r.resets = ts, first, own, false, keeps, resets
	clear(r.Of)
}

// Instance changes the state of the steps that reset.
func (r *Rows) Instance(resets []uint64) { r.resets, r.Young = resets, false }

// Total is the origin of the row with all that its steps gave.
func (r *Rows) Total() Origin {
	o := r.Own
	for i := range r.Of {
		o.Add(r.Of[i])
	}
	return o
}

// step runs one scan.
func (m *Machine) step(in *Instr, d, a *Val) {
	r := &m.Rows
	s := &m.prog.Steps[in.N]
	block := r.keeps
	if s.Resets {
		block = r.resets
	}
	st := block[s.Off : s.Off+s.Words()]
	own := r.Own
	for _, k := range s.Reads {
		own.Add(r.Of[k])
	}
	of := &r.Of[in.N]
	*of = Origin{}
	switch {
	case s.Fn == Prev:
		s.prev(r, st, d, a, own, of)
		return
	case a.Null:
		d.setNull(a.Ovf)
		return
	case s.Fn == Since:
		if a.I != 0 {
			st[sinceTime] = uint64(r.TS)
			own.put(st)
		}
		if t := int64(st[sinceTime]); t == 0 || r.TS-t > s.Span {
			d.setNull(false)
			return
		} else {
			d.SetInt(r.TS - t)
		}
	default:
		own.addFrom(st)
		own.put(st)
		s.remember(r, st, d, a)
	}
	of.addFrom(st)
}

// prev gives the value of N rows ago and puts a, null or not, in its place.
func (s *Step) prev(r *Rows, st []uint64, d, a *Val, own Origin, of *Origin) {
	if r.First {
		clear(st)
	}
	n := s.prevEntry()
	at := prevRing + int(st[prevHead])*n
	e := st[at : at+n]
	if t := int64(e[0]); t == 0 || r.TS-t > s.Span {
		d.setNull(false)
	} else {
		of.addFrom(e[1:])
		getCell(d, e[1+originWords:], s.Kind)
	}
	clear(e)
	e[0] = uint64(r.TS)
	own.put(e[1:])
	if !a.Null {
		putCell(e[1+originWords:], a, s.Kind)
	}
	st[prevHead] = (st[prevHead] + 1) % uint64(s.N)
}

// remember runs the scans that take each input into their state.
func (s *Step) remember(r *Rows, st []uint64, d, a *Val) {
	if s.Fn == Cum {
		num.SumAddInt192(st[originWords:cumCount], &a.W, a.S)
		st[cumCount]++
		w, scale, ok := num.SumValue(st[originWords:cumCount], int64(st[cumCount]))
		d.Null, d.Ovf, d.W, d.S = !ok, !ok, w, int8(scale)
		return
	}
	x := a.F
	if s.Fn == EMA || s.Fn == Wilder {
		s.smooth(r, st, d, x)
		return
	}
	u, value, count := 1.0, math.Float64frombits(st[ewmValue]), math.Float64frombits(st[ewmCount])
	if t := int64(st[ewmTime]); t != 0 {
		u = num.Halve(r.TS-t, s.Span)
	}
	value, count = float64(u*value)+x, float64(u*count)+1
	if math.IsInf(value, 0) {
		d.setNull(true)
		return
	}
	st[ewmTime], st[ewmValue], st[ewmCount] = uint64(r.TS), math.Float64bits(value+0), math.Float64bits(count)
	if s.Fn == EWM {
		value /= count
	}
	d.setFloat(value)
}

// smooth is a mean of the first N inputs, then a recursion on it.
func (s *Step) smooth(r *Rows, st []uint64, d *Val, x float64) {
	n, v := float64(s.N), math.Float64frombits(st[emaValue])
	count := st[emaCount]
	switch {
	case count+1 < uint64(s.N):
		v += x
	case count+1 == uint64(s.N):
		v = (v + x) / n
	case s.Fn == EMA:
		v += float64(2 / (n + 1) * (x - v))
	default:
		v = (float64(v*(n-1)) + x) / n
	}
	if math.IsInf(v, 0) || math.IsNaN(v) {
		d.setNull(true)
		return
	}
	st[emaCount], st[emaValue] = min(count+1, uint64(s.N)), math.Float64bits(v+0)
	if count+1 < uint64(s.N) {
		d.setNull(false)
		r.Young = true
		return
	}
	d.setFloat(v)
}

// Settle brings the state to one form: what no row from the mark on can see is cleared,
// and the oldest entry of Prev comes first.
func (s *Step) Settle(block []uint64, mark int64) {
	st := block[s.Off : s.Off+s.Words()]
	switch s.Fn {
	case Since:
		if t := int64(st[sinceTime]); t != 0 && t+s.Span < mark {
			clear(st)
		}
	case Prev:
		n := s.prevEntry()
		ring := st[prevRing:]
		if h := int(st[prevHead]) * n; h > 0 {
			sorted := append(append(make([]uint64, 0, len(ring)), ring[h:]...), ring[:h]...)
			copy(ring, sorted)
			st[prevHead] = 0
		}
		for e := ring; len(e) > 0; e = e[n:] {
			if int64(e[0])+s.Span < mark {
				clear(e[:n])
			}
		}
	}
}

// Valid reports whether words read from outside can be a state as Settle leaves it.
func (s *Step) Valid(block []uint64) bool {
	st := block[s.Off : s.Off+s.Words()]
	finite := func(w uint64) bool { f := math.Float64frombits(w); return f-f == 0 }
	switch s.Fn {
	case Prev:
		n := s.prevEntry()
		for e := st[prevRing:]; len(e) > 0; e = e[n:] {
			if int64(e[0]) < 0 || int64(e[1]) < 0 || int64(e[2]) < 0 || !validCell(e[1+originWords:], s.Kind) {
				return false
			}
		}
		return st[prevHead] == 0
	case Cum:
		return int64(st[cumCount]) >= 0 && sumValid(nil, st[originWords:cumCount])
	case EMA, Wilder:
		return st[emaCount] <= uint64(s.N) && finite(st[emaValue])
	case EWM, DecaySum:
		return int64(st[ewmTime]) >= 0 && finite(st[ewmValue]) && finite(st[ewmCount])
	}
	return int64(st[sinceTime]) >= 0
}
