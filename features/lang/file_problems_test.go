package lang_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
)

const head = "view: v\nversion: 1\nfrom: trade\nby: [exchange, market, symbol]\n"

const count = "features:\n  n: count()\n"

// What YAML would change or lose is a problem, and so are keys that a view does not have (F29).
func TestProblems_OfYAML(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "a.yaml:1:1: the file is empty (want view: name and its keys)"},
		{"only a comment", "# hello\n", "a.yaml:1:1: the file is empty (want view: name and its keys)"},
		{"a list", "- a\n", "a.yaml:1:1: the file is not a mapping (want keys such as view: name)"},
		{"nothing needed", "doc: x\n", `
a.yaml:1:1: key "view" is missing (want view: name)
a.yaml:1:1: key "version" is missing (want version: 1)
a.yaml:1:1: key "from" is missing (want from: with a kind such as trade, or a view)
a.yaml:1:1: key "by" is missing (want by: [exchange, market, symbol] or other entity columns)
a.yaml:1:1: key "features" is missing (want features: with name: expression, or rollup: all)`},
		{"empty: null", head + "window: {tumbling: 1m}\nempty: null\n" + count, `a.yaml:6:8: empty is "null" (want omit or flat or nulls)`},
		{"tag", tumble("x: !complete"), `a.yaml:7:6: YAML reads "!complete" as a tag (want "not …" instead of "!…")`},
		{"tag with text", tumble("x: count(where side == buy)", "y: !!str count()"), `a.yaml:8:6: YAML reads "!!str" as a tag (want "not …" instead of "!…")`},
		{"anchor", tumble("x: &a count()"), `a.yaml:7:6: YAML reads "&a" as an anchor (want "and" instead of "&")`},
		{"alias", tumble("x: &a count()", "y: *a"), `
a.yaml:7:6: YAML reads "&a" as an anchor (want "and" instead of "&")
a.yaml:8:6: YAML reads "*a" as an alias (want a value before *)`},
		{"alias of nothing", tumble("x: *count()", "y: sum(qty)"), `
a.yaml:7:6: YAML reads "*count()" as an alias (want a value before *)
a.yaml:8:10: unknown name "qty" (want quantity)`},
		{"merge key", head + "window: {tumbling: 1m}\n<<: {empty: omit}\n" + count, `a.yaml:6:1: merge keys are not part of specs (want the keys written out)`},
		{"duplicate key", head + "window: {tumbling: 1m}\nversion: 2\n" + count, `a.yaml:6:1: key "version" given twice (want it once; the first is in line 2)`},
		{"duplicate feature", tumble("x: count()", "x: sum(quantity)"), `a.yaml:8:3: key "x" given twice (want it once; the first is in line 7)`},
		{"unknown key", head + "windw: {tumbling: 1m}\n" + count, `
a.yaml:5:1: unknown key "windw" (want window)`},
		{"keys of other tools", "view: v\nversion: 1\nfrom: trade\ngroup_by: [symbol]\nwindow: {tumbling: 1m, offset: 5s}\naggregations:\n  x: count()\n", `
a.yaml:1:1: key "by" is missing (want by: [exchange, market, symbol] or other entity columns)
a.yaml:1:1: key "features" is missing (want features: with name: expression, or rollup: all)
a.yaml:4:1: unknown key "group_by" (want by)
a.yaml:5:24: unknown key "offset" (want origin)
a.yaml:6:1: unknown key "aggregations" (want features)`},
		{"features as a list", head + "window: {tumbling: 1m}\nfeatures:\n  - name: x\n    expr: count()\n", `a.yaml:7:3: features is a list (want name: value lines without -)`},
		{"unknown key below", head + "window: {tumbling: 1m, every: 1s}\n" + count, `a.yaml:5:24: unknown key "every" (want tumbling carry origin zone)`},
		{"comma in a flow mapping", tumble("n: count()") + "alert:\n  a: {when: max_of(n, 5) > 3}\n", `
a.yaml:9:21: found "end of expression" (want ")")
a.yaml:9:23: unknown key "5) > 3" (want double quotes around an expression with a comma inside { })`},
		{"glued comment", tumble("x: sum(quantity) #* 2"), `a.yaml:7:20: text after # is dropped by YAML (want two spaces before a comment, or no #)`},
		{"glued comment in a string", head + "where: symbol == 'BTC #1'\n" + "window: {tumbling: 1m}\n" + count, `
a.yaml:5:18: string without an end (want a closing ')
a.yaml:5:23: text after # is dropped by YAML (want two spaces before a comment, or no #)`},
		{"comments that are none", "# a\n" + tumble("x: count()  # b", "# c") + "doc: \"a #b\"  # d\n", ""},
		{"question mark", tumble("x: count() > 5 ? 1 : 2", "y: sum(qty)"), `
a.yaml:7:6: mapping values are not allowed in this context (want if(condition, then, else) for a choice, and quotes around text with a colon)
a.yaml:8:10: unknown name "qty" (want quantity)`},
		{"where as an argument", tumble("x: sum(quantity, where: side == buy)"), `
a.yaml:7:6: mapping values are not allowed in this context (want if(condition, then, else) for a choice, and quotes around text with a colon)`},
		{"percent first", tumble("x: %5", "y: @a", "z: `q`"), "\n" +
			"a.yaml:7:6: a value cannot begin with \"%\" (want a name, a number or a call first)\n" +
			"a.yaml:8:6: a value cannot begin with \"@\" (want a name, a number or a call first)\n" +
			"a.yaml:9:6: a value cannot begin with \"`\" (want a name, a number or a call first)"},
		{"an innocent bracket", head + "window: {tumbling: 1m,\n  carry: 5s}\nfeatures:\n  x: @\n", `a.yaml:8:6: a value cannot begin with "@" (want a name, a number or a call first)`},
		{"two documents", tumble("x: count()") + "---\nview: w\n", `a.yaml:8:1: a second document begins here (want one view in a file)`},
		{"not UTF-8", "view: v\ndoc: \xff\n", "a.yaml:2:6: byte 0xFF is not UTF-8 (want UTF-8)"},
		{"control character", "view: v\ndoc: a\x01\n", "a.yaml:2:7: control character U+0001 (want printable text)"},
		{"no value", head + "window: {tumbling: 1m}\nempty:\n" + count, "a.yaml:6:7: empty has no value (want a value after the colon)"},
		{"deep", "view: " + strings.Repeat("[", 12) + strings.Repeat("]", 12) + "\n", "a.yaml:1:15: nested too deeply (want at most 8 levels)"},
		{"too large", strings.Repeat("# 1234567890123\n", 1<<16) + "#\n", "a.yaml:1:1: the file has 1048578 bytes (want at most 1 MiB)"},
		{"tab", "view: v\n\tversion: 1\n", "a.yaml:2:1: found a tab character that violates indentation (want YAML: key: value, two spaces for each level)"},
		{"a list as expression", tumble("x: [a, b]"), "a.yaml:7:6: x is a list or mapping (want one value)"},
		{"key that is a list", head + "[a]: 1\nwindow: {tumbling: 1m}\n" + count, "a.yaml:5:1: a key that is not a name (want a name)"},
		{"block and folded text keeps places", head + "window: {tumbling: 1m}\nfeatures:\n  x: >-\n    sum(quantity) +\n    sum(qty)\n  y: 'sum(''a'' + qty)'\n", `
a.yaml:9:9: unknown name "qty" (want quantity)
a.yaml:10:19: unknown name "qty" (want quantity)`},
	} {
		s, ps := lang.Parse("a.yaml", []byte(c.text))
		if s != nil {
			_, more := lang.Check([]*lang.Spec{s}, lang.CheckOptions{})
			ps = append(ps, more...)
			ps.Sort()
		}
		got, want := ps.Error(), strings.TrimSpace(c.want)
		if strings.Contains(got, want) && (c.name == "deep" || c.name == "two documents") {
			continue // other problems follow from it
		}
		if got != want {
			t.Errorf("%s:\n%s\ngot:\n%s\nwant:\n%s", c.name, c.text[:min(len(c.text), 300)], got, want)
		}
	}
}

