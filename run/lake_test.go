package run

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/internal/fault"
	"github.com/pinova-group/tidemark/internal/objstore"
	"github.com/pinova-group/tidemark/lake"
	lakefile "github.com/pinova-group/tidemark/lake/file"
)

func openLake(t *testing.T) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{Dir: t.TempDir(), Now: time.Now, Build: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func importFiles(t *testing.T, l *lake.Lake, cfg ImportConfig) *ImportReport {
	t.Helper()
	rep, err := Import(t.Context(), cfg, l, Env{Warn: func(m string) { t.Log("warning: " + m) }})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// fromLake runs a view over the lake.
func fromLake(t *testing.T, l *lake.Lake, cfg Config) (string, *Stats) {
	t.Helper()
	var out bytes.Buffer
	rep, err := Run(t.Context(), cfg, Env{Stdout: &out, Warn: func(m string) { t.Log("warning: " + m) }, Build: "test", Lake: l})
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), rep.Stats
}

// The rows of views over real tapes are the same bits whether events come from the files
// or from the lake, however they got there.
func TestLake_RowsEqualThoseOfTheFiles(t *testing.T) {
	var tapes []string
	for _, name := range []string{"binance_spot_btcusdt_20240808", "binance_spot_ethusdt_20240808", "binance_usdm_btcusdt_20240808", "binance_cm_ethusd_perp_20240808"} {
		tapes = append(tapes, exdata.Path(t, "rawstream/"+name+".jsonl.gz"))
	}
	kraken := exdata.Path(t, "candles/kraken_xbtusdt_rest_trades_20251110.json.gz")
	whole, apart := openLake(t), openLake(t)
	rep := importFiles(t, whole, ImportConfig{Inputs: append(slices.Clone(tapes), kraken)})
	if rep.Stats.In == 0 || rep.Tables["processed.trade"].Added == 0 || rep.Tables["processed.book"].Files == 0 {
		t.Fatalf("imported %+v", rep)
	}
	r := rand.New(rand.NewPCG(3, 3))
	for _, i := range r.Perm(len(tapes)) {
		importFiles(t, apart, ImportConfig{Inputs: tapes[i : i+1], Memory: 1 << (16 + r.IntN(8))})
	}
	importFiles(t, apart, ImportConfig{Inputs: []string{kraken}})
	for _, c := range []struct {
		spec   string
		inputs []string
	}{
		{"trade_bars_1m", []string{kraken}}, {"trade_bars_1m", tapes}, {"book_1s", tapes}, {"vwap_5m", tapes}, {"basis_1s", tapes}, {"quote_bars_1s", tapes},
	} {
		cfg := config(c.spec, c.inputs...)
		cfg.From, cfg.To = rangeOf(t, c.inputs)
		want, stats := output(t, cfg)
		if strings.Count(want, "\n") < 5 {
			t.Errorf("%s: no rows to compare", c.spec)
		}
		cfg.Inputs = []string{LakePrefix}
		for name, l := range map[string]*lake.Lake{"one import": whole, "an import for each tape": apart} {
			got, lstats := fromLake(t, l, cfg)
			if d := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); d != "" {
				t.Errorf("%s over %s:\n%.3000s", c.spec, name, d)
			}
			if lstats.Applied == 0 || stats.Rows[c.spec] != lstats.Rows[c.spec] {
				t.Errorf("%s over %s: %+v, files %+v", c.spec, name, lstats, stats)
			}
		}
	}
	again := importFiles(t, apart, ImportConfig{Inputs: append(slices.Clone(tapes), kraken)})
	for name, c := range again.Tables {
		if c.Added != 0 {
			t.Errorf("%s: imported again %+v", name, c)
		}
	}
}

