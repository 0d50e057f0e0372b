// Package explain tells how one row of a view came about: from which input events, at
// which places, what was left out and why, and the formulas with their numbers. Every
// value is worked out a second time, apart from the engine, and compared with it.
package explain

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
)

// Config says which row to explain.
type Config struct {
	View    string
	Time    int64    // µs, an instant of the row's window; of a grid at most one step before the row
	Entity  string   // values of the view's entity columns with slashes between; "" when only one has such a row
	Nth     int      // of several rows that the entity has at one instant, counted from 1; 0 for the first
	Specs   []string // files or shipped views; none for View alone
	Set     []string // name=value
	Inputs  []string
	Format  string
	Feed    string
	Feature string // "" for all
	Limit   int    // entries of each list; 0 for all
	Deep    bool   // list what is behind the rows of other views, down to events
	Stdin   io.Reader
	Lake    *lake.Lake // nil when no input is a table of one

	most int // events that are kept; 0 for maxEvents
}

type badRecord struct {
	file string
	line int64
	why  string
}

type explainer struct {
	cfg    Config
	feeds  *market.Feeds
	insts  *market.Instruments
	plan   *features.Plan
	view   *lang.View
	at     int // of the view in the plan's outputs
	entity []string
	reads  map[market.Kind]*reads
	eval   *evaluator

	from      int64 // before any time that the row can have
	sequenced bool  // events come from a lake, with their verdicts
	exactly   bool  // rows are on a grid of time: row_ts is known
	rowTS     int64 // the row's, or the last that it can have
	last      int64
	kept      int
	arrived   int
	newest    map[line]int64
	open      map[identity][]arrival
	placeOf   map[market.ID]string
	known     map[chain]map[string]string // names of instruments and feeds met
	others    []int64                     // times of the last events of other entities
	entities  []string
	books     books
	out       []LeftOut
	bad       []badRecord
	badCount  int64
	rows      features.Rows
	found     map[string][]engineRow
	row       engineRow
	rowBefore int64 // the nearest rows beside the time that was asked for
	rowAfter  int64
}

// Explain reads the input once and explains the row. Its memory is bounded by the events
// in reach of it.
func Explain(ctx context.Context, cfg Config) (*Explanation, error) {
	e := &explainer{
		cfg: cfg, feeds: market.NewFeeds(), insts: market.NewInstruments(), last: market.NoTime, reads: map[market.Kind]*reads{},
		newest: map[line]int64{}, open: map[identity][]arrival{}, placeOf: map[market.ID]string{}, known: map[chain]map[string]string{},
		books: books{}, found: map[string][]engineRow{}, rowBefore: market.NoTime, rowAfter: market.NoTime,
	}
	if e.cfg.most == 0 {
		e.cfg.most = maxEvents
	}
	if err := e.prepare(); err != nil {
		return nil, err
	}
	tables, err := run.LakeInputs(cfg.Inputs, cfg.Lake)
	if err != nil {
		return nil, err
	}
	if tables != nil {
		err = e.readTables(ctx, tables)
	} else {
		err = e.readFiles(ctx)
	}
	if err != nil {
		return nil, err
	}
	if err := e.one(); err != nil {
		return nil, err
	}
	e.duplicates()
	return e.report()
}

// prepare finds the view, what it reads and where its row lies.
func (e *explainer) prepare() error {
	if len(e.cfg.Inputs) == 0 {
		return fault.Usage("input_missing", "no input given", "name files, folders or - for the standard input: --input trades.csv.gz; of a lake --input lake:")
	}
	names := e.cfg.Specs
	if len(names) == 0 {
		names = []string{e.cfg.View}
	}
	set := run.Config{Set: e.cfg.Set}
	params, err := set.Params()
	if err != nil {
		return err
	}
	checked, _, err := run.Check(names, params)
	if err != nil {
		return err
	}
	var known []string
	for _, v := range checked.Views {
		known = append(known, v.Name)
		if v.Name == e.cfg.View {
			e.view = v
		}
	}
	if e.view == nil {
		return fault.Usage("view_unknown", fmt.Sprintf("no view is called %q in these specs", e.cfg.View), fault.DidYouMean(e.cfg.View, known))
	}
	if f := e.cfg.Feature; f != "" {
		var names []string
		for _, x := range e.view.Features {
			names = append(names, x.Name)
		}
		if !slices.Contains(names, f) {
			return fault.Usage("feature_unknown", fmt.Sprintf("%s has no feature %q", e.view.Name, f), fault.DidYouMean(f, names))
		}
	}
	if e.cfg.Entity != "" {
		e.entity = strings.Split(e.cfg.Entity, "/")
		if len(e.entity) != len(e.view.By) {
			return fault.Usage("entity_invalid", fmt.Sprintf("%q is no entity of %s", e.cfg.Entity, e.view.Name), "write "+strings.Join(e.view.By, "/"))
		}
	}
	below := map[*lang.View]bool{}
	e.requires(e.view, e.view.By, below)
	checked.Views = slices.DeleteFunc(checked.Views, func(v *lang.View) bool { return !below[v] })
	e.plan, err = features.CompileSet(checked, features.Options{Params: params, Feeds: e.feeds, Find: specs.Find})
	if err != nil {
		return run.SpecFault(err)
	}
	e.at = slices.IndexFunc(e.plan.Outputs(), func(o features.Output) bool { return o.Fingerprint == e.view.Fingerprint })
	e.eval = &evaluator{events: map[market.Kind][]*Event{}, need: map[*lang.View]int64{}, done: map[*lang.View][]*computed{},
		sides: map[*lang.TypedJoin]map[string][]*item{}, filtered: map[*lang.View][]item{}, passed: map[*Event]bool{}}
	e.place()
	return nil
}

