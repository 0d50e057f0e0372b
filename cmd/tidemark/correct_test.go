//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/stream/record"
)

// correctLab is a stream with late events, whose rows are in topics and tables.
type correctLab struct {
	t                    *testing.T
	dir, config, l, addr string
	views                []string
}

func newCorrectLab(t *testing.T, servers bool) *correctLab {
	t.Helper()
	x := &correctLab{t: t, dir: t.TempDir(), views: []string{"trade_bars_1m", "breadth_1m"}}
	x.config, x.l = filepath.Join(x.dir, "tidemark.yaml"), filepath.Join(x.dir, "lake")
	lakes := ""
	if servers {
		x.l = "real"
		lakes = fmt.Sprintf(demoLake, "postgres", freshDatabase(t), s3Env(t))
		lakes = strings.Replace(lakes, "  demo:", "  real:", 1)
	}
	var registry string
	x.addr, registry = testBrokers(t, servers)
	text := lakes + strings.Replace(fmt.Sprintf(streamConfig, x.addr, registry), "[trade_bars_1s, book_1s, btc_bars_1s, basis_1s]", "["+strings.Join(x.views, ", ")+"]", 1)
	if err := os.WriteFile(x.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	x.cli(fault.ExitDone, "topics", "apply")
	events := filepath.Join(x.dir, "events.jsonl")
	cli(t, fault.ExitDone, "simulate", "-o", events, "--events", "20000", "--rate", "4", "--venues", "alpha", "--disorder", "100ms", "--late", "0.5%", "--kinds", "trade,instrument")
	stop := startStream(t, "--config", x.config, "--state", filepath.Join(x.dir, "state"), "--snapshot-every", "200ms")
	x.cli(fault.ExitDone, "play", "--input", events, "--progress", "none")
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		x.cli(fault.ExitDone, "sink", "--lake", x.l, "--until-caught-up")
		var errs bytes.Buffer // until all tables are complete to the last full minute: repairs go no further than the stream
		a := &app{color: "never", in: strings.NewReader(""), out: io.Discard, err: &errs, now: time.Now}
		if a.execute(t.Context(), []string{"--config", x.config, "backfill", "--view", strings.Join(x.views, ","), "--from", "2026-01-05T00:00:00Z", "--to", "2026-01-05T01:23:00Z", "--lake", x.l, "--dry-run"}) == fault.ExitDone {
			break
		}
		if time.Now().After(end) {
			t.Fatal(errs.String())
		}
	}
	time.Sleep(300 * time.Millisecond)
	if code, text := stop(); code != fault.ExitDone {
		t.Fatalf("exit %d: %s", code, text)
	}
	x.cli(fault.ExitDone, "sink", "--lake", x.l, "--until-caught-up")
	return x
}

func (x *correctLab) cli(want int, args ...string) string {
	x.t.Helper()
	return cli(x.t, want, append([]string{"--config", x.config}, args...)...)
}

// tailed is a record of a topic.
type tailed struct {
	Row   map[string]any `json:"row"`
	Edge  string         `json:"edge"`
	Frame *record.Frame  `json:"frame"`
}

