package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/parity"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// FeaturesConfig says what a features job computes.
type FeaturesConfig struct {
	Plan       *features.Plan
	Feeds      *market.Feeds
	Schemas    *record.Schemas
	Partitions int                      // of the topics of rows
	Kinds      map[string][]market.Kind // what each input topic carries
	Write      []string                 // views whose rows are written; nil: all
	Ledger     string                   // word of the job in the name of the ledger's topic, such as features; "": no ledger is written
	Build      string                   // version of the program, in the ledger
	MaxWaiting int                      // rows of a task that wait for other partitions, above which those ahead are not read; 0: a million
	From       int64                    // rows with row_ts before it are not written, µs; market.NoTime: all
}

// Features makes j the job that reads sequenced events and writes rows of views, each view
// to its topic. A view that others only have as their parent, with parameters of their own,
// has no topic.
func (j *Job) Features(c FeaturesConfig) error {
	topics := make([]string, len(c.Plan.Outputs()))
	for i, o := range c.Plan.Outputs() {
		if strings.Contains(o.Name, "(") || c.Write != nil && !slices.Contains(c.Write, o.Name) {
			continue
		}
		var err error
		name := topic.Name{Class: topic.Feature, View: o.Name, Version: o.Version}
		if topics[i], err = name.Topic(); err != nil {
			return err
		}
		j.writes = append(j.writes, topics[i])
	}
	ledger := ""
	if c.Ledger != "" {
		var err error
		if ledger, err = (topic.Name{Class: topic.Ledger, Job: c.Ledger}).Topic(); err != nil {
			return err
		}
	}
	j.metrics = j.Metrics.of(j.Name)
	j.open = func(inputs []TopicPartition, snapshot []byte) (machine, error) {
		m, err := openFeatures(&c, topics, inputs, snapshot)
		if err == nil && ledger != "" {
			m.ledger = newLedger(ledger, &c, inputs)
		}
		return m, err
	}
	return nil
}

// featuresMachine is the task of a features job, with records at both ends.
type featuresMachine struct {
	config *FeaturesConfig
	inputs []TopicPartition
	task   *Features
	dec    *record.EventDecoder
	views  []viewWriter
	chunk  market.Chunk
	marks  []mark
	rows   features.Rows
	dead   []deadRecord
	ledger *ledger // nil: none is written
}

// mark is a watermark that was read.
type mark struct {
	of market.Kind
	ts int64
}

// deadRecord is a record that cannot be read.
type deadRecord struct {
	value []byte
	key   []byte
	why   record.DeadLetter
}

func (d *deadRecord) write(out *outbox) error {
	name, err := topic.Parse(d.why.Topic)
	if err != nil {
		return err
	}
	to, err := name.In(topic.DLQ).Topic()
	if err != nil {
		return err
	}
	r := out.add(to, d.why.Partition, 0)
	r.Key, r.Value = d.key, d.value
	r.Timestamp = time.Time{} // of writing
	record.AddDeadLetter(r, &d.why)
	return nil
}

func openFeatures(c *FeaturesConfig, topics []string, inputs []TopicPartition, snapshot []byte) (*featuresMachine, error) {
	insts := market.NewInstruments()
	m := &featuresMachine{config: c, inputs: inputs, dec: record.NewEventDecoder(c.Schemas, c.Feeds, insts)}
	parts := make([]Partition, len(inputs))
	for i, in := range inputs {
		parts[i] = Partition{Name: in.String(), Kinds: c.Kinds[in.Topic]}
	}
	var err error
	if snapshot == nil {
		m.task, err = NewFeatures(c.Plan, insts, parts, c.From)
	} else {
		m.task, err = RestoreFeatures(c.Plan, insts, parts, snapshot)
	}
	if err != nil {
		return nil, err
	}
	for _, t := range topics {
		m.views = append(m.views, viewWriter{topic: t})
	}
	return m, nil
}

func (m *featuresMachine) start(in int, offset int64) { m.task.parts[in].next = offset }

func (m *featuresMachine) next(in int) int64 { return m.task.Next(in) }

func (m *featuresMachine) ahead(in int) bool {
	return m.task.Waiting() > cmp.Or(m.config.MaxWaiting, 1_000_000) && m.task.Ahead(in)
}

func (m *featuresMachine) snapshot(dst []byte) []byte { return m.task.AppendSnapshot(dst) }

func (m *featuresMachine) add(ctx context.Context, in int, recs []*kgo.Record) error {
	// What was read before a restart is kept apart from what is new.
	n, _ := slices.BinarySearchFunc(recs, m.task.parts[in].reread, func(r *kgo.Record, to int64) int { return int(r.Offset - to) })
	if err := m.addRun(ctx, in, recs[:n]); err != nil {
		return err
	}
	return m.addRun(ctx, in, recs[n:])
}