// place finds where the row can lie, and from when on events matter to it.
func (e *explainer) place() {
	w, t := e.view.Window, e.cfg.Time
	switch {
	case w.Kind == lang.Tumbling:
		e.exactly = true
		g := w.Grid()
		e.rowTS = g.Start(g.Index(t)+1) - 1
	case w.Kind == lang.Latest || w.Kind == lang.Rolling && !w.Event:
		e.exactly = true
		e.rowTS = -market.FloorDiv(-t, w.Every) * w.Every
	default:
		e.rowTS = ahead(e.view, t)
	}
	from := t
	if e.exactly {
		from = e.rowTS
	} else if w.Reset > 0 { // the lookback is from the end of the period
		from = e.rowTS
	}
	e.from = min(t, from)
	for _, in := range e.plan.Inputs() {
		if r := e.reads[in.Kind]; r != nil {
			r.from = from - in.Lookback
			if in.Kind == market.KindBook {
				r.from += market.KeyframeEvery // books are followed from the start of the input
			}
		}
	}
}

// ahead is the last time that a row of a view can have whose window holds an instant.
func ahead(v *lang.View, t int64) int64 {
	w := v.Window
	switch {
	case w.Kind == lang.NoWindow && v.Parent == nil:
		return t
	case w.Kind == lang.NoWindow:
		return ahead(v.Parent, t)
	case w.Reset > 0: // bar, session, clock
		return (market.FloorDiv(t, w.Reset)+1)*w.Reset - 1
	case w.Every > 0:
		return t + w.Every
	}
	return t + w.Width
}

// asked reports whether a row of the engine is of the time that was asked for.
func (e *explainer) asked(start, rowTS int64) bool {
	if e.exactly {
		return rowTS == e.rowTS
	}
	return start <= e.cfg.Time && e.cfg.Time <= rowTS
}

// one makes sure that there is one row to explain.
func (e *explainer) one() error {
	slices.Sort(e.entities)
	var names []string
	for n := range e.found {
		names = append(names, n)
	}
	slices.Sort(names)
	switch {
	case len(names) == 1:
		rows := e.found[names[0]]
		if e.cfg.Nth > len(rows) {
			return fault.Usage("row_missing", fmt.Sprintf("%s has %d of these rows at %s", names[0], len(rows), market.FormatTime(rows[0].rowTS)), "")
		}
		e.row = rows[max(e.cfg.Nth-1, 0)]
		e.row.of = len(rows)
		e.entity, e.rowTS = e.row.entity, e.row.rowTS
		return nil
	case len(names) > 1:
		return fault.Usage("entity_missing", fmt.Sprintf("%d entities have a row then", len(names)), "name one of: "+strings.Join(names[:min(len(names), 10)], ", "))
	case e.cfg.Entity != "" && !slices.Contains(e.entities, e.cfg.Entity):
		where := "the input"
		if e.sequenced {
			where = "the stretch of the lake in reach of this time"
		}
		return fault.Usage("entity_unknown", fmt.Sprintf("%s has no %s", where, e.cfg.Entity), fault.DidYouMean(e.cfg.Entity, e.entities))
	}
	remedy := "tidemark run writes the rows that there are"
	var near []string
	for _, t := range []int64{e.rowBefore, e.rowAfter} {
		if t != market.NoTime {
			near = append(near, market.FormatTime(t))
		}
	}
	if len(near) > 0 {
		remedy = "the nearest rows are of " + strings.Join(near, " and ")
	}
	if n := e.leftNear(); n > 0 {
		remedy += fmt.Sprintf("; %d events around this time were left out (tidemark run --stats counts them)", n)
	}
	return &fault.Error{Code: "row_missing", Message: fmt.Sprintf("%s has no row for %s", e.view.Name, market.FormatTime(e.cfg.Time)), Remedy: remedy, Exit: fault.ExitUsage}
}

// leftNear counts the events that were left out around the time that was asked for.
func (e *explainer) leftNear() (n int) {
	w := max(e.view.Window.Width, market.Second)
	for i := range e.out {
		if t := e.out[i].ts; t > e.cfg.Time-w && t < e.cfg.Time+w {
			n++
		}
	}
	return n
}
