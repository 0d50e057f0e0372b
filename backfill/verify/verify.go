// Package verify holds the rows of feature tables to history: what is in the table, what the
// stream said that it wrote, and what the engine gives from the events of the lake, hour by
// hour (docs/parity.md).
package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pinova-group/tidemark/backfill"
	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/parity"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// Config says what is verified.
type Config struct {
	Lake     *lake.Lake
	Views    *backfill.Views
	Names    []string // of the views, outputs of the plan
	From, To int64    // hours that lie in it, µs; market.NoTime: from the first row of each table, to the last event
	Deep     bool     // compare row by row also where sums are equal
	Limit    int      // differences that are told of an hour
	// Settle is how long after its end an hour of a table that a sink fills is taken to be
	// there, where the table does not say itself how far it is complete, µs.
	Settle int64
	// Broker, when not nil, has the rows that are compared, as the stream wrote them, and the ledger, in place of the tables.
	Broker Broker
}

// Broker reads the topics of a stream.
type Broker interface {
	// Rows hands over the records of a view's topic that are committed now, from the first one of a time on (µs, market.NoTime: all).
	Rows(ctx context.Context, view string, version int, from int64, yield func(value []byte) error) error
	// Kept says of each partition of a view's topic what is left of it.
	Kept(ctx context.Context, view string, version int) ([]topic.Kept, error)
	// Ledger hands over what the job of a view has told, and says whether records of it were deleted.
	Ledger(ctx context.Context, view string, yield func(*parity.Delta) error) (deleted bool, err error)
}

// Verdict is what is found of an hour.
type Verdict string

// The verdicts.
const (
	Equal     Verdict = "equal"                     // to history with all events
	Late      Verdict = "corrected differs"         // the rows are those as served; events came late
	Missing   Verdict = "missing"                   // history has rows, the table has none
	Different Verdict = "different"                 // a fault
	NotSealed Verdict = "not sealed"                // events or rows of the hour may still come; not compared
	Gone      Verdict = "not in the topic any more" // rows of the hour were deleted from the topic; those that are left are right
)

// OK reports whether the hour needs nobody to look at it.
func (v Verdict) OK() bool { return v != Missing && v != Different }

// Hour is what is found of an hour of a view.
type Hour struct {
	View       string       `json:"view"`
	Hour       string       `json:"hour"` // its start
	Verdict    Verdict      `json:"verdict"`
	Why        string       `json:"why,omitempty"`
	Rows       int64        `json:"rows"`        // in the table
	Served     int64        `json:"served"`      // of history without late events
	Corrected  int64        `json:"corrected"`   // of history with them
	Stream     *int64       `json:"stream"`      // that the stream's ledger counts; null: it has none
	LateEvents int          `json:"late_events"` // that may be felt in the hour
	Changed    int          `json:"changed"`     // rows that late events change, add or remove
	Late       []string     `json:"late,omitempty"`
	Effect     *Effect      `json:"effect,omitempty"` // of the late events
	Faults     int          `json:"faults"`           // rows that are not what they should be
	First      []Difference `json:"differences,omitempty"`

	start int64
}

// Report is what is found.
type Report struct {
	Hours []Hour `json:"hours"`
}

// OK reports whether nothing is unexplained.
func (r *Report) OK() bool {
	return !slices.ContainsFunc(r.Hours, func(h Hour) bool { return !h.Verdict.OK() })
}

// Verify compares. Rows are not kept: where the sums of an hour say that it is what it should
// be, no row is looked at again unless c.Deep.
func Verify(ctx context.Context, c Config) (*Report, error) {
	r := &Report{Hours: []Hour{}}
	for _, name := range c.Names {
		one := c
		v, err := openOne(ctx, &one, name)
		if err != nil {
			return nil, fmt.Errorf("view %s: %w", name, err)
		}
		hours, err := v.verify(ctx)
		if err != nil {
			return nil, fmt.Errorf("view %s: %w", name, err)
		}
		r.Hours = append(r.Hours, hours...)
	}
	return r, nil
}

