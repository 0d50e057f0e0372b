package adapters

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/market"
)

func TestBinance_Golden(t *testing.T) { golden(t, Binance, "binance.golden") }

// Files and what their README says is in them.
var rawstreams = []struct {
	name                  string
	feed, symbol          string
	venue                 market.Venue
	trades, books, quotes int // books: depthUpdates and snapshots
}{
	{"spot_btcusdt_20240808", "binance-spot", "BTC-USDT", market.Spot, 9757, 3451 + 1, 28040},
	{"spot_btcusdt_20240809", "binance-spot", "BTC-USDT", market.Spot, 10147, 3044, 45134},
	{"spot_ethusdt_20240808", "binance-spot", "ETH-USDT", market.Spot, 6106, 3434 + 1, 24077},
	{"spot_ethusdt_20240809", "binance-spot", "ETH-USDT", market.Spot, 8409, 3036, 34681},
	{"usdm_btcusdt_20240808", "binance-usdm", "BTC-USDT", market.Perp, 21313, 6551 + 1, 66089},
	{"usdm_ethusdt_20240808", "binance-usdm", "ETH-USDT", market.Perp, 14076, 6586 + 1, 53992},
	{"cm_btcusd_perp_20240808", "binance-coinm", "BTC-USD", market.Perp, 2286, 26847 + 1, 19136},
	{"cm_btcusd_perp_20240809", "binance-coinm", "BTC-USD", market.Perp, 2949, 17948, 29219},
	{"cm_ethusd_perp_20240808", "binance-coinm", "ETH-USD", market.Perp, 1732, 22909 + 1, 15812},
	{"cm_ethusd_perp_20240809", "binance-coinm", "ETH-USD", market.Perp, 1863, 16246, 19751},
}

func rawstream(t testing.TB, name string) [][]byte {
	t.Helper()
	return splitLines(readFile(t, "rawstream/binance_"+name+".jsonl.gz"))
}

// Every recorded stream holds what its README says, in unbroken chains across files, and
// decodes to what encoding/json and plain code make of it.
func TestBinance_RecordedStreams(t *testing.T) {
	t.Parallel()
	ends := map[string][2]uint64{} // last trade and last update of the day before
	for _, f := range rawstreams {
		lines := rawstream(t, f.name)
		d := decodeLines(t, Binance, Env{}, lines)
		if !testing.Short() || f.name == "usdm_ethusdt_20240808" {
			equalsEncodingJSON(t, f.name, plain{env: d.env, feed: f.feed, v: f.venue, sym: f.symbol}, lines, &d.chunk)
		}
		want := map[string]int{"trade": f.trades, "book": f.books, "quote": f.quotes}
		if diff := cmp.Diff(want, d.counts()); diff != "" {
			t.Errorf("%s: counts differ (-want +got):\n%s", f.name, diff)
		}
		if len(d.bad)+len(d.filtered) > 0 {
			t.Errorf("%s: bad %v, filtered %v", f.name, d.bad, d.filtered)
		}
		x := market.Instrument{Exchange: "binance", Venue: f.venue, Symbol: f.symbol}
		x.Base, x.Quote = market.SplitSymbol(f.symbol)
		if d.env.Insts.Len() != 1 || d.env.Insts.Get(0) != x {
			t.Errorf("%s: instrument %+v of %d, want %+v", f.name, d.env.Insts.Get(0), d.env.Insts.Len(), x)
		}
		for k, b := range d.chunk.Batches {
			if b != nil && b.N > 0 && d.env.Feeds.Get(b.Feed[0]).Name != f.feed {
				t.Errorf("%s: %v goes to feed %v", f.name, market.Kind(k), d.env.Feeds.Get(b.Feed[0]))
			}
		}
		market, day, _ := strings.Cut(f.name, "_2024")
		last := ends[market]
		if day == "0808" {
			last = [2]uint64{}
		}
		ends[market] = checkChains(t, f.name, d, last)
	}
}

