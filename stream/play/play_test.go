package play_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream/broker"
	"github.com/pinova-group/tidemark/stream/play"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

const partitions = 4

// tape writes a made-up market of 20 seconds, with heartbeats.
func tape(t *testing.T) string {
	t.Helper()
	c := gen.DefaultConfig()
	c.Events = 3000
	c.Seed = 5
	o := gen.Output{Path: filepath.Join(t.TempDir(), "tape.jsonl"), Format: gen.CanonicalJSONL}
	if err := o.Prepare(&c); err != nil {
		t.Fatal(err)
	}
	if _, err := gen.Write(t.Context(), c, o); err != nil {
		t.Fatal(err)
	}
	return o.Path
}

type place struct {
	topic     string
	partition int32
}

// cluster is a broker that makes each topic when it is asked for.
type cluster struct {
	t    *testing.T
	addr string
	adm  *topic.Admin
}

func start(t *testing.T) *cluster {
	t.Helper()
	b, err := broker.Start(t.TempDir(), broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	adm, err := topic.Open(kgo.SeedBrokers(b.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(adm.Close)
	return &cluster{t, b.Addr(), adm}
}

func (c *cluster) play(ctx context.Context, cfg play.Config, written func(n int64)) *play.Report {
	c.t.Helper()
	schemas := record.NewSchemasOf(nil, nil)
	hook := kgo.WithHooks(countHook{written})
	cl, err := play.NewClient(0, kgo.SeedBrokers(c.addr), hook)
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	cfg.Partitions = partitions
	if cfg.From == 0 {
		cfg.From, cfg.To = market.NoTime, market.NoTime
	}
	rep, err := play.Play(ctx, cfg, play.Env{
		Env: run.Env{Warn: func(s string) { c.t.Error(s) }}, Schemas: schemas, Client: cl, Now: time.Now,
		Topic: func(ctx context.Context, name string, _ int64) error {
			have, err := c.adm.List(ctx)
			if err != nil {
				return err
			}
			return c.adm.Apply(ctx, topic.NewPlan([]topic.Topic{{Name: name, Partitions: partitions}}, have))
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return rep
}

type countHook struct{ f func(int64) }

func (h countHook) OnProduceRecordBuffered(*kgo.Record) {
	if h.f != nil {
		h.f(1)
	}
}

// logs reads everything.
func (c *cluster) logs() map[place][]*kgo.Record {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.addr))
	if err != nil {
		c.t.Fatal(err)
	}
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	cl.Close()
	left := int64(0)
	at := map[string]map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		left += o.Offset
		if at[o.Topic] == nil {
			at[o.Topic] = map[int32]kgo.Offset{}
		}
		at[o.Topic][o.Partition] = kgo.NewOffset().At(0)
	})
	if cl, err = kgo.NewClient(kgo.SeedBrokers(c.addr), kgo.ConsumePartitions(at), kgo.FetchMaxWait(100*time.Millisecond)); err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	out := map[place][]*kgo.Record{}
	for left > 0 {
		fs := cl.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			c.t.Fatal(err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			p := place{r.Topic, r.Partition}
			out[p] = append(out[p], r)
			left--
		})
	}
	return out
}

// judge sequences each partition by itself, as the sequence job does.
func judge(t *testing.T, logs map[place][]*kgo.Record) (sum sequence.Counts, marks int) {
	t.Helper()
	for at, recs := range logs {
		feeds, insts := market.NewFeeds(), market.NewInstruments()
		dec := record.NewEventDecoder(record.NewSchemasOf(nil, nil), feeds, insts)
		seq, err := sequence.New(sequence.DefaultConfig(feeds, insts))
		if err != nil {
			t.Fatal(err)
		}
		name, err := topic.Parse(at.topic)
		if err != nil {
			t.Fatal(err)
		}
		var out sequence.Out
		for _, r := range recs {
			var ch market.Chunk
			k, err := dec.Decode(t.Context(), r.Value, &ch)
			if err != nil {
				t.Fatal(err)
			}
			b := ch.Batches[k]
			b.Shard[0] = uint16(at.partition)
			in := insts.Get(b.Inst[0])
			switch k {
			case market.KindWatermark, market.KindStatus:
				marks++
			default:
				if w, _ := topic.KindWord(nil, k); w != name.Kind || string(r.Key) != in.Symbol || topic.Partition(in.Base, partitions) != at.partition || r.Timestamp.UnixMicro()/1000 != b.EventTS[0]/1000 {
					t.Fatalf("%v has %s of %s at %v", at, k, in.Symbol, r.Timestamp)
				}
			}
			if string(record.Header(r, record.HeaderFormat)) != "event" || string(record.Header(r, record.HeaderFeed)) != feeds.Get(b.Feed[0]).Name {
				t.Fatalf("headers %v", r.Headers)
			}
			if err := seq.Push(&ch); err != nil {
				t.Fatal(err)
			}
			seq.Advance(&out)
			out.Reset()
		}
		seq.Close(&out)
		c := seq.Counts()
		sum.Add(&c)
	}
	return sum, marks
}

// text is a log without offsets, for comparing.
func text(logs map[place][]*kgo.Record) map[string][]string {
	out := map[string][]string{}
	for at, recs := range logs {
		for _, r := range recs {
			key := fmt.Sprint(at)
			out[key] = append(out[key], fmt.Sprintf("%s %d %x %v", r.Key, r.Timestamp.UnixMilli(), r.Value, r.Headers))
		}
	}
	return out
}

func TestPlay_EachEventOnceInItsPartition(t *testing.T) {
	path := tape(t)
	c := start(t)
	rep := c.play(t.Context(), play.Config{Input: run.EventsConfig{Inputs: []string{path}}}, nil)
	logs := c.logs()
	events, written := int64(0), int64(0)
	for _, n := range rep.Topics {
		events += n.Events
		written += n.Events + n.Control
		if !strings.HasPrefix(n.Topic, "raw.") || n.Control < partitions {
			t.Errorf("%+v", n)
		}
	}
	got, marks := judge(t, logs)
	if events < 3000 || written != rep.Records || int64(marks) != written-events || !rep.Whole {
		t.Errorf("%+v; read %d marks", rep, marks)
	}
	if got.Late != 0 || got.Duplicate != 0 || got.DLQ != 0 || got.Pending != 0 || got.In != written {
		t.Errorf("sequenced %+v of %d", got, written)
	}
	// The end of the input is known in every partition.
	for at, recs := range logs {
		last := recs[len(recs)-1]
		if r := record.Header(last, record.HeaderFeed); r == nil || last.Key != nil {
			t.Errorf("%v ends with %q", at, last.Key)
		}
	}
	if len(logs) != partitions*len(rep.Topics) {
		t.Errorf("%d partitions of %d topics have records", len(logs), len(rep.Topics))
	}
}

func TestPlay_FaultsAreWhatTheSequencerFinds(t *testing.T) {
	path := tape(t)
	c := start(t)
	rep := c.play(t.Context(), play.Config{Input: run.EventsConfig{Inputs: []string{path}}, Shuffle: 100 * market.Millisecond, Duplicate: 50_000, Seed: 3}, nil)
	got, _ := judge(t, c.logs())
	if rep.Duplicated < 100 || got.Duplicate != rep.Duplicated || got.Late != 0 {
		t.Errorf("sequenced %+v of %+v", got, rep)
	}
	late := start(t)
	rep = late.play(t.Context(), play.Config{Input: run.EventsConfig{Inputs: []string{path}}, Late: 20_000, Seed: 3}, nil)
	got, _ = judge(t, late.logs())
	// Made late is late wherever other events of the partition came meanwhile.
	if rep.Delayed < 40 || got.Late == 0 || got.Late > rep.Delayed || got.Duplicate != 0 {
		t.Errorf("sequenced %+v of %+v", got, rep)
	}
}

// What was stopped goes on where it was, with the same records in the same order.
func TestPlay_GoesOn(t *testing.T) {
	path := tape(t)
	cfg := play.Config{Input: run.EventsConfig{Inputs: []string{path}}, Shuffle: 80 * market.Millisecond, Duplicate: 30_000, Seed: 9}
	whole, parts := start(t), start(t)
	whole.play(t.Context(), cfg, nil)
	for n := 0; ; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		var count int64
		rep := parts.play(ctx, cfg, func(k int64) {
			if count += k; count == 1111 && n < 2 {
				cancel()
			}
		})
		cancel()
		cfg.Skip += rep.Records
		if rep.Whole {
			if n != 2 {
				t.Errorf("stopped %d times", n)
			}
			break
		}
	}
	if d := cmp.Diff(text(whole.logs()), text(parts.logs())); d != "" {
		t.Errorf("%.2000s", d)
	}
}