// view is one view at work.
type view struct {
	c      *Config
	in     *backfill.Inputs
	at     int
	out    *features.Output
	table  *lake.Table // nil: there is none
	from   int64
	to     int64
	sealed int64 // hours that end later are not
	pubs   []lake.Published
	ledger []lake.LedgerRow
	told   int64        // the ledger has all of the hours from here on
	kept   []topic.Kept // of a topic, by partition
}

// rowsOf hands over the messages of rows with their row_ts.
type rowsOf func(ctx context.Context, r backfill.Range, yield func(ts int64, message []byte) error) error

func open(ctx context.Context, c *Config, in *backfill.Inputs, name string) (*view, error) {
	v := &view{c: c, in: in}
	var err error
	if v.at, err = c.Views.Output(name); err != nil {
		return nil, err
	}
	v.out = &c.Views.Plan.Outputs()[v.at]
	v.from, v.to, v.sealed, v.told = c.From, c.To, market.MaxEventTime, market.MinEventTime
	if in.Sealed != market.NoTime {
		v.sealed = in.Sealed
	}
	first := market.NoTime
	if c.Broker != nil {
		if err := v.openTopic(ctx, &first); err != nil {
			return nil, err
		}
		return v, v.bound(first)
	}
	v.table, err = c.Lake.Load(ctx, run.FeatureTable(v.out))
	switch {
	case errors.Is(err, lake.ErrNoTable):
	case err != nil:
		return nil, err
	default:
		if err := v.state(ctx, &first); err != nil {
			return nil, err
		}
	}
	return v, v.bound(first)
}

// bound finds the hours, where the first row is known.
func (v *view) bound(first int64) error {
	if v.from == market.NoTime {
		v.from = first
	}
	if v.from == market.NoTime {
		v.from = v.in.Last
	}
	if v.to == market.NoTime {
		v.to = v.in.Last + 1
	}
	if v.from == market.NoTime || v.to == market.NoTime+1 { // neither events nor rows
		v.from, v.to = 0, 0
		return nil
	}
	v.from = parity.HourOf(v.from)
	if h := parity.HourOf(v.to); h < v.to {
		v.to = h + parity.Hour
	}
	if v.from >= v.to {
		return fault.Usage("range_empty", "the range has no hour of rows", "look at --from and --to: hours count that have begun before the last event")
	}
	return nil
}

// state looks at the table.
func (v *view) state(ctx context.Context, first *int64) error {
	base, err := v.table.Base()
	if err != nil {
		return err
	}
	if got, want := v.table.Property("tidemark.fingerprint"), fmt.Sprintf("%x", v.out.Fingerprint); got != want {
		return fmt.Errorf("table %s holds rows of another spec: fingerprint %.12s…, not %.12s…", v.table.Name(), got, want)
	}
	if len(base.Offsets) > 0 {
		if base.ValidThrough > 0 {
			v.sealed = min(v.sealed, base.ValidThrough)
		} else if v.in.Sealed != market.NoTime {
			v.sealed = min(v.sealed, v.in.Sealed-v.c.Settle)
		}
	}
	files, err := v.table.Files(ctx, 0)
	if err != nil {
		return err
	}
	for _, f := range files {
		if lo, ok := f.Bounds["row_ts"][0].(int64); ok && (*first == market.NoTime || lo < *first) {
			*first = lo
		}
	}
	if v.pubs, err = v.c.Lake.Publications(ctx); err != nil {
		return err
	}
	v.pubs = slices.DeleteFunc(v.pubs, func(p lake.Published) bool { return p.Table != v.table.Name() })
	v.ledger, err = v.c.Lake.Ledger(ctx, v.table.Name(), market.MinEventTime, market.MaxEventTime)
	return err
}

