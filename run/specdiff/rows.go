package specdiff

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// Rows is how the rows of two views over the same events differ. Rows meet when entity and
// row_ts are the same, several of one instant in their order.
type Rows struct {
	A       int64    `json:"a"` // rows of each side
	B       int64    `json:"b"`
	Equal   int64    `json:"equal"`
	Differ  int64    `json:"differ"`
	OnlyA   int64    `json:"only_a"`
	OnlyB   int64    `json:"only_b"`
	Columns []Column `json:"columns,omitempty"` // that both have and that differ somewhere
	First   []RowAt  `json:"first,omitempty"`   // the first rows that differ or stand alone
	Unequal string   `json:"not_comparable,omitempty"`
}

// Column is one column that differs.
type Column struct {
	Name    string  `json:"name"`
	Differ  int64   `json:"differ"`                   // rows
	MaxAbs  float64 `json:"max_difference,omitempty"` // of numbers
	MaxRel  float64 `json:"max_relative,omitempty"`   // |a − b| / max(|a|, |b|)
	Largest *RowAt  `json:"largest,omitempty"`        // the row with MaxAbs
	Nulls   int64   `json:"null_on_one_side,omitempty"`
}

// RowAt is one row with the cells that differ; a row that one side lacks has none.
type RowAt struct {
	Entity string `json:"entity"`
	RowTS  int64  `json:"row_ts"`
	Only   string `json:"only,omitempty"` // a or b: the other side has no such row
	Cells  []Cell `json:"cells,omitempty"`
}

// Cell is a value of both sides as text; null is empty.
type Cell struct {
	Column string `json:"column"`
	A      string `json:"a"`
	B      string `json:"b"`
}

// firstRows is how many rows are shown.
const firstRows = 5

