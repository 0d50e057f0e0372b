package features_test

import (
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/specs"
)

// The state that a plan predicts for an entity, from what comes and goes, is the memory that
// it takes, within stateFactor: for every shipped view with what it reads, in seconds full of
// events and in half an hour of few.
func TestStateBytes_AgainstLiveMemory(t *testing.T) {
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

func checkState(t *testing.T, feeds *market.Feeds, insts *market.Instruments, s *sequenced, name string) {
	text, _ := specs.Find(name)
	plan, err := features.Compile([]features.Source{{Name: name, Text: text}}, features.Options{Feeds: feeds, Find: specs.Find})
	if err != nil {
		t.Fatal(err)
	}
	task := plan.NewTask(insts, 0)
	var rows features.Rows
	var came [market.NumKinds]int
	left := make([]int, len(plan.Outputs()))
	first, newest, lag := market.NoTime, market.NoTime, int64(0)
	last := len(s.batches) - 1 // the step that closes the input
	for i, list := range s.batches[:last] {
		for _, b := range list {
			if err := task.Push(b); err != nil {
				t.Fatal(err)
			}
			came[b.Kind] += b.N
			if first == market.NoTime {
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
		for v := range rows.Views {
			left[v] += rows.Views[v].Len()
		}
	}
	age := newest - first
	views, sets := task.LiveBytes()
	predicted, measured, entities := 0, sets, 0
	for i, c := range plan.Costs() {
		n := views[i].Entities
		if n == 0 {
			continue
		}
		in := came[c.Kind]
		if c.Parent >= 0 {
			in = left[c.Parent]
		}
		rate := 1e6 / float64(age) / float64(n)
		predicted += n * plan.StateBytes(i, features.Traffic{In: float64(in) * rate, Out: float64(left[i]) * rate, Age: age, Lag: lag})
		measured += views[i].Bytes
		entities += n
	}
	if entities == 0 {
		if measured > 0 {
			t.Errorf("%d bytes of nobody", measured)
		}
		return
	}
	got, want := predicted/entities, measured/entities
	t.Logf("%d bytes for each of %d entities, predicted %d", want, entities, got)
	if float64(want) > stateFactor*float64(got) || float64(got) > stateFactor*float64(want) && !repeats[name] {
		t.Errorf("%d bytes for each of %d entities, predicted %d", want, entities, got)
	}
}

// stateFactor is how far the prediction may be off, either way. Slices have up to twice the
// room that they need, and rows come in bursts.
const stateFactor = 2.5

// repeats are views whose multisets see the same few values again and again, while the
// prediction takes one entry for each row.
var repeats = map[string]bool{"feed_health_1m": true, "spread_median_5m": true}