func (x *correctLab) tail(topic string) (out []tailed) {
	x.t.Helper()
	for line := range strings.Lines(x.cli(fault.ExitDone, "topics", "tail", topic, "--json")) {
		var r tailed
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			x.t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func entityOf(view string, row map[string]any) string {
	if view == "breadth_1m" {
		return fmt.Sprint([]any{row["exchange"], row["market"]})
	}
	return fmt.Sprint([]any{row["exchange"], row["market"], row["symbol"]})
}

func number(v any) int64 {
	switch v := v.(type) {
	case float64:
		return int64(v)
	case string:
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			return 0
		}
		return t.UnixMicro()
	}
	return 0
}

// consumer is the rows of a view as somebody has them who follows docs/how-to/consume-rows.md: the rows of the
// topic, then frame by frame of the corrections.
func (x *correctLab) consumer(view string) (rows map[string]string, frames []record.Frame) {
	x.t.Helper()
	rows = map[string]string{}
	keep := func(into map[string]string, row map[string]any) {
		text := fmt.Sprint(number(row["available_at"]))
		for _, c := range []string{"open", "high", "low", "close", "volume", "trades", "up", "down", "instruments", "advancers"} {
			if v, ok := row[c]; ok {
				text += fmt.Sprintf(" %s=%v", c, v)
			}
		}
		into[fmt.Sprintf("%s %d", entityOf(view, row), number(row["row_ts"]))] = text
	}
	for _, r := range x.tail("feature." + view + ".v1") {
		keep(rows, r.Row)
	}
	var open *record.Frame
	var pending []map[string]any
	for _, r := range x.tail("correction." + view + ".v1") {
		switch {
		case r.Edge == record.FrameBegin && open == nil:
			open, pending = r.Frame, nil
		case r.Edge == record.FrameEnd && open != nil && *open == *r.Frame && int64(len(pending)) == open.Rows:
			var only [][]string
			if open.Entities != "" {
				if err := json.Unmarshal([]byte(open.Entities), &only); err != nil {
					x.t.Fatal(err)
				}
			}
			for k := range rows {
				var ts int64
				entity, at, _ := strings.Cut(k, "] ")
				if _, err := fmt.Sscan(at, &ts); err != nil {
					x.t.Fatal(err)
				}
				in := open.Entities == ""
				for _, e := range only {
					in = in || fmt.Sprint(e) == entity+"]"
				}
				if in && ts >= open.From && ts < open.To {
					delete(rows, k)
				}
			}
			for _, row := range pending {
				keep(rows, row)
			}
			frames, open = append(frames, *open), nil
		case r.Row != nil && open != nil:
			pending = append(pending, r.Row)
		default:
			x.t.Fatalf("%s: a record out of its place: %+v, open %+v, %d rows", view, r, open, len(pending))
		}
	}
	if open != nil {
		x.t.Fatalf("%s: a frame without an end", view)
	}
	return rows, frames
}

// table is the rows of the table of a view.
func (x *correctLab) table(view string) map[string]string {
	x.t.Helper()
	rows := map[string]string{}
	for line := range strings.Lines(x.cli(fault.ExitDone, "lake", "scan", "feature."+view+"_v1", "--lake", x.l, "--json")) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			x.t.Fatal(err)
		}
		text := fmt.Sprint(number(row["available_at"]))
		for _, c := range []string{"open", "high", "low", "close", "volume", "trades", "up", "down", "instruments", "advancers"} {
			if v, ok := row[c]; ok {
				text += fmt.Sprintf(" %s=%v", c, v)
			}
		}
		rows[fmt.Sprintf("%s %d", entityOf(view, row), number(row["row_ts"]))] = text
	}
	return rows
}

// check holds what consumers have to the tables, and returns the frames.
func (x *correctLab) check() (frames []record.Frame) {
	x.t.Helper()
	for _, view := range x.views {
		got, fs := x.consumer(view)
		if diff := cmp.Diff(x.table(view), got); diff != "" || len(got) == 0 {
			x.t.Fatalf("%s: (-table +consumer)\n%.2000s", view, diff)
		}
		frames = append(frames, fs...)
	}
	return frames
}

// Who reads the rows of the stream and then the corrections has the rows of the tables, after repairs and after they
// were undone; what is told is told once.
func TestCorrections_ConsumersHaveTheTable(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { consumersHaveTheTable(t, newCorrectLab(t, false)) })
	t.Run("servers", func(t *testing.T) {
		if testing.Short() {
			t.Skip("runs for half a minute")
		}
		x := newCorrectLab(t, true)
		consumersHaveTheTable(t, x)
		x.scheduled()
	})
}

func consumersHaveTheTable(t *testing.T, x *correctLab) {
	t.Helper()
	if frames := x.check(); len(frames) != 0 {
		t.Fatalf("%+v", frames)
	}
	x.cli(fault.ExitDone, "backfill", "--dirty", "--lake", x.l, "--progress", "none")
	frames := x.check()
	var all []published
	if err := json.Unmarshal([]byte(x.cli(fault.ExitDone, "lake", "publications", "--lake", x.l, "--json")), &all); err != nil {
		t.Fatal(err)
	}
	if len(frames) != len(all) || len(all) < 2 {
		t.Errorf("%d frames of %d publications", len(frames), len(all))
	}
	x.cli(fault.ExitDone, "backfill", "--dirty", "--lake", x.l, "--progress", "none")
	if again := x.check(); len(again) != len(frames) {
		t.Errorf("%d frames, %d before", len(again), len(frames))
	}
	last := all[len(all)-1].ID
	undone := 0
	for _, p := range all {
		if p.ID == last {
			undone++
		}
	}
	x.cli(fault.ExitDone, "lake", "undo", last, "--lake", x.l, "--yes")
	after := x.check()
	if len(after) != len(frames)+undone {
		t.Errorf("%d frames after an undo of %d tables, %d before", len(after), undone, len(frames))
	}
	// As served, over rows as served, is no news but that they were replaced.
	x.cli(fault.ExitDone, "backfill", "--view", "trade_bars_1m", "--from", "2026-01-05T00:10:00Z", "--to", "2026-01-05T00:20:00Z", "--lake", x.l, "--progress", "none")
	if more := x.check(); len(more) != len(after)+1 {
		t.Errorf("%d frames, %d before", len(more), len(after))
	}
}

