package backfill

import (
	"context"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/market"
)

// Bars of a minute and of a second out of the trades of a lake: what a task does besides writing.
func BenchmarkCompute_Bars(b *testing.B) {
	cfg := gen.DefaultConfig()
	cfg.Events, cfg.Rate, cfg.Kinds = 300_000, 1000, []market.Kind{market.KindTrade}
	lab := newLab(b, cfg)
	for _, name := range []string{"trade_bars_1m", "trade_bars_1s"} {
		b.Run(name, func(b *testing.B) {
			v, err := Load([]string{name}, nil)
			if err != nil {
				b.Fatal(err)
			}
			in := pinned(b, lab.lake, v)
			for b.Loop() {
				m := Meter{}
				if err := in.Compute(context.Background(), Range{market.MinEventTime, market.MaxEventTime}, Options{Meter: &m}, func(*features.Rows, func(int, uint32) []string) error { return nil }); err != nil {
					b.Fatal(err)
				}
				if m.Events.Load() != cfg.Events {
					b.Fatalf("%d events", m.Events.Load())
				}
			}
			b.ReportMetric(float64(cfg.Events)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mevents/s")
		})
	}
}
