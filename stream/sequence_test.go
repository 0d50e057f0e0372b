package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
	"github.com/pinova-group/tidemark/market/canon"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream"
	"github.com/pinova-group/tidemark/stream/record"
)

// rawLog is one partition of a raw topic.
type rawLog struct {
	topic   string
	kind    market.Kind
	records []record.Raw
}

const rawPartition = 3

func sequenceConfig(t testing.TB, topic string) stream.SequenceConfig {
	t.Helper()
	schemas, err := record.NewSchemas("", nil)
	if err != nil {
		t.Fatal(err)
	}
	return stream.SequenceConfig{
		Topic: topic, Partition: rawPartition, Schemas: schemas,
		Sequencer: sequence.DefaultConfig(market.NewFeeds(), market.NewInstruments()),
	}
}

// generated is a log of a synthetic market with disorder, duplicates, late events and gaps.
func generated(t testing.TB, r *rand.Rand, k market.Kind, word string) *rawLog {
	t.Helper()
	cfg := gen.DefaultConfig()
	cfg.Seed, cfg.Events = r.Uint64(), 1200+r.Int64N(1200)
	cfg.Rate = []int64{5, 40, 400}[r.IntN(3)]
	cfg.Symbols, cfg.Venues = gen.Symbols(1+r.IntN(3)), cfg.Venues[:1]
	cfg.Duplicates, cfg.Late, cfg.Gaps = 10_000, 5_000, 10_000*r.IntN(2)
	cfg.SnapshotEvery, cfg.Depth, cfg.Heartbeat = 20*market.Second, 4+r.IntN(8), 0
	m, err := gen.New(cfg, market.NewFeeds(), market.NewInstruments())
	if err != nil {
		t.Fatal(err)
	}
	text, err := gen.NewText(m, gen.CanonicalJSONL)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	for {
		var line gen.Line
		ok, err := text.Next(&line)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		lines = append(lines, bytes.TrimSuffix(bytes.Clone(line.Text), []byte("\n")))
	}
	return cutLog(t, canon.Adapter, "canonical", lines, k, word)
}

