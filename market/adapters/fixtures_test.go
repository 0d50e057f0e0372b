package adapters

import (
	"bufio"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/market"
)

// fixture is one line of the folder payloads: a single message and where it comes from.
type fixture struct {
	Exchange, Feed, Kind, Case, Src string
	Raw                             string
	Msg, Data                       json.RawMessage
}

func (f *fixture) payload() []byte {
	if f.Raw != "" {
		return []byte(f.Raw)
	}
	raw := f.Msg
	if raw == nil {
		raw = f.Data
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return []byte(text)
	}
	return raw
}

func readFixtures(t *testing.T, name string) []fixture {
	t.Helper()
	in := openData(t, "payloads/"+name)
	defer in.Close()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, MaxLine)
	var out []fixture
	for lines.Scan() {
		var f fixture
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// outcome names what an adapter made of a message: its kinds, or filtered or bad with the reason.
func outcome(t *testing.T, a *Adapter, msg []byte) string {
	t.Helper()
	d := a.New(Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments()})
	var c market.Chunk
	err := d.Decode(&Record{Data: msg, Ingest: 1700000000000000}, &c)
	var bad *BadRecord
	switch {
	case errors.As(err, &bad):
		return "bad: " + bad.Reason
	case err != nil:
		return err.Error()
	}
	var kinds []string
	for k, b := range c.Batches {
		if b != nil && b.N > 0 {
			kinds = append(kinds, market.Kind(k).String())
		}
	}
	return strings.Join(kinds, "+")
}

// fixtureKinds says what a message of our formats must become, by what names it: OKX
// channel, Bybit topic, Coinbase channel, Kraken channel. Messages that are named by
// nothing in the table are of other formats and must be unknown, not misread.
var fixtureKinds = map[string]string{
	"okx trades": "trade", "okx books": "book", "okx books-l2-tbt": "book", "okx books5": "book", "okx bbo-tbt": "quote",
	"okx candle1m": "candle", "okx candle1D": "candle", "okx funding-rate": "funding", "okx mark-price": "mark_price",
	"okx open-interest": "open_interest", "okx liquidation-orders": "liquidation", "okx tickers": "filtered",
	"okx index-tickers": "filtered", "okx sprd-public-trades": "filtered", "okx sprd-books5": "filtered", "okx sprd-bbo-tbt": "filtered",
	"bybit publicTrade": "trade", "bybit orderbook 1": "quote", "bybit orderbook 50": "book", "bybit kline": "candle",
	"bybit liquidation": "liquidation", "bybit allLiquidation": "liquidation",
	"coinbase l2_data": "book", "coinbase market_trades": "trade", "coinbase candles": "candle", "coinbase ticker": "filtered",
	"kraken trade": "trade", "kraken book": "book", "kraken spread": "quote", "kraken ohlc": "candle", "kraken ticker": "filtered",
}

// nameOf is the key of fixtureKinds for a message, "" when it names nothing.
func nameOf(adapter string, msg []byte) string {
	if adapter == "kraken" {
		var parts []json.RawMessage
		if json.Unmarshal(msg, &parts) != nil || len(parts) < 4 {
			return ""
		}
		var channel string
		_ = json.Unmarshal(parts[len(parts)-2], &channel)
		channel, _, _ = strings.Cut(channel, "-")
		return "kraken " + channel
	}
	var m struct {
		Topic, Channel, Event string
		Arg                   struct{ Channel string }
	}
	if json.Unmarshal(msg, &m) != nil || m.Event != "" {
		return ""
	}
	topic := strings.Split(m.Topic, ".")
	if topic[0] == "orderbook" {
		return adapter + " orderbook " + topic[1]
	}
	return adapter + " " + topic[0] + m.Channel + m.Arg.Channel
}

func TestFixtures_DecodeToTheirKinds(t *testing.T) {
	venues := map[string]*Adapter{"kraken": Kraken, "coinbase": Coinbase, "bybit": Bybit, "okx": OKX, "okex": OKX}
	decoded := map[string]int{}
	for _, file := range []string{"crypto_msg_parser_ws_messages.jsonl", "tardis_node_mapper_messages.jsonl", "nautilus_adapter_market_payloads.jsonl"} {
		for _, f := range readFixtures(t, file) {
			prefix, _, _ := strings.Cut(strings.NewReplacer("-", " ", "_", " ").Replace(f.Exchange+f.Feed), " ")
			a := venues[prefix]
			if a == nil {
				continue
			}
			msg := f.payload()
			got := outcome(t, a, msg)
			kind, _, _ := strings.Cut(got, ":")
			want, ours := fixtureKinds[nameOf(a.Name, msg)]
			switch {
			case ours && kind == want || ours && got == "filtered: funding rate is not set":
				decoded[a.Name]++
			case ours:
				t.Errorf("%s: got %q, want %q: %.200s", f.Src, got, want, msg)
			case kind == "bad" && got != "bad: "+badUnknown:
				t.Errorf("%s: message of another format is %q: %.200s", f.Src, got, msg)
			}
		}
	}
	for name, least := range map[string]int{"kraken": 8, "coinbase": 5, "bybit": 19, "okx": 50} {
		if decoded[name] < least {
			t.Errorf("%s: only %d fixtures of its format", name, decoded[name])
		}
	}
	t.Log(decoded)
}