// checkChains walks trade ids (rising by one) and book updates (spot: U is the last u
// plus one; futures: pu is the last u), from those of the file before.
func checkChains(t *testing.T, name string, d *decoded, last [2]uint64) [2]uint64 {
	t.Helper()
	trades := d.chunk.Batches[market.KindTrade]
	for i, n := range trades.Seq {
		if last[0] != 0 && n != last[0]+1 {
			t.Errorf("%s: trade %d follows %d", name, n, last[0])
		}
		if string(trades.Cols[market.TradeVenueID].Text(i)) != fmt.Sprint(n) {
			t.Errorf("%s: trade %d has id %s", name, n, trades.Cols[market.TradeVenueID].Text(i))
		}
		last[0] = n
	}
	books := d.chunk.Batches[market.KindBook]
	for i, n := range books.Seq {
		if books.Cols[market.BookOrigin].I64[i] != market.OriginDelta {
			if books.Cols[market.BookOrigin].I64[i] != market.OriginREST || len(books.Cols[market.BookBidPrice].Decs(i)) != 1000 {
				t.Errorf("%s: book %d is no snapshot of 1000 levels", name, n)
			}
			continue
		}
		first, prev := uint64(books.Cols[market.BookFirstSeq].I64[i]), uint64(books.Cols[market.BookPrevSeq].I64[i])
		if books.Cols[market.BookPrevSeq].IsNull(i) {
			prev = first - 1
		}
		if last[1] != 0 && prev != last[1] {
			t.Errorf("%s: update %d..%d follows %d", name, first, n, last[1])
		}
		last[1] = n
	}
	return last
}

// equalsEncodingJSON checks that the scanner and encoding/json make the same events of
// everything that was recorded.
func equalsEncodingJSON(t *testing.T, name string, p plain, lines [][]byte, got *market.Chunk) {
	t.Helper()
	var want market.Chunk
	for i, l := range lines {
		if err := p.decode(l, &want); err != nil {
			t.Fatalf("%s: line %d: %v", name, i+1, err)
		}
	}
	for k := range got.Batches {
		if !reflect.DeepEqual(want.Batches[k], got.Batches[k]) {
			d := cmp.Diff(want.Batches[k], got.Batches[k])
			t.Errorf("%s: %v differs (-encoding/json +scanner):\n%.2000s", name, market.Kind(k), d)
		}
	}
}

// A record reads the same however its JSON is written: members in another order, more
// space, escapes.
func TestBinance_GeneralPathEqualsFast(t *testing.T) {
	t.Parallel()
	lines := rawstream(t, "usdm_btcusdt_20240808")[:4000]
	var other [][]byte
	for _, l := range lines {
		prefix, body, _ := bytes.Cut(l, []byte(" "))
		var m map[string]json.RawMessage
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatal(err)
		}
		if m["data"] != nil { // data before stream, members sorted, escapes
			var data map[string]any
			dec := json.NewDecoder(bytes.NewReader(m["data"]))
			dec.UseNumber()
			if err := dec.Decode(&data); err != nil {
				t.Fatal(err)
			}
			sorted, err := json.MarshalIndent(map[string]any{"data": data, "stream": m["stream"]}, "", "\t")
			if err != nil {
				t.Fatal(err)
			}
			body = bytes.ReplaceAll(sorted, []byte(`"BTCUSDT"`), []byte(`"BTC\u0055SDT"`))
		}
		body = bytes.ReplaceAll(body, []byte("\n"), []byte(" "))
		other = append(other, append(append(append([]byte(nil), prefix...), ' '), body...))
	}
	env := Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments()}
	a, b := decodeLines(t, Binance, env, lines), decodeLines(t, Binance, env, other)
	for k := range a.chunk.Batches {
		if y := b.chunk.Batches[k]; y != nil {
			copy(y.RawBytes, a.chunk.Batches[k].RawBytes)
		}
		if d := cmp.Diff(a.chunk.Batches[k], b.chunk.Batches[k]); d != "" {
			t.Errorf("%v differs (-as sent +rewritten):\n%.2000s", market.Kind(k), d)
		}
	}
}

