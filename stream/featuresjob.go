package stream

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/parity"
	"github.com/pinova-group/tidemark/stream/fetch"
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
	MaxWaiting int                      // rows of a task that wait for other partitions, above which those ahead are not read; 0: DefaultMaxWaiting
	From       int64                    // rows with row_ts before it are not written, µs; market.NoTime: all

	Stream string   // name of the stream whose activations change the views while the job runs; "": nothing does
	Views  *ViewSet // with Stream: what Plan was made of
	Share  Share    // with Stream: which views of an activation are this job's
	Past   Past     // what new views look back on where topics do not reach so far; nil: nothing
}

// Features makes j the job that reads sequenced events and writes rows of views, each view
// to its topic. A view that others only have as their parent, with parameters of their own,
// has no topic.
func (j *Job) Features(c FeaturesConfig) error {
	if c.Write == nil {
		for _, o := range c.Plan.Outputs() {
			c.Write = append(c.Write, o.Name)
		}
	}
	c.Write = slices.DeleteFunc(slices.Clone(c.Write), func(name string) bool { return strings.Contains(name, "(") })
	topics, err := topicsOfViews(c.Plan, c.Write)
	if err != nil {
		return err
	}
	j.writes = names(topics)
	ledger := ""
	if c.Ledger != "" {
		var err error
		if ledger, err = (topic.Name{Class: topic.Ledger, Job: c.Ledger}).Topic(); err != nil {
			return err
		}
	}
	tasks := c.Partitions
	if j.Single {
		tasks = 1
	}
	j.metrics = j.Metrics.of(j.Name)
	j.features = &c
	j.open = func(inputs []TopicPartition, snapshot []byte) (machine, error) {
		m := newFeaturesMachine(&c, inputs)
		if ledger != "" {
			m.ledger = newLedger(ledger, &c, tasks, inputs)
		}
		if snapshot == nil {
			def := engineDef{Views: c.Views, Writes: c.Write, From: c.From}
			return m, m.addEngine(def, c.Plan, nil)
		}
		return m, m.restore(snapshot)
	}
	return nil
}

// viewTopics are the topics of a view: of its rows, empty when they are not written, and of its
// alerts, empty when it has none.
type viewTopics struct{ rows, alerts string }

// topicsOfViews are the topics of a plan's views.
func topicsOfViews(plan *features.Plan, writes []string) ([]viewTopics, error) {
	topics := make([]viewTopics, len(plan.Outputs()))
	for i, o := range plan.Outputs() {
		if !slices.Contains(writes, o.Name) {
			continue
		}
		var err error
		name := topic.Name{Class: topic.Feature, View: o.Name, Version: o.Version}
		if topics[i].rows, err = name.Topic(); err != nil {
			return nil, err
		}
		if len(o.Alerts) == 0 {
			continue
		}
		if topics[i].alerts, err = name.In(topic.Alert).Topic(); err != nil {
			return nil, err
		}
	}
	return topics, nil
}

// names are the topics that are written.
func names(topics []viewTopics) (list []string) {
	for _, t := range topics {
		for _, name := range []string{t.rows, t.alerts} {
			if name != "" {
				list = append(list, name)
			}
		}
	}
	return list
}

// featuresMachine is the task of a features job, with records at both ends. It has an engine
// for the views that it began with, and one for those of each activation that brought some.
type featuresMachine struct {
	config  *FeaturesConfig
	inputs  []TopicPartition
	insts   *market.Instruments
	dec     *record.EventDecoder
	engines []*engine
	settled string // the activation that was settled last
	chunk   market.Chunk
	values  [][]byte // scratch
	left    []int    // likewise
	marks   []mark
	dead    []deadRecord
	ledger  *ledger       // nil: none is written
	handed  []handedNames // of each input
}

// engine computes some views. It reads the inputs that carry what they need.
type engine struct {
	def    engineDef
	plan   *features.Plan
	task   *Features
	part   []int // of each input, as the task has it; -1: not read
	views  []viewWriter
	alerts []viewWriter // of each view
	rows   features.Rows
}

