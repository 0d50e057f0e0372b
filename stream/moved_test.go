package stream

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/stream/broker"
	"github.com/pinova-group/tidemark/stream/fetch"
)

// echo writes what it reads.
type echo struct {
	at   int64
	recs []string
	told func(value string) // of each record
}

func (m *echo) start(_ int, offset int64) { m.at = offset }

func (m *echo) add(_ context.Context, _ int, recs []fetch.Record) error {
	for i := range recs {
		m.told(string(recs[i].Value))
		m.recs, m.at = append(m.recs, string(recs[i].Value)), recs[i].Offset+1
	}
	return nil
}

func (m *echo) step(_ context.Context, out *outbox) error {
	for _, v := range m.recs {
		out.add("out", 0, 0).Value = []byte(v)
	}
	m.recs = m.recs[:0]
	return nil
}

func (m *echo) next(int) int64             { return m.at }
func (m *echo) ahead(int) bool             { return false }
func (m *echo) snapshot(dst []byte) []byte { return binary.BigEndian.AppendUint64(dst, uint64(m.at)) }

// joins holds the answer that says what a member has of the group, from the moment that it is armed.
type joins struct {
	armed  atomic.Bool
	joined chan struct{} // is told of the answer
	read   chan struct{} // closed when it may be taken
}

func (j *joins) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.SyncGroup) && j.armed.Load() {
		j.joined <- struct{}{}
		select {
		case <-j.read:
		case <-time.After(10 * time.Second):
		}
	}
}

// Of a second rebalance since the last transaction the client does not tell the worker. When it works on meanwhile, and has
// joined the next generation by the time it commits, the tasks are another's, who has read the offsets of before.
func TestWorker_CommitsAsOfTheGenerationOfItsTasks(t *testing.T) {
	b, err := broker.Start(t.TempDir(), broker.Options{Warn: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.DefaultProduceTopic("in"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	if resps, err := kadm.NewClient(cl).CreateTopics(t.Context(), 1, 1, nil, "in", "out"); err != nil || resps.Error() != nil {
		t.Fatal(err, resps.Error())
	}
	within := func(ch <-chan struct{}, what string) {
		t.Helper()
		select {
		case <-ch:
		case <-time.After(20 * time.Second):
			t.Fatal(what)
		}
	}
	write := func(value string) {
		t.Helper()
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	store, dir := &objstore.Memory{}, "mem://state"
	// work begins a worker, which tells when it has the task. Of two the one in the smaller slot gets it.
	work := func(slot string, told func(string), hooks ...kgo.Hook) (has chan struct{}, end func()) {
		has = make(chan struct{}, 10)
		j := &Job{
			Name: "moved", Slot: slot, Topics: []string{"in"}, Single: true, Options: []kgo.Opt{kgo.SeedBrokers(b.Addr()), kgo.WithHooks(hooks...)},
			Store: store, Dir: dir, SnapshotEvery: time.Hour, Now: time.Now, writes: []string{"out"}, metrics: (*Metrics)(nil).of("moved"),
			open: func(_ []TopicPartition, snapshot []byte) (machine, error) {
				m := &echo{told: told}
				if snapshot != nil {
					m.at = int64(binary.BigEndian.Uint64(snapshot))
				}
				has <- struct{}{}
				return m, nil
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := j.Run(ctx); err != nil {
				t.Error(err)
			}
		}()
		return has, func() { cancel(); within(done, "a worker does not end") }
	}
	first := &joins{joined: make(chan struct{}, 10), read: make(chan struct{})}
	others, seen, wrote := make(chan struct{}), make(chan struct{}), make(chan struct{}, 10)
	has, end := work("1", func(value string) {
		switch value {
		case "a":
			wrote <- struct{}{}
		case "b":
			close(seen)
			within(others, "the other worker does not get the task")
		}
	}, first)
	defer end()
	within(has, "no worker has the task")
	write("a")
	within(wrote, "the record is not read")
	silent := func(string) {}
	has2, end2 := work("0", silent)
	within(has2, "the other worker does not get the task")
	end2()
	within(has, "the first worker does not get the task again")
	first.armed.Store(true)
	has2, end2 = work("0", silent)
	defer end2()
	within(first.joined, "the first worker does not join again")
	write("b")
	within(seen, "the first worker does not work on")
	close(first.read)
	within(has2, "the other worker does not get the task again")
	time.Sleep(100 * time.Millisecond) // it has its offsets
	close(others)
	time.Sleep(time.Second) // the first one tries to commit
	write("c")
	var got []string
	reader, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.ConsumeTopics("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !slices.Contains(got, "c") && ctx.Err() == nil {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("%q is written, not a, b, c", got)
	}
}

// A transaction in which nothing was read has offsets all the same: they are what tells Kafka whose it is.
func TestAssignment_AlwaysHasOffsets(t *testing.T) {
	k := newTask([]TopicPartition{{"in", 0}, {"in", 1}})
	k.state, k.inUse = &echo{at: 7}, newPointer(0, 1)
	a := &assignment{tasks: []*task{k}}
	partitions := func() (all []int32) {
		k.settle()
		for _, topic := range a.offsets(txn{1, 2}) {
			for _, p := range topic.Partitions {
				all = append(all, p.Partition)
			}
		}
		return all
	}
	if got := partitions(); !slices.Equal(got, []int32{0, 1}) {
		t.Errorf("offsets of %v, with nothing read", got)
	}
	k.dirty[1] = true
	if got := partitions(); !slices.Equal(got, []int32{1}) {
		t.Errorf("offsets of %v, with one input read", got)
	}
}

// What is read while a transaction is committed is no part of it, and is of the next one.
func TestAssignment_CommitsNothingReadAhead(t *testing.T) {
	k := newTask([]TopicPartition{{"in", 0}, {"in", 1}})
	e := &echo{at: 7}
	k.state, k.inUse = e, newPointer(0, 1)
	a := &assignment{tasks: []*task{k}}
	offsets := func() map[int32]int64 {
		all := map[int32]int64{}
		for _, topic := range a.offsets(txn{1, 2}) {
			for _, p := range topic.Partitions {
				all[p.Partition] = p.Offset
			}
		}
		return all
	}
	k.dirty[0] = true
	k.settle()
	e.at, k.dirty[1] = 9, true
	if got := offsets(); !maps.Equal(got, map[int32]int64{0: 7}) {
		t.Errorf("offsets %v, read to 7", got)
	}
	clear(k.moved) // it is committed
	k.settle()
	if got := offsets(); !maps.Equal(got, map[int32]int64{1: 9}) {
		t.Errorf("offsets %v after what was read ahead, to 9", got)
	}
}
