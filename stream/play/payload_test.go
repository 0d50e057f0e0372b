package play_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/sequence"
	"github.com/pinova-group/tidemark/stream"
	"github.com/pinova-group/tidemark/stream/fetch"
	"github.com/pinova-group/tidemark/stream/play"
	"github.com/pinova-group/tidemark/stream/record"
)

// sequenced is what sequence tasks make of the raw partitions, as texts, sorted.
func sequenced(t *testing.T, logs map[place][]*kgo.Record) (rows, letters []string, sum sequence.Counts) {
	t.Helper()
	schemas := record.NewSchemasOf(nil, nil)
	for at, recs := range logs {
		feeds, insts := market.NewFeeds(), market.NewInstruments()
		task, err := stream.NewSequence(stream.SequenceConfig{Topic: at.topic, Partition: at.partition, Sequencer: sequence.DefaultConfig(feeds, insts), Schemas: schemas})
		if err != nil {
			t.Fatal(err)
		}
		enc := record.NewEventEncoder(schemas, feeds, insts)
		for _, r := range recs {
			rec := fetch.Of(r)
			raw := record.ReadRaws(nil, []fetch.Record{rec})[0]
			if err := task.Add(t.Context(), raw); err != nil {
				t.Fatal(err)
			}
		}
		var out stream.Sequenced
		if err := task.Step(&out); err != nil {
			t.Fatal(err)
		}
		for _, c := range []*market.Chunk{&out.Rows, &out.Late} {
			for _, b := range c.Batches {
				for i := 0; b != nil && i < b.N; i++ {
					v, err := enc.AppendEvent(t.Context(), nil, b, i)
					if err != nil {
						t.Fatal(err)
					}
					if b.Flags[i]&market.FlagAssumed != 0 {
						// Its time may be that of its neighbours, who are others in a partition.
						v = fmt.Appendf(nil, "%v", b.ID[i])
					}
					rows = append(rows, fmt.Sprintf("%v %v %x", at, b.Kind, v))
				}
			}
		}
		for i := range out.Letters {
			letters = append(letters, fmt.Sprintf("%v %+v", at, out.Letters[i].DeadLetter))
		}
		sum.Add(&out.Account)
	}
	slices.Sort(rows)
	return rows, letters, sum
}

// Payloads played as they were collected become the same events as those that are decoded
// before: each partition is read alone, without the payloads of others.
func TestPlay_PayloadsBecomeTheSameEvents(t *testing.T) {
	for _, c := range []struct {
		file  string
		lines int
		some  int // payloads at least
	}{
		{"rawstream/binance_spot_btcusdt_20240808.jsonl.gz", 4000, 3900},
		{"rawstream/binance_usdm_btcusdt_20240808.jsonl.gz", 4000, 3900},
		{"rawstream/binance_cm_ethusd_perp_20240809.jsonl.gz", 4000, 3900},
		{"captures/binance_usdm_20210722.jsonl.zst", 5000, 1000},
		{"captures/binance_spot_20211012.jsonl.zst", 5000, 100},
		{"captures/kraken_v1_20210417.jsonl.zst", 5000, 1000},
		{"captures/coinbase_advanced_20260809_btc_eth.jsonl.zst", 5000, 0}, // its numbers are of connections
		{"captures/okx_v5_20220513_btc.jsonl.zst", 5000, 100},
		{"captures/bybit_v5_20260809_btc_eth.jsonl.zst", 5000, 1000},
		{"candles/kraken_xbtusdt_rest_trades_20251110.json.gz", 100_000, 1},
	} {
		t.Run(filepath.Base(c.file), func(t *testing.T) {
			path := exdata.Head(t, c.file, t.TempDir(), c.lines)
			events, payloads := start(t), start(t)
			events.play(t.Context(), play.Config{Input: run.EventsConfig{Inputs: []string{path}}}, nil)
			rep := payloads.play(t.Context(), play.Config{Input: run.EventsConfig{Inputs: []string{path}, Payloads: true}}, nil)
			n, single := int64(0), int64(0)
			for _, x := range rep.Topics {
				n += x.Payloads
				single += x.Events
			}
			want, _, wantSum := sequenced(t, events.logs())
			got, letters, sum := sequenced(t, payloads.logs())
			t.Logf("%d payloads, %d events; %+v", n, single, sum)
			if n < int64(c.some) || len(letters) > 0 {
				t.Errorf("%d payloads, want %d at least; dead letters %.2000q", n, c.some, letters)
			}
			if sum.Applied != wantSum.Applied || sum.Late != wantSum.Late {
				t.Errorf("account %+v, want %+v", sum, wantSum)
			}
			diff(t, want, got)
		})
	}
}

