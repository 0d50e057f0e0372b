package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/market"
)

const header = "kind,feed,exchange,market,symbol,event_ts,ingest_ts,seq,id,side,price,quantity\n"

const tapeStart = 1762795440000000 // 2025-11-10T17:24:00Z, the start of a minute

// trade is one line of a canonical tape.
type trade struct {
	ts   int64
	line string
}

// tape makes n trades of three symbols over about an hour, in order of time.
func tape(seed uint64, n int) []trade {
	r := rand.New(rand.NewPCG(seed, 7))
	out := make([]trade, n)
	ts := int64(tapeStart)
	for i := range out {
		ts += r.Int64N(2 * market.Hour / int64(n))
		s := []string{"BTC-USDT", "ETH-USDT", "SOL-USDT"}[r.IntN(3)]
		out[i] = trade{ts, fmt.Sprintf("trade,kraken-spot,kraken,spot,%s,%d,%d,,%d,%s,%d.%02d,0.%03d\n",
			s, ts, ts+3000, i, []string{"buy", "sell"}[r.IntN(2)], 1000+r.IntN(50), r.IntN(100), 1+r.IntN(999))}
	}
	return out
}

func text(ts []trade) string {
	var b strings.Builder
	b.WriteString(header)
	for _, t := range ts {
		b.WriteString(t.line)
	}
	return b.String()
}

