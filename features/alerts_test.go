package features_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
)

var alertSpecs = []string{strings.Replace(barsSpec, "features:", "empty: nulls\nfeatures:", 1) + `
alert:
  busy: {when: trades > 2, for: 1m, severity: low, to: desk.alerts}
  silent: {when: trades == 0}
  swing: {when: high / low > 1.5, clear: high / low < 1.2}
  odd: {when: imbalance > 0 and exchange == 'kraken' or market == perp, for: 2m, clear: trades % 3 == 2 and window_end > window_start}
  delayed: {when: available_at - row_ts > 900ms, clear: row_ts > window_start and abs(vwap) > 0}
`, `
view: bars_1h
version: 1
from: bars
by: [exchange, market, symbol]
window: {tumbling: 1h}
rollup: all
alert:
  many: {when: trades > 20, clear: trades < 5}
`, `
view: moves
version: 1
from: bars
where: trades > 0
by: [symbol]
features:
  gain: close / open - 1
  last_side: close
alert:
  up: {when: gain > 0.2, clear: gain < 0}
`}

// alertLine is a record as text.
type alertLine struct {
	view int
	ts   int64
	ent  []string
	text string
}

// refAlerts looks for alerts in all rows of a view: one begins at the first row at which
// its condition has been true without a break for as long as it must, and ends at the
// first row after that which clears it.
func (r *rig) refAlerts(ref map[*lang.View][]refRow) []alertLine {
	var out []alertLine
	for vi, v := range r.views {
		byEnt := map[string][]*refRow{}
		for i := range ref[v] {
			row := &ref[v][i]
			if row.flags&features.FlagPartial == 0 {
				k := strings.Join(row.ent, "\x00")
				byEnt[k] = append(byEnt[k], row)
			}
		}
		for ai, a := range v.Alerts {
			for _, rows := range byEnt {
				is := func(n *lang.Node, i int) bool { b, _ := eval(n, rowLeaf(v, rows[i])).(bool); return b }
				line := func(i, since int, what string) {
					out = append(out, alertLine{vi, rows[i].rowTS, rows[i].ent,
						fmt.Sprint(rows[i].ent, a.Name, what, rows[since].rowTS, rows[i].rowTS, rows[i].avail, ai)})
				}
				for i := 0; i < len(rows); i++ {
					since := i
					for i < len(rows) && is(a.When, i) && rows[i].rowTS-rows[since].rowTS < a.For {
						i++
					}
					if i == len(rows) || !is(a.When, i) {
						continue
					}
					line(i, since, " firing ")
					for i++; i < len(rows) && !is(a.Clear, i); {
						i++
					}
					if i < len(rows) {
						line(i, since, " resolved ")
					}
				}
			}
		}
	}
	return sortedAlerts(out)
}

func rowLeaf(v *lang.View, row *refRow) func(*lang.Node) value {
	return func(n *lang.Node) value {
		switch n.Op {
		case lang.NFeature:
			return row.vals[n.Index]
		case lang.NWindowStart:
			return rat(row.start)
		case lang.NWindowEnd:
			return rat(row.end)
		}
		switch n.Fn {
		case "row_ts":
			return rat(row.rowTS)
		case "available_at":
			return rat(row.avail)
		}
		name := row.ent[slices.Index(v.By, n.Fn)]
		if n.Type.Kind == lang.TEnum {
			return rat(int64(slices.Index(n.Type.Words, name)))
		}
		return name
	}
}

func sortedAlerts(lines []alertLine) []alertLine {
	slices.SortStableFunc(lines, func(a, b alertLine) int {
		switch {
		case a.view != b.view:
			return a.view - b.view
		case a.ts != b.ts:
			return int(min(max(a.ts-b.ts, -1), 1))
		case slices.Compare(a.ent, b.ent) != 0:
			return slices.Compare(a.ent, b.ent)
		}
		return strings.Compare(a.text[len(a.text)-1:], b.text[len(b.text)-1:]) // the number of the alert
	})
	return lines
}

