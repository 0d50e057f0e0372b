package backfill

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pinova-group/tidemark/features/stale"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

// Request is what is to be computed and published.
type Request struct {
	Views   []string // outputs of the plan; each has a table of its own
	Range            // of row_ts; a side that is market.NoTime is as far as the input goes
	As      As
	Symbols []string // canonical; nil for all
	Step    int64    // µs of a task, 0 for one that suits
	Parts   []Part   // of each of Views what is replaced, within Range; nil for all of it

	workers int // tasks at once
}

// Part is rows of a view: those of its entities with row_ts in a range.
type Part struct {
	Range
	Keys []stale.Key // none is all entities
}

// has reports whether the row of an entity at a time is of the part.
func (p *Part) has(by, entity []string, ts int64) bool {
	return ts >= p.From && ts < p.To && (p.Keys == nil || slices.ContainsFunc(p.Keys, func(k stale.Key) bool { return k.Has(by, entity) }))
}

// part is what is replaced of view i.
func (r *Request) part(i int) Part {
	if r.Parts == nil {
		return Part{Range: r.Range}
	}
	return r.Parts[i]
}

// Plan is what a backfill would do. It is a function of the request and of what is in the lake.
type Plan struct {
	Views       []PlanView  `json:"views"`
	From        int64       `json:"from"`
	To          int64       `json:"to"`
	As          string      `json:"as"`
	Symbols     []string    `json:"symbols,omitempty"`
	Lookback    int64       `json:"lookback_us"`
	Inputs      []PlanInput `json:"inputs"`
	Absent      []string    `json:"inputs_absent,omitempty"`
	Step        int64       `json:"step_us"`
	Tasks       []Task      `json:"tasks"`
	Rows        int64       `json:"rows"`              // events that are read in all tasks, those of the lookback included: at most
	Bytes       int64       `json:"bytes"`             // of their files
	Again       float64     `json:"read_again"`        // share of the rows that are read for lookback
	Finished    int         `json:"finished"`          // tasks that an earlier run has finished
	Nothing     string      `json:"nothing,omitempty"` // why nothing is to be done, "" when something is
	Publication string      `json:"publication"`
	Notes       []string    `json:"notes,omitempty"`

	stage string
}

// PlanView is one view whose rows are replaced.
type PlanView struct {
	View        string `json:"view"`
	Version     int    `json:"version"`
	Table       string `json:"table"`
	Exists      bool   `json:"exists"`
	Fingerprint string `json:"fingerprint"`
	From        int64  `json:"from"`
	To          int64  `json:"to"`
	Entities    string `json:"entities,omitempty"` // "" is all

	out int // of Plan.Outputs
}

// PlanInput is what is read of one table.
type PlanInput struct {
	Table    string `json:"table"`
	Snapshot int64  `json:"snapshot_id"`
	Lookback int64  `json:"lookback_us"`
	Files    int    `json:"files"`
	Rows     int64  `json:"rows"` // of these files
	Bytes    int64  `json:"bytes"`
}

// Task is rows of one stretch of the range, computed in one run of the engine.
type Task struct {
	From  int64 `json:"from"`
	To    int64 `json:"to"`
	Files int   `json:"files"`
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"`
	Done  bool  `json:"done"` // an earlier run has finished it

	key string // all that its rows depend on
}

// tableState is what a plan has to know of a feature table.
type tableState struct {
	exists    bool
	uuid      string
	through   int64 // rows below it have come from the stream, 0: there is no stream
	staged    *staged
	published []lake.Published // of all tables, oldest first
}

// maxTasks bounds what is noted of a backfill under way in the table (I11).
const maxTasks = 128

// mostRows is how many events a task has at most, unless most of them would be lookback then: some seconds of work, which is
// what a kill costs. A task costs as much as taskCosts events besides.
const (
	mostRows  = 12 << 20
	taskCosts = 1 << 20
)

// steps are the lengths of tasks.
var steps = []int64{
	market.Minute, 5 * market.Minute, 15 * market.Minute, market.Hour, 2 * market.Hour, 3 * market.Hour, 4 * market.Hour, 6 * market.Hour, 8 * market.Hour,
	12 * market.Hour, market.Day, 2 * market.Day, market.Week, 4 * market.Week, 12 * market.Week, 52 * market.Week,
}

