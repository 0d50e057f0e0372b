package stream

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func member(id, instance string) kmsg.JoinGroupResponseMember {
	m := kmsg.NewJoinGroupResponseMember()
	m.MemberID, m.InstanceID = id, &instance
	m.ProtocolMetadata = balancer{}.JoinGroupMetadata([]string{"a", "b"}, nil, 0)
	return m
}

func assigned(t *testing.T, b balancer, topics map[string]int32, members ...kmsg.JoinGroupResponseMember) map[string]map[string][]int32 {
	t.Helper()
	mb, _, err := b.MemberBalancer(members)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := mb.(kgo.GroupMemberBalancerOrError).BalanceOrError(topics)
	if err != nil {
		t.Fatal(err)
	}
	return plan.(*kgo.BalancePlan).AsMemberIDMap()
}

func TestBalancer_KeepsPartitionsOfATaskTogether(t *testing.T) {
	for n := 1; n <= 5; n++ {
		var members []kmsg.JoinGroupResponseMember
		for i := range n {
			members = append(members, member(string(rune('z'-i)), string(rune('a'+i))))
		}
		got := assigned(t, balancer{}, map[string]int32{"a": 7, "b": 7}, members...)
		seen := map[int32]int{}
		for i, m := range members {
			a, b := got[m.MemberID]["a"], got[m.MemberID]["b"]
			if len(a) != len(b) || len(a) != 7*(i+1)/n-7*i/n {
				t.Fatalf("%d members: member %d has %v of a and %v of b", n, i, a, b)
			}
			for j := range a {
				if a[j] != b[j] {
					t.Errorf("%d members: member %d has %v of a and %v of b", n, i, a, b)
				}
				seen[a[j]]++
			}
		}
		for p := range int32(7) {
			if seen[p] != 1 {
				t.Errorf("%d members: partition %d is with %d members", n, p, seen[p])
			}
		}
	}
}

func TestBalancer_SingleTaskHasAllPartitions(t *testing.T) {
	got := assigned(t, balancer{single: true}, map[string]int32{"a": 3, "b": 3}, member("x", "1"), member("y", "2"))
	if len(got["x"]["a"]) != 3 || len(got["x"]["b"]) != 3 || len(got["y"]) != 0 {
		t.Errorf("got %v, want all with the first member", got)
	}
}

func TestBalancer_RefusesUnequalTopics(t *testing.T) {
	mb, _, err := balancer{}.MemberBalancer([]kmsg.JoinGroupResponseMember{member("x", "1")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = mb.(kgo.GroupMemberBalancerOrError).BalanceOrError(map[string]int32{"a": 3, "b": 4})
	if !errors.Is(err, ErrUnequal) {
		t.Errorf("got %v, want %v", err, ErrUnequal)
	}
}
