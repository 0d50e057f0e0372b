package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/internal/fault"
)

// The tour checks itself: what it says it has proven, it has. Its folder can be worked on.
func TestDemo_ProvesWhatItSays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	out := cli(t, fault.ExitDone, "demo", "--keep", dir, "--minutes", "70", "--rate", "20", "--symbols", "3", "--seed", "5", "--json")
	var summary struct {
		Facts []demoFact
		Next  []string
	}
	if err := json.Unmarshal([]byte(out), &summary); err != nil {
		t.Fatal(err, out)
	}
	var whats []string
	for _, f := range summary.Facts {
		whats = append(whats, f.What)
	}
	if got := strings.Join(whats, " "); got != "market streamed verified repaired followed explained" {
		t.Errorf("%s: %s", got, out)
	}
	for _, want := range []string{"rows of 8 views in whole hours", "equal for all 1 hours", "none missing and none twice", "worked out by other means: equal"} {
		if !strings.Contains(out, want) {
			t.Errorf("not said: %q\n%s", want, out)
		}
	}
	for _, next := range summary.Next {
		args := strings.Fields(next)[1:]
		for i := range args {
			if args[i] == "vwap.parquet" {
				args[i] = filepath.Join(dir, args[i])
			}
		}
		cli(t, fault.ExitDone, args...)
	}
	if log, err := os.ReadFile(filepath.Join(dir, "demo.log")); err != nil || !strings.Contains(string(log), "$ tidemark verify") {
		t.Errorf("%v: %s", err, log)
	}
	refused(t, "folder_used", "demo", "--keep", dir, "--json")
	refused(t, "flag_invalid", "demo", "--minutes", "10", "--json")
	refused(t, "flag_missing", "demo", "--warehouse", "s3://b/p", "--json")
	refused(t, "flag_missing", "demo", "--brokers", "127.0.0.1:9", "--json")
	refused(t, "flag_invalid", "demo", "--catalog", "mysql://b", "--json")
	refused(t, "broker_unreachable", "demo", "--brokers", "127.0.0.1:9", "--registry", "http://127.0.0.1:9", "--json")
}

// cancelAt ends a command when it prints something.
type cancelAt struct {
	bytes.Buffer
	what string
	do   func()
}

func (c *cancelAt) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(c.what)) {
		c.do()
	}
	return c.Buffer.Write(p)
}

// What is said when a tour is interrupted is what the same command then does.
func TestDemo_InterruptedSaysWhatHolds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var errs bytes.Buffer
	out := &cancelAt{what: "$ tidemark simulate", do: func() { cancel(errInterrupted) }}
	a := &app{color: "never", in: strings.NewReader(""), out: out, err: &errs, now: time.Now}
	if code := a.execute(ctx, []string{"demo", "--keep", dir}); code != fault.ExitInterrupted {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	if text := errs.String(); !strings.Contains(text, "name another folder") || strings.Contains(text, "the same command again") {
		t.Error(text)
	}
	refused(t, "folder_used", "demo", "--keep", dir, "--json")
}

// An interrupted backfill says that it goes on, and does.
func TestBackfill_InterruptedSaysWhatHolds(t *testing.T) {
	dir := t.TempDir()
	market, lake := filepath.Join(dir, "market"), filepath.Join(dir, "lake")
	cli(t, fault.ExitDone, "simulate", "--out", market, "--events", "5000", "--kinds", "trade", "--seed", "7")
	cli(t, fault.ExitDone, "lake", "import", "--lake", lake, "--input", market, "--progress", "none")
	command := []string{"backfill", "--view", "trade_bars_1s", "--from", "2026-01-05", "--to", "2026-01-06", "--lake", lake, "--progress", "none"}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	errs := &cancelAt{what: "begins at", do: func() { cancel(errInterrupted) }} // a warning before the first task
	a := &app{color: "never", in: strings.NewReader(""), out: io.Discard, err: errs, now: time.Now}
	if code := a.execute(ctx, command); code != fault.ExitInterrupted || !strings.Contains(errs.String(), "the same command goes on where it was") {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	cli(t, fault.ExitDone, command...)
}