// Everything that could reach back or grow without bound says where its bound is (F5, F33).
func TestProblems_OfMissingBounds(t *testing.T) {
	view := func(rest string) string { return head + rest }
	for _, c := range []struct{ name, text, want string }{
		{"rolling without every", view("window: {rolling: 5m}\n" + count),
			"a.yaml:5:10: rolling window without every has no grid (want every: 1s)"},
		{"rolling by event without an aggregate", view("window: {rolling: 5m, every: event}\nfeatures:\n  n: window_end\n"),
			"a.yaml:5:10: a window for each event without an aggregate (want a feature such as count())"},
		{"rolling by event with empty rows", view("window: {rolling: 5m, every: event}\nempty: nulls\n" + count),
			"a.yaml:6:1: empty: nulls in a window for each event: none is empty (want empty: omit, or a grid such as every: 1s)"},
		{"rolling on a fine grid", view("window: {rolling: 365d, every: 1ms}\n" + count),
			"a.yaml:5:32: 31536000000 grid points of 1ms in a window of 365d (want a larger every)"},
		{"rolling with holes", view("window: {rolling: 1m, every: 5m}\n" + count),
			"a.yaml:5:30: events between windows of 1m every 5m would be in no row (want every: 1m or less)"},
		{"session without max", view("window: {session: 30s}\n" + count), `
a.yaml:5:10: session window without max may never close (want {session: 30s, max: 1d})`},
		{"bar without reset", view("window: {bar: count(), size: 500}\n" + count), `
a.yaml:5:10: bar window without reset depends on every bar before it (want reset: 1d)`},
		{"bar without size", view("window: {bar: count(), reset: 1d}\n" + count), `
a.yaml:5:10: bar window without size has no end (want {bar: …, size: 1000, reset: 1d})`},
		{"latest without max_age", view("window: {latest: feed, every: 1s}\n" + count),
			"a.yaml:5:10: latest window without max_age would keep dead members for ever (want max_age: 5s)"},
		{"latest without every", view("window: {latest: feed, max_age: 5s}\n" + count),
			"a.yaml:5:10: latest window without every has no grid (want every: 1s)"},
		{"latest on a fine grid", view("window: {latest: feed, every: 1us, max_age: 1d}\n" + count),
			"a.yaml:5:31: 86400000000 grid points of 1us in a max_age of 1d (want a larger every)"},
		{"clock of nothing", view("window: {clock: btc_clock, with: {n: 5}}\n" + count), `
a.yaml:5:17: unknown view "btc_clock" (want v)`},
		{"rows without within", view("features:\n  n: sum(quantity) over 100 rows\n"), `
a.yaml:6:25: over rows without within would look back without bound (want over 100 rows within 1h)`},
		{"frame of too many rows", view("features:\n  n: sum(quantity) over 2000000 rows within 1h\n"),
			"a.yaml:6:25: rows is 2000000 (want a whole number from 1 to 1000000)"},
		{"frame of nothing", view("features:\n  n: sum(quantity) over 0s\n"), "a.yaml:6:25: over is 0us (want more than 0)"},
		{"frame of text", view("features:\n  n: distinct(symbol) over 1m\n"),
			"a.yaml:6:15: distinct of text over rows is not supported by this version (supported: numbers, times, conditions, enums)"},
		{"frame in let", view("let:\n  a: sum(quantity) over 1m\nfeatures:\n  n: a\n"),
			`a.yaml:6:6: aggregate "sum" in let (want columns and let: let belongs to the rows)`},
		{"as-of without max_age", view("join:\n  f: {view: funding, on: [symbol], match: asof}\nfeatures:\n  r: f.rate\n"), `
a.yaml:6:3: as-of join "f" without max_age would look back without bound (want max_age: 5s)`},
		{"join without match", view("join:\n  f: {view: fnding, on: [symbol]}\nfeatures:\n  r: g.rate\n"), `
a.yaml:6:3: join "f" does not say how to match (want match: asof or match: exact)
a.yaml:6:13: unknown kind or view "fnding" (want funding; known are trade quote book funding liquidation candle mark_price open_interest instrument …)
a.yaml:8:6: unknown alias "g" (want f)`},
		{"cum without reset", view("features:\n  n: cum(quantity)\n"), `
a.yaml:6:6: cum without a reset would add up without bound (want reset: 1d)`},
		{"scans that remember without reset", view("features:\n  a: ema(price, 5)\n  b: wilder(price, 5)\n  c: ewm(price, halflife=5s)\n  d: decay_sum(1, halflife=5s)\n  e: rsi(price, 14)\n"), `
a.yaml:6:6: ema without a reset would remember every row for ever (want reset: 1d)
a.yaml:7:6: wilder without a reset would remember every row for ever (want reset: 1d)
a.yaml:8:6: ewm without a reset would remember every row for ever (want reset: 1d)
a.yaml:9:6: decay_sum without a reset would remember every row for ever (want reset: 1d)
a.yaml:10:6: rsi without a reset would remember every row for ever (want reset: 1d)`},
		{"warmup longer than the reset", view("reset: 1h\nwarmup: 2h\nfeatures:\n  a: ema(price, 5)\n"),
			"a.yaml:6:1: warmup of 2h is longer than the reset of 1h (want reset: 2h or more)"},
		{"warmup in rows of events", view("reset: 1h\nwarmup: 20 rows\nfeatures:\n  a: ema(price, 5)\n"),
			"a.yaml:6:1: warmup in rows needs an input on a grid of time (want a duration such as warmup: 4h)"},
		{"warmup without reset", view("warmup: 2h\nfeatures:\n  a: prev(price)\n"),
			"a.yaml:5:1: warmup without a reset (want reset: 1d, or no warmup)"},
		{"scan in the filter", view("let:\n  r: price - prev(price)\nwhere: r > 0\nfeatures:\n  a: price + 1\n"),
			"a.yaml:7:8: prev in the filter of the view: rows that it leaves out do not exist for scans (want it in the where of an aggregate)"},
		{"prev of a long chain", view("features:\n  a: prev(prev(price, within=3660d), within=3660d)\n"),
			"a.yaml:1:7: scans and frames reach back 7320d (want at most 3660d in all)"},
		{"window of nothing", view("window: {tumbling: 0s}\n" + count), "a.yaml:5:20: tumbling is 0us (want more than 0)"},
		{"window of ages", view("window: {tumbling: 4000d}\n" + count), "a.yaml:5:20: tumbling is 4000d (want at most 3660d)"},
		{"long carry of short windows", view("window: {tumbling: 1ms, carry: 1d}\nempty: flat\n" + count),
			"a.yaml:5:10: 86400000 empty windows of 1ms in a carry of 1d (want a shorter carry)"},
	} {
		got := problems(lang.CheckOptions{}, c.text)
		if g, w := got.Error(), strings.TrimSpace(c.want); g != w {
			t.Errorf("%s:\ngot:\n%s\nwant:\n%s", c.name, g, w)
		}
	}
}

