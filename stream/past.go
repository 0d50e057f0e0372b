package stream

import (
	"context"
	"fmt"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream/topic"
)

// Past has the events of processed topics, those too that topics do not keep any more: the lake.
type Past interface {
	// Reach is the time below which all events of the kinds that a plan reads are there, and an error when
	// they do not reach back to a time of each kind.
	Reach(ctx context.Context, plan *features.Plan, from *[market.NumKinds]int64) (int64, error)
	// Read gives the rows of each kind from a time on and before another, in the total order and none that
	// was late, and the times below which kinds are complete. Rows are good until take returns.
	Read(ctx context.Context, q *PastQuery, take func(rows *market.Chunk, marks *[market.NumKinds]int64) error) error
}

// PastQuery says what is read.
type PastQuery struct {
	Plan  *features.Plan
	Insts *market.Instruments
	From  [market.NumKinds]int64 // market.NoTime: all
	To    int64
}

// pastOf says what an engine for new views needs of the past, all of which is there.
func (w *worker) pastOf(ctx context.Context, m *featuresMachine, c *change) (*PastQuery, error) {
	q := &PastQuery{Plan: c.plan, Insts: m.insts}
	for _, in := range c.plan.Inputs() {
		q.From[in.Kind] = c.from(in.Lookback)
	}
	to, err := w.features.Past.Reach(ctx, c.plan, &q.From)
	q.To = min(to, c.brings.From)
	return q, err
}

// recall gives a machine with one engine that has read nothing what its partitions brought before a time.
func (w *worker) recall(ctx context.Context, m *featuresMachine, q *PastQuery) error {
	f, err := m.newOrigins()
	if err != nil {
		return err
	}
	var kept market.Chunk
	task := m.engines[0].task
	return w.features.Past.Read(ctx, q, func(rows *market.Chunk, marks *[market.NumKinds]int64) error {
		kept.Reset()
		for _, b := range rows.Batches {
			if b == nil || b.N == 0 {
				continue
			}
			to, from := kept.BatchOf(b.Kind, b.Fields), 0
			for i := range b.N {
				if !f.brings(b.Kind, b.Inst[i]) {
					to.AppendRows(b, from, i)
					from = i + 1
				}
			}
			to.AppendRows(b, from, b.N)
		}
		return task.recall(&kept, marks)
	})
}

// origins tells which events are of the partitions that a task reads.
type origins struct {
	insts *market.Instruments
	of    map[origin]bool
	parts int
	known [market.NumKinds][]int8 // by instrument: 1 it is, -1 it is not
}

type origin struct {
	exchange  string
	venue     market.Venue
	kind      market.Kind
	partition int32
}

func (m *featuresMachine) newOrigins() (*origins, error) {
	o := &origins{insts: m.insts, of: map[origin]bool{}, parts: m.config.Partitions}
	for _, at := range m.inputs {
		name, err := topic.Parse(at.Topic)
		if err != nil {
			return nil, fmt.Errorf("input %s: %w", at, err)
		}
		for _, k := range append([]market.Kind{market.KindStatus}, m.config.Kinds[at.Topic]...) {
			o.of[origin{name.Exchange, name.Market, k, at.Partition}] = true
		}
	}
	return o, nil
}

// brings reports whether an event of an instrument came in one of the partitions. Statuses of a whole feed, which have none,
// are in all.
func (o *origins) brings(k market.Kind, i market.Inst) bool {
	for int(i) >= len(o.known[k]) {
		o.known[k] = append(o.known[k], 0)
	}
	if o.known[k][i] == 0 {
		o.known[k][i] = -1
		in := o.insts.Get(i)
		if in.Symbol == "" || o.of[origin{in.Exchange, in.Venue, k, topic.Partition(in.Base, o.parts)}] {
			o.known[k][i] = 1
		}
	}
	return o.known[k][i] > 0
}
