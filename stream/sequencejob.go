package stream

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream/fetch"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// SequenceJobConfig says how a sequence job reads raw records.
type SequenceJobConfig struct {
	Schemas *record.Schemas
	Kinds   *market.Kinds // that events may have; nil: the release's

	// IdleAfter is how long nobody writes to a raw partition before the others are not held up
	// by it: the job writes a watermark into it, with the time up to which the newest one is
	// complete. Events that come after all and lie before it are late. 0: never.
	IdleAfter time.Duration
	Now       func() time.Time // for IdleAfter; it says when to write, never what
}

// Sequence makes j the job that puts raw records in order: of each raw topic, applied events
// go to the processed topic, late ones to the late topic, what cannot be used to the dead
// letters, all with the partition that they came from.
func (j *Job) Sequence(c SequenceJobConfig) error {
	j.writes = nil
	for _, t := range j.Topics {
		o, err := topicsOf(t)
		if err != nil {
			return err
		}
		j.writes = append(j.writes, o.processed, o.late, o.dead)
	}
	j.metrics = j.Metrics.of(j.Name)
	j.open = func(inputs []TopicPartition, snapshot []byte) (machine, error) {
		return openSequence(&c, inputs, snapshot)
	}
	return nil
}

// outputs are the topics that belong to a raw topic.
type outputs struct{ processed, late, dead string }

func topicsOf(raw string) (o outputs, err error) {
	name, err := topic.Parse(raw)
	if err != nil {
		return o, err
	}
	for _, to := range []struct {
		class topic.Class
		text  *string
	}{{topic.Processed, &o.processed}, {topic.Late, &o.late}, {topic.DLQ, &o.dead}} {
		if *to.text, err = name.In(to.class).Topic(); err != nil {
			return o, err
		}
	}
	return o, nil
}

// sequenceMachine is a task of the sequence job: the same partition of every raw topic, each
// a line of its own.
type sequenceMachine struct {
	config *SequenceJobConfig
	lines  []*line
}

// line is one raw partition.
type line struct {
	seq   *Sequence
	raws  []record.Raw // scratch
	enc   *record.EventEncoder
	kinds *market.Kinds
	insts *market.Instruments
	to    outputs
	part  int32
	out   Sequenced
	marks map[market.Kind]written // last
	keys  [][]byte                // by instrument
	heard time.Time               // when somebody else wrote last

	wrote  wrote     // by the last step
	chunks sync.Pool // for rows in place of those handed over
}

// written is what a watermark record said.
type written struct {
	mark    int64
	account sequence.Counts
}

func openSequence(c *SequenceJobConfig, inputs []TopicPartition, snapshot []byte) (machine, error) {
	m := &sequenceMachine{config: c}
	states := map[string][]byte{}
	if snapshot != nil {
		var err error
		if states, err = readLines(snapshot); err != nil {
			return nil, err
		}
		if len(states) != len(inputs) {
			return nil, fmt.Errorf("%w: %d, not %d", ErrPartitions, len(states), len(inputs))
		}
	}
	for _, in := range inputs {
		// Registries of its own: what other lines meet has no part in this one.
		feeds, insts := market.NewFeeds(), market.NewInstruments()
		cfg := SequenceConfig{Topic: in.Topic, Partition: in.Partition, Sequencer: sequence.DefaultConfig(feeds, insts), Schemas: c.Schemas}
		cfg.Sequencer.Kinds = c.Kinds
		l := &line{enc: record.NewEventEncoder(c.Schemas, feeds, insts), kinds: c.Kinds, insts: insts, part: in.Partition, marks: map[market.Kind]written{}}
		l.chunks.New = func() any { return new(market.Chunk) }
		var err error
		if l.to, err = topicsOf(in.Topic); err != nil {
			return nil, err
		}
		if snapshot == nil {
			l.seq, err = NewSequence(cfg)
		} else if state, ok := states[in.String()]; ok {
			l.seq, err = RestoreSequence(cfg, state)
		} else {
			err = fmt.Errorf("%w: no %s", ErrPartitions, in)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in, err)
		}
		m.lines = append(m.lines, l)
	}
	return m, nil
}

const linesMagic = "TMSL\x01"

func (m *sequenceMachine) snapshot(dst []byte) []byte {
	at, size := len(dst), 0
	for _, l := range m.lines {
		size += l.seq.seq.SnapshotSize()
	}
	dst = slices.Grow(dst, size+size/8) // with what is small, so that it is not copied again and again while it grows
	dst = binary.AppendUvarint(append(dst, linesMagic...), uint64(len(m.lines)))
	for _, l := range m.lines {
		dst = appendText(dst, TopicPartition{l.seq.cfg.Topic, l.part}.String())
		dst = appendSized(dst, l.seq.AppendSnapshot)
	}
	return seal(dst, at)
}

// readLines reads the states of a snapshot by the places of their lines.
func readLines(src []byte) (map[string][]byte, error) {
	r, err := unseal(src, linesMagic)
	if err != nil {
		return nil, err
	}
	states := map[string][]byte{}
	for range r.uvarint() {
		name := r.text()
		states[name] = r.sized()
		if r.src == nil {
			return nil, ErrCorrupt
		}
	}
	return states, nil
}

func (m *sequenceMachine) start(in int, offset int64) { m.lines[in].seq.next = offset }

