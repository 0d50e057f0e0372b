package stale_test

import (
	"reflect"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/stale"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/specs"
)

func trade(symbol string, ts int64) stale.Change {
	return stale.Change{Kind: market.KindTrade, Key: stale.KeyOf("kraken-spot", market.Instrument{Exchange: "kraken", Venue: market.Spot, Symbol: symbol, Base: symbol[:3], Quote: symbol[4:]}), From: ts, To: ts + 1}
}

// An event touches the entities that it can reach, through filters, joins and clocks, and no
// others.
func TestOf_Entities(t *testing.T) {
	t.Parallel()
	m := simulate(t, 1, 50, 1, 1)
	set, _ := compile(t, m.feeds, "view: filtered\nversion: 1\nfrom: trade\nwhere: not (symbol == 'BTC-USDT' or exchange in ('binance', 'okx')) and market != perp and quantity > 1\nby: [symbol]\nfeatures:\n  n: quantity\n")
	got := map[string]map[string]string{}
	for _, symbol := range []string{"BTC-USDT", "ETH-USDT"} {
		got[symbol] = map[string]string{}
		for _, v := range stale.Of(set.Views, []stale.Change{trade(symbol, day)}) {
			for _, r := range v.Rows {
				got[symbol][v.View.Name] += "[" + r.Key.String() + "]"
			}
		}
	}
	all := "[exchange=kraken market=spot]"
	own := func(symbol string) string { return "[exchange=kraken market=spot symbol=" + symbol + "]" }
	for _, c := range []struct{ symbol, view, want string }{
		{"BTC-USDT", "trade_bars_1m", own("BTC-USDT")},
		{"BTC-USDT", "btc_clock", all},
		{"BTC-USDT", "alts_per_btc", all}, // all alts of the clock
		{"BTC-USDT", "beta_btc_1h", all},
		{"BTC-USDT", "breadth_1m", all},
		{"BTC-USDT", "notional_24h", "[market=spot symbol=BTC-USDT]"},
		{"BTC-USDT", "notional_rank", "[market=spot]"},
		{"BTC-USDT", "lead_lag_5m", all},
		{"BTC-USDT", "feed_health_1m", "[feed=kraken-spot exchange=kraken market=spot symbol=BTC-USDT]"},
		{"BTC-USDT", "quote_bars_1s", ""},
		{"BTC-USDT", "filtered", ""},
		{"ETH-USDT", "btc_clock", ""},
		{"ETH-USDT", "alts_per_btc", "[exchange=kraken market=spot base=ETH]"},
		{"ETH-USDT", "beta_btc_1h", own("ETH-USDT")},
		{"ETH-USDT", "filtered", "[symbol=ETH-USDT]"},
		{"ETH-USDT", "lead_lag_5m", all},
	} {
		if got[c.symbol][c.view] != c.want {
			t.Errorf("%s, %s: %q, want %q", c.symbol, c.view, got[c.symbol][c.view], c.want)
		}
	}
}

// Ranges are merged, those of all entities taken from those of some, and nothing changed is
// nothing stale.
func TestOf_Merges(t *testing.T) {
	t.Parallel()
	set, _ := check(t, "view: v\nversion: 1\nfrom: trade\nby: [symbol]\nwindow: {tumbling: 1m}\nfeatures:\n  n: count()\n",
		"view: w\nversion: 1\nfrom: v\nby: [symbol]\njoin:\n  f: {view: funding, on: [base], match: asof, max_age: 5m}\nfeatures:\n  m: n + f.rate\n")
	rows := func(changes ...stale.Change) [][]stale.Rows {
		var out [][]stale.Rows
		for _, v := range stale.Of(set.Views, changes) {
			out = append(out, v.Rows)
		}
		return out
	}
	key := stale.Key{Symbol: "BTC-USDT", Base: "BTC", Quote: "USDT"}
	funding := stale.Change{Kind: market.KindFunding, Key: stale.Key{Base: "BTC"}, From: day + 90*sec, To: day + 90*sec + 1}
	got := rows(trade("BTC-USDT", day), trade("BTC-USDT", day+70*sec), trade("BTC-USDT", day+600*sec), funding)
	v := []stale.Rows{{Key: key, Ranges: []stale.Range{{From: day, To: day + 2*mins}, {From: day + 10*mins, To: day + 11*mins}}}}
	w := []stale.Rows{
		{Key: stale.Key{Base: "BTC"}, Ranges: []stale.Range{{From: day + 90*sec, To: day + 390*sec + 1}}},
		{Key: key, Ranges: []stale.Range{{From: day + mins - 1, To: day + 90*sec}, {From: day + 11*mins - 1, To: day + 11*mins}}}, // rows of v are at the ends of windows
	}
	if !reflect.DeepEqual(got, [][]stale.Rows{v, w}) {
		t.Errorf("%v, want %v and %v", got, v, w)
	}
	if got := rows(); got[0] != nil || got[1] != nil {
		t.Errorf("nothing changed, and %v is stale", got)
	}
	if got := rows(stale.Change{Kind: market.KindTrade, From: day, To: day}); got[0] != nil {
		t.Errorf("an empty range, and %v is stale", got)
	}
	all := func(from, to int64) []stale.Rows { return []stale.Rows{{Ranges: []stale.Range{{From: from, To: to}}}} }
	if got := stale.Intersect(v, all(day+mins, day+10*mins)); !reflect.DeepEqual(got, []stale.Rows{{Key: key, Ranges: []stale.Range{{From: day + mins, To: day + 2*mins}}}}) {
		t.Errorf("intersected: %v", got)
	}
	if got := stale.Intersect(v, []stale.Rows{{Key: stale.Key{Base: "ETH"}, Ranges: v[0].Ranges}}); got != nil {
		t.Errorf("of other entities: %v", got)
	}
	if got := stale.Subtract(v, all(day-mins, day+10*mins)); !reflect.DeepEqual(got, []stale.Rows{{Key: key, Ranges: v[0].Ranges[1:]}}) {
		t.Errorf("subtracted: %v", got)
	}
	if got := stale.Subtract(all(day, day+mins), v); !reflect.DeepEqual(got, all(day, day+mins)) {
		t.Errorf("some entities subtracted from all: %v", got)
	}
	if got := stale.Union(v, all(day, day+mins), v); !reflect.DeepEqual(got, []stale.Rows{all(day, day+mins)[0], {Key: key, Ranges: []stale.Range{{From: day + mins, To: day + 2*mins}, v[0].Ranges[1]}}}) {
		t.Errorf("united: %v", got)
	}
}

// BenchmarkOf is 100,000 late events and the shipped views.
func BenchmarkOf(b *testing.B) {
	var parsed []*lang.Spec
	for _, name := range specs.Names() {
		text, _ := specs.Find(name)
		s, _ := lang.Parse(name, text)
		parsed = append(parsed, s)
	}
	set, ps := lang.Check(parsed, lang.CheckOptions{})
	if len(ps) > 0 {
		b.Fatal(ps)
	}
	var changes []stale.Change
	for i := range int64(100_000) {
		changes = append(changes, trade([]string{"BTC-USDT", "ETH-USDT", "SOL-USDT"}[i%3], day+i*7919*ms))
	}
	for b.Loop() {
		stale.Of(set.Views, changes)
	}
}