func TestProblems_OfAView(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"name", "view: Trade-Bars\nversion: 0\nfrom: trade\nby: [symbol]\nwindow: {tumbling: 1m}\n" + count, `
a.yaml:1:7: view name "Trade-Bars" (want lower-case letters, digits and _, a letter first, at most 63)
a.yaml:2:10: version is "0" (want a whole number from 1)`},
		{"name of a kind", "view: trade\nversion: 1\nfrom: quote\nby: [symbol]\nwindow: {tumbling: 1m}\n" + count, `a.yaml:1:7: view "trade" has the name of a kind (want another name)`},
		{"name of the language", "view: where\nversion: 1\nfrom: quote\nby: [symbol]\nwindow: {tumbling: 1m}\n" + count, `a.yaml:1:7: view name "where" is a word of the language (want another name)`},
		{"unknown source", "view: v\nversion: 1\nfrom: trades\nby: [symbol]\nwindow: {tumbling: 1m}\nfeatures:\n  x: sum(whatever)\n",
			`a.yaml:3:7: unknown kind or view "trades" (want trade; known are trade quote book funding liquidation candle mark_price open_interest instrument …)`},
		{"source of another version", "view: v\nversion: 1\nfrom: trade_bars_1m@7\nby: [symbol]\nwindow: {tumbling: 1h}\nfeatures:\n  x: sum(volume)\n",
			`a.yaml:3:7: unknown kind or view "trade_bars_1m@7" (want trade_bars_1m@1)`},
		{"source is the view", "view: v\nversion: 1\nfrom: v\nby: [symbol]\nwindow: {tumbling: 1h}\nfeatures:\n  x: count()\n",
			`a.yaml:3:1: views read each other: v → v (want views that end at a kind)`},
		{"version of a kind", "view: v\nversion: 1\nfrom: trade@2\nby: [symbol]\nwindow: {tumbling: 1h}\nfeatures:\n  x: count()\n",
			`a.yaml:3:7: a kind has no version (want trade)`},
		{"entity", "view: v\nversion: 1\nfrom: trade\nby: [exchange, simbol, exchange]\nwindow: {tumbling: 1m}\n" + count, `
a.yaml:4:16: "simbol" is not an entity column of events (want symbol; known are exchange market symbol base quote feed)
a.yaml:4:24: "exchange" given twice in by (want it once)`},
		{"entity of the parent", "view: v\nversion: 1\nfrom: trade_bars_1m\nby: [feed]\nwindow: {tumbling: 1h}\n" + count,
			`a.yaml:4:6: "feed" is not an entity column of trade_bars_1m (want exchange market symbol base quote)`},
		{"by as one word", "view: v\nversion: 1\nfrom: trade\nby: symbol\nwindow: {tumbling: 1m}\n" + count, `a.yaml:4:5: by is not a list of names (want a list such as [exchange, market, symbol])`},
		{"no window, aggregates", head + count, `a.yaml:6:6: aggregate "count" in a row view (want a window, such as window: {tumbling: 1m})`},
		{"empty of a row view", head + "empty: flat\nfeatures:\n  x: price * 2\n", `a.yaml:5:1: empty in a row view (want a window, or no empty)`},
		{"reset of a window view", head + "window: {tumbling: 1m}\nreset: 1d\nwarmup: 5 rows\n" + count, `
a.yaml:6:1: reset without a scan that it would begin anew (cum, ema, …) (want no reset)
a.yaml:7:1: warmup in rows needs an input on a grid of time (want a duration such as warmup: 4h)`},
		{"window of no kind", head + "window: {every: 1m}\n" + count, `a.yaml:5:9: no kind of window (want {tumbling: 1m} or {rolling: 5m, every: 1s})`},
		{"width that is no duration", head + "window: {tumbling: 60}\n" + count, `a.yaml:5:20: tumbling is "60" (want a duration such as 5m, or $name)`},
		{"zone", head + "window: {tumbling: 1d, zone: Asia/Tokyo, origin: yesterday}\n" + count, `
a.yaml:5:50: origin is "yesterday" (want 2024-01-01 or 2024-01-01T17:00:00, the local time of the zone, after 2000)`},
		{"unknown zone", head + "window: {tumbling: 1d, zone: Asia/Tokio, origin: yesterday}\n" + count, `
a.yaml:5:30: unknown zone "Asia/Tokio" (want Asia/Tokyo)
a.yaml:5:50: origin is "yesterday" (want 2024-01-01 or 2024-01-01T00:00:00Z, after 2000)`},
		{"zone of no name", head + "window: {tumbling: 1d, zone: +09:00}\n" + count, `a.yaml:5:30: unknown zone "+09:00" (want a name of the IANA time zone database such as America/New_York, or UTC)`},
		{"minutes of a zone", head + "window: {tumbling: 1m, zone: Asia/Tokyo}\n" + count,
			`a.yaml:5:20: windows of 1m by the clocks of Asia/Tokyo, which are set (want 2h or more, or zone: UTC, whose minutes are those of Asia/Tokyo)`},
		{"origin of a zone in UTC", head + "window: {tumbling: 1d, zone: Asia/Tokyo, origin: '2024-01-01T17:00:00Z'}\n" + count,
			`a.yaml:5:50: origin is "2024-01-01T17:00:00Z" (want 2024-01-01 or 2024-01-01T17:00:00, the local time of the zone, after 2000)`},
		{"zone of a rolling window", head + "window: {rolling: 1d, every: 1h, zone: Asia/Tokyo}\n" + count, `a.yaml:5:34: unknown key "zone" (want rolling every)`},
		{"rollup into a zone", "view: v\nversion: 1\nfrom: trade_bars_1h\nby: [exchange, market, symbol]\nwindow: {tumbling: 1d, zone: Asia/Kolkata}\nrollup: all\n",
			`a.yaml:5:10: windows do not always begin where those of trade_bars_1h do (want the zone and an origin of trade_bars_1h, or windows of UTC as short as the shifts of the zone, such as 15m)`},
		{"time", head + "time: ingest\nwindow: {tumbling: 1m}\n" + count, `a.yaml:5:1: time: ingest is not supported by this version (supported: event; ingest in latest windows)`},
		{"alert", tumble("n: count()") + "alert:\n  a: {when: m > 5, for: 1}\n", `
a.yaml:9:13: unknown name "m" (want n; known are n exchange market symbol window_start window_end row_ts available_at)
a.yaml:9:25: for is "1" (want a duration such as 5m, or $name)`},
		{"what an alert cannot read", head + "let:\n  v: price * quantity\nwindow: {tumbling: 1m}\n" + count +
			"alert:\n  a: {when: sum(quantity) > 5}\n  b: {when: price > 5, clear: v < 1}\n  c: {when: n}\n  d: {when: true}\n  e: {when: n > 5, to: a/b, for: 0s}\n" +
			"  f: {when: book.mid > 5}\n  g: {when: symbol == BTC and market == spots}\n  h: {for: 5m}\n", `
a.yaml:11:13: sum(quantity) in an alert (want it among the features, and its name here)
a.yaml:12:13: column "price" in an alert (want a feature that has it)
a.yaml:12:31: let "v" in an alert (want a feature that has it)
a.yaml:13:13: n is a whole number, not a condition (want a comparison)
a.yaml:14:13: when of alert "d" is the same for every row (want a comparison with a feature)
a.yaml:15:3: alert "e" goes to "a/b", which cannot be the name of a topic (want at most 249 letters, digits, - _ and .)
a.yaml:15:34: for is 0us (want more than 0)
a.yaml:16:13: book.mid in an alert (want it among the features, and its name here)
a.yaml:17:23: unknown name "BTC" (want 'BTC' for text)
a.yaml:17:41: unknown word "spots" (want spot; known are spot perp future option index)
a.yaml:18:3: alert "h" has no condition (want {when: condition})`},
		{"where", head + "where: price\nwindow: {tumbling: 1m}\n" + count, `a.yaml:5:8: price is a decimal in quote/base, not a condition (want a comparison)`},
		{"where with an aggregate", head + "where: count() > 5\nwindow: {tumbling: 1m}\n" + count, `a.yaml:5:8: aggregate "count" in where (want columns and let: where belongs to the rows)`},
		{"where with a feature", head + "where: n > 5\nwindow: {tumbling: 1m}\n" + count, `a.yaml:5:8: feature "n" in where (want columns and let only)`},
		{"let with an aggregate", head + "let:\n  a: sum(price)\nwindow: {tumbling: 1m}\n" + count, `a.yaml:6:6: aggregate "sum" in let (want columns and let: let belongs to the rows)`},
		{"let with the name of a column", head + "let:\n  price: quantity\nwindow: {tumbling: 1m}\n" + count, `a.yaml:6:3: let "price" has the name of an input column (want another name)`},
		{"let cycle", head + "let:\n  a: b + 1\n  b: a + 1\nwindow: {tumbling: 1m}\nfeatures:\n  x: sum(a)\n", `a.yaml:7:6: definitions need each other: a → b → a (want no cycle)`},
		{"let outside an aggregate", head + "let:\n  a: price\nwindow: {tumbling: 1m}\nfeatures:\n  x: a\n", `a.yaml:9:6: let "a" outside an aggregate (want first(…), last(…), sum(…) …)`},
		{"feature cycle", tumble("a: b + 1", "b: c * 2", "c: a - 1"), `a.yaml:9:6: definitions need each other: a → b → c → a (want no cycle)`},
		{"feature with the name of a row column", tumble("window_end: count()", "symbol: count()"), `
a.yaml:7:3: feature "window_end" has the name of a row column (want another name; every row has ts window_start window_end row_ts available_at revision flags variant entity kind)
a.yaml:8:3: feature "symbol" has the name of an entity column (want another name)`},
		{"feature with the name of a column", head + "features:\n  price: quantity * 2\n", `a.yaml:6:3: feature "price" has the name of an input column (want another name)`},
		{"feature with the name of a let", head + "let:\n  a: price\nwindow: {tumbling: 1m}\nfeatures:\n  a: count()\n", `a.yaml:9:3: feature "a" has the name of a let (want another name)`},
		{"a word that is also a name", head + "let:\n  buy: price\nwindow: {tumbling: 1m}\nfeatures:\n  x: count(where side == buy)\n",
			`a.yaml:9:26: "buy" is a word of this enum and a name (want another name for the column, let or feature)`},
		{"second pass", tumble("m: mean(price)", "x: count(where price > m)"), `a.yaml:8:26: needs a second pass over the rows of the window (want columns, let and parameters inside an aggregate)`},
		{"union of a view", "view: v\nversion: 1\nfrom: {a: trade, c: btc_clock}\nby: [exchange, symbol]\nwindow: {tumbling: 1m}\nfeatures:\n  x: last(ingest_ts)\n  y: last(c.m)\n", `
a.yaml:4:16: "symbol" is not an entity column of all inputs (want exchange market)
a.yaml:7:11: unknown name "ingest_ts" (want a.ingest_ts; known are ts exchange market a.ts a.ingest_ts a.exchange a.market a.symbol a.base …)
a.yaml:8:11: c has no column "m" (want ts exchange market btc_volume btc_trades btc_vwap window_start window_end row_ts …)`},
		{"union", "view: v\nversion: 1\nfrom: {a: trade, b: trads}\nby: [symbol]\nwindow: {tumbling: 1m}\nfeatures:\n  x: count()\n", `
a.yaml:3:18: unknown kind or view "trads" (want trade; known are trade quote book funding liquidation candle mark_price open_interest instrument …)`},
		{"features and rollup", tumble("x: count()") + "rollup: all\n", `a.yaml:8:1: features and rollup in one view (want one of them)`},
	} {
		got := problems(withShipped, c.text)
		g, w := got.Error(), strings.TrimSpace(c.want)
		if c.name == "window of no kind" {
			g, _, _ = strings.Cut(g, "\n")
		}
		if g != w {
			t.Errorf("%s:\n%s\ngot:\n%s\nwant:\n%s", c.name, c.text, g, w)
		}
	}
}

