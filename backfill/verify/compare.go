package verify

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
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
	first   []Difference
	changed int
}

// reader reads messages of rows again.
type reader struct {
	dec  *record.RowDecoder
	out  *features.Output
	rows features.ViewRows
	buf  []byte
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
	add := func(name, val string) { names, vals = append(names, name), append(vals, val) }
	w := &r.rows
	add("window_start", market.FormatTime(w.Start[0]))
	add("window_end", market.FormatTime(w.End[0]))
	add("available_at", market.FormatTime(w.Avail[0]))
	add("flags", strings.Join(features.FlagNames(nil, w.Flags[0]), " "))
	for k, f := range r.out.Fields {
		c := &w.Features[k]
		val := "null"
		if !c.IsNull(0) {
			switch f.Type {
			case features.FieldF64:
				val = fmt.Sprintf("%v (%x)", c.F64[0], c.F64[0])
			case features.FieldI64, features.FieldBool:
				val = fmt.Sprint(c.I64[0])
			case features.FieldDecimal:
				var text [num.MaxText128]byte
				val = string(num.AppendDec128(text[:0], c.Hi[0], c.Lo[0], f.Scale))
			default:
				val = string(c.Bytes)
			}
		}
		add(f.Name, val)
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
	have, err := collect(v.stored)
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
		if !same(served[k], corrected[k]) {
			d.changed++
		}
		names := strings.Split(k.entity, "\x00")
		as := v.rowHistory(k.ts, names)
		want := served[k]
		if as == "corrected" || as == "" && same(have[k], corrected[k]) {
			want = corrected[k]
		}
		if same(have[k], want) {
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
