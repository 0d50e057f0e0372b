package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/schedule"
)

// scheduled is a lake with late events, and a config that schedules.
func scheduled(t *testing.T, entries string) (config, lk string) {
	t.Helper()
	dir := t.TempDir()
	events := filepath.Join(dir, "events.jsonl")
	lk = filepath.Join(dir, "lake")
	cli(t, fault.ExitDone, "simulate", "-o", events, "--events", "4000", "--rate", "4", "--disorder", "100ms", "--late", "1%", "--seed", "11")
	cli(t, fault.ExitDone, "lake", "import", "--lake", lk, "--input", events, "--progress", "none")
	cli(t, fault.ExitDone, "run", "--spec", "trade_bars_1m", "--input", "lake:", "--lake", lk, "-o", "lake:", "--progress", "none")
	config = filepath.Join(dir, "tidemark.yaml")
	if err := os.WriteFile(config, []byte("schedule:\n"+strings.ReplaceAll(entries, "LAKE", lk)), 0o600); err != nil {
		t.Fatal(err)
	}
	return config, lk
}

// A repair and a verification run when they are due, with the exit code of the one that found something; the
// lake says what ran.
func TestSchedule_RepairsAndVerifies(t *testing.T) {
	config, lk := scheduled(t, `
  - {name: repair, cron: "5 * * * *", run: backfill --dirty --lake LAKE}
  - {name: parity, cron: "10 * * * *", run: verify trade_bars_1m --lake LAKE}
`)
	at := time.Date(2099, 2, 1, 10, 0, 0, 0, time.UTC)
	sched := func(want int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		a := &app{color: "never", in: strings.NewReader(""), out: &out, err: &errs, now: func() time.Time { return at }}
		if code := a.execute(t.Context(), append([]string{"--config", config, "schedule"}, args...)); code != want {
			t.Fatalf("schedule %v: exit %d\n%s%s", args, code, out.String(), errs.String())
		}
		return out.String()
	}
	if out := sched(fault.ExitDone, "--once"); out != "nothing is due\n" {
		t.Error(out)
	}
	at = at.Add(3 * time.Hour)
	if out := sched(fault.ExitDone, "--dry-run"); !strings.Contains(out, "repair") || !strings.Contains(out, "now (2099-02-01T12:05:00Z, 2 missed before)") {
		t.Error(out)
	}
	if out := cli(t, fault.ExitDone, "dirty", "--lake", lk); strings.Contains(out, "nothing is stale") {
		t.Fatal(out)
	}
	if out := sched(fault.ExitDone, "--once", "repair"); !strings.Contains(out, "repair: done") {
		t.Error(out)
	}
	if out := cli(t, fault.ExitDone, "dirty", "--lake", lk); !strings.Contains(out, "nothing is stale") {
		t.Error(out)
	}
	if out := sched(fault.ExitDone, "--once"); !strings.Contains(out, "parity: done") || strings.Contains(out, "repair") {
		t.Error(out)
	}
	plant(t, lk, "feature.trade_bars_1m_v1", func(b *file.Batch, _ []file.Column) []int32 { return allRows(b.N)[1:] })
	at = at.Add(time.Hour)
	if out := sched(fault.ExitDifference, "--once"); !strings.Contains(out, "parity: failed  1 of 1 hours are not what they should be") {
		t.Error(out)
	}
	var list struct {
		Schedule []schedule.State `json:"schedule"`
	}
	if err := json.Unmarshal([]byte(sched(fault.ExitDone, "list", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Schedule) != 2 || list.Schedule[1].Last == nil || list.Schedule[1].Last.Exit != fault.ExitDifference || list.Schedule[0].Last.Outcome != schedule.Done ||
		!list.Schedule[0].Next.Equal(at.Add(5*time.Minute)) {
		t.Errorf("%+v", list)
	}
}

// A process runs what is due and ends at once when it is told to.
func TestSchedule_RunsUntilToldToEnd(t *testing.T) {
	config, lk := scheduled(t, `  - {name: parity, cron: "@every 1s", run: verify trade_bars_1m --lake LAKE}`)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var out, errs safeBuffer
	code := make(chan int)
	go func() {
		a := &app{color: "never", in: strings.NewReader(""), out: &out, err: &errs, now: time.Now}
		code <- a.execute(ctx, []string{"--config", config, "schedule", "--status", "127.0.0.1:0"})
	}()
	l, err := lake.Open(t.Context(), lake.Config{Dir: lk, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		runs, err := l.RunHistory(t.Context())
		if err != nil || time.Now().After(end) {
			t.Fatalf("%+v, %v\n%s", runs, err, errs.String())
		}
		if len(runs) >= 2 {
			break
		}
	}
	cancel(errInterrupted)
	select {
	case c := <-code:
		if c != fault.ExitDone {
			t.Errorf("exit %d\n%s", c, errs.String())
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	if r, err := l.Runs(t.Context()); err != nil || len(r.Leases) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Mistakes are told all at once, with their places, before anything runs.
func TestSchedule_TellsMistakes(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "tidemark.yaml")
	text := `schedule:
  - {name: a, cron: "61 * * * *", run: backfill --dirty --lake x}
  - {name: a, cron: "0 0 30 2 *", run: lake import --lake x}
  - {name: b, cron: "@daily", run: verify --lake x}
  - {name: c, cron: "@daily", run: backfill --drity --lake x}
  - {name: d, cron: "@daily", run: verify trade_bars_1m}
  - {name: e, cron: "@daily", run: verify trade_bars_1m --continuous --lake x}
  - {name: f, cron: "@daily", run: verify trade_bars_1n --lake x}
`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TIDEMARK_LAKE", "")
	var out, errs bytes.Buffer
	a := &app{color: "never", in: strings.NewReader(""), out: &out, err: &errs, now: time.Now}
	if code := a.execute(t.Context(), []string{"--config", config, "schedule", "list"}); code != fault.ExitUsage {
		t.Fatalf("exit %d", code)
	}
	for _, want := range []string{"2:21: schedule[0].cron", "3:12: schedule[1].name", "3:21: schedule[1].cron", `"lake" cannot be scheduled`, "missing a view", "unknown flag: --drity", "no lake given", "--continuous has no end", "trade_bars_1n", "9 mistakes"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("no %q in\n%s", want, errs.String())
		}
	}
	if err := os.WriteFile(config, []byte(`schedule: [{name: a, cron: "@daily", run: verify trade_bars_1m --lake none}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"list"}, {"--once"}, {"--dry-run"}, {}} {
		refused(t, "lake_missing", append([]string{"--config", config, "--json", "schedule"}, args...)...)
	}
}
