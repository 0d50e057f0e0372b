package stream

import (
	"context"
	"slices"
	"time"

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

func newLedger(topic string, c *FeaturesConfig, inputs []TopicPartition) *ledger {
	l := &ledger{topic: topic, said: make([]int64, len(inputs)), delta: parity.Delta{Job: c.Ledger, Build: c.Build}}
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

// write appends the record when there were rows, and begins anew.
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
	if len(d.Views) == 0 {
		return nil
	}
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