// history hands over rows that the engine gives.
func (v *view) history(as backfill.As) rowsOf {
	return func(ctx context.Context, r backfill.Range, yield func(int64, []byte) error) error {
		enc, err := record.NewRowEncoder(0, v.out)
		if err != nil {
			return err
		}
		var buf []byte
		return v.in.Compute(ctx, r, backfill.Options{As: as, Views: []int{v.at}}, func(rows *features.Rows, names func(int, uint32) []string) error {
			w := &rows.Views[v.at]
			for i := range w.Len() {
				buf = enc.AppendMessage(buf[:0], w, i, names(v.at, w.Entity[i]))
				if err := yield(w.RowTS[i], buf); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// stored hands over the rows that are in the table.
func (v *view) stored(ctx context.Context, r backfill.Range, yield func(int64, []byte) error) error {
	if v.table == nil {
		return nil
	}
	cols, err := v.table.Columns()
	if err != nil {
		return err
	}
	enc, err := v.table.NewRowEncoder(cols)
	if err != nil {
		return err
	}
	files, err := v.table.Files(ctx, 0)
	if err != nil {
		return err
	}
	var buf []byte
	for _, f := range files {
		b := f.Bounds["row_ts"]
		lo, ok1 := b[0].(int64)
		hi, ok2 := b[1].(int64)
		if ok1 && ok2 && (hi < r.From || lo >= r.To) {
			continue
		}
		err := v.table.ReadFile(ctx, f, func(b *file.Batch) error {
			for i := range b.N {
				if ts := enc.RowTS(b, i); ts >= r.From && ts < r.To {
					buf = enc.AppendMessage(buf[:0], b, i)
					if err := yield(ts, buf); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sums adds rows up by hour.
func sums(ctx context.Context, rows rowsOf, r backfill.Range) (map[int64]parity.Sum, error) {
	var cells parity.Cells
	err := rows(ctx, r, func(ts int64, message []byte) error {
		cells.At(ts).Add(parity.HashOf(message))
		return nil
	})
	m := map[int64]parity.Sum{}
	for _, c := range cells.List {
		m[c.Hour] = c.Sum
	}
	return m, err
}

func (v *view) verify(ctx context.Context) ([]Hour, error) {
	last := v.from
	for last < v.to && last+parity.Hour <= v.sealed {
		last += parity.Hour
	}
	stream, known := v.streamed()
	hours, from, err := v.deleted(ctx, last, stream, known)
	if err != nil {
		return nil, err
	}
	if last > from {
		r := backfill.Range{From: from, To: last}
		late, err := v.lateEvents(ctx, r)
		if err != nil {
			return nil, err
		}
		served, err := sums(ctx, v.history(backfill.Served), r)
		if err != nil {
			return nil, err
		}
		corrected := served
		if len(late) > 0 {
			if corrected, err = sums(ctx, v.history(backfill.Corrected), r); err != nil {
				return nil, err
			}
		}
		have, err := sums(ctx, v.have, r)
		if err != nil {
			return nil, err
		}
		for h := from; h < last; h += parity.Hour {
			hour := v.hour(h, have[h])
			hour.Served, hour.Corrected = served[h].Rows, corrected[h].Rows
			hour.takeLate(late, h-v.out.Reach, h+parity.Hour)
			hour.tell(stream, known)
			if have[h].Rows == 0 && served[h].Rows == 0 && corrected[h].Rows == 0 && stream[h] == (parity.Sum{}) {
				continue
			}
			if err := v.judge(ctx, &hour, sides{have[h], served[h], corrected[h], stream[h], known[h]}); err != nil {
				return nil, err
			}
			hours = append(hours, hour)
		}
	}
	for h := last; h < v.to; h += parity.Hour {
		hour := v.hour(h, parity.Sum{})
		hour.Verdict = NotSealed
		hours = append(hours, hour)
	}
	return hours, nil
}

// tell notes what the stream's ledger says.
func (h *Hour) tell(stream map[int64]parity.Sum, known map[int64]bool) {
	if known[h.start] {
		n := stream[h.start].Rows
		h.Stream = &n
	}
}

func (v *view) hour(start int64, have parity.Sum) Hour {
	return Hour{View: fmt.Sprintf("%s.v%d", v.out.Name, v.out.Version), Hour: market.FormatTime(start), Rows: have.Rows, start: start}
}

// streamed adds up what streams wrote, and says of which hours that is known.
func (v *view) streamed() (map[int64]parity.Sum, map[int64]bool) {
	m, known := map[int64]parity.Sum{}, map[int64]bool{}
	for _, row := range v.ledger {
		if row.Job != "" && row.Hour >= v.told {
			m[row.Hour], known[row.Hour] = m[row.Hour].Plus(row.Sum), true
		}
	}
	return m, known
}

// sides are the sums of an hour.
type sides struct {
	have, served, corrected, stream parity.Sum
	known                           bool
}

// judge finds the verdict. What looks like a fault of a topic is looked at again when something was deleted meanwhile.
func (v *view) judge(ctx context.Context, h *Hour, s sides) error {
	err := v.judgeOnce(ctx, h, s)
	if err != nil || h.Verdict.OK() || v.c.Broker == nil {
		return err
	}
	was := v.kept
	if err := v.readKept(ctx); err != nil || slices.Equal(was, v.kept) {
		return err
	}
	return v.judgeOnce(ctx, h, s)
}

func (v *view) judgeOnce(ctx context.Context, h *Hour, s sides) error {
	fault := ""
	if s.known && s.stream != s.served {
		fault = fmt.Sprintf("the stream wrote %d rows with checksum %s, history as served has %d with %s",
			s.stream.Rows, s.stream.Checksum(), s.served.Rows, s.served.Checksum())
	}
	whole, as := v.expected(h.start)
	plain := whole && (as != "corrected" && s.have == s.served || as != "served" && s.have == s.corrected)
	if plain && s.served == s.corrected && !v.c.Deep && fault == "" {
		h.Verdict = Equal
		return nil
	}
	d, err := v.compare(ctx, h)
	if err != nil {
		return err
	}
	h.Faults, h.First, h.Changed = d.faults, d.first, d.changed
	if d.changed > 0 {
		h.Effect = &d.effect
	}
	switch {
	case d.faults > 0 && s.have.Rows == 0:
		h.Verdict, h.Why = Missing, fmt.Sprintf("history has %d rows", max(s.served.Rows, s.corrected.Rows))
	case d.faults > 0:
		h.Verdict, h.Why = Different, fmt.Sprintf("%d rows of the %s are not those of history", d.faults, v.where())
	case d.changed > 0 && h.LateEvents == 0:
		h.Verdict, h.Why = Different, "histories with and without late events differ, and no late event reaches the hour"
	case d.gone > 0:
		h.Verdict, h.Why = Gone, fmt.Sprintf("%d of %d rows were deleted", d.gone, s.served.Rows)
	case s.have != s.corrected:
		h.Verdict, h.Why = Late, fmt.Sprintf("corrected differs by %d late events: they change %d rows", h.LateEvents, d.changed)
	default:
		h.Verdict = Equal
	}
	if fault != "" {
		h.Verdict, h.Why = Different, strings.Join(slices.DeleteFunc([]string{fault, h.Why}, func(s string) bool { return s == "" }), "; ")
	}
	return nil
}

// expected says which history the rows of an hour are of, where it is one for all of them.
func (v *view) expected(hour int64) (whole bool, as string) {
	for i := len(v.pubs) - 1; i >= 0; i-- {
		p := &v.pubs[i]
		if p.From >= hour+parity.Hour || p.To <= hour {
			continue
		}
		return p.Entities == nil && p.From <= hour && p.To >= hour+parity.Hour, v.historyOf(p.ID)
	}
	return true, "served"
}

// historyOf is what the ledger says of the rows of a publication.
func (v *view) historyOf(id lake.CommitID) string {
	for i := range v.ledger {
		if v.ledger[i].Publication() == id {
			return v.ledger[i].History
		}
	}
	return ""
}

// rowHistory is which history one row is of: that of the newest publication that covers it,
// "" when that is not known, served where none does.
func (v *view) rowHistory(ts int64, entity []string) string {
	for i := len(v.pubs) - 1; i >= 0; i-- {
		p := &v.pubs[i]
		if ts < p.From || ts >= p.To {
			continue
		}
		if p.Entities == nil || slices.ContainsFunc(p.Entities, func(e []string) bool { return slices.Equal(e, entity) }) {
			return v.historyOf(p.ID)
		}
	}
	return "served"
}
