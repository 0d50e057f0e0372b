package tail

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/canon"
	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/rowfile"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// Line is what is in a record. Of the fields from Event on those are there that it has.
type Line struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Time      string `json:"time"` // record time, UTC
	Key       string `json:"key"`

	Event   json.RawMessage `json:"event,omitempty"`   // canonical
	TS      string          `json:"ts,omitempty"`      // effective time, where it is not the event's
	Row     json.RawMessage `json:"row,omitempty"`     // of a view
	Payload string          `json:"payload,omitempty"` // as collected
	Format  string          `json:"format,omitempty"`  // of a payload
	Feed    string          `json:"feed,omitempty"`    // of a payload

	Of      string           `json:"of,omitempty"`      // watermark: the kind that is complete
	Account *sequence.Counts `json:"account,omitempty"` // watermark: of the partition

	Ledger     []Cell        `json:"ledger,omitempty"` // what a transaction adds to the parity ledger
	Edge       string        `json:"edge,omitempty"`   // begin or end of a frame of corrections
	Frame      *record.Frame `json:"frame,omitempty"`
	Late       *Late         `json:"late,omitempty"`
	DeadLetter *DeadLetter   `json:"dead_letter,omitempty"`
	Error      string        `json:"error,omitempty"` // why the value cannot be read
}

// Cell is how many rows of a view a transaction wrote in an hour.
type Cell struct {
	View string `json:"view"` // name.v<version>
	Hour string `json:"hour"` // start, UTC
	Rows int64  `json:"rows"`
	Sum  string `json:"sum"` // of the rows' hashes, hexadecimal
}

// Late says what a late event missed.
type Late struct {
	Watermark string `json:"watermark"`
	MissedUS  int64  `json:"missed_us"`
}

