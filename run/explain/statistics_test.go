package explain

import (
	"os"
	"path/filepath"
	"testing"
)

const statisticsSpec = `view: stats
version: 1
from: trade
by: [symbol]
let:
  bought: if(side == buy, price, null)
  sold: if(side == sell, price, null)
window: {tumbling: 10m}
features:
  q: quantile(price, 0.3)
  q_ratio: quantile(price / 3, 1)
  near: quantile(price, 0.3, approx=0.01)
  m: median(price)
  wm: wmedian(price, quantity)
  sk: skew(price)
  ku: kurt(price)
  cv: cov(price, quantity, ddof=0)
  co: corr(price, quantity)
  be: slope(price, quantity where side != unknown)
  lo: argmin(price, id)
  hi: argmax(price / 3)
  some: any(price > 4000)
  each: all(price > 0 where side == buy)
  hy: hy(bought, sold)
  lead: lead(bought, sold, max=30s, step=10s)
  name: last(id)
`

// Aggregates of values and pairs come out the same when they are worked out again.
func TestExplain_Statistics(t *testing.T) {
	dir := t.TempDir()
	spec, in := filepath.Join(dir, "stats.yaml"), filepath.Join(dir, "in.csv")
	for path, text := range map[string]string{spec: statisticsSpec, in: handTrades} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	checked := 0
	for _, row := range rows(t, spec, in) {
		x, err := Explain(t.Context(), Config{View: "stats", Specs: []string{spec}, Time: number(t, row["row_ts"]), Entity: row["symbol"], Inputs: []string{in}, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range x.Features {
			if f.Value != row[f.Name] || f.Recomputed != Equal && f.Name != "near" {
				t.Errorf("%s %s: run writes %q, shown %q, recomputed: %s (%s)", f.Name, x.RowTS, row[f.Name], f.Value, f.Recomputed, f.Numbers)
			}
			checked++
		}
	}
	if checked < 30 {
		t.Errorf("only %d values were checked", checked)
	}
}
