package stream

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
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
