package run_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/run"
)

// vectorSets are published figures and the view that must give them, column by column.
var vectorSets = []struct {
	file, spec string
}{
	{file: "stock_indicators", spec: `view: v_stock_indicators
version: 1
from: candle
by: [symbol]
reset: never
features:
  ema_20: ema(close, 20)
  macd: macd(close, 12, 26)
  macd_signal: ema(macd, 9)
  macd_hist: macd - macd_signal
  rsi_14: rsi(close, 14)
  atr_14: atr(14)
  sma_20: mean(close) over 20 rows within 60d
  upper: bollinger(close, 20, 2, 60d)
  lower: bollinger(close, 20, -2, 60d)
  sd_14: std(close, ddof=0) over 14 rows within 60d
`},
	{file: "ttr", spec: `view: v_ttr
version: 1
from: candle
by: [symbol]
reset: never
let:
  thrice: high + low + close
  last: prev(close, within=60d)
features:
  sma_10: mean(close) over 10 rows within 60d
  ema_10: ema(close, 10)
  wilder_10: wilder(close, 10)
  rsi_14: rsi(close, 14)
  macd_percent: 100 * (ema(close, 12) / ema(close, 26) - 1)
  macd_signal: ema(macd_percent, 9)
  tr: max_of(high, last) - min_of(low, last)
  atr_14: atr(14)
  lower: bollinger(thrice, 20, -2, 60d) / 3
  mavg: mean(thrice) over 20 rows within 60d / 3
  upper: bollinger(thrice, 20, 2, 60d) / 3
  sum_10: sum(close) over 10 rows within 60d
  min_10: min(close) over 10 rows within 60d
  max_10: max(close) over 10 rows within 60d
  median_10: median(close) over 10 rows within 60d
  cov_10: cov(high, low) over 10 rows within 60d
  cor_10: corr(high, low) over 10 rows within 60d
  var_10: var(close) over 10 rows within 60d
  sd_10: std(close) over 10 rows within 60d
`},
}

// TestVectors holds indicators to figures that others published with their own tests, to
// 1e-12 of the value. Where a frame gives a value of fewer rows, flagged partial, and the
// publisher gives none, nothing is compared.
func TestVectors(t *testing.T) {
	for _, set := range vectorSets {
		t.Run(set.file, func(t *testing.T) {
			want := readRows(t, filepath.Join("testdata/vectors", set.file+".csv"))
			dir := t.TempDir()
			spec, in, out := filepath.Join(dir, set.file+".yaml"), filepath.Join(dir, "candles.csv"), filepath.Join(dir, "rows.csv")
			var b strings.Builder
			b.WriteString("kind,feed,exchange,market,symbol,event_ts,interval,open_ts,open,high,low,close,volume\n")
			for i, r := range want[1:] { // a bar a day: over a weekend prev would find none
				open := int64(1_483_228_800_000_000) + int64(i)*86_400_000_000
				fmt.Fprintf(&b, "candle,vectors,x,spot,A-B,%d,86400000000,%d,%s,1\n", open+86_399_999_999, open, strings.Join(r[1:5], ","))
			}
			for path, text := range map[string]string{spec: set.spec, in: b.String()} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			runView(t, run.Config{Specs: []string{spec}, Inputs: []string{in}, Output: out})
			got := readRows(t, out)
			if len(got) != len(want) {
				t.Fatalf("%d rows, want %d", len(got), len(want))
			}
			for k, name := range want[0][5:] {
				at, n, worst := slices.Index(got[0], name), 0, 0.0
				if at < 0 {
					t.Fatalf("the view has no column %s", name)
				}
				for i := range want[1:] {
					w, err := strconv.ParseFloat(want[i+1][k+5], 64)
					if err != nil {
						continue // not published
					}
					g, err := strconv.ParseFloat(got[i+1][at], 64)
					if err != nil {
						t.Errorf("%s of %s is %q, want %v", name, want[i+1][0], got[i+1][at], w)
						break
					}
					n++
					size := math.Abs(w)
					if strings.HasPrefix(name, "macd") {
						size = max(size, 1) // the size of what is subtracted, not of the difference
					}
					if g != w {
						worst = max(worst, math.Abs(g-w)/size)
					}
				}
				t.Logf("%s: %d values, at most %.1e apart", name, n, worst)
				if n < 200 || worst > 1e-12 {
					t.Errorf("%s: %d values, the worst %v apart", name, n, worst)
				}
			}
		})
	}
}
