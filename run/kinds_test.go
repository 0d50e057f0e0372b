package run_test

import (
	"bytes"
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pinova-group/tidemark/run"
	"github.com/pinova-group/tidemark/specs"
)

// fill is the kind trade, defined by a user: all columns, units and words of it.
const fill = `kind: fill
id: fill_id
columns:
  fill_id: {type: text, nullable: true}
  side: {type: enum, words: [unknown, buy, sell]}
  price: {type: decimal, unit: quote/base}
  quantity: {type: decimal, unit: base}
  pieces: int
`

// fills are trades of two venues and three symbols, some late, some twice, as of kind.
func fills(kind string, n int) string {
	r := rand.New(rand.NewPCG(11, 12))
	ids := map[string]string{"trade": "id", "fill": "fill_id"}
	count := map[string]string{"trade": "prints", "fill": "pieces"}
	var b strings.Builder
	fmt.Fprintf(&b, "kind,feed,exchange,market,symbol,event_ts,ingest_ts,%s,side,price,quantity,%s\n", ids[kind], count[kind])
	ts := int64(1762795440000000)
	price := 10000
	for i := range n {
		ts += r.Int64N(2_000_000)
		at := ts - r.Int64N(200_000)
		if i%97 == 5 {
			at -= 5_000_000
		}
		price += r.IntN(21) - 10
		venue := []string{"one", "two"}[r.IntN(2)]
		line := fmt.Sprintf("%s,feed-%s,%s,%s,%s,%d,%d,%d,%s,%d.%02d,0.%03d,%d\n", kind, venue, venue, []string{"spot", "perp"}[r.IntN(2)],
			[]string{"BTC-USDT", "ETH-USDT", "SOL-USDT"}[r.IntN(3)], at, ts+r.Int64N(3000), i, []string{"unknown", "buy", "sell"}[r.IntN(3)], price/100, price%100, 1+r.IntN(999), 1+r.IntN(3))
		b.WriteString(line)
		if i%53 == 7 {
			b.WriteString(line)
		}
	}
	return b.String()
}

// A user-defined kind with the columns of trades gives, of the same events, the rows of every
// shipped view over trades, bit for bit: windows, bars, sessions, clocks, latest windows, scans,
// frames, joins and unions among them.
func TestKinds_AKindLikeTradeGivesTheRowsOfTrades(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	kind, trades, own := put("fill.yaml", fill), put("trades.csv", fills("trade", 3000)), put("fills.csv", fills("fill", 3000))
	from := regexp.MustCompile(`\btrade\b`)
	tests := regexp.MustCompile(`(?ms)^tests:.*\z`)
	// the views over trades alone, parents first
	only := map[string]bool{}
	texts := map[string]string{}
	refs := regexp.MustCompile(`(?m)(?:^from: |view: |clock: |\w+: )([a-z0-9_]+)`)
	for _, name := range specs.Names() {
		text, _ := specs.Find(name)
		texts[name] = tests.ReplaceAllString(string(text), "")
	}
	var over func(name string) bool
	over = func(name string) bool {
		if known, done := only[name]; done {
			return known
		}
		only[name] = true
		for line := range strings.SplitSeq(texts[name], "\n") {
			if !strings.HasPrefix(line, "from:") && !strings.Contains(line, "view:") && !strings.Contains(line, "clock:") || strings.HasPrefix(line, "view:") || strings.HasPrefix(line, "doc:") {
				continue
			}
			for _, m := range refs.FindAllStringSubmatch(line, -1) {
				if _, view := texts[m[1]]; view {
					only[name] = only[name] && over(m[1])
				}
			}
			for _, k := range []string{"quote", "book", "funding", "liquidation", "candle", "mark_price", "open_interest", "instrument", "status"} {
				only[name] = only[name] && !regexp.MustCompile(`: `+k+`\b`).MatchString(line)
			}
		}
		return only[name]
	}
	var list, args []string
	for _, name := range specs.Names() {
		if over(name) {
			list = append(list, name)
			args = append(args, put(name+".yaml", from.ReplaceAllString(texts[name], "fill")))
		}
	}
	if len(list) < 20 {
		t.Fatalf("only %v read trades alone", list)
	}
	rows := func(cfg run.Config) string {
		t.Helper()
		var out bytes.Buffer
		if _, err := run.Run(context.Background(), cfg, run.Env{Stdout: &out, Warn: func(string) {}}); err != nil {
			t.Fatalf("%s: %v", cfg.View, err)
		}
		return out.String()
	}
	total := 0
	for _, name := range list {
		cfg := run.DefaultConfig()
		cfg.Specs, cfg.View, cfg.Inputs = []string{name}, name, []string{trades}
		want := rows(cfg)
		cfg.Specs, cfg.Inputs = append([]string{kind}, args...), []string{own}
		if got := rows(cfg); got != want {
			t.Errorf("%s: rows differ\n%s\n%s", name, strings.Join(firstDifference(want, got), "\n"), texts[name])
		}
		total += strings.Count(want, "\n") - 1
	}
	if total < 10_000 {
		t.Errorf("only %d rows", total)
	}
}

