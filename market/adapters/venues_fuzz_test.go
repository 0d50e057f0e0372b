package adapters

import (
	"errors"
	"testing"

	"github.com/pinova-group/tidemark/market"
)

// fuzzVenue feeds data twice to a decoder and checks what every decoder promises:
// no panic, errors of the known kinds, rows that are whole and within the rules.
func fuzzVenue(f *testing.F, a *Adapter, urls []string, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
		f.Add([]byte(`{"t":"recv","conn":"C.1","ts":1700000000.25,"data":"` + s[:min(len(s), 20)] + `"}`))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a.Detect(data)
		d := a.New(Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments()})
		var c market.Chunk
		for i := range 2 {
			before := c.Len()
			err := d.Decode(&Record{Data: data, Ingest: 1700000000000000, Offset: int64(i), URL: urls[i%len(urls)]}, &c)
			var bad *BadRecord
			switch {
			case err == nil && c.Len() == before:
				t.Fatal("neither rows nor an error")
			case err != nil && errors.Is(err, ErrFiltered) && c.Len() != before:
				t.Fatal("filtered, but has rows")
			case err != nil && !errors.Is(err, ErrFiltered) && (!errors.As(err, &bad) || bad.Count < 1):
				t.Fatalf("error of no known kind: %v", err)
			}
		}
		for _, b := range c.Batches {
			if b != nil {
				checkRows(t, b)
			}
		}
	})
}

// checkRows checks that a batch has one value in each column of each row, and the
// rules that hold for all venues.
func checkRows(t *testing.T, b *market.Batch) {
	for i, f := range market.Schema(b.Kind) {
		c := &b.Cols[i]
		n := len(c.I64)
		switch f.Type {
		case market.TypeText:
			n = max(0, len(c.Off)-1)
		case market.TypeDecs:
			n = max(0, len(c.Off)-1)
			if len(c.Scale) != b.N || int(c.Off[len(c.Off)-1]) != len(c.I64) {
				t.Fatalf("%v.%s: list broken", b.Kind, f.Name)
			}
		case market.TypeDec:
			if len(c.Scale) != b.N {
				t.Fatalf("%v.%s: %d scales for %d rows", b.Kind, f.Name, len(c.Scale), b.N)
			}
		}
		if n != b.N {
			t.Fatalf("%v.%s: %d values for %d rows", b.Kind, f.Name, n, b.N)
		}
		for _, s := range c.Scale {
			if s < 0 || s > 18 {
				t.Fatalf("%v.%s: scale %d", b.Kind, f.Name, s)
			}
		}
	}
	for i := range b.N {
		if !market.ValidTime(b.EventTS[i]) || b.ID[i] == (market.ID{}) {
			t.Fatalf("%v row %d: time %d, id %x", b.Kind, i, b.EventTS[i], b.ID[i])
		}
		if b.Kind == market.KindTrade && (b.Cols[market.TradePrice].I64[i] <= 0 || b.Cols[market.TradeQuantity].I64[i] <= 0) {
			t.Fatal("trade without positive price and quantity")
		}
	}
}

func FuzzKraken_Decode(f *testing.F) {
	fuzzVenue(f, Kraken, []string{"", "https://api.kraken.com/0/public/OHLC?interval=5"},
		`[993,[["354.11000000","0.89594024","1618678142.557535","s","l",""]],"trade","XMR/USD"]`,
		`[1360,{"as":[["0.000022900","13355.87450757","1618678123.481570"]],"bs":[["0.000022800","1.0","1618678123.481571"]]},"book-1000","SC/EUR"]`,
		`[1920,{"a":[["0.042990","364630.28272081","1618678145.920470"]]},{"b":[["0.042990","0.00000000","1618678145.920708","r"]],"c":"4105471083"},"book-1000","SC/EUR"]`,
		`[341,["31760.00000","31760.10000","1654031976.197239","0.02167307","6.46761464"],"spread","XBT/USD"]`,
		`[343,["1675209613.118218","1675209660.000000","23135.0","23135.4","23135.0","23135.4","23135.1","0.39",7],"ohlc-1","XBT/USD"]`,
		`{"event":"heartbeat"}`,
		`{"error":[],"result":{"XXBTZUSD":[["105433.6","0.00027625",1762795433.9717445,"b","l","",10218208]],"last":"1"}}`,
		`{"error":[],"result":{"XBTUSDT":[[1762777020,"1.5","1.6","1.4","1.5","0.0","0.1",3],[1762777080,"1.5","1.6","1.4","1.5","0.0","0.1",3]],"last":5}}`,
		`{"error":[],"result":{"AAVEAUD":{"altname":"AAVEAUD","wsname":"AAVE\/AUD","pair_decimals":2,"lot_decimals":8,"tick_size":"0.01","status":"online"}}}`)
}

