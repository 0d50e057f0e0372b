package verify

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/backfill"
	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/num"
	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/parity"
	"github.com/pinova-group/tidemark/stream/record"
)

// Difference is a row that is not what it should be.
type Difference struct {
	What    string   `json:"what"` // lost, doubled, extra or changed
	Entity  string   `json:"entity"`
	RowTS   string   `json:"row_ts"`
	Columns []Column `json:"columns,omitempty"` // of a changed row, those that differ
	Explain string   `json:"explain"`           // command that takes the row apart to its events
}

// Column is a value that differs.
type Column struct {
	Name    string `json:"name"`
	Table   string `json:"table"`
	History string `json:"history"`
}

// rowKey tells rows apart.
type rowKey struct {
	ts     int64
	entity string // names, by 0 bytes
}

// compared is how an hour's rows differ.
type compared struct {
	faults  int
	gone    int // rows of history that the topic has no more
	first   []Difference
	changed int
	effect  Effect
}

// Effect is what late events do to the rows of an hour.
type Effect struct {
	More    int            `json:"more"`    // rows that there would be
	Fewer   int            `json:"fewer"`   // rows that there would not be
	Columns []ColumnEffect `json:"columns"` // of rows that would be others, in the order of the view
}

// ColumnEffect is what they do to one column.
type ColumnEffect struct {
	Name    string  `json:"name"`
	Rows    int     `json:"rows"`    // that have another value
	Biggest float64 `json:"biggest"` // difference, in the column's unit, times in seconds; 0 where the values are no numbers
	At      string  `json:"at"`      // row_ts of the biggest
	Entity  string  `json:"entity"`  // of the biggest
}

// note enters a row of both histories.
func (e *Effect) note(rd *reader, ts int64, entity string, served, corrected [][]byte) error {
	if len(served) != len(corrected) {
		e.More += max(0, len(corrected)-len(served))
		e.Fewer += max(0, len(served)-len(corrected))
	}
	for i := range min(len(served), len(corrected)) {
		cols, a, err := rd.values(served[i])
		if err != nil {
			return err
		}
		was := slices.Clone(rd.nums)
		_, b, err := rd.values(corrected[i])
		if err != nil {
			return err
		}
		if e.Columns == nil {
			for _, c := range cols {
				e.Columns = append(e.Columns, ColumnEffect{Name: c})
			}
		}
		for n := range cols {
			if a[n] == b[n] {
				continue
			}
			c := &e.Columns[n]
			c.Rows++
			d := math.Abs(rd.nums[n] - was[n])
			if c.Rows == 1 || d > c.Biggest {
				c.At, c.Entity = market.FormatTime(ts), entity
			}
			if d > c.Biggest && !math.IsInf(d, 0) {
				c.Biggest = d
			}
		}
	}
	return nil
}

// reader reads messages of rows again.
type reader struct {
	dec  *record.RowDecoder
	out  *features.Output
	rows features.ViewRows
	buf  []byte
	nums []float64 // of values: the numbers, NaN where there is none
}

func (r *reader) read(message []byte) ([]string, error) {
	r.rows = features.ViewRows{}
	r.buf = append(wire.AppendFrame(r.buf[:0], 1), message...)
	if err := r.dec.Decode(r.buf, &r.rows); err != nil {
		return nil, err
	}
	return r.dec.Names(r.rows.Entity[0]), nil
}

// values are the columns of a message in text, floats with all their bits.
func (r *reader) values(message []byte) (names, vals []string, err error) {
	if _, err := r.read(message); err != nil {
		return nil, nil, err
	}
	r.nums = r.nums[:0]
	add := func(name, val string, num float64) {
		names, vals, r.nums = append(names, name), append(vals, val), append(r.nums, num)
	}
	time := func(name string, ts int64) { add(name, market.FormatTime(ts), float64(ts)/1e6) }
	w := &r.rows
	time("window_start", w.Start[0])
	time("window_end", w.End[0])
	time("available_at", w.Avail[0])
	add("flags", strings.Join(features.FlagNames(nil, w.Flags[0]), " "), math.NaN())
	for k, f := range r.out.Fields {
		c := &w.Features[k]
		val, n := "null", math.NaN()
		if !c.IsNull(0) {
			switch f.Type {
			case features.FieldF64:
				val, n = fmt.Sprintf("%v (%x)", c.F64[0], c.F64[0]), c.F64[0]
			case features.FieldI64, features.FieldBool:
				val, n = fmt.Sprint(c.I64[0]), float64(c.I64[0])
			case features.FieldDecimal:
				var text [num.MaxText128]byte
				val = string(num.AppendDec128(text[:0], c.Hi[0], c.Lo[0], f.Scale))
				if x, err := strconv.ParseFloat(val, 64); err == nil {
					n = x
				}
			default:
				val = string(c.Bytes)
			}
		}
		add(f.Name, val, n)
	}
	return names, vals, nil
}

