package describe

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/ingest/gen"
	"github.com/pinova-group/tidemark/internal/term"
	"github.com/pinova-group/tidemark/run"
)

func plan(t *testing.T, views ...string) *Plan {
	t.Helper()
	c := gen.DefaultConfig()
	c.Events, c.Rate, c.Symbols, c.Venues = 3000, 10, c.Symbols[:2], c.Venues[:1]
	out := gen.Output{Path: filepath.Join(t.TempDir(), "events.jsonl"), Format: gen.CanonicalJSONL}
	if _, err := gen.Write(t.Context(), c, out); err != nil {
		t.Fatal(err)
	}
	cfg := run.DefaultConfig()
	cfg.Specs, cfg.Inputs = views, []string{out.Path}
	now := 0.0
	p, err := MakePlan(t.Context(), cfg, run.Env{Warn: func(m string) { t.Error(m) }}, func() float64 { now++; return now })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Counted costs: a set costs no more than its views alone, a view adds no more than it
// costs alone, what others read anyway adds nothing, and the numbers come again.
func TestMakePlan_SharedCosts(t *testing.T) {
	t.Parallel()
	views := []string{"trade_bars_1m", "trade_bars_1h", "vwap_5m", "spread_1m"}
	p := plan(t, views...)
	c := p.Costs
	if c.Total <= 0 || c.Total >= c.Sum || len(c.Views) != 4 {
		t.Fatalf("%+v", c)
	}
	sum := int64(0)
	for i, v := range c.Views {
		sum += v.Alone
		if v.View != views[i] || v.Adds > v.Alone || v.Alone <= 0 {
			t.Errorf("%+v", v)
		}
	}
	if sum != c.Sum || c.Views[0].Adds != 0 || c.Views[3].Adds != c.Views[3].Alone {
		t.Errorf("%+v: bars are read by the hour, quotes by spread_1m alone", c)
	}
	// Grouping once instead of three times is what vwap_5m saves.
	if saved := c.Views[2].Alone - c.Views[2].Adds; saved != c.Sum-c.Total-c.Views[0].Alone {
		t.Errorf("vwap_5m saves %d of %+v", saved, c)
	}
	if again := plan(t, views...); !reflect.DeepEqual(again.Costs, c) || !reflect.DeepEqual(again.Stages, p.Stages) {
		t.Error("the same sample gives other numbers")
	}
	want := []Group{{"trade", []string{"exchange", "market", "symbol"}, []string{"trade_bars_1m", "vwap_5m"}},
		{"quote", []string{"exchange", "market", "symbol"}, []string{"spread_1m"}}}
	if !reflect.DeepEqual(p.Groups, want) {
		t.Errorf("groups %+v", p.Groups)
	}
	if text := p.Text(term.Style{}); !strings.Contains(text, "together") || !strings.Contains(text, "once for") {
		t.Error(text)
	}
}

// The memory of an entity is what is predicted from the same sample, and windows that are full take
// no less.
func TestMakePlan_StateAsPredicted(t *testing.T) {
	t.Parallel()
	const factor = 1.3
	for _, st := range plan(t, "trade_bars_1m", "trade_bars_1h", "momentum_15m", "vwap_5m", "spread_1m", "trade_bars_flat_1m", "trade_size_5m", "feed_health_1m").Stages {
		if st.Entities == 0 || st.Measured == 0 || float64(st.Measured) > factor*float64(st.Predicted) || float64(st.Predicted) > factor*float64(st.Measured) {
			t.Errorf("%s: %d entities, measured %d bytes each, predicted %d", st.View, st.Entities, st.Measured, st.Predicted)
		}
		t.Logf("%s: %d entities, bound %d, measured %d bytes each, predicted %d, when full %d", st.View, st.Entities, st.State, st.Measured, st.Predicted, st.Full)
		if st.Full < st.Predicted {
			t.Errorf("%s: %d bytes when full, %d before", st.View, st.Full, st.Predicted)
		}
	}
}
