package conn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pinova-group/tidemark/internal/exkafka"
	"github.com/pinova-group/tidemark/stream/conn"
)

// kafka is a real one.
func kafka(t *testing.T) *conn.Config {
	t.Helper()
	addr := exkafka.Addr(t)
	return &conn.Config{Brokers: strings.Split(addr, ",")}
}

func newClient(t *testing.T, c *conn.Config, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts, err := c.Options()
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.CloseAllowingRebalance)
	return cl
}

// A transaction is seen when it is committed, with the offsets that it carries; an aborted
// one never is. Record times of long ago and of tomorrow are kept.
func TestKafka_Transaction(t *testing.T) {
	c := kafka(t)
	if w := accepted(t, c); len(w) > 0 {
		t.Errorf("warnings %v", w)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	topic := fmt.Sprintf("transaction-%d", time.Now().UnixNano())
	adm := kadm.NewClient(newClient(t, c))
	r, err := adm.CreateTopic(ctx, 2, 1, nil, topic)
	if err = errors.Join(err, r.Err); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = adm.DeleteTopics(context.Background(), topic) })

	p := newClient(t, c, kgo.TransactionalID(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	times := map[string]time.Time{"old": time.UnixMilli(1), "new": time.UnixMilli(time.Now().Add(24 * time.Hour).UnixMilli()), "aborted": time.UnixMilli(2)}
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		values := []string{"aborted"}
		if end == kgo.TryCommit {
			values = []string{"old", "new"}
		}
		for i, v := range values {
			if err := p.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: int32(i), Value: []byte(v), Timestamp: times[v]}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		commitOffset(ctx, t, p, topic, int64(len(values)))
		if err := p.EndTransaction(ctx, end); err != nil {
			t.Fatal(err)
		}
	}

	read := newClient(t, c, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond))
	var got []string
	for len(got) < 2 {
		fs := read.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			t.Fatalf("read %v, then %v", got, err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			got = append(got, string(r.Value))
			if want := times[string(r.Value)]; !r.Timestamp.Equal(want) {
				t.Errorf("%s is of %v, want %v", r.Value, r.Timestamp, want)
			}
		})
	}
	slices.Sort(got)
	if fmt.Sprint(got) != "[new old]" {
		t.Errorf("read %v", got)
	}
	offs, err := adm.FetchOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := offs.Lookup(topic, 0); o.At != 2 || o.Metadata != "m2" {
		t.Errorf("offset %+v", o)
	}
}

// commitOffset commits an offset of the group of the same name within the transaction.
func commitOffset(ctx context.Context, t *testing.T, p *kgo.Client, topic string, at int64) {
	t.Helper()
	id, epoch, err := p.ProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = topic, id, epoch, topic
	added, err := add.RequestWith(ctx, p)
	if err != nil || added.ErrorCode != 0 {
		t.Fatalf("add offsets: %v %+v", err, added)
	}
	metadata := fmt.Sprint("m", at)
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch, commit.Group, commit.Generation = topic, id, epoch, topic, -1
	commit.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: topic, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: at, LeaderEpoch: -1, Metadata: &metadata}}}}
	committed, err := commit.RequestWith(ctx, p)
	if err != nil || committed.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("commit offsets: %v %+v", err, committed)
	}
}