func TestBinance_Captures(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		name     string
		messages int // socket messages, by the README
		want     map[string]int
	}{
		{"binance_spot_20211012", 265, map[string]int{"instrument": 1695, "book": 177 + 4, "quote": 84, "trade": 2, "candle": 2}},
		{"binance_usdm_20210722", 1535, map[string]int{"instrument": 122, "book": 764 + 4, "quote": 613, "trade": 91, "candle": 67}},
		{"binance_us_20211012", 480, map[string]int{"instrument": 121, "book": 336 + 4, "quote": 128, "trade": 11, "candle": 5}},
	} {
		lines := splitLines(readFile(t, "captures/"+f.name+".jsonl.zst"))
		d := decodeLines(t, Binance, Env{}, lines)
		if diff := cmp.Diff(f.want, d.counts()); diff != "" {
			t.Errorf("%s: counts differ (-want +got):\n%s", f.name, diff)
		}
		if len(d.bad) > 0 {
			t.Errorf("%s: bad %v", f.name, d.badAt)
		}
		n := 0
		for k, c := range d.counts() {
			if k != "instrument" {
				n += c
			}
		}
		if n-4 != f.messages {
			t.Errorf("%s: %d events of socket messages, want %d", f.name, n-4, f.messages)
		}
		if u := d.env.Feeds.Unknown(); len(u) > 0 {
			t.Errorf("%s: unknown feeds %v", f.name, u)
		}
		checkBookChains(t, f.name, d)
	}
}

// checkBookChains checks that in each instrument's book the deltas follow each other.
func checkBookChains(t *testing.T, name string, d *decoded) {
	t.Helper()
	b := d.chunk.Batches[market.KindBook]
	last := map[market.Inst]uint64{}
	for i, n := range b.Seq {
		if b.Cols[market.BookOrigin].I64[i] != market.OriginDelta {
			continue
		}
		prev := uint64(b.Cols[market.BookPrevSeq].I64[i])
		if b.Cols[market.BookPrevSeq].IsNull(i) {
			prev = uint64(b.Cols[market.BookFirstSeq].I64[i]) - 1
		}
		if l := last[b.Inst[i]]; l != 0 && prev != l {
			t.Errorf("%s: %s: update after %d follows %d", name, d.env.Insts.Get(b.Inst[i]).Symbol, prev, l)
		}
		last[b.Inst[i]] = n
	}
}

func TestBinance_RESTAnswers(t *testing.T) {
	t.Parallel()
	d := decodeLines(t, Binance, Env{}, splitLines(readFile(t, "funding/gct_binance_fundingRate_responses.jsonl")))
	if diff := cmp.Diff(map[string]int{"funding": 150}, d.counts()); diff != "" || len(d.bad) > 0 {
		t.Errorf("funding: bad %v, counts differ (-want +got):\n%s", d.bad, diff)
	}
	d = decodeLines(t, Binance, Env{}, splitLines(readFile(t, "payloads/gct_binance_rest.jsonl.gz")))
	want := map[string]int{"book": 7, "candle": 4545, "funding": 181, "mark_price": 17, "open_interest": 23, "trade": 2596}
	if diff := cmp.Diff(want, d.counts()); diff != "" {
		t.Errorf("rest: counts differ (-want +got):\n%s", diff)
	}
	// Nine aggregate trades were typed by hand: their member m is named "".
	if diff := cmp.Diff(map[string]int{badField: 9}, d.bad); diff != "" {
		t.Errorf("rest: bad records differ (-want +got):\n%s", diff)
	}
	// The one spot book has no time at all, but its market has: it takes the newest.
	b := d.chunk.Batches[market.KindBook]
	for i := range b.N {
		if spot := d.env.Insts.Get(b.Inst[i]).Venue == market.Spot; spot != (b.Flags[i]&market.FlagAssumed != 0) {
			t.Errorf("rest: book %d: spot %v, flags %d", i, spot, b.Flags[i])
		}
	}
}