func firstDifference(a, b string) []string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return []string{x[i], y[i]}
		}
	}
	return []string{fmt.Sprint(len(x), " lines"), fmt.Sprint(len(y), " lines")}
}

// Columns of floats, whole numbers with a sign and texts against plain loops.
func TestKinds_FloatsAgainstPlainLoops(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var in strings.Builder
	in.WriteString("kind,feed,exchange,market,symbol,event_ts,level,steps,note,fine\n")
	type row struct {
		ts    int64
		level float64
		null  bool
		steps int
		note  string
		fine  string
	}
	var all []row
	ts := int64(1762795440000000)
	for range 2000 {
		ts += r.Int64N(5_000_000)
		x := row{ts: ts, level: r.NormFloat64() * 1e3, null: r.IntN(5) == 0, steps: r.IntN(100) - 50, note: fmt.Sprint("n", r.IntN(9)), fine: []string{"true", "false"}[r.IntN(2)]}
		level := strconv.FormatFloat(x.level, 'g', -1, 64)
		if x.null {
			level = ""
		}
		fmt.Fprintf(&in, "reading,met,met,index,KDFW,%d,%s,%d,%s,%s\n", x.ts, level, x.steps, x.note, x.fine)
		all = append(all, x)
	}
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	kind := put("reading.yaml", "kind: reading\ncolumns:\n  level: {type: float, nullable: true}\n  steps: int\n  note: text\n  fine: bool\n")
	view := put("v.yaml", `view: v
version: 1
from: reading
where: level is null or level > -1500
by: [symbol]
window: {tumbling: 1m}
features:
  high: max(level)
  low: min(level)
  open: first(level)
  close: last(level where fine)
  n: count(level)
  steps: sum(steps)
  note: last(note)
  exact: mean(round(level, 6))
  mid: median(level)
`)
	var out bytes.Buffer
	cfg := run.DefaultConfig()
	cfg.Specs, cfg.Inputs = []string{kind, view}, []string{put("in.csv", in.String())}
	if _, err := run.Run(context.Background(), cfg, run.Env{Stdout: &out, Warn: func(string) {}}); err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(out.String()), "\n")[1:]
	var want []string
	for lo := 0; lo < len(all); {
		minute := all[lo].ts / 60_000_000
		hi := lo
		var levels []float64
		closes, open, note, steps, n := "", "", "", 0, 0
		for ; hi < len(all) && all[hi].ts/60_000_000 == minute; hi++ {
			x := all[hi]
			if !x.null && x.level <= -1500 {
				continue
			}
			n++
			steps, note = steps+x.steps, x.note
			if x.null {
				continue
			}
			levels = append(levels, x.level)
			text := strconv.FormatFloat(x.level, 'g', -1, 64)
			if open == "" {
				open = text
			}
			if x.fine == "true" {
				closes = text
			}
		}
		lo = hi
		if n == 0 {
			continue
		}
		high, low, exact := "", "", ""
		if len(levels) > 0 {
			sum := new(big.Int)
			for _, x := range levels { // to 6 digits, ties to even: FormatFloat rounds the exact value so
				n, ok := new(big.Int).SetString(strings.Replace(strconv.FormatFloat(x, 'f', 6, 64), ".", "", 1), 10)
				if !ok {
					t.Fatal(x)
				}
				sum.Add(sum, n)
			}
			f, _ := new(big.Rat).SetFrac(sum, big.NewInt(int64(len(levels))*1e6)).Float64()
			exact = strconv.FormatFloat(f, 'g', -1, 64)
			high, low = strconv.FormatFloat(slices.Max(levels), 'g', -1, 64), strconv.FormatFloat(slices.Min(levels), 'g', -1, 64)
		}
		want = append(want, fmt.Sprintf("%d|%s|%s|%s|%s|%d|%d|%s|%s", minute*60_000_000, high, low, open, closes, len(levels), steps, note, exact))
	}
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	num := func(s string) string {
		if s == "" {
			return ""
		}
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	for i, line := range got {
		c := strings.Split(line, ",")
		if g := fmt.Sprintf("%s|%s|%s|%s|%s|%s|%s|%s|%s", c[1], num(c[6]), num(c[7]), num(c[8]), num(c[9]), c[10], c[11], c[12], num(c[13])); g != want[i] {
			t.Fatalf("row %d is\n%s, want\n%s\n%s", i, g, want[i], line)
		}
	}
}
