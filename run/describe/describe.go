// Package describe explains specs: the manual page of a view, the picture of a plan,
// what a plan needs and what it gives, and the canonical layout of a spec file.
package describe

import (
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/rowfile"
	"github.com/pinova-group/tidemark/specs"
)

// View is one view of a compiled plan, with the text that it was written in.
type View struct {
	features.Output
	Lang *lang.View
}

// Compiled are the views of some specs, parents first, and the plan they make.
type Compiled struct {
	Views  []View
	Inputs []features.Input
	Given  []string // names of the views and kinds of the specs that were named
	Kinds  *market.Kinds
	plan   *features.Plan
}

// Compile reads and compiles specs, names of shipped views or files.
func Compile(args, set []string) (*Compiled, error) {
	cfg := run.Config{Set: set}
	params, err := cfg.Params()
	if err != nil {
		return nil, err
	}
	checked, src, err := run.Check(args, params)
	if err != nil {
		return nil, err
	}
	plan, _, err := run.Compile(args, params, market.NewFeeds())
	if err != nil {
		return nil, err
	}
	c := &Compiled{Inputs: plan.Inputs(), Kinds: plan.Kinds(), plan: plan}
	for _, o := range plan.Outputs() {
		i := slices.IndexFunc(checked.Views, func(v *lang.View) bool { return v.Name == o.Name && v.Version == o.Version })
		if i < 0 {
			return nil, fmt.Errorf("BUG: view %q is planned and was not checked", o.Name)
		}
		c.Views = append(c.Views, View{o, checked.Views[i]})
	}
	for _, s := range src {
		if sp, problems := lang.Parse(s.Name, s.Text); len(problems) == 0 {
			if sp.Kind != nil {
				c.Given = append(c.Given, sp.Kind.Name.Text)
				continue
			}
			c.Given = append(c.Given, sp.View.Text)
		}
	}
	return c, nil
}

// find returns a view by name.
func (c *Compiled) find(name string) *View {
	for i := range c.Views {
		if c.Views[i].Name == name {
			return &c.Views[i]
		}
	}
	return nil
}

// Item is one line of the list of shipped views.
type Item struct {
	View     string   `json:"view"`
	Version  int      `json:"version"`
	From     string   `json:"from"`
	Window   string   `json:"window"`
	By       []string `json:"by"`
	Features int      `json:"features"`
	Doc      string   `json:"doc"`
}

// List describes all shipped views, by name.
func List() ([]Item, error) {
	items := []Item{}
	for _, n := range specs.Names() {
		c, err := Compile([]string{n}, nil)
		if err != nil {
			return nil, err
		}
		v := c.find(n)
		if v == nil {
			return nil, fmt.Errorf("BUG: shipped spec %q holds another view", n)
		}
		items = append(items, Item{v.Name, v.Version, v.from(), v.window(), v.Entity, len(v.Fields), firstLine(v.Doc)})
	}
	return items, nil
}

// firstLine is what a doc says in short; the rest names formulas and sources.
func firstLine(doc string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(doc), "\n")
	return line
}

// from names the inputs of a view, joined ones after a plus, each once.
func (v *View) from() string {
	var names []string
	for _, in := range v.inputs() {
		names = append(names, in.name)
	}
	return strings.Join(names, " + ")
}

// source is a kind or view that a view reads.
type source struct {
	name string
	view bool
}

// id is the box of the source in the graph.
func (s source) id() string {
	if s.view {
		return "view:" + s.name
	}
	return "kind:" + s.name
}

func (v *View) inputs() []source {
	list := []source{{v.Lang.Kinds.Name(v.Lang.Kind), false}}
	if v.Lang.Parent != nil {
		list[0] = source{v.Lang.Parent.Name, true}
	}
	if len(v.Lang.Union) > 0 {
		list = nil
	}
	for _, u := range v.Lang.Union {
		in := source{v.Lang.Kinds.Name(u.Kind), false}
		if u.View != nil {
			in = source{u.View.Name, true}
		}
		if !slices.Contains(list, in) {
			list = append(list, in)
		}
	}
	for _, j := range v.Lang.Joins {
		if in := (source{j.Name(), j.View != nil}); !slices.Contains(list, in) {
			list = append(list, in)
		}
	}
	return list
}

// window words the window of a view.
func (v *View) window() string {
	w := v.Lang.Window
	switch w.Kind {
	case lang.NoWindow:
		return "each row"
	case lang.Tumbling:
		if w.Zone != nil {
			return run.FormatDuration(w.Width) + " in " + w.Zone.Name
		}
		return run.FormatDuration(w.Width)
	case lang.Rolling:
		if w.Event {
			return run.FormatDuration(w.Width) + " every event"
		}
		return run.FormatDuration(w.Width) + " every " + run.FormatDuration(w.Every)
	case lang.Latest:
		return "latest of each " + w.Member + " every " + run.FormatDuration(w.Every)
	}
	return w.Kind.String() + ": " + v.Lang.Spec.Window.Main.String()
}

