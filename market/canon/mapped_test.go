package canon

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
)

// mappedRows decodes a mapped file and gives its rows as canonical CSV, without the header, and
// what was said of bad lines.
func mappedRows(t *testing.T, m *Map, text string) (rows, bad []string) {
	t.Helper()
	a, err := Mapped(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	env := adapters.Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments()}
	d := a.New(env)
	var ch market.Chunk
	for i, line := range strings.Split(text, "\n") {
		rec := adapters.Record{Data: []byte(line), Offset: int64(i + 1), Ingest: market.NoTime}
		if err := d.Decode(&rec, &ch); err != nil {
			if _, ok := errors.AsType[*adapters.BadRecord](err); !ok {
				t.Fatalf("line %d: %v", i+1, err)
			}
			bad = append(bad, fmt.Sprintf("%d %v", i+1, err))
		}
	}
	for k, b := range ch.Batches {
		if b == nil {
			continue
		}
		var out bytes.Buffer
		w := NewWriter(&out, Options{Kind: market.Kind(k)}, env.Feeds, env.Insts)
		if err := errors.Join(w.Write(b), w.Flush()); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, strings.Split(strings.TrimSpace(out.String()), "\n")[1:]...)
	}
	return rows, bad
}

func tradeMap() *Map {
	return &Map{Kind: "trade", Columns: map[string]Source{
		"feed": {Value: "my-desk"}, "exchange": {Value: "alpha"}, "market": {Value: "spot"},
		"symbol":   {Column: "pair", Words: map[string]string{"BTCUSDT": "BTC-USDT"}},
		"event_ts": {Column: "time", Unit: "ms"},
		"id":       {Column: "trade_id"},
		"side":     {Column: "buyer_maker", Words: map[string]string{"true": "sell", "false": "buy"}},
		"price":    {Column: "px"}, "quantity": {Column: "qty"},
	}}
}

func TestMapped_TradesOfAVendor(t *testing.T) {
	want := []string{
		"trade,my-desk,alpha,spot,BTC-USDT,1767571200104000,,,881,buy,93251.10,0.012",
		"trade,my-desk,alpha,spot,ETH-USDT,1767571200390000,,,882,sell,0.000000000000000001,123456789.000",
	}
	lines := []string{"trade_id,time,pair,px,qty,buyer_maker,note", `881,1767571200104,BTCUSDT,93251.10,0.012,false,"a, ""b"""`,
		`882, 1767571200390,ETH-USDT,0.000000000000000001,123456789.000,true,`}
	for _, sep := range []string{",", ";", "\t", "|"} {
		text := strings.ReplaceAll(strings.Join(lines, "\n"), ",", sep)
		rows, bad := mappedRows(t, tradeMap(), "\xef\xbb\xbf"+text+"\n\n"+strings.ReplaceAll(lines[0], ",", sep))
		if !slices.Equal(rows, want) || bad != nil {
			t.Errorf("separator %q: got %q, bad %q", sep, rows, bad)
		}
	}
	m := tradeMap()
	m.Header = strings.Split(lines[0], ",")
	for _, text := range []string{strings.Join(lines[1:], "\n"), strings.Join(lines, "\n")} {
		if rows, bad := mappedRows(t, m, text); !slices.Equal(rows, want) || bad != nil {
			t.Errorf("header given: got %q, bad %q", rows, bad)
		}
	}
}

func TestMapped_Times(t *testing.T) {
	const want = "1767571200104567"
	for _, c := range []struct{ unit, text string }{
		{"us", want}, {"", want}, {"ns", want + "999"}, {"ms", "1767571200104.567"}, {"s", "1767571200.1045678"}, {"s", "1.7675712001045670e9"},
		{"s", "2026-01-05T00:00:00.104567Z"}, {"", "2026-01-05 00:00:00.104567"}, {"", "2026-01-05 02:00:00.104567+02"}, {"", "2026-01-05T05:30:00.104567+05:30"},
		{"", "2026-01-05 00:00:00.104567 UTC"}, {"", "2026-01-04T19:00:00.104567-0500"},
	} {
		m := tradeMap()
		m.Columns["event_ts"] = Source{Column: "time", Unit: c.unit}
		rows, bad := mappedRows(t, m, "trade_id,time,pair,px,qty,buyer_maker\n1,"+c.text+",BTCUSDT,1,1,true")
		if len(rows) != 1 || strings.Split(rows[0], ",")[5] != want {
			t.Errorf("%s %q: got %q, bad %q", c.unit, c.text, rows, bad)
		}
	}
	for text, why := range map[string]string{
		"1767571200":                      `looks like s, the map says ms`,
		"1767571200104567":                `looks like us, the map says ms`,
		"1767571200104567890":             `looks like ns, the map says ms`,
		"":                                "event time is missing",
		"yesterday":                       "event time out of range",
		"99999999999999999999999":         "event time out of range",
		"2026-13-05":                      "event time out of range",
		"2026-01-05T00:00:00 Europe/Rome": "event time out of range",
	} {
		rows, bad := mappedRows(t, tradeMap(), "trade_id,time,pair,px,qty,buyer_maker\n1,"+text+",BTCUSDT,1,1,true")
		if len(rows) != 0 || len(bad) != 1 || !strings.Contains(bad[0], why) || !strings.HasPrefix(bad[0], "2 ") {
			t.Errorf("%q: got %q, bad %q, want %q", text, rows, bad, why)
		}
	}
}

