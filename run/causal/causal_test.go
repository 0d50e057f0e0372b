package causal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/run/causal"
	"github.com/pinova-group/tidemark/specs"
)

// simulated is a market with late, missing and doubled events.
func simulated(t *testing.T, events int64) string {
	t.Helper()
	c := gen.DefaultConfig()
	c.Events, c.Rate, c.Seed = events, 5, 11
	c.Symbols, c.Venues, c.Disorder = c.Symbols[:2], c.Venues[:2], 200*market.Millisecond
	c.Duplicates, c.Late, c.Gaps = 5_000, 5_000, 3_000
	out := gen.Output{Path: filepath.Join(t.TempDir(), "events.jsonl"), Format: gen.CanonicalJSONL}
	if _, err := gen.Write(t.Context(), c, out); err != nil {
		t.Fatal(err)
	}
	return out.Path
}

func config(in string, views ...string) causal.Config {
	cfg := causal.Config{Config: run.DefaultConfig(), Cuts: 6, Seed: 1}
	cfg.Specs, cfg.Inputs = views, []string{in}
	return cfg
}

func env(t *testing.T) run.Env { return run.Env{Warn: func(m string) { t.Error(m) }} }

// No shipped view looks ahead.
func TestCheck_ShippedViewsDoNotLookAhead(t *testing.T) {
	t.Parallel()
	cfg := config(simulated(t, 3_000), specs.Names()...)
	res, err := causal.Check(t.Context(), cfg, env(t))
	if err != nil {
		t.Fatal(err)
	}
	if res.Leak != nil {
		t.Fatalf("%+v", *res.Leak)
	}
	if res.Rows < 1000 || res.Changed == 0 || res.Runs != 3*res.Cuts {
		t.Errorf("too little was tried: %+v", *res)
	}
}

// An engine that says that rows were known a second too early is caught, with the event
// that shows it: one that belongs to the row and came after the cut.
func TestCheck_FindsRowsThatClaimToBeEarly(t *testing.T) {
	t.Parallel()
	in := simulated(t, 2000)
	for _, view := range []string{"trade_bars_1s", "vwap_5m", "quote_bars_1s"} {
		res, err := causal.CheckEarly(t.Context(), config(in, view), env(t), market.Second)
		if err != nil {
			t.Fatal(err)
		}
		l := res.Leak
		if l == nil || l.View != view || l.Cut < l.AvailableAt || l.Event == "" {
			t.Fatalf("%s: %+v", view, l)
		}
		if symbol := strings.Fields(l.Entity)[2]; !strings.Contains(l.Event, " "+symbol+" at ") {
			t.Errorf("%s: row of %s, event %s", view, l.Entity, l.Event)
		}
	}
}

// What a window takes from the last event before it was not known before that event came:
// rows without events once claimed so.
func TestCheck_CarriedValuesCameLate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := filepath.Join(dir, "late.csv")
	const head = "kind,feed,market,symbol,event_ts,ingest_ts,id,side,price,quantity\n"
	text := head
	for i, e := range [][2]int64{{0, 1}, {59_900, 300_000}, {130_000, 900_000}, {600_000, 600_001}} { // ms of event and receipt
		text += fmt.Sprintf("trade,kraken-spot,spot,BTC-USDT,%d,%d,%d,buy,%d,1\n", 1704067200000000+e[0]*1000, 1704067200000000+e[1]*1000, i, 100+i)
	}
	if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, window := range []string{
		"window: {tumbling: 1m, carry: 1h}\nempty: flat", "window: {tumbling: 1m, carry: 1h}\nempty: nulls", "window: {tumbling: 1m, carry: 1h}",
		"window: {rolling: 2m, every: 30s}\nempty: flat",
	} {
		spec := filepath.Join(dir, fmt.Sprintf("v%d.yaml", i))
		body := "view: v\nversion: 1\nfrom: trade\nby: [symbol]\n" + window + "\nfeatures:\n  close: last(price)\n  n: count()\n  twap: time_mean(price)\n"
		if err := os.WriteFile(spec, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := config(in, spec)
		cfg.Cuts = 100
		res, err := causal.Check(t.Context(), cfg, env(t))
		if err != nil {
			t.Fatal(err)
		}
		if res.Leak != nil {
			t.Errorf("%s: %+v", window, *res.Leak)
		}
	}
}

// The same seed tries the same cuts; wrong input is told.
func TestCheck_Deterministic(t *testing.T) {
	t.Parallel()
	in := simulated(t, 2000)
	a, err := causal.CheckEarly(t.Context(), config(in, "trade_bars_1s"), env(t), market.Second)
	if err != nil {
		t.Fatal(err)
	}
	b, err := causal.CheckEarly(t.Context(), config(in, "trade_bars_1s"), env(t), market.Second)
	if err != nil || *a.Leak != *b.Leak || a.Rows != b.Rows {
		t.Errorf("%v: %+v and %+v", err, a.Leak, b.Leak)
	}
	empty := filepath.Join(t.TempDir(), "none.csv")
	if err := os.WriteFile(empty, []byte("kind,feed,market,symbol,event_ts,price,quantity\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*causal.Config){
		"--cuts is 0":                          func(c *causal.Config) { c.Cuts = 0 },
		"no input given":                       func(c *causal.Config) { c.Inputs = nil },
		"the input holds no event that":        func(c *causal.Config) { c.Inputs = []string{empty} },
		"no shipped view and no file is calle": func(c *causal.Config) { c.Specs = []string{"nope"} },
	} {
		cfg := config(in, "trade_bars_1s")
		change(&cfg)
		if _, err := causal.Check(t.Context(), cfg, env(t)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