// step is the length of a task that suits a range, of which a part has all rows: so many workers are done soonest, or a
// tenth later with shorter tasks, as each task reads its lookback again and the last ones leave workers idle.
func step(r, part Range, lookback, rows int64, workers int) int64 {
	type cut struct {
		step int64
		cost float64 // in events
	}
	var cuts []cut
	for _, s := range steps {
		if (r.To-r.From+s-1)/s >= maxTasks {
			continue
		}
		n := (part.To - part.From + s - 1) / s
		if k := len(cuts); k > 0 && rows/n > mostRows && cuts[k-1].step >= 4*lookback {
			break
		}
		each := float64(rows) * float64(min(s, part.To-part.From)+lookback) / float64(part.To-part.From)
		rounds := (n + int64(workers) - 1) / int64(workers)
		cuts = append(cuts, cut{s, float64(rounds) * (each + taskCosts)})
		if n == 1 {
			break
		}
	}
	least := math.Inf(1)
	for _, c := range cuts {
		least = min(least, c.cost)
	}
	for _, c := range cuts {
		if c.cost <= 1.1*least {
			return c.step
		}
	}
	return r.To - r.From
}

// cut cuts a range at the multiples of a step.
func cut(r Range, step int64) (parts []Range) {
	for at := r.From; at < r.To; {
		next := min(r.To, (market.FloorDiv(at, step)+1)*step)
		parts = append(parts, Range{at, next})
		at = next
	}
	return parts
}

// plan works out what is to be done. It looks at nothing but its arguments.
func (in *Inputs) plan(req Request, tables []tableState) (*Plan, error) {
	p := &Plan{As: req.As.String(), Symbols: req.Symbols, Absent: in.Absent}
	if err := in.bounds(&req); err != nil {
		return nil, err
	}
	p.From, p.To = req.From, req.To
	if err := in.planViews(p, req, tables); err != nil {
		return nil, err
	}
	for i := range in.Tables {
		t := &in.Tables[i]
		files := t.within(req.Range)
		pi := PlanInput{Table: t.Name, Snapshot: t.Snapshot, Lookback: t.input.Lookback, Files: len(files)}
		for _, f := range files {
			pi.Rows += f.Rows
			pi.Bytes += f.Bytes
		}
		p.Inputs = append(p.Inputs, pi)
		p.Lookback = max(p.Lookback, t.input.Lookback)
	}
	p.stage = digest("stage", stageParts(p, req)...)[:16]
	if err := in.planTasks(p, req, tables); err != nil {
		return nil, err
	}
	in.publication(p, req, tables)
	in.notes(p, req)
	return p, nil
}

// bounds fills in the open sides of the range and refuses one that has no input.
func (in *Inputs) bounds(req *Request) error {
	first := market.NoTime
	for i := range in.Tables {
		for _, f := range in.Tables[i].Files {
			if first == market.NoTime || f.First < first {
				first = f.First
			}
		}
	}
	if first == market.NoTime {
		return &fault.Error{Code: "no_input", Message: "the tables that the views read have no rows", Where: in.names(), Exit: fault.ExitUsage, Remedy: "tidemark lake import fills them"}
	}
	if req.From == market.NoTime {
		req.From = first
	}
	if req.To == market.NoTime {
		if req.To = in.Last + 1; in.Sealed != market.NoTime {
			req.To = in.Sealed
		}
	}
	switch {
	case req.From >= req.To:
		return fault.Usage("range_empty", fmt.Sprintf("the range [%s, %s) is empty", market.FormatTime(req.From), market.FormatTime(req.To)),
			"--from is the first instant, --to the first one after the range")
	case in.Sealed != market.NoTime && req.To > in.Sealed:
		return &fault.Error{Code: "not_sealed", Message: "the end of the range is not complete yet", Where: in.names(), Exit: fault.ExitUsage,
			Why:    fmt.Sprintf("the tables that are filled from topics are complete up to %s, and the range goes to %s", market.FormatTime(in.Sealed), market.FormatTime(req.To)),
			Remedy: "wait, or give --to " + market.FormatTime(in.Sealed)}
	}
	if in.reaches(req.Range, math.MaxInt64) {
		return nil
	}
	return &fault.Error{Code: "no_input", Message: "the range has no events, nor has its lookback", Where: in.names(), Exit: fault.ExitUsage,
		Why:    fmt.Sprintf("events are from %s to %s, the range is [%s, %s)", market.FormatTime(first), market.FormatTime(in.Last), market.FormatTime(req.From), market.FormatTime(req.To)),
		Remedy: "tidemark lake tables says what is there"}
}

// held is the part of a range that files have events in, all of it when they have none.
func (in *Inputs) held(r Range) Range {
	part := Range{r.To, r.From}
	for i := range in.Tables {
		for _, f := range in.Tables[i].Files {
			part.From, part.To = min(part.From, max(f.First, r.From)), max(part.To, min(f.Last+1, r.To))
		}
	}
	if part.From >= part.To {
		return r
	}
	return part
}

func (in *Inputs) names() string {
	var names []string
	for _, t := range in.Tables {
		names = append(names, t.Name)
	}
	return strings.Join(names, ", ")
}

