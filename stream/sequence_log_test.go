package stream_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
func generated(t testing.TB, r *rand.Rand, k market.Kind, word string, events int64) *rawLog {
	t.Helper()
	cfg := gen.DefaultConfig()
	cfg.Seed, cfg.Events = r.Uint64(), events
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

// asEvents makes Protobuf events of canonical records.
func (l *rawLog) asEvents(t testing.TB) {
	t.Helper()
	cfg := sequenceConfig(t, l.topic)
	enc := record.NewEventEncoder(cfg.Schemas, cfg.Sequencer.Feeds, cfg.Sequencer.Insts)
	dec := canon.Adapter.New(adapters.Env{Feeds: cfg.Sequencer.Feeds, Insts: cfg.Sequencer.Insts})
	var c market.Chunk
	for i := range l.records {
		x := &l.records[i]
		c.Reset()
		if err := dec.Decode(&adapters.Record{Data: x.Value, Ingest: market.NoTime, Offset: 2}, &c); err != nil || c.Len() != 1 {
			continue
		}
		v, err := enc.AppendEvent(context.Background(), nil, c.Batches[l.kind], 0)
		if err != nil {
			t.Fatal(err)
		}
		x.Value, x.Format = v, []byte("event")
	}
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
	for i := range l.records {
		x := l.records[i]
		switch r.IntN(60) {
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
	offset := int64(r.IntN(3))
	for i := range out {
		out[i].Offset = offset
		offset += 1 + int64(r.IntN(8)/7)
	}
	l.records = out
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
