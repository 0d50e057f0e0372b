package features_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
)

// rolling30 is 30 rolling features at each trade: three aggregates over ten lengths.
func rolling30() []features.Source {
	var b strings.Builder
	b.WriteString("view: rolling30\nversion: 1\nfrom: trade\nby: [exchange, market, symbol]\nfeatures:\n")
	for i, w := range []string{"1s", "2s", "5s", "10s", "15s", "30s", "1m", "2m", "5m", "10m"} {
		fmt.Fprintf(&b, "  sum_%d: sum(quantity) over %s\n  mean_%d: mean(price) over %s\n  high_%d: max(price) over %s\n", i, w, i, w, i, w)
	}
	return []features.Source{{Name: "rolling30.yaml", Text: []byte(b.String())}}
}

// All 131,072 rows of one instrument put out at once.
func BenchmarkRolling30_Sorted(b *testing.B) { benchViews(b, rolling30(), 1, false) }

// One instrument, and several mixed, put out with each batch of 4096 trades: 200 trades a
// second in all, so that 120,000 are in reach.
func BenchmarkRolling30_Live(b *testing.B)     { benchViews(b, rolling30(), 1, true) }
func BenchmarkRolling30_Mixed64(b *testing.B)  { benchViews(b, rolling30(), 64, true) }
func BenchmarkRolling30_Mixed500(b *testing.B) { benchViews(b, rolling30(), 500, true) }

// rollingSecond is 12 rolling features at each trade, and the last row of each second of them.
func rollingSecond() []features.Source {
	var rows, last strings.Builder
	rows.WriteString("view: rolling_set\nversion: 1\nfrom: trade\nby: [exchange, market, symbol]\nfeatures:\n")
	last.WriteString("view: rolling_1s\nversion: 1\nfrom: rolling_set\nby: [exchange, market, symbol]\nwindow: {tumbling: 1s}\nfeatures:\n")
	for _, w := range []string{"1m", "5m", "15m"} {
		for _, fn := range []string{"mean", "std", "min", "max"} {
			fmt.Fprintf(&rows, "  %s_%s: %s(price) over %s\n", fn, w, fn, w)
			fmt.Fprintf(&last, "  %s_%s: last(%s_%s)\n", fn, w, fn, w)
		}
	}
	return []features.Source{{Name: "rolling_set.yaml", Text: []byte(rows.String())}, {Name: "rolling_1s.yaml", Text: []byte(last.String())}}
}

func BenchmarkRollingSecond_Sorted(b *testing.B)  { benchViews(b, rollingSecond(), 1, false) }
func BenchmarkRollingSecond_Mixed64(b *testing.B) { benchViews(b, rollingSecond(), 64, true) }

// rolling30Shard drives a task of its own, as one of several shards, with mixed trades.
type rolling30Shard struct {
	task    *features.Task
	batches []*market.Batch
	marks   [market.NumKinds]int64
	out     features.Rows
	next    int
}

func newRolling30Shard(tb testing.TB, count int) *rolling30Shard {
	p, err := features.Compile(rolling30(), features.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	insts := market.NewInstruments()
	s := &rolling30Shard{batches: benchTrades(insts, 1<<17, 4096, count, true)}
	s.task = p.NewTask(insts, 0)
	return s
}

// step pushes a batch, moved on in time, and puts its rows out. It returns their number.
func (s *rolling30Shard) step(tb testing.TB) int {
	x := s.batches[s.next%len(s.batches)]
	if s.next >= len(s.batches) {
		for k := range x.TS {
			x.TS[k] += 1 << 17 * 5 * market.Millisecond
			x.IngestTS[k] += 1 << 17 * 5 * market.Millisecond
		}
	}
	s.next++
	s.marks[market.KindTrade] = x.TS[x.N-1]
	if err := s.task.Push(x); err != nil {
		tb.Fatal(err)
	}
	s.out.Reset()
	if err := s.task.Advance(&s.marks, &s.out); err != nil {
		tb.Fatal(err)
	}
	return s.out.Len()
}

// BenchmarkRolling30_Shards has a shard of 64 instruments on each core (-cpu). One op is one
// batch of 4096 trades of one of them; the most memory that the process has had is that of all
// benchmarks run in it so far.
func BenchmarkRolling30_Shards(b *testing.B) {
	shards := make([]*rolling30Shard, runtime.GOMAXPROCS(0))
	for k := range shards {
		shards[k] = newRolling30Shard(b, 64)
		for range 2 * len(shards[k].batches) {
			shards[k].step(b)
		}
	}
	var taken atomic.Int32
	b.ResetTimer()
	before := cpuTime(b)
	b.RunParallel(func(pb *testing.PB) {
		s := shards[taken.Add(1)-1]
		for pb.Next() {
			s.step(b)
		}
	})
	events := float64(b.N) * 4096
	b.ReportMetric(float64(cpuTime(b)-before)/events, "cpu-ns/event")
	b.ReportMetric(events/b.Elapsed().Seconds()/1e6, "Mevents/s")
	b.ReportMetric(float64(peakMemory(b))/(1<<20), "peak-MB")
}

// What a shard holds, its input and the rows that it puts out among it, stays far below the
// 256 MB that such a pipeline may have.
func TestRolling30_Memory(t *testing.T) {
	live := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	for _, count := range []int{1, 500} {
		before := live()
		s := newRolling30Shard(t, count)
		rows := 0
		for range 2 * len(s.batches) {
			rows += s.step(t)
		}
		if rows < 1<<18-4096 {
			t.Errorf("%d rows", rows)
		}
		mb := live() - before
		t.Logf("%d instruments: %.1f MB", count, mb)
		if mb > 64 {
			t.Errorf("%d instruments: %.1f MB are live, want 64 at most", count, mb)
		}
		runtime.KeepAlive(s)
	}
}
