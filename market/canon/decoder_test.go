package canon

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
)

var update = flag.Bool("update", false, "rewrite golden files")

const header = "kind,feed,exchange,market,symbol,event_ts,ingest_ts,seq,id,side,price,quantity\n"

// good is a row that the malformed ones below differ from in one place.
const good = "trade,sim-alpha,alpha,spot,BTC-USDT,1760000000000000,1760000000020000,7,42,buy,67000.10,0.50\n"

func reason(err error) string {
	var bad *adapters.BadRecord
	switch {
	case err == nil:
		return ""
	case errors.As(err, &bad):
		return bad.Reason
	}
	return "not a BadRecord: " + err.Error()
}

// Each malformed row is refused with its reason; the good rows around it are kept.
func TestDecode_MalformedRows(t *testing.T) {
	t.Parallel()
	const hdr = header
	at := func(i int, v string) string {
		f := strings.Split(strings.TrimSuffix(good, "\n"), ",")
		f[i] = v
		return strings.Join(f, ",")
	}
	for _, c := range []struct{ row, want string }{
		{at(0, ""), "kind is missing"},
		{at(0, "trades"), "kind is not known"},
		{at(0, "quote"), "kind does not agree with the header"},
		{at(1, ""), badName},
		{at(1, "../x"), badName},
		{at(2, "a/b"), badName},
		{at(3, "swap"), "market is not spot, perp, future, option or index"},
		{at(4, ""), badSymbol},
		{at(4, "../etc"), badSymbol},
		{at(4, "BTC/USDT"), badSymbol},
		{at(5, ""), "event time is missing"},
		{at(5, "1760000000"), badTime},
		{at(5, "1760000000000"), badTime},
		{at(5, "1760000000000000000"), badTime},
		{at(5, "2025-10-09T08:53:20Z"), badTime},
		{at(5, "0"), badTime},
		{at(5, "-1760000000000000"), badTime},
		{at(5, "17600000000000001760000000000000"), badTime},
		{at(6, "1760000000"), badIngest},
		{at(6, "x"), badIngest},
		{at(7, "-1"), "seq is not a whole number"},
		{at(7, "1.5"), "seq is not a whole number"},
		{at(7, "18446744073709551616"), "seq is not a whole number"},
		{at(8, "a\x01"), "id has control characters"},
		{at(8, "a\xff"), "id is not UTF-8"},
		{at(9, "BUY"), "side is not one of its words"},
		{at(9, "bid"), "side is not one of its words"},
		{at(10, ""), "value is missing"},
		{at(10, "0"), badPrice},
		{at(10, "-67000.1"), badPrice},
		{at(10, "0.000"), badPrice},
		{at(10, "NaN"), badNumber},
		{at(10, "1,5"), badFields},
		{at(10, "0x10"), badNumber},
		{at(10, "1e400"), badNumber},
		{at(10, "99999999999999999999"), badNumber},
		{at(10, " 67000"), badNumber},
		{at(11, "0"), badQuantity},
		{at(11, "-1"), badQuantity},
		{at(11, ""), "value is missing"},
		{"trade,sim-alpha", badFields},
		{strings.TrimSuffix(good, "\n") + ",", badFields},
		{at(8, `"42`), "quotes are not by RFC 4180"},
		{at(8, `4"2`), "quotes are not by RFC 4180"},
		{at(8, `"4"2`), "quotes are not by RFC 4180"},
		{at(8, `"42",x`), badFields},
		{"\x00\x01\x02", badFields},
		{`{"kind":"trade"`, badJSON},
		{`{"kind":"trade"} x`, badJSON},
		{`{"kind":"trade",}`, badJSON},
		{`{kind:"trade"}`, badJSON},
		{`{"kind":'trade'}`, badJSON},
		{`{"kind":{"a":1}}`, badJSON},
		{`{"kind":"trade","pirce":"1"}`, "column is not known"},
		{`{"kind":"trade","kind":"trade"}`, "name appears twice"},
		{`{}`, "kind is missing"},
	} {
		w := newWorld()
		var out market.Chunk
		errs := w.readAll([]byte(hdr+good+c.row+"\n"+strings.Replace(good, ",42,", ",43,", 1)), &out)
		if errs[0] != nil || errs[1] != nil || errs[3] != nil {
			t.Errorf("%q: a good line was refused: %v", c.row, errs)
		}
		if got := reason(errs[2]); got != c.want {
			t.Errorf("%q: reason %q, want %q", c.row, got, c.want)
		}
		if n := out.Batch(market.KindTrade).N; n != 2 {
			t.Errorf("%q: %d rows, want the 2 good ones", c.row, n)
		}
	}
}

