package features_test

import (
	"fmt"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/specs"
)

// trades fills batches of size rows: n trades over a number of instruments, 5 ms apart
// in all, one after the other (mixed) or by instrument (sorted).
func benchTrades(insts *market.Instruments, n, size, count int, mixed bool) []*market.Batch {
	ids := make([]market.Inst, count)
	for i := range ids {
		ids[i] = insts.Intern("binance", market.Spot, fmt.Sprintf("S%d-USDT", i))
	}
	var out []*market.Batch
	b := market.NewBatch(market.KindTrade)
	x := uint64(88172645463325252)
	for i := range n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		k := int(x>>20) % count
		step := i
		if !mixed {
			k = i / (n/count + 1)
			step = i % (n/count + 1)
		}
		ts := int64(1_700_000_000)*market.Second + int64(step)*5*market.Millisecond
		b.AppendEnvelope(&market.Envelope{Feed: 1, Inst: ids[k], EventTS: ts, IngestTS: ts + 20000, Seq: uint64(i), HasSeq: true})
		b.Cols[market.TradeVenueID].AppendText(nil)
		b.Cols[market.TradeSide].AppendInt(1 + int64(x>>33)&1)
		b.Cols[market.TradePrice].AppendDec(4_000_000+int64(x>>40)%1000, 2)
		b.Cols[market.TradeQuantity].AppendDec(int64(x>>12)%10_000_000, 8)
		b.Cols[market.TradePrints].AppendInt(1)
		if b.N == size {
			out = append(out, b)
			b = market.NewBatch(market.KindTrade)
		}
	}
	return out
}

// benchEngine pushes a ring of batches again and again, moved on in time (which adds
// about a nanosecond an event). One op is one batch of 4096 trades through Push and
// Advance.
func benchEngine(b *testing.B, spec string, count int, mixed bool) {
	text, _ := specs.Find(spec)
	benchViews(b, []features.Source{{Name: spec, Text: text}}, count, mixed)
}

func benchViews(b *testing.B, src []features.Source, count int, mixed bool) {
	p, err := features.Compile(src, features.Options{Find: specs.Find})
	if err != nil {
		b.Fatal(err)
	}
	insts := market.NewInstruments()
	const n, size = 1 << 17, 4096
	batches := benchTrades(insts, n, size, count, mixed)
	span := int64(n) * 5 * market.Millisecond
	var out features.Rows
	rows := 0
	task := p.NewTask(insts, 0)
	marks := [market.NumKinds]int64{}
	step := func(i int) {
		x := batches[i%len(batches)]
		if i >= len(batches) {
			for k := range x.TS {
				x.TS[k] += span
				x.IngestTS[k] += span
			}
		}
		if err := task.Push(x); err != nil {
			b.Fatal(err)
		}
		switch {
		case mixed:
			marks[market.KindTrade] = x.TS[size-1]
		case (i+1)%len(batches) == 0:
			marks[market.KindTrade] = batches[0].TS[0] + span
		default:
			return
		}
		if err := task.Advance(&marks, &out); err != nil {
			b.Fatal(err)
		}
		rows += out.Len()
		out.Reset()
	}
	for i := range 2 * len(batches) {
		step(i)
	}
	rows = 0
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	for i := range b.N {
		step(i + 2*len(batches))
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/size, "cpu-ns/event")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/size, "ns/event")
	b.ReportMetric(float64(rows)/float64(b.N)/size, "rows/event")
}

func BenchmarkEngine_Bars1m_Sorted(b *testing.B)    { benchEngine(b, "trade_bars_1m", 1, false) }
func BenchmarkEngine_Bars1m_Sorted50(b *testing.B)  { benchEngine(b, "trade_bars_1m", 50, false) }
func BenchmarkEngine_Bars1m_Mixed500(b *testing.B)  { benchEngine(b, "trade_bars_1m", 500, true) }
func BenchmarkEngine_Bars1s_Sorted(b *testing.B)    { benchEngine(b, "trade_bars_1s", 1, false) }
func BenchmarkEngine_TradeFlow_Sorted(b *testing.B) { benchEngine(b, "trade_flow_1m", 1, false) }
func BenchmarkEngine_Vwap5m_Mixed500(b *testing.B)  { benchEngine(b, "vwap_5m", 500, true) }
