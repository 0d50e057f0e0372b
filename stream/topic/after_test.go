package topic_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/internal/exkafka"
	"github.com/pinova-group/tidemark/stream/broker"
	"github.com/pinova-group/tidemark/stream/topic"
)

// Record times go back and forth within a partition. Nothing of a time or later is before the offset
// that is given, however records were written, and after records were deleted.
func TestAfter_NothingIsBefore(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		b, err := broker.Start(filepath.Join(t.TempDir(), "broker"), broker.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		testAfter(t, b.Addr())
	})
	t.Run("kafka", func(t *testing.T) { testAfter(t, exkafka.Addr(t)) })
}

func testAfter(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	name := fmt.Sprintf("after-%d", time.Now().UnixNano())
	opts := []kgo.Opt{kgo.SeedBrokers(strings.Split(addr, ",")...)}
	cl, err := kgo.NewClient(append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.Lz4Compression()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	adm := kadm.NewClient(cl)
	small := "1024" // segments and their indexes have a part in it
	made, err := adm.CreateTopic(ctx, 1, 1, map[string]*string{"segment.bytes": new("1048576"), "index.interval.bytes": &small, "message.timestamp.type": new("CreateTime")}, name)
	if err = errors.Join(err, made.Err); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = adm.DeleteTopics(context.Background(), name) })
	rng := rand.New(rand.NewPCG(1, 2))
	var times []int64 // ms, by offset
	at := int64(1_700_000_000_000)
	for range 150 {
		var recs []*kgo.Record
		for range 1 + rng.IntN(40) {
			at += int64(rng.IntN(20))
			when := at - int64(rng.IntN(500))
			times = append(times, when)
			value := make([]byte, rng.IntN(3000)) // random: it is not packed, so there are several segments
			for i := range value {
				value[i] = byte(rng.Uint32())
			}
			recs = append(recs, &kgo.Record{Topic: name, Value: value, Timestamp: time.UnixMilli(when)})
		}
		if err := cl.ProduceSync(ctx, recs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	check := func(start int) {
		t.Helper()
		for range 200 {
			when := times[rng.IntN(len(times))] + int64(rng.IntN(3)) - 1
			want := start
			for want < len(times) && times[want] < when {
				want++
			}
			offsets, err := topic.After(ctx, adm, name, when*1000)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := offsets.Lookup(name, 0)
			if lost := got.Offset > int64(want); lost || start == 0 && got.Offset != int64(want) {
				t.Fatalf("log of [%d, %d): from %d on offset %d, want %d", start, len(times), when, got.Offset, want)
			}
		}
	}
	check(0)
	for _, start := range []int{1, 100, len(times) / 2, len(times) - 3} {
		if _, err := adm.DeleteRecords(ctx, kadm.Offsets{name: {0: {Topic: name, Partition: 0, At: int64(start)}}}); err != nil {
			t.Fatal(err)
		}
		check(start)
	}
	offsets, err := topic.After(ctx, adm, name, (at+1000)*1000)
	if got, _ := offsets.Lookup(name, 0); err != nil || got.Offset != int64(len(times)) {
		t.Errorf("later than all records: offset %d, want the end %d: %v", got.Offset, len(times), err)
	}
}
