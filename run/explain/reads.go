package explain

import (
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

// reads is what is kept of a kind of events.
type reads struct {
	from    int64
	columns []lang.Column // by their plain names
	same    [][]string    // for each way to the view: the columns in which an event is as the entity
	takes   map[chain]bool
}

// requires notes which events a view reads, and the views below it. same are the entity
// columns of the view that is explained whose values the events must share.
func (e *explainer) requires(v *lang.View, same []string, below map[*lang.View]bool) {
	below[v] = true
	if v.Window.Kind == lang.Latest {
		same = slices.DeleteFunc(slices.Clone(same), func(c string) bool { return c == v.Window.Member })
	}
	if v.Window.Listed {
		e.kind(market.KindInstrument, same)
		for _, name := range []string{"state", "listed_ts", "delisted_ts"} {
			e.column(market.KindInstrument, lang.Column{Name: name})
		}
	}
	if c := v.Window.Clock; c != nil {
		e.requires(c, common(same, c.By), below)
	}
	for _, j := range v.Joins {
		on := common(same, j.On)
		if j.View != nil {
			e.requires(j.View, on, below)
			continue
		}
		e.kind(j.Kind, on)
		for _, c := range append(slices.Clone(j.Columns), j.Kept...) {
			e.column(j.Kind, c)
		}
	}
	if v.Parent != nil {
		e.requires(v.Parent, same, below)
		return
	}
	if len(v.Union) == 0 {
		e.kind(v.Kind, same)
	}
	for _, u := range v.Union {
		if u.View != nil {
			e.requires(u.View, same, below)
		} else {
			e.kind(u.Kind, same)
		}
	}
	for _, c := range v.Columns {
		switch {
		case c.Join > 0:
		case len(v.Union) == 0:
			e.column(v.Kind, c)
		default:
			for i, u := range v.Union {
				if u.View == nil && (c.Input == 0 || c.Input == i+1) {
					e.column(u.Kind, c)
				}
			}
		}
	}
}

func common(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(c string) bool { return !slices.Contains(b, c) })
}

func (e *explainer) kind(k market.Kind, same []string) {
	if e.reads[k] == nil {
		e.reads[k] = &reads{takes: map[chain]bool{}}
	}
	e.reads[k].same = append(e.reads[k].same, same)
}

func (e *explainer) column(k market.Kind, c lang.Column) {
	if c.Book == nil {
		c.Name = c.Name[strings.IndexByte(c.Name, '.')+1:]
	}
	r := e.reads[k]
	if !slices.ContainsFunc(r.columns, func(o lang.Column) bool { return o.Name == c.Name }) {
		r.columns = append(r.columns, c)
	}
}

// reaches reports whether a time can matter to the row.
func (e *explainer) reaches(r *reads, ts int64) bool { return ts >= r.from && ts <= e.rowTS }

// meet notes an entity of the view's own input, for one whose name is not known.
func (e *explainer) meet(names map[string]string) {
	var parts []string
	for _, c := range e.view.By {
		parts = append(parts, names[c])
	}
	if name := strings.Join(parts, "/"); !slices.Contains(e.entities, name) {
		e.entities = append(e.entities, name)
	}
}

// wanted reports whether an event can go into a row of the entity.
func (e *explainer) wanted(r *reads, b *market.Batch, i int) bool {
	k := chain{b.Feed[i], b.Inst[i]}
	ok, known := r.takes[k]
	if !known {
		names := e.envelope(b, i)
		ok = e.entity == nil || slices.ContainsFunc(r.same, func(same []string) bool {
			for _, c := range same {
				if name, ok := names[c]; ok && name != e.entity[slices.Index(e.view.By, c)] {
					return false
				}
			}
			return true
		})
		r.takes[k] = ok
	}
	return ok
}

// envelope gives the names that an event carries.
func (e *explainer) envelope(b *market.Batch, i int) map[string]string {
	k := chain{b.Feed[i], b.Inst[i]}
	if names := e.known[k]; names != nil {
		return names
	}
	in := e.insts.Get(b.Inst[i])
	names := map[string]string{"exchange": in.Exchange, "market": in.Venue.String(), "symbol": in.Symbol,
		"base": in.Base, "quote": in.Quote, "feed": e.feeds.Get(b.Feed[i]).Name}
	e.known[k] = names
	e.meet(names)
	return names
}
