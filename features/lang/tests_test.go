package lang_test

import (
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
)

const tested = head + "window: {tumbling: 1m}\nparams:\n  n: {type: int, default: 1}\nfeatures:\n  x: count() * $n\ntests:\n"

// Tests are read with places, and are no part of what the view is (I9).
func TestTests_ReadAndNoPartOfTheView(t *testing.T) {
	with, ps := lang.Parse("a.yaml", []byte(tested+"  one:\n    doc: first\n    set: {n: 2}\n    input: |\n      a # b\n\n      c\n    rows: |\n      symbol,x\n      \"A,B\",\n      C,1\n"))
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	if len(with.Tests) != 1 {
		t.Fatal(with.Tests)
	}
	got := with.Tests[0]
	if got.Name != "one" || got.Doc != "first" || got.Input != "a # b\n\nc\n" || got.InputAt != 15 || got.Set[0].Expr.Text != "2" {
		t.Errorf("%+v", got)
	}
	if len(got.Rows) != 2 || got.Rows[0].Cells[0] != "A,B" || got.Rows[0].Cells[1] != "" || got.Rows[1].Pos.String() != "a.yaml:21:7" || got.Columns[1].Pos.String() != "a.yaml:19:14" {
		t.Errorf("%+v %v", got.Rows, got.Columns)
	}
	without, _ := lang.Parse("a.yaml", []byte(tested[:len(tested)-len("tests:\n")]))
	a, ps := lang.Check([]*lang.Spec{with}, lang.CheckOptions{})
	b, ps2 := lang.Check([]*lang.Spec{without}, lang.CheckOptions{})
	if len(ps)+len(ps2) > 0 {
		t.Fatal(ps, ps2)
	}
	if a.Views[0].Fingerprint != b.Views[0].Fingerprint || string(a.Views[0].Canonical) != string(b.Views[0].Canonical) {
		t.Error("tests changed the identity of the view")
	}
}

func TestProblems_OfTests(t *testing.T) {
	const in = "    input: |\n      x\n"
	for _, c := range []struct{ name, text, want string }{
		{"a list", "  - a\n", `a.yaml:11:3: tests is a list (want name: value lines without -)`},
		{"nothing in it", "  t: {}\n", `
a.yaml:11:3: test "t" has no input (want input: | and lines below it)
a.yaml:11:3: test "t" has no rows (want rows: | and lines below it)`},
		{"unknown key", "  t:\n" + in + "    row: |\n      x\n    rows: |\n      x\n", `a.yaml:14:5: unknown key "row" (want rows)`},
		{"not a block", "  t:\n    input: x\n    rows: |\n      x\n", `a.yaml:12:12: input is not a literal block (want input: | and below it canonical CSV with its header, or JSON lines)`},
		{"bad name", "  T:\n" + in + "    rows: |\n      x\n", `a.yaml:11:3: name "T" (want lower-case letters, digits and _, a letter first, at most 63)`},
		{"cells", "  t:\n" + in + "    rows: |\n      symbol,x\n      A\n      A,1,2\n", `
a.yaml:16:7: row has 1 cells, the header 2 (want a cell for each column of the header; an empty one is null)
a.yaml:17:7: row has 3 cells, the header 2 (want a cell for each column of the header; an empty one is null)`},
		{"bad CSV", "  t:\n" + in + "    rows: |\n      symbol,x\n      \"A,1\n", `a.yaml:16:7: rows are not CSV: extraneous or missing " in quoted-field (want CSV: a field with a comma or quote in quotes, quotes inside doubled)`},
		{"columns", "  t:\n" + in + "    rows: |\n      symbol,y,x,window_begin\n", `
a.yaml:15:14: unknown column "y" in the rows of test t (want x; known are exchange market symbol window_start window_end row_ts available_at flags x)
a.yaml:15:18: unknown column "window_begin" in the rows of test t (want window_end; known are exchange market symbol window_start window_end row_ts available_at flags x)`},
		{"column twice", "  t:\n" + in + "    rows: |\n      x,x\n", `a.yaml:15:9: column "x" given twice in rows (want it once)`},
		{"parameter", "  t:\n    set: {m: 1}\n" + in + "    rows: |\n      x\n", `a.yaml:12:11: unknown parameter "m" in test t (want n)`},
		{"no header", "  t:\n" + in + "    rows: |\n\n", `a.yaml:14:11: rows has no value (want a value after the colon)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantProblems(t, problems(lang.CheckOptions{}, tested+c.text), c.want)
		})
	}
}
