package sink_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
	lakesink "github.com/pinova-group/tidemark/lake/sink"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/sink"
)

func TestSink_EachRecordOnce(t *testing.T) {
	for name, start := range map[string]func(*testing.T) servers{"embedded": embedded, "kafka": realKafka} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, start(t), 1)
			l := openLake(t, t.TempDir(), nil)
			for range 5 {
				for range 10 {
					w.step(t.Context(), 50)
				}
				if err := sink.New(w.config(l)).Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				if d := w.differ(t, l); d != "" {
					t.Fatal(d)
				}
			}
			tab, err := l.Load(t.Context(), "processed.trade")
			if err != nil {
				t.Fatal(err)
			}
			base, err := tab.Base()
			if err != nil {
				t.Fatal(err)
			}
			if base.ValidThrough == 0 || base.ValidThrough > w.clock || len(base.Offsets) != 2*partitions {
				t.Errorf("valid through %s, the last mark is %s; offsets %+v", market.FormatTime(base.ValidThrough), market.FormatTime(w.clock), base.Offsets)
			}
		})
	}
}

// New tables may be partitioned by symbol: each record is there once all the same.
func TestSink_TablesBySymbol(t *testing.T) {
	for _, text := range []string{"each", "3"} {
		w := newWorld(t, embedded(t), 4)
		l := openLake(t, t.TempDir(), nil)
		by, err := lake.BySymbol(text)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			for range 5 {
				w.step(t.Context(), 50)
			}
			cfg := w.config(l)
			cfg.BySymbol = by
			if err := sink.New(cfg).Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if d := w.differ(t, l); d != "" {
				t.Fatal(d)
			}
		}
		for _, name := range []string{"processed.trade", "processed.quote", "feature." + viewName + "_v1"} {
			tab, err := l.Load(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if got := tab.PartitionBy(); got[len(got)-1] != by[0] {
				t.Errorf("%s by %s: partition %v", name, text, got)
			}
		}
	}
}

