package tail_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/parity"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream/broker"
	"github.com/pinova-group/tidemark/stream/record"
	"github.com/pinova-group/tidemark/stream/tail"
)

const noon = 1762776000000000 // 2025-11-10T12:00:00Z

type fixture struct {
	t     *testing.T
	opts  []kgo.Opt
	cl    *kgo.Client
	feeds *market.Feeds
	insts *market.Instruments
	enc   *record.EventEncoder
	env   tail.Env
	out   *features.Output
}

func start(t *testing.T, topics ...string) *fixture {
	t.Helper()
	b, err := broker.Start(t.TempDir(), broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	f := &fixture{t: t, opts: []kgo.Opt{kgo.SeedBrokers(b.Addr())}, feeds: market.NewFeeds(), insts: market.NewInstruments()}
	if f.cl, err = kgo.NewClient(append(f.opts, kgo.TransactionalID("x"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.cl.Close)
	if r, err := kadm.NewClient(f.cl).CreateTopics(t.Context(), 2, 1, nil, topics...); err != nil || r.Error() != nil {
		t.Fatal(err, r.Error())
	}
	schemas, err := record.NewSchemas(b.RegistryURL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f.enc = record.NewEventEncoder(schemas, f.feeds, f.insts)
	plan, _, err := run.Compile([]string{"trade_bars_1m"}, nil, f.feeds)
	if err != nil {
		t.Fatal(err)
	}
	f.out = &plan.Outputs()[0]
	if f.env.Schemas, err = record.NewSchemas(b.RegistryURL(), nil); err != nil {
		t.Fatal(err)
	}
	f.env.Options, f.env.Feeds, f.env.Outputs = f.opts, market.NewFeeds(), plan.Outputs()
	return f
}

// write writes records in a transaction.
func (f *fixture) write(end kgo.TransactionEndTry, recs ...*kgo.Record) {
	f.t.Helper()
	if err := f.cl.BeginTransaction(); err != nil {
		f.t.Fatal(err)
	}
	if err := f.cl.ProduceSync(f.t.Context(), recs...).FirstErr(); err != nil {
		f.t.Fatal(err)
	}
	if err := f.cl.EndTransaction(f.t.Context(), end); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) value(k market.Kind, ts int64) []byte {
	f.t.Helper()
	b := market.NewBatch(k)
	b.AppendEnvelope(&market.Envelope{Feed: f.feeds.Intern("kraken-spot"), Inst: f.insts.Intern("kraken", market.Spot, "BTC-USDT"), EventTS: ts, IngestTS: market.NoTime})
	if k == market.KindTrade {
		b.Cols[market.TradeVenueID].AppendText([]byte("7"))
		b.Cols[market.TradeSide].AppendInt(market.SideBuy)
		b.Cols[market.TradePrice].AppendDec(1005, 1)
		b.Cols[market.TradeQuantity].AppendDec(2, 0)
		b.Cols[market.TradePrints].AppendInt(1)
	}
	v, err := f.enc.AppendEvent(f.t.Context(), nil, b, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	return v
}

func (f *fixture) tail(cfg tail.Config) (lines []string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer cancel()
	err := tail.Tail(ctx, cfg, f.env, func(l *tail.Line) error {
		text, err := json.Marshal(l)
		lines = append(lines, string(text)+"\n"+l.Text())
		return err
	})
	if err != nil || ctx.Err() != nil {
		f.t.Fatal(err, ctx.Err())
	}
	return lines
}

func contains(t *testing.T, line string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(line, w) {
			t.Errorf("no %s in %s", w, line)
		}
	}
}

func TestTail_Processed(t *testing.T) {
	const name = "processed.spot.trade.kraken"
	f := start(t, name)
	rec := func(k market.Kind, ts int64) *kgo.Record {
		return &kgo.Record{Topic: name, Partition: 1, Timestamp: time.UnixMicro(ts), Key: []byte("BTC-USDT"), Value: f.value(k, ts)}
	}
	mark := rec(market.KindWatermark, noon+2)
	record.AddMark(mark, nil, market.KindTrade, &sequence.Counts{In: 3, Applied: 2, Late: 1})
	f.write(kgo.TryCommit, rec(market.KindTrade, noon))
	f.write(kgo.TryAbort, rec(market.KindTrade, noon+1))
	f.write(kgo.TryCommit, mark, &kgo.Record{Topic: name, Partition: 1, Value: []byte{1, 2}})
	f.write(kgo.TryAbort, rec(market.KindTrade, noon+3))
	lines := f.tail(tail.Config{Topic: name, Partition: -1, From: tail.Earliest})
	if len(lines) != 3 {
		t.Fatalf("%d lines: %s", len(lines), lines)
	}
	contains(t, lines[0], `"partition":1,"offset":0,"time":"2025-11-10T12:00:00Z","key":"BTC-USDT","event":{"kind":"trade"`, `"price":"100.5"`, "1:0      2025-11-10T12:00:00Z  BTC-USDT")
	contains(t, lines[1], `"of":"trade","account":{"in":3,"applied":2,"late":1,`, "trade is complete; in 3, applied 2")
	contains(t, lines[2], `"payload":"\u0001\u0002"`, `"error":`, "cannot be read")
	if got := f.tail(tail.Config{Topic: name, Partition: 0, From: tail.Earliest}); len(got) != 0 {
		t.Errorf("partition 0 has %s", got)
	}
}

func TestTail_LateDeadAndRaw(t *testing.T) {
	f := start(t, "late.spot.trade.kraken", "dlq.spot.trade.kraken", "raw.spot.trade.kraken")
	late := &kgo.Record{Topic: "late.spot.trade.kraken", Value: f.value(market.KindTrade, noon)}
	record.AddLate(late, noon+5_000_000, 5_000_001)
	dead := &kgo.Record{Topic: "dlq.spot.trade.kraken", Value: []byte(`{"what":`)}
	record.AddDeadLetter(dead, &record.DeadLetter{Reason: "bad_json", Detail: "ends early", Topic: "raw.spot.trade.kraken", Partition: 1, Offset: 99, Count: 1})
	raw := &kgo.Record{Topic: "raw.spot.trade.kraken", Value: []byte(`{"e":"trade"}`)}
	record.AddHeader(raw, record.HeaderFormat, []byte("binance"))
	record.AddHeader(raw, record.HeaderFeed, []byte("binance-spot"))
	f.write(kgo.TryCommit, late, dead, raw)
	contains(t, f.tail(tail.Config{Topic: late.Topic, Partition: -1, From: tail.Earliest})[0], `"late":{"watermark":"2025-11-10T12:00:05Z","missed_us":5000001}`, "[missed 2025-11-10T12:00:05Z by 5000001us]")
	contains(t, f.tail(tail.Config{Topic: dead.Topic, Partition: -1, From: tail.Earliest})[0], `"payload":"{\"what\":"`, `"reason":"bad_json"`, "[bad_json: ends early; raw.spot.trade.kraken/1:99]")
	contains(t, f.tail(tail.Config{Topic: raw.Topic, Partition: -1, From: tail.Earliest})[0], `"payload":"{\"e\":\"trade\"}","format":"binance","feed":"binance-spot"`)
}

func TestTail_Rows(t *testing.T) {
	const name = "feature.trade_bars_1m.v1"
	f := start(t, name, "feature.other.v1")
	schemas := f.env.Schemas
	id, err := schemas.View(t.Context(), f.out)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := record.NewRowEncoder(id, f.out)
	if err != nil {
		t.Fatal(err)
	}
	rows := &features.ViewRows{Features: make([]features.OutCol, len(f.out.Fields)), Entity: []uint32{0}, Start: []int64{noon}, End: []int64{noon + market.Minute}, RowTS: []int64{noon + market.Minute - 1}, Avail: []int64{noon + market.Minute}, Flags: []uint8{0}}
	for k := range rows.Features {
		c := &rows.Features[k]
		c.F64, c.I64, c.Hi, c.Lo, c.Bytes, c.Off, c.Null = []float64{1.5}, []int64{3}, []int64{0}, []uint64{15}, []byte("a"), []int32{0, 1}, []uint64{uint64(k & 1)}
	}
	names := []string{"kraken", "spot", "BTC-USDT"}[:len(f.out.Entity)]
	f.write(kgo.TryCommit, &kgo.Record{Topic: name, Value: enc.Append(nil, rows, 0, names)}, &kgo.Record{Topic: name, Value: f.value(market.KindTrade, noon)})
	lines := f.tail(tail.Config{Topic: name, Partition: -1, From: tail.Earliest})
	if len(lines) != 2 {
		t.Fatal(lines)
	}
	contains(t, lines[0], `"row":{`, f.out.Entity[0]+`":"kraken"`, `"window_start":`, `"`+f.out.Fields[0].Name+`":`)
	contains(t, lines[1], `"error":"it is tidemark.v1.Trade"`)
	err = tail.Tail(t.Context(), tail.Config{Topic: "feature.other.v1", Partition: -1}, f.env, nil)
	if fault.From(err).Code != "view_unknown" {
		t.Error(err)
	}
}

// Limit and times bound what is read, follow waits.
func TestTail_Bounds(t *testing.T) {
	const name = "raw.spot.trade.kraken"
	f := start(t, name)
	for i := range int64(10) {
		f.write(kgo.TryCommit, &kgo.Record{Topic: name, Timestamp: time.UnixMicro(noon + i*market.Second), Value: []byte{'0' + byte(i)}})
	}
	for _, c := range []struct {
		cfg  tail.Config
		want int
	}{
		{tail.Config{From: tail.Earliest}, 10}, {tail.Config{From: tail.Earliest, Limit: 4}, 4}, {tail.Config{From: noon + 7*market.Second}, 3},
		{tail.Config{From: noon + market.Hour}, 0}, {tail.Config{From: tail.End}, 0}, {tail.Config{From: tail.Earliest, Limit: 10, Follow: true}, 10},
	} {
		c.cfg.Topic, c.cfg.Partition = name, -1
		if got := f.tail(c.cfg); len(got) != c.want {
			t.Errorf("%+v: %d lines", c.cfg, len(got))
		}
	}
	var wrote sync.WaitGroup
	defer wrote.Wait() // the record may be read before its writer knows that it is there
	wrote.Go(func() {
		time.Sleep(300 * time.Millisecond)
		f.write(kgo.TryCommit, &kgo.Record{Topic: name, Value: []byte("new")})
	})
	if got := f.tail(tail.Config{Topic: name, Partition: -1, From: tail.End, Follow: true, Limit: 1}); len(got) != 1 || !strings.Contains(got[0], "new") {
		t.Error(got)
	}
}

// Told to end between two records, it ends as it does while it waits.
func TestTail_ToldToEnd(t *testing.T) {
	const name = "raw.spot.trade.kraken"
	f := start(t, name)
	for i := range int64(10) {
		f.write(kgo.TryCommit, &kgo.Record{Topic: name, Timestamp: time.UnixMicro(noon + i*market.Second), Value: []byte{'0' + byte(i)}})
	}
	ctx, cancel := context.WithCancel(t.Context())
	lines := 0
	err := tail.Tail(ctx, tail.Config{Topic: name, Partition: -1, From: tail.Earliest, Follow: true}, f.env, func(*tail.Line) error {
		lines++
		cancel()
		return nil
	})
	if err != nil || lines != 1 {
		t.Errorf("%v after %d lines", err, lines)
	}
}

func TestTail_Ledger(t *testing.T) {
	const name = "ledger.features"
	f := start(t, name)
	d := parity.Delta{Job: "features", Views: []parity.ViewCells{{View: parity.View{Name: "bars", Version: 2}}}}
	var cells parity.Cells
	cells.At(noon + 1).Add(parity.Hash{1, 15: 0xff})
	d.Views[0].Cells = cells.List
	id, err := f.env.Schemas.Ledger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.write(kgo.TryCommit, &kgo.Record{Topic: name, Value: record.AppendLedger(nil, id, &d)}, &kgo.Record{Topic: name, Value: []byte{1, 2}})
	lines := f.tail(tail.Config{Topic: name, Partition: -1, From: tail.Earliest})
	if len(lines) != 2 {
		t.Fatalf("%d lines: %s", len(lines), lines)
	}
	contains(t, lines[0], `"ledger":[{"view":"bars.v2","hour":"2025-11-10T12:00:00Z","rows":1,"sum":"010000000000000000000000000000ff"}]`,
		"bars.v2 2025-11-10T12:00:00Z: 1 rows, sum 0100")
	contains(t, lines[1], "cannot be read", `"payload":"`)
}
