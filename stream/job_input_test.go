package stream_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream"
	"github.com/pinova-group/tidemark/stream/record"
)

// rawBroker is an embedded broker with some raw topics and those that go with them.
func rawBroker(ctx context.Context, t *testing.T, topics []string) (servers, *kgo.Client, *record.Schemas) {
	t.Helper()
	b := startBroker(t)
	schemas, err := record.NewSchemas(b.registry, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range topics {
		for _, class := range []string{"processed.", "late.", "dlq."} {
			if name, ok := strings.CutPrefix(raw, "raw."); ok {
				topics = append(topics, class+name)
			}
		}
	}
	cl := newClient(t, b.addr)
	resps, err := kadm.NewClient(cl).CreateTopics(ctx, testPartitions, 1, nil, topics...)
	if err == nil {
		err = resps.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b, cl, schemas
}

// A partition that nobody writes to does not hold up the others, nor does one that ends
// before them; and what comes late for that is late by the log, whoever sequences it.
func TestJob_IdlePartitionsDoNotHoldUpOthers(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	topics := []string{"raw.spot.trade.alpha", "raw.spot.quote.alpha"}
	b, cl, schemas := rawBroker(ctx, t, topics)
	start := func(id string) func() {
		run, stop := context.WithCancel(ctx)
		j := &stream.Job{
			Name: "idle" + id, Slot: "0", Topics: topics, Options: []kgo.Opt{kgo.SeedBrokers(b.addr)}, Store: &objstore.Memory{}, Dir: "mem://state", Now: time.Now,
		}
		if err := j.Sequence(stream.SequenceJobConfig{Schemas: schemas, IdleAfter: 300 * time.Millisecond, Now: time.Now}); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- j.Run(run) }()
		return func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	stop := start("a")
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	enc := record.NewEventEncoder(schemas, feeds, insts)
	send := func(partition int32, second int64, id string) {
		t.Helper()
		sendTrade(ctx, t, cl, enc, feeds, insts, partition, second, id)
	}
	// marks are the newest watermarks of each processed partition, in seconds after the begin.
	marks := func() map[string]int64 {
		out := map[string]int64{}
		dec := record.NewEventDecoder(schemas, feeds, insts)
		for _, r := range readCommitted(ctx, t, b.addr, map[string]bool{"processed.spot.trade.alpha": true, "processed.spot.quote.alpha": true}) {
			var c market.Chunk
			if k, err := dec.Decode(ctx, r.Value, &c); err != nil {
				t.Fatal(err)
			} else if k == market.KindWatermark && string(record.Header(r, record.HeaderOf)) != "status" {
				out[fmt.Sprint(r.Topic, "/", r.Partition)] = c.Batches[k].TS[0]/market.Second - 1_700_000_000
			}
		}
		return out
	}
	send(1, 5, "1")
	send(0, 10, "2")
	send(0, 100, "3")
	var got map[string]int64
	for range 100 {
		if got = marks(); len(got) == 4 && slices.Min(slices.Collect(maps.Values(got))) >= 99 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	want := map[string]int64{"processed.spot.trade.alpha/0": 99, "processed.spot.trade.alpha/1": 99, "processed.spot.quote.alpha/0": 99, "processed.spot.quote.alpha/1": 99}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("marks (-want +got)\n%s", diff)
	}
	send(1, 50, "4")
	late := func() int { return len(readCommitted(ctx, t, b.addr, map[string]bool{"late.spot.trade.alpha": true})) }
	for range 100 {
		if late() == 1 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if n := late(); n != 1 {
		t.Fatalf("%d late events, want 1", n)
	}
	stop()
	defer start("b")() // sequences the same log again
	for range 100 {
		if late() == 2 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("%d late events from two jobs over one log, want 2", late())
}

// sendTrade writes a trade of some second into the raw topic of spot trades of alpha.
func sendTrade(ctx context.Context, t *testing.T, cl *kgo.Client, enc *record.EventEncoder, feeds *market.Feeds, insts *market.Instruments, partition int32, second int64, id string) {
	t.Helper()
	b := market.NewBatch(market.KindTrade)
	ts := (1_700_000_000 + second) * market.Second
	b.AppendEnvelope(&market.Envelope{Feed: feeds.Intern("sim-alpha"), Inst: insts.Intern("alpha", market.Spot, "BTC-USDT"), EventTS: ts, IngestTS: ts})
	b.Cols[market.TradeVenueID].AppendText([]byte(id))
	b.Cols[market.TradeSide].AppendInt(market.SideBuy)
	b.Cols[market.TradePrice].AppendDec(100, 0)
	b.Cols[market.TradeQuantity].AppendDec(1, 0)
	b.Cols[market.TradePrints].AppendInt(1)
	value, err := enc.AppendEvent(ctx, nil, b, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &kgo.Record{Topic: "raw.spot.trade.alpha", Partition: partition, Key: []byte("BTC-USDT"), Value: value, Timestamp: time.UnixMicro(ts)}
	record.AddRaw(r, &record.Raw{Format: []byte(stream.FormatEvent)})
	if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// A job whose input was deleted before it was read says so and ends: what it would write would
// be wrong.
func TestJob_RefusesInputThatIsGone(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	b, cl, schemas := rawBroker(ctx, t, []string{"raw.spot.trade.alpha"})
	adm := kadm.NewClient(cl)
	store := &objstore.Memory{}
	run := func(ctx context.Context) error {
		j := &stream.Job{
			Name: "gone", Slot: "0", Topics: []string{"raw.spot.trade.alpha"}, Options: []kgo.Opt{kgo.SeedBrokers(b.addr)}, Store: store, Dir: "mem://state", Now: time.Now,
		}
		if err := j.Sequence(stream.SequenceJobConfig{Schemas: schemas}); err != nil {
			t.Fatal(err)
		}
		return j.Run(ctx)
	}
	first, stop := context.WithCancel(ctx)
	done := make(chan error)
	go func() { done <- run(first) }()
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	enc := record.NewEventEncoder(schemas, feeds, insts)
	for i := range int64(5) {
		sendTrade(ctx, t, cl, enc, feeds, insts, 0, i, strconv.FormatInt(i, 10))
	}
	committed := func() int64 {
		offsets, err := adm.FetchOffsets(ctx, "gone")
		if err != nil {
			t.Fatal(err)
		}
		at, _ := offsets.Lookup("raw.spot.trade.alpha", 0)
		return at.At
	}
	for committed() < 5 && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i := range int64(5) {
		sendTrade(ctx, t, cl, enc, feeds, insts, 0, 5+i, strconv.FormatInt(5+i, 10))
	}
	var below kadm.Offsets
	below.Add(kadm.Offset{Topic: "raw.spot.trade.alpha", Partition: 0, At: 8})
	if _, err := adm.DeleteRecords(ctx, below); err != nil {
		t.Fatal(err)
	}
	if err := run(ctx); err == nil || !strings.Contains(err.Error(), "raw.spot.trade.alpha/0") || !strings.Contains(err.Error(), "retention") {
		t.Errorf("got %v, want that the retention is too short", err)
	}
}
