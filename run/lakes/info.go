// Package lakes tells what is in a lake: tables, snapshots, files, rows, and how other
// tools read them.
package lakes

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
)

// Info is a table at one snapshot.
type Info struct {
	Table            string   `json:"table"`
	Location         string   `json:"location"`
	MetadataLocation string   `json:"metadata_location"`
	SnapshotID       int64    `json:"snapshot_id"`
	Snapshots        int      `json:"snapshots"`
	Rows             int64    `json:"rows"`
	Files            int64    `json:"files"`
	Bytes            int64    `json:"bytes"`
	ValidThrough     int64    `json:"valid_through"`      // µs, 0 unknown: hours at or below are complete in time
	First            int64    `json:"first_ts,omitempty"` // µs, of the column that the partition is by; 0: none, or only Show looks for it
	Last             int64    `json:"last_ts,omitempty"`
	Partition        []string `json:"partition"`
	Columns          []Column `json:"columns"`
	Hours            []Hour   `json:"hours,omitempty"` // only Show looks for them
	Sizes            []int64  `json:"-"`               // of the files, ascending
}

// Column is one column of a table.
type Column struct {
	ID       int    `json:"id"`
	Name     string `json:"name"`
	Type     string `json:"type"`
	Nullable bool   `json:"nullable,omitempty"`
	Unit     string `json:"unit,omitempty"`
	Doc      string `json:"doc,omitempty"`
}

