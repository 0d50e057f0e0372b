package run_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/internal/exenv"
)

const oracleGroup = `view: o_group
version: 1
from: quote
by: [market, symbol]
let:
  mid: (bid_price + ask_price) / 2
  size: bid_quantity + ask_quantity
window: {latest: exchange, every: 1s, max_age: 5s}
features:
  venues: count()
  known: count(mid)
  guard: median(mid)
  fair: if(venues >= 3, wmedian(mid, weight=size where abs(mid - guard) <= 0.02 * guard), null)
  excluded: count(where abs(mid - guard) > 0.02 * guard)
`

const oracleMembers = `view: o_members
version: 1
from: quote
by: [market, symbol]
window: {latest: exchange, every: 1s, max_age: 5s, emit: members}
features:
  mid: (bid_price + ask_price) / 2
  place: rank(mid)
  age: window_end - ts
  part: share(bid_quantity + ask_quantity)
`

// TestOracle_Latest compares latest windows with DuckDB's ASOF join and Fractions of Python:
// who is alive, medians, weighted medians around a guard, ranks and shares, all exactly.
func TestOracle_Latest(t *testing.T) {
	python := exenv.Get(t, "TIDEMARK_ORACLE_PYTHON")
	dir := t.TempDir()
	quotes := filepath.Join(dir, "quotes.csv")
	for name, text := range map[string]string{"quotes.csv": venueQuotes(), "o_group.yaml": oracleGroup, "o_members.yaml": oracleMembers} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(python, "testdata/latest_oracle.py", quotes, dir).CombinedOutput(); err != nil {
		t.Fatalf("oracle: %v\n%s", err, out)
	}
	c := &comparison{t: t}
	for _, v := range []struct {
		name   string
		fields []string
	}{
		{"group", []string{"venues", "known", "guard", "fair", "excluded"}},
		{"members", []string{"mid", "place", "age", "part"}},
	} {
		got := readTable(t, runOracleView(t, dir, "o_"+v.name, quotes), "window_end")
		want := readTable(t, filepath.Join(dir, v.name+".csv"), "window_end")
		c.sameKeys(v.name, got, want)
		for key, w := range want {
			for _, f := range v.fields {
				switch {
				case w[f] == "" && got[key][f] == "":
					c.n++
				case w[f] == "":
					c.fail("%s %s %s: %s, want null", v.name, key, f, got[key][f])
				default:
					c.exact(key, f, got[key][f], rat(t, w[f]))
				}
			}
		}
	}
	if c.n < 10_000 {
		t.Errorf("only %d values were compared", c.n)
	}
}

// venueQuotes are quotes of two pairs on five venues: one of them far off at times, one often
// silent, missing sides, equal times on a venue and equal prices across venues.
func venueQuotes() string {
	r := rand.New(rand.NewPCG(21, 4))
	var b strings.Builder
	b.WriteString("kind,feed,exchange,market,symbol,event_ts,seq,bid_price,bid_quantity,ask_price,ask_quantity\n")
	ts := int64(1_700_000_000_000_000)
	for i := range 8_000 {
		switch k := r.IntN(100); {
		case k == 0:
			ts += r.Int64N(9_000_000)
		case k < 70:
			ts += r.Int64N(200_000)
		}
		if r.IntN(20) == 0 { // onto the grid, and to the age limit of what stands there
			ts = (ts/1_000_000 + 1) * 1_000_000
		}
		venue := r.IntN(5)
		if venue == 4 && ts/20_000_000%2 == 0 {
			continue
		}
		price := 10_000 + r.IntN(60)
		if venue == 3 && ts/30_000_000%3 == 0 {
			price += 900
		}
		bid, ask := fmt.Sprintf("%d.%02d", price/100, price%100), fmt.Sprintf("%d.%02d", (price+2)/100, (price+2)%100)
		if r.IntN(30) == 0 {
			bid = ""
		}
		fmt.Fprintf(&b, "quote,o%d,x%d,spot,%s,%d,%d,%s,%d,%s,%d.5\n", venue, venue, []string{"BTC-USDT", "ETH-USDT"}[r.IntN(2)], ts, i+1, bid, r.IntN(5), ask, r.IntN(5))
	}
	return b.String()
}