// planViews finds the views and refuses those that cannot be written.
func (in *Inputs) planViews(p *Plan, req Request, tables []tableState) error {
	for i, name := range req.Views {
		at, err := in.Views.Output(name)
		if err != nil {
			return err
		}
		o := &in.Views.Plan.Outputs()[at]
		if slices.ContainsFunc(p.Views, func(v PlanView) bool { return v.View == name }) {
			return fault.Usage("view_twice", "view "+name+" is named twice", "")
		}
		if req.Symbols != nil && !slices.Contains(o.Entity, "symbol") {
			return fault.Usage("symbols", fmt.Sprintf("rows of view %s are not by symbol but by %s", name, strings.Join(o.Entity, ", ")), "leave out --symbols")
		}
		v := PlanView{View: name, Version: o.Version, Table: run.FeatureTable(o), Exists: tables[i].exists, Fingerprint: hex.EncodeToString(o.Fingerprint[:]), out: at}
		part := req.part(i)
		v.From, v.To = part.From, part.To
		for k, key := range part.Keys {
			if k > 0 {
				v.Entities += "; "
			}
			v.Entities += key.String()
		}
		p.Views = append(p.Views, v)
		if t := tables[i].through; t != 0 && v.To > t {
			return &fault.Error{Code: "not_sealed", Message: "the table is still filled from its topic in that range", Where: v.Table, Exit: fault.ExitUsage,
				Why:    fmt.Sprintf("rows that the stream gives are in it up to %s, and those to come would be there twice", market.FormatTime(t)),
				Remedy: "give --to " + market.FormatTime(t)}
		}
	}
	return nil
}

func stageParts(p *Plan, req Request) []string {
	parts := []string{strconv.FormatInt(p.From, 10), strconv.FormatInt(p.To, 10), p.As}
	for _, v := range p.Views {
		parts = append(parts, v.Table, v.Fingerprint)
		if req.Parts != nil {
			parts = append(parts, strconv.FormatInt(v.From, 10), strconv.FormatInt(v.To, 10), v.Entities)
		}
	}
	return append(append(parts, "symbols"), req.Symbols...)
}

// key names everything that rows of a range depend on, besides what the stage is named by.
func (in *Inputs) key(r Range) string {
	parts := []string{strconv.FormatInt(r.From, 10), strconv.FormatInt(r.To, 10), strconv.FormatInt(in.end(r.To), 10)}
	for i := range in.Tables {
		t := &in.Tables[i]
		parts = append(parts, t.Name)
		for _, f := range t.within(r) {
			parts = append(parts, f.Path) // a file's name is never used for other rows
		}
	}
	return digest("rows", parts...)[:16]
}

func (in *Inputs) planTasks(p *Plan, req Request, tables []tableState) error {
	var rows int64
	for _, pi := range p.Inputs {
		rows += pi.Rows
	}
	p.Step = req.Step
	for _, t := range tables {
		if t.staged != nil && req.Step == 0 {
			p.Step = t.staged.Step // as the run that was stopped cut it
		}
	}
	if p.Step == 0 {
		p.Step = step(req.Range, in.held(req.Range), p.Lookback, rows, max(1, req.workers))
	}
	if n := (p.To-p.From)/p.Step + 1; n > maxTasks {
		return fault.Usage("step", fmt.Sprintf("tasks of %s are %d, and %d are possible", run.FormatDuration(p.Step), n, maxTasks), "give a longer --step")
	}
	after := in.after(p, req.Range)
	var once, all int64
	for _, r := range cut(req.Range, p.Step) {
		if !in.reaches(r, after) && !slices.ContainsFunc(tables, func(t tableState) bool { return t.staged.has(r) }) {
			continue // nor has an earlier run, of other files, left rows
		}
		t := Task{From: r.From, To: r.To, key: in.key(r), Done: true}
		for i := range in.Tables {
			for _, f := range in.Tables[i].within(r) {
				n, back := share(f, r, in.Tables[i].input.Lookback)
				t.Files++
				t.Rows += n + back
				t.Bytes += int64(float64(f.Bytes) * float64(n+back) / float64(max(1, f.Rows)))
				once, all = once+n, all+n+back
			}
		}
		for _, s := range tables {
			t.Done = t.Done && s.staged.finished(t.key) != nil
		}
		if t.Done {
			p.Finished++
		} else {
			p.Rows, p.Bytes = p.Rows+t.Rows, p.Bytes+t.Bytes
		}
		p.Tasks = append(p.Tasks, t)
	}
	if all > 0 {
		p.Again = float64(all-once) / float64(all)
	}
	return nil
}

// reaches reports whether there can be rows in a range, none of which is later than an event and so much: they depend on files, and
// without events there is no entity that has rows.
func (in *Inputs) reaches(r Range, after int64) bool {
	return slices.ContainsFunc(in.Tables, func(t Table) bool {
		return slices.ContainsFunc(t.within(r), func(f File) bool { return r.From-f.Last <= after })
	})
}

