package stream

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream/fetch"
)

// Offline is one partition of the sequence job without a broker: it takes raw records and gives
// those that the job would write. One caller at a time.
type Offline struct {
	m    machine
	line *line
	next int64
}

// NewOffline makes the sequencer of a raw partition that has read nothing.
func NewOffline(c SequenceJobConfig, raw TopicPartition) (*Offline, error) {
	m, err := openSequence(&c, []TopicPartition{raw}, nil)
	if err != nil {
		return nil, err
	}
	return &Offline{m: m, line: m.(*sequenceMachine).lines[0]}, nil
}

// Add takes the partition's next record and gives it its offset.
func (o *Offline) Add(ctx context.Context, r *kgo.Record) error {
	r.Offset = o.next
	o.next++
	return o.m.add(ctx, 0, []fetch.Record{fetch.Of(r)})
}

// Step returns the records that became final since the last step: events, late ones, dead letters,
// watermarks, each with its topic and partition. They are the caller's.
func (o *Offline) Step(ctx context.Context) ([]*kgo.Record, error) {
	var out outbox
	if err := o.m.step(ctx, &out); err != nil {
		return nil, err
	}
	return out.recs[:out.n], nil
}

// Account is of all records up to the last step (I3).
func (o *Offline) Account() sequence.Counts { return o.line.out.Account }
