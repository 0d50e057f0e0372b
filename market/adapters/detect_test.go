package adapters

import (
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/exdata"
)

// Each adapter is sure of its own files among all the exchange data and silent on the others.
func TestVenues_DetectTheirOwnFiles(t *testing.T) {
	own := map[string]string{
		krakenCapture: "kraken", krakenTrades: "kraken-rest", krakenCandles: "kraken-rest",
		coinbaseCapture: "coinbase", coinbaseTape: "coinbase-csv",
		bybitCapture: "bybit", bybitBook: "bybit", okxCapture: "okx",
	}
	mine := []*Adapter{Kraken, KrakenREST, Coinbase, CoinbaseCSV, Bybit, OKX}
	root := filepath.Dir(exdata.Path(t, "README.md"))
	seen := 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		in := openData(t, name)
		defer in.Close()
		head, err := io.ReadAll(io.LimitReader(in, 64<<10))
		if err != nil {
			return err
		}
		for _, a := range mine {
			n := a.Detect(head)
			if a.Name == own[name] {
				seen++
				if n < 90 {
					t.Errorf("%s is only %d sure of %s", a.Name, n, name)
				}
				if best := Detect(head); best != a {
					t.Errorf("%s is taken for %s", name, best.Name)
				}
			} else if n != 0 {
				t.Errorf("%s is %d sure of %s", a.Name, n, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen != len(own) {
		t.Errorf("%d of %d files seen", seen, len(own))
	}
}

func TestVenues_DetectBareMessages(t *testing.T) {
	for head, want := range map[string]string{
		`[321,[["57126.70000","0.02063928","1616333924.737428","b","m",""]],"trade","XBT/USD"]` + "\n":                 "kraken",
		`{"error":[],"result":{"XBTUSDT":[["105433.60000","0.00027625",1762795433.9717445,"b","l","",1]],"last":"1"}}`: "kraken-rest",
		`{"channel":"l2_data","client_id":"","timestamp":"2026-04-07T14:30:00.1Z","sequence_num":0,"events":[]}`:       "coinbase",
		`symbol,side,price,amount,timestamp` + "\n":                                                                    "coinbase-csv",
		`{"topic":"orderbook.1.BTCUSDT","type":"snapshot","ts":1680673820717,"data":{}}`:                               "bybit",
		`{"type":"snapshot","topic":"kline.1.BTCUSDT","data":[]}`:                                                      "bybit",
		`{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[]}`:                                                   "okx",
		`{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"}}` + "\n":                                  "okx",
		"": "", "\x00\xff": "", "{": "", "[": "", "[1,2,3,4]": "", `{"a":1}`: "", `[17470,"te",[401597395,1574694478808,0.005,7245.3]]`: "",
	} {
		got := ""
		if a := Detect([]byte(head)); a != nil {
			got = a.Name
		}
		if got != want && !strings.HasPrefix(got, "binance") || want != "" && got != want {
			t.Errorf("%q: got %q, want %q", head, got, want)
		}
	}
}
