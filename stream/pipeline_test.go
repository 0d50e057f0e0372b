package stream_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/specs"
	"github.com/pinova-group/tidemark/stream"
	"github.com/pinova-group/tidemark/stream/play"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/topic"
)

// pipeline is the topics of some sources and views, and the jobs between them.
type pipeline struct {
	servers
	config  topic.Config
	plan    *features.Plan
	feeds   *market.Feeds
	schemas *record.Schemas
	topics  []string // all of them
	store   *objstore.Memory
	name    string
	idle    time.Duration
	lake    *lake.Lake // that is played
	over    *stream.Handover
}

func newPipeline(t *testing.T, b servers, sources []topic.Source, views ...string) *pipeline {
	t.Helper()
	p := &pipeline{servers: b, store: &objstore.Memory{}, over: stream.NewHandover(), feeds: market.NewFeeds(), name: strconv.FormatInt(time.Now().UnixNano(), 36)}
	p.config = topic.Config{Partitions: testPartitions, Sources: sources, Views: views, Retention: topic.Retentions{Raw: topic.Forever, Processed: topic.Forever, Feature: topic.Forever}}
	set, _, err := run.Check(views, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.plan, err = features.CompileSet(set, features.Options{Feeds: p.feeds, Find: specs.Find}); err != nil {
		t.Fatal(err)
	}
	if p.schemas, err = record.NewSchemas(b.registry, nil); err != nil {
		t.Fatal(err)
	}
	var versions []topic.View
	for _, o := range p.plan.Outputs() {
		versions = append(versions, topic.View{Name: o.Name, Version: o.Version, Alerts: len(o.Alerts) > 0})
	}
	want, err := p.config.Wanted(nil, versions, nil)
	if err != nil {
		t.Fatal(err)
	}
	adm, err := topic.Open(kgo.SeedBrokers(strings.Split(b.addr, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(adm.Close)
	for try := 0; ; try++ {
		if err = adm.Apply(t.Context(), topic.NewPlan(want, nil)); err == nil {
			break
		} else if try == 20 {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond) // deleted topics take a while to be gone
	}
	for _, w := range want {
		p.topics = append(p.topics, w.Name)
	}
	return p
}

// of are the topics of a class.
func (p *pipeline) of(c topic.Class) []string {
	return slices.DeleteFunc(slices.Clone(p.topics), func(s string) bool { return !strings.HasPrefix(s, c.String()+".") })
}

func (p *pipeline) sequence(t *testing.T, name string) *stream.Job {
	t.Helper()
	j := &stream.Job{
		Name: "seq-" + name, Slot: "0", Topics: p.of(topic.Raw), Options: []kgo.Opt{kgo.SeedBrokers(strings.Split(p.addr, ",")...)}, Store: p.store, Dir: "mem://state/seq-" + name,
		SnapshotEvery: 200 * time.Millisecond, Now: time.Now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Handover: p.over,
	}
	if err := j.Sequence(stream.SequenceJobConfig{Schemas: p.schemas, IdleAfter: p.idle, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	return j
}

func (p *pipeline) features(t *testing.T) *stream.Job {
	t.Helper()
	kinds := map[string][]market.Kind{}
	reads := map[market.Kind]bool{}
	for _, in := range p.plan.Inputs() {
		reads[in.Kind] = true
	}
	for _, name := range p.of(topic.Processed) {
		n, err := topic.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		if k, _ := topic.ParseKindWord(nil, n.Kind); reads[k] {
			kinds[name] = []market.Kind{k, market.KindStatus}
		}
	}
	j := &stream.Job{
		Name: "all-" + p.name, Slot: "0", Single: true, Options: []kgo.Opt{kgo.SeedBrokers(strings.Split(p.addr, ",")...)}, Store: p.store, Dir: "mem://state/all-" + p.name,
		SnapshotEvery: 200 * time.Millisecond, Now: time.Now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Handover: p.over,
	}
	for name := range kinds {
		j.Topics = append(j.Topics, name)
	}
	if err := j.Features(stream.FeaturesConfig{Plan: p.plan, Feeds: p.feeds, Schemas: p.schemas, Partitions: testPartitions, Kinds: kinds, From: market.NoTime}); err != nil {
		t.Fatal(err)
	}
	return j
}

// work runs jobs until stop, which tells what ended them first.
func work(t *testing.T, jobs ...*stream.Job) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, len(jobs))
	for _, j := range jobs {
		go func() { done <- j.Run(ctx) }()
	}
	return func() (first error) {
		cancel()
		for range jobs {
			if err := <-done; err != nil && first == nil {
				first = err
			}
		}
		return first
	}
}

// play plays files into the raw topics.
func (p *pipeline) play(t *testing.T, cfg play.Config) *play.Report {
	t.Helper()
	return p.playUntil(t.Context(), t, cfg)
}

func (p *pipeline) playUntil(ctx context.Context, t *testing.T, cfg play.Config) *play.Report {
	t.Helper()
	cl, err := play.NewClient(cfg.Speed, kgo.SeedBrokers(strings.Split(p.addr, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	cfg.Partitions, cfg.From, cfg.To = testPartitions, market.NoTime, market.NoTime
	rep, err := play.Play(ctx, cfg, play.Env{
		Env: run.Env{Warn: func(s string) { t.Log(s) }, Lake: p.lake}, Schemas: p.schemas, Client: cl, Now: time.Now,
		Topic: func(_ context.Context, name string, _ int64) error {
			if !slices.Contains(p.topics, name) {
				return fmt.Errorf("topic %s is not there", name)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// rowsInTopic reads the committed rows of a view as any consumer does: with the messages of tidemark
// spec proto and the Protobuf library. Each is the JSON that tidemark run writes.
func (p *pipeline) rowsInTopic(t *testing.T, o *features.Output) []string {
	t.Helper()
	c := protocompile.Compiler{Resolver: &protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(map[string]string{"x.proto": record.ProtoOfView(o)})}}
	files, err := c.Compile(t.Context(), "x.proto")
	if err != nil {
		t.Fatal(err)
	}
	md := files[0].Messages().Get(0)
	var out []string
	for _, r := range readCommitted(t.Context(), t, p.addr, map[string]bool{fmt.Sprintf("feature.%s.v%d", o.Name, o.Version): true}) {
		m := dynamicpb.NewMessage(md)
		if err := proto.Unmarshal(r.Value[6:], m); err != nil {
			t.Fatal(err)
		}
		row := map[string]any{}
		for i := range md.Fields().Len() {
			f := md.Fields().Get(i)
			switch {
			case f.HasPresence() && !m.Has(f):
				row[string(f.Name())] = nil
			case f.Kind() == protoreflect.DoubleKind:
				row[string(f.Name())] = number(m.Get(f).Float())
			default:
				row[string(f.Name())] = fmt.Sprint(m.Get(f).Interface())
			}
		}
		flags := uint8(m.Get(md.Fields().ByName("flags")).Uint())
		row["flags"] = strings.Join(features.FlagNames(nil, flags), "|")
		out = append(out, canonicalJSON(t, row))
	}
	slices.Sort(out)
	return out
}

// number is a float64 with all its bits.
func number(x float64) string { return fmt.Sprintf("%x", math.Float64bits(x)) }

func canonicalJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// rowsOfRun are the rows of tidemark run over files, without those that the end of a file
// closes.
func (p *pipeline) rowsOfRun(t *testing.T, o *features.Output, inputs []string) []string {
	t.Helper()
	cfg := run.DefaultConfig()
	cfg.Specs, cfg.Inputs, cfg.Output = []string{o.Name}, inputs, filepath.Join(t.TempDir(), "rows.jsonl")
	if _, err := run.Run(t.Context(), cfg, run.Env{Stdout: io.Discard, Warn: func(s string) { t.Log(s) }, Build: "test"}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(cfg.Output)
	if err != nil {
		t.Fatal(err)
	}
	double := map[string]bool{}
	for _, f := range o.Fields {
		double[f.Name] = f.Type == features.FieldF64
	}
	var out []string
	for line := range bytes.Lines(text) {
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		var row map[string]any
		if err := d.Decode(&row); err != nil {
			t.Fatal(err)
		}
		if flags, _ := row["flags"].(string); strings.Contains(flags, "partial") {
			continue
		}
		for k, v := range row {
			switch x := v.(type) {
			case json.Number:
				row[k] = x.String()
				if double[k] {
					f, err := x.Float64()
					if err != nil {
						t.Fatal(err)
					}
					row[k] = number(f)
				}
			case bool:
				row[k] = fmt.Sprint(x)
			}
		}
		out = append(out, canonicalJSON(t, row))
	}
	slices.Sort(out)
	return out
}

// checkRows waits until the topics of all views have the rows of tidemark run.
func (p *pipeline) checkRows(t *testing.T, inputs []string) {
	t.Helper()
	for _, o := range p.plan.Outputs() {
		if strings.Contains(o.Name, "(") {
			continue
		}
		want := p.rowsOfRun(t, &o, inputs)
		if len(want) == 0 {
			t.Errorf("%s has no rows", o.Name)
		}
		var got []string
		for most, since := 0, time.Now(); ; time.Sleep(100 * time.Millisecond) {
			if got = p.rowsInTopic(t, &o); len(got) > most {
				most, since = len(got), time.Now()
			}
			if len(got) >= len(want) || time.Since(since) > 20*time.Second {
				break
			}
		}
		t.Logf("%s: %d rows", o.Name, len(got))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-run +topics)\n%.3000s", o.Name, diff)
		}
	}
}

// account checks I3 from the topics alone, and returns the sum over all partitions. What the last
// watermark of a partition says was read is what lies in the raw topic, in records that are
// of one event each or are the dead letters' number of events.
func (p *pipeline) account(t *testing.T) sequence.Counts {
	t.Helper()
	sum, faults := p.accounts(t)
	for _, f := range faults {
		t.Error(f)
	}
	return sum
}

// accounts is account while records may still come: then some topics are read further than others.
func (p *pipeline) accounts(t *testing.T) (sum sequence.Counts, faults []string) {
	t.Helper()
	type part struct {
		topic string
		at    int32
	}
	last, applied := map[part]sequence.Counts{}, map[part]int64{}
	late, dead, beats := map[part]int64{}, map[part]int64{}, map[part]int64{}
	read := func(c topic.Class, each func(at part, r *kgo.Record)) {
		names := map[string]bool{}
		for _, n := range p.of(c) {
			names[n] = true
		}
		for _, r := range readCommitted(t.Context(), t, p.addr, names) {
			each(part{strings.TrimPrefix(r.Topic, c.String()+"."), r.Partition}, r)
		}
	}
	read(topic.Raw, func(at part, r *kgo.Record) {
		if r.Key == nil && string(record.Header(r, record.HeaderFormat)) == stream.FormatEvent {
			beats[at]++ // watermarks are applied, and give no record
		}
	})
	read(topic.Processed, func(at part, r *kgo.Record) {
		if record.Header(r, record.HeaderOf) == nil {
			applied[at]++
		} else if _, c, err := record.ReadMark(r, nil); err != nil {
			t.Error(err)
		} else {
			last[at] = c
		}
	})
	read(topic.Late, func(at part, _ *kgo.Record) { late[at]++ })
	read(topic.DLQ, func(at part, r *kgo.Record) {
		d, err := record.ReadDeadLetter(r)
		if err != nil {
			t.Error(err)
		}
		dead[at] += int64(d.Count)
	})
	for at, c := range last {
		if !c.Balanced() || c.Late != late[at] || c.DLQ != dead[at] || c.Applied > applied[at]+beats[at] {
			faults = append(faults, fmt.Sprintf("%v: late %d, dead %d, applied %d; account %+v", at, late[at], dead[at], applied[at], c))
		}
		sum.Add(&c)
	}
	return sum, faults
}

// waitIn waits until so many records are in the account.
func (p *pipeline) waitIn(t *testing.T, n int64) {
	t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
		if sum, _ := p.accounts(t); sum.In == n {
			return
		}
	}
	t.Errorf("the account does not come to %d records", n)
}

// eachBroker runs a test with an embedded broker, and beside it with a real one where there is one: most of the time both wait.
func eachBroker(t *testing.T, test func(t *testing.T, b servers)) {
	t.Helper()
	for name, start := range map[string]func(*testing.T) servers{"embedded": startBroker, "kafka": realKafka} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

// Recorded payloads of venues, played as they were collected, come out of both jobs as the rows of
// tidemark run over the same files. TIDEMARK_TEST_TAPES=whole takes the whole of them.
func TestTapes_RowsInTopicsAreThoseOfRun(t *testing.T) {
	lines := 5000
	if os.Getenv("TIDEMARK_TEST_TAPES") == "whole" {
		lines = math.MaxInt
	}
	for _, c := range []struct {
		name    string
		sources []topic.Source
		views   []string
		files   []string
		decode  bool // events instead of payloads
	}{
		{
			name: "binance", sources: []topic.Source{{Market: "spot", Exchange: "binance", Kinds: []string{"trade", "quote", "orderbook"}}, {Market: "perp", Exchange: "binance", Kinds: []string{"trade", "quote", "orderbook"}}},
			views: []string{"trade_bars_1s", "book_1s", "quote_bars_1s", "fair_price_1s"},
			files: []string{
				"rawstream/binance_spot_btcusdt_20240808.jsonl.gz", "rawstream/binance_spot_ethusdt_20240808.jsonl.gz", "rawstream/binance_usdm_btcusdt_20240808.jsonl.gz",
				"rawstream/binance_usdm_ethusdt_20240808.jsonl.gz", "rawstream/binance_cm_btcusd_perp_20240808.jsonl.gz",
			},
		},
		{
			name: "kraken", sources: []topic.Source{{Market: "spot", Exchange: "kraken", Kinds: []string{"trade", "orderbook", "quote", "instrument"}}},
			views: []string{"trade_bars_1s"}, files: []string{"captures/kraken_v1_20210417.jsonl.zst"},
		},
		{ // Its snapshots of books have no time: what is assumed for them depends on what else is read.
			name: "kraken events", sources: []topic.Source{{Market: "spot", Exchange: "kraken", Kinds: []string{"trade", "orderbook", "quote", "instrument"}}},
			views: []string{"trade_bars_1s", "book_1s"}, files: []string{"captures/kraken_v1_20210417.jsonl.zst"}, decode: true,
		},
		{
			name: "kraken REST", sources: []topic.Source{{Market: "spot", Exchange: "kraken", Kinds: []string{"trade"}}},
			views: []string{"trade_bars_1m"}, files: []string{"candles/kraken_xbtusdt_rest_trades_20251110.json.gz"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var files []string
			for _, f := range c.files {
				n := lines
				if strings.Contains(f, "kraken") {
					n = math.MaxInt
				}
				files = append(files, exdata.Head(t, f, t.TempDir(), n))
			}
			eachBroker(t, func(t *testing.T, b servers) {
				p := newPipeline(t, b, c.sources, c.views...)
				stop := work(t, p.sequence(t, p.name), p.features(t))
				rep := p.play(t, play.Config{Input: run.EventsConfig{Inputs: files, Payloads: !c.decode}})
				t.Logf("%+v", *rep)
				p.checkRows(t, files)
				if err := stop(); err != nil {
					t.Error(err)
				}
				t.Logf("account %+v", p.account(t))
			})
		})
	}
}

// processedLog is what is in the processed topics: the events of each kind of a partition in order,
// and its last watermarks with their accounts.
func (p *pipeline) processedLog(t *testing.T) map[string][]string {
	t.Helper()
	names := map[string]bool{}
	for _, n := range p.of(topic.Processed) {
		names[n] = true
	}
	out, marks := map[string][]string{}, map[string]string{}
	dec := record.NewEventDecoder(p.schemas, market.NewFeeds(), market.NewInstruments())
	for _, r := range readCommitted(t.Context(), t, p.addr, names) {
		at := fmt.Sprint(r.Topic, "/", r.Partition)
		if of := record.Header(r, record.HeaderOf); of != nil {
			marks[fmt.Sprint(at, " ", string(of))] = fmt.Sprintf("%x %s", r.Value[6:], record.Header(r, record.HeaderAccount)) // schemas have other numbers elsewhere
			continue
		}
		var c market.Chunk
		k, err := dec.Decode(t.Context(), r.Value, &c)
		if err != nil {
			t.Fatal(err)
		}
		at = fmt.Sprint(at, " events of kind ", k)
		out[at] = append(out[at], fmt.Sprintf("%s %d %x %x", r.Key, r.Timestamp.UnixMilli(), record.Header(r, record.HeaderID), r.Value[6:]))
	}
	for at, m := range marks {
		out[at] = []string{m}
	}
	return out
}

// Played into the processed topics, an input gives the records that the sequence job makes of it when it
// is played into the raw ones; the same ones each time, also when it was stopped in between; and
// rows of views are those of tidemark run.
func TestRefill_WritesWhatTheSequenceJobWrites(t *testing.T) {
	files := []string{exdata.Head(t, "rawstream/binance_spot_btcusdt_20240808.jsonl.gz", t.TempDir(), 3000), exdata.Head(t, "rawstream/binance_usdm_ethusdt_20240808.jsonl.gz", t.TempDir(), 6000)}
	sources := []topic.Source{{Market: "spot", Exchange: "binance", Kinds: []string{"trade", "quote", "orderbook"}}, {Market: "perp", Exchange: "binance", Kinds: []string{"trade", "quote", "orderbook"}}}
	faulty := play.Config{Input: run.EventsConfig{Inputs: files, Payloads: true}, Shuffle: 50 * market.Millisecond, Duplicate: 10_000, Late: 5_000, Seed: 3}
	eachBroker(t, func(t *testing.T, b servers) {
		cfg := faulty
		job := newPipeline(t, b, sources, "trade_bars_1s")
		stop := work(t, job.sequence(t, job.name))
		raw := job.play(t, cfg)
		job.waitIn(t, raw.Records)
		if err := stop(); err != nil {
			t.Error(err)
		}
		want := job.processedLog(t)
		sum := job.account(t)
		if sum.Late == 0 || sum.Duplicate == 0 {
			t.Errorf("account %+v", sum)
		}

		cfg.Processed = true
		whole := newPipeline(t, startBroker(t), sources, "trade_bars_1s")
		rep := whole.play(t, cfg)
		if *rep.Sequenced != sum || !rep.Whole {
			t.Errorf("account %+v, want %+v", *rep.Sequenced, sum)
		}
		got := whole.processedLog(t)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("processed topics (-job +play)\n%.3000s", diff)
		}

		parts := newPipeline(t, startBroker(t), sources, "trade_bars_1s")
		for cfg.Skip = 0; ; {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				defer cancel()
				time.Sleep(100 * time.Millisecond)
			}()
			if cfg.Skip > 0 {
				cancel = func() {}
				ctx = t.Context()
			}
			rep := parts.playUntil(ctx, t, cfg)
			cancel()
			if cfg.Skip += rep.Records; rep.Whole {
				break
			}
		}
		if diff := cmp.Diff(want, parts.processedLog(t)); diff != "" {
			t.Errorf("processed topics (-job +play in parts)\n%.3000s", diff)
		}
	})
}

// Events of a lake, played into the processed topics, are those of the files that were imported.
func TestRefill_FromALake(t *testing.T) {
	c := gen.DefaultConfig()
	c.Events, c.Venues, c.Disorder = 6000, c.Venues[:1], 100*market.Millisecond
	o := gen.Output{Path: filepath.Join(t.TempDir(), "tape.jsonl"), Format: gen.CanonicalJSONL}
	if err := o.Prepare(&c); err != nil {
		t.Fatal(err)
	}
	if _, err := gen.Write(t.Context(), c, o); err != nil {
		t.Fatal(err)
	}
	l, err := lake.Open(t.Context(), lake.Config{Dir: t.TempDir(), Now: time.Now, Build: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if _, err := run.Import(t.Context(), run.ImportConfig{Inputs: []string{o.Path}}, l, run.Env{Warn: func(s string) { t.Log(s) }, Build: "test"}); err != nil {
		t.Fatal(err)
	}
	kinds := []string{"trade", "quote", "orderbook", "instrument", "funding", "mark_price", "open_interest", "liquidation"}
	sources := []topic.Source{{Market: "spot", Exchange: "alpha", Kinds: kinds}, {Market: "perp", Exchange: "alpha", Kinds: kinds}}
	p := func(inputs string) *pipeline {
		p := newPipeline(t, startBroker(t), sources, "trade_bars_1s")
		p.lake = l
		rep := p.play(t, play.Config{Input: run.EventsConfig{Inputs: []string{inputs}}, Processed: true})
		t.Logf("%+v %+v", *rep, *rep.Sequenced)
		if rep.Sequenced.Late+rep.Sequenced.DLQ+rep.Late != 0 {
			t.Errorf("%+v", *rep)
		}
		return p
	}
	files, tables := p(o.Path), p("lake:")
	want, got := files.processedLog(t), tables.processedLog(t)
	for at := range want {
		if !strings.Contains(at, " events of kind ") {
			delete(want, at) // heartbeats are in no table
			delete(got, at)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("processed topics (-file +lake)\n%.3000s", diff)
	}
}
