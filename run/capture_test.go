package run_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/run"
)

// bybitConn writes a connection of a Bybit capture: its opening and a trade a second.
func bybitConn(sb *strings.Builder, conn, market string, trades int) {
	fmt.Fprintf(sb, `{"t":"connect","conn":%q,"ts":1786310818.5,"addr":"wss://stream.bybit.com/v5/public/%s"}`+"\n", conn, market)
	for i := range trades {
		data := fmt.Sprintf(`{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":%[1]d000,"data":[{"T":%[1]d000,"s":"BTCUSDT","S":"Buy","v":"1","p":"65000","L":"PlusTick","i":"%[2]s-%[1]d","BT":false}]}`, 1786310819+i, market)
		fmt.Fprintf(sb, `{"t":"recv","conn":%q,"ts":%d.25,"data":%q}`+"\n", conn, 1786310819+i, data)
	}
}

func capture(body string) string {
	return `{"t":"header","format":2,"exchange":"BYBIT","config":{},"recorded":1786310817.1}` + "\n" + body
}

func runFiles(t *testing.T, files ...string) *run.Report {
	t.Helper()
	dir := t.TempDir()
	cfg := run.DefaultConfig()
	cfg.Specs, cfg.Output = []string{"trade_bars_1m"}, filepath.Join(dir, "rows.csv")
	for i, text := range files {
		name := filepath.Join(dir, fmt.Sprintf("%d.jsonl", i))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg.Inputs = append(cfg.Inputs, name)
	}
	rep, err := run.Run(t.Context(), cfg, run.Env{Stdout: io.Discard, Warn: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// Connections that lie one after the other in a capture are merged by time: the second
// one's trades once were late by the first one's clock.
func TestCapture_ConnectionsAreMergedByTime(t *testing.T) {
	var sb strings.Builder
	bybitConn(&sb, "BYBIT.ws.2", "linear", 60)
	bybitConn(&sb, "BYBIT.ws.3", "spot", 60)
	rep := runFiles(t, capture(sb.String()))
	if rep.Stats.Applied != 120 || rep.Stats.Late != 0 || rep.Stats.DLQ != 0 {
		t.Errorf("%+v", rep.Stats)
	}
	for _, feed := range []string{"bybit-linear", "bybit-spot"} {
		if c := rep.Stats.ByFeed[feed]; c == nil || c.Applied != 60 {
			t.Errorf("%s: %+v", feed, c)
		}
	}
	if rep.Stats.ByFeed["unknown"] != nil {
		t.Errorf("service lines are booked to an unknown feed: %+v", rep.Stats.ByFeed["unknown"])
	}
}

// A file without events, or one with megabytes of records that carry none, once ended
// the whole input.
func TestInput_GoesOnBehindWhatHasNoEvents(t *testing.T) {
	var sb strings.Builder
	bybitConn(&sb, "BYBIT.ws.2", "linear", 10)
	trades := capture(sb.String())
	if rep := runFiles(t, "", trades, ""); rep.Stats.Applied != 10 {
		t.Errorf("empty files: %+v", rep.Stats)
	}
	if rep := runFiles(t, capture(""), trades); rep.Stats.Applied != 10 {
		t.Errorf("capture without messages: %+v", rep.Stats)
	}
	pad := strings.Repeat("x", 1<<20)
	service := strings.Repeat(fmt.Sprintf(`{"t":"send","conn":"BYBIT.ws.2","ts":1786310818.1,"addr":"wss://stream.bybit.com/v5/public/linear","data":%q}`+"\n", pad), 12)
	if rep := runFiles(t, capture(service+sb.String())); rep.Stats.Applied != 10 {
		t.Errorf("service messages: %+v", rep.Stats)
	}
}
