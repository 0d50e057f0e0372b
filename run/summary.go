package run

import (
	"fmt"

	"github.com/pinova-group/tidemark/internal/term"
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
}

// Summary makes the report for programs of a run that took so many seconds.
func (r *Report) Summary(seconds float64) Summary {
	s := Summary{
		Stats: *r.Stats, View: r.View.Name, Version: r.View.Version, Written: r.Written, Output: r.Output, DLQ: r.DLQ,
		Files: len(r.Sources), Seconds: seconds,
	}
	if seconds > 0 {
		s.EventsSec = float64(r.Stats.In) / seconds
	}
	return s
}

// Lines words the report for people.
func (r *Report) Lines(st term.Style, seconds float64) []string {
	s := r.Stats
	files := fmt.Sprintf("%d files", len(r.Sources))
	if len(r.Sources) == 1 {
		files = r.Sources[0].Path
	}
	lines := []string{
		fmt.Sprintf("read %s events from %s: %s applied, %s late, %s duplicates, %s filtered, %s rejected",
			term.Int(s.In), files, term.Int(s.Applied), term.Int(s.Late), term.Int(s.Duplicate), term.Int(s.Filtered), term.Int(s.DLQ)),
	}
	where := r.Output
	if where == "-" {
		where = "the standard output"
	}
	lines = append(lines, fmt.Sprintf("wrote %s rows of %s to %s in %.2f s (%s)",
		st.Bold(term.Int(r.Written)), r.View.Name, where, seconds, term.Rate(s.In, seconds)))
	switch {
	case s.DLQ > 0 && r.DLQ != "":
		lines = append(lines, fmt.Sprintf("rejected records lie in %s", r.DLQ))
	case s.DLQ > 0:
		lines = append(lines, "run it with --dlq FILE to see what was rejected and why")
	}
	return lines
}
