package lake_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake"
)

// full runs the fault tests in their whole size: TIDEMARK_FULL=1 go test ./lake.
var full = os.Getenv("TIDEMARK_FULL") != ""

// numbers reads the numbers of all rows of a table's head, straight from the files.
func numbers(t testing.TB, tab *lake.Table) map[int64]int {
	t.Helper()
	seen := map[int64]int{}
	files, err := reload(t, tab).Files(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		// Every file of these tests holds one range of numbers, so that its bounds say which.
		lo, hi := f.Bounds["n"][0].(int64), f.Bounds["n"][1].(int64)
		if hi-lo+1 != f.Rows {
			t.Fatalf("file %s: %d rows, numbers %d to %d", f.Path, f.Rows, lo, hi)
		}
		for n := lo; n <= hi; n++ {
			seen[n]++
		}
	}
	return seen
}

func onceEach(t testing.TB, tab *lake.Table, want map[int64]bool) {
	t.Helper()
	seen := numbers(t, tab)
	for n, k := range seen {
		if k != 1 {
			t.Errorf("row %d is there %d times", n, k)
		}
		if !want[n] {
			t.Errorf("row %d is there and was not committed", n)
		}
	}
	for n := range want {
		if seen[n] == 0 {
			t.Errorf("row %d is lost", n)
		}
	}
}

