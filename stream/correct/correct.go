// Package correct tells consumers of a stream which rows publications have put in the place of those that the stream
// gave them: a frame of records for each publication and view, in the topic correction.VIEW.vN
// (docs/how-to/consume-rows.md).
package correct

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// Config says what is told, and where.
type Config struct {
	Lake    *lake.Lake
	Outputs []features.Output // views of the stream
	Options []kgo.Opt
	Schemas *record.Schemas
	Log     *slog.Logger
}

// Told is a publication that consumers of a view were told of.
type Told struct {
	ID    lake.CommitID `json:"publication"`
	Topic string        `json:"topic"`
	Rows  int64         `json:"rows"`
	Again bool          `json:"again,omitempty"`  // an earlier run had told them and not noted it
	Gone  bool          `json:"reread,omitempty"` // its rows cannot be had any more: the frame says to read the table
}

// timeout is what one transaction may take.
const timeout = 10 * time.Minute

// skew is how far the clocks of who publishes and of a broker may be apart.
const skew = int64(3600e6)

// Send tells of all publications that have not been told. Each frame is one transaction, so readers of what is
// committed see all of it or nothing; a frame is there once, however often and whenever this is killed, and
// however many do it at once.
func Send(ctx context.Context, c Config) (all []Told, err error) {
	for i := range c.Outputs {
		o := &c.Outputs[i]
		t, err := run.LoadFeatureTable(ctx, c.Lake, o)
		if errors.Is(err, lake.ErrNoTable) || err != nil && fault.From(err).Code == "fingerprint" {
			continue // it is not filled by this stream
		}
		if err != nil {
			return all, err
		}
		open, err := c.Lake.Untold(ctx, t)
		if err != nil {
			return all, err
		}
		if len(open) == 0 {
			continue
		}
		told, err := c.view(ctx, o, t, open)
		all = append(all, told...)
		if err != nil {
			return all, failed(o.Name, err)
		}
	}
	return all, nil
}

func failed(view string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	f := &fault.Error{Code: "correction_untold", Message: "consumers of " + view + " were not told of a publication; it is made", Why: err.Error(), Exit: fault.ExitFailed, Cause: err,
		Remedy: "see that the brokers can be reached; the next backfill tells them, also one that has nothing to do"}
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		f.Remedy = "tidemark topics apply makes the topic; the next backfill tells them, also one that has nothing to do"
	}
	return f
}

