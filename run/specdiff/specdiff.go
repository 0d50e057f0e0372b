// Package specdiff says how two views differ: in text, in what decides their fingerprints,
// in what they cost, and, over the same events, in their rows.
package specdiff

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

// Side is what one view of the comparison is given as: a file, or a shipped view by
// name or name@version, with values of parameters.
type Side struct {
	Arg string
	Set []string
}

// Config is one comparison.
type Config struct {
	A, B Side
	With []string // specs that both may read
}

// Diff is how two views differ.
type Diff struct {
	A    View `json:"a"`
	B    View `json:"b"`
	Same bool `json:"same"` // one fingerprint: the same bits from the same events

	Text     []Change `json:"text,omitempty"` // canonical, by key
	Features []Change `json:"features,omitempty"`
	Why      []string `json:"why,omitempty"`     // what makes the fingerprints differ
	Cost     []Change `json:"cost,omitempty"`    // lookback, reach, state, inputs
	Outside  []string `json:"outside,omitempty"` // what differs and is not in the fingerprint
	Rows     *Rows    `json:"rows,omitempty"`
}

// View is one of the two.
type View struct {
	Arg         string `json:"arg"`
	View        string `json:"view"`
	Version     int    `json:"version"`
	Fingerprint string `json:"fingerprint"`

	side  Side
	lang  *lang.View
	out   features.Output
	reads []string // kind and columns
}

// Change is one entry that is on one side only, or on both with other text.
type Change struct {
	Key string `json:"key"`
	A   string `json:"a,omitempty"`
	B   string `json:"b,omitempty"`
}

// Compare compares the specs; nothing is run.
func Compare(cfg Config) (*Diff, error) {
	d := &Diff{}
	for i, side := range []Side{cfg.A, cfg.B} {
		v, err := load(side, cfg.With)
		if err != nil {
			return nil, err
		}
		*[]*View{&d.A, &d.B}[i] = *v
	}
	d.Same = d.A.Fingerprint == d.B.Fingerprint
	d.text()
	d.why()
	d.cost()
	d.outside()
	return d, nil
}

// load compiles one side; of a name with a version, that version must be the shipped one.
func load(side Side, with []string) (*View, error) {
	arg, version, pinned := side.Arg, "", false
	if name, n, ok := strings.Cut(side.Arg, "@"); ok && !strings.ContainsAny(side.Arg, "/\\.") {
		arg, version, pinned = name, n, true
	}
	params, err := (&run.Config{Set: side.Set}).Params()
	if err != nil {
		return nil, err
	}
	args := append(slices.Clone(with), arg)
	set, src, err := run.Check(args, params)
	if err != nil {
		return nil, err
	}
	plan, _, err := run.Compile(args, params, market.NewFeeds())
	if err != nil {
		return nil, err
	}
	spec, _ := lang.Parse(src[len(src)-1].Name, src[len(src)-1].Text) // checked above
	if spec.Kind != nil {
		return nil, fault.Usage("view_missing", fmt.Sprintf("%s defines a kind, not a view", arg), "compare views; kinds that both read go to --with")
	}
	v := &View{Arg: side.Arg, side: Side{Arg: arg, Set: side.Set}}
	for _, lv := range set.Views {
		if lv.Name == spec.View.Text && lv.Version == spec.Version {
			v.lang = lv
		}
	}
	for _, o := range plan.Outputs() {
		if o.Name == spec.View.Text && o.Version == spec.Version {
			v.out = o
		}
	}
	if v.lang == nil || v.out.Name == "" {
		return nil, fmt.Errorf("BUG: view %q is checked and not planned", spec.View.Text)
	}
	if pinned && version != strconv.Itoa(spec.Version) {
		return nil, fault.Usage("version_unknown", fmt.Sprintf("%s is shipped as version %d, not %q", arg, spec.Version, version),
			"keep older versions as files, and name the file")
	}
	for _, in := range plan.Inputs() {
		v.reads = append(v.reads, in.Name+": "+strings.Join(in.Columns, " "))
	}
	v.View, v.Version, v.Fingerprint = v.out.Name, v.out.Version, hex.EncodeToString(v.out.Fingerprint[:])
	return v, nil
}

// entry is one line of a canonical text: key, or key and the name below it.
type entry struct{ key, text string }

// entries cuts a canonical text into its entries. Only features, let, join and params have
// names below the key, indented by two.
func entries(canonical []byte) []entry {
	var out []entry
	top := ""
	for line := range strings.Lines(string(canonical)) {
		line = strings.TrimRight(line, "\n")
		key, text, _ := strings.Cut(strings.TrimLeft(line, " "), ":")
		text = strings.TrimSpace(text)
		switch {
		case strings.HasPrefix(line, "  "):
			out = append(out, entry{top + "." + key, text})
		case text == "":
			top = key
		default:
			out = append(out, entry{key, text})
		}
	}
	return out
}

// changes pairs entries by key: those of a in its order, then those that only b has.
func changes(a, b []entry) []Change {
	of := func(list []entry, key string) string {
		i := slices.IndexFunc(list, func(e entry) bool { return e.key == key })
		if i < 0 {
			return ""
		}
		return list[i].text
	}
	var out []Change
	for _, e := range a {
		if t := of(b, e.key); t != e.text {
			out = append(out, Change{e.key, e.text, t})
		}
	}
	for _, e := range b {
		if of(a, e.key) == "" {
			out = append(out, Change{e.key, "", e.text})
		}
	}
	return out
}