// Of two sinks the newer goes on. The older ends, and rows are there once.
func TestSink_OlderEnds(t *testing.T) {
	w := newWorld(t, embedded(t), 2)
	l := openLake(t, t.TempDir(), nil)
	cfg := w.config(l)
	cfg.UntilCaughtUp = false
	ended := make(chan error, 1)
	older := sink.New(cfg)
	go func() { ended <- older.Run(t.Context()) }()
	for older.Status().State != sink.Running {
		time.Sleep(10 * time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	newer, done := sink.New(cfg), make(chan error, 1)
	for n := range 40 {
		w.step(ctx, 20)
		if n == 20 {
			go func() { done <- newer.Run(ctx) }()
		}
		time.Sleep(10 * time.Millisecond)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, sink.ErrTaken) {
			t.Errorf("the older ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the older does not end")
	}
	deadline := time.Now().Add(20 * time.Second)
	for w.differ(t, l) != "" && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if d := w.differ(t, l); d != "" {
		t.Error(d)
	}
}

// What a sink has read is committed when it is told to end.
func TestSink_ToldToEnd(t *testing.T) {
	w := newWorld(t, embedded(t), 3)
	l := openLake(t, t.TempDir(), nil)
	cfg := w.config(l)
	cfg.UntilCaughtUp, cfg.CommitEvery = false, time.Hour
	for range 20 {
		w.step(t.Context(), 20)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, done := sink.New(cfg), make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		n := int64(0)
		for _, t := range s.Status().Tables {
			n += t.Waiting
		}
		if n > 100 && s.Status().Tables[0].Behind == 0 {
			break
		}
	}
	time.Sleep(300 * time.Millisecond)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if d := w.differ(t, l); d != "" {
		t.Error(d)
	}
	for _, st := range s.Status().Tables {
		if st.Commits != 1 || st.Waiting != 0 {
			t.Errorf("%+v", st)
		}
	}
}

// A store that fails every now and then, before and after its effect, in the middle of files and slowly, costs
// time and nothing else.
func TestSink_StoreThatFails(t *testing.T) {
	for seed := range uint64(2) {
		w := newWorld(t, embedded(t), 10+seed)
		r := rand.New(rand.NewPCG(seed, 3))
		var mu sync.Mutex
		var faults int
		store := &objstore.Faulty{Store: &objstore.Memory{}, Wait: 20 * time.Millisecond}
		store.Plan = func(int64, objstore.Op, string) objstore.Fault {
			mu.Lock()
			defer mu.Unlock()
			if r.IntN(120) != 0 {
				return objstore.None
			}
			faults++
			return []objstore.Fault{objstore.Before, objstore.After, objstore.Truncate, objstore.Delay}[r.IntN(4)]
		}
		dir := t.TempDir()
		cfg := w.config(openLake(t, dir, store))
		cfg.UntilCaughtUp = false
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- sink.New(cfg).Run(ctx) }()
		for range 40 {
			w.step(t.Context(), 20)
			time.Sleep(10 * time.Millisecond)
		}
		deadline := time.Now().Add(30 * time.Second)
		for time.Now().Before(deadline) && !w.allThere(t, openLake(t, dir, store.Store)) {
			time.Sleep(100 * time.Millisecond)
		}
		cancel()
		if err := <-done; err != nil {
			t.Log(err) // the last commit may have met a fault
		}
		if d := w.differ(t, openLake(t, dir, store.Store)); d != "" {
			t.Errorf("seed %d, %d faults: %s", seed, faults, d)
		}
		if faults < 10 {
			t.Errorf("only %d faults", faults)
		}
	}
}

// Offsets that mean nothing, or other records, are refused with what helps; what is let pass is noted.
func TestSink_OffsetsThatMeanOtherRecords(t *testing.T) {
	w := newWorld(t, embedded(t), 4)
	l := openLake(t, t.TempDir(), nil)
	write := func() {
		for range 5 {
			w.step(t.Context(), 40)
		}
	}
	fails := func(code, text string) {
		t.Helper()
		err := sink.New(w.config(l)).Run(t.Context())
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Code != code || !strings.Contains(err.Error()+f.Remedy+f.Why, text) {
			t.Errorf("got %v, not %s with %s", err, code, text)
		}
	}
	write()
	if err := sink.New(w.config(l)).Run(t.Context()); err != nil {
		t.Fatal(err)
	}

	// Retention has deleted records that were not read.
	offsets := func() map[int32]int64 {
		ends, err := w.adm.ListEndOffsets(t.Context(), w.quotes())
		if err != nil {
			t.Fatal(err)
		}
		at := map[int32]int64{}
		for p, o := range ends[w.quotes()] {
			at[p] = o.Offset
		}
		return at
	}
	before := offsets()
	write()
	var del kadm.Offsets
	del.Add(kadm.Offset{Topic: w.quotes(), Partition: 1, At: before[1] + 3})
	if _, err := w.adm.DeleteRecords(t.Context(), del); err != nil {
		t.Fatal(err)
	}
	fails("offsets_lost", fmt.Sprintf("%s/1 offsets %d to %d", w.quotes(), before[1], before[1]+2))
	cfg := w.config(l)
	cfg.SkipLost = true
	s := sink.New(cfg)
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	tab, err := l.Load(t.Context(), "processed.quote")
	if err != nil {
		t.Fatal(err)
	}
	snaps, err := tab.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	noted := fmt.Sprintf(`{"lost":[{"topic":%q,"partition":1,"from":%d,"to":%d}]}`, w.quotes(), before[1], before[1]+3)
	if !slices.ContainsFunc(snaps, func(s lake.Snapshot) bool { return s.Summary["tidemark.inputs"] == noted }) {
		t.Errorf("no snapshot says %s", noted)
	}
	for _, st := range s.Status().Tables {
		if want := map[string]int64{"processed.quote": 3, "processed.status": 3}[st.Table]; st.Lost != want {
			t.Errorf("%s: %d are lost, not %d", st.Table, st.Lost, want)
		}
	}

	// A topic is deleted and made anew: its offsets are other records.
	w.remove(w.quotes())
	w.create(w.quotes())
	w.producer = w.client(kgo.TransactionalID(w.exchange), kgo.ProducerLinger(0))
	fails("topic_replaced", "--accept "+w.quotes())
	cfg = w.config(l)
	cfg.Accept = []string{w.quotes()}
	w.want = map[string]map[string]int{}
	write()
	if err := sink.New(cfg).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := have(t, l)
	for table, keys := range w.want {
		for key := range keys {
			if got[table][key] != 1 {
				t.Errorf("%s %s is there %d times", table, key, got[table][key])
			}
		}
	}

	// The same names on another cluster.
	other := newWorld(t, embedded(t), 5)
	other.exchange = w.exchange
	other.create(other.trades(), other.quotes(), other.late())
	cfg = other.config(l)
	if err := sink.New(cfg).Run(t.Context()); err == nil {
		t.Error("topics that have nothing of what the table has were read")
	}

	// A topic that is not there.
	cfg = w.config(l)
	cfg.Topics = append(cfg.Topics, "processed.perp.trade.nobody")
	if err := sink.New(cfg).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "processed.perp.trade.nobody") {
		t.Errorf("a topic that is not there: %v", err)
	}
}

