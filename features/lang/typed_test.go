package lang_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/specs"
)

var kindNames = map[lang.TypeKind]string{
	lang.TNull: "null", lang.TBool: "bool", lang.TInt: "int", lang.TDec: "dec", lang.TRatio: "ratio", lang.TFloat: "float",
	lang.TQ60: "q60", lang.TTime: "time", lang.TDur: "dur", lang.TEnum: "enum", lang.TText: "text", lang.TID: "id",
}

// shown prints a type: kind, unit, ? when it can be null, its digits when fixed.
func shown(t lang.Type) string {
	s := kindNames[t.Kind]
	if t.Unit != "" {
		s += " " + t.Unit
	}
	if t.Nullable {
		s += "?"
	}
	if t.Fixed {
		s += fmt.Sprintf(" .%d", t.Scale)
	}
	return s
}

// Types and units of every operator, function and aggregate of this version.
func TestTypes_OfFeatures(t *testing.T) {
	for _, c := range []struct{ expr, typ, node string }{
		// aggregates
		{"count()", "int", "count()"},
		{"count(id)", "int", "count(id)"},
		{"sum(prints)", "int?", "sum(prints)"},
		{"sum(quantity)", "dec base?", "sum(quantity)"},
		{"sum(price * quantity)", "dec quote?", "sum(mul(price, quantity))"},
		{"sum(quantity where side == buy)", "dec base?", "sum(quantity where eq(side, buy))"},
		{"sum(ts - ingest_ts)", "dur?", "sum(sub(ts, ingest_ts))"},
		{"sum(ln(price / (price + 1)))", "q60?", "sum(ln(div(price, add(price, 1))))"},
		{"first(price)", "dec quote/base?", "first(price)"},
		{"last(ts)", "time?", "last(ts)"},
		{"last(side)", "enum?", "last(side)"},
		{"last(price > 5)", "bool?", "last(gt(price, 5))"},
		{"min(price / quantity)", "float quote/base^2?", "min(div(price, quantity))"},
		{"max(ts - event_ts)", "dur?", "max(sub(ts, event_ts))"},
		{"mean(quantity)", "ratio base?", "mean(quantity)"},
		{"mean(ts - event_ts)", "ratio us?", "mean(sub(ts, event_ts))"},
		{"var(price)", "ratio quote^2/base^2?", "var(price, ddof=1)"},
		{"var(price, ddof=0)", "ratio quote^2/base^2?", "var(price, ddof=0)"},
		{"std(price, 0)", "float quote/base?", "std(price, ddof=0)"},
		{"time_mean(price)", "ratio quote/base?", "time_mean(price)"},
		{"distinct(symbol)", "int", "distinct(symbol)"},
		{"quantile(quantity, 0.50, approx=0.010)", "float base?", "quantile(quantity, 0.5, approx=0.01)"},
		{"quantile(x=quantity, approx=1bps, p=1)", "float base?", "quantile(quantity, 1, approx=0.0001)"},
		// arithmetic
		{"sum(price * quantity) / sum(quantity)", "ratio quote/base?", "div(agg#0, agg#1)"},
		{"count() + 1", "int", "add(agg#0, 1)"},
		{"count() * 1.5", "dec", "mul(agg#0, 1.5)"},
		{"count() / 2", "dec", "mul(agg#0, 0.5)"},
		{"count() / -40", "dec", "mul(agg#0, -0.025)"},
		{"count() / 0.001", "dec", "mul(agg#0, 1000)"},
		{"count() / 3", "ratio?", "div(agg#0, 3)"},
		{"count() % 2", "int?", "mod(agg#0, 2)"},
		{"last(price) - 10bps", "dec quote/base?", "sub(agg#0, 0.001)"},
		{"-last(price)", "dec quote/base?", "neg(agg#0)"},
		{"1 - last(price) / first(price)", "ratio?", "sub(1, div(agg#0, agg#1))"},
		{"sqrt(var(price)) * 2", "float quote/base?", "mul(sqrt(agg#0), 2)"},
		{"2 * 3 + 1.50 - -1", "dec", "8.5"},
		{"7 % 4 == 3 and not (2 > 3 or null)", "bool?", "null"},
		{"1 / 4", "dec", "0.25"},
		{"10bps == 0.0010", "bool", "true"},
		// time
		{"last(ts) - first(ts)", "dur?", "sub(agg#0, agg#1)"},
		{"window_end - last(ts)", "dur?", "sub(window_end, agg#0)"},
		{"window_end - 90s", "time", "sub(window_end, 90s)"},
		{"(window_end - window_start) / 5s", "ratio?", "div(sub(window_end, window_start), 5s)"},
		{"count() * 5m", "dur", "mul(agg#0, 5m)"},
		{"last(quantity) / 1s", "ratio base/us?", "div(agg#0, 1s)"},
		{"last(price) * 5m", "dec quote*us/base?", "mul(agg#0, 5m)"},
		// functions
		{"abs(last(price) - first(price))", "dec quote/base?", "abs(sub(agg#0, agg#1))"},
		{"sign(last(price) - first(price))", "int?", "sign(sub(agg#0, agg#1))"},
		{"min_of(last(price), 5)", "dec quote/base?", "min_of(agg#0, 5)"},
		{"max_of(count(), 1, 2.5)", "dec", "max_of(agg#0, 1, 2.5)"},
		{"clamp(count(), 1, 10)", "int", "clamp(agg#0, 1, 10)"},
		{"round(last(price) / 3, 2)", "dec quote/base?", "round(div(agg#0, 3), 2)"},
		{"round(count() * 1.5)", "dec", "round(mul(agg#0, 1.5), 0)"},
		{"floor(count() / 3)", "int?", "floor(div(agg#0, 3))"},
		{"sqrt(last(price * price))", "float quote/base?", "sqrt(agg#0)"},
		{"ln(last(price) / first(price))", "q60?", "ln(div(agg#0, agg#1))"},
		{"ln(last(price) / first(price)) * 2", "q60?", "mul(ln(div(agg#0, agg#1)), 2)"},
		{"if(count() > 5, last(price), null)", "dec quote/base?", "if(gt(agg#0, 5), agg#1, null)"},
		{"if(count() > 5, 1, 2.5)", "dec", "if(gt(agg#0, 5), 1, 2.5)"},
		{"coalesce(last(price), 0)", "dec quote/base", "coalesce(agg#0, 0)"},
		// conditions
		{"last(price) is not null", "bool", "not_is_null(agg#0)"},
		{"count(where side in (buy, sell) and market == perp)", "int", "count( where and(in(side, buy, sell), eq(market, perp)))"},
		{"count(where spot == market)", "int", "count( where eq(spot, market))"},
		{"count(where base in ('BTC', 'it''s') or id == '5')", "int", "count( where or(in(base, 'BTC', 'it''s'), eq(id, '5')))"},
		// stored form
		{"decimal(last(price) / 3, 8)", "ratio quote/base? .8", "div(agg#0, 3)"},
	} {
		v := check(t, lang.CheckOptions{}, tumble("x: "+c.expr))
		f := v.Features[0]
		node := f.Node.String()
		if f.Node.Op == lang.NAgg {
			node = v.Aggs[f.Node.Index].Canonical
			if got := v.Aggs[f.Node.Index].Type; shown(got) != shown(f.Type) {
				t.Errorf("%s: aggregate is %s, feature %s", c.expr, shown(got), shown(f.Type))
			}
		}
		if got := shown(f.Type); got != c.typ || node != c.node {
			t.Errorf("%s\n got %s  %s\nwant %s  %s", c.expr, got, node, c.typ, c.node)
		}
	}
}

