package features

import "slices"

// AlertSuffix ends the name of the output of a view's alerts. No view can have such a name.
const AlertSuffix = ".alerts"

// AlertOutput is what changes of a view's alerts are as rows: of its entities and, in the last entity
// column, the alert. row_ts and available_at are those of the row that made the change, the window is
// the time since the condition was true: it begins at Since and ends with that row. It has the
// view's fingerprint, which alerts are no part of. nil without alerts.
func (o *Output) AlertOutput() *Output {
	if len(o.Alerts) == 0 {
		return nil
	}
	text := func(name, doc string) Field { return Field{Name: name, Type: FieldText, Doc: doc} }
	return &Output{
		Name: o.Name + AlertSuffix, Version: o.Version, Fingerprint: o.Fingerprint, Doc: "Alerts of " + o.Name + " that began or ended.",
		Entity: append(slices.Clone(o.Entity), "alert"),
		Fields: []Field{text("state", "firing or resolved"), text("severity", "a word of the spec"), text("to", "where it is to go, a word of the spec")},
	}
}

// AlertRows fills rows with changes of the view's alerts, as AlertOutput has them. The entity of a row
// is that of the change times the number of alerts, plus the number of the alert.
func (o *Output) AlertRows(rows *ViewRows, changes []AlertRow) {
	*rows = ViewRows{Features: make([]OutCol, 3)}
	for c := range rows.Features {
		rows.Features[c].Off = []int32{0}
	}
	for i := range changes {
		c := &changes[i]
		rows.Entity = append(rows.Entity, c.Entity*uint32(len(o.Alerts))+uint32(c.Alert))
		rows.Start, rows.End = append(rows.Start, c.Since), append(rows.End, c.RowTS+1)
		rows.RowTS, rows.Avail, rows.Flags = append(rows.RowTS, c.RowTS), append(rows.Avail, c.Avail), append(rows.Flags, 0)
		state := "resolved"
		if c.Firing {
			state = "firing"
		}
		for k, text := range [...]string{state, o.Alerts[c.Alert].Severity, o.Alerts[c.Alert].To} {
			col := &rows.Features[k]
			if text == "" {
				for len(col.Null) <= i>>6 {
					col.Null = append(col.Null, 0)
				}
				col.Null[i>>6] |= 1 << (i & 63)
			}
			col.Bytes = append(col.Bytes, text...)
			col.Off = append(col.Off, int32(len(col.Bytes)))
		}
	}
}
