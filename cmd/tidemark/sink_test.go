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

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/parity"
	"github.com/pinova-group/tidemark/stream/broker"
	"github.com/pinova-group/tidemark/stream/sink"
)

// sinkWorld is a broker with the topics of streamConfig.
func sinkWorld(t *testing.T) (config string) {
	t.Helper()
	dir := t.TempDir()
	b, err := broker.Start(filepath.Join(dir, "broker"), broker.Options{Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	config = filepath.Join(dir, "tidemark.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, streamConfig, b.Addr(), b.RegistryURL()), 0o600); err != nil {
		t.Fatal(err)
	}
	cli(t, fault.ExitDone, "topics", "apply", "--config", config)
	return config
}

// count is the number of rows of a table.
func count(t *testing.T, lk, table string) int {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: lk, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tab, err := l.Load(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	snaps, err := tab.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	return int(snaps[len(snaps)-1].Rows)
}

// What a sink puts into a lake are the events of the topics, each once, and the rows of tidemark run.
func TestSink_TablesAreThoseOfRun(t *testing.T) {
	dir := t.TempDir()
	config := sinkWorld(t)
	events, lk := filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "lake")
	cli(t, fault.ExitDone, "simulate", "-o", events, "--events", "8000", "--venues", "alpha", "--disorder", "100ms", "--duplicates", "1%", "--late", "0.5%", "--gaps", "0.05%")
	stop := startStream(t, "--config", config, "--state", filepath.Join(dir, "state"), "--snapshot-every", "200ms", "--sink", lk+"-live")
	cli(t, fault.ExitDone, "play", "--config", config, "--input", events, "--progress", "none")
	whole := filepath.Join(dir, "whole") // the file's events and rows, without topics
	cli(t, fault.ExitDone, "lake", "import", "--lake", whole, "--input", events, "--progress", "none")
	tables := []string{"processed.trade", "processed.quote", "processed.book", "processed.instrument", "processed.funding"}
	for _, view := range []string{"trade_bars_1s", "book_1s", "btc_bars_1s", "basis_1s"} {
		cli(t, fault.ExitDone, "run", "--spec", view, "--input", events, "--lake", whole, "-o", "lake:", "--progress", "none")
		tables = append(tables, "feature."+view+"_v1")
	}
	rows := func(lk, table string) (out []string) {
		for _, line := range jsonLines(t, cli(t, fault.ExitDone, "lake", "scan", table, "--lake", lk, "--json"), "") {
			var row struct {
				Flags int `json:"flags"`
			}
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(table, "feature.") && row.Flags&int(features.FlagPartial) != 0 {
				continue // windows that the end of the file closes
			}
			out = append(out, line)
		}
		return out
	}
	want := map[string][]string{}
	for _, table := range tables {
		want[table] = rows(whole, table)
	}
	command := []string{"sink", "--config", config, "--lake", lk, "--until-caught-up", "--json"}
	for range 100 {
		cli(t, fault.ExitDone, command...)
		if !slices.ContainsFunc(tables, func(name string) bool { return count(t, lk, name) < len(want[name]) }) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if code, text := stop(); code != fault.ExitDone {
		t.Fatalf("exit %d: %s", code, text)
	}
	report := cli(t, fault.ExitDone, command...)
	var last sink.Status
	if err := json.Unmarshal([]byte(report), &last); err != nil || last.State != sink.Ended || len(last.Tables) != 12 {
		t.Errorf("%v: %s", err, report)
	}
	for _, table := range last.Tables {
		if table.Rows != 0 || table.Behind != 0 || !strings.HasPrefix(table.Table, "ops.") && table.ValidThrough == "" {
			t.Errorf("nothing new is there: %+v", table)
		}
	}
	for _, table := range tables {
		if diff := cmp.Diff(want[table], rows(lk, table)); diff != "" || len(want[table]) == 0 {
			t.Errorf("%s, %d rows (-run +topics)\n%.3000s", table, len(want[table]), diff)
		}
	}
	// Statuses are a sequencer's, which are the partitions' here: they are those of the topics. What is said to
	// several partitions is there once.
	said := map[string]bool{}
	for _, topic := range []string{"spot.trade", "spot.quote", "spot.orderbook", "spot.instrument", "perp.trade", "perp.quote", "perp.orderbook", "perp.instrument", "perp.funding"} {
		for _, class := range []string{"processed.", "late."} {
			for _, line := range jsonLines(t, cli(t, fault.ExitDone, "topics", "tail", class+topic+".alpha", "--config", config, "--json"), "event") {
				if strings.Contains(line, `"kind":"status"`) {
					said[line] = true
				}
			}
		}
	}
	if n := len(rows(lk, "processed.status")); n != len(said) || n == 0 {
		t.Errorf("%d statuses, the topics have %d", n, len(said))
	}
	cli(t, fault.ExitDone, "lake", "doctor", "--lake", lk, "--deep")
	// What the stream's own sink has committed, and the rest, is the same.
	cli(t, fault.ExitDone, "sink", "--config", config, "--lake", lk+"-live", "--until-caught-up")
	for _, table := range append(tables, "processed.status") {
		if diff := cmp.Diff(rows(lk, table), rows(lk+"-live", table)); diff != "" {
			t.Errorf("%s (-sink +stream --sink)\n%.3000s", table, diff)
		}
	}
	for _, table := range tables[5:] {
		for _, lk := range []string{lk, whole} {
			ledgerAddsUp(t, lk, table)
		}
	}
}

// ledgerAddsUp checks that the numbers of rows in ops.ledger are those of the table, by hour.
func ledgerAddsUp(t *testing.T, lk, table string) {
	t.Helper()
	count := map[int64]int{}
	for _, line := range jsonLines(t, cli(t, fault.ExitDone, "lake", "scan", table, "--lake", lk, "--json"), "") {
		var row struct {
			TS int64 `json:"row_ts"`
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil || row.TS == 0 {
			t.Fatal(line, err)
		}
		count[parity.HourOf(row.TS)]++
	}
	for _, line := range jsonLines(t, cli(t, fault.ExitDone, "lake", "scan", "ops.ledger", "--lake", lk, "--json"), "") {
		var row struct {
			Table string `json:"table_name"`
			Hour  int64  `json:"hour"`
			Rows  int    `json:"rows"`
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if row.Table == table {
			count[row.Hour] -= row.Rows
		}
	}
	for hour, n := range count {
		if n != 0 {
			t.Errorf("%s has %d rows in hour %d more than its ledger", table, n, hour)
		}
	}
	if len(count) == 0 {
		t.Errorf("%s has no rows", table)
	}
}

// What is left out is the config's or the default; a commit of nothing, or each moment, is a mistake.
func TestSink_Mistakes(t *testing.T) {
	for _, flag := range [][2]string{{"--commit-every", "0s"}, {"--commit-every", "-1s"}, {"--commit-rows", "0"}, {"--memory", "1000"}} {
		refused(t, "flag_invalid", "sink", "--lake", "x", flag[0], flag[1], "--json")
	}
}