// Alerts are those of the reference, however the engine is driven, and in the order of rows.
func TestAlerts_MatchReference(t *testing.T) {
	t.Parallel()
	r := newRig(t, alertSpecs...)
	fired := 0
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, 300).Draw(rt, "n")
		events := r.events(seed, n)
		h := how{batch: rapid.SampledFrom([]int{1, 7, 1000}).Draw(rt, "batch"), shards: 1, seed: seed, last: events[n-1].ts}
		h.restore = rapid.Bool().Draw(rt, "restore")
		h.shards = rapid.SampledFrom([]int{1, 3}).Draw(rt, "shards")
		if rapid.Bool().Draw(rt, "by mark") {
			h.mark = events[n-1].ts + 1 + int64(seed%uint64(200e6))
		}
		var got []alertLine
		r.also = func(task *features.Task, out *features.Rows) {
			for v := range out.Views {
				var step []alertLine
				for _, a := range out.Views[v].Alerts {
					ent, what := task.EntityNames(v, a.Entity), " resolved "
					if a.Firing {
						what = " firing "
					}
					step = append(step, alertLine{v, a.RowTS, ent,
						fmt.Sprint(ent, r.plan.Outputs()[v].Alerts[a.Alert].Name, what, a.Since, a.RowTS, a.Avail, a.Alert)})
				}
				if again := sortedAlerts(slices.Clone(step)); fmt.Sprint(again) != fmt.Sprint(step) {
					rt.Fatalf("alerts out of order: %v", step)
				}
				got = append(got, step...)
			}
		}
		r.drive(events, h)
		got = sortedAlerts(got)
		want := r.refAlerts(r.world.run(r.views, exact(events), span{mark: h.mark, closed: h.mark == 0, last: h.last}))
		fired += len(want)
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i].text != want[i].text {
				rt.Fatalf("%+v: record %d\n got %v\nwant %v", h, i, got[min(i, len(got)):], want[min(i, len(want)):])
			}
		}
	})
	if fired == 0 {
		t.Error("no alert ever fired")
	}
}

// Alerts are no part of the fingerprint, and a state goes on under a plan with others:
// what is written as before burns on, what is not is forgotten.
func TestAlerts_StateSurvivesOtherAlerts(t *testing.T) {
	const view = "view: v\nversion: 1\nfrom: trade\nby: [symbol]\nwindow: {tumbling: 1m}\nfeatures:\n  n: count()\nalert:\n"
	old := newRig(t, view+"  a: {when: n > 0, clear: n > 2}\n  b: {when: n > 0, clear: n > 2}\n")
	now := newRig(t, view+"  c: {when: n > 5}\n  b: {when: n > 1, clear: n > 2}\n  a: {when: n > 0, clear: n > 2}\n")
	if old.plan.Outputs()[0].Fingerprint != now.plan.Outputs()[0].Fingerprint {
		t.Fatal("alerts changed the fingerprint")
	}
	if plain := newRig(t, strings.TrimSuffix(view, "alert:\n")); plain.plan.Outputs()[0].Fingerprint != now.plan.Outputs()[0].Fingerprint {
		t.Fatal("alerts are part of the fingerprint")
	}
	task := old.plan.NewTask(old.insts, 0)
	var out features.Rows
	push := func(task *features.Task, at int64, n int64) []features.AlertRow {
		t.Helper()
		var es []*event
		for i := range n {
			es = append(es, trade(at+i, 100))
		}
		if err := task.Push(old.batch(es...)); err != nil {
			t.Fatal(err)
		}
		out.Reset()
		if err := task.Advance(marks(at+market.Minute), &out); err != nil {
			t.Fatal(err)
		}
		return out.Views[0].Alerts
	}
	if got := push(task, t0, 1); len(got) != 2 {
		t.Fatalf("fired %v", got)
	}
	task, err := now.plan.Restore(now.insts, task.AppendSnapshot(nil))
	if err != nil {
		t.Fatal(err)
	}
	got := push(task, t0+market.Minute, 3)
	// b was written otherwise, so it begins anew; a goes on and ends.
	if len(got) != 2 || got[0].Alert != 1 || !got[0].Firing || got[1].Alert != 2 || got[1].Firing || got[1].Since != t0+market.Minute-1 {
		t.Errorf("alerts %+v", got)
	}
	// An hour without an event forgets the windows, not the alert that burns.
	out.Reset()
	if err := task.Advance(marks(t0+market.Day), &out); err != nil {
		t.Fatal(err)
	}
	if task, err = now.plan.Restore(now.insts, task.AppendSnapshot(nil)); err != nil {
		t.Fatal(err)
	}
	if got = push(task, t0+market.Day, 4); len(got) != 2 || got[0].Firing || got[0].Alert != 1 || !got[1].Firing || got[1].Alert != 2 {
		t.Errorf("after a day: %+v", got)
	}
}
