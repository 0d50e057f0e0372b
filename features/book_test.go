package features_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinova-group/tidemark/features"
	"github.com/pinova-group/tidemark/market"
)

var bookSpecs = []string{`
view: book_rows
version: 1
from: book
by: [exchange, market, symbol, feed]
features:
  mid: book.mid
  spread: book.spread
  wmid: book.wmid
  bid: book.level(bid, 1)
  ask_size: book.size(ask, 1)
  deep: book.level(ask, 4)
  queue: book.imbalance(1)
  five: book.imbalance(5)
  near_bid: book.depth(bid, 30bps)
  near_ask: book.depth(ask, 0.005)
  buy: book.fill(buy, 12.5)
  sell_bps: book.slippage(sell, 40)
  buy_bps: book.slippage(buy, 3)
  ask_vwap: book.vwap(ask, 3)
  bid_slope: book.slope(bid, 4)
  ofi: book.ofi(1)
  ofi_2: book.ofi(2)
  mlofi: book.mlofi(3)
`, `
view: book_tumbling
version: 1
from: book
by: [exchange, market, symbol, feed]
window: {tumbling: 10s, carry: 30s}
features:
  mid: last(book.mid)
  widest: max(book.spread)
  flow: sum(book.ofi(1))
  flow_3: sum(book.mlofi(3))
  twa: time_mean(book.spread)
  slip: last(book.slippage(buy, 3))
  live: count(book.mid)
  n: count()
`, `
view: book_rolling
version: 1
from: book
by: [exchange, market, symbol, feed]
where: book.mid > 99
window: {rolling: 20s, every: 5s}
features:
  flow: sum(book.ofi(1))
  twa: time_mean(book.depth(bid, 20bps))
  n: count()
`}

// bookValues are the features of book_rows by their definitions.
func bookValues(r *bookRow) []*big.Rat {
	out := make([]*big.Rat, 18)
	if !r.known {
		return out
	}
	at := func(l *refLevel, price bool) *big.Rat {
		switch {
		case l == nil:
			return nil
		case price:
			return l.p
		}
		return l.q
	}
	b, a := r.is[0][0], r.is[1][0]
	up := new(big.Rat).Add(new(big.Rat).Mul(b.p, a.q), new(big.Rat).Mul(a.p, b.q))
	copy(out, []*big.Rat{
		r.mid(), new(big.Rat).Sub(a.p, b.p), up.Quo(up, new(big.Rat).Add(a.q, b.q)), b.p, a.q, at(r.level(1, 4), true),
		r.imbalance(1), r.imbalance(5), r.depth(0, big.NewRat(3, 1000)), r.depth(1, big.NewRat(5, 1000)),
		r.fill(1, big.NewRat(25, 2)), r.slippage(0, rat(40)), r.slippage(1, rat(3)), r.vwap(1, 3), r.slope(0, 4),
		r.ofi(1), r.ofi(2), r.mlofi(3),
	})
	return out
}

func shown(x *big.Rat) string {
	if x == nil {
		return "null"
	}
	f, _ := x.Float64()
	return fmt.Sprint(f)
}

// liveMean is the mean of values, nil where there is none, over the time that they stood.
func liveMean(rows []bookRow, vals []*big.Rat, before *big.Rat, start, end int64) *big.Rat {
	area, covered := rat(0), int64(0)
	add := func(x *big.Rat, from, to int64) {
		if x != nil {
			area.Add(area, new(big.Rat).Mul(x, rat(to-from)))
			covered += to - from
		}
	}
	add(before, start, rows[0].e.ts)
	for i := range rows {
		to := end
		if i+1 < len(rows) {
			to = rows[i+1].e.ts
		}
		add(vals[i], rows[i].e.ts, to)
	}
	if covered == 0 {
		return nil
	}
	return area.Quo(area, rat(covered))
}