// after is how much later than an event a row of the plan can be, so long that the plan has a task.
func (in *Inputs) after(p *Plan, r Range) int64 {
	after := int64(0)
	for _, v := range p.Views {
		after = max(after, in.Views.Plan.Outputs()[v.out].After)
	}
	if !in.reaches(r, after) {
		return math.MaxInt64
	}
	return after
}

// share estimates how many rows of a file are of a range, and how many of the lookback before it,
// as if they lay evenly in time.
func share(f File, r Range, lookback int64) (n, back int64) {
	span := float64(f.Last - f.First + 1)
	part := func(from, to int64) int64 {
		from, to = max(from, f.First), min(to, f.Last+1)
		if from >= to {
			return 0
		}
		return int64(float64(f.Rows)*float64(to-from)/span + 0.5)
	}
	return part(r.From, r.To), part(r.From-lookback, r.From)
}

// publication names what the backfill ends with. The same rows of the same input have the
// same name, so that a second run finds that they are published.
func (in *Inputs) publication(p *Plan, req Request, tables []tableState) {
	parts := []string{p.stage, in.key(req.Range)}
	for _, t := range tables {
		parts = append(parts, t.uuid) // a table that was made anew has none of these rows
	}
	p.Nothing = ""
	all := tables[0].published
	standing := lake.Standing(all)
	for n := 0; ; n++ {
		id := lake.CommitID(digest("publication", append(parts, strconv.Itoa(n))...)[:32])
		p.Publication = string(id)
		at := slices.IndexFunc(all, func(d lake.Published) bool { return d.ID == id })
		if at < 0 {
			return
		}
		if standing[id] && !slices.ContainsFunc(all[at:], func(d lake.Published) bool { return d.ID != id && standing[d.ID] && in.replaces(p, d) }) {
			p.Nothing = fmt.Sprintf("publication %s of %s has these rows, of the same events", id, market.FormatTime(all[at].At))
			return
		}
	}
}

// replaces reports whether a publication replaced rows of the plan.
func (in *Inputs) replaces(p *Plan, d lake.Published) bool {
	return slices.ContainsFunc(p.Views, func(v PlanView) bool { return v.Table == d.Table }) && d.From < p.To && p.From < d.To
}

// notes says what a user should know.
func (in *Inputs) notes(p *Plan, req Request) {
	note := func(format string, a ...any) { p.Notes = append(p.Notes, fmt.Sprintf(format, a...)) }
	for _, name := range p.Absent {
		note("the lake has no table %s: for the views nothing of it has happened", name)
	}
	for i := range in.Tables {
		t := &in.Tables[i]
		if len(t.Files) == 0 {
			note("table %s has no rows", t.Name)
			continue
		}
		first := t.Files[0].First
		for _, f := range t.Files {
			first = min(first, f.First)
		}
		if want := req.From - t.input.Lookback; first > want {
			until := min(req.To, first+t.input.Lookback)
			note("%s begins at %s, and rows may look back to %s: those before %s know less than they would", t.Name, market.FormatTime(first), market.FormatTime(want), market.FormatTime(until))
		}
		if n := t.holes(req.Range); n > 0 {
			note("%s has no events in %d of the hours of the range", t.Name, n)
		}
	}
	if end := in.end(req.To); end < req.To-1 {
		note("events end at %s: rows of windows that reach past it are flagged partial", market.FormatTime(end))
	}
}

// holes counts the hours of a range between the first and the last row that no file has rows of.
func (t *Table) holes(r Range) (n int) {
	switch t.input.Kind {
	case market.KindInstrument, market.KindStatus, market.KindFunding, market.KindLiquidation:
		return 0 // things that happen now and then
	}
	hours := map[int64]bool{}
	first, last := market.NoTime, market.NoTime
	for _, f := range t.Files {
		if first == market.NoTime || f.First < first {
			first = f.First
		}
		last = max(last, f.Last)
		if f.Last-f.First > 366*market.Day {
			return 0
		}
		for h := market.FloorDiv(f.First, market.Hour); h <= market.FloorDiv(f.Last, market.Hour); h++ {
			hours[h] = true
		}
	}
	for h := market.FloorDiv(max(first, r.From), market.Hour); h*market.Hour < min(last, r.To); h++ {
		if !hours[h] {
			n++
		}
	}
	return n
}

// digest is a name made of parts, 64 hexadecimal digits.
func digest(what string, parts ...string) string {
	h := sha256.New()
	for _, s := range append([]string{"tidemark backfill", what}, parts...) {
		_, _ = io.WriteString(h, strconv.Itoa(len(s))+":"+s)
	}
	return hex.EncodeToString(h.Sum(nil))
}