// The rules of the other kinds, as JSON payloads.
func TestDecode_MalformedKinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, payload, want string }{
		{"quote", `"bid_price":"2","ask_price":"1.99"`, badCrossed},
		{"quote", `"bid_price":"2","ask_price":"2.0"`, ""},
		{"quote", `"bid_price":"0"`, badPrice},
		{"quote", `"bid_quantity":"1"`, "quote has neither bid nor ask"},
		{"quote", `"bid_price":"1","bid_quantity":"-1"`, badNegative},
		{"quote", `"bid_price":[]`, badNumber},
		{"book", `"bids":[]`, "origin is missing"},
		{"orderbook.delta", `"origin":"venue"`, "origin does not agree with the kind"},
		{"orderbook.snapshot", `"origin":"delta"`, "origin does not agree with the kind"},
		{"orderbook.snapshot", `"origin":"rest","bids":[["1","2"]],"asks":[["1.5","0"]]`, ""},
		{"orderbook.snapshot", `"bids":[["1","2"],["2","1"]],"asks":[["3","1"],["1.5","1"]]`, badBook},
		{"orderbook.delta", `"bids":[["2","2"]],"asks":[["1","1"]]`, ""},
		{"orderbook.delta", `"bids":[["1"]]`, badLevels},
		{"orderbook.delta", `"bids":["1","2"]`, badLevels},
		{"orderbook.delta", `"bids":[["1","2","3"]]`, badLevels},
		{"orderbook.delta", `"bids":[[["1"],"2"]]`, badLevels},
		{"orderbook.delta", `"bids":[[[["1"]]]]`, badJSON},
		{"orderbook.delta", `"bids":[["1","2"],]`, badJSON},
		{"orderbook.delta", `"bids":"1:2|3"`, badLevels},
		{"orderbook.delta", `"bids":7`, badLevels},
		{"orderbook.delta", `"bids":[["x","2"]]`, badNumber},
		{"orderbook.delta", `"bids":[["0","2"]]`, badPrice},
		{"orderbook.delta", `"bids":[["1","-2"]]`, badNegative},
		{"orderbook.delta", `"bids":[["9000000000000000000","1"],["0.000000001","1"]]`, badScale},
		{"funding", `"rate":"-0.0001"`, ""},
		{"funding", `"form":"settled"`, "value is missing"},
		{"funding", `"rate":"0","form":"x"`, "form is not one of its words"},
		{"funding", `"rate":"0","next_ts":1760000000`, "next_ts out of range"},
		{"liquidation", `"price":"1","quantity":"0"`, badQuantity},
		{"candle", `"interval":60000000,"open_ts":1760000000000000,"open":"2","high":"3","low":"1","close":"3.1","volume":"1"`, "candle has a price outside of low and high"},
		{"candle", `"interval":60000000,"open_ts":1760000000000000,"open":"2","high":"3","low":"1","close":"2","volume":"0"`, ""},
		{"candle", `"interval":0,"open_ts":1760000000000000,"open":"2","high":"3","low":"1","close":"2","volume":"0"`, "interval is not positive"},
		{"candle", `"interval":1,"open_ts":1760000000000000,"open":"2","high":"3","low":"1","close":"2","volume":"-1"`, badNegative},
		{"mark_price", `"price":"0"`, badPrice},
		{"mark_price", `"price":"1","index_price":"-1"`, badPrice},
		{"open_interest", `"quantity":"-1"`, badNegative},
		{"instrument", `"tick_size":"0"`, "size is not positive"},
		{"instrument", ``, ""},
		{"instrument", `"inverse":"maybe"`, "inverse is not true or false"},
		{"status", ``, "value is missing"},
		{"status", `"state":"gap","from_seq":-1`, "from_seq is not a whole number"},
		{"watermark", ``, ""},
		{"watermark", `"shard":70000`, "shard is not in 0..65535"},
	} {
		row := `{"kind":"` + c.kind + `","feed":"f","exchange":"e","market":"perp","symbol":"BTC-USDT","event_ts":1760000000000000`
		if c.payload != "" {
			row += "," + c.payload
		}
		var out market.Chunk
		errs := newWorld().readAll([]byte(row+"}"), &out)
		if got := reason(errs[0]); got != c.want {
			t.Errorf("%s %s: reason %q, want %q (%v)", c.kind, c.payload, got, c.want, errs[0])
		}
		if out.Len() != 0 && c.want != "" {
			t.Errorf("%s %s: refused, but a row was appended", c.kind, c.payload)
		}
	}
}