// rangeOf cuts the lake down to what the files hold.
func rangeOf(t *testing.T, inputs []string) (from, to int64) {
	t.Helper()
	in, err := Inspect(t.Context(), InspectConfig{Inputs: inputs}, Env{Warn: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range in.Lines {
		if i == 0 || l.first < from {
			from = l.first
		}
		to = max(to, l.last+1)
	}
	return from, to
}

// An import decides from its files alone. A book whose file ends while others go on gets a
// keyframe of where it stood; with the file that goes on there is another. So importing a part first
// and then all leaves a keyframe more than all at once. It comes right before the other one:
// the book is the same, a count of rows is one more.
func TestLake_PartOfARecordingFirst(t *testing.T) {
	base := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC).UnixMicro()
	const header = "kind,feed,exchange,market,symbol,event_ts,seq,origin,bids,asks\n"
	book := func(symbol string, snapshot bool, seqs ...int64) string { // a delta a second
		var b strings.Builder
		b.WriteString(header)
		for _, n := range seqs {
			kind, origin := "orderbook.delta", "delta"
			if snapshot && n == seqs[0] {
				kind, origin = "orderbook.snapshot", "venue"
			}
			fmt.Fprintf(&b, "%s,sim-alpha,alpha,spot,%s,%d,%d,%s,%d:1,%d:%d\n", kind, symbol, base+n*1_000_000, n, origin, 100+n%7, 120+n%5, 1+n%3)
		}
		return file(t, b.String())
	}
	count := func(from, to int64) (out []int64) {
		for n := from; n < to; n++ {
			out = append(out, n)
		}
		return out
	}
	first, rest, other := book("BTC-USDT", true, count(1, 11)...), book("BTC-USDT", false, count(11, 500)...), book("ETH-USDT", true, count(1, 700)...)
	whole, parts := openLake(t), openLake(t)
	all := ImportConfig{Inputs: []string{first, rest, other}}
	importFiles(t, whole, all)
	importFiles(t, parts, ImportConfig{Inputs: []string{first, other}})
	importFiles(t, parts, all)
	books := func(l *lake.Lake) (rows []string) {
		tab, err := l.Load(t.Context(), "processed.book")
		if err != nil {
			t.Fatal(err)
		}
		sc, err := tab.Scan(t.Context(), lake.Query{Columns: []string{"ts", "symbol", "seq", "origin"}})
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
				return rows
			}
			for i := range b.N {
				rows = append(rows, fmt.Sprintf("%d s %s %d %s", (b.Cols[0].I64[i]-base)/1_000_000, b.Cols[1].Text(i), b.Cols[2].I64[i], b.Cols[3].Text(i)))
			}
		}
	}
	want, got := books(whole), books(parts)
	at := slices.Index(want, "300 s BTC-USDT 299 keyframe")
	if at < 0 {
		t.Fatalf("no keyframe in the rows of all at once: %q", want[max(0, len(want)-3):])
	}
	want = slices.Insert(want, at, "300 s BTC-USDT 10 keyframe")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("part first, then all:\n%.2000s", d)
	}
	cfg := config("book_1s", LakePrefix)
	cfg.From, cfg.To = base, base+700_000_000
	a, _ := fromLake(t, whole, cfg)
	b, _ := fromLake(t, parts, cfg)
	alines, blines := strings.Split(a, "\n"), strings.Split(b, "\n")
	if len(alines) != len(blines) || len(alines) < 600 {
		t.Fatalf("%d and %d rows of book_1s", len(alines), len(blines))
	}
	differ := 0
	for i := range alines {
		if alines[i] == blines[i] {
			continue
		}
		differ++
		x, y := strings.LastIndex(alines[i], ","), strings.LastIndex(blines[i], ",") // the last column counts rows
		if alines[i][:x] != blines[i][:y] || alines[i][x:] != ",2" || blines[i][y:] != ",3" {
			t.Errorf("%s\n%s", alines[i], blines[i])
		}
	}
	if differ != 1 {
		t.Errorf("%d rows of book_1s differ", differ)
	}
}