// text compares the canonical texts: features apart, with their types.
func (d *Diff) text() {
	for _, c := range changes(entries(d.A.lang.Canonical), entries(d.B.lang.Canonical)) {
		if name, ok := strings.CutPrefix(c.Key, "features."); ok {
			c.Key = name
			d.Features = append(d.Features, c)
			continue
		}
		d.Text = append(d.Text, c)
	}
	// A feature with the same text may come out as another type, or unlike by its parent.
	for _, fa := range d.A.out.Fields {
		i := slices.IndexFunc(d.B.out.Fields, func(f features.Field) bool { return f.Name == fa.Name })
		if i < 0 {
			continue
		}
		if a, b := typeOf(fa), typeOf(d.B.out.Fields[i]); a != b {
			d.Features = append(d.Features, Change{fa.Name + " (type)", a, b})
		}
	}
}

func typeOf(f features.Field) string {
	switch f.Type {
	case features.FieldF64:
		return "float64"
	case features.FieldI64:
		return "int64"
	case features.FieldBool:
		return "bool"
	case features.FieldDecimal:
		return "decimal(38," + strconv.Itoa(int(f.Scale)) + ")"
	}
	return "text"
}

// why says which of the things that are hashed differ.
func (d *Diff) why() {
	if d.Same {
		return
	}
	a, b := d.A.lang, d.B.lang
	if string(a.Canonical) != string(b.Canonical) {
		d.Why = append(d.Why, "their own text differs")
	}
	switch {
	case a.Parent != nil && b.Parent != nil:
		if a.Parent.Fingerprint != b.Parent.Fingerprint {
			d.Why = append(d.Why, fmt.Sprintf("the views they read differ: %s and %s", named(a.Parent), named(b.Parent)))
		}
	case a.Parent != nil:
		d.Why = append(d.Why, fmt.Sprintf("one reads view %s, the other events of kind %s", named(a.Parent), b.Kinds.Name(b.Kind)))
	case b.Parent != nil:
		d.Why = append(d.Why, fmt.Sprintf("one reads events of kind %s, the other view %s", a.Kinds.Name(a.Kind), named(b.Parent)))
	}
	if x, y := lost(columns(a), columns(b)), lost(columns(b), columns(a)); len(x)+len(y) > 0 {
		d.Why = append(d.Why, "the input columns that they read differ"+sides(x, y))
	}
	if x, y := lost(a.Operators, b.Operators), lost(b.Operators, a.Operators); len(x)+len(y) > 0 {
		d.Why = append(d.Why, "the operators that they use differ"+sides(x, y))
	}
	for _, x := range a.Joins {
		for _, y := range b.Joins {
			if x.Alias == y.Alias && x.View != nil && y.View != nil && x.View.Fingerprint != y.View.Fingerprint {
				d.Why = append(d.Why, fmt.Sprintf("the views joined as %s differ: %s and %s", x.Alias, named(x.View), named(y.View)))
			}
		}
	}
	if len(d.Why) == 0 {
		d.Why = append(d.Why, "the views that they join, tick by or read besides differ")
	}
}

func named(v *lang.View) string {
	return fmt.Sprintf("%s@%d (%x)", v.Name, v.Version, v.Fingerprint[:4])
}

func columns(v *lang.View) []string {
	var names []string
	for _, c := range v.Columns {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

// lost are the words of a that b has not.
func lost(a, b []string) []string {
	var out []string
	for _, w := range a {
		if !slices.Contains(b, w) {
			out = append(out, w)
		}
	}
	return out
}

func sides(a, b []string) string {
	var parts []string
	if len(a) > 0 {
		parts = append(parts, "only the first: "+strings.Join(a, ", "))
	}
	if len(b) > 0 {
		parts = append(parts, "only the second: "+strings.Join(b, ", "))
	}
	return "; " + strings.Join(parts, "; ")
}

// cost compares what the views need.
func (d *Diff) cost() {
	add := func(key, a, b string) {
		if a != b {
			d.Cost = append(d.Cost, Change{key, a, b})
		}
	}
	a, b := &d.A.out, &d.B.out
	add("lookback", run.FormatDuration(a.Lookback), run.FormatDuration(b.Lookback))
	add("reach", run.FormatDuration(a.Reach), run.FormatDuration(b.Reach))
	add("late events", d.A.lang.OnLate, d.B.lang.OnLate)
	add("bytes of state for each entity", strconv.Itoa(a.StateBytesPerKey), strconv.Itoa(b.StateBytesPerKey))
	add("reads", strings.Join(d.A.reads, "; "), strings.Join(d.B.reads, "; "))
}

// outside lists what differs without changing a row.
func (d *Diff) outside() {
	a, b := d.A.lang, d.B.lang
	add := func(what string, differs bool) {
		if differs {
			d.Outside = append(d.Outside, what)
		}
	}
	add("doc", strings.TrimSpace(a.Doc) != strings.TrimSpace(b.Doc))
	texts := func(v *lang.View) (out []string) {
		for _, t := range v.Alerts {
			out = append(out, t.Name+": "+t.Text)
		}
		return out
	}
	add("alert", !slices.Equal(texts(a), texts(b)))
	sweeps := func(v *lang.View) (out string) {
		for _, p := range v.Spec.Params {
			out += p.Name + fmt.Sprint(len(p.Sweep), len(p.Range)) + ";"
			for _, e := range p.Sweep {
				out += e.String() + ","
			}
			for _, k := range []string{"from", "to", "step"} {
				if e := p.Range[k]; e != nil {
					out += e.String() + ","
				}
			}
		}
		return out
	}
	add("sweep", sweeps(a) != sweeps(b))
	tests := func(v *lang.View) (out string) {
		for _, t := range v.Spec.Tests {
			out += t.Name + "\x00" + t.Input + "\x00"
			for _, r := range t.Rows {
				out += strings.Join(r.Cells, ",") + "\x00"
			}
		}
		return out
	}
	add("tests", tests(a) != tests(b))
}
