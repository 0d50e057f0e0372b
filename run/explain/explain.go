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
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/specs"
)

// Config says which row to explain.
type Config struct {
	View    string
	Time    int64    // µs, an instant of the row's window; of a rolling one at most one step before its end
	Entity  string   // values of the view's entity columns with slashes between; "" when only one has such a row
	Specs   []string // files or shipped views; none for View alone
	Set     []string // name=value
	Inputs  []string
	Format  string
	Feed    string
	Feature string // "" for all
	Limit   int    // entries of each list; 0 for all
	Deep    bool   // list the events behind rows of a parent, too
	Stdin   io.Reader
}

// Explanation is what is known about one row.
type Explanation struct {
	View     string    `json:"view"`
	Version  int       `json:"version"`
	Entity   string    `json:"entity"`
	Start    string    `json:"window_start"`
	End      string    `json:"window_end"`
	RowTS    string    `json:"row_ts"`
	Avail    string    `json:"available_at"`
	Flags    []string  `json:"flags"`
	Features []Feature `json:"features"`
	Rows     []Parent  `json:"rows,omitempty"` // rows of the parent view that went in
	RowCount int       `json:"rows_total"`
	Events   []Event   `json:"events"` // events that went in
	Count    int       `json:"events_total"`
	Out      []LeftOut `json:"left_out"`
	OutCount int       `json:"left_out_total"`
	Before   *Event    `json:"before,omitempty"` // the entity's last event in reach before the window
	Rejected int64     `json:"rejected_in_input"`
}

// Feature is one value and how it was worked out.
type Feature struct {
	Name       string      `json:"name"`
	Formula    string      `json:"formula"`
	Numbers    string      `json:"numbers"`
	Value      string      `json:"value"` // as the row has it; null is empty
	Recomputed string      `json:"recomputed"`
	Aggregates []Aggregate `json:"aggregates"`
}

// Aggregate is one accumulator of a feature.
type Aggregate struct {
	Text  string `json:"aggregate"`
	Value string `json:"value"`
	Used  int    `json:"used"`
	Place string `json:"place,omitempty"` // of the very event that first, last, min or max is
}

// Event is one input event.
type Event struct {
	Place   string   `json:"place"` // file:line
	Time    string   `json:"event_ts"`
	ID      string   `json:"id"`
	Columns []Column `json:"columns,omitempty"`

	ts    int64
	cols  map[string]value
	names map[string]string
}

// Column is a value that the view reads.
type Column struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// LeftOut is an event or record that was not used.
type LeftOut struct {
	Event
	Verdict string `json:"verdict"` // late, duplicate, filtered, rejected
	Why     string `json:"why"`
}

// Parent is a row of the parent view.
type Parent struct {
	Entity string   `json:"entity"`
	Start  string   `json:"window_start"`
	End    string   `json:"window_end"`
	Values []Column `json:"values"`
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
	base   *lang.View // the view that reads the events
	kind   market.Kind
	at     int // of the view in the plan's outputs
	entity []string

	from, rowTS, low, high, last int64

	newest   map[line]int64
	open     map[identity][]arrival
	placeOf  map[market.ID]string
	known    map[identity]map[string]string // names of instruments and feeds met
	entities []string
	events   []*Event
	books    books // nil when the view reads none
	arrived  int
	out      []LeftOut
	bad      []badRecord
	badCount int64
	rows     features.Rows
	row      engineRow
	found    []string
	names    []string
}

// Explain reads the input once and explains the row. Its memory is bounded by the events
// in reach of it.
func Explain(ctx context.Context, cfg Config) (*Explanation, error) {
	e := &explainer{
		cfg: cfg, feeds: market.NewFeeds(), insts: market.NewInstruments(), last: market.NoTime,
		newest: map[line]int64{}, open: map[identity][]arrival{}, placeOf: map[market.ID]string{}, known: map[identity]map[string]string{},
	}
	if err := e.prepare(); err != nil {
		return nil, err
	}
	paths, err := input.Expand(cfg.Inputs)
	if err != nil {
		return nil, err
	}
	r, err := input.Open(input.Config{Paths: paths, Adapters: run.Formats(), Format: cfg.Format, Feed: cfg.Feed,
		Feeds: e.feeds, Insts: e.insts, Stdin: cfg.Stdin, Places: true})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := e.read(ctx, r); err != nil {
		return nil, err
	}
	if err := e.one(); err != nil {
		return nil, err
	}
	e.duplicates()
	return e.report()
}

