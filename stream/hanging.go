package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"time"
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/stream/topic"
)

// A broker skips the mark that ends a transaction in a partition that has no leader at that moment, as if it were deleted
// (Kafka 4: TransactionMarkerChannelManager), and its transaction log says that all is done. What was written there stays open,
// and the mark of the producer's next transaction ends it too: of an aborted one, whose records were written again,
// the consumers get them twice. So a worker looks for such transactions of its producer where there can be any, and ends
// them as they should have been.

// offsetsTopic is where Kafka keeps offsets of groups. While a transaction is open in it, they are not given out.
const offsetsTopic = "__consumer_offsets"

// errHangs says that a transaction has to be ended by hand.
var errHangs = errors.New("a transaction hangs")

// txn names a transaction: since version 2 of Kafka's transactions each of a producer has an epoch of its own.
type txn struct {
	producer int64
	epoch    int16
}

// lostBroker notes that connections have ended: perhaps a broker has, and a mark with it.
type lostBroker struct{ atomic.Bool }

func (l *lostBroker) OnBrokerDisconnect(kgo.BrokerMetadata, net.Conn) { l.Store(true) }

// endHanging ends the open transactions of a producer before one that has not begun. Those that committed reports are
// committed; of others a mark in any partition says how they ended. One without any mark is aborted in all of them: nobody has
// seen any of it, and its offsets do not count either. Transactions from that one on are those of another worker that
// has the slot by now.
func (w *worker) endHanging(ctx context.Context, cl *kgo.Client, before txn, committed func(epoch int16) (bool, error)) error {
	adm := kadm.NewClient(cl)
	ours, err := w.ourPartitions(ctx, adm)
	if err != nil {
		return err
	}
	if len(ours) == 0 {
		return nil
	}
	described, err := adm.DescribeProducers(ctx, ours)
	var denied *kadm.AuthError
	switch {
	case errors.Is(err, kerr.UnsupportedVersion):
		return nil
	case errors.As(err, &denied):
		w.Log.Warn("whether a transaction hangs is not seen; who may read the topics and describe the cluster sees it", slog.Any("error", err))
		return nil
	case err != nil:
		return fmt.Errorf("describe producers: %w", err)
	}
	var open, closed []kadm.DescribedProducer
	for _, t := range described {
		for _, p := range t.Partitions {
			if p.Err != nil {
				return fmt.Errorf("describe producers of %s/%d: %w", p.Topic, p.Partition, p.Err)
			}
			d, ok := p.ActiveProducers[before.producer]
			switch {
			case !ok || d.ProducerEpoch >= before.epoch && d.CurrentTxnStartOffset >= 0:
			case d.CurrentTxnStartOffset >= 0:
				open = append(open, d)
			default:
				closed = append(closed, d)
			}
		}
	}
	if len(open) == 0 {
		return nil
	}
	if ok, err := eachHasItsEpoch(ctx, cl); err != nil {
		return err
	} else if !ok {
		return hangs(open[0], "", errors.New("with version 1 of Kafka's transactions nothing tells whether it was committed"))
	}
	commits := map[int16]bool{}
	for _, d := range open {
		commit, known := commits[d.ProducerEpoch]
		if !known {
			if commit, err = committed(d.ProducerEpoch); err == nil && !commit {
				commit, err = w.marked(ctx, cl, closed, txn{d.ProducerID, d.ProducerEpoch})
			}
			if err != nil {
				return err
			}
			commits[d.ProducerEpoch] = commit
		}
		end := map[bool]string{false: "abort", true: "commit"}[commit]
		w.Log.Warn("a transaction hangs whose end a broker has lost; it is ended now", slog.String("partition", TopicPartition{d.Topic, d.Partition}.String()),
			slog.Int64("offset", d.CurrentTxnStartOffset), slog.Int64("producer", d.ProducerID), slog.Int("epoch", int(d.ProducerEpoch)), slog.String("end", end))
		one := kadm.TopicsSet{}
		one.Add(d.Topic, d.Partition)
		resp, err := adm.WriteTxnMarkers(ctx, kadm.TxnMarkers{ProducerID: d.ProducerID, ProducerEpoch: d.ProducerEpoch, CoordinatorEpoch: d.CoordinatorEpoch, Commit: commit, Topics: one})
		for _, r := range resp.SortedPartitions() {
			err = errors.Join(err, r.Err)
		}
		if err != nil {
			return hangs(d, end, err)
		}
	}
	return nil
}