// Hour is the files whose rows begin in one hour.
type Hour struct {
	Start int64 `json:"start"` // µs
	Rows  int64 `json:"rows"`
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Tables describes every table, without its hours.
func Tables(ctx context.Context, l *lake.Lake) ([]*Info, error) {
	names, err := l.Tables(ctx)
	if err != nil {
		return nil, err
	}
	infos := []*Info{}
	for _, n := range names {
		t, err := l.Load(ctx, n)
		if err != nil {
			return nil, err
		}
		in, err := head(t)
		if err != nil {
			return nil, err
		}
		infos = append(infos, in)
	}
	return infos, nil
}

// head is what the metadata says.
func head(t *lake.Table) (*Info, error) {
	in := &Info{Table: t.Name(), Location: t.Location(), MetadataLocation: t.MetadataLocation(), Partition: []string{}, Hours: []Hour{}}
	base, err := t.Base()
	if err != nil {
		return nil, err
	}
	in.SnapshotID, in.ValidThrough = base.Snapshot, base.ValidThrough
	snaps, err := t.Snapshots()
	if err != nil {
		return nil, err
	}
	in.Snapshots = len(snaps)
	for _, s := range snaps {
		if s.ID == base.Snapshot {
			in.Rows, in.Files, in.Bytes = s.Rows, s.Files, s.Bytes
		}
	}
	for _, p := range t.PartitionBy() {
		text := p.Column
		if p.Transform != "identity" {
			text = p.Transform + "(" + p.Column + ")"
		}
		in.Partition = append(in.Partition, text)
	}
	cols, err := t.Columns()
	if err != nil {
		return nil, err
	}
	for _, c := range cols {
		typ := c.Type.String()
		if typ == "decimal" {
			typ = fmt.Sprintf("decimal(38,%d)", c.Scale)
		}
		in.Columns = append(in.Columns, Column{ID: c.ID, Name: c.Name, Type: typ, Nullable: c.Nullable, Unit: c.Unit, Doc: c.Doc})
	}
	return in, nil
}

// Show describes one table with its files by hour.
func Show(ctx context.Context, t *lake.Table) (*Info, error) {
	in, err := head(t)
	if err != nil {
		return nil, err
	}
	files, err := t.Files(ctx, 0)
	if err != nil {
		return nil, err
	}
	clock := timeColumn(t)
	hours := map[int64]*Hour{}
	for _, f := range files {
		in.Sizes = append(in.Sizes, f.Bytes)
		b, ok := f.Bounds[clock]
		lo, isTime := b[0].(int64)
		hi, _ := b[1].(int64)
		if !ok || !isTime {
			continue
		}
		if in.First == 0 || lo < in.First {
			in.First = lo
		}
		in.Last = max(in.Last, hi)
		start := lo - lo%market.Hour
		h := hours[start]
		if h == nil {
			h = &Hour{Start: start}
			hours[start] = h
		}
		h.Rows += f.Rows
		h.Files++
		h.Bytes += f.Bytes
	}
	for _, h := range hours {
		in.Hours = append(in.Hours, *h)
	}
	slices.SortFunc(in.Hours, func(a, b Hour) int { return int(min(1, max(-1, a.Start-b.Start))) })
	slices.Sort(in.Sizes)
	return in, nil
}

// timeColumn is the column by whose time a table is partitioned, or "".
func timeColumn(t *lake.Table) string {
	for _, p := range t.PartitionBy() {
		if slices.Contains([]string{"hour", "day", "month"}, p.Transform) {
			return p.Column
		}
	}
	return ""
}

// TablesText lists tables for people.
func TablesText(infos []*Info, st term.Style) string {
	if len(infos) == 0 {
		return "the lake has no tables yet: tidemark lake import fills it\n"
	}
	var rows [][]string
	for _, in := range infos {
		rows = append(rows, []string{in.Table, term.Int(in.Rows), term.Int(in.Files), term.Bytes(in.Bytes), timeText(in.ValidThrough)})
	}
	return st.Table([]term.Column{{Head: "table", Keep: true}, {Head: "rows", Right: true}, {Head: "files", Right: true}, {Head: "size", Right: true}, {Head: "valid through"}}, rows)
}

func timeText(us int64) string {
	if us == 0 {
		return "-"
	}
	return market.FormatTime(us)
}

// Text describes a table for people, with a picture of its hours and of its file sizes.
func (in *Info) Text(st term.Style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", st.Bold(in.Table))
	line := func(name, value string) { fmt.Fprintf(&b, "  %-14s %s\n", name, value) }
	line("location", in.Location)
	line("metadata", in.MetadataLocation)
	line("snapshot", fmt.Sprintf("%d (%d kept)", in.SnapshotID, in.Snapshots))
	line("partition", strings.Join(in.Partition, ", "))
	line("rows", term.Int(in.Rows))
	line("files", fmt.Sprintf("%s, %s", term.Int(in.Files), term.Bytes(in.Bytes)))
	if in.Rows > 0 {
		line("per row", fmt.Sprintf("%.1f bytes", float64(in.Bytes)/float64(in.Rows)))
	}
	line("times", timeText(in.First)+" to "+timeText(in.Last))
	line("valid through", timeText(in.ValidThrough))
	width := 72
	if st.Width > 0 {
		width = min(width, st.Width-4)
	}
	if len(in.Hours) > 0 {
		fmt.Fprintf(&b, "\n  rows by hour; %s\n", gaps(in.Hours))
		fmt.Fprintf(&b, "  %s\n", st.Sparkline(byHour(in.Hours), width))
		first, last := in.Hours[0].Start, in.Hours[len(in.Hours)-1].Start
		fmt.Fprintf(&b, "  %s\n", ends(hourText(first), hourText(last), min(width, len(byHour(in.Hours)))))
	}
	if len(in.Sizes) > 1 {
		var sizes []float64
		for _, n := range in.Sizes {
			sizes = append(sizes, math.Log2(float64(max(1, n))))
		}
		fmt.Fprintf(&b, "\n  file sizes, smallest to largest, on a logarithmic scale\n  %s\n", st.Sparkline(sizes, width))
		fmt.Fprintf(&b, "  %s\n", ends(term.Bytes(in.Sizes[0]), term.Bytes(in.Sizes[len(in.Sizes)-1]), min(width, len(sizes))))
	}
	b.WriteString("\n")
	var rows [][]string
	for _, c := range in.Columns {
		null := ""
		if c.Nullable {
			null = "null"
		}
		rows = append(rows, []string{c.Name, c.Type, null, c.Unit, c.Doc})
	}
	b.WriteString(st.Table([]term.Column{{Head: "column", Keep: true}, {Head: "type"}, {Head: ""}, {Head: "unit"}, {Head: "what"}}, rows))
	return b.String()
}

func hourText(us int64) string { return time.UnixMicro(us).UTC().Format("2006-01-02 15h") }

// byHour is rows of each hour from the first to the last; hours without files are gaps.
// A history of years is drawn by its hours all the same: neighbours share a block.
func byHour(hours []Hour) []float64 {
	first, last := hours[0].Start, hours[len(hours)-1].Start
	n := min((last-first)/market.Hour+1, 200_000)
	rows := make([]float64, n)
	for i := range rows {
		rows[i] = math.NaN()
	}
	for _, h := range hours {
		i := int((h.Start - first) / market.Hour * (n - 1) / max(1, (last-first)/market.Hour))
		if math.IsNaN(rows[i]) {
			rows[i] = 0
		}
		rows[i] += float64(h.Rows)
	}
	return rows
}

// gaps words the hours that have no files.
func gaps(hours []Hour) string {
	missing, longest, at := int64(0), int64(0), int64(0)
	for i := 1; i < len(hours); i++ {
		if n := (hours[i].Start-hours[i-1].Start)/market.Hour - 1; n > 0 {
			missing += n
			if n > longest {
				longest, at = n, hours[i-1].Start+market.Hour
			}
		}
	}
	if missing == 0 {
		return "no hour between the first and the last is empty"
	}
	return fmt.Sprintf("%s hours between are empty, the longest gap is %s h from %s", term.Int(missing), term.Int(longest), hourText(at))
}

// ends puts two texts at the ends of a line.
func ends(a, b string, width int) string {
	if len(a)+len(b)+2 > width {
		return a + " … " + b
	}
	return a + strings.Repeat(" ", width-len(a)-len(b)) + b
}
