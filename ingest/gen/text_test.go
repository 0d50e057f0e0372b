package gen

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
	"github.com/pinova-group/tidemark/market/canon"
)

// read decodes a text of a market back into batches, one chunk a line, and checks each
// line against its truth.
func read(t fataler, c Config, f Format) (map[market.Kind]*market.Batch, *Text) {
	m := start(t, c)
	text, err := NewText(m.Market, f)
	if err != nil {
		t.Fatalf("%v", err)
	}
	all := map[market.Kind]*market.Batch{}
	decoders := map[string]adapters.Decoder{}
	open := func(l *Line) (adapters.Decoder, error) {
		name := l.Truth.Kind.String()
		adapter, env := canon.Adapter, adapters.Env{Feeds: m.feeds, Insts: m.insts}
		switch f {
		case CanonicalJSONL:
			name = ""
		case Raw:
			name, adapter, env.Feed = l.Venue, adapters.Binance, "sim-"+l.Venue
		}
		d := decoders[name]
		if d == nil {
			d = adapter.New(env)
			decoders[name] = d
			if h := text.Header(l.Truth.Kind); h != nil {
				return d, d.Decode(&adapters.Record{Data: h, Offset: 1}, &market.Chunk{})
			}
		}
		return d, nil
	}
	judge := NewJudge(m.feeds)
	var l Line
	for {
		ok, err := text.Next(&l)
		if err != nil {
			t.Fatalf("%v", err)
		}
		if !ok {
			return all, text
		}
		d, err := open(&l)
		if err != nil {
			t.Fatalf("header: %v", err)
		}
		var out market.Chunk
		line := bytes.TrimSuffix(l.Text, []byte{'\n'})
		if bytes.IndexByte(line, '\n') >= 0 {
			t.Fatalf("line break in %q", line)
		}
		err = d.Decode(&adapters.Record{Data: line, Ingest: market.NoTime, Offset: 2, Shard: 0}, &out)
		var bad *adapters.BadRecord
		switch {
		case err != nil && !errors.As(err, &bad):
			t.Fatalf("%q: %v", line, err)
		case err != nil && l.Truth.Verdict != DeadLetter:
			t.Fatalf("%q: %v, truth %s", line, err, l.Truth.Verdict)
		case err != nil:
			continue
		}
		b := out.Batches[l.Truth.Kind]
		if b == nil || b.N != 1 || out.Len() != 1 {
			t.Fatalf("%q: %d rows", line, out.Len())
		}
		if v := judge.Row(b, 0); v != l.Truth.Verdict {
			t.Fatalf("%q: rule %s, truth %s (%s)", line, v, l.Truth.Verdict, l.Truth.Reason)
		}
		numbered := f != Raw || b.Kind != market.KindFunding // settlements have no number there
		if b.EventTS[0] != l.Truth.EventTS || numbered && b.Seq[0] != l.Truth.Seq {
			t.Fatalf("%q: event time %d seq %d, truth %+v", line, b.EventTS[0], b.Seq[0], l.Truth)
		}
		if all[b.Kind] == nil {
			all[b.Kind] = market.NewBatch(b.Kind)
		}
		all[b.Kind].AppendRows(b, 0, 1)
	}
}

// What is read from canonical files is what the batches hold, identities included.
func TestText_CanonicalIsTheBatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := faulty(t)
		c.Events = min(c.Events, 500)
		c.Corrupt = 0 // batches and texts are corrupted differently
		m := start(t, c)
		want := map[market.Kind]*market.Batch{}
		var chunk market.Chunk
		for m.Next(&chunk) {
			for k, b := range chunk.Batches {
				if b == nil || b.N == 0 {
					continue
				}
				if want[market.Kind(k)] == nil {
					want[market.Kind(k)] = market.NewBatch(market.Kind(k))
				}
				want[market.Kind(k)].AppendRows(b, 0, b.N)
			}
		}
		got, _ := read(t, c, rapid.SampledFrom([]Format{CanonicalCSV, CanonicalJSONL}).Draw(t, "format"))
		if len(got) != len(want) {
			t.Fatalf("%d kinds, want %d", len(got), len(want))
		}
		for k, b := range want {
			clear(b.RawBytes)
			clear(b.Flags) // a file does not say that a time was assumed
			clear(got[k].RawBytes)
			if g, w := fmt.Sprint(*got[k]), fmt.Sprint(*b); g != w {
				t.Fatalf("%s: %s\nwant %s", k, g, w)
			}
		}
	})
}

// Corrupt lines are refused or judged dead, everything else is read as it was meant.
func TestText_FaultsAreFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := faulty(t)
		c.Events = min(c.Events, 1500)
		f := rapid.SampledFrom([]Format{CanonicalCSV, CanonicalJSONL, Raw}).Draw(t, "format")
		if f == Raw {
			c.ForRaw()
			c.Lines, c.Disorder = 1, min(c.Disorder, 80_000)
		}
		_, text := read(t, c, f)
		if s := text.Stats(); s.Mismatch != 0 {
			t.Fatalf("%+v", s)
		}
	})
}

// The bytes of a seed are a promise: another hash here breaks everybody's golden files.
func TestText_GoldenHash(t *testing.T) {
	c := DefaultConfig()
	c.Events, c.Disorder, c.Duplicates, c.Late, c.Gaps, c.Corrupt = 20_000, 100_000, 10_000, 1000, 500, 500
	c.Symbols = Symbols(25)
	c.Outages = []Outage{{Venue: "beta", At: 5 * market.Second, For: 3 * market.Second}}
	c.Skews = []Skew{{Venue: "gamma", Offset: 20_000}, {Venue: "gamma", At: 8 * market.Second, Offset: -20_000}}
	c.TickChanges = []TickChange{{Symbol: "ETH-USDT", At: 9 * market.Second}}
	for f, want := range map[Format]string{
		CanonicalCSV:   "84caaa09a41dba5a",
		CanonicalJSONL: "21dd65871cb3f5ef",
		Raw:            "52b37b624425963a",
	} {
		c := c
		if f == Raw {
			c.Disorder = 80_000
			c.ForRaw()
		}
		m := start(t, c)
		text, err := NewText(m.Market, f)
		if err != nil {
			t.Fatal(err)
		}
		h := fnv.New64a()
		var l Line
		for {
			ok, err := text.Next(&l)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			h.Write(l.Text)
			fmt.Fprint(h, l.Truth.Verdict, l.ID)
		}
		if got := fmt.Sprintf("%016x", h.Sum64()); got != want {
			t.Errorf("format %d: %s, want %s", f, got, want)
		}
	}
}

// One operation is one record.
func BenchmarkText_JSONL(b *testing.B) { benchText(b, CanonicalJSONL) }
func BenchmarkText_Raw(b *testing.B)   { benchText(b, Raw) }

func benchText(b *testing.B, f Format) {
	c := DefaultConfig()
	c.Events, c.Rate = 0, 20_000
	if f == Raw {
		c.ForRaw()
	}
	text, err := NewText(start(b, c).Market, f)
	if err != nil {
		b.Fatal(err)
	}
	var l Line
	for range b.N {
		if _, err := text.Next(&l); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(l.Text)))
	}
}
