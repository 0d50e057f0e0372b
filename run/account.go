package run

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/input"
	"github.com/pinova-group/tidemark/sequence"
)

// Counts is the account of input. Pending is 0 at the end of a run.
type Counts = sequence.Counts

// Stats is the accounting of a run, as --stats writes it.
type Stats struct {
	Counts
	Rows   map[string]int64   `json:"rows"`    // result rows by view
	ByFeed map[string]*Counts `json:"by_feed"` // input by feed
}

// unknownFeed is the name under which files without one event are booked.
const unknownFeed = "unknown"

// settle makes the account out of what the sequencer counted, what never became an event
// and what lay outside the selection.
func settle(seq []sequence.FeedCounts, sources []*input.Source, outside *selection, feeds *market.Feeds, feed string) (*Stats, error) {
	st := &Stats{Rows: map[string]int64{}, ByFeed: map[string]*Counts{}}
	of := func(name string) *Counts {
		if st.ByFeed[name] == nil {
			st.ByFeed[name] = &Counts{}
		}
		return st.ByFeed[name]
	}
	for _, f := range seq {
		*of(f.Feed) = f.Counts
	}
	for id, n := range outside.counts {
		c := of(feeds.Get(id).Name)
		c.Applied -= n.applied
		c.Late -= n.late
		c.Filtered += n.applied + n.late
	}
	var events int64
	ofPath := map[string]string{}
	for _, s := range sources {
		if len(s.Lines) > 0 {
			ofPath[s.Path] = feeds.Get(s.Lines[0].Feed).Name
		}
	}
	for _, s := range sources {
		events += s.Events
		name := unknownFeed
		switch {
		case len(s.Lines) > 0:
			name = feeds.Get(s.Lines[0].Feed).Name
		case ofPath[s.Path] != "":
			name = ofPath[s.Path] // another connection of the capture
		case feed != "":
			name = feed
		}
		if n := s.Bad + s.Filtered; n > 0 {
			of(name).Add(&Counts{In: n, DLQ: s.Bad, Filtered: s.Filtered})
		}
	}
	for name, c := range st.ByFeed {
		st.Add(c)
		if !c.Balanced() {
			return st, fmt.Errorf("BUG: the account of feed %q does not balance: %+v", name, *c)
		}
	}
	var bad int64
	for _, s := range sources {
		bad += s.Bad + s.Filtered
	}
	if st.In != events+bad || !st.Balanced() || st.Pending != 0 {
		return st, fmt.Errorf("BUG: the account does not balance: %+v, %d events and %d other records were read", st.Counts, events, bad)
	}
	return st, nil
}

// WriteJSON writes the stable form of the accounting: one object, one line.
func (s *Stats) WriteJSON(w io.Writer) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// Exit is the exit code that the account asks for.
func (s *Stats) Exit() int {
	if s.DLQ > 0 {
		return fault.ExitRejected
	}
	return fault.ExitDone
}