// Late events are in the lake, marked: served rows do without them, corrected ones have
// them in their places.
func TestLake_ServedAndCorrected(t *testing.T) {
	var b strings.Builder
	b.WriteString("kind,feed,exchange,market,symbol,event_ts,ingest_ts,seq,id,side,price,quantity\n")
	r := rand.New(rand.NewPCG(5, 5))
	base := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC).UnixMicro()
	for i := range 4000 {
		ts := base + int64(i)*100_000
		if r.IntN(50) == 0 {
			ts -= 1_000_000 + r.Int64N(100_000_000) // late
		}
		fmt.Fprintf(&b, "trade,lab,lab,spot,BTC-USDT,%d,,,t%d,buy,%d.5,1.25\n", ts, i, 100+r.IntN(50))
	}
	path := file(t, b.String())
	l := openLake(t)
	rep := importFiles(t, l, ImportConfig{Inputs: []string{path}})
	if rep.Stats.Late < 20 || rep.Tables["processed.trade"].Added != 4000 {
		t.Fatalf("imported %+v, %+v", rep.Stats, rep.Tables)
	}
	for _, corrected := range []bool{false, true} {
		cfg := config("trade_bars_1m", path)
		cfg.Corrected = corrected
		want, ws := output(t, cfg)
		cfg.Inputs = []string{LakePrefix + "processed.trade"}
		got, gs := fromLake(t, l, cfg)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("corrected %v:\n%s", corrected, d)
		}
		if ws.Counts != gs.Counts {
			t.Errorf("corrected %v: %+v, from files %+v", corrected, gs.Counts, ws.Counts)
		}
	}
}

func TestLake_RefusesWhatCannotBeRead(t *testing.T) {
	l := openLake(t)
	for _, c := range []struct{ inputs, want string }{
		{"lake:processed.trade,trades.csv", "together"}, {"lake:processed.quote", "no view reads"}, {"lake:processed.trade", "does not exist"}, {"lake:", "none of the tables"},
	} {
		_, err := Run(t.Context(), config("trade_bars_1m", strings.Split(c.inputs, ",")...), Env{Stdout: &bytes.Buffer{}, Warn: func(string) {}, Lake: l})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.inputs, err)
		}
	}
}

// The table of a view holds the rows that a run prints; published again they take the
// place of themselves, and a view of another fingerprint is refused.
func TestLake_PublishesTheRowsOfAView(t *testing.T) {
	path := file(t, text(tape(4, 5000)))
	l := openLake(t)
	for spec, by := range map[string]string{"trade_bars_1m": "", "trade_flags": "each", "vwap_5m": "2"} {
		want, _ := output(t, config(spec, path))
		cfg := config(spec, path)
		cfg.Output = LakePrefix
		var err error
		if cfg.BySymbol, err = lake.BySymbol(by); err != nil {
			t.Fatal(err)
		}
		var rep *Report
		for revision := range int32(2) {
			if rep, err = Run(t.Context(), cfg, Env{Warn: func(string) {}, Lake: l, Now: time.Now, Who: "me"}); err != nil {
				t.Fatal(err)
			}
			rows := int64(strings.Count(want, "\n") - 1)
			if p := rep.Published; len(p) != 1 || p[0].Added != rows || p[0].Removed != rows*int64(revision) || p[0].Revision != revision {
				t.Fatalf("%s: published %+v, %d rows", spec, p, rows)
			}
		}
		tab, err := l.Load(t.Context(), rep.Published[0].Table)
		if err != nil {
			t.Fatal(err)
		}
		if got := tab.PartitionBy(); !slices.Equal(got[1:], cfg.BySymbol) {
			t.Errorf("%s: partition %v", spec, got)
		}
		if by == "each" {
			if plan := planned(t, tab, lake.Query{Where: map[string][]string{"symbol": {"ETH-USDT"}}}); plan.Files == 0 || int64(plan.Files) >= plan.Of {
				t.Errorf("%s: a symbol is in %d of %d files", spec, plan.Files, plan.Of)
			}
		}
		if got := tableCSV(t, tab); !slices.Equal(got, sorted(lines(want))) {
			t.Errorf("%s: %d rows in the table, %d printed\n%s", spec, len(got), len(lines(want)), cmp.Diff(sorted(lines(want)), got)[:1000])
		}
	}
	cfg := config("breadth_1m", path)
	cfg.Output, cfg.BySymbol = LakePrefix, []lake.Partition{{Column: "symbol", Transform: "identity"}}
	if _, err := Run(t.Context(), cfg, Env{Warn: func(string) {}, Lake: l, Now: time.Now}); err == nil || !strings.Contains(err.Error(), "no symbol") {
		t.Errorf("a view without a symbol: %v", err)
	}
	cfg = config("trade_flags", path)
	cfg.Output, cfg.Set = LakePrefix, []string{"big=5"}
	if _, err := Run(t.Context(), cfg, Env{Warn: func(string) {}, Lake: l, Now: time.Now}); err == nil || !strings.Contains(err.Error(), "another view") {
		t.Errorf("another fingerprint: %v", err)
	}
}

