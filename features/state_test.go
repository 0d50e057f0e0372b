package features_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/specs"
)

// The state that a plan predicts for an entity is the memory that it takes, within stateFactor: for
// every shipped view with what it reads, in seconds full of events and in half an hour of few; and
// within halfFactor when half of that is all that the plan has seen.
func TestStateBytes_AgainstMemory(t *testing.T) {
	for _, run := range []struct {
		name         string
		events, rate int64
	}{{"dense", 60_000, 30_000}, {"sparse", 40_000, 20}} {
		feeds, insts := market.NewFeeds(), market.NewInstruments()
		s := sequencedMarket(t, feeds, insts, run.events, run.rate)
		for _, name := range specs.Names() {
			t.Run(run.name+"/"+name, func(t *testing.T) { checkState(t, feeds, insts, s, name) })
		}
	}
}

// How far the predictions may be off, either way: slices have up to twice the room that they need.
const (
	stateFactor = 1.3
	halfFactor  = 1.3
)

func checkState(t *testing.T, feeds *market.Feeds, insts *market.Instruments, s *sequenced, name string) {
	text, _ := specs.Find(name)
	plan, err := features.Compile([]features.Source{{Name: name, Text: text}}, features.Options{Feeds: feeds, Find: specs.Find})
	if err != nil {
		t.Fatal(err)
	}
	task := plan.NewTask(insts, 0)
	task.Survey()
	var rows features.Rows
	var half []features.StateSize
	var then features.Span
	first, newest, lag := market.NoTime, market.NoTime, int64(0)
	last := len(s.batches) - 1 // the step that closes the input
	for i, list := range s.batches[:last] {
		for _, b := range list {
			if err := task.Push(b); err != nil {
				t.Fatal(err)
			}
			if first == market.NoTime || b.TS[0] < first {
				first = b.TS[0]
			}
			newest = max(newest, b.TS[b.N-1])
		}
		mark := newest
		for _, in := range plan.Inputs() {
			mark = min(mark, s.marks[max(i-1, 0)][in.Kind])
		}
		lag = max(lag, min(newest-mark, newest-first))
		rows.Reset()
		if err := task.Advance(&s.marks[i], &rows); err != nil {
			t.Fatal(err)
		}
		if i == last/2 {
			half, then = task.StateSizes(), features.Span{From: first, Seen: newest - first, Lag: lag}
		}
	}
	sizes, age := task.StateSizes(), newest-first
	then.Age = age
	report(t, task, plan.Predicted(sizes, features.Span{From: first, Seen: age, Age: age, Lag: lag}), sizes)
	judge(t, "", stateFactor, sizes, sizes, plan.StateBytes(sizes, features.Span{From: first, Seen: age, Age: age, Lag: lag}))
	judge(t, " from the first half", halfFactor, sizes, half, plan.StateBytes(half, then))
}

// report logs memory and prediction of each view by what it is for.
func report(t *testing.T, task *features.Task, predicted [][]int, sizes []features.StateSize) {
	parts, measured := task.Memories()
	for i, s := range sizes {
		line := ""
		for k := range parts {
			if n := s.Entities; n > 0 && measured[i][k]+predicted[i][k] > 0 {
				line += fmt.Sprintf(" %s %d/%d", parts[k], measured[i][k]/n, predicted[i][k]/n)
			}
		}
		t.Logf("view %d of %d:%s", i, s.Entities, line)
	}
}

// judge compares the memory of all views with what was predicted for the entities of a sample.
func judge(t *testing.T, what string, factor float64, sizes, sample []features.StateSize, predicted []int) {
	got, want, n := 0, 0, 0
	for i := range sizes {
		if sample[i].Entities > 0 { // else nothing had come
			got += predicted[i] * sizes[i].Entities
			want += sizes[i].Bytes
			n += sizes[i].Entities
		}
	}
	if n == 0 {
		return
	}
	t.Logf("%.2f: %d bytes for each of %d entities, predicted%s %d", float64(want)/float64(got), want/n, n, what, got/n)
	if float64(want) > factor*float64(got) || float64(got) > factor*float64(want) {
		t.Errorf("%d bytes for each of %d entities, predicted%s %d", want/n, n, what, got/n)
	}
}

// What is measured of a task is what it takes of the heap, but for scratch that does not grow with
// entities: of one and of three times as many the heap differs by as much as the sizes.
func TestStateSizes_AgainstTheHeap(t *testing.T) {
	for _, name := range []string{"vwap_5m", "trade_size_5m", "trade_flags", "rolling_trades", "notional_rank"} {
		sizes, heap := 0, 0
		for _, run := range []struct{ n, sign int }{{400, -1}, {1200, 1}} {
			s, h := heapOf(t, name, run.n)
			sizes, heap = sizes+run.sign*s, heap+run.sign*h
		}
		t.Logf("%s: %d bytes by size, %d on the heap", name, sizes, heap)
		if d := float64(sizes-heap) / float64(heap); d > 0.15 || d < -0.15 {
			t.Errorf("%s: %d bytes by size, %d on the heap", name, sizes, heap)
		}
	}
}

// heapOf runs five minutes of trades of so many instruments through a view.
func heapOf(t *testing.T, name string, n int) (sizes, heap int) {
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	for i := range n {
		insts.Intern("binance", market.Spot, fmt.Sprintf("S%d-USDT", i))
	}
	text, _ := specs.Find(name)
	plan, err := features.Compile([]features.Source{{Name: name, Text: text}}, features.Options{Feeds: feeds, Find: specs.Find})
	if err != nil {
		t.Fatal(err)
	}
	b := market.NewBatch(market.KindTrade)
	step := func(at int64) {
		b.Reset()
		for k := range 2 * n {
			ts := at + int64(k)
			b.AppendEnvelope(&market.Envelope{Feed: 7, Inst: market.Inst(k % n), EventTS: ts, IngestTS: ts, Seq: uint64(ts), HasSeq: true})
			for i, f := range market.Schema(b.Kind) {
				switch c := &b.Cols[i]; f.Type {
				case market.TypeText:
					c.AppendNullText()
				case market.TypeDec:
					c.AppendDec(100+(at/7919+int64(k)*31)%977, 2)
				default:
					c.AppendInt(int64(k % 2))
				}
			}
		}
	}
	step(0)
	before := liveHeap()
	task := plan.NewTask(insts, 0)
	var rows features.Rows
	var marks [market.NumKinds]int64
	for i := range int64(120) {
		at := 1_700_000_000*market.Second + i*3*market.Second
		step(at)
		for k := range marks {
			marks[k] = at
		}
		if err := task.Push(b); err != nil {
			t.Fatal(err)
		}
		rows.Reset()
		if err := task.Advance(&marks, &rows); err != nil {
			t.Fatal(err)
		}
	}
	rows = features.Rows{}
	heap = liveHeap() - before
	for _, s := range task.StateSizes() {
		sizes += s.Bytes
	}
	return sizes, heap
}

// liveHeap is what is alive on the heap.
func liveHeap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
