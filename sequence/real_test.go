package sequence_test

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
	"github.com/pinova-group/tidemark/market/book"
	"github.com/pinova-group/tidemark/sequence"
)

// tape is what the sequencer made of recorded files.
type tape struct {
	seq   *sequence.Sequencer
	insts *market.Instruments
	out   sequence.Out
	bad   map[string]int
}

func open(t testing.TB, name string) io.ReadCloser {
	t.Helper()
	f, err := os.Open(exdata.Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	switch {
	case strings.HasSuffix(name, ".gz"):
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		return z
	case strings.HasSuffix(name, ".zst"):
		z, err := zstd.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		return z.IOReadCloser()
	}
	return f
}

// play sends files, one after the other on one line, through their adapter and the
// sequencer, some records a chunk. All lines are opened first: some captures have one
// connection after the other, not by time.
func play(t *testing.T, adapter string, names ...string) *tape {
	t.Helper()
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	p := &tape{insts: insts, bad: map[string]int{}}
	chunks := p.decode(t, adapters.Env{Feeds: feeds, Insts: insts}, adapter, names...)
	s, err := sequence.New(sequence.DefaultConfig(feeds, insts))
	if err != nil {
		t.Fatal(err)
	}
	p.seq = s
	openLines(s, chunks)
	for _, c := range chunks {
		if err := s.Push(c); err != nil {
			t.Fatal(err)
		}
		s.Advance(&p.out)
		if n := s.Counts(); n.In != n.Applied+n.Late+n.Duplicate+n.DLQ+n.Filtered+n.Pending {
			t.Fatalf("account does not balance: %+v", n)
		}
	}
	s.Close(&p.out)
	p.ordered(t)
	return p
}

// decode makes chunks of some records each.
func (p *tape) decode(t testing.TB, env adapters.Env, adapter string, names ...string) []*market.Chunk {
	t.Helper()
	chunks := []*market.Chunk{{}}
	note := func(err error) {
		if bad, ok := errors.AsType[*adapters.BadRecord](err); ok {
			p.bad[bad.Reason] += bad.Count
		} else if err != nil && !errors.Is(err, adapters.ErrFiltered) {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		dec := adapters.Find(adapter).New(env)
		sc := bufio.NewScanner(open(t, name))
		sc.Buffer(make([]byte, 1<<20), adapters.MaxLine)
		n := int64(0)
		for sc.Scan() {
			n++
			note(dec.Decode(&adapters.Record{Data: sc.Bytes(), Ingest: market.NoTime, Offset: n}, chunks[len(chunks)-1]))
			if n%97 == 0 {
				chunks = append(chunks, new(market.Chunk))
			}
		}
		if sc.Err() != nil {
			t.Fatal(sc.Err())
		}
		if f, ok := dec.(adapters.Flusher); ok {
			note(f.Flush(chunks[len(chunks)-1]))
		}
	}
	return chunks
}

func openLines(s *sequence.Sequencer, chunks []*market.Chunk) {
	for _, c := range chunks {
		for k, b := range c.Batches {
			for i := 0; b != nil && i < b.N; i++ {
				if k != int(market.KindBook) || b.Cols[market.BookOrigin].I64[i] != market.OriginREST {
					s.OpenLine(b.Feed[i], b.Shard[i], market.Kind(k))
				}
			}
		}
	}
}

func (p *tape) batch(k market.Kind) *market.Batch { return p.out.Rows.Batch(k) }

func (p *tape) ordered(t *testing.T) {
	t.Helper()
	nums := p.insts.Numbers()
	for _, b := range p.out.Rows.Batches {
		if b == nil {
			continue
		}
		for i := 1; i < b.N; i++ {
			if b.Key(i-1, nums).Compare(b.Key(i, nums)) > 0 {
				t.Fatalf("%v: row %d out of order", b.Kind, i)
			}
		}
	}
}

// status counts status rows by state and reason.
func (p *tape) status() map[string]int {
	b := p.batch(market.KindStatus)
	m := map[string]int{}
	for i := range b.N {
		m[market.StatusWords[b.Cols[market.StatusState].I64[i]]+": "+string(b.Cols[market.StatusReason].Text(i))]++
	}
	return m
}

// flags counts the rows of a kind that carry a flag.
func (p *tape) flags(k market.Kind, flag uint8) int {
	n := 0
	for _, f := range p.batch(k).Flags {
		if f&flag != 0 {
			n++
		}
	}
	return n
}

// rebuild replays the sequenced rows of each instrument, as a consumer does: a snapshot
// replaces, FlagGap voids, keyframes must equal the book. It returns the deltas applied
// to a live book and those before a snapshot.
func (p *tape) rebuild(t *testing.T) (live, waiting, keyframes int) {
	t.Helper()
	b := p.batch(market.KindBook)
	books := map[market.Inst]*book.Book{}
	for i := range b.N {
		inst := b.Inst[i]
		bids, asks := book.LevelsOf(b.Cols, i)
		origin := b.Cols[market.BookOrigin].I64[i]
		k := books[inst]
		switch {
		case origin == market.OriginKeyframe:
			keyframes++
			var own book.Book
			if err := own.Replace(bids, asks); err != nil {
				t.Fatal(err)
			}
			if k == nil || !slices.Equal(own.AppendSnapshot(nil), k.AppendSnapshot(nil)) {
				t.Fatalf("keyframe at %s differs from the book", market.FormatTime(b.TS[i]))
			}
		case origin != market.OriginDelta:
			if k == nil {
				k = new(book.Book)
				books[inst] = k
			}
			if err := k.Replace(bids, asks); err != nil {
				t.Fatal(err)
			}
		case b.Flags[i]&market.FlagGap != 0:
			delete(books, inst)
			waiting++
		case k == nil:
			waiting++
		default:
			live++
			if err := k.Apply(bids, asks); err != nil {
				t.Fatal(err)
			}
			if d := &b.Cols[market.BookDepth]; !d.IsNull(i) {
				k.Truncate(int(d.I64[i]))
			}
			if k.Crossed() {
				t.Fatalf("book crossed at %s", market.FormatTime(b.TS[i]))
			}
		}
	}
	return live, waiting, keyframes
}

func TestReal_BinanceRawStreamsAreCleanChains(t *testing.T) {
	for _, c := range []struct {
		market, symbol string
		days           int
		trades, deltas int
	}{
		{"spot", "btcusdt", 2, 9757 + 10147, 3451 + 3044},
		{"spot", "ethusdt", 2, 6106 + 8409, 3434 + 3036},
		{"usdm", "btcusdt", 1, 0, 6551},
		{"usdm", "ethusdt", 1, 0, 6586},
		{"cm", "btcusd_perp", 2, 0, 26847 + 17948},
		{"cm", "ethusd_perp", 2, 0, 22909 + 16246},
	} {
		t.Run(c.market+"/"+c.symbol, func(t *testing.T) {
			t.Parallel()
			var names []string
			for d := range c.days {
				names = append(names, fmt.Sprintf("rawstream/binance_%s_%s_2024080%d.jsonl.gz", c.market, c.symbol, 8+d))
			}
			p := play(t, "binance", names...)
			if len(p.bad) > 0 || len(p.out.Dead) > 0 || p.out.Late.Len() > 0 || len(p.status()) > 0 {
				t.Errorf("bad %v, dead %v, late %d, status %v", p.bad, p.out.Dead, p.out.Late.Len(), p.status())
			}
			live, waiting, keyframes := p.rebuild(t)
			if live+waiting != c.deltas || waiting > 200 || keyframes < c.days {
				t.Errorf("%d deltas to a live book, %d before its snapshot, want %d in all; %d keyframes", live, waiting, c.deltas, keyframes)
			}
			if n := p.batch(market.KindTrade).N; c.trades > 0 && n != c.trades {
				t.Errorf("%d trades, want %d", n, c.trades)
			}
			if n := p.flags(market.KindTrade, market.FlagGap) + p.flags(market.KindBook, market.FlagGap); n > 0 {
				t.Errorf("%d gaps", n)
			}
			t.Logf("%+v, keyframes %d, waiting %d, clamped %d", p.seq.Counts(), keyframes, waiting, p.flags(market.KindBook, market.FlagClamped))
		})
	}
}

func TestReal_KrakenChecksumsVerify(t *testing.T) {
	p := play(t, "kraken", "captures/kraken_v1_20210417.jsonl.zst")
	b := p.batch(market.KindBook)
	sums := 0
	for i := range b.N {
		if !b.Cols[market.BookChecksum].IsNull(i) {
			sums++
		}
	}
	live, waiting, _ := p.rebuild(t)
	if len(p.status()) > 0 || len(p.out.Dead) > 0 || p.out.Late.Len() > 0 || waiting > 0 || sums != 4269 {
		t.Errorf("status %v, dead %d, late %d, %d checksums, %d live, %d waiting", p.status(), len(p.out.Dead), p.out.Late.Len(), sums, live, waiting)
	}
	t.Logf("%+v %v clamped %d", p.seq.Counts(), p.bad, p.flags(market.KindBook, market.FlagClamped))
}

func TestReal_OtherVenuesAreClean(t *testing.T) {
	for _, c := range []struct {
		adapter, name             string
		live, waiting, late, dups int
	}{
		{"okx", "captures/okx_v5_20220513_btc.jsonl.zst", 195, 0, 0, 0}, // each with its checksum
		{"bybit", "captures/bybit_v5_20260809_btc_eth.jsonl.zst", 1381, 0, 0, 0},
		{"bybit", "orderbook/bybit_xrpusdt_ob500_20241201.jsonl.gz", 49, 0, 0, 0},
		// On subscription ETH's trades of the minute before come after BTC's.
		{"coinbase", "captures/coinbase_advanced_20260809_btc_eth.jsonl.zst", 773, 0, 88, 0},
		{"binance", "captures/binance_spot_20211012.jsonl.zst", 172, 5, 0, 0},
		{"binance", "captures/binance_usdm_20210722.jsonl.zst", 749, 15, 0, 0},
		{"binance-csv", "tapes/binance_spot_trxusdt_trades_20250304_positive.csv.gz", 0, 0, 0, 0},
		{"binance-csv", "tapes/binance_cm_trxusd_perp_trades_20250304_positive.csv.gz", 0, 0, 0, 0},
		{"binance-csv", "orderbook/binance_spot_trxusdt_depth_20250304_positive.csv.gz", 0, 2833, 0, 0},
		// Its last row was moved to the end of the day and so is an update of its own.
		{"binance-csv", "orderbook/binance_cm_trxusd_perp_depth_20250304_positive.csv.gz", 0, 1149, 0, 1},
		{"binance-csv", "orderbook/binance_spot_btcusdt_depthsnapshot5000_20250414_positive.csv.gz", 0, 0, 0, 0},
		{"tardis-csv", "tapes/binance_usdm_btcusdt_trades_20200222_tardis.csv.gz", 0, 0, 0, 0},
		{"tardis-csv", "tapes/binance_usdm_btcusdt_quotes_20200222_tardis.csv.gz", 0, 0, 0, 0},
		{"coinbase-csv", "tapes/coinbase_btcusd_trades_20230905T16Z.csv.gz", 0, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := play(t, c.adapter, c.name)
			n := p.seq.Counts()
			if len(p.bad) > 0 || n.DLQ > 0 || int(n.Late) != c.late || int(n.Duplicate) != c.dups || n.Filtered > 0 || len(p.status()) > 0 {
				t.Errorf("bad %v, status %v, %+v", p.bad, p.status(), n)
			}
			if live, waiting, _ := p.rebuild(t); live != c.live || waiting != c.waiting {
				t.Errorf("deltas: %d live, %d waiting", live, waiting)
			}
		})
	}
}

// The tapes that their author spoiled give what he spoiled and nothing else.
func TestReal_SpoiledTapes(t *testing.T) {
	p := play(t, "binance-csv", "tapes/binance_spot_trxusdt_trades_20250304_negative.csv.gz")
	n := p.seq.Counts()
	// Line 4 repeats the id of line 3, so its own id is missing.
	if n.Duplicate != 1 || n.Applied != 9999 || n.Late+n.DLQ+n.Filtered != 0 || len(p.bad) > 0 {
		t.Errorf("trades: %+v, bad %v", n, p.bad)
	}
	st := p.batch(market.KindStatus)
	if st.N != 1 || st.Cols[market.StatusFromSeq].I64[0] != 348656872 || st.Cols[market.StatusToSeq].I64[0] != 348656872 || p.flags(market.KindTrade, market.FlagGap) != 1 {
		t.Errorf("trades: status %v", p.status())
	}

	p = play(t, "binance-csv", "orderbook/binance_spot_trxusdt_depth_20250304_negative.csv.gz")
	n = p.seq.Counts()
	bad := 0
	for _, k := range p.bad {
		bad += k
	}
	// Lines 2 (time 0, price -1) and 9 (other time than 10 of the same update) are refused by the
	// adapter with their updates; the one of lines 9 and 10 then is a hole.
	if bad != 2 || n.Applied != 2831 || n.Applied != n.In {
		t.Errorf("depth: %+v, bad %v", n, p.bad)
	}
	st = p.batch(market.KindStatus)
	if st.N != 1 || st.Cols[market.StatusFromSeq].I64[0] != 5434434570 || st.Cols[market.StatusToSeq].I64[0] != 5434434571 || p.flags(market.KindBook, market.FlagGap) != 1 {
		t.Errorf("depth: status %v", p.status())
	}
}

// later moves recorded rows to the next day, with ids and numbers of their own: what comes
// after a day is another one, for a sequencer that is running.
func later(chunks []*market.Chunk) {
	const numbers = 1 << 32 // more than a day takes
	for _, c := range chunks {
		for k, b := range c.Batches {
			if b == nil {
				continue
			}
			for i := range b.N {
				b.EventTS[i] += market.Day
				if b.IngestTS[i] != market.NoTime {
					b.IngestTS[i] += market.Day
				}
				b.Seq[i] += numbers
				binary.BigEndian.PutUint64(b.ID[i][:], binary.BigEndian.Uint64(b.ID[i][:])*0x9e3779b97f4a7c15+1)
			}
			if k == int(market.KindBook) {
				for _, col := range [2]int{market.BookFirstSeq, market.BookPrevSeq} {
					for i := range b.Cols[col].I64 {
						b.Cols[col].I64[i] += numbers
					}
				}
			}
		}
	}
}

// One op is one event of a recorded day: trades, quotes and book deltas of one market, or of
// all three through one sequencer in the order of their arrival. A sequencer that has seen a
// day takes one day after the other. Chunks come as an adapter leaves them, just written: a
// day of tens of MB read from memory would be what is measured. Only Push and Advance count;
// "least" is of the day that other work on the machine disturbed least.
func BenchmarkRealStream(b *testing.B) {
	days := []string{"binance_spot_btcusdt", "binance_usdm_btcusdt", "binance_cm_btcusd_perp"}
	for _, names := range [][]string{days[:1], days[1:2], days[2:], days} {
		name := names[0]
		if len(names) > 1 {
			name = "all"
		}
		b.Run(name, func(b *testing.B) {
			feeds, insts := market.NewFeeds(), market.NewInstruments()
			var chunks []*market.Chunk
			for _, name := range names {
				p := &tape{insts: insts, bad: map[string]int{}}
				chunks = append(chunks, p.decode(b, adapters.Env{Feeds: feeds, Insts: insts}, "binance", "rawstream/"+name+"_20240808.jsonl.gz")...)
			}
			slices.SortStableFunc(chunks, func(a, b *market.Chunk) int { return cmp.Compare(arrival(a), arrival(b)) })
			var out sequence.Out
			var cpu, done, levels, rows int64
			least := int64(math.MaxInt64)
			for _, c := range chunks {
				rows += int64(c.Len())
				if x := c.Batches[market.KindBook]; x != nil {
					levels += int64(len(x.Cols[market.BookBidPrice].I64) + len(x.Cols[market.BookAskPrice].I64))
				}
			}
			s, err := sequence.New(sequence.DefaultConfig(feeds, insts))
			if err != nil {
				b.Fatal(err)
			}
			var warm [8]market.Chunk
			day := func() {
				took := int64(0)
				for group := range slices.Chunk(chunks, len(warm)) {
					for i, c := range group {
						warm[i].Reset()
						for k, x := range c.Batches {
							if x != nil {
								warm[i].Batch(market.Kind(k)).AppendRows(x, 0, x.N)
							}
						}
					}
					at := sequence.CPUTime(b)
					for i := range group {
						if err := s.Push(&warm[i]); err != nil {
							b.Fatal(err)
						}
						out.Reset()
						s.Advance(&out)
					}
					took += sequence.CPUTime(b) - at
				}
				cpu, least = cpu+took, min(least, took)
				done += rows
				later(chunks)
			}
			day()
			cpu, done = 0, 0
			b.ReportAllocs()
			b.ResetTimer()
			for done < int64(b.N) {
				day()
			}
			// The first rows of a market may come after others have gone past their time.
			if n := s.Counts(); n.Applied+n.Pending+n.Late != n.In || n.Late > n.In/1000 {
				b.Fatalf("%+v", n)
			}
			b.ReportMetric(float64(cpu)/float64(done), "cpu-ns/op")
			b.ReportMetric(float64(least)/float64(rows), "least-ns/op")
			b.ReportMetric(float64(levels)/float64(rows), "levels/op")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// arrival is when the first event of a chunk came.
func arrival(c *market.Chunk) int64 {
	t := int64(math.MaxInt64)
	for _, b := range c.Batches {
		if b != nil && b.N > 0 {
			t = min(t, b.IngestTS[0])
		}
	}
	return t
}

// One op is one level of the recorded book rows, applied to a bare book: the part of
// BenchmarkRealStream that no order, identity or copy can save.
func BenchmarkRealBook(b *testing.B) {
	for _, name := range []string{"binance_spot_btcusdt", "binance_usdm_btcusdt", "binance_cm_btcusd_perp"} {
		b.Run(name, func(b *testing.B) {
			feeds, insts := market.NewFeeds(), market.NewInstruments()
			p := &tape{insts: insts, bad: map[string]int{}}
			chunks := p.decode(b, adapters.Env{Feeds: feeds, Insts: insts}, "binance", "rawstream/"+name+"_20240808.jsonl.gz")
			var cpu, done int64
			b.ResetTimer()
			for done < int64(b.N) {
				var k book.Book
				at := sequence.CPUTime(b)
				for _, c := range chunks {
					x := c.Batches[market.KindBook]
					for i := 0; x != nil && i < x.N; i++ {
						if x.Cols[market.BookOrigin].I64[i] != market.OriginDelta {
							k.Reset()
						}
						if err := k.ApplyRow(x.Cols, i); err != nil {
							b.Fatal(err)
						}
						done += int64(len(x.Cols[market.BookBidPrice].Decs(i)) + len(x.Cols[market.BookAskPrice].Decs(i)))
					}
				}
				cpu += sequence.CPUTime(b) - at
			}
			b.ReportMetric(float64(cpu)/float64(done), "cpu-ns/op")
		})
	}
}
