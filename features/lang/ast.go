// Package lang is the spec language: it reads spec files, prints their canonical text,
// resolves names and types, and reports every problem at once with its place and remedy.
// Its product, a Set of typed views, is what the engine is compiled from.
package lang

import (
	"fmt"
	"sort"
	"strings"
)

// Pos is a place in a spec file; Line and Col count from 1, Col in bytes.
type Pos struct {
	File      string
	Line, Col int
}

// String prints file:line:col; a Pos without a line (a value from outside any file) is its File alone.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Problem is one mistake in a spec: what is wrong, and what was wanted instead.
type Problem struct {
	Pos    Pos    `json:"-"`
	What   string `json:"message"`
	Remedy string `json:"remedy"`
}

func (p Problem) Error() string {
	if p.Remedy == "" {
		return fmt.Sprintf("%s: %s", p.Pos, p.What)
	}
	return fmt.Sprintf("%s: %s (%s)", p.Pos, p.What, p.Remedy)
}

// Problems is all that is wrong, ordered by place. It is an error when not empty.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Sort orders problems by file, line and column.
func (ps Problems) Sort() {
	sort.SliceStable(ps, func(i, j int) bool {
		a, b := ps[i].Pos, ps[j].Pos
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
}

// Expr is an untyped expression as parsed. Its printed form is canonical: parsing it
// again gives the same tree.
type Expr struct {
	Pos   Pos
	Op    Op
	Text  string           // Number, Duration, String: literal text; Name, Param, Call, Method: the name; Binary, Unary: the operator
	Args  []*Expr          // operands, positional arguments, list elements; of Method the receiver first
	Keys  map[string]*Expr // named arguments of a call (p=0.5)
	Where *Expr            // filter inside a call
	Over  *Frame           // window after a call

	HasArgs bool // Method: x.f() as against x.f; a Name with parentheses is a Call
}

// Op is the shape of an Expr.
type Op uint8

// The shapes.
const (
	OpNumber   Op = iota // 1.50, exact text; 10bps keeps its suffix
	OpDuration           // 5m
	OpString             // 'BTC'
	OpName               // price
	OpParam              // $n
	OpNull
	OpBool   // true, false
	OpUnary  // not, -
	OpBinary // or and == != < <= > >= + - * / %
	OpIn     // x in (a, b) or x in $list
	OpIsNull // x is null; Text "not" for is not null
	OpCall   // name(args)
	OpMethod // x.name or x.name(args); Text the name; HasArgs tells f.rate from f.rate()
	OpIndex  // x[i]
	OpList   // (a, b)
	OpBad    // could not be parsed; its problem has been reported
)

// Frame is what follows over: a duration, or a number of rows with a bound in time.
type Frame struct {
	Pos    Pos
	Span   *Expr // duration or param; nil for rows
	Rows   *Expr // int or param; nil for a time frame
	Within *Expr // duration
}

// Def is a named expression.
type Def struct {
	Name string
	Pos  Pos
	Expr *Expr
}

// Source is one entry of from: a kind or a view.
type Source struct {
	Alias   string // "" for a plain reference
	Name    string
	Version int // 0: any
	Pos     Pos
}

// Join is one as-of or exact join.
type Join struct {
	Alias  string
	View   Source
	On     []Name
	Where  *Expr
	Match  string // asof, exact
	MaxAge *Expr
	Strict bool
	Pos    Pos
}

// Name is a word with its place.
type Name struct {
	Text string
	Pos  Pos
}

// WindowKind is the shape of a window.
type WindowKind uint8

// The windows.
const (
	NoWindow WindowKind = iota // a row view
	Tumbling
	Rolling
	Session
	Bar
	Clock
	Latest
)

func (k WindowKind) String() string {
	return [...]string{"none", "tumbling", "rolling", "session", "bar", "clock", "latest"}[k]
}

// Window is the window of a view as written.
type Window struct {
	Kind WindowKind
	Pos  Pos
	Main *Expr            // width, gap, bar expression; of clock and latest a name
	Opts map[string]*Expr // carry, origin, zone, every, max, size, cut, reset, max_age, emit, universe
	With map[string]*Expr // clock parameters
}

// Param is one declared parameter.
type Param struct {
	Name    string
	Pos     Pos
	Type    string // int, decimal, duration, string, list
	Default *Expr
	Sweep   []*Expr          // explicit list
	Range   map[string]*Expr // from, to, step
}

// Alert is one alert block.
type Alert struct {
	Name             string
	Pos              Pos
	When, For, Clear *Expr
	To, Severity     string
}

// Spec is one parsed file: a view, or the definition of a kind.
type Spec struct {
	File       string
	Kind       *KindSpec // nil for a view; the rest but File and Places is empty when not
	View       Name
	Version    int
	Doc        string
	From       []Source
	Joins      []Join
	Where      *Expr
	By         []Name
	Let        []Def
	Window     Window
	Features   []Def
	Rollup     bool
	Params     []Param
	Require    *Expr
	Reset      *Expr // period
	Warmup     *Expr // duration, or a frame of rows in WarmupRows
	WarmupRows *Expr
	Empty      string // "", omit, flat, nulls
	OnLate     string // "", recompute, record
	Time       string // "", event, ingest
	Alerts     []Alert
	Tests      []Test
	HasTests   bool
	Places     map[string]Pos // of each top-level key

	fixed  map[string]*Expr // values of parameters that the window of another view gives
	broken bool             // Parse had problems with it; Check looks at what is left and returns no Set
}
