package run

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/rowfile"
	"github.com/pinova-group/tidemark/specs"
)

// maxSpec is how large a spec file may be.
const maxSpec = 1 << 20

// LoadSpec returns the text of a shipped view by name, or of a file.
func LoadSpec(arg string) (features.Source, error) {
	if !isFile(arg) {
		if text, ok := specs.Find(arg); ok {
			return features.Source{Name: arg, Text: text}, nil
		}
		return features.Source{}, fault.Usage("spec_unknown", fmt.Sprintf("no shipped view and no file is called %q", arg),
			fault.DidYouMean(arg, specs.Names()))
	}
	st, err := os.Stat(arg)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return features.Source{}, &fault.Error{Code: "spec_missing", Message: "no such spec file", Where: arg, Exit: fault.ExitUsage,
			Remedy: "shipped views are named without .yaml: tidemark spec list", Cause: err}
	case err == nil && st.IsDir():
		return features.Source{}, &fault.Error{Code: "spec_missing", Message: "this is a folder, not a spec file", Where: arg, Exit: fault.ExitUsage}
	case err == nil && st.Size() > maxSpec:
		return features.Source{}, &fault.Error{Code: "spec_invalid", Message: "a spec file has at most 1 MiB", Where: arg, Exit: fault.ExitUsage}
	}
	text, err := os.ReadFile(arg)
	if err != nil {
		return features.Source{}, &fault.Error{Code: "spec_unreadable", Message: "cannot read the spec file", Where: arg, Why: err.Error(), Exit: fault.ExitUsage, Cause: err}
	}
	return features.Source{Name: arg, Text: text}, nil
}

// isFile tells a file from the name of a shipped view.
func isFile(arg string) bool {
	if strings.ContainsAny(arg, "/\\") || strings.HasSuffix(arg, ".yaml") || strings.HasSuffix(arg, ".yml") {
		return true
	}
	if _, shipped := specs.Find(arg); shipped {
		return false
	}
	st, err := os.Stat(arg)
	return err == nil && !st.IsDir()
}

// Load reads and parses specs, names of shipped views or files; what Parse found wrong is
// in problems.
func Load(args []string) (parsed []*lang.Spec, src []features.Source, problems lang.Problems, err error) {
	for _, a := range args {
		s, err := LoadSpec(a)
		if err != nil {
			return nil, nil, nil, err
		}
		src = append(src, s)
		sp, ps := lang.Parse(s.Name, s.Text)
		parsed = append(parsed, sp)
		problems = append(problems, ps...)
	}
	return parsed, src, problems, nil
}

// CheckOptions are parameter values and the shipped views that specs may refer to.
func CheckOptions(params map[string]string) lang.CheckOptions {
	shipped := map[string]*lang.Spec{}
	return lang.CheckOptions{
		Set: params, Names: specs.Names(),
		Known: func(name string, version int) (*lang.Spec, bool) {
			if _, done := shipped[name]; !done {
				if text, ok := specs.Find(name); ok {
					shipped[name], _ = lang.Parse(name+".yaml", text) // shipped specs are tested
				}
			}
			s := shipped[name]
			return s, s != nil && (version == 0 || s.Version == version)
		},
	}
}

// Check loads and checks specs, names of shipped views or files. Views that they refer to
// are found among them or among the shipped ones. Its error names all that is wrong.
func Check(args []string, params map[string]string) (*lang.Set, []features.Source, error) {
	parsed, src, problems, err := Load(args)
	if err != nil {
		return nil, nil, err
	}
	set, ps := lang.Check(parsed, CheckOptions(params))
	if problems = append(problems, ps...); len(problems) > 0 {
		problems.Sort()
		return nil, src, SpecFault(problems)
	}
	return set, src, nil
}

