package run

import (
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/run/input"
)

// Summary is the report for programs.
type Summary struct {
	Stats
	View      string  `json:"view"`
	Version   int     `json:"version"`
	Written   int64   `json:"written"`
	Output    string  `json:"output"`
	DLQ       string  `json:"dlq_file,omitempty"`
	Files     int     `json:"files"`
	Seconds   float64 `json:"seconds"`
	EventsSec float64 `json:"events_per_second"`

	Alerts []AlertCount `json:"alerts,omitempty"` // of the view
}

// Summary makes the report for programs of a run that took so many seconds.
func (r *Report) Summary(seconds float64) Summary {
	s := Summary{
		Stats: *r.Stats, View: r.View.Name, Version: r.View.Version, Written: r.Written, Output: r.Output, DLQ: r.DLQ,
		Files: r.files(), Seconds: seconds, Alerts: r.Alerts,
	}
	if seconds > 0 {
		s.EventsSec = float64(r.Stats.In) / seconds
	}
	return s
}

// count prints a number of things.
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return term.Int(n) + " " + thing + "s"
}

// files is the number of files that were read; one may have several sources.
func (r *Report) files() int {
	n := 0
	for i, s := range r.Sources {
		if i == 0 || s.Path != r.Sources[i-1].Path {
			n++
		}
	}
	return n
}

// Lines words the report for people.
func (r *Report) Lines(st term.Style, seconds float64) []string {
	s := r.Stats
	files := count(int64(r.files()), "file")
	if len(r.Tables) > 0 {
		files = strings.Join(r.Tables, ", ")
	}
	if len(r.Sources) > 0 && r.files() == 1 {
		files = r.Sources[0].Path
	}
	if files == input.Stdin {
		files = "the standard input"
	}
	lines := []string{
		fmt.Sprintf("read %s from %s: %s applied, %s late, %s, %s filtered, %s rejected",
			count(s.In, "event"), files, term.Int(s.Applied), term.Int(s.Late), count(s.Duplicate, "duplicate"), term.Int(s.Filtered), term.Int(s.DLQ)),
	}
	where := r.Output
	verb := "wrote"
	switch where {
	case "-":
		where = " to the standard output"
	case "":
		verb = "made"
	default:
		where = " to " + where
	}
	lines = append(lines, fmt.Sprintf("%s %s of %s%s in %.2f s (%s)", verb,
		st.Bold(count(r.Written, "row")), r.View.Name, where, seconds, term.Rate(s.In, seconds)))
	if l := alertLine(r.Alerts); l != "" {
		lines = append(lines, l)
	}
	switch {
	case s.DLQ > 0 && r.DLQ != "":
		lines = append(lines, fmt.Sprintf("rejected records lie in %s", r.DLQ))
	case s.DLQ > 0:
		lines = append(lines, "run it with --dlq FILE to see what was rejected and why")
	}
	return lines
}