// Other projects' recorded messages give the kinds that their authors sorted them under.
func TestBinance_Payloads(t *testing.T) {
	t.Parallel()
	kinds := map[string]string{
		"trade": "trade", "l2_event": "book", "l2_topk": "book", "l2_snapshot": "book", "bbo": "quote", "candlestick": "candle",
		"funding_rate": "funding", "open_interest": "open_interest", "ticker": "",
	}
	// The market where the message alone does not tell: what a capture's URL would say.
	urls := map[string]string{"spot": "wss://stream.binance.com/ws", "linear_swap": "wss://fstream.binance.com/ws", "linear_future": "wss://fstream.binance.com/ws"}
	venues := map[string]market.Venue{"spot": market.Spot, "linear_swap": market.Perp, "inverse_swap": market.Perp, "linear_future": market.Future, "inverse_future": market.Future}
	n := 0
	for _, l := range splitLines(readFile(t, "payloads/crypto_msg_parser_ws_messages.jsonl")) {
		var m struct{ Exchange, Kind, Case, Src, Raw string }
		if err := json.Unmarshal(l, &m); err != nil || m.Exchange != "binance" {
			continue
		}
		n++
		env := Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments()}
		dec := Binance.New(env)
		var out market.Chunk
		err := dec.Decode(&Record{Data: []byte(m.Raw), Ingest: 1654336844754000, URL: urls[m.Case]}, &out)
		want := kinds[m.Kind]
		if m.Case == "option" {
			want = ""
		}
		if want == "" {
			if out.Len() != 0 || err == nil || !strings.HasPrefix(err.Error(), "filtered") {
				t.Errorf("%s %s: %d events, %v; want it dropped", m.Kind, m.Src, out.Len(), err)
			}
			continue
		}
		if m.Kind == "l2_snapshot" && out.Len() == 0 { // no symbol in it: its market's only one is wanted
			continue
		}
		k, _ := market.ParseKind(want)
		if err != nil || out.Batches[k] == nil || out.Batches[k].N == 0 {
			t.Errorf("%s %s: %v, no %s", m.Kind, m.Src, err, want)
			continue
		}
		dated := strings.Contains(env.Insts.Get(0).Symbol, "-2")
		if x, v := env.Insts.Get(0), venues[strings.TrimSuffix(strings.TrimSuffix(m.Case, "_2"), "_all")]; m.Kind != "bbo" && (x.Venue != v || dated != (v == market.Future)) {
			t.Errorf("%s %s %s: instrument %+v", m.Kind, m.Case, m.Src, x)
		}
	}
	if n != 51 {
		t.Errorf("%d messages of Binance, README says 51", n)
	}
}