// wantBooks is what the three views must give, line by line for each entity.
func wantBooks(r *rig, events []*bookEvent, last int64) [3]map[string][]string {
	var out [3]map[string][]string
	for v := range out {
		out[v] = map[string][]string{}
	}
	byEnt := map[string][]bookRow{}
	for _, row := range follow(events) {
		in := r.world.insts[row.e.inst]
		feed := ""
		if f := r.world.feeds.Get(row.e.feed); f != nil {
			feed = f.Name
		}
		ent := strings.Join([]string{in.Exchange, in.Venue.String(), in.Symbol, feed}, "/")
		byEnt[ent] = append(byEnt[ent], row)
	}
	for ent, rows := range byEnt {
		for i := range rows {
			line := fmt.Sprint(rows[i].e.ts)
			for _, x := range bookValues(&rows[i]) {
				line += " " + shown(x)
			}
			out[0][ent] = append(out[0][ent], line)
		}
		out[1][ent] = tumblingBooks(rows)
		out[2][ent] = rollingBooks(rows, last)
	}
	return out
}

func tumblingBooks(rows []bookRow) (lines []string) {
	const width, carry = 10 * market.Second, 30 * market.Second
	for lo := 0; lo < len(rows); {
		start := rows[lo].e.ts / width * width
		hi := lo
		for hi < len(rows) && rows[hi].e.ts < start+width {
			hi++
		}
		var mid, widest, slip, before *big.Rat
		var spreads []*big.Rat
		live, flow, flow3 := 0, rat(0), rat(0)
		for i := lo; i < hi; i++ {
			v := bookValues(&rows[i])
			spreads = append(spreads, v[1])
			if v[0] != nil {
				live++
				mid = v[0]
			}
			if v[1] != nil && (widest == nil || v[1].Cmp(widest) > 0) {
				widest = v[1]
			}
			if v[12] != nil {
				slip = v[12]
			}
			if v[15] != nil {
				flow.Add(flow, v[15])
			}
			if v[17] != nil {
				flow3.Add(flow3, v[17])
			}
		}
		if lo > 0 && start-rows[lo-1].e.ts <= carry {
			before = bookValues(&rows[lo-1])[1]
		}
		line := fmt.Sprint(start+width-1, " ", shown(mid), " ", shown(widest), " ", shown(flow), " ", shown(flow3), " ",
			shown(liveMean(rows[lo:hi], spreads, before, start, start+width)), " ", shown(slip), " ", live, " ", hi-lo)
		lines = append(lines, line)
		lo = hi
	}
	return lines
}

func rollingBooks(all []bookRow, last int64) (lines []string) {
	const width, every = 20 * market.Second, 5 * market.Second
	var rows []bookRow
	for i := range all {
		if all[i].known && all[i].mid().Cmp(rat(99)) > 0 {
			rows = append(rows, all[i])
		}
	}
	if len(rows) == 0 {
		return nil
	}
	for t := (rows[0].e.ts + every - 1) / every * every; t < last+every; t += every {
		var in []bookRow
		var depths []*big.Rat
		flow := rat(0)
		for i := range rows {
			if ts := rows[i].e.ts; ts > t-width && ts <= t {
				in = append(in, rows[i])
				depths = append(depths, rows[i].depth(0, big.NewRat(2, 1000)))
				if e := rows[i].ofi(1); e != nil {
					flow.Add(flow, e)
				}
			}
		}
		if len(in) > 0 {
			lines = append(lines, fmt.Sprint(t, " ", shown(flow), " ", shown(liveMean(in, depths, nil, t-width, t)), " ", len(in)))
		}
	}
	return lines
}

// driveBooks runs the engine and returns its rows as lines for each entity.
func (r *rig) driveBooks(events []*bookEvent, h how) []map[string][]string {
	r.t.Helper()
	all := make([][]outRow, len(r.plan.Outputs()))
	for s := range h.shards {
		var mine []*bookEvent
		for _, e := range events {
			if e.inst%h.shards == s {
				mine = append(mine, e)
			}
		}
		r.bookShard(mine, h, all)
	}
	out := make([]map[string][]string, len(all))
	for v := range all {
		out[v] = map[string][]string{}
		for _, row := range all[v] {
			line := fmt.Sprint(row.ts)
			for _, x := range row.vals {
				if x == nil {
					x = "null"
				}
				line += fmt.Sprint(" ", x)
			}
			ent := strings.Join(row.ent, "/")
			out[v][ent] = append(out[v][ent], line)
		}
	}
	return out
}

