package adapters

import (
	"testing"

	"github.com/pinova-group/tidemark/market"
)

// In steady state a message costs no allocation.
func TestVenues_AllocateNothing(t *testing.T) {
	for _, c := range []struct {
		name, msg string
		a         *Adapter
	}{
		{"kraken trade", `[993,[["354.11000000","0.89594024","1618678142.557535","s","l",""]],"trade","XMR/USD"]`, Kraken},
		{"kraken book", `[992,{"b":[["354.15000000","5.00000000","1618678133.365913"]],"c":"2583817756"},"book-1000","XMR/USD"]`, Kraken},
		{"coinbase trade", `{"channel":"market_trades","timestamp":"2026-08-09T21:05:48.228568804Z","sequence_num":0,"events":[{"type":"update","trades":[{"product_id":"BTC-USD","trade_id":"1068572090","price":"65083.67","size":"0.002186","time":"2026-08-09T21:05:42.514318Z","side":"SELL"}]}]}`, Coinbase},
		{"coinbase book", `{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.483587501Z","sequence_num":0,"events":[{"type":"update","product_id":"BTC-USD","updates":[{"side":"bid","event_time":"2026-08-09T21:05:48.170326Z","price_level":"65083.66","new_quantity":"0.20371215"}]}]}`, Coinbase},
		{"coinbase tape", `"BTC-USD","buy",25741.03,3.844E-5,"2023-09-05T16:00:02.722748Z"`, CoinbaseCSV},
		{"bybit book", `{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1786310818130,"data":{"s":"BTCUSDT","b":[["65095.30","0.005"]],"a":[["65116.60","0"]],"u":15076953,"seq":753843913870},"cts":1786310818129}`, Bybit},
		{"bybit trade", `{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1786310819681,"data":[{"T":1786310819680,"s":"BTCUSDT","S":"Sell","v":"0.004","p":"65114.20","i":"a9188a0a","BT":false,"seq":7}]}`, Bybit},
		{"bybit ticker", `{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","markPrice":"65117.44","fundingRate":"0.0001"},"cs":7,"ts":1786310817883}`, Bybit},
		{"okx trade", `{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1","px":"42219.9","sz":"0.12060306","side":"buy","ts":"1630048897897","count":"3"}]}`, OKX},
		{"okx book", `{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"update","data":[{"asks":[["8476.98","415","0","13"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","checksum":-855196043,"prevSeqId":1,"seqId":123456}]}`, OKX},
	} {
		d := c.a.New(Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments()})
		var chunk market.Chunk
		rec := Record{Data: []byte(c.msg), Ingest: 1786310819681000, URL: "wss://stream.bybit.com/v5/public/linear"}
		n := testing.AllocsPerRun(100, func() {
			if err := d.Decode(&rec, &chunk); err != nil {
				t.Fatal(err)
			}
			chunk.Reset()
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}