func (m *sequenceMachine) next(in int) int64 { return m.lines[in].seq.Next() }

func (m *sequenceMachine) ahead(int) bool { return false } // lines do not wait for each other

func (m *sequenceMachine) add(ctx context.Context, in int, recs []fetch.Record) error {
	l := m.lines[in]
	l.raws = record.ReadRaws(l.raws[:0], recs)
	if err := l.seq.Add(ctx, l.raws...); err != nil {
		return err
	}
	if m.config.IdleAfter > 0 && slices.ContainsFunc(l.raws, func(r record.Raw) bool { return string(r.Conn) != beatConn }) {
		l.heard = m.config.Now()
	}
	return nil
}

func (m *sequenceMachine) newest() int64 {
	t := market.NoTime
	for _, l := range m.lines {
		if w, ok := l.marks[l.seq.kind]; ok && market.ValidTime(w.mark) {
			t = max(t, w.mark)
		}
	}
	return t
}

func (m *sequenceMachine) idle(in int, now time.Time) bool {
	l := m.lines[in]
	if m.config.IdleAfter > 0 && l.heard.IsZero() {
		l.heard = now // since we look
	}
	return m.config.IdleAfter > 0 && now.Sub(l.heard) >= m.config.IdleAfter
}

// beatConn is the connection that the job's own watermarks come from.
const beatConn = "tidemark-idle"

func (m *sequenceMachine) beat(ctx context.Context, in int, t int64, out *outbox) error {
	l := m.lines[in]
	if w, ok := l.marks[l.seq.kind]; ok && w.mark >= t {
		return nil
	}
	feeds := l.seq.Feeds()
	if len(feeds) == 0 {
		feeds = []string{""}
	}
	for _, feed := range feeds {
		r := out.add(l.seq.cfg.Topic, l.part, t)
		var err error
		r.Value = out.keep(func(dst []byte) []byte {
			dst, err = l.seq.AppendHeartbeat(ctx, dst, l.enc, feed, t)
			return dst
		})
		if err != nil {
			return err
		}
		record.AddRaw(r, &record.Raw{Format: []byte(FormatEvent), Conn: []byte(beatConn)})
	}
	return nil
}

func (m *sequenceMachine) step(ctx context.Context, out *outbox) error {
	for _, l := range m.lines {
		if err := l.seq.Step(&l.out); err != nil {
			return err
		}
		if err := l.write(ctx, out); err != nil {
			return err
		}
	}
	return nil
}

func (l *line) write(ctx context.Context, out *outbox) error {
	l.wrote.rows = out.n
	for _, k := range l.seq.Kinds() {
		for i, b := 0, l.out.Rows.Batches[k]; b != nil && i < b.N; i++ {
			if _, err := l.event(ctx, out, l.to.processed, b, i); err != nil {
				return err
			}
		}
	}
	l.wrote.rowsEnd = out.n
	for k, b := range l.out.Late.Batches {
		for i := 0; b != nil && i < b.N; i++ {
			r, err := l.event(ctx, out, l.to.late, b, i)
			if err != nil {
				return err
			}
			r.Timestamp = time.Time{} // of writing
			missed := l.out.Missed[k][i]
			record.AddLate(r, missed, missed-b.EventTS[i])
		}
	}
	for i := range l.out.Letters {
		d := &l.out.Letters[i]
		r := out.add(l.to.dead, l.part, 0)
		r.Timestamp = time.Time{}
		r.Key, r.Value = d.Key, d.Value
		record.AddDeadLetter(r, &d.DeadLetter)
	}
	l.wrote.marks = out.n
	err := l.writeMarks(ctx, out)
	l.wrote.marksEnd = out.n
	return err
}

func (l *line) writeMarks(ctx context.Context, out *outbox) error {
	for _, k := range l.seq.Kinds() {
		t := l.out.Marks[k]
		if last, ok := l.marks[k]; t == market.NoTime || ok && t == last.mark && l.out.Account == last.account {
			continue
		}
		l.marks[k] = written{t, l.out.Account}
		r := out.add(l.to.processed, l.part, t)
		if !market.ValidTime(t) {
			r.Timestamp = time.Time{}
		}
		var err error
		r.Value = out.keep(func(dst []byte) []byte {
			dst, err = l.seq.AppendMark(ctx, dst, l.enc, &l.out, k)
			return dst
		})
		if err != nil {
			return err
		}
		record.AddMark(r, l.kinds, k, &l.out.Account)
	}
	return nil
}

// event appends the record of an event.
func (l *line) event(ctx context.Context, out *outbox, to string, b *market.Batch, i int) (*kgo.Record, error) {
	r := out.add(to, l.part, b.TS[i])
	var err error
	r.Value = out.keep(func(dst []byte) []byte {
		dst, err = l.enc.AppendEvent(ctx, dst, b, i)
		return dst
	})
	if err != nil {
		return nil, err
	}
	for int(b.Inst[i]) >= len(l.keys) {
		l.keys = append(l.keys, nil)
	}
	if l.keys[b.Inst[i]] == nil {
		l.keys[b.Inst[i]] = []byte(l.insts.Get(b.Inst[i]).Symbol)
	}
	r.Key = l.keys[b.Inst[i]]
	record.AddHeader(r, record.HeaderID, out.keep(func(dst []byte) []byte { return append(dst, b.ID[i][:]...) }))
	return r, nil
}
