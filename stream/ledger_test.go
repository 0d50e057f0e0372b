package stream_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/wire"
	"github.com/pinova-group/tidemark/parity"
	"github.com/pinova-group/tidemark/stream/record"
)

// ledgerDiff compares what the ledger's topic adds up to with the rows that are in the topics
// of views, by view and hour. "" is no difference.
func (tl *topicLog) ledgerDiff(ctx context.Context, t *testing.T) string {
	t.Helper()
	type cell struct {
		topic string
		hour  int64
	}
	features := map[string]string{} // fingerprints
	for _, o := range tl.plan.Outputs() {
		if !strings.Contains(o.Name, "(") {
			features[fmt.Sprintf("feature.%s.v%d", o.Name, o.Version)] = fmt.Sprintf("%x", o.Fingerprint)
		}
	}
	want, got := map[cell]parity.Sum{}, map[cell]parity.Sum{}
	for _, r := range readCommitted(ctx, t, tl.addr, features) {
		_, message, err := wire.CutFrame(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		at := cell{r.Topic, parity.HourOf(r.Timestamp.UnixMicro())}
		s := want[at]
		s.Add(parity.HashOf(message))
		want[at] = s
	}
	wrong, read := "", map[string]int64{}
	for _, r := range readCommitted(ctx, t, tl.addr, map[string]bool{"ledger." + testLedger: true}) {
		d, err := record.ReadLedger(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if d.Job != testLedger || d.Build != "test" || d.Task != r.Partition {
			wrong += fmt.Sprintf("ledger record of job %q, build %q, task %d in partition %d\n", d.Job, d.Build, d.Task, r.Partition)
		}
		for _, in := range d.Inputs {
			at := fmt.Sprint(in.Topic, "/", in.Partition)
			if in.Next < read[at] {
				wrong += fmt.Sprintf("%s was read to %d, then to %d\n", at, read[at], in.Next)
			}
			read[at] = in.Next
		}
		for _, v := range d.Views {
			topic := fmt.Sprintf("feature.%s.v%d", v.View.Name, v.View.Version)
			if fp := fmt.Sprintf("%x", v.View.Fingerprint); fp != features[topic] {
				wrong += fmt.Sprintf("%s has fingerprint %s in the ledger, not %s\n", topic, fp, features[topic])
			}
			for _, c := range v.Cells {
				at := cell{topic, c.Hour}
				got[at] = got[at].Plus(c.Sum)
			}
		}
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(cell{})); diff != "" {
		wrong += "ledger (-rows +ledger)\n" + diff
	}
	return wrong
}

// A task without rows says every 10 s of event time how far it is. What it has read since is said by the worker that has it next: with
// workers that end again and again, tables would never be told.
func TestJob_SaysHowFarItIsWhenItBeginsAgain(t *testing.T) {
	feeds := market.NewFeeds()
	plan := compileShipped(t, feeds)
	l, _ := wantRows(t, rand.New(rand.NewPCG(5, 7)), feeds, plan)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tl := newTopicLog(t, startBroker(t), l, plan, feeds)
	enc, send := tl.writer(ctx, t)
	mark := func(ts int64) {
		var marks [market.NumKinds]int64
		for k := range marks {
			marks[k] = ts
		}
		for topic, kinds := range tl.kinds {
			for p := range int32(testPartitions) {
				send(tl.records(ctx, t, enc, topic, p, kinds, &entry{marks: marks}))
			}
		}
	}
	said := func() (complete [testPartitions]int64) {
		for _, r := range readCommitted(ctx, t, tl.addr, map[string]bool{"ledger." + testLedger: true}) {
			d, err := record.ReadLedger(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			complete[d.Task] = max(complete[d.Task], d.Complete)
		}
		return complete
	}
	start, store := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC).UnixMicro(), &objstore.Memory{}
	for _, ts := range []int64{start, start + 9*market.Second, start + 18*market.Second} {
		run, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- tl.job("again", "0", store, false).Run(run) }()
		want := [testPartitions]int64{max(start, ts-9*market.Second), max(start, ts-9*market.Second)}
		if ts == start {
			mark(ts)
		}
		for said() != want {
			if time.Sleep(50 * time.Millisecond); ctx.Err() != nil {
				t.Fatalf("the ledger says %v, not %v", said(), want)
			}
		}
		mark(ts)
		time.Sleep(500 * time.Millisecond) // it is read, and not said
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}