func file(t testing.TB, content string) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "*.csv")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// output runs a view and returns its CSV and the accounting.
func output(t *testing.T, cfg Config) (string, *Stats) {
	t.Helper()
	var out bytes.Buffer
	rep, err := Run(context.Background(), cfg, Env{Stdout: &out, Warn: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), rep.Stats
}

func lines(csv string) []string { return strings.Split(strings.TrimSuffix(csv, "\n"), "\n")[1:] }

// shuffled moves each trade by less than the feed's disorder.
func shuffled(ts []trade, seed uint64) []trade {
	r := rand.New(rand.NewPCG(seed, 1))
	out := slices.Clone(ts)
	at := make(map[string]int64, len(out))
	for _, t := range out {
		at[t.line] = t.ts + r.Int64N(market.DefaultDisorder-1)
	}
	slices.SortStableFunc(out, func(a, b trade) int { return int(at[a.line] - at[b.line]) })
	return out
}

func TestRun_FilesShuffledAndSplitGiveTheSameRows(t *testing.T) {
	defer goleak.VerifyNone(t)
	ts := tape(1, 20000)
	for _, view := range []string{"trade_bars_1m", "vwap_5m"} {
		want, st := output(t, config(view, file(t, text(ts))))
		if st.Applied != 20000 {
			t.Fatalf("%+v", *st)
		}
		mixed := shuffled(ts, 2)
		if got, st := output(t, config(view, file(t, text(mixed)))); got != want || st.Late != 0 {
			t.Errorf("%s: rows of shuffled input differ, %d late", view, st.Late)
		}
		for _, n := range []int{2, 7} {
			parts := make([][]trade, n)
			for i, x := range mixed {
				parts[i%n] = append(parts[i%n], x)
			}
			var files []string
			for _, p := range parts {
				files = append(files, file(t, text(p)))
			}
			if got, st := output(t, config(view, files...)); got != want || st.Late != 0 || st.Applied != 20000 {
				t.Errorf("%s: rows of %d files differ, %+v", view, n, *st)
			}
		}
		// One file a stretch of time, cut by arrival: at the seams events of the next
		// file come from before the last one of the file before.
		var files []string
		for lo := 0; lo < len(mixed); lo += 3001 {
			files = append(files, file(t, text(mixed[lo:min(len(mixed), lo+3001)])))
		}
		slices.Reverse(files) // the order of the arguments is not that of time
		if got, st := output(t, config(view, files...)); got != want || st.Late != 0 {
			t.Errorf("%s: rows of files cut by arrival differ, %+v", view, *st)
		}
	}
}

func TestRun_CorrectedPutsLateEventsIntoTheirPlaces(t *testing.T) {
	ts := tape(3, 20000)
	want, _ := output(t, config("trade_bars_1m", file(t, text(ts))))
	moved := slices.Clone(ts)
	r := rand.New(rand.NewPCG(9, 9))
	late := 0
	for range 200 { // some trades come minutes late
		i := r.IntN(len(moved) - 1000)
		x := moved[i]
		moved = slices.Insert(slices.Delete(moved, i, i+1), i+900, x)
		late++
	}
	path := file(t, text(moved))
	served, st := output(t, config("trade_bars_1m", path))
	if served == want || st.Late < 190 || st.Late > 200 {
		t.Errorf("served rows are %v those of the ordered tape, %d late", served == want, st.Late)
	}
	cfg := config("trade_bars_1m", path)
	cfg.Corrected = true
	got, st2 := output(t, cfg)
	if got != want {
		t.Error("corrected rows differ from those of the ordered tape")
	}
	if st2.Counts != st.Counts {
		t.Errorf("the account of a corrected run differs: %+v, %+v", st2.Counts, st.Counts)
	}
}

func TestRun_RangesAndSymbolsAreCutsOfTheWhole(t *testing.T) {
	ts := tape(4, 20000)
	path := file(t, text(shuffled(ts, 5)))
	for _, view := range []string{"trade_bars_1m", "vwap_5m", "trade_bars_1h", "momentum_15m"} {
		whole, _ := output(t, config(view, path))
		cfg := config(view, path)
		cfg.From, cfg.To = tapeStart+36*market.Minute, tapeStart+96*market.Minute
		cfg.Symbols = []string{"eth-usdt", "SOLUSDT"}
		got, st := output(t, cfg)
		var want []string
		for _, l := range lines(whole) {
			f := strings.Split(l, ",")
			var rowTS int64
			if _, err := fmt.Sscan(f[5], &rowTS); err != nil {
				t.Fatal(err)
			}
			if rowTS >= cfg.From && rowTS < cfg.To && !strings.Contains(l, "BTC") {
				want = append(want, l)
			}
		}
		have := lines(got)
		for len(have) > len(want) && strings.Contains(have[len(have)-1], "partial") {
			have = have[:len(have)-1] // windows that reach past --to
		}
		if !slices.Equal(have, want) {
			t.Errorf("%s: %d rows, want %d", view, len(have), len(want))
		}
		if st.Filtered < 5000 || st.In != 20000 {
			t.Errorf("%s: %+v", view, st.Counts)
		}
	}
}

// TestRun_OpenAddsNothingToTimeWindows: the end of the input closes them anyway.
func TestRun_OpenAddsNothingToTimeWindows(t *testing.T) {
	path := file(t, text(tape(7, 2000)))
	for _, view := range []string{"trade_bars_1m", "trade_bars_1h", "vwap_5m", "trade_bars_flat_1m", "momentum_15m", "trade_flags"} {
		cfg := config(view, path)
		want, _ := output(t, cfg)
		cfg.Open = true
		if got, _ := output(t, cfg); got != want {
			t.Errorf("%s: %d lines with --open, %d without", view, strings.Count(got, "\n"), strings.Count(want, "\n"))
		}
	}
}

func TestOneRow(t *testing.T) {
	v := &features.ViewRows{
		Entity: []uint32{1, 2}, Start: []int64{10, 20}, End: []int64{11, 21}, RowTS: []int64{12, 22}, Avail: []int64{13, 23}, Flags: []uint8{0, 4},
		Features: []features.OutCol{
			{F64: []float64{1, 2}, Null: []uint64{2}}, {I64: []int64{3, 4}}, {Hi: []int64{0, -1}, Lo: []uint64{5, 6}},
			{Bytes: []byte("abcde"), Off: []int32{0, 2, 5}},
		},
	}
	one := oneRow(v, 1)
	f := one.Features
	if one.Start[0] != 20 || one.Flags[0] != 4 || f[0].F64[0] != 2 || !f[0].IsNull(0) || f[1].I64[0] != 4 || f[1].IsNull(0) ||
		f[2].Lo[0] != 6 || f[2].Hi[0] != -1 || string(f[3].Bytes[f[3].Off[0]:f[3].Off[1]]) != "cde" || one.Len() != 1 {
		t.Errorf("%+v", one)
	}
	if first := oneRow(v, 0); first.Features[0].IsNull(0) || first.Features[0].F64[0] != 1 {
		t.Errorf("%+v", first)
	}
}

func TestRun_InterruptLeavesNothing(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	cfg := config("trade_bars_1m", file(t, text(tape(6, 200000))))
	cfg.Output, cfg.Stats, cfg.DLQ = filepath.Join(dir, "o.parquet"), filepath.Join(dir, "s.json"), filepath.Join(dir, "d.jsonl")
	ctx, cancel := context.WithCancel(context.Background())
	m := &Meter{}
	go func() {
		for m.Events.Load() == 0 {
			runtime.Gosched()
		}
		cancel()
	}()
	_, err := Run(ctx, cfg, Env{Warn: func(string) {}, Meter: m})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if es, _ := os.ReadDir(dir); len(es) != 0 {
		t.Errorf("left behind: %v", es)
	}
}

func TestRun_EndOfAFileEndsItsLine(t *testing.T) {
	ts := tape(8, 4000)
	// The first file ends early; the second must not be held back by it, nor be late.
	a, b := file(t, text(ts[:100])), file(t, text(ts[50:]))
	_, st := output(t, config("trade_bars_1m", a, b))
	if st.Applied != 4000 || st.Duplicate != 50 || st.Late != 0 {
		t.Errorf("%+v", st.Counts)
	}
}

func TestRun_Refuses(t *testing.T) {
	path := file(t, text(tape(1, 10)))
	try := func(change func(*Config), code string) {
		t.Helper()
		cfg := config("trade_bars_1m", path)
		change(&cfg)
		_, err := Run(context.Background(), cfg, Env{Stdout: &bytes.Buffer{}, Warn: func(string) {}})
		if f := fault.From(err); err == nil || f.Code != code {
			t.Errorf("%v, want %s", err, code)
		}
	}
	try(func(c *Config) { c.Specs = nil }, "spec_missing")
	try(func(c *Config) { c.Stats = "-" }, "output_conflict")
	try(func(c *Config) { c.Set = []string{"a=1", "a=2"} }, "param_twice")
	try(func(c *Config) { c.Set = []string{"nothing=2"} }, "spec_invalid")
	try(func(c *Config) { c.Output = t.TempDir() }, "output_format")
	try(func(c *Config) { c.Output = path }, "output_is_input")
	try(func(c *Config) { c.DLQ = filepath.Join(filepath.Dir(path), ".", filepath.Base(path)) }, "output_is_input")
	try(func(c *Config) { c.DLQ, c.Stats = path+".x", path+".x" }, "output_conflict")
	try(func(c *Config) { c.DLQ = t.TempDir() }, "output_unwritable")
	try(func(c *Config) { c.Specs = []string{t.TempDir() + "/"} }, "spec_missing")
}

func TestHistogram_QuantilesWithinTheirBound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var h histogram
	var all []int64
	for range 20000 {
		v := r.Int64N(1 << r.IntN(40))
		h.add(v)
		all = append(all, v)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[min(len(all)-1, int(q*float64(len(all))))]
		got := h.quantile(q)
		if got > want || float64(got) < float64(want)*0.983-1 {
			t.Errorf("q %v: %d, exact %d", q, got, want)
		}
	}
	for b := range len(h.buckets) {
		if lo := bucketLow(b); lo >= 0 && bucketOf(lo) != b {
			t.Fatalf("bucket %d begins at %d, which falls into %d", b, lo, bucketOf(lo))
		}
	}
}

// Of a folder with many files that are no input a user hears once.
func TestRun_WarnsOfFilesOnce(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"trade.csv": text(tape(1, 100)), "a.go": "package a\n", "b.go": "package b\n", "c.go": "package c\n", "d.go": "package d\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, files := range []int{4, 2} {
		cfg := DefaultConfig()
		cfg.Specs, cfg.Inputs, cfg.Output = []string{"trade_bars_1m"}, []string{dir}, "-"
		var warned []string
		if _, err := Run(t.Context(), cfg, Env{Stdout: io.Discard, Warn: func(s string) { warned = append(warned, s) }}); err != nil {
			t.Fatal(err)
		}
		if all := strings.Join(warned, "\n"); files == 4 && len(warned) != 1 || files == 2 && len(warned) != 2 || !strings.Contains(all, "of no known format") {
			t.Errorf("of %d files: %s", files, all)
		}
		_ = os.Remove(filepath.Join(dir, "a.go"))
		_ = os.Remove(filepath.Join(dir, "b.go"))
	}
}
