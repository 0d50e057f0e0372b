package run_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/exdata"
	"github.com/pinova-group/tidemark/run"
)

// rawBar is a minute of trades, added up plainly.
type rawBar struct {
	open, high, low, close, volume, notional, buy, sell *big.Rat
	trades                                              int64
	first, last                                         int64 // trade ids
}

func (b *rawBar) add(id int64, p, q *big.Rat, sell bool) {
	if b.trades == 0 {
		b.open, b.high, b.low, b.close = p, p, p, p
		b.volume, b.notional, b.buy, b.sell = new(big.Rat), new(big.Rat), new(big.Rat), new(big.Rat)
		b.first, b.last = id, id
	}
	if id < b.first {
		b.first, b.open = id, p
	}
	if id > b.last {
		b.last, b.close = id, p
	}
	if p.Cmp(b.high) > 0 {
		b.high = p
	}
	if p.Cmp(b.low) < 0 {
		b.low = p
	}
	b.volume.Add(b.volume, q)
	b.notional.Add(b.notional, new(big.Rat).Mul(p, q))
	if sell {
		b.sell.Add(b.sell, q)
	} else {
		b.buy.Add(b.buy, q)
	}
	b.trades++
}

// rawBars reads the trades of recorded streams with encoding/json and big.Rat.
func rawBars(t *testing.T, files []string) (bars map[int64]*rawBar, trades int64) {
	t.Helper()
	bars = map[int64]*rawBar{}
	var ids []int64
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
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
					ID           int64  `json:"t"`
					Price        string `json:"p"`
					Quantity     string `json:"q"`
					Time         int64  `json:"T"`
					Type         string `json:"X"`
					BuyerIsMaker bool   `json:"m"`
					Ignore       any    `json:"M"` // else encoding/json takes M for m
				} `json:"data"`
			}
			if err := json.Unmarshal(body, &m); err != nil {
				t.Fatal(err)
			}
			d := m.Data
			ids = append(ids, d.ID)
			if d.Type != "" && d.Type != "MARKET" {
				continue
			}
			minute := d.Time / 60_000 * 60_000_000
			if bars[minute] == nil {
				bars[minute] = &rawBar{}
			}
			bars[minute].add(d.ID, rat(t, d.Price), rat(t, d.Quantity), d.BuyerIsMaker)
			trades++
		}
		if err := in.Err(); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	for i, id := range ids {
		if i > 0 && id != ids[i-1]+1 {
			t.Fatalf("trade ids jump from %d to %d", ids[i-1], id)
		}
	}
	return bars, trades
}

// TestRawstreams_BarsEqualPlainSums compares bars of recorded Binance streams of three
// markets with sums over the same JSON by encoding/json and big.Rat.
func TestRawstreams_BarsEqualPlainSums(t *testing.T) {
	for _, c := range []struct {
		name string
		days []string
	}{
		{"spot_btcusdt", []string{"08", "09"}}, {"spot_ethusdt", []string{"08", "09"}},
		{"usdm_btcusdt", []string{"08"}}, {"usdm_ethusdt", []string{"08"}},
		{"cm_btcusd_perp", []string{"08", "09"}}, {"cm_ethusd_perp", []string{"08", "09"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var files []string
			for _, d := range c.days {
				files = append(files, exdata.Path(t, fmt.Sprintf("rawstream/binance_%s_202408%s.jsonl.gz", c.name, d)))
			}
			want, trades := rawBars(t, files)
			out := filepath.Join(t.TempDir(), "bars.csv")
			runView(t, run.Config{Specs: []string{"trade_bars_1m"}, Inputs: files, Output: out})
			got := readTable(t, out, "window_start")
			cmp := &comparison{t: t}
			if len(got) != len(want) {
				t.Fatalf("%d bars, want %d", len(got), len(want))
			}
			for key, g := range got {
				var start int64
				if _, err := fmt.Sscan(g["window_start"], &start); err != nil {
					t.Fatal(err)
				}
				w := want[start]
				if w == nil {
					t.Fatalf("bar %s has no trades", key)
				}
				trades -= w.trades
				for f, v := range map[string]*big.Rat{
					"open": w.open, "high": w.high, "low": w.low, "close": w.close, "volume": w.volume, "notional": w.notional,
					"taker_buy": w.buy, "taker_sell": w.sell, "trades": big.NewRat(w.trades, 1), "vwap": new(big.Rat).Quo(w.notional, w.volume),
				} {
					cmp.exact(key, f, g[f], v)
				}
				if strings.Contains(g["flags"], "gap") {
					t.Errorf("bar %s has the flag gap in a stream without one", key)
				}
			}
			if trades != 0 {
				t.Errorf("%d trades are in no bar", trades)
			}
		})
	}
}