// Column is one column of a view's rows.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Unit string `json:"unit,omitempty"`
	Expr string `json:"expr,omitempty"`
	Doc  string `json:"doc,omitempty"`
}

// Manual is the page of one view.
type Manual struct {
	View        string            `json:"view"`
	Version     int               `json:"version"`
	Doc         string            `json:"doc"`
	From        string            `json:"from"`
	Window      string            `json:"window"`
	Empty       string            `json:"empty"`
	OnLate      string            `json:"on_late"`
	Params      map[string]string `json:"params"`
	Columns     []Column          `json:"columns"`
	Lookback    int64             `json:"lookback_us"`
	Reach       int64             `json:"reach_us"`
	State       int               `json:"state_bytes_per_entity"`
	Fingerprint string            `json:"fingerprint"`
	Canonical   string            `json:"canonical"`
}

// Page is what show prints: the page of a view, or that of a kind.
type Page interface {
	Text(st term.Style) string
}

// Show makes the page of the last of these specs, which may refer to the others.
func Show(args, set []string) (Page, error) {
	c, err := Compile(args, set)
	if err != nil {
		return nil, err
	}
	last := c.Given[len(c.Given)-1]
	v := c.find(last)
	if k, ok := c.Kinds.Parse(last); ok && v == nil {
		return kindPage(c.Kinds.Definition(k)), nil
	}
	if v == nil {
		return nil, fmt.Errorf("BUG: view %q is checked and not planned", last)
	}
	m := &Manual{
		View: v.Name, Version: v.Version, Doc: v.Doc, From: v.from(), Window: v.window(), Empty: v.Lang.Empty, OnLate: v.Lang.OnLate,
		Params: v.Lang.Params, Lookback: v.Lookback, Reach: v.Reach, State: v.StateBytesPerKey,
		Fingerprint: hex.EncodeToString(v.Fingerprint[:]), Canonical: string(v.Lang.Canonical),
	}
	exprs := map[string]string{}
	for _, d := range v.Lang.Spec.Features {
		exprs[d.Name] = d.Expr.String()
	}
	units := map[string]string{}
	for _, f := range v.Lang.Features {
		units[f.Name] = f.Type.Unit
	}
	for _, f := range run.Schema(&v.Output, "").Fields {
		col := Column{Name: f.Name, Type: typeName(&f), Unit: f.Unit, Expr: exprs[f.Name], Doc: f.Doc}
		if u := units[f.Name]; u != "" {
			col.Unit = u
		}
		m.Columns = append(m.Columns, col)
	}
	return m, nil
}

func typeName(f *rowfile.Field) string {
	if f.Bits != nil {
		return "flags"
	}
	switch f.Type {
	case market.TypeFloat:
		return "float64"
	case market.TypeInt:
		return "int64"
	case market.TypeTime:
		return "time"
	case market.TypeBool:
		return "bool"
	case market.TypeDec:
		return "decimal(38," + strconv.Itoa(int(f.Scale)) + ")"
	}
	return "text"
}

// Text prints the page for people.
func (m *Manual) Text(st term.Style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  version %d\n", st.Bold(m.View), m.Version)
	if m.Doc != "" {
		fmt.Fprintf(&b, "%s\n", m.Doc)
	}
	b.WriteByte('\n')
	line := func(head, text string) { fmt.Fprintf(&b, "  %-12s %s\n", head, text) }
	line("from", m.From)
	line("window", m.Window)
	line("empty", m.Empty)
	line("late events", m.OnLate)
	line("lookback", run.FormatDuration(m.Lookback)+"  a row depends on events this far back")
	line("reach", run.FormatDuration(m.Reach)+"  an event changes rows this far ahead")
	line("state", term.Bytes(int64(m.State))+" for each entity")
	line("fingerprint", m.Fingerprint)
	for _, k := range sortedKeys(m.Params) {
		line("param "+k, m.Params[k])
	}
	b.WriteByte('\n')
	var rows [][]string
	for _, c := range m.Columns {
		text := c.Expr
		if text == "" {
			text = c.Doc
		}
		rows = append(rows, []string{c.Name, c.Type, c.Unit, text})
	}
	b.WriteString(st.Table([]term.Column{{Head: "column"}, {Head: "type"}, {Head: "unit"}, {Head: "formula"}}, rows))
	return b.String()
}

func sortedKeys(m map[string]string) []string {
	var ks []string
	for k := range m {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}

// Fmt lays out a spec file. It returns the file's text and its canonical layout.
func Fmt(path string) (old, formatted []byte, err error) {
	old, err = os.ReadFile(path)
	if err != nil {
		return nil, nil, &fault.Error{Code: "spec_missing", Message: "cannot read the spec file", Where: path, Why: err.Error(), Exit: fault.ExitUsage, Cause: err}
	}
	formatted, problems := lang.Format(path, old)
	if len(problems) > 0 {
		return nil, nil, run.SpecFault(problems)
	}
	return old, formatted, nil
}