// Data runs both views over the input of base and compares their rows as they come: no
// more than a few batches of each are held.
func (d *Diff) Data(ctx context.Context, cfg Config, base run.Config, env run.Env) error {
	if slices.Contains(base.Inputs, "-") {
		return fault.Usage("input_twice", "two views need two readings of the input, and the standard input can be read once", "save it to a file first")
	}
	if a, b := d.A.out.Entity, d.B.out.Entity; !slices.Equal(a, b) {
		d.Rows = &Rows{Unequal: fmt.Sprintf("their entities differ: %s and %s", strings.Join(a, ", "), strings.Join(b, ", "))}
		return nil
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, gctx := errgroup.WithContext(ctx)
	var from [2]*stream
	for i, v := range []*View{&d.A, &d.B} {
		c := base
		c.Specs, c.View, c.Set = append(slices.Clone(cfg.With), v.side.Arg), v.View, v.side.Set
		s := &stream{rows: make(chan []row, 4), done: gctx.Done(), entity: len(v.out.Entity)}
		from[i] = s
		e := env
		e.Stdout = io.Discard
		e.Table = func(schema *rowfile.Schema) rowfile.Writer { s.schema = schema; return s }
		e.Alerts = nil
		if i > 0 {
			e.Warn = func(string) {} // both say the same of the input
		}
		g.Go(func() error {
			defer close(s.rows)
			_, err := run.Run(gctx, c, e)
			return err
		})
	}
	g.Go(func() error { return d.merge(from[0], from[1]) })
	err := g.Wait()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// row is one row: its place in the order of rows, and its cells as text and number.
type row struct {
	ts    int64
	ent   []string
	cells []string
	nums  []float64 // NaN for what is no number
}

// stream takes the rows of one run and hands them over.
type stream struct {
	schema *rowfile.Schema
	entity int
	rows   chan []row
	done   <-chan struct{}

	now []row
	at  int
	end bool
}

func (s *stream) Write(b *rowfile.Batch) error {
	out := make([]row, b.N)
	for i := range b.N {
		r := row{cells: make([]string, len(b.Cols)), nums: make([]float64, len(b.Cols))}
		for k := range b.Cols {
			f, c := &s.schema.Fields[k], &b.Cols[k]
			r.cells[k], r.nums[k] = rowfile.Text(f, c, i), number(f, c, i)
			if f.Name == "row_ts" {
				r.ts = c.I64[i]
			}
		}
		r.ent = r.cells[:s.entity]
		out[i] = r
	}
	select {
	case s.rows <- out:
		return nil
	case <-s.done:
		return context.Canceled
	}
}

func (s *stream) Close() error { return nil }

// number is a cell as a float to measure differences with.
func number(f *rowfile.Field, c *rowfile.Col, i int) float64 {
	if c.IsNull(i) || f.Bits != nil {
		return math.NaN()
	}
	switch f.Type {
	case market.TypeFloat:
		return c.F64[i]
	case market.TypeInt, market.TypeTime, market.TypeDur:
		return float64(c.I64[i])
	case market.TypeDec:
		return (float64(c.Hi[i])*0x1p64 + float64(c.Lo[i])) * math.Pow10(-int(f.Scale))
	}
	return math.NaN()
}

// next is the next row, nil at the end.
func (s *stream) next() *row {
	for s.at == len(s.now) {
		if s.end {
			return nil
		}
		batch, more := <-s.rows
		if !more {
			s.end = true
			return nil
		}
		s.now, s.at = batch, 0
	}
	return &s.now[s.at]
}

func (r *row) compare(o *row) int {
	switch {
	case r.ts < o.ts:
		return -1
	case r.ts > o.ts:
		return 1
	}
	return slices.Compare(r.ent, o.ent)
}

// merge walks both streams in their order.
func (d *Diff) merge(a, b *stream) error {
	rows := &Rows{}
	d.Rows = rows
	var pairs *pairs
	for {
		x, y := a.next(), b.next()
		switch {
		case x == nil && y == nil:
			if pairs != nil {
				rows.Columns = pairs.differing()
			}
			return nil
		case y == nil || x != nil && x.compare(y) < 0:
			a.at++
			rows.A++
			rows.OnlyA++
			rows.show(RowAt{Entity: strings.Join(x.ent, " "), RowTS: x.ts, Only: "a"})
			continue
		case x == nil || x.compare(y) > 0:
			b.at++
			rows.B++
			rows.OnlyB++
			rows.show(RowAt{Entity: strings.Join(y.ent, " "), RowTS: y.ts, Only: "b"})
			continue
		}
		if pairs == nil {
			pairs = pair(a.schema, b.schema)
		}
		a.at++
		b.at++
		rows.A++
		rows.B++
		if at, same := pairs.row(x, y); same {
			rows.Equal++
		} else {
			rows.Differ++
			rows.show(at)
		}
	}
}

func (r *Rows) show(at RowAt) {
	if len(r.First) < firstRows {
		r.First = append(r.First, at)
	}
}

// pairs are the columns that both sides have.
type pairs struct {
	a, b []int
	cols []Column
}

func pair(a, b *rowfile.Schema) *pairs {
	p := &pairs{}
	for i, f := range a.Fields {
		if k := slices.IndexFunc(b.Fields, func(o rowfile.Field) bool { return o.Name == f.Name }); k >= 0 {
			p.a, p.b, p.cols = append(p.a, i), append(p.b, k), append(p.cols, Column{Name: f.Name})
		}
	}
	return p
}

// row compares two rows of one place, cell by cell.
func (p *pairs) row(x, y *row) (RowAt, bool) {
	at := RowAt{Entity: strings.Join(x.ent, " "), RowTS: x.ts}
	for k := range p.cols {
		ta, tb := x.cells[p.a[k]], y.cells[p.b[k]]
		if ta == tb {
			continue
		}
		cell := Cell{p.cols[k].Name, ta, tb}
		at.Cells = append(at.Cells, cell)
		c := &p.cols[k]
		c.Differ++
		if ta == "" || tb == "" {
			c.Nulls++
		}
		na, nb := x.nums[p.a[k]], y.nums[p.b[k]]
		if diff := math.Abs(na - nb); diff > c.MaxAbs || diff == diff && c.Largest == nil {
			c.MaxAbs = diff
			c.Largest = &RowAt{Entity: at.Entity, RowTS: at.RowTS, Cells: []Cell{cell}}
		}
		if rel := math.Abs(na-nb) / max(math.Abs(na), math.Abs(nb)); rel > c.MaxRel {
			c.MaxRel = rel
		}
	}
	return at, len(at.Cells) == 0
}

func (p *pairs) differing() []Column {
	var out []Column
	for _, c := range p.cols {
		if c.Differ > 0 {
			out = append(out, c)
		}
	}
	return out
}