// prepare finds the view and the window.
func (e *explainer) prepare() error {
	if len(e.cfg.Inputs) == 0 {
		return fault.Usage("input_missing", "no input given", "name files, folders or - for the standard input: --input trades.csv.gz")
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
	e.plan, err = features.CompileSet(checked, features.Options{Params: params, Feeds: e.feeds, Find: specs.Find})
	if err != nil {
		return run.SpecFault(err)
	}
	e.at = slices.IndexFunc(e.plan.Outputs(), func(o features.Output) bool { return o.Name == e.view.Name })
	if f := e.cfg.Feature; f != "" {
		var names []string
		for _, x := range e.view.Features {
			names = append(names, x.Name)
		}
		if !slices.Contains(names, f) {
			return fault.Usage("feature_unknown", fmt.Sprintf("%s has no feature %q", e.view.Name, f), fault.DidYouMean(f, names))
		}
	}
	for e.base = e.view; e.base.Parent != nil; {
		e.base = e.base.Parent
	}
	e.kind = e.base.Kind
	if slices.ContainsFunc(e.base.Columns, func(c lang.Column) bool { return c.Book != nil }) {
		e.books = books{}
	}
	for v := e.view; v != nil; v = v.Parent {
		if len(v.Union) > 0 {
			return fault.Usage("explain_join", fmt.Sprintf("%s reads several kinds; explain takes views of one input", v.Name), "")
		}
		if len(v.Joins) > 0 {
			return fault.Usage("explain_join", fmt.Sprintf("%s joins %s; explain takes views of one input", v.Name, v.Joins[0].Name()), "")
		}
		if !e.explains(v) {
			return fault.Usage("explain_window", fmt.Sprintf("explain does not follow the rows of %s; it takes tumbling and rolling windows, and of events sessions and whole bars", v.Name), "")
		}
		if v.HasScans() {
			return fault.Usage("explain_scan", fmt.Sprintf("%s has scans, which reach beyond the rows of a window; explain does not follow them", v.Name), "")
		}
	}
	if e.cfg.Entity != "" {
		e.entity = strings.Split(e.cfg.Entity, "/")
		if len(e.entity) != len(e.view.By) {
			return fault.Usage("entity_invalid", fmt.Sprintf("%q is no entity of %s", e.cfg.Entity, e.view.Name), "write "+strings.Join(e.view.By, "/"))
		}
	}
	e.place()
	return nil
}

// place finds the row's window.
func (e *explainer) place() {
	w, t := e.view.Window, e.cfg.Time
	if begins(e.view) {
		e.placeBegun()
		return
	}
	if w.Kind == lang.Rolling {
		e.rowTS = -market.FloorDiv(-t, w.Every) * w.Every
		e.low, e.high = e.rowTS-w.Width+1, e.rowTS+1
	} else {
		e.low = market.FloorDiv(t-w.Origin, w.Width)*w.Width + w.Origin
		e.high = e.low + w.Width
		e.rowTS = e.high - 1
	}
	e.from = e.rowTS - e.view.Lookback
	if e.books != nil {
		e.from += market.KeyframeEvery // books are followed from the start of the input
	}
}

// one makes sure that there is one row to explain.
func (e *explainer) one() error {
	slices.Sort(e.entities)
	switch {
	case len(e.found) == 1:
		e.entity = e.names
		e.settle()
		return nil
	case len(e.found) > 1:
		slices.Sort(e.found)
		return fault.Usage("entity_missing", fmt.Sprintf("%d entities have a row then", len(e.found)), "name one of: "+strings.Join(e.found[:min(len(e.found), 10)], ", "))
	case e.cfg.Entity != "" && !slices.Contains(e.entities, e.cfg.Entity):
		return fault.Usage("entity_unknown", fmt.Sprintf("the input has no %s", e.cfg.Entity), fault.DidYouMean(e.cfg.Entity, e.entities))
	}
	remedy := "tidemark run writes the rows that there are"
	if n := len(e.out); n > 0 {
		remedy = fmt.Sprintf("%d events of the window were left out: tidemark run --stats counts them", n)
	}
	return &fault.Error{Code: "row_missing", Message: fmt.Sprintf("%s has no row for %s", e.view.Name, market.FormatTime(e.cfg.Time)), Remedy: remedy, Exit: fault.ExitUsage}
}

// seen notes an instrument of the view's kind.
func (e *explainer) seen(b *market.Batch, i int) {
	if e.known[identity{feed: b.Feed[i], inst: b.Inst[i]}] != nil {
		return
	}
	names := e.envelope(b, i)
	var parts []string
	for _, c := range e.view.By {
		parts = append(parts, names[c])
	}
	if name := strings.Join(parts, "/"); !slices.Contains(e.entities, name) {
		e.entities = append(e.entities, name)
	}
}

// wanted reports whether an event can belong to the entity.
func (e *explainer) wanted(b *market.Batch, i int) bool {
	if e.entity == nil {
		return true
	}
	in := e.insts.Get(b.Inst[i])
	for k, c := range e.view.By {
		var have string
		switch c {
		case "exchange":
			have = in.Exchange
		case "market":
			have = in.Venue.String()
		case "symbol":
			have = in.Symbol
		case "base":
			have = in.Base
		case "quote":
			have = in.Quote
		case "feed":
			have = e.feeds.Get(b.Feed[i]).Name
		default:
			continue
		}
		if have != e.entity[k] {
			return false
		}
	}
	return true
}

// envelope gives the names that an event carries.
func (e *explainer) envelope(b *market.Batch, i int) map[string]string {
	k := identity{feed: b.Feed[i], inst: b.Inst[i]}
	if names := e.known[k]; names != nil {
		return names
	}
	in := e.insts.Get(b.Inst[i])
	names := map[string]string{"exchange": in.Exchange, "market": in.Venue.String(), "symbol": in.Symbol,
		"base": in.Base, "quote": in.Quote, "feed": e.feeds.Get(b.Feed[i]).Name}
	e.known[k] = names
	return names
}
