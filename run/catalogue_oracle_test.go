package run_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/exenv"
	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
)

// catalogueParams make small bars of a small market.
var catalogueParams = map[string]string{
	"tick_bars": "size=50", "volume_bars": "size=20", "dollar_bars": "size=100000", "volume_imbalance_bars": "size=6", "vpin_buckets": "size=5",
	"vpin": "", "btc_clock": "n=15", "alts_per_btc": "n=15", "notional_rank": "n=2", "imbalance_100": "n=100",
}

// TestOracle_Catalogue runs shipped views as they are shipped, all rows and features, against
// a second implementation in plain Python. The views that SQL computes are compared in
// TestOracle_SpecSQL.
func TestOracle_Catalogue(t *testing.T) {
	python := exenv.Get(t, "TIDEMARK_ORACLE_PYTHON")
	dir := t.TempDir()
	inputs := writeCatalogueInput(t, dir)
	if out, err := exec.Command(python, "testdata/catalogue_oracle.py", dir).CombinedOutput(); err != nil {
		t.Fatalf("oracle: %v\n%s", err, out)
	}
	wants, err := filepath.Glob(filepath.Join(dir, "want_*.csv"))
	if err != nil || len(wants) < 25 {
		t.Fatalf("%d views: %v", len(wants), err)
	}
	for _, name := range specs.Names() {
		_, err := os.Stat(filepath.Join(dir, "want_"+name+".csv"))
		if _, ok := notSQL[name]; ok && err != nil {
			t.Errorf("%s has no oracle: neither this one nor a query", name)
		}
	}
	values := 0
	for _, path := range wants {
		view := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "want_"), ".csv")
		t.Run(view, func(t *testing.T) {
			out := filepath.Join(dir, view+"_rows.csv")
			cfg := run.Config{Specs: []string{view}, Inputs: inputs, Output: out}
			if set := catalogueParams[view]; set != "" {
				cfg.Set = []string{set}
			}
			runView(t, cfg)
			values += compareCatalogue(t, readRows(t, out), readRows(t, path))
		})
	}
	t.Logf("%d values of %d views", values, len(wants))
}

// compareCatalogue compares rows in their order. The oracle has a column for every column
// of the rows but available_at and flags; its name says how closely: see the script.
func compareCatalogue(t *testing.T, got, want [][]string) (values int) {
	t.Helper()
	type column struct {
		at           int
		rel, floor   float64
		name, suffix string
	}
	var cols []column
	for _, h := range want[0] {
		c := column{name: h}
		if i := strings.IndexAny(h, "~%"); i >= 0 {
			c.name, c.suffix = h[:i], h[i:]
		}
		switch {
		case c.suffix == "%":
			c.rel = 0.01 + 1e-9
		case c.suffix != "":
			c.rel = 1e-12
			c.floor, _ = strconv.ParseFloat(c.suffix[1:], 64)
		}
		c.at = slices.Index(got[0], c.name)
		cols = append(cols, c)
	}
	for _, h := range got[0] {
		if h != "available_at" && h != "flags" && !slices.ContainsFunc(cols, func(c column) bool { return c.name == h }) {
			t.Errorf("the oracle has no %s", h)
		}
	}
	bad := 0
	for r := 1; r < max(len(got), len(want)) && bad < 5; r++ {
		if r >= len(got) || r >= len(want) {
			t.Errorf("%d rows, want %d", len(got)-1, len(want)-1)
			break
		}
		for k, c := range cols {
			if values++; !sameCell(got[r][c.at], want[r][k], c.rel, c.floor) {
				bad++
				t.Errorf("row %d: %s is %q, want %q\n got %v\nwant %v", r, c.name, got[r][c.at], want[r][k], got[r], want[r])
				break
			}
		}
	}
	if len(want) < 20 {
		t.Errorf("only %d rows", len(want)-1)
	}
	return values
}

func sameCell(got, want string, rel, floor float64) bool {
	w, ok := new(big.Rat).SetString(want)
	if !ok || got == "" {
		return got == want
	}
	f, _ := w.Float64()
	g, err := strconv.ParseFloat(got, 64)
	return err == nil && math.Abs(g-f) <= rel*max(math.Abs(f), floor)
}

