package run_test

import (
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

const barFeatures = "features:\n  volume: decimal(sum(quantity), 8)\n  notional: decimal(sum(price * quantity), 8)\n  trades: count()\n"

var barOracleSpecs = map[string]string{
	"o_whole":    "view: o_whole\nversion: 1\nfrom: trade\nby: [symbol]\nwindow: {bar: sum(quantity), size: 25, reset: 1d}\n" + barFeatures,
	"o_split":    "view: o_split\nversion: 1\nfrom: trade\nby: [symbol]\nwindow: {bar: sum(quantity), size: 2.5, cut: split, reset: 1d}\n" + barFeatures,
	"o_sessions": "view: o_sessions\nversion: 1\nfrom: trade\nby: [symbol]\nwindow: {session: 3s, max: 10m}\n" + barFeatures,
	"o_clock": "view: o_clock\nversion: 1\nfrom: trade\nwhere: base == 'BTC'\nby: [exchange]\nparams:\n  n: {type: decimal, default: 7}\n" +
		"window: {bar: sum(quantity), size: $n, reset: 1d}\nfeatures:\n  volume: sum(quantity)\n",
	"o_members": "view: o_members\nversion: 1\nfrom: trade\nwhere: base == 'ETH'\nby: [symbol, exchange]\nwindow: {clock: o_clock, with: {n: 40}}\nempty: nulls\n" +
		"features:\n  volume: decimal(sum(quantity), 8)\n  trades: count()\n  ticked: decimal(clock.volume, 8)\n",
}

// TestOracle_Bars compares bars, sessions and event clocks with plain loops of Python over
// Fractions. A trade of the clock that comes ten minutes late is left out of its bar, so no tick
// that was served moves.
func TestOracle_Bars(t *testing.T) {
	python := exenv.Get(t, "TIDEMARK_ORACLE_PYTHON")
	dir := t.TempDir()
	all, inTime := barTrades()
	files := map[string]string{"all.csv": all, "in_time.csv": inTime}
	for name, text := range barOracleSpecs {
		files[name+".yaml"] = text
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(python, "testdata/bars_oracle.py", filepath.Join(dir, "in_time.csv"), dir).CombinedOutput(); err != nil {
		t.Fatalf("oracle: %v\n%s", err, out)
	}
	for name, fields := range map[string][]string{
		"o_whole": {"volume", "notional", "trades"}, "o_split": {"volume", "notional", "trades"},
		"o_sessions": {"volume", "notional", "trades"}, "o_members": {"volume", "trades", "ticked"},
	} {
		specs := []string{filepath.Join(dir, name+".yaml")}
		if name == "o_members" {
			specs = append(specs, filepath.Join(dir, "o_clock.yaml"))
		}
		rows := filepath.Join(dir, name+"_rows.csv")
		cfg := run.Config{Specs: specs, View: name, Inputs: []string{filepath.Join(dir, "all.csv")}, Output: rows, From: market.NoTime, To: market.NoTime}
		rep, err := run.Run(t.Context(), cfg, run.Env{Stdout: io.Discard, Warn: func(string) {}})
		if err != nil {
			t.Fatal(err)
		}
		if rep.Stats.Late != 1 {
			t.Errorf("%s: %d late events, want the one", name, rep.Stats.Late)
		}
		want, err := os.ReadFile(filepath.Join(dir, name+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		got := project(t, rows, append([]string{"symbol", "window_start", "window_end", "flags"}, fields...))
		wanted := strings.Split(strings.TrimSpace(string(want)), "\n")
		if len(wanted) < 100 {
			t.Errorf("%s: the oracle has only %d rows", name, len(wanted))
		}
		for i := range min(len(got), len(wanted)) {
			if got[i] != wanted[i] {
				t.Fatalf("%s row %d\n got %s\nwant %s", name, i, got[i], wanted[i])
			}
		}
		if len(got) != len(wanted) {
			t.Errorf("%s: %d rows, the oracle has %d", name, len(got), len(wanted))
		}
	}
}

// project reads some columns of a file of rows, a line for each row.
func project(t *testing.T, path string, names []string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range rows[1:] {
		var cells []string
		for _, n := range names {
			cell := r[slices.Index(rows[0], n)]
			if n == "volume" || n == "notional" || n == "ticked" {
				whole, frac, _ := strings.Cut(cell, ".")
				cell = whole + "." + (frac + "00000000")[:8]
			}
			cells = append(cells, cell)
		}
		out = append(out, strings.Join(cells, ","))
	}
	return out
}

// barTrades are trades of two pairs over two midnights, with several at one time and
// silences; one of the clock's pair comes late. BTC trades at even microseconds, ETH at odd.
func barTrades() (all, inTime string) {
	r := rand.New(rand.NewPCG(31, 7))
	var a, b strings.Builder
	head := "kind,feed,exchange,market,symbol,event_ts,ingest_ts,seq,id,side,price,quantity\n"
	a.WriteString(head)
	b.WriteString(head)
	ts := int64(1_700_000_000_000_000)
	for i := range 6_000 {
		switch k := r.IntN(100); {
		case k == 0:
			ts += r.Int64N(3_600_000_000)
		case k < 70:
			ts += r.Int64N(4_000_000)
		}
		at, symbol, price := ts&^1, "BTC-USDT", 300_000+r.IntN(9_000)
		if r.IntN(2) == 0 {
			at, symbol, price = ts|1, "ETH-USDT", 20_000+r.IntN(900)
		}
		line := func(at int64) string {
			return fmt.Sprintf("trade,o,x,spot,%s,%d,%d,%d,%d,%s,%d.%d,%d.%03d\n", symbol, at, ts+20_000, i+1, i+1,
				[]string{"buy", "sell"}[r.IntN(2)], price/10, price%10, r.IntN(9), 1+r.IntN(999))
		}
		if i == 3_000 {
			symbol = "BTC-USDT"
			a.WriteString(line((ts - 600_000_000) &^ 1))
			continue
		}
		l := line(at)
		a.WriteString(l)
		b.WriteString(l)
	}
	return a.String(), b.String()
}
