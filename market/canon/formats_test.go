package canon

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/market"
	"github.com/pinova-group/tidemark/market/adapters"
)

const formatsDoc = "../../docs/formats.md"

// docs/formats.md is in step with the code. Run with -update to rewrite its tables.
func TestFormatsDoc(t *testing.T) {
	text, err := os.ReadFile(formatsDoc)
	if err != nil {
		t.Fatal(err)
	}
	want := text
	for name, table := range map[string]string{"kinds": kindTables(), "feeds": feedTable(), "venues": venueTables()} {
		mark, end := []byte("<!-- generated: "+name+" -->\n"), []byte("<!-- end -->")
		i := bytes.Index(want, mark)
		if i < 0 {
			t.Fatalf("no mark for %s", name)
		}
		i += len(mark)
		j := i + bytes.Index(want[i:], end)
		want = append(append(append([]byte(nil), want[:i]...), table...), want[j:]...)
	}
	if bytes.Equal(want, text) {
		return
	}
	if !*update {
		t.Fatal("docs/formats.md is stale: go test ./market/canon -run TestFormatsDoc -update")
	}
	if err := os.WriteFile(formatsDoc, want, 0o644); err != nil {
		t.Fatal(err)
	}
}

// meanings of columns that the schema does not explain.
var meanings = map[string]string{
	"kind": "what the row is; see the headings", "feed": "provider and line, e.g. `kraken-spot`",
	"exchange": "venue; empty: that of the feed", "market": "`spot`, `perp`, `future`, `option` or `index`",
	"symbol":    "canonical: `BASE-QUOTE`, dated futures `BASE-QUOTE-YYMMDD`",
	"event_ts":  "when it happened, by the venue's clock",
	"ingest_ts": "when it was received; null for bulk history, whose feed declares an assumed lag",
	"seq":       "the venue's number: trade id, update id, …; null: the sequencer numbers",
	"shard":     "connection or file, 0 to 65535, within which lateness is judged; absent: the file's own",
	"price":     "price", "quantity": "size", "bid_price": "best bid", "bid_quantity": "size at the best bid",
	"ask_price": "best ask", "ask_quantity": "size at the best ask",
	"bids": "levels, best first by habit; in a delta the changed ones, quantity 0 deletes the level",
	"asks": "levels, like bids",
	"form": "paid at event time, or the venue's forecast", "interval": "length", "id": "id of the venue",
	"open_ts": "first instant of the candle", "open": "first price", "high": "highest price",
	"low": "lowest price", "close": "last price", "volume": "traded size", "notional": "traded value",
	"trades": "number of trades", "taker_buy": "size that takers bought", "closed": "the candle is final",
	"index_price": "price of the index", "settle_price": "estimated settlement price",
	"base_asset": "asset that is traded", "quote_asset": "asset that it is priced in",
	"tick_size": "price step", "lot_size": "size step", "contract_size": "base units in a contract",
	"inverse": "margined and settled in the base asset", "state": "state",
	"listed_ts": "begin of trading", "delisted_ts": "end of trading", "reason": "text for people",
	"from_seq": "first number missing", "to_seq": "last number missing", "rate": "rate",
}

func kindTables() string {
	var b strings.Builder
	row := func(name, typ, unit, null, doc string) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", name, typ, unit, null, doc)
	}
	head := func(title string) {
		fmt.Fprintf(&b, "### %s\n\n| name | type | unit | null or absent | meaning |\n|---|---|---|---|---|\n", title)
	}
	head("Columns of every kind")
	for c := range firstPayload {
		typ, null := "text", "no"
		switch c {
		case colEventTS, colIngestTS:
			typ = "time"
		case colSeq, colShard:
			typ = "integer"
		}
		switch c {
		case colIngestTS, colSeq:
			null = "yes"
		case colShard, colExchange:
			null = "see there"
		}
		row(columns.names[c], typ, "", null, meanings[columns.names[c]])
	}
	for k := market.KindTrade; k <= market.KindWatermark; k++ {
		title := "`" + k.String() + "`"
		if k == market.KindBook {
			title = "`orderbook.delta`, `orderbook.snapshot`"
		}
		b.WriteString("\n")
		if len(columns.kinds[k]) == 0 {
			fmt.Fprintf(&b, "### %s\n\nNo columns of its own: nothing more of the feed's shard comes before `event_ts`.\n", title)
			continue
		}
		head(title)
		for _, f := range columns.kinds[k] {
			row(f.Name, typeName(&f), f.Unit, nullRule(k, &f), meaning(&f))
		}
	}
	return b.String()
}