func newFeaturesMachine(c *FeaturesConfig, inputs []TopicPartition) *featuresMachine {
	insts := market.NewInstruments()
	return &featuresMachine{config: c, inputs: inputs, insts: insts, dec: record.NewEventDecoder(c.Schemas, c.Feeds, insts)}
}

// addEngine adds an engine that has read nothing, or as a snapshot of it says.
func (m *featuresMachine) addEngine(def engineDef, plan *features.Plan, snapshot []byte) error {
	if len(plan.Outputs()) == 0 {
		return nil // nothing to compute
	}
	e := &engine{def: def, plan: plan, part: make([]int, len(m.inputs))}
	reads := readsOf(plan)
	var parts []Partition
	for in, at := range m.inputs {
		if e.part[in] = -1; carries(m.config.Kinds[at.Topic], reads) {
			e.part[in] = len(parts)
			parts = append(parts, Partition{Name: at.String(), Kinds: m.config.Kinds[at.Topic]})
		}
	}
	var err error
	if snapshot == nil {
		e.task, err = NewFeatures(plan, m.insts, parts, def.From)
	} else {
		e.task, err = RestoreFeatures(plan, m.insts, parts, snapshot)
	}
	if err != nil {
		return err
	}
	if def.Since != 0 {
		e.task.since = def.Since
	}
	topics, err := topicsOfViews(plan, def.Writes)
	if err != nil {
		return err
	}
	for i, t := range topics {
		o := &plan.Outputs()[i]
		e.views = append(e.views, viewWriter{topic: t.rows, out: o})
		e.alerts = append(e.alerts, viewWriter{topic: t.alerts, out: o.AlertOutput()})
		if t.rows == "" {
			e.task.task.Omit(i)
		}
	}
	m.engines = append(m.engines, e)
	return nil
}

// readsOf are the kinds that a plan reads for themselves: statuses come with any kind.
func readsOf(plan *features.Plan) map[market.Kind]bool {
	reads := map[market.Kind]bool{}
	for _, in := range plan.Inputs() {
		if in.Kind != market.KindStatus || len(plan.Inputs()) == 1 {
			reads[in.Kind] = true
		}
	}
	return reads
}

