package lang

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func pick(t *rapid.T, words ...string) string { return rapid.SampledFrom(words).Draw(t, "word") }

// randomExpr draws a tree as the parser builds them.
func randomExpr(t *rapid.T, depth int) *Expr {
	leaf := depth <= 0
	kind := rapid.IntRange(0, 15).Draw(t, "kind")
	if leaf {
		kind %= 7
	}
	sub := func() *Expr { return randomExpr(t, depth-1) }
	name := func() string { return pick(t, "price", "side", "x", "rows", "within", "ema_20", "n") }
	switch kind {
	case 0:
		return &Expr{Op: OpNumber, Text: pick(t, "0", "1", "1.50", "10bps", "0.5bps", "1234567890123456789.5")}
	case 1:
		return &Expr{Op: OpDuration, Text: pick(t, "5m", "1us", "10ms", "0s", "24h", "3d", "2w")}
	case 2:
		return &Expr{Op: OpString, Text: pick(t, "BTC", "", "it's", `a "b"`, "x: y", "a #b", " ")}
	case 3:
		return &Expr{Op: OpParam, Text: name()}
	case 4:
		return &Expr{Op: OpNull, Text: "null"}
	case 5:
		return &Expr{Op: OpBool, Text: pick(t, "true", "false")}
	case 6:
		return &Expr{Op: OpName, Text: name()}
	case 7:
		return &Expr{Op: OpUnary, Text: pick(t, "not", "-"), Args: []*Expr{sub()}}
	case 8, 9, 10:
		op := pick(t, "or", "and", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%")
		return &Expr{Op: OpBinary, Text: op, Args: []*Expr{sub(), sub()}}
	case 11:
		set := &Expr{Op: OpParam, Text: name()}
		if rapid.Bool().Draw(t, "list") {
			set = randomList(t, depth)
		}
		return &Expr{Op: OpIn, Args: []*Expr{sub(), set}}
	case 12:
		return &Expr{Op: OpIsNull, Text: pick(t, "", "not"), Args: []*Expr{sub()}}
	case 13:
		m := &Expr{Op: OpMethod, Text: name(), Args: []*Expr{sub()}, HasArgs: rapid.Bool().Draw(t, "parentheses")}
		if m.HasArgs {
			randomArgs(t, m, depth)
		}
		return m
	case 14:
		return &Expr{Op: OpIndex, Args: []*Expr{sub(), sub()}}
	}
	c := &Expr{Op: OpCall, Text: pick(t, "sum", "count", "if", "f")}
	randomArgs(t, c, depth)
	if rapid.Bool().Draw(t, "over") {
		c.Over = randomFrame(t)
	}
	return c
}

func randomList(t *rapid.T, depth int) *Expr {
	l := &Expr{Op: OpList}
	for range rapid.IntRange(2, 4).Draw(t, "elements") {
		l.Args = append(l.Args, randomExpr(t, depth-1))
	}
	return l
}

func randomArgs(t *rapid.T, e *Expr, depth int) {
	for range rapid.IntRange(0, 3).Draw(t, "args") {
		e.Args = append(e.Args, randomExpr(t, depth-1))
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "keys") {
		if e.Keys == nil {
			e.Keys = map[string]*Expr{}
		}
		e.Keys[fmt.Sprintf("k%d", i)] = randomExpr(t, depth-1)
	}
	if rapid.Bool().Draw(t, "where") {
		e.Where = randomExpr(t, depth-1)
	}
}

func randomFrame(t *rapid.T) *Frame {
	f := &Frame{}
	switch rapid.IntRange(0, 3).Draw(t, "frame") {
	case 0:
		f.Span = &Expr{Op: OpDuration, Text: "5m"}
	case 1:
		f.Span = &Expr{Op: OpParam, Text: "w"}
	case 2:
		f.Rows = &Expr{Op: OpNumber, Text: "20"}
	default:
		f.Rows = &Expr{Op: OpParam, Text: "n"}
		f.Within = &Expr{Op: OpDuration, Text: "1h"}
	}
	return f
}

// What the printer writes, the parser reads as the same tree.
func TestExpr_PrintedAndReadIsTheSameTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := randomExpr(t, 4)
		text := e.String()
		var ps Problems
		back := parseExpr(text, func(off int) Pos { return Pos{Line: 1, Col: off + 1} }, func(p Problem) { ps = append(ps, p) })
		if len(ps) > 0 {
			t.Fatalf("%s\n%v", text, ps)
		}
		if d := cmp.Diff(e, back, cmpopts.IgnoreTypes(Pos{}), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("%s\n%s", text, d)
		}
		if again := back.String(); again != text {
			t.Fatalf("%s printed again is %s", text, again)
		}
	})
}

// Any text is written into YAML so that YAML gives it back.
func TestScalarText_IsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringMatching(`[-?:,\[\]{}#&*!|>'"%@ a\t\n]{1,8}`)).Draw(t, "s")
		for _, inFlow := range []bool{false, true} {
			form := "a: %s\nb: 1\n"
			if inFlow {
				form = "a: {x: %s, y: 1}\n"
			}
			text := fmt.Sprintf(form, scalarText(s, inFlow))
			docs, err := decodeYAML(text)
			if err != nil {
				t.Fatalf("%q: %v\n%s", s, err, text)
			}
			v := docs[0].Content[0].Content[1]
			if inFlow {
				v = v.Content[1]
			}
			if v.Value != s {
				t.Fatalf("%q read back as %q from\n%s", s, v.Value, text)
			}
			if s := newSource("a", text); !s.printable() || len(s.comments(docs[0])) > 0 {
				t.Fatalf("%q\n%s", text, s.problems)
			}
		}
	})
}

// A slip of the pen is found; the distance is that of a plain recursion.
func TestNearest(t *testing.T) {
	known := []string{"ts", "price", "quantity", "side", "exchange"}
	for in, want := range map[string]string{
		"prcie": "price", "Price": "price", "quantty": "quantity", "sides": "side", "qty": "", "exchnge": "exchange", "zzz": "",
	} {
		if got := nearest(in, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", in, got, want)
		}
	}
}
