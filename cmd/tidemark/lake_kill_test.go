//go:build unix

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
)

// tidemark is the program, run by the test's own binary.
func tidemark(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Args = append([]string{"tidemark"}, args...)
	cmd.Dir = dir
	return cmd
}

// An import that is stopped at any moment, by SIGKILL or by Ctrl-C, leaves each table as it was
// or with all of its events, and no file half written among those that a table names. Run again,
// every event is there once. What it left lying is found by doctor.
func TestImport_StoppedAtAnyMoment(t *testing.T) {
	rounds := 6
	if os.Getenv("TIDEMARK_FULL") != "" {
		rounds = 200
	}
	dir := t.TempDir()
	if out, err := tidemark(t.Context(), dir, "simulate", "--out", "tape", "--events", "60000", "--seed", "5", "--kinds", "trade,quote").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	importing := func(name string) *exec.Cmd {
		return tidemark(t.Context(), dir, "lake", "import", "--lake", name, "--input", "tape", "--memory", "300000", "--progress", "none")
	}
	began := time.Now()
	if out, err := importing("whole").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	took := time.Since(began)
	want := ids(t, filepath.Join(dir, "whole"))
	if len(want["processed.trade"]) < 1000 || len(want["processed.quote"]) < 1000 {
		t.Fatalf("%d trades and %d quotes", len(want["processed.trade"]), len(want["processed.quote"]))
	}
	stopped, partly, left := 0, 0, 0
	for n := range rounds {
		name := filepath.Join(dir, "l"+string(rune('a'+n%26))+string(rune('a'+n/26)))
		cmd := importing(name)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		sig := syscall.SIGKILL
		if n%3 == 2 {
			sig = syscall.SIGINT
		}
		timer := time.AfterFunc(time.Duration(rand.Int64N(int64(took))), func() { _ = cmd.Process.Signal(sig) })
		err := cmd.Wait()
		timer.Stop()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			stopped++
			if sig == syscall.SIGINT && exit.ExitCode() != 130 && exit.ExitCode() != -1 { // -1: before the program listens
				t.Errorf("Ctrl-C gave exit code %d", exit.ExitCode())
			}
		}
		if _, err := os.Stat(filepath.Join(name, "catalog.db")); err == nil {
			got := ids(t, name)
			for table, events := range got {
				if len(events) != 0 && len(events) != len(want[table]) {
					t.Errorf("%s has %d of %d events: a commit came in part", table, len(events), len(want[table]))
				}
			}
			if len(got["processed.trade"])+len(got["processed.quote"]) < len(want["processed.trade"])+len(want["processed.quote"]) {
				partly++
			}
			left += leftovers(t, name)
		}
		if out, err := importing(name).CombinedOutput(); err != nil {
			t.Fatalf("run again: %v\n%s", err, out)
		}
		got := ids(t, name)
		for table, events := range want {
			if len(got[table]) != len(events) {
				t.Errorf("%s has %d events after all, want %d", table, len(got[table]), len(events))
			}
			for id := range events {
				if got[table][id] != 1 {
					t.Fatalf("%s has event %x %d times", table, id, got[table][id])
				}
			}
		}
		_ = os.RemoveAll(name)
	}
	t.Logf("of %d imports %d were stopped, %d in the middle of their work, %d files were left", rounds, stopped, partly, left)
	if stopped == 0 {
		t.Error("no import was stopped")
	}
}

func openDir(t *testing.T, dir string, now func() time.Time) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: dir, Now: now, Build: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// eachRow reads columns of a table.
func eachRow(t *testing.T, l *lake.Lake, table string, columns []string, row func(b *file.Batch, i int)) {
	t.Helper()
	tab, err := l.Load(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := tab.Scan(t.Context(), lake.Query{Columns: columns})
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Close()
	for {
		b, err := sc.Next()
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return
		}
		for i := range b.N {
			row(b, i)
		}
	}
}

// ids counts the events of each table by id, from the rows.
func ids(t *testing.T, dir string) map[string]map[string]int {
	t.Helper()
	l := openDir(t, dir, time.Now)
	names, err := l.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]int{}
	for _, name := range names {
		out[name] = map[string]int{}
		eachRow(t, l, name, []string{"event_id"}, func(b *file.Batch, i int) { out[name][string(b.Cols[0].Text(i))]++ })
	}
	return out
}

// leftovers compares what doctor finds two hours later with the files that no snapshot names.
func leftovers(t *testing.T, dir string) int {
	t.Helper()
	l := openDir(t, dir, func() time.Time { return time.Now().Add(2 * time.Hour) })
	names, err := l.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found, err := l.Examine(t.Context(), lake.Examination{Deep: true})
	if err != nil {
		t.Fatal(err)
	}
	told := int64(0)
	for _, f := range found {
		switch {
		case f.Code == "orphans" || f.Code == "unfinished":
			told += f.Count
		case f.Level != lake.Note && f.Code != "clock_skew":
			t.Errorf("doctor found %+v", f)
		}
	}
	there := int64(0)
	for _, name := range names {
		tab, err := l.Load(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		files, err := tab.Files(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		named := map[string]bool{}
		for _, f := range files {
			named[strings.TrimPrefix(f.Path, "file://")] = true
		}
		all, err := filepath.Glob(filepath.Join(strings.TrimPrefix(tab.Location(), "file://"), "data", "*.parquet"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			if !named[f] {
				there++
			}
		}
		begun, err := objstore.Folder{}.Unfinished(t.Context(), tab.Location()+"/")
		if err != nil {
			t.Fatal(err)
		}
		there += int64(len(begun))
	}
	if told < there {
		t.Errorf("%d files were left, doctor tells of %d", there, told)
	}
	return int(there)
}
