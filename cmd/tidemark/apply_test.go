package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/stream/broker"
)

// cliFails runs a command that fails and returns what it says.
func cliFails(t *testing.T, want int, args ...string) string {
	t.Helper()
	var errs bytes.Buffer
	a := &app{color: "never", in: strings.NewReader(""), out: io.Discard, err: &errs, now: time.Now}
	if code := a.execute(t.Context(), args); code != want {
		t.Fatalf("tidemark %s: exit %d\n%s", strings.Join(args, " "), code, errs.String())
	}
	return errs.String()
}

// Views of a stream change while it runs: rows from the instant on are those of the new views
// of tidemark run over all events, rows before those of the old ones; a view that reads topics
// that the stream has not read so far, and one that makes the first work of a job, begin with all
// that came before.
func TestApply_ChangesViewsOfAStreamThatRuns(t *testing.T) {
	dir := t.TempDir()
	b, err := broker.Start(filepath.Join(dir, "broker"), broker.Options{Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	config := filepath.Join(dir, "tidemark.yaml")
	configure := func(views string) {
		text := fmt.Sprintf(strings.Replace(streamConfig, "trade_bars_1s, book_1s, btc_bars_1s, basis_1s", views, 1), b.Addr(), b.RegistryURL())
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("trade_bars_1s, trade_flags")
	events := filepath.Join(dir, "events.jsonl")
	cli(t, fault.ExitDone, "simulate", "-o", events, "--events", "20000", "--venues", "alpha")
	lines := slices.Collect(strings.Lines(mustRead(t, events)))
	var halves [2]string
	for i, part := range [][]string{lines[:len(lines)/2], lines[len(lines)/2:]} {
		halves[i] = filepath.Join(dir, fmt.Sprintf("half-%d.jsonl", i))
		if err := os.WriteFile(halves[i], []byte(strings.Join(part, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cli(t, fault.ExitDone, "topics", "apply", "--config", config)
	state := []string{"--config", config, "--state", filepath.Join(dir, "state"), "--snapshot-every", "200ms", "--status", "127.0.0.1:19467"}
	stop := startStream(t, state...)
	defer func() {
		if _, text := stop(); t.Failed() {
			t.Logf("stream: %.4000s", text)
		}
	}()
	ready(t, "http://127.0.0.1:19467/readyz")
	cli(t, fault.ExitDone, "play", "--config", config, "--input", halves[0], "--progress", "none")
	tail := func(view string) []string {
		return jsonLines(t, cli(t, fault.ExitDone, "topics", "tail", "feature."+view+".v1", "--config", config, "--json"), "row")
	}
	for range 100 {
		if len(tail("trade_bars_1s")) > 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}

	if text := cli(t, fault.ExitDone, "apply", "--config", config); !strings.Contains(text, "already") {
		t.Errorf("the same views: %s", text)
	}
	configure("trade_bars_1s, book_1s, btc_bars_1s, basis_1s")
	if text := cliFails(t, fault.ExitUsage, "apply", "--config", config); !strings.Contains(text, "tidemark topics apply") {
		t.Errorf("without topics: %s", text)
	}
	cli(t, fault.ExitDone, "topics", "apply", "--config", config)
	if text := cliFails(t, fault.ExitUsage, "apply", "--config", config, "--effective-from", "2020-01-01T00:00Z"); !strings.Contains(text, "--effective-from 20") {
		t.Errorf("too late: %s", text)
	}
	if text := cliFails(t, fault.ExitUsage, "apply", "--config", config, "--name", "other"); !strings.Contains(text, "--name") {
		t.Errorf("another stream: %s", text)
	}
	if text := cli(t, fault.ExitDone, "apply", "--config", config, "--dry-run"); !strings.Contains(text, "+ book_1s.v1") || !strings.Contains(text, "- trade_flags.v1") || strings.Contains(text, " trade_bars_1s.v1") {
		t.Errorf("dry run: %s", text)
	}
	lake := filepath.Join(dir, "lake")
	cli(t, fault.ExitDone, "lake", "init", "--lake", lake)
	var got struct {
		ID    string `json:"activation"`
		State string `json:"state"`
		From  int64  `json:"effective_from"`
		Tasks int    `json:"tasks"`
		Done  int    `json:"tasks_done"`
	}
	text := cli(t, fault.ExitDone, "apply", "--config", config, "--in", "2s", "--timeout", "30s", "--reason", "test", "--lake", lake, "--json")
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.State != "accepted" || got.Tasks != 4 || got.Done != 4 {
		t.Fatalf("%s: %v", text, err)
	}
	if text := cli(t, fault.ExitDone, "apply", "--config", config, "--list"); !strings.Contains(text, got.ID) || !strings.Contains(text, "accepted") || !strings.Contains(text, "+book_1s.v1") {
		t.Errorf("list: %s", text)
	}
	if text := cli(t, fault.ExitDone, "lake", "scan", "ops.activations", "--lake", lake, "--json"); !strings.Contains(text, got.ID) {
		t.Errorf("lake: %s", text)
	}
	cli(t, fault.ExitDone, "play", "--config", config, "--input", halves[1], "--progress", "none")
	check := func() {
		t.Helper()
		for view, holds := range map[string]func(ts int64) bool{
			"trade_bars_1s": func(int64) bool { return true }, "trade_flags": func(ts int64) bool { return ts < got.From },
			"book_1s": func(ts int64) bool { return ts >= got.From }, "btc_bars_1s": func(ts int64) bool { return ts >= got.From }, "basis_1s": func(ts int64) bool { return ts >= got.From },
		} {
			rows := filepath.Join(dir, view+".jsonl")
			cli(t, fault.ExitDone, "run", "--spec", view, "--input", events, "-o", rows, "--progress", "none")
			want := slices.DeleteFunc(jsonLines(t, mustRead(t, rows), ""), func(s string) bool {
				var row struct {
					RowTS int64 `json:"row_ts"`
				}
				if err := json.Unmarshal([]byte(s), &row); err != nil {
					t.Fatal(err)
				}
				return strings.Contains(s, "partial") || !holds(row.RowTS)
			})
			var have []string
			for range 100 {
				if have = tail(view); len(have) >= len(want) {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			if len(want) == 0 {
				t.Errorf("%s: no rows", view)
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("%s, from %s (-run +topics)\n%.3000s", view, market.FormatTime(got.From), diff)
			}
		}
	}
	check()
	// It goes on with the new views, whatever the config says of those before.
	for _, views := range []string{"trade_bars_1s, trade_flags", "trade_bars_1s, book_1s, btc_bars_1s, basis_1s"} {
		if code, text := stop(); code != fault.ExitDone {
			t.Fatalf("exit %d: %s", code, text)
		}
		configure(views)
		stop = startStream(t, state...)
		ready(t, "http://127.0.0.1:19467/readyz")
	}
	check()
}
