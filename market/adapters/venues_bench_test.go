package adapters

import (
	"testing"

	"github.com/pinova-group/tidemark/market"
)

// Decoding a capture, envelope included: bytes a second of the file and ns an event.
func benchmarkCapture(b *testing.B, a *Adapter, name string) {
	lines := splitLines(readFile(b, name))
	size := 0
	for _, l := range lines {
		size += len(l)
	}
	var c market.Chunk
	events := 0
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		d := a.New(Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments()})
		for i, l := range lines {
			_ = d.Decode(&Record{Data: l, Ingest: market.NoTime, Offset: int64(i)}, &c)
			if c.Len() > 4096 {
				events += c.Len()
				c.Reset()
			}
		}
		events += c.Len()
		c.Reset()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
}

func BenchmarkKraken_Capture(b *testing.B)   { benchmarkCapture(b, Kraken, krakenCapture) }
func BenchmarkCoinbase_Capture(b *testing.B) { benchmarkCapture(b, Coinbase, coinbaseCapture) }
func BenchmarkBybit_Capture(b *testing.B)    { benchmarkCapture(b, Bybit, bybitCapture) }
func BenchmarkOKX_Capture(b *testing.B)      { benchmarkCapture(b, OKX, okxCapture) }
func BenchmarkCoinbaseCSV_Tape(b *testing.B) { benchmarkCapture(b, CoinbaseCSV, coinbaseTape) }
