package stream_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/market"
)

// Workers that are told to end at any moment leave nothing open: whoever has their tasks next
// begins at once, and not when a session or a transaction has timed out (6 s and 5 s). A worker that has the
// group for itself leaves its tasks to its slot, one of several to the others.
func TestJob_ToldToEndLeavesNothingOpen(t *testing.T) {
	for name, start := range map[string]func(*testing.T) servers{"embedded": startBroker, "kafka": realKafka} {
		t.Run(name, func(t *testing.T) { testEnd(t, start(t)) })
	}
}

func testEnd(t *testing.T, b servers) {
	t.Helper()
	feeds := market.NewFeeds()
	plan := compileShipped(t, feeds)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 7))
	l, want := wantRows(t, r, feeds, plan)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tl := newTopicLog(t, b, l, plan, feeds)
	entries := 0
	for _, p := range l.parts {
		entries += len(p.entries)
	}
	tl.pace = 5 * time.Second / time.Duration(entries)
	written := make(chan struct{})
	go func() {
		defer close(written)
		tl.write(ctx, t, rand.New(rand.NewPCG(seed, 8)))
	}()
	id, store := strconv.FormatUint(seed, 36), &objstore.Memory{}
	type worker struct {
		stop  func()
		tasks func() int
	}
	begin := func(slot string) worker {
		run, stop := context.WithCancel(ctx)
		j, done := tl.job("end-"+id, slot, store, true), make(chan error, 1)
		go func() { done <- j.Run(run) }()
		return worker{func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}, func() int { return j.Status().Tasks }}
	}
	var longest time.Duration
	took := func(w worker) {
		t.Helper()
		began := time.Now()
		for w.tasks() == 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		longest = max(longest, time.Since(began))
	}
	alone := begin("0")
	for w := alone; w.tasks() == 0 && ctx.Err() == nil; { // the first one waits for the broker
		time.Sleep(time.Millisecond)
	}
	for range 5 {
		time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
		alone.stop()
		alone = begin("0")
		took(alone)
	}
	t.Logf("the next one in the slot had the tasks after %v at most", longest)
	if longest > 2*time.Second {
		t.Errorf("the next one in the slot had the tasks after %v", longest)
	}
	longest = 0
	other := begin("1")
	for range 2 {
		for alone.tasks()+other.tasks() == 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(500+r.IntN(300)) * time.Millisecond) // until the second has joined
		if alone.tasks() == 0 {
			alone, other = other, alone
		}
		alone.stop()
		took(other)
		alone = begin("0")
		time.Sleep(time.Second)
		other.stop()
		took(alone)
		other = begin("1")
	}
	t.Logf("the other one had the tasks after %v at most", longest)
	if longest > 3*time.Second {
		t.Errorf("the other one had the tasks after %v", longest)
	}
	<-written
	got, order := tl.waitRows(ctx, t, want)
	if diff := order + cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-engine +topics)\n%.4000s", diff)
	}
	alone.stop()
	other.stop()
}
