package run_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/sql"
	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
)

// The shipped views that SQL cannot promise, by what is said about them.
var notSQL = map[string]string{
	"alts_per_btc":          "empty: nulls makes rows without events",
	"basis_1s":              "joins have no SQL",
	"beta_btc_1h":           "joins have no SQL",
	"book_1s":               "books have levels",
	"book_resyncs_5m":       "empty: nulls makes rows without events",
	"breadth_1m":            "latest windows have no SQL",
	"btc_clock":             "bar windows have no SQL",
	"decayed":               "this expression has no SQL",
	"dollar_bars":           "bar windows have no SQL",
	"fair_price_1s":         "latest windows have no SQL",
	"feed_health_1m":        "quantile is a rank among buckets",
	"funding_state":         "joins have no SQL",
	"imbalance_100":         "aggregates with over have no SQL",
	"indicators_1m":         "aggregates with over have no SQL",
	"lead_lag_5m":           "unions have no SQL",
	"momentum_15m":          "ln differs in its last bits",
	"notional_rank":         "latest windows have no SQL",
	"provider_ratio_1s":     "empty: flat makes rows without events",
	"realized_5m":           "this expression has no SQL",
	"ret_z":                 "aggregates with over have no SQL",
	"rolling_trades":        "aggregates with over have no SQL",
	"silent_feeds_1m":       "empty: nulls makes rows without events",
	"spread_1m":             "time_mean has no SQL",
	"spread_median_5m":      "books have levels",
	"tick_bars":             "bar windows have no SQL",
	"trade_bars_flat_1m":    "empty: flat makes rows without events",
	"trade_size_5m":         "quantile is a rank among buckets",
	"venue_deviation_1s":    "latest windows have no SQL",
	"volume_bars":           "bar windows have no SQL",
	"volume_imbalance_bars": "bar windows have no SQL",
	"vpin":                  "bar windows have no SQL",
	"vpin_buckets":          "bar windows have no SQL",
}

// Views of constructs that no shipped view with SQL has.
var sqlSpecs = map[string]string{
	"s_hours": `view: s_hours
version: 1
from: trade_bars_1m
by: [exchange, market, symbol]
where: volume > 0 and taker_buy is not null
window: {rolling: 15m, every: 5m}
features:
  ret: last(close) / first(open) - 1
  range: (max(high) - min(low)) / last(close)
  flow: sum(taker_buy - taker_sell) / sum(volume)
  vwap: sum(notional) / sum(volume)
  bars: count()
  busy: max(window_end - window_start)
  quiet: min(row_ts)
`,
	// windows that nothing fills to the end of the input
	"s_rare": `view: s_rare
version: 1
from: trade
where: quantity > 0.3
by: [exchange, market, symbol]
window: {rolling: 3m, every: 7s}
features:
  n: count()
  last: last(price)
`,
	"s_fine": `view: s_fine
version: 1
from: trade_bars_1m
by: [exchange, market, symbol]
where: volume > 1
window: {rolling: 3m, every: 11s}
features:
  n: count()
  last: last(close)
`,
	"s_stats": `view: s_stats
version: 1
from: trade
by: [exchange, market, symbol]
window: {tumbling: 1m}
features:
  med: median(price)
  bought: median(quantity where side == buy)
  wait: median(ingest_ts - event_ts)
  cv: cov(price, quantity)
  cv0: cov(price, quantity, ddof=0)
  impact: slope(price, if(side == buy, quantity, -quantity) where side != unknown)
  low_at: argmin(price)
  low_id: argmin(price, id where side == sell)
  most: argmax(quantity, price)
  some: any(quantity > 1)
  each: all(quantity > 0.01 where side == buy)
`,
	"s_kinds": `view: s_kinds
version: 1
from: trade
where: side in (buy, sell)
by: [base]
params:
  n: {type: decimal, default: 0.01}
window: {tumbling: 90s, origin: 2024-01-01T00:00:07Z}
features:
  venues: distinct(exchange)
  prices: distinct(price)
  taken: count(id where quantity > $n or not (quantity <= $n))
  none: sum(quantity where quantity < 0)
  nothing: max(price where quantity < 0)
  nan: count() / none
  inverse: 1 / (none / count())
  gap: max(price) - min(price)
  capped: sum(min_of(quantity, 0.5) - max_of(quantity, $n) + clamp(quantity, 0.1, 0.2))
  size: mean(quantity)
  spread: std(price)
  var0: var(price, ddof=0)
  signed: sum(if(side == buy, quantity, -quantity))
  known: coalesce(nothing, gap)
  bigger: signed > capped
  mood: sign(signed)
  lag: max(ingest_ts - event_ts)
  parity: (size + capped) / (size - 0.5) * size
`,
}