// captured is a log of the lines of a real capture.
func captured(t testing.TB, a *adapters.Adapter, format, file string, k market.Kind, word string, most int) *rawLog {
	t.Helper()
	f, err := os.Open(exdata.Path(t, file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var in io.Reader
	if filepath.Ext(file) == ".gz" {
		if in, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	} else if in, err = zstd.NewReader(f); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(io.LimitReader(in, 16<<20))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(text, []byte("\n"))
	return cutLog(t, a, format, lines[:min(len(lines), most)], k, word)
}

// cutLog takes the lines that have events of a kind of one instrument, and those that have
// no events at all.
func cutLog(t testing.TB, a *adapters.Adapter, format string, lines [][]byte, k market.Kind, word string) *rawLog {
	t.Helper()
	env := adapters.Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments()}
	dec := a.New(env)
	l := &rawLog{kind: k}
	for i, line := range lines {
		var c market.Chunk
		_ = dec.Decode(&adapters.Record{Data: line, Ingest: market.NoTime, Offset: int64(i + 1)}, &c)
		raw := record.Raw{Value: line, Format: []byte(format), Conn: fmt.Appendf(nil, "C.%d", i%2)}
		if b := c.Batches[k]; b != nil && b.N > 0 {
			inst := env.Insts.Get(b.Inst[0])
			topic := fmt.Sprintf("raw.%s.%s.%s", inst.Venue, word, inst.Exchange)
			if l.topic == "" {
				l.topic = topic
			}
			if topic != l.topic || slices.ContainsFunc(b.Inst, func(x market.Inst) bool { return x != b.Inst[0] }) {
				continue
			}
			raw.Key = []byte(inst.Symbol)
		} else if c.Len() > 0 || i%16 != 0 {
			continue
		}
		if i%4 == 0 && format != "canonical" {
			raw.Ingest = []byte("1900000000000000")
		}
		l.records = append(l.records, raw)
	}
	if l.topic == "" || len(l.records) < 40 {
		t.Fatalf("%d records of %q", len(l.records), l.topic)
	}
	return l
}

// spoil puts into the log what logs have: copies, records that come late, garbage, heartbeats,
// news of the line. Then it numbers the records.
func (l *rawLog) spoil(t testing.TB, r *rand.Rand) {
	t.Helper()
	cfg := sequenceConfig(t, l.topic)
	enc := record.NewEventEncoder(cfg.Schemas, cfg.Sequencer.Feeds, cfg.Sequencer.Insts)
	task, err := stream.NewSequence(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var out []record.Raw
	events, seldom := r.IntN(2) == 0, 60
	if events {
		seldom = 600 // so that there are runs without
	}
	for i := range l.records {
		x := l.records[i]
		switch r.IntN(seldom) {
		case 0:
			x = l.records[r.IntN(i+1)] // once more
		case 1:
			if j := min(i+1+r.IntN(40), len(l.records)-1); j > i {
				l.records[i], l.records[j] = l.records[j], l.records[i]
				x = l.records[i]
			}
		case 2:
			x.Value = nil
		case 3:
			x.Format = []byte("nope")
		case 4:
			x.Key = []byte("NO-KEY")
		case 5:
			x.Value = x.Value[:r.IntN(len(x.Value)+1)]
		case 6:
			x.Ingest = []byte("soon")
		case 7:
			x.Value = []byte(`{"kind":"mark_price","feed":"kraken-spot","exchange":"kraken","market":"spot","symbol":"A-B","event_ts":1700000000000000,"mark_price":"1"}`)
			x.Format = []byte("canonical")
		case 8:
			x.Format, x.Value = []byte("event"), []byte{0, 0, 0, 0, 77, 0, 1, 2}
		case 9:
			x.Feed = []byte("no/name")
		case 10:
			x.Format, x.Value = []byte("auto"), []byte("?")
		case 11, 12:
			if t := l.timeOf(&x); t != 0 {
				b, err := task.AppendHeartbeat(context.Background(), nil, enc, []string{"", "kraken-spot", "sim-alpha", "bybit-linear"}[r.IntN(4)], t-r.Int64N(2*market.Second))
				if err == nil {
					x.Format, x.Value, x.Key = []byte("event"), b, nil
				}
			}
		case 13:
			if t := l.timeOf(&x); t != 0 {
				x.Value = fmt.Appendf(nil, `{"kind":"status","feed":%q,"exchange":"x","market":"spot","symbol":"ALL","event_ts":%d,"state":%q}`,
					[]string{"kraken-spot", "sim-alpha", "late-feed"}[r.IntN(3)], t-r.Int64N(market.Second), []string{"down", "up", "idle"}[r.IntN(3)])
				x.Format, x.Key = []byte("canonical"), nil
			}
		}
		out = append(out, x)
	}
	if events {
		asEvents(t, out, cfg, enc)
	}
	offset := int64(r.IntN(3))
	for i := range out {
		out[i].Offset = offset
		offset += 1 + int64(r.IntN(8)/7)
	}
	l.records = out
}

// asEvents writes canonical records of one event each as messages.
func asEvents(t testing.TB, records []record.Raw, cfg stream.SequenceConfig, enc *record.EventEncoder) {
	t.Helper()
	dec := canon.Adapter.New(adapters.Env{Feeds: cfg.Sequencer.Feeds, Insts: cfg.Sequencer.Insts})
	for i := range records {
		x := &records[i]
		var c market.Chunk
		if string(x.Format) != "canonical" || dec.Decode(&adapters.Record{Data: x.Value, Ingest: market.NoTime, Offset: int64(i + 1)}, &c) != nil || c.Len() != 1 {
			continue
		}
		for _, b := range c.Batches {
			if b == nil || b.N == 0 {
				continue
			}
			value, err := enc.AppendEvent(t.Context(), nil, b, 0)
			if err != nil {
				t.Fatal(err)
			}
			x.Format, x.Value, x.Time = []byte(stream.FormatEvent), value, b.EventTS[0]
		}
	}
}

// timeOf is the event time in a canonical record, 0 in others.
func (l *rawLog) timeOf(x *record.Raw) int64 {
	_, rest, _ := bytes.Cut(x.Value, []byte(`"event_ts":`))
	n := 0
	for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	v, _ := strconv.ParseInt(string(rest[:n]), 10, 64)
	return v
}

// outputs are what tasks gave, as the records that would be written.
type outputs struct {
	rows, late [market.NumKinds][]string
	letters    []string
	dlq        int64
}

func (o *outputs) take(t testing.TB, cfg *stream.SequenceConfig, enc *record.EventEncoder, s *stream.Sequenced) {
	t.Helper()
	encode := func(b *market.Batch, i int) string {
		v, err := enc.AppendEvent(context.Background(), nil, b, i)
		if err != nil {
			t.Fatal(err)
		}
		return string(v)
	}
	for k := range s.Rows.Batches {
		if b := s.Rows.Batches[k]; b != nil {
			for i := range b.N {
				o.rows[k] = append(o.rows[k], encode(b, i))
			}
		}
		if b := s.Late.Batches[k]; b != nil {
			for i := range b.N {
				o.late[k] = append(o.late[k], fmt.Sprint(encode(b, i), s.Missed[k][i], s.Missed[k][i]-b.EventTS[i]))
			}
		}
	}
	for i := range s.Letters {
		l := &s.Letters[i]
		o.letters = append(o.letters, fmt.Sprintf("%+v %q %q", l.DeadLetter, l.Key, l.Value))
		o.dlq += int64(l.Count)
	}
	if !s.Account.Balanced() || s.Account.Pending < 0 {
		t.Fatalf("account does not balance: %+v", s.Account)
	}
	late := 0
	for k := range o.late {
		late += len(o.late[k])
	}
	if s.Account.DLQ != o.dlq || s.Account.Late != int64(late) {
		t.Fatalf("account %+v, but %d dead and %d late", s.Account, o.dlq, late)
	}
}

// state is what a step says of the offset that it reached.
type state struct {
	marks   [market.NumKinds]int64
	account sequence.Counts
}

// reference is the log taken one record a step, by one task.
func reference(t testing.TB, l *rawLog) (outputs, map[int64]state) {
	t.Helper()
	cfg := sequenceConfig(t, l.topic)
	task, err := stream.NewSequence(cfg)
	if err != nil {
		t.Fatal(err)
	}
	enc := record.NewEventEncoder(cfg.Schemas, cfg.Sequencer.Feeds, cfg.Sequencer.Insts)
	var o outputs
	var out stream.Sequenced
	states := map[int64]state{}
	for i := range l.records {
		if err := task.Add(context.Background(), l.records[i]); err != nil {
			t.Fatal(err)
		}
		if err := task.Step(&out); err != nil {
			t.Fatal(err)
		}
		o.take(t, &cfg, enc, &out)
		states[out.Next] = state{out.Marks, out.Account}
	}
	return o, states
}

// Batches, kills and restarts from older snapshots, with what was written before dropped,
// change nothing in what is written.
func TestSequence_KillsAndBatchesChangeNothing(t *testing.T) {
	for seed := range uint64(24) {
		r := rand.New(rand.NewPCG(seed, 9))
		l := someLog(t, r, int(seed))
		l.spoil(t, r)
		want, states := reference(t, l)
		got := killed(t, r, l, states)
		sameOutputs(t, fmt.Sprintf("seed %d, %s", seed, l.topic), got, &want)
	}
}

func someLog(t testing.TB, r *rand.Rand, n int) *rawLog {
	t.Helper()
	switch n % 8 {
	case 0:
		return captured(t, adapters.Coinbase, "coinbase", "captures/coinbase_advanced_20260809_btc_eth.jsonl.zst", market.KindBook, "orderbook", 2000)
	case 1:
		return captured(t, adapters.Kraken, "auto", "captures/kraken_v1_20210417.jsonl.zst", market.KindBook, "orderbook", 1500)
	case 2:
		return captured(t, adapters.Bybit, "auto", "captures/bybit_v5_20260809_btc_eth.jsonl.zst", market.KindMarkPrice, "mark_price", 3000)
	case 3:
		return captured(t, adapters.Binance, "binance", "rawstream/binance_spot_btcusdt_20240808.jsonl.gz", market.KindBook, "orderbook", 1500)
	case 4, 5:
		return generated(t, r, market.KindTrade, "trade")
	case 6:
		return generated(t, r, market.KindBook, "orderbook")
	}
	return generated(t, r, market.KindQuote, "quote")
}

func killed(t *testing.T, r *rand.Rand, l *rawLog, states map[int64]state) *outputs {
	t.Helper()
	type saved struct {
		snap []byte
		at   int // records taken
	}
	var got outputs
	cfg := sequenceConfig(t, l.topic)
	task, err := stream.NewSequence(cfg)
	if err != nil {
		t.Fatal(err)
	}
	enc := record.NewEventEncoder(cfg.Schemas, cfg.Sequencer.Feeds, cfg.Sequencer.Insts)
	snaps := []saved{{task.AppendSnapshot(nil), 0}}
	var out stream.Sequenced
	step := func(keep bool) {
		if err := task.Step(&out); err != nil {
			t.Fatal(err)
		}
		if !keep {
			return
		}
		got.take(t, &cfg, enc, &out)
		if want, ok := states[out.Next]; ok && (want.marks != out.Marks || want.account != out.Account) {
			t.Fatalf("%s: at %d: %+v %+v, want %+v", l.topic, out.Next, out.Marks, out.Account, want)
		}
	}
	written := 0 // records of which the output has been written
	add := func(to int, from int) {
		if err := task.Add(context.Background(), l.records[from:to]...); err != nil {
			t.Fatal(err)
		}
	}
	for written < len(l.records) {
		to := min(written+1+r.IntN(40), len(l.records))
		add(to, written)
		if r.IntN(6) == 0 { // killed before or after the step, nothing of it written
			if r.IntN(2) == 0 {
				step(false)
			}
			s := snaps[len(snaps)-1-r.IntN(min(3, len(snaps)))]
			cfg = sequenceConfig(t, l.topic)
			enc = record.NewEventEncoder(cfg.Schemas, cfg.Sequencer.Feeds, cfg.Sequencer.Insts)
			if task, err = stream.RestoreSequence(cfg, s.snap); err != nil {
				t.Fatal(err)
			}
			if again := task.AppendSnapshot(nil); !bytes.Equal(again, s.snap) {
				t.Fatalf("%s: a restored task has another snapshot", l.topic)
			}
			for at := s.at; at < written; {
				next := min(at+1+r.IntN(60), written)
				add(next, at)
				step(false)
				at = next
			}
			continue
		}
		step(true)
		written = to
		if r.IntN(4) == 0 {
			snaps = append(snaps, saved{task.AppendSnapshot(nil), written})
		}
	}
	return &got
}

func sameOutputs(t *testing.T, what string, got, want *outputs) {
	t.Helper()
	same := func(of string, a, b []string) {
		if slices.Equal(a, b) {
			return
		}
		i := 0
		for i < min(len(a), len(b)) && a[i] == b[i] {
			i++
		}
		t.Fatalf("%s: %s differ at %d of %d and %d:\n got %q\nwant %q", what, of, i, len(a), len(b), a[i:min(i+1, len(a))], b[i:min(i+1, len(b))])
	}
	for k := range want.rows {
		same(market.Kind(k).String()+" rows", got.rows[k], want.rows[k])
		same("late "+market.Kind(k).String()+" rows", got.late[k], want.late[k])
	}
	same("dead letters", got.letters, want.letters)
}

// The task gives what a sequencer gives that is driven as a batch run drives it, by decoders
// that are never written down, over the records that are good.
func TestSequence_GivesWhatTheSequencerGives(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 10))
		l := someLog(t, r, int(seed))
		for i := range l.records {
			l.records[i].Offset = int64(i)
		}
		want, states := reference(t, l)
		cfg := sequenceConfig(t, l.topic)
		seq, err := sequence.New(cfg.Sequencer)
		if err != nil {
			t.Fatal(err)
		}
		enc := record.NewEventEncoder(cfg.Schemas, cfg.Sequencer.Feeds, cfg.Sequencer.Insts)
		var dec adapters.Decoder
		var all market.Chunk
		var bad outputs
		for i := range l.records {
			x := &l.records[i]
			if dec == nil {
				a := adapters.Detect(x.Value)
				if a == nil {
					a = canon.Adapter
				}
				dec = a.New(adapters.Env{Feeds: cfg.Sequencer.Feeds, Insts: cfg.Sequencer.Insts})
			}
			rec := adapters.Record{Data: x.Value, Ingest: market.NoTime, Offset: x.Offset, Shard: rawPartition, Conn: string(x.Conn)}
			if x.Ingest != nil {
				rec.Ingest, _ = strconv.ParseInt(string(x.Ingest), 10, 64)
			}
			var c market.Chunk
			err := dec.Decode(&rec, &c)
			if e, ok := errors.AsType[*adapters.BadRecord](err); ok {
				bad.dlq += int64(e.Count)
			}
			if b := c.Batches[l.kind]; b != nil {
				all.BatchOf(b.Kind, b.Fields).AppendRows(b, 0, b.N)
			}
			if all.Len() > 100 {
				if err := seq.Push(&all); err != nil {
					t.Fatal(err)
				}
				all.Reset()
			}
		}
		if err := seq.Push(&all); err != nil {
			t.Fatal(err)
		}
		var out sequence.Out
		seq.Advance(&out)
		var got outputs
		s := stream.Sequenced{Out: out, Account: seq.Counts()}
		s.Account.In, s.Account.DLQ = s.Account.In-s.Account.DLQ, 0
		got.take(t, &cfg, enc, &s)
		got.letters = want.letters
		sameOutputs(t, l.topic, &got, &want)
		last := states[l.records[len(l.records)-1].Offset+1]
		if last.marks != out.Marks || want.dlq != bad.dlq+int64(len(out.Dead)) {
			t.Errorf("%s: marks %v, want %v; %d dead, want %d", l.topic, last.marks, out.Marks, want.dlq, bad.dlq+int64(len(out.Dead)))
		}
		rows := 0
		for k := range got.rows {
			rows += len(got.rows[k])
		}
		if rows < 40 {
			t.Errorf("%s: only %d rows", l.topic, rows)
		}
	}
}

