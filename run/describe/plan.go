package describe

import (
	"context"
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

// Stage is one view of a plan in the order of evaluation.
type Stage struct {
	View      string  `json:"view"`
	From      string  `json:"from"`
	Window    string  `json:"window"`
	Lookback  int64   `json:"lookback_us"`
	Reach     int64   `json:"reach_us"`
	State     int     `json:"state_bytes_per_entity"`
	Rows      int64   `json:"sample_rows,omitempty"`
	RowsSec   float64 `json:"rows_per_second,omitempty"` // of event time
	BytesDay  float64 `json:"bytes_per_day,omitempty"`   // as Parquet
	RowsInput float64 `json:"rows_per_event,omitempty"`
	Entities  int     `json:"sample_entities,omitempty"`                  // with state at its greatest
	Measured  int     `json:"measured_state_bytes_per_entity,omitempty"`  // then
	Predicted int     `json:"predicted_state_bytes_per_entity,omitempty"` // from the sample's rows
	Full      int     `json:"full_state_bytes_per_entity,omitempty"`      // once as much has come as views look back
}

// Read is one input of a plan and what is read of it.
type Read struct {
	Kind     string   `json:"kind"`
	Columns  []string `json:"columns"`
	Lookback int64    `json:"lookback_us"`
}

// Plan says what a plan needs and, from a sample, what it gives.
type Plan struct {
	Stages  []Stage `json:"stages"`
	Inputs  []Read  `json:"inputs"`
	Groups  []Group `json:"groups"`
	Costs   *Costs  `json:"operations,omitempty"`
	Sampled bool    `json:"sampled"`
	Events  int64   `json:"sample_events,omitempty"`
	Seconds float64 `json:"sample_seconds,omitempty"` // of event time
	Speed   float64 `json:"events_per_second,omitempty"`
}

// MakePlan describes the plan of some specs; with inputs it also runs them as a sample.
// clock gives the seconds since any fixed instant.
func MakePlan(ctx context.Context, cfg run.Config, env run.Env, clock func() float64) (*Plan, error) {
	c, err := Compile(cfg.Specs, cfg.Set)
	if err != nil {
		return nil, err
	}
	p := &Plan{}
	for i := range c.Views {
		v := &c.Views[i]
		p.Stages = append(p.Stages, Stage{View: v.Name, From: v.from(), Window: v.window(), Lookback: v.Lookback, Reach: v.Reach, State: v.StateBytesPerKey})
	}
	for _, in := range c.Inputs {
		cols := in.Columns
		if cols == nil {
			cols = []string{}
		}
		p.Inputs = append(p.Inputs, Read{in.Name, cols, in.Lookback})
	}
	p.Groups = c.groups()
	if len(cfg.Inputs) == 0 {
		return p, nil
	}
	began := clock()
	s, err := run.Sample(ctx, cfg, env)
	if err != nil {
		return nil, err
	}
	p.Sampled, p.Events = true, s.Events
	if took := clock() - began; took > 0 {
		p.Speed = float64(s.Events) / took
	}
	p.state(c.plan, s)
	if p.Costs, err = c.costs(s); err != nil {
		return nil, err
	}
	p.Seconds = float64(s.Last-s.First) / float64(market.Second)
	for i := range p.Stages {
		st := &p.Stages[i]
		st.Rows = s.Rows[i]
		if s.Events > 0 {
			st.RowsInput = float64(st.Rows) / float64(s.Events)
		}
		if p.Seconds > 0 {
			st.RowsSec = float64(st.Rows) / p.Seconds
			st.BytesDay = float64(s.Bytes[i]) / p.Seconds * 86400
		}
	}
	return p, nil
}

// Text prints the plan for people.
func (p *Plan) Text(st term.Style) string {
	var b strings.Builder
	cols := []term.Column{{Head: "view"}, {Head: "from"}, {Head: "window"}, {Head: "lookback", Right: true}, {Head: "reach", Right: true}, {Head: "state/entity", Right: true}}
	if p.Sampled {
		cols = append(cols, term.Column{Head: "measured", Right: true}, term.Column{Head: "predicted", Right: true}, term.Column{Head: "when full", Right: true}, term.Column{Head: "entities", Right: true}, term.Column{Head: "rows/s", Right: true}, term.Column{Head: "per day", Right: true})
	}
	var rows [][]string
	for _, s := range p.Stages {
		r := []string{s.View, s.From, s.Window, run.FormatDuration(s.Lookback), run.FormatDuration(s.Reach), term.Bytes(int64(s.State))}
		if p.Sampled {
			measured, predicted, full := "-", "-", "-"
			if s.Entities > 0 {
				measured, predicted, full = term.Bytes(int64(s.Measured)), term.Bytes(int64(s.Predicted)), term.Bytes(int64(s.Full))
			}
			r = append(r, measured, predicted, full, term.Int(int64(s.Entities)), fmt.Sprintf("%.3g", s.RowsSec), term.Bytes(int64(s.BytesDay)))
		}
		rows = append(rows, r)
	}
	b.WriteString(st.Table(cols, rows))
	b.WriteByte('\n')
	rows = nil
	for _, in := range p.Inputs {
		rows = append(rows, []string{in.Kind, strings.Join(in.Columns, ", "), run.FormatDuration(in.Lookback)})
	}
	b.WriteString(st.Table([]term.Column{{Head: "reads"}, {Head: "columns"}, {Head: "lookback", Right: true}}, rows))
	b.WriteByte('\n')
	b.WriteString(groupsText(p.Groups, st))
	if p.Costs != nil {
		p.Costs.text(&b, st)
	}
	if p.Sampled {
		fmt.Fprintf(&b, "\nmeasured over %s events, %.0f s of event time; this machine does %s; sizes are Parquet, all entities of the sample\n",
			term.Int(p.Events), p.Seconds, term.Rate(int64(p.Speed), 1))
	} else {
		b.WriteString("\nwith --input FILE it also measures rows per second and bytes per day\n")
	}
	return b.String()
}
