package run_test

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

// The views that DuckDB computes too, see testdata/oracle.py.
var oracleSpecs = map[string]string{
	"o_bars": `view: o_bars
version: 1
from: trade
by: [exchange, market, symbol]
window: {tumbling: 1m}
features:
  open: first(price)
  high: max(price)
  low: min(price)
  close: last(price)
  volume: sum(quantity)
  notional: sum(price * quantity)
  vwap: notional / volume
  trades: count()
  taker_buy: sum(quantity where side == buy)
  taker_sell: sum(quantity where side == sell)
  imbalance: (taker_buy - taker_sell) / (taker_buy + taker_sell)
  mean_size: mean(quantity)
  var_size: var(quantity)
  prices: distinct(price)
  q50: quantile(quantity, 0.5, approx=0.01)
  q99: quantile(quantity, 0.99, approx=0.01)
`,
	"o_rolling": `view: o_rolling
version: 1
from: trade
by: [exchange, market, symbol]
window: {rolling: 5m, every: 20s}
features:
  volume: sum(quantity)
  notional: sum(price * quantity)
  vwap: notional / volume
  trades: count()
  high: max(price)
  low: min(price)
  first: first(price)
  last: last(price)
`,
	"o_spread": `view: o_spread
version: 1
from: quote
by: [exchange, market, symbol]
window: {tumbling: 1m, carry: 10m}
features:
  spread: time_mean(ask_price - bid_price)
`,
}

// table is a CSV file by its key: entity and window.
type table map[string]map[string]string

func readTable(t *testing.T, file, window string) table {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	recs, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	tab := table{}
	for _, rec := range recs[1:] {
		row := map[string]string{}
		for i, name := range recs[0] {
			row[name] = rec[i]
		}
		key := strings.Join([]string{row["exchange"], row["market"], row["symbol"], row[window]}, "/")
		if tab[key] != nil {
			t.Fatalf("%s: %s twice", file, key)
		}
		tab[key] = row
	}
	return tab
}

func rat(t *testing.T, s string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("oracle number %q", s)
	}
	return r
}

