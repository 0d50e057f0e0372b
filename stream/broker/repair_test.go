package broker

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// image is a folder as a kill leaves it: path → contents.
type image map[string]string

func take(t *testing.T, dir string) image {
	t.Helper()
	im := image{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		im[strings.TrimPrefix(path, dir+"/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func (im image) write(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range im {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// scene is a broker whose producer ends a second transaction, and its folder before and after.
type scene struct {
	before, after image
	producer      int64
	epoch         int16
	opts          []kgo.Opt
}

const sceneParts = 3

func play(t *testing.T, end kgo.TransactionEndTry, opts ...kgo.Opt) scene {
	t.Helper()
	ctx := t.Context()
	dir := t.TempDir()
	b, err := Start(dir, Options{Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	cl := newClient(t, b, append(opts, kgo.TransactionalID("one"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	topic, err := kadm.NewClient(cl).CreateTopic(ctx, sceneParts, 1, nil, "t")
	if err != nil {
		t.Fatal(err)
	}
	s := scene{opts: opts}
	for i, how := range []kgo.TransactionEndTry{kgo.TryCommit, end} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for p := range int32(sceneParts) {
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: p, Value: fmt.Append(nil, i), Timestamp: time.UnixMilli(1)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if s.producer, s.epoch, err = cl.ProducerID(ctx); err != nil {
			t.Fatal(err)
		}
		s.commitOffset(t, cl, topic.ID, int64(i))
		b.kafka.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
			if _, ok := req.(*kmsg.EndTxnRequest); ok {
				s.before = take(t, dir)
				b.kafka.DropControl()
			}
			return nil, nil, false
		})
		if err := cl.EndTransaction(ctx, how); err != nil {
			t.Fatal(err)
		}
		s.after = take(t, dir)
	}
	return s
}

func newClient(t *testing.T, b *Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Addr())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// commitOffset makes the offset of group g, with metadata, part of the transaction.
func (s scene) commitOffset(t *testing.T, cl *kgo.Client, topic [16]byte, at int64) {
	t.Helper()
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = "one", s.producer, s.epoch, "g"
	if r, err := add.RequestWith(t.Context(), cl); err != nil || r.ErrorCode != 0 {
		t.Fatal(r, err)
	}
	meta := fmt.Sprint("m", at)
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch, req.Generation = "one", "g", s.producer, s.epoch, -1
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", TopicID: topic, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: at, LeaderEpoch: -1, Metadata: &meta}}}}
	if r, err := req.RequestWith(t.Context(), cl); err != nil || r.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatal(r, err)
	}
}

// points are the folder at each moment between before and after: kfake writes a marker into
// each partition, the batch first and then its index, in any order of partitions; then
// groups; then producers. A write may be cut off anywhere.
func (s scene) points(t *testing.T) map[string]image {
	t.Helper()
	var parts []string
	for name := range s.after {
		if part, ok := strings.CutSuffix(name, ".dat"); ok {
			parts = append(parts, part)
		}
	}
	slices.Sort(parts)
	if len(parts) != sceneParts {
		t.Fatalf("partitions %v", parts)
	}
	points := map[string]image{"before": s.before}
	for done := range 1 << sceneParts {
		im := maps.Clone(s.before)
		for i, p := range parts {
			if done>>i&1 == 1 {
				im[p+".dat"], im[p+".idx"] = s.after[p+".dat"], s.after[p+".idx"]
			}
		}
		points[fmt.Sprintf("partitions %03b", done)] = im
		for i, p := range parts {
			if done != 1<<i-1 { // the partitions are alike: one order will do
				continue
			}
			for name, steps := range map[string][]string{"dat cut": {".dat"}, "idx missing": {".dat"}, "idx cut": {".dat", ".idx"}} {
				torn := maps.Clone(im)
				for _, ext := range steps {
					torn[p+ext] = s.after[p+ext]
				}
				if last := p + steps[len(steps)-1]; name != "idx missing" {
					torn[last] = torn[last][:len(torn[last])-1]
				}
				points[fmt.Sprintf("partitions %03b, %d %s", done, i, name)] = torn
			}
		}
	}
	im := points[fmt.Sprintf("partitions %03b", 1<<sceneParts-1)]
	for _, name := range []string{"kafka/groups.log", "kafka/pids.log"} {
		if s.after[name] == s.before[name] {
			continue
		}
		cut, whole := maps.Clone(im), maps.Clone(im)
		cut[name] = s.after[name][:len(s.after[name])-1]
		whole[name] = s.after[name]
		points[name+" cut"], points[name] = cut, whole
		im = whole
	}
	return points
}

// look reads what a folder holds after a crash: values, the group's offset with its
// metadata, and what a living client is told that asks again to commit, or goes on.
func (s scene) look(t *testing.T, dir string) string {
	t.Helper()
	b, err := Start(dir, Options{Warn: func(w string) { t.Error(w) }})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cl := newClient(t, b, append(s.opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().At(0), 1: kgo.NewOffset().At(0), 2: kgo.NewOffset().At(0)}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond))...)
	defer cl.Close() // before the broker: it waits for its answers
	adm := kadm.NewClient(cl)
	ends, err := adm.ListCommittedOffsets(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for left := sceneParts; left > 0; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, _ := ends.Lookup("t", r.Partition); r.Offset+1 == end.Offset {
				left--
			}
			if !r.Attrs.IsControl() {
				values = append(values, string(r.Value))
			}
		})
	}
	slices.Sort(values)
	offs, err := adm.FetchOffsets(ctx, "g")
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		t.Fatal(err)
	}
	o, _ := offs.Lookup("t", 0)
	again := kmsg.NewPtrEndTxnRequest()
	again.TransactionalID, again.ProducerID, again.ProducerEpoch, again.Commit = "one", s.producer, s.epoch, true
	r, err := again.RequestWith(ctx, cl)
	if err != nil {
		t.Fatal(err)
	}
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch = "one", s.producer, s.epoch
	add.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	added, err := add.RequestWith(ctx, cl)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%v %d %s, commit done: %v, goes on: %v", values, o.At, o.Metadata, r.ErrorCode == 0, added.Topics[0].Partitions[0].ErrorCode == 0)
}

const (
	whole   = "[0 0 0 1 1 1] 1 m1, commit done: true, goes on: false"
	nothing = "[0 0 0] 0 m0, commit done: false, goes on: false"
)

func TestRepair_KillAtEachPointOfACommit(t *testing.T) {
	t.Parallel()
	s := play(t, kgo.TryCommit)
	for name, im := range s.points(t) {
		if got := s.look(t, im.write(t)); got != whole {
			t.Errorf("%s: %s", name, got)
		}
	}
	torn := maps.Clone(s.before)
	torn[journalFile] = torn[journalFile][:len(torn[journalFile])-1]
	if got := s.look(t, torn.write(t)); got != nothing {
		t.Errorf("journal cut: %s", got)
	}
	zombie := maps.Clone(s.before) // somebody else has taken over its name
	zombie["kafka/pids.log"] += string(appendEntry(nil, pidEntry{Type: "init", PID: s.producer, Epoch: s.epoch + 1, TxID: "one", Timeout: 10000}))
	if got := s.look(t, zombie.write(t)); got != nothing {
		t.Errorf("commit of a zombie: %s", got)
	}
}

func TestRepair_KillAtEachPointOfAnAbort(t *testing.T) {
	t.Parallel()
	s := play(t, kgo.TryAbort)
	for name, im := range s.points(t) {
		if got := s.look(t, im.write(t)); got != nothing {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Clients before Kafka 4.0 keep their epoch from one transaction to the next.
func TestRepair_OldClient(t *testing.T) {
	t.Parallel()
	s := play(t, kgo.TryCommit, kgo.MaxVersions(kversion.V3_7_0()))
	for name, im := range map[string]image{"before": s.before, "after": s.after} {
		if got := s.look(t, im.write(t)); got != strings.Replace(whole, "goes on: false", "goes on: true", 1) {
			t.Errorf("%s: %s", name, got)
		}
	}
	s = play(t, kgo.TryAbort, kgo.MaxVersions(kversion.V3_7_0()))
	if got := s.look(t, s.before.write(t)); got != nothing {
		t.Errorf("abort: %s", got)
	}
}

// A repair that is itself killed, at worst after all of its work, is done again; a crash
// after it finds the same.
func TestRepair_Again(t *testing.T) {
	t.Parallel()
	for end, want := range map[kgo.TransactionEndTry]string{kgo.TryCommit: whole, kgo.TryAbort: nothing} {
		s := play(t, end)
		dir := s.before.write(t)
		for range 2 {
			if err := (&Broker{dir: dir}).repair(); err != nil {
				t.Fatal(err)
			}
		}
		first := take(t, dir)
		if got := s.look(t, dir); got != want {
			t.Errorf("%v: %s", end, got)
		}
		delete(first, journalFile)
		if got := s.look(t, first.write(t)); strings.Split(got, ",")[0] != strings.Split(want, ",")[0] {
			t.Errorf("%v: after another crash: %s", end, got)
		}
	}
}

// A transaction that is open at a clean end goes on after it; after a crash it does not.
func TestRepair_CrashAfterACleanEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, err := Start(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	cl := newClient(t, b, kgo.TransactionalID("one"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), sceneParts, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for p := range int32(sceneParts) {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Partition: p, Value: []byte("open")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	var s scene
	if s.producer, s.epoch, err = cl.ProducerID(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	im := take(t, dir)
	im[dirtyFile] = ""
	if got := s.look(t, im.write(t)); got != "[] 0 , commit done: false, goes on: false" {
		t.Error(got)
	}
}

// A client that was not answered sends its batch again: it is known.
func TestRepair_BatchSentAgain(t *testing.T) {
	t.Parallel()
	const topic = "a-b.c"
	dir := t.TempDir()
	b, err := Start(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	cl := newClient(t, b)
	made, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, topic)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 7 {
		if n == 1 { // what a clean end notes is old when the broker is killed
			cl.Close()
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			if b, err = Start(dir, Options{}); err != nil {
				t.Fatal(err)
			}
			cl = newClient(t, b)
		}
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: fmt.Append(nil, n)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	im := take(t, dir)
	cl.Close()
	b.Close()
	var batches []*kmsg.RecordBatch
	segment := []byte(im["kafka/partitions/"+topic+"-0/0.dat"])
	for first, n := firstBatch(segment); n > 0; first, n = firstBatch(segment) {
		batches, segment = append(batches, first), segment[n:]
	}
	if b, err = Start(im.write(t), Options{}); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	cl = newClient(t, b)
	defer cl.Close()
	send := func(i int, sequence int32) string {
		batch := *batches[i]
		batch.FirstOffset, batch.PartitionLeaderEpoch, batch.FirstSequence = 0, -1, sequence
		batch.CRC = int32(crc32.Checksum(batch.AppendTo(nil)[21:], castagnoli))
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = -1, 1000
		req.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, TopicID: made.ID, Partitions: []kmsg.ProduceRequestTopicPartition{{Records: batch.AppendTo(nil)}}}}
		r, err := req.RequestWith(t.Context(), cl)
		if err != nil {
			t.Fatal(err)
		}
		p := r.Topics[0].Partitions[0]
		if errors.Is(kerr.ErrorForCode(p.ErrorCode), kerr.OutOfOrderSequenceNumber) {
			return "gap"
		}
		return fmt.Sprint(p.BaseOffset, kerr.ErrorForCode(p.ErrorCode))
	}
	if len(batches) != 7 {
		t.Fatalf("%d batches", len(batches))
	}
	var got []string
	for _, i := range []int{6, 5, 4, 3, 2} {
		got = append(got, send(i, batches[i].FirstSequence))
	}
	got = append(got, send(6, batches[6].FirstSequence+2), send(6, batches[6].FirstSequence+1))
	if want := "[6 <nil> 5 <nil> 4 <nil> 3 <nil> 2 <nil> gap 7 <nil>]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// What kfake could not write stops the broker; the next start repairs.
func TestBroker_StopsAfterAFailedWrite(t *testing.T) {
	dir := t.TempDir()
	var warned []string
	b, err := Start(dir, Options{Warn: func(s string) { warned = append(warned, s) }})
	if err != nil {
		t.Fatal(err)
	}
	cl := newClient(t, b, kgo.RequestRetries(0))
	logger{b}.Logf(kfake.LogLevelWarn, "txn timeout abort: txn_id=%s", "x")
	if err := cl.Ping(t.Context()); err != nil || len(warned) > 0 {
		t.Fatalf("a warning that is none: %v %v", err, warned)
	}
	logger{b}.Logf(kfake.LogLevelWarn, "persist batch %s-%d: %v", "t", 1, errors.New("no space left on device"))
	<-b.Failed()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := cl.Ping(ctx); err == nil {
		t.Error("it still serves")
	}
	if len(warned) != 2 || !strings.Contains(warned[0], "make room") || !strings.Contains(warned[1], "no space left") {
		t.Errorf("warned %v", warned)
	}
	if err := b.Close(); err == nil {
		t.Error("closed as if all were well")
	}
	if _, err := os.Stat(filepath.Join(dir, dirtyFile)); err != nil {
		t.Error(err)
	}
}
