package lang

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Test is one entry of tests: events, and the rows that the view must give for them. It is
// no part of what a view is: not of the canonical text, not of the fingerprint (I9).
type Test struct {
	Name    string
	Pos     Pos
	Doc     string
	Input   string // canonical CSV or JSON lines
	InputAt int    // line of the file that holds the first line of Input
	Set     []Def  // values of parameters; Expr is an OpString with the text as written
	Columns []Name // columns that are compared, in the order of the cells
	Rows    []TestRow

	HasAlerts    bool
	AlertColumns []Name
	AlertRows    []TestRow // changes of alerts, in the order in which the view gives them
}

// TestRow is one expected row. An empty cell stands for null.
type TestRow struct {
	Pos   Pos
	Cells []string // one for each of Test.Columns
}

var testKeys = []string{"doc", "set", "input", "rows", "alerts"}

// maxTests bounds the entries of one file.
const maxTests = 100

// rowColumns are the columns of every row besides entity and features.
var rowColumns = []string{"window_start", "window_end", "row_ts", "available_at", "flags"}

// alertColumns are the columns of a record of an alert besides the entity.
var alertColumns = []string{"alert", "state", "since", "at", "available_at", "severity", "to"}

func (p *fileParser) tests(n *yaml.Node) {
	p.spec.HasTests = true
	p.named(n, "tests", func(name Name, v *yaml.Node) {
		if len(p.spec.Tests) == maxTests {
			p.problem(name.Pos, fmt.Sprintf("want at most %d", maxTests), "too many tests")
			return
		}
		t := Test{Name: name.Text, Pos: name.Pos}
		has := map[string]bool{}
		p.entries(v, "test "+name.Text, testKeys, func(key string, _, v *yaml.Node) {
			has[key] = true
			switch key {
			case "doc":
				t.Doc, _ = p.scalar(v, "doc")
			case "set":
				p.named(v, "set", func(name Name, v *yaml.Node) {
					text, _ := p.scalar(v, name.Text)
					t.Set = append(t.Set, Def{Name: name.Text, Pos: name.Pos, Expr: &Expr{Pos: p.pos(v), Op: OpString, Text: text}})
				})
			case "input":
				t.Input, t.InputAt = p.block(v, "input", "canonical CSV with its header, or JSON lines")
			case "rows":
				p.testRows(v, key, &t.Columns, &t.Rows)
			case "alerts":
				t.HasAlerts = true
				p.testRows(v, key, &t.AlertColumns, &t.AlertRows)
			}
		})
		for _, key := range []string{"input", "rows"} {
			if !has[key] && v.Kind == yaml.MappingNode {
				p.problem(name.Pos, "want "+key+": | and lines below it", "test %q has no %s", name.Text, key)
			}
		}
		p.spec.Tests = append(p.spec.Tests, t)
	})
}

// block reads a literal block and the line at which its text begins. Only there are the
// lines of the text those of the file.
func (p *fileParser) block(n *yaml.Node, what, want string) (string, int) {
	text, ok := p.scalar(n, what)
	if !ok {
		return "", 0
	}
	if n.Style&yaml.LiteralStyle == 0 {
		p.problem(p.pos(n), "want "+what+": | and below it "+want, "%s is not a literal block", what)
		return "", 0
	}
	return text, n.Line + 1
}

// testRows reads the expected rows: CSV, header first.
func (p *fileParser) testRows(n *yaml.Node, what string, cols *[]Name, rows *[]TestRow) {
	text, first := p.block(n, what, "CSV: a header with some of the columns, then the rows")
	if text == "" {
		return
	}
	at := func(line int) Pos {
		line = min(first+line-1, len(p.lines))
		s := p.line(line)
		return Pos{File: p.file, Line: line, Col: len(s) - len(strings.TrimLeft(s, " ")) + 1}
	}
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	for {
		cells, err := r.Read()
		var bad *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			if *cols == nil {
				p.problem(at(1), "want a header such as "+testHeaders[what], "%s have no header", what)
			}
			return
		case errors.As(err, &bad):
			p.problem(at(bad.Line), `want CSV: a field with a comma or quote in quotes, quotes inside doubled`, "%s are not CSV: %s", what, bad.Err)
			return
		case err != nil:
			p.problem(at(1), "want CSV", "%s are not CSV: %s", what, err)
			return
		}
		line, _ := r.FieldPos(0)
		if *cols == nil {
			*cols = p.testHeader(what, cells, at(line))
			continue
		}
		if len(cells) != len(*cols) {
			p.problem(at(line), "want a cell for each column of the header; an empty one is null", "row has %d cells, the header %d", len(cells), len(*cols))
			continue
		}
		*rows = append(*rows, TestRow{Pos: at(line), Cells: cells})
	}
}

var testHeaders = map[string]string{"rows": "window_start,trades", "alerts": "alert,state,at"}

func (p *fileParser) testHeader(what string, cells []string, pos Pos) []Name {
	seen := map[string]bool{}
	names := []Name{}
	for _, c := range cells {
		if seen[c] {
			p.problem(pos, "want it once", "column %q given twice in %s", c, what)
		}
		seen[c] = true
		names = append(names, Name{Text: c, Pos: pos})
		pos.Col += len(c) + 1
	}
	return names
}

// tests looks at the names that tests use: columns of the rows, and parameters.
func (v *viewChecker) tests() {
	if len(v.spec.Tests) == 0 {
		return
	}
	known := append(append([]string(nil), v.view.By...), rowColumns...)
	for _, f := range v.view.Features {
		known = append(known, f.Name)
	}
	var params []string
	for _, prm := range v.spec.Params {
		params = append(params, prm.Name)
	}
	for i := range v.spec.Tests {
		t := &v.spec.Tests[i]
		for _, c := range t.Columns {
			if !v.open && !v.spec.broken && !contains(known, c.Text) {
				v.problem(c.Pos, wantName(c.Text, known), "unknown column %q in the rows of test %s", c.Text, t.Name)
			}
		}
		for _, c := range t.AlertColumns {
			if of := append(append([]string(nil), v.view.By...), alertColumns...); !contains(of, c.Text) {
				v.problem(c.Pos, wantName(c.Text, of), "unknown column %q in the alerts of test %s", c.Text, t.Name)
			}
		}
		for _, d := range t.Set {
			if !contains(params, d.Name) {
				v.problem(d.Pos, wantName(d.Name, params), "unknown parameter %q in test %s", d.Name, t.Name)
			}
		}
	}
}
