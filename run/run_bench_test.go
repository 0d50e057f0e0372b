package run

import (
	"context"
	"io"
	"testing"
)

// BenchmarkRun_CanonicalTrades reads, sequences and computes one-minute bars from
// canonical CSV; ns/op is for one event.
func BenchmarkRun_CanonicalTrades(b *testing.B) {
	const n = 200_000
	path := file(b, text(tape(1, n)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Run(context.Background(), config("trade_bars_1m", path), Env{Stdout: io.Discard, Warn: func(string) {}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/event")
}
