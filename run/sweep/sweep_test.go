package sweep_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/rowfile"
	"github.com/pinova-group/tidemark/run/sweep"
)

const spec = `view: swept
version: 1
from: trade  # a comment that stays
by: [exchange, market, symbol]
params:
  w: {type: duration, default: 1m, sweep: {from: 30s, to: 2m, step: 30s}}
  big: {type: decimal, default: 0.50, sweep: [0.1, 0.5]}   # threshold
require: $w > 30s or $big < 0.2
window: {rolling: $w, every: 10s}
features:
  move: last(price) / first(price) - 1
  big_trades: count(where quantity > $big)
  flow: sum(quantity where side == buy) - sum(quantity where side == sell)
`

// market writes a spec and n trades of two symbols.
func market(t *testing.T, specText string, n int) (specFile, tape string) {
	t.Helper()
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(11, 12))
	var b strings.Builder
	b.WriteString("kind,feed,exchange,market,symbol,event_ts,ingest_ts,seq,id,side,price,quantity\n")
	ts := int64(1762795440000000)
	for i := range n {
		ts += r.Int64N(900_000)
		fmt.Fprintf(&b, "trade,kraken-spot,kraken,spot,%s,%d,%d,,%d,%s,%d.%02d,0.%03d\n", []string{"BTC-USDT", "ETH-USDT"}[r.IntN(2)],
			ts, ts+3000, i, []string{"buy", "sell"}[r.IntN(2)], 1000+r.IntN(50), r.IntN(100), 1+r.IntN(999))
	}
	specFile, tape = filepath.Join(dir, "swept.yaml"), filepath.Join(dir, "trades.csv")
	for path, text := range map[string]string{specFile: specText, tape: b.String()} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return specFile, tape
}

func do(t *testing.T, specFile, tape string, change func(*sweep.Config)) (*sweep.Result, error) {
	t.Helper()
	cfg := sweep.Config{Config: run.DefaultConfig()}
	cfg.Specs, cfg.Inputs = []string{specFile}, []string{tape}
	if change != nil {
		change(&cfg)
	}
	return sweep.Sweep(t.Context(), cfg, env(t))
}

func env(t *testing.T) run.Env {
	return run.Env{Stdout: &bytes.Buffer{}, Warn: func(string) {}, Meter: &run.Meter{}}
}

// single runs one variant alone and returns its complete rows.
func single(t *testing.T, specFile, tape string, set ...string) (head []string, rows [][]string) {
	t.Helper()
	cfg := run.DefaultConfig()
	cfg.Specs, cfg.Inputs, cfg.Set = []string{specFile}, []string{tape}, set
	var out bytes.Buffer
	e := env(t)
	e.Stdout, e.Rows = &out, rowfile.CSV
	if _, err := run.Run(context.Background(), cfg, e); err != nil {
		t.Fatal(err)
	}
	all, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all[1:] {
		if !strings.Contains(r[7], "partial") {
			rows = append(rows, r)
		}
	}
	return all[0], rows
}

// Each variant gives what the same spec gives alone: the number of rows, and metrics that
// plain loops over its rows give.
func TestSweep_VariantIsTheSingleRun(t *testing.T) {
	t.Parallel()
	file, tape := market(t, spec, 3000)
	metrics := []string{"mean(move)", "std(move)", "max(big_trades)", "sum(flow)", "corr(move, flow, ahead=3)", "hit(move, flow)"}
	res, err := do(t, file, tape, func(c *sweep.Config) { c.Metrics = metrics; c.Best = "std(move)" })
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Variants) != 7 || res.Refused != 1 {
		t.Fatalf("got %d variants, %d refused; want 7 and 1", len(res.Variants), res.Refused)
	}
	for _, v := range res.Variants {
		head, rows := single(t, file, tape, "w="+v.Values[0], "big="+v.Values[1])
		if int(v.Rows) != len(rows) || len(rows) == 0 {
			t.Errorf("%v: %d rows, alone %d", v.Values, v.Rows, len(rows))
		}
		col := func(name string) (out []float64) {
			for i, h := range head {
				if h == name {
					for _, r := range rows {
						x, err := strconv.ParseFloat(r[i], 64)
						if err != nil {
							x = math.NaN()
						}
						out = append(out, x)
					}
				}
			}
			return out
		}
		ents := make([]string, len(rows))
		for i, r := range rows {
			ents[i] = r[2]
		}
		move, big, flow := col("move"), col("big_trades"), col("flow")
		want := []float64{mean(move), sd(move), most(big), mean(flow) * float64(len(flow)), ahead(ents, move, flow, 3), hits(move, flow)}
		for k, w := range want {
			if got := v.Metrics[k]; math.Abs(got-w) > 1e-9*max(1, math.Abs(w)) {
				t.Errorf("%v: %s = %v, plain %v", v.Values, metrics[k], got, w)
			}
		}
	}
	for i := 1; i < len(res.Variants); i++ {
		if res.Variants[i].Metrics[1] > res.Variants[i-1].Metrics[1] {
			t.Errorf("variants are not ordered by %s", metrics[1])
		}
	}
}

