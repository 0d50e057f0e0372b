package explain

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
)

const minute = 1762795440000000 // 2025-11-10T17:24:00Z

func write(t *testing.T, name, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

const handSpec = `view: hand
version: 1
from: trade
where: price < 1000
by: [exchange, market, symbol]
window: {tumbling: 1m}
features:
  high: max(price)
  bought: sum(quantity where side == buy)
  share: bought / sum(quantity)
`

// One event of each fate.
const handTrades = `kind,feed,exchange,market,symbol,event_ts,ingest_ts,seq,id,side,price,quantity
trade,kraken-spot,kraken,spot,BTC-USDT,1762795439000000,,,1,buy,99,1
trade,kraken-spot,kraken,spot,BTC-USDT,1762795440000000,,,2,buy,100.5,1
trade,kraken-spot,kraken,spot,BTC-USDT,1762795441000000,,,3,sell,101,3
trade,kraken-spot,kraken,spot,BTC-USDT,1762795440000000,,,2,buy,100.5,1
trade,kraken-spot,kraken,spot,BTC-USDT,1762795442000000,,,4,sell,5000,7
trade,kraken-spot,kraken,spot,BTC-USDT,1762795442500000,,,5,sell,-1,7
trade,kraken-spot,kraken,spot,ETH-USDT,1762795443000000,,,6,sell,50,7
trade,kraken-spot,kraken,spot,BTC-USDT,1762795470000000,,,7,buy,100,4
trade,kraken-spot,kraken,spot,BTC-USDT,1762795450000000,,,8,buy,120,9
trade,kraken-spot,kraken,spot,BTC-USDT,1762795500000000,,,9,buy,130,9
`

func TestExplain_EveryFate(t *testing.T) {
	want, err := os.ReadFile("testdata/fates.json")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"hand.yaml": handSpec, "trades.csv": handTrades} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	x, err := Explain(context.Background(), Config{View: "hand", Time: minute + 5, Entity: "kraken/spot/BTC-USDT", Specs: []string{"hand.yaml"}, Inputs: []string{"trades.csv"}})
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(x); err != nil {
		t.Fatal(err)
	}
	if string(want) != got.String() {
		t.Errorf("testdata/fates.json is not\n%s", got.String())
	}
	for _, want := range []string{"trades.csv:6  filtered where price < 1000", "computed from 3 events", "at trades.csv:4"} {
		if text := x.Text(term.Style{}); !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestExplain_Mistakes(t *testing.T) {
	spec, trades := write(t, "hand.yaml", handSpec), write(t, "trades.csv", handTrades)
	base := Config{View: "hand", Time: minute, Specs: []string{spec}, Inputs: []string{trades}}
	for want, change := range map[string]func(c *Config){
		"2 entities have a row then":               func(*Config) {},
		"did you mean kraken/spot/BTC-USDT?":       func(c *Config) { c.Entity = "kraken/spot/BTC-USD" },
		"write exchange/market/symbol":             func(c *Config) { c.Entity = "BTC-USDT" },
		"did you mean hand?":                       func(c *Config) { c.View = "hend" },
		"did you mean high?":                       func(c *Config) { c.Feature = "higgh" },
		"hand has no row for 2025-11-10T17:27:20Z": func(c *Config) { c.Time += 200 * market.Second },
		"more than 2 events are in reach, and all are kept in memory: a row of hand depends on 1m of trade events": func(c *Config) { c.most = 2 },
		"give --input only the files":              func(c *Config) { c.most, c.Entity = 2, "kraken/spot/BTC-USDT" },
		"kraken/spot/BTC-USDT has 1 of these rows": func(c *Config) { c.Nth, c.Entity = 2, "kraken/spot/BTC-USDT" },
		"no input given":                           func(c *Config) { c.Inputs = nil },
		"the nearest rows are of 2025-11-10T17:24:02Z and": func(c *Config) {
			c.View, c.Specs, c.Time, c.Entity = "trade_flags", nil, minute+3e6, "kraken/spot/BTC-USDT"
		},
	} {
		c := base
		change(&c)
		_, err := Explain(context.Background(), c)
		if err == nil {
			t.Errorf("no error, want %q", want)
			continue
		}
		if f := fault.From(err); !strings.Contains(f.Error()+f.Remedy, want) {
			t.Errorf("%v (%s), want %q", err, f.Remedy, want)
		}
	}
}

// rows runs a view and returns its rows by column.
func rows(t *testing.T, spec, in string, set ...string) []map[string]string {
	t.Helper()
	return rowsOf(t, []string{spec}, "", in, set...)
}

func rowsOf(t *testing.T, specs []string, view, in string, set ...string) []map[string]string {
	t.Helper()
	return rowsOfInputs(t, specs, view, []string{in}, set...)
}

func rowsOfInputs(t *testing.T, specs []string, view string, in []string, set ...string) []map[string]string {
	t.Helper()
	var out bytes.Buffer
	cfg := run.DefaultConfig()
	cfg.Specs, cfg.View, cfg.Inputs, cfg.Set = specs, view, in, set
	if _, err := run.Run(context.Background(), cfg, run.Env{Stdout: &out, Warn: func(string) {}}); err != nil {
		t.Fatal(err)
	}
	recs, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]string
	for _, r := range recs[1:] {
		m := map[string]string{}
		for i, h := range recs[0] {
			m[h] = r[i]
		}
		all = append(all, m)
	}
	return all
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// smaller are parameters with which bars end within the sample.
var smaller = map[string]string{"dollar_bars": "size=20000", "tick_bars": "size=7", "volume_bars": "size=0.4", "volume_imbalance_bars": "size=0.2",
	"vpin_buckets": "size=0.1", "vpin": "size=0.1", "btc_clock": "n=0.5", "alts_per_btc": "n=0.5"}

// notAlone are views of which the listed events alone make another row, and why.
var notAlone = map[string]string{
	"book_1s": "a book is all messages since its snapshot", "spread_median_5m": "a book is all messages since its snapshot",
	"vpin": "the first bucket begins with a part of an event", "vpin_buckets": "a bucket begins with a part of an event",
	"book_resyncs_5m": "the sequencer writes the events",
}

// noSample are kinds that the simulation does not write; their views are plain windows.
var noSample = []string{"liquidations_1m", "mark_bars_1m", "open_interest_5m"}

// Every feature of every shipped view: the value shown is the one that run writes, working
// it out again gives the same bits, and so does a run over nothing but the events that are
// listed and those after the row.
func TestExplain_IsWhatRunWrites(t *testing.T) {
	dir := t.TempDir()
	cfg := gen.DefaultConfig()
	cfg.Seed, cfg.Events, cfg.Rate, cfg.Symbols = 30, 6_000, 4, gen.Symbols(2)
	cfg.Late, cfg.Duplicates, cfg.Gaps = 4000, 10_000, 1000
	if _, err := gen.Write(t.Context(), cfg, gen.Output{Path: dir}); err != nil {
		t.Fatal(err)
	}
	for i, name := range specs.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var param []string
			if p, ok := smaller[name]; ok {
				param = []string{p}
			}
			c := Config{View: name, Set: param, Inputs: []string{dir}, Limit: 1}
			v := viewOf(t, name)
			all := rows(t, name, dir, param...)
			if len(all) == 0 && !slices.Contains(noSample, name) {
				t.Error("no rows in the sample")
			}
			rnd := rand.New(rand.NewPCG(uint64(i), 2)) //nolint:gosec // a test's choice of rows
			for k := range min(len(all), 2) {
				at := rnd.IntN(max(len(all)*3/4, 1))
				c.Time, c.Entity, c.Nth = number(t, all[at]["row_ts"]), entityOf(v.By, all[at]), nth(v.By, all, at)
				if k == 1 {
					c.Deep, c.Limit = true, 0
				}
				x := sameAs(t, c, all[at])
				if k == 1 && notAlone[name] == "" {
					listedAlone(t, c, v, x, all[at])
				}
			}
		})
	}
}