// ourPartitions are those that a transaction of ours may have written to: of our topics, and the group's of the offsets topic.
func (w *worker) ourPartitions(ctx context.Context, adm *kadm.Client) (kadm.TopicsSet, error) {
	meta, err := adm.Metadata(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	ours := kadm.TopicsSet{}
	for _, t := range meta.Topics {
		if t.Topic == offsetsTopic {
			if n := len(t.Partitions); n > 0 {
				ours.Add(t.Topic, offsetsPartition(w.Name, n))
			}
		} else if _, err := topic.Parse(t.Topic); err == nil {
			for _, p := range t.Partitions {
				if p.Leader >= 0 || slices.Contains(w.writes, t.Topic) {
					ours.Add(t.Topic, p.Partition)
				}
			}
		}
	}
	return ours, nil
}

// hangs is the error for a transaction that somebody has to end by hand, and how where that is known.
func hangs(d kadm.DescribedProducer, end string, cause error) error {
	e := &fault.Error{Code: "transaction_hangs", Message: "a transaction hangs whose end a broker has lost, and could not be ended", Where: TopicPartition{d.Topic, d.Partition}.String(),
		Why: cause.Error(), Exit: fault.ExitFailed, Cause: errors.Join(errHangs, cause)}
	switch end {
	case "abort":
		e.Remedy = fmt.Sprintf("kafka-transactions.sh --bootstrap-server … abort --topic %s --partition %d --start-offset %d, by someone who may alter the cluster", d.Topic, d.Partition, d.CurrentTxnStartOffset)
	case "commit":
		e.Remedy = "let the job alter the cluster (ACL: ALTER on the cluster) and start it again: it commits it, which Kafka has no command for"
	default:
		e.Remedy = "kafka-features.sh --bootstrap-server … upgrade --feature transaction.version=2; look with kafka-dump-log.sh in other partitions whether producer " +
			fmt.Sprintf("%d, epoch %d was committed or aborted, and end it likewise", d.ProducerID, d.ProducerEpoch)
	}
	return e
}

// saidBy tells whether the group's committed offsets are those of a transaction of the producer, or of a later one: between one that
// was aborted and the next there is always a look for what hangs.
func (w *worker) saidBy(ctx context.Context, cl *kgo.Client, producer int64) func(int16) (bool, error) {
	newest, asked := int16(-1), false
	return func(epoch int16) (bool, error) {
		if !asked {
			offsets, err := kadm.NewClient(cl).FetchOffsets(ctx, w.Name)
			if err != nil {
				return false, fmt.Errorf("read the group's offsets: %w", err)
			}
			asked = true
			for _, o := range offsets.Sorted() {
				if _, by, ok := readPointer(o.Metadata); ok && by.producer == producer {
					newest = max(newest, by.epoch)
				}
			}
		}
		return newest >= epoch, nil
	}
}

// markTail is how far from a partition's end a mark is looked for.
const markTail = 2000

// marked reports whether a partition has a mark that commits a transaction: of the partitions whose newest one it was.
func (w *worker) marked(ctx context.Context, cl *kgo.Client, closed []kadm.DescribedProducer, of txn) (bool, error) {
	isOf := func(epoch int16) bool { return epoch == of.epoch || epoch == of.epoch+1 } // the mark has the next one
	var topics []string
	closed = slices.DeleteFunc(slices.Clone(closed), func(d kadm.DescribedProducer) bool { return d.Topic == offsetsTopic || !isOf(d.ProducerEpoch) })
	for _, d := range closed {
		topics = append(topics, d.Topic)
	}
	if len(topics) == 0 {
		return false, nil
	}
	adm := kadm.NewClient(cl)
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return false, err
	}
	ends, err := adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return false, err
	}
	from, left := map[string]map[int32]kgo.Offset{}, map[TopicPartition]int64{}
	for _, d := range closed {
		start, ok := starts.Lookup(d.Topic, d.Partition)
		end, ok2 := ends.Lookup(d.Topic, d.Partition)
		if !ok || !ok2 || end.Offset <= start.Offset {
			continue
		}
		if from[d.Topic] == nil {
			from[d.Topic] = map[int32]kgo.Offset{}
		}
		from[d.Topic][d.Partition] = kgo.NewOffset().At(max(start.Offset, end.Offset-markTail))
		left[TopicPartition{d.Topic, d.Partition}] = end.Offset
	}
	reader, err := kgo.NewClient(append(slices.Clone(w.Options), kgo.ConsumePartitions(from), kgo.KeepControlRecords(), kgo.FetchMaxWait(pollWait))...)
	if err != nil {
		return false, err
	}
	defer reader.Close()
	commit := false
	for len(left) > 0 && !commit {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return false, err
		}
		for _, e := range fetches.Errors() {
			return false, fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Attrs.IsControl() && r.ProducerID == of.producer && isOf(r.ProducerEpoch) {
				commit = commit || commits(r.Key)
			}
			if at := (TopicPartition{r.Topic, r.Partition}); r.Offset+1 >= left[at] {
				delete(left, at)
			}
		})
	}
	return commit, nil
}

// commits reports whether a mark's key (version, type) commits.
func commits(key []byte) bool { return len(key) >= 4 && binary.BigEndian.Uint16(key[2:]) == 1 }

// eachHasItsEpoch reports whether the cluster gives each transaction an epoch of its own (KIP-890).
func eachHasItsEpoch(ctx context.Context, cl *kgo.Client) (bool, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "tidemark", "1"
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return false, fmt.Errorf("ask for the version of transactions: %w", err)
	}
	for _, f := range resp.FinalizedFeatures {
		if f.Name == "transaction.version" {
			return f.MaxVersionLevel >= 2, nil
		}
	}
	return false, nil
}

// settled waits until the coordinator has ended our last transaction everywhere, as far as it knows.
func (w *worker) settled(ctx context.Context, cl *kgo.Client) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		txns, err := kadm.NewClient(cl).DescribeTransactions(ctx, w.instance())
		if errors.Is(err, kerr.UnsupportedVersion) {
			return nil
		}
		t := txns[w.instance()]
		if err = errors.Join(err, t.Err); err != nil && !errors.Is(err, kerr.TransactionalIDNotFound) {
			return fmt.Errorf("describe the transaction: %w", err)
		}
		if t.State != "PrepareCommit" && t.State != "PrepareAbort" && t.State != "PrepareEpochFence" {
			return nil
		}
		sleep(ctx, wait)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// offsetsPartition is the partition of the offsets topic that has a group.
func offsetsPartition(group string, partitions int) int32 {
	h := int32(0)
	for _, c := range utf16.Encode([]rune(group)) {
		h = 31*h + int32(c)
	}
	return int32(max(int64(h), -int64(h)) % int64(partitions))
}