// appendUntilDone appends rows [from, to) as a careful caller does: what was not made is
// made again, with the same files and the same id; what is unknown is looked for.
func appendUntilDone(ctx context.Context, tab *lake.Table, from, to int64) error {
	id := lake.NewCommitID()
	var f lake.File
	var err error
	for n := range 50 {
		if f, err = write(ctx, tab, id, n, "binance", from, to); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	for range 50 {
		_, err = tab.Append(ctx, id, lake.Change{Add: []lake.File{f}})
		if err == nil {
			return nil
		}
		for errors.As(err, new(*lake.UnknownError)) {
			now, lerr := tab.Reload(ctx)
			if lerr != nil {
				continue
			}
			if snap, whole := now.Find("", id); snap != 0 {
				return nil
			} else if !whole {
				return err
			}
			break
		}
	}
	return err
}

// TestCommit_EveryCallFailsOnce lets each call of the store fail in turn, before and
// after its effect, cut short, and slow, while a commit is made. Whatever fails, the rows are
// there once when the commit says so, and not at all when it says that.
func TestCommit_EveryCallFailsOnce(t *testing.T) {
	t.Parallel()
	for _, kind := range []objstore.Fault{objstore.Before, objstore.After, objstore.Truncate} {
		store := &objstore.Faulty{Store: &objstore.Memory{}}
		var at atomic.Int64
		var sick atomic.Bool
		store.Plan = func(n int64, _ objstore.Op, _ string) objstore.Fault {
			if sick.Load() && n == at.Load() {
				return kind
			}
			return objstore.None
		}
		dir := t.TempDir()
		l := open(t, dir, store)
		tab := newTable(t, l)
		want := map[int64]bool{}
		k, next := int64(1), int64(0)
		for ; ; k++ {
			// A second handle, so that nothing is known from before.
			fresh, err := open(t, dir, store).Load(t.Context(), "processed.trade")
			if err != nil {
				t.Fatal(err)
			}
			at.Store(store.Calls() + k)
			sick.Store(true)
			id := lake.NewCommitID()
			f, err := write(t.Context(), fresh, id, 0, "binance", next, next+3)
			if err == nil {
				_, err = fresh.Append(t.Context(), id, lake.Change{Add: []lake.File{f}})
			}
			hit := store.Calls() >= at.Load()
			sick.Store(false)
			if errors.As(err, new(*lake.UnknownError)) {
				t.Errorf("fault %d at call %d: unknown although the catalog answers: %v", kind, k, err)
			}
			if err == nil {
				for n := next; n < next+3; n++ {
					want[n] = true
				}
			}
			next += 3
			if !hit {
				break
			}
		}
		if k < 10 {
			t.Errorf("a commit took only %d calls", k)
		}
		onceEach(t, tab, want)
		t.Logf("fault %d: %d calls, %d of %d rows", kind, k, len(want), next)
	}
}

// TestCommit_WritersRaceUnderFaults is four writers on one table, each with its own
// catalog connection, while one of fifty calls of the store fails.
func TestCommit_WritersRaceUnderFaults(t *testing.T) {
	t.Parallel()
	writers, appends := int64(4), int64(8)
	if full {
		appends = 200
	}
	store := &objstore.Faulty{Store: &objstore.Memory{}, Wait: 2 * time.Millisecond}
	dir := t.TempDir()
	tab := newTable(t, open(t, dir, store))
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(1, 2))
	var faults atomic.Int64
	store.Plan = func(int64, objstore.Op, string) objstore.Fault {
		mu.Lock()
		defer mu.Unlock()
		if x := rng.IntN(200); x < 4 {
			faults.Add(1)
			return objstore.Fault(1 + x) // before, after, truncate, delay
		}
		return objstore.None
	}
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		wg.Go(func() {
			l, err := lake.Open(t.Context(), lake.Config{Dir: dir, Store: store, Now: time.Now, Build: "test"})
			if err != nil {
				errs[w] = err
				return
			}
			defer func() { _ = l.Close() }()
			var mine *lake.Table
			for mine == nil {
				mine, err = l.Load(t.Context(), "processed.trade")
				if err != nil && !errors.Is(err, objstore.ErrInjected) && !strings.Contains(err.Error(), "unexpected EOF") {
					errs[w] = err
					return
				}
			}
			for i := range appends {
				from := (w*appends + i) * 5
				if err := appendUntilDone(t.Context(), mine, from, from+5); err != nil {
					errs[w] = fmt.Errorf("writer %d append %d: %w", w, i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	store.Plan = nil
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	want := map[int64]bool{}
	for n := range writers * appends * 5 {
		want[n] = true
	}
	onceEach(t, tab, want)
	t.Logf("%d rows of %d writers, %d faults in %d calls", len(want), writers, faults.Load(), store.Calls())
}

// TestCommit_Killed lets child processes append until they are killed at a random moment.
// A child says what it begins and what is done; the rows of what is done are there once,
// of what was begun once or not at all.
func TestCommit_Killed(t *testing.T) {
	if dir := os.Getenv("TIDEMARK_LAKE_CHILD"); dir != "" {
		child(t, dir)
		return
	}
	rounds := 6
	if full {
		rounds = 200
	}
	dir := t.TempDir()
	tab := newTable(t, open(t, dir, nil))
	want, maybe := map[int64]bool{}, map[int64]bool{}
	killed := 0
	var mu sync.Mutex
	round := func(from int) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCommit_Killed$", "-test.v")
		cmd.Env = append(os.Environ(), "TIDEMARK_LAKE_CHILD="+dir, "TIDEMARK_LAKE_FROM="+strconv.Itoa(from))
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Error(err)
			return
		}
		lines := bufio.NewScanner(out)
		var timer *time.Timer
		for lines.Scan() {
			word, arg, _ := strings.Cut(lines.Text(), " ")
			n, err := strconv.ParseInt(arg, 10, 64)
			mu.Lock()
			switch {
			case word == "begin" && err == nil:
				if timer == nil {
					timer = time.AfterFunc(time.Duration(rand.Int64N(int64(400*time.Millisecond))), func() { _ = cmd.Process.Kill() })
				}
				for k := n; k < n+5; k++ {
					maybe[k] = true
				}
			case word == "done" && err == nil:
				for k := n; k < n+5; k++ {
					want[k] = true
				}
			case word == "failed":
				t.Error(lines.Text())
			}
			mu.Unlock()
		}
		if err := cmd.Wait(); err != nil {
			mu.Lock()
			killed++
			mu.Unlock()
		}
		if timer != nil {
			timer.Stop()
		}
	}
	for r := range rounds / 2 { // two processes at a time
		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() { round((2*r + i) * 1_000_000) })
		}
		wg.Wait()
	}
	seen := numbers(t, tab)
	for n, k := range seen {
		if k != 1 || !maybe[n] {
			t.Errorf("row %d is there %d times", n, k)
		}
		want[n] = true
	}
	onceEach(t, tab, want)
	if killed == 0 {
		t.Error("no child was killed")
	}
	temps, _ := filepath.Glob(filepath.Join(dir, "table/processed/trade/*/.*"))
	t.Logf("%d children killed, %d rows begun, %d there, %d temporary files left behind", killed, len(maybe), len(seen), len(temps))
}

func child(t *testing.T, dir string) {
	from, _ := strconv.ParseInt(os.Getenv("TIDEMARK_LAKE_FROM"), 10, 64)
	tab, err := open(t, dir, nil).Load(t.Context(), "processed.trade")
	if err != nil {
		fmt.Println("failed", err)
		return
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); from += 5 {
		fmt.Println("begin", from)
		id := lake.NewCommitID()
		f, err := write(t.Context(), tab, id, 0, "binance", from, from+5)
		if err == nil {
			_, err = tab.Append(t.Context(), id, lake.Change{Add: []lake.File{f}})
		}
		if err != nil {
			fmt.Println("failed", err)
			return
		}
		fmt.Println("done", from)
	}
}
