package run

import (
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/features"
)

// openRows are the windows that are open at the end of the input, as Peek shows them
// before Close. Close itself gives the time windows; what only Peek gave are bars,
// sessions and clock intervals that have not ended.
type openRows struct {
	rows  features.ViewRows
	names [][]string // of each row
	gone  map[string]int
}

func (j *job) peek() *openRows {
	var rows features.Rows
	j.task.Peek(&rows)
	if j.view >= len(rows.Views) {
		return &openRows{}
	}
	o := &openRows{rows: rows.Views[j.view], gone: map[string]int{}}
	for _, e := range o.rows.Entity {
		o.names = append(o.names, append([]string(nil), j.task.EntityNames(j.view, e)...))
	}
	return o
}

// drop forgets the windows that Close gave.
func (o *openRows) drop(closed *features.Rows, view int, names func(int, uint32) []string) {
	if o.rows.Len() == 0 || view >= len(closed.Views) {
		return
	}
	v := &closed.Views[view]
	for i := range v.Len() {
		o.gone[rowName(names(view, v.Entity[i]), v.Start[i])]++
	}
}

// rowName names a row; bars that one row closed share a name, the open one is the last
// of them.
func rowName(names []string, start int64) string {
	return strings.Join(names, "\x00") + "\x00" + strconv.FormatInt(start, 10)
}

// write writes the rows that are left, each flagged partial.
func (o *openRows) write(s *sink) (n int64, err error) {
	for i := range o.rows.Len() {
		if name := rowName(o.names[i], o.rows.Start[i]); o.gone[name] > 0 {
			o.gone[name]--
			continue
		}
		one := oneRow(&o.rows, i)
		one.Flags[0] |= features.FlagPartial
		if err := s.write(one, func(int, uint32) []string { return o.names[i] }); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// oneRow is row i as rows of their own.
func oneRow(v *features.ViewRows, i int) *features.ViewRows {
	one := &features.ViewRows{
		Entity: v.Entity[i : i+1], Start: v.Start[i : i+1], End: v.End[i : i+1],
		RowTS: v.RowTS[i : i+1], Avail: v.Avail[i : i+1], Flags: []uint8{v.Flags[i]},
	}
	cut := func(n int) (lo, hi int) {
		if n == 0 {
			return 0, 0
		}
		return i, i + 1
	}
	for k := range v.Features {
		c := &v.Features[k]
		var d features.OutCol
		lo, hi := cut(len(c.F64))
		d.F64 = c.F64[lo:hi]
		lo, hi = cut(len(c.I64))
		d.I64 = c.I64[lo:hi]
		lo, hi = cut(len(c.Lo))
		d.Hi, d.Lo = c.Hi[lo:hi], c.Lo[lo:hi]
		if len(c.Off) > 0 {
			d.Bytes, d.Off = c.Bytes, c.Off[i:i+2]
		}
		if c.IsNull(i) {
			d.Null = []uint64{1}
		}
		one.Features = append(one.Features, d)
	}
	return one
}
