package spectest_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/spectest"
	"github.com/pinova-group/tidemark/specs"
)

// Every shipped view has a test, and all of them pass.
func TestShippedViews_PassTheirTests(t *testing.T) {
	t.Parallel()
	results, err := spectest.Run(context.Background(), specs.Names())
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]bool{}
	for _, r := range results {
		has[r.View] = true
		if !r.OK {
			t.Errorf("%s %s: %s %v %v", r.View, r.Name, r.Problem, r.Diffs, r.Notes)
		}
		if r.Rows == 0 {
			t.Errorf("%s %s has no rows", r.View, r.Name)
		}
	}
	for _, name := range specs.Names() {
		if !has[name] {
			t.Errorf("%s has no test", name)
		}
	}
}

// A shipped test can fail: any other number in any of its cells is told, with its place.
func TestShippedViews_EveryCellIsCompared(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"trade_bars_1m", "trade_flags", "spread_1m", "funding_8h"} {
		text, _ := specs.Find(name)
		s, ps := lang.Parse(name, text)
		if len(ps) > 0 {
			t.Fatal(ps)
		}
		lines := strings.Split(string(text), "\n")
		for _, test := range s.Tests {
			for _, row := range test.Rows {
				for k := range row.Cells {
					cells := append([]string(nil), row.Cells...)
					cells[k] += "7"
					old := lines[row.Pos.Line-1]
					lines[row.Pos.Line-1] = "      " + strings.Join(cells, ",")
					path := filepath.Join(t.TempDir(), name+".yaml")
					if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
						t.Fatal(err)
					}
					lines[row.Pos.Line-1] = old
					results, err := spectest.Run(context.Background(), []string{path})
					if err != nil {
						t.Fatal(err)
					}
					var diffs []spectest.Diff
					for _, r := range results {
						diffs = append(diffs, r.Diffs...)
					}
					if len(diffs) != 1 || diffs[0].Column != test.Columns[k].Text || diffs[0].Want != cells[k] || diffs[0].Got != row.Cells[k] {
						t.Errorf("%s %s, %s: %v", name, test.Name, test.Columns[k].Text, diffs)
					}
				}
			}
		}
	}
}

const header = "view: v\nversion: 1\nfrom: trade\nby: [symbol]\nparams:\n  n: {type: int, default: 1}\nwindow: {tumbling: 1m}\nfeatures:\n  x: last(price) * $n\n" +
	"tests:\n  t:\n"

const events = "    input: |\n      kind,feed,market,symbol,event_ts,price,quantity\n      trade,kraken-spot,spot,BTC-USDT,1704067200000000,0.5,1\n"

func TestRun_Outcomes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"by value", events + "    rows: |\n      x\n      5.0e-1\n", ""},
		{"parameter", "    set: {n: 4}\n" + events + "    rows: |\n      x\n      2\n", ""},
		{"wrong parameter", "    set: {n: four}\n" + events + "    rows: |\n      x\n      2\n", `the spec has a mistake; --set v.n=four: "four" is no int`},
		{"no number", events + "    rows: |\n      x\n      half\n", "a.yaml:17:7: row 1, column x: got 0.5, want half"},
		{"null", events + "    rows: |\n      x\n      \"\"\n", "a.yaml:17:7: row 1, column x: got 0.5, want null"},
		{"huge exponent", events + "    rows: |\n      x\n      1e999999999\n", "a.yaml:17:7: row 1, column x: got 0.5, want 1e999999999"},
		{"a fraction", events + "    rows: |\n      x\n      1/2\n", "a.yaml:17:7: row 1, column x: got 0.5, want 1/2"},
		{"row too many", events + "    rows: |\n      symbol,x\n", "a.yaml:11:3: row 1 is not expected: got BTC-USDT,0.5"},
		{"no events", "    input: |\n      kind,feed,market,symbol,event_ts,price,quantity\n    rows: |\n      x\n", ""},
		{"unknown column of the input", "    input: |\n      kind,feed,market,symbol,event_ts,prize\n    rows: |\n      x\n", "a.yaml:13: bad record"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "a.yaml")
		if err := os.WriteFile(path, []byte(header+c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		results, err := spectest.Run(context.Background(), []string{path})
		if err != nil || len(results) != 1 {
			t.Errorf("%s: %v %v", c.name, results, err)
			continue
		}
		got := results[0].Problem
		for _, d := range results[0].Diffs {
			got += d.String()
		}
		got = strings.ReplaceAll(got, dir+string(filepath.Separator), "")
		if results[0].OK != (c.want == "") || !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// What Record prints is an entry that passes, for one kind and for views that read views.
func TestRecord_Passes(t *testing.T) {
	t.Parallel()
	text, _ := specs.Find("trade_flow_1m")
	s, _ := lang.Parse("", text)
	for _, name := range []string{"trade_bars_1m", "trade_bars_1h", "trade_flags", "trade_size_5m"} {
		cfg := run.DefaultConfig()
		cfg.Specs, cfg.Inputs = []string{name}, []string{"-"}
		entry, err := spectest.Record(context.Background(), cfg, "again", 3, run.Env{Stdin: strings.NewReader(s.Tests[0].Input), Warn: func(m string) { t.Error(m) }})
		if err != nil {
			t.Fatal(err)
		}
		spec, _ := specs.Find(name)
		before, _, _ := strings.Cut(string(spec), "tests:\n")
		path := filepath.Join(t.TempDir(), name+".yaml")
		if err := os.WriteFile(path, []byte(before+entry), 0o600); err != nil {
			t.Fatal(err)
		}
		results, err := spectest.Run(context.Background(), []string{path})
		if err != nil || len(results) != 1 || !results[0].OK || results[0].Rows == 0 {
			t.Errorf("%s: %v %v\n%s", name, results, err, entry)
		}
	}
}

func TestRecord_TellsWhatItLeftOut(t *testing.T) {
	t.Parallel()
	cfg := run.DefaultConfig()
	cfg.Specs, cfg.Inputs, cfg.Symbols, cfg.From = []string{"trade_bars_1m"}, []string{"-"}, []string{"btcusdt"}, 1704067200000001
	in := "kind,feed,market,symbol,event_ts,price,quantity\n" +
		"trade,kraken-spot,spot,BTC-USDT,1704067200000000,1,1\n" +
		"trade,kraken-spot,spot,BTC-USDT,1704067200000001,2,1\n" +
		"trade,kraken-spot,spot,ETH-USDT,1704067200000002,3,1\n" +
		"trade,kraken-spot,spot,BTC-USDT,1704067200000003,none,1\n"
	var warned []string
	env := run.Env{Stdin: strings.NewReader(in), Warn: func(m string) { warned = append(warned, m) }}
	entry, err := spectest.Record(context.Background(), cfg, "part", 10, env)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(entry, "trade,kraken") != 1 || !strings.Contains(entry, ",1704067200000001,") {
		t.Error(entry)
	}
	if len(warned) != 1 || !strings.HasPrefix(warned[0], "bad records left out: 1;") {
		t.Error(warned)
	}
}
