package stream_test

import (
	"fmt"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream"
)

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