func mean(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s / float64(len(x))
}

func sd(x []float64) float64 {
	m, s := mean(x), 0.0
	for _, v := range x {
		s += (v - m) * (v - m)
	}
	return math.Sqrt(s / float64(len(x)-1))
}

func most(x []float64) float64 {
	m := math.Inf(-1)
	for _, v := range x {
		m = max(m, v)
	}
	return m
}

// ahead is the correlation of x with y k rows later of the same entity.
func ahead(ents []string, x, y []float64, k int) float64 {
	var a, b []float64
	for _, e := range []string{"BTC-USDT", "ETH-USDT"} {
		var at []int
		for i := range ents {
			if ents[i] == e {
				at = append(at, i)
			}
		}
		for i := 0; i+k < len(at); i++ {
			a, b = append(a, x[at[i]]), append(b, y[at[i+k]])
		}
	}
	ma, mb := mean(a), mean(b)
	var sab, sa, sb float64
	for i := range a {
		sab += (a[i] - ma) * (b[i] - mb)
		sa += (a[i] - ma) * (a[i] - ma)
		sb += (b[i] - mb) * (b[i] - mb)
	}
	return sab / math.Sqrt(sa*sb)
}

func hits(x, y []float64) float64 {
	n := 0
	for i := range x {
		if x[i]*y[i] > 0 {
			n++
		}
	}
	return float64(n) / float64(len(x))
}

