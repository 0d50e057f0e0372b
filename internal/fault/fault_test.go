package fault

import (
	"errors"
	"fmt"
	"testing"
)

func TestNearest(t *testing.T) {
	words := []string{"trade_bars_1m", "trade_bars_1h", "book_1s", "volume_bars", "rolling"}
	for in, want := range map[string]string{
		"trade_bars_1n": "trade_bars_1m", "bok_1s": "book_1s", "book": "book_1s", "volume-bars": "volume_bars",
		"TRADE_BARS_1H": "trade_bars_1h", "rollnig": "rolling", "quaternion": "", "": "", "x": "",
	} {
		if got := Nearest(in, words); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		d    int
	}{{"", "", 0}, {"abc", "", 3}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"abcd", "acbd", 1}} {
		if got := distance(c.a, c.b); got != c.d || distance(c.b, c.a) != c.d {
			t.Errorf("%q %q: %d, want %d", c.a, c.b, got, c.d)
		}
	}
}

func TestFrom(t *testing.T) {
	u := Usage("flag_unknown", "unknown flag --inptu", "did you mean --input?")
	if got := From(fmt.Errorf("run: %w", u)); got != u {
		t.Errorf("got %v", got)
	}
	if got := From(errors.New("disk full")); got.Exit != ExitFailed || got.Message != "disk full" {
		t.Errorf("got %+v", got)
	}
}
