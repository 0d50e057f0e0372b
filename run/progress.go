package run

import (
	"fmt"
	"time"

	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
)

// State is what a run has done after some seconds.
type State struct {
	Seconds float64 `json:"seconds"`
	Read    int64   `json:"bytes_read"`
	Total   int64   `json:"bytes_total"` // -1 when unknown
	Pass    int     `json:"pass"`
	Passes  int     `json:"passes"`
	Events  int64   `json:"events"`
	Rows    int64   `json:"rows"`
	Bad     int64   `json:"bad"`
	Time    string  `json:"event_time"`
	Left    float64 `json:"seconds_left"` // -1 when unknown
}

// Progress reads a meter after so many seconds.
func Progress(m *Meter, seconds float64) State {
	s := State{
		Seconds: seconds, Events: m.Events.Load(), Rows: m.Rows.Load(), Bad: m.Bad.Load(), Left: -1,
		Pass: max(1, int(m.Pass.Load())), Passes: max(1, int(m.Passes.Load())),
	}
	s.Read, s.Total = m.Bytes()
	if t := m.Time.Load(); t != 0 {
		s.Time = market.FormatTime(t)
	}
	if s.Total > 0 && s.Read > 0 {
		done := (float64(s.Pass-1) + min(1, float64(s.Read)/float64(s.Total))) / float64(s.Passes)
		if done > 0 {
			s.Left = seconds * (1 - done) / done
		}
	}
	return s
}

// Text is the state in one line.
func (s State) Text() string {
	of := ""
	if s.Total >= 0 {
		of = " of " + term.Bytes(s.Total)
	}
	pass := ""
	if s.Passes > 1 {
		pass = fmt.Sprintf("reading %d of %d, ", s.Pass, s.Passes)
	}
	line := fmt.Sprintf("%s%s%s, %s events (%s), %s rows", pass, term.Bytes(s.Read), of, term.Int(s.Events), term.Rate(s.Events, s.Seconds), term.Int(s.Rows))
	if s.Bad > 0 {
		line += ", " + term.Int(s.Bad) + " rejected"
	}
	if s.Time != "" {
		line += ", at " + s.Time
	}
	if s.Left >= 0 {
		line += ", " + time.Duration(s.Left*1e9).Round(time.Second).String() + " left"
	}
	return line
}
