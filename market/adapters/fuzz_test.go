package adapters

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/market"
)

func testEnv() Env            { return Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments()} }
func newChunk() *market.Chunk { return new(market.Chunk) }

// fuzzAdapter feeds lines to a decoder: it must not panic, must say what became of each
// record in the contract's words, and what it appends must be whole. The same input
// gives the same events again.
func fuzzAdapter(f *testing.F, a *Adapter, files ...string) {
	for _, name := range files {
		lines := splitLines(readFile(f, name))
		var seed []byte
		for i, l := range lines[:min(len(lines), 600)] {
			if len(l) > 700 {
				l = l[:700]
			}
			if i < 3 || i%25 == 0 { // the header stands first
				seed = append(append(seed, l...), '\n')
			}
			if len(seed) > 1500 {
				f.Add(seed)
				seed = append(append([]byte(nil), lines[0][:min(len(lines[0]), 700)]...), '\n')
			}
		}
		f.Add(seed)
	}
	feeds := market.NewFeeds()
	f.Fuzz(func(t *testing.T, in []byte) {
		a.Detect(in)
		first, second := fuzzDecode(t, a, feeds, in), fuzzDecode(t, a, feeds, in)
		if !bytes.Equal(first, second) {
			t.Fatalf("two runs differ:\n%s\n%s", first, second)
		}
	})
}

func fuzzDecode(t *testing.T, a *Adapter, feeds *market.Feeds, in []byte) []byte {
	env := Env{Feeds: feeds, Insts: market.NewInstruments()}
	dec := a.New(env)
	var out market.Chunk
	var w bytes.Buffer
	check := func(before int, err error) {
		var bad *BadRecord
		switch {
		case err == nil:
		case errors.Is(err, ErrFiltered):
			if out.Len() != before {
				t.Fatalf("filtered record left %d rows", out.Len()-before)
			}
		case errors.As(err, &bad):
			if bad.Count < 1 || bad.Reason == "" {
				t.Fatalf("empty bad record %+v", bad)
			}
			w.WriteString(bad.Error())
		default:
			t.Fatalf("unknown error %v", err)
		}
	}
	var offset int64
	for len(in) > 0 && offset < 200 {
		var line []byte
		line, in, _ = bytes.Cut(in, []byte("\n"))
		offset++
		before := out.Len()
		check(before, dec.Decode(&Record{Data: line, Ingest: market.NoTime, Offset: offset}, &out))
	}
	if fl, ok := dec.(Flusher); ok {
		check(out.Len(), fl.Flush(&out))
	}
	checkChunk(t, &out)
	checkRules(t, &out)
	dump(&w, env, &out)
	return w.Bytes()
}

// checkRules fails on events that no adapter may let through.
func checkRules(t *testing.T, c *market.Chunk) {
	if b := c.Batches[market.KindTrade]; b != nil {
		for i := range b.N {
			if b.Cols[market.TradePrice].I64[i] <= 0 || b.Cols[market.TradeQuantity].I64[i] <= 0 || b.Cols[market.TradePrints].I64[i] < 1 {
				t.Fatalf("trade %d breaks a rule", i)
			}
		}
	}
	if b := c.Batches[market.KindBook]; b != nil {
		for _, k := range []int{market.BookBidPrice, market.BookAskPrice} {
			for i := range b.N {
				if len(b.Cols[k].Decs(i)) != len(b.Cols[k+1].Decs(i)) {
					t.Fatalf("book %d: %d prices, %d quantities", i, len(b.Cols[k].Decs(i)), len(b.Cols[k+1].Decs(i)))
				}
				for j, p := range b.Cols[k].Decs(i) {
					if p <= 0 || b.Cols[k+1].Decs(i)[j] < 0 {
						t.Fatalf("book %d breaks a rule", i)
					}
				}
			}
		}
	}
}

func FuzzBinance(f *testing.F) {
	f.Add([]byte(`{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL","q":"0.020","p":"9910.00","ap":"9910.12345678","z":"0.014","T":1568014460893}}`))
	f.Add([]byte(`{"stream":"!markPrice@arr","data":[{"e":"markPriceUpdate","E":1617309024002,"s":"BTCUSDT","p":"59022.5","i":"58936.6","r":"-0.00058959","T":1617321600000}]}`))
	fuzzAdapter(f, Binance, "rawstream/binance_cm_btcusd_perp_20240808.jsonl.gz", "captures/binance_usdm_20210722.jsonl.zst", "payloads/gct_binance_rest.jsonl.gz")
}

// What the scanner takes as it was sent is JSON, and means the same when it is rewritten.
func FuzzBinanceRewritten(f *testing.F) {
	for i, l := range rawstream(f, "cm_btcusd_perp_20240808") {
		if i%40 == 0 && len(l) < 500 && i < 1000 {
			f.Add(l)
		}
	}
	f.Add([]byte(`{"\":1,"e":"trade","E":1723161255343,"s":"BTCUSDT","t":1,"p":"1","q":"1","T":1723161255342,"m":true,"M":true}`))
	feeds := market.NewFeeds()
	f.Fuzz(func(t *testing.T, in []byte) {
		prefix, body := []byte(nil), trimSpace(in)
		if i := bytes.IndexByte(body, ' '); i > 0 && digits(body, 0) == i {
			prefix, body = body[:i+1], body[i+1:]
		}
		var out market.Chunk
		if bytes.ContainsRune(in, '\n') || isCapture(trimSpace(body)) {
			return
		}
		_ = Binance.New(Env{Feeds: feeds, Insts: market.NewInstruments()}).Decode(&Record{Data: in, Ingest: market.NoTime}, &out)
		if out.Len() > 0 && !json.Valid(body) {
			t.Fatalf("%d events of what is not JSON", out.Len())
		}
		norm, err := normalise(nil, body)
		if err != nil {
			return // not JSON, or names given twice where nobody looks
		}
		text := func(in []byte) string {
			return string(rawSize.ReplaceAll(fuzzDecode(t, Binance, feeds, in), nil))
		}
		a := text(in)
		b := text(append(append([]byte(nil), prefix...), norm...))
		if events := strings.Contains(a, " ts="); events != strings.Contains(b, " ts=") || events && a != b {
			t.Fatalf("as sent:   %s\nrewritten: %s", a, b)
		}
	})
}

var rawSize = regexp.MustCompile(` raw=\d+`)

func FuzzBinanceCSV(f *testing.F) {
	fuzzAdapter(f, BinanceCSV, "tapes/binance_cm_trxusd_perp_trades_20250304_positive.csv.gz", "orderbook/binance_spot_trxusdt_depth_20250304_negative.csv.gz",
		"orderbook/binance_spot_btcusdt_depthsnapshot5000_20250414_positive.csv.gz")
}

func FuzzTardisCSV(f *testing.F) {
	fuzzAdapter(f, TardisCSV, "tapes/binance_usdm_btcusdt_trades_20200222_tardis.csv.gz", "tapes/binance_usdm_btcusdt_quotes_20200222_tardis.csv.gz")
}
