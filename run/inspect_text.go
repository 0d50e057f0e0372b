package run

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
)

// shownInstruments is how many instruments the text names.
const shownInstruments = 12

// Exit is the exit code that the files ask for.
func (p *Inspection) Exit() int {
	if len(p.Bad) > 0 {
		return fault.ExitRejected
	}
	return fault.ExitDone
}

// Text prints the inspection for people.
func (p *Inspection) Text(st term.Style) string {
	var b strings.Builder
	var rows [][]string
	for _, f := range p.Files {
		format := f.Format
		switch {
		case f.Empty:
			format = "empty"
		case format == "":
			format = "not recognised"
		}
		if f.Compression != "" {
			format += ", " + f.Compression
		}
		rows = append(rows, []string{f.Path, format, term.Int(f.Records), term.Int(f.Events), term.Int(f.Filtered), term.Int(f.Bad)})
	}
	b.WriteString(st.Table([]term.Column{
		{Head: "file"}, {Head: "format"}, {Head: "records", Right: true}, {Head: "events", Right: true}, {Head: "filtered", Right: true}, {Head: "bad", Right: true},
	}, rows))
	rows = nil
	for _, l := range p.Lines {
		rows = append(rows, []string{
			l.Feed, l.Kind, term.Int(l.Events), strconv.Itoa(l.Instruments), l.First, l.Last, term.Int(l.Duplicates), term.Int(l.Missing), roundTime(l.Silence),
		})
	}
	if len(rows) == 0 {
		return b.String() + p.badText(st)
	}
	b.WriteByte('\n')
	b.WriteString(st.Table([]term.Column{
		{Head: "feed"}, {Head: "kind"}, {Head: "events", Right: true}, {Head: "instruments", Right: true}, {Head: "first (UTC)"}, {Head: "last (UTC)"},
		{Head: "duplicates", Right: true}, {Head: "missing", Right: true}, {Head: "longest silence", Right: true},
	}, rows))
	rows = nil
	for _, l := range p.Lines {
		rows = append(rows, []string{l.Feed, l.Kind, roundTime(l.P50), roundTime(l.P99), roundTime(l.P999), roundTime(l.Max), roundTime(l.Declared)})
	}
	b.WriteByte('\n')
	b.WriteString(st.Table([]term.Column{
		{Head: "disorder of"}, {Head: ""}, {Head: "p50", Right: true}, {Head: "p99", Right: true}, {Head: "p99.9", Right: true}, {Head: "max", Right: true}, {Head: "declared", Right: true},
	}, rows))
	rows = nil
	for i, in := range p.Instruments {
		if i == shownInstruments {
			rows = append(rows, []string{"…", "", fmt.Sprintf("%d more", len(p.Instruments)-i), ""})
			break
		}
		rows = append(rows, []string{in.Exchange, in.Market, in.Symbol, term.Int(in.Events)})
	}
	b.WriteByte('\n')
	b.WriteString(st.Table([]term.Column{{Head: "exchange"}, {Head: "market"}, {Head: "symbol"}, {Head: "events", Right: true}}, rows))
	return b.String() + p.badText(st)
}

func (p *Inspection) badText(st term.Style) string {
	if len(p.Bad) == 0 {
		return ""
	}
	var rows [][]string
	for _, x := range p.Bad {
		rows = append(rows, []string{x.Reason, term.Int(x.Count), fmt.Sprintf("%s:%d", x.Input, x.Line), x.Detail})
	}
	return "\n" + st.Table([]term.Column{{Head: "bad records"}, {Head: "count", Right: true}, {Head: "first at"}, {Head: "text"}}, rows)
}

// roundTime prints µs for people, with three digits.
func roundTime(us int64) string {
	switch {
	case us < 1000:
		return strconv.FormatInt(us, 10) + " µs"
	case us < 1000_000:
		return strconv.FormatFloat(float64(us)/1e3, 'g', 3, 64) + " ms"
	case us < 120_000_000:
		return strconv.FormatFloat(float64(us)/1e6, 'g', 3, 64) + " s"
	case us < 2*3600_000_000:
		return strconv.FormatInt(us/60_000_000, 10) + " min"
	}
	return strconv.FormatInt(us/3600_000_000, 10) + " h"
}