func TestSequence_DeadLettersSayWhy(t *testing.T) {
	trade := func(symbol string) []byte {
		return fmt.Appendf(nil, `{"kind":"trade","feed":"kraken-spot","exchange":"kraken","market":"spot","symbol":%q,"event_ts":1700000000000000,"price":"1","quantity":"2","side":"buy","id":"%s"}`, symbol, symbol)
	}
	good := record.Raw{Key: []byte("A-B"), Value: trade("A-B"), Format: []byte("canonical")}
	for want, change := range map[string]func(*record.Raw){
		"":                     func(*record.Raw) {},
		stream.ReasonTombstone: func(x *record.Raw) { x.Value = nil },
		stream.ReasonLong:      func(x *record.Raw) { x.Value = make([]byte, 16<<20+1) },
		stream.ReasonFormat:    func(x *record.Raw) { x.Format = []byte("csv") },
		stream.ReasonGuess:     func(x *record.Raw) { x.Format, x.Value = []byte("auto"), []byte("hello") },
		stream.ReasonFeed:      func(x *record.Raw) { x.Feed = []byte("a/b") },
		stream.ReasonIngest:    func(x *record.Raw) { x.Ingest = []byte("1.5") },
		stream.ReasonSchema:    func(x *record.Raw) { x.Format, x.Value = []byte("event"), []byte{0, 0, 0, 0, 9, 0, 8, 1} },
		stream.ReasonEvent:     func(x *record.Raw) { x.Format, x.Value = []byte("event"), []byte("text") },
		stream.ReasonKey:       func(x *record.Raw) { x.Key = nil },
		stream.ReasonPlace: func(x *record.Raw) {
			x.Value = bytes.Replace(x.Value, []byte("spot\",\"symbol"), []byte("perp\",\"symbol"), 1)
		},
		stream.ReasonKind: func(x *record.Raw) {
			x.Value = []byte(`{"kind":"open_interest","feed":"kraken-spot","exchange":"kraken","market":"spot","symbol":"A-B","event_ts":1700000000000000,"quantity":"1"}`)
		},
		"price is not positive": func(x *record.Raw) { x.Value = bytes.Replace(x.Value, []byte(`"1"`), []byte(`"0"`), 1) },
		sequence.ReasonAhead:    func(x *record.Raw) { x.Ingest = []byte("1600000000000000") },
		stream.ReasonFuture:     func(x *record.Raw) { x.Time = 1700000000000000 - market.Minute - 1 },
	} {
		cfg := sequenceConfig(t, "raw.spot.trade.kraken")
		task, err := stream.NewSequence(cfg)
		if err != nil {
			t.Fatal(err)
		}
		x := good
		x.Offset = 5
		change(&x)
		var out stream.Sequenced
		if err := errors.Join(task.Add(context.Background(), x), task.Step(&out)); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, l := range out.Letters {
			got = l.Reason
			if l.Topic != cfg.Topic || l.Partition != rawPartition || l.Offset != 5 || l.Count != 1 || !bytes.HasPrefix(x.Value, l.Value) || len(l.Value) > stream.MaxLetter {
				t.Errorf("%+v", l.DeadLetter)
			}
		}
		if got != want || len(out.Letters) > 1 || out.Account.In != 1 || !out.Account.Balanced() || out.Next != 6 {
			t.Errorf("%q: %d letters, %q, %+v", want, len(out.Letters), got, out.Account)
		}
		if err := task.Add(context.Background(), x); !errors.Is(err, stream.ErrOffset) {
			t.Errorf("the same offset again: %v", err)
		}
	}
}

