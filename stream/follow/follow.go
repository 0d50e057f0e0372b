// Package follow reads the rows of a view from history and goes on live: first from its table,
// at one snapshot, then from its topic, at the offsets which that snapshot holds the rows up to.
// So each row comes once, and the rows of an entity come in the order of their time.
package follow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/lakes"
	"github.com/pinova-group/tidemark/run/rowfile"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// Config says which rows are read.
type Config struct {
	View     *features.Output
	From, To int64               // row_ts in [From, To), µs; market.NoTime: all
	Where    map[string][]string // words of entity columns; a column that is missing has any
	Follow   bool                // wait for more at the end of the topic
}

// Env is what reading needs.
type Env struct {
	Lake    *lake.Lake
	Options []kgo.Opt
	Schemas *record.Schemas
}

// Cut is where reading changes from the table to the topic.
type Cut struct {
	Table     string      `json:"table"`
	Snapshot  int64       `json:"snapshot_id"`
	Rows      int64       `json:"rows"`               // that came from the table
	Last      *Place      `json:"last_row,omitempty"` // of the table, the newest
	Topic     string      `json:"topic"`
	Offsets   []Partition `json:"offsets"`             // where the topic is read from
	First     *Place      `json:"first_row,omitempty"` // of the topic
	Followed  int64       `json:"followed"`            // rows that came from the topic so far
	Continued int         `json:"continued"`           // entities that were met on both sides, in order
}

// Partition is where one partition of the topic is read from.
type Partition struct {
	Partition int32 `json:"partition"`
	Next      int64 `json:"next"`
}

// Place is the place of a row.
type Place struct {
	Entity []string `json:"entity"`
	RowTS  int64    `json:"row_ts"` // µs
}

// Reader hands out the rows. One caller at a time.
type Reader struct {
	cfg    Config
	env    Env
	schema *rowfile.Schema
	topic  string

	scan *lake.Scan // nil once the table is read
	cols []file.Column

	client *kgo.Client
	pos    map[int32]int64
	ends   map[int32]int64 // without Follow: where the topic ended when it was opened
	queue  []*kgo.Record
	decs   map[uint32]*record.RowDecoder
	rows   features.Rows

	cut   Cut
	last  map[string]*seen // by entity
	key   []byte
	batch rowfile.Batch
	kept  rowfile.Batch
	keep  []int
}

// seen is the newest row of an entity.
type seen struct {
	ts        int64
	windowed  bool // it covers more than an instant: no other row has its row_ts
	continued bool
}

// maxBatch is how many records of the topic become one batch.
const maxBatch = 4096

// fetchWait is how long a broker may wait for more.
const fetchWait = 100 * time.Millisecond

