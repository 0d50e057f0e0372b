package sink_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/exkafka"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream/broker"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/sink"
)

const (
	partitions = 3
	viewName   = "trade_bars_1s"
)

// start is the first instant of the tests' events.
var start = time.Date(2026, 3, 1, 9, 59, 30, 0, time.UTC).UnixMicro()

// world is topics that are written in transactions, some of which are aborted, and what must be in the tables.
type world struct {
	t                        *testing.T
	addr, registry, exchange string
	schemas                  *record.Schemas
	feeds                    *market.Feeds
	insts                    *market.Instruments
	outputs                  []features.Output
	adm                      *kadm.Client
	producer                 *kgo.Client
	enc                      *record.EventEncoder
	rows                     *record.RowEncoder
	number                   uint32 // of its schema
	r                        *rand.Rand
	seq                      uint64
	clock                    int64 // event time

	mu   sync.Mutex
	want map[string]map[string]int // table → key → how often
}

type servers struct{ addr, registry string }

func embedded(t *testing.T) servers {
	t.Helper()
	b, err := broker.Start(t.TempDir(), broker.Options{Warn: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return servers{b.Addr(), b.RegistryURL()}
}

func realKafka(t *testing.T) servers {
	t.Helper()
	addr := exkafka.Addr(t)
	return servers{addr, embedded(t).registry}
}

func newWorld(t *testing.T, s servers, seed uint64) *world {
	t.Helper()
	id := "x" + strconv.FormatInt(time.Now().UnixNano(), 36)
	w := &world{
		t: t, addr: s.addr, registry: s.registry, exchange: id, feeds: market.NewFeeds(), insts: market.NewInstruments(), r: newRand(seed),
		clock: start, want: map[string]map[string]int{},
	}
	w.outputs = outputs(t)
	var err error
	if w.schemas, err = record.NewSchemas(s.registry, nil); err != nil {
		t.Fatal(err)
	}
	w.enc = record.NewEventEncoder(w.schemas, w.feeds, w.insts)
	w.number, err = w.schemas.View(t.Context(), &w.outputs[0])
	if err == nil {
		w.rows, err = record.NewRowEncoder(w.number, &w.outputs[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	w.producer = w.client(kgo.TransactionalID(id), kgo.ProducerLinger(0))
	w.adm = kadm.NewClient(w.client())
	if addr := os.Getenv("TIDEMARK_TEST_KAFKA"); addr == s.addr {
		w.remove(w.bars()) // the others have names of their own
	}
	w.create(w.topics()...)
	return w
}

func outputs(t testing.TB) []features.Output {
	plan, _, err := run.Compile([]string{viewName}, nil, market.NewFeeds())
	if err != nil {
		t.Fatal(err)
	}
	return plan.Outputs()
}

func (w *world) client(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(w.addr, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(-1)}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(cl.Close)
	return cl
}

func (w *world) create(topics ...string) {
	w.t.Helper()
	resps, err := w.adm.CreateTopics(context.Background(), partitions, -1, map[string]*string{"retention.ms": new("-1")}, topics...)
	if err == nil {
		err = resps.Error()
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// remove deletes a topic and waits until it is gone.
func (w *world) remove(topic string) {
	w.t.Helper()
	for range 100 {
		list, err := w.adm.ListTopics(context.Background())
		if err != nil {
			w.t.Fatal(err)
		}
		if !list.Has(topic) {
			return
		}
		if _, err := w.adm.DeleteTopics(context.Background(), topic); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatal("topic " + topic + " does not go")
}

func (w *world) trades() string { return "processed.spot.trade." + w.exchange }
func (w *world) quotes() string { return "processed.spot.quote." + w.exchange }
func (w *world) late() string   { return "late.spot.trade." + w.exchange }
func (w *world) bars() string   { return "feature." + viewName + ".v1" }

func (w *world) topics() []string { return []string{w.trades(), w.quotes(), w.late(), w.bars()} }

// expect notes rows that must be in a table once.
func (w *world) expect(table, key string) {
	if w.want[table] == nil {
		w.want[table] = map[string]int{}
	}
	w.want[table][key]++
}

// id is an identity that no other event has.
func (w *world) id() (id market.ID) {
	w.seq++
	binary.BigEndian.PutUint64(id[:], w.seq)
	copy(id[8:], w.exchange)
	return id
}

// event makes an event of a kind.
func (w *world) event(k market.Kind, id market.ID) *market.Batch {
	b := market.NewBatch(k)
	symbol := []string{"BTC-USDT", "ETH-USDT", "SOL-USDT"}[w.r.IntN(3)]
	b.AppendEnvelope(&market.Envelope{
		Feed: 16, Inst: w.insts.Intern(w.exchange, market.Spot, symbol), EventTS: w.clock + w.r.Int64N(market.Second), IngestTS: w.clock + market.Second,
		Seq: w.seq, HasSeq: true, RawBytes: 100, ID: id,
	})
	switch k {
	case market.KindTrade:
		b.Cols[market.TradeVenueID].AppendText(strconv.AppendUint(nil, w.seq, 10))
		b.Cols[market.TradeSide].AppendInt(1 + w.r.Int64N(2))
		b.Cols[market.TradePrice].AppendDec(5_000_000+w.r.Int64N(1000), 2)
		b.Cols[market.TradeQuantity].AppendDec(1+w.r.Int64N(1e6), 5)
		b.Cols[market.TradePrints].AppendInt(1)
	default:
		for i, f := range market.Schema(k) {
			c := &b.Cols[i]
			switch f.Type {
			case market.TypeDec:
				c.AppendDec(1+w.r.Int64N(1000), 2)
			case market.TypeText:
				c.AppendText([]byte("x"))
			case market.TypeEnum, market.TypeInt, market.TypeBool, market.TypeTime, market.TypeDur:
				c.AppendInt(1)
			default:
				w.t.Fatalf("column %s of %s", f.Name, k)
			}
		}
	}
	return b
}

func (w *world) record(topic string, partition int32, b *market.Batch) *kgo.Record {
	value, err := w.enc.AppendEvent(context.Background(), nil, b, 0)
	if err != nil {
		w.t.Error(err)
	}
	return &kgo.Record{Topic: topic, Partition: partition, Value: value, Timestamp: time.UnixMicro(b.EventTS[0])}
}

// step writes a transaction: events and rows of all topics, and marks. An aborted one leaves nothing.
func (w *world) step(ctx context.Context, events int) {
	w.t.Helper()
	w.clock += w.r.Int64N(3 * market.Second)
	abort := w.r.IntN(4) == 0
	type row struct{ table, key string }
	var recs []*kgo.Record
	var rows []row
	for range 1 + w.r.IntN(events) {
		p := w.r.Int32N(partitions)
		id := w.id()
		key := hex.EncodeToString(id[:])
		switch w.r.IntN(10) {
		case 0:
			recs, rows = append(recs, w.record(w.late(), p, w.event(market.KindTrade, id))), append(rows, row{"processed.trade", key + " late"})
		case 1, 2:
			recs, rows = append(recs, w.record(w.quotes(), p, w.event(market.KindQuote, id))), append(rows, row{"processed.quote", key})
		case 3: // said to several partitions
			b := w.event(market.KindStatus, id)
			for range 1 + w.r.IntN(3) {
				recs = append(recs, w.record([]string{w.trades(), w.quotes()}[w.r.IntN(2)], w.r.Int32N(partitions), b))
			}
			rows = append(rows, row{"processed.status", key})
		case 4:
			rec, key := w.bar(p)
			recs, rows = append(recs, rec), append(rows, row{"feature." + viewName + "_v1", key})
		default:
			recs, rows = append(recs, w.record(w.trades(), p, w.event(market.KindTrade, id))), append(rows, row{"processed.trade", key})
		}
	}
	for p := range int32(partitions) {
		for _, topic := range []string{w.trades(), w.quotes()} {
			recs = append(recs, w.marks(topic, p, w.clock)...)
		}
	}
	if err := w.producer.BeginTransaction(); err != nil {
		w.t.Error(err)
		return
	}
	if err := w.producer.ProduceSync(ctx, recs...).FirstErr(); err != nil {
		w.t.Error(err)
	}
	end := kgo.TryCommit
	if abort {
		end = kgo.TryAbort
	}
	if err := w.producer.EndTransaction(ctx, end); err != nil {
		w.t.Error(err)
	}
	if abort {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range rows {
		w.expect(r.table, r.key)
	}
}

// marks say up to where a partition is complete.
func (w *world) marks(topic string, p int32, t int64) (recs []*kgo.Record) {
	kind := market.KindTrade
	if strings.Contains(topic, ".quote.") {
		kind = market.KindQuote
	}
	for _, of := range []market.Kind{kind, market.KindStatus} {
		value, err := w.enc.AppendWatermark(context.Background(), nil, 16, w.insts.Intern(w.exchange, market.Spot, "ALL"), t)
		if err != nil {
			w.t.Error(err)
		}
		r := &kgo.Record{Topic: topic, Partition: p, Value: value, Timestamp: time.UnixMicro(t)}
		record.AddMark(r, nil, of, &sequence.Counts{})
		recs = append(recs, r)
	}
	return recs
}

// bar is a row of the view.
func (w *world) bar(p int32) (*kgo.Record, string) {
	o := &w.outputs[0]
	ts := w.clock - market.Hour + int64(w.seq) // no other row's
	rows := features.ViewRows{
		Entity: []uint32{0}, Start: []int64{ts - market.Second + 1}, End: []int64{ts + 1}, RowTS: []int64{ts}, Avail: []int64{ts + 1}, Flags: []uint8{0},
		Features: make([]features.OutCol, len(o.Fields)),
	}
	for i, f := range o.Fields {
		c := &rows.Features[i]
		switch f.Type {
		case features.FieldF64:
			c.F64 = []float64{w.r.Float64()}
		case features.FieldI64, features.FieldBool:
			c.I64 = []int64{1}
		case features.FieldDecimal:
			c.Hi, c.Lo = []int64{0}, []uint64{w.r.Uint64N(1e6)}
		default:
			c.Bytes, c.Off = []byte("x"), []int32{0, 1}
		}
	}
	names := make([]string, len(o.Entity))
	for i := range names {
		names[i] = "n" + strconv.Itoa(i) + w.exchange
	}
	return &kgo.Record{Topic: w.bars(), Partition: p, Value: w.rows.Append(nil, &rows, 0, names), Timestamp: time.UnixMicro(ts)}, strconv.FormatInt(ts, 10)
}

// openLake opens a lake in a folder; store nil is the folder.
func openLake(t testing.TB, dir string, store objstore.Store) *lake.Lake {
	t.Helper()
	l, err := lake.Open(context.Background(), lake.Config{Dir: dir, Store: store, Now: time.Now, Build: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func (w *world) config(l *lake.Lake) sink.Config {
	schemas, err := record.NewSchemas(w.registry, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return sink.Config{
		Lake: l, Options: []kgo.Opt{kgo.SeedBrokers(strings.Split(w.addr, ",")...)}, Topics: w.topics(), Schemas: schemas, Feeds: market.NewFeeds(), Outputs: w.outputs, Now: time.Now,
		CommitEvery: 50 * time.Millisecond, UntilCaughtUp: true,
	}
}

// have is what is in the tables.
func have(t testing.TB, l *lake.Lake) map[string]map[string]int {
	t.Helper()
	out := map[string]map[string]int{}
	for table, cols := range map[string][]string{
		"processed.trade": {"event_id", "late"}, "processed.quote": {"event_id", "late"}, "processed.status": {"event_id", "late"}, "feature." + viewName + "_v1": {"row_ts"},
	} {
		tab, err := l.Load(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		sc, err := tab.Scan(t.Context(), lake.Query{Columns: cols})
		if err != nil {
			t.Fatal(err)
		}
		out[table] = map[string]int{}
		for {
			b, err := sc.Next()
			if err != nil {
				t.Fatal(err)
			}
			if b == nil {
				break
			}
			for i := range b.N {
				key := ""
				if len(cols) == 1 {
					key = strconv.FormatInt(b.Cols[0].I64[i], 10)
				} else {
					key = hex.EncodeToString(b.Cols[0].Text(i))
					if b.Cols[1].I32[i] != 0 {
						key += " late"
					}
				}
				out[table][key]++
			}
		}
		sc.Close()
	}
	return out
}

// differ counts what is lost, doubled and made up.
func (w *world) differ(t testing.TB, l *lake.Lake) string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	got := have(t, l)
	var lost, doubled, foreign, rows int
	for table, keys := range w.want {
		for k := range keys {
			rows++
			switch n := got[table][k]; {
			case n == 0:
				lost++
			case n > 1:
				doubled++
			}
		}
		for k := range got[table] {
			if keys[k] == 0 {
				foreign++
			}
		}
	}
	if rows == 0 {
		t.Error("no rows were written")
	}
	if lost+doubled+foreign == 0 {
		return ""
	}
	return fmt.Sprintf("of %d rows %d are lost, %d doubled, %d made up", rows, lost, doubled, foreign)
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
