package explain

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
)

// simulated is a small market with late events, duplicates and gaps.
func simulated(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cfg := gen.DefaultConfig()
	cfg.Seed, cfg.Events, cfg.Rate, cfg.Symbols, cfg.Venues = 32, 5_000, 6, gen.Symbols(2), cfg.Venues[:2]
	cfg.Late, cfg.Duplicates, cfg.Gaps = 4000, 10_000, 1000
	if _, err := gen.Write(t.Context(), cfg, gen.Output{Path: dir}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// plain is an explanation without what a lake does not keep: files and lines, and how far
// behind a late event was.
func plain(x *Explanation) *Explanation {
	y := *x
	if x.View == "book_resyncs_5m" {
		y.Flags = nil // its table ends with the last status, so the last window is cut
	}
	y.Rejected, y.OutCount, y.Out, y.Others, y.Before = 0, 0, nil, 0, nil
	for _, o := range x.Out {
		if o.Verdict != "duplicate" && o.Verdict != "rejected" {
			o.Event = Event{ID: o.ID, Time: o.Time}
			if o.Verdict == "late" {
				o.Why = ""
			}
			y.Out = append(y.Out, o)
		}
	}
	y.AvailBy = strings.Split(x.AvailBy, " ")[0]
	y.Features = plainFeatures(x.Features)
	y.Inputs = *plainInputs(&x.Inputs)
	return &y
}

func plainFeatures(in []Feature) []Feature {
	out := slices.Clone(in)
	for i := range out {
		out[i].Aggregates = slices.Clone(out[i].Aggregates)
		for k := range out[i].Aggregates {
			out[i].Aggregates[k].Place = ""
		}
	}
	return out
}

func plainInputs(in *Inputs) *Inputs {
	if in == nil {
		return nil
	}
	out := &Inputs{RowCount: in.RowCount, Count: in.Count, Carried: in.Carried}
	for _, ev := range in.Events {
		if strings.HasPrefix(ev.Place, "(written") {
			ev.Place = ""
		}
		out.Events = append(out.Events, Event{Role: ev.Role, Time: ev.Time, ID: ev.ID, Age: ev.Age, Columns: ev.Columns})
	}
	for _, r := range in.Rows {
		r.Features, r.Inputs = plainFeatures(r.Features), plainInputs(r.Inputs)
		out.Rows = append(out.Rows, r)
	}
	return out
}

// A row is explained by the same events, values and verdicts, whether they are read from
// files or from the lake that these were imported into.
func TestExplain_LakeIsLikeFiles(t *testing.T) {
	dir := simulated(t)
	l, err := lake.Open(t.Context(), lake.Config{Dir: t.TempDir(), Now: time.Now, Build: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if _, err := run.Import(t.Context(), run.ImportConfig{Inputs: []string{dir}}, l, run.Env{Warn: func(string) {}}); err != nil {
		t.Fatal(err)
	}
	late := 0
	check := func(t *testing.T, c Config, all []map[string]string, by []string) {
		t.Helper()
		if len(all) < 2 {
			t.Fatalf("%d rows", len(all))
		}
		for k := range 3 {
			at := len(all) * (2*k + 1) / 8
			c.Time, c.Entity, c.Nth, c.Limit, c.Deep = number(t, all[at]["row_ts"]), entityOf(by, all[at]), nth(by, all, at), 0, k == 0
			c.Inputs, c.Lake = []string{dir}, nil
			want := sameAs(t, c, all[at])
			c.Inputs, c.Lake = []string{run.LakePrefix}, l
			got := sameAs(t, c, all[at])
			if d := cmp.Diff(plain(want), plain(got), cmp.FilterPath(unexported, cmp.Ignore())); d != "" {
				t.Errorf("%s %s (-files +lake)\n%.3000s", c.View, want.RowTS, d)
			}
			for _, o := range got.Out {
				if o.Verdict == "late" {
					late++
				}
			}
			for _, ev := range got.Events {
				if !strings.HasSuffix(ev.Place, ":"+ev.ID) || !strings.HasPrefix(ev.Place, "processed.") {
					t.Errorf("place %s of %s", ev.Place, ev.ID)
				}
			}
		}
	}
	for _, name := range specs.Names() {
		if slices.Contains(noSample, name) {
			continue
		}
		c := Config{View: name}
		if p, ok := smaller[name]; ok {
			c.Set = []string{p}
		}
		check(t, c, rows(t, name, dir, c.Set...), viewOf(t, name).By)
	}
	for name, text := range constructs {
		c := Config{View: "v"}
		for part := range strings.SplitSeq(text, "---\n") {
			c.Specs = append(c.Specs, write(t, "spec.yaml", part))
		}
		set, _, err := run.Check(c.Specs, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		i := slices.IndexFunc(set.Views, func(v *lang.View) bool { return v.Name == "v" })
		check(t, c, rowsOf(t, c.Specs, "v", dir), set.Views[i].By)
	}
	if late == 0 {
		t.Error("no late event was near any of these rows")
	}
	for _, c := range []struct{ input, want string }{{"lake:processed.quote", "no view reads"}, {"lake:,x.csv", "together"}} {
		_, err := Explain(t.Context(), Config{View: "trade_bars_1m", Inputs: strings.Split(c.input, ","), Lake: l})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.input, err)
		}
	}
}

func unexported(p cmp.Path) bool {
	f, ok := p.Last().(cmp.StructField)
	return ok && f.Name()[0] >= 'a' && f.Name()[0] <= 'z'
}

// sorted puts what has another order where the kinds have other numbers.
func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

const fillKind = `kind: fill
id: id
columns:
  id: {type: text, nullable: true}
  side: {type: enum, words: [unknown, buy, sell]}
  price: {type: decimal, unit: quote/base}
  quantity: {type: decimal, unit: base}
`

// Views over a user-defined kind with the columns of trades are explained as those over
// trades are: by the same lines, of which alone the value comes out again.
func TestExplain_UserDefinedKinds(t *testing.T) {
	dir, own := simulated(t), t.TempDir()
	text, err := os.ReadFile(filepath.Join(dir, "trade.csv"))
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string][]byte{"trade.csv": []byte(strings.ReplaceAll(string(text), "\ntrade,", "\nfill,")), "quote.csv": nil} {
		if x == nil {
			if x, err = os.ReadFile(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(own, name), x, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kind := write(t, "fill.yaml", fillKind)
	for name, spec := range map[string]string{
		"windows": "from: trade\nwhere: side != unknown\nby: [exchange, market, symbol]\nwindow: {tumbling: 20s}\nfeatures: {open: first(price), n: count(where side == buy), vwap: sum(price * quantity) / sum(quantity)}\n",
		"bars":    "from: trade\nby: [exchange, market, symbol]\nwindow: {bar: sum(quantity), size: 0.2, cut: whole, reset: 1d}\nfeatures: {n: count(), high: max(price)}\n",
		"scans":   "from: trade\nby: [exchange, market, symbol]\nreset: 5m\nfeatures:\n  total: cum(quantity)\n  trend: ema(price, 3)\n  top: max(price) over 10s\n",
		"joins":   "from: quote\nby: [exchange, market, symbol]\njoin:\n  f: {view: trade, on: [exchange, market, symbol], match: asof, max_age: 10s}\nwindow: {tumbling: 20s}\nfeatures: {above: max(ask_price - f.price), at: last(f.ts)}\n",
		"unions":  "from: {f: trade, q: quote}\nby: [exchange, market, symbol]\nwindow: {tumbling: 20s}\nfeatures: {n: count(f.price), touch: last(q.bid_price)}\n",
		"latest":  "from: trade\nby: [market, symbol]\nwindow: {latest: exchange, every: 1s, max_age: 10s}\nfeatures: {n: count(), mid: median(price)}\n",
	} {
		t.Run(name, func(t *testing.T) {
			of := write(t, "v.yaml", "view: v\nversion: 1\n"+spec)
			mine := write(t, "v.yaml", "view: v\nversion: 1\n"+strings.ReplaceAll(spec, "trade", "fill"))
			all := rowsOf(t, []string{of}, "v", dir)
			set, _, err := run.Check([]string{of}, nil)
			if err != nil {
				t.Fatal(err)
			}
			v := set.Views[0]
			if len(all) < 10 {
				t.Fatalf("%d rows", len(all))
			}
			for k := range 3 {
				at := len(all) * (2*k + 1) / 8
				c := Config{View: "v", Time: number(t, all[at]["row_ts"]), Entity: entityOf(v.By, all[at]), Nth: nth(v.By, all, at)}
				c.Specs, c.Inputs = []string{of}, []string{dir}
				want := sameAs(t, c, all[at])
				c.Specs, c.Inputs = []string{kind, mine}, []string{own}
				got := sameAs(t, c, all[at])
				lines := func(x *Explanation) (out []string) {
					for _, ev := range x.Events {
						out = append(out, fmt.Sprint(filepath.Base(ev.Place), ev.Time, ev.Columns, ev.Role, ev.Age))
					}
					for _, o := range x.Out {
						out = append(out, fmt.Sprint(filepath.Base(o.Place), o.Verdict, strings.ReplaceAll(o.Why, own, dir)))
					}
					return out
				}
				if d := cmp.Diff(sorted(lines(want)), sorted(lines(got))); d != "" {
					t.Errorf("events (-trades +fills)\n%s", d)
				}
				listedAlone(t, c, v, got, all[at])
			}
		})
	}
}