func planned(t *testing.T, tab *lake.Table, q lake.Query) lake.ScanPlan {
	t.Helper()
	sc, err := tab.Scan(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Close()
	return sc.Plan()
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

// tableCSV is the rows of a feature table as a run prints them, without revision, sorted.
func tableCSV(t *testing.T, tab *lake.Table) []string {
	t.Helper()
	sc, err := tab.Scan(t.Context(), lake.Query{})
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Close()
	var out []string
	for {
		b, err := sc.Next()
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return sorted(out)
		}
		for i := range b.N {
			var row []string
			for c, col := range sc.Columns() {
				v := &b.Cols[c]
				switch {
				case col.Name == "revision":
					continue
				case col.Name == "flags":
					row = append(row, strings.Join(features.FlagNames(nil, uint8(v.I32[i])), "|"))
				case v.IsNull(i):
					row = append(row, "")
				case col.Type == lakefile.String:
					row = append(row, string(v.Text(i)))
				case col.Type == lakefile.Boolean:
					row = append(row, strconv.FormatBool(v.I32[i] == 1))
				case col.Type == lakefile.Double:
					row = append(row, strconv.FormatFloat(v.F64[i], 'f', -1, 64))
				default:
					row = append(row, strconv.FormatInt(v.I64[i], 10))
				}
			}
			out = append(out, strings.Join(row, ","))
		}
	}
}

// fullStore has no room for files of one table.
type fullStore struct {
	objstore.Store
	table string
}

func (f fullStore) Create(ctx context.Context, uri string) (objstore.Writer, error) {
	if strings.Contains(uri, f.table) && strings.HasSuffix(uri, ".parquet") {
		return nil, &fs.PathError{Op: "write", Path: uri, Err: syscall.ENOSPC}
	}
	return f.Store.Create(ctx, uri)
}

// An import that meets a full disk says which file found no room. The same import goes on when
// there is room again, and each event is there once.
func TestLake_ImportOntoAFullDisk(t *testing.T) {
	dir := t.TempDir()
	kraken := exdata.Path(t, "candles/kraken_xbtusdt_rest_trades_20251110.json.gz")
	cfg := ImportConfig{Inputs: []string{kraken}}
	l, err := lake.Open(t.Context(), lake.Config{Dir: dir, Store: fullStore{objstore.Folder{}, "processed/trade"}, Now: time.Now, Build: "test"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Import(t.Context(), cfg, l, Env{})
	if f := fault.From(err); f.Code != "disk_full" || !strings.Contains(f.Why, "processed/trade") || f.Remedy == "" {
		t.Errorf("%v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = lake.Open(t.Context(), lake.Config{Dir: dir, Now: time.Now, Build: "test"}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	added := importFiles(t, l, cfg).Tables["processed.trade"].Added
	again := importFiles(t, l, cfg).Tables["processed.trade"].Added
	if want := importFiles(t, openLake(t), cfg).Tables["processed.trade"].Added; added != want || want == 0 || again != 0 {
		t.Errorf("%d added, then %d; into an empty lake %d", added, again, want)
	}
}
