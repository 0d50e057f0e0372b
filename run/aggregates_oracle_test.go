package run_test

import (
	"math"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/exenv"
)

var aggregateSpecs = map[string]string{
	"o_stats": `view: o_stats
version: 1
from: trade
by: [exchange, market, symbol]
let:
  bought: if(side == buy, price, null)
  sold: if(side == sell, price, null)
window: {tumbling: 1m}
features:
  med: median(price)
  p90: quantile(price, 0.9)
  p333: quantile(quantity, 0.333)
  wm: wmedian(price, quantity)
  skew: skew(price)
  kurt: kurt(price)
  cov: cov(price, quantity)
  corr: corr(price, quantity)
  slope: slope(price, quantity)
  any: any(price > 10040)
  all: all(price > 10001)
  low_id: argmin(price, id)
  high_at: argmax(price)
  hy: hy(bought, sold)
  lead: lead(bought, sold, max=2s, step=500ms)
`,
	"o_close": `view: o_close
version: 1
from: trade
by: [exchange, market, symbol]
window: {tumbling: 10s}
features:
  close: last(price)
`,
	"o_realised": `view: o_realised
version: 1
from: o_close
by: [exchange, market, symbol]
let:
  r: ln(close / prev(close))
  a: abs(r)
  b: abs(prev(r))
  c: abs(prev(r, 2))
window: {tumbling: 5m}
features:
  rv: sum(r * r)
  down: sum(r * r where r < 0)
  up: sum(r * r where r > 0)
  bv: sum(a * b)
  minrv: sum(min_of(a, b) * min_of(a, b))
  medrv: sum(max_of(min_of(a, b), min_of(max_of(a, b), c)) * max_of(min_of(a, b), min_of(max_of(a, b), c)))
  gk: sum(0.5 * r * r - 0.3862943611198906 * r * a)
`}

// TestOracle_Aggregates compares the statistics of a minute with DuckDB's and with Fractions,
// and realised measures with sums of 60-digit logarithms: the exact ones in every bit, DuckDB's
// doubles to the digits that they have.
func TestOracle_Aggregates(t *testing.T) {
	python := exenv.Get(t, "TIDEMARK_ORACLE_PYTHON")
	dir := t.TempDir()
	trades, _ := writeOracleInput(t, dir)
	text, err := os.ReadFile(trades)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfterN(string(text), "\n", 20_002) // enough of them: exact sums in Python take their time
	if err := os.WriteFile(trades, []byte(strings.Join(lines[:20_001], "")), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range aggregateSpecs {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(python, "testdata/aggregates_oracle.py", trades, dir).CombinedOutput(); err != nil {
		t.Fatalf("oracle: %v\n%s", err, out)
	}
	c := &comparison{t: t}
	got := readTable(t, runOracleView(t, dir, "o_stats", trades), "window_start")
	want := readTable(t, filepath.Join(dir, "stats.csv"), "window_start")
	c.sameKeys("stats", got, want)
	for key, w := range want {
		g := got[key]
		for _, f := range []string{"med", "p90", "p333", "wm", "cov", "slope", "hy", "lead"} {
			switch w[f] {
			case "skip":
			case "":
				c.ratio(key, f, g[f], new(big.Rat), new(big.Rat))
			default:
				c.exact(key, f, g[f], rat(t, w[f]))
			}
		}
		for _, f := range []string{"any", "all", "low_id", "high_at"} {
			if c.n++; g[f] != w[f] {
				c.fail("%s %s: %s, DuckDB has %s", key, f, g[f], w[f])
			}
		}
		for _, f := range []string{"skew", "kurt", "cov", "corr", "slope", "p90"} {
			c.close(key, f, g[f], w["d_"+f], 1e-6)
		}
	}
	rows := runOracleViews(t, dir, []string{"o_realised", "o_close"}, trades)
	got, want = readTable(t, rows, "window_start"), readTable(t, filepath.Join(dir, "realised.csv"), "window_start")
	c.sameKeys("realised", got, want)
	for key, w := range want {
		for _, f := range []string{"rv", "down", "up", "bv", "minrv", "medrv", "gk"} {
			c.exact(key, f, got[key][f], rat(t, w[f]))
		}
		c.close(key, "rv", got[key]["rv"], w["d_rv"], 1e-12)
	}
	t.Logf("%d values compared", c.n)
	if c.n < 800 {
		t.Errorf("only %d values compared", c.n)
	}
}

// close compares with a double that was computed in doubles; what is null or not a number
// there need not be here.
func (c *comparison) close(key, field, got, want string, tol float64) {
	c.t.Helper()
	w, err := strconv.ParseFloat(want, 64)
	if err != nil || math.IsNaN(w) {
		return
	}
	c.n++
	if g, err := strconv.ParseFloat(got, 64); err != nil || math.Abs(g-w) > tol*max(math.Abs(w), 1e-3) {
		c.fail("%s %s: %s, DuckDB has %s", key, field, got, want)
	}
}
