package sweep

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// MarshalJSON writes the metrics by name; one without a value is null.
func (r *Result) MarshalJSON() ([]byte, error) {
	type variant struct {
		Params      map[string]string   `json:"params"`
		Fingerprint string              `json:"fingerprint"`
		Rows        int64               `json:"rows"`
		Metrics     map[string]*float64 `json:"metrics"`
	}
	out := struct {
		View    string    `json:"view"`
		Dims    []Dim     `json:"parameters"`
		By      string    `json:"ordered_by"`
		Refused int       `json:"refused,omitempty"`
		Partial int64     `json:"partial_rows"`
		List    []variant `json:"variants"`
	}{r.View, r.Dims, r.Metrics[r.By], r.Refused, r.Partial, []variant{}}
	for _, v := range r.Variants {
		o := variant{Params: map[string]string{}, Fingerprint: v.Fingerprint, Rows: v.Rows, Metrics: map[string]*float64{}}
		for i, d := range r.Dims {
			o.Params[d.Name] = v.Values[i]
		}
		for i, m := range r.Metrics {
			o.Metrics[m] = nil
			if x := v.Metrics[i]; !math.IsNaN(x) && !math.IsInf(x, 0) {
				o.Metrics[m] = &x
			}
		}
		out.List = append(out.List, o)
	}
	return json.Marshal(out)
}

// Text is the best variants as a table and the whole family as a picture in characters.
func (r *Result) Text(s term.Style, best int, least bool) string {
	cols := []term.Column{}
	for _, d := range r.Dims {
		cols = append(cols, term.Column{Head: d.Name, Right: true, Keep: true})
	}
	cols = append(cols, term.Column{Head: "rows", Right: true})
	for _, m := range r.Metrics {
		cols = append(cols, term.Column{Head: m, Right: true})
	}
	var rows [][]string
	for i := range r.Variants {
		if best > 0 && i == best {
			break
		}
		v := &r.Variants[i]
		row := append([]string{}, v.Values...)
		row = append(row, term.Int(v.Rows))
		for _, m := range v.Metrics {
			row = append(row, number(m))
		}
		rows = append(rows, row)
	}
	var b strings.Builder
	b.WriteString(s.Table(cols, rows))
	if n := len(r.Variants) - len(rows); n > 0 {
		fmt.Fprintf(&b, "and %s more\n", term.Int(int64(n)))
	}
	g := r.Grid(least)
	fmt.Fprintf(&b, "\n%s over %s", r.Metrics[r.By], g.X.Name)
	if len(g.Y.Values) == 0 {
		fmt.Fprintf(&b, ", from %s to %s\n%s\n", g.X.Values[0], g.X.Values[len(g.X.Values)-1], s.Sparkline(g.Cells[0], 72))
		return b.String()
	}
	fmt.Fprintf(&b, " (from %s to %s) and %s\n", g.X.Values[0], g.X.Values[len(g.X.Values)-1], g.Y.Name)
	wide := 0
	for _, v := range g.Y.Values {
		wide = max(wide, len(v))
	}
	for i, line := range s.Heat(g.Cells) {
		fmt.Fprintf(&b, "%*s %s\n", wide, g.Y.Values[i], line)
	}
	return b.String()
}

// Schema is the columns of the table of variants as a file.
func (r *Result) Schema() *rowfile.Schema {
	s := &rowfile.Schema{Meta: []rowfile.Meta{{Key: "tidemark.sweep", Value: r.View}}}
	for _, d := range r.Dims {
		s.Fields = append(s.Fields, rowfile.Field{Name: d.Name, Type: market.TypeText})
	}
	s.Fields = append(s.Fields, rowfile.Field{Name: "fingerprint", Type: market.TypeText}, rowfile.Field{Name: "rows", Type: market.TypeInt})
	for _, m := range r.Metrics {
		s.Fields = append(s.Fields, rowfile.Field{Name: m, Type: market.TypeFloat, Nullable: true})
	}
	return s
}

// Write writes all variants as rows, the best first.
func (r *Result) Write(w rowfile.Writer) error {
	b := rowfile.Batch{N: len(r.Variants), Cols: make([]rowfile.Col, len(r.Dims)+2+len(r.Metrics))}
	text := func(c *rowfile.Col, s string) {
		if len(c.Off) == 0 {
			c.Off = append(c.Off, 0)
		}
		c.Bytes = append(c.Bytes, s...)
		c.Off = append(c.Off, int32(len(c.Bytes)))
	}
	n := len(r.Dims)
	for i := range r.Variants {
		v := &r.Variants[i]
		for k, x := range v.Values {
			text(&b.Cols[k], x)
		}
		text(&b.Cols[n], v.Fingerprint)
		b.Cols[n+1].I64 = append(b.Cols[n+1].I64, v.Rows)
		for k, x := range v.Metrics {
			c := &b.Cols[n+2+k]
			if math.IsNaN(x) || math.IsInf(x, 0) {
				for len(c.Null) <= i>>6 {
					c.Null = append(c.Null, 0)
				}
				c.Null[i>>6] |= 1 << (i & 63)
				x = 0
			}
			c.F64 = append(c.F64, x)
		}
	}
	return w.Write(&b)
}
