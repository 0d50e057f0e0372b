package run_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

// runText runs a spec over canonical trades given as "second quantity" and returns the
// rows of the file, without its header.
func runText(t *testing.T, cfg run.Config, trades [][2]int) []string {
	t.Helper()
	dir := t.TempDir()
	in := filepath.Join(dir, "trades.csv")
	var sb strings.Builder
	sb.WriteString("kind,feed,exchange,market,symbol,event_ts,ingest_ts,seq,id,side,price,quantity\n")
	for i, tr := range trades {
		fmt.Fprintf(&sb, "trade,lines,x,spot,BTC-USDT,%d,,%d,%d,buy,100,%d\n", int64(tr[0])*market.Second+1_700_000_040*market.Second, i+1, i+1, tr[1])
	}
	if err := os.WriteFile(in, []byte(sb.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Inputs, cfg.Output = []string{in}, filepath.Join(dir, "rows.csv")
	if _, err := run.Run(t.Context(), cfg, run.Env{Stdout: io.Discard, Warn: func(string) {}}); err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(cfg.Output)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")[1:]
}

// field cuts a column of trade_bars_1m out of a row.
func field(row string, i int) string { return strings.Split(row, ",")[i] }

const (
	colFlags  = 7
	colVolume = 12
)

// A chunk with late rows and a selection once pushed the late rows instead of the others.
func TestSelection_LateRowsStayOut(t *testing.T) {
	trades := [][2]int{{5, 1}, {6, 2}, {1, 7}, {7, 4}}
	for name, c := range map[string]struct {
		symbols   []string
		corrected bool
		volume    string
	}{
		"served, all":         {nil, false, "7"},
		"served, selected":    {[]string{"BTC-USDT"}, false, "7"},
		"corrected, all":      {nil, true, "14"},
		"corrected, selected": {[]string{"BTC-USDT"}, true, "14"},
	} {
		cfg := run.DefaultConfig()
		cfg.Specs, cfg.Symbols, cfg.Corrected = []string{"trade_bars_1m"}, c.symbols, c.corrected
		rows := runText(t, cfg, trades)
		if len(rows) != 1 || field(rows[0], colVolume) != c.volume {
			t.Errorf("%s: %q, want one row of volume %s", name, rows, c.volume)
		}
	}
}

// Windows that reach behind --to were once written from cut input as if they were whole.
func TestSelection_WindowsBehindTheRangeArePartial(t *testing.T) {
	cfg := run.DefaultConfig()
	cfg.Specs = []string{"trade_bars_1m"}
	cfg.To = (1_700_000_040 + 90) * market.Second
	rows := runText(t, cfg, [][2]int{{5, 1}, {70, 2}, {100, 4}, {200, 8}, {300, 8}})
	if len(rows) != 2 || field(rows[0], colFlags) != "assumed" || field(rows[1], colFlags) != "partial|assumed" || field(rows[1], colVolume) != "2" {
		t.Errorf("%q", rows)
	}
	cfg.Specs = []string{"vwap_5m"}
	rows = runText(t, cfg, [][2]int{{5, 1}, {70, 2}, {100, 4}, {200, 8}, {900, 8}})
	if len(rows) != 86 { // each second from 5 to 90
		t.Errorf("%d rolling rows, last %q", len(rows), rows[len(rows)-1])
	}
}
