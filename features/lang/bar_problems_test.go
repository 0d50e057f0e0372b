package lang_test

import (
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
)

const barHead = "view: v\nversion: 1\nfrom: trade\nby: [exchange, market, symbol]\n"

// What a bar or a session must say, and what it cannot.
func TestProblems_OfBarsAndSessions(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"window: {bar: quantity, size: 5, reset: 1d}", `a.yaml:5:15: column "quantity" outside an aggregate (want first(…), last(…), sum(…) …)`},
		{"window: {bar: n, size: 5, reset: 1d}", `a.yaml:5:15: feature "n" in bar (want the aggregate itself: features are worked out when the bar has ended)`},
		{"window: {bar: 5, size: 5, reset: 1d}", `a.yaml:5:15: bar does not change from row to row (want an aggregate over the rows of the bar, such as sum(quantity))`},
		{"window: {bar: sum(qty), size: 5, reset: 1d}", `a.yaml:5:19: unknown name "qty" (want quantity)`},
		{"window: {bar: count() > 5, size: 5, reset: 1d}", `a.yaml:5:15: bar is a condition (want a number or a duration that grows, such as sum(quantity))`},
		{"window: {bar: last(ts), size: 5m, reset: 1d}", `a.yaml:5:15: bar is a time (want a number or a duration that grows, such as sum(quantity))`},
		{"window: {bar: last(ts) - first(ts), size: 5, reset: 1d}", `a.yaml:5:43: bar is a duration, size is a whole number (want a size such as 5m)`},
		{"window: {bar: sum(quantity), size: 5m, reset: 1d}", `a.yaml:5:36: bar is a decimal in base, size is a duration (want a size in base)`},
		{"window: {bar: sum(quantity), size: 0, reset: 1d}", `a.yaml:5:36: size is 0 (want more than 0)`},
		{"window: {bar: sum(quantity), size: -5, reset: 1d}", `a.yaml:5:36: size is -5 (want more than 0)`},
		{"window: {bar: sum(quantity), size: $n, reset: 1d}", `a.yaml:5:36: unknown parameter $n (want params: with n: {type: …, default: …})`},
		{"window: {bar: sum(quantity), size: 5, reset: never}", `a.yaml:5:46: bars that are never reset depend on every bar before them (want reset: 1d, at most 3660d)`},
		{"window: {bar: sum(quantity), size: 5, cut: half, reset: 1d}", `a.yaml:5:44: cut is "half" (want whole or split)`},
		{"window: {bar: sum(price * quantity), size: 5, cut: split, reset: 1d}", `a.yaml:5:52: cut: split divides one column of a row, and the bar is sum(price * quantity) (want bar: sum(quantity) or the sum of another column, or cut: whole)`},
		{"window: {bar: count(), size: 5, cut: split, reset: 1d}", `a.yaml:5:38: cut: split divides one column of a row, and the bar is count() (want bar: sum(quantity) or the sum of another column, or cut: whole)`},
		{"window: {bar: sum(quantity where side == buy), size: 5, cut: split, reset: 1d}", `a.yaml:5:62: cut: split divides one column of a row, and the bar is sum(quantity where side == buy) (want bar: sum(quantity) or the sum of another column, or cut: whole)`},
		{"window: {bar: count(), size: 5, reset: 1d}\nempty: flat", `a.yaml:6:1: a bar begins with a row: none is empty (want no empty, or empty: omit)`},
		{"window: {session: 30s, max: 10s}", `a.yaml:5:29: max is shorter than the gap of 30s (want max: 30s or more)`},
		{"window: {session: 30s, max: 1d}\nempty: nulls", `a.yaml:6:1: a session begins with a row: none is empty (want no empty, or empty: omit)`},
		{"window: {session: 30, max: 1d}", `a.yaml:5:19: session is "30" (want a duration such as 5m, or $name)`},
	} {
		got := problems(lang.CheckOptions{}, barHead+c.text+"\nfeatures:\n  n: count()\n")
		if got.Error() != strings.TrimSpace(c.want) {
			t.Errorf("%s\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

// What a clock must be, and what its columns are for.
func TestProblems_OfClocks(t *testing.T) {
	tick := "view: tick\nversion: 1\nfrom: trade\nwhere: base == 'BTC'\nby: [exchange]\nparams:\n  n: {type: decimal, default: 10}\n  d: {type: duration, default: 1d}\n  l: {type: list, default: [A, B]}\n" +
		"window: {bar: sum(quantity), size: $n, reset: $d}\nfeatures:\n  volume: sum(quantity)\n  ratio: sum(quantity) / count()\n  base_of: decimal(1, 0)\n"
	weekly := "view: weekly\nversion: 1\nfrom: trade\nby: [exchange]\nwindow: {tumbling: 7d}\nfeatures:\n  n: count()\n"
	for _, c := range []struct{ text, feature, want string }{
		{"window: {clock: tick}", "count()", ""},
		{"window: {clock: tick@1, with: {n: 2 * 5, d: 6h}}", "clock.volume / clock.ratio", ""},
		{"window: {clock: tock}", "clock.volume", `a.yaml:5:17: unknown view "tock" (want tick; known are tick v weekly)`},
		{"window: {clock: v}", "count()", `a.yaml:3:1: views read each other: v → v (want views that end at a kind)`},
		{"window: {clock: tick@2}", "count()", `a.yaml:5:17: unknown view "tick@2" (want tick; known are tick v weekly)`},
		{"window: {clock: tick, with: {m: 5}}", "count()", `a.yaml:5:33: tick has no parameter "m" (want n; known are n d l)`},
		{"window: {clock: tick, with: {n: 5m}}", "count()", `a.yaml:5:33: n is a duration (want a decimal)`},
		{"window: {clock: tick, with: {d: 5}}", "count()", `a.yaml:5:33: d is a whole number (want a duration)`},
		{"window: {clock: tick, with: {l: 5}}", "count()", `a.yaml:5:33: l of the clock is a list, not 5 (want a parameter of type list)`},
		{"window: {clock: tick, with: {n: $m}}", "count()", `a.yaml:5:33: unknown parameter $m (want params: with m: {type: …, default: …})`},
		{"window: {clock: tick, with: {n: price}}", "count()", `a.yaml:5:33: name "price" in with (want parameters and literals only)`},
		{"window: {clock: tick}\nempty: flat", "count()", `a.yaml:6:1: intervals of a clock carry nothing over (want empty: nulls or omit)`},
		{"window: {clock: tick, reset: never}", "count()", `a.yaml:5:30: intervals that are never cut may begin any time ago (want reset: 1d, at most 3660d)`},
		{"window: {clock: weekly}", "count()", `a.yaml:5:10: intervals of weekly are longer than a day, where they would be cut (want reset: 7d or more in the window)`},
		{"window: {clock: weekly, reset: 14d}", "count()", ""},
		{"window: {clock: tick}", "clock.volumes", `a.yaml:7:6: tick has no feature "volumes" (want volume; known are volume ratio base_of)`},
		{"window: {clock: tick}", "sum(clock.volume)", `a.yaml:7:10: clock.volume belongs to the tick that ends the interval (want it among the features, outside aggregates)`},
		{"window: {clock: tick}", "clock.volume + count()", `a.yaml:7:6: base plus a plain number (want the same unit on both sides)`},
		{"window: {tumbling: 1m}", "clock.volume", `a.yaml:7:6: unknown alias "clock" (want a name without a point)`},
	} {
		got := problems(lang.CheckOptions{}, barHead+c.text+"\nfeatures:\n  n: "+c.feature+"\n", tick, weekly)
		if got.Error() != c.want {
			t.Errorf("%s, %s\n got %s\nwant %s", c.text, c.feature, got, c.want)
		}
	}
	got := problems(lang.CheckOptions{}, "view: v\nversion: 1\nfrom: trade\nby: [base]\nwindow: {clock: tick}\nfeatures:\n  n: count()\n", tick)
	wantProblems(t, got, `a.yaml:4:1: tick ticks by exchange, which is no entity column of this view (want by: with exchange among others)`)
}

// A clock with other parameters is another view; its values are part of the identity.
func TestCheck_ClockInstances(t *testing.T) {
	tick := "view: tick\nversion: 1\nfrom: trade\nby: [exchange]\nparams:\n  n: {type: decimal, default: 10}\nwindow: {bar: sum(quantity), size: $n, reset: 12h}\nfeatures:\n  volume: sum(quantity)\n"
	member := func(with string) string {
		return "view: m\nversion: 1\nfrom: trade\nby: [exchange, symbol]\nparams:\n  k: {type: int, default: 20}\nwindow: {clock: tick" + with + "}\nfeatures:\n  n: count()\n"
	}
	plain := check(t, lang.CheckOptions{}, tick, member(""))
	if c := plain.Window.Clock; c.Name != "tick" || plain.Window.Reset != 43_200_000_000 || plain.Lookback != 86_400_000_000 {
		t.Errorf("clock %s, reset %d, lookback %d", c.Name, plain.Window.Reset, plain.Lookback)
	}
	if same := check(t, lang.CheckOptions{}, tick, member(", with: {n: 10}")); same.Window.Clock.Fingerprint != plain.Window.Clock.Fingerprint {
		t.Error("a clock with the values in force is another view")
	}
	other := check(t, lang.CheckOptions{}, tick, member(", with: {n: $k}"))
	if c := other.Window.Clock; c.Name != "tick(n=20)" || c.Params["n"] != "20" || c.Fingerprint == plain.Window.Clock.Fingerprint {
		t.Errorf("instance %s with %v", c.Name, c.Params)
	}
	set := check(t, lang.CheckOptions{Set: map[string]string{"k": "30", "n": "40"}}, tick, member(", with: {n: $k}"))
	if c := set.Window.Clock; c.Name != "tick(n=30)" || c.Params["n"] != "30" || set.Fingerprint == other.Fingerprint {
		t.Errorf("instance %s with %v", c.Name, c.Params)
	}
	if !strings.Contains(string(other.Canonical), "window: {clock: tick, with: {n: $k}}\n") {
		t.Errorf("canonical text:\n%s", other.Canonical)
	}
}

// Bounds, defaults and what is part of the identity.
// What clocks show is part of the identity, and an hour more of the bounds.
func TestCheck_ZoneIdentity(t *testing.T) {
	seen := map[[32]byte]string{}
	for _, w := range []string{"{tumbling: 1d}", "{tumbling: 1d, zone: America/New_York}", "{tumbling: 1d, zone: America/Toronto}", "{tumbling: 1d, zone: America/New_York, origin: '2024-01-01T17:00'}"} {
		v := check(t, lang.CheckOptions{}, barHead+"window: "+w+"\nfeatures:\n  n: count()\n")
		hours := int64(25)
		if v.Window.Zone == nil {
			hours = 24
		}
		if hours *= 3_600_000_000; v.Lookback != hours || v.Reach != hours {
			t.Errorf("%s: lookback %d, reach %d", w, v.Lookback, v.Reach)
		}
		if o, dup := seen[v.Fingerprint]; dup {
			t.Errorf("%s and %s have one fingerprint", o, w)
		}
		seen[v.Fingerprint] = w
	}
	if v := check(t, lang.CheckOptions{}, barHead+"window: {tumbling: 1d, zone: UTC}\nfeatures:\n  n: count()\n"); seen[v.Fingerprint] == "" {
		t.Error("zone: UTC is another view")
	}
}

func TestCheck_BarIdentity(t *testing.T) {
	view := func(window string) string { return barHead + "window: " + window + "\nfeatures:\n  n: count()\n" }
	v := check(t, lang.CheckOptions{}, view("{bar: sum(quantity), size: 5, reset: 1d}"))
	if day := int64(86_400_000_000); v.Lookback != day || v.Reach != day || v.OnLate != "record" {
		t.Errorf("lookback %d, reach %d, %s", v.Lookback, v.Reach, v.OnLate)
	}
	if !strings.Contains(string(v.Canonical), "window: {bar: sum(quantity), size: 5, cut: whole, reset: 1d}\n") {
		t.Errorf("canonical text:\n%s", v.Canonical)
	}
	seen := map[[32]byte]string{}
	for _, w := range []string{
		"{bar: sum(quantity), size: 5, reset: 1d}", "{bar: sum(quantity), size: 6, reset: 1d}", "{bar: sum(quantity), size: 5, cut: split, reset: 1d}",
		"{bar: count(), size: 5, reset: 1d}", "{bar: count(), size: 5, reset: 12h}", "{session: 30s, max: 1d}", "{session: 30s, max: 2d}", "{session: 31s, max: 1d}",
	} {
		f := check(t, lang.CheckOptions{}, view(w)).Fingerprint
		if o, dup := seen[f]; dup {
			t.Errorf("%s and %s have one fingerprint", o, w)
		}
		seen[f] = w
	}
	if s := check(t, lang.CheckOptions{}, view("{session: 30s, max: 10m}")); s.Lookback != 600_000_000 || s.Reach != 600_000_000 || s.OnLate != "recompute" {
		t.Errorf("session: lookback %d, reach %d, %s", s.Lookback, s.Reach, s.OnLate)
	}
}
