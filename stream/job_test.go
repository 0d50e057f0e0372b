package stream_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/exkafka"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream"
	"github.com/pinova-group/tidemark/stream/broker"
	"github.com/pinova-group/tidemark/stream/record"
)

const (
	testPartitions = 2
	testLedger     = "test"
)

// servers are where a test finds a broker and a schema registry.
type servers struct{ addr, registry string }

// startBroker starts an embedded one.
func startBroker(t *testing.T) servers {
	t.Helper()
	b, err := broker.Start(t.TempDir(), broker.Options{Warn: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return servers{b.Addr(), b.RegistryURL()}
}

// realKafka is the real one, emptied, with a registry beside it.
func realKafka(t *testing.T) servers {
	t.Helper()
	addr := exkafka.Addr(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	adm := kadm.NewClient(newClient(t, addr))
	for {
		topics, err := adm.ListTopics(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var ours []string
		for _, name := range topics.Names() {
			if slices.Contains([]string{"raw", "processed", "late", "dlq", "feature", "ledger", "control", "correction", "alert"}, strings.Split(name, ".")[0]) {
				ours = append(ours, name)
			}
		}
		if len(ours) == 0 {
			break
		}
		if _, err := adm.DeleteTopics(ctx, ours...); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	return servers{addr, startBroker(t).registry}
}

func newClient(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(addr, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(-1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// topicLog is a sequenced log in topics of a broker.
type topicLog struct {
	addr    string
	log     *sequencedLog
	pace    time.Duration // between the entries written
	plan    *features.Plan
	feeds   *market.Feeds
	schemas *record.Schemas
	kinds   map[string][]market.Kind // of input topics
}

func inputTopic(part string) (topic string, partition int32) {
	name, p, ok := strings.Cut(part, "/")
	if ok {
		partition = int32(p[0] - '0')
	}
	return "processed." + strings.Replace(name, ".book.", ".orderbook.", 1), partition
}

func newTopicLog(t *testing.T, b servers, l *sequencedLog, plan *features.Plan, feeds *market.Feeds) *topicLog {
	t.Helper()
	schemas, err := record.NewSchemas(b.registry, plan.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	tl := &topicLog{addr: b.addr, log: l, plan: plan, feeds: feeds, schemas: schemas, kinds: map[string][]market.Kind{}}
	for _, p := range l.parts {
		topic, _ := inputTopic(p.Name)
		tl.kinds[topic] = p.Kinds
	}
	names := append(tl.inputs(), "ledger."+testLedger)
	for _, o := range plan.Outputs() {
		if !strings.Contains(o.Name, "(") {
			names = append(names, fmt.Sprintf("feature.%s.v%d", o.Name, o.Version))
			if len(o.Alerts) > 0 {
				names = append(names, fmt.Sprintf("alert.%s.v%d", o.Name, o.Version))
			}
		}
	}
	createTopics(t, tl.addr, testPartitions, names...)
	return tl
}

func (tl *topicLog) inputs() []string {
	var names []string
	for topic := range tl.kinds {
		names = append(names, topic)
	}
	slices.Sort(names)
	return names
}

// writer encodes events and writes records.
func (tl *topicLog) writer(ctx context.Context, t *testing.T) (*record.EventEncoder, func([]*kgo.Record)) {
	t.Helper()
	cl := newClient(t, tl.addr, kgo.ProducerLinger(0))
	return record.NewEventEncoder(tl.schemas, tl.feeds, tl.log.insts), func(recs []*kgo.Record) {
		if err := cl.ProduceSync(ctx, recs...).FirstErr(); err != nil {
			t.Error(err)
		}
	}
}

// write puts the log into its topics, a few entries at a time.
func (tl *topicLog) write(ctx context.Context, t *testing.T, r *rand.Rand) {
	t.Helper()
	enc, send := tl.writer(ctx, t)
	tl.writeEmpty(ctx, t, enc, send, tl.log.final)
	at := make([]int, len(tl.log.parts))
	for {
		var left []int
		for p, part := range tl.log.parts {
			if at[p] < len(part.entries) && part.Name != "rest" {
				left = append(left, p)
			}
		}
		if len(left) == 0 {
			return
		}
		p := left[r.IntN(len(left))]
		part := tl.log.parts[p]
		topic, partition := inputTopic(part.Name)
		send(tl.records(ctx, t, enc, topic, partition, part.Kinds, part.entries[at[p]]))
		at[p]++
		time.Sleep(tl.pace)
	}
}

// writeEmpty writes marks of partitions without rows.
func (tl *topicLog) writeEmpty(ctx context.Context, t *testing.T, enc *record.EventEncoder, send func([]*kgo.Record), marks [market.NumKinds]int64) {
	t.Helper()
	has := map[string]bool{}
	for _, p := range tl.log.parts {
		has[p.Name] = p.Name != "rest"
	}
	for topic, kinds := range tl.kinds {
		for p := range int32(testPartitions) {
			if !has[fmt.Sprintf("%s/%d", strings.Replace(strings.TrimPrefix(topic, "processed."), ".orderbook.", ".book.", 1), p)] {
				send(tl.records(ctx, t, enc, topic, p, kinds, &entry{marks: marks}))
			}
		}
	}
}

// writeRaw puts the rows that the log was made of into raw topics, in the order that they
// came in each partition.
func (tl *topicLog) writeRaw(ctx context.Context, t *testing.T, r *rand.Rand) {
	t.Helper()
	enc, send := tl.writer(ctx, t)
	tl.writeEmpty(ctx, t, enc, send, tl.log.final)
	at := make([]int, len(tl.log.parts))
	for {
		var left []int
		for p, part := range tl.log.parts {
			if at[p] < len(part.raw) {
				left = append(left, p)
			}
		}
		if len(left) == 0 {
			return
		}
		p := left[r.IntN(len(left))]
		part := tl.log.parts[p]
		topic, partition := inputTopic(part.Name)
		var recs []*kgo.Record
		for n := min(len(part.raw), at[p]+1+r.IntN(20)); at[p] < n; at[p]++ {
			b := part.raw[at[p]]
			value, err := enc.AppendEvent(ctx, nil, b, 0)
			if err != nil {
				t.Error(err)
			}
			rec := &kgo.Record{Topic: rawTopic(topic), Partition: partition, Key: []byte(tl.log.insts.Get(b.Inst[0]).Symbol), Value: value, Timestamp: time.UnixMicro(b.EventTS[0])}
			record.AddRaw(rec, &record.Raw{Format: []byte(stream.FormatEvent)})
			recs = append(recs, rec)
		}
		send(recs)
		time.Sleep(tl.pace)
	}
}

func rawTopic(processed string) string { return "raw." + strings.TrimPrefix(processed, "processed.") }

// rawTopics makes the topics of a sequence job and returns its inputs.
func (tl *topicLog) rawTopics(t *testing.T) (raw []string) {
	t.Helper()
	var names []string
	for _, topic := range tl.inputs() {
		if topic != "processed.rest" {
			raw = append(raw, rawTopic(topic))
			names = append(names, rawTopic(topic), "late."+strings.TrimPrefix(topic, "processed."), "dlq."+strings.TrimPrefix(topic, "processed."))
		}
	}
	createTopics(t, tl.addr, testPartitions, names...)
	return raw
}

func (tl *topicLog) records(ctx context.Context, t *testing.T, enc *record.EventEncoder, topic string, partition int32, kinds []market.Kind, e *entry) []*kgo.Record {
	t.Helper()
	var recs []*kgo.Record
	add := func(b *market.Batch, i int) *kgo.Record {
		value, err := enc.AppendEvent(ctx, nil, b, i)
		if err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Topic: topic, Partition: partition, Value: value, Timestamp: time.UnixMicro(b.TS[i])}
		recs = append(recs, r)
		return r
	}
	for _, b := range e.rows.Batches {
		for i := 0; b != nil && i < b.N; i++ {
			add(b, i)
		}
	}
	for _, k := range kinds {
		if e.marks[k] == market.NoTime {
			continue
		}
		b := market.NewBatch(market.KindWatermark)
		b.AppendEnvelope(&market.Envelope{EventTS: e.marks[k], IngestTS: e.marks[k], Feed: 1})
		b.TS[0] = e.marks[k]
		record.AddMark(add(b, 0), tl.plan.Kinds(), k, &sequence.Counts{})
	}
	return recs
}

func (tl *topicLog) job(name, slot string, store objstore.Store, single bool) *stream.Job {
	j := &stream.Job{
		Name: name, Slot: slot, Topics: tl.inputs(), Single: single, Options: []kgo.Opt{kgo.SeedBrokers(strings.Split(tl.addr, ",")...)},
		Store: store, Dir: "mem://state/" + name, SnapshotEvery: 50 * time.Millisecond, MaxPoll: 50, Now: time.Now,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	err := j.Features(stream.FeaturesConfig{
		Plan: tl.plan, Feeds: tl.feeds, Schemas: tl.schemas, Partitions: testPartitions, Kinds: tl.kinds, MaxWaiting: 30, From: market.NoTime,
		Ledger: testLedger, Build: "test",
	})
	if err != nil {
		panic(err)
	}
	return j
}

// rows reads all committed rows of all views and prints them, and tells of entities whose
// rows are not in order.
func (tl *topicLog) rows(ctx context.Context, t *testing.T) (out []string, order string) {
	t.Helper()
	byTopic := map[string]int{}
	for i, o := range tl.plan.Outputs() {
		if !strings.Contains(o.Name, "(") {
			byTopic[fmt.Sprintf("feature.%s.v%d", o.Name, o.Version)] = i
		}
	}
	decs := map[string]*record.RowDecoder{}
	last := map[string]int64{}
	for _, r := range readCommitted(ctx, t, tl.addr, byTopic) {
		o := &tl.plan.Outputs()[byTopic[r.Topic]]
		d := decs[r.Topic]
		if d == nil {
			id, err := tl.schemas.View(ctx, o)
			if err != nil {
				t.Fatal(err)
			}
			d = record.NewRowDecoder(id, o)
			decs[r.Topic] = d
		}
		rows := features.Rows{Views: make([]features.ViewRows, byTopic[r.Topic]+1)}
		if err := d.Decode(r.Value, &rows.Views[byTopic[r.Topic]]); err != nil {
			t.Fatal(err)
		}
		v := &rows.Views[byTopic[r.Topic]]
		at := fmt.Sprint(r.Topic, r.Partition, d.Names(v.Entity[0]))
		if ts := v.RowTS[0]; ts < last[at] {
			order += fmt.Sprintf("%s: row of %d comes after one of %d\n", at, ts, last[at])
		}
		last[at] = v.RowTS[0]
		out = printRows(out, tl.plan, func(_ int, e uint32) []string { return d.Names(e) }, &rows)
	}
	slices.Sort(out)
	return out, order
}

func readCommitted[V any](ctx context.Context, t *testing.T, addr string, topics map[string]V) []*kgo.Record {
	t.Helper()
	var names []string
	for n := range topics {
		names = append(names, n)
	}
	adm := kadm.NewClient(newClient(t, addr))
	var ends kadm.ListedOffsets
	for range 50 { // Kafka marks the partitions of a transaction one by one after it is committed
		high, err := adm.ListEndOffsets(ctx, names...)
		if err == nil {
			ends, err = adm.ListCommittedOffsets(ctx, names...)
		}
		if err != nil {
			t.Fatal(err)
		}
		open := false
		high.Each(func(o kadm.ListedOffset) {
			e, _ := ends.Lookup(o.Topic, o.Partition)
			open = open || e.Offset < o.Offset
		})
		if !open {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	from, left := map[string]map[int32]kgo.Offset{}, map[string]int64{}
	for topic, ps := range ends {
		from[topic] = map[int32]kgo.Offset{}
		for p, o := range ps {
			from[topic][p] = kgo.NewOffset().At(0)
			if o.Offset > 0 {
				left[fmt.Sprint(topic, p)] = o.Offset
			}
		}
	}
	cl := newClient(t, addr, kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))
	var recs []*kgo.Record
	for len(left) > 0 {
		fs := cl.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			t.Fatalf("read to the end: %v, left %v", err, left)
		}
		fs.EachRecord(func(r *kgo.Record) {
			at := fmt.Sprint(r.Topic, r.Partition)
			if r.Offset+1 >= left[at] {
				delete(left, at)
			}
			if !r.Attrs.IsControl() {
				recs = append(recs, r)
			}
		})
	}
	return recs
}

// wantRows is a log with many rows, and what an engine gives that has it at once: without
// alerts, and without views that are parents only.
func wantRows(t *testing.T, r *rand.Rand, feeds *market.Feeds, plan *features.Plan) (*sequencedLog, []string) {
	t.Helper()
	for range 100 {
		l := newLog(t, r, feeds, plan)
		want := slices.DeleteFunc(l.plain(t, plan), func(s string) bool {
			return strings.Contains(s, " alert ") || strings.Contains(strings.Fields(s)[0], "(")
		})
		if len(want) > 1000 {
			return l, want
		}
	}
	t.Fatal("no log has rows")
	return nil, nil
}

// waitRows waits until there are as many rows as wanted, or no more come, and then for one
// too many.
func (tl *topicLog) waitRows(ctx context.Context, t *testing.T, want []string) (got []string, order string) {
	t.Helper()
	most, deadline := 0, time.Now().Add(20*time.Second)
	for {
		if got, _ = tl.rows(ctx, t); len(got) > most {
			most, deadline = len(got), time.Now().Add(20*time.Second)
		}
		if len(got) >= len(want) || time.Now().After(deadline) {
			time.Sleep(300 * time.Millisecond)
			return tl.rows(ctx, t)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestJob_RowsInTopicsAreThoseOfTheEngine(t *testing.T) {
	eachBroker(t, func(t *testing.T, b servers) { testRows(t, b, false, nil) })
}

// Both jobs in a chain give the rows of an engine that has what a sequencer gives of each
// partition; and of what was sent, each event is applied, late or a duplicate.
func TestJob_ChainFromRawIsTheEngine(t *testing.T) {
	eachBroker(t, func(t *testing.T, b servers) { testRows(t, b, true, nil) })
}

// It is all the same when the features job has events handed over.
func TestJob_HandedOverIsTheEngine(t *testing.T) {
	eachBroker(t, func(t *testing.T, b servers) { testRows(t, b, true, stream.NewHandover()) })
}

func testRows(t *testing.T, b servers, chain bool, over *stream.Handover) {
	t.Helper()
	feeds := market.NewFeeds()
	plan := compileShipped(t, feeds)
	r := rand.New(rand.NewPCG(5, 7))
	l, want := wantRows(t, r, feeds, plan)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	tl := newTopicLog(t, b, l, plan, feeds)
	id := strconv.FormatInt(time.Now().UnixNano(), 36)
	store := &objstore.Memory{}
	reg := prometheus.NewRegistry()
	jobs, write := []*stream.Job{tl.job("all-"+id, "0", store, true)}, tl.write
	if chain {
		seq := &stream.Job{
			Name: "seq-" + id, Slot: "0", Topics: tl.rawTopics(t), Options: []kgo.Opt{kgo.SeedBrokers(strings.Split(tl.addr, ",")...)}, Store: store, Dir: "mem://state/seq-" + id,
			SnapshotEvery: 50 * time.Millisecond, MaxPoll: 100, Now: time.Now, Handover: over, Metrics: stream.NewMetrics(reg),
		}
		jobs[0].Handover = over
		if err := seq.Sequence(stream.SequenceJobConfig{Schemas: tl.schemas, Kinds: plan.Kinds()}); err != nil {
			t.Fatal(err)
		}
		jobs, write = append(jobs, seq), tl.writeRaw
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan error, len(jobs))
	for _, j := range jobs {
		go func() { done <- j.Run(run) }()
	}
	write(ctx, t, r)
	got, order := tl.waitRows(ctx, t, want)
	if diff := order + cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-engine +topics)\n%.4000s", diff)
	}
	if diff := tl.ledgerDiff(ctx, t); diff != "" {
		t.Errorf("%.4000s", diff)
	}
	stop()
	for range jobs {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if chain {
		tl.account(ctx, t)
		written, handed := total(t, reg, "tidemark_records_written_total"), total(t, reg, "tidemark_records_handed_total")
		if over == nil && handed != 0 || over != nil && handed < written/4 { // the first ones are there before somebody reads
			t.Errorf("%v of %v records were handed over", handed, written)
		}
	}
}

// total is the sum of a metric.
func total(t *testing.T, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// createTopics makes topics, and returns when the brokers know them: a real one may take seconds.
func createTopics(t *testing.T, addr string, partitions int32, names ...string) {
	t.Helper()
	adm := kadm.NewClient(newClient(t, addr))
	resps, err := adm.CreateTopics(t.Context(), partitions, -1, nil, names...)
	if err == nil {
		err = resps.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 600 {
		var there kadm.TopicDetails
		if there, err = adm.ListTopics(t.Context(), names...); err == nil {
			err = there.Error()
		}
		if err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal(err)
}

// account checks I3 of each partition from its topics alone: what the last watermark record
// says was read is what is in the raw topic, and balances.
func (tl *topicLog) account(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, in := range tl.inputs() {
		if in == "processed.rest" {
			continue
		}
		var read, applied, late, dead [testPartitions]uint64
		for _, r := range readCommitted(ctx, t, tl.addr, map[string]bool{rawTopic(in): true}) {
			read[r.Partition]++
		}
		for _, r := range readCommitted(ctx, t, tl.addr, map[string]bool{"late." + strings.TrimPrefix(in, "processed."): true}) {
			late[r.Partition]++
		}
		for _, r := range readCommitted(ctx, t, tl.addr, map[string]bool{"dlq." + strings.TrimPrefix(in, "processed."): true}) {
			dead[r.Partition]++
		}
		var last [testPartitions]sequence.Counts
		for _, r := range readCommitted(ctx, t, tl.addr, map[string]bool{in: true}) {
			if record.Header(r, record.HeaderOf) == nil {
				applied[r.Partition]++
			} else if _, c, err := record.ReadMark(r, tl.plan.Kinds()); err != nil {
				t.Error(err)
			} else {
				last[r.Partition] = c
			}
		}
		for p, c := range last {
			if c.In != c.Applied+c.Late+c.Duplicate+c.DLQ+c.Filtered+c.Pending {
				t.Errorf("%s/%d: %+v does not balance", in, p, c)
			}
			if uint64(c.In) != read[p] || uint64(c.Late) != late[p] || uint64(c.DLQ) != dead[p] || uint64(c.Applied) > applied[p] {
				t.Errorf("%s/%d: read %d, late %d, dead %d, applied %d; account %+v", in, p, read[p], late[p], dead[p], applied[p], c)
			}
		}
	}
}
