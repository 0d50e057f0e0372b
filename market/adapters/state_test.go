package adapters_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
	"github.com/pinova-group/tidemark/market/canon"
)

// stateInputs are what the state of each adapter's decoder is tried with: files of the
// exchange data. An adapter without an entry fails the test.
var stateInputs = map[string][]string{
	"binance": {
		"captures/binance_spot_20211012.jsonl.zst", "captures/binance_us_20211012.jsonl.zst", "captures/binance_usdm_20210722.jsonl.zst",
		"rawstream/binance_cm_ethusd_perp_20240809.jsonl.gz", "rawstream/binance_spot_btcusdt_20240808.jsonl.gz",
		"rawstream/binance_usdm_ethusdt_20240808.jsonl.gz", "payloads/gct_binance_rest.jsonl.gz", "payloads/crypto_msg_parser_ws_messages.jsonl",
	},
	"binance-csv": {
		"orderbook/binance_cm_trxusd_perp_depth_20250304_positive.csv.gz", "orderbook/binance_spot_trxusdt_depth_20250304_negative.csv.gz",
		"orderbook/binance_spot_btcusdt_depthsnapshot5000_20250414_positive.csv.gz", "tapes/binance_spot_trxusdt_trades_20250304_negative.csv.gz",
	},
	"tardis-csv":   {"tapes/binance_usdm_btcusdt_trades_20200222_tardis.csv.gz", "tapes/binance_usdm_btcusdt_quotes_20200222_tardis.csv.gz"},
	"kraken":       {"captures/kraken_v1_20210417.jsonl.zst", "payloads/crypto_msg_parser_ws_messages.jsonl"},
	"kraken-rest":  {"candles/kraken_xbtusdt_rest_trades_20251110.json.gz", "candles/kraken_xbtusdt_rest_ohlc_1m_20251110.json.gz"},
	"coinbase":     {"captures/coinbase_advanced_20260809_btc_eth.jsonl.zst"},
	"coinbase-csv": {"tapes/coinbase_btcusd_trades_20230905T16Z.csv.gz"},
	"okx":          {"captures/okx_v5_20220513_btc.jsonl.zst", "payloads/tardis_node_mapper_messages.jsonl"},
	"bybit":        {"captures/bybit_v5_20260809_btc_eth.jsonl.zst", "orderbook/bybit_xrpusdt_ob500_20241201.jsonl.gz", "payloads/nautilus_adapter_market_payloads.jsonl"},
	"canonical":    nil, // its testdata, and what the others give
}

// stateLines are the first lines of the files of an adapter and of its testdata, one file
// behind the other, so that headers and markets change.
func stateLines(t testing.TB, a *adapters.Adapter, each int) [][]byte {
	files, ok := stateInputs[a.Name]
	if !ok {
		t.Fatalf("adapter %s has no input here", a.Name)
	}
	var out [][]byte
	for _, name := range files {
		text := readInput(t, exdata.Path(t, name))
		if a.Framing == adapters.Whole {
			out = append(out, text, text)
			continue
		}
		lines := bytes.Split(text, []byte("\n"))
		lines = lines[:min(len(lines), each)]
		out = append(out, lines...)
		out = append(out, lines[len(lines)-len(lines)/8:]...) // again, so that equal payloads are counted
	}
	if a.Name == "canonical" {
		for _, from := range []*adapters.Adapter{adapters.Kraken, adapters.Bybit} {
			out = append(out, canonicalLines(t, from, each/2)...)
		}
	}
	golden, err := filepath.Glob(map[bool]string{false: "testdata/*.golden", true: "../canon/testdata/*.*"}[a.Name == "canonical"])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range golden {
		for line := range bytes.Lines(readInput(t, name)) {
			line, input := bytes.CutPrefix(bytes.TrimSuffix(line, []byte("\n")), []byte("> "))
			if input || a.Name == "canonical" {
				out = append(out, line)
			}
		}
	}
	return out
}

