package backfill

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake"
	lakefile "github.com/pinova-group/tidemark/lake/file"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

// some are views of several kinds: windows, rolling, books, a clock, a scan, a group.
var some = []string{"trade_bars_1m", "rolling_trades", "book_1s", "alts_per_btc", "indicators_1m", "breadth_1m"}

// someViews compiles them alone.
func someViews(t testing.TB) *Views {
	t.Helper()
	v, err := Load(append(slices.Clone(some), "trade_flags"), map[string]string{"alts_per_btc.n": "0.002"})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func env(l *lake.Lake) Env { return Env{Lake: l, Now: time.Now, Who: "test"} }

func mustMake(t testing.TB, e Env, v *Views, req Request) *Backfill {
	t.Helper()
	b, err := Make(context.Background(), e, v, req)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustRun(t testing.TB, e Env, v *Views, req Request) *Report {
	t.Helper()
	rep, err := mustMake(t, e, v, req).Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// stored are the rows of a view's table as printed has them, in the order of a scan, with their
// revisions.
func stored(t testing.TB, l *lake.Lake, v *Views, view string) (rows []printedRow, revisions []int32) {
	t.Helper()
	at, err := v.Output(view)
	if err != nil {
		t.Fatal(err)
	}
	o := &v.Plan.Outputs()[at]
	tab, err := l.Load(context.Background(), run.FeatureTable(o))
	if err != nil {
		t.Fatal(err)
	}
	sc, err := tab.Scan(context.Background(), lake.Query{})
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Close()
	cols := sc.Columns()
	n := len(o.Entity)
	for {
		b, err := sc.Next()
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return rows, revisions
		}
		for i := range b.N {
			var entity []string
			for c := range n {
				entity = append(entity, string(b.Cols[c].Text(i)))
			}
			long := func(c int) int64 { return b.Cols[n+c].I64[i] }
			var sb strings.Builder
			flags := slices.IndexFunc(cols, func(c lakefile.Column) bool { return c.Name == "flags" })
			fmt.Fprintf(&sb, "%s %d %d %d %d %02x", strings.Join(entity, "/"), long(2), long(0), long(1), long(3), b.Cols[flags].I32[i])
			for c := flags + 1; c < len(cols); c++ {
				col := &b.Cols[c]
				fmt.Fprintf(&sb, " %s=", cols[c].Name)
				switch {
				case col.IsNull(i):
					sb.WriteString("null")
				case cols[c].Type == lakefile.Double:
					fmt.Fprintf(&sb, "%x", math.Float64bits(col.F64[i]))
				case cols[c].Type == lakefile.String:
					sb.Write(col.Text(i))
				case cols[c].Type == lakefile.Decimal:
					fmt.Fprintf(&sb, "%x:%x", col.Hi[i], col.Lo[i])
				case cols[c].Type == lakefile.Boolean:
					fmt.Fprintf(&sb, "%d", col.I32[i])
				default:
					fmt.Fprintf(&sb, "%d", col.I64[i])
				}
			}
			rows = append(rows, printedRow{long(2), sb.String()})
			rev := slices.IndexFunc(cols, func(c lakefile.Column) bool { return c.Name == "revision" })
			revisions = append(revisions, b.Cols[rev].I32[i])
		}
	}
}

// sameTables compares the tables of views with rows.
func sameTables(t *testing.T, what string, l *lake.Lake, want *printed, r Range, views ...string) {
	t.Helper()
	for _, name := range views {
		rows, _ := stored(t, l, want.views, name)
		var got []string
		for _, row := range rows {
			got = append(got, row.text)
		}
		w := slices.Clone(want.within(name, r))
		slices.Sort(w)
		slices.Sort(got)
		compare(t, what+": "+name, got, w)
	}
}

// nothingLeft fails for a branch or a note of a backfill.
func nothingLeft(t *testing.T, l *lake.Lake) {
	t.Helper()
	names, err := l.Tables(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		tab, err := l.Load(context.Background(), n)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range tab.Refs() {
			if r.Name != lake.Main {
				t.Errorf("%s: branch %s is left", n, r.Name)
			}
		}
		for key := range tab.Properties() {
			if strings.HasPrefix(key, "tidemark.backfill") || strings.HasPrefix(key, "tidemark.publication-open") {
				t.Errorf("%s: property %s is left", n, key)
			}
		}
	}
}

func drop(t *testing.T, l *lake.Lake, v *Views, views ...string) {
	t.Helper()
	for _, name := range views {
		at, err := v.Output(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Drop(context.Background(), run.FeatureTable(&v.Plan.Outputs()[at])); err != nil {
			t.Fatal(err)
		}
	}
}

// Any cut into tasks, any number of workers and any memory give the table that one run over the
// raw input gives, bit for bit; a second run has nothing to do.
func TestRun_AnyCutAnyWorkers(t *testing.T) {
	t.Parallel()
	v := someViews(t)
	b := newLab(t, market25(5_000))
	want := b.raw(t, v, Corrected)
	r := rand.New(rand.NewPCG(3, 9))
	for i := range 4 {
		from := b.cfg.Start + r.Int64N(8*market.Minute)
		req := Request{Views: some, As: Corrected, Range: Range{from, from + 14*market.Minute}, Step: []int64{market.Hour, 5 * market.Minute, 3*market.Minute + 7, 0}[i]}
		e := env(b.lake)
		e.Parallel, e.Memory = 1+r.IntN(8), []int64{0, 1 << 20, 300 << 20, 64 << 20}[i]
		rep := mustRun(t, e, v, req)
		sameTables(t, fmt.Sprintf("%+v", req), b.lake, want, req.Range, some...)
		if rep.Computed != len(rep.Plan.Tasks) || len(rep.Published) != len(some) {
			t.Errorf("%d of %d tasks, published %+v", rep.Computed, len(rep.Plan.Tasks), rep.Published)
		}
		if i == 1 && len(rep.Plan.Tasks) < 3 || i == 2 && len(rep.Plan.Tasks) < 5 {
			t.Errorf("%d tasks of %d", len(rep.Plan.Tasks), rep.Plan.Step)
		}
		nothingLeft(t, b.lake)
		again := mustRun(t, e, v, req)
		if again.Plan.Nothing == "" || again.Computed != 0 || len(again.Published) != 0 {
			t.Errorf("second run: %+v", again)
		}
		drop(t, b.lake, v, some...)
	}
}

// A range of days of which minutes have events is computed there alone, and one that an earlier release had begun, with tasks of the
// rest noted, is finished.
func TestRun_WhereEventsAre(t *testing.T) {
	t.Parallel()
	v := mustLoad(t, "trade_bars_1m")
	b := newLab(t, market25(2_500))
	want := b.raw(t, v, Served)
	views := []string{"trade_bars_1m"}
	req := Request{Views: views, Range: Range{b.cfg.Start - 3*market.Day, b.cfg.Start + 3*market.Day}, Step: market.Hour * 3}
	job := mustMake(t, env(b.lake), v, req)
	if n := len(job.Plan.Tasks); n < 1 || n > 2 {
		t.Errorf("%d tasks", n)
	}
	if err := job.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	job.times = make([]atomic.Int64, len(job.Plan.Tasks))
	if err := job.task(t.Context(), 0, 64<<20, 1); err != nil {
		t.Fatal(err)
	}
	var err error
	if job.tables[0], err = job.tables[0].Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := readStaged(job.tables[0], job.Plan.stage)
	if err != nil {
		t.Fatal(err)
	}
	s.put(stagedTask{From: req.From, To: req.From + req.Step, Key: "of nothing", Commit: lake.NewCommitID()})
	if err := job.set(t.Context(), 0, s); err != nil {
		t.Fatal(err)
	}
	if rep := mustRun(t, env(b.lake), v, req); rep.Reused != 1 {
		t.Errorf("%d tasks were taken from the run that had begun", rep.Reused)
	}
	sameTables(t, "days of which minutes have events", b.lake, want, req.Range, views...)
	nothingLeft(t, b.lake)
}

// A backfill replaces the rows of its range and of its symbols and no others, as served and as
// corrected in turn, and what it replaced can be brought back.
func TestRun_ReplacesItsRowsAndNoOthers(t *testing.T) {
	t.Parallel()
	v := someViews(t)
	b := newLab(t, market25(5_000))
	views := []string{"trade_bars_1m", "rolling_trades"}
	served, corrected := b.raw(t, v, Served), b.raw(t, v, Corrected)
	whole := Range{b.cfg.Start, b.cfg.Start + 20*market.Minute}
	mustRun(t, env(b.lake), v, Request{Views: views, Range: whole})
	sameTables(t, "served", b.lake, served, whole, views...)
	part := Range{b.cfg.Start + 5*market.Minute, b.cfg.Start + 15*market.Minute + 333_333}
	rep := mustRun(t, env(b.lake), v, Request{Views: views, Range: part, As: Corrected, Symbols: []string{"eth-usdt"}})
	mixed := newPrinted(v)
	differ := 0
	for _, name := range views {
		col := slices.Index(v.Plan.Outputs()[mustOutput(t, v, name)].Entity, "symbol")
		ours := func(row printedRow) bool {
			entity, _, _ := strings.Cut(row.text, " ")
			return row.ts >= part.From && row.ts < part.To && strings.Split(entity, "/")[col] == "ETH-USDT"
		}
		for _, row := range served.rows[name] {
			if !ours(row) {
				mixed.rows[name] = append(mixed.rows[name], row)
			}
		}
		for _, row := range corrected.rows[name] {
			if ours(row) {
				mixed.rows[name] = append(mixed.rows[name], row)
				if !slices.Contains(served.rows[name], row) {
					differ++
				}
			}
		}
		rows, revisions := stored(t, b.lake, v, name)
		for i, row := range rows {
			if want := int32(0); ours(row) != (revisions[i] == 1) || !ours(row) && revisions[i] != want {
				t.Fatalf("%s: revision %d of %s", name, revisions[i], row.text)
			}
		}
	}
	if differ < 5 {
		t.Fatalf("only %d rows are others with the late events", differ)
	}
	sameTables(t, "corrected in part", b.lake, mixed, whole, views...)
	if _, err := b.lake.Undo(t.Context(), rep.Published[0].ID, lake.Publication{ID: lake.NewCommitID(), At: time.Now().UnixMicro()}); err != nil {
		t.Fatal(err)
	}
	sameTables(t, "undone", b.lake, served, whole, views...)
	if rep := mustRun(t, env(b.lake), v, Request{Views: views, Range: part, As: Corrected, Symbols: []string{"ETH-USDT"}}); rep.Plan.Nothing != "" {
		t.Errorf("what was undone is not there: %s", rep.Plan.Nothing)
	}
	sameTables(t, "corrected again", b.lake, mixed, whole, views...)
}

func mustOutput(t *testing.T, v *Views, name string) int {
	t.Helper()
	at, err := v.Output(name)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// What cannot be is refused before anything is written, with what helps.
// New tables may be partitioned by symbol: the rows are the same, when they are replaced, too.
func TestRun_NewTablesBySymbol(t *testing.T) {
	t.Parallel()
	v := someViews(t)
	b := newLab(t, market25(3_000))
	views := []string{"trade_bars_1m", "rolling_trades"}
	all := Range{b.cfg.Start, b.cfg.Start + 14*market.Minute}
	part := Range{b.cfg.Start + 3*market.Minute, b.cfg.Start + 9*market.Minute}
	want := b.raw(t, v, Corrected)
	for _, by := range []string{"each", "2"} {
		e := env(b.lake)
		var err error
		if e.BySymbol, err = lake.BySymbol(by); err != nil {
			t.Fatal(err)
		}
		mustRun(t, e, v, Request{Views: views, Range: all})
		sameTables(t, by+", served", b.lake, b.raw(t, v, Served), all, views...)
		mustRun(t, env(b.lake), v, Request{Views: views, As: Corrected, Range: part}) // the tables keep their partition
		mustRun(t, e, v, Request{Views: views, As: Corrected, Range: all, Step: 3 * market.Minute})
		sameTables(t, by+", corrected", b.lake, want, all, views...)
		nothingLeft(t, b.lake)
		for _, name := range views {
			at, err := v.Output(name)
			if err != nil {
				t.Fatal(err)
			}
			tab, err := b.lake.Load(t.Context(), run.FeatureTable(&v.Plan.Outputs()[at]))
			if err != nil {
				t.Fatal(err)
			}
			if got := tab.PartitionBy(); len(got) != 2 || got[1] != e.BySymbol[0] {
				t.Errorf("%s by %s: partition %v", name, by, got)
			}
		}
		drop(t, b.lake, v, views...)
	}
	e := env(b.lake)
	e.BySymbol = []lake.Partition{{Column: "symbol", Transform: "identity"}}
	if _, err := Make(t.Context(), e, v, Request{Views: []string{"trade_bars_1m", "breadth_1m"}, Range: all}); err == nil || fault.From(err).Code != "by-symbol" {
		t.Errorf("a view without a symbol: %v", err)
	}
}

func TestMake_Refuses(t *testing.T) {
	t.Parallel()
	v := someViews(t)
	b := newLab(t, market25(1_000))
	mustRun(t, env(b.lake), v, Request{Views: []string{"trade_flags"}, Range: Range{market.NoTime, market.NoTime}})
	day := Range{b.cfg.Start - 30*market.Day, b.cfg.Start - 29*market.Day}
	other, err := Load([]string{"trade_flags"}, map[string]string{"big": "5"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		v          *Views
		req        Request
		code, want string
	}{
		{v, Request{}, "view_missing", "no view"},
		{v, Request{Views: []string{"trade_bars_1x"}}, "view_unknown", "trade_bars_1x"},
		{v, Request{Views: []string{"trade_flags", "trade_flags"}}, "view_twice", "twice"},
		{v, Request{Views: []string{"trade_flags"}, Range: day}, "no_input", "no events"},
		{v, Request{Views: []string{"trade_flags"}, Range: Range{5, 5}}, "range_empty", "empty"},
		{v, Request{Views: []string{"trade_flags"}, Symbols: []string{"ETH-USDX"}}, "symbol_unknown", "no symbol"},
		{v, Request{Views: []string{"breadth_1m"}, Symbols: []string{"ETH-USDT"}}, "symbols", "not by symbol"},
		{v, Request{Views: []string{"trade_flags"}, Step: market.Second}, "step", "longer"},
		{other, Request{Views: []string{"trade_flags"}}, "fingerprint", "another view"},
	} {
		if c.req.Range == (Range{}) {
			c.req.Range = Range{market.NoTime, market.NoTime}
		}
		_, err := Make(t.Context(), env(b.lake), c.v, c.req)
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != c.code || !strings.Contains(f.Error()+f.Remedy, c.want) {
			t.Errorf("%+v: %v", c.req, err)
		}
	}
	empty := openLake(t, t.TempDir())
	if _, err := Make(t.Context(), env(empty), v, Request{Views: []string{"trade_flags"}, Range: Range{market.NoTime, market.NoTime}}); err == nil || fault.From(err).Exit != fault.ExitNoTable {
		t.Errorf("an empty lake: %v", err)
	}
}

// Whatever call of storage fails, the backfill fails clean or goes on; run again until it ends,
// the table is right, no finished task was done twice, and nothing is left. A disk that is full
// is such a failure.
func TestRun_SurvivesStorageThatFails(t *testing.T) {
	t.Parallel()
	v := someViews(t)
	b := newLab(t, market25(2_500))
	views := []string{"trade_bars_1m", "book_1s"}
	want := b.raw(t, v, Corrected)
	req := Request{Views: views, As: Corrected, Range: Range{b.cfg.Start, b.cfg.Start + 20*market.Minute}, Step: 5 * market.Minute}
	rounds := 3
	if n, err := strconv.Atoi(os.Getenv("TIDEMARK_TEST_KILLS")); err == nil {
		rounds = n
	}
	failed := 0
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 5))
		var mu sync.Mutex
		share := []int{300, 1000, 100}[seed%3]
		s := &objstore.Faulty{Store: objstore.Folder{}, Plan: func(int64, objstore.Op, string) objstore.Fault {
			mu.Lock()
			defer mu.Unlock()
			if r.IntN(share) > 0 {
				return objstore.None
			}
			return []objstore.Fault{objstore.Before, objstore.After, objstore.Truncate}[r.IntN(3)]
		}}
		l, err := lake.Open(t.Context(), lake.Config{Dir: b.dir, Store: s, Now: time.Now, Build: "test"})
		if err != nil {
			t.Fatal(err)
		}
		finished := map[int64]bool{}
		for try := 0; ; try++ {
			e := env(l)
			if try == 30 {
				e = env(b.lake) // storage is well again
			}
			bf, err := Make(t.Context(), e, v, req)
			if err == nil {
				// A task that was noted as finished is never to do again, as long as nothing is published.
				for _, k := range bf.Plan.Tasks {
					if finished[k.From] && !k.Done && bf.Plan.Nothing == "" {
						t.Errorf("the task from %d is done again", k.From)
					}
					finished[k.From] = finished[k.From] || k.Done
				}
				_, err = bf.Run(t.Context())
			}
			if err == nil {
				t.Logf("ended at try %d, %d calls of storage in all", try+1, s.Calls())
				break
			}
			failed++
			if try > 30 {
				t.Fatal(err)
			}
		}
		sameTables(t, fmt.Sprintf("seed %d", seed), b.lake, want, req.Range, views...)
		mustRun(t, env(b.lake), v, req)
		nothingLeft(t, b.lake)
		drop(t, b.lake, v, views...)
		_ = l.Close()
	}
	if failed < rounds {
		t.Errorf("only %d runs failed", failed)
	}
	t.Logf("%d runs failed", failed)
}

// Two backfills of one range at once: rows of one of them are there, whole, and the other one
// says that it came too late, or came after it.
func TestRun_TwoAtOnce(t *testing.T) {
	t.Parallel()
	v := someViews(t)
	b := newLab(t, market25(2_500))
	whole := Range{b.cfg.Start, b.cfg.Start + 20*market.Minute}
	want := map[As]*printed{Served: b.raw(t, v, Served), Corrected: b.raw(t, v, Corrected)}
	views := []string{"trade_bars_1m"}
	for round := range 4 {
		other := Corrected
		if round%2 == 1 {
			other = Served // the very same
		}
		jobs := []*Backfill{
			mustMake(t, env(b.lake), v, Request{Views: views, Range: whole, Step: 5 * market.Minute}),
			mustMake(t, env(b.lake), v, Request{Views: views, Range: whole, Step: 5 * market.Minute, As: other}),
		}
		errs := make([]error, 2)
		var wg sync.WaitGroup
		for i, j := range jobs {
			wg.Go(func() { _, errs[i] = j.Run(context.Background()) })
		}
		wg.Wait()
		if errs[0] != nil && errs[1] != nil {
			t.Errorf("round %d: %v; %v", round, errs[0], errs[1])
		}
		rows, _ := stored(t, b.lake, v, views[0])
		won := 0
		for _, as := range []As{Served, other} {
			same := len(rows) == len(want[as].within(views[0], whole))
			for _, row := range rows {
				same = same && slices.Contains(want[as].rows[views[0]], row)
			}
			if same {
				won++
			}
		}
		if won == 0 {
			t.Errorf("round %d: the table has rows of neither; %v; %v", round, errs[0], errs[1])
		}
		for i, err := range errs {
			if err == nil {
				continue
			}
			if fault.From(err).Exit != fault.ExitHeld {
				t.Errorf("round %d, %d: %v", round, i, err)
			}
			if _, err := mustMake(t, env(b.lake), v, jobs[i].req).Run(t.Context()); err != nil {
				t.Errorf("round %d, %d again: %v", round, i, err)
			}
		}
		nothingLeft(t, b.lake)
		drop(t, b.lake, v, views...)
	}
}

// full is a store without room for files of tables.
type full struct{ objstore.Store }

func (f full) Create(ctx context.Context, uri string) (objstore.Writer, error) {
	if strings.HasSuffix(uri, ".parquet") {
		return nil, &fs.PathError{Op: "write", Path: uri, Err: syscall.ENOSPC}
	}
	return f.Store.Create(ctx, uri)
}

// A full disk is told as such. What was pinned is computed from even when its table is gone by then.
func TestRun_DiskFullAndInputGone(t *testing.T) {
	t.Parallel()
	v := someViews(t)
	b := newLab(t, market25(1_500))
	want := b.raw(t, v, Served)
	req := Request{Views: []string{"trade_bars_1m"}, Range: Range{b.cfg.Start, b.cfg.Start + 10*market.Minute}, Step: 5 * market.Minute}
	l, err := lake.Open(t.Context(), lake.Config{Dir: b.dir, Store: full{objstore.Folder{}}, Now: time.Now, Build: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if _, err := mustMake(t, env(l), v, req).Run(t.Context()); fault.From(err).Code != "disk_full" {
		t.Errorf("%v", err)
	}
	job := mustMake(t, env(b.lake), v, req)
	for _, name := range []string{"processed.trade", "processed.book"} {
		if err := b.lake.Drop(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := job.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	sameTables(t, "without its input", b.lake, want, req.Range, req.Views...)
}
