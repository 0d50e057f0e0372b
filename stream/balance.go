package stream

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrUnequal says that topics that go together have different numbers of partitions.
var ErrUnequal = errors.New("topics of a job must have the same number of partitions")

// balancer spreads tasks over the members of a group: task p is partition p of every topic,
// or, when single, the only task is all partitions. Members are taken by instance id, each
// gets a range of tasks, so the same members always get the same tasks.
type balancer struct{ single bool }

func (b balancer) ProtocolName() string {
	if b.single {
		return "tidemark-single-1"
	}
	return "tidemark-task-1"
}

func (balancer) IsCooperative() bool { return false }

func (balancer) JoinGroupMetadata(topics []string, _ map[string][]int32, _ int32) []byte {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = topics
	return meta.AppendTo(nil)
}

func (balancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	return kgo.ParseConsumerSyncAssignment(assignment)
}

func (b balancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	cb, err := kgo.NewConsumerBalancer(b, members)
	return cb, cb.MemberTopics(), err
}

// Balance implements kgo.ConsumerBalancerBalance.
func (b balancer) Balance(cb *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	tasks, err := tasksOf(topics)
	if err != nil {
		cb.SetError(err)
		return nil
	}
	plan := cb.NewPlan()
	members := cb.Members()
	for i := range members {
		lo, hi := tasks*i/len(members), tasks*(i+1)/len(members)
		if b.single {
			lo, hi = 0, 0
			if i == 0 {
				hi = tasks
			}
		}
		for topic := range topics {
			for p := lo; p < hi; p++ {
				plan.AddPartition(&members[i], topic, int32(p))
			}
		}
	}
	return plan
}

// tasksOf is the number of partitions of all topics.
func tasksOf(topics map[string]int32) (int, error) {
	n := int32(-1)
	first := ""
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		switch {
		case n < 0:
			n, first = topics[topic], topic
		case topics[topic] != n:
			return 0, fmt.Errorf("%w: %s has %d, %s has %d", ErrUnequal, first, n, topic, topics[topic])
		}
	}
	return int(max(n, 0)), nil
}
