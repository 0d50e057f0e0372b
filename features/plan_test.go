package features_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/specs"
)

func compile(texts ...string) (*features.Plan, error) {
	var src []features.Source
	for _, s := range texts {
		src = append(src, features.Source{Name: "a.yaml", Text: []byte(s)})
	}
	return features.Compile(src, features.Options{Find: specs.Find})
}

func TestCompile_EveryShippedView(t *testing.T) {
	for _, name := range specs.Names() {
		text, _ := specs.Find(name)
		p, err := compile(string(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		outs := p.Outputs()
		if o := outs[len(outs)-1]; o.Name != name || len(o.Fields) == 0 || o.StateBytesPerKey <= 0 {
			t.Errorf("%s: last output is %+v", name, o)
		}
	}
}

func TestPlan_DescribesInputsAndOutputs(t *testing.T) {
	p, err := compile(barsSpec, `
view: hour
version: 3
from: bars
by: [exchange, market, symbol]
window: {tumbling: 1h}
rollup: all
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []features.Input{{Kind: market.KindTrade, Name: "trade", Columns: []string{"price", "quantity", "side"}, Lookback: market.Hour}}
	if got := p.Inputs(); !reflect.DeepEqual(got, want) {
		t.Errorf("inputs %+v, want %+v", got, want)
	}
	o := p.Outputs()
	if len(o) != 2 || o[0].Name != "bars" || o[1].Name != "hour" || o[1].Version != 3 || o[0].Fingerprint == o[1].Fingerprint {
		t.Fatalf("outputs %+v", o)
	}
	if f := o[1].Fields[11]; f.Name != "exact" || f.Type != features.FieldDecimal || f.Scale != 6 {
		t.Errorf("field %+v", f)
	}
	if f := o[0].Fields[7]; f.Name != "trades" || f.Type != features.FieldI64 {
		t.Errorf("field %+v", f)
	}
	if o[0].Lookback != market.Minute || o[0].Reach != market.Minute || o[1].Lookback != market.Hour {
		t.Errorf("bounds %d %d %d", o[0].Lookback, o[0].Reach, o[1].Lookback)
	}
}

// What the engine does not run is refused when it is compiled, with the view's place.
func TestCompile_RefusesWhatItCannotRun(t *testing.T) {
	head := "version: 1\nfrom: trade\nby: [symbol]\nwindow: {tumbling: 1m}\nfeatures:\n"
	for name, c := range map[string]struct{ text, want string }{
		"a text has no order": {"view: a\n" + head + "  x: max(id)\n", "text"},
		"a row column":        {"view: a\nversion: 1\nfrom: trade\nby: [side]\nwindow: {tumbling: 1m}\nfeatures:\n  n: count()\n", "side"},
	} {
		_, err := compile(c.text)
		var ps lang.Problems
		if !errors.As(err, &ps) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFlagNames(t *testing.T) {
	got := strings.Join(features.FlagNames(nil, features.FlagPartial|features.FlagGap|features.FlagOverflow|features.FlagEmpty), " ")
	if got != "partial gap overflow empty" {
		t.Error(got)
	}
}