// A record that cannot be read is left out; the commit that passes it says where it is.
func TestSink_RecordThatCannotBeRead(t *testing.T) {
	w := newWorld(t, embedded(t), 6)
	l := openLake(t, t.TempDir(), nil)
	for range 4 {
		w.step(t.Context(), 20)
	}
	bad := &kgo.Record{Topic: w.trades(), Partition: 2, Value: []byte("no event"), Timestamp: time.UnixMicro(start)}
	if err := w.client().ProduceSync(t.Context(), bad).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.step(t.Context(), 20)
	for range 2 {
		if err := sink.New(w.config(l)).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if d := w.differ(t, l); d != "" {
		t.Error(d)
	}
	tab, err := l.Load(t.Context(), "processed.trade")
	if err != nil {
		t.Fatal(err)
	}
	snaps, err := tab.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range snaps {
		if strings.Contains(s.Summary["tidemark.inputs"], fmt.Sprintf(`"partition":2,"offset":%d`, bad.Offset)) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d snapshots name the record", n)
	}
}

// Events that were imported before are left out, also those that are imported while they are read.
func TestSink_ImportedEventsAreLeftOut(t *testing.T) {
	w := newWorld(t, embedded(t), 7)
	l := openLake(t, t.TempDir(), nil)
	cfg := w.config(l)
	imports := func(n int) (b *market.Batch, recs []*kgo.Record) {
		b = market.NewBatch(market.KindTrade)
		for range n {
			id := w.id()
			one := w.event(market.KindTrade, id)
			one.TS[0] = one.EventTS[0]
			b.AppendRows(one, 0, 1)
			recs = append(recs, w.record(w.trades(), w.r.Int32N(partitions), one))
			w.expect("processed.trade", hex.EncodeToString(id[:]))
		}
		return b, recs
	}
	add := func(b *market.Batch) {
		for range 20 { // the sink may be faster
			s := lakesink.NewEvents(l, w.insts, w.feeds, lakesink.Config{})
			err := s.Add(t.Context(), b)
			if err == nil {
				err = s.Commit(t.Context(), nil)
			}
			if err == nil {
				return
			}
			if !errors.Is(err, lakesink.ErrRaced) {
				t.Fatal(err)
			}
		}
		t.Fatal("the import is never done")
	}
	before, recs := imports(50)
	add(before)
	w.step(t.Context(), 30)
	cl := w.client()
	if err := cl.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	s := sink.New(cfg)
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := w.differ(t, l); d != "" {
		t.Error(d)
	}
	if st := s.Status().Tables[len(s.Status().Tables)-1]; st.Table != "processed.trade" || st.Known != 50 {
		t.Errorf("%+v", st)
	}

	// They come while the sink has read the same ones and not committed them.
	cfg.UntilCaughtUp, cfg.CommitEvery = false, time.Second
	s = sink.New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for range 5 {
		w.clock += market.Minute
		during, recs := imports(20)
		if err := cl.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		add(during)
	}
	time.Sleep(1500 * time.Millisecond)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := sink.New(w.config(l)).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := w.differ(t, l); d != "" {
		t.Error(d)
	}
}

// Rows that a publication has put into the table are left out, also those that are published while they are read.
func TestSink_PublishedRowsAreLeftOut(t *testing.T) {
	w := newWorld(t, embedded(t), 8)
	l := openLake(t, t.TempDir(), nil)
	name, o := "feature."+viewName+"_v1", &w.outputs[0]
	if _, err := run.OpenFeatureTable(t.Context(), l, o, "day"); err != nil {
		t.Fatal(err)
	}
	cl := w.client()
	dec := record.NewRowDecoder(w.number, o)
	rows := func(n int) (recs []*kgo.Record, publish func()) {
		var all features.ViewRows
		for range n {
			w.seq += uint64(market.Minute)
			rec, key := w.bar(w.r.Int32N(partitions))
			recs = append(recs, rec)
			w.expect(name, key)
			if err := dec.Decode(rec.Value, &all); err != nil {
				t.Fatal(err)
			}
		}
		lo, hi := slices.Min(all.RowTS), slices.Max(all.RowTS)+1
		return recs, func() {
			_, err := l.Publish(context.Background(), lake.Publication{ID: lake.NewCommitID(), At: 1, Views: []lake.Replacement{{Table: name, From: lo, To: hi, Rows: func(yield func(*file.Batch) error) error {
				return yield(run.NewFeatureRows(o).Pack(&all, dec.Names))
			}}}})
			if err != nil {
				t.Error(err)
			}
		}
	}
	send := func(recs []*kgo.Record) {
		t.Helper()
		if err := cl.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	check := func() {
		t.Helper()
		if d := w.differ(t, l); d != "" {
			t.Error(d)
		}
	}
	before, publish := rows(40)
	publish()
	for range 4 {
		w.step(t.Context(), 30)
	}
	send(before)
	s := sink.New(w.config(l))
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	check()
	if st := s.Status().Tables[0]; st.Table != name || st.Known != 40 {
		t.Errorf("%+v", st)
	}
	cfg := w.config(l)
	cfg.UntilCaughtUp, cfg.CommitEvery = false, time.Second
	s = sink.New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for range 5 {
		during, publish := rows(20)
		send(during)
		time.Sleep(300 * time.Millisecond)
		publish()
	}
	time.Sleep(1200 * time.Millisecond)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := sink.New(w.config(l)).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	check()
}

// Rows that wait are bounded: nothing is read while there are more, however slow the store is.
func TestSink_MemoryIsBounded(t *testing.T) {
	w := newWorld(t, embedded(t), 9)
	var recs []*kgo.Record
	for range 30_000 {
		id := w.id()
		recs = append(recs, w.record(w.trades(), w.r.Int32N(partitions), w.event(market.KindTrade, id)))
		w.expect("processed.trade", hex.EncodeToString(id[:]))
	}
	if err := w.client().ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	store := &objstore.Faulty{Store: &objstore.Memory{}, Wait: 100 * time.Millisecond}
	store.Plan = func(_ int64, op objstore.Op, uri string) objstore.Fault {
		if op == objstore.OpClose && strings.HasSuffix(uri, ".parquet") {
			return objstore.Delay
		}
		return objstore.None
	}
	l := openLake(t, t.TempDir(), store)
	cfg := w.config(l)
	cfg.CommitEvery, cfg.CommitRows, cfg.Memory, cfg.MaxPoll = time.Hour, 1<<30, 1<<20, 500
	s := sink.New(cfg)
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	most := int64(0)
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		case <-time.After(2 * time.Millisecond):
			most = max(most, s.Status().Buffered)
		}
	}
	if d := w.differ(t, l); d != "" {
		t.Error(d)
	}
	// All rows are about 5 MB, in chunks of some. A poll may come on top of the bound.
	if most > 3<<20 || most == 0 {
		t.Errorf("%d bytes waited", most)
	}
	for _, st := range s.Status().Tables {
		if st.Table == "processed.trade" && st.Commits < 3 {
			t.Errorf("%d commits", st.Commits)
		}
	}
}

// A sink that begins anew knows how far partitions are that nothing comes into any more: the last one that others waited
// for completes the table.
func TestSink_KnowsTheMarksOfBefore(t *testing.T) {
	w := newWorld(t, embedded(t), 11)
	l := openLake(t, t.TempDir(), nil)
	mark := func(p int32, at int64) {
		t.Helper()
		if err := w.producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, topic := range []string{w.trades(), w.quotes()} {
			if err := w.producer.ProduceSync(t.Context(), w.marks(topic, p, at)...).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.producer.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	through := func(want int64) {
		t.Helper()
		if err := sink.New(w.config(l)).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"processed.trade", "processed.quote", "processed.status"} {
			tab, err := l.Load(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			base, err := tab.Base()
			if err != nil {
				t.Fatal(err)
			}
			if base.ValidThrough != want {
				t.Errorf("%s is complete through %s, want %s", name, market.FormatTime(base.ValidThrough), market.FormatTime(want))
			}
		}
	}
	for p := range int32(partitions) {
		mark(p, start+int64(p)*market.Second)
	}
	through(start)
	mark(0, start+5*market.Second)
	through(start + market.Second)
	mark(1, start+5*market.Second)
	through(start + 2*market.Second)
	through(start + 2*market.Second)
}
