package run_test

import (
	"io"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

// TestMemory_FlatInTheLengthOfTheInput runs a stream of trades and quotes and one four
// times as long: live memory at its peak must not follow (I11).
func TestMemory_FlatInTheLengthOfTheInput(t *testing.T) {
	if testing.Short() {
		t.Skip("reads a million events")
	}
	short, long := peak(t, 200_000), peak(t, 800_000)
	t.Logf("peak of live memory: %d KiB for 200,000 events, %d KiB for 800,000", short>>10, long>>10)
	if long > short+short/4+8<<20 {
		t.Errorf("live memory grew from %d to %d bytes", short, long)
	}
}

// peak runs so many simulated events through run and samples the live heap.
func peak(t *testing.T, events int64) uint64 {
	t.Helper()
	cfg := gen.DefaultConfig()
	cfg.Events, cfg.Rate = events, 200 // both lengths fill the dedup horizon
	cfg.Kinds = []market.Kind{market.KindTrade, market.KindQuote, market.KindWatermark}
	m, err := gen.New(cfg, market.NewFeeds(), market.NewInstruments())
	if err != nil {
		t.Fatal(err)
	}
	text, err := gen.NewText(m, gen.CanonicalJSONL)
	if err != nil {
		t.Fatal(err)
	}
	var most atomic.Uint64
	r, w := io.Pipe()
	go func() {
		var l gen.Line
		var ms runtime.MemStats
		for n := 0; ; n++ {
			more, err := text.Next(&l)
			if err != nil || !more {
				w.CloseWithError(err)
				return
			}
			if _, err := w.Write(l.Text); err != nil {
				return
			}
			if n%10_000 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&ms)
				most.Store(max(most.Load(), ms.HeapInuse))
			}
		}
	}()
	rcfg := run.DefaultConfig()
	rcfg.Specs, rcfg.Inputs, rcfg.Output = []string{"vwap_5m"}, []string{"-"}, t.TempDir()+"/rows.csv"
	rep, err := run.Run(t.Context(), rcfg, run.Env{Stdin: r, Stdout: io.Discard, Warn: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Stats.Applied < events {
		t.Fatalf("%+v", rep.Stats)
	}
	return most.Load()
}
