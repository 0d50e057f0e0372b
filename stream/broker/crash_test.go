package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// outcome is what a producer knows of one of its transactions.
type outcome int

const (
	unknown outcome = iota
	committedTxn
	abortedTxn
)

const (
	crashPartitions = 16
	crashTopics     = 2
)

// worker produces transactions one after the other until the broker dies: one record to
// each partition of each topic, and the number of the transaction as an offset of a group.
func worker(ctx context.Context, addr, name string, in [16]byte, from int, ends *[]outcome) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.TransactionalID(name), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.RecordRetries(0), kgo.RequestRetries(0), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return
	}
	defer cl.Close()
	defer context.AfterFunc(ctx, cl.Close)() // what is on its way waits for its broker for ever otherwise
	rnd := rand.New(rand.NewPCG(uint64(from), 7))
	for n := from; ctx.Err() == nil; n++ {
		if cl.BeginTransaction() != nil {
			return
		}
		*ends = append(*ends, unknown)
		var rs []*kgo.Record
		for topic := range crashTopics {
			for p := range crashPartitions {
				rs = append(rs, &kgo.Record{Topic: "t" + strconv.Itoa(topic), Partition: int32(p), Value: fmt.Appendf(nil, "%s %d", name, n)})
			}
		}
		if cl.ProduceSync(ctx, rs...).FirstErr() != nil {
			return
		}
		if rnd.IntN(4) == 0 {
			if cl.EndTransaction(ctx, kgo.TryAbort) != nil {
				return
			}
			(*ends)[len(*ends)-1] = abortedTxn
			continue
		}
		if !addOffset(ctx, cl, name, in, int64(n)) || cl.EndTransaction(ctx, kgo.TryCommit) != nil {
			return
		}
		(*ends)[len(*ends)-1] = committedTxn
	}
}

// A broker is killed again and again while transactions are open. Whatever the moment:
// what was committed is there once, what was aborted is not, and what the producer knows
// nothing about is there wholly, its offset included, or not at all.
func TestBroker_SurvivesSIGKILL(t *testing.T) {
	t.Parallel()
	kills := 12
	if n, err := strconv.Atoi(os.Getenv("TIDEMARK_TEST_KILLS")); err == nil {
		kills = n
	}
	const workers = 2
	dir := t.TempDir()
	p := spawn(t, dir)
	for topic := range crashTopics {
		createTopic(t, p.addr, "t"+strconv.Itoa(topic), crashPartitions, nil)
	}
	createTopic(t, p.addr, "in", 1, nil)
	in, err := kadm.NewClient(client(t, p.addr)).ListTopics(t.Context(), "in")
	if err != nil {
		t.Fatal(err)
	}
	ends := make([][]outcome, workers)
	var undecided, done int
	for k := range kills {
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() { worker(ctx, p.addr, "w"+strconv.Itoa(w), in["in"].ID, len(ends[w]), &ends[w]) })
		}
		time.Sleep(time.Duration(80+rand.IntN(150)) * time.Millisecond)
		p.kill()
		cancel()
		wg.Wait()
		p = spawn(t, dir)
		if k%6 == 5 || k == kills-1 {
			undecided, done = checkCrash(t, p.addr, ends)
			if t.Failed() {
				t.Fatalf("after %d kills", k+1)
			}
		}
	}
	t.Logf("%d kills, %d transactions committed, %d with an outcome that the producer does not know", kills, done, undecided)
	if done == 0 {
		t.Error("nothing was committed: the test shows nothing")
	}
}

func checkCrash(t *testing.T, addr string, ends [][]outcome) (undecided, done int) {
	t.Helper()
	seen := map[string]int{}
	topics := []string{}
	for topic := range crashTopics {
		topics = append(topics, "t"+strconv.Itoa(topic))
	}
	for _, v := range committed(t, addr, topics) {
		seen[v]++
	}
	const all = crashTopics * crashPartitions
	for w, es := range ends {
		name := "w" + strconv.Itoa(w)
		last := -1
		for n, e := range es {
			got := seen[fmt.Sprintf("%s %d", name, n)]
			delete(seen, fmt.Sprintf("%s %d", name, n))
			want := []int{0, all}
			switch e {
			case committedTxn:
				want = []int{all}
				done++
			case abortedTxn:
				want = []int{0}
			default:
				undecided++
			}
			if !slices.Contains(want, got) {
				t.Errorf("transaction %d of %s, outcome %d: %d of %d records are there, want one of %v", n, name, e, got, all, want)
			}
			if got > 0 {
				last = n
			}
		}
		offs, err := kadm.NewClient(client(t, addr)).FetchOffsets(t.Context(), name)
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			t.Fatal(err)
		}
		at := int64(-1)
		if o, ok := offs.Lookup("in", 0); ok {
			at = o.At
		}
		if at != int64(last) {
			t.Errorf("the last transaction of %s that is there is %d, its offset says %d", name, last, at)
		}
	}
	if len(seen) > 0 {
		t.Errorf("records that nobody wrote: %v", seen)
	}
	return undecided, done
}

// addOffset makes a committed offset of group, topic in, part of the open transaction.
func addOffset(ctx context.Context, cl *kgo.Client, group string, in [16]byte, at int64) bool {
	id, epoch, err := cl.ProducerID(ctx)
	if err != nil {
		return false
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = group, id, epoch, group
	if r, err := add.RequestWith(ctx, cl); err != nil || r.ErrorCode != 0 {
		return false
	}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.Group, commit.ProducerID, commit.ProducerEpoch, commit.Generation = group, group, id, epoch, -1
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = "in", in
	part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	part.Offset = at
	topic.Partitions = append(topic.Partitions, part)
	commit.Topics = append(commit.Topics, topic)
	r, err := commit.RequestWith(ctx, cl)
	return err == nil && r.Topics[0].Partitions[0].ErrorCode == 0
}
