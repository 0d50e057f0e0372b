package run

import (
	"fmt"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run/rowfile"
)

// AlertCount is what became of one alert of the written view, over all entities.
type AlertCount struct {
	Alert  string `json:"alert"`
	Fired  int64  `json:"fired"`
	Firing int64  `json:"firing"` // not resolved at the end
}

// alertSink writes the changes of alerts of one view: one record when an alert begins,
// one when it is resolved.
type alertSink struct {
	w      rowfile.Writer // nil: only counted
	view   int
	out    *features.Output
	counts []AlertCount
}

// AlertSchema is the columns of alert records. The entity columns are those of the rows.
func AlertSchema(o *features.Output, build string) *rowfile.Schema {
	s := &rowfile.Schema{Meta: Schema(o, build).Meta}
	text := func(name, doc string, nullable bool) {
		s.Fields = append(s.Fields, rowfile.Field{Name: name, Type: market.TypeText, Nullable: nullable, Doc: doc})
	}
	at := func(name, doc string) {
		s.Fields = append(s.Fields, rowfile.Field{Name: name, Type: market.TypeTime, Unit: "us", Doc: doc})
	}
	text("view", "", false)
	text("alert", "", false)
	for _, e := range o.Entity {
		text(e, "", false)
	}
	text("state", "firing or resolved", false)
	at("since", "row_ts of the row from which on the condition was true")
	at("at", "row_ts of the row that changed the state")
	at("available_at", "when that row could first be known")
	text("severity", "", true)
	text("to", "", true)
	return s
}

func newAlertSink(w rowfile.Writer, view int, o *features.Output) *alertSink {
	s := &alertSink{w: w, view: view, out: o}
	for _, a := range o.Alerts {
		s.counts = append(s.counts, AlertCount{Alert: a.Name})
	}
	return s
}

// write writes records; names resolves entity numbers.
func (s *alertSink) write(rows []features.AlertRow, names func(view int, entity uint32) []string) error {
	for i := range rows {
		c := &s.counts[rows[i].Alert]
		if rows[i].Firing {
			c.Fired++
			c.Firing++
		} else {
			c.Firing--
		}
	}
	if s.w == nil || len(rows) == 0 {
		return nil
	}
	b := &rowfile.Batch{N: len(rows)}
	texts := func(of func(r *features.AlertRow) string, nullable bool) {
		c := rowfile.Col{Off: []int32{0}}
		if nullable {
			c.Null = make([]uint64, (len(rows)+63)/64)
		}
		for i := range rows {
			t := of(&rows[i])
			if nullable && t == "" {
				c.Null[i>>6] |= 1 << (i & 63)
			}
			c.Bytes = append(c.Bytes, t...)
			c.Off = append(c.Off, int32(len(c.Bytes)))
		}
		b.Cols = append(b.Cols, c)
	}
	times := func(of func(r *features.AlertRow) int64) {
		c := rowfile.Col{}
		for i := range rows {
			c.I64 = append(c.I64, of(&rows[i]))
		}
		b.Cols = append(b.Cols, c)
	}
	def := func(r *features.AlertRow) *features.AlertDef { return &s.out.Alerts[r.Alert] }
	texts(func(*features.AlertRow) string { return s.out.Name }, false)
	texts(func(r *features.AlertRow) string { return def(r).Name }, false)
	for k := range s.out.Entity {
		texts(func(r *features.AlertRow) string { return names(s.view, r.Entity)[k] }, false)
	}
	texts(func(r *features.AlertRow) string {
		if r.Firing {
			return "firing"
		}
		return "resolved"
	}, false)
	times(func(r *features.AlertRow) int64 { return r.Since })
	times(func(r *features.AlertRow) int64 { return r.RowTS })
	times(func(r *features.AlertRow) int64 { return r.Avail })
	texts(func(r *features.AlertRow) string { return def(r).Severity }, true)
	texts(func(r *features.AlertRow) string { return def(r).To }, true)
	return s.w.Write(b)
}

// openAlerts starts the file of alerts, if one is asked for.
func (j *job) openAlerts(o *features.Output) error {
	if j.env.Alerts != nil {
		j.alerts = newAlertSink(j.env.Alerts(AlertSchema(o, j.env.Build)), j.view, o)
		return nil
	}
	if j.cfg.Alerts == "" {
		j.alerts = newAlertSink(nil, j.view, o)
		return nil
	}
	if len(o.Alerts) == 0 {
		return fault.Usage("alerts_none", fmt.Sprintf("view %s has no alerts", o.Name), "write alert: in its spec, or choose the view with --view")
	}
	schema := AlertSchema(o, j.env.Build)
	var w rowfile.Writer
	var err error
	switch {
	case j.cfg.Alerts != "-":
		j.files.alerts, err = rowfile.Create(j.cfg.Alerts, schema)
		w = j.files.alerts
	case j.env.Table != nil:
		w = j.env.Table(schema)
	default:
		w, err = rowfile.New(j.env.Stdout, j.env.Rows, schema)
	}
	if err != nil {
		j.files.alerts = nil
		return err
	}
	j.alerts = newAlertSink(held{w}, j.view, o)
	return nil
}

// alertLine words what became of the alerts, "" for a view without.
func alertLine(counts []AlertCount) string {
	var parts []string
	for _, c := range counts {
		p := fmt.Sprintf("%s fired %s", c.Alert, count(c.Fired, "time"))
		if c.Firing > 0 {
			p += fmt.Sprintf(", %s still firing", term.Int(c.Firing))
		}
		parts = append(parts, p)
	}
	if len(parts) == 0 {
		return ""
	}
	return "alerts: " + strings.Join(parts, "; ")
}
