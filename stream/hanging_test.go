package stream_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/pinova-group/tidemark/stream"
)

func TestPointer_NamesItsTransaction(t *testing.T) {
	for text, want := range map[string]string{
		"tidemark1 7/0000000000000012-ab 13:1235": "7/0000000000000012-ab 13:1235 true",
		"tidemark1 7/0000000000000012-ab":         "7/0000000000000012-ab -1:-1 true", // of a release before
		"tidemark1 7/0000000000000012-ab x":       "7/0000000000000012-ab -1:-1 true",
		"tidemark1 13:1235":                       "13:1235 -1:-1 false",
		"other":                                   "other -1:-1 false",
	} {
		if got := stream.ReadPointer(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := stream.Metadata("7/0000000000000012-ab", 13, 1235); got != "tidemark1 7/0000000000000012-ab 13:1235" {
		t.Error(got)
	}
}

// The partitions that Kafka 4.3.1 gave to these groups.
func TestOffsetsPartition(t *testing.T) {
	for group, want := range map[string]int32{
		"001TestProof_SurvivesKills-kafka-features": 1, "001TestProof_SurvivesKills-kafka-global": 3, "001TestProof_SurvivesKills-kafka-sequence": 3, "": 0,
	} {
		if got := stream.OffsetsPartition(group, 4); got != want {
			t.Errorf("%s: %d, want %d", group, got, want)
		}
	}
}

// hanging is a producer whose transaction a broker has not ended everywhere, although the coordinator knows of none.
type hanging struct {
	t        *testing.T
	addr     string
	id       string // of the producer, the group and the topic
	topic    string
	adm      *kadm.Client
	producer int64
	epoch    int16
	next     *kgo.Client // the next process of the same slot
	nextAt   int16
}

func newHanging(t *testing.T, s servers) *hanging {
	t.Helper()
	h := &hanging{t: t, addr: s.addr, id: "hanging-" + strconv.FormatInt(time.Now().UnixNano(), 36)}
	h.topic = "processed.spot.trade." + h.id
	first := h.client()
	h.adm = kadm.NewClient(newClient(t, s.addr))
	if _, err := h.adm.CreateTopics(t.Context(), 3, -1, nil, h.topic); err != nil {
		t.Fatal(err)
	}
	for range 100 { // until all partitions have leaders that know it
		if described, err := h.adm.DescribeProducers(t.Context(), kadm.TopicsSet{h.topic: {0: {}, 1: {}, 2: {}}}); err == nil && len(described[h.topic].Partitions) == 3 &&
			!slices.ContainsFunc(described[h.topic].Partitions.Sorted(), func(p kadm.DescribedProducersPartition) bool { return p.Err != nil }) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Cleanup(func() {
		_, _ = h.adm.DeleteTopics(context.Background(), h.topic)
		_, _ = h.adm.DeleteGroups(context.Background(), h.id)
	})
	var err error
	if h.producer, h.epoch, err = first.ProducerID(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hanging) client() *kgo.Client {
	return newClient(h.t, h.addr, kgo.TransactionalID(h.id), kgo.ConsumerGroup(h.id))
}

// restart is the next process of the slot, as far as its producer.
func (h *hanging) restart() {
	h.t.Helper()
	h.next = h.client()
	producer, epoch, err := h.next.ProducerID(h.t.Context())
	if err != nil || producer != h.producer || epoch <= h.epoch {
		h.t.Fatalf("producer %d/%d, then %d/%d: %v", h.producer, h.epoch, producer, epoch, err)
	}
	h.nextAt = epoch
}

func (h *hanging) repair() {
	h.t.Helper()
	if err := stream.EndHanging(h.t.Context(), h.id, h.next, []kgo.Opt{kgo.SeedBrokers(strings.Split(h.addr, ",")...)}, []string{h.topic}); err != nil {
		h.t.Fatal(err)
	}
}

// write appends a record of the transaction to a partition that the coordinator does not know of.
func (h *hanging) write(partition int32, value string) {
	h.t.Helper()
	appendOpen(h.t, h.addr, h.id, h.topic, partition, h.producer, h.epoch, value)
}

func (h *hanging) mark(partition int32, commit bool) {
	h.t.Helper()
	on := kadm.TopicsSet{}
	on.Add(h.topic, partition)
	resp, err := h.adm.WriteTxnMarkers(h.t.Context(), kadm.TxnMarkers{ProducerID: h.producer, ProducerEpoch: h.epoch, Commit: commit, Topics: on})
	for _, r := range resp.SortedPartitions() {
		err = errors.Join(err, r.Err)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// commitOffset writes the transaction's offset into the offsets topic, which the coordinator does not know of either.
func (h *hanging) commitOffset(offset int64) {
	h.t.Helper()
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = h.id, h.id, h.producer, h.epoch
	rt, rp := kmsg.NewTxnOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
	rt.Topic, rp.Offset = h.topic, offset
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.TxnOffsetCommit), 4)
	resp, err := req.RequestWith(h.t.Context(), newClient(h.t, h.addr, kgo.MaxVersions(versions)))
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// offset is the group's in partition 0, -1 for none; waiting: a transaction is open in the offsets.
func (h *hanging) offset() (offset int64, waiting bool) {
	h.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = h.id
	gt := kmsg.NewOffsetFetchRequestGroupTopic()
	gt.Topic, gt.Partitions = h.topic, []int32{0}
	g.Topics = append(g.Topics, gt)
	req.Groups = append(req.Groups, g)
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.OffsetFetch), 9)
	resp, err := req.RequestWith(h.t.Context(), newClient(h.t, h.addr, kgo.MaxVersions(versions)))
	if err != nil {
		h.t.Fatal(err)
	}
	p := resp.Groups[0].Topics[0].Partitions[0]
	return p.Offset, p.ErrorCode == kerr.UnstableOffsetCommit.Code
}

// open are the partitions with an open transaction.
func (h *hanging) open() (open []int32) {
	h.t.Helper()
	ends, err := h.adm.ListEndOffsets(h.t.Context(), h.topic)
	if err != nil {
		h.t.Fatal(err)
	}
	stable, err := h.adm.ListCommittedOffsets(h.t.Context(), h.topic)
	if err != nil {
		h.t.Fatal(err)
	}
	for p := range int32(3) {
		e, _ := ends.Lookup(h.topic, p)
		if s, _ := stable.Lookup(h.topic, p); s.Offset < e.Offset {
			open = append(open, p)
		}
	}
	return open
}

// values are what a consumer reads of the topic.
func (h *hanging) values() (values []string) {
	h.t.Helper()
	for _, r := range readCommitted(h.t.Context(), h.t, h.addr, map[string]bool{h.topic: true}) {
		values = append(values, fmt.Sprintf("%d%s", r.Partition, r.Value))
	}
	slices.Sort(values)
	return values
}

func (h *hanging) expect(values string) {
	h.t.Helper()
	if got := strings.Join(h.values(), " "); got != values {
		h.t.Errorf("%q is to be read, want %q", got, values)
	}
	if o := h.open(); len(o) > 0 {
		h.t.Errorf("transactions are open in partitions %v", o)
	}
}

// again is the next process writing in a transaction what the one before has written.
func (h *hanging) again(value string) {
	h.t.Helper()
	if err := h.next.BeginTransaction(); err != nil {
		h.t.Fatal(err)
	}
	if err := h.next.ProduceSync(h.t.Context(), &kgo.Record{Topic: h.topic, Value: []byte(value)}).FirstErr(); err != nil {
		h.t.Fatal(err)
	}
	if err := h.next.EndTransaction(h.t.Context(), kgo.TryCommit); err != nil {
		h.t.Fatal(err)
	}
}

// A transaction whose mark a broker has lost is ended as it was, before its producer writes again.
func TestEndHanging(t *testing.T) {
	s := realKafka(t)
	adm := kadm.NewClient(newClient(t, s.addr))
	// The broker is told to take records of a transaction that their partition is not in: the state that a lost mark leaves.
	verify := func(on string) {
		if _, err := adm.AlterBrokerConfigs(context.Background(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "transaction.partition.verification.enable", Value: &on}}); err != nil {
			t.Fatal(err)
		}
	}
	verify("false")
	defer verify("true")

	t.Run("what comes of it", func(t *testing.T) {
		h := newHanging(t, s)
		h.write(0, "x")
		h.restart()
		if o := h.open(); !slices.Equal(o, []int32{0}) {
			t.Fatalf("no transaction hangs, so nothing is tested: %v", o)
		}
		h.again("x")
		h.expect("0x 0x") // twice
	})
	t.Run("aborted", func(t *testing.T) {
		h, other := newHanging(t, s), newHanging(t, s)
		h.write(0, "x")
		h.write(1, "y")
		h.mark(1, false)
		other.write(0, "z")
		h.restart()
		h.repair()
		h.again("x")
		h.expect("0x")
		if o := other.open(); !slices.Equal(o, []int32{0}) {
			t.Errorf("of another producer there is open: %v", o)
		}
		other.restart()
		other.repair()
		other.expect("")
	})
	t.Run("committed, as the offsets say", func(t *testing.T) {
		h := newHanging(t, s)
		h.write(0, "x")
		h.write(2, "y")
		os := kadm.Offsets{}
		os.Add(kadm.Offset{Topic: h.topic, At: 5, LeaderEpoch: -1, Metadata: stream.Metadata("0/0000000000000001-ab", h.producer, h.epoch)})
		if err := h.adm.CommitAllOffsets(t.Context(), h.id, os); err != nil {
			t.Fatal(err)
		}
		h.restart()
		h.repair()
		h.expect("0x 2y")
	})
	t.Run("committed, as another partition says", func(t *testing.T) {
		h := newHanging(t, s)
		h.write(0, "x")
		h.write(1, "y")
		h.commitOffset(5)
		h.mark(1, true)
		h.restart()
		if _, waiting := h.offset(); !waiting {
			t.Fatal("the offsets are not open, so nothing is tested")
		}
		h.repair()
		h.expect("0x 1y")
		if o, waiting := h.offset(); o != 5 || waiting {
			t.Errorf("the offset is %d, open: %v", o, waiting)
		}
	})
	t.Run("nothing says that it was committed", func(t *testing.T) {
		h := newHanging(t, s)
		h.write(0, "x")
		h.commitOffset(5)
		h.restart()
		h.repair()
		h.expect("")
		if o, waiting := h.offset(); o != -1 || waiting {
			t.Errorf("the offset is %d, open: %v", o, waiting)
		}
	})
	t.Run("of the worker that has the slot now", func(t *testing.T) {
		h := newHanging(t, s)
		h.restart()
		old := h.next
		h.epoch = h.nextAt
		h.restart() // the newer one
		h.epoch = h.nextAt
		h.write(0, "x")
		h.next = old
		h.repair()
		if o := h.open(); !slices.Equal(o, []int32{0}) {
			t.Errorf("a worker that was fenced has ended a transaction of its heir: %v", o)
		}
		h.restart()
		h.repair()
		h.expect("")
	})
}

// appendOpen writes one record of a transaction as a raw request, in a version that adds the partition to no transaction.
func appendOpen(t *testing.T, addr, id, topic string, partition int32, producer int64, epoch int16, value string) {
	t.Helper()
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.Produce), 11)
	cl := newClient(t, addr, kgo.MaxVersions(versions))
	rec := kmsg.Record{Value: []byte(value)}
	rec.Length = int32(len(rec.AppendTo(nil)) - 1) // the length itself takes one byte
	now := time.Now().UnixMilli()
	b := kmsg.RecordBatch{Length: 49, Magic: 2, Attributes: 1 << 4, FirstTimestamp: now, MaxTimestamp: now, ProducerID: producer, ProducerEpoch: epoch, NumRecords: 1, Records: rec.AppendTo(nil)}
	b.Length += int32(len(b.Records))
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = &id, -1, 10_000
	rt, rp := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	rt.Topic, rp.Partition, rp.Records = topic, partition, raw
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	var err error
	for range 100 { // until the partition has a leader, and it knows that
		var meta kadm.Metadata
		if meta, err = kadm.NewClient(cl).Metadata(t.Context(), topic); err == nil {
			var resp *kmsg.ProduceResponse
			if resp, err = req.RequestWith(t.Context(), cl.Broker(int(meta.Topics[topic].Partitions[partition].Leader))); err == nil {
				if err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err == nil {
					return
				}
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal(err)
}
