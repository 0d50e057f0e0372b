package run

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/exdata"
)

// runRows runs a view over inputs and returns its rows by column name, and the report.
func runRows(t *testing.T, cfg Config) ([]map[string]string, *Report) {
	t.Helper()
	var out bytes.Buffer
	env := Env{Stdout: &out, Warn: func(m string) { t.Log("warning: " + m) }, Build: "test"}
	rep, err := Run(context.Background(), cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	recs, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]string
	for _, r := range recs[1:] {
		m := map[string]string{}
		for i, h := range recs[0] {
			m[h] = r[i]
		}
		rows = append(rows, m)
	}
	return rows, rep
}

func config(spec string, inputs ...string) Config {
	c := DefaultConfig()
	c.Specs, c.Inputs = []string{spec}, inputs
	return c
}

// krakenCandle is one candle as the exchange published it.
type krakenCandle struct {
	start                                int64 // µs
	open, high, low, close, vwap, volume string
	count                                int64
}

func krakenCandles(t *testing.T) []krakenCandle {
	t.Helper()
	f, err := os.Open(exdata.Path(t, "candles/kraken_xbtusdt_rest_ohlc_1m_20251110.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Result map[string]json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		t.Fatal(err)
	}
	var raw [][]any
	dec := json.NewDecoder(bytes.NewReader(answer.Result["XBTUSDT"]))
	dec.UseNumber()
	if err := dec.Decode(&raw); err != nil {
		t.Fatal(err)
	}
	var out []krakenCandle
	for _, r := range raw {
		sec, _ := r[0].(json.Number).Int64()
		n, _ := r[7].(json.Number).Int64()
		s := func(i int) string { return r[i].(string) }
		out = append(out, krakenCandle{sec * 1e6, s(1), s(2), s(3), s(4), s(5), s(6), n})
	}
	return out
}

func rat(t *testing.T, s string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%q is no number", s)
	}
	return r
}

// truncated cuts x to a number of decimals as the exchange does.
func truncated(x *big.Rat, decimals int) string {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)
	n := new(big.Int).Mul(x.Num(), scale)
	n.Quo(n, x.Denom())
	return new(big.Rat).SetFrac(n, scale).FloatString(decimals)
}

// sameCandle compares a row with the exchange's candle: all exact; the volume-weighted
// price, which the exchange truncates, after truncation.
func sameCandle(t *testing.T, row map[string]string, c krakenCandle) bool {
	t.Helper()
	ok := row["window_start"] == strconv.FormatInt(c.start, 10) && row["trades"] == strconv.FormatInt(c.count, 10)
	for name, want := range map[string]string{"open": c.open, "high": c.high, "low": c.low, "close": c.close, "volume": c.volume} {
		ok = ok && rat(t, row[name]).Cmp(rat(t, want)) == 0
	}
	switch {
	case c.count == 0: // the exchange writes 0.0 where there is none
		return ok && row["vwap"] == "" && rat(t, c.vwap).Sign() == 0
	case row["vwap"] == "":
		return false
	}
	return ok && truncated(rat(t, row["vwap"]), 1) == c.vwap
}

// TestRun_EqualsKrakensOwnCandles: the exchange published both the trades and, for the
// same time, its own one-minute candles.
func TestRun_EqualsKrakensOwnCandles(t *testing.T) {
	candles := krakenCandles(t)
	trades := exdata.Path(t, "candles/kraken_xbtusdt_rest_trades_20251110.json.gz")
	for _, c := range []struct {
		spec        string
		full, empty int
	}{{"trade_bars_1m", 272, 0}, {"trade_bars_flat_1m", 272, 137}} {
		rows, rep := runRows(t, config(c.spec, trades))
		if s := rep.Stats; s.In != 1000 || s.Applied != 1000 || rep.Stats.Exit() != 0 {
			t.Errorf("%s: %+v", c.spec, *s)
		}
		at := map[string]map[string]string{}
		for _, r := range rows {
			at[r["window_start"]] = r
		}
		first, _ := strconv.ParseInt(rows[0]["window_start"], 10, 64)
		last, _ := strconv.ParseInt(rows[len(rows)-1]["window_start"], 10, 64)
		full, empty := 0, 0
		for _, k := range candles {
			// The trades begin within the first minute and end within the last one.
			if k.start <= first || k.start >= last {
				continue
			}
			row := at[strconv.FormatInt(k.start, 10)]
			if row == nil {
				if k.count > 0 || c.empty > 0 {
					t.Errorf("%s: no row for %d", c.spec, k.start)
				}
				continue
			}
			if !sameCandle(t, row, k) {
				t.Errorf("%s: row %v\nis not %+v", c.spec, row, k)
			}
			if k.count > 0 {
				full++
			} else {
				empty++
			}
			if strings.Contains(row["flags"], "partial") {
				t.Errorf("full minute flagged %s", row["flags"])
			}
		}
		if full != c.full || empty != c.empty {
			t.Errorf("%s: %d full and %d empty minutes equal, want %d and %d", c.spec, full, empty, c.full, c.empty)
		}
		if f := rows[len(rows)-1]["flags"]; !strings.Contains(f, "partial") {
			t.Errorf("the last minute reaches past the end of the input and is flagged %q", f)
		}
	}
}

func TestRun_ResultFileHoldsTheSameRows(t *testing.T) {
	trades := exdata.Path(t, "candles/kraken_xbtusdt_rest_trades_20251110.json.gz")
	dir := t.TempDir()
	var want bytes.Buffer
	cfg := config("trade_bars_1m", trades)
	if _, err := Run(context.Background(), cfg, Env{Stdout: &want, Warn: func(string) {}}); err != nil {
		t.Fatal(err)
	}
	cfg.Output = filepath.Join(dir, "bars.csv")
	if _, err := Run(context.Background(), cfg, Env{Warn: func(string) {}}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(cfg.Output)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("file and standard output differ: %v", err)
	}
}