func TestProblems_OfRollups(t *testing.T) {
	up := func(from, by, rest string) string {
		return fmt.Sprintf("view: v\nversion: 1\nfrom: %s\nby: [%s]\n%srollup: all\n", from, by, rest)
	}
	for _, c := range []struct{ text, want string }{
		{up("trade", "symbol", "window: {tumbling: 1h}\n"), `a.yaml:6:1: rollup of events (want from: a view with a tumbling window)`},
		{up("trade_bars_1m", "symbol", ""), `a.yaml:5:1: rollup without a tumbling window (want window: {tumbling: 1h})`},
		{up("vwap_5m", "symbol", "window: {tumbling: 1h}\n"), `a.yaml:6:1: rollup of vwap_5m, which has a rolling window (want a view with a tumbling window)`},
		{up("trade_bars_1m", "exchange, market, symbol", "window: {tumbling: 90s}\n"), `a.yaml:5:20: windows of 90s are not made of windows of 1m (want a multiple of 1m)`},
		{up("trade_bars_1h", "exchange, market, symbol", "window: {tumbling: 1d, origin: 2024-01-01T00:30:00Z}\n"),
			`a.yaml:5:10: windows do not begin where those of trade_bars_1h do (want an origin at a window start of trade_bars_1h)`},
		{up("trade_bars_1m", "exchange, market, symbol", "window: {tumbling: 1h}\nwhere: volume > 5\n"), `a.yaml:6:1: where in a rollup (want only from, by, window and rollup: the parent has the rest)`},
		{up("spread_1m", "market, symbol", "window: {tumbling: 1h}\n"), `a.yaml:4:1: time_mean of several entities cannot be merged (want by: [exchange, market, symbol])`},
	} {
		wantProblems(t, problems(withShipped, c.text), c.want)
	}
}