// view tells of the publications of one view.
func (c *Config) view(ctx context.Context, o *features.Output, t *lake.Table, open []lake.Published) ([]Told, error) {
	name, err := topic.Name{Class: topic.Correction, View: o.Name, Version: o.Version}.Topic()
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(append([]kgo.Opt{}, c.Options...), kgo.TransactionalID("tidemark-"+name), kgo.TransactionTimeout(timeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(1), kgo.DefaultProduceTopic(name))...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	// First whoever does the same is fenced and what it left open is aborted, then it is looked what is there:
	// nothing of others can be committed afterwards.
	if _, _, err := cl.ProducerID(ctx); err != nil {
		return nil, err
	}
	since := open[0].At
	for _, d := range open {
		since = min(since, d.At)
	}
	there, err := c.there(ctx, name, since-skew)
	if err != nil {
		return nil, err
	}
	s := sender{c: c, cl: cl, o: o, t: t}
	if s.schema, err = c.Schemas.View(ctx, o); err != nil {
		return nil, err
	}
	var told []Told
	for i := range open {
		d := &open[i]
		x := Told{ID: d.ID, Topic: name, Rows: d.Added, Again: there[d.ID]}
		if !x.Again {
			if x.Gone, err = s.frame(ctx, d); err != nil {
				return told, err
			}
		}
		if err := t.Told(ctx, d.ID); err != nil {
			return told, err
		}
		c.Log.Info("told consumers of a publication", slog.String("topic", name), slog.String("publication", string(d.ID)), slog.Int64("rows", d.Added), slog.Bool("reread", x.Gone))
		told = append(told, x)
	}
	return told, nil
}

// there are the publications whose frames are whole and committed, of those from a time on.
func (c *Config) there(ctx context.Context, name string, since int64) (map[lake.CommitID]bool, error) {
	cl, err := kgo.NewClient(c.Options...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	first, err := topic.After(ctx, adm, name, since)
	if err != nil {
		return nil, err
	}
	last, err := adm.ListCommittedOffsets(ctx, name)
	if err == nil {
		err = last.Error()
	}
	if err != nil {
		return nil, err
	}
	at, end := first[name][0].Offset, last[name][0].Offset
	there := map[lake.CommitID]bool{}
	if at >= end {
		return there, nil
	}
	in, err := kgo.NewClient(append(append([]kgo.Opt{}, c.Options...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().At(at)}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	for at < end {
		fs := in.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			return nil, err
		}
		fs.EachRecord(func(r *kgo.Record) {
			at = max(at, r.Offset+1)
			if !r.Attrs.IsControl() && string(record.Header(r, record.HeaderFrame)) == record.FrameEnd {
				there[lake.CommitID(record.Header(r, record.HeaderPublication))] = true
			}
		})
	}
	return there, nil
}

// sender writes the frames of a view.
type sender struct {
	c      *Config
	cl     *kgo.Client
	o      *features.Output
	t      *lake.Table
	schema uint32
}

// frame writes the frame of a publication; gone when its rows cannot be read any more.
func (s *sender) frame(ctx context.Context, d *lake.Published) (gone bool, err error) {
	if err := s.cl.BeginTransaction(); err != nil {
		return false, err
	}
	err = s.records(ctx, d, false)
	if errors.Is(err, lake.ErrRowsGone) {
		gone = true
		err = s.records(ctx, d, true)
	}
	if err == nil {
		err = s.cl.EndTransaction(ctx, kgo.TryCommit)
	}
	if err != nil {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return gone, errors.Join(err, s.cl.AbortBufferedRecords(end), s.cl.EndTransaction(end, kgo.TryAbort))
	}
	return gone, nil
}

// records produces the records of a frame. Without rows nothing has been produced when it says ErrRowsGone.
func (s *sender) records(ctx context.Context, d *lake.Published, gone bool) error {
	f := record.Frame{Publication: string(d.ID), From: d.From, To: d.To, Rows: d.Added, Revision: d.Revision, At: d.At, Undoes: string(d.Undoes), Reread: gone}
	if gone {
		f.Rows = 0
	}
	if d.Entities != nil {
		text, err := json.Marshal(d.Entities)
		if err != nil {
			return err
		}
		f.Entities = string(text)
	}
	out := &results{}
	edge := func(kind string) {
		r := &kgo.Record{}
		record.AddFrame(r, kind, &f)
		s.cl.Produce(ctx, r, out.done)
	}
	begun := false
	begin := func() {
		if !begun {
			edge(record.FrameBegin)
		}
		begun = true
	}
	if !gone {
		cols, err := s.t.Columns()
		if err != nil {
			return err
		}
		enc, err := s.t.NewRowEncoder(cols)
		if err != nil {
			return err
		}
		var buf []byte
		n := len(s.o.Entity) // the first columns of the table
		err = s.t.RowsOf(ctx, *d, func(b *file.Batch, rows []int32) error {
			begin()
			for _, i := range rows {
				names := make([]string, n)
				for k := range n {
					names[k] = string(b.Cols[k].Text(int(i)))
				}
				key, _ := record.RowKey(s.o.Entity, names)
				r := &kgo.Record{Key: []byte(key), Value: enc.AppendMessage(wire.AppendFrame(nil, s.schema), b, int(i))}
				var id market.ID
				id, buf = record.RowID(buf, s.o.Fingerprint, names, enc.RowTS(b, int(i)))
				record.AddID(r, id)
				record.AddHeader(r, record.HeaderFingerprint, s.o.Fingerprint[:])
				record.AddHeader(r, record.HeaderPublication, []byte(d.ID))
				s.cl.Produce(ctx, r, out.done)
			}
			return out.err()
		})
		if err != nil {
			return fmt.Errorf("publication %s: %w", d.ID, err)
		}
	}
	begin()
	edge(record.FrameEnd)
	if err := s.cl.Flush(ctx); err != nil {
		return err
	}
	return out.err()
}