// Accumulators are shared by what they compute, not by how it is written.
func TestAggs_AreShared(t *testing.T) {
	v := check(t, lang.CheckOptions{}, tumble("a: sum(quantity)", "b: sum( (quantity) ) / count()", "c: sum(quantity where side == buy)",
		"d: sum(x=quantity)", "e: std(price)", "f: std(price, ddof=1)", "g: sum(quantity * 0.5) + sum(quantity / 2)"))
	var got []string
	for _, a := range v.Aggs {
		got = append(got, a.Canonical)
	}
	want := "sum(quantity)\ncount()\nsum(quantity where eq(side, buy))\nstd(price, ddof=1)\nsum(mul(quantity, 0.5))"
	if g := strings.Join(got, "\n"); g != want {
		t.Errorf("got\n%s\nwant\n%s", g, want)
	}
}

// A feature refers to earlier ones by index; what stands later is put in place.
func TestFeatures_ReferToEarlierOnes(t *testing.T) {
	v := check(t, lang.CheckOptions{}, tumble("a: b + c", "b: c * 2", "c: count()", "d: a - b + c", "e: d"))
	want := []string{"add(mul(agg#0, 2), agg#0)", "mul(agg#0, 2)", "agg#0", "add(sub(feature#0, feature#1), feature#2)", "feature#3"}
	for i, f := range v.Features {
		if got := f.Node.String(); got != want[i] {
			t.Errorf("%s: %s, want %s", f.Name, got, want[i])
		}
	}
}