// TestOracle_SpecSQL compares every view that has SQL, all rows and features, with
// DuckDB's run of that query over a simulated market.
func TestOracle_SpecSQL(t *testing.T) {
	python := exenv.Get(t, "TIDEMARK_ORACLE_PYTHON")
	dir := t.TempDir()
	writeSQLInput(t, dir)
	compared := map[string]*lang.View{}
	for _, name := range append(specs.Names(), "s_hours", "s_kinds", "s_rare", "s_fine", "s_stats") {
		arg := name
		if text, ok := sqlSpecs[name]; ok {
			arg = filepath.Join(dir, name+".yaml")
			if err := os.WriteFile(arg, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		set, _, err := run.Check([]string{arg}, nil)
		if err != nil {
			t.Fatal(err)
		}
		v := set.Views[len(set.Views)-1]
		root := v
		for root.Parent != nil {
			root = root.Parent
		}
		in := filepath.Join(dir, root.Kind.String()+".csv")
		query, err := sql.Query(v, sql.Options{Input: in, Digits: 8})
		if reason, ok := notSQL[name]; ok {
			if ps := (lang.Problems)(nil); !errors.As(err, &ps) || !strings.Contains(err.Error(), reason) || ps[0].Pos.Line == 0 {
				t.Errorf("%s: %v, want a refusal with place: %s", name, err, reason)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name+".sql"), []byte(query), 0o600); err != nil {
			t.Fatal(err)
		}
		runView(t, run.Config{Specs: []string{arg}, Inputs: []string{in}, Output: filepath.Join(dir, name+".rows.csv")})
		compared[name] = v
	}
	if out, err := exec.Command(python, "testdata/sql.py", dir).CombinedOutput(); err != nil {
		t.Fatalf("DuckDB: %v\n%s", err, out)
	}
	c := &comparison{t: t}
	for name, v := range compared {
		compareSQL(c, name, v, filepath.Join(dir, name+".rows.csv"), filepath.Join(dir, name+".duckdb.csv"))
	}
	t.Logf("%d values of %d views compared with DuckDB", c.n, len(compared))
	if c.n < 50_000 {
		t.Errorf("only %d values compared", c.n)
	}
}

// compareSQL compares rows in order: both sides have one total order. Numbers that DuckDB
// has as decimals agree in every bit after our one rounding; DOUBLE within 1 ulp, roots 2.
func compareSQL(c *comparison, name string, v *lang.View, gotFile, wantFile string) {
	c.t.Helper()
	got, want := readRows(c.t, gotFile), readRows(c.t, wantFile)
	if len(got) != len(want) || len(got) < 3 {
		c.fail("%s: %d rows, DuckDB has %d", name, len(got), len(want))
		return
	}
	col := map[string]int{}
	for i, h := range got[0] {
		col[h] = i
	}
	for v.Rollup {
		v = v.Parent
	}
	limits := map[string]int64{} // in ulp, by feature
	for _, f := range v.Features {
		switch f.Type.Kind {
		case lang.TRatio:
			limits[f.Name] = 1
		case lang.TFloat:
			limits[f.Name] = 2
		}
	}
	for r := range want[1:] {
		for i, h := range want[0] {
			at, ok := col[h]
			if !ok {
				c.fail("%s: we have no column %s", name, h)
				return
			}
			g, w := got[r+1][at], want[r+1][i]
			key := fmt.Sprintf("%s row %d", name, r)
			c.n++
			gf, gerr := strconv.ParseFloat(g, 64)
			wf, werr := strconv.ParseFloat(w, 64)
			switch {
			case gerr != nil || werr != nil:
				if g != w {
					c.fail("%s %s: %q, DuckDB has %q", key, h, g, w)
				}
			case ulps(gf, wf) > limits[h]:
				c.fail("%s %s: %s, DuckDB has %s", key, h, g, w)
			}
		}
	}
}

func ulps(a, b float64) int64 {
	if a == b {
		return 0
	}
	if math.Signbit(a) != math.Signbit(b) {
		return math.MaxInt64
	}
	d := int64(math.Float64bits(a)) - int64(math.Float64bits(b))
	return max(d, -d)
}

func readRows(t *testing.T, file string) [][]string {
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
	return recs
}

// writeSQLInput writes a simulated market, and the kinds that it does not have by hand.
func writeSQLInput(t *testing.T, dir string) {
	t.Helper()
	cfg := gen.DefaultConfig()
	cfg.Seed, cfg.Events, cfg.Rate, cfg.Symbols = 30, 10_000, 5, gen.Symbols(2)
	cfg.Kinds = []market.Kind{market.KindTrade, market.KindQuote, market.KindFunding}
	if _, err := gen.Write(t.Context(), cfg, gen.Output{Path: dir}); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 5))
	for kind, cols := range map[string]string{"liquidation": "side,price,quantity", "mark_price": "price,index_price", "open_interest": "quantity"} {
		var b strings.Builder
		b.WriteString("kind,feed,exchange,market,symbol,event_ts,ingest_ts,seq," + cols + "\n")
		ts := int64(1_767_571_200_000_000)
		for i := range 3000 {
			ts += r.Int64N(2_000_000) * r.Int64N(3)
			fmt.Fprintf(&b, "%s,sim-alpha,alpha,perp,%s,%d,%d,%d", kind, []string{"BTC-USDT", "ETH-USDT"}[r.IntN(2)], ts, ts+20_000, i+1)
			for c := range strings.SplitSeq(cols, ",") {
				if c == "side" {
					b.WriteString([]string{",buy", ",sell", ","}[r.IntN(3)])
				} else {
					fmt.Fprintf(&b, ",%.*f", r.IntN(6), 1+1000*r.Float64())
				}
			}
			b.WriteString("\n")
		}
		if err := os.WriteFile(filepath.Join(dir, kind+".csv"), []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
