package stream

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream/fetch"
)

// The guarantees that tests take away.
const (
	NoTransaction = noTransaction
	NoReplay      = noReplay
	NoDrop        = noDrop
)

// Break takes a guarantee away.
func (j *Job) Break(b broken) { j.broken = b }

// Broken is a guarantee that Break takes away.
type Broken = broken

// EndHanging is what a worker of a group does before it reads and writes.
func EndHanging(ctx context.Context, group string, cl *kgo.Client, opts []kgo.Opt, writes []string) error {
	w := &worker{Job: Job{Name: group, Options: opts, Log: slog.Default(), writes: writes}}
	id, epoch, err := cl.ProducerID(ctx)
	if err != nil {
		return err
	}
	return w.endHanging(ctx, cl, txn{id, epoch}, w.saidBy(ctx, cl, id))
}

// OffsetsPartition is the partition of a group in the offsets topic.
var OffsetsPartition = offsetsPartition

// Metadata is that of an offset.
func Metadata(p string, producer int64, epoch int16) string {
	return *pointer(p).metadata(txn{producer, epoch})
}

// ReadPointer prints what metadata says.
func ReadPointer(metadata string) string {
	p, by, ok := readPointer(metadata)
	return fmt.Sprintf("%s %d:%d %v", p, by.producer, by.epoch, ok)
}

// Machine is the task of a features job without Kafka.
type Machine struct {
	m   machine
	out outbox
}

// OpenMachine opens the task of a job that reads some partitions from their beginnings.
func (j *Job) OpenMachine(inputs []TopicPartition) (*Machine, error) {
	m, err := j.open(inputs, nil)
	return &Machine{m: m}, err
}

// Transact takes records of the first input, makes those that would be written, and returns how many.
func (m *Machine) Transact(ctx context.Context, recs []*kgo.Record) (int, error) {
	m.out.reset()
	var fetched []fetch.Record
	for _, r := range recs {
		fetched = append(fetched, fetch.Of(r))
	}
	return m.TransactFetched(ctx, fetched)
}

// TransactFetched is Transact of records as they are fetched.
func (m *Machine) TransactFetched(ctx context.Context, recs []fetch.Record) (int, error) {
	m.out.reset()
	if err := m.m.add(ctx, 0, recs); err != nil {
		return 0, err
	}
	err := m.m.step(ctx, &m.out)
	return m.out.n, err
}

// VoteAs has a task that does not run vote for an activation; it accepts when there is no reason not to.
func VoteAs(ctx context.Context, stream string, opts []kgo.Opt, id string, task TaskID, reason string) error {
	return tell(ctx, stream, opts, &controlRecord{ID: id, Vote: &vote{TaskID: task, Accept: reason == "", Reason: reason}})
}

// Recall is recall of all that lies before a time.
func (f *Features) Recall(rows *market.Chunk, marks *[market.NumKinds]int64, since int64) error {
	f.since = since
	return f.recall(rows, marks)
}