// The spec that is written is the old one but for the defaults, and is the variant.
func TestSweep_EmittedSpecIsTheVariant(t *testing.T) {
	t.Parallel()
	file, tape := market(t, spec, 500)
	res, err := do(t, file, tape, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := range res.Variants {
		v := &res.Variants[i]
		text, err := res.Spec(v)
		if err != nil {
			t.Fatal(err)
		}
		s, problems := lang.Parse("emitted.yaml", text)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		set, problems := lang.Check([]*lang.Spec{s}, lang.CheckOptions{})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if got := fmt.Sprintf("%x", set.Views[0].Fingerprint); got != v.Fingerprint {
			t.Errorf("%v: emitted spec has fingerprint %s, the variant %s", v.Values, got, v.Fingerprint)
		}
		if seen[v.Fingerprint] {
			t.Errorf("%v: fingerprint of another variant", v.Values)
		}
		seen[v.Fingerprint] = true
		want := strings.Replace(strings.Replace(spec, "default: 1m", "default: "+v.Values[0], 1), "default: 0.50", "default: "+v.Values[1], 1)
		if string(text) != want {
			t.Errorf("%v: emitted\n%s", v.Values, text)
		}
	}
}

// What a user gets wrong is named with its remedy.
func TestSweep_Mistakes(t *testing.T) {
	t.Parallel()
	file, tape := market(t, spec, 50)
	plain, _ := market(t, strings.NewReplacer(", sweep: {from: 30s, to: 2m, step: 30s}", "", ", sweep: [0.1, 0.5]", "").Replace(spec), 1)
	for _, c := range []struct {
		name   string
		file   string
		change func(*sweep.Config)
		want   string
	}{
		{"nothing swept", plain, nil, "no parameter of swept is swept"},
		{"unknown parameter", file, func(c *sweep.Config) { c.Params = []string{"bog=1,2"} }, `view swept has no parameter "bog"`},
		{"wrong type", file, func(c *sweep.Config) { c.Params = []string{"w=1,2"} }, `"1" is no duration`},
		{"no step", file, func(c *sweep.Config) { c.Params = []string{"w=1m..5m"} }, `"1m..5m" has no step`},
		{"endless", file, func(c *sweep.Config) { c.Params = []string{"w=5m..1m:1m"} }, `sweep of "w" does not end`},
		{"too many values", file, func(c *sweep.Config) { c.Params = []string{"big=0..1:0.0001"} }, `sweep of "big" is too long`},
		{"too large", file, func(c *sweep.Config) { c.Params = []string{"big=0..1:0.001", "w=31s..40s:1s"} }, "family of swept is too large"},
		{"set and swept", file, func(c *sweep.Config) { c.Params, c.Set = []string{"w=1m,2m"}, []string{"w=1m"} }, `parameter "w" is both set and swept`},
		{"no equals sign", file, func(c *sweep.Config) { c.Params = []string{"w"} }, `"w" is no range of a parameter`},
		{"twice", file, func(c *sweep.Config) { c.Params = []string{"w=1m", "w=2m"} }, `parameter "w" is given twice`},
		{"require", file, func(c *sweep.Config) { c.Params = []string{"w=30s", "big=0.5,0.6"} }, "is false for every combination"},
		{"metric of no feature", file, func(c *sweep.Config) { c.Metrics = []string{"mean(mov)"} }, `no numeric feature is called "mov"`},
		{"unknown metric", file, func(c *sweep.Config) { c.Metrics = []string{"median(move)"} }, `no function is called "median"`},
		{"metric without parentheses", file, func(c *sweep.Config) { c.Metrics = []string{"mean"} }, "no parentheses"},
		{"metric of one", file, func(c *sweep.Config) { c.Metrics = []string{"corr(move)"} }, "corr takes 2 features, not 1"},
		{"ahead of nothing", file, func(c *sweep.Config) { c.Metrics = []string{"corr(move, flow, ahead=-1)"} }, "ahead is -1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := do(t, c.file, tape, c.change)
			if err == nil {
				t.Fatal("no error")
			}
			text := err.Error()
			if f, ok := errors.AsType[*fault.Error](err); ok {
				for _, p := range f.Parts {
					text += "\n" + p.Message
				}
			}
			if !strings.Contains(text, c.want) {
				t.Errorf("got %q\nwant %q", text, c.want)
			}
		})
	}
}

// A fixed value takes a parameter out of the sweep.
func TestSweep_SetFixesAParameter(t *testing.T) {
	t.Parallel()
	file, tape := market(t, spec, 300)
	res, err := do(t, file, tape, func(c *sweep.Config) { c.Set = []string{"big=0.3"} })
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Dims) != 1 || len(res.Variants) != 3 {
		t.Errorf("got %d dimensions and %d variants, want 1 and 3", len(res.Dims), len(res.Variants))
	}
}

// The picture has a cell for each combination, the text a row for each variant asked for.
func TestSweep_Shows(t *testing.T) {
	t.Parallel()
	file, tape := market(t, spec, 500)
	res, err := do(t, file, tape, func(c *sweep.Config) { c.Metrics = []string{"std(move)", "corr(move, flow)"} })
	if err != nil {
		t.Fatal(err)
	}
	g := res.Grid(false)
	svg := g.SVG("swept & <shown>")
	if n := strings.Count(svg, "<rect"); n != 1+4*2+1+20 {
		t.Errorf("picture has %d rectangles", n)
	}
	if !strings.Contains(svg, "swept &amp; &lt;shown&gt;") || !strings.Contains(svg, "#e6e8eb") {
		t.Error("title is not escaped, or the combination that require rules out is not grey")
	}
	text := res.Text(term.Style{}, 2, false)
	if !strings.Contains(text, "and 5 more") {
		t.Errorf("text is\n%s", text)
	}
	b, err := json.Marshal(res)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Variants []struct {
			Params  map[string]string
			Metrics map[string]*float64
		}
	}
	if err := json.Unmarshal(b, &back); err != nil || len(back.Variants) != 7 || len(back.Variants[0].Metrics) != 2 || back.Variants[0].Params["w"] == "" {
		t.Errorf("JSON is %s: %v", b, err)
	}
}
