package main

import (
	"bytes"
	"context"
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
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/stream/broker"
	"github.com/pinova-group/tidemark/stream/follow"
)

// Half of a market goes through the topics into the lake, the other half only into the topics:
// what read gives, following or not, is what the topics have, each row once.
func TestRead_HistoryAndLiveWithoutAGap(t *testing.T) {
	dir := t.TempDir()
	b, err := broker.Start(filepath.Join(dir, "broker"), broker.Options{Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	config, lake := filepath.Join(dir, "tidemark.yaml"), filepath.Join(dir, "lake")
	if err := os.WriteFile(config, fmt.Appendf(nil, streamConfig, b.Addr(), b.RegistryURL()), 0o600); err != nil {
		t.Fatal(err)
	}
	events := filepath.Join(dir, "events.jsonl")
	cli(t, fault.ExitDone, "simulate", "-o", events, "--rate", "1000", "--duration", "20s", "--start", "2026-01-01T00:00:00Z", "--venues", "alpha", "--disorder", "100ms")
	cli(t, fault.ExitDone, "topics", "apply", "--config", config)
	stop := startStream(t, "--config", config, "--state", filepath.Join(dir, "state"), "--status", "127.0.0.1:19468")
	defer stop()
	ready(t, "http://127.0.0.1:19468/readyz")
	const view, half = "trade_bars_1s", "2026-01-01T00:00:10Z"
	play := []string{"play", "--config", config, "--input", events, "--progress", "none"}
	topicRows := func(least int) []string {
		t.Helper()
		var rows []string
		for range 200 {
			if rows = jsonLines(t, cli(t, fault.ExitDone, "topics", "tail", "feature."+view+".v1", "--config", config, "--json"), "row"); len(rows) >= least {
				return rows
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Fatalf("%d rows in the topic, want %d", len(rows), least)
		return nil
	}

	read := []string{"read", view, "--config", config, "--lake", lake, "--json"}
	cli(t, fault.ExitNoTable, read...)
	cli(t, fault.ExitDone, append(play, "--to", half, "--close=false")...)
	early := topicRows(50)
	cli(t, fault.ExitDone, "sink", "--config", config, "--lake", lake, "--until-caught-up")

	var out, errs safeBuffer
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	ended := make(chan int, 1)
	go func() {
		a := &app{color: "never", in: strings.NewReader(""), out: &out, err: &errs, now: time.Now}
		ended <- a.execute(ctx, append(slices.Clone(read), "--follow"))
	}()
	cli(t, fault.ExitDone, append(play, "--from", half)...)
	rows := filepath.Join(dir, "rows.jsonl")
	cli(t, fault.ExitDone, "run", "--spec", view, "--input", events, "-o", rows, "--progress", "none")
	want := slices.DeleteFunc(jsonLines(t, mustRead(t, rows), ""), func(s string) bool { return strings.Contains(s, "partial") })
	if got := topicRows(len(want)); !slices.Equal(got, want) || len(early) >= len(want) {
		t.Fatalf("%d rows early, then %d; want %d", len(early), len(got), len(want))
	}
	for range 100 {
		if strings.Count(out.String(), "\n") >= len(want) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	cancel(errInterrupted)
	if code := <-ended; code != fault.ExitDone {
		t.Errorf("exit %d: %s", code, errs.String())
	}
	followed := out.String()
	if diff := cmp.Diff(want, jsonLines(t, followed, "")); diff != "" {
		t.Errorf("--follow (-run +read)\n%.2000s", diff)
	}
	cut := lastCut(t, errs.String())
	if cut.Rows < int64(len(early)) || cut.Rows+cut.Followed != int64(len(want)) || cut.Followed == 0 || cut.Continued == 0 || cut.First == nil || cut.Last == nil {
		t.Errorf("%d rows early of %d: %+v", len(early), len(want), cut)
	}
	inOrder(t, followed)

	if diff := cmp.Diff(want, jsonLines(t, cli(t, fault.ExitDone, read...), "")); diff != "" {
		t.Errorf("without --follow (-run +read)\n%.2000s", diff)
	}
	some := slices.Clone(want)
	some = slices.DeleteFunc(some, func(s string) bool {
		var r struct {
			Symbol string `json:"symbol"`
			RowTS  int64  `json:"row_ts"`
		}
		if err := json.Unmarshal([]byte(s), &r); err != nil {
			t.Fatal(err)
		}
		return r.Symbol != "BTC-USDT" || r.RowTS < 1767225605000000 || r.RowTS >= 1767225615000000
	})
	got := jsonLines(t, cli(t, fault.ExitDone, append(read, "--symbols", "BTC-USDT", "--from", "2026-01-01T00:00:05Z", "--to", "2026-01-01T00:00:15Z")...), "")
	if diff := cmp.Diff(some, got); diff != "" || len(some) < 10 {
		t.Errorf("a part: %d rows (-run +read)\n%.2000s", len(some), diff)
	}
	if n := strings.Count(cli(t, fault.ExitDone, append(read, "--limit", "7")...), "\n"); n != 7 {
		t.Errorf("--limit 7: %d rows", n)
	}

	// Rows ahead of the sink in the table, and a table that no sink has written.
	cli(t, fault.ExitDone, "run", "--spec", view, "--input", events, "-o", "lake:", "--lake", lake, "--progress", "none")
	refused(t, "cut_overlaps", read...)
	other := filepath.Join(dir, "other")
	cli(t, fault.ExitDone, "lake", "init", "--lake", other)
	cli(t, fault.ExitDone, "run", "--spec", view, "--input", events, "-o", "lake:", "--lake", other, "--progress", "none")
	refused(t, "cut_unknown", "read", view, "--config", config, "--lake", other, "--json")
	b2, err := broker.Start(filepath.Join(dir, "broker2"), broker.Options{Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b2.Close() })
	elsewhere := []string{"--brokers", b2.Addr(), "--registry", b2.RegistryURL()}
	refused(t, "topic_unreadable", append(read, elsewhere...)...)
	cli(t, fault.ExitDone, append([]string{"topics", "apply", "--config", config}, elsewhere...)...)
	refused(t, "topic_replaced", append(read, elsewhere...)...)
	expire(t, b.Addr(), "feature."+view+".v1")
	refused(t, "rows_expired", read...)
	refused(t, "flags_conflict", append(read, "--follow", "--to", half)...)
	refused(t, "view_unknown", "read", "no_such_view", "--config", config, "--lake", lake, "--json")
}

// expire deletes the records of a topic.
func expire(t *testing.T, addr, topic string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ends, err := adm.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := adm.DeleteRecords(t.Context(), ends.Offsets()); err != nil {
		t.Fatal(err)
	}
}

// refused runs a command that fails with a code.
func refused(t *testing.T, code string, args ...string) {
	t.Helper()
	var errs bytes.Buffer
	a := &app{color: "never", in: strings.NewReader(""), out: io.Discard, err: &errs, now: time.Now}
	if exit := a.execute(t.Context(), args); exit == fault.ExitDone || !strings.Contains(errs.String(), `"`+code+`"`) {
		t.Errorf("tidemark %s: exit %d: %s", strings.Join(args, " "), exit, errs.String())
	}
}

func lastCut(t *testing.T, text string) (c follow.Cut) {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, `{"cut"`) {
			v := struct{ Cut *follow.Cut }{&c}
			c = follow.Cut{}
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c
}

// inOrder checks that the rows of an entity come in the order of their time.
func inOrder(t *testing.T, text string) {
	t.Helper()
	last := map[string]int64{}
	for line := range strings.Lines(text) {
		var r struct {
			Exchange, Market, Symbol string
			RowTS                    int64 `json:"row_ts"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		key := r.Exchange + r.Market + r.Symbol
		if r.RowTS <= last[key] {
			t.Fatalf("%s: %d after %d", key, r.RowTS, last[key])
		}
		last[key] = r.RowTS
	}
}
