package topic_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/internal/exkafka"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/stream/broker"
	"github.com/pinova-group/tidemark/stream/topic"
)

func cluster(t *testing.T) (*topic.Admin, kgo.Opt) {
	t.Helper()
	b, err := broker.Start(t.TempDir(), broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	seeds := kgo.SeedBrokers(b.Addr())
	a, err := topic.Open(seeds)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a, seeds
}

func plan(t *testing.T, a *topic.Admin, want []topic.Topic) topic.Plan {
	t.Helper()
	have, err := a.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return topic.NewPlan(want, have)
}

func TestAdmin_AppliesOnceAndAlters(t *testing.T) {
	a, seeds := cluster(t)
	cl, err := kgo.NewClient(seeds)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, "somebody.else"); err != nil {
		t.Fatal(err)
	}
	c := topic.Config{Partitions: 3, Sources: []topic.Source{{Market: "spot", Exchange: "kraken", Kinds: []string{"trade", "orderbook"}}}}
	want := wanted(t, &c, []topic.View{{Name: "bars", Version: 1}}, "features")
	p := plan(t, a, want)
	if p.Count(topic.Create) != len(want) || len(p) != len(want) {
		t.Fatalf("%+v", p)
	}
	if err := a.Try(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if again := plan(t, a, want); again.Count(topic.Create) != len(want) {
		t.Fatalf("a try made topics: %+v", again)
	}
	if err := a.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if again := plan(t, a, want); again.Count(topic.Keep) != len(want) {
		t.Fatalf("not done: %+v", again)
	}
	have, err := a.List(t.Context())
	if err != nil || len(have) != len(want) || have[2].Partitions != 3 || have[1].Partitions != 1 || have[0].Partitions != 1 || have[0].Replication != 1 {
		t.Fatalf("%+v: %v", have, err)
	}

	c.Retention.Raw = topic.Forever
	p = plan(t, a, wanted(t, &c, nil, "features"))
	if p.Count(topic.Alter) != 2 || p.Count(topic.Leave) != 3 {
		t.Fatalf("%+v", p)
	}
	if err := a.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	have, err = a.List(t.Context())
	if last := have[len(have)-1]; err != nil || last.Name != "raw.spot.trade.kraken" || last.Settings["retention.ms"] != "-1" || last.Settings["segment.ms"] != "604800000" {
		t.Errorf("%+v: %v", last, err)
	}
}

func TestAdmin_RefusesOtherPartitions(t *testing.T) {
	a, _ := cluster(t)
	c := topic.Config{Partitions: 3, Sources: []topic.Source{{Market: "spot", Exchange: "kraken", Kinds: []string{"trade"}}}}
	if err := a.Apply(t.Context(), plan(t, a, wanted(t, &c, nil))); err != nil {
		t.Fatal(err)
	}
	before, err := a.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.Partitions, c.Sources[0].Kinds = 4, []string{"trade", "quote"}
	err = a.Apply(t.Context(), plan(t, a, wanted(t, &c, nil)))
	if f := fault.From(err); f.Code != "topic_refused" || len(f.Parts) != 4 {
		t.Errorf("%+v", err)
	}
	after, err := a.List(t.Context())
	if d := cmp.Diff(before, after); d != "" || err != nil {
		t.Error(d, err)
	}
}

func TestAdmin_SaysWhatTheClusterDoesNotTake(t *testing.T) {
	a, _ := cluster(t)
	c := topic.Config{Replication: 3, Sources: []topic.Source{{Market: "spot", Exchange: "kraken", Kinds: []string{"trade"}}}}
	p := plan(t, a, wanted(t, &c, nil))
	for what, do := range map[string]func() error{"try": func() error { return a.Try(t.Context(), p) }, "apply": func() error { return a.Apply(t.Context(), p) }} {
		f := fault.From(do())
		if f.Code != "topic_failed" || len(f.Parts) != 4 || f.Parts[0].Where != "dlq.spot.trade.kraken" || f.Parts[0].Remedy == "" {
			t.Errorf("%s: %+v", what, f)
		}
	}
}

// A real Kafka takes all settings, and says them back; what was made can be written to at once.
func TestAdmin_RealKafka(t *testing.T) {
	addr := exkafka.Addr(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addr, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	a, err := topic.Open(kgo.SeedBrokers(strings.Split(addr, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	exchange := fmt.Sprintf("test-%d", time.Now().UnixNano())
	c := topic.Config{Partitions: 3, Sources: []topic.Source{{Market: "spot", Exchange: exchange, Kinds: []string{"trade"}}}}
	want := wanted(t, &c, nil)
	ours := func() (p topic.Plan) {
		for _, s := range plan(t, a, want) {
			if s.Action != topic.Leave {
				p = append(p, s)
			}
		}
		return p
	}
	p := ours()
	if err := a.Try(t.Context(), p); err != nil || p.Count(topic.Create) != 4 {
		t.Fatal(err, p)
	}
	if err := a.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, w := range want {
			if _, err := kadm.NewClient(cl).DeleteTopic(context.Background(), w.Name); err != nil {
				t.Log(err)
			}
		}
	})
	if p := ours(); p.Count(topic.Keep) != 4 {
		t.Errorf("made, but %+v", p)
	}
	for _, w := range want {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: w.Name, Partition: 2, Timestamp: time.UnixMilli(1)}).FirstErr(); err != nil {
			t.Error(err)
		}
	}
	c.Retention.Raw = topic.Forever
	want = wanted(t, &c, nil)
	if err := a.Apply(t.Context(), ours()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ours().Count(topic.Keep) != 4; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("changed, but %+v", ours())
		}
	}
}
