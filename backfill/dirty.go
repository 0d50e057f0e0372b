package backfill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/stale"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
)

// maxLate bounds the late events that are looked at at once (I11).
const maxLate = 4 << 20

// Stale is what of the table of a view late events have made other than it stands there.
type Stale struct {
	View    string       `json:"view"`
	Version int          `json:"version"`
	Table   string       `json:"table"`
	OnLate  string       `json:"on_late"`     // recompute or record
	Events  int          `json:"late_events"` // that its rows do not have
	Rows    []StaleRange `json:"stale"`
	Hours   int          `json:"hours"`      // that have stale rows
	Read    int64        `json:"read_rows"`  // events to read for it, those of the lookback included: an estimate
	Bytes   int64        `json:"read_bytes"` // of their files, the same

	out     int   // of Plan.Outputs
	through int64 // rows below it have come from the stream, 0: there is no stream
}

// StaleRange is the rows of some entities with row_ts in [From, To), µs.
type StaleRange struct {
	Key      stale.Key         `json:"-"`
	Entities map[string]string `json:"entities"` // what is known of them; none is all
	From     int64             `json:"from"`
	To       int64             `json:"to"`
}

// Dirty finds, in the tables of the views that are outputs of the plan, the stale rows of a
// range: those that late events which the lake has now can change, and which were made without
// these events. Rows of a stream are; rows of a publication are when they are as served, when
// the events came after the snapshots that it was made of, or when nothing says what it was
// made of. Views without a table have none.
func (in *Inputs) Dirty(ctx context.Context, views []string, r Range) ([]Stale, error) {
	d := dirt{in: in, r: r, known: map[string]map[string]bool{}}
	if r.From >= r.To {
		return nil, fault.Usage("range_empty", fmt.Sprintf("the range [%s, %s) is empty", market.FormatTime(r.From), market.FormatTime(r.To)),
			"--from is the first instant, --to the first one after the range")
	}
	all, err := in.lake.Publications(ctx)
	if err != nil {
		return nil, err
	}
	reach := int64(0)
	for _, v := range in.Views.set.Views {
		reach = max(reach, v.Reach)
		if v.Window.Listed {
			reach = max(reach, lang.ListingAge)
		}
	}
	for i := range in.Tables {
		if err := d.late(ctx, &in.Tables[i], max(r.From-reach, market.MinEventTime)); err != nil {
			return nil, err
		}
	}
	out := []Stale{}
	for _, name := range views {
		at, err := in.Views.Output(name)
		if err != nil {
			return nil, err
		}
		s, err := d.view(ctx, at, all)
		if err != nil {
			return nil, err
		}
		if s != nil && len(s.Rows) > 0 {
			out = append(out, *s)
		}
	}
	return out, nil
}

// dirt is the search for stale rows.
type dirt struct {
	in     *Inputs
	r      Range
	events []lateEvent
	known  map[string]map[string]bool // identities of late events by table and snapshot
}

// lateEvent is a late row of an event table.
type lateEvent struct {
	table  int // of Inputs.Tables
	id     string
	change stale.Change
}

// late enters the late rows of a table.
func (d *dirt) late(ctx context.Context, t *Table, from int64) error {
	kind := t.input.Kind
	at := slices.IndexFunc(d.in.Tables, func(o Table) bool { return o.Name == t.Name })
	return d.scan(ctx, t.Name, t.Snapshot, Range{from, d.r.To}, func(id string, key stale.Key, ts int64) error {
		d.events = append(d.events, lateEvent{at, id, stale.Change{Kind: kind, Key: key, From: ts, To: ts + 1}})
		if len(d.events) > maxLate {
			return &fault.Error{Code: "late_too_many", Message: fmt.Sprintf("more than %d late events", maxLate), Where: t.Name, Exit: fault.ExitFailed,
				Remedy: "look at a part of them: --from, --to"}
		}
		return nil
	})
}

// scan yields the late rows of a table at a snapshot.
func (d *dirt) scan(ctx context.Context, table string, snapshot int64, r Range, f func(id string, key stale.Key, ts int64) error) error {
	if snapshot == 0 {
		return nil
	}
	t, err := d.in.lake.Load(ctx, table)
	if err != nil {
		return err
	}
	names := []string{"late", "ts", "feed", "exchange", "market", "symbol", "src", "inst", "epoch", "seq", "event_id"}
	sc, err := t.Scan(ctx, lake.Query{Snapshot: snapshot, From: r.From, To: r.To, Columns: names, Late: true})
	if err != nil {
		return err
	}
	defer sc.Close()
	for {
		b, err := sc.Next()
		if err != nil || b == nil {
			return err
		}
		for i := range b.N {
			if b.Cols[0].I32[i] == 0 {
				continue
			}
			text := func(c int) string { return string(b.Cols[c].Text(i)) }
			key := stale.Key{Feed: text(2), Exchange: text(3), Market: text(4), Symbol: text(5)}
			key.Base, key.Quote = market.SplitSymbol(key.Symbol)
			ts := b.Cols[1].I64[i]
			id := fmt.Sprintf("%d %d %d %d %d %x", ts, b.Cols[6].I32[i], b.Cols[7].I64[i], b.Cols[8].I32[i], b.Cols[9].I64[i], b.Cols[10].Text(i))
			if err := f(id, key, ts); err != nil {
				return err
			}
		}
	}
}

