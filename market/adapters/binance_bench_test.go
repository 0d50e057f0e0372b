//go:build unix

package adapters

import (
	"syscall"
	"testing"

	"github.com/pinova-group/tidemark/market"
)

// Benchmarks decode real streams, lines as recorded; the chunk is emptied every 4096
// lines, as the driver does. MB/cpu-s counts the process's own time.
func BenchmarkBinance(b *testing.B) {
	benchmarkStreams(b, func(string) func([]byte, int, *market.Chunk) error {
		dec := Binance.New(testEnv())
		var rec Record
		return func(l []byte, i int, out *market.Chunk) error {
			rec = Record{Data: l, Ingest: market.NoTime, Offset: int64(i)}
			return dec.Decode(&rec, out)
		}
	})
}

// BenchmarkBinanceEncodingJSON is the same work done plainly, with encoding/json.
func BenchmarkBinanceEncodingJSON(b *testing.B) {
	benchmarkStreams(b, func(feed string) func([]byte, int, *market.Chunk) error {
		p := &plain{env: testEnv(), feed: feed, v: market.Spot, sym: "BTC-USDT"}
		return func(l []byte, _ int, out *market.Chunk) error { return p.decode(l, out) }
	})
}

func benchmarkStreams(b *testing.B, start func(feed string) func([]byte, int, *market.Chunk) error) {
	for _, f := range []string{"spot_btcusdt", "usdm_btcusdt", "cm_btcusd_perp"} {
		lines := rawstream(b, f+"_20240808")
		bytes := 0
		for _, l := range lines {
			bytes += len(l) + 1
		}
		b.Run(f, func(b *testing.B) {
			decode := start("binance-" + f)
			var out market.Chunk
			b.SetBytes(int64(bytes))
			b.ReportAllocs()
			busy := startCPU()
			for b.Loop() {
				for i, l := range lines {
					if err := decode(l, i, &out); err != nil {
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