// TestOracle_DuckDB compares bars, rolling windows, moments, quantiles and time-weighted
// means with DuckDB: what DuckDB gives exactly (integers and decimals) must agree in
// every bit after our one rounding, and so must ratios of its exact states.
func TestOracle_DuckDB(t *testing.T) {
	python := exenv.Get(t, "TIDEMARK_ORACLE_PYTHON")
	dir := t.TempDir()
	trades, quotes := writeOracleInput(t, dir)
	if out, err := exec.Command(python, "testdata/oracle.py", trades, quotes, dir).CombinedOutput(); err != nil {
		t.Fatalf("oracle: %v\n%s", err, out)
	}
	for name, text := range oracleSpecs {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bars := runOracleView(t, dir, "o_bars", trades)
	rolling := runOracleView(t, dir, "o_rolling", trades)
	spread := runOracleView(t, dir, "o_spread", quotes)

	c := &comparison{t: t}
	want := readTable(t, filepath.Join(dir, "bars.csv"), "window_start")
	c.sameKeys("bars", readTable(t, bars, "window_start"), want)
	for key, got := range readTable(t, bars, "window_start") {
		w := want[key]
		if w == nil {
			continue
		}
		for _, f := range []string{"open", "high", "low", "close", "volume", "notional", "trades", "taker_buy", "taker_sell", "prices"} {
			c.exact(key, f, got[f], rat(t, w[f]))
		}
		buy, sell := rat(t, w["taker_buy"]), rat(t, w["taker_sell"])
		c.ratio(key, "vwap", got["vwap"], rat(t, w["notional"]), rat(t, w["volume"]))
		c.ratio(key, "imbalance", got["imbalance"], new(big.Rat).Sub(buy, sell), new(big.Rat).Add(buy, sell))
		// moments from DuckDB's integer sums of quantity × 10^8
		n, s1, s2 := rat(t, w["trades"]), rat(t, w["s1"]), rat(t, w["s2"])
		e8 := big.NewRat(100_000_000, 1)
		c.ratio(key, "mean_size", got["mean_size"], s1, new(big.Rat).Mul(n, e8))
		num := new(big.Rat).Sub(new(big.Rat).Mul(n, s2), new(big.Rat).Mul(s1, s1))
		den := new(big.Rat).Mul(n, new(big.Rat).Sub(n, big.NewRat(1, 1)))
		c.ratio(key, "var_size", got["var_size"], num, den.Mul(den, e8).Mul(den, e8))
		c.near(key, "q50", got["q50"], rat(t, w["q50"]), 0.01)
		c.near(key, "q99", got["q99"], rat(t, w["q99"]), 0.01)
	}
	want = readTable(t, filepath.Join(dir, "rolling.csv"), "window_end")
	got := readTable(t, rolling, "window_end")
	for key, w := range want {
		g := got[key]
		if g == nil {
			c.fail("rolling row %s is missing", key)
			continue
		}
		for _, f := range []string{"volume", "notional", "trades", "high", "low", "first", "last"} {
			c.exact(key, f, g[f], rat(t, w[f]))
		}
		c.ratio(key, "vwap", g["vwap"], rat(t, w["notional"]), rat(t, w["volume"]))
	}
	if len(got) < len(want) || len(want) < 100 {
		c.fail("rolling: %d rows, oracle has %d", len(got), len(want))
	}
	want = readTable(t, filepath.Join(dir, "spread.csv"), "window_start")
	sp := readTable(t, spread, "window_start")
	for key, g := range sp {
		w := want[key]
		if w == nil {
			c.fail("spread row %s is not the oracle's", key)
			continue
		}
		c.ratio(key, "spread", g["spread"], rat(t, w["num"]), rat(t, w["den"]))
	}
	c.sameKeys("spread", sp, want)
	t.Logf("%d values compared with DuckDB", c.n)
	if c.n < 7_000 {
		t.Errorf("only %d values compared", c.n)
	}
}

// comparison counts what was compared and stops after a few differences.
type comparison struct {
	t      *testing.T
	n, bad int
}

func (c *comparison) fail(format string, args ...any) {
	c.t.Helper()
	c.t.Errorf(format, args...)
	if c.bad++; c.bad > 10 {
		c.t.FailNow()
	}
}

func (c *comparison) sameKeys(what string, got, want table) {
	c.t.Helper()
	for key := range want {
		if got[key] == nil {
			c.fail("%s row %s is missing", what, key)
		}
	}
	for key := range got {
		if want[key] == nil {
			c.fail("%s row %s is not the oracle's", what, key)
		}
	}
}

// exact compares a number of ours, as printed, with an exact one after one rounding.
func (c *comparison) exact(key, field, got string, want *big.Rat) {
	c.t.Helper()
	c.n++
	f, _ := want.Float64()
	if g, err := strconv.ParseFloat(got, 64); err != nil || g != f {
		c.fail("%s %s: %s, DuckDB has %s", key, field, got, want.FloatString(18))
	}
}

func (c *comparison) ratio(key, field, got string, num, den *big.Rat) {
	c.t.Helper()
	if den.Sign() == 0 {
		c.n++
		if got != "" {
			c.fail("%s %s: %s, want null", key, field, got)
		}
		return
	}
	c.exact(key, field, got, new(big.Rat).Quo(num, den))
}

func (c *comparison) near(key, field, got string, want *big.Rat, rel float64) {
	c.t.Helper()
	c.n++
	g, err := strconv.ParseFloat(got, 64)
	w, _ := want.Float64()
	if err != nil || math.Abs(g-w) > rel*w {
		c.fail("%s %s: %s is not within %v of %v", key, field, got, rel, w)
	}
}

// writeOracleInput writes canonical trades and quotes of three instruments: equal times,
// mixed digits, quiet stretches, sizes over four decades.
func writeOracleInput(t *testing.T, dir string) (trades, quotes string) {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 11))
	var tb, qb strings.Builder
	tb.WriteString("kind,feed,exchange,market,symbol,event_ts,ingest_ts,seq,id,side,price,quantity\n")
	qb.WriteString("kind,feed,exchange,market,symbol,event_ts,ingest_ts,seq,bid_price,bid_quantity,ask_price,ask_quantity\n")
	ts := int64(1_700_000_000_000_000)
	sides := []string{"buy", "sell", "unknown"}
	for i := range 60_000 {
		switch r.IntN(2000) {
		case 0:
			ts += r.Int64N(150_000_000)
		default:
			if r.IntN(3) > 0 {
				ts += r.Int64N(120_000)
			}
		}
		sym := []string{"BTC-USDT", "ETH-USDT", "DOGE-USDT"}[r.IntN(3)]
		price := strconv.FormatFloat(float64(1_000_000+r.IntN(5000))/100, 'f', r.IntN(3), 64)
		qty := fmt.Sprintf("%.*f", 4+r.IntN(5), math.Pow(10, 4*r.Float64()-3))
		fmt.Fprintf(&tb, "trade,oracle,x,spot,%s,%d,%d,%d,%d,%s,%s,%s\n", sym, ts, ts+r.Int64N(50_000), i+1, i+1, sides[r.IntN(3)], price, qty)
		bid := 1_000_000 + r.IntN(5000)
		fmt.Fprintf(&qb, "quote,oracle,x,spot,%s,%d,,%d,%d.%02d,1,%d.%03d,2.5\n", sym, ts, i+1, bid/100, bid%100, bid/100+1+r.IntN(3), r.IntN(1000))
	}
	trades, quotes = filepath.Join(dir, "trades.csv"), filepath.Join(dir, "quotes.csv")
	for name, text := range map[string]string{trades: tb.String(), quotes: qb.String()} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return trades, quotes
}

func runOracleView(t *testing.T, dir, view, in string) string {
	t.Helper()
	return runOracleViews(t, dir, []string{view}, in)
}

// runOracleViews runs the first view over the others and returns its rows.
func runOracleViews(t *testing.T, dir string, views []string, in string) string {
	t.Helper()
	out := filepath.Join(dir, views[0]+"_rows.csv")
	cfg := run.Config{View: views[0], Inputs: []string{in}, Output: out}
	for _, v := range views {
		cfg.Specs = append(cfg.Specs, filepath.Join(dir, v+".yaml"))
	}
	runView(t, cfg)
	return out
}

// runView runs without bounds of time and fails the test on any rejected or late event.
func runView(t *testing.T, cfg run.Config) *run.Report {
	t.Helper()
	cfg.From, cfg.To = market.NoTime, market.NoTime
	rep, err := run.Run(t.Context(), cfg, run.Env{Stdout: io.Discard, Warn: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Stats.DLQ != 0 || rep.Stats.Late != 0 || rep.Stats.Duplicate != 0 {
		t.Fatalf("%v: %+v", cfg.Inputs, rep.Stats)
	}
	return rep
}