func (m *featuresMachine) addRun(ctx context.Context, in int, recs []*kgo.Record) error {
	if len(recs) == 0 {
		return nil
	}
	m.chunk.Reset()
	m.marks = m.marks[:0]
	for _, r := range recs {
		if err := m.read(ctx, r); err != nil {
			if errors.Is(err, record.ErrRegistry) || ctx.Err() != nil {
				return err
			}
			m.dead = append(m.dead, deadRecord{r.Value, r.Key, record.DeadLetter{
				Reason: "undecodable", Detail: err.Error(), Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
			}})
		}
	}
	if err := m.task.Add(in, recs[0].Offset, recs[len(recs)-1].Offset+1, &m.chunk); err != nil {
		return err
	}
	for _, k := range m.marks {
		m.task.Mark(in, k.of, k.ts)
	}
	return nil
}

func (m *featuresMachine) read(ctx context.Context, r *kgo.Record) error {
	k, err := m.dec.Decode(ctx, r.Value, &m.chunk)
	if err != nil || k != market.KindWatermark {
		return err
	}
	of, _, err := record.ReadMark(r, m.config.Plan.Kinds())
	if err != nil {
		return err
	}
	b := m.chunk.Batches[market.KindWatermark]
	m.marks = append(m.marks, mark{of, b.TS[b.N-1]})
	return nil
}

func (m *featuresMachine) step(ctx context.Context, out *outbox) error {
	m.rows.Reset()
	if err := m.task.Step(&m.rows); err != nil {
		return err
	}
	for i := range m.rows.Views {
		if err := m.write(ctx, i, out); err != nil {
			return err
		}
	}
	if m.ledger != nil {
		if err := m.ledger.write(ctx, m, out); err != nil {
			return err
		}
	}
	dead := m.dead
	m.dead = m.dead[:0]
	for i := range dead {
		if err := dead[i].write(out); err != nil {
			return err
		}
	}
	return nil
}

// viewWriter writes the rows of one view.
type viewWriter struct {
	topic    string
	enc      *record.RowEncoder
	entities []entity
	cells    parity.Cells // of the rows of this step
}

// entity is where the rows of an entity go.
type entity struct {
	names     []string
	key       []byte
	partition int32
}

func (m *featuresMachine) write(ctx context.Context, view int, out *outbox) error {
	rows := &m.rows.Views[view]
	if rows.Len() == 0 || m.views[view].topic == "" {
		return nil
	}
	w, o := &m.views[view], &m.config.Plan.Outputs()[view]
	if w.enc == nil {
		id, err := m.config.Schemas.View(ctx, o)
		if err != nil {
			return err
		}
		if w.enc, err = record.NewRowEncoder(id, o); err != nil {
			return fmt.Errorf("view %s: %w", o.Name, err)
		}
	}
	for i, e := range rows.Entity {
		for int(e) >= len(w.entities) {
			w.entities = append(w.entities, entity{})
		}
		to := &w.entities[e]
		if to.names == nil {
			*to = m.place(o.Entity, m.task.EntityNames(view, e))
		}
		r := out.add(w.topic, to.partition, rows.RowTS[i])
		out.known = append(out.known, rows.Avail[i])
		r.Key = to.key
		r.Value = out.keep(func(dst []byte) []byte { return w.enc.Append(dst, rows, i, to.names) })
		if m.ledger != nil {
			_, message, _ := wire.CutFrame(r.Value)
			w.cells.At(rows.RowTS[i]).Add(parity.HashOf(message))
		}
		id := w.enc.ID(rows, i, to.names)
		record.AddHeader(r, record.HeaderID, out.keep(func(dst []byte) []byte { return append(dst, id[:]...) }))
		record.AddHeader(r, record.HeaderFingerprint, o.Fingerprint[:])
	}
	return nil
}

// place is where rows of an entity go: by its symbol, else by its base asset, else by all
// of its names.
func (m *featuresMachine) place(columns, names []string) entity {
	e := entity{names: slices.Clone(names)}
	if e.names == nil {
		e.names = []string{}
	}
	base := ""
	switch i, j := slices.Index(columns, "symbol"), slices.Index(columns, "base"); {
	case i >= 0:
		e.key = []byte(names[i])
		base, _ = market.SplitSymbol(names[i])
	case j >= 0:
		e.key, base = []byte(names[j]), names[j]
	default:
		e.key = []byte(strings.Join(names, "|"))
		base = string(e.key)
	}
	e.partition = topic.Partition(base, m.config.Partitions)
	return e
}
