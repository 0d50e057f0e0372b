// Package sql writes a view as one SQL query for DuckDB: a second, independent way to
// compute what SQL can promise exactly, and the refusal, with place and reason, of the rest.
//
// Numbers are whole numbers in the query (HUGEINT): a decimal is its mantissa at a scale
// that is known when the query is written, so sums and products are exact, and what does
// not fit is an error of DuckDB, never a wrong value. A ratio stays a pair of whole numbers
// until one division at the end.
package sql

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/features/lang"
)

// Options say where the events are and how many digits they have.
type Options struct {
	Input  string // canonical file (.csv, .csv.gz, .csv.zst, .parquet), else the name of a table; "" is events
	Digits int    // digits after the point of decimals of the input, 1 to 12; more in the input is an error of the query
}

// Query returns the query for v with a comment that says what it promises. What SQL cannot
// promise is returned as lang.Problems, all at once.
func Query(v *lang.View, o Options) (string, error) {
	if o.Digits < 1 || o.Digits > 12 {
		return "", fmt.Errorf("write the query: %d digits, want 1 to 12", o.Digits)
	}
	w := &writer{opts: o, done: map[string]*table{}, seen: map[lang.Problem]bool{}}
	t := w.view(v)
	if len(w.problems) > 0 {
		w.problems.Sort()
		return "", w.problems
	}
	var b strings.Builder
	w.head(&b, v)
	b.WriteString("WITH ")
	for i, c := range w.ctes {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, "%s AS (\n%s)", ident(c.name), c.text)
	}
	b.WriteString("\n")
	w.final(&b, v, t)
	return b.String(), nil
}

// writer collects the parts of a query, parents first.
type writer struct {
	opts     Options
	ctes     []cte
	done     map[string]*table // by name of the view
	problems lang.Problems
	seen     map[lang.Problem]bool
	ratios   bool // a feature is a quotient or a root
}

type cte struct{ name, text string }

// table is a view whose exact values are in a common table expression.
type table struct {
	name string
	by   []string
	cols map[string]value // features by name, as the next view reads them
	row  bool             // a row view: several rows may have one key

	events string // see scope
}

func (w *writer) refuse(p lang.Pos, what, remedy string) value {
	pr := lang.Problem{Pos: p, What: what, Remedy: remedy}
	if !w.seen[pr] {
		w.seen[pr] = true
		w.problems = append(w.problems, pr)
	}
	return value{kind: vBad}
}

func place(v *lang.View, key string) lang.Pos {
	if p, ok := v.Spec.Places[key]; ok {
		return p
	}
	return v.Spec.View.Pos
}

// head writes the promises of the query as comments.
func (w *writer) head(b *strings.Builder, v *lang.View) {
	fmt.Fprintf(b, "-- %s version %d, as one query for DuckDB.\n", v.Name, v.Version)
	fmt.Fprintf(b, "-- Reads canonical events that are clean: no duplicates, no late or bad rows, one feed for an instrument.\n")
	fmt.Fprintf(b, "-- Decimals of the input have at most %d digits after the point; one with more is an error, and so is any\n-- overflow of 127 bits.\n", w.opts.Digits)
	b.WriteString("-- Exact: counts, sums, first, last, min, max, and what is added, subtracted and multiplied from them.\n")
	if w.ratios {
		b.WriteString("-- Quotients: exact terms in lowest terms, then one division in DOUBLE. The same bits while both terms are below\n" +
			"-- 2^53, else three roundings: as a rule within 1 ulp. Square roots: within 2 ulp.\n")
	}
	b.WriteString("-- Differs by design: no available_at, no flags. Windows that end after the last event are rows here, too, and\n-- are not marked partial.\n")
}

// final writes the last SELECT: mantissas become decimals, pairs one quotient.
func (w *writer) final(b *strings.Builder, v *lang.View, t *table) {
	b.WriteString("SELECT")
	for _, c := range t.by {
		b.WriteString(" " + ident(c) + ",")
	}
	b.WriteString(" window_start, window_end, row_ts")
	for _, f := range features(v) {
		b.WriteString(",\n  " + t.cols[f.Name].stored() + " AS " + ident(f.Name))
	}
	b.WriteString("\nFROM " + ident(t.name) + "\nORDER BY row_ts")
	for _, c := range t.by {
		b.WriteString(", " + ident(c))
	}
	if t.row {
		b.WriteString(`, "tie"`)
	}
	b.WriteString(";\n")
}

// base returns the view whose aggregates a rollup merges; of others the view itself.
func base(v *lang.View) *lang.View {
	for v.Rollup && v.Parent != nil {
		v = v.Parent
	}
	return v
}

func features(v *lang.View) []*lang.Feature { return base(v).Features }

// ident quotes a name.
func ident(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// text quotes a text.
func text(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// power writes 10^n.
func power(n int) string {
	return "1" + strings.Repeat("0", n)
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