func TestSequence_SnapshotsAreOfOnePartition(t *testing.T) {
	cfg := sequenceConfig(t, "raw.spot.trade.kraken")
	task, err := stream.NewSequence(cfg)
	if err != nil {
		t.Fatal(err)
	}
	snap := task.AppendSnapshot(nil)
	other := cfg
	other.Partition++
	if _, err := stream.RestoreSequence(other, snap); !errors.Is(err, stream.ErrPartitions) {
		t.Error(err)
	}
	for i := range snap {
		hurt := bytes.Clone(snap)
		hurt[i] ^= 4
		if _, err := stream.RestoreSequence(cfg, hurt); !errors.Is(err, stream.ErrCorrupt) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if _, err := stream.RestoreSequence(cfg, snap[:i]); !errors.Is(err, stream.ErrCorrupt) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	for _, topic := range []string{"raw.spot.trade", "processed.spot.trade.kraken", "raw.spot.watermark.kraken", ""} {
		if _, err := stream.NewSequence(stream.SequenceConfig{Topic: topic, Sequencer: cfg.Sequencer, Schemas: cfg.Schemas}); err == nil {
			t.Errorf("topic %q is taken", topic)
		}
	}
}

// Marks and heartbeats are events that the task itself takes.
func TestSequence_HeartbeatsMoveAnEmptyPartition(t *testing.T) {
	cfg := sequenceConfig(t, "raw.spot.trade.kraken")
	task, err := stream.NewSequence(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	enc := record.NewEventEncoder(cfg.Schemas, cfg.Sequencer.Feeds, cfg.Sequencer.Insts)
	var out stream.Sequenced
	if err := task.Step(&out); err != nil || out.Marks[market.KindTrade] != market.NoTime {
		t.Fatal(out.Marks, err)
	}
	const at = 1_700_000_000 * market.Second
	beat, err := task.AppendHeartbeat(ctx, nil, enc, "", at)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(task.Add(ctx, record.Raw{Value: beat, Format: []byte("event")}), task.Step(&out)); err != nil {
		t.Fatal(err)
	}
	for _, k := range task.Kinds() {
		if out.Marks[k] != at {
			t.Errorf("%v is complete below %d", k, out.Marks[k])
		}
		mark, err := task.AppendMark(ctx, nil, enc, &out, k)
		if err != nil || !bytes.Equal(mark, beat) {
			t.Errorf("%x, %v", mark, err)
		}
	}
	if f := task.Feeds(); strings.Join(f, " ") != "tidemark" || len(out.Letters) != 0 || out.Account.Applied != 1 {
		t.Errorf("%q, %+v", f, out.Account)
	}
}

// A partition is one line, whatever its records say.
func TestSequence_PartitionIsTheLine(t *testing.T) {
	cfg := sequenceConfig(t, "raw.spot.trade.kraken")
	task, err := stream.NewSequence(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	enc := record.NewEventEncoder(cfg.Schemas, cfg.Sequencer.Feeds, cfg.Sequencer.Insts)
	beat, err := task.AppendHeartbeat(ctx, nil, enc, "kraken-spot", 1_700_000_001*market.Second)
	if err != nil {
		t.Fatal(err)
	}
	x := record.Raw{Key: []byte("A-B"), Format: []byte("canonical")}
	x.Value = []byte(`{"kind":"trade","feed":"kraken-spot","exchange":"kraken","market":"spot","symbol":"A-B","event_ts":1700000000000000,"price":"1","quantity":"2","side":"buy","id":"1","shard":9}`)
	var out stream.Sequenced
	if err := errors.Join(task.Add(ctx, x), task.Add(ctx, record.Raw{Offset: 1, Value: beat, Format: []byte("event")}), task.Step(&out)); err != nil {
		t.Fatal(err)
	}
	if b := out.Rows.Batches[market.KindTrade]; b == nil || b.N != 1 || b.Shard[0] != rawPartition {
		t.Errorf("%+v, %+v", b, out.Account)
	}
}
