package run_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

const stalledSpec = `view: stalled
version: 1
from: trade
by: [exchange, market, symbol]
join:
  f: {view: funding, on: [exchange, symbol], match: asof, max_age: 9h}
  i: {view: open_interest, on: [exchange, symbol], match: asof, max_age: 9h}
features:
  p: price
  rate: f.rate
  open: i.quantity
`

// TestRun_KindsThatStandStill joins trades with funding and open interest that come every
// two hours. Whether these are files of their own or lie between the trades, rows leave
// within about a minute of trades, and are those of a run in which all of them wait for
// the end: there the kinds follow each other in blocks.
func TestRun_KindsThatStandStill(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(8, 9))
	const head = "kind,feed,exchange,market,symbol,event_ts,ingest_ts,id,side,price,quantity,rate\n"
	type event struct {
		ts   int64
		line string
	}
	var kinds [3][]event
	put := func(k int, ts int64, format string, args ...any) {
		kinds[k] = append(kinds[k], event{ts, fmt.Sprintf(format, args...)})
	}
	start := int64(1_767_571_200_000_000)
	rare := start
	for i := range 60_000 { // four hours, four a second
		ts := start + int64(i)*250_000 + r.Int64N(200_000)
		put(0, ts, "trade,o-alpha,alpha,perp,BTC-USDT,%d,%d,%d,buy,%d,1,\n", ts, ts+5_000, i, 9000+r.IntN(100))
		for rare <= ts {
			put(1, rare, "funding,o-alpha,alpha,perp,BTC-USDT,%d,%d,,,,,0.000%03d\n", rare, rare+5_000, r.IntN(900))
			put(2, rare+7, "open_interest,o-alpha,alpha,perp,BTC-USDT,%d,%d,,,,%d,\n", rare+7, rare+5_007, r.IntN(900))
			rare += 7_200_000_000
		}
	}
	text := func(name string, events []event) string {
		var b strings.Builder
		b.WriteString(head)
		for _, e := range events {
			b.WriteString(e.line)
		}
		path := filepath.Join(dir, name+".csv")
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	mixed := slices.Concat(kinds[:]...)
	slices.SortStableFunc(mixed, func(a, b event) int { return int(a.ts - b.ts) })
	spec := filepath.Join(dir, "stalled.yaml")
	if err := os.WriteFile(spec, []byte(stalledSpec), 0o600); err != nil {
		t.Fatal(err)
	}
	want, _ := stalledRows(t, spec, text("blocks", slices.Concat(kinds[:]...)))
	for name, inputs := range map[string][]string{
		"files of their own": {text("trades", kinds[0]), text("funding", kinds[1]), text("interest", kinds[2])},
		"between the trades": {text("mixed", mixed)},
		"two in one file":    {text("trades2", kinds[0]), text("rare", slices.DeleteFunc(slices.Clone(mixed), func(e event) bool { return strings.HasPrefix(e.line, "trade") }))},
	} {
		got, held := stalledRows(t, spec, inputs...)
		t.Logf("%s: at most %d rows wait", name, held)
		if !slices.Equal(got, want) {
			t.Errorf("%s: other rows, %d of %d", name, len(got), len(want))
		}
		if held > 2*4096+4*80 { // two chunks, and what comes in 80 s
			t.Errorf("%s: %d rows wait", name, held)
		}
	}
}

// stalledRows returns the rows of a view with a row for each trade, and how many trades
// waited at most for the other kinds.
func stalledRows(t *testing.T, spec string, inputs ...string) (rows []string, held int) {
	t.Helper()
	set, _, err := run.Check([]string{spec}, nil)
	if err != nil {
		t.Fatal(err)
	}
	env := run.Env{Meter: &run.Meter{}, Stdout: io.Discard, Warn: func(string) {}}
	cfg := run.Config{Specs: []string{spec}, Inputs: inputs, From: market.NoTime, To: market.NoTime}
	rep, err := run.Drive(t.Context(), cfg, env, set, func(_ *features.Task, out *features.Rows) error {
		v := &out.Views[0]
		for i := range v.Len() {
			line := fmt.Sprint(v.RowTS[i], v.Avail[i], v.Flags[i])
			for k := range v.Features {
				line += fmt.Sprint(" ", v.Features[k].IsNull(i), v.Features[k].F64[i])
			}
			rows = append(rows, line)
		}
		held = max(held, int(env.Meter.Events.Load())-len(rows))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Stats.Late != 0 || rep.Stats.DLQ != 0 {
		t.Fatalf("%+v", rep.Stats)
	}
	return rows, held
}