func TestDecode_BadHeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ head, want, detail string }{
		{"kind,feed,exchange,market,symbol,event_ts,pirce", "column is not known", `pirce (did you mean price?)`},
		{"kind,feed,exchange,market,symbol,event_time", "column is not known", `event_time (did you mean event_ts?)`},
		{"kind,feed,exchange,market,symbol,event_ts,zzzzzzzzzzzz", "column is not known", "zzzzzzzzzzzz"},
		{"kind,feed,exchange,market,symbol,event_ts,price,qty", "column is not known", "qty (did you mean quantity?)"},
		{"kind,feed,exchange,market,symbol,Timestamp", "column is not known", "Timestamp (did you mean event_ts?)"},
		{"kind,feed,exchange,market,symbol,event_ts,ask_size", "column is not known", "ask_size (did you mean ask_quantity?)"},
		{"kind,kind,feed,exchange,market,symbol,event_ts", "column appears twice", "kind"},
		{"kind,feed,exchange,market,event_ts", "column is missing in the header", "symbol"},
		{"", "", ""},
	} {
		errs := newWorld().readAll([]byte(c.head+"\n"+good), &market.Chunk{})
		if got := reason(errs[0]); got != c.want {
			t.Errorf("%q: reason %q, want %q", c.head, got, c.want)
			continue
		}
		var bad *adapters.BadRecord
		if errors.As(errs[0], &bad) && bad.Detail != c.detail {
			t.Errorf("%q: detail %q, want %q", c.head, bad.Detail, c.detail)
		}
		if errs[1] == nil {
			t.Errorf("%q: a row was read without a header", c.head)
		}
	}
}

// The words of other formats lead to columns that exist and are not themselves columns.
func TestOtherWords(t *testing.T) {
	t.Parallel()
	for from, to := range otherWords {
		if _, ok := columns.byName[to]; !ok {
			t.Errorf("%s leads to %s, which is no column", from, to)
		}
		if _, ok := columns.byName[from]; ok {
			t.Errorf("%s is a column", from)
		}
	}
}