// compare looks at the rows of an hour one by one.
func (v *view) compare(ctx context.Context, h *Hour) (*compared, error) {
	rd := &reader{dec: record.NewRowDecoder(1, v.out), out: v.out}
	r := backfill.Range{From: h.start, To: h.start + parity.Hour}
	collect := func(rows rowsOf) (map[rowKey][][]byte, error) {
		m := map[rowKey][][]byte{}
		err := rows(ctx, r, func(ts int64, message []byte) error {
			names, err := rd.read(message)
			k := rowKey{ts, strings.Join(names, "\x00")}
			m[k] = append(m[k], bytes.Clone(message))
			return err
		})
		for k := range m {
			slices.SortFunc(m[k], bytes.Compare)
		}
		return m, err
	}
	have, err := collect(v.have)
	if err != nil {
		return nil, err
	}
	served, err := collect(v.history(backfill.Served))
	if err != nil {
		return nil, err
	}
	corrected := served
	if h.LateEvents > 0 {
		if corrected, err = collect(v.history(backfill.Corrected)); err != nil {
			return nil, err
		}
	}
	keys := map[rowKey]bool{}
	for _, m := range []map[rowKey][][]byte{have, served, corrected} {
		for k := range m {
			keys[k] = true
		}
	}
	same := func(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }
	d := &compared{}
	for _, k := range slices.SortedFunc(maps.Keys(keys), func(a, b rowKey) int {
		if a.ts != b.ts {
			return int(min(max(a.ts-b.ts, -1), 1))
		}
		return strings.Compare(a.entity, b.entity)
	}) {
		names := strings.Split(k.entity, "\x00")
		if !same(served[k], corrected[k]) {
			d.changed++
			if err := d.effect.note(rd, k.ts, strings.Join(names, "/"), served[k], corrected[k]); err != nil {
				return nil, err
			}
		}
		as := v.rowHistory(k.ts, names)
		want := served[k]
		if as == "corrected" || as == "" && same(have[k], corrected[k]) {
			want = corrected[k]
		}
		if same(have[k], want) {
			continue
		}
		if len(have[k]) == 0 && v.gone(k.ts, names) {
			d.gone++
			continue
		}
		d.faults++
		if len(d.first) < v.c.Limit {
			x, err := v.difference(rd, k, names, have[k], want)
			if err != nil {
				return nil, err
			}
			d.first = append(d.first, x)
		}
	}
	d.effect.Columns = slices.DeleteFunc(d.effect.Columns, func(c ColumnEffect) bool { return c.Rows == 0 })
	return d, nil
}

func (v *view) difference(rd *reader, k rowKey, names []string, have, want [][]byte) (Difference, error) {
	entity := strings.Join(names, "/")
	d := Difference{What: "changed", Entity: entity, RowTS: market.FormatTime(k.ts)}
	d.Explain = strings.TrimSpace(fmt.Sprintf("tidemark explain %s %s %s", v.out.Name, d.RowTS, entity)) + " --lake LAKE --input lake:"
	switch {
	case len(have) == 0:
		d.What = "lost"
		return d, nil
	case len(want) == 0:
		d.What = "extra"
		return d, nil
	case len(have) > len(want) && bytes.Equal(have[0], want[0]) && bytes.Equal(have[len(have)-1], want[len(want)-1]):
		d.What = "doubled"
		return d, nil
	}
	i := 0
	for i+1 < len(have) && i+1 < len(want) && bytes.Equal(have[i], want[i]) {
		i++
	}
	cols, a, err := rd.values(have[i])
	if err != nil {
		return d, err
	}
	_, b, err := rd.values(want[i])
	if err != nil {
		return d, err
	}
	for n := range cols {
		if a[n] != b[n] {
			d.Columns = append(d.Columns, Column{cols[n], a[n], b[n]})
		}
	}
	return d, nil
}