func FuzzCoinbase_Decode(f *testing.F) {
	fuzzVenue(f, Coinbase, []string{""},
		`{"channel":"market_trades","timestamp":"2026-08-09T21:05:48.228568804Z","sequence_num":0,"events":[{"type":"snapshot","trades":[{"product_id":"BTC-USD","trade_id":"1068572090","price":"65083.67","size":"0.002186","time":"2026-08-09T21:05:42.514318Z","side":"SELL"}]}]}`,
		`{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.483587501Z","sequence_num":13,"events":[{"type":"update","product_id":"BTC-USD","updates":[{"side":"bid","event_time":"2026-08-09T21:05:48.170326Z","price_level":"65083.66","new_quantity":"0.20371215"}]}]}`,
		`{"channel":"candles","timestamp":"2026-08-09T21:05:51.491081826Z","sequence_num":138,"events":[{"type":"update","candles":[{"start":"1786309500","high":"1919.6","low":"1919.27","open":"1919.58","close":"1919.41","volume":"36.3","product_id":"ETH-USD"}]}]}`,
		`{"products":[{"product_id":"BTC-USD","base_increment":"0.00000001","status":"online","product_type":"SPOT","quote_currency_id":"USD","base_currency_id":"BTC","price_increment":"0.01"}]}`)
}

func FuzzCoinbaseCSV_Decode(f *testing.F) {
	fuzzVenue(f, CoinbaseCSV, []string{""}, `"symbol","side","price","amount","timestamp"`,
		`"BTC-USD","buy",25741.03,3.844E-5,"2023-09-05T16:00:02.722748Z"`, `BTC-USD,sell,1,2,2024-02-29T23:59:59Z`)
}

func FuzzBybit_Decode(f *testing.F) {
	fuzzVenue(f, Bybit, []string{"", "wss://stream.bybit.com/v5/public/spot"},
		`{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1786310818130,"data":{"s":"BTCUSDT","b":[["65095.30","0.005"]],"a":[["65116.60","0"]],"u":15076953,"seq":753843913870},"cts":1786310818129}`,
		`{"topic":"orderbook.1.BTCUSD","type":"snapshot","ts":1786310818130,"data":{"s":"BTCUSD","b":[["65095.30","0.005"]],"a":[["65116.60","1"]],"u":1,"seq":7}}`,
		`{"topic":"publicTrade.BTCUSDU25","type":"snapshot","ts":1786310819681,"data":[{"T":1786310819680,"s":"BTCUSDU25","S":"Sell","v":"0.004","p":"65114.20","i":"a9188a0a","BT":false,"seq":7}]}`,
		`{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","markPrice":"65117.44","indexPrice":"65137.76","openInterest":"59891.732","openInterestValue":"3899996265.01","fundingIntervalHour":"8","nextFundingTime":"1786320000000","fundingRate":"0.0001"},"cs":7,"ts":1786310817883}`,
		`{"topic":"kline.1.BTCUSDT","data":[{"start":1786310760000,"end":1786310819999,"interval":"1","open":"65119.9","close":"65114.3","high":"65119.9","low":"65114.2","volume":"1.576","turnover":"102627.995","confirm":false,"timestamp":1786310818440}],"ts":1786310818440,"type":"snapshot"}`,
		`{"topic":"allLiquidation.ROSEUSDT","type":"snapshot","ts":1739502303204,"data":[{"T":1739502302929,"s":"ROSEUSDT","S":"Sell","v":"20000","p":"0.04499"}]}`,
		`{"retCode":0,"result":{"category":"linear","list":[{"symbol":"BTC-6JAN23","status":"Trading","baseCoin":"BTC","quoteCoin":"USDC","launchTime":"1758175736000","deliveryTime":"0","priceFilter":{"tickSize":"0.0001"},"lotSizeFilter":{"qtyStep":"0.1"}}]}}`)
}

func FuzzOKX_Decode(f *testing.F) {
	fuzzVenue(f, OKX, []string{""},
		`{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1","px":"42219.9","sz":"0.12060306","side":"buy","ts":"1630048897897","count":"3"}]}`,
		`{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"snapshot","data":[{"asks":[["8476.98","415","0","13"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","checksum":-855196043,"prevSeqId":-1,"seqId":123456}]}`,
		`{"arg":{"channel":"bbo-tbt","instId":"BTC-USD-220527"},"data":[{"asks":[["8476.98","415","0","13"]],"bids":[],"ts":"1597026383085","seqId":123456}]}`,
		`{"arg":{"channel":"funding-rate","instId":"BTC-USD-SWAP"},"data":[{"fundingRate":"0.00007","fundingTime":"1646323200000","instId":"BTC-USD-SWAP","nextFundingTime":"1646352000000"}]}`,
		`{"arg":{"channel":"candle4H","instId":"BTC-USDT"},"data":[["1654154580000","29930.7","29936.3","29930.7","29936.3","0.0111536","333.86246417"]]}`,
		`{"arg":{"channel":"liquidation-orders","instType":"FUTURES"},"data":[{"details":[{"bkPx":"0.55205","side":"buy","sz":"39","ts":"1680173247614"}],"instId":"XRP-USD-230929"}]}`,
		`{"code":"0","data":[{"ctMult":"1","ctType":"linear","ctVal":"0.01","instId":"BTC-USDT-SWAP","listTime":"1651824600735","lotSz":"1","state":"live","tickSz":"0.1"},{"instId":"BTC-USD-SWAP","oi":"4092973","ts":"1654348683853"},{"instId":"BTC-USD-SWAP","markPx":"1","ts":"1654348683853"}]}`)
}