// A row of a kind that the header cannot carry says which column is missing.
func TestDecode_NamesMissingColumns(t *testing.T) {
	t.Parallel()
	const envelope = "kind,feed,exchange,market,symbol,event_ts"
	const row = ",sim-alpha,alpha,spot,BTC-USDT,1760000000000000"
	for _, c := range []struct{ head, row, want string }{
		{envelope + ",price", "trade" + row + ",1", "trade (column is missing: quantity)"},
		{envelope + ",side", "trade" + row + ",buy", "trade (column is missing: price, quantity)"},
		{envelope, "quote" + row, "quote (one of these columns is wanted: bid_price, bid_quantity, ask_price, ask_quantity)"},
		{envelope + ",interval,open_ts,open,high,low,close", "candle" + row + ",1,1,1,1,1,1", "candle (column is missing: volume)"},
	} {
		errs := newWorld().readAll([]byte(c.head+"\n"+c.row+"\n"), &market.Chunk{})
		var bad *adapters.BadRecord
		if !errors.As(errs[1], &bad) || bad.Reason != "kind does not agree with the header" || bad.Detail != c.want {
			t.Errorf("%s: %v, want %q", c.head, errs[1], c.want)
		}
	}
}

// A time in the wrong unit is refused with the unit that it seems to be in.
func TestDecode_TimeUnitHint(t *testing.T) {
	t.Parallel()
	for ts, want := range map[string]string{
		"1760000000": "seconds", "1760000000000": "milliseconds", "1760000000000000000": "nanoseconds", "17": "whole microseconds",
	} {
		row := strings.Replace(good, "1760000000000000", ts, 1)
		errs := newWorld().readAll([]byte(header+row), &market.Chunk{})
		if errs[1] == nil || !strings.Contains(errs[1].Error(), want) {
			t.Errorf("%s: %v does not say %q", ts, errs[1], want)
		}
	}
}