func TestMapped_CandlesOfOpenTimes(t *testing.T) {
	m := &Map{Kind: "candle", Nulls: []string{"NA"}, Columns: map[string]Source{
		"feed": {Value: "my-desk"}, "exchange": {Value: "alpha"}, "market": {Value: "spot"}, "symbol": {Value: "BTC-USDT"},
		"event_ts": {Column: "open_time", Unit: "s", Add: market.Minute}, "open_ts": {Column: "open_time", Unit: "s"}, "interval": {Value: "1m"},
		"open": {Column: "o"}, "high": {Column: "h"}, "low": {Column: "l"}, "close": {Column: "c", Scale: 2}, "volume": {Column: "v"},
		"trades": {Column: "n"}, "closed": {Column: "final"},
	}}
	rows, bad := mappedRows(t, m, "open_time,o,h,l,c,v,n,final\n1767571200,1,3,0.5,250,10,NA,TRUE\n1767571260,1,3,0.5,4,10,7,False")
	want := []string{"candle,my-desk,alpha,spot,BTC-USDT,1767571260000000,,,60000000,1767571200000000,1,3,0.5,2.50,10,,,,true"}
	if !slices.Equal(rows, want) || len(bad) != 1 || !strings.Contains(bad[0], "outside of low and high") {
		t.Errorf("got %q, bad %q", rows, bad)
	}
}

// Rows without an id of their own are told apart by what they are, and equal ones by their place.
func TestMapped_IdentityWithoutIDs(t *testing.T) {
	m := tradeMap()
	delete(m.Columns, "id")
	a, err := Mapped(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	ids := func() map[market.ID]bool {
		d := a.New(adapters.Env{Feeds: market.NewFeeds(), Insts: market.NewInstruments()})
		var ch market.Chunk
		for i, line := range []string{"time,pair,px,qty,buyer_maker", "1767571200104,BTCUSDT,1,1,true", "1767571200104,BTCUSDT,1,1,true", "1767571200104,BTCUSDT,1,1,false"} {
			if err := d.Decode(&adapters.Record{Data: []byte(line), Offset: int64(i + 1)}, &ch); err != nil {
				t.Fatal(err)
			}
		}
		got := map[market.ID]bool{}
		for _, id := range ch.Batches[market.KindTrade].ID {
			got[id] = true
		}
		return got
	}
	first := ids()
	if len(first) != 3 {
		t.Errorf("%d ids of 3 rows", len(first))
	}
	for id := range ids() {
		if !first[id] {
			t.Error("a second reading gives other ids")
		}
	}
}

func TestMapped_BadLinesAndFiles(t *testing.T) {
	head := "trade_id,time,pair,px,qty,buyer_maker\n"
	for _, c := range []struct{ name, text, want string }{
		{"fields", head + "1,1767571200104,BTCUSDT,1,1", "2 number of fields differs"},
		{"quotes", head + `1,1767571200104,"BTC"USDT,1,1,true`, "2 quotes are not by RFC 4180"},
		{"number", head + `1,1767571200104,BTCUSDT,"1,000.5",1,true`, "2 number is not an exact decimal"},
		{"nan", head + "1,1767571200104,BTCUSDT,NaN,1,true", "2 number is not an exact decimal"},
		{"side", head + "1,1767571200104,BTCUSDT,1,1,maybe", "2 side is not one of its words"},
		{"symbol", head + "1,1767571200104,../x,1,1,true", "2 symbol may not stand in a path"},
		{"quantity", head + "1,1767571200104,BTCUSDT,1,-1,true", "2 quantity is not positive"},
		{"column", "trade_id,time,pair,price,qty,buyer_maker\n", "1 the file has no such column"},
	} {
		rows, bad := mappedRows(t, tradeMap(), c.text)
		if len(rows) != 0 || len(bad) != 1 || !strings.HasPrefix(bad[0], c.want) {
			t.Errorf("%s: rows %q, bad %q", c.name, rows, bad)
		}
	}
	if _, bad := mappedRows(t, tradeMap(), "a,b\n1,2\n3,4"); len(bad) != 3 {
		t.Errorf("a refused header must refuse its rows: %q", bad)
	}
}

func TestMapped_WrongMaps(t *testing.T) {
	for want, change := range map[string]func(*Map){
		"no kind is called":               func(m *Map) { m.Kind = "trades" },
		"trade has no column":             func(m *Map) { m.Columns["qty"] = Source{Column: "q"} },
		"does not say what symbol is":     func(m *Map) { delete(m.Columns, "symbol") },
		"column is missing: quantity":     func(m *Map) { delete(m.Columns, "quantity") },
		`column event_ts: unit "hours"`:   func(m *Map) { m.Columns["event_ts"] = Source{Column: "t", Unit: "hours"} },
		"only times and durations":        func(m *Map) { m.Columns["price"] = Source{Column: "p", Unit: "s"} },
		"only decimals have a scale":      func(m *Map) { m.Columns["event_ts"] = Source{Column: "t", Scale: 2} },
		"either a column of the file or":  func(m *Map) { m.Columns["price"] = Source{} },
		"a scale of 19 is not in 0 to 18": func(m *Map) { m.Columns["price"] = Source{Column: "p", Scale: 19} },
	} {
		m := tradeMap()
		change(m)
		if _, err := Mapped(m, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func FuzzMapped(f *testing.F) {
	f.Add("trade_id,time,pair,px,qty,buyer_maker\n1,1767571200104,BTCUSDT,1,1,true")
	f.Add("\"a\";b\n1")
	f.Fuzz(func(t *testing.T, text string) {
		m := tradeMap()
		mappedRows(t, m, text)
		m.Header = []string{"trade_id", "time", "pair", "px", "qty", "buyer_maker"}
		mappedRows(t, m, text)
	})
}
