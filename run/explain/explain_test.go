package explain

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
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
		"2 entities have a row then":                      func(*Config) {},
		"did you mean kraken/spot/BTC-USDT?":              func(c *Config) { c.Entity = "kraken/spot/BTC-USD" },
		"write exchange/market/symbol":                    func(c *Config) { c.Entity = "BTC-USDT" },
		"did you mean hand?":                              func(c *Config) { c.View = "hend" },
		"did you mean high?":                              func(c *Config) { c.Feature = "higgh" },
		"hand has no row for 2025-11-10T17:27:20Z":        func(c *Config) { c.Time += 200 * market.Second },
		"no input given":                                  func(c *Config) { c.Inputs = nil },
		"does not follow the rows of trade_flags; it tak": func(c *Config) { c.View, c.Specs = "trade_flags", nil },
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
func rows(t *testing.T, spec, in string) []map[string]string {
	t.Helper()
	var out bytes.Buffer
	cfg := run.DefaultConfig()
	cfg.Specs, cfg.Inputs = []string{spec}, []string{in}
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

// notExplained are the shipped views with a window of time that explain refuses, and why.
var notExplained = map[string]string{"lead_lag_5m": "several kinds", "provider_ratio_1s": "joins", "realized_5m": "scans"}

// Every feature of every shipped view with a window of time: the value shown is the one
// that run writes, and working it out again gives the same bits.
func TestExplain_IsWhatRunWrites(t *testing.T) {
	dir := t.TempDir()
	cfg := gen.DefaultConfig()
	cfg.Seed, cfg.Events, cfg.Rate, cfg.Symbols = 30, 12_000, 8, gen.Symbols(2)
	cfg.Late, cfg.Duplicates, cfg.Gaps = 4000, 10_000, 1000
	if _, err := gen.Write(t.Context(), cfg, gen.Output{Path: dir}); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's choice of rows
	checked := 0
	for _, name := range specs.Names() {
		set, _, err := run.Check([]string{name}, nil)
		if err != nil {
			t.Fatal(err)
		}
		v := set.Views[len(set.Views)-1]
		if k := v.Window.Kind; k != lang.Tumbling && k != lang.Rolling {
			continue
		}
		all := rows(t, name, dir)
		if len(all) == 0 {
			t.Logf("%s has no rows in the sample", name)
		}
		for range min(len(all), 3) {
			row := all[rnd.IntN(len(all))]
			var parts []string
			for _, b := range v.By {
				parts = append(parts, row[b])
			}
			x, err := Explain(t.Context(), Config{View: name, Time: number(t, row["row_ts"]), Entity: strings.Join(parts, "/"), Inputs: []string{dir}, Limit: 1})
			if reason, refused := notExplained[name]; refused {
				if err == nil || !strings.Contains(err.Error(), reason) {
					t.Errorf("%s: %v, want a refusal: %s", name, err, reason)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s %v: %v", name, row, err)
				continue
			}
			for _, f := range x.Features {
				if f.Value != row[f.Name] || f.Recomputed != Equal && !strings.HasPrefix(f.Recomputed, "within") {
					t.Errorf("%s.%s %s %s: run writes %q, shown %q, recomputed: %s (%s)", name, f.Name, x.Entity, x.RowTS, row[f.Name], f.Value, f.Recomputed, f.Numbers)
				}
				checked++
			}
		}
	}
	if checked < 200 {
		t.Errorf("only %d values were checked", checked)
	}
	t.Logf("%d values", checked)
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
