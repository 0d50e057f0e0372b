package sql_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/features/lang"
	"github.com/pinova-group/tidemark/features/sql"
	"github.com/pinova-group/tidemark/specs"
)

var update = flag.Bool("update", false, "write the golden files anew")

func check(t *testing.T, name, text string) *lang.View {
	t.Helper()
	sp, problems := lang.Parse(name, []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	set, problems := lang.Check([]*lang.Spec{sp}, lang.CheckOptions{
		Known: func(name string, _ int) (*lang.Spec, bool) {
			text, ok := specs.Find(name)
			if !ok {
				return nil, false
			}
			sp, _ := lang.Parse(name, text)
			return sp, true
		},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return set.Views[len(set.Views)-1]
}

func TestQuery_Golden(t *testing.T) {
	const path = "testdata/trade_bars_1m.sql"
	text, _ := specs.Find("trade_bars_1m")
	got, err := sql.Query(check(t, "trade_bars_1m", string(text)), sql.Options{Input: "trades.csv", Digits: 8})
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the query is not %s (-update writes it):\n%s", path, got)
	}
}

// What SQL cannot promise is refused at its place, all at once.
func TestQuery_Refuses(t *testing.T) {
	head := "view: x\nversion: 1\nfrom: trade\nby: [exchange, market, symbol]\nwindow: {tumbling: 1m}\nfeatures:\n"
	for _, c := range []struct{ text, want string }{
		{head + "  a: quantile(price, 0.5, approx=0.01)\n  b: ln(last(price) / first(price))\n", "x:7:6: quantile is a rank among buckets, which SQL does not have"},
		{head + "  a: ln(last(price) / first(price))\n", "x:7:6: ln differs in its last bits"},
		{head + "  a: time_mean(price)\n", "x:7:6: time_mean has no SQL in this version"},
		{head + "  a: decimal(last(price), 2)\n", "decimal(…) rounds half to even"},
		{head + "  a: round(last(price), 2)\n", "x:7:6: round has no SQL in this version"},
		{head + "  a: max(price / quantity)\n", "x:7:6: max of a value that is rounded to a float"},
		{head + "  a: if(sum(price * quantity) / sum(quantity) > last(price), 1, 0)\n", "x:7:9: a comparison with a quotient or root"},
		{head + "  a: std(price) - 1 * std(price)\n", "x:7:19: arithmetic with a float"},
		{head + "  a: count() % 7\n", "x:7:6: % has no SQL"},
		{head + "  a: sum(price * quantity * price * quantity * price)\n", "this product has 40 digits after the point"},
		{strings.Replace(head, "[exchange, market, symbol]", "[symbol]", 1) + "  a: last(price)\n", "x:7:6: last over several instruments"},
		{strings.Replace(head, "window:", "empty: nulls\nwindow:", 1) + "  a: count()\n", "x:5:1: empty: nulls makes rows without events"},
		{strings.Replace(head, "tumbling: 1m", "tumbling: 1d, zone: Asia/Tokyo", 1) + "  a: count()\n", "x:5:1: windows of a time zone have no SQL in this version"},
		{strings.Replace(head, "trade\n", "book\n", 1) + "  a: count()\n", "x:3:1: books have levels"},
		{strings.Replace(head, "trade\n", "trade_flags\n", 1) + "  a: sum(notional)\n", "x:3:1: rows of a row view"},
		{strings.Replace(head, "trade\n", "trade_size_5m\n", 1) + "  a: max(largest)\n", "quantile is a rank among buckets"},
	} {
		q, err := sql.Query(check(t, "x", c.text), sql.Options{Digits: 8})
		if err == nil || q != "" {
			t.Errorf("no refusal of\n%s%s", c.text, q)
		} else if at := strings.Index(err.Error(), c.want); at < 0 {
			t.Errorf("refusal of\n%s\nis  %v\nnot %s", c.text, err, c.want)
		}
	}
	if _, err := sql.Query(check(t, "x", head+"  a: count()\n"), sql.Options{Digits: 19}); err == nil {
		t.Error("19 digits are not refused")
	}
}

// Names of files and tables cannot leave their quotes.
func TestQuery_QuotesItsInput(t *testing.T) {
	v := check(t, "x", "view: x\nversion: 1\nfrom: trade\nby: [base]\nwindow: {tumbling: 1m}\nfeatures:\n  a: count(where symbol == 'it''s')\n")
	for in, want := range map[string]string{
		"o'clock.csv": "read_csv('o''clock.csv', ",
		"a.parquet":   "FROM read_parquet('a.parquet')",
		`my "table"`:  `FROM "my ""table"""`,
		"":            "FROM events\n",
		"t.csv.zst":   "read_csv('t.csv.zst', ",
	} {
		q, err := sql.Query(v, sql.Options{Input: in, Digits: 8})
		if err != nil || !strings.Contains(q, want) {
			t.Errorf("input %q: %v\n%s\nwant %s", in, err, q, want)
		}
	}
}
