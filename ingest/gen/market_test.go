package gen

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
)

type bench struct {
	*Market
	feeds *market.Feeds
	insts *market.Instruments
}

func start(t fataler, c Config) bench {
	f, in := market.NewFeeds(), market.NewInstruments()
	m, err := New(c, f, in)
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	return bench{m, f, in}
}

type fataler interface{ Fatalf(string, ...any) }

// faulty draws a configuration with faults of every kind.
func faulty(t *rapid.T) Config {
	c := DefaultConfig()
	c.Seed = rapid.Uint64().Draw(t, "seed")
	c.Events = rapid.Int64Range(1, 6000).Draw(t, "events")
	c.Rate = rapid.SampledFrom([]int64{5, 300, 5000, 100_000}).Draw(t, "rate")
	c.Symbols = Symbols(rapid.IntRange(1, 30).Draw(t, "symbols"))
	c.Venues = c.Venues[:rapid.IntRange(1, 3).Draw(t, "venues")]
	c.Lines = rapid.IntRange(1, 3).Draw(t, "lines")
	c.Disorder = rapid.SampledFrom([]int64{0, 1000, 80_000, 120_000}).Draw(t, "disorder")
	c.Resolution = rapid.SampledFrom([]int64{1, 1000}).Draw(t, "resolution")
	share := rapid.SampledFrom([]int{0, 100, 20_000, 300_000})
	c.Duplicates, c.Late = share.Draw(t, "duplicates"), share.Draw(t, "late")
	c.Gaps, c.Corrupt = share.Draw(t, "gaps"), share.Draw(t, "corrupt")
	c.Heartbeat = rapid.SampledFrom([]int64{0, 50_000, market.Second}).Draw(t, "heartbeat")
	c.Untimed = rapid.Bool().Draw(t, "untimed") && c.Disorder <= 80_000
	c.Rows = rapid.SampledFrom([]int{1, 7, 4096}).Draw(t, "rows")
	if rapid.Bool().Draw(t, "faults by time") && c.Disorder <= 80_000 {
		c.Outages = []Outage{{Venue: "alpha", At: market.Second / 10, For: market.Second * 2}}
		c.Skews = []Skew{{Venue: "alpha", At: market.Second, Offset: -20_000}, {Venue: "alpha", Offset: 30_000}}
		c.TickChanges = []TickChange{{Symbol: "BTC-USDT", At: market.Second / 2}}
	}
	return c
}

// What the simulator says about its records and what the written rule says agree, and
// the rule never surprises the simulator.
func TestMarket_TruthIsTheRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := start(t, faulty(t))
		j := NewJudge(m.feeds)
		var c market.Chunk
		n := int64(0)
		for m.Next(&c) {
			rule := j.Chunk(&c)
			for _, x := range m.Truth() {
				b := c.Batches[x.Kind]
				if got := rule[x.Kind][x.Row]; got != x.Verdict {
					t.Fatalf("%s row at %d: truth %s (%s), rule %s", x.Kind, b.EventTS[x.Row], x.Verdict, x.Reason, got)
				}
				if b.EventTS[x.Row] != x.EventTS || b.Seq[x.Row] != x.Seq || b.Inst[x.Row] != x.Inst || b.Feed[x.Row] != x.Feed || b.Shard[x.Row] != x.Shard {
					t.Fatalf("truth is of another row: %+v", x)
				}
			}
			n += int64(len(m.Truth()))
		}
		s := m.Stats()
		if s.Mismatch != 0 {
			t.Fatalf("%d verdicts are not what their records were made for", s.Mismatch)
		}
		sum := int64(0)
		for _, k := range s.ByVerdict {
			sum += k
		}
		if n != s.Records || sum != n {
			t.Fatalf("%d rows, stats %+v", n, s)
		}
	})
}

// The cut into chunks changes nothing, and the same seed gives the same rows.
func TestMarket_Deterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := faulty(t)
		c.Events = min(c.Events, 1500)
		want := dump(t, c)
		c.Rows = rapid.IntRange(1, 5000).Draw(t, "other rows")
		if got := dump(t, c); got != want {
			t.Fatalf("chunks of %d rows give other rows", c.Rows)
		}
	})
}

