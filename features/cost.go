package features

import (
	"fmt"
	"math/bits"

	"github.com/pinova-group/tidemark/features/plan"
	"github.com/pinova-group/tidemark/market"
)

// Cost counts the operations of one view: instructions, accumulators and values loaded,
// for each row that goes in and for each that comes out. It is a measure that does not
// depend on the machine; operations are not all equally fast.
type Cost struct {
	Output int         // index in Outputs; -1 for a hidden view that makes panes for several
	Parent int         // index in Costs of the view that it reads, -1 when it reads events
	Kind   market.Kind // of these events
	Group  string      // how rows are grouped: events are grouped once for all views with one group
	In     int
	Out    int
}

// Costs lists the costs of all views, those of Outputs first, in their order.
func (p *Plan) Costs() []Cost {
	var cs []Cost
	for i, v := range p.views {
		c := Cost{Output: i, Parent: v.Parent, Kind: v.Kind, In: len(v.Pick) + len(v.Accs), Out: len(v.Loads)}
		if v.Hidden {
			c.Output = -1
		}
		c.Group = fmt.Sprint(v.Parent, v.Kind)
		for _, r := range v.By {
			c.Group += fmt.Sprint(" ", r.Source, r.Index)
		}
		c.In += len(v.Slow) + v.Held
		if v.Finish != nil {
			c.Out += len(v.Finish.Code)
		}
		if v.Alerts.Prog != nil {
			c.Out += len(v.Alerts.Prog.Code) + len(v.Alerts.Loads)
		}
		if v.Shape == plan.Rolling {
			c.Out += 3 * len(v.Accs) // a pane is merged at most three times
		}
		cs = append(cs, c)
	}
	return cs
}

// StateSize is what a task holds of one view.
type StateSize struct {
	Entities int
	Bytes    int // as in a snapshot: what is live, without free memory
}

// StateSizes measures the state of each view, in the order of Costs.
func (t *Task) StateSizes() []StateSize {
	sizes := make([]StateSize, len(t.views))
	for i, v := range t.views {
		w := writer{}
		v.save(&w)
		v.saveAlerts(&w)
		r := reader{b: w.b}
		sizes[i] = StateSize{Entities: int(r.word()), Bytes: len(w.b)}
	}
	return sizes
}

// Traffic is what one entity of a view meets while a task runs.
type Traffic struct {
	In, Out float64 // rows a second of event time that come in, and that leave
	Age     int64   // µs since the first row
	Lag     int64   // µs that the view's mark is behind its newest row
}

// rows is how many rows come in a span of time.
func (t *Traffic) rows(span int64) float64 { return t.In * float64(min(span, t.Age)) / 1e6 }

// StateBytes predicts the memory that one entity of a view takes: what every entity has, then
// rows, windows and ticks that wait for the mark, the panes of rolling windows, the rings of
// frames, and multisets as if every row had a value of its own. View counts as in Costs.
func (p *Plan) StateBytes(view int, t Traffic) int {
	v := p.views[view]
	if v.Shape == plan.Latest {
		waiting := 2 + float64(t.Lag)/float64(v.Window.Every) // the one in force, and the next
		return slotBytes + alertBytes*len(v.Lang.Alerts) + int(8*waiting*float64(nodeHead+latestHead+v.Cross.Held))
	}
	words := float64(scanWords(v))
	if v.Shape != plan.RowView {
		words += float64(v.Stride)
		if v.Tail {
			words += float64(v.Stride)
		}
		panes, sets := windows(v, &t)
		words += float64(panes*float64(nodeHead+v.Stride)) + sets
	}
	if v.Hold {
		words += float64((1 + t.rows(t.Lag)) * float64(nodeHead+v.Held))
	}
	if v.Clock != nil {
		words += clockWords + float64(t.Out*float64(t.Lag)/1e6*float64(nodeHead+v.Clock.Tick))
	}
	for i := range v.Joins {
		words += float64(joinRows * v.Joins[i].Words)
	}
	return slotBytes + alertBytes*len(v.Lang.Alerts) + framesBytes(v) + int(8*(words+ringWords(v, &t)))
}

// joinRows is how many rows of each join are kept for an entity: the one that is matched, and
// newer ones that have not been looked through yet. clockWords is what a slot of a clock has besides.
const joinRows, clockWords = 4, 5

// windows is how many records of windows there are beside the open one, and the words of
// the multisets in all of them.
func windows(v *plan.View, t *Traffic) (records, sets float64) {
	lag, open := float64(t.Lag), float64(v.Pane)
	switch v.Shape {
	case plan.Tumbling:
		records = min(lag/float64(v.Pane), t.rows(t.Lag))
	case plan.Rolling: // each pane once as it is, once in a merge
		width := min(v.Window.Width, t.Age)
		in := min(float64(width)/float64(v.Pane), t.rows(width))
		records, open = 2*in+lag/float64(v.Pane)+2, 2*float64(width)+lag
	default:
		records = t.Out * lag / 1e6
		if t.Out > 0 {
			open = 1e6 / t.Out
		}
	}
	for i := range v.Accs {
		if a := &v.Accs[i]; a.Owner() {
			sets += a.SetWords(t.rows(int64(open)+t.Lag), records+1)
		}
	}
	return records, sets
}

// ringWords is the rings of frames.
func ringWords(v *plan.View, t *Traffic) (words float64) {
	f := v.Frames
	if f == nil {
		return 0
	}
	level, ring := make([]float64, f.Levels), make([]float64, len(f.Rings))
	for i := range f.Frames {
		fr := &f.Frames[i]
		n := t.rows(fr.Span)
		if fr.Rows > 0 {
			n = min(n, float64(fr.Rows))
		}
		level[fr.Level] = max(level[fr.Level], n)
		for _, k := range fr.Of {
			ring[k] = max(ring[k], n)
		}
	}
	for _, n := range level[1:] {
		words += float64(room(n) * levelWords)
	}
	for k, n := range ring {
		words += float64(room(n) * float64(ringHead+f.Rings[k].Words))
	}
	return words
}

// room is the entries of a ring that holds n: a power of two.
func room(n float64) float64 { return float64(max(4, uint64(1)<<bits.Len64(uint64(n)))) }