func TestBinance_Detect(t *testing.T) {
	t.Parallel()
	files := map[string]*Adapter{
		"captures/binance_spot_20211012.jsonl.zst":                                  Binance,
		"captures/binance_usdm_20210722.jsonl.zst":                                  Binance,
		"captures/binance_us_20211012.jsonl.zst":                                    Binance,
		"funding/gct_binance_fundingRate_responses.jsonl":                           Binance,
		"payloads/gct_binance_rest.jsonl.gz":                                        Binance,
		"tapes/binance_spot_trxusdt_trades_20250304_positive.csv.gz":                BinanceCSV,
		"tapes/binance_spot_trxusdt_trades_20250304_negative.csv.gz":                BinanceCSV,
		"tapes/binance_cm_trxusd_perp_trades_20250304_positive.csv.gz":              BinanceCSV,
		"orderbook/binance_spot_trxusdt_depth_20250304_positive.csv.gz":             BinanceCSV,
		"orderbook/binance_spot_trxusdt_depth_20250304_negative.csv.gz":             BinanceCSV,
		"orderbook/binance_cm_trxusd_perp_depth_20250304_positive.csv.gz":           BinanceCSV,
		"orderbook/binance_spot_btcusdt_depthsnapshot5000_20250414_positive.csv.gz": BinanceCSV,
		"tapes/binance_usdm_btcusdt_trades_20200222_tardis.csv.gz":                  TardisCSV,
		"tapes/binance_usdm_btcusdt_quotes_20200222_tardis.csv.gz":                  TardisCSV,
	}
	for _, f := range rawstreams {
		files["rawstream/binance_"+f.name+".jsonl.gz"] = Binance
	}
	for name, want := range files {
		if got := Detect(readHead(t, name, 64<<10)); got != want {
			t.Errorf("%s: detected as %v", name, got)
		}
	}
	// Not ours.
	for _, name := range []string{
		"rawstream/hyperliquid_btc_20250126.jsonl.gz", "captures/bybit_v5_20260809_btc_eth.jsonl.zst", "captures/kraken_v1_20210417.jsonl.zst",
		"captures/kucoin_20210425.jsonl.zst", "captures/gateio_20210422.jsonl.zst", "orderbook/bybit_xrpusdt_ob500_20241201.jsonl.gz",
		"payloads/gct_gemini_rest.jsonl.gz", "payloads/tardis_node_mapper_messages.jsonl", "payloads/crypto_msg_parser_ws_messages.jsonl", "tapes/coinbase_btcusd_trades_20230905T16Z.csv.gz",
		"candles/kraken_xbtusdt_rest_trades_20251110.json.gz", "funding/lean_bybit_margin_interest_btcusd.csv",
	} {
		head := readHead(t, name, 64<<10)
		for _, a := range []*Adapter{Binance, BinanceCSV, TardisCSV} {
			if n := a.Detect(head); n > 0 {
				t.Errorf("%s: %s is %d sure", name, a.Name, n)
			}
		}
	}
}

func TestBinance_DetectBareMessages(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]bool{
		`{"stream":"btcusdt@trade","data":{"e":"trade","E":1,`:                             true,
		`1723161254087896568 {"stream":"btcusdt@bookTicker","data":{"u":1,"s":"X","b":"1"`: true,
		`{"e":"aggTrade","E":1616176861895,"s":"BTCUSDT"`:                                  true,
		`[{"e":"markPriceUpdate","E":1617309024002`:                                        true,
		`{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"1","A":"1"}`:                            true,
		`{"lastUpdateId":1,"bids":[],"asks":[]}`:                                           true,
		"\x00\x01\n" + `{"e":"trade","E":1,"s":"X"}`:                                       true,
		"\xef\xbb\xbf" + `{"e":"trade","E":1,"s":"X"}`:                                     true,
		`{"kind":"trade","feed":"binance-usdm","e":"trade","event_ts":1}`:                  false,
		`{"a":1}`: false, "": false, "{": false, "17": false, "17 ": false, "[": false, `{"t":"header","exchange":"KRAKEN"}`: false, "\x00\xff": false,
	} {
		if got := Binance.Detect([]byte(head)) > 0; got != want {
			t.Errorf("%q: %v, want %v", head, got, want)
		}
	}
}

// In steady state an event costs no allocation.
func TestBinance_AllocatesNothing(t *testing.T) {
	lines := rawstream(t, "usdm_btcusdt_20240808")[:5000]
	dec := Binance.New(Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments()})
	var out market.Chunk
	rec := &Record{}
	run := func() {
		for i, l := range lines {
			*rec = Record{Data: l, Ingest: market.NoTime, Offset: int64(i)}
			if err := dec.Decode(rec, &out); err != nil {
				t.Fatal(err)
			}
		}
		out.Reset()
	}
	run()
	if n := testing.AllocsPerRun(3, run); n > 10 {
		t.Errorf("%v allocations for %d lines", n, len(lines))
	}
}