func TestLet_IsPutInPlace(t *testing.T) {
	v := check(t, lang.CheckOptions{}, head+`where: mid > 5
window: {tumbling: 1m}
let:
  twice: mid * 2
  mid: (price + quantity * price / quantity) / 2
  unused: ingest_ts
features:
  x: max(twice)
  y: last(mid where twice > 3)
`)
	if got, want := v.Where.String(), "gt(mul(add(price, div(mul(quantity, price), quantity)), 0.5), 5)"; got != want && got != "gt(div(add(price, div(mul(quantity, price), quantity)), 2), 5)" {
		t.Errorf("where is %s", got)
	}
	var cols []string
	for _, c := range v.Columns {
		cols = append(cols, c.Name)
	}
	if got := strings.Join(cols, " "); got != "price quantity" {
		t.Errorf("columns read: %s", got)
	}
}

func TestRowView(t *testing.T) {
	text, _ := specs.Find("trade_flags")
	v := check(t, lang.CheckOptions{Set: map[string]string{"big": "5000"}}, string(text))
	if v.Window.Kind != lang.NoWindow || len(v.Aggs) != 0 || v.Lookback != 0 || v.Reach != 0 {
		t.Errorf("window %v, %d aggregates, lookback %d", v.Window, len(v.Aggs), v.Lookback)
	}
	if got := v.Features[2].Node.String(); got != "ge(feature#1, 5000)" {
		t.Errorf("large: %s", got)
	}
	if v.Params["big"] != "5000" || !strings.Contains(string(v.Canonical), "default: 5000}") {
		t.Errorf("value in force: %v\n%s", v.Params, v.Canonical)
	}
}

func TestBounds(t *testing.T) {
	const m, h, d = market.Minute, market.Hour, market.Day
	shipped := func(name string) string {
		text, _ := specs.Find(name)
		return string(text)
	}
	over := func(from, window string) string {
		return "view: v\nversion: 1\nfrom: " + from + "\nby: [symbol]\nwindow: " + window + "\nfeatures:\n  n: count()\n"
	}
	for _, c := range []struct {
		text            string
		lookback, reach int64
		late            string
	}{
		{shipped("trade_bars_1m"), m, m, "recompute"},
		{shipped("trade_bars_1h"), h, h, "recompute"},
		{shipped("trade_bars_1d"), d, d, "record"},
		{shipped("trade_bars_flat_1m"), d + m, d + m, "record"},
		{shipped("spread_1m"), 2 * m, 2 * m, "recompute"},
		{shipped("vwap_5m"), 5 * m, 5 * m, "recompute"},
		{shipped("momentum_15m"), 16 * m, 16 * m, "recompute"},
		{over("vwap_5m", "{tumbling: 1h}"), h + 5*m, h + 5*m, "record"},
		{over("trade_bars_1h", "{rolling: 24h, every: 1h}"), 25 * h, 25 * h, "record"},
		{over("trade_flags", "{tumbling: 1m}"), m, m, "recompute"},
		{over("trade", "{tumbling: 1m}\nempty: nulls"), d + m, d + m, "record"},
		{over("trade", "{tumbling: 2h}\non_late: recompute"), 2 * h, 2 * h, "recompute"},
		{"view: v\nversion: 1\nfrom: spread_1m\nby: [exchange, market, symbol]\nwindow: {tumbling: 1h}\nrollup: all\n", h + m, h + m, "record"},
	} {
		v := check(t, withShipped, c.text)
		if v.Lookback != c.lookback || v.Reach != c.reach || v.OnLate != c.late {
			t.Errorf("%s: lookback %d reach %d %s, want %d %d %s", v.Spec.View.Text, v.Lookback, v.Reach, v.OnLate, c.lookback, c.reach, c.late)
		}
	}
}