// Open pins the table's snapshot and finds the cut. It fails when the two do not meet: the
// table has no offsets of this topic (it was not filled by a sink), the topic is another one by
// its name, or records from the offsets on have expired.
func Open(ctx context.Context, cfg Config, env Env) (*Reader, error) {
	name := topic.Name{Class: topic.Feature, View: cfg.View.Name, Version: cfg.View.Version}
	text, err := name.Topic()
	if err != nil {
		return nil, err
	}
	r := &Reader{cfg: cfg, env: env, schema: run.Schema(cfg.View, ""), topic: text, last: map[string]*seen{}, decs: map[uint32]*record.RowDecoder{}}
	r.rows.Views = make([]features.ViewRows, 1)
	for col := range cfg.Where {
		if !slices.Contains(cfg.View.Entity, col) {
			return nil, fault.Usage("column_unknown", fmt.Sprintf("rows of %s have no %s", cfg.View.Name, col), "its entity is "+strings.Join(cfg.View.Entity, ", "))
		}
	}
	base, err := r.openTable(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.openTopic(ctx, base.Offsets); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) openTable(ctx context.Context) (lake.Base, error) {
	tab, err := run.LoadFeatureTable(ctx, r.env.Lake, r.cfg.View)
	if err != nil {
		return lake.Base{}, err
	}
	base, err := tab.Base()
	if err != nil {
		return base, err
	}
	r.cut = Cut{Table: tab.Name(), Snapshot: base.Snapshot, Topic: r.topic}
	if base.Snapshot == 0 {
		return base, nil
	}
	q := lake.Query{Snapshot: base.Snapshot, Where: r.cfg.Where}
	if r.cfg.From != market.NoTime || r.cfg.To != market.NoTime {
		q.From, q.To = market.MinEventTime, market.MaxEventTime
		if r.cfg.From != market.NoTime {
			q.From = r.cfg.From
		}
		if r.cfg.To != market.NoTime {
			q.To = r.cfg.To
		}
	}
	for _, f := range r.schema.Fields {
		q.Columns = append(q.Columns, f.Name)
	}
	if r.scan, err = tab.Scan(ctx, q); err != nil {
		return base, err
	}
	r.cols = r.scan.Columns()
	if !slices.EqualFunc(r.cols, r.schema.Fields, func(c file.Column, f rowfile.Field) bool { return c.Name == f.Name }) {
		return base, fmt.Errorf("BUG: table %s: columns in another order", tab.Name())
	}
	return base, nil
}

func (r *Reader) openTopic(ctx context.Context, offsets lake.Offsets) error {
	cl, err := kgo.NewClient(r.env.Options...)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	meta, err := adm.Metadata(ctx, r.topic)
	if err != nil {
		return r.unreadable(err)
	}
	detail := meta.Topics[r.topic]
	if detail.Err != nil {
		return r.unreadable(detail.Err)
	}
	at, err := r.positions(offsets, meta.Cluster, detail.ID.String())
	if err != nil {
		return err
	}
	first, err := adm.ListStartOffsets(ctx, r.topic)
	if err == nil {
		err = first.Error()
	}
	if err != nil {
		return r.unreadable(err)
	}
	last, err := adm.ListCommittedOffsets(ctx, r.topic)
	if err == nil {
		err = last.Error()
	}
	if err != nil {
		return r.unreadable(err)
	}
	from := map[int32]kgo.Offset{}
	r.pos, r.ends = map[int32]int64{}, map[int32]int64{}
	for _, p := range detail.Partitions.Numbers() {
		next, start, end := at[p], first[r.topic][p].Offset, last[r.topic][p].Offset
		if next < start {
			return &fault.Error{Code: "rows_expired", Message: "rows are neither in the table nor in the topic any more", Where: fmt.Sprintf("%s/%d", r.topic, p), Exit: fault.ExitFailed,
				Why:    fmt.Sprintf("the table has the rows below offset %d, the topic those from %d on", next, start),
				Remedy: "compute the hours that are missing: tidemark backfill; let the sink run more often than the topic's retention"}
		}
		from[p] = kgo.NewOffset().At(next)
		r.pos[p], r.ends[p] = next, end
		r.cut.Offsets = append(r.cut.Offsets, Partition{p, next})
	}
	r.client, err = kgo.NewClient(append(slices.Clone(r.env.Options), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: from}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(fetchWait))...)
	return err
}

// positions are the offsets of the topic by partition.
func (r *Reader) positions(offsets lake.Offsets, cluster, id string) (map[int32]int64, error) {
	at := map[int32]int64{}
	for _, p := range offsets {
		if p.Topic != r.topic {
			continue
		}
		if p.Cluster != cluster || p.TopicID != id {
			return nil, &fault.Error{Code: "topic_replaced", Message: "the table was filled from another topic of this name", Where: r.cut.Table, Exit: fault.ExitFailed,
				Why:    fmt.Sprintf("cluster %s, topic id %s; here cluster %s, topic id %s", p.Cluster, p.TopicID, cluster, id),
				Remedy: "name the brokers that the sink reads"}
		}
		at[p.Partition] = p.Next
	}
	if len(at) == 0 {
		return nil, &fault.Error{Code: "cut_unknown", Message: "the table does not say which rows of the topic it has", Where: r.cut.Table, Exit: fault.ExitFailed,
			Why: "no sink has written to it from " + r.topic, Remedy: "tidemark sink fills it; tidemark lake scan reads the table alone"}
	}
	return at, nil
}

func (r *Reader) unreadable(err error) error {
	return &fault.Error{Code: "topic_unreadable", Message: "cannot read topic " + r.topic, Why: err.Error(), Exit: fault.ExitFailed, Cause: err,
		Remedy: "tidemark topics list shows those that are there"}
}