// has reports whether a late event was in its table at a snapshot.
func (d *dirt) has(ctx context.Context, e *lateEvent, snapshot int64) (bool, error) {
	t := &d.in.Tables[e.table]
	if snapshot == t.Snapshot {
		return true, nil
	}
	key := fmt.Sprint(t.Name, " ", snapshot)
	if d.known[key] == nil {
		ids := map[string]bool{}
		d.known[key] = ids
		err := d.scan(ctx, t.Name, snapshot, Range{market.MinEventTime, market.MaxEventTime}, func(id string, _ stale.Key, _ int64) error {
			ids[id] = true
			return nil
		})
		if err != nil && fault.From(err).Code != "no-snapshot" { // it is not kept any more: nobody knows what it had
			return false, err
		}
	}
	return d.known[key][e.id], nil
}

// made says what rows of tables were made of, as the note of a publication has it.
type made struct {
	As       string                 `json:"as"`
	Inputs   []PlanInput            `json:"inputs"`
	Entities map[string][]stale.Key `json:"entities"` // by table, of a repair: all of these, those without rows included
}

// region is rows of a table that were made at once, by a publication or the stream.
type region struct {
	rows []stale.Rows
	made *made // nil: without late events
}

// view finds the stale rows of one view, nil when it has none.
func (d *dirt) view(ctx context.Context, at int, all []lake.Published) (*Stale, error) {
	o, v := &d.in.Views.Plan.Outputs()[at], d.in.Views.set.Views[at]
	t, err := run.LoadFeatureTable(ctx, d.in.lake, o)
	if errors.Is(err, lake.ErrNoTable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	base, err := t.Base()
	if err != nil {
		return nil, err
	}
	regions, err := d.regions(ctx, t, o, all)
	if err != nil {
		return nil, err
	}
	s := &Stale{View: o.Name, Version: o.Version, Table: t.Name(), OnLate: v.OnLate, out: at}
	if len(base.Offsets) > 0 {
		s.through = max(base.ValidThrough, market.MinEventTime)
	}
	var found []stale.Rows
	counted := map[int]bool{}
	for i, g := range regions {
		news, err := d.unknown(ctx, g.made)
		if err != nil {
			return nil, err
		}
		byKey := map[eventKey][]int{}
		for _, e := range news {
			k := eventKey{d.events[e].change.Kind, d.events[e].change.Key}
			byKey[k] = append(byKey[k], e)
		}
		for _, events := range byKey {
			var changes []stale.Change
			for _, e := range events {
				changes = append(changes, d.events[e].change)
			}
			rows := stale.Intersect(stale.Of([]*lang.View{v}, changes)[0].Rows, g.rows)
			for _, later := range regions[i+1:] {
				rows = stale.Subtract(rows, later.rows)
			}
			if len(rows) == 0 {
				continue
			}
			found = append(found, rows...)
			for _, e := range events {
				counted[e] = true
			}
		}
	}
	s.Events = len(counted)
	d.fill(s, stale.Union(found))
	return s, nil
}

type eventKey struct {
	kind market.Kind
	key  stale.Key
}

// unknown lists the late events that are not in rows made so.
func (d *dirt) unknown(ctx context.Context, m *made) ([]int, error) {
	var out []int
	for i := range d.events {
		e := &d.events[i]
		if m != nil && m.As == Corrected.String() {
			at := slices.IndexFunc(m.Inputs, func(in PlanInput) bool { return in.Table == d.in.Tables[e.table].Name })
			if at >= 0 {
				known, err := d.has(ctx, e, m.Inputs[at].Snapshot)
				if err != nil {
					return nil, err
				}
				if known {
					continue
				}
			}
		}
		out = append(out, i)
	}
	return out, nil
}

// regions are the rows of a table within the range, what was made later behind what was made
// before; later ones hide earlier ones.
func (d *dirt) regions(ctx context.Context, t *lake.Table, o *features.Output, all []lake.Published) ([]region, error) {
	files, err := t.Files(ctx, 0)
	if err != nil {
		return nil, err
	}
	covered := stale.Range{From: market.MaxEventTime, To: market.MinEventTime}
	for _, f := range files {
		lo, ok1 := f.Bounds["row_ts"][0].(int64)
		hi, ok2 := f.Bounds["row_ts"][1].(int64)
		if ok1 && ok2 {
			covered.From, covered.To = min(covered.From, lo), max(covered.To, hi+1)
		}
	}
	standing := lake.Standing(all)
	var out []region
	for _, p := range all {
		if p.Table != t.Name() || !standing[p.ID] {
			continue
		}
		covered.From, covered.To = min(covered.From, p.From), max(covered.To, p.To)
		g := region{made: parseMade(p.Inputs)}
		r := []stale.Range{{From: p.From, To: p.To}}
		var keys []stale.Key
		if g.made != nil {
			keys = g.made.Entities[t.Name()]
		}
		if keys == nil {
			for _, e := range p.Entities {
				keys = append(keys, stale.EntityKey(o.Entity, e))
			}
		}
		for _, k := range keys {
			g.rows = append(g.rows, stale.Rows{Key: k, Ranges: r})
		}
		if p.Entities == nil {
			g.rows = []stale.Rows{{Ranges: r}}
		}
		out = append(out, g)
	}
	window := stale.Range{From: max(covered.From, d.r.From), To: min(covered.To, d.r.To)}
	if window.From >= window.To {
		return nil, nil
	}
	whole := []stale.Rows{{Ranges: []stale.Range{window}}}
	out = append([]region{{rows: whole}}, out...)
	for i := range out {
		out[i].rows = stale.Intersect(out[i].rows, whole)
	}
	return out, nil
}

// parseMade reads the note of a publication; without one nothing is known.
func parseMade(note string) *made {
	m := &made{}
	if json.Unmarshal([]byte(note), m) != nil {
		return nil
	}
	return m
}

// fill lists what was found and estimates what it takes to make it anew.
func (d *dirt) fill(s *Stale, rows []stale.Rows) {
	out := &d.in.Views.Plan.Outputs()[s.out]
	hours := map[int64]bool{}
	var all []stale.Range
	for _, r := range rows {
		known := map[string]string{}
		for _, c := range stale.Columns {
			if x := r.Key.Get(c); x != "" && (r.Key.Symbol == "" || slices.Contains(out.Entity, c)) { // a symbol tells the others
				known[c] = x
			}
		}
		for _, x := range r.Ranges {
			s.Rows = append(s.Rows, StaleRange{Key: r.Key, Entities: known, From: x.From, To: x.To})
			all = append(all, x)
			for h := market.FloorDiv(x.From, market.Hour); h*market.Hour < x.To; h++ {
				hours[h] = true
			}
		}
	}
	s.Hours = len(hours)
	read := make([]stale.Range, len(all))
	for i, r := range all {
		read[i] = stale.Range{From: r.From - out.Lookback, To: r.To}
	}
	merged := stale.Union([]stale.Rows{{Ranges: read}})
	if len(merged) == 0 {
		return
	}
	kinds := map[market.Kind]bool{}
	kindsOf(d.in.Views.set.Views[s.out], kinds)
	for i := range d.in.Tables {
		t := &d.in.Tables[i]
		if !kinds[t.input.Kind] {
			continue
		}
		for _, f := range t.Files {
			for _, r := range merged[0].Ranges {
				n, _ := share(f, Range(r), 0)
				s.Read += n
				s.Bytes += int64(float64(f.Bytes) * float64(n) / float64(max(1, f.Rows)))
			}
		}
	}
}

// kindsOf enters the kinds of events that a view depends on.
func kindsOf(v *lang.View, into map[market.Kind]bool) {
	if v == nil {
		return
	}
	kindsOf(v.Parent, into)
	kindsOf(v.Window.Clock, into)
	for _, u := range v.Union {
		kindsOf(u.View, into)
		into[u.Kind] = true
	}
	for _, j := range v.Joins {
		kindsOf(j.View, into)
		into[j.Kind] = true
	}
	if v.Window.Listed {
		into[market.KindInstrument] = true
	}
	into[v.Kind] = true
}

// Tabled finds the shipped views that have tables in a lake, and the tables of others: of views
// that are not shipped, of other versions, or with other parameters.
func Tabled(ctx context.Context, l *lake.Lake, params map[string]string) (v *Views, names, others []string, err error) {
	tables, err := l.Tables(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	var candidates []string
	for _, t := range tables {
		if name, ok := strings.CutPrefix(t, "feature."); ok {
			name = name[:max(0, strings.LastIndex(name, "_v"))]
			if _, shipped := specs.Find(name); shipped && !slices.Contains(candidates, name) {
				candidates = append(candidates, name)
			}
		}
	}
	if len(candidates) > 0 {
		if v, err = Load(candidates, params); err != nil {
			return nil, nil, nil, err
		}
	}
	for _, t := range tables {
		if !strings.HasPrefix(t, "feature.") {
			continue
		}
		known := false
		if v != nil {
			for _, o := range v.Plan.Outputs() {
				if run.FeatureTable(&o) != t || !slices.Contains(candidates, o.Name) {
					continue
				}
				_, err := run.LoadFeatureTable(ctx, l, &o)
				switch {
				case err == nil:
					names, known = append(names, o.Name), true
				case fault.From(err).Code != "fingerprint":
					return nil, nil, nil, err
				}
			}
		}
		if !known {
			others = append(others, t)
		}
	}
	return v, names, others, nil
}