func (r *rig) bookShard(events []*bookEvent, h how, all [][]outRow) {
	r.t.Helper()
	must := func(err error) {
		if err != nil {
			r.t.Helper()
			r.t.Fatal(err)
		}
	}
	g := rand.New(rand.NewPCG(h.seed, 3))
	task := r.plan.NewTask(r.insts, h.from)
	b := market.NewBatch(market.KindBook)
	var out features.Rows
	var marks [market.NumKinds]int64
	for k := range marks {
		marks[k] = market.NoTime
	}
	for i, e := range events {
		appendBook(b, e)
		if g.IntN(h.batch) != 0 {
			continue
		}
		must(task.Push(b))
		b.Reset()
		if g.IntN(2) == 0 && i+1 < len(events) {
			marks[market.KindBook] = max(marks[market.KindBook], events[i+1].ts-g.Int64N(2)*g.Int64N(market.Minute))
			must(task.Advance(&marks, &out))
			r.collect(task, &out, all)
			out.Reset()
		}
		if h.restore && g.IntN(4) == 0 {
			snap := task.AppendSnapshot(nil)
			t2, err := r.plan.Restore(r.insts, snap)
			must(err)
			if again := t2.AppendSnapshot(nil); string(again) != string(snap) {
				r.t.Fatal("snapshot of the restored task differs")
			}
			task = t2
		}
	}
	must(task.Push(b))
	must(task.Close(h.last, &out))
	r.collect(task, &out, all)
}

func sameBooks(t interface{ Fatalf(string, ...any) }, what string, got, want []map[string][]string) {
	for v := range want {
		for ent := range want[v] {
			g, w := got[v][ent], want[v][ent]
			for i := range min(len(g), len(w)) {
				if g[i] != w[i] {
					t.Fatalf("%s: view %d of %s, row %d\n got %s\nwant %s", what, v, ent, i, g[i], w[i])
				}
			}
			if len(g) != len(w) {
				t.Fatalf("%s: view %d of %s has %d rows, want %d", what, v, ent, len(g), len(w))
			}
		}
	}
}

// The functions of the book, alone and in windows, are what their definitions give over
// maps and rationals, however the input is cut, through restarts, and by shards.
func TestBook_EqualsReference(t *testing.T) {
	t.Parallel()
	r := newRig(t, bookSpecs...)
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, 120).Draw(rt, "n")
		events := bookEvents(seed, n)
		last := events[n-1].ts
		ref := wantBooks(r, events, last)
		want := ref[:]
		for _, h := range []how{
			{batch: 1, shards: 1}, {batch: 1000, shards: 1}, {batch: 9, shards: 1, restore: true}, {batch: 5, shards: 2},
		} {
			h.seed, h.last, h.from = seed, last, market.NoTime
			sameBooks(rt, fmt.Sprintf("%+v", h), r.driveBooks(events, h), want)
		}
	})
}

// I2: nothing before from − lookback is felt: other books and no books there.
func TestBook_OlderInputIsNotFelt(t *testing.T) {
	t.Parallel()
	r := newRig(t, bookSpecs...)
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(20, 200).Draw(rt, "n")
		events := bookEvents(seed, n)
		from := events[rapid.IntRange(0, n-1).Draw(rt, "from")].ts
		v := rapid.IntRange(0, 2).Draw(rt, "view")
		edge := from - r.plan.Outputs()[v].Lookback
		h := how{batch: 7, shards: 1, seed: seed, last: events[n-1].ts, from: from}
		want := r.driveBooks(events, h)
		var other []*bookEvent
		if rapid.Bool().Draw(rt, "garbage") {
			garbage := bookEvents(seed+1, n)
			shift := edge - 1 - garbage[n-1].ts
			for _, e := range garbage {
				e.ts += shift
				other = append(other, e)
			}
		}
		for _, e := range events {
			if e.ts >= edge {
				other = append(other, e)
			}
		}
		sameBooks(rt, fmt.Sprintf("from %d", from), r.driveBooks(other, h)[v:v+1], want[v:v+1])
	})
}
