package features_test

import (
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/specs"
)

// sequenced is what the sequencer releases of a simulated market, step by step.
type sequenced struct {
	batches [][]*market.Batch
	marks   [][market.NumKinds]int64
	events  int
	last    int64 // time of the newest event
}

func sequencedMarket(b testing.TB, feeds *market.Feeds, insts *market.Instruments, events, rate int64) *sequenced {
	b.Helper()
	cfg := gen.DefaultConfig()
	cfg.Events, cfg.Rate, cfg.Seed = events, rate, 3
	m, err := gen.New(cfg, feeds, insts)
	if err != nil {
		b.Fatal(err)
	}
	seq, err := sequence.New(sequence.DefaultConfig(feeds, insts))
	if err != nil {
		b.Fatal(err)
	}
	s := &sequenced{}
	var out sequence.Out
	step := func(advance func(*sequence.Out)) {
		out.Reset()
		advance(&out)
		var list []*market.Batch
		for k, x := range out.Rows.Batches {
			if x != nil && x.N > 0 {
				c := market.NewBatch(market.Kind(k))
				c.AppendRows(x, 0, x.N)
				list = append(list, c)
				s.events += x.N
				s.last = max(s.last, x.TS[x.N-1])
			}
		}
		s.batches, s.marks = append(s.batches, list), append(s.marks, out.Marks)
	}
	var chunk market.Chunk
	for more := true; more; {
		chunk.Reset()
		more = m.Next(&chunk)
		if err := seq.Push(&chunk); err != nil {
			b.Fatal(err)
		}
		step(seq.Advance)
	}
	step(seq.Close)
	return s
}

// catalogue is the market of the benchmarks: 8 symbols on 3 venues, spot and perpetual, all
// kinds, at 100,000 events a second of event time.
func catalogue(b *testing.B) (*market.Feeds, *market.Instruments, *sequenced) {
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	return feeds, insts, sequencedMarket(b, feeds, insts, 400_000, 100_000)
}

// BenchmarkCatalogue runs all shipped views together. One op is one event.
func BenchmarkCatalogue(b *testing.B) {
	feeds, insts, s := catalogue(b)
	runSequenced(b, feeds, insts, s, specs.Names())
}

// BenchmarkCatalogueView runs each shipped view alone, with the views that it reads. An
// event counts whether it reads it or not, so that the figures can be held against that of all.
func BenchmarkCatalogueView(b *testing.B) {
	feeds, insts, s := catalogue(b)
	for _, name := range specs.Names() {
		b.Run(name, func(b *testing.B) { runSequenced(b, feeds, insts, s, []string{name}) })
	}
}

func runSequenced(b *testing.B, feeds *market.Feeds, insts *market.Instruments, s *sequenced, views []string) {
	var src []features.Source
	for _, name := range views {
		text, _ := specs.Find(name)
		src = append(src, features.Source{Name: name, Text: text})
	}
	plan, err := features.Compile(src, features.Options{Feeds: feeds, Find: specs.Find})
	if err != nil {
		b.Fatal(err)
	}
	var rows features.Rows
	total, done := 0, 0
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime(b)
	for done < b.N {
		task := plan.NewTask(insts, 0)
		for i, list := range s.batches {
			for _, x := range list {
				if err := task.Push(x); err != nil {
					b.Fatal(err)
				}
				done += x.N
			}
			rows.Reset()
			if i < len(s.batches)-1 {
				err = task.Advance(&s.marks[i], &rows)
			} else { // the end of the input is no mark: days of empty windows would follow
				err = task.Close(s.last, &rows)
			}
			if err != nil {
				b.Fatal(err)
			}
			total += rows.Len()
			if done >= b.N {
				break
			}
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(done), "cpu-ns/event")
	b.ReportMetric(float64(total)/float64(done), "rows/event")
	b.ReportMetric(float64(len(plan.Outputs())), "views")
}
