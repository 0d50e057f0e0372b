package lang_test

import (
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
)

// Mistakes in latest windows, each with its place and remedy.
func TestProblems_OfLatestWindows(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no such column", "by: [market]\nwindow: {latest: venue, every: 1s, max_age: 5s}\nfeatures:\n  n: count()\n",
			`a.yaml:5:18: "venue" is not an entity column of events (want exchange market symbol base quote feed)`},
		{"a price", "by: [market]\nwindow: {latest: bid_price, every: 1s, max_age: 5s}\nfeatures:\n  n: count()\n",
			`a.yaml:5:18: "bid_price" is not an entity column of events (want exchange market symbol base quote feed)`},
		{"filled", "by: [market]\nwindow: {latest: symbol, every: 1s, max_age: 5s}\nempty: flat\nfeatures:\n  n: count()\n",
			"a.yaml:6:1: empty: flat in a latest window (want no empty: a group without a live member has no row)"},
		{"listed feeds", "by: [market]\nwindow: {latest: feed, every: 1s, max_age: 5s, universe: listed}\nfeatures:\n  n: count()\n",
			"a.yaml:5:58: universe: listed by feed: instrument events say nothing of feeds (want universe: seen, or a key without feed)"},
		{"column of a member in a row of the group", "by: [market]\nwindow: {latest: symbol, every: 1s, max_age: 5s}\nfeatures:\n  n: bid_price\n",
			`a.yaml:7:6: column "bid_price" outside an aggregate (want first(…), last(…), sum(…) …)`},
		{"feature with the name of a column", "by: [market]\nwindow: {latest: symbol, every: 1s, max_age: 5s, emit: members}\nfeatures:\n  bid_price: count()\n",
			`a.yaml:7:3: feature "bid_price" has the name of an input column (want another name)`},
		{"feature with the name of the member", "by: [market]\nwindow: {latest: symbol, every: 1s, max_age: 5s, emit: members}\nfeatures:\n  symbol: count()\n",
			`a.yaml:7:3: feature "symbol" has the name of an entity column (want another name)`},
		{"a cycle through aggregates", "by: [market]\nwindow: {latest: symbol, every: 1s, max_age: 5s}\nfeatures:\n  a: sum(bid_price where bid_price > b)\n  b: max(bid_price where bid_price > a)\n",
			"a.yaml:8:38: definitions need each other: a → b → a (want no cycle)"},
		{"rank in where", "where: rank(bid_price) == 1\nby: [market]\nwindow: {latest: symbol, every: 1s, max_age: 5s}\nfeatures:\n  n: count()\n",
			"a.yaml:4:8: rank in where (want it in a feature: members are compared at the times of the grid)"},
		{"rank of text", "by: [market]\nwindow: {latest: symbol, every: 1s, max_age: 5s, emit: members}\nfeatures:\n  n: rank(symbol)\n",
			"a.yaml:7:11: rank of text (want a number)"},
		{"share of time", "by: [market]\nwindow: {latest: symbol, every: 1s, max_age: 5s, emit: members}\nfeatures:\n  n: share(ts)\n",
			"a.yaml:7:12: share of a time (want a number)"},
		{"rolled up", "by: [market]\nwindow: {latest: symbol, every: 1s, max_age: 5s}\nrollup: all\n",
			"a.yaml:6:1: rollup of events (want from: a view with a tumbling window)"},
		{"ingest elsewhere", "by: [market]\ntime: ingest\nwindow: {tumbling: 1m}\nfeatures:\n  n: count()\n",
			"a.yaml:5:1: time: ingest is not supported by this version (supported: event; ingest in latest windows)"},
	} {
		got := problems(lang.CheckOptions{}, "view: v\nversion: 1\nfrom: quote\n"+c.text)
		if g, w := got.Error(), strings.TrimSpace(c.want); g != w {
			t.Errorf("%s:\ngot:\n%s\nwant:\n%s", c.name, g, w)
		}
	}
}

// Joins of latest windows: what is refused, and where.
func TestLatest_Joins(t *testing.T) {
	const head = "view: v\nversion: 1\nfrom: quote\nby: [market]\n"
	const window = "window: {latest: symbol, every: 1s, max_age: 5s}\njoin:\n  m: {view: mark_price, on: [market, symbol], match: asof, max_age: 1m}\n"
	for text, want := range map[string]string{
		head + window + "features:\n  wide: max(ask_price - m.price)\n":                          "",
		head + "where: m.price > 1\n" + window + "features:\n  wide: max(ask_price - m.price)\n": "a.yaml:5:1: joined column in the where of a latest window",
		head + "time: ingest\n" + window + "features:\n  wide: max(ask_price - m.price)\n":       "a.yaml:5:1: time: ingest in a latest window with joins",
		head + window + "features:\n  price: m.price\n":                                          "m joins on symbol, which the rows of this view do not have (want last(m.price), or symbol in by)",
	} {
		got := problems(lang.CheckOptions{}, text)
		if want == "" && len(got) > 0 || want != "" && !strings.Contains(got.Error(), want) {
			t.Errorf("%s\ngot %v, want %q", text, got, want)
		}
	}
}

// Needs a second pass is for other windows; a latest one has as many as it takes.
func TestLatest_FeaturesInAggregates(t *testing.T) {
	const features = "features:\n  c: count(where bid_price > b)\n  b: mean(bid_price where bid_price > a)\n  a: mean(bid_price)\n"
	const head = "view: v\nversion: 1\nfrom: quote\nby: [market]\n"
	if got := problems(lang.CheckOptions{}, head+"window: {latest: symbol, every: 1s, max_age: 5s}\n"+features); len(got) > 0 {
		t.Error(got)
	}
	got := problems(lang.CheckOptions{}, head+"window: {tumbling: 1s}\n"+features).Error()
	if strings.Count(got, "needs a second pass over the rows of the window (want columns, let and parameters inside an aggregate)") != 2 {
		t.Error(got)
	}
}
