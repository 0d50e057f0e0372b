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

// Bounds, defaults and what is part of the identity.
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
