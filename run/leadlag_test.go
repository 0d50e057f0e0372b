package run_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/run"
)

// point is a price from an instant on, in hundredths.
type point struct{ t, price int64 }

// rawPrices are the last prices of each instant of a recorded stream, from its JSON.
func rawPrices(t *testing.T, file string, from, to int64) (out []point) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(z)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		_, body, _ := bytes.Cut(in.Bytes(), []byte(" "))
		if !bytes.Contains(body[:min(len(body), 80)], []byte("@trade")) {
			continue
		}
		var m struct {
			Data struct {
				ID    int64  `json:"t"` // else encoding/json takes t for T
				Price string `json:"p"`
				Time  int64  `json:"T"`
				Type  string `json:"X"`
			} `json:"data"`
		}
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatal(err)
		}
		ts := m.Data.Time * 1000
		if m.Data.Type != "MARKET" || ts < from || ts >= to {
			continue
		}
		p, ok := new(big.Rat).SetString(m.Data.Price)
		if !ok {
			t.Fatalf("price %q", m.Data.Price)
		}
		p.Mul(p, big.NewRat(100, 1))
		if !p.IsInt() {
			t.Fatalf("price %q has more than two digits", m.Data.Price)
		}
		x := point{ts, p.Num().Int64()}
		if n := len(out); n > 0 && out[n-1].t == ts {
			out[n-1] = x
		} else {
			out = append(out, x)
		}
	}
	return out
}

// overlapping adds up the products of all changes whose intervals overlap, the times of b
// set back.
func overlapping(a, b []point, back int64) (sum int64) {
	first := 1
	for i := 1; i < len(a); i++ {
		for first < len(b) && b[first].t-back <= a[i-1].t {
			first++
		}
		for j := first; j < len(b) && b[j-1].t-back < a[i].t; j++ {
			sum += (a[i].price - a[i-1].price) * (b[j].price - b[j-1].price)
		}
	}
	return sum
}

// Five minutes of recorded BTC and ETH perpetuals: the covariance over pairs of changes
// and the lead are those of plain loops over the messages.
func TestRawstreams_LeadLagEqualsPlainLoops(t *testing.T) {
	t.Parallel()
	btc := exdata.Path(t, "rawstream/binance_usdm_btcusdt_20240808.jsonl.gz")
	eth := exdata.Path(t, "rawstream/binance_usdm_ethusdt_20240808.jsonl.gz")
	cfg := run.DefaultConfig()
	cfg.Specs, cfg.Inputs, cfg.Output = []string{"lead_lag_5m"}, []string{btc, eth}, filepath.Join(t.TempDir(), "rows.csv")
	runView(t, cfg)
	text, err := os.ReadFile(cfg.Output)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, row := range rows[1:] {
		start, err := strconv.ParseInt(row[2], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		a, b := rawPrices(t, btc, start, start+5*market.Minute), rawPrices(t, eth, start, start+5*market.Minute)
		if len(a) < 2 || len(b) < 2 {
			continue
		}
		want, _ := new(big.Rat).SetFrac64(overlapping(a, b, 0), 10_000).Float64()
		if got, err := strconv.ParseFloat(row[7], 64); err != nil || got != want {
			t.Errorf("at %d: hy is %s, plain %v", start, row[7], want)
		}
		lead, best := int64(0), int64(-1)
		for k := range int64(21) {
			for _, lag := range []int64{k, -k} {
				s := overlapping(a, b, lag*100*market.Millisecond)
				if s = max(s, -s); s > best {
					lead, best = lag, s
				}
			}
		}
		if row[8] != strconv.FormatInt(lead*100*market.Millisecond, 10) {
			t.Errorf("at %d: lead is %s, plain %d", start, row[8], lead*100*market.Millisecond)
		}
		compared++
	}
	if compared < 2 {
		t.Errorf("only %d rows compared", compared)
	}
}