// dump hashes all rows by kind, with their truth.
func dump(t fataler, c Config) string {
	m := start(t, c)
	var chunk market.Chunk
	var all [market.NumKinds]*market.Batch
	truth := ""
	for m.Next(&chunk) {
		for k, b := range chunk.Batches {
			if b == nil || b.N == 0 {
				continue
			}
			if all[k] == nil {
				all[k] = market.NewBatch(market.Kind(k))
			}
			all[k].AppendRows(b, 0, b.N)
		}
		for _, x := range m.Truth() {
			truth += string('0' + byte(x.Verdict))
		}
	}
	h := fnv.New128a()
	h.Write([]byte(truth))
	for _, b := range all {
		if b != nil {
			fmt.Fprint(h, *b)
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// Without faults everything is applied, in order, and exactly as many events come as
// were asked for. With faults the market is the same, observed worse.
func TestMarket_FaultsLeaveTheMarketAlone(t *testing.T) {
	clean := DefaultConfig()
	clean.Heartbeat = 0
	type key struct {
		kind market.Kind
		inst market.Inst
		seq  uint64
		ts   int64
	}
	collect := func(c Config) (map[key]string, Stats) {
		m := start(t, c)
		rows := map[key]string{}
		var chunk market.Chunk
		for m.Next(&chunk) {
			for _, x := range m.Truth() {
				b := chunk.Batches[x.Kind]
				if x.Verdict == Applied || x.Verdict == Late {
					one := market.NewBatch(x.Kind)
					one.AppendRows(b, int(x.Row), int(x.Row)+1)
					rows[key{x.Kind, x.Inst, x.Seq, x.EventTS}] = fmt.Sprint(one.Cols)
				}
			}
		}
		return rows, m.Stats()
	}
	want, s := collect(clean)
	if s.Records != clean.Events || s.ByVerdict[Applied] != clean.Events {
		t.Errorf("clean run: %+v", s)
	}
	bad := clean
	bad.Disorder, bad.Duplicates, bad.Late, bad.Corrupt = 100_000, 20_000, 10_000, 10_000
	got, s := collect(bad)
	if s.ByVerdict[Late] == 0 || s.ByVerdict[Duplicate] == 0 || s.ByVerdict[DeadLetter] == 0 {
		t.Errorf("no faults: %+v", s)
	}
	if len(got)+int(s.Missing) != len(want) {
		t.Errorf("%d rows and %d missing, want %d", len(got), s.Missing, len(want))
	}
	for k, v := range got {
		if want[k] != v {
			t.Fatalf("%+v: %s, want %s", k, v, want[k])
		}
	}
}

// Quotes and books never cross, trades happen at the quote, prices follow one another
// across venues, books rebuilt from snapshots and deltas are the ones that quotes show.
func TestMarket_IsConsistent(t *testing.T) {
	c := DefaultConfig()
	c.Events, c.Rate = 60_000, 2000
	c.TickChanges = []TickChange{{Symbol: "BTC-USDT", At: 10 * market.Second}}
	type book struct {
		bids, asks map[int64]int64
		last       uint64
	}
	books := map[market.Inst]*book{}
	type quote struct{ v [4]int64 }
	quotes := map[market.Inst]quote{}
	trades := map[market.Inst]uint64{}
	scales := map[market.Inst]int8{}
	n := map[market.Kind]int{}
	var chunk market.Chunk
	one := c
	one.Rows = 1
	m := start(t, one)
	for m.Next(&chunk) {
		x := m.Truth()[0]
		b, i := chunk.Batches[x.Kind], 0
		n[x.Kind]++
		switch x.Kind {
		case market.KindQuote:
			q := quote{[4]int64{b.Cols[0].I64[i], b.Cols[1].I64[i], b.Cols[2].I64[i], b.Cols[3].I64[i]}}
			if q.v[0] >= q.v[2] || q.v[0] <= 0 || q.v[1] <= 0 || q.v[3] <= 0 {
				t.Fatalf("quote %v", q.v)
			}
			quotes[x.Inst], scales[x.Inst] = q, b.Cols[0].Scale[i]
			bk := books[x.Inst]
			if bk.bids[q.v[0]] != q.v[1] || bk.asks[q.v[2]] != q.v[3] || best(bk.bids, -1) != q.v[0] || best(bk.asks, 1) != q.v[2] {
				t.Fatalf("quote %v is not the book's", q.v)
			}
		case market.KindTrade:
			p, q := b.Cols[market.TradePrice].I64[i], quotes[x.Inst]
			want := q.v[2]
			if b.Cols[market.TradeSide].I64[i] == market.SideSell {
				want = q.v[0]
			}
			if p != want || b.Cols[market.TradeQuantity].I64[i] <= 0 {
				t.Fatalf("trade at %d, quote %v", p, q.v)
			}
			if last := trades[x.Inst]; last != 0 && x.Seq != last+1 {
				t.Fatalf("trade %d after %d", x.Seq, last)
			}
			trades[x.Inst] = x.Seq
		case market.KindBook:
			bk := books[x.Inst]
			if b.Cols[market.BookOrigin].I64[i] != market.OriginDelta {
				bk = &book{bids: map[int64]int64{}, asks: map[int64]int64{}}
				books[x.Inst] = bk
			} else if b.Cols[market.BookPrevSeq].I64[i] != int64(bk.last) || b.Cols[market.BookFirstSeq].I64[i] != int64(bk.last)+1 || x.Seq <= bk.last {
				t.Fatalf("delta %d after %d", x.Seq, bk.last)
			}
			bk.last = x.Seq
			apply(bk.bids, &b.Cols[market.BookBidPrice], &b.Cols[market.BookBidQuantity])
			apply(bk.asks, &b.Cols[market.BookAskPrice], &b.Cols[market.BookAskQuantity])
			if best(bk.bids, -1) >= best(bk.asks, 1) || len(bk.bids) != c.Depth || len(bk.asks) != c.Depth {
				t.Fatalf("book %d × %d, best %d/%d", len(bk.bids), len(bk.asks), best(bk.bids, -1), best(bk.asks, 1))
			}
		}
	}
	for _, k := range []market.Kind{market.KindTrade, market.KindQuote, market.KindBook, market.KindInstrument, market.KindFunding, market.KindWatermark} {
		if n[k] == 0 {
			t.Errorf("no %s", k)
		}
	}
	var lo, hi int64
	for inst, q := range quotes {
		if in := m.insts.Get(inst); in.Symbol != "BTC-USDT" {
			continue
		} else if scales[inst] != m.assets[0].priceScale && scales[inst] != 0 {
			t.Errorf("scale %d", scales[inst])
		}
		p := q.v[0]
		if lo == 0 || p < lo {
			lo = p
		}
		hi = max(hi, p)
	}
	if hi-lo > lo/100 {
		t.Errorf("venues differ by more than 1 %%: %d to %d", lo, hi)
	}
	t.Log(n)
}

func apply(side map[int64]int64, p, q *market.Col) {
	for j, price := range p.Decs(0) {
		if size := q.Decs(0)[j]; size == 0 {
			delete(side, price)
		} else {
			side[price] = size
		}
	}
}

func best(side map[int64]int64, sign int64) int64 {
	first, out := true, int64(0)
	for p := range side {
		if first || sign*p < sign*out {
			first, out = false, p
		}
	}
	return out
}

// A configuration whose faults would blur the verdicts is refused, all mistakes at once.
func TestNew_Refuses(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"disorder":   func(c *Config) { c.Disorder = 249 * market.Millisecond },
		"clocks":     func(c *Config) { c.Disorder, c.Skews = 100_000, []Skew{{"alpha", 0, 80_000}, {"beta", 5, -80_000}} },
		"jump ahead": func(c *Config) { c.Venues, c.Disorder, c.Skews = c.Venues[:1], 100_000, []Skew{{"alpha", 1, 150_000}} },
		"too far":    func(c *Config) { c.Venues, c.Skews = c.Venues[:1], []Skew{{"alpha", 0, 300_000}} },
		"untimed":    func(c *Config) { c.Untimed, c.Delay, c.Disorder = true, 100_000, 150_000 },
	} {
		c := DefaultConfig()
		change(&c)
		if _, err := New(c, market.NewFeeds(), market.NewInstruments()); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := DefaultConfig()
	c.Rate, c.Venues, c.Symbols, c.Late = 0, []string{"a/b", "x", "x"}, nil, 600_000
	c.Kinds, c.Outages = []market.Kind{market.KindCandle}, []Outage{{Venue: "nowhere"}}
	err := c.Validate()
	for _, want := range []string{"rate 0", `"a/b"`, `"x" appears twice`, "0 symbols", "share of late", "candle", "none of trade", `"nowhere"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
	d := DefaultConfig()
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
}

// A clock that is wrong from the start and one that jumps ahead or steps back leave the
// verdicts certain, when they are accepted.
func TestMarket_Clocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := faulty(t)
		c.Outages, c.Skews = nil, nil
		offset := rapid.Int64Range(-150_000, 150_000)
		for _, v := range c.Venues {
			for range rapid.IntRange(0, 3).Draw(t, "steps") {
				c.Skews = append(c.Skews, Skew{v, rapid.SampledFrom([]int64{0, 100_000, market.Second}).Draw(t, "at"), offset.Draw(t, "offset")})
			}
		}
		m, err := New(c, market.NewFeeds(), market.NewInstruments())
		if err != nil {
			return
		}
		var chunk market.Chunk
		for m.Next(&chunk) {
		}
		if s := m.Stats(); s.Mismatch != 0 {
			t.Fatalf("%+v", s)
		}
	})
}

// One operation is one record.
func BenchmarkMarket_All(b *testing.B) { benchMarket(b, DefaultConfig()) }
func BenchmarkMarket_Trades(b *testing.B) {
	c := DefaultConfig()
	c.Kinds = []market.Kind{market.KindTrade}
	benchMarket(b, c)
}
func BenchmarkMarket_Faults(b *testing.B) {
	c := DefaultConfig()
	c.Disorder, c.Duplicates, c.Late, c.Gaps, c.Corrupt = 100_000, 10_000, 1000, 100, 100
	benchMarket(b, c)
}

func benchMarket(b *testing.B, c Config) {
	c.Events, c.Rate = 0, 20_000
	m := start(b, c)
	var chunk market.Chunk
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += len(m.Truth()) {
		m.Next(&chunk)
	}
}

// Memory does not grow with the length of the run.
func TestMarket_IsBounded(t *testing.T) {
	c := DefaultConfig()
	c.Events, c.Rate = 0, 5000
	c.Disorder, c.Duplicates, c.Late, c.Gaps, c.Corrupt = 100_000, 10_000, 5000, 1000, 1000
	m := start(t, c)
	var chunk market.Chunk
	slots := 0
	for i := range 300 {
		if !m.Next(&chunk) {
			t.Fatal("an endless market ended")
		}
		if i == 100 {
			slots = len(m.q.slots)
		}
	}
	if n := len(m.q.slots); n > 2*slots {
		t.Errorf("%d records under way, %d before", n, slots)
	}
}
