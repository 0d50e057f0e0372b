package features

import (
	"slices"

	"github.com/pinova-group/tidemark/features/op"
	"github.com/pinova-group/tidemark/features/plan"
)

// AlertDef is one alert of a view.
type AlertDef struct {
	Name, Severity, To string
	Text               string // as the spec has it
}

// AlertRow is a change of one alert of one entity. Times are µs UTC.
type AlertRow struct {
	Alert  int    // in Output.Alerts
	Entity uint32 // number in the task, as in ViewRows
	Firing bool   // it began; else it was resolved
	Since  int64  // row_ts of the row from which on its condition was true
	RowTS  int64  // of the row that changed it
	Avail  int64  // when that row could first be known
}

// alerts judges the rows of a view: two states for each alert and entity that survive
// whatever the entity's windows do, because an alert may burn longer than the lookback.
type alerts struct {
	m    *op.Machine  // nil without alerts
	of   []alertPhase // entity × alert
	from int          // first record of this call
}

// alertPhase is how far an alert of an entity is.
type alertPhase struct {
	phase uint64
	since int64
}

const (
	alertQuiet uint64 = iota
	alertPending
	alertFiring
)

// judgeRow steps the alerts with a row whose features are in the finish machine. What the
// end of an input cut short is no finding.
func (v *viewState) judgeRow(row *emitted) {
	if v.task.done && row.flags&FlagPartial != 0 {
		return
	}
	a, n := &v.alerts, len(v.p.Alerts.List)
	v.loadAlerts(row)
	a.m.Run()
	for len(a.of) < (int(row.ent)+1)*n {
		a.of = append(a.of, alertPhase{})
	}
	for k := range v.p.Alerts.List {
		p := &v.p.Alerts.List[k]
		s := &a.of[int(row.ent)*n+k]
		if s.step(isTrue(&a.m.Regs[p.When]), isTrue(&a.m.Regs[p.Clear]), p.Lang.For, row.rowTS) {
			v.out.Alerts = append(v.out.Alerts, AlertRow{Alert: k, Entity: row.ent, Firing: s.phase == alertFiring,
				Since: s.since, RowTS: row.rowTS, Avail: row.avail})
		}
	}
}

// isTrue is a condition; null is false.
func isTrue(x *op.Val) bool { return !x.Null && x.I == 1 }

// step takes one row. While an alert is quiet only when counts, while it burns only clear:
// that is the hysteresis. It reports whether the alert began or ended.
func (s *alertPhase) step(when, clear bool, wait, t int64) bool {
	switch {
	case s.phase == alertFiring && clear:
		s.phase = alertQuiet
		return true
	case s.phase == alertFiring:
		return false
	case !when:
		*s = alertPhase{}
		return false
	case s.phase == alertQuiet:
		*s = alertPhase{alertPending, t}
	}
	if t-s.since < wait {
		return false
	}
	s.phase = alertFiring
	return true
}

func (v *viewState) loadAlerts(row *emitted) {
	for i := range v.p.Alerts.Loads {
		l := &v.p.Alerts.Loads[i]
		x := &v.alerts.m.Regs[l.Reg]
		switch l.Ref.Source {
		case plan.Feature:
			x.Copy(&v.fin.Regs[v.p.Outs[l.Ref.Index].Reg], l.Kind)
		case plan.OfEntity:
			setWord(x, v.ents.texts[row.ent][l.Ref.Index], &plan.Input{Ref: l.Ref, Kind: l.Kind})
		case plan.WindowStart:
			x.SetInt(row.start)
		case plan.WindowEnd:
			x.SetInt(row.end)
		case plan.AvailTime:
			x.SetInt(row.avail)
		default:
			x.SetInt(row.rowTS)
		}
	}
}

// sortAlerts orders the records of this call as the rows are.
func (v *viewState) sortAlerts() {
	if v.alerts.m == nil || len(v.out.Alerts)-v.alerts.from < 2 {
		return
	}
	v.ents.ranks()
	slices.SortStableFunc(v.out.Alerts[v.alerts.from:], func(a, b AlertRow) int {
		switch {
		case a.RowTS < b.RowTS:
			return -1
		case a.RowTS > b.RowTS:
			return 1
		}
		return int(v.ents.rank[a.Entity]) - int(v.ents.rank[b.Entity])
	})
}

// saveAlerts writes the alerts that are not quiet, by entity names. Which alerts they are
// stands with them, because the fingerprint does not say.
func (v *viewState) saveAlerts(w *writer) {
	list := v.p.Alerts.List
	n := len(list)
	w.word(uint64(n))
	if n == 0 {
		return
	}
	for i := range list {
		w.text(list[i].Lang.Name)
		w.text(list[i].Lang.Text)
	}
	v.ents.ranks()
	burning := make([][]alertPhase, len(v.ents.names)) // by rank
	names := make([][]string, len(burning))
	count := 0
	for ent := 0; (ent+1)*n <= len(v.alerts.of); ent++ {
		of := v.alerts.of[ent*n : ent*n+n]
		if slices.ContainsFunc(of, func(s alertPhase) bool { return s.phase != alertQuiet }) {
			burning[v.ents.rank[ent]], names[v.ents.rank[ent]] = of, v.ents.names[ent][:len(v.ents.by)]
			count++
		}
	}
	w.word(uint64(count))
	for r, of := range burning {
		if of == nil {
			continue
		}
		for _, name := range names[r] {
			w.text(name)
		}
		for _, s := range of {
			if s.phase == alertQuiet {
				s.since = 0
			}
			w.word(s.phase)
			w.word(uint64(s.since))
		}
	}
}

// lastInstant bounds the times in a snapshot, so that differences of them fit.
const lastInstant = 1 << 61

// restoreAlerts reads them; those of alerts that are written otherwise now are forgotten.
func (v *viewState) restoreAlerts(r *reader) {
	list := v.p.Alerts.List
	at := make([]int, r.count(16))
	for i := range at {
		name, text := string(r.text()), string(r.text())
		at[i] = slices.IndexFunc(list, func(a plan.Alert) bool { return a.Lang.Name == name && a.Lang.Text == text })
	}
	if len(at) == 0 || r.bad {
		return
	}
	for range r.count(16 * len(at)) {
		ns := make([]string, 0, len(v.ents.by)+len(v.ents.more))
		for range v.ents.by {
			ns = append(ns, string(r.text()))
		}
		if r.bad {
			return
		}
		ent := int(v.ents.number(v.ents.complete(ns)))
		for _, k := range at {
			s := alertPhase{r.word(), int64(r.word())}
			if s.phase > alertFiring || s.phase == alertQuiet && s.since != 0 || s.since < 0 || s.since > lastInstant {
				r.bad = true
				return
			}
			if k < 0 {
				continue
			}
			for len(v.alerts.of) < (ent+1)*len(list) {
				v.alerts.of = append(v.alerts.of, alertPhase{})
			}
			v.alerts.of[ent*len(list)+k] = s
		}
	}
}
