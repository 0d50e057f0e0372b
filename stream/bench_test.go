package stream_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream"
	"github.com/pinova-group/tidemark/stream/record"
)

// What the parity ledger costs a task of the features job: records of trades decoded, folded
// into one-minute bars of each of 16 instruments and rolling one-second rows of them, encoded
// and put out, without Kafka. A row in 10 events is more than most views have.
func BenchmarkFeatures_Ledger(b *testing.B) {
	for name, job := range map[string]string{"without": "", "with": "features"} {
		b.Run(name, func(b *testing.B) { benchLedger(b, job) })
	}
}

func benchLedger(b *testing.B, job string) {
	const rows = 2048
	ctx := context.Background()
	plan, err := features.Compile([]features.Source{{Name: "bars.yaml", Text: []byte(oneView)}, {Name: "s.yaml", Text: []byte(secondView)}}, features.Options{})
	if err != nil {
		b.Fatal(err)
	}
	insts, feeds := market.NewInstruments(), market.NewFeeds()
	schemas := record.NewSchemasOf(nil, plan.Kinds())
	const topic = "processed.spot.trade.kraken"
	j := stream.Job{Name: "bench"}
	if err := j.Features(stream.FeaturesConfig{
		Plan: plan, Feeds: feeds, Schemas: schemas, Partitions: 16, Kinds: map[string][]market.Kind{topic: trades}, From: market.NoTime, Ledger: job,
	}); err != nil {
		b.Fatal(err)
	}
	m, err := j.OpenMachine([]stream.TopicPartition{{Topic: topic}})
	if err != nil {
		b.Fatal(err)
	}
	enc := record.NewEventEncoder(schemas, feeds, insts)
	written, offset := 0, int64(0)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		var recs []*kgo.Record
		add := func(c *market.Batch) *kgo.Record {
			value, err := enc.AppendEvent(ctx, nil, c, 0)
			if err != nil {
				b.Fatal(err)
			}
			r := &kgo.Record{Topic: topic, Offset: offset, Value: value}
			offset++
			recs = append(recs, r)
			return r
		}
		ts := noon
		for range rows {
			ts = noon + offset*6250 // 160 trades/s
			one := trade(insts, ts).Batches[market.KindTrade]
			one.Inst[0] = insts.Intern("kraken", market.Spot, fmt.Sprintf("C%02d-USD", offset%16))
			add(one)
		}
		mark := market.NewBatch(market.KindWatermark)
		mark.AppendEnvelope(&market.Envelope{EventTS: ts + 1, IngestTS: ts + 1, Feed: 1})
		mark.TS[0] = ts + 1
		record.AddMark(add(mark), plan.Kinds(), market.KindTrade, &sequence.Counts{})
		b.StartTimer()
		n, err := m.Transact(ctx, recs)
		if err != nil {
			b.Fatal(err)
		}
		written += n
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/event")
	b.ReportMetric(float64(written)/float64(b.N*rows), "rows/event")
}

const secondView = `view: seconds
version: 1
doc: seconds
from: trade
by: [exchange, symbol]
window: {tumbling: 1s}
features:
  open: first(price)
  high: max(price)
  low: min(price)
  close: last(price)
  volume: sum(quantity)
  vwap: sum(price * quantity) / sum(quantity)
  n: count()
`

// Trades of 16 instruments in several partitions, in transactions of 512 rows, merged and
// folded into one-minute bars. The cost above that of the engine is the merge's.
func BenchmarkFeatures_Merge(b *testing.B) {
	for _, n := range []int{1, 4, 16} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchMerge(b, n) })
	}
}

func benchMerge(b *testing.B, n int) {
	const rows = 512
	plan, err := features.Compile([]features.Source{{Name: "bars.yaml", Text: []byte(oneView)}}, features.Options{})
	if err != nil {
		b.Fatal(err)
	}
	insts := market.NewInstruments()
	var parts []stream.Partition
	for p := range n {
		parts = append(parts, stream.Partition{Name: fmt.Sprint(p), Kinds: trades})
	}
	f, err := stream.NewFeatures(plan, insts, parts, market.NoTime)
	if err != nil {
		b.Fatal(err)
	}
	chunks := make([]*market.Chunk, n)
	for p := range chunks {
		chunks[p] = &market.Chunk{}
		for i := range rows {
			one := trade(insts, noon+int64(i*n+p)*market.Millisecond)
			one.Batches[market.KindTrade].Inst[0] = insts.Intern("kraken", market.Spot, fmt.Sprintf("C%02d-USD", (p+i*n)%16))
			chunks[p].Batch(market.KindTrade).AppendRows(one.Batches[market.KindTrade], 0, 1)
		}
	}
	var out features.Rows
	var offset int64
	b.ReportAllocs()
	for b.Loop() {
		for p, c := range chunks {
			if err := f.Add(p, offset, offset+rows, c); err != nil {
				b.Fatal(err)
			}
			ts := c.Batches[market.KindTrade].TS
			f.Mark(p, market.KindTrade, ts[rows-1]+1)
			for i := range ts {
				ts[i] += int64(rows*n) * market.Millisecond
			}
		}
		offset += rows
		out.Reset()
		if err := f.Step(&out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows*n), "ns/event")
}

const oneView = `view: bars
version: 1
doc: bars
from: trade
by: [exchange, symbol]
window: {tumbling: 1m}
features:
  open: first(price)
  high: max(price)
  low: min(price)
  close: last(price)
  volume: sum(quantity)
`