// Compile checks specs and compiles them.
func Compile(args []string, params map[string]string, feeds *market.Feeds) (*features.Plan, []features.Source, error) {
	set, src, err := Check(args, params)
	if err != nil {
		return nil, src, err
	}
	p, err := features.CompileSet(set, features.Options{Params: params, Feeds: feeds, Find: specs.Find})
	if err != nil {
		return nil, src, SpecFault(err)
	}
	return p, src, nil
}

// SpecFault turns the problems of a spec into an error that names each.
func SpecFault(err error) error {
	var ps lang.Problems
	if !errors.As(err, &ps) {
		return err
	}
	f := &fault.Error{Code: "spec_invalid", Exit: fault.ExitUsage, Cause: err, Message: "the spec has a mistake"}
	if len(ps) != 1 {
		f.Message = "the spec has " + strconv.Itoa(len(ps)) + " mistakes"
	}
	for _, p := range ps {
		f.Parts = append(f.Parts, fault.Part{Where: p.Pos.String(), Message: p.What, Remedy: p.Remedy})
	}
	if len(ps) > 0 {
		f.Where = ps[0].Pos.String()
	}
	return f
}

// written finds the view that is written: the one asked for, or that of the last spec.
func written(p *features.Plan, src []features.Source, view string) (int, error) {
	want := view
	if want == "" {
		s, _, ok := LastView(src)
		if !ok {
			return 0, fault.Usage("view_missing", "these specs define kinds and no view", "name a view, too: --spec kind.yaml,view.yaml")
		}
		want = s.View.Text
	}
	var names []string
	at := -1
	for i, o := range p.Outputs() {
		names = append(names, o.Name)
		if o.Name == want {
			at = i
		}
	}
	if at < 0 {
		return 0, fault.Usage("view_unknown", fmt.Sprintf("no view is called %q in these specs", want), fault.DidYouMean(want, names))
	}
	return at, nil
}

// LastView is the last of some specs that is a view, not the definition of a kind. They have
// been checked.
func LastView(src []features.Source) (*lang.Spec, features.Source, bool) {
	for _, s := range slices.Backward(src) {
		if spec, _ := lang.Parse(s.Name, s.Text); spec != nil && spec.Kind == nil {
			return spec, s, true
		}
	}
	return nil, features.Source{}, false
}

// Schema is the columns of a view's result rows.
func Schema(o *features.Output, build string) *rowfile.Schema {
	s := &rowfile.Schema{Meta: []rowfile.Meta{
		{Key: "tidemark.view", Value: o.Name}, {Key: "tidemark.version", Value: strconv.Itoa(o.Version)},
		{Key: "tidemark.fingerprint", Value: hex.EncodeToString(o.Fingerprint[:])}, {Key: "tidemark.build", Value: build},
	}}
	for _, e := range o.Entity {
		s.Fields = append(s.Fields, rowfile.Field{Name: e, Type: market.TypeText})
	}
	for _, f := range []rowfile.Field{
		{Name: "window_start", Doc: "first instant of the window"},
		{Name: "window_end", Doc: "end of the window"},
		{Name: "row_ts", Doc: "last instant that belongs to the row"},
		{Name: "available_at", Doc: "when the row could first be known"},
	} {
		f.Type, f.Unit = market.TypeTime, "us"
		s.Fields = append(s.Fields, f)
	}
	var bits []string
	for i := range 8 {
		bits = features.FlagNames(bits, 1<<i)
	}
	s.Fields = append(s.Fields, rowfile.Field{Name: "flags", Type: market.TypeInt, Bits: bits, Doc: "what to know about the row"})
	for _, f := range o.Fields {
		t := map[features.FieldType]market.Type{
			features.FieldF64: market.TypeFloat, features.FieldI64: market.TypeInt, features.FieldBool: market.TypeBool,
			features.FieldText: market.TypeText, features.FieldDecimal: market.TypeDec,
		}[f.Type]
		s.Fields = append(s.Fields, rowfile.Field{Name: f.Name, Type: t, Scale: f.Scale, Nullable: true, Doc: f.Doc})
	}
	return s
}
