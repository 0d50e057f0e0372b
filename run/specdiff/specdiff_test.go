package specdiff_test

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/specdiff"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const old = `view: v
version: 1
from: trade
by: [exchange, symbol]
window: {tumbling: 10s}
features:
  close: last(price)
  volume: sum(quantity)
  trades: count()
`

func TestCompare_SaysWhatDiffersAndWhy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := write(t, dir, "a.yaml", old)
	for _, c := range []struct{ name, text, set, want string }{
		{"layout only", strings.Replace(old, "view:", "# other\nview:", 1), "", "same outside[]"},
		{"outside", old + "doc: Some text.\nalert:\n  a: {when: trades > 5}\n", "", "same outside[doc alert]"},
		{"a feature", strings.Replace(old, "count()", "count(where side == buy)", 1), "",
			"features[{trades count() count(where side == buy)}] why[their own text differs the input columns that they read differ; only the second: side]"},
		{"an operator", old + "  m: mean(price)\n", "",
			"features[{m  mean(price)}] why[their own text differs the operators that they use differ; only the second: mean 1]"},
		{"a type", strings.Replace(old, "last(price)", "decimal(last(price), 2)", 1), "",
			"features[{close last(price) decimal(last(price), 2)} {close (type) float64 decimal(38,2)}] why[their own text differs]"},
		{"window", strings.Replace(old, "10s", "1m", 1), "",
			"text[{window {tumbling: 10s, origin: 1970-01-01, zone: UTC} {tumbling: 1m, origin: 1970-01-01, zone: UTC}}] why[their own text differs] cost[{lookback 10s 1m} {reach 10s 1m}]"},
	} {
		b := write(t, dir, "b.yaml", c.text)
		d, err := specdiff.Compare(specdiff.Config{A: specdiff.Side{Arg: a}, B: specdiff.Side{Arg: b}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		if d.Same {
			got = append(got, "same", fmt.Sprint("outside", d.Outside))
		}
		for _, part := range []struct {
			name string
			list []specdiff.Change
		}{{"text", d.Text}, {"features", d.Features}} {
			if len(part.list) > 0 {
				got = append(got, fmt.Sprint(part.name, part.list))
			}
		}
		if len(d.Why) > 0 {
			got = append(got, fmt.Sprint("why", d.Why))
		}
		if c.name == "window" {
			got = append(got, fmt.Sprint("cost", d.Cost))
		}
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, g, c.want)
		}
	}
}

// A child whose own text is the same differs by its parent.
func TestCompare_TellsOfTheParent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	child := "view: c\nversion: 1\nfrom: v\nby: [symbol]\nwindow: {tumbling: 1m}\nfeatures:\n  m: max(close)\n"
	one := write(t, dir, "p.yaml", "view: v\nversion: 1\nfrom: trade\nby: [symbol]\nparams:\n  n: {type: int, default: 1}\nwindow: {tumbling: 1s}\nfeatures:\n  close: last(price) * $n\n")
	c := write(t, dir, "c.yaml", child)
	d, err := specdiff.Compare(specdiff.Config{A: specdiff.Side{Arg: c}, B: specdiff.Side{Arg: c, Set: []string{"v.n=2"}}, With: []string{one}})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Why) != 1 || !strings.HasPrefix(d.Why[0], "the views they read differ: v@1 (") || len(d.Text) > 0 {
		t.Errorf("%v %v", d.Why, d.Text)
	}
}

func market(t *testing.T) string {
	t.Helper()
	c := gen.DefaultConfig()
	c.Events, c.Rate, c.Seed = 4000, 40, 3
	out := gen.Output{Path: filepath.Join(t.TempDir(), "events.jsonl"), Format: gen.CanonicalJSONL}
	if _, err := gen.Write(t.Context(), c, out); err != nil {
		t.Fatal(err)
	}
	return out.Path
}

// Counts and largest differences are those of a comparison of the two result files.
func TestData_IsWhatTheFilesSay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := market(t)
	a := write(t, dir, "a.yaml", old)
	b := write(t, dir, "b.yaml", strings.Replace(strings.Replace(old, "by:", "where: quantity > 0.05 and not (symbol == 'SOL-USDT' and price > 0)\nby:", 1), "last(price)", "first(price)", 1))
	cfg := specdiff.Config{A: specdiff.Side{Arg: a}, B: specdiff.Side{Arg: b}}
	d, err := specdiff.Compare(cfg)
	if err != nil {
		t.Fatal(err)
	}
	base := run.DefaultConfig()
	base.Inputs = []string{in}
	if err := d.Data(t.Context(), cfg, base, run.Env{Warn: func(m string) { t.Error(m) }}); err != nil {
		t.Fatal(err)
	}
	x, y := result(t, a, in), result(t, b, in)
	var both, equal, onlyA int64
	differ := map[string]int64{}
	for k, row := range x {
		other, ok := y[k]
		if !ok {
			onlyA++
			continue
		}
		both++
		same := true
		for c, v := range row {
			if other[c] != v {
				differ[c]++
				same = false
			}
		}
		if same {
			equal++
		}
	}
	r := d.Rows
	if r.A != int64(len(x)) || r.B != int64(len(y)) || r.Equal != equal || r.Differ != both-equal || r.OnlyA != onlyA || r.OnlyB != int64(len(y))-both {
		t.Errorf("%+v; the files have %d and %d rows, %d in both, %d equal", *r, len(x), len(y), both, equal)
	}
	if r.OnlyA == 0 || r.Differ == 0 || r.Equal == 0 || len(r.First) != 5 {
		t.Errorf("the example shows too little: %+v", *r)
	}
	for _, c := range r.Columns {
		if c.Differ != differ[c.Name] {
			t.Errorf("%s differs in %d rows, by the files in %d", c.Name, c.Differ, differ[c.Name])
		}
		delete(differ, c.Name)
		if c.Name != "flags" && (c.Largest == nil || c.MaxAbs <= 0) {
			t.Errorf("%s has no largest difference: %+v", c.Name, c)
		}
	}
	if len(differ) > 0 {
		t.Errorf("not told: %v", differ)
	}
}

// result is a result file: rows by entity and row_ts, cells by column.
func result(t *testing.T, spec, in string) map[string]map[string]string {
	t.Helper()
	cfg := run.DefaultConfig()
	cfg.Specs, cfg.Inputs, cfg.Output = []string{spec}, []string{in}, filepath.Join(t.TempDir(), "rows.csv")
	if _, err := run.Run(t.Context(), cfg, run.Env{Stdout: io.Discard, Warn: func(string) {}}); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(cfg.Output)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]string{}
	for _, l := range lines[1:] {
		row := map[string]string{}
		for i, name := range lines[0] {
			row[name] = l[i]
		}
		out[row["exchange"]+row["symbol"]+row["row_ts"]] = row
	}
	return out
}

func TestData_NeedsTheSameEntities(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := specdiff.Config{A: specdiff.Side{Arg: write(t, dir, "a.yaml", old)}, B: specdiff.Side{Arg: write(t, dir, "b.yaml", strings.Replace(old, "exchange, ", "", 1))}}
	d, err := specdiff.Compare(cfg)
	if err != nil {
		t.Fatal(err)
	}
	base := run.DefaultConfig()
	base.Inputs = []string{"none.csv"}
	if err := d.Data(t.Context(), cfg, base, run.Env{}); err != nil || d.Rows.Unequal != "their entities differ: exchange, symbol and symbol" {
		t.Errorf("%v %+v", err, d.Rows)
	}
}