// An input of the clock's time is written at its time, however late the play began.
func TestPlay_Clock(t *testing.T) {
	c := start(t)
	at := time.Now().Add(300 * time.Millisecond)
	path := filepath.Join(t.TempDir(), "one.jsonl")
	line := fmt.Sprintf(`{"kind":"trade","feed":"kraken-spot","exchange":"kraken","market":"spot","symbol":"BTC-USDT","event_ts":%d,"ingest_ts":%d,"id":"1","side":"buy","price":"1","quantity":"1"}`,
		at.UnixMicro(), at.UnixMicro())
	if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.play(t.Context(), play.Config{Input: run.EventsConfig{Inputs: []string{path}}, Speed: 1, Clock: true}, nil)
	if now := time.Now(); now.Before(at) {
		t.Errorf("written %v before its time", at.Sub(now))
	}
}

// Faster and slower give the same; as fast as once it takes its time.
func TestPlay_Speed(t *testing.T) {
	path := tape(t)
	cfg := play.Config{Input: run.EventsConfig{Inputs: []string{path}}}
	fast, slow := start(t), start(t)
	rep := fast.play(t.Context(), cfg, nil)
	first, _ := time.Parse(time.RFC3339Nano, rep.First)
	last, _ := time.Parse(time.RFC3339Nano, rep.Last)
	cfg.Speed = last.Sub(first).Seconds() / 0.5
	began := time.Now()
	slow.play(t.Context(), cfg, nil)
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("took %v", took)
	}
	if d := cmp.Diff(text(fast.logs()), text(slow.logs())); d != "" {
		t.Errorf("%.2000s", d)
	}
}
