package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/stream/broker"
	"github.com/pinova-group/tidemark/stream/sink"
)

const alertSpec = `view: busy_seconds
version: 1
from: trade
by: [exchange, market, symbol]
window: {tumbling: 1s}
empty: nulls
features:
  trades: count()
  last: last(price)
alert:
  busy: {when: trades >= 3, clear: trades < 3, severity: warning, to: desk}
  quiet: {when: trades < 4, for: 1s}
`

// Alerts that begin or end in a stream are those of run --alerts, each once, in a topic and in a
// table; also when the stream is stopped and started while some are firing.
func TestStream_AlertsAreThoseOfRun(t *testing.T) {
	dir := t.TempDir()
	b, err := broker.Start(filepath.Join(dir, "broker"), broker.Options{Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	spec, config, lk := filepath.Join(dir, "busy_seconds.yaml"), filepath.Join(dir, "tidemark.yaml"), filepath.Join(dir, "lake")
	text := fmt.Sprintf(streamConfig, b.Addr(), b.RegistryURL())
	text = strings.Replace(text, "trade_bars_1s, book_1s, btc_bars_1s, basis_1s", "trade_bars_1s, "+spec, 1)
	for path, text := range map[string]string{spec: alertSpec, config: text} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	events, first := filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "first.jsonl")
	cli(t, fault.ExitDone, "simulate", "-o", events, "--events", "20000", "--venues", "alpha", "--disorder", "100ms", "--duplicates", "1%", "--late", "0.5%")
	lines := slices.Collect(strings.Lines(mustRead(t, events)))
	if err := os.WriteFile(first, []byte(strings.Join(lines[:len(lines)/2], "")), 0o600); err != nil {
		t.Fatal(err)
	}
	alerts := filepath.Join(dir, "alerts.jsonl")
	cli(t, fault.ExitDone, "run", "--spec", spec, "--input", events, "--alerts", alerts, "--progress", "none")
	var want []string
	for line := range strings.Lines(mustRead(t, alerts)) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprint(r["exchange"], r["market"], r["symbol"], r["alert"], r["state"], " ", num(r["since"]), " ", num(r["at"]), " ", num(r["available_at"]), r["severity"], r["to"]))
	}
	slices.Sort(want)
	if len(want) < 20 {
		t.Fatalf("only %d alerts", len(want))
	}
	cli(t, fault.ExitDone, "topics", "apply", "--config", config)
	state := []string{"--config", config, "--state", filepath.Join(dir, "state"), "--snapshot-every", "200ms"}
	status := freeAddr(t)
	stop := startStream(t, append(state, "--status", status)...)
	ready(t, "http://"+status+"/readyz")
	cli(t, fault.ExitDone, "play", "--config", config, "--input", first, "--progress", "none", "--close=false")
	if code, text := stop(); code != fault.ExitDone {
		t.Fatalf("exit %d: %s", code, text)
	}
	stop = startStream(t, append(state, "--status", status)...)
	defer stop()
	ready(t, "http://"+status+"/readyz")
	cli(t, fault.ExitDone, "play", "--config", config, "--input", events, "--skip", fmt.Sprint(len(lines)/2), "--progress", "none")
	var got []string
	for range 100 {
		got = got[:0]
		for _, line := range jsonLines(t, cli(t, fault.ExitDone, "topics", "tail", "alert.busy_seconds.v1", "--config", config, "--json"), "row") {
			got = append(got, alertOf(t, line))
		}
		if len(got) >= len(want) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-run +topic)\n%.3000s", diff)
	}
	if out := cli(t, fault.ExitDone, "sink", "--config", config, "--lake", lk, "--until-caught-up", "--json"); !completeTable(t, out, "alert.busy_seconds_v1") {
		t.Errorf("the table of alerts does not say up to when it is complete: %s", out)
	}
	got = got[:0]
	for line := range strings.Lines(cli(t, fault.ExitDone, "lake", "scan", "alert.busy_seconds_v1", "--lake", lk, "--json")) {
		got = append(got, alertOf(t, line))
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-run +table)\n%.3000s", diff)
	}
}

// completeTable reports whether a sink says up to when a table is complete.
func completeTable(t *testing.T, status, name string) bool {
	t.Helper()
	var st sink.Status
	lines := strings.Split(strings.TrimSpace(status), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &st); err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(st.Tables, func(x sink.TableStatus) bool { return x.Table == name && x.ValidThrough != "" })
}

// alertOf is a row of an alert in the words of run --alerts.
func alertOf(t *testing.T, line string) string {
	t.Helper()
	var r map[string]any
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return fmt.Sprint(r["exchange"], r["market"], r["symbol"], r["alert"], r["state"], " ", num(r["window_start"]), " ", num(r["row_ts"]), " ", num(r["available_at"]), r["severity"], r["to"])
}

func num(v any) string {
	if f, ok := v.(float64); ok {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprint(v)
}
