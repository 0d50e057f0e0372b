package run

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/internal/term"
)

func inspect(t *testing.T, paths ...string) *Inspection {
	t.Helper()
	got, err := Inspect(context.Background(), InspectConfig{Inputs: paths}, Env{Warn: func(string) {}, Meter: &Meter{}})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestInspect_CountsByHand(t *testing.T) {
	tape := strings.ReplaceAll(header+
		"trade,sim-alpha,alpha,spot,BTC-USDT,@00000000,,5,5,buy,100,1\n"+
		"trade,sim-alpha,alpha,spot,BTC-USDT,@02000000,,6,6,buy,100,1\n"+
		"trade,sim-alpha,alpha,spot,BTC-USDT,@01900000,,6,6,buy,100,1\n"+ // duplicate, 100 ms behind
		"trade,sim-alpha,alpha,spot,BTC-USDT,@09000000,,9,9,buy,100,1\n"+ // 7 and 8 are missing
		"trade,sim-alpha,alpha,spot,ETH-USDT,@09000000,,1,1,buy,100,1\n"+
		"nonsense\n", "@", "17627954")
	got := inspect(t, file(t, tape))
	if len(got.Lines) != 1 {
		t.Fatalf("%+v", got.Lines)
	}
	l := got.Lines[0]
	if l.Feed != "sim-alpha" || l.Kind != "trade" || l.Events != 5 || l.Instruments != 2 || l.Duplicates != 1 || l.Missing != 2 ||
		l.Silence != 7_000_000 || l.Max != 100_000 || l.P50 != 0 || l.Ingest {
		t.Errorf("%+v", l)
	}
	if len(got.Bad) != 1 || got.Bad[0].Line != 7 || got.Exit() != 3 {
		t.Errorf("%+v", got.Bad)
	}
	if got.Instruments[0].Symbol != "BTC-USDT" || got.Instruments[0].Events != 4 {
		t.Errorf("%+v", got.Instruments)
	}
	text := got.Text(term.Style{})
	for _, want := range []string{"sim-alpha", "100 ms", "7 s", "nonsense"} {
		if !strings.Contains(text, want) {
			t.Errorf("text lacks %q:\n%s", want, text)
		}
	}
}

// Numbers that jump count as missing up to the greatest int64, over all instruments, and
// never wrap round.
func TestInspect_MissingSaturates(t *testing.T) {
	row := func(symbol, second, seq string) string {
		return "trade,sim-alpha,alpha,spot," + symbol + ",17627954" + second + "000000,," + seq + "," + seq + ",buy,100,1\n"
	}
	for _, c := range []struct {
		name string
		rows string
		want int64
	}{
		{"one half", row("BTC-USDT", "00", "1") + row("BTC-USDT", "01", "4611686018427387904"), 4611686018427387902},
		{"beyond int64", row("BTC-USDT", "00", "1") + row("BTC-USDT", "01", "18446744073709551615"), math.MaxInt64},
		{"sum beyond int64", row("BTC-USDT", "00", "1") + row("BTC-USDT", "01", "9223372036854775809") +
			row("ETH-USDT", "02", "1") + row("ETH-USDT", "03", "4611686018427387904"), math.MaxInt64},
		{"backwards", row("BTC-USDT", "00", "7") + row("BTC-USDT", "01", "5"), 1},
		{"none", row("BTC-USDT", "00", "18446744073709551614") + row("BTC-USDT", "01", "18446744073709551615"), 0},
	} {
		if got := inspect(t, file(t, header+c.rows)); len(got.Lines) != 1 || got.Lines[0].Missing != c.want {
			t.Errorf("%s: %+v, want %d missing", c.name, got.Lines, c.want)
		}
	}
}

// TestInspect_RecordedTapes holds what the recordings' README says of them.
func TestInspect_RecordedTapes(t *testing.T) {
	raw := inspect(t, exdata.Path(t, "rawstream/binance_spot_btcusdt_20240808.jsonl.gz"), exdata.Path(t, "rawstream/binance_spot_btcusdt_20240809.jsonl.gz"))
	want := map[string]int64{"trade": 9757 + 10147, "quote": 28040 + 45134, "book": 3451 + 1 + 3044}
	for _, l := range raw.Lines {
		if l.Events != want[l.Kind] || l.Missing != 0 || l.Duplicates != 0 {
			t.Errorf("%s: %+v, want %d events without a gap", l.Kind, l, want[l.Kind])
		}
		delete(want, l.Kind)
	}
	if len(want) > 0 || len(raw.Bad) > 0 {
		t.Errorf("missing kinds %v, bad %v", want, raw.Bad)
	}
	neg := inspect(t, exdata.Path(t, "tapes/binance_spot_trxusdt_trades_20250304_negative.csv.gz"))
	if l := neg.Lines[0]; l.Events != 10000 || l.Duplicates != 1 || l.Missing != 1 {
		t.Errorf("corrupted tape: %+v, want one duplicate in the place of one trade", l)
	}
}
