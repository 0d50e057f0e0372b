package run_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/exenv"
)

const rowsOracleSpec = `view: o_rows
version: 1
from: trade
by: [symbol]
reset: never
features:
  p: price
  q: quantity
  ema_5: ema(price, 5)
  rsi_14: rsi(price, 14)
  macd: macd(price, 12, 26)
  level: ewm(price, halflife=30s)
  n_1m: count() over 1m
  q_1m: sum(quantity) over 1m
  high_1m: max(price) over 1m
  low_1m: min(price) over 1m
  mean_1m: mean(price) over 1m
  sd_1m: std(price) over 1m
  q_7: sum(quantity) over 7 rows within 1d
  high_7: max(price) over 7 rows within 1d
  sd_7: std(price, ddof=0) over 7 rows within 1d
  mid_7: median(price) over 7 rows within 1d
`

const barsOracleSpec = `view: o_bars_rows
version: 1
from: trade_bars_1m
by: [symbol]
reset: never
features:
  hi: high
  lo: low
  cl: close
  atr_14: atr(14)
  upper: bollinger(close, 20, 2, 4h)
  lower: bollinger(close, 20, -2, 4h)
  sma_20: mean(close) over 20 rows within 4h
`

// TestOracle_Rows compares scans with TA-Lib and pandas, frames with DuckDB.
func TestOracle_Rows(t *testing.T) {
	python := exenv.Get(t, "TIDEMARK_ORACLE_PYTHON")
	dir := t.TempDir()
	trades := filepath.Join(dir, "trades.csv")
	for name, text := range map[string]string{"trades.csv": rowTrades(), "o_rows.yaml": rowsOracleSpec, "o_bars_rows.yaml": barsOracleSpec} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rows := runOracleView(t, dir, "o_rows", trades)
	ofBars := runOracleView(t, dir, "o_bars_rows", trades)
	out, err := exec.Command(python, "testdata/rows_oracle.py", rows, ofBars).CombinedOutput()
	if err != nil {
		t.Fatalf("oracle: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// rowTrades are trades of one instrument with ties, silences and every minute a bar.
func rowTrades() string {
	g := rand.New(rand.NewPCG(11, 12))
	var b strings.Builder
	b.WriteString("kind,feed,exchange,market,symbol,event_ts,ingest_ts,id,side,price,quantity\n")
	ts, price := int64(1767571200000000), int64(1_000_000)
	for i := range 1500 {
		if g.IntN(5) > 0 {
			ts += g.Int64N(6_000_000)
		}
		price += g.Int64N(2001) - 1000
		fmt.Fprintf(&b, "trade,sim-alpha,alpha,spot,BTC-USDT,%d,%d,%d,%s,%d.%02d,0.%04d\n",
			ts, ts+20000, i, []string{"buy", "sell"}[g.IntN(2)], price/100, price%100, 1+g.IntN(9999))
	}
	return b.String()
}
