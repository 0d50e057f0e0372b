package backfill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	lakesink "github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
)

// Views are views that are computed together, with all that they read.
type Views struct {
	Plan  *features.Plan
	set   *lang.Set
	feeds *market.Feeds
}

// Load checks and compiles views: names of shipped ones, or spec files.
func Load(args []string, params map[string]string) (*Views, error) {
	set, _, err := run.Check(args, params)
	if err != nil {
		return nil, err
	}
	v := &Views{set: set, feeds: market.NewFeeds()}
	if v.Plan, err = features.CompileSet(set, features.Options{Params: params, Feeds: v.feeds, Find: specs.Find}); err != nil {
		return nil, run.SpecFault(err)
	}
	return v, nil
}

// Output is the place of a view in Plan.Outputs, by its name.
func (v *Views) Output(name string) (int, error) {
	var names []string
	for i, o := range v.Plan.Outputs() {
		if o.Name == name {
			return i, nil
		}
		names = append(names, o.Name)
	}
	return 0, fault.Usage("view_unknown", fmt.Sprintf("no view is called %q in these specs", name), fault.DidYouMean(name, names))
}

// Named are the views that Load was given, by their names: not those that they read.
func (v *Views) Named(args []string) ([]string, error) {
	parsed, _, _, err := run.Load(args)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range parsed {
		if s.Kind == nil {
			names = append(names, s.View.Text)
		}
	}
	return names, nil
}

// Only are some of the views, by name, with all that they read and no more: others would make
// a plan look back further than it needs to.
func (v *Views) Only(names []string) (*Views, error) {
	keep := map[*lang.View]bool{}
	for _, w := range v.set.Views {
		if slices.Contains(names, w.Name) {
			keep[w] = true
			ancestors(w, keep)
		}
	}
	set := *v.set
	set.Views = slices.DeleteFunc(slices.Clone(set.Views), func(w *lang.View) bool { return !keep[w] })
	p, err := features.CompileSet(&set, features.Options{Feeds: v.feeds, Find: specs.Find})
	if err != nil {
		return nil, err
	}
	return &Views{Plan: p, set: &set, feeds: v.feeds}, nil
}

// bySymbol reports whether rows of all views depend on events of their own symbol alone, so
// that no other symbol need be read for them.
func (v *Views) bySymbol() bool {
	return !slices.ContainsFunc(v.set.Views, func(w *lang.View) bool { return !ownSymbol(w) })
}

func ownSymbol(v *lang.View) bool {
	by := v.By
	if v.Window.Members {
		by = by[:len(by)-1]
	}
	if !slices.Contains(by, "symbol") || v.Window.Clock != nil || v.Parent != nil && !ownSymbol(v.Parent) {
		return false
	}
	for _, j := range v.Joins {
		if !slices.Contains(j.On, "symbol") || j.View != nil && !ownSymbol(j.View) {
			return false
		}
	}
	return !slices.ContainsFunc(v.Union, func(u lang.UnionInput) bool { return u.View != nil && !ownSymbol(u.View) })
}

// Table is one event table at a snapshot.
type Table struct {
	Name         string
	Snapshot     int64 // 0: it has no rows
	ValidThrough int64 // no in-time row comes below it any more, µs; market.MinEventTime when nobody has said so
	Live         bool  // it is filled from topics
	Files        []File
	input        features.Input
	table        *lake.Table // as it was: what was current then is read even when its snapshot has expired since
}

// File is a file of event rows.
type File struct {
	Path        string
	Rows, Bytes int64
	First, Last int64 // times of its rows, both inclusive
}

// Inputs are the event tables that views read, each at one snapshot.
type Inputs struct {
	Views  *Views
	Tables []Table
	// Absent are tables that views read and the lake does not have: to the views, kinds
	// of which nothing has happened.
	Absent []string
	// Last is the time of the newest row of all tables, market.NoTime without one.
	Last int64
	// Sealed is the time through which all tables that are filled from topics are complete,
	// market.NoTime when none is: what was imported is complete as it stands.
	Sealed int64

	lake *lake.Lake
}

// Pin finds the tables that the views read, as they are now.
func Pin(ctx context.Context, l *lake.Lake, v *Views) (*Inputs, error) {
	in := &Inputs{Views: v, Last: market.NoTime, Sealed: market.NoTime, lake: l}
	for _, input := range v.Plan.Inputs() {
		name := lakesink.TableName(v.Plan.Kinds(), input.Kind)
		tab, err := l.Load(ctx, name)
		if errors.Is(err, lake.ErrNoTable) {
			in.Absent = append(in.Absent, name)
			continue
		}
		if err != nil {
			return nil, err
		}
		t, err := pin(ctx, tab, input)
		if err != nil {
			return nil, err
		}
		in.Tables = append(in.Tables, t)
		for _, f := range t.Files {
			in.Last = max(in.Last, f.Last)
		}
		if t.Live && (in.Sealed == market.NoTime || t.ValidThrough < in.Sealed) {
			in.Sealed = t.ValidThrough
		}
	}
	if len(in.Tables) == 0 {
		return nil, &fault.Error{Code: "no_table", Message: "the lake has none of the tables that the views read", Where: strings.Join(in.Absent, ", "), Exit: fault.ExitNoTable,
			Remedy: "tidemark lake tables lists what is there; tidemark lake import fills it"}
	}
	return in, nil
}

func pin(ctx context.Context, tab *lake.Table, input features.Input) (Table, error) {
	base, err := tab.Base()
	if err != nil {
		return Table{}, err
	}
	t := Table{Name: tab.Name(), Snapshot: base.Snapshot, ValidThrough: max(base.ValidThrough, market.MinEventTime), Live: len(base.Offsets) > 0, input: input, table: tab}
	if t.Snapshot == 0 {
		return t, nil
	}
	files, err := tab.Files(ctx, base.Snapshot)
	if err != nil {
		return Table{}, err
	}
	for _, f := range files {
		b := f.Bounds["ts"]
		first, ok1 := b[0].(int64)
		last, ok2 := b[1].(int64)
		if !ok1 || !ok2 {
			return Table{}, fmt.Errorf("table %s: file %s has no bounds of ts", t.Name, f.Path)
		}
		t.Files = append(t.Files, File{Path: f.Path, Rows: f.Rows, Bytes: f.Bytes, First: first, Last: last})
	}
	return t, nil
}

// within yields the files that rows of a range are computed from.
func (t *Table) within(r Range) []File {
	from := r.From - t.input.Lookback
	var out []File
	for _, f := range t.Files {
		if f.Last >= from && f.First < r.To {
			out = append(out, f)
		}
	}
	return out
}

// end is the last instant before t of which something is known: the one before t, or that of
// the newest row where there is nothing later and nobody says that nothing came.
func (in *Inputs) end(t int64) int64 {
	if in.Sealed != market.NoTime && in.Sealed >= t {
		return t - 1
	}
	return min(t-1, in.Last)
}
