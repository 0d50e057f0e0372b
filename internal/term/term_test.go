package term

import (
	"math"
	"strings"
	"testing"
)

func TestSparkline(t *testing.T) {
	s := Style{}
	if got := s.Sparkline([]float64{0, 1, 2, 3, 4, 5, 6, 7}, 0); got != "▁▂▃▄▅▆▇█" {
		t.Error(got)
	}
	if got := s.Sparkline([]float64{1, math.NaN(), 2}, 0); got != "▁ █" {
		t.Error(got)
	}
	if got := s.Sparkline([]float64{5, 5}, 0); got != "▅▅" {
		t.Error(got)
	}
	if got := s.Sparkline([]float64{0, 9, 1, 1, 0, 0}, 3); got != "█▁▁" {
		t.Error(got)
	}
	if got := (Style{ASCII: true}).Sparkline([]float64{0, 7}, 0); got != "_#" {
		t.Error(got)
	}
	if got := s.Sparkline(nil, 10); got != "" {
		t.Error(got)
	}
}

func TestCandles_ShapesTellRiseAndFall(t *testing.T) {
	bars := []Candle{
		{Open: 0, High: 8, Low: 0, Close: 8}, {Open: 8, High: 8, Low: 0, Close: 0},
		{Open: 3.9, High: 8, Low: 0, Close: 4.1}, {Close: math.NaN()},
	}
	got := Style{}.Candles(bars, 4)
	want := []string{"█░│  7", "█░│  5", "█░▀  3", "█░│  1"}
	if len(got) != 4 {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if g := strings.TrimRight(got[i], " "); !strings.HasPrefix(g, want[i][:len("█░")]) {
			t.Errorf("line %d: %q", i, g)
		}
	}
	for _, l := range (Style{ASCII: true}).Candles(bars, 4) {
		for _, r := range l {
			if r > 127 {
				t.Fatalf("no ASCII: %q", l)
			}
		}
	}
	if (Style{}).Candles(nil, 4) != nil || (Style{}).Candles([]Candle{{Close: math.NaN()}}, 4) != nil {
		t.Error("a picture of nothing")
	}
	flat := Style{Width: 40}.Candles([]Candle{{5, 5, 5, 5}}, 3)
	if len(flat) != 3 || !strings.ContainsAny(strings.Join(flat, ""), "▀▄█") {
		t.Errorf("flat bar %q", flat)
	}
}

func TestCandles_FitWidth(t *testing.T) {
	bars := make([]Candle, 500)
	for i := range bars {
		bars[i] = Candle{float64(i), float64(i + 2), float64(i - 1), float64(i + 1)}
	}
	for _, l := range (Style{Width: 80}).Candles(bars, 10) {
		if n := len([]rune(l)); n > 80 {
			t.Errorf("%d columns: %q", n, l)
		}
	}
}

func TestTable(t *testing.T) {
	cols := []Column{{Head: "symbol"}, {Head: "trades", Right: true}, {Head: "note"}}
	rows := [][]string{{"BTC-USDT", "1,234", "x"}, {"ETH", "5", "a long note that does not fit"}}
	want := "" +
		"symbol    trades  note\n" +
		strings.Repeat("─", 47) + "\n" +
		"BTC-USDT   1,234  x\n" +
		"ETH            5  a long note that does not fit\n"
	if got := (Style{}).Table(cols, rows); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	narrow := Style{Width: 30}.Table(cols, rows)
	if !strings.Contains(narrow, "1 more columns: note") || strings.Contains(narrow, "a long note") {
		t.Errorf("narrow\n%s", narrow)
	}
}

func TestRate(t *testing.T) {
	for _, c := range []struct {
		n    int64
		sec  float64
		want string
	}{{0, 1, "0/s"}, {1500, 1, "1.5 k/s"}, {5, 0, "0/s"}, {50, 10, "5 /s"}} {
		if got := Rate(c.n, c.sec); got != c.want {
			t.Errorf("%d in %v s: %q, want %q", c.n, c.sec, got, c.want)
		}
	}
}
