//go:build unix

package adapters

import (
	"syscall"
	"testing"

	"github.com/pinova-group/tidemark/market"
)

// BenchmarkBinance decodes real streams: 100 MB/s means 100 million bytes of lines as
// recorded. The chunk is emptied every 4096 lines, as the driver does.
func BenchmarkBinance(b *testing.B) {
	for _, f := range []string{"spot_btcusdt", "usdm_btcusdt", "cm_btcusd_perp"} {
		name := "rawstream/binance_" + f + "_20240808.jsonl.gz"
		lines := splitLines(readFile(b, name))
		bytes := 0
		for _, l := range lines {
			bytes += len(l) + 1
		}
		b.Run(f, func(b *testing.B) {
			dec := Binance.New(Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments()})
			var out market.Chunk
			b.SetBytes(int64(bytes))
			b.ReportAllocs()
			var rec Record
			busy := startCPU()
			for b.Loop() {
				for i, l := range lines {
					rec = Record{Data: l, Ingest: market.NoTime, Offset: int64(i)}
					if err := dec.Decode(&rec, &out); err != nil {
						b.Fatal(i, err)
					}
					if i&4095 == 4095 {
						out.Reset()
					}
				}
				out.Reset()
			}
			busy.report(b, bytes, len(lines))
		})
		b.Run(f+"/encoding-json", func(b *testing.B) {
			p := &plain{env: Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments()}, feed: "binance-spot", v: market.Spot, sym: "BTC-USDT"}
			var out market.Chunk
			b.SetBytes(int64(bytes))
			b.ReportAllocs()
			busy := startCPU()
			for b.Loop() {
				for i, l := range lines {
					if err := p.decode(l, &out); err != nil {
						b.Fatal(i, err)
					}
					if i&4095 == 4095 {
						out.Reset()
					}
				}
				out.Reset()
			}
			busy.report(b, bytes, len(lines))
		})
	}
}

// cpuTime is the processor time that the process has used: what a core does, whatever
// else the machine runs.
type cpuTime int64

func startCPU() cpuTime {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return cpuTime(u.Utime.Nano() + u.Stime.Nano())
}

func (c cpuTime) report(b *testing.B, bytes, lines int) {
	used := float64(startCPU()-c) / float64(b.N)
	b.ReportMetric(float64(bytes)/used*1e3, "MB/cpu-s")
	b.ReportMetric(used/float64(lines), "cpu-ns/line")
}
