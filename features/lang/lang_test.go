package lang_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/specs"
)

// known finds shipped views.
func known(name string, _ int) (*lang.Spec, bool) {
	text, ok := specs.Find(name)
	if !ok {
		return nil, false
	}
	s, ps := lang.Parse(name+".yaml", text)
	return s, len(ps) == 0
}

var withShipped = lang.CheckOptions{Known: known, Names: specs.Names()}

// problems parses and checks files and returns all problems, sorted.
func problems(opt lang.CheckOptions, texts ...string) lang.Problems {
	var all lang.Problems
	var parsed []*lang.Spec
	for i, text := range texts {
		name := "a.yaml"
		if i > 0 {
			name = string(rune('a'+i)) + ".yaml"
		}
		s, ps := lang.Parse(name, []byte(text))
		all = append(all, ps...)
		parsed = append(parsed, s)
	}
	_, ps := lang.Check(parsed, opt)
	all = append(all, ps...)
	all.Sort()
	return all
}

// check returns the last of the checked views.
func check(t *testing.T, opt lang.CheckOptions, texts ...string) *lang.View {
	t.Helper()
	var parsed []*lang.Spec
	for _, text := range texts {
		s, ps := lang.Parse("a.yaml", []byte(text))
		if len(ps) > 0 {
			t.Fatalf("parse:\n%v\n%s", ps, text)
		}
		parsed = append(parsed, s)
	}
	set, ps := lang.Check(parsed, opt)
	if len(ps) > 0 {
		t.Fatalf("check:\n%v\n%s", ps, texts[len(texts)-1])
	}
	return set.Views[len(set.Views)-1]
}

// tumble is a view over trades with the given features, one a line.
func tumble(features ...string) string {
	return "view: v\nversion: 1\nfrom: trade\nby: [exchange, market, symbol]\nwindow: {tumbling: 1m}\nfeatures:\n  " +
		strings.Join(features, "\n  ") + "\n"
}

// wantProblems compares printed problems line by line.
func wantProblems(t *testing.T, got lang.Problems, want string) {
	t.Helper()
	if g, w := got.Error(), strings.TrimSpace(want); g != w {
		t.Errorf("problems:\n%s\nwant:\n%s", g, w)
	}
}

func TestProblems_OfTheBadFile(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "bad.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s, all := lang.Parse("bad.yaml", text)
	set, ps := lang.Check([]*lang.Spec{s}, lang.CheckOptions{})
	if set != nil {
		t.Error("a Set in spite of problems")
	}
	all = append(all, ps...)
	all.Sort()
	wantProblems(t, all, `
bad.yaml:5:1: unknown key "windw" (want window)
bad.yaml:8:26: found "end of expression" (want ")")
bad.yaml:9:6: column "price" outside an aggregate (want first(…), last(…), sum(…) …)
bad.yaml:10:10: aggregate "sum" inside "sum" (want one aggregate over the rows, or a view over this view)
bad.yaml:11:10: unknown name "qty" (want quantity)
bad.yaml:12:20: text after # is dropped by YAML (want two spaces before a comment, or no #)
bad.yaml:13:6: YAML reads "!complete" as a tag (want "not …" instead of "!…")
bad.yaml:14:43: unknown unit "q" in "5q" (want us ms s m h d w, or bps)
bad.yaml:14:43: over inside a tumbling window (want it without over: the window says which rows)
bad.yaml:15:12: comparisons do not chain (want a < b and b < c)
bad.yaml:16:55: needs a second pass over the rows of the window (want columns, let and parameters inside an aggregate)
bad.yaml:17:20: unknown parameter $n (want params: with n: {type: …, default: …})
`)
}
