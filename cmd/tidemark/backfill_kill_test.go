//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/lake"
	"github.com/pinova-group/tidemark/lake/file"
)

// backfillLab is a lake, the rows that a backfill of it must give, and a live writer that appends
// rows of later times to one of the tables meanwhile.
type backfillLab struct {
	dir    string
	want   map[string][]string
	cols   []file.Column
	sample *file.Batch // rows to append, with other times
	mu     sync.Mutex
	live   int64 // rows appended so far
}

const (
	killFrom = "2026-01-05T00:02:00Z"
	killTo   = "2026-01-05T00:18:00Z"
	liveTab  = "feature.trade_bars_1m_v1"
)

func (b *backfillLab) command(ctx context.Context, more ...string) *exec.Cmd {
	args := []string{"backfill", "--view", "trade_bars_1m,book_1s", "--from", killFrom, "--to", killTo, "--step", "2m", "--as", "corrected", "--lake", "lk", "--progress", "none"}
	return tidemark(ctx, b.dir, append(args, more...)...)
}

func (b *backfillLab) open(t *testing.T) *lake.Lake {
	return openDir(t, filepath.Join(b.dir, "lk"), time.Now)
}

// rows are the rows of each table, as text, by time; those of the live writer apart.
func (b *backfillLab) rows(t *testing.T, l *lake.Lake) (rows map[string][]string, live []int64) {
	t.Helper()
	to, err := time.Parse(time.RFC3339, killTo)
	if err != nil {
		t.Fatal(err)
	}
	rows = map[string][]string{}
	for _, name := range []string{liveTab, "feature.book_1s_v1"} {
		tab, err := l.Load(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		sc, err := tab.Scan(t.Context(), lake.Query{})
		if err != nil {
			t.Fatal(err)
		}
		cols := sc.Columns()
		ts := slices.IndexFunc(cols, func(c file.Column) bool { return c.Name == "row_ts" })
		for {
			batch, err := sc.Next()
			if err != nil {
				t.Fatal(err)
			}
			if batch == nil {
				break
			}
			for i := range batch.N {
				if at := batch.Cols[ts].I64[i]; at >= to.UnixMicro() {
					live = append(live, at)
					continue
				}
				var sb strings.Builder
				for c := range cols {
					v := &batch.Cols[c]
					switch {
					case v.IsNull(i):
						sb.WriteString("|null")
					case cols[c].Type == file.Double:
						fmt.Fprintf(&sb, "|%x", v.F64[i])
					case cols[c].Type == file.String:
						fmt.Fprintf(&sb, "|%s", v.Text(i))
					case cols[c].Type == file.Int || cols[c].Type == file.Boolean:
						fmt.Fprintf(&sb, "|%d", v.I32[i])
					case cols[c].Type == file.Decimal:
						fmt.Fprintf(&sb, "|%d:%d", v.Hi[i], v.Lo[i])
					default:
						fmt.Fprintf(&sb, "|%d", v.I64[i])
					}
				}
				rows[name] = append(rows[name], sb.String())
			}
		}
		sc.Close()
		slices.Sort(rows[name])
	}
	slices.Sort(live)
	return rows, live
}

// wrong says what is not as it must be after a backfill has ended.
func (b *backfillLab) wrong(t *testing.T, l *lake.Lake) string {
	t.Helper()
	rows, live := b.rows(t, l)
	for name, want := range b.want {
		if !slices.Equal(rows[name], want) {
			return fmt.Sprintf("%s has other rows: %d, not %d", name, len(rows[name]), len(want))
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if int64(len(live)) != b.live || int64(len(slices.Compact(live))) != b.live {
		return fmt.Sprintf("the live writer appended %d rows, %d are there", b.live, len(live))
	}
	for name := range b.want {
		tab, err := l.Load(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if refs := tab.Refs(); len(refs) != 1 {
			return fmt.Sprintf("%s: branches are left: %v", name, refs)
		}
		for key := range tab.Properties() {
			if strings.HasPrefix(key, "tidemark.backfill") || strings.HasPrefix(key, "tidemark.publication-open") {
				return fmt.Sprintf("%s: property %s is left", name, key)
			}
		}
	}
	return ""
}

// appendLive is a live sink: it appends rows of its own until it is told to end.
func (b *backfillLab) appendLive(ctx context.Context, l *lake.Lake) error {
	for ctx.Err() == nil {
		time.Sleep(time.Duration(100+rand.IntN(200)) * time.Millisecond) // a sink commits once a minute; a publication takes longer than some ms
		if err := b.appendRows(context.WithoutCancel(ctx), l, time.Date(2026, 1, 6, 0, 0, 0, 0, time.UTC).UnixMicro()); err != nil && !errors.Is(err, lake.ErrNoTable) {
			return err
		}
	}
	return nil
}

func (b *backfillLab) appendRows(ctx context.Context, l *lake.Lake, from int64) error {
	tab, err := l.Load(ctx, liveTab)
	if err != nil {
		return err
	}
	id := lake.NewCommitID()
	out, err := tab.NewRows(id, nil, nil, 1<<20)
	if err != nil {
		return err
	}
	batch := *b.sample
	batch.Cols = slices.Clone(batch.Cols)
	ts := slices.IndexFunc(b.cols, func(c file.Column) bool { return c.Name == "row_ts" })
	b.mu.Lock()
	n := b.live
	b.mu.Unlock()
	times := make([]int64, batch.N)
	for i := range times {
		times[i] = from + n + int64(i)
	}
	batch.Cols[ts] = file.Col{I64: times}
	if err := out.Append(ctx, &batch, nil); err != nil {
		return err
	}
	files, err := out.Finish(ctx)
	if err != nil {
		return err
	}
	if _, err = tab.Append(ctx, id, lake.Change{Add: files}); err != nil {
		return err
	}
	b.mu.Lock()
	b.live += int64(batch.N)
	b.mu.Unlock()
	return nil
}

// A backfill that is killed at any moment beside a live writer, and run again until it ends,
// leaves its rows once, all rows of the writer, and nothing else; what was finished is not done
// again.
func TestBackfill_SurvivesKills(t *testing.T) {
	rounds := 3
	if n, err := strconv.Atoi(os.Getenv("TIDEMARK_TEST_KILLS")); err == nil {
		rounds = n
	}
	b := &backfillLab{dir: t.TempDir()}
	for _, args := range [][]string{
		{"simulate", "--out", "tape.jsonl.zst", "--events", "18000", "--rate", "15", "--seed", "3", "--late", "2%", "--disorder", "100ms"},
		{"lake", "import", "--lake", "lk", "--input", "tape.jsonl.zst", "--progress", "none"},
	} {
		if out, err := tidemark(t.Context(), b.dir, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	began := time.Now()
	if out, err := b.command(t.Context()).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	took := time.Since(began)
	l := b.open(t)
	b.want, _ = b.rows(t, l)
	b.take(t, l)
	if len(b.want[liveTab]) < 100 || len(b.want["feature.book_1s_v1"]) < 1000 {
		t.Fatalf("%d and %d rows", len(b.want[liveTab]), len(b.want["feature.book_1s_v1"]))
	}
	killed, staged := 0, 0
	for round := range rounds {
		for name := range b.want {
			if err := l.Drop(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		b.live = 0
		ctx, stop := context.WithCancel(t.Context())
		writer := make(chan error, 1)
		go func() { writer <- b.appendLive(ctx, l) }()
		for try := range 1 + round%3 {
			cmd := b.command(t.Context())
			began := time.Now()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			sig := syscall.SIGKILL
			if rand.IntN(4) == 0 {
				sig = syscall.SIGINT
			}
			timer := time.AfterFunc(took/8+time.Duration(rand.Int64N(int64(took))), func() { _ = cmd.Process.Signal(sig) })
			if cmd.Wait() != nil {
				killed++
			} else if try == 0 {
				took = time.Since(began) // were the first run a slow one, signals would come too late
			}
			timer.Stop()
		}
		finished := b.finished(t)
		if finished > 0 {
			staged++
		}
		cmd := b.command(t.Context(), "--json")
		var says bytes.Buffer
		cmd.Stderr = &says
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("round %d: run again: %v\n%s", round, err, says.Bytes())
		}
		var rep backfilled
		if err := json.Unmarshal(out, &rep); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		r := rep.Backfill
		if !r.Resumed && r.Plan.Nothing == "" && (r.Reused != finished || r.Computed != len(r.Plan.Tasks)-finished) {
			t.Errorf("%d of %d tasks were finished: %d taken, %d computed", finished, len(r.Plan.Tasks), r.Reused, r.Computed)
		}
		stop()
		if err := <-writer; err != nil {
			t.Fatal(err)
		}
		if what := b.wrong(t, l); what != "" {
			t.Fatalf("round %d: %s", round, what)
		}
	}
	t.Logf("%d runs were stopped, %d times some tasks had been finished", killed, staged)
	if killed == 0 || rounds > 20 && staged == 0 {
		t.Error("nothing was stopped in the middle")
	}
	// The check itself finds a row that is there twice.
	from, err := time.Parse(time.RFC3339, killFrom)
	if err != nil {
		t.Fatal(err)
	}
	b.live = 0
	if err := b.appendRows(t.Context(), l, from.UnixMicro()); err != nil {
		t.Fatal(err)
	}
	if b.wrong(t, l) == "" {
		t.Error("rows that do not belong there are not found")
	}
}

// take copies some rows for the live writer.
func (b *backfillLab) take(t *testing.T, l *lake.Lake) {
	t.Helper()
	tab, err := l.Load(t.Context(), liveTab)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := tab.Scan(t.Context(), lake.Query{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sc.Close) // the batch is the scan's
	if b.sample, err = sc.Next(); err != nil {
		t.Fatal(err)
	}
	b.cols = sc.Columns()
	b.sample.N = min(b.sample.N, 50)
}

// finished asks the program how many tasks are.
func (b *backfillLab) finished(t *testing.T) int {
	t.Helper()
	out, err := b.command(t.Context(), "--dry-run", "--json").Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var plan struct {
		Finished int `json:"finished"`
	}
	if err := json.Unmarshal(out, &plan); err != nil {
		t.Fatal(err)
	}
	return plan.Finished
}