// scheduled looks after the lake as a schedule does: what was undone is repaired, told and verified, tables and topics.
func (x *correctLab) scheduled() {
	t := x.t
	t.Helper()
	entries := fmt.Sprintf(`
schedule:
  - {name: repair, cron: "5 * * * *", run: backfill --dirty --lake %[1]s}
  - {name: parity, cron: "10 * * * *", run: verify trade_bars_1m breadth_1m --lake %[1]s}
  - {name: topics, cron: "15 * * * *", run: verify trade_bars_1m breadth_1m --lake %[1]s --broker}
`, x.l)
	if err := os.WriteFile(x.config, []byte(mustRead(t, x.config)+entries), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2099, 2, 1, 10, 0, 0, 0, time.UTC)
	once := func(words ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		a := &app{color: "never", in: strings.NewReader(""), out: &out, err: &errs, now: func() time.Time { return at }}
		if code := a.execute(t.Context(), []string{"--config", x.config, "schedule", "--once"}); code != fault.ExitDone {
			t.Fatalf("exit %d: %s%s", code, out.String(), errs.String())
		}
		for _, w := range words {
			if !strings.Contains(out.String(), w) {
				t.Errorf("no %q in %s", w, out.String())
			}
		}
	}
	told := len(x.check())
	once("nothing is due")
	at = at.Add(time.Hour)
	once("repair: done", "parity: done", "topics: done")
	if now := len(x.check()); now <= told {
		t.Errorf("%d frames after a repair, %d before", now, told)
	}
	if out := x.cli(fault.ExitDone, "dirty", "--lake", x.l); !strings.Contains(out, "nothing is stale") {
		t.Error(out)
	}
	once("nothing is due")
}

// mark notes that consumers were not told of a publication, as the commit that made it does.
func (x *correctLab) mark(l *lake.Lake, table, id string) {
	x.t.Helper()
	tab, err := l.Load(x.t.Context(), table)
	if err != nil {
		x.t.Fatal(err)
	}
	if _, err := tab.Append(x.t.Context(), lake.NewCommitID(), lake.Change{Properties: map[string]string{"tidemark.correction-untold." + id: "1"}}); err != nil {
		x.t.Fatal(err)
	}
}

