package features

import (
	"math"
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/market/book"
)

// Traffic is what has come to one view since its task began: with the plan, what its memory goes by.
type Traffic struct {
	Entities    int       // the most at once; of a latest window members
	Known       int       // entities by which rows that come are told apart, also those that no filter lets in
	Groups      int       // of a latest window
	Instruments int       // that the task has met,
	Handles     int       // and how many there may be
	In, Out     Flow      // rows that pass the filter, and rows given
	Rows        []float64 // rows that came to an entity: of as many parts of the entities, the least busy first, the mean
	Busy        int       // entities that rows came to
	Plain       float64   // of the entities with frames, the part whose rows are numbers that frames can take without programs
	Joins       []Joined  // by join
	Values      []Values  // by accumulator that owns a set: those of the window, then those of frames
	Books       Books     // with the first view that reads one: of all
}

// Flow is rows of all entities: in all, and the most in one step.
type Flow struct {
	Rows, Most int64
	before     int64 // when the step began
}

func (f *Flow) end() {
	f.Most = max(f.Most, f.Rows-f.before)
	f.before = f.Rows
}

// Joined is the rows of a join that pass its filter, and their keys.
type Joined struct {
	Flow
	Keys int
}

// Values tells how often values come again: a set that had taken so many rows had so many
// different values, in the geometric mean over entities, when sets were fullest.
type Values struct{ Rows, Different float64 }

// Books is order books, and their sides: those in lists of levels, and those in ladders.
type Books struct {
	Count int
	Sides [2]Sides
}

// Sides is sides of books with the levels of as many parts of them, the shallowest first, in the mean.
type Sides struct {
	Count  int
	Levels []float64
}

// survey is what a view sees of its traffic.
type survey struct {
	in, out Flow
	steps   int
	byEnt   []int64 // rows that came, by entity
	values  []Values
}

// Survey makes a task that has seen nothing look at its traffic.
func (t *Task) Survey() {
	for _, v := range t.views {
		v.survey = &survey{}
	}
}

func (s *survey) add(ent uint32, n int) {
	for int(ent) >= len(s.byEnt) {
		s.byEnt = append(s.byEnt, 0)
	}
	s.byEnt[ent] += int64(n)
	s.in.Rows += int64(n)
}

func (s *survey) runs(runs []run) {
	for _, r := range runs {
		s.add(r.ent, r.hi-r.lo)
	}
}

// row counts a row, if anybody wants to know.
func (s *survey) row(ent uint32) {
	if s != nil {
		s.add(ent, 1)
	}
}

// lookEvery is how many steps lie between two looks at sets, which are long.
const lookEvery = 16

// beginStep is called when the rows of a step are in: sets are fullest then.
func (v *viewState) beginStep() {
	s := v.survey
	if s == nil {
		return
	}
	if s.steps&(s.steps-1) == 0 || s.steps%lookEvery == 0 {
		v.noteValues()
	}
	s.steps++
}

// endStep is called after each step.
func (v *viewState) endStep() {
	for _, j := range v.joins {
		j.came.end()
	}
	if v.survey != nil {
		v.survey.in.end()
		v.survey.out.end()
	}
}

// traffic is what has come to each view.
func (t *Task) traffic() []Traffic {
	out := make([]Traffic, len(t.views))
	met := 0
	for _, in := range t.inst {
		if in != nil {
			met++
		}
	}
	paid := false
	for i, v := range t.views {
		tr := Traffic{Entities: len(v.slots), Known: len(v.keys.names), Instruments: met, Handles: len(t.inst)}
		if v.latest != nil {
			tr.Entities, tr.Groups = len(v.latest.members), len(v.latest.groups)
		}
		if s := v.survey; s != nil {
			tr.In, tr.Out, tr.Values = s.in, s.out, slices.Clone(s.values)
			tr.Rows, tr.Busy = parts(s.byEnt)
		}
		tr.Plain = v.plainPart()
		for _, j := range v.joins {
			tr.Joins = append(tr.Joins, Joined{j.came, len(j.keys)})
		}
		if v.readsBook() && !paid {
			tr.Books, paid = t.books.count(), true
		}
		out[i] = tr
	}
	return out
}

// plainPart is how many of the entities with frames go without programs, 0 to 1.
func (v *viewState) plainPart() float64 {
	all, plain := 0, 0
	for i := range v.slots {
		if v.frames == nil || i >= len(v.frames.state) || v.frames.state[i] == nil {
			continue
		}
		all++
		if s := v.frames.columnsOf(int32(i)); s != nil && s.on {
			plain++
		}
	}
	return float64(plain) / float64(max(all, 1))
}

// parts is the means of parts of some numbers above 0 in order, and how many those are.
func parts(of []int64) (means []float64, n int) {
	const most = 16
	rows := slices.DeleteFunc(slices.Clone(of), func(x int64) bool { return x == 0 })
	slices.Sort(rows)
	n = len(rows)
	for k := range min(most, n) {
		lo, hi := k*n/min(most, n), (k+1)*n/min(most, n)
		sum := int64(0)
		for _, x := range rows[lo:hi] {
			sum += x
		}
		means = append(means, float64(sum)/float64(hi-lo))
	}
	return means, n
}

// count tells how many books there are and how deep.
func (b *books) count() Books {
	var levels [2][]int64
	for i := range b.slots {
		k := &b.slots[i].book
		for _, s := range []book.Side{book.Bid, book.Ask} {
			if k.Laddered(s) {
				levels[1] = append(levels[1], int64(k.Len(s)))
			} else {
				levels[0] = append(levels[0], int64(k.Len(s)))
			}
		}
	}
	c := Books{Count: len(b.slots)}
	for i := range levels {
		c.Sides[i].Levels, c.Sides[i].Count = parts(levels[i])
	}
	return c
}

// noteValues looks at the sets of the view and keeps what it sees when they are fuller than
// before.
func (v *viewState) noteValues() {
	k, sc := 0, &v.task.sc
	note := func(a *op.Acc, recs func(yield func(rec []uint64) bool)) {
		if k == len(v.survey.values) {
			v.survey.values = append(v.survey.values, Values{})
		}
		n, rows, different := 0.0, 0.0, 0.0
		for rec := range recs {
			if m := a.SetRows(rec, sc); m > 0 {
				n, rows, different = n+1, rows+math.Log(float64(m)), different+math.Log(float64(a.SetLen(rec, sc)))
			}
		}
		if was, is := &v.survey.values[k], math.Exp(rows/n); is > was.Rows {
			*was = Values{is, math.Exp(different / n)}
		}
		k++
	}
	for _, a := range v.owners {
		note(a, func(yield func(rec []uint64) bool) {
			for i := range v.slots {
				s := &v.slots[i]
				if !s.used {
					continue
				}
				if !yield(v.openRec(int32(i))) || s.roll.sets != 0 && !yield(v.panes.rec(s.roll.sets)) {
					return
				}
				for r := s.closed.head; r != 0; r = v.panes.next(r) {
					if !yield(v.panes.rec(r)) {
						return
					}
				}
			}
		})
	}
	if v.frames == nil {
		return
	}
	for f := range v.frames.Frames.Frames {
		fr := &v.frames.Frames.Frames[f]
		for a := range fr.Accs {
			if !fr.Accs[a].Owner() {
				continue
			}
			note(&fr.Accs[a], func(yield func(rec []uint64) bool) {
				for _, e := range v.frames.state {
					if e != nil && !yield(e.frames[f].rec) {
						return
					}
				}
			})
		}
	}
}
