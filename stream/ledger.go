package stream

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/parity"
	"github.com/pinova-group/tidemark/stream/record"
)

// ledger writes what the rows of a features task add to the parity ledger: one record in the
// transaction of the rows.
type ledger struct {
	topic  string
	schema uint32 // 0: not registered yet
	order  []int  // inputs, those of a topic one behind the other
	said   []int64
	delta  parity.Delta
}

// ledgerEvery is how far a task goes on without rows, in event time, until it says so.
const ledgerEvery = 10 * market.Second

func newLedger(topic string, c *FeaturesConfig, tasks int, inputs []TopicPartition) *ledger {
	l := &ledger{topic: topic, said: make([]int64, len(inputs)), delta: parity.Delta{Job: c.Ledger, Build: c.Build, Tasks: int32(tasks)}}
	for in := range inputs {
		l.said[in] = -1
		l.order = append(l.order, in)
	}
	slices.SortFunc(l.order, func(a, b int) int { return comparePlaces(inputs[a], inputs[b]) })
	if len(inputs) > 0 {
		l.delta.Task = inputs[l.order[0]].Partition // of the task that reads all partitions this is 0
	}
	return l
}

// again has the next record say how far everything is: what the replay of a task would have said is dropped with its rows, and may
// never have been written.
func (l *ledger) again() {
	l.delta.Complete = 0
	for in := range l.said {
		l.said[in] = -1
	}
}

// whole is the time below which all rows of the task have been written, 0 before there is one.
func (m *featuresMachine) whole() int64 {
	t := int64(math.MaxInt64)
	for _, e := range m.engines {
		t = min(t, e.task.Whole())
	}
	if !market.ValidTime(t) {
		return 0
	}
	return t
}

// write appends the record when there were rows, or none for long, and begins anew.
func (l *ledger) write(ctx context.Context, m *featuresMachine, out *outbox) error {
	d := &l.delta
	d.Views, d.Inputs = d.Views[:0], d.Inputs[:0]
	for _, e := range m.engines {
		for i := range e.views {
			if w := &e.views[i]; len(w.cells.List) > 0 {
				o := &e.plan.Outputs()[i]
				d.Views = append(d.Views, parity.ViewCells{View: parity.View{Name: o.Name, Version: o.Version, Fingerprint: o.Fingerprint}, Cells: w.cells.List})
				w.cells.Reset() // the list stays as it is until the next row
			}
		}
	}
	complete := m.whole()
	if len(d.Views) == 0 && complete < d.Complete+ledgerEvery {
		return nil
	}
	d.Complete = complete
	for _, in := range l.order {
		if next := m.next(in); next >= 0 && next != l.said[in] {
			d.Inputs = append(d.Inputs, parity.Input{Topic: m.inputs[in].Topic, Partition: m.inputs[in].Partition, Next: next})
			l.said[in] = next
		}
	}
	if l.schema == 0 {
		var err error
		if l.schema, err = m.config.Schemas.Ledger(ctx); err != nil {
			return err
		}
	}
	r := out.add(l.topic, d.Task, 0)
	r.Timestamp = time.Time{} // of writing
	r.Value = out.keep(func(dst []byte) []byte { return record.AppendLedger(dst, l.schema, d) })
	return nil
}