// sameAs explains a row and compares it with the one that run writes.
func sameAs(t *testing.T, c Config, row map[string]string) *Explanation {
	t.Helper()
	x, err := Explain(t.Context(), c)
	if err != nil {
		t.Fatalf("%v: %v", row, err)
	}
	for _, f := range x.Features {
		if f.Value != row[f.Name] || f.Recomputed != Equal && !strings.HasPrefix(f.Recomputed, "within") {
			t.Errorf("%s %s %s: run writes %q, shown %q, recomputed: %s (%s)", f.Name, x.Entity, x.RowTS, row[f.Name], f.Value, f.Recomputed, f.Numbers)
		}
	}
	return x
}

// listedAlone runs the view over the listed events, and what comes after the row to end it.
func listedAlone(t *testing.T, c Config, v *lang.View, x *Explanation, row map[string]string) {
	t.Helper()
	places := map[string]bool{}
	placesOf(&x.Inputs, places)
	dir := t.TempDir()
	files, _ := filepath.Glob(filepath.Join(c.Inputs[0], "*.csv"))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(string(text), "\n")
		at := slices.Index(strings.Split(strings.TrimSpace(lines[0]), ","), "event_ts")
		kept := []string{lines[0]}
		for i, line := range lines[1 : len(lines)-1] {
			if places[fmt.Sprintf("%s:%d", f, i+2)] || number(t, strings.Split(line, ",")[at]) > number(t, row["row_ts"]) {
				kept = append(kept, line)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f)), []byte(strings.Join(kept, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	specs := c.Specs
	if len(specs) == 0 {
		specs = []string{c.View}
	}
	for _, again := range rowsOf(t, specs, c.View, dir, c.Set...) {
		if again["row_ts"] == row["row_ts"] && entityOf(v.By, again) == c.Entity && again["window_start"] == row["window_start"] {
			for _, f := range v.Features {
				if again[f.Name] != row[f.Name] {
					t.Errorf("%s at %s: the %d listed events alone give %s, the row has %s", f.Name, x.RowTS, len(places), again[f.Name], row[f.Name])
				}
			}
			return
		}
	}
	t.Errorf("the %d listed events alone give no row at %s", len(places), x.RowTS)
}

func placesOf(in *Inputs, out map[string]bool) {
	for i := range in.Events {
		out[in.Events[i].Place] = true
	}
	for i := range in.Rows {
		if in.Rows[i].Inputs != nil {
			placesOf(in.Rows[i].Inputs, out)
		}
	}
}

func viewOf(t *testing.T, name string) *lang.View {
	t.Helper()
	set, _, err := run.Check([]string{name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set.Views[len(set.Views)-1]
}

func entityOf(by []string, row map[string]string) string {
	var parts []string
	for _, b := range by {
		parts = append(parts, row[b])
	}
	return strings.Join(parts, "/")
}

// nth counts the rows that only their place tells from row at, and itself.
func nth(by []string, all []map[string]string, at int) int {
	n := 1
	for i := range at {
		if all[i]["row_ts"] == all[at]["row_ts"] && entityOf(by, all[i]) == entityOf(by, all[at]) {
			n++
		}
	}
	return n
}

// A minute of real trades against the exchange's own candle of it: open, high, low, close,
// volume and number of trades are Kraken's, the vwap cut to one digit as it does.
func TestExplain_KrakensMinute(t *testing.T) {
	in := exdata.Path(t, "candles/kraken_xbtusdt_rest_trades_20251110.json.gz")
	x, err := Explain(t.Context(), Config{View: "trade_bars_1m", Time: krakenMinute + 7*market.Second, Inputs: []string{in}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range x.Features {
		want, ok := krakenCandle[f.Name]
		if got := f.Value; ok && got != want && f.Name != "vwap" || f.Name == "vwap" && !strings.HasPrefix(got, want) {
			t.Errorf("%s is %s, the exchange has %s", f.Name, got, want)
		}
		if f.Recomputed != Equal {
			t.Errorf("%s: recomputed: %s", f.Name, f.Recomputed)
		}
	}
	if strconv.Itoa(x.Count) != krakenCandle["trades"] || x.OutCount != 0 {
		t.Errorf("%d events went in, %d were left out", x.Count, x.OutCount)
	}
}

// The events of a rolling row are those of (t − w, t], t at or after the time given.
func TestExplain_RollingBounds(t *testing.T) {
	spec := write(t, "r.yaml", "view: r\nversion: 1\nfrom: trade\nby: [symbol]\nwindow: {rolling: 30s, every: 10s}\nfeatures: {n: count(), low: min(price)}\n")
	in := write(t, "t.csv", `kind,feed,exchange,market,symbol,event_ts,ingest_ts,seq,id,side,price,quantity
trade,kraken-spot,kraken,spot,BTC-USDT,1762795440000000,,,1,buy,9,1
trade,kraken-spot,kraken,spot,BTC-USDT,1762795440000001,,,2,buy,10,1
trade,kraken-spot,kraken,spot,BTC-USDT,1762795470000000,,,3,buy,11,1
trade,kraken-spot,kraken,spot,BTC-USDT,1762795470000001,,,4,buy,8,1
`)
	for _, at := range []int64{minute + 20*market.Second + 1, minute + 30*market.Second} {
		x, err := Explain(t.Context(), Config{View: "r", Time: at, Specs: []string{spec}, Inputs: []string{in}})
		if err != nil {
			t.Fatal(err)
		}
		if x.Count != 2 || x.Events[0].Place != in+":3" || x.Events[1].Place != in+":4" || x.Before == nil || x.Before.Place != in+":2" {
			t.Errorf("%+v", x)
		}
		if f := x.Features[1]; f.Value != "10" || f.Recomputed != Equal || f.Aggregates[0].Place != in+":3" {
			t.Errorf("%+v", f)
		}
	}
}

// A rollup lists the rows that were merged, the aggregates still point at events.
func TestExplain_Rollup(t *testing.T) {
	in := write(t, "trades.csv", handTrades)
	x, err := Explain(t.Context(), Config{View: "trade_bars_1h", Time: minute, Entity: "kraken/spot/BTC-USDT", Inputs: []string{in}, Feature: "high"})
	if err != nil {
		t.Fatal(err)
	}
	f := x.Features[0]
	if x.RowCount != 3 || x.Count != 6 || len(x.Features) != 1 || f.Value != "5000" || f.Recomputed != Equal || f.Aggregates[0].Place != in+":6" {
		t.Errorf("%+v", x)
	}
	if r := x.Rows[1]; r.Start != "2025-11-10T17:24:00Z" || r.Values[1] != (Column{"high", "5000"}) {
		t.Errorf("%+v", r)
	}
}

// krakenCandle is the candle that the exchange published for krakenMinute.
var krakenCandle = map[string]string{
	"open":   "105882.5",
	"high":   "105890.4",
	"low":    "105847.7",
	"close":  "105851.7",
	"vwap":   "105870.9",
	"volume": "1.12582153",
	"trades": "16",
}

const krakenMinute = 1762815060000000