func carries(kinds []market.Kind, reads map[market.Kind]bool) bool {
	return slices.ContainsFunc(kinds, func(k market.Kind) bool { return reads[k] })
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

// partitions calls fn for the engines that read an input.
func (m *featuresMachine) partitions(in int, fn func(f *Features, p int)) {
	for _, e := range m.engines {
		if p := e.part[in]; p >= 0 {
			fn(e.task, p)
		}
	}
}

func (m *featuresMachine) start(in int, offset int64) {
	m.partitions(in, func(f *Features, p int) { f.parts[p].next = offset })
}

func (m *featuresMachine) next(in int) int64 {
	next := int64(-1)
	m.partitions(in, func(f *Features, p int) {
		if n := f.Next(p); next < 0 || n < next {
			next = n
		}
	})
	return next
}

func (m *featuresMachine) ahead(in int) bool {
	read, ahead := false, false
	m.partitions(in, func(f *Features, p int) {
		read = true
		ahead = ahead || f.Waiting() > cmp.Or(m.config.MaxWaiting, DefaultMaxWaiting) && f.Ahead(p)
	})
	return ahead || !read
}

const featuresJobMagic = "TMFJ\x01"

func (m *featuresMachine) snapshot(dst []byte) []byte {
	at := len(dst)
	dst = appendText(append(dst, featuresJobMagic...), m.settled)
	dst = binary.AppendUvarint(dst, uint64(len(m.engines)))
	for _, e := range m.engines {
		def, err := json.Marshal(&e.def)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		dst = append(binary.AppendUvarint(dst, uint64(len(def))), def...)
		dst = appendSized(dst, e.task.AppendSnapshot)
	}
	return seal(dst, at)
}

func (m *featuresMachine) restore(snapshot []byte) error {
	r, err := unseal(snapshot, featuresJobMagic)
	if err != nil {
		return err
	}
	m.settled = r.text()
	for range r.uvarint() {
		var def engineDef
		text := r.sized()
		state := r.sized()
		if r.src == nil || json.Unmarshal(text, &def) != nil {
			return ErrCorrupt
		}
		plan := m.config.Plan
		if def.Views != nil && (!reflect.DeepEqual(def.Views, m.config.Views) || !slices.Equal(def.Writes, m.config.Write)) {
			if plan, err = def.compile(m.config.Feeds); err != nil {
				return fmt.Errorf("views of the snapshot: %w: %w", features.ErrSnapshotMismatch, err)
			}
		}
		if err := m.addEngine(def, plan, state); err != nil {
			return err
		}
	}
	return nil
}

// add gives records to the engines that have not had them. They are cut where one of them
// begins, and where it had been before a restart.
func (m *featuresMachine) add(ctx context.Context, in int, recs []fetch.Record) error {
	for len(recs) > 0 {
		n := len(recs)
		m.partitions(in, func(f *Features, p int) {
			for _, cut := range [...]int64{f.parts[p].next, f.parts[p].reread} {
				if cut > recs[0].Offset {
					i, _ := slices.BinarySearchFunc(recs[:n], cut, func(r fetch.Record, to int64) int { return cmp.Compare(r.Offset, to) })
					n = i
				}
			}
		})
		if err := m.addRun(ctx, in, recs[:n]); err != nil {
			return err
		}
		recs = recs[n:]
	}
	return nil
}

func (m *featuresMachine) addRun(ctx context.Context, in int, recs []fetch.Record) error {
	from, all := recs[0].Offset, true
	readers, sole, at := 0, (*Features)(nil), 0
	m.partitions(in, func(f *Features, p int) {
		all = all && f.Next(p) <= from
		readers, sole, at = readers+1, f, p
	})
	if readers != 1 || !all || from < sole.parts[at].reread || sole.recalled(at) {
		sole = nil
	}
	m.chunk.Reset()
	m.marks = m.marks[:0]
	if sole != nil {
		sole.lend(at, &m.chunk)
	}
	for i := range m.blocks(recs) {
		r := &recs[i]
		if err := m.read(ctx, r); err != nil {
			if errors.Is(err, record.ErrRegistry) || ctx.Err() != nil {
				if sole != nil {
					sole.unlend(at, &m.chunk)
				}
				return err
			}
			if !all { // it was told of when the others read it
				continue
			}
			m.dead = append(m.dead, deadRecord{r.Value, r.Key, record.DeadLetter{
				Reason: "undecodable", Detail: err.Error(), Topic: m.inputs[in].Topic, Partition: m.inputs[in].Partition, Offset: r.Offset,
			}})
		}
	}
	var err error
	m.partitions(in, func(f *Features, p int) {
		if err != nil || f.Next(p) > from {
			return
		}
		add := f.Add
		if f == sole {
			add = f.took
		}
		if err = add(p, from, recs[len(recs)-1].Offset+1, &m.chunk); err != nil {
			return
		}
		for _, k := range m.marks {
			f.Mark(p, k.of, k.ts)
		}
	})
	return err
}

// blocks decodes records of events together where it can, and gives the others.
func (m *featuresMachine) blocks(recs []fetch.Record) iter.Seq[int] {
	return func(yield func(int) bool) {
		for lo := 0; lo < len(recs); lo += wire.BlockRows {
			part := recs[lo:min(lo+wire.BlockRows, len(recs))]
			m.values = m.values[:0]
			for i := range part {
				m.values = append(m.values, part[i].Value)
			}
			_, m.left = m.dec.DecodeBlock(m.values, &m.chunk, m.left[:0])
			for _, i := range m.left {
				if !yield(lo + i) {
					return
				}
			}
		}
	}
}

func (m *featuresMachine) read(ctx context.Context, r *fetch.Record) error {
	k, err := m.dec.Decode(ctx, r.Value, &m.chunk)
	if err != nil || k != market.KindWatermark {
		return err
	}
	of, _, err := record.ParseMark(r.Header(record.HeaderOf), r.Header(record.HeaderAccount), m.config.Plan.Kinds())
	if err != nil {
		return err
	}
	b := m.chunk.Batches[market.KindWatermark]
	m.marks = append(m.marks, mark{of, b.TS[b.N-1]})
	return nil
}

func (m *featuresMachine) step(ctx context.Context, out *outbox) error {
	for _, e := range m.engines {
		e.rows.Reset()
		if err := e.task.Step(&e.rows); err != nil {
			return err
		}
		for i := range e.rows.Views {
			if err := cmp.Or(m.writeRows(ctx, e, i, out), m.writeAlerts(ctx, e, i, out)); err != nil {
				return err
			}
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

// viewWriter writes the rows of one view, or changes of its alerts.
type viewWriter struct {
	topic    string // empty: nothing is written
	out      *features.Output
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

func (m *featuresMachine) writeRows(ctx context.Context, en *engine, view int, out *outbox) error {
	w := &en.views[view]
	place := func(e uint32) entity { return m.place(w.out.Entity, en.task.EntityNames(view, e)) }
	return m.write(ctx, w, en.end(view), &en.rows.Views[view], place, m.ledger != nil, out)
}

// writeAlerts writes changes of alerts beside the rows that made them, in the same order. They are no part of the
// ledger, which counts rows.
func (m *featuresMachine) writeAlerts(ctx context.Context, en *engine, view int, out *outbox) error {
	changes, o := en.rows.Views[view].Alerts, en.views[view].out
	if len(changes) == 0 || en.alerts[view].topic == "" {
		return nil
	}
	var rows features.ViewRows
	o.AlertRows(&rows, changes)
	n := uint32(len(o.Alerts))
	place := func(e uint32) entity {
		to := m.place(o.Entity, en.task.EntityNames(view, e/n)) // with the rows
		to.names = append(to.names, o.Alerts[e%n].Name)
		return to
	}
	return m.write(ctx, &en.alerts[view], en.end(view), &rows, place, false, out)
}

// end is the row_ts from which on the rows of a view are another engine's.
func (en *engine) end(view int) int64 {
	if until, ends := en.def.Until[en.views[view].out.Name]; ends {
		return until
	}
	return math.MaxInt64
}

// write writes rows with row_ts before until; place says where those of an entity go.
func (m *featuresMachine) write(ctx context.Context, w *viewWriter, until int64, rows *features.ViewRows, place func(uint32) entity, account bool, out *outbox) error {
	if rows.Len() == 0 || w.topic == "" {
		return nil
	}
	o := w.out
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
		if rows.RowTS[i] >= until {
			continue
		}
		for int(e) >= len(w.entities) {
			w.entities = append(w.entities, entity{})
		}
		to := &w.entities[e]
		if to.names == nil {
			*to = place(e)
		}
		r := out.add(w.topic, to.partition, rows.RowTS[i])
		out.known = append(out.known, rows.Avail[i])
		r.Key = to.key
		r.Value = out.keep(func(dst []byte) []byte { return w.enc.Append(dst, rows, i, to.names) })
		if account {
			_, message, _ := wire.CutFrame(r.Value)
			w.cells.At(rows.RowTS[i]).Add(parity.HashOf(message))
		}
		id := w.enc.ID(rows, i, to.names)
		record.AddHeader(r, record.HeaderID, out.keep(func(dst []byte) []byte { return append(dst, id[:]...) }))
		record.AddHeader(r, record.HeaderFingerprint, o.Fingerprint[:])
	}
	return nil
}

// place is where rows of an entity go.
func (m *featuresMachine) place(columns, names []string) entity {
	e := entity{names: slices.Clone(names)}
	if e.names == nil {
		e.names = []string{}
	}
	key, base := record.RowKey(columns, names)
	e.key = []byte(key)
	e.partition = topic.Partition(base, m.config.Partitions)
	return e
}
