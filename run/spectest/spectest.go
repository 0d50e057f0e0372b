// Package spectest runs the tests inside specs: the events of each go the way of any other
// input (package run: decoder, sequencer, engine, close), and the rows that come out are
// compared with those that the test expects.
package spectest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market/canon"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// Result is what one test gave. It has passed when it has neither a Problem nor Diffs.
type Result struct {
	View  string `json:"view"`
	Name  string `json:"test"`
	Where string `json:"where"`
	OK    bool   `json:"ok"`
	Rows  int    `json:"rows"` // that came out

	Problem string   `json:"problem,omitempty"` // why there are no rows to compare
	Diffs   []Diff   `json:"differences,omitempty"`
	Notes   []string `json:"notes,omitempty"` // warnings of the run
}

// Diff is one difference: a cell, or with Column "" a row that is missing or not expected.
type Diff struct {
	Where  string `json:"where"` // place of the expected row
	Row    int    `json:"row"`   // from 1, in the order of the rows
	Column string `json:"column,omitempty"`
	Got    string `json:"got"` // "" is null
	Want   string `json:"want"`
}

// String says what differs in one line.
func (d Diff) String() string {
	null := func(s string) string {
		if s == "" {
			return "null"
		}
		return s
	}
	switch {
	case d.Column != "":
		return fmt.Sprintf("%s: row %d, column %s: got %s, want %s", d.Where, d.Row, d.Column, null(d.Got), null(d.Want))
	case d.Got == "":
		return fmt.Sprintf("%s: row %d is missing: want %s", d.Where, d.Row, d.Want)
	}
	return fmt.Sprintf("%s: row %d is not expected: got %s", d.Where, d.Row, d.Got)
}

// Run runs all tests of the specs, names of shipped views or files, in their order. Views
// that they read are found among them and among the shipped ones. Its error is about the
// specs; a test that fails is none.
func Run(ctx context.Context, args []string) ([]Result, error) {
	_, src, err := run.Check(args, nil)
	if err != nil {
		return nil, err
	}
	given := make([]*lang.Spec, len(src))
	for i, s := range src {
		given[i], _ = lang.Parse(s.Name, s.Text) // checked above
	}
	var out []Result
	for i, s := range given {
		for t := range s.Tests {
			r, err := one(ctx, parents(args, given, i), s, &s.Tests[t])
			if err != nil {
				return nil, err
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// parents are the given specs that one of them reads, and itself last: parameters and
// mistakes of the others are nothing to its tests.
func parents(args []string, given []*lang.Spec, of int) []string {
	need := map[int]bool{of: true}
	for k, s := range given {
		need[k] = need[k] || s.Kind != nil
	}
	var add func(i int)
	add = func(i int) {
		for _, from := range given[i].From {
			for k, s := range given {
				if !need[k] && s.View.Text == from.Name && (from.Version == 0 || s.Version == from.Version) {
					need[k] = true
					add(k)
				}
			}
		}
	}
	add(of)
	var out []string
	for k, a := range args {
		if need[k] && k != of {
			out = append(out, a)
		}
	}
	return append(out, args[of])
}

func one(ctx context.Context, specs []string, s *lang.Spec, t *lang.Test) (Result, error) {
	got, alerts, res, err := rowsOf(ctx, specs, s, t)
	if err != nil || res.Problem != "" {
		return res, err
	}
	res.Rows = len(got.rows)
	res.Diffs = got.compare(t.Pos, t.Columns, t.Rows)
	if t.HasAlerts {
		res.Diffs = append(res.Diffs, alerts.compare(t.Pos, t.AlertColumns, t.AlertRows)...)
	}
	res.OK = len(res.Diffs) == 0
	return res, nil
}

// rowsOf runs a view over the events of a test. A run that ends early is a Problem of the
// result; the error is only that of the context.
func rowsOf(ctx context.Context, specs []string, s *lang.Spec, t *lang.Test) (got, alerts *table, res Result, err error) {
	res = Result{View: s.View.Text, Name: t.Name, Where: t.Pos.String()}
	got, alerts = &table{}, &table{}
	cfg := run.DefaultConfig()
	cfg.Specs, cfg.View, cfg.Inputs, cfg.Format, cfg.Strict = specs, s.View.Text, []string{"-"}, canon.Adapter.Name, true
	for _, d := range t.Set {
		cfg.Set = append(cfg.Set, s.View.Text+"."+d.Name+"="+d.Expr.Text)
	}
	env := run.Env{
		Stdin: strings.NewReader(t.Input), Stdout: io.Discard,
		Table:  func(schema *rowfile.Schema) rowfile.Writer { got.schema = schema; return got },
		Alerts: func(schema *rowfile.Schema) rowfile.Writer { alerts.schema = schema; return alerts },
		Warn:   func(m string) { res.Notes = append(res.Notes, m) },
	}
	if _, err := run.Run(ctx, cfg, env); err != nil {
		if ctx.Err() != nil {
			return nil, nil, res, err
		}
		res.Problem = problem(err, s.File, t)
	}
	return got, alerts, res, nil
}

var stdinLine = regexp.MustCompile(`^[^:]*:(\d+) \(byte \d+\)$`)

// problem says why a run ended, with the line of the spec file that holds the record.
func problem(err error, file string, t *lang.Test) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err.Error()
	}
	text := f.Message
	if f.Why != "" {
		text += ": " + f.Why
	}
	lines := []string{text}
	for _, p := range f.Parts {
		lines = append(lines, p.Where+": "+p.Message)
	}
	text = strings.Join(lines, "; ")
	if m := stdinLine.FindStringSubmatch(f.Where); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return fmt.Sprintf("%s:%d: %s in the input", file, t.InputAt+n-1, text)
		}
	}
	return text
}