// Schema is that of the rows: entity columns, times, flags, features.
func (r *Reader) Schema() *rowfile.Schema { return r.schema }

// Cut says what was read so far and where the table ends and the topic begins.
func (r *Reader) Cut() Cut { return r.cut }

// Close lets go of the table and the topic.
func (r *Reader) Close() {
	if r.scan != nil {
		r.scan.Close()
	}
	if r.client != nil {
		r.client.Close()
	}
}

// Next gives the next rows, which are valid until it is called again. It returns io.EOF at the
// end of the topic as it was when the reader was opened; with Follow it waits for more, and
// returns an empty batch when nothing came for a moment. Any other error ends the reader.
func (r *Reader) Next(ctx context.Context) (*rowfile.Batch, error) {
	if r.scan != nil {
		b, err := r.scan.Next()
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", r.cut.Table, err)
		}
		if b != nil {
			lakes.Convert(&r.batch, b, r.cols)
			return &r.batch, r.remember(&r.batch)
		}
		r.scan.Close()
		r.scan = nil
	}
	for len(r.queue) == 0 {
		if !r.cfg.Follow && r.caughtUp() {
			return nil, io.EOF
		}
		if err := r.poll(ctx); err != nil {
			return nil, err
		}
		if len(r.queue) == 0 && r.cfg.Follow {
			return &rowfile.Batch{}, nil
		}
	}
	return r.follow(ctx)
}

func (r *Reader) caughtUp() bool {
	for p, end := range r.ends {
		if r.pos[p] < end {
			return false
		}
	}
	return true
}

func (r *Reader) poll(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, 5*fetchWait)
	defer cancel()
	fs := r.client.PollRecords(wait, maxBatch)
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, e := range fs.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) {
			return r.unreadable(e.Err)
		}
	}
	fs.EachRecord(func(rec *kgo.Record) {
		r.pos[rec.Partition] = rec.Offset + 1
		if !rec.Attrs.IsControl() && (r.cfg.Follow || rec.Offset < r.ends[rec.Partition]) {
			r.queue = append(r.queue, rec)
		}
	})
	return nil
}

// follow decodes what was polled, up to a record of another schema.
func (r *Reader) follow(ctx context.Context) (*rowfile.Batch, error) {
	r.rows.Reset()
	var dec *record.RowDecoder
	n := 0
	for ; n < len(r.queue); n++ {
		rec := r.queue[n]
		d, err := r.decoder(ctx, rec)
		if err == nil && dec != nil && d != dec {
			break
		}
		if err == nil {
			dec = d
			err = d.Decode(rec.Value, &r.rows.Views[0])
		}
		if err != nil {
			return nil, fmt.Errorf("%s/%d offset %d: %w", rec.Topic, rec.Partition, rec.Offset, err)
		}
	}
	clear(r.queue[:n])
	r.queue = r.queue[n:]
	if err := run.WriteRows(keeper{&r.batch}, r.cfg.View, &r.rows.Views[0], dec.Names); err != nil {
		return nil, err
	}
	b := r.wanted(&r.batch)
	return b, r.check(b)
}

func (r *Reader) decoder(ctx context.Context, rec *kgo.Record) (*record.RowDecoder, error) {
	id, _, err := wire.CutFrame(rec.Value)
	if err != nil {
		return nil, err
	}
	if d := r.decs[id]; d != nil {
		return d, nil
	}
	if !r.env.Schemas.Registered() {
		if _, err := r.env.Schemas.View(ctx, r.cfg.View); err != nil { // names it: its number is a hash
			return nil, err
		}
	}
	what, err := r.env.Schemas.Lookup(ctx, id)
	if err != nil {
		return nil, err
	}
	if what.View != r.cfg.View.Name || what.Version != r.cfg.View.Version {
		return nil, fmt.Errorf("it is %s", what.Name)
	}
	r.decs[id] = record.NewRowDecoder(id, r.cfg.View)
	return r.decs[id], nil
}

// keeper keeps the batch that is written to it.
type keeper struct{ to *rowfile.Batch }

func (k keeper) Write(b *rowfile.Batch) error { *k.to = *b; return nil }
func (k keeper) Close() error                 { return nil }