func meaning(f *field) string {
	if f.Doc != "" && f.Type != typeLevels {
		return f.Doc
	}
	return meanings[f.Name]
}

func typeName(f *field) string {
	switch f.Type {
	case market.TypeDec:
		return "decimal"
	case market.TypeInt:
		return "integer"
	case market.TypeTime:
		return "time"
	case market.TypeDur:
		return "integer µs"
	case market.TypeBool:
		return "`true`, `false`"
	case market.TypeText:
		return "text"
	case market.TypeEnum:
		return "`" + strings.Join(f.Words, "`, `") + "`"
	case typeLevels:
		return "levels"
	}
	return "?"
}

func nullRule(k market.Kind, f *field) string {
	switch {
	case f.Nullable:
		return "yes"
	case f.Type == typeLevels:
		return "no levels"
	case !f.optional:
		return "no"
	case f.Name == "origin":
		return "told by `kind`: `delta` or `venue`"
	case f.Type == market.TypeText:
		return "told by the symbol"
	case f.Type == market.TypeEnum:
		return "`" + f.Words[f.def] + "`"
	case f.Type == market.TypeBool:
		return fmt.Sprintf("`%t`", f.def != 0)
	}
	return fmt.Sprintf("`%d`", f.def)
}

func feedTable() string {
	var b strings.Builder
	b.WriteString("| feed | number | exchange | disorder | duplicates by | trade ids by one | books linked |\n|---|---|---|---|---|---|---|\n")
	feeds := market.NewFeeds()
	for id := market.FeedID(1); id < 2048; id++ {
		f := feeds.Get(id)
		if f == nil {
			continue
		}
		yes := map[bool]string{true: "yes"}
		fmt.Fprintf(&b, "| `%s` | %d | %s | %d ms | %s | %s | %s |\n", f.Name, id, f.Exchange, f.Disorder/market.Millisecond,
			[]string{"id", "payload", "none"}[f.Dedup], yes[f.SeqStep], yes[f.Chained])
	}
	return b.String()
}

func venueTables() string {
	var b strings.Builder
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	for i, a := range append([]*adapters.Adapter{Adapter}, adapters.Venues...) {
		if i > 0 {
			b.WriteString("\n")
		}
		framing := "one record a line"
		if a.Framing == adapters.Whole {
			framing = "the file is one record"
		}
		fmt.Fprintf(&b, "### `%s`\n\n%s (%s).\n\n| message | gives | note |\n|---|---|---|\n", a.Name, strings.TrimSuffix(a.Doc, "."), framing)
		for _, m := range a.Mapping {
			kind := "dropped"
			if m.Kind != market.KindNone {
				kind = "`" + m.Kind.String() + "`"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", cell.Replace(m.Message), kind, cell.Replace(m.Note))
		}
	}
	return b.String()
}

// Every column of the canonical form has a meaning in the documentation.
func TestFormatsDoc_ExplainsEveryColumn(t *testing.T) {
	for k := market.KindTrade; k <= market.KindWatermark; k++ {
		for _, f := range columns.kinds[k] {
			if meaning(&f) == "" {
				t.Errorf("column %s of %s has no meaning", f.Name, k)
			}
		}
	}
}

// The examples of the documentation are read.
func TestFormatsDoc_Examples(t *testing.T) {
	text, err := os.ReadFile(formatsDoc)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, start := range []string{"kind,feed,", `{"kind":`} {
		i := bytes.Index(text, []byte("```\n"+start))
		if i < 0 {
			t.Fatalf("no example that begins with %s", start)
		}
		example, _, _ := bytes.Cut(text[i+4:], []byte("```"))
		b := newWorld().read(t, example).Batch(market.KindTrade)
		if b.N != 1 {
			t.Fatalf("%d rows in %s", b.N, example)
		}
		rows = append(rows, rowsOf(b)[0])
	}
	if rows[0] != rows[1] {
		t.Errorf("the examples are not the same trade:\n%s\n%s", rows[0], rows[1])
	}
}