// The text of an hour bar is the same whatever its minute bars say; its fingerprint is not (F16).
func TestFingerprint(t *testing.T) {
	minute := func(features string) string {
		return "view: m\nversion: 1\nfrom: trade\nby: [symbol]\nwindow: {tumbling: 1m}\nfeatures:\n  " + features + "\n"
	}
	const hour = "view: h\nversion: 1\nfrom: m\nby: [symbol]\nwindow: {tumbling: 1h}\nrollup: all\n"
	print := func(opt lang.CheckOptions, texts ...string) string {
		return fmt.Sprintf("%x", check(t, opt, texts...).Fingerprint)
	}
	plain := lang.CheckOptions{}
	base := print(plain, minute("x: max(price)"), hour)
	for what, same := range map[string]string{
		"again":              print(plain, minute("x: max(price)"), hour),
		"layout and comment": print(plain, minute("x:    max( price )  # the highest"), "# hours\n"+hour),
		"doc":                print(plain, minute("x: max(price)")+"doc: text\n", hour),
		"order of files":     print(plain, hour, minute("x: max(price)"))[:0] + base,
	} {
		if same != base {
			t.Errorf("%s changes the fingerprint", what)
		}
	}
	for what, other := range map[string]string{
		"parent":   print(plain, minute("x: min(price)"), hour),
		"name":     print(plain, minute("y: max(price)"), hour),
		"version":  print(plain, minute("x: max(price)"), strings.Replace(hour, "version: 1", "version: 2", 1)),
		"window":   print(plain, minute("x: max(price)"), strings.Replace(hour, "1h", "2h", 1)),
		"one more": print(plain, minute("x: max(price)\n  y: count()"), hour),
	} {
		if other == base {
			t.Errorf("%s does not change the fingerprint", what)
		}
	}
	const swept = head + "window: {tumbling: 1m}\nparams:\n  n: {type: decimal, default: %s%s}\nfeatures:\n  x: count(where quantity > $n)\n"
	winner := print(plain, fmt.Sprintf(swept, "7", ""))
	if print(lang.CheckOptions{Set: map[string]string{"v.n": "7"}}, fmt.Sprintf(swept, "5", ", sweep: [5, 7]")) != winner {
		t.Error("a variant and the spec with its value as default differ")
	}
	if print(plain, fmt.Sprintf(swept, "5", "")) == winner {
		t.Error("the value of a parameter does not change the fingerprint")
	}
}

func TestCheck_ParentsComeFirst(t *testing.T) {
	day, _ := specs.Find("trade_bars_1d")
	s, _ := lang.Parse("trade_bars_1d.yaml", day)
	flow, _ := specs.Find("momentum_15m")
	s2, _ := lang.Parse("momentum_15m.yaml", flow)
	set, ps := lang.Check([]*lang.Spec{s, s2}, withShipped)
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	var names []string
	for _, v := range set.Views {
		names = append(names, v.Name)
	}
	if got := strings.Join(names, " "); got != "trade_bars_1m trade_bars_1h trade_bars_1d momentum_15m" {
		t.Errorf("views: %s", got)
	}
	if set.Views[2].Parent != set.Views[1] || set.Views[3].Parent != set.Views[0] {
		t.Error("views of one name are not one view")
	}
}

// A spec that stands among those given is taken before a shipped one of its name.
func TestCheck_GivenBeforeShipped(t *testing.T) {
	own := "view: trade_bars_1m\nversion: 9\nfrom: trade\nby: [symbol]\nwindow: {tumbling: 1m}\nfeatures:\n  mine: count()\n"
	hour := func(ref string) string {
		return "view: h\nversion: 1\nfrom: " + ref + "\nby: [symbol]\nwindow: {tumbling: 1h}\nfeatures:\n  x: count()\n"
	}
	if v := check(t, withShipped, own, hour("trade_bars_1m")); v.Parent.Version != 9 {
		t.Errorf("version %d", v.Parent.Version)
	}
	if v := check(t, withShipped, own, hour("trade_bars_1m@1")); v.Parent.Version != 1 {
		t.Errorf("version %d", v.Parent.Version)
	}
}