// DeadLetter says why a record could not be used and where it was.
type DeadLetter struct {
	Reason    string `json:"reason"`
	Detail    string `json:"detail"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Count     int    `json:"count"` // events of the record that it is about
}

// Text is the line for people.
func (l *Line) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:%-6d %s  %-10s", l.Partition, l.Offset, l.Time, l.Key)
	if l.DeadLetter != nil {
		fmt.Fprintf(&b, "  [%s: %s; %s/%d:%d]", l.DeadLetter.Reason, l.DeadLetter.Detail, l.DeadLetter.Topic, l.DeadLetter.Partition, l.DeadLetter.Offset)
	}
	if l.Late != nil {
		fmt.Fprintf(&b, "  [missed %s by %s]", l.Late.Watermark, run.FormatDuration(l.Late.MissedUS))
	}
	for _, s := range []string{string(l.Event), string(l.Row), l.Payload} {
		if s != "" {
			b.WriteString("  " + s)
		}
	}
	if l.TS != "" {
		b.WriteString("  ts=" + l.TS)
	}
	if l.Of != "" {
		fmt.Fprintf(&b, "  %s is complete; in %d, applied %d, late %d, duplicate %d, dlq %d, filtered %d, pending %d", l.Of,
			l.Account.In, l.Account.Applied, l.Account.Late, l.Account.Duplicate, l.Account.DLQ, l.Account.Filtered, l.Account.Pending)
	}
	for _, c := range l.Ledger {
		fmt.Fprintf(&b, "  %s %s: %d rows, sum %s", c.View, c.Hour, c.Rows, c.Sum)
	}
	if f := l.Frame; f != nil {
		fmt.Fprintf(&b, "  %s of publication %s: rows of [%s, %s) give way to %d", l.Edge, f.Publication, market.FormatTime(f.From), market.FormatTime(f.To), f.Rows)
		if f.Entities != "" {
			b.WriteString(" of " + f.Entities)
		}
		if f.Reread {
			b.WriteString("; read them from the table")
		}
	}
	if l.Error != "" {
		b.WriteString("  cannot be read: " + l.Error)
	}
	return b.String()
}

// decoder reads the values of a topic's records.
type decoder struct {
	name   topic.Name
	env    Env
	insts  *market.Instruments
	events *record.EventDecoder
	chunk  market.Chunk
	text   bytes.Buffer
	canon  *canon.Writer

	out    *features.Output
	rows   map[uint32]*record.RowDecoder // by schema
	schema *rowfile.Schema
}

func newDecoder(ctx context.Context, name topic.Name, env Env) (*decoder, error) {
	d := &decoder{name: name, env: env, insts: market.NewInstruments(), rows: map[uint32]*record.RowDecoder{}}
	d.events = record.NewEventDecoder(env.Schemas, env.Feeds, d.insts)
	d.canon = canon.NewWriter(&d.text, canon.Options{Format: canon.JSONL, Kinds: env.Kinds}, env.Feeds, d.insts)
	if name.Class != topic.Feature && name.Class != topic.Alert && name.Class != topic.Correction {
		return d, nil
	}
	for i := range env.Outputs {
		if o := &env.Outputs[i]; o.Name == name.View && o.Version == name.Version {
			d.out = o
		}
	}
	if name.Class == topic.Alert && d.out != nil {
		d.out = d.out.AlertOutput()
	}
	if d.out == nil {
		return nil, &fault.Error{Code: "view_unknown", Message: fmt.Sprintf("version %d of view %s is not known here", name.Version, name.View), Exit: fault.ExitUsage,
			Remedy: "name its file: --spec FILE"}
	}
	d.schema = run.Schema(d.out, "")
	if !env.Schemas.Registered() {
		if _, err := env.Schemas.View(ctx, d.out); err != nil { // names it: its number is a hash
			return nil, err
		}
	}
	return d, nil
}

// line says what is in a record. An error is not about the record.
func (d *decoder) line(ctx context.Context, r *kgo.Record) (*Line, error) {
	l := &Line{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: market.FormatTime(r.Timestamp.UnixMicro()), Key: string(r.Key)}
	format := string(record.Header(r, record.HeaderFormat))
	var err error
	switch class := d.name.Class; {
	case class == topic.Correction && record.Header(r, record.HeaderFrame) != nil:
		f := &record.Frame{}
		if l.Edge, *f, err = record.ReadFrame(r); err == nil {
			l.Frame = f
		}
	case class == topic.Feature, class == topic.Alert, class == topic.Correction:
		err = d.row(ctx, r, l)
	case class == topic.Ledger:
		err = l.cells(r)
	case class == topic.DLQ, class == topic.Raw && format != "event":
		l.payload(r.Value)
		if class == topic.Raw {
			l.Format, l.Feed = format, string(record.Header(r, record.HeaderFeed))
		}
		if class == topic.DLQ {
			var dl record.DeadLetter
			if dl, err = record.ReadDeadLetter(r); err == nil {
				l.DeadLetter = (*DeadLetter)(&dl)
			}
		}
	default:
		err = d.event(ctx, r, l)
	}
	if errors.Is(err, record.ErrRegistry) || ctx.Err() != nil {
		return nil, &fault.Error{Code: "registry_unreachable", Message: "cannot ask the schema registry", Why: fmt.Sprint(err), Exit: fault.ExitFailed, Cause: err,
			Remedy: "see kafka.registry of tidemark.yaml"}
	}
	if err != nil {
		l.Error = err.Error()
		if l.Payload == "" {
			l.payload(r.Value)
		}
	}
	return l, nil
}

func (l *Line) cells(r *kgo.Record) error {
	d, err := record.ReadLedger(r.Value)
	for _, v := range d.Views {
		for _, c := range v.Cells {
			l.Ledger = append(l.Ledger, Cell{fmt.Sprintf("%s.v%d", v.View.Name, v.View.Version), market.FormatTime(c.Hour), c.Sum.Rows, c.Sum.Checksum()})
		}
	}
	return err
}

// payload shows bytes: as text where they are.
func (l *Line) payload(b []byte) {
	l.Payload = string(b)
	if !utf8.Valid(b) {
		l.Payload = fmt.Sprintf("%x", b)
	}
}

func (d *decoder) event(ctx context.Context, r *kgo.Record, l *Line) error {
	d.chunk.Reset()
	k, err := d.events.Decode(ctx, r.Value, &d.chunk)
	if err != nil {
		return err
	}
	b := d.chunk.Batches[k]
	d.text.Reset()
	if err := d.canon.WriteRow(b, 0); err != nil {
		return err
	}
	if err := d.canon.Flush(); err != nil {
		return err
	}
	l.Event = bytes.Clone(bytes.TrimSpace(d.text.Bytes()))
	if b.TS[0] != b.EventTS[0] {
		l.TS = market.FormatTime(b.TS[0])
	}
	if k == market.KindWatermark && record.Header(r, record.HeaderOf) != nil {
		of, account, err := record.ReadMark(r, d.env.Kinds)
		if err != nil {
			return err
		}
		l.Of, l.Account = d.env.Kinds.Name(of), &account
	}
	if d.name.Class == topic.Late {
		mark, missed, err := record.ReadLate(r)
		if err != nil {
			return err
		}
		l.Late = &Late{market.FormatTime(mark), missed}
	}
	return nil
}

func (d *decoder) row(ctx context.Context, r *kgo.Record, l *Line) error {
	id, _, err := wire.CutFrame(r.Value)
	if err != nil {
		return err
	}
	dec := d.rows[id]
	if dec == nil {
		what, err := d.env.Schemas.Lookup(ctx, id)
		if err != nil {
			return err
		}
		if what.View != d.out.Name || what.Version != d.out.Version {
			return fmt.Errorf("it is %s", what.Name)
		}
		dec = record.NewRowDecoder(id, d.out)
		d.rows[id] = dec
	}
	var rows features.ViewRows
	if err := dec.Decode(r.Value, &rows); err != nil {
		return err
	}
	d.text.Reset()
	w, err := rowfile.New(&d.text, rowfile.JSONL, d.schema)
	if err != nil {
		return err
	}
	if err := errors.Join(run.WriteRows(w, d.out, &rows, dec.Names), w.Close()); err != nil {
		return err
	}
	l.Row = bytes.Clone(bytes.TrimSpace(d.text.Bytes()))
	return nil
}
