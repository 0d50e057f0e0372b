package run_test

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/run"
)

const joinOracleSpec = `view: o_join
version: 1
from: trade
by: [exchange, market, symbol]
join:
  wide: {view: quote, on: [symbol], match: asof, max_age: 1ms}
  tight: {view: quote, on: [symbol], match: asof, max_age: 3us}
  before: {view: quote, on: [symbol], match: asof, max_age: 3us, strict: true}
  same: {view: quote, on: [symbol], match: exact}
features:
  n: seq
  wide_bid: wide.bid_price
  wide_age: ts - wide.ts
  tight_bid: tight.bid_price
  tight_age: ts - tight.ts
  before_bid: before.bid_price
  before_age: ts - before.ts
  same_bid: same.bid_price
  same_age: ts - same.ts
`

// TestOracle_Joins compares as-of and exact joins with pandas.merge_asof and DuckDB's ASOF
// JOIN over events that are a few µs apart: ties on both sides, ages at and one beyond the
// bound, nulls in the match, keys of one side only, trades before the first quote.
func TestOracle_Joins(t *testing.T) {
	python := exenv.Get(t, "TIDEMARK_ORACLE_PYTHON")
	dir := t.TempDir()
	trades, quotes := writeJoinInput(t, dir)
	want := filepath.Join(dir, "want.csv")
	if out, err := exec.Command(python, "testdata/join_oracle.py", trades, quotes, want).CombinedOutput(); err != nil {
		t.Fatalf("oracle: %v\n%s", err, out)
	}
	spec, got := filepath.Join(dir, "o_join.yaml"), filepath.Join(dir, "got.csv")
	if err := os.WriteFile(spec, []byte(joinOracleSpec), 0o600); err != nil {
		t.Fatal(err)
	}
	runView(t, run.Config{Specs: []string{spec}, Inputs: []string{trades, quotes}, Output: got})
	rows, oracle := byNumber(t, got, "n"), byNumber(t, want, "seq")
	if len(rows) != len(oracle) || len(rows) == 0 {
		t.Fatalf("%d rows, the oracle has %d", len(rows), len(oracle))
	}
	matched := 0
	for n, w := range oracle {
		for _, col := range []string{"wide_bid", "wide_age", "tight_bid", "tight_age", "before_bid", "before_age", "same_bid", "same_age"} {
			g := rows[n][col]
			if g == "" != (w[col] == "") {
				t.Fatalf("trade %s: %s is %q, want %q", n, col, g, w[col])
			}
			if g == "" {
				continue
			}
			matched++
			x, err := strconv.ParseFloat(g, 64)
			if y, err2 := strconv.ParseFloat(w[col], 64); err != nil || err2 != nil || x != y {
				t.Fatalf("trade %s: %s is %q, want %q", n, col, g, w[col])
			}
		}
	}
	if matched < len(rows) {
		t.Errorf("only %d values of %d rows have a match", matched, len(rows))
	}
}

// byNumber reads a table by the event number in a column.
func byNumber(t *testing.T, file, key string) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	recs, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]string{}
	for _, rec := range recs[1:] {
		row := map[string]string{}
		for i, name := range recs[0] {
			row[name] = rec[i]
		}
		out[row[key]] = row
	}
	return out
}

func writeJoinInput(t *testing.T, dir string) (trades, quotes string) {
	t.Helper()
	g := rand.New(rand.NewPCG(3, 5))
	var tb, qb strings.Builder
	tb.WriteString("kind,feed,exchange,market,symbol,event_ts,seq,id,side,price,quantity\n")
	qb.WriteString("kind,feed,exchange,market,symbol,event_ts,seq,bid_price,bid_quantity,ask_price,ask_quantity\n")
	ts := int64(1_700_000_000_000_000)
	for i := range 6000 {
		if g.IntN(3) > 0 {
			ts += g.Int64N(4)
		}
		if g.IntN(500) == 0 {
			ts += 1000 - g.Int64N(3)
		}
		sym := []string{"BTC-USDT", "ETH-USDT", "DOGE-USDT"}[g.IntN(3)]
		if g.IntN(2) == 0 {
			fmt.Fprintf(&tb, "trade,oracle,x,spot,%s,%d,%d,%d,buy,100,1\n", sym, ts, i+1, i+1)
			continue
		}
		if sym == "DOGE-USDT" { // no trade has this one
			sym = "SOL-USDT"
		}
		bid := fmt.Sprintf("%d.%d,1", 100+g.IntN(50), g.IntN(10))
		if g.IntN(6) == 0 {
			bid = ","
		}
		fmt.Fprintf(&qb, "quote,oracle,x,spot,%s,%d,%d,%s,200,1\n", sym, ts, i+1, bid)
	}
	trades, quotes = filepath.Join(dir, "trades.csv"), filepath.Join(dir, "quotes.csv")
	for name, text := range map[string]string{trades: tb.String(), quotes: qb.String()} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return trades, quotes
}