// writeCatalogueInput writes 18 hours of a market over a midnight: thin trading, three
// times of ten minutes with much of it, quotes of four venues in these, funding, listings,
// status rows, and a book for four minutes.
func writeCatalogueInput(t *testing.T, dir string) (paths []string) {
	t.Helper()
	r := rand.New(rand.NewPCG(41, 43))
	const start, hours = int64(1_767_528_000_000_000), 18 // 12:00 on 2026-01-04
	busy := []int64{start + 1_800e6, start + 12*3600e6 - 300e6, start + 16*3600e6}
	isBusy := func(ts int64) bool {
		return slices.ContainsFunc(busy, func(b int64) bool { return ts >= b && ts < b+600e6 })
	}
	type inst struct {
		exchange, market, symbol string
		price, weight            int
	}
	insts := []inst{{"alpha", "spot", "BTC-USDT", 9_000_00, 30}, {"alpha", "spot", "ETH-USDT", 300_00, 15}, {"alpha", "spot", "XRP-USDT", 2_00, 8},
		{"alpha", "spot", "LTC-USDT", 80_00, 5}, {"beta", "spot", "BTC-USDT", 9_001_00, 6}, {"beta", "spot", "ETH-USDT", 301_00, 4}, {"alpha", "perp", "BTC-USDT", 9_002_00, 6}}
	var wheel []int
	for i, x := range insts {
		for range x.weight {
			wheel = append(wheel, i)
		}
	}
	var b strings.Builder
	b.WriteString("kind,feed,exchange,market,symbol,event_ts,ingest_ts,seq,id,side,price,quantity\n")
	last, seq := 0, 0
	for ts := start; ts < start+hours*3600e6; {
		tie := r.IntN(12) == 0
		if isBusy(ts) {
			ts += 1 + r.Int64N(2_000_000)
		} else if tie = tie && ts > start; !tie {
			ts += 1 + r.Int64N(50_000_000)
		}
		i := wheel[r.IntN(len(wheel))]
		if tie && !isBusy(ts) {
			i = last // one instrument alone has several trades at one time
		}
		last = i
		x := &insts[i]
		x.price = max(x.price+r.IntN(2*x.price/1000+3)-x.price/1000-1, 50)
		seq++
		fmt.Fprintf(&b, "trade,o-%s,%s,%s,%s,%d,%d,%d,%d,%s,%d.%02d,%d.%03d\n", x.exchange, x.exchange, x.market, x.symbol, ts, ts+1000+r.Int64N(90_000), seq, seq,
			[]string{"buy", "buy", "buy", "sell", "sell", "unknown"}[r.IntN(6)], x.price/100, x.price%100, r.IntN(2), 1+r.IntN(999))
	}
	put := func(kind string) {
		path := filepath.Join(dir, kind+".csv")
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
		b.Reset()
	}
	put("trade")

	b.WriteString("kind,feed,exchange,market,symbol,event_ts,ingest_ts,seq,bid_price,bid_quantity,ask_price,ask_quantity\n")
	mids := map[string]int{"BTC-USDT": 9_000_00, "ETH-USDT": 300_00}
	seq = 0
	for k, from := range busy {
		for ts := from; ts < from+120e6; {
			ts += 1 + r.Int64N(150_000)
			if r.IntN(40) == 0 {
				ts += 1_000_000 - ts%1_000_000 // onto the grid
			}
			venue := r.IntN(4)
			if venue == 3 && ts/10e6%3 == 0 || venue == 2 && ts/7e6%5 == 0 {
				continue // silent at times
			}
			symbol, place := "BTC-USDT", "spot"
			if r.IntN(3) == 0 {
				symbol = "ETH-USDT"
			}
			if venue == 0 && r.IntN(3) == 0 {
				place = "perp"
				if k == 1 && ts/5e6%2 == 0 {
					continue
				}
			}
			mids[symbol] += r.IntN(41) - 20
			bid := mids[symbol] + r.IntN(30)
			if venue == 3 && ts/20e6%2 == 0 {
				bid += bid / 20
			}
			ask := bid + r.IntN(25)
			seq++
			name := []string{"alpha", "beta", "gamma", "delta"}[venue]
			fmt.Fprintf(&b, "quote,o-%s,%s,%s,%s,%d,%d,%d,%d.%02d,%d,%d.%02d,%d.5\n", name, name, place, symbol, ts, ts+500+r.Int64N(60_000), seq,
				bid/100, bid%100, r.IntN(9), ask/100, ask%100, 1+r.IntN(9))
		}
	}
	put("quote")

	b.WriteString("kind,feed,exchange,market,symbol,event_ts,ingest_ts,rate,form,next_ts,interval\n")
	for ts := start - 3*3600e6; ts < start+hours*3600e6; ts += 60e6 + r.Int64N(2400e6) {
		next := (ts/28_800e6 + 1) * 28_800e6
		fmt.Fprintf(&b, "funding,o-alpha,alpha,perp,BTC-USDT,%d,%d,0.000%03d,predicted,%d,28800000000\n", ts, ts+40_000, r.IntN(900), next)
		if r.IntN(6) == 0 {
			fmt.Fprintf(&b, "funding,o-alpha,alpha,perp,BTC-USDT,%d,%d,-0.000%03d,settled,%d,28800000000\n", ts+1000, ts+41_000, r.IntN(900), next)
		}
	}
	put("funding")

	b.WriteString("kind,feed,exchange,market,symbol,event_ts,ingest_ts,state,reason,from_seq,to_seq\n")
	for ts := start; ts < start+hours*3600e6; {
		ts += 1 + r.Int64N(120e6)
		if r.IntN(15) == 0 {
			ts += r.Int64N(3600e6)
		}
		state := []string{"gap", "resync", "resync", "crossed", "checksum", "up", "maintenance"}[r.IntN(7)]
		span := ","
		if state == "gap" {
			n := r.IntN(1000)
			span = fmt.Sprintf("%d,%d", n, n+r.IntN(9))
		}
		fmt.Fprintf(&b, "status,o-alpha,alpha,spot,%s,%d,%d,%s,,%s\n", []string{"BTC-USDT", "ETH-USDT"}[r.IntN(2)], ts, ts+40_000, state, span)
	}
	put("status")

	b.WriteString("kind,feed,exchange,market,symbol,event_ts,ingest_ts,base_asset,quote_asset,inverse,state,listed_ts,delisted_ts\n")
	for _, x := range []struct {
		exchange, base, state string
		at, listed, delisted  int64 // hours after start, 0 for none
	}{
		{"alpha", "BTC", "trading", -1, 0, 0}, {"alpha", "ETH", "trading", -1, 0, 15}, {"alpha", "XRP", "trading", -1, 0, 0}, {"beta", "ETH", "halted", -1, 0, 13},
		{"alpha", "LTC", "trading", -1, 8, 0}, {"alpha", "SOL", "trading", -1, 0, 0}, {"alpha", "XRP", "delisted", 12, 0, 0}, {"alpha", "XRP", "trading", 16, 0, 0},
	} {
		at := func(h int64) string {
			if h == 0 {
				return ""
			}
			return strconv.FormatInt(start+h*3600e6+1, 10)
		}
		fmt.Fprintf(&b, "instrument,o-%s,%s,spot,%s-USDT,%s,,%s,USDT,false,%s,%s,%s\n", x.exchange, x.exchange, x.base, at(x.at), x.base, x.state, at(x.listed), at(x.delisted))
	}
	put("instrument")

	// Four minutes between two keyframes: prices in tenths around a middle that is free.
	levels := func(lo, n, all int) string {
		var cells []string
		for p := lo; p < lo+n; p++ {
			if r.IntN(all) == 0 {
				cells = append(cells, fmt.Sprintf("%d.%d:%d", p/10, p%10, r.IntN(8)))
			}
		}
		return strings.Join(cells, "|")
	}
	b.WriteString("kind,feed,exchange,market,symbol,event_ts,ingest_ts,seq,bids,asks\n")
	middle := 50_000
	for ts, n := start+30e6, 1; ts < start+270e6; n++ {
		kind, bids, asks := "orderbook.delta", levels(middle-16, 16, 4), levels(middle+1, 16, 4)
		switch move := r.IntN(8); {
		case n == 1: // whole: every level has a size
			kind, bids, asks = "orderbook.snapshot", "", ""
			for k := range 16 {
				bids += fmt.Sprintf("|%d.%d:%d", (middle-1-k)/10, (middle-1-k)%10, 1+k%5)
				asks += fmt.Sprintf("|%d.%d:%d", (middle+1+k)/10, (middle+1+k)%10, 2+k%4)
			}
			bids, asks = bids[1:], asks[1:]
		case move < 2: // the middle moves by one, what lies there goes
			middle++
			asks = fmt.Sprintf("%d.%d:0", middle/10, middle%10)
			bids = fmt.Sprintf("%d.%d:3", (middle-1)/10, (middle-1)%10)
		case move < 4:
			middle--
			bids = fmt.Sprintf("%d.%d:0", middle/10, middle%10)
			asks = fmt.Sprintf("%d.%d:4", (middle+1)/10, (middle+1)%10)
		}
		fmt.Fprintf(&b, "%s,o-alpha,alpha,spot,BTC-USDT,%d,%d,%d,%s,%s\n", kind, ts, ts+900, n, bids, asks)
		ts += 1 + r.Int64N(700_000)
		if r.IntN(60) == 0 {
			ts += r.Int64N(9e6)
		}
	}
	put("book")

	b.WriteString("view,name,value\nvpin,size,100\n")
	for view, set := range catalogueParams {
		if name, value, ok := strings.Cut(set, "="); ok {
			fmt.Fprintf(&b, "%s,%s,%s\n", view, name, value)
		}
	}
	put("params")
	return paths[:len(paths)-1]
}
