package specs_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/specs"
)

// source is the sentence of a doc that says where a definition comes from.
var source = regexp.MustCompile(`Source( of [^:]+)?: .{12,}`)

// Every shipped view is named as its file, says what it is for and where its definition
// comes from, is written as spec fmt writes it, and can be run.
func TestShippedViews(t *testing.T) {
	known := func(name string, _ int) (*lang.Spec, bool) {
		text, ok := specs.Find(name)
		if !ok {
			return nil, false
		}
		s, ps := lang.Parse(name+".yaml", text)
		return s, len(ps) == 0
	}
	names := specs.Names()
	for _, name := range names {
		text, ok := specs.Find(name)
		if !ok {
			t.Fatalf("%s is listed and not found", name)
		}
		s, ps := lang.Parse(name+".yaml", text)
		if len(ps) > 0 {
			t.Errorf("%v", ps)
			continue
		}
		if s.View.Text != name {
			t.Errorf("%s.yaml holds view %s", name, s.View.Text)
		}
		if len(s.Doc) < 20 {
			t.Errorf("%s has no doc", name)
		}
		if plain := strings.HasSuffix(strings.TrimSpace(s.Doc), "Plain definition."); plain == source.MatchString(s.Doc) {
			t.Errorf("%s: the doc says neither where the definition comes from (Source: …) nor that it is a plain one, or both", name)
		}
		if out, ps := lang.Format(name, text); len(ps) > 0 || string(out) != string(text) {
			t.Errorf("%s is not formatted: %v\n%s", name, ps, out)
		}
		if _, ps := lang.Check([]*lang.Spec{s}, lang.CheckOptions{Known: known, Names: names}); len(ps) > 0 {
			t.Errorf("%v", ps)
		}
	}
	for _, want := range []string{"trade_bars_1s", "trade_bars_1m", "trade_bars_1h", "trade_bars_1d", "liquidations_1m", "vwap_5m", "quote_bars_1s", "spread_1m", "trade_size_5m",
		"fair_price_1s", "venue_deviation_1s", "notional_24h", "notional_rank", "breadth_1m", "provider_ratio_1s",
		"tick_bars", "volume_bars", "dollar_bars", "volume_imbalance_bars", "vpin_buckets", "btc_clock", "alts_per_btc"} {
		if !strings.Contains(" "+strings.Join(names, " ")+" ", " "+want+" ") {
			t.Errorf("%s is not shipped", want)
		}
	}
}

func TestFind_NothingElse(t *testing.T) {
	for _, name := range []string{"", "nothing", "../specs/vwap_5m", "schema", "vwap_5m.yaml", `a\b`} {
		if _, ok := specs.Find(name); ok {
			t.Errorf("found %q", name)
		}
	}
}