// diff tells the first texts that only one of two sorted lists has.
func diff(t *testing.T, want, got []string) {
	t.Helper()
	left := map[string]int{}
	for _, x := range want {
		left[x]++
	}
	n := 0
	for _, x := range got {
		if left[x]--; left[x] < 0 {
			if n++; n < 4 {
				t.Errorf("too much: %.400s", x)
			}
		}
	}
	missing := 0
	for x, k := range left {
		if k > 0 {
			if missing++; missing < 4 {
				t.Errorf("missing: %.400s", x)
			}
		}
	}
	if n+missing > 0 {
		t.Errorf("%d too much, %d missing of %d", n, missing, len(want))
	}
}

// What an input says may lie long after all events so far: a market that is quiet, an answer with the trades of
// hours. None of it is taken for a time in the future.
func TestPlay_QuietMarketsAreNotAheadOfTheirRecords(t *testing.T) {
	const line = `{"kind":%q,"feed":"kraken-spot","exchange":"kraken","market":"spot","symbol":"BTC-USD","event_ts":%d%s}` + "\n"
	const at = 1_700_000_000 * market.Second
	var text bytes.Buffer
	fmt.Fprintf(&text, line, "trade", at, `,"price":"1","quantity":"1","side":"buy","id":"1"`)
	fmt.Fprintf(&text, line, "watermark", at+10*market.Minute, "")
	fmt.Fprintf(&text, line, "trade", at+20*market.Minute, `,"price":"1","quantity":"1","side":"buy","id":"2"`)
	path := filepath.Join(t.TempDir(), "quiet.jsonl")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	c := start(t)
	c.play(t.Context(), play.Config{Input: run.EventsConfig{Inputs: []string{path}}}, nil)
	_, letters, sum := sequenced(t, c.logs())
	if len(letters) > 0 || sum.DLQ > 0 || sum.Late > 0 {
		t.Errorf("%+v, %q", sum, letters)
	}
}

// An event that is late behind a watermark in the input is late behind it in the topic, also where events are seldom: the watermark
// does not wait for one that is as new.
func TestPlay_WatermarksStayBeforeWhatIsLate(t *testing.T) {
	const line = `{"kind":%q,"feed":"kraken-spot","exchange":"kraken","market":"spot","symbol":"BTC-USD","event_ts":%d%s}` + "\n"
	const trade = `,"price":"1","quantity":"1","side":"buy","id":"%d"`
	const at = 1_700_000_000 * market.Second
	var text bytes.Buffer
	fmt.Fprintf(&text, line, "trade", at, fmt.Sprintf(trade, 1))
	fmt.Fprintf(&text, line, "watermark", at+900*market.Millisecond, "")
	fmt.Fprintf(&text, line, "trade", at+100*market.Millisecond, fmt.Sprintf(trade, 2))
	fmt.Fprintf(&text, line, "trade", at+20*market.Second, fmt.Sprintf(trade, 3))
	path := filepath.Join(t.TempDir(), "late.jsonl")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	c := start(t)
	c.play(t.Context(), play.Config{Input: run.EventsConfig{Inputs: []string{path}}}, nil)
	if _, _, sum := sequenced(t, c.logs()); sum.Late != 1 {
		t.Errorf("%d are late of one: %+v", sum.Late, sum)
	}
}
