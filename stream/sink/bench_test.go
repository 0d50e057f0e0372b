package sink_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream/broker"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/sink"
)

// BenchmarkSink puts 262,144 trades from the embedded broker, which is in the same process, into a lake in a folder.
func BenchmarkSink(b *testing.B) {
	br, err := broker.Start(b.TempDir(), broker.Options{Warn: func(s string) { b.Log(s) }})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = br.Close() })
	const rows, topic = 1 << 18, "processed.spot.trade.alpha"
	cl, err := kgo.NewClient(kgo.SeedBrokers(br.Addr()), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopics(b.Context(), 1, 1, nil, topic); err != nil {
		b.Fatal(err)
	}
	w := &world{exchange: "alpha", insts: market.NewInstruments(), feeds: market.NewFeeds(), r: newRand(1), clock: start}
	if w.schemas, err = record.NewSchemas("", nil); err != nil {
		b.Fatal(err)
	}
	w.enc = record.NewEventEncoder(w.schemas, w.feeds, w.insts)
	for range rows {
		w.clock += 3 * market.Millisecond
		cl.Produce(b.Context(), w.record(topic, 0, w.event(market.KindTrade, w.id())), func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := cl.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		s := sink.New(sink.Config{
			Lake: openLake(b, b.TempDir(), nil), Options: []kgo.Opt{kgo.SeedBrokers(br.Addr())}, Topics: []string{topic}, Schemas: w.schemas,
			Feeds: market.NewFeeds(), Now: time.Now, UntilCaughtUp: true,
		})
		if err := s.Run(context.Background()); err != nil {
			b.Fatal(err)
		}
		var got, bytes int64
		for _, t := range s.Status().Tables {
			got, bytes = got+t.Rows, bytes+t.Bytes
		}
		if got != rows {
			b.Fatalf("%d rows", got)
		}
		b.ReportMetric(float64(bytes)/rows, "file-B/row")
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
