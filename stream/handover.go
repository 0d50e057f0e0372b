package stream

import (
	"bytes"
	"context"
	"sync"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream/fetch"
)

// Handover gives the sequenced events of one job to the features job of the same process: what a transaction wrote to a
// partition, as the rows that they were, once it is committed. Who reads the partition then need not fetch and decode
// them. Nothing depends on it: what is not handed over is fetched.
type Handover struct {
	mu      sync.RWMutex
	readers map[TopicPartition]readerInput
}

type readerInput struct {
	reader *fetch.Reader
	in     int
}

// NewHandover makes one for the jobs of a process.
func NewHandover() *Handover { return &Handover{readers: map[TopicPartition]readerInput{}} }

// open has an assignment's inputs handed to its reader.
func (h *Handover) open(a *assignment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range a.tasks {
		for in, at := range t.inputs {
			h.readers[at] = readerInput{a.reader, t.first + in}
		}
	}
}

// close ends what open began.
func (h *Handover) close(a *assignment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range a.tasks {
		for _, at := range t.inputs {
			if h.readers[at].reader == a.reader {
				delete(h.readers, at)
			}
		}
	}
}

// to is who reads a partition.
func (h *Handover) to(at TopicPartition) (readerInput, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	to, ok := h.readers[at]
	return to, ok
}

// handed is what a transaction wrote to a partition of sequenced events.
type handed struct {
	rows  market.Chunk
	kinds []market.Kind  // of the rows that were written
	marks []fetch.Record // behind them
	feeds *market.Feeds  // of the rows
	insts *market.Instruments
	line  *line
}

// wrote is where the records of a step lie in the outbox that are for the processed topic.
type wrote struct{ rows, rowsEnd, marks, marksEnd int }

// hand gives what the transaction just committed wrote to whoever reads it in this process, and counts the records.
func (m *sequenceMachine) hand(h *Handover, out *outbox) (records int) {
	for _, l := range m.lines {
		to, ok := h.to(TopicPartition{l.to.processed, l.part})
		rows, marks := out.recs[l.wrote.rows:l.wrote.rowsEnd], out.recs[l.wrote.marks:l.wrote.marksEnd]
		n := len(rows) + len(marks)
		l.wrote = wrote{}
		if !ok || n == 0 {
			continue
		}
		from, last := rows, marks
		if len(rows) == 0 {
			from = marks
		}
		if len(marks) == 0 {
			last = rows
		}
		x := &fetch.Handed{From: from[0].Offset, To: last[len(last)-1].Offset + 1, Records: n}
		if x.To-x.From != int64(n) {
			continue // something else lies between
		}
		e := &handed{rows: l.out.Rows, kinds: l.seq.Kinds(), feeds: l.seq.cfg.Sequencer.Feeds, insts: l.insts, line: l}
		for _, r := range marks {
			r := fetch.Of(r)
			r.Value = bytes.Clone(r.Value)
			e.marks = append(e.marks, r)
		}
		x.What = e
		if to.reader.Hand(to.in, x) {
			l.out.Rows = *l.chunks.Get().(*market.Chunk)
			records += n
		}
	}
	return records
}

// release gives the rows' memory back to the line that they came from.
func (e *handed) release() {
	e.rows.Reset()
	e.line.chunks.Put(&e.rows)
}

// handedNames gives feeds and instruments of a line the numbers that a features task has for them.
type handedNames struct {
	insts *market.Instruments // whose numbers these are
	names []handedName        // by instrument
}

type handedName struct {
	known bool
	feed  market.FeedID // there
	here  market.FeedID
	inst  market.Inst
}

// addHanded is add of what was handed over; false when it must be fetched.
func (m *featuresMachine) addHanded(ctx context.Context, in int, x *fetch.Handed) (bool, error) {
	e, fits := x.What.(*handed), true
	m.partitions(in, func(f *Features, p int) {
		fits = fits && f.parts[p].next <= x.From && f.parts[p].reread <= x.From
	})
	m.chunk.Reset()
	m.marks = m.marks[:0]
	for i := 0; i < len(e.marks) && fits; i++ {
		fits = m.read(ctx, &e.marks[i]) == nil
	}
	if !fits || !m.number(in, e) {
		return false, nil
	}
	rows := market.Chunk{}
	rows.Batches[market.KindWatermark] = m.chunk.Batches[market.KindWatermark]
	for _, k := range e.kinds {
		rows.Batches[k] = e.rows.Batches[k]
	}
	var err error
	m.partitions(in, func(f *Features, p int) {
		if err != nil {
			return
		}
		if err = f.Add(p, x.From, x.To, &rows); err != nil {
			return
		}
		for _, k := range m.marks {
			f.Mark(p, k.of, k.ts)
		}
	})
	e.release()
	return true, err
}

// number gives rows the numbers that feeds and instruments have here; false when there is no room for more of them.
func (m *featuresMachine) number(in int, e *handed) bool {
	if m.handed == nil {
		m.handed = make([]handedNames, len(m.inputs))
	}
	h := &m.handed[in]
	if h.insts != e.insts {
		*h = handedNames{insts: e.insts}
	}
	for _, k := range e.kinds {
		b := e.rows.Batches[k]
		if b == nil {
			continue
		}
		for i, inst := range b.Inst {
			for int(inst) >= len(h.names) {
				h.names = append(h.names, handedName{})
			}
			x := &h.names[inst]
			if !x.known || x.feed != b.Feed[i] {
				here, at, err := m.dec.Names(e.feeds.Get(b.Feed[i]).Name, e.insts.Get(inst))
				if err != nil {
					return false
				}
				*x = handedName{true, b.Feed[i], here, at}
			}
			b.Feed[i], b.Inst[i] = x.here, x.inst
		}
	}
	return true
}