func TestProblems_OfParameters(t *testing.T) {
	view := func(params, features string) string {
		return head + "window: {tumbling: 1m}\nparams:\n" + params + "features:\n  x: " + features + "\n"
	}
	set := func(kv ...string) lang.CheckOptions {
		m := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return lang.CheckOptions{Set: m}
	}
	const n = "  n: {type: int, default: 5}\n"
	for _, c := range []struct {
		opt        lang.CheckOptions
		text, want string
	}{
		{set(), view("  n: {type: integer, default: 5}\n", "count()"), `a.yaml:7:13: type is "integer" (want int or decimal or duration or string or list)`},
		{set(), view("  n: {type: int}\n", "count()"), `a.yaml:7:3: param "n" has no default (want default: value)`},
		{set(), view("  n: {default: 1}\n", "count()"), `a.yaml:7:3: param "n" has no type (want {type: int|decimal|duration|string|list, default: value})`},
		{set(), view("  n: {type: int, default: 1.5}\n", "count()"), `a.yaml:7:27: "1.5" is no int (want a whole number)`},
		{set(), view("  n: {type: duration, default: 15}\n", "count()"), `a.yaml:7:32: "15" is no duration (want a duration such as 5m)`},
		{set(), view("  n: {type: decimal, default: 1E6}\n", "count()"), `a.yaml:7:31: "1E6" is no decimal (want a decimal number such as 1.5 or 10bps)`},
		{set(), view("  n: {type: list, default: BTC}\n", "count()"), `a.yaml:7:28: "BTC" is no list (want [a, b])`},
		{set(), view("  n: {type: int, default: 1, sweep: [1, x]}\n", "count()"), `a.yaml:7:41: "x" is no int (want a whole number)`},
		{set(), view("  n: {type: int, default: 1, sweep: {from: 1, to: 5}}\n", "count()"), `a.yaml:7:37: sweep has no step (want {from: a, to: b, step: c})`},
		{set(), view("  n: {type: int, default: 1, sweep: {from: 5, to: 1, step: 1}}\n", "count()"), `a.yaml:7:3: sweep of "n" does not end (want from ≤ to and a step above 0)`},
		{set(), view(n, "count() > $m"), `a.yaml:9:16: unknown parameter $m (want n)`},
		{set("m", "5"), view(n, "count() > $n"), `--set m=5: unknown parameter "m" (want n)`},
		{set("w.n", "5"), view(n, "count() > $n"), `--set w.n=5: unknown parameter "w.n" (want n)`},
		{set("n", "5x"), view(n, "count() > $n"), `--set n=5x: "5x" is no int (want a whole number)`},
		{set("n", "7", "v.n", "2"), view(n, "sum(price) / ($n - 2)"), `a.yaml:9:20: division by zero (want a divisor other than 0)`},
		{set(), view(n, "count(where side in $n)"), `a.yaml:9:26: parameter $n is an int (want a parameter of type list)`},
		{set(), view("  l: {type: list, default: [buy, bye]}\n", "count(where side in $l)"), `a.yaml:9:26: unknown word "bye" (want unknown buy sell)`},
		{set(), view("  l: {type: list, default: [buy, sell]}\n", "count(where side == $l)"), `a.yaml:9:26: parameter $l is a list (want x in $l)`},
		{set("n", "1"), head + "window: {tumbling: 1m}\nparams:\n" + n + "require: $n > 2 and $n < 9\n" + count,
			`a.yaml:8:10: require $n > 2 and $n < 9 is false (want other values; these are n=1)`},
		{set(), head + "window: {tumbling: 1m}\nparams:\n" + n + "require: price > $n\n" + count, `a.yaml:8:10: name "price" in require (want parameters and literals only)`},
	} {
		wantProblems(t, problems(c.opt, c.text), c.want)
	}
}

func TestProblems_OfSeveralFiles(t *testing.T) {
	view := func(name, from string) string {
		return "view: " + name + "\nversion: 1\nfrom: " + from + "\nby: [symbol]\nwindow: {tumbling: 1m}\n" + count
	}
	wantProblems(t, problems(lang.CheckOptions{}, view("x", "y"), view("y", "z"), view("z", "x")),
		`c.yaml:3:1: views read each other: x → y → z → x (want views that end at a kind)`)
	wantProblems(t, problems(lang.CheckOptions{}, view("x", "trade"), view("x", "trade")),
		`b.yaml:1:7: view x@1 given twice (want another name or version; the other is at a.yaml:1:7)`)
}