// canonicalLines are the events of another adapter in the canonical form, those without a
// number twice.
func canonicalLines(t testing.TB, from *adapters.Adapter, each int) [][]byte {
	feeds, insts := market.NewFeeds(), market.NewInstruments()
	d := from.New(adapters.Env{Feeds: feeds, Insts: insts})
	var text bytes.Buffer
	w := canon.NewWriter(&text, canon.Options{Format: canon.JSONL}, feeds, insts)
	for i, line := range stateLines(t, from, each) {
		var c market.Chunk
		_ = d.Decode(&adapters.Record{Data: line, Ingest: market.NoTime, Offset: int64(i + 1)}, &c)
		for _, b := range c.Batches {
			if b == nil {
				continue
			}
			for range 2 {
				if err := w.Write(b); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return bytes.Split(text.Bytes(), []byte("\n"))
}

func readInput(t testing.TB, path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = bufio.NewReader(f)
	switch filepath.Ext(path) {
	case ".gz":
		if r, err = gzip.NewReader(r); err != nil {
			t.Fatal(err)
		}
	case ".zst":
		z, err := zstd.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	b, err := io.ReadAll(io.LimitReader(r, 4<<20)) // whole answers of Kraken are smaller
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// side is one of two decoders that are given the same records.
type side struct {
	a   *adapters.Adapter
	env adapters.Env
	dec adapters.Decoder
}

func newSide(a *adapters.Adapter, feed string) *side {
	s := &side{a: a, env: adapters.Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments(), Feed: feed}}
	s.dec = a.New(s.env)
	return s
}

// decode returns all that became of a record.
func (s *side) decode(rec *adapters.Record) string {
	var c market.Chunk
	err := s.dec.Decode(rec, &c)
	return s.text(&c, err)
}

func (s *side) flush() string {
	f, ok := s.dec.(adapters.Flusher)
	if !ok {
		return ""
	}
	var c market.Chunk
	err := f.Flush(&c)
	return s.text(&c, err)
}

func (s *side) text(c *market.Chunk, err error) string {
	var w strings.Builder
	if bad, ok := errors.AsType[*adapters.BadRecord](err); ok {
		fmt.Fprintf(&w, "%d × ", bad.Count)
	}
	fmt.Fprintln(&w, err)
	for _, b := range c.Batches {
		for i := 0; b != nil && i < b.N; i++ {
			fmt.Fprint(&w, b.Kind, s.env.Feeds.Get(b.Feed[i]).Name, s.env.Insts.Get(b.Inst[i]), b.Shard[i], b.EventTS[i],
				b.IngestTS[i], b.Seq[i], b.HasSeq[i], b.ID[i], b.RawBytes[i], b.Flags[i])
			for k := range b.Cols {
				x := &b.Cols[k]
				fmt.Fprint(&w, " ", x.IsNull(i))
				switch b.Fields[k].Type {
				case market.TypeText:
					fmt.Fprintf(&w, "%q", x.Text(i))
				case market.TypeDecs:
					fmt.Fprint(&w, x.Decs(i), x.Scale[i])
				case market.TypeDec:
					fmt.Fprint(&w, x.I64[i], x.Scale[i])
				default:
					fmt.Fprint(&w, x.I64[i])
				}
			}
			w.WriteByte('\n')
		}
	}
	return w.String()
}

func allAdapters() []*adapters.Adapter { return append(slices.Clone(adapters.Venues), canon.Adapter) }

// A decoder that is written down and made anew goes on like one that was left alone: in
// what it gives, in what it writes down, and in its fields.
func TestState_RestoredDecodersGoOn(t *testing.T) {
	for _, a := range allAdapters() {
		t.Run(a.Name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			goesOn(t, a, stateLines(t, a, 1500), func() bool { return rng.IntN(500) == 0 })
			short := slices.DeleteFunc(stateLines(t, a, 40), func(line []byte) bool { return len(line) > 4000 && a.Framing == adapters.Lines })
			n := 0
			goesOn(t, a, short, func() bool { n++; return n < 300 || rng.IntN(40) == 0 })
		})
	}
}

func goesOn(t *testing.T, a *adapters.Adapter, lines [][]byte, restart func() bool) {
	left, again := newSide(a, ""), newSide(a, "")
	conns := []string{"", "", "BINANCE.ws.1", "C.2"}
	for i, line := range lines {
		rec := adapters.Record{Data: line, Ingest: market.NoTime, Offset: int64(i + 1), Shard: uint16(i % 3), Conn: conns[i%len(conns)]}
		if i%5 == 0 {
			rec.Ingest = 1_700_000_000*market.Second + int64(i)
		}
		rec2 := rec
		if want, got := left.decode(&rec), again.decode(&rec2); got != want {
			t.Fatalf("record %d: %.200s\n got %.1000s\nwant %.1000s", i, line, got, want)
		}
		if !restart() {
			continue
		}
		snap := adapters.AppendSnapshot([]byte("x"), again.dec)[1:]
		if !bytes.Equal(snap, adapters.AppendSnapshot(nil, left.dec)) {
			t.Fatalf("record %d: the snapshot of a restored decoder differs", i)
		}
		again = newSide(a, "")
		if err := adapters.Restore(again.dec, snap); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		if want, got := fields(left.dec), fields(again.dec); got != want {
			t.Fatalf("record %d: fields that State leaves out, or that must be listed in unwritten:\n%s", i, differ(got, want))
		}
	}
	if want, got := left.flush(), again.flush(); got != want {
		t.Fatalf("flush:\n got %.1000s\nwant %.1000s", got, want)
	}
}

// unwritten are the fields that no snapshot has, because they say nothing of records to
// come: buffers, what Env says, and what was looked up last.
var unwritten = map[string]string{
	"session": "ids book env norm rec out size rows bad skip", "capture": "exchange conn url buf", "symbols": "by name lane",
	"lane": "feed inst offset prefix prefixes", "lanes": "env", "binMarkets": "last url conn place", "binInst": "main agg top",
	"binance": "msg book ids text norm env", "bdpDecoder": "ids text env rec row", "tardis": "ids row env text exchange place cache",
	"kraken": "", "okx": "", "coinbaseCSV": "", "coinbase": "conn ts trades", "bybit": "url urlLine line on",
	"decoder":  "env columns cells keyOrder lastKind lastLane laneKey vals bids asks idBuf payload envelope mixed",
	"bdpGroup": "poisoned key inst ts flags book shard offset size", // nothing when none is open
}

// fields prints the fields of a decoder but for those of unwritten.
func fields(d adapters.Decoder) string {
	var w strings.Builder
	printFields(&w, reflect.ValueOf(d), "")
	return w.String()
}

func printFields(w *strings.Builder, v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			printFields(w, v.Elem(), path)
		}
	case reflect.Struct:
		skip := strings.Fields(unwritten[v.Type().Name()])
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; !slices.Contains(skip, name) {
				printFields(w, v.Field(i), path+"."+name)
			}
		}
	case reflect.Map:
		var all []string
		for _, k := range v.MapKeys() {
			var key, value strings.Builder
			printFields(&key, k, "")
			printFields(&value, v.MapIndex(k), path+"["+key.String()+"]")
			all = append(all, "["+key.String()+"]"+value.String())
		}
		slices.Sort(all)
		for _, x := range all {
			fmt.Fprintf(w, "%s%s\n", path, x)
		}
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
			fmt.Fprintf(w, "%s=%x\n", path, v.Bytes())
			return
		}
		for i := range v.Len() {
			printFields(w, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Func, reflect.Interface, reflect.Chan:
		panic("fields of this kind have no text: " + path)
	default:
		fmt.Fprintf(w, "%s=%v\n", path, v)
	}
}

func differ(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf(" got %.300s\nwant %.300s", a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(a), len(b))
}

// Damage is an error, never a panic, and what is taken is a state that can be written again.
func TestState_DamageIsRefused(t *testing.T) {
	for _, a := range allAdapters() {
		d := newSide(a, "")
		for i, line := range stateLines(t, a, 40) {
			d.decode(&adapters.Record{Data: line, Ingest: market.NoTime, Offset: int64(i), Conn: "C.1"})
		}
		snap := adapters.AppendSnapshot(nil, d.dec)
		rng := rand.New(rand.NewPCG(3, 4))
		for range 60 {
			cut := snap[:rng.IntN(len(snap))]
			if err := adapters.Restore(newSide(a, "").dec, cut); !errors.Is(err, adapters.ErrState) {
				t.Fatalf("%s: %d of %d bytes: %v", a.Name, len(cut), len(snap), err)
			}
			hurt := bytes.Clone(snap)
			hurt[rng.IntN(len(hurt))] ^= 1 << rng.IntN(8)
			takes(t, a, hurt)
		}
		if err := adapters.Restore(newSide(a, "").dec, append(bytes.Clone(snap), 0)); !errors.Is(err, adapters.ErrState) {
			t.Fatalf("%s: with a byte more: %v", a.Name, err)
		}
	}
}

func takes(t *testing.T, a *adapters.Adapter, snap []byte) {
	s := newSide(a, "")
	if err := adapters.Restore(s.dec, snap); err != nil {
		if !errors.Is(err, adapters.ErrState) {
			t.Fatalf("%s: unknown error %v", a.Name, err)
		}
		return
	}
	for _, line := range []string{
		`{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1","q":"1","T":1723161255342,"m":true}`, `1,2,3,4,5,6,7,8`,
		`[321,[["57126.70000","0.02063928","1616333924.737428","b","m",""]],"trade","XBT/USD"]`,
	} {
		s.decode(&adapters.Record{Data: []byte(line), Ingest: market.NoTime})
	}
	s.flush()
	again := adapters.AppendSnapshot(nil, s.dec)
	if err := adapters.Restore(newSide(a, "").dec, again); err != nil {
		t.Fatalf("%s: a state that was taken cannot be written again: %v", a.Name, err)
	}
}

func FuzzState(f *testing.F) {
	for n, a := range allAdapters() {
		d := newSide(a, "")
		for i, line := range stateLines(f, a, 30) {
			if len(line) < 2000 {
				d.decode(&adapters.Record{Data: line, Ingest: market.NoTime, Offset: int64(i), Conn: "C.1"})
			}
		}
		f.Add(uint8(n), adapters.AppendSnapshot(nil, d.dec))
		f.Add(uint8(n), adapters.AppendSnapshot(nil, newSide(a, "").dec))
	}
	f.Fuzz(func(t *testing.T, n uint8, snap []byte) {
		all := allAdapters()
		takes(t, all[int(n)%len(all)], snap)
	})
}