// However a telling ends, the frame of a publication is there once: it is not sent again when only the note was missing, nor
// by several at once; it comes later when the topic was not there, and says so when its rows are gone.
func TestCorrections_OnceWhateverWentWrong(t *testing.T) {
	x := newCorrectLab(t, false)
	bare := filepath.Join(x.dir, "bare.yaml") // a config without a stream: nobody is told
	if err := os.WriteFile(bare, []byte("lakes: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const view, table = "trade_bars_1m", "feature.trade_bars_1m_v1"
	publish := func(config, as string) string {
		t.Helper()
		cli(t, fault.ExitDone, "--config", config, "backfill", "--view", view, "--from", "2026-01-05T00:00:00Z", "--to", "2026-01-05T01:00:00Z", "--as", as, "--lake", x.l, "--progress", "none")
		var all []published
		if err := json.Unmarshal([]byte(x.cli(fault.ExitDone, "lake", "publications", "--lake", x.l, "--json")), &all); err != nil {
			t.Fatal(err)
		}
		return all[len(all)-1].ID
	}
	l := openDir(t, x.l, time.Now)
	defer func() { _ = l.Close() }()
	ids := func() (out []string) {
		_, frames := x.consumer(view)
		for _, f := range frames {
			id := f.Publication
			if f.Reread {
				id += " reread"
			}
			out = append(out, id)
		}
		return out
	}
	want := []string{publish(x.config, "corrected")}
	same := func(what string) {
		t.Helper()
		if diff := cmp.Diff(want, ids()); diff != "" {
			t.Fatalf("%s: %s", what, diff)
		}
	}
	same("told")
	x.mark(l, table, want[0]) // killed between the transaction and the note
	x.cli(fault.ExitDone, "backfill", "--dirty", "--view", "breadth_1m", "--lake", x.l, "--progress", "none")
	same("noted late")

	second := publish(bare, "served")
	same("nobody to tell")
	x.mark(l, table, second)
	var wg sync.WaitGroup
	for range 4 { // some may be fenced by others
		wg.Go(func() {
			var out, errs bytes.Buffer
			a := &app{color: "never", in: strings.NewReader(""), out: &out, err: &errs, now: time.Now}
			if code := a.execute(t.Context(), []string{"--config", x.config, "backfill", "--dirty", "--view", "breadth_1m", "--lake", x.l, "--progress", "none"}); code != fault.ExitDone && code != fault.ExitFailed {
				t.Errorf("exit %d: %s", code, errs.String())
			}
		})
	}
	wg.Wait()
	x.cli(fault.ExitDone, "backfill", "--dirty", "--view", "breadth_1m", "--lake", x.l, "--progress", "none")
	want = append(want, second)
	same("several at once")

	cl, err := kgo.NewClient(kgo.SeedBrokers(x.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).DeleteTopic(t.Context(), "correction."+view+".v1"); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	a := &app{color: "never", in: strings.NewReader(""), out: &out, err: &errs, now: time.Now}
	if code := a.execute(t.Context(), []string{"--config", x.config, "backfill", "--view", view, "--from", "2026-01-05T00:00:00Z", "--to", "2026-01-05T01:00:00Z", "--as", "corrected", "--lake", x.l, "--progress", "none"}); code != fault.ExitFailed ||
		!strings.Contains(errs.String(), "tidemark topics apply") {
		t.Fatalf("without a topic: exit %d: %s", code, errs.String())
	}
	x.cli(fault.ExitDone, "topics", "apply")
	x.cli(fault.ExitDone, "backfill", "--dirty", "--view", "breadth_1m", "--lake", x.l, "--progress", "none")
	if want = ids(); len(want) != 1 {
		t.Fatalf("the topic came late: %v", want)
	}

	last := publish(bare, "served")
	tab, err := l.Load(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 205 { // until the snapshot is not kept any more
		if _, err := tab.Append(t.Context(), lake.NewCommitID(), lake.Change{Properties: map[string]string{"tidemark.test": fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	x.mark(l, table, last)
	x.cli(fault.ExitDone, "backfill", "--dirty", "--view", "breadth_1m", "--lake", x.l, "--progress", "none")
	want = append(want, last+" reread")
	same("the rows are gone")
}

// Killed at any moment, by SIGKILL, a backfill that is run again has told consumers of every publication once.
func TestCorrections_SurviveKills(t *testing.T) {
	rounds := 3
	if n, err := strconv.Atoi(os.Getenv("TIDEMARK_TEST_KILLS")); err == nil {
		rounds = n
	}
	x := newCorrectLab(t, false)
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	kills := 0
	backfill := func(ctx context.Context, as string) *exec.Cmd {
		return tidemark(ctx, x.dir, "--config", x.config, "backfill", "--view", "trade_bars_1m", "--from", "2026-01-05T00:00:00Z", "--to", "2026-01-05T01:00:00Z", "--as", as, "--lake", x.l, "--progress", "none")
	}
	began := time.Now()
	if out, err := backfill(t.Context(), "served").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	took := time.Since(began)
	for round := range rounds {
		as := []string{"corrected", "served"}[round%2]
		for try := 0; ; try++ {
			ctx, cancel := context.WithTimeout(t.Context(), took/10+time.Duration(rng.Int64N(int64(took))))
			if try >= 6 {
				ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
			}
			cmd := backfill(ctx, as)
			out, err := cmd.CombinedOutput()
			cancel()
			if err == nil || cmd.ProcessState != nil && cmd.ProcessState.Success() { // it had ended when it was to be killed
				break
			}
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != -1 {
				t.Fatalf("%v\n%s", err, out)
			}
			kills++
		}
	}
	seen := map[string]int{}
	for _, f := range x.check() {
		if seen[f.Publication]++; seen[f.Publication] > 1 || f.Reread {
			t.Errorf("%+v, %d times", f, seen[f.Publication])
		}
	}
	var all []published
	if err := json.Unmarshal([]byte(x.cli(fault.ExitDone, "lake", "publications", "--lake", x.l, "--json")), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != len(seen) || len(all) < rounds {
		t.Errorf("%d publications, %d frames", len(all), len(seen))
	}
	t.Logf("%d kills, %d publications", kills, len(all))
}