// Any order of columns, quotes, CR LF, a byte order mark, joined files: same rows.
func TestDecode_Variants(t *testing.T) {
	t.Parallel()
	base := newWorld()
	want := rowsOf(base.read(t, []byte(header+good)).Batch(market.KindTrade))
	for name, text := range map[string]string{
		"other order": "price,quantity,side,id,seq,ingest_ts,event_ts,symbol,market,exchange,feed,kind\n" +
			"67000.10,0.50,buy,42,7,1760000000020000,1760000000000000,BTC-USDT,spot,alpha,sim-alpha,trade\n",
		"quotes":       header + strings.ReplaceAll(strings.ReplaceAll(`"`+good, ",", `","`), "\n", "\"\n"),
		"cr lf":        strings.ReplaceAll(header+good, "\n", "\r\n"),
		"bom":          "\xef\xbb\xbf" + header + good,
		"blank lines":  "\n" + header + "\n" + good + "\n",
		"header again": header + good + header,
		"more columns": strings.Replace(header, "quantity", "quantity,prints,rate,bids,epoch", 1) + strings.Replace(good, "0.50", "0.50,1,,,4", 1),
		"jsonl": `{"kind":"trade","feed":"sim-alpha","exchange":"alpha","market":"spot","symbol":"BTC-USDT","event_ts":1760000000000000,` +
			`"ingest_ts":1760000000020000,"seq":7,"id":"42","side":"buy","price":"67000.10","quantity":"0.50"}`,
		"jsonl numbers": ` { "event_ts" : 1760000000000000 , "id":42, "price":67000.10, "quantity":0.50, "side":"buy", "seq":"7",` +
			`"ingest_ts":1760000000020000,"symbol":"BTC\u002dUSDT","market":"spot","exchange":"alpha","feed":"sim-alpha","kind":"trade","prints":null} `,
	} {
		text = strings.TrimPrefix(text, " ")
		w := newWorld()
		if got := rowsOf(w.read(t, []byte(text)).Batch(market.KindTrade)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// CSV and JSONL of the same events give the same identities, and the identity does not
// depend on times, column order or the transport.
func TestDecode_Identity(t *testing.T) {
	t.Parallel()
	ids := func(text string) []market.ID {
		var out market.Chunk
		for _, err := range newWorld().readAll([]byte(text), &out) {
			if err != nil {
				t.Fatal(err)
			}
		}
		return out.Batch(market.KindTrade).ID
	}
	noID := strings.Replace(good, ",42,", ",,", 1)
	noSeq := strings.Replace(noID, ",7,", ",,", 1)
	a := ids(header + good + noID + noSeq + noSeq + strings.Replace(noSeq, "1760000000020000", "1760000000030000", 1) + noSeq)
	seen := map[market.ID]int{}
	for i, id := range a {
		if j, dup := seen[id]; dup {
			t.Errorf("rows %d and %d have one id", i, j)
		}
		seen[id] = i
	}
	if b := ids(header + strings.Replace(good, "1760000000000000", "1760000000000999", 1)); b[0] != a[0] {
		t.Error("the time of a trade with a venue id changes its identity")
	}
	prefix := market.IDPrefix("sim-alpha", "alpha", market.Spot, "BTC-USDT", "trade")
	if want, _ := market.EventID(nil, prefix, []byte("42")); want != a[0] {
		t.Error("identity by venue id is not market.EventID of it")
	}
	if want, _ := market.EventID(nil, prefix, []byte("#7")); want != a[1] {
		t.Error("identity by seq is not market.EventID of #seq")
	}
	if b := ids(header + noSeq + noSeq); b[0] != a[2] || b[1] != a[3] {
		t.Error("identity of a row without id and seq differs between inputs")
	}
}

func TestDecode_FeedOverride(t *testing.T) {
	t.Parallel()
	w := newWorld()
	env := w.env()
	env.Feed = "sim-beta"
	d := Adapter.New(env)
	var out market.Chunk
	for i, l := range []string{header, good} {
		if err := d.Decode(&adapters.Record{Data: []byte(l), Offset: int64(i + 1), Shard: 3}, &out); err != nil {
			t.Fatal(err)
		}
	}
	b := out.Batch(market.KindTrade)
	if b.Feed[0] != w.feeds.Intern("sim-beta") || b.Shard[0] != 3 {
		t.Errorf("feed %d shard %d", b.Feed[0], b.Shard[0])
	}
}

// Names from the input fill no registry without bound.
func TestDecode_BoundedRegistries(t *testing.T) {
	t.Parallel()
	w := newWorld()
	d := Adapter.New(w.env())
	var out market.Chunk
	refused := 0
	for i := range 3000 {
		row := fmt.Sprintf(`{"kind":"watermark","feed":"f%d","exchange":"e","market":"spot","symbol":"A","event_ts":1760000000000000}`, i)
		if d.Decode(&adapters.Record{Data: []byte(row)}, &out) != nil {
			refused++
		}
	}
	if refused != 3000-maxNewFeeds {
		t.Errorf("%d refused", refused)
	}
	var o ordinals
	for i := range 4 * generation {
		o.next(market.ID{byte(i), byte(i >> 8), byte(i >> 16)})
	}
	if n := len(o.now) + len(o.before); n > 2*generation {
		t.Errorf("%d identities kept", n)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		header + good: 100, "\xef\xbb\xbf" + header: 100, "\n\n" + header: 100,
		`{"kind":"trade","feed":"f","exchange":"e","market":"spot","symbol":"A","event_ts":1}`: 95,
		`{"e":"trade","E":1,"s":"BTCUSDT"}`:                                                    0,
		"exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n":                     0,
		"kind,feed,exchange,market,symbol,event_time\n":                                        40,
		"": 0, "\n": 0, "\x1f\x8b\x08": 0, "{": 0,
	} {
		if got := Adapter.Detect([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// The files of testdata stay readable forever and are written byte by byte the same.
func TestGolden(t *testing.T) {
	t.Parallel()
	for k := market.KindTrade; k <= market.KindWatermark; k++ {
		for _, o := range []Options{{Format: CSV, Kind: k}, {Format: JSONL}} {
			name := filepath.Join("testdata", k.String()+[]string{".csv", ".jsonl"}[o.Format])
			if *update {
				w := newWorld()
				text := w.write(t, o, rapid.Custom(func(t *rapid.T) *market.Batch { return drawBatch(t, w, k) }).Filter(
					func(b *market.Batch) bool { return b.N >= 3 && onePrint(b) }).Example(int(k)))
				if err := os.WriteFile(name, text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld()
			b := w.read(t, text).Batch(k)
			if b.N < 2 {
				t.Errorf("%s: %d rows", name, b.N)
			}
			if got := w.write(t, o, b); !bytes.Equal(got, text) {
				t.Errorf("%s: written differently:\n%s\n%s", name, got, text)
			}
		}
	}
}

func onePrint(b *market.Batch) bool {
	if b.Kind == market.KindTrade {
		for i := range b.N {
			b.Cols[market.TradePrints].I64[i] = 1
		}
	}
	return true
}

func TestWriter_Refuses(t *testing.T) {
	t.Parallel()
	w := newWorld()
	b := w.read(t, []byte(strings.Replace(header, "id", "prints,id", 1)+strings.Replace(good, ",42,", ",3,42,", 1))).Batch(market.KindTrade)
	var buf bytes.Buffer
	if err := NewWriter(&buf, Options{Format: CSV, Kind: market.KindTrade}, w.feeds, w.insts).Write(b); !errors.Is(err, ErrNoColumn) {
		t.Errorf("prints lost: %v", err)
	}
	if err := NewWriter(&buf, Options{Format: CSV, Kind: market.KindQuote}, w.feeds, w.insts).Write(b); !errors.Is(err, ErrNoColumn) {
		t.Errorf("trade in a file of quotes: %v", err)
	}
	b.Cols[market.TradeVenueID].Bytes[0] = '\n'
	if err := NewWriter(&buf, Options{Format: JSONL}, w.feeds, w.insts).Write(b); !errors.Is(err, ErrNoColumn) {
		t.Errorf("line break in an id: %v", err)
	}
	if buf.Len() != 0 {
		t.Errorf("wrote %q", buf.String())
	}
}

// Decoding a row allocates nothing once its instrument is known.
func TestDecode_NoAllocation(t *testing.T) {
	w := newWorld()
	d := Adapter.New(w.env())
	var out market.Chunk
	_ = d.Decode(&adapters.Record{Data: []byte(header)}, &out)
	json := []byte(`{"kind":"trade","feed":"f","exchange":"e","market":"spot","symbol":"A","event_ts":1760000000000000,"id":"1","price":"1.5","quantity":"2"}`)
	recs := []adapters.Record{{Data: []byte(strings.TrimSuffix(good, "\n"))}, {Data: json}}
	run := func() {
		out.Reset()
		for i := range recs {
			if err := d.Decode(&recs[i], &out); err != nil {
				t.Fatal(err)
			}
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzDecode: no input panics, what is accepted survives a round trip through both formats.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(header + good))
	files, _ := filepath.Glob("testdata/*.*l*")
	more, _ := filepath.Glob("testdata/*.csv")
	for _, p := range append(files, more...) {
		if text, err := os.ReadFile(p); err == nil {
			f.Add(text)
		}
	}
	f.Add([]byte(header + strings.Replace(good, "42", `"4""2"`, 1)))
	f.Fuzz(func(t *testing.T, text []byte) {
		w := newWorld()
		var out market.Chunk
		for _, err := range w.readAll(text, &out) {
			if err != nil && strings.HasPrefix(reason(err), "not a BadRecord") {
				t.Fatal(err)
			}
		}
		_ = Adapter.Detect(text)
		for _, b := range out.Batches {
			if b == nil || b.N == 0 {
				continue
			}
			for _, o := range []Options{{Format: CSV, Kind: b.Kind, Prints: true, Shard: true}, {Format: JSONL, Shard: true}} {
				first := w.write(t, o, b)
				again := w.write(t, o, w.read(t, first).Batch(b.Kind))
				if !bytes.Equal(first, again) {
					t.Fatalf("round trip differs:\n%s\n%s", first, again)
				}
			}
		}
	})
}
